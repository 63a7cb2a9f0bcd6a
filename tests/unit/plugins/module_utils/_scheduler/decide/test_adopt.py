"""Test the adoption of a foreign scheduler: lost settings, errors and output."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import adopt
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    SET_ASIDE_CONTENT,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
    parse_config,
)

from tests.support.role import role_vars
from tests.unit.plugins.module_utils._scheduler.decide.test_variable_rules import PREFIX

FLAGS = role_vars()["__kube_scheduler_known_flags"]
WANTED: DesiredSettings = {
    "flags": {
        "config": "/etc/kubernetes/kube-scheduler.yaml",
        "secure-port": "10259",
        "bind-address": "127.0.0.1",
        "leader-elect": "true",
        "v": "2",
    },
    "config": {
        "leaderElection": {
            "leaderElect": True,
            "leaseDuration": "15s",
            "resourceName": "kube-scheduler",
        }
    },
}
WALK_THROUGH = [
    "--address=127.0.0.1",
    "--kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig",
    "--leader-elect=true",
    "--alsologtostderr=true",
    "--logtostderr=false",
    "--log-dir=/var/log/kubernetes",
    "--v=2",
]
OTHER = "/etc/systemd/system/kube-scheduler.service.d/local.conf"


POD = "/etc/kubernetes/manifests/kube-scheduler.yaml"


def host(
    *arguments: str,
    prepared: bool = False,
    digest: str = "",
    pid: int = 7,
    drop_ins: Any = (),
    pod: str = "",
    user: str = "k8s",
) -> dict[str, Any]:
    return {
        "prepared": prepared,
        "process": {
            "pid": pid,
            "digest": digest,
            "arguments": list(arguments),
            "settings": [],
            "user": user,
        },
        "unit": {
            "name": "kube-scheduler.service",
            "drop_ins": list(drop_ins),
            "set_aside": [],
            "static_pod": pod,
        },
    }


def compared(
    *arguments: str, minor: str = "1.37", config: str = "", environment: Any = ()
) -> adopt.SettingsComparison:
    told = {
        "arguments": arguments,
        "settings": parse_config(config.encode())["listed"],
        "environment": environment,
    }
    return adopt.compare_adoption(told, WANTED, FLAGS, minor, PREFIX)


def lost_errors(*arguments: str, adopted: bool = False, **given: Any) -> list[str]:
    return adopt.check_lost_settings(
        "m1", host(*arguments, **given), compared(*arguments), adopt=adopted, prefix=PREFIX
    )


def test_walk_through_loses_no_setting() -> None:
    assert compared(*WALK_THROUGH).lost == []
    assert lost_errors(*WALK_THROUGH) == []


@pytest.mark.parametrize(
    ("argument", "keep"),
    [
        ("--v=4", 'kube_scheduler_extra_args: {"v": "4"}'),
        (
            "--feature-gates=A=true,B=false",
            'kube_scheduler_extra_args: {"feature-gates": "A=true,B=false"}',
        ),
        ("--secure-port=10260", 'kube_scheduler_secure_port: "10260"'),
        ("--bind-address=0.0.0.0", 'kube_scheduler_bind_address: "0.0.0.0"'),
        ("--leader-elect-lease-duration=60s", 'kube_scheduler_lease_duration: "60s"'),
        ("--kube-api-qps=200", "kube_scheduler_config: {clientConnection: {qps: …}}"),
        ("--config=/etc/mine.yaml", "kube_scheduler_config to the fields in /etc/mine.yaml"),
    ],
)
def test_lost_flag_names_its_variable(argument: str, keep: str) -> None:
    assert compared(argument).keep == [keep]
    [fault] = lost_errors(argument)
    assert fault == (
        f"m1: kube-scheduler.service runs a scheduler that this role did not create, and {argument} would be lost; to keep these settings, set {keep};"
        " to accept the loss, set kube_scheduler_adopt to true"
    )
    assert lost_errors(argument, adopted=True) == []


@pytest.mark.parametrize(
    ("config", "lost", "keep"),
    [
        (
            "leaderElection: {leaseDuration: 60s}",
            'leaderElection.leaseDuration="60s"',
            'kube_scheduler_lease_duration: "60s"',
        ),
        (
            "leaderElection: {resourceName: mine}",
            'leaderElection.resourceName="mine"',
            'kube_scheduler_config: {"leaderElection": {"resourceName": "mine"}}',
        ),
        ("parallelism: 32", "parallelism=32", 'kube_scheduler_config: {"parallelism": 32}'),
        (
            "profiles: [{schedulerName: batch}]",
            'profiles=[{"schedulerName": "batch"}]',
            'kube_scheduler_config: {"profiles": [{"schedulerName": "batch"}]}',
        ),
        (
            "extenders: [{tlsConfig: {keyData: c2VjcmV0}}]",
            'extenders=[{"tlsConfig": {"keyData": "(withheld)"}}]',
            "kube_scheduler_config: the field extenders with its current value",
        ),
    ],
)
def test_lost_field_names_its_variable(config: str, lost: str, keep: str) -> None:
    comparison = compared("--config=/etc/mine.yaml", "--leader-elect=true", config=config)
    assert (comparison.lost, comparison.keep) == ([lost], [keep])
    assert any(change.startswith(lost) for change in comparison.changes)


@pytest.mark.parametrize(
    "config",
    [
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration",
        "clientConnection: {kubeconfig: /mine, qps: 50, burst: 100}",
        "leaderElection: {leaderElect: true, leaseDuration: 15s, resourceName: kube-scheduler}",
        "leaderElection: {leaseDuration: 0m15s}",
        "enableProfiling: true\nparallelism: 16",
    ],
)
def test_equal_configuration_loses_nothing(config: str) -> None:
    assert compared("--config=/etc/mine.yaml", config=config).lost == []


def test_hostile_configuration_is_ignored() -> None:
    told = {
        "arguments": [],
        "settings": ["a", "=", "a=[", "a.b=1", "a=" + "[" * 100_000],
        "environment": [],
    }
    assert adopt.compare_adoption(told, WANTED, FLAGS, "1.37", PREFIX).lost == ["a.b=1"]


def test_contradictory_settings_are_merged() -> None:
    told = {"arguments": [], "settings": ["a=1", "a.b=2", "c.d=3", "c.d.e=4"], "environment": []}
    comparison = adopt.compare_adoption(told, WANTED, FLAGS, "1.37", PREFIX)
    assert comparison.keep == ['kube_scheduler_config: {"a": {"b": 2}, "c": {"d": {"e": 4}}}']


def test_lost_flags_share_one_line() -> None:
    [line] = lost_errors("--v=4", "--vmodule=a=1", "--secure-port=10260")
    assert "and --v=4, --vmodule=a=1, --secure-port=10260 would be lost" in line
    assert (
        'set kube_scheduler_secure_port: "10260"; kube_scheduler_extra_args: {"v": "4", "vmodule": "a=1"};'
        in line
    )


@pytest.mark.parametrize(
    "argument",
    [
        "--leader-elect-lease-duration=15s",
        "--leader-elect-resource-name=kube-scheduler",
        "--profiling=true",
        "--tls-cert-file=/mine.pem",
        "--v=2",
    ],
)
def test_replaced_flag_is_not_lost(argument: str) -> None:
    assert compared(argument).lost == []


def test_removed_flags_are_not_lost() -> None:
    assert compared("--algorithm-provider=X", minor="1.22").lost == []
    assert compared("--algorithm-provider=X", minor="1.20").lost == ["--algorithm-provider=X"]


@pytest.mark.parametrize("given", [{"prepared": True}, {"digest": "0" * 32}, {"pid": 0}])
def test_scheduler_of_this_role_is_not_rejected(given: dict[str, Any]) -> None:
    assert lost_errors("--v=4", **given) == []
    assert adopt.describe_adoption("m1", host("--v=4", **given), compared("--v=4"), "k8s") == []


def test_flags_in_all_forms_are_parsed() -> None:
    words = ["--v", "4", "-leader-elect", "--log_dir=/x", "--v=5", "--", "garbage", "--profiling"]
    assert adopt.parse_command_line(words) == {
        "v": "5",
        "leader-elect": "true",
        "log-dir": "/x",
        "profiling": "true",
    }


def test_adoption_shows_each_flag() -> None:
    comparison = adopt.describe_adoption(
        "m1", host("--v=4", drop_ins=[OTHER]), compared("--v=4", "--kubeconfig=/mine"), "k8s"
    )
    assert comparison == [
        "m1: adopts kube-scheduler.service, which this role did not create; the role keeps the existing files as the previous file set",
        "m1: --v=4 becomes --v=2",
        "m1: --kubeconfig=/mine is removed",
        "m1: --config=/etc/kubernetes/kube-scheduler.yaml is added",
        "m1: --secure-port=10259 is added",
        "m1: --bind-address=127.0.0.1 is added",
        "m1: --leader-elect=true is added",
        f"m1: {OTHER} is set aside",
    ]


def test_environment_variables_are_lost() -> None:
    comparison = compared("--v=2", environment=["GOGC"])
    assert comparison == adopt.SettingsComparison(
        [*compared("--v=2").changes, "environment variable GOGC is removed"],
        ["environment variable GOGC"],
        [],
    )
    assert adopt.check_lost_settings(
        "m1", host("--v=2"), comparison, adopt=False, prefix=PREFIX
    ) == [
        (
            "m1: kube-scheduler.service runs a scheduler that this role did not create, and environment variable GOGC would be lost; to accept the loss, set"
            " kube_scheduler_adopt to true"
        )
    ]


@pytest.mark.parametrize(
    ("user", "lines"), [("root", ["m1: runs as k8s instead of root"]), ("k8s", []), ("", [])]
)
def test_changed_user_is_shown(user: str, lines: list[str]) -> None:
    comparison = adopt.describe_adoption("m1", host("--v=2", user=user), compared("--v=2"), "k8s")
    assert [line for line in comparison if "runs as" in line] == lines


def test_drop_ins_are_rejected_without_adopt() -> None:
    unit = host(drop_ins=[OTHER, "/run/systemd/system/kube-scheduler.service.d/x.conf"])["unit"]
    first, second = adopt.check_drop_ins("m1", unit, adopt=False, prefix=PREFIX)
    assert first.endswith("or set kube_scheduler_adopt to true to set it aside")
    assert second.endswith("set kube_scheduler_extra_args or kube_scheduler_config instead")
    assert adopt.check_drop_ins("m1", unit, adopt=True, prefix=PREFIX) == [second]


def test_set_aside_drop_in_stays_in_the_file_set() -> None:
    unit = {"drop_ins": [OTHER], "set_aside": [], "static_pod": ""}
    [member] = adopt.list_set_aside_files(unit, adopt=True)
    assert member == {"name": "drop_in_0", "path": OTHER, "content": SET_ASIDE_CONTENT}
    assert adopt.list_set_aside_files(
        {"drop_ins": [], "set_aside": [OTHER], "static_pod": ""}, adopt=False
    ) == [member]
    assert adopt.list_set_aside_files(unit, adopt=False) == []


@pytest.mark.parametrize("pid", [7, 0])
def test_static_pod_is_rejected_without_adopt(pid: int) -> None:
    comparison = host("--v=4", pod=POD, pid=pid)
    lines = adopt.describe_adoption("m1", comparison, compared("--v=4"), "k8s")
    assert (
        lines[0]
        == f"m1: adopts the static pod {POD}, which this role did not create; the role keeps the existing files as the previous file set"
    )
    assert lines[-1] == f"m1: {POD} is set aside"
    [fault] = lost_errors("--v=4", pod=POD, pid=pid)
    assert fault.startswith(
        f"m1: the static pod {POD} runs a scheduler that this role did not create, and --v=4 would be lost"
    )
    assert adopt.check_static_pod("m1", comparison["unit"], adopt=False, prefix=PREFIX) == [
        (
            f"m1: the static pod {POD} runs the scheduler; remove the static pod, or set kube_scheduler_adopt to true,"
            " so that the role sets it aside when it rolls this host"
        )
    ]
    assert adopt.list_set_aside_files(comparison["unit"], adopt=False) == []
    assert adopt.check_static_pod("m1", comparison["unit"], adopt=True, prefix=PREFIX) == []
    assert adopt.list_set_aside_files(comparison["unit"], adopt=True) == [
        {"name": "static_pod", "path": POD, "link_to": ""}
    ]


def test_set_aside_drop_in_is_recognized_by_content(tmp_path: Any) -> None:
    path = tmp_path / "x.conf"
    for content, aside in (
        (SET_ASIDE_CONTENT, True),
        (SET_ASIDE_CONTENT + "[Service]\n", False),
        ("", False),
        ("\xff", False),
    ):
        path.write_text(content, encoding="latin-1")
        assert systemd.is_set_aside(str(path)) is aside
    assert not systemd.is_set_aside(str(tmp_path / "nowhere"))


def test_configured_secret_is_kept_and_not_shown() -> None:
    """An adoption with the same settings loses nothing, and shows no secret."""
    config = "extenders: [{tlsConfig: {keyData: marker}}]"
    desired = {"extenders": [{"tlsConfig": {"keyData": "(withheld)"}}], "parallelism": 8}
    told = {
        "arguments": [],
        "settings": parse_config(config.encode())["listed"],
        "environment": [],
    }
    comparison = adopt.compare_adoption(
        told, {"flags": {}, "config": desired}, FLAGS, "1.37", PREFIX
    )
    assert comparison.lost == []
    assert "marker" not in str(comparison)

"""Test the adoption of a foreign scheduler: lost settings, errors and output."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import adopt
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.acceptance import (
    Acceptance,
    parse_acceptance,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    SET_ASIDE_CONTENT,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
    parse_config,
)

from tests.support.role import role_vars
from tests.unit.plugins.module_utils._scheduler.decide.test_variable_rules import (
    PREFIX,
    input_errors,
)

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


def host(  # noqa: PLR0913 - each parameter is a fact of the host
    *arguments: str,
    prepared: bool = False,
    digest: str = "",
    pid: int = 7,
    drop_ins: Any = (),
    settings: Any = (),
    pod: str = "",
    user: str = "k8s",
    unsafe: Any = (),
) -> dict[str, Any]:
    return {
        "prepared": prepared,
        "unsafe": list(unsafe),
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
            "drop_in_settings": list(settings),
            "set_aside": [],
            "static_pod": pod,
        },
    }


def accept(*names: str) -> Acceptance:
    return Acceptance(everything=False, names=frozenset(names))


ALL = Acceptance(everything=True, names=frozenset())
NONE = accept()
DIRECTORIES = {
    "/etc/kubernetes/cert": ["cert_path", "key_path"],
    "/etc/kubernetes": ["kubeconfig_path"],
    "/opt/k8s/bin": ["bin_dir"],
}


def compared(
    *arguments: str,
    minor: str = "1.37",
    config: str = "",
    environment: Any = (),
    accepted: Acceptance = NONE,
) -> adopt.SettingsComparison:
    told = {
        "arguments": arguments,
        "settings": parse_config(config.encode())["listed"],
        "environment": environment,
    }
    return adopt.compare_adoption(told, WANTED, FLAGS, minor, PREFIX, accepted)


def lost_texts(comparison: adopt.SettingsComparison) -> list[str]:
    return [loss.text for loss in comparison.lost]


def adoption_errors(
    *arguments: str,
    accepted: Acceptance = NONE,
    comparison: adopt.SettingsComparison | None = None,
    **given: Any,
) -> list[str]:
    inputs = adopt.AdoptionInputs(accepted, DIRECTORIES, PREFIX)
    comparison = comparison or compared(*arguments, accepted=accepted)
    return adopt.check_adoption("m1", host(*arguments, **given), comparison, inputs)


def test_walk_through_loses_no_setting() -> None:
    assert compared(*WALK_THROUGH).lost == []
    assert adoption_errors(*WALK_THROUGH) == []


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
    [fault] = adoption_errors(argument)
    name = argument[2:].partition("=")[0]
    assert fault == (
        f"m1: kube-scheduler.service runs a scheduler that this role did not create, and {argument} would be lost; to keep these settings, set {keep};"
        f" to accept the loss, set kube_scheduler_adopt: [{name}]"
    )
    assert adoption_errors(argument, accepted=ALL) == []
    assert adoption_errors(argument, accepted=accept(name)) == []


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
    assert (lost_texts(comparison), comparison.keep) == ([lost], [keep])
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
    comparison = adopt.compare_adoption(told, WANTED, FLAGS, "1.37", PREFIX, NONE)
    assert lost_texts(comparison) == ["a.b=1"]


def test_contradictory_settings_are_merged() -> None:
    told = {"arguments": [], "settings": ["a=1", "a.b=2", "c.d=3", "c.d.e=4"], "environment": []}
    comparison = adopt.compare_adoption(told, WANTED, FLAGS, "1.37", PREFIX, NONE)
    assert comparison.keep == ['kube_scheduler_config: {"a": {"b": 2}, "c": {"d": {"e": 4}}}']


def test_lost_flags_share_one_line() -> None:
    [line] = adoption_errors("--v=4", "--vmodule=a=1", "--secure-port=10260")
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
    kept = compared("--algorithm-provider=X", minor="1.20")
    assert lost_texts(kept) == ["--algorithm-provider=X"]


@pytest.mark.parametrize("given", [{"prepared": True}, {"digest": "0" * 32}, {"pid": 0}])
def test_scheduler_of_this_role_is_not_rejected(given: dict[str, Any]) -> None:
    assert adoption_errors("--v=4", **given) == []
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
        [adopt.Loss("GOGC", "environment variable GOGC")],
        [],
    )
    assert adoption_errors("--v=2", comparison=comparison) == [
        (
            "m1: kube-scheduler.service runs a scheduler that this role did not create, and environment variable GOGC would be lost; to accept the loss, set"
            " kube_scheduler_adopt: [GOGC]"
        )
    ]
    accepted = accept("gogc")
    assert compared("--v=2", environment=["GOGC"], accepted=accepted).lost == []


def test_part_of_the_losses_can_be_accepted() -> None:
    """The end of a field name suffices. The error contains a line that accepts all losses."""
    config = "clientConnection: {qps: 20, burst: 40}"
    accepted = accept("qps", "nice")
    comparison = compared("--v=4", config=config, accepted=accepted)
    assert [loss.name for loss in comparison.lost] == ["v", "clientConnection.burst"]
    assert comparison.keep == [
        'kube_scheduler_extra_args: {"v": "4"}',
        'kube_scheduler_config: {"clientConnection": {"burst": 40}}',
    ]
    assert any(change.startswith("clientConnection.qps=20") for change in comparison.changes)
    [error] = adoption_errors("--v=4", comparison=comparison, accepted=accepted)
    assert error.endswith("set kube_scheduler_adopt: [clientConnection.burst, nice, qps, v]")


@pytest.mark.parametrize(
    ("value", "everything", "names"),
    [
        (True, True, set()),
        ("yes", True, set()),
        ("true", True, set()),
        (False, False, set()),
        ("false", False, set()),
        ([], False, set()),
        (["Nice", "ownership"], False, {"nice", "ownership"}),
        ("nice, ownership", False, {"nice", "ownership"}),
        ("clientConnection.qps", False, {"clientconnection.qps"}),
    ],
)
def test_acceptance_is_a_boolean_or_a_list(value: Any, everything: bool, names: set[str]) -> None:
    assert parse_acceptance(value) == Acceptance(everything, frozenset(names))


@pytest.mark.parametrize("value", [None, 2, {"a": 1}, [True], ["a b"], [["a"]], "a,,b", ["-v"]])
def test_other_acceptance_is_rejected(value: Any) -> None:
    assert parse_acceptance(value) is None
    [error] = input_errors(adopt=value) if value is not None else [""]
    assert value is None or error.startswith("kube_scheduler_adopt: ")


def unsafe_path(path: str = "/etc/kubernetes", **given: Any) -> dict[str, Any]:
    reason = f"{path!r} belongs to k8s"
    return {"path": path, "reason": reason, "is_link": False, "can_take": True, **given}


def test_directory_of_another_user_is_rejected_with_both_options() -> None:
    """The walk-through copies as k8s, so that its directories belong to k8s."""
    entry, taken = unsafe_path(), accept("ownership")
    assert adoption_errors(pid=0, unsafe=[entry]) == [
        (
            "m1: '/etc/kubernetes' belongs to k8s, so that a user with write access could make root read or write any file; set"
            " kube_scheduler_adopt: [ownership], so that the role gives the directory to root and a rollback restores its owner, or set"
            " other paths in kube_scheduler_cert_path, kube_scheduler_key_path, kube_scheduler_kubeconfig_path"
        )
    ]
    for accepted in (taken, ALL):
        assert adoption_errors(pid=0, unsafe=[entry], accepted=accepted) == []
        assert adopt.describe_ownership("m1", host(unsafe=[entry]), accepted) == [
            "m1: '/etc/kubernetes' belongs to k8s; the role gives it to root, and a rollback restores its owner"
        ]
    assert adopt.describe_ownership("m1", host(unsafe=[entry]), NONE) == []


@pytest.mark.parametrize(
    ("given", "action"),
    [({"is_link": True}, "remove the link"), ({}, "run chown root and chmod go-w on it")],
)
def test_path_that_root_cannot_take_is_always_rejected(given: dict[str, Any], action: str) -> None:
    entry = unsafe_path("/opt/k8s/bin", can_take=False, **given)
    [error] = adoption_errors(pid=0, unsafe=[entry], accepted=ALL)
    assert error.endswith(f"{action}, or set other paths in kube_scheduler_bin_dir")


def test_each_error_contains_the_line_that_accepts_everything() -> None:
    errors = adoption_errors("--v=4", unsafe=[unsafe_path()], drop_ins=[OTHER], settings=["Nice"])
    assert len(errors) == 3
    assert all("set kube_scheduler_adopt: [nice, ownership, v]" in error for error in errors)


@pytest.mark.parametrize(
    ("user", "lines"), [("root", ["m1: runs as k8s instead of root"]), ("k8s", []), ("", [])]
)
def test_changed_user_is_shown(user: str, lines: list[str]) -> None:
    comparison = adopt.describe_adoption("m1", host("--v=2", user=user), compared("--v=2"), "k8s")
    assert [line for line in comparison if "runs as" in line] == lines


def test_drop_ins_are_rejected_unless_their_settings_are_accepted() -> None:
    given: dict[str, Any] = {"drop_ins": [OTHER], "settings": ["Nice", "Environment"]}
    [error] = adoption_errors(pid=0, **given)
    assert error == (
        f"m1: {OTHER} changes the unit; remove it, and set kube_scheduler_extra_args or kube_scheduler_config instead, or set"
        " kube_scheduler_adopt: [environment, nice] to set it aside"
    )
    assert adoption_errors(pid=0, accepted=accept("nice"), **given) == [error]
    for accepted in (ALL, accept("nice", "environment")):
        assert adoption_errors(pid=0, accepted=accepted, **given) == []
    vendor = "/run/systemd/system/kube-scheduler.service.d/x.conf"
    [error] = adoption_errors(pid=0, drop_ins=[vendor], settings=["Nice"], accepted=ALL)
    assert error.endswith("set kube_scheduler_extra_args or kube_scheduler_config instead")
    [error] = adoption_errors(pid=0, drop_ins=[OTHER])
    assert "[drop_ins]" in error


def test_set_aside_drop_in_stays_in_the_file_set() -> None:
    unit = host(drop_ins=[OTHER], settings=["Nice"])["unit"]
    [member] = adopt.list_set_aside_files(unit, ALL)
    assert member == {"name": "drop_in_0", "path": OTHER, "content": SET_ASIDE_CONTENT}
    assert adopt.list_set_aside_files(unit, accept("nice")) == [member]
    assert adopt.list_set_aside_files({**host()["unit"], "set_aside": [OTHER]}, NONE) == [member]
    assert adopt.list_set_aside_files(unit, accept("ownership")) == []


@pytest.mark.parametrize("pid", [7, 0])
def test_static_pod_is_rejected_without_adopt(pid: int) -> None:
    comparison = host("--v=4", pod=POD, pid=pid)
    lines = adopt.describe_adoption("m1", comparison, compared("--v=4"), "k8s")
    assert (
        lines[0]
        == f"m1: adopts the static pod {POD}, which this role did not create; the role keeps the existing files as the previous file set"
    )
    assert lines[-1] == f"m1: {POD} is set aside"
    pod, fault = adoption_errors("--v=4", pod=POD, pid=pid)
    assert fault.startswith(
        f"m1: the static pod {POD} runs a scheduler that this role did not create, and --v=4 would be lost"
    )
    assert pod == (
        f"m1: the static pod {POD} runs the scheduler; remove the static pod, or set kube_scheduler_adopt: [static_pod, v]"
        " to let the role move the manifest away when the role rolls this host"
    )
    assert adopt.list_set_aside_files(comparison["unit"], accept("v")) == []
    for accepted in (ALL, accept("static_pod", "v")):
        assert adoption_errors("--v=4", pod=POD, pid=pid, accepted=accepted) == []
        assert adopt.list_set_aside_files(comparison["unit"], accepted) == [
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
        told, {"flags": {}, "config": desired}, FLAGS, "1.37", PREFIX, NONE
    )
    assert comparison.lost == []
    assert "marker" not in str(comparison)

"""Test the table of versions: rendered command lines, rejected settings, consistency."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    command_line,
    formatting,
    setting_rules,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.target import (
    CommandLineInputs,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    parse_settings,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.support.role import role_vars

ROOT = Path(__file__).resolve().parents[6]
GOLDEN = ROOT / "tests/unit/golden"
TABLE = role_vars()
VERSIONS: dict[str, dict[str, Any]] = TABLE["__kube_scheduler_versions"]
FLAGS: dict[str, dict[str, str]] = TABLE["__kube_scheduler_known_flags"]
KUBECONFIG = "/etc/kubernetes/kube-scheduler.kubeconfig"
WALK_THROUGH = """
/opt/k8s/bin/kube-scheduler
  --address=127.0.0.1
  --kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig
  --leader-elect=true
  --alsologtostderr=true
  --logtostderr=false
  --log-dir=/var/log/kubernetes
  --v=2
"""


def planned(version: str, **settings: Any) -> command_line.CommandLine:
    values = {
        "config_path": "/etc/kubernetes/kube-scheduler.yaml",
        "kubeconfig": KUBECONFIG,
        "certificate": "/etc/kubernetes/cert/kube-scheduler.pem",
        "privatekey": "/etc/kubernetes/cert/kube-scheduler-key.pem",
        "bind_address": "127.0.0.1",
        "secure_port": 10259,
        "log_dir": "/var/log/kubernetes",
    }
    base_config = {
        "clientConnection": {"kubeconfig": KUBECONFIG},
        "enableProfiling": False,
        "leaderElection": {
            "leaderElect": True,
            "leaseDuration": "15s",
            "renewDeadline": "10s",
            "retryPeriod": "2s",
        },
    }
    inputs: dict[str, Any] = {
        "versions": VERSIONS,
        "styles": TABLE["__kube_scheduler_styles"],
        "known_flags": FLAGS,
        "known_fields": TABLE["__kube_scheduler_known_fields"],
        "values": values,
        "times": {},
        "binary": "/opt/k8s/bin/kube-scheduler",
        "base_config": base_config,
        "config": {},
        "extra_args": {},
        "prefix": "kube_scheduler_",
    }
    return command_line.build_command_line(
        CommandLineInputs(version=version, **{**inputs, **settings})
    )


@pytest.mark.parametrize("version", [f"{minor}.0" for minor in VERSIONS])
@pytest.mark.parametrize("config", [{}, {"percentageOfNodesToScore": 50}], ids=["flags", "config"])
def test_instance_has_lease_of_its_name(version: str, config: dict[str, Any]) -> None:
    """An instance has a lease of its own name.

    Without a configuration file, a flag sets the lease. Otherwise a field of the file sets it
    (kubernetes#80681).
    """
    line = planned(version, config=config, lease_name="batch")
    assert (line.lease_name, line.errors) == ("batch", [])
    if line.config is None:
        assert line.flags["lock-object-name"] == "batch"
    else:
        field = (
            "lockObjectName" if line.config["apiVersion"].endswith("/v1alpha1") else "resourceName"
        )
        assert line.config["leaderElection"][field] == "batch"
        assert not {"lock-object-name", "leader-elect-resource-name"} & {*line.flags}
    # The settings of the process equal the planned settings.
    settings_read = parse_settings(line.arguments, line.config_text.encode())
    assert settings_read.lease == ("kube-system", "batch")


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        ("1.37.2", {"config": {"leaderElection": {"resourceName": "mine"}}}),
        ("1.37.2", {"extra_args": {"leader-elect-resource-name": "mine"}}),
        ("1.10.4", {"config": {"leaderElection": {"lockObjectName": "mine"}}}),
        ("1.10.4", {"extra_args": {"lock-object-name": "mine"}}),
        ("1.17.0", {"extra_args": {"leader_elect_resource_name": "mine"}}),
        ("1.17.0", {"config": {"leaderElection": {"resourceName": "mine"}}}),
    ],
)
def test_configured_lease_name_overrides_instance_name(
    version: str, settings: dict[str, Any]
) -> None:
    line = planned(version, lease_name="batch", **settings)
    assert (line.lease_name, line.errors) == ("mine", [])
    assert "batch" not in line.config_text + " ".join(line.arguments)


def run(version: str, **settings: Any) -> dict[str, Any]:
    line = planned(version, **settings)
    binary = settings.get("binary", "/opt/k8s/bin/kube-scheduler")
    return {
        "problems": line.errors,
        "flags": line.arguments,
        "exec_start": "" if line.errors else formatting.format_exec_start(binary, line.flags),
        "config": line.config_text,
        "lock": line.lock,
        "lease": {"name": line.lease_name, "namespace": line.lease_namespace},
    }


def rendered(plan: dict[str, Any]) -> str:
    return f"ExecStart={plan['exec_start']}\n---\n{plan['config']}"


@pytest.mark.parametrize("minor", VERSIONS)
def test_rendered_version_equals_golden_file(minor: str) -> None:
    """The rendered command line of each version equals its golden file.

    To rewrite the files, set UPDATE_GOLDEN=1. Then review the diff.
    """
    plan = run(f"{minor}.0")
    assert plan["problems"] == []
    path = GOLDEN / f"{minor}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(rendered(plan))
    assert rendered(plan) == path.read_text()


def test_each_golden_file_has_a_version() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(VERSIONS)
    assert list(VERSIONS) == [f"1.{minor}" for minor in range(10, 38)]


def words_of(exec_start: str) -> list[str]:
    """Split a command line as systemd does.

    systemd joins lines, removes quotes and escapes, and replaces %% and $$.
    """
    expected = shlex.split(exec_start.replace("\\\n", " "))
    return [word.replace("%%", "%").replace("$$", "$") for word in expected]


def test_oldest_version_renders_the_walk_through() -> None:
    assert words_of(run("1.10.4")["exec_start"]) == WALK_THROUGH.split()


@pytest.mark.parametrize("minor", VERSIONS)
def test_rendered_version_accepts_its_flags(minor: str) -> None:
    """Each version accepts the rendered flags and fields, and honors the relevant flags."""
    row = VERSIONS[minor]
    assert set(row) == {
        "style",
        "config_api",
        "locks",
        "https",
        "http",
        "ready",
        "releases",
        "metrics",
    }
    assert row["locks"][0] in versions.LOCK_OBJECTS
    for config in ({}, {"percentageOfNodesToScore": 50}):
        plan = run(f"{minor}.0", config=config)
        assert plan["problems"] == []
        for flag in plan["flags"]:
            known = FLAGS[flag[2:].split("=")[0]]
            assert versions.parse_minor(known.get("added", "1.0")) <= versions.parse_minor(minor), (
                flag
            )
            assert versions.parse_minor(known.get("removed", "1.99")) > versions.parse_minor(
                minor
            ), flag


@pytest.mark.parametrize(
    ("version", "settings", "expected"),
    [
        (
            "1.37.2",
            {"extra_args": {"address": "0.0.0.0"}},
            "kube_scheduler_extra_args: address: kube-scheduler 1.37.2 has no flag --address, which was removed in 1.24; use kube_scheduler_bind_address",
        ),
        (
            "1.37.2",
            {"extra_args": {"no_such-flag": "x"}},
            (
                "kube_scheduler_extra_args: no-such-flag: no supported version of kube-scheduler has the flag"
                " --no-such-flag; correct or remove it"
            ),
        ),
        (
            "1.35.4",
            {"extra_args": {"tls-curve-preferences": "X25519"}},
            "kube_scheduler_extra_args: tls-curve-preferences: kube-scheduler 1.35.4 has no flag --tls-curve-preferences, which was added in 1.36; remove it",
        ),
        (
            "1.37.2",
            {"extra_args": {"--v": 3}},
            "kube_scheduler_extra_args: --v: is not a valid flag name; omit the leading dashes",
        ),
        (
            "1.37.2",
            {"extra_args": {"kube-api-qps": 100}},
            (
                "kube_scheduler_extra_args: kube-api-qps: kube-scheduler 1.37.2 silently ignores --kube-api-qps if it has a configuration file; "
                "use kube_scheduler_config: {clientConnection: {qps: …}}"
            ),
        ),
        (
            "1.20.2",
            {"extra_args": {"leader-elect-resource-lock": "leases"}},
            (
                "kube_scheduler_extra_args: leader-elect-resource-lock: kube-scheduler 1.20.2 silently ignores "
                "--leader-elect-resource-lock if it has a configuration file; use kube_scheduler_config: {leaderElection: {resourceLock: …}}"
            ),
        ),
        (
            "1.37.2",
            {"extra_args": {"secure-port": 1}},
            "kube_scheduler_extra_args: secure-port: the role sets --secure-port; use kube_scheduler_secure_port",
        ),
        (
            "1.37.2",
            {"extra_args": {"vmodule": "a=1\nExecStartPre=/bin/true"}},
            "kube_scheduler_extra_args: vmodule: its value contains a control character, which a unit file cannot contain; remove it",
        ),
        (
            "1.37.2",
            {"extra_args": {"vmodule": None}},
            "kube_scheduler_extra_args: vmodule: has no value; set one, such as true",
        ),
        (
            "1.37.2",
            {"config": {"apiVersion": "kubescheduler.config.k8s.io/v1beta3"}},
            "kube_scheduler_config: apiVersion: kube-scheduler 1.37.2 does not support kubescheduler.config.k8s.io/v1beta3; use kubescheduler.config.k8s.io/v1",
        ),
        (
            "1.37.2",
            {"config": {"healthzBindAddress": ""}},
            (
                "kube_scheduler_config: healthzBindAddress: kube-scheduler 1.37.2 uses "
                "kubescheduler.config.k8s.io/v1, which has no such field; the field exists only in v1alpha1, v1alpha2, v1beta1, "
                "v1beta2; use kube_scheduler_bind_address and kube_scheduler_secure_port"
            ),
        ),
        (
            "1.19.0",
            {"config": {"parallelism": 8}},
            "kube_scheduler_config: parallelism: kube-scheduler 1.19.0 has no such field, which was added in 1.20; remove it",
        ),
        (
            "1.37.2",
            {"config": {"enableProfilng": True}},
            (
                "kube_scheduler_config: enableProfilng: no supported KubeSchedulerConfiguration has this field; "
                "check the spelling, or remove it"
            ),
        ),
        (
            "1.37.2",
            {"config": {"kind": "Policy"}},
            "kube_scheduler_config: kind: Policy is not KubeSchedulerConfiguration; remove it",
        ),
        (
            "1.37.2",
            {"config": {"profiles": [{"schedulerName": "a\x00b"}]}},
            "kube_scheduler_config: profiles: schedulerName: 'a\\x00b' contains a control character; remove it",
        ),
        (
            "1.37.2",
            {"config": {"leaderElection": {"resourceLock": "endpoints"}}},
            "kube_scheduler_config: leaderElection: resourceLock: kube-scheduler 1.37.2 does not support endpoints, only leases; use leases",
        ),
        *(
            (
                "1.37.2",
                settings,
                f"{option}: false would disable leader election, so all members would schedule pods at once; remove this setting",
            )
            for settings, option in (
                (
                    {"extra_args": {"leader-elect": False}},
                    "kube_scheduler_extra_args: leader-elect",
                ),
                (
                    {"config": {"leaderElection": {"leaderElect": False}}},
                    "kube_scheduler_config: leaderElection: leaderElect",
                ),
            )
        ),
        (
            "1.37.2",
            {"binary": "+/opt/k8s/bin/kube-scheduler"},
            "kube_scheduler_bin_dir: a unit cannot start '+/opt/k8s/bin/kube-scheduler'; set a path of letters, digits, ., _, - and /",
        ),
    ],
)
def test_invalid_setting_is_rejected(version: str, settings: dict[str, Any], expected: str) -> None:
    plan = run(version, **settings)
    assert plan["problems"] == [expected]
    assert plan["exec_start"] == ""


def member(version: str, lock: str = "") -> dict[str, Any]:
    return {
        "hostname": "m1.example",
        "version": version,
        "lock": lock,
        "lease_name": "kube-scheduler",
        "lease_namespace": "kube-system",
    }


@pytest.mark.parametrize(
    ("previous", "version", "config", "expected"),
    [
        (member("1.16.15"), "1.17.0", {}, ""),
        (member("1.19.0"), "1.20.2", {}, ""),
        (member("1.20.2"), "1.37.2", {}, ""),
        (member(""), "1.37.2", {}, ""),
        (
            member("1.16.15"),
            "1.20.2",
            {},
            (
                "kube_scheduler_config: leaderElection: resourceLock: leases shares no object with endpoints, the current "
                "lock type of m1.example, so there would be two leaders; "
                "first run with kube_scheduler_config={leaderElection: {resourceLock: endpointsleases}}, then again with leases"
            ),
        ),
        (member("1.16.15"), "1.20.2", {"leaderElection": {"resourceLock": "endpointsleases"}}, ""),
        (member("1.20.2", "endpointsleases"), "1.20.2", {}, ""),
        (
            member("1.20.2", "configmaps"),
            "1.20.2",
            {"leaderElection": {"resourceLock": "endpoints"}},
            "{resourceLock: configmapsleases}}, then again with endpointsleases, then again with endpoints",
        ),
        (
            member("1.16.15"),
            "1.37.2",
            {},
            "first roll out a version from 1.17 to 1.27 with the lock type endpointsleases, then 1.37.2",
        ),
    ],
)
def test_lock_change_shares_an_object(
    previous: dict[str, Any], version: str, config: dict[str, Any], expected: str
) -> None:
    problems = run(version, config=config, running=[previous])["problems"]
    assert len(problems) == bool(expected)
    assert expected in "".join(problems)


def test_flag_values_are_joined() -> None:
    flags = run(
        "1.37.2",
        extra_args={"feature_gates": {"A": True, "B": False}, "tls-cipher-suites": ["X", "Y"]},
    )["flags"]
    assert {"--feature-gates=A=true,B=false", "--tls-cipher-suites=X,Y"} <= {*flags}
    assert sum(flag.startswith("--tls-cipher-suites=") for flag in flags) == 1


def test_unknown_version_is_rejected() -> None:
    with pytest.raises(PlanError, match=r"version: 1\.99\.0 is not a supported version"):
        run("1.99.0")


@given(st.text())
def test_quoting_is_reversible(word: str) -> None:
    if formatting.CONTROL_CHARACTER.search(word):
        with pytest.raises(PlanError):
            formatting.quote_argument(word)
        return
    quoted = formatting.quote_argument(word)
    assert "\n" not in quoted
    # systemd first replaces escapes in double quotes, then specifiers, then variables.
    inner = re.sub(r"\\(.)", r"\1", quoted[1:-1])
    assert re.fullmatch(r'(?:[^"\\]|\\.)*', quoted[1:-1])
    assert inner.replace("%%", "%").replace("$$", "$") == word


# Preflight accepts these values, and YAML can express them.
TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"), exclude_characters="\ufeff")
)
VALUES: Any = st.recursive(
    TEXT | st.booleans() | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(VALUES)
def test_yaml_is_reversible(value: Any) -> None:
    assert yaml.safe_load(formatting.format_yaml({"key": value})) == {"key": value}


@pytest.mark.parametrize(
    "word", ["1e3", "0x10", "0o7", "1_000", "12:30", "~", "yes", "Null", ".5", "-", "*a", "", "15s"]
)
def test_ambiguous_yaml_scalar_is_quoted(word: str) -> None:
    assert formatting.format_yaml({"key": word}) == f'\nkey: "{word}"'


def test_flag_table_is_ordered() -> None:
    for name, known in FLAGS.items():
        assert set(known) <= {"added", "removed", "ignored", "alternative", "variable"}, name
        assert setting_rules.FLAG_NAME_PATTERN.fullmatch(name)
        for previous, later in itertools.pairwise(
            [versions.parse_minor(known[key]) for key in ("added", "removed") if key in known]
        ):
            assert previous < later, name


@pytest.mark.parametrize("field", ["resourceName", "resourceNamespace"])
def test_lock_object_of_running_members_is_kept(field: str) -> None:
    config = {"leaderElection": {field: "other"}}
    member = {
        "hostname": "m1.example",
        "version": "1.37.2",
        "lock": "",
        "lease_name": "kube-scheduler",
        "lease_namespace": "kube-system",
    }
    assert run("1.37.2", config=config)["problems"] == []
    [problem] = run("1.37.2", config=config, running=[member])["problems"]
    assert (
        "is not kube-system/kube-scheduler, the current lock of m1.example, so there would be two leaders"
        in problem
    )


SECRET_CONFIG: dict[str, Any] = {"extenders": [{"tlsConfig": {"keyData": "marker"}}]}


@pytest.mark.parametrize("version", ["1.20.2", "1.37.2"])
def test_log_level_hides_a_configuration_with_a_secret(version: str) -> None:
    line = planned(version, config=SECRET_CONFIG)
    assert (line.flags["v"], line.errors) == ("1", [])
    assert planned(version, config=SECRET_CONFIG, extra_args={"v": 0}).flags["v"] == "0"
    assert planned(version).flags["v"] == "2"


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"v": 2}, "v"),
        ({"v": "10"}, "v"),
        ({"vmodule": "configfile=2"}, "vmodule"),
        ({"vmodule": {"a": 1, "configfile": 4}}, "vmodule"),
    ],
)
def test_log_level_that_shows_a_secret_is_rejected(flags: dict[str, Any], name: str) -> None:
    [error] = planned(
        "1.37.2", config=SECRET_CONFIG, extra_args=flags, prefix="kube_scheduler_"
    ).errors
    assert error == (
        f"kube_scheduler_extra_args: {name}: from level 2 on, kube-scheduler logs its configuration"
        " with the secret in extenders[0].tlsConfig.keyData of kube_scheduler_config; set a level"
        " below 2, or remove it"
    )
    assert planned("1.37.2", extra_args=flags).errors == []


def test_secret_with_a_control_character_is_not_shown() -> None:
    config = {"extenders": [{"tlsConfig": {"keyData": "marker\x07"}}]}
    errors = planned("1.37.2", config=config).errors
    assert errors
    assert "marker" not in str(errors)

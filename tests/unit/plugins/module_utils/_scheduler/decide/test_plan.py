"""Test the computation of the desired state of a host."""

from __future__ import annotations

from typing import Any, cast

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    plan,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import VARIABLES_SPEC

from tests.support.role import defaults, role_vars

PREFIX = "kube_scheduler_"
DATA = role_vars()
TABLES = plan.Tables(
    **{name: DATA[held_by] for name, held_by in DATA["__kube_scheduler_tables"].items()}
)
HOST: dict[str, Any] = {
    "hostname": "m1.example",
    "architecture": "amd64",
    "os_families": ["ubuntu", "debian"],
    "systemd_version": 252,
    "missing_libraries": [],
    "stale": [],
    "obstacles": [],
    "process": {"version": "", "pid": 0},
    "unit": {"drop_ins": [], "drop_in_settings": [], "set_aside": [], "static_pod": ""},
}
SANS = ["127.0.0.1", "192.0.2.1"]
STAGED = "/var/lib/kube-ha/kube-scheduler/staged"


def settings(**given: Any) -> variables.Variables:
    known = defaults(**{key: value for key, value in given.items() if key == "name"})
    raw = {name.removeprefix(PREFIX): value for name, value in known.items()}
    raw |= {
        "group": "g",
        "apiserver": "https://192.0.2.1:6443",
        "apiserver_ca": "/ca.pem",
        "version": "1.37.2",
    } | given
    v, faults = variables.parse_variables(raw, VARIABLES_SPEC, PREFIX)
    assert v is not None, faults
    return v


def made(
    facts: dict[str, Any] | None = None,
    running: tuple[Any, ...] = (),
    check_mode: bool = False,
    **given: Any,
) -> plan.HostPlan:
    v = settings(**given)
    return plan.compute_plan(
        v,
        "m1",
        {**HOST, **(facts or {})},
        plan.PlanInputs(
            election=variables.resolve_election(v, TABLES.lease_presets),
            sans=SANS,
            apiserver_ca="PEM",
            tables=TABLES,
            running=running,
            prefix=PREFIX,
            check_mode=check_mode,
        ),
    )


def test_binary_has_source_and_checksum() -> None:
    source = "https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kube-scheduler"
    assert (
        made()["binary"]["source"]
        == made(binary_url="https://dl.k8s.io/")["binary"]["source"]
        == source
    )
    assert made()["binary"]["checksum"] == f"sha512:{source}.sha512"
    given = f"sha512:{'0' * 128}"
    assert made(binary_checksum={"1.37.2": given})["binary"]["checksum"] == given


def test_credentials_are_passed_by_systemd() -> None:
    host_plan = made()
    assert host_plan["errors"] == []
    assert host_plan["secret"] == {"owner": "root", "group": "root", "mode": "0600"}
    assert host_plan["unit"]["type"] == "exec"
    assert (
        host_plan["unit"]["credentials"]["privatekey"]
        == "/etc/kubernetes/cert/kube-scheduler-key.pem"
    )
    assert (
        '"--tls-cert-file=/run/credentials/kube-scheduler.service/certificate"'
        in host_plan["unit"]["exec_start"]
    )
    assert host_plan["limitations"] == []
    assert host_plan["staged"]["kubeconfig"] == f"{STAGED}/kubeconfig"
    assert host_plan["kubeconfig"]["users"][0]["embed_certs"] is True


@pytest.mark.parametrize(
    ("systemd", "kind", "limitations"),
    [
        (247, "exec", []),
        (246, "exec", ["the group k8s can read key and kubeconfig"]),
        (
            239,
            "simple",
            ["the group k8s can read key and kubeconfig", "a start is reported before"],
        ),
    ],
)
def test_older_systemd_has_limitations(systemd: int, kind: str, limitations: list[str]) -> None:
    host_plan = made({"systemd_version": systemd})
    assert host_plan["unit"]["type"] == kind
    assert len(host_plan["limitations"]) == len(limitations)
    for text, expected in zip(host_plan["limitations"], limitations):
        assert text.startswith(expected)
    assert host_plan["secret"]["group"] == ("k8s" if limitations else "root")
    assert host_plan["secret"]["mode"] == ("0640" if limitations else "0600")
    assert bool(host_plan["unit"]["credentials"]) != bool(limitations)


def test_style_files_uses_live_paths() -> None:
    host_plan = made(kubeconfig_style="files", user="scheduler")
    assert host_plan["secret"] == {"owner": "root", "group": "scheduler", "mode": "0640"}
    assert host_plan["unit"]["credentials"] == {}
    assert (
        '"--tls-cert-file=/etc/kubernetes/cert/kube-scheduler.pem"'
        in host_plan["unit"]["exec_start"]
    )
    digests = {file["name"]: file.get("digest") for file in host_plan["files"]}
    assert digests["certificate"] == digests["privatekey"] == "path"
    assert digests["kubeconfig"] == "content"


def test_instance_name_sets_paths() -> None:
    host_plan = made(name="batch")
    assert {file["name"]: file["path"] for file in host_plan["files"]} == {
        "binary": "/opt/k8s/bin/batch",
        "certificate": "/etc/kubernetes/cert/batch.pem",
        "privatekey": "/etc/kubernetes/cert/batch-key.pem",
        "kubeconfig": "/etc/kubernetes/batch.kubeconfig",
        "config": "/etc/kubernetes/batch.yaml",
        "unit": "/etc/systemd/system/batch.service",
    }
    assert host_plan["binary"]["path"] == "/opt/k8s/bin/kube-scheduler-v1.37.2", "shared"
    assert host_plan["staged"]["kubeconfig"] == "/var/lib/kube-ha/batch/staged/kubeconfig"
    assert (
        '"--tls-cert-file=/run/credentials/batch.service/certificate"'
        in host_plan["unit"]["exec_start"]
    )
    assert host_plan["lease"] == {"name": "batch", "namespace": "kube-system"}
    assert "  resourceName: batch\n" in host_plan["config"]
    assert "resourceName" not in made()["config"]
    # Both instances have the same identity at the apiserver.
    assert host_plan["kubeconfig"]["users"] == [
        {
            **made()["kubeconfig"]["users"][0],
            "client_certificate": "/etc/kubernetes/cert/batch.pem",
            "client_key": "/etc/kubernetes/cert/batch-key.pem",
        }
    ]


def test_unset_version_keeps_running_version() -> None:
    host_plan = made({"process": {"version": "1.36.1", "pid": 7}}, version="")
    assert host_plan["version"] == "1.36.1"
    assert host_plan["binary"] == {
        "name": "kube-scheduler-v1.36.1",
        "path": "/opt/k8s/bin/kube-scheduler-v1.36.1",
        "link": "/opt/k8s/bin/kube-scheduler",
        "source": "https://dl.k8s.io/release/v1.36.1/bin/linux/amd64/kube-scheduler",
        "checksum": "sha512:https://dl.k8s.io/release/v1.36.1/bin/linux/amd64/kube-scheduler.sha512",
        "missing": "",
    }
    assert (
        plan.desired_version(
            variables.Variables(**dict.fromkeys(VARIABLES_SPEC, cast("Any", ""))), ""
        )
        == ""
    )
    assert made(version="v1.36.1")["version"] == "1.36.1"


def test_file_set_has_staged_and_live_paths() -> None:
    names = ["binary", "certificate", "privatekey", "kubeconfig", "config", "unit"]
    assert [file["name"] for file in made()["files"]] == names
    oldest = made(version="1.10.4")
    assert [file["name"] for file in oldest["files"]] == [
        name for name in names if name != "config"
    ]
    assert (oldest["config"], oldest["log_dir"]) == ("", "/var/log/kubernetes")


def test_check_mode_reads_live_files_if_nothing_is_staged() -> None:
    stale = {"stale": ["certificate"]}
    assert (
        made(stale, check_mode=True)["staged"]["certificate"]
        == "/etc/kubernetes/cert/kube-scheduler.pem"
    )
    assert made(stale)["staged"]["certificate"] == f"{STAGED}/certificate"


def test_missing_libraries_select_packages() -> None:
    lacking = {"missing_libraries": ["cryptography", "yaml"]}
    host_plan = made(lacking)
    assert (host_plan["packages"], host_plan["package_manager"]) == (
        ["python3-cryptography", "python3-yaml"],
        "apt",
    )
    assert made({**lacking, "os_families": ["rocky", "rhel"]})["packages"] == [
        "python3-cryptography",
        "python3-pyyaml",
    ]
    assert made(lacking, manage_packages=False)["packages"] == []
    [fault] = made({**lacking, "os_families": ["plan9"]})["errors"]
    assert fault.startswith(
        "kube_scheduler_manage_packages: the role cannot install cryptography and yaml on this unknown system (plan9); install"
    )
    assert made({"os_families": []})["errors"] == []


def test_certificate_uses_profile_or_validity() -> None:
    plain = made(cert_valid_for="100h")["certificate"]
    assert plain["valid_for"] == "100h"
    assert "ca_config" not in plain
    by_profile = made(ca_config="/c.json", ca_profile="kubernetes", cert_valid_for="100h")[
        "certificate"
    ]
    assert (by_profile["ca_config"], by_profile["profile"]) == ("/c.json", "kubernetes")
    assert "valid_for" not in by_profile
    assert "profile" not in made(ca_config="/c.json")["certificate"]
    assert plain["subject_alt_name"] == SANS


def test_election_times_without_configuration_are_flags() -> None:
    assert "leader-elect-lease-duration" not in made(version="1.10.4")["unit"]["exec_start"]
    host_plan = made(version="1.10.4", lease_preset="fast")
    for flag in ("lease-duration=5s", "renew-deadline=3s", "retry-period=1s"):
        assert f'"--leader-elect-{flag}"' in host_plan["unit"]["exec_start"]
    assert host_plan["unit"]["timeout_stop"] == 13
    assert host_plan["failover"] == {"crash": 9.4, "stop": 9.4}
    assert made(lease_preset="fast")["failover"] == {"crash": 9.4, "stop": 2.2}
    assert made()["timeouts"] == {
        "start": 60.0,
        "change": 15.0,
        "handover": 33.8,
        "steady": 12,
        "reload": 315.0,
    }
    slow = made(lease_duration="100s", renew_deadline="70s", retry_period="30s")
    assert slow["timeouts"] == {
        "start": 262.0,
        "change": 76.0,
        "handover": 242.0,
        "steady": 12,
        "reload": 315.0,
    }


def test_rejected_settings_are_errors() -> None:
    host_plan = made(extra_args={"address": "0.0.0.0"})
    assert host_plan["errors"][0].startswith(
        "kube_scheduler_extra_args: address: kube-scheduler 1.37.2 has no flag --address"
    )
    assert host_plan["unit"]["exec_start"] == ""


def test_handover_bound_depends_on_running_version() -> None:
    process = {
        "version": "1.20.2",
        "timings": {"lease_duration": 15.0, "renew_deadline": 10.0, "retry_period": 2.0},
    }
    host_plan = made({"process": process})
    assert (host_plan["handover"], host_plan["failover"]["stop"]) == (23.8, 4.4)
    assert made({"process": {**process, "version": "1.37.2"}})["handover"] == 4.4


def test_steady_period_spans_two_restarts() -> None:
    assert made()["unit"]["restart"] * 2 < made()["timeouts"]["steady"]


def test_kept_lease_makes_a_stop_a_crash() -> None:
    timings = ElectionTimings(15, 10, 2)
    assert plan.compute_failover_bounds(timings, TABLES.versions, ["1.37.2", "1.20.2"]) == {
        "crash": 23.8,
        "stop": 23.8,
    }
    assert plan.compute_failover_bounds(timings, TABLES.versions, ["1.37.2", "", "9.9.9"]) == {
        "crash": 23.8,
        "stop": 4.4,
    }


@pytest.mark.parametrize("minor", TABLES.versions)
def test_serving_ranges_equal_rows_of_the_table(minor: str) -> None:
    """Each range that a host receives equals the row of each minor version in the range."""
    row = TABLES.versions[minor]
    entry = versions.find_serving(versions.serving_ranges(TABLES.versions), f"{minor}.9")
    assert entry is not None
    assert (entry["https"], entry["http"], entry["lock"]) == (
        row["https"],
        row["http"],
        row["locks"][0],
    )
    assert {"path": entry["ready_path"], "port": entry["ready_port"]} == row["ready"]


def test_serving_ranges_are_few() -> None:
    ranges = versions.serving_ranges(TABLES.versions)
    assert len(ranges) <= 7
    assert versions.find_serving(ranges, "") is None
    assert versions.find_serving(ranges, "1.9.0") is None
    assert versions.find_serving(ranges, "garbage") is None
    assert versions.find_serving(ranges, "1.99.0") == ranges[-1]


def test_lock_types_have_sources() -> None:
    assert versions.lock_sources("leases") == ("lease",)
    assert set(versions.lock_sources("endpointsleases")) == {"lease", "endpoints"}
    assert versions.lock_sources("nonsense") == ()
    assert set(versions.lock_source_groups("endpointsleases")) == {("lease",), ("endpoints",)}
    assert versions.lock_source_groups("nonsense") == (tuple(lease.RECORD_SOURCES),)


def test_fileset_paths_include_every_file() -> None:
    paths, host_plan = plan.list_fileset_paths(settings()), made()
    assert {file["path"] for file in host_plan["files"]} <= {*paths}
    assert {f"{STAGED}/{file['name']}" for file in host_plan["files"]} <= {*paths}
    batch = plan.list_fileset_paths(settings(name="batch"))
    assert {file["path"] for file in made(name="batch")["files"]} <= {*batch}
    assert not {*batch} & {*paths}


def test_timeouts_cover_the_previous_election_times() -> None:
    """The new members wait for a lease with the previous election times.

    If a version does not release its lease, the bound of each stop is the bound of a crash.
    """
    former = {"lease_duration": 60.0, "renew_deadline": 40.0, "retry_period": 5.0}
    process = {"version": "1.37.2", "pid": 7, "timings": former}
    assert made({"process": process})["timeouts"] == {
        "start": 112.0,
        "change": 21.0,
        "handover": 92.0,
        "steady": 12,
        "reload": 315.0,
    }
    assert made({"process": {**process, "version": "1.20.2"}})["timeouts"] == {
        "start": 112.0,
        "change": 92.0,
        "handover": 92.0,
        "steady": 12,
        "reload": 315.0,
    }
    # The leader can have other election times than this host.
    own = {
        "version": "1.37.2",
        "pid": 7,
        "timings": {"lease_duration": 15.0, "renew_deadline": 10.0, "retry_period": 2.0},
    }
    assert made({"process": own, "lease": {"lease_duration": 60}})["timeouts"]["start"] == 98.8
    # The plan limits the times that a host reports.
    never = {
        "process": {**process, "timings": dict.fromkeys(former, 1e12)},
        "lease": {"lease_duration": 2**31 - 1},
    }
    assert made(never)["timeouts"] == {
        "start": plan.MAX_HEALTH_TIMEOUT_S,
        "change": plan.MAX_HEALTH_TIMEOUT_S,
        "handover": plan.MAX_HEALTH_TIMEOUT_S,
        "steady": 12,
        "reload": 315.0,
    }


def test_external_ca_needs_no_ca_key() -> None:
    """A plan with an external CA needs no CA key.

    The paths of the request and the certificate contain the inventory name.
    """
    host_plan = made(pki="external", csr_dir="/csr")["certificate"]
    assert (host_plan["ca_on"], host_plan["csr_path"], host_plan["certificate_source"]) == (
        "external",
        "/csr/m1.csr",
        "/csr/m1.pem",
    )
    assert "ca_privatekey_path" not in host_plan
    assert made()["certificate"]["ca_on"] == "controller"


SECRET_CONFIG: dict[str, Any] = {"extenders": [{"tlsConfig": {"keyData": "marker"}}]}


def config_file(host_plan: plan.HostPlan) -> dict[str, Any]:
    return next(file for file in host_plan["files"] if file["name"] == "config")


def test_configuration_with_a_secret_is_passed_like_the_key() -> None:
    host_plan = made(config=SECRET_CONFIG)
    assert host_plan["errors"] == []
    path = "/etc/kubernetes/kube-scheduler.yaml"
    assert config_file(host_plan) == {
        "name": "config",
        "path": path,
        "group": "root",
        "mode": "0600",
    }
    assert host_plan["unit"]["credentials"]["config"] == path
    assert "--config=/run/credentials/kube-scheduler.service/config" in host_plan["command"]


@pytest.mark.parametrize(
    ("facts", "style"), [({"systemd_version": 246}, "embedded"), ({}, "files")]
)
def test_configuration_with_a_secret_is_readable_by_the_group(
    facts: dict[str, Any], style: str
) -> None:
    host_plan = made(facts, config=SECRET_CONFIG, kubeconfig_style=style, user="scheduler")
    path = "/etc/kubernetes/kube-scheduler.yaml"
    assert config_file(host_plan) == {
        "name": "config",
        "path": path,
        "group": "scheduler",
        "mode": "0640",
    }
    assert host_plan["unit"]["credentials"] == {}
    assert f"--config={path}" in host_plan["command"]


def test_configuration_without_a_secret_is_a_plain_file() -> None:
    host_plan = made(config={"extenders": [{"tlsConfig": {"keyFile": "/x", "keyData": ""}}]})
    assert config_file(host_plan) == {
        "name": "config",
        "path": "/etc/kubernetes/kube-scheduler.yaml",
    }
    assert "config" not in host_plan["unit"]["credentials"]


def test_shown_plan_has_no_secret() -> None:
    host_plan = made(config=SECRET_CONFIG)
    assert "marker" in host_plan["config"]
    shown = plan.withhold_plan(host_plan)
    assert "marker" not in str(shown)
    assert 'keyData: "(withheld)"' in shown["config"]
    assert shown["settings"]["config"]["leaderElection"]["leaseDuration"] == "15s"
    assert plan.withhold_plan(made()) == made()

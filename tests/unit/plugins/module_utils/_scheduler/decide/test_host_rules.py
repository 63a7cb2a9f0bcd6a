"""Test the validation of the facts of a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.host_rules import (
    validate_host,
    validate_instances,
    warn_about_apiservers,
    warn_about_host,
)

from tests.unit.plugins.module_utils._scheduler.decide.test_variable_rules import (
    ADDRESSES,
    HTTP,
    PREFIX,
    SHA256,
    SHA512,
    settings,
)


def test_kept_version_requires_its_checksum() -> None:
    assert (
        host_errors("1.36.1", given={"binary_url": HTTP, "version": "", "binary_checksum": SHA256})
        == []
    )
    [line] = host_errors(
        "1.36.1", given={"binary_url": HTTP, "version": "", "binary_checksum": {"1.37.2": SHA256}}
    )
    assert line.startswith("kube_scheduler_binary_checksum: has no checksum for 1.36.1; add one")


HOST: dict[str, Any] = {
    "hostname": "m1.example",
    "architecture": "amd64",
    "systemd_version": 252,
    "apiserver": {"reachable": True, "version": "v1.37.2", "error": None},
    "apiservers": [],
    "clock_offset": 0.0,
    "port": {"number": 10259, "held_by": "", "ours": False},
    "others": [],
    "instances": [],
    "installed": False,
    "unit": {
        "name": "kube-scheduler.service",
        "load_state": "not-found",
        "drop_ins": [],
        "drop_in_settings": [],
        "static_pod": "",
    },
    "python_path": "/usr/bin/python3",
    "python_packaged": True,
    "missing_libraries": [],
    "obstacles": [],
    "process": {"version": ""},
}


def host_errors(
    version: str = "1.37.2",
    twins: tuple[str, ...] = (),
    given: dict[str, Any] | None = None,
    **facts: Any,
) -> list[str]:
    return validate_host(
        settings(**(given or {})), "m1", version, {**HOST, **facts}, twins=twins, prefix=PREFIX
    )


def test_valid_host_has_no_errors() -> None:
    assert host_errors() == []
    assert host_errors(apiserver=None) == []
    assert host_errors(apiserver={"reachable": True, "version": None, "error": None}) == []
    assert host_errors(missing_libraries=["yaml"]) == []
    # If the variables set the version, the validation of the variables covers the checksum.
    assert host_errors(given={"binary_checksum": {"1.36.1": SHA512}}) == []
    assert (
        host_errors(port={"number": 10259, "held_by": "kube-scheduler (pid 1)", "ours": True}) == []
    )


def test_downgrade_is_rejected() -> None:
    newer: dict[str, Any] = {"process": {"version": "1.37.10"}}
    line = (
        "kube_scheduler_version: 1.37.2 is older than 1.37.10, which runs on m1; roll back with rollback.yml, or set kube_scheduler_allow_downgrade"
        " to true"
    )
    assert host_errors(**newer) == [line]
    assert host_errors(given={"allow_downgrade": True}, **newer) == []
    assert host_errors(process={"version": "1.36.9"}) == []


def test_version_skew_is_limited() -> None:
    """A version outside of the skew policy is rejected, unless the version already runs."""
    theirs: dict[str, Any] = {"apiserver": {"reachable": True, "version": "v1.37.2", "error": None}}
    line = (
        "kube_scheduler_version: 1.35.4 is more than one minor version older than the apiserver of m1, v1.37.2; set a version of 1.37, or of the minor version"
        " before it"
    )
    assert host_errors("1.35.4", **theirs) == [line]
    assert host_errors("1.35.4", process={"version": "1.34.0"}, **theirs) == [line]
    assert host_errors("1.35.4", process={"version": "1.35.4"}, **theirs) == []
    assert host_errors("1.36.1", **theirs) == []


def test_version_skew_is_limited_for_each_apiserver() -> None:
    """The version skew is checked for each apiserver.

    An unreachable apiserver causes no error.
    """
    away = {
        "server": "https://192.0.2.9:6443",
        "reachable": False,
        "version": None,
        "error": "connection refused",
    }
    old, new = (
        {
            "server": f"https://192.0.2.{n}:6443",
            "reachable": True,
            "version": version,
            "error": None,
        }
        for n, version in ((7, "v1.36.9"), (8, "v1.38.0"))
    )
    assert host_errors(apiservers=[away, new]) == []
    assert host_errors(apiservers=[new, old]) == [
        "kube_scheduler_version: 1.37.2 is newer than the apiserver https://192.0.2.7:6443, v1.36.9; upgrade the apiserver first"
    ]
    [line] = host_errors("1.36.1", apiservers=[new])
    assert line == (
        "kube_scheduler_version: 1.36.1 is more than one minor version older than the apiserver https://192.0.2.8:6443, v1.38.0; set a version of 1.38, or of"
        " the minor version before it"
    )


def apiserver_warnings(
    url: str = "https://lb.example:6443", runs: str = "", me: str = "m1", **given: Any
) -> list[str]:
    requested = {"server": url, "reachable": True, "version": "v1.37.2", "error": None}
    own = {**HOST, "apiserver": requested, "process": {"version": runs}, **given.pop("facts", {})}
    answers = {
        "m1": own,
        "m2": {"apiserver": {**requested, "server": given.pop("other", url)}},
        "m3": own,
    }
    if me == "alone":
        answers, me = {"m1": own}, "m1"
    v = settings(apiserver=url, **given)
    return warn_about_apiservers(
        v, me, "1.37.2", answers, addresses=ADDRESSES.values(), prefix=PREFIX
    )


def test_unlisted_apiservers_cause_a_warning() -> None:
    """The warning appears only if the version changes and all members use one external URL."""
    [line] = apiserver_warnings()
    assert line == (
        "kube_scheduler_apiserver: all members use https://lb.example:6443, and only one apiserver behind it was queried; list each apiserver in"
        " kube_scheduler_apiservers to compare 1.37.2 with all of them"
    )
    assert apiserver_warnings("https://192.0.2.9:6443", runs="1.36.1")
    known: tuple[dict[str, Any], ...] = (
        {"runs": "1.37.2"},
        {"me": "m3"},
        {"me": "alone"},
        {"other": "https://m2.example:6443"},
        {"apiservers": ["https://192.0.2.1:6443"]},
        *(
            {"url": url}
            for url in (
                "https://192.0.2.2:6443",
                "https://127.0.0.1:6443",
                "https://[::1]:6443",
                "https://localhost",
            )
        ),
    )
    for quiet in known:
        assert apiserver_warnings(**quiet) == [], quiet


def test_unreachable_apiserver_causes_a_warning() -> None:
    away = {
        "server": "https://192.0.2.9:6443",
        "reachable": False,
        "version": None,
        "error": "https://192.0.2.9: timed out",
    }
    given: dict[str, Any] = {
        "facts": {"apiservers": [away]},
        "apiservers": ["https://192.0.2.9:6443"],
        "me": "m3",
    }
    assert apiserver_warnings(**given) == [
        "kube_scheduler_apiservers: an apiserver is not reachable from m3: https://192.0.2.9: timed out; check manually that it is not older than 1.37.2"
    ]
    assert apiserver_warnings(**given, runs="1.37.2") == []
    there = {**away, "reachable": True, "version": "v1.37.2", "error": None}
    assert apiserver_warnings(**{**given, "facts": {"apiservers": [there]}}) == []


def test_apiserver_certificate_for_another_name_is_rejected() -> None:
    error = f"https://192.0.2.1:6443: {transport.ERROR_MESSAGES['tls_name']} (IP address mismatch)"
    facts: dict[str, Any] = {"apiserver": {"reachable": False, "version": None, "error": error}}
    for given, requested in (({}, "192.0.2.1"), ({"tls_server_name": "lb.example"}, "lb.example")):
        [line] = host_errors(given=given, **facts)
        assert line == (
            f"kube_scheduler_apiserver: the certificate of https://192.0.2.1:6443 is not valid for {requested}, which m1 verifies; reissue it for that name,"
            " or set kube_scheduler_tls_server_name to a name in the certificate"
        )


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            {"architecture": "riscv64"},
            "m1: kube-scheduler is not released for architecture riscv64",
        ),
        ({"systemd_version": 0}, "m1: systemd is not running, but the scheduler needs it"),
        (
            {
                "apiserver": {
                    "reachable": False,
                    "version": None,
                    "error": "https://127.0.0.1:1: connection refused",
                }
            },
            "kube_scheduler_apiserver: not reachable from m1: https://127.0.0.1:1: connection refused",
        ),
        (
            {"apiserver": {"reachable": True, "version": "v1.36.9", "error": None}},
            "kube_scheduler_version: 1.37.2 is newer than the apiserver of m1, v1.36.9; upgrade the apiserver first",
        ),
        (
            {"clock_offset": -301.0},
            "m1: clock differs from the controller's clock by -301.0 s, so new certificates would be invalid on this host",
        ),
        (
            {"port": {"number": 10259, "held_by": "python3 (pid 7, x.service)", "ours": False}},
            "kube_scheduler_secure_port: 10259 on m1 is in use by python3 (pid 7, x.service)",
        ),
        (
            {"others": ["static pod /x.yaml"]},
            "m1: found another kube-scheduler: static pod /x.yaml; stop and disable it first",
        ),
        (
            {
                "unit": {
                    "name": "kube-scheduler.service",
                    "load_state": "masked",
                    "drop_ins": [],
                    "drop_in_settings": [],
                    "static_pod": "",
                }
            },
            "m1: kube-scheduler.service is masked; run systemctl unmask",
        ),
        (
            {"obstacles": ["/etc/kubernetes/kube-scheduler.yaml"]},
            "m1: /etc/kubernetes/kube-scheduler.yaml is a directory, but the role writes a file there; move the directory away",
        ),
    ],
)
def test_invalid_host_is_rejected(facts: dict[str, Any], expected: str) -> None:
    [line] = host_errors(**facts)
    assert expected in line


def test_foreign_unit_with_instance_name_is_rejected() -> None:
    unit = {
        "name": "kubelet.service",
        "load_state": "loaded",
        "drop_ins": [],
        "drop_in_settings": [],
        "static_pod": "",
    }
    [line] = host_errors(given={"name": "kubelet"}, unit=unit)
    assert line.startswith(
        "kube_scheduler_name: m1 has a kubelet.service that this role did not create; set another name"
    )
    assert host_errors(given={"name": "kubelet"}, unit=unit, installed=True) == []
    assert host_errors(unit={**unit, "name": "kube-scheduler.service"}) == []


BATCH: dict[str, Any] = {
    "unit": "batch.service",
    "ports": [10260],
    "lease": "kube-system/batch",
    "schedulers": ["batch"],
    "paths": ["/etc/kubernetes/batch.kubeconfig"],
}


OWN: dict[str, Any] = {
    "unit": "kube-scheduler.service",
    "ports": [10259, 10251],
    "lease": "kube-system/kube-scheduler",
    "schedulers": ["default-scheduler"],
    "paths": ["/etc/kubernetes/kube-scheduler.kubeconfig", "/opt/k8s/bin/kube-scheduler"],
}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (
            {"ports": [10259]},
            "kube_scheduler_secure_port: 10259 is also used by batch.service on m1; set a different port for each instance",
        ),
        (
            {"ports": [10251]},
            "kube_scheduler_config: healthzBindAddress: 10251 is also used by batch.service on m1; set a different port for each instance",
        ),
        (
            {"lease": "kube-system/kube-scheduler"},
            "kube_scheduler_config: leaderElection: the lock kube-system/kube-scheduler is also used by batch.service on m1, so only one of the two",
        ),
        (
            {"schedulers": ["batch", "default-scheduler"]},
            "kube_scheduler_config: the schedulerName default-scheduler is also used by batch.service on m1, so both would schedule the same pods;",
        ),
        (
            {"paths": ["/etc/kubernetes/kube-scheduler.kubeconfig"]},
            (
                "kube_scheduler_kubeconfig_path: /etc/kubernetes/kube-scheduler.kubeconfig is also used by "
                "batch.service on m1; set a different path for each instance"
            ),
        ),
        (
            {"paths": ["/opt/k8s/bin/kube-scheduler"]},
            "kube_scheduler_bin_dir: /opt/k8s/bin/kube-scheduler is also used by batch.service on m1; set a different path for each instance",
        ),
    ],
)
def test_shared_resource_of_instances_is_rejected(theirs: dict[str, Any], expected: str) -> None:
    def lines(other: dict[str, Any]) -> list[str]:
        return validate_instances(settings(), "m1", OWN, [other], PREFIX)  # type: ignore[arg-type,list-item]

    assert lines(BATCH) == []
    [line] = lines({**BATCH, **theirs})
    assert line.startswith(expected)


def test_port_of_another_instance_is_reported_once() -> None:
    port = {"number": 10260, "held_by": "batch (pid 7, batch.service)", "ours": False}
    assert host_errors(port=port, instances=[BATCH]) == []
    assert len(host_errors(port=port)) == 1


def test_missing_version_twin_or_libraries_are_rejected() -> None:
    assert (
        "kube_scheduler_version: not set, and no scheduler runs on m1" in host_errors(version="")[0]
    )
    assert (
        "m1 and m2 have the same hostname m1.example, but the lease identifies a member by its hostname"
        in host_errors(twins=("m2",))[0]
    )
    [first, second] = host_errors(
        given={"manage_packages": "false"}, missing_libraries=["cryptography", "yaml", "other"]
    )
    assert first == (
        "m1: the Python library cryptography, 3.3 or newer, is missing for /usr/bin/python3;"
        " install the package python3-cryptography, or set kube_scheduler_manage_packages to true"
    )
    assert second.startswith("m1: the Python library PyYAML is missing for /usr/bin/python3; ")


def test_library_that_no_package_adds_to_a_python_is_rejected() -> None:
    """A package adds no library to the Python of a virtual environment."""
    facts: dict[str, Any] = {"missing_libraries": ["cryptography"], "python_packaged": False}
    [line] = host_errors(**facts, python_path="/opt/venv/bin/python3.11")
    assert line == (
        "m1: the Python library cryptography, 3.3 or newer, is missing for"
        " /opt/venv/bin/python3.11; run /opt/venv/bin/python3.11 -m pip install"
        " 'cryptography>=3.3', or set ansible_python_interpreter to the Python of the distribution"
    )
    [line] = host_errors(**facts, python_path="/x; rm -rf /")
    assert "; run python3 -m pip install 'cryptography>=3.3', or set" in line


def test_small_clock_offset_is_a_warning() -> None:
    assert warn_about_host("m1", {**HOST, "clock_offset": 31.0}) == [
        "m1: clock differs from the controller's clock by 31.0 s; synchronize both clocks"
    ]
    assert warn_about_host("m1", {**HOST, "clock_offset": 29.0}) == []

"""Test the evaluation of the facts of a host."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import health
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import CHECK_NAMES

CERTIFICATE = {
    "subject": "CN=system:kube-scheduler",
    "serial_number": "2A",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2027-01-01T00:00:00Z",
    "days_left": 30,
    "valid": True,
    "fingerprint_sha256": "AA",
}
EXPIRED = {**CERTIFICATE, "days_left": -1, "valid": False}
HEALTHY: Any = {
    "unit": {
        "name": "kube-scheduler.service",
        "load_state": "loaded",
        "active_state": "active",
        "sub_state": "running",
        "enabled": "enabled",
        "result": "success",
        "restarts": 0,
        "active_seconds": 4.5,
        "static_pod": "",
    },
    "process": {"pid": 7, "digest": "0" * 32},
    "port": {
        "number": 10259,
        "held_by": "kube-scheduler (pid 7, kube-scheduler.service)",
        "ours": True,
    },
    "others": [],
    "probes": {
        "served": CERTIFICATE,
        "used": CERTIFICATE,
        "used_loaded": None,
        "ready": 200,
        "metrics_anonymous": 403,
        "metrics_reader": 200,
        "metrics_http": None,
    },
    "lease": {"state": "held", "moving": True, "elapsed": 0.3},
    "certificates": [
        {"path": "/k.kubeconfig", "use": "client", "fingerprint_sha256": "AA"},
        {"path": "/c.pem", "use": "pair", "fingerprint_sha256": "AA"},
    ],
}


def problems_with(**changes: Any) -> list[str]:
    observed: Any = {**HEALTHY, **changes}
    return health.evaluate_health(observed)


def test_healthy_host_has_no_problems() -> None:
    assert health.evaluate_health(HEALTHY) == []
    assert problems_with(probes={**HEALTHY["probes"], "metrics_reader": None}) == []
    assert problems_with(lease=None) == []


def test_foreign_scheduler_is_evaluated_by_its_apiserver_certificate_and_lease() -> None:
    """A scheduler of another installer can serve a self-signed certificate and deny metrics."""
    observed = copy.deepcopy(HEALTHY)
    observed["probes"] |= {
        "served": EXPIRED,
        "ready": None,
        "metrics_anonymous": 200,
        "metrics_reader": 403,
    }
    errors = [
        f"{CHECK_NAMES[name]}: refused"
        for name in ("served", "ready", "metrics_reader", "used", "lease")
    ]
    assert len(health.evaluate_health(observed, errors)) == 8
    observed["process"]["digest"] = ""
    assert health.evaluate_health(observed, errors) == errors[3:]
    observed["probes"]["used"] = EXPIRED
    observed["lease"]["moving"] = False
    assert len(health.evaluate_health(observed)) == 2


def test_restarted_process_is_a_problem_only_if_it_must_be_steady() -> None:
    """After a roll, systemd must not restart the process. At other times, restarts are ignored."""
    restarted = copy.deepcopy(HEALTHY)
    restarted["unit"]["restarts"] = 2
    assert health.evaluate_health(restarted) == []
    assert health.evaluate_health(restarted, steady=4.5) == [
        "systemd restarted kube-scheduler.service after it exited (restarts: 2)"
    ]
    assert health.evaluate_health(HEALTHY, steady=4.5) == []
    assert health.evaluate_health(HEALTHY, steady=10.0) == [
        "kube-scheduler.service has been active for 4.5 s, expected 10 s"
    ]


def test_replaced_pair_is_a_problem_until_the_process_has_loaded_it() -> None:
    """After a key pair is replaced, the process must serve it, and its log must show the reload."""
    assert health.evaluate_health(HEALTHY, reloaded=True) == []
    replaced = copy.deepcopy(HEALTHY)
    replaced["certificates"][1]["fingerprint_sha256"] = "BB"
    replaced["probes"]["used_loaded"] = False
    assert health.evaluate_health(replaced) == []
    assert health.evaluate_health(replaced, reloaded=True) == [
        "the served certificate differs from the live certificate in /c.pem",
        "the certificate used at the apiserver can be older than the live certificate; the log shows no reload",
    ]
    replaced["probes"]["used_loaded"] = True
    assert len(health.evaluate_health(replaced, reloaded=True)) == 1


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("unit.load_state", "not-found", "kube-scheduler.service is not installed"),
        ("unit.load_state", "masked", "kube-scheduler.service is masked, so it cannot start"),
        (
            "unit.active_state",
            "activating",
            "kube-scheduler.service is activating (running, result success)",
        ),
        (
            "unit.enabled",
            "disabled",
            "kube-scheduler.service is not enabled, so it does not start after a reboot",
        ),
        (
            "port.ours",
            False,
            "port 10259 is in use by kube-scheduler (pid 7, kube-scheduler.service)",
        ),
        ("others", ["static pod x"], "another kube-scheduler runs on this host: static pod x"),
        (
            "probes.served",
            EXPIRED,
            "the served certificate (CN=system:kube-scheduler, serial 2A) expired on 2027-01-01T00:00:00Z",
        ),
        (
            "probes.used",
            EXPIRED,
            "the certificate used at the apiserver (CN=system:kube-scheduler, serial 2A) expired on 2027-01-01T00:00:00Z",
        ),
        (
            "probes.used",
            {**CERTIFICATE, "valid": False},
            "the certificate used at the apiserver (CN=system:kube-scheduler, serial 2A) is not valid before 2026-01-01T00:00:00Z",
        ),
        ("probes.ready", 500, "readiness: HTTP 500, expected 200"),
        (
            "probes.metrics_anonymous",
            200,
            "metrics for an anonymous client: HTTP 200, expected 401 or 403",
        ),
        ("probes.metrics_reader", 403, "metrics for an authorized client: HTTP 403, expected 200"),
        (
            "lease",
            {"state": "expired", "moving": False, "elapsed": 6.004},
            "the lease, read with the scheduler's credentials: the lease is expired, and was not renewed within 6 s",
        ),
    ],
)
def test_each_problem_is_one_line(path: str, value: Any, problem: str) -> None:
    observed = copy.deepcopy(HEALTHY)
    *parents, name = path.split(".")
    place = observed
    for parent in parents:
        place = place[parent]
    place[name] = value
    assert health.evaluate_health(observed) == [problem]


def test_errors_of_the_probes_are_problems() -> None:
    assert health.evaluate_health(HEALTHY, ["something"]) == ["something"]


def test_stopped_process_is_the_only_problem() -> None:
    observed = copy.deepcopy(HEALTHY)
    observed["process"]["pid"] = 0
    observed["unit"]["active_state"] = "failed"
    observed["probes"] = dict.fromkeys(HEALTHY["probes"])
    assert health.evaluate_health(observed, ["something"]) == [
        "kube-scheduler.service is failed (running, result success)"
    ]

"""What is wrong with a host, from facts."""

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


def judged(**changes: Any) -> list[str]:
    seen: Any = {**HEALTHY, **changes}
    return health.evaluate_health(seen)


def test_healthy() -> None:
    assert health.evaluate_health(HEALTHY) == []
    assert judged(probes={**HEALTHY["probes"], "metrics_reader": None}) == []
    assert judged(lease=None) == []


def test_somebody_else_s_is_judged_by_the_work_that_it_does() -> None:
    """The walk-through's serves a certificate of its own making, and answers no reader."""
    seen = copy.deepcopy(HEALTHY)
    seen["probes"] |= {
        "served": EXPIRED,
        "ready": None,
        "metrics_anonymous": 200,
        "metrics_reader": 403,
    }
    faults = [
        f"{CHECK_NAMES[name]}: refused"
        for name in ("served", "ready", "metrics_reader", "used", "lease")
    ]
    assert len(health.evaluate_health(seen, faults)) == 8
    seen["process"]["digest"] = ""
    assert health.evaluate_health(seen, faults) == faults[3:]
    seen["probes"]["used"] = EXPIRED
    seen["lease"]["moving"] = False
    assert len(health.evaluate_health(seen)) == 2


def test_steady() -> None:
    """After a roll, the process has to run on; otherwise, that it was restarted once is no fault for all time."""
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


def test_reloaded() -> None:
    """After a pair was replaced, it has to be served, and the log must not lack that it was taken."""
    assert health.evaluate_health(HEALTHY, reloaded=True) == []
    replaced = copy.deepcopy(HEALTHY)
    replaced["certificates"][1]["fingerprint_sha256"] = "BB"
    replaced["probes"]["used_loaded"] = False
    assert health.evaluate_health(replaced) == []
    assert health.evaluate_health(replaced, reloaded=True) == [
        "the served certificate is not the one in /c.pem",
        "the certificate used at the apiserver can be the previous one; its log shows no reload",
    ]
    replaced["probes"]["used_loaded"] = True
    assert len(health.evaluate_health(replaced, reloaded=True)) == 1


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("unit.load_state", "not-found", "kube-scheduler.service is not installed"),
        ("unit.load_state", "masked", "kube-scheduler.service is masked, so that it cannot start"),
        (
            "unit.active_state",
            "activating",
            "kube-scheduler.service is activating (running, result success)",
        ),
        (
            "unit.enabled",
            "disabled",
            "kube-scheduler.service is not enabled, so that it would not start after a reboot",
        ),
        (
            "port.ours",
            False,
            "port 10259 is held by kube-scheduler (pid 7, kube-scheduler.service)",
        ),
        ("others", ["static pod x"], "another kube-scheduler runs here: static pod x"),
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
            "the lease, read with the scheduler's credentials: it is expired, not renewed within 6 s",
        ),
    ],
)
def test_one_problem_is_one_sentence(path: str, value: Any, problem: str) -> None:
    seen = copy.deepcopy(HEALTHY)
    *folders, name = path.split(".")
    place = seen
    for folder in folders:
        place = place[folder]
    place[name] = value
    assert health.evaluate_health(seen) == [problem]


def test_faults_of_the_probes_are_problems() -> None:
    assert health.evaluate_health(HEALTHY, ["something"]) == ["something"]


def test_of_a_dead_process_nothing_further_is_said() -> None:
    seen = copy.deepcopy(HEALTHY)
    seen["process"]["pid"] = 0
    seen["unit"]["active_state"] = "failed"
    seen["probes"] = dict.fromkeys(HEALTHY["probes"])
    assert health.evaluate_health(seen, ["something"]) == [
        "kube-scheduler.service is failed (running, result success)"
    ]

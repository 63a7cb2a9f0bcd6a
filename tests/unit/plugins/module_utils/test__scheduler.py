"""What is wrong with a host, from facts; and facts from the kernel's tables."""

from __future__ import annotations

import copy
import socket
import subprocess
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _scheduler, _systemd

CERTIFICATE = {
    "subject": "CN=system:kube-scheduler",
    "serial_number": "2A",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2027-01-01T00:00:00Z",
    "days_left": 30,
    "valid": True,
}
EXPIRED = {**CERTIFICATE, "days_left": -1, "valid": False}
HEALTHY: dict[str, Any] = {
    "unit": {
        "name": "kube-scheduler.service",
        "load_state": "loaded",
        "active_state": "active",
        "sub_state": "running",
        "enabled": "enabled",
        "result": "success",
    },
    "process": {"pid": 7},
    "port": {"number": 10259, "held_by": "kube-scheduler (pid 7, kube-scheduler.service)", "ours": True},
    "others": [],
    "seen": {
        "served": CERTIFICATE,
        "used": CERTIFICATE,
        "ready": 200,
        "metrics_anonymous": 403,
        "metrics_reader": 200,
        "lease": {"state": "held", "moving": True},
    },
    "faults": [],
}


def test_healthy() -> None:
    assert _scheduler.judge(HEALTHY) == []
    unread = {**HEALTHY, "seen": {**HEALTHY["seen"], "metrics_reader": None}}
    assert _scheduler.judge(unread) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("unit.load_state", "not-found", "kube-scheduler.service is not installed"),
        ("unit.active_state", "activating", "kube-scheduler.service is activating (running, result success)"),
        ("unit.enabled", "disabled", "kube-scheduler.service is not enabled, so it would not come back after a reboot"),
        ("port.ours", False, "port 10259 is held by kube-scheduler (pid 7, kube-scheduler.service)"),
        ("others", ["static pod x"], "another kube-scheduler runs here: static pod x"),
        (
            "seen.served",
            EXPIRED,
            "the certificate that it serves (CN=system:kube-scheduler, serial 2A) expired on 2027-01-01T00:00:00Z",
        ),
        (
            "seen.used",
            EXPIRED,
            "the certificate that it uses at the apiserver (CN=system:kube-scheduler, serial 2A) expired on 2027-01-01T00:00:00Z",
        ),
        (
            "seen.used",
            {**CERTIFICATE, "valid": False},
            "the certificate that it uses at the apiserver (CN=system:kube-scheduler, serial 2A) is not valid before 2026-01-01T00:00:00Z",
        ),
        ("seen.ready", 500, "readiness: HTTP 500, wanted 200"),
        ("seen.metrics_anonymous", 200, "metrics for an anonymous reader: HTTP 200, wanted 401 or 403"),
        (
            "seen.metrics_reader",
            403,
            "metrics for an authorised reader: HTTP 403, wanted 200",
        ),
        (
            "seen.lease",
            {"state": "expired", "moving": False},
            "the lease, with the scheduler's own credentials: it is expired, and was not renewed within 6 s",
        ),
        ("faults", ["something"], "something"),
    ],
)
def test_one_problem_is_one_sentence(path: str, value: Any, problem: str) -> None:
    facts = copy.deepcopy(HEALTHY)
    *folders, name = path.split(".")
    place = facts
    for folder in folders:
        place = place[folder]
    place[name] = value
    assert _scheduler.judge(facts) == [problem]


def test_a_dead_process_is_not_asked_further() -> None:
    facts = copy.deepcopy(HEALTHY)
    facts["process"]["pid"] = 0
    facts["unit"]["active_state"] = "failed"
    facts["seen"] = dict.fromkeys(HEALTHY["seen"])
    assert _scheduler.judge(facts) == ["kube-scheduler.service is failed (running, result success)"]


def test_listeners() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:2813 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 4711 1\n"
        "   1: 0100007F:2813 0100007F:A000 01 00000000:00000000 00:00000000 00000000   999        0 4712 1\n"
    )
    assert _scheduler.parse_listeners(table) == [_scheduler.Listener("127.0.0.1", 10259, "4711")]
    table6 = "header\n   0: 00000000000000000000000001000000:2813 0:0 0A 0:0 00:0 0   999        0 4713 1\n"
    assert _scheduler.parse_listeners(table6) == [_scheduler.Listener("::1", 10259, "4713")]


def test_a_port_of_our_own_is_found() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        number = sock.getsockname()[1]
        pid = int(subprocess.run(["sh", "-c", "echo $PPID"], capture_output=True, text=True, check=True).stdout)
        mine = _scheduler._port(number, pid)
        assert (mine["addresses"], mine["ours"]) == (["127.0.0.1"], True)
        other = _scheduler._port(number, 0)
        assert other["ours"] is False
        assert f"(pid {pid}," in other["held_by"]
    free = _scheduler._port(number, pid)
    assert (free["addresses"], free["held_by"], free["ours"]) == ([], "", False)


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ('ID=ubuntu\nID_LIKE="debian"\n', ["ubuntu", "debian"]),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', ["rocky", "rhel", "centos", "fedora"]),
        ("ID=debian\n", ["debian"]),
        ("", []),
    ],
)
def test_families(text: str, families: list[str]) -> None:
    assert _scheduler.parse_os_release(text) == families


def test_show() -> None:
    assert _systemd.parse_show("MainPID=7\nEnvironment=A=b\n\n") == {"MainPID": "7", "Environment": "A=b"}


def test_age_is_of_this_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scheduler.time, "time", lambda: 1_800_000_000.0)
    assert _scheduler._age("2027-01-15T07:59:58.123456Z") == 2.0

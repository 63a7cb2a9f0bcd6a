"""What is wrong with a host, from facts; and facts from the kernel's tables."""

from __future__ import annotations

import copy
import dataclasses
import http.server
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
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


ROW = {"https": 0, "http": 10251, "ready": {"path": "/healthz", "port": "http"}, "locks": ["endpoints", "leases"]}
QUESTION = _scheduler.Question(
    unit="kube-scheduler.service",
    bind_address="127.0.0.1",
    secure_port=10259,
    ready_path="/readyz",
    kubeconfig="/nowhere",
    serving_ca=None,
    apiserver=None,
    apiserver_ca=None,
    tls_server_name=None,
    metrics_pair=("certificate", "key"),
    lease=("kube-system", "kube-scheduler"),
    user=None,
    binary=None,
    versions={"1.10": ROW},
)


def test_an_old_version_is_asked_what_it_serves() -> None:
    old = QUESTION.of_process("1.10.4", "")
    assert (old.https, old.http, old.ready_path, old.ready_over) == (False, 10251, "/healthz", "http")
    assert old.sources == (("endpoints",),)
    assert QUESTION.of_process("1.10.4", "endpointsleases").sources == (("lease",), ("endpoints",))
    assert QUESTION.of_process("1.10.4", "of its own").sources == QUESTION.sources
    assert QUESTION.of_process("1.99.0", "") == QUESTION
    # It serves no certificate, and has no other answer for those who are known.
    assert [_scheduler.PROBES[name](old, 1) for name in ("served", "metrics_anonymous", "metrics_reader")] == [None] * 3


def test_plain_http() -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        versions = {"1.10": {**ROW, "http": server.server_port}}
        old = dataclasses.replace(QUESTION, versions=versions).of_process("1.10.4", "")
        assert _scheduler._ready(old, 1) == 200
        assert _scheduler._http(old, os.getpid()) == 404
        assert _scheduler._http(old, 1) is None  # somebody else's port
        server.shutdown()
    with pytest.raises(_scheduler.UnseenError, match="Connection refused"):
        _scheduler._ready(old, 1)


def test_the_lock_that_a_process_was_told(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text('leaderElection:\n  leaderElect: true\n  resourceLock: "endpointsleases"\n')

    def told(*words: str) -> str:
        with subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()  # type: ignore[union-attr]
            try:
                return _scheduler._lock(process.pid)
            finally:
                process.kill()

    assert told(f"--config={config}") == "endpointsleases"
    assert told(f"--config={config}", "--leader-elect-resource-lock=leases") == "leases"
    assert told("--v=2") == ""
    assert _scheduler._lock(0) == ""


def test_a_transient_service_gets_its_arguments_as_they_are() -> None:
    ran: list[list[str]] = []

    def run(words: list[str]) -> tuple[int, str, str]:
        ran.append(words)
        return 0, "", ""

    _systemd.Systemd(run).run_with_credentials("x.service", "k8s", {}, ["/bin/x", "--a=${HOME} %h"])
    assert ran[0][-2:] == ["/bin/x", "--a=$${HOME} %h"]

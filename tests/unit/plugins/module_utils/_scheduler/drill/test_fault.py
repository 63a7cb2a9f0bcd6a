"""Test the fault on its host: the undo timer starts first, and the fault happens once and ends."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesetError,
    SystemdError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import fault
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd

from tests.support.host import FakeProc

UNIT = "kube-scheduler.service"
ARMED = {"ActiveState": "active", "Description": f"Undo the drill of {UNIT}: stop"}


class Host:
    """Provide a host whose run_command returns a result by the first words and records the call."""

    def __init__(self, **params: Any) -> None:
        self.params = {
            "state": "present",
            "kind": "stop",
            "unit": UNIT,
            "apiserver": "https://192.0.2.1:6443",
            "undo_after": 40,
            "journal_seconds": 0,
            "settle": 0.0,
            **params,
        }
        self.check_mode = False
        self.unit = {"ActiveState": "active", "MainPID": "7"}
        self.timer: dict[str, str] = {"ActiveState": "inactive"}
        self.fails: dict[str, tuple[int, str, str]] = {}
        self.did: list[str] = []
        self.journal = ""

    def run_command(self, args: list[str]) -> tuple[int, str, str]:
        assert args[0] == "timeout", "every command has a time limit"
        words = args[4:]
        line = " ".join(words)
        for start, answer in self.fails.items():
            if line.startswith(start):
                return answer
        if line.startswith("systemctl show"):
            shown = self.timer if line.endswith(fault.UNDO_TIMER) else self.unit
            return 0, "".join(f"{key}={value}\n" for key, value in shown.items()), ""
        if words[0] == "journalctl":
            self.did.append(line)
            return 0, self.journal, ""
        self.did.append(line)
        return 0, "", ""


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    proc = FakeProc(tmp_path / "proc")
    proc.place(7, uid=999, cgroup=f"/system.slice/{UNIT}")
    return proc


def run(host: Host, proc: FakeProc) -> fault.FaultResult:
    return fault.Fault(host, systemd.Systemd(host.run_command), proc).run()


def rejected(host: Host, proc: FakeProc) -> str:
    with pytest.raises((fault.FaultError, FilesetError, SystemdError)) as caught:
        run(host, proc)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("stop", f"systemctl stop -- {UNIT}"),
        ("kill", f"systemctl kill --signal=KILL -- {UNIT}"),
        ("freeze", f"systemctl kill --signal=STOP -- {UNIT}"),
        (
            "partition",
            "iptables -w 30 -I OUTPUT -p tcp -d 192.0.2.1 --dport 6443 -m owner --uid-owner 999 -j DROP",
        ),
    ],
)
def test_undo_timer_starts_before_the_fault(
    kind: str, command: str, proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/sbin/{name}")
    host = Host(kind=kind)
    outcome = run(host, proc)
    arm, done = host.did
    assert arm.startswith("systemd-run --quiet --collect --unit=kube-ha-drill-undo")
    assert "--on-active=40s" in arm
    assert done == command
    assert outcome["changed"]
    assert 0 <= outcome["until_end"] < 1
    assert outcome["since_start"] >= 0


def test_check_mode_changes_nothing(proc: FakeProc) -> None:
    for state, timer in (("present", {"ActiveState": "inactive"}), ("absent", ARMED)):
        host = Host(state=state)
        host.check_mode, host.timer = True, timer
        assert run(host, proc)["changed"]
        assert host.did == []


def test_active_fault_is_not_injected_again(proc: FakeProc) -> None:
    host = Host()
    host.timer = ARMED
    assert run(host, proc) == {"changed": False}
    assert host.did == []
    host.params["kind"] = "kill"
    assert rejected(host, proc).startswith(
        f"another fault is active (Undo the drill of {UNIT}: stop); remove it with state: absent"
    )


def test_absent_removes_the_fault_once(proc: FakeProc) -> None:
    host = Host(state="absent")
    assert run(host, proc) == {"changed": False, "journal": []}
    assert host.did == []
    host.timer = ARMED
    assert run(host, proc)["changed"]
    assert host.did == [
        f"systemctl start -- {fault.UNDO_SERVICE}",
        f"systemctl stop -- {fault.UNDO_TIMER}",
    ]


def test_removal_waits_for_a_process_that_lost_its_lease(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(state="absent", settle=60.0)
    host.timer = ARMED
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            host.unit["MainPID"] = "8"

    monkeypatch.setattr("time.sleep", sleep)
    assert run(host, proc)["changed"]
    assert len(slept) == 3


def test_failed_undo_keeps_the_timer_and_fails(proc: FakeProc) -> None:
    host = Host(state="absent")
    host.timer = ARMED
    host.fails["systemctl start"] = (1, "", f"Job for {fault.UNDO_SERVICE} failed.\n")
    assert rejected(host, proc).startswith(
        f"systemctl start failed: Job for {fault.UNDO_SERVICE} failed."
    )
    assert host.did == []


def test_failed_fault_is_removed_immediately(proc: FakeProc) -> None:
    host = Host()
    host.fails["systemctl stop -- kube-scheduler"] = (1, "", "Failed to stop\n")
    assert rejected(host, proc).startswith("systemctl stop failed: Failed to stop")
    assert host.did[1:] == [
        f"systemctl start -- {fault.UNDO_SERVICE}",
        f"systemctl stop -- {fault.UNDO_TIMER}",
    ]


def test_fault_is_not_injected_without_a_timer(proc: FakeProc) -> None:
    host = Host()
    host.fails["systemd-run"] = (1, "", "Failed to start transient timer unit\nmore")
    assert rejected(host, proc) == (
        "systemd-run failed for kube-ha-drill-undo.timer: Failed to start transient timer unit;"
        " run journalctl -u kube-ha-drill-undo.timer"
    )
    assert host.did == []


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"unit": "a b.service"}, "unit: 'a b.service' is not the name of a service"),
        ({"unit": "$(id).service"}, "unit: '$(id).service' is not the name of a service"),
        ({"undo_after": 0}, "undo_after: 0 is out of range; set a value from 1 to 3600 s"),
        ({"kind": "partition", "apiserver": ""}, "apiserver: not set; set the URL"),
        (
            {"kind": "partition", "apiserver": "http://x"},
            "apiserver: the server 'http://x' is not https",
        ),
    ],
)
def test_invalid_options_are_rejected(params: dict[str, Any], line: str, proc: FakeProc) -> None:
    host = Host(**params)
    assert rejected(host, proc).startswith(line)
    assert host.did == []


def test_inactive_unit_is_rejected(proc: FakeProc) -> None:
    host = Host()
    host.unit = {"ActiveState": "inactive", "MainPID": "0"}
    assert rejected(host, proc) == f"{UNIT} is inactive; start it before you inject stop"


def test_partition_without_a_firewall_command_is_rejected(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    host = Host(kind="partition")
    assert rejected(host, proc) == (
        "iptables is missing on this host; install it, or use stop, kill or freeze"
    )
    monkeypatch.setattr("shutil.which", lambda name: name)
    host.fails["iptables"] = (2, "", "iptables: No chain/target/match by that name.\n")
    assert rejected(host, proc) == (
        "iptables rejects the rule for the scheduler's user (iptables: No chain/target/match by that name.);"
        " use stop, kill or freeze"
    )
    assert host.did[-1] == f"systemctl stop -- {fault.UNDO_TIMER}"


def test_partition_that_would_affect_other_processes_is_rejected(proc: FakeProc) -> None:
    proc.place(8, uid=999, comm="etcd", cgroup="/system.slice/etcd.service")
    host = Host(kind="partition")
    assert rejected(host, proc).startswith(
        "etcd (pid 8, etcd.service) also runs as the scheduler's user"
    )
    proc.end(7)
    proc.place(7, uid=0)
    assert "runs as root" in rejected(host, proc)
    assert host.did == []


def test_partition_covers_all_addresses_of_the_apiserver(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    found = [
        (socket.AF_INET6, 1, 6, "", ("2001:db8::1", 443, 0, 0)),
        (socket.AF_INET, 1, 6, "", ("192.0.2.9", 443)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    host = Host(kind="partition", apiserver="https://api.example")
    run(host, proc)
    assert [line.split(" -m ")[0] for line in host.did[1:]] == [
        "ip6tables -w 30 -I OUTPUT -p tcp -d 2001:db8::1 --dport 443",
        "iptables -w 30 -I OUTPUT -p tcp -d 192.0.2.9 --dport 443",
    ]
    assert host.did[0].count(" -D OUTPUT ") == 2


def test_journal_lines_about_the_election_are_returned(proc: FakeProc) -> None:
    host = Host(state="absent", journal_seconds=60)
    host.journal = "\n".join(
        [
            "t m1 kube-scheduler[7]: I1 leaderelection.go:272] Successfully acquired lease",
            "t m1 kube-scheduler[7]: FLAG: --leader-elect=true",
            "t m1 kube-scheduler[7]: E1 server.go:1] Leaderelection lost\x07",
            "t m1 systemd[1]: kube-scheduler.service: Failed",
        ]
    )
    lines = run(host, proc).get("journal", [])
    assert [line.split(": ", 1)[1] for line in lines] == [
        "I1 leaderelection.go:272] Successfully acquired lease",
        "E1 server.go:1] Leaderelection lost",
        "kube-scheduler.service: Failed",
    ]
    assert "--since=-60s" in host.did[0]
    assert len(fault.election_lines(["leaderelection.go"] * 30)) == fault.MAX_ELECTION_LINES


@pytest.mark.parametrize("kind", ["stop", "kill", "freeze", "partition"])
@pytest.mark.parametrize("works", [True, False])
def test_undo_script_reports_its_result(kind: str, works: bool, tmp_path: Path) -> None:
    rule = ["iptables", "OUTPUT", "-d", "192.0.2.1"]
    script = fault.undo_script(kind, UNIT, [rule] if kind == "partition" else [])
    for name in ("systemctl", "iptables", "sleep"):
        answer = "true" if works or name == "sleep" else "false"
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/log\n{answer}\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, check=False)
    log = (tmp_path / "log").read_text()
    assert (done.returncode == 0) == works
    assert f"systemctl start -- {UNIT}" in log
    assert ("--signal=CONT" in log) == (kind == "freeze")
    assert ("iptables -w 30 -D OUTPUT -d 192.0.2.1" in log) == (kind == "partition")

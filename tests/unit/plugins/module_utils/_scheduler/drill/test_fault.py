"""Test the fault on its host: one service injects it once, and removes it until that succeeds.

The tests run the real script. Stubs replace systemd and the commands of the packet filter.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesetError,
    SystemdError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import (
    fault,
    fault_script,
    firewall,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd

from tests.support.host import FakeProc

UNIT = "kube-scheduler.service"
# Each stub logs its call. `down` contains the names of failing calls, `locked` the lock of iptables.
STUBS = {
    "systemctl": """
case "$*" in
*--property=MainPID*) echo 7; exit 0;;
*--property=LoadState*) cat "$STUBS/load_state" 2>/dev/null || echo loaded; exit 0;;
esac
echo "systemctl $*" >> "$STUBS/log"
! grep -qxF -- "systemctl $1" "$STUBS/down" 2>/dev/null
""",
    "nft": """
echo "nft $1" | head -n 1 >> "$STUBS/log"
[ ! -e "$STUBS/no_nft" ] || exit 1
case "$1" in
list) [ -e "$STUBS/table" ];;
delete) rm "$STUBS/table";;
--check) exit 0;;
*) [ ! -e "$STUBS/table" ] && echo "$*" > "$STUBS/table";;
esac
""",
    "iptables": """
[ ! -e "$STUBS/locked" ] || { echo "Another app is currently holding the xtables lock" >&2; exit 4; }
shift 2
action=$1 rules=$STUBS/rules.$(basename "$0")
touch "$rules"
shift
echo "$(basename "$0") $action $*" >> "$STUBS/log"
case $action in
-I) [ ! -e "$STUBS/no_owner" ] || { echo "iptables: No chain/target/match by that name." >&2; exit 2; }
    echo "-A $*" >> "$rules";;
-D) grep -qxF -- "-A $*" "$rules" || exit 1
    grep -vxF -- "-A $*" "$rules" > "$rules.new"; mv "$rules.new" "$rules";;
-C) grep -qxF -- "-A $*" "$rules";;
-S) echo "-P OUTPUT ACCEPT"; cat "$rules";;
esac
""",
    "sleep": """
echo "sleep $*" >> "$STUBS/log"
""",
}


class Host:
    """Provide a host whose systemd runs the script of the fault with stubs."""

    def __init__(self, root: Path, **params: Any) -> None:
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
        self.unit = {"LoadState": "loaded", "ActiveState": "active", "MainPID": "7"}
        self.service: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.fails: dict[str, tuple[int, str, str]] = {}
        self.attempts = 0
        self.journal = ""
        self.stubs = root / "stubs"
        self.stubs.mkdir(exist_ok=True)
        for name, text in {**STUBS, "ip6tables": STUBS["iptables"]}.items():
            (self.stubs / name).write_text(f"#!/bin/sh{text}")
            (self.stubs / name).chmod(0o755)

    @property
    def did(self) -> list[str]:
        """Return the commands that change the host, in order."""
        path = self.stubs / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        queries = ("nft list", "nft --check", "iptables -S", "ip6tables -S")
        return [line for line in lines if not line.startswith(queries) and " -C OUTPUT" not in line]

    def mark(self, name: str, text: str = "") -> Path:
        """Change the behavior of the stubs."""
        path = self.stubs / name
        path.write_text(text)
        return path

    def shell(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": f"{self.stubs}:/usr/bin:/bin", "STUBS": str(self.stubs)},
        )

    def run_command(self, args: list[str]) -> tuple[int, str, str]:
        assert args[0] == "timeout", "every command has a time limit"
        words = args[4:]
        line = " ".join(words)
        for start, answer in self.fails.items():
            if line.startswith(start):
                return answer
        if line.startswith("systemctl show"):
            shown = self.service if line.endswith(fault_script.FAULT_UNIT) else self.unit
            return 0, "".join(f"{key}={value}\n" for key, value in shown.items()), ""
        if words[0] == "systemd-run":
            return self.start(words)
        if line.endswith(f"-- {fault_script.FAULT_UNIT}"):
            assert words[:2] == ["systemctl", "kill"]
            self.stop_post()
            return 0, "", ""
        if "journalctl" in words:
            return 0, self.journal, ""
        done = self.shell(*words)
        return done.returncode, done.stdout, done.stderr

    def start(self, words: list[str]) -> tuple[int, str, str]:
        """Start the transient service, as systemd does."""
        options, command = words[: words.index("--")], words[words.index("--") + 1 :]
        self.properties = dict(
            word.removeprefix("--property=").split("=", 1)
            for word in options
            if word.startswith("--property=")
        )
        self.description = next(w for w in options if w.startswith("--description=")).split("=", 1)[
            1
        ]
        self.command = [word.replace("$$", "$") for word in command]
        self.activate()
        return 0, "", ""

    def activate(self) -> None:
        """Run ExecStartPre and ExecStart. If ExecStart does not wait, run ExecStopPost."""
        self.service = {"ActiveState": "active", "Description": self.description}
        before = len(self.did)
        assert self.shell(*shlex.split(self.properties["ExecStartPre"])).returncode == 0
        assert self.shell(*self.command).returncode == 0
        if not any(line.startswith("sleep ") for line in self.did[before:]):
            self.stop_post()

    def stop_post(self) -> None:
        """Run ExecStopPost. If it fails, the service waits for a restart."""
        self.attempts += 1
        done = self.shell(*shlex.split(self.properties["ExecStopPost"]))
        self.service["ActiveState"] = "activating" if done.returncode else "inactive"

    def tick(self, _seconds: float = 0) -> None:
        """Let some time pass: a service that waits for a restart is restarted."""
        if self.service.get("ActiveState") == "activating":
            self.activate()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run/kube-ha-drill"
    path.parent.mkdir()
    monkeypatch.setattr(fault_script, "STATE_DIR", str(path))
    return path


@pytest.fixture
def host(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: str(host.stubs / name))
    monkeypatch.setattr(time, "sleep", host.tick)
    return host


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    proc = FakeProc(tmp_path / "proc")
    proc.place(7, uid=999, cgroup=f"/system.slice/{UNIT}")
    return proc


def run(host: Host, proc: FakeProc, **params: Any) -> fault.FaultResult:
    host.params |= params
    return fault.Fault(host, systemd.Systemd(host.run_command), proc).run()


def rejected(host: Host, proc: FakeProc, **params: Any) -> str:
    with pytest.raises(
        (fault.FaultError, firewall.FirewallError, FilesetError, SystemdError)
    ) as caught:
        run(host, proc, **params)
    line = str(caught.value)
    assert "\n" not in line
    return line


START = f"systemctl start -- {UNIT}"
CONTINUE = f"systemctl kill --signal=CONT -- {UNIT}"
INJECTIONS = {
    "stop": f"systemctl stop -- {UNIT}",
    "kill": f"systemctl kill --signal=KILL -- {UNIT}",
    "freeze": f"systemctl kill --signal=STOP -- {UNIT}",
}
RULE = (
    "OUTPUT -p tcp -d 192.0.2.1 --dport 6443 -m owner --uid-owner 999"
    " -m comment --comment kube-ha-drill -j DROP"
)


@pytest.mark.parametrize("kind", INJECTIONS)
def test_one_service_injects_waits_and_removes(
    host: Host, proc: FakeProc, state: Path, kind: str
) -> None:
    """The wait starts after the fault, so that the fault never starts after its removal."""
    outcome = run(host, proc, kind=kind)
    assert host.did == [INJECTIONS[kind], "sleep 40"]
    assert outcome["changed"]
    assert 0 <= outcome["until_end"] < 5
    assert outcome["since_start"] >= 0
    assert host.service["ActiveState"] == "active"
    host.stop_post()
    assert host.did[2:] == [CONTINUE, START]
    assert not state.exists()


def test_no_time_of_the_service_depends_on_the_clock(host: Host, proc: FakeProc) -> None:
    run(host, proc)
    assert host.properties["RuntimeMaxSec"] == "100s"
    assert host.properties["Restart"] == "on-failure"
    assert host.properties["StartLimitIntervalSec"] == "0"
    assert not any("Calendar" in name or "On" in name[:2] for name in host.properties)


def test_failed_removal_is_tried_again(host: Host, proc: FakeProc, state: Path) -> None:
    """The fault is injected once, although systemd restarts the service for each removal."""
    run(host, proc)
    down = host.mark("down", "systemctl start\n")
    host.stop_post()
    for attempt in (2, 3):
        host.tick()
        assert (host.service["ActiveState"], host.attempts) == ("activating", attempt)
    assert (state / "injected").exists()
    down.unlink()
    host.tick()
    assert host.service["ActiveState"] == "inactive"
    assert not state.exists()
    assert host.did.count(INJECTIONS["stop"]) == 1
    assert host.did.count("sleep 40") == 1, "a retry does not wait again"


def test_killed_service_removes_the_fault_and_injects_it_not_again(
    host: Host, proc: FakeProc, state: Path
) -> None:
    """systemd restarts a service whose process was killed, also after a successful removal."""
    run(host, proc)
    host.stop_post()
    host.activate()
    assert host.did == [INJECTIONS["stop"], "sleep 40", CONTINUE, START]
    assert not state.exists()


def test_disarmed_fault_is_not_injected_later(host: Host, proc: FakeProc, state: Path) -> None:
    """systemd can start the service after systemd-run has timed out."""
    started: list[list[str]] = []

    def late(words: list[str]) -> tuple[int, str, str]:
        started.append(words)
        return 124, "", ""

    host.start, start = late, host.start  # type: ignore[method-assign]
    assert rejected(host, proc).startswith(
        "systemd-run failed for kube-ha-drill.service: exit code 124"
    )
    start(started[0])
    assert host.did == []
    assert not state.exists()


def test_fault_that_began_before_an_error_is_removed(
    host: Host, proc: FakeProc, state: Path
) -> None:
    def late(words: list[str]) -> tuple[int, str, str]:
        start(words)
        return 124, "", ""

    host.start, start = late, host.start  # type: ignore[method-assign]
    assert "systemd-run failed" in rejected(host, proc)
    assert host.did == [INJECTIONS["stop"], "sleep 40", CONTINUE, START]
    assert not state.exists()


def test_check_mode_changes_nothing(host: Host, proc: FakeProc, state: Path) -> None:
    host.check_mode = True
    assert run(host, proc)["changed"]
    assert (host.did, state.exists()) == ([], False)
    host.check_mode = False
    run(host, proc)
    before = list(host.did)
    host.check_mode = True
    assert run(host, proc, state="absent")["changed"]
    assert host.did == before
    assert (state / "injected").exists()


def test_active_fault_is_not_injected_again(host: Host, proc: FakeProc) -> None:
    run(host, proc)
    before = list(host.did)
    assert run(host, proc) == {"changed": False}
    assert host.did == before
    assert rejected(host, proc, kind="kill").startswith(
        f"another fault is active (Drill of {UNIT}: stop); remove it with state: absent"
    )


def test_absent_removes_the_fault_once(host: Host, proc: FakeProc, state: Path) -> None:
    assert run(host, proc, state="absent") == {"changed": False, "journal": []}
    assert host.did == []
    run(host, proc, state="present")
    assert run(host, proc, state="absent")["changed"]
    assert host.did[2:] == [CONTINUE, START]
    assert not state.exists()
    assert run(host, proc)["changed"] is False


def test_absent_waits_until_the_removal_succeeds(host: Host, proc: FakeProc) -> None:
    run(host, proc)
    down = host.mark("down", "systemctl start\n")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            down.unlink()
        host.tick()

    fault.time.sleep = sleep  # type: ignore[assignment] # the fixture restores it
    assert run(host, proc, state="absent")["changed"]
    assert host.attempts == 4


def test_absent_reports_a_removal_that_does_not_succeed(
    host: Host, proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(host, proc)
    host.mark("down", "systemctl start\n")
    monkeypatch.setattr(fault, "FAULT_REMOVAL_TIMEOUT_S", 0)
    assert rejected(host, proc, state="absent").startswith(
        f"the fault of {UNIT} is not removed after 0 s; kube-ha-drill.service continues to try"
    )


def test_absent_removes_the_fault_of_a_service_that_has_ended(
    host: Host, proc: FakeProc, state: Path
) -> None:
    """A user stopped the service, its removal failed, and systemd does not restart it."""
    run(host, proc)
    host.service = {"ActiveState": "failed"}
    assert "another fault is active" in rejected(host, proc)
    assert run(host, proc, state="absent")["changed"]
    assert host.did[2:] == [CONTINUE, START]
    assert not state.exists()


def test_absent_removes_the_fault_without_its_script(
    host: Host, proc: FakeProc, state: Path
) -> None:
    run(host, proc)
    host.service = {}
    (state / "fault.sh").unlink()
    assert run(host, proc, state="absent")["changed"]
    assert host.did[2:] == [CONTINUE, START]
    assert not state.exists()


def test_absent_lets_a_frozen_process_continue(host: Host, proc: FakeProc, state: Path) -> None:
    """The state of the process decides, not a file of the drill. The unit is not started."""
    stat = proc.folder / "7/stat"
    stat.write_text(stat.read_text().replace(" S ", " T "))
    assert "is frozen; remove this fault with state: absent" in rejected(host, proc)
    host.check_mode = True
    assert run(host, proc, state="absent")["changed"]
    assert host.did == []
    host.check_mode = False
    assert run(host, proc)["changed"]
    assert host.did == [CONTINUE]
    assert not state.exists()


def test_absent_does_not_start_a_unit_that_a_user_stopped(host: Host, proc: FakeProc) -> None:
    host.unit = {"LoadState": "loaded", "ActiveState": "inactive", "MainPID": "0"}
    assert run(host, proc, state="absent")["changed"] is False
    assert host.did == []


def test_masked_unit_is_reported(host: Host, proc: FakeProc, state: Path) -> None:
    run(host, proc)
    host.mark("down", "systemctl start\n")
    host.mark("load_state", "masked\n")
    host.unit["LoadState"] = "masked"
    assert rejected(host, proc, state="absent") == (
        f"{UNIT} is masked, so the drill cannot start it; run systemctl unmask {UNIT},"
        f" then systemctl start {UNIT}"
    )
    assert not state.exists()
    assert run(host, proc)["changed"] is False, "the drill did not mask the unit"


def test_removal_waits_for_a_process_that_lost_its_lease(host: Host, proc: FakeProc) -> None:
    run(host, proc)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            host.unit["MainPID"] = "8"

    fault.time.sleep = sleep  # type: ignore[assignment] # the fixture restores it
    assert run(host, proc, state="absent", settle=60.0)["changed"]
    assert len(slept) == 3


def test_failed_injection_is_removed_immediately(host: Host, proc: FakeProc, state: Path) -> None:
    host.mark("down", "systemctl stop\n")
    assert rejected(host, proc) == (
        f"stop of {UNIT} failed, and the fault was removed (run journalctl -u kube-ha-drill.service);"
        " correct the cause, or use another kind"
    )
    assert host.did == [INJECTIONS["stop"], CONTINUE, START]
    assert not state.exists()


def test_fault_is_not_injected_without_a_service(host: Host, proc: FakeProc, state: Path) -> None:
    host.fails["systemd-run"] = (1, "", "Failed to start transient service unit\nmore")
    assert rejected(host, proc) == (
        "systemd-run failed for kube-ha-drill.service: Failed to start transient service unit;"
        " run journalctl -u kube-ha-drill.service"
    )
    assert (host.did, state.exists()) == ([], False)


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
def test_invalid_options_are_rejected(
    host: Host, params: dict[str, Any], line: str, proc: FakeProc
) -> None:
    assert rejected(host, proc, **params).startswith(line)
    assert host.did == []


def test_unit_name_is_quoted_for_the_shell(host: Host, proc: FakeProc) -> None:
    run(host, proc, unit="a\\x2db.service")
    assert host.did[0] == "systemctl stop -- a\\x2db.service"
    host.stop_post()
    assert host.did[-1] == "systemctl start -- a\\x2db.service"


def test_inactive_unit_is_rejected(host: Host, proc: FakeProc) -> None:
    host.unit = {"ActiveState": "inactive", "MainPID": "0"}
    assert rejected(host, proc) == f"{UNIT} is inactive; start it before you inject stop"


# --- The packet filter


def test_partition_ends_in_the_kernel(host: Host, proc: FakeProc, state: Path) -> None:
    """With nftables, the addresses have a timeout. The kernel ends the rules without any process."""
    assert run(host, proc, kind="partition")["changed"]
    table = (host.stubs / "table").read_text()
    assert re.search(
        r"set apiserver_ip \{ type ipv4_addr \. inet_service; flags timeout; timeout 40s;"
        r" elements = \{ 192\.0\.2\.1 \. 6443 \}; \}",
        table,
    )
    assert "meta skuid 999 ip daddr . tcp dport @apiserver_ip drop\n" in table
    assert not any(line.startswith("iptables -I") for line in host.did)
    assert run(host, proc, state="absent")["changed"]
    assert not (host.stubs / "table").exists()
    assert not state.exists()


def test_partition_without_nftables_uses_iptables(host: Host, proc: FakeProc) -> None:
    host.mark("no_nft")
    assert run(host, proc, kind="partition")["changed"]
    assert host.did == [f"iptables -I {RULE}", "sleep 40"]
    assert run(host, proc, state="absent")["changed"]
    assert (host.stubs / "rules.iptables").read_text() == ""


def test_held_lock_of_iptables_delays_the_removal(host: Host, proc: FakeProc, state: Path) -> None:
    """Both commands of the removal fail. That does not mean that the rule is gone."""
    host.mark("no_nft")
    run(host, proc, kind="partition")
    locked = host.mark("locked")
    host.stop_post()
    for _attempt in range(2):
        host.tick()
    assert host.service["ActiveState"] == "activating"
    assert RULE in (host.stubs / "rules.iptables").read_text()
    locked.unlink()
    host.tick()
    assert (host.stubs / "rules.iptables").read_text() == ""
    assert host.service["ActiveState"] == "inactive"
    assert not state.exists()


@pytest.mark.parametrize("tool", ["nft", "iptables", "ip6tables"])
def test_absent_removes_a_rule_without_a_service(
    host: Host, proc: FakeProc, state: Path, tool: str
) -> None:
    """The rule itself decides: its service ended, or another program restored it after a reboot."""
    left = RULE.replace("192.0.2.1", "2001:db8::1") if tool == "ip6tables" else RULE
    name, text = ("table", "") if tool == "nft" else (f"rules.{tool}", f"-A {left}\n")
    path = host.mark(name, f"-A OUTPUT -j ACCEPT\n{text}")
    line = rejected(host, proc, kind="partition")
    assert line == (
        "the packet filter contains rules of an earlier drill; remove them with state: absent"
    )
    host.check_mode = True
    assert run(host, proc, state="absent")["changed"]
    host.check_mode = False
    assert run(host, proc)["changed"]
    assert not path.exists() or path.read_text() == "-A OUTPUT -j ACCEPT\n"
    assert START not in host.did
    assert run(host, proc)["changed"] is False
    assert not state.exists()


def test_absent_fails_if_the_rules_cannot_be_listed(host: Host, proc: FakeProc) -> None:
    host.mark("locked")
    assert rejected(host, proc, state="absent") == (
        "iptables cannot list the rules of this host (Another app is currently holding the xtables"
        " lock); end the command that changes the packet filter, then run again"
    )


def test_absent_needs_no_packet_filter(
    host: Host, proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.fails["iptables"] = host.fails["ip6tables"] = (3, "", "Table does not exist\n")
    assert run(host, proc, state="absent")["changed"] is False
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert run(host, proc)["changed"] is False


def test_partition_without_a_firewall_command_is_rejected(
    host: Host, proc: FakeProc, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.mark("no_nft")
    host.mark("no_owner")
    assert rejected(host, proc, kind="partition") == (
        f"partition of {UNIT} failed, and the fault was removed"
        " (iptables: No chain/target/match by that name.); correct the cause, or use another kind"
    )
    assert not state.exists()
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert rejected(host, proc) == (
        "iptables is missing on this host; install it, or use stop, kill or freeze"
    )


def test_partition_that_would_affect_other_processes_is_rejected(
    host: Host, proc: FakeProc
) -> None:
    proc.place(8, uid=999, comm="etcd", cgroup="/system.slice/etcd.service")
    assert rejected(host, proc, kind="partition").startswith(
        "etcd (pid 8, etcd.service) also runs as the scheduler's user"
    )
    proc.end(7)
    proc.place(7, uid=0)
    assert "runs as root" in rejected(host, proc)
    assert host.did == []


@pytest.mark.parametrize("tool", ["nft", "iptables"])
def test_partition_covers_all_addresses_of_the_apiserver(
    host: Host, proc: FakeProc, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    found = [
        (socket.AF_INET6, 1, 6, "", ("2001:db8::1", 443, 0, 0)),
        (socket.AF_INET, 1, 6, "", ("192.0.2.9", 443)),
        (socket.AF_INET, 1, 6, "", ("192.0.2.8", 443)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    if tool == "iptables":
        host.mark("no_nft")
    run(host, proc, kind="partition", apiserver="https://api.example")
    if tool == "nft":
        table = (host.stubs / "table").read_text()
        assert "elements = { 192.0.2.8 . 443, 192.0.2.9 . 443 };" in table
        assert "type ipv6_addr . inet_service;" in table
        assert "elements = { 2001:db8::1 . 443 };" in table
        assert "meta skuid 999 ip6 daddr . tcp dport @apiserver_ip6 drop" in table
        return
    assert [line.split(" -m ")[0] for line in host.did if " -I " in line] == [
        "iptables -I OUTPUT -p tcp -d 192.0.2.8 --dport 443",
        "iptables -I OUTPUT -p tcp -d 192.0.2.9 --dport 443",
        "ip6tables -I OUTPUT -p tcp -d 2001:db8::1 --dport 443",
    ]
    host.stop_post()
    assert (host.stubs / "rules.ip6tables").read_text() == ""


def test_lookup_of_the_apiserver_has_a_deadline(
    host: Host, proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hang(*_arguments: Any, flags: int = 0, **_options: Any) -> Any:
        if not flags:
            release.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(fault, "LOOKUP_TIMEOUT_S", 0.2)
    started = time.monotonic()
    try:
        text = rejected(host, proc, kind="partition", apiserver="https://api.example")
    finally:
        release.set()
    assert text.startswith("apiserver: api.example does not resolve on this host")
    assert time.monotonic() - started < 5
    assert host.did == []


def test_name_with_many_addresses_is_rejected(
    host: Host, proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, 1, 6, "", (f"192.0.2.{number}", 443))
        for number in range(fault.MAX_DESTINATIONS + 1)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    text = rejected(host, proc, kind="partition", apiserver="https://api.example")
    assert text.startswith(f"apiserver: api.example has {len(found)} addresses")
    assert host.did == []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found[1:] * 3)
    assert run(host, proc, kind="partition", apiserver="https://api.example")["changed"]


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
def test_nft_accepts_the_table() -> None:
    table = firewall.nft_ruleset(
        999,
        [
            firewall.Destination("ip", "192.0.2.1", 6443),
            firewall.Destination("ip6", "2001:db8::1", 6443),
        ],
        40,
    )
    done = subprocess.run(["nft", "--check", table], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- The journal


def test_journal_lines_about_the_election_are_returned(host: Host, proc: FakeProc) -> None:
    host.journal = "\n".join(
        [
            "t m1 kube-scheduler[7]: I1 leaderelection.go:272] Successfully acquired lease",
            "t m1 kube-scheduler[7]: FLAG: --leader-elect=true",
            "t m1 kube-scheduler[7]: E1 server.go:1] Leaderelection lost\x07",
            "t m1 systemd[1]: kube-scheduler.service: Failed",
        ]
    )
    lines = run(host, proc, state="absent", journal_seconds=60).get("journal", [])
    assert [line.split(": ", 1)[1] for line in lines] == [
        "I1 leaderelection.go:272] Successfully acquired lease",
        "E1 server.go:1] Leaderelection lost",
        "kube-scheduler.service: Failed",
    ]
    assert len(fault.election_lines(["leaderelection.go"] * 30)) == fault.MAX_ELECTION_LINES


def test_script_is_private(host: Host, proc: FakeProc, state: Path) -> None:
    run(host, proc)
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "fault.sh").stat().st_mode & 0o777 == 0o600
    assert os.access(state / "fault.sh", os.R_OK)

"""Test the reading of processes and sockets, from the kernel and from fake files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import proc as _proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import (
    Listener,
    LocalScheduler,
    Proc,
)

from tests.support.host import FakeProc

LEASE = ("kube-system", "kube-scheduler")


def test_parse_listeners_returns_listening_sockets_only() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:2813 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 4711 1\n"
        "   1: 0100007F:2813 0100007F:A000 01 00000000:00000000 00:00000000 00000000   999        0 4712 1\n"
    )
    assert _proc.parse_listeners(table) == [Listener("127.0.0.1", 10259, "4711")]
    table6 = "header\n   0: 00000000000000000000000001000000:2813 0:0 0A 0:0 00:0 0   999        0 4713 1\n"
    assert _proc.parse_listeners(table6) == [Listener("::1", 10259, "4713")]


def test_port_holder_finds_a_real_listener() -> None:
    proc = Proc()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        number = sock.getsockname()[1]
        pid = int(
            subprocess.run(
                ["sh", "-c", "echo $PPID"], capture_output=True, text=True, check=True
            ).stdout
        )
        assert proc.port_holder(number, pid, proc.listeners()) == (["127.0.0.1"], pid)
        assert proc.port_holder(number, 0, proc.listeners()) == (["127.0.0.1"], pid)
        assert f"(pid {pid}," in proc.name(pid)
    assert proc.port_holder(number, pid, proc.listeners()) == ([], None)


def test_properties_of_a_real_process_until_it_ends() -> None:
    proc = Proc()
    before = time.time()
    words = [sys.executable, "-c", "print(flush=True); input()", "--x", "y z"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"A": "b=c"}
    ) as process:
        process.stdout.readline()  # type: ignore[union-attr]
        pid = process.pid
        assert proc.command_line(pid) == words
        assert proc.environment(pid)["A"] == "b=c"
        assert os.path.samefile(proc.executable(pid), sys.executable)
        assert proc.user(pid) == (os.geteuid(), os.getegid())
        started = proc.started(pid)
        assert started is not None
        assert before - 0.02 <= started <= time.time()
        assert proc.namespace(pid, "net") == proc.namespace("self", "net") != ""
        assert pid in proc.pids()
        process.kill()
    assert (proc.command_line(pid), proc.environment(pid), proc.executable(pid)) == ([], {}, "")
    assert (proc.user(pid), proc.started(pid), proc.sockets(pid), proc.comm(pid)) == (
        None,
        None,
        set(),
        "",
    )
    assert proc.user_namespace_owner(pid) is None


def test_data_of_a_process_is_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_proc, "MAX_READ_BYTES", 10)
    proc = FakeProc(tmp_path / "proc")
    proc.place(7, ("a" * 100,))
    assert proc.command_line(7) == ["a" * 10]


def test_setuid_process_has_no_user(tmp_path: Path) -> None:
    """The real and the effective user of a setuid process differ, so neither is used."""
    proc = FakeProc(tmp_path / "proc")
    process_dir = proc.place(7, uid=999)
    assert proc.user(7) == (999, 999)
    (process_dir / "status").write_text("Name:\tx\nUid:\t999\t0\t0\t0\nGid:\t999\t999\t999\t999\n")
    assert proc.user(7) is None


def others(proc: FakeProc, **changes: object) -> list[int]:
    known: dict[str, Any] = {"pid": 1, "unit": "kube-scheduler.service", "lease": LEASE, **changes}
    holder = proc.port_holder(10259, known["pid"], proc.listeners())[1]
    return _proc.other_schedulers(proc, LocalScheduler(holder=holder, **known), lambda pid: LEASE)


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    proc = FakeProc(tmp_path / "proc")
    proc.listen_nowhere()
    proc.place(1, cgroup="/system.slice/kube-scheduler.service")
    return proc


def test_process_with_the_same_lease_is_another_scheduler(proc: FakeProc) -> None:
    assert others(proc) == []
    proc.place(2, uid=997)
    proc.place(3, comm="kube-apiserver")
    assert others(proc) == [2]
    assert others(proc, lease=("kube-system", "mine")) == []
    assert others(proc, pid=0, lease=("kube-system", "mine")) == []


@pytest.mark.parametrize(
    "how",
    [
        {"cgroup": "/user.slice/user-1000.slice/session-1.scope", "uid": 1000},
        {"namespaces": {"net": "net:[2]"}},
        {"cgroup": "/system.slice/kube-scheduler.service"},
        # The owner is unknown, because the namespace file does not exist.
        {"namespaces": {"user": "user:[2]"}},
    ],
    ids=["login session", "other network", "child of the unit", "other user namespace"],
)
def test_excluded_process_counts_only_if_it_holds_the_port(
    proc: FakeProc, how: dict[str, object]
) -> None:
    proc.place(2, **how)  # type: ignore[arg-type]
    assert others(proc) == []
    proc.end(2)
    proc.place(2, listens=10259, **how)  # type: ignore[arg-type]
    assert others(proc) == [2]


def test_other_instance_does_not_count_even_with_the_port(proc: FakeProc) -> None:
    """In a login session, a unit with the name of an instance belongs to the user."""
    proc.place(2, listens=10259, cgroup="/system.slice/batch.service")
    proc.place(3, cgroup="/system.slice/batch.service")
    assert others(proc) == [2, 3]
    assert others(proc, instances=["batch.service"]) == []
    proc.place(4, cgroup="/user.slice/user-0.slice/batch.service", uid=0)
    assert others(proc, instances=["batch.service"]) == [4]


def test_sessions_and_containers_of_root_count(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.place(2, cgroup="/user.slice/user-0.slice/session-1.scope", uid=0)
    proc.place(3, namespaces={"user": "user:[3]"})
    monkeypatch.setattr(proc, "user_namespace_owner", {3: 0}.get)
    assert others(proc) == [2, 3]
    monkeypatch.setattr(proc, "user_namespace_owner", {3: 1000}.get)
    assert others(proc) == [2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can create a namespace here")
def test_user_namespace_owner_of_a_real_process() -> None:
    created = subprocess.run(["unshare", "--user", "true"], check=False, capture_output=True)
    if created.returncode:
        pytest.skip("no user namespaces here")
    with subprocess.Popen(["unshare", "--user", "sleep", "60"]) as process:
        for _number in range(100):
            if Proc().comm(process.pid) == "sleep":
                break
            time.sleep(0.01)
        assert Proc().namespace(process.pid, "user") != Proc().namespace("self", "user")
        assert Proc().user_namespace_owner(process.pid) == 0
        process.kill()

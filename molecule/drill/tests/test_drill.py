"""Test drills with fast election times: targets, measurements and removal of the fault."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import drills
from tests.support.lab import PROGRAM, ROOT, wait_for

CRASH = 10.4  # lease of 5 s, two retries of at most 2.2 times 1 s each, and 1 s for the apiserver
RELEASED = 3.2
UNDO_AFTER = 16


@pytest.fixture(scope="module", autouse=True)
def fast_times(lab: Any) -> Iterator[None]:
    """Set fast election times for all tests.

    With these times, the bound of a crash is 10.4 s.
    """
    lab.start_anew("--extra-vars=kube_scheduler_lease_preset=fast")
    yield
    lab.start_anew()


@pytest.mark.parametrize("kind", drills.KINDS)
def test_each_kind_stays_within_the_fast_bound(
    kind: str, lab: Any, run_drill: Callable[..., drills.Drill]
) -> None:
    leader = lab.leader()
    result = run_drill(kind)
    drills.passed(lab, result)
    report = result.report
    assert (report["kind"], report["targets"], report["leader_before"]) == (kind, [leader], leader)
    assert report["timings"] == {"lease_duration": 5, "renew_deadline": 3, "retry_period": 1}
    assert report["bound"] == (CRASH if kind != "stop" or report["notes"] else RELEASED)
    if report["bound"] == CRASH:
        assert report["leaderless"] > 3, "somebody led before the lease had run out"
        assert report["pods"]["longest_wait"] > 3
    assert lab.leader() == report["leader_after"]


@pytest.mark.nightly
def test_check_mode_of_a_drill_changes_nothing(
    lab: Any, run_drill: Callable[..., drills.Drill]
) -> None:
    pids, transitions = lab.main_pids(), lab.lease()["leaseTransitions"]
    result = run_drill("kill", "--check")
    assert result.run.code == 0, result.run.output
    assert f"a drill is possible: kill of {lab.leader()}" in result.run.text
    assert result.report == {}
    assert result.run.changed == dict.fromkeys(lab.names, 0)
    assert (lab.main_pids(), lab.lease()["leaseTransitions"]) == (pids, transitions)
    drills.left_nothing(lab)


@pytest.mark.nightly
def test_unsafe_drills_are_rejected(lab: Any, run_drill: Callable[..., drills.Drill]) -> None:
    pids, standbys = lab.main_pids(), [name for name in lab.names if name != lab.leader()]
    run = lab.play(drills.PLAYBOOK, "--extra-vars=drill=stop")
    assert run.code != 0
    assert (
        "drill_confirm: the drill is not confirmed, and no host was changed;"
        " type yes at the prompt, or pass -e drill_confirm=yes" in run.text
    )
    result = run_drill("stop", f"--extra-vars=drill_targets={','.join(lab.names)}")
    assert result.run.code != 0
    assert "are all healthy members; leave out at least one of them" in result.run.text
    assert lab.main_pids() == pids
    for name in standbys:
        drills.inside(lab, name, "systemctl stop kube-scheduler")
    try:
        result = run_drill("stop")
        assert result.run.code != 0
        assert (
            f"a drill needs two healthy members, but only {lab.leader()} is healthy: {standbys[0]}: "
            in result.run.text
        )
        assert "kube-scheduler.service is inactive" in result.run.text
        assert lab.main_pids()[lab.leader()] == pids[lab.leader()]
        drills.inside(lab, lab.leader(), "systemctl is-active kube-scheduler")
        assert drills.namespaces(lab) == []
    finally:
        for name in standbys:
            drills.inside(lab, name, "systemctl start kube-scheduler")


def descendants(pid: int) -> list[int]:
    result = []
    for line in subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        child, parent = map(int, line.split())
        if parent == pid:
            result += [child, *descendants(child)]
    return result


def faulty(lab: Any, kind: str, name: str, pid: str) -> bool:
    """Return whether a fault is present on its host."""
    if kind == "stop":
        return drills.process_state(lab, name) == ""
    if kind == "kill":
        return bool(
            lab.podman(
                "exec", lab.settings.container(name), "sh", "-c", f"kill -0 {pid} 2>&1 || true"
            )
        )
    if kind == "freeze":
        return drills.process_state(lab, name) == "T"
    return drills.inside(lab, name, drills.RULES) != ""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind == "partition" else pytest.mark.nightly)
        for kind in drills.KINDS
    ],
)
def test_fault_is_removed_after_the_controller_is_killed(
    kind: str, lab: Any, tmp_path: Path
) -> None:
    """The test kills the controller with all its processes after the injection of the fault.

    The service on the host removes the fault, and the next drill removes the namespace.
    """
    wait_for(lambda: drills.process_state(lab, lab.leader()) in ("R", "S"), 20)
    leader = lab.leader()
    pid = lab.main_pids()[leader]
    words = [
        drills.CONFIRMED,
        f"--extra-vars=drill={kind}",
        f"--extra-vars=drill_undo_after={UNDO_AFTER}",
    ]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
    }
    with (tmp_path / "log").open("w") as log:
        controller = subprocess.Popen(
            [PROGRAM, f"--inventory={lab.inventory}", drills.PLAYBOOK, *words],
            cwd=ROOT,
            env={**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: faulty(lab, kind, leader, pid), 60)
    finally:
        for process in [controller.pid, *descendants(controller.pid)]:
            with contextlib.suppress(ProcessLookupError):  # the process can end before the signal
                os.kill(process, signal.SIGKILL)
        controller.wait()
    assert drills.serves(lab, leader)
    assert len(drills.namespaces(lab)) >= 1
    wait_for(lambda: not drills.serves(lab, leader), UNDO_AFTER + 10)
    wait_for(lambda: drills.process_state(lab, leader) in ("R", "S"), 20)
    assert drills.inside(lab, leader, drills.RULES) == ""


def test_drill_of_two_of_three_members(lab: Any, run_drill: Callable[..., drills.Drill]) -> None:
    """A drill of two of three members also removes the objects that a killed controller left."""
    labels = "labels: {app.kubernetes.io/managed-by: kube_ha.scheduler-drill}"
    left = f"metadata: {{name: kube-ha-drill-0, {labels}}}"
    lab.kubectl("create", "--filename=-", stdin=f"{{apiVersion: v1, kind: Namespace, {left}}}")
    leader = lab.leader()
    other, third = (name for name in lab.names if name != leader)
    result = run_drill("stop", f"--extra-vars=drill_targets={other},{leader}")
    drills.passed(lab, result)
    assert result.report["leader_after"] == third
    assert f"{leader} led and was stopped (also {other}); {third} leads after" in result.run.text


def test_interrupted_drill_removes_its_fault(lab: Any, tmp_path: Path) -> None:
    """After Ctrl-C, the drill removes the namespace, and the service removes the fault."""
    leader = lab.leader()
    words = [
        drills.CONFIRMED,
        "--extra-vars=drill=stop",
        f"--extra-vars=drill_undo_after={UNDO_AFTER}",
    ]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
    }
    with (tmp_path / "log").open("w") as log:
        controller = subprocess.Popen(
            [PROGRAM, f"--inventory={lab.inventory}", drills.PLAYBOOK, *words],
            cwd=ROOT,
            env={**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(lambda: drills.namespaces(lab) != [], 60)
        wait_for(lambda: drills.serves(lab, leader), 30)
        os.killpg(controller.pid, signal.SIGINT)
        controller.wait(30)
        assert controller.returncode != 0
        wait_for(lambda: drills.namespaces(lab) == [], 10)
        wait_for(lambda: not drills.serves(lab, leader), UNDO_AFTER + 10)
    finally:
        controller.kill()
        controller.wait()
    wait_for(lambda: drills.process_state(lab, leader) in ("R", "S"), 20)
    drills.left_nothing(lab)


# --- The fault on one host, without the measurement

LOCK = "/run/xtables.lock"
IPTABLES_LINK = "/etc/alternatives/iptables"
SLOW_IPTABLES = "/usr/local/sbin/slow-iptables"
SLOW_INSERTION = f"""#!/bin/sh
case " $* " in *" -I "*) sleep {UNDO_AFTER + 6} ;; esac
exec /usr/sbin/iptables-legacy "$@"
"""
HOLD = f"systemd-run --quiet --collect --unit=holder flock {LOCK} sleep {{}}"


def inject(lab: Any, name: str, kind: str, *words: str) -> Any:
    """Inject a fault with the module, and return the run."""
    options = [f"kind={kind}", f"undo_after={UNDO_AFTER}", *words]
    if kind == "partition":
        options.append("apiserver={{ kube_scheduler_apiserver }}")
    return fault(lab, name, *options)


def fault(lab: Any, name: str, *options: str) -> Any:
    """Run scheduler_fault on a host."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")
    }
    return subprocess.run(
        [
            Path(PROGRAM).parent / "ansible",
            name,
            f"--inventory={lab.inventory}",
            "--module-name=kube_ha.scheduler.scheduler_fault",
            f"--args={' '.join(options)}",
        ],
        cwd=ROOT,
        env={**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )


def reachable(lab: Any, name: str) -> bool:
    """Return whether the user of the scheduler reaches the apiserver of its host."""
    server = "https://$(hostname -I | cut -d ' ' -f 1):6443/version"
    ask = f"runuser -u k8s -- curl --insecure --silent --max-time 2 --output /dev/null {server}"
    return drills.inside(lab, name, f"{ask} && echo yes || true").strip() == "yes"


@pytest.fixture
def standby(lab: Any) -> Iterator[str]:
    """Return a standby, and check at the end that no fault remains on any host."""
    name = next(name for name in lab.names if name != lab.leader())
    yield name
    assert fault(lab, name, "state=absent").returncode == 0
    wait_for(lambda: drills.process_state(lab, name) in ("R", "S"), 20)
    drills.left_nothing(lab)


@pytest.fixture
def old_iptables(lab: Any, standby: str) -> Iterator[str]:
    """Return a standby without nft, whose iptables uses a lock."""
    use = "update-alternatives --set iptables /usr/sbin/iptables-{}"
    drills.inside(lab, standby, f"chmod a-x /usr/sbin/nft; {use.format('legacy')}")
    yield standby
    drills.inside(lab, standby, "systemctl stop holder 2>/dev/null || true")
    assert fault(lab, standby, "state=absent").returncode == 0
    drills.inside(lab, standby, f"{use.format('nft')}; chmod a+x /usr/sbin/nft")


def test_partition_ends_in_the_kernel(lab: Any, standby: str) -> None:
    """The rule ends although the process that would remove it is frozen."""
    assert reachable(lab, standby)
    assert inject(lab, standby, "partition").returncode == 0
    assert not reachable(lab, standby)
    drills.inside(lab, standby, f"systemctl kill --signal=STOP {drills.SERVICE}")
    wait_for(lambda: reachable(lab, standby), UNDO_AFTER + 5)
    assert "kube_ha_drill" in drills.inside(lab, standby, drills.RULES)
    assert fault(lab, standby, "state=absent").returncode == 0
    assert drills.inside(lab, standby, drills.RULES) == ""


def test_wait_of_the_fault_is_a_duration(lab: Any, standby: str) -> None:
    """No step of the clock changes the wait, because the service sleeps for a relative time."""
    assert inject(lab, standby, "freeze").returncode == 0
    show = f"systemctl show --value --property={{}} {drills.SERVICE}"
    assert drills.inside(lab, standby, show.format("RuntimeMaxUSec")).strip() == "1min 16s"
    pid = drills.inside(lab, standby, show.format("MainPID")).strip()
    assert drills.inside(lab, standby, f"tr '\\0' ' ' < /proc/{pid}/cmdline").split() == [
        "sleep",
        str(UNDO_AFTER),
    ]
    _number, _clock, flags, *_rest = drills.inside(lab, standby, f"cat /proc/{pid}/syscall").split()
    assert flags == "0x0", "TIMER_ABSTIME is 1"
    timers = drills.inside(lab, standby, "systemctl list-timers --all --no-legend")
    assert "kube-ha" not in timers
    wait_for(lambda: drills.process_state(lab, standby) == "S", UNDO_AFTER + 5)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind == "partition" else pytest.mark.nightly)
        for kind in drills.KINDS
    ],
)
def test_reboot_ends_the_fault(lab: Any, standby: str, kind: str) -> None:
    assert inject(lab, standby, kind).returncode == 0
    lab.podman("restart", "--time=5", lab.settings.container(standby))
    wait_for(lambda: drills.process_state(lab, standby) in ("R", "S"), 60)
    ready = "curl --insecure --silent https://127.0.0.1:10259/readyz || true"
    wait_for(lambda: drills.inside(lab, standby, ready) == "ok", 90)
    drills.left_nothing(lab)


@pytest.mark.nightly
def test_delayed_fault_does_not_start_after_its_removal(lab: Any, old_iptables: str) -> None:
    """A slow iptables delays the fault for longer than its own duration."""
    lab.write(old_iptables, SLOW_IPTABLES, SLOW_INSERTION.encode())
    drills.inside(
        lab, old_iptables, f"chmod 0755 {SLOW_IPTABLES}; ln -sfn {SLOW_IPTABLES} {IPTABLES_LINK}"
    )
    run = inject(lab, old_iptables, "partition")
    assert run.returncode == 0, run.stdout
    assert not reachable(lab, old_iptables)
    wait_for(lambda: reachable(lab, old_iptables), UNDO_AFTER + 15)
    assert drills.inside(lab, old_iptables, drills.RULES) == ""


@pytest.mark.nightly
def test_held_lock_of_iptables_rejects_the_fault(lab: Any, old_iptables: str) -> None:
    drills.inside(lab, old_iptables, HOLD.format(60))
    run = inject(lab, old_iptables, "partition")
    assert run.returncode != 0
    assert "iptables cannot list the rules of this host" in run.stdout
    assert reachable(lab, old_iptables)
    assert not drills.serves(lab, old_iptables)


@pytest.mark.nightly
def test_held_lock_of_iptables_delays_the_removal(lab: Any, old_iptables: str) -> None:
    assert inject(lab, old_iptables, "partition").returncode == 0
    assert not reachable(lab, old_iptables)
    drills.inside(lab, old_iptables, HOLD.format(UNDO_AFTER + 25))
    wait_for(
        lambda: (
            "restart counter is at 1"
            in drills.inside(
                lab, old_iptables, f"journalctl --quiet --unit={drills.SERVICE} --lines=20"
            )
        ),
        UNDO_AFTER + 40,
    )
    wait_for(lambda: reachable(lab, old_iptables), 60)
    assert drills.inside(lab, old_iptables, drills.RULES) == ""
    wait_for(lambda: not drills.serves(lab, old_iptables), 20)


def test_absent_removes_a_rule_that_no_service_removes(lab: Any, old_iptables: str) -> None:
    """A user killed the service with all processes, and deleted its files."""
    assert inject(lab, old_iptables, "partition").returncode == 0
    drills.inside(
        lab,
        old_iptables,
        f"rm --recursive /run/kube-ha-drill; systemctl stop {drills.SERVICE}",
    )
    assert not reachable(lab, old_iptables)
    assert not drills.serves(lab, old_iptables)
    run = fault(lab, old_iptables, "state=absent")
    assert "changed: true" in run.stdout, run.stdout
    assert reachable(lab, old_iptables)

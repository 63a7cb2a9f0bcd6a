"""Test drill.yml with simulated hosts: rejections, check mode, and a fault that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.simulation import Outcome, Simulation, lease

QUERIED = ["gather", "drift"]


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three healthy hosts. The leader is m1."""
    found = Simulation(tmp_path)
    found.variables["kube_scheduler_admin_kubeconfig"] = str(tmp_path / "admin.kubeconfig")
    for answers in found.answers.values():
        answers["scheduler_fault"] = {"changed": False, "journal": []}
    return found


def run_drill(cluster: Simulation, *words: str, kind: str = "stop") -> Outcome:
    run = cluster.run(
        "playbooks/drill.yml",
        "--extra-vars=drill_confirm=yes",
        f"--extra-vars=drill={kind}",
        f"--extra-vars=drill_report_dir={cluster.folder / 'report'}",
        *words,
    )
    assert "Traceback" not in run.output
    return run


def rejected(cluster: Simulation, *words: str, kind: str = "stop") -> str:
    run = run_drill(cluster, *words, kind=kind)
    assert run.code != 0
    assert all(calls in ([], QUERIED) for calls in run.calls.values()), run.calls
    assert not (cluster.folder / "report").exists()
    return run.text


UNHEALTHY: dict[str, Any] = {"healthy": False, "problems": ["readiness: HTTP 500"]}


def test_unhealthy_members_are_rejected(cluster: Simulation) -> None:
    for name in ("m2", "m3"):
        cluster.change(name, "drift", **UNHEALTHY)
    line = "drill rejected before any host was changed: a drill needs two healthy members, but only m1 is healthy: m2: readiness: HTTP 500"
    assert line in rejected(cluster)


def test_foreign_or_frozen_lease_is_rejected(cluster: Simulation) -> None:
    for name in cluster.answers:
        cluster.change(name, "drift", lease=lease("other.example"))
    assert (
        "the lease holder is other.example, which is not one of m1.example, m2.example, m3.example"
        in rejected(cluster)
    )
    for name in cluster.answers:
        cluster.change(name, "drift", lease={**lease("m1.example"), "moving": False})
    assert (
        "the lease does not move: m1, m2, m3 did not observe a renewal by m1.example"
        in rejected(cluster)
    )


def test_invalid_options_are_rejected(cluster: Simulation) -> None:
    assert "are all healthy members; leave out at least one" in rejected(
        cluster, "--extra-vars=drill_targets=m1,m2,m3"
    )
    assert "value of drill must be one of: stop, kill, freeze, partition" in rejected(
        cluster, kind="explode"
    )
    cluster.variables.pop("kube_scheduler_admin_kubeconfig")
    assert "kube_scheduler_admin_kubeconfig: not set; set the path" in rejected(cluster)
    run = cluster.run("playbooks/drill.yml", "--extra-vars=drill=stop")
    assert run.code != 0
    assert "type yes at the prompt, or pass -e drill_confirm=yes" in run.text
    assert not any(run.calls.values())


def test_missing_admin_kubeconfig_injects_no_fault(cluster: Simulation) -> None:
    run = run_drill(cluster)
    assert run.code != 0
    assert "admin.kubeconfig" in run.text
    # Both runs of scheduler_fault remove a fault, and no run injects a fault.
    assert run.calls["m1"] == [*QUERIED, "scheduler_fault", "scheduler_fault", "drift"]
    assert run.calls["m2"] == [*QUERIED, "scheduler_fault", "drift"]


def test_check_mode_changes_nothing(cluster: Simulation) -> None:
    run = run_drill(cluster, "--check")
    assert run.code == 0, run.output
    assert run.calls == dict.fromkeys(cluster.answers, QUERIED)
    assert "a drill is possible: stop of m1; leader: m1" in run.text
    lines = run.output.partition("Report the status of the clusters")[2].splitlines()
    assert "kube_masters: 3 of 3 healthy; leader: m1 since 2026-01-01 00:00:00 UTC" in lines


def test_failed_fault_on_a_standby_ends_the_drill_before_the_leader(
    cluster: Simulation,
) -> None:
    ended = {"changed": False, "journal": []}
    failed = {"failed": True, "msg": "there is no iptables on this host"}
    cluster.answers["m2"]["scheduler_fault"] = [ended, failed, ended]
    run = run_drill(cluster, "--extra-vars=drill_targets=m1,m2", kind="partition")
    assert run.code != 0
    assert "there is no iptables on this host" in run.text
    assert "Inject the fault into the primary target and measure the failover" not in run.output
    assert run.calls["m1"] == [*QUERIED, "scheduler_fault", "scheduler_fault", "drift"]
    assert run.calls["m2"] == [
        *QUERIED,
        "scheduler_fault",
        "scheduler_fault",
        "scheduler_fault",
        "drift",
    ]

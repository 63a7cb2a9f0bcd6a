"""drill.yml against simulated masters: what it refuses, and that a fault which fails on one host ends it before the leader is hit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.simulation import Outcome, Simulation, lease

LOOKED = ["gather", "drift"]


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Three masters on which all is well; m1 leads."""
    found = Simulation(tmp_path)
    found.variables["kube_scheduler_admin_kubeconfig"] = str(tmp_path / "admin.kubeconfig")
    for answers in found.answers.values():
        answers["scheduler_fault"] = {"changed": False, "journal": []}
    return found


def drilled(cluster: Simulation, *words: str, kind: str = "stop") -> Outcome:
    run = cluster.run(
        "playbooks/drill.yml",
        "--extra-vars=drill_confirm=yes",
        f"--extra-vars=drill={kind}",
        f"--extra-vars=drill_report_dir={cluster.folder / 'report'}",
        *words,
    )
    assert "Traceback" not in run.output
    return run


def refused(cluster: Simulation, *words: str, kind: str = "stop") -> str:
    run = drilled(cluster, *words, kind=kind)
    assert run.code != 0
    assert all(calls in ([], LOOKED) for calls in run.calls.values()), run.calls
    assert not (cluster.folder / "report").exists()
    return run.text


SICK: dict[str, Any] = {"healthy": False, "problems": ["readiness: HTTP 500"]}


def test_a_sick_cluster(cluster: Simulation) -> None:
    for name in ("m2", "m3"):
        cluster.change(name, "drift", **SICK)
    line = "drill rejected, no host was changed: a drill needs two healthy members, but only m1 is healthy: m2: readiness: HTTP 500"
    assert line in refused(cluster)


def test_a_foreign_holder_and_a_lease_that_does_not_move(cluster: Simulation) -> None:
    for name in cluster.answers:
        cluster.change(name, "drift", lease=lease("other.example"))
    assert (
        "the lease holder is other.example, which is not one of m1.example, m2.example, m3.example"
        in refused(cluster)
    )
    for name in cluster.answers:
        cluster.change(name, "drift", lease={**lease("m1.example"), "moving": False})
    assert "the lease does not move: m1, m2, m3 did not observe a renewal by m1.example" in refused(
        cluster
    )


def test_what_is_said_wrongly(cluster: Simulation) -> None:
    assert "are all the healthy members; leave out at least one" in refused(
        cluster, "--extra-vars=drill_targets=m1,m2,m3"
    )
    assert "value of drill must be one of: stop, kill, freeze, partition" in refused(
        cluster, kind="explode"
    )
    cluster.variables.pop("kube_scheduler_admin_kubeconfig")
    assert "kube_scheduler_admin_kubeconfig: not set; set the path" in refused(cluster)
    run = cluster.run("playbooks/drill.yml", "--extra-vars=drill=stop")
    assert run.code != 0
    assert "type yes at the prompt, or pass -e drill_confirm=yes" in run.text
    assert not any(run.calls.values())


def test_an_admin_kubeconfig_that_is_not_there_hits_nobody(cluster: Simulation) -> None:
    run = drilled(cluster)
    assert run.code != 0
    assert "admin.kubeconfig" in run.text
    # Twice asked to end what may be on, never to begin it.
    assert run.calls["m1"] == [*LOOKED, "scheduler_fault", "scheduler_fault", "drift"]
    assert run.calls["m2"] == [*LOOKED, "scheduler_fault", "drift"]


def test_check_mode(cluster: Simulation) -> None:
    run = drilled(cluster, "--check")
    assert run.code == 0, run.output
    assert run.calls == dict.fromkeys(cluster.answers, LOOKED)
    assert "a drill is possible: stop of m1; leader: m1" in run.text
    lines = run.output.partition("Report the status of the clusters")[2].splitlines()
    assert "kube_masters: 3 of 3 healthy; m1 leads since 2026-01-01 00:00:00 UTC" in lines


def test_a_fault_that_fails_on_a_standby_ends_it_before_the_leader_is_hit(
    cluster: Simulation,
) -> None:
    ended = {"changed": False, "journal": []}
    failed = {"failed": True, "msg": "there is no iptables on this host"}
    cluster.answers["m2"]["scheduler_fault"] = [ended, failed, ended]
    run = drilled(cluster, "--extra-vars=drill_targets=m1,m2", kind="partition")
    assert run.code != 0
    assert "there is no iptables on this host" in run.text
    assert "Inject the fault into the primary target and measure the failover" not in run.output
    assert run.calls["m1"] == [*LOOKED, "scheduler_fault", "scheduler_fault", "drift"]
    assert run.calls["m2"] == [
        *LOOKED,
        "scheduler_fault",
        "scheduler_fault",
        "scheduler_fault",
        "drift",
    ]

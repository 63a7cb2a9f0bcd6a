"""Test that one of three members leads, and that another member leads after the leader stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.lab import wait_for
from tests.support.role import answers

UNIT = "kube-scheduler.service"


def test_only_one_member_leads(lab: Any) -> None:
    lease = lab.lease()
    assert lease["holderIdentity"].rsplit("_", 1)[0] in {lab.hostname(name) for name in lab.names}
    assert lease["leaseDurationSeconds"] == 15


def test_lease_is_renewed(lab: Any) -> None:
    before = lab.lease()["renewTime"]
    wait_for(lambda: lab.lease()["renewTime"] > before, 4.5)


def test_pod_gets_a_node(bind_pod: Callable[[], str]) -> None:
    assert bind_pod()


def test_pod_gets_a_node_after_the_leader_stopped(lab: Any, bind_pod: Callable[[], str]) -> None:
    previous = lab.leader()
    transitions = lab.lease()["leaseTransitions"]
    host = lab.host(previous)
    host.check_output("systemctl stop %s", UNIT)
    try:
        assert bind_pod()
        assert lab.leader() != previous
        assert lab.lease()["leaseTransitions"] == transitions + 1
    finally:
        host.check_output("systemctl start %s", UNIT)


def test_status_reports_the_leader(lab: Any, tmp_path: Any) -> None:
    path = tmp_path / "status.json"
    run = lab.play("playbooks/status.yml", f"--extra-vars=status_json={path}")
    assert run.code == 0, run.output
    reported = answers(path)
    leader = lab.leader()
    assert set(reported) == set(lab.names)
    for name, answer in reported.items():
        assert answer["healthy"], answer["problems"]
        assert answer["process"]["version"] == lab.settings.version
        assert answer["probes"]["served"]["days_left"] > 300
        assert answer["probes"]["used"]["days_left"] > 300
        assert answer["probes"]["metrics_reader"] == 200
        row = next(
            words
            for line in run.output.splitlines()
            for words in [line.strip(" -'").split()]
            if words[:1] == [name]
        )
        assert row[:5] == [
            name,
            lab.settings.version,
            "active",
            "yes",
            "*" if name == leader else "-",
        ]

"""Test rollouts on simulated clusters: order, gates, rollback, lost members and playbooks.

Tests with the mark `cores` run with every supported ansible-core (`make cores`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.simulation import (
    DRIFT,
    Outcome,
    Simulation,
    compared,
    drifted,
    gathered,
    lease,
    together,
)


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three healthy hosts. The leader is m1."""
    return Simulation(tmp_path)


@pytest.mark.cores
def test_members_are_rolled_one_at_a_time_and_the_leader_last(cluster: Simulation) -> None:
    """The rollout order does not depend on the order in which the hosts respond."""
    drifted(cluster)
    cluster.answers["m2"]["@delay"] = 0.3
    cluster.answers["m3"]["@delay"] = 0.1
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    assert run.rolled == ["m2", "m3", "m1"]
    assert together(run.output) == [["m2"], ["m3"], ["m1"]]
    assert "pending on m1: config: /etc/kubernetes/kube-scheduler.yaml: content differs" in run.text


@pytest.mark.nightly
def test_clusters_roll_in_parallel_each_in_its_order(tmp_path: Path) -> None:
    """Clusters roll in parallel, each in its own order.

    The clusters differ: the leader is in the middle or first, a standby is unhealthy, or an
    unhealthy leader renews.
    """
    clusters = {
        "a": ["z9", "k5", "b1"],
        "b": ["e1", "e2", "e3"],
        "c": ["w1", "w2", "w3"],
        "d": ["x1", "x2", "x3"],
    }
    several = Simulation(tmp_path, clusters=clusters)
    drifted(several, leaders=("k5", "e1", "w3", "x2"))
    sick = {"healthy": False, "problems": ["readiness: HTTP 500"]}
    several.answers["w2"]["drift"][0] = compared("w2", "w3", drift=DRIFT, **sick)
    several.answers["x2"]["drift"][0] = compared("x2", "x2", drift=DRIFT, **sick)
    for number, name in enumerate(several.answers):
        several.answers[name]["@delay"] = number * 7 % 5 / 20
    run = several.run(
        "playbooks/site.yml",
        "--extra-vars=kube_scheduler_hosts=a:b:c:d",
        "--tags=kube_scheduler_rollout",
    )
    assert run.code == 0, run.output
    orders = [[name for name in run.rolled if name in names] for names in clusters.values()]
    assert orders == [
        ["b1", "z9", "k5"],
        ["e2", "e3", "e1"],
        ["w2", "w1", "w3"],
        ["x1", "x3", "x2"],
    ]


def test_members_start_at_once_if_none_is_healthy(cluster: Simulation) -> None:
    drifted(
        cluster, healthy=False, problems=["kube-scheduler.service is not installed"], lease=None
    )
    absent = {"state": "absent"}
    cluster.change("m1", "scheduler_fileset", lease=absent)
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    assert together(run.output) == [["m1", "m2", "m3"]]
    # If a lease had no holder before the start of a member, the member does not wait for a renewal.
    assert run.options("m1", "scheduler_fileset")[0]["lease"] == {
        "name": "kube-scheduler",
        "namespace": "kube-system",
    }
    before = {
        name: run.options(name, "scheduler_info")[2].get("previous_lease")
        for name in cluster.answers
    }
    assert before == {"m1": absent, "m2": None, "m3": None}


def test_unhealthy_member_is_rolled_back_and_stops_the_rollout(
    cluster: Simulation,
) -> None:
    drifted(cluster)
    cluster.answers["m3"]["drift"][1:] = [
        compared("m3", "m1", healthy=False, problems=["readiness: HTTP 500"]),
        compared("m3", "m1", drift=DRIFT),
    ]
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert "m3: unhealthy after the roll: readiness: HTTP 500" in run.text
    assert "m3: rolled back, healthy, version 1.37.2" in run.text
    assert "rollout stopped because m3 failed; the remaining members are unchanged" in run.text
    assert run.rolled == ["m2", "m3"]
    there, back = (options for options in run.options("m3", "scheduler_fileset"))
    assert (there["state"], back["state"]) == ("live", "previous")
    assert there["attempt"] == back["attempt"] != ""


def test_member_that_was_unhealthy_before_is_not_rolled_back(cluster: Simulation) -> None:
    drifted(cluster)
    sick = compared("m3", "m1", healthy=False, problems=["readiness: HTTP 500"], drift=DRIFT)
    cluster.answers["m3"]["drift"] = sick
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert [options["state"] for options in run.options("m3", "scheduler_fileset")] == ["live"]
    assert run.rolled == ["m3"]


def test_member_that_becomes_unhealthy_after_its_roll_stops_the_rollout(
    cluster: Simulation,
) -> None:
    """The check before the roll of the next member detects the unhealthy member."""
    drifted(cluster)
    cluster.answers["m2"]["drift"] = [compared("m2", "m1", drift=DRIFT), compared("m2", "m1")]
    cluster.answers["m2"]["@sick_after"] = 5
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert "m2 became unhealthy (readyz: HTTP 500); the remaining members are unchanged" in run.text
    assert run.rolled == ["m2"]


@pytest.mark.cores
def test_lease_must_move_between_two_queries(cluster: Simulation) -> None:
    """The check compares two new queries of the lease.

    A comparison with the facts of the start would prove only that a member has renewed the lease at
    some time since the start.
    """
    drifted(cluster)
    later, first = (
        lease("m1.example"),
        {**lease("m1.example"), "renew_time": "2026-01-01T00:00:09.000000Z"},
    )
    cluster.change("m2", "gather", lease=first)
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    _gathered, *questions = run.options("m2", "scheduler_info")
    assert [question["previous_lease"] for question in questions] == [
        first,
        later,
        later,
        first,
        later,
        later,
    ]


def test_only_the_leader_hands_over_its_lease(cluster: Simulation) -> None:
    drifted(cluster)
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    wanted = {
        name: run.options(name, "scheduler_fileset")[0].get("handover") for name in cluster.answers
    }
    assert (wanted["m2"], wanted["m3"]) == (None, None)
    assert wanted["m1"] == {
        "kubeconfig": "/run/credentials/kube-scheduler.service/kubeconfig",
        "name": "kube-scheduler",
        "namespace": "kube-system",
        "lock": "leases",
        "timeout": 33.8,
    }
    # The queries are gather, drift, one for each of three positions, one after the roll, and one at
    # the end. Only the query after the roll waits for a steady member.
    steady = [float(options.get("steady", 0)) for options in run.options("m2", "scheduler_info")]
    assert steady == [0, 0, 0, 12, 0, 0, 0]
    assert (
        "kube_masters: rollout order: m2 (standby, canary), m3 (standby), m1 (leader)" in run.text
    )
    for line in (
        "m2: rolling, step 1 of 3; leader: m1",
        "m2: rolled, healthy, version 1.37.2",
    ):
        assert line in run.text


def test_last_healthy_member_is_not_rolled(cluster: Simulation) -> None:
    drifted(cluster)
    for name in ("m2", "m3"):
        cluster.answers[name]["drift"] = compared(
            name, "m1", healthy=False, problems=["readiness: HTTP 500"]
        )
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert (
        "m1 is the only healthy member and was not rolled, because no other member could schedule"
        in run.text
    )
    assert run.rolled == []


# --- rollback.yml and upgrade.yml


RECALLED = {
    "changed": True,
    "done": ["config"],
    "version": "1.36.1",
    "not_after": "2036-01-01T00:00:00+00:00",
}


def recalled(cluster: Simulation, **changes: Any) -> None:
    """Give all hosts a previous file set of an earlier version."""
    for name in cluster.answers:
        older = {"process": {**gathered(name, "m1")["process"], "version": "1.36.1"}}
        cluster.answers[name]["scheduler_fileset"] = {**RECALLED, **changes}
        cluster.answers[name]["drift"] = [
            compared(name, "m1"),
            compared(name, "m1", drift=DRIFT, **older),
        ]


def test_rollback_restores_the_previous_set(cluster: Simulation) -> None:
    recalled(cluster)
    run = cluster.run("playbooks/rollback.yml")
    assert run.code == 0, run.output
    # The plan can have another lease than the previous file set.
    assert not any(
        options.get("lease")
        for name in cluster.answers
        for options in run.options(name, "scheduler_fileset")
    )
    states = [
        (sent["host"], sent["options"]["state"])
        for sent in run.sent
        if sent["module"] == "scheduler_fileset"
    ]
    assert sorted(states[:3]) == [(name, "recalled") for name in cluster.answers]
    assert states[3:] == [("m2", "live"), ("m3", "live"), ("m1", "live")]
    assert "m2 1.37.2 -> 1.36.1 (standby, canary)" in run.text
    assert "m1: rolled, healthy, version 1.36.1" in run.text


def test_rollback_needs_no_ca_key(cluster: Simulation) -> None:
    recalled(cluster)
    cluster.variables["kube_scheduler_ca_key"] = "/nonexistent/ca-key.pem"
    run = cluster.run("playbooks/rollback.yml")
    assert run.code == 0, run.output
    assert run.rolled == ["m2", "m3", "m1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"not_after": "2026-01-01T00:00:00+00:00"},
            "m1: the certificate of the previous file set expired on 2026-01-01",
        ),
        (
            {"version": "1.38.0"},
            "kube_scheduler_version: 1.38.0 is newer than the apiserver of m1, v1.37.2",
        ),
        ({"failed": True, "msg": "contains no previous file set"}, "contains no previous file set"),
    ],
)
def test_rollback_to_an_unusable_set_is_rejected(
    cluster: Simulation, changes: dict[str, Any], words: str
) -> None:
    recalled(cluster)
    cluster.change("m1", "scheduler_fileset", **changes)
    run = cluster.run("playbooks/rollback.yml")
    assert run.code != 0
    assert words in run.text
    assert ("are from different rollouts" in run.text) == ("version" in changes)
    assert run.rolled == []


def test_rollback_in_check_mode_shows_the_sets_and_changes_nothing(cluster: Simulation) -> None:
    recalled(cluster)
    run = cluster.run("playbooks/rollback.yml", "--check")
    assert run.code == 0, run.output
    assert "m2 1.37.2 -> 1.36.1 (standby, canary)" in run.text
    assert all(sent["check"] for sent in run.sent if sent["module"] == "scheduler_fileset")


def test_upgrade_requires_a_version(cluster: Simulation) -> None:
    """upgrade.yml runs like site.yml, but requires a version."""
    drifted(cluster)
    for name in cluster.answers:
        older = {"process": {**gathered(name, "m1")["process"], "version": "1.36.1"}}
        cluster.change(name, "gather", **older)
        cluster.answers[name]["drift"][0].update(older)
    run = cluster.run("playbooks/upgrade.yml")
    assert run.code == 0, run.output
    assert "m2 1.36.1 -> 1.37.2 (standby, canary)" in run.text
    assert run.rolled == ["m2", "m3", "m1"]
    cluster.variables["kube_scheduler_version"] = ""
    run = cluster.run("playbooks/upgrade.yml")
    assert run.code != 0
    assert "kube_scheduler_version: not set; set the version" in run.text
    assert not any(run.calls.values())


@pytest.mark.cores
def test_strategy_free_is_rejected(cluster: Simulation, tmp_path: Path) -> None:
    drifted(cluster)
    playbook = tmp_path / "free.yml"
    playbook.write_text(
        "- hosts: kube_masters\n  strategy: free\n  gather_facts: false\n  roles: [kube_ha.scheduler.kube_scheduler]\n"
    )
    run = cluster.run(playbook)
    assert run.code != 0
    assert (
        "strategy free rolls all members of a cluster at once; use the strategy linear" in run.text
    )
    assert not any(run.calls.values())


def test_stopped_cluster_does_not_stop_other_clusters(tmp_path: Path) -> None:
    """If one cluster stops, the other clusters complete their rollouts.

    Clusters run in parallel with orders of different lengths. The end of the output lists the
    stopped clusters.
    """
    clusters = {
        name: [f"{name}{number}" for number in (1, 2, 3)]
        for name in ("whole", "short", "sick", "gone")
    }
    several = Simulation(tmp_path, clusters=clusters)
    drifted(several, leaders=("whole1", "short1", "sick3", "gone1"))
    several.answers["short2"]["drift"] = compared("short2", "short1")
    problems = {"healthy": False, "problems": ["readiness: HTTP 500"]}
    several.answers["sick1"]["drift"][1] = compared("sick1", "sick3", **problems)
    several.lost = {"gone2": 0}
    run = several.run(
        "playbooks/site.yml",
        several.everywhere,
        "--tags=kube_scheduler_rollout,kube_scheduler_verify",
    )
    assert run.code != 0
    assert together(run.output) == [["short3", "sick1", "whole2"], ["short1", "whole3"], ["whole1"]]
    assert [run.calls[name] for name in clusters["gone"]] == [["gather"], [], ["gather"]]
    for name in ("whole1", "whole2", "whole3", "short1", "short2", "short3"):
        assert re.search(rf"^{name} .*unreachable=0 +failed=0", run.output, re.MULTILINE), name
    assert "sick1: unhealthy after the roll: readiness: HTTP 500" in run.text
    for name in ("sick2", "sick3"):
        line = "rollout stopped because sick1 failed; the remaining members are unchanged"
        assert re.search(rf"fatal: \[{name}\][^\[]*{line}", run.text), name
    assert "gone1: not changed, because gone2 of its cluster failed or is unreachable" in run.text
    end = run.output.partition(
        "TASK [kube_ha.scheduler.kube_scheduler : Report the status of the clusters]"
    )[2]
    assert "4 clusters: 2 need attention: gone, sick" in end.splitlines()
    for name in (
        "gone2: no result",
        "sick1: readiness: HTTP 500",
        "sick3: failed or became unreachable in this run",
    ):
        assert name in end.splitlines()


# --- lost members


def lost(cluster: Simulation) -> Outcome:
    run = cluster.run("playbooks/site.yml", cluster.everywhere)
    assert run.code != 0
    assert "Traceback" not in run.output
    for name, calls in cluster.lost.items():
        assert len(run.calls[name]) == calls, "it was asked no more"
        assert f"{name} is lost" in run.text
    return run


def test_member_lost_before_the_rollout_changes_nothing(cluster: Simulation) -> None:
    """If a member is lost in either of the two first queries, no host changes."""
    drifted(cluster)
    for calls in (0, 1):
        cluster.lost = {"m2": calls}
        run = lost(cluster)
        assert {name for calls in run.calls.values() for name in calls} <= {"gather", "drift"}


# Each entry maps the number of module runs before the last standby is lost to the number of rolled
# members. The runs are, in order: gather, drift, x509_cert twice, kubeconfig, the staged file set,
# and drift at each position. Between two positions, the runs promote the file set and check its
# health. The last run checks the health at the end.
ROLLED_BEFORE = {2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 1, 8: 1, 9: 2, 10: 2, 11: 3}


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((4, 8), marks=pytest.mark.cores),
        pytest.param((2, 3, 5, 6, 7, 9, 10, 11), marks=pytest.mark.nightly),
    ],
)
def test_lost_member_stops_the_rollout_of_its_cluster(
    tmp_path: Path, steps: tuple[int, ...]
) -> None:
    """If a member is lost during staging or during its roll, the rollout of its cluster stops.

    One cluster covers each step.
    """
    clusters = {f"c{step}": [f"c{step}m{n}" for n in (1, 2, 3)] for step in steps}
    several = Simulation(tmp_path, clusters=clusters)
    drifted(several, leaders=tuple(names[0] for names in clusters.values()))
    several.lost = {f"c{step}m3": step for step in steps}
    run = lost(several)
    for step, (leader, canary, other) in zip(steps, clusters.values()):
        rolled = [name for name in run.rolled if name in (leader, canary, other)]
        assert rolled == [canary, other, leader][: ROLLED_BEFORE[step]], (step, rolled)


def test_unreachable_member_changes_nothing(cluster: Simulation) -> None:
    drifted(cluster)
    cluster.answers["m2"]["gather"] = "no JSON at all"
    run = cluster.run()
    assert run.code != 0
    assert "Traceback" not in run.output
    assert all(set(calls) <= {"gather", "drift"} for calls in run.calls.values()), run.calls

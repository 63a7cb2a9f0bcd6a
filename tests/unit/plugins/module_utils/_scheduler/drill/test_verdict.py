"""Whom a drill may hit, what bounds it, and what was seen amounts to."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import (
    DEFAULT_TIMINGS,
    ElectionTimings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import verdict

from tests.support.simulation import PROCESS, compared, lease

TABLE: dict[str, dict[str, Any]] = {"1.20": {"releases": False}, "1.37": {"releases": True}}
FAST = {"lease_duration": 5.0, "renew_deadline": 3.0, "retry_period": 1.0}
A, B, C = (f"m{n}.example_12345678-1234-1234-1234-12345678900{n}" for n in (1, 2, 3))


def answers(leader: str = "m1", **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: compared(name, leader, **changes.get(name, {})) for name in ("m1", "m2", "m3")}


def chosen(kind: str = "stop", wanted: tuple[str, ...] = (), **changes: Any) -> verdict.Choice:
    choice, faults = verdict.choose(kind, wanted, ["m1", "m2", "m3"], answers(**changes), TABLE)
    assert faults == []
    assert choice is not None
    return choice


def refused(wanted: tuple[str, ...] = (), undo_after: int = 0, **changes: Any) -> str:
    choice, faults = verdict.choose(
        "stop", wanted, ["m1", "m2", "m3"], answers(**changes), TABLE, undo_after=undo_after
    )
    assert choice is None
    (line,) = faults
    assert "\n" not in line
    return line


SICK = {"healthy": False, "problems": ["readiness: HTTP 500"]}


def test_the_leader_is_hit_if_nobody_is_named() -> None:
    choice = chosen()
    assert (choice["targets"], choice["primary"], choice["standbys"]) == (["m1"], "m1", [])
    assert choice["staying"] == ["m2", "m3"]
    assert choice["lease"] == {
        "namespace": "kube-system",
        "name": "kube-scheduler",
        "sources": ["lease"],
    }


def test_the_leader_goes_last_of_two() -> None:
    choice = chosen(wanted=("m1", "m3"))
    assert (choice["primary"], choice["standbys"], choice["staying"]) == ("m1", ["m3"], ["m2"])


def test_standbys_alone() -> None:
    choice = chosen(wanted=("m2", "m3", "m2"))
    assert (choice["targets"], choice["primary"], choice["staying"]) == (["m2", "m3"], "m2", ["m1"])


def test_a_sick_member_that_is_not_hit_does_not_matter() -> None:
    assert chosen(m3=SICK)["staying"] == ["m2"]


def test_never_all() -> None:
    assert refused(("m1", "m2", "m3")).endswith(
        "are all the healthy members; leave one that can lead"
    )
    assert refused(("m1", "m2"), m3=SICK) == (
        "drill_targets: m1, m2 are all the healthy members; leave one that can lead"
    )


def test_fewer_than_two_healthy_members() -> None:
    assert refused(m2=SICK, m3=SICK) == (
        "a drill needs two healthy members, and only m1 is: m2: readiness: HTTP 500; m3: readiness: HTTP 500"
    )
    choice, faults = verdict.choose("stop", [], ["m1", "m2"], {"m1": compared("m1", "m1")}, TABLE)
    assert (choice, faults) == (
        None,
        ["a drill needs two healthy members, and only m1 is: m2: it gave no answer"],
    )
    assert "none is" in refused(m1=SICK, m2=SICK, m3=SICK)


def test_a_target_that_is_unknown_or_sick() -> None:
    assert refused(("m9",)) == "drill_targets: m9: no such member; they are m1, m2, m3"
    assert (
        refused(("m3",), m3=SICK)
        == "m3 is not healthy, so it cannot be drilled: readiness: HTTP 500"
    )
    assert refused(m1=SICK).startswith("m1 is not healthy")


def test_a_lease_that_is_not_one_s_own_or_does_not_move() -> None:
    foreign = {"lease": lease("other.example")}
    assert refused(m1=foreign, m2=foreign, m3=foreign) == (
        "the lease is held by other.example, which is none of m1.example, m2.example, m3.example;"
        " drill the cluster that it belongs to"
    )
    assert refused(m2=foreign).startswith(
        "the members do not agree who leads: m1.example, other.example"
    )
    still = {"lease": {**lease("m1.example"), "moving": False}}
    assert refused(m3=still).startswith(
        "the lease does not move: m1.example was not seen to renew it by m3"
    )
    free = {"lease": {**lease("m1.example"), "holder": None}}
    assert refused(m1=free, m2=free, m3={"lease": None}).startswith("nobody holds the lease")


def test_members_that_elect_by_different_leases() -> None:
    other = {"process": {**PROCESS, "lease_name": "other"}}
    assert refused(m2=other) == (
        "the members do not elect by one lease, but by kube-system/kube-scheduler and kube-system/other"
    )


def test_times_that_are_not_known() -> None:
    assert refused(m2={"process": {**PROCESS, "timings": None}}).startswith(
        "m2: the times of the election"
    )


def test_the_fault_is_not_undone_while_it_is_measured() -> None:
    choice = chosen()
    assert choice["undo_after"] >= choice["deadline"] + verdict.MARGIN
    assert refused(undo_after=10) == (
        "drill_undo_after: 10 s would undo the fault while it is measured; give 31 or more"
    )
    taken, _faults = verdict.choose("stop", [], ["m1", "m2", "m3"], answers(), TABLE, undo_after=31)
    assert taken
    assert taken["undo_after"] == 31


def test_a_leader_that_lost_the_lease_is_given_time_to_end() -> None:
    assert {kind: chosen(kind)["settle"] for kind in verdict.KINDS} == {
        "stop": 0,
        "kill": 0,
        "freeze": 13,
        "partition": 13,
    }
    assert chosen("freeze", ("m2",))["settle"] == 0


def test_bounds() -> None:
    stop = verdict.bounds_of("stop", DEFAULT_TIMINGS, "1.37.2", TABLE)
    assert (stop["released"], stop["crash"], stop["kind"]) == (5.4, 24.8, "released")
    for kind in ("kill", "freeze", "partition"):
        assert verdict.bounds_of(kind, DEFAULT_TIMINGS, "1.37.2", TABLE)["kind"] == "crash"
    old = verdict.bounds_of("stop", ElectionTimings(5, 3, 1), "1.20.2", TABLE)
    assert (old["crash"], old["kind"]) == (10.4, "crash")
    assert "1.20.2 does not give its lease back" in old["reason"]


def test_the_bound_follows_the_lease_and_the_slowest_of_those_who_may_take_over() -> None:
    fast = {"process": {**PROCESS, "timings": FAST}}
    assert (
        chosen("kill", m1=fast, m2=fast, m3=fast)["bounds"]["crash"] == 20.4
    )  # the lease says 15 s
    own = {**fast, "lease": {**lease("m1.example"), "lease_duration": 5}}
    assert chosen("kill", m1=own, m2=own, m3=own)["bounds"]["crash"] == 10.4
    slow = {**own, "process": PROCESS}
    assert chosen("kill", m1=own, m2=own, m3=slow)["bounds"]["crash"] == 24.8
    assert chosen("kill", ("m1", "m3"), m1=own, m2=own, m3=slow)["bounds"]["crash"] == 10.4


# --- what was seen


def record(at: float, identity: str, transitions: int = 1) -> verdict.Sample:
    return verdict.Sample(at, identity, f"renewed at {at}", transitions)


TAKEOVER = [
    record(98, A),
    record(99, A),
    record(100.2, ""),
    record(101.3, B, 2),
    record(102.3, B, 2),
    record(103.3, B, 2),
]
CRASH = [record(99, A), record(106, B, 2), record(107, B, 2), record(108, B, 2)]


def saw(
    samples: list[verdict.Sample], pods: list[verdict.Pod] | None = None, ended: float = 110.0
) -> verdict.Seen:
    return verdict.Seen(
        samples=samples, pods=pods or [], polls=500, longest_pause=0.03, fault=100.0, ended=ended
    )


def report(seen: verdict.Seen, choice: verdict.Choice | None = None, **more: Any) -> verdict.Report:
    return verdict.evaluate(choice or chosen(), seen, time="2026-11-25T00:00:00Z", **more)


def test_a_takeover_after_a_release() -> None:
    found = report(
        saw(
            TAKEOVER,
            [verdict.Pod("p0", 100.1, 101.5, "n1", 1), verdict.Pod("p1", 101.6, 101.7, "n1", 1)],
        )
    )
    assert found["faults"] == found["notes"] == []
    assert (found["passed"], found["leaderless"], found["released"], found["bound"]) == (
        True,
        1.3,
        0.2,
        5.4,
    )
    assert (found["leader_before"], found["leader_after"], found["transitions"]) == ("m1", "m2", 1)
    assert [(entry["holder"], entry["since"], entry["to"]) for entry in found["holders"]] == [
        ("m1.example", -2.0, 0.2),
        ("", 0.2, 1.3),
        ("m2.example", 1.3, 10.0),
    ]
    takeover, pods = found["words"]
    assert takeover == "m1 led and was stopped; m2 leads now, after 1.3 s of at most 5.4 s"
    assert pods == (
        "pods: 2 were created meanwhile, none was lost, none was bound twice; a new pod waited for its node at most 1.4 s,"
        " and pods that ran were not touched"
    )


def test_over_the_bound() -> None:
    seen = [*TAKEOVER[:3], record(106, B, 2), record(107, B, 2), record(108, B, 2)]
    found = report(saw(seen))
    assert not found["passed"]
    assert found["faults"] == ["6.0 s without a leader, which is over the bound of 5.4 s"]
    late = [record(99, A), record(125, B, 2), record(126, B, 2), record(127, B, 2)]
    assert report(saw(late, ended=130), chosen("kill"))["faults"] == [
        "25.0 s without a leader, which is over the bound of 24.8 s"
    ]


def test_a_release_that_lost_the_race_is_told_and_is_no_fault() -> None:
    found = report(saw(CRASH))
    assert (found["passed"], found["bound"]) == (True, 24.8)
    assert "kubernetes#131867" in found["notes"][0]
    assert "kubernetes#131867" in found["words"][-1]


def test_a_version_without_release_is_bound_by_a_crash_and_says_why() -> None:
    old = {"process": {**PROCESS, "version": "1.20.2"}}
    found = report(saw(CRASH), chosen(m1=old, m2=old, m3=old))
    assert (found["passed"], found["bound"]) == (True, 24.8)
    assert found["notes"] == [
        "1.20.2 does not give its lease back when it is stopped, so a stop costs what a crash costs"
    ]


def test_nobody_takes_over() -> None:
    found = report(saw([record(99, A)], ended=131.0), chosen("freeze"))
    assert found["faults"] == ["nobody took the lease within 31.0 s; at most 24.8 s were expected"]
    assert found["leaderless"] is None
    assert found["words"][0] == "m1 led and was frozen; nobody leads now, after more than 24.8 s"


def test_a_holder_that_does_not_renew_is_no_leader() -> None:
    found = report(saw(CRASH[:3]), chosen("kill"))
    assert found["faults"] == ["the next holder was not seen to renew the lease twice"]


def test_the_killed_one_may_win_again() -> None:
    again = A[:-1] + "9"
    found = report(
        saw([record(99, A), *(record(at, again, 2) for at in (106, 107, 108))]), chosen("kill")
    )
    assert (
        found["words"][0]
        == "m1 led and was killed; m1, restarted, leads now, after 6.0 s of at most 24.8 s"
    )


def test_a_takeover_at_once() -> None:
    """The next holder had the lease before the latest moment at which the fault can have happened."""
    seen = saw(
        [
            record(99, A),
            record(99.95, "", 1),
            record(99.97, B, 2),
            record(101, B, 2),
            record(103, B, 2),
        ]
    )
    seen.uncertainty = 0.08
    found = report(seen)
    assert (found["faults"], found["notes"]) == ([], [])
    assert (found["leaderless"], found["released"], found["transitions"]) == (0.0, 0.0, 1)
    assert (found["leader_before"], found["identity_before"], found["leader_after"]) == (
        "m1",
        A,
        "m2",
    )
    assert verdict.settled(
        seen.samples, seen.fault or 0, takeover=True, uncertainty=seen.uncertainty
    )


def test_further_transitions_are_told() -> None:
    seen = [*TAKEOVER, record(104, C, 3), record(105, C, 3), record(106, C, 3)]
    found = report(saw(seen))
    assert found["leader_after"] == "m3"
    assert found["notes"] == ["the lease changed hands 2 times, not 1"]


def test_two_of_three() -> None:
    found = report(saw(TAKEOVER), chosen(wanted=("m1", "m3")))
    assert found["words"][0] == (
        "m1 led and was stopped, and so was m3; m2 leads now, after 1.3 s of at most 5.4 s"
    )


def test_standbys_alone_change_nothing() -> None:
    choice = chosen("partition", ("m2", "m3"))
    kept = [record(at, A) for at in (99, 101, 103, 105)]
    found = report(saw(kept), choice)
    assert (found["passed"], found["bound"], found["transitions"], found["leaderless"]) == (
        True,
        None,
        0,
        None,
    )
    assert (
        found["words"][0] == "m2 and m3 were cut off from their apiserver; m1 led and leads still"
    )
    lost = report(saw([*kept, record(106, B, 2)]), choice)
    assert lost["faults"] == [f"m1 lost the lease, though only standbys were hit: {B} has it"]


@pytest.mark.parametrize(
    ("pods", "fault"),
    [
        ([verdict.Pod("p0", 99, 99.1, "n1", 1), verdict.Pod("p1", 100)], "1 of 2 pods got no node"),
        ([verdict.Pod("p0", 99, 99.1, "n1", 2)], "1 of 1 pods were bound twice"),
    ],
)
def test_pods_that_are_lost_or_bound_twice(pods: list[verdict.Pod], fault: str) -> None:
    found = report(saw(TAKEOVER, pods))
    assert found["faults"] == [fault]


def test_gaps() -> None:
    pods = [
        verdict.Pod(f"p{n}", at, bound, "n1", 1)
        for n, (at, bound) in enumerate([(1, 1.1), (2, 6), (3, 6.1)])
    ]
    found = verdict.judge_pods(pods, 2.0)
    assert (found["longest_wait"], found["longest_gap"]) == (4.0, 4.9)
    assert found["pods"][1] == {"name": "p1", "created": 0.0, "bound": 4.0, "node": "n1"}
    assert verdict.judge_pods([], 0.0)["longest_wait"] is None


def test_a_member_that_does_not_recover() -> None:
    found = report(saw(TAKEOVER), sick={"m1": "readiness: HTTP 500"}, journal={"m1": ["lost"]})
    assert found["faults"] == ["m1: not healthy after the drill: readiness: HTTP 500"]
    assert not found["healthy_again"]
    assert found["journal"] == {"m1": ["lost"]}


def test_settled() -> None:
    assert not verdict.settled([], 100.0, takeover=True)
    assert not verdict.settled(TAKEOVER[:4], 100.0, takeover=True)
    assert not verdict.settled(TAKEOVER[:5], 100.0, takeover=True)
    assert verdict.settled(TAKEOVER, 100.0, takeover=True)
    assert not verdict.settled([record(at, A) for at in (99, 101, 102)], 100.0, takeover=True)
    assert not verdict.settled([record(at, A) for at in (99, 101)], 100.0, takeover=False)
    assert verdict.settled([record(at, A) for at in (99, 101, 102, 103)], 100.0, takeover=False)
    assert not verdict.settled(TAKEOVER[:3], 100.0, takeover=True)

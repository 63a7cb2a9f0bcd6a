"""Test the choice of drill targets, the rejected drills and the bounds."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import (
    DEFAULT_TIMINGS,
    ElectionTimings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.choice import (
    FAULT_KINDS,
    UNDO_MARGIN_S,
    Choice,
    DrillRequest,
    RejectedDrillError,
    choose,
    compute_bounds,
)

from tests.support.simulation import PROCESS, compared, lease

MEMBERS = ["m1", "m2", "m3"]
TABLE: dict[str, dict[str, Any]] = {"1.20": {"releases": False}, "1.37": {"releases": True}}
FAST = {"lease_duration": 5.0, "renew_deadline": 3.0, "retry_period": 1.0}
UNHEALTHY = {"healthy": False, "problems": ["readiness: HTTP 500"]}


def health(leader: str = "m1", **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: compared(name, leader, **changes.get(name, {})) for name in MEMBERS}


def chosen(kind: str = "stop", targets: tuple[str, ...] = (), **changes: Any) -> Choice:
    return choose(DrillRequest(kind, targets), MEMBERS, health(**changes), TABLE)


def rejected(targets: tuple[str, ...] = (), undo_after: int = 0, **changes: Any) -> str:
    request = DrillRequest("stop", targets, undo_after)
    with pytest.raises(RejectedDrillError) as caught:
        choose(request, MEMBERS, health(**changes), TABLE)
    (line,) = caught.value.reasons
    assert "\n" not in line
    return line


def test_leader_is_target_by_default() -> None:
    choice = chosen()
    assert (choice["targets"], choice["primary"], choice["standbys"]) == (["m1"], "m1", [])
    assert choice["remaining"] == ["m2", "m3"]
    assert choice["lease"] == {
        "namespace": "kube-system",
        "name": "kube-scheduler",
        "sources": ["lease"],
    }


def test_leader_among_two_targets_is_last() -> None:
    choice = chosen(targets=("m1", "m3"))
    assert (choice["primary"], choice["standbys"], choice["remaining"]) == ("m1", ["m3"], ["m2"])


def test_standbys_can_be_the_only_targets() -> None:
    choice = chosen(targets=("m2", "m3", "m2"))
    assert choice["targets"] == ["m2", "m3"]
    assert (choice["primary"], choice["remaining"]) == ("m2", ["m1"])


def test_unhealthy_member_that_is_no_target_is_allowed() -> None:
    assert chosen(m3=UNHEALTHY)["remaining"] == ["m2"]


def test_all_healthy_members_as_targets_are_rejected() -> None:
    assert rejected(("m1", "m2", "m3")).endswith(
        "are all healthy members; leave out at least one of them"
    )
    assert rejected(("m1", "m2"), m3=UNHEALTHY) == (
        "drill_targets: m1, m2 are all healthy members; leave out at least one of them"
    )


def test_fewer_than_two_healthy_members_are_rejected() -> None:
    assert rejected(m2=UNHEALTHY, m3=UNHEALTHY) == (
        "a drill needs two healthy members, but only m1 is healthy:"
        " m2: readiness: HTTP 500; m3: readiness: HTTP 500"
    )
    with pytest.raises(RejectedDrillError) as caught:
        choose(DrillRequest("stop"), ["m1", "m2"], {"m1": compared("m1", "m1")}, TABLE)
    assert caught.value.reasons == [
        "a drill needs two healthy members, but only m1 is healthy: m2: no response"
    ]
    assert "no member is healthy" in rejected(m1=UNHEALTHY, m2=UNHEALTHY, m3=UNHEALTHY)


def test_unknown_or_unhealthy_target_is_rejected() -> None:
    assert rejected(("m9",)) == "drill_targets: not in the cluster: m9; select from m1, m2, m3"
    assert rejected(("m3",), m3=UNHEALTHY) == (
        "m3 is unhealthy: readiness: HTTP 500; set drill_targets to healthy members"
    )
    assert rejected(m1=UNHEALTHY).startswith("m1 is unhealthy")


def test_foreign_or_frozen_lease_is_rejected() -> None:
    foreign = {"lease": lease("other.example")}
    assert rejected(m1=foreign, m2=foreign, m3=foreign) == (
        "the lease holder is other.example, which is not one of m1.example, m2.example, m3.example;"
        " run the drill on the cluster of this holder"
    )
    assert rejected(m2=foreign).startswith(
        "the members report different leaders: m1.example, other.example"
    )
    frozen = {"lease": {**lease("m1.example"), "moving": False}}
    assert rejected(m3=frozen).startswith(
        "the lease does not move: m3 did not observe a renewal by m1.example"
    )
    released = {"lease": {**lease("m1.example"), "holder": None}}
    assert rejected(m1=released, m2=released, m3={"lease": None}).startswith(
        "the lease has no holder"
    )


def test_members_with_different_leases_are_rejected() -> None:
    other = {"process": {**PROCESS, "lease_name": "other"}}
    assert rejected(m2=other) == (
        "the members use different leases: kube-system/kube-scheduler and kube-system/other;"
        " configure the same lease for all members"
    )


def test_unknown_election_times_are_rejected() -> None:
    assert rejected(m2={"process": {**PROCESS, "timings": None}}).startswith(
        "m2: the election times are unknown"
    )


def test_undo_after_is_longer_than_the_measurement() -> None:
    choice = chosen()
    assert choice["undo_after"] >= choice["deadline"] + UNDO_MARGIN_S
    assert rejected(undo_after=10) == (
        "drill_undo_after: 10 s would remove the fault during the measurement; set at least 31 s"
    )
    accepted = choose(DrillRequest("stop", undo_after=31), MEMBERS, health(), TABLE)
    assert accepted["undo_after"] == 31


def test_leader_that_loses_the_lease_has_time_to_exit() -> None:
    assert {kind: chosen(kind)["settle"] for kind in FAULT_KINDS} == {
        "stop": 0,
        "kill": 0,
        "freeze": 13,
        "partition": 13,
    }
    assert chosen("freeze", ("m2",))["settle"] == 0


def test_bounds_of_each_kind_and_version() -> None:
    stop = compute_bounds("stop", DEFAULT_TIMINGS, "1.37.2", TABLE)
    assert (stop["released"], stop["crash"], stop["kind"]) == (5.4, 24.8, "released")
    for kind in ("kill", "freeze", "partition"):
        assert compute_bounds(kind, DEFAULT_TIMINGS, "1.37.2", TABLE)["kind"] == "crash"
    old = compute_bounds("stop", ElectionTimings(5, 3, 1), "1.20.2", TABLE)
    assert (old["crash"], old["kind"]) == (10.4, "crash")
    assert "1.20.2 does not release its lease" in old["reason"]


def test_bound_uses_the_lease_and_the_slowest_member_that_can_take_over() -> None:
    fast = {"process": {**PROCESS, "timings": FAST}}
    # The duration of the lease is 15 s.
    assert chosen("kill", m1=fast, m2=fast, m3=fast)["bounds"]["crash"] == 20.4
    fast_lease = {**fast, "lease": {**lease("m1.example"), "lease_duration": 5}}
    fast_members: dict[str, Any] = {"m1": fast_lease, "m2": fast_lease}
    assert chosen("kill", **fast_members, m3=fast_lease)["bounds"]["crash"] == 10.4
    slow = {**fast_lease, "process": PROCESS}
    assert chosen("kill", **fast_members, m3=slow)["bounds"]["crash"] == 24.8
    assert chosen("kill", ("m1", "m3"), **fast_members, m3=slow)["bounds"]["crash"] == 10.4

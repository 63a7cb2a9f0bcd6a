"""Test the rollout order, the gate and the evaluation of results."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import rollout

DRIFT = [{"part": "config", "reason": "/etc/kubernetes/kube-scheduler.yaml: content differs"}]
ORDER = [["m1"], ["m3"], ["m2"]]


def result(name: str, holder: str = "m2", **given: Any) -> dict[str, Any]:
    return {
        "hostname": f"{name}.example",
        "healthy": True,
        "problems": [],
        "not_checked": [],
        "awaited": [],
        "unit": {"active_state": "active"},
        "process": {"pid": 7, "version": "1.37.2"},
        "lease": {
            "holder": f"{holder}.example" if holder else None,
            "moving": True,
            "state": "held",
            "transitions": 3,
        },
        "probes": {"served": {"days_left": 364}, "used": {"days_left": 363}, "metrics_http": None},
        "drift": DRIFT,
        **given,
    }


def scope(
    members: str = "m1 m2 m3", playing: str = "", batch: str = "", lost: str = ""
) -> rollout.PlayScope:
    playing = playing or members
    return rollout.PlayScope(
        members.split(), playing.split(), (batch or playing).split(), lost.split()
    )


def results(**given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: result(name, **given.get(name, {})) for name in ("m1", "m2", "m3")}


def test_leader_is_rolled_last() -> None:
    assert rollout.compute_order(results()) == ORDER


def test_members_without_drift_are_not_rolled() -> None:
    assert rollout.compute_order(results(m1={"drift": []}, m2={"drift": []})) == [["m3"]]
    assert rollout.compute_order({name: result(name, drift=[]) for name in ("m1", "m2")}) == []


def test_unhealthy_members_are_rolled_first() -> None:
    assert rollout.compute_order(results(m3={"healthy": False})) == [["m3"], ["m1"], ["m2"]]


def test_unhealthy_leader_that_renews_is_rolled_last() -> None:
    unhealthy = {"healthy": False}
    assert rollout.compute_order(results(m2=unhealthy)) == ORDER
    still = {"lease": {"holder": "m2.example", "moving": False}}
    assert rollout.compute_order(results(m2={**unhealthy, **still})) == [["m2"], ["m1"], ["m3"]]


def test_all_start_at_once_if_no_member_is_healthy() -> None:
    unhealthy = {"healthy": False, "lease": None}
    assert rollout.compute_order(results(m1=unhealthy, m2=unhealthy, m3=unhealthy)) == [
        ["m1", "m2", "m3"]
    ]


def test_order_is_empty_without_drift() -> None:
    assert rollout.compute_order({"m1": result("m1", healthy=False, drift=[])}) == []


def test_rollback_order_ignores_drift() -> None:
    assert rollout.compute_order(results(m1={"drift": []}), ["m2", "m1"]) == [["m1"], ["m2"]]
    assert rollout.compute_order(results(), []) == []


def test_one_healthy_member_keeps_the_order() -> None:
    unhealthy = {"healthy": False, "lease": None}
    assert rollout.compute_order(results(m1=unhealthy, m2={"drift": []}, m3=unhealthy)) == [
        ["m1"],
        ["m3"],
    ]


ALL = ["m1", "m2", "m3"]


def gate(  # noqa: PLR0913 - one keyword per field
    position: int,
    rolled: str = "",
    failed: str = "",
    *,
    order: list[list[str]] | None = None,
    healthy: list[str] | None = None,
    now: dict[str, Any] | None = None,
    me: str = "",
    blocked: dict[str, str] | None = None,
    play: rollout.PlayScope | None = None,
) -> rollout.GateResult:
    order, healthy = order or ORDER, ALL if healthy is None else healthy
    me = me or (order[position][0] if position < len(order) else "m1")
    marks = rollout.RolloutMarks(rolled.split(), failed.split(), blocked or {})
    return rollout.check_gate(
        rollout.RolloutStep(order, position, me), marks, healthy, now or results(), play or scope()
    )


@pytest.mark.parametrize(
    ("position", "rolled", "leads"),
    [(0, "", False), (1, "m1", False), (2, "m1 m3", True), (3, "m1 m3 m2", False)],
)
def test_gate_opens_at_each_position(position: int, rolled: str, leads: bool) -> None:
    assert gate(position, rolled) == ([], False, "", leads)


def test_gate_rejects_a_skipped_member() -> None:
    [line] = gate(2, "m1").errors
    assert line.startswith(
        "m2 would be rolled before m3, because the strategy of this play does not keep the hosts together"
    )


def test_failed_member_stops_the_rollout() -> None:
    assert gate(1, failed="m1") == ([], True, "", False)
    [line] = gate(3, failed="m1").errors
    assert (
        line
        == "rollout stopped because m1 failed; the remaining members are unchanged; fix the cause and run again"
    )


SICK: dict[str, Any] = {"healthy": False, "problems": ["readiness: HTTP 500"]}


@pytest.mark.parametrize("name", ["m1", "m3"])
def test_unhealthy_member_stops_the_rollout(name: str) -> None:
    """A rolled member that becomes unhealthy stops the rollout.

    A waiting member that was healthy at the start also stops the rollout.
    """
    outcome = gate(1, "m1", now=results(**{name: SICK}))
    reason = f"{name} became unhealthy (readiness: HTTP 500); the remaining members are unchanged; fix the cause and run again"
    assert outcome == ([], True, reason, False)
    assert gate(2, "m1", blocked={"m3": reason}) == ([], True, "", False)
    assert gate(3, "m1", blocked={"m3": reason, "m2": reason}).errors == [reason]
    # If a member was unhealthy at the start, a roll must be able to repair it.
    assert not gate(
        0, order=[["m3"], ["m1"], ["m2"]], healthy=["m1", "m2"], now=results(m3=SICK)
    ).stopped


def test_member_without_result_stops_the_rollout() -> None:
    left = {name: result(name) for name in ("m2", "m3")}
    assert "m1 became unhealthy (no usable result)" in gate(1, "m1", now=left).blocked


def test_gate_at_the_end_has_no_errors() -> None:
    assert gate(3, "m1 m3 m2", now=results(m1=SICK)) == ([], False, "", False)


def test_member_without_result_can_be_rolled() -> None:
    left = {name: result(name) for name in ("m2", "m3")}
    assert gate(0, healthy=["m2", "m3"], now=left) == ([], False, "", False)


def test_last_healthy_member_is_not_rolled() -> None:
    outcome = gate(0, order=[["m2"]], healthy=["m2"], now=results(m1=SICK, m3=SICK))
    assert outcome.blocked.startswith(
        "m2 is the only healthy member and was not rolled, because no other member could schedule"
    )
    led: dict[str, Any] = {"lease": {"holder": "m4.example", "moving": True}}
    # A member outside of this play is the leader.
    assert not gate(0, order=[["m2"]], healthy=["m2"], now={"m2": result("m2", **led)}).stopped
    # A cluster with one member cannot wait for another member.
    one = scope("m2")
    assert gate(0, order=[["m2"]], healthy=["m2"], now={"m2": result("m2")}, play=one) == (
        [],
        False,
        "",
        False,
    )


def test_current_leader_hands_over() -> None:
    """The current leader hands over, even if the rollout order is older than its leadership.

    A leader that does not renew cannot hand over.
    """
    moved = {name: {"holder": "m1"} for name in ALL}
    assert gate(0, now=results(**moved)).hands_over
    assert not gate(2, "m1 m3", now=results(**moved)).hands_over
    alone = results(
        m1=SICK, m2=SICK, m3={**SICK, "lease": {"holder": "m3.example", "moving": False}}
    )
    assert not gate(0, order=[ALL], healthy=[], now=alone, me="m3").hands_over


def test_gate_opens_if_no_member_was_healthy() -> None:
    for now in (results(m1=SICK, m2=SICK, m3=SICK), results(m2=SICK, m3=SICK)):
        assert gate(0, order=[ALL], healthy=[], now=now) == ([], False, "", False)


@pytest.mark.parametrize(
    ("given", "version", "line"),
    [
        ({"drift": []}, "1.37.2", ""),
        ({"drift": []}, "", ""),
        (SICK, "1.37.2", "m1: unhealthy after the roll: readiness: HTTP 500"),
        (
            {"drift": []},
            "1.36.1",
            "m1: runs 1.37.2 after the roll instead of 1.36.1; see its journal",
        ),
        (
            {},
            "1.37.2",
            "m1: differs from its plan after the roll: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
        ),
    ],
)
def test_roll_is_evaluated(given: dict[str, Any], version: str, line: str) -> None:
    outcome = rollout.evaluate_roll("m1", result("m1", **given), version=version, compared=True)
    assert outcome == ([line] if line else [])


def test_rollback_is_evaluated_without_version() -> None:
    back: dict[str, Any] = {"version": "", "compared": False, "rolled_back": True}
    assert rollout.evaluate_roll("m1", result("m1"), **back) == []
    assert rollout.evaluate_roll("m1", result("m1", **SICK), **back) == [
        "m1: unhealthy after the rollback: readiness: HTTP 500"
    ]


def test_order_is_described() -> None:
    outcome = results(m3={**SICK, "process": {"version": "1.36.1"}})
    assert rollout.describe_order([["m3"], ["m1"], ["m2"]], outcome, "1.37.2", 4.4) == [
        "rollout order: m3 1.36.1 -> 1.37.2 (unhealthy, canary), m1 (standby), m2 (leader)",
        "1 handover, at most 4.4 s without a leader",
    ]
    assert rollout.describe_order([["m1"]], outcome, "1.37.2", 4.4) == [
        "rollout order: m1 (standby)"
    ]
    unhealthy = results(m1=SICK, m2=SICK, m3=SICK)
    assert rollout.describe_order([ALL], unhealthy, "1.37.2", 4.4) == [
        "rollout order: all at once, because no member is healthy: m1, m2, m3"
    ]
    assert rollout.describe_order([], outcome, "1.37.2", 4.4) == []


def test_step_is_described() -> None:
    turn = rollout.RolloutStep(ORDER, 1, "m3")
    assert rollout.describe_step(turn, results()) == "m3: rolling, step 2 of 3; leader: m2"
    assert (
        rollout.describe_step(turn, results(), check=True)
        == "m3: would roll, step 2 of 3; leader: m2"
    )
    nobody = {"m3": result("m3", holder="")}
    assert (
        rollout.describe_step(turn, nobody)
        == "m3: rolling, step 2 of 3; leader: none of the members"
    )


def test_handover_is_described() -> None:
    seen = {"holder": "m3.example", "seconds": 0.9, "released": True, "transitions": 1}
    line = "m2: handed over the lease to m3.example, which led 0.9 s after the stop"
    assert rollout.describe_handover("m2", seen, 4.4) == [line]
    kept = {**seen, "seconds": 16.0, "released": False}
    assert rollout.describe_handover("m2", kept, 4.4)[1:] == [
        "m2: did not release its lease; the lease expired: 16 s instead of at most 4.4 s; see the journal of the scheduler"
    ]
    # The bound of a version that never releases the lease is higher.
    assert len(rollout.describe_handover("m2", kept, 23.8)) == 1


def test_transitions_are_described() -> None:
    def count(number: int) -> dict[str, Any]:
        return {name: {"lease": {**result(name)["lease"], "transitions": number}} for name in ALL}

    assert rollout.describe_transitions(results(**count(3)), results(**count(4))) == [
        "leader: m2; 1 lease transition during this run"
    ]
    [twice] = rollout.describe_transitions(results(**count(3)), results(**count(5)))
    assert twice.endswith("2 lease transitions during this run")
    assert rollout.describe_transitions(results(**count(3)), results(**count(3))) == []
    # In the first case, the lease did not exist before. In the second case, the lease was
    # re-created.
    assert (
        rollout.describe_transitions(
            results(**{name: {"lease": None} for name in ALL}), results(**count(1))
        )
        == []
    )
    assert rollout.describe_transitions(results(**count(3)), results(**count(0))) == []


NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("recalled", "expected"),
    [
        ({"changed": True, "not_after": "2026-11-26T00:00:00+00:00"}, ""),
        ({"changed": False, "not_after": ""}, ""),
        (
            {"changed": True, "not_after": "2026-11-24T12:30:00+00:00"},
            "expired on 2026-11-24 12:30 UTC; deploy the previous",
        ),
        (
            {"changed": True, "not_after": ""},
            "m1: the certificate of the previous file set is missing or unreadable",
        ),
        (
            {"changed": True, "not_after": "2026-11-26T00:00:00"},
            "m1: the certificate of the previous file set is missing",
        ),
        (
            {"changed": True, "not_after": "x"},
            "m1: the certificate of the previous file set is missing",
        ),
    ],
)
def test_previous_set_that_cannot_be_restored_is_rejected(
    recalled: dict[str, Any], expected: str
) -> None:
    outcome = rollout.check_recall("m1", recalled, NOW, "p_")
    assert len(outcome) == bool(expected)
    assert expected in "".join(outcome)


def test_original_set_without_known_certificate_is_restored() -> None:
    recalled = {"changed": True, "not_after": "", "original": True}
    assert rollout.check_recall("m1", recalled, NOW, "p_") == []
    recalled["not_after"] = "2026-11-24T12:30:00+00:00"
    [line] = rollout.check_recall("m1", recalled, NOW, "p_")
    assert "expired on" in line


def test_previous_sets_of_different_versions_are_rejected() -> None:
    older, newer = {"changed": True, "version": "1.36.1"}, {"changed": True, "version": "1.37.2"}
    assert rollout.check_recalled_versions(dict.fromkeys(ALL, older), results()) == []
    # If a member is not rolled back, it keeps its version.
    assert (
        rollout.check_recalled_versions(
            {"m1": {"changed": False}, "m2": newer, "m3": newer}, results()
        )
        == []
    )
    [line] = rollout.check_recalled_versions(
        {"m1": {"changed": False}, "m2": older, "m3": newer}, results()
    )
    assert (
        "the members would run m1 1.37.2, m2 1.36.1, m3 1.37.2; select the hosts to roll back with --limit"
        in line
    )


def test_results_are_stale_after_a_rollout_in_positions() -> None:
    playing = ["m1", "m2", "m3"]
    assert not rollout.are_results_stale([], playing)
    assert not rollout.are_results_stale([["m3", "m1", "m2"]], playing)
    assert rollout.are_results_stale([["m1"]], playing)
    assert rollout.are_results_stale(ORDER, playing)


@pytest.mark.parametrize(
    ("missing", "play", "expected"),
    [
        ("m1 m3", scope(playing="m2"), "excluded (m1, m3); run without --limit"),
        ("m3", scope(playing="m1 m2"), "excluded (m3); run without --limit"),
        ("m1 m3", scope(batch="m2"), "in later batches (m1, m3); remove serial"),
        ("m1 m3", scope(playing="m1 m2", batch="m2"), "excluded (m1, m3); run without --limit"),
    ],
)
def test_leader_is_not_rolled_before_excluded_members(
    missing: str, play: rollout.PlayScope, expected: str
) -> None:
    outcome = {name: result(name) for name in ("m1", "m2", "m3") if name not in missing}
    [line] = rollout.check_leader_scope(rollout.compute_order(outcome), outcome, play)
    start = "m2 leads and has drift, but members that must be rolled first are "
    assert line.startswith(f"{start}{expected}")


def test_standbys_are_rolled_without_excluded_members() -> None:
    alone = scope(playing="m2")
    for own in (
        {"drift": []},  # the member leads and has no drift
        {"lease": {"holder": "m1.example", "moving": True}},  # the member is a standby
        {
            "healthy": False,
            "lease": {"holder": "m2.example", "moving": False},
        },  # the member leads and does not renew
    ):
        outcome = {"m2": result("m2", **own)}
        assert rollout.check_leader_scope(rollout.compute_order(outcome), outcome, alone) == []
    assert rollout.check_leader_scope(ORDER, results(), scope()) == []
    # Without drift, the order is empty. A lost member stops the rollout in any case.
    assert rollout.check_leader_scope([], {"m2": result("m2")}, alone) == []
    assert (
        rollout.check_leader_scope(
            [["m2"]], {"m2": result("m2"), "m1": result("m1")}, scope(lost="m3")
        )
        == []
    )


def verdict(
    outcome: dict[str, dict[str, Any]],
    name: str = "m1",
    play: rollout.PlayScope | None = None,
    **given: Any,
) -> list[str]:
    return rollout.evaluate_member(
        name, outcome, play or scope(), **{"version": "1.37.2", "rolled": True, **given}
    ).errors


def fine(**given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: result(name, **{"drift": [], **given.get(name, {})}) for name in ("m1", "m2", "m3")
    }


def test_healthy_cluster_has_no_errors() -> None:
    assert verdict(fine()) == []


def test_missing_holder_is_no_disagreement() -> None:
    assert verdict(fine(m1={"lease": {**result("m1")["lease"], "holder": ""}})) == []
    assert verdict(fine(m1={"lease": None})) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"m1": {"healthy": False, "problems": ["readiness: HTTP 500"]}},
            "m1: readiness: HTTP 500",
        ),
        (
            {"m3": {"holder": "m3"}},
            "the members report different leaders: m2.example, m3.example; check that all members use the same lock and etcd cluster",
        ),
        (
            {"m1": {"process": {"version": "1.36.1"}}},
            "m1: runs version 1.36.1 instead of 1.37.2; run site.yml again",
        ),
        (
            {"m1": {"drift": DRIFT}},
            "m1: differs from its plan: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
        ),
    ],
)
def test_member_is_evaluated(given: dict[str, Any], expected: str) -> None:
    assert verdict(fine(**given)) == [expected]


def test_foreign_holder_is_an_error_with_all_results() -> None:
    foreign = {"holder": "x"}
    outcome = fine(m1=foreign, m2=foreign, m3=foreign)
    assert verdict(outcome) == [
        "lease holder x.example is not a member (members: m1.example, m2.example, m3.example); add its host to the group, or uninstall the scheduler there"
    ]
    more = scope("m1 m2 m3 m4", playing="m1 m2 m3")
    assert verdict(outcome, play=more) == []
    unknown = "whether the holder x.example is a member (no result from m4)"
    assert rollout.evaluate_leadership(outcome, more) == ([], [unknown])


def test_leader_of_an_earlier_batch_is_ignored() -> None:
    """The leader of an earlier batch is ignored, because that leader was rolled later.

    The hostnames of that batch still count.
    """
    outcome = fine(m3={"holder": "m1"})
    assert verdict(outcome, "m3") != []
    assert verdict(outcome, "m3", scope(batch="m3")) == []


def test_unchecked_items_are_returned() -> None:
    outcome = {"m1": result("m1", drift=[], not_checked=["metrics"])}
    lines = rollout.evaluate_member("m1", outcome, scope(playing="m1"), "1.37.2", rolled=True)
    assert lines.not_checked[0] == "metrics"
    assert lines.not_checked[1].startswith("whether the holder m2.example")


def test_staged_drift_is_no_error() -> None:
    outcome = fine(m1={"process": {"version": "1.36.1"}, "drift": DRIFT})
    assert verdict(outcome, rolled=False) == []


# --- removal


def removal(
    me: str = "m1", play: str = "m1", group: str = "m1 m2 m3", **given: Any
) -> rollout.RemovalResult:
    outcome = {name: result(name, **given.pop(name, {})) for name in play.split()}
    outcome[me] |= given
    return rollout.check_removal(me, outcome, scope(group, playing=play), "say so")


def test_removal_keeps_another_scheduler() -> None:
    assert removal() == ([], False)
    assert removal("m2", "m1 m2") == ([], True), "it leads, and hands over"
    assert removal(group="") == ([], False), "named without its group"


def test_last_schedulers_are_not_removed() -> None:
    assert removal("m2", "m1 m2 m3").errors == [
        "m2: no scheduler would remain without m1, m2, m3; keep a member with --limit, or say so"
    ]
    for lease in (
        None,
        {"holder": "m3.example", "moving": False},
        {"holder": None, "moving": False},
    ):
        [line] = removal(lease=lease).errors
        assert line.startswith(
            "m1: no renewal of the lease was observed, so no remaining scheduler is known"
        )
        assert line.endswith("or say so")


def test_host_without_scheduler_can_be_removed() -> None:
    stopped: dict[str, Any] = {"process": {"pid": 0}, "lease": None}
    assert removal("m2", "m1 m2 m3", **stopped) == ([], False)

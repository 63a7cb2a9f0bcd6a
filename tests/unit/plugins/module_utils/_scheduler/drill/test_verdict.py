"""Test the evaluation of a drill's measurement."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import verdict
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.choice import (
    Choice,
)

from tests.support.simulation import PROCESS
from tests.unit.plugins.module_utils._scheduler.drill.test_choice import chosen

A, B, C = (f"m{n}.example_12345678-1234-1234-1234-12345678900{n}" for n in (1, 2, 3))


def record(at: float, identity: str, transitions: int = 1) -> verdict.LeaseSample:
    return verdict.LeaseSample(at, identity, f"renewed at {at}", transitions)


TAKEOVER = [
    record(98, A),
    record(99, A),
    record(100.2, ""),
    record(101.3, B, 2),
    record(102.3, B, 2),
    record(103.3, B, 2),
]
CRASH = [record(99, A), record(106, B, 2), record(107, B, 2), record(108, B, 2)]


def measured(
    samples: list[verdict.LeaseSample],
    pods: list[verdict.DrillPod] | None = None,
    ended: float = 110.0,
) -> verdict.Measurement:
    return verdict.Measurement(
        samples=samples, pods=pods or [], polls=500, longest_pause=0.03, fault=100.0, ended=ended
    )


def report(
    measurement: verdict.Measurement, choice: Choice | None = None, **more: Any
) -> verdict.DrillReport:
    return verdict.evaluate(choice or chosen(), measurement, time="2026-11-25T00:00:00Z", **more)


def test_takeover_after_release_passes() -> None:
    found = report(
        measured(
            TAKEOVER,
            [
                verdict.DrillPod("p0", 100.1, 101.5, "n1", 1),
                verdict.DrillPod("p1", 101.6, 101.7, "n1", 1),
            ],
        )
    )
    assert found["errors"] == found["notes"] == []
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
    takeover, pods = found["summary"]
    assert takeover == "m1 led and was stopped; m2 leads after 1.3 s, bound 5.4 s"
    assert pods == (
        "pods: 2 created during the drill, none lost, none bound twice;"
        " longest waiting time 1.4 s; running pods are unchanged"
    )


def test_takeover_after_bound_fails() -> None:
    measurement = [*TAKEOVER[:3], record(106, B, 2), record(107, B, 2), record(108, B, 2)]
    found = report(measured(measurement))
    assert not found["passed"]
    assert found["errors"] == ["6.0 s without a leader; the bound is 5.4 s"]
    late = [record(99, A), record(125, B, 2), record(126, B, 2), record(127, B, 2)]
    assert report(measured(late, ended=130), chosen("kill"))["errors"] == [
        "25.0 s without a leader; the bound is 24.8 s"
    ]


def test_lost_release_is_reported_and_passes() -> None:
    found = report(measured(CRASH))
    assert (found["passed"], found["bound"]) == (True, 24.8)
    assert "kubernetes#131867" in found["notes"][0]
    assert "kubernetes#131867" in found["summary"][-1]


def test_version_without_release_has_bound_of_crash_and_note() -> None:
    old = {"process": {**PROCESS, "version": "1.20.2"}}
    found = report(measured(CRASH), chosen(m1=old, m2=old, m3=old))
    assert (found["passed"], found["bound"]) == (True, 24.8)
    assert found["notes"] == [
        "1.20.2 does not release its lease when it stops, so the bound of a crash applies"
    ]


def test_drill_without_takeover_fails() -> None:
    found = report(measured([record(99, A)], ended=131.0), chosen("freeze"))
    assert found["errors"] == ["no member took the lease within 31.0 s; the bound is 24.8 s"]
    assert found["leaderless"] is None
    assert found["summary"][0] == "m1 led and was frozen; no member leads after more than 24.8 s"


def test_holder_without_renewals_fails() -> None:
    found = report(measured(CRASH[:3]), chosen("kill"))
    assert found["errors"] == [
        "the next holder did not renew the lease twice during the measurement"
    ]


def test_killed_leader_can_lead_again() -> None:
    again = A[:-1] + "9"
    found = report(
        measured([record(99, A), *(record(at, again, 2) for at in (106, 107, 108))]), chosen("kill")
    )
    assert (
        found["summary"][0]
        == "m1 led and was killed; m1 (restarted) leads after 6.0 s, bound 24.8 s"
    )


def test_takeover_within_uncertainty_counts_as_immediate() -> None:
    """A takeover within the uncertainty of the fault's time counts as immediate.

    The next holder takes the lease before the latest possible time of the fault.
    """
    measurement = measured(
        [
            record(99, A),
            record(99.95, "", 1),
            record(99.97, B, 2),
            record(101, B, 2),
            record(103, B, 2),
        ]
    )
    measurement.uncertainty = 0.08
    found = report(measurement)
    assert (found["errors"], found["notes"]) == ([], [])
    assert (found["leaderless"], found["released"], found["transitions"]) == (0.0, 0.0, 1)
    assert (found["leader_before"], found["identity_before"], found["leader_after"]) == (
        "m1",
        A,
        "m2",
    )
    assert verdict.has_leader(
        measurement.samples,
        measurement.fault or 0,
        takeover=True,
        uncertainty=measurement.uncertainty,
    )


def test_further_transitions_are_noted() -> None:
    measurement = [*TAKEOVER, record(104, C, 3), record(105, C, 3), record(106, C, 3)]
    found = report(measured(measurement))
    assert found["leader_after"] == "m3"
    assert found["notes"] == ["2 lease transitions instead of 1"]


def test_two_targets_are_summarized() -> None:
    found = report(measured(TAKEOVER), chosen(targets=("m1", "m3")))
    assert found["summary"][0] == (
        "m1 led and was stopped (also m3); m2 leads after 1.3 s, bound 5.4 s"
    )


def test_fault_on_standbys_keeps_the_leader() -> None:
    choice = chosen("partition", ("m2", "m3"))
    kept = [record(at, A) for at in (99, 101, 103, 105)]
    found = report(measured(kept), choice)
    assert (found["passed"], found["bound"], found["transitions"], found["leaderless"]) == (
        True,
        None,
        0,
        None,
    )
    assert (
        found["summary"][0]
        == "m2 and m3 were disconnected from their apiserver; m1 led and still leads"
    )
    lost = report(measured([*kept, record(106, B, 2)]), choice)
    assert lost["errors"] == [
        f"m1 lost the lease, although only standbys were targets; holder: {B}"
    ]


@pytest.mark.parametrize(
    ("pods", "error"),
    [
        (
            [verdict.DrillPod("p0", 99, 99.1, "n1", 1), verdict.DrillPod("p1", 100)],
            "1 of 2 pods got no node",
        ),
        ([verdict.DrillPod("p0", 99, 99.1, "n1", 2)], "1 of 1 pods were bound twice"),
    ],
)
def test_lost_pod_or_second_binding_fails(pods: list[verdict.DrillPod], error: str) -> None:
    found = report(measured(TAKEOVER, pods))
    assert found["errors"] == [error]


def test_pod_waits_and_gaps() -> None:
    pods = [
        verdict.DrillPod(f"p{n}", at, bound, "n1", 1)
        for n, (at, bound) in enumerate([(1, 1.1), (2, 6), (3, 6.1)])
    ]
    found = verdict.summarize_pods(pods, 2.0)
    assert (found["longest_wait"], found["longest_gap"]) == (4.0, 4.9)
    assert found["pods"][1] == {"name": "p1", "created": 0.0, "bound": 4.0, "node": "n1"}
    assert verdict.summarize_pods([], 0.0)["longest_wait"] is None


def test_member_that_stays_unhealthy_fails() -> None:
    found = report(
        measured(TAKEOVER), unhealthy={"m1": "readiness: HTTP 500"}, journal={"m1": ["lost"]}
    )
    assert found["errors"] == ["m1: unhealthy after the drill: readiness: HTTP 500"]
    assert not found["healthy_again"]
    assert found["journal"] == {"m1": ["lost"]}


def test_has_leader_after_two_renewals() -> None:
    assert not verdict.has_leader([], 100.0, takeover=True)
    assert not verdict.has_leader(TAKEOVER[:4], 100.0, takeover=True)
    assert not verdict.has_leader(TAKEOVER[:5], 100.0, takeover=True)
    assert verdict.has_leader(TAKEOVER, 100.0, takeover=True)
    assert not verdict.has_leader([record(at, A) for at in (99, 101, 102)], 100.0, takeover=True)
    assert not verdict.has_leader([record(at, A) for at in (99, 101)], 100.0, takeover=False)
    assert verdict.has_leader([record(at, A) for at in (99, 101, 102, 103)], 100.0, takeover=False)
    assert not verdict.has_leader(TAKEOVER[:3], 100.0, takeover=True)

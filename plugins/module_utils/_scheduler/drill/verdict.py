# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Evaluate the measurement of a drill and build its report as data."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import node_of
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.choice import (
    REQUIRED_RENEWALS,
    Bounds,
    Choice,
)

FAULT_EFFECTS = {
    "stop": "was stopped",
    "kill": "was killed",
    "freeze": "was frozen",
    "partition": "was disconnected from its apiserver",
}


@dataclass(frozen=True)
class LeaseSample:
    """A changed lease. `at` is the time of the read by the controller's monotonic clock."""

    at: float
    identity: str
    renew_time: str
    transitions: int


@dataclass
class DrillPod:
    """A pod of the drill. Times are the controller's monotonic clock in seconds."""

    name: str
    created: float
    bound: float | None = None
    node: str = ""
    bindings: int = 0
    kept: bool = True  # False after the drill has deleted the pod


@dataclass
class Measurement:
    """The observations of the controller. Times are seconds of its monotonic clock."""

    samples: list[LeaseSample] = field(default_factory=list)
    pods: list[DrillPod] = field(default_factory=list)
    polls: int = 0
    longest_pause: float = 0.0  # seconds between two responses of the apiserver
    fault: float | None = None  # the latest possible time of the fault
    uncertainty: float = 0.0  # seconds by which the fault can have happened earlier
    ended: float = 0.0


# --- the lease


def next_holder_index(samples: t.Sequence[LeaseSample], earliest: float) -> int | None:
    """Return the index of the first sample after `earliest` with another holder, if any."""
    previous = holder_at(samples, earliest)
    for index, sample in enumerate(samples):
        if sample.at > earliest and sample.identity not in ("", previous):
            return index
    return None


def holder_at(samples: t.Sequence[LeaseSample], moment: float) -> str:
    """Return the last holder up to `moment`, even if the lease is released; "" if none."""
    identities = [sample.identity for sample in samples if sample.at <= moment and sample.identity]
    return identities[-1] if identities else ""


def count_renewals(samples: t.Sequence[LeaseSample]) -> int:
    """Count the observed renewals of the last holder since it took the lease."""
    count = 0
    for before, sample in zip(reversed(samples[:-1]), reversed(samples)):
        if not sample.identity or before.identity != sample.identity:
            break
        count += before.renew_time != sample.renew_time
    return count


def has_leader(
    samples: t.Sequence[LeaseSample], fault: float, *, takeover: bool, uncertainty: float = 0.0
) -> bool:
    """Return whether a member leads after the fault. With `takeover`, a new holder must lead.

    The fault happened at `fault` or up to `uncertainty` seconds earlier. A standby can take the
    lease in that time.
    """
    if not samples or not samples[-1].identity:
        return False
    if takeover:
        index = next_holder_index(samples, fault - uncertainty)
        return index is not None and count_renewals(samples[index:]) >= REQUIRED_RENEWALS
    return count_renewals([sample for sample in samples if sample.at > fault]) >= REQUIRED_RENEWALS


class Tenure(t.TypedDict):
    """The period in which one identity held the lease, in seconds from the fault.

    `holder` is "" while the lease was released.
    """

    holder: str
    identity: str
    since: float
    to: float


def list_tenures(samples: t.Sequence[LeaseSample], fault: float, ended: float) -> list[Tenure]:
    """Return the tenures of all holders in order."""
    tenures: list[Tenure] = []
    for sample in samples:
        if tenures and tenures[-1]["identity"] == sample.identity:
            continue
        moment = round(sample.at - fault, 3)
        if tenures:
            tenures[-1]["to"] = moment
        tenures.append(
            Tenure(
                holder=node_of(sample.identity),
                identity=sample.identity,
                since=moment,
                to=round(ended - fault, 3),
            )
        )
    return tenures


# --- the pods


class PodReport(t.TypedDict):
    """A pod of the drill in the report. Times are in seconds from the fault."""

    name: str
    created: float
    bound: float | None
    node: str


class PodSummary(t.TypedDict):
    """Counts and waiting times of the drill's pods."""

    made: int
    bound: int
    lost: int  # pods without a node
    bound_twice: int
    longest_wait: float | None  # seconds from the creation of a pod to its binding
    longest_gap: float | None  # seconds between two bindings
    pods: list[PodReport]


def summarize_pods(pods: t.Sequence[DrillPod], fault: float) -> PodSummary:
    """Summarize the pods of a drill. All times count from `fault`."""
    bound = sorted(pod.bound for pod in pods if pod.bound is not None)
    waits = [pod.bound - pod.created for pod in pods if pod.bound is not None]
    gaps = [later - earlier for earlier, later in zip(bound, bound[1:])]
    return PodSummary(
        made=len(pods),
        bound=len(bound),
        lost=len(pods) - len(bound),
        bound_twice=sum(pod.bindings > 1 for pod in pods),
        longest_wait=round(max(waits), 3) if waits else None,
        longest_gap=round(max(gaps), 3) if gaps else None,
        pods=[
            PodReport(
                name=pod.name,
                created=round(pod.created - fault, 3),
                bound=None if pod.bound is None else round(pod.bound - fault, 3),
                node=pod.node,
            )
            for pod in pods
        ],
    )


# --- the report


class DrillReport(t.TypedDict):
    """The report of a drill: the content of report.json."""

    passed: bool
    errors: list[str]
    notes: list[str]
    summary: list[str]
    time: str  # time of the fault by the controller's clock, in UTC
    kind: str
    targets: list[str]
    leader_before: str
    leader_after: str
    identity_before: str
    identity_after: str
    leaderless: float | None  # seconds; None without a next leader, or if none was expected
    uncertainty: float
    bound: float | None  # None if the leader was not a target
    bounds: Bounds
    released: float | None  # seconds until the release of the lease was observed
    transitions: int
    timings: dict[str, float]
    polls: int
    longest_pause: float
    holders: list[Tenure]
    pods: PodSummary
    journal: dict[str, list[str]]  # lines about the election, by inventory name
    healthy_again: bool


@dataclass(frozen=True)
class _Election:
    """The election around the fault. Times are in seconds from the fault."""

    before: str  # identity
    after: str  # identity of the next holder, "" if none
    last: str  # identity of the holder at the end
    leaderless: float | None
    released: float | None
    transitions: int


def _read_election(measurement: Measurement, fault: float, *, takeover: bool) -> _Election:
    samples, earliest = measurement.samples, fault - measurement.uncertainty
    index = next_holder_index(samples, earliest)
    released_at = next((s.at for s in samples if s.at > earliest and not s.identity), None)
    earlier = [sample.transitions for sample in samples if sample.at <= earliest]
    leads_at = samples[index].at if index is not None and takeover else None
    return _Election(
        before=holder_at(samples, earliest),
        after=samples[index].identity if index is not None else "",
        last=samples[-1].identity if samples else "",
        leaderless=None if leads_at is None else max(0.0, round(leads_at - fault, 3)),
        released=None if released_at is None else max(0.0, round(released_at - fault, 3)),
        transitions=samples[-1].transitions - earlier[-1] if earlier else 0,
    )


def evaluate(
    choice: Choice,
    measurement: Measurement,
    *,
    time: str,
    unhealthy: t.Mapping[str, str] | None = None,
    journal: t.Mapping[str, list[str]] | None = None,
) -> DrillReport:
    """Evaluate a drill. `unhealthy` contains the problems after the drill, by inventory name."""
    fault = measurement.fault if measurement.fault is not None else measurement.ended
    takeover = choice["primary"] == choice["leader"]
    election = _read_election(measurement, fault, takeover=takeover)
    pods = summarize_pods(measurement.pods, fault)
    bound, notes = _applied_bound(choice, election) if takeover else (None, [])
    errors = [
        *_election_errors(choice, measurement, election, bound, fault),
        *_pod_errors(pods),
        *(f"{name}: unhealthy after the drill: {why}" for name, why in (unhealthy or {}).items()),
    ]
    if election.transitions != int(takeover) and not (takeover and election.leaderless is None):
        notes.append(f"{election.transitions} lease transitions instead of {int(takeover)}")
    report = DrillReport(
        passed=not errors,
        errors=errors,
        notes=notes,
        summary=[],
        time=time,
        kind=choice["kind"],
        targets=choice["targets"],
        leader_before=choice["leader"],
        leader_after=_inventory_name(choice, node_of(election.last)),
        identity_before=election.before,
        identity_after=election.last,
        leaderless=election.leaderless,
        uncertainty=round(measurement.uncertainty, 3),
        bound=bound,
        bounds=choice["bounds"],
        released=election.released,
        transitions=election.transitions,
        timings=choice["timings"],
        polls=measurement.polls,
        longest_pause=round(measurement.longest_pause, 3),
        holders=list_tenures(measurement.samples, fault, measurement.ended),
        pods=pods,
        journal=dict(journal or {}),
        healthy_again=not unhealthy,
    )
    report["summary"] = summarize(choice, report)
    return report


def _applied_bound(choice: Choice, election: _Election) -> tuple[float, list[str]]:
    """Return the bound that applies, and notes about it."""
    bounds = choice["bounds"]
    if bounds["kind"] == "crash":
        return bounds["crash"], [bounds["reason"]] if choice["kind"] == "stop" else []
    is_late = election.leaderless is None or election.leaderless > bounds["released"]
    if is_late and election.released is None:
        # Rarely, a renewal of the same process overwrites the release.
        return bounds["crash"], [
            (
                "the leader did not release the lease, so the lease expired as after a crash;"
                " a renewal at the same moment can cause this (kubernetes#131867)"
            )
        ]
    return bounds["released"], []


def _election_errors(
    choice: Choice,
    measurement: Measurement,
    election: _Election,
    bound: float | None,
    fault: float,
) -> list[str]:
    if bound is None:
        if not election.after:
            return []
        return [
            (
                f"{choice['leader']} lost the lease, although only standbys were targets;"
                f" holder: {one_line(election.after, 100)}"
            )
        ]
    if election.leaderless is None:
        seconds = measurement.ended - fault
        return [f"no member took the lease within {seconds:.1f} s; the bound is {bound:g} s"]
    if election.leaderless > bound:
        return [f"{election.leaderless:.1f} s without a leader; the bound is {bound:g} s"]
    if not has_leader(
        measurement.samples, fault, takeover=True, uncertainty=measurement.uncertainty
    ):
        return ["the next holder did not renew the lease twice during the measurement"]
    return []


def _pod_errors(pods: PodSummary) -> list[str]:
    errors = []
    if pods["lost"]:
        errors.append(f"{pods['lost']} of {pods['made']} pods got no node")
    if pods["bound_twice"]:
        errors.append(f"{pods['bound_twice']} of {pods['made']} pods were bound twice")
    return errors


def _inventory_name(choice: Choice, hostname: str) -> str:
    """Return the inventory name of a holder, or its hostname if it is not a member."""
    return next(
        (name for name, known in choice["hostnames"].items() if known == hostname),
        one_line(hostname, 100),
    )


def summarize(choice: Choice, report: DrillReport) -> list[str]:
    """Summarize a drill in lines of text: the election, the pods, the notes."""
    return [
        _summarize_election(choice, report),
        *_summarize_pods(report["pods"]),
        *(f"note: {note}" for note in report["notes"]),
    ]


def _summarize_election(choice: Choice, report: DrillReport) -> str:
    before, after, bound = report["leader_before"], report["leader_after"], report["bound"]
    effect = FAULT_EFFECTS[choice["kind"]]
    if bound is None:
        if len(choice["targets"]) > 1:
            effect = effect.replace("was", "were", 1).replace("its", "their")
        return f"{' and '.join(choice['targets'])} {effect}; {before} led and still leads"
    others = [name for name in choice["targets"] if name != before]
    also = f" (also {' and '.join(others)})" if others else ""
    first = f"{before} led and {effect}{also}"
    if report["leaderless"] is None:
        return f"{first}; no member leads after more than {bound:g} s"
    restarted = " (restarted)" if after == before else ""
    return (
        f"{first}; {after}{restarted} leads after {report['leaderless']:.1f} s, bound {bound:g} s"
    )


def _summarize_pods(pods: PodSummary) -> list[str]:
    if not pods["made"]:
        return []
    lost = f"{pods['lost']} without a node" if pods["lost"] else "none lost"
    twice = f"{pods['bound_twice'] or 'none'} bound twice"
    line = f"pods: {pods['made']} created during the drill, {lost}, {twice}"
    if pods["longest_wait"] is None:
        return [line]
    return [
        f"{line}; longest waiting time {pods['longest_wait']:.1f} s; running pods are unchanged"
    ]

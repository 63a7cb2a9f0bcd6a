# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Choose the targets of a drill and compute its bounds.

Results are those of scheduler_info, by inventory name. Sources of the bounds: client-go,
tools/leaderelection/leaderelection.go, and kubernetes#100305 (release on SIGTERM).
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import RECORD_SOURCES
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.rollout import (
    MemberResult,
    MemberResults,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DEFAULT_SCHEDULER,
    MAX_UNDO_AFTER_S,
)

FAULT_KINDS = ("stop", "kill", "freeze", "partition")
APISERVER_ALLOWANCE_S = 1.0
"""The bounds contain this time for requests to the apiserver."""
REQUIRED_RENEWALS = 2
"""After this number of observed renewals, the next holder counts as the leader."""
UNDO_MARGIN_S = 20
"""The automatic removal of the fault starts this long after the longest measurement."""
MIN_MEASUREMENT_MARGIN_S = 5.0


class RejectedDrillError(PlanError):
    """The drill is rejected before any host was changed. `reasons` contains one line per reason."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        super().__init__(f"drill rejected before any host was changed: {'; '.join(self.reasons)}")


class Bounds(t.TypedDict):
    """Upper bounds of the time without a leader, in seconds."""

    released: float  # bound if the leader releases its lease
    crash: float  # bound if the leader does not release its lease
    kind: str  # the bound that applies: released or crash
    reason: str


class Choice(t.TypedDict):
    """The targets and limits of a drill. The steps of the play pass this data on."""

    kind: str
    leader: str  # inventory name
    leader_hostname: str
    targets: list[str]  # inventory names
    primary: str  # the measured target, which gets the fault last: the leader if it is a target
    standbys: list[str]  # the other targets
    remaining: list[str]  # healthy members that are not targets
    hostnames: dict[str, str]  # by inventory name
    lease: dict[str, t.Any]  # namespace, name and sources of the lease
    scheduler: str  # schedulerName of the drill's pods
    timings: dict[str, float]
    bounds: Bounds
    deadline: float  # seconds after the fault at which the measurement ends in any case
    undo_after: int  # seconds after which the host removes the fault automatically
    settle: float  # seconds in which a leader that lost its lease exits after the removal
    journal_seconds: int  # the period that the journal lines cover


@dataclass(frozen=True)
class DrillRequest:
    """The requested drill.

    `targets` are inventory names; if empty, the leader is the target. `undo_after` is in seconds;
    if it is 0, the drill computes the time.
    """

    kind: str
    targets: t.Sequence[str] = ()
    undo_after: int = 0
    scheduler: str = DEFAULT_SCHEDULER


def choose(
    request: DrillRequest,
    members: t.Sequence[str],
    results: MemberResults,
    table: versions.VersionTable,
) -> Choice:
    """Choose the targets of a drill; raise RejectedDrillError if the drill is not safe."""
    healthy = [name for name in members if name in results and results[name]["healthy"]]
    _check_members(request, members, healthy, results)
    leader = _find_leader({name: results[name] for name in healthy}, results)
    targets = list(dict.fromkeys(request.targets)) or [leader]
    remaining = [name for name in healthy if name not in targets]
    timings = _check_targets(targets, [*remaining, leader], healthy, results)
    process = results[leader]["process"]
    bounds = compute_bounds(request.kind, timings, process["version"], table)
    deadline = bounds["crash"] + max(
        MIN_MEASUREMENT_MARGIN_S, (REQUIRED_RENEWALS + 1) * timings.retry_period
    )
    primary = leader if leader in targets else targets[0]
    settle = _compute_settle(request.kind, timings) if primary == leader else 0.0
    return Choice(
        kind=request.kind,
        leader=leader,
        leader_hostname=results[leader]["hostname"],
        targets=targets,
        primary=primary,
        standbys=[name for name in targets if name != primary],
        remaining=remaining,
        hostnames={name: results[name]["hostname"] for name in members if name in results},
        lease={
            "namespace": process["lease_namespace"],
            "name": process["lease_name"],
            "sources": list(versions.lock_sources(process["lock"])) or list(RECORD_SOURCES),
        },
        scheduler=request.scheduler,
        timings=asdict(timings),
        bounds=bounds,
        deadline=deadline,
        undo_after=_compute_undo_after(request.undo_after, math.ceil(deadline)),
        settle=settle,
        journal_seconds=math.ceil(deadline + settle) + UNDO_MARGIN_S,
    )


def _check_members(
    request: DrillRequest,
    members: t.Sequence[str],
    healthy: t.Sequence[str],
    results: MemberResults,
) -> None:
    if len(healthy) < 2:
        unhealthy = [
            f"{name}: {_health_problems(results.get(name))}"
            for name in members
            if name not in healthy
        ]
        subject = f"only {healthy[0]} is" if healthy else "no member is"
        reasons = "; ".join(unhealthy) or "the group has no other member"
        raise RejectedDrillError(
            f"a drill needs two healthy members, but {subject} healthy: {reasons}"
        )
    unknown = [name for name in request.targets if name not in members]
    if unknown:
        raise RejectedDrillError(
            f"drill_targets: not in the cluster: {', '.join(unknown)};"
            f" select from {', '.join(members)}"
        )
    leases = {_lease_name(results[name]) for name in healthy}
    if len(leases) > 1:
        raise RejectedDrillError(
            f"the members use different leases: {' and '.join(sorted(leases))};"
            " configure the same lease for all members"
        )


def _health_problems(result: MemberResult | None) -> str:
    if result is None:
        return "no response"
    return "; ".join(result["problems"]) or "health unknown"


def _lease_name(result: MemberResult) -> str:
    return f"{result['process']['lease_namespace']}/{result['process']['lease_name']}"


def _find_leader(healthy: MemberResults, results: MemberResults) -> str:
    """Return the member that all healthy members report as the leader."""
    leases = {name: result["lease"] or {} for name, result in healthy.items()}
    holders = {lease["holder"] for lease in leases.values() if lease.get("holder")}
    if not holders:
        raise RejectedDrillError(
            "the lease has no holder, so the drill has no leader to replace;"
            " run status.yml to find the reason"
        )
    if len(holders) > 1:
        raise RejectedDrillError(
            f"the members report different leaders: {', '.join(sorted(holders))};"
            " run the drill again"
        )
    (holder,) = holders
    without_renewal = [name for name, lease in leases.items() if not lease.get("moving")]
    if without_renewal:
        raise RejectedDrillError(
            f"the lease does not move: {', '.join(without_renewal)} did not observe"
            f" a renewal by {holder}; run status.yml to find the reason"
        )
    return _member_of(holder, results)


def _member_of(holder: str, results: MemberResults) -> str:
    """Return the inventory name of a holder."""
    leaders = [name for name, result in results.items() if result["hostname"] == holder]
    if not leaders:
        hostnames = ", ".join(result["hostname"] for result in results.values())
        raise RejectedDrillError(
            f"the lease holder is {holder}, which is not one of {hostnames};"
            " run the drill on the cluster of this holder"
        )
    return leaders[0]


def _check_targets(
    targets: t.Sequence[str],
    electors: t.Sequence[str],
    healthy: t.Sequence[str],
    results: MemberResults,
) -> ElectionTimings:
    """Check the targets, and return the longest election times of `electors`.

    Electors are the leader and the members that can take the lease.
    """
    reasons = [
        f"{name} is unhealthy: {_health_problems(results.get(name))};"
        " set drill_targets to healthy members"
        for name in targets
        if name not in healthy
    ]
    if set(healthy) <= set(targets):
        reasons.append(
            f"drill_targets: {', '.join(targets)} are all healthy members;"
            " leave out at least one of them"
        )
    unknown = [name for name in electors if results[name]["process"]["timings"] is None]
    if unknown:
        reasons.append(
            f"{', '.join(unknown)}: the election times are unknown,"
            " so the drill cannot compute a bound; run status.yml to find the reason"
        )
    if reasons:
        raise RejectedDrillError(*reasons)
    return _longest_timings([results[name] for name in electors])


def _longest_timings(results: t.Sequence[MemberResult]) -> ElectionTimings:
    """Return the longest election times, by the processes and the lease."""
    times = [result["process"]["timings"] for result in results]
    durations = [float((result["lease"] or {}).get("lease_duration") or 0) for result in results]
    return ElectionTimings(
        lease_duration=max([*durations, *(time["lease_duration"] for time in times)]),
        renew_deadline=max(time["renew_deadline"] for time in times),
        retry_period=max(time["retry_period"] for time in times),
    )


def _compute_settle(kind: str, timings: ElectionTimings) -> float:
    """Return the seconds until a frozen or disconnected leader detects that it lost its lease."""
    if kind not in ("freeze", "partition"):
        return 0.0
    return timings.renew_deadline + timings.retry_period + APISERVER_ALLOWANCE_S


def _compute_undo_after(requested: int, minimum: int) -> int:
    if requested and requested < minimum:
        raise RejectedDrillError(
            f"drill_undo_after: {requested} s would remove the fault during the measurement;"
            f" set at least {minimum} s"
        )
    undo_after = requested or minimum + UNDO_MARGIN_S
    if undo_after > MAX_UNDO_AFTER_S:
        raise RejectedDrillError(
            f"drill_undo_after: {undo_after} s exceeds the maximum of {MAX_UNDO_AFTER_S} s;"
            " set a lower value, or shorter election times"
        )
    return undo_after


def compute_bounds(
    kind: str, timings: ElectionTimings, version: str, table: versions.VersionTable
) -> Bounds:
    """Compute the bounds of a drill. `version` is the version of the leader."""
    row = versions.version_row(table, version)
    applies = "crash"
    if kind != "stop":
        reason = "the leader cannot release its lease, so the lease must expire"
    elif row is not None and not row["releases"]:
        reason = (
            f"{version} does not release its lease when it stops, so the bound of a crash applies"
        )
    else:
        applies, reason = "released", "the leader releases its lease when it stops"
    return Bounds(
        released=round(timings.stop_bound + APISERVER_ALLOWANCE_S, 1),
        crash=round(timings.crash_bound + APISERVER_ALLOWANCE_S, 1),
        kind=applies,
        reason=reason,
    )

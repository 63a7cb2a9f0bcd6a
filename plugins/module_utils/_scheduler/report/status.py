# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Evaluate clusters and build the status document of a run.

The table, the JSON file, the page and the metrics show the content of this document.
docs/status.schema.json describes its fields. If you remove a field or change its meaning, increase
SCHEMA_VERSION.
"""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    plan,
    rollout,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    VersionTable,
)

SCHEMA_VERSION = 1
STATUS_STATES = ("no_answer", "unhealthy", "failed", "drift", "healthy")
"""States of members, clusters and runs, worst first.

`failed` means that a step of the run failed.
"""

MemberPlan = t.Mapping[str, t.Any]


class MemberStatus(t.TypedDict):
    """The status of a member."""

    state: str
    leads: bool
    compared: bool  # whether the host was compared with its plan; otherwise its drift is unknown
    reasons: list[str]  # reasons why the state is not "healthy", one line each
    notes: list[str]  # further information, one line each
    answer: facts.HostResult | None


class ClusterStatus(t.TypedDict):
    """The status of a cluster, with unhealthy members first."""

    name: str
    state: str
    leader: str | None  # inventory name
    holder: str | None  # hostname in the lease, even if the host is not a member
    leader_since: str | None  # time in the lease, by the leader's clock
    transitions: int | None
    failover: plan.Failover | None
    renew_before_days: float | None
    reasons: list[str]
    notes: list[str]
    not_asked: list[str]
    members: dict[str, MemberStatus]


class StatusDocument(t.TypedDict):
    """The status of all clusters in a run, with unhealthy clusters first."""

    schema: int
    time: str
    state: str
    clusters: list[ClusterStatus]


class ClusterSettings(t.NamedTuple):
    """The variables of a cluster that its status depends on, and the version table."""

    timings: ElectionTimings
    renew_before: str
    versions: VersionTable


class GatheredResults(t.NamedTuple):
    """The results that a run gathered from a cluster. Members without a result are missing."""

    scope: rollout.PlayScope
    results: rollout.MemberResults
    plans: t.Mapping[str, MemberPlan]
    before: rollout.MemberResults  # results before the first change


class Leader(t.NamedTuple):
    """The leader as the members observe it."""

    members: list[str]  # members that report that they hold the lease
    named: str | None  # the member whose hostname is the holder
    lease: t.Mapping[str, t.Any]

    @property
    def holder(self) -> str | None:
        return self.lease.get("holder")


def build_document(clusters: t.Iterable[ClusterStatus], time: str) -> StatusDocument:
    """Return the status document of a run, with unhealthy clusters first."""
    ordered = sorted(clusters, key=lambda cluster: STATUS_STATES.index(cluster["state"]))
    return StatusDocument(
        schema=SCHEMA_VERSION, time=time, state=_worst_state(ordered), clusters=ordered
    )


def evaluate_cluster(
    name: str,
    gathered: GatheredResults,
    settings: ClusterSettings | None,
    notes: t.Iterable[str] = (),
) -> ClusterStatus:
    """Return the status of a cluster. `settings` are None if no member's variables are known."""
    scope, results = gathered.scope, gathered.results
    queried = _queried_members(results, scope)
    leadership = rollout.evaluate_leadership(results, scope)
    leader = _find_leader(results, scope)
    members = {
        member: _evaluate_member(
            member,
            results.get(member),
            gathered.plans.get(member, {}),
            is_lost=member in scope.lost,
            is_leader=member in leader.members or member == leader.named,
        )
        for member in queried
    }
    errors = [{"state": "unhealthy"} for _error in leadership.errors]
    return ClusterStatus(
        name=name,
        state=_worst_state([*members.values(), *errors]),
        leader=leader.named,
        holder=leader.holder,
        leader_since=leader.lease.get("acquire_time") if leader.holder else None,
        transitions=leader.lease.get("transitions"),
        failover=_failover_bounds(results, settings),
        renew_before_days=_renewal_window_days(settings),
        reasons=leadership.errors,
        notes=[
            *(rollout.describe_transitions(gathered.before, results) if gathered.before else []),
            *notes,
            *(f"not checked: {check}" for check in leadership.not_checked),
        ],
        not_asked=[member for member in scope.members if member not in queried],
        members=dict(
            sorted(members.items(), key=lambda item: STATUS_STATES.index(item[1]["state"]))
        ),
    )


def _queried_members(results: rollout.MemberResults, scope: rollout.PlayScope) -> list[str]:
    """Return the members that have a result, or that this run should have queried."""
    reached = {*scope.batch, *scope.lost}
    return [
        member
        for member in scope.members
        if member in results or (member in scope.playing and member in reached)
    ]


def _find_leader(results: rollout.MemberResults, scope: rollout.PlayScope) -> Leader:
    # The results of an earlier batch about the leader can be outdated.
    current = {name: result for name, result in results.items() if name in scope.batch} or results
    leaders = [name for name, result in current.items() if rollout.is_leader(result)]
    candidates = [*(current[name] for name in leaders), *current.values()]
    lease: t.Mapping[str, t.Any] = next(
        (result["lease"] for result in candidates if result["lease"]), {}
    )
    return Leader(leaders, _member_with_hostname(results, lease.get("holder")), lease)


def _member_with_hostname(results: rollout.MemberResults, hostname: str | None) -> str | None:
    matches = [name for name, result in results.items() if result["hostname"] == hostname]
    return matches[0] if hostname and matches else None


def _failover_bounds(
    results: rollout.MemberResults, settings: ClusterSettings | None
) -> plan.Failover | None:
    if settings is None:
        return None
    running = [result["process"]["version"] for result in results.values()]
    return plan.compute_failover_bounds(settings.timings, settings.versions, running)


def _renewal_window_days(settings: ClusterSettings | None) -> float | None:
    if settings is None:
        return None
    return (_durations.fixed_window_seconds(settings.renew_before) or 0) / 86400


def _worst_state(entries: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    return min(
        (entry["state"] for entry in entries), key=STATUS_STATES.index, default=STATUS_STATES[-1]
    )


def _evaluate_member(
    name: str,
    result: rollout.MemberResult | None,
    host_plan: MemberPlan,
    *,
    is_lost: bool,
    is_leader: bool,
) -> MemberStatus:
    if result is None:
        return MemberStatus(
            state="no_answer",
            leads=False,
            compared=False,
            reasons=["no result"],
            notes=[],
            answer=None,
        )
    problems = [] if result["healthy"] else result["problems"] or ["unhealthy, reason unknown"]
    failures = ["failed or became unreachable in this run"] if is_lost else []
    errors = [str(error).removeprefix(f"{name}: ") for error in host_plan.get("errors") or ()]
    differences = [
        *(f"not compared with its plan: {error}" for error in errors),
        *(f"drift: {entry}" for entry in rollout.describe_drift(result)),
        *(f"a certificate is awaited: {reason}" for reason in result["awaited"]),
    ]
    by_state = {"unhealthy": problems, "failed": failures, "drift": differences}
    return MemberStatus(
        state=next((state for state, reasons in by_state.items() if reasons), "healthy"),
        leads=is_leader,
        compared=not errors,
        reasons=[*problems, *failures, *differences],
        notes=_member_notes(result, host_plan),
        answer=facts.validate_host_result(result),
    )


def _member_notes(result: rollout.MemberResult, host_plan: MemberPlan) -> list[str]:
    notes = [str(limitation) for limitation in host_plan.get("limitations") or ()]
    if (result["probes"] or {}).get("metrics_http") == 200:
        notes.append("also serves http:// URLs, so any local user can read its metrics")
    return notes + [f"not checked: {check}" for check in result["not_checked"]]


def list_reasons(document: StatusDocument) -> list[str]:
    """Return the reasons why the run is not healthy, one line each."""
    return [line for cluster in document["clusters"] for line in _reasons_of(cluster)]


def _reasons_of(cluster: ClusterStatus) -> t.Iterator[str]:
    for reason in cluster["reasons"]:
        yield f"{cluster['name']}: {reason}"
    for name, member in cluster["members"].items():
        for reason in member["reasons"]:
            yield f"{name}: {reason}"


# --- summaries for the table and the page


def count_healthy(cluster: ClusterStatus) -> int:
    """Return the number of healthy members."""
    return sum(bool(result["healthy"]) for result in _known_results(cluster))


def describe_leader(cluster: ClusterStatus) -> str:
    """Describe the leader; without a leader, the holder of the lease."""
    if cluster["leader"]:
        return f"leader: {cluster['leader']}"
    return f"lease holder: {cluster['holder']}" if cluster["holder"] else "no leader"


def list_versions(cluster: ClusterStatus) -> list[str]:
    """Return the versions that run in the cluster."""
    versions = {result["process"]["version"] for result in _known_results(cluster)}
    return sorted(version for version in versions if version)


def min_days_left(cluster: ClusterStatus) -> int | None:
    """Return the days until the first certificate expires; None if no certificate is known."""
    probes = [result["probes"] for result in _known_results(cluster) if result["probes"]]
    certificates = [probe[name] for probe in probes for name in facts.CERTIFICATE_PROBES]
    return min(
        (certificate["days_left"] for certificate in certificates if certificate), default=None
    )


def _known_results(cluster: ClusterStatus) -> list[facts.HostResult]:
    return [member["answer"] for member in cluster["members"].values() if member["answer"]]

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compute the rollout order, check each gate and evaluate the results of the members.

Results are those of scheduler_info, by inventory name. All functions are pure.
"""

from __future__ import annotations

import datetime
import typing as t

MemberResult = t.Mapping[str, t.Any]
MemberResults = t.Mapping[str, MemberResult]
Order = t.Sequence[t.Sequence[str]]
"""The members at each position of the rollout. Members at one position are rolled together."""
UNHEALTHY, STANDBY, LEADER = range(3)


class PlayScope(t.NamedTuple):
    """The members of a cluster, of this play, of its current batch, and the failed or lost ones."""

    members: t.Collection[str]
    playing: t.Collection[str]
    batch: t.Collection[str]
    lost: t.Collection[str]

    def without_result(self, results: MemberResults) -> list[str]:
        """Return the members that have no result in this run."""
        return [name for name in self.members if name not in results]


class RolloutMarks(t.NamedTuple):
    """What happened to the members in this rollout, by inventory name."""

    rolled: t.Collection[str] = ()
    failed: t.Collection[str] = ()
    blocked: t.Mapping[str, str] = {}  # reason why a healthy member was not rolled


class RolloutStep(t.NamedTuple):
    """The rollout order, the current position in it, and this host."""

    order: Order
    position: int  # at the end of the rollout, the number of positions in the order
    name: str


class GateResult(t.NamedTuple):
    """Whether the rollout can continue with this host."""

    errors: list[str]
    stopped: bool  # whether this host is not rolled
    blocked: str = ""  # reason why the state of a member prevents the roll
    hands_over: bool = False  # whether this host leads and another member can take the lease


class Evaluation(t.NamedTuple):
    """The errors of a member or cluster, and the checks that were not possible."""

    errors: list[str]
    not_checked: list[str]


class RemovalResult(t.NamedTuple):
    """Whether the scheduler of a host can be removed."""

    errors: list[str]
    leads: bool


# --- state of the members


def is_leader(result: MemberResult) -> bool:
    """Return whether the holder of the lease is the hostname of this host."""
    lease = result.get("lease") or {}
    return bool(lease.get("holder")) and lease["holder"] == result["hostname"]


def list_healthy(results: MemberResults) -> list[str]:
    """Return the healthy members."""
    return [name for name, result in results.items() if result["healthy"]]


def describe_drift(result: MemberResult) -> list[str]:
    """Return the drift of a host, one line per difference."""
    return [f"{entry['part']}: {entry['reason']}" for entry in result["drift"]]


def _describe_leader(results: MemberResults) -> str:
    """Describe the current leader by inventory name."""
    leaders = [name for name, result in results.items() if is_leader(result)]
    return f"leader: {leaders[0]}" if leaders else "leader: none of the members"


# --- order


def rollout_rank(result: MemberResult) -> int:
    """Return the class of a member: UNHEALTHY, STANDBY or LEADER. The rollout uses this order.

    An unhealthy leader that renews its lease stays last.
    """
    if is_leader(result) and (result["healthy"] or result["lease"]["moving"]):
        return LEADER
    return STANDBY if result["healthy"] else UNHEALTHY


def compute_order(
    results: MemberResults, pending: t.Sequence[str] | None = None
) -> list[list[str]]:
    """Return the rollout order of the pending hosts, by default those with drift.

    If no member is healthy, all members start at the same time, because no leader can be lost.
    """
    if pending is None:
        pending = [name for name, result in results.items() if result["drift"]]
    if not any(result["healthy"] for result in results.values()):
        return [sorted(pending)] if pending else []
    return [
        [name] for name in sorted(pending, key=lambda name: (rollout_rank(results[name]), name))
    ]


def are_results_stale(order: Order, batch: t.Collection[str]) -> bool:
    """Return whether the results of a batch are stale after a rollout in this order.

    If the whole batch started at the same time, each member has a current result.
    """
    return bool(order) and not (len(order) == 1 and set(order[0]) == set(batch))


def describe_order(order: Order, results: MemberResults, version: str, bound: float) -> list[str]:
    """Describe the rollout order. bound: seconds that the handover can take, 0 if unknown."""
    if not order:
        return []
    if not list_healthy(results):
        return [f"rollout order: all at once, because no member is healthy: {', '.join(order[0])}"]
    names = [name for position in order for name in position]
    steps = [
        _describe_roll(name, results[name], version, is_canary=not number and len(order) > 1)
        for number, name in enumerate(names)
    ]
    lines = [f"rollout order: {', '.join(steps)}"]
    if bound and any(rollout_rank(results[name]) == LEADER for name in names):
        lines.append(f"1 handover, at most {bound:g} s without a leader")
    return lines


def _describe_roll(name: str, result: MemberResult, version: str, *, is_canary: bool) -> str:
    running = result["process"]["version"]
    has_new_version = running and version and running != version
    change = f" {running} -> {version}" if has_new_version else ""
    state = ("unhealthy", "standby", "leader")[rollout_rank(result)]
    return f"{name}{change} ({state}{', canary' if is_canary else ''})"


def check_leader_scope(order: Order, results: MemberResults, scope: PlayScope) -> list[str]:
    """Return an error if the leader would be rolled before members outside of this batch."""
    leaders = [
        name for position in order for name in position if rollout_rank(results[name]) == LEADER
    ]
    # The rollout stops at lost members in any case.
    missing = [name for name in scope.without_result(results) if name not in scope.lost]
    if not leaders or not missing:
        return []
    if all(name in scope.playing for name in missing):
        where = "in later batches"
        advice = "remove serial: the role itself rolls one member at a time, the leader last"
    else:
        where = "excluded"
        advice = (
            "run without --limit: members without drift do not change; remove a member that no"
            " longer exists from the group"
        )
    return [
        (
            f"{', '.join(leaders)} leads and has drift, but members that must be rolled first"
            f" are {where} ({', '.join(missing)}); {advice}"
        )
    ]


# --- gate


def check_gate(
    step: RolloutStep,
    marks: RolloutMarks,
    healthy: t.Collection[str],
    results: MemberResults,
    scope: PlayScope,
) -> GateResult:
    """Return whether this host can be rolled now.

    The rollout continues while two groups are healthy: members that were healthy at the start, and
    rolled members. The rollout never stops the last healthy member. healthy: the members that were
    healthy at the start. results: the current results.
    """
    is_at_end = step.position >= len(step.order)
    if marks.failed or marks.blocked:
        return GateResult(_describe_stop(marks) if is_at_end else [], stopped=True)
    if is_at_end:
        return GateResult([], stopped=False)
    skipped = [
        name
        for position in step.order[: step.position]
        for name in position
        if name not in marks.rolled
    ]
    if skipped:
        error = (
            f"{', '.join(step.order[step.position])} would be rolled before {', '.join(skipped)},"
            " because the strategy of this play does not keep the hosts together; use the strategy"
            " linear"
        )
        return GateResult([error], stopped=False)
    if not healthy:
        return GateResult([], stopped=False)
    reason = _find_unhealthy_member([*healthy, *marks.rolled], results)
    reason = reason or _find_last_healthy(step.name, results, scope)
    if reason:
        return GateResult([], stopped=True, blocked=reason)
    return GateResult([], stopped=False, hands_over=_can_hand_over(step.name, results))


def _describe_stop(marks: RolloutMarks) -> list[str]:
    """Return the reasons why a rollout has stopped, each once."""
    lines = list(dict.fromkeys(marks.blocked.values()))
    if marks.failed:
        lines.append(
            f"rollout stopped because {', '.join(sorted(marks.failed))} failed; the remaining"
            " members are unchanged; fix the cause and run again"
        )
    return lines


def _find_unhealthy_member(expected: t.Sequence[str], results: MemberResults) -> str:
    """Return the reason why an unhealthy member stops the rollout, "" if all are healthy."""
    for name in dict.fromkeys(expected):
        if name not in results or not results[name]["healthy"]:
            problems = (
                "; ".join(results[name]["problems"]) if name in results else "no usable result"
            )
            return (
                f"{name} became unhealthy ({problems}); the remaining members are unchanged;"
                " fix the cause and run again"
            )
    return ""


def _find_last_healthy(name: str, results: MemberResults, scope: PlayScope) -> str:
    """Return an error if this host is the only member that can schedule, otherwise ""."""
    healthy = list_healthy(results)
    if healthy != [name] or len(scope.members) <= 1:
        return ""
    lease = results[name].get("lease") or {}
    if lease.get("moving") and not is_leader(results[name]):
        # Another scheduler, which has no result, leads.
        return ""
    return (
        f"{name} is the only healthy member and was not rolled, because no other member could"
        " schedule pods; make another member healthy first"
    )


def _can_hand_over(name: str, results: MemberResults) -> bool:
    healthy = list_healthy(results)
    return name in healthy and is_leader(results[name]) and len(healthy) > 1


def describe_step(step: RolloutStep, results: MemberResults, *, check: bool = False) -> str:
    """Describe the current step of the rollout: host, position and leader."""
    return (
        f"{step.name}: {'would roll' if check else 'rolling'}, step {step.position + 1} of"
        f" {len(step.order)}; {_describe_leader(results)}"
    )


# --- result of a roll


def describe_handover(name: str, handover: t.Mapping[str, t.Any], bound: float) -> list[str]:
    """Describe a handover. bound: maximum seconds with a released lease, 0 if unknown."""
    seconds, holder = handover["seconds"], handover["holder"]
    lines = [f"{name}: handed over the lease to {holder}, which led {seconds:g} s after the stop"]
    if bound and seconds > bound and not handover["released"]:
        lines.append(
            f"{name}: did not release its lease; the lease expired: {seconds:g} s instead of at"
            f" most {bound:g} s; see the journal of the scheduler"
        )
    return lines


def evaluate_roll(
    name: str,
    result: MemberResult,
    *,
    version: str,
    compared: bool,
    rolled_back: bool = False,
) -> list[str]:
    """Return the reasons why the roll or rollback of a host has failed.

    version: the expected version, "" for any. compared: whether drift is an error.
    """
    when = "after the rollback" if rolled_back else "after the roll"
    if not result["healthy"]:
        return [f"{name}: unhealthy {when}: {'; '.join(result['problems'])}"]
    running = result["process"]["version"]
    if version and running != version:
        return [
            (
                f"{name}: runs {running or 'an unknown version'} {when} instead of {version};"
                " see its journal"
            )
        ]
    if not compared:
        return []
    return [f"{name}: differs from its plan {when}: {line}" for line in describe_drift(result)]


# --- restoring the previous file sets


def check_recall(
    name: str, recalled: t.Mapping[str, t.Any], now: datetime.datetime, prefix: str
) -> list[str]:
    """Return the reason why the role cannot restore the previous file set of a host."""
    if not recalled.get("changed"):
        return []
    not_after = _parse_expiry(recalled.get("not_after"))
    if not_after is None:
        if recalled.get("original") is True:
            # The role does not know the certificate of an adopted scheduler.
            return []
        return [
            (
                f"{name}: the certificate of the previous file set is missing or unreadable, so the"
                " role cannot restore this file set; deploy a version with site.yml"
            )
        ]
    if not_after > now:
        return []
    return [
        (
            f"{name}: the certificate of the previous file set expired on"
            f" {not_after:%Y-%m-%d %H:%M} UTC; deploy the previous version with site.yml,"
            f" {prefix}version and {prefix}allow_downgrade"
        )
    ]


def _parse_expiry(text: t.Any) -> datetime.datetime | None:
    """Return the time that a text contains, None if it is no time with a zone."""
    try:
        expiry = datetime.datetime.fromisoformat(str(text or ""))
    except ValueError:
        return None
    return expiry if expiry.tzinfo is not None else None


def check_recalled_versions(
    recalled: t.Mapping[str, t.Mapping[str, t.Any]], results: MemberResults
) -> list[str]:
    """Return an error if the members would run different versions after the rollback."""
    versions = {
        name: str(member.get("version") or "unknown")
        if member.get("changed") is True
        else results[name]["process"]["version"] or "none"
        for name, member in recalled.items()
    }
    if len(set(versions.values())) <= 1:
        return []
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        (
            f"the previous file sets are from different rollouts: the members would run {listed};"
            " select the hosts to roll back with --limit, or deploy a version with site.yml"
        )
    ]


# --- the cluster


def evaluate_leadership(results: MemberResults, scope: PlayScope) -> Evaluation:
    """Check that the results of the members report one leader, which is a member.

    The rollout of a later batch makes the leases of earlier batches stale, so only the leases of
    the current batch count. The holder can be a member of any batch.
    """
    hostnames = [result["hostname"] for result in results.values()]
    leases = [result["lease"] or {} for name, result in results.items() if name in scope.batch]
    holders = sorted({str(lease["holder"]) for lease in leases if lease.get("holder")})
    errors, not_checked = [], []
    if len(holders) > 1:
        errors.append(
            f"the members report different leaders: {', '.join(holders)}; check that all members"
            " use the same lock and etcd cluster"
        )
    foreign = [holder for holder in holders if holder not in hostnames]
    missing = scope.without_result(results)
    if foreign and missing:
        not_checked.append(
            f"whether the holder {', '.join(foreign)} is a member (no result from"
            f" {', '.join(missing)})"
        )
    elif foreign:
        errors.append(
            f"lease holder {', '.join(foreign)} is not a member (members: {', '.join(hostnames)});"
            " add its host to the group, or uninstall the scheduler there"
        )
    return Evaluation(errors, not_checked)


def evaluate_member(
    name: str, results: MemberResults, scope: PlayScope, version: str, *, rolled: bool
) -> Evaluation:
    """Return the errors of a host and of its cluster.

    rolled: whether the rollout included the host, so that drift is an error.
    """
    result = results[name]
    leadership = evaluate_leadership(results, scope)
    errors = [f"{name}: {problem}" for problem in result["problems"]] + leadership.errors
    if rolled and result["healthy"]:
        running = result["process"]["version"]
        if running != version:
            errors.append(
                f"{name}: runs version {running} instead of {version}; run site.yml again"
            )
        errors += [f"{name}: differs from its plan: {line}" for line in describe_drift(result)]
    return Evaluation(errors, [*result["not_checked"], *leadership.not_checked])


def check_removal(
    name: str, results: MemberResults, scope: PlayScope, advice: str
) -> RemovalResult:
    """Return whether a scheduler remains after the removal of the hosts of this play.

    A host that leads is removed last, after a handover to another member. results: the results of
    the hosts of this play. advice: how to remove the last scheduler in spite of the error.
    """
    result = results[name]
    if not result["process"]["pid"]:
        return RemovalResult([], leads=False)
    if scope.members and set(scope.members) <= set(scope.playing):
        error = (
            f"{name}: no scheduler would remain without {', '.join(scope.playing)}; keep a member"
            f" with --limit, or {advice}"
        )
        return RemovalResult([error], leads=False)
    if not (result["lease"] or {}).get("moving"):
        error = (
            f"{name}: no renewal of the lease was observed, so no remaining scheduler is known;"
            f" run status.yml to find the reason, or {advice}"
        )
        return RemovalResult([error], leads=False)
    return RemovalResult([], is_leader(result))


def describe_transitions(before: MemberResults, after: MemberResults) -> list[str]:
    """Describe the leader and the number of lease transitions in a run, if there were any."""
    changes = _max_transitions(after) - _max_transitions(before)
    # The transitions of a new lease did not occur in this run.
    if not any(result.get("lease") for result in before.values()) or changes <= 0:
        return []
    transitions = "1 lease transition" if changes == 1 else f"{changes} lease transitions"
    return [f"{_describe_leader(after)}; {transitions} during this run"]


def _max_transitions(results: MemberResults) -> int:
    return max(
        ((result.get("lease") or {}).get("transitions") or 0 for result in results.values()),
        default=0,
    )

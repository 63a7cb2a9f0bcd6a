# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Who is rolled when, what stops a rollout, and what the members' answers amount to. Answers are scheduler_info's, by inventory name."""

from __future__ import annotations

import datetime
import typing as t

MemberResult = t.Mapping[str, t.Any]
MemberResults = t.Mapping[str, MemberResult]
UNHEALTHY, STANDBY, LEADER = range(3)


def is_leader(answer: MemberResult) -> bool:
    """Whether a host holds the lease, by its own hostname."""
    lease = answer.get("lease") or {}
    return bool(lease.get("holder")) and lease["holder"] == answer["hostname"]


def rollout_rank(answer: MemberResult) -> int:
    """SICK, STANDBY or LEADER: the order in which hosts are rolled. A leader that renews its lease stays last though it is not healthy."""
    if is_leader(answer) and (answer["healthy"] or answer["lease"]["moving"]):
        return LEADER
    return STANDBY if answer["healthy"] else UNHEALTHY


def list_healthy(answers: MemberResults) -> list[str]:
    """The members that are healthy."""
    return [name for name, answer in answers.items() if answer["healthy"]]


def compute_order(
    answers: MemberResults, pending: t.Sequence[str] | None = None
) -> list[list[str]]:
    """The hosts that have something pending, by default those with drift, in order.

    Where no member is healthy there is none to protect: all are started at once.
    """
    if pending is None:
        pending = [name for name, answer in answers.items() if answer["drift"]]
    if not any(answer["healthy"] for answer in answers.values()):
        return [sorted(pending)] if pending else []
    return [
        [name] for name in sorted(pending, key=lambda name: (rollout_rank(answers[name]), name))
    ]


def describe_drift(answer: MemberResult) -> list[str]:
    """What differs on a host, a line each."""
    return [f"{entry['part']}: {entry['reason']}" for entry in answer["drift"]]


def describe_order(
    order: t.Sequence[t.Sequence[str]], answers: MemberResults, version: str, bound: float
) -> list[str]:
    """The order in words. C(bound): seconds that the leader's hand-over takes at most, 0 for not known."""
    if not order:
        return []
    if not list_healthy(answers):
        return [f"rolled all at once, for no member is healthy: {', '.join(order[0])}"]
    steps: list[str] = []
    for name in (name for batch in order for name in batch):
        runs = answers[name]["process"]["version"]
        change = f" {runs} -> {version}" if runs and version and runs != version else ""
        state = ("not healthy", "standby", "leads")[rollout_rank(answers[name])]
        steps.append(
            f"{name}{change} ({state}{', the canary' if not steps and len(order) > 1 else ''})"
        )
    lines = [f"rolled one after the other: {', '.join(steps)}"]
    if bound and any(rollout_rank(answers[name]) == LEADER for batch in order for name in batch):
        lines.append(f"the lease is handed over once, with at most {bound:g} s without a leader")
    return lines


def _describe_leader(answers: MemberResults) -> str:
    """Who leads now, in words; by inventory name where that is known."""
    names = [name for name, answer in answers.items() if is_leader(answer)]
    return f"{names[0]} leads" if names else "nobody of the members is seen to lead"


class RolloutMarks(t.NamedTuple):
    """What has become of the members in this rollout, by inventory name."""

    rolled: t.Collection[str] = ()
    failed: t.Collection[str] = ()
    blocked: t.Mapping[str, str] = {}  # why a member that was healthy was not rolled


class GateResult(t.NamedTuple):
    """Whether a rollout may go on."""

    errors: list[str]  # what must not be, a line each
    stopped: bool  # whether this host is left as it is
    blocked: str = ""  # why, where it is this host's state or another's that speaks against it
    hands_over: bool = False  # whether the host leads, and another member can take over


class RolloutStep(t.NamedTuple):
    """Whose turn it is."""

    order: t.Sequence[t.Sequence[str]]
    position: int  # the one behind the last is the rollout's end
    me: str


def check_gate(
    turn: RolloutStep,
    marks: RolloutMarks,
    healthy: t.Collection[str],
    answers: MemberResults,
    asked: PlayScope,
) -> GateResult:
    """Whether this host may be rolled now. C(healthy) are the members that were so at the start; C(answers) are of this moment.

    A rollout goes on while every member that was healthy at the start, or has been rolled, is healthy, and never takes the
    last healthy one.
    """
    order, position, me = turn
    at_end = position >= len(order)
    if marks.failed or marks.blocked:
        lines = list(dict.fromkeys(marks.blocked.values()))
        if marks.failed:
            lines.append(
                f"the rollout stopped because of {', '.join(sorted(marks.failed))}; the members after it were left as they are"
            )
        return GateResult(lines if at_end else [], stopped=True)
    early_ = [name for batch in order[:position] for name in batch if name not in marks.rolled]
    if early_ and not at_end:
        line = (
            f"{', '.join(order[position])} would be rolled before {', '.join(early_)}: the strategy of this play does not keep the hosts together;"
            " use the strategy linear"
        )
        return GateResult([line], stopped=False)
    if at_end or not healthy:
        return GateResult([], stopped=False)
    well = {name for name, answer in answers.items() if answer["healthy"]}
    for name in dict.fromkeys([*healthy, *marks.rolled]):
        if name not in well:
            problems = (
                "; ".join(answers[name]["problems"]) if name in answers else "it gave no answer"
            )
            return _block(
                f"{name} is not healthy any more ({problems}); the members that were not rolled yet were left"
            )
    others = well - {me}
    lease = answers[me].get("lease") or {} if me in answers else {}
    led_by_another = bool(lease.get("moving")) and not is_leader(answers[me])
    if me in well and not others and not led_by_another and len(asked.members) > 1:
        return _block(
            f"{me} is the only healthy member and was left as it is, for nobody would schedule meanwhile; make another one healthy first"
        )
    return GateResult(
        [], stopped=False, hands_over=me in well and is_leader(answers[me]) and bool(others)
    )


def describe_step(turn: RolloutStep, answers: MemberResults, *, check: bool = False) -> str:
    """Which host is rolled now, in words."""
    return f"{turn.me}: {'would be' if check else 'is'} rolled, step {turn.position + 1} of {len(turn.order)}; {_describe_leader(answers)}"


def describe_handover(name: str, handover: t.Mapping[str, t.Any], bound: float) -> list[str]:
    """What was seen of a hand-over, in words. C(bound): seconds that it takes at most where the lease is released, 0 for not known."""
    seconds, holder = handover["seconds"], handover["holder"]
    lines = [f"{name}: handed the lease over to {holder}, which led {seconds:g} s after the stop"]
    if bound and seconds > bound and not handover["released"]:
        lines.append(
            f"{name}: did not release its lease, so that it had to expire: {seconds:g} s, not at most {bound:g} s; see its journal"
        )
    return lines


def check_recall(
    name: str, recalled: t.Mapping[str, t.Any], now: datetime.datetime, prefix: str
) -> list[str]:
    """Why a host cannot go back to its previous set."""
    if not recalled.get("changed"):
        return []
    try:
        not_after = datetime.datetime.fromisoformat(str(recalled.get("not_after") or ""))
    except ValueError:
        not_after = None
    if not_after is None or not_after.tzinfo is None:
        if recalled.get("original") is True:
            # Where somebody else's scheduler has its certificate, nobody knows.
            return []
        return [
            f"{name}: its previous set has no certificate that can be read, so it is not rolled back to"
        ]
    if not_after > now:
        return []
    advice = f"deploy the former version with site.yml, {prefix}version and {prefix}allow_downgrade"
    return [
        f"{name}: the certificate of its previous set expired on {not_after:%Y-%m-%d %H:%M} UTC; {advice}"
    ]


def check_recalled_versions(
    recalled: t.Mapping[str, t.Mapping[str, t.Any]], answers: MemberResults
) -> list[str]:
    """Members that would run different versions after each has gone back to its own previous set."""
    after = {
        name: str(found.get("version") or "unknown")
        if found.get("changed") is True
        else answers[name]["process"]["version"] or "none"
        for name, found in recalled.items()
    }
    if len(set(after.values())) <= 1:
        return []
    told = ", ".join(f"{name} {version}" for name, version in after.items())
    line = (
        f"the members' previous sets are not of one rollout, for they would run {told}; name the hosts to roll back with --limit, or deploy a"
        " version with site.yml"
    )
    return [line]


def _block(why: str) -> GateResult:
    return GateResult([], stopped=True, blocked=why)


def evaluate_roll(
    name: str, answer: MemberResult, *, version: str, compared: bool, rolled_back: bool = False
) -> list[str]:
    """Why the roll of a host has failed, or its way back. C(version): what it is to run, "" for any. C(compared): whether drift counts."""
    after = "after it was rolled back" if rolled_back else "after it was rolled"
    if not answer["healthy"]:
        return [f"{name}: not healthy {after}: {'; '.join(answer['problems'])}"]
    runs = answer["process"]["version"]
    if version and runs != version:
        return [f"{name}: runs {runs or 'an unknown version'} {after}, and not {version}"]
    return (
        [f"{name}: differs from its plan {after}: {line}" for line in describe_drift(answer)]
        if compared
        else []
    )


def are_results_stale(order: t.Sequence[t.Sequence[str]], batch: t.Collection[str]) -> bool:
    """Whether the answers of a batch are over after a rollout in this order: only where all of it were started at once, each has answered since."""
    return bool(order) and not (len(order) == 1 and set(order[0]) == set(batch))


class PlayScope(t.NamedTuple):
    """The members of a cluster, and which of them this play is for, are in the batch that it is at, and were lost on the way."""

    members: t.Collection[str]
    playing: t.Collection[str]
    batch: t.Collection[str]
    lost: t.Collection[str]

    def silent(self, answers: MemberResults) -> list[str]:
        """Members that have not answered in this run."""
        return [name for name in self.members if name not in answers]


def check_leader_scope(
    order: t.Sequence[t.Sequence[str]], answers: MemberResults, asked: PlayScope
) -> list[str]:
    """What speaks against rolling the leader now: members that were not asked may have to go before it."""
    leaders = [name for batch in order for name in batch if rollout_rank(answers[name]) == LEADER]
    # A lost one stops the rollout anyway.
    silent = [name for name in asked.silent(answers) if name not in asked.lost]
    if not leaders or not silent:
        return []
    if all(name in asked.playing for name in silent):
        where = "in later batches"
        instead = (
            "leave serial out, for the role itself rolls one member at a time, the leader last"
        )
    else:
        where = "left out"
        instead = "run without --limit; members that are as planned are left alone, and one that is gone for good should leave the group"
    return [
        f"{', '.join(leaders)} leads and differs from its plan, and members that may have to go before it are {where} ({', '.join(silent)}): {instead}"
    ]


class Evaluation(t.NamedTuple):
    """What the answers say of who leads."""

    errors: list[str]
    not_checked: list[str]


def evaluate_leadership(answers: MemberResults, asked: PlayScope) -> Evaluation:
    """Whether one of the members leads, as far as that can be known.

    An earlier batch's answers are over once a later one was rolled, so only the present one's count; for hostnames, all.
    """
    hostnames = [answer["hostname"] for answer in answers.values()]
    now = [answer["lease"] or {} for name, answer in answers.items() if name in asked.batch]
    holders = sorted({str(lease["holder"]) for lease in now if lease.get("holder")})
    faults, not_checked = [], []
    if len(holders) > 1:
        faults.append(f"the members do not agree who leads: {', '.join(holders)}")
    foreign = [holder for holder in holders if holder not in hostnames]
    silent = asked.silent(answers)
    if foreign and silent:
        not_checked.append(
            f"whether {', '.join(foreign)}, which holds the lease, is a member (no answer of {', '.join(silent)})"
        )
    elif foreign:
        faults.append(
            f"holder {', '.join(foreign)} is not in the group: removed without uninstall? its hosts are {', '.join(hostnames)}"
        )
    return Evaluation(faults, not_checked)


class RemovalResult(t.NamedTuple):
    """Whether a host's scheduler may go."""

    errors: list[str]
    leads: bool


def check_removal(me: str, answers: MemberResults, asked: PlayScope, instead: str) -> RemovalResult:
    """Whether somebody is left to schedule once the hosts of this play have no scheduler any more; C(answers) are theirs.

    A host that leads hands the lease over before it goes, after all others, so that another one is seen to lead then.
    """
    own = answers[me]
    if not own["process"]["pid"]:
        return RemovalResult([], False)
    if asked.members and set(asked.members) <= set(asked.playing):
        return RemovalResult(
            [
                f"{me}: nobody would schedule any more without {', '.join(asked.playing)}: leave one with --limit, or {instead}"
            ],
            False,
        )
    if not (own["lease"] or {}).get("moving"):
        return RemovalResult(
            [
                f"{me}: the lease is not seen to move, so whether anybody is left to schedule is not known: see status.yml, or {instead}"
            ],
            False,
        )
    return RemovalResult([], is_leader(own))


def describe_transitions(before: MemberResults, after: MemberResults) -> list[str]:
    """Who leads at the end of a run in which the lease changed hands, and how often it did, in words; nothing otherwise."""
    counts = [
        max(
            ((answer.get("lease") or {}).get("transitions") or 0 for answer in answers.values()),
            default=0,
        )
        for answers in (before, after)
    ]
    changes = counts[1] - counts[0]
    # Of a lease that is new, nobody knows how often.
    if not any(answer.get("lease") for answer in before.values()) or changes <= 0:
        return []
    often = "once" if changes == 1 else f"{changes} times"
    return [f"{_describe_leader(after)}; the lease changed hands {often} during this run"]


def evaluate_member(
    name: str, answers: MemberResults, asked: PlayScope, version: str, *, rolled: bool
) -> Evaluation:
    """What keeps a host, and its cluster as far as all members have answered, from being as it should be.

    C(rolled): whether the host was to be brought to its plan, so that what still differs is a fault.
    """
    own = answers[name]
    found = [f"{name}: {problem}" for problem in own["problems"]]
    leading = evaluate_leadership(answers, asked)
    found += leading.errors
    if rolled and own["healthy"]:
        if own["process"]["version"] != version:
            found.append(f"{name}: version {own['process']['version']} runs, not {version}")
        found += [f"{name}: differs from its plan: {line}" for line in describe_drift(own)]
    return Evaluation(found, [*own["not_checked"], *leading.not_checked])

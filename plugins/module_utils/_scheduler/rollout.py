# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Who is rolled when, what stops a rollout, and what the members' answers amount to. Answers are scheduler_info's, by inventory name."""

from __future__ import annotations

import typing as t

Answer = t.Mapping[str, t.Any]
Answers = t.Mapping[str, Answer]
SICK, STANDBY, LEADER = range(3)


def leads(answer: Answer) -> bool:
    """Whether a host holds the lease, by its own hostname."""
    lease = answer.get("lease") or {}
    return bool(lease.get("holder")) and lease["holder"] == answer["hostname"]


def rank(answer: Answer) -> int:
    """SICK, STANDBY or LEADER: the order in which hosts are rolled. A leader that renews its lease stays last though it is not healthy."""
    if leads(answer) and (answer["healthy"] or answer["lease"]["moving"]):
        return LEADER
    return STANDBY if answer["healthy"] else SICK


def batches(answers: Answers) -> list[list[str]]:
    """The hosts that have something pending, in order. Where no member is healthy there is none to protect: all are started at once."""
    pending = [name for name, answer in answers.items() if answer["drift"]]
    if not any(answer["healthy"] for answer in answers.values()):
        return [sorted(pending)] if pending else []
    return [[name] for name in sorted(pending, key=lambda name: (rank(answers[name]), name))]


def pending(answer: Answer) -> list[str]:
    """What differs on a host, a line each."""
    return [f"{entry['part']}: {entry['reason']}" for entry in answer["drift"]]


class Gate(t.NamedTuple):
    """Whether a rollout may go on."""

    faults: list[str]  # what must not be, a line each
    stopped: bool  # whether a member failed, so that those that are not rolled yet are left as they are


def gate(
    order: t.Sequence[t.Sequence[str]], position: int, rolled: t.Collection[str], failed: t.Collection[str]
) -> Gate:
    """Whether the hosts at a position may be rolled now; the position behind the last one is the rollout's end."""
    if failed:
        line = f"the rollout stopped because of {', '.join(sorted(failed))}; the members after it were left as they are"
        return Gate([line] if position >= len(order) else [], stopped=True)
    early = [name for batch in order[:position] for name in batch if name not in rolled]
    if early and position < len(order):
        line = (
            f"{', '.join(order[position])} would be rolled before {', '.join(early)}: the strategy of this play does not keep the hosts together;"
            " use the strategy linear"
        )
        return Gate([line], stopped=False)
    return Gate([], stopped=False)


def outdated(order: t.Sequence[t.Sequence[str]], batch: t.Collection[str]) -> bool:
    """Whether the answers of a batch are over after a rollout in this order: only where all of it were started at once, each has answered since."""
    return bool(order) and not (len(order) == 1 and set(order[0]) == set(batch))


class Asked(t.NamedTuple):
    """The members of a cluster, and which of them this play is for, are in the batch that it is at, and were lost on the way."""

    members: t.Collection[str]
    playing: t.Collection[str]
    batch: t.Collection[str]
    lost: t.Collection[str]

    def silent(self, answers: Answers) -> list[str]:
        """Members that have not answered in this run."""
        return [name for name in self.members if name not in answers]


def early(order: t.Sequence[t.Sequence[str]], answers: Answers, asked: Asked) -> list[str]:
    """What speaks against rolling the leader now: members that were not asked may have to go before it."""
    leaders = [name for batch in order for name in batch if rank(answers[name]) == LEADER]
    # A lost one stops the rollout anyway.
    silent = [name for name in asked.silent(answers) if name not in asked.lost]
    if not leaders or not silent:
        return []
    if all(name in asked.playing for name in silent):
        where = "in later batches"
        instead = "leave serial out, for the role itself rolls one member at a time, the leader last"
    else:
        where = "left out"
        instead = "run without --limit; members that are as planned are left alone, and one that is gone for good should leave the group"
    return [
        f"{', '.join(leaders)} leads and differs from its plan, and members that may have to go before it are {where} ({', '.join(silent)}): {instead}"
    ]


class Leadership(t.NamedTuple):
    """What the answers say of who leads."""

    faults: list[str]
    not_checked: list[str]


def leadership(answers: Answers, asked: Asked) -> Leadership:
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
        faults.append(f"the lease is held by {', '.join(foreign)}, which is none of {', '.join(hostnames)}")
    return Leadership(faults, not_checked)


def verdict(name: str, answers: Answers, asked: Asked, version: str, *, rolled: bool) -> Leadership:
    """What keeps a host, and its cluster as far as all members have answered, from being as it should be.

    C(rolled): whether the host was to be brought to its plan, so that what still differs is a fault.
    """
    own = answers[name]
    found = [f"{name}: {problem}" for problem in own["problems"]]
    leading = leadership(answers, asked)
    found += leading.faults
    if rolled and own["healthy"]:
        if own["process"]["version"] != version:
            found.append(f"{name}: version {own['process']['version']} runs, not {version}")
        found += [f"{name}: differs from its plan: {line}" for line in pending(own)]
    return Leadership(found, [*own["not_checked"], *leading.not_checked])

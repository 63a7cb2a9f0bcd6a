# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Who is rolled when, what stops a rollout, and what the members' answers amount to. Answers are scheduler_info's, by inventory name."""

from __future__ import annotations

import typing as t

Answer = t.Mapping[str, t.Any]
Answers = t.Mapping[str, Answer]


def leads(answer: Answer) -> bool:
    """Whether a host holds the lease, by its own hostname."""
    lease = answer.get("lease") or {}
    return bool(lease.get("holder")) and lease["holder"] == answer["hostname"]


def rank(answer: Answer) -> int:
    """0 for a host that is not healthy, 1 for a standby, 2 for the leader; a leader that renews its lease stays last though it is not healthy."""
    if leads(answer) and (answer["healthy"] or answer["lease"]["moving"]):
        return 2
    return 1 if answer["healthy"] else 0


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


def outdated(order: t.Sequence[t.Sequence[str]], playing: t.Collection[str]) -> bool:
    """Whether the members' answers are over after a rollout in this order: only where all were started at once, each has answered since."""
    return bool(order) and not (len(order) == 1 and set(order[0]) == set(playing))


def verdict(name: str, answers: Answers, members: t.Collection[str], version: str, *, rolled: bool) -> list[str]:
    """What keeps a host, and its cluster as far as all members have answered, from being as it should be.

    C(rolled): whether the host was to be brought to its plan, so that what still differs is a fault.
    """
    own = answers[name]
    found = [f"{name}: {problem}" for problem in own["problems"]]
    hostnames = [answer["hostname"] for answer in answers.values()]
    holders = {str(answer["lease"]["holder"]) for answer in answers.values() if (answer["lease"] or {}).get("holder")}
    if len(holders) > 1:
        found.append(f"the members do not agree who leads: {', '.join(sorted(holders))}")
    foreign = sorted(holder for holder in holders if holder not in hostnames)
    if foreign and set(answers) >= set(members):
        found.append(f"the lease is held by {', '.join(foreign)}, which is none of {', '.join(hostnames)}")
    if rolled and own["healthy"]:
        if own["process"]["version"] != version:
            found.append(f"{name}: version {own['process']['version']} runs, not {version}")
        found += [f"{name}: differs from its plan: {line}" for line in pending(own)]
    return found

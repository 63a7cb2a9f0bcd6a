# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A fail-over drill: whom it may hit, what bounds it, and what was seen amounts to. Answers are scheduler_info's, by inventory name.

Sources of the bounds: client-go, tools/leaderelection/leaderelection.go; kubernetes#100305 (release on SIGTERM), #131867 (a release that
loses the race against a renewal).
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import asdict, dataclass, field

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import rollout
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DEFAULT_SCHEDULER,
    MAX_UNDO_AFTER_S,
)

KINDS = ("stop", "kill", "freeze", "partition")
DONE = {
    "stop": "was stopped",
    "kill": "was killed",
    "freeze": "was frozen",
    "partition": "was cut off from its apiserver",
}
REQUESTS = 1.0
"""Seconds that the apiserver may take for itself, on top of the election's own times."""
RENEWALS = 2
"""How often the next holder has to be seen to renew before it counts as a leader."""
MARGIN = 20
"""Seconds between the end of a measurement that saw nothing and the moment at which the host undoes the fault by itself."""


class Bounds(t.TypedDict):
    """Seconds without a leader, at most."""

    released: float  # after a leader that gave its lease back
    crash: float  # after one that did not
    kind: str  # released or crash: which of them holds here
    reason: str  # why


class Choice(t.TypedDict):
    """Whom a drill hits and by what it is judged; it travels through the play as data."""

    kind: str
    leader: str  # inventory name
    leader_hostname: str
    targets: list[str]  # inventory names
    primary: str  # of the targets, the one whose fault is measured: the leader if it is among them; it goes last
    standbys: list[str]  # the other targets
    staying: list[str]  # healthy members that are left alone
    hostnames: dict[str, str]  # by inventory name
    lease: dict[str, t.Any]  # namespace, name and sources of the election record
    scheduler: str  # by which the drill's pods choose the schedulers that are drilled
    timings: dict[str, float]
    bounds: Bounds
    deadline: float  # seconds after the fault at which a measurement ends that has seen nothing
    undo_after: int  # seconds after which the host undoes the fault by itself
    settle: float  # seconds after its end in which a leader that lost the lease ends, too
    journal_seconds: int  # of the journals, how many last seconds tell of the drill


def choose(
    kind: str,
    wanted: t.Sequence[str],
    members: t.Sequence[str],
    answers: rollout.MemberResults,
    table: versions.VersionTable,
    *,
    scheduler: str = DEFAULT_SCHEDULER,
    undo_after: int = 0,
) -> tuple[Choice | None, list[str]]:
    """Whom the drill hits, or None and why it is refused. C(wanted) are inventory names; without any it is the leader."""
    healthy = [name for name in members if name in answers and answers[name]["healthy"]]
    if len(healthy) < 2:
        sick = [f"{name}: {_why(answers.get(name))}" for name in members if name not in healthy]
        count = f"only {healthy[0]} is" if healthy else "none is"
        return None, [
            f"a drill needs two healthy members, and {count}: {'; '.join(sick) or 'the group has no other'}"
        ]
    unknown = [name for name in wanted if name not in members]
    if unknown:
        return None, [
            f"drill_targets: {', '.join(unknown)}: no such member; they are {', '.join(members)}"
        ]
    locks = {_lock(answers[name]) for name in healthy}
    if len(locks) > 1:
        return None, [
            f"the members do not elect by one lease, but by {' and '.join(sorted('/'.join(lock) for lock in locks))}"
        ]
    leader, faults = _leader(healthy, answers)
    if leader is None:
        return None, faults
    targets = list(dict.fromkeys(wanted)) or [leader]
    sick = [
        f"{name} is not healthy, so it cannot be drilled: {_why(answers.get(name))}"
        for name in targets
    ]
    sick = [line for name, line in zip(targets, sick) if name not in healthy]
    staying = [name for name in healthy if name not in targets]
    if not staying:
        sick.append(
            f"drill_targets: {', '.join(targets)} are all the healthy members; leave one that can lead"
        )
    timings, unknown = _timings([*staying, leader], answers)
    sick += unknown
    if sick or timings is None:
        return None, sick
    process = answers[leader]["process"]
    bounds = bounds_of(kind, timings, process["version"], table)
    deadline = bounds["crash"] + max(5.0, (RENEWALS + 1) * timings.retry_period)
    least = math.ceil(deadline)
    if undo_after and undo_after < least:
        return None, [
            f"drill_undo_after: {undo_after} s would undo the fault while it is measured; give {least} or more"
        ]
    undo = undo_after or least + MARGIN
    if undo > MAX_UNDO_AFTER_S:
        return None, [
            f"drill_undo_after: {undo} s is longer than a fault may last, {MAX_UNDO_AFTER_S} s; an election as slow as that cannot be drilled"
        ]
    primary = leader if leader in targets else targets[0]
    lingers = kind in ("freeze", "partition") and primary == leader
    settle = timings.renew_deadline + timings.retry_period + REQUESTS if lingers else 0.0
    return Choice(
        kind=kind,
        leader=leader,
        leader_hostname=answers[leader]["hostname"],
        targets=targets,
        primary=primary,
        standbys=[name for name in targets if name != primary],
        staying=staying,
        hostnames={name: answers[name]["hostname"] for name in members if name in answers},
        lease={
            "namespace": process["lease_namespace"],
            "name": process["lease_name"],
            "sources": list(versions.lock_sources(process["lock"])) or list(lease.RECORD_SOURCES),
        },
        scheduler=scheduler,
        timings=asdict(timings),
        bounds=bounds,
        deadline=deadline,
        undo_after=undo,
        settle=settle,
        journal_seconds=math.ceil(deadline + settle) + MARGIN,
    ), []


def _why(answer: rollout.MemberResult | None) -> str:
    if answer is None:
        return "it gave no answer"
    return "; ".join(answer["problems"]) or "its health is not known"


def _lock(answer: rollout.MemberResult) -> tuple[str, str]:
    return answer["process"]["lease_namespace"], answer["process"]["lease_name"]


def _leader(
    healthy: t.Sequence[str], answers: rollout.MemberResults
) -> tuple[str | None, list[str]]:
    """The member that leads by all healthy ones' word, or None and why there is none."""
    looks = {name: answers[name]["lease"] or {} for name in healthy}
    holders = {look["holder"] for look in looks.values() if look.get("holder")}
    if not holders:
        return None, [
            "nobody holds the lease, so there is no leader to take over from; see what status.yml says"
        ]
    if len(holders) > 1:
        return None, [
            f"the members do not agree who leads: {', '.join(sorted(holders))}; try again"
        ]
    (holder,) = holders
    still = [name for name, look in looks.items() if not look.get("moving")]
    if still:
        return None, [
            f"the lease does not move: {holder} was not seen to renew it by {', '.join(still)}; see what status.yml says"
        ]
    leaders = [name for name in answers if answers[name]["hostname"] == holder]
    if not leaders:
        names = ", ".join(answer["hostname"] for answer in answers.values())
        return None, [
            f"the lease is held by {holder}, which is none of {names}; drill the cluster that it belongs to"
        ]
    return leaders[0], []


def _timings(
    names: t.Sequence[str], answers: rollout.MemberResults
) -> tuple[ElectionTimings | None, list[str]]:
    """The longest times of those who count: the members that may take over, and the holder, whose duration lies in the lease."""
    told = {name: answers[name]["process"]["timings"] for name in names}
    silent = [name for name, times in told.items() if times is None]
    if silent:
        return None, [
            f"{', '.join(silent)}: the times of the election are not known, so nothing bounds a fail-over"
        ]
    durations = [float((answers[name]["lease"] or {}).get("lease_duration") or 0) for name in names]
    return ElectionTimings(
        lease_duration=max([*durations, *(times["lease_duration"] for times in told.values())]),
        renew_deadline=max(times["renew_deadline"] for times in told.values()),
        retry_period=max(times["retry_period"] for times in told.values()),
    ), []


def bounds_of(
    kind: str, timings: ElectionTimings, version: str, table: versions.VersionTable
) -> Bounds:
    """The bounds of a drill; C(version) is the leader's."""
    row = versions.version_row(table, version)
    released, crash = (
        round(seconds + REQUESTS, 1) for seconds in (timings.stop_bound, timings.crash_bound)
    )
    if kind != "stop":
        reason = "it cannot give its lease back, which has to run out"
        return Bounds(released=released, crash=crash, kind="crash", reason=reason)
    if row is not None and not row["releases"]:
        reason = f"{version} does not give its lease back when it is stopped, so a stop costs what a crash costs"
        return Bounds(released=released, crash=crash, kind="crash", reason=reason)
    return Bounds(
        released=released,
        crash=crash,
        kind="released",
        reason="it gives its lease back when it is stopped",
    )


# --- what was seen


@dataclass(frozen=True)
class Sample:
    """The election record when it was seen to have changed; times are the controller's monotonic clock."""

    at: float
    identity: str
    renew_time: str
    transitions: int


@dataclass
class Pod:
    """One pod of the drill."""

    name: str
    created: float
    bound: float | None = None
    node: str = ""
    bindings: int = 0
    kept: bool = True  # whether it is still in the cluster, as far as the drill has to do with it


@dataclass
class Seen:
    """All that the controller saw."""

    samples: list[Sample] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    polls: int = 0
    longest_pause: float = 0.0  # between two answers of the apiserver
    fault: float | None = None  # the latest moment at which the fault can have happened
    uncertainty: float = 0.0  # by how much it may have been earlier
    ended: float = 0.0


def next_holder(samples: t.Sequence[Sample], earliest: float) -> int | None:
    """Index of the first sample that has another holder than the last one before the earliest moment of the fault."""
    old = holder_at(samples, earliest)
    for index, sample in enumerate(samples):
        if sample.at > earliest and sample.identity not in ("", old):
            return index
    return None


def holder_at(samples: t.Sequence[Sample], moment: float) -> str:
    """Who held the lease last, up to a moment; a released one counts for the holder that released it."""
    held = [sample.identity for sample in samples if sample.at <= moment and sample.identity]
    return held[-1] if held else ""


def renewals(samples: t.Sequence[Sample]) -> int:
    """How often the last holder was seen to renew since it came to hold the lease."""
    count = 0
    for before, sample in zip(reversed(samples[:-1]), reversed(samples)):
        if not sample.identity or before.identity != sample.identity:
            break
        count += before.renew_time != sample.renew_time
    return count


def settled(
    samples: t.Sequence[Sample], fault: float, *, takeover: bool, uncertainty: float = 0.0
) -> bool:
    """Whether there is a leader again for sure. Without TAKEOVER the former one is to go on.

    The fault happened at C(fault) at the latest, and at most C(uncertainty) seconds earlier: a standby can take the lease in that time.
    """
    if not samples or not samples[-1].identity:
        return False
    if takeover:
        index = next_holder(samples, fault - uncertainty)
        return index is not None and renewals(samples[index:]) >= RENEWALS
    return renewals([sample for sample in samples if sample.at > fault]) >= RENEWALS


class Tenure(t.TypedDict):
    """Who held the lease from when to when, in seconds from the fault; "" is nobody, C(to) None is until the end."""

    holder: str
    identity: str
    since: float
    to: float


def tenures(samples: t.Sequence[Sample], fault: float, ended: float) -> list[Tenure]:
    found: list[Tenure] = []
    for sample in samples:
        if found and found[-1]["identity"] == sample.identity:
            continue
        moment = round(sample.at - fault, 3)
        if found:
            found[-1]["to"] = moment
        found.append(
            Tenure(
                holder=lease.node_of(sample.identity),
                identity=sample.identity,
                since=moment,
                to=round(ended - fault, 3),
            )
        )
    return found


class PodReport(t.TypedDict):
    """A pod, in seconds from the fault."""

    name: str
    created: float
    bound: float | None
    node: str


class Pods(t.TypedDict):
    """What became of the pods."""

    made: int
    bound: int
    lost: int  # never got a node
    bound_twice: int
    longest_wait: float | None  # seconds from its creation to its node
    longest_gap: float | None  # seconds between two pods that got their nodes
    pods: list[PodReport]


def judge_pods(pods: t.Sequence[Pod], fault: float) -> Pods:
    bound = sorted(pod.bound for pod in pods if pod.bound is not None)
    waits = [pod.bound - pod.created for pod in pods if pod.bound is not None]
    gaps = [later - earlier for earlier, later in zip(bound, bound[1:])]
    return Pods(
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


class Report(t.TypedDict):
    """The report of a drill: report.json."""

    passed: bool
    faults: list[str]
    notes: list[str]
    words: list[str]
    time: str  # by the controller's clock, UTC
    kind: str
    targets: list[str]
    leader_before: str
    leader_after: str
    identity_before: str
    identity_after: str
    leaderless: float | None  # seconds; None where nobody took over, or nobody had to
    uncertainty: float
    bound: float | None  # None where no leader was hit
    bounds: Bounds
    released: float | None  # seconds until the lease was seen released
    transitions: int
    timings: dict[str, float]
    polls: int
    longest_pause: float
    holders: list[Tenure]
    pods: Pods
    journal: dict[str, list[str]]  # lines about the lease, by inventory name
    healthy_again: bool


def evaluate(
    choice: Choice,
    seen: Seen,
    *,
    time: str,
    sick: t.Mapping[str, str] | None = None,
    journal: t.Mapping[str, list[str]] | None = None,
) -> Report:
    """What the drill amounts to. C(sick): why a member is not healthy after it, by inventory name."""
    fault = seen.fault if seen.fault is not None else seen.ended
    earliest = fault - seen.uncertainty
    takeover = choice["primary"] == choice["leader"]
    before = holder_at(seen.samples, earliest)
    index = next_holder(seen.samples, earliest)
    after = seen.samples[index].identity if index is not None else ""
    last = seen.samples[-1].identity if seen.samples else ""
    leaderless = (
        max(0.0, round(seen.samples[index].at - fault, 3))
        if index is not None and takeover
        else None
    )
    given_back = (
        max(0.0, round(s.at - fault, 3)) for s in seen.samples if s.at > earliest and not s.identity
    )
    released = next(given_back, None)
    started = [sample.transitions for sample in seen.samples if sample.at <= earliest]
    transitions = seen.samples[-1].transitions - started[-1] if started else 0
    bounds, pods = choice["bounds"], judge_pods(seen.pods, fault)
    bound: float | None = None
    notes: list[str] = []
    faults: list[str] = []
    if takeover:
        bound, notes = _bound(choice, leaderless, released)
        faults += _takeover_faults(seen, leaderless, bound, fault)
    elif index is not None:
        faults.append(
            f"{choice['leader']} lost the lease, though only standbys were hit: {one_line(after, 100)} has it"
        )
    if transitions != int(takeover) and not (takeover and leaderless is None):
        notes.append(f"the lease changed hands {transitions} times, not {int(takeover)}")
    if pods["lost"]:
        faults.append(f"{pods['lost']} of {pods['made']} pods got no node")
    if pods["bound_twice"]:
        faults.append(f"{pods['bound_twice']} of {pods['made']} pods were bound twice")
    faults += [f"{name}: not healthy after the drill: {why}" for name, why in (sick or {}).items()]
    report = Report(
        passed=not faults,
        faults=faults,
        notes=notes,
        words=[],
        time=time,
        kind=choice["kind"],
        targets=choice["targets"],
        leader_before=choice["leader"],
        leader_after=_name(choice, lease.node_of(last)),
        identity_before=before,
        identity_after=last,
        leaderless=leaderless,
        uncertainty=round(seen.uncertainty, 3),
        bound=bound,
        bounds=bounds,
        released=released,
        transitions=transitions,
        timings=choice["timings"],
        polls=seen.polls,
        longest_pause=round(seen.longest_pause, 3),
        holders=tenures(seen.samples, fault, seen.ended),
        pods=pods,
        journal=dict(journal or {}),
        healthy_again=not sick,
    )
    report["words"] = words(choice, report)
    return report


def _bound(
    choice: Choice, leaderless: float | None, released: float | None
) -> tuple[float, list[str]]:
    """The bound that holds, and what has to be said about it."""
    bounds = choice["bounds"]
    if bounds["kind"] == "crash":
        return bounds["crash"], [bounds["reason"]] if choice["kind"] == "stop" else []
    late = leaderless is None or leaderless > bounds["released"]
    if late and released is None:
        # Its release lost the race against a renewal of its own: known, rare, and no fault of the cluster.
        return bounds["crash"], [
            "the lease was not given back, which a renewal at the same moment can cause (kubernetes#131867), so it had to run out as after a crash"
        ]
    return bounds["released"], []


def _takeover_faults(seen: Seen, leaderless: float | None, bound: float, fault: float) -> list[str]:
    if leaderless is None:
        return [
            f"nobody took the lease within {seen.ended - fault:.1f} s; at most {bound:g} s were expected"
        ]
    if leaderless > bound:
        return [f"{leaderless:.1f} s without a leader, which is over the bound of {bound:g} s"]
    if not settled(seen.samples, fault, takeover=True, uncertainty=seen.uncertainty):
        return ["the next holder was not seen to renew the lease twice"]
    return []


def _name(choice: Choice, hostname: str) -> str:
    """The inventory name of a holder, or what it calls itself."""
    return next(
        (name for name, own in choice["hostnames"].items() if own == hostname),
        one_line(hostname, 100),
    )


def words(choice: Choice, report: Report) -> list[str]:
    """The end in words: who led, who leads, after how long of at most how long, and what that means for pods."""
    hit = " and ".join(choice["targets"])
    before, after = report["leader_before"], report["leader_after"]
    done = DONE[choice["kind"]]
    if report["bound"] is None:
        plural = len(choice["targets"]) > 1
        what = done.replace("was", "were", 1).replace("its", "their") if plural else done
        lines = [f"{hit} {what}; {before} led and leads still"]
    else:
        also = [name for name in choice["targets"] if name != before]
        with_them = f", and so was {' and '.join(also)}" if also else ""
        first = f"{before} led and {done}{with_them}"
        if report["leaderless"] is None:
            lines = [f"{first}; nobody leads now, after more than {report['bound']:g} s"]
        else:
            again = ", restarted," if after == before else ""
            lines = [
                f"{first}; {after}{again} leads now, after {report['leaderless']:.1f} s of at most {report['bound']:g} s"
            ]
    return lines + _pod_words(report["pods"]) + [f"note: {note}" for note in report["notes"]]


def _pod_words(pods: Pods) -> list[str]:
    if not pods["made"]:
        return []
    kept = "none was lost" if not pods["lost"] else f"{pods['lost']} got no node"
    twice = (
        "none was bound twice"
        if not pods["bound_twice"]
        else f"{pods['bound_twice']} were bound twice"
    )
    line = f"pods: {pods['made']} were created meanwhile, {kept}, {twice}"
    if pods["longest_wait"] is None:
        return [line]
    return [
        f"{line}; a new pod waited for its node at most {pods['longest_wait']:.1f} s, and pods that ran were not touched"
    ]

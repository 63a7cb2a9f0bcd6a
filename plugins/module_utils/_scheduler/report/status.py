# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How clusters are: one document of all clusters of a run, from which the table, the JSON file and the page are made.

C(docs/status.schema.json) describes the document. C(SCHEMA_VERSION) rises when a field is removed or means something else.
"""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import printable_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    plan,
    rollout,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.text import (
    align_columns,
    format_time,
    parse_time,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    VersionTable,
)

SCHEMA_VERSION = 1
STATUS_STATES = ("no_answer", "unhealthy", "failed", "drift", "healthy")
"""Of members, clusters and runs, the worst first. C(failed): it answered, and a step of this run failed there."""
TABLE_HEAD = (
    "host",
    "version",
    "unit",
    "healthy",
    "leader",
    "lease",
    "transitions",
    "served, days",
    "used, days",
    "drift",
)
NUMBER_COLUMNS = ("transitions", "served, days", "used, days")
# Characters of a cell whose text is a host's.
MAX_CELL_WIDTH = 40
# Clusters of which each has its table; of more, those that are healthy have a line.
MAX_TABLES = 10


class MemberStatus(t.TypedDict):
    """One host of a cluster."""

    state: str
    leads: bool
    compared: bool  # with its plan; without that, no drift is known
    reasons: list[str]  # why the state is not "healthy", one line each
    notes: list[str]  # what else there is to know, one line each
    answer: facts.HostResult | None


class ClusterStatus(t.TypedDict):
    """One cluster, the members that need a hand first."""

    name: str
    state: str
    leader: str | None  # by inventory name
    holder: str | None  # hostname in the lease, a member's or not
    leader_since: str | None  # by the leader's clock, as it stands in the lease
    transitions: int | None
    failover: plan.Failover | None
    renew_before_days: float | None
    reasons: list[str]
    notes: list[str]
    not_asked: list[str]
    members: dict[str, MemberStatus]


class StatusDocument(t.TypedDict):
    """What was seen in one run, the clusters that need a hand first."""

    schema: int
    time: str
    state: str
    clusters: list[ClusterStatus]


class ClusterSettings(t.NamedTuple):
    """What of a cluster's variables counts here."""

    timings: ElectionTimings
    renew_before: str


def build_document(clusters: t.Iterable[ClusterStatus], time: str) -> StatusDocument:
    ordered = sorted(clusters, key=lambda cluster: STATUS_STATES.index(cluster["state"]))
    return StatusDocument(schema=SCHEMA_VERSION, time=time, state=_worst(ordered), clusters=ordered)


def evaluate_cluster(
    name: str,
    answers: rollout.MemberResults,
    plans: t.Mapping[str, t.Mapping[str, t.Any]],
    asked: rollout.PlayScope,
    *,
    versions: VersionTable,
    settings: ClusterSettings | None,
    before: rollout.MemberResults | None = None,
    notes: t.Iterable[str] = (),
) -> ClusterStatus:
    """The state of a cluster. C(answers) and C(plans) lack the members that gave none; C(before) are the answers from before anything changed.

    C(notes) are what else there is to tell of it. C(settings) are None where no member's variables could be read.
    """
    due = [
        member
        for member in asked.members
        if member in answers
        or (member in asked.playing and (member in asked.batch or member in asked.lost))
    ]
    leading = rollout.evaluate_leadership(answers, asked)
    # An earlier batch's answers about the leader are over.
    now = {member: answer for member, answer in answers.items() if member in asked.batch} or answers
    leaders = [member for member, answer in now.items() if rollout.is_leader(answer)]
    lease = next(
        (
            seen
            for answer in [*(now[member] for member in leaders), *now.values()]
            if (seen := answer["lease"] or {})
        ),
        {},
    )
    holder = lease.get("holder")
    named = next(
        (member for member, answer in answers.items() if holder and answer["hostname"] == holder),
        None,
    )
    found = {
        member: _member(
            member,
            answers.get(member),
            plans.get(member, {}),
            lost=member in asked.lost,
            leads=member in leaders or member == named,
        )
        for member in due
    }
    members = dict(sorted(found.items(), key=lambda entry: STATUS_STATES.index(entry[1]["state"])))
    running = [answer["process"]["version"] for answer in answers.values()]
    return ClusterStatus(
        name=name,
        state=_worst([*members.values(), *({"state": "unhealthy"} for _fault in leading.errors)]),
        leader=named,
        holder=holder,
        leader_since=lease.get("acquire_time") if holder else None,
        transitions=lease.get("transitions"),
        failover=plan.compute_failover_bounds(settings.timings, versions, running)
        if settings
        else None,
        renew_before_days=(_durations.parse_seconds(settings.renew_before) or 0) / 86400
        if settings
        else None,
        reasons=leading.errors,
        notes=[
            *(rollout.describe_transitions(before, answers) if before else []),
            *notes,
            *(f"not checked: {what}" for what in leading.not_checked),
        ],
        not_asked=[member for member in asked.members if member not in due],
        members=members,
    )


def _worst(found: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    return min(
        (entry["state"] for entry in found), key=STATUS_STATES.index, default=STATUS_STATES[-1]
    )


def _member(
    name: str,
    answer: rollout.MemberResult | None,
    plan_: t.Mapping[str, t.Any],
    *,
    lost: bool,
    leads: bool,
) -> MemberStatus:
    if answer is None:
        return MemberStatus(
            state="no_answer",
            leads=False,
            compared=False,
            reasons=["no answer"],
            notes=[],
            answer=None,
        )
    sick = (
        []
        if answer["healthy"]
        else answer["problems"] or ["it is not healthy, and does not say why"]
    )
    failed = ["failed or was lost in this run"] if lost else []
    unplanned = [str(fault).removeprefix(f"{name}: ") for fault in plan_.get("faults") or ()]
    differs = [f"not compared with its plan: {fault}" for fault in unplanned]
    differs += [f"drift: {entry}" for entry in rollout.describe_drift(answer)]
    differs += [f"a certificate is awaited: {entry}" for entry in answer["awaited"]]
    notes = [str(limitation) for limitation in plan_.get("limitations") or ()]
    if (answer["probes"] or {}).get("metrics_http") == 200:
        notes.append(
            "its version also serves plain HTTP, so metrics are open to anyone on the host"
        )
    notes += [f"not checked: {what}" for what in answer["not_checked"]]
    return MemberStatus(
        state="unhealthy" if sick else "failed" if failed else "drift" if differs else "healthy",
        leads=leads,
        compared=not unplanned,
        reasons=[*sick, *failed, *differs],
        notes=notes,
        answer=facts.validate_host_result(answer),
    )


def list_reasons(report: StatusDocument) -> list[str]:
    """What needs a hand, a line each."""
    return [text for cluster_ in report["clusters"] for text in _reasons(cluster_)]


def _reasons(cluster_: ClusterStatus) -> list[str]:
    own = [f"{cluster_['name']}: {reason}" for reason in cluster_["reasons"]]
    return own + [
        f"{name}: {reason}"
        for name, member in cluster_["members"].items()
        for reason in member["reasons"]
    ]


# --- for people


class Line(t.NamedTuple):
    """A line of the report, and the state that it tells of; "" for none."""

    text: str
    state: str = ""


def render_table(report: StatusDocument) -> list[Line]:
    """The table of each cluster, with what needs a hand below it."""
    clusters = report["clusters"]
    found: list[Line] = []
    for cluster_ in clusters:
        brief = len(clusters) > MAX_TABLES and cluster_["state"] == "healthy"
        found += [_brief(cluster_)] if brief else _table(cluster_)
    if len(clusters) > 1:
        needy = [cluster_["name"] for cluster_ in clusters if cluster_["state"] != "healthy"]
        end = (
            f"{len(needy)} need a hand: {', '.join(needy)}"
            if needy
            else "all are healthy and as planned"
        )
        found.append(Line(f"{len(clusters)} clusters: {end}", report["state"]))
    return [Line(printable_line(text, 4000), state) for text, state in found]


def headline(cluster_: ClusterStatus) -> str:
    """How many members are healthy, and who leads since when."""
    members = cluster_["members"].values()
    well = sum(bool(member["answer"] and member["answer"]["healthy"]) for member in members)
    since = parse_time(cluster_["leader_since"])
    return f"{well} of {len(members)} healthy; {leader_text(cluster_)}" + (
        f" since {format_time(since)}" if since else ""
    )


def leader_text(cluster_: ClusterStatus) -> str:
    if cluster_["leader"]:
        return f"{cluster_['leader']} leads"
    return f"{cluster_['holder']} holds the lease" if cluster_["holder"] else "nobody leads"


def list_versions(cluster_: ClusterStatus) -> list[str]:
    """The versions that run."""
    answers = [member["answer"] for member in cluster_["members"].values()]
    return sorted(
        {
            answer["process"]["version"]
            for answer in answers
            if answer and answer["process"]["version"]
        }
    )


def min_days_left(cluster_: ClusterStatus) -> int | None:
    """Of the certificate that ends first."""
    answers = [member["answer"] for member in cluster_["members"].values()]
    probes = [answer["probes"] for answer in answers if answer and answer["probes"]]
    found = [probe[name] for probe in probes for name in facts.CERTIFICATE_PROBES]
    return min((certificate["days_left"] for certificate in found if certificate), default=None)


def _brief(cluster_: ClusterStatus) -> Line:
    days = min_days_left(cluster_)
    ends = "" if days is None else f"; certificates for {days} days or more"
    return Line(
        f"{cluster_['name']}: {headline(cluster_)}; {', '.join(list_versions(cluster_))}{ends}",
        cluster_["state"],
    )


def _table(cluster_: ClusterStatus) -> list[Line]:
    members, bounds = cluster_["members"], cluster_["failover"]
    texts = align_columns(
        [TABLE_HEAD, *(_row(name, member) for name, member in members.items())], NUMBER_COLUMNS
    )
    states = ["", *(member["state"] for member in members.values())]
    found = [Line(f"{cluster_['name']}: {headline(cluster_)}", cluster_["state"])]
    found += [Line(text, state) for text, state in zip(texts, states)]
    found += [Line(f"{cluster_['name']}: {reason}", "unhealthy") for reason in cluster_["reasons"]]
    found += [
        Line(f"{name}: {reason}", member["state"])
        for name, member in members.items()
        for reason in member["reasons"]
    ]
    if bounds:
        found.append(
            Line(
                f"fail-over: at most {bounds['crash']} s after a crash, {bounds['stop']} s after a stop"
            )
        )
    found += [Line(f"{cluster_['name']}: {note}") for note in cluster_["notes"]]
    found += [
        Line(f"{name}: {note}") for name, member in members.items() for note in member["notes"]
    ]
    not_asked = cluster_["not_asked"]
    return [*found, *([Line(f"not asked: {', '.join(not_asked)}")] if not_asked else [])]


def _row(name: str, member: MemberStatus) -> tuple[str, ...]:
    answer = member["answer"]
    if answer is None:
        return (name, "-", "-", "?", *["-"] * (len(TABLE_HEAD) - 4))
    lease, probes = answer["lease"], answer["probes"]
    days = [(probes[certificate] if probes else None) for certificate in facts.CERTIFICATE_PROBES]
    cells = (
        answer["process"]["version"],
        answer["unit"]["active_state"],
        "yes" if answer["healthy"] else "NO",
        "*" if member["leads"] else "",
        lease["state"] if lease else "",
        _told(lease and lease["transitions"]),
        *(_told(certificate and certificate["days_left"]) for certificate in days),
        ", ".join(dict.fromkeys(entry["part"] for entry in answer["drift"]))
        if member["compared"]
        else "?",
    )
    return (
        name,
        *(
            (cell if len(cell) <= MAX_CELL_WIDTH else f"{cell[: MAX_CELL_WIDTH - 1]}…") or "-"
            for cell in cells
        ),
    )


def _told(value: t.Any) -> str:
    return "" if value is None else str(value)

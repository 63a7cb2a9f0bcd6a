# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Render the status document as text: a table per cluster, followed by the reasons."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import printable_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.status import (
    ClusterStatus,
    MemberStatus,
    StatusDocument,
    count_healthy,
    describe_leader,
    list_versions,
    min_days_left,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.text import (
    align_columns,
    format_time,
    parse_time,
)

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
# A hostile host can set a long text in a cell.
MAX_CELL_WIDTH = 40
MAX_LINE_LENGTH = 4000
# If there are more clusters, each healthy cluster has one line.
MAX_TABLES = 10


class TableLine(t.NamedTuple):
    """A line of the table with the state that determines its color; "" for none."""

    text: str
    state: str = ""


def render_table(document: StatusDocument) -> list[TableLine]:
    """Return the table of each cluster, followed by its reasons and notes."""
    clusters = document["clusters"]
    lines: list[TableLine] = []
    for cluster in clusters:
        is_brief = len(clusters) > MAX_TABLES and cluster["state"] == "healthy"
        lines += [_brief_line(cluster)] if is_brief else _cluster_lines(cluster)
    if len(clusters) > 1:
        lines.append(TableLine(_summary(clusters), document["state"]))
    return [TableLine(printable_line(text, MAX_LINE_LENGTH), state) for text, state in lines]


def _summary(clusters: t.Sequence[ClusterStatus]) -> str:
    names = [cluster["name"] for cluster in clusters if cluster["state"] != "healthy"]
    result = f"{len(names)} need attention: {', '.join(names)}" if names else "healthy, no drift"
    return f"{len(clusters)} clusters: {result}"


def _headline(cluster: ClusterStatus) -> str:
    since = parse_time(cluster["leader_since"])
    healthy = f"{count_healthy(cluster)} of {len(cluster['members'])} healthy"
    suffix = f" since {format_time(since)}" if since else ""
    return f"{cluster['name']}: {healthy}; {describe_leader(cluster)}{suffix}"


def _brief_line(cluster: ClusterStatus) -> TableLine:
    days = min_days_left(cluster)
    suffix = "" if days is None else f"; certificates valid for at least {days} days"
    versions = ", ".join(list_versions(cluster))
    return TableLine(f"{_headline(cluster)}; {versions}{suffix}", cluster["state"])


def _cluster_lines(cluster: ClusterStatus) -> list[TableLine]:
    return [
        TableLine(_headline(cluster), cluster["state"]),
        *_rows(cluster["members"]),
        *_reason_lines(cluster),
        *(TableLine(text) for text in _notes(cluster)),
    ]


def _rows(members: t.Mapping[str, MemberStatus]) -> t.Iterator[TableLine]:
    rows = [TABLE_HEAD, *(_cells(name, member) for name, member in members.items())]
    states = ["", *(member["state"] for member in members.values())]
    for text, state in zip(align_columns(rows, NUMBER_COLUMNS), states):
        yield TableLine(text, state)


def _reason_lines(cluster: ClusterStatus) -> t.Iterator[TableLine]:
    for reason in cluster["reasons"]:
        yield TableLine(f"{cluster['name']}: {reason}", "unhealthy")
    for name, member in cluster["members"].items():
        for reason in member["reasons"]:
            yield TableLine(f"{name}: {reason}", member["state"])


def _notes(cluster: ClusterStatus) -> t.Iterator[str]:
    bounds = cluster["failover"]
    if bounds:
        crash, stop = bounds["crash"], bounds["stop"]
        yield f"failover: at most {crash} s after a crash, {stop} s after a stop"
    for note in cluster["notes"]:
        yield f"{cluster['name']}: {note}"
    for name, member in cluster["members"].items():
        for note in member["notes"]:
            yield f"{name}: {note}"
    if cluster["not_asked"]:
        yield f"not queried: {', '.join(cluster['not_asked'])}"


def _cells(name: str, member: MemberStatus) -> tuple[str, ...]:
    result = member["answer"]
    if result is None:
        return (name, "-", "-", "?", *["-"] * (len(TABLE_HEAD) - 4))
    lease = result["lease"]
    cells = (
        result["process"]["version"],
        result["unit"]["active_state"],
        "yes" if result["healthy"] else "NO",
        "*" if member["leads"] else "",
        lease["state"] if lease else "",
        _number(lease and lease["transitions"]),
        *_days_left(result),
        _drift_parts(member, result),
    )
    return (name, *(_shorten(cell) for cell in cells))


def _days_left(result: facts.HostResult) -> t.Iterator[str]:
    probes = result["probes"]
    for name in facts.CERTIFICATE_PROBES:
        certificate = probes[name] if probes else None
        yield _number(certificate and certificate["days_left"])


def _drift_parts(member: MemberStatus, result: facts.HostResult) -> str:
    if not member["compared"]:
        return "?"
    return ", ".join(dict.fromkeys(entry["part"] for entry in result["drift"]))


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _shorten(cell: str) -> str:
    return (cell if len(cell) <= MAX_CELL_WIDTH else f"{cell[: MAX_CELL_WIDTH - 1]}…") or "-"

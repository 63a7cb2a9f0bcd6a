# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Render the status document as an HTML page."""

from __future__ import annotations

import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts, markup
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.plan import (
    Failover,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.markup import (
    Look,
    Tile,
    esc,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import status
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.text import (
    format_time,
    parse_time,
)

STATE_LABELS = {
    "no_answer": "no result",
    "unhealthy": "unhealthy",
    "failed": "failed in this run",
    "drift": "drift",
    "healthy": "healthy",
}
VERDICTS: dict[Look, str] = {"good": "Healthy", "warn": "Drift", "bad": "Needs attention"}
FOOTER = (
    "Times are in UTC. The days until expiry and the start of a leader's term use the clock of the"
    " member. A bar shows the remaining validity of a certificate. Its mark shows the start of the"
    " renewal window. For the same data as JSON, pass -e status_json=PATH."
)
# The CSS class of each column sets its width, so that the columns of all clusters are aligned.
COLUMNS = {
    "Member": "",
    "State": "wide",
    "Version": "short",
    "Runs for": "short",
    "Lease": "short",
    "Certificate served": "bars",
    "Certificate used": "bars",
    "Drift": "drift",
}
# On a phone, each member is a card, and each cell starts with the name of its column.
STYLE = """
.clusters { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap:
  .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.clusters a { display: block; height: 100%; padding: .6rem .8rem; border-radius: .5rem; border-left:
  .35rem solid; background: var(--panel);
  color: var(--text); text-decoration: none; }
.clusters a:hover b, .clusters a:focus b { text-decoration: underline; } .clusters b, .clusters span
  { display: block; }
.clusters .more { color: var(--dim); font-size: .85rem; }
a.good { border-color: var(--good); } a.warn { border-color: var(--warn); } a.bad { border-color:
  var(--bad); }
section { margin-top: 2rem; border-top: 1px solid var(--line); } section h2 { font-size: 1.35rem;
  margin: .8rem 0 .6rem; }
.tiles { grid-template-columns: repeat(2, 1fr); } @media (min-width: 40rem) { .tiles {
  grid-template-columns: repeat(3, 1fr); } }
@media (min-width: 72rem) { .tiles { grid-template-columns: repeat(6, 1fr); } }
.state { font-weight: 600; } h2 .state { font-size: 1rem; margin-left: .4rem; }
.is-good { color: var(--good); } .is-warn { color: var(--warn); } .is-bad { color: var(--bad); }
.members { width: 100%; table-layout: fixed; margin-top: .9rem; }
.members th { font-size: .85rem; border-bottom: 1px solid var(--line); padding: .3rem 1rem .3rem 0;
  }
.members tbody { border-bottom: 1px solid var(--line); } .members td { padding: .5rem 1rem .5rem 0;
  } .members td:first-child { font-weight: 600; }
.members small { display: block; color: var(--dim); font-size: .85rem; }
th.wide { width: 14%; } th.drift { width: 12%; } th.bars { width: 15%; } th.short { width: 9%; }
.members .why td { padding-top: 0; font-weight: 400; }
.bar { display: block; width: 100%; height: .55rem; margin: .2rem 0; } .bar .all { fill:
  var(--line); } .bar .due { fill: var(--text); }
.bar .good { fill: var(--good); } .bar .warn { fill: var(--warn); } .bar .bad { fill: var(--bad); }
.notes { color: var(--dim); font-size: .85rem; margin-top: .8rem; } summary { cursor: pointer;
  color: var(--dim); font-size: .85rem; padding: .3rem 0; }
@media screen and (max-width: 62rem) {
  .members, .members tbody, .members tr, .members td { display: block; } .members thead { display:
    none; }
  .members tbody { background: var(--panel); border: 0; border-radius: .5rem; padding: .5rem .8rem;
    margin-bottom: .6rem; }
  .members td { display: grid; grid-template-columns: 8.5rem 1fr; padding: .2rem 0; }
  .members td::before { content: attr(data-name); color: var(--dim); font-weight: 400; }
  .members .none { display: none; } .members td:first-child { font-size: 1.1rem; } .members
    td:first-child, .members .why td { display: block; }
  .members td:first-child::before, .members .why td::before { content: none; } }
@media print { section { border-top: 1px solid #999; } .clusters a, .members tbody { break-inside:
  avoid; } }
"""


def render_status_page(document: status.StatusDocument) -> str:
    """Return the HTML page of a status document."""
    clusters = document["clusters"]
    look, made = _look(document["state"]), parse_time(document["time"])
    when = format_time(made) if made else document["time"]
    unhealthy = sum(cluster["state"] != "healthy" for cluster in clusters)
    several = len(clusters) > 1
    summary = f"{unhealthy} of {len(clusters)} clusters" if several and unhealthy else ""
    body = [
        f"<h1>kube-scheduler, {esc(when)}</h1>",
        markup.banner(look, VERDICTS[look], filter(None, [summary, _count(clusters)])),
        _overview(clusters) if several else "",
        *(_cluster(cluster, number, made) for number, cluster in enumerate(clusters)),
        f"<footer>{esc(FOOTER)}</footer>",
    ]
    return markup.render_page(f"{VERDICTS[look]}: kube-scheduler", body, look=look, style=STYLE)


def _look(state: str) -> Look:
    return "good" if state == "healthy" else "warn" if state == "drift" else "bad"


def _badge(state: str, words: str) -> str:
    look = _look(state)
    return f'<span class="state is-{look}">{markup.SYMBOLS[look]}&nbsp;{esc(words)}</span>'


def _count(clusters: t.Sequence[status.ClusterStatus]) -> str:
    members = [member for cluster in clusters for member in cluster["members"].values()]
    if not members:
        return "no member was queried"
    counts = {
        state: sum(member["state"] == state for member in members) for state in status.STATUS_STATES
    }
    by_state = ", ".join(
        f"{count} {STATE_LABELS[state]}" for state, count in counts.items() if count
    )
    return f"{len(members)} member{'s' * (len(members) != 1)}: {by_state}"


def _overview(clusters: t.Sequence[status.ClusterStatus]) -> str:
    cards = "".join(_card(cluster, number) for number, cluster in enumerate(clusters))
    return f'<ul class="clusters">{cards}</ul>'


def _card(cluster: status.ClusterStatus, number: int) -> str:
    state, days = cluster["state"], status.min_days_left(cluster)
    expiry = "" if days is None else f"{_days(days)} left" if days >= 0 else _days(days)
    texts = (", ".join(status.list_versions(cluster)), expiry)
    more = "".join(f'<span class="more">{esc(text)}</span>' for text in texts)
    return (
        f'<li><a class="{_look(state)}" href="#c{number}"><b>{esc(cluster["name"])}</b>'
        f"{_badge(state, STATE_LABELS[state])}"
        f"<span>{esc(status.describe_leader(cluster))}</span>{more}</a></li>"
    )


def _cluster(cluster: status.ClusterStatus, number: int, made: datetime | None) -> str:
    members, state = cluster["members"], cluster["state"]
    notes = [
        *cluster["notes"],
        *(f"{name}: {note}" for name, member in members.items() for note in member["notes"]),
        *([f"not queried: {', '.join(cluster['not_asked'])}"] if cluster["not_asked"] else []),
    ]
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in COLUMNS.items())
    rows = "".join(
        _member(name, member, cluster["renew_before_days"]) for name, member in members.items()
    )
    return (
        f'<section id="c{number}"><h2>{esc(cluster["name"])} {_badge(state, STATE_LABELS[state])}'
        f"</h2>{markup.bullets('errors', cluster['reasons'])}{markup.tiles(_tiles(cluster, made))}"
        f'<table class="members"><thead><tr>{head}</tr></thead>{rows}</table>'
        f"{markup.bullets('notes', notes)}{_journals(members)}</section>"
    )


def _tiles(cluster: status.ClusterStatus, made: datetime | None) -> list[Tile]:
    count, healthy = len(cluster["members"]), status.count_healthy(cluster)
    versions, transitions = status.list_versions(cluster), cluster["transitions"]
    return [
        Tile(
            "Leader",
            cluster["leader"] or cluster["holder"] or "none",
            _leader_since(cluster, made),
            not cluster["leader"],
        ),
        Tile("Healthy", f"{healthy} of {count}", "members", healthy < count),
        Tile(
            "Transitions", "—" if transitions is None else str(transitions), "changes of the leader"
        ),
        _certificates_tile(cluster),
        Tile(
            "Version",
            ", ".join(versions) or "—",
            "versions differ" if len(versions) > 1 else "",
            len(versions) > 1,
        ),
        _failover_tile(cluster["failover"]),
    ]


def _leader_since(cluster: status.ClusterStatus, made: datetime | None) -> str:
    since = parse_time(cluster["leader_since"])
    if not since:
        return ""
    # The clock of the leader can be ahead, so its time can be later than the report.
    age = f", for {_span((made - since).total_seconds())}" if made and made >= since else ""
    return f"since {format_time(since)}{age}"


def _certificates_tile(cluster: status.ClusterStatus) -> Tile:
    days = status.min_days_left(cluster)
    if days is None:
        return Tile("Certificates", "—", "first expiry")
    return Tile(
        "Certificates", _days(days), "first expiry", days <= (cluster["renew_before_days"] or 0)
    )


def _failover_tile(bounds: Failover | None) -> Tile:
    if not bounds:
        return Tile("Failover at most", "—")
    return Tile(
        "Failover at most",
        f"{bounds['crash']:g} s",
        f"after a crash; {bounds['stop']:g} s after a stop",
    )


def _member(name: str, member: status.MemberStatus, renew_before: float | None) -> str:
    result = member["answer"]
    cells = [
        esc(name),
        _badge(member["state"], STATE_LABELS[member["state"]]),
        *(_result_cells(member, result, renew_before) if result else [""] * (len(COLUMNS) - 2)),
    ]
    row = "".join(
        f'<td data-name="{column}"><div>{cell}</div></td>' if cell else '<td class="none">—</td>'
        for column, cell in zip(COLUMNS, cells)
    )
    why = markup.bullets(f"is-{_look(member['state'])}", member["reasons"]) if result else ""
    more = f'<tr class="why"><td colspan="{len(COLUMNS)}">{why}</td></tr>' if why else ""
    return f"<tbody><tr>{row}</tr>{more}</tbody>"


def _result_cells(
    member: status.MemberStatus, result: facts.HostResult, renew_before: float | None
) -> list[str]:
    """Return the cells of the columns after the state, as HTML."""
    probes = result["probes"]
    parts = ", ".join(dict.fromkeys(entry["part"] for entry in result["drift"])) or "none"
    return [
        esc(result["process"]["version"]),
        _running_time(result["unit"]),
        _lease_cell(member, result),
        *(
            _certificate(probes[use] if probes else None, renew_before)
            for use in facts.CERTIFICATE_PROBES
        ),
        esc(parts if member["compared"] else "not compared"),
    ]


def _running_time(unit: facts.Unit) -> str:
    is_active = unit["active_state"] == "active"
    text = _span(unit["active_seconds"]) if is_active else unit["active_state"]
    restarts = f"<small>{unit['restarts']} restarts</small>" if unit["restarts"] else ""
    return esc(text) + restarts


def _lease_cell(member: status.MemberStatus, result: facts.HostResult) -> str:
    if member["leads"]:
        return "<b>leader</b>"
    state = result["lease"]["state"] if result["lease"] else ""
    return esc("standby" if state == "held" else state)


def _certificate(certificate: facts.Certificate | None, renew_before: float | None) -> str:
    if certificate is None:
        return ""
    days, window = certificate["days_left"], renew_before or 0
    is_invalid = days < 0 or not certificate["valid"]
    look: Look = "bad" if is_invalid else "warn" if days <= window else "good"
    words = f"not valid, {_days(days)}" if is_invalid and days >= 0 else _days(days)
    end = parse_time(certificate["not_after"])
    until = f"<small>until {end:%Y-%m-%d}</small>" if end else ""
    bar = _validity_bar(certificate, window, look, words)
    return f'<span class="is-{look}">{esc(words)}</span>{bar}{until}'


def _validity_bar(certificate: facts.Certificate, window: float, look: Look, words: str) -> str:
    """Return a bar of the remaining validity, with a mark at the start of the renewal window."""
    begin, end = parse_time(certificate["not_before"]), parse_time(certificate["not_after"])
    if not begin or not end or end <= begin:
        return ""
    life = (end - begin).total_seconds() / 86400
    left, mark = (
        round(100 * min(max(days / life, 0), 1), 1) for days in (certificate["days_left"], window)
    )
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img"'
        f' aria-label="{esc(words)} of {life:.0f}">'
        f'<rect class="all" width="100" height="8"/><rect class="{look}" width="{left:g}"'
        f' height="8"/><rect class="due" x="{min(mark, 99.4):g}" width="0.6" height="8"/></svg>'
    )


def _journals(members: t.Mapping[str, status.MemberStatus]) -> str:
    journals = {
        name: member["answer"]["journal"] for name, member in members.items() if member["answer"]
    }
    parts = [
        f"<h3>{esc(name)}</h3><pre>{esc(chr(10).join(lines))}</pre>"
        for name, lines in journals.items()
        if lines
    ]
    return (
        f"<details><summary>Last journal lines</summary>{''.join(parts)}</details>" if parts else ""
    )


def _days(days: int) -> str:
    return (
        f"{days} day{'s' * (days != 1)}"
        if days >= 0
        else f"expired {-days} day{'s' * (days != -1)} ago"
    )


def _span(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, length in (("day", 86400), ("hour", 3600)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count != 1)}"
    return f"{int(seconds // 60)} min" if seconds >= 60 else f"{int(seconds)} s"

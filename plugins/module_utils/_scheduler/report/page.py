# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Render the status document as one page of HTML."""

from __future__ import annotations

import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts, markup
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
    "Times are in UTC. Each member counts the days by its own clock. The start of the leadership is"
    " by the leader's clock. A bar shows the remaining validity of a certificate, its mark the start"
    " of the renewal window. For the same data as JSON, pass -e status_json=PATH."
)
# Column and CSS class of its width, so that the columns of all clusters are aligned.
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
# On a phone, each member is a card, and a cell starts with the name of its column.
STYLE = """
.clusters { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.clusters a { display: block; height: 100%; padding: .6rem .8rem; border-radius: .5rem; border-left: .35rem solid; background: var(--panel);
  color: var(--text); text-decoration: none; }
.clusters a:hover b, .clusters a:focus b { text-decoration: underline; } .clusters b, .clusters span { display: block; }
.clusters .more { color: var(--dim); font-size: .85rem; }
a.good { border-color: var(--good); } a.warn { border-color: var(--warn); } a.bad { border-color: var(--bad); }
section { margin-top: 2rem; border-top: 1px solid var(--line); } section h2 { font-size: 1.35rem; margin: .8rem 0 .6rem; }
.tiles { grid-template-columns: repeat(2, 1fr); } @media (min-width: 40rem) { .tiles { grid-template-columns: repeat(3, 1fr); } }
@media (min-width: 72rem) { .tiles { grid-template-columns: repeat(6, 1fr); } }
.state { font-weight: 600; } h2 .state { font-size: 1rem; margin-left: .4rem; }
.is-good { color: var(--good); } .is-warn { color: var(--warn); } .is-bad { color: var(--bad); }
.members { width: 100%; table-layout: fixed; margin-top: .9rem; }
.members th { font-size: .85rem; border-bottom: 1px solid var(--line); padding: .3rem 1rem .3rem 0; }
.members tbody { border-bottom: 1px solid var(--line); } .members td { padding: .5rem 1rem .5rem 0; } .members td:first-child { font-weight: 600; }
.members small { display: block; color: var(--dim); font-size: .85rem; }
th.wide { width: 14%; } th.drift { width: 12%; } th.bars { width: 15%; } th.short { width: 9%; }
.members .why td { padding-top: 0; font-weight: 400; }
.bar { display: block; width: 100%; height: .55rem; margin: .2rem 0; } .bar .all { fill: var(--line); } .bar .due { fill: var(--text); }
.bar .good { fill: var(--good); } .bar .warn { fill: var(--warn); } .bar .bad { fill: var(--bad); }
.notes { color: var(--dim); font-size: .85rem; margin-top: .8rem; } summary { cursor: pointer; color: var(--dim); font-size: .85rem; padding: .3rem 0; }
@media screen and (max-width: 62rem) {
  .members, .members tbody, .members tr, .members td { display: block; } .members thead { display: none; }
  .members tbody { background: var(--panel); border: 0; border-radius: .5rem; padding: .5rem .8rem; margin-bottom: .6rem; }
  .members td { display: grid; grid-template-columns: 8.5rem 1fr; padding: .2rem 0; }
  .members td::before { content: attr(data-name); color: var(--dim); font-weight: 400; }
  .members .none { display: none; } .members td:first-child { font-size: 1.1rem; } .members td:first-child, .members .why td { display: block; }
  .members td:first-child::before, .members .why td::before { content: none; } }
@media print { section { border-top: 1px solid #999; } .clusters a, .members tbody { break-inside: avoid; } }
"""


def render_status_page(document: status.StatusDocument) -> str:
    """Return the page of a status document."""
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
    found = [
        (state, sum(member["state"] == state for member in members))
        for state in status.STATUS_STATES
    ]
    told = ", ".join(f"{count} {STATE_LABELS[state]}" for state, count in found if count)
    return (
        f"{len(members)} member{'s' * (len(members) != 1)}: {told}"
        if members
        else "no member was queried"
    )


def _overview(clusters: t.Sequence[status.ClusterStatus]) -> str:
    cards = []
    for number, cluster in enumerate(clusters):
        days = status.min_days_left(cluster)
        told = [
            ", ".join(status.list_versions(cluster)),
            "" if days is None else f"{_days(days)} left" if days >= 0 else _days(days),
        ]
        more = "".join(f'<span class="more">{esc(text)}</span>' for text in told)
        state = STATE_LABELS[cluster["state"]]
        cards.append(
            f'<li><a class="{_look(cluster["state"])}" href="#c{number}"><b>{esc(cluster["name"])}</b>{_badge(cluster["state"], state)}'
            f"<span>{esc(status.describe_leader(cluster))}</span>{more}</a></li>"
        )
    return f'<ul class="clusters">{"".join(cards)}</ul>'


def _cluster(cluster: status.ClusterStatus, number: int, made: datetime | None) -> str:
    members = cluster["members"]
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
        f'<section id="c{number}"><h2>{esc(cluster["name"])} {_badge(cluster["state"], STATE_LABELS[cluster["state"]])}</h2>'
        f"{markup.bullets('errors', cluster['reasons'])}{markup.tiles(_tiles(cluster, made))}"
        f'<table class="members"><thead><tr>{head}</tr></thead>{rows}</table>{markup.bullets("notes", notes)}{_journals(members)}</section>'
    )


def _tiles(cluster: status.ClusterStatus, made: datetime | None) -> list[Tile]:
    members, bounds, versions = (
        cluster["members"].values(),
        cluster["failover"],
        status.list_versions(cluster),
    )
    since = parse_time(cluster["leader_since"])
    for_ = (
        f", for {_span((made - since).total_seconds())}" if since and made and made >= since else ""
    )
    leader, transitions, days = (
        cluster["leader"] or cluster["holder"],
        cluster["transitions"],
        status.min_days_left(cluster),
    )
    well = sum(bool(member["answer"] and member["answer"]["healthy"]) for member in members)
    due = days is not None and days <= (cluster["renew_before_days"] or 0)
    told_since = f"since {format_time(since)}{for_}" if since else ""
    return [
        Tile("Leader", leader or "none", told_since, not cluster["leader"]),
        Tile("Healthy", f"{well} of {len(members)}", "members", well < len(members)),
        Tile(
            "Transitions", "—" if transitions is None else str(transitions), "changes of the leader"
        ),
        Tile("Certificates", "—" if days is None else _days(days), "first expiry", due),
        Tile(
            "Version",
            ", ".join(versions) or "—",
            "versions differ" if len(versions) > 1 else "",
            len(versions) > 1,
        ),
        Tile(
            "Failover at most",
            f"{bounds['crash']:g} s" if bounds else "—",
            f"after a crash; {bounds['stop']:g} s after a stop" if bounds else "",
        ),
    ]


def _member(name: str, member: status.MemberStatus, renew_before: float | None) -> str:
    answer = member["answer"]
    cells = [esc(name), _badge(member["state"], STATE_LABELS[member["state"]])]
    if answer is None:
        cells += [""] * (len(COLUMNS) - 2)
    else:
        unit, probes, lease = answer["unit"], answer["probes"], answer["lease"]
        restarts = f"<small>{unit['restarts']} restarts</small>" if unit["restarts"] else ""
        lives = (
            _span(unit["active_seconds"])
            if unit["active_state"] == "active"
            else unit["active_state"]
        )
        held = lease["state"] if lease else ""
        parts = ", ".join(dict.fromkeys(entry["part"] for entry in answer["drift"])) or "none"
        cells += [
            esc(answer["process"]["version"]),
            esc(lives) + restarts,
            "<b>leader</b>" if member["leads"] else esc("standby" if held == "held" else held),
            *(
                _certificate(probes[which] if probes else None, renew_before)
                for which in facts.CERTIFICATE_PROBES
            ),
            esc(parts if member["compared"] else "not compared"),
        ]
    row = "".join(
        f'<td data-name="{column}"><div>{cell}</div></td>' if cell else '<td class="none">—</td>'
        for column, cell in zip(COLUMNS, cells)
    )
    why = markup.bullets(f"is-{_look(member['state'])}", member["reasons"]) if answer else ""
    more = f'<tr class="why"><td colspan="{len(COLUMNS)}">{why}</td></tr>' if why else ""
    return f"<tbody><tr>{row}</tr>{more}</tbody>"


def _certificate(certificate: facts.Certificate | None, renew_before: float | None) -> str:
    if certificate is None:
        return ""
    days, due = certificate["days_left"], renew_before or 0
    begin, end = (parse_time(certificate[name]) for name in ("not_before", "not_after"))
    look: Look = (
        "bad" if days < 0 or not certificate["valid"] else "warn" if days <= due else "good"
    )
    words = _days(days) if days < 0 or certificate["valid"] else f"not valid, {_days(days)}"
    gauge = ""
    if begin and end and end > begin:
        life = (end - begin).total_seconds() / 86400
        left, mark = (round(100 * min(max(part / life, 0), 1), 1) for part in (days, due))
        gauge = (
            f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{esc(words)} of {life:.0f}">'
            f'<rect class="all" width="100" height="8"/><rect class="{look}" width="{left:g}" height="8"/>'
            f'<rect class="due" x="{min(mark, 99.4):g}" width="0.6" height="8"/></svg>'
        )
    until = f"<small>until {end:%Y-%m-%d}</small>" if end else ""
    return f'<span class="is-{look}">{esc(words)}</span>{gauge}{until}'


def _journals(members: t.Mapping[str, status.MemberStatus]) -> str:
    told = {
        name: member["answer"]["journal"] for name, member in members.items() if member["answer"]
    }
    parts = [
        f"<h3>{esc(name)}</h3><pre>{esc(chr(10).join(lines))}</pre>"
        for name, lines in told.items()
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

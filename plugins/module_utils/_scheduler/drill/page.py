# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Render the report of a drill as an HTML page."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import markup
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.verdict import (
    FAULT_EFFECTS,
    DrillReport,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.markup import Tile, esc

# Styles of the diagrams. The module markup contains the styles of all pages.
DIAGRAM_STYLE = """
:root { --lead: #2f6fc4; --next: #1a7f63; --none: #b92b2b; --pod: #6b7585; --bound: #8f5600; }
@media screen and (prefers-color-scheme: dark) { :root {
  --lead: #6ea6ec; --next: #4cc497; --none: #ff8a80; --pod: #8b97a7; --bound: #e3a53a;
} }
figure { margin: 0; } svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--text);
  paint-order: stroke; stroke: var(--back); stroke-width: 3px; }
svg .dim { fill: var(--dim); } .middle, .wide { display: none; }
@media (min-width: 40rem) { .middle { display: block; } .narrow { display: none; } }
@media (min-width: 60rem) { .wide { display: block; } .middle { display: none; } }
.grid { stroke: var(--line); } .lead { fill: var(--lead); } .next { fill: var(--next); }
.none { fill: var(--none); }
.fault { stroke: var(--none); stroke-width: 2; }
.limit { stroke: var(--bound); stroke-width: 2; stroke-dasharray: 5 4; }
.allowed { fill: var(--bound); opacity: .13; }
.pod { stroke: var(--pod); stroke-width: 1.6; } .lost { stroke: var(--bad); stroke-width: 2.4; }
svg .is-fault { fill: var(--none); font-weight: 600; }
svg .is-limit { fill: var(--bound); font-weight: 600; }
"""


def render_drill_page(report: DrillReport) -> str:
    """Return the HTML page of a drill report."""
    look: markup.Look = "good" if report["passed"] else "bad"
    result = "Passed" if report["passed"] else "Failed"
    body = [
        f"<h1>Failover drill of kube-scheduler: {esc(report['kind'])}</h1>",
        markup.banner(look, result, report["summary"][:1]),
        markup.bullets("errors", report["errors"]),
        markup.tiles(_tiles(report)),
        "<h2>Lease holders</h2>",
        _figure("Lease holders over time, the fault and the bound", _timeline, report),
    ]
    if report["pods"]["made"]:
        body += [
            "<h2>Waiting time of each new pod</h2>",
            _figure("One line per pod, from its creation to its binding to a node", _pods, report),
        ]
    body += [markup.bullets("notes", report["notes"]), _facts(report), _journal(report)]
    body.append(
        "<footer>Times are in seconds from the fault, by the controller's monotonic clock. "
        "report.json in the same directory has the same data for programs.</footer>"
    )
    return markup.render_page(
        f"{result}: drill {report['kind']}", body, look=look, style=DIAGRAM_STYLE
    )


def _tiles(report: DrillReport) -> list[Tile]:
    pods, bound, leaderless = report["pods"], report["bound"], report["leaderless"]
    if bound is None:
        is_bad = report["leader_after"] != report["leader_before"]
        tiles = [Tile("Without a leader", "0 s", "the leader was not a target", is_bad)]
    else:
        is_bad = leaderless is None or leaderless > bound
        seconds = "—" if leaderless is None else f"{leaderless:.1f} s"
        tiles = [Tile("Without a leader", seconds, f"bound {bound:g} s", is_bad)]
    if pods["made"]:
        wait = pods["longest_wait"]
        gap = pods["longest_gap"]
        tiles += [
            Tile(
                "Pods without a node", str(pods["lost"]), f"of {pods['made']}", bool(pods["lost"])
            ),
            Tile(
                "Pods bound twice",
                str(pods["bound_twice"]),
                f"of {pods['made']}",
                bool(pods["bound_twice"]),
            ),
            Tile("Longest wait of a pod", "—" if wait is None else f"{wait:.1f} s", "for its node"),
            Tile(
                "Longest gap",
                "—" if gap is None else f"{gap:.1f} s",
                "between two bindings",
            ),
        ]
    return [
        *tiles,
        Tile(
            "Lease transitions",
            str(report["transitions"]),
            f"{0 if bound is None else 1} expected",
        ),
    ]


# --- the diagrams: one drawing for each screen width, because scaled text is not readable


def _figure(
    title: str, draw: t.Callable[[DrillReport, _Scale], tuple[list[str], int]], report: DrillReport
) -> str:
    drawings = []
    for name, width in (("narrow", 360), ("middle", 700), ("wide", 1060)):
        scale = _Scale(report, width)
        parts, height = draw(report, scale)
        drawings.append(
            f'<svg class="{name}" viewBox="0 0 {width} {height}" role="img"'
            f' aria-label="{esc(title)}">{"".join(parts)}</svg>'
        )
    return f"<figure>{''.join(drawings)}</figure>"


class _Scale:
    """Convert seconds from the fault to positions in a diagram."""

    def __init__(self, report: DrillReport, width: int) -> None:
        pods = report["pods"]["pods"]
        moments = [entry["to"] for entry in report["holders"]]
        moments += [pod["bound"] for pod in pods if pod["bound"] is not None] + [
            report["bound"] or 0.0
        ]
        starts = [pod["created"] for pod in pods] + [entry["since"] for entry in report["holders"]]
        self.first = min([*starts, -1.0])
        self.last = max([*moments, 1.0]) * 1.03
        self.left, self.right, self.width = 6.0, width - 10.0, width

    def at(self, seconds: float) -> float:
        share = (min(max(seconds, self.first), self.last) - self.first) / (self.last - self.first)
        return round(self.left + share * (self.right - self.left), 1)

    def ticks(self) -> list[float]:
        minimum = max(1.0, (self.last - self.first) * 70 / self.width)
        power = 10.0 ** math.floor(math.log10(minimum))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= minimum)
        return [
            step * number
            for number in range(math.ceil(self.first / step), int(self.last // step) + 1)
        ]


def _text(x: float, y: float, text: str, name: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{name}" text-anchor="{anchor}">{esc(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{name}"/>'


def _frame(report: DrillReport, scale: _Scale, top: float, bottom: float) -> list[str]:
    """Return the grid and the markers of fault and bound."""
    parts = []
    for tick in scale.ticks():
        x = scale.at(tick)
        edge = "end" if x > scale.right - 20 else "start" if x < scale.left + 20 else "middle"
        parts += [
            _line(x, top, x, bottom, "grid"),
            _text(x, bottom + 15, f"{tick:g} s", "dim", edge),
        ]
    zero = scale.at(0)
    parts += [_line(zero, top - 4, zero, bottom, "fault")]
    if report["bound"] is not None:
        limit = scale.at(report["bound"])
        parts.append(
            f'<rect x="{zero:g}" y="{top:g}" width="{limit - zero:g}"'
            f' height="{bottom - top:g}" class="allowed"/>'
        )
        parts.append(_line(limit, top - 4, limit, bottom, "limit"))
    return parts


def _labels(report: DrillReport, scale: _Scale, y: float) -> list[str]:
    """Return the labels of the vertical lines."""
    parts = [_text(scale.at(0) + 4, y, "fault", "is-fault")]
    if report["bound"] is not None:
        parts.append(
            _text(
                scale.at(report["bound"]) - 4, y, f"bound {report['bound']:g} s", "is-limit", "end"
            )
        )
    return parts


def _timeline(report: DrillReport, scale: _Scale) -> tuple[list[str], int]:
    lanes = list(dict.fromkeys(entry["holder"] for entry in report["holders"] if entry["holder"]))
    first = lanes[0] if lanes else ""
    top, row = 24.0, 46.0
    bottom = top + row * (len(lanes) + 1) + 4
    parts = [*_frame(report, scale, top, bottom), *_labels(report, scale, 14)]
    room = int((scale.right - scale.left) / 7)
    for number, lane in enumerate(lanes):
        y = top + row * number
        parts.append(
            _text(scale.left, y + 16, lane if len(lane) <= room else f"{lane[: room - 1]}…")
        )
        for entry in report["holders"]:
            if entry["holder"] == lane:
                # After a crash, the lease still names the previous holder until it expires.
                until = entry["to"]
                if report["bound"] is not None and entry["identity"] == report["identity_before"]:
                    until = min(until, 0.0)
                parts.append(
                    _bar(scale, entry["since"], until, y + 22, "lead" if lane == first else "next")
                )
    y = top + row * len(lanes)
    parts.append(_text(scale.left, y + 16, "no leader", "dim"))
    parts += [_bar(scale, since, to, y + 22, "none") for since, to in _leaderless_periods(report)]
    return parts, int(bottom + 24)


def _leaderless_periods(report: DrillReport) -> list[tuple[float, float]]:
    if report["bound"] is None:
        return [(entry["since"], entry["to"]) for entry in report["holders"] if not entry["holder"]]
    end = report["leaderless"]
    return [
        (0.0, max([entry["to"] for entry in report["holders"]] or [0.0]) if end is None else end)
    ]


def _bar(scale: _Scale, since: float, to: float, y: float, name: str) -> str:
    x, end = scale.at(since), scale.at(to)
    width = max(1.5, end - x)
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="16" rx="3" class="{name}"/>'


def _pods(report: DrillReport, scale: _Scale) -> tuple[list[str], int]:
    pods = report["pods"]["pods"]
    top, row = 24.0, 3.0 if len(pods) > 40 else 5.0
    bottom = top + row * (len(pods) + 1)
    parts = [*_frame(report, scale, top, bottom), *_labels(report, scale, 14)]
    for number, pod in enumerate(pods):
        y, x = round(top + row * (number + 1), 1), scale.at(pod["created"])
        if pod["bound"] is None:
            parts.append(_line(x, y, scale.at(scale.last), y, "lost"))
        else:
            parts.append(_line(x, y, max(x + 1.5, scale.at(pod["bound"])), y, "pod"))
    return parts, int(bottom + 24)


# --- figures and journals


def _facts(report: DrillReport) -> str:
    times = report["timings"]
    lease, renew, retry = (
        f"{times[name]:g} s" for name in ("lease_duration", "renew_deadline", "retry_period")
    )
    holder = report["identity_after"] or "no holder"
    released = report["released"]
    rows = [
        ("time", report["time"]),
        ("fault", f"{', '.join(report['targets'])} {FAULT_EFFECTS[report['kind']]}"),
        ("leader before", f"{report['leader_before']} ({report['identity_before']})"),
        ("leader now", f"{report['leader_after']} ({holder})"),
        (
            "election times",
            f"lease duration {lease}, renew deadline {renew}, retry period {retry}",
        ),
        (
            "bound after a crash",
            (
                f"{report['bounds']['crash']:g} s: the sum of the lease duration, the time of two"
                " retries of a standby, and 1 s for the responses of the apiserver"
            ),
        ),
        (
            "bound after a release",
            (
                f"{report['bounds']['released']:g} s: the sum of the time of one retry of a"
                " standby, and 1 s for the responses of the apiserver"
            ),
        ),
        ("bound of this drill", report["bounds"]["reason"]),
        ("lease released", "not observed" if released is None else f"after {released:.2f} s"),
        (
            "reads of the lease",
            f"{report['polls']}, at most {report['longest_pause'] * 1000:.0f} ms apart",
        ),
        (
            "uncertainty",
            f"the fault can have happened up to {report['uncertainty'] * 1000:.0f} ms earlier",
        ),
    ]
    cells = "".join(f"<tr><th>{esc(name)}</th><td>{esc(value)}</td></tr>" for name, value in rows)
    return f"<h2>Figures</h2><table>{cells}</table>"


def _journal(report: DrillReport) -> str:
    journals = {name: lines for name, lines in report["journal"].items() if lines}
    if not journals:
        return ""
    parts = [
        f"<h3>{esc(name)}</h3><pre>{esc(chr(10).join(lines))}</pre>"
        for name, lines in journals.items()
    ]
    summary = "<summary>Journal lines about the election</summary>"
    return f"<details>{summary}{''.join(parts)}</details>"

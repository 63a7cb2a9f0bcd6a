# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What status.yml reports: every member's answer for machines, and a table for people."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import plan, rollout
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Versions

HEAD = ("host", "version", "unit", "healthy", "leader", "lease", "moves", "served (days)", "used (days)", "drift")
UNREACHABLE: dict[str, t.Any] = {"unreachable": True}


class Report(t.TypedDict):
    """The answers by member, the lines of the table, and what is wrong, a line each."""

    members: dict[str, t.Any]
    lines: list[str]
    faults: list[str]


def unfinished(dropped: t.Mapping[str, str]) -> list[str]:
    """A line for each cluster of which hosts failed or were lost. C(dropped) are their clusters, by host."""
    clusters: dict[str, list[str]] = {}
    for name, cluster in dropped.items():
        clusters.setdefault(cluster, []).append(name)
    return [f"not finished: {cluster}: {', '.join(names)}" for cluster, names in clusters.items()]


def report(
    answers: rollout.Answers,
    plans: t.Mapping[str, t.Mapping[str, t.Any]],
    asked: rollout.Asked,
    versions: Versions,
    timings: t.Any,
) -> Report:
    """The report on a cluster. C(answers) and C(plans) lack the members that gave none; C(timings) are the election's."""
    names = [name for name in asked.members if name in asked.playing or name in answers]
    rows = [_row(name, answers.get(name)) for name in names]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (HEAD, *rows)]
    running = [answer["process"]["version"] for answer in answers.values()]
    bounds = plan.failover(timings, versions, running)
    lines.append(f"fail-over: at most {bounds['crash']} s after a crash, {bounds['stop']} s after a stop")
    left_out = [name for name in asked.members if name not in names]
    lines += [f"left out: {', '.join(left_out)}"] if left_out else []
    leading = rollout.leadership(answers, asked)
    lines += [*leading.faults, *(f"not checked: {what}" for what in leading.not_checked)]
    uncompared = []
    for name, answer in answers.items():
        plan_ = plans.get(name, {})
        uncompared += [f"{name}: not compared with its plan: {fault}" for fault in plan_.get("faults", ())]
        lines += [f"{name}: {limitation}" for limitation in plan_.get("limitations", ())]
        if (answer["probes"] or {}).get("metrics_http") == 200:
            lines.append(f"{name}: its version also serves plain HTTP, so metrics are open to anyone on the host")
        lines += [f"{name}: drift: {line}" for line in rollout.pending(answer)]
        if answer["not_checked"]:
            lines.append(f"{name}: not checked: {', '.join(answer['not_checked'])}")
    lines += uncompared
    silent = [f"{name}: no answer" for name in names if name not in answers]
    sick = [f"{name}: {'; '.join(answer['problems'])}" for name, answer in answers.items() if not answer["healthy"]]
    drifted = [
        f"{name}: drift: {'; '.join(rollout.pending(answer))}" for name, answer in answers.items() if answer["drift"]
    ]
    return Report(
        members={name: answers.get(name, UNREACHABLE) for name in names},
        lines=lines,
        faults=[*silent, *sick, *leading.faults, *uncompared, *drifted],
    )


def _row(name: str, answer: rollout.Answer | None) -> tuple[str, ...]:
    if answer is None:
        return (name, "-", "-", "?", *["-"] * (len(HEAD) - 4))
    lease, probes = answer["lease"] or {}, answer["probes"] or {}
    return (
        name,
        answer["process"]["version"] or "-",
        answer["unit"]["active_state"],
        "yes" if answer["healthy"] else "NO",
        "*" if rollout.leads(answer) else "-",
        lease.get("state") or "-",
        _told(lease.get("transitions")),
        *(_told((probes.get(certificate) or {}).get("days_left")) for certificate in ("served", "used")),
        str(len(answer["drift"])) if answer["drift"] else "-",
    )


def _told(value: t.Any) -> str:
    return "-" if value is None else str(value)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Render the status document as Prometheus metrics, for the textfile collector of node_exporter."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import status
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.text import parse_time

METRIC_PREFIX = "kube_ha_scheduler_"
HELP = {
    "report_time_seconds": "Time of the report in seconds since 1970.",
    "member_healthy": "1 if a member is healthy; 0 if it is unhealthy or has no result.",
    "member_drift": "Number of parts in which a member differs from its plan.",
    "member_leads": "Whether a member holds the lease.",
    "member_version_info": "Version of a member, in the label version; always 1.",
    "lease_moving": "Whether the lease moves.",
    "lease_transitions": "Number of leader changes.",
    "certificate_not_after_seconds": (
        "Expiry of the certificate that a member serves or uses at the apiserver,"
        " in seconds since 1970."
    ),
}

Labels = dict[str, str]


def render_metrics(report: status.StatusDocument) -> str:
    """Return the metrics as text. An unknown value has no sample."""
    by_name: dict[str, list[str]] = {name: [] for name in HELP}
    for name, labels, value in _samples(report):
        pairs = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        label_set = f"{{{pairs}}}" if pairs else ""
        by_name[name].append(f"{METRIC_PREFIX}{name}{label_set} {value:.15g}\n")
    return "".join(
        f"# HELP {METRIC_PREFIX}{name} {HELP[name]}\n# TYPE {METRIC_PREFIX}{name} gauge\n"
        + "".join(lines)
        for name, lines in by_name.items()
        if lines
    )


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _samples(report: status.StatusDocument) -> t.Iterator[tuple[str, Labels, float]]:
    made = parse_time(report["time"])
    if made:
        yield "report_time_seconds", {}, made.timestamp()
    for cluster in report["clusters"]:
        labels = {"cluster": cluster["name"]}
        moving = [
            member["answer"]["lease"]["moving"]
            for member in cluster["members"].values()
            if member["answer"] and member["answer"]["lease"]
        ]
        if moving:
            yield "lease_moving", labels, any(moving)
        if cluster["transitions"] is not None:
            yield "lease_transitions", labels, cluster["transitions"]
        for name, member in cluster["members"].items():
            yield from _member_samples({**labels, "host": name}, member)


def _member_samples(
    labels: Labels, member: status.MemberStatus
) -> t.Iterator[tuple[str, Labels, float]]:
    result = member["answer"]
    yield "member_healthy", labels, bool(result and result["healthy"])
    yield "member_leads", labels, member["leads"]
    if result is None:
        return
    if member["compared"]:
        yield "member_drift", labels, len({entry["part"] for entry in result["drift"]})
    if result["process"]["version"]:
        yield "member_version_info", {**labels, "version": result["process"]["version"]}, 1
    for use in facts.CERTIFICATE_PROBES:
        certificate = result["probes"][use] if result["probes"] else None
        expiry = parse_time(certificate["not_after"]) if certificate else None
        if expiry:
            yield "certificate_not_after_seconds", {**labels, "use": use}, expiry.timestamp()

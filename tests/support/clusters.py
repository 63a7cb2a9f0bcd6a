"""Build clusters for tests of the report: the results of members, and the status document."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import rollout
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import status

from tests.support.simulation import CERTIFICATE, PROCESS, compared, lease

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'`"
TIME = "2026-01-13T12:00:00Z"
VERSIONS = {"1.20": {"releases": False}, "1.37": {"releases": True}}
DRIFT = {"part": "config", "reason": "/etc/kubernetes/kube-scheduler.yaml: content differs"}
DOWN: dict[str, Any] = {
    "healthy": False,
    "problems": ["kube-scheduler.service is inactive (dead, result success)"],
    "unit": {
        **compared("m1", "m1")["unit"],
        "active_state": "inactive",
        "sub_state": "dead",
        "active_seconds": 0.0,
    },
    "process": {**PROCESS, "pid": 0, "version": "", "timings": None},
    "lease": None,
    "probes": None,
    "journal": ["kube-scheduler.service: Deactivated successfully."],
}


def member(name: str, leader: str = "m1", **changes: Any) -> dict[str, Any]:
    """Return the result of scheduler_info for a healthy member."""
    return {**compared(name, leader, clock_offset=0.0, round_trip=0.3), **changes}


def certificate(days: int, *, life: int = 365) -> dict[str, Any]:
    """Return a served or used certificate that expires in `days` days."""
    first = 12 - life + days
    return {
        **CERTIFICATE,
        "days_left": days,
        "valid": days >= 0,
        "not_before": _day(first),
        "not_after": _day(first + life),
    }


def _day(number: int) -> str:
    """Return a time as text.

    Day 0 is the first day of 2026.
    """
    return (datetime(2026, 1, 1, 12, tzinfo=timezone.utc) + timedelta(days=number)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def play_scope(
    members: str = "m1 m2 m3", playing: str = "", batch: str = "", lost: str = ""
) -> rollout.PlayScope:
    """Return the scope of a play.

    The arguments contain names that are separated by spaces.
    """
    playing = playing or members
    return rollout.PlayScope(
        members.split(), playing.split(), (batch or playing).split(), lost.split()
    )


def cluster(
    results: dict[str, dict[str, Any]] | None = None,
    scope: rollout.PlayScope | None = None,
    *,
    name: str = "kube_masters",
    before: dict[str, dict[str, Any]] | None = None,
    **plans: dict[str, Any],
) -> status.ClusterStatus:
    """Build a cluster, by default of three healthy members with the leader m1."""
    if results is None:
        results = {each: member(each) for each in ("m1", "m2", "m3")}
    return status.evaluate_cluster(
        name,
        status.GatheredResults(scope or play_scope(), results, plans, before or {}),
        status.ClusterSettings(ElectionTimings(15, 10, 2), "720h", VERSIONS),
    )


def document(*clusters: status.ClusterStatus) -> status.StatusDocument:
    return status.build_document(clusters or [cluster()], TIME)


def troubled(count: int = 3) -> status.StatusDocument:
    """Build `count` clusters: one is unhealthy, one has drift, the remaining ones are healthy."""
    long = "master-1.control-plane.region-7.kube-ha.example.org"
    results = {
        "m1": member(
            "m1",
            probes={
                **compared("m1", "m1")["probes"],
                "served": certificate(200),
                "used": certificate(364),
            },
        ),
        "m2": member("m2", **DOWN),
        long: member(
            long,
            drift=[DRIFT],
            not_checked=["metrics for an authorized client (no client certificate was given)"],
        ),
    }
    unhealthy = cluster(
        results,
        play_scope(f"m1 m2 {long} m4", lost="m4"),
        name="east",
        m1={"limitations": ["no credentials"]},
    )
    soon = {"served": certificate(11), "used": certificate(-3)}
    drifting = cluster(
        {
            "m1": member("m1", probes={**compared("m1", "m1")["probes"], **soon}),
            "m2": member(
                "m2",
                drift=[
                    DRIFT,
                    {
                        "part": "process",
                        "reason": "the process runs version 1.20.2, expected 1.37.2",
                    },
                ],
                process={**PROCESS, "version": "1.20.2"},
            ),
        },
        play_scope("m1 m2"),
        name="west",
    )
    healthy = [cluster(name=f"c{number:03}") for number in range(count - 2)]
    return document(*healthy, drifting, unhealthy)


def hostile() -> status.StatusDocument:
    """Build clusters with a member that sends markup in every text."""
    texts = {
        "holder": HOSTILE,
        "holder_identity": HOSTILE,
        "state": HOSTILE,
        "acquire_time": HOSTILE,
    }
    evil = member(
        "m2",
        hostname=HOSTILE,
        healthy=False,
        problems=[HOSTILE],
        not_checked=[HOSTILE],
        journal=[HOSTILE],
        drift=[{"part": HOSTILE, "reason": HOSTILE}],
        lease={**lease("m2"), **texts},
        process={**PROCESS, "version": HOSTILE},
        unit={**compared("m2", "m2")["unit"], "active_state": HOSTILE},
    )
    evil["probes"]["served"] = {
        **CERTIFICATE,
        "not_before": HOSTILE,
        "not_after": HOSTILE,
        "days_left": -(10**14),
        "valid": False,
    }
    evil["probes"]["used"] = {
        **CERTIFICATE,
        "not_after": "9999-12-31T23:59:59Z",
        "days_left": 10**14,
    }
    return document(cluster({"m1": evil, "m2": evil}, play_scope("m1 m2"), name=HOSTILE), cluster())

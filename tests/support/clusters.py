"""Build clusters for tests of the report: the members' results and the document made from them."""

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
    """Return a certificate, served or used, that expires in so many days."""
    first = 12 - life + days
    return {
        **CERTIFICATE,
        "days_left": days,
        "valid": days >= 0,
        "not_before": _day(first),
        "not_after": _day(first + life),
    }


def _day(number: int) -> str:
    """Return a day, counted from the start of 2026."""

    return (datetime(2026, 1, 1, 12, tzinfo=timezone.utc) + timedelta(days=number)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def asked(
    members: str = "m1 m2 m3", playing: str = "", batch: str = "", lost: str = ""
) -> rollout.PlayScope:
    playing = playing or members
    return rollout.PlayScope(
        members.split(), playing.split(), (batch or playing).split(), lost.split()
    )


def cluster(
    answers: dict[str, dict[str, Any]] | None = None,
    play: rollout.PlayScope | None = None,
    *,
    name: str = "kube_masters",
    before: dict[str, dict[str, Any]] | None = None,
    **plans: dict[str, Any],
) -> status.ClusterStatus:
    """Build three healthy members, of which m1 leads, except for the given changes."""
    return status.evaluate_cluster(
        name,
        {each: member(each) for each in ("m1", "m2", "m3")} if answers is None else answers,
        plans,
        play or asked(),
        versions=VERSIONS,
        settings=status.ClusterSettings(ElectionTimings(15, 10, 2), "720h"),
        before=before or {},
    )


def document(*clusters: status.ClusterStatus) -> status.StatusDocument:
    return status.build_document(clusters or [cluster()], TIME)


def troubled(count: int = 3) -> status.StatusDocument:
    """Build COUNT clusters: one unhealthy, one with drift, the remaining ones healthy."""
    long = "master-1.control-plane.region-7.kube-ha.example.org"
    answers = {
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
    needy = cluster(
        answers,
        asked(f"m1 m2 {long} m4", lost="m4"),
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
                    {"part": "process", "reason": "running version 1.20.2, expected 1.37.2"},
                ],
                process={**PROCESS, "version": "1.20.2"},
            ),
        },
        asked("m1 m2"),
        name="west",
    )
    well = [cluster(name=f"c{number:03}") for number in range(count - 2)]
    return document(*well, drifting, needy)


def hostile() -> status.StatusDocument:
    """A member with markup in every text that it can set."""
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
    return document(cluster({"m1": evil, "m2": evil}, asked("m1 m2"), name=HOSTILE), cluster())

"""Test the metrics of the report. tests/integration/monitoring checks them with promtool."""

from __future__ import annotations

from typing import Any

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import (
    metrics,
    status,
)

from tests.support.clusters import (
    DOWN,
    DRIFT,
    PROCESS,
    cluster,
    document,
    lease,
    member,
    play_scope,
)


def samples(report: status.StatusDocument) -> dict[str, float]:
    lines = metrics.render_metrics(report).splitlines()
    return {
        line.rpartition(" ")[0].removeprefix("kube_ha_scheduler_"): float(line.rpartition(" ")[2])
        for line in lines
        if not line.startswith("#")
    }


def test_healthy_cluster_has_all_samples() -> None:
    found = samples(document())
    m1 = 'cluster="kube_masters",host="m1"'
    assert found[f"member_healthy{{{m1}}}"] == found[f"member_leads{{{m1}}}"] == 1
    assert (
        found['member_leads{cluster="kube_masters",host="m2"}']
        == found[f"member_drift{{{m1}}}"]
        == 0
    )
    assert found[f'member_version_info{{{m1},version="1.37.2"}}'] == 1
    assert (
        found['lease_moving{cluster="kube_masters"}']
        == found['lease_transitions{cluster="kube_masters"}']
        == 1
    )
    assert found["report_time_seconds"] > 1.7e9
    for use in facts.CERTIFICATE_PROBES:
        assert (
            found[f'certificate_not_after_seconds{{{m1},use="{use}"}}']
            > found["report_time_seconds"]
        )


def test_unknown_value_has_no_sample() -> None:
    results: dict[str, Any] = {
        "m1": member("m1"),
        "m2": member("m2", **DOWN),
        "m3": member("m3", drift=[DRIFT, DRIFT]),
    }
    found = samples(document(cluster(results, play_scope("m1 m2 m3 m4", lost="m4"))))
    healthy = {
        name: found[f'member_healthy{{cluster="kube_masters",host="{name}"}}']
        for name in ("m1", "m2", "m3", "m4")
    }
    assert healthy == {"m1": 1, "m2": 0, "m3": 1, "m4": 0}
    assert found['member_drift{cluster="kube_masters",host="m3"}'] == 1, "parts, not reasons"
    of_m4 = [name for name in found if 'host="m4"' in name]
    assert sorted(name.partition("{")[0] for name in of_m4) == ["member_healthy", "member_leads"]
    assert not [name for name in found if 'host="m2"' in name and name.startswith("certificate")]


def test_lease_that_is_not_renewed_is_reported_as_not_moving() -> None:
    results = {
        name: member(name, lease={**lease("m1.example"), "moving": False}) for name in ("m1", "m2")
    }
    assert (
        samples(document(cluster(results, play_scope("m1 m2"))))[
            'lease_moving{cluster="kube_masters"}'
        ]
        == 0
    )


def test_markup_in_a_version_stays_in_the_label() -> None:
    results = {"m1": member("m1", process={**PROCESS, "version": '1"} 1\nup{} 0 \\'})}
    text = metrics.render_metrics(document(cluster(results, play_scope("m1"))))
    assert 'version="1\\"} 1 up{} 0 \\\\"} 1\n' in text
    assert "\nup" not in text

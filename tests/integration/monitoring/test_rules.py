"""Check the files with promtool, and that under its condition only the expected alert fires."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import (
    metrics,
    monitoring,
)

from tests.support.clusters import document
from tests.support.pki import Ca
from tests.support.prometheus import promtool
from tests.unit.plugins.module_utils._scheduler.report.test_monitoring import cluster, planned

LEADER = "leader_election_master_status"
LATENCY = "scheduler_scheduling_attempt_duration_seconds_bucket"
HOSTS = ("m1", "m2", "m3")


def series(metric: str, values: str, **labels: str) -> tuple[str, str]:
    pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{metric}{{{pairs}}}", values


def scraped(metric: str, values: str, host: str, **labels: str) -> tuple[str, str]:
    return series(
        metric,
        values,
        **{
            "job": "kube-scheduler",
            "cluster": "kube_masters",
            "scheduler": "kube-scheduler",
            "host": host,
            **labels,
        },
    )


def reported(metric: str, values: str, **labels: str) -> tuple[str, str]:
    return series(f"kube_ha_scheduler_{metric}", values, cluster="kube_masters", **labels)


def healthy_series() -> dict[str, str]:
    """Return series of three healthy members with leader m1.

    The series have one sample per minute for two hours.
    """
    result = [
        series("kube_ha_scheduler_report_time_seconds", "0+60x120"),
        reported("lease_moving", "1x120"),
    ]
    for host in HOSTS:
        result += [
            scraped("up", "1x120", host),
            scraped(LEADER, "1x120" if host == "m1" else "0x120", host, name="kube-scheduler"),
            scraped("kubernetes_build_info", "1x120", host, git_version="v1.37.2"),
            scraped("scheduler_pending_pods", "0x120", host, queue="active"),
            scraped("scheduler_schedule_attempts_total", "0+30x120", host, result="scheduled"),
            scraped(LATENCY, "0+30x120", host, le="0.1"),
            scraped(LATENCY, "0+30x120", host, le="+Inf"),
            reported("member_healthy", "1x120", host=host),
            reported("member_drift", "0x120", host=host),
            reported("certificate_not_after_seconds", "31536000x120", host=host, use="served"),
        ]
    return dict(result)


# Each entry maps an alert to the series with which the alert fires.
FIRING: dict[str, list[tuple[tuple[str, str], ...]]] = {
    "Leaderless": [
        (scraped(LEADER, "1x60 0x60", "m1", name="kube-scheduler"),),
        (scraped(LEADER, "1x60 stale", "m1", name="kube-scheduler"),),
    ],
    "Leaders": [(scraped(LEADER, "0x60 1x60", "m2", name="kube-scheduler"),)],
    "Transitions": [
        (
            scraped(
                LEADER, "1x70 0x4 1x4 0x4 1x4 0x4 1x4 0x4 1x10 1x10", "m1", name="kube-scheduler"
            ),
            scraped(
                LEADER, "0x70 1x4 0x4 1x4 0x4 1x4 0x4 1x4 0x10 0x10", "m2", name="kube-scheduler"
            ),
        )
    ],
    "MemberDown": [(scraped("up", "1x60 0x60", "m3"),)],
    "Versions": [(scraped("kubernetes_build_info", "1x120", "m3", git_version="v1.36.1"),)],
    "Pending": [
        tuple(
            one
            for host in HOSTS
            for one in (
                scraped("scheduler_pending_pods", "0x60 5+1x60", host, queue="active"),
                scraped(
                    "scheduler_schedule_attempts_total", "0+30x60 1800x60", host, result="scheduled"
                ),
            )
        )
    ],
    "Slow": [
        tuple(scraped(LATENCY, "0+30x60 1800x60", host, le="0.1") for host in HOSTS)
        + tuple(scraped(LATENCY, "0+30x120", host, le="8") for host in HOSTS)
    ],
    "LeaseStands": [(reported("lease_moving", "1x60 0x60"),)],
    "Unhealthy": [(reported("member_healthy", "1x60 0x60", host="m2"),)],
    "Drift": [(reported("member_drift", "0x60 2x60", host="m2"),)],
    "Certificate": [
        (reported("certificate_not_after_seconds", "1900000x120", host="m2", use="used"),)
    ],
    "Report": [(series("kube_ha_scheduler_report_time_seconds", "-100000x120"),)],
}
ALERTS = [(name, change) for name, changes in FIRING.items() for change in changes]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    [content] = (file for name, file in planned().files.items() if name.endswith("rules.yml"))
    path.write_text(yaml.safe_dump(content))
    return path


def assert_firing(rules: Path, changed: dict[str, str], expected: set[str]) -> None:
    """Check which alerts fire at the end of the series."""
    text = {
        "rule_files": [rules.name],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values}
                    for name, values in {**healthy_series(), **changed}.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "110m",
                        "exp_samples": [
                            {"labels": f'{{alertname="KubeScheduler{name}"}}', "value": 1}
                            for name in sorted(expected)
                        ],
                    }
                ],
            }
        ],
    }
    path = rules.parent / "test.yml"
    path.write_text(yaml.safe_dump(text))
    promtool("test", "rules", path)


def test_every_alert_is_tested() -> None:
    assert list(FIRING) == list(monitoring.ALERT_PROPERTIES)


def test_healthy_members_raise_no_alert(rules: Path) -> None:
    assert_firing(rules, {}, set())


@pytest.mark.parametrize(("name", "change"), ALERTS, ids=[name for name, _change in ALERTS])
def test_alert_fires_alone(rules: Path, name: str, change: tuple[tuple[str, str], ...]) -> None:
    assert_firing(rules, dict(change), {name})


def test_failover_raises_no_alert(rules: Path) -> None:
    """A failover within the bound raises no alert.

    The series of the previous leader ends, and another member becomes the leader.
    """
    changed = dict(
        [
            scraped(LEADER, "1x108 stale", "m1", name="kube-scheduler"),
            scraped(LEADER, "0x109 1x10", "m2", name="kube-scheduler"),
            scraped("up", "1x108 0 1x10", "m1"),
        ]
    )
    assert_firing(rules, changed, set())


def test_promtool_accepts_the_files(tmp_path: Path) -> None:
    ca = Ca(tmp_path)
    pem, key = ca.issue("kube-ha-prometheus")
    clusters = [
        cluster(),
        cluster(name="batch", secure_port=10359),
        cluster(group="old", version="1.20.2"),
        cluster(group="lab", pki="external", csr_dir="/csr"),
    ]
    plan = planned(*clusters, dir=str(tmp_path), server_name="scheduler.example")
    for path, content in plan.files.items():
        Path(path).write_text(ca.pem if path.endswith(".pem") else yaml.safe_dump(content))
    for path in {
        one["tls_config"][name]
        for one in plan.files[f"{tmp_path}/scrape.yml"]["scrape_configs"]
        for name in ("cert_file", "key_file")
    }:
        Path(path).write_text(key if "key" in path else pem)
    (tmp_path / "prometheus.yml").write_text(
        "scrape_config_files: [scrape.yml]\nrule_files: [rules.yml]\n"
    )
    promtool("check", "config", tmp_path / "prometheus.yml")
    [count] = {len(group["rules"]) for group in plan.files[f"{tmp_path}/rules.yml"]["groups"]}
    assert f"{4 * count} rules found" in promtool(
        "check", "rules", "--lint-fatal", tmp_path / "rules.yml"
    )


def test_promtool_accepts_the_metrics_of_the_report() -> None:
    assert promtool("check", "metrics", stdin=metrics.render_metrics(document())) == ""

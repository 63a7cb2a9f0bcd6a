"""What Prometheus is told of the schedulers, as functions; tests/integration/monitoring has promtool read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import timings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import monitoring

from tests.unit.plugins.module_utils._scheduler.decide.test_variable_rules import (
    ADDRESSES,
    PREFIX,
    VERSIONS,
    settings,
)

DIR = "/etc/prometheus/kube-scheduler"


def cluster(
    lease: timings.ElectionTimings = timings.DEFAULT_TIMINGS, **given: Any
) -> monitoring.MonitoredCluster:
    v = settings(**{"bind_address": "0.0.0.0", "ca_key": "/ca-key.pem", **given})
    return monitoring.MonitoredCluster(dict.fromkeys(ADDRESSES, v), ADDRESSES, lease, "the CA\n")


def told(**given: Any) -> monitoring.MonitoringSettings:
    found, faults = monitoring.read_monitoring_settings(
        {f"monitoring_{name}": value for name, value in given.items()}
    )
    assert found, faults
    return found


def planned(*clusters: monitoring.MonitoredCluster, **given: Any) -> monitoring.MonitoringPlan:
    return monitoring.plan_monitoring(clusters or [cluster()], told(**given), VERSIONS)


def alerts(*clusters: monitoring.MonitoredCluster, **given: Any) -> dict[str, dict[str, Any]]:
    [group] = planned(*clusters, **given).files[f"{DIR}/rules.yml"]["groups"]
    return {rule["alert"].removeprefix("KubeScheduler"): rule for rule in group["rules"]}


def job(*clusters: monitoring.MonitoredCluster, **given: Any) -> dict[str, Any]:
    found = planned(*clusters, **given)
    [one] = next(content for path, content in found.files.items() if path.endswith("scrape.yml"))[
        "scrape_configs"
    ]
    return dict(one)


def test_the_scrape_job() -> None:
    assert job() == {
        "job_name": "kube-scheduler/kube_masters/kube-scheduler",
        "scheme": "https",
        "scrape_interval": "15s",
        "tls_config": {
            "ca_file": f"{DIR}/kube_masters-ca.pem",
            "cert_file": f"{DIR}/kube_masters.pem",
            "key_file": f"{DIR}/kube_masters-key.pem",
        },
        "static_configs": [
            {
                "targets": [f"{address}:10259"],
                "labels": {
                    "job": "kube-scheduler",
                    "cluster": "kube_masters",
                    "scheduler": "kube-scheduler",
                    "host": name,
                },
            }
            for name, address in ADDRESSES.items()
        ],
    }
    assert planned().files[f"{DIR}/kube_masters-ca.pem"] == "the CA\n"


def test_what_is_set_is_heard() -> None:
    found = job(dir="/srv/p", server_name="scheduler.example", interval="1m")
    assert found["tls_config"]["ca_file"] == "/srv/p/kube_masters-ca.pem"
    assert found["tls_config"]["server_name"] == "scheduler.example"
    assert found["scrape_interval"] == "1m"
    kept = told(group="monitors", service="")
    assert (kept.group, kept.service) == ("monitors", "")


@pytest.mark.parametrize(
    ("bind", "target"),
    [
        ("0.0.0.0", "192.0.2.1:10259"),
        ("::", "192.0.2.1:10259"),
        ("192.0.2.9", "192.0.2.9:10259"),
        ("2001:db8::9", "[2001:db8::9]:10259"),
    ],
)
def test_where_it_is_scraped(bind: str, target: str) -> None:
    assert job(cluster(bind_address=bind))["static_configs"][0]["targets"] == [target]


def test_one_identity_for_each_cluster() -> None:
    found = planned(cluster(), cluster(group="lab", ca_cert="/lab.pem", ca_key="/lab-key.pem"))
    assert found.identities == [
        {
            "path": f"{DIR}/{name}.pem",
            "privatekey_path": f"{DIR}/{name}-key.pem",
            "ca_cert": f"{ca}.pem",
            "ca_key": f"{ca}-key.pem",
        }
        for name, ca in (("kube_masters", "/ca"), ("lab", "/lab"))
    ]
    jobs = found.files[f"{DIR}/scrape.yml"]["scrape_configs"]
    assert [one["tls_config"]["cert_file"] for one in jobs] == [
        f"{DIR}/kube_masters.pem",
        f"{DIR}/lab.pem",
    ]
    assert found.warnings == []


def test_instances_of_one_cluster_are_told_apart() -> None:
    found = planned(cluster(), cluster(name="batch", secure_port=10359))
    first, second = found.files[f"{DIR}/scrape.yml"]["scrape_configs"]
    assert first["job_name"] != second["job_name"]
    assert second["tls_config"]["ca_file"] == f"{DIR}/kube_masters-batch-ca.pem"
    assert second["static_configs"][0]["labels"]["scheduler"] == "batch"
    assert 'scheduler="batch"' in found.files[f"{DIR}/rules.yml"]["groups"][1]["rules"][0]["expr"]


def test_a_ca_of_somebody_else_signs_elsewhere() -> None:
    found = planned(cluster(pki="external", csr_dir="/csr"))
    assert found.identities == []
    [warning] = found.warnings
    assert warning == (
        "kube_masters: its certificates are not signed here; put a client certificate with O=system:monitoring and its key at"
        f" {DIR}/kube_masters.pem and {DIR}/kube_masters-key.pem, readable by the group prometheus"
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_a_loopback_address_is_refused(address: str) -> None:
    one = cluster()
    one.variables["m2"] = replace(one.variables["m2"], bind_address=address)
    [fault] = monitoring.list_errors(one, VERSIONS, PREFIX)
    assert fault == (
        f"kube_scheduler_bind_address: m2 serves its metrics on {address} only, where Prometheus cannot reach them; let it be 0.0.0.0 or"
        " the address of the host, run site.yml, and then this again"
    )


def test_plain_http_is_refused() -> None:
    found = monitoring.list_errors(cluster(version="1.12.10"), VERSIONS, PREFIX)
    assert len(found) == 3
    assert found[0].startswith(
        "kube_scheduler_version: 1.12.10 of m1 serves its metrics over plain http only; upgrade it"
    )
    assert monitoring.list_errors(cluster(version="1.13.12"), VERSIONS, PREFIX) == []


def test_thresholds_follow_from_the_lease_s_times_and_the_renewal() -> None:
    found = alerts()
    assert (found["Leaderless"]["for"], found["Leaders"]["for"]) == ("54s", "54s"), (
        "23.8 s and two scrapes of 15 s"
    )
    fast = alerts(cluster(timings.ElectionTimings(5, 3, 1)), interval="5s")
    assert (fast["Leaderless"]["for"], fast["Leaders"]["for"]) == ("20s", "20s")
    assert found["Certificate"]["expr"].endswith(f"< {540 * 3600}"), "three quarters of 720h"
    assert alerts(cluster(renew_before="20%"))["Certificate"]["expr"].endswith(f"< {15 * 86400}")


@pytest.mark.parametrize(
    ("name", "value", "alert", "key", "text"),
    [
        ("leaderless", "2m", "Leaderless", "for", "2m"),
        ("leaders", "3m", "Leaders", "for", "3m"),
        ("down", "4m", "Down", "for", "4m"),
        ("transitions", 9, "Transitions", "expr", "> 9"),
        ("certificate", "3d", "Certificate", "expr", "< 259200"),
        ("pending", "7m", "Pending", "for", "7m"),
        ("latency", "2s", "Slow", "expr", "> 2"),
        ("versions", "2h", "Versions", "for", "2h"),
        ("report", "2d", "Report", "expr", "> 172800 "),
    ],
)
def test_each_threshold_can_be_set(name: str, value: Any, alert: str, key: str, text: str) -> None:
    assert text not in alerts()[alert][key]
    assert text in alerts(alerts={name: value})[alert][key]
    assert text not in alerts()[alert][key]


@pytest.mark.parametrize(
    ("version", "latency", "lacks"),
    [
        ("1.13.12", None, {"Leaderless", "Leaders", "Transitions", "Pending", "Slow"}),
        ("1.14.10", "scheduler_e2e_scheduling_duration_seconds_bucket", {"Pending"}),
        ("1.20.2", "scheduler_e2e_scheduling_duration_seconds_bucket", set()),
        ("1.30.14", "scheduler_scheduling_attempt_duration_seconds_bucket", set()),
        ("", "scheduler_scheduling_attempt_duration_seconds_bucket", set()),
    ],
)
def test_the_rules_name_what_the_version_has(
    version: str, latency: str | None, lacks: set[str]
) -> None:
    found = alerts(cluster(version=version))
    assert set(alerts()) - set(found) == lacks
    assert latency is None or latency in found["Slow"]["expr"]
    [*warnings] = planned(cluster(version=version)).warnings
    assert bool(warnings) == (not version)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (
            {"dir": "etc"},
            "monitoring_dir: 'etc' is not an absolute path of letters, digits and ._@-",
        ),
        ({"group": "a b"}, "monitoring_group: 'a b' is not a name of a group"),
        ({"service": "a;b"}, "monitoring_service: 'a;b' is not a name of a unit"),
        ({"server_name": "a b"}, "monitoring_server_name: 'a b' is not a DNS name or an address"),
        ({"interval": "1.5m"}, "monitoring_interval: '1.5m' is not a duration such as 15s"),
        (
            {"alerts": {"down": "soon"}},
            "monitoring_alerts: down: 'soon' is not a duration such as 90s, 5m or 30d",
        ),
        (
            {"alerts": {"down": ""}},
            "monitoring_alerts: down: '' is not a duration such as 90s, 5m or 30d",
        ),
    ],
)
def test_what_is_malformed_is_named(given: dict[str, Any], fault: str) -> None:
    assert monitoring.read_monitoring_settings(
        {f"monitoring_{name}": value for name, value in given.items()}
    ) == (
        None,
        [fault],
    )


def test_an_unknown_threshold_is_refused() -> None:
    found, faults = monitoring.read_monitoring_settings({"monitoring_alerts": {"leaderles": "1m"}})
    assert found is None
    assert "leaderles" in faults[0]

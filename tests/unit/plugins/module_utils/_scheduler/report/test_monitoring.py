"""Test the files for Prometheus. tests/integration/monitoring checks them with promtool."""

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


def read_settings(**given: Any) -> monitoring.MonitoringSettings:
    result, errors = monitoring.read_monitoring_settings(
        {f"monitoring_{name}": value for name, value in given.items()}
    )
    assert result, errors
    return result


def planned(*clusters: monitoring.MonitoredCluster, **given: Any) -> monitoring.MonitoringPlan:
    return monitoring.plan_monitoring(clusters or [cluster()], read_settings(**given), VERSIONS)


def alerts(*clusters: monitoring.MonitoredCluster, **given: Any) -> dict[str, dict[str, Any]]:
    [group] = planned(*clusters, **given).files[f"{DIR}/rules.yml"]["groups"]
    return {rule["alert"].removeprefix("KubeScheduler"): rule for rule in group["rules"]}


def job(*clusters: monitoring.MonitoredCluster, **given: Any) -> dict[str, Any]:
    result = planned(*clusters, **given)
    [one] = next(content for path, content in result.files.items() if path.endswith("scrape.yml"))[
        "scrape_configs"
    ]
    return dict(one)


def test_scrape_job_has_all_members() -> None:
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


def test_scrape_job_uses_the_variables() -> None:
    result = job(dir="/srv/p", server_name="scheduler.example", interval="1m")
    assert result["tls_config"]["ca_file"] == "/srv/p/kube_masters-ca.pem"
    assert result["tls_config"]["server_name"] == "scheduler.example"
    assert result["scrape_interval"] == "1m"
    named = read_settings(group="monitors", service="")
    assert (named.group, named.service) == ("monitors", "")


@pytest.mark.parametrize(
    ("bind", "target"),
    [
        ("0.0.0.0", "192.0.2.1:10259"),
        ("::", "192.0.2.1:10259"),
        ("192.0.2.9", "192.0.2.9:10259"),
        ("2001:db8::9", "[2001:db8::9]:10259"),
    ],
)
def test_scrape_target_uses_a_specific_bind_address(bind: str, target: str) -> None:
    assert job(cluster(bind_address=bind))["static_configs"][0]["targets"] == [target]


def test_each_cluster_has_a_client_identity() -> None:
    lab: dict[str, Any] = {
        "ca_cert": "/lab.pem",
        "ca_key": "/lab-key.pem",
        "ca_key_passphrase_file": "/lab.txt",
    }
    result = planned(cluster(), cluster(group="lab", **lab))
    assert result.identities == [
        {
            "path": f"{DIR}/{name}.pem",
            "privatekey_path": f"{DIR}/{name}-key.pem",
            "ca_cert": f"{ca}.pem",
            "ca_key": f"{ca}-key.pem",
            "ca_key_passphrase_file": passphrase,
        }
        for name, ca, passphrase in (("kube_masters", "/ca", ""), ("lab", "/lab", "/lab.txt"))
    ]
    jobs = result.files[f"{DIR}/scrape.yml"]["scrape_configs"]
    assert [one["tls_config"]["cert_file"] for one in jobs] == [
        f"{DIR}/kube_masters.pem",
        f"{DIR}/lab.pem",
    ]
    assert result.warnings == []


def test_instances_of_one_cluster_have_separate_jobs_and_rules() -> None:
    result = planned(cluster(), cluster(name="batch", secure_port=10359))
    first, second = result.files[f"{DIR}/scrape.yml"]["scrape_configs"]
    assert first["job_name"] != second["job_name"]
    assert second["tls_config"]["ca_file"] == f"{DIR}/kube_masters-batch-ca.pem"
    assert second["static_configs"][0]["labels"]["scheduler"] == "batch"
    assert 'scheduler="batch"' in result.files[f"{DIR}/rules.yml"]["groups"][1]["rules"][0]["expr"]


def test_external_pki_results_in_a_warning() -> None:
    result = planned(cluster(pki="external", csr_dir="/csr"))
    assert result.identities == []
    [warning] = result.warnings
    assert warning == (
        "kube_masters: the controller does not sign certificates of this cluster; create a client certificate with"
        f" O=system:monitoring at {DIR}/kube_masters.pem and its key at"
        f" {DIR}/kube_masters-key.pem, readable by the group prometheus"
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_address_is_rejected(address: str) -> None:
    one = cluster()
    one.variables["m2"] = replace(one.variables["m2"], bind_address=address)
    [error] = monitoring.list_scrape_errors(one, VERSIONS, PREFIX)
    assert error == (
        f"kube_scheduler_bind_address: m2 serves metrics on {address} only, which Prometheus cannot"
        " reach; set 0.0.0.0 or the address of the host, run site.yml, then run monitoring.yml"
        " again"
    )


def test_version_with_plain_http_is_rejected() -> None:
    result = monitoring.list_scrape_errors(cluster(version="1.12.10"), VERSIONS, PREFIX)
    assert len(result) == 3
    assert result[0].startswith(
        "kube_scheduler_version: 1.12.10 on m1 serves metrics without TLS only; upgrade"
    )
    assert monitoring.list_scrape_errors(cluster(version="1.13.12"), VERSIONS, PREFIX) == []


def test_default_thresholds_follow_from_timings_and_renewal_window() -> None:
    result = alerts()
    assert (result["Leaderless"]["for"], result["Leaders"]["for"]) == ("54s", "54s"), (
        "23.8 s and two scrape intervals of 15 s"
    )
    fast = alerts(cluster(timings.ElectionTimings(5, 3, 1)), interval="5s")
    assert (fast["Leaderless"]["for"], fast["Leaders"]["for"]) == ("20s", "20s")
    assert result["Certificate"]["expr"].endswith(f"< {540 * 3600}"), "three quarters of 720h"
    assert alerts(cluster(renew_before="20%"))["Certificate"]["expr"].endswith(f"< {15 * 86400}")


@pytest.mark.parametrize(
    ("name", "value", "alert", "key", "text"),
    [
        ("leaderless", "2m", "Leaderless", "for", "2m"),
        ("leaders", "3m", "Leaders", "for", "3m"),
        ("down", "4m", "MemberDown", "for", "4m"),
        ("transitions", 9, "Transitions", "expr", "> 9"),
        ("certificate", "3d", "Certificate", "expr", "< 259200"),
        ("pending", "7m", "Pending", "for", "7m"),
        ("latency", "2s", "Slow", "expr", "> 2"),
        ("versions", "2h", "Versions", "for", "2h"),
        ("report", "2d", "Report", "expr", "> 172800 "),
    ],
)
def test_threshold_that_is_set_changes_the_alert(
    name: str, value: Any, alert: str, key: str, text: str
) -> None:
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
def test_rules_use_the_metrics_of_the_version(
    version: str, latency: str | None, lacks: set[str]
) -> None:
    result = alerts(cluster(version=version))
    assert set(alerts()) - set(result) == lacks
    assert latency is None or latency in result["Slow"]["expr"]
    [*warnings] = planned(cluster(version=version)).warnings
    assert bool(warnings) == (not version)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            {"dir": "etc"},
            "monitoring_dir: 'etc' is not valid; set an absolute path of letters, digits and ._@-",
        ),
        ({"group": "a b"}, "monitoring_group: 'a b' is not valid; set a group name"),
        ({"service": "a;b"}, "monitoring_service: 'a;b' is not valid; set a unit name"),
        (
            {"server_name": "a b"},
            "monitoring_server_name: 'a b' is not valid; set a DNS name or an address",
        ),
        (
            {"interval": "1.5m"},
            "monitoring_interval: '1.5m' is not valid; set a duration such as 15s",
        ),
        (
            {"alerts": {"down": "soon"}},
            "monitoring_alerts: down: 'soon' is not a duration; set one such as 90s, 5m or 30d",
        ),
        (
            {"alerts": {"down": ""}},
            "monitoring_alerts: down: '' is not a duration; set one such as 90s, 5m or 30d",
        ),
    ],
)
def test_malformed_variable_is_rejected(given: dict[str, Any], error: str) -> None:
    assert monitoring.read_monitoring_settings(
        {f"monitoring_{name}": value for name, value in given.items()}
    ) == (
        None,
        [error],
    )


def test_unknown_threshold_is_rejected() -> None:
    result, errors = monitoring.read_monitoring_settings({"monitoring_alerts": {"leaderles": "1m"}})
    assert result is None
    assert "leaderles" in errors[0]

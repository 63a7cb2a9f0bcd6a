"""Test monitoring.yml with Debian's Prometheus and node_exporter: metrics and alerts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.support.lab import ROOT, UNIT, Run, wait_for
from tests.support.prometheus import packages

HOST = "m1"
TEXTFILE = "/var/lib/prometheus/node-exporter/kube-scheduler.prom"
# Scrapes and rules have short intervals, so that the tests take less time.
CONFIG = """
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}
rule_files: [kube-scheduler/rules.yml]
scrape_config_files: [kube-scheduler/scrape.yml]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:9100"]}]
"""
QUICK = (
    "--extra-vars={monitoring_interval: 2s, monitoring_alerts: {down: 10s}}",
    "--extra-vars=kube_scheduler_bind_address=0.0.0.0",
)
SHELL = """
set -e
dpkg --force-depends --unpack /tmp/debs/*.deb
for new in /etc/default/prometheus*.dpkg-new; do mv "$new" "${new%.dpkg-new}"; done
id prometheus >/dev/null 2>&1 || useradd --system --no-create-home prometheus
mkdir -p /var/lib/prometheus/metrics2 /var/lib/prometheus/node-exporter
mkdir -p /etc/prometheus/kube-scheduler
chown -R prometheus: /var/lib/prometheus
systemctl daemon-reload
systemctl restart prometheus prometheus-node-exporter
"""


class Prometheus:
    """Access the Prometheus of a host from the machine that runs the tests."""

    def __init__(self, lab: Any, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.inventory = folder / "inventory.yml"
        reported = yaml.safe_load(lab.inventory.read_text())
        self.inventory.write_text(
            yaml.safe_dump({**reported, "prometheus": {"hosts": {HOST: None}}})
        )

    def install(self) -> None:
        container = self.lab.settings.container(HOST)
        self.lab.podman("exec", container, "mkdir", "--parents", "/tmp/debs")
        for path in packages("prometheus", "prometheus-node-exporter"):
            self.lab.podman("cp", str(path), f"{container}:/tmp/debs/")
        self.lab.host(HOST).check_output("mkdir --parents /etc/prometheus")
        self.lab.write(HOST, "/etc/prometheus/prometheus.yml", CONFIG.encode())
        self.lab.host(HOST).check_output(SHELL)

    def monitor(self, *words: str) -> Run:
        run: Run = self.lab.play(
            "playbooks/monitoring.yml", *QUICK, *words, inventory=self.inventory
        )
        return run

    def report(self) -> None:
        """Write the metrics of status.yml to the directory that node_exporter reads."""
        path = self.folder / "report.prom"
        run = self.lab.play(
            "playbooks/status.yml",
            f"--extra-vars=status_metrics={path}",
            *QUICK,
            inventory=self.inventory,
        )
        assert path.exists(), run.output
        self.lab.write(HOST, TEXTFILE, path.read_bytes())

    def asked(self, path: str) -> Any:
        answer = json.loads(
            self.lab.host(HOST).check_output("curl -sS %s", f"http://127.0.0.1:9090/api/v1/{path}")
        )
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.asked(f"query?query={quote(expression, safe='')}")[
            "result"
        ]
        return result

    def targets(self) -> dict[str, dict[str, Any]]:
        """Return the alerts about schedulers, by host."""
        result = self.asked("targets?state=active")["activeTargets"]
        return {
            one["labels"]["host"]: one for one in result if one["labels"]["job"] == "kube-scheduler"
        }

    def firing(self) -> set[str]:
        return {
            one["labels"]["alertname"]
            for one in self.asked("alerts")["alerts"]
            if one["state"] == "firing"
        }


@pytest.fixture(scope="module")
def prometheus(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    result = Prometheus(lab, tmp_path_factory.mktemp("prometheus"))
    run = lab.site(*QUICK, inventory=result.inventory)
    assert run.code == 0, run.output
    result.install()
    run = result.monitor()
    assert run.code == 0, run.output
    result.report()
    wait_for(lambda: {one["health"] for one in result.targets().values()} == {"up"}, 60)
    return result


@pytest.fixture
def calm(lab: Any, prometheus: Prometheus) -> Iterator[None]:
    """Check that no alert fires before and after the test."""
    yield
    for name in lab.names:
        lab.host(name).check_output("systemctl start %s", UNIT)

    def settled() -> bool:
        # If a version does not release its lease, the other members must wait. The report shows
        # the wait.
        prometheus.report()
        return not prometheus.firing()

    wait_for(settled, 180)


def test_second_run_of_monitoring_changes_nothing(prometheus: Prometheus) -> None:
    run = prometheus.monitor()
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(prometheus.lab.names, 0)


def test_targets_are_up_over_verified_tls(lab: Any, prometheus: Prometheus) -> None:
    result = prometheus.targets()
    assert set(result) == set(lab.names)
    assert {name: one["scrapeUrl"] for name, one in result.items()} == {
        name: f"https://{address}:10259/metrics" for name, address in lab.addresses.items()
    }
    job = yaml.safe_load(
        lab.host(HOST).check_output("cat /etc/prometheus/kube-scheduler/scrape.yml")
    )["scrape_configs"][0]
    assert "insecure_skip_verify" not in job["tls_config"]
    # Prometheus does not scrape a target whose certificate another CA issued.
    lab.host(HOST).check_output(
        "cd /etc/prometheus/kube-scheduler && cp kube_masters-ca.pem /tmp/ca.pem && "
        "cp kube_masters.pem kube_masters-ca.pem"
    )
    try:
        lab.host(HOST).check_output("systemctl reload prometheus")
        wait_for(lambda: {one["health"] for one in prometheus.targets().values()} == {"down"}, 60)
        assert all("x509" in one["lastError"] for one in prometheus.targets().values())
    finally:
        assert prometheus.monitor().code == 0
    wait_for(lambda: {one["health"] for one in prometheus.targets().values()} == {"up"}, 60)


def test_only_prometheus_reads_its_key(lab: Any) -> None:
    key = lab.host(HOST).file("/etc/prometheus/kube-scheduler/kube_masters-key.pem")
    assert (key.user, key.group, key.mode) == ("root", "prometheus", 0o640)


def test_every_panel_of_the_dashboard_has_data(
    prometheus: Prometheus, bind_pod: Callable[[], str]
) -> None:
    dashboard = json.loads((ROOT / "roles/kube_scheduler/files/dashboard.json").read_text())
    expressions = {
        target["expr"]: panel["title"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }
    assert len(expressions) > 15

    def empty() -> list[str]:
        bind_pod()
        return [
            title
            for expression, title in expressions.items()
            if not prometheus.query(
                expression.replace("$cluster", ".*").replace("$scheduler", ".*")
            )
        ]

    wait_for(lambda: not empty(), 60)
    for variable in dashboard["templating"]["list"][1:]:
        assert prometheus.query(
            variable["definition"].split("(")[1].rpartition(",")[0].replace("$cluster", ".*")
        )


def test_metrics_of_the_rules_exist(prometheus: Prometheus) -> None:
    """All metrics of the alerting rules exist in the tested version.

    An alert on a missing metric would never fire.
    """
    groups = prometheus.asked("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    metrics = {
        word
        for rule in rules
        for word in rule["query"].replace("(", " ").replace("{", " ").replace("[", " ").split()
        if "_" in word and word.replace("_", "").isalnum() and not word.startswith("vector")
    } - {"histogram_quantile", "git_version"}
    known = set(prometheus.asked("label/__name__/values"))
    assert len(metrics) > 8
    assert metrics <= known


def test_no_alert_fires_on_a_healthy_cluster(prometheus: Prometheus) -> None:
    assert prometheus.firing() == set()


@pytest.mark.usefixtures("calm")
def test_killed_leader_fires_no_false_alert(lab: Any, prometheus: Prometheus) -> None:
    leader = lab.leader()
    lab.host(leader).check_output("systemctl kill --signal=SIGKILL %s", UNIT)
    observed: set[str] = set()
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        observed |= prometheus.firing()
        time.sleep(1)
    assert observed == set()
    leads = prometheus.query("leader_election_master_status == 1")
    assert [one["metric"]["host"] for one in leads] == [lab.leader()]


@pytest.mark.usefixtures("calm")
def test_stopped_standby_fires_its_alert(lab: Any, prometheus: Prometheus) -> None:
    standby = next(name for name in lab.names if name != lab.leader())
    lab.host(standby).check_output("systemctl stop %s", UNIT)
    wait_for(lambda: "KubeSchedulerMemberDown" in prometheus.firing(), 60)
    alerts = [one for one in prometheus.asked("alerts")["alerts"] if one["state"] == "firing"]
    assert {(one["labels"]["alertname"], one["labels"]["host"]) for one in alerts} == {
        ("KubeSchedulerMemberDown", standby)
    }
    assert alerts[0]["annotations"]["summary"] == f"kube_masters: {standby} does not respond"
    prometheus.report()
    wait_for(lambda: "KubeSchedulerUnhealthy" in prometheus.firing(), 60)


@pytest.mark.usefixtures("calm")
def test_alert_fires_if_all_members_are_stopped(lab: Any, prometheus: Prometheus) -> None:
    for name in lab.names:
        lab.host(name).check_output("systemctl stop %s", UNIT)
    wait_for(lambda: "KubeSchedulerLeaderless" in prometheus.firing(), 90)
    assert "KubeSchedulerMemberDown" in prometheus.firing()

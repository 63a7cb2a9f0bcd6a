"""Test monitoring.yml with this machine as the Prometheus host, without contact to the hosts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.prometheus import on_this_machine
from tests.support.simulation import ROOT, Outcome, Simulation

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="creates files owned by root")


class Monitored(Simulation):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {"kube_masters": ["m1", "m2"], "edge": ["e1"]})
        self.dir = directory / "prometheus"
        self.variables["kube_scheduler_bind_address"] = "0.0.0.0"

    def monitor(self, *words: str) -> Outcome:
        other = self.folder / "prometheus.yml"
        other.write_text(
            yaml.safe_dump({"prometheus": {"hosts": {"p1": on_this_machine(self.dir)}}})
        )
        groups = "--extra-vars=kube_scheduler_hosts=kube_masters:edge"
        return self.run("playbooks/monitoring.yml", f"--inventory={other}", groups, *words)


@pytest.fixture
def cluster(tmp_path: Path) -> Monitored:
    return Monitored(tmp_path)


def test_files_of_the_prometheus_host(cluster: Monitored) -> None:
    run = cluster.monitor()
    assert run.code == 0, run.output
    assert not any(run.calls.values()), "hosts are contacted"
    names = {f"{name}{end}.pem" for name in cluster.clusters for end in ("", "-key", "-ca")}
    assert {path.name for path in cluster.dir.iterdir()} == {
        *names,
        "scrape.yml",
        "rules.yml",
        "dashboard.json",
    }
    assert {
        path.stat().st_mode & 0o777
        for path in cluster.dir.iterdir()
        if path.name.endswith(("key.pem", ".yml"))
    } == {0o640}
    certificate = x509.load_pem_x509_certificate((cluster.dir / "kube_masters.pem").read_bytes())
    certificate.verify_directly_issued_by(cluster.ca.certificate)
    [organization] = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert organization.value == "system:monitoring"
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    jobs = yaml.safe_load((cluster.dir / "scrape.yml").read_text())["scrape_configs"]
    targets = {
        job["static_configs"][0]["labels"]["cluster"]: [
            one["targets"][0] for one in job["static_configs"]
        ]
        for job in jobs
    }
    assert targets == {
        "kube_masters": ["192.0.2.1:10259", "192.0.2.2:10259"],
        "edge": ["192.0.2.3:10259"],
    }
    groups = yaml.safe_load((cluster.dir / "rules.yml").read_text())["groups"]
    assert {group["name"] for group in groups} == {
        f"kube-scheduler/{name}/kube-scheduler" for name in cluster.clusters
    }
    dashboard = ROOT / "roles/kube_scheduler/files/dashboard.json"
    assert (cluster.dir / "dashboard.json").read_bytes() == dashboard.read_bytes()
    assert (cluster.dir / "kube_masters-key.pem").read_text().splitlines()[1] not in run.output
    again = cluster.monitor()
    assert again.code == 0, again.output
    assert re.search(r"p1 +: ok=\d+ +changed=0 ", again.output), again.output


def test_check_mode_on_a_new_host_writes_nothing(cluster: Monitored) -> None:
    run = cluster.monitor("--check", "--diff")
    assert run.code == 0, run.output
    assert "+- alert: KubeSchedulerLeaderless" in run.output.replace("+  - alert", "+- alert")
    assert re.search(r"p1 +: ok=\d+ +changed=3 ", run.output), "directory, key pairs, files"
    assert not cluster.dir.exists()


def test_files_are_written_after_all_key_pairs(cluster: Monitored) -> None:
    """Otherwise, no later run would change the files and reload Prometheus."""
    (cluster.dir / "edge-key.pem").mkdir(parents=True)
    run = cluster.monitor()
    assert run.code != 0
    assert {path.name for path in cluster.dir.iterdir() if not path.name.startswith("kube")} == {
        "edge-key.pem"
    }
    (cluster.dir / "edge-key.pem").rmdir()
    again = cluster.monitor()
    assert again.code == 0, again.output
    assert (cluster.dir / "scrape.yml").exists()


def test_link_in_a_directory_of_prometheus_is_not_followed(cluster: Monitored) -> None:
    private = cluster.folder / "private"
    private.mkdir(mode=0o700)
    upper = cluster.folder / "of-prometheus"
    upper.mkdir()
    (upper / "linked").symlink_to(private)
    os.chown(upper, 65534, 65534)
    cluster.dir = upper / "linked"
    run = cluster.monitor()
    assert run.code != 0
    assert f"safely: '{upper}' belongs to nobody" in run.text, run.output
    assert private.stat().st_mode & 0o777 == 0o700
    assert not any(private.iterdir())


def test_scheduler_on_a_loopback_address_is_rejected(cluster: Monitored) -> None:
    cluster.host_variables["m2"] = {"kube_scheduler_bind_address": "127.0.0.1"}
    run = cluster.monitor()
    assert run.code != 0
    assert (
        "kube_scheduler_bind_address: m2 serves metrics on 127.0.0.1 only, which Prometheus cannot"
        " reach;" in run.text
    )
    assert not cluster.dir.exists()


def test_group_without_hosts_is_rejected(cluster: Monitored) -> None:
    run = cluster.monitor("--extra-vars=monitoring_hosts=nowhere")
    assert run.code != 0
    assert (
        "the inventory has no hosts in nowhere: add the Prometheus hosts to this group" in run.text
    )

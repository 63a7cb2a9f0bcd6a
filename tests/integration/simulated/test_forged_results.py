"""Test that variables with the names of the role's results have no effect.

The values come from a fact cache, an earlier play of the same run, set_fact, `-e`, and a group of
the inventory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_step import REGISTERED_KINDS

from tests.support.pki import Ca, spare
from tests.support.prometheus import on_this_machine
from tests.support.simulation import ROOT, Outcome, Simulation, compared

NIGHTLY = pytest.mark.nightly
INPUT, PLAN = "__kube_scheduler_input", "__kube_scheduler_plan"
FACTS = ("fact cache", "earlier play")
SOURCES = (*FACTS, "set_fact", "-e", "group")


def some(*fast: str, but: str = "") -> list[Any]:
    """Return all sources as parameters. Sources that are not in `fast` have the mark nightly."""
    return [
        name if name in fast else pytest.param(name, marks=NIGHTLY)
        for name in SOURCES
        if name != but
    ]


def rejected(source: str, host: str, *names: str) -> str:
    """Return the expected error of a host with forged values."""
    if source in FACTS:
        return f"{host}: facts of this host set {', '.join(sorted(names))}; remove these facts"
    return (
        f"{host}: {', '.join(names)}: the role registers this variable; remove the fact, the"
        " variable of the inventory or the option -e that sets it"
    )


def set_facts(hosts: Sequence[str], values: dict[str, Any], cacheable: bool) -> str:
    task = {"ansible.builtin.set_fact": {**values, "cacheable": cacheable}}
    return yaml.safe_dump([{"hosts": ",".join(hosts), "gather_facts": False, "tasks": [task]}])


def run_with(
    cluster: Simulation,
    playbook: str,
    source: str,
    hosts: Sequence[str],
    values: dict[str, Any],
    *words: str,
) -> Outcome:
    """Run a playbook of the collection while the source sets these values for the hosts."""
    earlier, environment, path = "", {}, cluster.folder / "play.yml"
    if source == "fact cache":
        environment = {
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cluster.folder / "cache"),
        }
        path.write_text(set_facts(hosts, values, cacheable=True))
        inventory = [word for word in words if word.startswith("--inventory=")]
        assert cluster.run(path, *inventory, **environment).code == 0
    elif source == "earlier play":
        for name in hosts:
            cluster.answers[name]["setup"] = {"changed": False, "ansible_facts": values}
        earlier = f"- hosts: {','.join(hosts)}\n  gather_facts: true\n"
    elif source == "set_fact":
        earlier = set_facts(hosts, values, cacheable=False)
    elif source == "-e":
        words = (*words, f"--extra-vars={json.dumps(values)}")
    else:
        other = cluster.folder / "group.yml"
        group = {"hosts": dict.fromkeys(hosts), "vars": values}
        other.write_text(yaml.safe_dump({"workers_and_others": group}))
        words = (*words, f"--inventory={other}")
    path.write_text(f"{earlier}- import_playbook: {ROOT / 'playbooks' / playbook}.yml\n")
    run = cluster.run(path, *words, **environment)
    assert "Traceback" not in run.output
    return run


def forged_input(cluster: Simulation) -> dict[str, Any]:
    """Return a forged result of the step variables, with the CA of the attacker."""
    ca = evil_ca(cluster)
    names = list(cluster.answers)
    variables = {
        "group": "../evil",
        "name": "kube-scheduler",
        "version": "1.37.2",
        "ca_cert": str(ca.path),
        "ca_key": str(ca.key_path),
        "bind_address": "0.0.0.0",
        "secure_port": 10259,
    }
    return {
        "errors": [],
        "variables": variables,
        "unit": "evil.service",
        "fileset_dir": "/var/lib/kube-ha/evil",
        "members": names,
        "addresses": ["203.0.113.66"] * len(names),
        "playing": names,
        "sans": ["203.0.113.66"],
        "authorities_pem": "evil",
        "seal": "0" * 64,
    }


def evil_ca(cluster: Simulation) -> Ca:
    directory = cluster.folder / "attacker"
    directory.mkdir(exist_ok=True)
    return Ca(directory, key=spare("ECC", number=7))


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three healthy hosts. The leader is m1."""
    return Simulation(tmp_path)


# --- monitoring.yml


class Monitored(Simulation):
    """Provide two control-plane hosts and a worker. This machine is the Prometheus host p1."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"kube_masters": ["m1", "m2"], "workers": ["w1"]})
        self.variables["kube_scheduler_bind_address"] = "0.0.0.0"
        self.dir = folder / "prometheus"

    def monitor(
        self, source: str, hosts: Sequence[str], values: dict[str, Any], *words: str
    ) -> Outcome:
        path = self.folder / "prometheus.yml"
        path.write_text(
            yaml.safe_dump({"prometheus": {"hosts": {"p1": on_this_machine(self.dir)}}})
        )
        inventory = f"--inventory={path}"
        return run_with(self, "monitoring", source, hosts, values, inventory, *words)

    @property
    def files(self) -> set[str]:
        """Return the paths that monitoring.yml wrote, and of files at the attacker's paths."""
        written = [path for path in self.folder.rglob("*evil*") if path.is_file()]
        written += self.dir.rglob("*") if self.dir.exists() else []
        return {str(path.relative_to(self.folder)) for path in written}


@pytest.fixture
def monitored(tmp_path: Path) -> Monitored:
    return Monitored(tmp_path)


FILES = {
    f"prometheus/{name}"
    for name in (
        "kube_masters.pem",
        "kube_masters-key.pem",
        "kube_masters-ca.pem",
        "scrape.yml",
        "rules.yml",
        "dashboard.json",
    )
}


@pytest.mark.parametrize("source", some("fact cache", but="-e"))
def test_worker_does_not_control_the_files_of_a_prometheus_host(
    monitored: Monitored, source: str
) -> None:
    """A worker is in no play of monitoring.yml, but hostvars contains its variables."""
    run = monitored.monitor(source, ["w1"], {INPUT: forged_input(monitored)})
    assert run.code == 0, run.output
    assert monitored.files == FILES
    assert "203.0.113.66" not in (monitored.dir / "scrape.yml").read_text()


@pytest.mark.parametrize("source", some("set_fact"))
def test_control_plane_host_with_a_forged_input_fails_monitoring(
    monitored: Monitored, source: str
) -> None:
    run = monitored.monitor(source, ["m1"], {INPUT: forged_input(monitored)})
    assert run.code != 0
    assert rejected(source, "m1", INPUT) in run.text, run.output
    # The input of m2 is valid, so monitoring.yml configures Prometheus. With -e, each input is
    # forged.
    assert monitored.files == (set() if source == "-e" else FILES)


@pytest.mark.parametrize("source", ["fact cache", pytest.param("group", marks=NIGHTLY)])
def test_excluded_control_plane_host_does_not_control_prometheus(
    monitored: Monitored, source: str
) -> None:
    """With --limit, no task of monitoring.yml runs on m1."""
    forged = {INPUT: forged_input(monitored)}
    run = monitored.monitor(source, ["m1"], forged, "--limit=m2,p1,localhost")
    assert run.code == 0, run.output
    assert monitored.files == FILES
    text = (monitored.dir / "scrape.yml").read_text()
    assert "203.0.113.66" not in text
    assert re.findall(r"host: (\w+)", text) == ["m2"]


@pytest.mark.parametrize("source", some("-e", but="earlier play"))
def test_prometheus_host_does_not_get_a_forged_plan(monitored: Monitored, source: str) -> None:
    """A forged plan would select the files of the host and the CA that signs its certificate."""
    ca, directory = evil_ca(monitored), str(monitored.folder / "evil")
    identity = {"path": f"{directory}.pem", "privatekey_path": f"{directory}-key.pem"}
    plan = {
        "dir": directory,
        "group": "root",
        "identities": [{**identity, "ca_cert": str(ca.path), "ca_key": str(ca.key_path)}],
        "files": [{"name": "scrape.yml", "content": "planted"}],
        "seal": "0" * 64,
    }
    run = monitored.monitor(source, ["p1"], {PLAN: plan})
    assert run.code != 0
    host = "m1" if source == "-e" else "p1"  # Extra variables apply to all hosts.
    assert rejected(source, host, PLAN) in run.text, run.output
    assert monitored.files == set()


# --- site.yml, drill.yml and the other playbooks


@pytest.mark.parametrize("source", some("fact cache", "-e"))
@pytest.mark.parametrize("playbook", ["site", pytest.param("drill", marks=NIGHTLY)])
def test_forged_results_are_rejected_before_the_first_contact(
    cluster: Simulation, playbook: str, source: str
) -> None:
    """The run rejects each variable that the role registers, and starts no module."""
    values = {name: {"changed": False, "seal": "0" * 64} for name in REGISTERED_KINDS}
    words = ("--extra-vars=drill=stop", "--extra-vars=drill_confirm=yes")
    run = run_with(cluster, playbook, source, ["m1", "m2", "m3"], values, *words)
    assert run.code != 0
    for name in cluster.answers:
        assert rejected(source, name, *REGISTERED_KINDS) in run.text, run.output
    assert {name for calls in run.calls.values() for name in calls} <= {"setup"}


@pytest.mark.parametrize(
    "playbook",
    [
        "uninstall",
        *(pytest.param(name, marks=NIGHTLY) for name in ("upgrade", "rotate", "rollback")),
    ],
)
def test_other_playbooks_reject_forged_results(cluster: Simulation, playbook: str) -> None:
    words = (
        "--extra-vars=kube_scheduler_version=1.37.2",
        "--extra-vars=kube_scheduler_confirm=yes",
        "--limit=m1,localhost",
    )
    run = run_with(cluster, playbook, "set_fact", ["m1"], {INPUT: forged_input(cluster)}, *words)
    assert run.code != 0
    assert rejected("set_fact", "m1", INPUT) in run.text, run.output
    assert not any(run.calls.values())


@pytest.mark.parametrize("source", [pytest.param("fact cache", marks=NIGHTLY), "set_fact"])
def test_variable_of_a_lost_member_is_not_its_result(cluster: Simulation, source: str) -> None:
    """If a member fails, it has no result in this run.

    Its forged variable then counts as missing.
    """
    report = cluster.folder / "status.json"
    healthy = {**compared("m2", "m1"), "clock_offset": 0.0, "round_trip": 0.1, "seal": "0" * 64}
    values = {"__kube_scheduler_health": healthy}
    run = run_with(cluster, "status", source, ["m2"], values, f"--extra-vars=status_json={report}")
    assert run.code != 0
    assert rejected(source, "m2", "__kube_scheduler_health") in run.text, run.output
    [found] = json.loads(report.read_text())["clusters"]
    assert found["members"]["m2"]["answer"] is None
    assert found["members"]["m1"]["state"] == found["members"]["m3"]["state"] == "healthy"


# --- names of clusters


@pytest.mark.parametrize("source", some("fact cache")[:3])
@pytest.mark.parametrize("name", ["<evil>", pytest.param("well", marks=NIGHTLY)])
def test_facts_of_a_host_name_no_cluster(tmp_path: Path, source: str, name: str) -> None:
    """Page, JSON file and metrics name a cluster by its group in the inventory."""
    cluster = Simulation(tmp_path, {"well": ["a1", "a2"], "odd": ["b1", "b2"]})
    reports = {key: tmp_path / key for key in ("status_json", "status_html", "status_metrics")}
    words = [f"--extra-vars={key}={path}" for key, path in reports.items()]
    values = {"kube_scheduler_group": name}
    run = run_with(cluster, "status", source, ["b1", "b2"], values, cluster.everywhere, *words)
    assert run.code != 0
    found = json.loads(reports["status_json"].read_text())["clusters"]
    assert {entry["name"]: list(entry["members"]) for entry in found} == {
        "odd": ["b1", "b2"],
        "well": ["a1", "a2"],
    }
    for path in reports.values():
        assert "evil" not in path.read_text()
    assert re.search(r"^odd: 0 of 2 healthy", run.output, re.MULTILINE), run.output

"""The role against simulated masters: what no lab can do quickly. Real Ansible under its own defaults, the real role, scripted hosts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.simulation import Simulation, compared, gathered, lease

DRIFT = [{"part": "config", "reason": "/etc/kubernetes/kube-scheduler.yaml: content differs"}]
NO_OP_TASKS = 15
LIVE = re.compile(r"TASK \[.* : Put the staged set in place\] \*+\n((?:(?:changed|ok|fatal|skipping): \[\w+\].*\n)+)")


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Three masters on which all is well; m1 leads."""
    return Simulation(tmp_path)


def rolled(output: str) -> list[list[str]]:
    """The hosts that were rolled, a list for each time that the task ran."""
    found = [sorted(re.findall(r"(?:changed|fatal): \[(\w+)\]", block)) for block in LIVE.findall(output)]
    return [hosts for hosts in found if hosts]


def test_no_op(cluster: Simulation) -> None:
    run = cluster.run()
    assert run.code == 0, run.output
    assert run.calls == {name: ["gather", "drift"] for name in cluster.answers}
    for name in cluster.answers:
        assert 0 < len(run.tasks(name)) <= NO_OP_TASKS, run.tasks(name)


def test_status(cluster: Simulation) -> None:
    run = cluster.run("playbooks/status.yml")
    assert run.code == 0, run.output
    assert re.search(r"m1 +1\.37\.2 +active +yes +\* +held +1 +3000 +3000 +-", run.output)
    cluster.change("m2", "drift", drift=DRIFT)
    run = cluster.run("playbooks/status.yml")
    assert run.code != 0
    assert "m2: drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs" in run.text


def drifted(cluster: Simulation, **changes: Any) -> None:
    """All hosts differ from their plan; once they are rolled they do not."""
    for name in cluster.answers:
        before = compared(name, "m1", drift=DRIFT, **changes)
        cluster.answers[name]["drift"] = [before, compared(name, "m1")]


def test_one_after_the_other_and_the_leader_last(cluster: Simulation) -> None:
    drifted(cluster)
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    assert rolled(run.output) == [["m2"], ["m3"], ["m1"]]
    assert "pending on m1: config: /etc/kubernetes/kube-scheduler.yaml: content differs" in run.text


def test_all_at_once_where_nobody_is_healthy(cluster: Simulation) -> None:
    drifted(cluster, healthy=False, problems=["kube-scheduler.service is not installed"], lease=None)
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    assert rolled(run.output) == [["m1", "m2", "m3"]]


def test_a_member_that_does_not_become_healthy_stops_the_rollout(cluster: Simulation) -> None:
    drifted(cluster)
    cluster.answers["m3"]["drift"][1] = compared("m3", "m1", healthy=False, problems=["readiness: HTTP 500"])
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert "m3: not healthy after it was rolled: readiness: HTTP 500" in run.text
    assert "the rollout stopped because of m3; the members after it were left as they are" in run.text
    assert rolled(run.output) == [["m2"], ["m3"]]


def test_a_strategy_that_does_not_keep_the_hosts_together(cluster: Simulation, tmp_path: Path) -> None:
    drifted(cluster)
    playbook = tmp_path / "free.yml"
    playbook.write_text(
        "- hosts: kube_masters\n  strategy: free\n  gather_facts: false\n  roles: [kube_ha.scheduler.kube_scheduler]\n"
    )
    run = cluster.run(playbook)
    assert run.code != 0
    assert "the strategy free rolls all members of a cluster at once; use the strategy linear" in run.text
    assert not any(run.calls.values())


def test_two_clusters_side_by_side(tmp_path: Path) -> None:
    clusters = {"east": ["e1", "e2", "e3"], "west": ["w1", "w2", "w3"]}
    both = Simulation(tmp_path, clusters=clusters)
    for names in clusters.values():
        for name in names:
            both.answers[name]["drift"] = [compared(name, names[0], drift=DRIFT), compared(name, names[0])]
    both.answers["w2"]["drift"][1] = compared("w2", "w1", healthy=False, problems=["readiness: HTTP 500"])
    run = both.run("playbooks/site.yml", "--extra-vars=kube_scheduler_hosts=east:west", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert rolled(run.output) == [["e2", "w2"], ["e3"], ["e1"]]


def test_a_member_without_an_answer_changes_nothing(cluster: Simulation) -> None:
    drifted(cluster)
    cluster.answers["m2"]["gather"] = "no JSON at all"
    run = cluster.run()
    assert run.code != 0
    assert "Traceback" not in run.output
    assert all(set(calls) <= {"gather", "drift"} for calls in run.calls.values()), run.calls


HOSTILE: dict[str, Any] = {
    "ansible_facts": {
        "kube_scheduler_subject": {"CN": "admin", "O": "system:masters"},
        "kube_scheduler_state": "absent",
        "kube_scheduler_metrics_key": "/etc/shadow",
        "__kube_scheduler_plan": {},
    },
    "add_host": {"host_name": "evil", "groups": ["kube_masters"]},
    "add_group": "evil",
    "_ansible_ignore_errors": True,
    "_ansible_no_log": True,
}


@pytest.mark.parametrize("inject", ["true", "false"])
def test_a_hostile_host_s_keys_are_dropped(cluster: Simulation, inject: str) -> None:
    cluster.answers["m2"]["@every"] = HOSTILE
    run = cluster.run(ANSIBLE_INJECT_FACT_VARS=inject)
    assert run.code == 0, run.output
    assert run.calls == {name: ["gather", "drift"] for name in cluster.answers}
    assert "evil  " not in run.output.partition("PLAY RECAP")[2]
    assert "CN=admin" not in run.output


@pytest.mark.parametrize(
    "changes",
    [
        {"process": None},
        {"process": "garbage"},
        {"lease": {**lease("m1.example"), "renew_time": ["garbage"]}},
        {"probes": {"used": None}},
        {"hostname": None},
        {"drift": "garbage"},
        {"healthy": "yes"},
    ],
)
def test_one_host_s_odd_answer_makes_only_that_host_fail(cluster: Simulation, changes: dict[str, Any]) -> None:
    cluster.answers["m2"]["drift"] = compared("m2", "m1", **changes)
    run = cluster.run("playbooks/status.yml")
    assert run.code != 0
    assert "Traceback" not in run.output
    assert "m2: no answer" in run.text, run.output
    assert re.search(r"m1 +1\.37\.2 +active +yes +\*", run.output), run.output
    cluster.answers["m2"]["gather"] = gathered(
        "m2", "m1", **{k: v for k, v in changes.items() if k in ("process", "hostname", "lease")}
    )
    assert "Traceback" not in cluster.run("playbooks/status.yml").output


def test_python_that_is_missing_or_too_old(cluster: Simulation) -> None:
    cluster.answers["m2"]["gather"] = "SyntaxError"
    cluster.answers["m2"]["@python"] = "3.6"
    run = cluster.run()
    assert run.code != 0
    assert re.search(
        r"m2: \S+python3 is Python 3\.6, but the modules need Python 3\.9 or newer: install python3", run.text
    )

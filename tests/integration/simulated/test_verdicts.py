"""Test results and errors of runs: batches, limits, foreign holders, phases, hostile hosts."""

from __future__ import annotations

import copy
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.pki import NOW, Ca
from tests.support.role import answers
from tests.support.simulation import DRIFT, LIVE, PROCESS, Simulation, compared, gathered, lease

STOPPED = {
    **PROCESS,
    "pid": 0,
    "version": "",
    "digest": "",
    "lock": "",
    "lease_name": "",
    "lease_namespace": "",
} | {
    "bind_address": "",
    "secure_port": 0,
    "timings": None,
    "kubeconfig": "",
}
PLAY = "- hosts: kube_masters\n  {how}\n  gather_facts: false\n  roles: [kube_ha.scheduler.kube_scheduler]\n"
NIGHTLY = pytest.mark.nightly
READER = "metrics for an authorized client"


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three healthy hosts. The leader is m1."""
    return Simulation(tmp_path)


def rolled(output: str) -> list[str]:
    """Return the rolled hosts in order."""
    return [
        name
        for block in LIVE.findall(output)
        for name in re.findall(r"(?:changed|fatal): \[(\w+)\]", block)
    ]


def played(cluster: Simulation, how: str, *words: str) -> Any:
    playbook = cluster.folder / "play.yml"
    playbook.write_text(PLAY.format(how=how))
    return cluster.run(playbook, *words)


def leading(cluster: Simulation, leader: str, after: str = "", **changes: Any) -> None:
    """Give all members drift until their roll, and move the lease when the leader is rolled."""
    for name in cluster.answers:
        last = after if after and name == leader else leader
        cluster.answers[name] = {
            **cluster.answers[name],
            "gather": gathered(name, leader),
            "drift": [compared(name, leader, drift=DRIFT, **changes), compared(name, last)],
        }


def bare(cluster: Simulation, name: str) -> None:
    """Return an empty host that is healthy after its roll."""
    nothing: dict[str, Any] = {
        "user_exists": False,
        "installed": False,
        "prepared": False,
        "process": STOPPED,
        "lease": None,
        "port": {"number": 10259, "addresses": [], "held_by": "", "ours": False},
    }
    nothing["unit"] = {
        **gathered(name, name)["unit"],
        "load_state": "not-found",
        "active_state": "inactive",
        "sub_state": "dead",
        "enabled": "",
    }
    probes = dict.fromkeys(compared(name, name)["probes"])
    drift = [
        {"part": part, "reason": "is missing"} for part in ("user", "binary", "certificate", "unit")
    ]
    problem = "kube-scheduler.service is not installed"
    before = compared(
        name, name, **nothing, probes=probes, healthy=False, problems=[problem], drift=drift
    )
    cluster.answers[name] |= {
        "gather": gathered(name, name, **nothing),
        "drift": [before, compared(name, "m1")],
    }


# --- batches and limits


@NIGHTLY
def test_serial_on_a_running_cluster_changes_nothing(cluster: Simulation) -> None:
    leading(cluster, "m2")
    for name in cluster.answers:
        cluster.answers[name]["drift"] = compared(name, "m2")
    run = played(cluster, "serial: 1")
    assert run.code == 0, run.output
    assert run.calls == {name: ["gather", "drift"] for name in cluster.answers}


def test_serial_with_a_change_and_the_leader_in_the_last_batch(cluster: Simulation) -> None:
    """The roll of the leader moves the lease, so that results of earlier batches are outdated."""
    leading(cluster, "m3", after="m1")
    run = played(cluster, "serial: 1", "--tags=kube_scheduler_rollout,kube_scheduler_verify")
    assert run.code == 0, run.output
    assert rolled(run.output) == ["m1", "m2", "m3"]


@NIGHTLY
def test_serial_on_a_first_run(cluster: Simulation) -> None:
    for name in cluster.answers:
        bare(cluster, name)
    run = played(cluster, "serial: 1", "--tags=kube_scheduler_rollout,kube_scheduler_verify")
    assert run.code == 0, run.output
    assert rolled(run.output) == ["m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("serial", "leader", "waiting"),
    [(1, "m1", "m2, m3"), pytest.param(2, "m2", "m3", marks=NIGHTLY)],
)
def test_batch_with_the_leader_is_rejected_while_standbys_wait(
    cluster: Simulation, serial: int, leader: str, waiting: str
) -> None:
    leading(cluster, leader)
    run = played(cluster, f"serial: {serial}", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert (
        f"{leader} leads and has drift, but members that must be rolled first are in later batches ({waiting}); remove serial"
        in run.text
    ), run.output
    assert rolled(run.output) == []


def test_limit_to_the_leader_is_rejected_before_its_roll(cluster: Simulation) -> None:
    leading(cluster, "m1")
    run = cluster.run("playbooks/site.yml", "--limit=m1,localhost", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert (
        "m1 leads and has drift, but members that must be rolled first are excluded (m2, m3); run without --limit"
        in run.text
    ), run.output
    assert rolled(run.output) == []
    assert not run.calls["m2"]


def test_limit_to_a_standby_rolls_and_evaluates_only_it(cluster: Simulation) -> None:
    leading(cluster, "m1")
    run = cluster.run(
        "playbooks/site.yml",
        "--limit=m3,localhost",
        "--tags=kube_scheduler_rollout,kube_scheduler_verify",
    )
    assert run.code == 0, run.output
    assert rolled(run.output) == ["m3"]
    assert (
        "kube_masters: not checked: whether the holder m1.example is a member (no result from m1, m2)"
        in run.text
    )


def test_limit_to_a_leader_without_drift_succeeds(cluster: Simulation) -> None:
    run = cluster.run("playbooks/site.yml", "--limit=m1,localhost")
    assert run.code == 0, run.output
    assert run.calls == {"m1": ["gather", "drift"], "m2": [], "m3": []}


@NIGHTLY
def test_leader_that_does_not_renew_can_be_rolled_alone(cluster: Simulation) -> None:
    dead: dict[str, Any] = {
        "healthy": False,
        "problems": ["readiness: HTTP 500"],
        "lease": {**lease("m1.example"), "moving": False},
    }
    leading(cluster, "m1", **dead)
    run = cluster.run("playbooks/site.yml", "--limit=m1,localhost", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    assert rolled(run.output) == ["m1"]


def test_status_with_a_limit_evaluates_the_selected_members(cluster: Simulation) -> None:
    report = cluster.folder / "status.json"
    run = cluster.run(
        "playbooks/status.yml", "--limit=m2,localhost", f"--extra-vars=status_json={report}"
    )
    assert run.code == 0, run.output
    assert "not queried: m1, m3" in run.text
    assert (
        "not checked: whether the holder m1.example is a member (no result from m1, m3)" in run.text
    )
    assert set(answers(report)) == {"m2"}


# --- status


def test_foreign_holder_fails_the_run(cluster: Simulation) -> None:
    for name in cluster.answers:
        cluster.change(name, "drift", lease=lease("elsewhere.example"))
    run = cluster.run("playbooks/status.yml")
    assert run.code != 0
    assert (
        "lease holder elsewhere.example is not a member (members: m1.example, m2.example, m3.example);"
        " add its host to the group, or uninstall the scheduler there" in run.text
    )
    run = cluster.run()
    assert run.code != 0
    assert "lease holder elsewhere.example is not a member (members:" in run.text


def test_stopped_scheduler_fails_the_run(cluster: Simulation) -> None:
    stopped = {
        "process": STOPPED,
        "lease": None,
        "port": {"number": 10259, "addresses": [], "held_by": "", "ours": False},
    }
    stopped["unit"] = {
        **gathered("m2", "m1")["unit"],
        "active_state": "inactive",
        "sub_state": "dead",
    }
    cluster.change("m2", "gather", **stopped)
    problem = "kube-scheduler.service is inactive (dead, result success)"
    cluster.change(
        "m2", "drift", **stopped, probes=None, healthy=False, problems=[problem], drift=[]
    )
    report = cluster.folder / "status.json"
    run = cluster.run("playbooks/status.yml", f"--extra-vars=status_json={report}")
    assert run.code != 0
    assert f"m2: {problem}" in run.text
    assert re.search(r"m1 +1\.37\.2 +active +yes +\*", run.output), run.output
    assert re.search(r"m2 +- +inactive +NO +- +- +- +- +- +-", run.output), run.output
    assert answers(report)["m2"]["problems"] == [problem]


@pytest.mark.parametrize("what", [pytest.param("expired", marks=NIGHTLY), "key away"])
def test_metrics_are_not_checked_without_a_signing_ca(cluster: Simulation, what: str) -> None:
    for name in cluster.answers:
        cluster.change(
            name,
            "drift",
            not_checked=[READER],
            probes={**compared(name, "m1")["probes"], "metrics_reader": None},
        )
    if what == "expired":
        ca = Ca(now=NOW - timedelta(days=400), valid_for="8760h")
        Path(cluster.variables["kube_scheduler_ca_cert"]).write_text(ca.pem)
    else:
        Path(cluster.variables["kube_scheduler_ca_key"]).unlink()
    report = cluster.folder / "status.json"
    run = cluster.run("playbooks/status.yml", f"--extra-vars=status_json={report}")
    reason = "expired on" if what == "expired" else "does not exist"
    for name, answer in answers(report).items():
        [line] = answer["not_checked"]
        assert line.startswith(f"{READER} (on the controller, "), line
        assert reason in line
        assert f"{name}: not checked: {READER} (on the controller, " in run.text
    # If the CA has expired, the role must reissue all certificates.
    assert (run.code == 0) == (what == "key away"), run.output
    assert "m1: on the controller, ca_p" not in run.text.partition("FAILED!")[2]


def test_metrics_are_not_checked_with_a_provided_pair(cluster: Simulation, tmp_path: Path) -> None:
    pair = {"cert_source": "kube_scheduler_ca_cert", "key_source": "kube_scheduler_ca_key"}
    cluster.variables |= {
        f"kube_scheduler_{name}": cluster.variables[other] for name, other in pair.items()
    }
    cluster.variables["kube_scheduler_pki"] = "provided"
    for name in cluster.answers:
        cluster.change(name, "drift", not_checked=[READER])
    run = cluster.run("playbooks/status.yml")
    assert run.code == 0, run.output
    assert f"m1: not checked: {READER} (no client certificate was given)" in run.text


def test_status_reports_hosts_without_a_plan(cluster: Simulation) -> None:
    cluster.change("m2", "gather", systemd_version=0)
    run = cluster.run("playbooks/status.yml")
    assert run.code != 0
    assert (
        "m2: not compared with its plan: systemd is not running, but the scheduler needs it"
        in run.text
    )
    assert "m1: not compared" not in run.text


@NIGHTLY
def test_status_columns_fit_names_of_any_length(tmp_path: Path) -> None:
    names = ["master-1.control-plane.kube-ha.example.org", "m2"]
    cluster = Simulation(tmp_path, {"kube_masters": names})
    run = cluster.run("playbooks/status.yml")
    assert run.code == 0, run.output
    rows = re.findall(r"^(?:host|master-1|m2) .*$|^master-1\S+ .*$", run.output, re.MULTILINE)[:3]
    assert len(rows) == 3, run.output
    assert (
        len({row.index(word) for row, word in zip(rows, ("version", "1.37.2", "1.37.2"))}) == 1
    ), run.output
    assert len({row.index(word) for row, word in zip(rows, ("healthy", "yes", "yes"))}) == 1
    assert "served, days" in rows[0]
    assert "used, days" in rows[0]


# --- single phases and options


@pytest.mark.parametrize(
    "core_words",
    [
        pytest.param(("--extra-vars=kube_scheduler_rollout=false",), marks=NIGHTLY),
        ("--extra-vars={kube_scheduler_rollout: false}",),
    ],
)
def test_staging_only_passes_verify_and_reports_pending_changes(
    cluster: Simulation, core_words: tuple[str]
) -> None:
    drift = [{"part": "process", "reason": "the process runs version 1.37.2, expected 1.37.9"}]
    for name in cluster.answers:
        cluster.change(name, "drift", drift=drift)
    run = cluster.run(
        "playbooks/site.yml",
        "--tags=kube_scheduler_rollout,kube_scheduler_verify",
        "--extra-vars=kube_scheduler_version=1.37.9",
        *core_words,
    )
    assert run.code == 0, run.output
    assert "pending on m1: process: the process runs version 1.37.2, expected 1.37.9" in run.text
    assert rolled(run.output) == []


@NIGHTLY
def test_unmanaged_packages_are_not_installed(cluster: Simulation) -> None:
    cluster.change("m2", "gather", missing_libraries=["yaml"])
    run = cluster.run("playbooks/site.yml", "--extra-vars=kube_scheduler_manage_packages=false")
    assert run.code != 0
    assert "m2: the Python library PyYAML is missing for /usr/bin/python3; install" in run.text
    assert "set kube_scheduler_manage_packages to true" in run.text


PHASES = ["preflight", "install", "credentials", "configure", "rollout", "verify"]


@pytest.mark.parametrize(
    "phase", [pytest.param(p, marks=NIGHTLY if p != "rollout" else ()) for p in PHASES]
)
def test_single_phase_in_check_mode_on_fresh_hosts(cluster: Simulation, phase: str) -> None:
    for name in cluster.answers:
        bare(cluster, name)
    run = cluster.run("playbooks/site.yml", "--check", f"--tags=kube_scheduler_{phase}")
    assert run.code == 0, run.output


@NIGHTLY
def test_each_phase_runs_in_check_mode_on_new_hosts(cluster: Simulation) -> None:
    for name in cluster.answers:
        bare(cluster, name)
    include = "    - ansible.builtin.include_role: {name: kube_ha.scheduler.kube_scheduler, tasks_from: %s}\n"
    playbook = cluster.folder / "phases.yml"
    tasks = "".join(include % phase for phase in PHASES)
    playbook.write_text(f"- hosts: kube_masters\n  gather_facts: false\n  tasks:\n{tasks}")
    run = cluster.run(playbook, "--check")
    assert run.code == 0, run.output


@pytest.mark.parametrize(
    ("how", "strategy"),
    [
        pytest.param("play", "free", marks=NIGHTLY),
        ("play", "ansible.builtin.free"),
        ("environment", "host_pinned"),
    ],
)
def test_unordered_strategy_is_rejected(cluster: Simulation, how: str, strategy: str) -> None:
    leading(cluster, "m1")
    run = (
        played(cluster, f"strategy: {strategy}")
        if how == "play"
        else cluster.run(ANSIBLE_STRATEGY=strategy)
    )
    assert run.code != 0
    name = strategy.rpartition(".")[2]
    assert (
        f"strategy {name} rolls all members of a cluster at once; use the strategy linear"
        in run.text
    )
    assert not any(run.calls.values())


@pytest.mark.parametrize(
    "field", ["resourceName", pytest.param("resourceNamespace", marks=NIGHTLY)]
)
def test_lock_change_on_a_running_cluster_is_rejected(cluster: Simulation, field: str) -> None:
    run = cluster.run(
        "playbooks/site.yml",
        f"--extra-vars={{kube_scheduler_config: {{leaderElection: {{{field}: other}}}}}}",
    )
    assert run.code != 0
    assert "the current lock of m1.example, so there would be two leaders" in run.text, run.output
    assert all(set(calls) <= {"gather"} for calls in run.calls.values()), run.calls


# --- hostile hosts

TEMPLATE = "{{ lookup('ansible.builtin.pipe', 'touch %s') }}"
HOSTILE: dict[str, Any] = {
    "ansible_facts": {
        "kube_scheduler_subject": {"CN": "admin", "O": "system:masters"},
        "kube_scheduler_address": "203.0.113.66",
        "kube_scheduler_state": "absent",
        "kube_scheduler_group": "evil",
        "kube_scheduler_metrics_key": "/etc/shadow",
        "kube_scheduler_rollout": False,
        "__kube_scheduler_plan": {},
        "__kube_scheduler_input": {},
        "__kube_scheduler_tables": {},
        "__kube_scheduler_rollout": {"batches": [["m1", "m2", "m3"]]},
        "__kube_scheduler_outcome": {"failed": True},
    },
    "add_host": {"host_name": "evil", "groups": ["kube_masters"]},
    "add_group": "evil",
    "_ansible_ignore_errors": True,
    "_ansible_no_log": True,
}


@NIGHTLY
@pytest.mark.parametrize("inject", ["true", "false"])
def test_hostile_host_fails_only_itself_during_a_rollout(cluster: Simulation, inject: str) -> None:
    leading(cluster, "m1")
    report = cluster.folder / "status.json"
    evil = copy.deepcopy(HOSTILE)
    evil["ansible_facts"]["status_json"] = str(report)
    cluster.answers["m2"]["@every"] = evil
    words = "--tags=kube_scheduler_rollout,kube_scheduler_verify"
    run = cluster.run("playbooks/site.yml", words, ANSIBLE_INJECT_FACT_VARS=inject)
    assert run.code == 0, run.output
    assert rolled(run.output) == ["m2", "m3", "m1"]
    # The first query after the plan is for the roll of m2 itself. The remaining queries are at
    # three positions and at the end.
    assert run.calls["m2"] == ["gather", "drift", "drift", "scheduler_fileset", *["drift"] * 4]
    assert not re.search(r"^evil ", run.output, re.MULTILINE)
    cluster.run("playbooks/status.yml", ANSIBLE_INJECT_FACT_VARS=inject)
    assert not report.exists()


@pytest.mark.parametrize("inject", ["true", pytest.param("false", marks=NIGHTLY)])
def test_facts_of_an_earlier_play_have_no_effect(cluster: Simulation, inject: str) -> None:
    """The facts of an earlier play come from a fact cache or from a task of a larger playbook."""
    report = cluster.folder / "status.json"
    cluster.answers["m2"]["setup"] = {
        "changed": False,
        "ansible_facts": {"kube_scheduler_address": "203.0.113.66", "status_json": str(report)},
    }
    playbook = cluster.folder / "larger.yml"
    playbook.write_text(
        "- hosts: kube_masters\n  gather_facts: true\n  tasks:\n"
        "    - ansible.builtin.include_role: {name: kube_ha.scheduler.kube_scheduler, tasks_from: status}\n"
    )
    run = cluster.run(playbook, ANSIBLE_INJECT_FACT_VARS=inject)
    assert run.code != 0
    assert (
        "m2: facts of this host set kube_scheduler_address, status_json; remove these facts"
        in run.text
    ), run.output
    assert "203.0.113.66" not in run.output
    assert not report.exists()


def test_template_in_a_result_stays_text(cluster: Simulation) -> None:
    canary = cluster.folder / "canary"
    evil = TEMPLATE % canary
    for make, question in ((gathered, "gather"), (compared, "drift")):
        answer = copy.deepcopy(make("m2", "m1", hostname=evil))
        answer["unit"]["since"] = answer["lease"]["holder"] = answer["process"]["version"] = evil
        if question == "drift":
            answer |= {
                "healthy": False,
                "problems": [evil],
                "journal": [evil],
                "drift": [{"part": evil, "reason": evil}],
            }
        cluster.answers["m2"][question] = answer
    for playbook in ("playbooks/site.yml", "playbooks/status.yml"):
        run = cluster.run(playbook)
        assert "Traceback" not in run.output
        assert run.calls["m2"][:2] == ["gather", "drift"], run.output
    assert "touch" in run.output
    assert not canary.exists()


@pytest.mark.parametrize(
    ("question", "changes"),
    [
        pytest.param("gather", {"process": None}, marks=NIGHTLY),
        pytest.param(
            "gather", {"lease": {**lease("m1.example"), "renew_time": ["garbage"]}}, marks=NIGHTLY
        ),
        pytest.param("drift", {"process": "garbage"}, marks=NIGHTLY),
        ("drift", {"probes": {"used": None}}),
    ],
)
def test_malformed_result_stops_the_run_before_any_change(
    cluster: Simulation, question: str, changes: dict[str, Any]
) -> None:
    leading(cluster, "m1")
    make = gathered if question == "gather" else compared
    cluster.answers["m2"][question] = make("m2", "m1", **changes)
    run = cluster.run()
    assert run.code != 0
    assert "Traceback" not in run.output
    assert "m2: invalid result of scheduler_info (result." in run.text
    for name in ("m1", "m3"):
        assert (
            f"{name}: not changed, because m2 of its cluster failed or is unreachable" in run.text
        )
    assert all(set(calls) <= {"gather", "drift"} for calls in run.calls.values()), run.calls


def test_malformed_renew_time_is_only_displayed(cluster: Simulation) -> None:
    for question in ("gather", "drift"):
        cluster.change(
            "m2",
            question,
            lease={**lease("m1.example"), "renew_time": "garbage", "acquire_time": "\x00" * 64},
        )
    assert cluster.run().code == 0
    assert cluster.run("playbooks/status.yml").code == 0

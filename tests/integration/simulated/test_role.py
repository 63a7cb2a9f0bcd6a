"""The role against simulated masters: what no lab can do quickly. Real Ansible under its own defaults, the real role, scripted hosts.

Those with the mark `cores` run with every supported ansible-core (`make cores`).
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from tests.support.pki import Ca
from tests.support.simulation import PROCESS, ROOT, Outcome, Simulation, compared, gathered, lease

DRIFT = [{"part": "config", "reason": "/etc/kubernetes/kube-scheduler.yaml: content differs"}]
NO_OP_TASKS = 15
LIVE = re.compile(r"TASK \[.* : Put the staged set in place\] \*+\n((?:(?:changed|ok|fatal|skipping): \[\w+\].*\n)+)")


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Three masters on which all is well; m1 leads."""
    return Simulation(tmp_path)


def together(output: str) -> list[list[str]]:
    """The hosts that were rolled, a list for each time that the task ran."""
    found = [sorted(re.findall(r"(?:changed|fatal): \[(\w+)\]", block)) for block in LIVE.findall(output)]
    return [hosts for hosts in found if hosts]


@pytest.mark.cores
def test_no_op(cluster: Simulation) -> None:
    run = cluster.run()
    assert run.code == 0, run.output
    assert run.calls == {name: ["gather", "drift"] for name in cluster.answers}
    for name in cluster.answers:
        assert 0 < len(run.tasks(name)) <= NO_OP_TASKS, run.tasks(name)


def test_status(cluster: Simulation) -> None:
    cluster.variables["kube_scheduler_versoin"] = "1"
    run = cluster.run("playbooks/status.yml")
    assert run.code == 0, run.output
    assert re.search(r"m1 +1\.37\.2 +active +yes +\* +held +1 +3000 +3000 +-", run.output)
    warning = "kube_scheduler_versoin: the role has no such variable; did you mean kube_scheduler_version?"
    assert run.text.count(warning) == 1, "once, not by each host"
    cluster.change("m2", "drift", drift=DRIFT)
    run = cluster.run("playbooks/status.yml")
    assert run.code != 0
    assert "m2: drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs" in run.text


# --- order


def drifted(cluster: Simulation, leaders: tuple[str, ...] = ("m1",), **changes: Any) -> None:
    """All hosts differ from their plan; once they are rolled they do not."""
    for leader, names in zip(leaders, cluster.clusters.values()):
        for name in names:
            before = compared(name, leader, drift=DRIFT, **changes)
            cluster.answers[name]["gather"] = gathered(name, leader)
            cluster.answers[name]["drift"] = [before, compared(name, leader)]


@pytest.mark.cores
def test_one_after_the_other_and_the_leader_last(cluster: Simulation) -> None:
    """Also where the leader is always the first to answer, and the one that comes first the last."""
    drifted(cluster)
    cluster.answers["m2"]["@delay"] = 0.3
    cluster.answers["m3"]["@delay"] = 0.1
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    assert run.rolled == ["m2", "m3", "m1"]
    assert together(run.output) == [["m2"], ["m3"], ["m1"]]
    assert "pending on m1: config: /etc/kubernetes/kube-scheduler.yaml: content differs" in run.text


@pytest.mark.nightly
def test_orders_of_several_clusters(tmp_path: Path) -> None:
    """Side by side: a leader in the middle, one that the inventory names first, a sick standby, and a leader that is sick and renews all the same."""
    clusters = {"a": ["z9", "k5", "b1"], "b": ["e1", "e2", "e3"], "c": ["w1", "w2", "w3"], "d": ["x1", "x2", "x3"]}
    several = Simulation(tmp_path, clusters=clusters)
    drifted(several, leaders=("k5", "e1", "w3", "x2"))
    sick = {"healthy": False, "problems": ["readiness: HTTP 500"]}
    several.answers["w2"]["drift"][0] = compared("w2", "w3", drift=DRIFT, **sick)
    several.answers["x2"]["drift"][0] = compared("x2", "x2", drift=DRIFT, **sick)
    for number, name in enumerate(several.answers):
        several.answers[name]["@delay"] = number * 7 % 5 / 20
    run = several.run(
        "playbooks/site.yml", "--extra-vars=kube_scheduler_hosts=a:b:c:d", "--tags=kube_scheduler_rollout"
    )
    assert run.code == 0, run.output
    orders = [[name for name in run.rolled if name in names] for names in clusters.values()]
    assert orders == [["b1", "z9", "k5"], ["e2", "e3", "e1"], ["w2", "w1", "w3"], ["x1", "x3", "x2"]]


def test_all_at_once_where_nobody_is_healthy(cluster: Simulation) -> None:
    drifted(cluster, healthy=False, problems=["kube-scheduler.service is not installed"], lease=None)
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    assert together(run.output) == [["m1", "m2", "m3"]]


def test_a_member_that_does_not_become_healthy_is_rolled_back_and_stops_the_rollout(cluster: Simulation) -> None:
    drifted(cluster)
    cluster.answers["m3"]["drift"][1:] = [
        compared("m3", "m1", healthy=False, problems=["readiness: HTTP 500"]),
        compared("m3", "m1", drift=DRIFT),
    ]
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert "m3: not healthy after it was rolled: readiness: HTTP 500" in run.text
    assert "m3: was rolled back, is healthy and runs 1.37.2" in run.text
    assert "the rollout stopped because of m3; the members after it were left as they are" in run.text
    assert run.rolled == ["m2", "m3"]
    there, back = (options for options in run.options("m3", "scheduler_release"))
    assert (there["state"], back["state"]) == ("live", "previous")
    assert there["attempt"] == back["attempt"] != ""


def test_a_member_that_was_not_healthy_before_is_not_rolled_back(cluster: Simulation) -> None:
    drifted(cluster)
    sick = compared("m3", "m1", healthy=False, problems=["readiness: HTTP 500"], drift=DRIFT)
    cluster.answers["m3"]["drift"] = sick
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert [options["state"] for options in run.options("m3", "scheduler_release")] == ["live"]
    assert run.rolled == ["m3"]


def test_a_member_that_becomes_sick_after_its_roll_stops_the_rollout(cluster: Simulation) -> None:
    """Found by the question before the next member."""
    drifted(cluster)
    cluster.answers["m2"]["drift"] = [compared("m2", "m1", drift=DRIFT), compared("m2", "m1")]
    cluster.answers["m2"]["@sick_after"] = 5
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert "m2 is not healthy any more (it is sick); the members that were not rolled yet were left" in run.text
    assert run.rolled == ["m2"]


def test_only_the_leader_hands_over(cluster: Simulation) -> None:
    drifted(cluster)
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code == 0, run.output
    wanted = {name: run.options(name, "scheduler_release")[0].get("handover") for name in cluster.answers}
    assert (wanted["m2"], wanted["m3"]) == (None, None)
    assert wanted["m1"] == {
        "kubeconfig": "/run/credentials/kube-scheduler.service/kubeconfig",
        "name": "kube-scheduler",
        "namespace": "kube-system",
        "lock": "leases",
        "timeout": 60.0,
    }
    assert "kube_masters: rolled one after the other: m2 (standby, the canary), m3 (standby), m1 (leads)" in run.text
    for line in ("m2: is rolled, step 1 of 3; m1 leads", "m2: was rolled, is healthy and runs 1.37.2"):
        assert line in run.text


def test_the_last_healthy_member_is_left(cluster: Simulation) -> None:
    drifted(cluster)
    for name in ("m2", "m3"):
        cluster.answers[name]["drift"] = compared(name, "m1", healthy=False, problems=["readiness: HTTP 500"])
    run = cluster.run("playbooks/site.yml", "--tags=kube_scheduler_rollout")
    assert run.code != 0
    assert "m1 is the only healthy member and was left as it is, for nobody would schedule meanwhile" in run.text
    assert run.rolled == []


# --- rollback.yml and upgrade.yml


RECALLED = {"changed": True, "done": ["config"], "version": "1.36.1", "not_after": "2036-01-01T00:00:00+00:00"}


def recalled(cluster: Simulation, **changes: Any) -> None:
    """All hosts keep the set of an earlier version."""
    for name in cluster.answers:
        older = {"process": {**gathered(name, "m1")["process"], "version": "1.36.1"}}
        cluster.answers[name]["scheduler_release"] = {**RECALLED, **changes}
        cluster.answers[name]["drift"] = [compared(name, "m1"), compared(name, "m1", drift=DRIFT, **older)]


def test_rollback(cluster: Simulation) -> None:
    recalled(cluster)
    run = cluster.run("playbooks/rollback.yml")
    assert run.code == 0, run.output
    states = [(sent["host"], sent["options"]["state"]) for sent in run.sent if sent["module"] == "scheduler_release"]
    assert sorted(states[:3]) == [(name, "recalled") for name in cluster.answers]
    assert states[3:] == [("m2", "live"), ("m3", "live"), ("m1", "live")]
    assert "m2 1.37.2 -> 1.36.1 (standby, the canary)" in run.text
    assert "m1: was rolled, is healthy and runs 1.36.1" in run.text


def test_rollback_needs_no_ca_key(cluster: Simulation) -> None:
    recalled(cluster)
    cluster.variables["kube_scheduler_ca_key"] = "/nonexistent/ca-key.pem"
    run = cluster.run("playbooks/rollback.yml")
    assert run.code == 0, run.output
    assert run.rolled == ["m2", "m3", "m1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"not_after": "2026-01-01T00:00:00+00:00"}, "m1: the certificate of its previous set expired on 2026-01-01"),
        ({"version": "1.38.0"}, "kube_scheduler_version: 1.38.0 is newer than the apiserver of m1, v1.37.2"),
        ({"failed": True, "msg": "keeps no previous set"}, "keeps no previous set"),
    ],
)
def test_rollback_is_refused(cluster: Simulation, changes: dict[str, Any], words: str) -> None:
    recalled(cluster)
    cluster.change("m1", "scheduler_release", **changes)
    run = cluster.run("playbooks/rollback.yml")
    assert run.code != 0
    assert words in run.text
    assert run.rolled == []


def test_rollback_in_check_mode_tells_and_changes_nothing(cluster: Simulation) -> None:
    recalled(cluster)
    run = cluster.run("playbooks/rollback.yml", "--check")
    assert run.code == 0, run.output
    assert "m2 1.37.2 -> 1.36.1 (standby, the canary)" in run.text
    assert all(sent["check"] for sent in run.sent if sent["module"] == "scheduler_release")


def test_upgrade(cluster: Simulation) -> None:
    """The same as site.yml, which needs no version to be said."""
    drifted(cluster)
    for name in cluster.answers:
        older = {"process": {**gathered(name, "m1")["process"], "version": "1.36.1"}}
        cluster.change(name, "gather", **older)
        cluster.answers[name]["drift"][0].update(older)
    run = cluster.run("playbooks/upgrade.yml")
    assert run.code == 0, run.output
    assert "m2 1.36.1 -> 1.37.2 (standby, the canary)" in run.text
    assert run.rolled == ["m2", "m3", "m1"]
    cluster.variables["kube_scheduler_version"] = ""
    run = cluster.run("playbooks/upgrade.yml")
    assert run.code != 0
    assert "kube_scheduler_version: not set; say which version is wanted" in run.text
    assert not any(run.calls.values())


@pytest.mark.cores
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


def test_a_cluster_that_stops_does_not_stop_the_others(tmp_path: Path) -> None:
    """Side by side, each by its own order, which may be shorter than another's; the end names what stopped, and where."""
    clusters = {name: [f"{name}{number}" for number in (1, 2, 3)] for name in ("whole", "short", "sick", "gone")}
    several = Simulation(tmp_path, clusters=clusters)
    drifted(several, leaders=("whole1", "short1", "sick3", "gone1"))
    several.answers["short2"]["drift"] = compared("short2", "short1")
    problems = {"healthy": False, "problems": ["readiness: HTTP 500"]}
    several.answers["sick1"]["drift"][1] = compared("sick1", "sick3", **problems)
    several.lost = {"gone2": 0}
    run = several.run(
        "playbooks/site.yml",
        f"--extra-vars=kube_scheduler_hosts={':'.join(clusters)}",
        "--tags=kube_scheduler_rollout,kube_scheduler_verify",
    )
    assert run.code != 0
    assert together(run.output) == [["short3", "sick1", "whole2"], ["short1", "whole3"], ["whole1"]]
    assert [run.calls[name] for name in clusters["gone"]] == [["gather"], [], ["gather"]]
    for name in ("whole1", "whole2", "whole3", "short1", "short2", "short3"):
        assert re.search(rf"^{name} .*unreachable=0 +failed=0", run.output, re.MULTILINE), name
    assert "sick1: not healthy after it was rolled: readiness: HTTP 500" in run.text
    for name in ("sick2", "sick3"):
        line = "the rollout stopped because of sick1; the members after it were left as they are"
        assert re.search(rf"fatal: \[{name}\][^\[]*{line}", run.text), name
    assert "gone1: nothing is changed here, because of its cluster gone2 failed or was lost" in run.text
    end = run.output.partition("TASK [kube_ha.scheduler.kube_scheduler : Fail if the cluster is not healthy]")[2]
    stopped = [line for line in end.splitlines() if line.startswith("not finished: ")]
    assert stopped == [f"not finished: {name}: {', '.join(clusters[name])}" for name in ("sick", "gone")]


# --- two instances


BATCH = {"kube_scheduler_name": "batch", "kube_scheduler_secure_port": 10260}
CONFIG = {"profiles": [{"schedulerName": "batch"}]}
SECOND = {
    "include_role": f"""
  tasks:
    - ansible.builtin.include_role: {{name: kube_ha.scheduler.kube_scheduler}}
    - ansible.builtin.include_role: {{name: kube_ha.scheduler.kube_scheduler}}
      vars: {json.dumps({**BATCH, "kube_scheduler_config": CONFIG})}
""",
    "roles": f"""
  roles:
    - {{role: kube_ha.scheduler.kube_scheduler}}
    - {json.dumps({"role": "kube_ha.scheduler.kube_scheduler", **BATCH, "kube_scheduler_config": CONFIG})}
""",
}
OF_BATCH = {
    "unit": "batch.service",
    "ports": [10260],
    "lease": "kube-system/batch",
    "schedulers": ["batch"],
    "paths": ["/etc/kubernetes/batch.kubeconfig"],
}
OF_DEFAULT = {
    "unit": "kube-scheduler.service",
    "ports": [10259],
    "lease": "kube-system/kube-scheduler",
    "schedulers": ["default-scheduler"],
    "paths": ["/etc/kubernetes/kube-scheduler.kubeconfig"],
}


def two_instances(cluster: Simulation, leaders: tuple[str, str] = ("m1", "m2")) -> None:
    """The second one differs from its plan until it is rolled; another member leads there."""
    for name in cluster.answers:
        process = {**PROCESS, "lease_name": "batch", "secure_port": 10260}
        port = {"number": 10260, "addresses": ["127.0.0.1"], "held_by": "batch (pid 8)", "ours": True}
        changes: dict[str, Any] = {"process": process, "port": port, "instances": [OF_DEFAULT]}
        cluster.change(name, "gather", instances=[OF_BATCH])
        cluster.answers[name]["gather of batch.service"] = gathered(name, leaders[1], **changes)
        before, after = compared(name, leaders[1], **changes, drift=DRIFT), compared(name, leaders[1], **changes)
        # A host answers in turn, whichever instance it is asked about: the first call's question comes before.
        cluster.answers[name]["drift of batch.service"] = [before, before, after]


@pytest.mark.cores
@pytest.mark.parametrize("how", SECOND)
def test_a_second_call_in_the_same_play_is_another_instance(cluster: Simulation, tmp_path: Path, how: str) -> None:
    """Each call asks about, rolls and verifies its own; nothing of the first is taken for the second's."""
    two_instances(cluster)
    playbook = tmp_path / "two.yml"
    playbook.write_text(f"- hosts: kube_masters\n  gather_facts: false\n{SECOND[how]}")
    run = cluster.run(playbook)
    assert run.code == 0, run.output
    for name in cluster.answers:
        asked = [(options["unit"], options["release_path"]) for options in run.options(name, "scheduler_info")]
        assert asked[:2] == [("kube-scheduler.service", "/var/lib/kube-ha/kube-scheduler")] * 2
        assert {*asked[2:]} == {("batch.service", "/var/lib/kube-ha/batch")}
        releases = run.options(name, "scheduler_release")
        assert {(options["unit"], options["path"]) for options in releases} == {
            ("batch.service", "/var/lib/kube-ha/batch")
        }
        [kubeconfig] = run.options(name, "kubeconfig")
        assert kubeconfig["path"] == "/var/lib/kube-ha/batch/staged/kubeconfig"
    assert run.rolled == ["m1", "m3", "m2"], "the leader of the second one last"
    assert together(run.output) == [["m1"], ["m3"], ["m2"]]


def test_instances_that_would_share_something_are_refused(cluster: Simulation) -> None:
    two_instances(cluster)
    for name in cluster.answers:
        cluster.change(name, "gather", instances=[{**OF_BATCH, "ports": [10259]}])
    run = cluster.run()
    assert run.code != 0
    assert "kube_scheduler_secure_port: 10259 is also of batch.service on m1; give each its own port" in run.text
    assert run.calls == {name: ["gather"] for name in cluster.answers}


def test_removal_of_one_instance_needs_its_name_alone(cluster: Simulation) -> None:
    cluster.variables |= {"kube_scheduler_ca_cert": "/nowhere/ca.pem", "kube_scheduler_apiserver": ""}
    words = ("playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=yes")
    run = cluster.run(*words, "--extra-vars=kube_scheduler_name=batch")
    assert run.code == 0, run.output
    for name in cluster.answers:
        [options] = run.options(name, "scheduler_release")
        assert (options["state"], options["unit"], options["path"]) == (
            "absent",
            "batch.service",
            "/var/lib/kube-ha/batch",
        )
    run = cluster.run(*words, "--extra-vars=kube_scheduler_name=../../etc")
    assert run.code != 0
    assert "kube_scheduler_name: '../../etc' is not a name" in run.text
    assert not any(run.calls.values())


# --- lost members


def lost(cluster: Simulation) -> Outcome:
    run = cluster.run("playbooks/site.yml", f"--extra-vars=kube_scheduler_hosts={':'.join(cluster.clusters)}")
    assert run.code != 0
    assert "Traceback" not in run.output
    for name, calls in cluster.lost.items():
        assert len(run.calls[name]) == calls, "it was asked no more"
        assert f"{name} is lost" in run.text
    return run


def test_a_member_that_is_lost_before_anything_changed(cluster: Simulation) -> None:
    """Nothing is changed anywhere, whichever of the two questions it does not answer any more."""
    drifted(cluster)
    for calls in (0, 1):
        cluster.lost = {"m2": calls}
        run = lost(cluster)
        assert {name for calls in run.calls.values() for name in calls} <= {"gather", "drift"}


# The members that are rolled where the last standby is lost after so many module runs. It answers, in order: gather, drift; x509_cert twice,
# kubeconfig and the staged set; at each position how it is; between, the live set and whether it is healthy; and how it is at the end.
ROLLED_BEFORE = {2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 1, 8: 1, 9: 2, 10: 2, 11: 3}


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((4, 8), marks=pytest.mark.cores),
        pytest.param((2, 3, 5, 6, 7, 9, 10, 11), marks=pytest.mark.nightly),
    ],
)
def test_a_member_that_is_lost_stops_the_rollout_of_its_cluster(tmp_path: Path, steps: tuple[int, ...]) -> None:
    """At each further step, a cluster for each, side by side: a member that is lost while the sets are staged, and one while it is rolled."""
    clusters = {f"c{step}": [f"c{step}m{n}" for n in (1, 2, 3)] for step in steps}
    several = Simulation(tmp_path, clusters=clusters)
    drifted(several, leaders=tuple(names[0] for names in clusters.values()))
    several.lost = {f"c{step}m3": step for step in steps}
    run = lost(several)
    for step, (leader, canary, other) in zip(steps, clusters.values()):
        rolled = [name for name in run.rolled if name in (leader, canary, other)]
        assert rolled == [canary, other, leader][: ROLLED_BEFORE[step]], (step, rolled)


def test_a_member_without_an_answer_changes_nothing(cluster: Simulation) -> None:
    drifted(cluster)
    cluster.answers["m2"]["gather"] = "no JSON at all"
    run = cluster.run()
    assert run.code != 0
    assert "Traceback" not in run.output
    assert all(set(calls) <= {"gather", "drift"} for calls in run.calls.values()), run.calls


# --- hostile and odd answers


def poison() -> dict[str, Any]:
    """Facts for every variable that the role reads, private ones too, and what would steer Ansible."""
    role = ROOT / "roles/kube_scheduler"
    text = "".join(path.read_text() for path in role.rglob("*.yml"))
    names = set(re.findall(r"\b_{0,2}kube_scheduler_[a-z_]+", text)) | {"status_json", "item"}
    return {
        "ansible_facts": {
            **dict.fromkeys(names, "evil"),
            "kube_scheduler_subject": {"CN": "evil", "O": "system:masters"},
            "kube_scheduler_state": "absent",
            "kube_scheduler_metrics_key": "/etc/shadow",
            "kube_scheduler_extra_sans": ["evil.example"],
            "__kube_scheduler_plan": {"certificate": {"subject": {"CN": "evil"}}},
            "__kube_scheduler_drifted": [],
            "ansible_connection": "local",
            "ansible_host": "192.0.2.66",
        },
        "add_host": {"host_name": "evil", "groups": ["kube_masters"]},
        "add_group": "evil",
        "_ansible_ignore_errors": True,
        "_ansible_no_log": True,
    }


@pytest.mark.parametrize(
    "inject", [pytest.param("true", marks=pytest.mark.cores), pytest.param("false", marks=pytest.mark.nightly)]
)
def test_a_hostile_host_s_keys_are_dropped(cluster: Simulation, tmp_path: Path, inject: str) -> None:
    """Through a whole deployment, with the answers of Ansible's own modules too: file, get_url, copy, apt and user."""
    binary = tmp_path / "release/v1.37.2/bin/linux/amd64/kube-scheduler"
    binary.parent.mkdir(parents=True)
    binary.write_text("binary")
    for name in cluster.answers:
        cluster.empty(name)
        cluster.answers[name]["stat"] = {"changed": False, "stat": {"exists": False}}
        for module in ("file", "get_url", "copy", "apt", "user"):
            cluster.answers[name][module] = {"changed": True}
    controller = {
        "kube_scheduler_binary_source": "controller",
        "kube_scheduler_binary_url": str(tmp_path),
        "kube_scheduler_binary_checksum": f"sha256:{sha256(b'binary').hexdigest()}",
    }
    cluster.host_variables = {"m3": controller}
    cluster.answers["m2"]["@every"] = cluster.answers["m3"]["@every"] = poison()
    run = cluster.run(ANSIBLE_INJECT_FACT_VARS=inject)
    assert run.code == 0, run.output
    assert "evil" not in run.output.partition("PLAY RECAP")[2]
    for name in ("m2", "m3"):
        assert {"file", "apt", "user", "copy" if name == "m3" else "get_url"} <= set(run.calls[name])
        check_certificate(run.options(name, "x509_cert")[-1]["_certificate"], cluster.ca)
        for module in ("x509_cert", "kubeconfig", "scheduler_release", "user", "apt", "drift"):
            told, honest = ([without_chance(o) for o in run.options(host, module)] for host in (name, "m1"))
            assert told, module
            assert told == honest, module
    assert "evil" not in str([sent["options"] for sent in run.sent])


def without_chance(options: dict[str, Any]) -> dict[str, Any]:
    """What a module was told, without what is new each time, and where the binary comes from."""
    wanted = {name: value for name, value in (options.get("wanted") or {}).items() if name != "binary_source"}
    own = {
        name: value for name, value in options.items() if name not in ("_certificate", "metrics_cert", "metrics_key")
    }
    return {**own, "wanted": wanted}


def check_certificate(pem: str, ca: Ca) -> None:
    """What was signed is what the plan says, whoever asked."""
    leaf = x509.load_pem_x509_certificate(pem.encode())
    # As verify_directly_issued_by does, which the oldest cryptography lacks.
    assert leaf.issuer == ca.certificate.subject
    ca.key.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(leaf.signature_hash_algorithm))
    assert leaf.subject.rfc4514_string() == "CN=system:kube-scheduler,O=system:kube-scheduler"
    sans = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert [str(name.value) for name in sans] == ["127.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
    usages = leaf.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
    assert {*usages} == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert not leaf.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value.ca


ODD: dict[str, dict[str, Any]] = {
    "o1": {"process": None},
    "o2": {"process": "garbage"},
    "o3": {"lease": {**lease("m1.example"), "renew_time": ["garbage"]}},
    "o4": {"probes": {"used": None}},
    "o5": {"hostname": None},
    "o6": {"drift": "garbage"},
    "o7": {"healthy": "yes"},
}


@pytest.mark.cores
def test_one_host_s_odd_answer_makes_only_that_host_fail(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", *ODD]})
    for name, changes in ODD.items():
        cluster.answers[name]["drift"] = compared(name, "m1", **changes)
    run = cluster.run("playbooks/status.yml")
    assert run.code != 0
    assert "Traceback" not in run.output
    assert re.search(r"m1 +1\.37\.2 +active +yes +\*", run.output), run.output
    for name in ODD:
        assert f"{name}: no answer" in run.text, run.output


def test_an_odd_answer_to_the_first_question_too(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", *ODD]})
    odd = [name for name, changes in ODD.items() if {*changes} & {"process", "lease", "hostname", "drift", "healthy"}]
    for name in odd:
        cluster.answers[name]["gather"] = gathered(name, "m1", **ODD[name])
    run = cluster.run("playbooks/status.yml")
    assert "Traceback" not in run.output
    for name in odd:
        assert f"{name}: no answer" in run.text, run.output
        assert run.calls[name] == ["gather"]


def test_python_that_is_missing_or_too_old(cluster: Simulation) -> None:
    cluster.answers["m2"]["gather"] = "SyntaxError"
    cluster.answers["m2"]["@python"] = "3.6"
    cluster.host_variables = {"m3": {"ansible_python_interpreter": "/opt/nowhere/python3"}}
    run = cluster.run()
    assert run.code != 0
    assert "m3: /opt/nowhere/python3 is not there, but the modules need Python 3.9 or newer" in run.text
    assert re.search(
        r"m2: \S+python3 is Python 3\.6, but the modules need Python 3\.9 or newer: install python3", run.text
    )

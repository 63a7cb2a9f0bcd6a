"""Test the role on simulated hosts: real Ansible with its defaults, the real role, scripted hosts.

Tests with the mark `cores` run with every supported ansible-core (`make cores`).
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
from tests.support.simulation import (
    DRIFT,
    PROCESS,
    ROOT,
    Simulation,
    compared,
    gathered,
    lease,
    together,
)

NO_OP_TASKS = 12


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three healthy hosts. The leader is m1."""
    return Simulation(tmp_path)


@pytest.mark.cores
def test_second_run_changes_nothing(cluster: Simulation) -> None:
    run = cluster.run()
    assert run.code == 0, run.output
    assert run.calls == {name: ["gather", "drift"] for name in cluster.answers}
    for name in cluster.answers:
        assert 0 < len(run.tasks(name)) <= NO_OP_TASKS, run.tasks(name)


def test_status_reports_drift(cluster: Simulation) -> None:
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


# --- instances


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
    """Give the second instance another leader, and drift until its roll."""
    for name in cluster.answers:
        process = {**PROCESS, "lease_name": "batch", "secure_port": 10260}
        port = {
            "number": 10260,
            "addresses": ["127.0.0.1"],
            "held_by": "batch (pid 8)",
            "ours": True,
        }
        changes: dict[str, Any] = {"process": process, "port": port, "instances": [OF_DEFAULT]}
        cluster.change(name, "gather", instances=[OF_BATCH])
        cluster.answers[name]["gather of batch.service"] = gathered(name, leaders[1], **changes)
        before, after = (
            compared(name, leaders[1], **changes, drift=DRIFT),
            compared(name, leaders[1], **changes),
        )
        cluster.answers[name]["drift of batch.service"] = [before, after]


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("include_role", marks=pytest.mark.cores),
        pytest.param("roles", marks=pytest.mark.nightly),
    ],
)
def test_second_call_in_the_same_play_deploys_another_instance(
    cluster: Simulation, tmp_path: Path, how: str
) -> None:
    """Each call of the role queries, rolls and verifies its own instance."""
    two_instances(cluster)
    playbook = tmp_path / "two.yml"
    playbook.write_text(f"- hosts: kube_masters\n  gather_facts: false\n{SECOND[how]}")
    run = cluster.run(playbook)
    assert run.code == 0, run.output
    for name in cluster.answers:
        asked = [
            (options["unit"], options["fileset_dir"])
            for options in run.options(name, "scheduler_info")
        ]
        assert asked[:2] == [("kube-scheduler.service", "/var/lib/kube-ha/kube-scheduler")] * 2
        assert {*asked[2:]} == {("batch.service", "/var/lib/kube-ha/batch")}
        releases = run.options(name, "scheduler_fileset")
        assert {(options["unit"], options["path"]) for options in releases} == {
            ("batch.service", "/var/lib/kube-ha/batch")
        }
        [kubeconfig] = run.options(name, "kubeconfig")
        assert kubeconfig["path"] == "/var/lib/kube-ha/batch/staged/kubeconfig"
    assert run.rolled == ["m1", "m3", "m2"], "the leader of the second one last"
    assert together(run.output) == [["m1"], ["m3"], ["m2"]]


def test_instances_that_share_a_port_are_rejected_before_a_change(cluster: Simulation) -> None:
    two_instances(cluster)
    for name in cluster.answers:
        cluster.change(name, "gather", instances=[{**OF_BATCH, "ports": [10259]}])
    run = cluster.run()
    assert run.code != 0
    assert (
        "kube_scheduler_secure_port: 10259 is also used by batch.service on m1; set a different port for each instance"
        in run.text
    )
    assert run.calls == {name: ["gather"] for name in cluster.answers}


def test_removal_of_an_instance_needs_only_its_name(cluster: Simulation) -> None:
    cluster.variables |= {
        "kube_scheduler_ca_cert": "/nowhere/ca.pem",
        "kube_scheduler_apiserver": "",
    }
    words = ("playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all")
    run = cluster.run(*words, "--extra-vars=kube_scheduler_name=batch")
    assert run.code == 0, run.output
    for name in cluster.answers:
        [options] = run.options(name, "scheduler_fileset")
        assert (options["state"], options["unit"], options["path"]) == (
            "absent",
            "batch.service",
            "/var/lib/kube-ha/batch",
        )
    run = cluster.run(*words, "--extra-vars=kube_scheduler_name=../../etc")
    assert run.code != 0
    assert "kube_scheduler_name: '../../etc' is not a valid instance name" in run.text
    assert not any(run.calls.values())


# --- removal of hosts


def removed(cluster: Simulation, *hosts: str, confirm: str = "yes", check: str = "") -> Any:
    limit = [f"--limit={','.join(hosts)},localhost"] if hosts else []
    words = ["playbooks/uninstall.yml", f"--extra-vars=kube_scheduler_confirm={confirm}", *limit]
    return cluster.run(*words, *([check] if check else []))


@pytest.mark.cores
def test_removed_leader_is_last_and_hands_over(cluster: Simulation) -> None:
    """A removed leader is the last host of the run and hands over its lease.

    A member outside of --limit remains. The role knows this member only from the lease.
    """
    run = removed(cluster, "m1", "m2")
    assert run.code == 0, run.output
    assert run.calls == {
        "m1": ["drift", "scheduler_fileset"],
        "m2": ["drift", "scheduler_fileset"],
        "m3": [],
    }
    gone = [
        (sent["host"], sent["options"])
        for sent in run.sent
        if sent["module"] == "scheduler_fileset"
    ]
    assert [name for name, _options in gone] == ["m2", "m1"]
    for _name, options in gone:
        assert options["state"] == "absent"
        assert options["handover"] == {
            "kubeconfig": "/run/credentials/kube-scheduler.service/kubeconfig",
            "name": "kube-scheduler",
            "namespace": "kube-system",
            "lock": "leases",
            "timeout": 33.8,
        }


def test_last_scheduler_of_a_group_is_removed_only_if_confirmed(cluster: Simulation) -> None:
    run = removed(cluster)
    assert run.code != 0
    line = "no scheduler would remain without m1, m2, m3; keep a member with --limit, or pass -e kube_scheduler_confirm=all"
    for name in cluster.answers:
        assert f"{name}: {line}" in run.text
    assert {name for calls in run.calls.values() for name in calls} == {"drift"}
    cluster.answers["m1"]["drift"]["lease"]["moving"] = False
    run = removed(cluster, "m1")
    assert run.code != 0
    assert (
        "m1: no renewal of the lease was observed, so no remaining scheduler is known" in run.text
    )
    assert run.calls["m1"] == ["drift"]
    run = removed(cluster, confirm="all")
    assert run.code == 0, run.output
    assert run.calls == {name: ["scheduler_fileset"] for name in cluster.answers}


def test_removal_without_a_running_scheduler_succeeds(cluster: Simulation) -> None:
    for name in cluster.answers:
        cluster.empty(name)
        cluster.answers[name]["drift"] = cluster.answers[name]["drift"][0]
    run = removed(cluster)
    assert run.code == 0, run.output
    assert run.calls == {name: ["drift", "scheduler_fileset"] for name in cluster.answers}


# --- hostile and malformed results


def poison() -> dict[str, Any]:
    """Return facts for every variable that the role reads, and keys that control Ansible."""
    role = ROOT / "roles/kube_scheduler"
    text = "".join(path.read_text() for path in role.rglob("*.yml"))
    names = set(re.findall(r"\b_{0,2}kube_scheduler_[a-z_]+", text)) | {
        "status_json",
        "status_html",
        "item",
    }
    return {
        "ansible_facts": {
            **dict.fromkeys(names, "evil"),
            "kube_scheduler_subject": {"CN": "evil", "O": "system:masters"},
            "kube_scheduler_state": "absent",
            "kube_scheduler_metrics_key": "/etc/shadow",
            "kube_scheduler_extra_sans": ["evil.example"],
            "__kube_scheduler_plan": {"certificate": {"subject": {"CN": "evil"}}},
            "__kube_scheduler_drift": [],
            "ansible_connection": "local",
            "ansible_host": "192.0.2.66",
        },
        "add_host": {"host_name": "evil", "groups": ["kube_masters"]},
        "add_group": "evil",
        "_ansible_ignore_errors": True,
        "_ansible_no_log": True,
    }


@pytest.mark.parametrize(
    "inject",
    [
        pytest.param("true", marks=pytest.mark.cores),
        pytest.param("false", marks=pytest.mark.nightly),
    ],
)
def test_unknown_keys_of_a_hostile_host_are_dropped(
    cluster: Simulation, tmp_path: Path, inject: str
) -> None:
    """The role drops unknown keys of a hostile host during a whole deployment.

    The hostile results include those of scheduler_binary, copy, apt and user.
    """
    binary = tmp_path / "release/v1.37.2/bin/linux/amd64/kube-scheduler"
    binary.parent.mkdir(parents=True)
    binary.write_text("binary")
    for name in cluster.answers:
        cluster.empty(name)
        cluster.answers[name]["stat"] = {"changed": False, "stat": {"exists": False}}
        for module in ("scheduler_binary", "copy", "apt", "user"):
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
        assert {"apt", "user", "copy" if name == "m3" else "scheduler_binary"} <= set(
            run.calls[name]
        )
        check_certificate(run.options(name, "x509_cert")[-1]["_certificate"], cluster.ca)
        for module in ("x509_cert", "kubeconfig", "scheduler_fileset", "user", "apt", "drift"):
            told, honest = (
                [without_chance(o) for o in run.options(host, module)] for host in (name, "m1")
            )
            assert told, module
            assert told == honest, module
    assert "evil" not in str([sent["options"] for sent in run.sent])


def without_chance(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a module without random values and without the source of the binary."""
    wanted = {
        name: value
        for name, value in (options.get("desired") or {}).items()
        if name != "binary_source"
    }
    chance = ("_certificate", "attempt", "metrics_cert", "metrics_key")
    own = {name: value for name, value in options.items() if name not in chance}
    return {**own, "desired": wanted}


def check_certificate(pem: str, ca: Ca) -> None:
    """Check that the signed certificate matches the plan."""
    leaf: Any = x509.load_pem_x509_certificate(pem.encode())
    # The oldest supported cryptography does not have verify_directly_issued_by.
    assert leaf.issuer == ca.certificate.subject
    ca.key.public_key().verify(
        leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(leaf.signature_hash_algorithm)
    )
    assert leaf.subject.rfc4514_string() == "CN=system:kube-scheduler,O=system:kube-scheduler"
    sans = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert [str(name.value) for name in sans] == [
        "127.0.0.1",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]
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
def test_malformed_result_fails_only_its_host(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", *ODD]})
    for name, changes in ODD.items():
        cluster.answers[name]["drift"] = compared(name, "m1", **changes)
    run = cluster.run("playbooks/status.yml")
    assert run.code != 0
    assert "Traceback" not in run.output
    assert re.search(r"m1 +1\.37\.2 +active +yes +\*", run.output), run.output
    for name in ODD:
        assert f"{name}: no result" in run.text, run.output


def test_malformed_facts_fail_only_their_host(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", *ODD]})
    odd = [
        name
        for name, changes in ODD.items()
        if {*changes} & {"process", "lease", "hostname", "drift", "healthy"}
    ]
    for name in odd:
        cluster.answers[name]["gather"] = gathered(name, "m1", **ODD[name])
    run = cluster.run("playbooks/status.yml")
    assert "Traceback" not in run.output
    for name in odd:
        assert f"{name}: no result" in run.text, run.output
        assert run.calls[name] == ["gather"]


def test_missing_or_old_python_is_reported(cluster: Simulation) -> None:
    cluster.answers["m2"]["gather"] = "SyntaxError"
    cluster.answers["m2"]["@python"] = "3.6"
    cluster.host_variables = {"m3": {"ansible_python_interpreter": "/opt/nowhere/python3"}}
    run = cluster.run()
    assert run.code != 0
    assert (
        "m3: /opt/nowhere/python3 is not installed, but the modules need Python 3.9 or newer"
        in run.text
    )
    assert re.search(
        r"m2: \S+python3 is Python 3\.6, but the modules need Python 3\.9 or newer; install python3",
        run.text,
    )

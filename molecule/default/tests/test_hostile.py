"""Test that additional keys in the results of a hostile host have no effect.

The tests cover both values of inject_facts_as_vars.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

UNIT = "kube-scheduler.service"
CERTIFICATE = "/etc/kubernetes/cert/kube-scheduler.pem"
PYTHON, EVIL, SEEN = "/root/hostile-python", "/root/hostile.json", "/root/hostile-seen"
# The script runs the real Python with the input from Ansible, keeps a copy of the input, and adds
# keys to the result.
WRAPPER = f"""#!/usr/bin/python3
import json, subprocess, sys
sent = sys.stdin.buffer.read()
with open("{SEEN}", "ab") as stream:
    stream.write(sent + b"\\n" + " ".join(sys.argv).encode() + b"\\n")
done = subprocess.run(["/usr/bin/python3", *sys.argv[1:]], input=sent, stdout=subprocess.PIPE)
said = done.stdout
try:
    answer = json.loads(said)
    with open("{EVIL}") as stream:
        answer.update(json.load(stream))
    said = json.dumps(answer).encode()
except (ValueError, AttributeError):
    pass
sys.stdout.buffer.write(said)
sys.exit(done.returncode)
"""
SECRET = "a-secret-that-only-the-controller-has"


def put(host: Any, path: str, content: str, mode: str) -> None:
    host.check_output(
        "echo %s | base64 -d > %s && chmod %s %s",
        base64.b64encode(content.encode()).decode(),
        path,
        mode,
        path,
    )


@pytest.fixture
def master(lab: Any) -> Iterator[Any]:
    """Replace the Python of m2 with the hostile script for the test."""
    host = lab.host("m2")
    put(host, PYTHON, WRAPPER, "0755")
    yield host
    host.check_output("rm --force %s %s %s", PYTHON, EVIL, SEEN)
    run = lab.site()
    assert run.code == 0, run.output


def inventory(lab: Any, directory: Path) -> Path:
    content = yaml.safe_load(lab.inventory.read_text())
    content["kube_masters"]["hosts"]["m2"]["ansible_python_interpreter"] = PYTHON
    path = directory / "hosts.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def certificate(host: Any) -> x509.Certificate:
    return x509.load_pem_x509_certificate(host.file(CERTIFICATE).content)


def names(made: x509.Certificate) -> tuple[str, set[str]]:
    alternative = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return made.subject.rfc4514_string(), {str(entry.value) for entry in alternative}


@pytest.mark.nightly
@pytest.mark.parametrize("inject", ["true", "false"])
def test_keys_that_a_hostile_host_adds_decide_nothing(
    lab: Any, master: Any, tmp_path: Path, inject: str
) -> None:
    secret, report = tmp_path / "secret", tmp_path / "report.json"
    secret.write_text(SECRET)
    variables = {
        "kube_scheduler_subject": {"CN": "system:kube-scheduler", "O": "system:masters"},
        "kube_scheduler_address": "203.0.113.66",
        "kube_scheduler_extra_sans": ["evil.example"],
        "kube_scheduler_group": "evil",
        "kube_scheduler_state": "absent",
        "kube_scheduler_rollout": False,
        "kube_scheduler_pki": "shared",
        **{
            f"kube_scheduler_{name}": str(secret)
            for name in ("metrics_cert", "metrics_key", "cert_source", "key_source", "apiserver_ca")
        },
        "kube_scheduler_binary_source": "controller",
        "kube_scheduler_binary_url": str(tmp_path),
        "status_json": str(report),
        **{
            f"__kube_scheduler_{name}": {}
            for name in ("input", "plan", "host", "health", "tables", "rollout", "outcome")
        },
    }
    evil = {
        "ansible_facts": variables,
        "add_host": {"host_name": "evil-host", "groups": ["kube_masters"]},
        "add_group": "evil-group",
        "_ansible_ignore_errors": True,
        "_ansible_no_log": True,
        "_ansible_delegated_vars": {},
    }
    put(master, EVIL, json.dumps(evil), "0644")
    before = certificate(master)
    others = {name: pid for name, pid in lab.main_pids().items() if name != "m2"}
    # The role gets results with additional keys from user, scheduler_binary, copy, x509_cert,
    # kubeconfig and scheduler_fileset.
    master.check_output(
        "rm --recursive $(readlink -f /opt/k8s/bin/kube-scheduler) %s"
        " /var/lib/kube-ha/kube-scheduler/staged",
        CERTIFICATE,
    )

    hosts = inventory(lab, tmp_path)
    run = lab.play(
        "playbooks/site.yml", inventory=hosts, tmp=tmp_path, ANSIBLE_INJECT_FACT_VARS=inject
    )
    assert run.code == 0, run.output
    used = {name.rpartition(".")[2] for name in run.runs("m2")}
    assert {
        "scheduler_info",
        "scheduler_binary",
        "x509_cert",
        "kubeconfig",
        "scheduler_fileset",
    } <= used, used
    # The copies show that Ansible used the hostile Python.
    assert master.file(SEEN).size > 0
    assert "evil" in master.file(EVIL).content_string

    after = certificate(master)
    assert after.serial_number != before.serial_number
    assert names(after) == names(before)
    assert "system:masters" not in after.subject.rfc4514_string()
    assert {host for host, count in run.changed.items() if count} == {"m2"}
    assert {name: pid for name, pid in lab.main_pids().items() if name != "m2"} == others
    assert "evil-host" not in run.output.partition("PLAY RECAP")[2]
    status = lab.play("playbooks/status.yml", inventory=hosts, ANSIBLE_INJECT_FACT_VARS=inject)
    assert status.code == 0, status.output
    assert not report.exists()
    for said in (run.output, status.output):
        assert SECRET not in said
        assert "evil-group" not in said.partition("PLAY RECAP")[2]
    # Ansible neither sends the secrets to the hostile Python nor writes them to a file.
    result = master.run(
        "grep --recursive --files-with-matches --fixed-strings %s"
        " /root /etc /opt /var/lib/kube-ha /tmp",
        SECRET,
    )
    assert result.stdout == ""
    assert base64.b64encode(SECRET.encode()).decode()[:40] not in master.file(SEEN).content_string

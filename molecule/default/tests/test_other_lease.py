"""Test another lease, another port and slow election times.

The role reads all three from the running processes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.role import answers

LIVE = re.compile(r"TASK \[.* : Promote the staged file set\] \*+\n(?:changed|fatal): \[(\w+)\]")
NAMESPACE, NAME = "election", "the-schedulers"
# The built-in role for schedulers covers only leases with the default name in kube-system.
RBAC = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
rules:
  - {{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {NAME}}}
subjects:
  - {{kind: User, name: system:kube-scheduler}}
"""
SETTINGS: dict[str, Any] = {
    "kube_scheduler_secure_port": 10777,
    "kube_scheduler_lease_duration": "100s",
    "kube_scheduler_renew_deadline": "70s",
    "kube_scheduler_retry_period": "30s",
}


def words(**fields: Any) -> str:
    election = {"resourceName": NAME, "resourceNamespace": NAMESPACE}
    config = {"leaderElection": election, **fields}
    return f"--extra-vars={json.dumps({**SETTINGS, 'kube_scheduler_config': config})}"


def remove(lab: Any) -> None:
    run = lab.play("playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all")
    assert run.code == 0, run.output


@pytest.fixture
def deployed(lab: Any) -> Iterator[Any]:
    """Deploy the schedulers with another lease.

    The fixture removes the schedulers first, because the role rejects another lock for a running
    cluster.
    """
    lab.kubectl("apply", "--filename=-", stdin=RBAC)
    remove(lab)
    try:
        yield lab.site(words())
    finally:
        remove(lab)
        assert lab.site().code == 0
        lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.nightly
def test_role_uses_the_lease_of_the_processes(lab: Any, deployed: Any, tmp_path: Path) -> None:
    assert deployed.code == 0, deployed.output
    again = lab.site(words())
    assert again.code == 0, again.output
    assert again.changed == dict.fromkeys(lab.names, 0)
    holder = lab.kubectl(
        "get", "lease", NAME, f"--namespace={NAMESPACE}", "--output=jsonpath={.spec.holderIdentity}"
    ).rsplit("_", 1)[0]
    leader = lab.name_of(holder)

    path = tmp_path / "status.json"
    status = lab.play("playbooks/status.yml", words(), f"--extra-vars=status_json={path}")
    assert status.code == 0, status.output
    for answer in answers(path).values():
        assert answer["lease"]["holder"] == holder
        assert answer["lease"]["moving"]
        assert answer["port"]["number"] == 10777
        assert answer["process"]["lease_name"] == NAME
    assert "failover: at most 232.0 s after a crash, 66.0 s after a stop" in status.text

    predicted = lab.site(words(parallelism=15), "--check")
    assert predicted.code == 0, predicted.output
    order = LIVE.findall(predicted.output)
    assert sorted(order) == lab.names
    assert order[-1] == leader

"""Test a second scheduler on the same hosts, as docs/instances.md describes.

One play calls the role twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.lab import ROOT, UNIT, Run, wait_for
from tests.support.role import answers

PLAY, RBAC = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/instances.md").read_text(), re.DOTALL)
CALL: dict[str, Any] = yaml.safe_load(PLAY)[0]["tasks"][1]["vars"]
NAME, PORT = CALL["kube_scheduler_name"], CALL["kube_scheduler_secure_port"]
WORDS = f"--extra-vars={json.dumps(CALL)}"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: of-batch, namespace: default}
spec:
  schedulerName: batch
  containers: [{name: pause, image: none.invalid/pause}]
"""


def both(lab: Any, directory: Path, *words: str) -> Run:
    playbook = directory / "two.yml"
    playbook.write_text(PLAY)
    run: Run = lab.play(str(playbook), *words)
    return run


def uninstall(lab: Any) -> Run:
    run: Run = lab.play(
        "playbooks/uninstall.yml",
        "--extra-vars=kube_scheduler_confirm=all",
        f"--extra-vars=kube_scheduler_name={NAME}",
    )
    return run


def status(lab: Any, directory: Path, *words: str) -> dict[str, Any]:
    path = directory / "status.json"
    run = lab.play("playbooks/status.yml", f"--extra-vars=status_json={path}", *words)
    assert run.code == 0, run.output
    result: dict[str, Any] = answers(path)
    return result


@pytest.fixture(scope="module")
def second(
    lab: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Run, dict[str, str]]]:
    """Deploy the second scheduler.

    Return the run, and the processes that the first scheduler had before the run.
    """
    before = lab.main_pids()
    lab.kubectl("apply", "--filename=-", stdin=RBAC)
    try:
        yield both(lab, tmp_path_factory.mktemp("two")), before
    finally:
        run = uninstall(lab)
        lab.kubectl("delete", "--filename=-", stdin=RBAC)
        assert run.code == 0, run.output


def test_second_instance_is_deployed_and_the_first_is_untouched(
    lab: Any, second: tuple[Run, dict[str, str]], tmp_path: Path
) -> None:
    run, before = second
    assert run.code == 0, run.output
    assert lab.main_pids() == before
    again = both(lab, tmp_path)
    assert again.code == 0, again.output
    assert again.changed == dict.fromkeys(lab.names, 0)
    for name in lab.names:
        host = lab.host(name)
        assert host.service(f"{NAME}.service").is_running
        assert host.service(f"{NAME}.service").is_enabled
        assert host.file(f"/opt/k8s/bin/{NAME}").linked_to.startswith(
            "/opt/k8s/bin/kube-scheduler-v"
        )


@pytest.mark.usefixtures("second")
def test_both_instances_are_healthy_and_recognize_each_other(lab: Any, tmp_path: Path) -> None:
    first, other = status(lab, tmp_path), status(lab, tmp_path, WORDS)
    assert [*first] == [*other] == lab.names
    for name in lab.names:
        assert (first[name]["others"], other[name]["others"]) == ([], [])
        assert (first[name]["process"]["lease_name"], other[name]["process"]["lease_name"]) == (
            "kube-scheduler",
            NAME,
        )
        [neighbour] = first[name]["instances"]
        assert (neighbour["unit"], neighbour["ports"]) == (f"{NAME}.service", [PORT])
        assert (neighbour["lease"], neighbour["schedulers"]) == (f"kube-system/{NAME}", ["batch"])
        assert [one["unit"] for one in other[name]["instances"]] == [UNIT]


def test_rule_for_the_second_lease(lab: Any) -> None:
    """The RBAC rule of the documentation grants access to the lease of the second scheduler.

    The test uses a separate namespace, because newer apiservers grant schedulers every lease in
    kube-system.
    """
    namespace = "lease-of-batch"
    attributes = {
        "group": "coordination.k8s.io",
        "resource": "leases",
        "name": NAME,
        "namespace": namespace,
    }

    def allowed() -> list[str]:
        reviews = [
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": "system:kube-scheduler",
                    "resourceAttributes": {**attributes, "verb": verb},
                },
            }
            for verb in ("create", "get", "update", "delete")
        ]
        words = ("create", "--filename=-", "--output=jsonpath={.status.allowed}")
        return [lab.kubectl(*words, stdin=json.dumps(review)) for review in reviews]

    lab.kubectl("create", "namespace", namespace)
    try:
        assert allowed() == ["true", "false", "false", "false"]
        lab.kubectl(
            "apply",
            "--filename=-",
            stdin=RBAC.replace("namespace: kube-system", f"namespace: {namespace}"),
        )
        assert wait_for(lambda: "false" not in allowed()[:3], 10)
        assert allowed()[3] == "false"
    finally:
        lab.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.usefixtures("second")
def test_pod_that_selects_the_second_instance_is_bound_by_it(lab: Any) -> None:
    lab.kubectl("create", "--filename=-", stdin=POD)
    try:
        wait_for(
            lambda: lab.kubectl("get", "pod", "of-batch", "--output=jsonpath={.spec.nodeName}"), 10
        )
        selector = "--field-selector=involvedObject.name=of-batch,reason=Scheduled"
        events = wait_for(
            lambda: lab.kubectl(
                "get", "events", selector, "--output=jsonpath={.items[*].reportingComponent}"
            ),
            10,
        )
        assert events == "batch"
    finally:
        lab.kubectl("delete", "pod", "of-batch", "--grace-period=0", "--force")


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            {"kube_scheduler_secure_port": 10259},
            f"kube_scheduler_secure_port: 10259 is also used by {UNIT} on m1; set a different port for each instance",
        ),
        (
            {
                "kube_scheduler_config": {
                    "leaderElection": {"resourceName": "kube-scheduler"},
                    **CALL["kube_scheduler_config"],
                }
            },
            f"the lock kube-system/kube-scheduler is also used by {UNIT} on m1, so only one of the two would schedule pods",
        ),
        (
            {"kube_scheduler_config": {}},
            f"the schedulerName default-scheduler is also used by {UNIT} on m1, so both would schedule the same pods",
        ),
        (
            {"kube_scheduler_cert_path": "/etc/kubernetes/cert/kube-scheduler.pem"},
            f"kube_scheduler_cert_path: /etc/kubernetes/cert/kube-scheduler.pem is also used by {UNIT} on m1; set a different path for each instance",
        ),
    ],
)
def test_resources_that_two_instances_would_share_are_rejected(
    lab: Any, given: dict[str, Any], why: str
) -> None:
    before = lab.main_pids()
    run = lab.site(f"--extra-vars={json.dumps({**CALL, 'kube_scheduler_name': 'third', **given})}")
    assert run.code != 0
    assert why in run.text
    assert run.changed == dict.fromkeys(lab.names, 0)
    assert lab.main_pids() == before
    assert not lab.host("m1").file("/var/lib/kube-ha/third").exists


def test_one_instance_is_removed_and_the_other_remains(
    lab: Any, second: tuple[Run, dict[str, str]]
) -> None:
    _run, before = second
    run = uninstall(lab)
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(lab.names, 1)
    assert lab.main_pids() == before
    for name in lab.names:
        host = lab.host(name)
        assert host.check_output("find /etc /opt/k8s /var/lib/kube-ha -name '%s*'", NAME) == ""
        assert host.file("/opt/k8s/bin/kube-scheduler").exists
        host.check_output("test -x $(readlink --canonicalize-existing /opt/k8s/bin/kube-scheduler)")
    assert lab.site().changed == dict.fromkeys(lab.names, 0)

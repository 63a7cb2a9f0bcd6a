"""Test interrupted runs.

At most one scheduler is down, one member leads, and the next run completes the rollout.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.lab import UNIT, wait_for
from tests.support.upgrade import NEW

PREFIX = "kube_ha.scheduler.kube_scheduler : "
# The list has at least one task of each phase. The module of a killed run continues on the host.
# Therefore each run interrupts the roll of another member, and the leader is last.
POINTS = [
    "Gather the facts of the host",
    "Record the installed binary",
    "Stage the key, the certificate and the kubeconfig",
    "Stage the configuration and the unit, and check them in a dry run",
    "Promote the staged file set",
    "Wait until this member is healthy",
    "Promote the staged file set",
    "Fail if the cluster is unhealthy",
]
# These tasks run during the download, during staging, and during two rolls.
FEW = [POINTS[number] for number in (1, 3, 4, 6)]


def states(lab: Any) -> list[str]:
    """Return the systemd state of each scheduler.

    The query uses podman, because Ansible is slower.
    """
    return [
        lab.podman(
            "exec", lab.settings.container(name), "sh", "-c", f"systemctl is-active {UNIT} || true"
        ).strip()
        for name in lab.names
    ]


def stands(lab: Any, bind_pod: Callable[[], str]) -> None:
    """Check that at most one scheduler is down, and that new pods get nodes."""
    assert states(lab).count("active") >= len(lab.names) - 1
    # The killed run can have started a handover that is not yet complete.
    wait_for(lambda: lab.lease()["holderIdentity"], 10)
    assert bind_pod()


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize(
    "points", [FEW, pytest.param(POINTS, marks=pytest.mark.nightly)], ids=["few", "all"]
)
def test_run_killed_in_each_phase_is_resumed(
    lab: Any, bind_pod: Callable[[], str], points: list[str]
) -> None:
    for name in lab.names:
        lab.host(name).check_output("rm -f /opt/k8s/bin/kube-scheduler-v%s", NEW)
    for task in points:
        assert lab.cut_off("playbooks/site.yml", f"TASK [{PREFIX}{task}]", 1), (
            f"the run ended before {task}"
        )
        stands(lab, bind_pod)
    run = lab.site()
    assert run.code == 0, run.output
    assert states(lab) == ["active"] * len(lab.names)
    assert lab.site().changed == dict.fromkeys(lab.names, 0)


@pytest.mark.nightly
def test_host_that_reboots_before_its_roll_starts_its_live_set(
    lab: Any, bind_pod: Callable[[], str]
) -> None:
    """If a host reboots between staging and its roll, its scheduler starts the live file set."""
    waits = "--extra-vars={kube_scheduler_rollout: false, kube_scheduler_config: {parallelism: 15}}"
    assert lab.site(waits).code == 0
    live = [
        lab.host("m2").file(path).sha256sum
        for path in ("/etc/kubernetes/kube-scheduler.yaml", f"/etc/systemd/system/{UNIT}")
    ]
    lab.podman("restart", "--time=5", lab.settings.container("m2"))
    wait_for(lambda: states(lab)[1] == "active", 60)
    assert [
        lab.host("m2").file(path).sha256sum
        for path in ("/etc/kubernetes/kube-scheduler.yaml", f"/etc/systemd/system/{UNIT}")
    ] == live
    wait_for(lambda: lab.site().code == 0, 60)
    assert bind_pod()


@pytest.mark.nightly
def test_two_runs_at_once(lab: Any, bind_pod: Callable[[], str]) -> None:
    """If two runs overlap, each of them can fail, but the cluster keeps a leader and binds pods."""
    change = "--extra-vars={kube_scheduler_config: {parallelism: 14}}"
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(lab.site, change) for _each in range(2)]
        while not all(run.done() for run in both):
            stands(lab, bind_pod)
            time.sleep(1)
    for run in both:
        assert "Traceback" not in run.result().output
    run = lab.site(change)
    assert run.code == 0, run.output
    assert lab.site(change).changed == dict.fromkeys(lab.names, 0)


@pytest.mark.nightly
def test_run_killed_at_every_task_is_resumed(lab: Any, bind_pod: Callable[[], str]) -> None:
    """A run that is killed at the start of any task can be resumed.

    The test kills a configuration change and its reversal at each task. The next run completes the
    change, and the third run changes nothing.
    """
    for number in itertools.count(1):
        change = f"--extra-vars={{kube_scheduler_config: {{parallelism: {15 + number % 2}}}}}"
        if not lab.cut_off(
            "playbooks/site.yml", "TASK [", number, change, "--extra-vars=__kube_scheduler_steady=0"
        ):
            break
        stands(lab, bind_pod)
        run = lab.site(change)
        assert run.code == 0, (number, run.output)
        assert lab.site(change).changed == dict.fromkeys(lab.names, 0), number
    assert number > 30
    assert lab.site().code == 0

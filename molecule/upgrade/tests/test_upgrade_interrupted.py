"""Runs that are cut off: after each, at least all but one scheduler run and one of them leads, and the next run goes on."""

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
# A task of each phase. The module of a killed run goes on, so that each run in the rollout finds another member's turn, the leader's last.
POINTS = [
    "Gather what the host is and what runs there",
    "Record that the role brought the binary",
    "Stage the kubeconfig",
    "Stage configuration and unit, and let the binary check them in a dry run",
    "Put the staged set in place",
    "Wait until this member is healthy",
    "Put the staged set in place",
    "Fail if the cluster is not healthy",
]
# While the binary comes, while the set is staged, and at two members' turns.
FEW = [POINTS[number] for number in (1, 3, 4, 6)]


def states(lab: Any) -> list[str]:
    """What systemd says of each scheduler; at once, and not through Ansible."""
    return [
        lab.podman(
            "exec", lab.settings.container(name), "sh", "-c", f"systemctl is-active {UNIT} || true"
        ).strip()
        for name in lab.names
    ]


def stands(lab: Any, bind_pod: Callable[[], str]) -> None:
    """All but one scheduler run, at least, and the pods of now get nodes."""
    assert states(lab).count("active") >= len(lab.names) - 1
    # The hand-over that the killed run began may be under way still.
    wait_for(lambda: lab.lease()["holderIdentity"], 10)
    assert bind_pod()


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize(
    "points", [FEW, pytest.param(POINTS, marks=pytest.mark.nightly)], ids=["few", "all"]
)
def test_killed_once_in_each_phase(
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
def test_what_waits_for_its_roll_starts_as_it_was(lab: Any, bind_pod: Callable[[], str]) -> None:
    """A master that is rebooted between the staging and its turn: its scheduler starts from what was live."""
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
    """Each may fail for the other's sake, and neither takes the cluster down."""
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
def test_killed_at_every_task(lab: Any, bind_pod: Callable[[], str]) -> None:
    """A change of the configuration and back, killed as each of its tasks begins; the same run again goes on, and the third changes nothing."""
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

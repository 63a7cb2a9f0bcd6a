"""The role under Mitogen's strategy: a first run, one that changes nothing, a rollout, status, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import PROGRAM, UNIT, Lab, Run
from tests.support.simulation import together
from tests.support.upgrade import nothing_lost, under_pods

SITE = "playbooks/site.yml"


class Mitogen:
    """Runs playbooks by its strategy."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        (folder,) = (
            Path(PROGRAM)
            .parents[1]
            .glob("lib/python*/site-packages/ansible_mitogen/plugins/strategy")
        )
        self.settings: dict[str, Any] = {
            "ANSIBLE_STRATEGY": "mitogen_linear",
            "ANSIBLE_STRATEGY_PLUGINS": str(folder),
        }

    def play(self, playbook: str, *words: str) -> Run:
        # Otherwise a library that this run installs is not seen by it: docs/scale.md.
        return self.lab.play(
            playbook, "--extra-vars=mitogen_task_isolation=fork", *words, **self.settings
        )


@pytest.fixture(scope="module")
def mitogen(lab: Any) -> Mitogen:
    """All masters as planned."""
    found = Mitogen(lab)
    check = found.play(SITE, "--check", "--diff")
    assert check.code == 0, check.output
    run = found.play(SITE)
    assert run.code == 0, run.output
    assert set(run.changed.values()) != {0}
    return found


def test_a_second_run_changes_nothing(
    lab: Any, mitogen: Mitogen, bind_pod: Callable[[], str]
) -> None:
    run = mitogen.play(SITE)
    assert (run.code, run.changed) == (0, dict.fromkeys(lab.names, 0)), run.output
    # What it has done is what the strategy of Ansible's own does.
    assert lab.site().changed == dict.fromkeys(lab.names, 0)
    assert mitogen.play("playbooks/status.yml").code == 0
    assert bind_pod()


def test_the_leader_goes_last_and_nothing_is_lost(lab: Any, mitogen: Mitogen) -> None:
    leader = lab.leader()
    change = '--extra-vars={"kube_scheduler_extra_args": {"v": 3}}'
    found = under_pods(lab, lambda: mitogen.play(SITE, change))
    nothing_lost(found, transitions=1)
    assert together(found.run.output)[-1] == [leader]
    back = under_pods(lab, lambda: mitogen.play("playbooks/rollback.yml"))
    nothing_lost(back, transitions=1)
    assert mitogen.play(SITE).changed == dict.fromkeys(lab.names, 0)


def test_a_fault_is_one_line(lab: Any, mitogen: Mitogen) -> None:
    """A port that is taken on one host: it is refused with its reason, and nothing changes."""
    pids = lab.main_pids()
    run = mitogen.play(SITE, "--extra-vars=kube_scheduler_secure_port=22")
    assert run.code != 0
    assert "kube_scheduler_secure_port: 22 on m1 is held by sshd" in run.text
    assert lab.main_pids() == pids


def test_all_is_removed(lab: Any, mitogen: Mitogen) -> None:
    run = mitogen.play("playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all")
    assert run.code == 0, run.output
    for name in lab.names:
        assert lab.host(name).run("systemctl status %s", UNIT).rc == 4

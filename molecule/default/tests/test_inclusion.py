"""The role inside somebody else's playbook: another group, another user, sudo with a password, no facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PASSWORD = "correct horse"
HOW = {
    "roles": "  roles: [kube_ha.scheduler.kube_scheduler]\n",
    "import_role": "  tasks:\n    - ansible.builtin.import_role: {name: kube_ha.scheduler.kube_scheduler}\n",
    "include_role": "  tasks:\n    - ansible.builtin.include_role: {name: kube_ha.scheduler.kube_scheduler}\n",
    "tasks_from": "  tasks:\n    - ansible.builtin.include_role: {name: kube_ha.scheduler.kube_scheduler, tasks_from: verify}\n",
}


@pytest.fixture(scope="module")
def inventory(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same masters, reached as a user who has to give a password to become root."""
    for name in lab.names:
        lab.host(name).check_output(
            "id deployer 2>/dev/null || useradd --create-home --groups sudo --shell /bin/bash deployer;"
            " echo %s | chpasswd; rm -f /etc/sudoers.d/nopasswd;"
            " install -d -o deployer -m 0700 ~deployer/.ssh; install -o deployer -m 0600 /etc/lab/authorized_keys ~deployer/.ssh/",
            f"deployer:{PASSWORD}",
        )
    inventory: Path = lab.inventory_with(
        tmp_path_factory.mktemp("inventory"),
        "control_plane",
        ansible_user="deployer",
        ansible_become_password=PASSWORD,
        kube_scheduler_group="control_plane",
    )
    return inventory


@pytest.mark.usefixtures("inventory")
def test_the_password_is_needed(lab: Any) -> None:
    assert lab.host("m1").run("su deployer -c 'sudo -n true'").rc != 0


@pytest.mark.parametrize(
    "how",
    # The playbooks of this collection and of the simulated masters have it under `roles`, which is an import.
    [
        pytest.param(how, marks=pytest.mark.nightly if how in ("roles", "import_role") else ())
        for how in HOW
    ],
)
def test_inclusion(lab: Any, inventory: Path, tmp_path: Path, how: str) -> None:
    playbook = tmp_path / "larger.yml"
    playbook.write_text(
        f"- hosts: control_plane\n  gather_facts: false\n  become: true\n{HOW[how]}"
    )
    run = lab.play(str(playbook), inventory=inventory)
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(lab.names, 0)
    assert "Ask whether the scheduler is healthy and as planned" in run.output
    assert PASSWORD not in run.output

"""Test the role in another playbook: another group and user, sudo with a password, no facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PASSWORD = "correct horse"
ROLE = "kube_ha.scheduler.kube_scheduler"
HOW = {
    "roles": f"  roles: [{ROLE}]\n",
    "import_role": f"  tasks:\n    - ansible.builtin.import_role: {{name: {ROLE}}}\n",
    "include_role": f"  tasks:\n    - ansible.builtin.include_role: {{name: {ROLE}}}\n",
    "tasks_from": (
        f"  tasks:\n    - ansible.builtin.include_role: {{name: {ROLE}, tasks_from: verify}}\n"
    ),
}


@pytest.fixture(scope="module")
def inventory(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an inventory of the same hosts with a user who needs a password to become root."""
    for name in lab.names:
        lab.host(name).check_output(
            "id deployer 2>/dev/null ||"
            " useradd --create-home --groups sudo --shell /bin/bash deployer;"
            " echo %s | chpasswd; rm -f /etc/sudoers.d/nopasswd;"
            " install -d -o deployer -m 0700 ~deployer/.ssh;"
            " install -o deployer -m 0600 /etc/lab/authorized_keys ~deployer/.ssh/",
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
def test_password_is_required(lab: Any) -> None:
    assert lab.host("m1").run("su deployer -c 'sudo -n true'").rc != 0


@pytest.mark.parametrize(
    "how",
    # The playbooks of this collection and of the simulated hosts already import the role with
    # `roles`.
    [
        pytest.param(how, marks=pytest.mark.nightly if how in ("roles", "import_role") else ())
        for how in HOW
    ],
)
def test_included_role_deploys(lab: Any, inventory: Path, tmp_path: Path, how: str) -> None:
    playbook = tmp_path / "larger.yml"
    playbook.write_text(
        f"- hosts: control_plane\n  gather_facts: false\n  become: true\n{HOW[how]}"
    )
    run = lab.play(str(playbook), inventory=inventory)
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(lab.names, 0)
    assert "Check health and drift of the scheduler" in run.output
    assert PASSWORD not in run.output

"""Test Debian 11, 12 and 13 in one group, for the table of systems in the README."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.lab import UNIT, Run, wait_for
from tests.support.upgrade import nothing_lost, under_pods

pytestmark = pytest.mark.usefixtures("deployed")

SYSTEMS = {"m3": ("12", "252", "3.11"), "m4": ("11", "247", "3.9"), "m5": ("13", "257", "3.13")}
"""Versions of Debian, systemd and Python of each host."""


@pytest.fixture(scope="module")
def inventory(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    group = yaml.safe_load(lab.inventory.read_text())["kube_masters"]
    group["hosts"] = {name: group["hosts"][name] for name in SYSTEMS}
    path = tmp_path_factory.mktemp("systems") / "inventory.yml"
    path.write_text(yaml.safe_dump({"kube_masters": group}))
    return path


@pytest.fixture(scope="module")
def deployed(lab: Any, inventory: Path) -> Run:
    """Run check mode on hosts without a scheduler, then deploy the schedulers."""
    check = lab.site("--check", "--diff", inventory=inventory)
    assert check.code == 0, check.output
    run: Run = lab.site(inventory=inventory)
    assert run.code == 0, run.output
    return run


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_have_the_listed_versions(lab: Any, name: str) -> None:
    host, (debian, systemd, python) = lab.host(name), SYSTEMS[name]
    assert host.check_output(". /etc/os-release; echo $ID $VERSION_ID") == f"debian {debian}"
    assert host.check_output("systemctl --version").startswith(f"systemd {systemd} ")
    assert host.check_output("python3 --version").startswith(f"Python {python}.")


def test_deployment_has_no_warning(deployed: Run) -> None:
    """The deployment has no unexpected warning.

    Ansible warns about an unknown host, and the role warns about the validity of the lab CA.
    """
    reported = re.findall(r"\[(?:DEPRECATION )?WARNING\]: (.{1,150})", deployed.text)
    expected = (
        "Module remote_tmp ",
        "/var/lib/kube-ha/kube-scheduler/staged/certificate: the certificate ends with its CA",
    )
    assert [words for words in reported if not words.startswith(expected)] == []


def test_second_run_on_all_systems_changes_nothing(lab: Any, inventory: Path) -> None:
    run = lab.site(inventory=inventory)
    assert (run.code, run.changed) == (0, dict.fromkeys(SYSTEMS, 0)), run.output
    assert lab.play("playbooks/status.yml", inventory=inventory).code == 0


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_system_can_lead(lab: Any, bind_pod: Callable[[], str], name: str) -> None:
    others = [other for other in SYSTEMS if other != name]
    for other in others:
        lab.host(other).check_output("systemctl stop %s", UNIT)
    try:
        hostname = lab.hostname(name)
        wait_for(lambda: lab.lease()["holderIdentity"].startswith(hostname), 30)
        assert bind_pod()
    finally:
        for other in others:
            lab.host(other).check_output("systemctl start %s", UNIT)


@pytest.mark.parametrize("name", SYSTEMS)
def test_systemd_passes_the_secrets_to_the_process(lab: Any, name: str) -> None:
    """With LoadCredential, the user of the process cannot read the key file.

    All three releases support LoadCredential.
    """
    key = lab.host(name).file("/etc/kubernetes/cert/kube-scheduler-key.pem")
    assert (key.user, key.group, key.mode) == ("root", "root", 0o600)


def test_change_is_rolled_out_and_rolled_back(lab: Any, inventory: Path) -> None:
    result = under_pods(
        lab,
        lambda: lab.site(
            '--extra-vars={"kube_scheduler_extra_args": {"v": 3}}', inventory=inventory
        ),
    )
    nothing_lost(result, transitions=1)
    back = under_pods(lab, lambda: lab.play("playbooks/rollback.yml", inventory=inventory))
    nothing_lost(back, transitions=1)
    run = lab.site(inventory=inventory)
    assert (run.code, run.changed) == (0, dict.fromkeys(SYSTEMS, 0)), run.output


def test_everything_is_removed(lab: Any, inventory: Path) -> None:
    run = lab.play(
        "playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all", inventory=inventory
    )
    assert run.code == 0, run.output
    for name in SYSTEMS:
        assert lab.host(name).run("systemctl status %s", UNIT).rc == 4

"""Test the recipe of docs/rotation.md.

The units of the recipe run in systemd of a host, and its commands run in the lab.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import ROOT, wait_for

RECIPE = re.compile(r"<!-- recipe: (\S+) -->\n```ini\n(.*?)```", re.DOTALL)
SERVICE, ALERT, TIMER = (
    f"kube-scheduler-rotate{end}" for end in (".service", "-alert.service", ".timer")
)
STATUS = "/var/lib/kube-ha-controller/status.json"
# This script replaces the controller's command. The script prints its arguments and can fail on
# request.
STUB = """#!/bin/sh
echo "$@" >> /root/told
case "$*" in *rotate*) test ! -e /root/fails;; esac
"""


@pytest.fixture(scope="module")
def recipe() -> dict[str, str]:
    result = dict(RECIPE.findall((ROOT / "docs/rotation.md").read_text()))
    assert [os.path.basename(path) for path in result] == [SERVICE, ALERT, TIMER]
    return result


def test_commands_of_the_page_work(lab: Any, recipe: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "inventory").symlink_to(lab.inventory)
    for path, text in recipe.items():
        for command in re.findall(r"^ExecStart=-?(ansible-playbook .*)$", text, re.MULTILINE):
            done = subprocess.run(
                [
                    word.replace(os.path.dirname(STATUS), str(tmp_path))
                    for word in shlex.split(command)
                ],
                cwd=tmp_path,
                env={
                    **os.environ,
                    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
                    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=600,
            )
            assert done.returncode == 0, (path, done.stdout)
    assert json.loads((tmp_path / "status.json").read_text())


def test_units_run_and_report_a_failed_run(lab: Any, recipe: dict[str, str]) -> None:
    host = lab.host("m1")
    host.check_output("mkdir --parents /etc/kube-ha && rm --force /root/told /root/fails")
    for path, text in {**recipe, "/usr/local/bin/ansible-playbook": STUB}.items():
        lab.write("m1", path, text.encode())
    host.check_output("chmod 0755 /usr/local/bin/ansible-playbook && systemctl daemon-reload")
    units = " ".join(recipe)
    assert host.run(f"systemd-analyze verify {units}").stderr == ""
    host.check_output("systemctl start %s", SERVICE)
    assert host.file("/root/told").content_string.splitlines() == [
        "-i inventory kube_ha.scheduler.rotate -e rotate=due",
        f"-i inventory kube_ha.scheduler.status -e status_json={STATUS}",
    ]
    assert "certificates were not renewed" not in host.check_output(
        "journalctl --identifier=kube-scheduler-rotate"
    )
    host.check_output("touch /root/fails")
    assert host.run("systemctl start %s", SERVICE).rc != 0
    wait_for(
        lambda: (
            STATUS
            in host.check_output("journalctl --identifier=kube-scheduler-rotate --output=cat")
        ),
        30,
    )
    assert host.file("/root/told").content_string.splitlines()[2:] == [
        "-i inventory kube_ha.scheduler.rotate -e rotate=due",
        f"-i inventory kube_ha.scheduler.status -e status_json={STATUS}",
    ]
    host.check_output("systemctl enable --now %s", TIMER)
    assert SERVICE in host.check_output("systemctl list-timers --no-legend %s", TIMER)
    host.check_output("systemctl disable --now %s", TIMER)

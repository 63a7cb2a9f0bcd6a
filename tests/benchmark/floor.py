# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how long Ansible takes for the same numbers of module runs and tasks without any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PING: dict[str, Any] = {"ansible.builtin.ping": {}}
DEBUG: dict[str, Any] = {"ansible.builtin.debug": {"msg": "{{ inventory_hostname }}"}}


def write_playbook(directory: Path, module_runs: int, tasks: int) -> Path:
    """Write a play with a number of tasks per host, some of them module runs, and return its path.

    The hosts are those of `kube_scheduler_hosts`, as in the playbooks of the collection.
    """
    play = {
        "hosts": "{{ kube_scheduler_hosts }}",
        "gather_facts": False,
        "tasks": [PING] * module_runs + [DEBUG] * (tasks - module_runs),
    }
    path = directory / f"floor-{module_runs}-{tasks}.yml"
    path.write_text(yaml.safe_dump([play]))
    return path

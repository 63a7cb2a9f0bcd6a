# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that Ansible takes for a run of ours: a play of ping and debug, with as many module runs and tasks a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PING: dict[str, Any] = {"ansible.builtin.ping": {}}
AGAIN: list[dict[str, Any]] = [{"imports_info": {"drift": drift}} for drift in (False, True)]
"""In place of a no-op's module runs, as many that import what those import."""
OF_FIRST = ("release", "x509_cert", "x509_cert", "kubeconfig", "release")
LIVE: dict[str, Any] = {"imports_release": {"lease": True}}
FIRST: list[dict[str, Any]] = [
    *AGAIN,
    *({f"imports_{name}": {}} for name in OF_FIRST),
    LIVE,
    AGAIN[-1],
]
"""The same of a first run."""


def playbook(folder: Path, modules: list[dict[str, Any]], tasks: int) -> Path:
    """Written into the folder; its hosts are those of C(kube_scheduler_hosts), as ours."""
    runs = modules + [{"ansible.builtin.debug": {"msg": "{{ inventory_hostname }}"}}] * (
        tasks - len(modules)
    )
    path = folder / f"floor-{len(modules)}-{tasks}.yml"
    path.write_text(
        yaml.safe_dump(
            [{"hosts": "{{ kube_scheduler_hosts }}", "gather_facts": False, "tasks": runs}]
        )
    )
    return path

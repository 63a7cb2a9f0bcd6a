"""Defaults and data of the role as Ansible evaluates them, and the content of its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[2] / "roles/kube_scheduler"


def defaults(name: str = "kube-scheduler") -> dict[str, Any]:
    """Return the defaults for an instance name.

    Other defaults with an expression stay unevaluated.
    """
    found: dict[str, Any] = yaml.safe_load(
        (ROLE / "defaults/main.yml").read_text().replace("{{ kube_scheduler_name }}", name)
    )
    return {**found, "kube_scheduler_name": name}


def role_vars() -> dict[str, Any]:
    """Return the variables of vars/main by name.

    They are tables, hardening, and data that an including task can override.
    """
    files = (ROLE / "vars/main").glob("*.yml")
    return {
        name: value for path in files for name, value in yaml.safe_load(path.read_text()).items()
    }


def answers(report: Path) -> dict[str, Any]:
    """Return the result of each member from the file of status_json.

    None for a member without a result.
    """
    clusters = json.loads(report.read_text())["clusters"]
    return {
        name: member["answer"]
        for cluster in clusters
        for name, member in cluster["members"].items()
    }

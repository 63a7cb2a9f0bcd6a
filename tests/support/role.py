"""The role's defaults as Ansible fills them in for an instance, its own data, and what its report tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[2] / "roles/kube_scheduler"


def defaults(name: str = "kube-scheduler") -> dict[str, Any]:
    """The defaults with those that follow the name of the instance; others that hold an expression stay as they are."""
    found: dict[str, Any] = yaml.safe_load(
        (ROLE / "defaults/main.yml").read_text().replace("{{ kube_scheduler_name }}", name)
    )
    return {**found, "kube_scheduler_name": name}


def role_vars() -> dict[str, Any]:
    """The variables of vars/main by their names: tables, hardening, and what an including task may set otherwise."""
    files = (ROLE / "vars/main").glob("*.yml")
    return {
        name: value for path in files for name, value in yaml.safe_load(path.read_text()).items()
    }


def answers(report: Path) -> dict[str, Any]:
    """What each member answered, from the file that status_json names; None where it gave no answer."""
    clusters = json.loads(report.read_text())["clusters"]
    return {
        name: member["answer"]
        for cluster in clusters
        for name, member in cluster["members"].items()
    }

"""The role's defaults as Ansible fills them in for an instance, and what its report tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

DEFAULTS = Path(__file__).resolve().parents[2] / "roles/kube_scheduler/defaults/main.yml"


def defaults(name: str = "kube-scheduler") -> dict[str, Any]:
    """The defaults with those that follow the name of the instance; others that hold an expression stay as they are."""
    found: dict[str, Any] = yaml.safe_load(DEFAULTS.read_text().replace("{{ kube_scheduler_name }}", name))
    return {**found, "kube_scheduler_name": name}


def answers(report: Path) -> dict[str, Any]:
    """What each member answered, from the file that status_json names; None where it gave no answer."""
    clusters = json.loads(report.read_text())["clusters"]
    return {name: member["answer"] for cluster in clusters for name, member in cluster["members"].items()}

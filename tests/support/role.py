"""The role's defaults as Ansible fills them in for an instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DEFAULTS = Path(__file__).resolve().parents[2] / "roles/kube_scheduler/defaults/main.yml"


def defaults(name: str = "kube-scheduler") -> dict[str, Any]:
    """The defaults with those that follow the name of the instance; others that hold an expression stay as they are."""
    found: dict[str, Any] = yaml.safe_load(DEFAULTS.read_text().replace("{{ kube_scheduler_name }}", name))
    return {**found, "kube_scheduler_name": name}

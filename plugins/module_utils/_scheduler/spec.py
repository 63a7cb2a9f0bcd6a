# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The options of scheduler_plan, which the module documents and its action plugin checks."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.rotation import (
    KINDS,
    LOOK,
    RELOAD,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.rotation import (
    STEPS as ROTATION_STEPS,
)

STEPS = [
    "instance",
    "variables",
    "host",
    "rotation",
    "rollout",
    "rollback",
    "gate",
    "outcome",
    "rotated",
    "verdict",
    "status",
    "removal",
    "monitoring",
]
PLAN: dict[str, dict[str, t.Any]] = {
    "step": {"type": "str", "choices": STEPS, "required": True},
    "prefix": {"type": "str", "default": "kube_scheduler_"},
    "tables": {"type": "dict"},
    "input": {"type": "dict"},
    "rotation": {
        "type": "dict",
        "options": {
            "step": {
                "type": "str",
                "choices": [*KINDS, *ROTATION_STEPS, LOOK, RELOAD],
                "required": True,
            },
            "replace": {"type": "list", "elements": "str", "default": []},
        },
    },
    "host": {"type": "dict"},
    "inputs": {"type": "str"},
    "answers": {"type": "str"},
    "plans": {"type": "str"},
    "before": {"type": "str"},
    "marks": {"type": "str"},
    "recalled": {"type": "str"},
    "order": {"type": "list", "elements": "list"},
    "position": {"type": "int"},
    "healthy": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 60},
    "version": {"type": "str", "default": ""},
    "compared": {"type": "bool", "default": True},
    "rolled_back": {"type": "bool", "default": False},
    "handover": {
        "type": "dict",
        "options": {
            "holder": {"type": "str", "required": True},
            "seconds": {"type": "float", "required": True},
            "released": {"type": "bool", "required": True},
            "transitions": {"type": "int", "required": True},
        },
    },
    "bound": {"type": "float", "default": 0},
    "strict": {"type": "bool", "default": True},
}
PLAN_REQUIRED_IF: list[tuple[str, str, list[str]]] = [
    ("step", "variables", ["tables"]),
    ("step", "host", ["tables", "input", "host", "answers"]),
    ("step", "rotation", ["input", "answers", "plans"]),
    ("step", "rotated", ["input", "answers"]),
    ("step", "rollout", ["input", "answers"]),
    ("step", "rollback", ["input", "answers", "recalled", "host"]),
    ("step", "gate", ["input", "answers", "marks", "order", "position"]),
    ("step", "outcome", ["input", "answers"]),
    ("step", "verdict", ["input", "answers"]),
    ("step", "status", ["tables", "inputs", "answers", "plans"]),
    ("step", "removal", ["input", "answers"]),
    ("step", "monitoring", ["tables", "inputs"]),
]

DRILL: dict[str, dict[str, t.Any]] = {
    "step": {"type": "str", "choices": ["choose", "measure", "report"], "required": True},
    "kind": {"type": "str", "choices": ["stop", "kill", "freeze", "partition"]},
    "targets": {"type": "list", "elements": "str", "default": []},
    "undo_after": {"type": "int", "default": 0},
    "admin_kubeconfig": {"type": "path"},
    "versions": {"type": "dict"},
    "input": {"type": "dict"},
    "answers": {"type": "str"},
    "choice": {"type": "dict"},
    "measured": {"type": "dict"},
    "journals": {"type": "str"},
    "report_dir": {"type": "path"},
}
DRILL_REQUIRED_IF: list[tuple[str, str, list[str]]] = [
    ("step", "choose", ["kind", "versions", "input", "answers", "report_dir"]),
    ("step", "measure", ["choice", "input", "admin_kubeconfig"]),
    ("step", "report", ["choice", "measured", "input", "answers", "journals", "report_dir"]),
]

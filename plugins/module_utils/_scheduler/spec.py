# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Define the argument specs of the role's own modules, and of the variables of monitoring.yml.

A module and its action plugin use the same argument spec. The shared parts come first.
"""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    AWAIT_RELOAD,
    INSPECT,
    LEASE_NAME,
    ROTATION_KINDS,
    ROTATION_STEPS,
    fileset_dir,
    unit_name,
)

# --- Shared parts

_UNIT: dict[str, t.Any] = {"type": "str", "default": unit_name(LEASE_NAME)}
_FILESET_DIR: dict[str, t.Any] = {"type": "path", "default": fileset_dir(LEASE_NAME)}
_FILES: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "link_to": {"type": "str"},
        "mode": {"type": "str", "default": "0644"},
        "group": {"type": "str", "default": "root"},
        "digest": {"type": "str", "choices": ["content", "path"], "default": "content"},
    },
}
# The values are secrets. Ansible withholds the values of this option in all output.
_SECRETS: dict[str, t.Any] = {
    "type": "dict",
    "no_log": True,
    "options": {"contents": {"type": "dict"}, "values": {"type": "list", "elements": "str"}},
}
_LEASE: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
}
_HANDOVER: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        **_LEASE,
        "kubeconfig": {"type": "path", "required": True},
        "lock": {"type": "str", "required": True},
        "timeout": {"type": "float", "required": True},
    },
}
OWNER_SPEC: dict[str, t.Any] = {
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw"},
}
BINARY_SPEC: dict[str, t.Any] = {
    "url": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "checksum": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 900},
}
DESIRED_SPEC: dict[str, t.Any] = {
    "version": {"type": "str", "required": True},
    "binary": {"type": "path", "required": True},
    "binary_source": {
        "type": "str",
        "choices": ["download", "controller", "present"],
        "default": "download",
    },
    "log_dir": {"type": "str", "default": ""},
    "certificate": {"type": "dict"},
    "pair": {
        "type": "dict",
        "options": {
            "certificate_source": {"type": "path"},
            "privatekey_source": {"type": "path", "no_log": False},
            "certificate_sha256": {"type": "str"},
            "privatekey_sha256": {"type": "str", "no_log": False},
            "x509_cert": {"type": "dict"},
            **OWNER_SPEC,
        },
    },
    "kubeconfig": {"type": "dict"},
    "files": {**_FILES, "default": []},
    "settings": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "flags": {"type": "dict", "default": {}},
            "config": {"type": "dict", "default": {}},
        },
    },
    "manage_packages": {"type": "bool", "default": True},
}
SERVING_SPEC: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "since": {"type": "str", "required": True},
        "https": {"type": "int", "required": True},
        "http": {"type": "int", "required": True},
        "ready_path": {"type": "str", "required": True},
        "ready_port": {"type": "str", "choices": ["https", "http"], "required": True},
        "lock": {"type": "str", "required": True},
    },
}

# --- scheduler_info

INFO_SPEC: dict[str, t.Any] = {
    "input": {"type": "dict"},
    "plan": {"type": "dict"},
    "unit": _UNIT,
    "fileset_dir": _FILESET_DIR,
    "user": {"type": "str"},
    "port": {"type": "int", "default": 10259},
    "bind_address": {"type": "str", "default": "127.0.0.1"},
    "kubeconfig": {"type": "path", "default": "/etc/kubernetes/kube-scheduler.kubeconfig"},
    "paths": {"type": "list", "elements": "path", "default": []},
    "apiserver": {"type": "str"},
    "apiservers": {"type": "list", "elements": "str", "default": []},
    "apiserver_ca": {"type": "str"},
    "tls_server_name": {"type": "str"},
    "serving_ca": {"type": "str"},
    "versions": {"type": "raw", "default": {}},
    "_serving": SERVING_SPEC,
    "certificate": {"type": "path"},
    "authorities": {"type": "str"},
    "next_ca": {"type": "str"},
    "next_cert": {"type": "str"},
    "next_key": {"type": "str", "no_log": True},
    "next_ca_path": {"type": "path"},
    "next_ca_privatekey_path": {"type": "path", "no_log": False},
    "next_ca_privatekey_passphrase_file": {"type": "path", "no_log": False},
    "metrics_cert": {"type": "str"},
    "metrics_key": {"type": "str", "no_log": True},
    "metrics_ca_path": {"type": "path"},
    "metrics_ca_privatekey_path": {"type": "path", "no_log": False},
    "metrics_ca_privatekey_passphrase_file": {"type": "path", "no_log": False},
    "directories": {"type": "list", "elements": "path", "default": []},
    "probe": {"type": "bool", "default": True},
    "previous": {"type": "str"},
    "previous_lease": {"type": "dict"},
    "desired": {"type": "dict", "options": DESIRED_SPEC},
    "secrets": _SECRETS,
    "timeout": {"type": "float", "default": 0},
    "steady": {"type": "float", "default": 0},
    "reloaded": {"type": "bool", "default": False},
    "journal_lines": {"type": "int", "default": 20},
}
INFO_REQUIRED_TOGETHER: list[tuple[str, str]] = [
    ("metrics_cert", "metrics_key"),
    ("metrics_ca_path", "metrics_ca_privatekey_path"),
    ("next_cert", "next_key"),
    ("next_ca_path", "next_ca_privatekey_path"),
]

# --- scheduler_fileset

FILESET_SPEC: dict[str, dict[str, t.Any]] = {
    "state": {
        "type": "str",
        "choices": ["prepared", "staged", "live", "previous", "recalled", "absent"],
        "required": True,
    },
    "input": {"type": "dict"},
    "plan": {"type": "dict"},
    "gate": {"type": "dict"},
    "path": _FILESET_DIR,
    "unit": _UNIT,
    "files": _FILES,
    "binaries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "ours": {"type": "bool", "default": True},
        },
    },
    "directories": {"type": "list", "elements": "path", "default": []},
    "ownership": {"type": "bool", "default": False},
    "attempt": {"type": "str", "default": ""},
    "restart": {"type": "bool", "default": False},
    "lease": {"type": "dict", "options": _LEASE},
    "handover": _HANDOVER,
    "command": {"type": "list", "elements": "str", "default": []},
    "dry_run_flags": {"type": "dict", "default": {"secure-port": "@port@"}},
    "dry_run_texts": {"type": "dict", "default": {}},
    "secrets": _SECRETS,
    "user": {"type": "str", "default": "root"},
    "log_dir": {"type": "path"},
}
FILESET_REQUIRED_IF: list[tuple[str, str, list[str]]] = [
    ("state", "prepared", ["files"]),
    ("state", "staged", ["files"]),
]

# --- scheduler_credentials

CREDENTIALS_SPEC: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["staged", "shared", "client"], "default": "staged"},
    "input": {"type": "dict"},
    "plan": {"type": "dict", "required": True},
}
CREDENTIALS_REQUIRED_IF: list[tuple[str, str, list[str]]] = [
    ("state", "staged", ["input"]),
    ("state", "shared", ["input"]),
]

# --- scheduler_plan

PLAN_STEPS = [
    "instance",
    "variables",
    "host",
    "rotation",
    "rollout",
    "rollback",
    "gate",
    "outcome",
    "mark",
    "rotated",
    "verdict",
    "status",
    "removal",
    "monitoring",
]
PLAN_SPEC: dict[str, dict[str, t.Any]] = {
    "step": {"type": "str", "choices": PLAN_STEPS, "required": True},
    "prefix": {"type": "str", "default": "kube_scheduler_"},
    "tables": {"type": "dict"},
    "input": {"type": "dict"},
    "rotation": {
        "type": "str",
        "choices": [*ROTATION_KINDS, *ROTATION_STEPS, INSPECT, AWAIT_RELOAD],
    },
    "remaining": {"type": "str"},
    "inputs": {"type": "str"},
    "results": {"type": "str"},
    "plans": {"type": "str"},
    "before": {"type": "str"},
    "outcomes": {"type": "str"},
    "recalled": {"type": "str"},
    "rollout": {"type": "str"},
    "fileset": {"type": "str"},
    "gate": {"type": "str"},
    "position": {"type": "int"},
    "rolled_back": {"type": "bool", "default": False},
    "interrupted": {"type": "bool", "default": False},
    "strict": {"type": "bool", "default": True},
}
PLAN_REQUIRED_IF: list[tuple[str, str, list[str]]] = [
    ("step", "variables", ["tables"]),
    ("step", "host", ["tables", "input", "results"]),
    ("step", "rotation", ["input", "results", "plans"]),
    ("step", "rotated", ["input", "results", "remaining"]),
    ("step", "rollout", ["input", "results", "plans"]),
    ("step", "rollback", ["input", "results", "plans", "recalled", "before"]),
    ("step", "gate", ["input", "results", "plans", "outcomes", "rollout", "position"]),
    ("step", "outcome", ["input", "results", "plans", "rollout", "fileset"]),
    ("step", "verdict", ["input", "results", "plans", "rollout"]),
    ("step", "status", ["tables", "inputs", "results", "plans"]),
    ("step", "removal", ["input", "results"]),
    ("step", "monitoring", ["tables", "inputs"]),
]

# --- scheduler_drill

DRILL_SPEC: dict[str, dict[str, t.Any]] = {
    "step": {"type": "str", "choices": ["choose", "measure", "report"], "required": True},
    "kind": {"type": "str", "choices": ["stop", "kill", "freeze", "partition"]},
    "targets": {"type": "list", "elements": "str", "default": []},
    "undo_after": {"type": "int", "default": 0},
    "admin_kubeconfig": {"type": "path"},
    "versions": {"type": "dict"},
    "input": {"type": "dict"},
    "results": {"type": "str"},
    "choice": {"type": "dict"},
    "measured": {"type": "str"},
    "journals": {"type": "str"},
    "report_dir": {"type": "path"},
}
DRILL_REQUIRED_IF: list[tuple[str, str, list[str]]] = [
    ("step", "choose", ["kind", "versions", "input", "results", "report_dir"]),
    ("step", "measure", ["choice", "input", "admin_kubeconfig"]),
    ("step", "report", ["choice", "measured", "input", "results", "journals", "report_dir"]),
]

# --- scheduler_fault

FAULT_SPEC: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "input": {"type": "dict"},
    "choice": {"type": "dict"},
    "kind": {"type": "str", "choices": ["stop", "kill", "freeze", "partition"]},
    "unit": _UNIT,
    "apiserver": {"type": "str"},
    "undo_after": {"type": "int", "default": 60},
    "settle": {"type": "float", "default": 0},
    "journal_seconds": {"type": "int", "default": 0},
}
FAULT_REQUIRED_IF: list[tuple[str, str, list[str]]] = [
    ("state", "present", ["kind"]),
    ("kind", "partition", ["apiserver"]),
]

# --- The variables of the role's entry point monitoring

MONITORING_ALERTS_SPEC: dict[str, dict[str, t.Any]] = {
    # If leaderless, leaders or certificate is empty, the threshold is computed from the election
    # timings and from renew_before.
    "leaderless": {"type": "str", "default": ""},
    "leaders": {"type": "str", "default": ""},
    "down": {"type": "str", "default": "2m"},
    "transitions": {"type": "int", "default": 4},
    "certificate": {"type": "str", "default": ""},
    "pending": {"type": "str", "default": "5m"},
    "latency": {"type": "str", "default": "1s"},
    "versions": {"type": "str", "default": "1h"},
    "report": {"type": "str", "default": "26h"},
}
MONITORING_SPEC: dict[str, dict[str, t.Any]] = {
    "monitoring_dir": {"type": "str", "default": "/etc/prometheus/kube-scheduler"},
    "monitoring_group": {"type": "str", "default": "prometheus"},
    "monitoring_service": {"type": "str", "default": "prometheus"},
    "monitoring_server_name": {"type": "str", "default": ""},
    "monitoring_interval": {"type": "str", "default": "15s"},
    "monitoring_alerts": {
        "type": "dict",
        "options": MONITORING_ALERTS_SPEC,
        "apply_defaults": True,
    },
}

# --- scheduler_monitoring

MONITORING_FILES_SPEC: dict[str, dict[str, t.Any]] = {
    "plan": {"type": "dict"},
    "path": {"type": "path", "default": MONITORING_SPEC["monitoring_dir"]["default"]},
    "group": {"type": "str", "default": MONITORING_SPEC["monitoring_group"]["default"]},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
        },
    },
}

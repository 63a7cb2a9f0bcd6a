# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The options of scheduler_info, which the module and its action plugin both check."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.release import FILES_SPEC

OWNER_SPEC: dict[str, t.Any] = {
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "raw"},
}
WANTED_SPEC: dict[str, t.Any] = {
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
    "files": {**FILES_SPEC, "default": []},
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
ARGUMENTS: dict[str, t.Any] = {
    "unit": {"type": "str", "default": "kube-scheduler.service"},
    "release_path": {"type": "path", "default": "/var/lib/kube-ha/kube-scheduler"},
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
    "metrics_cert": {"type": "str"},
    "metrics_key": {"type": "str", "no_log": True},
    "metrics_ca_path": {"type": "path"},
    "metrics_ca_privatekey_path": {"type": "path", "no_log": False},
    "metrics_ca_privatekey_passphrase_file": {"type": "path", "no_log": False},
    "folders": {"type": "list", "elements": "path", "default": []},
    "probe": {"type": "bool", "default": True},
    "lease_before": {"type": "dict"},
    "wanted": {"type": "dict", "options": WANTED_SPEC},
    "timeout": {"type": "float", "default": 0},
    "steady": {"type": "float", "default": 0},
    "reloaded": {"type": "bool", "default": False},
    "journal_lines": {"type": "int", "default": 20},
}

"""Read defaults and data of the role as Ansible evaluates them, and the content of its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _seal

ROLE = Path(__file__).resolve().parents[2] / "roles/kube_scheduler"


def defaults(name: str = "kube-scheduler") -> dict[str, Any]:
    """Return the defaults of the role for an instance name.

    Defaults with other expressions stay unevaluated.
    """
    result: dict[str, Any] = yaml.safe_load(
        (ROLE / "defaults/main.yml").read_text().replace("{{ kube_scheduler_name }}", name)
    )
    return {**result, "kube_scheduler_name": name}


def role_vars() -> dict[str, Any]:
    """Return the variables of vars/main by name.

    The variables are tables, hardening, and data that an including task can override.
    """
    files = (ROLE / "vars/main").glob("*.yml")
    return {
        name: value for path in files for name, value in yaml.safe_load(path.read_text()).items()
    }


def answers(report: Path) -> dict[str, Any]:
    """Return the result of each member from the file of status_json.

    The value is None for a member without a result.
    """
    clusters = json.loads(report.read_text())["clusters"]
    return {
        name: member["answer"]
        for cluster in clusters
        for name, member in cluster["members"].items()
    }


# Results of the steps instance, variables and host of scheduler_plan, with the keys that modules
# use.
STEP_INSTANCE = {"unit": "x.service", "fileset_dir": "/var/lib/x", "kubeconfig": "/k"}
STEP_INPUT: dict[str, Any] = {
    **STEP_INSTANCE,
    "variables": {
        "user": "k8s",
        "secure_port": 10259,
        "bind_address": "127.0.0.1",
        "kubeconfig_path": "/etc/k",
        "cert_path": "/etc/c.pem",
        "cert_source": "/ca/c.pem",
        "key_source": "/ca/k.pem",
        "apiserver": "https://192.0.2.1:6443",
        "apiservers": [],
        "tls_server_name": "",
        "new_ca_cert": "",
        "new_ca_key": "",
        "ca_key_passphrase_file": "",
        "metrics_key": "/m-key.pem",
    },
    "directories": ["/etc"],
    "live_files": [{"name": "certificate", "path": "/etc/c.pem"}],
    "live_paths": ["/etc/c.pem"],
    "apiserver_cas_pem": "CA",
    "authorities_pem": "CAS",
    "new_ca_cert_pem": None,
    "metrics_cert_pem": None,
    "issues_metrics_client": False,
}
STEP_PLAN: dict[str, Any] = {
    "version": "1.37.2",
    "binary": {"path": "/opt/v"},
    "user": "k8s",
    "log_dir": "",
    "files": [{"name": "unit", "path": "/u"}],
    "command": ["/opt/s"],
    "dry_run": {"flags": {"secure-port": "@port@"}, "texts": {}},
    "lease": {"name": "l", "namespace": "n"},
    "desired": {"version": "1.37.2"},
    "secret": {"owner": "root", "group": "k8s", "mode": "0640"},
    "staged": {"certificate": "/s/c", "privatekey": "/s/k", "kubeconfig": "/s/kc"},
    "certificate": {
        "path": "/etc/c.pem",
        "privatekey_path": "/etc/k.pem",
        "ca_on": "controller",
        "ca_path": "/ca.pem",
        "ca_privatekey_path": "/ca-key.pem",
        "owner": "root",
        "group": "k8s",
        "mode": "0640",
    },
    "kubeconfig": {
        "path": "/etc/k",
        "clusters": [{"name": "c"}],
        "users": [{"name": "u", "client_certificate": "/etc/c.pem", "client_key": "/etc/k.pem"}],
        "owner": "root",
        "group": "k8s",
        "mode": "0640",
    },
}


def sealed_input(host: str = "m1", **changes: Any) -> dict[str, Any]:
    """Return the result of the step variables, as this run returns it for a host."""
    return _seal.seal({**STEP_INPUT, **changes}, host, _seal.VARIABLES)


def sealed_plan(host: str = "m1", **changes: Any) -> dict[str, Any]:
    """Return the result of the step host, as this run returns it for a host."""
    return _seal.seal({**STEP_PLAN, **changes}, host, _seal.PLAN)

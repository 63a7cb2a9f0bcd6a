"""Run real Ansible and the real role on simulated hosts.

The script tests/simulated/master replaces the Python of the hosts.
"""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import create_request

from tests.support.host import RESULT
from tests.support.pki import Ca, spare

ROOT = Path(__file__).resolve().parents[2]
PROCESS: dict[str, Any] = {
    **RESULT["process"],
    "kubeconfig": "/run/credentials/kube-scheduler.service/kubeconfig",
}
CERTIFICATE = {
    **RESULT["probes"]["served"],
    "serial_number": "1",
    "not_after": "2036-01-01T00:00:00Z",
    "days_left": 3000,
    "fingerprint_sha256": "00",
}


def lease(holder: str) -> dict[str, Any]:
    return {
        **RESULT["lease"],
        "holder": holder,
        "holder_identity": f"{holder}_12345678-1234-1234-1234-123456789abc",
        "acquire_time": "2026-01-01T00:00:00.000000Z",
        "renew_time": "2026-01-01T00:00:10.000000Z",
        "transitions": 1,
        "elapsed": 1.0,
        "age": 0.5,
    }


def gathered(name: str, leader: str, **changes: Any) -> dict[str, Any]:
    """Return the facts that scheduler_info gathers on a healthy host."""
    return {
        **copy.deepcopy(RESULT),
        "changed": False,
        "hostname": f"{name}.example",
        "time": 0.0,
        "process": PROCESS,
        "lease": lease(f"{leader}.example"),
        "certificates": [],
        "probes": None,
        "healthy": None,
        "not_checked": [],
        **changes,
    }


def compared(name: str, leader: str, **changes: Any) -> dict[str, Any]:
    """Return the health and drift of a healthy host."""
    probes = {**RESULT["probes"], "served": CERTIFICATE, "used": CERTIFICATE, "metrics_reader": 200}
    return gathered(name, leader, **{"probes": probes, "healthy": True, **changes})


CSR = create_request(spare("ECC")).decode()
"""Certificate request of a host, in PEM."""
NOTHING = {
    "installed": False,
    "prepared": False,
    "user_exists": False,
    "unit": {
        **RESULT["unit"],
        "load_state": "not-found",
        "active_state": "inactive",
        "sub_state": "dead",
        "enabled": "",
        "since": "",
        "active_seconds": 0.0,
        "fragment_path": "",
    },
    "process": {
        **PROCESS,
        "pid": 0,
        "version": "",
        "digest": "",
        "lock": "",
        "secure_port": 0,
        "timings": None,
        "kubeconfig": "",
    },
    "port": {"number": 10259, "addresses": [], "held_by": "", "ours": False},
    "lease": None,
}
"""The facts in which a host before its first run differs from a healthy host."""
BARE = [
    {"part": "packages", "reason": "the Python library yaml is missing"},
    {"part": "user", "reason": "the user k8s does not exist"},
    {"part": "binary", "reason": "/opt/k8s/bin/kube-scheduler-v1.37.2: is missing"},
    {
        "part": "certificate",
        "reason": "/etc/kubernetes/cert/kube-scheduler.pem: the certificate is missing",
    },
    {"part": "kubeconfig", "reason": "/etc/kubernetes/kube-scheduler.kubeconfig: is missing"},
    {"part": "unit", "reason": "/etc/systemd/system/kube-scheduler.service: is missing"},
]
"""Drift of a host before its first run."""


DRIFT = [{"part": "config", "reason": "/etc/kubernetes/kube-scheduler.yaml: content differs"}]
LIVE = re.compile(
    r"TASK \[.* : Promote the staged file set\] \*+\n((?:(?:changed|ok|fatal|skipping): \[\S+\].*\n)+)"
)


@dataclass
class Outcome:
    """Hold a run of a playbook against simulated hosts."""

    code: int
    output: str
    calls: dict[str, list[str]]  # modules that ran on each host, in order
    sent: list[
        dict[str, Any]
    ]  # the runs of all hosts in order of time: host, module, check mode, options
    counts: list[list[str]] = field(default_factory=list)  # host, `module` or `task`, name

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", self.output.replace("''", "'"))

    def tasks(self, host: str) -> list[str]:
        return [
            name
            for name_of_host, kind, name in self.counts
            if (name_of_host, kind) == (host, "task")
        ]

    def options(self, host: str, module: str) -> list[dict[str, Any]]:
        """Return the options of a module on a host, one entry per run."""
        names = ("gather", "drift") if module == "scheduler_info" else (module,)
        return [
            sent["options"]
            for sent in self.sent
            if sent["host"] == host and sent["module"] in names
        ]

    @property
    def rolled(self) -> list[str]:
        """Return the hosts whose staged file set was promoted, in order."""
        return [
            sent["host"]
            for sent in self.sent
            if sent["module"] == "scheduler_fileset" and sent["options"]["state"] == "live"
        ]


class Simulation:
    """Provide clusters of simulated hosts, each a group of the inventory.

    All clusters start healthy, and tests change the results.
    """

    def __init__(self, folder: Path, clusters: Mapping[str, list[str]] | None = None) -> None:
        self.folder, self.ca = folder, Ca(folder)
        self.clusters = dict(clusters or {"kube_masters": ["m1", "m2", "m3"]})
        self.answers: dict[str, dict[str, Any]] = {}
        self.variables: dict[str, Any] = {
            "ansible_connection": "simulated",
            "ansible_pipelining": True,
            "ansible_become": False,
            "kube_scheduler_version": "1.37.2",
            "kube_scheduler_apiserver": "https://192.0.2.1:6443",
            "kube_scheduler_ca_cert": str(self.ca.path),
            "kube_scheduler_ca_key": str(self.ca.key_path),
        }
        self.host_variables: dict[str, dict[str, Any]] = {}
        self.timeout = 600
        self.lost: dict[str, int] = {}  # number of module runs after which a host is unreachable
        self.cwd, self.collections = ROOT, ROOT / ".collections"
        self.inventory: Path | None = (
            None  # inventory that defines the hosts; the generated one then only has connections
        )
        for names in self.clusters.values():
            for name in names:
                self.answers[name] = {
                    "gather": gathered(name, names[0]),
                    "drift": compared(name, names[0]),
                    "x509_cert": [
                        {"changed": True, "csr": CSR, "reasons": ["new"]},
                        {"changed": True, "reasons": ["new"]},
                    ],
                    "scheduler_fileset": {
                        "changed": True,
                        "done": [],
                        "pending": ["unit"],
                        "dry_run": True,
                        "diff": [],
                    },
                }

    @property
    def everywhere(self) -> str:
        """Return the option that runs a playbook on all clusters.

        With colons as separator, Ansible would read c1 to c8 as an IPv6 address.
        """
        return f"--extra-vars=kube_scheduler_hosts={','.join(self.clusters)}"

    def change(self, name: str, question: str, **changes: Any) -> None:
        """Change the result of a host for `gather`, `drift` or a module."""
        self.answers[name][question] = {**copy.deepcopy(self.answers[name][question]), **changes}

    def empty(self, name: str, **changes: Any) -> None:
        """Remove all files from a host. After a promotion, the host is healthy."""
        leader = next(names[0] for names in self.clusters.values() if name in names)
        self.answers[name]["gather"] = gathered(
            name, leader, **{**NOTHING, "missing_libraries": ["yaml"], **changes}
        )
        problems = ["kube-scheduler.service is not installed"]
        before = compared(
            name,
            leader,
            **{**NOTHING, "drift": BARE, "healthy": False, "problems": problems, **changes},
        )
        self.answers[name]["drift"] = [before, compared(name, leader)]

    def lay_out(self) -> list[Path]:
        """Write the hosts and their inventory. Return the inventories for Ansible."""
        inventory: dict[str, Any] = {}
        number = 0
        (self.folder / "hosts").mkdir(exist_ok=True)
        (self.folder / "hosts/sent.jsonl").write_text("")
        (self.folder / "hosts/sent.jsonl").chmod(0o600)  # contains the options of modules
        script = (ROOT / "tests/simulated/master").read_text()
        for group, names in self.clusters.items():
            hosts = {}
            for name in names:
                number += 1
                home = self.folder / "hosts" / name
                home.mkdir(exist_ok=True)
                master = home / "python3"
                if not master.exists():
                    # Without site packages, Python starts ten times faster.
                    master.write_text(f"#!{sys.executable} -IS\n{script}")
                    master.chmod(0o755)
                (home / "answers.json").write_text(json.dumps(self.answers[name]))
                (home / "calls.txt").write_text("")
                (home / "put.txt").write_text("")
                (home / "lost").unlink(missing_ok=True)
                if name in self.lost:
                    (home / "lost").write_text(str(self.lost[name]))
                address = f"192.0.2.{number}" if number < 255 else f"2001:db8::{number:x}"
                hosts[name] = {
                    "ansible_python_interpreter": str(master),
                    "simulated_home": str(home),
                    **self.host_variables.get(name, {}),
                }
                if self.inventory:
                    # group_vars next to the inventory file outrank the variables of a group.
                    hosts[name] |= self.variables
                else:
                    hosts[name] = {"kube_scheduler_address": address, **hosts[name]}
            reported = (
                {}
                if self.inventory
                else {"vars": {**self.variables, "kube_scheduler_group": group}}
            )
            inventory[group] = {"hosts": hosts, **reported}
        path = self.folder / "inventory.yml"
        path.write_text(yaml.safe_dump({"all": {"children": inventory}}))
        return [self.inventory, path] if self.inventory else [path]

    def environment(self) -> dict[str, str]:
        known = {
            name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
        }
        return {
            **known,
            # this file does not exist, so that Ansible uses its defaults
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "tests/simulated/connection"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "count_modules",
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "COUNT_MODULES": str(self.folder / "counts"),
        }

    def run(
        self, playbook: str | Path = "playbooks/site.yml", *words: str, **environment: str
    ) -> Outcome:
        inventories = [f"--inventory={path}" for path in self.lay_out()]
        program = Path(sys.executable).parent / "ansible-playbook"
        return self.call([program, *inventories, playbook, *words], **environment)

    def call(self, command: Sequence[str | Path], **environment: str) -> Outcome:
        """Run a command on the simulated hosts."""
        sent, counts = self.folder / "hosts/sent.jsonl", self.folder / "counts"
        counts.unlink(missing_ok=True)
        done = subprocess.run(
            command,
            cwd=self.cwd,
            env={**self.environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=self.timeout,
        )
        calls = {
            name: (self.folder / "hosts" / name / "calls.txt").read_text().split()
            for name in self.answers
        }
        reported = [json.loads(line) for line in sent.read_text().splitlines()]
        lines = counts.read_text().splitlines() if counts.exists() else []
        return Outcome(
            done.returncode,
            done.stdout,
            calls,
            reported,
            [line.split(maxsplit=2) for line in lines],
        )


def drifted(cluster: Simulation, leaders: tuple[str, ...] = ("m1",), **changes: Any) -> None:
    """Let all hosts differ from their plan until they are rolled."""
    for leader, names in zip(leaders, cluster.clusters.values()):
        for name in names:
            before = compared(name, leader, drift=DRIFT, **changes)
            cluster.answers[name]["gather"] = gathered(name, leader)
            cluster.answers[name]["drift"] = [before, compared(name, leader)]


def together(output: str) -> list[list[str]]:
    """Return the rolled hosts, one list per run of the task."""
    result = [
        sorted(re.findall(r"(?:changed|fatal): \[(\w+)\]", block)) for block in LIVE.findall(output)
    ]
    return [hosts for hosts in result if hosts]

"""Access a lab from tests: hosts, the real kubectl, and playbooks as an operator runs them."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import testinfra
import yaml
from cryptography import x509

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))

import settings as lab_settings  # noqa: E402

RECAP = re.compile(
    r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE
)
UNIT = "kube-scheduler.service"
PROGRAM = os.environ.get("LAB_ANSIBLE_PLAYBOOK") or str(
    Path(sys.executable).parent / "ansible-playbook"
)
"""Path of ansible-playbook. CORE of `make molecule` selects another ansible-core."""
NOT_GIVEN_BACK = re.compile(r"Failed to release l(?:ock|ease)\b.*has been modified")
"""Log line of a scheduler whose lease was renewed during its release (kubernetes#131867)."""
MOMENT = 0.3
"""Seconds between the start of a task and the signal that kills the task."""


@dataclass
class Run:
    """Hold a run of a playbook."""

    code: int
    output: str
    # each entry: host, `module` or `task`, name
    counts: list[list[str]] = field(default_factory=list)

    @property
    def changed(self) -> dict[str, int]:
        return {
            host: int(changed)
            for host, _ok, changed, *_rest in RECAP.findall(self.output)
            if host != "localhost"
        }

    @property
    def text(self) -> str:
        """Return the output without line breaks and quotes.

        Tests can then search for sentences that the callback wraps.
        """
        return re.sub(r"\s+", " ", self.output.replace("''", "'"))

    @property
    def modules(self) -> list[str]:
        """Return the names of the module processes on all hosts."""
        return [name for _host, kind, name in self.counts if kind == "module"]

    def runs(self, host: str) -> list[str]:
        """Return the names of the module processes on a host."""
        return [
            name
            for name_of_host, kind, name in self.counts
            if (name_of_host, kind) == (host, "module")
        ]

    def tasks(self, host: str) -> list[str]:
        """Return the tasks of a host, including skipped tasks."""
        return [
            name
            for name_of_host, kind, name in self.counts
            if (name_of_host, kind) == (host, "task")
        ]


def operators(**settings: str) -> dict[str, str]:
    """Return the environment of an operator, without the variables that Molecule sets."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
    }
    return {**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **settings}


class Lab:
    """Access the hosts of a lab from this machine."""

    def __init__(self) -> None:
        self.settings = lab_settings.read(os.environ, ROOT)
        self.state = self.settings.state
        self.inventory = self.state / "inventory.yml"
        group = yaml.safe_load(self.inventory.read_text())["kube_masters"]
        self.addresses: dict[str, str] = {
            name: host["ansible_host"] for name, host in group["hosts"].items()
        }
        self.variables: dict[str, Any] = group["vars"]
        self.ca = (self.state / "ca.pem").read_text()
        self.apiserver = self.names[0]  # name of the host whose apiserver kubectl uses

    @property
    def names(self) -> list[str]:
        return list(self.addresses)

    def hostname(self, name: str) -> str:
        return self.settings.hostname(name)

    def host(self, name: str) -> Any:
        return testinfra.get_host(f"ansible://{name}", ansible_inventory=str(self.inventory))

    def write(self, name: str, path: str, content: bytes) -> None:
        """Write a file on a host.

        The directory must exist.
        """
        self.host(name).check_output(
            "echo %s | base64 -d > %s", base64.b64encode(content).decode(), path
        )

    def name_of(self, hostname: str) -> str:
        return next(name for name in self.names if self.hostname(name) == hostname)

    def binary(self, command: str) -> str:
        s = self.settings
        return str(s.served / f"v{s.version}/bin/linux/{s.arch}" / command)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [
                self.binary("kubectl"),
                f"--kubeconfig={self.state / 'admin.kubeconfig'}",
                f"--context={self.apiserver}",
                *words,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def lease(self) -> dict[str, Any]:
        spec: dict[str, Any] = json.loads(
            self.kubectl(
                "get", "lease", "kube-scheduler", "--namespace=kube-system", "--output=json"
            )
        )["spec"]
        return spec

    def leader(self) -> str:
        """Return the inventory name of the lease holder."""
        return self.name_of(self.lease()["holderIdentity"].rsplit("_", 1)[0])

    def podman(self, *words: str) -> str:
        environment = {**os.environ, "CONTAINERS_CONF": str(self.state / "containers.conf")}
        done = subprocess.run(
            ["podman", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def journal(self, name: str, *words: str) -> str:
        """Return the journal of a host's scheduler.

        By default, the function returns the last lines.
        """
        words = words or ("--lines=50",)
        return self.podman(
            "exec",
            self.settings.container(name),
            "journalctl",
            "--no-pager",
            f"--unit={UNIT}",
            *words,
        )

    def not_given_back(self, since: float) -> list[str]:
        """Return and print the log lines of schedulers that could not release the lease.

        `since` is in Unix seconds.
        """
        said = (self.journal(name, f"--since=@{since:.0f}") for name in self.names)
        lines = [
            line for journal in said for line in journal.splitlines() if NOT_GIVEN_BACK.search(line)
        ]
        for line in lines:
            warnings.warn(f"held to the bound of a crash: {line}", stacklevel=2)
        return lines

    def play(
        self,
        playbook: str,
        *words: str,
        inventory: Path | None = None,
        tmp: Path | None = None,
        steady: bool = False,
        **settings: str,
    ) -> Run:
        """Run a playbook.

        By default, the playbook does not wait 12 s until a rolled member runs steadily. Only the
        upgrade tests set `steady` and check that wait.
        """
        environment = operators(**settings)
        counts = tmp / "counts" if tmp else None
        if counts:
            environment |= {
                "COUNT_MODULES": str(counts),
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/callback"),
                "ANSIBLE_CALLBACKS_ENABLED": "count_modules",
            }
        done = subprocess.run(
            [
                PROGRAM,
                f"--inventory={inventory or self.inventory}",
                playbook,
                *words,
                *([] if steady else ["--extra-vars=__kube_scheduler_steady=0"]),
            ],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        reported = counts.read_text().splitlines() if counts and counts.exists() else []
        return Run(done.returncode, done.stdout, [line.split(maxsplit=2) for line in reported])

    def cut_off(self, playbook: str, line_starts: str, count: int, *words: str) -> bool:
        """Kill all processes of a playbook shortly after `count` matching lines.

        Return whether the playbook reached these lines.
        """
        with subprocess.Popen(
            [PROGRAM, f"--inventory={self.inventory}", playbook, *words],
            cwd=ROOT,
            env=operators(PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout
            observed = 0
            for line in process.stdout:
                observed += line.startswith(line_starts)
                if observed == count:
                    time.sleep(MOMENT)
                    os.killpg(process.pid, signal.SIGKILL)
                    return True
        return False

    def inventory_with(
        self,
        directory: Path,
        group: str = "kube_masters",
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> Path:
        """Write another inventory of the same hosts.

        `hosts` contains the variables of single hosts.
        """
        content = yaml.safe_load(self.inventory.read_text())["kube_masters"]
        content["vars"] |= variables
        for name, own in (hosts or {}).items():
            content["hosts"][name] |= own
        path = directory / "hosts.yml"
        path.write_text(yaml.safe_dump({group: content}))
        return path

    def site(self, *words: str, **options: Any) -> Run:
        return self.play("playbooks/site.yml", *words, **options)

    def start_anew(self, *words: str) -> Run:
        """Stop all schedulers, then deploy.

        All members start at the same time, which takes half the time of a rollout.
        """
        for name in self.names:
            self.host(name).check_output("systemctl stop %s", UNIT)
        run = self.site(*words)
        assert run.code == 0, run.output
        return run

    def main_pids(self) -> dict[str, str]:
        return {
            name: self.host(name).check_output("systemctl show --property=MainPID --value %s", UNIT)
            for name in self.names
        }


def wait_for_age(certificate: x509.Certificate, seconds: float, backdate: float = 300) -> None:
    """Wait until a certificate has a given age in seconds.

    `backdate` is the time between the start of its validity and its issue.
    """
    issued = certificate.not_valid_before_utc.timestamp() + backdate
    time.sleep(max(0.0, issued + seconds - time.time()))


def wait_for(ask: Callable[[], Any], seconds: float) -> Any:
    """Call a function until its result is true, and return the result."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer or time.monotonic() > deadline:
            assert answer, f"no answer within {seconds} s"
            return answer
        time.sleep(0.2)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Converge the lab's containers and network from any state."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings import MIRROR_PORT, Settings, address, choose_subnet
from shell import LabError, last_line, output, say, write_if_changed

# crun does not support hybrid cgroups. systemd as cgroup manager needs a session bus. The default
# ulimits need CAP_SYS_RESOURCE.
CONTAINERS_CONF = """[containers]
default_ulimits = []

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"

[network]
network_backend = "netavark"
"""

LABEL = "kube-ha-lab"  # the value is the name of the lab
LABEL_STATE = "kube-ha-lab.state"  # the value is the state directory of the lab
LABEL_SPEC = "kube-ha-lab.spec"  # the value is the digest of the container's specification
SYSTEMD_TIMEOUT_S = 60.0
ORPHAN_TIMEOUT_S = 15.0
EXITS = Path("/run/libpod/exits")
RUNC_STATE = Path("/run/runc")


@dataclass(frozen=True)
class Spec:
    """Hold the desired state of a container."""

    name: str
    arguments: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class Podman:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.conf = settings.state / "containers.conf"

    def configure(self) -> None:
        write_if_changed(self.conf, CONTAINERS_CONF)

    @property
    def environment(self) -> dict[str, str]:
        return {"CONTAINERS_CONF": str(self.conf)}

    def call(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            ["podman", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.environment},
            check=False,
        )
        if check and result.returncode:
            raise LabError(f"podman {' '.join(arguments[:2])} failed: {last_line(result.stderr)}")
        return result

    # -- network
    # --------------------------------------------------------------------------------------

    def subnet(self) -> ipaddress.IPv4Network | None:
        result = self.call("network", "inspect", self.settings.name, check=False)
        if result.returncode:
            return None
        return subnets(json.loads(result.stdout)[:1])[0]

    def ensure_network(self) -> ipaddress.IPv4Network:
        existing = self.subnet()
        if existing is not None:
            return existing
        names = self.call("network", "ls", "--quiet").stdout.split()
        taken = subnets(json.loads(self.call("network", "inspect", *names).stdout)) if names else []
        routes = json.loads(
            output(["ip", "-json", "-4", "route", "show", "table", "all"], check=False) or "[]"
        )
        taken += [network for route in routes if (network := as_network(route.get("dst", "")))]
        for _try in range(5):
            subnet = choose_subnet(self.settings.name, taken)
            arguments = (
                "--disable-dns",
                "--label",
                f"{LABEL}={self.settings.name}",
                "--subnet",
                str(subnet),
            )
            result = self.call("network", "create", *arguments, self.settings.name, check=False)
            if result.returncode == 0:
                return subnet
            taken.append(subnet)  # another lab created this network first
        raise LabError(
            f"podman network create {self.settings.name} failed: {last_line(result.stderr)}"
        )

    # -- containers
    # -----------------------------------------------------------------------------------

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return the containers of the lab by name, with the fields of `podman inspect`."""
        result = self.call(
            "ps", "--all", "--format", '{{.Names}}\t{{index .Labels "' + LABEL + '"}}'
        )
        pattern = re.compile(re.escape(self.settings.name) + r"-(m\d+|mirror)")
        names = [
            name
            for name, _tab, label in (line.partition("\t") for line in result.stdout.splitlines())
            if label == self.settings.name or pattern.fullmatch(name)
        ]
        if not names:
            return {}
        details = self.call("inspect", "--type", "container", *names, check=False).stdout
        return {entry["Name"]: entry for entry in json.loads(details or "[]")}

    def wait_for_orphans(self) -> None:
        """Wait for podman processes of a killed lab that still create a container."""
        deadline = time.monotonic() + ORPHAN_TIMEOUT_S
        label = f"{LABEL}={self.settings.name}".encode()
        while time.monotonic() < deadline:
            words = [command.split(b"\0") for command in map(command_line, os.listdir("/proc"))]
            if not any(word[0].endswith(b"podman") and label in word for word in words):
                return
            time.sleep(0.1)

    def check_owner(self) -> None:
        for name, entry in self.containers().items():
            state = (entry["Config"].get("Labels") or {}).get(LABEL_STATE, "")
            if state != str(self.settings.state) and os.path.isdir(state):
                raise LabError(
                    f"container {name} belongs to the lab in {state}; "
                    "remove it there, or set LAB_NAME"
                )

    def converge(self, specs: Sequence[Spec]) -> list[str]:
        """Create, replace, start or remove containers until they match their specifications.

        Return the names of the new and started containers.
        """
        desired = {spec.name: spec for spec in specs}
        existing = self.containers()
        stale = [
            name
            for name, entry in existing.items()
            if name not in desired
            or (entry["Config"].get("Labels") or {}).get(LABEL_SPEC) != desired[name].digest
        ]
        if stale:
            say(
                f"Removing {' '.join(sorted(stale))}: "
                "no longer part of the lab, or the specification changed"
            )
            self.remove(stale)
        start = [name for name, entry in existing.items() if name not in stale and not alive(entry)]
        create = [name for name in desired if name not in existing or name in stale]
        if start:
            say(f"Starting {' '.join(sorted(start))}")
        with ThreadPoolExecutor(len(desired)) as pool:
            started = zip(start, pool.map(lambda name: self.start(name, existing[name]), start))
            lost = [name for name, well in started if not well]
            if lost:
                say(f"Replacing {' '.join(lost)}: podman cannot start it")
                self.remove(lost)
            create += lost
            if create:
                say(f"Creating {' '.join(create)}")
            list(pool.map(lambda name: self.create(desired[name]), create))
        return create + start

    def start(self, name: str, entry: dict[str, Any]) -> bool:
        """Start a container. Return whether it runs."""
        if entry["State"].get("Running"):
            self.record_exit(name, entry)
        elif entry["State"].get("Status") == "paused":
            self.call("unpause", name, check=False)
        self.call("start", name, check=False)
        return alive(self.containers().get(name, {}))

    def record_exit(self, name: str, entry: dict[str, Any]) -> None:
        """Write the exit code of a container whose monitor was killed.

        Otherwise podman waits for the exit code without end.
        """
        self.call("kill", name, check=False)  # the container can still run without its monitor
        with contextlib.suppress(OSError):
            (EXITS / entry["Id"]).write_text("137")
        self.call("kill", name, check=False)
        self.call("container", "cleanup", name, check=False)

    def create(self, spec: Spec) -> None:
        labels = {
            LABEL: self.settings.name,
            LABEL_STATE: str(self.settings.state),
            LABEL_SPEC: spec.digest,
        }
        flags = [part for key, value in labels.items() for part in ("--label", f"{key}={value}")]
        self.call("run", "--detach", "--name", spec.name, *flags, *spec.arguments)

    def remove(self, names: Collection[str]) -> None:
        existing = {name: entry for name, entry in self.containers().items() if name in names}
        # If a signal killed all processes of a container, the first attempt only updates podman's
        # state.
        for _try in range(4):
            if not existing:
                return
            # The timeout is 0, because the apiserver hangs for minutes if etcd stops first.
            result = self.call("rm", "--force", "--time", "0", "--volumes", *existing, check=False)
            for name in [
                name
                for name in existing
                if self.call("container", "exists", name, check=False).returncode
            ]:
                leftover = RUNC_STATE / existing.pop(name)["Id"]
                if leftover.exists():
                    output(["runc", "delete", "--force", leftover.name], check=False)
        raise LabError(f"podman cannot remove {' '.join(existing)}: {last_line(result.stderr)}")

    def remove_all(self) -> None:
        existing = self.containers()
        self.remove(existing)
        if self.call("network", "exists", self.settings.name, check=False).returncode == 0:
            self.call("network", "rm", "--force", self.settings.name)
        for image in {
            entry["Image"] for entry in existing.values()
        }:  # an image of an earlier recipe has no name
            if (
                self.call(
                    "image", "inspect", "--format", "{{.RepoTags}}", image, check=False
                ).stdout.strip()
                == "[]"
            ):
                self.call("image", "rm", image, check=False)


def master_spec(
    settings: Settings, image: str, subnet: ipaddress.IPv4Network, host: str, identity: str
) -> Spec:
    directory = settings.state / "masters" / host
    return Spec(
        settings.container(host),
        (
            "--systemd=always",
            "--privileged",  # without this flag, systemd skips unit hardening and prints no message
            f"--hostname={settings.hostname(host)}",
            f"--network={settings.name}",
            f"--ip={address(subnet, host)}",
            f"--env=LAB_IDENTITY={identity}",
            f"--volume={directory / 'etc'}:/etc/lab:ro",
            f"--volume={settings.state / 'pki'}:/etc/lab/pki:ro",
            f"--volume={directory / 'etcd'}:/var/lib/lab-etcd",
            f"--volume={settings.served}:/usr/share/lab-binaries:ro",
            image,
        ),
    )


def mirror_spec(settings: Settings, image: str, subnet: ipaddress.IPv4Network) -> Spec:
    return Spec(
        settings.mirror,
        (
            "--stop-signal=SIGKILL",
            f"--network={settings.name}",
            f"--ip={address(subnet, 'mirror')}",
            f"--volume={settings.served}:/srv/release:ro",
            image,
            *("python3", "-u", "-m", "http.server", "--directory", "/srv", str(MIRROR_PORT)),
        ),
    )


def alive(entry: dict[str, Any]) -> bool:
    """Return whether the container's first process and its monitor run.

    After a SIGKILL of both, podman still reports a running container.
    """
    state = entry.get("State", {})
    if not state.get("Running"):
        return False
    return process_is(state.get("ConmonPid", 0), "conmon") and process_is(
        state.get("Pid", 0), "systemd", "python"
    )


def command_line(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""


def process_is(pid: int, *names: str) -> bool:
    try:
        name, _bracket, rest = (
            Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
        )
    except OSError:
        return False
    return name.startswith((*names, "lab-init", "sh", "mount")) and rest.split()[0] not in "ZX"


def subnets(networks: Iterable[dict[str, Any]]) -> list[ipaddress.IPv4Network]:
    entries = [entry["subnet"] for network in networks for entry in network.get("subnets") or []]
    return [network for entry in entries if (network := as_network(entry))]


def as_network(text: str) -> ipaddress.IPv4Network | None:
    if text == "default":
        return None
    with contextlib.suppress(ValueError):
        return ipaddress.IPv4Network(text)
    return None


def wait_for_ssh(addresses: Iterable[str]) -> None:
    deadline = time.monotonic() + SYSTEMD_TIMEOUT_S
    for target in addresses:
        while not has_ssh(target):
            if time.monotonic() > deadline:
                raise LabError(
                    f"no SSH server responds on {target} after {SYSTEMD_TIMEOUT_S:.0f} s; "
                    "see `podman logs`"
                )
            time.sleep(0.1)


def has_ssh(target: str) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection((target, 22), timeout=2) as connection,
    ):
        return connection.recv(4) == b"SSH-"
    return False


def end_ssh_clients(subnet: ipaddress.IPv4Network) -> None:
    """End the SSH connections that Ansible keeps open for a minute.

    After a new host gets the same address, these connections do not work.
    """
    if not shutil.which("ss"):
        return
    for line in output(["ss", "-Htnp", "dst", str(subnet)], check=False).splitlines():
        for pid in re.findall(r'\("ssh",pid=(\d+),', line):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)

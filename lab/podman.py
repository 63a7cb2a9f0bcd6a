# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's containers and network, converged from whatever state they are in."""

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

# crun refuses hybrid cgroups and the systemd manager needs a session bus; the default ulimits need CAP_SYS_RESOURCE.
CONTAINERS_CONF = """[containers]
default_ulimits = []

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"

[network]
network_backend = "netavark"
"""

LABEL = "kube-ha-lab"  # the lab's name
LABEL_STATE = "kube-ha-lab.state"  # the state folder that the lab belongs to
LABEL_SPEC = "kube-ha-lab.spec"  # a digest of all that the container was created from
SYSTEMD_PATIENCE = 60.0
ORPHAN_PATIENCE = 15.0
EXITS = Path("/run/libpod/exits")
RUNC_STATE = Path("/run/runc")


@dataclass(frozen=True)
class Spec:
    """A container as it should be."""

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

    # -- network ---------------------------------------------------------------------------------------------------

    def subnet(self) -> ipaddress.IPv4Network | None:
        result = self.call("network", "inspect", self.settings.name, check=False)
        if result.returncode:
            return None
        return subnets(json.loads(result.stdout)[:1])[0]

    def ensure_network(self) -> ipaddress.IPv4Network:
        found = self.subnet()
        if found is not None:
            return found
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
            taken.append(subnet)  # another lab was quicker
        raise LabError(
            f"podman network create {self.settings.name} failed: {last_line(result.stderr)}"
        )

    # -- containers ------------------------------------------------------------------------------------------------

    def containers(self) -> dict[str, dict[str, Any]]:
        """Ours, by name, as `podman inspect` shows them."""
        result = self.call(
            "ps", "--all", "--format", '{{.Names}}\t{{index .Labels "' + LABEL + '"}}'
        )
        own = re.compile(re.escape(self.settings.name) + r"-(m\d+|mirror)")
        names = [
            name
            for name, _tab, label in (line.partition("\t") for line in result.stdout.splitlines())
            if label == self.settings.name or own.fullmatch(name)
        ]
        if not names:
            return {}
        shown = self.call("inspect", "--type", "container", *names, check=False).stdout
        return {entry["Name"]: entry for entry in json.loads(shown or "[]")}

    def wait_for_orphans(self) -> None:
        """A lab that was killed with SIGKILL may have left a podman that still makes a container."""
        deadline = time.monotonic() + ORPHAN_PATIENCE
        label = f"{LABEL}={self.settings.name}".encode()
        while time.monotonic() < deadline:
            words = [command.split(b"\0") for command in map(command_line, os.listdir("/proc"))]
            if not any(word[0].endswith(b"podman") and label in word for word in words):
                return
            time.sleep(0.1)

    def refuse_another_clone(self) -> None:
        for name, entry in self.containers().items():
            state = (entry["Config"].get("Labels") or {}).get(LABEL_STATE, "")
            if state != str(self.settings.state) and os.path.isdir(state):
                raise LabError(
                    f"container {name} belongs to the lab in {state}; take it down there, or set LAB_NAME"
                )

    def converge(self, specs: Sequence[Spec]) -> list[str]:
        """Remove what is not wanted or differs, create what is missing, start what is stopped. Returns those it touched."""
        wanted = {spec.name: spec for spec in specs}
        found = self.containers()
        stale = [
            name
            for name, entry in found.items()
            if name not in wanted
            or (entry["Config"].get("Labels") or {}).get(LABEL_SPEC) != wanted[name].digest
        ]
        if stale:
            say(f"Removing {' '.join(sorted(stale))}: not wanted, or made from another recipe")
            self.remove(stale)
        start = [name for name, entry in found.items() if name not in stale and not alive(entry)]
        create = [name for name in wanted if name not in found or name in stale]
        if start:
            say(f"Starting {' '.join(sorted(start))}")
        with ThreadPoolExecutor(len(wanted)) as pool:
            started = zip(start, pool.map(lambda name: self.start(name, found[name]), start))
            lost = [name for name, well in started if not well]
            if lost:
                say(f"Replacing {' '.join(lost)}: podman cannot start it any more")
                self.remove(lost)
            create += lost
            if create:
                say(f"Creating {' '.join(create)}")
            list(pool.map(lambda name: self.create(wanted[name]), create))
        return create + start

    def start(self, name: str, entry: dict[str, Any]) -> bool:
        """Whether it runs now."""
        if entry["State"].get("Running"):
            self.admit_death(name, entry)
        elif entry["State"].get("Status") == "paused":
            self.call("unpause", name, check=False)
        self.call("start", name, check=False)
        return alive(self.containers().get(name, {}))

    def admit_death(self, name: str, entry: dict[str, Any]) -> None:
        """After SIGKILL of a container and its monitor podman waits for the exit code that the monitor did not leave."""
        self.call("kill", name, check=False)  # the container may have outlived its monitor
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
        found = {name: entry for name, entry in self.containers().items() if name in names}
        # More than once: after SIGKILL of everything the first attempt only brings podman's state up to date.
        for _try in range(4):
            if not found:
                return
            # Time 0: stopped in the order etcd, apiserver, the apiserver hangs for minutes.
            result = self.call("rm", "--force", "--time", "0", "--volumes", *found, check=False)
            for name in [
                name
                for name in found
                if self.call("container", "exists", name, check=False).returncode
            ]:
                leftover = RUNC_STATE / found.pop(name)["Id"]
                if leftover.exists():
                    output(["runc", "delete", "--force", leftover.name], check=False)
        raise LabError(f"podman cannot remove {' '.join(found)}: {last_line(result.stderr)}")

    def remove_all(self) -> None:
        found = self.containers()
        self.remove(found)
        if self.call("network", "exists", self.settings.name, check=False).returncode == 0:
            self.call("network", "rm", "--force", self.settings.name)
        for image in {
            entry["Image"] for entry in found.values()
        }:  # of a former recipe: it has lost its name
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
    folder = settings.state / "masters" / host
    return Spec(
        settings.container(host),
        (
            "--systemd=always",
            "--privileged",  # otherwise unit hardening is silently skipped
            f"--hostname={settings.hostname(host)}",
            f"--network={settings.name}",
            f"--ip={address(subnet, host)}",
            f"--env=LAB_IDENTITY={identity}",
            f"--volume={folder / 'etc'}:/etc/lab:ro",
            f"--volume={settings.state / 'pki'}:/etc/lab/pki:ro",
            f"--volume={folder / 'etcd'}:/var/lib/lab-etcd",
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
    """Whether its first process and its monitor truly run: podman's word alone is wrong after a SIGKILL of both."""
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
    deadline = time.monotonic() + SYSTEMD_PATIENCE
    for target in addresses:
        while not answers_ssh(target):
            if time.monotonic() > deadline:
                raise LabError(
                    f"no SSH server answers on {target} after {SYSTEMD_PATIENCE:.0f} s; see `podman logs`"
                )
            time.sleep(0.1)


def answers_ssh(target: str) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection((target, 22), timeout=2) as connection,
    ):
        return connection.recv(4) == b"SSH-"
    return False


def end_ssh_clients(subnet: ipaddress.IPv4Network) -> None:
    """Ansible leaves a connection to each master open for a minute; to a new master at that address it is dead."""
    if not shutil.which("ss"):
        return
    for line in output(["ss", "-Htnp", "dst", str(subnet)], check=False).splitlines():
        for pid in re.findall(r'\("ssh",pid=(\d+),', line):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)

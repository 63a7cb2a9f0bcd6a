# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the settings of the lab from the environment and derive all other values."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import platform
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from shell import LabError

NEWEST = "1.37.2"
MAX_MASTERS = 12
CONTROL_PLANE = 3  # maximum number of hosts with etcd and kube-apiserver
MIRROR_PORT = 80
SUITES = ("bookworm", "bullseye", "trixie")
"""Debian releases that a host can have.

The first release is the default and runs the control plane.
"""
# RFC 2544 reserves this range for benchmarks, and no router forwards it
BENCHMARK_RANGE = ipaddress.IPv4Network("198.18.0.0/15")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Settings:
    name: str
    masters: int
    version: str
    schedulers: tuple[str, ...]
    binaries: Path | None
    binary_url: str
    arch: str
    suites: tuple[str, ...]
    root: Path
    cache: Path

    @property
    def state(self) -> Path:
        return self.root / (".lab" if self.name == "kube-ha" else f".lab-{self.name}")

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def mirror(self) -> str:
        return f"{self.name}-mirror"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the inventory names of all hosts."""
        return tuple(f"m{number}" for number in range(1, self.masters + 1))

    @property
    def control_plane(self) -> tuple[str, ...]:
        return self.hosts[:CONTROL_PLANE]

    def suite(self, host: str) -> str:
        """Return the Debian release of a host, such as "bookworm"."""
        return dict(zip(self.hosts, self.suites)).get(host, SUITES[0])

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def hostname(self, host: str) -> str:
        return f"{host}.{self.name}.example"

    @property
    def served(self) -> Path:
        """Return the directory that the mirror serves.

        Local binaries and released binaries have separate directories.
        """
        if self.binaries is None:
            return self.cache / "release"
        return self.cache / "folders" / hashlib.sha256(str(self.binaries).encode()).hexdigest()[:12]

    @property
    def required(self) -> tuple[tuple[str, str], ...]:
        """Return (version, command) of each binary of the lab, the apiserver first."""
        main = [
            (self.version, command) for command in ("kube-apiserver", "kubectl", "kube-scheduler")
        ]
        further = [(version, "kube-scheduler") for version in self.schedulers]
        return tuple(dict.fromkeys(main + further))


def read(environment: Mapping[str, str], root: Path) -> Settings:
    def text(variable: str, default: str) -> str:
        return environment.get(variable, "").strip() or default

    name = text("LAB_NAME", "kube-ha")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
        raise LabError(
            f"LAB_NAME={name}: not a valid name; "
            "use at most 32 lowercase letters, digits and hyphens"
        )
    masters = text("LAB_MASTERS", "3")
    if not masters.isdecimal() or not 1 <= int(masters) <= MAX_MASTERS:
        raise LabError(
            f"LAB_MASTERS={masters}: not a valid number; set a number from 1 to {MAX_MASTERS}"
        )
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise LabError(
            f"the architecture {machine} is not supported; use {' or '.join(ARCHITECTURES)}"
        )
    suites = tuple(text("LAB_SUITES", "").split())
    if not set(suites) <= {*SUITES} or set(suites[:CONTROL_PLANE]) - {SUITES[0]}:
        raise LabError(
            f"LAB_SUITES={' '.join(suites)}: not valid; set one of {', '.join(SUITES)} for each "
            f"host, and {SUITES[0]} for the hosts of the control plane"
        )
    directory = text("LAB_BINARIES", "")
    if directory and not Path(directory).expanduser().is_dir():
        raise LabError(f"LAB_BINARIES={directory}: no such directory")
    return Settings(
        name=name,
        masters=int(masters),
        version=as_version("LAB_KUBE_VERSION", text("LAB_KUBE_VERSION", NEWEST)),
        schedulers=tuple(
            as_version("LAB_SCHEDULERS", word) for word in text("LAB_SCHEDULERS", "").split()
        ),
        binaries=Path(directory).expanduser().resolve() if directory else None,
        binary_url=text("LAB_BINARY_URL", "https://dl.k8s.io").rstrip("/"),
        arch=ARCHITECTURES[machine],
        suites=suites,
        root=root,
        cache=Path(text("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))) / "kube_ha_scheduler",
    )


def as_version(variable: str, text: str) -> str:
    match = re.fullmatch(r"v?(\d+\.\d+\.\d+)", text)
    if not match:
        raise LabError(f"{variable}: {text} is not a version; set a version such as {NEWEST}")
    return match[1]


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def choose_subnet(name: str, taken: Collection[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """Return a /24 network that depends on the name, or the next network that is free."""
    subnets = list(BENCHMARK_RANGE.subnets(new_prefix=24))
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(subnets)
    for subnet in subnets[first:] + subnets[:first]:
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise LabError(
        f"no free network of 256 addresses in {BENCHMARK_RANGE}; "
        "remove an unused network (podman network ls, ip route)"
    )


def address(subnet: ipaddress.IPv4Network, host: str) -> str:
    """Return the address of a host.

    The mirror has .2, and m1 has .11.
    """
    return str(subnet[2 if host == "mirror" else 10 + int(host[1:])])

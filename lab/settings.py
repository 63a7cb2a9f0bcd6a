# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person may choose, read from the environment, and all that follows from it."""

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
MOST_MASTERS = 12
CONTROL_PLANE = 3  # etcd and kube-apiserver run on this many masters at most
MIRROR_PORT = 80
SUITES = ("bookworm", "bullseye", "trixie")
"""Debian's releases that a master may run; the first is the default, and the one that carries the control plane."""
BENCHMARK_RANGE = ipaddress.IPv4Network("198.18.0.0/15")  # RFC 2544: never routed
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
        """Inventory names."""
        return tuple(f"m{number}" for number in range(1, self.masters + 1))

    @property
    def control_plane(self) -> tuple[str, ...]:
        return self.hosts[:CONTROL_PLANE]

    def suite(self, host: str) -> str:
        """The release of Debian that a master runs."""
        return dict(zip(self.hosts, self.suites)).get(host, SUITES[0])

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def hostname(self, host: str) -> str:
        return f"{host}.{self.name}.example"

    @property
    def served(self) -> Path:
        """The folder that the mirror serves. A person's own binaries never mix with the released ones."""
        if self.binaries is None:
            return self.cache / "release"
        return self.cache / "folders" / hashlib.sha256(str(self.binaries).encode()).hexdigest()[:12]

    @property
    def wanted(self) -> tuple[tuple[str, str], ...]:
        """(version, command) of every binary that the lab needs, the apiserver's first."""
        own = [
            (self.version, command) for command in ("kube-apiserver", "kubectl", "kube-scheduler")
        ]
        further = [(version, "kube-scheduler") for version in self.schedulers]
        return tuple(dict.fromkeys(own + further))


def read(environment: Mapping[str, str], root: Path) -> Settings:
    def text(variable: str, default: str) -> str:
        return environment.get(variable, "").strip() or default

    name = text("LAB_NAME", "kube-ha")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
        raise LabError(f"LAB_NAME={name}: give at most 32 small letters, digits and hyphens")
    masters = text("LAB_MASTERS", "3")
    if not masters.isdecimal() or not 1 <= int(masters) <= MOST_MASTERS:
        raise LabError(f"LAB_MASTERS={masters}: give a number from 1 to {MOST_MASTERS}")
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise LabError(
            f"this machine's architecture is {machine}; the lab runs on {' and '.join(ARCHITECTURES)}"
        )
    suites = tuple(text("LAB_SUITES", "").split())
    if not set(suites) <= {*SUITES} or set(suites[:CONTROL_PLANE]) - {SUITES[0]}:
        raise LabError(
            f"LAB_SUITES={' '.join(suites)}: give each master, in order, one of {', '.join(SUITES)}, and {SUITES[0]} to those that carry the control plane"
        )
    folder = text("LAB_BINARIES", "")
    if folder and not Path(folder).expanduser().is_dir():
        raise LabError(f"LAB_BINARIES={folder}: no such folder")
    return Settings(
        name=name,
        masters=int(masters),
        version=as_version("LAB_KUBE_VERSION", text("LAB_KUBE_VERSION", NEWEST)),
        schedulers=tuple(
            as_version("LAB_SCHEDULERS", word) for word in text("LAB_SCHEDULERS", "").split()
        ),
        binaries=Path(folder).expanduser().resolve() if folder else None,
        binary_url=text("LAB_BINARY_URL", "https://dl.k8s.io").rstrip("/"),
        arch=ARCHITECTURES[machine],
        suites=suites,
        root=root,
        cache=Path(text("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))) / "kube_ha_scheduler",
    )


def as_version(variable: str, text: str) -> str:
    match = re.fullmatch(r"v?(\d+\.\d+\.\d+)", text)
    if not match:
        raise LabError(f"{variable}: {text} is not a version; give it as {NEWEST}")
    return match[1]


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def choose_subnet(name: str, taken: Collection[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """The same /24 for the same name, unless something else uses it."""
    subnets = list(BENCHMARK_RANGE.subnets(new_prefix=24))
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % len(subnets)
    for subnet in subnets[first:] + subnets[:first]:
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise LabError(
        f"no free network of 256 addresses in {BENCHMARK_RANGE}; remove one (podman network ls, ip route)"
    )


def address(subnet: ipaddress.IPv4Network, host: str) -> str:
    """The mirror's is .2, m1's .11."""
    return str(subnet[2 if host == "mirror" else 10 + int(host[1:])])

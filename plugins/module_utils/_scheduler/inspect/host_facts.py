# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Gather the facts of a host, and describe its unit and its directories."""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import platform
import pwd
import socket
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import ownership, paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._libraries import this_interpreter
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.systemd import (
    active_seconds,
    drop_ins,
    int_property,
    is_set_aside,
    list_drop_in_settings,
    parse_show,
)

KUBERNETES_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# Libraries outside the standard library that the modules import on a host.
REQUIRED_LIBRARIES = ("cryptography", "yaml")
OS_RELEASE = "/etc/os-release"


class HostFacts(t.TypedDict):
    """The fields of the result that do not depend on a scheduler."""

    hostname: str
    architecture: str
    os_families: list[str]
    systemd_version: int
    python_version: str
    python_path: str
    python_packaged: bool
    missing_libraries: list[str]
    time: float
    user_exists: bool


def parse_os_release(text: str) -> list[str]:
    """Return ID and ID_LIKE of /etc/os-release, the most specific name first."""
    fields = parse_show(text)
    return [word for key in ("ID", "ID_LIKE") for word in fields.get(key, "").strip("\"'").split()]


def gather_host_facts(user: str | None, systemd_version: int) -> HostFacts:
    """Gather the facts that do not depend on a scheduler."""
    text = b""
    with contextlib.suppress(OSError), open(OS_RELEASE, "rb") as stream:
        text = stream.read(paths.MAX_FILE_BYTES)
    machine = platform.machine()
    python = this_interpreter()
    return HostFacts(
        hostname=socket.gethostname(),
        architecture=KUBERNETES_ARCHITECTURES.get(machine, machine),
        os_families=parse_os_release(text.decode("utf-8", "replace")),
        systemd_version=systemd_version,
        python_version=platform.python_version(),
        python_path=python.path,
        python_packaged=python.packaged,
        missing_libraries=[name for name in REQUIRED_LIBRARIES if not is_installed(name)],
        time=time.time(),
        user_exists=bool(user) and _user_exists(str(user)),
    )


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return False
    return True


def is_installed(library: str) -> bool:
    """Check that a Python library is in one of the module paths.

    Import hooks are not used, because the hook of Mitogen reports every library as installed.
    """
    return importlib.machinery.PathFinder.find_spec(library) is not None


def find_unsafe_paths(directories: t.Sequence[str]) -> list[facts.UnsafePath]:
    """Return the directories and links with which another user can redirect what root writes.

    Each directory of the paths is checked, up to the first that is missing.
    """
    found: dict[str, facts.UnsafePath] = {}
    for directory in directories:
        with contextlib.suppress(OSError):
            for risk in paths.list_risks(os.path.join("/", directory)):
                found[risk.path] = facts.UnsafePath(
                    path=risk.path,
                    reason=risk.reason,
                    is_link=risk.is_link,
                    can_take=not risk.is_link and ownership.can_take_directory(risk.path, risk.uid),
                )
    return list(found.values())


def describe_unit(name: str, properties: t.Mapping[str, str], manifest: str) -> facts.Unit:
    """Return the description of a unit from the properties that systemd reports."""
    drop_in_paths = drop_ins(properties, name)
    set_aside = [path for path in drop_in_paths if is_set_aside(path)]
    changing = [path for path in drop_in_paths if path not in set_aside]
    return facts.Unit(
        name=name,
        load_state=properties.get("LoadState", ""),
        active_state=properties.get("ActiveState", ""),
        sub_state=properties.get("SubState", ""),
        enabled=properties.get("UnitFileState", ""),
        result=properties.get("Result", ""),
        restarts=int_property(properties, "NRestarts"),
        since=properties.get("ExecMainStartTimestamp", ""),
        active_seconds=active_seconds(properties, time.clock_gettime(time.CLOCK_MONOTONIC)),
        fragment_path=properties.get("FragmentPath", ""),
        drop_ins=changing,
        drop_in_settings=list_drop_in_settings(changing)[: facts.MAX_LIST_LENGTH],
        set_aside=set_aside,
        static_pod=manifest,
    )

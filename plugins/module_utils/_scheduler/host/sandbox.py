# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Run an untrusted program in a transient systemd service with limited permissions.

Any local user or container can have written the program, so it runs as a dynamic user without
network, capabilities and access to private files. Its run time and memory are limited.
"""

from __future__ import annotations

import os
import re
import subprocess

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.pipe import (
    run_bounded,
)

MAX_RUN_S = 10
MAX_SANDBOX_WALL_S = MAX_RUN_S + 5.0
MAX_OUTPUT_BYTES = 65536
MIN_SYSTEMD = 239
"""First systemd version with all required properties of the sandbox. Source: NEWS of systemd."""

SANDBOX_PROPERTIES = (
    "CapabilityBoundingSet=",
    "DynamicUser=yes",
    "InaccessiblePaths=-/etc/kubernetes",
    "InaccessiblePaths=-/run/credentials",
    "InaccessiblePaths=-/var/lib/kube-ha",
    "LimitCORE=0",
    "LimitCPU=5",
    "LimitFSIZE=0",
    "LockPersonality=yes",
    "MemoryMax=512M",
    "MemorySwapMax=0",
    "NoNewPrivileges=yes",
    "PrivateDevices=yes",
    "PrivateNetwork=yes",
    "PrivateUsers=yes",
    "ProtectControlGroups=yes",
    "ProtectHome=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectSystem=strict",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "SystemCallArchitectures=native",
    "SystemCallErrorNumber=EPERM",
    "SystemCallFilter=@system-service",
    "TasksMax=64",
    f"RuntimeMaxSec={MAX_RUN_S}",
    "TimeoutStopSec=1",
    "UMask=0077",
)
# First systemd version with each optional property. Source: NEWS of systemd.
LATER_PROPERTIES = {"RestrictSUIDSGID=yes": 242, "ProtectProc=invisible": 247}


def run_sandboxed(program: str, argument: str) -> str:
    """Return the output of a program, at most `MAX_OUTPUT_BYTES`; empty if it cannot run.

    `program` can be a path such as /proc/PID/exe, which does not exist in the sandbox. The module
    opens the file.
    """
    try:
        handle = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        version = _systemd_version()
        return _run(handle, command(argument, version)) if version >= MIN_SYSTEMD else ""
    except OSError:
        return ""
    finally:
        os.close(handle)


def _systemd_version() -> int:
    """Return the major version of systemd-run, 0 if unknown. Raises OSError if it is missing."""
    match = re.match(
        r"systemd ([0-9]{1,6})", _run(subprocess.DEVNULL, ["systemd-run", "--version"])
    )
    return int(match[1]) if match else 0


def command(argument: str, systemd_version: int) -> list[str]:
    """Return the command line that runs standard input as a program with this argument."""
    later = [name for name, since in LATER_PROPERTIES.items() if since <= systemd_version]
    return [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        *(f"--property={name}" for name in (*SANDBOX_PROPERTIES, *later)),
        "--",
        "/bin/sh",
        "-c",
        # The service manager expands $NAME as in a unit, so each $ is doubled.
        'exec /proc/self/fd/0 "$$1"',
        "sh",
        argument,
    ]


def _run(stdin: int, words: list[str]) -> str:
    return run_bounded(words, MAX_OUTPUT_BYTES, MAX_SANDBOX_WALL_S, stdin).text

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Determine the version of a running scheduler."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    sha256_of_file,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    SIZE_INDEX,
    RecordedBinary,
    file_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.sandbox import (
    run_sandboxed,
)

VERSION_OUTPUT = re.compile(
    r"Kubernetes v([0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(?:[-+][0-9A-Za-z.+-]{1,60})?)"
)


def detect_version(proc: Proc, pid: int, binaries: t.Mapping[str, RecordedBinary]) -> str:
    """Return the version of a process without a leading v, "" if it is unknown.

    If the record contains the program, its recorded version is returned. Any other program runs in
    a sandbox, because any local user or container could have started it.
    """
    if not pid:
        return ""
    known = recorded_binary(proc, pid, binaries)
    if known is not None and known["version"]:
        return known["version"]
    match = VERSION_OUTPUT.search(run_sandboxed(proc.path(pid, "exe"), "--version"))
    return match[1] if match else ""


def recorded_binary(
    proc: Proc, pid: int, binaries: t.Mapping[str, RecordedBinary]
) -> RecordedBinary | None:
    """Return the recorded binary that a process runs; None if the record does not contain it.

    The program is the recorded file, or has the recorded content and path.
    """
    program = proc.path(pid, "exe")
    try:
        identity = file_identity(os.stat(program))
    except OSError:
        return None
    for entry in binaries.values():
        if entry["identity"] == identity:
            return entry
    recorded = binaries.get(proc.executable(pid).partition(" (deleted)")[0])
    # Compare the sizes first, so that no large file of another program is hashed.
    if recorded is None or recorded["identity"][SIZE_INDEX] != identity[SIZE_INDEX]:
        return None
    return recorded if sha256_of_file(program) == recorded["sha256"] else None

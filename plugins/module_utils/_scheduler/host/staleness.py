# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Check whether the process of the unit runs from the live set.

The drift detection and the promotion use this check.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
    RecordedBinary,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.version import (
    recorded_binary,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DIGEST_VARIABLE,
)

CLOCK_TOLERANCE_S = 0.2
"""Tolerance for comparing the start of a process with the timestamp of a file."""


class LiveSet(t.NamedTuple):
    """The live set that a process is compared with."""

    items: t.Sequence[Item]
    digest: str  # digest of all files that the process reads at its start
    binaries: t.Mapping[str, RecordedBinary]  # the recorded binaries


def staleness_reasons(
    unit: str, properties: t.Mapping[str, str], proc: Proc, live: LiveSet
) -> list[str]:
    """Return why the unit must be enabled or restarted, one line per reason.

    `properties` are the properties of the unit. The digest in the environment comes from the unit,
    not from the files that the process read. Therefore, the files are also compared.
    """
    reasons = []
    if properties.get("ActiveState") != "active":
        reasons.append(f"{unit} is {properties.get('ActiveState') or 'missing'}")
    if properties.get("UnitFileState") != "enabled":
        reasons.append(f"{unit} is {properties.get('UnitFileState') or 'not enabled'}")
    pid = systemd.main_pid(properties)
    return reasons + (_process_reasons(unit, pid, proc, live) if pid else [])


def _process_reasons(unit: str, pid: int, proc: Proc, live: LiveSet) -> list[str]:
    reasons = []
    digest = proc.environment(pid).get(DIGEST_VARIABLE, "")
    if digest != live.digest:
        reasons.append("the process was not started from this file set")
    for item in live.items:
        if item.is_absent:
            continue
        if item.link_to is not None:
            reasons += _program_reasons(item, pid, proc, live.binaries)
        elif item.digest != "path":
            reasons += _content_reasons(item, pid, proc, unit)
    return reasons


def _content_reasons(item: Item, pid: int, proc: Proc, unit: str) -> list[str]:
    """Compare the credential of the process with the file, otherwise the times of both."""
    try:
        copy = systemd.read_credential(proc, pid, unit, item.name)
        is_same = copy is None or copy == paths.read(item.path)
    except FilesError as error:
        return [str(error)]
    if not is_same:
        return [f"{item.path} differs from the credential of the process"]
    started = proc.started(pid) if copy is None else None
    return _change_reasons(item.path, started) if started is not None else []


def _program_reasons(
    item: Item, pid: int, proc: Proc, binaries: t.Mapping[str, RecordedBinary]
) -> list[str]:
    expected = binaries.get(item.link_target)
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(proc.path(pid, "exe")), os.stat(item.link_target)):
            return []
    if expected is not None and recorded_binary(proc, pid, binaries) == expected:
        return []
    return [f"the process runs a program other than {item.link_target}"]


def _change_reasons(path: str, started: float) -> list[str]:
    with contextlib.suppress(OSError):
        changed = os.lstat(path).st_ctime
        # If the clock was set back, a timestamp can be in the future. Ignore such a timestamp.
        if started + CLOCK_TOLERANCE_S < changed <= time.time() + CLOCK_TOLERANCE_S:
            return [f"{path} changed after the process started"]
    return []

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Whether the unit's process runs from the set of files that is live. Drift and promotion both judge by this one function."""

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
"""Seconds by which the start of a process and the time stamp of a file are not comparable."""


class LiveSet(t.NamedTuple):
    """The live set: its members, the digest of all that the process is to have read, and the binaries of the record."""

    items: t.Sequence[Item]
    digest: str
    binaries: t.Mapping[str, RecordedBinary]


def staleness_reasons(
    unit: str, shown: t.Mapping[str, str], proc: Proc, live: LiveSet
) -> list[str]:
    """Why the unit has to be enabled or restarted, one line each; C(shown) are its properties.

    The digest in the environment is the unit's claim, not what the process read: a file that it reads at its start may have been
    changed after that, or have been another one then.
    """
    found = []
    if shown.get("ActiveState") != "active":
        found.append(f"{unit} is {shown.get('ActiveState') or 'not there'}")
    if shown.get("UnitFileState") != "enabled":
        found.append(f"{unit} is {shown.get('UnitFileState') or 'not enabled'}")
    pid = systemd.main_pid(shown)
    return found + (_of_process(unit, pid, proc, live) if pid else [])


def _of_process(unit: str, pid: int, proc: Proc, live: LiveSet) -> list[str]:
    found = []
    digest = proc.environment(pid).get(DIGEST_VARIABLE, "")
    if digest != live.digest:
        found.append("the process was not started from this set of files")
    started = proc.started(pid)
    for item in live.items:
        if item.is_absent:
            continue
        if item.link_to is not None:
            found += _other_program(item, pid, proc, live.binaries)
        elif item.digest != "path":
            copy = systemd.credential_path(proc, pid, unit, item.name) if item.is_seeded else None
            if copy is not None:
                found += _other_credential(item, copy)
            elif started is not None:
                found += _changed_since(item.path, started)
    return found


def _other_program(
    item: Item, pid: int, proc: Proc, binaries: t.Mapping[str, RecordedBinary]
) -> list[str]:
    wanted = binaries.get(item.link_target)
    with contextlib.suppress(OSError):
        if os.path.samestat(os.stat(proc.path(pid, "exe")), os.stat(item.link_target)):
            return []
    if wanted is not None and recorded_binary(proc, pid, binaries) == wanted:
        return []
    return [f"the process runs another program than {item.link_target}"]


def _other_credential(item: Item, copy: str) -> list[str]:
    try:
        same = paths.read(copy) == paths.read(item.path)
    except FilesError as error:
        return [str(error)]
    return [] if same else [f"{item.path} differs from what the process was given at its start"]


def _changed_since(path: str, started: float) -> list[str]:
    with contextlib.suppress(OSError):
        changed = os.lstat(path).st_ctime
        # A time that is still to come is of a clock that was put back since, and says nothing.
        if started + CLOCK_TOLERANCE_S < changed <= time.time() + CLOCK_TOLERANCE_S:
            return [f"{path} changed after the process began"]
    return []

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Describe the other instances of the role on this host.

Instances must not share ports, leases or paths.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts, versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import process
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.version import (
    detect_version,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    describe_instance,
    parse_settings,
)

# An argument in a unit that the role rendered.
UNIT_ARGUMENT = re.compile(r'"(--[^"\\]*)"')


def other_instances(
    fileset: Fileset,
    proc: Proc,
    pid_of: t.Callable[[str], int],
    serving: t.Sequence[versions.Serving],
) -> list[facts.Instance]:
    """Describe the other instances, whose file set directories are next to the one of `fileset`.

    The description uses the process of a running instance, and the staged set of a stopped
    instance.
    """
    described = []
    for other in fileset.siblings():
        unit = f"{os.path.basename(other.root)}.service"
        record = other.record()
        members = record["staged"]["members"] if record["staged"] else []
        files = [*record["paths"], *(member["path"] for member in members)]
        pid = pid_of(unit)
        if pid:
            version = detect_version(proc, pid, record["binaries"])
            settings = process.read_process_settings(proc, pid)
        else:
            version = next(
                (m["link_to"] or "" for m in members if m["name"] == "binary"), ""
            ).rpartition("-v")[2]
            unit_text, config = (_staged_content(other, name) for name in ("unit", "config"))
            settings = parse_settings(
                UNIT_ARGUMENT.findall(unit_text.decode("utf-8", "replace")), config
            )
            if not unit_text:
                described.append(
                    facts.Instance(
                        unit=unit, ports=[], lease="", schedulers=[], paths=sorted(set(files))
                    )
                )
                continue
        described.append(
            describe_instance(unit, settings, versions.find_serving(serving, version), files)
        )
    return described


def _staged_content(fileset: Fileset, name: str) -> bytes:
    try:
        return paths.read(os.path.join(fileset.root, "staged", name)) or b""
    except FilesError:
        return b""

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The schedulers of this role on one host: what each has for itself alone, and what two of them may not share."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    facts,
    process,
    versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.release import Release

# An argument as a unit of the role holds it.
ARGUMENT = re.compile(r'"(--[^"\\]*)"')


def claimed(
    unit: str, told: process.Told, serving: versions.Serving | None, files: t.Iterable[str]
) -> facts.Instance:
    """What a scheduler has for itself, by what it was told."""
    row = process.serving_for(serving)
    ports = [
        told.secure_port(row["https"]) if row["https"] else 0,
        told.http_port(row["http"]) if row["http"] else 0,
    ]
    return facts.Instance(
        unit=unit,
        ports=[port for port in ports if port],
        lease="/".join(told.lease),
        schedulers=list(told.schedulers),
        paths=sorted(set(files)),
    )


def neighbours(
    release: Release,
    proc: Proc,
    pid_of: t.Callable[[str], int],
    serving: t.Sequence[versions.Serving],
) -> list[facts.Instance]:
    """The other instances of this host, which are those with a record beside that of C(release)."""
    found = []
    for other in release.neighbours():
        unit = f"{os.path.basename(other.root)}.service"
        record = other.record()
        members = record["staged"]["members"] if record["staged"] else []
        files = [*record["paths"], *(member["path"] for member in members)]
        pid = pid_of(unit)
        if pid:
            version = process.version_of(proc, pid, record["binaries"])
            told = process.told(proc, pid)
        else:
            version = next(
                (m["link_to"] or "" for m in members if m["name"] == "binary"), ""
            ).rpartition("-v")[2]
            texts = [_text(other, name) for name in ("unit", "config")]
            told = process.understood(
                ARGUMENT.findall(texts[0].decode("utf-8", "replace")), texts[1]
            )
            if not texts[0]:
                found.append(
                    facts.Instance(
                        unit=unit, ports=[], lease="", schedulers=[], paths=sorted(set(files))
                    )
                )
                continue
        found.append(claimed(unit, told, versions.serving_of(serving, version), files))
    return found


def _text(release: Release, name: str) -> bytes:
    try:
        return paths.read(os.path.join(release.root, "staged", name)) or b""
    except FilesError:
        return b""

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare each part of a host with its desired state.

The comparison uses the code of the modules that change the host. A directory at the path of a file,
invalid content and errors are drift reasons too.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.staleness import (
    LiveSet,
    staleness_reasons,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.desired import (
    DesiredState,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.drift_credentials import (
    FileModule,
    compare_certificate,
    compare_kubeconfig,
    compare_pair,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.drift_files import (
    compare_binary,
    compare_links,
    compare_log_dir,
    compare_texts,
    compare_unit,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.effective import (
    Responses,
    compare_settings_in_use,
)


class HostAccess(t.NamedTuple):
    """Access to the host: files, /proc, the properties of the unit, and the settings in use."""

    module: FileModule
    proc: Proc
    properties: t.Mapping[str, str]
    settings_in_use: Responses


class DriftResult(t.NamedTuple):
    """The drift of a host, and the reasons why an external CA must issue a certificate."""

    drift: list[facts.Drift]
    awaited: list[str]


def find_drift(
    desired: DesiredState, root: str, observed: facts.ModuleResult, host: HostAccess
) -> DriftResult:
    """Compare the host with its desired state.

    `root` is the file set directory. `observed` is the result of the query, without drift.
    """
    fileset, module = Fileset(root, desired.items), host.module
    certificate, awaited = compare_certificate(desired, module)
    digest = fileset.digest(lambda item: item.path)
    unit = [
        *compare_texts(desired, digest, "unit", "drop_in_"),
        *compare_unit(desired, host.properties),
    ]
    parts: list[tuple[str, list[str]]] = [
        ("packages", _compare_packages(desired, observed["missing_libraries"])),
        ("user", _compare_user(desired, observed)),
        (_binary_part(desired), compare_binary(desired, fileset)),
        ("link", compare_links(desired)),
        ("log_dir", compare_log_dir(desired)),
        ("directories", [entry["reason"] for entry in observed["unsafe"]]),
        ("certificate", [*certificate, *compare_pair(desired)]),
        ("kubeconfig", compare_kubeconfig(desired, module)),
        ("config", compare_texts(desired, digest, "config")),
        ("unit", unit),
        ("process", _compare_process(desired, fileset, digest, observed["process"], host)),
    ]
    if not any(reasons for _part, reasons in parts):
        # With other drift, the next rollout can intend a difference of staged and live files.
        parts.append(("staged", _compare_staged(fileset)))
    drift = [
        facts.Drift(part=part, reason=_to_line(reason))
        for part, reasons in parts
        for reason in dict.fromkeys(reasons)
    ]
    return DriftResult(drift, [_to_line(reason) for reason in awaited])


def _to_line(reason: str) -> str:
    return " ".join(reason.split())[: facts.MAX_TEXT_LENGTH]


def _compare_packages(desired: DesiredState, missing: t.Sequence[str]) -> list[str]:
    if not desired.manage_packages:
        return []
    return [f"the Python library {name} is missing" for name in missing]


def _compare_user(desired: DesiredState, observed: facts.ModuleResult) -> list[str]:
    if observed["user_exists"] or not desired.user:
        return []
    return [f"the user {desired.user} does not exist"]


def _binary_part(desired: DesiredState) -> str:
    """Return `record` for an installed binary that only needs verification, otherwise `binary`."""
    is_present = desired.binary_source == "present" and os.path.exists(desired.binary)
    return "record" if is_present else "binary"


def _compare_process(
    desired: DesiredState, fileset: Fileset, digest: str, process: facts.Process, host: HostAccess
) -> list[str]:
    live = LiveSet(desired.items, digest, fileset.record()["binaries"])
    reasons = staleness_reasons(desired.unit, host.properties, host.proc, live)
    if process["pid"] and process["version"] != desired.version:
        version = process["version"] or "unknown"
        reasons.append(f"the process runs version {version}, expected {desired.version}")
    # If the process is stale, its settings differ for that reason.
    return reasons or compare_settings_in_use(
        desired.settings, desired.version, host.settings_in_use
    )


def _compare_staged(fileset: Fileset) -> list[str]:
    """Return the staged copies that differ from live files in the desired state."""
    try:
        names = fileset.pending_members()
    except FilesError as error:
        return [str(error)]
    return [
        f"{fileset.staged_path(item)}: differs from {item.path}, which has the desired state"
        for item in fileset.items
        if item.name in names
    ]

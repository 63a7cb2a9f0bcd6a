# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Validate a task of the kubeconfig module, compute the file, and write it under its lock."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeconfigError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    kubeconfig,
    kubeconfig_lock,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_entries import (
    apply_entries,
    check_references,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_material import (
    MaterialReader,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_options import (
    validate_options,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_summary import (
    ClusterSummary,
    ContextSummary,
    KubeconfigDiff,
    UserSummary,
    compare_kubeconfigs,
    summarize_kubeconfig,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._libraries import (
    describe_missing,
    this_interpreter,
)

MAX_KUBECONFIG_BACKUPS = 5


class KubeconfigResult(t.TypedDict, total=False):
    """The result of the module. `changed` and `path` are always set.

    The result contains entries only if the file exists.
    """

    changed: bool
    path: str
    diff: KubeconfigDiff
    backup_file: str
    clusters: list[ClusterSummary]
    users: list[UserSummary]
    contexts: list[ContextSummary]
    current_context: str | None


class FilePlan(t.NamedTuple):
    """The kubeconfig before and after the task; `content` is the new text, None if unchanged."""

    before: kubeconfig.Config | None
    after: kubeconfig.Config
    content: bytes | None
    predicted: bool


def converge_kubeconfig(module: attributes.FilesModule) -> KubeconfigResult:
    """Write or remove the file as the task declares; raise FilesError and KubeconfigError."""
    params = module.params
    path = params["path"]
    paths.resolve(path)
    if params["state"] == "absent":
        return _remove(module, path)
    validate_options(params)
    reader = MaterialReader(module, os.path.dirname(path))
    if not kubeconfig.HAS_YAML:
        missing = describe_missing("yaml", this_interpreter())
        reader.report_missing(f"kubeconfig files cannot be read or written: {missing}")
        return {"changed": True, "path": path}
    try:
        plan = _compute_plan(reader, path)
    except KubeconfigError:
        # During a write by kubectl, the file is incomplete. The lock excludes such a write.
        if module.check_mode or not os.path.exists(f"{path}.lock"):
            raise
    else:
        if not module.check_mode:
            kubeconfig_lock.remove_stale_lock(path)
        if module.check_mode or plan.content is None:
            return _apply(module, path, plan)
    with kubeconfig_lock.hold_kubeconfig_lock(path):
        return _apply(module, path, _compute_plan(MaterialReader(module, reader.directory), path))


def _compute_plan(reader: MaterialReader, path: str) -> FilePlan:
    params = reader.module.params
    raw = paths.read(path)
    before: kubeconfig.Config | None = None
    unreadable = False
    if raw is not None:
        try:
            before = kubeconfig.parse_kubeconfig(raw, repr(path))
        except KubeconfigError as exc:
            if not params["force"]:
                raise KubeconfigError(f"{exc}; to replace the file, set force") from None
            unreadable = True
    current = before if before is not None else kubeconfig.new_kubeconfig()
    after = apply_entries(current, reader, params)
    if not reader.predicted:
        check_references(before or {}, after, params)
    unchanged = before == after and not unreadable
    content = None if unchanged else kubeconfig.dump_kubeconfig(after)
    if content is not None and len(content) > paths.MAX_FILE_BYTES:
        raise KubeconfigError(
            f"{path!r} would be larger than {paths.MAX_FILE_BYTES} bytes; embed less data"
        )
    return FilePlan(before, after, content, reader.predicted)


def _apply(module: attributes.FilesModule, path: str, plan: FilePlan) -> KubeconfigResult:
    outcome = attributes.converge_file(
        module, path, plan.content, backup=MAX_KUBECONFIG_BACKUPS if module.params["backup"] else 0
    )
    summary = summarize_kubeconfig(plan.after)
    result: KubeconfigResult = {
        "changed": outcome.changed or plan.predicted,
        "path": path,
        "diff": {
            **compare_kubeconfigs(plan.before, plan.after),
            "before_header": path,
            "after_header": path,
        },
        "clusters": summary["clusters"],
        "users": summary["users"],
        "contexts": summary["contexts"],
        "current_context": summary["current_context"],
    }
    if outcome.backup_file:
        result["backup_file"] = outcome.backup_file
    return result


def _remove(module: attributes.FilesModule, path: str) -> KubeconfigResult:
    exists = paths.read(path) is not None
    result: KubeconfigResult = {
        "changed": exists,
        "path": path,
        "diff": {
            "before": {"path": path, "state": "file" if exists else "absent"},
            "after": {"path": path, "state": "absent"},
        },
    }
    if exists and not module.check_mode:
        with kubeconfig_lock.hold_kubeconfig_lock(path):
            backup = write.remove(
                path, backup=MAX_KUBECONFIG_BACKUPS if module.params["backup"] else 0
            )
        if backup:
            result["backup_file"] = backup
    return result

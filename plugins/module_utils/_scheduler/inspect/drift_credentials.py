# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare the key pair and the kubeconfig of a host with the desired state.

In check mode, the code of the modules x509_cert and kubeconfig computes the changes.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    FilesError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig_module
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.desired import (
    DesiredState,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.drift_attributes import (
    compare_attributes,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import library
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair import converge_pair
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc


class FileModule(t.Protocol):
    """The part of AnsibleModule that computes changes of a file in check mode."""

    check_mode: bool

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        """Return the desired attributes of the file."""

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        """Set the attributes; return True if an attribute differed, otherwise `changed`."""


class CheckModeTask:
    """A task of another module in check mode, with its options and warnings."""

    check_mode = True

    def __init__(self, module: FileModule, params: dict[str, t.Any]) -> None:
        self._module = module
        self.params = params
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def __getattr__(self, name: str) -> t.Any:
        # The code of the other module also uses attributes that this class does not define.
        return getattr(self._module, name)

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        return self._module.load_file_common_arguments(params, path=path)

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        return self._module.set_fs_attributes_if_different(file_args, changed)


def compare_certificate(desired: DesiredState, module: FileModule) -> tuple[list[str], list[str]]:
    """Return the drift reasons of the key pair, and why an external CA must issue a certificate."""
    options = desired.certificate
    if options is None:
        return [], []
    path, key_path = options["path"], options["privatekey_path"]
    missing = library.describe_missing_cryptography()
    if missing:
        return [f"{path}: cannot be compared: {missing}"], []
    task = CheckModeTask(module, options)
    try:
        result = converge_pair(task, current_utc())
    except CollectionError as error:
        return [str(error)], []
    reasons = [f"{path}: {reason}" for reason in result["reasons"]]
    if result["changed"] and not reasons:
        reasons += compare_attributes(key_path, options)
        reasons += compare_attributes(path, {**options, "mode": "0644"})
        reasons = reasons or [f"{path} or {key_path}: attributes differ"]
    return reasons, result.get("awaited", [])


def compare_pair(desired: DesiredState) -> list[str]:
    """Return the drift reasons of a key pair that the controller provides."""
    options = desired.pair
    if options is None:
        return []
    return [
        reason
        for item in desired.items
        if item.name in ("certificate", "privatekey")
        for reason in _compare_provided_file(item, options)
    ]


def _compare_provided_file(item: Item, options: t.Mapping[str, t.Any]) -> list[str]:
    source_sha256 = options[f"{item.name}_sha256"]
    try:
        content = paths.read(item.path)
    except FilesError as error:
        return [str(error)]
    if content is None:
        return [f"{item.path}: is missing"]
    if source_sha256 is None:
        return [f"{item.path}: the source file on the controller is missing"]
    if hashlib.sha256(content).hexdigest() != source_sha256:
        return [f"{item.path}: content differs from the source on the controller"]
    is_key = item.name == "privatekey"
    attributes = options if is_key else {"owner": "root", "group": "root", "mode": "0644"}
    return compare_attributes(item.path, attributes)


def compare_kubeconfig(desired: DesiredState, module: FileModule) -> list[str]:
    """Return the drift reasons of the kubeconfig."""
    options = desired.kubeconfig
    if options is None:
        return []
    path = options["path"]
    task = CheckModeTask(module, options)
    try:
        result = kubeconfig_module.converge_kubeconfig(task)
    except CollectionError as error:
        return [str(error).partition("; set force")[0]]
    if not result["changed"]:
        return []
    if not os.path.lexists(path):
        return [f"{path}: is missing"]
    if "diff" not in result:
        return [f"{path}: cannot be compared: {'; '.join(task.warnings)}"]
    after, before = result["diff"]["after"], result["diff"]["before"]
    reasons = [
        f"{path}: {kind} differ" for kind in ("clusters", "users", "contexts") if after.get(kind)
    ]
    if after.get("current-context") != before.get("current-context"):
        reasons.append(f"{path}: current-context differs")
    return (
        reasons
        or compare_attributes(path, options)
        or [f"{path}: {'; '.join(task.warnings) or 'attributes differ'}"]
    )

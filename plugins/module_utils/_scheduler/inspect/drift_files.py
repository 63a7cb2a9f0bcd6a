# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare the binary, log directory, rendered files and unit with the desired state."""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    read_state,
    sha256_of_file,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
    item_state,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    SIZE_INDEX,
    Item,
    RecordedBinary,
    file_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.process import (
    user_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.systemd import (
    drop_ins,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.desired import (
    DesiredState,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.drift_attributes import (
    compare_attributes,
    describe_absence,
    format_mode,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import DIGEST_MARK


def compare_binary(desired: DesiredState, fileset: Fileset) -> list[str]:
    """Return the drift reasons of the binary: first its attributes, then its content."""
    path = desired.binary
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:
        return [describe_absence(path, error)]
    if not stat.S_ISREG(info.st_mode):
        return [f"{path}: is not a regular file"]
    mode = format_mode(info.st_mode)
    reasons = []
    if not info.st_mode & stat.S_IXOTH:
        reasons.append(f"{path}: mode is {mode}, so other users cannot run it")
    is_writable = info.st_uid != 0 or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if desired.binary_source != "present" and is_writable:
        owner = user_name(info.st_uid)
        reasons.append(f"{path}: users other than root can write it (owner {owner}, {mode})")
    recorded = fileset.record()["binaries"].get(path)
    if recorded is None:
        return [*reasons, f"{path}: the checksum of the binary was never verified"]
    return reasons + _compare_content(desired, info, recorded)


def _compare_content(
    desired: DesiredState, info: os.stat_result, recorded: RecordedBinary
) -> list[str]:
    path, size = desired.binary, recorded["identity"][SIZE_INDEX]
    if info.st_size < size:
        return [f"{path}: is truncated: it has {info.st_size} bytes, expected {size}"]
    if info.st_size > size or (
        file_identity(info) != recorded["identity"] and sha256_of_file(path) != recorded["sha256"]
    ):
        return [f"{path}: content differs from the verified content"]
    if recorded["version"] != desired.version:
        version = recorded["version"] or "unknown"
        return [f"{path}: is recorded as version {version}, expected {desired.version}"]
    return []


def compare_links(desired: DesiredState) -> list[str]:
    """Return the drift reasons of the symbolic links."""
    reasons = []
    for item in desired.items:
        if not item.link_to:
            continue
        if not os.path.islink(item.path):
            problem = "is not a link" if os.path.lexists(item.path) else "is missing"
            reasons.append(f"{item.path}: {problem}, expected a link to {item.link_to}")
        elif os.readlink(item.path) != item.link_to:
            target = os.readlink(item.path)
            reasons.append(f"{item.path}: links to {target}, expected {item.link_to}")
    return reasons


def compare_log_dir(desired: DesiredState) -> list[str]:
    """Return the drift reasons of the log directory."""
    path = desired.log_dir
    if not path:
        return []
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:
        return [describe_absence(path, error)]
    if not stat.S_ISDIR(info.st_mode):
        return [f"{path}: is not a directory"]
    return compare_attributes(path, {"owner": desired.user or None, "group": None, "mode": "0755"})


def compare_texts(desired: DesiredState, digest: str, *names: str) -> list[str]:
    """Return the drift reasons of the rendered files whose names start with one of `names`."""
    return [
        reason
        for item in desired.items
        if item.content is not None and item.name.startswith(names)
        for reason in _compare_text(item, digest)
    ]


def _compare_text(item: Item, digest: str) -> list[str]:
    expected = item_state(item, digest)
    try:
        live = read_state(item.path)
    except FilesError as error:
        return [str(error)]
    if live is None:
        return [f"{item.path}: is missing"]
    if live.fingerprint.startswith("link:"):
        return [f"{item.path}: is a link"]
    if live == expected:
        return []
    reasons = []
    if live.fingerprint != expected.fingerprint:
        difference = facts.OTHER_DIGEST if _differs_only_in_digest(item) else "content differs"
        reasons.append(f"{item.path}: {difference}")
    attributes = {"owner": "root", "group": item.group, "mode": f"{item.mode:04o}"}
    return reasons + compare_attributes(item.path, attributes)


def _differs_only_in_digest(item: Item) -> bool:
    """Check that only the digest differs, because another file of the file set differs."""
    fixed_parts = [re.escape(part) for part in (item.content or "").split(DIGEST_MARK)]
    live = (paths.read(item.path) or b"").decode("utf-8", "replace")
    pattern = "[0-9a-f]{0,32}".join(fixed_parts)
    return len(fixed_parts) > 1 and re.fullmatch(pattern, live) is not None


def compare_unit(desired: DesiredState, properties: t.Mapping[str, str]) -> list[str]:
    """Return the drift reasons of the unit from the properties that systemd loaded."""
    unit, load_state = desired.unit, properties.get("LoadState")
    managed = {item.path for item in desired.items}
    reasons = [
        f"{path}: this drop-in changes the unit"
        for path in drop_ins(properties, unit)
        if path not in managed
    ]
    reasons += [
        f"{item.path}: still exists"
        for item in desired.items
        if item.is_absent and os.path.lexists(item.path)
    ]
    if load_state == "masked":
        reasons.append(f"{unit} is masked")
    elif properties.get("NeedDaemonReload") == "yes":
        reasons.append(f"{unit} changed after systemd read it")
    fragment = properties.get("FragmentPath", "")
    if load_state == "loaded" and fragment:
        reasons += _compare_fragment(desired, fragment)
    return reasons


def _compare_fragment(desired: DesiredState, fragment: str) -> list[str]:
    unit_paths = [item.path for item in desired.items if item.name == "unit"]
    if fragment in unit_paths:
        return []
    return [f"{desired.unit} is loaded from {fragment}, expected {path}" for path in unit_paths]

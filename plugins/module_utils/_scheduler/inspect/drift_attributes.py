# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare the owner, group and mode of a path with the desired values."""

from __future__ import annotations

import contextlib
import grp
import os
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.process import (
    user_name,
)


def compare_attributes(path: str, desired: t.Mapping[str, t.Any]) -> list[str]:
    """Return the differences in owner, group and mode of a path; skip a desired value of None."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return []
    reasons = []
    for option, name, number in (
        ("owner", user_name(info.st_uid), info.st_uid),
        ("group", _group_name(info.st_gid), info.st_gid),
    ):
        expected = desired.get(option)
        if expected is not None and str(expected) not in (name, str(number)):
            reasons.append(f"{path}: {option} is {name}, expected {expected}")
    mode = desired.get("mode")
    with contextlib.suppress(ValueError):
        if mode is not None and stat.S_IMODE(info.st_mode) != int(str(mode), 8):
            expected = f"{int(str(mode), 8):04o}"
            reasons.append(f"{path}: mode is {format_mode(info.st_mode)}, expected {expected}")
    return reasons


def format_mode(mode: int) -> str:
    """Return the permission bits as four octal digits."""
    return f"{stat.S_IMODE(mode):04o}"


def describe_absence(path: str, error: OSError | ValueError) -> str:
    """Return why a path cannot be read, as a drift reason."""
    if isinstance(error, ValueError):
        return f"{path!r}: contains a character that no path can contain"
    return f"{path}: {'is missing' if isinstance(error, FileNotFoundError) else error.strerror}"


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

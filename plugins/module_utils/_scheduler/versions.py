# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find the row of a version in the version table of the role, vars/main/versions.yml."""

from __future__ import annotations

import re
import typing as t

# The objects that each lock type writes. Members with different lock types cannot lead at the same
# time if the types share an object.
LOCK_OBJECTS = {
    "endpoints": {"endpoints"},
    "configmaps": {"configmaps"},
    "leases": {"leases"},
    "endpointsleases": {"endpoints", "leases"},
    "configmapsleases": {"configmaps", "leases"},
}
# The lease source of _kube/lease.py for each object that contains the record.
SOURCE_OF_OBJECT = {"leases": "lease", "endpoints": "endpoints", "configmaps": "configmap"}
FULL_VERSION = re.compile(r"v?([0-9]{1,6}\.[0-9]{1,6})\.[0-9]{1,6}(?:[-+][0-9A-Za-z.+-]*)?")

VersionTable = t.Mapping[str, "dict[str, t.Any]"]


class Serving(t.TypedDict):
    """Ports and lock type of all versions from the minor version `since` on."""

    since: str  # first minor version with these values
    https: int  # HTTPS port, 0 if there is none
    http: int  # HTTP port, 0 if there is none
    ready_path: str
    ready_port: str  # field with the port of ready_path: https or http
    lock: str  # default lock type


def parse_minor(minor: str) -> tuple[int, ...]:
    """Return a minor version, such as 1.20, in a form that can be compared."""
    return tuple(int(part) for part in str(minor).split("."))


def minor_of(version: str) -> str:
    """Return the minor version of a full version, such as 1.37 of 1.37.2, otherwise ""."""
    match = FULL_VERSION.fullmatch(version)
    return match[1] if match else ""


def is_older(version: str, other: str) -> bool:
    """Return whether a version is older than another; False unless both are full versions.

    A suffix after X.Y.Z is ignored.
    """
    matches = [
        re.match(r"v?([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?![0-9])", text)
        for text in (version, other)
    ]
    numbers = [tuple(map(int, match.groups())) for match in matches if match]
    return len(numbers) == len(matches) and numbers[0] < numbers[1]


def version_row(versions: VersionTable, version: str) -> dict[str, t.Any] | None:
    """Return the table row of a version; None if the table has no such row."""
    return versions.get(minor_of(version))


def lock_sources(lock: str) -> tuple[str, ...]:
    """Return the lease sources of a lock type; none if the type is unknown."""
    objects = LOCK_OBJECTS.get(lock, ())
    return tuple(source for name, source in SOURCE_OF_OBJECT.items() if name in objects)


def lock_source_groups(lock: str) -> tuple[tuple[str, ...], ...]:
    """Return one group for each lease source of a lock type.

    Each group is read separately. If the type is unknown, return one group with all sources.
    """
    return tuple((source,) for source in lock_sources(lock)) or (tuple(SOURCE_OF_OBJECT.values()),)


def serving_ranges(versions: VersionTable) -> list[Serving]:
    """Return one entry for each minor version that changes ports or lock, the oldest first."""
    ranges: list[Serving] = []
    for minor in sorted(versions, key=parse_minor):
        row = versions[minor]
        entry = Serving(
            since=minor,
            https=row["https"],
            http=row["http"],
            ready_path=row["ready"]["path"],
            ready_port=row["ready"]["port"],
            lock=row["locks"][0],
        )
        if not ranges or {**ranges[-1], "since": minor} != entry:
            ranges.append(entry)
    return ranges


def find_serving(ranges: t.Sequence[Serving], version: str) -> Serving | None:
    """Return the entry of a version; None if it is older than all entries, or not a version."""
    minor = minor_of(version)
    matching = [
        entry for entry in ranges if minor and parse_minor(entry["since"]) <= parse_minor(minor)
    ]
    return matching[-1] if matching else None

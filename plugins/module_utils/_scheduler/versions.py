# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the table of versions says of a version. The table itself is data of the role: vars/main/versions.yml."""

from __future__ import annotations

import re
import typing as t

# The objects that a lock type writes to. Two schedulers keep out of each other's way only where they share one.
LOCK_OBJECTS = {
    "endpoints": {"endpoints"},
    "configmaps": {"configmaps"},
    "leases": {"leases"},
    "endpointsleases": {"endpoints", "leases"},
    "configmapsleases": {"configmaps", "leases"},
}
# The sources of _kube/lease.py, by the object that carries the record.
SOURCE_OF_OBJECT = {"leases": "lease", "endpoints": "endpoints", "configmaps": "configmap"}
FULL_VERSION = re.compile(r"v?([0-9]+\.[0-9]+)\.[0-9]+(?:[-+][0-9A-Za-z.+-]*)?")

VersionTable = t.Mapping[str, "dict[str, t.Any]"]


class Serving(t.TypedDict):
    """How the versions from a minor on serve and elect: as little of the table as a host has to know."""

    since: str  # the first minor
    https: int  # port, 0 for none
    http: int  # port, 0 for none
    ready_path: str
    ready_port: str  # https or http
    lock: str  # the lock type that it takes by default


def parse_minor(minor: str) -> tuple[int, ...]:
    """A minor version, such as 1.20, to be compared."""
    return tuple(int(part) for part in str(minor).split("."))


def minor_of(version: str) -> str:
    """The minor of a version in full, such as 1.37 of 1.37.2; "" for what is no such version."""
    found = FULL_VERSION.fullmatch(version)
    return found[1] if found else ""


def is_older(version: str, other: str) -> bool:
    """Whether a version comes before another; not where either is not given in full. What follows X.Y.Z is left out."""
    found = [re.match(r"v?(\d+)\.(\d+)\.(\d+)", text) for text in (version, other)]
    numbers = [tuple(map(int, match.groups())) for match in found if match]
    return len(numbers) == len(found) and numbers[0] < numbers[1]


def version_row(versions: VersionTable, version: str) -> dict[str, t.Any] | None:
    """What is known of a version; None of one that is not in the table."""
    return versions.get(minor_of(version))


def lock_sources(lock: str) -> tuple[str, ...]:
    """Where the record of a lock type may lie; nowhere, for one that is not known."""
    return tuple(
        source for name, source in SOURCE_OF_OBJECT.items() if name in LOCK_OBJECTS.get(lock, ())
    )


def lock_source_groups(lock: str) -> tuple[tuple[str, ...], ...]:
    """The sources of a lock type, to be read each by itself; those of all types as one group for one that is not known."""
    return tuple((source,) for source in lock_sources(lock)) or (tuple(SOURCE_OF_OBJECT.values()),)


def serving_ranges(versions: VersionTable) -> list[Serving]:
    """The table's rows as ranges: one entry for each minor from which on something changes, the oldest first."""
    found: list[Serving] = []
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
        if not found or {**found[-1], "since": minor} != entry:
            found.append(entry)
    return found


def find_serving(ranges: t.Sequence[Serving], version: str) -> Serving | None:
    """The entry for a version; None for one that is older than all, or that cannot be read."""
    minor = minor_of(version)
    fitting = [
        entry for entry in ranges if minor and parse_minor(entry["since"]) <= parse_minor(minor)
    ]
    return fitting[-1] if fitting else None

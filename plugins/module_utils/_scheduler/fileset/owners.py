# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Give the directories of live files to root, and restore their previous owners.

The record contains the owner of each directory before its change. A rollback to the set of another
installer, or a removal, restores the owner.
"""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import ownership
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files.ownership import (
    DirectoryOwner,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)


def take_owners(fileset: Fileset, directories: t.Iterable[str]) -> list[str]:
    """Give root each directory of these paths that another user can write to.

    Returns the changed directories. Raises FilesError.
    """

    def remember(owner: DirectoryOwner) -> None:
        # If a run was interrupted, the record already contains the first owner.
        owners = {owner.path: [owner.uid, owner.gid, owner.mode], **fileset.record()["owners"]}
        fileset.update_record(owners=owners)

    return [
        path
        for directory in sorted(set(directories))
        for path in ownership.take_directories(directory, remember)
    ]


def restore_owners(fileset: Fileset, *, removal: bool = False) -> list[str]:
    """Restore the recorded owners, and return the changed directories.

    If another instance on this host runs from its own file set, root keeps the directories. At a
    removal, the record of that instance then keeps the owners.
    """
    owners = fileset.record()["owners"]
    other = next((sibling for sibling in fileset.siblings() if _is_deployed(sibling)), None)
    if other is not None:
        if removal and owners:
            other.update_record(owners={**owners, **other.record()["owners"]})
        return []
    # Restore the longest path first, while the directories above it still belong to root.
    restored = [
        path
        for path in sorted(owners, key=len, reverse=True)
        if ownership.restore_owner(DirectoryOwner(path, *owners[path]))
    ]
    if owners:
        fileset.update_record(owners={})
    return restored


def _is_deployed(fileset: Fileset) -> bool:
    live = fileset.record()["live"]
    return live is not None and bool(live["digest"])

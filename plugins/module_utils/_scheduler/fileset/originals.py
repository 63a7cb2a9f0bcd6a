# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Keep the files that the role replaces but did not create.

`original/NAME` is a copy of such a file, and `original/.set.json` lists the path of each copy.
Removal of the file set deletes a copy only if the same file is at its path.
"""

from __future__ import annotations

import itertools
import os
import shutil
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    MAX_COPY_BYTES,
    FileState,
    copy_file,
    sha256_of_file,
    try_read_state,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    MEMBER_SET_FILE,
    Item,
    MemberSet,
    read_member_set,
    recorded_items,
    write_member_set,
)

ORIGINALS_DIRECTORY = "original"


class KeptFile(t.TypedDict):
    """A file that the role replaced, and the path of its copy."""

    path: str
    copy: str


class Originals:
    """The files of other installers that a file set replaced."""

    def __init__(self, root: str) -> None:
        self.directory = os.path.join(root, ORIGINALS_DIRECTORY)
        self._list = os.path.join(self.directory, MEMBER_SET_FILE)

    def items(self) -> tuple[Item, ...]:
        """Return the kept files. The name of an item is the name of its copy."""
        return recorded_items(read_member_set(self._list))

    def copy_of(self, item: Item) -> str:
        """Return the path of the copy of a kept file."""
        return os.path.join(self.directory, item.name)

    def keep(self, items: t.Iterable[Item]) -> None:
        """Copy the live file of each item, unless there is a copy of the same file."""
        for item in items:
            live = try_read_state(item.path)
            if live is None or self._has_copy(item.path):
                continue
            with paths.explain_errors(self.directory, "make"):
                os.makedirs(self.directory, 0o700, exist_ok=True)
            kept = Item(self._free_name(item, live), item.path)
            # Write the list before the copies, because the path of a copy is only in the list.
            self._write_list([*(i for i in self.items() if i.name != kept.name), kept])
            if try_read_state(self.copy_of(kept)) is None:
                write.sweep(self.copy_of(kept), link=True)
                copy_file(item.path, self.copy_of(kept))

    def _has_copy(self, path: str) -> bool:
        return any(self._is_unchanged(entry) for entry in self.items() if entry.path == path)

    def _free_name(self, item: Item, live: FileState) -> str:
        """Return a name for the copy of a live file. An existing copy can only be of this file."""
        numbered = (f"{item.name}.{number}" for number in itertools.count(2))
        return next(
            name
            for name in itertools.chain([item.name], numbered)
            if not os.path.lexists(path := os.path.join(self.directory, name))
            or (try_read_state(path) == live and _is_same_file(item.path, path))
        )

    def _write_list(self, items: t.Iterable[Item]) -> None:
        write.sweep(self._list)
        write_member_set(
            self._list, MemberSet(members=[item.to_member() for item in items], digest="")
        )

    def _is_unchanged(self, item: Item) -> bool:
        """Return whether the kept file is still at its path, with its owner and mode."""
        live, copy = try_read_state(item.path), try_read_state(self.copy_of(item))
        return live is not None and live == copy and _is_same_file(item.path, self.copy_of(item))

    def unchanged_paths(self) -> set[str]:
        """Return the paths whose content is still that of a kept file."""
        states = [
            (item, try_read_state(item.path), try_read_state(self.copy_of(item)))
            for item in self.items()
        ]
        return {
            item.path
            for item, live, copy in states
            if live and copy and live.fingerprint == copy.fingerprint
        }

    def displaced(self) -> list[KeptFile]:
        """Return the kept files that are no longer at their paths.

        If the list of the copies is damaged, the path is empty.
        """
        listed = {item.name: item for item in self.items()}
        names = os.listdir(self.directory) if os.path.isdir(self.directory) else []
        unlisted = [name for name in sorted(names) if name not in listed and name[0] != "."]
        return [
            *(
                KeptFile(path=item.path, copy=self.copy_of(item))
                for item in listed.values()
                if item.name in names and not self._is_unchanged(item)
            ),
            *(KeptFile(path="", copy=os.path.join(self.directory, name)) for name in unlisted),
        ]

    def release(self) -> None:
        """Delete the copies whose files are at their paths, and the directory if it is empty."""
        if not os.path.isdir(self.directory):
            return
        kept = {entry["copy"] for entry in self.displaced()}
        with paths.explain_errors(self.directory, "remove"):
            if not kept:
                shutil.rmtree(self.directory)
                return
            for item in self.items():
                if self.copy_of(item) not in kept and os.path.lexists(self.copy_of(item)):
                    os.unlink(self.copy_of(item))
        self._write_list([item for item in self.items() if self.copy_of(item) in kept])


def _is_same_file(path: str, copy: str) -> bool:
    """Compare two files in full. The state of a large file contains only its size."""
    if os.path.islink(path) or os.stat(path).st_size <= MAX_COPY_BYTES:
        return True
    return os.path.samefile(path, copy) or sha256_of_file(path) == sha256_of_file(copy)

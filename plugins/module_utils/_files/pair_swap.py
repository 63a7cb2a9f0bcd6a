# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Replace files that belong together, such as a certificate and its key, at the same moment."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, walk
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files.write import (
    Staged,
    commit_all,
)


def replace(staged: t.Sequence[Staged], *, backup: int = 0) -> list[str | None]:
    """Replace files with their staged content, in this order; return the paths of their backups.

    Existing files on one file system change at the same moment. `backup` is the number of copies
    to keep. Raises FilesError.
    """
    with paths.explain_errors(staged[-1].target, "replace"):
        together = len(staged) > 1 and all(paths.regular_status(file.place) for file in staged)
        together = together and len({os.fstat(file.place.handle).st_dev for file in staged}) == 1
    return commit_all(staged, backup, _swap if together else None)


def _swap(staged: t.Sequence[Staged]) -> None:
    """Replace files at the same moment, so that a reader finds only old or only new files.

    A run after a killed run also finds only old or only new files. During the swap, each file is a
    symlink. All symlinks lead through one link, which a rename switches from the old files to the
    new ones. The temporary directory is next to the last file, which must be the file that the most
    users can read.
    """
    targets = [file.target for file in staged]
    try:
        with (
            paths.explain_errors(targets[-1], "replace"),
            _temporary_directory(staged[-1].place) as temporary,
        ):
            _fill(temporary, staged)
            for index, file in enumerate(staged):
                os.rename(
                    f"link{index}",
                    file.place.name,
                    src_dir_fd=temporary.handle,
                    dst_dir_fd=file.place.handle,
                )
                file.place.sync()
            _rename(temporary, "next", "now")
            temporary.sync()
    finally:
        recover(targets)


@contextlib.contextmanager
def _temporary_directory(beside: paths.Place) -> t.Iterator[paths.Place]:
    """Create a directory beside a file.

    Users of the file can read the files in the directory by their names.
    """
    name = paths.temporary_name(beside.name)
    os.mkdir(name, 0o700, dir_fd=beside.handle)
    path = os.path.join(beside.directory, name)
    with paths.Place(_open_directory(name, beside.handle), path, "") as temporary:
        for part in ("old", "new"):
            os.mkdir(part, 0o700, dir_fd=temporary.handle)
            _make_searchable(part, temporary.handle)
        _make_searchable(".", temporary.handle)
        yield temporary


def _open_directory(name: str, directory: int) -> int:
    return os.open(name, walk.READ_FLAGS, dir_fd=directory)


def _make_searchable(name: str, directory: int) -> None:
    handle = _open_directory(name, directory)
    try:
        os.fchmod(handle, 0o711)
    finally:
        os.close(handle)


def _fill(temporary: paths.Place, staged: t.Sequence[Staged]) -> None:
    """Link the old and new files into the temporary directory, and create the symlinks."""
    directory = temporary.handle
    os.symlink("old", "now", dir_fd=directory)
    os.symlink("new", "next", dir_fd=directory)
    for index, file in enumerate(staged):
        with paths.explain_errors(file.target, "replace"):
            _link(file.place, file.place.name, directory, f"old/{index}")
        file.verify()
        _link(file.place, file.name, directory, f"new/{index}")
        now = os.path.join(temporary.directory, "now", str(index))
        os.symlink(now, f"link{index}", dir_fd=directory)
    temporary.sync()


def _link(place: paths.Place, name: str, directory: int, new: str) -> None:
    os.link(name, new, src_dir_fd=place.handle, dst_dir_fd=directory, follow_symlinks=False)


def _rename(place: paths.Place, name: str, new: str) -> None:
    os.rename(name, new, src_dir_fd=place.handle, dst_dir_fd=place.handle)


def recover(targets: t.Sequence[str]) -> None:
    """Convert symlinks of an interrupted `replace` to regular files, and remove its directories.

    Ignores targets that do not exist or that `replace` never changed. Raises FilesError.
    """
    for path in targets:
        with paths.explain_errors(path, "recover"):
            _convert_link(path)
    for path in targets:
        with paths.explain_errors(path, "recover"), contextlib.ExitStack() as stack:
            place = paths.try_locate(path, link=True)
            if place is not None:
                _remove_directories(stack.enter_context(place))


def _convert_link(path: str) -> None:
    place = paths.try_locate(path, link=True)
    if place is None:
        return
    with place:
        if not paths.is_swap_target(place.read_link() or ""):
            return
        # A symlink from another user could point to any file of root.
        with paths.locate(path, strict=True) as file:
            os.rename(file.name, place.name, src_dir_fd=file.handle, dst_dir_fd=place.handle)
        place.sync()


def _remove_directories(place: paths.Place) -> None:
    prefix = paths.temporary_prefix(place.name)
    for name in place.list_siblings(paths.TEMPORARY_SUFFIX, prefix):
        status = os.stat(name, dir_fd=place.handle, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            walk.remove_tree(name, place.handle)

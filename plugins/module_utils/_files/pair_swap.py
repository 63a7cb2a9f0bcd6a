# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Replace files that belong together, such as a certificate and its key, at the same moment."""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files.write import (
    Staged,
    commit_all,
)


def replace(staged: t.Sequence[Staged], *, backup: int = 0) -> list[str | None]:
    """Replace files by their staged content, in this order; return the paths of their backups.

    Existing files on one file system change at the same moment. `backup` is the number of copies
    to keep. Raises FilesError.
    """
    with paths.explain_errors(staged[-1].target, "replace"):
        together = len(staged) > 1 and all(paths.stat_regular(file.target) for file in staged)
        together = together and len({os.stat(file.directory).st_dev for file in staged}) == 1
    return commit_all(staged, backup, _swap if together else None)


def _swap(staged: t.Sequence[Staged]) -> None:
    """Replace files at once: readers, and a run after a kill, find only old or only new files.

    During the swap, each file is a symlink. All symlinks lead through one link, which a rename
    switches from the old files to the new ones. The temporary directory is next to the last file,
    which must be the file that the most users can read.
    """
    targets = [file.target for file in staged]
    try:
        with paths.explain_errors(targets[-1], "replace"):
            directory = tempfile.mkdtemp(
                paths.TEMPORARY_SUFFIX, paths.temporary_prefix(targets[-1]), staged[-1].directory
            )
            now, following, old, new = (
                os.path.join(directory, name) for name in ("now", "next", "old", "new")
            )
            for path in (directory, old, new):
                if path != directory:
                    os.mkdir(path)
                handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    os.fchmod(handle, 0o711)
                finally:
                    os.close(handle)
            os.symlink("old", now)
            os.symlink("new", following)
            for index, file in enumerate(staged):
                with paths.explain_errors(file.target, "replace"):
                    os.link(file.target, os.path.join(old, str(index)))
                file.verify()
                os.link(file.temporary, os.path.join(new, str(index)))
                os.symlink(os.path.join(now, str(index)), os.path.join(directory, f"link{index}"))
            paths.sync(directory)
            for index, target in enumerate(targets):
                os.rename(os.path.join(directory, f"link{index}"), target)
                paths.sync(os.path.dirname(target))
            os.rename(following, now)
            paths.sync(directory)
    finally:
        recover(targets)


def recover(targets: t.Sequence[str]) -> None:
    """Convert symlinks of an interrupted `replace` to regular files, and remove its directories.

    Ignores targets that do not exist or that `replace` never changed. Raises FilesError.
    """
    for path in filter(paths.is_swapped, targets):
        with paths.explain_errors(path, "recover"):
            # A symlink from another user could point to any file of root.
            paths.guard(path)
            os.rename(os.path.realpath(path), path)
            paths.sync(os.path.dirname(path))
    for path in targets:
        with paths.explain_errors(path, "recover"):
            if os.path.isdir(os.path.dirname(path)):
                for directory in filter(
                    os.path.isdir,
                    paths.list_siblings(path, paths.TEMPORARY_SUFFIX, paths.temporary_prefix(path)),
                ):
                    shutil.rmtree(directory)

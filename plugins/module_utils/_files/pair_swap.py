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
    """Put staged files in place, in this order; return the paths of the former contents' copies.

    Files that exist, on one file system, change at the same moment. Raises FilesError.
    """
    with paths.explain_errors(staged[-1].target, "replace"):
        together = len(staged) > 1 and all(paths.stat_regular(file.target) for file in staged)
        together = together and len({os.stat(file.folder).st_dev for file in staged}) == 1
    return commit_all(staged, backup, _swap if together else None)


def _swap(staged: t.Sequence[Staged]) -> None:
    """Replace files so that whoever reads them, and whoever kills this, finds all of them old or all new.

    Each becomes, for a moment, a symlink through one link that turns from the old files to the new ones by a rename.
    The folder for that is beside the last file, which has to be the one that most may read.
    """
    targets = [file.target for file in staged]
    try:
        with paths.explain_errors(targets[-1], "replace"):
            folder = tempfile.mkdtemp(
                paths.TEMPORARY_SUFFIX, paths.temporary_prefix(targets[-1]), staged[-1].folder
            )
            now, following, old, new = (
                os.path.join(folder, name) for name in ("now", "next", "old", "new")
            )
            for directory in (folder, old, new):
                if directory != folder:
                    os.mkdir(directory)
                handle = os.open(
                    directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                )
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
                os.symlink(os.path.join(now, str(index)), os.path.join(folder, f"link{index}"))
            paths.sync(folder)
            for index, target in enumerate(targets):
                os.rename(os.path.join(folder, f"link{index}"), target)
                paths.sync(os.path.dirname(target))
            os.rename(following, now)
            paths.sync(folder)
    finally:
        recover(targets)


def recover(targets: t.Sequence[str]) -> None:
    """Turn the symlinks that :func:`replace` or a kill of it left into regular files again, and remove its directories.

    Targets that are not there, or were never replaced so, are passed over. Raises FilesError.
    """
    for path in filter(paths.is_swapped, targets):
        with paths.explain_errors(path, "mend"):
            # Where somebody else could have made the symlink, it may point to any file of root's.
            paths.guard(path)
            os.rename(os.path.realpath(path), path)
            paths.sync(os.path.dirname(path))
    for path in targets:
        with paths.explain_errors(path, "mend"):
            if os.path.isdir(os.path.dirname(path)):
                for folder in filter(
                    os.path.isdir,
                    paths.list_siblings(path, paths.TEMPORARY_SUFFIX, paths.temporary_prefix(path)),
                ):
                    shutil.rmtree(folder)

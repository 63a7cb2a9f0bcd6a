# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write one file: private from the first byte, synced, and moved into place by a rename."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import typing as t
from datetime import datetime, timezone

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths

_BACKUP = ".bak~"


def sweep(path: str, *, link: bool = False) -> None:
    """Remove the temporary files that killed runs left for *path*; those of running ones are locked, and stay.

    With *link*, the path is itself to be a symlink, and is not resolved.
    """
    target = path if link else paths.resolve(path)
    if not os.path.isdir(os.path.dirname(target)):
        return
    for name in paths.list_siblings(target, paths.TEMPORARY_SUFFIX, paths.temporary_prefix(target)):
        with contextlib.suppress(OSError):
            if os.path.islink(name):
                os.unlink(name)
                continue
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name)
            finally:
                os.close(handle)


def rights_setter(uid: int, gid: int, mode: int) -> t.Callable[[int], None]:
    """Return what gives an open file this owner, group (-1 keeps either) and mode; raises OSError."""

    def apply(handle: int) -> None:
        status = os.fstat(handle)
        # An unprivileged caller may not even set the owner that is there.
        if uid not in (-1, status.st_uid) or gid not in (-1, status.st_gid):
            os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)

    return apply


class Staged:
    """New content for a file, complete and synced beside it, waiting for its rename.

    The owner, group and mode of an existing file are taken over. *attributes* gets the temporary file's path, for what can
    be set by path only, such as an SELinux context; *rights* gets its descriptor, for owner and mode, so that whoever swaps
    the temporary for a link gains nothing. Raises FilesError.
    """

    def __init__(
        self,
        path: str,
        content: bytes,
        attributes: t.Callable[[str], object] | None = None,
        rights: t.Callable[[int], object] | None = None,
    ) -> None:
        self.path, self.target, self.committed = path, paths.resolve(path), False
        self.folder = os.path.dirname(self.target)
        if not os.path.isdir(self.folder):
            raise FilesError(
                f"the directory {self.folder!r} does not exist: create it before {path!r}"
            )
        paths.guard(self.target)
        with paths.explain_errors(path, "write"):
            former = paths.stat_regular(self.target)
            handle = self._create()
            self._handle: int | None = handle
            try:
                with os.fdopen(os.dup(handle), "wb") as stream:
                    stream.write(content)
                if former is not None:
                    rights_setter(former.st_uid, former.st_gid, stat.S_IMODE(former.st_mode))(
                        handle
                    )
                if attributes is not None:
                    attributes(self.temporary)
                if rights is not None:
                    rights(handle)
                self.verify()
                os.fsync(handle)
            except BaseException:
                self.discard()
                raise

    def _create(self) -> int:
        while True:
            handle, self.temporary = tempfile.mkstemp(
                paths.TEMPORARY_SUFFIX, paths.temporary_prefix(self.target), self.folder
            )
            # A sweep may have come between the two calls: it holds the lock, or has unlinked the file already.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return handle
            os.close(handle)

    def verify(self) -> None:
        """Raise FilesError where the temporary file is no longer the one that was written."""
        with paths.explain_errors(self.path, "write"):
            try:
                same = self._handle is not None and os.path.samestat(
                    os.lstat(self.temporary), os.fstat(self._handle)
                )
            except FileNotFoundError:
                same = False
        if not same:
            raise FilesError(
                f"the temporary file of {self.path!r} was replaced while it was written:"
                f" find out who may write {self.folder!r}, and let root alone do so"
            )

    def commit(self) -> None:
        """Put the new content in place; raise FilesError where that fails, with the former content untouched."""
        try:
            with paths.explain_errors(self.target, "replace"):
                paths.stat_regular(self.target)
                self.verify()
                os.rename(self.temporary, self.target)
                self.committed = True
                paths.sync(self.folder)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary file, if it is not in place yet."""
        if self._handle is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(self.temporary)
        os.close(self._handle)
        self._handle = None


def back_up(path: str, backup: int) -> str | None:
    """Copy the content of *path* beside it, with mode 0600; return the copy's path. The newest *backup* copies stay."""
    target = paths.resolve(path)
    content = paths.read(target) if backup > 0 else None
    if content is None:
        return None
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = f"{target}.{stamp}{_BACKUP}"
    Staged(kept, content).commit()
    for old in paths.list_siblings(target, _BACKUP, f"{os.path.basename(target)}.")[:-backup]:
        with contextlib.suppress(OSError):
            os.unlink(old)
    return kept


def write(
    path: str,
    content: bytes,
    *,
    attributes: t.Callable[[str], object] | None = None,
    rights: t.Callable[[int], object] | None = None,
    backup: int = 0,
) -> str | None:
    """Replace the content of *path* as a whole or not at all; return the path of the former content's copy.

    *attributes* and *rights* are those of :class:`Staged`, and *backup* is how many copies are kept. Raises FilesError.
    """
    return commit_all([Staged(path, content, attributes, rights)], backup)[0]


def commit_all(
    staged: t.Sequence[Staged],
    backup: int,
    commit: t.Callable[[t.Sequence[Staged]], object] | None = None,
) -> list[str | None]:
    """Put staged files in place, by *commit* or one after the other; return the paths of the former contents' copies."""
    kept: list[str | None] = []
    try:
        for file in staged:
            kept.append(back_up(file.target, backup))  # noqa: PERF401 - those before a failure have to be known
        (commit or _commit_each)(staged)
    except BaseException:
        # Copies of what is still in place say nothing; they would only push older ones out.
        for copy in filter(None, kept if not any(file.committed for file in staged) else ()):
            with contextlib.suppress(OSError):
                os.unlink(copy)
        raise
    finally:
        for file in staged:
            file.discard()
    return kept


def _commit_each(staged: t.Sequence[Staged]) -> None:
    for file in staged:
        file.commit()


def remove(path: str, *, backup: int = 0) -> str | None:
    """Remove a regular file, if there is one; return the path of its copy. Raises FilesError."""
    target = paths.resolve(path)
    with paths.explain_errors(path, "remove"):
        if paths.stat_regular(target) is None:
            return None
        kept = back_up(path, backup)
        os.unlink(target)
        if target != path:
            os.unlink(path)
        paths.sync(os.path.dirname(target))
    return kept

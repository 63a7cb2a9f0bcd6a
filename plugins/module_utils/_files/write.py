# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write one file: to a private temporary file, synced, then renamed."""

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

_BACKUP_SUFFIX = ".bak~"


def sweep(path: str, *, link: bool = False) -> None:
    """Remove the temporary files of interrupted runs; those of active runs are locked and stay.

    With `link`, the path is a symlink, which is not resolved.
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
    """Return a function that sets owner, group and mode of an open file; it raises OSError.

    -1 keeps the owner or the group.
    """

    def apply(handle: int) -> None:
        status = os.fstat(handle)
        # An unprivileged caller cannot even set the existing owner again.
        if uid not in (-1, status.st_uid) or gid not in (-1, status.st_gid):
            os.fchown(handle, uid, gid)
        os.fchmod(handle, mode)

    return apply


class Staged:
    """New content for a file, complete and synced in a temporary file next to it.

    The content is one value, or blocks. If the blocks end with an error, no file remains.

    The temporary file gets owner, group and mode of the existing file. `attributes` sets what
    requires a path, such as the SELinux context. `rights` sets the permissions by the descriptor:
    a user that replaces the temporary file by a link gains nothing. Raises FilesError.
    """

    def __init__(
        self,
        path: str,
        content: bytes | t.Iterable[bytes],
        attributes: t.Callable[[str], object] | None = None,
        rights: t.Callable[[int], object] | None = None,
    ) -> None:
        self.path, self.target, self.committed = path, paths.resolve(path), False
        self.directory = os.path.dirname(self.target)
        if not os.path.isdir(self.directory):
            raise FilesError(
                f"the directory {self.directory!r} does not exist; create it before {path!r}"
            )
        paths.guard(self.target)
        with paths.explain_errors(path, "write"):
            existing = paths.stat_regular(self.target)
            handle = self._create()
            self._handle: int | None = handle
            try:
                with os.fdopen(os.dup(handle), "wb") as stream:
                    stream.writelines([content] if isinstance(content, bytes) else content)
                if existing is not None:
                    mode = stat.S_IMODE(existing.st_mode)
                    rights_setter(existing.st_uid, existing.st_gid, mode)(handle)
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
                paths.TEMPORARY_SUFFIX, paths.temporary_prefix(self.target), self.directory
            )
            # Before this lock, the sweep of another run can lock or remove the file.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return handle
            os.close(handle)

    def verify(self) -> None:
        """Raise FilesError if the path no longer leads to the written temporary file."""
        with paths.explain_errors(self.path, "write"):
            try:
                same = self._handle is not None and os.path.samestat(
                    os.lstat(self.temporary), os.fstat(self._handle)
                )
            except FileNotFoundError:
                same = False
        if not same:
            raise FilesError(
                f"the temporary file of {self.path!r} was replaced during the write; grant write"
                f" access to {self.directory!r} only to root"
            )

    def commit(self) -> None:
        """Replace the file; raise FilesError and keep the previous content if the rename fails."""
        try:
            with paths.explain_errors(self.target, "replace"):
                paths.stat_regular(self.target)
                self.verify()
                os.rename(self.temporary, self.target)
                self.committed = True
                paths.sync(self.directory)
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary file, unless it has replaced the file."""
        if self._handle is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(self.temporary)
        os.close(self._handle)
        self._handle = None


def back_up(path: str, max_copies: int) -> str | None:
    """Copy a file within its directory, with mode 0600, and keep the newest `max_copies` copies.

    Returns the path of the copy; None if there is no file or no copy is kept.
    """
    target = paths.resolve(path)
    content = paths.read(target) if max_copies > 0 else None
    if content is None:
        return None
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    copy = f"{target}.{stamp}{_BACKUP_SUFFIX}"
    Staged(copy, content).commit()
    for old in paths.list_siblings(target, _BACKUP_SUFFIX, f"{os.path.basename(target)}.")[
        :-max_copies
    ]:
        with contextlib.suppress(OSError):
            os.unlink(old)
    return copy


def write(
    path: str,
    content: bytes,
    *,
    attributes: t.Callable[[str], object] | None = None,
    rights: t.Callable[[int], object] | None = None,
    backup: int = 0,
) -> str | None:
    """Replace the content of a file completely or not at all; return the path of the copy.

    `attributes` and `rights` are those of `Staged`. `backup` is the number of copies to keep.
    Raises FilesError.
    """
    return commit_all([Staged(path, content, attributes, rights)], backup)[0]


def commit_all(
    staged: t.Sequence[Staged],
    backup: int,
    commit: t.Callable[[t.Sequence[Staged]], object] | None = None,
) -> list[str | None]:
    """Replace files by their staged content, and return the paths of the copies.

    The function `commit` replaces the files; by default, one after the other. `backup` is the
    number of copies to keep.
    """
    copies: list[str | None] = []
    try:
        for file in staged:
            copies.append(back_up(file.target, backup))  # noqa: PERF401 - needed after a failure
        (commit or _commit_each)(staged)
    except BaseException:
        # If no file was replaced, the new copies are useless and would displace older copies.
        for copy in filter(None, copies if not any(file.committed for file in staged) else ()):
            with contextlib.suppress(OSError):
                os.unlink(copy)
        raise
    finally:
        for file in staged:
            file.discard()
    return copies


def _commit_each(staged: t.Sequence[Staged]) -> None:
    for file in staged:
        file.commit()


def remove(path: str, *, backup: int = 0) -> str | None:
    """Remove a regular file if it exists; return the path of its copy. Raises FilesError."""
    target = paths.resolve(path)
    with paths.explain_errors(path, "remove"):
        if paths.stat_regular(target) is None:
            return None
        copy = back_up(path, backup)
        os.unlink(target)
        if target != path:
            os.unlink(path)
        paths.sync(os.path.dirname(target))
    return copy

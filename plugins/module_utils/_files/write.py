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
import typing as t
from datetime import datetime, timezone

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths

_BACKUP_SUFFIX = ".bak~"
TEMPORARY_MODE = 0o600


def sweep(path: str, *, link: bool = False) -> None:
    """Remove the temporary files of interrupted runs; those of active runs are locked and stay.

    With `link`, the path is a symlink, which is not resolved.
    """
    with paths.explain_errors(path, "sweep"), contextlib.ExitStack() as stack:
        place = paths.try_locate(path, link=link)
        if place is not None:
            stack.enter_context(place)
            prefix = paths.temporary_prefix(place.name)
            for name in place.list_siblings(paths.TEMPORARY_SUFFIX, prefix):
                with contextlib.suppress(OSError):
                    _sweep_file(place.handle, name)


def _sweep_file(directory: int, name: str) -> None:
    """Remove a temporary file, unless an active run has locked it. Raises OSError."""
    if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=directory)
        return
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=directory)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=directory)
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
    requires a path, such as the SELinux context. `rights` sets the permissions by the descriptor.
    If a user replaces the temporary file with a link, the target of the link does not change.
    Raises FilesError.
    """

    def __init__(
        self,
        path: str,
        content: bytes | t.Iterable[bytes],
        attributes: t.Callable[[str], object] | None = None,
        rights: t.Callable[[int], object] | None = None,
    ) -> None:
        self.path, self.committed = path, False
        with paths.explain_errors(path, "write"):
            self.place = self._locate()
            self._handle: int | None = None
            try:
                existing = paths.regular_status(self.place)
                self._handle, self.name = self._create()
                # The umask can have removed permissions.
                os.fchmod(self._handle, TEMPORARY_MODE)
                with os.fdopen(os.dup(self._handle), "wb") as stream:
                    stream.writelines([content] if isinstance(content, bytes) else content)
                if existing is not None:
                    mode = stat.S_IMODE(existing.st_mode)
                    rights_setter(existing.st_uid, existing.st_gid, mode)(self._handle)
                if attributes is not None:
                    attributes(self.temporary)
                if rights is not None:
                    rights(self._handle)
                self.verify()
                os.fsync(self._handle)
            except BaseException:
                self.discard()
                raise

    @property
    def target(self) -> str:
        """The resolved path of the file."""
        return self.place.path

    @property
    def temporary(self) -> str:
        """The path of the temporary file."""
        return os.path.join(self.place.directory, self.name)

    def _locate(self) -> paths.Place:
        try:
            return paths.locate(self.path, strict=True)
        except FileNotFoundError:
            raise FilesError(
                f"the directory {os.path.dirname(self.path)!r} does not exist; create it before"
                f" {self.path!r}"
            ) from None

    def _create(self) -> tuple[int, str]:
        """Create a temporary file, and return its handle and name."""
        while True:
            name = paths.temporary_name(self.place.name)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                handle = os.open(name, flags, TEMPORARY_MODE, dir_fd=self.place.handle)
            except FileExistsError:
                continue
            # Until this lock is held, the cleanup of another run can lock or remove the file.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return handle, name
            os.close(handle)

    def verify(self) -> None:
        """Raise FilesError if the name no longer leads to the written temporary file."""
        with paths.explain_errors(self.path, "write"):
            try:
                status = os.stat(self.name, dir_fd=self.place.handle, follow_symlinks=False)
                same = self._handle is not None and os.path.samestat(status, os.fstat(self._handle))
            except FileNotFoundError:
                same = False
        if not same:
            raise FilesError(
                f"the temporary file of {self.path!r} was replaced during the write; grant write"
                f" access to {self.place.directory!r} only to root"
            )

    def commit(self) -> None:
        """Replace the file; raise FilesError and keep the previous content if the rename fails."""
        try:
            with paths.explain_errors(self.target, "replace"):
                paths.regular_status(self.place)
                self.verify()
                directory = self.place.handle
                os.rename(self.name, self.place.name, src_dir_fd=directory, dst_dir_fd=directory)
                self.committed = True
                self.place.sync()
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary file, unless it has replaced the file, and close the directory."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=self.place.handle)
            os.close(self._handle)
            self._handle = None
        self.place.close()


def back_up(path: str, max_copies: int) -> str | None:
    """Copy a file within its directory, with mode 0600, and keep the newest `max_copies` copies.

    Returns the path of the copy; None if there is no file or no copy is kept.
    """
    content = paths.read(path) if max_copies > 0 else None
    if content is None:
        return None
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    copy = f"{paths.resolve(path)}.{stamp}{_BACKUP_SUFFIX}"
    Staged(copy, content).commit()
    with paths.open_parent(copy) as place:
        prefix = place.name[: -len(stamp) - len(_BACKUP_SUFFIX)]
        for old in place.list_siblings(_BACKUP_SUFFIX, prefix)[:-max_copies]:
            with contextlib.suppress(OSError):
                os.unlink(old, dir_fd=place.handle)
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
    """Replace files with their staged content, and return the paths of the copies.

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
    with paths.explain_errors(path, "remove"), contextlib.ExitStack() as stack:
        place = paths.try_locate(path)
        if place is None or paths.regular_status(stack.enter_context(place)) is None:
            return None
        copy = back_up(path, backup)
        os.unlink(place.name, dir_fd=place.handle)
        place.sync()
        _remove_link(path, place)
    return copy


def _remove_link(path: str, place: paths.Place) -> None:
    """Remove the link that led to a removed file."""
    with paths.open_parent(path) as link:
        if link.path != place.path:
            os.unlink(link.name, dir_fd=link.handle)
            link.sync()

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Give a directory to an unprivileged user safely, without following that user's links."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_LINKS = 40
"""Maximum number of symlinks in a path, as in Linux."""


def create_directory(path: str, mode: int = 0o755) -> None:
    """Create a directory of root with this mode, whatever the umask; keep an existing directory.

    The parent directory must exist. Raises FilesError if another user can write to the parent.
    """
    paths.guard(path)
    with paths.explain_errors(path, "create"):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if os.path.isdir(path):
                return
            raise
        handle = os.open(path, DIRECTORY_FLAGS)
        try:
            os.fchmod(handle, mode)
        finally:
            os.close(handle)


def give_directory(path: str, user: str, mode: int, *, dry: bool = False) -> bool:
    """Give a directory with this mode to a user; create missing directories of its path.

    The parent directories belong to root. The group is ignored. Returns whether a directory
    changed, or would change with `dry`. Raises FilesError if the user can write to a parent
    directory: a link there could make root give any other directory to the user.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        if dry:
            return True
        raise FilesError(
            f"{user!r} does not exist on this host; create it first", option="user"
        ) from None
    groups = {account.pw_gid, *(entry.gr_gid for entry in grp.getgrall() if user in entry.gr_mem)}
    with paths.explain_errors(path, "create"), contextlib.ExitStack() as handles:
        walk = _Walk(path, account.pw_uid, groups, handles)
        created = False
        for name, last in walk.names():
            if walk.enter(name):
                continue
            if dry:
                return True
            os.mkdir(name, 0o700 if last else 0o755, dir_fd=walk.handle)
            created = walk.enter(name)
            if not created:
                raise FilesError(
                    f"{path!r} was removed during its creation; stop the program that removes it"
                )
        status = os.fstat(walk.handle)
        if (status.st_uid, stat.S_IMODE(status.st_mode)) == (account.pw_uid, mode):
            return created
        if not dry:
            os.fchown(walk.handle, account.pw_uid, -1)
            os.fchmod(walk.handle, mode)
        return True


class _Walk:
    """Enter each directory of a path, from the root, by file descriptors.

    It follows a link only if the directory of the link is safe.
    """

    def __init__(
        self, path: str, uid: int, groups: Collection[int], handles: contextlib.ExitStack
    ) -> None:
        self._path, self._uid, self._groups, self._handles = path, uid, groups, handles
        self._links = 0
        self._pending = self._parts(path)
        self._walked = ["/"]
        self.handle = self._open("/", None)

    @staticmethod
    def _parts(path: str) -> list[str]:
        return [part for part in reversed(path.split("/")) if part not in ("", ".")]

    def _open(self, name: str, parent: int | None) -> int:
        handle = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        self._handles.callback(os.close, handle)
        return handle

    def names(self) -> Iterator[tuple[str, bool]]:
        """Yield each name of the path with resolved links, and whether it is the last name."""
        while self._pending:
            name = self._pending.pop()
            self._guard()
            target = self._link(name)
            if target is None:
                yield name, not self._pending
                continue
            self._links += 1
            if self._links > MAX_LINKS:
                raise FilesError(
                    f"{self._path!r} leads through too many links; set a path without links"
                )
            self._pending += self._parts(target)
            if target.startswith("/"):
                self.handle = self._open("/", None)
                self._walked = ["/"]

    def enter(self, name: str) -> bool:
        """Enter a directory; return whether it exists."""
        try:
            self.handle = self._open(name, self.handle)
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            raise FilesError(
                f"{self._path!r}: {name!r} is not a directory; remove it, or set another path"
            ) from None
        self._walked.append(name)
        return True

    def _link(self, name: str) -> str | None:
        with contextlib.suppress(OSError):
            return os.readlink(name, dir_fd=self.handle)
        return None

    def _guard(self) -> None:
        """Raise FilesError if the user can write to the directory that was entered last."""
        status = os.fstat(self.handle)
        if (
            status.st_uid == self._uid
            or status.st_mode & stat.S_IWOTH
            or (status.st_mode & stat.S_IWGRP and status.st_gid in self._groups)
        ):
            user = pwd.getpwuid(self._uid).pw_name
            raise FilesError(
                f"root cannot create {self._path!r} safely: {user} can write to"
                f" {os.path.join(*self._walked)!r} and could create a link there; set a path"
                " below a"
                " directory of root"
            )

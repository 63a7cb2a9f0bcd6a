# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Give an unprivileged user a directory, so that nothing that this user lays in its place or on the way to it is given away too."""

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
"""As the kernel has it."""


def give_directory(path: str, user: str, mode: int, *, dry: bool = False) -> bool:
    """Give a directory to a user, with this mode and whatever group; make it and what is missing above it, which is root's.

    Return whether anything was changed, or with *dry* would be. Raise FilesError where the user may write a directory on the
    way: it could put a link there, and root would give it what that leads to.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        if dry:
            return True
        raise FilesError(
            f"{user!r} does not exist on this host: create it first", option="user"
        ) from None
    groups = {account.pw_gid, *(entry.gr_gid for entry in grp.getgrall() if user in entry.gr_mem)}
    with paths.explain_errors(path, "make"), contextlib.ExitStack() as handles:
        way = _Way(path, account.pw_uid, groups, handles)
        made = False
        for name, last in way.names():
            if way.enter(name):
                continue
            if dry:
                return True
            os.mkdir(name, 0o700 if last else 0o755, dir_fd=way.handle)
            made = way.enter(name)
            if not made:
                raise FilesError(
                    f"{path!r} was removed while it was made: find out by whom, and run again"
                )
        status = os.fstat(way.handle)
        if (status.st_uid, stat.S_IMODE(status.st_mode)) == (account.pw_uid, mode):
            return made
        if not dry:
            os.fchown(way.handle, account.pw_uid, -1)
            os.fchmod(way.handle, mode)
        return True


class _Way:
    """The way from the root to a directory, held by descriptors. Links are followed by name, each found in a directory that is safe."""

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

    def _open(self, name: str, folder: int | None) -> int:
        handle = os.open(name, DIRECTORY_FLAGS, dir_fd=folder)
        self._handles.callback(os.close, handle)
        return handle

    def names(self) -> Iterator[tuple[str, bool]]:
        """The names to enter one after the other, and whether each is the last one; what a link adds is among them."""
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
                    f"{self._path!r} leads through too many links: name the directory itself"
                )
            self._pending += self._parts(target)
            if target.startswith("/"):
                self.handle = self._open("/", None)
                self._walked = ["/"]

    def enter(self, name: str) -> bool:
        """Go into a directory; tell whether it is there."""
        try:
            self.handle = self._open(name, self.handle)
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            raise FilesError(
                f"{self._path!r}: {name!r} is not a directory: remove it or name another path"
            ) from None
        self._walked.append(name)
        return True

    def _link(self, name: str) -> str | None:
        with contextlib.suppress(OSError):
            return os.readlink(name, dir_fd=self.handle)
        return None

    def _guard(self) -> None:
        """Raise FilesError where the user may change what lies in the directory that was entered last."""
        status = os.fstat(self.handle)
        if (
            status.st_uid == self._uid
            or status.st_mode & stat.S_IWOTH
            or (status.st_mode & stat.S_IWGRP and status.st_gid in self._groups)
        ):
            user = pwd.getpwuid(self._uid).pw_name
            raise FilesError(
                f"{self._path!r} is not safe for root to make: {user} may write {os.path.join(*self._walked)!r}, and could put a link to"
                " anything there; name a directory in one of root's"
            )

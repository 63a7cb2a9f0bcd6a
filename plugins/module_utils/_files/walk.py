# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Enter the directories of a path one by one, so that no link of another user redirects root.

Each directory is opened by its name in the directory before it, without following a link. A link is
followed only if root owns it and its directory, and no other user can write to that directory. For
a caller other than root, links are followed as usual.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError

READ_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_PATH requires no permission to read the directory. Other systems than Linux have no O_PATH.
ENTER_FLAGS = READ_FLAGS | getattr(os, "O_PATH", 0)
MAX_LINKS = 40
"""Maximum number of symlinks in a path, as in Linux."""
ACCESS_CONTROL_LIST = "system.posix_acl_access"


LinkGuard = t.Callable[[int, str, str], object]
"""A function that checks a link: the handle and the path of its directory, and its name."""


class Risk(t.NamedTuple):
    """The reason why a user other than root can change a link, or the names in a directory."""

    path: str
    reason: str  # one clause with the path
    uid: int  # owner of the directory or link
    is_link: bool = False


class Walk:
    """Enter the directories of an absolute path by file descriptors.

    `guard` is called for each directory before a name in it is used. The function raises an error
    to end the walk. `link_guard` is called for each link before it is followed.
    """

    def __init__(
        self,
        path: str,
        guard: t.Callable[[Walk], object],
        link_guard: LinkGuard | None = None,
    ) -> None:
        self.path, self.place = path, "/"
        self._guard, self._link_guard = guard, link_guard or check_link
        self._links = 0
        self.is_complete = False
        self._pending = _parts(path)
        self.handle = os.open("/", ENTER_FLAGS)

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.handle >= 0:
            os.close(self.handle)

    def detach(self) -> int:
        """Return the handle of the current directory, which the caller must close."""
        handle, self.handle = self.handle, -1
        return handle

    def names(self) -> t.Iterator[tuple[str, bool]]:
        """Yield each name of the path with resolved links, and whether it is the last name.

        The caller must enter each name. After the last name, the guard checks the last directory.
        """
        while self._pending:
            name = self._pending.pop()
            self._guard(self)
            target = self._read_link(name)
            if target is None:
                yield name, not self._pending
                continue
            self._links += 1
            if self._links > MAX_LINKS:
                raise FilesError(
                    f"{self.path!r} leads through too many links; set a path without links"
                )
            self._pending += _parts(target)
            if target.startswith("/"):
                self._move(os.open("/", ENTER_FLAGS), "/")
        self.is_complete = True
        self._guard(self)

    def enter(self, name: str) -> bool:
        """Enter a directory; return whether it exists. Raises OSError if it is a file."""
        try:
            handle = os.open(name, ENTER_FLAGS, dir_fd=self.handle)
        except FileNotFoundError:
            return False
        self._move(handle, os.path.normpath(os.path.join(self.place, name)))
        return True

    def find_risk(self) -> Risk | None:
        """Return why a user other than root can write to the current directory."""
        return find_directory_risk(self.handle, self.place)

    def _move(self, handle: int, place: str) -> None:
        os.close(self.handle)
        self.handle, self.place = handle, place

    def _read_link(self, name: str) -> str | None:
        """Return the target of a link; None for any other file. Raises FilesError."""
        try:
            target = os.readlink(name, dir_fd=self.handle)
        except OSError:
            return None
        self._link_guard(self.handle, self.place, name)
        return target


def _parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def check_link(handle: int, place: str, name: str, *, sticky: bool = False) -> None:
    """Raise FilesError if root must not follow a link of an open directory."""
    risk = find_link_risk(handle, place, name, sticky=sticky)
    if risk is not None:
        raise FilesError(
            f"root cannot follow the link {os.path.join(place, name)!r} safely: {risk.reason};"
            " remove the link, or set the path of its target"
        )


def find_link_risk(handle: int, place: str, name: str, *, sticky: bool = False) -> Risk | None:
    """Return why root must not follow a link of an open directory.

    With `sticky`, a link of root in a sticky directory is allowed.
    """
    if os.geteuid() != 0:
        return None
    status = os.stat(name, dir_fd=handle, follow_symlinks=False)
    link = os.path.join(place, name)
    if status.st_uid != 0:
        return Risk(link, f"{link!r} belongs to {account_name(status.st_uid)}", status.st_uid, True)
    risk = find_directory_risk(handle, place, sticky=sticky)
    return risk and risk._replace(path=link, is_link=True)


def find_directory_risk(handle: int, place: str, *, sticky: bool = True) -> Risk | None:
    """Return why a user other than root can change the names in an open directory.

    The rule is that of StrictModes in sshd: the directory belongs to root, and no other user can
    write to it. If `sticky` is true, sticky directories such as /tmp are allowed, because other
    users cannot rename root's files there. For a caller other than root, the result is None.
    """
    if os.geteuid() != 0:
        return None
    status = os.fstat(handle)
    if status.st_uid != 0:
        return Risk(place, f"{place!r} belongs to {account_name(status.st_uid)}", status.st_uid)
    is_sticky = sticky and status.st_mode & stat.S_ISVTX
    writers = None if is_sticky else _find_writers(status, handle)
    return Risk(place, f"{writers} can write to {place!r}", 0) if writers else None


def _find_writers(status: os.stat_result, handle: int) -> str | None:
    """Return which users other than the owner can write to a directory."""
    if status.st_mode & stat.S_IWOTH:
        return "every user"
    if not status.st_mode & stat.S_IWGRP:
        return None
    if status.st_gid != 0:
        return f"the group {account_name(status.st_gid, group=True)}"
    return "a user in its access control list" if _has_access_control_list(handle) else None


def _has_access_control_list(handle: int) -> bool:
    if not hasattr(os, "listxattr"):
        return False
    with contextlib.suppress(OSError), readable(handle) as directory:
        return ACCESS_CONTROL_LIST in os.listxattr(directory)
    return False


@contextlib.contextmanager
def readable(handle: int) -> t.Iterator[int]:
    """Open a directory again, for calls that require the permission to read it."""
    reading = os.open(".", READ_FLAGS, dir_fd=handle)
    try:
        yield reading
    finally:
        os.close(reading)


def remove_tree(name: str, handle: int) -> None:
    """Remove a directory of an open directory, with its content. Follows no link. Raises OSError."""
    for _path, directories, files, place in os.fwalk(name, topdown=False, dir_fd=handle):
        for entry in files:
            os.unlink(entry, dir_fd=place)
        for entry in directories:
            status = os.stat(entry, dir_fd=place, follow_symlinks=False)
            remove = os.rmdir if stat.S_ISDIR(status.st_mode) else os.unlink
            remove(entry, dir_fd=place)
    os.rmdir(name, dir_fd=handle)


def account_name(number: int, *, group: bool = False) -> str:
    """Return the name of a user or group, or its number if it has no name."""
    import grp  # noqa: PLC0415 - only for errors
    import pwd  # noqa: PLC0415

    try:
        return grp.getgrgid(number).gr_name if group else pwd.getpwuid(number).pw_name
    except KeyError:
        return f"{'gid' if group else 'uid'} {number}"

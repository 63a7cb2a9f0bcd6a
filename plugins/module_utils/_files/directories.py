# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Create directories with a mode, and give a directory to a user. Follow no foreign link."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
import typing as t
from collections.abc import Collection

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, walk

NEW_MODE = 0o700
PARENT_MODE = 0o755
"""Mode of a missing parent directory that is created."""
Rights = tuple[int, int, int]
"""Owner, group and mode of a directory. The group -1 keeps its group."""


def create_directory(path: str, mode: int = PARENT_MODE) -> bool:
    """Create a directory with this mode, whatever the umask; return whether it was missing.

    The parent directory must exist. An existing directory is kept. Raises FilesError if another
    user than root can change a name in the path.
    """
    with (
        paths.explain_errors(path, "create"),
        paths.open_parent(path.rstrip("/"), strict=True) as place,
    ):
        if _is_directory(path, place):
            return False
        _create(place.name, place.handle, mode)
        place.sync()
        return True


def create_directories(path: str, mode: int) -> bool:
    """Create a directory and its missing parents with this mode; return whether it was missing."""
    missing = []
    directory = os.path.normpath(path)
    while not os.path.isdir(directory) and not os.path.lexists(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for part in [*reversed(missing), path]:
        create_directory(part, mode)
    return bool(missing)


def _is_directory(path: str, place: paths.Place) -> bool:
    """Return whether a path leads to a directory. Raises FilesError for any other file."""
    if place.status() is None:
        return False
    if not os.path.isdir(place.path):
        raise FilesError(f"{path!r} is not a directory; remove it, or set another path")
    return True


def _create(name: str, parent: int, mode: int) -> None:
    os.mkdir(name, NEW_MODE, dir_fd=parent)
    handle = os.open(name, walk.READ_FLAGS, dir_fd=parent)
    try:
        # The umask can have removed permissions.
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def remove_empty_directory(path: str) -> bool:
    """Remove a directory if it is empty; return whether it was removed."""
    with contextlib.suppress(OSError, FilesError), paths.open_parent(path.rstrip("/")) as place:
        os.rmdir(place.name, dir_fd=place.handle)
        return True
    return False


def remove_directory(path: str) -> None:
    """Remove a directory with its content, and follow no link in it. Raises FilesError."""
    with paths.explain_errors(path, "remove"), paths.open_parent(path, strict=True) as place:
        walk.remove_tree(place.name, place.handle)
        place.sync()


def give_directory(path: str, user: str, mode: int, *, dry: bool = False) -> bool:
    """Give a directory with this mode to a user; create missing directories of its path.

    The parent directories belong to root. The group is ignored. Returns whether a directory
    changed, or would change with `dry`. Raises FilesError if the user can write to a parent
    directory: a link there could make root give any other directory to the user.
    """
    account = _find_account(user)
    if account is None and dry:
        return True
    if account is None:
        raise FilesError(f"{user!r} does not exist on this host; create it first", option="user")
    return _converge(path, _UserGuard(path, account), (account.pw_uid, -1, mode), dry=dry)


def own_directory(path: str, gid: int, mode: int, *, dry: bool = False) -> bool:
    """Give a directory with this group and mode to root; create missing directories of its path.

    Returns whether a directory changed, or would change with `dry`. Raises FilesError if a user
    other than root can change a name in a parent directory.
    """
    guard = paths.make_guard(path)

    def guard_parents(way: walk.Walk) -> None:
        if not way.is_complete:
            guard(way)

    return _converge(path, guard_parents, (0, gid, mode), dry=dry)


def _converge(
    path: str, guard: t.Callable[[walk.Walk], object], rights: Rights, *, dry: bool
) -> bool:
    """Set the permissions of a directory, which is created if it is missing."""
    with (
        paths.explain_errors(path, "create"),
        walk.Walk(path, guard) as way,
    ):
        created = False
        for name, last in way.names():
            if _enter(way, name):
                continue
            if dry:
                return True
            _create(name, way.handle, NEW_MODE if last else PARENT_MODE)
            created = way.enter(name)
            if not created:
                raise FilesError(
                    f"{path!r} was removed during its creation; stop the program that removes it"
                )
        return _give(way.handle, rights, dry=dry) or created


def _enter(way: walk.Walk, name: str) -> bool:
    try:
        return way.enter(name)
    except NotADirectoryError:
        raise FilesError(
            f"{way.path!r}: {name!r} is not a directory; remove it, or set another path"
        ) from None


def _find_account(user: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(user)
    return None


def _give(handle: int, rights: Rights, *, dry: bool) -> bool:
    """Set the permissions of an open directory, and return whether one of them differs."""
    status = os.fstat(handle)
    uid, gid, mode = rights
    if gid == -1:
        gid = status.st_gid
    if (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, mode):
        return False
    if not dry:
        with walk.readable(handle) as directory:
            os.fchown(directory, uid, gid)
            os.fchmod(directory, mode)
    return True


class _UserGuard:
    """Reject a directory in which a user could create a link."""

    def __init__(self, path: str, account: pwd.struct_passwd) -> None:
        self._path, self._account = path, account
        self._groups: Collection[int] = {
            account.pw_gid,
            *(entry.gr_gid for entry in grp.getgrall() if account.pw_name in entry.gr_mem),
        }

    def __call__(self, way: walk.Walk) -> None:
        if way.is_complete:
            return
        status = os.fstat(way.handle)
        if (
            status.st_uid == self._account.pw_uid
            or status.st_mode & stat.S_IWOTH
            or (status.st_mode & stat.S_IWGRP and status.st_gid in self._groups)
        ):
            raise FilesError(
                f"root cannot create {self._path!r} safely: {self._account.pw_name} can write to"
                f" {way.place!r} and could create a link there; set a path below a directory that"
                " only root can write to"
            )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Give a directory of another user to root, and restore its previous owner."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, walk

WRITE_BITS = stat.S_IWGRP | stat.S_IWOTH
READ_BITS = 0o5
"""Permissions of one class of users to list and enter a directory."""


class DirectoryOwner(t.NamedTuple):
    """The owner, group and mode of a directory."""

    path: str
    uid: int
    gid: int
    mode: int


def can_take_directory(path: str, uid: int) -> bool:
    """Return whether the role can change the owner of a directory from a user to root.

    The role never does so for a directory in `/`, such as /etc, or for a home directory or a
    directory above it.
    """
    if os.path.dirname(path) == "/":
        return False
    account = _find_account(uid)
    home = os.path.normpath(account.pw_dir) if account else ""
    return uid == 0 or not f"{home}/".startswith(f"{path}/")


def take_directories(path: str, remember: t.Callable[[DirectoryOwner], object]) -> list[str]:
    """Give root each directory of a path in which another user could change names.

    `path` is the path of a directory. The previous owner can still read each directory. `remember`
    is called before a change. Returns the changed directories. Raises FilesError for a directory
    that root cannot take, and for a link in a directory that root takes.
    """
    taken: list[str] = []

    def guard(way: walk.Walk) -> None:
        risk = way.find_risk()
        if risk is None:
            return
        status = os.fstat(way.handle)
        owner = DirectoryOwner(
            way.place, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)
        )
        if not can_take_directory(owner.path, owner.uid):
            raise FilesError(
                f"{risk.reason}, and root does not take a home directory or a directory in /; set a"
                " path in another directory"
            )
        remember(owner)
        _set_owner(way.handle, owner._replace(uid=0, mode=_compute_mode(owner)))
        taken.append(way.place)

    def link_guard(handle: int, place: str, name: str) -> None:
        if place in taken:
            raise FilesError(
                f"{os.path.join(place, name)!r} is a link in a directory that another user could"
                " write to; replace the link with a directory, or set the path of its target"
            )
        walk.check_link(handle, place, name)

    with paths.explain_errors(path, "take"), walk.Walk(path, guard, link_guard) as way:
        for name, _last in way.names():
            if not way.enter(name):
                break
    return taken


def _compute_mode(owner: DirectoryOwner) -> int:
    """Return a mode with which only root can write, and the previous owner can still read."""
    mode = owner.mode & ~WRITE_BITS
    if owner.uid == 0:
        return mode
    readable = owner.mode >> 6 & READ_BITS
    return mode | (readable << 3 if _is_member(owner.uid, owner.gid) else readable)


def _is_member(uid: int, gid: int) -> bool:
    import grp  # noqa: PLC0415 - only for a change of the owner

    account = _find_account(uid)
    if account is None:
        return False
    with contextlib.suppress(KeyError):
        return account.pw_gid == gid or account.pw_name in grp.getgrgid(gid).gr_mem
    return account.pw_gid == gid


def _find_account(uid: int) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid)
    return None


def _set_owner(handle: int, owner: DirectoryOwner) -> None:
    with walk.readable(handle) as directory:
        os.fchown(directory, owner.uid, owner.gid)
        os.fchmod(directory, owner.mode)


def restore_owner(owner: DirectoryOwner) -> bool:
    """Restore the owner of a directory; return whether it changed.

    A directory that is missing, or that root has already given to a user, is not changed.
    """
    with paths.explain_errors(owner.path, "restore"):
        try:
            with paths.open_parent(os.path.join(owner.path, "")) as place:
                if os.fstat(place.handle).st_uid != 0:
                    return False
                _set_owner(place.handle, owner)
                return True
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
    return False

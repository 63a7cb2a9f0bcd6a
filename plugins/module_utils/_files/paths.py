# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Paths of files: what they stand for, bounded reading, and a lock on a directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError

MAX_FILE_BYTES = 1 << 20
TEMPORARY_SUFFIX = ".tmp~"
_NO_RIGHT = "run this as a user that may (become), and look for an immutable flag (lsattr)"
_ADVICE: dict[int | None, str] = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.ENOSPC: "make room, then run again; the file is as it was",
    errno.EDQUOT: "make room in the quota, then run again; the file is as it was",
    errno.EROFS: "mount the file system writable or name another path",
    errno.EIO: "look at the disk",
}


@contextlib.contextmanager
def explain_errors(path: str, what: str) -> Iterator[None]:
    """Turn an OSError into the FilesError "cannot *what* *path*", with the reason and what to do."""
    try:
        yield
    except FilesError:
        raise
    except (OSError, ValueError) as exc:
        number = exc.errno if isinstance(exc, OSError) else None
        reason = os.strerror(number) if number else "not a usable path"
        raise FilesError(
            f"cannot {what} {path!r}: {reason}; {_ADVICE.get(number, 'name another path')}"
        ) from None


def resolve(path: str, *, follow: bool = False) -> str:
    """Return the file that *path* stands for.

    A symlink may stay inside its own directory; with *follow*, as befits a file that is only read, it may go anywhere.
    """
    if (
        not os.path.isabs(path)
        or path.endswith("/")
        or any(char < " " or char == "\x7f" for char in path)
    ):
        raise FilesError(
            f"{path!r} cannot be a file's path: write it in full, from the root, with no slash at its end"
        )
    with explain_errors(path, "look at"):
        if not os.path.islink(path):
            return path
        target = os.path.realpath(path)
        inside = is_swapped(path) or target.startswith(
            os.path.join(os.path.realpath(os.path.dirname(path)), "")
        )
        if not inside and not follow:
            raise FilesError(
                f"{path!r} is a symlink that leaves its directory (to {target!r}): name that file instead"
            )
        if not os.path.exists(target):
            raise FilesError(
                f"{path!r} is a symlink to {target!r}, which does not exist: remove the symlink"
            )
        return target


def is_swapped(path: str) -> bool:
    """Tell whether this is a symlink that :func:`pair_swap.replace` left when it was killed."""
    return os.path.islink(path) and f"{TEMPORARY_SUFFIX}/now/" in os.readlink(path)


def find_risk(folder: str) -> str | None:
    """Return why root should write no file below *folder*, an existing directory; None where nothing speaks against it.

    As sshd's StrictModes judges: the directory and all above it have to belong to root or the caller, and nobody else may
    write them. Sticky ones such as /tmp pass, since nobody can rename there what root made. Callers who are not root get
    None: whom they trust with their files is their choice. Raises OSError.
    """
    if os.geteuid() != 0:
        return None
    place = os.path.realpath(folder)
    while True:
        status = os.stat(place)
        if status.st_uid not in (0, os.geteuid()):
            return f"{place!r} belongs to {_account(status.st_uid)}"
        if not status.st_mode & stat.S_ISVTX:
            if status.st_mode & stat.S_IWOTH:
                return f"everybody may write {place!r}"
            if status.st_mode & stat.S_IWGRP and status.st_gid != 0:
                return f"the group {_account(status.st_gid, group=True)} may write {place!r}"
        if place == os.path.dirname(place):
            return None
        place = os.path.dirname(place)


def guard(target: str) -> None:
    """Raise FilesError where an unprivileged user could swap a resolved path while root writes it."""
    folder = os.path.dirname(target)
    with explain_errors(target, "write"):
        why = find_risk(folder)
        if why is not None:
            raise FilesError(
                f"{target!r} is not safe for root to write: {why}, and who may write a directory can swap its files;"
                " chown it to root and chmod it to go-w, or run this as that user"
            )
        sticky = os.geteuid() == 0 and os.stat(folder).st_mode & stat.S_ISVTX
        former = os.lstat(target) if sticky and os.path.lexists(target) else None
        if former is not None and former.st_uid not in (0, os.geteuid()):
            raise FilesError(
                f"{target!r} belongs to {_account(former.st_uid)}, in a directory that others may write:"
                " remove it or name a directory of root's"
            )


def _account(number: int, *, group: bool = False) -> str:
    import grp  # noqa: PLC0415 - needed for errors only
    import pwd  # noqa: PLC0415

    try:
        return grp.getgrgid(number).gr_name if group else pwd.getpwuid(number).pw_name
    except KeyError:
        return f"{'gid' if group else 'uid'} {number}"


def stat_regular(path: str) -> os.stat_result | None:
    """Return the status of a resolved path that is a regular file, or None where nothing is."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "a device or other special file")
        raise FilesError(f"{path!r} is {kind}, not a regular file: remove it or name another path")
    return status


def read(path: str, *, limit: int = MAX_FILE_BYTES, follow: bool = False) -> bytes | None:
    """Return the content of a regular file, or None where nothing is; FilesError beyond *limit* bytes."""
    target = resolve(path, follow=follow)
    with explain_errors(path, "read"):
        if stat_regular(target) is None:
            return None
        # Without O_NONBLOCK, a FIFO put there in between would hang the module.
        handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FilesError(f"{path!r} is not a regular file: remove it or name another path")
            content = stream.read(limit + 1)
    if len(content) > limit:
        raise FilesError(
            f"{path!r} is larger than {limit} bytes, which no such file is: name another path"
        )
    return content


@contextlib.contextmanager
def lock(folder: str, *, timeout: float = 60) -> Iterator[None]:
    """Keep other runs out of a directory, leaving no lock file that a crash could forget.

    Raises FilesError where another run has held it for *timeout* seconds.
    """
    with explain_errors(folder, "lock"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FilesError(
                        f"another run has held {folder!r} for {timeout:g} s: wait for it or end it, then run again"
                    ) from None
                time.sleep(0.05)
            except OSError:
                break  # a file system without locks, such as some NFS mounts: renames still keep each file whole
        yield
    finally:
        os.close(handle)


def sync(folder: str) -> None:
    """Have the renames in a directory written to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # the file system has no such thing
            raise
    finally:
        os.close(handle)


def temporary_prefix(target: str) -> str:
    """Return how the names of a file's temporaries begin."""
    return f".{os.path.basename(target)[:200]}."


def list_siblings(target: str, suffix: str, prefix: str) -> list[str]:
    """Return the paths in the directory of *target* whose names begin and end so, sorted."""
    folder = os.path.dirname(target)
    return sorted(
        os.path.join(folder, name)
        for name in os.listdir(folder)
        if name.startswith(prefix) and name.endswith(suffix)
    )

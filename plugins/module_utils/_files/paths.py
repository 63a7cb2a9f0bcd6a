# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Resolve the paths of files safely, read files up to a size, and lock directories."""

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
_NO_ACCESS = "run as a user with access (become), and check for an immutable flag (lsattr)"
_ADVICE: dict[int | None, str] = {
    errno.EACCES: _NO_ACCESS,
    errno.EPERM: _NO_ACCESS,
    errno.ENOSPC: "free space, then run again; the file is unchanged",
    errno.EDQUOT: "free space in the quota, then run again; the file is unchanged",
    errno.EROFS: "mount the file system writable, or set another path",
    errno.EIO: "check the disk and the kernel log for input/output errors",
}


@contextlib.contextmanager
def explain_errors(path: str, action: str) -> Iterator[None]:
    """Convert an OSError to a FilesError with the action, the path, the reason and the advice."""
    try:
        yield
    except FilesError:
        raise
    except (OSError, ValueError) as exc:
        number = exc.errno if isinstance(exc, OSError) else None
        reason = os.strerror(number) if number else "the path contains a NUL or invalid character"
        raise FilesError(
            f"cannot {action} {path!r}: {reason}; {_ADVICE.get(number, 'set another path')}"
        ) from None


def resolve(path: str, *, follow: bool = False) -> str:
    """Return the file to which the path leads.

    A symlink can only lead to a file in or below its directory. With `follow`, it can lead
    anywhere: use it for files that are only read. Raises FilesError.
    """
    if (
        not os.path.isabs(path)
        or path.endswith("/")
        or any(char < " " or char == "\x7f" for char in path)
    ):
        raise FilesError(
            f"{path!r} is not a valid path of a file; set an absolute path without a slash at"
            " its end"
        )
    with explain_errors(path, "query"):
        if not os.path.islink(path):
            return path
        target = os.path.realpath(path)
        inside = is_swapped(path) or target.startswith(
            os.path.join(os.path.realpath(os.path.dirname(path)), "")
        )
        if not inside and not follow:
            raise FilesError(
                f"{path!r} is a symlink that leaves its directory (to {target!r}); set that path"
                " instead"
            )
        if not os.path.exists(target):
            raise FilesError(
                f"{path!r} is a symlink to {target!r}, which does not exist; remove the symlink"
            )
        return target


def is_swapped(path: str) -> bool:
    """Whether the path is a symlink from an interrupted `pair_swap.replace`."""
    return os.path.islink(path) and f"{TEMPORARY_SUFFIX}/now/" in os.readlink(path)


def find_risk(directory: str) -> str | None:
    """Return why root must not write to a file in an existing directory; None if it can.

    The rule is that of StrictModes in sshd: the directory and its parents belong to root or the
    caller, and no other user can write to them. Sticky directories such as /tmp are allowed,
    because other users cannot rename root's files there. For a caller other than root, the result
    is None. Raises OSError.
    """
    if os.geteuid() != 0:
        return None
    place = os.path.realpath(directory)
    while True:
        status = os.stat(place)
        if status.st_uid not in (0, os.geteuid()):
            return f"{place!r} belongs to {_account(status.st_uid)}"
        if not status.st_mode & stat.S_ISVTX:
            if status.st_mode & stat.S_IWOTH:
                return f"every user can write to {place!r}"
            if status.st_mode & stat.S_IWGRP and status.st_gid != 0:
                return f"the group {_account(status.st_gid, group=True)} can write to {place!r}"
        if place == os.path.dirname(place):
            return None
        place = os.path.dirname(place)


def guard(target: str) -> None:
    """Raise FilesError if an unprivileged user could replace the file while root writes it.

    `target` must be a resolved path.
    """
    directory = os.path.dirname(target)
    with explain_errors(target, "write"):
        risk = find_risk(directory)
        if risk is not None:
            raise FilesError(
                f"root cannot write {target!r} safely: {risk}, and an unprivileged user could"
                " replace the file; chown the directory to root and chmod it to go-w, or run as its"
                " owner"
            )
        sticky = os.geteuid() == 0 and os.stat(directory).st_mode & stat.S_ISVTX
        existing = os.lstat(target) if sticky and os.path.lexists(target) else None
        if existing is not None and existing.st_uid not in (0, os.geteuid()):
            raise FilesError(
                f"{target!r} belongs to {_account(existing.st_uid)}, in a directory that other"
                " users can write to; remove the file, or set a path in a directory of root"
            )


def _account(number: int, *, group: bool = False) -> str:
    import grp  # noqa: PLC0415 - only for errors
    import pwd  # noqa: PLC0415

    try:
        return grp.getgrgid(number).gr_name if group else pwd.getpwuid(number).pw_name
    except KeyError:
        return f"{'gid' if group else 'uid'} {number}"


def stat_regular(path: str) -> os.stat_result | None:
    """Return the status of a regular file; None if it does not exist.

    The path must be resolved. Raises FilesError if it is not a regular file.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "a device or other special file")
        raise FilesError(f"{path!r} is {kind}, not a regular file; remove it, or set another path")
    return status


def read(path: str, *, limit: int = MAX_FILE_BYTES, follow: bool = False) -> bytes | None:
    """Return the content of a regular file; None if it does not exist.

    Raises FilesError if the file is larger than `limit` bytes.
    """
    target = resolve(path, follow=follow)
    with explain_errors(path, "read"):
        if stat_regular(target) is None:
            return None
        # If a FIFO replaces the file before this call, O_NONBLOCK keeps the module from blocking.
        handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FilesError(f"{path!r} is not a regular file; remove it, or set another path")
            content = stream.read(limit + 1)
    if len(content) > limit:
        raise FilesError(
            f"{path!r} is larger than {limit} bytes, the maximum for such a file; set another path"
        )
    return content


@contextlib.contextmanager
def lock(directory: str, *, timeout: float = 60) -> Iterator[None]:
    """Lock a directory against other runs, without a lock file that a crash could leave.

    Raises FilesError if another run holds the lock for `timeout` seconds.
    """
    with explain_errors(directory, "lock"):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FilesError(
                        f"another run has locked {directory!r} for {timeout:g} s; wait for it or"
                        " end it,"
                        " then run again"
                    ) from None
                time.sleep(0.05)
            except OSError:
                break  # Some NFS mounts have no locks. Renames are atomic without a lock too.
        yield
    finally:
        os.close(handle)


def sync(directory: str) -> None:
    """Write the renames in a directory to the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # The file system does not support fsync of a directory.
            raise
    finally:
        os.close(handle)


def temporary_prefix(target: str) -> str:
    """Return the prefix of the names of a file's temporary files."""
    return f".{os.path.basename(target)[:200]}."


def list_siblings(target: str, suffix: str, prefix: str) -> list[str]:
    """Return the paths next to the target with this suffix and prefix, sorted."""
    directory = os.path.dirname(target)
    return sorted(
        os.path.join(directory, name)
        for name in os.listdir(directory)
        if name.startswith(prefix) and name.endswith(suffix)
    )

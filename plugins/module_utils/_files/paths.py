# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find the file of a path safely, read files up to a maximum size, and lock directories."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
import typing as t
from collections.abc import Iterator

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import walk

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


class Place:
    """A name in an open directory. Neither a link nor a rename can redirect calls that use both.

    `directory` and `path` are without links. Both paths are for messages, and for calls that need a
    path.
    """

    def __init__(self, handle: int, directory: str, name: str) -> None:
        self.handle, self.directory, self.name = handle, directory, name

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    @property
    def path(self) -> str:
        """The resolved path."""
        return os.path.join(self.directory, self.name)

    def status(self) -> os.stat_result | None:
        """Return the status of the name, which can be a link; None if it does not exist."""
        try:
            return os.stat(self.name, dir_fd=self.handle, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def read_link(self) -> str | None:
        """Return the target of a link; None for any other file."""
        try:
            return os.readlink(self.name, dir_fd=self.handle)
        except OSError:
            return None

    def list_siblings(self, suffix: str, prefix: str) -> list[str]:
        """Return the names in the directory with this suffix and prefix, sorted."""
        with walk.readable(self.handle) as reading:
            names = os.listdir(reading)
        return sorted(name for name in names if name.startswith(prefix) and name.endswith(suffix))

    def sync(self) -> None:
        """Write the renames in the directory to the disk."""
        with walk.readable(self.handle) as reading:
            try:
                os.fsync(reading)
            except OSError as exc:
                if exc.errno != errno.EINVAL:  # The file system has no fsync of a directory.
                    raise


def open_parent(path: str, *, strict: bool = False) -> Place:
    """Return the place of a path, and do not follow a link at its last name.

    With `strict`, raise FilesError if a user other than root can change a name in a directory of
    the path. Raises OSError, such as FileNotFoundError for a missing directory.
    """
    directory, name = os.path.split(path)
    if os.geteuid() != 0:
        flags = walk.ENTER_FLAGS & ~os.O_NOFOLLOW
        return Place(os.open(directory, flags), os.path.realpath(directory), name)
    with walk.Walk(directory, make_guard(path) if strict else _accept) as way:
        for part, _last in way.names():
            if not way.enter(part):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), directory)
        return Place(way.detach(), way.place, name)


def _accept(_way: walk.Walk) -> None:
    """Accept each directory of a path that is only read."""


def make_guard(target: str) -> t.Callable[[walk.Walk], None]:
    """Return a guard that rejects a directory in which another user could replace the target."""

    def guard(way: walk.Walk) -> None:
        risk = way.find_risk()
        if risk is not None:
            raise FilesError(
                f"root cannot write {target!r} safely: {risk.reason}, and an unprivileged user"
                " could replace the file; chown the directory to root and chmod it to go-w, or run"
                " as its owner"
            )

    return guard


def locate(path: str, *, strict: bool = False) -> Place:
    """Return the place of the file to which a path leads.

    A link at the last name can only lead to a file in or below its directory. With `strict`, raise
    FilesError if a user other than root could replace the file. Raises OSError.
    """
    _check_text(path)
    place = open_parent(path, strict=strict)
    try:
        target = place.read_link()
        if target is None:
            return _check_sticky(place) if strict else place
        is_own = is_swap_target(target)
        walk.check_link(place.handle, place.directory, place.name, sticky=is_own)
        return _follow(path, place, target, strict=strict)
    except BaseException:
        place.close()
        raise


def try_locate(path: str, *, link: bool = False) -> Place | None:
    """Return the place of a path; None if one of its directories does not exist.

    With `link`, a link at the last name is not followed. Raises FilesError and OSError.
    """
    try:
        return open_parent(path) if link else locate(path)
    except FileNotFoundError:
        return None


def _check_text(path: str) -> None:
    if (
        not os.path.isabs(path)
        or path.endswith("/")
        or any(char < " " or char == "\x7f" for char in path)
    ):
        raise FilesError(
            f"{path!r} is not a valid path of a file; set an absolute path without a slash at"
            " its end"
        )


def _follow(path: str, place: Place, target: str, *, strict: bool) -> Place:
    """Return the place of the file to which a link leads, and close the place of the link."""
    goal = os.path.realpath(place.path)
    inside = is_swap_target(target) or goal.startswith(os.path.join(place.directory, ""))
    if not inside:
        raise FilesError(
            f"{path!r} is a symlink that leaves its directory (to {goal!r}); set that path instead"
        )
    if not os.path.exists(goal):
        raise _dangling(path, goal)
    final = open_parent(goal, strict=strict)
    place.close()
    return _check_sticky(final) if strict else final


def _locate_anywhere(path: str) -> Place:
    """Return the place of the file to which a path leads, through any links."""
    goal = os.path.realpath(path)
    if os.path.islink(path) and not os.path.exists(goal):
        raise _dangling(path, goal)
    return open_parent(goal)


def _dangling(path: str, goal: str) -> FilesError:
    return FilesError(
        f"{path!r} is a symlink to {goal!r}, which does not exist; remove the symlink"
    )


def _check_sticky(place: Place) -> Place:
    """Raise FilesError if another user owns the file in a sticky directory, such as /tmp."""
    if os.geteuid() == 0 and os.fstat(place.handle).st_mode & stat.S_ISVTX:
        existing = place.status()
        if existing is not None and existing.st_uid != 0:
            raise FilesError(
                f"{place.path!r} belongs to {walk.account_name(existing.st_uid)}, in a directory"
                " that other users can write to; remove the file, or set a path in a directory of"
                " root"
            )
    return place


def resolve(path: str) -> str:
    """Return the path of the file to which a path leads, without links. Raises FilesError.

    A symlink can only lead to a file in or below its directory. If a directory of the path does not
    exist, return the path.
    """
    with explain_errors(path, "query"):
        try:
            place = try_locate(path)
        except NotADirectoryError:
            place = None
        if place is None:
            return path
        with place:
            return place.path


def is_swap_target(target: str) -> bool:
    """Return whether the target of a link is a file of an interrupted `pair_swap.replace`."""
    return f"{TEMPORARY_SUFFIX}/now/" in target


def is_swapped(path: str) -> bool:
    """Return whether the path is a symlink from an interrupted `pair_swap.replace`."""
    return os.path.islink(path) and is_swap_target(os.readlink(path))


def list_risks(path: str) -> list[walk.Risk]:
    """Return why a user other than root could change what the path of a directory leads to.

    Each directory of the path is checked, up to the first that is missing. Raises OSError.
    """
    risks: list[walk.Risk] = []

    def note(way: walk.Walk) -> None:
        risks.extend(filter(None, [way.find_risk()]))

    def note_link(handle: int, place: str, name: str) -> None:
        risk = walk.find_link_risk(handle, place, name)
        if risk is not None:
            risks.append(risk._replace(reason=f"{risk.path!r} is a link, and {risk.reason}"))
            raise FilesError(risk.reason)

    if os.geteuid() != 0:
        return []
    with (
        contextlib.suppress(FilesError, NotADirectoryError),
        walk.Walk(path, note, note_link) as way,
    ):
        for name, _last in way.names():
            if not way.enter(name):
                break
    return risks


def find_risk(directory: str) -> str | None:
    """Return why root must not write to a file in an existing directory; None if it can.

    Raises OSError.
    """
    return next((risk.reason for risk in list_risks(directory)), None)


def guard(target: str) -> None:
    """Raise FilesError if an unprivileged user could replace the file while root writes it."""
    with explain_errors(target, "write"), locate(target, strict=True):
        pass


def _check_regular(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "a device or other special file")
        raise FilesError(f"{path!r} is {kind}, not a regular file; remove it, or set another path")


def regular_status(place: Place) -> os.stat_result | None:
    """Return the status of a regular file; None if it does not exist.

    Raises FilesError if it is not a regular file.
    """
    status = place.status()
    if status is not None:
        _check_regular(place.path, status)
    return status


def stat_regular(path: str) -> os.stat_result | None:
    """Return the status of a regular file; None if it does not exist.

    Raises FilesError if it is not a regular file.
    """
    place = try_locate(path)
    if place is None:
        return None
    with place:
        return regular_status(place)


class Content(t.NamedTuple):
    """The content of a file, and its status from the same open file descriptor."""

    data: bytes
    status: os.stat_result


def read_place(place: Place, *, limit: int = MAX_FILE_BYTES) -> Content | None:
    """Return the content and status of a regular file; None if it does not exist.

    Of a file larger than `limit`, the content has one byte more than the limit. Raises FilesError
    and OSError.
    """
    if regular_status(place) is None:
        return None
    # If a FIFO replaces the file before this call, O_NONBLOCK prevents the module from blocking.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(place.name, flags, dir_fd=place.handle), "rb") as stream:
        status = os.fstat(stream.fileno())
        _check_regular(place.path, status)
        return Content(stream.read(limit + 1), status)


def read(path: str, *, limit: int = MAX_FILE_BYTES, follow: bool = False) -> bytes | None:
    """Return the content of a regular file; None if it does not exist.

    With `follow`, each link is followed. Use `follow` only for a file that the user of the
    collection names, never for a record of the role. Raises FilesError if the file is larger than
    `limit` bytes.
    """
    with explain_errors(path, "read"):
        _check_text(path)
        try:
            with _locate_anywhere(path) if follow else locate(path) as place:
                content = read_place(place, limit=limit)
        except FileNotFoundError:
            content = None
    if content is not None and len(content.data) > limit:
        raise FilesError(
            f"{path!r} is larger than {limit} bytes, the maximum for such a file; set another path"
        )
    return content.data if content is not None else None


def read_beneath(root: str, path: str) -> bytes | None:
    """Return the content of a regular file in another root directory; None if it does not exist.

    No link below `root` is followed. Raises FilesError.
    """
    with explain_errors(path, "read"):
        handle = os.open(root, walk.ENTER_FLAGS & ~os.O_NOFOLLOW)
        try:
            *parts, name = path.strip("/").split("/")
            for part in parts:
                previous, handle = handle, os.open(part, walk.ENTER_FLAGS, dir_fd=handle)
                os.close(previous)
            content = read_place(Place(handle, os.path.dirname(path), name))
        except FileNotFoundError:
            content = None
        finally:
            os.close(handle)
    return content.data if content is not None else None


@contextlib.contextmanager
def lock(directory: str, *, timeout: float = 60) -> Iterator[None]:
    """Lock a directory against other runs, without a lock file that a crash could leave.

    Raises FilesError if another run holds the lock for `timeout` seconds.
    """
    with explain_errors(directory, "lock"), open_parent(os.path.join(directory, "")) as place:
        handle = os.open(".", walk.READ_FLAGS, dir_fd=place.handle)
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


def temporary_prefix(target: str) -> str:
    """Return the prefix of the names of a file's temporary files."""
    return f".{os.path.basename(target)[:200]}."


def temporary_name(target: str) -> str:
    """Return a new random name for a temporary file."""
    return f"{temporary_prefix(target)}{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"

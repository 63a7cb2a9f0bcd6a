# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Lock a kubeconfig against concurrent writes by kubectl and by other runs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeconfigError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterator

# The lock file of kubectl has mode 0. With any umask, this mode identifies a lock of this module.
_MODE = 0o200


@contextlib.contextmanager
def hold_kubeconfig_lock(path: str, *, timeout: float = 10.0) -> Iterator[None]:
    """Hold PATH.lock as kubectl does: only the process that created the lock file can write.

    A stale lock of a killed run is reused. Such a lock has the mode of this module and no flock.
    No other lock is removed. Raises KubeconfigError if the lock is not free within `timeout`
    seconds, or cannot be created.
    """
    deadline = time.monotonic() + timeout
    with _open_place(path) as place:
        while (handle := _acquire(place, path)) is None:
            if time.monotonic() >= deadline:
                raise KubeconfigError(
                    f"{place.path!r} has existed for {timeout:g} s: kubectl is writing {path!r}, or"
                    " was killed while writing; check that kubectl does not run, then remove the"
                    " file"
                )
            time.sleep(0.05)
        try:
            yield
        finally:
            _release(place, handle)


def remove_stale_lock(path: str) -> None:
    """Remove the stale lock of a killed run, if it exists."""
    with contextlib.suppress(OSError), paths.open_parent(f"{path}.lock") as place:
        handle = _open_stale(place)
        if handle is not None:
            _release(place, handle)


def _open_place(path: str) -> paths.Place:
    try:
        return paths.open_parent(f"{path}.lock", strict=True)
    except OSError as exc:
        raise _directory_error(path, exc) from None


def _directory_error(path: str, error: OSError) -> KubeconfigError:
    reason = (
        "does not exist; create it first"
        if error.errno == errno.ENOENT
        else f"is not writable ({os.strerror(error.errno or 0)}); make it writable"
    )
    return KubeconfigError(f"cannot lock {path!r} with '{path}.lock': the directory {reason}")


def _acquire(place: paths.Place, path: str) -> int | None:
    """Return a handle of the held lock, None if another process holds it."""
    try:
        handle = _open_stale(place)
        return _create(place) if handle is None else handle
    except OSError as exc:
        raise _directory_error(path, exc) from None


def _release(place: paths.Place, handle: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(place.name, dir_fd=place.handle)
    os.close(handle)


def _create(place: paths.Place) -> int | None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(place.name, flags, _MODE, dir_fd=place.handle)
    except FileExistsError:
        return None
    return _hold(handle)


def _open_stale(place: paths.Place) -> int | None:
    """Return an open handle of the stale lock of a killed run; None if no such lock exists."""
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(place.name, flags, dir_fd=place.handle)
    except OSError:
        return None
    if os.fstat(handle).st_mode == stat.S_IFREG | _MODE:
        return _hold(handle)
    os.close(handle)
    return None


def _hold(handle: int) -> int | None:
    """Return the locked handle; if another run holds the lock, close the handle and return None."""
    locked_by_another = False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        locked_by_another = True
    except OSError:
        pass  # If the file system has no flock, the existence of the file is the lock.
    if not locked_by_another and os.fstat(handle).st_nlink:
        return handle
    os.close(handle)
    return None

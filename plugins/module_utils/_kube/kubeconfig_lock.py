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

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterator

# The lock file of kubectl has mode 0. With any umask, this mode identifies a lock of this module.
_MODE = 0o200


@contextlib.contextmanager
def hold_kubeconfig_lock(path: str, *, timeout: float = 10.0) -> Iterator[None]:
    """Hold PATH.lock as kubectl does: only the process that created the lock file can write.

    If a killed run left a stale lock, with the mode of this module and no flock, it is reused. Any
    other lock is never removed. Raises KubeconfigError if the lock is not free within `timeout`
    seconds, or cannot be created.
    """
    name = f"{path}.lock"
    deadline = time.monotonic() + timeout
    while True:
        try:
            handle = _open_stale(name)
            if handle is None:
                handle = _create(name)
        except OSError as exc:
            reason = (
                "does not exist; create it first"
                if exc.errno == errno.ENOENT
                else f"is not writable ({os.strerror(exc.errno or 0)}); make it writable"
            )
            raise KubeconfigError(
                f"cannot lock {path!r} with {name!r}: the directory {reason}"
            ) from None
        if handle is not None:
            break
        if time.monotonic() >= deadline:
            raise KubeconfigError(
                f"{name!r} has existed for {timeout:g} s: kubectl is writing {path!r}, or was"
                " killed while writing; check that kubectl does not run, then remove the file"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        _release(name, handle)


def remove_stale_lock(path: str) -> None:
    """Remove the stale lock of a killed run, if it exists."""
    name = f"{path}.lock"
    handle = _open_stale(name)
    if handle is not None:
        _release(name, handle)


def _release(name: str, handle: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)
    os.close(handle)


def _create(name: str) -> int | None:
    try:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except FileExistsError:
        return None
    return _hold(handle)


def _open_stale(name: str) -> int | None:
    """Return an open handle of the stale lock of a killed run; None if no such lock exists."""
    try:
        handle = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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

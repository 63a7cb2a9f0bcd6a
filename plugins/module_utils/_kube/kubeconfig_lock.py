# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The lock of a kubeconfig, which keeps kubectl and runs of ours from writing it at the same time."""

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

# kubectl's lock has mode 0. This one tells ours apart, from the moment that it exists, and whatever the umask.
_MODE = 0o200


@contextlib.contextmanager
def hold_kubeconfig_lock(path: str, *, timeout: float = 10.0) -> Iterator[None]:
    """Hold C(PATH.lock) as kubectl does: who has created that file may write.

    One that a killed run of ours left has our mode and no flock, and is taken over. Any other is never removed. Raises
    KubeconfigError where the lock is not free within PATIENCE seconds, or cannot be created.
    """
    name = f"{path}.lock"
    deadline = time.monotonic() + timeout
    while True:
        try:
            handle = _take_over(name)
            if handle is None:
                handle = _create(name)
        except OSError as exc:
            gone = exc.errno == errno.ENOENT
            reason = (
                "does not exist; create it"
                if gone
                else f"is not writable ({os.strerror(exc.errno or 0)}); make it so"
            )
            raise KubeconfigError(
                f"cannot lock {path!r} with {name!r}: its folder {reason} first"
            ) from None
        if handle is not None:
            break
        if time.monotonic() >= deadline:
            raise KubeconfigError(
                f"{name!r} has been there for {timeout:g} s: a kubectl is writing {path!r}, or one was killed while it did;"
                " make sure that none runs, and remove that file"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        _release(name, handle)


def remove_stale_lock(path: str) -> None:
    """Remove the lock that a killed run of ours left."""
    name = f"{path}.lock"
    handle = _take_over(name)
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


def _take_over(name: str) -> int | None:
    """Return a handle of the lock that a killed run of ours left, or None where there is none."""
    try:
        handle = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if os.fstat(handle).st_mode == stat.S_IFREG | _MODE:
        return _hold(handle)
    os.close(handle)
    return None


def _hold(handle: int) -> int | None:
    """Return the handle, or close it and return None where another run was faster since it was opened."""
    locked_by_another = False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        locked_by_another = True
    except OSError:
        pass  # a file system without flock, where the file's existence is all there is
    if not locked_by_another and os.fstat(handle).st_nlink:
        return handle
    os.close(handle)
    return None

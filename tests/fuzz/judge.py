# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run cases and check their results.

An error must be one line without a secret, each case must end in time, and only the test directory
can change. FUZZ_SEED selects other cases, FUZZ_SECONDS sets the time, and FUZZ_CASE repeats one
case.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.support.fake_module import one_line

SEED = os.environ.get("FUZZ_SEED") or "1"
SECONDS = float(os.environ.get("FUZZ_SECONDS") or 30)
"""Total seconds of all parts, which run in parallel on the workers of pytest-xdist."""
CASE = os.environ.get("FUZZ_CASE")
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT") or 1)
CASE_SECONDS = 20
"""Maximum wall time of a case in seconds, which is long enough for a busy machine."""
LONGEST = 2000
"""Maximum number of characters of an error."""
DISTINCT = 20
"""Maximum number of failures that are reported per part."""


class Hang(BaseException):
    """Report that a case took too long.

    The base class is BaseException, so that no handler of the code under test catches the error.
    """


class Outside(BaseException):
    """Report that the code tried to change something outside of the test directory."""


class Refused(BaseException):
    """Report that the module failed with its own message.

    If `typed` is true, the message is Ansible's error about the type of an option.
    """

    def __init__(self, message: Any, *, typed: bool = False, **result: Any) -> None:
        super().__init__(message)
        self.message, self.typed, self.result = message, typed, result


def refusal(message: Any, given: Iterable[Any] = ()) -> str:
    """Check that an error is one readable line of bounded length, and return the line.

    The error can repeat the texts in `given`.
    """
    assert isinstance(message, str), f"an error of type {type(message).__name__}"
    own = message
    for value in given:
        if isinstance(value, str) and value:
            own = own.replace(value, "(given)")
    one_line(Exception(own))
    assert message.isprintable(), f"unprintable: {message[:300]!a}"
    assert len(message) <= LONGEST, f"{len(message)} characters: {message[:300]!r}"
    return message


def holds_no(secrets: list[str], *displayed: Any) -> None:
    """Check that no displayed text contains a secret."""
    text = json.dumps(displayed, default=repr)
    for secret in secrets:
        assert secret not in text, f"the secret {secret[:12]}... is shown: {text[:500]}"


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def end(_number: int, _frame: Any) -> None:
        raise Hang(f"not done after {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def run(
    part: str, least: int, share: float, check: Callable[[random.Random], object]
) -> list[object]:
    """Run `check` for at least `least` cases and return the results.

    More cases follow until the time of this part ends. Each case has a separate random number
    generator. If cases fail, the error shows one failure of each kind and the command that repeats
    the case.
    """
    found: list[object] = []
    failures: dict[str, str] = {}
    deadline = time.monotonic() + SECONDS * WORKERS * share
    for number in itertools.count() if CASE is None else [int(CASE)]:
        if CASE is None and number >= least and time.monotonic() >= deadline:
            break
        try:
            with time_limit(CASE_SECONDS):
                found.append(check(random.Random(f"{SEED}/{part}/{number}")))
        except (Exception, Hang, Outside, Refused) as error:  # noqa: BLE001 - any error is a result
            frames = traceback.extract_tb(error.__traceback__)
            last = next((f for f in reversed(frames) if "/plugins/" in f.filename), frames[-1])
            kind = f"{type(error).__name__} at {last.filename}:{last.lineno}"
            reported = "".join(traceback.format_exception(error, limit=-6))[-3000:]
            failures.setdefault(
                kind,
                f"--- FUZZ_SEED={SEED} FUZZ_CASE={number} pytest tests/fuzz -k {part!r}\n{reported}",
            )
            if len(failures) == DISTINCT:
                break
    assert not failures, f"{part}: {len(failures)} kinds of failures\n" + "\n".join(
        failures.values()
    )
    return found


# --- protection of everything outside of the test directory

# Each entry maps an audit event of a file change to the positions of its path arguments. The second
# number is the position of the directory's descriptor.
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.removexattr": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
    "shutil.rmtree": ((0, 1),),
}
_PROGRAMS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.kill",
    "os.killpg",
)
_LOOPBACK = ("127.0.0.1", "::1")
_folder: str | None = None
_violations: list[str] = []


def _place(path: Any, directory: Any) -> str:
    if isinstance(path, int):
        return os.path.realpath(f"/proc/self/fd/{path}")
    start = (
        f"/proc/self/fd/{directory}"
        if isinstance(directory, int) and directory >= 0
        else os.getcwd()
    )
    whole = os.path.join(start, os.fsdecode(path))
    return os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _folder is None:
        return
    places: list[str] = []
    if event == "open":
        path, _mode, flags = args
        if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            return
        with contextlib.suppress(ValueError, OSError):
            places = [os.path.realpath(os.fsdecode(path))]
    elif event in _CHANGES:
        with contextlib.suppress(ValueError, OSError):
            places = [
                _place(args[path], args[at] if at is not None else None)
                for path, at in _CHANGES[event]
            ]
    elif event in _PROGRAMS:
        raise PermissionError(1, "no program is run here")
    elif event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in _LOOPBACK:
        raise ConnectionRefusedError(111, "only the loopback is there")
    elif event == "socket.getaddrinfo" and args[0] not in _LOOPBACK:
        raise socket.gaierror(socket.EAI_NONAME, "there is no DNS here")
    for place in places:
        if not place.startswith((f"{_folder}/", "/memfd:", "/dev/null")) and place != _folder:
            _violations.append(f"{event} {place}")
            raise Outside(_violations[-1])


sys.addaudithook(_hook)


@contextlib.contextmanager
def guarded(directory: str) -> Iterator[None]:
    """Allow changes in one directory only and connections to loopback only.

    All programs are blocked.
    """
    global _folder  # noqa: PLW0603 - an audit hook cannot be removed
    _violations.clear()
    _folder = os.path.realpath(directory)
    try:
        yield
    finally:
        _folder = None
    assert not _violations, _violations


def tree(directory: str) -> dict[str, tuple[Any, ...]]:
    """Return the files below a directory, with data that changes with each write."""
    found: dict[str, tuple[Any, ...]] = {}
    pending = [directory]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                rights = (info.st_mode, info.st_uid, info.st_gid)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    found[entry.path] = rights
                else:
                    found[entry.path] = (
                        *rights,
                        info.st_ino,
                        info.st_size,
                        info.st_mtime_ns,
                        info.st_ctime_ns,
                    )
    return found

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find out the version of a running scheduler."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    sha256_of_file,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    SIZE_INDEX,
    RecordedBinary,
    file_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc

VERSION_OUTPUT = re.compile(
    r"Kubernetes v([0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(?:[-+][0-9A-Za-z.+-]{1,60})?)"
)
MAX_RUN_S = 10.0
MAX_OUTPUT_BYTES = 65536


def detect_version(proc: Proc, pid: int, binaries: t.Mapping[str, RecordedBinary]) -> str:
    """The version of a process, without the v; "" where it cannot be told.

    A program that the record of the fileset vouches for is not run. Any other is run as the process's own user, with a time
    limit and a bound for what it may say: the user may have put anything there.
    """
    if not pid:
        return ""
    known = recorded_binary(proc, pid, binaries)
    if known is not None and known["version"]:
        return known["version"]
    user = proc.user(pid)
    program = _runnable(proc, pid)
    found = (
        VERSION_OUTPUT.search(_output([program, "--version"], *user)) if user and program else None
    )
    return found[1] if found else ""


def recorded_binary(
    proc: Proc, pid: int, binaries: t.Mapping[str, RecordedBinary]
) -> RecordedBinary | None:
    """What the record says of the program that a process runs: the same file, or else the same content under that path."""
    program = proc.path(pid, "exe")
    try:
        seen = file_identity(os.stat(program))
    except OSError:
        return None
    for entry in binaries.values():
        if entry["identity"] == seen:
            return entry
    named = binaries.get(proc.executable(pid).partition(" (deleted)")[0])
    # A program of another size is another one, and may be of any.
    if named is None or named["identity"][SIZE_INDEX] != seen[SIZE_INDEX]:
        return None
    return named if sha256_of_file(program) == named["sha256"] else None


def _runnable(proc: Proc, pid: int) -> str:
    """A path under which the program of a process can be run by another user, or ""."""
    named, own = proc.executable(pid), proc.path(pid, "exe")
    with contextlib.suppress(OSError):
        # /proc/PID/exe is not for a user outside the process's user namespace.
        return named if os.path.samestat(os.stat(named), os.stat(own)) else own
    return own if named else ""


def _output(words: list[str], uid: int, gid: int) -> str:
    """What a program says within 10 seconds, at most 64 KiB, when it is run as a user with nothing of ours."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        # The host has no room for one more.
        os.close(reading)
        os.close(writing)
        return ""
    if not pid:
        _become(words, uid, gid, writing)
    os.close(writing)
    deadline = time.monotonic() + MAX_RUN_S
    content = b""
    with os.fdopen(reading, "rb", buffering=0) as stream, selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(content) < MAX_OUTPUT_BYTES and selector.select(
            max(0.0, deadline - time.monotonic())
        ):
            block = stream.read(4096)
            if not block:
                break
            content += block
    # Its group too, as far as it has made one.
    for end in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError):
            end(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return content.decode("utf-8", "replace")


def _become(words: list[str], uid: int, gid: int, output: int) -> t.NoReturn:
    """Makes this process, which was forked for that, the program. What is open otherwise is closed by it."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number, stream in enumerate((null, output, null)):
            os.dup2(stream, number)
        os.chdir("/")
        # Without the right to change users, there is no user to keep out either.
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        os.execve(words[0], words, {"PATH": "/usr/bin:/bin"})
    finally:
        os._exit(127)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Determine the version of a running scheduler."""

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
    """Return the version of a process without the v, "" if unknown.

    A program that the record contains is not run. Any other program runs as the user of the
    process, with limits for time and output, because that user could have replaced it.
    """
    if not pid:
        return ""
    known = recorded_binary(proc, pid, binaries)
    if known is not None and known["version"]:
        return known["version"]
    user = proc.user(pid)
    program = _runnable(proc, pid)
    if not user or not program:
        return ""
    match = VERSION_OUTPUT.search(_run_bounded([program, "--version"], *user))
    return match[1] if match else ""


def recorded_binary(
    proc: Proc, pid: int, binaries: t.Mapping[str, RecordedBinary]
) -> RecordedBinary | None:
    """Return the record entry of a process's program.

    It is the same file, or the same content under the recorded path.
    """
    program = proc.path(pid, "exe")
    try:
        identity = file_identity(os.stat(program))
    except OSError:
        return None
    for entry in binaries.values():
        if entry["identity"] == identity:
            return entry
    recorded = binaries.get(proc.executable(pid).partition(" (deleted)")[0])
    # The sizes are compared first, because another program can have any size.
    if recorded is None or recorded["identity"][SIZE_INDEX] != identity[SIZE_INDEX]:
        return None
    return recorded if sha256_of_file(program) == recorded["sha256"] else None


def _runnable(proc: Proc, pid: int) -> str:
    """Return a path under which another user can run the program of a process, or ""."""
    executable, proc_link = proc.executable(pid), proc.path(pid, "exe")
    with contextlib.suppress(OSError):
        # A user outside the user namespace of the process cannot open /proc/PID/exe.
        is_same = os.path.samestat(os.stat(executable), os.stat(proc_link))
        return executable if is_same else proc_link
    return proc_link if executable else ""


def _run_bounded(words: list[str], uid: int, gid: int) -> str:
    """Run a program as a user for at most 10 seconds, and return at most 64 KiB of its output.

    The program inherits no open files, environment or groups.
    """
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        # No memory or process ID is free.
        os.close(reading)
        os.close(writing)
        return ""
    if not pid:
        _exec_as(words, uid, gid, writing)
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
    # The process group exists only after setsid().
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return content.decode("utf-8", "replace")


def _exec_as(words: list[str], uid: int, gid: int, output: int) -> t.NoReturn:
    """Replace this forked process with the program. execve() closes other open files."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number, stream in enumerate((null, output, null)):
            os.dup2(stream, number)
        os.chdir("/")
        # Only root can change users. An unprivileged caller runs the program as itself.
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        os.execve(words[0], words, {"PATH": "/usr/bin:/bin"})
    finally:
        os._exit(127)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Run a program, and read what a child process writes, with limits for length and time."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
import typing as t


def read_pipe(descriptor: int, max_bytes: int, seconds: float) -> tuple[bytes, bool]:
    """Return the first `max_bytes` of a pipe, and whether the writer closed it in time."""
    deadline, content = time.monotonic() + seconds, b""
    while len(content) < max_bytes:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return content, False
        block = os.read(descriptor, min(65536, max_bytes - len(content)))
        if not block:
            return content, True
        content += block
    return content, False


class Output(t.NamedTuple):
    """The exit code and the output of a program, with standard error."""

    code: int
    text: str
    is_complete: bool  # whether the program ended before it reached a limit


def run_bounded(
    words: t.Sequence[str], max_bytes: int, seconds: float, stdin: int = subprocess.DEVNULL
) -> Output:
    """Run a program, and kill it when it reaches a limit. Raises OSError if it cannot start.

    Of systemd-run, only the client is killed. RuntimeMaxSec must limit the service.
    """
    deadline = time.monotonic() + seconds
    with subprocess.Popen(
        words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            stream = t.cast("t.IO[bytes]", process.stdout)
            content, has_ended = read_pipe(stream.fileno(), max_bytes, seconds)
            if has_ended:
                # A program can close its output before it ends.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            is_running = process.poll() is None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return Output(
        process.returncode, content.decode("utf-8", "replace"), has_ended and not is_running
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read what a child process writes, with limits for length and time."""

from __future__ import annotations

import os
import select
import time


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

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read a file that a process names, with the permissions of that process.

The process can belong to any local user or to a container, so its paths, links and files are not
trusted. A child process reads and parses the file. The child takes the root directory, user and
groups of the process, but no capability. The memory and the run time of the child are limited.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import stat
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import parse_json
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.pipe import (
    read_pipe,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc

MAX_FOREIGN_FILE_BYTES = 65536
MAX_CHILD_RESULT_BYTES = 1 << 20
MAX_MEMORY_BYTES = 128 << 20
"""Address space of the child in addition to that of its parent."""
MAX_CPU_S = 2
MAX_CHILD_WALL_S = 5.0
MAX_REAP_S = 1.0
NOBODY = 65534
ROOT = 0

# include/uapi/linux/prctl.h and capability.h
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
CAPABILITY_VERSION = 0x20080522
MAX_CAPABILITY = 63

Parse = t.Callable[[bytes], t.Any]


def read_as(proc: Proc, pid: int, path: str, parse: Parse) -> t.Any:
    """Return the parsed content of a file that a process names; None if it cannot be read.

    `parse` runs in the child, and its result must be valid in JSON. `path` is an absolute path in
    the root directory of the process. The file must be a regular file of at most
    `MAX_FOREIGN_FILE_BYTES`.
    """
    ids = proc.ids(pid)
    if ids is None or not os.path.isabs(path):
        return None
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return None
    if not child:
        os.close(reading)
        _report(writing, lambda: _become(proc.path(pid, "root"), ids, writing), path, parse)
    os.close(writing)
    try:
        # Read one more byte to detect a result that is too long.
        content, has_ended = read_pipe(reading, MAX_CHILD_RESULT_BYTES + 1, MAX_CHILD_WALL_S)
        return _decode(content) if has_ended else None
    finally:
        os.close(reading)
        _end(child)


def _decode(content: bytes) -> t.Any:
    try:
        return parse_json(content)
    except ValueError:
        return None


def _end(child: int) -> None:
    """Kill the child, and wait for its end for a limited time."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + MAX_REAP_S
    while os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.001)


def _report(output: int, become: t.Callable[[], None], path: str, parse: Parse) -> t.NoReturn:
    """Read the file, write the parsed content to `output`, and always end the child."""
    try:
        _limit()
        become()
        content = _read(path)
        if content is not None:
            result = json.dumps(parse(content)).encode()
            while result:
                result = result[os.write(output, result) :]
    finally:
        os._exit(0)


def _limit() -> None:
    with open("/proc/self/statm", encoding="ascii") as stream:
        memory = int(stream.read().split()[0]) * resource.getpagesize() + MAX_MEMORY_BYTES
    for kind, desired in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, MAX_CPU_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = desired if hard == resource.RLIM_INFINITY else min(desired, hard)
        resource.setrlimit(kind, (limit, limit))


def _become(root_path: str, ids: tuple[int, int, list[int]], output: int) -> None:
    """Take the root directory, user and groups of the process, and drop all capabilities."""
    uid, gid, groups = ids
    root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY)
    # If the module does not run as root, the child already has the permissions of a single user.
    if os.geteuid() == ROOT:
        if uid == ROOT and os.path.samestat(os.fstat(root), os.stat("/")):
            uid, gid, groups = NOBODY, NOBODY, []
        os.fchdir(root)
        os.chroot(".")
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        _drop_bounding_set()
        os.setresuid(uid, uid, uid)
    _drop_capabilities()
    # Close the open files of the parent, such as the arguments of the module.
    os.closerange(0, output)
    os.closerange(output + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _drop_bounding_set() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(MAX_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def _drop_capabilities() -> None:
    """Drop the capabilities that a process of user 0 keeps. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    empty = (ctypes.c_uint32 * 6)()
    if libc.capset(header, empty):
        raise OSError(ctypes.get_errno(), "capset")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _read(path: str) -> bytes | None:
    """Read a regular file; never wait for the writer of a FIFO. Raises OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return None
    content = b""
    while len(content) <= MAX_FOREIGN_FILE_BYTES:
        block = os.read(handle, MAX_FOREIGN_FILE_BYTES + 1 - len(content))
        if not block:
            return content
        content += block
    return None

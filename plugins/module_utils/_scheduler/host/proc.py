# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read processes and sockets from /proc.

The length of data that a process controls, such as the command line, is limited.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import struct
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import parse_integer

TCP_LISTEN = "0A"
MAX_READ_BYTES = 1 << 20
MAX_KERNEL_NUMBER = 2**64 - 1
NS_GET_OWNER_UID = 0xB704  # linux/nsfs.h


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: str


def parse_listeners(table: str) -> list[Listener]:
    """Return the listening sockets in the text of /proc/net/tcp or /proc/net/tcp6."""
    listeners = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == TCP_LISTEN:
            raw, port = words[1].split(":")
            # The kernel prints each 32-bit word of the address in its own byte order.
            octets = b"".join(
                struct.pack("=I", int(raw[i : i + 8], 16)) for i in range(0, len(raw), 8)
            )
            family = socket.AF_INET if len(octets) == 4 else socket.AF_INET6
            listeners.append(Listener(socket.inet_ntop(family, octets), int(port, 16), words[9]))
    return listeners


KUBEPODS_GROUP = re.compile(r"(?:[a-z0-9.-]*-)?kubepods(?:\.slice)?")
POD_GROUP = re.compile(r"(?:[a-z0-9.-]*-)?pod([0-9a-f][0-9a-f_-]{31,35})(?:\.slice)?")
STATIC_POD_UID = re.compile(r"[0-9a-f]{32}")


def is_static_pod_group(path: str) -> bool:
    """Return whether kubelet created a control group for a static pod.

    kubelet gives a static pod a UID of 32 digits. The UID of any other pod comes from the apiserver
    and has separators. Groups of users, services and containers can contain groups with any name.
    Sources: Kubernetes, pkg/kubelet/config/common.go and pkg/kubelet/cm.
    """
    parents: list[str] = []
    for name in path.strip("/").split("/"):
        if name.startswith("user") or name.endswith((".service", ".scope")):
            return False
        pod = POD_GROUP.fullmatch(name)
        if pod:
            in_kubepods = any(map(KUBEPODS_GROUP.fullmatch, parents))
            return in_kubepods and STATIC_POD_UID.fullmatch(pod[1]) is not None
        parents.append(name)
    return False


class Proc:
    """The processes of this host. For a process that has ended, all properties are empty."""

    def __init__(self, root: str = "/proc", boot: float | None = None) -> None:
        self.root = root
        self._boot = boot

    def path(self, pid: int, *names: str) -> str:
        """Return a path below the directory of a process."""
        return os.path.join(self.root, str(pid), *names)

    def _bytes(self, path: str) -> bytes:
        with contextlib.suppress(OSError), open(path, "rb") as stream:
            return stream.read(MAX_READ_BYTES)
        return b""

    def _text(self, *names: str) -> str:
        return self._bytes(os.path.join(self.root, *names)).decode("utf-8", "replace")

    def pids(self) -> list[int]:
        """Return the IDs of all processes."""
        numbers = (parse_integer(name, MAX_KERNEL_NUMBER) for name in os.listdir(self.root))
        return sorted(number for number in numbers if number is not None)

    def comm(self, pid: int) -> str:
        """Return the command name of a process."""
        return self._text(str(pid), "comm").strip()

    def command_line(self, pid: int) -> list[str]:
        """Return the program and its arguments."""
        words = self._text(str(pid), "cmdline").split("\0")
        return words[:-1] if words[-1] == "" else words

    def environment(self, pid: int) -> dict[str, str]:
        """Return the environment that a process was started with."""
        pairs = self._text(str(pid), "environ").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def executable(self, pid: int) -> str:
        """Return the path of the program as the kernel reports it."""
        with contextlib.suppress(OSError):
            return os.readlink(self.path(pid, "exe"))
        return ""

    def user(self, pid: int) -> tuple[int, int] | None:
        """Return the user ID and group ID; None if real and effective IDs differ (setuid)."""
        status = self._text(str(pid), "status")
        uid, gid = (
            re.search(rf"^{name}:\s+([0-9]{{1,10}})\s+\1\s", status, re.MULTILINE)
            for name in ("Uid", "Gid")
        )
        return (int(uid[1]), int(gid[1])) if uid and gid else None

    def ids(self, pid: int) -> tuple[int, int, list[int]] | None:
        """Return the user, group and supplementary groups of a process; None if setuid."""
        main = self.user(pid)
        groups = re.search(r"^Groups:([ \t0-9]*)$", self._text(str(pid), "status"), re.MULTILINE)
        return (
            (*main, [int(word) for word in groups[1].split()] if groups else []) if main else None
        )

    def is_stopped(self, pid: int) -> bool:
        """Return whether a signal stopped a process, such as SIGSTOP."""
        # The command name is in parentheses, and can contain any character.
        return self._text(str(pid), "stat").rpartition(")")[2].split()[:1] == ["T"]

    def start_ticks(self, pid: int) -> int | None:
        """Return the start time in clock ticks since boot, to detect a reused process ID."""
        # The command name is in parentheses, and can contain any character.
        words = self._text(str(pid), "stat").rpartition(")")[2].split()
        return parse_integer(words[19], MAX_KERNEL_NUMBER) if len(words) > 19 else None

    def started(self, pid: int) -> float | None:
        """Return the start time in Unix seconds by the current clock, rounded to 10 ms."""
        ticks = self.start_ticks(pid)
        boot = (
            time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            if self._boot is None
            else self._boot
        )
        return None if ticks is None else boot + ticks / os.sysconf("SC_CLK_TCK")

    def unit(self, pid: int) -> str:
        """Return the innermost control group with the name of a systemd unit, otherwise ""."""
        lines = self._text(str(pid), "cgroup").splitlines()
        return next((word for line in lines for word in line.split("/")[-1:] if "." in word), "")

    def is_in_static_pod(self, pid: int) -> bool:
        """Return whether a process belongs to a static pod of kubelet."""
        lines = self._text(str(pid), "cgroup").splitlines()
        return any(is_static_pod_group(line.split(":", 2)[-1]) for line in lines)

    def in_session(self, pid: int) -> bool:
        """Return whether a process belongs to a login session."""
        return "/user.slice/" in self._text(str(pid), "cgroup")

    def name(self, pid: int) -> str:
        """Return a description of a process for messages."""
        return f"{self.comm(pid) or 'a process'} (pid {pid}, {self.unit(pid) or 'no unit'})"

    def namespace(self, pid: int | str, kind: str) -> str:
        """Return the identifier of a namespace of a process; `kind` is a type such as `net`."""
        with contextlib.suppress(OSError):
            return os.readlink(os.path.join(self.root, str(pid), "ns", kind))
        return ""

    def user_namespace_owner(self, pid: int) -> int | None:
        """Return the ID of the user that created the user namespace; None if unknown."""
        with contextlib.suppress(OSError):
            handle = os.open(self.path(pid, "ns", "user"), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return int(struct.unpack("I", fcntl.ioctl(handle, NS_GET_OWNER_UID, b"\0" * 4))[0])
            finally:
                os.close(handle)
        return None

    def sockets(self, pid: int) -> set[str]:
        """Return the inodes of the open sockets of a process."""
        inodes = set()
        with contextlib.suppress(OSError):
            for name in os.listdir(self.path(pid, "fd")):
                with contextlib.suppress(OSError):
                    target = os.readlink(self.path(pid, "fd", name))
                    if target.startswith("socket:["):
                        inodes.add(target[8:-1])
        return inodes

    def listeners(self) -> list[Listener]:
        """Return the listening TCP sockets. With many connections, the call takes milliseconds."""
        return [
            listener
            for table in ("net/tcp", "net/tcp6")
            for listener in parse_listeners(self._text(*table.split("/")))
        ]

    def port_holder(
        self, number: int, pid: int, listeners: t.Sequence[Listener]
    ) -> tuple[list[str], int | None]:
        """Return the addresses that listen on a port, and the process that holds it.

        The process is 0 if it is unknown, and None if no process listens. Other processes are read
        only if the process `pid` does not hold the port.
        """
        addresses = {
            listener.inode: listener.address for listener in listeners if listener.port == number
        }
        if not addresses:
            return [], None
        holders = (p for p in [pid, *self.pids()] if p and addresses.keys() & self.sockets(p))
        return sorted(addresses.values()), next(holders, 0)


class LocalScheduler(t.NamedTuple):
    """The scheduler of one unit, and the units of the other instances of the role."""

    pid: int  # 0 if no process runs
    unit: str
    lease: tuple[str, str]  # namespace and name of the lease
    holder: int | None  # process that holds the expected port, as Proc.port_holder returns it
    instances: t.Collection[str] = ()


def other_schedulers(
    proc: Proc, local: LocalScheduler, lease_of: t.Callable[[int], tuple[str, str]]
) -> list[int]:
    """Return the other kube-scheduler processes that hold the port or use the same lease.

    Any user can start a process with that name, so these processes are ignored:

    - processes of an unprivileged user in a login session or in a user namespace
    - processes in another network namespace
    - children of the unit
    - the other instances of the role
    """
    network, users = proc.namespace("self", "net"), proc.namespace("self", "user")

    def counts(pid: int) -> bool:
        if proc.unit(pid) in local.instances and not proc.in_session(pid):
            return False
        if pid == local.holder:
            return True
        if proc.namespace(pid, "net") != network or proc.unit(pid) == local.unit:
            return False
        if proc.namespace(pid, "user") != users and proc.user_namespace_owner(pid) != 0:
            return False
        if proc.in_session(pid) and (proc.user(pid) or (1, 1))[0] != 0:
            return False
        return lease_of(pid) == local.lease

    return [
        pid
        for pid in proc.pids()
        if pid != local.pid and proc.comm(pid).startswith("kube-scheduler") and counts(pid)
    ]

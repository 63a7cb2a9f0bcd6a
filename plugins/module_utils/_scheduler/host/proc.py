# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Processes and sockets as /proc shows them. What a process can write itself, such as its command line, is data of bounded length."""

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

TCP_LISTEN = "0A"
MAX_READ_BYTES = 1 << 20
NS_GET_OWNER_UID = 0xB704  # linux/nsfs.h


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: str


def parse_listeners(table: str) -> list[Listener]:
    """The listening sockets in the text of /proc/net/tcp or /proc/net/tcp6."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == TCP_LISTEN:
            raw, port = words[1].split(":")
            # The kernel prints each 32-bit word of the address in its own byte order.
            octets = b"".join(
                struct.pack("=I", int(raw[i : i + 8], 16)) for i in range(0, len(raw), 8)
            )
            family = socket.AF_INET if len(octets) == 4 else socket.AF_INET6
            found.append(Listener(socket.inet_ntop(family, octets), int(port, 16), words[9]))
    return found


class Proc:
    """The processes of this host. A process that has gone has no properties."""

    def __init__(self, root: str = "/proc", boot: float | None = None) -> None:
        self.root = root
        self._boot = boot

    def path(self, pid: int, *names: str) -> str:
        return os.path.join(self.root, str(pid), *names)

    def _bytes(self, path: str) -> bytes:
        with contextlib.suppress(OSError), open(path, "rb") as stream:
            return stream.read(MAX_READ_BYTES)
        return b""

    def _text(self, *names: str) -> str:
        return self._bytes(os.path.join(self.root, *names)).decode("utf-8", "replace")

    def pids(self) -> list[int]:
        return sorted(int(name) for name in os.listdir(self.root) if name.isdigit())

    def comm(self, pid: int) -> str:
        return self._text(str(pid), "comm").strip()

    def command_line(self, pid: int) -> list[str]:
        """The arguments, the program first; empty when it is gone."""
        words = self._text(str(pid), "cmdline").split("\0")
        return words[:-1] if words[-1] == "" else words

    def environment(self, pid: int) -> dict[str, str]:
        """The environment that a process was started with; empty when it is gone."""
        pairs = self._text(str(pid), "environ").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def executable(self, pid: int) -> str:
        """The path of the program as the kernel has it, "" when the process is gone."""
        with contextlib.suppress(OSError):
            return os.readlink(self.path(pid, "exe"))
        return ""

    def user(self, pid: int) -> tuple[int, int] | None:
        """User and group; None for one that is between two users, as a setuid program is, whoever started that."""
        status = self._text(str(pid), "status")
        found = [
            re.search(rf"^{name}:\s+(\d+)\s+\1\s", status, re.MULTILINE) for name in ("Uid", "Gid")
        ]
        return (int(found[0][1]), int(found[1][1])) if found[0] and found[1] else None

    def start_ticks(self, pid: int) -> int | None:
        """When a process began, in clock ticks since the boot: another process of the same number has another."""
        # The name of the process, in parentheses, may hold anything.
        words = self._text(str(pid), "stat").rpartition(")")[2].split()
        return int(words[19]) if len(words) > 19 and words[19].isdigit() else None

    def started(self, pid: int) -> float | None:
        """When a process began, in seconds since 1970 by the present clock, to 10 ms."""
        ticks = self.start_ticks(pid)
        boot = (
            time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            if self._boot is None
            else self._boot
        )
        return None if ticks is None else boot + ticks / os.sysconf("SC_CLK_TCK")

    def unit(self, pid: int) -> str:
        """The innermost control group with a name as systemd's units have, or ""."""
        lines = self._text(str(pid), "cgroup").splitlines()
        return next((word for line in lines for word in line.split("/")[-1:] if "." in word), "")

    def in_session(self, pid: int) -> bool:
        """Whether a process belongs to a person's login."""
        return "/user.slice/" in self._text(str(pid), "cgroup")

    def name(self, pid: int) -> str:
        """A process for a person to read."""
        return f"{self.comm(pid) or 'a process'} (pid {pid}, {self.unit(pid) or 'no unit'})"

    def namespace(self, pid: int | str, kind: str) -> str:
        with contextlib.suppress(OSError):
            return os.readlink(os.path.join(self.root, str(pid), "ns", kind))
        return ""

    def user_namespace_owner(self, pid: int) -> int | None:
        """The user who made the user namespace of a process; None where that cannot be told."""
        with contextlib.suppress(OSError):
            handle = os.open(self.path(pid, "ns", "user"), os.O_RDONLY | os.O_CLOEXEC)
            try:
                return int(struct.unpack("I", fcntl.ioctl(handle, NS_GET_OWNER_UID, b"\0" * 4))[0])
            finally:
                os.close(handle)
        return None

    def sockets(self, pid: int) -> set[str]:
        """The inodes of the sockets that a process has open."""
        found = set()
        with contextlib.suppress(OSError):
            for name in os.listdir(self.path(pid, "fd")):
                with contextlib.suppress(OSError):
                    target = os.readlink(self.path(pid, "fd", name))
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
        return found

    def listeners(self) -> list[Listener]:
        """The listening TCP sockets. The kernel goes through the table of all connections for it, which takes it some milliseconds."""
        return [
            listener
            for table in ("net/tcp", "net/tcp6")
            for listener in parse_listeners(self._text(*table.split("/")))
        ]

    def port_holder(
        self, number: int, pid: int, listeners: t.Sequence[Listener]
    ) -> tuple[list[str], int | None]:
        """The addresses of the listeners at which a port is listened on, and the process that does: 0 for one that cannot be told, None for none.

        C(pid) is looked at first, and the other processes only when it does not hold the port.
        """
        wanted = {
            listener.inode: listener.address for listener in listeners if listener.port == number
        }
        if not wanted:
            return [], None
        holders = (p for p in [pid, *self.pids()] if p and wanted.keys() & self.sockets(p))
        return sorted(wanted.values()), next(holders, 0)


class LocalScheduler(t.NamedTuple):
    """The scheduler of the unit: its process (0 for none), the unit's name, its lease (namespace and name), and who holds the port that is
    wanted, as C(Proc.port_holder) tells it.

    C(instances) are the units of this role's other schedulers.
    """

    pid: int
    unit: str
    lease: tuple[str, str]
    holder: int | None
    instances: t.Collection[str] = ()


def other_schedulers(
    proc: Proc, own: LocalScheduler, lease_of: t.Callable[[int], tuple[str, str]]
) -> list[int]:
    """Further kube-schedulers of this host: processes of that name that hold the port, or elect by the same lease.

    A process of that name is anybody's to start. What an unprivileged user runs, in a login or in a container of the user's
    own making, is no other scheduler of this host, nor is what has another network, nor a child of the unit's own, nor another instance.
    """
    network, users = proc.namespace("self", "net"), proc.namespace("self", "user")

    def counts(pid: int) -> bool:
        if proc.unit(pid) in own.instances and not proc.in_session(pid):
            return False
        if pid == own.holder:
            return True
        if proc.namespace(pid, "net") != network or proc.unit(pid) == own.unit:
            return False
        if proc.namespace(pid, "user") != users and proc.user_namespace_owner(pid) != 0:
            return False
        if proc.in_session(pid) and (proc.user(pid) or (1, 1))[0] != 0:
            return False
        return lease_of(pid) == own.lease

    return [
        pid
        for pid in proc.pids()
        if pid != own.pid and proc.comm(pid).startswith("kube-scheduler") and counts(pid)
    ]

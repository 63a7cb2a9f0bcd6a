# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Inject the fault of a drill on its host, and remove it.

Before the fault, this module starts a systemd timer that removes the fault. The fault then ends
even if the controller, the connection or this process fails. A reboot also ends every fault.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
import typing as t
from urllib.parse import urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    KubeconfigError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    parse_server_url,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import options
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.systemd import (
    Systemd,
    main_pid,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    MAX_UNDO_AFTER_S,
    MAX_WAIT_S,
)

UNDO_UNIT = "kube-ha-drill-undo"
UNDO_TIMER, UNDO_SERVICE = f"{UNDO_UNIT}.timer", f"{UNDO_UNIT}.service"
UNDO_DESCRIPTION = "Undo the drill of {}: {}"
FIREWALL_TIMEOUT_S = 30
MAX_READ_JOURNAL_LINES = 20_000
"""After a restart, a scheduler logs its configuration, about 500 lines."""
MAX_ELECTION_LINES = 20
ELECTION_LINE = re.compile(
    r"(?i)\bleaderelection(\.go| lost)|requested to terminate| systemd\[1\]: "
)


class FaultError(CollectionError):
    """The fault cannot be injected or removed."""


class FaultModule(t.Protocol):
    """The attributes of AnsibleModule that Fault uses."""

    params: dict[str, t.Any]
    check_mode: bool

    def run_command(self, args: list[str]) -> tuple[int, str, str]:
        """Run a command; return its exit code, standard output and standard error."""


class FaultResult(t.TypedDict, total=False):
    """The result of scheduler_fault."""

    changed: bool
    since_start: float
    until_end: float
    journal: list[str]


class Fault:
    """The fault of one unit. Its methods raise FaultError and SystemdError."""

    def __init__(self, module: FaultModule, systemd: Systemd, proc: Proc) -> None:
        self.module, self.systemd, self.proc = module, systemd, proc
        self.unit: str = module.params["unit"]
        options.check_unit(self.unit)
        for option in ("settle", "journal_seconds"):
            if not 0 <= module.params[option] <= MAX_WAIT_S:
                raise FaultError(
                    f"{module.params[option]} is out of range;"
                    f" set a value from 0 to {MAX_WAIT_S} s",
                    option=option,
                )

    def run(self) -> FaultResult:
        """Inject or remove the fault, as the option `state` requests."""
        return self._inject() if self.module.params["state"] == "present" else self._remove()

    # --- injection

    def _inject(self) -> FaultResult:
        kind, seconds = self.module.params["kind"], self.module.params["undo_after"]
        if not 1 <= seconds <= MAX_UNDO_AFTER_S:
            raise FaultError(
                f"{seconds} is out of range; set a value from 1 to {MAX_UNDO_AFTER_S} s",
                option="undo_after",
            )
        description = UNDO_DESCRIPTION.format(self.unit, kind)
        armed = self._armed_description()
        if armed == description:
            return FaultResult(changed=False)
        if armed:
            raise FaultError(
                f"another fault is active ({armed}); remove it with state: absent,"
                f" or wait until {UNDO_TIMER} removes it"
            )
        properties = self.systemd.show(self.unit)
        pid = main_pid(properties)
        if properties.get("ActiveState") != "active" or not pid:
            state = properties.get("ActiveState") or "missing"
            raise FaultError(f"{self.unit} is {state}; start it before you inject {kind}")
        rules = self._firewall_rules(pid) if kind == "partition" else []
        if self.module.check_mode:
            return FaultResult(changed=True)
        self.systemd.run_later(UNDO_UNIT, description, seconds, undo_script(kind, self.unit, rules))
        before = time.monotonic()
        try:
            self._apply(kind, rules)
        except CollectionError:
            self._undo()
            raise
        return FaultResult(
            changed=True,
            since_start=round(max(0.0, self._process_age() - (time.monotonic() - before)), 3),
            until_end=round(time.monotonic() - before, 3),
        )

    def _process_age(self) -> float:
        """Return the seconds since this process started."""
        ticks = self.proc.start_ticks(os.getpid())
        return (
            time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
            if ticks
            else 0.0
        )

    def _apply(self, kind: str, rules: t.Sequence[list[str]]) -> None:
        if kind == "stop":
            self.systemd.stop(self.unit)
        elif kind in ("kill", "freeze"):
            self.systemd.kill(self.unit, "KILL" if kind == "kill" else "STOP")
        for rule in rules:
            self._run_firewall([*rule[:1], "-I", *rule[1:]])

    def _run_firewall(self, words: list[str]) -> None:
        limited = ["timeout", "-k", "5", str(FIREWALL_TIMEOUT_S + 10), *with_firewall_lock(words)]
        code, out, err = self.module.run_command(limited)
        if code:
            output = one_line(err or out) or f"exit code {code}"
            raise FaultError(
                f"{words[0]} rejects the rule for the scheduler's user ({output});"
                " use stop, kill or freeze"
            )

    def _firewall_rules(self, pid: int) -> list[list[str]]:
        """Return the rules that drop packets of the scheduler's user to its apiserver.

        A rule consists of a command, a chain and a match. Each address has one rule.
        """
        uid = self._exclusive_uid(pid)
        rules = []
        for command, address, port in self._apiserver_addresses():
            if shutil.which(command) is None:
                raise FaultError(
                    f"{command} is missing on this host; install it, or use stop, kill or freeze"
                )
            target = ["OUTPUT", "-p", "tcp", "-d", address, "--dport", str(port)]
            owner = ["-m", "owner", "--uid-owner", str(uid)]
            rules.append([command, *target, *owner, "-j", "DROP"])
        return rules

    def _exclusive_uid(self, pid: int) -> int:
        """Return the user ID of the scheduler.

        Raises FaultError if other processes run as this user.
        """
        user = self.proc.user(pid)
        if user is None:
            raise FaultError(
                f"{self.unit} has just exited, so the user of its process is unknown;"
                " run the drill again"
            )
        if user[0] == 0:
            raise FaultError(
                f"{self.unit} runs as root, so a partition would affect all processes of root;"
                " run the scheduler as a separate user"
            )
        same_user = [
            other
            for other in self.proc.pids()
            if other != pid and (self.proc.user(other) or (0, 0))[0] == user[0]
        ]
        others = [other for other in same_user if self.proc.unit(other) != self.unit]
        if others:
            raise FaultError(
                f"{self.proc.name(others[0])} also runs as the scheduler's user, so a partition"
                " would affect both; run the scheduler as a separate user"
            )
        return user[0]

    def _apiserver_addresses(self) -> list[tuple[str, str, int]]:
        """Return the firewall command, the address and the port for each apiserver address."""
        server = self.module.params["apiserver"]
        if not server:
            raise FaultError("not set; set the URL of the apiserver", option="apiserver")
        try:
            url = parse_server_url(server)
        except KubeconfigError as error:
            raise FaultError(str(error), option="apiserver") from None
        try:
            addresses = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        except OSError:
            raise FaultError(
                f"{urlsplit(server).hostname} does not resolve on this host; correct the name, or"
                " the DNS settings of the host",
                option="apiserver",
            ) from None
        commands = {socket.AF_INET: "iptables", socket.AF_INET6: "ip6tables"}
        targets = {
            (commands[family], str(address[0]), url.port)
            for family, _type, _protocol, _name, address in addresses
            if family in commands
        }
        return sorted(targets)

    # --- removal

    def _remove(self) -> FaultResult:
        changed = bool(self._armed_description())
        if changed and not self.module.check_mode:
            pid = self._main_pid()
            self._undo()
            self._wait_for_exit(pid)
        seconds = self.module.params["journal_seconds"]
        lines = (
            self.systemd.journal(self.unit, MAX_READ_JOURNAL_LINES, seconds) if seconds > 0 else []
        )
        return FaultResult(changed=changed, journal=election_lines(lines))

    def _main_pid(self) -> int:
        return main_pid(self.systemd.show(self.unit))

    def _wait_for_exit(self, pid: int) -> None:
        """Wait until the process exits, if it lost its lease. Until then, it appears healthy."""
        deadline = time.monotonic() + min(self.module.params["settle"], MAX_UNDO_AFTER_S)
        while pid and self._main_pid() == pid and time.monotonic() < deadline:
            time.sleep(0.2)

    def _armed_description(self) -> str:
        """Return the description of the active undo timer, or ""."""
        properties = self.systemd.show(UNDO_TIMER)
        if properties.get("ActiveState") not in ("active", "activating"):
            return ""
        return one_line(properties.get("Description", "")) or UNDO_TIMER

    def _undo(self) -> None:
        """Start the service of the timer now. If the service succeeds, stop the timer."""
        self.systemd.start(UNDO_SERVICE)
        self.systemd.stop(UNDO_TIMER)


def election_lines(lines: t.Sequence[str]) -> list[str]:
    """Return the last journal lines about the election and about systemd's actions."""
    return [one_line(line) for line in lines if ELECTION_LINE.search(line)][-MAX_ELECTION_LINES:]


def with_firewall_lock(words: t.Sequence[str]) -> list[str]:
    """Return a firewall command that waits while another command changes the firewall."""
    return [words[0], "-w", str(FIREWALL_TIMEOUT_S), *words[1:]]


def undo_script(kind: str, unit: str, rules: t.Sequence[t.Sequence[str]] = ()) -> str:
    """Return a shell script that removes a fault.

    The script can run twice, and also without a fault.
    """
    lines = []
    for command, *rule in rules:
        delete, check = (
            " ".join(with_firewall_lock([command, action, *rule])) for action in ("-D", "-C")
        )
        lines.append(f"{delete} 2>/dev/null || ! {check} 2>/dev/null || failed=1")
    if kind == "freeze":
        # The process can have exited already.
        lines.append(f"systemctl kill --signal=CONT -- {unit} || :")
    lines.append(f"for n in 1 2 3 4 5; do systemctl start -- {unit} && break; sleep 5; done")
    lines.append(f"systemctl --quiet is-active -- {unit} || failed=1")
    return "\n".join(["failed=0", *lines, "exit $failed"])

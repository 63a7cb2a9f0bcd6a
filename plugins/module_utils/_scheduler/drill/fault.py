# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A fault of a drill on its host, and what undoes it. The undo is armed as a timer of systemd's before the fault happens.

So it comes to its end whatever becomes of the controller, of the connection, or of this process. A reboot ends each of the faults, too.
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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import options
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    systemd as _systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    MAX_UNDO_AFTER_S,
    MAX_WAIT_S,
)

UNDO = "kube-ha-drill-undo"
TIMER, SERVICE = f"{UNDO}.timer", f"{UNDO}.service"
DESCRIPTION = "Undo the drill of {}: {}"
FIREWALL_SECONDS = 30
JOURNAL_LINES = 20_000  # a scheduler that is started again logs its configuration, some 500 lines, after the line of its end
SHOWN_LINES = 20
OF_THE_ELECTION = re.compile(
    r"(?i)\bleaderelection(\.go| lost)|requested to terminate| systemd\[1\]: "
)


class FaultError(CollectionError):
    """The fault cannot be brought about, or not be undone."""


class Module(t.Protocol):
    """What this needs of AnsibleModule."""

    params: dict[str, t.Any]
    check_mode: bool

    def run_command(self, args: list[str]) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""


class Outcome(t.TypedDict, total=False):
    """The module's result."""

    changed: bool
    since_start: float
    until_end: float
    journal: list[str]


class Fault:
    """One fault of one unit. Raises FaultError and SystemdError."""

    def __init__(self, module: Module, systemd: _systemd.Systemd, proc: Proc) -> None:
        self.module, self.systemd, self.proc = module, systemd, proc
        self.unit: str = module.params["unit"]
        options.check_unit(self.unit)
        for option in ("settle", "journal_seconds"):
            if not 0 <= module.params[option] <= MAX_WAIT_S:
                raise FaultError(
                    f"{module.params[option]} is not between 0 and {MAX_WAIT_S} seconds",
                    option=option,
                )

    def run(self) -> Outcome:
        return self._present() if self.module.params["state"] == "present" else self._absent()

    # --- the fault

    def _present(self) -> Outcome:
        kind, seconds = self.module.params["kind"], self.module.params["undo_after"]
        if not 1 <= seconds <= MAX_UNDO_AFTER_S:
            raise FaultError(
                f"{seconds} is not between 1 and {MAX_UNDO_AFTER_S} seconds", option="undo_after"
            )
        description = DESCRIPTION.format(self.unit, kind)
        armed = self._armed()
        if armed == description:
            return Outcome(changed=False)
        if armed:
            raise FaultError(
                f"another fault is on ({armed}); undo it first with state: absent, or wait for {TIMER}"
            )
        shown = self.systemd.show(self.unit)
        pid = _systemd.main_pid(shown)
        if shown.get("ActiveState") != "active" or not pid:
            raise FaultError(
                f"{self.unit} is {shown.get('ActiveState') or 'not there'}, so there is nothing to {kind}"
            )
        rules = self._rules(pid) if kind == "partition" else []
        if self.module.check_mode:
            return Outcome(changed=True)
        self.systemd.run_later(UNDO, description, seconds, undo_script(kind, self.unit, rules))
        before = time.monotonic()
        try:
            self._strike(kind, rules)
        except CollectionError:
            self._undo()
            raise
        return Outcome(
            changed=True,
            since_start=round(max(0.0, self._age() - (time.monotonic() - before)), 3),
            until_end=round(time.monotonic() - before, 3),
        )

    def _age(self) -> float:
        """Seconds since this process began."""
        ticks = self.proc.start_ticks(os.getpid())
        return (
            time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
            if ticks
            else 0.0
        )

    def _strike(self, kind: str, rules: t.Sequence[list[str]]) -> None:
        if kind == "stop":
            self.systemd.stop(self.unit)
        elif kind in ("kill", "freeze"):
            self.systemd.kill(self.unit, "KILL" if kind == "kill" else "STOP")
        for rule in rules:
            self._firewall([*rule[:1], "-I", *rule[1:]])

    def _firewall(self, words: list[str]) -> None:
        limited = ["timeout", "-k", "5", str(FIREWALL_SECONDS + 10), *with_lock(words)]
        code, out, err = self.module.run_command(limited)
        if code:
            said = one_line(err or out) or f"exit code {code}"
            raise FaultError(f"{words[0]} does not take the rule for the scheduler's user: {said}")

    def _rules(self, pid: int) -> list[list[str]]:
        """What drops the packets of the scheduler's user to its apiserver: command, chain and match, for each family of addresses."""
        user = self.proc.user(pid)
        if user is None:
            raise FaultError(f"{self.unit} has just gone, so its user is not known; try again")
        if user[0] == 0:
            raise FaultError(
                f"{self.unit} runs as root, so a rule for its user would cut off all that root runs here"
            )
        same = [
            other
            for other in self.proc.pids()
            if other != pid and (self.proc.user(other) or (0, 0))[0] == user[0]
        ]
        others = [other for other in same if self.proc.unit(other) != self.unit]
        if others:
            raise FaultError(
                f"{self.proc.name(others[0])} runs as the scheduler's user too, and would be cut off with it; give the scheduler a user of its own"
            )
        found = []
        for command, address, port in self._addresses():
            if shutil.which(command) is None:
                raise FaultError(
                    f"there is no {command} on this host; install it, or drill with stop, kill or freeze"
                )
            match = [
                "OUTPUT",
                "-p",
                "tcp",
                "-d",
                address,
                "--dport",
                str(port),
                "-m",
                "owner",
                "--uid-owner",
            ]
            found.append([command, *match, str(user[0]), "-j", "DROP"])
        return found

    def _addresses(self) -> list[tuple[str, str, int]]:
        """The filter's command, address and port of each address of the apiserver."""
        server = self.module.params["apiserver"]
        if not server:
            raise FaultError("is needed for a partition", option="apiserver")
        try:
            url = kubeconfig.parse_server_url(server)
        except KubeconfigError as error:
            raise FaultError(str(error), option="apiserver") from None
        try:
            found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        except OSError:
            raise FaultError(
                f"the host of {urlsplit(server).hostname} does not resolve here", option="apiserver"
            ) from None
        commands = {socket.AF_INET: "iptables", socket.AF_INET6: "ip6tables"}
        known = {
            (commands[family], str(to[0]), url.port)
            for family, _t, _p, _n, to in found
            if family in commands
        }
        return sorted(known)

    # --- its end

    def _absent(self) -> Outcome:
        changed = bool(self._armed())
        if changed and not self.module.check_mode:
            pid = self._pid()
            self._undo()
            self._settle(pid)
        seconds = self.module.params["journal_seconds"]
        lines = self.systemd.journal(self.unit, JOURNAL_LINES, seconds) if seconds > 0 else []
        return Outcome(changed=changed, journal=of_the_election(lines))

    def _pid(self) -> int:
        return _systemd.main_pid(self.systemd.show(self.unit))

    def _settle(self, pid: int) -> None:
        """Waits for the end of a process that has lost its lease without knowing it yet: until then it looks as if all were well."""
        deadline = time.monotonic() + min(self.module.params["settle"], MAX_UNDO_AFTER_S)
        while pid and self._pid() == pid and time.monotonic() < deadline:
            time.sleep(0.2)

    def _armed(self) -> str:
        """What the timer that is armed says that it undoes; "" without one."""
        shown = self.systemd.show(TIMER)
        if shown.get("ActiveState") not in ("active", "activating"):
            return ""
        return one_line(shown.get("Description", "")) or TIMER

    def _undo(self) -> None:
        """Runs at once what the timer would have run later, and disarms it; a failed one stays armed."""
        self.systemd.start(SERVICE)
        self.systemd.stop(TIMER)


def of_the_election(lines: t.Sequence[str]) -> list[str]:
    """The lines of a journal that tell who got or lost the lease, and what systemd did with the unit; the last ones."""
    return [one_line(line) for line in lines if OF_THE_ELECTION.search(line)][-SHOWN_LINES:]


def with_lock(words: t.Sequence[str]) -> list[str]:
    """A command of the packet filter that waits for others that change it."""
    return [words[0], "-w", str(FIREWALL_SECONDS), *words[1:]]


def undo_script(kind: str, unit: str, rules: t.Sequence[t.Sequence[str]] = ()) -> str:
    """What undoes a fault, for a shell. It may run twice, and where the fault never came about."""
    lines = []
    for command, *rule in rules:
        delete, check = (" ".join(with_lock([command, what, *rule])) for what in ("-D", "-C"))
        lines.append(f"{delete} 2>/dev/null || ! {check} 2>/dev/null || failed=1")
    if kind == "freeze":
        # It may have ended meanwhile.
        lines.append(f"systemctl kill --signal=CONT -- {unit} || :")
    lines.append(f"for n in 1 2 3 4 5; do systemctl start -- {unit} && break; sleep 5; done")
    lines.append(f"systemctl --quiet is-active -- {unit} || failed=1")
    return "\n".join(["failed=0", *lines, "exit $failed"])

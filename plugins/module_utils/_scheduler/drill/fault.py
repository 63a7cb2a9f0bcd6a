# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Inject the fault of a drill on its host, and remove it.

A transient service of systemd injects the fault, waits and removes the fault. The fault then ends
even if the controller, the connection or this process fails. A reboot also ends every fault.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import time
import typing as t
from urllib.parse import urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    KubeconfigError,
    SystemdError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    parse_server_url,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.sockets import (
    Exchange,
    look_up,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import (
    fault_script,
    firewall,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.fault_script import (
    FAULT_UNIT,
    FaultScript,
    FaultState,
)
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

FAULT_DESCRIPTION = "Drill of {}: {}"
FAULT_REMOVAL_TIMEOUT_S = 150
"""Timeout of the removal by the service, which tries it again until it succeeds."""
LOOKUP_TIMEOUT_S = 10.0
MAX_DESTINATIONS = 64
"""Maximum number of addresses of the apiserver. With iptables, each one needs a command."""
POLL_S = 0.2
MAX_READ_JOURNAL_LINES = 20_000
"""After a restart, a scheduler logs its configuration, about 500 lines."""
MAX_ELECTION_LINES = 20
ELECTION_LINE = re.compile(
    r"(?i)\bleaderelection(\.go| lost)|requested to terminate| systemd\[1\]: "
)


INJECTIONS = {
    "stop": "systemctl stop -- {}",
    "kill": "systemctl kill --signal=KILL -- {}",
    "freeze": "systemctl kill --signal=STOP -- {}",
}
"""The shell command that injects each fault. `{}` is the unit."""


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
        self.firewall = firewall.Firewall(module.run_command)
        self.state = FaultState(fault_script.STATE_DIR)
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
        description = FAULT_DESCRIPTION.format(self.unit, kind)
        active = self._active_description()
        if active == description:
            return FaultResult(changed=False)
        if active or self.state.is_injected():
            raise FaultError(
                f"another fault is active ({active or self.state.directory}); remove it with"
                " state: absent"
            )
        script = self._script(kind, description, self._check_unit(kind), seconds)
        if self.module.check_mode:
            return FaultResult(changed=True)
        self.state.prepare(script, armed=True)
        try:
            self._start_service(description, seconds)
        except SystemdError:
            if not self.state.disarm():
                self._end_fault()
            self.state.discard()
            raise
        return self._describe_injection(kind)

    def _check_unit(self, kind: str) -> int:
        """Return the main process of the unit; raise FaultError if the unit does not run."""
        properties = self.systemd.show(self.unit)
        pid = main_pid(properties)
        if properties.get("ActiveState") != "active" or not pid:
            state = properties.get("ActiveState") or "missing"
            raise FaultError(f"{self.unit} is {state}; start it before you inject {kind}")
        if self.proc.is_stopped(pid):
            raise FaultError(f"{self.unit} is frozen; remove this fault with state: absent")
        return pid

    def _script(self, kind: str, description: str, pid: int, seconds: int) -> FaultScript:
        removal = fault_script.unit_removal(self.unit, start=True)
        if kind != "partition":
            return FaultScript(
                description, [INJECTIONS[kind].format(shlex.quote(self.unit))], removal, seconds
            )
        if self.firewall.find_removal():
            raise FaultError(
                "the packet filter contains rules of an earlier drill; remove them with state:"
                " absent"
            )
        plan = self.firewall.plan(self._exclusive_uid(pid), self._destinations(), seconds)
        return FaultScript(description, plan.injection, [*plan.removal, *removal], seconds)

    def _start_service(self, description: str, seconds: int) -> None:
        self.systemd.start_transient(
            FAULT_UNIT, description, self.state.properties(seconds), self.state.command("wait")
        )

    def _describe_injection(self, kind: str) -> FaultResult:
        """Return the time of the fault. If the injection failed, raise FaultError."""
        failed, uptime = self.state.read("failed"), self.state.read("uptime") or ""
        is_applied = self.state.read("applied") is not None
        if not is_applied or not re.fullmatch(r"[0-9]{1,12}\.[0-9]{2}\n", uptime):
            self._wait_for_removal()
            self.state.discard()
            reason = one_line(failed or "") or f"run journalctl -u {FAULT_UNIT}"
            raise FaultError(
                f"{kind} of {self.unit} failed, and the fault was removed ({reason});"
                " correct the cause, or use another kind"
            )
        age = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - float(uptime))
        return FaultResult(
            changed=True,
            since_start=round(max(0.0, self._process_age() - age), 3),
            until_end=round(age, 3),
        )

    def _process_age(self) -> float:
        """Return the seconds since this process started."""
        ticks = self.proc.start_ticks(os.getpid())
        return (
            time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
            if ticks
            else 0.0
        )

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

    def _destinations(self) -> list[firewall.Destination]:
        """Return each address of the apiserver."""
        server = self.module.params["apiserver"]
        if not server:
            raise FaultError("not set; set the URL of the apiserver", option="apiserver")
        try:
            url = parse_server_url(server)
        except KubeconfigError as error:
            raise FaultError(str(error), option="apiserver") from None
        try:
            addresses = look_up(url.host, url.port, Exchange(LOOKUP_TIMEOUT_S, 0))
        except OSError:
            raise FaultError(
                f"{urlsplit(server).hostname} does not resolve on this host; correct the name, or"
                " the DNS settings of the host",
                option="apiserver",
            ) from None
        families = {socket.AF_INET: "ip", socket.AF_INET6: "ip6"}
        destinations = {
            firewall.Destination(families[family], str(address[0]), url.port)
            for family, _type, _protocol, _name, address in addresses
            if family in families
        }
        if len(destinations) > MAX_DESTINATIONS:
            raise FaultError(
                f"{url.host} has {len(destinations)} addresses, more than {MAX_DESTINATIONS};"
                " set a URL with fewer addresses, or use stop, kill or freeze",
                option="apiserver",
            )
        return sorted(destinations)

    # --- removal

    def _remove(self) -> FaultResult:
        changed = self._remove_fault()
        seconds = self.module.params["journal_seconds"]
        lines = (
            self.systemd.journal(self.unit, MAX_READ_JOURNAL_LINES, seconds) if seconds > 0 else []
        )
        return FaultResult(changed=changed, journal=election_lines(lines))

    def _remove_fault(self) -> bool:
        """Remove what remains of a fault, and return whether anything did.

        The service can have ended without success. Therefore, this method also queries the packet
        filter and the state of the process.
        """
        pid, dry = self._main_pid(), self.module.check_mode
        is_unfinished = bool(self._active_description()) or self.state.is_injected()
        if is_unfinished and not dry:
            self._end_fault()
        remains = self.firewall.find_removal()
        is_frozen = bool(pid) and self.proc.is_stopped(self._main_pid())
        if dry or not (is_unfinished or remains or is_frozen):
            self._discard(dry=dry)
            return is_unfinished or bool(remains) or is_frozen
        if remains or is_frozen:
            self._remove_remains(remains)
        self._discard()
        self._check_not_masked()
        self._wait_for_exit(pid)
        return True

    def _discard(self, *, dry: bool = False) -> None:
        if not dry:
            self.state.discard()

    def _end_fault(self) -> None:
        """Make the service remove the fault now, and wait until it has done so."""
        self.state.end()
        if self._active_description():
            self.systemd.terminate(FAULT_UNIT)
        elif self.state.has_script():
            self._start_service(FAULT_DESCRIPTION.format(self.unit, "removal"), 0)
        else:
            self._remove_remains(self.firewall.find_removal(), start=True)
        self._wait_for_removal()

    def _remove_remains(self, removal: t.Sequence[str], *, start: bool = False) -> None:
        """Run a service that removes rules and lets the unit continue."""
        description = FAULT_DESCRIPTION.format(self.unit, "removal")
        commands = [*removal, *fault_script.unit_removal(self.unit, start=start)]
        self.state.prepare(FaultScript(description, [], commands), armed=False)
        self.state.mark_injected()
        self._start_service(description, 0)
        self._wait_for_removal()

    def _wait_for_removal(self) -> None:
        """Wait until the service has removed the fault. Raises FaultError after the timeout."""
        deadline = time.monotonic() + FAULT_REMOVAL_TIMEOUT_S
        while self._active_description() or self.state.is_injected():
            if time.monotonic() >= deadline:
                raise FaultError(
                    f"the fault of {self.unit} is not removed after {FAULT_REMOVAL_TIMEOUT_S} s;"
                    f" {FAULT_UNIT} continues to try; run journalctl -u {FAULT_UNIT} to find the"
                    " reason"
                )
            time.sleep(POLL_S)

    def _check_not_masked(self) -> None:
        if self.systemd.show(self.unit).get("LoadState") == "masked":
            raise FaultError(
                f"{self.unit} is masked, so the drill cannot start it; run systemctl unmask"
                f" {self.unit}, then systemctl start {self.unit}"
            )

    def _main_pid(self) -> int:
        return main_pid(self.systemd.show(self.unit))

    def _wait_for_exit(self, pid: int) -> None:
        """Wait until the process exits, if it lost its lease. Until then, it appears healthy."""
        deadline = time.monotonic() + min(self.module.params["settle"], MAX_UNDO_AFTER_S)
        while pid and self._main_pid() == pid and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _active_description(self) -> str:
        """Return the description of the service if it is active or waits for a retry, or ""."""
        properties = self.systemd.show(FAULT_UNIT)
        if properties.get("ActiveState") in ("inactive", "failed", None, ""):
            return ""
        return one_line(properties.get("Description", "")) or FAULT_UNIT


def election_lines(lines: t.Sequence[str]) -> list[str]:
    """Return the last journal lines about the election and about systemd's actions."""
    return [one_line(line) for line in lines if ELECTION_LINE.search(line)][-MAX_ELECTION_LINES:]

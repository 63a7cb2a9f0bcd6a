# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write the script that injects a fault, waits and removes the fault, and its transient service.

One service does all three, so that a fault never starts after its removal:

- ExecStartPre injects the fault.
- ExecStart waits. Both `sleep` and RuntimeMaxSec measure durations, which no step of the clock
  changes.
- ExecStopPost removes the fault. If that fails, systemd starts the service again. The restarted
  service only removes the fault.

The files are below /run. A reboot deletes them, and also ends every fault.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write

FAULT_UNIT = "kube-ha-drill.service"
STATE_DIR = "/run/kube-ha-drill"
ACTION_TIMEOUT_S = 300
"""Timeout of the injection, and of one removal: longer than the timeouts in the scheduler's unit."""
RETRY_S = 5
"""Seconds between two removals."""
START_TIMEOUT_S = 120
WAIT_MARGIN_S = 60
"""After the wait and this time, systemd ends the service, even if the process is frozen."""
MAX_ERROR_BYTES = 4000
TEMPLATE = """\
# {description}
# The service {service} calls this script.
cd {directory} || exit 1
case $1 in
inject)
    # Only one process can rename the file, so the fault is injected at most once.
    mv armed injected 2>/dev/null || exit 0
    cut -d ' ' -f 1 /proc/uptime > uptime
    if {{
        {injection}
    }} > output 2>&1; then mv output applied; else mv output failed; fi
    ;;
wait)
    [ -e applied ] && [ ! -e ended ] || exit 0
    exec sleep {seconds}
    ;;
undo)
    : > ended
    failed=0
    {removal}
    [ $failed = 0 ] || exit 1
    rm -f armed injected uptime output applied ended fault.sh
    cd / && rmdir {directory} 2>/dev/null
    exit 0
    ;;
esac
"""


@dataclass(frozen=True)
class FaultScript:
    """Shell commands that inject a fault and that remove it.

    If a removal fails, it sets the shell variable `failed` to 1. All commands can run twice.
    """

    description: str
    injection: t.Sequence[str]
    removal: t.Sequence[str]
    seconds: int = 0

    def render(self, directory: str) -> str:
        """Return the text of the script."""
        return TEMPLATE.format(
            description=self.description,
            service=FAULT_UNIT,
            directory=directory,
            injection=" &&\n        ".join(self.injection or [":"]),
            removal="\n    ".join(self.removal),
            seconds=self.seconds,
        )


class FaultState:
    """The files of the current fault of this host."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.script = os.path.join(directory, "fault.sh")

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return os.path.join(self.directory, name)

    def is_injected(self) -> bool:
        """Return whether a fault was injected whose removal has not succeeded."""
        return os.path.lexists(self.path("injected"))

    def has_script(self) -> bool:
        """Return whether the script of the fault exists."""
        return os.path.isfile(self.script)

    def prepare(self, script: FaultScript, *, armed: bool) -> None:
        """Write a script. If the fault is not `armed`, the script can only remove it."""
        with paths.explain_errors(self.directory, "create"):
            os.makedirs(self.directory, 0o700, exist_ok=True)
        for name in ("armed", "uptime", "output", "applied", "failed", "ended"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))
        write.write(self.script, script.render(self.directory).encode())
        if armed:
            write.write(self.path("armed"), b"")

    def mark_injected(self) -> None:
        """Record that a fault must be removed, which another run or a user left behind."""
        write.write(self.path("injected"), b"")

    def disarm(self) -> bool:
        """Prevent the injection, and return whether it had not begun."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("armed"))
            return True
        return not self.is_injected()

    def end(self) -> None:
        """Make the service remove the fault at its next start, without a wait."""
        if os.path.isdir(self.directory):
            write.write(self.path("ended"), b"")

    def discard(self) -> None:
        """Delete the files, unless a fault must still be removed."""
        if not self.is_injected():
            shutil.rmtree(self.directory, ignore_errors=True)

    def read(self, name: str) -> str | None:
        """Return the content of a file as text; None if it does not exist."""
        content = paths.read(self.path(name))
        return None if content is None else content[:MAX_ERROR_BYTES].decode("utf-8", "replace")

    def command(self, action: str) -> list[str]:
        """Return the command that calls the script. Without the script, the command succeeds."""
        call = f"[ ! -e {self.script} ] || exec /bin/sh {self.script} {action}"
        return ["/bin/sh", "-c", call]

    def properties(self, seconds: int) -> dict[str, str]:
        """Return the properties of the transient service."""
        return {
            "ExecStartPre": self._quoted("inject"),
            "ExecStopPost": self._quoted("undo"),
            "TimeoutStartSec": f"{ACTION_TIMEOUT_S}s",
            "TimeoutStopSec": f"{ACTION_TIMEOUT_S}s",
            "RuntimeMaxSec": f"{seconds + WAIT_MARGIN_S}s",
            "Restart": "on-failure",
            "RestartSec": f"{RETRY_S}s",
            "StartLimitIntervalSec": "0",
        }

    def _quoted(self, action: str) -> str:
        shell, option, call = self.command(action)
        return f"{shell} {option} '{call}'"


def unit_removal(unit: str, *, start: bool) -> list[str]:
    """Return the commands that let a unit continue, and start it if `start` is set.

    A masked unit cannot start. The drill never masks a unit, so a masked unit does not count as a
    failed removal.
    """
    unit = shlex.quote(unit)
    state = f"systemctl show --value --property={{}} -- {unit}"
    pid = f"$({state.format('MainPID')})"
    lines = [
        f"timeout {START_TIMEOUT_S} systemctl kill --signal=CONT -- {unit} 2>/dev/null",
        f"grep -q '^State:.*T (stopped)' /proc/{pid}/status 2>/dev/null && failed=1",
    ]
    if start:
        is_masked = f'[ "$({state.format("LoadState")})" = masked ]'
        lines.append(
            f"timeout {START_TIMEOUT_S} systemctl start -- {unit} || {is_masked} || failed=1"
        )
    return lines

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""systemd, through systemctl, systemd-run and journalctl. Every call has a time limit."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import SystemdError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    SET_ASIDE_CONTENT,
    credentials_dir,
)

BOOTED = "/run/systemd/system"
MIN_CREDENTIALS_VERSION = 247  # LoadCredential, systemd's NEWS
QUERY_TIMEOUT_S = 30
"""For what systemd knows, on a busy host."""
JOB_TIMEOUT_S = 300
"""For a stop or a start, which the unit's own time-outs end sooner."""
RUN_TIMEOUT_S = 60
TIMEOUT_EXIT_CODE = 124
"""Exit code of timeout(1)."""
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainStartTimestamp",
    "ActiveEnterTimestampMonotonic",
    "NeedDaemonReload",
    "User",
    "FragmentPath",
    "DropInPaths",
    "Description",
)


class Runner(t.Protocol):
    """AnsibleModule.run_command."""

    def __call__(self, args: list[str], /) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""


def parse_show(text: str) -> dict[str, str]:
    """The output of `systemctl show` as a mapping."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def main_pid(shown: t.Mapping[str, str]) -> int:
    """The main process of a unit, 0 for none."""
    return int_property(shown, "MainPID")


def int_property(shown: t.Mapping[str, str], name: str) -> int:
    """A property that is a number, 0 where systemd tells none."""
    text = shown.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else 0


def active_seconds(shown: t.Mapping[str, str], now: float) -> float:
    """For how long a unit has been active; C(now) are the seconds of CLOCK_MONOTONIC, which systemd counts by."""
    entered = shown.get("ActiveEnterTimestampMonotonic", "")
    if shown.get("ActiveState") != "active" or not re.fullmatch(r"[1-9][0-9]{0,18}", entered):
        return 0.0
    return round(max(0.0, now - int(entered) / 1e6), 3)


def drop_ins(shown: t.Mapping[str, str], unit: str) -> list[str]:
    """The drop-ins that are for this unit alone; distributions ship others, for all services."""
    return [path for path in shown.get("DropInPaths", "").split() if f"/{unit}.d/" in path]


def is_set_aside(path: str) -> bool:
    """Whether a drop-in is one whose settings were taken away."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read(len(SET_ASIDE_CONTENT) + 1) == SET_ASIDE_CONTENT
    except (OSError, ValueError):
        return False


def credential_path(proc: Proc, pid: int, unit: str, name: str) -> str | None:
    """The path of a process's own copy of a credential; None where it was given none.

    The host's own view comes first: a process may arrange its own as it likes.
    """
    path = os.path.join(credentials_dir(unit), name)
    for place in (path, f"{proc.path(pid, 'root')}{path}"):
        if os.path.exists(place):
            return place
    return None


class Systemd:
    """The system's service manager. Raises SystemdError where a call fails or takes too long."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def _limited(self, seconds: int, *words: str) -> tuple[int, str, str]:
        return self._run(["timeout", "-k", "5", str(seconds), *words])

    def _do(self, *words: str, seconds: int = QUERY_TIMEOUT_S) -> str:
        code, out, err = self._limited(seconds, "systemctl", *words)
        if code:
            said = (err or out).strip().splitlines() or [f"exit code {code}"]
            reason = f"it took longer than {seconds} s" if code == TIMEOUT_EXIT_CODE else said[0]
            raise SystemdError(
                f"systemctl {words[0]} failed: {reason} (look at: journalctl -u {words[-1]})"
            )
        return out

    def version(self) -> int:
        """systemd's major version, 0 where it does not run."""
        if not os.path.isdir(BOOTED):
            return 0
        _code, out, _err = self._limited(QUERY_TIMEOUT_S, "systemctl", "--version")
        found = re.match(r"systemd (\d{1,6})", out)
        return int(found.group(1)) if found else 0

    def show(self, unit: str) -> dict[str, str]:
        """The properties of a unit that this collection looks at."""
        return parse_show(self._do("show", f"--property={','.join(PROPERTIES)}", "--", unit))

    def reload(self) -> None:
        self._do("daemon-reload", seconds=JOB_TIMEOUT_S)

    def enable(self, unit: str) -> None:
        self._do("enable", "--quiet", "--", unit)

    def reset_restarts(self, unit: str) -> None:
        """Counts the unit's restarts from 0 again; a start by hand does not, where it comes while systemd waits to restart it."""
        self._do("reset-failed", "--", unit)

    def restart(self, unit: str) -> None:
        self._do("restart", "--", unit, seconds=JOB_TIMEOUT_S)

    def disable(self, unit: str) -> None:
        self._do("disable", "--quiet", "--now", "--", unit, seconds=JOB_TIMEOUT_S)

    def start(self, unit: str) -> None:
        self._do("start", "--", unit, seconds=JOB_TIMEOUT_S)

    def stop(self, unit: str) -> None:
        self._do("stop", "--", unit, seconds=JOB_TIMEOUT_S)

    def kill(self, unit: str, signal: str) -> None:
        """Sends a signal to the unit's processes."""
        self._do("kill", f"--signal={signal}", "--", unit)

    def journal(self, unit: str, lines: int, seconds: int = 0) -> list[str]:
        """The unit's last lines; of the last seconds only, if so many are given."""
        since = [f"--since=-{seconds}s"] if seconds else []
        return self._journal(unit, "--output=short-iso", f"--lines={lines}", *since).splitlines()

    def has_logged(self, unit: str, text: str, since: float) -> bool:
        """Whether the unit has said TEXT, in small letters, since a moment, in seconds since 1970. Needs a journalctl that can search, as most can."""
        return (
            text
            in self._journal(
                unit, "--output=cat", "--lines=1", f"--since=@{since:.3f}", f"--grep={text}"
            ).lower()
        )

    def _journal(self, unit: str, *words: str) -> str:
        _code, out, _err = self._limited(
            QUERY_TIMEOUT_S, "journalctl", "--no-pager", "--quiet", *words, f"--unit={unit}"
        )
        return out

    def run_later(self, name: str, description: str, seconds: int, script: str) -> None:
        """Has the service manager run SCRIPT with a shell after so many seconds, whatever becomes of the caller.

        Until then NAME.timer is active, and a start of NAME.service runs it at once.
        """
        code, out, err = self._limited(
            QUERY_TIMEOUT_S,
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={name}",
            f"--description={description}",
            f"--on-active={seconds}s",
            "--timer-property=AccuracySec=100ms",
            "--property=Type=oneshot",
            f"--property=TimeoutStartSec={JOB_TIMEOUT_S}s",
            "--",
            "/bin/sh",
            "-c",
            # The service manager expands $NAME in them as in a unit.
            script.replace("$", "$$"),
        )
        if code:
            said = (err or out).strip().splitlines() or [f"exit code {code}"]
            raise SystemdError(f"systemd-run failed: {said[0]} (for {name}.timer)")

    def run_with_credentials(
        self, name: str, user: str, credentials: dict[str, str], command: list[str]
    ) -> tuple[int, str]:
        """Runs COMMAND as USER in a transient service that gets CREDENTIALS (path by name); returns exit code and output."""
        code, out, err = self._limited(
            RUN_TIMEOUT_S + 10,
            "systemd-run",
            "--quiet",
            "--wait",
            "--pipe",
            "--collect",
            f"--unit={name}",
            f"--property=User={user}",
            "--property=PrivateTmp=yes",
            f"--property=RuntimeMaxSec={RUN_TIMEOUT_S}",
            *(f"--property=LoadCredential={key}:{path}" for key, path in credentials.items()),
            "--",
            # The service manager expands $NAME in them as in a unit.
            *(word.replace("$", "$$") for word in command),
        )
        return code, out + err

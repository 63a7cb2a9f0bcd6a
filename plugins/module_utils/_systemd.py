# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""systemd, asked through systemctl, systemd-run and journalctl; and a unit's process, read in /proc."""

from __future__ import annotations

import os
import re
import typing as t

# A stop may take TimeoutStopSec (20 s in our unit), and a start its first moments.
TIMEOUT = 90
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainStartTimestamp",
    "NeedDaemonReload",
    "User",
    "FragmentPath",
)


class SystemdError(Exception):
    """One line: what, where, what to do."""


class Runner(t.Protocol):
    """AnsibleModule.run_command."""

    def __call__(self, args: list[str], /) -> tuple[int, str, str]: ...


def parse_show(text: str) -> dict[str, str]:
    """The output of `systemctl show` as a mapping."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            pairs = stream.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return {}
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


class Systemd:
    """The system's service manager."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def _do(self, *words: str) -> str:
        code, out, err = self._run(["systemctl", *words])
        if code:
            reason = (err or out).strip().splitlines() or [f"exit code {code}"]
            raise SystemdError(f"systemctl {' '.join(words)} failed: {reason[0]} (look at: journalctl -u {words[-1]})")
        return out

    def version(self) -> int:
        """systemd's major version, 0 where there is none."""
        try:
            _code, out, _err = self._run(["systemctl", "--version"])
        except OSError:
            return 0
        found = re.match(r"systemd (\d+)", out)
        return int(found.group(1)) if found else 0

    def show(self, unit: str) -> dict[str, str]:
        """The properties of a unit that this collection looks at."""
        return parse_show(self._do("show", f"--property={','.join(PROPERTIES)}", unit))

    def reload(self) -> None:
        self._do("daemon-reload")

    def enable(self, unit: str) -> None:
        self._do("enable", "--quiet", unit)

    def restart(self, unit: str) -> None:
        self._do("restart", unit)

    def disable(self, unit: str) -> None:
        self._do("disable", "--quiet", "--now", unit)

    def version_of(self, program: str) -> str:
        """What a Kubernetes binary says after `--version`, without the v; '' when it says something else."""
        try:
            _code, out, _err = self._run([program, "--version"])
        except OSError:
            return ""
        found = re.search(r"Kubernetes v(\S+)", out)
        return found.group(1) if found else ""

    def journal(self, unit: str, lines: int) -> list[str]:
        """The unit's last lines."""
        _code, out, _err = self._run(
            ["journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--lines={lines}", f"--unit={unit}"]
        )
        return out.splitlines()

    def run_with_credentials(
        self, name: str, user: str, credentials: dict[str, str], command: list[str]
    ) -> tuple[int, str]:
        """Runs COMMAND as USER in a transient service that gets CREDENTIALS (path by name); returns exit code and output."""
        code, out, err = self._run(
            [
                "systemd-run",
                "--quiet",
                "--wait",
                "--pipe",
                "--collect",
                f"--unit={name}",
                f"--property=User={user}",
                "--property=PrivateTmp=yes",
                *(f"--property=LoadCredential={key}:{path}" for key, path in credentials.items()),
                "--",
                # The service manager expands $NAME in them as in a unit.
                *(word.replace("$", "$$") for word in command),
            ]
        )
        return code, out + err


def credentials_folder(unit: str) -> str:
    """Where systemd puts the credentials of a system service."""
    return os.path.join("/run/credentials", unit)

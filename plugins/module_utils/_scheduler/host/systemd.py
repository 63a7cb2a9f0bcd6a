# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Call systemd through systemctl, systemd-run and journalctl. Every call has a timeout."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    SystemdError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.pipe import (
    run_bounded,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    SET_ASIDE_CONTENT,
    credentials_dir,
)

BOOTED = "/run/systemd/system"
MIN_CREDENTIALS_VERSION = 247  # first version with LoadCredential; source: NEWS of systemd
QUERY_TIMEOUT_S = 30
"""Timeout of a query. On a busy host, a query is slow."""
JOB_TIMEOUT_S = 300
"""Timeout of a start or stop, longer than the timeouts in the unit."""
RUN_TIMEOUT_S = 60
RUN_WALL_S = RUN_TIMEOUT_S + 10
MAX_RUN_BYTES = 1 << 20
"""Maximum output of a command in a transient service."""
MAX_JOURNAL_BYTES = 1 << 20
"""Maximum length of the journal lines. A user can write entries of any length."""
DROP_IN_SETTING = re.compile(r"(?m)^[ \t]*([A-Za-z][A-Za-z0-9]{0,60})[ \t]*=")
TIMEOUT_EXIT_CODE = 124
"""Exit code of timeout(1) if the command timed out."""
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
    """The signature of AnsibleModule.run_command."""

    def __call__(self, args: list[str], /) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""


def parse_show(text: str) -> dict[str, str]:
    """Return the output of `systemctl show` as a mapping."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def main_pid(properties: t.Mapping[str, str]) -> int:
    """Return the ID of the main process of a unit, 0 if there is none."""
    return int_property(properties, "MainPID")


def int_property(properties: t.Mapping[str, str], name: str) -> int:
    """Return a numeric property, 0 if it is missing or not a number."""
    text = properties.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else 0


def active_seconds(properties: t.Mapping[str, str], now: float) -> float:
    """Return the seconds for which a unit has been active. `now` is a time of CLOCK_MONOTONIC."""
    entered = properties.get("ActiveEnterTimestampMonotonic", "")
    if properties.get("ActiveState") != "active" or not re.fullmatch(r"[1-9][0-9]{0,18}", entered):
        return 0.0
    return round(max(0.0, now - int(entered) / 1e6), 3)


def drop_ins(properties: t.Mapping[str, str], unit: str) -> list[str]:
    """Return the drop-ins of this unit, without drop-ins of distributions for all services."""
    return [path for path in properties.get("DropInPaths", "").split() if f"/{unit}.d/" in path]


def is_set_aside(path: str) -> bool:
    """Return whether the role has replaced the content of a drop-in with a comment."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read(len(SET_ASIDE_CONTENT) + 1) == SET_ASIDE_CONTENT
    except (OSError, ValueError):
        return False


def list_drop_in_settings(drop_in_paths: t.Iterable[str]) -> list[str]:
    """Return the names of the settings in drop-ins, such as Nice, each once."""
    names: list[str] = []
    for path in drop_in_paths:
        with contextlib.suppress(FilesError):
            content = paths.read(path, follow=True) or b""
            names += DROP_IN_SETTING.findall(content.decode("utf-8", "replace"))
    return list(dict.fromkeys(names))


def read_credential(proc: Proc, pid: int, unit: str, name: str) -> bytes | None:
    """Return the content of a credential of a process; None if it has no such credential.

    The path on the host comes first, because a process can change its own mounts. Raises FilesError.
    """
    path = os.path.join(credentials_dir(unit), name)
    for root in ("/", proc.path(pid, "root")):
        if os.path.exists(f"{root.rstrip('/')}{path}"):
            return paths.read_beneath(root, path)
    return None


def _first_line(code: int, out: str, err: str) -> str:
    """Return the first line of a failed command's output, or its exit code."""
    return ((err or out).strip().splitlines() or [f"exit code {code}"])[0]


class Systemd:
    """The service manager of the host. If a call fails or times out, raises SystemdError."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def _limited(self, seconds: int, *words: str) -> tuple[int, str, str]:
        return self._run(["timeout", "-k", "5", str(seconds), *words])

    def _systemctl(self, *words: str, seconds: int = QUERY_TIMEOUT_S) -> str:
        code, out, err = self._limited(seconds, "systemctl", *words)
        if code:
            timed_out = code == TIMEOUT_EXIT_CODE
            reason = f"no result within {seconds} s" if timed_out else _first_line(code, out, err)
            raise SystemdError(
                f"systemctl {words[0]} failed: {reason}; run journalctl -u {words[-1]}"
            )
        return out

    def version(self) -> int:
        """Return the major version of systemd, 0 if it does not run."""
        if not os.path.isdir(BOOTED):
            return 0
        _code, out, _err = self._limited(QUERY_TIMEOUT_S, "systemctl", "--version")
        match = re.match(r"systemd ([0-9]{1,6})", out)
        return int(match[1]) if match else 0

    def show(self, unit: str) -> dict[str, str]:
        """Return the properties of a unit, limited to those that this collection uses."""
        return parse_show(self._systemctl("show", f"--property={','.join(PROPERTIES)}", "--", unit))

    def reload(self) -> None:
        self._systemctl("daemon-reload", seconds=JOB_TIMEOUT_S)

    def enable(self, unit: str) -> None:
        self._systemctl("enable", "--quiet", "--", unit)

    def reset_restarts(self, unit: str) -> None:
        """Reset the restart counter.

        A start during a pending restart does not reset the counter.
        """
        self._systemctl("reset-failed", "--", unit)

    def restart(self, unit: str) -> None:
        self._systemctl("restart", "--", unit, seconds=JOB_TIMEOUT_S)

    def disable(self, unit: str) -> None:
        self._systemctl("disable", "--quiet", "--now", "--", unit, seconds=JOB_TIMEOUT_S)

    def start(self, unit: str) -> None:
        self._systemctl("start", "--", unit, seconds=JOB_TIMEOUT_S)

    def stop(self, unit: str) -> None:
        self._systemctl("stop", "--", unit, seconds=JOB_TIMEOUT_S)

    def kill(self, unit: str, signal: str) -> None:
        """Send a signal to the processes of a unit."""
        self._systemctl("kill", f"--signal={signal}", "--", unit)

    def journal(self, unit: str, lines: int, seconds: int = 0) -> list[str]:
        """Return the last journal lines of a unit, without secrets.

        `seconds` limits the age of the lines unless it is 0.
        """
        since = [f"--since=-{seconds}s"] if seconds else []
        text = self._journal(unit, "--output=short-iso", f"--lines={lines}", *since)
        return [_secrets.withhold_text(line) for line in text.splitlines()]

    def has_logged(self, unit: str, text: str, since: float) -> bool:
        """Return whether a unit logged `text`, in lowercase, since a time in Unix seconds.

        This requires a journalctl with the option --grep.
        """
        return (
            text
            in self._journal(
                unit, "--output=cat", "--lines=1", f"--since=@{since:.3f}", f"--grep={text}"
            ).lower()
        )

    def _journal(self, unit: str, *words: str) -> str:
        query = ["journalctl", "--no-pager", "--quiet", *words, f"--unit={unit}"]
        cut = f'"$@" | head -c {MAX_JOURNAL_BYTES}'
        _code, out, _err = self._limited(QUERY_TIMEOUT_S, "/bin/sh", "-c", cut, "sh", *query)
        return out

    def terminate(self, unit: str) -> None:
        """Send SIGTERM to the main process of a unit, if it has one.

        Unlike after a stop, systemd restarts the unit according to its configuration.
        """
        self._limited(
            QUERY_TIMEOUT_S, "systemctl", "kill", "--kill-who=main", "--signal=TERM", "--", unit
        )

    def start_transient(
        self, name: str, description: str, properties: t.Mapping[str, str], command: list[str]
    ) -> None:
        """Start a transient service, and return after its ExecStartPre has ended.

        `name` has the suffix `.service`.
        """
        code, out, err = self._limited(
            JOB_TIMEOUT_S + QUERY_TIMEOUT_S,
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={name}",
            f"--description={description}",
            *(f"--property={key}={value}" for key, value in properties.items()),
            "--",
            # systemd expands $NAME in arguments as in a unit, so each $ is doubled.
            *(word.replace("$", "$$") for word in command),
        )
        if code:
            raise SystemdError(
                f"systemd-run failed for {name}: {_first_line(code, out, err)};"
                f" run journalctl -u {name}"
            )

    def run_with_credentials(
        self, name: str, user: str, credentials: dict[str, str], command: list[str]
    ) -> tuple[int, str]:
        """Run a command as `user` in a transient service, and return its exit code and output.

        `credentials` maps names of credentials to paths.
        """
        words = [
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
            # systemd expands $NAME in arguments as in a unit, so each $ is doubled.
            *(word.replace("$", "$$") for word in command),
        ]
        try:
            output = run_bounded(words, MAX_RUN_BYTES, RUN_WALL_S)
        except OSError as error:
            raise SystemdError(
                f"cannot run systemd-run: {error.strerror}; check the installation of systemd"
            ) from None
        if output.is_complete:
            return output.code, output.text
        limits = f"more than {MAX_RUN_BYTES >> 20} MiB of output, or no end within {RUN_WALL_S} s"
        return output.code or 1, f"{output.text}\nError: {limits}"

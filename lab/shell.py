# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run commands, print progress and hold locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROGRESS_EVERY = 15.0
TAIL_LINES = 15
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()

# Commands that the lab runs on this machine, with their Debian packages.
TOOLS = {
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}


class LabError(Exception):
    """Report an error as one line: where, what is wrong, what to do."""


def say(text: str) -> None:
    print(text, flush=True)


def missing_packages(tools: Mapping[str, str]) -> list[str]:
    return sorted({package for tool, package in tools.items() if shutil.which(tool) is None})


def need(tools: Mapping[str, str], log: Path) -> None:
    """Install the packages of missing commands, or fail and list the packages."""
    packages = missing_packages(tools)
    if not packages:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise LabError(
            f"missing packages: {' '.join(packages)}; "
            "install them, or run as root on Debian to install them automatically"
        )
    run(["apt-get", "update"], "Reading the package lists", log)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    run(
        install,
        f"Installing {' '.join(packages)}",
        log,
        environment={"DEBIAN_FRONTEND": "noninteractive"},
    )


def output(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, check: bool = True
) -> str:
    """Run a short command and return its standard output."""
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if check and result.returncode:
        raise LabError(f"{' '.join(command[:3])} failed: {last_line(result.stderr)}")
    return result.stdout


def last_line(stderr: str) -> str:
    """Return the last line of an error output.

    Lines about podman's second network back end are ignored, because they are only warnings.
    """
    lines = [
        line.strip() for line in stderr.splitlines() if line.strip() and "CNI config" not in line
    ]
    return lines[-1] if lines else "no reason given"


def run(
    command: Sequence[str],
    what: str,
    log: Path,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> None:
    """Run a long command.

    The output goes to a log, and the terminal shows the progress. If the command fails, the error
    includes the last lines of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("ab") as sink:
        sink.write(f"\n$ {' '.join(command)}\n".encode())
        sink.flush()
        process = subprocess.Popen(
            [*DIE_WITH_PARENT, *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        if not quiet:
            say(f"{what} …")
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PROGRESS_EVERY)
                    break
                say(f"  {what}: {time.monotonic() - started:.0f} s")
        except BaseException:
            end_group(process)
            raise
    elapsed = time.monotonic() - started
    if process.returncode:
        tail = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        print("\n".join(f"  | {line}" for line in tail), file=sys.stderr, flush=True)
        raise LabError(
            f"{what}: failed after {elapsed:.0f} s with exit code {process.returncode}; "
            f"full log: {log}"
        )
    if elapsed > PROGRESS_EVERY:
        say(f"  {what}: done in {elapsed:.0f} s")


def end_group(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


@contextlib.contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock for the block.

    The kernel releases the lock when the process ends, even if the process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting: another process works on {what} …")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_if_changed(path: Path, content: str, mode: int = 0o644) -> bool:
    """Write a file with a rename, so that a reader never reads a part of the content."""
    with contextlib.suppress(OSError):
        if path.read_text() == content and path.stat().st_mode & 0o777 == mode:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(content)
    temporary.chmod(mode)
    temporary.rename(path)
    return True

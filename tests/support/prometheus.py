"""Provide Debian's Prometheus for the tests of monitoring."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

from tests.support.simulation import ROOT


@functools.cache
def packages(*names: str) -> list[Path]:
    """Return the files of packages from the cache of the lab."""
    command = [sys.executable, str(ROOT / "lab/debs.py"), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return [Path(line) for line in done.stdout.splitlines()[-len(names) :]]


def on_this_machine(directory: Path) -> dict[str, object]:
    """Return variables with which monitoring.yml writes to a directory of this machine."""
    return {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "monitoring_dir": str(directory),
        "monitoring_group": "root",
        "monitoring_service": "",
    }


def promtool(*words: str | Path, stdin: str | None = None) -> str:
    """Run promtool, which must succeed, and return its output."""
    program = packages("promtool")[0].parent / "unpacked/usr/bin/promtool"
    done = subprocess.run(
        [program, *words], input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

"""Provide a fake systemd-run, which runs the command without a sandbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

STAND_IN = """#!/bin/sh
[ "$1" != --version ] || {{ echo "systemd $(cat {version}) (test)"; exit; }}
printf '%s\\n' "$@" >{log}
while [ "$1" != -- ]; do shift; done
shift
shell=$1; script=$(printf %s "$3" | sed 's/\\$\\$/$/g')
shift 3
exec "$shell" -c "$script" "$@"
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a fake systemd-run; return the file in which it logs its arguments."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "systemd-run").write_text(
        STAND_IN.format(log=tmp_path / "log", version=tmp_path / "version")
    )
    (place / "systemd-run").chmod(0o755)
    (tmp_path / "version").write_text("252")
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return tmp_path / "log"

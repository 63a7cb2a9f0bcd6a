"""Test the sandbox with a fake systemd-run, which only runs the command.

The Molecule scenario adopt tests that systemd enforces the properties of the sandbox.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import sandbox


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_program_runs_with_its_argument(log: Path, tmp_path: Path) -> None:
    path = program(tmp_path, 'echo "Kubernetes v1.36.1 $*"')
    assert sandbox.run_sandboxed(path, "--version") == "Kubernetes v1.36.1 --version\n"
    words = log.read_text().splitlines()
    assert "--property=DynamicUser=yes" in words
    assert "--property=ProtectProc=invisible" in words


def test_older_systemd_gets_the_properties_that_it_has(log: Path, tmp_path: Path) -> None:
    (tmp_path / "version").write_text("241")
    assert sandbox.run_sandboxed(program(tmp_path, "echo x"), "--version") == "x\n"
    assert not {f"--property={name}" for name in sandbox.LATER_PROPERTIES} & set(
        log.read_text().splitlines()
    )


def test_without_a_sandbox_no_program_runs(log: Path, tmp_path: Path) -> None:
    path = program(tmp_path, f"touch {tmp_path}/ran")
    (tmp_path / "version").write_text(str(sandbox.MIN_SYSTEMD - 1))
    assert sandbox.run_sandboxed(path, "--version") == ""
    assert not (tmp_path / "ran").exists()
    assert not log.exists()


def test_program_that_is_missing_prints_nothing(log: Path) -> None:
    assert sandbox.run_sandboxed("/nowhere", "--version") == ""
    assert not log.exists()


def test_host_without_systemd_run_runs_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path, "echo x")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox.run_sandboxed(path, "--version") == ""


@pytest.mark.usefixtures("log")
def test_endless_output_is_cut(tmp_path: Path) -> None:
    path = program(tmp_path, "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxx; done")
    assert len(sandbox.run_sandboxed(path, "--version")) == sandbox.MAX_OUTPUT_BYTES


@pytest.mark.usefixtures("log")
def test_program_that_does_not_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_SANDBOX_WALL_S", 0.5)
    began = time.monotonic()
    path = program(tmp_path, "echo begun; exec sleep 60")
    assert sandbox.run_sandboxed(path, "--version") == "begun\n"
    assert time.monotonic() - began < 5

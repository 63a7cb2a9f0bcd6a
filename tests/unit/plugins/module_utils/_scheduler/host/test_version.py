"""Test the version detection of a running scheduler."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    sha256_of_file,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    RecordedBinary,
    file_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import version
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.version import (
    detect_version,
)

from tests.support.host import FakeProc


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def program(path: Path, text: str = "Kubernetes v1.37.2") -> Path:
    path.write_text(f"#!/bin/sh\n{text if text.startswith('exec') else f'echo {text}'}\n")
    path.chmod(0o755)
    return path


def binary(path: Path, version: str) -> dict[str, RecordedBinary]:
    entry = RecordedBinary(
        sha256=sha256_of_file(str(path)),
        version=version,
        ours=True,
        identity=file_identity(os.stat(path)),
    )
    return {str(path): entry}


def test_recorded_program_is_not_run(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "app", "Kubernetes v9.9.9")
    proc.place(7, exe=path)
    known = binary(path, "1.36.1")
    monkeypatch.setattr(version, "sha256_of_file", None)
    assert detect_version(proc, 7, known) == "1.36.1"


def test_same_content_at_the_same_path_is_the_recorded_program(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "app")
    known = binary(path, "1.36.1")
    os.utime(path, (1, 1))
    proc.place(7, exe=path)
    monkeypatch.setattr(version, "run_sandboxed", None)
    assert detect_version(proc, 7, known) == "1.36.1"


def test_unrecorded_program_runs_in_the_sandbox(proc: FakeProc, log: Path, tmp_path: Path) -> None:
    path = program(tmp_path / "app")
    known = binary(path, "1.36.1")
    program(path, "Kubernetes v1.35.4")
    proc.place(7, exe=path)
    assert detect_version(proc, 7, known) == "1.35.4"
    assert detect_version(proc, 7, {}) == "1.35.4"
    assert "--property=DynamicUser=yes" in log.read_text().splitlines()


@pytest.mark.parametrize("text", ["nothing", "Kubernetes v1.2", "exec /nowhere", "exec yes"])
def test_misbehaving_program_has_no_version(
    proc: FakeProc, log: Path, tmp_path: Path, text: str
) -> None:
    proc.place(7, exe=program(tmp_path / "app", text))
    assert detect_version(proc, 7, {}) == ""
    assert log.exists()


def test_missing_program_has_no_version(proc: FakeProc) -> None:
    proc.place(7)
    assert detect_version(proc, 7, {}) == ""
    assert detect_version(proc, 8, {}) == ""
    assert detect_version(proc, 0, {}) == ""

"""Test that files of another user's process are read with limited permissions and resources."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import foreign

from tests.support.host import FakeProc

UID = 12345
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user")


def text(content: bytes) -> str:
    return content.decode()


@pytest.fixture
def proc(shared_path: Path) -> FakeProc:
    return FakeProc(shared_path / "proc")


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def place(proc: FakeProc, uid: int = UID, **files: str) -> Path:
    """Create process 7 with a separate root directory that contains `files`."""
    root = proc.place(7, uid=uid) / "root"
    for name, content in files.items():
        (root / name).write_text(content)
    return root


def place_on_host(proc: FakeProc, uid: int) -> None:
    """Create process 7 with the root directory of the host."""
    root = proc.place(7, uid=uid) / "root"
    root.rmdir()
    root.symlink_to("/")


@ROOT_ONLY
def test_file_is_read_in_the_root_directory_of_the_process(proc: FakeProc) -> None:
    place(proc, config="a: 1")
    assert foreign.read_as(proc, 7, "/config", text) == "a: 1"


@ROOT_ONLY
def test_file_that_the_user_cannot_read_is_not_read(proc: FakeProc) -> None:
    (place(proc, config="secret") / "config").chmod(0o600)
    assert foreign.read_as(proc, 7, "/config", text) is None


@ROOT_ONLY
@pytest.mark.parametrize("groups", ["", "77"])
def test_file_of_a_group_is_read_by_its_members(proc: FakeProc, groups: str) -> None:
    root = place(proc, config="shared")
    os.chown(root / "config", 0, 77)
    (root / "config").chmod(0o640)
    with (proc.folder / "7/status").open("a") as stream:
        stream.write(f"Groups:\t{groups} \n")
    assert foreign.read_as(proc, 7, "/config", text) == ("shared" if groups else None)


@ROOT_ONLY
def test_link_is_followed_in_the_root_directory_of_the_process(
    proc: FakeProc, tmp_path: Path
) -> None:
    (tmp_path / "host").write_text("host")
    root = place(proc, inside="inside")
    (root / "out").symlink_to(tmp_path / "host")
    (root / "in").symlink_to("/inside")
    assert foreign.read_as(proc, 7, "/out", text) is None
    assert foreign.read_as(proc, 7, "/in", text) == "inside"


@ROOT_ONLY
def test_root_outside_a_container_reads_as_nobody(proc: FakeProc, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "public").write_text("public")
    (tmp_path / "public").chmod(0o644)
    place_on_host(proc, 0)
    assert foreign.read_as(proc, 7, str(tmp_path / "secret"), text) is None
    assert foreign.read_as(proc, 7, str(tmp_path / "public"), text) == "public"


@ROOT_ONLY
@pytest.mark.parametrize("uid", [0, UID])
def test_child_has_no_capability(proc: FakeProc, uid: int) -> None:
    place_on_host(proc, uid)

    def status(_content: bytes) -> dict[str, str]:
        lines = Path("/proc/self/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    result = foreign.read_as(proc, 7, "/proc/version", status)
    assert result["Uid"].split() == [str(uid or foreign.NOBODY)] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(result[kind], 16) == 0, kind
    assert result["NoNewPrivs"] == "1"


def test_child_has_no_open_file_of_its_parent(proc: FakeProc, tmp_path: Path) -> None:
    root = place(proc, uid=os.geteuid(), config="x")
    prefix = "" if os.geteuid() == 0 else str(root)

    def descriptors(_content: bytes) -> list[int]:
        return [number for number in range(256) if is_open(number)]

    with (tmp_path / "secret").open("w"):
        # The child has two open files: the pipe for the result, and the file to parse.
        assert len(foreign.read_as(proc, 7, f"{prefix}/config", descriptors)) == 2


@ROOT_ONLY
@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/1/environ", "/etc/shadow"])
def test_file_that_only_root_reads_is_not_read(proc: FakeProc, path: str) -> None:
    place_on_host(proc, UID)
    assert foreign.read_as(proc, 7, path, text) is None


def test_special_files_are_not_read(proc: FakeProc) -> None:
    root = place(proc, uid=os.geteuid())
    os.mkfifo(root / "pipe")
    (root / "directory").mkdir()
    began = time.monotonic()
    prefix = "" if os.geteuid() == 0 else str(root)
    for name in ("pipe", "directory", "missing"):
        assert foreign.read_as(proc, 7, f"{prefix}/{name}", text) is None
    assert time.monotonic() - began < foreign.MAX_CHILD_WALL_S


@pytest.mark.parametrize(
    "size", [foreign.MAX_FOREIGN_FILE_BYTES, foreign.MAX_FOREIGN_FILE_BYTES + 1]
)
def test_file_has_a_maximum_size(proc: FakeProc, size: int) -> None:
    root = place(proc, uid=os.geteuid(), config="x" * size)
    prefix = "" if os.geteuid() == 0 else str(root)
    result = foreign.read_as(proc, 7, f"{prefix}/config", len)
    assert result == (size if size == foreign.MAX_FOREIGN_FILE_BYTES else None)


def test_relative_path_is_not_read(proc: FakeProc) -> None:
    place(proc, uid=os.geteuid(), config="x")
    assert foreign.read_as(proc, 7, "config", text) is None


def test_process_that_has_ended_has_no_files(proc: FakeProc) -> None:
    assert foreign.read_as(proc, 7, "/config", text) is None


def memory(_content: bytes) -> Any:
    return len(bytearray(foreign.MAX_MEMORY_BYTES * 2))


def processor(_content: bytes) -> Any:
    while True:
        pass


def sleep(_content: bytes) -> Any:
    time.sleep(60)


def long_result(_content: bytes) -> Any:
    return "x" * (foreign.MAX_CHILD_RESULT_BYTES + 1)


def failure(_content: bytes) -> Any:
    raise ValueError("secret")


@pytest.mark.parametrize("parse", [memory, processor, sleep, long_result, failure])
def test_child_is_limited(
    proc: FakeProc,
    parse: foreign.Parse,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(foreign, "MAX_CHILD_WALL_S", 2.5)
    monkeypatch.setattr(foreign, "MAX_CPU_S", 1)
    root = place(proc, uid=os.geteuid(), config="x")
    prefix = "" if os.geteuid() == 0 else str(root)
    began = time.monotonic()
    assert foreign.read_as(proc, 7, f"{prefix}/config", parse) is None
    assert time.monotonic() - began < 4
    assert capfd.readouterr() == ("", "")

"""Test that files which the role replaces, but did not create, are kept until a user deletes them."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_module import killed_at
from tests.support.host import UNIT_NAME, Host

FOREIGN_UNIT = "# DIGEST=0\n[Service]\n"
FOREIGN = {
    "bin/app": "their binary",
    "etc/key.pem": "their key",
    "etc/app.yaml": "theirs: true\n",
    f"units/{UNIT_NAME}": FOREIGN_UNIT,
}


class Adopted(Host):
    """Provide a host with a scheduler of another installer at the paths of the file set."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for name, text in FOREIGN.items():
            path = self.root / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        (self.etc / "key.pem").chmod(0o640)
        self.systemd.reload()
        self.systemd.restart(UNIT_NAME)

    def change(self, number: int) -> None:
        self.config = f"a: {number}\n"
        self.run("prepared")
        self.stage_key(f"secret {number}")
        self.run("staged")
        self.run("live", attempt=f"roll {number}")

    @property
    def originals(self) -> Path:
        return self.root / "fileset/original"

    def kept(self) -> dict[str, str]:
        """Return the content of each kept file by its path, as the record of the copies states."""
        return {
            os.path.relpath(item.path, self.root): (self.originals / item.name).read_text()
            for item in self.fileset.originals.items()
        }


@pytest.fixture
def host(tmp_path: Path) -> Adopted:
    return Adopted(tmp_path)


def test_absent_keeps_the_files_of_an_adopted_scheduler(host: Adopted) -> None:
    """The previous file sets no longer contain these files after the third promotion."""
    for number in (1, 2, 3, 4):
        host.change(number)
    names = {"binary": "bin/app", "key": "etc/key.pem", "config": "etc/app.yaml"}
    names["unit"] = f"units/{UNIT_NAME}"
    expected = [
        {"path": str(host.root / path), "copy": str(host.originals / name)}
        for name, path in names.items()
    ]
    assert host.run("absent", check=True)["kept"] == expected
    result = host.run("absent")
    assert (result["changed"], result["kept"]) == (True, expected)
    assert {
        str(path.relative_to(host.root)) for path in host.root.rglob("*") if path.is_file()
    } == {
        "bin/app-v1",
        "fileset/original/.set.json",
        *(f"fileset/original/{name}" for name in names),
    }
    assert host.kept() == FOREIGN
    assert stat.S_IMODE((host.originals / "key").stat().st_mode) == 0o640
    for directory in (host.originals, host.originals.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert host.systemd.state["ActiveState"] == "inactive"
    again = host.run("absent")
    assert (again["changed"], again["kept"]) == (False, expected)


def test_absent_keeps_a_file_that_the_role_never_changed(host: Adopted) -> None:
    """A key pair that matches the plan remains at its path, with the content of its owner."""
    host.run("prepared")
    host.run("staged")
    host.run("live")
    assert host.run("absent")["changed"]
    assert (host.etc / "key.pem").read_text() == FOREIGN["etc/key.pem"]
    assert "etc/key.pem" not in host.kept()
    assert not (host.etc / "app.yaml").exists()


def test_absent_keeps_a_scheduler_that_was_rolled_back(host: Adopted) -> None:
    """After a rollback, the unit and its files are not those of the role."""
    host.change(1)
    host.run("recalled")
    host.run("live", attempt="roll back")
    host.systemd.did.clear()
    result = host.run("absent")
    assert (result["changed"], result["kept"]) == (True, [])
    assert {name: (host.root / name).read_text() for name in FOREIGN} == FOREIGN
    assert host.systemd.did == ["reload"]
    assert not (host.root / "fileset").exists()
    assert host.run("absent")["changed"] is False


def test_absent_keeps_changes_after_a_rollback(host: Adopted) -> None:
    """If another installer changes its files after the rollback, the files still belong to it."""
    host.change(1)
    host.run("recalled")
    host.run("live", attempt="roll back")
    (host.etc / "key.pem").write_text("their next key")
    host.run("absent")
    assert (host.etc / "key.pem").read_text() == "their next key"


def test_file_that_appears_later_is_kept(host: Adopted) -> None:
    """The live set does not contain the file, so the previous set does not contain it either."""
    host.change(1)
    drop_in = host.root / "units/drop-in.conf"
    drop_in.write_text("[Service]\nNice=5\n")
    files = [*host.files, host.member("drop_in_0", drop_in, content="# nothing\n")]
    host.run("staged", files=files)
    host.run("live")
    assert drop_in.read_text() == "# nothing\n"
    assert host.kept()["units/drop-in.conf"] == "[Service]\nNice=5\n"
    host.run("absent")
    assert not drop_in.exists()
    assert host.kept()["units/drop-in.conf"] == "[Service]\nNice=5\n"


def test_target_of_a_replaced_link_is_not_changed(host: Adopted) -> None:
    """A link of another installer can lead to a file in its directory, such as a unit template."""
    config = host.etc / "app.yaml"
    config.rename(host.etc / "theirs.yaml")
    config.symlink_to("theirs.yaml")
    host.change(1)
    assert not config.is_symlink()
    assert config.read_text() == "a: 1\n"
    assert host.run("live")["changed"] is False
    assert os.readlink(host.originals / "config") == "theirs.yaml"
    host.run("recalled")
    host.run("live", attempt="roll back")
    assert os.readlink(config) == "theirs.yaml"
    assert config.read_text() == FOREIGN["etc/app.yaml"]


def test_small_program_is_not_written_through_the_link(host: Adopted) -> None:
    """The program of another installer can be a script. A rollback restores the script."""
    host.change(1)
    assert (host.bin / "app").is_symlink()
    host.run("recalled")
    host.run("live", attempt="roll back")
    assert not (host.bin / "app").is_symlink()
    assert (host.bin / "app").read_text() == FOREIGN["bin/app"]
    assert (host.bin / "app-v1").read_text() == "binary 1"


def test_second_adoption_keeps_the_files_of_both(host: Adopted) -> None:
    host.change(1)
    host.run("absent")
    first = host.kept()
    host.etc.mkdir(exist_ok=True)
    for text in ("their key", "another key"):
        (host.etc / "key.pem").write_text(text)
        (host.etc / "key.pem").chmod(0o640)
        host.change(2)
        host.run("absent")
    assert first == FOREIGN
    texts = [
        (host.originals / item.name).read_text()
        for item in host.fileset.originals.items()
        if item.path == str(host.etc / "key.pem")
    ]
    assert texts == ["their key", "another key"]
    assert sorted(path.name for path in host.originals.iterdir()) == [
        ".set.json",
        "binary",
        "config",
        "key",
        "key.2",
        "unit",
    ]


def test_first_installation_has_no_originals(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    host.config = "a: 2\n"
    host.run("staged")
    host.run("live")
    assert not (host.root / "fileset/original").exists()
    assert host.run("absent")["kept"] == []


def test_damaged_list_of_originals_loses_no_copy(host: Adopted) -> None:
    host.change(1)
    (host.originals / ".set.json").write_text("{")
    host.run("absent")
    assert (host.originals / "key").read_text() == "their key"
    host.etc.mkdir(exist_ok=True)
    (host.etc / "key.pem").write_text("another key")
    host.change(2)
    host.run("absent")
    assert (host.originals / "key").read_text() == "their key"
    assert (host.originals / "key.2").read_text() == "another key"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def contents(host: Adopted) -> set[str]:
    return {
        path.read_text()
        for path in host.root.rglob("*")
        if path.is_file() and "tmp~" not in str(path)
    }


@pytest.mark.parametrize("action", ["adoption", "removal"])
def test_kill_at_any_change_loses_no_original(tmp_path: Path, quick: None, action: str) -> None:
    host = Adopted(tmp_path)
    host.config = "a: 1\n"
    host.run("prepared")
    host.stage_key("secret 1")
    host.run("staged")
    if action == "removal":
        host.run("live")
        host.change(2)
        host.change(3)
    saved, state = f"{host.root}.saved", dict(host.systemd.state)
    shutil.copytree(host.root, saved, symlinks=True)
    steps: dict[str, Any] = {"adoption": host.fileset.promote, "removal": host.fileset.remove}
    for point in itertools.count(1):
        shutil.rmtree(host.root)
        shutil.copytree(saved, host.root, symlinks=True)
        host.systemd.state = dict(state)
        if not killed_at(steps[action], point):
            break
        assert set(FOREIGN.values()) <= contents(host), point
        host.run("absent")
        assert set(FOREIGN.values()) <= contents(host), point
        assert len(list(host.originals.glob("*"))) <= len(FOREIGN) + 1, point
        assert host.run("absent")["changed"] is False, point
    assert point > 10


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_absent_removes_a_created_directory_of_binaries(tmp_path: Path, umask: int) -> None:
    """The directory is created before the binary, so the record contains it from the start."""
    host = Host(tmp_path)
    directories = [str(host.root / "opt/k8s/bin")]
    previous = os.umask(umask)
    try:
        assert host.run("prepared", directories=directories, check=True)["changed"]
        assert not (host.root / "opt").exists()
        result = host.run("prepared", directories=directories)
    finally:
        os.umask(previous)
    assert directories[0] in result["done"]
    assert stat.S_IMODE((host.root / "opt/k8s/bin").stat().st_mode) == 0o755
    assert host.run("prepared", directories=directories)["changed"] is False
    assert host.run("absent")["changed"]
    assert not (host.root / "opt").exists()


def test_absent_keeps_a_directory_of_binaries_of_others(tmp_path: Path) -> None:
    host = Host(tmp_path)
    directory = host.root / "opt/bin"
    directory.mkdir(parents=True)
    directory.chmod(0o775)
    assert str(directory) not in host.run("prepared", directories=[str(directory)])["done"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o775
    host.run("absent")
    assert directory.exists()

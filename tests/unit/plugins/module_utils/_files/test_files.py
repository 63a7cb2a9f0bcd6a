# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    pair_swap,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths as _paths

from tests.support.fake_module import FakeModule, killed_at, one_line


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_new_file_is_private(tmp_path: Path) -> None:
    assert write.write(str(tmp_path / "a"), b"x") is None
    assert (mode(tmp_path / "a"), names(tmp_path)) == (0o600, ["a"])


def test_new_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    seen = []
    write.write(
        str(tmp_path / "a"),
        b"x",
        attributes=lambda path: seen.append((os.stat(path).st_mode & 0o777, path)),
    )
    assert seen[0][0] == 0o600
    assert os.path.dirname(seen[0][1]) == str(tmp_path)


def test_rights_of_an_existing_file_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    target.chmod(0o640)
    if os.getuid() == 0:
        os.chown(target, 12, 34)
    write.write(str(target), b"new")
    status = target.stat()
    assert (target.read_bytes(), mode(target)) == (b"new", 0o640)
    assert os.getuid() != 0 or (status.st_uid, status.st_gid) == (12, 34)


def test_failed_attributes_keep_the_file_and_leave_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def refuse(path: str) -> None:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        write.write(str(target), b"new", attributes=refuse)
    assert (target.read_bytes(), names(tmp_path)) == (b"old", ["a"])


def test_backups_are_private_and_bounded(tmp_path: Path) -> None:
    target = tmp_path / "a"
    kept = []
    for content in b"1234567":
        kept.append(write.write(str(target), bytes([content]), backup=3))
        target.chmod(0o644)
    backups = [path for path in kept if path and os.path.exists(path)]
    assert kept[0] is None
    assert backups == kept[-3:]
    assert [Path(path).read_bytes() for path in backups] == [b"4", b"5", b"6"]
    assert {mode(Path(path)) for path in backups} == {0o600}
    assert all(path.endswith(".bak~") for path in backups)


def test_read_rejects_a_file_above_the_limit(tmp_path: Path) -> None:
    assert _paths.read(str(tmp_path / "a")) is None
    (tmp_path / "a").write_bytes(b"12345")
    assert _paths.read(str(tmp_path / "a"), limit=5) == b"12345"
    with pytest.raises(FilesError, match="larger than 4 bytes"):
        _paths.read(str(tmp_path / "a"), limit=4)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    folder = tmp_path / "zoo"
    folder.mkdir()
    (tmp_path / "outside").write_bytes(b"outside")
    (folder / "real").write_bytes(b"real")
    (folder / "inside").symlink_to("real")
    (folder / "leaves").symlink_to("../outside")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "directory").mkdir()
    os.mkfifo(folder / "fifo")
    return folder


BAD = {
    "leaves": "leaves its directory",
    "dangling": "does not exist",
    "loop": "does not exist",
    "directory": "a directory",
    "fifo": "a FIFO",
    "real/": "without a slash",
    "real/below": "does not exist|Not a directory",
    "a\nb": "is not a valid path of a file",
    "a\0b": "is not a valid path of a file",
    "\ud800": "the path contains a NUL or invalid character",
    "n" * 300: "File name too long",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("action", ["read", "write", "remove", "converge"])
def test_path_that_is_no_file_is_rejected_in_one_line(zoo: Path, name: str, action: str) -> None:
    path = f"{zoo}/{name}"
    before = names(zoo)
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: _paths.read(path),
        "write": lambda: write.write(path, b"x"),
        "remove": lambda: write.remove(path),
        "converge": lambda: attributes.converge_file(FakeModule(), path, b"x"),
    }
    with pytest.raises(FilesError, match=BAD[name]) as caught:
        calls[action]()
    one_line(caught.value)
    assert names(zoo) == before
    assert (zoo.parent / "outside").read_bytes() == b"outside"


@pytest.mark.parametrize(
    "path", ["a", "./a", "../a", "~/a", "", "/dev/null", "/dev/full", "/proc/self/mem", "/x" * 3000]
)
def test_invalid_path_is_rejected(path: str) -> None:
    with pytest.raises(FilesError) as caught:
        write.write(path, b"x")
    one_line(caught.value)


def test_symlink_within_its_directory_is_followed_and_kept(zoo: Path) -> None:
    write.write(str(zoo / "inside"), b"new")
    assert ((zoo / "inside").is_symlink(), (zoo / "real").read_bytes()) == (True, b"new")


def test_symlink_of_a_file_that_is_read_can_lead_anywhere(zoo: Path) -> None:
    assert _paths.read(str(zoo / "leaves"), follow=True) == b"outside"
    with pytest.raises(FilesError):
        _paths.read(str(zoo / "fifo"), follow=True)


def test_error_names_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"the directory '.*/no' does not exist; create it"):
        write.write(str(tmp_path / "no" / "a"), b"x")


def test_remove_keeps_a_backup(zoo: Path) -> None:
    assert write.remove(str(zoo / "nothing")) is None
    kept = write.remove(str(zoo / "inside"), backup=1)
    assert kept is not None
    assert Path(kept).read_bytes() == b"real"
    assert not (zoo / "real").exists()
    assert not (zoo / "inside").is_symlink()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        check=False,
        capture_output=True,
    ).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_file_system_keeps_the_file(mount: Path) -> None:
    (mount / "a").write_bytes(b"old")
    (mount / "filler").write_bytes(b"x" * 40000)
    for backup in (0, 2):
        with pytest.raises(FilesError, match="No space left") as caught:
            write.write(str(mount / "a"), b"y" * 50000, backup=backup)
        one_line(caught.value)
        assert ((mount / "a").read_bytes(), names(mount)) == (b"old", ["a", "filler"])


def test_read_only_file_system_keeps_the_file(mount: Path) -> None:
    (mount / "a").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
    for action in (
        partial(write.write, str(mount / "a"), b"y"),
        partial(write.remove, str(mount / "a")),
    ):
        with pytest.raises(
            FilesError, match="Read-only file system; mount the file system writable"
        ) as caught:
            action()
        one_line(caught.value)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another")
def test_error_names_missing_write_access() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                write.write(f"{folder}/a", b"x")
            except FilesError as exc:
                os._exit(7 if "Permission denied; run as a user with access" in str(exc) else 8)
            os._exit(9)
        assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 7


def test_sweep_removes_files_of_dead_runs_and_keeps_those_of_active_runs(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    assert killed_at(lambda: write.write(path, b"secret"), 2)
    assert len(names(tmp_path)) == 1
    living = write.Staged(path, b"living")
    write.sweep(path)
    assert names(tmp_path) == [os.path.basename(living.temporary)]
    living.commit()
    assert names(tmp_path) == ["a"]


def test_kill_at_any_point_leaves_one_complete_file(tmp_path: Path) -> None:
    for point in range(1, 40):
        target = tmp_path / f"{point}"
        target.write_bytes(b"old")
        if not killed_at(partial(write.write, str(target), b"new", backup=1), point):
            break
        assert target.read_bytes() in (b"old", b"new")
    else:
        pytest.fail("never got to the end")


def test_two_files_change_at_the_same_moment(tmp_path: Path) -> None:
    for point in range(1, 80):
        folder = tmp_path / f"{point}"
        folder.mkdir()
        paths = [folder / "key", folder / "cert"]
        for path in paths:
            path.write_bytes(b"old")

        def both(paths: tuple[Path, ...] = tuple(paths)) -> None:
            pair_swap.replace([write.Staged(str(path), b"new") for path in paths])

        died = killed_at(both, point)
        contents = {path.read_bytes() for path in paths}
        assert contents in ({b"old"}, {b"new"}), point
        if not died:
            break
        assert {_paths.read(str(path)) for path in paths} == contents
        pair_swap.recover([str(path) for path in paths])
        both()
        for path in paths:
            write.sweep(str(path))
        assert names(folder) == ["cert", "key"]
        assert not any(path.is_symlink() for path in paths)
        assert {path.read_bytes() for path in paths} == {b"new"}
    else:
        pytest.fail("never got to the end")
    assert point > 20


def test_lock_excludes_other_runs_and_ends_with_its_process(tmp_path: Path) -> None:
    second = _paths.lock(str(tmp_path), timeout=0.1)
    with (
        _paths.lock(str(tmp_path)),
        pytest.raises(FilesError, match="another run") as caught,
        second as _lock,
    ):
        pytest.fail("two holders")
    one_line(caught.value)
    started = time.monotonic()
    with _paths.lock(str(tmp_path)):
        assert time.monotonic() - started < 1
    assert names(tmp_path) == []


def test_converge_changes_content_and_mode_once(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    predicted = attributes.converge_file(FakeModule(check_mode=True), path, b"x")
    assert (predicted.changed, names(tmp_path)) == (True, [])
    assert attributes.converge_file(FakeModule(), path, b"x") == (True, None)
    assert attributes.converge_file(FakeModule(), path, b"x") == (False, None)
    assert attributes.converge_file(FakeModule(), path, None) == (False, None)
    os.chmod(path, 0o644)
    assert attributes.converge_file(FakeModule(check_mode=True), path, b"x").changed
    assert attributes.converge_file(FakeModule(), path, None).changed
    assert mode(tmp_path / "a") == 0o600
    assert attributes.converge_file(FakeModule(), path, None, overrides={"mode": "0644"}).changed
    assert mode(tmp_path / "a") == 0o644
    kept = attributes.converge_file(FakeModule(mode="0640"), path, b"y", backup=1).backup_file
    assert kept is not None
    assert Path(kept).read_bytes() == b"x"
    assert mode(tmp_path / "a") == 0o640


def test_missing_directory_or_account_is_a_warning_in_check_mode(tmp_path: Path) -> None:
    module = FakeModule(check_mode=True)
    assert attributes.converge_file(module, str(tmp_path / "no" / "a"), b"x").changed
    assert "does not exist yet" in module.warnings[0]
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "a").chmod(0o600)
    module = FakeModule(check_mode=True, owner="no-such-user", group="no-such-group")
    assert attributes.converge_file(module, str(tmp_path / "a"), b"x").changed
    assert ["owner" in module.warnings[0], "group" in module.warnings[1]] == [True, True]


class SwappingModule(FakeModule):
    """Provide a module during which a user replaces the temporary file.

    The replacement is a link to a file of root.
    """

    victim: Path

    def set_fs_attributes_if_different(self, file_args: dict[str, Any], changed: bool) -> bool:
        path = file_args["path"]
        if path.endswith(_paths.TEMPORARY_SUFFIX):
            os.rename(path, f"{path}.stolen")
            os.symlink(self.victim, path)
        return super().set_fs_attributes_if_different(file_args, changed)


@pytest.mark.parametrize("there", [False, True])
def test_temporary_file_replaced_by_a_symlink_gives_no_rights_away(
    tmp_path: Path, there: bool
) -> None:
    victim, target = tmp_path / "victim", tmp_path / "a"
    victim.write_bytes(b"secret")
    victim.chmod(0o600)
    if there:
        target.write_bytes(b"old")
    owner: dict[str, Any] = {"owner": "nobody", "group": "daemon"} if os.getuid() == 0 else {}
    module = SwappingModule(mode="0666", **owner)
    module.victim = victim
    with pytest.raises(FilesError, match="was replaced during the write") as caught:
        attributes.converge_file(module, str(target), b"new")
    one_line(caught.value)
    status = victim.stat()
    assert (mode(victim), status.st_uid, victim.read_bytes()) == (0o600, os.getuid(), b"secret")
    assert target.read_bytes() == b"old" if there else not os.path.lexists(target)


@pytest.mark.parametrize("count", [1, 2])
def test_temporary_file_replaced_later_is_not_installed(tmp_path: Path, count: int) -> None:
    targets = [tmp_path / f"{number}" for number in range(count)]
    for target in targets:
        target.write_bytes(b"old")
    staged = [write.Staged(str(target), b"new") for target in targets]
    os.unlink(staged[-1].temporary)
    os.symlink("/etc/passwd", staged[-1].temporary)
    with pytest.raises(FilesError, match="was replaced during the write"):
        pair_swap.replace(staged)
    assert [(target.is_symlink(), target.read_bytes()) for target in targets] == [
        (False, b"old")
    ] * count


def test_rights_are_set_by_descriptor(tmp_path: Path) -> None:
    seen = []
    write.write(
        str(tmp_path / "a"),
        b"x",
        rights=lambda handle: seen.append(stat.S_IMODE(os.fstat(handle).st_mode)),
    )
    assert seen == [0o600]
    owner, group = (12, 34) if os.getuid() == 0 else (os.getuid(), os.getgid())
    write.write(str(tmp_path / "a"), b"y", rights=write.rights_setter(owner, group, 0o640))
    status = (tmp_path / "a").stat()
    assert (mode(tmp_path / "a"), status.st_uid, status.st_gid) == (0o640, owner, group)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"owner": "no-such"}, "owner: "),
        ({"group": "no-such"}, "group: "),
        ({"mode": "x"}, "mode: "),
    ],
)
def test_invalid_rights_are_rejected_in_one_line(
    tmp_path: Path, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(FilesError, match=words) as caught:
        attributes.converge_file(FakeModule(**params), str(tmp_path / "a"), b"x")
    one_line(caught.value)
    assert names(tmp_path) == []


UNSAFE = {
    "of another user": (0o700, 65534, 0, "belongs to nobody"),
    "for a group": (0o770, 0, 1, "the group daemon can write to"),
    "for everybody": (0o757, 0, 0, "every user can write to"),
    "sticky, of another user": (0o1777, 65534, 0, "belongs to nobody"),
}


@pytest.mark.skipif(os.getuid() != 0, reason="root is who others would use")
@pytest.mark.parametrize("below", ["", "below/"])
@pytest.mark.parametrize("case", UNSAFE)
def test_directory_that_others_can_write_to_is_rejected_for_root(
    tmp_path: Path, case: str, below: str
) -> None:
    bits, owner, group, words = UNSAFE[case]
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    os.chown(folder, owner, group)
    folder.chmod(bits)
    path = f"{folder}/{below}a"
    for call in (
        lambda: write.write(path, b"x"),
        lambda: attributes.converge_file(FakeModule(), path, b"x"),
        lambda: attributes.converge_file(FakeModule(check_mode=True), path, b"x"),
    ):
        with pytest.raises(FilesError, match=words) as caught:
            call()
        assert f"{str(folder)!r}" in one_line(caught.value)
    assert not os.path.lexists(path)
    assert words in str(_paths.find_risk(os.path.dirname(path)))


@pytest.mark.skipif(os.getuid() != 0, reason="root is who others would use")
def test_safe_directories_are_accepted(tmp_path: Path) -> None:
    for bits, group in ((0o755, 1), (0o775, 0), (0o1777, 0), (0o1770, 1)):
        os.chown(tmp_path, 0, group)
        tmp_path.chmod(bits)
        assert _paths.find_risk(str(tmp_path)) is None
        write.write(str(tmp_path / "a"), b"x")
    tmp_path.chmod(0o1777)
    os.chown(tmp_path / "a", 65534, 0)
    with pytest.raises(
        FilesError, match="belongs to nobody, in a directory that other users can write to"
    ):
        write.write(str(tmp_path / "a"), b"secret")


@pytest.mark.skipif(os.getuid() != 0, reason="root is who others would use")
def test_symlink_of_another_user_moves_no_file(tmp_path: Path) -> None:
    folder, victim = tmp_path / "folder", tmp_path / "victim"
    victim.mkdir()
    trap = victim / f"x{_paths.TEMPORARY_SUFFIX}" / "now"
    trap.mkdir(parents=True)
    (trap / "0").write_bytes(b"secret")
    folder.mkdir()
    (folder / "a").symlink_to(trap / "0")
    os.chown(folder, 65534, 0)
    with pytest.raises(FilesError, match="belongs to nobody"):
        pair_swap.recover([str(folder / "a")])
    assert (trap / "0").exists()


def test_rights_are_set_by_descriptor_only() -> None:
    """The permissions of a file are set by descriptor only.

    With calls that use the path, a user could replace the file between two calls. Ansible sets
    permissions by path, so `guard` runs first.
    """
    folder = Path(_paths.__file__).parents[1]
    by_path = re.compile(
        r"\bos\.l?(?:chmod|chown)\(|\.chmod\(|shutil\.(?:chown|copymode|copystat|copytree)\("
    )
    found = [
        f"{path.name}: {line.strip()}"
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if by_path.search(line)
    ]
    assert found == []
    asked = [
        path.name
        for path in folder.rglob("*.py")
        if "_module.set_fs_attributes_if_different({" in "".join(path.read_text().split())
    ]
    assert asked == ["attributes.py"]

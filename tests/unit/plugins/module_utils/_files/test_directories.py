"""Test that an unprivileged user gets a directory, and that no link of that user is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import directories

from tests.support.fake_module import one_line

USER, UID = "nobody", 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


def rights(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, stat.S_IMODE(status.st_mode)


def theirs(path: Path) -> Path:
    path.mkdir()
    os.chown(path, UID, -1)
    return path


def refused(path: Path, reason: str) -> None:
    with pytest.raises(FilesError, match=reason) as caught:
        directories.give_directory(str(path), USER, 0o755)
    one_line(caught.value)


def test_directory_is_created_with_missing_parents(root: Path) -> None:
    path = root / "log/kubernetes"
    assert directories.give_directory(str(path), USER, 0o755, dry=True)
    assert not (root / "log").exists()
    assert directories.give_directory(str(path), USER, 0o755)
    assert rights(path) == (UID, 0o755)
    assert rights(root / "log") == (0, 0o755)
    assert not directories.give_directory(str(path), USER, 0o755)


def test_rights_of_an_existing_directory_are_set(root: Path) -> None:
    (root / "log").mkdir(mode=0o700)
    (root / "log/file").write_text("")
    assert directories.give_directory(str(root / "log"), USER, 0o755, dry=True)
    assert rights(root / "log") == (0, 0o700)
    assert directories.give_directory(str(root / "log"), USER, 0o755)
    assert rights(root / "log") == (UID, 0o755)
    assert rights(root / "log/file")[0] == 0


def test_link_of_root_is_followed(root: Path) -> None:
    (root / "data/log").mkdir(parents=True)
    (root / "log").symlink_to("data/../data/log")
    (root / "far").symlink_to(root / "log")
    assert directories.give_directory(str(root / "far"), USER, 0o755)
    assert rights(root / "data/log") == (UID, 0o755)
    assert (root / "far").is_symlink()


@pytest.mark.parametrize("dry", [False, True])
def test_link_in_a_directory_of_the_user_is_rejected(root: Path, dry: bool) -> None:
    """A link in a directory of the user is rejected.

    With chown by path, the user would become the owner of the target of the link.
    """
    (root / "victim").mkdir(mode=0o700)
    (theirs(root / "log") / "scheduler").symlink_to(root / "victim")
    with pytest.raises(
        FilesError, match=f"{USER} can write to '{root}/log' and could create a link there"
    ):
        directories.give_directory(str(root / "log/scheduler"), USER, 0o755, dry=dry)
    assert rights(root / "victim") == (0, 0o700)
    (root / "log/scheduler").unlink()
    refused(root / "log/scheduler", "root cannot create")
    assert not (root / "log/scheduler").exists()


def test_link_through_a_directory_of_the_user_is_rejected(root: Path) -> None:
    (root / "victim").mkdir(mode=0o700)
    (theirs(root / "home") / "way").symlink_to(root)
    (root / "log").symlink_to("home/way/victim")
    refused(root / "log", f"{USER} can write to '.*/home'")
    assert rights(root / "victim") == (0, 0o700)


@pytest.mark.parametrize(("mode", "group"), [(0o777, 0), (0o1777, 0), (0o775, UID)])
def test_directory_that_the_user_can_write_to_is_rejected(
    root: Path, mode: int, group: int
) -> None:
    folder = root / "open"
    folder.mkdir()
    os.chown(folder, 0, group)
    folder.chmod(mode)
    refused(folder / "log", "root cannot create")
    # As for /var/log on some systems, a group can write to the directory, but the user is not a
    # member of the group.
    os.chown(folder, 0, 4)
    folder.chmod(0o775)
    assert directories.give_directory(str(folder / "log"), USER, 0o755)


def test_path_through_a_file_is_rejected(root: Path) -> None:
    (root / "file").write_text("")
    os.mkfifo(root / "fifo")
    (root / "loop").symlink_to("loop")
    refused(root / "file", "'file' is not a directory; remove it, or set another path")
    refused(root / "fifo/log", "'fifo' is not a directory")
    refused(root / "loop", "too many links")
    refused(root / ("n" * 300), "File name too long")


def test_unknown_user_is_rejected(root: Path) -> None:
    assert directories.give_directory(str(root / "log"), "no such user", 0o755, dry=True)
    with pytest.raises(
        FilesError, match=r"^user: 'no such user' does not exist on this host; create it first$"
    ):
        directories.give_directory(str(root / "log"), "no such user", 0o755)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that root takes directories of another user, and gives them back."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    ownership,
    paths,
    write,
)

from tests.support.fake_module import one_line

UID = pwd.getpwnam("daemon").pw_uid
GID = pwd.getpwnam("daemon").pw_gid
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner")


def create(path: Path, uid: int, gid: int, mode: int) -> Path:
    path.mkdir()
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def rights(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def take(path: Path) -> tuple[list[str], list[ownership.DirectoryOwner]]:
    owners: list[ownership.DirectoryOwner] = []
    return ownership.take_directories(str(path), owners.append), owners


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "expected"),
    [
        (UID, GID, 0o755, 0o755),
        (UID, GID, 0o700, 0o750),
        (UID, 0, 0o700, 0o705),
        (UID, GID, 0o775, 0o755),
        (UID, GID, 0o2770, 0o2750),
        (0, GID, 0o770, 0o750),
        (0, 0, 0o777, 0o755),
        (12345, 12345, 0o700, 0o705),
    ],
)
def test_taken_directory_stays_readable_and_its_owner_is_restored(
    root: Path, uid: int, gid: int, mode: int, expected: int
) -> None:
    folder = create(root / "etc", uid, gid, mode)
    file = folder / "ca.pem"
    file.write_text("x")
    os.chown(file, uid, gid)
    taken, owners = take(folder / "missing")
    assert (taken, rights(folder)) == ([str(folder)], (0, gid, expected))
    assert rights(file)[:2] == (uid, gid), "files in the directory keep their owner"
    assert owners == [ownership.DirectoryOwner(str(folder), uid, gid, mode)]
    assert paths.list_risks(str(folder)) == []
    write.write(str(folder / "new"), b"x")
    assert take(folder) == ([], [])
    assert ownership.restore_owner(owners[0])
    assert rights(folder) == (uid, gid, mode)
    assert not ownership.restore_owner(owners[0]) or uid == 0


def test_each_directory_of_a_path_is_taken(root: Path) -> None:
    upper = create(root / "etc", UID, GID, 0o755)
    lower = create(upper / "cert", UID, GID, 0o755)
    taken, owners = take(lower)
    assert taken == [str(upper), str(lower)]
    for owner in reversed(owners):
        assert ownership.restore_owner(owner)
    assert {rights(path) for path in (upper, lower)} == {(UID, GID, 0o755)}


def test_link_in_a_taken_directory_is_not_followed(root: Path) -> None:
    """The previous owner can have created the link, or moved a link of root to this name."""
    victim = create(root / "victim", UID, GID, 0o700)
    folder = create(root / "etc", UID, GID, 0o755)
    (folder / "cert").symlink_to(victim)
    with pytest.raises(FilesError, match="cert' is a link in a directory that another user"):
        take(folder / "cert")
    assert rights(victim) == (UID, GID, 0o700)
    os.chown(folder / "cert", UID, GID, follow_symlinks=False)
    with pytest.raises(FilesError, match="cert' belongs to daemon"):
        take(folder / "cert")
    assert rights(victim) == (UID, GID, 0o700)


def test_home_and_system_directories_are_not_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = create(root / "home", UID, GID, 0o755)
    account = pwd.struct_passwd(("daemon", "x", UID, GID, "", str(home), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: account)
    with pytest.raises(FilesError, match="root does not take a home directory") as caught:
        take(home / "k8s")
    one_line(caught.value)
    assert rights(home) == (UID, GID, 0o755)
    assert not ownership.can_take_directory(str(root), UID), "it is above the home directory"
    assert not ownership.can_take_directory("/etc", UID)
    assert ownership.can_take_directory(str(home / "k8s"), UID)


def test_missing_directory_is_not_restored(root: Path) -> None:
    for path in (root / "none", root / "none/below"):
        assert not ownership.restore_owner(ownership.DirectoryOwner(str(path), UID, GID, 0o755))

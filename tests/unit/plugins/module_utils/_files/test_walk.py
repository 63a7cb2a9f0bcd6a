# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that no link of another user redirects what root writes, reads or removes.

In each test, another user owns a link or its directory. The tests of the lab do the same in a
real container.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    directories,
    pair_swap,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_lock import (
    hold_kubeconfig_lock,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import copies

from tests.support.fake_module import FakeModule, at_change, one_line

UID = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be redirected")
Action = Callable[[Path], object]


def theirs(path: Path) -> Path:
    """Create a directory of another user."""
    path.mkdir(exist_ok=True)
    os.chown(path, UID, UID)
    return path


def victim(root: Path) -> Path:
    """Create a directory of root with the names that the writers use."""
    path = root / "victim"
    path.mkdir(mode=0o700)
    for name in ("file", "other"):
        (path / name).write_bytes(b"of root")
        (path / name).chmod(0o600)
    (path / ".file.dead.tmp~").write_bytes(b"of root")
    (path / ".file.tree.tmp~").mkdir()
    return path


def snapshot(path: Path) -> dict[str, tuple[object, ...]]:
    """Return owner, mode and content of everything below a directory, and of the directory."""
    return {
        str(entry): (
            entry.lstat().st_uid,
            stat.S_IMODE(entry.lstat().st_mode),
            os.readlink(entry) if entry.is_symlink() else "",
            entry.read_bytes() if entry.is_file() and not entry.is_symlink() else b"",
        )
        for entry in [path, *sorted(path.rglob("*"))]
    }


def source_file(root: Path) -> str:
    path = root / "source"
    path.write_bytes(b"new")
    return str(path)


def replace_pair(folder: Path) -> None:
    staged = [write.Staged(str(folder / name), b"new") for name in ("file", "other")]
    pair_swap.replace(staged, backup=1)


def hold_lock(folder: Path) -> None:
    with hold_kubeconfig_lock(str(folder / "file"), timeout=0.1):
        pass


ACTIONS: dict[str, Action] = {
    "write": lambda folder: write.write(str(folder / "file"), b"new", backup=1),
    "new file": lambda folder: write.write(str(folder / "new"), b"new"),
    "converge": lambda folder: attributes.converge_file(
        FakeModule(mode="0644"), str(folder / "file"), b"new"
    ),
    "mode": lambda folder: attributes.converge_file(
        FakeModule(mode="0644"), str(folder / "file"), None
    ),
    "remove": lambda folder: write.remove(str(folder / "file")),
    "backup": lambda folder: write.back_up(str(folder / "file"), 1),
    "sweep": lambda folder: write.sweep(str(folder / "file")),
    "recover": lambda folder: pair_swap.recover([str(folder / "file")]),
    "pair": replace_pair,
    "copy": lambda folder: copies.copy_file(source_file(folder.parent), str(folder / "file")),
    "link": lambda folder: copies.make_link("target", str(folder / "file")),
    "create": lambda folder: directories.create_directory(str(folder / "new"), 0o750),
    "kubeconfig lock": hold_lock,
    "read": lambda folder: paths.read(str(folder / "file")),
    "state": lambda folder: copies.read_state(str(folder / "file")),
}
READERS = ("read", "state")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("owner", ["the directory", "the link"])
def test_link_of_another_user_redirects_nothing(root: Path, action: str, owner: str) -> None:
    target, folder = victim(root), root / "folder"
    folder.mkdir()
    link = folder / "way"
    link.symlink_to(target)
    os.chown(folder if owner == "the directory" else link, UID, UID, follow_symlinks=False)
    before = snapshot(target)
    with pytest.raises(CollectionError, match="belongs to nobody") as caught:
        ACTIONS[action](link)
    assert str(root) in one_line(caught.value)
    assert snapshot(target) == before


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o2775])
def test_link_of_root_in_a_writable_directory_redirects_nothing(
    root: Path, action: str, mode: int
) -> None:
    """A user that can write to the directory can rename or replace a link of root."""
    target, folder = victim(root), root / "folder"
    folder.mkdir()
    (folder / "way").symlink_to(target)
    os.chown(folder, 0, UID)
    folder.chmod(mode)
    before = snapshot(target)
    with pytest.raises(CollectionError, match="can write to"):
        ACTIONS[action](folder / "way")
    assert snapshot(target) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_link_of_root_in_a_directory_of_root_is_followed(root: Path, action: str) -> None:
    target = victim(root)
    before = snapshot(target)
    (root / "way").symlink_to("victim/../victim")
    ACTIONS[action](root / "way")
    assert (snapshot(target) != before) == (action not in (*READERS, "kubeconfig lock"))


def test_last_link_must_belong_to_root(root: Path) -> None:
    (root / "real").write_bytes(b"old")
    link = root / "file"
    link.symlink_to("real")
    write.write(str(link), b"new")
    assert (root / "real").read_bytes() == b"new"
    os.chown(link, UID, UID, follow_symlinks=False)
    for call in (partial(write.write, str(link), b"x"), partial(paths.read, str(link))):
        with pytest.raises(CollectionError, match="belongs to nobody; remove the link"):
            call()
    assert (root / "real").read_bytes() == b"new"


RACES: dict[str, Action] = {
    name: ACTIONS[name]
    for name in ("write", "new file", "remove", "pair", "copy", "link", "create", "sweep")
}


@pytest.mark.parametrize("action", RACES)
def test_directory_that_becomes_a_link_during_a_write_redirects_nothing(
    root: Path, action: str
) -> None:
    """At each change, a user replaces the opened directory with a link."""
    target = victim(root)
    before = snapshot(target)
    for point in range(1, 60):
        folder, moved = root / f"folder{point}", root / f"moved{point}"
        folder.mkdir()
        for name in ("file", "other", ".file.dead.tmp~"):
            (folder / name).write_bytes(b"old")

        def swap(folder: Path = folder, moved: Path = moved) -> None:
            folder.rename(moved)
            folder.symlink_to(target)
            os.chown(folder, UID, UID, follow_symlinks=False)

        with at_change(point, swap) as left, contextlib.suppress(CollectionError):
            RACES[action](folder)
        assert snapshot(target) == before, point
        if left[0] > 0:
            break
    else:
        pytest.fail("never got to the end")
    assert point > 1


def test_pair_in_a_sticky_directory_is_replaced(root: Path) -> None:
    """During the exchange, each file is a link of root, which no other user can replace there."""
    root.chmod(0o1777)
    for name in ("file", "other"):
        (root / name).write_bytes(b"old")
    replace_pair(root)
    assert {name: (root / name).read_bytes() for name in ("file", "other")} == {
        "file": b"new",
        "other": b"new",
    }


def test_access_control_list_counts_as_write_access(root: Path) -> None:
    folder = root / "folder"
    folder.mkdir()
    entries = [(1, 7, -1), (2, 7, UID), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(folder, "system.posix_acl_access", value)
    except OSError:
        pytest.skip("the file system has no access control lists")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o775
    with pytest.raises(CollectionError, match="a user in its access control list can write to"):
        write.write(str(folder / "file"), b"x")


def test_each_unsafe_directory_of_a_path_is_listed(root: Path) -> None:
    upper = theirs(root / "upper")
    theirs(upper / "lower")
    reasons = [risk.reason for risk in paths.list_risks(str(upper / "lower/missing/more"))]
    assert reasons == [f"'{upper}' belongs to nobody", f"'{upper}/lower' belongs to nobody"]
    (upper / "way").symlink_to(root)
    risks = paths.list_risks(str(upper / "way/upper"))
    assert [(risk.path, risk.is_link) for risk in risks] == [
        (str(upper), False),
        (str(upper / "way"), True),
    ]
    assert paths.list_risks(str(root)) == []


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_umask_changes_no_mode(root: Path, umask: int) -> None:
    previous = os.umask(umask)
    try:
        for name in ("file", "other"):
            write.write(str(root / name), b"old")
        replace_pair(root)
        write.write(str(root / "public"), b"x", rights=write.rights_setter(-1, -1, 0o644))
        directories.create_directory(str(root / "public.d"))
        directories.create_directory(str(root / "private.d"), 0o700)
        directories.give_directory(str(root / "log/given"), "nobody", 0o750)
    finally:
        os.umask(previous)
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in root.iterdir()}
    backups = {modes.pop(name) for name in list(modes) if name.endswith(".bak~")}
    assert backups == {0o600}
    assert modes == {
        "file": 0o600,
        "other": 0o600,
        "public": 0o644,
        "public.d": 0o755,
        "private.d": 0o700,
        "log": 0o755,
    }
    assert stat.S_IMODE((root / "log/given").stat().st_mode) == 0o750


def test_file_in_another_root_directory_is_read_without_its_links(root: Path) -> None:
    folder = root / "run/secrets"
    folder.mkdir(parents=True)
    (folder / "key").write_bytes(b"x")
    (root / "way").symlink_to("run")
    assert paths.read_beneath(str(root), "/run/secrets/key") == b"x"
    assert paths.read_beneath(str(root), "/run/secrets/none") is None
    for path in ("/way/secrets/key", "/run/secrets"):
        with pytest.raises(CollectionError):
            paths.read_beneath(str(root), path)

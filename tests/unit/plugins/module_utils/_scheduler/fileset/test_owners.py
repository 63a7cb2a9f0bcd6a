"""Test that the owners of directories are recorded, and restored by rollback and removal."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    MAX_COPY_BYTES,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)

from tests.support.fake_module import killed_at
from tests.support.host import Host

UID = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner")


def rights(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, stat.S_IMODE(status.st_mode)


class WalkThrough(Host):
    """Provide a host with a scheduler of another installer, whose directories belong to a user."""

    def __init__(self, root: Path, *, running: bool = True) -> None:
        super().__init__(root)
        self.etc.mkdir()
        self.systemd.unit.parent.mkdir()
        if running:
            (self.bin / "app").write_text("x" * (MAX_COPY_BYTES + 1))
            (self.etc / "key.pem").write_text("their key")
            self.systemd.unit.write_text("[Service]\n#DIGEST=none none\n")
            os.chown(self.etc / "key.pem", UID, UID)
            self.systemd.reload()
        for path in (self.etc, self.bin):
            os.chown(path, UID, UID)
            path.chmod(0o750)

    def adopt(self, **params: Any) -> dict[str, Any]:
        self.run("prepared", **params)
        self.stage_key("our key")
        self.run("staged")
        return self.run("live", attempt="1", **params)

    @property
    def owned(self) -> set[tuple[int, int]]:
        return {rights(path) for path in (self.etc, self.bin)}


@pytest.fixture
def walk_through(tmp_path: Path) -> WalkThrough:
    return WalkThrough(tmp_path)


THEIRS, OURS = {(UID, 0o750)}, {(0, 0o750)}


def test_promotion_without_consent_changes_no_owner(walk_through: WalkThrough) -> None:
    before = walk_through.tree()
    with pytest.raises(FilesError, match="belongs to nobody"):
        walk_through.adopt()
    assert walk_through.owned == THEIRS
    assert {name: before[name] for name in before} == {
        name: content for name, content in walk_through.tree().items() if name in before
    }


def test_adoption_takes_the_directories_and_rollback_restores_them(
    walk_through: WalkThrough,
) -> None:
    result = walk_through.adopt(ownership=True)
    assert {f"owner of {walk_through.etc}", f"owner of {walk_through.bin}"} <= {*result["done"]}
    assert walk_through.owned == OURS
    again = walk_through.run("live", ownership=True)
    assert not again["changed"]
    walk_through.run("recalled")
    walk_through.run("live", ownership=True)
    assert walk_through.owned == THEIRS
    key = walk_through.etc / "key.pem"
    assert (key.read_text(), key.stat().st_uid) == ("their key", UID)
    assert walk_through.fileset.record()["owners"] == {}
    walk_through.adopt(ownership=True)
    assert walk_through.owned == OURS


def test_failed_roll_restores_the_owners(walk_through: WalkThrough) -> None:
    walk_through.adopt(ownership=True)
    walk_through.run("previous", attempt="1")
    assert walk_through.owned == THEIRS


@pytest.mark.parametrize("running", [True, False])
def test_removal_restores_the_owners(tmp_path: Path, running: bool) -> None:
    """The role also takes directories in a first deployment, on a host without a scheduler."""
    walk_through = WalkThrough(tmp_path, running=running)
    walk_through.adopt(ownership=True)
    assert walk_through.owned == OURS
    walk_through.run("absent", check=True)
    assert walk_through.owned == OURS
    walk_through.run("absent")
    assert walk_through.owned == THEIRS


def test_directories_stay_with_root_while_another_instance_uses_them(
    walk_through: WalkThrough,
) -> None:
    walk_through.adopt(ownership=True)
    other = Fileset(str(walk_through.root / "other"), ())
    os.mkdir(other.root, 0o700)
    live = {**(walk_through.fileset.record()["live"] or {})}
    other.update_record(live=live)
    walk_through.run("absent")
    assert walk_through.owned == OURS
    assert sorted(other.record()["owners"]) == sorted(
        [str(walk_through.etc), str(walk_through.bin)]
    )


def interrupted(root: Path, action: Callable[[WalkThrough], object]) -> None:
    for point in range(1, 400):
        (root / str(point)).mkdir()
        walk_through = WalkThrough(root / str(point))
        if not killed_at(lambda host=walk_through: action(host), point):  # type: ignore[misc]
            return
        walk_through.proc.end(1)  # The fake systemd has started the process in the child.
        walk_through.adopt(ownership=True)
        assert walk_through.owned == OURS, point
        walk_through.run("absent")
        assert walk_through.owned == THEIRS, point
    pytest.fail("never got to the end")


@pytest.mark.nightly
def test_killed_adoption_loses_no_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    interrupted(tmp_path, lambda host: host.adopt(ownership=True))

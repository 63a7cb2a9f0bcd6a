# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that root writes the files of a Prometheus host, and follows no link of another user."""

from __future__ import annotations

import grp
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import (
    monitoring_files,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _results

from tests.support.fake_module import FakeModule, one_line

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="creates files owned by root")
UID, GROUP = 65534, "daemon"
GID = grp.getgrnam(GROUP).gr_gid
FILES = [
    {"name": "scrape.yml", "content": "scrape_configs: []\n"},
    {"name": "edge-ca.pem", "content": "-----BEGIN CERTIFICATE-----\n"},
]


@pytest.fixture
def root() -> Iterator[Path]:
    """Return a directory without a writable parent, unlike the directories of pytest in /tmp."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def write(path: Path, files: Any = FILES, *, check: bool = False, **options: Any) -> Any:
    params = {"path": str(path), "group": GROUP, "files": files, **options}
    return monitoring_files.write_monitoring_files(FakeModule(check, **params))


def rejected(path: Path, reason: str, files: Any = FILES, **options: Any) -> None:
    with pytest.raises(CollectionError, match=reason) as caught:
        write(path, files, **options)
    one_line(caught.value)


def rights(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def theirs(path: Path, mode: int = 0o755) -> Path:
    path.mkdir()
    os.chown(path, UID, UID)
    path.chmod(mode)
    return path


def test_new_directory_and_files_get_their_permissions(root: Path) -> None:
    path = root / "etc/monitoring"
    result = write(path)
    assert result["changed"]
    assert result["files"] == [str(path / file["name"]) for file in FILES]
    assert rights(root / "etc") == (0, 0, 0o755)
    assert rights(path) == (0, GID, 0o750)
    for file in FILES:
        assert (path / file["name"]).read_text() == file["content"]
        assert rights(path / file["name"]) == (0, GID, 0o640)
    assert {entry.name for entry in path.iterdir()} == {file["name"] for file in FILES}


def test_second_write_changes_nothing(root: Path) -> None:
    write(root / "monitoring")
    before = {entry: entry.stat().st_ino for entry in (root / "monitoring").iterdir()}
    assert write(root / "monitoring") == {"changed": False, "files": [], "diff": []}
    assert {entry: entry.stat().st_ino for entry in (root / "monitoring").iterdir()} == before


@pytest.mark.parametrize("exists", [True, False])
def test_check_mode_predicts_and_writes_nothing(root: Path, exists: bool) -> None:
    path = root / "monitoring"
    if exists:
        write(path)
        (path / "scrape.yml").write_text("other")
        path.chmod(0o755)
    predicted = write(path, check=True)
    assert path.exists() == exists
    assert not exists or (path / "scrape.yml").read_text() == "other"
    assert not exists or rights(path) == (0, GID, 0o755)
    assert predicted == write(path)
    assert predicted["changed"]


def test_changed_owner_and_mode_are_restored(root: Path) -> None:
    path = root / "monitoring"
    write(path)
    os.chown(path / "scrape.yml", UID, UID)
    (path / "edge-ca.pem").chmod(0o666)
    os.chown(path, UID, UID)
    result = write(path)
    assert result["files"] == [str(path / file["name"]) for file in FILES]
    assert rights(path) == (0, GID, 0o750)
    assert {rights(path / file["name"]) for file in FILES} == {(0, GID, 0o640)}
    assert not write(path)["changed"]


def test_hard_link_to_a_file_of_root_keeps_its_owner_and_mode(root: Path) -> None:
    (root / "secret").write_text(FILES[0]["content"])
    (root / "secret").chmod(0o600)
    path = theirs(root / "monitoring")
    os.link(root / "secret", path / "scrape.yml")
    write(path)
    assert rights(root / "secret") == (0, 0, 0o600)
    assert rights(path / "scrape.yml") == (0, GID, 0o640)


@pytest.mark.parametrize("check", [False, True])
def test_link_in_a_directory_of_another_user_gives_no_directory_away(
    root: Path, check: bool
) -> None:
    """With Ansible's module file, the group could read the directory to which the link leads."""
    (root / "private").mkdir(mode=0o700)
    upper = theirs(root / "prometheus")
    (upper / "monitoring").symlink_to(root / "private")
    rejected(upper / "monitoring", "safely: '.*/prometheus' belongs to nobody", check=check)
    rejected(upper / "monitoring/below", "safely: '.*/prometheus' belongs to nobody", check=check)
    assert rights(root / "private") == (0, 0, 0o700)
    assert not any((root / "private").iterdir())


def test_parent_that_another_user_can_write_to_is_rejected(root: Path) -> None:
    rejected(theirs(root / "of-nobody") / "new", "belongs to nobody")
    (root / "of-group").mkdir()
    os.chown(root / "of-group", 0, GID)
    (root / "of-group").chmod(0o775)
    rejected(root / "of-group/new", f"the group {GROUP} can write to")
    assert not (root / "of-nobody/new").exists()
    assert not (root / "of-group/new").exists()


def test_link_that_another_user_created_in_the_directory_is_rejected(root: Path) -> None:
    (root / "secret").write_text("secret")
    path = theirs(root / "monitoring")
    (path / "scrape.yml").symlink_to(root / "secret")
    os.chown(path / "scrape.yml", UID, UID, follow_symlinks=False)
    rejected(path, "belongs to nobody; remove the link")
    assert (root / "secret").read_text() == "secret"
    assert not (path / "edge-ca.pem").exists(), "all files are checked before the first write"
    assert rights(path) == (UID, UID, 0o755)


def test_link_of_root_to_the_directory_is_followed(root: Path) -> None:
    (root / "data").mkdir()
    (root / "monitoring").symlink_to("data")
    write(root / "monitoring")
    assert rights(root / "data") == (0, GID, 0o750)
    assert (root / "data/scrape.yml").exists()


def test_special_file_is_rejected(root: Path) -> None:
    (root / "monitoring").mkdir()
    os.mkfifo(root / "monitoring/scrape.yml")
    rejected(root / "monitoring", "is a FIFO")
    (root / "file").write_text("")
    rejected(root / "file", "is not a directory")


def test_diff_shows_the_files_without_the_secrets_of_the_user(root: Path) -> None:
    path = root / "monitoring"
    write(path)
    path.chmod(0o755)
    (path / "scrape.yml").write_text("scrape_configs:\n  - basic_auth: {password: hunter2}\n")
    (path / "edge-ca.pem").unlink()
    diff = write(path, check=True)["diff"]
    assert "hunter2" not in str(diff)
    by_path = {entry["after_header"]: entry for entry in diff}
    assert list(by_path) == [str(path), str(path / "scrape.yml"), str(path / "edge-ca.pem")]
    assert by_path[str(path)] == {
        "before_header": str(path),
        "after_header": str(path),
        "before": f"owner: root\ngroup: {GROUP}\nmode: 0755\n",
        "after": f"owner: root\ngroup: {GROUP}\nmode: 0750\n",
    }
    assert "basic_auth" in by_path[str(path / "scrape.yml")]["before"]
    assert by_path[str(path / "scrape.yml")]["after"] == FILES[0]["content"]
    assert by_path[str(path / "edge-ca.pem")]["before"] == ""


def test_diff_withholds_a_file_with_other_permissions(root: Path) -> None:
    write(root / "monitoring")
    (root / "monitoring/scrape.yml").write_text("hunter2\n")
    (root / "monitoring/scrape.yml").chmod(0o600)
    [diff] = write(root / "monitoring", check=True)["diff"]
    assert diff["before"] == f"{monitoring_files.FOREIGN}\n"


def test_diff_of_equal_content_shows_the_permissions(root: Path) -> None:
    write(root / "monitoring")
    (root / "monitoring/scrape.yml").chmod(0o600)
    [diff] = write(root / "monitoring", check=True)["diff"]
    assert diff["before"] == f"owner: root\ngroup: {GROUP}\nmode: 0600\n"
    assert diff["after"] == f"owner: root\ngroup: {GROUP}\nmode: 0640\n"


def test_diff_of_large_files_is_shorter_than_the_controller_accepts(root: Path) -> None:
    """The controller rejects a larger output, although the module has changed the files."""
    content = "\U0001f600" * (monitoring_files.MAX_MONITORING_BYTES // 4)
    files = [*FILES, *({"name": f"{number}.yml", "content": content} for number in range(2))]
    result = write(root / "monitoring", files)
    assert len(json.dumps(result)) < _results.MAX_OUTPUT_CHARS // 2
    scrape = result["diff"][1]
    assert scrape["after"] == FILES[0]["content"]
    large = result["diff"][3]
    assert large["before"] == ""
    assert large["after"].endswith(" more characters)\n")
    assert len(result["diff"]) == 1 + len(files)
    assert (root / "monitoring/0.yml").read_text() == content


def test_diff_of_many_files_is_limited(root: Path) -> None:
    files = [{"name": f"{number}.pem", "content": "x" * 2000} for number in range(900)]
    result = write(root / "monitoring", files, check=True)
    assert len(result["files"]) == 900
    assert len(json.dumps(result)) < 1 << 20


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\nb", "x" * 300, "a\0b"])
def test_invalid_file_name_is_rejected(root: Path, name: str) -> None:
    rejected(root / "monitoring", "files.*name", [{"name": name, "content": ""}])
    assert not (root / "monitoring").exists()


def test_invalid_options_are_rejected(root: Path) -> None:
    rejected(Path("relative/path"), "path: .*absolute path")
    rejected(root / "monitoring", "files.*twice", [FILES[0], FILES[0]])
    rejected(root / "monitoring", "group: 'no-such' does not exist", group="no-such")
    rejected(root / "monitoring", "files.*content", [{"name": "x", "content": "\ud800"}])
    assert not (root / "monitoring").exists()


def test_missing_group_is_predicted_in_check_mode(root: Path) -> None:
    module = FakeModule(True, path=str(root / "monitoring"), group="no-such", files=FILES)
    assert monitoring_files.write_monitoring_files(module)["changed"]
    assert "group: 'no-such' does not exist on this host yet" in module.warnings[0]

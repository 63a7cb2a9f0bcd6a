"""Test the staged, live and previous sets with real files."""

from __future__ import annotations

import errno
import grp
import itertools
import json
import os
import re
import shutil
import stat
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import (
    handover,
    lifecycle,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import (
    copies,
    options,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import staleness
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    read_validity,
)

from tests.support.apiserver import kubeconfig
from tests.support.fake_module import at_change, killed_at, one_line
from tests.support.host import UNIT_NAME, Host
from tests.support.pki import NOW, Ca, certificate, pem, spare


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    # In these tests, a process starts at an exact clock tick. Files change some ticks later.
    monkeypatch.setattr(staleness, "CLOCK_TOLERANCE_S", 0.0)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def later() -> None:
    """Wait longer than the resolution of file timestamps."""
    time.sleep(0.03)


def record(host: Host) -> Any:
    return json.loads((host.root / "fileset/record.json").read_text())


def test_nothing_is_live_before_promotion(host: Host) -> None:
    host.run("prepared")
    host.stage_key("secret 1")
    result = host.run("staged")
    assert result["changed"]
    assert result["pending"] == ["binary", "config", "key", "unit", "process"]
    assert not host.etc.exists()
    assert host.systemd.did == []


def test_live_promotes_the_staged_set_once(host: Host) -> None:
    host.deploy()
    tree = host.tree()
    assert tree["bin/app"] == "app-v1"
    assert tree["etc/key.pem"] == "secret 1"
    assert len(tree["units/x.service"].split("DIGEST=")[1].strip()) == 32
    assert host.systemd.did == ["reload", "enable", "restart"]
    for state in ("prepared", "staged", "live"):
        assert host.run(state)["changed"] is False, state
    assert host.run("staged")["pending"] == []
    assert host.tree() == tree
    assert host.systemd.did == ["reload", "enable", "restart"]


@pytest.mark.parametrize("what", ["config", "key", "link", "attributes"])
def test_each_change_is_pending_and_restarts(host: Host, what: str) -> None:
    host.systemd.credentials = {"key": host.etc / "key.pem"}
    host.deploy()
    host.systemd.did.clear()
    if what == "config":
        host.config = "a: 2\n"
    elif what == "key":
        host.stage_key("secret 2")
    elif what == "link":
        host.binary("app-v2")
        host.link = "app-v2"
    else:
        (host.etc / "key.pem").chmod(0o644)
    pending = host.run("staged")["pending"]
    assert host.run("live")["changed"]
    assert host.run("staged")["pending"] == []
    if what == "attributes":
        assert pending == ["key"]
        assert stat.S_IMODE((host.etc / "key.pem").stat().st_mode) == 0o600
        assert host.systemd.did == ["reload"]
    else:
        assert pending[-2:] == ["unit", "process"]
        assert host.systemd.did == ["reload", "restart"]


def test_path_digest_ignores_the_content(host: Host) -> None:
    host.deploy()
    items = [Item("key", str(host.etc / "key.pem"), digest="path")]
    before = Fileset(str(host.root / "fileset"), items).digest()
    host.stage_key("secret 2")
    assert Fileset(str(host.root / "fileset"), items).digest() == before


def test_digest_depends_on_the_verified_binary(host: Host) -> None:
    host.deploy()
    before = host.run("staged")["digest"]
    assert host.run("staged", binaries=host.brought())["digest"] != before


def test_previous_contains_the_complete_replaced_set(host: Host) -> None:
    host.deploy()
    host.config = "a: 2\n"
    host.run("staged")
    host.run("live")
    previous = host.root / "fileset/previous"
    assert (previous / "config").read_text() == "a: 1\n"
    assert (previous / "key").read_text() == "secret 1"
    assert os.readlink(previous / "binary") == "app-v1"
    assert stat.S_IMODE(previous.stat().st_mode) == 0o700
    assert stat.S_IMODE((previous / "key").stat().st_mode) == 0o600


def test_interrupted_promotion_keeps_the_previous_set(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy()
    host.config = "a: 2\n"
    host.stage_key("secret 2")
    host.run("staged")
    copied: list[str] = []
    copy = copies.copy_file

    def cut(source: str, path: str) -> None:
        if path == str(host.etc / "app.yaml"):
            raise KeyboardInterrupt
        copied.append(path)
        copy(source, path)

    monkeypatch.setattr(copies, "copy_file", cut)
    with pytest.raises(KeyboardInterrupt):
        host.run("live")
    assert str(host.etc / "key.pem") in copied
    monkeypatch.setattr(copies, "copy_file", copy)
    host.run("prepared")
    assert host.run("staged")["pending"]
    host.run("live")
    assert host.tree()["etc/key.pem"] == "secret 2"
    assert (host.root / "fileset/previous/key").read_text() == "secret 1"
    assert (host.root / "fileset/previous/config").read_text() == "a: 1\n"
    assert host.run("staged")["pending"] == []


def test_manually_changed_live_file_is_seeded_again(host: Host) -> None:
    host.deploy()
    (host.etc / "key.pem").write_text("manual change")
    assert host.fileset.stale_members() == ["key"]
    assert host.run("prepared", check=True)["changed"]
    host.run("prepared")
    assert host.tree()["fileset/staged/key"] == "manual change"
    assert host.fileset.stale_members() == []


def test_pending_staged_file_is_kept(host: Host) -> None:
    host.deploy()
    host.stage_key("secret 2")
    assert host.run("prepared")["changed"] is False
    assert host.tree()["fileset/staged/key"] == "secret 2"


def test_check_mode_predicts_and_changes_nothing(host: Host) -> None:
    before = host.tree()
    for state in ("prepared", "staged", "live"):
        assert host.run(state, check=True)["changed"], state
    assert host.tree() == before
    host.deploy()
    before = host.tree()
    host.config = "a: 2\n"
    result = host.run("staged", check=True)
    assert result["changed"]
    assert result["pending"] == ["config", "unit", "process"]
    assert host.tree() == before


def test_incomplete_set_is_not_promoted(host: Host) -> None:
    host.run("prepared")
    host.run("staged")
    with pytest.raises(
        FilesetError, match=r"staged does not contain key; run all phases of the role"
    ):
        host.run("live")
    assert not host.etc.exists()


def test_incomplete_set_gets_no_dry_run(host: Host) -> None:
    """The error precedes staging. In a dry run, systemd would report an unreadable credential."""
    with pytest.raises(
        FilesetError, match=r"staged does not contain key; run all phases of the role"
    ):
        host.run("staged", command=["/bin/app"], user="k8s", dry_run_flags={}, dry_run_texts={})
    assert not (host.root / "fileset").exists()


def test_absent_removes_promoted_files_only(host: Host) -> None:
    host.etc.mkdir()
    (host.etc / "ca.pem").write_text("others'")
    host.deploy()
    host.run("staged", binaries=host.brought())
    assert host.run("absent", check=True)["changed"]
    assert (host.etc / "key.pem").exists()
    host.run("absent")
    assert host.tree() == {"etc/ca.pem": "others'"}
    assert not (host.root / "fileset").exists()
    assert not host.systemd.unit.parent.exists()
    assert host.run("absent")["changed"] is False


def test_absent_hands_over_before_removal(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_handover(_unit: str, *_rest: Any) -> None:
        raise FilesetError("no other member took the lease")

    host.deploy()
    before = host.tree()
    monkeypatch.setattr(handover, "hand_over", fail_handover)
    with pytest.raises(FilesetError, match="no other member took the lease"):
        host.run("absent", handover=HANDOVER)
    assert host.tree() == before
    assert host.run("absent", handover=HANDOVER, check=True)["changed"]
    assert host.run("absent")["changed"]
    assert host.run("absent", handover=HANDOVER)["changed"] is False


def test_absent_removes_files_at_earlier_paths(host: Host) -> None:
    host.deploy()
    earlier, host.etc = host.etc, host.root / "elsewhere"
    host.run("prepared")
    host.run("staged")
    host.run("live")
    assert (host.etc / "key.pem").exists()
    host.run("absent")
    assert not earlier.exists()
    assert not host.etc.exists()


def test_absent_keeps_a_foreign_unit(host: Host) -> None:
    host.systemd.unit.parent.mkdir()
    host.systemd.unit.write_text("# DIGEST=0\n[Service]\n")
    host.systemd.reload()
    assert host.run("absent")["changed"] is False
    assert host.systemd.unit.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"content": "x", "link_to": "y"},
            "files: 'binary' has both content and link_to; set one of them",
        ),
        ({"mode": "rw"}, "files: mode 'rw' of 'binary' is not octal; use a value such as '0644'"),
        ({"mode": "-1"}, "files: mode '-1' of 'binary' is not octal; use a value such as '0644'"),
        (
            {"name": "../../victim"},
            "files: name '../../victim' is not a valid file name; use letters, digits, ., _ and -, without a slash",
        ),
        (
            {"name": ".."},
            "files: name '..' is not a valid file name; use letters, digits, ., _ and -, without a slash",
        ),
        (
            {"link_to": "/x"},
            "files: link_to '/x' is not a valid file name; use letters, digits, ., _ and -, without a slash",
        ),
    ],
)
def test_invalid_files_are_rejected(host: Host, change: dict[str, str], words: str) -> None:
    with pytest.raises(FilesetError) as error:
        options.parse_files([{**host.files[0], **change}])
    assert str(error.value) == words


@pytest.mark.parametrize("garbage", ["[]", "{", "", "null", "[" * 100_000, "a" * (1 << 21)])
def test_damaged_record_is_set_aside_and_recreated(host: Host, garbage: str) -> None:
    host.deploy()
    path = host.root / "fileset/record.json"
    path.write_text(garbage)
    assert host.fileset.record()["paths"] == []
    assert host.fileset.stale_members() == ["key"]
    assert path.read_text() == garbage
    host.run("prepared")
    host.run("staged")
    host.run("live")
    assert (host.root / "fileset/record.json.bad").read_text() == garbage
    assert str(host.etc / "key.pem") in record(host)["paths"]
    assert host.run("staged")["changed"] is False
    path.write_text(garbage)
    host.run("staged")
    assert len(list((host.root / "fileset").glob("record.json*"))) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base", []),
        ("base", {"key": 1}),
        ("binaries", {"/x": "sum"}),
        ("binaries", {"/x": {"sha256": "a", "version": 1, "ours": True, "identity": [1, 2, 3]}}),
        ("binaries", {"/x": {"sha256": "a", "version": "1", "ours": True, "identity": []}}),
        ("paths", [1]),
        ("paths", "/etc"),
        ("dry_run", 1),
        ("promoting", "yes"),
        ("staged", {"members": [{}], "digest": ""}),
        ("staged", {"members": "x", "digest": ""}),
    ],
)
def test_record_field_of_wrong_type_is_ignored(host: Host, field: str, value: Any) -> None:
    host.deploy()
    empty = Fileset(str(host.root / "nowhere"), []).record()
    (host.root / "fileset/record.json").write_text(json.dumps({field: value}))
    assert {**host.fileset.record()} == {**empty}


def test_directory_at_record_path_is_ignored(host: Host) -> None:
    (host.root / "fileset/record.json").mkdir(parents=True)
    assert host.fileset.record()["paths"] == []
    host.deploy()
    assert host.run("staged")["changed"] is False


def test_diff_contains_rendered_texts_only(host: Host) -> None:
    host.deploy()
    host.stage_key("secret 2")
    host.config = "a: 2\n"
    diff = host.run("staged", check=True)["diff"]
    assert [d["before_header"] for d in diff] == [
        str(host.etc / "app.yaml"),
        str(host.systemd.unit),
    ]
    assert (diff[0]["before"], diff[0]["after"]) == ("a: 1\n", "a: 2\n")
    assert "secret" not in str(diff)
    host.run("staged")
    assert host.run("staged")["diff"] == []


def test_absent_keeps_foreign_binaries(host: Host) -> None:
    host.deploy(binaries=host.brought(ours=False))
    host.run("absent")
    assert host.tree() == {"bin/app-v1": "binary 1"}


def test_installed_binary_stays_removable(host: Host) -> None:
    host.deploy(binaries=host.brought())
    assert host.run("staged", binaries=host.brought(ours=False))["changed"] is False
    host.run("absent")
    assert host.tree() == {}


def test_installed_binary_is_recorded_in_prepared(host: Host) -> None:
    assert host.run("prepared", check=True, binaries=host.brought())["changed"]
    assert not (host.root / "fileset").exists()
    assert host.run("prepared", binaries=host.brought())["changed"]
    assert host.run("prepared", binaries=host.brought())["changed"] is False
    host.deploy(binaries=host.brought(ours=False))
    host.run("absent")
    assert host.tree() == {}


def test_absent_keeps_link_targets(host: Host) -> None:
    """A removal deletes the links that replaced a binary and a live file, but not the targets."""
    host.deploy(binaries=host.brought())
    for path in (host.bin / "app-v1", host.etc / "key.pem"):
        target = host.root / f"of-others-{path.name}"
        path.rename(target)
        path.symlink_to(target)
    host.run("absent")
    assert host.tree() == {"of-others-app-v1": "binary 1", "of-others-key.pem": "secret 1"}


def test_unchanged_binary_is_not_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.deploy(binaries=host.brought())
    read: list[str] = []
    sha256 = copies.sha256_of_file
    monkeypatch.setattr(copies, "sha256_of_file", lambda path: read.append(path) or sha256(path))
    host.run("staged", binaries=host.brought())
    assert read == []
    later()
    (host.bin / "app-v1").write_text("binary x")
    assert host.run("staged", binaries=host.brought())["changed"]
    assert read == [str(host.bin / "app-v1")]


def test_absent_removes_created_parent_directories(host: Host) -> None:
    path = str(host.root / "lib/kube-ha/app")
    host.run("prepared", path=path)
    host.run("staged", path=path)
    assert host.run("absent", path=path)["changed"]
    assert not (host.root / "lib").exists()


def test_absent_keeps_parent_directories_of_others(host: Host) -> None:
    path, parent = str(host.root / "lib/kube-ha/app"), host.root / "lib/kube-ha"
    parent.mkdir(parents=True)
    host.run("prepared", path=path)
    host.run("absent", path=path)
    assert parent.exists(), "it existed before"
    parent.rmdir()
    host.run("prepared", path=path)
    (parent / "of-others").touch()
    host.run("absent", path=path)
    assert [entry.name for entry in parent.iterdir()] == ["of-others"]


def test_shared_binary_is_removed_with_the_last_instance(host: Host) -> None:
    """Two instances install the same binary.

    The binary remains while one of the instances uses it.
    """
    one, two = (str(host.root / "lib/kube-ha" / name) for name in ("one", "two"))
    binary = host.bin / "app-v1"
    host.run("prepared", path=one, binaries=host.brought())
    host.run("prepared", path=two, binaries=host.brought(ours=False))
    assert str(binary) not in Fileset(one, ()).remove(dry=True)
    assert host.run("absent", path=one)["changed"]
    assert binary.exists()
    host.run("absent", path=two)
    assert not binary.exists()
    assert not (host.root / "lib").exists(), "the directories of the first instance are removed too"


def test_existing_binary_is_kept(host: Host) -> None:
    one, two = (str(host.root / "lib/kube-ha" / name) for name in ("one", "two"))
    for path in (one, two):
        host.run("prepared", path=path, binaries=host.brought(ours=False))
    host.binary("app-v2")
    host.run("prepared", path=two, binaries=host.brought("app-v2"))
    for path in (two, one):
        host.run("absent", path=path)
    assert (host.bin / "app-v1").exists()
    assert not (host.bin / "app-v2").exists()


def test_live_promotes_the_set_as_staged(host: Host) -> None:
    host.run("prepared")
    host.stage_key("secret 1")
    staged = host.run("staged")
    host.config = "never staged\n"
    live = host.run("live")
    assert live["digest"] == staged["digest"]
    assert host.tree()["etc/app.yaml"] == "a: 1\n"


def test_live_rejects_a_changed_staged_set(host: Host) -> None:
    host.deploy()
    host.stage_key("secret 2")
    with pytest.raises(
        FilesetError,
        match="changed after the file set was staged; run all phases of the role again",
    ):
        host.run("live")
    assert host.tree()["etc/key.pem"] == "secret 1"


def test_live_rejects_a_set_completed_after_staging(host: Host) -> None:
    """A set that was staged without its key has no digest, so it cannot be promoted."""
    host.run("prepared")
    host.run("staged")
    host.stage_key("secret 1")
    with pytest.raises(FilesetError, match="changed after the file set was staged"):
        host.run("live")


def test_live_without_a_staged_set_fails(host: Host) -> None:
    with pytest.raises(
        FilesetError, match="contains no complete file set; run all phases of the role"
    ):
        host.run("live")


@pytest.mark.parametrize("name", ["app.yaml", "key.pem"])
def test_file_changed_and_reverted_restarts_the_process(host: Host, name: str) -> None:
    host.deploy()
    host.systemd.did.clear()
    original = (host.etc / name).read_text()
    later()
    (host.etc / name).write_text("manual change")
    (host.etc / name).write_text(original)
    result = host.run("staged")
    assert (result["pending"], result["reasons"]) == (
        ["process"],
        [f"{host.etc / name} changed after the process started"],
    )
    assert host.run("live")["done"] == ["restart"]
    assert host.run("staged")["pending"] == []


def test_credential_is_compared_by_content(host: Host) -> None:
    host.systemd.credentials = {"key": host.etc / "key.pem"}
    host.deploy()
    later()
    (host.etc / "key.pem").write_text("secret 1")
    assert host.run("staged")["pending"] == []
    copy = host.proc.folder / f"{host.systemd.pid}/root/run/credentials/x.service/key"
    copy.write_text("a manual change before the start")
    assert host.run("staged")["reasons"] == [
        f"{host.etc / 'key.pem'} differs from the credential of the process"
    ]
    assert host.run("live")["done"] == ["restart"]
    assert host.run("staged")["pending"] == []


def test_restart_option_restarts_an_unchanged_unit(host: Host) -> None:
    """Without a restart, an unhealthy process would load a new key pair only after minutes."""
    host.key_digest = "path"
    host.deploy()
    host.stage_key("secret 2")
    host.run("staged")
    host.systemd.did.clear()
    assert host.run("live", restart=True)["done"] == ["key", "restart"]
    assert "restart" in host.systemd.did


def test_path_digest_member_does_not_restart(host: Host) -> None:
    files = [{**f, "digest": "path"} if f["name"] == "key" else f for f in host.files]
    host.run("prepared", files=files)
    host.stage_key("secret 1")
    host.run("staged", files=files)
    host.run("live")
    host.systemd.did.clear()
    host.stage_key("secret 2")
    assert host.run("staged", files=files)["pending"] == ["key"]
    host.run("live")
    assert host.systemd.did == ["reload"]
    assert host.run("staged", files=files)["pending"] == []


def test_replaced_program_restarts(host: Host) -> None:
    host.deploy(binaries=host.brought())
    (host.bin / "app-v1").unlink()
    (host.proc.folder / "1/exe").unlink()
    (host.proc.folder / "1/exe").symlink_to(host.binary("app-v0"))
    host.binary("app-v1")
    result = host.run("staged", binaries=host.brought())
    assert result["reasons"] == [f"the process runs a program other than {host.bin / 'app-v1'}"]


def test_future_timestamp_does_not_restart(host: Host) -> None:
    host.deploy()
    host.proc.end(host.systemd.pid)
    host.systemd.pid = 0
    host.systemd.restart("x.service")
    stat_file = host.proc.folder / f"{host.systemd.pid}/stat"
    # If the clock is set back one hour after the start, the process seems older than the files.
    ticks = int(stat_file.read_text().split()[-2])
    hour = 3600 * os.sysconf("SC_CLK_TCK")
    stat_file.write_text(stat_file.read_text().replace(str(ticks), str(ticks - hour)))
    now = time.time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staleness.time, "time", lambda: now - 3600)
        assert host.run("staged")["pending"] == []
    assert host.run("staged")["pending"] == ["process"]


def test_paths_are_recorded_before_promotion(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("prepared")
    host.stage_key("secret 1")
    host.run("staged")

    def cut(source: str, path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, "copy_file", cut)
    with pytest.raises(KeyboardInterrupt):
        host.run("live")
    monkeypatch.undo()
    assert str(host.systemd.unit) in record(host)["paths"]
    host.run("absent")
    assert host.tree() == {"bin/app-v1": "binary 1"}
    assert not host.etc.exists()


def test_certificate_and_key_are_replaced_together(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.etc.mkdir()
    items = [Item(name, str(host.etc / name)) for name in ("certificate", "privatekey")]
    pair = Fileset(str(host.root / "fileset"), items)
    pair.make_directories()
    together: list[list[str]] = []
    replace = copies.pair_swap.replace
    monkeypatch.setattr(
        copies.pair_swap,
        "replace",
        lambda staged: together.append([file.path for file in staged]) or replace(staged),
    )
    for number in (1, 2):
        for item in items:
            Path(pair.staged_path(item)).write_text(f"{item.name} {number}")
        assert pair.promote() == ["certificate", "privatekey"]
    assert together == [[str(host.etc / "privatekey"), str(host.etc / "certificate")]] * 2
    assert host.tree()["etc/privatekey"] == "privatekey 2"
    assert host.tree()["fileset/previous/certificate"] == "certificate 1"
    assert sorted(os.listdir(host.etc)) == ["certificate", "privatekey"]


@pytest.mark.parametrize("path", ["bin/app", "etc/app.yaml", "etc/key.pem", "units/x.service"])
def test_directory_at_a_live_path_is_reported(host: Host, path: str) -> None:
    host.run("prepared")
    host.stage_key("secret 1")
    host.run("staged")
    (host.root / path).mkdir(parents=True)
    with pytest.raises(FilesError, match=r"[Ii]s a directory"):
        host.run("live")


def test_runs_are_serialized_by_a_lock(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.deploy()
    monkeypatch.setattr(lifecycle, "LOCK_TIMEOUT_S", 0.1)
    with paths.lock(str(host.root / "fileset")):
        for state in ("staged", "live", "absent"):
            with pytest.raises(FilesError, match="another run has locked"):
                host.run(state)
        # In check mode, the module does not wait for the lock file.
        assert host.run("staged", check=True)["changed"] is False
    done = threading.Event()
    monkeypatch.setattr(lifecycle, "LOCK_TIMEOUT_S", 10)
    with paths.lock(str(host.root / "fileset")):
        thread = threading.Thread(target=lambda: (host.run("live"), done.set()))
        thread.start()
        assert not done.wait(0.2)
    thread.join()
    assert done.is_set()


def test_temporary_file_of_a_killed_run_is_removed(host: Host) -> None:
    host.deploy()
    left = host.etc / ".key.pem.abc.tmp~"
    left.write_text("secret 0")
    host.config = "a: 2\n"
    host.run("staged")
    host.run("live")
    assert not left.exists()
    left.write_text("secret 0")
    host.run("absent")
    assert not host.etc.exists()


PAIR_FILES = ("certificate", "privatekey")


class Pair(Host):
    """A file set with a key pair. Each file contains `number`."""

    number = 1

    @property
    def files(self) -> list[dict[str, Any]]:
        binary, _key, config, unit = super().files
        unit["content"] = f"# {self.number}\n{unit['content']}"
        return [binary, *(self.member(name, self.etc / name) for name in PAIR_FILES), config, unit]

    def stage(self, number: int) -> None:
        self.number, self.config, self.link = number, f"a: {number}\n", f"app-v{number}"
        self.binary(self.link)
        self.run("prepared")
        for name in PAIR_FILES:
            write.write(str(self.root / "fileset/staged" / name), f"{name} {number}".encode())
        self.run("staged")

    def save(self) -> None:
        """Save the state of the host for `restore`."""
        self.saved = dict(self.systemd.state), self.systemd.pid
        for directory in (self.root, self.proc.folder):
            shutil.copytree(directory, f"{directory}.saved", symlinks=True)

    def restore(self) -> None:
        state, self.systemd.pid = self.saved
        self.systemd.state = dict(state)
        for directory in (self.root, self.proc.folder):
            shutil.rmtree(directory)
            shutil.copytree(f"{directory}.saved", directory, symlinks=True)

    def live(self, name: str) -> str:
        """Return the number in a live file, "" if the file is missing."""
        path = Path(next(file["path"] for file in self.files if file["name"] == name))
        text = (
            os.readlink(path)
            if name == "binary" and path.is_symlink()
            else path.read_text()
            if path.exists()
            else ""
        )
        return "".join(re.findall(r"(?:v|# |a: |certificate |privatekey )(\d)", text))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable fsync. A killed run leaves the same files without fsync."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.mark.parametrize("first", [True, False], ids=["a first run", "a change"])
def test_promotion_killed_at_every_change_is_completed(
    tmp_path: Path, quick: None, first: bool
) -> None:
    """Each file is old or new, the key pair matches, and the next run or a removal succeeds."""
    new = "1" if first else "2"
    host = Pair(tmp_path)
    if not first:
        host.stage(1)
        host.run("live")
    host.stage(int(new))
    host.save()
    for point in itertools.count(1):
        host.restore()
        if not killed_at(host.fileset.promote, point):
            break
        numbers = {file["name"]: host.live(file["name"]) for file in host.files}
        assert set(numbers.values()) <= {"" if first else "1", new}, (point, numbers)
        if all(numbers[name] for name in PAIR_FILES):
            assert len({numbers[name] for name in PAIR_FILES}) == 1, (point, numbers)
        if point % 2:
            host.run("absent")
            assert {path for path in host.tree() if not path.startswith("bin/app-v")} == set(), (
                point
            )
            host.restore()
            assert killed_at(host.fileset.promote, point)
        host.stage(int(new))
        host.run("live")
        assert {host.live(file["name"]) for file in host.files} == {new}, point
        assert not [path for path in host.tree() if "tmp~" in path], point
        if not first:
            assert (host.root / "fileset/previous/privatekey").read_text() == "privatekey 1", point
        assert host.run("live")["changed"] is False, point
    assert point > 30


def test_previous_restores_the_replaced_set(tmp_path: Path) -> None:
    """The binary, configuration, unit and key pair are restored, and the process runs from them."""
    host = Pair(tmp_path)
    for number in (0, 1):
        host.stage(number)
        host.run("live")
    before = {path: text for path, text in host.tree().items() if not path.startswith("fileset/")}
    host.stage(2)
    host.config = "a: 2\n"
    host.run("live", attempt="roll 1")
    host.systemd.did.clear()
    result = host.run("previous", attempt="roll 1")
    assert sorted(result["done"]) == [
        "binary",
        "certificate",
        "config",
        "privatekey",
        "restart",
        "unit",
    ]
    assert {file["name"]: host.live(file["name"]) for file in host.files} == dict.fromkeys(
        ("binary", "certificate", "config", "privatekey", "unit"), "1"
    )
    after = {
        path: text
        for path, text in host.tree().items()
        if not path.startswith(("fileset/", "bin/app-v2"))
    }
    assert after == before
    assert host.systemd.did == ["reload", "restart"]
    # An older previous set remains available for a rollback.
    assert (host.root / "fileset/previous/privatekey").read_text() == "privatekey 0"
    # A second call changes nothing, and the next run starts from the live set.
    assert host.run("previous", attempt="roll 1")["changed"] is False
    assert set(host.fileset.stale_members()) == set(PAIR_FILES)
    host.stage(2)
    host.run("live")
    assert {host.live(file["name"]) for file in host.files} == {"2"}


HANDOVER = {"kubeconfig": "/k", "name": "x", "namespace": "y", "lock": "leases", "timeout": 1.0}


def test_handover_happens_only_before_a_restart(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handover precedes the promotion. A reload needs no handover."""
    handed_over: list[str] = []

    def hand_over(unit: str, *_rest: Any) -> None:
        handed_over.append((host.etc / "app.yaml").read_text())

    monkeypatch.setattr(handover, "hand_over", hand_over)
    host.key_digest = "path"
    host.deploy()
    host.run("live", handover=HANDOVER)
    host.stage_key("secret 2")
    host.run("staged")
    assert host.run("live", handover=HANDOVER)["done"] == ["key"]
    assert handed_over == []
    host.config = "a: 2\n"
    host.run("staged")
    host.run("live", handover=HANDOVER)
    assert handed_over == ["a: 1\n"]
    later()
    (host.etc / "app.yaml").write_text("a: 2\n")
    host.run("live", handover=HANDOVER)
    assert handed_over == ["a: 1\n", "a: 2\n"], "the process is stale"


class WithKubeconfig(Host):
    @property
    def files(self) -> list[dict[str, Any]]:
        return [*super().files, self.member("kubeconfig", self.etc / "kubeconfig")]


def test_lease_is_read_before_a_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if no scheduler runs, the module reads the lease with the live kubeconfig."""
    host = WithKubeconfig(tmp_path)
    reads: list[Any] = []

    def read_lease(path: str, name: str, namespace: str) -> Any:
        reads.append((path, name, namespace, "restart" in host.systemd.did))
        return {"state": "absent"}

    monkeypatch.setattr(handover, "read_initial_lease", read_lease)
    host.run("prepared")
    host.stage_key("secret 1")
    write.write(str(host.root / "fileset/staged/kubeconfig"), b"{}")
    host.run("staged")
    lease = {"name": "x", "namespace": "y"}
    assert host.run("live", lease=lease)["lease"] == {"state": "absent"}
    assert reads == [(str(host.etc / "kubeconfig"), "x", "y", False)]
    assert host.run("live", lease=lease, restart=True)["lease"] is None
    host.systemd.disable(UNIT_NAME)
    assert host.run("live")["lease"] is None
    assert len(reads) == 1


def test_earlier_restarts_are_reset(host: Host) -> None:
    """A start during a pending automatic restart does not reset the restart counter."""
    host.deploy()
    host.systemd.state["NRestarts"] = "2"
    host.config = "a: 2\n"
    host.run("staged")
    host.systemd.did.clear()
    host.run("live")
    assert host.systemd.did == ["reload", "reset_restarts", "restart"]


def test_previous_restores_only_the_given_attempt(host: Host) -> None:
    """If the last roll has another identifier or none, nothing is restored."""
    host.deploy()
    host.config = "a: 2\n"
    host.run("staged")
    host.run("live", attempt="roll 1")
    host.run("staged")
    assert host.run("live", attempt="roll 2")["changed"] is False
    for attempt in ("roll 1", "roll 2", ""):
        assert host.run("previous", attempt=attempt)["changed"] is False
        assert host.tree()["etc/app.yaml"] == "a: 2\n"


def test_first_roll_has_no_previous_set(host: Host) -> None:
    host.run("prepared")
    host.stage_key("secret 1")
    host.run("staged")
    host.run("live", attempt="roll 1")
    assert host.run("previous", attempt="roll 1")["changed"] is False
    assert host.tree()["etc/app.yaml"] == "a: 1\n"
    with pytest.raises(
        FilesetError, match="contains no previous file set, so rollback is not possible"
    ):
        host.run("recalled")


def test_previous_removes_added_members(tmp_path: Path) -> None:
    """Files of the previous set are restored at their earlier paths."""
    host = Pair(tmp_path)
    host.stage(1)
    host.run("live")
    old, host.etc = host.etc, host.root / "other"
    host.stage(2)
    host.run("live", attempt="roll 1")
    shutil.rmtree(old)
    old.mkdir()
    host.run("previous", attempt="roll 1")
    assert sorted(path for path in host.tree() if path.startswith(("etc/", "other/"))) == [
        f"etc/{name}" for name in sorted((*PAIR_FILES, "app.yaml"))
    ]


def test_previous_starts_a_stopped_unit(host: Host) -> None:
    host.deploy()
    host.systemd.state.update(ActiveState="inactive", SubState="dead")
    host.systemd.did.clear()
    assert host.run("previous", attempt="roll 1")["done"] == ["restart"]
    assert host.systemd.did == ["restart"]


def test_restore_killed_at_every_change_is_completed(tmp_path: Path, quick: None) -> None:
    """The key pair matches, and a second call or a new deployment succeeds."""
    host = Pair(tmp_path)
    host.stage(1)
    host.run("live")
    host.stage(2)
    host.run("live", attempt="roll 1")
    host.save()
    names = [file["name"] for file in host.files]
    for point in itertools.count(1):
        host.restore()
        if not killed_at(lambda: host.fileset.restore("roll 1"), point):
            break
        assert len({host.live(name) for name in PAIR_FILES}) == 1, point
        if point % 2:
            host.run("previous", attempt="roll 1")
            assert {host.live(name) for name in names} == {"1"}, point
        host.stage(2)
        host.run("live")
        assert {host.live(name) for name in names} == {"2"}, point
        assert not [path for path in host.tree() if "tmp~" in path], point
    assert point > 20


def test_recalled_set_can_be_recalled_again(tmp_path: Path) -> None:
    host = Pair(tmp_path)
    host.stage(1)
    host.run("live")
    host.stage(2)
    host.run("live")
    tree = host.tree()
    assert host.run("recalled", check=True)["changed"] is True
    assert host.tree() == tree
    for number in ("1", "2"):
        result = host.run("recalled")
        assert sorted(result["done"]) == ["binary", "certificate", "config", "privatekey", "unit"]
        host.run("live", attempt="roll back")
        assert {host.live(file["name"]) for file in host.files} == {number}
        assert host.run("live")["changed"] is False


def test_recalled_reports_version_and_expiry(tmp_path: Path) -> None:
    host = Pair(tmp_path)
    issued = certificate(spare("ECC"), subject={"CN": "x"})
    host.stage(1)
    write.write(str(host.root / "fileset/staged/certificate"), pem(issued).encode())
    host.run("staged", binaries=host.brought())
    host.run("live")
    host.stage(2)
    host.run("live")
    result = host.run("recalled", check=True)
    assert (result["version"], result["not_after"]) == (
        "1.1.0",
        read_validity(issued)[1].isoformat(),
    )
    (host.root / "fileset/previous/certificate").write_text("none")
    assert host.run("recalled", check=True)["not_after"] == ""
    (host.root / "fileset/previous/config").unlink()
    with pytest.raises(FilesetError, match="does not contain config, so rollback is not possible"):
        host.run("recalled")


def test_directory_at_a_file_path_stages_nothing(tmp_path: Path) -> None:
    host = Pair(tmp_path)
    host.stage(1)
    Path(next(file["path"] for file in host.files if file["name"] == "config")).mkdir(parents=True)
    before = host.tree()
    host.config = "a: 2\n"
    with pytest.raises(FilesError, match="is a directory, not a regular file"):
        host.run("staged")
    assert host.tree() == before


@pytest.mark.parametrize("state", ["prepared", "staged"])
def test_directory_at_a_binary_path_creates_nothing(tmp_path: Path, state: str) -> None:
    host = Pair(tmp_path)
    before = host.tree()
    binary = {"path": str(host.root), "version": "1.37.2", "ours": True}
    with pytest.raises(FilesetError, match=r"binaries: .* is not a regular file"):
        host.run(state, binaries=[binary])
    assert host.tree() == before


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.ENAMETOOLONG], ids=errno.errorcode.get
)
@pytest.mark.parametrize("state", ["prepared", "staged", "live", "absent"])
def test_file_system_error_is_reported_and_recovered(
    tmp_path: Path, quick: None, state: str, number: int
) -> None:
    """Each error message is one line, and the next run succeeds."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    host = Pair(tmp_path)
    host.stage(1)
    host.run("live")
    if state == "live":
        host.stage(2)
    elif state != "absent":
        (host.etc / "certificate").write_text("certificate 3")
    host.save()
    lines = []
    # Test each change for one error number. Other error numbers use the same code.
    for point in itertools.count(1, 1 if number == errno.ENOSPC else 7):
        host.restore()
        host.config = "a: 2\n" if state == "live" else "a: 3\n"
        with at_change(point, fail) as left:
            try:
                # Call promote() only, because the start of the unit also changes files.
                host.fileset.promote() if state == "live" else host.run(state)
            except (FilesError, FilesetError) as error:
                lines.append(one_line(error))
        if left[0] > 0:
            break
        if state == "absent":
            host.run("absent")
            assert {path for path in host.tree() if not path.startswith("bin/app-v")} == set(), (
                point
            )
            continue
        host.stage(2)
        host.run("live")
        assert {host.live(file["name"]) for file in host.files} == {"2"}, point
        assert not [path for path in host.tree() if "tmp~" in path], point
    assert lines
    assert all(os.strerror(number) in line for line in lines), lines


def test_log_directory_is_created_before_the_dry_run(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []

    def give(*words: Any, dry: bool) -> bool:
        lacking = all(entry[-1] for entry in calls)
        calls.append((*words, dry))
        return lacking

    monkeypatch.setattr(lifecycle.directories, "give_directory", give)
    host.run("prepared")
    host.stage_key("secret 1")
    predicted = host.run("staged", check=True, log_dir="/var/log/x", user="nobody")
    assert predicted["changed"]
    assert "log_dir" in predicted["done"]
    assert "log_dir" not in predicted["pending"]
    assert "log_dir" in host.run("staged", log_dir="/var/log/x", user="nobody")["done"]
    again = host.run("staged", log_dir="/var/log/x", user="nobody")
    assert (again["changed"], again["done"]) == (False, [])
    assert set(calls) == {("/var/log/x", "nobody", 0o755, dry) for dry in (True, False)}


@pytest.mark.parametrize("kind", ["fifo", "zero", "huge", "directory"])
def test_file_at_a_binary_path_is_read_up_to_a_limit(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "app-v1"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    else:
        with path.open("wb") as stream:
            stream.truncate(1 << 40)  # a sparse file, which would take an hour to read
    before = time.monotonic()
    binaries = [{"path": str(path), "version": "1.1.0", "ours": True}]
    with pytest.raises(
        FilesetError,
        match=r"is not a regular file(; set the path| of at most 1024 MiB)",
    ):
        Fileset(str(tmp_path / "fileset"), []).record_binaries(binaries)
    assert time.monotonic() - before < 1


def test_large_plain_binary_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback also restores a binary of another installer that is too large to read."""
    host = Pair(tmp_path)
    path = host.bin / "app"
    path.write_bytes(b"x" * 4096)
    host.systemd.unit.parent.mkdir(parents=True, exist_ok=True)
    host.systemd.unit.write_text("# DIGEST=0\n[Service]\n")
    monkeypatch.setattr(copies, "MAX_COPY_BYTES", 4000)
    host.stage(1)
    host.run("live")
    assert path.is_symlink()
    for plain in (True, False, True):
        host.run("recalled")
        host.run("live", attempt="roll back")
        assert path.is_symlink() is not plain
        assert plain is False or path.read_bytes() == b"x" * 4096
        assert not [name for name in host.tree() if "tmp~" in name]


@pytest.mark.parametrize("failed", [True, False], ids=["failed roll", "rollback"])
def test_foreign_unit_runs_again_after_rollback(tmp_path: Path, failed: bool) -> None:
    """After a rollback, a foreign scheduler with files at other paths runs again."""
    host = Pair(tmp_path)
    host.systemd.vendor = tmp_path / "vendor.service"
    host.systemd.vendor.write_text("# DIGEST=0\n[Service]\n")
    host.systemd.reload()
    host.systemd.restart(UNIT_NAME)
    host.stage(1)
    host.run("live", attempt="1")
    assert host.systemd.state["FragmentPath"] == str(host.systemd.unit)
    if failed:
        host.run("previous", attempt="1")
    else:
        result = host.run("recalled")
        assert (result["original"], result["not_after"]) == (True, "")
        host.run("live", attempt="2")
        assert host.run("live")["changed"] is False
    assert host.systemd.state["FragmentPath"] == str(host.systemd.vendor)
    assert host.systemd.did[-1] == "restart"
    assert {host.live(file["name"]) for file in host.files} == {""}
    host.stage(2)
    host.run("live", attempt="3")
    assert host.systemd.state["FragmentPath"] == str(host.systemd.unit)
    assert host.run("recalled", check=True)["original"] is True


def test_expiry_is_read_from_an_embedded_certificate(tmp_path: Path) -> None:
    """A kubeconfig of another installer can contain the client certificate."""
    ca = Ca()
    pair = ca.issue("scheduler", end=86400)
    path = tmp_path / "kubeconfig"
    path.write_bytes(kubeconfig(["https://192.0.2.1:6443"], ca=ca.pem, pair=pair))
    end = datetime.fromisoformat(lifecycle._read_not_after({"kubeconfig": str(path)}))
    assert end == NOW + timedelta(seconds=86400)
    path.write_text("garbage")
    assert (
        lifecycle._read_not_after({"kubeconfig": str(path)}) == lifecycle._read_not_after({}) == ""
    )


SECRET = "keyData: marker\n"


class SecretHost(Host):
    """Provide a host whose configuration contains a secret.

    Only the option `secrets` contains the secret.
    """

    group = "root"

    @property
    def files(self) -> list[dict[str, Any]]:
        shown = "keyData: (withheld)\n"
        rights = {"content": shown, "mode": "0600", "group": self.group}
        return [{**f, **rights} if f["name"] == "config" else f for f in super().files]

    def run(self, state: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
        secrets = {"contents": {"config": self.config}, "values": ["marker"]}
        return super().run(state, check=check, **{"secrets": secrets, **params})


def test_file_with_a_secret_is_private_and_complete(tmp_path: Path) -> None:
    host = SecretHost(tmp_path)
    host.config = SECRET
    host.deploy()
    for path in (host.etc / "app.yaml", host.root / "fileset/staged/config"):
        assert path.read_text() == SECRET
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "marker" not in (host.root / "fileset/record.json").read_text()
    host.config = "keyData: marker-2\n"
    result = host.run("staged")
    assert result["done"] == ["config", "unit"]
    assert "marker" not in str(result)
    [diff] = [entry for entry in result["diff"] if entry["before_header"].endswith("app.yaml")]
    assert (diff["before"], diff["after"]) == (
        "keyData: (withheld)\n",
        "keyData: (withheld, differs)\n",
    )


def test_plain_file_returns_without_the_secret(tmp_path: Path) -> None:
    host = SecretHost(tmp_path)
    host.config = SECRET
    host.deploy()
    plain = Host.files.fget(host)  # type: ignore[attr-defined]
    host.run("staged", files=plain, secrets=None)
    host.run("live")
    path = host.etc / "app.yaml"
    assert path.read_text() == SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    previous = host.root / "fileset/previous/config"
    assert stat.S_IMODE(previous.stat().st_mode) == 0o600, "the kept file is as private as before"


def test_file_with_a_secret_belongs_to_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = SecretHost(tmp_path)
    host.group = "scheduler"
    host.config = SECRET
    group = grp.struct_group(("scheduler", "x", 4711, []))
    monkeypatch.setattr(grp, "getgrnam", {"scheduler": group}.__getitem__)
    host.deploy()
    assert (host.etc / "app.yaml").stat().st_gid == 4711
    assert host.run("staged")["changed"] is False


def test_unknown_group_is_rejected_before_any_change(tmp_path: Path) -> None:
    host = SecretHost(tmp_path)
    host.group = "no-such-group"
    host.run("prepared")
    host.stage_key("secret 1")
    assert host.run("staged", check=True)["changed"]
    with pytest.raises(FilesetError, match="group no-such-group of 'config' does not exist"):
        host.run("staged")
    assert not (host.root / "fileset/staged/config").exists()


def test_credential_with_the_configuration_is_compared_by_content(tmp_path: Path) -> None:
    host = SecretHost(tmp_path)
    host.config = SECRET
    path = host.etc / "app.yaml"
    host.systemd.credentials = {"config": path}
    host.deploy()
    later()
    path.write_text(SECRET)
    assert host.run("staged")["reasons"] == []
    path.write_text("keyData: other\n")
    assert host.run("staged")["reasons"] == [f"{path} differs from the credential of the process"]


def test_record_without_groups_is_read(host: Host) -> None:
    host.deploy()
    path = host.root / "fileset/record.json"
    written = json.loads(path.read_text())
    for members in (written["live"], written["staged"]):
        for member in members["members"]:
            del member["group"]
    path.write_text(json.dumps(written))
    assert {item.group for item in host.fileset.staged_items()} == {"root"}

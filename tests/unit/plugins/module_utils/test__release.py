"""The staged, live and previous sets, on real files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _files, _release, _systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._release import Item, Release, ReleaseError

UNIT = "[Service]\nEnvironment=KUBE_HA_DIGEST=@digest@\n"


class FakeSystemd(_systemd.Systemd):
    """A unit that is started from whatever lies live."""

    def __init__(self, unit: Path) -> None:
        self.unit = unit
        self.did: list[str] = []
        self.state = {
            "LoadState": "not-found",
            "ActiveState": "inactive",
            "UnitFileState": "",
            "NeedDaemonReload": "no",
        }
        self.state["FragmentPath"] = ""

    def show(self, unit: str) -> dict[str, str]:
        return {**self.state, "MainPID": "1" if self.state["ActiveState"] == "active" else "0"}

    def version(self) -> int:
        return 0

    def reload(self) -> None:
        self.did.append("reload")
        self.state["LoadState"] = "loaded" if self.unit.exists() else "not-found"
        self.state["FragmentPath"] = str(self.unit) if self.unit.exists() else ""

    def enable(self, unit: str) -> None:
        self.did.append("enable")
        self.state["UnitFileState"] = "enabled"

    def restart(self, unit: str) -> None:
        self.did.append("restart")
        self.state["ActiveState"] = "active"

    def disable(self, unit: str) -> None:
        self.did.append("disable")
        self.state.update(ActiveState="inactive", UnitFileState="disabled")


class FakeModule:
    check_mode = False

    def __init__(self, **params: Any) -> None:
        self.params: dict[str, Any] = {"unit": "x.service", "binaries": [], "command": [], "user": "root", **params}

    def warn(self, warning: str) -> None:
        raise AssertionError(warning)


class Host:
    """A set of four files under a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin, self.etc = root / "bin", root / "etc"
        self.bin.mkdir()
        (self.bin / "app-v1").write_text("binary 1")
        self.config = "a: 1\n"
        self.link = "app-v1"
        self.systemd = FakeSystemd(root / "units" / "x.service")

    @property
    def files(self) -> list[dict[str, Any]]:
        empty = {"content": None, "link_to": None, "mode": "0644", "digest": "content"}
        return [
            {**empty, "name": "binary", "path": str(self.bin / "app"), "link_to": self.link},
            {**empty, "name": "key", "path": str(self.etc / "key.pem")},
            {**empty, "name": "config", "path": str(self.etc / "app.yaml"), "content": self.config},
            {**empty, "name": "unit", "path": str(self.systemd.unit), "content": UNIT},
        ]

    def run(self, state: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
        module = FakeModule(state=state, path=str(self.root / "release"), files=self.files, **params)
        module.check_mode = check
        return _release.run(module, self.systemd)

    @property
    def release(self) -> Release:
        return Release(str(self.root / "release"), _release.items_of(self.files))

    def stage_key(self, content: str) -> None:
        _files.write(str(self.root / "release/staged/key"), content.encode())

    def tree(self) -> dict[str, str]:
        return {
            str(p.relative_to(self.root)): os.readlink(p) if p.is_symlink() else p.read_text()
            for p in sorted(self.root.rglob("*"))
            if not p.is_dir()
        }


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)

    def environment(pid: int) -> dict[str, str]:
        # The process that "runs" was started from the live unit of the last restart.
        return {"KUBE_HA_DIGEST": host.started} if pid else {}  # type: ignore[attr-defined]

    def restart(unit: str) -> None:
        FakeSystemd.restart(host.systemd, unit)
        host.started = host.systemd.unit.read_text().split("DIGEST=")[1].strip()  # type: ignore[attr-defined]

    monkeypatch.setattr(_systemd, "environment_of", environment)
    monkeypatch.setattr(host.systemd, "restart", restart)
    return host


def deploy(host: Host) -> None:
    host.run("prepared")
    host.stage_key("secret 1")
    host.run("staged")
    host.run("live")


def test_nothing_live_before_promotion(host: Host) -> None:
    host.run("prepared")
    host.stage_key("secret 1")
    result = host.run("staged")
    assert result["changed"]
    assert result["pending"] == ["binary", "config", "key", "unit", "process"]
    assert not host.etc.exists()
    assert host.systemd.did == []


def test_live_is_the_staged_set_and_a_second_run_does_nothing(host: Host) -> None:
    deploy(host)
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
def test_every_change_is_pending_and_restarts(host: Host, what: str) -> None:
    deploy(host)
    host.systemd.did.clear()
    if what == "config":
        host.config = "a: 2\n"
    elif what == "key":
        host.stage_key("secret 2")
    elif what == "link":
        (host.bin / "app-v2").write_text("binary 2")
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


def test_the_digest_of_a_path_does_not_follow_the_content(host: Host) -> None:
    deploy(host)
    items = [Item("key", str(host.etc / "key.pem"), digest="path")]
    before = Release(str(host.root / "release"), items).digest()
    host.stage_key("secret 2")
    assert Release(str(host.root / "release"), items).digest() == before


def test_the_digest_follows_the_binary_that_was_verified(host: Host) -> None:
    deploy(host)
    before = host.run("staged")["digest"]
    assert host.run("staged", binaries=[str(host.bin / "app-v1")])["digest"] != before


def test_previous_is_the_whole_former_set(host: Host) -> None:
    deploy(host)
    host.config = "a: 2\n"
    host.run("staged")
    host.run("live")
    previous = host.root / "release/previous"
    assert (previous / "config").read_text() == "a: 1\n"
    assert (previous / "key").read_text() == "secret 1"
    assert os.readlink(previous / "binary") == "app-v1"
    assert stat.S_IMODE(previous.stat().st_mode) == 0o700
    assert stat.S_IMODE((previous / "key").stat().st_mode) == 0o600


def test_a_promotion_that_was_cut_off_keeps_what_ran_before(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(host)
    host.config = "a: 2\n"
    host.stage_key("secret 2")
    host.run("staged")
    copied: list[str] = []
    copy = _release._copy

    def cut(source: str, path: str) -> None:
        if path == str(host.etc / "app.yaml"):
            raise KeyboardInterrupt
        copied.append(path)
        copy(source, path)

    monkeypatch.setattr(_release, "_copy", cut)
    with pytest.raises(KeyboardInterrupt):
        host.run("live")
    assert str(host.etc / "key.pem") in copied
    monkeypatch.setattr(_release, "_copy", copy)
    host.run("prepared")
    assert host.run("staged")["pending"]
    host.run("live")
    assert host.tree()["etc/key.pem"] == "secret 2"
    assert (host.root / "release/previous/key").read_text() == "secret 1"
    assert (host.root / "release/previous/config").read_text() == "a: 1\n"
    assert host.run("staged")["pending"] == []


def test_a_live_file_that_was_changed_by_hand_is_taken_up_again(host: Host) -> None:
    deploy(host)
    (host.etc / "key.pem").write_text("by hand")
    assert host.release.stale() == ["key"]
    assert host.run("prepared", check=True)["changed"]
    host.run("prepared")
    assert host.tree()["release/staged/key"] == "by hand"
    assert host.release.stale() == []


def test_a_staged_file_that_waits_is_not_lost(host: Host) -> None:
    deploy(host)
    host.stage_key("secret 2")
    assert host.run("prepared")["changed"] is False
    assert host.tree()["release/staged/key"] == "secret 2"


def test_check_mode_changes_nothing_and_predicts(host: Host) -> None:
    before = host.tree()
    for state in ("prepared", "staged", "live"):
        assert host.run(state, check=True)["changed"], state
    assert host.tree() == before
    deploy(host)
    before = host.tree()
    host.config = "a: 2\n"
    result = host.run("staged", check=True)
    assert result["changed"]
    assert result["pending"] == ["config", "unit", "process"]
    assert host.tree() == before


def test_an_incomplete_set_is_not_promoted(host: Host) -> None:
    host.run("prepared")
    host.run("staged")
    with pytest.raises(ReleaseError, match=r"staged lacks key: run the earlier phases first"):
        host.run("live")
    assert not host.etc.exists()


def test_absent_removes_what_was_promoted_and_nothing_else(host: Host) -> None:
    host.etc.mkdir()
    (host.etc / "ca.pem").write_text("others'")
    deploy(host)
    host.run("staged", binaries=[str(host.bin / "app-v1")])
    assert host.run("absent", check=True)["changed"]
    assert (host.etc / "key.pem").exists()
    host.run("absent")
    assert host.tree() == {"etc/ca.pem": "others'"}
    assert not host.systemd.unit.parent.exists()
    assert host.run("absent")["changed"] is False


def test_absent_finds_what_lay_elsewhere_once(host: Host) -> None:
    deploy(host)
    former, host.etc = host.etc, host.root / "elsewhere"
    host.run("prepared")
    host.run("staged")
    host.run("live")
    assert (host.etc / "key.pem").exists()
    host.run("absent")
    assert not former.exists()
    assert not host.etc.exists()


def test_absent_leaves_a_unit_that_is_not_ours(host: Host) -> None:
    host.systemd.unit.parent.mkdir()
    host.systemd.unit.write_text("[Service]\n")
    host.systemd.reload()
    assert host.run("absent")["changed"] is False
    assert host.systemd.unit.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"content": "x", "link_to": "y"}, "files: 'binary' has content and link_to: give one of them"),
        ({"mode": "rw"}, "files: mode 'rw' of 'binary' is not octal: write it like '0644'"),
    ],
)
def test_wrong_files(host: Host, change: dict[str, str], words: str) -> None:
    with pytest.raises(ReleaseError) as error:
        _release.items_of([{**host.files[0], **change}])
    assert str(error.value) == words


def test_a_record_that_is_not_ours(host: Host) -> None:
    deploy(host)
    (host.root / "release/record.json").write_text("[]")
    with pytest.raises(ReleaseError, match=r"record\.json is not the record that this collection wrote"):
        host.run("staged")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            'I1 x\nE1121 10:00:00.000000 1 run.go:72] "command failed" err="unknown flag: --x"\n',
            '"command failed" err="unknown flag: --x"',
        ),
        ("Error: unknown flag: --x\n", "Error: unknown flag: --x"),
        ("", "it said nothing"),
    ],
)
def test_the_reason_of_a_refusal(output: str, reason: str) -> None:
    assert _release._reason(output) == reason


def test_the_diff_shows_texts_only(host: Host) -> None:
    deploy(host)
    host.stage_key("secret 2")
    host.config = "a: 2\n"
    diff = host.run("staged", check=True)["diff"]
    assert [d["before_header"] for d in diff] == [str(host.etc / "app.yaml"), str(host.systemd.unit)]
    assert (diff[0]["before"], diff[0]["after"]) == ("a: 1\n", "a: 2\n")
    assert "secret" not in str(diff)
    host.run("staged")
    assert host.run("staged")["diff"] == []


def test_the_binary_is_asked_beside_the_running_one(tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    class Fake:
        def version(self) -> int:
            return 252

        def run_with_credentials(
            self, name: str, user: str, credentials: dict[str, str], command: list[str]
        ) -> tuple[int, str]:
            asked.update(user=user, command=command, config=Path(credentials["config"]).read_text())
            return 0, ""

    (tmp_path / "root/staged").mkdir(parents=True)
    config = _release.Item("config", "/etc/x.yaml", content="at: 127.0.0.1:10251\nagain: 127.0.0.1:10251\n")
    binary = _release.Item("binary", "/opt/bin/x", link_to="x-v1")
    release = _release.Release(str(tmp_path / "root"), [binary, config])
    (tmp_path / "root/staged/config").write_text(config.content or "")
    params = {
        "unit": "x.service",
        "user": "k8s",
        "command": ["/opt/bin/x", "--config=/etc/x.yaml", "--secure-port=10259", "--secure-portal=1"],
        "ask": {"secure-port": "@port@", "port": "0"},
        "ask_texts": {"127.0.0.1:10251": "127.0.0.1:@port@"},
    }
    assert _release._ask(release, cast(Any, Fake()), params, "digest") is True
    program, *flags, last = asked["command"]
    assert (program, last, asked["user"]) == ("/opt/bin/x-v1", "--write-config-to=/dev/null", "k8s")
    given = dict(flag.split("=", 1) for flag in flags)
    assert given["--config"].startswith("/run/credentials/kube-ha-ask-")
    assert given["--secure-port"] not in ("10259", "@port@")
    assert (given["--port"], given["--secure-portal"]) == ("0", "1")
    first, second = (line.split(": ")[1] for line in asked["config"].splitlines())
    assert first == second != "127.0.0.1:10251"
    assert list((tmp_path / "root/staged").iterdir()) == [tmp_path / "root/staged/config"]

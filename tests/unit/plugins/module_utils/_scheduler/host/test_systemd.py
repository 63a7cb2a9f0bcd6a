"""What systemctl and its kin are run with, and what is made of their words."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import SystemdError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd

from tests.support.host import FakeProc


class Runner:
    """Answers every command alike, and remembers it."""

    def __init__(self, code: int = 0, out: str = "", err: str = "") -> None:
        self.answer = (code, out, err)
        self.ran: list[list[str]] = []

    def __call__(self, words: list[str]) -> tuple[int, str, str]:
        self.ran.append(words)
        return self.answer


def test_show() -> None:
    assert systemd.parse_show("MainPID=7\nEnvironment=A=b\n\n") == {
        "MainPID": "7",
        "Environment": "A=b",
    }


@pytest.mark.parametrize(
    ("text", "pid"), [("7", 7), ("", 0), ("-1", 0), ("seven", 0), ("\u0667", 0), ("99999999999", 0)]
)
def test_a_number_of_systemd(text: str, pid: int) -> None:
    assert systemd.main_pid({"MainPID": text}) == pid
    assert systemd.main_pid({}) == 0


def test_a_transient_service_gets_its_arguments_as_they_are() -> None:
    run = Runner()
    systemd.Systemd(run).run_with_credentials("x.service", "k8s", {}, ["/bin/x", "--a=${HOME} %h"])
    assert run.ran[0][-2:] == ["/bin/x", "--a=$${HOME} %h"]


def test_every_call_has_a_time_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(systemd, "BOOTED", str(tmp_path))
    run = Runner(out="systemd 252 (252.39)\n")
    manager = systemd.Systemd(run)
    assert manager.version() == 252
    manager.show("x")
    manager.reload()
    manager.enable("x")
    manager.restart("x")
    manager.disable("x")
    manager.journal("x", 3)
    manager.has_logged("x", "words", 7.5)
    manager.run_with_credentials("x", "k8s", {"a": "/b"}, ["c"])
    assert len(run.ran) == 9
    for words in run.ran:
        assert words[:3] == ["timeout", "-k", "5"], words
        assert 0 < int(words[3]) <= 300


def test_what_a_unit_has_said() -> None:
    run = Runner(out="Certificate rotation detected, shutting down client connections\n")
    assert systemd.Systemd(run).has_logged(
        "x.service", "certificate rotation detected", 1_800_000_000.25
    )
    assert {
        "--unit=x.service",
        "--since=@1800000000.250",
        "--grep=certificate rotation detected",
    } <= set(run.ran[0])
    assert not systemd.Systemd(Runner(out="")).has_logged(
        "x.service", "certificate rotation detected", 0.0
    )


def test_a_unit_is_no_option() -> None:
    run = Runner()
    manager = systemd.Systemd(run)
    for call in (manager.show, manager.enable, manager.restart, manager.disable):
        call("--version")
    assert {tuple(words[-2:]) for words in run.ran} == {("--", "--version")}


def test_failures_are_one_line() -> None:
    with pytest.raises(
        SystemdError, match=r"^systemctl restart failed: no such unit; run journalctl -u x$"
    ):
        systemd.Systemd(Runner(1, err="no such unit\nand more\n")).restart("x")
    with pytest.raises(SystemdError, match="systemctl restart failed: no result within 300 s"):
        systemd.Systemd(Runner(124)).restart("x")


def test_a_host_without_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(systemd, "BOOTED", str(tmp_path / "nothing"))
    assert systemd.Systemd(Runner(out="systemd 252\n")).version() == 0
    monkeypatch.setattr(systemd, "BOOTED", str(tmp_path))
    assert systemd.Systemd(Runner(127, err="timeout: no systemctl\n")).version() == 0


def test_only_drop_ins_of_the_unit_itself() -> None:
    shown = {
        "DropInPaths": "/usr/lib/systemd/system/service.d/10-x.conf /etc/systemd/system/x.service.d/y.conf"
    }
    assert systemd.drop_ins(shown, "x.service") == ["/etc/systemd/system/x.service.d/y.conf"]
    assert systemd.drop_ins({}, "x.service") == []


def test_the_hosts_own_view_of_a_credential_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may arrange its own view as it likes."""
    proc = FakeProc(tmp_path / "proc")
    folder = tmp_path / "credentials"
    monkeypatch.setattr(names, "CREDENTIALS_DIR", str(folder))
    theirs = proc.place(7) / "root" / str(folder).lstrip("/") / "x.service"
    assert systemd.credential_path(proc, 7, "x.service", "key") is None
    theirs.mkdir(parents=True)
    (theirs / "key").write_text("theirs")
    assert Path(systemd.credential_path(proc, 7, "x.service", "key") or "").read_text() == "theirs"
    (folder / "x.service").mkdir(parents=True)
    (folder / "x.service/key").write_text("ours")
    assert Path(systemd.credential_path(proc, 7, "x.service", "key") or "").read_text() == "ours"

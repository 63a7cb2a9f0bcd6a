"""Test the commands for systemd, and the parsing of the output."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import SystemdError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd

from tests.support.host import FakeProc


class Runner:
    """Record each command, and return the same output for all commands."""

    def __init__(self, code: int = 0, out: str = "", err: str = "") -> None:
        self.output = (code, out, err)
        self.ran: list[list[str]] = []

    def __call__(self, words: list[str]) -> tuple[int, str, str]:
        self.ran.append(words)
        return self.output


def test_show_output_becomes_a_mapping() -> None:
    assert systemd.parse_show("MainPID=7\nEnvironment=A=b\n\n") == {
        "MainPID": "7",
        "Environment": "A=b",
    }


@pytest.mark.parametrize(
    ("text", "pid"), [("7", 7), ("", 0), ("-1", 0), ("seven", 0), ("\u0667", 0), ("99999999999", 0)]
)
def test_main_pid_of_an_invalid_number_is_zero(text: str, pid: int) -> None:
    assert systemd.main_pid({"MainPID": text}) == pid
    assert systemd.main_pid({}) == 0


def fake_systemd_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> systemd.Systemd:
    """Return a service manager whose systemd-run is a shell script."""
    program = tmp_path / "systemd-run"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return systemd.Systemd(Runner())


def test_transient_service_receives_arguments_unexpanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = fake_systemd_run(tmp_path, monkeypatch, 'printf "%s\\n" "$@"; echo x >&2; exit 3')
    code, output = manager.run_with_credentials(
        "x.service", "k8s", {"a": "/b"}, ["/bin/x", "--a=${HOME} %h"]
    )
    assert code == 3
    assert output.splitlines()[-3:] == ["/bin/x", "--a=$${HOME} %h", "x"]
    assert "--property=LoadCredential=a:/b" in output


def test_endless_output_of_a_transient_service_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "x" * 60
    manager = fake_systemd_run(tmp_path, monkeypatch, f"while :; do echo {line}; done")
    code, output = manager.run_with_credentials("x.service", "k8s", {}, ["/bin/x"])
    assert code != 0
    assert systemd.MAX_RUN_BYTES <= len(output) < systemd.MAX_RUN_BYTES + 200
    assert output.splitlines()[-1] == "Error: more than 1 MiB of output, or no end within 70 s"


def test_transient_service_that_does_not_end_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "RUN_WALL_S", 0.5)
    # The second program closes its output, and then does not end.
    for text in ("echo begun; exec sleep 60", "echo begun; exec >&- 2>&-; exec sleep 60"):
        manager = fake_systemd_run(tmp_path, monkeypatch, text)
        began = time.monotonic()
        code, output = manager.run_with_credentials("x.service", "k8s", {}, ["/bin/x"])
        assert code != 0
        assert output.splitlines()[0] == "begun"
        assert time.monotonic() - began < 10


def test_host_without_systemd_run_runs_no_transient_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemdError, match="cannot run systemd-run"):
        systemd.Systemd(Runner()).run_with_credentials("x.service", "k8s", {}, ["/bin/x"])


def test_every_call_has_a_timeout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
    assert len(run.ran) == 8
    for words in run.ran:
        assert words[:3] == ["timeout", "-k", "5"], words
        assert 0 < int(words[3]) <= 300


def test_endless_journal_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service user can write an entry of hundreds of MiB."""
    program = tmp_path / "journalctl"
    program.write_text(
        "#!/bin/sh\nwhile :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def run(words: list[str]) -> tuple[int, str, str]:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    lines = systemd.Systemd(run).journal("x.service", 20)
    assert sum(map(len, lines)) <= systemd.MAX_JOURNAL_BYTES
    assert len(lines) > 1000


def test_has_logged_searches_the_journal_since_a_time() -> None:
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


def test_unit_name_is_not_parsed_as_an_option() -> None:
    run = Runner()
    manager = systemd.Systemd(run)
    for call in (manager.show, manager.enable, manager.restart, manager.disable):
        call("--version")
    assert {tuple(words[-2:]) for words in run.ran} == {("--", "--version")}


def test_failures_are_reported_in_one_line() -> None:
    with pytest.raises(
        SystemdError, match=r"^systemctl restart failed: no such unit; run journalctl -u x$"
    ):
        systemd.Systemd(Runner(1, err="no such unit\nand more\n")).restart("x")
    with pytest.raises(SystemdError, match="systemctl restart failed: no result within 300 s"):
        systemd.Systemd(Runner(124)).restart("x")


def test_host_without_systemd_has_version_zero(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(systemd, "BOOTED", str(tmp_path / "nothing"))
    assert systemd.Systemd(Runner(out="systemd 252\n")).version() == 0
    monkeypatch.setattr(systemd, "BOOTED", str(tmp_path))
    assert systemd.Systemd(Runner(127, err="timeout: no systemctl\n")).version() == 0


def test_drop_ins_of_all_services_are_ignored() -> None:
    properties = {
        "DropInPaths": "/usr/lib/systemd/system/service.d/10-x.conf /etc/systemd/system/x.service.d/y.conf"
    }
    assert systemd.drop_ins(properties, "x.service") == ["/etc/systemd/system/x.service.d/y.conf"]
    assert systemd.drop_ins({}, "x.service") == []


def test_credential_is_read_in_the_host_view_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process can change its own mounts, so the path on the host comes first."""
    proc = FakeProc(tmp_path / "proc")
    directory = tmp_path / "credentials"
    monkeypatch.setattr(names, "CREDENTIALS_DIR", str(directory))
    process_view = proc.place(7) / "root" / str(directory).lstrip("/") / "x.service"
    assert systemd.read_credential(proc, 7, "x.service", "key") is None
    process_view.mkdir(parents=True)
    (process_view / "key").write_text("process")
    assert systemd.read_credential(proc, 7, "x.service", "key") == b"process"
    (directory / "x.service").mkdir(parents=True)
    (directory / "x.service/key").write_text("host")
    assert systemd.read_credential(proc, 7, "x.service", "key") == b"host"


def test_journal_has_no_secret() -> None:
    run = Runner(out='1 config="keyData: marker"\n2 started\n')
    assert systemd.Systemd(run).journal("x", 3) == ['1 config="keyData: (withheld)"', "2 started"]

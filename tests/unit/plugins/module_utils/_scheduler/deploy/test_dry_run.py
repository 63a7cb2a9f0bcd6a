"""Test the dry run of the staged set. A dry run does not change the live set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import dry_run
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)

from tests.support.host import Host


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            'I1 x\nE1121 10:00:00.000000 1 run.go:72] "command failed" err="unknown flag: --x"\n',
            '"command failed" err="unknown flag: --x"',
        ),
        ("Error: unknown flag: --x\n", "Error: unknown flag: --x"),
        ("", "no output"),
    ],
)
def test_failure_reason_is_the_last_error_line(output: str, reason: str) -> None:
    assert dry_run.failure_reason(output) == reason


def test_dry_run_uses_staged_files_and_replaced_flags(tmp_path: Path) -> None:
    call: dict[str, Any] = {}

    class Fake:
        def version(self) -> int:
            return 252

        def run_with_credentials(
            self, name: str, user: str, credentials: dict[str, str], command: list[str]
        ) -> tuple[int, str]:
            call.update(user=user, command=command, config=Path(credentials["config"]).read_text())
            return 0, ""

    (tmp_path / "root/staged").mkdir(parents=True)
    config = Item("config", "/etc/x.yaml", content="at: 127.0.0.1:10251\nagain: 127.0.0.1:10251\n")
    binary = Item("binary", "/opt/bin/x", link_to="x-v1")
    fileset = Fileset(str(tmp_path / "root"), [binary, config])
    (tmp_path / "root/staged/config").write_text(config.content or "")
    params = {
        "user": "k8s",
        "command": [
            "/opt/bin/x",
            "--config=/etc/x.yaml",
            "--secure-port=10259",
            "--secure-portal=1",
        ],
        "dry_run_flags": {"secure-port": "@port@", "port": "0"},
        "dry_run_texts": {"127.0.0.1:10251": "127.0.0.1:@port@"},
        "secrets": None,
    }
    assert (
        dry_run.check_staged_set(fileset, cast(Any, Fake()), params, "x.service", "digest") is True
    )
    program, *flags, last = call["command"]
    assert (program, last, call["user"]) == ("/opt/bin/x-v1", "--write-config-to=/dev/null", "k8s")
    options = dict(flag.split("=", 1) for flag in flags)
    assert options["--config"].startswith("/run/credentials/kube-ha-dry-run-")
    assert options["--secure-port"] not in ("10259", "@port@")
    assert (options["--port"], options["--secure-portal"]) == ("0", "1")
    first, second = (line.split(": ")[1] for line in call["config"].splitlines())
    assert first == second != "127.0.0.1:10251"
    assert list((tmp_path / "root/staged").iterdir()) == [tmp_path / "root/staged/config"]


class RecordingSystemd:
    """Provide a fake systemd whose transient services exit with a given code."""

    def __init__(self, version: int = 252, code: int = 0) -> None:
        self.number, self.code = version, code
        self.output = "Error: unknown flag: --x\n"
        self.runs: list[list[str]] = []

    def version(self) -> int:
        return self.number

    def run_with_credentials(self, *words: Any) -> tuple[int, str]:
        self.runs.append(words[3])
        return self.code, self.output


def check(
    host: Host, systemd: RecordingSystemd, digest: str = "digest", secrets: Any = None
) -> bool | None:
    params = {
        "user": "k8s",
        "command": ["/bin/app", "--x=1"],
        "dry_run_flags": {},
        "dry_run_texts": {},
        "secrets": secrets,
    }
    return dry_run.check_staged_set(host.fileset, cast(Any, systemd), params, "x.service", digest)


def test_set_that_passed_is_not_checked_again(tmp_path: Path) -> None:
    host, systemd = Host(tmp_path), RecordingSystemd()
    host.deploy()
    assert [check(host, systemd), check(host, systemd), check(host, systemd, "other")] == [True] * 3
    assert len(systemd.runs) == 2


def test_old_systemd_has_no_dry_run(tmp_path: Path) -> None:
    host, systemd = Host(tmp_path), RecordingSystemd(version=246)
    host.deploy()
    assert check(host, systemd) is None
    assert systemd.runs == []


def test_rejected_set_is_reported_and_leaves_no_copies(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    host.config = f"path: {host.etc / 'app.yaml'}\n"
    host.run("staged")
    leftover = host.root / "fileset/staged/key.dry-run"
    leftover.write_text("of an interrupted run")
    with pytest.raises(
        FilesetError, match=r"app-v1 rejects the staged flags or configuration.*unknown flag: --x"
    ):
        check(host, RecordingSystemd(code=1))
    assert sorted(path.name for path in leftover.parent.iterdir()) == [
        "binary",
        "config",
        "key",
        "unit",
    ]


def test_reason_of_a_rejected_set_has_no_secret(tmp_path: Path) -> None:
    host, systemd = Host(tmp_path), RecordingSystemd(code=1)
    host.deploy()
    systemd.output = 'Error: invalid value "marker-1", token: marker-2\n'
    with pytest.raises(FilesetError) as error:
        check(host, systemd, secrets={"contents": {}, "values": ["marker-1"]})
    assert 'invalid value "(withheld)", token: (withheld)' in str(error.value)

"""The staged set is tried beside the running one, with nothing live touched."""

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
def test_the_reason_of_a_refusal(output: str, reason: str) -> None:
    assert dry_run.failure_reason(output) == reason


def test_the_binary_is_tried_beside_the_running_one(tmp_path: Path) -> None:
    told: dict[str, Any] = {}

    class Fake:
        def version(self) -> int:
            return 252

        def run_with_credentials(
            self, name: str, user: str, credentials: dict[str, str], command: list[str]
        ) -> tuple[int, str]:
            told.update(user=user, command=command, config=Path(credentials["config"]).read_text())
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
    }
    assert (
        dry_run.check_staged_set(fileset, cast(Any, Fake()), params, "x.service", "digest") is True
    )
    program, *flags, last = told["command"]
    assert (program, last, told["user"]) == ("/opt/bin/x-v1", "--write-config-to=/dev/null", "k8s")
    given = dict(flag.split("=", 1) for flag in flags)
    assert given["--config"].startswith("/run/credentials/kube-ha-dry-run-")
    assert given["--secure-port"] not in ("10259", "@port@")
    assert (given["--port"], given["--secure-portal"]) == ("0", "1")
    first, second = (line.split(": ")[1] for line in told["config"].splitlines())
    assert first == second != "127.0.0.1:10251"
    assert list((tmp_path / "root/staged").iterdir()) == [tmp_path / "root/staged/config"]


class Tried:
    """A systemd whose transient services end with an exit code."""

    def __init__(self, version: int = 252, code: int = 0) -> None:
        self.number, self.code = version, code
        self.runs: list[list[str]] = []

    def version(self) -> int:
        return self.number

    def run_with_credentials(self, *words: Any) -> tuple[int, str]:
        self.runs.append(words[3])
        return self.code, "Error: unknown flag: --x\n"


def try_out(host: Host, systemd: Tried, digest: str = "digest") -> bool | None:
    params = {
        "user": "k8s",
        "command": ["/bin/app", "--x=1"],
        "dry_run_flags": {},
        "dry_run_texts": {},
    }
    return dry_run.check_staged_set(host.fileset, cast(Any, systemd), params, "x.service", digest)


def test_a_set_that_has_passed_is_not_tried_again(tmp_path: Path) -> None:
    host, systemd = Host(tmp_path), Tried()
    host.deploy()
    assert [try_out(host, systemd), try_out(host, systemd), try_out(host, systemd, "other")] == [
        True
    ] * 3
    assert len(systemd.runs) == 2


def test_an_old_systemd_cannot_try(tmp_path: Path) -> None:
    host, systemd = Host(tmp_path), Tried(version=246)
    host.deploy()
    assert try_out(host, systemd) is None
    assert systemd.runs == []


def test_a_refusal_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.deploy()
    host.config = f"path: {host.etc / 'app.yaml'}\n"
    host.run("staged")
    left = host.root / "fileset/staged/key.dry-run"
    left.write_text("of a run that was cut off")
    with pytest.raises(
        FilesetError, match=r"app-v1 rejects the staged flags or configuration.*unknown flag: --x"
    ):
        try_out(host, Tried(code=1))
    assert sorted(path.name for path in left.parent.iterdir()) == [
        "binary",
        "config",
        "key",
        "unit",
    ]

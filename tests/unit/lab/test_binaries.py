# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import binaries
import pytest
from build import Build, CannotBuildError
from settings import Settings
from shell import LabError

COMMANDS = ("kube-apiserver", "kubectl", "kube-scheduler")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a local release site. Return its directory and its address."""
    folder = tmp_path / "site"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def fill(root: Path, settings: Settings, content: str, *commands: str) -> None:
    for command in commands:
        path = binaries.place(root, settings, settings.version, command)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content} {command}")
        for kind in binaries.DIGESTS:
            path.with_name(f"{command}.{kind}").write_text(
                hashlib.new(kind, path.read_bytes()).hexdigest()
            )


def contents(paths: list[Path]) -> list[str]:
    for path in paths:
        for kind in binaries.DIGESTS:
            assert (
                path.with_name(f"{path.name}.{kind}").read_text()
                == hashlib.new(kind, path.read_bytes()).hexdigest()
            )
        assert path.stat().st_mode & 0o777 == 0o755
    return [path.read_text() for path in paths]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Replace the Go build and return the list of its recorded commands."""
    requested: list[str] = []

    def run(build: Build) -> None:
        for command in build.commands:
            requested.append(command)
            path = tmp_path / "built"
            path.write_text(f"built {command}")
            build.keep(command, path)

    monkeypatch.setattr(Build, "run", run)
    return requested


def test_binaries_are_downloaded_once(
    settings: Settings, site: tuple[Path, str], builds: list[str]
) -> None:
    folder, url = site
    fill(folder / "release", settings, "site", *COMMANDS)
    online = dataclasses.replace(settings, binary_url=url)
    assert contents(binaries.ensure(online)) == [f"site {command}" for command in COMMANDS]
    offline = dataclasses.replace(settings, binary_url="http://127.0.0.1:9")
    assert contents(binaries.ensure(offline)) == [f"site {command}" for command in COMMANDS]
    assert builds == []


def test_binaries_that_the_site_lacks_are_built(
    settings: Settings, site: tuple[Path, str], builds: list[str]
) -> None:
    folder, url = site
    fill(folder / "release", settings, "site", "kubectl")
    paths = binaries.ensure(dataclasses.replace(settings, binary_url=url))
    assert contents(paths) == ["built kube-apiserver", "site kubectl", "built kube-scheduler"]
    assert builds == ["kube-apiserver", "kube-scheduler"]


@pytest.mark.parametrize("kind", binaries.DIGESTS)
def test_download_with_a_wrong_checksum_is_rejected(
    settings: Settings, site: tuple[Path, str], builds: list[str], kind: str
) -> None:
    folder, url = site
    fill(folder / "release", settings, "site", *COMMANDS)
    bad = binaries.place(folder / "release", settings, settings.version, "kubectl")
    bad.with_name(f"kubectl.{kind}").write_text("0" * 64)
    with pytest.raises(LabError, match=f"kubectl does not match its {kind}"):
        binaries.ensure(dataclasses.replace(settings, binary_url=url))
    assert not binaries.place(settings.served, settings, settings.version, "kubectl").exists()
    assert builds == []


def test_download_without_network_fails_once(
    settings: Settings, builds: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = binaries.ensure(dataclasses.replace(settings, binary_url="http://127.0.0.1:9"))
    assert contents(paths) == [f"built {command}" for command in COMMANDS]
    assert builds == list(COMMANDS)
    assert "Connection refused" in capsys.readouterr().out


def test_local_directory_has_priority_and_is_served_separately(
    settings: Settings, builds: list[str], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    fill(settings.cache / "release", settings, "cache", *COMMANDS)
    fill(own, settings, "own", "kube-scheduler")
    named = dataclasses.replace(settings, binaries=own)
    assert [path.read_text() for path in binaries.ensure(named)] == [
        "cache kube-apiserver",
        "cache kubectl",
        "own kube-scheduler",
    ]
    assert [path.read_text() for path in binaries.ensure(settings)] == [
        f"cache {command}" for command in COMMANDS
    ]
    fill(own, settings, "newer", "kube-scheduler")
    assert binaries.ensure(named)[2].read_text() == "newer kube-scheduler"
    assert builds == []


def test_local_binary_with_a_wrong_checksum_is_rejected(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own"
    fill(own, settings, "own", *COMMANDS)
    binaries.place(own, settings, settings.version, "kubectl").write_text("another")
    with pytest.raises(LabError, match="does not match its sha256"):
        binaries.ensure(dataclasses.replace(settings, binaries=own))


def test_error_names_the_two_remedies(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_build: Build) -> None:
        raise CannotBuildError("PATH contains no Go")

    monkeypatch.setattr(Build, "run", run)
    with pytest.raises(LabError) as caught:
        binaries.ensure(dataclasses.replace(settings, binary_url="http://127.0.0.1:9"))
    text = str(caught.value)
    assert "\n" not in text
    assert all(
        word in text
        for word in ("no Go", "LAB_BINARIES", "LAB_BINARY_URL", "kube-apiserver", settings.version)
    )

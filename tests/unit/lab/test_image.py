# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import image
import pytest
from shell import LabError

KNOWN = (
    "http://mirror.example/debian Debian\n"
    "http://mirror.example/debian-security Debian-Security\n"
    "http://mirror.example/other Other\n"
)


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace apt with a function that returns these outputs in turn, and count the updates."""

    class Apt:
        answers: list[str]
        updates = 0

        def update(self, command: list[str], *_words: Any) -> None:
            assert command == ["apt-get", "update"]
            self.updates += 1

    known = Apt()
    monkeypatch.setattr(image, "output", lambda *_words, **_options: known.answers.pop(0))
    monkeypatch.setattr(image, "run", known.update)
    monkeypatch.setattr(image.shutil, "which", lambda name: f"/usr/bin/{name}")
    return known


def test_mirrors_are_those_of_apt(apt: Any, tmp_path: Path) -> None:
    apt.answers = [KNOWN]
    assert image.sources(image.host_mirrors(tmp_path / "log"), kind="deb-src").splitlines() == [
        f"deb-src [signed-by={image.KEYRING}] http://mirror.example/debian bookworm main",
        (
            f"deb-src [signed-by={image.KEYRING}] http://mirror.example/debian-security "
            "bookworm-security main"
        ),
    ]
    assert apt.updates == 0


def test_apt_that_was_never_updated_is_updated(apt: Any, tmp_path: Path) -> None:
    apt.answers = ["", KNOWN]
    assert image.host_mirrors(tmp_path / "log") == KNOWN
    assert apt.updates == 1


def test_apt_without_debian_is_rejected(apt: Any, tmp_path: Path) -> None:
    apt.answers = ["", ""]
    with pytest.raises(
        LabError, match=r"no source of Debian packages; add one to /etc/apt/sources\.list"
    ):
        image.host_mirrors(tmp_path / "log")


def test_machine_without_apt_is_rejected(
    apt: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(image.shutil, "which", lambda _name: None)
    with pytest.raises(LabError, match="run it on Debian"):
        image.host_mirrors(tmp_path / "log")


def test_sources_list_has_the_mirrors_of_apt() -> None:
    listed = (
        "http://mirror.example/debian/ Debian\nhttp://m/s/ Debian-Security\n"
        "http://z/ Debian Backports\nhttp://n/ X\n"
    )
    lines = image.sources(listed).splitlines()
    assert [line.split()[2:] for line in lines] == [
        ["http://m/s/", "bookworm-security", "main"],
        ["http://mirror.example/debian/", "bookworm", "main"],
    ]
    assert all(
        line.startswith("deb-src [") for line in image.sources(listed, kind="deb-src").splitlines()
    )


def test_image_name_depends_on_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.tag("bookworm")
    assert image.tag("bookworm") == before
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "vim"))
    assert image.tag("bookworm") != before


def test_each_release_has_a_separate_image() -> None:
    assert len({image.tag(suite) for suite in image.SUITES}) == len(image.SUITES)


def test_image_lacks_the_packages_that_the_role_installs() -> None:
    assert not set(image.OFFERED) & set(image.PACKAGES)

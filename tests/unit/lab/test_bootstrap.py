# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test which Python lab/bootstrap selects for a set of tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).parents[3] / "lab/bootstrap"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "sed", "basename"):
        (tmp_path / "bin" / tool).symlink_to(
            f"/bin/{tool}" if Path(f"/bin/{tool}").exists() else f"/usr/bin/{tool}"
        )
    return tmp_path


def place(path: Path, minor: int) -> str:
    """Create a fake Python that reports a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!/bin/bash\n[[ $2 =~ \\(3,\\ ([0-9]+)\\) ]] && (( {minor} >= BASH_REMATCH[1] ))\n"
    )
    path.chmod(0o755)
    return str(path)


def find(folder: Path, least: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    requirements = folder / "core-9.txt"
    requirements.write_text(
        f"# Tools.\n{f'# python >= {least}' if least else ''}\nansible-core==9\n"
    )
    return subprocess.run(
        [BOOTSTRAP, "--find", requirements],
        env={"PATH": str(folder / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_python3_in_path_comes_first(folder: Path) -> None:
    usual = place(folder / "bin/python3", 12)
    place(folder / "bin/python3.13", 13)
    assert find(folder, "3.12").stdout.strip() == find(folder).stdout.strip() == usual


def test_newer_python_is_found_by_its_name_in_path(folder: Path) -> None:
    place(folder / "bin/python3", 11)
    place(folder / "bin/python3.12", 0)  # like a shim of pyenv that starts no Python
    newer = place(folder / "bin/python3.13", 13)
    assert find(folder, "3.12").stdout.strip() == newer


def test_newer_python_is_found_in_pyenv(folder: Path) -> None:
    place(folder / "bin/python3", 11)
    place(folder / "pyenv/versions/3.9.1/bin/python3", 9)
    newer = place(folder / "pyenv/versions/3.13.0/bin/python3", 13)
    assert find(folder, "3.12", PYENV_ROOT=str(folder / "pyenv")).stdout.strip() == newer
    (folder / "bin/pyenv").write_text(f'#!/bin/bash\n[[ $1 = root ]] && echo "{folder}/pyenv"\n')
    (folder / "bin/pyenv").chmod(0o755)
    assert find(folder, "3.12").stdout.strip() == newer


def test_bootstrap_without_a_new_enough_python_fails(folder: Path) -> None:
    place(folder / "bin/python3", 11)
    done = find(folder, "3.12")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(
        "core-9 needs Python 3.12 or newer; install python3.12 in PATH or with pyenv"
    )
    place(folder / "bin/python3", 10)
    assert find(folder).stderr.startswith("core-9 needs Python 3.11 or newer")

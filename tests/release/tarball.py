# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the tarball of a release with its changelog: `python3 tests/release/tarball.py DIRECTORY`.

The script does not change the clone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PLACE = "ansible_collections/kube_ha/scheduler"


def copy(target: Path) -> None:
    """Copy the files that git tracks, with their current content."""
    shutil.rmtree(target, ignore_errors=True)
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, files.split("\0")):
        # The copy omits the link of the clone to itself, because ansible-test allows no link to a
        # directory.
        if not name.startswith(".collections/") and (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def main(directory: Path) -> None:
    tree = directory / "tree" / PLACE
    copy(tree)
    version = load(tree / "galaxy.yml")["version"]
    if version not in load(tree / "changelogs/changelog.yaml")["releases"]:
        # The commands are those of a real release, so that the script tests them.
        subprocess.run(
            ["antsibull-changelog", "release", "--version", version], cwd=tree, check=True
        )
    for old in directory.glob("*.tar.gz"):
        old.unlink()
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", directory, tree], check=True
    )
    shutil.rmtree(directory / "tree")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the tarball as it would be uploaded, with its changelog: `python3 tests/release/tarball.py FOLDER`. The clone is left as it is."""

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
    """The files that git knows, as they are now."""
    shutil.rmtree(target, ignore_errors=True)
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, files.split("\0")):
        # Not the link by which a clone finds itself: ansible-test allows no link to a folder.
        if not name.startswith(".collections/") and (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def load(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(path.read_text())
    return told


def main(folder: Path) -> None:
    tree = folder / "tree" / PLACE
    copy(tree)
    version = load(tree / "galaxy.yml")["version"]
    if version not in load(tree / "changelogs/changelog.yaml")["releases"]:
        # What cutting the release does; here, to see that it can be done.
        subprocess.run(
            ["antsibull-changelog", "release", "--version", version], cwd=tree, check=True
        )
    for old in folder.glob("*.tar.gz"):
        old.unlink()
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", folder, tree], check=True
    )
    shutil.rmtree(folder / "tree")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download packages of a newer Debian into the cache: `debs.py PACKAGE...`.

The packages are not installed. The script extracts their content below unpacked/. Tests use them,
because Prometheus of Debian 12 does not support scrape_config_files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import image
from settings import Settings, read
from shell import LabError, lock, run

SUITE = "trixie"


def ensure(settings: Settings, packages: list[str]) -> list[Path]:
    """Return the files of the packages, after a download if they are not in the cache."""
    directory = settings.cache / "debs" / f"{SUITE}-{settings.arch}"
    directory.mkdir(parents=True, exist_ok=True)
    with lock(settings.cache / "locks" / "debs.lock", "the packages"):
        missing = [package for package in packages if not list(directory.glob(f"{package}_*.deb"))]
        if missing:
            fetch(missing, directory, settings.logs / "debs.log")
    return [max(directory.glob(f"{package}_*.deb")) for package in packages]


def fetch(packages: list[str], directory: Path, log: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="kube-ha-debs-") as scratch:
        lists = Path(scratch, "lists/partial")
        lists.mkdir(parents=True)
        Path(scratch, "sources.list").write_text(
            image.sources(image.host_mirrors(log), suite=SUITE)
        )
        apt = [
            "apt-get",
            f"--option=Dir::Etc::SourceList={scratch}/sources.list",
            "--option=Dir::Etc::SourceParts=-",
            f"--option=Dir::State::Lists={scratch}/lists",
            "--option=Dir::Cache::pkgcache=",
            "--option=Dir::Cache::srcpkgcache=",
            "--option=APT::Sandbox::User=root",
        ]
        run([*apt, "update"], f"Reading the package lists of Debian {SUITE}", log)
        run([*apt, "download", *packages], f"Fetching {' '.join(packages)}", log, cwd=directory)
        for package in packages:
            package_file = max(directory.glob(f"{package}_*.deb"))
            run(
                ["dpkg-deb", "--extract", str(package_file), str(directory / "unpacked")],
                f"Unpacking {package_file.name}",
                log,
            )


if __name__ == "__main__":
    try:
        settings = read(os.environ, Path(__file__).resolve().parent.parent)
        print("\n".join(map(str, ensure(settings, sys.argv[1:]))))
    except LabError as error:
        sys.exit(f"debs.py: {error}")

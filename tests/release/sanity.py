# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test sanity on the tarball and the repository.

Usage: `python3 tests/release/sanity.py TARBALL VENV...`. Each VENV has another ansible-core.
ansible-test needs a directory `ansible_collections/NAMESPACE/NAME`, so that both trees are copied
below .cache/sanity, which also keeps its virtual environments. ansible-test downloads pip from a
separate site. The pip of Python replaces it, which needs only the package index.
SANITY has further arguments for ansible-test, such as `--test pep8`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tarball

CACHE = tarball.ROOT / ".cache/sanity"
PYTHONS = range(8, 20)
BOOTSTRAP = """\
import ensurepip, os, pathlib, sysconfig
# ansible-test passes no environment to pip, but the index can need a certificate of the site.
set_default = "import os; os.environ.setdefault({!r}, {!r})"
lines = [set_default.format(name, value) for name, value in VARIABLES.items()]
pathlib.Path(sysconfig.get_path("purelib"), "index.pth").write_text("\\n".join(lines))
ensurepip.bootstrap(default_pip=True)
"""


def interpreters() -> Iterator[tuple[int, Path]]:
    """Yield each available minor version of Python, first from pyenv, then from PATH.

    The shims of pyenv start no Python without the environment of pyenv.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for minor in PYTHONS:
        versions = sorted(pyenv.glob(f"versions/3.{minor}.*/bin/python3.{minor}"))
        for path in [*versions, Path(shutil.which(f"python3.{minor}") or "/nowhere")]:
            words = [str(path), "-c", "import ensurepip, venv"]
            if (
                path.exists()
                and not subprocess.run(words, capture_output=True, check=False).returncode
            ):
                yield minor, path
                break


def copy_trees(archive: Path) -> dict[str, Path]:
    trees = {name: CACHE / name / tarball.PLACE for name in ("tarball", "repository")}
    tarball.copy(trees["repository"])
    shutil.rmtree(trees["tarball"], ignore_errors=True)
    trees["tarball"].mkdir(parents=True)
    # tarfile of Debian 12's Python does not support filter, and newer versions warn without filter.
    subprocess.run(["tar", "-xzf", archive, "-C", trees["tarball"]], check=True)
    for tree in trees.values():
        # Without a separate repository, ansible-test queries the surrounding clone, which ignores
        # these files.
        for command in (["init", "--quiet"], ["add", "--force", "--all"]):
            subprocess.run(["git", *command], cwd=tree, check=True)
    return trees


def cache_pip(venv: Path) -> None:
    """Write a script that installs pip into the download cache of this ansible-test."""
    source = next(
        venv.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py")
    ).read_text()
    variables = {
        name: value for name, value in os.environ.items() if name in ("PIP_CERT", "PIP_INDEX_URL")
    }
    cache = CACHE / "home/.ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in set(re.findall(r"\bpip='([0-9.]+)'", source)):
        name = f"get_pip_{version.replace('.', '_')}.py"
        (cache / name).write_text(f"VARIABLES = {variables!r}\n{BOOTSTRAP}")


def main(archive: str, *venvs: str) -> int:
    trees = copy_trees(Path(archive))
    pythons = CACHE / "bin"
    shutil.rmtree(pythons, ignore_errors=True)
    pythons.mkdir(parents=True)
    for minor, path in interpreters():
        (pythons / f"python3.{minor}").symlink_to(path)
    failed = []
    for venv in (Path(name).resolve() for name in venvs):
        cache_pip(venv)
        for name, tree in trees.items():
            started = time.monotonic()
            done = subprocess.run(
                [
                    venv / "bin/ansible-test",
                    "sanity",
                    "--color",
                    "no",
                    *os.environ.get("SANITY", "").split(),
                ],
                cwd=tree,
                env={
                    "HOME": str(CACHE / "home"),
                    "PATH": f"{venv}/bin:{pythons}:{tarball.ROOT}/.venv/bin:/usr/bin:/bin",
                    "LC_ALL": "C.UTF-8",
                },
                check=False,
            )
            print(
                f"== {venv.name}, {name}: exit code {done.returncode}, "
                f"{time.monotonic() - started:.0f} s",
                flush=True,
            )
            if done.returncode:
                failed.append(f"{venv.name}, {name}")
    if failed:
        print(f"ansible-test sanity failed: {'; '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity on the built tarball and on the repository: `python3 tests/release/sanity.py TARBALL VENV...`.

Each VENV has an ansible-core of its own. ansible-test wants a folder `ansible_collections/NAMESPACE/NAME`, so both trees are laid out below
.cache/sanity. Its virtual environments are kept there too. It fetches pip from a site of its own; the pip that comes with Python does as well,
and needs the package index only. SANITY has further words for ansible-test, such as `--test pep8`.
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
# ansible-test gives pip nothing of the environment; the index may need a certificate of the site's.
lines = [f"import os; os.environ.setdefault({name!r}, {value!r})" for name, value in VARIABLES.items()]
pathlib.Path(sysconfig.get_path("purelib"), "index.pth").write_text("\\n".join(lines))
ensurepip.bootstrap(default_pip=True)
"""


def interpreters() -> Iterator[tuple[int, Path]]:
    """Each minor of Python that can be had: in PATH by its name, or among pyenv's, whose shims start nothing without pyenv's own environment."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for minor in PYTHONS:
        found = sorted(pyenv.glob(f"versions/3.{minor}.*/bin/python3.{minor}"))
        for path in [*found, Path(shutil.which(f"python3.{minor}") or "/nowhere")]:
            words = [str(path), "-c", "import ensurepip, venv"]
            if (
                path.exists()
                and not subprocess.run(words, capture_output=True, check=False).returncode
            ):
                yield minor, path
                break


def lay_out(archive: Path) -> dict[str, Path]:
    trees = {name: CACHE / name / tarball.PLACE for name in ("tarball", "repository")}
    tarball.copy(trees["repository"])
    shutil.rmtree(trees["tarball"], ignore_errors=True)
    trees["tarball"].mkdir(parents=True)
    # Python's own way to unpack has no filter in Debian 12's, and asks for one in newer ones; this is of our own making anyway.
    subprocess.run(["tar", "-xzf", archive, "-C", trees["tarball"]], check=True)
    for tree in trees.values():
        # Else it asks the clone around them, which ignores them.
        for command in (["init", "--quiet"], ["add", "--force", "--all"]):
            subprocess.run(["git", *command], cwd=tree, check=True)
    return trees


def stand_in(venv: Path) -> None:
    """Puts what brings pip where this ansible-test keeps what it has fetched."""
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
    trees = lay_out(Path(archive))
    pythons = CACHE / "bin"
    shutil.rmtree(pythons, ignore_errors=True)
    pythons.mkdir(parents=True)
    for minor, path in interpreters():
        (pythons / f"python3.{minor}").symlink_to(path)
    failed = []
    for venv in (Path(name).resolve() for name in venvs):
        stand_in(venv)
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
                f"== {venv.name}, {name}: exit code {done.returncode}, {time.monotonic() - started:.0f} s",
                flush=True,
            )
            if done.returncode:
                failed.append(f"{venv.name}, {name}")
    if failed:
        print(f"ansible-test sanity failed: {'; '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run Python without a library that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Python imports sitecustomize at its start. The finder is the first one, so that no other finder
# finds the library. With `incomplete`, the library imports, but its parts do not.
_FINDER = """
import os, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        library, way = os.environ["WITHOUT_LIBRARY"].split()
        if way == "missing" and name.split(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if way == "incomplete" and name.startswith(f"{library}."):
            raise ImportError(f"cannot import {name!r}: undefined symbol", name=name)

if os.path.basename(sys.argv[0] if hasattr(sys, "argv") else "") in ("", "-c", "ansible-playbook"):
    sys.meta_path.insert(0, Finder)
    if os.environ["WITHOUT_LIBRARY"].endswith("old"):
        import cryptography
        cryptography.__version__ = "2.8"
"""


def environment_without(library: str, way: str, directory: Path) -> dict[str, str]:
    """Return environment variables that hide a library from Python and ansible-playbook.

    `way` is missing, old (cryptography only) or incomplete.
    """
    (directory / "hook").mkdir(exist_ok=True)
    (directory / "hook/sitecustomize.py").write_text(_FINDER)
    return {"PYTHONPATH": str(directory / "hook"), "WITHOUT_LIBRARY": f"{library} {way}"}


def run_without(
    library: str, way: str, script: str, *arguments: str, tmp_path: Path
) -> subprocess.CompletedProcess[str]:
    """Run a script that imports the collection in a Python without the library."""
    environment = environment_without(library, way, tmp_path)
    environment["PYTHONPATH"] += f":{ROOT / '.collections'}"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

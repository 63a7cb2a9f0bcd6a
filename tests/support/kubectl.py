# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find real versions of kubectl for comparison.

KUBECTL can contain several paths, separated as in PATH. If KUBECTL is not set, the tests use the
kubectl in PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def _found() -> list[Any]:
    named = [path for path in os.environ.get("KUBECTL", "").split(os.pathsep) if path]
    paths = named or [path for path in [shutil.which("kubectl")] if path]
    return paths or [
        pytest.param("", marks=pytest.mark.skip(reason="no kubectl in KUBECTL or PATH"))
    ]


KUBECTLS = _found()


def kubectl(
    path: str, file: Path, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    """Run `kubectl config` on a file."""
    return subprocess.run(
        [path, "config", *arguments, "--kubeconfig", str(file)], check=check, capture_output=True
    )


def minor(path: str) -> int:
    done = subprocess.run([path, "version", "--client"], check=True, capture_output=True, text=True)
    result = re.search(r"v1\.([0-9]+)\.", done.stdout)
    assert result, done.stdout
    return int(result[1])

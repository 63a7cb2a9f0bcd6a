# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from settings import read

MAKEFILE = Path(__file__).parents[3] / "Makefile"


def lab_name(clone: Path, target: str) -> str:
    clone.mkdir(exist_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "LAB_"))
    }
    command = ["make", "--print-data-base", "--question", "--file", str(MAKEFILE), target]
    shown = subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, check=False
    ).stdout
    found = re.search(rf"^{target}: LAB_NAME := (\S+)$", shown, re.MULTILINE)
    assert found, shown[-2000:]
    return read({"LAB_NAME": found[1]}, clone).name


@pytest.mark.parametrize("target", ["molecule", "versions"])
def test_the_tests_of_two_clones_do_not_share_a_lab(tmp_path: Path, target: str) -> None:
    one, other = (lab_name(tmp_path / clone, target) for clone in ("one", "other"))
    assert one != other
    assert "kube-ha" not in (one, other), "the demo's"
    assert lab_name(tmp_path / "one", target) == one

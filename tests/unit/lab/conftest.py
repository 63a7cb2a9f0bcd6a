# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The lab needs no installed packages. The files of the lab are scripts in one directory, not a
# package.
sys.path.insert(0, str(Path(__file__).parents[3] / "lab"))

from settings import Settings, read


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read({"LAB_NAME": "unit", "XDG_CACHE_HOME": str(tmp_path / "cache")}, tmp_path)

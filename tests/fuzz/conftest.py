# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import subjects

# Without this setting, Python writes compiled modules into this clone. The test would report that
# as a write outside of the test directory.
sys.dont_write_bytecode = True
MEMORY = "/dev/shm"  # file system in memory, so that thousands of cases do not wait for a disk


@pytest.fixture(scope="session")
def world() -> Iterator[subjects.World]:
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as directory,
        subjects.world(Path(directory)) as world,
    ):
        yield world

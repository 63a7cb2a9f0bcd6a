"""Fixtures of the drill's tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("LAB_NAME", "kube-ha-test")

from tests.support.drills import Drill, drill
from tests.support.lab import Lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture
def run_drill(lab: Lab, tmp_path: Path) -> Callable[..., Drill]:
    """Runs drill.yml, and reads its report."""

    def run(kind: str, *words: str) -> Any:
        return drill(lab, tmp_path, kind, *words)

    return run

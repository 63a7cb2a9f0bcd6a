"""Fixtures for the tests of the drill."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

os.environ.setdefault("LAB_NAME", "kube-ha-test")

from tests.support.drills import Drill, drill
from tests.support.lab import Lab

# Measured seconds by election times, kind and bound.
MEASURED: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture
def run_drill(lab: Lab, tmp_path: Path) -> Callable[..., Drill]:
    """Return a function that runs drill.yml and returns its report."""

    def run(kind: str, *words: str) -> Any:
        result = drill(lab, tmp_path, kind, *words)
        report = result.report
        if report.get("passed"):
            times = ", ".join(f"{seconds:g} s" for seconds in report["timings"].values())
            MEASURED[times, kind, f"{report['bound']:g}"].append(report["leaderless"])
        return result

    return run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the rows of the table in docs/drill.md."""
    for (times, kind, bound), seconds in MEASURED.items():
        figures = f"{min(seconds):.1f} | {mean(seconds):.1f} | {max(seconds):.1f}"
        terminalreporter.write_line(
            f"| {times} | `{kind}` | {len(seconds)} | {figures} | {bound} |"
        )

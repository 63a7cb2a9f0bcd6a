"""tests/steps.py, with a make of the test's own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Steps = Callable[..., tuple[int, list[str]]]
STEPS = Path(__file__).parents[1] / "steps.py"
MAKE = """#!/bin/sh
[ "$2" != slow ] || sleep 0.5
echo "$2 begins"
echo "$2 complains" >&2
[ "$2" != bad ] || exit 3
"""


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    make = tmp_path / "make"
    make.write_text(MAKE)
    make.chmod(0o755)

    def run(*words: str) -> tuple[int, list[str]]:
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        command = [STEPS, *words]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.returncode, [re.sub(r" +\d+m\d\ds", "", line) for line in done.stdout.splitlines()]

    return run


def test_one_after_the_other(steps: Steps) -> None:
    code, lines = steps("lint", "molecule S=drill")
    assert code == 0
    assert lines[:4] == ["lint begins", "lint complains", "molecule begins", "molecule complains"]
    assert [line.split("  ")[-1] for line in lines[-3:]] == ["passed", "passed", "together"]


def test_the_first_failure_ends_it(steps: Steps) -> None:
    code, lines = steps("lint", "bad", "unit")
    assert code == 3
    assert "unit begins" not in lines
    assert [line.split() for line in lines[-3:-1]] == [["lint", "passed"], ["bad", "failed", "(3)"]]


def test_side_by_side_each_output_is_whole_and_all_end(steps: Steps) -> None:
    code, lines = steps("slow + bad + lint", "unit")
    assert code == 3
    assert lines[:2] == ["bad begins", "bad complains"]
    assert lines[4:6] == ["slow begins", "slow complains"]
    assert "unit begins" not in lines
    assert {line.split()[0] for line in lines[-4:-1]} == {"slow", "bad", "lint"}

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from settings import read

ROOT = Path(__file__).parents[3]
MAKEFILE = ROOT / "Makefile"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# GitHub limits each job to this time.
MAX_JOB_MINUTES = 360


def make(directory: Path, *words: str) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "LAB_"))
    }
    command = ["make", "--file", str(MAKEFILE), *words]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    ).stdout


def lab_name(clone: Path, target: str) -> str:
    clone.mkdir(exist_ok=True)
    database = make(clone, "--print-data-base", "--question", target)
    match = re.search(rf"^{target}: LAB_NAME := (\S+)$", database, re.MULTILINE)
    assert match, database[-2000:]
    return read({"LAB_NAME": match[1]}, clone).name


def jobs(workflow: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield each job with the words of its make commands.

    Each element of the matrix yields one list.
    """
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        elements = matrix.get("include") or [
            {name: value} for name, values in matrix.items() for value in values
        ]
        (command,) = [step["run"] for step in job["steps"] if "run" in step]
        for element in elements or [{}]:
            filled = command
            for name, value in element.items():
                filled = filled.replace(f"${{{{ matrix.{name} }}}}", str(value))
            words = shlex.split(filled)
            yield {**job, **element}, words[words.index("make") + 1 :]


def steps(target: str) -> set[tuple[str, ...]]:
    """Return the steps of `make nightly`, or of another target that runs tests/steps.py."""
    recipe = make(ROOT, "--dry-run", "--always-make", target).replace("\\\n", " ")
    (line,) = [line for line in recipe.splitlines() if "tests/steps.py" in line]
    return {tuple(shlex.split(step)) for step in shlex.split(line)[2:]}


def without_seed(words: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(word for word in words if not word.startswith("FUZZ_SEED="))


@pytest.mark.parametrize("target", ["molecule", "versions"])
def test_tests_of_two_clones_do_not_share_a_lab(tmp_path: Path, target: str) -> None:
    one, other = (lab_name(tmp_path / clone, target) for clone in ("one", "other"))
    assert one != other
    assert "kube-ha" not in (one, other), "the lab of the demo"
    assert lab_name(tmp_path / "one", target) == one


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_each_job_runs_one_existing_target_within_the_limit(workflow: Path) -> None:
    targets = set(re.findall(r"^\.PHONY: (.+)$", MAKEFILE.read_text(), re.MULTILINE))
    for job, words in jobs(workflow):
        assert words[0] in targets
        assert all("=" in word for word in words[1:]), words
        assert job.get("minutes", job["timeout-minutes"]) in range(1, MAX_JOB_MINUTES)


def test_nightly_workflow_has_all_steps_of_make_nightly() -> None:
    workflow = ROOT / ".github/workflows/nightly.yml"
    commands = {without_seed(words) for _job, words in jobs(workflow)}
    assert commands == {without_seed(step) for step in steps("nightly")}


def test_ci_runs_all_targets_of_make_test() -> None:
    """CI runs all targets of `make test`.

    `oldest` is a job of the unit matrix, and `binaries` is part of `molecule`.
    """
    commands = {words[0] for _job, words in jobs(ROOT / ".github/workflows/ci.yml")}
    assert commands >= {step[0] for step in steps("test")} - {"oldest", "binaries"}
    assert commands >= {"lint", "sanity", "unit", "integration", "docs", "molecule"}

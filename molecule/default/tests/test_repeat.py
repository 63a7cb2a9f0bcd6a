"""Test that a second run changes nothing, restarts nothing and runs few modules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

NO_OP_RUNS = 2
NO_OP_TASKS = 15


def test_second_run_changes_nothing(lab: Any, tmp_path: Path) -> None:
    pids = lab.main_pids()
    run = lab.site(tmp=tmp_path)
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(lab.names, 0)
    assert lab.main_pids() == pids
    for name in lab.names:
        assert len(run.runs(name)) <= NO_OP_RUNS, Counter(run.runs(name))
        assert 0 < len(run.tasks(name)) <= NO_OP_TASKS, run.tasks(name)


def test_check_mode_on_a_converged_host_changes_nothing(lab: Any) -> None:
    run = lab.site("--check", "--diff")
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(lab.names, 0)


NIGHTLY = pytest.mark.nightly


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("preflight", marks=NIGHTLY),
        pytest.param("install", marks=NIGHTLY),
        "credentials",
        pytest.param("configure", marks=NIGHTLY),
        pytest.param("rollout", marks=NIGHTLY),
        pytest.param("verify", marks=NIGHTLY),
    ],
)
def test_each_phase_runs_alone(lab: Any, phase: str) -> None:
    run = lab.site(f"--tags=kube_scheduler_{phase}")
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(lab.names, 0)

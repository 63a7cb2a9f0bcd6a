"""Measure the figures of docs/upgrade.md.

The figures are from rolls between two minor versions while pods are created.
"""

from __future__ import annotations

import os
from statistics import mean
from typing import Any

import pytest

from tests.support.upgrade import NEW, OLD, RELEASED, deployed, nothing_lost, under_pods

ROUNDS = int(os.environ.get("UPGRADE_ROUNDS", "6"))


@pytest.mark.nightly
def test_rolls_under_a_stream_of_pods(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """While pods are created, the leader change of each roll stays within its bound.

    The test uses rollback.yml to change from one minor version to the other.
    """
    deployed(lab, NEW)
    deployed(lab, OLD)
    leaderless, waits, pods = [], [], 0
    for _round in range(ROUNDS):
        result = under_pods(lab, lambda: lab.play("playbooks/rollback.yml", steady=True))
        nothing_lost(result, transitions=1)
        leaderless += result.leaderless
        waits.append(result.pods["longest_wait"] or 0.0)
        pods += result.pods["made"]
    with capsys.disabled():
        print(
            f"\n{ROUNDS} rolls of three masters, {pods} pods, none lost, none bound twice; seconds: min, mean, max, bound"
        )
        print(
            f"without a leader: {min(leaderless):.2f} {mean(leaderless):.2f} {max(leaderless):.2f} {RELEASED:g}"
        )
        print(f"longest wait of a pod in each: {min(waits):.2f} {mean(waits):.2f} {max(waits):.2f}")
    deployed(lab, NEW)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each module with malformed options, a thousand sets at least: whatever it does not take, it refuses in one line and with nothing written."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import variables

from tests.fuzz import judge, subjects, values

SETS = 1000


class Count:
    """How many cases were taken, and how many refused: neither alone would show anything."""

    def __init__(self) -> None:
        self.taken = self.refused = 0

    def add(self, outcome: dict[str, Any] | judge.Refused) -> None:
        self.taken += isinstance(outcome, dict)
        self.refused += isinstance(outcome, judge.Refused)

    def check(self) -> None:
        if judge.CASE is None:
            assert self.taken + self.refused >= SETS
            assert min(self.taken, self.refused) > SETS / 20, vars(self)


@pytest.mark.parametrize("name", [*subjects.MODULES, "variables"])
def test_malformed_options(world: subjects.World, name: str) -> None:
    """C(variables) are the role's, through what scheduler_plan makes of them for a host."""
    options = variables.VARIABLES_SPEC if name == "variables" else subjects.specification(name)
    places = [*world.before, str(world.folder / "live/nothing/x")]
    count = Count()

    def one(rng: random.Random) -> None:
        fine = world.base(name, "", {}) if name == "variables" else world.fine(name, rng)
        count.add(
            world.judged(name, values.spoilt(rng, fine, options, places), check=rng.random() < 0.3)
        )

    judge.run(name, SETS, 0.05, one)
    count.check()

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test each module with at least a thousand malformed sets of options.

The module must reject each malformed set in one line and write nothing.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import VARIABLES_SPEC

from tests.fuzz import judge, subjects, values

SETS = 1000


class Count:
    """Count accepted and rejected cases.

    A test is meaningful only if both occur.
    """

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
def test_malformed_options_are_rejected_without_a_write(world: subjects.World, name: str) -> None:
    """Each module rejects malformed options before any write.

    `variables` are variables of the role, as scheduler_plan evaluates them for a host.
    """
    options = VARIABLES_SPEC if name == "variables" else subjects.specification(name)
    places = [*world.before, str(world.folder / "live/nothing/x")]
    count = Count()

    def one(rng: random.Random) -> None:
        fine = world.base(name, "", {}) if name == "variables" else world.fine(name, rng)
        count.add(
            world.judged(name, values.spoilt(rng, fine, options, places), check=rng.random() < 0.3)
        )

    judge.run(name, SETS, 0.05, one)
    count.check()

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that the modules reject all nonsense values of the table, also in check mode.

The table must contain every option.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import VARIABLES_SPEC

from tests.fuzz import judge, nonsense, subjects

SUBJECTS = [*subjects.MODULES, "variables"]


def specification(name: str) -> dict[str, Any]:
    return VARIABLES_SPEC if name == "variables" else subjects.specification(name)


@pytest.mark.parametrize("name", SUBJECTS)
def test_table_has_every_option(world: subjects.World, name: str) -> None:
    """The table must have every option of the modules.

    For a new option, add nonsense values to the table. If every value is valid, add a reason to ANY
    instead.
    """
    known = nonsense.options(specification(name))
    judged = {
        place
        for place, option in known.items()
        if nonsense.wrong_type(option) and option.get("type") in TYPED
    }
    judged |= {place for place, option in known.items() if option.get("choices")}
    reported, anything = nonsense.table(world)[name], nonsense.ANY[name]
    assert not {*reported, *anything} - {*known}
    assert not {*reported} & {*anything}
    assert {*known} - judged == {*reported, *anything} - judged


TYPED = ("bool",)
# These options select what to query. If a value is unusable, the module does not fail, and its
# result reports the error.
TOLD = ("apiserver", "apiserver_ca", "tls_server_name", "serving_ca", "metrics_", "desired.")


def signs(outcome: dict[str, Any]) -> set[str]:
    """Return the errors in a result."""
    return {
        str(outcome.get(name))
        for name in ("apiserver", "apiservers", "problems", "not_checked", "drift")
    }


@pytest.mark.parametrize("name", SUBJECTS)
def test_nonsense_is_rejected(world: subjects.World, name: str) -> None:
    table = nonsense.table(world)[name]
    taken = []
    count = 0
    for place, option in nonsense.options(specification(name)).items():
        for entry in [*table.get(place, ()), *nonsense.wrong_type(option)]:
            for check in (False, True):
                count += 1
                with judge.time_limit(judge.CASE_SECONDS):
                    try:
                        fault = refused(world, name, place, entry, check=check)
                    except (Exception, judge.Hang, judge.Outside) as error:  # noqa: BLE001 - any error is a result
                        fault = f"{type(error).__name__}: {str(error)[:1000]}"
                if fault:
                    taken.append(
                        f"{place}: {str(entry)[:200]!a}{' in check mode' if check else ''}: {fault}"
                    )
    assert not taken, f"{len(taken)} of {count}:\n" + "\n".join(taken)


def refused(world: subjects.World, name: str, place: str, entry: Any, *, check: bool) -> str:
    """Return why the result for a nonsense value is wrong."""
    value, beside, in_check_mode = (
        entry if isinstance(entry, nonsense.Given) else nonsense.Given(entry)
    )
    beside = copy.deepcopy(beside)
    if check and in_check_mode == "nothing":
        return ""
    fine = world.base(name, place, beside)
    given = copy.deepcopy(fine)
    for other, second in beside.items():
        nonsense.put(given, other, second)
    nonsense.put(given, place, value)
    outcome = world.judged(name, given, check=check)
    if isinstance(outcome, judge.Refused):
        return ""
    if check and in_check_mode == "predict" and outcome["changed"]:
        return ""
    if name == "scheduler_info" and place.startswith(TOLD):
        usual = copy.deepcopy(fine)
        for other, second in beside.items():
            if other != place:
                nonsense.put(usual, other, second)
        before = world.judged(name, usual, check=check)
        assert isinstance(before, dict), before
        if signs(outcome) - signs(before):
            return ""
    return f"taken: {str({key: outcome[key] for key in outcome if key in SHOWN})[:300]}"


SHOWN = ("changed", "reasons", "done", "diff", "errors", "apiserver", "problems", "drift", "state")

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _results

HOSTILE = {
    "ansible_facts": {"kube_scheduler_ca_key": "/etc/shadow"},
    "add_host": {"host_name": "evil"},
    "add_group": "evil",
    "_ansible_verbose_always": True,
    "_ansible_no_log": False,
    "include": "x",
    "results": [],
    "invocation": {},
}


def test_known_keys_and_keys_of_ansible_are_kept() -> None:
    answer = {
        "reasons": ["x"],
        "changed": True,
        "failed": False,
        "msg": "m",
        "diff": {"before": "", "after": "x"},
        "warnings": ["w"],
        "deprecations": [],
        "exception": "e",
        "skipped": False,
        "unreachable": False,
        "module_stdout": "o",
        "module_stderr": "e",
        "rc": 1,
    }
    assert _results.filter_result(answer, {"reasons"}) == answer
    assert _results.filter_result({**answer, **HOSTILE}, {"reasons"}) == answer
    assert "reasons" not in _results.filter_result(answer, ())


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_keys_that_control_ansible_are_dropped(name: str) -> None:
    assert _results.filter_result({name: HOSTILE[name]}, {"reasons"}) == {}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"failed": "yes"}, {"failed": True}),
        ({"changed": [1], "skipped": None}, {"changed": True, "skipped": False}),
        ({"warnings": "w", "deprecations": {"msg": "x"}}, {}),
        ({"diff": "x"}, {}),
        ({"diff": None}, {}),
        ({"diff": [{"before": ""}]}, {"diff": [{"before": ""}]}),
    ],
)
def test_values_of_other_types_are_dropped(
    answer: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert _results.filter_result(answer, ()) == expected


def test_discovered_interpreter_is_returned_as_a_fact() -> None:
    action = SimpleNamespace(
        _discovered_interpreter_key="discovered_interpreter_python",
        _discovered_interpreter="/usr/bin/python3",
    )
    expected = {"ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3"}}
    assert _results.interpreter_facts(action) == expected
    assert _results.interpreter_facts(SimpleNamespace(_discovered_interpreter_key=None)) == {}
    assert _results.interpreter_facts(object()) == {}

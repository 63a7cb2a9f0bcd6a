# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _results

from tests.support.texts import all_texts, assert_clean

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
        (
            {"deprecations": [{"version": "2"}, {"msg": 5}, {"msg": "x", "date": 5}, "x", None]},
            {"deprecations": [{"msg": "x"}]},
        ),
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


ESCAPES = "\x1b[31m\x9b2J\x7f\u202e\r\x07"


@pytest.mark.parametrize(
    "value",
    [
        ESCAPES,
        f"a\n{ESCAPES}",
        [ESCAPES, [ESCAPES]],
        {"x": {"y": [ESCAPES]}, ESCAPES: 1},
    ],
)
def test_texts_of_known_keys_become_clean_lines(value: Any) -> None:
    result = _results.filter_result({"reasons": value}, ["reasons"])
    assert_clean(result)
    assert not any("\n" in text for text in all_texts(result))


def test_other_texts_keep_their_lines() -> None:
    answer = {
        "csr": f"a\nb{ESCAPES}\n",
        "module_stderr": f"a\n\tb{ESCAPES}\n",
        "diff": {"before": f"a\n\tb{ESCAPES}\n", "after": {"mode": ESCAPES}},
    }
    assert _results.filter_result(answer, ["csr"]) == {
        "csr": "a\nb [31m 2J    \n",
        "module_stderr": "a\n\tb [31m 2J    \n",
        "diff": {"before": "a\n\tb [31m 2J    \n", "after": {"mode": " [31m 2J    "}},
    }


def nested(depth: int) -> Any:
    value: Any = 1
    for _level in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (["x"] * 1001, "has a list of more than 1000 elements"),
        ({str(number): 1 for number in range(1001)}, "has a list of more than 1000 elements"),
        (["\u202e\u00e9" * 2000] * 20, "has 273 KiB, and the maximum is 128 KiB"),
        (nested(50), "is nested more than 20 levels"),
        (10**30, "has an integer of more than 64 bits"),
        ([b"x"], "has a value of the type bytes"),
    ],
)
def test_result_above_a_limit_becomes_a_failure(value: Any, problem: str) -> None:
    answer = {"changed": True, "reasons": value, "warnings": ["w"]}
    assert _results.filter_result(answer, ["reasons"], "m1: the result of x") == {
        "changed": True,
        "failed": True,
        "msg": (
            f"m1: the result of x is rejected: it {problem};"
            " check which host responds at its address"
        ),
    }


def test_longest_messages_are_short() -> None:
    endless = "'" * (1 << 20)
    answer = {
        "failed": True,
        "msg": endless,
        "exception": endless,
        "module_stdout": endless,
        "module_stderr": endless,
        "warnings": [endless] * 1000,
        "deprecations": [{"msg": endless, "version": endless}] * 1000,
        "diff": [{"before": endless, "after": endless}] * 1000,
    }
    result = _results.filter_result(answer, ())
    sizes = {name: len(json.dumps(value)) for name, value in result.items()}
    assert sum(sizes.values()) < 256 << 10, sizes


def test_long_text_keeps_its_begin_and_end() -> None:
    result = _results.filter_result({"module_stderr": "a" + "x" * 100_000 + "z"}, ())
    assert result["module_stderr"].startswith("ax")
    assert "(92002 more characters)" in result["module_stderr"]
    assert result["module_stderr"].endswith("xz")

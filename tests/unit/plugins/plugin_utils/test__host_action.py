# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that what a host returns is bounded and clean, from its output to the result of the task."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

from tests.support.texts import assert_clean

ACTIONS = Path(__file__).resolve().parents[4] / "plugins/action"
ESCAPES = "\x1b[31m \x9b2J \x7f \u202e \r\x07"


# Since ansible-core 2.19, `_configure_module` describes a module with an object.
HAS_MODULE_BITS = "profile" in inspect.signature(ActionBase._parse_returned_data).parameters


class Action(HostAction):
    """Run a module whose process has this output or raises this error, with Ansible's own steps."""

    output: Any = ""

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict[str, Any]:
        return self.run_module({}, {"inventory_hostname": "m1"}, ["reasons", "csr"])

    def _update_module_args(self, *_arguments: Any, **_options: Any) -> None:
        pass

    def _is_pipelining_enabled(self, *_arguments: Any) -> bool:
        return True

    def _configure_module(self, *_arguments: Any, **_options: Any) -> Any:
        bits = SimpleNamespace(
            module_style="new",
            shebang="#!/usr/bin/python3",
            b_module_data=b"",
            serialization_profile="legacy",
        )
        if HAS_MODULE_BITS:
            return bits, "/x"
        return bits.module_style, bits.shebang, bits.b_module_data, "/x"

    def _compute_environment_string(self, *_arguments: Any) -> str:
        return ""

    def _low_level_execute_command(self, *_arguments: Any, **_options: Any) -> Any:
        if isinstance(self.output, Exception):
            raise self.output
        return {"rc": 0, "stdout": self.output, "stderr": ESCAPES, "stdout_lines": [self.output]}


def run(output: Any) -> dict[str, Any]:
    task = mock.MagicMock(async_val=0, args={}, action="kube_ha.scheduler.scheduler_info")
    action = Action(task, *(mock.MagicMock() for _number in range(5)))
    action.output = output
    return action.run()


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the warnings that Ansible displays."""
    shown: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _self, text, *_more, **_also: shown.append(text))
    return shown


def test_result_of_a_module_keeps_its_known_keys() -> None:
    result = run(json.dumps({"changed": True, "reasons": ["new"], "other": 1}))
    assert result == {"changed": True, "reasons": ["new"]}


@pytest.mark.parametrize(
    "output",
    [
        json.dumps({"changed": False}) + f"\n{ESCAPES}junk",
        f"{ESCAPES}junk\n" + json.dumps({"changed": False}),
        json.dumps({"changed": False, "_ansible_evil": ESCAPES, "add_host": {"x": ESCAPES}}),
        json.dumps({"changed": False, "results": ESCAPES, "ansible_facts": [ESCAPES]}),
        json.dumps({"changed": False, "warnings": [ESCAPES, 7, None, {"a": ESCAPES}]}),
        json.dumps({"changed": False, "deprecations": [{"msg": ESCAPES, ESCAPES: 1}, 7, "x"]}),
        json.dumps({"failed": True, "msg": ESCAPES, "exception": ESCAPES}),
        json.dumps({"failed": True, "msg": [ESCAPES], "exception": {"a": ESCAPES}}),
        ESCAPES,
        f"{ESCAPES}{{",
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps({"__ansible_type": ESCAPES}),
        json.dumps({"a": {"__ansible_type": ESCAPES}}),
        json.dumps({"a": "\ud800" + ESCAPES}),
    ],
)
def test_escapes_of_a_host_are_neither_displayed_nor_returned(
    output: str, displayed: list[str]
) -> None:
    result = run(output)
    assert_clean(result)
    assert_clean(displayed)


@pytest.mark.parametrize(
    "value",
    [
        {"__ansible_type": "x" * 100_000},
        {"__ansible_type": []},
        {"__ansible_type": {}},
        {"a": {"__ansible_type": "Event"}},
        {"a": {"__ansible_type": "_AnsibleTaggedStr", "value": 1, "tags": "x" * 100_000}},
        {"a": {"__ansible_type": "_AnsibleTaggedDateTime", "value": "x" * 100_000}},
        {"a": "\ud800" * 100_000},
    ],
)
def test_value_that_ansible_cannot_decode_is_a_short_failure(value: Any) -> None:
    result = run(json.dumps(value))
    assert len(json.dumps(result, default=repr)) < 32_000
    assert result.get("failed") or not HAS_MODULE_BITS


def tagged(kind: str, value: Any) -> dict[str, Any]:
    """Return a value in the format of ansible-core 2.19, with a text that Ansible displays."""
    tag = {"__ansible_type": "Deprecated", "msg": ESCAPES}
    return {"__ansible_type": f"_AnsibleTagged{kind}", "value": value, "tags": [tag]}


@pytest.mark.skipif(not HAS_MODULE_BITS, reason="ansible-core < 2.19 has no tagged values")
@pytest.mark.parametrize(
    ("kind", "value"), [("Int", 5), ("Float", 5.5), ("Str", "a"), ("Str", "a\nb")]
)
def test_value_loses_the_tags_of_the_host(kind: str, value: Any) -> None:
    entry = tagged(kind, value)
    diff = {"before": entry, "after": [entry]}
    result = run(json.dumps({"reasons": [entry, {"x": entry}], "csr": entry, "diff": diff}))
    kept = [*result["reasons"], result["reasons"][1]["x"], result["csr"]]
    kept += [result["diff"]["before"], *result["diff"]["after"]]
    assert {type(value) for value in kept} == {type(value), dict}


EVENT = {"__ansible_type": "Event", "msg": f"old{ESCAPES}"}


@pytest.mark.skipif(not HAS_MODULE_BITS, reason="ansible-core < 2.19 has no such values")
@pytest.mark.parametrize(
    ("entry", "count"),
    [
        ({"__ansible_type": "DeprecationSummary", "event": EVENT}, 1),
        (EVENT, 0),
        ({"__ansible_type": "PluginInfo", "resolved_name": "x", "type": None}, 0),
        ({"__ansible_type": "Deprecated", "msg": "x"}, 0),
    ],
)
def test_deprecation_of_another_type_is_dropped(entry: dict[str, Any], count: int) -> None:
    result = run(json.dumps({"deprecations": [entry]}))
    assert len(result["deprecations"]) == count
    assert_clean(result)


@pytest.mark.parametrize("name", ["stdout", "stderr", "stdout_lines", "stderr_lines"])
@pytest.mark.parametrize("value", [5, None, [ESCAPES], {"a": 1}, "x"])
def test_output_in_a_result_is_dropped(name: str, value: Any) -> None:
    assert run(json.dumps({"changed": True, name: value})) == {"changed": True}


def test_endless_output_is_not_parsed() -> None:
    result = run(json.dumps({"reasons": ["x" * 100] * 100_000}))
    assert result["failed"]
    assert result["msg"] == (
        "m1: the result of scheduler_info is rejected: it has 9 MiB, and the maximum is 4 MiB;"
        " check which host responds at its address"
    )


def test_large_result_is_rejected_in_one_line() -> None:
    result = run(json.dumps({"changed": True, "reasons": ["x" * 3000] * 100}))
    assert result == {
        "changed": True,
        "failed": True,
        "msg": (
            "m1: the result of scheduler_info is rejected: it has 293 KiB, and the maximum is 128"
            " KiB; check which host responds at its address"
        ),
    }


def test_endless_text_that_is_no_json_is_shortened(displayed: list[str]) -> None:
    result = run(f"{ESCAPES}x" * 100_000)
    assert result["failed"]
    assert len(json.dumps(result, default=repr)) < 32_000
    assert sum(map(len, displayed)) < 32_000


def test_message_of_a_lost_connection_is_clean() -> None:
    with pytest.raises(AnsibleConnectionFailure, match="is lost") as error:
        run(AnsibleConnectionFailure(f"m1 is lost\n{ESCAPES}" + "x" * 100_000))
    assert error.value.message.isprintable()
    assert len(error.value.message) < 2000


def test_only_one_class_receives_results_of_modules() -> None:
    """Every action plugin runs modules through HostAction.run_module."""
    for path in ACTIONS.glob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
        }
        assert "_execute_module" not in names, path.name

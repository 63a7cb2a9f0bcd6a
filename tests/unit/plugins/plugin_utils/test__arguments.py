"""Test the validation of task arguments, and which arguments Ansible keeps for every host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _arguments


@pytest.mark.parametrize(
    ("until", "retries", "kept"),
    [([], None, False), (["found is success"], None, True), ([], 3, True)],
)
def test_arguments_are_discarded_unless_a_retry_needs_them(
    until: list[str], retries: int, kept: bool
) -> None:
    task = SimpleNamespace(args={"tables": {}}, until=until, retries=retries)
    _arguments.discard(task)
    assert bool(task.args) == kept


SPEC: dict[str, dict[str, Any]] = {
    "step": {"type": "str", "choices": ["a", "b"], "required": True},
    "tables": {"type": "dict"},
    "handover": {"type": "dict", "options": {"seconds": {"type": "float", "required": True}}},
    "timeout": {"type": "float", "default": 60},
}


class Action(ActionBase):
    _load_name = "scheduler_plan"  # Ansible's loader sets this attribute

    def __init__(self, **args: Any) -> None:
        task = mock.MagicMock(async_val=0, args=args, until=[], retries=None)
        super().__init__(task, *(mock.MagicMock() for _number in range(5)))

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        raise NotImplementedError


def read(**args: Any) -> tuple[dict[str, Any], Action]:
    action = Action(**args)
    return _arguments.read_arguments(action, SPEC, [("step", "b", ["tables"])]), action


def test_dictionary_without_suboptions_is_not_copied() -> None:
    tables = {"versions": [{}]}
    options, action = read(step="b", tables=tables, handover={"seconds": "2.5"})
    assert options["tables"] is tables
    assert (options["handover"], options["timeout"]) == ({"seconds": 2.5}, 60)
    assert action._task.args == {}


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ({"step": "b"}, "step is b but all of the following are missing: tables"),
        ({"step": "a", "tables": [1]}, "tables"),
        ({"step": "a", "handover": {}}, "missing required arguments: seconds found in handover"),
        ({"step": "a", "other": {}}, "Unsupported parameters"),
    ],
)
def test_invalid_arguments_are_rejected(args: dict[str, Any], line: str) -> None:
    with pytest.raises(AnsibleActionFail, match=line):
        read(**args)

"""What Ansible keeps of a task's arguments for every host of a play."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _arguments


@pytest.mark.parametrize(
    ("until", "retries", "kept"), [([], None, False), (["found is success"], None, True), ([], 3, True)]
)
def test_arguments_are_forgotten_unless_they_are_needed_once_more(until: list[str], retries: int, kept: bool) -> None:
    task = SimpleNamespace(args={"tables": {}}, until=until, retries=retries)
    _arguments.forget(task)
    assert bool(task.args) == kept

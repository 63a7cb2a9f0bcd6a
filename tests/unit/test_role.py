"""Test that no fact of a host decides what the role does.

Facts outrank role defaults and inventory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nodes
import pytest
import yaml

ROLE = Path(__file__).resolve().parents[2] / "roles/kube_scheduler"
# The value of these keywords is an expression without braces.
EXPRESSIONS = ("when", "changed_when", "failed_when", "until")
# Ansible sets these names after all facts, or vars, loop or rescue of a task sets them.
MAGIC = {
    "inventory_hostname",
    "ansible_play_hosts",
    "ansible_check_mode",
    "ansible_playbook_python",
    "hostvars",
}
LOCAL = {"item", "ansible_failed_result", "lookup", "query", "range", "omit"}
# The role reads these variables before the first contact with a host, to select the tasks.
FIRST = {"main.yml": {"kube_scheduler_state"}}


def expressions(value: Any, keyword: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from expressions(entry, key)
    elif isinstance(value, list):
        for entry in value:
            yield from expressions(entry, keyword)
    elif isinstance(value, str):
        yield "{{ " + value + " }}" if keyword in EXPRESSIONS else value


def names(path: Path) -> set[str]:
    environment = jinja2.Environment()
    texts = expressions(yaml.safe_load(path.read_text()))
    return {
        node.name for text in texts for node in environment.parse(text).find_all(jinja2.nodes.Name)
    }


@pytest.mark.parametrize(
    "path", sorted((ROLE / "tasks").rglob("*.yml")), ids=lambda path: path.name
)
def test_tasks_read_no_variable_that_facts_of_a_host_can_set(path: Path) -> None:
    """Tasks read no variable that the facts of a host can set.

    Registered results and the role's own vars outrank facts. Variables of defaults and inventory do
    not outrank facts.
    """
    allowed = MAGIC | LOCAL | FIRST.get(path.name, set())
    assert {name for name in names(path) if not name.startswith("__kube_scheduler_")} <= allowed


def test_names_in_expressions_are_found() -> None:
    assert "kube_scheduler_state" in names(ROLE / "tasks/main.yml")
    assert "__kube_scheduler_drift" in names(ROLE / "tasks/phases/install.yml")


# These modules wait for a server. Other tasks use modules of the collection, which have their own
# limits.
WAITING = ("package", "apt", "dnf", "get_url", "uri", "wait_for", "git", "pip")


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the tasks of a file, also those in blocks."""
    for task in value if isinstance(value, list) else []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part))


def test_each_task_that_waits_for_a_server_has_a_timeout() -> None:
    found = []
    for path in sorted((ROLE / "tasks").rglob("*.yml")):
        for task in tasks(yaml.safe_load(path.read_text())):
            if any(f"ansible.builtin.{module}" in task for module in WAITING):
                found.append(task["name"])
                assert 0 < task.get("timeout", 0) <= 3600, task["name"]
    assert found == ["Install the Python libraries that the modules need, within 30 minutes"]

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the action plugins scheduler_credentials and scheduler_fileset: calls and results."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ansible_collections.kube_ha.scheduler.plugins.action import (
    scheduler_credentials,
    scheduler_fileset,
)

from tests.support.role import STEP_INPUT, STEP_PLAN


class Host:
    """Run an action plugin and record each action and module with its arguments."""

    def __init__(self, check_mode: bool = False, **results: Any) -> None:
        self.results, self.check_mode = results, check_mode
        self.calls: list[tuple[str, dict[str, Any], bool]] = []

    def get_action(self, name: str, task: Any, **_context: Any) -> Any:
        return SimpleNamespace(run=lambda task_vars: self.record(name, task.args, task.diff))

    def record(self, name: str, arguments: dict[str, Any], diff: bool) -> dict[str, Any]:
        self.calls.append((name.rpartition(".")[2], arguments, diff))
        default: dict[str, Any] = {"changed": False}
        return dict(self.results.get(self.calls[-1][0], default))

    def run(self, module: Any, **arguments: Any) -> dict[str, Any]:
        task = mock.MagicMock(
            async_val=0, check_mode=self.check_mode, until=[], retries=None, diff=True
        )
        task.args = arguments
        task.copy = lambda: SimpleNamespace(args=task.args, diff=True)
        plugin = module.ActionModule(task, *(mock.MagicMock() for _number in range(5)))
        plugin._shared_loader_obj.action_loader.get = self.get_action
        plugin._discovered_interpreter_key = None
        plugin._execute_module = self.execute
        result: dict[str, Any] = plugin.run(None, {})
        assert task.args == {}, "Ansible would keep them for every host"
        return result

    def execute(
        self, module_name: str = "", module_args: Any = None, task_vars: Any = None
    ) -> dict[str, Any]:
        return self.record(module_name, module_args, True)

    @property
    def names(self) -> list[str]:
        return [name for name, _arguments, _diff in self.calls]


def stage_credentials(host: Host, pki: str, **options: Any) -> dict[str, Any]:
    data = {
        **STEP_INPUT,
        "variables": {**STEP_INPUT["variables"], "pki": pki, **options.pop("paths", {})},
    }
    return host.run(scheduler_credentials, input=data, plan=STEP_PLAN, **options)


@pytest.mark.parametrize("pki", ["node", "external"])
def test_pair_of_the_host_is_issued_before_the_kubeconfig(pki: str) -> None:
    host = Host(
        x509_cert={"changed": True, "reasons": ["new"], "diff": {"before": "", "after": ""}}
    )
    result = stage_credentials(host, pki)
    assert host.names == ["x509_cert", "kubeconfig"]
    assert (result["changed"], result["reasons"]) == (True, ["new"])
    assert result["diff"] == [{"before": "", "after": ""}]


@pytest.mark.parametrize("pki", ["shared", "provided"])
def test_copied_pair_shows_no_diff(pki: str) -> None:
    host = Host(copy={"changed": True, "ansible_facts": {"x": 1}}, kubeconfig={"warnings": ["w"]})
    result = stage_credentials(host, pki)
    assert host.names == ["copy", "copy", "kubeconfig"]
    assert [diff for name, _arguments, diff in host.calls if name == "copy"] == [False, False]
    assert (result["changed"], result["warnings"]) == (True, ["w"])
    assert "ansible_facts" not in result


def test_missing_pair_is_not_copied_in_check_mode(tmp_path: Path) -> None:
    (tmp_path / "c.pem").touch()
    paths = {"cert_source": str(tmp_path / "c.pem"), "key_source": str(tmp_path / "k.pem")}
    host = Host(check_mode=True)
    stage_credentials(host, "shared", paths=paths)
    assert host.names == ["copy", "kubeconfig"]


@pytest.mark.parametrize(("pki", "action"), [("node", "x509_cert"), ("provided", "copy")])
def test_failed_pair_ends_the_task(pki: str, action: str) -> None:
    results: dict[str, Any] = {action: {"failed": True, "msg": "no", "awaited": ["it"]}}
    host = Host(**results)
    result = stage_credentials(host, pki)
    assert host.names == [action]
    assert (result["failed"], result["msg"], result["awaited"]) == (True, "no", ["it"])


def test_shared_pair_is_issued_without_a_kubeconfig() -> None:
    host = Host()
    stage_credentials(host, "shared", state="shared")
    [(name, arguments, _diff)] = host.calls
    assert (name, arguments["path"]) == ("x509_cert", "/ca/c.pem")


def test_fileset_returns_documented_keys_only() -> None:
    returned = {"changed": True, "done": ["unit"], "ansible_facts": {"x": 1}, "odd": 1}
    results: dict[str, Any] = {"": returned}
    host = Host(**results)
    result = host.run(scheduler_fileset, state="live", input=STEP_INPUT, plan=STEP_PLAN)
    assert result == {"changed": True, "done": ["unit"]}
    [(_name, arguments, _diff)] = host.calls
    assert arguments == {
        "state": "live",
        "unit": "x.service",
        "path": "/var/lib/x",
        "lease": STEP_PLAN["lease"],
    }

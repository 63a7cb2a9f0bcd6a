# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the action plugins that expand the input and the plan of the role for one module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.kube_ha.scheduler.plugins.action import (
    scheduler_credentials,
    scheduler_fault,
    scheduler_fileset,
    scheduler_monitoring,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _seal

from tests.support.role import STEP_INPUT, STEP_PLAN, sealed_input, sealed_plan


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
        result: dict[str, Any] = plugin.run(None, {"inventory_hostname": "m1"})
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
    variables = {**STEP_INPUT["variables"], "pki": pki, **options.pop("paths", {})}
    data = sealed_input(variables=variables)
    return host.run(scheduler_credentials, **{"input": data, "plan": sealed_plan(), **options})


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
    gate = {"attempt": "a", "handover": None, "restart": False, "lease": STEP_PLAN["lease"]}
    sealed_gate = _seal.seal(gate, "m1", _seal.GATE)
    result = host.run(scheduler_fileset, state="live", input=sealed_input(), gate=sealed_gate)
    assert _seal.is_sealed(result, "m1", _seal.FILESET)
    assert {name: result[name] for name in result if name != "seal"} == {
        "changed": True,
        "done": ["unit"],
    }
    [(_name, arguments, _diff)] = host.calls
    assert arguments == {
        "state": "live",
        "unit": "x.service",
        "path": "/var/lib/x",
        "attempt": "a",
        "restart": False,
        "lease": STEP_PLAN["lease"],
    }


def test_failed_fileset_is_no_result_for_later_steps() -> None:
    results: dict[str, Any] = {"": {"failed": True, "msg": "no", "done": []}}
    result = Host(**results).run(scheduler_fileset, state="recalled", input=sealed_input())
    assert result["failed"]
    assert not _seal.is_sealed(result, "m1", _seal.FILESET)


def forged(kind: str) -> Iterator[dict[str, Any]]:
    """Yield values that this run did not return for the host m1."""
    sources = {_seal.VARIABLES: STEP_INPUT, _seal.PLAN: STEP_PLAN}
    own = _seal.seal(sources[kind], "m1", kind)
    yield sources[kind]
    yield _seal.seal(sources[kind], "m2", kind)
    yield _seal.seal(sources[kind], "m1", _seal.GATE)
    yield {**own, "unit": "other.service"}


@pytest.mark.parametrize(
    ("option", "value"),
    [("input", value) for value in forged(_seal.VARIABLES)]
    + [("plan", value) for value in forged(_seal.PLAN)],
)
def test_forged_result_is_rejected_before_a_module_runs(option: str, value: dict[str, Any]) -> None:
    for module, arguments in (
        (scheduler_credentials, {}),
        (scheduler_fileset, {"state": "staged"}),
        (scheduler_fault, {"state": "absent"} if option == "input" else None),
    ):
        if arguments is None:
            continue
        host = Host()
        given = {"input": sealed_input(), "plan": sealed_plan(), **arguments, option: value}
        if module is scheduler_fault:
            del given["plan"]
        with pytest.raises(
            AnsibleActionFail, match=f"^m1: {option}: not a result of this run for this host"
        ):
            host.run(module, **given)
        assert host.calls == []


MONITORING_PLAN = {
    "dir": "/etc/prometheus/x",
    "group": "prometheus",
    "files": [{"name": "scrape.yml", "content": "{{ text }}"}],
    "service": "prometheus",
}


def test_monitoring_files_follow_from_the_plan() -> None:
    returned = {"changed": True, "files": ["/x"], "ansible_facts": {"x": 1}, "odd": 1}
    results: dict[str, Any] = {"": returned}
    host = Host(**results)
    plan = _seal.seal(MONITORING_PLAN, "m1", _seal.MONITORING)
    result = host.run(scheduler_monitoring, plan=plan)
    assert result == {"changed": True, "files": ["/x"]}
    [(_name, arguments, _diff)] = host.calls
    assert arguments == {
        "path": "/etc/prometheus/x",
        "group": "prometheus",
        "files": MONITORING_PLAN["files"],
    }


@pytest.mark.parametrize(("host", "kind"), [("m2", _seal.MONITORING), ("m1", _seal.PLAN)])
def test_forged_monitoring_plan_is_rejected(host: str, kind: str) -> None:
    for plan in (_seal.seal(MONITORING_PLAN, host, kind), MONITORING_PLAN):
        prometheus = Host()
        with pytest.raises(AnsibleActionFail, match=r"^m1: plan: not a result of this run"):
            prometheus.run(scheduler_monitoring, plan=plan)
        assert prometheus.calls == []


def test_only_a_target_of_the_drill_gets_its_fault() -> None:
    """The choice of this run determines the fault. A host that is not a target gets no fault."""
    data = sealed_input(members=["m1", "m2"], variables={**STEP_INPUT["variables"], "group": "g"})
    choice = {"targets": ["m1"], "remaining": ["m2"], "kind": "stop", "undo_after": 60}
    for targets, words in ((["m2"], "m1 is not a target"), (["m9"], "its targets are not members")):
        result = {"choice": {**choice, "targets": targets}}
        sealed_choice = _seal.seal(result, _seal.WHOLE_PLAY, _seal.CHOICE)
        with pytest.raises(AnsibleActionFail, match=f"^choice: {words}"):
            Host().run(scheduler_fault, input=data, choice=sealed_choice)
    for value in ({"choice": choice}, None):
        with pytest.raises(AnsibleActionFail, match="choice: not a result of this run"):
            Host().run(scheduler_fault, input=data, choice=value)
    host = Host()
    sealed_choice = _seal.seal({"choice": choice}, _seal.WHOLE_PLAY, _seal.CHOICE)
    host.run(scheduler_fault, input=data, choice=sealed_choice)
    [(_name, arguments, _diff)] = host.calls
    assert arguments == {
        "unit": "x.service",
        "kind": "stop",
        "undo_after": 60,
        "apiserver": "https://192.0.2.1:6443",
    }

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules as such: what their documentation says is what they take and return, and each way out is one JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic
from ansible.module_utils.common.parameters import PASS_VARS
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig_module
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.modules import kubeconfig, leader_info

from tests.support.apiserver import Server, answer, lease
from tests.support.apiserver import kubeconfig as built
from tests.support.pki import Ca

# ansible-core 2.19 and newer
patch_module_args = pytest.importorskip("ansible.module_utils.testing").patch_module_args

MODULES = [kubeconfig, leader_info]


def run(module: ModuleType, capsys: pytest.CaptureFixture[str], **options: Any) -> Any:
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def shape(options: dict[str, Any]) -> dict[str, Any]:
    """Those parts of a specification or of its documentation that both have."""
    return {
        name: {
            **{
                key: option.get(key)
                for key in ("type", "elements", "choices", "aliases", "default")
            },
            "required": option.get("required", False),
            "options": shape(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_the_options_are_as_documented(module: ModuleType) -> None:
    assert shape(yaml.safe_load(module.DOCUMENTATION)["options"]) == shape(module.ARGUMENTS)


def names(returned: dict[str, Any]) -> dict[str, Any]:
    return {
        name: names(entry["contains"]) if "contains" in entry else {}
        for name, entry in returned.items()
    }


def test_what_leader_info_returns_is_documented() -> None:
    assert set(names(yaml.safe_load(leader_info.RETURN))) == {
        *_lease.to_lease_result(_lease.Observation()),
        "server",
    }


def test_what_kubeconfig_returns_is_documented(tmp_path: Path) -> None:
    documented = names(yaml.safe_load(kubeconfig.RETURN))
    ca = Ca()
    config = yaml.safe_load(built(["https://h"], ca=ca.pem, pair=ca.issue()))
    returned: Any = kubeconfig_module.summary(config)
    assert set(documented) == {*returned, "path", "backup_file"}
    for kind in ("clusters", "users"):
        assert set(documented[kind]) == set(returned[kind][0])
    told = documented["users"]["client_certificate_data"]
    assert set(told) == set(returned["users"][0]["client_certificate_data"])
    assert set(told) == set(returned["clusters"][0]["certificate_authority_data"][0])


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_are_tasks_that_the_module_takes(
    module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in yaml.safe_load(module.EXAMPLES):
        options = task.get(f"kube_ha.scheduler.{module.__name__.rpartition('.')[2]}")
        if options is None:
            continue
        path = next(name for name in ("path", "kubeconfig") if name in options)
        result = run(module, capsys, **{**options, path: "/dev/null", "_ansible_check_mode": True})
        # It came as far as the file: every option was understood.
        assert result["failed"]
        assert "/dev/null" in result["msg"]


def test_kubeconfig_tells_a_change_and_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {
        "path": str(tmp_path / "c"),
        "clusters": [{"name": "a", "server": "https://h"}],
        "mode": "0640",
    }
    assert run(kubeconfig, capsys, **task)["changed"]
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o640
    assert not run(kubeconfig, capsys, **task)["changed"]
    assert run(kubeconfig, capsys, **{**task, "mode": "0600"}, _ansible_check_mode=True)["changed"]
    assert not run(kubeconfig, capsys, **task)["changed"]
    result = run(
        kubeconfig, capsys, path=str(tmp_path / "c"), users=[{"name": "u", "token": "s3cret\n"}]
    )
    assert result["failed"]
    assert "s3cret" not in json.dumps(result)


@pytest.mark.parametrize(
    "fault", [{}, {"current_context": "nowhere"}, {"users": "garbage"}, {"clusters": [{}]}]
)
def test_secrets_reach_neither_syslog_nor_invocation(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr(
        basic.AnsibleModule, "_log_to_syslog", lambda _self, message: logged.append(message)
    )
    monkeypatch.setattr(basic, "has_journal", False)
    plugin = {
        "command": "get-token",
        "args": ["--password=s3cret-1", "-", "config"],
        "env": {"PASSWORD": "s3cret-2"},
    }
    task = {
        "path": str(tmp_path / "config"),
        "clusters": [
            {"name": "-", "server": "https://h", "proxy_url": "http://me:s3cret-3@proxy:3128"}
        ],
        "users": [{"name": "u", "exec": plugin}, {"name": "v", "token": "s3cret-4"}],
        **fault,
        # Since ansible-core 2.21 it is told only where it is asked for.
        **{f"_ansible_{name}": True for name in ("inject_invocation",) if name in PASS_VARS},
    }
    result = run(kubeconfig, capsys, **task)
    assert ("failed" in result) is bool(fault), result
    assert bool(logged) is {"users", "clusters"}.isdisjoint(fault), (
        "options that are refused are not logged"
    )
    assert "s3cret" not in json.dumps([result, [str(line) for line in logged]])
    if fault:
        return
    # Short arguments are not blotted out of what is told.
    assert result["path"] == str(tmp_path / "config")
    assert result["clusters"][0]["name"] == "-"
    options = result["invocation"]["module_args"]
    assert options["clusters"][0]["proxy_url"] == "http://(hidden)@proxy:3128"
    assert options["users"][0]["exec"]["command"] == "get-token"
    assert "s3cret-1" in (tmp_path / "config").read_text()


def test_leader_info_tells_a_leader_and_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca = Ca()
    path = tmp_path / "c"
    renewals = iter(range(10**6))
    with Server(
        lambda _request: answer(200, lease(renewTime=str(next(renewals)))), ca.issue()
    ) as server:
        path.write_bytes(built([server.url], ca=ca.pem))
        result = run(leader_info, capsys, kubeconfig=str(path), _ansible_check_mode=True)
        assert (result["changed"], result["holder"], result["moving"]) == (False, "m1", True)
        result = run(leader_info, capsys, kubeconfig=str(path), wait_for="change", timeout=0.2)
        assert (result["failed"], result["holder"]) == (True, "m1")
        assert run(leader_info, capsys, kubeconfig=str(path), wait_for="holder")["failed"]
        assert run(leader_info, capsys, kubeconfig=str(path), context="none")["failed"]

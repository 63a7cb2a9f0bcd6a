# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the modules kubeconfig and leader_info: documentation, examples and results."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic
from ansible.module_utils.common.parameters import PASS_VARS
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_summary import (
    summarize_kubeconfig,
)
from ansible_collections.kube_ha.scheduler.plugins.modules import kubeconfig, leader_info

from tests.support.apiserver import Server, answer, lease
from tests.support.apiserver import kubeconfig as built
from tests.support.pki import Ca

# Only ansible-core 2.19 and newer provide this module.
patch_module_args = pytest.importorskip("ansible.module_utils.testing").patch_module_args

MODULES = [kubeconfig, leader_info]
SPECS = [
    (kubeconfig, kubeconfig.KUBECONFIG_ARGUMENTS),
    (leader_info, leader_info.LEADER_ARGUMENTS),
]


def run(module: ModuleType, capsys: pytest.CaptureFixture[str], **options: Any) -> Any:
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def shape(options: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that an argument spec and its documentation share."""
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


@pytest.mark.parametrize(("module", "spec"), SPECS)
def test_options_equal_their_documentation(module: ModuleType, spec: dict[str, Any]) -> None:
    assert shape(yaml.safe_load(module.DOCUMENTATION)["options"]) == shape(spec)


def names(returned: dict[str, Any]) -> dict[str, Any]:
    return {
        name: names(entry["contains"]) if "contains" in entry else {}
        for name, entry in returned.items()
    }


def test_result_of_leader_info_is_documented() -> None:
    assert set(names(yaml.safe_load(leader_info.RETURN))) == {
        *_lease.to_lease_result(_lease.LeaseObservation()),
        "server",
    }


def test_result_of_kubeconfig_is_documented(tmp_path: Path) -> None:
    documented = names(yaml.safe_load(kubeconfig.RETURN))
    ca = Ca()
    config = yaml.safe_load(built(["https://h"], ca=ca.pem, pair=ca.issue()))
    returned: Any = summarize_kubeconfig(config)
    assert set(documented) == {*returned, "path", "backup_file"}
    for kind in ("clusters", "users"):
        assert set(documented[kind]) == set(returned[kind][0])
    certificate = documented["users"]["client_certificate_data"]
    assert set(certificate) == set(returned["users"][0]["client_certificate_data"])
    assert set(certificate) == set(returned["clusters"][0]["certificate_authority_data"][0])


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_valid_tasks(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for task in yaml.safe_load(module.EXAMPLES):
        options = task.get(f"kube_ha.scheduler.{module.__name__.rpartition('.')[2]}")
        if options is None:
            continue
        path = next(name for name in ("path", "kubeconfig") if name in options)
        result = run(module, capsys, **{**options, path: "/dev/null", "_ansible_check_mode": True})
        # The module failed when it read the file, so that all options are valid.
        assert result["failed"]
        assert "/dev/null" in result["msg"]


def test_kubeconfig_reports_changes_and_errors(
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
    "invalid", [{}, {"current_context": "nowhere"}, {"users": "garbage"}, {"clusters": [{}]}]
)
def test_secrets_reach_neither_syslog_nor_invocation(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    invalid: dict[str, Any],
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
        **invalid,
        # Since ansible-core 2.21, the invocation is returned only on request.
        **{f"_ansible_{name}": True for name in ("inject_invocation",) if name in PASS_VARS},
    }
    result = run(kubeconfig, capsys, **task)
    assert ("failed" in result) is bool(invalid), result
    assert bool(logged) is {"users", "clusters"}.isdisjoint(invalid), (
        "rejected options are not logged"
    )
    assert "s3cret" not in json.dumps([result, [str(line) for line in logged]])
    if invalid:
        return
    # Ansible does not mask short arguments in the result.
    assert result["path"] == str(tmp_path / "config")
    assert result["clusters"][0]["name"] == "-"
    options = result["invocation"]["module_args"]
    assert options["clusters"][0]["proxy_url"] == "http://(withheld)@proxy:3128"
    assert options["users"][0]["exec"]["command"] == "get-token"
    assert "s3cret-1" in (tmp_path / "config").read_text()


def test_leader_info_reports_a_leader_or_fails(
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

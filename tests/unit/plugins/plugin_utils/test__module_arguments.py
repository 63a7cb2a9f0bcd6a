# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test how the input and the plan of the role become options of its modules."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.modules import scheduler_fileset
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _module_arguments

from tests.support.role import STEP_INPUT, STEP_INSTANCE, STEP_PLAN


def expand_info(**arguments: Any) -> dict[str, Any]:
    return _module_arguments.expand_info(arguments, lambda path: f"text of {path}")


def test_arguments_without_input_are_unchanged() -> None:
    assert expand_info(unit="y.service") == {"unit": "y.service"}
    assert _module_arguments.expand_fileset({"state": "live"}) == {"state": "live"}


def test_info_before_a_removal_knows_the_instance_only() -> None:
    assert expand_info(input=STEP_INSTANCE, versions={}) == {**STEP_INSTANCE, "versions": {}}


def test_info_before_the_plan_gathers() -> None:
    options = expand_info(input=STEP_INPUT, probe=False)
    assert options["paths"] == ["/etc/c.pem"]
    assert options["probe"] is False
    assert {"tls_server_name", "authorities", "next_ca", "next_ca_path"}.isdisjoint(options)
    variables = {**STEP_INPUT["variables"], "new_ca_cert": "/n.pem", "new_ca_key": "/n-key.pem"}
    options = expand_info(input={**STEP_INPUT, "variables": variables, "new_ca_cert_pem": "NEXT"})
    assert (options["authorities"], options["next_ca"]) == ("CAS", "NEXT")
    assert options["next_ca_privatekey_path"] == "/n-key.pem"


def test_info_with_the_plan_compares() -> None:
    options = expand_info(input=STEP_INPUT, plan=STEP_PLAN, timeout=5)
    assert (options["desired"], options["serving_ca"]) == (STEP_PLAN["desired"], "CAS")
    assert options["timeout"] == 5
    assert {"metrics_cert", "metrics_key", "metrics_ca_path", "paths"}.isdisjoint(options)
    options = expand_info(input={**STEP_INPUT, "issues_metrics_client": True}, plan=STEP_PLAN)
    assert options["metrics_ca_privatekey_path"] == "/ca-key.pem"
    options = expand_info(input={**STEP_INPUT, "metrics_cert_pem": "M"}, plan=STEP_PLAN)
    assert (options["metrics_cert"], options["metrics_key"]) == ("M", "text of /m-key.pem")


def test_info_with_a_skipped_plan_compares_nothing() -> None:
    options = expand_info(
        input={**STEP_INPUT, "issues_metrics_client": True}, plan={"skipped": True}
    )
    assert {"desired", "metrics_ca_path"}.isdisjoint(options)
    assert options["unit"] == "x.service"


def test_fileset_takes_what_its_state_needs() -> None:
    def expand(state: str, **arguments: Any) -> dict[str, Any]:
        return _module_arguments.expand_fileset({"state": state, "input": STEP_INPUT, **arguments})

    base = {"unit": "x.service", "path": "/var/lib/x"}
    assert expand("absent") == {"state": "absent", **base}
    assert expand("previous", attempt="a") == {"state": "previous", "attempt": "a", **base}
    assert expand("live", plan=STEP_PLAN)["lease"] == STEP_PLAN["lease"]
    assert "lease" not in expand("live")
    assert expand("prepared") == {"state": "prepared", "files": STEP_INPUT["live_files"], **base}
    binary = {"path": "/opt/v", "version": "1.37.2"}
    assert expand("prepared", plan=STEP_PLAN)["binaries"] == [{**binary, "ours": True}]
    staged = expand("staged", plan=STEP_PLAN)
    assert staged["binaries"] == [{**binary, "ours": False}]
    assert (staged["files"], staged["command"]) == (STEP_PLAN["files"], ["/opt/s"])
    assert "log_dir" not in staged


@pytest.mark.parametrize("data", [7, [], {}, {"skipped": True}, {"unit": "x.service"}])
def test_input_of_another_shape_is_rejected(data: Any) -> None:
    with pytest.raises(AnsibleActionFail, match=r"^input: not the result of"):
        expand_info(input=data)
    with pytest.raises(AnsibleActionFail, match=r"^plan: not the result of"):
        _module_arguments.expand_fileset({"state": "live", "input": STEP_INPUT, "plan": "x"})


def test_tables_name_options_of_the_modules() -> None:
    tables = [
        _module_arguments.INFO_REMOVAL,
        _module_arguments.INFO_GATHER,
        _module_arguments.INFO_HEALTH,
        _module_arguments.METRICS_CA,
    ]
    assert {option for table in tables for option in table} <= set(spec.INFO)
    documented = scheduler_fileset.DOCUMENTATION
    for table in _module_arguments.FILESET_STATES.values():
        assert all(f"\n  {option}:\n" in documented for option in table)


def test_credentials_are_staged_with_the_rights_of_the_plan() -> None:
    certificate = _module_arguments.staged_certificate(STEP_PLAN)
    assert (certificate["path"], certificate["privatekey_path"]) == ("/s/c", "/s/k")
    assert (certificate["group"], certificate["mode"]) == ("k8s", "0640")
    assert (certificate["regenerate"], certificate["backup"]) == ("full", True)
    kubeconfig = _module_arguments.staged_kubeconfig(STEP_PLAN)
    assert (kubeconfig["path"], kubeconfig["mode"], kubeconfig["force"]) == ("/s/kc", "0640", True)
    [user] = kubeconfig["users"]
    assert (user["client_key"], user["client_key_source"]) == ("/etc/k.pem", "/s/k")
    copies = _module_arguments.staged_pair_copies(STEP_INPUT["variables"], STEP_PLAN)
    assert [(copy["dest"], copy["group"], copy["mode"]) for copy in copies] == [
        ("/s/c", "root", "0644"),
        ("/s/k", "k8s", "0640"),
    ]


def test_shared_pair_has_the_rights_of_the_calling_user() -> None:
    shared = _module_arguments.shared_certificate(STEP_INPUT["variables"], STEP_PLAN)
    assert (shared["path"], shared["privatekey_path"]) == ("/ca/c.pem", "/ca/k.pem")
    assert {"owner", "group", "mode", "regenerate", "backup"}.isdisjoint(shared)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test how the input and the plan of the role become options of its modules."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _module_arguments, _seal

from tests.support.role import STEP_INPUT, STEP_INSTANCE, STEP_PLAN, sealed_input, sealed_plan


def expand_info(**arguments: Any) -> dict[str, Any]:
    return _module_arguments.expand_info(arguments, "m1", lambda path: f"text of {path}")


def test_arguments_without_input_are_unchanged() -> None:
    assert expand_info(unit="y.service") == {"unit": "y.service"}
    assert _module_arguments.expand_fileset({"state": "live"}, "m1") == {"state": "live"}


def test_info_before_a_removal_knows_the_instance_only() -> None:
    assert expand_info(input=sealed_instance(), versions={}) == {**STEP_INSTANCE, "versions": {}}


def test_info_before_the_plan_gathers() -> None:
    options = expand_info(input=sealed_input(), probe=False)
    assert options["paths"] == ["/etc/c.pem"]
    assert options["probe"] is False
    assert {"tls_server_name", "authorities", "next_ca", "next_ca_path"}.isdisjoint(options)
    variables = {**STEP_INPUT["variables"], "new_ca_cert": "/n.pem", "new_ca_key": "/n-key.pem"}
    options = expand_info(input=sealed_input(variables=variables, new_ca_cert_pem="NEXT"))
    assert (options["authorities"], options["next_ca"]) == ("CAS", "NEXT")
    assert options["next_ca_privatekey_path"] == "/n-key.pem"


def test_info_with_the_plan_compares() -> None:
    options = expand_info(input=sealed_input(), plan=sealed_plan(), timeout=5)
    assert (options["desired"], options["serving_ca"]) == (STEP_PLAN["desired"], "CAS")
    assert options["timeout"] == 5
    assert {"metrics_cert", "metrics_key", "metrics_ca_path", "paths"}.isdisjoint(options)
    options = expand_info(input=sealed_input(issues_metrics_client=True), plan=sealed_plan())
    assert options["metrics_ca_privatekey_path"] == "/ca-key.pem"
    options = expand_info(input=sealed_input(metrics_cert_pem="M"), plan=sealed_plan())
    assert (options["metrics_cert"], options["metrics_key"]) == ("M", "text of /m-key.pem")


def sealed_instance(**changes: Any) -> dict[str, Any]:
    return _seal.seal({**STEP_INSTANCE, "all": False, **changes}, "m1", _seal.INSTANCE)


def expand_fileset(state: str, **arguments: Any) -> dict[str, Any]:
    given = {"state": state, "input": sealed_input(), **arguments}
    return _module_arguments.expand_fileset(given, "m1")


def test_fileset_takes_what_its_state_needs() -> None:
    base = {"unit": "x.service", "path": "/var/lib/x"}
    assert expand_fileset("recalled") == {"state": "recalled", **base}
    prepared = expand_fileset("prepared")
    assert prepared == {"state": "prepared", "files": STEP_INPUT["live_files"], **base}
    binary = {"path": "/opt/v", "version": "1.37.2"}
    recorded = expand_fileset("prepared", plan=sealed_plan())["binaries"]
    assert recorded == [{**binary, "ours": True}]
    staged = expand_fileset("staged", plan=sealed_plan())
    assert staged["binaries"] == [{**binary, "ours": False}]
    assert (staged["files"], staged["command"]) == (STEP_PLAN["files"], ["/opt/s"])
    assert "log_dir" not in staged


def test_fileset_stops_a_scheduler_only_with_the_gate_of_this_run() -> None:
    base = {"unit": "x.service", "path": "/var/lib/x"}
    handover = {"kubeconfig": "/k"}
    known = {"attempt": "a", "handover": handover, "restart": True, "lease": STEP_PLAN["lease"]}
    gate = _seal.seal(known, "m1", _seal.GATE)
    assert expand_fileset("live", gate=gate) == {"state": "live", **known, **base}
    assert expand_fileset("previous", gate=gate) == {"state": "previous", "attempt": "a", **base}
    removal = _seal.seal({"handover": handover}, "m1", _seal.REMOVAL)
    expected = {"state": "absent", "handover": handover, **base}
    assert expand_fileset("absent", input=sealed_instance(), gate=removal) == expected
    assert "handover" not in expand_fileset("absent", input=sealed_instance(all=True))
    for state, given in (
        ("live", {}),
        ("previous", {}),
        ("absent", {"input": sealed_instance()}),
    ):
        with pytest.raises(PlanError, match=r"^gate: not set; set the result of the step"):
            expand_fileset(state, **given)
    for state, wrong in (("live", removal), ("absent", gate), ("live", known)):
        with pytest.raises(PlanError, match=r"^m1: gate: not a result of this run"):
            expand_fileset(state, gate=wrong)


@pytest.mark.parametrize("data", [7, [], {}, {"unit": "x.service"}, STEP_INPUT])
def test_input_that_this_run_did_not_return_is_rejected(data: Any) -> None:
    with pytest.raises(PlanError, match=r"^m1: input: not a result of this run"):
        expand_info(input=data)
    with pytest.raises(PlanError, match=r"^m1: plan: not a result of this run"):
        expand_fileset("staged", plan=data)


@pytest.mark.parametrize("key", ["skipped", "failed", "unreachable"])
def test_host_without_a_result_is_named(key: str) -> None:
    with pytest.raises(PlanError, match=r"^m1: plan: no usable result from this host; see"):
        expand_info(input=sealed_input(), plan={key: True})


def test_tables_name_options_of_the_modules() -> None:
    tables = [
        _module_arguments.INFO_REMOVAL,
        _module_arguments.INFO_GATHER,
        _module_arguments.INFO_HEALTH,
        _module_arguments.METRICS_CA,
    ]
    assert {option for table in tables for option in table} <= set(spec.INFO_SPEC)
    faults = [_module_arguments.FAULT_PRESENT, _module_arguments.FAULT_ABSENT]
    assert {option for table in faults for option in table} <= set(spec.FAULT_SPEC)
    assert set(_module_arguments.MONITORING_FILES) <= set(spec.MONITORING_FILES_SPEC)
    for table in _module_arguments.FILESET_STATES.values():
        assert set(table) <= set(spec.FILESET_SPEC)


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

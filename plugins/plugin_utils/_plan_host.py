# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The steps of scheduler_plan that compute the desired state of a host: host and rotation."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible.plugins.loader import lookup_loader
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MALFORMED_DATA_ERRORS,
    PlanError,
    describe_error,
    printable_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    adopt,
    plan,
    rotation,
    variable_rules,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.host_rules import (
    validate_host,
    validate_instances,
    warn_about_apiservers,
    warn_about_host,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    CA,
    LEAF,
    unit_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    describe_instance,
    parse_settings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _envelope,
    _results,
    _seal,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_input import signing_errors
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_step import (
    Step,
    Vars,
    authorities,
)

# The templates use these variables in addition to the plan.
OF_TEMPLATES = ("ansible_managed", "__kube_scheduler_hardening")
TEMPLATES = {"config": "kube-scheduler.yaml.j2", "unit": "kube-scheduler.service.j2"}
"""The template of each file of the file set that has a template."""


@dataclass
class _Draft:
    """The plan of a host before the role renders its templates."""

    v: variables.Variables  # with the CA of this step of a rotation
    version: str
    plan: plan.HostPlan | None  # None if the version is unknown
    errors: list[str]
    warnings: list[str]


def host(step: Step) -> Vars:
    """Compute the desired state of this host from its facts, and reject impossible settings."""
    facts, tables = step.own_result("results", _seal.INFO), step.tables()
    # With malformed facts, a hostile host can only make its own plan fail.
    try:
        draft = _draft(step, facts, tables)
    except MALFORMED_DATA_ERRORS as error:
        raise PlanError(
            f"{step.host}: invalid facts of this host ({describe_error(error)});"
            f" {_results.CHECK_HOST}"
        ) from None
    adoption = _compare_adoption(step, facts, draft)
    inputs = adopt.AdoptionInputs(draft.v.accepted, plan.map_root_directories(draft.v), step.prefix)
    errors = draft.errors + adopt.check_adoption(step.host, facts, adoption, inputs)
    if draft.plan is None:
        return {"errors": errors, "desired": None, "limitations": []}
    host_plan = plan.withhold_plan(draft.plan)
    errors += host_plan["errors"] or _instance_errors(step, draft.v, host_plan, facts)
    if step.options["strict"]:
        for text in [
            *adopt.describe_adoption(step.host, facts, adoption, draft.v.user),
            *adopt.describe_ownership(step.host, facts, draft.v.accepted),
        ]:
            step.display(printable_line(text))
    host_plan["binary"].update(_binary(step, draft.v, host_plan["binary"]))
    if not errors:
        _render_files(step, host_plan)
    return {
        **{key: value for key, value in host_plan.items() if key != "errors"},
        "errors": errors,
        "warnings": draft.warnings + warn_about_host(step.host, facts),
        "desired": None if errors else _desired(draft.v, host_plan),
        _envelope.OPTION: "" if errors else _enclose_secrets(step, draft.plan),
    }


def _render_files(step: Step, host_plan: plan.HostPlan) -> None:
    """Add the content of each file that has a template."""
    for file in host_plan["files"]:
        if file["name"] in TEMPLATES:
            file["content"] = render(step, TEMPLATES[file["name"]], host_plan)


def _enclose_secrets(step: Step, host_plan: plan.HostPlan) -> str:
    """Return an envelope with the secrets of a plan, "" if there are none.

    `contents` has the contents of files with secrets by name, and `values` has these secrets.
    """
    found = _secrets.find_secrets(host_plan["settings"]["config"])
    if not found:
        return ""
    contents = {"config": render(step, TEMPLATES["config"], host_plan)}
    values = [value for value in found.values() if isinstance(value, str)]
    return _envelope.close_envelope({"contents": contents, "values": values}, step.host)


def _compare_adoption(step: Step, facts: Vars, draft: _Draft) -> adopt.SettingsComparison:
    """Compare the running scheduler with the plan, if there is a plan without errors."""
    if draft.plan is None or draft.plan["errors"]:
        return adopt.NO_CHANGES
    return adopt.compare_adoption(
        facts["process"],
        plan.withhold_plan(draft.plan)["settings"],
        step.tables().known_flags,
        versions.minor_of(draft.version),
        step.prefix,
        draft.v.accepted,
    )


def _draft(step: Step, facts: Vars, tables: plan.Tables) -> _Draft:
    """Validate the facts of the host and compute its plan. Raises MALFORMED_DATA_ERRORS."""
    data, name, prefix = step.options["input"], step.host, step.prefix
    v, results, known = step.settings_with_secrets(), step.results(), authorities(data)
    version = plan.desired_version(v, facts["process"]["version"])
    twins = [
        other
        for other, result in results.items()
        if other != name and result["hostname"] == facts["hostname"]
    ]
    errors = validate_host(v, name, version, facts, twins=twins, prefix=prefix)
    rotation_step = ""
    if known.next:
        scope = data["rotation"].get("step", "")
        rotation_step = rotation.later_step(rotation.completed_step(facts, known), scope)
        errors += rotation.check_step(name, scope, facts, known, prefix)
    v = rotation.select_signing_ca(v, rotation_step)
    warnings = warn_about_apiservers(
        v,
        name,
        version,
        {**results, name: facts},
        addresses=data["addresses"],
        prefix=prefix,
    )
    row = versions.version_row(tables.versions, version)
    if row is None:
        if version:
            errors.append(
                f"{name}: the running version {version} is not supported; set {prefix}version"
            )
        return _Draft(v, version, None, errors, warnings)
    host_plan = plan.compute_plan(
        v,
        name,
        facts,
        plan.PlanInputs(
            election=variables.resolve_election(v, tables.lease_presets),
            sans=data["sans"],
            apiserver_ca=known.trusted_after(rotation_step),
            replace=data["rotation"].get("replace", ()),
            tables=tables,
            running=_running(results),
            prefix=prefix,
            check_mode=step.check_mode,
        ),
    )
    return _Draft(v, version, host_plan, errors, warnings)


def _running(results: t.Mapping[str, Vars]) -> list[t.Any]:
    """Return the election settings of each running member."""
    keys = ("version", "lock", "lease_name", "lease_namespace")
    return [
        {"hostname": result["hostname"], **{key: result["process"][key] for key in keys}}
        for result in results.values()
        if result["process"]["pid"]
    ]


def _instance_errors(
    step: Step, v: variables.Variables, host_plan: plan.HostPlan, facts: Vars
) -> list[str]:
    """Return an error for each resource that this instance would share with another instance."""
    settings = parse_settings(host_plan["command"][1:], host_plan["config"].encode())
    serving = versions.find_serving(
        versions.serving_ranges(step.tables().versions), host_plan["version"]
    )
    paths = [file["path"] for file in host_plan["files"]]
    claim = describe_instance(unit_name(v.name), settings, serving, paths)
    return validate_instances(v, step.host, claim, facts["instances"], step.prefix)


def _binary(step: Step, v: variables.Variables, binary: dict[str, str]) -> dict[str, str]:
    """Return additional entries of the plan for a binary that is not downloaded."""
    if v.binary_source == "present":
        return {
            "missing": f"{step.prefix}binary_source: present, but {step.host} has no"
            f" {binary['path']}; install the binary there, or set download or controller"
        }
    if v.binary_source == "controller":
        return variable_rules.inspect_controller_binary(
            binary,
            is_file=os.path.isfile,
            read=lambda path: step.read_text(f"{step.prefix}binary_url", path),
            prefix=step.prefix,
        )
    return {}


def render(step: Step, template: str, host_plan: plan.HostPlan) -> str:
    """Return the rendered text of a template of the role."""
    lookup = lookup_loader.get(
        "ansible.builtin.template", loader=step.action._loader, templar=step.action._templar
    )
    # The lookup copies all variables, so only the necessary ones are passed.
    known = {name: step.vars[name] for name in OF_TEMPLATES if name in step.vars}
    known["ansible_search_path"] = step.action._task.get_search_path()
    known["plan"] = wrap_var({"config": host_plan["config"], "unit": host_plan["unit"]})
    return str(lookup.run([template], variables=known)[0])


def _desired(v: variables.Variables, host_plan: plan.HostPlan) -> Vars:
    """Return the desired state that scheduler_info compares the host with."""
    pair: Vars = {"certificate_source": v.cert_source, "privatekey_source": v.key_source}
    if v.pki == "shared":
        made = {**host_plan["certificate"], "path": v.cert_source, "privatekey_path": v.key_source}
        pair["x509_cert"] = {
            key: value for key, value in made.items() if key not in host_plan["secret"]
        }
    return {
        "version": host_plan["version"],
        "binary": host_plan["binary"]["path"],
        "binary_source": v.binary_source,
        "log_dir": host_plan["log_dir"],
        "certificate": host_plan["certificate"] if v.pki in ("node", "external") else None,
        "pair": pair if v.pki in ("shared", "provided") else None,
        "kubeconfig": host_plan["kubeconfig"],
        "files": host_plan["files"],
        "settings": host_plan["settings"],
    }


def rotation_steps(step: Step) -> Vars:
    """Return the remaining steps of a rotation, and the certificate of this host to replace."""
    data, v = step.options["input"], step.settings()
    kind, known = data["of_playbooks"].get("rotate", LEAF), authorities(data)
    members = step.member_variables(data)
    results = step.results(member_variables=members)
    errors = [
        f"{name}: no usable result from this host; see its failed tasks"
        for name in data["playing"]
        if name not in results
    ]
    plans = step.plans(members)
    for name, result in results.items():
        version = str(plans.get(name, {}).get("version") or "")
        errors += rotation.check_other_drift(name, result, version)
    table = rotation.format_certificate_table(results, known, v, current_utc())
    if kind == CA:
        results_with_apiserver = _with_apiserver(results, step.results("before", members))
        stands = rotation.completed_steps(results_with_apiserver, known)
        steps = rotation.remaining_steps(
            stands,
            can_previous_sign=not signing_errors(step, v, data["sans"]),
            check=step.check_mode,
        )
        accepted = {
            name: rotation.is_next_ca_accepted(result)
            for name, result in results_with_apiserver.items()
        }
        lines = rotation.describe_ca_steps(stands, accepted)
    else:
        steps = [kind] if kind == LEAF or rotation.is_renewal_due(results) else []
        lines = [] if steps else ["no certificate is due for renewal"]
    step.display_once(data, lines, table)
    return {"errors": errors, "steps": steps, "replace": _replaced(step, kind, v, results)}


def _with_apiserver(
    results: t.Mapping[str, Vars], gathered: t.Mapping[str, Vars]
) -> dict[str, Vars]:
    """Return `results` with the state of the apiservers, which only the first query gathers."""
    return {
        name: {
            **result,
            **{key: gathered.get(name, result)[key] for key in ("apiserver", "apiservers")},
        }
        for name, result in results.items()
    }


def _replaced(
    step: Step, kind: str, v: variables.Variables, results: t.Mapping[str, Vars]
) -> list[str]:
    """Return the fingerprint of the leaf certificate that a rotation replaces, as a list."""
    if kind != LEAF:
        return []
    fingerprint = ""
    if v.pki != "shared":
        if step.host in results:
            fingerprint = rotation.pair_fingerprint(results[step.host]["certificates"])
    elif os.path.isfile(v.cert_source):
        fingerprint = rotation.first_fingerprint(
            step.read_certificates(f"{step.prefix}cert_source", v.cert_source)
        )
    return [fingerprint] if fingerprint else []

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The steps of scheduler_plan that report: status, rotated and monitoring."""

from __future__ import annotations

import json
import typing as t

import yaml
from ansible import constants as C  # noqa: N812
from ansible.errors import AnsibleError
from ansible.parsing.yaml.dumper import AnsibleDumper
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    rollout,
    rotation,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import (
    metrics,
    monitoring,
    status,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.page import (
    render_status_page,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.table import (
    render_table,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import (
    MONITORING_SPEC,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import (
    current_utc,
    format_utc,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _seal
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_step import (
    Step,
    Vars,
    authorities,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._report_mode import (
    parse_report_mode,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import ROLE

UNKNOWN_CLUSTER = "unknown"
OF_ANSIBLE = ("all", "ungrouped")
"""Groups that exist in every inventory."""
DASHBOARD = ROLE / "files/dashboard.json"
# The function that renders each report, by the variable with the path of the report.
REPORTS: dict[str, t.Callable[[status.StatusDocument], str]] = {
    "status_json": lambda report: json.dumps(report, indent=2) + "\n",
    "status_html": render_status_page,
    "status_metrics": metrics.render_metrics,
}
# The colors that Ansible uses for ok, changed, failed and unreachable.
COLORS = {
    "healthy": C.COLOR_OK,
    "drift": C.COLOR_CHANGED,
    "failed": C.COLOR_ERROR,
    "unhealthy": C.COLOR_ERROR,
    "no_answer": C.COLOR_UNREACHABLE,
}


def status_report(step: Step) -> Vars:
    """Show the state of every cluster of the play, and write the report files."""
    inputs, lost = _clusters(step)
    if not inputs:
        raise PlanError(
            "no host of this play has the result of the step variables in this variable;"
            " run that step first",
            option="inputs",
        )
    clusters = [*_evaluated(step, inputs), *_lost(lost)]
    report = status.build_document(clusters, format_utc(current_utc()))
    lines = render_table(report)
    # The module debug would fold and quote these lines.
    for text, state in lines:
        step.display(text, color=COLORS.get(state))
    for variable, path, mode in _report_files(step, inputs):
        content = REPORTS[variable](report).encode()
        write.write(path, content, rights=write.rights_setter(-1, -1, mode))
        step.display(f"written: {path}")
    return {"errors": status.list_reasons(report), "lines": [text for text, _state in lines]}


def _report_files(step: Step, inputs: t.Mapping[str, Vars]) -> set[tuple[str, str, int]]:
    """Return the variable, path and mode of each report file; in check mode, an empty set."""
    if step.check_mode:
        return set()
    return {
        (variable, step.report_path(variable, path), parse_report_mode(data["of_playbooks"]))
        for data in inputs.values()
        for variable, path in data["of_playbooks"].items()
        if variable in REPORTS
    }


def _clusters(step: Step) -> tuple[dict[str, Vars], dict[str, list[str]]]:
    """Return the input of each cluster of this play, and the hosts of clusters without input.

    The keys of both results are groups. A cluster has no input if the step variables failed on all
    of its hosts.
    """
    hostvars, remaining = step.vars["hostvars"], step.vars["ansible_play_hosts"]
    inputs: dict[str, Vars] = {}
    known: set[str] = set()
    lost: list[str] = []
    for name in step.vars["ansible_play_hosts_all"]:
        data = None if name in known else hostvars.raw_get(name).get(step.options["inputs"])
        if _seal.is_sealed(data, name, _seal.VARIABLES) and data.get("playing"):
            inputs[data["variables"]["group"]] = dict(data)
            known.update(data["playing"])
        elif name not in remaining:
            lost.append(name)
    by_group: dict[str, list[str]] = {}
    for name in lost:
        if name not in known:
            by_group.setdefault(_lost_group(step, name), []).append(name)
    return inputs, by_group


def _lost_group(step: Step, name: str) -> str:
    """Return the cluster of a host without input, UNKNOWN_CLUSTER if the inventory has no name.

    Facts of a host never name a cluster.
    """
    groups, variable = step.vars["groups"], f"{step.prefix}group"
    known = step.vars["hostvars"][name]
    try:
        is_fact = variable in (known.get("ansible_facts") or {})
        declared = "" if is_fact else str(known.get(variable))
    except AnsibleError:
        declared = ""  # Ansible cannot compute the name of the cluster.
    if name in groups.get(declared, ()):
        return declared
    own = [group for group in groups if group not in OF_ANSIBLE and name in groups[group]]
    return own[0] if len(own) == 1 else UNKNOWN_CLUSTER


def _evaluated(step: Step, inputs: t.Mapping[str, Vars]) -> t.Iterator[status.ClusterStatus]:
    tables, before = step.tables(), step.options["before"]
    for group, data in inputs.items():
        v, members = variables.Variables(**data["variables"]), step.member_variables(data)
        results = step.results(member_variables=members)
        gathered = status.GatheredResults(
            step.scope(data),
            results,
            plans=step.plans(members),
            before=step.results("before", members) if before else {},
        )
        timings = variables.resolve_election(v, tables.lease_presets).timings()
        yield status.evaluate_cluster(
            group,
            gathered,
            status.ClusterSettings(timings, v.renew_before, tables.versions),
            _rotation_notes(step, data, results),
        )


def _rotation_notes(step: Step, data: Vars, results: t.Mapping[str, Vars]) -> list[str]:
    known = authorities(data)
    if not known.next:
        return []
    return rotation.describe_progress(rotation.completed_steps(results, known), step.prefix)


def _lost(lost: t.Mapping[str, list[str]]) -> t.Iterator[status.ClusterStatus]:
    for group, names in lost.items():
        scope = rollout.PlayScope(names, names, [], names)
        yield status.evaluate_cluster(group, status.GatheredResults(scope, {}, {}, {}), None)


def rotated(step: Step) -> Vars:
    """Show the certificates after a rotation, and check the certificates of this host."""
    data, results = step.options["input"], step.results()
    remaining = step.own_result("remaining", _seal.ROTATION)
    if step.check_mode or not remaining["steps"]:
        return {"errors": []}
    # The report has already shown the remaining steps of a rotation of the CA.
    table = rotation.format_certificate_table(
        results, authorities(data), step.settings(), current_utc()
    )
    step.display_once(data, [], table)
    replaced = data["rotation"].get("replace", [])
    return {"errors": rotation.evaluate_rotation(step.host, results.get(step.host), replaced)}


def monitoring_files(step: Step) -> Vars:
    """Compute the Prometheus files that monitor all hosts with validated variables."""
    step.reject_foreign_values()
    settings, errors = monitoring.read_monitoring_settings(
        {name: step.template(name) for name in MONITORING_SPEC if name in step.vars}
    )
    tables, clusters = step.tables(), _monitored(step)
    if not clusters:
        errors.append(
            "no control-plane host has validated variables;"
            " run monitoring.yml without --limit and --tags"
        )
    for cluster in clusters:
        errors += monitoring.list_scrape_errors(cluster, tables.versions, step.prefix)
    if errors or not settings:
        return {"errors": errors}
    monitoring_plan = monitoring.plan_monitoring(clusters, settings, tables.versions)
    return {
        "errors": [],
        "warnings": monitoring_plan.warnings,
        "identities": monitoring_plan.identities,
        "files": [
            {"name": path.removeprefix(f"{settings.dir}/"), "content": _as_text(content)}
            for path, content in monitoring_plan.files.items()
        ]
        + [{"name": DASHBOARD.name, "content": DASHBOARD.read_text(encoding="utf-8")}],
        "dir": settings.dir,
        "group": settings.group,
        "service": settings.service,
        "subject": monitoring.CLIENT_SUBJECT,
        "valid_for": monitoring.CLIENT_VALID_FOR,
        "renew_before": monitoring.CLIENT_RENEW_BEFORE,
    }


def _as_text(content: t.Any) -> str:
    if isinstance(content, str):
        return content
    return yaml.dump(content, Dumper=AnsibleDumper, sort_keys=False, width=1000)


def _monitored(step: Step) -> list[monitoring.MonitoredCluster]:
    presets = step.tables().lease_presets
    clusters: dict[tuple[str, str], monitoring.MonitoredCluster] = {}
    for name, known in step.vars["hostvars"].items():
        data = known.get(step.options["inputs"])
        # Facts, a fact cache or `-e` can set a variable of this name on any host of the inventory.
        if not _seal.is_sealed(data, name, _seal.VARIABLES) or not data.get("sans"):
            continue
        v = variables.Variables(**data["variables"])
        cluster = clusters.setdefault(
            (v.group, v.name),
            monitoring.MonitoredCluster(
                variables={},
                addresses=dict(zip(data["members"], data["addresses"])),
                timings=variables.resolve_election(v, presets).timings(),
                ca=data["authorities_pem"],
            ),
        )
        cluster.variables[name] = v
    return list(clusters.values())

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The steps of scheduler_plan that control a rollout, a rollback and the removal of a host."""

from __future__ import annotations

import secrets
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    PlanError,
    printable_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    adopt,
    plan,
    rollout,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.host_rules import (
    validate_apiserver,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_step import Step, Vars


def rollout_order(step: Step) -> Vars:
    """Compute the rollout order of the members with drift, and show it once for the cluster."""
    data, results, scope = step.options["input"], step.results(), step.scope(step.options["input"])
    version, settings = step.options["version"], step.settings()
    pending = rollout.describe_drift(results[step.host]) if step.host in results else []
    for text in pending:
        step.display(f"pending on {step.host}: {text}")
    order = rollout.compute_order(results) if settings.rollout else []
    step.display_once(data, rollout.describe_order(order, results, version, step.seconds("bound")))
    return {
        "errors": rollout.check_leader_scope(order, results, scope),
        "batches": order,
        "healthy": rollout.list_healthy(results),
        "pending": pending,
        "outdated": rollout.are_results_stale(order, scope.batch),
        "version": version,
        "compared": True,
    }


def rollback_order(step: Step) -> Vars:
    """Compute the order in which the members return to their previous file sets.

    If a previous file set cannot run, the result contains an error.
    """
    data = step.options["input"]
    members, scope = step.member_variables(data), step.scope(data)
    results = step.results(member_variables=members)
    recalled = {
        name: members[name].get(step.options["recalled"]) or {}
        for name in results
        if name not in scope.lost
    }
    local = recalled.get(step.host)
    if not local:
        raise PlanError(
            f"no file set was recalled on {step.host}; run scheduler_fileset with state: recalled"
            " first",
            option="recalled",
        )
    changed = [name for name, entry in recalled.items() if entry.get("changed") is True]
    order = rollout.compute_order(results, changed)
    version = str(local.get("version") or "")
    step.display_once(data, rollout.describe_order(order, results, version, step.seconds("bound")))
    return {
        "errors": [
            *rollout.check_recall(step.host, local, current_utc(), step.prefix),
            *validate_apiserver(
                step.settings(), step.host, version, step.options["host"], step.prefix
            ),
            *rollout.check_recalled_versions(recalled, results),
            *rollout.check_leader_scope(order, results, scope),
        ],
        "batches": order,
        "healthy": rollout.list_healthy(results),
        "outdated": rollout.are_results_stale(order, scope.batch),
        "version": version,
        "compared": False,
    }


def gate(step: Step) -> Vars:
    """Check whether this host can be rolled now. If an earlier member was not rolled, fail."""
    _validate_gate(step)
    data, order, position = step.options["input"], step.options["order"], step.options["position"]
    members, scope = step.member_variables(data), step.scope(data)
    results = step.results(member_variables=members)
    marks = _marks(step.options["outcomes"], order, members, scope.lost)
    if step.check_mode:
        # In check mode, no member was rolled, so unhealthy members remain unhealthy.
        results |= {
            name: {**results[name], "healthy": True} for name in marks.rolled if name in results
        }
    turn = rollout.RolloutStep(order, position, step.host)
    decision = rollout.check_gate(turn, marks, step.options["healthy"], results, scope)
    if not decision.stopped and not decision.errors and position < len(order):
        step.display(rollout.describe_step(turn, results, check=step.check_mode))
    handover = None
    if decision.hands_over:
        kubeconfig = step.settings().kubeconfig_path
        process = results[step.host]["process"]
        handover = _handover(process, kubeconfig, step.options["timeout"])
    return {
        "errors": decision.errors,
        "stopped": decision.stopped,
        "blocked": decision.blocked,
        "attempt": secrets.token_hex(8),
        "handover": handover,
    }


def _validate_gate(step: Step) -> None:
    """Raise PlanError for an option that does not fit the rollout."""
    order, position = step.options["order"], step.options["position"]
    if not 0 <= position <= len(order):
        raise PlanError(
            f"{position} is not a position of a rollout with {len(order)} steps", option="position"
        )
    members = step.options["input"]["members"]
    foreign = [name for name in step.options["healthy"] if name not in members]
    if foreign:
        raise PlanError(f"{foreign[0][:80]!r} is not a member of the cluster", option="healthy")
    step.seconds("timeout")


def _marks(
    variable: str,
    order: t.Sequence[t.Sequence[str]],
    members: t.Mapping[str, t.Mapping[str, t.Any]],
    lost: t.Collection[str],
) -> rollout.RolloutMarks:
    """Return what happened to each member of the rollout so far."""
    marks = {name: members[name].get(variable) or {} for batch in order for name in batch}
    return rollout.RolloutMarks(
        rolled=[name for name, mark in marks.items() if mark.get("rolled")],
        failed={*(name for name, mark in marks.items() if mark.get("failed")), *lost},
        blocked={name: str(mark["blocked"]) for name, mark in marks.items() if mark.get("blocked")},
    )


def _handover(process: Vars, kubeconfig: str, timeout: float) -> Vars:
    """Return the option handover of scheduler_fileset."""
    return {
        "kubeconfig": process["kubeconfig"] or kubeconfig,
        "name": process["lease_name"],
        "namespace": process["lease_namespace"],
        "lock": process["lock"],
        "timeout": timeout,
    }


def outcome(step: Step) -> Vars:
    """Evaluate this host after its roll or rollback."""
    bound = step.seconds("bound")
    if step.check_mode:
        return {"errors": [], "rolled": True}
    results, rolled_back = step.results(), step.options["rolled_back"]
    if step.host not in results:
        return {
            "errors": [
                f"{step.host}: no usable result from this host after the roll; see its failed tasks"
            ]
        }
    result, handover = results[step.host], step.options["handover"]
    errors = rollout.evaluate_roll(
        step.host,
        result,
        version=step.options["version"],
        compared=step.options["compared"] and not rolled_back,
        rolled_back=rolled_back,
    )
    lines = rollout.describe_handover(step.host, handover, bound) if handover else []
    if not errors:
        done = "rolled back" if rolled_back else "rolled"
        lines.append(f"{step.host}: {done}, healthy, version {result['process']['version']}")
    for text in lines:
        step.display(printable_line(text))
    return {"errors": errors, "rolled": not rolled_back}


def verdict(step: Step) -> Vars:
    """Evaluate this host and its cluster at the end of the play."""
    results = step.results()
    if step.host not in results:
        return {"errors": [f"{step.host}: no usable result from this host; see its failed tasks"]}
    evaluation = rollout.evaluate_member(
        step.host,
        results,
        step.scope(step.options["input"]),
        step.options["version"],
        rolled=step.settings().rollout and step.options["compared"],
    )
    return {"errors": evaluation.errors, "not_checked": evaluation.not_checked}


def removal(step: Step) -> Vars:
    """Check that another scheduler remains, and plan the handover if this host leads."""
    results, data = step.results(), step.options["input"]
    if step.host not in results:
        return {"errors": [f"{step.host}: no usable result from this host; see its failed tasks"]}
    decision = rollout.check_removal(
        step.host, results, step.scope(data), f"pass -e {step.prefix}confirm=all"
    )
    for line in adopt.describe_restorable(step.host, results[step.host]):
        step.display(line)
    process = results[step.host]["process"]
    timeout = plan.handover_timeout_of(process["timings"])
    return {
        "errors": decision.errors,
        "leads": decision.leads,
        "handover": _handover(process, data["kubeconfig"], timeout) if process["pid"] else None,
    }

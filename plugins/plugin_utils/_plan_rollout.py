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
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _seal
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_step import Step, Vars


def rollout_order(step: Step) -> Vars:
    """Compute the rollout order of the members with drift, and show it once for the cluster."""
    data, results, scope = step.options["input"], step.results(), step.scope(step.options["input"])
    own, host_plan = step.own_result("results", _seal.INFO), step.own_result("plans", _seal.PLAN)
    version, settings = host_plan["version"], step.settings()
    pending = rollout.describe_drift(own)
    for text in pending:
        step.display(f"pending on {step.host}: {text}")
    order = rollout.compute_order(results) if settings.rollout else []
    step.display_once(data, rollout.describe_order(order, results, version, host_plan["handover"]))
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
    local = _with_change(step.own_result("recalled", _seal.FILESET))
    recalled = {
        name: _with_change(entry)
        for name, entry in step.sealed_results("recalled", (_seal.FILESET,), members).items()
        if name in results and name not in scope.lost
    }
    # If the variables of a host are invalid, the host can be rolled back, but the plan has no upper
    # bound of its handover time.
    bound = step.own_result("plans", _seal.PLAN).get("handover", 0)
    changed = [name for name, entry in recalled.items() if entry["changed"]]
    order = rollout.compute_order(results, changed)
    version = str(local.get("version") or "")
    step.display_once(data, rollout.describe_order(order, results, version, bound))
    return {
        "errors": [
            *rollout.check_recall(step.host, local, current_utc(), step.prefix),
            *validate_apiserver(
                step.settings(),
                step.host,
                version,
                step.own_result("before", _seal.INFO),
                step.prefix,
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


def _with_change(recalled: Vars) -> Vars:
    """Return the result of scheduler_fileset with `changed`, which its seal does not cover."""
    return {**recalled, "changed": bool(recalled.get("done"))}


def gate(step: Step) -> Vars:
    """Check whether this host can be rolled now. If an earlier member was not rolled, fail."""
    data, known = step.options["input"], step.own_result("rollout", _seal.ROLLOUT)
    order, position = known["batches"], _position(step, known["batches"])
    members, scope = step.member_variables(data), step.scope(data)
    results = step.results(member_variables=members)
    host_plan = step.own_result("plans", _seal.PLAN)
    marks = _marks(step.sealed_results("outcomes", (_seal.MARK,), members), order, scope.lost)
    if step.check_mode:
        # In check mode, no member was rolled, so unhealthy members remain unhealthy.
        results |= {
            name: {**results[name], "healthy": True} for name in marks.rolled if name in results
        }
    turn = rollout.RolloutStep(order, position, step.host)
    decision = rollout.check_gate(turn, marks, known["healthy"], results, scope)
    if not decision.stopped and not decision.errors and position < len(order):
        step.display(rollout.describe_step(turn, results, check=step.check_mode))
    handover = None
    if decision.hands_over:
        kubeconfig = step.settings().kubeconfig_path
        process = results[step.host]["process"]
        handover = _handover(process, kubeconfig, host_plan["timeouts"]["handover"])
    return {
        "errors": decision.errors,
        "stopped": decision.stopped,
        "blocked": decision.blocked,
        "attempt": secrets.token_hex(8),
        "handover": handover,
        "restart": step.host not in known["healthy"],
        # After a rollback, the restored file set can use another lease than the plan.
        "lease": host_plan["lease"] if known["compared"] else None,
    }


def _position(step: Step, order: rollout.Order) -> int:
    """Return the current position of the rollout. Raises PlanError."""
    position: int = step.options["position"]
    if not 0 <= position <= len(order):
        raise PlanError(
            f"{position} is not a position of the rollout; set a position from 0 to {len(order)}",
            option="position",
        )
    return position


def _marks(
    outcomes: t.Mapping[str, Vars], order: rollout.Order, lost: t.Collection[str]
) -> rollout.RolloutMarks:
    """Return what happened to each member of the rollout so far."""
    marks = {name: outcomes.get(name, {}) for batch in order for name in batch}
    return rollout.RolloutMarks(
        rolled=[name for name, known in marks.items() if known.get("rolled")],
        failed={*(name for name, known in marks.items() if known.get("interrupted")), *lost},
        blocked={
            name: str(known["blocked"]) for name, known in marks.items() if known.get("blocked")
        },
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
    rolled_back = step.options["rolled_back"]
    known = step.own_result("rollout", _seal.ROLLOUT)
    lines = [] if rolled_back else _describe_handover(step)
    if step.check_mode:
        return {"errors": [], "rolled": True}
    result = step.own_result("results", _seal.INFO)
    errors = rollout.evaluate_roll(
        step.host,
        result,
        version="" if rolled_back else known["version"],
        compared=known["compared"] and not rolled_back,
        rolled_back=rolled_back,
    )
    if not errors:
        done = "rolled back" if rolled_back else "rolled"
        lines.append(f"{step.host}: {done}, healthy, version {result['process']['version']}")
    for text in lines:
        step.display(printable_line(text))
    return {"errors": errors, "rolled": not rolled_back}


def _describe_handover(step: Step) -> list[str]:
    """Return lines about the measured handover, which the result of the promotion contains."""
    promoted = step.own_result("fileset", _seal.FILESET)
    bound = step.own_result("plans", _seal.PLAN)["handover"]
    handover = promoted.get("handover")
    return rollout.describe_handover(step.host, handover, bound) if handover else []


def mark(step: Step) -> Vars:
    """Return what happened to this member in the current rollout, for the gates of the cluster.

    Without the options `interrupted` and `gate`, nothing happened yet.
    """
    blocked = step.own_result("gate", _seal.GATE)["blocked"] if step.options["gate"] else ""
    return {
        "errors": [],
        "rolled": False,
        "interrupted": step.options["interrupted"],
        "blocked": blocked,
    }


def verdict(step: Step) -> Vars:
    """Evaluate this host and its cluster at the end of the play."""
    step.own_result("results", _seal.INFO)
    version, compared = step.own_result("plans", _seal.PLAN).get("version", ""), True
    known = step.vars.get(step.options["rollout"])
    # The phase verify alone has no rollout.
    if known is not None and not _seal.is_without_result(known):
        known = step.own_result("rollout", _seal.ROLLOUT)
        version, compared = known["version"], known["compared"]
    evaluation = rollout.evaluate_member(
        step.host,
        step.results(),
        step.scope(step.options["input"]),
        version,
        rolled=step.settings().rollout and compared,
    )
    return {"errors": evaluation.errors, "not_checked": evaluation.not_checked}


def removal(step: Step) -> Vars:
    """Check that another scheduler remains, and plan the handover if this host leads."""
    results, data = step.results(), step.options["input"]
    step.own_result("results", _seal.INFO)
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

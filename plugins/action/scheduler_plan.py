# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run one step of the plan on the controller. The steps are in plugin_utils/_plan_*.py."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MALFORMED_DATA_ERRORS,
    CollectionError,
    describe_error,
    printable_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _arguments,
    _plan_host,
    _plan_input,
    _plan_report,
    _plan_rollout,
    _seal,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_step import Step, Vars

STEPS: dict[str, t.Callable[[Step], Vars]] = {
    "instance": _plan_input.instance,
    "variables": _plan_input.role_variables,
    "host": _plan_host.host,
    "rotation": _plan_host.rotation_steps,
    "rollout": _plan_rollout.rollout_order,
    "rollback": _plan_rollout.rollback_order,
    "gate": _plan_rollout.gate,
    "outcome": _plan_rollout.outcome,
    "mark": _plan_rollout.mark,
    "verdict": _plan_rollout.verdict,
    "removal": _plan_rollout.removal,
    "status": _plan_report.status_report,
    "rotated": _plan_report.rotated,
    "monitoring": _plan_report.monitoring_files,
}

# The kind of a sealed result is the name of its step, except for these steps.
KINDS = {"rollback": _seal.ROLLOUT, "outcome": _seal.MARK}


class ActionModule(ActionBase):
    """Run one step for one host, without a module and without contact with the host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        self.options = _arguments.read_arguments(self, spec.PLAN_SPEC, spec.PLAN_REQUIRED_IF)
        name, step = self.options["step"], Step(self, self.options, task_vars or {})
        try:
            outcome = self._run_step(step)
        except CollectionError as error:
            raise AnsibleActionFail(str(error)) from None
        except MALFORMED_DATA_ERRORS as error:
            raise AnsibleActionFail(
                f"{step.host}: step {name}: an option does not contain the result"
                f" of the earlier step ({describe_error(error)}); set the registered result"
            ) from None
        errors = outcome["errors"] = [printable_line(error) for error in outcome["errors"]]
        kind = KINDS.get(name, name)
        # Without valid variables, no later step can run, even if the play continues after errors.
        if errors and (self.options["strict"] or outcome.get("sans", ()) is None):
            failure = _seal.seal({"errors": errors}, step.host, _seal.failed(kind))
            return result | failure | {"failed": True, "msg": "\n".join(errors)}
        return result | _seal.seal(outcome, step.host, kind)

    def _run_step(self, step: Step) -> Vars:
        data = self.options["input"]
        if data is not None:
            self.options["input"] = _seal.require_sealed(data, "input", step.host, *_seal.INPUTS)
        return STEPS[self.options["step"]](step)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run x509_cert or copy, then kubeconfig, with arguments from the plan."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _arguments,
    _module_arguments,
    _results,
    _seal,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

Vars = dict[str, t.Any]
KUBECONFIG_MODULE = "kube_ha.scheduler.kubeconfig"
# The keys that the result keeps from x509_cert.
PAIR_RESULT_KEYS = ("reasons", "awaited", "refused")


class ActionModule(HostAction):
    """Stage the credentials of a host, or issue key pairs for a Prometheus host or for all hosts."""

    TRANSFERS_FILES = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        options = _arguments.read_arguments(
            self, spec.CREDENTIALS_SPEC, spec.CREDENTIALS_REQUIRED_IF
        )
        self.task_vars = task_vars
        try:
            tasks = self._tasks(options)
        except PlanError as error:
            raise AnsibleActionFail(str(error)) from None
        results: list[Vars] = []
        for run_task, arguments in tasks:
            results.append(run_task(arguments))
            if results[-1].get("failed") or results[-1].get("unreachable"):
                break
        return result | _merge(results) | _results.interpreter_facts(self)

    def _tasks(self, options: Vars) -> list[tuple[t.Callable[[Vars], Vars], Vars]]:
        """Return each task of the state with its arguments. Raises PlanError."""
        state, host = options["state"], str((self.task_vars or {}).get("inventory_hostname", ""))
        kind = _seal.MONITORING if state == "client" else _seal.PLAN
        sources = _module_arguments.take_sources(
            options, host, {"input": (_seal.VARIABLES,), "plan": (kind,)}
        )
        plan = sources["plan"]
        if state == "client":
            certificates = _module_arguments.client_certificates(plan)
            return [(self._certificate, arguments) for arguments in certificates]
        data = sources["input"]["variables"]
        if state == "shared":
            return [(self._certificate, _module_arguments.shared_certificate(data, plan))]
        if data["pki"] in ("shared", "provided"):
            copies = _module_arguments.staged_pair_copies(data, plan)
            pair = [(self._copy, arguments) for arguments in copies]
        else:
            pair = [(self._certificate, _module_arguments.staged_certificate(plan))]
        return [*pair, (self._kubeconfig, _module_arguments.staged_kubeconfig(plan))]

    def _certificate(self, arguments: Vars) -> Vars:
        return self._run_action("kube_ha.scheduler.x509_cert", arguments)

    def _copy(self, arguments: Vars) -> Vars:
        # In check mode, no earlier task has created the key pair.
        if self._task.check_mode and not os.path.isfile(arguments["src"]):
            return {}
        # The diff would contain the private key.
        return self._run_action("ansible.builtin.copy", arguments, diff=False)

    def _kubeconfig(self, arguments: Vars) -> Vars:
        return self.run_module(arguments, self.task_vars, (), KUBECONFIG_MODULE)

    def _run_action(self, name: str, arguments: Vars, **attributes: t.Any) -> Vars:
        """Return the result of another action plugin, run as a task on the same host."""
        task = self._task.copy()
        task.args = arguments
        for attribute, value in attributes.items():
            setattr(task, attribute, value)
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return dict(action.run(task_vars=self.task_vars))


def _merge(results: t.Sequence[Vars]) -> Vars:
    """Merge the results of several tasks. The last task determines failure."""
    merged: Vars = {"changed": False, "diff": [], "warnings": [], "deprecations": []}
    for result in results:
        kept = _results.filter_result(result, PAIR_RESULT_KEYS)
        diff = kept.pop("diff", [])
        merged["diff"] += diff if isinstance(diff, list) else [diff]
        for name in ("warnings", "deprecations"):
            merged[name] += kept.pop(name, [])
        merged |= {**kept, "changed": merged["changed"] or kept.get("changed", False)}
    return merged

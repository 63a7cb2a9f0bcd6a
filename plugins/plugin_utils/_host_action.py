# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Run a module on a host. Only this class receives results of modules."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MALFORMED_DATA_ERRORS,
    PlanError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _arguments, _results

Vars = dict[str, t.Any]
_Valid = t.TypeVar("_Valid")


class HostAction(ActionBase):
    """Run modules whose results are not trusted."""

    _origin = "the result"

    def expand_arguments(self, expand: t.Callable[[Vars], Vars]) -> Vars:
        """Return the options for the module, computed from those of the task, which are discarded.

        Raises AnsibleActionFail for the PlanError of `expand`.
        """
        try:
            arguments = expand(self._task.args)
        except PlanError as error:
            raise AnsibleActionFail(str(error)) from None
        _arguments.discard(self._task)
        return arguments

    def run_module(
        self,
        arguments: Vars,
        task_vars: Vars | None,
        known: t.Collection[str],
        name: str | None = None,
    ) -> Vars:
        """Return the filtered, bounded and clean result of a module; see `filter_result`.

        `name` is the name of the module if the task has another name.
        """
        host = (task_vars or {}).get("inventory_hostname", "the host")
        module = str(name or self._task.action).rpartition(".")[2]
        self._origin = f"{host}: the result of {module}"
        names = (name,) if name else ()
        try:
            result = self._execute_module(*names, module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            # A host can set a part of the message, for example in a banner of ssh.
            raise AnsibleConnectionFailure(_results.clean_message(error.message)) from None
        return _results.filter_result(result, known, self._origin)

    def validate_result(
        self, validate: t.Callable[[Vars], _Valid], result: Vars, host: str, module: str
    ) -> _Valid:
        """Return the fields that `validate` accepts. Raises AnsibleActionFail for its ProbeError."""
        try:
            return validate(result)
        except ProbeError as error:
            raise AnsibleActionFail(
                f"{host}: invalid result of {module} ({error}); {_results.CHECK_HOST}"
            ) from None

    def _parse_returned_data(self, res: Vars, *args: t.Any, **kwargs: t.Any) -> Vars:
        """Bound and clean the output before Ansible prints a part of it in warnings."""
        output = _results.limit_output(res, self._origin)
        try:
            parsed = super()._parse_returned_data(output, *args, **kwargs)
        except (*MALFORMED_DATA_ERRORS, AnsibleError) as error:
            # The text of the error can repeat any text of the host.
            problem = f"its JSON cannot be decoded ({type(error).__name__})"
            return _results.reject(self._origin, problem)
        return _results.drop_execution_keys(parsed)

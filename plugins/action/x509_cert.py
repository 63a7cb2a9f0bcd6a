# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign for x509_cert with a CA on the controller, or write the signing request to a file."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    LibraryError,
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_RESULT_KEYS,
    CSR_KEY,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller import (
    prepare_task,
    sign_request,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_external import (
    prepare_external_task,
    write_request,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_options import (
    file_not_found,
    reject_internal_options,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _results, _vault
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

MODULE = "kube_ha.scheduler.x509_cert"
# Only the first module run changes the key and its permissions, so the second run does not report
# these changes.
_FIRST_RUN_KEYS = ("reasons", "clamped", "not_after_wanted", "warnings", "deprecations")

Arguments = dict[str, t.Any]
TaskVariables = t.Optional[dict[str, t.Any]]


class ActionModule(HostAction):
    """Check the CA, request a CSR from the target, sign it, and return the certificate."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: TaskVariables = None) -> _results.Result:
        """Run the module on the target; sign between two runs if the CA is on the controller."""
        result: _results.Result = super().run(tmp, task_vars)
        args: Arguments = dict(self._task.args)
        location = "target" if args.get("state") == "absent" else args.get("ca_on")
        execute = {"controller": self._sign, "external": self._request}.get(
            str(location), self._run_module
        )
        try:
            reject_internal_options(args)
            result |= execute(args, task_vars)
        except MissingError as exc:
            result |= self._report_missing(exc)
        except (X509Error, FilesError, LibraryError) as exc:
            result |= {"failed": True, "msg": str(exc)}
        result.pop(CSR_KEY, None)
        return result | _results.interpreter_facts(self)

    def _run_module(self, args: Arguments, task_vars: TaskVariables) -> _results.Result:
        return self.run_module(args, task_vars, {*CERTIFICATE_RESULT_KEYS, CSR_KEY}, MODULE)

    def _sign(self, args: Arguments, task_vars: TaskVariables) -> _results.Result:
        task = prepare_task(args, self._find, read=_vault.reader(self))
        first = self._run_module(task.arguments, task_vars)
        csr = first.get(CSR_KEY)
        if first.get("failed") or csr is None or self._task.check_mode:
            return first
        second = self._run_module(sign_request(task, csr), task_vars)
        if second.get("failed"):
            return second
        before, after = (result.get("diff") for result in (first, second))
        if isinstance(before, dict) and isinstance(after, dict):
            second["diff"] = {**after, "before": before.get("before")}
        return second | {name: first[name] for name in _FIRST_RUN_KEYS if name in first}

    def _request(self, args: Arguments, task_vars: TaskVariables) -> _results.Result:
        task = prepare_external_task(args, self._find, read=_vault.reader(self))
        result = self._run_module(task.arguments, task_vars)
        if result.get("failed"):
            return result
        if result.get(CSR_KEY) is not None and not self._task.check_mode:
            write_request(task, result[CSR_KEY])
        error = task.find_error(result)
        if not error:
            return result
        reported = _results.filter_result(result, ("reasons", "awaited", "refused"))
        return {**reported, "failed": True, "msg": error}

    def _report_missing(self, exc: MissingError) -> _results.Result:
        if not self._task.check_mode:
            return {"failed": True, "msg": str(exc)}
        # If a CA on the target is missing, the module returns the same result.
        return {
            "changed": True,
            "reasons": [str(exc)],
            "warnings": [f"{exc}; check mode assumes that an earlier task creates it"],
        }

    def _find(self, option: str, path: str) -> str:
        try:
            full_path: str = self._find_needle("files", path)
        except AnsibleError:
            raise file_not_found(option, path) from None
        return full_path

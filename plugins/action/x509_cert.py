# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of x509_cert: it signs what the target asks for, with a CA key that stays here, or hands the request out."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_RESULT_KEYS,
    CSR_KEY,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller import (
    file_not_found,
    prepare_external_task,
    prepare_task,
    reject_internal_options,
    sign_request,
    write_request,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _results

MODULE = "kube_ha.scheduler.x509_cert"


class ActionModule(ActionBase):
    """Verify the CA, ask the target for a signing request, sign it, hand the certificate back."""

    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        """Run the module on the target, and where the CA is here, sign in between."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        args: dict[str, t.Any] = dict(self._task.args)
        on = "target" if args.get("state") == "absent" else args.get("ca_on")
        way = {"controller": self._signed, "external": self._external}.get(str(on), self._module)
        try:
            reject_internal_options(args)
            result |= way(args, task_vars)
        except MissingError as exc:
            result |= self._missing(exc)
        except (X509Error, FilesError) as exc:
            result |= {"failed": True, "msg": str(exc)}
        result.pop(CSR_KEY, None)
        return result | _results.interpreter_facts(self)

    def _module(
        self, args: dict[str, t.Any], task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        answer = self._execute_module(MODULE, module_args=args, task_vars=task_vars)
        return _results.kept(answer, {*CERTIFICATE_RESULT_KEYS, CSR_KEY})

    def _signed(
        self, args: dict[str, t.Any], task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        prepared = prepare_task(args, self._find)
        first = self._module(prepared.arguments, task_vars)
        csr = first.get(CSR_KEY)
        if first.get("failed") or csr is None or self._task.check_mode:
            return first
        second = self._module(sign_request(prepared, csr), task_vars)
        if second.get("failed"):
            return second
        # The second run finds the key made and the rights set: why, and what was before, the first one knows.
        before, after = (answer.get("diff") for answer in (first, second))
        if isinstance(before, dict) and isinstance(after, dict):
            second["diff"] = {**after, "before": before.get("before")}
        for name in ("reasons", "clamped", "not_after_wanted", "warnings", "deprecations"):
            if name in first:
                second[name] = first[name]
        return second

    def _external(
        self, args: dict[str, t.Any], task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        prepared = prepare_external_task(args, self._find)
        answer = self._module(prepared.arguments, task_vars)
        if answer.get("failed"):
            return answer
        if answer.get(CSR_KEY) is not None and not self._task.check_mode:
            write_request(prepared, answer[CSR_KEY])
        fault = prepared.verdict(answer)
        if not fault:
            return answer
        told = _results.kept(answer, ("reasons", "awaited", "refused"))
        return {**told, "failed": True, "msg": fault}

    def _missing(self, exc: MissingError) -> dict[str, t.Any]:
        if not self._task.check_mode:
            return {"failed": True, "msg": str(exc)}
        # As where the CA is on the target, which is not asked: without a CA it cannot judge what it has.
        return {
            "changed": True,
            "reasons": [str(exc)],
            "warnings": [f"{exc}; check mode takes it that an earlier task does"],
        }

    def _find(self, option: str, path: str) -> str:
        try:
            found: str = self._find_needle("files", path)
        except AnsibleError:
            raise file_not_found(option, path) from None
        return found

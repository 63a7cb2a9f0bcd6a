# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Add the data of the controller, run scheduler_info, and validate the result of the host."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.utils.path import unfrackpath
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    facts,
    versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import CHECK_NAMES
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller import prepare_task
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_external import (
    prepare_external_task,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_options import (
    file_not_found,
    require_readable,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.metrics_client import (
    UNPRIVILEGED_CLIENT,
    issue_client_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.preview import preview_pair
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _module_arguments,
    _results,
    _seal,
    _vault,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

Vars = dict[str, t.Any]
NEXT_OPTIONS = ("next_ca_path", "next_ca_privatekey_path", "next_ca_privatekey_passphrase_file")
METRICS_OPTIONS = (
    "metrics_ca_path",
    "metrics_ca_privatekey_path",
    "metrics_ca_privatekey_passphrase_file",
)
SERVING_OPTION = "_serving"
MIN_PYTHON = (3, 9)
PYTHON_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
RESULT_KEYS = frozenset(facts.ModuleResult.__annotations__)
# The keys that remain in the result of a failed module. The host supplies their values.
FAILURE_KEYS = ("failed", "unreachable", "msg", "rc", "module_stdout", "module_stderr", "exception")


class ActionModule(HostAction):
    """Run scheduler_info once on a host."""

    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False
    _advice = "have it signed"

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        self.vars: Vars = task_vars or {}
        arguments = self.expand_arguments(
            lambda args: _module_arguments.expand_info(args, self._host, self._read_text)
        )
        _module_arguments.open_secrets(arguments, self._host)
        self._set_previous_lease(arguments)
        if SERVING_OPTION in arguments:
            raise AnsibleActionFail(
                f"{SERVING_OPTION} is not an option of scheduler_info; remove it"
            )
        issue_error = self._issue_metrics_client(arguments)
        self._issue_next_client(arguments)
        self._set_serving_ranges(arguments)
        drift = self._prepare_desired(arguments)
        before = time.time()
        module_result = self.run_module(arguments, task_vars, RESULT_KEYS)
        after = time.time()
        is_failed = module_result.get("failed") or module_result.get("unreachable")
        if is_failed or "hostname" not in module_result:
            return result | self._failure(module_result)
        valid = self.validate_result(
            facts.validate_module_result, module_result, self._host, "scheduler_info"
        )
        result.update(valid)
        result["changed"] = False
        result["drift"] = drift + valid["drift"]
        result["awaited"] = [f"{reason}; {self._advice}" for reason in valid["awaited"]]
        # The module reads the clock of the host between `before` and `after`.
        result["clock_offset"] = round(valid["time"] - min(max(valid["time"], before), after), 3)
        result["round_trip"] = round(after - before, 3)
        result["not_checked"] = _add_reason(valid["not_checked"], issue_error)
        if issue_error:
            check = CHECK_NAMES["metrics_reader"]
            result["warnings"] = [f"{self._host}: not checked: {check}: {issue_error}"]
        return _seal.seal(result, self._host, _seal.INFO) | _results.interpreter_facts(self)

    def _set_previous_lease(self, arguments: Vars) -> None:
        """Replace the name of a variable with the lease of the earlier result in this variable."""
        previous = self.vars.get(arguments.pop("previous", None))
        # Without a result of this run, the host observes the lease again.
        if _seal.is_sealed(previous, self._host, _seal.INFO, _seal.FILESET):
            lease = previous.get("lease")
            if lease:
                arguments.setdefault("previous_lease", lease)

    def _set_serving_ranges(self, arguments: Vars) -> None:
        """Reduce the version table to the part that the module needs."""
        table = arguments.pop("versions", None)
        if isinstance(table, str):
            table = self.vars.get(table, table)
        if not table:
            return
        try:
            arguments[SERVING_OPTION] = versions.serving_ranges(table)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            raise AnsibleActionFail(
                "versions: is not a version table; see the documentation of the module"
            ) from None

    def _prepare_desired(self, arguments: Vars) -> list[facts.Drift]:
        """Prepare the option desired, and return the drift of the files on the controller."""
        desired = arguments.get("desired")
        if not desired:
            return []
        if not isinstance(desired, t.Mapping):
            raise AnsibleActionFail(
                "desired: is not a dictionary; set the desired state from scheduler_plan"
            )
        arguments["desired"], drift = self._desired(dict(desired))
        return drift

    @property
    def _host(self) -> str:
        return str(self.vars.get("inventory_hostname", "the host"))

    def _issue_metrics_client(self, arguments: Vars) -> str:
        """Replace the CA with a metrics client that it signs. Return the error, or "" for none."""
        authority = {name: arguments.pop(name, None) for name in METRICS_OPTIONS}
        if not authority["metrics_ca_path"] or not _is_true(arguments.get("probe", True)):
            return ""
        if not authority["metrics_ca_privatekey_path"]:
            raise AnsibleActionFail(
                "metrics_ca_path: requires metrics_ca_privatekey_path; set both"
            )
        try:
            pair = issue_client_certificate(
                *(path and unfrackpath(str(path), follow=False) for path in authority.values()),
                read=_vault.reader(self),
            )
        except CollectionError as error:
            return f"on the controller, {error}"
        arguments.update(zip(("metrics_cert", "metrics_key"), pair))
        return ""

    def _issue_next_client(self, arguments: Vars) -> None:
        """Replace the next CA with a client certificate without permissions that this CA signs."""
        authority = [arguments.pop(name, None) for name in NEXT_OPTIONS]
        if not any(authority[:2]):
            return
        if not all(authority[:2]):
            raise AnsibleActionFail(
                "next_ca_path and next_ca_privatekey_path require each other; set both"
            )
        try:
            pair = issue_client_certificate(
                *(path and str(unfrackpath(str(path), follow=False)) for path in authority),
                options=UNPRIVILEGED_CLIENT,
                read=_vault.reader(self),
            )
        except CollectionError as error:
            raise AnsibleActionFail(f"on the controller, {error}") from None
        arguments.update(zip(("next_cert", "next_key"), pair))

    def _desired(self, desired: Vars) -> tuple[Vars, list[facts.Drift]]:
        """Return the desired state for the module, and the drift of the files on the controller."""
        drift = []
        certificate, pair = desired.get("certificate"), desired.get("pair")
        if certificate is not None and not isinstance(certificate, t.Mapping):
            raise AnsibleActionFail(
                "desired: certificate: is not a dictionary; set the options of x509_cert"
            )
        if certificate and certificate.get("ca_on") in ("controller", "external"):
            try:
                if certificate["ca_on"] == "controller":
                    desired["certificate"] = prepare_task(
                        certificate, self._find, need_key=False, read=_vault.reader(self)
                    ).arguments
                else:
                    prepared = prepare_external_task(
                        certificate, self._find, read=_vault.reader(self)
                    )
                    desired["certificate"], self._advice = prepared.arguments, prepared.advice()
            except CollectionError as error:
                desired["certificate"] = None
                drift.append(facts.Drift(part="certificate", reason=f"on the controller, {error}"))
        if pair is not None:
            if not isinstance(pair, t.Mapping):
                raise AnsibleActionFail(
                    "desired: pair: is not a dictionary; set the paths of the key pair"
                )
            pair = dict(pair)
            drift += [
                facts.Drift(
                    part="certificate",
                    reason=f"on the controller, {pair.get('certificate_source')}: {reason}",
                )
                for reason in self._due(pair.pop("x509_cert", None))
            ]
            desired["pair"] = self._pair(pair)
        return desired, drift

    def _due(self, task: t.Any) -> list[str]:
        """Return why the key pair on the controller must be created or renewed."""
        try:
            reads = _vault.reader(self)
            return preview_pair(task, read=reads) if isinstance(task, t.Mapping) else []
        except CollectionError as error:
            return [str(error)]

    def _pair(self, pair: Vars) -> Vars:
        for name in ("certificate", "privatekey"):
            source = pair.pop(f"{name}_source", None)
            if source is None:
                continue
            try:
                path = require_readable(
                    f"desired: pair: {name}_source",
                    str(unfrackpath(str(source), follow=False)),
                    self._find,
                )
                content = _vault.read_decrypted(self, path)
            except CollectionError as error:
                raise AnsibleActionFail(f"on the controller, {error}") from None
            pair[f"{name}_sha256"] = (
                None if content is None else hashlib.sha256(content).hexdigest()
            )
        return pair

    def _read_text(self, path: str) -> str:
        """Return the text of a file on the controller.

        If the file is encrypted with Ansible Vault, decrypt it.
        """
        try:
            content = _vault.read_decrypted(self, self._find("metrics_key", path)) or b""
            return content.decode().rstrip()
        except (CollectionError, UnicodeDecodeError) as error:
            raise AnsibleActionFail(f"on the controller, {error}") from None

    def _find(self, option: str, path: str) -> str:
        try:
            return str(self._find_needle("files", path))
        except AnsibleError:
            raise file_not_found(option, path) from None

    def _failure(self, answer: Vars) -> Vars:
        """Return the failure of a module. If the module returned no message, check Python."""
        if answer.get("unreachable"):
            return {"unreachable": True, "msg": str(answer.get("msg", "unreachable"))}
        has_message = isinstance(answer.get("msg"), str)
        if not has_message or "module_stdout" in answer or "module_stderr" in answer:
            self._check_python()
        failure = {name: answer[name] for name in FAILURE_KEYS if name in answer}
        return {
            **failure,
            "failed": True,
            "msg": answer["msg"]
            if has_message
            else "the module returned no result; see its output",
        }

    def _check_python(self) -> None:
        """Fail with one line if the host has no supported Python."""
        interpreter = str(
            self._templar.template(self.vars.get("ansible_python_interpreter") or "auto")
        )
        if interpreter.startswith("auto"):
            interpreter = "python3"
        script = 'import sys; print("%d.%d" % sys.version_info[:2])'
        answer = self._low_level_execute_command(f"{interpreter} -c {shlex.quote(script)}")
        output = str(answer.get("stdout", "")).strip()
        version = output if PYTHON_VERSION.fullmatch(output) else ""
        if version and tuple(map(int, version.split("."))) >= MIN_PYTHON:
            return
        minimum = ".".join(map(str, MIN_PYTHON))
        problem = f"is Python {version}" if version else "is not installed"
        raise AnsibleActionFail(
            f"{self._host}: {interpreter} {problem}, but the modules need Python {minimum} or"
            " newer; install python3, or set ansible_python_interpreter"
        )


def _is_true(value: t.Any) -> bool:
    return str(value).lower() not in ("false", "no", "off", "0", "n", "f")


def _add_reason(not_checked: t.Sequence[str], issue_error: str) -> list[str]:
    """Add the reason why the authorized access to the metrics was not checked."""
    check = CHECK_NAMES["metrics_reader"]
    reason = issue_error or "no client certificate was given"
    return [f"{check} ({reason})" if entry == check else entry for entry in not_checked]

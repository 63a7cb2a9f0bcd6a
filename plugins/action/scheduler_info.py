# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of scheduler_info: what only the controller knows goes in, and only what was asked for comes out."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.path import unfrackpath
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    ProbeError,
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
    _arguments,
    _module_arguments,
    _results,
    _vault,
)

Vars = dict[str, t.Any]
NEXT_OPTIONS = ("next_ca_path", "next_ca_privatekey_path")
METRICS_OPTIONS = (
    "metrics_ca_path",
    "metrics_ca_privatekey_path",
    "metrics_ca_privatekey_passphrase_file",
)
HIDDEN = "_serving"
PYTHON = (3, 9)
VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
# Of a module that failed; the texts are the host's.
FAILURE = ("failed", "unreachable", "msg", "rc", "module_stdout", "module_stderr", "exception")


class ActionModule(ActionBase):
    """Runs the module once."""

    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False
    _advice = "have it signed"

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        self.vars: Vars = task_vars or {}
        arguments = _module_arguments.expand_info(self._task.args, self._read_text)
        _arguments.discard(self._task)
        if HIDDEN in arguments:
            raise AnsibleActionFail(f"{HIDDEN} is not an option of scheduler_info")
        not_made = self._make_reader(arguments)
        self._make_probe(arguments)
        table = arguments.pop("versions", None)
        if isinstance(table, str):
            table = self.vars.get(table, table)
        if table:
            try:
                arguments[HIDDEN] = versions.serving_ranges(table)
            except (AttributeError, KeyError, TypeError, ValueError, IndexError):
                raise AnsibleActionFail(
                    "versions: is not a table of versions; see the module's documentation"
                ) from None
        drift: list[facts.Drift] = []
        if arguments.get("desired"):
            if not isinstance(arguments["desired"], t.Mapping):
                raise AnsibleActionFail("desired: is not a dictionary")
            arguments["desired"], drift = self._wanted(dict(arguments["desired"]))
        before = time.time()
        answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        after = time.time()
        if answer.get("failed") or answer.get("unreachable") or "hostname" not in answer:
            return result | self._failure(answer)
        try:
            known = facts.validate_module_result(answer)
        except ProbeError as error:
            raise AnsibleActionFail(
                f"{self._host}: its answer cannot be used ({error}); find out what answers there"
            ) from None
        result.update(known)
        result["changed"] = False
        result["drift"] = drift + known["drift"]
        result["awaited"] = [f"{reason}; {self._advice}" for reason in known["awaited"]]
        # The module reads its clock at some moment between these two: only what lies outside is a difference.
        result["clock_offset"] = round(known["time"] - min(max(known["time"], before), after), 3)
        result["round_trip"] = round(after - before, 3)
        reader, why = (
            CHECK_NAMES["metrics_reader"],
            not_made or "no certificate of such a reader was given",
        )
        result["not_checked"] = [
            f"{reader} ({why})" if entry == reader else entry for entry in known["not_checked"]
        ]
        if not_made:
            result["warnings"] = [f"{self._host}: not checked: {reader}: {not_made}"]
        return result | _results.interpreter_facts(self)

    @property
    def _host(self) -> str:
        return str(self.vars.get("inventory_hostname", "the host"))

    def _make_reader(self, arguments: Vars) -> str:
        """Puts the pair of a reader of the metrics among the arguments, in place of the CA; returns why there is none, or ""."""
        authority = {name: arguments.pop(name, None) for name in METRICS_OPTIONS}
        if not authority["metrics_ca_path"] or not _truth(arguments.get("probe", True)):
            return ""
        if not authority["metrics_ca_privatekey_path"]:
            raise AnsibleActionFail(
                "metrics_ca_path: is of use only together with metrics_ca_privatekey_path"
            )
        try:
            pair = issue_client_certificate(
                *(path and unfrackpath(str(path), follow=False) for path in authority.values())
            )
        except CollectionError as error:
            return f"on the controller, {error}"
        arguments.update(zip(("metrics_cert", "metrics_key"), pair))
        return ""

    @staticmethod
    def _make_probe(arguments: Vars) -> None:
        """Puts a pair of the next CA among the arguments, in place of the CA."""
        authority = [arguments.pop(name, None) for name in NEXT_OPTIONS]
        if not any(authority):
            return
        if not all(authority):
            raise AnsibleActionFail(
                "next_ca_path: is of use only together with next_ca_privatekey_path"
            )
        try:
            ca, key = (str(unfrackpath(str(path), follow=False)) for path in authority)
            pair = issue_client_certificate(ca, key, options=UNPRIVILEGED_CLIENT)
        except CollectionError as error:
            raise AnsibleActionFail(f"on the controller, {error}") from None
        arguments.update(zip(("next_cert", "next_key"), pair))

    def _wanted(self, wanted: Vars) -> tuple[Vars, list[facts.Drift]]:
        """What travels of C(wanted), and the drift that the controller's own files show."""
        drift = []
        certificate, pair = wanted.get("certificate"), wanted.get("pair")
        if certificate is not None and not isinstance(certificate, t.Mapping):
            raise AnsibleActionFail("desired: certificate: is not a dictionary")
        if certificate and certificate.get("ca_on") in ("controller", "external"):
            try:
                if certificate["ca_on"] == "controller":
                    wanted["certificate"] = prepare_task(
                        certificate, self._find, need_key=False
                    ).arguments
                else:
                    prepared = prepare_external_task(certificate, self._find)
                    wanted["certificate"], self._advice = prepared.arguments, prepared.advice()
            except CollectionError as error:
                wanted["certificate"] = None
                drift.append(facts.Drift(part="certificate", reason=f"on the controller, {error}"))
        if pair is not None:
            if not isinstance(pair, t.Mapping):
                raise AnsibleActionFail("desired: pair: is not a dictionary")
            pair = dict(pair)
            drift += [
                facts.Drift(
                    part="certificate",
                    reason=f"on the controller, {pair.get('certificate_source')}: {reason}",
                )
                for reason in self._due(pair.pop("x509_cert", None))
            ]
            wanted["pair"] = self._pair(pair)
        return wanted, drift

    @staticmethod
    def _due(task: t.Any) -> list[str]:
        """Why the pair on the controller is to be made or renewed; asked each time, as a rollout makes it."""
        try:
            return preview_pair(task) if isinstance(task, t.Mapping) else []
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
        """Return the text of a file of the controller, decrypted if it is a vault."""
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
        """What is told of a module that failed; a Python that is missing or too old is found only then, at no cost to others."""
        if answer.get("unreachable"):
            return {"unreachable": True, "msg": str(answer.get("msg", "unreachable"))}
        told = isinstance(answer.get("msg"), str)
        if not told or "module_stdout" in answer or "module_stderr" in answer:
            self._check_python()
        found = {name: answer[name] for name in FAILURE if name in answer}
        return {
            **found,
            "failed": True,
            "msg": answer["msg"] if told else "the module gave no answer",
        }

    def _check_python(self) -> None:
        """Fails in one line where there is no Python that the modules can run with."""
        interpreter = str(
            self._templar.template(self.vars.get("ansible_python_interpreter") or "auto")
        )
        if interpreter.startswith("auto"):
            interpreter = "python3"
        script = 'import sys; print("%d.%d" % sys.version_info[:2])'
        answer = self._low_level_execute_command(f"{interpreter} -c {shlex.quote(script)}")
        said = str(answer.get("stdout", "")).strip()
        found = said if VERSION.fullmatch(said) else ""
        if found and tuple(map(int, found.split("."))) >= PYTHON:
            return
        least = ".".join(map(str, PYTHON))
        raise AnsibleActionFail(
            f"{self._host}: {interpreter} is {f'Python {found}' if found else 'not there'}, but the modules need Python {least} or newer:"
            " install python3, or set ansible_python_interpreter"
        )


def _truth(value: t.Any) -> bool:
    return str(value).lower() not in ("false", "no", "off", "0", "n", "f")

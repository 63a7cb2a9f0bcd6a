# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The context of a step of scheduler_plan: its options, variables and member results."""

from __future__ import annotations

import errno
import os
import typing as t
from dataclasses import replace

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    PlanError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    plan,
    rollout,
    rotation,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    fileset_dir,
    unit_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import (
    MONITORING_SPEC,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import (
    normalize_certificates,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _envelope, _seal, _vault
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._report_mode import MODE_VARIABLE

Vars = dict[str, t.Any]
REPORT_VARIABLES = ("status_json", "status_html", "status_metrics")
"""These playbook variables contain the path of a report."""
# Only playbooks read these variables.
OF_PLAYBOOKS = (
    "drill",
    "drill_report_dir",
    "drill_targets",
    "drill_undo_after",
    "kube_scheduler_admin_kubeconfig",
    "rotate",
    MODE_VARIABLE,
    *MONITORING_SPEC,
    *REPORT_VARIABLES,
)
# The variables that the role registers, and the kinds of their results.
REGISTERED_KINDS: dict[str, tuple[str, ...]] = {
    "__kube_scheduler_input": _seal.INPUTS,
    "__kube_scheduler_host": (_seal.INFO,),
    "__kube_scheduler_plan": (_seal.PLAN, _seal.MONITORING),
    "__kube_scheduler_health": (_seal.INFO,),
    "__kube_scheduler_remaining": (_seal.ROTATION,),
    "__kube_scheduler_rollout": (_seal.ROLLOUT,),
    "__kube_scheduler_outcome": (_seal.MARK,),
    "__kube_scheduler_gate": (_seal.GATE, _seal.REMOVAL),
    "__kube_scheduler_fileset": (_seal.FILESET,),
    "__kube_scheduler_drill": (_seal.CHOICE,),
    "__kube_scheduler_measurement": (_seal.MEASUREMENT,),
    "__kube_scheduler_journals": (_seal.FAULT,),
}
MAX_TEXT_CHARACTERS = 1 << 20


class Step:
    """One step of the plan for one host."""

    def __init__(self, action: ActionBase, options: Vars, task_vars: Vars) -> None:
        self.action = action
        self.options = options
        self.vars = task_vars
        self.host: str = task_vars["inventory_hostname"]
        self.prefix: str = options["prefix"]
        self.check_mode: bool = action._task.check_mode

    # --- output

    def display(self, line: str, color: str | None = None) -> None:
        """Print a line on the controller."""
        self.action._display.display(line, color=color)

    def display_once(
        self, input_data: Vars, lines: t.Sequence[str], table: t.Sequence[str] = ()
    ) -> None:
        """Print `table`, then `lines` with the name of the cluster, once for the batch."""
        batch = [name for name in input_data["playing"] if name in self.vars["ansible_play_batch"]]
        if batch[:1] == [self.host]:
            group = input_data["variables"]["group"]
            for line in [*table, *(f"{group}: {line}" for line in lines)]:
                self.display(line)

    # --- variables

    def template(self, name: str) -> t.Any:
        """Return the value of a variable of this host. Raises PlanError."""
        try:
            return self.action._templar.template(self.vars[name])
        except AnsibleError as error:
            text = " ".join(str(error.message).split())
            raise PlanError(
                f"{name}: cannot be computed for {self.host}: {text}; correct it"
            ) from None

    def reject_facts(self, host: str, facts: t.Any, names: t.Collection[str] = ()) -> None:
        """Raise PlanError if the facts of a host set one of `names`.

        Without `names`, check for every variable of the role and its playbooks. Facts come from
        the host or a cache, so that a hostile host could set these variables.
        """
        keys = [str(key) for key in facts] if isinstance(facts, t.Mapping) else []
        poisoned = [key for key in keys if (key in names if names else self._is_variable(key))]
        if poisoned:
            listed = ", ".join(sorted(poisoned))
            raise PlanError(
                f"{host}: facts of this host set {listed}; remove these facts from the host"
                " and from the fact cache"
            )

    def reject_foreign_values(self) -> None:
        """Raise PlanError if this host has values of variables that only the role can set.

        This check precedes the first contact with the host. The role registers its results later.
        Only extra variables outrank registered results.
        """
        self.reject_facts(self.host, self.vars.get("ansible_facts"))
        foreign = [
            name
            for name, kinds in REGISTERED_KINDS.items()
            if name in self.vars and not self._is_of_this_run(self.vars[name], kinds)
        ]
        if foreign:
            raise PlanError(
                f"{self.host}: {', '.join(foreign)}: the role registers this variable; remove the"
                " fact, the variable of the inventory or the option -e that sets it"
            )

    def _is_of_this_run(self, value: t.Any, kinds: t.Sequence[str]) -> bool:
        return (
            _seal.is_without_result(value)
            or _seal.is_sealed(value, self.host, *kinds)
            or _seal.is_sealed(value, _seal.WHOLE_PLAY, *kinds)
        )

    def _is_variable(self, name: str) -> bool:
        return name in OF_PLAYBOOKS or name.lstrip("_").startswith(self.prefix)

    def settings(self) -> variables.Variables:
        """Return the validated variables of this host, without the secrets of `config`."""
        return variables.Variables(**self.options["input"]["variables"])

    def settings_with_secrets(self) -> variables.Variables:
        """Return the validated variables of this host, with the secrets of `config`."""
        envelope = self.options["input"][_envelope.OPTION]
        if not envelope:
            return self.settings()
        content = _envelope.open_envelope(envelope, self.host)
        secrets = content["values"]
        config = _secrets.mark_secrets(
            content["config"], lambda value: isinstance(value, str) and value in secrets
        )
        return replace(self.settings(), config=config)

    def tables(self) -> plan.Tables:
        """Return the data of the role."""
        return plan.Tables(
            **{name: self.vars[variable] for name, variable in self.options["tables"].items()}
        )

    # --- members

    def member_variables(self, input_data: Vars) -> dict[str, t.Mapping[str, t.Any]]:
        """Return the variables of the members of this play, by inventory name.

        The variables are not templated, which would be slow. Steps read only registered results.
        """
        hostvars = self.vars["hostvars"]
        return {name: hostvars.raw_get(name) for name in input_data["playing"] if name in hostvars}

    def results(
        self,
        option: str = "results",
        member_variables: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
    ) -> dict[str, Vars]:
        """Return what the members of this play registered in the variable that `option` names.

        A value that is not a result of scheduler_info in this run counts as missing.
        """
        return self.sealed_results(option, (_seal.INFO,), member_variables)

    def sealed_results(
        self,
        option: str,
        kinds: t.Sequence[str],
        member_variables: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
    ) -> dict[str, Vars]:
        """Return the sealed results in the variable that `option` names, by inventory name."""
        if member_variables is None:
            member_variables = self.member_variables(self.options["input"])
        variable, results = self.options[option], {}
        for name, known in member_variables.items():
            result = known.get(variable)
            if _seal.is_sealed(result, name, *kinds):
                results[name] = dict(result)
        return results

    def plans(self, member_variables: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, Vars]:
        """Return the plan of each member, or the errors because of which a member has no plan."""
        kinds = (_seal.PLAN, _seal.failed(_seal.PLAN))
        return self.sealed_results("plans", kinds, member_variables)

    def own_result(self, option: str, *kinds: str) -> Vars:
        """Return the result of this host in the variable that `option` names. Raises PlanError."""
        variable = self.options[option]
        return _seal.require_sealed(self.vars.get(variable), variable, self.host, *kinds)

    def scope(self, input_data: Vars) -> rollout.PlayScope:
        """Return the members of the cluster, of this play and of its current batch."""
        remaining = self.vars["ansible_play_hosts"]
        lost = [name for name in input_data["playing"] if name not in remaining]
        return rollout.PlayScope(
            input_data["members"], input_data["playing"], self.vars["ansible_play_batch"], lost
        )

    # --- files of the controller

    def read_certificates(self, option: str, path: str) -> str:
        """Return the certificates of a file as PEM without other text. Raises PlanError.

        Comments of any encoding are accepted, as in the files of Kubernetes.
        """
        try:
            content = _vault.read_decrypted(self.action, path)
        except FilesError as error:
            raise PlanError(f"{option}: on the controller, {error}") from None
        if content is None:
            raise _unreadable(option, path, os.strerror(errno.ENOENT))
        self._reject_key(option, path, content)
        return normalize_certificates(content)

    @classmethod
    def read_text(cls, option: str, path: str) -> str:
        """Return the content of a file with a checksum. Raises PlanError."""
        try:
            with open(path, encoding="ascii") as stream:
                text = stream.read(MAX_TEXT_CHARACTERS)
        except (OSError, ValueError) as error:
            reason = str(error.strerror) if isinstance(error, OSError) else "not ASCII text"
            raise _unreadable(option, path, reason) from None
        cls._reject_key(option, path, text.encode())
        return text

    @staticmethod
    def _reject_key(option: str, path: str, content: bytes) -> None:
        # The role displays the content and copies it to every host.
        if b"PRIVATE KEY-----" in content:
            raise PlanError(
                f"{option}: {path} contains a private key;"
                " set a file that contains only certificates"
            )

    @staticmethod
    def report_path(variable: str, path: t.Any) -> str:
        """Return the absolute path of a report on the controller.

        If the report cannot be written, raises PlanError.
        """
        if not isinstance(path, str) or not path:
            raise PlanError(f"{variable}: not a path; set the path of the report file")
        full = os.path.abspath(os.path.expanduser(path))
        try:
            target = paths.resolve(full)
            if not os.path.isdir(os.path.dirname(target)):
                raise FilesError(
                    f"the directory of {target!r} does not exist; create it, or set another path"
                )
            paths.guard(target)
            paths.stat_regular(target)
        except FilesError as error:
            raise PlanError(f"{variable}: on the controller: {error}") from None
        return full


def instance_paths(name: str) -> Vars:
    """Return the unit and the fileset directory of an instance."""
    return {"unit": unit_name(name), "fileset_dir": fileset_dir(name)}


def authorities(input_data: Vars) -> rotation.Authorities:
    """Return the CAs from the result of the step variables."""
    return rotation.Authorities(
        input_data["ca_cert_pem"],
        input_data["new_ca_cert_pem"] or "",
        input_data["apiserver_ca_pem"],
    )


def _unreadable(option: str, path: str, reason: str) -> PlanError:
    return PlanError(
        f"{option}: cannot read {path} on the controller: {reason}; correct the file or the path"
    )

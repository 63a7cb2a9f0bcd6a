# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Expand the options `input` and `plan` of the modules of the role, with one table per module.

A table maps an option to the path of its value, such as `input.unit`. `input` is the result of the
step variables or instance of scheduler_plan, `plan` that of the step host, and `gate` that of the
step gate or removal. `choice` is the result of the step choose of scheduler_drill. This run must
have returned each result.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _drill, _envelope, _seal

Vars = dict[str, t.Any]
Table = t.Mapping[str, str]

_INSTANCE: Table = {"unit": "input.unit", "fileset_dir": "input.fileset_dir"}
INFO_REMOVAL: Table = {**_INSTANCE, "kubeconfig": "input.kubeconfig"}
"""The options that scheduler_info gets before a removal.

Their values come from the step instance.
"""
_INFO: Table = {
    **_INSTANCE,
    "user": "input.variables.user",
    "port": "input.variables.secure_port",
    "kubeconfig": "input.variables.kubeconfig_path",
    "certificate": "input.variables.cert_path",
}
INFO_GATHER: Table = {
    **_INFO,
    "directories": "input.directories",
    "paths": "input.live_paths",
    "apiserver": "input.variables.apiserver",
    "apiservers": "input.variables.apiservers",
    "apiserver_ca": "input.apiserver_cas_pem",
    "tls_server_name": "input.variables.tls_server_name",
    "next_ca": "input.new_ca_cert_pem",
    "next_ca_path": "input.variables.new_ca_cert",
    "next_ca_privatekey_path": "input.variables.new_ca_key",
    "next_ca_privatekey_passphrase_file": "input.variables.ca_key_passphrase_file",
}
"""The options that scheduler_info gets before a plan exists."""
INFO_HEALTH: Table = {
    **_INFO,
    "directories": "input.directories",
    "bind_address": "input.variables.bind_address",
    "serving_ca": "input.authorities_pem",
    "authorities": "input.authorities_pem",
    "metrics_cert": "input.metrics_cert_pem",
    "desired": "plan.desired",
    "secrets": "plan.secrets",
}
"""The options that scheduler_info gets after the plan was computed."""
METRICS_CA: Table = {
    "metrics_ca_path": "plan.certificate.ca_path",
    "metrics_ca_privatekey_path": "plan.certificate.ca_privatekey_path",
    "metrics_ca_privatekey_passphrase_file": "plan.certificate.ca_privatekey_passphrase_file",
}
"""The options with the CA that signs a metrics client, if the user sets no client certificate."""

_FILESET: Table = {"unit": "input.unit", "path": "input.fileset_dir"}
FILESET_STATES: dict[str, Table] = {
    "prepared": {
        **_FILESET,
        "files": "input.live_files",
        "ownership": "input.takes_ownership",
    },
    "staged": {
        **_FILESET,
        "files": "plan.files",
        "command": "plan.command",
        "dry_run_flags": "plan.dry_run.flags",
        "dry_run_texts": "plan.dry_run.texts",
        "user": "plan.user",
        "log_dir": "plan.log_dir",
        "secrets": "plan.secrets",
    },
    "live": {
        **_FILESET,
        "attempt": "gate.attempt",
        "handover": "gate.handover",
        "lease": "gate.lease",
        "ownership": "input.takes_ownership",
        "restart": "gate.restart",
    },
    "previous": {**_FILESET, "attempt": "gate.attempt"},
    "absent": {**_FILESET, "handover": "gate.handover"},
}
"""The options that scheduler_fileset gets in each state."""
FAULT_PRESENT: Table = {
    "unit": "input.unit",
    "apiserver": "input.variables.apiserver",
    "kind": "choice.kind",
    "undo_after": "choice.undo_after",
}
"""The options that scheduler_fault gets to inject the fault of a drill."""
FAULT_ABSENT: Table = {
    "unit": "input.unit",
    "settle": "choice.settle",
    "journal_seconds": "choice.journal_seconds",
}
"""The options that scheduler_fault gets to remove the fault of a drill."""
MONITORING_FILES: Table = {"path": "plan.dir", "group": "plan.group", "files": "plan.files"}
"""The options that scheduler_monitoring gets. `plan` is the result of the step monitoring."""


def _value(sources: Vars, place: str) -> t.Any:
    """Return the value at a dotted path such as `input.unit`; None if the path does not exist."""
    value: t.Any = sources
    for key in place.split("."):
        if not isinstance(value, t.Mapping):
            return None
        value = value.get(key)
    return value


def _expand(table: Table, sources: Vars) -> Vars:
    """Return the options of a table that have a value."""
    values = {option: _value(sources, place) for option, place in table.items()}
    return {option: value for option, value in values.items() if value not in (None, "")}


def take_sources(
    arguments: Vars, host: str, kinds: t.Mapping[str, t.Sequence[str]]
) -> dict[str, Vars]:
    """Remove sealed results from the arguments and return those that are set, by option.

    `kinds` maps each option to the kinds that it accepts. Raises PlanError for a value that this
    run did not return for this host.
    """
    sources = {option: arguments.pop(option, None) for option in kinds}
    return {
        option: _seal.require_sealed(value, option, host, *kinds[option])
        for option, value in sources.items()
        if value is not None
    }


def expand_info(arguments: Vars, host: str, read_file: t.Callable[[str], str]) -> Vars:
    """Return the arguments of scheduler_info. Options that the task sets have precedence.

    `read_file` returns the text of a file on the controller.
    """
    arguments = dict(arguments)
    sources = take_sources(arguments, host, {"input": _seal.INPUTS, "plan": (_seal.PLAN,)})
    data = sources.get("input")
    if data is None:
        return arguments
    if "variables" not in data:
        return {**_expand(INFO_REMOVAL, sources), **arguments}
    if "plan" not in sources:
        options = _expand(INFO_GATHER, sources)
        if "next_ca" in options:
            options["authorities"] = data["authorities_pem"]
        return {**options, **arguments}
    options = _expand(INFO_HEALTH, sources)
    if "metrics_cert" in options:
        options["metrics_key"] = read_file(data["variables"]["metrics_key"])
    if data["issues_metrics_client"]:
        options |= _expand(METRICS_CA, sources)
    return {**options, **arguments}


def open_secrets(arguments: Vars, host: str) -> None:
    """Replace the envelope in the option `secrets` with its content. Raises AnsibleActionFail."""
    envelope = arguments.get(_envelope.OPTION)
    if not isinstance(envelope, str):
        return
    try:
        arguments[_envelope.OPTION] = _envelope.open_envelope(envelope, host)
    except PlanError as error:
        raise AnsibleActionFail(str(error)) from None


def expand_fileset(arguments: Vars, host: str) -> Vars:
    """Return the arguments of scheduler_fileset. Options that the task sets have precedence."""
    arguments = dict(arguments)
    state = str(arguments.get("state"))
    sources = take_sources(
        arguments,
        host,
        {
            "input": _seal.INPUTS,
            "plan": (_seal.PLAN,),
            "gate": (_seal.REMOVAL,) if state == "absent" else (_seal.GATE,),
        },
    )
    _require_gate(sources, state)
    options = _expand(FILESET_STATES.get(state, _FILESET), sources)
    if "plan" in sources and state in ("prepared", "staged"):
        # In the state prepared, the module records the binary as installed by the role.
        options["binaries"] = [
            {
                "path": sources["plan"]["binary"]["path"],
                "version": sources["plan"]["version"],
                "ours": state == "prepared",
            }
        ]
    return {**options, **arguments}


def _require_gate(sources: t.Mapping[str, Vars], state: str) -> None:
    """Raise PlanError if a state that stops the scheduler has no gate.

    A removal of all schedulers has no gate.
    """
    needs_gate = state in ("live", "previous") or (
        state == "absent" and not sources.get("input", {}).get("all")
    )
    if "input" in sources and needs_gate and "gate" not in sources:
        raise PlanError("not set; set the result of the step gate or removal", option="gate")


def expand_fault(arguments: Vars, host: str) -> Vars:
    """Return the arguments of scheduler_fault. Options that the task sets have precedence."""
    arguments = dict(arguments)
    choice = arguments.pop("choice", None)
    sources = take_sources(arguments, host, {"input": (_seal.VARIABLES,)})
    if "input" not in sources:
        return arguments
    is_injection = arguments.get("state", "present") == "present"
    if choice is not None or is_injection:
        sources["choice"] = _drill.require_choice(choice, sources["input"])
        if is_injection and host not in sources["choice"]["targets"]:
            raise PlanError(f"{host} is not a target of this drill", option="choice")
    table = FAULT_PRESENT if is_injection else FAULT_ABSENT
    return {**_expand(table, sources), **arguments}


def expand_monitoring(arguments: Vars, host: str) -> Vars:
    """Return the arguments of scheduler_monitoring. Options that the task sets have precedence."""
    arguments = dict(arguments)
    sources = take_sources(arguments, host, {"plan": (_seal.MONITORING,)})
    return {**_expand(MONITORING_FILES, sources), **arguments}


def staged_certificate(plan: Vars) -> Vars:
    """Return the arguments of x509_cert for the staged key pair of a host."""
    return {
        **plan["certificate"],
        "path": plan["staged"]["certificate"],
        "privatekey_path": plan["staged"]["privatekey"],
        # The role owns these files, so the module backs up invalid files and creates them again.
        "regenerate": "full",
        "backup": True,
    }


def shared_certificate(variables: Vars, plan: Vars) -> Vars:
    """Return the arguments of x509_cert for the shared key pair on the controller."""
    options = {
        key: value for key, value in plan["certificate"].items() if key not in plan["secret"]
    }
    return {
        **options,
        "path": variables["cert_source"],
        "privatekey_path": variables["key_source"],
    }


def client_certificates(plan: Vars) -> list[Vars]:
    """Return the arguments of x509_cert for each client certificate of a Prometheus host.

    `plan` is the result of the step monitoring. Each cluster has its own CA and requires its own
    client certificate.
    """
    return [
        {
            "path": identity["path"],
            "privatekey_path": identity["privatekey_path"],
            "privatekey_type": "ECC",
            "subject": plan["subject"],
            "key_usage": ["digitalSignature"],
            "extended_key_usage": ["clientAuth"],
            "ca_on": "controller",
            "ca_path": identity["ca_cert"],
            "ca_privatekey_path": identity["ca_key"],
            "ca_privatekey_passphrase_file": identity["ca_key_passphrase_file"] or None,
            "valid_for": plan["valid_for"],
            "renew_before": plan["renew_before"],
            "not_after_policy": "clamp",
            "regenerate": "full",
            "owner": "root",
            "group": plan["group"],
            "mode": "0640",
        }
        for identity in plan["identities"]
    ]


def staged_pair_copies(variables: Vars, plan: Vars) -> list[Vars]:
    """Return the arguments of copy for the staged key pair, with the certificate first."""
    certificate = {
        "src": variables["cert_source"],
        "dest": plan["staged"]["certificate"],
        "owner": "root",
        "group": "root",
        "mode": "0644",
    }
    privatekey = {
        "src": variables["key_source"],
        "dest": plan["staged"]["privatekey"],
        "owner": "root",
        "group": plan["secret"]["group"],
        "mode": plan["secret"]["mode"],
    }
    return [certificate, privatekey]


def staged_kubeconfig(plan: Vars) -> Vars:
    """Return the arguments of kubeconfig for the staged kubeconfig of a host."""
    [user] = plan["kubeconfig"]["users"]
    sources = {
        "client_certificate_source": plan["staged"]["certificate"],
        "client_key_source": plan["staged"]["privatekey"],
    }
    return {
        **plan["kubeconfig"],
        "path": plan["staged"]["kubeconfig"],
        "users": [{**user, **sources}],
        "force": True,
        "backup": True,
    }

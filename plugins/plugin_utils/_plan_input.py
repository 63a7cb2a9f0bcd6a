# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The steps of scheduler_plan that validate the input, before the first contact with a host."""

from __future__ import annotations

import os
import typing as t
from dataclasses import asdict

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    plan,
    rotation,
    variable_rules,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.acceptance import (
    OWNERSHIP,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    ACCEPT,
    INSPECT,
    ISSUE,
    LEAF,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller import prepare_task
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_external import (
    prepare_external_task,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_options import (
    require_readable,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    describe_missing_cryptography,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.provided import ProvidedFile
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _envelope, _seal, _vault
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._plan_step import (
    OF_PLAYBOOKS,
    REPORT_VARIABLES,
    Step,
    Vars,
    authorities,
    instance_paths,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._report_mode import (
    parse_report_mode,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import VARIABLES_SPEC

# The role variable of each option of x509_cert.
CERTIFICATE_VARIABLES = {
    "ca_path": "ca_cert",
    "ca_privatekey_path": "ca_key",
    "ca_privatekey_passphrase_file": "ca_key_passphrase_file",
    "ca_config": "ca_config",
    "profile": "ca_profile",
    "valid_for": "cert_valid_for",
    "csr_path": "csr_dir",
    "certificate_source": "csr_dir",
    "subject_alt_name": "extra_sans",
    "subject": "subject",
    "renew_before": "renew_before",
}
# Strategies that do not keep the hosts of a play together.
UNORDERED_STRATEGIES = ("free", "host_pinned", "mitogen_free", "mitogen_host_pinned")
PEM_VARIABLES = ("ca_cert", "new_ca_cert", "apiserver_ca", "metrics_cert")


def instance(step: Step) -> Vars:
    """Return the input of a removal, which requires no valid version, address or CA."""
    step.reject_foreign_values()
    name, group, kubeconfig = (
        str(step.template(f"{step.prefix}{variable}"))
        for variable in ("name", "group", "kubeconfig_path")
    )
    members = list(step.vars["groups"].get(group, []))
    confirm = f"{step.prefix}confirm"
    return {
        "errors": variable_rules.validate_instance_name(name, step.prefix),
        **instance_paths(name),
        "kubeconfig": kubeconfig,
        "members": members,
        "playing": [name for name in members if name in step.vars["ansible_play_hosts_all"]]
        or [step.host],
        "all": confirm in step.vars and str(step.template(confirm)) == "all",
    }


def role_variables(step: Step) -> Vars:
    """Validate the variables and the inventory, and return the input of later steps."""
    prefix = step.prefix
    names = [
        name.removeprefix(prefix)
        for name in step.vars
        if isinstance(name, str) and name.startswith(prefix)
    ]
    step.reject_foreign_values()
    values = {name: step.template(f"{prefix}{name}") for name in names if name in VARIABLES_SPEC}
    v, errors = variables.parse_variables(_mark_encrypted(values), VARIABLES_SPEC, prefix)
    if v is None:
        return {"errors": errors, "sans": None}
    cluster = _cluster(step, v)
    result = {
        **_pinned_values(step, v, cluster),
        "warnings": variables.warn_about_unknown_variables(names, VARIABLES_SPEC, prefix)
        if cluster.leading
        else [],
    }
    missing = describe_missing_cryptography(" on the controller")
    errors = [*([missing] if missing else []), *_variable_errors(step, v, cluster, result)]
    if not errors:
        result |= _sans_and_certificates(step, v, cluster)
        errors = _certificate_errors(step, v, result)
        known = authorities(result)
        result["authorities_pem"] = known.all_pem
        result["apiserver_cas_pem"] = known.trusted_after(ACCEPT if v.new_ca_cert else "")
    return {**result, "errors": errors}


def _mark_encrypted(values: Vars) -> Vars:
    """Mark the values from Ansible Vault as secrets, except those that later steps need."""
    config, extra_args = values.get("config"), values.get("extra_args")
    if isinstance(config, t.Mapping):
        config = {
            name: part
            if name == "leaderElection"
            else _secrets.mark_secrets(part, _vault.is_encrypted)
            for name, part in config.items()
        }
    marked = {
        "config": config,
        "extra_args": _secrets.mark_secrets(extra_args, _vault.is_encrypted),
    }
    return {**values, **{name: value for name, value in marked.items() if name in values}}


def _cluster(step: Step, v: variables.Variables) -> variable_rules.InventoryCluster:
    addresses = _member_addresses(step, v)
    in_play = step.vars["ansible_play_hosts_all"]
    playing = [name for name in addresses if name in in_play]
    return variable_rules.InventoryCluster(
        me=step.host,
        addresses=addresses,
        playing=playing,
        leading=step.host == (playing or in_play)[0],
    )


def _member_addresses(step: Step, v: variables.Variables) -> dict[str, str]:
    """Return the address of each member by inventory name, in inventory order."""
    hostvars, option = step.vars["hostvars"], f"{step.prefix}address"
    addresses = {}
    for name in step.vars["groups"].get(v.group, []):
        known = hostvars[name]
        if name != step.host:
            step.reject_facts(name, known.get("ansible_facts"), (option,))
        address = v.address if name == step.host else known.get(option)
        addresses[name] = variables.choose_address(address, known.get("ansible_host"), name)
    return addresses


def _pinned_values(
    step: Step, v: variables.Variables, cluster: variable_rules.InventoryCluster
) -> Vars:
    """Return the input of later steps that requires no file."""
    config = _secrets.withhold(v.config)
    return {
        "variables": {**asdict(v), "config": config},
        # Later steps open this envelope to get the secrets of the configuration.
        _envelope.OPTION: ""
        if config == v.config
        else _envelope.close_envelope(
            {"config": v.config, "values": [*_secrets.find_secrets(v.config).values()]}, step.host
        ),
        **instance_paths(v.name),
        "scheduler": v.scheduler_name,
        "members": list(cluster.addresses),
        "addresses": list(cluster.addresses.values()),
        "playing": cluster.playing,
        "issues_metrics_client": v.is_signed_by_controller and not v.metrics_cert,
        "live_files": plan.list_credential_files(v),
        "live_paths": plan.list_fileset_paths(v),
        "directories": list(plan.map_root_directories(v)),
        "takes_ownership": v.accepted.covers(OWNERSHIP),
        "of_playbooks": {name: step.template(name) for name in OF_PLAYBOOKS if name in step.vars},
        "rotation": _rotation(step),
        "sans": None,
    }


def _rotation(step: Step) -> Vars:
    """Return the current step of a rotation and the certificates to replace, {} if there is none."""
    current = step.options["rotation"]
    if not current:
        return {}
    known = {} if current == INSPECT else step.own_result("remaining", _seal.ROTATION)
    return {"step": current, "replace": known.get("replace", [])}


def _variable_errors(
    step: Step, v: variables.Variables, cluster: variable_rules.InventoryCluster, result: Vars
) -> list[str]:
    tables = step.tables()
    errors = variable_rules.validate_variables(
        v,
        cluster,
        variables.resolve_election(v, tables.lease_presets),
        versions=tables.versions,
        is_file=os.path.isfile,
        prefix=step.prefix,
    )
    strategy = _strategy(step)
    if strategy in UNORDERED_STRATEGIES:
        errors.append(
            f"strategy {strategy} rolls all members of a cluster at once; use the strategy linear"
        )
    playbook_values = result["of_playbooks"]
    kind = playbook_values.get("rotate", LEAF) if result["rotation"] else None
    absent = [name for name in cluster.addresses if name not in step.vars["ansible_play_batch"]]
    errors += rotation.validate_rotation(v, kind, absent, step.prefix)
    parse_report_mode(playbook_values)
    for variable in REPORT_VARIABLES:
        if variable in playbook_values:
            step.report_path(variable, playbook_values[variable])
    return errors


def _strategy(step: Step) -> str:
    """Return the strategy of the play without its namespace."""
    part: t.Any = step.action._task
    while part is not None and getattr(part, "_play", None) is None:
        part = getattr(part, "_parent", None)
    return str(getattr(getattr(part, "_play", None), "strategy", "linear")).rpartition(".")[2]


def _sans_and_certificates(
    step: Step, v: variables.Variables, cluster: variable_rules.InventoryCluster
) -> Vars:
    addresses = [cluster.addresses[step.host]] if v.sans == "own" else cluster.addresses.values()
    result: Vars = {"sans": list(dict.fromkeys(["127.0.0.1", *addresses, *v.extra_sans]))}
    for name in PEM_VARIABLES:
        path = getattr(v, name)
        result[f"{name}_pem"] = (
            step.read_certificates(f"{step.prefix}{name}", path) if path else None
        )
    return result


def _certificate_errors(step: Step, v: variables.Variables, result: Vars) -> list[str]:
    # The function signing_errors reports the errors of the CA that signs.
    errors = [
        f"{step.prefix}{name}: {getattr(v, name)} contains no readable certificate;"
        " set a file in PEM format"
        for name in ("apiserver_ca", "metrics_cert")
        if getattr(v, name) != v.ca_cert and not _is_certificates(result[f"{name}_pem"])
    ]
    if v.pki == "provided":
        return errors + _provided_pair_errors(step, v, result["sans"])
    if v.new_ca_cert:
        # The previous CA can be expired or lost.
        return errors + signing_errors(
            step, rotation.select_signing_ca(v, ISSUE), result["sans"], is_new_ca=True
        )
    return errors + signing_errors(step, v, result["sans"])


def _is_certificates(text: str | None) -> bool:
    """Return whether a text, if set, contains only readable certificates."""
    if text is None:
        return True
    parsed = parse_certificates(text.encode())
    return bool(parsed) and None not in parsed


def signing_errors(
    step: Step, v: variables.Variables, sans: list[str], *, is_new_ca: bool = False
) -> list[str]:
    """Return the reasons why the CA cannot sign the certificate of this host.

    `is_new_ca`: whether a rotation introduces this CA.
    """
    names = {option: f"{step.prefix}{name}" for option, name in CERTIFICATE_VARIABLES.items()}
    if is_new_ca:
        names |= {
            "ca_path": f"{step.prefix}new_ca_cert",
            "ca_privatekey_path": f"{step.prefix}new_ca_key",
        }
    options = {
        "path": v.cert_path,
        "privatekey_path": v.key_path,
        **plan.build_certificate_options(v, step.host, sans),
    }
    prepare: t.Callable[..., t.Any] = (
        prepare_task if v.is_signed_by_controller else prepare_external_task
    )
    try:
        prepare(options, _same_path, read=_vault.reader(step.action))
    except CollectionError as error:
        message = error.format_for(names)
        if (
            v.is_signed_by_controller
            and isinstance(error, MissingError)
            and not os.path.isfile(v.ca_key)
        ):
            message += (
                "; if this key exists only on a control-plane host (kubeadm:"
                f" /etc/kubernetes/pki/ca.key), copy it to the controller, or set"
                f" {step.prefix}pki to external"
            )
        return [message]
    return []


def _same_path(_option: str, path: str) -> str:
    return path


def _provided_pair_errors(step: Step, v: variables.Variables, sans: list[str]) -> list[str]:
    """Return the errors in the key pair that the user provides."""
    files = []
    for name in ("cert_source", "key_source", "ca_cert"):
        option, path = f"{step.prefix}{name}", getattr(v, name)
        try:
            require_readable(option, path, _same_path)
            content = _vault.read_decrypted(step.action, path) or b""
            files.append(ProvidedFile(option, path, content))
        except CollectionError as error:
            return [str(error) if error.location else f"{option}: {error}"]
    pair_certificate, privatekey, ca = files
    try:
        return variable_rules.validate_provided_pair(
            pair_certificate, privatekey, ca, sans, current_utc()
        )
    except X509Error as error:
        return [error.format_for({"ca_path": f"{step.prefix}ca_cert"})]

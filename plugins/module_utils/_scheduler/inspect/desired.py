# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Parse the desired state of a host from the option `desired`."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    parse_files,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import OWNER_SPEC
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENT_RULES,
    CERTIFICATE_ARGUMENTS,
)

# Options of the module kubeconfig that drift detection compares. None contains a secret.
_TEXT, _BOOL = {"type": "str"}, {"type": "bool"}
KUBECONFIG_SPEC: dict[str, t.Any] = {
    "path": {"type": "path", "required": True},
    "clusters": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "server": _TEXT,
            "certificate_authority": _TEXT,
            "certificate_authority_data": _TEXT,
            "embed_certs": _BOOL,
            "tls_server_name": _TEXT,
            "proxy_url": _TEXT,
            "insecure_skip_tls_verify": _BOOL,
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "client_certificate": _TEXT,
            "client_key": _TEXT,
            "client_ca": _TEXT,
            "client_ca_data": _TEXT,
            "embed_certs": _BOOL,
        },
    },
    "contexts": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "cluster": _TEXT,
            "user": _TEXT,
            "namespace": _TEXT,
        },
    },
    "current_context": _TEXT,
    **OWNER_SPEC,
}
# Options of the module kubeconfig that drift detection does not compare, with their defaults.
UNSUPPORTED_KUBECONFIG_OPTIONS: dict[str, dict[str, t.Any]] = {
    "clusters": {"state": "present"},
    "users": {
        "state": "present",
        "client_certificate_source": None,
        "client_key_source": None,
        "token": None,
        "token_file": None,
        "exec": None,
    },
    "contexts": {"state": "present"},
}


@dataclass(frozen=True)
class DesiredState:
    """The validated desired state of a host."""

    version: str
    binary: str
    binary_source: str
    log_dir: str
    certificate: dict[str, t.Any] | None
    pair: dict[str, t.Any] | None
    kubeconfig: dict[str, t.Any] | None
    items: tuple[Item, ...]
    settings: DesiredSettings
    manage_packages: bool
    user: str
    unit: str


def parse_desired(
    options: t.Mapping[str, t.Any],
    secrets: t.Mapping[str, t.Any] | None = None,
    *,
    user: str | None,
    unit: str,
) -> DesiredState:
    """Parse the options `desired` and `secrets`.

    Raises FilesetError and FilesError for an invalid value.
    """
    return DesiredState(
        version=options["version"].removeprefix("v"),
        binary=options["binary"],
        binary_source=options["binary_source"],
        log_dir=options["log_dir"],
        certificate=_parse_certificate(options["certificate"]),
        pair=options["pair"],
        kubeconfig=_parse_kubeconfig(options["kubeconfig"]),
        items=tuple(parse_files(options["files"], secrets)),
        settings=options["settings"],
        manage_packages=options["manage_packages"],
        user=user or "",
        unit=unit,
    )


def _parse_certificate(options: dict[str, t.Any] | None) -> dict[str, t.Any] | None:
    if options is None:
        return None
    argument_spec = {**OWNER_SPEC, **CERTIFICATE_ARGUMENTS}
    certificate = _validate("certificate", argument_spec, options, CERTIFICATE_ARGUMENT_RULES)
    # If the task would fail because of the key, drift detection still reports the reason.
    if certificate["regenerate"] in ("fail", "partial"):
        certificate["regenerate"] = "full"
    return certificate


def _parse_kubeconfig(options: dict[str, t.Any] | None) -> dict[str, t.Any] | None:
    if options is None:
        return None
    kubeconfig = _validate("kubeconfig", KUBECONFIG_SPEC, options)
    for kind, defaults in UNSUPPORTED_KUBECONFIG_OPTIONS.items():
        kubeconfig[kind] = [_complete_entry(entry, defaults) for entry in kubeconfig[kind] or []]
    kubeconfig.update(force=False, backup=False, state="present", attributes=None)
    return kubeconfig


def _complete_entry(
    entry: t.Mapping[str, t.Any], defaults: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    completed = {**defaults, **entry}
    if "embed_certs" in entry:
        completed["embed_certs"] = bool(entry["embed_certs"])
    return completed


def _validate(
    name: str,
    argument_spec: dict[str, t.Any],
    options: dict[str, t.Any],
    rules: t.Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    result = ArgumentSpecValidator(argument_spec, **(rules or {})).validate(options)
    if result.error_messages:
        raise FilesetError(f"desired: {name}: {'; '.join(result.error_messages)}")
    validated: dict[str, t.Any] = result.validated_parameters
    return validated

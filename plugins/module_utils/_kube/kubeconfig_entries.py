# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Apply the declared entries of a task to a kubeconfig."""

from __future__ import annotations

import base64
import copy
import os
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeconfigError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    ENTRY_KINDS,
    Config,
    find_entry,
    quote_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_material import (
    MaterialReader,
    check_ca,
    check_pair,
    describe_source,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_options import (
    AUTH_METHODS,
    CERTIFICATE_FIELDS,
    Options,
    options_set,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import normalize_pem

if t.TYPE_CHECKING:  # pragma: no cover
    # A mapping of fields to their values. None removes a field.
    Patch = dict[str, t.Any]

# Maps options to the fields of the same meaning. Empty text removes the field, as in kubectl.
PLAIN_FIELDS = {
    "clusters": {
        "server": "server",
        "tls_server_name": "tls-server-name",
        "proxy_url": "proxy-url",
    },
    "users": {},
    "contexts": {"cluster": "cluster", "user": "user", "namespace": "namespace"},
}

# A complete entry has at least one field of each group.
REQUIRED_FIELDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "clusters": (("server",),),
    "users": ((*CERTIFICATE_FIELDS, "token", "tokenFile", "exec", "username", "auth-provider"),),
    "contexts": (("cluster",), ("user",)),
}

PATH_FIELDS = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}


def apply_entries(config: Config, reader: MaterialReader, params: Options) -> Config:
    """Return the kubeconfig with the declared entries; other entries stay unchanged."""
    config = copy.deepcopy(config)
    for kind in ENTRY_KINDS:
        entries = list(config.get(kind) or ())
        for options in params[kind] or ():
            entries = _apply_entry(entries, kind, options, reader)
        if entries or config.get(kind):
            config[kind] = entries
    if params["current_context"] is not None:
        config["current-context"] = params["current_context"]
    return config


def _apply_entry(
    entries: list[Config], kind: str, options: Options, reader: MaterialReader
) -> list[Config]:
    entry = next((entry for entry in entries if entry["name"] == options["name"]), None)
    if options["state"] == "absent":
        return [other for other in entries if other is not entry]
    key = ENTRY_KINDS[kind]
    patch = _compute_patch(reader, kind, options)
    if entry is None:
        entry = {key: {}, "name": options["name"]}
        entries.append(entry)
    entry[key] = _merge(entry.get(key) or {}, patch, reader.directory)
    _check_complete(kind, entry[key], f"{kind}, {quote_name(options['name'])}", reader)
    return entries


def _merge(body: Config, patch: Patch, directory: str) -> Config:
    def is_equal(name: str, value: t.Any) -> bool:
        current = body.get(name)
        if name in PATH_FIELDS and isinstance(current, str) and current and value:
            return os.path.normpath(os.path.join(directory, current)) == os.path.normpath(
                os.path.join(directory, value)
            )
        return bool(current == value)

    changed = {name: value for name, value in patch.items() if not is_equal(name, value)}
    return {
        name: value
        for name, value in {**body, **changed}.items()
        if not (name in changed and value is None)
    }


def _check_complete(kind: str, body: Config, where: str, reader: MaterialReader) -> None:
    """Raise KubeconfigError for an incomplete entry, which kubectl would write."""
    for names in REQUIRED_FIELDS[kind]:
        if not any(body.get(name) for name in names) and not reader.predicted:
            missing = "credentials" if kind == "users" else names[0]
            raise KubeconfigError(f"{where} has no {missing}; set the option in the task")


def check_references(before: Config, after: Config, params: Options) -> None:
    """Raise KubeconfigError if the task leaves a reference to a missing entry."""
    declared = {entry["name"] for entry in params["contexts"] or () if entry["state"] == "present"}
    for entry in after.get("contexts") or ():
        body = entry.get("context") or {}
        for kind, key in (("clusters", "cluster"), ("users", "user")):
            name = body.get(key)
            existed = find_entry(before, kind, name) is not None
            if find_entry(after, kind, name) is None and (entry["name"] in declared or existed):
                raise KubeconfigError(
                    f"contexts, {entry['name']!r}: its {key} {name!r} is not in {kind};"
                    " declare it there"
                )
    _check_current_context(before, after, params)


def _check_current_context(before: Config, after: Config, params: Options) -> None:
    current = after.get("current-context")
    if not current or find_entry(after, "contexts", current) is not None:
        return
    existed = find_entry(before, "contexts", current) is not None
    if params["current_context"] is not None or existed:
        raise KubeconfigError(
            f"current_context: context {current!r} does not exist; declare it in contexts,"
            " or select another one"
        )


# --- the fields of an entry


def _compute_patch(reader: MaterialReader, kind: str, entry: Options) -> Patch:
    where = f"{kind}, {quote_name(entry['name'])}"
    patch: Patch = {
        key: entry[option] or None
        for option, key in PLAIN_FIELDS[kind].items()
        if entry[option] is not None
    }
    if kind == "clusters":
        patch.update(_trust_fields(reader, entry, where))
    elif kind == "users":
        patch.update(_credential_fields(reader, entry, where))
    return patch


def _trust_fields(reader: MaterialReader, entry: Options, where: str) -> Patch:
    insecure = entry["insecure_skip_tls_verify"]
    patch: Patch = {} if insecure is None else {"insecure-skip-tls-verify": insecure or None}
    trusts = options_set(entry, "certificate_authority", "certificate_authority_data")
    if not trusts:
        removed = ("certificate-authority", "certificate-authority-data") if insecure else ()
        return {**patch, **dict.fromkeys(removed)}
    option = trusts[0]
    content = reader.read_ca(entry, option, where)
    if content is not None:
        check_ca(reader, content, describe_source(entry, option, where))
    if entry["embed_certs"] or option == "certificate_authority_data":
        patch |= _embedded("certificate-authority", content)
    else:
        path = entry["certificate_authority"]
        patch |= _by_path("certificate-authority", path, reader.directory)
    return {**patch, "insecure-skip-tls-verify": None}


def _credential_fields(reader: MaterialReader, entry: Options, where: str) -> Patch:
    method = next((each for each in AUTH_METHODS if options_set(entry, *each.options)), None)
    if method is None:
        return {}
    # Remove the fields of other methods, because an old key or token would still grant access.
    patch: Patch = {
        name: None for each in AUTH_METHODS if each is not method for name in each.fields
    }
    if entry["client_certificate"] is not None:
        patch |= _pair_fields(reader, entry, where)
    elif entry["token"] is not None:
        patch["token"] = entry["token"]
    elif entry["token_file"] is not None:
        reader.read(entry["token_file"], f"{where}: token_file")
        patch["tokenFile"] = _relative(entry["token_file"], reader.directory)
    else:
        patch["exec"] = _exec_fields(entry["exec"], reader.directory)
    return patch


def _pair_fields(reader: MaterialReader, entry: Options, where: str) -> Patch:
    certificate = reader.read(
        entry["client_certificate_source"] or entry["client_certificate"],
        f"{where}: client_certificate",
    )
    key = reader.read(entry["client_key_source"] or entry["client_key"], f"{where}: client_key")
    check_pair(reader, entry, certificate, key, where)
    if entry["embed_certs"]:
        return {**_embedded("client-certificate", certificate), **_embedded("client-key", key)}
    return {
        **_by_path("client-certificate", entry["client_certificate"], reader.directory),
        **_by_path("client-key", entry["client_key"], reader.directory),
    }


def _embedded(name: str, content: bytes | None) -> Patch:
    # The options accept files that kubectl and Go cannot read, such as PEM after a byte order mark.
    text = normalize_pem(content or b"")
    return {name: None, f"{name}-data": base64.b64encode(text).decode()}


def _by_path(name: str, path: str, directory: str) -> Patch:
    return {name: _relative(path, directory), f"{name}-data": None}


def _relative(path: str, directory: str) -> str:
    """Return a path as kubectl writes it: relative if it is below the kubeconfig's directory."""
    relative = os.path.relpath(path, directory)
    return path if f"{relative}/".startswith("../") else relative


def _exec_fields(options: Options, directory: str) -> Patch:
    command = options["command"]
    # The order and the empty fields are the same as in kubectl.
    return {
        "apiVersion": options["api_version"],
        "args": list(options["args"]) or None,
        "command": _relative(command, directory) if os.path.isabs(command) else command,
        "env": [{"name": str(name), "value": str(value)} for name, value in options["env"].items()]
        or None,
        **({"installHint": options["install_hint"]} if options["install_hint"] else {}),
        **({"interactiveMode": options["interactive_mode"]} if options["interactive_mode"] else {}),
        "provideClusterInfo": options["provide_cluster_info"],
    }

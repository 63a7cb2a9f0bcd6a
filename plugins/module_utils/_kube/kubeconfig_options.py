# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Validate the options of the kubeconfig module, without reading any file."""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeconfigError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    ENTRY_KINDS,
    SERVER_NAME,
    parse_server_url,
    quote_name,
)

Options = dict[str, t.Any]

CERTIFICATE_FIELDS = ("client-certificate", "client-certificate-data")
KEY_FIELDS = ("client-key", "client-key-data")
MAX_NAME_CHARS = 1024


class AuthMethod(t.NamedTuple):
    """A method of authentication: its name, its options, and its fields in the kubeconfig."""

    name: str
    options: tuple[str, ...]
    fields: tuple[str, ...]


AUTH_METHODS = (
    AuthMethod(
        "a client certificate",
        ("client_certificate", "client_key"),
        (*CERTIFICATE_FIELDS, *KEY_FIELDS),
    ),
    AuthMethod("a token", ("token",), ("token",)),
    AuthMethod("a token file", ("token_file",), ("tokenFile",)),
    AuthMethod("an exec plugin", ("exec",), ("exec",)),
    AuthMethod("(not supported)", (), ("username", "password", "auth-provider")),
)
"""The methods are mutually exclusive. No option sets the last method."""

DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
EXEC_API_VERSION = r"client\.authentication\.k8s\.io/v1(?:alpha1|beta1)?"
TASK_PROXY_URL = r"(?:https?|socks5)://[^/\s?#]+/?"
HEADER_TOKEN = r"[\x21-\x7e]+"


def options_set(entry: Options, *options: str) -> list[str]:
    """Return the options of the list that an entry sets."""
    return [option for option in options if entry[option] is not None]


def validate_options(params: Options) -> None:
    """Validate the options of a task; raise KubeconfigError."""
    for kind in ENTRY_KINDS:
        names: set[str] = set()
        for entry in params[kind] or ():
            _check_name(kind, entry["name"], names)
            where = f"{kind}, {quote_name(entry['name'])}"
            try:
                json.dumps(entry, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise KubeconfigError(
                    f"{where}: contains text that is not Unicode; correct it"
                ) from None
            if entry["state"] == "present":
                _ENTRY_CHECKS[kind](entry, where)
    name = params["current_context"]
    absent = {e["name"] for e in params["contexts"] or () if e["state"] == "absent"}
    if name is not None and name in absent:
        raise KubeconfigError(
            f"current_context: {name!r} is declared absent in contexts; select another context"
        )


def _check_name(kind: str, name: str, names: set[str]) -> None:
    """Check a name, without invisible characters and line breaks, and add it to `names`."""
    if not name or not name.isprintable() or name != name.strip() or len(name) > MAX_NAME_CHARS:
        raise KubeconfigError(
            f"{kind}: {quote_name(name)} is not a valid name; use 1 to {MAX_NAME_CHARS} printable"
            " characters, without spaces at the ends"
        )
    if name in names:
        raise KubeconfigError(
            f"{kind}: {quote_name(name)} is declared twice; remove one of the entries"
        )
    names.add(name)


def _check_cluster(entry: Options, where: str) -> None:
    if entry["server"] is not None:
        try:
            parse_server_url(entry["server"])
        except KubeconfigError as exc:
            raise KubeconfigError(f"{where}: {exc}") from None
    trusts = options_set(entry, "certificate_authority", "certificate_authority_data")
    if len(trusts) > 1:
        raise KubeconfigError(
            f"{where}: {' and '.join(trusts)} are mutually exclusive; set only one of them"
        )
    if trusts and entry["insecure_skip_tls_verify"]:
        raise KubeconfigError(
            f"{where}: {trusts[0]} and insecure_skip_tls_verify are mutually exclusive;"
            " set only one of them"
        )
    if entry["tls_server_name"] and not re.fullmatch(SERVER_NAME, entry["tls_server_name"]):
        raise KubeconfigError(
            f"{where}: tls_server_name is neither a DNS name nor an IP address; correct it"
        )
    if entry["proxy_url"] and not re.fullmatch(TASK_PROXY_URL, entry["proxy_url"]):
        raise KubeconfigError(
            f"{where}: proxy_url is not valid; set http://HOST:PORT (also https, socks5)"
        )


def _check_user(entry: Options, where: str) -> None:
    methods = [method.name for method in AUTH_METHODS if options_set(entry, *method.options)]
    if len(methods) > 1:
        raise KubeconfigError(
            f"{where}: {' and '.join(methods)} are mutually exclusive; set only one of them"
        )
    _check_client_certificate(entry, where)
    if entry["token"] is not None and not re.fullmatch(HEADER_TOKEN, entry["token"]):
        raise KubeconfigError(
            f"{where}: the token is empty or contains characters that no HTTP header can contain;"
            " replace it"
        )
    if entry["exec"] is not None:
        _check_exec(entry["exec"], f"{where}: exec")


def _check_client_certificate(entry: Options, where: str) -> None:
    if len(options_set(entry, "client_certificate", "client_key")) == 1:
        raise KubeconfigError(
            f"{where}: client_certificate and client_key require each other; set both or neither"
        )
    dependent = options_set(
        entry, "client_certificate_source", "client_key_source", "client_ca", "client_ca_data"
    )
    if dependent and entry["client_certificate"] is None:
        raise KubeconfigError(f"{where}: {dependent[0]} requires client_certificate; set both")
    if len(options_set(entry, "client_ca", "client_ca_data")) > 1:
        raise KubeconfigError(
            f"{where}: client_ca and client_ca_data are mutually exclusive; set only one of them"
        )
    for option in options_set(entry, "client_certificate", "client_key"):
        # If a source option is set, the module does not read this path, so no later check finds
        # the error.
        if not os.path.isabs(entry[option]) or not entry[option].isprintable():
            raise KubeconfigError(
                f"{where}: {option} {quote_name(entry[option])} is not an absolute path;"
                " set a path that begins with /"
            )


def _check_exec(options: Options, where: str) -> None:
    if not options["command"].strip() or not options["command"].isprintable():
        raise KubeconfigError(
            f"{where}: command {quote_name(options['command'])} is not the name or path"
            " of a program; correct it"
        )
    if not re.fullmatch(EXEC_API_VERSION, options["api_version"]):
        raise KubeconfigError(
            f"{where}: api_version {quote_name(options['api_version'])} is not supported;"
            " set client.authentication.k8s.io/v1"
        )
    if any("\0" in word for word in options["args"]):
        raise KubeconfigError(f"{where}: args contain a NUL character; remove it")
    for name, value in options["env"].items():
        if not re.fullmatch(r"[^=\0]+", str(name)):
            raise KubeconfigError(
                f"{where}: env: {quote_name(str(name))} is not a valid name of a variable;"
                " use a name without ="
            )
        if value is None or isinstance(value, (dict, list)) or "\0" in str(value):
            # The value can be a secret, so the message does not contain it.
            raise KubeconfigError(
                f"{where}: env: the value of {quote_name(str(name))} is not text; set a string"
            )


def _check_context(entry: Options, where: str) -> None:
    if entry["namespace"] and not re.fullmatch(DNS_LABEL, entry["namespace"]):
        raise KubeconfigError(
            f"{where}: namespace {quote_name(entry['namespace'])} is not a DNS label;"
            " use up to 63 lowercase letters, digits and inner hyphens"
        )


_ENTRY_CHECKS: dict[str, t.Callable[[Options, str], None]] = {
    "clusters": _check_cluster,
    "users": _check_user,
    "contexts": _check_context,
}

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Describe a kubeconfig without its secrets: summary, diff and the options of a task."""

from __future__ import annotations

import copy
import hashlib
import ssl
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    ENTRY_KINDS,
    Config,
    decode_data,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_options import (
    Options,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import library
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    read_fields,
    read_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import split_certificates
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterable

SHOWN_USER_FIELDS = {
    *("client-certificate", "client-key", "tokenFile", "username"),
    *("as", "as-uid", "as-groups"),
}


class ClusterSummary(t.TypedDict):
    """A cluster; `certificate_authority_data` has the facts of each certificate, or is None."""

    name: str
    server: str | None
    insecure_skip_tls_verify: bool
    certificate_authority: str | None
    certificate_authority_data: list[dict[str, t.Any]] | None


class UserSummary(t.TypedDict):
    """A user; `client_certificate_data` has the facts of the certificate, `exec` the command."""

    name: str
    client_certificate: str | None
    client_certificate_data: dict[str, t.Any] | None
    client_key: str | None
    has_key: bool
    has_token: bool
    exec: str | None


class ContextSummary(t.TypedDict):
    """A context, with the names of its cluster and user."""

    name: str
    cluster: str | None
    user: str | None
    namespace: str | None


class KubeconfigSummary(t.TypedDict):
    """A kubeconfig without secrets; the lists are sorted by name."""

    clusters: list[ClusterSummary]
    users: list[UserSummary]
    contexts: list[ContextSummary]
    current_context: str | None


class _DiffSides(t.TypedDict):
    before: dict[str, t.Any]
    after: dict[str, t.Any]


class KubeconfigDiff(_DiffSides, total=False):
    """A diff in the format of Ansible."""

    before_header: str
    after_header: str


def summarize_kubeconfig(config: Config) -> KubeconfigSummary:
    """Return the entries of a kubeconfig without secrets."""
    return {
        "clusters": [
            {
                "name": name,
                "server": _secrets.withhold_url_user(body.get("server")),
                "insecure_skip_tls_verify": bool(body.get("insecure-skip-tls-verify")),
                "certificate_authority": body.get("certificate-authority"),
                "certificate_authority_data": _certificate_facts(
                    body.get("certificate-authority-data")
                ),
            }
            for name, body in _sorted_bodies(config, "clusters")
        ],
        "users": [_summarize_user(name, body) for name, body in _sorted_bodies(config, "users")],
        "contexts": [
            {
                "name": name,
                "cluster": body.get("cluster"),
                "user": body.get("user"),
                "namespace": body.get("namespace"),
            }
            for name, body in _sorted_bodies(config, "contexts")
        ],
        "current_context": config.get("current-context") or None,
    }


def _summarize_user(name: str, body: Config) -> UserSummary:
    certificates = _certificate_facts(body.get("client-certificate-data"))
    plugin = body.get("exec")
    return {
        "name": name,
        "client_certificate": body.get("client-certificate"),
        "client_certificate_data": next(iter(certificates or ()), None),
        "client_key": body.get("client-key"),
        "has_key": bool(body.get("client-key-data") or body.get("client-key")),
        "has_token": bool(body.get("token") or body.get("tokenFile")),
        "exec": plugin.get("command") if isinstance(plugin, dict) else None,
    }


def _sorted_bodies(config: Config, kind: str) -> Iterable[tuple[str, Config]]:
    return sorted(
        ((entry["name"], entry.get(ENTRY_KINDS[kind]) or {}) for entry in config.get(kind) or ()),
        key=lambda pair: pair[0],
    )


def _certificate_facts(data: t.Any) -> list[dict[str, t.Any]] | None:
    """Return the facts of the certificates in a -data field, or None if none can be read.

    Without the cryptography library, or if it cannot read a certificate, the facts are at most a
    fingerprint.
    """
    try:
        content = decode_data(data)
    except (AttributeError, TypeError, ValueError):
        return None
    if library.describe_missing_cryptography() is None:
        return [_describe_certificate(each) for each in parse_certificates(content)] or None
    try:
        ders = [ssl.PEM_cert_to_DER_cert(block.decode()) for block in split_certificates(content)]
    except ValueError:
        return None
    return [
        {"fingerprint_sha256": hashlib.sha256(der).digest().hex(":").upper()} for der in ders
    ] or None


def _describe_certificate(certificate: t.Any) -> dict[str, t.Any]:
    fields = (certificate and read_fields(certificate)) or {}
    return {
        **{name: fields.get(name) for name in ("subject", "issuer")},
        **read_identity(certificate, current_utc()),
    }


def hide_secrets(params: Options) -> Options:
    """Return the options of a task without tokens, passwords, and arguments of exec plugins."""
    public = copy.deepcopy(params)
    for entry in public["clusters"] or ():
        entry["proxy_url"] = _secrets.withhold_url_user(entry["proxy_url"])
    if public["users"]:
        public["users"] = _secrets.withhold(public["users"])
    return public


def compare_kubeconfigs(before: Config | None, after: Config | None) -> KubeconfigDiff:
    """Return the diff of two kubeconfigs; for a missing file, pass None: its side is empty."""
    return {
        "before": _diff_side(before, after, {}),
        "after": _diff_side(after, before, before or {}),
    }


def _diff_side(config: Config | None, other: Config | None, previous: Config) -> dict[str, t.Any]:
    """Return the entries of `config` that are missing or different in `other`.

    The result shows whether a secret differs from the secret in `previous`.
    """
    if config is None:
        return {}
    side: dict[str, t.Any] = {}
    for kind in ENTRY_KINDS:
        others = dict(_sorted_bodies(other or {}, kind))
        known = dict(_sorted_bodies(previous, kind))
        changed = [
            _redact(kind, name, body, known.get(name) or {})
            for name, body in _sorted_bodies(config, kind)
            if others.get(name) != body
        ]
        if changed:
            side[kind] = changed
    if config.get("current-context") != (other or {}).get("current-context"):
        side["current-context"] = config.get("current-context")
    return side


def _redact(kind: str, name: str, body: Config, previous: Config) -> dict[str, t.Any]:
    """Return an entry for a diff with a placeholder for each secret, which shows a change."""
    public: dict[str, t.Any] = {}
    for key, value in body.items():
        secret = _secrets.secret_kind(key)
        if key.endswith("-data") and not secret:
            unreadable = "(unreadable)" if value else "(not available yet)"
            public[key] = _certificate_facts(value) or unreadable
        elif secret or (kind == "users" and key not in SHOWN_USER_FIELDS):
            article = "a" if previous.get(key) in (None, value) else "another"
            public[key] = f"({article} {secret or 'withheld value'})"
        else:
            public[key] = _secrets.withhold_url_user(value)
    return {ENTRY_KINDS[kind]: public, "name": name}

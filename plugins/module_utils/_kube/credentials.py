# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a context of a kubeconfig stands for: where the apiserver is, what is trusted, and who the client is."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeconfigError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Mapping

CERTIFICATE_RELOAD_S = 300.0
"""Seconds after which client-go has looked at the files of a client certificate again (transport/cert_rotation.go, CertCallbackRefreshDuration)."""
CERTIFICATE_RELOAD_MESSAGE = "certificate rotation detected"
"""What it logs then, at verbosity 1, if they have changed; in small letters."""


@dataclass(frozen=True)
class Credentials:
    """What one context of a kubeconfig says: where the apiserver is, what is trusted, and who the client is.

    C(origin) names the kubeconfig and the context in errors, C(server) is a URL. Without C(ca_pem) the system's CAs are
    trusted. C(client_pem) is a certificate and its key. C(proxy_url) is http://[USER:PASSWORD@]HOST[:PORT].
    """

    origin: str
    server: str
    ca_pem: str | None = None
    client_pem: tuple[str, str] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls_server_name: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    insecure: bool = False


def load_credentials(source: str | bytes, context: str | None = None) -> Credentials:
    """Return what a context of a kubeconfig (the current one if not named) stands for; SOURCE is a path or the content.

    Raises KubeconfigError, also for what is not supported here.
    """
    where = source if isinstance(source, str) else "the kubeconfig"
    content = kubeconfig.read_kubeconfig(source) if isinstance(source, str) else source
    found = kubeconfig.resolve_context(kubeconfig.parse_kubeconfig(content, where), context, where)
    folder = os.path.dirname(os.path.abspath(source)) if isinstance(source, str) else None
    return _credentials(found.cluster, found.user, f"{where}, context {found.name}", folder)


_TOKEN = r"[\x21-\x7e]+"
_PROXY = r"http://(?:[^\s/@?#]+@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,4}|:[1-5][0-9]{4})?/?"


def _credentials(
    cluster: Mapping[str, t.Any], user: Mapping[str, t.Any], origin: str, folder: str | None
) -> Credentials:
    for name in ("exec", "auth-provider", "username"):
        if user.get(name):
            raise KubeconfigError(
                f"{origin}: the user's {name} is not supported here; use a certificate or a token"
            )

    def text(entry: Mapping[str, t.Any], key: str) -> str | None:
        return kubeconfig.read_field(entry, key, origin, folder)

    def value(entry: Mapping[str, t.Any], key: str, form: str, advice: str) -> str | None:
        found = entry.get(key) or None
        if found is not None and not (isinstance(found, str) and re.fullmatch(form, found)):
            raise KubeconfigError(f"{origin}: {key} {advice}")
        return found

    certificate, key = text(user, "client-certificate"), text(user, "client-key")
    if (certificate is None) != (key is None):
        raise KubeconfigError(
            f"{origin}: the user has only one of client-certificate and client-key; both are needed"
        )
    # client-go takes the file before the value.
    token = (text(user, "tokenFile") or "").strip()
    if token and not re.fullmatch(_TOKEN, token):
        raise KubeconfigError(f"{origin}: tokenFile holds characters that no HTTP header can carry")
    return Credentials(
        origin=origin,
        server=value(cluster, "server", r"[\s\S]*", "is not text") or "",
        ca_pem=text(cluster, "certificate-authority"),
        client_pem=(certificate, key) if certificate is not None and key is not None else None,
        token=token
        or value(user, "token", _TOKEN, "holds characters that no HTTP header can carry"),
        tls_server_name=value(
            cluster,
            "tls-server-name",
            kubeconfig.SERVER_NAME,
            "is neither a DNS name nor an address",
        ),
        proxy_url=value(
            cluster,
            "proxy-url",
            _PROXY,
            "is not of the form http://HOST:PORT, the only kind that is supported here",
        ),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read the server, the CA and the client credentials of a context in a kubeconfig."""

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
"""Maximum seconds until client-go reads the files of a client certificate again.

Source: transport/cert_rotation.go, CertCallbackRefreshDuration.
"""
CERTIFICATE_RELOAD_MESSAGE = "certificate rotation detected"
"""Log message in lowercase that client-go writes at verbosity 1 after a change of the files."""


@dataclass(frozen=True)
class Credentials:
    """The server, the trusted CA and the client credentials of one context.

    `origin` is the kubeconfig and context for error messages. `server` is a URL. Without `ca_pem`,
    the system's CAs are trusted. `client_pem` is a certificate and its key. `proxy_url` is
    http://[USER:PASSWORD@]HOST[:PORT].
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
    """Return the credentials of a context, by default of the current context.

    `source` is the path or the content of a kubeconfig. Raises KubeconfigError, also for
    credentials that are not supported.
    """
    if isinstance(source, bytes):
        return parse_credentials(source, "the kubeconfig", None, context)
    directory = os.path.dirname(os.path.abspath(source))
    return parse_credentials(kubeconfig.read_kubeconfig(source), source, directory, context)


def parse_credentials(
    content: bytes, where: str, directory: str | None, context: str | None = None
) -> Credentials:
    """Return the credentials in the content of a kubeconfig. Relative paths start at `directory`.

    `where` describes the kubeconfig in errors. Raises KubeconfigError.
    """
    resolved = kubeconfig.resolve_context(
        kubeconfig.parse_kubeconfig(content, where), context, where
    )
    return _credentials(
        resolved.cluster, resolved.user, f"{where}, context {resolved.name}", directory
    )


_TOKEN = r"[\x21-\x7e]+"
_PROXY = (
    r"http://(?:[^\s/@?#]+@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::[0-9]{1,4}|:[1-5][0-9]{4})?/?"
)


def _credentials(
    cluster: Mapping[str, t.Any], user: Mapping[str, t.Any], origin: str, directory: str | None
) -> Credentials:
    for name in ("exec", "auth-provider", "username"):
        if user.get(name):
            raise KubeconfigError(
                f"{origin}: {name} of the user is not supported; use a certificate or a token"
            )

    def text(entry: Mapping[str, t.Any], key: str) -> str | None:
        return kubeconfig.read_field(entry, key, origin, directory)

    def value(entry: Mapping[str, t.Any], key: str, form: str, advice: str) -> str | None:
        content = entry.get(key) or None
        if content is not None and not (isinstance(content, str) and re.fullmatch(form, content)):
            raise KubeconfigError(f"{origin}: {key} {advice}")
        return content

    certificate, key = text(user, "client-certificate"), text(user, "client-key")
    if (certificate is None) != (key is None):
        raise KubeconfigError(
            f"{origin}: client-certificate and client-key require each other; set both or neither"
        )
    # If both tokenFile and token are set, client-go uses the file.
    token = (text(user, "tokenFile") or "").strip()
    if token and not re.fullmatch(_TOKEN, token):
        raise KubeconfigError(
            f"{origin}: tokenFile has characters that no HTTP header can contain; replace the token"
        )
    return Credentials(
        origin=origin,
        server=value(cluster, "server", r"[\s\S]*", "is not text; set https://HOST:PORT") or "",
        ca_pem=text(cluster, "certificate-authority"),
        client_pem=(certificate, key) if certificate is not None and key is not None else None,
        token=token
        or value(
            user, "token", _TOKEN, "has characters that no HTTP header can contain; replace it"
        ),
        tls_server_name=value(
            cluster,
            "tls-server-name",
            kubeconfig.SERVER_NAME,
            "is neither a DNS name nor an IP address; correct it",
        ),
        proxy_url=value(
            cluster,
            "proxy-url",
            _PROXY,
            "is not supported; set http://HOST:PORT",
        ),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )

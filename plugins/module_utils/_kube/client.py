# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A client for the apiservers of a cluster, and one for what the components themselves serve. Only a drill writes."""

from __future__ import annotations

import contextlib
import json
import re
import typing as t
from functools import cached_property

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    KubeconfigError,
    KubeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import (
    Credentials,
    load_credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import (
    Connection,
    Proxy,
    Response,
    TransportError,
    netloc,
    one_line,
    tls_context,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Sequence

STATUS_KINDS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    429: "throttled",
}

STATUS_REMEDIES = {
    "unauthorized": "the certificate has expired, or is not from the CA in the apiserver's --client-ca-file, or the token is unknown",
    "server_error": "look at its log and at its etcd",
}


class StatusError(KubeError):
    """The server answered with another status than 2xx, C(status). C(kind) is a value of KIND_OF_STATUS, server_error or bad_request."""

    def __init__(self, where: str, response: Response) -> None:
        self.status = response.status
        kind = STATUS_KINDS.get(
            self.status, "server_error" if self.status >= 500 else "bad_request"
        )
        retry_after = response.retry_after
        words = [f"HTTP {self.status}, {response.reason or kind.replace('_', ' ')}"]
        if retry_after is not None:
            words.append(f"it asks to wait {retry_after:g} s")
        if kind in STATUS_REMEDIES:
            words.append(STATUS_REMEDIES[kind])
        super().__init__(kind, f"{where}: {'; '.join(words)}", retry_after=retry_after)


# --- a component's own ports


def https_get(
    host: str,
    port: int,
    path: str,
    *,
    ca_pem: str | None,
    client_pem: tuple[str, str] | None = None,
    timeout: float = 10.0,
) -> Response:
    """GET over verified TLS, with no proxy; CLIENT_PEM is a certificate and its key. Any status is an answer.

    Raises KubeError: ca, tls_pair, and TransportError.
    """
    with contextlib.closing(Connection(host, port, tls_context(ca_pem, client_pem))) as connection:
        return connection.get(path, where=f"https://{netloc(host, port)}{path}", timeout=timeout)


def read_peer_certificate(host: str, port: int, timeout: float = 10.0) -> bytes:
    """Return the certificate that a port serves, as DER, with nothing verified: also one that has expired can be read.

    Raises TransportError.
    """
    with contextlib.closing(Connection(host, port, tls_context(None, verify=False))) as connection:
        return connection.peer_certificate(where=f"https://{netloc(host, port)}", timeout=timeout)


# --- apiservers


class _Server:
    """One apiserver, with the credentials for it."""

    def __init__(self, login: Credentials) -> None:
        self._credentials = login
        try:
            url = kubeconfig.parse_server_url(login.server)
        except KubeconfigError as exc:
            raise KubeconfigError(f"{login.origin}: {exc}") from None
        if login.tls_server_name and not re.fullmatch(
            kubeconfig.SERVER_NAME, login.tls_server_name
        ):
            raise KubeconfigError(
                f"{login.origin}: the TLS server name is neither a DNS name nor an address"
            )
        self._host, self._port, self._prefix = url.host, url.port, url.path.rstrip("/")
        self.name = f"https://{netloc(url.host, url.port)}"
        self._headers = {"Accept": "application/json", "User-Agent": "kube_ha.scheduler"}
        if login.token:
            self._headers["Authorization"] = f"Bearer {login.token}"

    @cached_property
    def connection(self) -> Connection:
        login = self._credentials
        try:
            context = tls_context(login.ca_pem, login.client_pem, verify=not login.insecure)
        except KubeError as exc:
            raise KubeconfigError(f"{login.origin}: {exc}") from None
        proxy = Proxy.of(login.proxy_url) if login.proxy_url else None
        return Connection(
            self._host, self._port, context, server_name=login.tls_server_name, proxy=proxy
        )

    def send(self, method: str, path: str, timeout: float, body: bytes | None = None) -> Response:
        headers = (
            self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        )
        response = self.connection.exchange(
            method,
            f"{self._prefix}{path}",
            where=self.name,
            timeout=timeout,
            headers=headers,
            body=body,
        )
        if 300 <= response.status < 400:
            raise TransportError(
                "redirect",
                f"{self.name}{path}",
                one_line(response.headers.get("location", ""), 100),
            )
        return response


class Client:
    """The apiservers of one cluster, tried in order; the one that answered is tried first next time.

    TIMEOUT is in seconds, for the whole answer of one server. Connections are kept until the client is closed or dropped.
    One client is not for two threads at once; several clients do not disturb each other.
    """

    def __init__(self, logins: Sequence[Credentials], *, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self._servers = [_Server(login) for login in logins]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        for server in self._servers:
            if "connection" in vars(server):
                server.connection.close()

    @property
    def server(self) -> str:
        """URL, without a path, of the apiserver that answered last, or that will be tried first."""
        return self._servers[0].name

    def request(
        self,
        path: str,
        *,
        timeout: float | None = None,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Response:
        """The answer of the first server that answers with less than 500, else of one that answers at all.

        Raises KubeError where none does.
        """
        failures: list[KubeError] = []
        sick: Response | None = None
        for server in list(self._servers):
            try:
                response = server.send(
                    method, path, self.timeout if timeout is None else timeout, body
                )
            except KubeError as exc:
                failures.append(exc)
                continue
            if response.status >= 500:
                sick = response
                continue
            self._servers.remove(server)
            self._servers.insert(0, server)
            return response
        if sick is not None:
            return sick
        if len(failures) == 1:
            raise failures[0]
        raise KubeError(failures[0].kind, f"no apiserver answered: {'; '.join(map(str, failures))}")

    def get(self, path: str, *, timeout: float | None = None) -> dict[str, t.Any]:
        """Return the JSON object at PATH. Raises KubeError, and StatusError for any other status than 2xx."""
        return self._object(path, self.request(path, timeout=timeout))

    def send(
        self,
        method: str,
        path: str,
        obj: dict[str, t.Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, t.Any]:
        """Send an object with POST, PUT or DELETE, and return the one that comes back. Raises as get.

        It may be sent twice, where a server closes the connection, so it has to name what it makes.
        """
        body = None if obj is None else json.dumps(obj).encode()
        return self._object(path, self.request(path, timeout=timeout, method=method, body=body))

    def _object(self, path: str, response: Response) -> dict[str, t.Any]:
        where = f"{self.server}{path}"
        if not 200 <= response.status < 300:
            raise StatusError(where, response)
        return response.json(where)


def load_client(
    source: str | bytes, context: str | Sequence[str] | None = None, *, timeout: float = 10.0
) -> Client:
    """Return a client for the named contexts, tried in order, or for the current one; SOURCE is a path or the content.

    Raises KubeconfigError.
    """
    contexts: Sequence[str | None] = (
        [context] if context is None or isinstance(context, str) else context
    )
    return Client([load_credentials(source, name) for name in contexts], timeout=timeout)

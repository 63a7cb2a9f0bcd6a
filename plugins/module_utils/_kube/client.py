# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Send HTTPS requests to apiservers and to ports of components."""

from __future__ import annotations

import contextlib
import json
import re
import time
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
    "unauthorized": (
        "the certificate has expired or is not from the apiserver's --client-ca-file,"
        " or the token is unknown; renew the credentials"
    ),
    "server_error": "check the log and the etcd of the apiserver",
}


class StatusError(KubeError):
    """The server responded with a status other than 2xx.

    `kind` is `server_error`, `bad_request` or a value of `STATUS_KINDS`.
    """

    def __init__(self, where: str, response: Response) -> None:
        self.status = response.status
        kind = STATUS_KINDS.get(
            self.status, "server_error" if self.status >= 500 else "bad_request"
        )
        retry_after = response.retry_after
        words = [f"HTTP {self.status}, {response.reason or kind.replace('_', ' ')}"]
        if retry_after is not None:
            words.append(f"retry after {retry_after:g} s")
        if kind in STATUS_REMEDIES:
            words.append(STATUS_REMEDIES[kind])
        super().__init__(kind, f"{where}: {'; '.join(words)}", retry_after=retry_after)


# --- ports of components


def http_get(host: str, port: int, path: str, *, timeout: float = 10.0) -> Response:
    """Send a GET request over plain HTTP without a proxy; return a response of any status.

    Raises TransportError.
    """
    with contextlib.closing(Connection(host, port, None)) as connection:
        return connection.get(path, where=f"http://{netloc(host, port)}{path}", timeout=timeout)


def https_get(
    host: str,
    port: int,
    path: str,
    *,
    ca_pem: str | None,
    client_pem: tuple[str, str] | None = None,
    timeout: float = 10.0,
) -> Response:
    """Send a GET request over verified TLS without a proxy; return a response of any status.

    `client_pem` is a certificate and its key. Raises KubeError (ca, tls_pair) and TransportError.
    """
    with contextlib.closing(Connection(host, port, tls_context(ca_pem, client_pem))) as connection:
        return connection.get(path, where=f"https://{netloc(host, port)}{path}", timeout=timeout)


def read_peer_certificate(host: str, port: int, timeout: float = 10.0) -> bytes:
    """Return the certificate that a port serves, as DER, without verification.

    The certificate can be expired. Raises TransportError.
    """
    with contextlib.closing(Connection(host, port, tls_context(None, verify=False))) as connection:
        return connection.peer_certificate(where=f"https://{netloc(host, port)}", timeout=timeout)


# --- apiservers


class _Server:
    """One apiserver and the credentials for it."""

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
                f"{login.origin}: the TLS server name is neither a DNS name nor an IP address;"
                " correct tls-server-name"
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
        if self._credentials.token:
            response = response.without(self._credentials.token)
        if 300 <= response.status < 400:
            raise TransportError(
                "redirect",
                f"{self.name}{path}",
                one_line(response.headers.get("location", ""), 100),
            )
        return response


class Client:
    """The apiservers of one cluster, tried in order; the last one that responded is tried first.

    `timeout` is in seconds, for a request including all attempts. Each server gets an equal share
    of the remaining time. Connections stay open until the client is closed. Two threads cannot
    share a client.
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
        """URL, without a path, of the apiserver that the next request tries first."""
        return self._servers[0].name

    def request(
        self,
        path: str,
        *,
        timeout: float | None = None,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Response:
        """Return the first response with a status below 500, otherwise the last response.

        Raises KubeError if no server responds.
        """
        failures: list[KubeError] = []
        server_error: Response | None = None
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        for number, server in enumerate(list(self._servers)):
            share = (deadline - time.monotonic()) / (len(self._servers) - number)
            try:
                response = server.send(method, path, share, body)
            except KubeError as exc:
                failures.append(exc)
                continue
            if response.status >= 500:
                server_error = response
                continue
            self._servers.remove(server)
            self._servers.insert(0, server)
            return response
        if server_error is not None:
            return server_error
        if len(failures) == 1:
            raise failures[0]
        raise KubeError(
            failures[0].kind, f"no apiserver responded: {'; '.join(map(str, failures))}"
        )

    def get(self, path: str, *, timeout: float | None = None) -> dict[str, t.Any]:
        """Return the JSON object at `path`; raise KubeError, or StatusError unless 2xx."""
        return self._object(path, self.request(path, timeout=timeout))

    def send(
        self,
        method: str,
        path: str,
        obj: dict[str, t.Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, t.Any]:
        """Send an object with POST, PUT or DELETE; return the object of the response.

        If the server closes the connection, the client sends the request again. The object must
        have a name, because the server can then create it only once. Raises the same errors as
        `get`.
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
    """Return a client that tries the contexts in order, by default the current context.

    `source` is the path or the content of a kubeconfig. Raises KubeconfigError.
    """
    contexts: Sequence[str | None] = (
        [context] if context is None or isinstance(context, str) else context
    )
    return Client([load_credentials(source, name) for name in contexts], timeout=timeout)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provide a small HTTPS server that replaces an apiserver, also a faulty or hostile one."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

import yaml


def answer(
    status: int = 200, body: Any = b"", headers: Sequence[str] = (), *, reason: str = "X"
) -> bytes:
    """Return a complete HTTP response.

    If the body is not bytes, the body is sent as JSON.
    """
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} {reason}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(text)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + text


class Server:
    """Respond to each request with the result of `respond(request)`.

    The result is bytes, or a function that gets the connection.
    """

    def __init__(
        self,
        respond: Callable[[str], Any],
        pair: tuple[str, str] = ("", ""),
        *,
        client_ca: str | None = None,
        plain: bool = False,
    ) -> None:
        self.respond = respond
        self.requests: list[bytes] = []
        self.connections = 0
        self._context: ssl.SSLContext | None = None
        if not plain:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile("w") as file:
                file.write("".join(pair))
                file.flush()
                self._context.load_cert_chain(file.name)
            if client_ca:
                self._context.load_verify_locations(cadata=client_ca)
                self._context.verify_mode = ssl.CERT_REQUIRED
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._socket.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            # This read detects that the client has closed the connection.
            connection.settimeout(10)
            # HTTP servers of Go also set this socket option. Without this option, a response waits
            # 40 ms until the client acknowledges the handshake.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = self._secured(connection) if self._context else connection
            with stream:
                while True:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        data = stream.recv(65536)
                        if not data:
                            return
                        request += data
                        if not self._context:  # no TLS hello ends with these bytes
                            break
                    self.requests.append(request)
                    response = self.respond(request.decode("latin-1"))
                    if callable(response):
                        response(stream)
                        return
                    stream.sendall(response)

    def _secured(self, connection: socket.socket) -> ssl.SSLSocket:
        assert self._context
        stream = self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        try:
            stream.do_handshake()
        except ssl.SSLError:
            # If data is unread, a close resets the connection, and the client can lose the TLS
            # alert.
            while os.read(stream.fileno(), 65536):
                pass
            raise
        return stream

    def close(self) -> None:
        # Without the shutdown, the thread stays in accept() after close().
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(
    servers: Sequence[str],
    *,
    ca: str | None = None,
    pair: tuple[str, str] | None = None,
    user: dict[str, Any] | None = None,
    **cluster: Any,
) -> bytes:
    """Return a kubeconfig with one context per server.

    The first context is the current context.
    """
    cluster = {**({"certificate-authority-data": b64(ca)} if ca else {}), **cluster}
    user = {
        **(
            {"client-certificate-data": b64(pair[0]), "client-key-data": b64(pair[1])}
            if pair
            else {}
        ),
        **(user or {}),
    }
    names = [f"c{number}" for number in range(1, len(servers) + 1)]
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": n, "cluster": {"server": s, **cluster}} for n, s in zip(names, servers)
            ],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": n, "context": {"cluster": n, "user": "u"}} for n in names],
            "current-context": names[0],
        }
    ).encode()


def refused_port() -> int:
    """Return a port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def lease(
    identity: str | None = "m1_0f0e0d0c-1111-2222-3333-444455556666", renew: int = 0, **spec: Any
) -> dict[str, Any]:
    return {
        "kind": "Lease",
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": f"2026-01-01T00:00:{renew:02}.000000Z",
            "leaseTransitions": 3,
            **spec,
        },
    }


def status(code: int, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "code": code,
    }


def memory_files() -> list[str]:
    return [
        name for name in os.listdir("/proc/self/fd") if "memfd" in _link(f"/proc/self/fd/{name}")
    ]


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""

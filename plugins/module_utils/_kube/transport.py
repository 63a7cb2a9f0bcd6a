# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Connect over HTTPS with one deadline per response. Every failure is a KubeError.

The http.client of the standard library needs no package on the hosts. ansible.module_utils.urls
lacks proxy-url, tls-server-name and a single deadline, and shares state between threads.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import ipaddress
import json
import os
import re
import socket
import ssl
import time
import typing as t
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import split_certificates

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterator, Mapping

MAX_BODY_BYTES = 4 << 20
"""Maximum size of a response. A Lease has about 1 kB, the metrics of a scheduler a few 100 kB."""

# Codes X509_V_ERR_* of OpenSSL. For all other codes, the chain does not lead to the CA.
KIND_OF_VERIFY_CODE = {9: "tls_not_yet_valid", 10: "tls_expired", 62: "tls_name", 64: "tls_name"}

KIND_OF_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ECONNRESET: "closed",
    errno.EPIPE: "closed",
    errno.ETIMEDOUT: "timeout",
}

ERROR_MESSAGES = {
    "closed": "the server closed the connection before a response; check its log",
    "dns": "the host name does not resolve; check the name and the DNS",
    "not_http": "the response is not HTTP; check the port",
    "not_tls": "the port does not speak TLS; check the scheme and the port",
    "proxy": "the proxy of the kubeconfig did not connect; check proxy-url",
    "redirect": "the server redirects, which is not supported; set the address of the target",
    "refused": "connection refused; no process listens on the port; start the server",
    "timeout": "timed out; check the address, the firewalls and the load of the server",
    "tls": "the TLS handshake failed; check the log of the server",
    "tls_client": (
        "the server rejects the client certificate in the TLS handshake; renew the certificate"
    ),
    "tls_expired": "the certificate of the server or of its CA has expired; renew it",
    "tls_name": (
        "the server's certificate is not valid for this name or address;"
        " add it to the subject alternative names, or set tls-server-name"
    ),
    "tls_not_yet_valid": (
        "the server's certificate is not yet valid; compare the clocks of this host and the CA"
    ),
    "tls_untrusted": (
        "the server's certificate is not signed by the trusted CA; set the CA that signed it"
    ),
    "too_large": f"the response is larger than {MAX_BODY_BYTES >> 20} MiB; check the address",
    "unreachable": "no route to the host; check the address and the network",
}

TRANSIENT = {
    "closed",
    "dns",
    "not_http",
    "refused",
    "server_error",
    "throttled",
    "timeout",
    "unreachable",
}
"""Kinds of errors that justify a retry at the same server."""


class TransportError(KubeError):
    """No response was received. `kind` is a key of ERROR_MESSAGES."""

    def __init__(self, kind: str, where: str, detail: str = "") -> None:
        super().__init__(kind, f"{where}: {ERROR_MESSAGES[kind]}{f' ({detail})' if detail else ''}")


def one_line(text: str, limit: int = 300) -> str:
    """Return text from a server as one line, shortened to `limit` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else f"{text[:limit]}…"


def is_loopback(text: str) -> bool:
    """Return whether the text is a loopback address."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text).is_loopback
    return False


def netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class Response:
    """A response with any status; header names are in lowercase."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self, where: str) -> dict[str, t.Any]:
        """Return the JSON object of the body; raise KubeError (not_json) with `where`."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            kind = one_line(self.headers.get("content-type", "no content type"), 60)
            raise KubeError(
                "not_json",
                f"{where}: the response is not a JSON object ({kind});"
                " check that this is the address of an apiserver",
            )
        return value

    @property
    def reason(self) -> str:
        """Message of a Kubernetes Status; "" for any other body."""
        with contextlib.suppress(KubeError):
            message = self.json("").get("message")
            if isinstance(message, str):
                return one_line(message)
        return ""

    @property
    def retry_after(self) -> float | None:
        """Seconds in the header Retry-After; None without the header, or if its value is a date."""
        value = self.headers.get("retry-after", "")
        return float(value) if re.fullmatch(r"[0-9]{1,6}", value) else None


# --- errors

# Python raises these errors if the server has closed the connection.
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    """Convert the errors of socket, ssl and http.client to a KubeError."""
    try:
        yield
    except KubeError:
        raise
    except ssl.SSLCertVerificationError as exc:
        raise TransportError(
            KIND_OF_VERIFY_CODE.get(exc.verify_code, "tls_untrusted"),
            where,
            one_line(exc.verify_message or ""),
        ) from None
    except ssl.SSLError as exc:
        reason = exc.reason or ""
        if (
            "WRONG_VERSION_NUMBER" in reason
            or "HTTP_REQUEST" in reason
            or "RECORD_LAYER_FAILURE" in reason
        ):
            kind = "not_tls"
        elif "ALERT" in reason and ("CERT" in reason or "UNKNOWN_CA" in reason):
            kind = "tls_client"
        else:
            kind = "closed" if isinstance(exc, _CLOSED) else "tls"
        raise TransportError(kind, where, reason.lower().replace("_", " ")) from None
    except socket.timeout:
        raise TransportError("timeout", where) from None
    except socket.gaierror as exc:
        raise TransportError("dns", where, one_line(exc.strerror or "")) from None
    except (http.client.RemoteDisconnected, http.client.IncompleteRead):
        raise TransportError("closed", where) from None
    except (http.client.HTTPException, UnicodeError):
        raise TransportError("not_http", where) from None
    except OSError as exc:
        known = KIND_OF_ERRNO.get(exc.errno or 0)
        raise TransportError(
            known or "closed", where, "" if known else one_line(exc.strerror or "")
        ) from None


# --- TLS


def extract_certificates(content: str) -> str:
    """Return the certificates of a PEM file without the text between them."""
    return b"\n".join(split_certificates(content.encode())).decode()


def tls_context(
    ca_pem: str | None, client_pem: tuple[str, str] | None = None, *, verify: bool = True
) -> ssl.SSLContext:
    """Return a TLS context; without `ca_pem`, it trusts the CAs of the system.

    `client_pem` is a certificate and its key. Raises KubeError: ca, tls_pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _Socket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_pem is None:
        context.load_default_certs()
    else:
        # As in Go, each certificate of the bundle is an anchor, and names in the CN are ignored.
        context.verify_flags |= t.cast(
            "ssl.VerifyFlags", getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)
        )
        context.hostname_checks_common_name = False
        try:
            context.load_verify_locations(cadata=extract_certificates(ca_pem))
        except (ssl.SSLError, ValueError):
            raise KubeError(
                "ca", "the CA is not a PEM certificate; set a CA in PEM format"
            ) from None
    if client_pem is not None:
        _load_pair(context, *client_pem)
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # ssl reads a key pair only from files. An anonymous memory file keeps the key off every disk.
    try:
        fd = os.memfd_create("pair", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        raise KubeError(
            "tls_pair",
            "TLS cannot use a client key without a file on disk; use Linux 3.17 and Python 3.8",
        ) from None
    try:
        with os.fdopen(fd, "w", encoding="utf-8", closefd=False) as file:
            file.write(f"{certificate}\n{key}\n")
        # Without a password, OpenSSL would prompt for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{fd}", password="")
    except (ssl.SSLError, OSError, ValueError):
        raise KubeError(
            "tls_pair",
            "TLS cannot use the client certificate and key: they do not match, are not PEM,"
            " or the key is encrypted; set a matching certificate and key",
        ) from None
    finally:
        os.close(fd)


# --- connections


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


class _Socket(ssl.SSLSocket):
    """A socket with one deadline for all waits, because a socket timeout limits only each wait."""

    deadline = 0.0

    def send(self, *args: t.Any) -> int:
        self.settimeout(_left(self.deadline))
        return super().send(*args)

    def recv_into(self, *args: t.Any) -> int:
        self.settimeout(_left(self.deadline))
        return super().recv_into(*args)


class Proxy(t.NamedTuple):
    """An HTTP proxy; `authorization` is base64 of USER:PASSWORD, or ""."""

    host: str
    port: int
    authorization: str

    @classmethod
    def of(cls, url: str) -> Proxy:
        parts = urlsplit(url)
        user = (
            f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
        )
        return cls(parts.hostname or "", parts.port or 80, base64.b64encode(user.encode()).decode())


class Connection(http.client.HTTPConnection):
    """An HTTPS connection to one port, directly or through `proxy`; it ignores *_proxy variables.

    The connection stays open for the next request. If the server has closed the connection, it
    opens again. Two threads cannot share it. The server's certificate must be valid for
    `server_name`, by default for the host.
    """

    default_port = 443

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        *,
        server_name: str | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        with _translated(netloc(host, port)):
            super().__init__(host, port)
        self._context = context
        self._server_name = server_name or host
        self._proxy = proxy
        self._deadline = 0.0

    def __del__(self) -> None:
        self.close()

    def connect(self) -> None:
        address = self._proxy[:2] if self._proxy else (self.host, self.port)
        sock = socket.create_connection(address, _time_for_each_address(*address, self._deadline))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._proxy:
                _tunnel(
                    sock, self._deadline, netloc(self.host, self.port), self._proxy.authorization
                )
            sock.settimeout(_left(self._deadline))
            self.sock = self._context.wrap_socket(sock, server_hostname=self._server_name)
        except BaseException:
            sock.close()
            raise

    def get(
        self, path: str, *, where: str, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a GET request; return a response of any status.

        The whole response must arrive within `timeout` seconds. Raises TransportError with `where`.
        """
        return self.exchange("GET", path, where=where, timeout=timeout, headers=headers)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        where: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Send a request with any method; return a response like `get`.

        If the server has closed an open connection, the request is sent again, although the server
        can have received it.
        """
        self._deadline = time.monotonic() + timeout
        try:
            with _translated(where):
                kept = self.sock is not None
                try:
                    response = self._send(method, path, headers or {}, body)
                except _CLOSED:
                    if not kept:
                        raise
                    self.close()
                    response = self._send(method, path, headers or {}, body)
                with response:
                    return _read(response, where)
        except BaseException:
            # Close the connection, because the next request would read the rest of this response.
            self.close()
            raise

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> http.client.HTTPResponse:
        if self.sock is None:
            self.connect()
        t.cast("_Socket", self.sock).deadline = self._deadline
        self.request(method, path, body=body, headers=headers)
        return self.getresponse()

    def peer_certificate(self, *, where: str, timeout: float) -> bytes:
        """Return the certificate of the server as DER; raise TransportError with `where`."""
        self._deadline = time.monotonic() + timeout
        with _translated(where):
            self.connect()
            return t.cast("ssl.SSLSocket", self.sock).getpeercert(binary_form=True) or b""


def _time_for_each_address(host: str, port: int, deadline: float) -> float:
    """Divide the timeout by the addresses of a name, because each attempt can use all its time."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # A label of the name is empty or too long.
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
    return _left(deadline) / len(addresses)


def _tunnel(sock: socket.socket, deadline: float, target: str, authorization: str) -> None:
    # set_tunnel of http.client limits only each wait, and before Python 3.12, it uses HTTP/1.0.
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if authorization:
        lines.append(f"Proxy-Authorization: Basic {authorization}")
    sock.settimeout(_left(deadline))
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    # In TLS, the client sends first. So no byte of the server can follow the head.
    head = b""
    while b"\r\n\r\n" not in head:
        sock.settimeout(_left(deadline))
        received = sock.recv(4096)
        if not received:
            raise http.client.RemoteDisconnected("the proxy closed the connection")
        head += received
        if len(head) > 65536:
            raise http.client.LineTooLong("the response of the proxy")
    status = re.match(rb"HTTP/1\.[01] ([0-9]{3})\b", head)
    if status is None:
        raise http.client.BadStatusLine("the response of the proxy")
    if status[1] != b"200":
        raise TransportError("proxy", target, f"HTTP {int(status[1])}")


def _read(response: http.client.HTTPResponse, where: str) -> Response:
    content = response.read(MAX_BODY_BYTES + 1)
    if len(content) > MAX_BODY_BYTES:
        raise TransportError("too_large", where)
    if response.length:  # For an incomplete body, http.client raises no error.
        raise http.client.IncompleteRead(b"")
    return Response(
        response.status, {name.lower(): value for name, value in response.getheaders()}, content
    )

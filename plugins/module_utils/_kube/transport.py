# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Exchange requests and responses over HTTP and HTTPS, within a deadline and a size limit.

Every failure is a KubeError.

The http.client of the standard library needs no package on the hosts. ansible.module_utils.urls
lacks proxy-url, tls-server-name and a single deadline, and shares state between threads.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import ipaddress
import os
import re
import socket
import ssl
import typing as t
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.sockets import (
    NO_EXCHANGE,
    Exchange,
    LimitedSocket,
    LimitedTlsSocket,
    TooMuchDataError,
    connect,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import (
    parse_integer,
    parse_json,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._secrets import WITHHELD
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import split_certificates

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterator, Mapping

MAX_BODY_BYTES = 4 << 20
"""Maximum size of a body. A Lease has about 1 kB, the metrics of a scheduler a few 100 kB."""
MAX_FRAME_BYTES = 1 << 20
"""Maximum size of everything else in a response: heads, chunk sizes, trailers."""
MAX_CHUNK_LINE_BYTES = 4096
MAX_RETRY_AFTER_S = 999_999
MAX_LENGTH = 1 << 50
"""Maximum value of Content-Length and of a chunk size."""
BLOCK_BYTES = 1 << 18

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
    "too_large": "the response is too large; check the address",
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
            value = parse_json(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            kind = one_line(self.headers.get("content-type", "no content type"), 60)
            raise KubeError(
                "not_json",
                f"{where}: the response is not a JSON object ({kind});"
                " check that this is the address of an apiserver",
            )
        return value

    def without(self, secret: str) -> Response:
        """Return a copy without a secret that the request contained, because errors quote texts."""
        headers = {name: text.replace(secret, WITHHELD) for name, text in self.headers.items()}
        body = self.body.replace(secret.encode(), WITHHELD.encode())
        return Response(self.status, headers, body)

    @property
    def reason(self) -> str:
        """Message of a Kubernetes Status; "" for any other body."""
        with contextlib.suppress(KubeError):
            message = self.json("").get("message")
            if isinstance(message, str):
                return one_line(message)
        return ""

    @property
    def retry_after(self) -> int | None:
        """Seconds in the header Retry-After; None without the header, or if its value is a date."""
        return parse_integer(self.headers.get("retry-after"), MAX_RETRY_AFTER_S)


# --- errors


class InvalidFrameError(http.client.HTTPException):
    """The length of the body, or of a chunk, is not a number that HTTP allows."""


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
        reason = (exc.reason or "").lower().replace("_", " ")
        raise TransportError(_kind_of_tls_error(exc), where, reason) from None
    except socket.timeout:
        raise TransportError("timeout", where) from None
    except socket.gaierror as exc:
        raise TransportError("dns", where, one_line(exc.strerror or "")) from None
    except TooMuchDataError as exc:
        raise TransportError("too_large", where, str(exc)) from None
    except (http.client.RemoteDisconnected, http.client.IncompleteRead):
        raise TransportError("closed", where) from None
    except (http.client.HTTPException, UnicodeError) as exc:
        detail = str(exc) if isinstance(exc, InvalidFrameError) else ""
        raise TransportError("not_http", where, detail) from None
    except OSError as exc:
        known = KIND_OF_ERRNO.get(exc.errno or 0)
        raise TransportError(
            known or "closed", where, "" if known else one_line(exc.strerror or "")
        ) from None


def _kind_of_tls_error(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if any(
        word in reason for word in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
    ):
        return "not_tls"
    if "ALERT" in reason and ("CERT" in reason or "UNKNOWN_CA" in reason):
        return "tls_client"
    return "closed" if isinstance(error, _CLOSED) else "tls"


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
    context.sslsocket_class = LimitedTlsSocket
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
    """A connection to one port, directly or through `proxy`; it ignores *_proxy variables.

    Without a TLS context, the connection uses plain HTTP. The connection stays open for the next
    request. If the server has closed the connection, it opens again. Two threads cannot share a
    connection. The server's certificate must be valid for `server_name`, by default for the host.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        *,
        server_name: str | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.default_port = 80 if context is None else 443
        with _translated(netloc(host, port)):
            super().__init__(host, port)
        self._context = context
        self._server_name = server_name or host
        self._proxy = proxy
        self._exchange = NO_EXCHANGE

    def __del__(self) -> None:
        self.close()

    def connect(self) -> None:
        address = self._proxy[:2] if self._proxy else (self.host, self.port)
        connected = connect(*address, self._exchange)
        try:
            if self._proxy:
                _tunnel(connected, netloc(self.host, self.port), self._proxy.authorization)
            if self._context is None:
                self.sock = connected
                return
            connected.settimeout(self._exchange.left())
            self.sock = self._context.wrap_socket(connected, server_hostname=self._server_name)
        except BaseException:
            connected.close()
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
        limits = Exchange(timeout, MAX_BODY_BYTES + MAX_FRAME_BYTES)
        with self._limited(limits, where):
            kept = self.sock is not None
            try:
                response = self._send(method, path, headers or {}, body)
            except _CLOSED:
                if not kept:
                    raise
                self.close()
                response = self._send(method, path, headers or {}, body)
            with response:
                return _read(response)

    @contextlib.contextmanager
    def open(
        self, path: str, where: str, limits: Exchange, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a GET request, and give access to its response within the block.

        All exchanges with the same `limits` object share its deadline and size. Raises
        TransportError with `where`.
        """
        with self._limited(limits, where), self._send("GET", path, headers, None) as response:
            yield response

    @contextlib.contextmanager
    def _limited(self, limits: Exchange, where: str) -> Iterator[None]:
        """Use the limits for one exchange. If the exchange fails, close the connection."""
        self._exchange = limits
        try:
            with _translated(where):
                yield
        except BaseException:
            # The next request would read the rest of this response.
            self.close()
            raise

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> http.client.HTTPResponse:
        if self.sock is None:
            self.connect()
        t.cast("LimitedSocket", self.sock).exchange = self._exchange
        self.request(method, path, body=body, headers=headers)
        return self.getresponse()

    def peer_certificate(self, *, where: str, timeout: float) -> bytes:
        """Return the certificate of the server as DER; raise TransportError with `where`."""
        with self._limited(Exchange(timeout, 0), where):
            self.connect()
            return t.cast("ssl.SSLSocket", self.sock).getpeercert(binary_form=True) or b""


def _tunnel(connected: LimitedSocket, target: str, authorization: str) -> None:
    # set_tunnel of http.client reads a response of any length, and before Python 3.12, it uses
    # HTTP/1.0.
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if authorization:
        lines.append(f"Proxy-Authorization: Basic {authorization}")
    connected.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    # In TLS, the client sends first, so the server sends no byte after the head of this response.
    head = b""
    while b"\r\n\r\n" not in head:
        received = connected.recv(4096)
        if not received:
            raise http.client.RemoteDisconnected("the proxy closed the connection")
        head += received
        if len(head) > 65536:
            raise http.client.LineTooLong("the response of the proxy")
    status = re.match(rb"HTTP/1\.[01] ([0-9]{3})\b", head)
    if status is None:
        raise http.client.BadStatusLine("the response of the proxy")
    if status[1] != b"200":
        raise TransportError("proxy", target, f"HTTP {status[1].decode()}")


# --- responses


def _read(response: http.client.HTTPResponse) -> Response:
    content = b"".join(body_blocks(response, MAX_BODY_BYTES))
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Response(response.status, headers, content)


def body_blocks(response: http.client.HTTPResponse, max_bytes: int) -> Iterator[bytes]:
    """Yield the body of a response in blocks.

    Raises TooMuchDataError, before the first block if the length is known, and HTTPException.
    """
    if response.chunked:
        # http.client would accept a chunk size with a sign, or with thousands of digits.
        response.chunked = False
        blocks = _chunks(response)
    else:
        if (content_length(response) or 0) > max_bytes:
            raise TooMuchDataError(max_bytes)
        blocks = iter(lambda: response.read(BLOCK_BYTES), b"")
    size = 0
    for block in blocks:
        size += len(block)
        if size > max_bytes:
            raise TooMuchDataError(max_bytes)
        yield block
    if response.length:  # For an incomplete body, http.client raises no error.
        raise http.client.IncompleteRead(b"")


def content_length(response: http.client.HTTPResponse) -> int | None:
    """Return the value of Content-Length; None if it is missing. Raises InvalidFrameError."""
    values = set(response.headers.get_all("Content-Length") or ())
    if not values:
        return None
    length = parse_integer(values.pop(), MAX_LENGTH)
    if length is None or values:
        raise InvalidFrameError("invalid Content-Length")
    return length


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    left = _read_chunk_size(response)
    while left:
        block = response.read(min(left, BLOCK_BYTES))
        if not block:
            raise http.client.IncompleteRead(b"")
        yield block
        left -= len(block)
        if not left:
            if _read_line(response):
                raise InvalidFrameError("invalid end of a chunk")
            left = _read_chunk_size(response)
    while _read_line(response):
        pass  # A trailer field.


def _read_chunk_size(response: http.client.HTTPResponse) -> int:
    line = _read_line(response)
    size = parse_integer(line.partition(";")[0].strip(" \t"), MAX_LENGTH, base=16)
    if size is None:
        raise InvalidFrameError("invalid chunk size")
    return size


def _read_line(response: http.client.HTTPResponse) -> str:
    """Return a line without its end."""
    line = response.readline(MAX_CHUNK_LINE_BYTES)
    if not line.endswith(b"\n"):
        if len(line) < MAX_CHUNK_LINE_BYTES:
            raise http.client.IncompleteRead(line)
        raise InvalidFrameError("too long line between chunks")
    return line.rstrip(b"\r\n").decode("latin-1")

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A small HTTPS client for an apiserver and for what the components serve, with nothing to install on a master.

An apiserver is asked through ansible.module_utils.urls. The proxy and the server name of a kubeconfig, of which Request knows nothing, and
a bound for the whole answer in place of each wait are put in where Request hands its connection over to TLS. The component's own ports are
asked with http.client: several at once, which Request cannot.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import io
import json
import os
import re
import socket
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass, field
from functools import cached_property
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

from ansible.module_utils.urls import Request
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _kubeconfig

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterator, Mapping, Sequence

BODY_LIMIT = 4 << 20
"""Bytes of an answer: a Lease has a thousand, a scheduler's metrics some hundred thousand."""

KIND_OF_STATUS = {401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict", 429: "throttled"}

ADVICE = {
    "unauthorized": "the certificate has expired, or is not from the CA in the apiserver's --client-ca-file, or the token is unknown",
    "server_error": "look at its log and at its etcd",
}

# X509_V_ERR_… of OpenSSL; whatever is not here is a chain that does not lead to the CA.
KIND_OF_VERIFY_CODE = {9: "tls_not_yet_valid", 10: "tls_expired", 62: "tls_name", 64: "tls_name"}

KIND_OF_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ECONNRESET: "closed",
    errno.EPIPE: "closed",
    errno.ETIMEDOUT: "timeout",
}

WHAT = {
    "closed": "the connection was closed before an answer came",
    "dns": "the host name does not resolve",
    "not_http": "the answer is not HTTP",
    "not_tls": "the port does not speak TLS; check the scheme and the port",
    "proxy": "the proxy of the kubeconfig refused to connect",
    "redirect": "the server redirects, which is never followed with credentials; name its real address",
    "refused": "connection refused; nothing listens there",
    "timeout": "timed out; look at the address, at what filters packets on the way, and at the server's load",
    "tls": "the TLS handshake failed",
    "tls_client": "the server refuses the client certificate in the TLS handshake",
    "tls_expired": "the server's certificate has expired, or that of its CA",
    "tls_name": "the server's certificate is not for this name or address; its subject alternative names need it, or set tls-server-name",
    "tls_not_yet_valid": "the server's certificate is not yet valid; compare the clocks",
    "tls_untrusted": "the server's certificate is not signed by the CA that is trusted here",
    "too_large": f"the answer is larger than {BODY_LIMIT >> 20} MiB",
    "unreachable": "no route to the host",
}

# In these the request has not left, so that another server may have it, whatever its method.
NOT_SENT = {"dns", "proxy", "refused", "unreachable", *(kind for kind in WHAT if "tls" in kind)}

# Worth another try at the same server a little later.
TRANSIENT = {"closed", "dns", "not_http", "refused", "server_error", "throttled", "timeout", "unreachable"}


# Request puts what it connects with, credentials and all, in a place that the whole process shares.
_REQUEST = threading.Lock()


class KubeError(Exception):
    """One line: what is wrong, where, and what to do. C(kind) is for programs."""

    def __init__(self, kind: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class KubeconfigError(KubeError):
    """The kubeconfig cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__("kubeconfig", message)


class TransportError(KubeError):
    """No answer came."""

    def __init__(self, kind: str, where: str, detail: str = "") -> None:
        super().__init__(kind, f"{where}: {WHAT[kind]}{f' ({detail})' if detail else ''}")


class StatusError(KubeError):
    """The server answered, and did not grant what was asked."""

    def __init__(self, where: str, response: Response) -> None:
        self.status = response.status
        kind = KIND_OF_STATUS.get(self.status, "server_error" if self.status >= 500 else "bad_request")
        retry_after = response.retry_after
        words = [f"HTTP {self.status}, {response.reason or kind.replace('_', ' ')}"]
        if retry_after is not None:
            words.append(f"it asks to wait {retry_after:g} s")
        if kind in ADVICE:
            words.append(ADVICE[kind])
        super().__init__(kind, f"{where}: {'; '.join(words)}", retry_after=retry_after)


def one_line(text: str, limit: int = 300) -> str:
    """What a server said, fit for an error message."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else f"{text[:limit]}…"


@dataclass(frozen=True)
class Response:
    """An answer, whatever its status; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self, where: str) -> dict[str, t.Any]:
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            kind = one_line(self.headers.get("content-type", "no content type"), 60)
            raise KubeError(
                "not_json", f"{where}: the answer is not a JSON object ({kind}); is this the address of an apiserver?"
            )
        return value

    @property
    def reason(self) -> str:
        """The message of a Kubernetes Status, if that is what came."""
        with contextlib.suppress(KubeError):
            message = self.json("").get("message")
            if isinstance(message, str):
                return one_line(message)
        return ""

    @property
    def retry_after(self) -> float | None:
        value = self.headers.get("retry-after", "")
        return float(value) if re.fullmatch(r"[0-9]{1,6}", value) else None


@dataclass(frozen=True)
class Credentials:
    """What one context of a kubeconfig says: where the apiserver is, how it is known, and who asks."""

    origin: str
    server: str
    ca_pem: str | None = None
    client_pem: tuple[str, str] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls_server_name: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    insecure: bool = False


# --- transport


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


class _Channel:
    """A socket as http.client wants it, all of whose waits end at one deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self._readers = 0
        self._closed = False

    def in_time(self) -> socket.socket:
        self.sock.settimeout(_left(self.deadline))
        return self.sock

    def sendall(self, data: bytes) -> None:
        self.in_time().sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def release(self) -> None:
        self._readers -= 1
        if self._closed and not self._readers:
            self.sock.close()

    def close(self) -> None:
        # http.client closes the socket before it has read an answer that ends with the connection.
        self._closed = True
        if not self._readers:
            self.sock.close()


class _Reader(io.RawIOBase):
    def __init__(self, channel: _Channel) -> None:
        super().__init__()
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        return self._channel.in_time().recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._channel.release()
        super().close()


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turns whatever socket, ssl and http.client raise into one KubeError."""
    try:
        yield
    except KubeError:
        raise
    except ssl.SSLCertVerificationError as exc:
        raise TransportError(
            KIND_OF_VERIFY_CODE.get(exc.verify_code, "tls_untrusted"), where, one_line(exc.verify_message or "")
        ) from None
    except ssl.SSLError as exc:
        reason = exc.reason or ""
        if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason or "RECORD_LAYER_FAILURE" in reason:
            kind = "not_tls"
        elif "ALERT" in reason and ("CERT" in reason or "UNKNOWN_CA" in reason):
            kind = "tls_client"
        else:
            kind = "closed" if isinstance(exc, ssl.SSLEOFError) else "tls"
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
        raise TransportError(known or "closed", where, "" if known else one_line(exc.strerror or "")) from None


def _patience(host: str, port: int, deadline: float) -> float:
    """How long each address of a name may take to connect: http.client tries one after the other, each for the whole of its time-out."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
    return _left(deadline) / len(addresses)


def _tunnel(sock: socket.socket, deadline: float, host: str, port: int, authorization: str) -> None:
    target = _netloc(host, port)
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if authorization:
        lines.append(f"Proxy-Authorization: Basic {authorization}")
    channel = _Channel(sock, deadline)
    channel.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    answer = http.client.HTTPResponse(t.cast("socket.socket", channel), method="CONNECT")
    answer.begin()
    if answer.status != 200:
        raise TransportError("proxy", target, f"HTTP {answer.status}")


def certificates_of(pem: str) -> str:
    """The certificates of a PEM file without the text that tools write between them."""
    return "\n".join(re.findall(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", pem))


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # ssl takes a pair from files only. One that has no name and dies with this process keeps the key off every disk.
    try:
        fd = os.memfd_create("pair", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        raise KubeError(
            "tls_pair",
            "a client key cannot be handed to TLS here without a file on disk: this needs Linux 3.17 and Python 3.8",
        ) from None
    try:
        with os.fdopen(fd, "w", encoding="utf-8", closefd=False) as file:
            file.write(f"{certificate}\n{key}\n")
        # An empty password keeps OpenSSL from asking the terminal for one.
        context.load_cert_chain(f"/proc/self/fd/{fd}", password="")
    except (ssl.SSLError, OSError, ValueError):
        raise KubeError(
            "tls_pair",
            "the client certificate and key are not a pair that TLS can use: they do not match, are not PEM, or the key is encrypted",
        ) from None
    finally:
        os.close(fd)


class _Context(ssl.SSLContext):
    """Secures the connections that http.client opens, for Request too: to a server name, through a proxy if told, and in time."""

    server_name = ""
    tunnel: tuple[str, int, str] | None = None
    deadline = 0.0

    def wrap_socket(self, sock: socket.socket, *_args: t.Any, **_options: t.Any) -> t.Any:
        if self.tunnel:
            _tunnel(sock, self.deadline, *self.tunnel)
        sock.settimeout(_left(self.deadline))
        return _Channel(super().wrap_socket(sock, server_hostname=self.server_name), self.deadline)


def _tls_context(ca_pem: str | None, client_pem: tuple[str, str] | None, *, verify: bool = True) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_pem is None:
        context.load_default_certs()
    else:
        # As Go does: each certificate of the bundle is an anchor, intermediate or not, and a name in the CN counts for nothing.
        context.verify_flags |= t.cast("ssl.VerifyFlags", getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000))
        context.hostname_checks_common_name = False
        try:
            context.load_verify_locations(cadata=certificates_of(ca_pem))
        except (ssl.SSLError, ValueError):
            raise KubeError("ca", "the CA that is to be trusted is not a PEM certificate") from None
    if client_pem is not None:
        _load_pair(context, *client_pem)
    return context


def _read(answer: http.client.HTTPResponse, where: str) -> Response:
    content = answer.read(BODY_LIMIT + 1)
    if len(content) > BODY_LIMIT:
        raise TransportError("too_large", where)
    if answer.length:  # http.client leaves a body that was cut short to its caller
        raise http.client.IncompleteRead(b"")
    return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)


def _connection(host: str, port: int, context: _Context, timeout: float) -> http.client.HTTPSConnection:
    context.server_name, context.deadline = host, time.monotonic() + timeout
    return http.client.HTTPSConnection(host, port, timeout=_patience(host, port, context.deadline), context=context)


def https_get(
    host: str,
    port: int,
    path: str,
    *,
    ca_pem: str | None,
    client_pem: tuple[str, str] | None = None,
    timeout: float = 10.0,
) -> Response:
    """GET over verified TLS, with no proxy; C(client_pem) is a certificate and its key. Any status is an answer."""
    where = f"https://{_netloc(host, port)}{path}"
    context = _tls_context(ca_pem, client_pem)
    with _explained(where), contextlib.closing(_connection(host, port, context, timeout)) as connection:
        connection.request("GET", path)
        with connection.getresponse() as answer:
            return _read(answer, where)


def peer_certificate(host: str, port: int, timeout: float = 10.0) -> bytes:
    """The certificate that a port serves, as DER, with nothing verified: also one that has expired can be read."""
    context = _tls_context(None, None, verify=False)
    where = f"https://{_netloc(host, port)}"
    with _explained(where), contextlib.closing(_connection(host, port, context, timeout)) as connection:
        connection.connect()
        return t.cast("t.Any", connection.sock).sock.getpeercert(binary_form=True) or b""


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# --- client


class _Server:
    """One apiserver, and how it is asked."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        try:
            url = _kubeconfig.server_url(credentials.server)
        except _kubeconfig.KubeconfigError as exc:
            raise KubeconfigError(f"{credentials.origin}: {exc}") from None
        self.host, self.port, self.prefix = url.host, url.port, url.path.rstrip("/")
        self.name = f"https://{_netloc(self.host, self.port)}"
        self.headers = {
            "Host": _netloc(self.host, self.port),
            "Accept": "application/json",
            "User-Agent": "kube_ha.scheduler",
        }
        if credentials.token:
            self.headers["Authorization"] = f"Bearer {credentials.token}"
        self._address, self._tunnel = (self.host, self.port), None
        if credentials.proxy_url:
            proxy = urlsplit(credentials.proxy_url)
            user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}" if proxy.username else ""
            self._address = (proxy.hostname or "", proxy.port or 80)
            self._tunnel = (self.host, self.port, base64.b64encode(user.encode()).decode())

    @cached_property
    def _context(self) -> _Context:
        c = self.credentials
        try:
            context = _tls_context(c.ca_pem, c.client_pem, verify=not c.insecure)
        except KubeError as exc:
            raise KubeconfigError(f"{c.origin}: {exc}") from None
        context.server_name, context.tunnel = c.tls_server_name or self.host, self._tunnel
        return context

    def _ask(self, method: str, path: str, body: bytes | None, deadline: float) -> Response:
        context = self._context
        context.deadline = deadline
        patience = _patience(*self._address, deadline)
        try:
            with _REQUEST:
                answer = Request().open(
                    method,
                    f"https://{_netloc(*self._address)}{self.prefix}{path}",
                    data=body,
                    headers=self.headers if body is None else {**self.headers, "Content-Type": "application/json"},
                    context=context,
                    timeout=patience,
                    follow_redirects="none",
                    use_proxy=False,
                    use_netrc=False,
                    decompress=False,
                )
            with answer:
                return _read(answer, self.name)
        except HTTPError as exc:
            with exc:
                return _read(t.cast("http.client.HTTPResponse", exc.fp), self.name)
        except URLError as exc:
            raise t.cast("OSError", exc.reason) from None

    def request(self, method: str, path: str, body: bytes | None, deadline: float) -> Response:
        with _explained(self.name):
            response = self._ask(method, path, body, deadline)
        if 300 <= response.status < 400:
            raise TransportError("redirect", f"{self.name}{path}", one_line(response.headers.get("location", ""), 100))
        return response


class Client:
    """The apiservers of one cluster, asked in order; the one that answered is asked first next time."""

    def __init__(self, credentials: Sequence[Credentials], *, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self._servers = [_Server(c) for c in credentials]

    @property
    def server(self) -> str:
        """The apiserver that answered last, or that will be asked first."""
        return self._servers[0].name

    def request(
        self, method: str, path: str, body: Mapping[str, t.Any] | None = None, *, timeout: float | None = None
    ) -> Response:
        """Whatever the status: what a server says is an answer. A 5xx sends a GET to the next server, while there is one."""
        content = None if body is None else json.dumps(body).encode()
        failures: list[KubeError] = []
        sick: Response | None = None
        for server in list(self._servers):
            deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
            try:
                response = server.request(method, path, content, deadline)
            except KubeError as exc:
                failures.append(exc)
                if method != "GET" and exc.kind not in NOT_SENT:
                    break
                continue
            if response.status >= 500 and method == "GET":
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
        response = self.request("GET", path, timeout=timeout)
        where = f"{self.server}{path}"
        if not 200 <= response.status < 300:
            raise StatusError(where, response)
        return response.json(where)


# --- kubeconfig


def load(source: str | bytes, context: str | Sequence[str] | None = None, *, timeout: float = 10.0) -> Client:
    """A client for the named contexts, tried in order, or for the current one; C(source) is a path or the content."""
    contexts: Sequence[str | None] = [context] if context is None or isinstance(context, str) else context
    return Client([credentials(source, name) for name in contexts], timeout=timeout)


def credentials(source: str | bytes, context: str | None = None) -> Credentials:
    """What a context of a kubeconfig (the current one if not named) stands for."""
    where = source if isinstance(source, str) else "the kubeconfig"
    try:
        content = _kubeconfig.read(source) if isinstance(source, str) else source
        name, cluster, user = _kubeconfig.resolve(_kubeconfig.parse(content, where), context, where)
        origin = f"{where}, context {name}"
        folder = os.path.dirname(os.path.abspath(source)) if isinstance(source, str) else None
        return _credentials(cluster, user, origin, folder)
    except _kubeconfig.KubeconfigError as exc:
        raise KubeconfigError(str(exc)) from None


_TOKEN = r"[\x21-\x7e]+"
_PROXY = r"http://(?:[^\s/@?#]+@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,4}|:[1-5][0-9]{4})?/?"


def _credentials(
    cluster: Mapping[str, t.Any], user: Mapping[str, t.Any], origin: str, folder: str | None
) -> Credentials:
    for name in ("exec", "auth-provider", "username"):
        if user.get(name):
            raise KubeconfigError(f"{origin}: the user's {name} is not supported here; use a certificate or a token")

    def text(entry: Mapping[str, t.Any], key: str) -> str | None:
        return _kubeconfig.text(entry, key, origin, folder)

    def value(entry: Mapping[str, t.Any], key: str, form: str, advice: str) -> str | None:
        found = entry.get(key) or None
        if found is not None and not (isinstance(found, str) and re.fullmatch(form, found)):
            raise KubeconfigError(f"{origin}: {key} {advice}")
        return found

    certificate, key = text(user, "client-certificate"), text(user, "client-key")
    if (certificate is None) != (key is None):
        raise KubeconfigError(f"{origin}: the user has only one of client-certificate and client-key; both are needed")
    # client-go takes the file before the value.
    token = (text(user, "tokenFile") or "").strip() or value(
        user, "token", _TOKEN, "holds characters that no HTTP header can carry"
    )
    if token and not re.fullmatch(_TOKEN, token):
        raise KubeconfigError(f"{origin}: tokenFile holds characters that no HTTP header can carry")
    return Credentials(
        origin=origin,
        server=value(cluster, "server", r"[\s\S]*", "is not text") or "",
        ca_pem=text(cluster, "certificate-authority"),
        client_pem=(certificate, key) if certificate is not None and key is not None else None,
        token=token,
        tls_server_name=value(cluster, "tls-server-name", _kubeconfig.NAME, "is neither a DNS name nor an address"),
        proxy_url=value(
            cluster, "proxy-url", _PROXY, "is not of the form http://HOST:PORT, the only kind that is supported here"
        ),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    KubeconfigError,
    KubeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as kube
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import StatusError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import read_field
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import apiserver
from tests.support.apiserver import Server, answer, kubeconfig, refused_port, status
from tests.support.pki import Ca, key_pem, spare

CA = Ca()
PAIR = CA.issue()
CLIENT = CA.issue("client")


def serve(respond: Any, pair: tuple[str, str] = PAIR, **options: Any) -> Server:
    return Server(respond if callable(respond) else lambda _request: respond, pair, **options)


def client(
    *servers: Any, ca: str | None = CA.pem, timeout: float = 3.0, **options: Any
) -> kube.Client:
    return kube.load_client(
        kubeconfig([getattr(s, "url", s) for s in servers], ca=ca, **options),
        [f"c{n}" for n in range(1, len(servers) + 1)],
        timeout=timeout,
    )


def named(name: str, value: str) -> dict[str, Any]:
    """Return an option whose name is not a Python identifier."""
    return {name: value}


def kind_of(*servers: Any, path: str = "/version", **options: Any) -> tuple[str, str]:
    with pytest.raises(KubeError) as caught, client(*servers, **options) as unlucky:
        unlucky.get(path)
    text = str(caught.value)
    assert "\n" not in text
    return caught.value.kind, text


def test_get_sends_the_client_certificate() -> None:
    with serve(answer(200, {"a": 1}), client_ca=CA.pem) as server:
        reader = client(server, pair=CLIENT)
        assert [reader.get("/version"), reader.get("/version")] == [{"a": 1}, {"a": 1}]
        assert server.requests[0].startswith(b"GET /version HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in server.requests[0]
    assert apiserver.memory_files() == []


def test_closed_client_leaves_no_connection() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    with serve(answer(200, {})) as good, serve(answer(404, {})) as bad:
        before = count()
        for _number in range(5):
            client(good).get("/")
            kind_of(bad)
        end = time.monotonic() + 5
        # the server closes its connections a little later
        while count() > before and time.monotonic() < end:
            time.sleep(0.01)
        assert count() <= before


def test_requests_share_a_connection_until_close() -> None:
    with serve(answer(200, {}), client_ca=CA.pem) as server:
        with client(server, pair=CLIENT) as reader:
            for _number in range(5):
                reader.get("/")
                assert reader.request("/").status == 200
        assert (server.connections, len(server.requests)) == (1, 10)
        assert reader.get("/") == {}
        assert server.connections == 2


@pytest.mark.parametrize("code", [200, 404, 503])
def test_closed_connection_is_reopened(code: int) -> None:
    whole = answer(code, {"a": 1})
    with (
        serve(lambda _request: lambda stream: stream.sendall(whole)) as server,
        client(server) as reader,
    ):
        for _number in range(5):
            assert reader.request("/").status == code
            time.sleep(0.01)
        assert server.connections == len(server.requests) == 5


def test_restart_between_two_requests_is_tolerated() -> None:
    with serve(answer(200, {"n": 1})) as first, client(first) as reader:
        assert reader.get("/") == {"n": 1}
        replies = [lambda _stream: None, answer(200, {"n": 2})]
        first.respond = lambda _request: replies.pop(0)
        assert reader.get("/") == {"n": 2}
        first.respond = lambda _request: lambda _stream: None
        with pytest.raises(KubeError) as caught:
            reader.get("/")
        assert caught.value.kind == "closed"


@pytest.mark.parametrize("code", [200, 500])
def test_rest_of_a_response_is_not_read_as_the_next(code: int) -> None:
    head = f"HTTP/1.1 {code} OK\r\nContent-Length: 9\r\n\r\n".encode()
    replies = [head, answer(200, {"n": 2})]
    with serve(lambda _request: replies.pop(0)) as server, client(server, timeout=0.3) as reader:
        with pytest.raises(KubeError) as caught:
            reader.get("/")
        assert caught.value.kind == "timeout"
        assert reader.get("/") == {"n": 2}


def test_open_connection_has_a_deadline_per_response() -> None:
    replies: list[Any] = [answer(200, {})]

    def drip_then(_request: str) -> Any:
        return replies.pop(0) if replies else drip(b"HTTP/1.1 200 OK\r\nX: ")(_request)

    with serve(drip_then) as server, client(server, timeout=0.3) as reader:
        reader.get("/")
        time.sleep(0.4)
        start = time.monotonic()
        with pytest.raises(KubeError) as caught:
            reader.get("/")
        assert caught.value.kind == "timeout"
        assert 0.25 < time.monotonic() - start < 1


def test_threads_use_their_own_credentials() -> None:
    def ask(number: int) -> list[str]:
        ca = Ca(key=spare("ECC", number=10 + number), subject={"CN": f"ca {number}"})
        with serve(answer(200, {"n": number}), ca.issue(), client_ca=ca.pem) as server:
            reader = client(server, ca=ca.pem, pair=ca.issue("client"))
            return [
                found for _number in range(9) if (found := outcome(reader)) != str({"n": number})
            ]

    def outcome(reader: kube.Client) -> str:
        try:
            return str(reader.get("/"))
        except KubeError as exc:
            return str(exc)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [[], [], [], []]


def test_netrc_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serve(answer(200, {})) as server:
        client(server).get("/")
        assert b"Authorization" not in server.requests[0]


def test_unresponsive_address_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        serve(answer(200, {})) as server,
        socket.create_server(("127.0.0.2", server.port), backlog=0) as deaf,
        # this connection fills the queue of the listening socket
        socket.create_connection(deaf.getsockname()),
    ):
        address = socket.getaddrinfo("127.0.0.1", server.port, type=socket.SOCK_STREAM)[0]
        found = [(*address[:-1], deaf.getsockname()), address]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
        assert client(server, timeout=2.0).get("/") == {}
        assert (
            kube.https_get("127.0.0.1", server.port, "/", ca_pem=CA.pem, timeout=2.0).status == 200
        )
        found.pop()
        assert kind_of(server, timeout=0.3)[0] == "timeout"


def test_response_without_length_ends_with_the_connection() -> None:
    def once(connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a":')
        connection.sendall(b" 1}")

    with serve(lambda _request: once) as server:
        assert client(server).get("/version") == {"a": 1}


def test_token_and_path_prefix_are_sent() -> None:
    with serve(answer(201, {})) as server:
        reader = client(f"{server.url}/k8s/c1/", user={"token": "s3cret"})
        assert reader.request("/api/v1/nodes").status == 201
        request = server.requests[0]
    assert request.startswith(b"GET /k8s/c1/api/v1/nodes ")
    assert b"Authorization: Bearer s3cret\r\n" in request


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (409, "conflict"),
        (429, "throttled"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_status_error_has_kind_and_message_of_the_server(code: int, kind: str) -> None:
    with serve(answer(code, status(code, "because\nof \x1b[31mthis"))) as server:
        found, text = kind_of(server)
    assert found == kind
    assert f"HTTP {code}, because of [31mthis" in text


def test_retry_after_is_reported() -> None:
    with serve(answer(429, {}, ["Retry-After: 7"])) as server, pytest.raises(StatusError) as caught:
        client(server).get("/version")
    assert caught.value.retry_after == 7
    assert "7 s" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"\xff", b"[" * 100_000])
def test_body_that_is_no_json_object_is_rejected(body: bytes) -> None:
    with serve(answer(200, body)) as server:
        assert kind_of(server)[0] == "not_json"


@pytest.mark.parametrize(
    ("pair", "options", "kind"),
    [
        (CA.issue(end=-1, start=-60), {}, "tls_expired"),
        (CA.issue(start=1000), {}, "tls_not_yet_valid"),
        (CA.issue(ips=["127.0.0.2"]), {}, "tls_name"),
        (CA.issue(ips=[], dns=["localhost"]), {}, "tls_name"),
        (PAIR, {"tls-server-name": "other.example"}, "tls_name"),
        (
            PAIR,
            {"ca": Ca(key=spare("ECC", number=2), subject={"CN": "other"}).pem},
            "tls_untrusted",
        ),
        (PAIR, {"ca": None}, "tls_untrusted"),
        (PAIR, {"client_ca": True}, "tls_client"),
    ],
)
def test_tls_error_has_its_kind(pair: tuple[str, str], options: dict[str, Any], kind: str) -> None:
    required = CA.pem if options.pop("client_ca", None) else None
    with serve(answer(200, {}), pair, client_ca=required) as server:
        assert kind_of(server, **options)[0] == kind


def test_tls_server_name_is_verified() -> None:
    with serve(answer(200, {}), CA.issue(ips=[], dns=["api.example"])) as server:
        assert client(server, **named("tls-server-name", "api.example")).get("/") == {}


def test_insecure_of_the_kubeconfig_is_used() -> None:
    with serve(
        answer(200, {}), Ca(key=spare("ECC", number=2), subject={"CN": "other"}).issue()
    ) as server:
        assert client(server, ca=None, **{"insecure-skip-tls-verify": True}).get("/") == {}


def test_plain_http_port_is_reported() -> None:
    with serve(answer(200, {}), plain=True) as server:
        assert kind_of(server)[0] == "not_tls"


def test_refused_connection_is_reported() -> None:
    kind, text = kind_of(f"https://127.0.0.1:{refused_port()}")
    assert kind == "refused"
    assert "https://127.0.0.1:" in text


def test_unknown_host_is_reported() -> None:
    assert kind_of("https://nowhere.invalid")[0] == "dns"


def drip(before: bytes) -> Callable[[str], Any]:
    def send(connection: socket.socket) -> None:
        connection.sendall(before)
        while True:
            time.sleep(0.02)
            connection.sendall(b"x")

    return lambda _request: send


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
    ],
)
def test_slow_response_ends_at_the_deadline(before: bytes) -> None:
    with serve(drip(before)) as server:
        start = time.monotonic()
        assert kind_of(server, timeout=0.3)[0] == "timeout"
        assert time.monotonic() - start < 1


@pytest.fixture(params=["https", "http"])
def slow_port(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Return a request to a server whose response has one byte per interval."""
    plain = request.param == "http"
    with serve(drip(b"HTTP/1.1 200 OK\r\nX: "), plain=plain) as server:
        if plain:
            yield lambda: kube.http_get("127.0.0.1", server.port, "/", timeout=0.3)
        else:
            yield lambda: kube.https_get("127.0.0.1", server.port, "/", ca_pem=CA.pem, timeout=0.3)


def test_port_of_a_component_has_one_deadline(slow_port: Callable[[], Any]) -> None:
    start = time.monotonic()
    with pytest.raises(KubeError) as caught:
        slow_port()
    assert caught.value.kind == "timeout"
    assert time.monotonic() - start < 5


def test_slow_handshake_ends_at_the_deadline() -> None:
    """The record of the handshake is complete after 5 minutes."""

    def shake(connection: socket.socket) -> None:
        drip(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03")("")(connection)

    with serve(lambda _request: shake, plain=True) as server:
        start = time.monotonic()
        assert kind_of(server, timeout=0.3)[0] == "timeout"
        with pytest.raises(KubeError) as caught:
            kube.read_peer_certificate("127.0.0.1", server.port, 0.3)
        assert caught.value.kind == "timeout"
        assert time.monotonic() - start < 5


def test_slow_upload_ends_at_the_deadline() -> None:
    """The server reads nothing, so the buffers of the sockets become full."""
    with serve(answer(200, {})) as server, client(server, timeout=0.5) as reader:
        reader.get("/")
        server.respond = lambda _request: lambda _connection: time.sleep(30)
        start = time.monotonic()
        with pytest.raises(KubeError) as caught:
            reader.send("POST", "/", {"a": "x" * (8 << 20)})
        assert caught.value.kind == "timeout"
        assert time.monotonic() - start < 5


def test_unresponsive_dns_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    found = socket.getaddrinfo

    def never(host: str, *args: Any, **options: Any) -> Any:
        if host == "slow.example" and not options.get("flags"):
            time.sleep(30)
        return found(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", never)
    start = time.monotonic()
    kind, text = kind_of("https://slow.example", timeout=0.3)
    assert (kind, "the DNS does not respond" in text) == ("dns", True)
    assert time.monotonic() - start < 5


def test_servers_share_the_deadline() -> None:
    with (
        serve(drip(b"")) as first,
        serve(drip(b"HTTP/1.1 200 OK\r\nX: ")) as second,
        serve(answer(200, {"n": 3})) as third,
    ):
        start = time.monotonic()
        kind, text = kind_of(first, second, first, second, timeout=2)
        assert (kind, text.count("timed out")) == ("timeout", 4)
        # Four times the timeout would be 8 s.
        assert time.monotonic() - start < 5
        before = first.connections
        reader = client(first, second, third, timeout=3)
        assert [reader.get("/"), reader.get("/")] == [{"n": 3}, {"n": 3}]
        assert first.connections == before + 1


def test_missing_handshake_ends_at_the_deadline() -> None:
    with serve(lambda _request: lambda _connection: time.sleep(5), plain=True) as server:
        assert kind_of(server, timeout=0.3)[0] == "timeout"


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"]
)
def test_endless_body_is_rejected(head: bytes) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b" " * 65536)

    with serve(lambda _request: flood) as server:
        assert kind_of(server, timeout=10)[0] == "too_large"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "closed"),
        (b"SSH-2.0-x\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "closed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}", "closed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0", "closed"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000 + b"\r\n\r\n", "not_http"),
    ],
)
def test_invalid_response_is_rejected(raw: bytes, kind: str) -> None:
    with serve(lambda _request: lambda connection: connection.sendall(raw)) as server:
        assert kind_of(server)[0] == kind


@pytest.mark.parametrize(
    "size",
    [
        b"zz",
        b"-1",
        b"+2",
        b"0x2",
        b"1_0",
        b"",
        b"\xb2",
        b"9" * 4000,
        b"f" * 70_000,
        b"2;" + b"e" * 5000,
        b"ffffffffffffffff",
    ],
)
def test_invalid_chunk_size_is_rejected(size: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n{}\r\n0\r\n\r\n"
    with serve(lambda _request: lambda connection: connection.sendall(raw)) as server:
        kind, text = kind_of(server)
    assert kind == "not_http"
    assert "between chunks" in text or "invalid chunk size" in text


@pytest.mark.parametrize(
    "length", ["-1", "+2", "x", "2, 2", "0x2", "1_0", "9" * 5000, "2\r\nContent-Length: 3", ""]
)
def test_invalid_content_length_is_rejected(length: str) -> None:
    raw = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
    with serve(lambda _request: lambda connection: connection.sendall(raw)) as server:
        kind, text = kind_of(server)
    assert (kind, "invalid Content-Length" in text) == ("not_http", True)


def test_chunks_are_joined() -> None:
    body = b'2;x="y"\r\n{"\r\n00A \r\na": [1, 2]\r\n1\r\n}\r\n0\r\nA: b\r\n\r\n'
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with serve(whole) as server, client(server) as reader:
        assert [reader.get("/"), reader.get("/")] == [{"a": [1, 2]}] * 2
        assert server.connections == 1


@pytest.mark.parametrize(
    "repeated",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 9999,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;eeeeeeee\r\n \r\n" * 9999,
    ],
)
def test_endless_frames_are_rejected(repeated: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 1 << 20)

    def flood(connection: socket.socket) -> None:
        connection.sendall(repeated)
        while True:
            connection.sendall(repeated.rpartition(b"\r\n\r\n")[2] or repeated * 999)

    with serve(lambda _request: flood) as server:
        kind, text = kind_of(server, timeout=120)
    assert (kind, "more than 2 MiB" in text) == ("too_large", True)


def test_compressed_response_is_rejected() -> None:
    with serve(answer(200, b"\x1f\x8b", ["Content-Encoding: gzip"])) as server:
        assert kind_of(server)[0] == "not_json"


def test_redirect_is_rejected() -> None:
    with serve(answer(200, {})) as thief:
        with serve(answer(302, b"", [f"Location: {thief.url}/version"])) as server:
            assert kind_of(server, user={"token": "s3cret"})[0] == "redirect"
        assert thief.requests == []


def test_servers_are_tried_in_order() -> None:
    with serve(answer(200, {"n": 3})) as good, serve(answer(503, {})) as sick:
        reader = client(f"https://127.0.0.1:{refused_port()}", sick, good)
        assert reader.get("/version") == {"n": 3}
        assert reader.get("/version") == {"n": 3}
        assert reader.server == good.url
        assert (len(sick.requests), len(good.requests)) == (1, 2)


def test_forbidden_response_ends_the_attempts() -> None:
    with serve(answer(403, {})) as first, serve(answer(200, {})) as second:
        assert kind_of(first, second)[0] == "forbidden"
        assert second.requests == []


def test_error_lists_all_servers() -> None:
    first, second = refused_port(), refused_port()
    _kind, text = kind_of(f"https://127.0.0.1:{first}", f"https://127.0.0.1:{second}")
    assert str(first) in text
    assert str(second) in text


def test_proxy_comes_only_from_the_kubeconfig(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{refused_port()}")

    with serve(answer(200, {"a": 1})) as server:
        assert client(server).get("/") == {"a": 1}

        def connect(stream: socket.socket) -> None:
            stream.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            far = socket.create_connection(("127.0.0.1", server.port))

            def pump(a: socket.socket, b: socket.socket) -> None:
                try:
                    while data := a.recv(65536):
                        b.sendall(data)
                except OSError:
                    pass

            threading.Thread(target=pump, args=(far, stream), daemon=True).start()
            pump(stream, far)

        with serve(lambda _request: connect, plain=True) as proxy:
            through: dict[str, Any] = {"proxy-url": f"http://me:pa%3Ass@127.0.0.1:{proxy.port}"}
            assert client(server, **through).get("/") == {"a": 1}
            assert proxy.requests[0].startswith(
                f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode()
            )
            assert b"Proxy-Authorization: Basic bWU6cGE6c3M=" in proxy.requests[0]
            assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in server.requests[-1]
            assert b"Proxy-Authorization" not in server.requests[-1]
        with serve(drip(b"HTTP/1.1 200 OK\r\nX: "), plain=True) as proxy:
            start = time.monotonic()
            assert (
                kind_of(server, timeout=0.3, **{"proxy-url": f"http://127.0.0.1:{proxy.port}"})[0]
                == "timeout"
            )
            assert time.monotonic() - start < 1
        for raw, kind in (
            (b"", "closed"),
            (b"SSH-2.0-x\r\n\r\n", "not_http"),
            (b"x" * 70000, "not_http"),
        ):

            def reply(stream: socket.socket, raw: bytes = raw) -> None:
                stream.sendall(raw)
                stream.shutdown(socket.SHUT_WR)

            with serve(lambda _request, reply=reply: reply, plain=True) as proxy:
                assert kind_of(server, **{"proxy-url": f"http://127.0.0.1:{proxy.port}"})[0] == kind
        with serve(answer(407), plain=True) as proxy:
            kind, text = kind_of(server, **{"proxy-url": f"http://me:pass@127.0.0.1:{proxy.port}"})
            assert kind == "proxy"
            assert "pass" not in text


@pytest.mark.parametrize(
    "server",
    [
        "",
        "127.0.0.1:6443",
        "http://127.0.0.1:8080",
        "https://",
        "https://:6443",
        "https://h:0",
        "https://h:70000",
        "https://h:",
        "https://h:x",
        "https://u:hunter2@h",
        "https://h/?a",
        "https://h/#a",
        "https://h?",
        "https://a b",
        "https://h ",
        "https://h\n",
        "https://b\u00fccher.de",
        "javascript:alert(1)",
        "unix:///run/x",
        "https://[::1",
        "https://[zz]:1",
        "https://-",
    ],
)
def test_server_that_is_no_https_url_is_rejected(server: str) -> None:
    kind, text = kind_of(server)
    assert kind == "kubeconfig"
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("user", "word"),
    [
        ({"exec": {"command": "x"}}, "exec"),
        ({"auth-provider": {"name": "x"}}, "auth-provider"),
        ({"username": "x", "password": "hunter2"}, "username"),
        ({"client-certificate-data": "eHg="}, "require each other"),
        ({"client-certificate-data": "!", "client-key-data": "!"}, "base64"),
        ({"client-certificate-data": "eHg=", "client-key-data": "aHVudGVyMg=="}, "do not match"),
        ({"client-certificate": "relative", "client-key": "relative"}, "relative"),
        ({"client-certificate": "/nowhere", "client-key": "/nowhere"}, "does not exist"),
        ({"client-certificate": 7, "client-key": 7}, "not text"),
        ({"token": "a\r\nX: hunter2"}, "token"),
        ({"tokenFile": "/dev/zero"}, "tokenFile"),
        ({"token": 7}, "token"),
    ],
)
def test_unsupported_user_is_rejected(user: dict[str, Any], word: str) -> None:
    kind, text = kind_of("https://127.0.0.1:1", user=user)
    assert kind == "kubeconfig"
    assert word in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("cluster", "word"),
    [
        ({"server": 7}, "server"),
        ({"server": ["https://h"]}, "server"),
        ({"tls-server-name": ".a"}, "tls-server-name"),
        ({"tls-server-name": "a b"}, "tls-server-name"),
        ({"tls-server-name": 7}, "tls-server-name"),
        ({"proxy-url": "http://p:99999"}, "proxy-url"),
        ({"proxy-url": "socks5://p:1"}, "proxy-url"),
        ({"proxy-url": "p:3128"}, "proxy-url"),
        ({"certificate-authority": ["x"]}, "certificate-authority"),
        ({"certificate-authority-data": "eHg="}, "not a PEM certificate"),
    ],
)
def test_invalid_cluster_is_rejected(cluster: dict[str, Any], word: str) -> None:
    kind, text = kind_of("https://127.0.0.1:1", ca=None, **cluster)
    assert (kind, word in text) == ("kubeconfig", True)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:20] + "\n" + text[20:] + "\n",
        lambda text: text[:20] + "\r\n" + text[20:],
        lambda text: text.encode(),
    ],
    ids=["wrapped", "wrapped with CRLF", "tag !!binary"],
)
def test_data_that_kubectl_reads_is_read(change: Any) -> None:
    text = base64.b64encode(b"some content of a file").decode()
    entry = {"client-key-data": change(text)}
    assert read_field(entry, "client-key", "x", None) == "some content of a file"


@pytest.mark.parametrize("text", ["eHg= eHg=", "eHg", "\u00f6", "-"])
def test_data_that_kubectl_rejects_is_rejected(text: str) -> None:
    with pytest.raises(KubeconfigError, match="not base64"):
        read_field({"client-key-data": text}, "client-key", "x", None)


VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=9)
    | st.lists(st.text(max_size=2), max_size=2)
    | st.just({})
)
FIELDS = {
    "cluster": [
        "server",
        "certificate-authority",
        "certificate-authority-data",
        "tls-server-name",
        "proxy-url",
    ],
    "user": [
        "client-certificate",
        "client-certificate-data",
        "client-key",
        "client-key-data",
        "token",
        "tokenFile",
        "exec",
    ],
}


@settings(deadline=None)
@given(*(st.dictionaries(st.sampled_from(names), VALUE) for names in FIELDS.values()))
def test_any_fields_give_credentials_or_an_error(
    cluster: dict[str, Any], user: dict[str, Any]
) -> None:
    with contextlib.suppress(KubeError):
        kube.load_client(kubeconfig(["https://127.0.0.1:1"], user=user, **cluster)).get("/")


def test_relative_paths_start_at_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text(CLIENT[0])
    (tmp_path / "k.pem").write_text(CLIENT[1])
    (tmp_path / "ca.pem").write_text(f"Bag Attributes\n\u00fc\n{CA.pem}")
    (tmp_path / "t").write_text("s3cret\n")
    path = tmp_path / "kubeconfig"
    user = {"client-certificate": "c.pem", "client-key": "k.pem", "tokenFile": "t", "token": "old"}
    with serve(answer(200, {}), client_ca=CA.pem) as server:
        path.write_bytes(
            kubeconfig([server.url], user=user, **named("certificate-authority", "ca.pem"))
        )
        assert kube.load_client(str(path)).get("/") == {}
        assert b"Bearer s3cret\r\n" in server.requests[0]


def test_repr_contains_no_secret() -> None:
    found = kube.load_credentials(kubeconfig(["https://h"], pair=CLIENT, user={"token": "s3cret"}))
    assert "s3cret" not in repr(found)
    assert "PRIVATE" not in repr(found)


def test_missing_memory_files_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.memfd_create")
    with serve(answer(200, {})) as server:
        assert "without a file on disk" in kind_of(server, pair=CLIENT)[1]


def test_encrypted_key_is_rejected_without_a_prompt() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key_pem(key, "x")
    with serve(answer(200, {})) as server:
        assert "encrypted" in kind_of(server, pair=(CA.issue(key=key)[0], encrypted))[1]


def test_https_get_and_served_certificate() -> None:
    with serve(answer(500, b"no"), client_ca=CA.pem) as server:
        found = kube.https_get(
            "127.0.0.1", server.port, "/readyz", ca_pem=CA.pem, client_pem=CLIENT, timeout=3
        )
        assert (found.status, found.body) == (500, b"no")
    with serve(answer(200), CA.issue("late", start=-9, end=-1)) as server:
        with pytest.raises(KubeError) as caught:
            kube.https_get("127.0.0.1", server.port, "/", ca_pem=CA.pem, timeout=3)
        assert caught.value.kind == "tls_expired"
        der = kube.read_peer_certificate("127.0.0.1", server.port, 3)
        assert x509.load_der_x509_certificate(der).subject.rfc4514_string() == "CN=late"
    with pytest.raises(KubeError) as caught:
        kube.read_peer_certificate("127.0.0.1", server.port, 3)
    assert caught.value.kind == "refused"
    with pytest.raises(KubeError) as caught:
        kube.https_get("127.0.0.1", server.port, "/", ca_pem="x", timeout=3)
    assert caught.value.kind == "ca"
    with pytest.raises(KubeError) as caught:
        kube.https_get("127.0.0.1 x", server.port, "/", ca_pem=CA.pem, timeout=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "respond",
    [
        lambda token: answer(403, status(403, f"invalid token {token}")),
        lambda token: answer(302, headers=[f"Location: https://other/?token={token}"]),
        lambda token: answer(200, token.encode()),
        lambda token: answer(200, b"", [f"Content-Type: {token}"]),
    ],
    ids=["message", "redirect", "body", "header"],
)
def test_error_contains_no_token_that_the_server_returns(respond: Callable[[str], bytes]) -> None:
    token = "marker-0123456789"
    with serve(respond(token)) as server:
        _kind, text = kind_of(server, user={"token": token})
    assert "marker" not in text

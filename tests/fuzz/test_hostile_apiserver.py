# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the client with arbitrary responses.

The client must return a record of documented types, or fail in time with one line.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    credentials,
    leader,
    lease,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import apiservers

from tests.fuzz import judge, subjects, values
from tests.support import apiserver

ANSWERS = 500
TIMEOUT = 0.4
"""Seconds that the client waits for one response.

The limit of the test is longer, because a busy machine needs more time.
"""
GRACE = 4.0
SAID = ["-----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----"]
"""Texts of values.TEXTS that a server can return as a reason.

Another test checks that no error contains a real key.
"""

HEADS = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 99999 X",
    "HTTP/1.1 000 X",
    "HTTP/1.1 -1 X",
    "HTTP/1.1 abc",
    "HTTP/9.9 200 X",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 101 Switching Protocols",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 206 Partial",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 301 Moved\r\nLocation: https://evil.example/\x1b[31m",
    "HTTP/1.1 307 Moved\r\nLocation: " + "x" * 5000,
    "HTTP/1.1 401 Unauthorized",
    "HTTP/1.1 403 Forbidden",
    "HTTP/1.1 404 Not Found",
    "HTTP/1.1 409 Conflict",
    "HTTP/1.1 429 Busy",
    "HTTP/1.1 500 Ill",
    "HTTP/1.1 503 Ill",
    "HTTP/1.1 200 \xff\x00",
    "ICY 200 OK",
    "SSH-2.0-OpenSSH_9.2",
    "GET / HTTP/1.1",
    "",
    "x" * 70_000,
]
HEADERS = [
    "Content-Length: -1",
    "Content-Length: x",
    "Content-Length: 7",
    "Content-Length: " + "9" * 30,
    "Content-Length: 1\r\nContent-Length: 2",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Content-Encoding: gzip",
    "Content-Type: \x00\xff",
    "Content-Type: " + "x" * 3000,
    "Connection: close",
    "Retry-After: 999999",
    "Retry-After: -1",
    "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT",
    "x" * 70_000 + ": y",
    "no colon",
    " folded",
    "A: b\r\n" * 150 + "C: d",
    "\x00: \x00",
]
CHUNKS = [
    b"ffffffffffffffff\r\nx\r\n0\r\n\r\n",
    b"-1\r\nx\r\n0\r\n\r\n",
    b"x\r\n",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"1" * 70_000,
    b"2;" + b"e" * 60_000 + b"\r\n{}\r\n0\r\n\r\n",
    b"0\r\n" + b"A: b\r\n" * 100_000,
]


def flood(stream: Any) -> None:
    """Send data until the client disconnects."""
    with contextlib.suppress(OSError):
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _number in range(200):
            stream.sendall(b'{"a": ' * 20_000)


def drip(stream: Any) -> None:
    """Send one byte at a time, for longer than any timeout."""
    with contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + b"A: b\r\n" * 90 + b"\r\n{}":
            stream.sendall(bytes([byte]))
            time.sleep(0.05)


def go_on(stream: Any) -> None:
    """Send the same interim response in an endless loop."""
    with contextlib.suppress(OSError):
        for _number in range(100_000):
            stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)


def silence(stream: Any) -> None:
    with contextlib.suppress(OSError):
        stream.recv(1)


SLOW = [flood, drip, go_on, silence]


def body(rng: random.Random) -> bytes:
    way = rng.random()
    record = {**apiserver.lease(renew=rng.randrange(60)), "gitVersion": "v1.37.2"}
    text = json.dumps(record["spec"])
    annotated = {"metadata": {"annotations": {lease.ANNOTATION: text}}}
    if way < 0.05:
        return rng.choice(
            [
                b"",
                b"\0",
                b"\xff\xfe{}",
                b"\xef\xbb\xbf{}",
                b"<html>",
                b"[" * 50_000,
                b'{"a":' * 50_000,
            ]
        )
    if way < 0.1:
        return rng.choice(
            [
                b"1" * 5_000,
                b"NaN",
                b"[]",
                b"null",
                b'"x"',
                b"{}" * 2,
                b'{"spec": {}}',
                b" " * (5 << 20),
            ]
        )
    whole = rng.choice(
        [record, record, annotated, apiserver.status(403, "no"), apiserver.status(404, "none")]
    )
    if way < 0.2:
        annotated["metadata"]["annotations"][lease.ANNOTATION] = values.any_value(rng)
    elif way < 0.85:
        for _number in range(rng.choice([1, 1, 2, 4])):
            whole = values.somewhere(rng, whole)
    content = json.dumps(whole).encode()
    if way > 0.95:
        place = rng.randrange(len(content))
        content = (
            content[:place]
            + rng.choice([b"", b"\0", b"\xff", b'"', b"{" * 99])
            + content[place + rng.randrange(9) :]
        )
    return content


def answer(rng: random.Random, slow: bool) -> bytes | Callable[[Any], None]:
    """Return a random response that an apiserver could send."""
    if slow and rng.random() < 0.03:
        return rng.choice(SLOW)
    head = "HTTP/1.1 200 OK" if rng.random() < 0.7 else rng.choice(HEADS)
    headers = [rng.choice(HEADERS)] if rng.random() < 0.2 else []
    content = body(rng)
    if any("chunked" in header for header in headers):
        content = rng.choice([*CHUNKS, b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)])
    elif not headers and rng.random() < 0.9:
        headers = [f"Content-Length: {len(content)}"]
    return "\r\n".join([head, *headers, "", ""]).encode("latin-1") + content


class Hostile:
    """Provide an apiserver with a new response for each request."""

    def __init__(self, world: subjects.World) -> None:
        self.rng, self.slow = random.Random(0), True
        pair = world.ca.issue(key=subjects.spare("ECC", number=5))
        self.server = apiserver.Server(lambda _request: self.respond(), pair)
        self.login = credentials.Credentials(
            "a kubeconfig", self.server.url, ca_pem=world.ca.pem, token=subjects.TOKEN
        )
        self.path = world.folder.parent / "hostile.kubeconfig"
        self.path.write_bytes(
            apiserver.kubeconfig([self.server.url], ca=world.ca.pem, user={"token": subjects.TOKEN})
        )
        self.asked = {
            "apiserver_ca": world.ca.pem,
            "tls_server_name": None,
            "next_ca": world.other_ca.pem,
            "next_cert": None,
        }

    def respond(self) -> Any:
        result = answer(self.rng, self.slow)
        if callable(result):
            return result

        def send(stream: Any) -> None:
            with contextlib.suppress(OSError):
                stream.sendall(result)

        # If the length is missing or wrong, the response ends with the connection.
        return result if self.rng.random() < 0.5 else send


@pytest.fixture
def hostile(world: subjects.World) -> Iterator[Hostile]:
    made = Hostile(world)
    with made.server, mock.patch.object(apiservers, "PROBE_TIMEOUT_S", TIMEOUT):
        yield made


def of_lease(result: dict[str, Any]) -> None:
    """Check that a view has the documented types.

    The identity can be any text.
    """
    checked = facts.validate_module_result({**subjects.GATHERED, "lease": {**result, "age": None}})[
        "lease"
    ]
    assert checked is not None
    names = (
        "state",
        "moving",
        "source",
        "acquire_time",
        "renew_time",
        "lease_duration",
        "transitions",
    )
    assert {name: checked[name] for name in names} == {name: result[name] for name in names}  # type: ignore[literal-required]


def test_client_handles_arbitrary_responses(world: subjects.World, hostile: Hostile) -> None:
    outcomes: dict[str, int] = {}

    def observe() -> str:
        with _client.Client([hostile.login], timeout=TIMEOUT) as client:
            read = lease.make_reader(client.get, "kube-system", "kube-scheduler")
            view, _done = lease.observe(read, timeout=0.0, interval=0.0, members=["m1"])
        of_lease(dict(lease.to_lease_result(view)))
        return view.state

    def find() -> str:
        clock = subjects.Clock()
        given: dict[str, Any] = {
            "kubeconfig": str(hostile.path),
            "contexts": None,
            "name": "x",
            "namespace": "y",
        }
        given |= {"members": None}
        given |= {"wait_for": "leader", "holder": None, "timeout": 1000.0, "poll_interval": 1.0}
        with (
            mock.patch.object(leader, "MAX_REQUEST_S", TIMEOUT),
            mock.patch.object(leader.lease, "observe", world.hurried(clock)),
        ):
            result, problem = leader.query_leader(given, clock.sleep)
        server = result.pop("server")  # type: ignore[misc]
        assert server == hostile.server.url
        of_lease(dict(result))
        return judge.refusal(problem, SAID)[:5] if problem else result["state"]

    def version() -> str:
        result = apiservers.query_apiserver(hostile.server.url, hostile.asked)
        assert facts.validate_module_result({**subjects.GATHERED, "apiserver": result})
        assert result["reachable"] == (result["error"] is None)
        if result["error"]:
            raise CollectionError(judge.refusal(result["error"], SAID))
        return "reached"

    def status() -> str:
        result = _client.https_get(
            "127.0.0.1", hostile.server.port, "/metrics", ca_pem=world.ca.pem, timeout=TIMEOUT
        )
        judge.refusal(f"x{result.reason}{result.retry_after}", SAID)
        assert 100 <= result.status <= 999
        return "answered"

    def one(rng: random.Random) -> None:
        action = rng.choice([observe, observe, find, version, status])
        # Also at the end of a wait, a request has at least one second.
        hostile.rng, hostile.slow = rng, action is not find
        started = time.monotonic()
        try:
            outcome = action()
        except CollectionError as error:
            outcome = "refused"
            judge.refusal(str(error), SAID)
            judge.holds_no(world.secrets, str(error))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        assert time.monotonic() - started < 6 * TIMEOUT + GRACE

    cases = judge.run("apiserver", ANSWERS, 0.15, one)
    if judge.CASE is None:
        assert len(cases) >= ANSWERS
        # The responses must cover all outcomes, not only immediate rejections.
        assert {"refused", "held", "reached", "answered"} <= {*outcomes}, outcomes

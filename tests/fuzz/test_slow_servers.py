# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test each wait for a server that is slow or silent, or that sends data without an end.

Each wait must end at its deadline, with one line and without a secret.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    client,
    credentials,
    download,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import watch

from tests.fuzz import judge, subjects
from tests.fuzz.test_hostile_apiserver import CHUNKS, HEADERS, HEADS, SAID
from tests.support import apiserver

CASES = 60
DEADLINE = 0.2
# A busy machine needs more time than the deadline.
GRACE = 4.0
STARTS = [
    b"",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 734003200\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
    # The header of a TLS record with a handshake message.
    b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03",
]
BLOCKS = [
    b"x",
    b"\0",
    b"\r\n",
    b"A: b\r\n",
    b"1\r\nx\r\n",
    b"0\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b'{"items": [',
]


def behave(rng: random.Random, end: float) -> Callable[[Any], None]:
    """Return a response that sends blocks until the client or the case ends."""
    start, block = rng.choice(STARTS), rng.choice(BLOCKS)
    if rng.random() < 0.3:
        lines = [rng.choice(HEADS), *rng.sample(HEADERS, 2), "", ""]
        start = "\r\n".join(lines).encode("latin-1") + rng.choice([b"", *CHUNKS])
    pause = rng.choice([0.0, 0.01, 0.05, 60.0])
    count = rng.choice([0, 3, 10**9])
    if pause == 0.0:
        block *= 4096

    def respond(stream: Any) -> None:
        with contextlib.suppress(OSError):
            stream.sendall(start)
            for _number in range(count):
                if time.monotonic() > end:
                    return
                stream.sendall(block)
                time.sleep(min(pause, 0.3))

    return respond


class SlowServers:
    """Provide a server with TLS and one without, with the same behavior for each case."""

    def __init__(self, world: subjects.World) -> None:
        self.world = world
        self.respond: Callable[[Any], None] = lambda _stream: None
        pair = world.ca.issue(key=subjects.spare("ECC", number=5))
        self.tls = apiserver.Server(lambda _request: self.respond, pair)
        self.plain = apiserver.Server(lambda _request: self.respond, plain=True)

    def login(self, port: int) -> credentials.Credentials:
        url = f"https://127.0.0.1:{port}"
        return credentials.Credentials("k", url, ca_pem=self.world.ca.pem, token=subjects.TOKEN)

    def waits(self, rng: random.Random) -> dict[str, Callable[[], object]]:
        """Return each kind of wait for a server."""
        port = rng.choice([self.tls, self.tls, self.plain]).port
        ca, local = self.world.ca.pem, "127.0.0.1"
        url = f"http://me:{subjects.TOKEN}@{local}:{self.plain.port}/x"

        def query(count: int = 1) -> object:
            with client.Client([self.login(port)] * count, timeout=DEADLINE) as reader:
                return reader.get("/version")

        def remove() -> object:
            with client.Client([self.login(port)], timeout=DEADLINE) as reader:
                return watch.Namespaces(reader).remove("kube-ha-drill-x", DEADLINE)

        def remove_leftovers() -> object:
            names = [f"kube-ha-drill-{number}" for number in range(20_000)]
            with (
                client.Client([self.login(port)], timeout=DEADLINE) as reader,
                mock.patch.object(watch, "NAMESPACE_TIMEOUT_S", DEADLINE),
                mock.patch.object(watch.Namespaces, "list_existing", return_value=names),
            ):
                return watch.Namespaces(reader).remove_existing()

        def fetch() -> object:
            limits = download.download_limits(DEADLINE, 1 << 20)
            return sum(map(len, download.download(url, limits, 1 << 20)))

        return {
            "http": lambda: client.http_get(local, self.plain.port, "/", timeout=DEADLINE),
            "https": lambda: client.https_get(local, port, "/", ca_pem=ca, timeout=DEADLINE),
            "certificate": lambda: client.read_peer_certificate(local, port, DEADLINE),
            "query": query,
            "queries": lambda: query(4),
            "remove": remove,
            "leftovers": remove_leftovers,
            "download": fetch,
        }


@pytest.fixture
def slow(world: subjects.World, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowServers]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    servers = SlowServers(world)
    with servers.tls, servers.plain:
        yield servers


def test_waits_for_servers_end_at_the_deadline(world: subjects.World, slow: SlowServers) -> None:
    failed: set[str] = set()

    def one(rng: random.Random) -> None:
        started = time.monotonic()
        slow.respond = behave(rng, started + 10)
        kind, wait = rng.choice(sorted(slow.waits(rng).items()))
        try:
            wait()
        except CollectionError as error:
            failed.add(kind)
            judge.refusal(str(error), SAID)
            judge.holds_no([*world.secrets, subjects.TOKEN], str(error))
        assert time.monotonic() - started < DEADLINE + GRACE, kind

    cases = judge.run("slow", CASES, 0.05, one)
    if judge.CASE is None:
        assert len(cases) >= CASES
        assert len(failed) >= 6, failed

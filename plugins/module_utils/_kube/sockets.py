# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Connect to servers within a deadline and a size limit.

The timeout of a socket limits only each wait. A server that sends one byte at a time could
therefore block a run forever. An exchange limits all waits together, from the name lookup to the
last byte.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
import typing as t

AddressInfo = tuple[t.Any, ...]
"""An element of the list that socket.getaddrinfo returns."""


class TooMuchDataError(Exception):
    """The server sent more bytes than the exchange allows."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"more than {max_bytes >> 20} MiB")


class Exchange:
    """The deadline and the size limit of one request and its response.

    `seconds` begin now. `max_bytes` limits everything that the server sends after the TLS
    handshake.
    """

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._deadline = time.monotonic() + seconds
        self._max_bytes = self._bytes_left = max_bytes

    def left(self) -> float:
        """Return the seconds until the deadline; raise socket.timeout if it has passed."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left

    def count(self, size: int) -> int:
        """Count received bytes and return their number. Raises TooMuchDataError."""
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise TooMuchDataError(self._max_bytes)
        return size


NO_EXCHANGE = Exchange(0, 0)


class LimitedSocket(socket.socket):
    """A socket whose waits end at the deadline of its exchange."""

    exchange = NO_EXCHANGE

    def sendall(self, *args: t.Any) -> None:
        self.settimeout(self.exchange.left())
        super().sendall(*args)

    def recv(self, *args: t.Any) -> bytes:
        self.settimeout(self.exchange.left())
        received = super().recv(*args)
        self.exchange.count(len(received))
        return received

    def recv_into(self, *args: t.Any) -> int:
        self.settimeout(self.exchange.left())
        return self.exchange.count(super().recv_into(*args))


class LimitedTlsSocket(ssl.SSLSocket):
    """A TLS socket whose waits end at the deadline of its exchange.

    The handshake is one call, which ends at the timeout of the socket.
    """

    exchange = NO_EXCHANGE

    def send(self, *args: t.Any) -> int:
        self.settimeout(self.exchange.left())
        return super().send(*args)

    def recv_into(self, *args: t.Any) -> int:
        self.settimeout(self.exchange.left())
        return self.exchange.count(super().recv_into(*args))


def look_up(host: str, port: int, exchange: Exchange) -> list[AddressInfo]:
    """Return the addresses of a name. Raises socket.gaierror, also if the DNS does not respond."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    except UnicodeError:  # A label of the name is empty or too long.
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
    # A lookup has no timeout, so it runs in a thread that does not delay the end of the process.
    results: queue.SimpleQueue[list[AddressInfo] | Exception] = queue.SimpleQueue()

    def find() -> None:
        try:
            results.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            results.put(error)

    threading.Thread(target=find, daemon=True).start()
    try:
        result = results.get(timeout=exchange.left())
    except queue.Empty:
        raise socket.gaierror(socket.EAI_AGAIN, "the DNS does not respond") from None
    if isinstance(result, Exception):
        raise result
    return result


def connect(host: str, port: int, exchange: Exchange) -> LimitedSocket:
    """Connect to the first address of a name that responds.

    Each address gets an equal share of the remaining time. Raises the OSError of the first address.
    """
    addresses = look_up(host, port, exchange)
    errors: list[OSError] = []
    for number, (family, kind, protocol, _name, address) in enumerate(addresses):
        connected = LimitedSocket(family, kind, protocol)
        try:
            connected.exchange = exchange
            connected.settimeout(exchange.left() / (len(addresses) - number))
            connected.connect(address)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connected.close()
            errors.append(error)
        else:
            return connected
    raise errors[0] if errors else socket.gaierror(socket.EAI_NONAME, "no address")

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Download a file over HTTP or HTTPS, within a deadline and a size limit.

Unlike a request to an apiserver, a download follows redirects and uses the proxy variables.
"""

from __future__ import annotations

import base64
import contextlib
import typing as t
import urllib.request
from urllib.parse import unquote, urljoin, urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.sockets import Exchange
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import (
    MAX_FRAME_BYTES,
    Connection,
    Proxy,
    body_blocks,
    netloc,
    one_line,
    tls_context,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterator

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
DEFAULT_PORTS = {"https": 443, "http": 80}


class DownloadUrl(t.NamedTuple):
    """The parts of a URL; `authorization` is the header of its user, or ""."""

    scheme: str
    host: str
    port: int
    target: str  # path and query
    authorization: str

    @property
    def where(self) -> str:
        """The URL for messages, without user and password."""
        return f"{self.scheme}://{netloc(self.host, self.port)}{self.target}"


def parse_url(url: str) -> DownloadUrl:
    """Return the parts of an HTTP or HTTPS URL. Raises KubeError (url)."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        host = parts.hostname or ""
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # urlsplit removes line breaks and keeps spaces.
        if not host or not f"{host}{target}".isascii() or not url.isprintable() or " " in url:
            raise ValueError
    except (ValueError, KeyError):
        name = "the URL" if "@" in url else repr(url[:200])
        raise KubeError("url", f"{name} is not valid; set https://HOST/PATH") from None
    return DownloadUrl(parts.scheme, host, port, target, _basic(parts.username, parts.password))


def _basic(user: str | None, password: str | None) -> str:
    if not user:
        return ""
    text = f"{unquote(user)}:{unquote(password or '')}"
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def download_limits(seconds: float, max_bytes: int) -> Exchange:
    """Return the limits for downloads that share a deadline. Redirects are included."""
    return Exchange(seconds, max_bytes + MAX_FRAME_BYTES)


def download(url: str, limits: Exchange, max_bytes: int) -> Iterator[bytes]:
    """Yield the content of a URL in blocks; follow redirects.

    If the server announces more than `max_bytes`, no block is yielded. Raises KubeError.
    """
    source = parse_url(url)
    for _number in range(MAX_REDIRECTS + 1):
        with contextlib.closing(_open_connection(source)) as connection:
            address, headers = _request(source)
            with connection.open(address, source.where, limits, headers) as response:
                if response.status == 200:
                    yield from body_blocks(response, max_bytes)
                    return
                if response.status not in REDIRECTS:
                    reason = one_line(f"HTTP {response.status} {response.reason}", 100)
                    raise KubeError("status", f"{source.where}: {reason}; check the URL")
                source = _redirected(source, response.getheader("Location", ""))
    raise KubeError("redirect", f"{source.where}: too many redirects; set the final URL")


def _redirected(source: DownloadUrl, location: str) -> DownloadUrl:
    target = parse_url(urljoin(f"{source.where}", location))
    if (source.scheme, target.scheme) == ("https", "http"):
        raise KubeError(
            "redirect", f"{source.where}: redirects to plain http; set a URL that uses https"
        )
    if target[:3] == source[:3]:
        return target._replace(authorization=target.authorization or source.authorization)
    return target


def _find_proxy(source: DownloadUrl) -> Proxy | None:
    """Return the proxy in the environment; None without a proxy, or if no_proxy has the host."""
    proxies = urllib.request.getproxies_environment()
    url = proxies.get(source.scheme)
    if not url or urllib.request.proxy_bypass(netloc(source.host, source.port)):
        return None
    try:
        proxy = Proxy.of(url if "://" in url else f"http://{url}")
        if url.partition("://")[0] in ("http", url) and proxy.host:
            return proxy
    except ValueError:
        pass
    raise KubeError(
        "proxy", f"{source.scheme}_proxy is not the URL of an HTTP proxy; set http://HOST:PORT"
    )


def _open_connection(source: DownloadUrl) -> Connection:
    proxy = _find_proxy(source)
    if source.scheme == "https":
        return Connection(source.host, source.port, tls_context(None), proxy=proxy)
    # For plain HTTP, the request is sent to the proxy instead of the server.
    host, port = proxy[:2] if proxy else (source.host, source.port)
    return Connection(host, port, None)


def _request(source: DownloadUrl) -> tuple[str, dict[str, str]]:
    """Return the target of a request, and its headers."""
    headers = {"User-Agent": "kube_ha.scheduler", "Accept-Encoding": "identity"}
    if source.authorization:
        headers["Authorization"] = source.authorization
    proxy = _find_proxy(source) if source.scheme == "http" else None
    if proxy is None:
        return source.target, headers
    if proxy.authorization:
        headers["Proxy-Authorization"] = f"Basic {proxy.authorization}"
    return source.where, headers

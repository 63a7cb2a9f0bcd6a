"""Test the download of a binary from a slow, endless, redirecting or false mirror."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import binary

from tests.support.apiserver import Server, answer, refused_port
from tests.support.fake_module import FakeModule
from tests.support.pki import Ca

CONTENT = b"\x7fELF" + bytes(range(256)) * 9000
SHA512 = hashlib.sha512(CONTENT).hexdigest()
PATH = "/release/v1.37.2/bin/linux/amd64/kube-scheduler"


class Mirror:
    """Provide a mirror with one response per path. The mirror counts the bytes that it sends."""

    def __init__(self) -> None:
        self.responses: dict[str, Any] = {
            PATH: answer(200, CONTENT),
            f"{PATH}.sha512": answer(200, f"{SHA512}\n".encode()),
        }
        self.requested: list[str] = []
        self.sent = 0
        self.server = Server(self.respond, plain=True)
        self.url = f"http://127.0.0.1:{self.server.port}"

    def respond(self, request: str) -> Any:
        self.requested.append(request)
        return self.responses.get(request.split()[1], answer(404, b"no"))

    def send(self, head: bytes, block: bytes, seconds: float) -> Callable[[socket.socket], None]:
        """Return a response without an end: the head, then one block per interval."""

        def respond(stream: socket.socket) -> None:
            stream.sendall(head)
            while True:
                stream.sendall(block)
                self.sent += len(block)
                time.sleep(seconds)

        return respond


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = Mirror()
    with found.server:
        yield found


@pytest.fixture
def install(mirror: Mirror, tmp_path: Path) -> Callable[..., Any]:
    def run(check: bool = False, **changes: Any) -> Any:
        params = {
            "url": f"{mirror.url}{PATH}",
            "path": str(tmp_path / "kube-scheduler-v1.37.2"),
            "checksum": f"sha512:{SHA512}",
            "timeout": 30.0,
            "mode": "0755",
            **changes,
        }
        return binary.install_binary(FakeModule(check_mode=check, **params))

    return run


def failure(install: Callable[..., Any], **changes: Any) -> str:
    with pytest.raises(CollectionError) as caught:
        install(**changes)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_binary_is_installed_once(
    mirror: Mirror, install: Callable[..., Any], tmp_path: Path
) -> None:
    checksum = f"sha512:{mirror.url}{PATH}.sha512"
    predicted = install(check=True, checksum=checksum)
    assert (predicted["changed"], predicted["size"], os.listdir(tmp_path)) == (True, None, [])
    first = install(checksum=checksum)
    path = tmp_path / "kube-scheduler-v1.37.2"
    assert first == {
        "changed": True,
        "path": str(path),
        "size": len(CONTENT),
        "checksum": f"sha512:{SHA512}",
    }
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    mirror.requested.clear()
    assert install()["changed"] is False
    assert mirror.requested == []
    path.write_bytes(b"damaged")
    assert install()["changed"] is True
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
    ],
)
def test_mirror_that_sends_one_byte_at_a_time_ends_at_the_deadline(
    head: bytes, mirror: Mirror, install: Callable[..., Any], tmp_path: Path
) -> None:
    mirror.responses[PATH] = mirror.send(head, b"x", 0.05)
    started = time.monotonic()
    assert "timed out" in failure(install, timeout=0.5)
    assert time.monotonic() - started < 5
    assert os.listdir(tmp_path) == []


def test_checksum_and_binary_share_the_deadline(
    mirror: Mirror, install: Callable[..., Any], tmp_path: Path
) -> None:
    def respond_late(content: bytes) -> Callable[[socket.socket], None]:
        def respond(stream: socket.socket) -> None:
            time.sleep(1)
            stream.sendall(answer(200, content))

        return respond

    mirror.responses[f"{PATH}.sha512"] = respond_late(SHA512.encode())
    mirror.responses[PATH] = respond_late(CONTENT)
    checksum = f"sha512:{mirror.url}{PATH}.sha512"
    assert "timed out" in failure(install, checksum=checksum, timeout=1.5)
    assert os.listdir(tmp_path) == []
    assert install(checksum=checksum, timeout=20)["changed"]


def test_announced_size_above_the_maximum_is_not_downloaded(
    mirror: Mirror, install: Callable[..., Any], tmp_path: Path
) -> None:
    """A mirror once sent 700 MiB before the checksum was compared."""
    size = 700 << 20
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    mirror.responses[PATH] = mirror.send(head, b"x" * 65536, 0.01)
    text = failure(install)
    assert text.endswith("the response is too large; check the address (more than 256 MiB)")
    # The buffers of the sockets hold a few MiB.
    assert mirror.sent < 32 << 20
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_endless_binary_ends_at_the_maximum(
    head: bytes,
    mirror: Mirror,
    install: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binary, "MAX_DOWNLOAD_BYTES", 4 << 20)
    block = b"10000\r\n" + b"x" * 65536 + b"\r\n" if head else b"x" * 65536
    mirror.responses[PATH] = mirror.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", block, 0)
    assert "(more than 4 MiB)" in failure(install)
    assert os.listdir(tmp_path) == []


def test_false_checksum_leaves_the_previous_file(
    mirror: Mirror, install: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "kube-scheduler-v1.37.2"
    path.write_bytes(b"previous")
    text = failure(install, checksum=f"sha512:{'0' * 128}")
    assert (
        f"the sha512 of {mirror.url}{PATH} is {SHA512[:16]}..., expected 0000000000000000" in text
    )
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"previous"
    # The connection ends before the announced length.
    cut = answer(200, CONTENT)[:-9]
    mirror.responses[PATH] = lambda stream: stream.sendall(cut)
    assert "closed the connection" in failure(install)
    assert path.read_bytes() == b"previous"


@pytest.mark.parametrize(
    ("checksum", "word"),
    [
        ("", "is not a checksum of ''"),
        ("md5:" + "0" * 32, "is not a checksum of 'md5'"),
        ("sha512:" + "0" * 64, "set sha512:HEX"),
        ("sha512:" + "\u0661" * 128, "set sha512:HEX"),
        ("sha512:{url}/nothing", "HTTP 404"),
        ("sha512:{url}/empty", "is not a checksum"),
        ("sha512:{url}/page", "correct http://127.0.0.1"),
        ("sha512:{url}/long", "too large"),
        ("sha512:http://", "the URL"),
    ],
)
def test_invalid_checksum_is_rejected(
    checksum: str, word: str, mirror: Mirror, install: Callable[..., Any], tmp_path: Path
) -> None:
    mirror.responses["/empty"] = answer(200, b"")
    mirror.responses["/page"] = answer(200, b"<html>not found</html>")
    mirror.responses["/long"] = answer(200, b"0" * 5000)
    text = failure(install, checksum=checksum.format(url=mirror.url))
    assert word in text or "is not valid; set https" in text
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e9])
def test_invalid_timeout_is_rejected(timeout: float, install: Callable[..., Any]) -> None:
    assert failure(install, timeout=timeout).startswith("timeout: ")


def test_redirects_are_followed_within_limits(
    mirror: Mirror, install: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def redirect(place: str) -> bytes:
        return answer(302, b"", [f"Location: {place}"])

    mirror.responses |= {"/a": redirect("b"), "/b": redirect(f"{mirror.url}{PATH}")}
    mirror.responses["/loop"] = redirect("/loop")
    mirror.responses["/ftp"] = redirect("ftp://h/x")
    mirror.responses["/none"] = answer(302)
    assert install(url=f"{mirror.url}/a")["changed"]
    (tmp_path / "kube-scheduler-v1.37.2").unlink()
    assert "too many redirects" in failure(install, url=f"{mirror.url}/loop")
    assert "is not valid" in failure(install, url=f"{mirror.url}/ftp")
    assert "too many redirects" in failure(install, url=f"{mirror.url}/none")
    ca = Ca(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.path))
    with Server(lambda _request: redirect(f"{mirror.url}{PATH}"), ca.issue()) as server:
        assert "redirects to plain http" in failure(install, url=f"{server.url}/x")
    with Server(lambda _request: answer(200, CONTENT), ca.issue()) as server:
        assert install(url=f"{server.url}/x")["changed"]


def test_password_of_the_url_is_sent_only_to_its_server(
    mirror: Mirror, install: Callable[..., Any]
) -> None:
    with Server(lambda _request: answer(404), plain=True) as other:
        place = f"http://127.0.0.1:{other.port}/x"
        mirror.responses["/a"] = answer(302, b"", [f"Location: {place}"])
        url = f"http://me:hunter2@127.0.0.1:{mirror.server.port}"
        text = failure(install, url=f"{url}/a")
        assert "Authorization: Basic bWU6aHVudGVyMg==\r\n" in mirror.requested[-1]
        assert b"Authorization" not in other.requests[-1]
        text += failure(install, url=f"{url}/nothing") + failure(install, url=f"{url}:x/")
    assert "hunter2" not in text


def test_proxy_of_the_environment_is_used(
    mirror: Mirror, install: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{mirror.server.port}")
    mirror.responses[f"http://mirror.example:80{PATH}"] = answer(200, CONTENT)
    assert install(url=f"http://mirror.example{PATH}")["changed"]
    assert "Proxy-Authorization: Basic bWU6cHc=\r\n" in mirror.requested[-1]
    (tmp_path / "kube-scheduler-v1.37.2").unlink()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{refused_port()}")
    assert install()["changed"]
    (tmp_path / "kube-scheduler-v1.37.2").unlink()
    monkeypatch.setenv("no_proxy", "")
    assert "connection refused" in failure(install)
    for invalid in ("socks5://h:1", "http://h:x", "https://h:1"):
        monkeypatch.setenv("http_proxy", invalid)
        assert "http_proxy is not the URL of an HTTP proxy" in failure(install)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://h/x",
        "http://",
        "http://h:x/",
        "http://h:99999/",
        "http://h/a b",
        "http://a b/x",
        "http://h/\n",
    ],
)
def test_invalid_url_is_rejected(url: str, install: Callable[..., Any]) -> None:
    assert "is not valid; set https://HOST/PATH" in failure(install, url=url)


def test_special_file_at_the_path_does_not_block(
    install: Callable[..., Any], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "kube-scheduler-v1.37.2")
    started = time.monotonic()
    assert "is a FIFO" in failure(install)
    assert time.monotonic() - started < 5


def test_killed_download_is_removed_by_the_next_one(
    install: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / ".kube-scheduler-v1.37.2.abc.tmp~").write_bytes(b"x")
    install()
    assert os.listdir(tmp_path) == ["kube-scheduler-v1.37.2"]

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provide Kubernetes binaries by version.

The sources are a local directory, the cache, the release site and a source build, in this order.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from build import Build, CannotBuildError
from settings import Settings
from shell import LabError, lock, say

DIGESTS = ("sha256", "sha512")
CONNECT_SECONDS = 5.0
CHUNK = 1 << 20


class UnavailableError(Exception):
    """Report that a source does not have the binary. The caller then tries the next source."""


def place(root: Path, settings: Settings, version: str, command: str) -> Path:
    """Return the path of a binary in the layout of the release site."""
    return root / f"v{version}" / "bin" / "linux" / settings.arch / command


def ensure(settings: Settings) -> list[Path]:
    """Provide all required binaries and their checksums in the directory that the mirror serves."""
    offline: list[str] = []
    for version in dict.fromkeys(version for version, _names in settings.required):
        commands = [command for needed, command in settings.required if needed == version]
        if all(
            place(settings.served, settings, version, command).exists() for command in commands
        ) and (settings.binaries is None):
            continue
        with lock(
            settings.cache / "locks" / f"binaries-{version}.lock", f"the binaries of {version}"
        ):
            provide(settings, version, commands, offline)
    return [
        place(settings.served, settings, version, command) for version, command in settings.required
    ]


def provide(settings: Settings, version: str, commands: Sequence[str], offline: list[str]) -> None:
    def placed(root: Path, command: str) -> Path:
        return place(root, settings, version, command)

    released = settings.cache / "release"
    missing = []
    for command in commands:
        cached = placed(released, command)
        target = placed(settings.served, command)
        if settings.binaries is not None:
            local = placed(settings.binaries, command)
            if local.is_file():
                copy_local(local, target)
                continue
        if not cached.exists():
            try:
                download(settings, version, cached, offline)
            except UnavailableError as reason:
                say(f"  {command} {version} cannot be downloaded: {reason}")
                missing.append(command)
    if missing:
        made = Build(
            settings, version, missing, lambda command, path: keep(path, placed(released, command))
        )
        try:
            made.run()
        except CannotBuildError as reason:
            raise LabError(
                f"no {' and no '.join(missing)} {version}: {reason}; set LAB_BINARIES to a "
                f"directory that contains v{version}/bin/linux/{settings.arch}/{missing[0]}, "
                "or LAB_BINARY_URL to a mirror of the release site"
            ) from None
    for command in commands:
        cached, target = (placed(root, command) for root in (released, settings.served))
        if cached != target and not target.exists():
            link(cached, target)


def copy_local(local: Path, target: Path) -> None:
    """Copy a local binary. If a checksum file exists next to the binary, verify the copy."""
    stamp = local.stat().st_mtime_ns
    if target.exists() and target.stat().st_mtime_ns == stamp:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    shutil.copyfile(local, temporary)
    for kind in DIGESTS:
        beside = local.with_name(f"{local.name}.{kind}")
        if beside.exists():
            verify(temporary, kind, beside.read_text(), str(local))
    os.utime(temporary, ns=(stamp, stamp))
    keep(temporary, target)


def link(cached: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (*(f".{kind}" for kind in DIGESTS), ""):
        path = target.with_name(target.name + suffix)
        path.unlink(missing_ok=True)
        os.link(cached.with_name(cached.name + suffix), path)


def digest(path: Path, kind: str) -> str:
    checksum = hashlib.new(kind)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            checksum.update(chunk)
    return checksum.hexdigest()


def verify(path: Path, kind: str, expected: str, source: str) -> None:
    words = expected.split()
    if not words or not re.fullmatch(r"[0-9a-fA-F]+", words[0]):
        raise LabError(f"{source}.{kind} contains no checksum")
    if digest(path, kind) != words[0].lower():
        path.unlink()
        raise LabError(f"{source} does not match its {kind} checksum; the file was removed")


def keep(temporary: Path, target: Path) -> None:
    """Store a binary after its checksums.

    If a run is interrupted, every stored binary therefore has checksums.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for kind in DIGESTS:
        target.with_name(f"{target.name}.{kind}").write_text(digest(temporary, kind))
    temporary.chmod(0o755)
    temporary.rename(target)


def download(settings: Settings, version: str, target: Path, offline: list[str]) -> None:
    """Download a binary.

    After a network error, all further downloads fail immediately.
    """
    if offline:
        raise UnavailableError(offline[0])
    url = f"{settings.binary_url}/release/v{version}/bin/linux/{settings.arch}/{target.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    try:
        expected = {kind: fetch(f"{url}.{kind}") for kind in DIGESTS}
        say(f"Downloading {url}")
        fetch_to(url, temporary)
    except urllib.error.HTTPError as error:
        raise UnavailableError(f"{url} returned {error.code}") from None
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        offline.append(f"{settings.binary_url}: {reason}")
        raise UnavailableError(offline[0]) from None
    for kind, text in expected.items():
        verify(temporary, kind, text, url)
    keep(temporary, target)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as response:
        return str(response.read(4096).decode("ascii", "replace"))


def fetch_to(url: str, target: Path) -> None:
    started = displayed = time.monotonic()
    with (
        contextlib.closing(urllib.request.urlopen(url, timeout=30)) as response,
        target.open("wb") as sink,
    ):
        expected = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(CHUNK):
            sink.write(chunk)
            if time.monotonic() - displayed > 5:
                displayed = time.monotonic()
                percent = f"{100 * sink.tell() // expected} %, " if expected else ""
                say(f"  {percent}{sink.tell() >> 20} MiB, {displayed - started:.0f} s")
        if expected and sink.tell() != expected:
            raise OSError(f"the connection ended after {sink.tell()} of {expected} bytes")

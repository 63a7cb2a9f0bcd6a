"""Create secrets with markers, and search output and files for the markers."""

from __future__ import annotations

import base64
import contextlib
import re
import stat
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support import pki

PRIVATE = stat.S_IRWXG | stat.S_IRWXO
"""The permission bits that a file with a secret must not have."""
PART = 24
"""Number of characters of a secret that a search looks for."""


def extender(number: int = 9) -> tuple[dict[str, Any], str]:
    """Return a KubeSchedulerConfiguration with an extender that no pod uses, and its key data."""
    # The file of an Ed25519 key contains only secret data, not the public key.
    key = pki.spare("Ed25519", number=number)
    certificate = pki.pem(pki.certificate(key, subject={"CN": "extender"}))
    key_data = base64.b64encode(pki.key_pem(key).encode()).decode()
    entry = {
        "urlPrefix": "https://127.0.0.1:9",
        "filterVerb": "filter",
        "enableHTTPS": True,
        "ignorable": True,
        "managedResources": [{"name": "example.com/none"}],
        "tlsConfig": {
            "serverName": "extender.example",
            "certData": base64.b64encode(certificate.encode()).decode(),
            "keyData": key_data,
        },
    }
    return {"extenders": [entry]}, key_data


def needles(secret: str) -> set[bytes]:
    """Return the forms of a secret to search for: the text, base64 at each offset, hexadecimal.

    If the secret is base64 text, the forms of its content are included.
    """
    found: set[bytes] = set()
    contents = {secret.encode()}
    if len(secret) % 4 == 0 and re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", secret):
        contents.add(base64.b64decode(secret))
    for content in contents:
        # Skip the first and the last line, such as those of PEM, which are no secret.
        lines = [line for line in content.splitlines() if b"-----" not in line]
        for line in lines:
            found |= {line[start : start + PART] for start in range(0, len(line), PART)}
            found.add(urllib.parse.quote_from_bytes(line[:PART]).encode())
        core = b"".join(lines) if len(lines) > 1 else content
        for offset in range(3):
            encoded = base64.b64encode(core[offset:]).decode()
            found |= {part.encode() for part in re.findall(f".{{{PART}}}", encoded[4:-4])}
        found |= {core[start : start + 12].hex().encode() for start in range(0, len(core), 12)}
    return {needle for needle in found if len(needle) >= min(PART, len(secret))}


def find_needles(text: bytes, secrets: Mapping[str, set[bytes]]) -> list[str]:
    """Return the names of the secrets of which a text contains a part."""
    return [name for name, forms in secrets.items() if any(form in text for form in forms)]


def find_in_files(
    roots: Iterable[Path], secrets: Mapping[str, set[bytes]], known: Iterable[Path] = ()
) -> list[str]:
    """Return each file that other users can read and that contains a part of a secret.

    `known` are files in which the test itself stores a secret.
    """
    skipped = {path.resolve() for path in known}
    found = []
    for root in roots:
        for path in root.rglob("*"):
            if path.is_symlink() or not path.is_file() or path.resolve() in skipped:
                continue
            mode = path.stat().st_mode
            names = find_needles(path.read_bytes(), secrets) if mode & PRIVATE else []
            found += [f"{path} ({stat.S_IMODE(mode):04o}) contains {name}" for name in names]
    return found


@contextlib.contextmanager
def watched() -> Iterator[set[bytes]]:
    """Record the command lines and environments of all processes during the block."""
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for process in Path("/proc").iterdir():
                for name in ("cmdline", "environ") if process.name.isdigit() else ():
                    with contextlib.suppress(OSError):  # the process can end before the read
                        seen.add((process / name).read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()

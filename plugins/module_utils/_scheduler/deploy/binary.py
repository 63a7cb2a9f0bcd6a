# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Download a binary, and install it only if it has the expected checksum."""

from __future__ import annotations

import hashlib
import math
import os
import re
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.download import (
    download,
    download_limits,
    parse_url,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterator

    from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.sockets import Exchange

MAX_DOWNLOAD_BYTES = 256 << 20
"""Maximum size of a downloaded binary. A kube-scheduler has 50 to 120 MiB."""
MAX_CHECKSUM_BYTES = 4096
MAX_DOWNLOAD_S = 86400
FILE_BLOCK_BYTES = 1 << 20
DIGEST_LENGTHS = {"sha256": 64, "sha512": 128}


class BinaryResult(t.TypedDict):
    """The result of the module."""

    changed: bool
    path: str
    size: int | None
    checksum: str


def install_binary(module: attributes.FilesModule) -> BinaryResult:
    """Download the binary unless the file has the checksum. Raises FilesError and KubeError."""
    params = module.params
    path, url, timeout = params["path"], params["url"], params["timeout"]
    if not (math.isfinite(timeout) and 0 < timeout <= MAX_DOWNLOAD_S):
        raise FilesError(
            f"{timeout} is out of range; set a timeout from 1 to {MAX_DOWNLOAD_S} seconds",
            option="timeout",
        )
    limits = download_limits(timeout, MAX_DOWNLOAD_BYTES)
    where = parse_url(url).where
    algorithm, digest = _expected_digest(params["checksum"], limits)
    target = paths.resolve(path)
    rights = attributes.FileAttributes(module, target, "0755")
    result = BinaryResult(changed=True, path=path, size=None, checksum=f"{algorithm}:{digest}")
    if _digest_of_file(target, algorithm) == digest:
        result["changed"] = rights.by_path(target)
    elif not module.check_mode:
        write.sweep(path)
        blocks = download(url, limits, MAX_DOWNLOAD_BYTES)
        verified = _verify(blocks, algorithm, digest, where)
        write.Staged(path, verified, rights.context, rights.rights).commit()
    if os.path.isfile(target):
        result["size"] = os.stat(target).st_size
    return result


def _expected_digest(checksum: str, limits: Exchange) -> tuple[str, str]:
    """Return the algorithm and the digest, read from a URL if the checksum names one."""
    algorithm, _colon, value = checksum.partition(":")
    if value.startswith(("https://", "http://")) and algorithm in DIGEST_LENGTHS:
        content = b"".join(download(value, limits, MAX_CHECKSUM_BYTES))
        words = content.decode("ascii", "replace").split()
        digest, advice = words[0] if words else "", f"correct {parse_url(value).where}"
    else:
        digest, advice = value, "set sha512:HEX, sha256:HEX, or sha512:URL"
    digest = digest.lower()
    length = DIGEST_LENGTHS.get(algorithm, 0)
    if not length or not re.fullmatch(f"[0-9a-f]{{{length}}}", digest):
        raise FilesError(
            f"{digest[:140]!r} is not a checksum of {algorithm[:20]!r}; {advice}", option="checksum"
        )
    return algorithm, digest


def _digest_of_file(path: str, algorithm: str) -> str:
    """Return the digest of a regular file, "" if it is missing or larger than a binary."""
    status = paths.stat_regular(path)
    if status is None or status.st_size > MAX_DOWNLOAD_BYTES:
        return ""
    hashing = hashlib.new(algorithm)
    with paths.explain_errors(path, "read"):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return ""
            for _number in range(MAX_DOWNLOAD_BYTES // FILE_BLOCK_BYTES):
                hashing.update(stream.read(FILE_BLOCK_BYTES))
    return hashing.hexdigest()


def _verify(blocks: Iterator[bytes], algorithm: str, digest: str, where: str) -> Iterator[bytes]:
    """Yield the blocks. Raise FilesError at the end if their digest is wrong."""
    hashing = hashlib.new(algorithm)
    for block in blocks:
        hashing.update(block)
        yield block
    if hashing.hexdigest() != digest:
        raise FilesError(
            f"the {algorithm} of {where} is {hashing.hexdigest()[:16]}..., expected"
            f" {digest[:16]}...; check the mirror, or correct the checksum"
        )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find the certificates in a PEM file, without the cryptography library."""

from __future__ import annotations

import base64

CERTIFICATE_BEGIN = b"-----BEGIN CERTIFICATE-----"
CERTIFICATE_END = b"-----END CERTIFICATE-----"
_BEGIN = b"-----BEGIN "


def split_certificates(content: bytes) -> list[bytes]:
    """Return the certificate blocks of a PEM text in order, without the text between them.

    The function does not check the content of a block. A truncated block ends where the next block
    begins. The truncated block is returned too, because no caller must treat it as missing. A
    truncated block at the end of the file is not returned.
    """
    blocks = []
    parts = content.split(CERTIFICATE_BEGIN)[1:]
    for number, part in enumerate(parts, 1):
        body, end, _text_after = part.partition(CERTIFICATE_END)
        if end or number < len(parts):
            blocks.append(CERTIFICATE_BEGIN + body + end)
    return blocks


def normalize_pem(content: bytes) -> bytes:
    """Return the blocks of a PEM text as Kubernetes reads them, without the text around them.

    Each block gets its own lines of 64 characters. The function does not check the content: a block
    that is not Base64, or is truncated by the next block, is returned unchanged.
    """
    parts = content.split(_BEGIN)[1:]
    blocks = []
    for number, part in enumerate(parts, 1):
        label, _dashes, text = part.partition(b"-----")
        body, end, _text_after = text.partition(b"-----END %b-----" % label)
        if end:
            blocks.append(b"%b%b-----\n%b%b\n" % (_BEGIN, label, _wrap(body), end))
        elif number < len(parts):
            blocks.append(_BEGIN + part.strip() + b"\n")
    return b"".join(blocks)


def normalize_certificates(content: bytes) -> str:
    """Return the certificates of a PEM text as Kubernetes reads them, without any other text."""
    return normalize_pem(b"\n".join(split_certificates(content))).decode("ascii", "replace")


def _wrap(body: bytes) -> bytes:
    try:
        encoded = base64.b64encode(base64.b64decode(b"".join(body.split()), validate=True))
    except ValueError:
        return body.lstrip() if body.endswith(b"\n") else body.strip() + b"\n"
    return b"".join(encoded[i : i + 64] + b"\n" for i in range(0, len(encoded), 64))

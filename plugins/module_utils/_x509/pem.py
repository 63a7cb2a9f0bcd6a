# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find the certificates in a PEM file, without the cryptography library."""

from __future__ import annotations

CERTIFICATE_BEGIN = b"-----BEGIN CERTIFICATE-----"
CERTIFICATE_END = b"-----END CERTIFICATE-----"


def split_certificates(content: bytes) -> list[bytes]:
    """Return the certificate blocks of a PEM text in order, without the text between them.

    The function does not check the content of a block. A truncated block ends where the next block
    begins. It is returned too, because no caller must treat it as missing. A truncated block at the
    end of the file is not returned.
    """
    blocks = []
    parts = content.split(CERTIFICATE_BEGIN)[1:]
    for number, part in enumerate(parts, 1):
        body, end, _text_after = part.partition(CERTIFICATE_END)
        if end or number < len(parts):
            blocks.append(CERTIFICATE_BEGIN + body + end)
    return blocks

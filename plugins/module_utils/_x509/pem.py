# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

CERTIFICATE_BEGIN = b"-----BEGIN CERTIFICATE-----"
CERTIFICATE_END = b"-----END CERTIFICATE-----"


def split_certificates(content: bytes) -> list[bytes]:
    """Return the certificate blocks in order, without the text that tools write between them. Their content is not checked.

    A block that was cut off ends where the next one begins: it is returned too, so that no reader takes it for absent.
    One that was cut off by the end of the file is not, as the file may be anything.
    """
    found = []
    parts = content.split(CERTIFICATE_BEGIN)[1:]
    for number, part in enumerate(parts, 1):
        body, end, _between = part.partition(CERTIFICATE_END)
        if end or number < len(parts):
            found.append(CERTIFICATE_BEGIN + body + end)
    return found

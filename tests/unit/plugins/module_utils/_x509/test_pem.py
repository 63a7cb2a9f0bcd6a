# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import time

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import (
    CERTIFICATE_BEGIN,
    CERTIFICATE_END,
    normalize_pem,
    split_certificates,
)
from hypothesis import given
from hypothesis import strategies as st

A = CERTIFICATE_BEGIN + b"\nAAAA\n" + CERTIFICATE_END
B = CERTIFICATE_BEGIN + b"\r\nBBBB\r\n" + CERTIFICATE_END
CUT = CERTIFICATE_BEGIN + b"\nCCCC\n"


@pytest.mark.parametrize(
    ("content", "blocks"),
    [
        (b"", []),
        (b"Bag Attributes\n\xff\n" + A + b"\nsubject=x\n" + B + b"\n", [A, B]),
        (A + A, [A, A]),
        (CUT + A, [CUT, A]),
        (A + CUT, [A]),
        (CERTIFICATE_END + A, [A]),
        (A + CERTIFICATE_END, [A]),
        (CERTIFICATE_BEGIN * 2 + A, [CERTIFICATE_BEGIN, CERTIFICATE_BEGIN, A]),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", []),
    ],
)
def test_content_is_split_into_certificates(content: bytes, blocks: list[bytes]) -> None:
    assert split_certificates(content) == blocks


@given(st.lists(st.sampled_from([CERTIFICATE_BEGIN, CERTIFICATE_END, b"x", b"\n", b"\xff"])))
def test_certificate_blocks_are_in_the_order_of_the_content(parts: list[bytes]) -> None:
    content, start = b"".join(parts), 0
    for block in split_certificates(content):
        start = content.index(block, start) + len(block)


def test_hostile_file_is_split_quickly() -> None:
    start = time.monotonic()
    split_certificates(CERTIFICATE_BEGIN * 100_000)
    assert time.monotonic() - start < 2


BODY = base64.b64encode(bytes(range(100)))
CANONICAL = b"-----BEGIN CERTIFICATE-----\n%b\n%b\n%b\n-----END CERTIFICATE-----\n" % (
    BODY[:64],
    BODY[64:128],
    BODY[128:],
)
ONE_LINE = b"-----BEGIN CERTIFICATE-----%b-----END CERTIFICATE-----" % BODY


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CANONICAL, CANONICAL),
        (b"", b""),
        (b"\xef\xbb\xbf" + CANONICAL, CANONICAL),
        (CANONICAL.rstrip() + CANONICAL, CANONICAL * 2),
        (ONE_LINE + ONE_LINE, CANONICAL * 2),
        (CANONICAL.replace(b"\n", b"\r\n"), CANONICAL),
        ("# Zertifikat für 中文\n".encode("gb18030") + CANONICAL + b"end", CANONICAL),
        (b"-----BEGIN X-----\n!\n-----END X-----", b"-----BEGIN X-----\n!\n-----END X-----\n"),
    ],
    ids=["canonical", "empty", "BOM", "joined", "one line", "CRLF", "comment", "no Base64"],
)
def test_text_is_normalized(content: bytes, expected: bytes) -> None:
    assert normalize_pem(content) == expected
    assert normalize_pem(expected) == expected


def test_truncated_block_remains() -> None:
    assert normalize_pem(CUT + CANONICAL) == CUT + CANONICAL
    assert normalize_pem(CANONICAL + CUT) == CANONICAL

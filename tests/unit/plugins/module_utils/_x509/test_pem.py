# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import (
    CERTIFICATE_BEGIN,
    CERTIFICATE_END,
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

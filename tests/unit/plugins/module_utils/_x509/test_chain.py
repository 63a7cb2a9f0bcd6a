# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest

from tests.support.chain_cases import CASES
from tests.support.pki import NOW

FUZZED = ("AD CS", "permitted names", "a required policy", "a UTF-8 name")


@pytest.mark.parametrize("title", CASES)
def test_verdict_is_that_of_kubernetes(title: str) -> None:
    build, accepted, stricter = CASES[title]
    problem = build().decide(NOW)
    assert (problem == "") == accepted or stricter, problem


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", FUZZED)
def test_damaged_certificate_gives_a_reason(title: str) -> None:
    """One changed byte never causes an exception, and a changed leaf is rejected."""
    case, choose = CASES[title].build(), random.Random(1)
    for _round in range(150):
        encoded = bytearray(case.leaf.encoded)
        encoded[choose.randrange(len(encoded))] ^= 1 << choose.randrange(8)
        assert case._replace(leaf=case.leaf._replace(encoded=bytes(encoded))).decide(NOW)
    for _round in range(150):
        encoded = bytearray(case.anchors[0].encoded)
        encoded[choose.randrange(len(encoded))] ^= 1 << choose.randrange(8)
        case._replace(anchors=[case.anchors[0]._replace(encoded=bytes(encoded))]).decide(NOW)


def test_intermediate_with_a_long_rsa_key_is_rejected() -> None:
    problem = CASES["an RSA key of more than 8192 bits"].build().decide(NOW)
    assert "an intermediate certificate that has an RSA key of more than 8192 bits" in problem

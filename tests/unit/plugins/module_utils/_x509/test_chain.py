# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tests.support.chain_cases import CASES
from tests.support.pki import NOW


@pytest.mark.parametrize("title", CASES)
def test_verdict_is_that_of_kubernetes(title: str) -> None:
    build, accepted, stricter = CASES[title]
    problem = build().decide(NOW)
    assert (problem == "") == accepted or stricter, problem

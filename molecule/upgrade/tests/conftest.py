"""Provide the version that each test starts with.

Most tests start with the version that is already installed.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import upgrade


@pytest.fixture
def older(lab: Any) -> None:
    upgrade.deployed(lab, upgrade.OLD)


@pytest.fixture
def newer(lab: Any) -> None:
    upgrade.deployed(lab, upgrade.NEW)

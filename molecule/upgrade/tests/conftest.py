"""Each test asks for the version that it begins with; most find it there."""

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

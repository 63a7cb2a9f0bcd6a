"""Test how versions are parsed. A host or an apiserver can report any text."""

from __future__ import annotations

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    is_older,
    minor_of,
)


@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("1.37.2", "1.37"),
        ("v1.37.2-rc.1+a", "1.37"),
        ("1.37", ""),
        ("1.37.2x", ""),
        ("1.37." + "9" * 5000, ""),
        ("9" * 5000 + ".1.2", ""),
        ("1.\u0663.2", ""),
    ],
)
def test_minor_version_has_a_bounded_length(version: str, minor: str) -> None:
    assert minor_of(version) == minor


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [
        ("1.9.0", "1.10.0", True),
        ("v1.37.2-rc.1", "1.37.3", True),
        ("1.37.2", "1.37.2", False),
        ("1.37.2", "9" * 5000 + ".0.0", False),
        ("1.37.2", "1.37." + "9" * 5000, False),
        ("1.37.2", "\u0661.\u0661.\u0661", False),
        ("", "1.37.2", False),
    ],
)
def test_only_full_versions_are_compared(version: str, other: str, older: bool) -> None:
    assert is_older(version, other) is older

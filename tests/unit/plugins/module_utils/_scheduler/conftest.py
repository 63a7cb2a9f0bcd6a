"""Provide a directory for the tests that take the permissions of another user."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def shared_path(tmp_path: Path) -> Path:
    """Return a directory that is accessible to all users."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o005 == 0:
            directory.chmod(0o711)
    return tmp_path

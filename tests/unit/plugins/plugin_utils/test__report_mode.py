"""Test the mode of report files."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._report_mode import (
    directory_mode,
    parse_report_mode,
)

from tests.support.fake_module import one_line


@pytest.mark.parametrize(
    ("value", "mode"), [("0644", 0o644), ("640", 0o640), (0o644, 0o644), ("0600", 0o600)]
)
def test_mode_is_octal(value: Any, mode: int) -> None:
    assert parse_report_mode({"status_mode": value}) == mode


def test_default_mode_is_private() -> None:
    assert parse_report_mode({}) == 0o600


@pytest.mark.parametrize("value", [644, "0888", "u=rw", "", None, True, -1, "01777", ["0644"]])
def test_other_mode_is_rejected(value: Any) -> None:
    with pytest.raises(PlanError, match=r"status_mode: .* is not a mode in octal; set") as caught:
        parse_report_mode({"status_mode": value})
    one_line(caught.value)


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755)])
def test_reader_of_a_file_can_enter_its_directory(mode: int, expected: int) -> None:
    assert directory_mode(mode) == expected

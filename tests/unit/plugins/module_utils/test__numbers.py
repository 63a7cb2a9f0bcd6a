# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import (
    parse_go_integer,
    parse_integer,
    parse_json,
)

NINES = "9" * 100_000


@pytest.mark.parametrize(
    ("text", "maximum", "base", "number"),
    [
        ("0", 0, 10, 0),
        ("65535", 65535, 10, 65535),
        ("65536", 65535, 10, None),
        ("0" * 100_000 + "7", 9, 10, 7),
        (NINES, 10**15, 10, None),
        ("fF", 255, 16, 255),
        ("100", 255, 16, None),
        ("17", 15, 8, 15),
        ("8", 15, 8, None),
        ("11", 3, 2, 3),
        ("", 9, 10, None),
        ("-1", 9, 10, None),
        ("+1", 9, 10, None),
        (" 1", 9, 10, None),
        ("1\n", 9, 10, None),
        ("1_0", 99, 10, None),
        ("0x1", 9, 16, None),
        ("\u0661", 9, 10, None),
        ("\u00b2", 9, 10, None),
        (None, 9, 10, None),
        (5, 9, 10, None),
        (b"5", 9, 10, None),
    ],
)
def test_only_ascii_digits_within_the_maximum_are_a_number(
    text: Any, maximum: int, base: int, number: int | None
) -> None:
    started = time.monotonic()
    assert parse_integer(text, maximum, base=base) == number
    assert time.monotonic() - started < 1


# The results are those of strconv.ParseInt(text, 0, 64).
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("10259", 10259),
        ("+10259", 10259),
        ("10_259", 10259),
        ("024023", 10259),
        ("0x2813", 10259),
        ("0X_2813", 10259),
        ("0b11", 3),
        ("0B_11", 3),
        ("0o17", 15),
        ("0O17", 15),
        ("0_7", 7),
        ("0" * 50_000 + "7", 7),
        ("0", 0),
        ("00", 0),
        ("010259", None),
        ("_1", None),
        ("1_", None),
        ("1__0", None),
        ("0_", None),
        ("0x__1", None),
        ("0x", None),
        ("+", None),
        ("", None),
        (" 1", None),
        ("\u0661", None),
        ("-1", None),
        ("65536", None),
        (NINES, None),
        ("0x" + "f" * 100_000, None),
    ],
)
def test_flag_has_the_number_that_go_reads(text: str, number: int | None) -> None:
    assert parse_go_integer(text, 65535) == number


def test_json_with_long_integers_or_deep_nesting_is_invalid() -> None:
    assert parse_json('{"a": [1, -2, 3.5]}') == {"a": [1, -2, 3.5]}
    started = time.monotonic()
    for text in ("9" * 4_000_000, b'{"a": -' + b"9" * 4000 + b"}", "[" * 100_000, "", "\0"):
        with pytest.raises(ValueError, match=r".+"):
            parse_json(text)
    assert time.monotonic() - started < 5

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_module import one_line

GOOD = {
    "8760h": timedelta(hours=8760),
    "1h30m": timedelta(minutes=90),
    "1.5h": timedelta(minutes=90),
    ".5h": timedelta(minutes=30),
    "1.h": timedelta(hours=1),
    "90s": timedelta(seconds=90),
    "1500ms": timedelta(seconds=1),
    "1h1h": timedelta(hours=2),
    "1000000us": timedelta(seconds=1),
    "1000000\u00b5s": timedelta(seconds=1),
    "2562047h47m16s": timedelta(seconds=9223372036),
}
BAD = [
    "0",
    "0h",
    "0s",
    "1ns",
    "999ms",
    "-1h",
    "+-1h",
    "8760",
    "1e3h",
    "99999999h",
    "2562047h47m17s",
    "NaN",
    "inf",
    "1h1",
    "d",
    "0d",
    "300y",
    "1dear",
    "h",
    ".",
    ".h",
    "1.5.5h",
    "1H",
    "\uff11h",
    "0x1h",
    "1_0h",
    "1,5h",
]


@pytest.mark.parametrize("text", GOOD)
def test_go_duration_is_parsed(text: str) -> None:
    assert _durations.parse_duration(text, "valid_for") == GOOD[text]


@pytest.mark.parametrize("text", [*BAD, "", " ", " 1h", "1h ", "1h\n", "1 h", "1h\0"])
def test_invalid_duration_is_rejected_with_advice(text: str) -> None:
    with pytest.raises(
        X509Error, match=r'valid_for: .* write a Go duration such as "8760h"'
    ) as caught:
        _durations.parse_duration(text, "valid_for")
    one_line(caught.value)


@pytest.mark.parametrize(
    ("text", "hours"),
    [("30d", 720), ("30 days", 720), ("1day", 24), ("2w", 336), ("1y", 8760), ("10 years", 87600)],
)
def test_unit_that_go_lacks_is_rejected_with_the_hours(text: str, hours: int) -> None:
    with pytest.raises(
        X509Error, match=f'renew_before: {text!r} is not a duration; write "{hours}h", because h'
    ) as caught:
        _durations.parse_duration(text, "renew_before")
    one_line(caught.value)


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=100000)))
def test_formatted_duration_is_parsed_to_the_same_length(length: timedelta) -> None:
    whole = timedelta(seconds=int(length.total_seconds()))
    assert _durations.parse_duration(_durations.format_duration(whole), "x") == whole


@given(st.text())
def test_any_text_is_a_duration_or_raises_one_line(text: str) -> None:
    try:
        assert _durations.parse_duration(text, "x") >= timedelta(seconds=1)
    except X509Error as exc:
        one_line(exc)


def test_renewal_window_is_a_duration_or_a_percentage_of_the_validity() -> None:
    day = timedelta(days=1)

    def window(text: str) -> timedelta:
        return _durations.parse_renewal_window(text, day, "x").of(day)

    assert window("25%") == timedelta(hours=6)
    assert window("0.1%") == timedelta(seconds=86)
    assert window("23h") == timedelta(hours=23)


@pytest.mark.parametrize("text", ["0%", "100%", "-5%", "5 %", "%", "24h", "25h", "1e1%", "0.0001%"])
def test_renewal_window_out_of_range_is_rejected(text: str) -> None:
    with pytest.raises(X509Error) as caught:
        _durations.parse_renewal_window(text, timedelta(days=1), "renew_before")
    one_line(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1e-9),
        ("100ms", 0.1),
        ("15s", 15),
        ("1h30m", 5400),
        ("1.5h", 5400),
    ],
)
def test_duration_is_parsed_to_seconds(text: str, expected: float) -> None:
    assert _durations.parse_seconds(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "15",
        "-1s",
        "1s ",
        "1d",
        None,
        15,
        1.5,
        True,
        ["1s"],
        b"1s",
        "99999999h",
        "9" * 9999 + "s",
    ],
)
def test_invalid_duration_has_no_seconds(value: object) -> None:
    assert _durations.parse_seconds(value) is None


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=100000)))
def test_seconds_equal_those_of_the_duration(length: timedelta) -> None:
    text = _durations.format_duration(length)
    assert _durations.parse_seconds(text) == _durations.parse_duration(text, "x").total_seconds()

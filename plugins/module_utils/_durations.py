# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse and format durations in the format of Go, which cfssl and Kubernetes use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error

_UNITS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "\u00b5s": Fraction(1, 10**6),
    "\u03bcs": Fraction(1, 10**6),
    "ms": Fraction(1, 10**3),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_TERM = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_MAX_SECONDS = Fraction(2**63 - 1, 10**9)
_ADVICE = 'write a Go duration such as "8760h", "1h30m" or "1.5h"'
# Go has no units for days, weeks and years. The values are hours.
_CALENDAR_UNITS = {"d": 24, "w": 168, "y": 8760}
_CALENDAR_TERM = re.compile(r"([1-9][0-9]{0,4}) ?(?:(d)(?:ays?)?|(w)(?:eeks?)?|(y)(?:ears?)?)")


def _exact(text: object) -> Fraction | None:
    """Return the exact seconds of an unsigned Go duration, such as "0" or "1h"; None otherwise."""
    # Python raises an error for numbers of thousands of digits.
    if not isinstance(text, str) or len(text) > 200:
        return None
    if text == "0":
        return Fraction(0)
    terms = _TERM.findall(text)
    if not terms or "".join(number + unit for number, unit in terms) != text:
        return None
    return sum((Fraction(number) * _UNITS[unit] for number, unit in terms), Fraction(0))


def parse_seconds(text: object) -> float | None:
    """Return the seconds of a Go duration such as "15s" or "1h30m"; None if it is invalid.

    Zero is valid, a sign is not. The maximum is 292 years, as in Go.
    """
    exact = _exact(text)
    return None if exact is None or exact > _MAX_SECONDS else float(exact)


def parse_duration(text: str, option: str) -> timedelta:
    """Parse a Go duration and round it down to whole seconds.

    Raises X509Error if the text is invalid, below one second, or above the 292 years of Go.
    `option` is the name of the option.
    """
    exact = _exact(text)
    if exact is None or text == "0":
        raise X509Error(f"{text!r} is not a duration; {_in_hours(text) or _ADVICE}", option=option)
    if not 1 <= exact <= _MAX_SECONDS:
        raise X509Error(
            f"{text!r} is not a duration from 1 second to 292 years; {_ADVICE}", option=option
        )
    return timedelta(seconds=int(exact))


def _in_hours(text: str) -> str:
    """Return how to write days, weeks or years in hours; "" for any other text."""
    term = _CALENDAR_TERM.fullmatch(text)
    hours = int(term[1]) * _CALENDAR_UNITS[term[term.lastindex or 0]] if term else 0
    fits = 0 < hours * 3600 <= _MAX_SECONDS
    return f'write "{hours}h", because h is the longest unit of Go' if fits else ""


@dataclass(frozen=True)
class RenewalWindow:
    """The last part of a certificate's validity, in which it is renewed.

    `length` is a fixed length. If `length` is None, the window is `percent` of the validity.
    """

    length: timedelta | None
    percent: float = 0.0

    def of(self, validity: timedelta) -> timedelta:
        """Return the length of the window, in whole seconds, for a certificate of this validity."""
        if self.length is not None:
            return self.length
        return timedelta(seconds=int(validity.total_seconds() * self.percent / 100))


def parse_renewal_window(text: str, validity: timedelta, option: str) -> RenewalWindow:
    """Parse a renewal window: a Go duration, or a percentage such as "25%".

    Raises X509Error if the text is neither, or if the window is not shorter than `validity`.
    `option` is the name of the option.
    """
    percentage = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%", text)
    window = (
        RenewalWindow(None, float(percentage[1]))
        if percentage
        else RenewalWindow(parse_duration(text, option))
    )
    if not timedelta(0) < window.of(validity) < validity:
        raise X509Error(
            f"{text!r} is not between zero and the certificate's validity of"
            f" {format_duration(validity)}; set a window in this range",
            option=option,
        )
    return window


def fixed_window_seconds(text: object) -> float | None:
    """Return the seconds of a renewal window with a fixed length; None for a percentage."""
    return parse_seconds(text)


def format_duration(length: timedelta) -> str:
    """Return a length as a Go duration in whole seconds, such as "1h30m" or "0s"."""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if count
    ]
    return "".join(parts) or "0s"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Durations in Go's form, which cfssl and Kubernetes use: the one parser of them."""

from __future__ import annotations

import re
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
_LONGEST = Fraction(2**63 - 1, 10**9)
_FORM = 'write a Go duration such as "8760h", "1h30m" or "1.5h"'
# Hours of the units that people write all the same.
_LONGER = {"d": 24, "w": 168, "y": 8760}
_LONGER_TERM = re.compile(r"([1-9][0-9]{0,4}) ?(?:(d)(?:ays?)?|(w)(?:eeks?)?|(y)(?:ears?)?)")


def _exact(text: object) -> Fraction | None:
    """Return the seconds of a Go duration with no sign, or None; a bare 0 is one, as in Go."""
    # Python refuses to read numbers of thousands of digits.
    if not isinstance(text, str) or len(text) > 200:
        return None
    if text == "0":
        return Fraction(0)
    terms = _TERM.findall(text)
    if not terms or "".join(number + unit for number, unit in terms) != text:
        return None
    return sum((Fraction(number) * _UNITS[unit] for number, unit in terms), Fraction(0))


def parse_seconds(text: object) -> float | None:
    """Return the seconds of a Go duration such as "15s" or "1h30m"; None for what is none, or beyond Go's 292 years.

    Zero is a duration; a sign is refused, since nothing here lasts less than no time.
    """
    exact = _exact(text)
    return None if exact is None or exact > _LONGEST else float(exact)


def parse_duration(text: str, where: str) -> timedelta:
    """Return the length of a Go duration in whole seconds; *where* is the option that holds it.

    Raises X509Error for what is no duration, is shorter than a second, or is beyond Go's own range of 292 years.
    """
    exact = _exact(text)
    if exact is None or text == "0":
        raise X509Error(f"{text!r} is not a duration: {_in_hours(text) or _FORM}", option=where)
    if not 1 <= exact <= _LONGEST:
        raise X509Error(f"{text!r} is not between one second and 292 years: {_FORM}", option=where)
    return timedelta(seconds=int(exact))


def _in_hours(text: str) -> str:
    """Return what to write in place of a count of days, weeks or years; "" for anything else."""
    found = _LONGER_TERM.fullmatch(text)
    hours = int(found[1]) * _LONGER[found[found.lastindex or 0]] if found else 0
    return f'write "{hours}h", for Go has no longer unit' if 0 < hours * 3600 <= _LONGEST else ""


def window(text: str, lifetime: timedelta, where: str) -> timedelta:
    """Return the length of a Go duration or of a percentage of *lifetime*, in whole seconds; *where* is the option.

    Raises X509Error for what is neither, or is not longer than nothing and shorter than *lifetime*.
    """
    share = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%", text)
    length = (
        timedelta(seconds=int(lifetime.total_seconds() * float(share[1]) / 100))
        if share
        else parse_duration(text, where)
    )
    if not timedelta(0) < length < lifetime:
        raise X509Error(
            f"{text!r} has to be longer than nothing and shorter than the certificate's lifetime of {format_duration(lifetime)}",
            option=where,
        )
    return length


def format_duration(length: timedelta) -> str:
    """Return a length in Go's form, in whole seconds: "1h30m", "0s"."""
    minutes, rest = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if count
    ]
    return "".join(parts) or "0s"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Durations as Go writes them, which cfssl and Kubernetes use."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509._base import X509Error

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


def duration(text: str, where: str) -> timedelta:
    """Return the length of a Go duration, which is at least a second and within Go's own range."""
    terms = _TERM.findall(text)
    if not terms or "".join(number + unit for number, unit in terms) != text:
        raise X509Error(f"{where}: {text!r} is not a duration: {_FORM}")
    seconds = sum((Fraction(number) * _UNITS[unit] for number, unit in terms), Fraction(0))
    if not 1 <= seconds <= _LONGEST:
        raise X509Error(f"{where}: {text!r} is not between one second and 292 years: {_FORM}")
    return timedelta(seconds=int(seconds))


def window(text: str, lifetime: timedelta, where: str) -> timedelta:
    """Return a duration, or a percentage of *lifetime*; it has to be shorter than that."""
    share = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%", text)
    length = (
        timedelta(seconds=int(lifetime.total_seconds() * float(share[1]) / 100)) if share else duration(text, where)
    )
    if not timedelta(0) < length < lifetime:
        raise X509Error(
            f"{where}: {text!r} has to be longer than nothing and shorter than the certificate's lifetime of {go(lifetime)}"
        )
    return length


def go(length: timedelta) -> str:
    """Return a duration in Go's form."""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if count]
    return "".join(parts) or "0s"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse numbers that a host, a process, a server or a file wrote.

int() of Python also accepts signs, underscores and the digits of all scripts. For thousands of
digits, int() raises an error. Before Python 3.10.7, their conversion takes minutes.
"""

from __future__ import annotations

import json
import re
import typing as t

MAX_JSON_DIGITS = 400
"""Maximum length of an integer in JSON. The longest floating-point number has 309 digits."""

_DIGITS = {
    base: re.compile(f"[{digits}]+")
    for base, digits in (
        (2, "01"),
        (8, "0-7"),
        (10, "0-9"),
        (16, "0-9A-Fa-f"),
    )
}
_BASE_OF_PREFIX = {"0b": 2, "0o": 8, "0x": 16}


def parse_integer(text: object, maximum: int, *, base: int = 10) -> int | None:
    """Return a whole number from 0 to `maximum`; None if the text is not such a number.

    Only ASCII digits of the base are allowed, in any case, with any number of leading zeros.
    """
    if not isinstance(text, str) or not _DIGITS[base].fullmatch(text):
        return None
    digits = text.lstrip("0") or "0"
    # A binary number has the most digits.
    if len(digits) > max(1, maximum.bit_length()):
        return None
    number = int(digits, base)
    return number if number <= maximum else None


def parse_go_integer(text: str, maximum: int) -> int | None:
    """Return the whole number of a flag, as Go's strconv.ParseInt with base 0 parses it.

    A prefix sets the base, a leading zero means base 8, and underscores separate digits. Returns
    None if the number is not from 0 to `maximum`.
    """
    unsigned = text[1:] if text[:1] == "+" else text
    base = _BASE_OF_PREFIX.get(unsigned[:2].lower())
    if base is not None:
        digits = unsigned[2:].removeprefix("_")
    elif unsigned[:1] == "0" and len(unsigned) > 1:
        base, digits = 8, unsigned[1:].removeprefix("_")
    else:
        base, digits = 10, unsigned
    if "__" in digits or digits[:1] == "_" or digits[-1:] == "_":
        return None
    return parse_integer(digits.replace("_", ""), maximum, base=base)


def parse_json(text: str | bytes) -> t.Any:
    """Return a JSON value. Raises ValueError, also for deep nesting and very long integers."""
    try:
        return json.loads(text, parse_int=_parse_json_integer)
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None


def _parse_json_integer(text: str) -> int:
    if len(text) > MAX_JSON_DIGITS:
        raise ValueError("an integer in the JSON text has too many digits")
    return int(text)

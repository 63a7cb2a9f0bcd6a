# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create malformed values by the type of an option, and insert them into valid options."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

TEXTS: list[Any] = [
    "",
    " ",
    " x ",
    "\n",
    "a\nb",
    "a\r\nb: c",
    "\0",
    "a\0b",
    "\x1b[31mred\x1b[0m",
    "\x7f",
    "\u0085",
    "\u2028",
    "\u202egnp.exe",
    "\ud800",
    "\udcff",
    "\ufeff",
    "\u00e9\u00df\u4e2d\U0001f600",
    "x" * 300,
    "x" * 5_000,
    "x" * 200_000,
    "." * 1_000,
    "-",
    "--help",
    "-rf",
    "..",
    "../../../x",
    "a/b",
    "%s%n%d",
    "{0}{x}",
    "{{ lookup('pipe', 'id') }}",
    "$(id)",
    "`id`",
    "a;b|c&d",
    "'\"",
    "null",
    "None",
    "true",
    "NaN",
    "inf",
    "-1",
    "0",
    "1e999",
    "0x10",
    "1_0",
    "\u0663",
    "9" * 400,
    "9" * 5_000,
    "2001:db8::1%eth0",
    "http://x:y@z/",
    "https://192.0.2.1:99999",
    "https://[::1",
    "[" * 10_000,
    "{" * 10_000,
    '{"a": ' * 2_000,
    "- " * 2_000,
    "a: &a [x]\nb: *a",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----" * 3,
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
]
NUMBERS: list[Any] = [
    -1,
    0,
    1,
    255,
    256,
    65535,
    65536,
    2**31,
    2**63,
    2**64,
    -(2**63),
    10**30,
    10**4_000,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    "1.5",
    "1e3",
    "0x1F",
    " 7 ",
    "\u0667",
    "07",
]


def _deep(kind: Callable[[Any], Any], depth: int) -> Any:
    value: Any = 1
    for _level in range(depth):
        value = kind(value)
    return value


OTHERS: list[Any] = [
    None,
    True,
    False,
    [],
    {},
    [None],
    [[]],
    [{}],
    ["x"] * 2_000,
    ["a", ["b", {"c": None}]],
    {"": ""},
    {"a": None},
    {"a": {"b": [1, {"c": 2}]}},
    {"\n": "\0"},
    {f"k{number}": number for number in range(500)},
    _deep(lambda value: [value], 60),
    _deep(lambda value: {"a": value}, 60),
]


def mixed(rng: random.Random) -> str:
    """Return a text of any characters, but no absolute path.

    Modules would write to an absolute path.
    """
    alphabet = rng.choice(
        [
            "ab:/.-_@",
            "0123456789.hms%",
            "\x00\x07\n\r\t \x1b\x9b",
            "\ud800\u0301\u200d\u202e\U000e0001",
            "{}[]&*!|>%#,",
        ]
    )
    return "".join(rng.choice(alphabet) for _number in range(rng.choice([1, 2, 5, 20, 80]))).lstrip(
        "/"
    )


def any_value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice([*TEXTS, *NUMBERS, *OTHERS]))


def text(rng: random.Random) -> Any:
    return mixed(rng) if rng.random() < 0.3 else rng.choice(TEXTS)


def value(rng: random.Random, option: dict[str, Any], places: list[str]) -> Any:
    """Return a malformed value for an option.

    `places` are paths that the value can use. No path suits every option.
    """
    if rng.random() < 0.15:
        return any_value(rng)
    return BY_TYPE.get(option.get("type", "str"), text_value)(rng, option, places)


def path_value(rng: random.Random, _option: dict[str, Any], places: list[str]) -> Any:
    return text(rng) if rng.random() < 0.3 else rng.choice(places)


def number_value(rng: random.Random, _option: dict[str, Any], _places: list[str]) -> Any:
    return rng.choice(NUMBERS)


def bool_value(rng: random.Random, _option: dict[str, Any], _places: list[str]) -> Any:
    return rng.choice(["maybe", 2, -1, "", 0.5, [], {}, None, "yes ", "TRUE\n"])


def list_value(rng: random.Random, option: dict[str, Any], places: list[str]) -> Any:
    count = rng.choice([0, 1, 1, 2, 5])
    if option.get("elements") == "dict":
        return [fields(rng, option.get("options") or {}, places) for _number in range(count)]
    inner = {"type": option.get("elements", "str")}
    return [value(rng, inner, places) for _number in range(count)]


def dict_value(rng: random.Random, option: dict[str, Any], places: list[str]) -> Any:
    if option.get("options"):
        return fields(rng, option["options"], places)
    return {str(text(rng)): any_value(rng) for _number in range(rng.choice([0, 1, 3]))}


def text_value(rng: random.Random, option: dict[str, Any], _places: list[str]) -> Any:
    if option.get("choices") and rng.random() < 0.5:
        return rng.choice(option["choices"])
    return text(rng)


BY_TYPE = {
    "path": path_value,
    "int": number_value,
    "float": number_value,
    "bool": bool_value,
    "list": list_value,
    "dict": dict_value,
    "raw": dict_value,
}


def fields(rng: random.Random, options: dict[str, Any], places: list[str]) -> dict[str, Any]:
    """Return a mapping with malformed values for some of these options."""
    return {
        name: value(rng, option, places) for name, option in options.items() if rng.random() < 0.5
    }


def spoilt(
    rng: random.Random, given: dict[str, Any], options: dict[str, Any], places: list[str]
) -> dict[str, Any]:
    """Return valid options of which one to four are malformed, missing or unknown, at any depth."""
    if rng.random() < 0.05:
        return fields(rng, options, places)
    result = copy.deepcopy(given)
    for _number in range(rng.choice([1, 1, 1, 2, 4])):
        _spoil(rng, result, options, places)
    return result


def _spoil(
    rng: random.Random, given: dict[str, Any], options: dict[str, Any], places: list[str]
) -> None:
    way = rng.random()
    if way < 0.03:
        given[str(text(rng))] = any_value(rng)
        return
    if way < 0.08 and given:
        given.pop(rng.choice(sorted(given)))
        return
    # Prefer options that are set, because only these options have suboptions to change.
    names = sorted(options)
    name = (
        rng.choice([n for n in names if given.get(n) is not None] or names)
        if rng.random() < 0.6
        else rng.choice(names)
    )
    option, former = options[name], given.get(name)
    if option.get("options") and former and rng.random() < 0.8:
        entry = rng.choice(former) if isinstance(former, list) else former
        if isinstance(entry, dict):
            if isinstance(former, list) and rng.random() < 0.1:
                former.append(copy.deepcopy(entry))
            else:
                _spoil(rng, entry, option["options"], places)
            return
    if isinstance(former, (list, dict)) and former and rng.random() < 0.6:
        given[name] = somewhere(rng, former)
    else:
        given[name] = value(rng, option, places)


def somewhere(
    rng: random.Random, whole: Any, garbage: Callable[[random.Random], Any] = any_value
) -> Any:
    """Return a copy of a value with garbage at one place of any depth.

    The garbage replaces a part, is added next to a part, or replaces everything.
    """
    result = copy.deepcopy(whole)
    place, depth = result, rng.choice([1, 2, 3, 4, 6])
    for _level in range(depth):
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = rng.choice(keys) if keys else None
        if key is None or rng.random() < 0.05:
            if isinstance(place, dict):
                place[str(text(rng))] = garbage(rng)
            else:
                place.append(garbage(rng))
            return result
        if not isinstance(place[key], (dict, list)) or _level == depth - 1:
            if rng.random() < 0.1:
                del place[key]
            else:
                place[key] = garbage(rng)
            return result
        place = place[key]
    return result

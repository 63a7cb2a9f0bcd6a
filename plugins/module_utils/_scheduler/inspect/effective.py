# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare each field and flag in use with the desired settings.

The sources are /configz (JSON), and /flagz and /statusz (text) if the version has these endpoints.
The comparison skips lists of different lengths, and flags that join several values, because such
values cannot be compared reliably. A false difference would restart the process in each run.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import parse_json
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
    field_of_flag,
    is_same_value,
)

SETTINGS_PATHS = ("/configz", "/flagz", "/statusz")
FLAG_LINE = re.compile(r"([a-z][a-z0-9-]*)=(.*)")
STATUSZ_VERSION = re.compile(r"Binary version: *v?([0-9]+\.[0-9]+\.[0-9]+)\S*")
# Lists and mappings: /flagz and the command line can show them in different forms.
COMPOSITE_VALUE = re.compile(r"[\[,=]")

Responses = t.Mapping[str, "tuple[int, bytes]"]
"""HTTP status and body of each response, by path."""


def compare_settings_in_use(
    desired: DesiredSettings, version: str, responses: Responses
) -> list[str]:
    """Return the differences in the settings in use; [] if there is no valid response."""
    texts = {
        path: body.decode("utf-8", "replace")
        for path, (status, body) in responses.items()
        if status == 200
    }
    in_use = _parse_configz(texts.get("/configz", ""))
    reasons = list(_compare_values(_expected_config(desired), in_use, ""))
    lines = map(FLAG_LINE.fullmatch, texts.get("/flagz", "").splitlines())
    flags = {match[1]: match[2] for match in lines if match}
    reasons += [
        f"flag --{name} is {_secrets.withhold(flags[name], name)}, expected {value}"
        for name, value in desired["flags"].items()
        if name in flags
        and not COMPOSITE_VALUE.search(f"{flags[name]}{value}")
        and not is_same_value(str(value), flags[name])
    ]
    reported = STATUSZ_VERSION.search(texts.get("/statusz", ""))
    if reported and reported[1] != version:
        reasons.append(f"/statusz reports version {reported[1]}, expected {version}")
    return reasons


def _parse_configz(text: str) -> t.Mapping[str, t.Any]:
    try:
        config = parse_json(text)["componentconfig"]
    except (ValueError, KeyError, TypeError):
        return {}
    return config if isinstance(config, dict) else {}


def _expected_config(desired: DesiredSettings) -> dict[str, t.Any]:
    """Return the configuration, overridden by the election flags of versions that support them."""
    config = {
        name: value
        for name, value in desired["config"].items()
        if name not in ("apiVersion", "kind")
    }
    election = {
        field_of_flag(name): value
        for name, value in desired["flags"].items()
        if name.startswith("leader-elect-") or name == "leader-elect"
    }
    if "leaderElection" in config and election:
        config["leaderElection"] = {**config["leaderElection"], **election}
    return config


def _compare_values(expected: t.Any, in_use: t.Any, path: str) -> t.Iterator[str]:
    # The desired settings contain no secret. The file with the secret is compared instead.
    if expected == _secrets.WITHHELD:
        return
    if isinstance(expected, dict):
        if isinstance(in_use, dict):
            yield from _compare_mappings(expected, in_use, path)
    elif isinstance(expected, list):
        if isinstance(in_use, list) and len(in_use) == len(expected):
            for index, pair in enumerate(zip(expected, in_use)):
                yield from _compare_values(*pair, f"{path}[{index}]")
    elif isinstance(in_use, (str, bool, int, float)) and not is_same_value(expected, in_use):
        shown = json.dumps(_secrets.withhold(in_use, path))
        yield f"configuration {path} is {shown}, expected {json.dumps(expected)}"


def _compare_mappings(
    expected: dict[str, t.Any], in_use: dict[str, t.Any], path: str
) -> t.Iterator[str]:
    # Old versions return the field names of Go, which begin with a capital letter.
    values = {str(name).lower(): value for name, value in in_use.items()}
    for name, value in expected.items():
        if name.lower() in values:
            field = f"{path}.{name}" if path else str(name)
            yield from _compare_values(value, values[name.lower()], field)

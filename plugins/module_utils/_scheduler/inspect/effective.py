# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare the settings in use with the desired ones, field by field and flag by flag.

The sources are /configz, a JSON document, and /flagz and /statusz, which are text, if the version
has them. What cannot be compared reliably is omitted: lists of different lengths, and flags that
join several values. A wrong difference would restart the process in each run.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
    field_of_flag,
    is_same_value,
)

SETTINGS_PATHS = ("/configz", "/flagz", "/statusz")
FLAG_LINE = re.compile(r"([a-z][a-z0-9-]*)=(.*)")
STATUSZ_VERSION = re.compile(r"Binary version: *v?([0-9]+\.[0-9]+\.[0-9]+)\S*")
# Values that a flag is shown with in another form than it was given in: lists, and mappings.
COMPOSITE_VALUE = re.compile(r"[\[,=]")

Responses = t.Mapping[str, "tuple[int, bytes]"]
"""HTTP status and body, by path."""


def compare_settings_in_use(wanted: DesiredSettings, version: str, told: Responses) -> list[str]:
    """Return the differences in the settings in use; [] without a valid response."""
    texts = {
        path: body.decode("utf-8", "replace")
        for path, (status, body) in told.items()
        if status == 200
    }
    found = list(_fields(_effective(wanted), _configuration(texts.get("/configz", "")), ""))
    lines = map(FLAG_LINE.fullmatch, texts.get("/flagz", "").splitlines())
    flags = {match[1]: match[2] for match in lines if match}
    found += [
        f"flag --{name} is {flags[name]}, expected {value}"
        for name, value in wanted["flags"].items()
        if name in flags
        and not COMPOSITE_VALUE.search(f"{flags[name]}{value}")
        and not is_same_value(str(value), flags[name])
    ]
    runs = STATUSZ_VERSION.search(texts.get("/statusz", ""))
    if runs and runs[1] != version:
        found.append(f"/statusz reports version {runs[1]}, expected {version}")
    return found


def _configuration(text: str) -> t.Mapping[str, t.Any]:
    try:
        found = json.loads(text)["componentconfig"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _effective(wanted: DesiredSettings) -> dict[str, t.Any]:
    """Return the configuration, overridden by the election flags of versions that support them."""
    config = {
        name: value
        for name, value in wanted["config"].items()
        if name not in ("apiVersion", "kind")
    }
    election = {
        field_of_flag(name): value
        for name, value in wanted["flags"].items()
        if name.startswith("leader-elect-") or name == "leader-elect"
    }
    if "leaderElection" in config and election:
        config["leaderElection"] = {**config["leaderElection"], **election}
    return config


def _fields(wanted: t.Any, told: t.Any, path: str) -> t.Iterator[str]:
    if isinstance(wanted, dict):
        # Old versions show Go's own names, which begin with a capital.
        known = (
            {str(name).lower(): value for name, value in told.items()}
            if isinstance(told, dict)
            else {}
        )
        for name, value in wanted.items():
            if name.lower() in known:
                yield from _fields(
                    value, known[name.lower()], f"{path}.{name}" if path else str(name)
                )
    elif isinstance(wanted, list):
        if isinstance(told, list) and len(told) == len(wanted):
            for number, pair in enumerate(zip(wanted, told)):
                yield from _fields(*pair, f"{path}[{number}]")
    elif isinstance(told, (str, bool, int, float)) and not is_same_value(wanted, told):
        yield f"configuration {path} is {json.dumps(told)}, expected {json.dumps(wanted)}"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Format values for a command line, a unit file and YAML."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PLAIN_SCALAR = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


def format_flag_value(value: t.Any) -> str:
    """Return the value as text for a flag; join lists and mappings as Kubernetes does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={format_flag_value(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(format_flag_value, value))
    return str(value)


def quote_argument(argument: str) -> str:
    """Quote one argument for a unit file, so that systemd neither expands nor splits it."""
    if CONTROL_CHARACTER.search(argument):
        raise PlanError(
            f"{argument[:60]!r} contains a control character, which a unit file cannot"
            " contain; remove it"
        )
    escaped = (
        argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    )
    return f'"{escaped}"'


def format_exec_start(binary: str, flags: t.Mapping[str, str]) -> str:
    """Return the value of ExecStart, one argument per line."""
    arguments = [quote_argument(f"--{name}={value}") for name, value in flags.items()]
    return " \\\n  ".join([binary, *arguments])


def format_yaml(value: t.Any, indent: str = "") -> str:
    """Return YAML that all parsers read in the same way.

    A string that a YAML parser could read as another type is quoted as in JSON. PyYAML does not
    quote 1e3, which Go reads as a number.
    """
    if isinstance(value, dict) and value:
        return "".join(
            f"\n{indent}{_format_scalar(str(key))}:{_format_nested(item, indent)}"
            for key, item in value.items()
        )
    if isinstance(value, (list, tuple)) and value:
        return "".join(f"\n{indent}-{_format_nested(item, indent)}" for item in value)
    return f" {_format_scalar(value)}"


def _format_nested(item: t.Any, indent: str) -> str:
    return format_yaml(item, indent + "  ")


def _format_scalar(value: t.Any) -> str:
    if isinstance(value, str) and PLAIN_SCALAR.fullmatch(value) and value.lower() not in YAML_WORDS:
        return str(value)
    return json.dumps(value, ensure_ascii=False)

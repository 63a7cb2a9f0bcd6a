# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check flags and configuration fields against the table of a version.

Each error starts with the invalid option.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.formatting import (
    CONTROL_CHARACTER,
    format_flag_value,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.target import (
    TargetVersion,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    parse_minor,
)

CONFIG_KIND = "KubeSchedulerConfiguration"
LOG_LEVEL_OF_CONFIG = 2
"""From this log level on, kube-scheduler writes its whole configuration to the log."""
LEVELS = re.compile(r"(?:^|=)\s*\+?([0-9]{1,9})\s*(?=$|,)")
"""The levels in a value of --v or --vmodule."""
FLAG_NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]*")
# A unit can start a program at such a path. systemd interprets other characters, such as @ or :.
PROGRAM_PATH = re.compile(r"/[A-Za-z0-9._/-]+")


def check_program(target: TargetVersion) -> t.Iterator[str]:
    """Yield an error if a unit cannot start the binary's path."""
    if not PROGRAM_PATH.fullmatch(target.inputs.binary):
        yield (
            f"{target.inputs.prefix}bin_dir: a unit cannot start {target.inputs.binary!r};"
            " set a path of letters, digits, ., _, - and /"
        )


def check_flags(target: TargetVersion, *, has_config: bool) -> t.Iterator[str]:
    """Yield an error for each extra flag that the version rejects or ignores."""
    for name, value in target.extra_args.items():
        error = find_flag_error(target, name, value, has_config=has_config)
        if error:
            yield f"{target.extra_args_option}: {name}: {error}"


def find_flag_error(target: TargetVersion, name: str, value: t.Any, *, has_config: bool) -> str:  # noqa: PLR0911 - a flat list of rules
    """Return the reason if the flag cannot be set, otherwise ""."""
    row = target.inputs.known_flags.get(name)
    if not FLAG_NAME_PATTERN.fullmatch(name):
        return "is not a valid flag name; omit the leading dashes"
    missing = f"{target.label} has no flag --{name}"
    if row is None:
        return f"no supported version of kube-scheduler has the flag --{name}; correct or remove it"
    alternative = row.get("alternative") or row.get("variable")
    advice = f"use {alternative}" if alternative else "remove it"
    if "removed" in row and target.minor >= parse_minor(row["removed"]):
        return f"{missing}, which was removed in {row['removed']}; {advice}"
    if "added" in row and target.minor < parse_minor(row["added"]):
        return f"{missing}, which was added in {row['added']}; remove it"
    if "variable" in row:
        return f"the role sets --{name}; {advice}"
    if has_config and _is_ignored(target, row):
        return f"{target.label} silently ignores --{name} if it has a configuration file; {advice}"
    if value is None:
        return "has no value; set one, such as true"
    if CONTROL_CHARACTER.search(format_flag_value(value)):
        return "its value contains a control character, which a unit file cannot contain; remove it"
    return ""


def check_log_levels(target: TargetVersion) -> t.Iterator[str]:
    """Yield an error for each flag that would write the secrets of the configuration to the log."""
    secrets = _secrets.find_secrets(target.inputs.config)
    for name in ("v", "vmodule") if secrets else ():
        levels = LEVELS.findall(format_flag_value(target.extra_args.get(name, "")))
        if any(int(level) >= LOG_LEVEL_OF_CONFIG for level in levels):
            yield (
                f"{target.extra_args_option}: {name}: from level {LOG_LEVEL_OF_CONFIG} on,"
                f" kube-scheduler logs its configuration with the secret in {next(iter(secrets))}"
                f" of {target.config_option}; set a level below {LOG_LEVEL_OF_CONFIG}, or remove it"
            )


def _is_ignored(target: TargetVersion, row: t.Mapping[str, str]) -> bool:
    """Return whether the version ignores the flag if it has a configuration file."""
    honored_since = row.get("ignored")
    return bool(honored_since) and (
        honored_since == "never" or target.minor < parse_minor(str(honored_since))
    )


def check_fields(target: TargetVersion) -> t.Iterator[str]:
    """Yield an error for each configuration field that the version does not have."""
    option, config = target.config_option, target.inputs.config
    if target.api_version not in target.apis:
        yield (
            f"{option}: apiVersion: {target.label} does not support {target.api_version};"
            f" use {' or '.join(target.apis)}"
        )
        return
    if config.get("kind", CONFIG_KIND) != CONFIG_KIND:
        yield f"{option}: kind: {_secrets.withhold(config['kind'])} is not {CONFIG_KIND}; remove it"
    for name in config:
        error = _find_field_error(target, name)
        if error:
            yield f"{option}: {name}: {error}"


def _find_field_error(target: TargetVersion, name: str) -> str:
    row = target.inputs.known_fields.get(name)
    if row is None:
        return f"no supported {CONFIG_KIND} has this field; check the spelling, or remove it"
    if target.api_version.split("/")[-1] not in row["api"]:
        advice = f"use {row['alternative']}" if "alternative" in row else "remove it"
        return (
            f"{target.label} uses {target.api_version}, which has no such field;"
            f" the field exists only in {', '.join(row['api'])}; {advice}"
        )
    if "added" in row and target.minor < parse_minor(row["added"]):
        return f"{target.label} has no such field, which was added in {row['added']}; remove it"
    return ""


def check_characters(where: str, value: t.Any) -> t.Iterator[str]:
    """Yield an error for each control character in keys and values, which YAML can express."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from check_characters(where, key)
            is_printable = not CONTROL_CHARACTER.search(str(key))
            yield from check_characters(f"{where}: {key}" if is_printable else where, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from check_characters(where, item)
    elif isinstance(value, str) and CONTROL_CHARACTER.search(value):
        shown = str(_secrets.withhold(value, where))[:60]
        yield f"{where}: {shown!r} contains a control character; remove it"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Build the command line and the configuration of one version of kube-scheduler.

The differences between versions are only in the table of the role (vars/main/versions.yml).
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.formatting import (
    format_flag_value,
    format_yaml,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.lock_rules import (
    check_is_elected,
    check_lock,
    check_lock_object,
    is_lease_name_needed,
    lease_name_field,
    resolve_lease,
    resolve_lock,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.setting_rules import (
    CONFIG_KIND,
    LOG_LEVEL_OF_CONFIG,
    check_characters,
    check_fields,
    check_flags,
    check_log_levels,
    check_program,
    find_flag_error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.target import (
    CommandLineInputs,
    TargetVersion,
    resolve_target,
)


@dataclass(frozen=True)
class CommandLine:
    """The settings that a version starts with. errors: rejected or ignored settings, one per line."""

    flags: dict[str, str]
    config: dict[str, t.Any] | None
    lock: str
    lease_name: str
    lease_namespace: str
    dry_run_flags: dict[str, str]
    dry_run_texts: dict[str, str]
    errors: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> list[str]:
        """The arguments, in order."""
        return [f"--{name}={value}" for name, value in self.flags.items()]

    @property
    def config_text(self) -> str:
        """The KubeSchedulerConfiguration as YAML; "" if the version runs with flags alone."""
        return format_config(self.config) if self.config else ""


def format_config(config: t.Mapping[str, t.Any]) -> str:
    """Return a KubeSchedulerConfiguration as YAML."""
    return format_yaml(config).lstrip() + "\n"


def merge_config(base: t.Mapping[str, t.Any], overrides: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return base with the overrides. Nested mappings are merged, other values replaced."""
    result = dict(base)
    for key, value in overrides.items():
        current = result.get(key)
        is_merged = isinstance(current, dict) and isinstance(value, dict)
        result[key] = merge_config(result[key], value) if is_merged else value
    return result


def build_command_line(inputs: CommandLineInputs) -> CommandLine:
    """Return the command line of a version, with all errors in its settings.

    Raise PlanError if the version is not in the table.
    """
    target = resolve_target(inputs)
    style = inputs.styles[target.row["style"][bool(inputs.config)]]
    has_config = "config" in style["flags"]
    flags = {
        **_build_role_flags(target, style, has_config=has_config),
        **_accepted_extra_flags(target, has_config=has_config),
    }
    config = _build_config(target, style, has_config=has_config)
    election = dict(config.get("leaderElection") or {})
    namespace, name = resolve_lease(flags, election)
    return CommandLine(
        flags=flags,
        config=config if has_config else None,
        lock=resolve_lock(target, flags, election),
        lease_name=name,
        lease_namespace=namespace,
        dry_run_flags={key: str(value) for key, value in style["dry_run_flags"].items()},
        dry_run_texts=style.get("dry_run_texts", {}),
        errors=[
            *check_program(target),
            *check_flags(target, has_config=has_config),
            *check_log_levels(target),
            *(check_fields(target) if has_config else ()),
            *check_characters(target.config_option, inputs.config),
            *check_is_elected(target, flags, election),
            *check_lock(target, flags, election),
            *check_lock_object(target, namespace, name),
        ],
    )


def _build_role_flags(
    target: TargetVersion, style: t.Mapping[str, t.Any], *, has_config: bool
) -> dict[str, str]:
    """Return the flags that the role sets."""
    inputs = target.inputs
    flags = {name: _fill(value, inputs.values) for name, value in style["flags"].items()}
    if "v" in flags and _secrets.find_secrets(inputs.config):
        flags["v"] = str(LOG_LEVEL_OF_CONFIG - 1)
    if not has_config:
        flags |= {name: value for name, value in inputs.times.items() if name not in flags}
        if is_lease_name_needed(target):
            flags[style["lease_flag"]] = inputs.lease_name
    return flags


def _fill(value: t.Any, values: t.Mapping[str, t.Any]) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda match: format_flag_value(values[match[1]]), str(value))


def _accepted_extra_flags(target: TargetVersion, *, has_config: bool) -> dict[str, str]:
    return {
        name: format_flag_value(value)
        for name, value in target.extra_args.items()
        if not find_flag_error(target, name, value, has_config=has_config)
    }


def _build_config(
    target: TargetVersion, style: t.Mapping[str, t.Any], *, has_config: bool
) -> dict[str, t.Any]:
    """Return the configuration; without a configuration file, the settings that flags express."""
    inputs = target.inputs
    config = merge_config(inputs.base_config, style.get("config", {}))
    if not has_config:
        return config
    if is_lease_name_needed(target):
        lease = {lease_name_field(target): inputs.lease_name}
        config = merge_config(config, {"leaderElection": lease})
    return {
        "apiVersion": target.apis[0],
        "kind": CONFIG_KIND,
        **merge_config(config, inputs.config),
    }

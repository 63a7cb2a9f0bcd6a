# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compare the settings of an existing scheduler with the plan, so that adoption loses none.

The role did not create the existing scheduler, which runs as the same unit or as a static pod.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import printable_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import parse_json
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.acceptance import (
    DROP_INS,
    OWNERSHIP,
    STATIC_POD_MANIFEST,
    Acceptance,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.command_line import (
    merge_config,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    LEASE_NAME,
    LEASE_NAMESPACE,
    SET_ASIDE_CONTENT,
    STATIC_POD,
    UNITS_DIR,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
    field_of_flag,
    is_same_value,
    parse_flag,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    parse_minor,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._secrets import WITHHELD

MAX_KEPT_FILES = 100
# Adoption always replaces these flags, because they name files of the role.
FILE_FLAGS = {
    "kubeconfig",
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "tls-cert-file",
    "tls-private-key-file",
    "cert-dir",
    "log-dir",
    "master",
}
# The role always replaces these values, in a flag or in the configuration.
REPLACED_FLAG_VALUES = {
    "address": {"127.0.0.1"},
    "leader-elect": {"true", "false"},
    "port": {"0", "10251"},
    "profiling": {"true", "false"},
}
# The role always replaces these fields.
REPLACED_FIELDS = {
    "apiVersion",
    "kind",
    "clientConnection.kubeconfig",
    "enableContentionProfiling",
    "enableProfiling",
    "leaderElection.leaderElect",
}
# Defaults of kube-scheduler. A configuration that contains all fields has these values.
FIELD_DEFAULTS = {
    "clientConnection.acceptContentTypes": "",
    "clientConnection.burst": 100,
    "clientConnection.contentType": "application/vnd.kubernetes.protobuf",
    "clientConnection.qps": 50,
    "leaderElection.resourceLock": "leases",
    "leaderElection.resourceName": LEASE_NAME,
    "leaderElection.resourceNamespace": LEASE_NAMESPACE,
    "parallelism": 16,
    "percentageOfNodesToScore": 0,
    "podInitialBackoffSeconds": 1,
    "podMaxBackoffSeconds": 10,
}


class Loss(t.NamedTuple):
    """A change that affects the behavior of the scheduler."""

    name: str  # the name that accepts the loss, such as v
    text: str  # such as --v=4


class SettingsComparison(t.NamedTuple):
    """Flags and fields that adoption changes, and how to keep those that would be lost."""

    changes: list[str]  # such as "--v=4 becomes --v=2"
    lost: list[Loss]  # losses that the user does not accept
    keep: list[str]  # role variables that keep the lost settings


NO_CHANGES = SettingsComparison([], [], [])


KnownFlags = t.Mapping[str, t.Mapping[str, str]]


def is_foreign(host: t.Mapping[str, t.Any]) -> bool:
    """Return whether the role did not create the scheduler that runs as the unit or a static pod.

    If the adoption of the scheduler has begun, the result is false.
    """
    return (
        bool(host["process"]["pid"] or host["unit"]["static_pod"])
        and not host["process"]["digest"]
        and not host["prepared"]
    )


def parse_command_line(arguments: t.Sequence[str]) -> dict[str, str]:
    """Return each flag with its last value; a flag without a value is true."""
    flags: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        # Go's flag package also accepts a single hyphen.
        name, value = parse_flag(word if word.startswith("--") else f"-{word}")
        if name and value is None:
            value = words.pop(0) if words and not words[0].startswith("-") else "true"
        if name:
            flags[name] = str(value)
    return flags


def compare_adoption(
    process: t.Mapping[str, t.Any],
    desired: DesiredSettings,
    known_flags: KnownFlags,
    minor: str,
    prefix: str,
    accepted: Acceptance,
) -> SettingsComparison:
    """Compare the settings of a running process with the desired settings.

    known_flags: the table of flags. minor: the minor version of the desired version.
    """
    table = _Table(known_flags, minor, prefix, accepted)
    flags = _compare_flags(process, desired, table)
    fields = _compare_fields(process["settings"], desired["config"], table)
    environment = [Loss(name, f"environment variable {name}") for name in process["environment"]]
    return SettingsComparison(
        [*flags.changes, *fields.changes, *(f"{loss.text} is removed" for loss in environment)],
        [*flags.lost, *fields.lost, *(it for it in environment if not accepted.covers(it.name))],
        [*flags.keep, *fields.keep],
    )


class _Table(t.NamedTuple):
    """The inputs that all comparisons use."""

    known_flags: KnownFlags
    minor: str
    prefix: str
    accepted: Acceptance


def _compare_flags(
    process: t.Mapping[str, t.Any], desired: DesiredSettings, table: _Table
) -> SettingsComparison:
    changes, lost, keep = [], [], []
    extra: dict[str, str] = {}
    flags, election = desired["flags"], desired["config"].get("leaderElection", {})
    current = parse_command_line(process["arguments"])
    for name, value in current.items():
        if flags.get(name, str(election.get(field_of_flag(name), ""))) == value:
            continue
        effect = f"becomes --{name}={flags[name]}" if name in flags else "is removed"
        changes.append(f"--{name}={value} {effect}")
        row = table.known_flags.get(name, {})
        is_read = name == "config" and process["settings"]
        is_replaced = _is_replaced(name, value, row, table.minor)
        if is_replaced or is_read or table.accepted.covers(name):
            continue
        lost.append(Loss(name, f"--{name}={value}"))
        if name == "config":
            keep.append(f"{table.prefix}config to the fields in {value}")
        elif row.get("variable"):
            keep.append(f"{row['variable']}: {json.dumps(value)}")
        elif row.get("alternative"):
            keep.append(row["alternative"])
        else:
            extra[name] = value
    if extra:
        keep.append(f"{table.prefix}extra_args: {json.dumps(extra)}")
    changes += [
        f"--{name}={value} is added" for name, value in flags.items() if name not in current
    ]
    return SettingsComparison(changes, lost, keep)


def _is_replaced(name: str, value: str, row: t.Mapping[str, str], minor: str) -> bool:
    """Return whether the role always replaces the flag, or the desired version lacks it."""
    is_removed = "removed" in row and parse_minor(row["removed"]) <= parse_minor(minor)
    return is_removed or name in FILE_FLAGS or value in REPLACED_FLAG_VALUES.get(name, ())


def _compare_fields(
    current: t.Sequence[str], desired: t.Mapping[str, t.Any], table: _Table
) -> SettingsComparison:
    """Compare the configuration fields of a process, as FIELD=JSON, with the desired fields."""
    changes, lost, keep = [], [], []
    config: dict[str, t.Any] = {}
    for line in current:
        field, _equals, text = line.partition("=")
        try:
            value = parse_json(text)
        except ValueError:
            # The host can return any text.
            continue
        new_value = _value_at(desired, field.split("."))
        expected = FIELD_DEFAULTS.get(field) if new_value is None else new_value
        if field in REPLACED_FIELDS or is_same_value(expected, value):
            continue
        effect = "is removed" if new_value is None else f"becomes {json.dumps(new_value)}"
        changes.append(f"{field}={text} {effect}")
        if table.accepted.covers(field):
            continue
        lost.append(Loss(field, f"{field}={text}"))
        variable = _find_variable(field, table.known_flags)
        if variable:
            keep.append(f"{variable}: {text}")
        elif WITHHELD in text:
            keep.append(f"{table.prefix}config: the field {field} with its current value")
        else:
            config = merge_config(config, _nest(field, value))
    if config:
        keep.append(f"{table.prefix}config: {json.dumps(config)}")
    return SettingsComparison(changes, lost, keep)


def _find_variable(field: str, known_flags: KnownFlags) -> str:
    """Return the variable of the role that sets the field, "" for none."""
    return next(
        (
            row["variable"]
            for name, row in known_flags.items()
            if row.get("variable") and _field_path(name) == field
        ),
        "",
    )


def _field_path(flag: str) -> str:
    """Return the field that a flag of the election sets."""
    return f"leaderElection.{field_of_flag(flag)}" if flag.startswith("leader-elect") else ""


def _nest(field: str, value: t.Any) -> dict[str, t.Any]:
    """Return a configuration that contains only this field."""
    first, *names = field.split(".")
    for name in reversed(names):
        value = {name: value}
    return {first: value}


def _value_at(config: t.Any, names: t.Sequence[str]) -> t.Any:
    """Return the value of a field of the configuration, None if unset."""
    for name in names:
        config = config.get(name) if isinstance(config, t.Mapping) else None
    return config


class AdoptionInputs(t.NamedTuple):
    """The variables that the checks of an adoption use."""

    accepted: Acceptance
    directories: t.Mapping[str, t.Sequence[str]]
    """For each directory of root, the names of the variables that set it."""
    prefix: str


def check_adoption(
    name: str,
    host: t.Mapping[str, t.Any],
    comparison: SettingsComparison,
    inputs: AdoptionInputs,
) -> list[str]:
    """Return an error for each loss and change that the user does not accept."""
    accepted, unit = inputs.accepted, host["unit"]
    lost = comparison.lost if is_foreign(host) else []
    unsafe = [it for it in host["unsafe"] if not (it["can_take"] and accepted.covers(OWNERSHIP))]
    pod = unit["static_pod"] and not accepted.covers(STATIC_POD_MANIFEST)
    drop_ins = [] if can_set_aside(unit, accepted) else unit["drop_ins"]
    # Each error contains the same line, which accepts everything that can be accepted.
    line = accepted.format_line(
        [
            *(loss.name for loss in lost),
            *([OWNERSHIP] if any(entry["can_take"] for entry in unsafe) else []),
            *([STATIC_POD_MANIFEST] if pod else []),
            *(_list_drop_in_names(unit) if drop_ins else []),
        ],
        inputs.prefix,
    )
    return [
        *(_reject_directory(name, entry, line, inputs) for entry in unsafe),
        *([_reject_static_pod(name, unit, line)] if pod else []),
        *(_reject_drop_in(name, path, line, inputs.prefix) for path in drop_ins),
        *([_reject_losses(name, unit, lost, comparison.keep, line)] if lost else []),
    ]


def _reject_losses(
    name: str,
    unit: t.Mapping[str, t.Any],
    lost: t.Sequence[Loss],
    keep: t.Sequence[str],
    line: str,
) -> str:
    advice = f"to keep these settings, set {'; '.join(keep)}; " if keep else ""
    return (
        f"{name}: {_describe_source(unit)} runs a scheduler that this role did not create, and"
        f" {', '.join(loss.text for loss in lost)} would be lost; {advice}to accept the loss, set"
        f" {line}"
    )


def _reject_directory(
    name: str, entry: t.Mapping[str, t.Any], line: str, inputs: AdoptionInputs
) -> str:
    """Return the error for a directory in which another user can redirect root."""
    path = entry["path"].rstrip("/")
    variables = {
        f"{inputs.prefix}{variable}"
        for directory, names in inputs.directories.items()
        for variable in names
        if f"{directory}/".startswith(f"{path}/")
    }
    other = f"set other paths in {', '.join(sorted(variables))}"
    if entry["can_take"]:
        action = (
            f"set {line}, so that the role gives the directory to root and a rollback restores its"
            " owner"
        )
    else:
        action = "remove the link" if entry["is_link"] else "run chown root and chmod go-w on it"
    return (
        f"{name}: {entry['reason']}, so that a user with write access could make root read or write"
        f" any file; {action}, or {other}"
    )


def describe_adoption(
    name: str, host: t.Mapping[str, t.Any], comparison: SettingsComparison, user: str
) -> list[str]:
    """Describe what an adoption changes. user: the user that the scheduler will run as."""
    if not is_foreign(host):
        return []
    lines = [
        (
            f"{name}: adopts {_describe_source(host['unit'])}, which this role did not create; the"
            " role keeps the existing files as the previous file set"
        )
    ]
    current_user = host["process"]["user"]
    if current_user not in ("", user):
        lines.append(f"{name}: runs as {user} instead of {current_user}")
    lines += [f"{name}: {change}" for change in comparison.changes]
    set_aside = [*host["unit"]["drop_ins"], *filter(None, [host["unit"]["static_pod"]])]
    return lines + [f"{name}: {path} is set aside" for path in set_aside]


def _describe_source(unit: t.Mapping[str, t.Any]) -> str:
    return f"the static pod {unit['static_pod']}" if unit["static_pod"] else str(unit["name"])


def describe_ownership(name: str, host: t.Mapping[str, t.Any], accepted: Acceptance) -> list[str]:
    """Describe which directories the role gives to root."""
    return [
        f"{name}: {entry['reason']}; the role gives it to root, and a rollback restores its owner"
        for entry in host["unsafe"]
        if entry["can_take"] and accepted.covers(OWNERSHIP)
    ]


def can_set_aside(unit: t.Mapping[str, t.Any], accepted: Acceptance) -> bool:
    """Return whether the role can set all drop-ins of the unit aside."""
    return all(path.startswith(f"{UNITS_DIR}/") for path in unit["drop_ins"]) and all(
        map(accepted.covers, _list_drop_in_names(unit))
    )


def _list_drop_in_names(unit: t.Mapping[str, t.Any]) -> list[str]:
    """Return the names that a user lists to accept the loss of settings in drop-ins."""
    return [*map(str.lower, unit["drop_in_settings"])] or [DROP_INS]


def _reject_static_pod(name: str, unit: t.Mapping[str, t.Any], line: str) -> str:
    """Return the error for a static pod that the kubelet would continue to run."""
    return (
        f"{name}: {_describe_source(unit)} runs the scheduler; remove the static pod, or set"
        f" {line} to let the role move the manifest away when the role rolls this host"
    )


def _reject_drop_in(name: str, path: str, line: str, prefix: str) -> str:
    """Return the error for a drop-in that would change the role's unit."""
    alternative = f", or set {line} to set it aside" if path.startswith(f"{UNITS_DIR}/") else ""
    return (
        f"{name}: {path} changes the unit; remove it, and set {prefix}extra_args or {prefix}config"
        f" instead{alternative}"
    )


def list_set_aside_files(
    unit: t.Mapping[str, t.Any], accepted: Acceptance
) -> list[dict[str, t.Any]]:
    """Return files without effect that replace drop-ins and the manifest of a static pod.

    The previous file set keeps the replaced files.
    """
    paths = [*unit["set_aside"], *(unit["drop_ins"] if can_set_aside(unit, accepted) else [])]
    files: list[dict[str, t.Any]] = [
        {"name": f"drop_in_{number}", "path": path, "content": SET_ASIDE_CONTENT}
        for number, path in enumerate(sorted(paths))
    ]
    if unit["static_pod"] and accepted.covers(STATIC_POD_MANIFEST):
        files.append({"name": STATIC_POD, "path": unit["static_pod"], "link_to": ""})
    return files


def describe_restorable(name: str, host: t.Mapping[str, t.Any]) -> list[str]:
    """Offer a rollback before a removal, if it restores the scheduler of another installer."""
    if not host["restorable"]:
        return []
    return [
        (
            f"{name}: the role adopted the scheduler of another installer; rollback.yml restores"
            " that scheduler, but uninstall.yml keeps only its files"
        )
    ]


def describe_kept_files(name: str, kept: t.Any) -> list[str]:
    """Name the files that the role replaced, and their copies that remain after a removal.

    `kept` comes from the host, which can return any value.
    """
    entries = [
        (printable_line(str(entry.get("path", ""))), printable_line(str(entry.get("copy", ""))))
        for entry in (kept if isinstance(kept, list) else [])[:MAX_KEPT_FILES]
        if isinstance(entry, t.Mapping)
    ]
    files = ", ".join(f"{copy} ({path or 'path unknown'})" for path, copy in entries)
    if not files:
        return []
    return [
        (
            f"{name}: the role did not create these files, and keeps their copies: {files};"
            " to use a file again, copy it to its path"
        )
    ]

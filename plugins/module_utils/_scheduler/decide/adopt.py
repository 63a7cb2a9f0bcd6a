# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A scheduler that somebody else laid, under the same unit or as a static pod: what of its settings would be lost, and how to keep that."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import versions
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
    WITHHELD,
    DesiredSettings,
    field_of_flag,
    is_same_value,
    parse_flag,
)

# Flags that name what the role lays in files of its own. That they differ is the adoption itself.
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
# What the role sets in the configuration, or anyway, whatever was there.
REPLACED_FLAG_VALUES = {
    "address": {"127.0.0.1"},
    "leader-elect": {"true", "false"},
    "port": {"0", "10251"},
    "profiling": {"true", "false"},
}

# Fields of the same kinds.
REPLACED_FIELDS = {
    "apiVersion",
    "kind",
    "clientConnection.kubeconfig",
    "enableContentionProfiling",
    "enableProfiling",
    "leaderElection.leaderElect",
}
# What a field is where nothing is said (kube-scheduler's own defaults), for configurations that write all out.
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


class SettingsComparison(t.NamedTuple):
    """Flags and fields of the configuration as they are shown, and how to keep what would be lost."""

    changes: list[str]  # such as "--v=4 becomes --v=2"
    lost: list[str]  # those that change what the scheduler does
    keep: list[str]  # the role's variables that keep them


def is_foreign(host: t.Mapping[str, t.Any]) -> bool:
    """Whether a scheduler of somebody else's runs as the unit or in its place. One that this role has begun to take over is not asked about again."""
    return (
        bool(host["process"]["pid"] or host["unit"]["static_pod"])
        and not host["process"]["digest"]
        and not host["prepared"]
    )


def parse_command_line(arguments: t.Sequence[str]) -> dict[str, str]:
    """Every flag of a command line, each with its last value; one without a value is true."""
    found: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        # Go's own flags take one hyphen too.
        name, value = parse_flag(word if word.startswith("--") else f"-{word}")
        if name and value is None:
            value = words.pop(0) if words and not words[0].startswith("-") else "true"
        if name:
            found[name] = str(value)
    return found


def compare_settings(
    process_: t.Mapping[str, t.Any],
    wanted: DesiredSettings,
    known: t.Mapping[str, t.Mapping[str, str]],
    minor: str,
    prefix: str,
) -> SettingsComparison:
    """What a process was told beside what is wanted. C(known) is the table of flags, C(minor) of the version that is wanted."""
    changes, lost, keep = [], [], []
    extra: dict[str, str] = {}
    flags, election = wanted["flags"], wanted["config"].get("leaderElection", {})
    theirs = parse_command_line(process_["arguments"])
    for name, value in theirs.items():
        if flags.get(name, str(election.get(field_of_flag(name), ""))) == value:
            continue
        became = f"becomes --{name}={flags[name]}" if name in flags else "goes"
        changes.append(f"--{name}={value} {became}")
        row = known.get(name, {})
        gone = "removed" in row and versions.parse_minor(row["removed"]) <= versions.parse_minor(
            minor
        )
        if (
            name in FILE_FLAGS
            or gone
            or value in REPLACED_FLAG_VALUES.get(name, ())
            or (name == "config" and process_["settings"])
        ):
            continue
        lost.append(f"--{name}={value}")
        if name == "config":
            keep.append(f"{prefix}config: with what {value} sets")
        elif row.get("variable"):
            keep.append(f"{row['variable']}: {json.dumps(value)}")
        elif row.get("alternative"):
            keep.append(row["alternative"])
        else:
            extra[name] = value
    if extra:
        keep.append(f"{prefix}extra_args: {json.dumps(extra)}")
    changes += [f"--{name}={value} comes" for name, value in flags.items() if name not in theirs]
    read = [f"{name} of its environment" for name in process_["environment"]]
    fields = _compare_fields(process_["settings"], wanted["config"], known, prefix)
    return SettingsComparison(
        [*changes, *fields.changes, *(f"{text} goes" for text in read)],
        [*lost, *fields.lost, *read],
        [*keep, *fields.keep],
    )


def _compare_fields(
    theirs: t.Sequence[str],
    wanted: t.Mapping[str, t.Any],
    known: t.Mapping[str, t.Mapping[str, str]],
    prefix: str,
) -> SettingsComparison:
    """The configuration of a process beside the one that is wanted."""
    changes, lost, keep = [], [], []
    config: dict[str, t.Any] = {}
    for line in theirs:
        place, _equals, text = line.partition("=")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            # A host may say anything.
            continue
        ours = _value_at(wanted, place.split("."))
        if place in REPLACED_FIELDS or is_same_value(
            FIELD_DEFAULTS.get(place) if ours is None else ours, value
        ):
            continue
        changes.append(
            f"{place}={text} {'goes' if ours is None else f'becomes {json.dumps(ours)}'}"
        )
        lost.append(f"{place}={text}")
        own = next(
            (
                row["variable"]
                for name, row in known.items()
                if row.get("variable") and _field_path(name) == place
            ),
            "",
        )
        if own:
            keep.append(f"{own}: {text}")
        elif WITHHELD in text:
            keep.append(f"{prefix}config: with what {place} sets")
        else:
            for name in reversed(place.split(".")):
                value = {name: value}
            config = merge_config(config, value)
    if config:
        keep.append(f"{prefix}config: {json.dumps(config)}")
    return SettingsComparison(changes, lost, keep)


def _field_path(flag: str) -> str:
    """The field that a flag of the election sets."""
    return f"leaderElection.{field_of_flag(flag)}" if flag.startswith("leader-elect") else ""


def _value_at(config: t.Any, names: t.Sequence[str]) -> t.Any:
    """What a configuration sets at a place, None for nothing."""
    for name in names:
        config = config.get(name) if isinstance(config, t.Mapping) else None
    return config


def check_lost_settings(
    name: str, host: t.Mapping[str, t.Any], found: SettingsComparison, *, adopt: bool, prefix: str
) -> list[str]:
    """What would be lost without a word of the operator's."""
    if adopt or not is_foreign(host) or not found.lost:
        return []
    lost, keep = ", ".join(found.lost), "; ".join(found.keep)
    what = f"{name}: {_describe_source(host['unit'])} runs a scheduler that this role did not lay, and {lost} would be lost"
    keeping = f"to keep it, set {keep}; " if keep else ""
    return [f"{what}; {keeping}to do without, set {prefix}adopt to true"]


def describe_adoption(
    name: str, host: t.Mapping[str, t.Any], found: SettingsComparison, user: str
) -> list[str]:
    """What is shown of an adoption."""
    if not is_foreign(host):
        return []
    told = [
        f"{name}: takes over {_describe_source(host['unit'])}, which this role did not lay; its files are kept as the previous set"
    ]
    theirs = host["process"]["user"]
    told += [f"{name}: runs as {user}, not as {theirs}"] if theirs not in ("", user) else []
    told += [f"{name}: {change}" for change in found.changes]
    aside = [*host["unit"]["drop_ins"], *filter(None, [host["unit"]["static_pod"]])]
    return told + [f"{name}: {path} is set aside" for path in aside]


def _describe_source(unit: t.Mapping[str, t.Any]) -> str:
    return f"the static pod {unit['static_pod']}" if unit["static_pod"] else str(unit["name"])


def check_static_pod(
    name: str, unit: t.Mapping[str, t.Any], *, adopt: bool, prefix: str
) -> list[str]:
    """A static pod that kubelet would go on running."""
    if adopt or not unit["static_pod"]:
        return []
    return [
        f"{name}: {_describe_source(unit)} runs the scheduler; set {prefix}adopt to true to have it moved aside when this host is rolled, or remove it"
    ]


def check_drop_ins(
    name: str, unit: t.Mapping[str, t.Any], *, adopt: bool, prefix: str
) -> list[str]:
    """Drop-ins that would change the role's own unit."""
    advice = f"remove it, and set what it sets by {prefix}extra_args or {prefix}config"
    return [
        f"{name}: {path} changes the unit; {advice}"
        + ("" if elsewhere else f", or set {prefix}adopt to true to have it set aside")
        for path in unit["drop_ins"]
        for elsewhere in [not path.startswith(f"{UNITS_DIR}/")]
        if elsewhere or not adopt
    ]


def list_set_aside_files(unit: t.Mapping[str, t.Any], *, adopt: bool) -> list[dict[str, t.Any]]:
    """Members of the host's set that take the place of drop-ins, and say nothing, or of a static pod; what was there is kept with the previous set."""
    paths = [*unit["set_aside"], *(unit["drop_ins"] if adopt else [])]
    found: list[dict[str, t.Any]] = [
        {"name": f"drop_in_{number}", "path": path, "content": SET_ASIDE_CONTENT}
        for number, path in enumerate(sorted(paths))
    ]
    if adopt and unit["static_pod"]:
        found.append({"name": STATIC_POD, "path": unit["static_pod"], "link_to": ""})
    return found

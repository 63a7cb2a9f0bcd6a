# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check that the members of a cluster elect one leader while the lock changes."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.formatting import (
    format_flag_value,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.target import (
    RunningMember,
    TargetVersion,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    LEASE_NAME,
    LEASE_NAMESPACE,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    LOCK_OBJECTS,
    version_row,
)

Flags = t.Mapping[str, str]
ElectionFields = t.Mapping[str, t.Any]

LOCK_FLAG = "leader-elect-resource-lock"
LEASE_NAME_FLAGS = ("leader-elect-resource-name", "lock-object-name")
LEASE_NAME_FIELDS = ("resourceName", "lockObjectName")


def lease_name_field(target: TargetVersion) -> str:
    """Return the field of leaderElection that sets the name of the lease."""
    api = str(target.api_version).rpartition("/")[2]
    fields = target.inputs.known_fields["leaderElection"]["lease"]
    return str(fields.get(api, LEASE_NAME_FIELDS[0]))


def is_lease_name_needed(target: TargetVersion) -> bool:
    """Return whether the role must set the name of the lease."""
    election = target.inputs.config.get("leaderElection")
    fields = election if isinstance(election, dict) else {}
    configured = [fields.get(name) for name in LEASE_NAME_FIELDS]
    configured += [target.extra_args.get(name) for name in LEASE_NAME_FLAGS]
    return target.inputs.lease_name != LEASE_NAME and not any(configured)


def resolve_lease(flags: Flags, election: ElectionFields) -> tuple[str, str]:
    """Return namespace and name of the lease."""
    return (
        _first_set(flags, election, ("namespace", "Namespace"), LEASE_NAMESPACE),
        _first_set(flags, election, ("name", "Name"), LEASE_NAME),
    )


def _first_set(
    flags: Flags, election: ElectionFields, suffixes: tuple[str, str], default: str
) -> str:
    flag, field = suffixes
    values = (
        flags.get(f"leader-elect-resource-{flag}"),
        flags.get(f"lock-object-{flag}"),
        election.get(f"resource{field}"),
        election.get(f"lockObject{field}"),
    )
    return next((str(value) for value in values if value), default)


def resolve_lock(target: TargetVersion, flags: Flags, election: ElectionFields) -> str:
    """Return the lock type: from the flag, otherwise from the field, otherwise the default."""
    if LOCK_FLAG in flags:
        return str(flags[LOCK_FLAG])
    return str(election.get("resourceLock", target.row["locks"][0]))


def check_is_elected(
    target: TargetVersion, flags: Flags, election: ElectionFields
) -> t.Iterator[str]:
    """Yield an error if leader election is disabled."""
    for option, value in (
        (f"{target.extra_args_option}: leader-elect", flags.get("leader-elect", True)),
        (
            f"{target.config_option}: leaderElection: leaderElect",
            election.get("leaderElect", True),
        ),
    ):
        if format_flag_value(value) != "true":
            yield (
                f"{option}: {format_flag_value(value)} would disable leader election, so all"
                " members would schedule pods at once; remove this setting"
            )


def check_lock(target: TargetVersion, flags: Flags, election: ElectionFields) -> t.Iterator[str]:
    """Yield an error if the version rejects the lock, or a running member does not share it."""
    lock, locks = resolve_lock(target, flags, election), target.row["locks"]
    option = (
        f"{target.extra_args_option}: {LOCK_FLAG}"
        if LOCK_FLAG in flags
        else f"{target.config_option}: leaderElection: resourceLock"
    )
    if lock not in locks:
        yield (
            f"{option}: {target.label} does not support {lock}, only {', '.join(locks)};"
            f" use {locks[0]}"
        )
        return
    for member in target.inputs.running:
        current = _current_lock(target, member)
        if current and not LOCK_OBJECTS[current] & LOCK_OBJECTS[lock]:
            yield (
                f"{option}: {lock} shares no object with {current}, the current lock type of"
                f" {member['hostname']}, so there would be two leaders;"
                f" {describe_lock_change(target, current, lock)}"
            )
            return


def _current_lock(target: TargetVersion, member: RunningMember) -> str:
    """Return the lock type of a running member, "" if unknown."""
    row = version_row(target.inputs.versions, member["version"])
    lock = member["lock"] or (row["locks"][0] if row else "")
    return lock if lock in LOCK_OBJECTS else ""


def check_lock_object(target: TargetVersion, namespace: str, name: str) -> t.Iterator[str]:
    """Yield an error if a running member uses a lock of another name: two members would lead."""
    for member in target.inputs.running:
        current = f"{member['lease_namespace']}/{member['lease_name']}"
        if current != f"{namespace}/{name}":
            yield (
                f"{target.config_option}: leaderElection: the lock {namespace}/{name} is not"
                f" {current}, the current lock of {member['hostname']}, so there would be two"
                " leaders; keep the current lock, or stop all schedulers first"
            )
            return


def describe_lock_change(target: TargetVersion, current: str, lock: str) -> str:
    """Describe the lock types to roll out in order; two successive types share an object."""
    paths = [[current]]
    for path in paths:  # the loop appends longer sequences, so that the first match is the shortest
        if LOCK_OBJECTS[path[-1]] & LOCK_OBJECTS[lock]:
            first, *others = [*path[1:], lock]
            setting = f"{{leaderElection: {{resourceLock: {first}}}}}"
            steps = [f"first run with {target.config_option}={setting}"]
            return ", then ".join([*steps, *(f"again with {other}" for other in others)])
        paths += [
            [*path, following]
            for following in target.row["locks"]
            if following not in path and LOCK_OBJECTS[path[-1]] & LOCK_OBJECTS[following]
        ]
    both = LOCK_OBJECTS[current] | LOCK_OBJECTS[lock]
    bridge = next(name for name, objects in LOCK_OBJECTS.items() if objects == both)
    minors = [minor for minor, row in target.inputs.versions.items() if bridge in row["locks"]]
    return (
        f"first roll out a version from {minors[0]} to {minors[-1]} with the lock type {bridge},"
        f" then {target.inputs.version}"
    )

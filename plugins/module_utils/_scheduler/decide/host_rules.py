# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Validate the facts of a host. Each error is one line: where, what is wrong, what to do."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import (
    ERROR_MESSAGES,
    is_loopback,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._libraries import (
    LIBRARIES,
    Interpreter,
    describe_missing,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.setting_rules import (
    PROGRAM_PATH,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variable_rules import (
    check_checksum,
    list_written_paths,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
    normalize_address,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import LEASE_NAME
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    is_older,
    minor_of,
    parse_minor,
)

MAX_CLOCK_OFFSET_WARN_S = 30.0
MAX_CLOCK_OFFSET_S = 300.0
"""The role warns or fails if the clocks of a host and the controller differ by more."""
ARCHITECTURES = ("amd64", "arm64")
MAX_MINOR_SKEW = 1
"""A scheduler can be this many minor versions older than its apiserver (version skew policy)."""
# Two instances on a host cannot share these resources.
EXCLUSIVE_RESOURCES: tuple[t.Literal["ports", "schedulers", "paths"], ...] = (
    "ports",
    "schedulers",
    "paths",
)


@dataclass(frozen=True)
class _Subject:
    """The facts of a host, and the variables to validate them with."""

    v: Variables
    name: str
    version: str  # the desired version, "" if unknown
    facts: dict[str, t.Any]
    twins: t.Sequence[str]
    prefix: str


def validate_host(
    v: Variables,
    name: str,
    version: str,
    host: dict[str, t.Any],
    *,
    twins: t.Sequence[str],
    prefix: str,
) -> list[str]:
    """Return the errors in the facts of a host, which scheduler_info gathered.

    version: the desired version, "" if unknown. twins: other hosts with the same hostname.
    """
    subject = _Subject(v, name, version, host, twins, prefix)
    return [error for rule in RULES for error in rule(subject)]


def _check_version(subject: _Subject) -> t.Iterator[str]:
    if not subject.version:
        yield (
            f"{subject.prefix}version: not set, and no scheduler runs on {subject.name};"
            " set the version to deploy"
        )
    elif not subject.v.version:
        yield from check_checksum(subject.v, subject.version, subject.prefix)


def _check_system(subject: _Subject) -> t.Iterator[str]:
    architecture = subject.facts["architecture"]
    if architecture not in ARCHITECTURES:
        yield (
            f"{subject.name}: kube-scheduler is not released for architecture {architecture};"
            f" use a host with {' or '.join(ARCHITECTURES)}"
        )
    if not subject.facts["systemd_version"]:
        yield (
            f"{subject.name}: systemd is not running, but the scheduler needs it; boot the host"
            " with systemd, or use another host"
        )


def _check_downgrade(subject: _Subject) -> t.Iterator[str]:
    running = subject.facts["process"]["version"]
    if not subject.v.allow_downgrade and is_older(subject.version, running):
        yield (
            f"{subject.prefix}version: {subject.version} is older than {running}, which runs on"
            f" {subject.name}; roll back with rollback.yml, or set {subject.prefix}allow_downgrade"
            " to true"
        )


def _check_apiserver(subject: _Subject) -> t.Iterator[str]:
    yield from validate_apiserver(
        subject.v, subject.name, subject.version, subject.facts, subject.prefix
    )


def _check_minor_skew(subject: _Subject) -> t.Iterator[str]:
    # The run continues with a running version that is too old, so that a later run can upgrade it.
    if subject.version == subject.facts["process"]["version"]:
        return
    for server, version, behind in _minor_skews(subject.name, subject.version, subject.facts):
        if behind > MAX_MINOR_SKEW:
            yield (
                f"{subject.prefix}version: {subject.version} is more than one minor version older"
                f" than the apiserver {server}, {version}; set a version of {minor_of(version)}, or"
                " of the minor version before it"
            )


def _check_clock(subject: _Subject) -> t.Iterator[str]:
    offset = subject.facts["clock_offset"]
    if abs(offset) > MAX_CLOCK_OFFSET_S:
        yield (
            f"{subject.name}: clock differs from the controller's clock by {offset} s, so new"
            " certificates would be invalid on this host; synchronize both clocks"
        )


def _check_hostname(subject: _Subject) -> t.Iterator[str]:
    if subject.twins:
        yield (
            f"{subject.name} and {', '.join(subject.twins)} have the same hostname"
            f" {subject.facts['hostname']}, but the lease identifies a member by its hostname; set"
            " a unique hostname for each host"
        )


def _check_port(subject: _Subject) -> t.Iterator[str]:
    port = subject.facts["port"]
    # validate_instances reports the port of another instance.
    is_shared = any(port["number"] in instance["ports"] for instance in subject.facts["instances"])
    if port["held_by"] and not port["ours"] and not is_shared:
        yield (
            f"{subject.prefix}secure_port: {port['number']} on {subject.name} is in use by"
            f" {port['held_by']}; stop that process, or set another port"
        )


def _check_other_schedulers(subject: _Subject) -> t.Iterator[str]:
    others = subject.facts["others"]
    if others:
        yield (
            f"{subject.name}: found another kube-scheduler: {', '.join(others)}; stop and disable"
            " it first"
        )


def _check_unit(subject: _Subject) -> t.Iterator[str]:
    unit = subject.facts["unit"]
    if unit["load_state"] == "masked":
        yield (
            f"{subject.name}: {unit['name']} is masked; run systemctl unmask {unit['name']} on the"
            " host first"
        )
    is_foreign = unit["load_state"] == "loaded" and not subject.facts["installed"]
    if subject.v.name != LEASE_NAME and is_foreign:
        yield (
            f"{subject.prefix}name: {subject.name} has a {unit['name']} that this role did not"
            " create; set another name, or remove that unit first"
        )


def _check_paths(subject: _Subject) -> t.Iterator[str]:
    for path in subject.facts["obstacles"]:
        yield (
            f"{subject.name}: {path} is a directory, but the role writes a file there; move the"
            " directory away"
        )


def _check_libraries(subject: _Subject) -> t.Iterator[str]:
    host = subject.facts
    path = host["python_path"] if PROGRAM_PATH.fullmatch(host["python_path"]) else "python3"
    python = Interpreter(path, packaged=host["python_packaged"])
    if subject.v.manage_packages and python.packaged:
        return
    alternative = f"set {subject.prefix}manage_packages to true"
    if not python.packaged:
        alternative = "set ansible_python_interpreter to the Python of the distribution"
    for library in filter(LIBRARIES.__contains__, host["missing_libraries"]):
        yield f"{subject.name}: {describe_missing(library, python)}, or {alternative}"


RULES: tuple[t.Callable[[_Subject], t.Iterator[str]], ...] = (
    _check_version,
    _check_system,
    _check_downgrade,
    _check_apiserver,
    _check_minor_skew,
    _check_clock,
    _check_hostname,
    _check_port,
    _check_other_schedulers,
    _check_unit,
    _check_paths,
    _check_libraries,
)


def validate_instances(
    v: Variables,
    name: str,
    instance: facts.Instance,
    others: t.Sequence[facts.Instance],
    prefix: str,
) -> list[str]:
    """Return an error for each resource that this instance would share with others on the host."""
    options = {place.path: place.option or "name" for place in list_written_paths(v, prefix)}
    errors = []
    for other in others:
        usage = f"also used by {other['unit']} on {name}"
        shared = {key: sorted({*instance[key]} & {*other[key]}) for key in EXCLUSIVE_RESOURCES}
        for port in shared["ports"]:
            option = "secure_port" if port == v.secure_port else "config: healthzBindAddress"
            errors.append(
                f"{prefix}{option}: {port} is {usage}; set a different port for each instance"
            )
        if instance["lease"] == other["lease"]:
            errors.append(
                f"{prefix}config: leaderElection: the lock {instance['lease']} is {usage}, so"
                " only one of the two would schedule pods; set a different lock for each instance"
            )
        errors += [
            f"{prefix}config: the schedulerName {scheduler} is {usage}, so both would schedule"
            " the same pods; set a different name in the profiles of each instance"
            for scheduler in shared["schedulers"]
        ]
        errors += [
            f"{prefix}{options.get(path, 'name')}: {path} is {usage}; set a different path for each"
            " instance"
            for path in shared["paths"]
        ]
    return errors


def validate_apiserver(
    v: Variables, name: str, version: str, host: t.Mapping[str, t.Any], prefix: str
) -> list[str]:
    """Return errors if the apiserver is unreachable from the host, or older than the scheduler."""
    apiserver = host["apiserver"]
    if apiserver is None or apiserver["reachable"]:
        return [
            f"{prefix}version: {version} is newer than the apiserver {server}, {server_version};"
            " upgrade the apiserver first"
            for server, server_version, behind in _minor_skews(name, version, host)
            if behind < 0
        ]
    if ERROR_MESSAGES["tls_name"] not in str(apiserver["error"]):
        return [
            (
                f"{prefix}apiserver: not reachable from {name}: {apiserver['error']}; check that"
                " the URL is correct and that the apiserver runs"
            )
        ]
    verified = v.tls_server_name or _hostname_of(v.apiserver)
    return [
        (
            f"{prefix}apiserver: the certificate of {v.apiserver} is not valid for {verified},"
            f" which {name} verifies; reissue it for that name, or set {prefix}tls_server_name to a"
            " name in the certificate"
        )
    ]


def _minor_skews(
    name: str, version: str, host: t.Mapping[str, t.Any]
) -> t.Iterator[tuple[str, str, int]]:
    """Yield the description, the version and the lead of each apiserver with a known version.

    The lead is the number of minor versions by which the apiserver is newer than the scheduler.
    """
    results = [(f"of {name}", host["apiserver"] or {"version": None})]
    results += [(result["server"], result) for result in host["apiservers"]]
    scheduler_minor = minor_of(version)
    for server, result in results:
        server_minor = minor_of(result["version"] or "")
        if server_minor and scheduler_minor:
            major, minor = parse_minor(server_minor)
            scheduler_major, scheduler_number = parse_minor(scheduler_minor)
            lead = (major - scheduler_major) * 1000 + minor - scheduler_number
            yield server, result["version"], lead


def warn_about_apiservers(
    v: Variables,
    name: str,
    version: str,
    results: t.Mapping[str, t.Mapping[str, t.Any]],
    *,
    addresses: t.Collection[str],
    prefix: str,
) -> list[str]:
    """Return warnings about apiservers whose version is unknown.

    If the version of the host does not change, there are no warnings. results: the facts of all
    members by inventory name. addresses: the addresses of all members.
    """
    host = results[name]
    if version == host["process"]["version"]:
        return []
    warnings = [
        f"{prefix}apiservers: an apiserver is not reachable from {name}: {result['error']}; check"
        f" manually that it is not older than {version}"
        for result in host["apiservers"]
        if not result["reachable"]
    ]
    if v.apiservers or len(results) == 1 or name != next(iter(results)):
        return warnings
    servers = {(result.get("apiserver") or {}).get("server") for result in results.values()}
    if servers == {v.apiserver} and _is_external(_hostname_of(v.apiserver), addresses):
        warnings.append(
            f"{prefix}apiserver: all members use {v.apiserver}, and only one apiserver behind it"
            f" was queried; list each apiserver in {prefix}apiservers to compare {version} with all"
            " of them"
        )
    return warnings


def _hostname_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_external(host: str, addresses: t.Collection[str]) -> bool:
    """Return whether `host` is neither the address of a member nor a loopback name or address."""
    address = normalize_address(host)
    if is_loopback(address) or host == "localhost":
        return False
    return address not in {normalize_address(member) for member in addresses} - {""}


def warn_about_host(name: str, host: dict[str, t.Any]) -> list[str]:
    """Return warnings about a host that do not fail the run."""
    if abs(host["clock_offset"]) > MAX_CLOCK_OFFSET_WARN_S:
        return [
            (
                f"{name}: clock differs from the controller's clock by {host['clock_offset']} s;"
                " synchronize both clocks"
            )
        ]
    return []

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    versions as _versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import adopt
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variable_rules import (
    check_checksum,
    list_written_paths,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
    normalize_address,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import LEASE_NAME

MAX_CLOCK_OFFSET_WARN_S = 30.0
MAX_CLOCK_OFFSET_S = 300.0
"""Seconds between a host's clock and the controller's."""
ARCHITECTURES = ("amd64", "arm64")
MAX_MINOR_SKEW = 1
"""Minor versions by which a scheduler may be older than its apiserver."""
# What two instances of a host may not have in common.
EXCLUSIVE_RESOURCES: tuple[t.Literal["ports", "schedulers", "paths"], ...] = (
    "ports",
    "schedulers",
    "paths",
)


def validate_host(
    v: Variables,
    name: str,
    version: str,
    host: dict[str, t.Any],
    *,
    twins: t.Sequence[str],
    prefix: str,
) -> list[str]:
    """What a host shows to be wrong. C(version) is the wanted one, "" where none is known; C(twins) are other hosts of the same hostname."""
    found = []
    if not version:
        found.append(
            f"{prefix}version: not set, and no scheduler runs on {name} whose version could be kept; say which version is wanted"
        )
    elif not v.version:
        found += check_checksum(v, version, prefix)
    if host["architecture"] not in ARCHITECTURES:
        found.append(
            f"{name}: no kube-scheduler is released for the architecture {host['architecture']}"
        )
    if not host["systemd_version"]:
        found.append(
            f"{name}: systemd does not run here, and it is what would run the scheduler; boot the host with it, or take another"
        )
    runs = host["process"]["version"]
    if not v.allow_downgrade and _versions.is_older(version, runs):
        found.append(
            f"{prefix}version: {version} is older than {runs}, which runs on {name}; roll back with rollback.yml, or set"
            f" {prefix}allow_downgrade to true"
        )
    found += validate_apiserver(v, name, version, host, prefix)
    if version != runs:
        found += _check_minor_skew(name, version, host, prefix)
    if abs(host["clock_offset"]) > MAX_CLOCK_OFFSET_S:
        found.append(
            f"{name}: its clock differs from the controller's by {host['clock_offset']} s, so certificates would not be valid there; set the clock"
        )
    if twins:
        found.append(
            f"{name} and {', '.join(twins)} both have the hostname {host['hostname']}, so a lease could not tell them apart; give each its own"
        )
    port = host["port"]
    # Of another instance, instance_faults tells.
    shared = any(port["number"] in instance["ports"] for instance in host["instances"])
    if port["held_by"] and not port["ours"] and not shared:
        found.append(
            f"{prefix}secure_port: {port['number']} on {name} is held by {port['held_by']}"
        )
    if host["others"]:
        found.append(
            f"{name}: another kube-scheduler is there: {', '.join(host['others'])}; stop it for good first"
        )
    if host["unit"]["load_state"] == "masked":
        found.append(
            f"{name}: {host['unit']['name']} is masked; run systemctl unmask {host['unit']['name']} there first"
        )
    if v.name != LEASE_NAME and host["unit"]["load_state"] == "loaded" and not host["installed"]:
        found.append(
            f"{prefix}name: {name} has a {host['unit']['name']} that is none of this role's; give another name, or remove that unit first"
        )
    found += [
        f"{name}: {path} is a directory, but a file is to lie there; move it away"
        for path in host["obstacles"]
    ]
    found += adopt.check_static_pod(name, host["unit"], adopt=v.adopt, prefix=prefix)
    found += adopt.check_drop_ins(name, host["unit"], adopt=v.adopt, prefix=prefix)
    found += [
        f"{name}: {why}, and who may write there can have root read and write what they choose; chown it to root and chmod it to go-w"
        for why in host["unsafe"]
    ]
    if not v.manage_packages and host["missing_libraries"]:
        found.append(
            f"{name} lacks the Python libraries {' and '.join(host['missing_libraries'])}, and {prefix}manage_packages is false:"
            " install the system's packages for them"
        )
    return found


def validate_instances(
    v: Variables, name: str, own: facts.Instance, others: t.Sequence[facts.Instance], prefix: str
) -> list[str]:
    """What a host's instances would share that each needs for itself."""
    options = {place.path: place.option or "name" for place in list_written_paths(v, prefix)}
    found = []
    for other in others:
        theirs = f"also of {other['unit']} on {name}"
        shared = {key: sorted({*own[key]} & {*other[key]}) for key in EXCLUSIVE_RESOURCES}
        found += [
            f"{prefix}{'secure_port' if port == v.secure_port else 'config: healthzBindAddress'}: {port} is {theirs}; give each its own port"
            for port in shared["ports"]
        ]
        if own["lease"] == other["lease"]:
            found.append(
                f"{prefix}config: leaderElection: the lock {own['lease']} is {theirs}, so only one of them would schedule; give each its own"
            )
        found += [
            f"{prefix}config: the schedulerName {scheduler} is {theirs}, so both would place the same pods; give each its own in its profiles"
            for scheduler in shared["schedulers"]
        ]
        found += [
            f"{prefix}{options.get(path, 'name')}: {path} is {theirs}; give each its own path"
            for path in shared["paths"]
        ]
    return found


def validate_apiserver(
    v: Variables, name: str, version: str, host: t.Mapping[str, t.Any], prefix: str
) -> list[str]:
    """What speaks against a version, or against the apiserver that the host is to use."""
    own = host["apiserver"]
    if own is not None and not own["reachable"]:
        if transport.ERROR_MESSAGES["tls_name"] not in str(own["error"]):
            return [f"{prefix}apiserver: {name} gets no answer from it: {own['error']}"]
        asked = v.tls_server_name or _hostname_of(v.apiserver)
        advice = (
            f"have it issued for that too, or give a name that it is for in {prefix}tls_server_name"
        )
        return [
            f"{prefix}apiserver: the certificate of {v.apiserver} is not for {asked}, by which {name} verifies it; {advice}"
        ]
    return [
        f"{prefix}version: {version} is newer than the apiserver {whose}, {told}; upgrade that first"
        for whose, told, behind in _minor_skews(name, version, host)
        if behind < 0
    ]


def _check_minor_skew(
    name: str, version: str, host: t.Mapping[str, t.Any], prefix: str
) -> list[str]:
    """A scheduler may be one minor older than the apiserver (Kubernetes' version skew policy). One that runs already is not refused."""
    return [
        f"{prefix}version: {version} is more than one minor version older than the apiserver {whose}, {told}; take one of"
        f" {_versions.minor_of(told)}, or of the minor before it"
        for whose, told, behind in _minor_skews(name, version, host)
        if behind > MAX_MINOR_SKEW
    ]


def _minor_skews(
    name: str, version: str, host: t.Mapping[str, t.Any]
) -> t.Iterator[tuple[str, str, int]]:
    """Each apiserver that has told its version: whose it is, the version, and by how many minors the scheduler's is behind it."""
    own = {"whose": f"of {name}", **(host["apiserver"] or {"version": None})}
    for seen in (own, *({"whose": found["server"], **found} for found in host["apiservers"])):
        theirs, ours = _versions.minor_of(seen["version"] or ""), _versions.minor_of(version)
        if theirs and ours:
            (major, minor), (our_major, our_minor) = (
                _versions.parse_minor(theirs),
                _versions.parse_minor(ours),
            )
            yield seen["whose"], seen["version"], (major - our_major) * 1000 + minor - our_minor


def warn_about_apiservers(
    v: Variables,
    name: str,
    version: str,
    answers: t.Mapping[str, t.Mapping[str, t.Any]],
    *,
    addresses: t.Collection[str],
    prefix: str,
) -> list[str]:
    """What is not known of the apiservers where a host's version is about to change. C(answers) are of all members, C(addresses) their own."""
    host = answers[name]
    if version == host["process"]["version"]:
        return []
    found = [
        f"{prefix}apiservers: {name} gets no answer from one, so whether {version} suits it is not known: {seen['error']}"
        for seen in host["apiservers"]
        if not seen["reachable"]
    ]
    if v.apiservers or len(answers) == 1 or name != next(iter(answers)):
        return found
    named = {(answer.get("apiserver") or {}).get("server") for answer in answers.values()}
    if named == {v.apiserver} and _is_external(_hostname_of(v.apiserver), addresses):
        found.append(
            f"{prefix}apiserver: all members name {v.apiserver}, and of the apiservers behind it one was seen; name each in {prefix}apiservers, so that"
            f" {version} is compared with all of them"
        )
    return found


def _hostname_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_external(host: str, addresses: t.Collection[str]) -> bool:
    """Whether this is neither a master's address nor one by which each host means itself."""
    address = normalize_address(host)
    itself = transport.is_loopback(address) or host == "localhost"
    return not itself and address not in {normalize_address(own) for own in addresses} - {""}


def warn_about_host(name: str, host: dict[str, t.Any]) -> list[str]:
    """What is not right on a host, and no reason to refuse."""
    if abs(host["clock_offset"]) > MAX_CLOCK_OFFSET_WARN_S:
        return [f"{name}: its clock differs from the controller's by {host['clock_offset']} s"]
    return []

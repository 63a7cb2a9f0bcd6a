# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the pre-flight refuses: by the variables alone, and by what a host says of itself. Each fault is one line: what, where, what to do."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    KubeconfigError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    versions as _versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    CHECKSUM,
    Election,
    Variables,
    is_address,
    is_host_address,
    normalize_address,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    fileset_dir,
    unit_path,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import parse_alt_names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.provided import (
    ProvidedFile,
    check_provided_pair,
    read_subject,
)

SCHEDULER_IDENTITY = "system:kube-scheduler"
# What stands in a unit by itself: systemd gives a meaning to most other characters.
PLAIN_PATH = re.compile(r"(/[A-Za-z0-9._@-]+)+")
INSTANCE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILE_NAME = re.compile(r"[A-Za-z0-9_][^/\0]{0,200}")
USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
HOST_PATH_OPTIONS = ("bin_dir", "cert_path", "key_path", "kubeconfig_path", "log_dir")
# The controller's files that are read; what is written there must not be one of them.
SOURCE_OPTIONS = (
    "ca_cert",
    "ca_key",
    "ca_config",
    "new_ca_cert",
    "new_ca_key",
    "apiserver_ca",
    "metrics_cert",
    "metrics_key",
)
PAIR_OPTIONS = ("cert_source", "key_source")
# Of which an operator gives both or neither.
OPTIONAL_PAIRS = (("metrics_cert", "metrics_key"), ("new_ca_cert", "new_ca_key"))


@dataclass(frozen=True)
class InventoryCluster:
    """The members of a cluster as the inventory has them, and which of them this play is for."""

    me: str
    addresses: dict[str, str]  # by inventory name, in the inventory's order
    playing: list[str]
    leading: bool  # whether this host speaks for the cluster, so that each line is said once


def validate_variables(
    v: Variables,
    cluster: InventoryCluster,
    election: Election,
    *,
    versions: _versions.VersionTable,
    is_file: t.Callable[[str], bool],
    prefix: str,
) -> list[str]:
    """What the variables and the inventory alone show to be wrong; C(is_file) tells whether a path is a file on the controller."""
    # What follows stands on it.
    if validate_instance_name(v.name, prefix):
        return validate_instance_name(v.name, prefix)
    found = (
        [*_check_cluster(v, cluster, prefix)]
        if cluster.leading or cluster.me not in cluster.addresses
        else []
    )
    found += _check_host_variables(v, cluster, versions, prefix)
    found += election.list_errors(prefix)
    found += _check_host_paths(v, prefix)
    found += _check_controller_files(v, is_file, prefix)
    if _versions.version_row(versions, v.version) is not None:
        found += check_checksum(v, v.version.removeprefix("v"), prefix)
    return found


def validate_instance_name(name: str, prefix: str) -> list[str]:
    """Why this cannot be the name of an instance, which stands in paths, in a unit and in a lease."""
    if INSTANCE_NAME.fullmatch(name):
        return []
    return [
        f"{prefix}name: {name[:80]!r} is not a name; use 1 to 63 lower-case letters, digits and hyphens, such as batch-scheduler, with no hyphen at an end"
    ]


def _check_cluster(v: Variables, cluster: InventoryCluster, prefix: str) -> t.Iterator[str]:
    addresses = cluster.addresses
    if not addresses:
        yield f"{prefix}group: the group {v.group} has no hosts; put the masters into it, or name the group that holds them"
        return
    if cluster.me not in addresses:
        yield f"{prefix}group: the host {cluster.me} is not in the group {v.group}; add it, or run on that group's hosts only"
        return
    malformed = [
        f"{name} has {address}"
        for name, address in addresses.items()
        if not is_host_address(address)
    ]
    if malformed:
        yield f"{prefix}address: not an IP address of a host: {', '.join(malformed)}; set {prefix}address for it in the inventory"
    by_address: dict[str, list[str]] = {}
    for name, address in addresses.items():
        by_address.setdefault(normalize_address(address) or address, []).append(name)
    for address, names in by_address.items():
        if len(names) > 1:
            yield f"{prefix}address: {' and '.join(names)} have the same address {address}; each master needs its own"


def _check_host_variables(
    v: Variables, cluster: InventoryCluster, versions: _versions.VersionTable, prefix: str
) -> t.Iterator[str]:
    if v.version and _versions.version_row(versions, v.version) is None:
        minors = ", ".join(versions)
        yield (
            f"{prefix}version: {v.version} is not a version that this collection knows; write it in full, such as {[*versions][-1]}.0,"
            f" of one of the minors {minors}"
        )
    yield from _check_url("apiserver", v.apiserver, cluster, prefix)
    for url in v.apiservers:
        yield from _check_url("apiservers", url, cluster, prefix)
    if v.pki == "external" and not FILE_NAME.fullmatch(cluster.me):
        yield f"{prefix}csr_dir: the inventory name {cluster.me!r} cannot begin the name of a file; give the host another"
    if v.tls_server_name and not re.fullmatch(kubeconfig.SERVER_NAME, v.tls_server_name):
        yield f"{prefix}tls_server_name: {v.tls_server_name!r} is neither a DNS name nor an address; give one that the apiserver's certificate has"
    if not 0 < v.secure_port < 65536:
        yield f"{prefix}secure_port: {v.secure_port} is not a port; give one from 1 to 65535, such as 10259"
    if not is_address(v.bind_address):
        yield f"{prefix}bind_address: {v.bind_address!r} is not an IP address, such as 127.0.0.1"
    if not USER_NAME.fullmatch(v.user):
        yield f"{prefix}user: {v.user} is not the name of a user; use letters, digits and _ . -, a letter or _ first"
    if not isinstance(v.config.get("leaderElection", {}), dict):
        yield f"{prefix}config: leaderElection: {v.config['leaderElection']!r} is not a mapping, such as {{leaseDuration: 15s}}"
    yield from _check_value(f"{prefix}config", v.config)
    yield from _check_value(f"{prefix}extra_args", v.extra_args)
    yield from check_subject(v.subject, f"{prefix}subject")
    try:
        parse_alt_names(v.extra_sans, f"{prefix}extra_sans")
    except X509Error as error:
        yield str(error)


def _check_url(option: str, url: str, cluster: InventoryCluster, prefix: str) -> t.Iterator[str]:
    try:
        kubeconfig.parse_server_url(url)
    except KubeconfigError:
        address = cluster.addresses.get(cluster.me, "192.0.2.1")
        example = f"[{address}]" if ":" in address else address
        # A user and a password could be part of it.
        what = "it names a user" if "@" in url else url or "it is not set"
        why = " (http would let anybody answer in its place)" if url.startswith("http://") else ""
        yield f"{prefix}{option}: {what} for {cluster.me}{why}; give the apiserver's URL, such as https://{example}:6443"


def _check_value(where: str, value: t.Any) -> t.Iterator[str]:
    """What YAML can hold, and neither JSON nor a command line; Ansible reads 2026-01-01 as a date, and the key `on` as true."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _check_value(f"{where}: {key if key.isprintable() else repr(key)}", item)
            else:
                yield f"{where}: the key {key!r} is not text to YAML; put it in quotes"
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _check_value(f"{where}[{number}]", item)
    elif isinstance(value, datetime.date):
        yield f"{where}: {value} is a date to YAML; put it in quotes"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {value} is not a number that can be written down; give one, or put the word in quotes"
    elif value is not None and not isinstance(value, (str, int, float)):
        yield f"{where}: {str(value)[:60]!r} is a {type(value).__name__}; give text, a number, a list or a mapping"


def check_subject(subject: t.Mapping[str, t.Any], where: str) -> t.Iterator[str]:
    """The apiserver takes CN as the user and each O as a group: the certificate must not be more than a scheduler's."""
    names = {key: value if isinstance(value, list) else [value] for key, value in subject.items()}
    users = names.get("CN", []) + names.get("commonName", [])
    if users != [SCHEDULER_IDENTITY]:
        yield f"{where}: CN is {', '.join(map(str, users)) or 'not set'}, but the apiserver knows the scheduler as {SCHEDULER_IDENTITY}; set CN to that"
    groups = [str(group) for group in names.get("O", []) + names.get("organizationName", [])]
    for group in groups:
        if group.startswith("system:") and group != SCHEDULER_IDENTITY:
            yield f"{where}: O {group} would give the scheduler the rights of that group; use {SCHEDULER_IDENTITY} or a name of your own"


def _check_host_paths(v: Variables, prefix: str) -> t.Iterator[str]:
    odd = [
        f"{prefix}{name}: {getattr(v, name)}"
        for name in HOST_PATH_OPTIONS
        if not PLAIN_PATH.fullmatch(getattr(v, name))
    ]
    if odd:
        yield f"{', '.join(odd)} is not an absolute path that a unit takes; use letters, digits and . _ @ - between slashes"
    places = list_written_paths(v, prefix)
    for one, other in itertools.combinations(places, 2):
        if not one.option:
            one, other = other, one  # noqa: PLW2901  the line begins with what can be changed
        upper, lower = sorted((one, other), key=lambda place: len(place.path))
        if one.path == other.path and not (one.folder and other.folder):
            yield f"{prefix}{one.option}: {one.path} is also {other.what}; give each its own path"
        elif lower.path.startswith(f"{upper.path}/") and not upper.folder:
            yield f"{prefix}{one.option}: {upper.path} is {upper.what}, so {lower.path} cannot lie below it; give each its own path"
    for place in places:
        if f"{place.path}/".startswith(f"{fileset_dir(v.name)}/"):
            yield f"{prefix}{place.option}: {place.path} lies in {fileset_dir(v.name)}, where the role keeps its own copies; give another path"
        # The user may write there, and what it can write must not be root's to run or to read.
        elif place.option != "log_dir" and f"{place.path}/".startswith(
            f"{os.path.normpath(v.log_dir)}/"
        ):
            yield f"{prefix}log_dir: {v.log_dir} belongs to the user {v.user}, and {place.path} lies in it; give the logs a folder of their own"


class WrittenPath(t.NamedTuple):
    """A path on a host that the role writes to, and the option that decides about it; "" for none."""

    option: str
    what: str
    path: str
    folder: bool


def list_written_paths(v: Variables, prefix: str) -> list[WrittenPath]:
    beside, bin_dir = f"the configuration beside {prefix}kubeconfig_path", f"{prefix}bin_dir"
    places = [
        WrittenPath(name, f"{prefix}{name}", getattr(v, name), False)
        for name in ("cert_path", "key_path", "kubeconfig_path")
    ]
    places += [
        WrittenPath("kubeconfig_path", beside, v.config_path, False),
        WrittenPath("bin_dir", f"the link in {bin_dir}", v.binary_link, False),
        WrittenPath(
            "bin_dir",
            f"the binary in {bin_dir}",
            os.path.join(v.bin_dir, f"kube-scheduler-v{v.version}"),
            False,
        ),
        WrittenPath("", "the unit", unit_path(v.name), False),
        *(
            WrittenPath(name, f"{prefix}{name}", getattr(v, name), True)
            for name in ("bin_dir", "log_dir")
        ),
    ]
    return [place._replace(path=os.path.normpath(place.path)) for place in places]


def _check_controller_files(
    v: Variables, is_file: t.Callable[[str], bool], prefix: str
) -> t.Iterator[str]:
    if v.pki == "external" and not v.csr_dir:
        yield f"{prefix}pki: external needs {prefix}csr_dir, the folder on the controller for each host's HOST.csr and HOST.pem"
    if v.pki in ("shared", "provided") and not (v.cert_source and v.key_source):
        yield f"{prefix}pki: {v.pki} needs {prefix}cert_source and {prefix}key_source, the pair's paths on the controller"
    for certificate, key in OPTIONAL_PAIRS:
        if bool(getattr(v, certificate)) != bool(getattr(v, key)):
            yield f"{prefix}{certificate}: is of use only together with {prefix}{key}; give both or neither"
    if v.ca_profile and not v.ca_config:
        yield f"{prefix}ca_profile: {v.ca_profile} is of no file; name cfssl's ca-config.json in {prefix}ca_config, or leave the profile out"
    needed = ["ca_cert", "apiserver_ca"]
    if v.pki == "provided" and v.cert_source and v.key_source:
        needed += ["cert_source", "key_source"]
    needed += [name for pair in OPTIONAL_PAIRS for name in pair if getattr(v, name)]
    relative = [
        name
        for name in (*SOURCE_OPTIONS, *PAIR_OPTIONS, "csr_dir")
        if getattr(v, name) and not os.path.isabs(getattr(v, name))
    ]
    if relative:
        told = ", ".join(f"{prefix}{name}: {getattr(v, name)}" for name in relative)
        yield f"{told} is not an absolute path; write it in full, from the controller's root"
    absent = [
        f"{prefix}{name}: {getattr(v, name)}"
        for name in needed
        if name not in relative and not is_file(getattr(v, name))
    ]
    if absent:
        yield f"{', '.join(absent)} is not a file on the controller; put it there, or name where it is"
    yield from _check_pair_paths(v, prefix)
    yield from _check_binary_source(v, prefix)


def _check_pair_paths(v: Variables, prefix: str) -> t.Iterator[str]:
    """The pair on the controller, which is made there with C(shared), must not take the place of the CA or another file."""
    if v.pki not in ("shared", "provided"):
        return
    sources = SOURCE_OPTIONS if v.pki == "shared" else ()
    pair, others = (
        {name: os.path.normpath(getattr(v, name)) for name in names if getattr(v, name)}
        for names in (PAIR_OPTIONS, (*sources, *PAIR_OPTIONS))
    )
    for name, path in pair.items():
        twins = [
            f"{prefix}{other}" for other, same in others.items() if same == path and other != name
        ]
        if twins:
            yield f"{prefix}{name}: {path} is also {' and '.join(twins)}; give each its own path"


def _check_binary_source(v: Variables, prefix: str) -> t.Iterator[str]:
    url = v.binary_url
    if v.binary_source == "download" and _scheme(url) not in ("https", "http"):
        yield f"{prefix}binary_url: {url} is not a URL; write it as https://HOST/PATH, or set {prefix}binary_source to controller for a folder"
    if v.binary_source == "controller" and not os.path.isabs(url):
        yield f"{prefix}binary_url: {url} is not the absolute path of a folder on the controller, which {prefix}binary_source: controller takes; name it"
    given = v.binary_checksum
    if not isinstance(given, (str, t.Mapping)):
        yield f"{prefix}binary_checksum: {given!r} is neither text nor a mapping; write sha512:HEX, or versions with one each"
        return
    texts = given if isinstance(given, t.Mapping) else {"": given} if given else {}
    for version, text in texts.items():
        where = f"{prefix}binary_checksum: {version}: " if version else f"{prefix}binary_checksum: "
        if version and not _versions.minor_of(str(version)):
            yield f"{where}is not a version; write it in full, such as 1.37.0"
        if not isinstance(text, str) or not CHECKSUM.fullmatch(text):
            yield f"{where}{str(text)[:140]!r} is not a checksum; write sha512: and its 128 hexadecimal digits, or sha256: and its 64"


def _scheme(url: str) -> str:
    """The scheme of a URL that names a host, "" for what is none."""
    try:
        parts = urlsplit(url)
        return parts.scheme if parts.hostname and not re.search(r"[\s\x00-\x1f]", url) else ""
    except ValueError:
        return ""


def check_checksum(v: Variables, version: str, prefix: str) -> t.Iterator[str]:
    """What is known once the version is: whether there is a checksum where there has to be one."""
    if v.binary_source == "present" or v.checksum_of(version):
        return
    if v.binary_checksum:
        yield f"{prefix}binary_checksum: has none for {version}; add it, or leave the variable out for the .sha512 beside the binary"
    elif v.binary_source == "download" and _scheme(v.binary_url) == "http":
        yield (
            f"{prefix}binary_url: {v.binary_url} is plain http, by which anybody on the way can change binary and .sha512 alike; give "
            f"{prefix}binary_checksum, such as sha512:HEX, or use https"
        )


def inspect_controller_binary(
    binary: t.Mapping[str, str],
    *,
    is_file: t.Callable[[str], bool],
    read: t.Callable[[str], str],
    prefix: str,
) -> dict[str, str]:
    """C(algorithm) and C(digest) of a binary on the controller, and why it cannot be taken (C(missing)).

    Only a host that needs the binary fails for that. C(read) gives the text of a file on the controller.
    """
    source, beside = binary["source"], f"{binary['source']}.sha512"
    if not is_file(source):
        return {
            "missing": f"{prefix}binary_url: {source} is not there on the controller; fetch it from the release site"
        }
    checksum = binary["checksum"]
    if checksum == f"sha512:{beside}":
        checksum = f"sha512:{''.join(read(beside).split()[:1]).lower() if is_file(beside) else ''}"
    if not CHECKSUM.fullmatch(checksum):
        return {
            "missing": f"{prefix}binary_url: {beside} on the controller is not there, or holds no SHA-512; fetch it from the release site, or give "
            f"{prefix}binary_checksum"
        }
    algorithm, _colon, digest = checksum.partition(":")
    return {"algorithm": algorithm, "digest": digest}


def validate_provided_pair(
    certificate: ProvidedFile,
    key: ProvidedFile,
    ca: ProvidedFile,
    sans: t.Sequence[str],
    now: datetime.datetime,
) -> list[str]:
    """Why a pair that somebody else made cannot take the place of an own one."""
    found = [str(error) for error in check_provided_pair(certificate, key, ca, sans, now)]
    subject = read_subject(certificate.content)
    return found + (
        [*check_subject(subject, f"{certificate.option}: {certificate.path!r}")] if subject else []
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Validate the role variables. Each error is one line: where, what is wrong, what to do."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    KubeconfigError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    SERVER_NAME,
    parse_server_url,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.acceptance import (
    parse_acceptance,
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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    VersionTable,
    minor_of,
    version_row,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import parse_alt_names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.provided import (
    ProvidedFile,
    check_provided_pair,
    read_subject,
)

SCHEDULER_IDENTITY = "system:kube-scheduler"
# Paths that a unit can contain without quoting; systemd interprets most other characters.
PLAIN_PATH = re.compile(r"(/[A-Za-z0-9._@-]+)+")
INSTANCE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FILE_NAME = re.compile(r"[A-Za-z0-9_][^/\0]{0,200}")
USER_NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
HOST_PATH_OPTIONS = ("bin_dir", "cert_path", "key_path", "kubeconfig_path", "log_dir")
# The role reads these files on the controller and must not overwrite them.
SOURCE_OPTIONS = (
    "ca_cert",
    "ca_key",
    "ca_key_passphrase_file",
    "ca_config",
    "new_ca_cert",
    "new_ca_key",
    "apiserver_ca",
    "metrics_cert",
    "metrics_key",
)
PAIR_OPTIONS = ("cert_source", "key_source")
# For each of these pairs, both options must be set, or neither.
OPTIONAL_PAIRS = (("metrics_cert", "metrics_key"), ("new_ca_cert", "new_ca_key"))


@dataclass(frozen=True)
class InventoryCluster:
    """The members of a cluster in the inventory, and the members in this play."""

    me: str  # inventory name of this host
    addresses: dict[str, str]  # by inventory name, in inventory order
    playing: list[str]
    leading: bool  # whether this host reports the errors of the cluster, which appear once


def validate_variables(
    v: Variables,
    cluster: InventoryCluster,
    election: Election,
    *,
    versions: VersionTable,
    is_file: t.Callable[[str], bool],
    prefix: str,
) -> list[str]:
    """Return the errors in the variables and the inventory.

    is_file: returns whether a path is a file on the controller.
    """
    errors = validate_instance_name(v.name, prefix)
    if errors:
        # The remaining rules derive paths from a valid name.
        return errors
    if cluster.leading or cluster.me not in cluster.addresses:
        errors += _check_cluster(v, cluster, prefix)
    errors += _check_host_variables(v, cluster, versions, prefix)
    errors += election.list_errors(prefix)
    errors += _check_host_paths(v, prefix)
    errors += _check_controller_files(v, is_file, prefix)
    if version_row(versions, v.version) is not None:
        errors += check_checksum(v, v.version.removeprefix("v"), prefix)
    return errors


def validate_instance_name(name: str, prefix: str) -> list[str]:
    """Validate an instance name, which is part of paths, the unit and the lease."""
    if INSTANCE_NAME.fullmatch(name):
        return []
    return [
        (
            f"{prefix}name: {name[:80]!r} is not a valid instance name; use 1 to 63 lowercase"
            " letters, digits and hyphens, with a letter or digit at each end, such as"
            " batch-scheduler"
        )
    ]


def _check_cluster(v: Variables, cluster: InventoryCluster, prefix: str) -> t.Iterator[str]:
    addresses = cluster.addresses
    if not addresses:
        yield (
            f"{prefix}group: group {v.group} has no hosts; add the control-plane hosts to it, or"
            " set the group that contains them"
        )
        return
    if cluster.me not in addresses:
        yield (
            f"{prefix}group: host {cluster.me} is not in the group {v.group}; add it, or run only"
            " on the hosts of that group"
        )
        return
    invalid = [
        f"{name} has {address}"
        for name, address in addresses.items()
        if not is_host_address(address)
    ]
    if invalid:
        yield (
            f"{prefix}address: not the IP address of a host: {', '.join(invalid)}; set"
            f" {prefix}address for each of these hosts in the inventory"
        )
    by_address: dict[str, list[str]] = {}
    for name, address in addresses.items():
        by_address.setdefault(normalize_address(address) or address, []).append(name)
    for address, names in by_address.items():
        if len(names) > 1:
            yield (
                f"{prefix}address: {' and '.join(names)} have the same address {address}; set a"
                " unique address for each host"
            )


def _check_host_variables(
    v: Variables, cluster: InventoryCluster, versions: VersionTable, prefix: str
) -> t.Iterator[str]:
    if v.version and version_row(versions, v.version) is None:
        yield (
            f"{prefix}version: {v.version} is not a supported version; set a full version such as"
            f" {[*versions][-1]}.0, with one of the minor versions {', '.join(versions)}"
        )
    yield from _check_url("apiserver", v.apiserver, cluster, prefix)
    for url in v.apiservers:
        yield from _check_url("apiservers", url, cluster, prefix)
    if v.pki == "external" and not FILE_NAME.fullmatch(cluster.me):
        yield (
            f"{prefix}csr_dir: inventory name {cluster.me!r} cannot be part of a file name; rename"
            " the host in the inventory"
        )
    yield from _check_addresses_and_user(v, prefix)
    election = v.config.get("leaderElection", {})
    if not isinstance(election, dict):
        yield (
            f"{prefix}config: leaderElection: {_secrets.withhold(election)!r} is not a mapping; set a mapping such as"
            " {leaseDuration: 15s}"
        )
    if parse_acceptance(v.adopt) is None:
        yield (
            f"{prefix}adopt: {str(v.adopt)[:80]!r} is neither true, false nor a list of names; set"
            " true, or a list such as [ownership]"
        )
    yield from _check_value(f"{prefix}config", v.config)
    yield from _check_value(f"{prefix}extra_args", v.extra_args)
    yield from _check_secret_arguments(v, prefix)
    yield from check_subject(v.subject, f"{prefix}subject")
    try:
        parse_alt_names(v.extra_sans, f"{prefix}extra_sans")
    except X509Error as error:
        yield str(error)


def _check_secret_arguments(v: Variables, prefix: str) -> t.Iterator[str]:
    """Yield an error for each secret in a flag, because any local user can read command lines."""
    places = {
        "private key": f"{prefix}key_source, or extenders[].tlsConfig.keyData of {prefix}config,"
    }
    for flag, value in v.extra_args.items():
        for name in _secrets.find_secrets({flag: value}):
            kind = _secrets.secret_kind(name) or "secret"
            yield (
                f"{prefix}extra_args: {name}: contains a {kind}, and any user of a host can read"
                f" its command lines; use {places.get(kind, f'a field of {prefix}config')} instead"
            )


def _check_addresses_and_user(v: Variables, prefix: str) -> t.Iterator[str]:
    if v.tls_server_name and not re.fullmatch(SERVER_NAME, v.tls_server_name):
        yield (
            f"{prefix}tls_server_name: {v.tls_server_name!r} is neither a DNS name nor an IP"
            " address; set a name or address from the apiserver's certificate"
        )
    if not 0 < v.secure_port < 65536:
        yield (
            f"{prefix}secure_port: {v.secure_port} is not a valid port; set a port from 1 to 65535,"
            " such as 10259"
        )
    if not is_address(v.bind_address):
        yield (
            f"{prefix}bind_address: {v.bind_address!r} is not an IP address; set an address such as"
            " 127.0.0.1"
        )
    if not USER_NAME_PATTERN.fullmatch(v.user):
        yield (
            f"{prefix}user: {v.user} is not a valid user name; start with a letter or _, then use"
            " letters, digits, _, . and -"
        )


def _check_url(option: str, url: str, cluster: InventoryCluster, prefix: str) -> t.Iterator[str]:
    try:
        parse_server_url(url)
    except KubeconfigError:
        address = cluster.addresses.get(cluster.me, "192.0.2.1")
        example = f"[{address}]" if ":" in address else address
        # The URL can contain a user name and a password, so it is not shown.
        what = "contains a user name" if "@" in url else url or "not set"
        why = (
            " (plain http does not authenticate the apiserver)" if url.startswith("http://") else ""
        )
        yield (
            f"{prefix}{option}: {what} for {cluster.me}{why}; set the URL of the apiserver, such as"
            f" https://{example}:6443"
        )


def _check_value(where: str, value: t.Any) -> t.Iterator[str]:
    """Yield an error for each value that YAML can express, but neither JSON nor a command line.

    Ansible reads 2026-01-01 as a date, and the key `on` as true.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _check_value(f"{where}: {key if key.isprintable() else repr(key)}", item)
            else:
                yield f"{where}: YAML does not read the key {key!r} as text; quote it"
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _check_value(f"{where}[{number}]", item)
    elif value == _secrets.WITHHELD:
        yield f"{where}: {value} is the placeholder of a secret; set the secret"
    elif isinstance(value, datetime.date):
        yield f"{where}: YAML reads {_secrets.withhold(value, where)} as a date; quote it"
    elif isinstance(value, float) and not math.isfinite(value):
        yield (
            f"{where}: {value} is not a finite number; set a finite number, or quote the value to"
            " use it as text"
        )
    elif value is not None and not isinstance(value, (str, int, float)):
        yield (
            f"{where}: {str(_secrets.withhold(value, where))[:60]!r} is a"
            f" {type(value).__name__}; set text, a number, a list"
            " or a mapping"
        )


def check_subject(subject: t.Mapping[str, t.Any], where: str) -> t.Iterator[str]:
    """Yield an error if the subject grants more than the permissions of a scheduler.

    The apiserver reads CN as the user and each O as a group.
    """
    names = {key: value if isinstance(value, list) else [value] for key, value in subject.items()}
    users = names.get("CN", []) + names.get("commonName", [])
    if users != [SCHEDULER_IDENTITY]:
        yield (
            f"{where}: CN is {', '.join(map(str, users)) or 'not set'}, but the apiserver grants"
            f" permissions to {SCHEDULER_IDENTITY}; set CN to {SCHEDULER_IDENTITY}"
        )
    groups = [str(group) for group in names.get("O", []) + names.get("organizationName", [])]
    for group in groups:
        if group.startswith("system:") and group != SCHEDULER_IDENTITY:
            yield (
                f"{where}: O {group} would grant the scheduler the permissions of that group; use"
                f" {SCHEDULER_IDENTITY}, or a name that does not start with system:"
            )


class WrittenPath(t.NamedTuple):
    """A path that the role writes to on a host. `option` sets it; "" if no option does."""

    option: str
    what: str
    path: str
    is_directory: bool


def list_written_paths(v: Variables, prefix: str) -> list[WrittenPath]:
    """Return the paths that the role writes to on a host."""
    bin_dir = f"{prefix}bin_dir"
    config = f"the configuration next to {prefix}kubeconfig_path"
    binary = os.path.join(v.bin_dir, f"kube-scheduler-v{v.version}")
    written = [
        *(
            WrittenPath(name, f"{prefix}{name}", getattr(v, name), False)
            for name in ("cert_path", "key_path", "kubeconfig_path")
        ),
        WrittenPath("kubeconfig_path", config, v.config_path, False),
        WrittenPath("bin_dir", f"the link in {bin_dir}", v.binary_link, False),
        WrittenPath("bin_dir", f"the binary in {bin_dir}", binary, False),
        WrittenPath("", "the unit", unit_path(v.name), False),
        *(
            WrittenPath(name, f"{prefix}{name}", getattr(v, name), True)
            for name in ("bin_dir", "log_dir")
        ),
    ]
    return [place._replace(path=os.path.normpath(place.path)) for place in written]


def _check_host_paths(v: Variables, prefix: str) -> t.Iterator[str]:
    invalid_paths = [
        f"{prefix}{name}: {getattr(v, name)}"
        for name in HOST_PATH_OPTIONS
        if not PLAIN_PATH.fullmatch(getattr(v, name))
    ]
    if invalid_paths:
        yield (
            f"{', '.join(invalid_paths)} is not a supported absolute path; use letters, digits, .,"
            " _, @ and - between slashes"
        )
    written = list_written_paths(v, prefix)
    for one, other in itertools.combinations(written, 2):
        # The message starts with an option that can be changed.
        yield from _check_overlap(*((one, other) if one.option else (other, one)), prefix)
    for place in written:
        if f"{place.path}/".startswith(f"{fileset_dir(v.name)}/"):
            yield (
                f"{prefix}{place.option}: {place.path} is in {fileset_dir(v.name)}, which is"
                " reserved for the role; set another path"
            )
        # The user of the scheduler can write to log_dir. Root must not run or read such files.
        elif place.option != "log_dir" and f"{place.path}/".startswith(
            f"{os.path.normpath(v.log_dir)}/"
        ):
            yield (
                f"{prefix}log_dir: {v.log_dir} is owned by user {v.user}, but contains"
                f" {place.path}; set a separate directory for the logs"
            )


def _check_overlap(one: WrittenPath, other: WrittenPath, prefix: str) -> t.Iterator[str]:
    upper, lower = sorted((one, other), key=lambda place: len(place.path))
    if one.path == other.path and not (one.is_directory and other.is_directory):
        yield f"{prefix}{one.option}: {one.path} is also {other.what}; set separate paths"
    elif lower.path.startswith(f"{upper.path}/") and not upper.is_directory:
        yield (
            f"{prefix}{one.option}: {upper.path} is a file ({upper.what}), so {lower.path} cannot"
            " be below it; set separate paths"
        )


def _check_controller_files(
    v: Variables, is_file: t.Callable[[str], bool], prefix: str
) -> t.Iterator[str]:
    yield from _check_required_files(v, prefix)
    relative = _list_relative_options(v)
    if relative:
        relative_paths = ", ".join(f"{prefix}{name}: {getattr(v, name)}" for name in relative)
        yield f"{relative_paths} is not an absolute path; set an absolute path on the controller"
    absent = [
        f"{prefix}{name}: {getattr(v, name)}"
        for name in _list_needed_options(v)
        if name not in relative and not is_file(getattr(v, name))
    ]
    if absent:
        yield (
            f"{', '.join(absent)} is not a file on the controller; create it, or correct the path"
        )
    yield from _check_pair_paths(v, prefix)
    yield from _check_binary_source(v, prefix)
    yield from _check_binary_checksum(v, prefix)


def _list_relative_options(v: Variables) -> list[str]:
    return [
        name
        for name in (*SOURCE_OPTIONS, *PAIR_OPTIONS, "csr_dir")
        if getattr(v, name) and not os.path.isabs(getattr(v, name))
    ]


def _list_needed_options(v: Variables) -> list[str]:
    """Return the options whose files must exist on the controller."""
    needed = ["ca_cert", "apiserver_ca"]
    if v.pki == "provided" and v.cert_source and v.key_source:
        needed += PAIR_OPTIONS
    return needed + [name for pair in OPTIONAL_PAIRS for name in pair if getattr(v, name)]


def _check_required_files(v: Variables, prefix: str) -> t.Iterator[str]:
    if v.pki == "external" and not v.csr_dir:
        yield (
            f"{prefix}pki: external requires {prefix}csr_dir; set the directory on the controller"
            " for HOST.csr and HOST.pem of each host"
        )
    if v.pki in ("shared", "provided") and not (v.cert_source and v.key_source):
        yield (
            f"{prefix}pki: {v.pki} requires {prefix}cert_source and {prefix}key_source; set both"
            " to the files of the key pair on the controller"
        )
    for certificate, key in OPTIONAL_PAIRS:
        if bool(getattr(v, certificate)) != bool(getattr(v, key)):
            yield (
                f"{prefix}{certificate} and {prefix}{key} require each other; set both or neither"
            )
    if v.ca_profile and not v.ca_config:
        yield (
            f"{prefix}ca_profile: profile {v.ca_profile} needs a file; set {prefix}ca_config to"
            " cfssl's ca-config.json, or unset the profile"
        )


def _check_pair_paths(v: Variables, prefix: str) -> t.Iterator[str]:
    """Yield an error if the key pair on the controller would overwrite the CA or another file."""
    if v.pki not in ("shared", "provided"):
        return
    sources = SOURCE_OPTIONS if v.pki == "shared" else ()
    pair, others = (
        {name: os.path.normpath(getattr(v, name)) for name in names if getattr(v, name)}
        for names in (PAIR_OPTIONS, (*sources, *PAIR_OPTIONS))
    )
    for name, path in pair.items():
        same = [
            f"{prefix}{other}"
            for other, other_path in others.items()
            if other_path == path and other != name
        ]
        if same:
            yield f"{prefix}{name}: {path} is also {' and '.join(same)}; set separate paths"


def _check_binary_source(v: Variables, prefix: str) -> t.Iterator[str]:
    url = v.binary_url
    if v.binary_source == "download" and _secrets.is_secret_text(url):
        yield (
            f"{prefix}binary_url: contains a user name, but Ansible shows this URL; remove the user"
            " name, and add it to the file .netrc of root on the hosts"
        )
        return
    if v.binary_source == "download" and _scheme_of(url) not in ("https", "http"):
        yield (
            f"{prefix}binary_url: {url} is not a valid URL; set https://HOST/PATH; to use a"
            f" directory on the controller, set {prefix}binary_source to controller"
        )
    if v.binary_source == "controller" and not os.path.isabs(url):
        yield (
            f"{prefix}binary_url: {url} is not an absolute path; set a directory on the"
            f" controller, because {prefix}binary_source is controller"
        )


def _check_binary_checksum(v: Variables, prefix: str) -> t.Iterator[str]:
    checksum = v.binary_checksum
    if not isinstance(checksum, (str, t.Mapping)):
        yield (
            f"{prefix}binary_checksum: {checksum!r} is neither text nor a mapping; set sha512:HEX,"
            " or a mapping of versions to checksums"
        )
        return
    if isinstance(checksum, str):
        checksum = {"": checksum} if checksum else {}
    for version, text in checksum.items():
        where = f"{prefix}binary_checksum: {version}: " if version else f"{prefix}binary_checksum: "
        if version and not minor_of(str(version)):
            yield f"{where}is not a full version; use a key such as 1.37.0"
        if not isinstance(text, str) or not CHECKSUM.fullmatch(text):
            yield (
                f"{where}{str(text)[:140]!r} is not a checksum; set sha512: with 128 hexadecimal"
                " digits, or sha256: with 64"
            )


def _scheme_of(url: str) -> str:
    """Return the scheme of a URL with a host, "" for other text."""
    try:
        parts = urlsplit(url)
        return parts.scheme if parts.hostname and not re.search(r"[\s\x00-\x1f]", url) else ""
    except ValueError:
        return ""


def check_checksum(v: Variables, version: str, prefix: str) -> t.Iterator[str]:
    """Yield an error if the binary of this version needs a checksum that is not set."""
    if v.binary_source == "present" or v.checksum_of(version):
        return
    if v.binary_checksum:
        yield (
            f"{prefix}binary_checksum: has no checksum for {version}; add one, or unset the"
            " variable to use the .sha512 file next to the binary"
        )
    elif v.binary_source == "download" and _scheme_of(v.binary_url) == "http":
        yield (
            f"{prefix}binary_url: {_secrets.withhold_url_user(v.binary_url)} uses plain http, so that an attacker on the"
            " network can replace both the binary and its .sha512 file; set"
            f" {prefix}binary_checksum, such as sha512:HEX, or use https"
        )


def inspect_controller_binary(
    binary: t.Mapping[str, str],
    *,
    is_file: t.Callable[[str], bool],
    read: t.Callable[[str], str],
    prefix: str,
) -> dict[str, str]:
    """Return the algorithm and the digest of a binary on the controller, or why it is missing.

    A missing binary fails only the hosts that need it. read: returns the text of a file on the
    controller.
    """
    source, checksum_file = binary["source"], f"{binary['source']}.sha512"
    if not is_file(source):
        return {
            "missing": f"{prefix}binary_url: {source} does not exist on the controller; download"
            " this file from the release site of Kubernetes"
        }
    checksum = binary["checksum"]
    if checksum == f"sha512:{checksum_file}":
        digest = "".join(read(checksum_file).split()[:1]).lower() if is_file(checksum_file) else ""
        checksum = f"sha512:{digest}"
    if not CHECKSUM.fullmatch(checksum):
        return {
            "missing": f"{prefix}binary_url: {checksum_file} on the controller does not exist or"
            " contains no SHA-512; download it from the release site of Kubernetes, or set"
            f" {prefix}binary_checksum"
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
    """Return the errors in a key pair that the user provides."""
    errors = [str(error) for error in check_provided_pair(certificate, key, ca, sans, now)]
    subject = read_subject(certificate.content)
    if subject:
        errors += check_subject(subject, f"{certificate.option}: {certificate.path!r}")
    return errors

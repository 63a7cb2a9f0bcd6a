# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The entries of a kubeconfig as a task declares them: checked first, then put into what is there."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import json
import os
import re
import ssl
import typing as t
from dataclasses import dataclass, field

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeconfigError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    kubeconfig,
    kubeconfig_lock,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    ENTRY_KINDS,
    Config,
    quote_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import library
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    read_fields,
    read_identity,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    encode_public_key,
    parse_private_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import split_certificates
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import has_chain
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import (
    current_utc,
    format_utc,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Iterable

    Options = dict[str, t.Any]
    # Fields and their values; None stands for a field that is not to be there.
    Patch = dict[str, t.Any]

BACKUPS = 5
"""Count of former files that are kept."""

CERTIFICATE = ("client-certificate", "client-certificate-data")
KEY = ("client-key", "client-key-data")

# The ways in which a user may prove who it is, by the options that choose them, and the fields that belong to each.
METHODS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a client certificate": (("client_certificate", "client_key"), (*CERTIFICATE, *KEY)),
    "a token": (("token",), ("token",)),
    "a token file": (("token_file",), ("tokenFile",)),
    "an exec plugin": (("exec",), ("exec",)),
    "(never set here)": ((), ("username", "password", "auth-provider")),
}

# Options that are fields of the same meaning; an empty text removes the field, as with kubectl.
PLAIN = {
    "clusters": {
        "server": "server",
        "tls_server_name": "tls-server-name",
        "proxy_url": "proxy-url",
    },
    "users": {},
    "contexts": {"cluster": "cluster", "user": "user", "namespace": "namespace"},
}

# Of each group one field has to be there.
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "clusters": (("server",),),
    "users": ((*CERTIFICATE, "token", "tokenFile", "exec", "username", "auth-provider"),),
    "contexts": (("cluster",), ("user",)),
}

PATHS = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}
SECRETS = {"client-key-data": "private key", "token": "token", "password": "password"}
SHOWN = {"client-certificate", "client-key", "tokenFile", "as", "as-uid", "as-groups", "username"}

DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


@dataclass
class Work:
    """The module, the folder of the kubeconfig, and what a run has found so far."""

    module: attributes.FilesModule
    folder: str
    # In check mode, something that an earlier task would have brought is missing: so that the outcome is only predicted.
    predicted: bool = False
    warned: set[str] = field(default_factory=set)

    def missing(self, what: str) -> None:
        """Raise KubeconfigError for a thing that is not there; in check mode warn once, and predict a change."""
        if not self.module.check_mode:
            raise KubeconfigError(what)
        self.predicted = True
        if what not in self.warned:
            self.warned.add(what)
            self.module.warn(f"{what}; check mode assumes that an earlier task brings it")

    def read(self, path: str, where: str) -> bytes | None:
        try:
            content = paths.read(path, follow=True)
        except FilesError as exc:
            raise KubeconfigError(f"{where}: {exc}") from None
        if content is None:
            self.missing(f"{where}: {path!r} does not exist")
        return content

    def can_check(self) -> bool:
        if library.CRYPTOGRAPHY_TRACEBACK is None:
            return True
        self.missing(
            "certificates and keys cannot be checked: install the package python3-cryptography"
        )
        return False


# --- what the task declares


def check(params: Options) -> None:
    """Check the options themselves, whatever there is on the host. Raises KubeconfigError."""
    for kind in ENTRY_KINDS:
        names: set[str] = set()
        for entry in params[kind] or ():
            name = entry["name"]
            # What is invisible or breaks a line is a mistake, or meant to deceive.
            if not name or not name.isprintable() or name != name.strip() or len(name) > 1024:
                raise KubeconfigError(f"{kind}: {quote_name(name)} is no usable name")
            if name in names:
                raise KubeconfigError(f"{kind}: {quote_name(name)} is declared twice")
            names.add(name)
            try:
                json.dumps(entry, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise KubeconfigError(
                    f"{kind}, {quote_name(name)} holds text that is not Unicode"
                ) from None
            if entry["state"] == "present":
                CHECKS[kind](entry, f"{kind}, {quote_name(name)}")
    name = params["current_context"]
    if name is not None and any(
        e["name"] == name and e["state"] == "absent" for e in params["contexts"] or ()
    ):
        raise KubeconfigError(f"current_context: {name!r} is declared absent in contexts")


def _given(entry: Options, *options: str) -> list[str]:
    return [option for option in options if entry[option] is not None]


def _check_cluster(entry: Options, where: str) -> None:
    if entry["server"] is not None:
        try:
            kubeconfig.parse_server_url(entry["server"])
        except KubeconfigError as exc:
            raise KubeconfigError(f"{where}: {exc}") from None
    trusts = _given(entry, "certificate_authority", "certificate_authority_data")
    if len(trusts) > 1:
        raise KubeconfigError(f"{where}: only one of {' and '.join(trusts)} can be given")
    if trusts and entry["insecure_skip_tls_verify"]:
        raise KubeconfigError(
            f"{where}: a CA has no use with insecure_skip_tls_verify; leave one of them out"
        )
    if entry["tls_server_name"] and not re.fullmatch(
        kubeconfig.SERVER_NAME, entry["tls_server_name"]
    ):
        raise KubeconfigError(f"{where}: tls_server_name is neither a DNS name nor an address")
    if entry["proxy_url"] and not re.fullmatch(
        r"(?:https?|socks5)://[^/\s?#]+/?", entry["proxy_url"]
    ):
        raise KubeconfigError(
            f"{where}: proxy_url is not of the form http://HOST:PORT (also https, socks5)"
        )


def _check_user(entry: Options, where: str) -> None:
    chosen = [what for what, (options, _fields) in METHODS.items() if _given(entry, *options)]
    if len(chosen) > 1:
        raise KubeconfigError(f"{where}: {' and '.join(chosen)} exclude each other; keep one")
    if len(_given(entry, "client_certificate", "client_key")) == 1:
        raise KubeconfigError(
            f"{where}: client_certificate and client_key are only of use together"
        )
    extra = _given(
        entry, "client_certificate_source", "client_key_source", "client_ca", "client_ca_data"
    )
    if extra and entry["client_certificate"] is None:
        raise KubeconfigError(f"{where}: {extra[0]} is only of use with client_certificate")
    if len(_given(entry, "client_ca", "client_ca_data")) > 1:
        raise KubeconfigError(f"{where}: only one of client_ca and client_ca_data can be given")
    for option in _given(entry, "client_certificate", "client_key"):
        # Where a source is read in its place, nothing else would notice.
        if not os.path.isabs(entry[option]) or not entry[option].isprintable():
            raise KubeconfigError(
                f"{where}: {option} {quote_name(entry[option])} is not an absolute path"
            )
    if entry["token"] is not None and not re.fullmatch(r"[\x21-\x7e]+", entry["token"]):
        raise KubeconfigError(
            f"{where}: the token is empty, or holds characters that no HTTP header can carry"
        )
    if entry["exec"] is not None:
        _check_exec(entry["exec"], f"{where}: exec")


def _check_exec(options: Options, where: str) -> None:
    if not options["command"].strip() or not options["command"].isprintable():
        raise KubeconfigError(
            f"{where}: command {quote_name(options['command'])} is not the name or the path of a program"
        )
    if not re.fullmatch(
        r"client\.authentication\.k8s\.io/v1(?:alpha1|beta1)?", options["api_version"]
    ):
        raise KubeconfigError(
            f"{where}: api_version {quote_name(options['api_version'])} is not one that clients speak, such as client.authentication.k8s.io/v1"
        )
    if any("\0" in word for word in options["args"]):
        raise KubeconfigError(f"{where}: args hold a NUL, which no program can be given")
    for name, value in options["env"].items():
        if not re.fullmatch(r"[^=\0]+", str(name)):
            raise KubeconfigError(
                f"{where}: env: {quote_name(str(name))} cannot be the name of a variable"
            )
        if value is None or isinstance(value, (dict, list)) or "\0" in str(value):
            # It may be a secret, and is not repeated.
            raise KubeconfigError(f"{where}: env: the value of {quote_name(str(name))} is not text")


def _check_context(entry: Options, where: str) -> None:
    if entry["namespace"] and not re.fullmatch(DNS_LABEL, entry["namespace"]):
        raise KubeconfigError(
            f"{where}: namespace {quote_name(entry['namespace'])} is not a DNS label"
        )


CHECKS: dict[str, t.Callable[[Options, str], None]] = {
    "clusters": _check_cluster,
    "users": _check_user,
    "contexts": _check_context,
}


# --- what that means for the file, with everything checked that the file is to lean on


def _patch(work: Work, kind: str, entry: Options) -> Patch:
    where = f"{kind}, {quote_name(entry['name'])}"
    patch: Patch = {
        key: entry[option] or None
        for option, key in PLAIN[kind].items()
        if entry[option] is not None
    }
    if kind == "clusters":
        patch.update(_trust(work, entry, where))
    elif kind == "users":
        patch.update(_proof(work, entry, where))
    return patch


def _trust(work: Work, entry: Options, where: str) -> Patch:
    insecure = entry["insecure_skip_tls_verify"]
    patch: Patch = {} if insecure is None else {"insecure-skip-tls-verify": insecure or None}
    option = next(iter(_given(entry, "certificate_authority", "certificate_authority_data")), None)
    if option is None:
        gone = ("certificate-authority", "certificate-authority-data") if insecure else ()
        return {**patch, **dict.fromkeys(gone)}
    content = _public(work, entry, option, where)
    if content is not None:
        _check_ca(work, content, _named(entry, option, where))
    embed = entry["embed_certs"] or option == "certificate_authority_data"
    patch.update(
        _material(
            "certificate-authority",
            entry["certificate_authority"],
            content,
            embed=embed,
            folder=work.folder,
        )
    )
    return {**patch, "insecure-skip-tls-verify": None}


def _public(work: Work, entry: Options, option: str, where: str) -> bytes | None:
    """Return the CA that an option gives: by a path, or as the PEM itself if its name ends in _data."""
    if option.endswith("_data"):
        return t.cast(str, entry[option]).encode()
    return work.read(entry[option], f"{where}: {option}")


def _named(entry: Options, option: str, where: str = "") -> str:
    """Name what an option gives: the option, and the path if there is one."""
    return (f"{where}: " if where else "") + (
        option if option.endswith("_data") else f"{option} {entry[option]!r}"
    )


def _proof(work: Work, entry: Options, where: str) -> Patch:
    chosen = next((fields for options, fields in METHODS.values() if _given(entry, *options)), None)
    if chosen is None:
        return {}
    # A former key or token that lingers beside the new way in would still open the door.
    patch: Patch = {
        name: None
        for _options, fields in METHODS.values()
        for name in fields
        if fields is not chosen
    }
    if entry["client_certificate"] is not None:
        certificate = work.read(
            entry["client_certificate_source"] or entry["client_certificate"],
            f"{where}: client_certificate",
        )
        key = work.read(entry["client_key_source"] or entry["client_key"], f"{where}: client_key")
        _check_pair(work, entry, certificate, key, where)
        embed, folder = entry["embed_certs"], work.folder
        patch.update(
            _material(
                "client-certificate",
                entry["client_certificate"],
                certificate,
                embed=embed,
                folder=folder,
            )
        )
        patch.update(_material("client-key", entry["client_key"], key, embed=embed, folder=folder))
    elif entry["token"] is not None:
        patch["token"] = entry["token"]
    elif entry["token_file"] is not None:
        work.read(entry["token_file"], f"{where}: token_file")
        patch["tokenFile"] = _relative(entry["token_file"], work.folder)
    else:
        patch["exec"] = _exec(entry["exec"], work.folder)
    return patch


def _material(
    name: str, path: str | None, content: bytes | None, *, embed: bool, folder: str
) -> Patch:
    if not embed:
        return {name: _relative(t.cast(str, path), folder), f"{name}-data": None}
    return {name: None, f"{name}-data": base64.b64encode(content or b"").decode()}


def _relative(path: str, folder: str) -> str:
    """Return a path as kubectl writes it: relative to the kubeconfig's folder, if it lies in there."""
    inside = os.path.relpath(path, folder)
    return path if f"{inside}/".startswith("../") else inside


def _exec(options: Options, folder: str) -> Patch:
    command = options["command"]
    # In the order and with the empty fields of kubectl.
    return {
        "apiVersion": options["api_version"],
        "args": list(options["args"]) or None,
        "command": _relative(command, folder) if os.path.isabs(command) else command,
        "env": [{"name": str(name), "value": str(value)} for name, value in options["env"].items()]
        or None,
        **({"installHint": options["install_hint"]} if options["install_hint"] else {}),
        **({"interactiveMode": options["interactive_mode"]} if options["interactive_mode"] else {}),
        "provideClusterInfo": options["provide_cluster_info"],
    }


def _certificates(content: bytes, where: str) -> list[t.Any]:
    found = parse_certificates(content)
    if not found or None in found:
        what = "a certificate that cannot be read" if found else "no certificate in PEM form"
        raise KubeconfigError(f"{where} holds {what}")
    return found


def _outside_validity(certificate: t.Any, where: str) -> str | None:
    """Return one line where a certificate is not valid now."""
    begins, ends = read_validity(certificate)
    now = current_utc()
    if ends <= now:
        return f"{where} expired on {format_utc(ends)}; renew it first"
    if begins > now:
        return f"{where} is not valid before {format_utc(begins)}; compare the clocks"
    return None


def _check_ca(work: Work, content: bytes, where: str) -> None:
    if not work.can_check():
        return
    late = []
    certificates = _certificates(content, where)
    for number, certificate in enumerate(certificates, 1):
        which = f"{where}, certificate {number}," if len(certificates) > 1 else where
        if not (read_fields(certificate) or {}).get("is_ca"):
            raise KubeconfigError(f"{which} is not a CA: its basicConstraints do not say CA:TRUE")
        late += [fault for fault in [_outside_validity(certificate, which)] if fault]
    if len(late) == len(certificates):
        raise KubeconfigError(late[0])
    for fault in late:
        work.module.warn(fault)


def _check_pair(
    work: Work, entry: Options, certificate: bytes | None, key: bytes | None, where: str
) -> None:
    if (certificate is None and key is None) or not work.can_check():
        return
    names = {
        option: entry[f"{option}_source"] or entry[option]
        for option in ("client_certificate", "client_key")
    }
    public = None
    if key is not None:
        if b"ENCRYPTED" in key:
            raise KubeconfigError(
                f"{where}: client_key {names['client_key']!r} is encrypted, and Kubernetes asks nobody for a passphrase"
            )
        try:
            public = encode_public_key(
                parse_private_key(key, None, names["client_key"]).private.public_key()
            )
        except X509Error as exc:
            raise KubeconfigError(f"{where}: client_key: {exc}") from None
    if certificate is None:
        return
    which = f"{where}: client_certificate {names['client_certificate']!r}"
    leaf, *between = _certificates(certificate, which)
    fault = _outside_validity(leaf, which)
    if fault:
        raise KubeconfigError(fault)
    facts = read_fields(leaf)
    if facts is None:
        raise KubeconfigError(f"{which} has extensions that cannot be read")
    if facts["extended_key_usage"] and not {"clientAuth", "anyExtendedKeyUsage"} & set(
        facts["extended_key_usage"]
    ):
        raise KubeconfigError(f"{which} is not for clients: its extendedKeyUsage lacks clientAuth")
    if public is not None and public != _public_key(leaf, which):
        raise KubeconfigError(
            f"{which} and client_key {names['client_key']!r} are not a pair; give the key of this certificate"
        )
    option = next(iter(_given(entry, "client_ca", "client_ca_data")), None)
    content = _public(work, entry, option, where) if option else None
    if option is None or content is None:
        return
    named = _named(entry, option, where)
    _check_ca(work, content, named)
    if not has_chain(leaf, between, _certificates(content, named)):
        raise KubeconfigError(
            f"{which} is not signed by a CA in {_named(entry, option)}; have it signed by the CA that the apiserver trusts"
        )


def _public_key(certificate: t.Any, where: str) -> bytes:
    try:
        return encode_public_key(certificate.public_key())
    except Exception:  # a kind of key that this version of the library does not know
        raise KubeconfigError(f"{where} has a key of a kind that cannot be read") from None


# --- the file


def _applied(config: Config, work: Work, params: Options) -> Config:
    """Return the file as it has to be. Entries are found by their names; what the task does not name stays as it is."""
    config = copy.deepcopy(config)
    for kind, key in ENTRY_KINDS.items():
        entries = list(config.get(kind) or ())
        for options in params[kind] or ():
            found = next((entry for entry in entries if entry["name"] == options["name"]), None)
            if options["state"] == "absent":
                entries = [entry for entry in entries if entry is not found]
                continue
            patch = _patch(work, kind, options)
            if found is None:
                found = {key: {}, "name": options["name"]}
                entries.append(found)
            found[key] = _merged(found.get(key) or {}, patch, work.folder)
            _check_complete(kind, found[key], f"{kind}, {quote_name(options['name'])}", work)
        if entries or config.get(kind):
            config[kind] = entries
    if params["current_context"] is not None:
        config["current-context"] = params["current_context"]
    return config


def _merged(body: Config, patch: Patch, folder: str) -> Config:
    def same(name: str, value: t.Any) -> bool:
        former = body.get(name)
        if name in PATHS and isinstance(former, str) and former and value:
            return os.path.normpath(os.path.join(folder, former)) == os.path.normpath(
                os.path.join(folder, value)
            )
        return bool(former == value)

    changed = {name: value for name, value in patch.items() if not same(name, value)}
    return {
        name: value
        for name, value in {**body, **changed}.items()
        if not (name in changed and value is None)
    }


def _check_complete(kind: str, body: Config, where: str, work: Work) -> None:
    """Fail if an entry is of no use. kubectl would write it all the same."""
    for names in NEEDED[kind]:
        if not any(body.get(name) for name in names) and not work.predicted:
            raise KubeconfigError(
                f"{where} has no {'credentials' if kind == 'users' else names[0]}; declare them"
            )


def _check_references(before: Config, after: Config, params: Options) -> None:
    """Fail if what this task declares or removes leaves a reference to an entry that is not there."""
    ours = {entry["name"] for entry in params["contexts"] or () if entry["state"] == "present"}
    for entry in after.get("contexts") or ():
        body = entry.get("context") or {}
        for kind, key in (("clusters", "cluster"), ("users", "user")):
            name = body.get(key)
            gone = kubeconfig.find_entry(after, kind, name) is None
            was = kubeconfig.find_entry(before, kind, name) is not None
            if gone and (entry["name"] in ours or was):
                raise KubeconfigError(
                    f"contexts, {entry['name']!r}: its {key} {name!r} is not in {kind}; declare it there"
                )
    current = after.get("current-context")
    if not current or kubeconfig.find_entry(after, "contexts", current) is not None:
        return
    if (
        params["current_context"] is not None
        or kubeconfig.find_entry(before, "contexts", current) is not None
    ):
        raise KubeconfigError(
            f"current_context: there is no context {current!r}; declare it in contexts, or name another one"
        )


# --- results, which hold no secret


class ClusterSummary(t.TypedDict):
    """A cluster; C(certificate_authority_data) holds the facts of each certificate, None where there are none."""

    name: str
    server: str | None
    insecure_skip_tls_verify: bool
    certificate_authority: str | None
    certificate_authority_data: list[dict[str, t.Any]] | None


class UserSummary(t.TypedDict):
    """A user; C(client_certificate_data) holds the facts of the certificate, C(exec) is the plugin's command."""

    name: str
    client_certificate: str | None
    client_certificate_data: dict[str, t.Any] | None
    client_key: str | None
    has_key: bool
    has_token: bool
    exec: str | None


class ContextSummary(t.TypedDict):
    name: str
    cluster: str | None
    user: str | None
    namespace: str | None


class Summary(t.TypedDict):
    """A kubeconfig; the lists are sorted by name."""

    clusters: list[ClusterSummary]
    users: list[UserSummary]
    contexts: list[ContextSummary]
    current_context: str | None


class _Difference(t.TypedDict):
    before: dict[str, t.Any]
    after: dict[str, t.Any]


class Difference(_Difference, total=False):
    """A diff as Ansible shows it."""

    before_header: str
    after_header: str


class Result(t.TypedDict, total=False):
    """The result of the module; only C(changed) and C(path) are always there, and the fields of Summary where the file is."""

    changed: bool
    path: str
    diff: Difference
    backup_file: str
    clusters: list[ClusterSummary]
    users: list[UserSummary]
    contexts: list[ContextSummary]
    current_context: str | None


def summary(config: Config) -> Summary:
    """Return what a kubeconfig holds."""
    return {
        "clusters": [
            {
                "name": name,
                "server": _without_password(body.get("server")),
                "insecure_skip_tls_verify": bool(body.get("insecure-skip-tls-verify")),
                "certificate_authority": body.get("certificate-authority"),
                "certificate_authority_data": _described(body.get("certificate-authority-data")),
            }
            for name, body in _bodies(config, "clusters")
        ],
        "users": [
            {
                "name": name,
                "client_certificate": body.get("client-certificate"),
                "client_certificate_data": next(
                    iter(_described(body.get("client-certificate-data")) or ()), None
                ),
                "client_key": body.get("client-key"),
                "has_key": bool(body.get("client-key-data") or body.get("client-key")),
                "has_token": bool(body.get("token") or body.get("tokenFile")),
                "exec": (
                    body["exec"].get("command") if isinstance(body.get("exec"), dict) else None
                ),
            }
            for name, body in _bodies(config, "users")
        ],
        "contexts": [
            {
                "name": name,
                "cluster": body.get("cluster"),
                "user": body.get("user"),
                "namespace": body.get("namespace"),
            }
            for name, body in _bodies(config, "contexts")
        ],
        "current_context": config.get("current-context") or None,
    }


def _bodies(config: Config, kind: str) -> Iterable[tuple[str, Config]]:
    return sorted(
        ((entry["name"], entry.get(ENTRY_KINDS[kind]) or {}) for entry in config.get(kind) or ()),
        key=lambda pair: pair[0],
    )


def _described(data: t.Any) -> list[dict[str, t.Any]] | None:
    """Return the facts of the certificates in a -data field, None where it cannot be read. An unreadable certificate has a fingerprint at most."""
    try:
        content = base64.b64decode(data, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return None
    if library.CRYPTOGRAPHY_TRACEBACK is None:
        return [
            {
                **{
                    name: ((found and read_fields(found)) or {}).get(name)
                    for name in ("subject", "issuer")
                },
                **read_identity(found, current_utc()),
            }
            for found in parse_certificates(content)
        ] or None
    try:
        ders = [ssl.PEM_cert_to_DER_cert(block.decode()) for block in split_certificates(content)]
    except ValueError:
        return None
    return [
        {"fingerprint_sha256": hashlib.sha256(der).digest().hex(":").upper()} for der in ders
    ] or None


def public(params: Options) -> Options:
    """Return the options of a task as they may be shown: without tokens, passwords, and the arguments and environment of exec plugins."""
    shown_ = copy.deepcopy(params)
    for entry in shown_["clusters"] or ():
        entry["proxy_url"] = _without_password(entry["proxy_url"])
    for entry in shown_["users"] or ():
        entry["token"] = entry["token"] and "(hidden)"
        for option in ("args", "env"):
            if entry["exec"] and entry["exec"][option]:
                entry["exec"][option] = "(hidden)"
    return shown_


def _without_password(url: t.Any) -> t.Any:
    return re.sub(r"//[^/@]*@", "//(hidden)@", url) if isinstance(url, str) else url


def _redacted(kind: str, name: str, body: Config, former: Config) -> dict[str, t.Any]:
    """Return an entry for a diff: of a secret, only that it is there, and whether it is another one than before."""
    public: dict[str, t.Any] = {}
    for key, value in body.items():
        if key.endswith("-data") and key not in SECRETS:
            public[key] = _described(value) or ("(unreadable)" if value else "(not there yet)")
        elif key in SECRETS or (kind == "users" and key not in SHOWN):
            public[key] = (
                f"({'a' if former.get(key) in (None, value) else 'another'} {SECRETS.get(key, 'hidden value')})"
            )
        else:
            public[key] = _without_password(value)
    return {ENTRY_KINDS[kind]: public, "name": name}


def difference(before: Config | None, after: Config | None) -> Difference:
    """Return both sides of a diff, with the entries that differ; a file that is not there has an empty side."""
    sides: list[dict[str, t.Any]] = []
    for own, other in ((before, after), (after, before)):
        side: dict[str, t.Any] = {}
        for kind in ENTRY_KINDS if own is not None else ():
            theirs = dict(_bodies(other or {}, kind))
            former = theirs if own is after else {}
            changed = [
                _redacted(kind, name, body, former.get(name) or {})
                for name, body in _bodies(own or {}, kind)
                if theirs.get(name) != body
            ]
            if changed:
                side[kind] = changed
        if own is not None and own.get("current-context") != (other or {}).get("current-context"):
            side["current-context"] = own.get("current-context")
        sides.append(side)
    return {"before": sides[0], "after": sides[1]}


# --- the whole task


def run(module: attributes.FilesModule) -> Result:
    """Bring the file to what the task declares. Raises FilesError and KubeconfigError."""
    params = module.params
    path = params["path"]
    paths.resolve(path)
    if params["state"] == "absent":
        return _remove(module, path)
    check(params)
    work = Work(module, os.path.dirname(path))
    if not kubeconfig.HAS_YAML:
        work.missing(
            "kubeconfig files cannot be read or written: install the package python3-yaml (python3-pyyaml on RHEL)"
        )
        return {"changed": True, "path": path}
    try:
        plan = _plan(work, path)
    except KubeconfigError:
        # A kubectl that is just writing leaves a torn file for a moment; under the lock there is none.
        if module.check_mode or not os.path.exists(f"{path}.lock"):
            raise
    else:
        if not module.check_mode:
            kubeconfig_lock.remove_stale_lock(path)
        if module.check_mode or plan.content is None:
            return _finish(module, path, plan)
    with kubeconfig_lock.hold_kubeconfig_lock(path):
        return _finish(module, path, _plan(Work(module, work.folder), path))


class Plan(t.NamedTuple):
    """The file before and after; C(content) is what to write, None where nothing changes in it."""

    before: Config | None
    after: Config
    content: bytes | None
    predicted: bool


def _plan(work: Work, path: str) -> Plan:
    params = work.module.params
    raw = paths.read(path)
    before: Config | None = None
    unreadable = False
    if raw is not None:
        try:
            before = kubeconfig.parse_kubeconfig(raw, repr(path))
        except KubeconfigError as exc:
            if not params["force"]:
                raise KubeconfigError(f"{exc}; set force to replace the file") from None
            unreadable = True
    after = _applied(before if before is not None else kubeconfig.new_kubeconfig(), work, params)
    if not work.predicted:
        _check_references(before or {}, after, params)
    content = None if before == after and not unreadable else kubeconfig.dump_kubeconfig(after)
    if content is not None and len(content) > paths.MAX_FILE_BYTES:
        raise KubeconfigError(
            f"{path!r} would be larger than {paths.MAX_FILE_BYTES} bytes; embed less"
        )
    return Plan(before, after, content, work.predicted)


def _finish(module: attributes.FilesModule, path: str, plan: Plan) -> Result:
    done = attributes.converge_file(
        module, path, plan.content, backup=BACKUPS if module.params["backup"] else 0
    )
    told = summary(plan.after)
    result: Result = {
        "changed": done.changed or plan.predicted,
        "path": path,
        "diff": {
            **difference(plan.before, plan.after),
            "before_header": path,
            "after_header": path,
        },
        "clusters": told["clusters"],
        "users": told["users"],
        "contexts": told["contexts"],
        "current_context": told["current_context"],
    }
    if done.backup_file:
        result["backup_file"] = done.backup_file
    return result


def _remove(module: attributes.FilesModule, path: str) -> Result:
    there = paths.read(path) is not None
    result: Result = {
        "changed": there,
        "path": path,
        "diff": {
            "before": {"path": path, "state": "file" if there else "absent"},
            "after": {"path": path, "state": "absent"},
        },
    }
    if there and not module.check_mode:
        with kubeconfig_lock.hold_kubeconfig_lock(path):
            backup = write.remove(path, backup=BACKUPS if module.params["backup"] else 0)
        if backup:
            result["backup_file"] = backup
    return result

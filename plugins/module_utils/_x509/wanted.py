# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a certificate is to be: the task's options, over the profile of a cfssl configuration."""

from __future__ import annotations

import contextlib
import json
import re
import typing as t
from datetime import timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import keys
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import names as _names

with contextlib.suppress(ImportError):
    from cryptography import x509

Params = t.Mapping[str, t.Any]

# Name as in OpenSSL, other spellings (cfssl's first), and what the library calls it.
_KEY_USAGES = (
    ("digitalSignature", ("signing",), "digital_signature"),
    ("contentCommitment", ("nonRepudiation",), "content_commitment"),
    ("keyEncipherment", (), "key_encipherment"),
    ("dataEncipherment", (), "data_encipherment"),
    ("keyAgreement", (), "key_agreement"),
    ("keyCertSign", ("cert sign",), "key_cert_sign"),
    ("cRLSign", (), "crl_sign"),
    ("encipherOnly", (), "encipher_only"),
    ("decipherOnly", (), "decipher_only"),
)
_EXTENDED_KEY_USAGES = (
    ("serverAuth", (), "1.3.6.1.5.5.7.3.1"),
    ("clientAuth", (), "1.3.6.1.5.5.7.3.2"),
    ("codeSigning", (), "1.3.6.1.5.5.7.3.3"),
    ("emailProtection", ("s/mime",), "1.3.6.1.5.5.7.3.4"),
    ("ipsecEndSystem", (), "1.3.6.1.5.5.7.3.5"),
    ("ipsecTunnel", (), "1.3.6.1.5.5.7.3.6"),
    ("ipsecUser", (), "1.3.6.1.5.5.7.3.7"),
    ("timeStamping", (), "1.3.6.1.5.5.7.3.8"),
    ("OCSPSigning", (), "1.3.6.1.5.5.7.3.9"),
    ("microsoftSGC", (), "1.3.6.1.4.1.311.10.3.3"),
    ("netscapeSGC", (), "2.16.840.1.113730.4.1"),
    ("anyExtendedKeyUsage", ("any",), "2.5.29.37.0"),
)
_CA_USAGES = frozenset({"keyCertSign", "cRLSign"})
# RFC 3279, 5480 and 8410: what a key of each type may be used for; cfssl's profiles name keyEncipherment for all.
_IMPOSSIBLE = {
    "RSA": frozenset({"keyAgreement", "encipherOnly", "decipherOnly"}),
    "ECC": frozenset({"keyEncipherment", "dataEncipherment"}),
    "Ed25519": frozenset(
        {"keyEncipherment", "dataEncipherment", "keyAgreement", "encipherOnly", "decipherOnly"}
    ),
}
_DURATIONS = {"valid_for": "8760h", "backdate": "5m", "renew_before": "720h"}
PROFILE_OPTIONS = ("key_usage", "extended_key_usage", "valid_for", "backdate", "path_length")
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")
_PROFILE_FIELDS = frozenset({"usages", "expiry", "backdate", "ca_constraint", "auth_key"})


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char not in " _-")


_USAGES = {
    _plain(spelling): (field, name)
    for field, table in (("key_usage", _KEY_USAGES), ("extended_key_usage", _EXTENDED_KEY_USAGES))
    for name, others, _library in table
    for spelling in (name, *others)
}
_LIBRARY_USAGE = {name: library for name, _others, library in (*_KEY_USAGES, *_EXTENDED_KEY_USAGES)}


def usages(
    names: t.Iterable[object], where: str, fields: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Sort usages, in OpenSSL's or cfssl's spelling, into key usages and extended key usages.

    Raises X509Error for one that is not among *fields*; *where* is the option.
    """
    found: dict[str, list[str]] = {field: [] for field in fields}
    for name in names:
        field, canonical = _USAGES.get(_plain(str(name)), ("", ""))
        if field not in fields:
            allowed = ", ".join(sorted(known for kind, known in _USAGES.values() if kind in fields))
            raise X509Error(f"unknown usage {str(name)[:80]!a}; known are {allowed}", option=where)
        if canonical not in found[field]:
            found[field].append(canonical)
    return {field: tuple(sorted(values)) for field, values in found.items()}


def profile(path: str, name: str | None) -> dict[str, t.Any]:
    """Return the options that a profile of cfssl's ca-config.json stands for.

    Raises MissingError, FilesError, or X509Error for a bad file or an unknown profile.
    """
    content = paths.read(path, follow=True)
    if content is None:
        raise MissingError(
            f"{path!r} does not exist: put cfssl's configuration there, or name where it is",
            option="ca_config",
        )
    try:
        signing = json.loads(content)["signing"]
        profiles = dict(signing.get("profiles") or {})
        found = dict(signing["default"] if name is None else profiles[name])
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise X509Error(
            f"{path!r} is not a cfssl configuration: JSON with signing.profiles", option="ca_config"
        ) from None
    except KeyError as exc:
        if exc.args != (name,):
            raise X509Error(
                f"{path!r} has no {exc.args[0]!r}: name a profile that it has", option="ca_config"
            ) from None
        known = ", ".join(sorted(profiles)) or "none"
        raise X509Error(
            f"{path!r} has no profile {name!r}; it has: {known}", option="profile"
        ) from None
    where = f"profile {name or 'default'!r} of {path!r}"
    return profile_options(found, where)


def profile_options(found: dict[str, t.Any], where: str) -> dict[str, t.Any]:
    """Return the options that the fields of a profile stand for; raise X509Error that begins with *where*."""
    foreign = sorted(key for key, value in found.items() if value and key not in _PROFILE_FIELDS)
    if foreign:
        raise X509Error(
            f"{where}: uses {', '.join(foreign)}, which x509_cert does not support: take another profile"
        )
    if not isinstance(found.get("usages"), list) or not found["usages"]:
        raise X509Error(f"{where}: names no usages: a certificate has to be for something")
    try:
        options: dict[str, t.Any] = dict(
            usages(found["usages"], "", ("key_usage", "extended_key_usage"))
        )
        for field, option in (("expiry", "valid_for"), ("backdate", "backdate")):
            if found.get(field):
                _durations.parse_duration(str(found[field]), field)
                options[option] = str(found[field])
    except X509Error as exc:
        # The field is the profile's, and no option of the task.
        raise X509Error(f"{where}: {exc}") from None
    constraint = found.get("ca_constraint") or {}
    length = constraint.get("max_path_len") or 0 if isinstance(constraint, dict) else None
    if isinstance(length, bool) or not isinstance(length, int):
        raise X509Error(
            f"{where}: ca_constraint is not a mapping of is_ca, max_path_len and max_path_len_zero"
        )
    options["is_ca"] = bool(constraint.get("is_ca"))
    if options["is_ca"] and (length or constraint.get("max_path_len_zero")):
        options["path_length"] = length
    return options


def effective(params: Params) -> dict[str, t.Any]:
    """Return the options with the profile's values where the task gives none, without C(ca_config) and C(profile).

    Raises what :func:`profile` does, and X509Error for the profile of a CA where no CA is asked for.
    """
    options = dict(params)
    path, name = options.pop("ca_config", None), options.pop("profile", None)
    if path is None:
        if name is not None:
            raise X509Error(
                f"{name!r} is of no file: name cfssl's configuration in ca_config", option="profile"
            )
        return options
    for option, value in profile(path, name).items():
        if option == "is_ca":
            if value and not options.get("is_ca"):
                raise X509Error(
                    f"{name!r} of {path!r} is for CAs, and is_ca is not set: take another profile",
                    option="profile",
                )
        elif options.get(option) is None:
            options[option] = list(value) if isinstance(value, tuple) else value
    return options


class Wanted(t.NamedTuple):
    """What a certificate is to be, whatever its key and CA."""

    subject: _names.Subject
    subject_alt_name: tuple[str, ...]
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    is_ca: bool
    path_length: int | None
    permitted: tuple[str, ...]
    excluded: tuple[str, ...]
    digest: str | None
    valid_for: timedelta
    backdate: timedelta
    renew_before: timedelta
    clamp: bool

    def usable_by(self, key_type: str) -> tuple[str, ...]:
        """Return the key usages that a key of this type can have."""
        left = tuple(usage for usage in self.key_usage if usage not in _IMPOSSIBLE[key_type])
        if not left:
            raise X509Error(
                f"{', '.join(self.key_usage)} leave nothing for a key of type {key_type}",
                option="key_usage",
            )
        return left


def wanted(options: Params) -> Wanted:
    """Validate the (effective) options, and return what they ask for; raise X509Error."""
    is_ca = bool(options.get("is_ca"))
    defaults = (
        {"key_usage": ["keyCertSign", "cRLSign"], "extended_key_usage": []}
        if is_ca
        else {
            "key_usage": ["digitalSignature", "keyEncipherment"],
            "extended_key_usage": ["clientAuth", "serverAuth"],
        }
    )
    asked: dict[str, tuple[str, ...]] = {}
    for field, default in defaults.items():
        given = options.get(field)
        asked.update(usages(default if given is None else given, field, (field,)))
    if not asked["key_usage"]:
        raise X509Error("is empty: leave it out or name at least one", option="key_usage")
    if is_ca and "keyCertSign" not in asked["key_usage"]:
        raise X509Error("a CA needs keyCertSign: add it", option="key_usage")
    if not is_ca and _CA_USAGES & set(asked["key_usage"]):
        raise X509Error(
            "keyCertSign and cRLSign are for CAs: leave them out, or set is_ca", option="key_usage"
        )
    limits = options.get("name_constraints") or {}
    length = options.get("path_length")
    if not is_ca and (length is not None or limits):
        raise X509Error(
            "path_length and name_constraints are for CAs: leave them out, or set is_ca"
        )
    if length is not None and not 0 <= length <= 255:
        raise X509Error(f"{length} is not between 0 and 255", option="path_length")
    subject = _names.subject(options.get("subject") or {}, options.get("names") or [])
    names = _names.alt_names(options.get("subject_alt_name") or [])
    if is_ca and not subject:
        raise X509Error("a CA needs one: give at least CN", option="subject")
    if not subject and not names:
        raise X509Error(
            "is empty, and so is subject_alt_name: name whom the certificate is for",
            option="subject",
        )
    texts = {
        option: default if options.get(option) is None else options[option]
        for option, default in _DURATIONS.items()
    }
    lifetime = _durations.parse_duration(texts["valid_for"], "valid_for")
    return Wanted(
        subject=subject,
        subject_alt_name=names,
        key_usage=asked["key_usage"],
        extended_key_usage=asked["extended_key_usage"],
        is_ca=is_ca,
        path_length=length,
        permitted=_names.constraints(limits.get("permitted") or [], "name_constraints.permitted"),
        excluded=_names.constraints(limits.get("excluded") or [], "name_constraints.excluded"),
        digest=options.get("digest"),
        valid_for=lifetime,
        backdate=_durations.parse_duration(texts["backdate"], "backdate"),
        renew_before=_durations.window(texts["renew_before"], lifetime, "renew_before"),
        clamp=options.get("not_after_policy") == "clamp",
    )


def key_kind(options: Params) -> keys.Kind:
    """Validate the options of the key, and return the kind that they ask for; raise X509Error."""
    kind = keys.Kind(
        options["privatekey_type"], options.get("privatekey_size"), options.get("privatekey_curve")
    )
    least, most = keys.RSA_SIZES
    if kind.size is not None and (kind.type != "RSA" or not least <= kind.size <= most):
        raise X509Error(
            f"{kind.size} is not for {kind.type}: it is for RSA, from {least} to {most} bits",
            option="privatekey_size",
        )
    if kind.type == "Ed25519" and options["privatekey_format"] == "traditional":
        raise X509Error(
            "traditional is not for Ed25519: take pkcs8 or auto", option="privatekey_format"
        )
    if kind.curve is not None and kind.type != "ECC":
        raise X509Error(
            f"{kind.curve} is not for {kind.type}: it is for ECC", option="privatekey_curve"
        )
    return kind


def fingerprints(texts: t.Iterable[str], option: str) -> frozenset[str]:
    """Return SHA-256 fingerprints as openssl writes them; colons and case are free. Raises X509Error."""
    found = set()
    for text in texts:
        digits = str(text).replace(":", "").upper()
        if not _FINGERPRINT.fullmatch(digits):
            raise X509Error(
                f"{str(text)[:80]!r} is not a SHA-256 fingerprint: write its 64 hexadecimal digits",
                option=option,
            )
        found.add(":".join(digits[at : at + 2] for at in range(0, 64, 2)))
    return frozenset(found)


def to_key_usage(names: t.Iterable[str]) -> x509.KeyUsage:
    """Return the library's form of key usages."""
    chosen = set(names)
    return x509.KeyUsage(**{library: name in chosen for name, _others, library in _KEY_USAGES})


def described_key_usage(usage: x509.KeyUsage) -> list[str]:
    """Return the names of key usages, sorted."""
    found = []
    for name, _others, library in _KEY_USAGES:
        if library in ("encipher_only", "decipher_only") and not usage.key_agreement:
            continue
        if getattr(usage, library):
            found.append(name)
    return sorted(found)


def to_extended_key_usage(names: t.Iterable[str]) -> x509.ExtendedKeyUsage:
    """Return the library's form of extended key usages."""
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(_LIBRARY_USAGE[name]) for name in names])


def described_extended_key_usage(usage: t.Iterable[x509.ObjectIdentifier]) -> list[str]:
    """Return the names of extended key usages, sorted; one without a name shows its object identifier."""
    names = {oid: name for name, _others, oid in _EXTENDED_KEY_USAGES}
    return sorted(names.get(oid.dotted_string, oid.dotted_string) for oid in usage)

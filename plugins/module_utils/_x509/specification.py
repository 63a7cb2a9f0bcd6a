# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse the specification of a key pair from the options of x509_cert."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from datetime import timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_CERTIFICATE_OPTION,
    CERTIFICATE_OPTION,
    REQUEST_OPTION,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import RSA_SIZES, KeyKind
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    Subject,
    parse_alt_names,
    parse_name_constraints,
    parse_subject,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.profile import (
    CertificateOptions,
    apply_profile,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    CA_KEY_USAGES,
    parse_usages,
)

_DURATIONS = {"valid_for": "8760h", "backdate": "5m", "renew_before": "720h"}
_CA_USAGES = {"key_usage": ["keyCertSign", "cRLSign"], "extended_key_usage": []}
_LEAF_USAGES = {
    "key_usage": ["digitalSignature", "keyEncipherment"],
    "extended_key_usage": ["clientAuth", "serverAuth"],
}
_MAX_PATH_LENGTH = 255
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")


@dataclass(frozen=True)
class CertificateSpec:
    """The specified content of a certificate, independent of its key and CA."""

    subject: Subject
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
    renewal_window: _durations.RenewalWindow
    clamp: bool


@dataclass(frozen=True)
class KeySpec:
    """The specified private key, and the policy for an existing key that differs."""

    kind: KeyKind
    format: str
    regenerate: str
    passphrase_path: str | None


@dataclass(frozen=True)
class CaSource:
    """The CA: the host of its key, its files on that host, and PEM texts from the controller.

    `location` is target, controller or external. `sent_authority`, `sent_certificate` and
    `sent_request` are the PEM texts that the action plugin passes.
    """

    location: str
    path: str | None
    key_path: str | None
    passphrase_path: str | None
    sent_authority: str | None
    sent_certificate: str | None
    sent_request: str | None


@dataclass(frozen=True)
class PairSpec:
    """The specified key pair: certificate, key, CA, and the reasons to replace it immediately."""

    certificate: CertificateSpec
    key: KeySpec
    ca: CaSource
    replaced_fingerprints: frozenset[str]
    force: bool


def parse_pair_spec(given: CertificateOptions) -> PairSpec:
    """Parse the options of x509_cert, with the values of its profile.

    Raises X509Error for an invalid option, MissingError and FilesError for the profile.
    """
    options = apply_profile(given)
    return PairSpec(
        certificate=parse_certificate_spec(options),
        key=_parse_key_spec(options),
        ca=CaSource(
            location=options["ca_on"],
            path=options["ca_path"],
            key_path=options["ca_privatekey_path"],
            passphrase_path=options["ca_privatekey_passphrase_file"],
            sent_authority=options[CA_CERTIFICATE_OPTION],
            sent_certificate=options[CERTIFICATE_OPTION],
            sent_request=options[REQUEST_OPTION],
        ),
        replaced_fingerprints=parse_fingerprints(options["replace"], "replace"),
        force=bool(options["force"]),
    )


def parse_certificate_spec(options: CertificateOptions) -> CertificateSpec:
    """Parse the options of a certificate, after `apply_profile`. Raises X509Error."""
    is_ca = bool(options.get("is_ca"))
    key_usage, extended_key_usage = _parse_usages(options, is_ca=is_ca)
    path_length, permitted, excluded = _parse_ca_limits(options, is_ca=is_ca)
    subject, alt_names = _parse_identity(options, is_ca=is_ca)
    texts = {
        option: default if options.get(option) is None else options[option]
        for option, default in _DURATIONS.items()
    }
    valid_for = _durations.parse_duration(texts["valid_for"], "valid_for")
    return CertificateSpec(
        subject=subject,
        subject_alt_name=alt_names,
        key_usage=key_usage,
        extended_key_usage=extended_key_usage,
        is_ca=is_ca,
        path_length=path_length,
        permitted=permitted,
        excluded=excluded,
        digest=options.get("digest"),
        valid_for=valid_for,
        backdate=_durations.parse_duration(texts["backdate"], "backdate"),
        renewal_window=_durations.parse_renewal_window(
            texts["renew_before"], valid_for, "renew_before"
        ),
        clamp=options.get("not_after_policy") == "clamp",
    )


def _parse_usages(
    options: CertificateOptions, *, is_ca: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    defaults = _CA_USAGES if is_ca else _LEAF_USAGES
    extended_key_usage = _parse_usage_option(options, defaults, "extended_key_usage")
    if not is_ca and "serverAuth" not in extended_key_usage:
        defaults = {**defaults, "key_usage": ["digitalSignature"]}
    key_usage = _parse_usage_option(options, defaults, "key_usage")
    if not key_usage:
        raise X509Error("is empty; add a usage, or unset the option", option="key_usage")
    if is_ca and "keyCertSign" not in key_usage:
        raise X509Error("a CA requires keyCertSign; add it", option="key_usage")
    if not is_ca and CA_KEY_USAGES & set(key_usage):
        raise X509Error(
            "keyCertSign and cRLSign are for CAs; remove them, or set is_ca", option="key_usage"
        )
    return key_usage, extended_key_usage


def _parse_usage_option(
    options: CertificateOptions, defaults: t.Mapping[str, t.Sequence[str]], field: str
) -> tuple[str, ...]:
    given = options.get(field)
    return parse_usages(defaults[field] if given is None else given, field, (field,))[field]


def _parse_ca_limits(
    options: CertificateOptions, *, is_ca: bool
) -> tuple[int | None, tuple[str, ...], tuple[str, ...]]:
    limits = options.get("name_constraints") or {}
    length = options.get("path_length")
    if not is_ca and (length is not None or limits):
        raise X509Error("path_length and name_constraints are for CAs; unset them, or set is_ca")
    if length is not None and not 0 <= length <= _MAX_PATH_LENGTH:
        raise X509Error(
            f"{length} is out of range; set a number from 0 to {_MAX_PATH_LENGTH}",
            option="path_length",
        )
    permitted, excluded = (
        parse_name_constraints(limits.get(side) or [], f"name_constraints.{side}")
        for side in ("permitted", "excluded")
    )
    return length, permitted, excluded


def _parse_identity(options: CertificateOptions, *, is_ca: bool) -> tuple[Subject, tuple[str, ...]]:
    subject = parse_subject(options.get("subject") or {}, options.get("names") or [])
    alt_names = parse_alt_names(options.get("subject_alt_name") or [])
    if is_ca and not subject:
        raise X509Error("a CA requires a subject; set at least CN", option="subject")
    if not subject and not alt_names:
        raise X509Error(
            "both subject and subject_alt_name are empty; set at least one of them",
            option="subject",
        )
    return subject, alt_names


def _parse_key_spec(options: CertificateOptions) -> KeySpec:
    return KeySpec(
        kind=parse_key_kind(options),
        format=options["privatekey_format"],
        regenerate=options["regenerate"],
        passphrase_path=options["privatekey_passphrase_file"],
    )


def parse_key_kind(options: CertificateOptions) -> KeyKind:
    """Parse type, size and curve of a private key. Raises X509Error."""
    kind = KeyKind(
        options["privatekey_type"], options.get("privatekey_size"), options.get("privatekey_curve")
    )
    min_bits, max_bits = RSA_SIZES
    if kind.size is not None and (kind.type != "RSA" or not min_bits <= kind.size <= max_bits):
        raise X509Error(
            f"{kind.size} is not valid for {kind.type}; set {min_bits} to {max_bits} for RSA,"
            " and no size for other types",
            option="privatekey_size",
        )
    if kind.type == "Ed25519" and options["privatekey_format"] == "traditional":
        raise X509Error(
            "Ed25519 has no traditional format; set pkcs8 or auto", option="privatekey_format"
        )
    if kind.curve is not None and kind.type != "ECC":
        raise X509Error(
            f"{kind.type} has no curve; unset the option, or set privatekey_type to ECC",
            option="privatekey_curve",
        )
    return kind


def parse_fingerprints(texts: t.Iterable[str], option: str) -> frozenset[str]:
    """Parse SHA-256 fingerprints, with or without colons, into the format of openssl.

    Raises X509Error. `option` is the name of the option.
    """
    fingerprints = set()
    for text in texts:
        digits = str(text).replace(":", "").upper()
        if not _FINGERPRINT.fullmatch(digits):
            raise X509Error(
                f"{str(text)[:80]!r} is not a SHA-256 fingerprint; set 64 hexadecimal digits",
                option=option,
            )
        fingerprints.add(":".join(digits[at : at + 2] for at in range(0, 64, 2)))
    return frozenset(fingerprints)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse, convert and describe key usages and extended key usages."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import der

with contextlib.suppress(ImportError):
    from cryptography import x509

# Each entry has the name in OpenSSL, the spellings of cfssl, and the name in cryptography.
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
CA_KEY_USAGES = frozenset({"keyCertSign", "cRLSign"})
# A key type does not allow these usages (RFC 3279, 5480, 8410). Profiles of cfssl set
# keyEncipherment for every type.
_IMPOSSIBLE = {
    "RSA": frozenset({"keyAgreement", "encipherOnly", "decipherOnly"}),
    "ECC": frozenset({"keyEncipherment", "dataEncipherment"}),
    "Ed25519": frozenset(
        {"keyEncipherment", "dataEncipherment", "keyAgreement", "encipherOnly", "decipherOnly"}
    ),
}


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char not in " _-")


_USAGES = {
    _plain(spelling): (field, name)
    for field, table in (("key_usage", _KEY_USAGES), ("extended_key_usage", _EXTENDED_KEY_USAGES))
    for name, others, _library in table
    for spelling in (name, *others)
}
_NAMES_OF_IDENTIFIERS = {identifier: name for name, _others, identifier in _EXTENDED_KEY_USAGES}
# The second number after 0 or 1 is at most 39 (X.660).
_OBJECT_IDENTIFIER = re.compile(
    r"([01]\.[1-3]?[0-9]|2\.(0|[1-9][0-9]{0,9}))(\.(0|[1-9][0-9]{0,9})){1,20}"
)
_LIBRARY_USAGE = {name: library for name, _others, library in (*_KEY_USAGES, *_EXTENDED_KEY_USAGES)}


def parse_usages(
    names: t.Iterable[object], option: str, fields: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Sort usages into the fields key_usage and extended_key_usage.

    A name can have the spelling of OpenSSL or cfssl. An extended key usage can also be an object
    identifier, such as 1.3.6.1.5.5.7.3.17. Raises X509Error for a name that belongs to none of
    `fields`. `option` is the name of the option.
    """
    sorted_names: dict[str, list[str]] = {field: [] for field in fields}
    for name in names:
        field, canonical = _USAGES.get(_plain(str(name)), _identify(str(name)))
        if field not in fields:
            allowed = sorted({known for kind, known in _USAGES.values() if kind in fields})
            raise X509Error(
                f"unknown usage {str(name)[:80]!a}; use one of {', '.join(allowed)}", option=option
            )
        if canonical not in sorted_names[field]:
            sorted_names[field].append(canonical)
    return {field: tuple(sorted(values)) for field, values in sorted_names.items()}


def _identify(text: str) -> tuple[str, str]:
    """Return the field and the name of an object identifier; empty texts for any other text."""
    if not _OBJECT_IDENTIFIER.fullmatch(text):
        return "", ""
    if any(int(number) > der.MAX_OID_NUMBER for number in text.split(".")):
        return "", ""
    return "extended_key_usage", _NAMES_OF_IDENTIFIERS.get(text, text)


def select_usable(key_usage: tuple[str, ...], key_type: str) -> tuple[str, ...]:
    """Return the key usages that a key of this type allows; raise X509Error if it allows none."""
    usable = tuple(usage for usage in key_usage if usage not in _IMPOSSIBLE[key_type])
    if not usable:
        raise X509Error(
            f"a key of type {key_type} cannot be used for {', '.join(key_usage)}; add"
            " digitalSignature",
            option="key_usage",
        )
    return usable


def build_key_usage(names: t.Iterable[str]) -> x509.KeyUsage:
    """Convert key usages to the type of the cryptography library."""
    selected = set(names)
    return x509.KeyUsage(**{library: name in selected for name, _others, library in _KEY_USAGES})


def describe_key_usage(usage: x509.KeyUsage) -> list[str]:
    """Return the names of key usages, sorted."""
    names = []
    for name, _others, library in _KEY_USAGES:
        if library in ("encipher_only", "decipher_only") and not usage.key_agreement:
            continue
        if getattr(usage, library):
            names.append(name)
    return sorted(names)


def build_extended_key_usage(names: t.Iterable[str]) -> x509.ExtendedKeyUsage:
    """Convert extended key usages to the type of the cryptography library."""
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids_of(names).values()])


def oids_of(names: t.Iterable[str]) -> dict[str, str]:
    """Return the object identifiers of extended key usages, by name."""
    return {name: _LIBRARY_USAGE.get(name, name) for name in names}


def describe_extended_key_usage(usage: t.Iterable[x509.ObjectIdentifier]) -> list[str]:
    """Return the names of extended key usages, sorted; for an unknown usage, its identifier."""
    identifiers = [oid.dotted_string for oid in usage]
    return sorted(_NAMES_OF_IDENTIFIERS.get(text, text) for text in identifiers)

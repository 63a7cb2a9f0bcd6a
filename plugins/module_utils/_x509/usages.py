# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    X509Error,
)

with contextlib.suppress(ImportError):
    from cryptography import x509

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


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char not in " _-")


_USAGES = {
    _plain(spelling): (field, name)
    for field, table in (("key_usage", _KEY_USAGES), ("extended_key_usage", _EXTENDED_KEY_USAGES))
    for name, others, _library in table
    for spelling in (name, *others)
}
_LIBRARY_USAGE = {name: library for name, _others, library in (*_KEY_USAGES, *_EXTENDED_KEY_USAGES)}


def parse_usages(
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


def build_key_usage(names: t.Iterable[str]) -> x509.KeyUsage:
    """Return the library's form of key usages."""
    chosen = set(names)
    return x509.KeyUsage(**{library: name in chosen for name, _others, library in _KEY_USAGES})


def describe_key_usage(usage: x509.KeyUsage) -> list[str]:
    """Return the names of key usages, sorted."""
    found = []
    for name, _others, library in _KEY_USAGES:
        if library in ("encipher_only", "decipher_only") and not usage.key_agreement:
            continue
        if getattr(usage, library):
            found.append(name)
    return sorted(found)


def build_extended_key_usage(names: t.Iterable[str]) -> x509.ExtendedKeyUsage:
    """Return the library's form of extended key usages."""
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(_LIBRARY_USAGE[name]) for name in names])


def describe_extended_key_usage(usage: t.Iterable[x509.ObjectIdentifier]) -> list[str]:
    """Return the names of extended key usages, sorted; one without a name shows its object identifier."""
    names = {oid: name for name, _others, oid in _EXTENDED_KEY_USAGES}
    return sorted(names.get(oid.dotted_string, oid.dotted_string) for oid in usage)

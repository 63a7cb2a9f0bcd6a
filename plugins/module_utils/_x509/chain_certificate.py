# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse the part of a certificate that decides about a chain, as Kubernetes parses it.

Kubernetes uses the package crypto/x509 of Go. The functions reject what that package rejects.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import der, name_constraints
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.key_info import (
    find_key_problem,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import DAMAGE_ERRORS

with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

ANY_USAGE = "2.5.29.37.0"
_KEY_CERT_SIGN_BIT = 5
# Go evaluates these extensions, or ignores their content. SubjectKeyIdentifier,
# AuthorityKeyIdentifier and AuthorityInfoAccess must not be critical.
_KEY_USAGE, _BASIC, _ALT_NAME, _CONSTRAINTS = "2.5.29.15", "2.5.29.19", "2.5.29.17", "2.5.29.30"
_EXTENDED, _POLICY_CONSTRAINTS = "2.5.29.37", "2.5.29.36"
_SUBJECT_KEY, _AUTHORITY_KEY, _ACCESS = "2.5.29.14", "2.5.29.35", "1.3.6.1.5.5.7.1.1"
_NEVER_CRITICAL = {
    _SUBJECT_KEY: "subjectKeyIdentifier",
    _AUTHORITY_KEY: "authorityKeyIdentifier",
    _ACCESS: "authorityInfoAccess",
}
_REQUIRE_EXPLICIT_POLICY = 0
_MAX_PATH_LENGTH = (1 << 63) - 1
_PRINTABLE = re.compile(rb"[A-Za-z0-9'()+,./: =?*&-]*")


def _is_utf8(content: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        content.decode()
        return True
    return False


def _is_bmp(content: bytes) -> bool:
    points = [int.from_bytes(content[i : i + 2], "big") for i in range(0, len(content), 2)]
    return len(content) % 2 == 0 and not any(
        point >= 0xFFFE or 0xFDD0 <= point <= 0xFDEF or 0xD800 <= point <= 0xDFFF
        for point in points
    )


_TEXT_CHECKS: dict[int, t.Callable[[bytes], bool]] = {
    der.UTF8_STRING: _is_utf8,
    der.NUMERIC_STRING: lambda content: not content.strip(b"0123456789 "),
    der.PRINTABLE_STRING: lambda content: _PRINTABLE.fullmatch(content) is not None,
    der.T61_STRING: lambda _content: True,
    der.IA5_STRING: bytes.isascii,
    der.BMP_STRING: _is_bmp,
}
"""The formats of names by tag, each with the function that checks the content."""


class UnusableError(ValueError):
    """Kubernetes cannot use the certificate; the message completes "the certificate …"."""


class _Extension(t.NamedTuple):
    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True)
class ChainCertificate:
    """The part of a certificate that decides about a chain.

    Names of issuer and subject are DER, because Go compares them byte by byte. `unhandled`
    describes the critical parts that Go does not evaluate.
    """

    certificate: x509.Certificate
    version: int
    issuer: bytes
    subject: bytes
    key_info: bytes
    public_key: t.Any
    not_before: datetime
    not_after: datetime
    is_ca: bool | None = None  # None without basicConstraints
    path_length: int | None = None
    can_sign_by_key_usage: bool = True
    extended_usages: tuple[str, ...] = ()
    alt_name_bytes: bytes | None = None
    alt_names: tuple[name_constraints.Name, ...] = ()
    constraints: name_constraints.Constraints | None = None
    unhandled: tuple[str, ...] = ()
    requires_policy: bool = False
    subject_key: bytes = b""
    authority_key: bytes = b""

    def allows(self, usage: str) -> bool:
        """Whether the extended key usages of this certificate allow a usage."""
        return not self.extended_usages or bool({usage, ANY_USAGE} & {*self.extended_usages})


def parse_chain_certificate(certificate: x509.Certificate) -> ChainCertificate:
    """Parse a certificate. Raises UnusableError for what Kubernetes cannot use."""
    try:
        return _parse(certificate)
    except UnusableError:
        raise
    except der.DerError as error:
        raise UnusableError(f"is malformed: {error}") from None
    except DAMAGE_ERRORS:
        raise UnusableError("is malformed") from None


def _parse(certificate: x509.Certificate) -> ChainCertificate:
    encoded = certificate.public_bytes(serialization.Encoding.DER)
    tbs, algorithm, signature = der.read_single(encoded, der.SEQUENCE).children()
    fields = der.require(tbs, der.SEQUENCE).children()
    version = 1
    if fields[0].tag == der.context_tag(0, constructed=True):
        [number] = fields.pop(0).children()
        version = der.read_integer(number) + 1
    serial, inner_algorithm, issuer, _validity, subject, key_info, *optional = fields
    if not 1 <= version <= 3:
        raise UnusableError("has an unknown version")
    if der.read_integer(serial) < 0:
        raise UnusableError("has a negative serial number")
    for name in (issuer, subject):
        _check_name(name)
    der.read_oid(inner_algorithm.children()[0])
    if der.read_bit_string(signature)[1]:
        raise UnusableError("has a signature with unused bits")
    if inner_algorithm.encoded != algorithm.encoded:
        raise UnusableError("names two different signature algorithms")
    public = read_public_key(certificate)
    key_problem = find_key_problem(key_info, public)
    if key_problem:
        raise UnusableError(key_problem)
    begins, ends = read_validity(certificate)
    parts: dict[str, t.Any] = {
        "certificate": certificate,
        "version": version,
        "issuer": issuer.encoded,
        "subject": subject.encoded,
        "key_info": key_info.encoded,
        "public_key": public,
        "not_before": begins,
        "not_after": ends,
    }
    return ChainCertificate(**parts, **_interpret(_read_extensions(version, optional)))


def _check_name(name: der.Element) -> None:
    """Raise DerError for a name of issuer or subject that Go cannot decode."""
    for group in der.require(name, der.SEQUENCE).children():
        for attribute in der.require(group, der.SET).children():
            oid, value = der.require(attribute, der.SEQUENCE).children()
            der.read_oid(oid)
            check = _TEXT_CHECKS.get(value.tag)
            if check is None or not check(value.content):
                raise der.DerError("a name in a format that is not text")


def _read_extensions(version: int, optional: t.Sequence[der.Element]) -> list[_Extension]:
    """Return the extensions; Go ignores those of a certificate that is not of version 3."""
    tag = der.context_tag(3, constructed=True)
    found = [part for part in optional if part.tag == tag]
    if version != 3 or not found:
        return []
    [sequence] = found[0].children()
    extensions = [_read_extension(entry) for entry in sequence.children()]
    if len({extension.oid for extension in extensions}) != len(extensions):
        raise UnusableError("has an extension twice")
    return extensions


def _read_extension(entry: der.Element) -> _Extension:
    oid, *flags, value = der.require(entry, der.SEQUENCE).children()
    critical = False
    if flags:
        [flag] = flags
        critical = der.read_boolean(flag)
    return _Extension(der.read_oid(oid), critical, der.require(value, der.OCTET_STRING).content)


def _interpret(extensions: t.Iterable[_Extension]) -> dict[str, t.Any]:
    """Return the fields of ChainCertificate that the extensions set."""
    fields: dict[str, t.Any] = {}
    unhandled: list[str] = []
    for oid, critical, value in extensions:
        if critical and oid in _NEVER_CRITICAL:
            raise UnusableError(f"marks the extension {_NEVER_CRITICAL[oid]} as critical")
        reader = _READERS.get(oid)
        part, kinds = reader(value) if reader else ({}, [f"the extension {oid}"])
        fields |= part
        unhandled += kinds if critical else []
    return fields | {"unhandled": tuple(unhandled)}


_Interpretation = tuple[dict[str, t.Any], list[str]]
"""Fields of ChainCertificate, and descriptions of what Go does not evaluate."""


def _read_basic(value: bytes) -> _Interpretation:
    parts = der.read_single(value, der.SEQUENCE).children()
    is_ca, path_length = False, None
    if parts and parts[0].tag == der.BOOLEAN:
        is_ca = der.read_boolean(parts.pop(0))
    if parts and parts[0].tag == der.INTEGER:
        path_length = der.read_integer(parts[0])
        if not 0 <= path_length <= _MAX_PATH_LENGTH:
            raise der.DerError("a path length that is negative or too large")
    return {"is_ca": is_ca, "path_length": path_length}, []


def _read_key_usage(value: bytes) -> _Interpretation:
    bits, _unused = der.read_bit_string(der.read_single(value, der.BIT_STRING))
    is_empty = not any(bits)
    can_sign = is_empty or bool(bits[0] & 0x80 >> _KEY_CERT_SIGN_BIT)
    return {"can_sign_by_key_usage": can_sign}, []


def _read_extended(value: bytes) -> _Interpretation:
    usages = der.read_single(value, der.SEQUENCE).children()
    return {"extended_usages": tuple(der.read_oid(usage) for usage in usages)}, []


def _read_alt_names(value: bytes) -> _Interpretation:
    names = [
        name_constraints.parse_name(entry.tag, entry.content)
        for entry in der.read_single(value, der.SEQUENCE).children()
    ]
    known = tuple(name for name in names if name is not None)
    unhandled = (
        [] if known else ["a subjectAltName without a DNS name, IP address, e-mail address or URI"]
    )
    return {"alt_names": known, "alt_name_bytes": value}, unhandled


def _read_constraints(value: bytes) -> _Interpretation:
    constraints = name_constraints.parse_constraints(value)
    return {"constraints": constraints}, [
        f"name constraints of the kind {kind}" for kind in constraints.unhandled
    ]


def _read_policy_constraints(value: bytes) -> _Interpretation:
    entries = der.read_single(value, der.SEQUENCE).children()
    for entry in entries:
        _require_int64(der.decode_integer(entry.content))
    numbers = [entry.tag for entry in entries]
    return {"requires_policy": der.context_tag(_REQUIRE_EXPLICIT_POLICY) in numbers}, []


def _read_inhibited_policy(value: bytes) -> _Interpretation:
    _require_int64(der.read_integer(der.read_single(value, der.INTEGER)))
    return {}, []


def _require_int64(number: int) -> None:
    if not -(1 << 63) <= number < 1 << 63:
        raise der.DerError("a number that is too large")


def _read_policies(value: bytes) -> _Interpretation:
    policies = [
        der.read_raw_oid(der.require(policy, der.SEQUENCE).children()[0])
        for policy in der.read_single(value, der.SEQUENCE).children()
    ]
    if len({*policies}) != len(policies):
        raise der.DerError("a certificate policy twice")
    return {}, []


def _read_policy_mappings(value: bytes) -> _Interpretation:
    for mapping in der.read_single(value, der.SEQUENCE).children():
        issuer, subject, *_more = der.require(mapping, der.SEQUENCE).children()
        for policy in (issuer, subject):
            der.require(policy, der.OBJECT_IDENTIFIER)
    return {}, []


def _read_access(value: bytes) -> _Interpretation:
    for entry in der.read_single(value, der.SEQUENCE).children():
        der.read_oid(der.require(entry, der.SEQUENCE).children()[0])
    return {}, []


def _read_distribution_points(value: bytes) -> _Interpretation:
    constructed = der.context_tag(0, constructed=True)
    for point in der.read_single(value, der.SEQUENCE).children():
        first = der.require(point, der.SEQUENCE).children()[:1]
        if first and first[0].tag == constructed:
            der.require(first[0].children()[0], constructed).children()
    return {}, []


def _read_subject_key(value: bytes) -> _Interpretation:
    return {"subject_key": der.read_single(value, der.OCTET_STRING).content}, []


def _read_authority_key(value: bytes) -> _Interpretation:
    parts = der.read_single(value, der.SEQUENCE).children()
    found = parts[:1] if parts and parts[0].tag == der.context_tag(0) else []
    return {"authority_key": found[0].content if found else b""}, []


_READERS: dict[str, t.Callable[[bytes], _Interpretation]] = {
    _BASIC: _read_basic,
    _KEY_USAGE: _read_key_usage,
    _EXTENDED: _read_extended,
    _ALT_NAME: _read_alt_names,
    _CONSTRAINTS: _read_constraints,
    _POLICY_CONSTRAINTS: _read_policy_constraints,
    _SUBJECT_KEY: _read_subject_key,
    _AUTHORITY_KEY: _read_authority_key,
    _ACCESS: _read_access,
    "2.5.29.31": _read_distribution_points,
    "2.5.29.32": _read_policies,
    "2.5.29.33": _read_policy_mappings,
    "2.5.29.54": _read_inhibited_policy,
}

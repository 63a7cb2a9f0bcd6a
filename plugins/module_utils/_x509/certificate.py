# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse and serialize certificates, and read their fields."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import der
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    DAMAGE_ERRORS,
    LIBRARY_ERRORS,
    require_cryptography,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    describe_encoded_name,
    describe_general_names,
    describe_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import split_certificates
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.signatures import (
    read_signature_algorithm,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import (
    format_utc,
    to_utc,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    describe_extended_key_usage,
    describe_key_usage,
)

with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

_NameField = t.Literal["issuer", "subject"]
_NAME_POSITIONS = {"issuer": 2, "subject": 4}
"""The positions of the names in a certificate, without the optional version."""
CertificateFields = dict[str, t.Any]
Chain = t.Sequence["x509.Certificate | None"]
"""A certificate and its intermediates. If a certificate cannot be parsed, its entry is None."""


def parse_certificates(content: bytes) -> list[x509.Certificate | None]:
    """Return the certificates of a PEM text in order, None for each that cannot be parsed.

    Raises LibraryError.
    """
    require_cryptography()
    return [_parse(block) for block in split_certificates(content)]


def _parse(block: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(block)
    except LIBRARY_ERRORS:
        return None  # Each version of the library raises other types.


def parse_first_certificate(content: bytes) -> x509.Certificate | None:
    """Return the first certificate of a PEM text; None if there is none or it cannot be parsed."""
    return next(iter(parse_certificates(content)), None)


def serialize_certificate(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def serialize_chain(chain: Chain) -> bytes:
    """Return a certificate and its intermediates as PEM, without other text."""
    return b"".join(serialize_certificate(entry) for entry in chain if entry is not None)


def read_validity(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """Return the begin and end of the validity in UTC."""
    try:
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except AttributeError:  # cryptography before 42 has only these properties.
        return to_utc(certificate.not_valid_before), to_utc(certificate.not_valid_after)


def find_extension(
    certificate: x509.Certificate | x509.CertificateSigningRequest, kind: t.Any
) -> t.Any:
    """Return the value of an extension; None if it is missing."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def read_public_key(certificate: x509.Certificate) -> t.Any:
    """Return the public key; None if the library does not support its type."""
    try:
        return certificate.public_key()
    except LIBRARY_ERRORS:
        return None


def read_fields(certificate: x509.Certificate) -> CertificateFields | None:
    """Return the fields of a certificate, named like the options; None if a field is unreadable."""
    try:
        read_validity(certificate)
        basic = find_extension(certificate, x509.BasicConstraints)
        usage = find_extension(certificate, x509.KeyUsage)
        return {
            "subject": describe_subject(certificate),
            "subject_alt_name": describe_general_names(
                find_extension(certificate, x509.SubjectAlternativeName) or ()
            ),
            "key_usage": describe_key_usage(usage) if usage else [],
            "extended_key_usage": describe_extended_key_usage(
                find_extension(certificate, x509.ExtendedKeyUsage) or ()
            ),
            "is_ca": bool(basic and basic.ca),
            "path_length": basic.path_length if basic else None,
            "name_constraints": _read_name_constraints(certificate),
            "digest": _read_digest(certificate),
            "issuer": describe_issuer(certificate),
        }
    except LIBRARY_ERRORS:
        return None


def describe_subject(certificate: x509.Certificate) -> dict[str, t.Any]:
    """Return the subject like `describe_name`. Raises the errors of the library."""
    return _describe(certificate, "subject")


def describe_issuer(certificate: x509.Certificate) -> dict[str, t.Any]:
    """Return the issuer like `describe_name`. Raises the errors of the library."""
    return _describe(certificate, "issuer")


def format_subject(certificate: x509.Certificate) -> str:
    """Return the subject on one line, in the format of RFC 4514."""
    return _format(certificate, "subject")


def format_issuer(certificate: x509.Certificate) -> str:
    """Return the issuer on one line, in the format of RFC 4514."""
    return _format(certificate, "issuer")


def _format(certificate: x509.Certificate, field: _NameField) -> str:
    with contextlib.suppress(*LIBRARY_ERRORS):
        return str(getattr(certificate, field).rfc4514_string())
    try:
        name = _describe(certificate, field)
    except DAMAGE_ERRORS:
        return "unreadable"
    parts = [
        f"{key}={value}"
        for key, values in name.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    return ",".join(reversed(parts))  # RFC 4514 begins with the last attribute.


def _describe(certificate: x509.Certificate, field: _NameField) -> dict[str, t.Any]:
    try:
        return describe_name(getattr(certificate, field))
    except LIBRARY_ERRORS:  # The library rejects T61 that is not UTF-8.
        return describe_encoded_name(_encode_name(certificate, field))


def encode_subject(certificate: x509.Certificate) -> bytes:
    """Return the subject in the DER of the certificate."""
    return _encode_name(certificate, "subject")


def encode_issuer(certificate: x509.Certificate) -> bytes:
    """Return the issuer in the DER of the certificate."""
    return _encode_name(certificate, "issuer")


def _encode_name(certificate: x509.Certificate, field: _NameField) -> bytes:
    encoded = certificate.public_bytes(serialization.Encoding.DER)
    tbs = der.read_single(encoded, der.SEQUENCE).children()[0]
    fields = [field for field in tbs.children() if field.tag in (der.INTEGER, der.SEQUENCE)]
    return fields[_NAME_POSITIONS[field]].encoded


def _read_digest(certificate: x509.Certificate) -> str | None:
    """Return the name of the signature's hash; None for a signature without a separate hash."""
    algorithm = read_signature_algorithm(certificate)
    if algorithm is not None:
        return algorithm.hash_name or None
    try:
        digest = certificate.signature_hash_algorithm
    except LIBRARY_ERRORS:
        return "unknown"
    return digest.name if digest else "unknown"


def _read_name_constraints(certificate: x509.Certificate) -> dict[str, list[str]]:
    limits = find_extension(certificate, x509.NameConstraints)
    return {
        "permitted": describe_general_names((limits and limits.permitted_subtrees) or ()),
        "excluded": describe_general_names((limits and limits.excluded_subtrees) or ()),
    }


def read_identity(certificate: x509.Certificate | None, now: datetime) -> CertificateFields:
    """Return serial number, validity, days left and fingerprint; all None without certificate."""
    if certificate is None:
        return dict.fromkeys(
            ("serial_number", "not_before", "not_after", "days_left", "fingerprint_sha256")
        )
    begins, ends = read_validity(certificate)
    return {
        "serial_number": f"{certificate.serial_number:X}",
        "not_before": format_utc(begins),
        "not_after": format_utc(ends),
        "days_left": (ends - now) // timedelta(days=1),
        "fingerprint_sha256": compute_fingerprint(certificate),
    }


def compute_fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint in the format of openssl."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()

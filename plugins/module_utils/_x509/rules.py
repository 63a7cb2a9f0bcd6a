# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check the rules that every certificate must satisfy.

A rule returns the problems of a certificate as text. If the result is empty, the certificate
satisfies the rule. The rules for keys are in `keys`, for name constraints in `names`, and for CAs
that sign in `authority`.
"""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    Chain,
    describe_issuer,
    describe_subject,
    encode_issuer,
    encode_subject,
    find_extension,
    read_fields,
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.chain import (
    UNTRUSTED,
    find_chain_problem,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.chain_certificate import (
    UnusableError,
    parse_chain_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_x509_name,
    describe_name,
    parse_alt_names,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.signatures import (
    has_valid_signature,
    read_signature_algorithm,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import select_usable

with contextlib.suppress(ImportError):
    from cryptography import x509

REQUIRED_USAGES = ("clientAuth", "serverAuth")
_STRONG_DIGESTS = ("sha256", "sha384", "sha512", None)
_MAX_SERIAL_NUMBER_BITS = 160


class Problem(t.NamedTuple):
    """The reason why a certificate cannot be used, and what to do; "" without advice."""

    reason: str
    advice: str = ""


# --- validity and renewal


def check_validity(certificate: x509.Certificate, now: datetime) -> str:
    """Return why the certificate is not valid at this time; "" if it is valid."""
    begins, ends = read_validity(certificate)
    if ends <= now:
        return f"expired on {format_utc(ends)}"
    if begins > now:
        return f"is not valid before {format_utc(begins)}"
    return ""


def check_renewal_window(
    certificate: x509.Certificate, window: timedelta, latest_end: datetime, now: datetime
) -> str:
    """Return a reason if the certificate is in its renewal window; otherwise "".

    `latest_end` is the latest possible end of a new certificate. A certificate that would not end
    later than the existing one is not renewed.
    """
    ends = read_validity(certificate)[1]
    if now < ends - window or ends >= latest_end:
        return ""
    return f"ends on {format_utc(ends)}, within {_durations.format_duration(window)}"


def check_renewal(
    certificate: x509.Certificate,
    spec: CertificateSpec,
    ca_end: datetime | None,
    now: datetime,
    *,
    windowed: bool = True,
) -> list[str]:
    """Return the reasons to issue a certificate again because of its validity.

    `ca_end` is the end of its CA, None for a self-signed certificate. Without `windowed`, the
    renewal window is not considered.
    """
    invalid = check_validity(certificate, now)
    problems = [invalid] if invalid else []
    ends = read_validity(certificate)[1]
    latest_end = now + spec.valid_for
    if ca_end and spec.clamp:
        latest_end = min(latest_end, ca_end)
    window = spec.renewal_window.of(spec.valid_for)
    due = check_renewal_window(certificate, window, latest_end, now) if windowed else ""
    if due and ends > now:
        problems.append(due)
    if ca_end and ends > ca_end:
        problems.append(
            f"ends on {format_utc(ends)}, after its CA, which ends on {format_utc(ca_end)}"
        )
    return problems


# --- issuer and chain


def check_issuer(
    certificate: x509.Certificate, issuer: x509.Certificate | None, public: t.Any
) -> list[str]:
    """Return the signs that the issuer with the public key `public` did not sign a certificate.

    If `issuer` is None, the certificate must be self-signed.
    """
    parent = certificate if issuer is None else issuer
    if describe_issuer(certificate) != describe_subject(parent):
        return []  # compare_fields reports the issuer.
    if encode_issuer(certificate) != encode_subject(parent):
        # Kubernetes compares the bytes. This collection issues with the encoding of the CA.
        return ["the issuer is encoded differently from the subject of the CA"]
    if not has_valid_signature(certificate, public):
        return ["the signature is not from the current key of the CA"]
    authority_identifier = _read_key_identifiers(certificate)[0]
    parent_identifier = _read_key_identifiers(parent)[1]
    if issuer is not None and authority_identifier is None:
        return ["the authority key identifier is missing"]
    if authority_identifier and parent_identifier and authority_identifier != parent_identifier:
        return ["the authority key identifier does not match the CA"]
    return []


def has_signed(parent: x509.Certificate, child: x509.Certificate) -> bool:
    """Whether `parent` is the issuer of `child` by name and signature."""
    try:
        issuer, issued = parse_chain_certificate(parent), parse_chain_certificate(child)
    except UnusableError:
        return False
    return issued.issuer == issuer.subject and has_valid_signature(child, issuer.public_key)


def check_chain(
    chain: Chain, anchors: t.Sequence[x509.Certificate], ca: str, now: datetime
) -> t.Iterator[Problem]:
    """Yield the problem for which Kubernetes, which trusts the anchors, rejects the certificate.

    `chain` is the certificate and its intermediates. `ca` names the anchors in the message. The
    validity and the usages of the certificate itself are those of `check_use`.
    """
    leaf, *intermediates = (entry for entry in chain if entry is not None)
    usages = (read_fields(leaf) or {}).get("extended_key_usage", [])
    allows_all = not usages or "anyExtendedKeyUsage" in usages
    required = [usage for usage in REQUIRED_USAGES if allows_all or usage in usages]
    problem = find_chain_problem(
        leaf, intermediates, anchors, now, required, check_leaf_validity=False
    )
    if problem == UNTRUSTED:
        yield Problem(
            f"is not signed by {ca}",
            "request a certificate from this CA, or set the CA that signed it",
        )
    elif problem:
        yield Problem(problem, f"request a certificate for which {ca} leads to a valid chain")


def is_damaged(certificate: x509.Certificate) -> bool:
    """Whether a self-signed certificate has an invalid signature of an accepted algorithm."""
    authority_identifier, identifier = _read_key_identifiers(certificate)
    self_issued = describe_issuer(certificate) == describe_subject(certificate)
    return (
        self_issued
        and authority_identifier in (None, identifier)
        and read_signature_algorithm(certificate) is not None
        and not has_valid_signature(certificate, read_public_key(certificate))
    )


def _read_key_identifiers(certificate: x509.Certificate) -> tuple[bytes | None, bytes | None]:
    """Return the key identifiers of the issuer and of the certificate itself."""
    authority, subject = (
        find_extension(certificate, kind)
        for kind in (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier)
    )
    return authority and authority.key_identifier, subject and subject.digest


# --- content


def find_defects(certificate: x509.Certificate) -> list[str]:
    """Return the defects that a certificate from this collection must not have."""
    unknown = [
        entry.oid.dotted_string
        for entry in certificate.extensions
        if entry.critical and isinstance(entry.value, x509.UnrecognizedExtension)
    ]
    problems = [f"the critical extension {oid} is unknown" for oid in unknown]
    if not 0 < certificate.serial_number < 1 << _MAX_SERIAL_NUMBER_BITS:
        problems.append("the serial number is not positive, or longer than 20 octets")
    return problems


def check_use(
    leaf: x509.Certificate, fields: CertificateFields, now: datetime
) -> t.Iterator[Problem]:
    """Yield the problems for a client and server, except those of names, key and CA."""
    begins, ends = read_validity(leaf)
    if ends <= now:
        yield Problem(check_validity(leaf, now), "request a new certificate")
    elif begins > now:
        yield Problem(
            check_validity(leaf, now),
            "wait until then, or compare the clock with the clock of the CA",
        )
    if fields["is_ca"]:
        yield Problem("is the certificate of a CA", "request a certificate for a client and server")
    if fields["key_usage"] and "digitalSignature" not in fields["key_usage"]:
        yield Problem("cannot sign a TLS handshake: its keyUsage lacks digitalSignature")
    usages = fields["extended_key_usage"]
    missing = [usage for usage in REQUIRED_USAGES if usage not in usages]
    if usages and "anyExtendedKeyUsage" not in usages and missing:
        yield Problem(
            f"is used by client and server, but its extendedKeyUsage lacks {' and '.join(missing)}"
        )


def check_names(fields: CertificateFields, alt_names: t.Sequence[str]) -> t.Iterator[Problem]:
    """Yield a problem if the certificate lacks subject alternative names."""
    expected = parse_alt_names(alt_names)
    missing = [name for name in expected if name not in fields["subject_alt_name"]]
    if missing:
        yield Problem(
            f"lacks the subject alternative names {', '.join(missing)}",
            "request a certificate with these names",
        )


# --- comparison with a specification


def expect_fields(
    spec: CertificateSpec, key_type: str, issuer: x509.Certificate | None
) -> CertificateFields:
    """Return the fields of the specified certificate, which is self-signed without an issuer."""
    subject = describe_name(build_x509_name(spec.subject))
    return {
        "subject": subject,
        "subject_alt_name": sorted(spec.subject_alt_name),
        "key_usage": sorted(select_usable(spec.key_usage, key_type)),
        "extended_key_usage": sorted(spec.extended_key_usage),
        "is_ca": spec.is_ca,
        "path_length": spec.path_length,
        "name_constraints": {
            "permitted": sorted(spec.permitted),
            "excluded": sorted(spec.excluded),
        },
        "digest": spec.digest,
        "issuer": subject if issuer is None else describe_subject(issuer),
    }


def compare_fields(actual: CertificateFields, expected: CertificateFields) -> list[str]:
    """Return the differences between the actual and the expected fields of a certificate."""
    differences = []
    for field, value in expected.items():
        if field == "digest" and value is None:
            if actual[field] not in _STRONG_DIGESTS:
                differences.append(f"the digest is {actual[field]}, which is too weak")
        elif field == "name_constraints":
            for side in ("permitted", "excluded"):
                differences += _compare_values(
                    f"name_constraints.{side}", actual[field][side], value[side]
                )
        else:
            differences += _compare_values(field, actual[field], value)
    return differences


def _compare_values(field: str, actual: object, expected: object) -> list[str]:
    if actual == expected:
        return []
    if isinstance(actual, list) and isinstance(expected, list):
        missing = sorted(set(expected) - set(actual))
        extra = sorted(set(actual) - set(expected))
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"also has {', '.join(extra)}"] if extra else []
        return [f"{field} {' and '.join(parts)}"]
    return [f"{field} is {_format_value(actual)}, expected {_format_value(expected)}"]


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={part}" for key, part in value.items()) or "empty"
    return "none" if value is None else str(value)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    _list,
    find_extension,
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    has_valid_signature,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_x509_name,
    describe_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import (
    format_utc,
)

with contextlib.suppress(ImportError):
    from cryptography import x509

_STRONG = ("sha256", "sha384", "sha512", None)


def find_defects(certificate: x509.Certificate) -> list[str]:
    """Return what makes verifiers refuse a certificate whatever it is for, in words; none for a sound one."""
    unknown = [
        found.oid.dotted_string
        for found in certificate.extensions
        if found.critical and isinstance(found.value, x509.UnrecognizedExtension)
    ]
    faults = [f"the critical extension {oid} is unknown" for oid in unknown]
    if not 0 < certificate.serial_number < 1 << 160:
        faults.append("the serial number is not positive, or longer than 20 octets")
    return faults


def expect_fields(
    wanted: CertificateSpec, key_type: str, issuer: x509.Name | None
) -> CertificateFields:
    """Return the facts of the certificate that is wanted; without an issuer, it signs itself."""
    own = build_x509_name(wanted.subject)
    return {
        "subject": describe_name(own),
        "subject_alt_name": _list(wanted.subject_alt_name),
        "key_usage": _list(wanted.usable_by(key_type)),
        "extended_key_usage": _list(wanted.extended_key_usage),
        "is_ca": wanted.is_ca,
        "path_length": wanted.path_length,
        "name_constraints": {
            "permitted": _list(wanted.permitted),
            "excluded": _list(wanted.excluded),
        },
        "digest": wanted.digest,
        "issuer": describe_name(own if issuer is None else issuer),
    }


def compare_fields(have: CertificateFields, want: CertificateFields) -> list[str]:
    """Return every difference between a certificate and what is wanted, in words."""
    found = []
    for field, value in want.items():
        if field == "digest" and value is None:
            if have[field] not in _STRONG:
                found.append(f"the digest is {have[field]}, which is too weak")
        elif field == "name_constraints":
            for side in ("permitted", "excluded"):
                found += _difference(f"name_constraints.{side}", have[field][side], value[side])
        else:
            found += _difference(field, have[field], value)
    return found


def _difference(field: str, have: object, want: object) -> list[str]:
    if have == want:
        return []
    if isinstance(have, list) and isinstance(want, list):
        missing, foreign = (
            sorted(set(one) - set(other)) for one, other in ((want, have), (have, want))
        )
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [
            f"has {', '.join(foreign)} too"
        ] * bool(foreign)
        return [f"{field} {' and '.join(parts)}"]
    return [f"{field} is {_words(have)}, wanted {_words(want)}"]


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={part}" for key, part in value.items()) or "empty"
    return "none" if value is None else str(value)


def check_issuer(
    certificate: x509.Certificate, issuer: x509.Certificate | None, public: t.Any
) -> list[str]:
    """Return why a certificate does not chain to its issuer, whose public key this is; without one, to itself."""
    parent = certificate if issuer is None else issuer
    if certificate.issuer != parent.subject:
        return []  # told as a difference of the issuer field already
    if not has_valid_signature(certificate, public, certificate.tbs_certificate_bytes):
        return ["the signature is not by the CA's present key"]
    named, own = _identifiers(certificate)[0], _identifiers(parent)[1]
    if issuer is not None and named is None:
        return ["the authority key identifier is missing"]
    return (
        ["the authority key identifier is not the CA's"] if named and own and named != own else []
    )


def has_chain(
    leaf: x509.Certificate, between: list[x509.Certificate], anchors: t.Iterable[x509.Certificate]
) -> bool:
    """Tell whether an anchor signed a certificate, or one of the intermediates through which the signatures go on."""
    anchors, reached = list(anchors), [leaf]
    for child in reached:  # which grows while it is walked
        if any(has_signed(anchor, child) for anchor in anchors):
            return True
        parents = [other for other in between if has_signed(other, child)]
        between = [other for other in between if other not in parents]
        reached += parents
    return False


def has_signed(parent: x509.Certificate, child: x509.Certificate) -> bool:
    """Tell whether a certificate is signed by another one's key, and names it as its issuer."""
    try:
        return bool(
            child.issuer == parent.subject
            and has_valid_signature(child, parent.public_key(), child.tbs_certificate_bytes)
        )
    except Exception:
        return False  # a name or a kind of key that this version of the library does not know


def is_damaged(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate says that it signed itself, and did not."""
    named, own = _identifiers(certificate)
    alone = certificate.issuer == certificate.subject and named in (None, own)
    return alone and not has_valid_signature(
        certificate, read_public_key(certificate), certificate.tbs_certificate_bytes
    )


def _identifiers(certificate: x509.Certificate) -> tuple[bytes | None, bytes | None]:
    """Return the key identifiers of a certificate's issuer and of itself."""
    authority, own = (
        find_extension(certificate, kind)
        for kind in (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier)
    )
    return authority and authority.key_identifier, own and own.digest


def check_renewal(
    certificate: x509.Certificate, wanted: CertificateSpec, limit: datetime | None, now: datetime
) -> list[str]:
    """Return why a certificate has to be renewed for its validity period, in words; *limit* is when its CA ends."""
    begins, ends = read_validity(certificate)
    possible = now + wanted.valid_for
    if limit and wanted.clamp:
        possible = min(possible, limit)
    due = now <= ends <= now + wanted.renew_before and possible > ends
    faults = (
        (begins > now, f"not valid before {format_utc(begins)}"),
        (ends < now, f"expired on {format_utc(ends)}"),
        (
            due,
            f"ends on {format_utc(ends)}, within {_durations.format_duration(wanted.renew_before)}",
        ),
        (
            limit and ends > limit,
            f"ends on {format_utc(ends)}, after its CA, which ends on {limit and format_utc(limit)}",
        ),
    )
    return [words for fault, words in faults if fault]

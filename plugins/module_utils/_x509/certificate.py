# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Certificates: parse, describe, compare with what is wanted, and issue them."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import keys
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import names as _names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import pem as _pem
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import wanted as _wanted
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.base import stamp, utc

with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

_STRONG = ("sha256", "sha384", "sha512", None)
_REQUESTED = "1.2.840.113549.1.9.14"  # the attribute of a request that holds its extensions

Facts = dict[str, t.Any]


def parse(content: bytes) -> list[x509.Certificate | None]:
    """Return the certificates in PEM form, in order, with None for each that cannot be read."""
    return [_load(block) for block in _pem.blocks(content)]


def _load(block: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(block)
    except Exception:
        return None  # the library's parsers raise many kinds over the versions


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def validity(certificate: x509.Certificate) -> tuple[datetime, datetime]:
    """Return when a certificate begins and ends, which cryptography tells in two ways."""
    try:
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except AttributeError:
        return utc(certificate.not_valid_before), utc(certificate.not_valid_after)


def extension(certificate: x509.Certificate | x509.CertificateSigningRequest, kind: t.Any) -> t.Any:
    """Return the value of an extension, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def public_key(certificate: x509.Certificate) -> t.Any:
    """Return the public key of a certificate, or None where it is of a kind that the library does not know."""
    try:
        return certificate.public_key()
    except Exception:
        return None


def oddities(certificate: x509.Certificate) -> list[str]:
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


def _list(values: t.Iterable[str] | None) -> list[str]:
    return sorted(values or ())


def facts(certificate: x509.Certificate) -> Facts | None:
    """Return the fields of a certificate under the names of the options; None where it cannot be read."""
    try:
        validity(certificate)
        basic = extension(certificate, x509.BasicConstraints)
        limits = extension(certificate, x509.NameConstraints)
        usage = extension(certificate, x509.KeyUsage)
        digest = certificate.signature_hash_algorithm
        return {
            "subject": _names.described(certificate.subject),
            "subject_alt_name": _names.described_general(
                extension(certificate, x509.SubjectAlternativeName) or ()
            ),
            "key_usage": _wanted.described_key_usage(usage) if usage else [],
            "extended_key_usage": _wanted.described_extended_key_usage(
                extension(certificate, x509.ExtendedKeyUsage) or ()
            ),
            "is_ca": bool(basic and basic.ca),
            "path_length": basic.path_length if basic else None,
            "name_constraints": {
                "permitted": _names.described_general(limits.permitted_subtrees or ())
                if limits
                else [],
                "excluded": _names.described_general(limits.excluded_subtrees or ())
                if limits
                else [],
            },
            "digest": digest.name if digest else None,
            "issuer": _names.described(certificate.issuer),
        }
    except Exception:
        return None


def identity(certificate: x509.Certificate | None, now: datetime) -> Facts:
    """Return serial number, times, days left and fingerprint of a certificate; nulls for one that is still to be issued."""
    if certificate is None:
        return dict.fromkeys(
            ("serial_number", "not_before", "not_after", "days_left", "fingerprint_sha256")
        )
    begins, ends = validity(certificate)
    return {
        "serial_number": f"{certificate.serial_number:X}",
        "not_before": stamp(begins),
        "not_after": stamp(ends),
        "days_left": (ends - now) // timedelta(days=1),
        "fingerprint_sha256": fingerprint(certificate),
    }


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, as openssl writes it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def expected(wanted: _wanted.Wanted, key_type: str, issuer: x509.Name | None) -> Facts:
    """Return the facts of the certificate that is wanted; without an issuer, it signs itself."""
    own = _names.to_x509_name(wanted.subject)
    return {
        "subject": _names.described(own),
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
        "issuer": _names.described(own if issuer is None else issuer),
    }


def differences(have: Facts, want: Facts) -> list[str]:
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


def chain_faults(
    certificate: x509.Certificate, issuer: x509.Certificate | None, public: t.Any
) -> list[str]:
    """Return why a certificate does not chain to its issuer, whose public key this is; without one, to itself."""
    parent = certificate if issuer is None else issuer
    if certificate.issuer != parent.subject:
        return []  # told as a difference of the issuer field already
    if not keys.signature_holds(certificate, public, certificate.tbs_certificate_bytes):
        return ["the signature is not by the CA's present key"]
    named, own = _identifiers(certificate)[0], _identifiers(parent)[1]
    if issuer is not None and named is None:
        return ["the authority key identifier is missing"]
    return (
        ["the authority key identifier is not the CA's"] if named and own and named != own else []
    )


def chains(
    leaf: x509.Certificate, between: list[x509.Certificate], anchors: t.Iterable[x509.Certificate]
) -> bool:
    """Tell whether an anchor signed a certificate, or one of the intermediates through which the signatures go on."""
    anchors, reached = list(anchors), [leaf]
    for child in reached:  # which grows while it is walked
        if any(signs(anchor, child) for anchor in anchors):
            return True
        parents = [other for other in between if signs(other, child)]
        between = [other for other in between if other not in parents]
        reached += parents
    return False


def signs(parent: x509.Certificate, child: x509.Certificate) -> bool:
    """Tell whether a certificate is signed by another one's key, and names it as its issuer."""
    try:
        return bool(
            child.issuer == parent.subject
            and keys.signature_holds(child, parent.public_key(), child.tbs_certificate_bytes)
        )
    except Exception:
        return False  # a name or a kind of key that this version of the library does not know


def damaged(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate says that it signed itself, and did not."""
    named, own = _identifiers(certificate)
    alone = certificate.issuer == certificate.subject and named in (None, own)
    return alone and not keys.signature_holds(
        certificate, public_key(certificate), certificate.tbs_certificate_bytes
    )


def _identifiers(certificate: x509.Certificate) -> tuple[bytes | None, bytes | None]:
    """Return the key identifiers of a certificate's issuer and of itself."""
    authority, own = (
        extension(certificate, kind)
        for kind in (x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier)
    )
    return authority and authority.key_identifier, own and own.digest


def time_faults(
    certificate: x509.Certificate, wanted: _wanted.Wanted, limit: datetime | None, now: datetime
) -> list[str]:
    """Return why a certificate has to be renewed for its validity period, in words; *limit* is when its CA ends."""
    begins, ends = validity(certificate)
    possible = now + wanted.valid_for
    if limit and wanted.clamp:
        possible = min(possible, limit)
    due = now <= ends <= now + wanted.renew_before and possible > ends
    faults = (
        (begins > now, f"not valid before {stamp(begins)}"),
        (ends < now, f"expired on {stamp(ends)}"),
        (due, f"ends on {stamp(ends)}, within {_durations.format_duration(wanted.renew_before)}"),
        (
            limit and ends > limit,
            f"ends on {stamp(ends)}, after its CA, which ends on {limit and stamp(limit)}",
        ),
    )
    return [words for fault, words in faults if fault]


class Times(t.NamedTuple):
    """The validity period of a new certificate, and the end it would have had without its CA's; all in UTC."""

    not_before: datetime
    not_after: datetime
    unclamped: datetime

    @property
    def clamped(self) -> bool:
        """Whether the CA ends first."""
        return self.not_after != self.unclamped


def times(wanted: _wanted.Wanted, issuer: x509.Certificate | None, now: datetime) -> Times:
    """Return the validity period of a new certificate; X509Error where it would exceed its CA's and may not be clamped."""
    begins, ends = now - wanted.backdate, now + wanted.valid_for
    if issuer is None:
        return Times(begins, ends, ends)
    first, last = validity(issuer)
    if ends > last and not wanted.clamp:
        raise X509Error(
            f"the certificate would end on {stamp(ends)}, after its CA, which ends on {stamp(last)}:"
            " shorten valid_for, renew the CA, or set not_after_policy to clamp",
            option="valid_for",
        )
    return Times(max(begins, first), min(ends, last), ends)


def build(
    wanted: _wanted.Wanted,
    public: t.Any,
    issuer: x509.Certificate | None,
    private: t.Any,
    validity_: Times,
) -> x509.Certificate:
    """Issue a certificate for a public key, signed by the issuer's private key; without an issuer, by its own."""
    key_type = keys.kind(public).type
    name = _names.to_x509_name(wanted.subject)
    signer = private.public_key()
    identifier = extension(issuer, x509.SubjectKeyIdentifier) if issuer is not None else None
    authority = (
        x509.AuthorityKeyIdentifier(identifier.digest, None, None)
        if identifier
        else x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity_.not_before)
        .not_valid_after(validity_.not_after)
        .add_extension(x509.BasicConstraints(wanted.is_ca, wanted.path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(authority, critical=False)
    )
    for value, critical in _asked_extensions(wanted, key_type):
        builder = builder.add_extension(value, critical=critical)
    if wanted.permitted or wanted.excluded:
        sides = (
            [_names.to_general_name(entry) for entry in side] or None
            for side in (wanted.permitted, wanted.excluded)
        )
        builder = builder.add_extension(x509.NameConstraints(*sides), critical=True)
    return builder.sign(private, keys.signing_hash(private, wanted.digest))


def _asked_extensions(wanted: _wanted.Wanted, key_type: str) -> t.Iterator[tuple[t.Any, bool]]:
    """Yield the extensions that a request can ask for, and whether each is critical."""
    yield _wanted.to_key_usage(wanted.usable_by(key_type)), True
    if wanted.extended_key_usage:
        yield _wanted.to_extended_key_usage(wanted.extended_key_usage), False
    if wanted.subject_alt_name:
        names = [_names.to_general_name(entry) for entry in wanted.subject_alt_name]
        yield x509.SubjectAlternativeName(names), not wanted.subject


def request(private: t.Any, wanted: _wanted.Wanted | None = None) -> bytes:
    """Return a signing request in PEM form, which proves possession of the private key.

    Without *wanted* it holds nothing but the public key, for a signer who decides about all else.
    """
    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(
        x509.Name([]) if wanted is None else _names.to_x509_name(wanted.subject)
    )
    if wanted is not None:
        for value, critical in _asked_extensions(wanted, keys.kind(private.public_key()).type):
            builder = builder.add_extension(value, critical=critical)
    return builder.sign(private, keys.signing_hash(private, None)).public_bytes(
        serialization.Encoding.PEM
    )


def requested_key(csr: object) -> t.Any:
    """Return the public key of a signing request of :func:`request` that holds nothing else.

    Raises X509Error for one that asks for a subject or extensions, has a bad signature, a weak key, or cannot be read.
    """
    return _request(csr, None).public_key()


def requested(csr: object, wanted: _wanted.Wanted) -> tuple[t.Any, bytes]:
    """Return the public key of a signing request of :func:`request` for *wanted*, and the request as PEM.

    Raises X509Error as :func:`requested_key` does, and for one that asks for anything else than *wanted*.
    """
    found = _request(csr, wanted)
    return found.public_key(), found.public_bytes(serialization.Encoding.PEM)


def _request(csr: object, wanted: _wanted.Wanted | None) -> x509.CertificateSigningRequest:
    try:
        found = x509.load_pem_x509_csr(str(csr).encode("ascii"))
        public, content, asks = found.public_key(), found.tbs_certrequest_bytes, _asks(found)
    except Exception:
        raise X509Error(
            "the host's signing request cannot be read: look at who answers there"
        ) from None
    if wanted is None and asks != _asks(None):
        raise X509Error(
            "the host's signing request asks for a subject or extensions, which are not its to choose: refused"
        )
    if not keys.signature_holds(found, public, content):
        raise X509Error("the host's signing request is not signed with its own key: refused")
    weak = keys.weakness(public)
    if weak:
        raise X509Error(f"the host's signing request is for {weak}")
    if wanted is not None:
        other = sorted(
            name for name, value in _wanted_asks(wanted, public).items() if asks[name] != value
        )
        if other:
            raise X509Error(
                f"the host's signing request asks for another {' and '.join(other)} than the task: refused"
            )
    return found


def _asks(found: x509.CertificateSigningRequest | None) -> Facts:
    """Return what a request asks for, under the names of the options; nothing for None."""
    if found is None:
        return {
            "subject": {},
            "subject_alt_name": [],
            "key_usage": [],
            "extended_key_usage": [],
            "extension": [],
        }
    known = (x509.SubjectAlternativeName, x509.KeyUsage, x509.ExtendedKeyUsage)
    names, usage, extended = (extension(found, kind) for kind in known)
    return {
        "subject": _names.described(found.subject),
        "subject_alt_name": _names.described_general(names or ()),
        "key_usage": _wanted.described_key_usage(usage) if usage else [],
        "extended_key_usage": _wanted.described_extended_key_usage(extended or ()),
        # A CA may follow an attribute, such as the name of a template; cryptography before 36 tells of none.
        "extension": [
            entry.oid.dotted_string
            for entry in found.extensions
            if not isinstance(entry.value, known)
        ]
        + [
            entry.oid.dotted_string
            for entry in getattr(found, "attributes", ())
            if entry.oid.dotted_string != _REQUESTED
        ],
    }


def _wanted_asks(wanted: _wanted.Wanted, public: t.Any) -> Facts:
    facts_ = expected(wanted, keys.kind(public).type, None)
    return {name: facts_.get(name, value) for name, value in _asks(None).items()}

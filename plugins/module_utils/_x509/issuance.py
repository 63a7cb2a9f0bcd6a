# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Issue certificates with a validity and the extensions of their specification."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    find_extension,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    choose_hash,
    key_kind_of,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_general_name,
    build_x509_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    build_extended_key_usage,
    build_key_usage,
    select_usable,
)

with contextlib.suppress(ImportError):
    from cryptography import x509


class ValidityPeriod(t.NamedTuple):
    """The validity of a new certificate in UTC; `unclamped` is the end that valid_for sets."""

    not_before: datetime
    not_after: datetime
    unclamped: datetime

    @property
    def clamped(self) -> bool:
        """Whether the certificate ends with its CA, before the end that valid_for sets."""
        return self.not_after != self.unclamped


class Signer(t.NamedTuple):
    """The certificate and private key of the issuer; no certificate for a self-signed one."""

    certificate: x509.Certificate | None
    private: t.Any


def choose_validity(
    spec: CertificateSpec, issuer: x509.Certificate | None, now: datetime
) -> ValidityPeriod:
    """Return the validity of a new certificate.

    Raises X509Error if the certificate would end after its CA and not_after_policy is fail.
    """
    begins, ends = now - spec.backdate, now + spec.valid_for
    if issuer is None:
        return ValidityPeriod(begins, ends, ends)
    first, last = read_validity(issuer)
    if ends > last and not spec.clamp:
        raise X509Error(
            f"the certificate would end on {format_utc(ends)}, after its CA, which ends on"
            f" {format_utc(last)}; shorten valid_for, renew the CA, or set not_after_policy to"
            " clamp",
            option="valid_for",
        )
    return ValidityPeriod(max(begins, first), min(ends, last), ends)


def issue_certificate(
    spec: CertificateSpec, public: t.Any, signer: Signer, period: ValidityPeriod
) -> x509.Certificate:
    """Issue a certificate for a public key."""
    issuer = signer.certificate
    name = build_x509_name(spec.subject)
    identifier = find_extension(issuer, x509.SubjectKeyIdentifier) if issuer is not None else None
    authority = (
        x509.AuthorityKeyIdentifier(identifier.digest, None, None)
        if identifier
        else x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.private.public_key())
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(period.not_before)
        .not_valid_after(period.not_after)
        .add_extension(x509.BasicConstraints(spec.is_ca, spec.path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(authority, critical=False)
    )
    for value, critical in requested_extensions(spec, key_kind_of(public).type):
        builder = builder.add_extension(value, critical=critical)
    if spec.permitted or spec.excluded:
        sides = (
            [build_general_name(entry) for entry in side] or None
            for side in (spec.permitted, spec.excluded)
        )
        builder = builder.add_extension(x509.NameConstraints(*sides), critical=True)
    return builder.sign(signer.private, choose_hash(signer.private, spec.digest))


def requested_extensions(spec: CertificateSpec, key_type: str) -> t.Iterator[tuple[t.Any, bool]]:
    """Yield the extensions that a signing request contains, and whether each is critical."""
    yield build_key_usage(select_usable(spec.key_usage, key_type)), True
    if spec.extended_key_usage:
        yield build_extended_key_usage(spec.extended_key_usage), False
    if spec.subject_alt_name:
        names = [build_general_name(entry) for entry in spec.subject_alt_name]
        yield x509.SubjectAlternativeName(names), not spec.subject

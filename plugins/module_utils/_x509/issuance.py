# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import (
    format_utc,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    build_extended_key_usage,
    build_key_usage,
)

with contextlib.suppress(ImportError):
    from cryptography import x509


class ValidityPeriod(t.NamedTuple):
    """The validity period of a new certificate, and the end it would have had without its CA's; all in UTC."""

    not_before: datetime
    not_after: datetime
    unclamped: datetime

    @property
    def clamped(self) -> bool:
        """Whether the CA ends first."""
        return self.not_after != self.unclamped


def choose_validity(
    wanted: CertificateSpec, issuer: x509.Certificate | None, now: datetime
) -> ValidityPeriod:
    """Return the validity period of a new certificate; X509Error where it would exceed its CA's and may not be clamped."""
    begins, ends = now - wanted.backdate, now + wanted.valid_for
    if issuer is None:
        return ValidityPeriod(begins, ends, ends)
    first, last = read_validity(issuer)
    if ends > last and not wanted.clamp:
        raise X509Error(
            f"the certificate would end on {format_utc(ends)}, after its CA, which ends on {format_utc(last)}:"
            " shorten valid_for, renew the CA, or set not_after_policy to clamp",
            option="valid_for",
        )
    return ValidityPeriod(max(begins, first), min(ends, last), ends)


def issue_certificate(
    wanted: CertificateSpec,
    public: t.Any,
    issuer: x509.Certificate | None,
    private: t.Any,
    validity_: ValidityPeriod,
) -> x509.Certificate:
    """Issue a certificate for a public key, signed by the issuer's private key; without an issuer, by its own."""
    key_type = key_kind_of(public).type
    name = build_x509_name(wanted.subject)
    signer = private.public_key()
    identifier = find_extension(issuer, x509.SubjectKeyIdentifier) if issuer is not None else None
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
            [build_general_name(entry) for entry in side] or None
            for side in (wanted.permitted, wanted.excluded)
        )
        builder = builder.add_extension(x509.NameConstraints(*sides), critical=True)
    return builder.sign(private, choose_hash(private, wanted.digest))


def _asked_extensions(wanted: CertificateSpec, key_type: str) -> t.Iterator[tuple[t.Any, bool]]:
    """Yield the extensions that a request can ask for, and whether each is critical."""
    yield build_key_usage(wanted.usable_by(key_type)), True
    if wanted.extended_key_usage:
        yield build_extended_key_usage(wanted.extended_key_usage), False
    if wanted.subject_alt_name:
        names = [build_general_name(entry) for entry in wanted.subject_alt_name]
        yield x509.SubjectAlternativeName(names), not wanted.subject

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    find_extension,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import (
    _asked_extensions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    choose_hash,
    find_weakness,
    has_valid_signature,
    key_kind_of,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_x509_name,
    describe_general_names,
    describe_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import expect_fields
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    describe_extended_key_usage,
    describe_key_usage,
)

with contextlib.suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

_REQUESTED = "1.2.840.113549.1.9.14"  # the attribute of a request that holds its extensions


def create_request(private: t.Any, wanted: CertificateSpec | None = None) -> bytes:
    """Return a signing request in PEM form, which proves possession of the private key.

    Without *wanted* it holds nothing but the public key, for a signer who decides about all else.
    """
    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(
        x509.Name([]) if wanted is None else build_x509_name(wanted.subject)
    )
    if wanted is not None:
        for value, critical in _asked_extensions(wanted, key_kind_of(private.public_key()).type):
            builder = builder.add_extension(value, critical=critical)
    return builder.sign(private, choose_hash(private, None)).public_bytes(
        serialization.Encoding.PEM
    )


def verify_plain_request(csr: object) -> t.Any:
    """Return the public key of a signing request of :func:`request` that holds nothing else.

    Raises X509Error for one that asks for a subject or extensions, has a bad signature, a weak key, or cannot be read.
    """
    return _request(csr, None).public_key()


def verify_request(csr: object, wanted: CertificateSpec) -> tuple[t.Any, bytes]:
    """Return the public key of a signing request of :func:`request` for *wanted*, and the request as PEM.

    Raises X509Error as :func:`requested_key` does, and for one that asks for anything else than *wanted*.
    """
    found = _request(csr, wanted)
    return found.public_key(), found.public_bytes(serialization.Encoding.PEM)


def _request(csr: object, wanted: CertificateSpec | None) -> x509.CertificateSigningRequest:
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
    if not has_valid_signature(found, public, content):
        raise X509Error("the host's signing request is not signed with its own key: refused")
    weak = find_weakness(public)
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


def _asks(found: x509.CertificateSigningRequest | None) -> CertificateFields:
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
    names, usage, extended = (find_extension(found, kind) for kind in known)
    return {
        "subject": describe_name(found.subject),
        "subject_alt_name": describe_general_names(names or ()),
        "key_usage": describe_key_usage(usage) if usage else [],
        "extended_key_usage": describe_extended_key_usage(extended or ()),
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


def _wanted_asks(wanted: CertificateSpec, public: t.Any) -> CertificateFields:
    facts_ = expect_fields(wanted, key_kind_of(public).type, None)
    return {name: facts_.get(name, value) for name, value in _asks(None).items()}

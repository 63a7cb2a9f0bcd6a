# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Create and verify signing requests."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    find_extension,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import (
    requested_extensions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    choose_hash,
    find_weakness,
    is_same_key,
    key_kind_of,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    LIBRARY_ERRORS,
    require_cryptography,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_x509_name,
    describe_general_names,
    describe_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import expect_fields
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.signatures import (
    has_valid_signature,
)
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

_EXTENSION_REQUEST = (
    "1.2.840.113549.1.9.14"  # Object identifier of the attribute that contains the extensions.
)
_EMPTY_REQUEST: CertificateFields = {
    "subject": {},
    "subject_alt_name": [],
    "key_usage": [],
    "extended_key_usage": [],
    "extension": [],
}


def create_request(private: t.Any, spec: CertificateSpec | None = None) -> bytes:
    """Return a signing request as PEM text, which proves possession of the private key.

    Without a specification, the request contains only the public key, because the signer sets the
    content of the certificate.
    """
    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(x509.Name([]) if spec is None else build_x509_name(spec.subject))
    if spec is not None:
        for value, critical in requested_extensions(spec, key_kind_of(private.public_key()).type):
            builder = builder.add_extension(value, critical=critical)
    return builder.sign(private, choose_hash(private, None)).public_bytes(
        serialization.Encoding.PEM
    )


def verify_plain_request(csr: object) -> t.Any:
    """Return the public key of a signing request without other content.

    Raises X509Error if the request has a subject, extensions, an invalid signature or a weak key,
    or cannot be read.
    """
    request, fields = _load_request(csr)
    if fields != _EMPTY_REQUEST:
        raise X509Error(
            "the host's signing request contains a subject or extensions, which the controller"
            " sets; check that the host runs x509_cert of this collection"
        )
    _verify_key(request)
    return request.public_key()


def verify_request(csr: object, spec: CertificateSpec) -> tuple[t.Any, bytes]:
    """Return the public key and the PEM text of a signing request for this specification.

    Raises X509Error if the request differs from the specification, has an invalid signature or a
    weak key, or cannot be read.
    """
    request, fields = _load_request(csr)
    _verify_key(request)
    public = request.public_key()
    specified = expect_fields(spec, key_kind_of(public).type, None)
    expected = {name: specified.get(name, value) for name, value in _EMPTY_REQUEST.items()}
    different = sorted(name for name, value in expected.items() if fields[name] != value)
    if different:
        raise X509Error(
            f"the host's signing request differs from the task in {' and '.join(different)}; check"
            " that the host runs x509_cert of this collection"
        )
    return public, request.public_bytes(serialization.Encoding.PEM)


def matches_request(csr: str | None, public: t.Any, spec: CertificateSpec) -> bool:
    """Whether a signing request is for this specification and public key; None allows any key."""
    try:
        requested_key, _pem = verify_request(csr or "", spec)
    except X509Error:
        return False
    return public is None or is_same_key(requested_key, public)


def _load_request(csr: object) -> tuple[x509.CertificateSigningRequest, CertificateFields]:
    require_cryptography()
    try:
        request = x509.load_pem_x509_csr(str(csr).encode("ascii"))
        request.public_key()
        return request, _read_request(request)
    except LIBRARY_ERRORS:
        raise X509Error(
            "the host's signing request cannot be read; check that the host runs x509_cert of this"
            " collection"
        ) from None


def _verify_key(request: x509.CertificateSigningRequest) -> None:
    public = request.public_key()
    if not has_valid_signature(request, public):
        raise X509Error(
            "the host's signing request is not signed with its own key; check that the host runs"
            " x509_cert of this collection"
        )
    weakness = find_weakness(public)
    if weakness:
        raise X509Error(
            f"the host's signing request is for {weakness}; check that the host runs x509_cert of"
            " this collection"
        )


def _read_request(request: x509.CertificateSigningRequest) -> CertificateFields:
    """Return the content of a request as a mapping with the keys of _EMPTY_REQUEST."""
    known = (x509.SubjectAlternativeName, x509.KeyUsage, x509.ExtendedKeyUsage)
    names, usage, extended = (find_extension(request, kind) for kind in known)
    extensions = [
        entry.oid.dotted_string
        for entry in request.extensions
        if not isinstance(entry.value, known)
    ]
    # A CA can apply an attribute, such as a template name. cryptography before 36 does not list
    # attributes.
    attributes = [
        entry.oid.dotted_string
        for entry in getattr(request, "attributes", ())
        if entry.oid.dotted_string != _EXTENSION_REQUEST
    ]
    return {
        "subject": describe_name(request.subject),
        "subject_alt_name": describe_general_names(names or ()),
        "key_usage": describe_key_usage(usage) if usage else [],
        "extended_key_usage": describe_extended_key_usage(extended or ()),
        "extension": extensions + attributes,
    }

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Verify the signatures of certificates and requests.

The library returns the parameters of RSASSA-PSS only since version 41, so this module reads them.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import der
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    DAMAGE_ERRORS,
    LIBRARY_ERRORS,
)

with contextlib.suppress(ImportError):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

# Not every public key can verify a signature.
SIGNATURE_ERRORS: tuple[type[Exception], ...] = (*LIBRARY_ERRORS, AttributeError)
_PSS, _MGF1 = "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"
_ED25519 = "1.3.101.112"
_HASHES = {
    "2.16.840.1.101.3.4.2.1": ("sha256", 32),
    "2.16.840.1.101.3.4.2.2": ("sha384", 48),
    "2.16.840.1.101.3.4.2.3": ("sha512", 64),
}
_NULL_BYTES = b"\x05\x00"


class SignatureAlgorithm(t.NamedTuple):
    """The algorithm of a signature. `scheme` is RSA, RSA-PSS, ECC or Ed25519; the hash can be ""."""

    scheme: str
    hash_name: str


# SHA-1 and MD5 are missing, because Go rejects them.
_ALGORITHMS = {
    "1.2.840.113549.1.1.11": SignatureAlgorithm("RSA", "sha256"),
    "1.2.840.113549.1.1.12": SignatureAlgorithm("RSA", "sha384"),
    "1.2.840.113549.1.1.13": SignatureAlgorithm("RSA", "sha512"),
    "1.2.840.10045.4.3.2": SignatureAlgorithm("ECC", "sha256"),
    "1.2.840.10045.4.3.3": SignatureAlgorithm("ECC", "sha384"),
    "1.2.840.10045.4.3.4": SignatureAlgorithm("ECC", "sha512"),
    _ED25519: SignatureAlgorithm("Ed25519", ""),
}


def read_signature_algorithm(signed: t.Any) -> SignatureAlgorithm | None:
    """Return the algorithm of a certificate or request; None if Kubernetes does not accept it."""
    try:
        encoded = signed.public_bytes(serialization.Encoding.DER)
        _tbs, algorithm, _signature = der.read_single(encoded, der.SEQUENCE).children()
        oid, *parameters = algorithm.children()
        name = der.read_oid(oid)
        if name == _PSS:
            return _read_pss(parameters)
    except DAMAGE_ERRORS:  # DerError is a ValueError.
        return None
    if name == _ED25519 and parameters:
        return None
    return _ALGORITHMS.get(name)


def _read_pss(parameters: t.Sequence[der.Element]) -> SignatureAlgorithm | None:
    """Return the algorithm for the parameters that Go accepts, None for others.

    Both hashes must be equal, and the salt must have the length of the hash.
    """
    [sequence] = parameters
    fields = {field.tag & 0x1F: field.children()[0] for field in sequence.children()}
    if not {0, 1, 2} <= fields.keys():
        return None  # The defaults are SHA-1.
    digest, inner = _read_hash(fields[0]), fields[1].children()
    if der.read_oid(inner[0]) != _MGF1 or _read_hash(inner[1]) != digest:
        return None
    trailer = der.read_integer(fields[3]) if 3 in fields else 1
    name, size = _HASHES.get(digest, ("", 0))
    is_valid = trailer == 1 and der.read_integer(fields[2]) == size
    return SignatureAlgorithm("RSA-PSS", name) if name and is_valid else None


def _read_hash(algorithm: der.Element) -> str:
    oid, *parameters = algorithm.children()
    if any(entry.encoded != _NULL_BYTES for entry in parameters):
        raise der.DerError("a hash with parameters")
    return der.read_oid(oid)


def has_valid_signature(signed: t.Any, public: t.Any) -> bool:
    """Whether this key made the signature of a certificate or request, in a way that Go accepts."""
    algorithm = read_signature_algorithm(signed)
    if algorithm is None:
        return False
    content = getattr(signed, "tbs_certificate_bytes", None) or signed.tbs_certrequest_bytes
    try:
        _verify(public, signed.signature, content, algorithm)
    except SIGNATURE_ERRORS:
        return False
    return True


def _verify(public: t.Any, signature: bytes, content: bytes, algorithm: SignatureAlgorithm) -> None:
    """Raise an error of SIGNATURE_ERRORS if the signature is invalid."""
    kinds: dict[str, t.Any] = {
        "RSA": rsa.RSAPublicKey,
        "RSA-PSS": rsa.RSAPublicKey,
        "ECC": ec.EllipticCurvePublicKey,
        "Ed25519": ed25519.Ed25519PublicKey,
    }
    if not isinstance(public, kinds[algorithm.scheme]):
        raise TypeError("the key is of another type")
    key: t.Any = public
    if algorithm.scheme == "Ed25519":
        key.verify(signature, content)
        return
    digest = getattr(hashes, algorithm.hash_name.upper())()
    if algorithm.scheme == "ECC":
        key.verify(signature, content, ec.ECDSA(digest))
    elif algorithm.scheme == "RSA":
        key.verify(signature, content, padding.PKCS1v15(), digest)
    else:
        salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
        key.verify(signature, content, salted, digest)

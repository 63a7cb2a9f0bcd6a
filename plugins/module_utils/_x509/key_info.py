# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check the public key of a certificate with the rules of Go's crypto/x509 and crypto/rsa."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import der
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import encode_public_key

with contextlib.suppress(ImportError):
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_RSA_PSS = "1.2.840.113549.1.1.10"
_CURVES = ("secp224r1", "secp256r1", "secp384r1", "secp521r1")
_UNCOMPRESSED_POINT = b"\x04"
"""First byte of a point. Old versions of the library write a point in the form that they read."""
_MIN_RSA_BITS = 1024
_MAX_RSA_EXPONENT = (1 << 31) - 1


def find_key_problem(key_info: der.Element, public: t.Any) -> str:
    """Return why Kubernetes cannot use a public key; "" if it can.

    `key_info` is the field subjectPublicKeyInfo, and `public` is its key, None if the library does
    not support it. The text completes "the certificate …". Raises DerError.
    """
    algorithm, bits = der.require(key_info, der.SEQUENCE).children()
    if der.read_oid(der.require(algorithm, der.SEQUENCE).children()[0]) == _RSA_PSS:
        return (
            "has a public key of the type RSASSA-PSS, which Kubernetes does not support (it supports"
            " signatures with RSASSA-PSS by keys of the type RSA)"
        )
    problem = ""
    if isinstance(public, rsa.RSAPublicKey):
        problem = _check_rsa(public)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name not in _CURVES:
            problem = f"has a key on the curve {public.curve.name}"
        elif der.read_bit_string(bits)[0][:1] != _UNCOMPRESSED_POINT:
            problem = "has a compressed public key"
    elif not isinstance(public, ed25519.Ed25519PublicKey):
        problem = "has a public key that is not of the type RSA, ECC or Ed25519"
    # The library also reads other encodings.
    if not problem and encode_public_key(public) != key_info.encoded:
        problem = "has a public key in another encoding"
    return f"{problem}, which Kubernetes does not support" if problem else ""


def _check_rsa(public: t.Any) -> str:
    exponent = public.public_numbers().e
    if public.key_size < _MIN_RSA_BITS:
        return f"has an RSA key of less than {_MIN_RSA_BITS} bits"
    if exponent > _MAX_RSA_EXPONENT or exponent % 2 == 0:
        return f"has an RSA key with a public exponent that is even or above {_MAX_RSA_EXPONENT}"
    return ""

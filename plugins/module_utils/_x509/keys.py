# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Generate, parse, serialize and validate private keys. No error contains key material."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    LIBRARY_ERRORS,
    require_cryptography,
)

with contextlib.suppress(ImportError):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

CURVES = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}
RSA_SIZES = (2048, 8192)
_MIN_RSA_EXPONENT = 65537
_MAX_PASSPHRASE_BYTES = 1023
_PEM_FORMATS = {
    b"PRIVATE KEY": "pkcs8",
    b"ENCRYPTED PRIVATE KEY": "pkcs8",
    b"RSA PRIVATE KEY": "traditional",
    b"EC PRIVATE KEY": "traditional",
}


ReadFile = t.Callable[[str], t.Optional[bytes]]
"""Function that returns the content of a file by its path; None if the file does not exist."""


def read_plain(path: str) -> bytes | None:
    """Return the content of a file that the user names; None if it does not exist.

    Raises FilesError.
    """
    return paths.read(path, follow=True)


class KeyKind(t.NamedTuple):
    """Type, size and curve of a key; None allows any size or curve."""

    type: str
    size: int | None = None
    curve: str | None = None

    def completed(self) -> KeyKind:
        """Return the kind of a new key, with the default size and curve."""
        if self.type == "RSA":
            return self._replace(size=self.size or RSA_SIZES[0])
        if self.type == "ECC":
            curve = self.curve or next(iter(CURVES))
            return self._replace(curve=curve, size=CURVES[curve])
        return self._replace(size=256)

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.type, self.curve or self.size) if part)


class PrivateKey(t.NamedTuple):
    """A private key of the cryptography library, and its format and encryption in the file.

    `format` is pkcs8 or traditional.
    """

    private: t.Any
    format: str
    encrypted: bool

    @property
    def kind(self) -> KeyKind:
        """Type, size and curve of this key."""
        return key_kind_of(self.private.public_key())


def key_kind_of(public: t.Any) -> KeyKind:
    """Return type, size and curve of a public key."""
    if isinstance(public, rsa.RSAPublicKey):
        return KeyKind("RSA", public.key_size)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return KeyKind("ECC", public.key_size, public.curve.name)
    if isinstance(public, ed25519.Ed25519PublicKey):
        return KeyKind("Ed25519", 256)
    return KeyKind(type(public).__name__.strip("_").replace("PublicKey", ""))


def find_weakness(public: t.Any) -> str | None:
    """Return why a public key is not allowed in a certificate; None if it is allowed."""
    kind = key_kind_of(public)
    if kind.type == "RSA":
        min_bits, max_bits = RSA_SIZES
        if not min_bits <= (kind.size or 0) <= max_bits:
            return (
                f"an RSA key of {kind.size} bits, outside the allowed range of {min_bits} to"
                f" {max_bits} bits"
            )
        if public.public_numbers().e < _MIN_RSA_EXPONENT:
            return f"an RSA key with a public exponent below {_MIN_RSA_EXPONENT}, which is unsafe"
    elif kind.type == "ECC":
        if kind.curve not in CURVES:
            return (
                f"a key on the curve {kind.curve}, which is not one of the curves that Kubernetes"
                f" supports ({', '.join(CURVES)})"
            )
    elif kind.type != "Ed25519":
        return f"a {kind.type} key, which is not of an allowed type (RSA, ECC or Ed25519)"
    return None


def read_passphrase(path: str | None, option: str, read: ReadFile = read_plain) -> bytes | None:
    """Return the passphrase in the first line of a file, 1 to 1023 bytes; None without a path.

    Raises X509Error, MissingError or FilesError. `option` is the name of the option.
    """
    if path is None:
        return None
    content = read(path)
    if content is None:
        raise MissingError(
            f"{path!r} does not exist; create the file with the passphrase, or unset the option",
            option=option,
        )
    passphrase = content.partition(b"\n")[0].rstrip(b"\r")
    if not passphrase or len(passphrase) > _MAX_PASSPHRASE_BYTES:
        raise X509Error(
            f"the first line of {path!r} is not a passphrase; write 1 to {_MAX_PASSPHRASE_BYTES}"
            " bytes",
            option=option,
        )
    return passphrase


def parse_private_key(
    pem: bytes, passphrase: bytes | None, path: str, passphrase_option: str = ""
) -> PrivateKey:
    """Parse the private key in a PEM text.

    Raises X509Error if the text does not contain exactly one key, or if the key is damaged. `path`
    and the name of the option for the passphrase are for the error message.
    """
    require_cryptography()
    labels = [label for label in _PEM_FORMATS if b"-----BEGIN " + label + b"-----" in pem]
    if len(labels) != 1 or pem.count(b"PRIVATE KEY-----") != 2:
        raise X509Error(
            f"{path!r} does not contain exactly one private key in PEM format; use PKCS#8, PKCS#1"
            " or SEC1"
        )
    [label] = labels
    encrypted = label.startswith(b"ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in pem
    if encrypted and passphrase is None:
        if passphrase_option:
            raise X509Error(
                f"is not set, but {path!r} is encrypted; set the file with the passphrase",
                option=passphrase_option,
            )
        raise X509Error(f"{path!r} is encrypted; set the passphrase_file option")
    try:
        private, works = _load_key(
            pem[pem.index(b"-----BEGIN " + label) :], passphrase if encrypted else None
        )
    except LIBRARY_ERRORS:  # The messages of the library are unhelpful.
        reason = (
            "the passphrase is incorrect, or the key is damaged; correct the passphrase, or replace"
            " the key"
        )
        raise X509Error(
            f"{path!r} cannot be read as a private key:"
            f" {reason if encrypted else 'it is damaged or of an unknown type; replace it'}"
        ) from None
    if not works:
        raise X509Error(
            f"{path!r} is damaged: its private and public parts do not match; replace it"
        )
    return PrivateKey(private, _PEM_FORMATS[label], encrypted)


# Cache the result, because scheduler_info reads the same key for the key pair and the kubeconfig.
# The check of an RSA key takes 30 ms.
@functools.lru_cache(maxsize=1)
def _load_key(pem: bytes, passphrase: bytes | None) -> tuple[t.Any, bool]:
    """Load a private key, and return whether it works; raise the errors of the library."""
    private = serialization.load_pem_private_key(pem, passphrase)
    return private, _works(private)


def _works(private: t.Any) -> bool:
    """Whether the key verifies its own signature, which not all versions of the library check."""
    public, digest = private.public_key(), hashes.SHA256()
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(
                private.sign(b"", padding.PKCS1v15(), digest), b"", padding.PKCS1v15(), digest
            )
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(private.sign(b"", ec.ECDSA(digest)), b"", ec.ECDSA(digest))
    except LIBRARY_ERRORS:
        return False
    return True


def generate_key(kind: KeyKind) -> t.Any:
    """Generate a private key."""
    complete = kind.completed()
    if complete.type == "RSA":
        return rsa.generate_private_key(_MIN_RSA_EXPONENT, t.cast(int, complete.size))
    if complete.type == "ECC":
        return ec.generate_private_key(getattr(ec, str(complete.curve).upper())())
    return ed25519.Ed25519PrivateKey.generate()


def serialize_key(private: t.Any, key_format: str, passphrase: bytes | None) -> bytes:
    """Return a private key as PEM text; the format "auto" is PKCS#8."""
    formats = serialization.PrivateFormat
    encryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    layout = formats.TraditionalOpenSSL if key_format == "traditional" else formats.PKCS8
    return t.cast(bytes, private.private_bytes(serialization.Encoding.PEM, layout, encryption))


def encode_public_key(public: t.Any) -> bytes:
    """Return the DER encoding of a public key, which identifies the key."""
    layout = serialization.PublicFormat.SubjectPublicKeyInfo
    return t.cast(bytes, public.public_bytes(serialization.Encoding.DER, layout))


def is_same_key(one: t.Any, other: t.Any) -> bool:
    """Whether two public keys are equal."""
    return encode_public_key(one) == encode_public_key(other)


def compare_key(
    key: PrivateKey, expected: KeyKind, key_format: str, passphrase: bytes | None
) -> tuple[list[str], list[str]]:
    """Return the differences of a key from `expected`, and those of its format and encryption."""
    kind = key.kind
    differences = []
    if kind.type != expected.type:
        differences.append(f"the key is {kind}, expected {expected}")
    elif expected.size not in (None, kind.size):
        differences.append(f"the key has {kind.size} bits, expected {expected.size}")
    elif expected.curve not in (None, kind.curve):
        differences.append(f"the key is on the curve {kind.curve}, expected {expected.curve}")
    weakness = find_weakness(key.private.public_key())
    if weakness and not differences:
        differences.append(f"the key is {weakness}")
    file_differences = []
    if key_format not in ("auto", key.format):
        file_differences.append(f"the key is in {key.format} format, expected {key_format}")
    if key.encrypted != (passphrase is not None):
        file_differences.append(f"the key is {'' if key.encrypted else 'not '}encrypted")
    return differences, file_differences


def check_digest(kind: KeyKind, digest: str | None) -> str | None:
    """Return why a key of this kind cannot sign with the digest; None if it can."""
    if kind.type == "Ed25519" and digest is not None:
        return f"is Ed25519, which needs no digest; unset digest ({digest})"
    return None


def choose_hash(private: t.Any, digest: str | None) -> t.Any:
    """Return the hash for signatures: `digest`, or by default the hash of cfssl for this key."""
    kind = key_kind_of(private.public_key())
    if kind.type == "Ed25519":
        return None
    hashes_by_size = {
        "RSA": ((4096, "sha512"), (3072, "sha384")),
        "ECC": ((521, "sha512"), (384, "sha384")),
    }[kind.type]
    name = digest or next(
        (name for min_size, name in hashes_by_size if (kind.size or 0) >= min_size), "sha256"
    )
    return getattr(hashes, name.upper())()

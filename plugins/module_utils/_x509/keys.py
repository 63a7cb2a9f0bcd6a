# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths

with contextlib.suppress(ImportError):
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

CURVES = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}
RSA_SIZES = (2048, 8192)


class KeyKind(t.NamedTuple):
    """Type, size and curve of a key; a size or curve of None asks for nothing."""

    type: str
    size: int | None = None
    curve: str | None = None

    def made(self) -> KeyKind:
        """Return the kind of a new key, with nothing left open."""
        if self.type == "RSA":
            return self._replace(size=self.size or RSA_SIZES[0])
        if self.type == "ECC":
            curve = self.curve or next(iter(CURVES))
            return self._replace(curve=curve, size=CURVES[curve])
        return self._replace(size=256)

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.type, self.curve or self.size) if part)


class PrivateKey(t.NamedTuple):
    """A private key (a cryptography object), and the format (pkcs8 or traditional) and encryption of its file."""

    private: t.Any
    format: str
    encrypted: bool

    @property
    def kind(self) -> KeyKind:
        """Its type, size and curve."""
        return key_kind_of(self.private.public_key())


def key_kind_of(public: t.Any) -> KeyKind:
    """Return the type, size and curve of a public key."""
    if isinstance(public, rsa.RSAPublicKey):
        return KeyKind("RSA", public.key_size)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return KeyKind("ECC", public.key_size, public.curve.name)
    if isinstance(public, ed25519.Ed25519PublicKey):
        return KeyKind("Ed25519", 256)
    return KeyKind(type(public).__name__.strip("_").replace("PublicKey", ""))


def find_weakness(public: t.Any) -> str | None:
    """Return why this public key is too weak for a certificate or a CA, in words; None where it is not."""
    found = key_kind_of(public)
    if found.type == "RSA":
        least, most = RSA_SIZES
        if not least <= (found.size or 0) <= most:
            return f"an RSA key of {found.size} bits: {least} to {most} are allowed"
        if public.public_numbers().e < 65537:
            return "an RSA key with a small public exponent: it is unsafe"
    elif found.type == "ECC":
        if found.curve not in CURVES:
            return f"a key on the curve {found.curve}: Kubernetes knows {', '.join(CURVES)}"
    elif found.type != "Ed25519":
        return f"a {found.type} key: RSA, ECC and Ed25519 are allowed"
    return None


def read_passphrase(path: str | None, option: str) -> bytes | None:
    """Return the passphrase (1 to 1023 bytes) in the first line of a file; raise X509Error, MissingError or FilesError."""
    if path is None:
        return None
    content = paths.read(path, limit=4096, follow=True)
    if content is None:
        raise MissingError(
            f"{path!r} does not exist: put the passphrase into it, or leave the option out",
            option=option,
        )
    secret = content.partition(b"\n")[0].rstrip(b"\r")
    if not secret or len(secret) > 1023:
        raise X509Error(
            f"{path!r} holds no passphrase of 1 to 1023 bytes on its first line", option=option
        )
    return secret


def parse_private_key(pem: bytes, secret: bytes | None, path: str) -> PrivateKey:
    """Return the private key in *pem*; raise X509Error where there is not exactly one that is whole. *path* is for the error."""
    labels = {
        b"PRIVATE KEY": "pkcs8",
        b"ENCRYPTED PRIVATE KEY": "pkcs8",
        b"RSA PRIVATE KEY": "traditional",
        b"EC PRIVATE KEY": "traditional",
    }
    found = [label for label in labels if b"-----BEGIN " + label + b"-----" in pem]
    if len(found) != 1 or pem.count(b"PRIVATE KEY-----") != 2:
        raise X509Error(
            f"{path!r} does not hold exactly one private key in PEM form (PKCS#8, PKCS#1 or SEC1)"
        )
    encrypted = found[0].startswith(b"ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in pem
    if encrypted and secret is None:
        raise X509Error(
            f"{path!r} is encrypted: name the file with its passphrase in the passphrase_file option"
        )
    start = pem.index(b"-----BEGIN " + found[0])
    try:
        private, whole = _load(pem[start:], secret if encrypted else None)
    except Exception:  # several kinds over the versions, and what they say is of no use
        why = (
            "with that passphrase, or it is damaged"
            if encrypted
            else ": it is damaged or of an unknown kind"
        )
        raise X509Error(
            f"{path!r} cannot be read as a private key{' ' if encrypted else ''}{why}"
        ) from None
    if not whole:
        raise X509Error(
            f"{path!r} is damaged: its private and its public half do not belong together"
        )
    return PrivateKey(private, labels[found[0]], encrypted)


# One question of scheduler_info reads the same key for the pair and for the kubeconfig; the library's checks of an RSA key take 30 ms.
@functools.lru_cache(maxsize=1)
def _load(pem: bytes, secret: bytes | None) -> tuple[t.Any, bool]:
    """Return a private key, and whether it is whole; raise what the library raises."""
    private = serialization.load_pem_private_key(pem, secret)
    return private, _whole(private)


def _whole(private: t.Any) -> bool:
    """Tell whether a key signs what it can verify, which not all versions of the library check."""
    public, digest = private.public_key(), hashes.SHA256()
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(
                private.sign(b"", padding.PKCS1v15(), digest), b"", padding.PKCS1v15(), digest
            )
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(private.sign(b"", ec.ECDSA(digest)), b"", ec.ECDSA(digest))
    except Exception:
        return False
    return True


def generate_key(wanted: KeyKind) -> t.Any:
    """Generate a private key."""
    made = wanted.made()
    if made.type == "RSA":
        return rsa.generate_private_key(65537, t.cast(int, made.size))
    if made.type == "ECC":
        return ec.generate_private_key(getattr(ec, str(made.curve).upper())())
    return ed25519.Ed25519PrivateKey.generate()


def serialize_key(private: t.Any, form: str, secret: bytes | None) -> bytes:
    """Return a private key as PEM; a form of "auto" is PKCS#8."""
    formats = serialization.PrivateFormat
    encryption = (
        serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    )
    layout = formats.TraditionalOpenSSL if form == "traditional" else formats.PKCS8
    return t.cast(bytes, private.private_bytes(serialization.Encoding.PEM, layout, encryption))


def encode_public_key(public: t.Any) -> bytes:
    """Return the one encoding of a public key, to compare keys by."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return t.cast(bytes, public.public_bytes(serialization.Encoding.DER, form))


def compare_key(
    key: PrivateKey, wanted: KeyKind, form: str, secret: bytes | None
) -> tuple[list[str], list[str]]:
    """Return the faults of a key, and those of its format and encryption, in words."""
    have = key.kind
    wrong = []
    if have.type != wanted.type:
        wrong.append(f"the key is {have}, wanted {wanted}")
    elif wanted.size not in (None, have.size):
        wrong.append(f"the key has {have.size} bits, wanted {wanted.size}")
    elif wanted.curve not in (None, have.curve):
        wrong.append(f"the key is on the curve {have.curve}, wanted {wanted.curve}")
    weak = find_weakness(key.private.public_key())
    if weak and not wrong:
        wrong.append(f"the key is {weak}")
    written = []
    if form not in ("auto", key.format):
        written.append(f"the key is in {key.format} form, wanted {form}")
    if key.encrypted != (secret is not None):
        written.append(f"the key is {'' if key.encrypted else 'not '}encrypted")
    return wrong, written


def has_valid_signature(signed: t.Any, public: t.Any, content: bytes) -> bool:
    """Tell whether a certificate's or request's signature over *content* was made with this key."""
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(
                signed.signature, content, padding.PKCS1v15(), signed.signature_hash_algorithm
            )
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signed.signature, content, ec.ECDSA(signed.signature_hash_algorithm))
        else:
            public.verify(signed.signature, content)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError, AttributeError):
        return False
    return True


def check_digest(found: KeyKind, digest: str | None) -> str | None:
    """Return why a key of this kind cannot sign with the digest that is asked for."""
    if found.type == "Ed25519" and digest is not None:
        return f"is Ed25519, which signs in one way only: leave digest ({digest}) out"
    return None


def choose_hash(private: t.Any, digest: str | None) -> t.Any:
    """Return the hash to sign with: the one asked for, else the one that befits the key, as cfssl chooses it."""
    found = key_kind_of(private.public_key())
    if found.type == "Ed25519":
        return None
    strength = {
        "RSA": ((4096, "sha512"), (3072, "sha384")),
        "ECC": ((521, "sha512"), (384, "sha384")),
    }[found.type]
    name = digest or next(
        (name for least, name in strength if (found.size or 0) >= least), "sha256"
    )
    return getattr(hashes, name.upper())()

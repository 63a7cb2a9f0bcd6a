# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create certificates that other tools create, and some that no tool should.

The functions write DER themselves, because each version of the cryptography library rejects some of
these certificates when it creates them.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import encode_public_key
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import LIBRARY_ERRORS
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from tests.support.pki import NOW, spare

CLIENT, SERVER, ANY = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "2.5.29.37.0"
CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
PRINTABLE, UTF8, T61, BMP = 0x13, 0x0C, 0x14, 0x1E
_COMMON_NAME = "2.5.4.3"


# --- DER


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def sequence(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def integer(number: int) -> bytes:
    size = max(1, (number.bit_length() + 8) // 8)
    return tlv(2, number.to_bytes(size, "big", signed=True))


def oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    octets = b""
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        octets += bytes(reversed(groups))
    return tlv(6, octets)


def moment(time: datetime) -> bytes:
    return tlv(0x18, time.strftime("%Y%m%d%H%M%SZ").encode())


def name(text: str | bytes, tag: int = UTF8) -> bytes:
    """Return a name with only a CN."""
    if text == "":
        return sequence()
    content = text if isinstance(text, bytes) else text.encode()
    return sequence(tlv(0x31, sequence(oid(_COMMON_NAME), tlv(tag, content))))


# --- extensions


def extension(identifier: str, value: bytes, critical: bool = False) -> bytes:
    flag = tlv(1, b"\xff") if critical else b""
    return sequence(oid(identifier), flag, tlv(4, value))


def basic(ca: bool = True, length: int | None = None, critical: bool = True) -> bytes:
    parts = [tlv(1, b"\xff")] if ca else []
    parts += [] if length is None else [integer(length)]
    return extension("2.5.29.19", sequence(*parts), critical)


def key_usage(*bits: int) -> bytes:
    value = sum(0x80 >> bit for bit in bits)
    return extension("2.5.29.15", tlv(3, b"\0", bytes([value])), True)


DIGITAL_SIGNATURE, CERT_SIGN, CRL_SIGN = 0, 5, 6


def extended(*usages: str) -> bytes:
    return extension("2.5.29.37", sequence(*map(oid, usages)))


def general_name(text: str) -> bytes:
    """Return a general name; the kind `raw` has the tag and the content in hexadecimal."""
    kind, _colon, value = text.partition(":")
    tags = {"email": 0x81, "DNS": 0x82, "URI": 0x86}
    if kind == "IP" and "/" in value:
        network = ipaddress.ip_network(value)
        return tlv(0x87, network.network_address.packed, network.netmask.packed)
    if kind == "IP":
        return tlv(0x87, ipaddress.ip_address(value).packed)
    if kind == "dirName":
        return tlv(0xA4, name(value))
    if kind == "raw":
        return tlv(int(value[:2], 16), bytes.fromhex(value[2:]))
    return tlv(tags[kind], value.encode())


def alt_names(*names: str, critical: bool = False) -> bytes:
    return extension("2.5.29.17", sequence(*map(general_name, names)), critical)


def constraints(
    permitted: Sequence[str] = (), excluded: Sequence[str] = (), critical: bool = True
) -> bytes:
    sides = [
        tlv(tag, *(sequence(general_name(entry)) for entry in side))
        for tag, side in ((0xA0, permitted), (0xA1, excluded))
        if side
    ]
    return extension("2.5.29.30", sequence(*sides), critical)


def unknown(critical: bool = True) -> bytes:
    return extension("1.3.6.1.4.1.99999.1", tlv(5), critical)


# --- certificates


class Entity(NamedTuple):
    """A certificate with its key and its subject."""

    encoded: bytes
    key: Any
    subject: bytes

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.encoded)

    @property
    def readable(self) -> x509.Certificate | None:
        """The certificate; None if the library cannot load it."""
        try:
            return self.certificate
        except LIBRARY_ERRORS:
            return None


def pem_of(entity: Entity) -> str:
    """Return PEM, also of a certificate that the library cannot load."""
    return ssl.DER_cert_to_PEM_cert(entity.encoded)


def t61_ca() -> Entity:
    """Return a CA whose name is in T61 and not UTF-8, which the library cannot decode."""
    usage = key_usage(DIGITAL_SIGNATURE, CERT_SIGN)
    return make(name("K\u00f6ln".encode("latin-1"), T61), basic(), usage)


_HASHES = {"sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1"}
_HASHES |= {"sha384": "2.16.840.1.101.3.4.2.2", "sha512": "2.16.840.1.101.3.4.2.3"}
_RSA = {"sha1": 5, "sha256": 11, "sha384": 12, "sha512": 13}
_ECDSA = {"sha1": "1", "sha256": "3.2", "sha384": "3.3", "sha512": "3.4"}


def pss_algorithm(digest: str, salt: int, inner: str | None = None) -> bytes:
    def hash_algorithm(name: str) -> bytes:
        return sequence(oid(_HASHES[name]), tlv(5))

    return sequence(
        oid("1.2.840.113549.1.1.10"),
        sequence(
            tlv(0xA0, hash_algorithm(digest)),
            tlv(0xA1, sequence(oid("1.2.840.113549.1.1.8"), hash_algorithm(inner or digest))),
            tlv(0xA2, integer(salt)),
        ),
    )


class RawRsa(NamedTuple):
    """An RSA key with parts that the library does not sign with."""

    modulus: int
    exponent: int
    secret: int

    @classmethod
    def of(cls, first: int, second: int, exponent: int) -> RawRsa:
        """Return the key of two primes."""
        return cls(first * second, exponent, pow(exponent, -1, (first - 1) * (second - 1)))

    @property
    def key_info(self) -> bytes:
        return rsa_key_info(sequence(integer(self.modulus), integer(self.exponent)))

    def sign(self, content: bytes) -> bytes:
        """Return the signature with PKCS #1 v1.5 and SHA-256."""
        size = (self.modulus.bit_length() + 7) // 8
        algorithm = sequence(oid(_HASHES["sha256"]), tlv(5))
        info = sequence(algorithm, tlv(4, hashlib.sha256(content).digest()))
        padded = b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info
        return pow(int.from_bytes(padded, "big"), self.secret, self.modulus).to_bytes(size, "big")


def rsa_key_info(key: bytes, *parameters: bytes, kind: int = 1) -> bytes:
    """Return subjectPublicKeyInfo of an RSA key, by default with the parameters NULL."""
    algorithm = sequence(oid(f"1.2.840.113549.1.1.{kind}"), *(parameters or (tlv(5),)))
    return sequence(algorithm, tlv(3, b"\0", key))


def sign(key: Any, content: bytes, algorithm: bytes, digest: str, salt: int | None) -> bytes:
    function = getattr(hashes, digest.upper())()
    if isinstance(key, RawRsa):
        return key.sign(content)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(content)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(content, ec.ECDSA(function))
    if salt is None:
        return bytes(key.sign(content, padding.PKCS1v15(), function))
    return bytes(key.sign(content, padding.PSS(padding.MGF1(function), salt), function))


def algorithm_of(key: Any, digest: str, salt: int | None) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return sequence(oid("1.3.101.112"))
    if isinstance(key, (rsa.RSAPrivateKey, RawRsa)):
        if salt is not None:
            return pss_algorithm(digest, salt)
        return sequence(oid(f"1.2.840.113549.1.1.{_RSA[digest]}"), tlv(5))
    return sequence(oid(f"1.2.840.10045.4.{_ECDSA[digest]}"))


def make(  # noqa: PLR0913
    subject: bytes | str,
    *extensions: bytes,
    issuer: Entity | None = None,
    issuer_name: bytes | None = None,
    key: Any = None,
    key_info: bytes = b"",
    number: int = 0,
    serial: int = 1000,
    version: int = 3,
    digest: str = "sha256",
    salt: int | None = None,
    begin: timedelta = timedelta(hours=-1),
    end: timedelta = timedelta(days=365),
    spoiled: bool = False,
    unused_bits: int = 0,
) -> Entity:
    """Create a certificate, self-signed without an issuer.

    `number` selects one of the ECC keys that tests share. With a `salt`, RSA signs with PSS.
    `key_info` replaces the field subjectPublicKeyInfo. With `unused_bits`, the signature declares
    its last bits as unused.
    """
    key = key or spare("ECC", number=number)
    subject = name(subject) if isinstance(subject, str) else subject
    signer = issuer.key if issuer else key
    algorithm = algorithm_of(signer, digest, salt)
    tbs = sequence(
        tlv(0xA0, integer(version - 1)) if version > 1 else b"",
        integer(serial),
        algorithm,
        issuer_name or (issuer.subject if issuer else subject),
        sequence(moment(NOW + begin), moment(NOW + end)),
        subject,
        key_info or encode_public_key(key.public_key()),
        tlv(0xA3, sequence(*extensions)) if extensions else b"",
    )
    signature = sign(signer, tbs, algorithm, digest, salt)
    while signature[-1] & (1 << unused_bits) - 1:  # Unused bits must be 0.
        signature = sign(signer, tbs, algorithm, digest, salt)
    if spoiled:
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    encoded = sequence(tbs, algorithm, tlv(3, bytes([unused_bits]), signature))
    return Entity(encoded, key, subject)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    parse_certificates,
    read_fields,
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import (
    ValidityPeriod,
    choose_validity,
    issue_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    check_digest,
    encode_public_key,
    find_weakness,
    key_kind_of,
    parse_private_key,
    read_passphrase,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    find_disallowed_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import (
    find_defects,
    is_damaged,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc

with contextlib.suppress(ImportError):
    from cryptography import x509


class CertificateAuthority(t.NamedTuple):
    """The CA that signs; C(private) is its private key (a cryptography object), None where only the certificate is known."""

    certificate: x509.Certificate
    private: t.Any = None


def load_authority(path: str, key_path: str, passphrase_path: str | None) -> CertificateAuthority:
    """Return the CA of these files; of several certificates in one file, the one that the key belongs to.

    Raises MissingError for a file that does not exist, FilesError for one that cannot be read, and X509Error for a key that
    others may read, is damaged, or belongs to none of the certificates.
    """
    content = _required(path, "ca_path")
    pem = _required(key_path, "ca_privatekey_path")
    if os.stat(key_path).st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise X509Error(
            f"others can read or change {key_path!r}: chmod it to 0600, and ask who did",
            option="ca_privatekey_path",
        )
    key = parse_private_key(
        pem, read_passphrase(passphrase_path, "ca_privatekey_passphrase_file"), key_path
    )
    public = encode_public_key(key.private.public_key())
    found = [
        certificate
        for certificate in parse_authorities(content, path)
        if encode_public_key(read_public_key(certificate)) == public
    ]
    if not found:
        raise X509Error(
            f"{key_path!r} is not the key of the certificate in {path!r}: give the pair",
            option="ca_privatekey_path",
        )
    return CertificateAuthority(_latest(found), key.private)


def load_authority_certificate(path: str) -> CertificateAuthority:
    """Return the CA of this file without its key, for a caller that only compares.

    Raises X509Error where the file holds several CAs, of which only a key could tell the one that signs.
    """
    found = parse_authorities(_required(path, "ca_path"), path)
    if len({encode_public_key(read_public_key(certificate)) for certificate in found}) > 1:
        raise X509Error(
            f"{path!r} holds several CAs, and without a key nothing tells which one signs: name a file with that one",
            option="ca_path",
        )
    return CertificateAuthority(_latest(found))


def _latest(found: list[x509.Certificate]) -> x509.Certificate:
    """Return the certificate that ends last: a CA that was renewed with its key may lie beside its former self."""
    return max(found, key=lambda certificate: read_validity(certificate)[1])


def parse_authorities(content: bytes, path: str) -> list[x509.Certificate]:
    """Return the certificates in the content of a CA's file; raise X509Error where there is none. *path* is for the error."""
    found = [
        certificate
        for certificate in parse_certificates(content)
        if certificate is not None and read_fields(certificate) and read_public_key(certificate)
    ]
    if not found:
        raise X509Error(f"{path!r} holds no readable certificate in PEM form", option="ca_path")
    return found


def _required(path: str, option: str) -> bytes:
    content = paths.read(path, follow=True)
    if content is None:
        raise MissingError(
            f"{path!r} does not exist: make the CA first (is_ca), or name where it is",
            option=option,
        )
    return content


def check_authority(
    authority: CertificateAuthority, path: str, wanted: CertificateSpec, now: datetime
) -> None:
    """Raise X509Error where this CA cannot sign the certificate that is wanted; *path* is for the error."""
    certificate = authority.certificate
    have = t.cast(CertificateFields, read_fields(certificate))
    begins, ends = read_validity(certificate)
    usages = have["extended_key_usage"]
    foreign = sorted(set(wanted.extended_key_usage) - set(usages)) if usages else []
    length = have["path_length"]
    public, odd = read_public_key(certificate), find_defects(certificate)
    weak, unable = find_weakness(public), check_digest(key_kind_of(public), wanted.digest)
    faults = (
        (not have["is_ca"], "is not a CA: its basicConstraints do not say CA:TRUE"),
        (
            "keyCertSign" not in have["key_usage"],
            "may not sign certificates: its keyUsage lacks keyCertSign",
        ),
        (not have["subject"], "has no subject, so that no certificate can name it as its issuer"),
        (begins > now, f"is not valid before {format_utc(begins)}"),
        (ends <= now, f"expired on {format_utc(ends)}"),
        (weak, f"has {weak}"),
        (unable, f"{unable}"),
        (is_damaged(certificate), "is damaged: its own signature does not hold"),
        (odd, f"is refused by verifiers: {'; '.join(odd)}"),
        (wanted.is_ca and length == 0, "may not sign other CAs: its pathLen is 0"),
        (
            wanted.is_ca
            and length
            and (wanted.path_length is None or wanted.path_length >= length),
            f"has pathLen {length}: path_length has to be less",
        ),
        (
            foreign and "anyExtendedKeyUsage" not in usages,
            f"may not sign for {', '.join(foreign)}: its own extendedKeyUsage",
        ),
    )
    for fault, words in faults:
        if fault:
            raise X509Error(f"{path!r} {words}", option="ca_path")
    outside = find_disallowed_name(wanted.subject_alt_name, **have["name_constraints"])
    if outside:
        raise X509Error(
            f"{path!r} may not sign for {outside}: its name constraints", option="ca_path"
        )


def sign_certificate(
    authority: CertificateAuthority, wanted: CertificateSpec, public: t.Any, now: datetime
) -> tuple[x509.Certificate, ValidityPeriod]:
    """Return a certificate for a public key, and its times; raise X509Error where it would outlive its CA."""
    times = choose_validity(wanted, authority.certificate, now)
    return issue_certificate(wanted, public, authority.certificate, authority.private, times), times

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Load, check and use certificate authorities."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    encode_subject,
    parse_certificates,
    read_fields,
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.chain import (
    find_anchor_problem,
    find_limit,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import (
    Signer,
    ValidityPeriod,
    choose_validity,
    issue_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    ReadFile,
    check_digest,
    encode_public_key,
    find_weakness,
    key_kind_of,
    parse_private_key,
    read_passphrase,
    read_plain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import LIBRARY_ERRORS
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import is_damaged
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import oids_of

with contextlib.suppress(ImportError):
    from cryptography import x509


PASSPHRASE_OPTION = "ca_privatekey_passphrase_file"
_VAULT_HEADER = b"$ANSIBLE_VAULT;"


class CertificateAuthority(t.NamedTuple):
    """The certificate of a CA, and its private key; None if only the certificate is known."""

    certificate: x509.Certificate
    private: t.Any = None


def load_authority(
    path: str, key_path: str, passphrase_path: str | None, read: ReadFile = read_plain
) -> CertificateAuthority:
    """Load a CA with its key. If the file has several certificates, use the one that has this key.

    `read` returns the content of a file, decrypted if Ansible Vault encrypts the file.

    Raises MissingError if a file does not exist, and FilesError if it cannot be read. Raises
    X509Error if other users can access the key, or if the key is damaged or belongs to no
    certificate.
    """
    content = _read_required(path, "ca_path", read)
    key_pem = _read_required(key_path, "ca_privatekey_path", read)
    # Other users can read a key that Ansible Vault encrypts, such as a key in a repository.
    forbidden = stat.S_IWGRP | (stat.S_IWOTH if _is_vault(key_path) else stat.S_IRWXO)
    if os.stat(key_path).st_mode & forbidden:
        raise X509Error(
            f"other users can read or change {key_path!r}; chmod it to 0600 and find out which"
            " users had access",
            option="ca_privatekey_path",
        )
    passphrase = read_passphrase(passphrase_path, PASSPHRASE_OPTION, read)
    key = parse_private_key(key_pem, passphrase, key_path, PASSPHRASE_OPTION)
    public = encode_public_key(key.private.public_key())
    matching = [
        certificate
        for certificate in parse_authorities(content, path)
        if encode_public_key(read_public_key(certificate)) == public
    ]
    if not matching:
        raise X509Error(
            f"{key_path!r} is not the key of a certificate in {path!r}; set a matching"
            " certificate and key",
            option="ca_privatekey_path",
        )
    return CertificateAuthority(_select_latest(matching), key.private)


def _is_vault(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(_VAULT_HEADER)) == _VAULT_HEADER


def load_authority_certificate(path: str, read: ReadFile = read_plain) -> CertificateAuthority:
    """Load a CA without its key, to compare certificates only.

    Raises X509Error if the file has several CAs, because only the key shows which one signs.
    """
    certificates = parse_authorities(_read_required(path, "ca_path", read), path)
    public_keys = {encode_public_key(read_public_key(entry)) for entry in certificates}
    if len(public_keys) > 1:
        raise X509Error(
            f"{path!r} contains several CAs, and without a key the signing CA is unknown; set a"
            " file that contains only the signing CA",
            option="ca_path",
        )
    return CertificateAuthority(_select_latest(certificates))


def _select_latest(certificates: list[x509.Certificate]) -> x509.Certificate:
    """Return the certificate that ends last; a file can contain a CA and its renewal."""
    return max(certificates, key=lambda certificate: read_validity(certificate)[1])


def parse_authorities(content: bytes, path: str) -> list[x509.Certificate]:
    """Return the readable certificates of a CA file; raise X509Error if there are none.

    `path` is for the error message.
    """
    certificates = [
        certificate
        for certificate in parse_certificates(content)
        if certificate is not None and read_public_key(certificate) is not None
    ]
    if not certificates:
        raise X509Error(
            f"{path!r} contains no readable certificate in PEM format; correct the path or the"
            " content of the file",
            option="ca_path",
        )
    return certificates


def _read_required(path: str, option: str, read: ReadFile) -> bytes:
    content = read(path)
    if content is None:
        raise MissingError(
            f"{path!r} does not exist; create the CA first (is_ca), or correct the path",
            option=option,
        )
    return content


def check_anchor(
    certificate: x509.Certificate, path: str, spec: CertificateSpec, now: datetime
) -> None:
    """Raise X509Error if Kubernetes would reject each such certificate from the CA.

    `path` is for the error message.
    """
    _raise_first(path, _find_anchor_problems(certificate, spec, now))


def check_authority(
    certificate: x509.Certificate, path: str, spec: CertificateSpec, now: datetime
) -> None:
    """Raise X509Error if the CA cannot sign the specified certificate.

    The rules for a CA that signs are stricter than those of `check_anchor`. `path` is for the error
    message.
    """
    _raise_first(path, _find_anchor_problems(certificate, spec, now))
    _raise_first(path, _find_signing_problems(certificate, spec))


def _raise_first(path: str, problems: t.Iterator[str]) -> None:
    problem = next(problems, None)
    if problem is not None:
        raise X509Error(f"{path!r} {problem}", option="ca_path")


def _find_anchor_problems(
    certificate: x509.Certificate, spec: CertificateSpec, now: datetime
) -> t.Iterator[str]:
    """Yield the reasons why Kubernetes rejects the specified certificate from the CA."""
    unfit = find_anchor_problem(certificate, now)
    if unfit:
        yield f"{unfit}; use another CA"
    weakness = find_weakness(read_public_key(certificate))
    if weakness:
        yield f"has {weakness}; use another CA"
    limit = find_limit(certificate, spec.subject_alt_name, oids_of(spec.extended_key_usage))
    if limit:
        yield f"{limit}; use another CA, or change the certificate"


def _find_signing_problems(certificate: x509.Certificate, spec: CertificateSpec) -> t.Iterator[str]:
    """Yield the reasons why the CA cannot sign the specified certificate."""
    fields = read_fields(certificate)
    if fields is None or not _can_write_subject(certificate):
        yield "has a subject or an extension that the library cannot read or write; use another CA"
        return
    if not fields["is_ca"]:
        yield "is not a CA: its basicConstraints lack CA:TRUE; use another CA"
    if not fields["subject"]:
        yield "has no subject, which certificates need as their issuer; use another CA"
    unsupported_digest = check_digest(key_kind_of(read_public_key(certificate)), spec.digest)
    if unsupported_digest:
        yield unsupported_digest
    if is_damaged(certificate):
        yield "is damaged: its own signature is invalid; use an intact copy"
    length = fields["path_length"]
    if spec.is_ca and length == 0:
        yield "cannot sign other CAs: its pathLen is 0; use another CA, or unset is_ca"
    if spec.is_ca and length and (spec.path_length is None or spec.path_length >= length):
        yield f"has pathLen {length}; set a smaller path_length"


def _can_write_subject(certificate: x509.Certificate) -> bool:
    """Return whether the library writes the subject unchanged, as the issuer of a certificate."""
    try:
        return certificate.subject.public_bytes() == encode_subject(certificate)
    except LIBRARY_ERRORS:
        return False  # Such as a name in T61 that is not UTF-8.


def sign_certificate(
    authority: CertificateAuthority, spec: CertificateSpec, public: t.Any, now: datetime
) -> tuple[x509.Certificate, ValidityPeriod]:
    """Issue a certificate for a public key, and return it with its validity.

    Raises X509Error if the certificate would end after its CA and not_after_policy is fail.
    """
    period = choose_validity(spec, authority.certificate, now)
    signer = Signer(authority.certificate, authority.private)
    return issue_certificate(spec, public, signer, period), period

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A certificate authority: its certificate and, where it signs, its key; validated before either is used."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import (
    certificate as _certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import keys, names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import wanted as _wanted
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.base import stamp

with contextlib.suppress(ImportError):
    from cryptography import x509


class Authority(t.NamedTuple):
    """The CA that signs; C(private) is its private key (a cryptography object), None where only the certificate is known."""

    certificate: x509.Certificate
    private: t.Any = None


def load(path: str, key_path: str, passphrase_path: str | None) -> Authority:
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
    key = keys.parse(
        pem, keys.passphrase(passphrase_path, "ca_privatekey_passphrase_file"), key_path
    )
    public = keys.public_bytes(key.private.public_key())
    found = [
        certificate
        for certificate in parse(content, path)
        if keys.public_bytes(_certificate.public_key(certificate)) == public
    ]
    if not found:
        raise X509Error(
            f"{key_path!r} is not the key of the certificate in {path!r}: give the pair",
            option="ca_privatekey_path",
        )
    return Authority(_latest(found), key.private)


def load_certificate(path: str) -> Authority:
    """Return the CA of this file without its key, for a caller that only compares.

    Raises X509Error where the file holds several CAs, of which only a key could tell the one that signs.
    """
    found = parse(_required(path, "ca_path"), path)
    if len({keys.public_bytes(_certificate.public_key(certificate)) for certificate in found}) > 1:
        raise X509Error(
            f"{path!r} holds several CAs, and without a key nothing tells which one signs: name a file with that one",
            option="ca_path",
        )
    return Authority(_latest(found))


def _latest(found: list[x509.Certificate]) -> x509.Certificate:
    """Return the certificate that ends last: a CA that was renewed with its key may lie beside its former self."""
    return max(found, key=lambda certificate: _certificate.validity(certificate)[1])


def parse(content: bytes, path: str) -> list[x509.Certificate]:
    """Return the certificates in the content of a CA's file; raise X509Error where there is none. *path* is for the error."""
    found = [
        certificate
        for certificate in _certificate.parse(content)
        if certificate is not None
        and _certificate.facts(certificate)
        and _certificate.public_key(certificate)
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


def check(authority: Authority, path: str, wanted: _wanted.Wanted, now: datetime) -> None:
    """Raise X509Error where this CA cannot sign the certificate that is wanted; *path* is for the error."""
    certificate = authority.certificate
    have = t.cast(_certificate.Facts, _certificate.facts(certificate))
    begins, ends = _certificate.validity(certificate)
    usages = have["extended_key_usage"]
    foreign = sorted(set(wanted.extended_key_usage) - set(usages)) if usages else []
    length = have["path_length"]
    public, odd = _certificate.public_key(certificate), _certificate.oddities(certificate)
    weak, unable = keys.weakness(public), keys.digest_fault(keys.kind(public), wanted.digest)
    faults = (
        (not have["is_ca"], "is not a CA: its basicConstraints do not say CA:TRUE"),
        (
            "keyCertSign" not in have["key_usage"],
            "may not sign certificates: its keyUsage lacks keyCertSign",
        ),
        (not have["subject"], "has no subject, so that no certificate can name it as its issuer"),
        (begins > now, f"is not valid before {stamp(begins)}"),
        (ends <= now, f"expired on {stamp(ends)}"),
        (weak, f"has {weak}"),
        (unable, f"{unable}"),
        (_certificate.damaged(certificate), "is damaged: its own signature does not hold"),
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
    outside = names.outside(wanted.subject_alt_name, **have["name_constraints"])
    if outside:
        raise X509Error(
            f"{path!r} may not sign for {outside}: its name constraints", option="ca_path"
        )


def sign(
    authority: Authority, wanted: _wanted.Wanted, public: t.Any, now: datetime
) -> tuple[x509.Certificate, _certificate.Times]:
    """Return a certificate for a public key, and its times; raise X509Error where it would outlive its CA."""
    times = _certificate.times(wanted, authority.certificate, now)
    return _certificate.build(
        wanted, public, authority.certificate, authority.private, times
    ), times

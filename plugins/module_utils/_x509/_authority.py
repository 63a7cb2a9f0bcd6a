# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A certificate authority: its certificate and, where it signs, its key; judged before either is used."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _files
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import _certificate, _keys, _names, _wanted
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509._base import MissingError, X509Error, stamp

with contextlib.suppress(ImportError):
    from cryptography import x509


class Authority(t.NamedTuple):
    """Who signs; private is None where only the certificate is known."""

    certificate: x509.Certificate
    private: t.Any = None


def load(path: str, key_path: str, passphrase_path: str | None) -> Authority:
    """Return the CA of these files; of several certificates in one file, the one that the key belongs to."""
    content = _required(path, "ca_path")
    pem = _required(key_path, "ca_privatekey_path")
    if os.stat(key_path).st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise X509Error(
            f"ca_privatekey_path: others can read or change {key_path!r}: chmod it to 0600, and ask who did"
        )
    key = _keys.parse(pem, _keys.passphrase(passphrase_path, "ca_privatekey_passphrase_file"), key_path)
    public = _keys.public_bytes(key.private.public_key())
    found = [
        certificate
        for certificate in parse(content, path)
        if _keys.public_bytes(_certificate.public_key(certificate)) == public
    ]
    if not found:
        raise X509Error(
            f"ca_privatekey_path: {key_path!r} is not the key of the certificate in {path!r}: give the pair"
        )
    # A CA that was renewed with its key may lie beside its former self.
    return Authority(max(found, key=lambda certificate: _certificate.validity(certificate)[1]), key.private)


def parse(content: bytes, path: str) -> list[x509.Certificate]:
    """Return the certificates of a CA's file, at least one."""
    found = [
        certificate
        for certificate in _certificate.parse(content)
        if certificate is not None and _certificate.facts(certificate) and _certificate.public_key(certificate)
    ]
    if not found:
        raise X509Error(f"ca_path: {path!r} holds no readable certificate in PEM form")
    return found


def _required(path: str, option: str) -> bytes:
    content = _files.read(path, follow=True)
    if content is None:
        raise MissingError(f"{option}: {path!r} does not exist: make the CA first (is_ca), or name where it is")
    return content


def check(authority: Authority, path: str, wanted: _wanted.Wanted, now: datetime) -> None:
    """Raise what forbids this CA to sign the certificate that is wanted."""
    certificate = authority.certificate
    have = t.cast(_certificate.Facts, _certificate.facts(certificate))
    begins, ends = _certificate.validity(certificate)
    usages = have["extended_key_usage"]
    foreign = sorted(set(wanted.extended_key_usage) - set(usages)) if usages else []
    length = have["path_length"]
    public, odd = _certificate.public_key(certificate), _certificate.oddities(certificate)
    weak, unable = _keys.weakness(public), _keys.digest_fault(_keys.kind(public), wanted.digest)
    faults = (
        (not have["is_ca"], "is not a CA: its basicConstraints do not say CA:TRUE"),
        ("keyCertSign" not in have["key_usage"], "may not sign certificates: its keyUsage lacks keyCertSign"),
        (not have["subject"], "has no subject, so that no certificate can name it as its issuer"),
        (begins > now, f"is not valid before {stamp(begins)}"),
        (ends <= now, f"expired on {stamp(ends)}"),
        (weak, f"has {weak}"),
        (unable, f"{unable}"),
        (_certificate.damaged(certificate), "is damaged: its own signature does not hold"),
        (odd, f"is refused by verifiers: {'; '.join(odd)}"),
        (wanted.is_ca and length == 0, "may not sign other CAs: its pathLen is 0"),
        (
            wanted.is_ca and length and (wanted.path_length is None or wanted.path_length >= length),
            f"has pathLen {length}: path_length has to be less",
        ),
        (
            foreign and "anyExtendedKeyUsage" not in usages,
            f"may not sign for {', '.join(foreign)}: its own extendedKeyUsage",
        ),
    )
    for fault, words in faults:
        if fault:
            raise X509Error(f"ca_path: {path!r} {words}")
    outside = _names.outside(wanted.subject_alt_name, **have["name_constraints"])
    if outside:
        raise X509Error(f"ca_path: {path!r} may not sign for {outside}: its name constraints")


def sign(
    authority: Authority, wanted: _wanted.Wanted, public: t.Any, now: datetime
) -> tuple[x509.Certificate, _certificate.Times]:
    """Return a certificate for a public key, and its times."""
    times = _certificate.times(wanted, authority.certificate, now)
    return _certificate.build(wanted, public, authority.certificate, authority.private, times), times

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check a key pair that the user provides."""

from __future__ import annotations

import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    parse_authorities,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    parse_first_certificate,
    read_fields,
    read_public_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    find_weakness,
    is_same_key,
    parse_private_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import (
    check_chain,
    check_names,
    check_use,
)


class ProvidedFile(t.NamedTuple):
    """A file that the user provides: the caller's name for its option, its path and its content."""

    option: str
    path: str
    content: bytes

    def error(self, reason: str) -> X509Error:
        """Return an error about this file."""
        return X509Error(f"{self.path!r} {reason}", option=self.option)


def check_provided_pair(
    certificate: ProvidedFile,
    key: ProvidedFile,
    ca: ProvidedFile,
    alt_names: t.Sequence[str],
    now: datetime,
) -> list[X509Error]:
    """Return the errors that prevent a client and server from using a certificate and key.

    A CA in `ca` must have signed the certificate, directly or through its intermediates. The
    certificate must have all `alt_names`.
    """
    public, errors = _read_key(key)
    if b"PRIVATE KEY-----" in certificate.content:
        errors.append(
            certificate.error(
                "also contains a private key, which every user on the host could read; remove the"
                " key from the file"
            )
        )
    chain = parse_certificates(certificate.content)
    leaf = chain[0] if chain else None
    fields = read_fields(leaf) if leaf is not None else None
    if leaf is None or fields is None or None in chain:
        errors.append(
            certificate.error(
                "contains no certificate in PEM format, or one that cannot be read; correct the"
                " path or the content"
            )
        )
        return errors
    leaf_key = read_public_key(leaf)
    if leaf_key is None or (public is not None and not is_same_key(leaf_key, public)):
        errors.append(
            certificate.error(
                f"is not the certificate of the key in {key.path!r}; set a matching certificate"
                " and key"
            )
        )
    elif find_weakness(leaf_key):
        errors.append(certificate.error(f"has {find_weakness(leaf_key)}; create a new key pair"))
    problems = [
        *check_use(leaf, fields, now),
        *check_names(fields, alt_names),
        *check_chain(chain, parse_authorities(ca.content, ca.path), f"the CA in {ca.path!r}", now),
    ]
    return errors + [certificate.error("; ".join(filter(None, problem))) for problem in problems]


def _read_key(key: ProvidedFile) -> tuple[t.Any, list[X509Error]]:
    """Return the public key and the errors; the key is None if the private key is unusable."""
    if b"ENCRYPTED" in key.content:
        error = key.error(
            "is encrypted, but a server has no passphrase; decrypt the key, or encrypt the file"
            " with Ansible Vault"
        )
        return None, [error]
    try:
        return parse_private_key(key.content, None, key.path).private.public_key(), []
    except X509Error as error:
        return None, [X509Error(error.message, option=key.option)]


def read_subject(certificate: bytes) -> dict[str, t.Any]:
    """Return the subject of the first certificate; empty if it cannot be read."""
    first = parse_first_certificate(certificate)
    fields = read_fields(first) if first is not None else None
    return dict(fields["subject"]) if fields else {}

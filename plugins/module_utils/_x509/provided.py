# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    parse_authorities,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    parse_certificates,
    read_fields,
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    encode_public_key,
    find_weakness,
    parse_private_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import parse_alt_names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import (
    find_defects,
    has_chain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc

with contextlib.suppress(ImportError):
    from cryptography import x509

REQUIRED_USAGES = ("clientAuth", "serverAuth")


class Unfitness(t.NamedTuple):
    """Why a certificate does not do, and what to do, "" where that follows."""

    what: str
    advice: str = ""


class ProvidedFile(t.NamedTuple):
    """A file: what its caller calls it, its path, and what lies there."""

    option: str
    path: str
    content: bytes


def check_provided_pair(
    certificate: ProvidedFile,
    key: ProvidedFile,
    ca: ProvidedFile,
    sans: t.Sequence[str],
    now: datetime,
) -> list[X509Error]:
    """Return why a certificate, its intermediates below it, and a key will not do as the pair of a client and server.

    It has to be signed by one of the certificates in C(ca), or through its intermediates, and to be for all of C(sans).
    """
    found: list[X509Error] = []

    def fault(file: ProvidedFile, reason: str) -> None:
        found.append(X509Error(f"{file.path!r} {reason}", option=file.option))

    public = None
    if b"ENCRYPTED" in key.content:
        fault(
            key,
            "is encrypted, and a server asks nobody for a passphrase: decrypt it, or encrypt it with Ansible Vault",
        )
    else:
        try:
            public = parse_private_key(key.content, None, key.path).private.public_key()
        except X509Error as error:
            found.append(X509Error(error.message, option=key.option))
    if b"PRIVATE KEY-----" in certificate.content:
        fault(
            certificate,
            "holds a private key too, which everybody on the host could read then: leave it out",
        )
    parsed = parse_certificates(certificate.content)
    leaf = parsed[0] if parsed else None
    facts = read_fields(leaf) if leaf is not None else None
    if leaf is None or facts is None or None in parsed:
        fault(
            certificate,
            "holds no certificate in PEM form, or one that cannot be read: give the right file",
        )
        return found
    own = read_public_key(leaf)
    if own is None or (public is not None and encode_public_key(own) != encode_public_key(public)):
        fault(certificate, f"is not the certificate of the key in {key.path!r}: give the pair")
    elif find_weakness(own):
        fault(certificate, f"has {find_weakness(own)}: have a new pair made")
    judged = [*check_purpose(leaf, facts, now), *check_names(facts, sans)]
    judged += check_chain(
        parsed, parse_authorities(ca.content, ca.path), f"the CA in {ca.path!r}", now
    )
    for reason in judged:
        fault(certificate, ": ".join(filter(None, reason)))
    return found


def read_subject(certificate: bytes) -> dict[str, t.Any]:
    """Return the subject of the first certificate, empty where it cannot be read."""
    parsed = parse_certificates(certificate)
    facts = read_fields(parsed[0]) if parsed and parsed[0] is not None else None
    return dict(facts["subject"]) if facts else {}


def check_chain(
    chain: t.Sequence[x509.Certificate | None],
    anchors: t.Sequence[x509.Certificate],
    ca: str,
    now: datetime,
) -> t.Iterator[Unfitness]:
    """Yield why verifiers that trust *anchors*, those of *ca*, would not trust a certificate, its intermediates below it."""
    leaf, *between = (found for found in chain if found is not None)
    if not has_chain(leaf, between, anchors):
        yield Unfitness(
            f"is not signed by {ca}", "have it signed by that CA, or name the one that signed it"
        )
    elif not has_chain(
        leaf, *([parent for parent in some if _signs(parent, now)] for some in (between, anchors))
    ):
        yield Unfitness(
            f"leads to {ca} through a certificate that has expired, or is no CA's",
            "have it signed anew",
        )


def _signs(parent: x509.Certificate, now: datetime) -> bool:
    facts = read_fields(parent) or {"is_ca": False}
    usages = facts["is_ca"] and facts["key_usage"]
    return (
        facts["is_ca"]
        and read_validity(parent)[1] > now
        and (not usages or "keyCertSign" in usages)
    )


def check_purpose(
    leaf: x509.Certificate, facts: CertificateFields, now: datetime
) -> t.Iterator[Unfitness]:
    """Yield why a certificate is of no use to a client and server, whatever its names, its key and its CA."""
    begins, ends = read_validity(leaf)
    if ends <= now:
        yield Unfitness(f"expired on {format_utc(ends)}", "have a new one issued")
    if begins > now:
        yield Unfitness(f"is not valid before {format_utc(begins)}", "wait, or compare the clocks")
    odd = find_defects(leaf)
    if odd:
        yield Unfitness(f"is refused by verifiers: {'; '.join(odd)}")
    if facts["is_ca"]:
        yield Unfitness("is a CA's", "give one that is not")
    if facts["key_usage"] and "digitalSignature" not in facts["key_usage"]:
        yield Unfitness("may not sign a handshake: its keyUsage lacks digitalSignature")
    usages = facts["extended_key_usage"]
    lacking = [usage for usage in REQUIRED_USAGES if usage not in usages]
    if usages and "anyExtendedKeyUsage" not in usages and lacking:
        yield Unfitness(
            f"is used by client and server, and its extendedKeyUsage lacks {' and '.join(lacking)}"
        )


def check_names(facts: CertificateFields, sans: t.Sequence[str]) -> t.Iterator[Unfitness]:
    """Yield that a certificate lacks names, if it does."""
    lacking = [name for name in parse_alt_names(sans) if name not in facts["subject_alt_name"]]
    if lacking:
        yield Unfitness(
            f"lacks the subject alternative names {', '.join(lacking)}", "have it issued with them"
        )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    read_fields,
    read_public_key,
    read_validity,
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    encode_public_key,
    find_weakness,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_x509_name,
    describe_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.provided import (
    check_chain,
    check_names,
    check_purpose,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import verify_request
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc

with contextlib.suppress(ImportError):
    from cryptography import x509

Chain = t.Sequence["x509.Certificate | None"]
# What Kubernetes takes a client's user and groups from. Other attributes are the CA's to choose.
IDENTITY_ATTRIBUTES = ("CN", "O")
OTHER_KEY = "is not the certificate of the key on this host"


class ExternalErrors(t.NamedTuple):
    """What is wrong with a certificate: what makes it useless, and what another one should do better."""

    hard: list[str]
    soft: list[str]

    @property
    def all(self) -> list[str]:
        """Both."""
        return [*self.hard, *self.soft]


class ExternalRules(t.NamedTuple):
    """What a certificate is judged by: the CAs that are trusted, what the task asks for, and the time."""

    anchors: list[x509.Certificate]
    wanted: CertificateSpec
    now: datetime

    def faults(self, chain: Chain, public: t.Any) -> ExternalErrors:
        """Judge a certificate, its intermediates below it, for a public key; None for one that is not known."""
        leaf = chain[0] if chain else None
        facts = read_fields(leaf) if leaf is not None else None
        if not chain:
            return ExternalErrors(["is not there"], [])
        if leaf is None or facts is None or None in chain:
            return ExternalErrors(["cannot be read"], [])
        own, hard = read_public_key(leaf), []
        if own is None or (
            public is not None and encode_public_key(own) != encode_public_key(public)
        ):
            hard.append(OTHER_KEY)
        elif find_weakness(own):
            hard.append(f"has {find_weakness(own)}")
        asked = describe_name(build_x509_name(self.wanted.subject))
        have = facts["subject"]
        hard += [
            f"has the subject {name} {_words(have.get(name))}, wanted {_words(asked.get(name))}"
            for name in IDENTITY_ATTRIBUTES
            if have.get(name) != asked.get(name)
        ]
        judged = [
            *check_purpose(leaf, facts, self.now),
            *check_chain(chain, self.anchors, "the CA", self.now),
        ]
        hard += [reason.what for reason in judged]
        return ExternalErrors(
            hard, [reason.what for reason in check_names(facts, self.wanted.subject_alt_name)]
        )

    def due(self, chain: Chain, renew_before: str) -> list[str]:
        """Tell that a certificate without faults is in its window, where a new one could end later."""
        begins, ends = read_validity(t.cast("x509.Certificate", chain[0]))
        window = self.wanted.renew_before
        if renew_before.endswith("%"):
            # Of its own lifetime, which the CA has chosen.
            window = timedelta(
                seconds=int(
                    (ends - begins) * (window / self.wanted.valid_for) / timedelta(seconds=1)
                )
            )
        last = max(read_validity(anchor)[1] for anchor in self.anchors)
        if self.now <= ends - window or ends >= last:
            return []
        return [f"ends on {format_utc(ends)}, within {_durations.format_duration(window)}"]


def serialize_chain(chain: Chain) -> bytes:
    """Return a certificate and its intermediates as PEM, without what others write between them."""
    return b"".join(serialize_certificate(found) for found in chain if found is not None)


def matches_request(request: str | None, public: t.Any, wanted: CertificateSpec) -> bool:
    """Tell whether a signing request is for this public key, or for any where it is None, and for what is wanted."""
    try:
        own, _pem = verify_request(request or "", wanted)
    except X509Error:
        return False
    return public is None or encode_public_key(own) == encode_public_key(public)


def _words(value: t.Any) -> str:
    return " and ".join(value) if isinstance(value, list) else str(value or "none")

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A certificate that somebody else's CA issues for a key of ours: what keeps it from being used, and when the next one is due."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import (
    certificate as _certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import keys, provided
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import names as _names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import wanted as _wanted
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.base import stamp

with contextlib.suppress(ImportError):
    from cryptography import x509

Chain = t.Sequence["x509.Certificate | None"]
# What Kubernetes takes a client's user and groups from. Other attributes are the CA's to choose.
IDENTITY = ("CN", "O")
FOREIGN = "is not the certificate of the key on this host"


class Faults(t.NamedTuple):
    """What is wrong with a certificate: what makes it useless, and what another one should do better."""

    hard: list[str]
    soft: list[str]

    @property
    def all(self) -> list[str]:
        """Both."""
        return [*self.hard, *self.soft]


class Terms(t.NamedTuple):
    """What a certificate is judged by: the CAs that are trusted, what the task asks for, and the time."""

    anchors: list[x509.Certificate]
    wanted: _wanted.Wanted
    now: datetime

    def faults(self, chain: Chain, public: t.Any) -> Faults:
        """Judge a certificate, its intermediates below it, for a public key; None for one that is not known."""
        leaf = chain[0] if chain else None
        facts = _certificate.facts(leaf) if leaf is not None else None
        if not chain:
            return Faults(["is not there"], [])
        if leaf is None or facts is None or None in chain:
            return Faults(["cannot be read"], [])
        own, hard = _certificate.public_key(leaf), []
        if own is None or (
            public is not None and keys.public_bytes(own) != keys.public_bytes(public)
        ):
            hard.append(FOREIGN)
        elif keys.weakness(own):
            hard.append(f"has {keys.weakness(own)}")
        asked = _names.described(_names.to_x509_name(self.wanted.subject))
        have = facts["subject"]
        hard += [
            f"has the subject {name} {_words(have.get(name))}, wanted {_words(asked.get(name))}"
            for name in IDENTITY
            if have.get(name) != asked.get(name)
        ]
        judged = [
            *provided.reasons(leaf, facts, self.now),
            *provided.unsigned(chain, self.anchors, "the CA", self.now),
        ]
        hard += [reason.what for reason in judged]
        return Faults(
            hard, [reason.what for reason in provided.unnamed(facts, self.wanted.subject_alt_name)]
        )

    def due(self, chain: Chain, renew_before: str) -> list[str]:
        """Tell that a certificate without faults is in its window, where a new one could end later."""
        begins, ends = _certificate.validity(t.cast("x509.Certificate", chain[0]))
        window = self.wanted.renew_before
        if renew_before.endswith("%"):
            # Of its own lifetime, which the CA has chosen.
            window = timedelta(
                seconds=int(
                    (ends - begins) * (window / self.wanted.valid_for) / timedelta(seconds=1)
                )
            )
        last = max(_certificate.validity(anchor)[1] for anchor in self.anchors)
        if self.now <= ends - window or ends >= last:
            return []
        return [f"ends on {stamp(ends)}, within {_durations.format_duration(window)}"]


def pem(chain: Chain) -> bytes:
    """Return a certificate and its intermediates as PEM, without what others write between them."""
    return b"".join(_certificate.pem(found) for found in chain if found is not None)


def asks(request: str | None, public: t.Any, wanted: _wanted.Wanted) -> bool:
    """Tell whether a signing request is for this public key, or for any where it is None, and for what is wanted."""
    try:
        own, _pem = _certificate.requested(request or "", wanted)
    except X509Error:
        return False
    return public is None or keys.public_bytes(own) == keys.public_bytes(public)


def _words(value: t.Any) -> str:
    return " and ".join(value) if isinstance(value, list) else str(value or "none")

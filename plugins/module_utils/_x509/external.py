# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check a certificate from an external CA for a key that this collection generated."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    Chain,
    read_fields,
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    find_weakness,
    is_same_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_x509_name,
    describe_name,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import (
    check_chain,
    check_names,
    check_renewal_window,
    check_use,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
)

with contextlib.suppress(ImportError):
    from cryptography import x509

# Kubernetes reads the user and groups of a client from CN and O. The CA can set the remaining
# attributes freely.
IDENTITY_ATTRIBUTES = ("CN", "O")
OTHER_KEY = "is not the certificate of the key on this host"


class ExternalProblems(t.NamedTuple):
    """Problems of a certificate: a `fatal` problem prevents its use, a `minor` problem does not."""

    fatal: list[str]
    minor: list[str]

    @property
    def all(self) -> list[str]:
        """Fatal problems, then minor problems."""
        return [*self.fatal, *self.minor]


class ExternalRules(t.NamedTuple):
    """Criteria for a certificate: the trusted CAs, the specification and the time."""

    anchors: list[x509.Certificate]
    spec: CertificateSpec
    now: datetime

    def check(self, chain: Chain, public: t.Any) -> ExternalProblems:
        """Check a certificate with its intermediates for a public key; None allows any key."""
        if not chain:
            return ExternalProblems(["is missing"], [])
        leaf = chain[0]
        fields = read_fields(leaf) if leaf is not None else None
        if leaf is None or fields is None or None in chain:
            return ExternalProblems(["cannot be read"], [])
        problems = [
            *check_use(leaf, fields, self.now),
            *check_chain(chain, self.anchors, "the CA", self.now),
        ]
        return ExternalProblems(
            fatal=[
                *_check_key(leaf, public),
                *self._check_subject(fields["subject"]),
                *(problem.reason for problem in problems),
            ],
            minor=[problem.reason for problem in check_names(fields, self.spec.subject_alt_name)],
        )

    def _check_subject(self, subject: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        expected = describe_name(build_x509_name(self.spec.subject))
        for name in IDENTITY_ATTRIBUTES:
            if subject.get(name) != expected.get(name):
                yield (
                    f"has the subject {name} {_format_attribute(subject.get(name))}, expected"
                    f" {_format_attribute(expected.get(name))}"
                )

    def check_renewal(self, certificate: x509.Certificate) -> str:
        """Return a reason if a certificate without problems is in its renewal window; otherwise "".

        The result is "" too if a new certificate could not end later.
        """
        begins, ends = read_validity(certificate)
        # A percentage applies to the validity that the CA set, not to valid_for.
        window = self.spec.renewal_window.of(ends - begins)
        latest_end = max(read_validity(anchor)[1] for anchor in self.anchors)
        return check_renewal_window(certificate, window, latest_end, self.now)


def _check_key(leaf: x509.Certificate, public: t.Any) -> t.Iterator[str]:
    leaf_key = read_public_key(leaf)
    if leaf_key is None or (public is not None and not is_same_key(leaf_key, public)):
        yield OTHER_KEY
        return
    weakness = find_weakness(leaf_key)
    if weakness:
        yield f"has {weakness}"


def _format_attribute(value: t.Any) -> str:
    return " and ".join(value) if isinstance(value, list) else str(value or "none")

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Verify a chain of certificates with the rules of Go's crypto/x509, which Kubernetes uses.

The verifier of the cryptography library cannot replace this module. It does not exist before
version 42, verifies clients since 43, and has adjustable extension policies since 45. Even then, it
applies rules for public CAs that Go does not have, such as a serial number above 0.
"""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import name_constraints
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    encode_subject,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.chain_certificate import (
    ChainCertificate,
    UnusableError,
    parse_chain_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import key_kind_of
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import DAMAGE_ERRORS
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.signatures import (
    has_valid_signature,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc

with contextlib.suppress(ImportError):
    from cryptography import x509

USAGES = {"clientAuth": "1.3.6.1.5.5.7.3.2", "serverAuth": "1.3.6.1.5.5.7.3.1"}
UNTRUSTED = "is not signed by a trusted CA"
_MAX_SIGNATURE_CHECKS = 100
# The limit of crypto/tls for the certificates that a server or client sends, unlike for anchors.
_MAX_HANDSHAKE_BITS = 8192
_Chain = list[ChainCertificate]


def find_chain_problem(
    leaf: x509.Certificate,
    intermediates: t.Sequence[x509.Certificate],
    anchors: t.Sequence[x509.Certificate],
    now: datetime,
    usages: t.Iterable[str] = tuple(USAGES),
    *,
    check_leaf_validity: bool = True,
) -> str:
    """Return why Kubernetes rejects a certificate; "" if it accepts it.

    The text completes "the certificate …". Kubernetes trusts the anchors, and ignores those that it
    cannot use. It must accept the certificate for each of the usages, which are the names in
    `USAGES`. Without usages, extended key usages are not checked. If no anchor signed the
    certificate, the result is `UNTRUSTED`.
    """
    try:
        parsed = parse_chain_certificate(leaf)
        known = [_parse_intermediate(entry) for entry in intermediates]
    except UnusableError as error:
        return str(error)
    invalid = _find_invalidity(parsed, now) if check_leaf_validity else ""
    if invalid:
        return invalid
    search = _Search(known, list(_parse_usable(anchors)), now)
    problem = search.find_problem(parsed, [USAGES[usage] for usage in usages])
    if problem == UNTRUSTED:
        issuers = {entry.issuer for entry in (parsed, *known)}
        return next(filter(None, (_explain_anchor(entry, issuers) for entry in anchors)), problem)
    return problem


def _parse_intermediate(certificate: x509.Certificate) -> ChainCertificate:
    try:
        parsed = parse_chain_certificate(certificate)
        if (key_kind_of(parsed.public_key).size or 0) > _MAX_HANDSHAKE_BITS:
            raise UnusableError(f"has an RSA key of more than {_MAX_HANDSHAKE_BITS} bits")
    except UnusableError as error:
        raise UnusableError(f"comes with an intermediate certificate that {error}") from None
    return parsed


def _explain_anchor(anchor: x509.Certificate, issuers: t.Collection[bytes]) -> str:
    """Return why an anchor that is one of the issuers cannot be used; "" if it can."""
    try:
        parse_chain_certificate(anchor)
    except UnusableError as error:
        with contextlib.suppress(*DAMAGE_ERRORS):
            if encode_subject(anchor) in issuers:
                return f"leads to a CA that {error}"
    return ""


def _parse_usable(certificates: t.Iterable[x509.Certificate]) -> t.Iterator[ChainCertificate]:
    for certificate in certificates:
        with contextlib.suppress(UnusableError):
            yield parse_chain_certificate(certificate)


def find_anchor_problem(anchor: x509.Certificate, now: datetime | None = None) -> str:
    """Return why Kubernetes accepts no certificate from a CA; "" if it can accept one.

    Without `now`, the validity of the CA is not checked. The text completes "the CA …".
    """
    try:
        parsed = parse_chain_certificate(anchor)
    except UnusableError as error:
        return str(error)
    return _find_unfitness(parsed, is_anchor=True) or (_find_invalidity(parsed, now) if now else "")


def find_limit(
    anchor: x509.Certificate, alt_names: t.Iterable[str], usages: t.Mapping[str, str]
) -> str:
    """Return why the limits of a CA forbid a certificate; "" if they allow it.

    `alt_names` have the format of subject_alt_name. `usages` maps the names of extended key usages
    to object identifiers. The text completes "the CA …".
    """
    try:
        parsed = parse_chain_certificate(anchor)
    except UnusableError as error:
        return str(error)
    names = [name_constraints.Name(*entry.split(":", 1)) for entry in alt_names]
    if parsed.constraints is not None:
        violation = name_constraints.find_violation(names, parsed.constraints)
        if violation:
            return f"cannot sign for this certificate because of its name constraints: {violation}"
    missing = sorted(name for name, oid in usages.items() if not parsed.allows(oid))
    if missing:
        return f"cannot sign for {', '.join(missing)}: its extendedKeyUsage lacks them"
    return ""


def _find_unfitness(parent: ChainCertificate, *, is_anchor: bool) -> str:
    """Return why a certificate cannot be the issuer of another; "" if it can.

    Go accepts an anchor of version 1 or 2, which cannot have basicConstraints.
    """
    if not parent.is_ca and not (is_anchor and parent.is_ca is None and parent.version < 3):
        return "is not a CA: its basicConstraints lack CA:TRUE"
    if not parent.can_sign_by_key_usage:
        return "cannot sign certificates: its keyUsage lacks keyCertSign"
    return _find_unhandled(parent)


def _find_unhandled(certificate: ChainCertificate) -> str:
    parts = " and ".join(certificate.unhandled)
    return f"marks {parts} as critical, which Kubernetes does not support" if parts else ""


def _find_invalidity(certificate: ChainCertificate, now: datetime) -> str:
    if certificate.not_after < now:
        return f"expired on {format_utc(certificate.not_after)}"
    if certificate.not_before > now:
        return f"is not valid before {format_utc(certificate.not_before)}"
    return ""


class _Search:
    """The search for a chain from a leaf to an anchor, with the reasons to reject candidates."""

    def __init__(self, intermediates: _Chain, anchors: _Chain, now: datetime) -> None:
        # Without copies, which would count for the limit of signature checks.
        self.intermediates = _unique(intermediates)
        self.anchors = _unique(anchors)
        self.now = now
        self.checks = 0
        self.reasons: list[str] = []

    def find_problem(self, leaf: ChainCertificate, usages: t.Sequence[str]) -> str:
        """Return why no chain is valid for all usages; "" if a chain is valid for each of them."""
        problem = _find_unhandled(leaf)
        if problem:
            return problem
        is_anchor = any(leaf.certificate == anchor.certificate for anchor in self.anchors)
        chains = [[leaf]] if is_anchor else list(self._extend([leaf]))
        if not chains:
            return next(iter(self.reasons), UNTRUSTED)
        required: list[str | None] = [*usages] or [None]
        for usage in required:
            problems = [_check_chain(chain, usage) for chain in chains]
            if "" not in problems:
                return problems[0]
        return ""

    def _extend(self, chain: _Chain) -> t.Iterator[_Chain]:
        """Yield each chain that begins with these certificates and ends with an anchor."""
        for candidates, is_anchor in ((self.anchors, True), (self.intermediates, False)):
            for parent in _sort_parents(chain[-1], candidates):
                if not self._accepts(parent, chain, is_anchor=is_anchor):
                    continue
                if is_anchor:
                    yield [*chain, parent]
                else:
                    yield from self._extend([*chain, parent])

    def _accepts(self, parent: ChainCertificate, chain: _Chain, *, is_anchor: bool) -> bool:
        self.checks += 1
        if self.checks > _MAX_SIGNATURE_CHECKS:
            self.reasons.append("comes with too many possible chains")
            return False
        if any(_is_repeated(parent, entry) for entry in chain):
            return False
        problem = _find_unfitness(parent, is_anchor=is_anchor)
        if not problem and not has_valid_signature(chain[-1].certificate, parent.public_key):
            return False
        problem = problem or _find_invalidity(parent, self.now) or _check_length(parent, chain)
        if problem:
            self.reasons.append(f"leads to its CA through a certificate that {problem}")
        return not problem


def _unique(certificates: _Chain) -> _Chain:
    return list({entry.certificate: entry for entry in certificates}.values())


def _sort_parents(child: ChainCertificate, candidates: _Chain) -> _Chain:
    """Return the candidates with the name of the issuer, most plausible first, as Go does.

    The order matters only for the limit of signature checks.
    """

    def rank(parent: ChainCertificate) -> int:
        if parent.subject_key == child.authority_key:
            return 0
        return 1 if not parent.subject_key or not child.authority_key else 2

    return sorted((entry for entry in candidates if entry.subject == child.issuer), key=rank)


def _is_repeated(parent: ChainCertificate, entry: ChainCertificate) -> bool:
    """Whether a chain already contains a certificate of the same subject, key and names."""
    return (
        parent.subject == entry.subject
        and parent.key_info == entry.key_info
        and parent.alt_name_bytes == entry.alt_name_bytes
    )


def _check_length(parent: ChainCertificate, chain: _Chain) -> str:
    # Go counts self-issued intermediates too, which RFC 5280 excepts.
    count = len(chain) - 1
    if parent.path_length is not None and count > parent.path_length:
        return f"allows {parent.path_length} intermediate CAs below it (pathLen), but has {count}"
    return ""


def _check_chain(chain: _Chain, usage: str | None) -> str:
    """Return why the limits of the CAs in a chain forbid the certificate for a usage."""
    if any(entry.requires_policy for entry in chain[:-1]):
        return "has a chain with requireExplicitPolicy, which this collection does not evaluate"
    if usage is not None and not all(entry.allows(usage) for entry in chain):
        name = next(name for name, oid in USAGES.items() if oid == usage)
        which = "it" if not chain[0].allows(usage) else "a CA of its chain"
        return f"cannot be used for {name}: the extendedKeyUsage of {which} lacks {name}"
    for number, parent in enumerate(chain):
        if parent.constraints is None:
            continue
        for child in chain[:number]:
            violation = name_constraints.find_violation(child.alt_names, parent.constraints)
            if violation:
                return f"violates the name constraints of a CA in its chain: {violation}"
    return ""

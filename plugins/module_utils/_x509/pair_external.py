# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Converge a key pair whose certificate an external CA issues."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import CSR_KEY
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    parse_authorities,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    Chain,
    compute_fingerprint,
    parse_certificates,
    serialize_chain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.external import (
    OTHER_KEY,
    ExternalRules,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import PrivateKey
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair_state import (
    PairResult,
    PairRun,
    PairState,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import (
    create_request,
    matches_request,
)


class _Candidate(t.NamedTuple):
    """A certificate from the external CA, with its private key or the reasons to reject it."""

    key: PrivateKey | None
    rejections: list[str]


def converge_external(run: PairRun) -> PairResult:
    """Install the certificate that the external CA issued for the key of this host, or request one.

    Until the certificate is received, the existing key pair stays in use. The same applies in its
    renewal window, and to a key that is not of the specified kind.
    """
    if run.spec.ca.sent_authority is None:
        raise X509Error(
            "ca_on: external requires the action plugin of the collection, which did not run; call"
            " the module as kube_ha.scheduler.x509_cert"
        )
    anchors = parse_authorities(
        run.spec.ca.sent_authority.encode("ascii", "replace"), "the CA's file"
    )
    run = dataclasses.replace(run, issuer=anchors[0])
    rules = ExternalRules(anchors, run.spec.certificate, run.now)
    state, awaited, is_replaced = _read_state(run, rules)
    waiting = run.read_waiting_key()
    received = parse_certificates((run.spec.ca.sent_certificate or "").encode("ascii", "replace"))
    rejections: list[str] = []
    if received and serialize_chain(received) != serialize_chain(
        parse_certificates(run.files.read_certificate() or b"")
    ):
        keys = [PrivateKey(waiting, "pkcs8", False)] if waiting else []
        keys += [state.key] if state.key and not is_replaced else []
        candidate = _check_received(run, rules, received, keys)
        if candidate.key is not None:
            return _install_received(run, state, candidate.key, waiting, received)
        rejections = candidate.rejections
        state.reasons.extend(f"the received certificate {problem}" for problem in rejections)
    return _request(run, state, waiting, awaited, rejections)


def _read_state(run: PairRun, rules: ExternalRules) -> tuple[PairState, list[str], bool]:
    """Return the state of the key pair, and the reasons to await a certificate.

    The last value shows whether the option replace lists the certificate.
    """
    key, is_key_replaced, is_rewritten, key_reasons = run.read_key_state()
    chain = parse_certificates(run.files.read_certificate() or b"")
    leaf = chain[0] if chain else None
    problems = rules.check(chain, key and key.private.public_key())
    is_usable = key is not None and not problems.fatal
    is_replaced = leaf is not None and compute_fingerprint(leaf) in run.spec.replaced_fingerprints
    awaited = [*key_reasons]
    if is_replaced:
        awaited.append("the certificate with its key is listed in replace")
    awaited += [f"the certificate {problem}" for problem in problems.all]
    if not awaited and leaf is not None:
        due = rules.check_renewal(leaf)
        awaited = [f"the certificate {due}"] if due else []
    state = PairState(
        key,
        is_key_replaced or is_replaced,
        is_rewritten,
        leaf if is_usable else None,
        [] if is_usable else [*awaited],
    )
    return state, awaited, is_replaced


def _check_received(
    run: PairRun, rules: ExternalRules, received: Chain, keys: t.Sequence[PrivateKey]
) -> _Candidate:
    """Find the private key that matches a received certificate."""
    results = [rules.check(received, key.private.public_key()).all for key in keys]
    for key, problems in zip(keys, results):
        if not problems:
            return _Candidate(key, [])
    # In check mode, an earlier task can still create the key.
    unknown = [] if run.module.check_mode else [OTHER_KEY]
    return _Candidate(
        None, min(results, key=lambda problems: OTHER_KEY in problems, default=unknown)
    )


def _install_received(
    run: PairRun, state: PairState, key: PrivateKey, waiting: t.Any, chain: Chain
) -> PairResult:
    """Install a received certificate and its intermediates with its key."""
    is_waiting = key.private is waiting
    state = state._replace(
        key=key, is_key_replaced=False, reasons=["the received certificate is not installed"]
    )
    if not run.module.check_mode:
        key_pem = run.files.read_waiting_key() if is_waiting else run.prepare_key(state)[1]
        run.files.install(key_pem, serialize_chain(chain))
        run.files.remove_waiting_key()
    return run.build_result(state, True, chain[0]) | {"awaited": [], "refused": []}


def _request(
    run: PairRun, state: PairState, waiting: t.Any, awaited: list[str], rejections: list[str]
) -> PairResult:
    """Return the request for an awaited certificate, unless the controller has the same request.

    The key pair in use does not change.
    """
    result: PairResult = {"awaited": awaited, "refused": rejections}
    changed, is_dry = run.files.converge_attributes(), run.module.check_mode
    if not awaited and not rejections:
        changed = changed or state.is_key_rewritten
        if not is_dry:
            if state.is_key_rewritten:
                run.files.install(run.prepare_key(state)[1], None)
            run.files.remove_waiting_key()
        return run.build_result(state, changed, state.certificate) | result
    private = waiting or (state.key.private if state.key and not state.is_key_replaced else None)
    if private is None and not is_dry:
        private, key_pem = run.prepare_key(state)
        run.files.store_new_key(key_pem, rewrite=state.is_key_rewritten)
    public = private and private.public_key()
    if not matches_request(run.spec.ca.sent_request, public, run.spec.certificate):
        changed = True
        state.reasons.append("the signing request is missing, or is for another key or other names")
        if not is_dry:
            result[CSR_KEY] = create_request(private, run.spec.certificate).decode("ascii")
    return run.build_result(state, changed, state.certificate) | result

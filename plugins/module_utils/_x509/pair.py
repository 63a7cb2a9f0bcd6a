# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Converge a private key and its certificate on one host."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import attributes
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import CSR_KEY
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
    check_authority,
    load_authority,
    parse_authorities,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import (
    Signer,
    choose_validity,
    issue_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    PrivateKey,
    check_digest,
    is_same_key,
    read_passphrase,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair_external import (
    converge_external,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair_files import PairFiles
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair_state import (
    PairResult,
    PairRun,
    PairState,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import create_request
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    PairSpec,
    parse_pair_spec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc

with contextlib.suppress(ImportError):
    from cryptography import x509


def converge_pair(module: attributes.FilesModule, now: datetime) -> PairResult:
    """Converge the key pair to the options of the module, and return the result of the module.

    Raises X509Error or FilesError.
    """
    files = PairFiles(module)
    is_removed = module.params["state"] == "absent"
    if module.check_mode:
        return _remove(module, files) if is_removed else _converge(module, files, now)
    missing = files.find_missing_directory()
    if missing and is_removed:
        return {"changed": False, "reasons": []}
    if missing:
        raise X509Error(f"the directory {missing!r} does not exist; create it first")
    with files.locked():
        return _remove(module, files) if is_removed else _converge(module, files, now)


def _remove(module: attributes.FilesModule, files: PairFiles) -> PairResult:
    existing = files.list_existing()
    if not module.check_mode:
        files.remove()
    result: PairResult = {
        "changed": bool(existing),
        "reasons": [],
        "diff": {"before": {"files": existing}, "after": {"files": []}},
    }
    return result | files.backup_results()


def _converge(module: attributes.FilesModule, files: PairFiles, now: datetime) -> PairResult:
    try:
        spec = parse_pair_spec(module.params)
        is_external = spec.ca.location == "external"
        authority = None if is_external else _load_authority(spec, now)
        passphrase = read_passphrase(spec.key.passphrase_path, "privatekey_passphrase_file")
    except MissingError as exc:
        if not module.check_mode:
            raise
        module.warn(f"{exc}; check mode assumes that an earlier task creates it")
        return {"changed": True, "reasons": [str(exc)]}
    issuer = authority.certificate if authority else None
    run = PairRun(module, files, spec, passphrase, issuer, now)
    if is_external:
        return converge_external(run)
    state = run.read_state()
    if spec.ca.sent_certificate is not None and not module.check_mode:
        return _install_sent(run, state, spec.ca.sent_certificate)
    return _issue(run, state, authority)


def _load_authority(spec: PairSpec, now: datetime) -> CertificateAuthority | None:
    """Return the CA; None for a CA that signs itself. Raises X509Error if the CA cannot sign."""
    ca = spec.ca
    if ca.location == "controller" and ca.path is None and ca.sent_authority is not None:
        [certificate, *_others] = parse_authorities(
            ca.sent_authority.encode("ascii", "replace"), "the controller's CA"
        )
        authority = CertificateAuthority(certificate)
        check_authority(certificate, "the controller's CA", spec.certificate, now)
        return authority
    if ca.path is None:
        unsupported_digest = check_digest(spec.key.kind, spec.certificate.digest)
        if unsupported_digest:
            raise X509Error(unsupported_digest, option="privatekey_type")
        if spec.certificate.is_ca:
            return None
        raise X509Error(
            "is not set; set the certificate and key of the CA, or set is_ca to create a CA",
            option="ca_path",
        )
    if ca.location == "controller":
        raise X509Error(
            "ca_on: controller requires the action plugin of the collection, which did not run;"
            " call the module as kube_ha.scheduler.x509_cert"
        )
    authority = load_authority(ca.path, t.cast(str, ca.key_path), ca.passphrase_path)
    check_authority(authority.certificate, ca.path, spec.certificate, now)
    return authority


def _issue(run: PairRun, state: PairState, authority: CertificateAuthority | None) -> PairResult:
    """Issue a certificate, or return the request for one, if there is a reason."""
    spec, files = run.spec.certificate, run.files
    # Report these errors before any change, and in check mode too.
    period = choose_validity(spec, run.issuer, run.now) if state.reasons else None
    is_outdated = bool(state.reasons) or state.is_key_rewritten
    changed = files.converge_attributes() or is_outdated
    if run.module.check_mode:
        return run.build_result(state, changed, None if period else state.certificate, period)
    if not is_outdated:
        files.remove_waiting_key()
        return run.build_result(state, changed, state.certificate)
    private, key_pem = run.prepare_key(state)
    if period is None:
        files.install(key_pem, None)
        return run.build_result(state, True, state.certificate)
    if run.spec.ca.location == "controller" and run.issuer is not None:
        files.store_new_key(key_pem, rewrite=state.is_key_rewritten)
        csr = create_request(private).decode("ascii")
        return run.build_result(state, True, None, period) | {CSR_KEY: csr}
    signer = Signer(run.issuer, authority.private if authority else private)
    certificate = issue_certificate(spec, private.public_key(), signer, period)
    files.install(key_pem, serialize_certificate(certificate))
    files.remove_waiting_key()
    return run.build_result(state, True, certificate, period)


def _install_sent(run: PairRun, state: PairState, sent: str) -> PairResult:
    """Install a certificate that the controller signed, with its key."""
    certificates = parse_certificates(sent.encode("ascii", "replace"))
    certificate = certificates[0] if len(certificates) == 1 else None
    if certificate is None:
        raise X509Error("the controller's certificate cannot be read; run the task again")
    key, key_pem = _find_key_of(run, state, certificate)
    problems = run.check_certificate(certificate, key, windowed=False)
    if problems:
        raise X509Error(
            f"the controller's certificate cannot be used: {'; '.join(problems)}; compare the clock"
            f" of this host ({format_utc(run.now)}) with the clock of the controller"
        )
    run.files.install(key_pem, serialize_certificate(certificate))
    run.files.remove_waiting_key()
    return run.build_result(state, True, certificate)


def _find_key_of(
    run: PairRun, state: PairState, certificate: x509.Certificate
) -> tuple[PrivateKey, bytes | None]:
    """Return the private key of a certificate, and its PEM text if it is the waiting key."""
    public, waiting = certificate.public_key(), run.read_waiting_key()
    if waiting is not None and is_same_key(waiting.public_key(), public):
        return PrivateKey(waiting, "pkcs8", False), run.files.read_waiting_key()
    if state.key is not None and is_same_key(state.key.private.public_key(), public):
        return state.key, None
    raise X509Error(f"another run has replaced {run.files.key_path!r}; run again")

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Describe the certificates on a host: those of the key pair and of the kubeconfig."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import (
    load_credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    trusted_path,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    compute_fingerprint,
    format_issuer,
    format_subject,
    parse_certificates,
    read_fields,
    read_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    describe_missing_cryptography,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import has_signed
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

MAX_CERTIFICATES = 100
"""Maximum number of certificates to describe per file."""


def describe_host_certificates(
    certificate: str | None, kubeconfig: str, authorities: str
) -> list[facts.HostCertificate]:
    """Describe the certificates in a file and in a kubeconfig, given by their paths.

    Unreadable files are omitted. `authorities` is the PEM text of CAs. Without the cryptography
    library, the list is empty.
    """
    if describe_missing_cryptography():
        return []
    signers = _parse(authorities.encode("ascii", "replace"))
    described = []
    for path, use, content in _read_contents(certificate, kubeconfig):
        # In a certificate file, intermediate CAs follow the certificate of the host.
        count = MAX_CERTIFICATES if use == "trust" else 1
        described += [
            _describe(path, use, entry, signers)
            for entry in _parse(content, MAX_CERTIFICATES)[:count]
        ]
    return [entry for entry in described if entry is not None]


def _read_contents(certificate: str | None, kubeconfig: str) -> list[tuple[str, str, bytes]]:
    """Return the path, the use and the PEM text of each readable certificate source."""
    contents: list[tuple[str, str, bytes]] = []
    if certificate is not None:
        with contextlib.suppress(FilesError):
            contents.append((certificate, "pair", paths.read(certificate) or b""))
    with contextlib.suppress(KubeError, ProbeError):
        login = load_credentials(trusted_path(kubeconfig))
        client_pem, ca_pem = (login.client_pem or ("", ""))[0], login.ca_pem or ""
        contents.append((kubeconfig, "client", client_pem.encode("ascii", "replace")))
        contents.append((kubeconfig, "trust", ca_pem.encode("ascii", "replace")))
    return contents


def _parse(content: bytes, limit: int | None = None) -> list[t.Any]:
    """Return the certificates in PEM text; invalid ones are omitted."""
    return [entry for entry in parse_certificates(content)[:limit] if entry is not None]


def _describe(
    path: str, use: str, certificate: t.Any, signers: t.Sequence[t.Any]
) -> facts.HostCertificate | None:
    fields = read_fields(certificate)
    if fields is None:
        return None
    identity = read_identity(certificate, current_utc())
    return facts.HostCertificate(
        path=path,
        use=use,
        subject=format_subject(certificate),
        issuer=format_issuer(certificate),
        usages=[*fields["extended_key_usage"], *(fields["key_usage"] if fields["is_ca"] else [])],
        not_after=identity["not_after"],
        fingerprint_sha256=identity["fingerprint_sha256"],
        signed_by=[
            compute_fingerprint(signer) for signer in signers if has_signed(signer, certificate)
        ],
    )

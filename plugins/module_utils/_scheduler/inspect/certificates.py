# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Describe the certificates on a host: of its key pair, and in its kubeconfig."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    credentials as _credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    trusted_path,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    compute_fingerprint,
    parse_certificates,
    read_fields,
    read_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import has_signed
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

MOST = 100
"""Maximum number of certificates to describe per file."""


def on_host(
    certificate: str | None, kubeconfig: str, authorities: str
) -> list[facts.HostCertificate]:
    """Describe the certificates in a file and in a kubeconfig, given by their paths.

    Unreadable files are omitted. `authorities` is PEM text of CAs.
    """
    signers = [
        found
        for found in parse_certificates(authorities.encode("ascii", "replace"))
        if found is not None
    ]
    texts: list[tuple[str, str, bytes]] = []
    if certificate is not None:
        with contextlib.suppress(FilesError):
            texts.append((certificate, "pair", paths.read(certificate) or b""))
    with contextlib.suppress(KubeError, ProbeError):
        login = _credentials.load_credentials(trusted_path(kubeconfig))
        texts.append(
            (kubeconfig, "client", (login.client_pem or ("", ""))[0].encode("ascii", "replace"))
        )
        texts.append((kubeconfig, "trust", (login.ca_pem or "").encode("ascii", "replace")))
    found = []
    for path, use, content in texts:
        known = [entry for entry in parse_certificates(content)[:MOST] if entry is not None]
        # What follows the first one of a pair are its intermediates.
        found += [
            _described(path, use, entry, signers)
            for entry in (known if use == "trust" else known[:1])
        ]
    return [entry for entry in found if entry is not None]


def _described(
    path: str, use: str, certificate: t.Any, signers: t.Sequence[t.Any]
) -> facts.HostCertificate | None:
    have = read_fields(certificate)
    if have is None:
        return None
    identity = read_identity(certificate, current_utc())
    return facts.HostCertificate(
        path=path,
        use=use,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        usages=[*have["extended_key_usage"], *(have["key_usage"] if have["is_ca"] else [])],
        not_after=identity["not_after"],
        fingerprint_sha256=identity["fingerprint_sha256"],
        signed_by=[
            compute_fingerprint(signer) for signer in signers if has_signed(signer, certificate)
        ],
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Issue short-lived client certificates for probes."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    check_authority,
    load_authority,
    sign_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    KeyKind,
    ReadFile,
    generate_key,
    read_plain,
    serialize_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

# The ClusterRole system:monitoring of each apiserver allows this group to read /metrics.
METRICS_READER = {
    "subject": {"CN": "kube-ha-metrics-reader", "O": "system:monitoring"},
    "key_usage": ["digitalSignature"],
    "extended_key_usage": ["clientAuth"],
    "valid_for": "10m",
    "renew_before": "1m",
    "not_after_policy": "clamp",
}
# This user has no permissions. A request with its certificate shows whether an apiserver accepts
# certificates of a CA.
UNPRIVILEGED_CLIENT = {**METRICS_READER, "subject": {"CN": "kube-ha-probe"}}


def issue_client_certificate(
    ca_path: str,
    ca_privatekey_path: str,
    passphrase_file: str | None = None,
    *,
    options: t.Mapping[str, t.Any] = METRICS_READER,
    read: ReadFile = read_plain,
) -> tuple[str, str]:
    """Return a certificate for ten minutes and its key, as PEM text, without a file on disk.

    `options` are those of x509_cert, and `read` is that of `load_authority`. Raises X509Error or FilesError.
    """
    now = current_utc()
    spec = parse_certificate_spec(options)
    authority = load_authority(ca_path, ca_privatekey_path, passphrase_file, read)
    check_authority(authority.certificate, ca_path, spec, now)
    private = generate_key(KeyKind("ECC"))
    certificate, _period = sign_certificate(authority, spec, private.public_key(), now)
    return (
        serialize_certificate(certificate).decode(),
        serialize_key(private, "pkcs8", None).decode(),
    )

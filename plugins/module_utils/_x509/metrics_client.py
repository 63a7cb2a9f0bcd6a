# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

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
    generate_key,
    serialize_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

# The ClusterRole system:monitoring, which every apiserver brings, lets this group read /metrics.
METRICS_READER = {
    "subject": {"CN": "kube-ha-metrics-reader", "O": "system:monitoring"},
    "key_usage": ["digitalSignature"],
    "extended_key_usage": ["clientAuth"],
    "valid_for": "10m",
    "renew_before": "1m",
    "not_after_policy": "clamp",
}
# To ask an apiserver whether it accepts certificates of a CA.
UNPRIVILEGED_CLIENT = {**METRICS_READER, "subject": {"CN": "kube-ha-probe"}}


def issue_client_certificate(
    ca_path: str,
    ca_privatekey_path: str,
    passphrase_file: str | None = None,
    who: t.Mapping[str, t.Any] | None = None,
) -> tuple[str, str]:
    """Return a ten-minute certificate and its key, as PEM text; nothing is written. C(who): READER. Raises X509Error or FilesError."""
    moment = current_utc()
    wanted = parse_certificate_spec(who or METRICS_READER)
    authority = load_authority(ca_path, ca_privatekey_path, passphrase_file)
    check_authority(authority, ca_path, wanted, moment)
    private = generate_key(KeyKind("ECC"))
    certificate, _times = sign_certificate(authority, wanted, private.public_key(), moment)
    return serialize_certificate(certificate).decode(), serialize_key(
        private, "pkcs8", None
    ).decode()

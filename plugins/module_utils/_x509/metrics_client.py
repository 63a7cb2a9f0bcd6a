# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Short-lived client certificates: of somebody who may read the metrics, and of somebody who may do nothing."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import authority as _authority
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import (
    certificate as _certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import keys
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import wanted as _wanted
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.base import now

# The ClusterRole system:monitoring, which every apiserver brings, lets this group read /metrics.
READER = {
    "subject": {"CN": "kube-ha-metrics-reader", "O": "system:monitoring"},
    "key_usage": ["digitalSignature"],
    "extended_key_usage": ["clientAuth"],
    "valid_for": "10m",
    "renew_before": "1m",
    "not_after_policy": "clamp",
}
# To ask an apiserver whether it accepts certificates of a CA.
NOBODY = {**READER, "subject": {"CN": "kube-ha-probe"}}


def make(
    ca_path: str,
    ca_privatekey_path: str,
    passphrase_file: str | None = None,
    who: t.Mapping[str, t.Any] | None = None,
) -> tuple[str, str]:
    """Return a ten-minute certificate and its key, as PEM text; nothing is written. C(who): READER. Raises X509Error or FilesError."""
    moment = now()
    wanted = _wanted.wanted(who or READER)
    authority = _authority.load(ca_path, ca_privatekey_path, passphrase_file)
    _authority.check(authority, ca_path, wanted, moment)
    private = keys.generate(keys.Kind("ECC"))
    certificate, _times = _authority.sign(authority, wanted, private.public_key(), moment)
    return _certificate.pem(certificate).decode(), keys.dump(private, "pkcs8", None).decode()

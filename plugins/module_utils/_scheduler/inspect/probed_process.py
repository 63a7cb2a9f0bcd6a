# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Define the process that the probes examine."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    KubeError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import Credentials
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import is_loopback
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving

PROBE_TIMEOUT_S = 5.0
# A process that listens on all IPv6 addresses also listens on all IPv4 addresses. The serving
# certificate contains 127.0.0.1, but not ::1.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}


@dataclass(frozen=True)
class ProbedProcess:
    """The process to probe, and the inputs of the probes."""

    process: facts.Process
    serving: Serving
    source_groups: tuple[tuple[str, ...], ...]
    """Objects that can contain the lease record; each group is read separately."""
    login: Credentials | ProbeError | KubeError
    """Credentials of the process for the apiserver, or why they cannot be read."""
    serving_ca: str | None
    metrics_pair: tuple[str, str] | None
    holds_http_port: bool
    listening_addresses: t.Collection[str]
    """Addresses at which any process listens on the HTTPS port."""

    @property
    def credentials(self) -> Credentials:
        """Return the credentials of the process; raise ProbeError or KubeError without them."""
        if isinstance(self.login, Exception):
            raise self.login
        return self.login

    @property
    def address(self) -> str:
        """Return the address of the process on this host; raise ProbeError if there is none."""
        bound = LOOPBACK.get(self.process["bind_address"], self.process["bind_address"])
        if bound not in self.listening_addresses and not is_loopback(bound):
            raise ProbeError(
                f"no process listens at {bound} on port {self.process['secure_port']} of this host;"
                " check the bind address"
            )
        return bound

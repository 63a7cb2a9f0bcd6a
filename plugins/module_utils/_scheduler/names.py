# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Names that both sides share: paths, units, objects, steps of a rotation, health checks."""

from __future__ import annotations

import os
import re

LEASE_NAME, LEASE_NAMESPACE = "kube-scheduler", "kube-system"
DEFAULT_SCHEDULER = "default-scheduler"

UNITS_DIR = "/etc/systemd/system"
"""Where an administrator's units and drop-ins lie."""
CREDENTIALS_DIR = "/run/credentials"
SET_ASIDE_CONTENT = (
    "# Set aside by kube_ha.scheduler, which keeps what was here with its previous set.\n"
)
"""All that is in a drop-in whose settings were taken away."""


def credentials_dir(unit: str) -> str:
    """Where systemd puts the credentials of a system service."""
    return os.path.join(CREDENTIALS_DIR, unit)


MAX_WAIT_S = 86400
STATIC_POD = "static_pod"
"""Name of the member that is the manifest of a static pod: somebody else's, and never to be removed but for a set that takes its place."""
# What an object of Kubernetes can be called.
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

DIGEST_VARIABLE = "KUBE_HA_DIGEST"
DIGEST_MARK = "@digest@"


def unit_name(name: str) -> str:
    """The unit of an instance."""
    return f"{name}.service"


def unit_path(name: str) -> str:
    """Where the unit of an instance lies."""
    return f"{UNITS_DIR}/{unit_name(name)}"


def fileset_dir(name: str) -> str:
    """The folder that is an instance's own, with its staged set and its record."""
    return f"/var/lib/kube-ha/{name}"


LEAF, DUE, CA = "leaf", "due", "ca"
ROTATION_KINDS = (LEAF, DUE, CA)
ACCEPT, ISSUE, DROP = "accept", "issue", "drop"
ROTATION_STEPS = (ACCEPT, ISSUE, DROP)
"""Those of a rotation of the CA that change hosts, in order; a host that has done one has done those before it."""
INSPECT, AWAIT_RELOAD = "look", "reload"
"""Parts of a rotation that change nothing: to find where it stands, and to wait until new pairs are used."""

CHECK_NAMES = {
    "served": "the certificate that it serves",
    "used": "the certificate that it uses at the apiserver",
    "ready": "readiness",
    "metrics_anonymous": "metrics for an anonymous reader",
    "metrics_reader": "metrics for an authorised reader",
    "metrics_http": "metrics over plain HTTP",
    "lease": "the lease, with the scheduler's own credentials",
    "settings": "the settings in use, by /configz",
}

MAX_UNDO_AFTER_S = 3600

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Names and constants that both the controller and the hosts use."""

from __future__ import annotations

import os
import re

# --- The scheduler

LEASE_NAME, LEASE_NAMESPACE = "kube-scheduler", "kube-system"
DEFAULT_SCHEDULER = "default-scheduler"
# The name of a Kubernetes object.
LOCK_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
CHECK_NAMES = {
    "served": "the served certificate",
    "used": "the certificate used at the apiserver",
    "ready": "readiness",
    "metrics_anonymous": "metrics for an anonymous client",
    "metrics_reader": "metrics for an authorized client",
    "metrics_http": "metrics at the http:// URL",
    "lease": "the lease, read with the scheduler's credentials",
    "settings": "the settings in use, from /configz",
}
"""The displayed name of each health check."""

# --- Units and paths of an instance

UNITS_DIR = "/etc/systemd/system"
"""The directory of the administrator's units and drop-ins."""
CREDENTIALS_DIR = "/run/credentials"
SET_ASIDE_CONTENT = (
    "# Set aside by kube_ha.scheduler, which keeps what was here with its previous set.\n"
)
"""The whole content of a drop-in whose settings were removed."""


def unit_name(name: str) -> str:
    """Return the unit of an instance."""
    return f"{name}.service"


def unit_path(name: str) -> str:
    """Return the path of the unit of an instance."""
    return f"{UNITS_DIR}/{unit_name(name)}"


def credentials_dir(unit: str) -> str:
    """Return the directory where systemd provides the credentials of a service."""
    return os.path.join(CREDENTIALS_DIR, unit)


def fileset_dir(name: str) -> str:
    """Return the file set directory of an instance, with its staged set and its record."""
    return f"/var/lib/kube-ha/{name}"


# --- The file set

STATIC_POD = "static_pod"
"""The member for the manifest of a static pod. Another installer created the manifest.

Only a set that replaces the static pod removes it.
"""
DIGEST_VARIABLE = "KUBE_HA_DIGEST"
"""The environment variable of the unit that contains the digest of the set."""
DIGEST_MARK = "@digest@"
"""The placeholder for the digest in rendered texts."""

# --- Rotation of certificates

LEAF, DUE, CA = "leaf", "due", "ca"
ROTATION_KINDS = (LEAF, DUE, CA)
ACCEPT, ISSUE, DROP = "accept", "issue", "drop"
ROTATION_STEPS = (ACCEPT, ISSUE, DROP)
"""The steps of a CA rotation that change hosts, in order; each requires the steps before it."""
INSPECT, AWAIT_RELOAD = "inspect", "reload"
"""Steps that change nothing: determine the current step, and wait until new pairs are used."""

# --- Limits

MAX_WAIT_S = 86400
MAX_UNDO_AFTER_S = 3600

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Define the names and constants that the controller and the hosts share."""

from __future__ import annotations

import os
import re

# --- The scheduler

LEASE_NAME, LEASE_NAMESPACE = "kube-scheduler", "kube-system"
DEFAULT_SCHEDULER = "default-scheduler"
# Pattern of the name of a Kubernetes object.
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
"""The name of each health check in messages."""

# --- Units and paths of an instance

UNITS_DIR = "/etc/systemd/system"
"""The directory of locally created units and drop-ins."""
CREDENTIALS_DIR = "/run/credentials"
SET_ASIDE_CONTENT = (
    "# Set aside by kube_ha.scheduler, which keeps what was here with its previous set.\n"
)
"""The content of a drop-in whose settings the role removed."""


def unit_name(name: str) -> str:
    """Return the name of the unit of an instance."""
    return f"{name}.service"


def unit_path(name: str) -> str:
    """Return the path of the unit of an instance."""
    return f"{UNITS_DIR}/{unit_name(name)}"


def credentials_dir(unit: str) -> str:
    """Return the directory that contains the credentials of a service of systemd."""
    return os.path.join(CREDENTIALS_DIR, unit)


def fileset_dir(name: str) -> str:
    """Return the file set directory of an instance, with the staged set and the record."""
    return f"/var/lib/kube-ha/{name}"


# --- The file set

STATIC_POD = "static_pod"
"""The name of the static pod manifest in a file set. Another installer created the manifest.

Only a file set that replaces the static pod removes the manifest.
"""
DIGEST_VARIABLE = "KUBE_HA_DIGEST"
"""The environment variable of the unit that contains the digest of the file set."""
DIGEST_MARK = "@digest@"
"""The placeholder for the digest in rendered texts."""

# --- Rotation of certificates

LEAF, DUE, CA = "leaf", "due", "ca"
ROTATION_KINDS = (LEAF, DUE, CA)
ACCEPT, ISSUE, DROP = "accept", "issue", "drop"
ROTATION_STEPS = (ACCEPT, ISSUE, DROP)
"""The steps of a CA rotation that change hosts, in order. Each step requires the earlier steps."""
INSPECT, AWAIT_RELOAD = "inspect", "reload"
"""Steps that change nothing: inspect the current step, and await the use of new key pairs."""

# --- Limits

MAX_WAIT_S = 86400
MAX_UNDO_AFTER_S = 3600

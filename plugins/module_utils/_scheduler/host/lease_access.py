# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Access to the lease with the credentials of the scheduler on this host."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    KubeError,
    LeaseError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    credentials_dir,
)

LEASE_ACCESS_ERRORS = (KubeError, LeaseError, ProbeError)


def process_kubeconfig(unit: str, named: str) -> str:
    """What the process itself reads: its credential where systemd gave it one, which outlives a change of the file.

    systemd mounts credentials read-only where the host sees them too; the process's own view of that place could be of its making.

    Raises ProbeError for a kubeconfig that anybody but root may have written: it can name other files, and where their content
    is sent.
    """
    own = os.path.join(credentials_dir(unit), "kubeconfig")
    if os.path.exists(own):
        return own
    if not named:
        raise ProbeError("no kubeconfig is known, neither of the process nor of the task")
    return trusted_path(named)


def trusted_path(named: str) -> str:
    """The path behind the name of a kubeconfig that root may act on. Raises ProbeError for one that anybody else may have written."""
    path = os.path.realpath(named)
    try:
        info = os.stat(path)
        why = paths.find_risk(os.path.dirname(path))
    except OSError as error:
        raise ProbeError(f"{named}: {error.strerror}") from None
    if info.st_uid not in (0, os.geteuid()) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = "others may write it"
    if why is not None:
        raise ProbeError(f"{named} is not used as root: {why}")
    return path


def record_readers(
    client: _client.Client, namespace: str, name: str, groups: t.Iterable[tuple[str, ...]]
) -> list[t.Callable[[], _lease.LeaseRecord | None]]:
    """One for each object that may hold the record.

    While members change over to another lock, only one of the objects that a pair of locks has is written to.
    """
    return [_lease.make_reader(client.get, namespace, name, sources) for sources in groups]

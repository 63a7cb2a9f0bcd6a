# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read the lease with the credentials of the scheduler on this host."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import Client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import (
    LeaseRecord,
    make_reader,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    credentials_dir,
)

LEASE_ACCESS_ERRORS = (KubeError, LeaseError, ProbeError)


def process_kubeconfig(unit: str, path: str) -> str:
    """Return the path of the kubeconfig that the process uses.

    If the unit has a systemd credential, this is the path of the credential on the host. Otherwise,
    it is `path`. A change of the file does not change the credential.

    Raises ProbeError if a user other than root can write the kubeconfig. Such a user could name
    files that only root can read, and a server that receives the content.
    """
    credential = os.path.join(credentials_dir(unit), "kubeconfig")
    if os.path.exists(credential):
        return credential
    if not path:
        raise ProbeError("the kubeconfig of the scheduler is unknown; set the option kubeconfig")
    return trusted_path(path)


def trusted_path(kubeconfig: str) -> str:
    """Return the resolved path of a kubeconfig that root can use.

    Raises ProbeError if a user other than root can write the kubeconfig.
    """
    path = os.path.realpath(kubeconfig)
    try:
        info = os.stat(path)
        risk = paths.find_risk(os.path.dirname(path))
    except OSError as error:
        raise ProbeError(f"{kubeconfig}: {error.strerror}; check this path") from None
    if info.st_uid not in (0, os.geteuid()) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        risk = "other users can write it"
    if risk is not None:
        raise ProbeError(f"{kubeconfig} is not used as root: {risk}")
    return path


def record_readers(
    client: Client, namespace: str, name: str, groups: t.Iterable[tuple[str, ...]]
) -> list[t.Callable[[], LeaseRecord | None]]:
    """Return one reader for each group of lease sources.

    While the lock type changes, a member can write to only one of the two objects.
    """
    return [make_reader(client.get, namespace, name, sources) for sources in groups]

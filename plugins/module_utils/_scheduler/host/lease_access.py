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
    """Return the kubeconfig that the process reads.

    This is its systemd credential if it has one, otherwise `path`. The credential does not change
    with the file. It is read in the host's view, because the process could arrange its own view.

    Raises ProbeError if a user other than root could have written the kubeconfig, which names
    further files and the server that receives their content.
    """
    credential = os.path.join(credentials_dir(unit), "kubeconfig")
    if os.path.exists(credential):
        return credential
    if not path:
        raise ProbeError("the kubeconfig of the scheduler is unknown; set the option kubeconfig")
    return trusted_path(path)


def trusted_path(kubeconfig: str) -> str:
    """Return the resolved path of a kubeconfig that root can use.

    Raises ProbeError if a user other than root could have written it.
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
        raise ProbeError(
            f"{kubeconfig} is not used as root: {risk};"
            " let only root write the file and its directory"
        )
    return path


def record_readers(
    client: Client, namespace: str, name: str, groups: t.Iterable[tuple[str, ...]]
) -> list[t.Callable[[], LeaseRecord | None]]:
    """Return one reader for each group of lease sources.

    During a lock change, members write only to one of the two objects of a lock.
    """
    return [make_reader(client.get, namespace, name, sources) for sources in groups]

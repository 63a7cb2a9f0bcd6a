# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read the lease with the credentials of the scheduler on this host."""

from __future__ import annotations

import codecs
import os
import stat
import typing as t
from dataclasses import asdict

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeconfigError,
    KubeError,
    LeaseError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import Client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import (
    Credentials,
    load_credentials,
    parse_credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig import (
    KUBECONFIG_CODEC,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import (
    LeaseRecord,
    make_reader,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.foreign import (
    read_as,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    credentials_dir,
)

LEASE_ACCESS_ERRORS = (KubeError, LeaseError, ProbeError)


def load_process_credentials(proc: Proc, pid: int, unit: str, path: str) -> Credentials:
    """Return the credentials in the kubeconfig that a process uses.

    If the unit has a systemd credential, this is the kubeconfig. A change of the file at `path`
    does not change the credential. Otherwise, root reads the file at `path` only if no other user
    can write it. Such a user could name files that only root can read, and a server that receives
    their content. Any other file is read with the permissions of the process.

    Raises ProbeError and KubeconfigError.
    """
    credential = os.path.join(credentials_dir(unit), "kubeconfig")
    if os.path.exists(credential):
        return load_credentials(credential)
    if not path:
        raise ProbeError("the kubeconfig of the scheduler is unknown; set the option kubeconfig")
    try:
        return load_credentials(trusted_path(path))
    except ProbeError as error:
        credentials = _read_as_process(proc, pid, path) if pid else None
        if credentials is None:
            raise ProbeError(f"{error}; process {pid} cannot read this file") from None
        return credentials


def _read_as_process(proc: Proc, pid: int, path: str) -> Credentials | None:
    """Return the credentials in a kubeconfig, read with the permissions of a process.

    If the process cannot read the kubeconfig, return None. Raises ProbeError for other errors.
    """
    # The child process cannot load a codec if it has another root directory.
    codecs.lookup(KUBECONFIG_CODEC)

    def parse(content: bytes) -> dict[str, t.Any]:
        try:
            return asdict(parse_credentials(content, path, os.path.dirname(path)))
        except KubeconfigError as error:
            return {"error": str(error)}

    fields = read_as(proc, pid, path, parse)
    if isinstance(fields, dict) and isinstance(fields.get("error"), str):
        raise ProbeError(fields["error"])
    return _to_credentials(fields)


def _to_credentials(value: t.Any) -> Credentials | None:
    """Return the credentials from the child process; None if a field has another type."""
    try:
        pair = value["client_pem"]
        credentials = Credentials(**{**value, "client_pem": tuple(pair) if pair else None})
    except (TypeError, KeyError):
        return None
    texts = [*asdict(credentials).values(), *(credentials.client_pem or ())]
    is_valid = all(isinstance(text, (str, bool, tuple)) or text is None for text in texts)
    return credentials if is_valid and len(credentials.client_pem or ("", "")) == 2 else None


def trusted_path(kubeconfig: str) -> str:
    """Return the resolved path of a kubeconfig that root can use.

    Raises ProbeError if a user other than root can write the kubeconfig.
    """
    try:
        with paths.locate(kubeconfig, strict=True) as place:
            info = place.status()
    except OSError as error:
        raise ProbeError(f"{kubeconfig}: {error.strerror}; check this path") from None
    except FilesError as error:
        raise ProbeError(str(error)) from None
    if info is None:
        raise ProbeError(f"{kubeconfig}: No such file or directory; check this path")
    if info.st_uid not in (0, os.geteuid()) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ProbeError(f"{kubeconfig} is not used as root, because other users can write it")
    return place.path


def record_readers(
    client: Client, namespace: str, name: str, groups: t.Iterable[tuple[str, ...]]
) -> list[t.Callable[[], LeaseRecord | None]]:
    """Return one reader for each group of lease sources.

    While the lock type changes, a member can write to only one of the two objects.
    """
    return [make_reader(client.get, namespace, name, sources) for sources in groups]

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Query apiservers over verified TLS for their version and their support of the next CA."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import (
    Client,
    StatusError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import Credentials
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.probed_process import (
    PROBE_TIMEOUT_S,
)


def query_apiserver(server: str, params: t.Mapping[str, t.Any]) -> facts.Apiserver:
    """Query the version of an apiserver over verified TLS.

    An apiserver that denies anonymous access counts as reachable.
    """
    version, error = _read_version(server, params)
    result = facts.Apiserver(
        server=server,
        reachable=error is None,
        version=version,
        error=error,
        next_serves=None,
        next_accepted=None,
    )
    if result["reachable"] and params["next_ca"]:
        result["next_serves"] = _is_compatible(server, params, params["next_ca"])
        if params["next_cert"]:
            pair = (params["next_cert"], params["next_key"])
            result["next_accepted"] = _is_compatible(server, params, params["apiserver_ca"], pair)
    return result


def _read_version(server: str, params: t.Mapping[str, t.Any]) -> tuple[str | None, str | None]:
    """Return the version and the error; both are None if the apiserver denies access."""
    try:
        version = _query_version(server, params, params["apiserver_ca"]).get("gitVersion")
    except StatusError as error:
        return None, None if error.kind in ("unauthorized", "forbidden") else str(error)
    except KubeError as error:
        return None, str(error)
    if not isinstance(version, str):
        return None, f"{server}/version returned no version; set the URL of an apiserver"
    return version, None


def _query_version(
    server: str,
    params: t.Mapping[str, t.Any],
    ca_pem: str | None,
    pair: tuple[str, str] | None = None,
) -> dict[str, t.Any]:
    login = Credentials(
        origin="apiserver",
        server=server,
        ca_pem=ca_pem,
        client_pem=pair,
        tls_server_name=params["tls_server_name"] or None,
    )
    with Client([login], timeout=PROBE_TIMEOUT_S) as client:
        return client.get("/version")


def _is_compatible(
    server: str,
    params: t.Mapping[str, t.Any],
    ca_pem: str | None,
    pair: tuple[str, str] | None = None,
) -> bool | None:
    """Check the apiserver's certificate against `ca_pem`, and that the apiserver accepts `pair`.

    Return None if the result is unknown.
    """
    try:
        _query_version(server, params, ca_pem, pair)
    except KubeError as error:
        if error.kind in (("unauthorized", "tls_client") if pair else ("tls_untrusted",)):
            return False
        # A client with status 401 or 403 has already verified the certificate of the server.
        return True if error.kind in ("forbidden", "unauthorized") else None
    return True

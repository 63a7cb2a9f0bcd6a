# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What leader_info does: tell who leads, or wait for a leader."""

from __future__ import annotations

import math
import re
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable

    from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import Observation

MAX_REQUEST_S = 10.0
"""Seconds for one request, so that one which hangs leaves time for the rest of a wait."""

WAIT_CONDITIONS = {
    "leader": "a leader",
    "change": "a leader other than {}",
    "holder": "{} to lead",
}
"""What wait_for stands for, in words; {} is the option holder."""

MAX_IDENTITY_CHARS = 1024
"""Characters: those of an election have a host's name and a UUID."""

OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class OptionError(KubeError):
    """The value of C(option) is not valid."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__("option", message)
        self.location = self.option = option


class LeaderInfo(lease.LeaseResult):
    """The result of leader_info."""

    server: str
    """URL of the apiserver that answered last, without a path."""


def _check(params: dict[str, t.Any]) -> None:
    for option in ("name", "namespace"):
        if not OBJECT_NAME.fullmatch(params[option]):
            raise OptionError(
                option, f"{params[option][:64]!r} is not a name that an object can have"
            )
    for option, least in (("timeout", 0.0), ("poll_interval", 0.01)):
        if not (math.isfinite(params[option]) and least <= params[option] <= 86400):
            raise OptionError(
                option, f"{params[option]} is not between {least:g} and 86400 seconds"
            )
    if params["holder"] is not None and params["wait_for"] not in ("holder", "change"):
        raise OptionError("holder", "is only of use with wait_for=holder or wait_for=change")
    if "" in (params["contexts"] or ()):
        raise OptionError(
            "contexts",
            "one of them is empty; name contexts of the kubeconfig, or leave the option out",
        )
    for option in ("holder", "members"):
        given = params[option] if option == "members" else [params[option]]
        for text in given or ():
            if text is not None and not (
                text.isprintable() and 0 < len(text) <= MAX_IDENTITY_CHARS
            ):
                raise OptionError(
                    option, f"{text[:64]!r} is not one readable name; name a host or an identity"
                )


def _condition(params: dict[str, t.Any]) -> Callable[[Observation], bool]:
    wait_for, wanted = params["wait_for"], params["holder"]
    if wait_for is None:
        return lease.is_conclusive
    if wait_for == "leader":
        return lambda view: view.leads
    if wait_for == "holder":
        return lambda view: view.leads and lease.matches_holder(view.identity, wanted)

    def changed(view: Observation) -> bool:
        nonlocal wanted
        if wanted is None:
            wanted = view.node
        return view.leads and not lease.matches_holder(view.identity, wanted)

    return changed


def query_leader(
    params: dict[str, t.Any], sleep: Callable[[float], None] = time.sleep
) -> tuple[LeaderInfo, str | None]:
    """Return what is known of the leader, and one line that says so where a wait was in vain, else None.

    PARAMS are the options of leader_info. Raises KubeError (OptionError for an option) and LeaseError.
    """
    _check(params)
    deadline = time.monotonic() + params["timeout"]
    with _client.load_client(params["kubeconfig"], params["contexts"] or None) as client:

        def get(path: str) -> dict[str, t.Any]:
            # Without a wait, and at its end, a request still needs some time.
            return client.get(
                path, timeout=max(1.0, min(MAX_REQUEST_S, deadline - time.monotonic()))
            )

        view, fulfilled = lease.observe(
            lease.make_reader(get, params["namespace"], params["name"]),
            _condition(params),
            timeout=params["timeout"],
            interval=params["poll_interval"],
            members=params["members"],
            retry_first=params["wait_for"] is not None,
            sleep=sleep,
        )
        found: LeaderInfo = {**lease.to_lease_result(view), "server": client.server}
    if fulfilled or params["wait_for"] is None:
        return found, None
    condition = WAIT_CONDITIONS[params["wait_for"]].format(params["holder"] or "the first one seen")
    where = f"{params['namespace']}/{params['name']}"
    return (
        found,
        f"{where}: waited {view.elapsed:.1f} s in vain for {condition}; {describe_state(view)}",
    )


def describe_state(view: Observation) -> str:
    """Return a view in words, on one line."""
    node = one_line(view.node, 256)
    return {
        "absent": "there is no election record",
        "released": "the record is released, and nobody takes it",
        "expired": f"the record is held by {node}, who has not renewed it for its duration",
        "foreign": f"the record is held by {node}, who is not among the members",
        "held": f"the record is held by {node}{'' if view.moving else ', who was not seen to renew it'}",
    }[view.state]

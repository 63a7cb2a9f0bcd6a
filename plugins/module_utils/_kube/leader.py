# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Run a task of leader_info: query the leader, or wait for a leader."""

from __future__ import annotations

import math
import re
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import load_client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable, Iterable

    from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import (
        LeaseObservation,
    )

MAX_REQUEST_S = 10.0
"""Timeout of one request; a hanging request must not use the whole wait."""

WAIT_CONDITIONS = {
    "leader": "a leader",
    "change": "a leader other than {}",
    "holder": "{} to lead",
}
"""Message text for each value of wait_for; {} is the value of the option holder."""

MAX_IDENTITY_CHARS = 1024
"""Maximum length of an identity; client-go writes a hostname and a UUID."""

KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class OptionError(KubeError):
    """The value of `option` is not valid."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__("option", message)
        self.location = self.option = option


class LeaderInfo(lease.LeaseResult):
    """Result of the module leader_info."""

    server: str
    """URL of the apiserver that responded last, without a path."""


def _validate(params: dict[str, t.Any]) -> None:
    for option in ("name", "namespace"):
        if not KUBERNETES_NAME.fullmatch(params[option]):
            raise OptionError(
                option,
                f"{params[option][:64]!r} is not a valid name of a Kubernetes object; correct it",
            )
    for option, minimum in (("timeout", 0.0), ("poll_interval", 0.01)):
        if not (math.isfinite(params[option]) and minimum <= params[option] <= 86400):
            raise OptionError(
                option, f"{params[option]} is out of range; set a value from {minimum:g} to 86400 s"
            )
    if params["holder"] is not None and params["wait_for"] not in ("holder", "change"):
        raise OptionError(
            "holder", "requires wait_for: holder or wait_for: change; set one of them"
        )
    if "" in (params["contexts"] or ()):
        raise OptionError(
            "contexts", "a name is empty; set contexts of the kubeconfig, or omit the option"
        )
    _validate_identities("holder", [params["holder"]])
    _validate_identities("members", params["members"] or ())


def _validate_identities(option: str, identities: Iterable[str | None]) -> None:
    for text in identities:
        if text is not None and not (text.isprintable() and 0 < len(text) <= MAX_IDENTITY_CHARS):
            raise OptionError(
                option, f"{text[:64]!r} is not a valid holder; set a hostname or an identity"
            )


def _condition(params: dict[str, t.Any]) -> Callable[[LeaseObservation], bool]:
    wait_for, expected = params["wait_for"], params["holder"]
    if wait_for is None:
        return lease.is_conclusive
    if wait_for == "leader":
        return lambda observation: observation.leads
    if wait_for == "holder":
        return lambda observation: (
            observation.leads and lease.matches_holder(observation.identity, expected)
        )
    previous = expected

    def is_changed(observation: LeaseObservation) -> bool:
        nonlocal previous
        if previous is None:
            previous = observation.node
        return observation.leads and not lease.matches_holder(observation.identity, previous)

    return is_changed


def query_leader(
    params: dict[str, t.Any], sleep: Callable[[float], None] = time.sleep
) -> tuple[LeaderInfo, str | None]:
    """Return the leader, and a message if the wait timed out, otherwise None.

    `params` are the options of leader_info. Raises KubeError (OptionError for an option) and
    LeaseError.
    """
    _validate(params)
    deadline = time.monotonic() + params["timeout"]
    with load_client(params["kubeconfig"], params["contexts"] or None) as client:

        def get(path: str) -> dict[str, t.Any]:
            # Give each request at least one second, also without a wait and at the end of the wait.
            return client.get(
                path, timeout=max(1.0, min(MAX_REQUEST_S, deadline - time.monotonic()))
            )

        observation, fulfilled = lease.observe(
            lease.make_reader(get, params["namespace"], params["name"]),
            _condition(params),
            timeout=params["timeout"],
            interval=params["poll_interval"],
            members=params["members"],
            retry_first=params["wait_for"] is not None,
            sleep=sleep,
        )
        result: LeaderInfo = {**lease.to_lease_result(observation), "server": client.server}
    if fulfilled or params["wait_for"] is None:
        return result, None
    condition = WAIT_CONDITIONS[params["wait_for"]].format(params["holder"] or "the first holder")
    where = f"{params['namespace']}/{params['name']}"
    return result, (
        f"{where}: timed out after {observation.elapsed:.1f} s while waiting for {condition};"
        f" {describe_state(observation)}"
    )


def describe_state(observation: LeaseObservation) -> str:
    """Describe the state of the lease in one line."""
    node = one_line(observation.node, 256)
    unmoved = "" if observation.moving else ", which was not observed to renew it"
    return {
        "absent": "the lease does not exist",
        "released": "the lease is released, and no member acquires it",
        "expired": f"the lease of {node} has expired",
        "foreign": f"the lease holder is {node}, which is not one of the members",
        "held": f"the lease holder is {node}{unmoved}",
    }[observation.state]

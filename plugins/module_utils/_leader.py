# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The question of leader_info: who leads, or whether the wished leader comes in time."""

from __future__ import annotations

import math
import re
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _kube_client, _lease

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable

    from ansible_collections.kube_ha.scheduler.plugins.module_utils._lease import View

REQUEST = 10.0
"""Seconds for one request, which must not eat up a whole wait."""

WISHES = {
    "leader": "a leader",
    "change": "a leader other than {}",
    "holder": "{} to lead",
}

DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class QuestionError(_kube_client.KubeError):
    """An option makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__("question", message)


def _checked(params: dict[str, t.Any]) -> None:
    for option in ("name", "namespace"):
        if not DNS_NAME.fullmatch(params[option]):
            raise QuestionError(f"{option}: {params[option][:64]!r} is not a name that an object can have")
    for option, least in (("timeout", 0.0), ("poll_interval", 0.01)):
        if not (math.isfinite(params[option]) and least <= params[option] <= 86400):
            raise QuestionError(f"{option}: {params[option]} is not between {least:g} and 86400 seconds")
    if params["holder"] is not None and params["wait_for"] not in ("holder", "change"):
        raise QuestionError("holder: is only of use with wait_for=holder or wait_for=change")
    if params["holder"] == "":
        raise QuestionError("holder: is empty; name a host or an identity")


def _wish(params: dict[str, t.Any]) -> Callable[[View], bool]:
    kind, wanted = params["wait_for"], params["holder"]
    if kind is None:
        return _lease.settled
    if kind == "leader":
        return lambda view: view.leads
    if kind == "holder":
        return lambda view: view.leads and _lease.matches(view.identity, wanted)

    def changed(view: View) -> bool:
        nonlocal wanted
        if wanted is None:
            wanted = view.node
        return view.leads and not _lease.matches(view.identity, wanted)

    return changed


def find(params: dict[str, t.Any], sleep: Callable[[float], None] = time.sleep) -> tuple[dict[str, t.Any], str | None]:
    """What is known of the leader, and, where a wait was in vain, one line about it."""
    _checked(params)
    limit = time.monotonic() + params["timeout"]
    client = _kube_client.load(params["kubeconfig"], params["contexts"] or None)

    def get(path: str) -> dict[str, t.Any]:
        # A question without a wait may take the time that one request needs.
        return client.get(path, timeout=max(1.0, min(REQUEST, limit - time.monotonic())))

    view, fulfilled = _lease.observe(
        _lease.reader(get, params["namespace"], params["name"]),
        _wish(params),
        timeout=params["timeout"],
        interval=params["poll_interval"],
        members=params["members"],
        patient=params["wait_for"] is not None,
        sleep=sleep,
    )
    found = {**described(view), "server": client.server}
    if fulfilled or params["wait_for"] is None:
        return found, None
    wish = WISHES[params["wait_for"]].format(params["holder"] or "the first one seen")
    where = f"{params['namespace']}/{params['name']}"
    return found, f"{where}: waited {view.elapsed:.1f} s in vain for {wish}; {told(view)}"


def told(view: View) -> str:
    """A view in words."""
    return {
        "absent": "there is no election record",
        "released": "the record is released, and nobody takes it",
        "expired": f"the record is held by {view.node}, who has not renewed it for its duration",
        "foreign": f"the record is held by {view.node}, who is not among the members",
        "held": f"the record is held by {view.node}{'' if view.moving else ', who was not seen to renew it'}",
    }[view.state]


def described(view: View) -> dict[str, t.Any]:
    record = view.record
    return {
        "holder": view.node or None,
        "holder_identity": view.identity or None,
        "state": view.state,
        "moving": view.moving,
        "source": record.source if record else None,
        "acquire_time": record.acquire_time if record else None,
        "renew_time": record.renew_time if record else None,
        "lease_duration": record.lease_duration if record else None,
        "transitions": record.transitions if record else None,
        "elapsed": round(view.elapsed, 3),
    }

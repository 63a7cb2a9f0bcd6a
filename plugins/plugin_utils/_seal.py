# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Seal the results on which later steps rely.

A registered result is a variable. Facts, a fact cache, `-e` or another host can set a variable of
the same name. A seal is a message authentication code over the content, the host and the kind of a
result. The key of the seal exists only in this run of Ansible. Ansible loads an action plugin
before it starts the worker processes, so all worker processes have the same key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError

SEAL = "seal"
# The kinds of results. The first ones are steps of scheduler_plan.
VARIABLES, INSTANCE = "variables", "instance"
INPUTS = (VARIABLES, INSTANCE)
PLAN, ROTATION, ROLLOUT, MARK, GATE, REMOVAL = (
    "host",
    "rotation",
    "rollout",
    "mark",
    "gate",
    "removal",
)
MONITORING = "monitoring"
CHOICE, MEASUREMENT = "choose", "measure"  # steps of scheduler_drill
WHOLE_PLAY = ""
"""The host of a result that one host registers for all hosts of a play."""
INFO, FILESET, FAULT = "scheduler_info", "scheduler_fileset", "scheduler_fault"
_KEY = secrets.token_bytes(32)
# When Ansible registers a result, it adds, changes and removes these keys.
_OF_ANSIBLE = {
    SEAL,
    "ansible_facts",
    "changed",
    "deprecations",
    "diff",
    "exception",
    "failed",
    "invocation",
    "msg",
    "skipped",
    "unreachable",
    "warnings",
}
_WITHOUT_RESULT = ("failed", "skipped", "unreachable")

SealedResult = t.Mapping[str, t.Any]


def seal(result: SealedResult, host: str, kind: str) -> dict[str, t.Any]:
    """Return the result with its seal."""
    return {**result, SEAL: _code(_content(result), host, kind)}


def seal_module_result(result: SealedResult, host: str, kind: str) -> dict[str, t.Any]:
    """Return the result of a module with its seal. No step accepts the result of a failed module."""
    return seal(result, host, failed(kind) if is_without_result(result) else kind)


def failed(kind: str) -> str:
    """Return the kind of the errors of a failed step, which no step accepts as its result."""
    return f"failed {kind}"


def is_sealed(value: t.Any, host: str, *kinds: str) -> t.TypeGuard[SealedResult]:
    """Return whether this run sealed the value for this host and kind, without later changes."""
    if not isinstance(value, t.Mapping) or not isinstance(value.get(SEAL), str):
        return False
    given = value[SEAL].encode("utf-8", "replace")
    try:
        content = _content(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return any(hmac.compare_digest(_code(content, host, kind).encode(), given) for kind in kinds)


def is_without_result(value: t.Any) -> bool:
    """Return whether a task failed, was skipped or did not reach its host."""
    return isinstance(value, t.Mapping) and any(value.get(name) is True for name in _WITHOUT_RESULT)


def require_sealed(value: t.Any, name: str, host: str, *kinds: str) -> dict[str, t.Any]:
    """Return a sealed result. Raise PlanError if this run did not return it for this host.

    `name` is the name of the option or variable with the value.
    """
    if is_sealed(value, host, *kinds):
        return dict(value)
    if is_without_result(value):
        raise PlanError(f"{host}: {name}: no usable result from this host; see its failed tasks")
    raise PlanError(
        f"{host}: {name}: not a result of this run for this host; remove the fact, the variable of"
        " the inventory or the option -e that sets it"
    )


def _content(result: SealedResult) -> bytes:
    content = {
        str(name): value
        for name, value in result.items()
        if name not in _OF_ANSIBLE and not str(name).startswith("_ansible_")
    }
    # Variables of playbooks can contain dates.
    return json.dumps(content, sort_keys=True, separators=(",", ":"), default=str).encode()


def _code(content: bytes, host: str, kind: str) -> str:
    origin = json.dumps([host, kind]).encode()
    return hmac.new(_KEY, origin + content, hashlib.sha256).hexdigest()

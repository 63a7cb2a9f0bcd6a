# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Seal the results that are read from the variables of other hosts.

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

SEAL = "seal"
INPUT = "input"
"""The steps instance and variables return a result of this kind."""
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
    "warnings",
}

SealedResult = t.Mapping[str, t.Any]


def seal(result: SealedResult, host: str, kind: str) -> dict[str, t.Any]:
    """Return the result with its seal. The content of the result must be JSON."""
    return {**result, SEAL: _code(result, host, kind)}


def is_sealed(value: t.Any, host: str, kind: str) -> t.TypeGuard[SealedResult]:
    """Return whether this run sealed the value for this host and kind, without later changes."""
    if not isinstance(value, t.Mapping) or not isinstance(value.get(SEAL), str):
        return False
    try:
        code = _code(value, host, kind)
    except (TypeError, ValueError, RecursionError):
        return False
    return hmac.compare_digest(code.encode(), value[SEAL].encode("utf-8", "replace"))


def _code(result: SealedResult, host: str, kind: str) -> str:
    content = {
        str(name): value
        for name, value in result.items()
        if name not in _OF_ANSIBLE and not str(name).startswith("_ansible_")
    }
    text = json.dumps([host, kind, content], sort_keys=True, separators=(",", ":"))
    return hmac.new(_KEY, text.encode(), hashlib.sha256).hexdigest()

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What an action plugin lets through of a target's answer, which is data of a host that may be hostile."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping

_FLAGS = frozenset({"changed", "failed", "skipped", "unreachable"})
_LISTS = frozenset({"warnings", "deprecations"})
# Those of Ansible itself; the last three are what it returns of a module that did not answer in JSON.
_COMMON = frozenset(
    {*_FLAGS, *_LISTS, "msg", "diff", "exception", "module_stdout", "module_stderr", "rc"}
)


def kept(answer: Mapping[str, t.Any], known: Collection[str]) -> dict[str, t.Any]:
    """Return the entries of a module's answer whose keys are *known* (as its RETURN documents) or Ansible's own.

    All else is dropped: C(ansible_facts) would set variables, C(add_host) and C(add_group) change the inventory, and
    C(_ansible_...) steer Ansible. Flags become booleans; warnings, deprecations or a diff of another type are dropped.
    The values of the known keys are still the target's, and are for the caller to check.
    """
    found = {name: value for name, value in answer.items() if name in _COMMON or name in known}
    found |= {name: bool(found[name]) for name in _FLAGS & set(found)}
    odd = {name for name in _LISTS & set(found) if not isinstance(found[name], list)}
    if not isinstance(found.get("diff"), (Mapping, list)):
        odd.add("diff")
    return {name: value for name, value in found.items() if name not in odd}


def interpreter_facts(action: object) -> dict[str, t.Any]:
    """Return the fact with the interpreter that *action*, an ActionBase, discovered, as C(ansible_facts); else nothing.

    Ansible puts it among the facts of the answer itself. Without it, each task would search the host again.
    """
    name = getattr(action, "_discovered_interpreter_key", None)
    return (
        {"ansible_facts": {name: getattr(action, "_discovered_interpreter", None)}} if name else {}
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Filter the result of a module, because a hostile host can return any data."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping

_FLAGS = frozenset({"changed", "failed", "skipped", "unreachable"})
_LISTS = frozenset({"warnings", "deprecations"})
# Keys of Ansible. If a module does not return JSON, Ansible returns the last three.
_COMMON = frozenset(
    {*_FLAGS, *_LISTS, "msg", "diff", "exception", "module_stdout", "module_stderr", "rc"}
)


def filter_result(result: Mapping[str, t.Any], known: Collection[str]) -> dict[str, t.Any]:
    """Return the entries of a module's result whose keys are `known` or Ansible's own.

    All other entries are dropped: `ansible_facts` would set variables, `add_host` and `add_group`
    would change the inventory, and `_ansible_…` would control Ansible. Flags become booleans;
    warnings, deprecations or a diff of another type are dropped. The caller must check the values
    of the known keys, because the host sets them.
    """
    kept = {name: value for name, value in result.items() if name in _COMMON or name in known}
    kept |= {name: bool(kept[name]) for name in _FLAGS & set(kept)}
    invalid = {name for name in _LISTS & set(kept) if not isinstance(kept[name], list)}
    if not isinstance(kept.get("diff"), (Mapping, list)):
        invalid.add("diff")
    return {name: value for name, value in kept.items() if name not in invalid}


def interpreter_facts(action: object) -> dict[str, t.Any]:
    """Return the interpreter that `action`, an ActionBase, discovered, as `ansible_facts`.

    If the action discovered no interpreter, return an empty dictionary. Without this fact, each
    task would search the host again.
    """
    name = getattr(action, "_discovered_interpreter_key", None)
    return (
        {"ansible_facts": {name: getattr(action, "_discovered_interpreter", None)}} if name else {}
    )

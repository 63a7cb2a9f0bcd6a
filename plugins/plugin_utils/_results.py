# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Filter the result of a module, which is data of a host that can be hostile."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping

_FLAGS = frozenset({"changed", "failed", "skipped", "unreachable"})
_LISTS = frozenset({"warnings", "deprecations"})
# Keys of Ansible itself. It returns the last three if a module did not return JSON.
_COMMON = frozenset(
    {*_FLAGS, *_LISTS, "msg", "diff", "exception", "module_stdout", "module_stderr", "rc"}
)


def filter_result(result: Mapping[str, t.Any], known: Collection[str]) -> dict[str, t.Any]:
    """Return the entries of a module's result whose keys are `known` or Ansible's own.

    All other entries are dropped: `ansible_facts` would set variables, `add_host` and `add_group`
    would change the inventory, and `_ansible_…` would control Ansible. Flags become booleans;
    warnings, deprecations or a diff of another type are dropped. The caller checks the values of
    the known keys, which the host still determines.
    """
    kept = {name: value for name, value in result.items() if name in _COMMON or name in known}
    kept |= {name: bool(kept[name]) for name in _FLAGS & set(kept)}
    invalid = {name for name in _LISTS & set(kept) if not isinstance(kept[name], list)}
    if not isinstance(kept.get("diff"), (Mapping, list)):
        invalid.add("diff")
    return {name: value for name, value in kept.items() if name not in invalid}


def interpreter_facts(action: object) -> dict[str, t.Any]:
    """Return the interpreter that `action`, an ActionBase, discovered, as `ansible_facts`.

    Return an empty dictionary if it discovered none. Without this fact, each task would search the
    host again. Ansible itself adds the fact to the result of a module.
    """
    name = getattr(action, "_discovered_interpreter_key", None)
    return (
        {"ansible_facts": {name: getattr(action, "_discovered_interpreter", None)}} if name else {}
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A task's arguments: how its action plugin reads them, and what is left of them then."""

from __future__ import annotations

import typing as t

Spec = t.Mapping[str, t.Mapping[str, t.Any]]


def read(action: t.Any, spec: Spec, required_if: t.Sequence[t.Any]) -> dict[str, t.Any]:
    """The arguments as the spec has them, which are forgotten then. Raises AnsibleActionFail.

    A dictionary of which the spec says no more is taken as it is: Ansible's validator copies all that it is given, and what an earlier step returned
    takes longer to copy than the step itself.
    """
    task, given = action._task, action._task.args
    whole = {
        name: value
        for name, value in given.items()
        if isinstance(value, t.Mapping)
        and spec.get(name, {}).get("type") == "dict"
        and "options" not in spec[name]
    }
    task.args = {**given, **{name: {} for name in whole}}
    try:
        _result, options = action.validate_argument_spec(spec, required_if=required_if)
    finally:
        task.args = given
    forget(task)
    return {**options, **whole}


def forget(task: t.Any) -> None:
    """Empty them, for Ansible sends them back with the result and keeps them for every host until the last one is done: tables and keys too.

    A task that is tried again needs them once more.
    """
    if not (task.until or task.retries):
        task.args = {}

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read the arguments of a task in an action plugin, and then discard them."""

from __future__ import annotations

import typing as t

OptionSpec = t.Mapping[str, t.Mapping[str, t.Any]]


def read_arguments(
    action: t.Any, spec: OptionSpec, required_if: t.Sequence[t.Any]
) -> dict[str, t.Any]:
    """Return the arguments, validated by the argument spec, and discard them.

    Ansible's validator copies all values, which is slow for the result of an earlier step. This
    function does not copy dictionaries without suboptions. Raises AnsibleActionFail.
    """
    task, given = action._task, action._task.args
    uncopied = {
        name: value
        for name, value in given.items()
        if isinstance(value, t.Mapping)
        and spec.get(name, {}).get("type") == "dict"
        and "options" not in spec[name]
    }
    task.args = {**given, **{name: {} for name in uncopied}}
    try:
        _result, options = action.validate_argument_spec(spec, required_if=required_if)
    finally:
        task.args = given
    discard(task)
    return {**options, **uncopied}


def discard(task: t.Any) -> None:
    """Empty the arguments of a task, unless a retry needs them.

    Ansible returns the arguments with the result, and keeps them in memory for every host. The
    arguments can contain private keys.
    """
    if not (task.until or task.retries):
        task.args = {}

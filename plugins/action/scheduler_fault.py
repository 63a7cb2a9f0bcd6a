# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expand the input of the role and the choice of the drill, and run scheduler_fault."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _drill,
    _module_arguments,
    _results,
    _seal,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

Vars = dict[str, t.Any]


class ActionModule(HostAction):
    """Run scheduler_fault once on a host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        host = str((task_vars or {}).get("inventory_hostname", ""))
        arguments = self.expand_arguments(lambda args: _module_arguments.expand_fault(args, host))
        kept = self.run_module(arguments, task_vars, _drill.FAULT_RESULT_KEYS)
        return (
            result
            | _seal.seal_module_result(kept, host, _seal.FAULT)
            | _results.interpreter_facts(self)
        )

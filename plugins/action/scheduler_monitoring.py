# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expand the plan of a Prometheus host, and run scheduler_monitoring."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _module_arguments,
    _results,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

Vars = dict[str, t.Any]
MONITORING_RESULT_KEYS = ("files",)


class ActionModule(HostAction):
    """Run scheduler_monitoring once on a Prometheus host. No later step reads the result."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        host = str((task_vars or {}).get("inventory_hostname", ""))
        arguments = self.expand_arguments(
            lambda args: _module_arguments.expand_monitoring(args, host)
        )
        kept = self.run_module(arguments, task_vars, MONITORING_RESULT_KEYS)
        return result | kept | _results.interpreter_facts(self)

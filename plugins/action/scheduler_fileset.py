# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expand the input and the plan of the role, and run scheduler_fileset."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import adopt
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _module_arguments,
    _results,
    _seal,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

FILESET_RESULT_KEYS = (
    "digest",
    "done",
    "dry_run",
    "handover",
    "kept",
    "lease",
    "not_after",
    "original",
    "pending",
    "reasons",
    "version",
)


class ActionModule(HostAction):
    """Run scheduler_fileset once on a host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        host = str((task_vars or {}).get("inventory_hostname", ""))
        arguments = self.expand_arguments(lambda args: _module_arguments.expand_fileset(args, host))
        _module_arguments.open_secrets(arguments, host)
        kept = self.run_module(arguments, task_vars, FILESET_RESULT_KEYS)
        if not _seal.is_without_result(kept):
            kept |= self.validate_result(
                facts.validate_fileset_result, kept, host, "scheduler_fileset"
            )
        for line in adopt.describe_kept_files(host, kept.get("kept")):
            self._display.display(line)
        return (
            result
            | _seal.seal_module_result(kept, host, _seal.FILESET)
            | _results.interpreter_facts(self)
        )

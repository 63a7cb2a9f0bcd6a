# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run scheduler_binary, and keep the known keys of its result."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _results
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction

BINARY_RESULT_KEYS = ("path", "size", "checksum")


class ActionModule(HostAction):
    """Run scheduler_binary once on a host."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        kept = self.run_module(self._task.args, task_vars, BINARY_RESULT_KEYS)
        return result | kept | _results.interpreter_facts(self)

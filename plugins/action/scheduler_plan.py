# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""scheduler_plan, which needs no host: it is computed where the variables are."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _versions


class ActionModule(ActionBase):
    """Validates the arguments as the module would, and computes."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validated, arguments = self.validate_argument_spec(_versions.SPEC)
        try:
            result.update(_versions.run(arguments))
        except _versions.PlanError as error:
            raise AnsibleActionFail(str(error)) from None
        return result

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of scheduler_info: a ten-minute reader of the metrics, and the difference of the clocks."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.path import unfrackpath
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _reader
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509._base import X509Error

CONTROLLER_OPTIONS = ("metrics_ca_path", "metrics_ca_privatekey_path", "metrics_ca_privatekey_passphrase_file")


class ActionModule(ActionBase):
    """Runs the module once, with the reader's pair in its arguments where the controller has a CA to make one with."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        authority = {name: arguments.pop(name, None) for name in CONTROLLER_OPTIONS}
        if authority["metrics_ca_path"]:
            try:
                pair = _reader.make(*(path and unfrackpath(path, follow=False) for path in authority.values()))
            except (X509Error, FilesError) as error:
                raise AnsibleActionFail(f"on the controller, {error}") from None
            arguments.update(zip(("metrics_cert", "metrics_key"), pair))
        before = time.time()
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        after = time.time()
        if "time" in result:
            # The module reads its clock at some moment between these two: only what lies outside is a difference.
            result["clock_offset"] = round(result["time"] - min(max(result["time"], before), after), 3)
            result["round_trip"] = round(after - before, 3)
        return result

"""Count the module processes and tasks of each host in a playbook run.

Processes of action plugins and skipped tasks count too. The callback appends a line
`HOST module NAME` or `HOST task NAME` to the file that COUNT_MODULES names.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: count_modules
type: aggregate
short_description: Count module runs and tasks per host
description: Appends a line for each to the file that the environment variable COUNT_MODULES names.
"""

LOCAL = ("local", "ansible.builtin.local")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "count_modules"

    def __init__(self) -> None:
        super().__init__()
        execute = ActionBase._execute_module

        # Worker processes fork after this point, so that they run the replaced method.
        def counted(action: Any, module_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
            if action._connection.transport not in LOCAL:
                host = (kwargs.get("task_vars") or {}).get(
                    "inventory_hostname"
                ) or action._play_context.remote_addr
                _count(host, "module", module_name or action._task.action)
            return execute(action, module_name, *args, **kwargs)

        ActionBase._execute_module = counted

    def v2_runner_on_ok(self, result: Any) -> None:
        _count(result._host.get_name(), "task", result._task.get_name())

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self.v2_runner_on_ok(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self.v2_runner_on_ok(result)


def _count(host: str, kind: str, name: str) -> None:
    with open(os.environ["COUNT_MODULES"], "a", encoding="utf-8") as stream:
        stream.write(f"{host} {kind} {name}\n")

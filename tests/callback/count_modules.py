"""Counts what a playbook run costs a host: module processes started there, an action plugin's own ones too.

Appends a line HOST MODULE to the file in COUNT_MODULES for each; raw commands are written as `raw`, and are no module process.
"""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: count_modules
type: aggregate
short_description: Count module runs a host
description: Appends a line for each module run to the file that the environment variable COUNT_MODULES names.
"""

LOCAL = ("local", "ansible.builtin.local")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "count_modules"

    def __init__(self) -> None:
        super().__init__()
        execute, command = ActionBase._execute_module, ActionBase._low_level_execute_command

        # Workers are forked after this, so they run the counted methods.
        def counted(action: Any, module_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
            _count(action, module_name or action._task.action, kwargs.get("task_vars"))
            return execute(action, module_name, *args, **kwargs)

        def raw(action: Any, *args: Any, **kwargs: Any) -> Any:
            if action._task.action.endswith("raw"):
                _count(action, "raw", None)
            return command(action, *args, **kwargs)

        ActionBase._execute_module = counted
        ActionBase._low_level_execute_command = raw


def _count(action: Any, module: str, task_vars: dict[str, Any] | None) -> None:
    if action._connection.transport in LOCAL:
        return
    host = (task_vars or {}).get("inventory_hostname") or action._play_context.remote_addr
    with open(os.environ["COUNT_MODULES"], "a", encoding="utf-8") as stream:
        stream.write(f"{host} {module}\n")

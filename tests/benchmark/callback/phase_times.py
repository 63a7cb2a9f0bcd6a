# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the seconds of a playbook run go, by phase of the role kube_scheduler, and how many tasks each host had.

Writes to the file in PHASE_TIMES: {"phases": {PHASE: seconds}, "tasks": {HOST: count}, "changed": {HOST: count}}.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: phase_times
type: aggregate
short_description: Sum seconds by phase
description: Writes seconds by phase and tasks a host to the file that the environment variable PHASE_TIMES names.
"""

TAG = "kube_scheduler_"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "phase_times"

    def __init__(self) -> None:
        super().__init__()
        self._phase, self._since = "", 0.0
        self._seconds: dict[str, float] = {}

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._enter("")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._enter(phase_of(task) or self._phase)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._enter(phase_of(task) or self._phase)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._enter("")
        counted = (stats.ok, stats.skipped, stats.failures, stats.rescued)
        answer = {
            "phases": self._seconds,
            "tasks": {
                host: sum(count.get(host, 0) for count in counted) for host in stats.processed
            },
            "changed": stats.changed,
        }
        Path(os.environ["PHASE_TIMES"]).write_text(json.dumps(answer), encoding="utf-8")

    def _enter(self, phase: str) -> None:
        """What comes before the first phase belongs to none of them."""
        now = time.monotonic()
        if self._phase:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now


def phase_of(task: Any) -> str:
    """The phase whose tag it carries; its file's name where it carries several; none for what a phase includes."""
    tags = {tag.removeprefix(TAG) for tag in task.tags if tag.startswith(TAG)}
    if len(tags) == 1:
        return str(tags.pop())
    return Path(task.get_path().rpartition(":")[0]).stem if tags else ""

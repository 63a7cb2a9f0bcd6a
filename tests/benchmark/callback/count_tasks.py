# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the tasks of each host in a playbook run, and the tasks that changed something.

The callback writes {"tasks": {HOST: count}, "changed": {HOST: count}} to the file in COUNT_TASKS.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: count_tasks
type: aggregate
short_description: Count tasks per host
description: Writes the counts to the file that the environment variable C(COUNT_TASKS) names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "count_tasks"

    def v2_playbook_on_stats(self, stats: Any) -> None:
        counts = (stats.ok, stats.skipped, stats.failures, stats.rescued)
        tasks = {host: sum(count.get(host, 0) for count in counts) for host in stats.processed}
        result = {"tasks": tasks, "changed": stats.changed}
        Path(os.environ["COUNT_TASKS"]).write_text(json.dumps(result), encoding="utf-8")

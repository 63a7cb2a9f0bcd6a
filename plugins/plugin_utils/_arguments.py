# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A task's arguments, once its action plugin has read them."""

from __future__ import annotations

import typing as t


def forget(task: t.Any) -> None:
    """Empty them, for Ansible sends them back with the result and keeps them for every host until the last one is done: tables and keys too.

    A task that is tried again needs them once more.
    """
    if not (task.until or task.retries):
        task.args = {}

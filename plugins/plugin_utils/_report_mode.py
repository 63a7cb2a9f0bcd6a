# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse the mode of report files on the controller from the variable status_mode."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError

MODE_VARIABLE = "status_mode"
DEFAULT_REPORT_MODE = 0o600
MAX_REPORT_MODE = 0o777
OCTAL_TEXT = re.compile(r"0?[0-7]{3}")


def parse_report_mode(of_playbooks: t.Mapping[str, t.Any]) -> int:
    """Return the mode of report files. Raises PlanError."""
    value = of_playbooks.get(MODE_VARIABLE, DEFAULT_REPORT_MODE)
    if isinstance(value, str) and OCTAL_TEXT.fullmatch(value):
        return int(value, 8)
    # YAML reads 0644 as a number, which is then the mode. The number 644 is no mode.
    if type(value) is int and 0 <= value <= MAX_REPORT_MODE:
        return value
    raise PlanError(
        f"{MODE_VARIABLE}: {str(value)[:80]!r} is not a mode in octal; set a quoted mode such as"
        " '0640'"
    )


def directory_mode(mode: int) -> int:
    """Return the mode of a directory whose files have this mode: who can read can also enter."""
    return mode | (mode & 0o444) >> 2

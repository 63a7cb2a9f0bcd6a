# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Text helpers of tables and reports."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone


def parse_time(text: str | None) -> datetime | None:
    """A time that a host told, in UTC, where it is one."""
    with contextlib.suppress(ValueError, OverflowError):
        found = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
        return found.astimezone(timezone.utc) if found.tzinfo else None
    return None


def format_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def align_columns(rows: t.Sequence[t.Sequence[str]], numbers: t.Collection[str] = ()) -> list[str]:
    """Rows of cells as lines, the first row being the head; C(numbers) are the columns that stand to the right, by their heads."""
    head, widths = rows[0], [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for cell, width, name in zip(row, widths, head)
        ).rstrip()
        for row in rows
    ]

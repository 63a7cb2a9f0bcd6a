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
    """Return a time from a host's result in UTC; None if it is invalid or has no time zone."""
    with contextlib.suppress(ValueError, OverflowError):
        time = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
        return time.astimezone(timezone.utc) if time.tzinfo else None
    return None


def format_time(time: datetime) -> str:
    """Return a time in UTC to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def align_columns(
    rows: t.Sequence[t.Sequence[str]], right_aligned: t.Collection[str] = ()
) -> list[str]:
    """Return rows of cells as lines of aligned columns. The first row is the header.

    `right_aligned` contains the headers of the columns to align on the right.
    """
    header, widths = rows[0], [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(
            cell.rjust(width) if name in right_aligned else cell.ljust(width)
            for cell, width, name in zip(row, widths, header)
        ).rstrip()
        for row in rows
    ]

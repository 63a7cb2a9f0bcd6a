# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse and format times, and align the columns of tables."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone


def parse_time(text: str | None) -> datetime | None:
    """Parse a time of a host result and return it in UTC; None if invalid or without time zone."""
    with contextlib.suppress(ValueError, OverflowError):
        time = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
        return time.astimezone(timezone.utc) if time.tzinfo else None
    return None


def format_time(time: datetime) -> str:
    """Format a UTC time with a resolution of one second."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def align_columns(
    rows: t.Sequence[t.Sequence[str]], right_aligned: t.Collection[str] = ()
) -> list[str]:
    """Return rows of cells as lines of aligned columns. The first row is the header.

    `right_aligned` contains the headers of right-aligned columns.
    """
    header, widths = rows[0], [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(
            cell.rjust(width) if name in right_aligned else cell.ljust(width)
            for cell, width, name in zip(row, widths, header)
        ).rstrip()
        for row in rows
    ]

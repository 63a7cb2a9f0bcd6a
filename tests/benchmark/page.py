# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the figures into docs/benchmark.md, each table between two markers."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmark.md"


def fill(section: str, lines: Sequence[str]) -> None:
    """Print the lines, and replace the figures of the section with these lines."""
    text = "\n".join(lines)
    print(text)  # noqa: T201
    begin, end = f"<!-- figures: {section} -->", f"<!-- end of figures: {section} -->"
    before, opened, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _previous, closed, after = rest.partition(end)
    if not (opened and closed):
        raise SystemExit(
            f"{PAGE}: the markers {begin} and {end} are missing; add them where the figures belong"
        )
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table. The first column has labels, the other columns have figures."""
    align = "|".join(["---", *["--:"] * (len(header) - 1)])
    return [f"| {' | '.join(header)} |", f"|{align}|", *(f"| {' | '.join(row)} |" for row in rows)]


def machine() -> str:
    """Describe date and machine.

    Figures of two machines cannot be compared.
    """
    name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    python = platform.python_version()
    return f"{time.strftime('%Y-%m-%d')}, {name}, {os.cpu_count()} cores, Python {python}"

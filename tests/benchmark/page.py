# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures in docs/benchmark.md, between two markers; the prose around them is written by people."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmark.md"


def fill(section: str, lines: Sequence[str]) -> None:
    """Print these lines, and put them in the place of the former ones."""
    text = "\n".join(lines)
    print(text)  # noqa: T201
    begin, end = f"<!-- figures: {section} -->", f"<!-- end of figures: {section} -->"
    before, found, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _old, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(
            f"{PAGE}: the markers {begin} and {end} are missing; put them where the figures belong"
        )
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column is of words, the others of figures."""
    align = "|".join(["---", *["--:"] * (len(header) - 1)])
    return [f"| {' | '.join(header)} |", f"|{align}|", *(f"| {' | '.join(row)} |" for row in rows)]


def machine() -> str:
    """When and on what: figures of two machines are not to be compared."""
    name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"{time.strftime('%Y-%m-%d')}, {name}, {os.cpu_count()} cores, Python {platform.python_version()}"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the licences of the tools, as they are installed, into docs/licences.md: `python3 tests/release/licences.py PIP_LICENSES VENV... [--check]`.

With --check, the page has to name each of them; another Python may need fewer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/licences.md"
BEGIN, END = "<!-- tools -->", "<!-- end of tools -->"
# Not a licence's name but its text.
LONGEST = 60


def licence(told: str) -> str:
    first = told.strip().splitlines()[0] if told.strip() else "not said"
    return first if len(first) <= LONGEST else f"{first[:LONGEST]}…"


def rows(program: str, venvs: Iterable[str]) -> list[str]:
    found = set()
    for venv in venvs:
        command = [program, f"--python={venv}/bin/python", "--format=json", "--from=mixed"]
        told = json.loads(
            subprocess.run(command, capture_output=True, check=True, text=True).stdout
        )
        found |= {f"| {entry['Name']} | {licence(entry['License'])} |" for entry in told}
    return sorted(found, key=str.lower)


def main(program: str, *words: str) -> int:
    before, _begin, rest = PAGE.read_text().partition(BEGIN)
    now, found, after = rest.partition(END)
    if not found:
        sys.exit(
            f"{PAGE}: the markers {BEGIN} and {END} are missing; put them where the table belongs"
        )
    wanted = rows(program, [word for word in words if word != "--check"])
    if "--check" not in words:
        table = "\n".join(["| Package | Licence |", "|---|---|", *wanted])
        PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
    elif missing := [row for row in wanted if row not in now.splitlines()]:
        sys.exit(f"{PAGE} lacks {', '.join(missing)}; run make licences")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Run make targets in sequence and print the time of each: `python3 tests/steps.py STEP...`.

A step is a target with variables, such as "versions VERSIONS=1.20.2". The script stops at the first
failure and exits with the code of that target. The script always prints the table.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time


def main(steps: list[str]) -> int:
    rows: list[tuple[str, float, str]] = []
    code = 0
    for step in steps:
        started = time.monotonic()
        code = subprocess.run(
            ["make", "--no-print-directory", *shlex.split(step)], check=False
        ).returncode
        rows.append(
            (step, time.monotonic() - started, "passed" if code == 0 else f"failed ({code})")
        )
        if code:
            break
    width = max(len(step) for step, _seconds, _outcome in rows)
    print(f"\n{'step':<{width}}  {'time':>8}  outcome")
    for step, seconds, outcome in [*rows, ("together", sum(row[1] for row in rows), "")]:
        print(
            f"{step:<{width}}  {int(seconds // 60):>4}m{int(seconds % 60):02}s  {outcome}".rstrip()
        )
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

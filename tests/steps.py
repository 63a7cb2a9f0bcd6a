#!/usr/bin/env python3
"""Runs make targets one after the other, and prints how long each took: `tests/steps.py lint unit "versions VERSIONS=1.20.2"`.

Targets with `+` between them run two at a time, and the output of each follows when it has ended: `tests/steps.py lint "molecule + molecule S=drill"`.
A step that fails ends it, with its exit code; the table is printed all the same.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple


class Row(NamedTuple):
    """What became of a target; its output, where that was not let through."""

    target: str
    seconds: float
    code: int
    output: bytes


def run(target: str, capture: bool = False) -> Row:
    started = time.monotonic()
    command = ["make", "--no-print-directory", *shlex.split(target)]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE if capture else None, stderr=subprocess.STDOUT if capture else None
    )
    return Row(target, time.monotonic() - started, done.returncode, done.stdout or b"")


def side_by_side(targets: list[str]) -> list[Row]:
    rows = []
    with ThreadPoolExecutor(2) as pool:
        for done in as_completed([pool.submit(run, target, capture=True) for target in targets]):
            rows.append(done.result())
            sys.stdout.flush()
            sys.stdout.buffer.write(rows[-1].output)
            sys.stdout.flush()
    return rows


def main(steps: list[str]) -> int:
    rows: list[Row] = []
    started = time.monotonic()
    for step in steps:
        targets = [target.strip() for target in step.split("+")]
        rows += side_by_side(targets) if len(targets) > 1 else [run(step)]
        if any(row.code for row in rows):
            break
    width = max(len(row.target) for row in rows)
    print(f"\n{'step':<{width}}  {'time':>8}  outcome")
    for target, seconds, code, _output in rows:
        print(f"{target:<{width}}  {minutes(seconds)}  {f'failed ({code})' if code else 'passed'}")
    print(f"{'together':<{width}}  {minutes(time.monotonic() - started)}")
    return next((row.code for row in rows if row.code), 0)


def minutes(seconds: float) -> str:
    return f"{int(seconds // 60):>4}m{int(seconds % 60):02}s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Runs make targets one after the other, and prints how long each took: `tests/steps.py lint unit "versions VERSIONS=1.20.2"`.

Targets with `+` between them run two at a time, and the output of each follows when it has ended: `tests/steps.py lint "molecule + molecule S=drill"`.
A step that fails ends it, with its exit code; the table is printed all the same.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import IO, NamedTuple


class Row(NamedTuple):
    """What became of a target."""

    target: str
    seconds: float
    code: int


def run(target: str, output: IO[bytes] | None = None) -> Row:
    started = time.monotonic()
    command = ["make", "--no-print-directory", *shlex.split(target)]
    code = subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT).returncode
    return Row(target, time.monotonic() - started, code)


def side_by_side(targets: list[str]) -> list[Row]:
    rows = []
    with ThreadPoolExecutor(2) as pool:
        outputs = {pool.submit(run, target, output := tempfile.TemporaryFile()): output for target in targets}
        for done in as_completed(outputs):
            rows.append(done.result())
            outputs[done].seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(outputs[done].read())
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
    for target, seconds, code in rows:
        print(f"{target:<{width}}  {minutes(seconds)}  {f'failed ({code})' if code else 'passed'}")
    print(f"{'together':<{width}}  {minutes(time.monotonic() - started)}")
    return next((row.code for row in rows if row.code), 0)


def minutes(seconds: float) -> str:
    return f"{int(seconds // 60):>4}m{int(seconds % 60):02}s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

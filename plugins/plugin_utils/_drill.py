# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check the fault of a drill, its results and its report files, without Ansible."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    PlanError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    directories,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.choice import (
    Choice,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.page import (
    render_drill_page,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.verdict import (
    DrillPod,
    DrillReport,
    LeaseSample,
    Measurement,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.watch import (
    InterruptedDrillError,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _seal
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._report_mode import directory_mode

MAX_DRILL_JOURNAL_LINES = 20
FAULT_RESULT_KEYS = ("since_start", "until_end", "journal")
"""The keys that a result keeps from scheduler_fault."""
REPORT_FILES = ("report.json", "report.html")


def require_choice(value: t.Any, input_data: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the choice of targets in the result of the step choose.

    Raises PlanError if this run did not return the result for this cluster.
    """
    cluster = input_data["variables"]["group"]
    result = _seal.require_sealed(value, "choice", _seal.WHOLE_PLAY, _seal.CHOICE)
    choice: dict[str, t.Any] = result["choice"]
    if not {*choice["targets"], *choice["remaining"]} <= set(input_data["members"]):
        raise PlanError(
            f"choice: its targets are not members of {cluster}; set the result of this cluster"
        )
    return choice


def check_fault_result(
    result: t.Mapping[str, t.Any], choice: Choice, sent: float, returned: float
) -> tuple[float, float]:
    """Return the latest time of the fault, and its uncertainty in seconds.

    `sent` and `returned` are the controller's monotonic clock before and after the module run.
    Raises PlanError if scheduler_fault did not inject the fault.
    """
    if result.get("failed") or result.get("unreachable"):
        raise PlanError(one_line(str(result.get("msg", "the fault was not injected")), 400))
    if not result.get("changed"):
        raise PlanError(f"{choice['primary']}: another drill is running; wait until it ends")
    after, before = (
        _bounded_seconds(result.get(name), returned - sent) for name in ("until_end", "since_start")
    )
    fault = returned - after
    return fault, max(0.0, fault - (sent + before))


def _bounded_seconds(value: t.Any, maximum: float) -> float:
    """Return the seconds that the host reported, 0 if they exceed the run of the module."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= maximum else 0.0


def parse_measurement(data: t.Mapping[str, t.Any]) -> Measurement:
    """Return the measurement that an earlier task returned as data."""
    samples = [LeaseSample(**sample) for sample in data["samples"]]
    pods = [DrillPod(**pod) for pod in data["pods"]]
    return Measurement(**{**data, "samples": samples, "pods": pods})


def describe_unhealthy(
    choice: Choice, results: t.Mapping[str, t.Mapping[str, t.Any]]
) -> dict[str, str]:
    """Return the problems of each unhealthy member in one line, by inventory name."""
    unhealthy = {}
    for name in sorted([*choice["targets"], *choice["remaining"]]):
        if name not in results:
            unhealthy[name] = "no response"
        elif not results[name].get("healthy"):
            problems = results[name].get("problems") or ["health unknown"]
            unhealthy[name] = one_line("; ".join(map(str, problems)))
    return unhealthy


def clean_journals(results: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, list[str]]:
    """Return the journal lines of each member in printable form. A hostile host can forge lines."""
    journals = {}
    for name, result in results.items():
        lines = result.get("journal")
        if isinstance(lines, list):
            journals[name] = [
                one_line(line) for line in lines[-MAX_DRILL_JOURNAL_LINES:] if isinstance(line, str)
            ]
    return journals


def prepare_report_directory(path: str, mode: int, *, check_mode: bool) -> str:
    """Create the directory of the report and return its absolute path; raise PlanError.

    `mode` is the mode of the files.
    """
    directory = os.path.abspath(os.path.expanduser(path))
    try:
        for name in REPORT_FILES:
            paths.resolve(os.path.join(directory, name))
        if not check_mode:
            directories.create_directories(directory, directory_mode(mode))
    except FilesError as error:
        raise PlanError(f"drill_report_dir: on the controller: {error}") from None
    return directory


def write_report(path: str, report: DrillReport, mode: int, *, check_mode: bool) -> str:
    """Write report.json and report.html with a mode, and return the path of the page."""
    texts = (json.dumps(report, indent=2) + "\n", render_drill_page(report))
    contents = [text.encode() for text in texts]
    directory = prepare_report_directory(path, mode, check_mode=check_mode)
    if not check_mode:
        for name, content in zip(REPORT_FILES, contents):
            rights = write.rights_setter(-1, -1, mode)
            write.write(os.path.join(directory, name), content, rights=rights)
    return os.path.join(directory, REPORT_FILES[1])


def journal_lines(report: DrillReport) -> list[str]:
    """Return the journal lines of all members, each with the member's name."""
    return [f"{name}: {line}" for name, lines in report["journal"].items() for line in lines]


def result_lines(report: DrillReport, page: str) -> list[str]:
    """Return the result of the drill as lines of text, with the path of the page."""
    relative = os.path.relpath(page)
    result = "passed" if report["passed"] else "FAILED"
    return [
        f"drill {result}: {report['kind']}",
        *report["summary"],
        f"report: {page if relative.startswith('..') else relative}",
    ]


@contextlib.contextmanager
def end_on_signals() -> t.Iterator[None]:
    """Raise InterruptedDrillError on Ctrl-C and when Ansible ends a worker.

    The measurement then removes its pods and its namespace.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: t.Any) -> None:
        for number in previous:
            signal.signal(number, signal.SIG_IGN)  # Ignore further signals during the removal.
        raise InterruptedDrillError("measurement interrupted: the play has ended")

    previous = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    for number in previous:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""scheduler_drill: chooses and reports on the controller, and measures there what scheduler_fault does on the host."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import typing as t
from dataclasses import asdict
from datetime import datetime, timezone

from ansible import constants as C  # noqa: N812
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.path import unfrackpath
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MALFORMED_DATA_ERRORS,
    CollectionError,
    FilesError,
    PlanError,
    describe_error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.page import (
    render_drill_page,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.verdict import (
    Choice,
    Pod,
    Sample,
    Seen,
    choose,
    evaluate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.watch import (
    InterruptedDrillError,
    Watch,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _arguments

Vars = dict[str, t.Any]
JOURNAL_LINES = 20
REPORT_FILES = ("report.json", "report.html")


class ActionModule(ActionBase):
    """One step of a drill."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        self.options = _arguments.read(self, spec.DRILL, spec.DRILL_REQUIRED_IF)
        self.vars: Vars = task_vars or {}
        steps = {"choose": self._choose, "measure": self._measure, "report": self._report}
        try:
            return result | steps[self.options["step"]]()
        except CollectionError as error:
            raise AnsibleActionFail(str(error)) from None
        except MALFORMED_DATA_ERRORS as error:
            raise AnsibleActionFail(
                f"step {self.options['step']}: its options are not what earlier steps have returned ({describe_error(error)})"
            ) from None

    def _registered(self, name: str) -> dict[str, Vars]:
        """What the members of this play have registered, by inventory name."""
        hostvars, found = self.vars["hostvars"], {}
        for member in self.options["input"]["playing"]:
            answer = hostvars[member].get(name) if member in hostvars else None
            if isinstance(answer, t.Mapping):
                found[member] = dict(answer)
        return found

    def _answers(self) -> dict[str, Vars]:
        """Their health; an odd answer counts as none."""
        found = self._registered(self.options["answers"])
        return {
            name: answer
            for name, answer in found.items()
            if isinstance(answer.get("hostname"), str)
        }

    def _choose(self) -> Vars:
        options = self.options
        path = options["admin_kubeconfig"]
        if not path:
            raise PlanError(
                "kube_scheduler_admin_kubeconfig: a drill needs the path on the controller of a kubeconfig that may read the lease"
                " and make a namespace with pods"
            )
        others = sorted(set(self.vars["ansible_play_hosts_all"]) - set(options["input"]["members"]))
        if others:
            raise PlanError(
                f"this play is also for {', '.join(others)}, of another cluster; name the one to drill with -e kube_scheduler_hosts=GROUP"
            )
        choice, faults = choose(
            options["kind"],
            options["targets"],
            options["input"]["members"],
            self._answers(),
            options["versions"],
            scheduler=options["input"]["scheduler"],
            undo_after=options["undo_after"],
        )
        if choice is None:
            raise PlanError("no drill, and nothing was done to any host: " + "; ".join(faults))
        self._report_folder()
        if self._task.check_mode:
            hit = f"{choice['kind']} of {', '.join(choice['targets'])}; {choice['leader']} leads"
            self._display.display(f"a drill would be possible: {hit}")
        return {"choice": choice}

    # --- the measurement

    def _measure(self) -> Vars:
        choice = t.cast(Choice, self.options["choice"])
        path = str(unfrackpath(self.options["admin_kubeconfig"], follow=False))
        parent = os.getppid()
        with (
            _ended_by_signals(),
            Watch(path, choice, lambda: os.getppid() == parent) as watch,
        ):
            watch.ready()
            fault, uncertainty = self._fault(choice)
            moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            seen = watch.finish(fault, uncertainty)
        if not watch.gone:
            self._display.warning(
                f"the namespace {watch.namespace} of the drill's pods is still being removed"
            )
        return {"changed": True, "seen": asdict(seen), "time": moment}

    def _fault(self, choice: Choice) -> tuple[float, float]:
        """Brings the fault about; returns the latest moment at which it can have happened, and by how much it may have been earlier."""
        arguments = {
            "state": "present",
            "unit": self.options["input"]["unit"],
            "kind": choice["kind"],
            "undo_after": choice["undo_after"],
            "apiserver": self.options["input"]["variables"]["apiserver"],
        }
        sent = time.monotonic()
        answer = self._execute_module(
            module_name="kube_ha.scheduler.scheduler_fault",
            module_args=arguments,
            task_vars=self.vars,
        )
        returned = time.monotonic()
        if answer.get("failed") or answer.get("unreachable"):
            raise PlanError(
                one_line(str(answer.get("msg", "the fault could not be brought about")), 400)
            )
        if not answer.get("changed"):
            raise PlanError(
                f"a drill of {choice['primary']} is under way already; wait for its end"
            )
        later, earlier = (
            _seconds(answer.get(name), returned - sent) for name in ("until_end", "since_start")
        )
        fault = returned - later
        return fault, max(0.0, fault - (sent + earlier))

    # --- the report

    def _report(self) -> Vars:
        choice = t.cast(Choice, self.options["choice"])
        measured = self.options["measured"]
        answers = self._answers()
        sick = {}
        for name in sorted([*choice["targets"], *choice["staying"]]):
            if name not in answers:
                sick[name] = "it gave no answer"
            elif not answers[name].get("healthy"):
                sick[name] = one_line(
                    "; ".join(map(str, answers[name].get("problems") or ["not known"]))
                )
        report = evaluate(
            choice,
            _seen(measured["seen"]),
            time=str(measured["time"]),
            sick=sick,
            journal=self._journals(),
        )
        contents = [
            text.encode()
            for text in (json.dumps(report, indent=2) + "\n", render_drill_page(report))
        ]
        folder = self._report_folder()
        page = os.path.join(folder, REPORT_FILES[1])
        if not self._task.check_mode:
            for name, content in zip(REPORT_FILES, contents):
                write.write(
                    os.path.join(folder, name), content, rights=write.rights_setter(-1, -1, 0o644)
                )
        verdict = "passed" if report["passed"] else "FAILED"
        # The verdict comes last, where a person looks first.
        told = [f"{name}: {line}" for name, lines in report["journal"].items() for line in lines]
        near = os.path.relpath(page)
        where = page if near.startswith("..") else near
        words = [f"drill {verdict}: {choice['kind']}", *report["words"], f"report: {where}"]
        for line in told:
            self._display.display(line)
        for line in words:
            self._display.display(line, color=C.COLOR_OK if report["passed"] else C.COLOR_ERROR)
        found = {"lines": [*told, *words], "faults": report["faults"], "report": page}
        return (
            found
            if report["passed"]
            else {**found, "failed": True, "msg": "\n".join(report["faults"])}
        )

    def _report_folder(self) -> str:
        """The directory of the report, which is made here: one that cannot be is refused before the fault."""
        folder = os.path.abspath(os.path.expanduser(self.options["report_dir"]))
        try:
            for name in REPORT_FILES:
                paths.resolve(os.path.join(folder, name))
            if not self._task.check_mode:
                with paths.explain_errors(folder, "make"):
                    os.makedirs(folder, exist_ok=True)
        except FilesError as error:
            raise PlanError(f"drill_report_dir: on the controller: {error}") from None
        return str(folder)

    def _journals(self) -> dict[str, list[str]]:
        """The lines of each member's journal, which a hostile one may have made up."""
        found = {}
        for name, answer in self._registered(self.options["journals"]).items():
            told = answer.get("journal")
            if isinstance(told, list):
                found[name] = [
                    one_line(line) for line in told[-JOURNAL_LINES:] if isinstance(line, str)
                ]
        return found


def _seconds(value: t.Any, most: float) -> float:
    """A time that the host told, which cannot be longer than what was waited for it."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= most else 0.0


def _seen(data: t.Mapping[str, t.Any]) -> Seen:
    samples = [Sample(**sample) for sample in data["samples"]]
    pods = [Pod(**pod) for pod in data["pods"]]
    return Seen(**{**data, "samples": samples, "pods": pods})


@contextlib.contextmanager
def _ended_by_signals() -> t.Iterator[None]:
    """Lets Ctrl-C and Ansible's own end of a worker come through as an error first, so that what was made is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: t.Any) -> None:
        for each in former:
            signal.signal(each, signal.SIG_IGN)  # the rest of a second and a third one
        raise InterruptedDrillError("the play has ended, so the measurement does too")

    former = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    for number in former:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

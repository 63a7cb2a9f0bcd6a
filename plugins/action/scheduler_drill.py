# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a drill on the controller: choose targets, measure the failover, write the report."""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import asdict
from datetime import datetime, timezone

from ansible import constants as C  # noqa: N812
from ansible.errors import AnsibleActionFail
from ansible.utils.path import unfrackpath
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MALFORMED_DATA_ERRORS,
    CollectionError,
    PlanError,
    describe_error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.choice import (
    Choice,
    DrillRequest,
    choose,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.verdict import (
    evaluate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.watch import Watch
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _arguments, _drill, _seal
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._host_action import HostAction
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._report_mode import (
    parse_report_mode,
)

Vars = dict[str, t.Any]


class ActionModule(HostAction):
    """Run one step of a drill."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Vars | None = None) -> Vars:
        result: Vars = super().run(tmp, task_vars)
        self.options = _arguments.read_arguments(self, spec.DRILL_SPEC, spec.DRILL_REQUIRED_IF)
        self.vars: Vars = task_vars or {}
        steps = {"choose": self._choose, "measure": self._measure, "report": self._report}
        try:
            self._check_options()
            return result | steps[self.options["step"]]()
        except CollectionError as error:
            raise AnsibleActionFail(str(error)) from None
        except MALFORMED_DATA_ERRORS as error:
            raise AnsibleActionFail(
                f"step {self.options['step']}: the options are not the results of earlier steps"
                f" ({describe_error(error)}); set the registered results"
            ) from None

    def _check_options(self) -> None:
        """Raise PlanError unless this run returned the input for this host, and the choice."""
        options, host = self.options, self.vars["inventory_hostname"]
        options["input"] = _seal.require_sealed(options["input"], "input", host, _seal.VARIABLES)
        if options["choice"] is not None:
            options["choice"] = _drill.require_choice(options["choice"], options["input"])

    def _registered(self, variable: str, kind: str) -> dict[str, Vars]:
        """Return the sealed results of this play's members, by inventory name."""
        hostvars, results = self.vars["hostvars"], {}
        for member in self.options["input"]["playing"]:
            result = hostvars.raw_get(member).get(variable) if member in hostvars else None
            if _seal.is_sealed(result, member, kind):
                results[member] = dict(result)
        return results

    def _health_results(self) -> dict[str, Vars]:
        """Return the registered health of the members."""
        return self._registered(self.options["results"], _seal.INFO)

    def _report_mode(self) -> int:
        return parse_report_mode(self.options["input"].get("of_playbooks", {}))

    def _choose(self) -> Vars:
        options = self.options
        if not options["admin_kubeconfig"]:
            raise PlanError(
                "kube_scheduler_admin_kubeconfig: not set; set the path on the controller of a"
                " kubeconfig that can read the lease and create a namespace with pods"
            )
        members = options["input"]["members"]
        others = sorted(set(self.vars["ansible_play_hosts_all"]) - set(members))
        if others:
            raise PlanError(
                f"this play includes {', '.join(others)} of another cluster;"
                " select one cluster with -e kube_scheduler_hosts=GROUP"
            )
        request = DrillRequest(
            options["kind"],
            options["targets"],
            options["undo_after"],
            options["input"]["scheduler"],
        )
        choice = choose(request, members, self._health_results(), options["versions"])
        # Before the fault, so that a directory without write permission rejects the drill.
        _drill.prepare_report_directory(
            options["report_dir"], self._report_mode(), check_mode=self._task.check_mode
        )
        if self._task.check_mode:
            targets = ", ".join(choice["targets"])
            self._display.display(
                f"a drill is possible: {choice['kind']} of {targets}; leader: {choice['leader']}"
            )
        return _seal.seal({"choice": choice}, _seal.WHOLE_PLAY, _seal.CHOICE)

    def _measure(self) -> Vars:
        choice = t.cast(Choice, self.options["choice"])
        path = str(unfrackpath(self.options["admin_kubeconfig"], follow=False))
        parent = os.getppid()
        with (
            _drill.end_on_signals(),
            Watch(path, choice, lambda: os.getppid() == parent) as watch,
        ):
            watch.wait_until_ready()
            fault, uncertainty = self._inject_fault(choice)
            moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            measurement = watch.finish(fault, uncertainty)
        if not watch.namespace_removed:
            self._display.warning(
                f"the drill's namespace {watch.namespace} still exists; if it remains, delete it"
                " with kubectl"
            )
        measured = {"changed": True, "measurement": asdict(measurement), "time": moment}
        return _seal.seal(measured, self.vars["inventory_hostname"], _seal.MEASUREMENT)

    def _inject_fault(self, choice: Choice) -> tuple[float, float]:
        """Inject the fault. Return its latest time and the uncertainty, in seconds."""
        sent = time.monotonic()
        arguments = {
            "state": "present",
            "unit": self.options["input"]["unit"],
            "kind": choice["kind"],
            "undo_after": choice["undo_after"],
            "apiserver": self.options["input"]["variables"]["apiserver"],
        }
        result = self.run_module(
            arguments, self.vars, _drill.FAULT_RESULT_KEYS, "kube_ha.scheduler.scheduler_fault"
        )
        return _drill.check_fault_result(result, choice, sent, time.monotonic())

    def _measurement(self, primary: str) -> Vars:
        """Return the result of the step measure on the primary target. Raises PlanError."""
        variable = self.options["measured"]
        value = self.vars["hostvars"].raw_get(primary).get(variable)
        return _seal.require_sealed(value, variable, primary, _seal.MEASUREMENT)

    def _report(self) -> Vars:
        choice = t.cast(Choice, self.options["choice"])
        measured = self._measurement(choice["primary"])
        report = evaluate(
            choice,
            _drill.parse_measurement(measured["measurement"]),
            time=str(measured["time"]),
            unhealthy=_drill.describe_unhealthy(choice, self._health_results()),
            journal=_drill.clean_journals(self._registered(self.options["journals"], _seal.FAULT)),
        )
        page = _drill.write_report(
            self.options["report_dir"],
            report,
            self._report_mode(),
            check_mode=self._task.check_mode,
        )
        journal, lines = _drill.journal_lines(report), _drill.result_lines(report, page)
        for line in journal:
            self._display.display(line)
        # The result is last, so that it is the first visible text on a terminal.
        for line in lines:
            self._display.display(line, color=C.COLOR_OK if report["passed"] else C.COLOR_ERROR)
        result: Vars = {"lines": [*journal, *lines], "errors": report["errors"], "report": page}
        if not report["passed"]:
            result |= {"failed": True, "msg": "\n".join(report["errors"])}
        return result

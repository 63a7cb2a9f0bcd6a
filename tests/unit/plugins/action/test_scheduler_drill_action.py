"""scheduler_drill's action plugin: what it lets through of a host's answer, and what it writes."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.kube_ha.scheduler.plugins.action import scheduler_drill
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import (
    verdict,
    watch,
)

from tests.support.simulation import compared
from tests.unit.plugins.module_utils._scheduler.drill.test_verdict import (
    TABLE,
    TAKEOVER,
    chosen,
    saw,
)

NAMES = ["m1", "m2", "m3"]
INPUT = {
    "members": NAMES,
    "playing": NAMES,
    "unit": "batch.service",
    "scheduler": "batch",
    "variables": {"apiserver": "https://192.0.2.1:6443"},
}


def plugin(step: str, hostvars: Any = None, *, check_mode: bool = False, **options: Any) -> Any:
    hosts = {
        name: {"health": compared(name, "m1"), **(hostvars or {}).get(name, {})} for name in NAMES
    }
    task = mock.MagicMock(
        async_val=0, check_mode=check_mode, args={"step": step, "input": INPUT, **options}
    )
    found = scheduler_drill.ActionModule(task, *(mock.MagicMock() for _number in range(5)))
    return found, {"inventory_hostname": "m1", "hostvars": hosts, "ansible_play_hosts_all": NAMES}


def run(step: str, hostvars: Any = None, **options: Any) -> dict[str, Any]:
    action, task_vars = plugin(step, hostvars, **options)
    result: dict[str, Any] = action.run(None, task_vars)
    return result


CHOOSE: dict[str, Any] = {
    "kind": "stop",
    "versions": TABLE,
    "answers": "health",
    "report_dir": "/proc/drill",
}


def test_choose(tmp_path: Path) -> None:
    given = {**CHOOSE, "report_dir": str(tmp_path / "new/folder")}
    assert run("choose", admin_kubeconfig="/k", **given)["choice"] == {
        **chosen(),
        "scheduler": "batch",
    }
    with pytest.raises(
        AnsibleActionFail, match="kube_scheduler_admin_kubeconfig: a drill needs the path"
    ):
        run("choose", **given)
    odd = {"m2": {"health": "garbage"}, "m3": {"health": {"hostname": None}}}
    with pytest.raises(
        AnsibleActionFail, match="only m1 is: m2: it gave no answer; m3: it gave no answer"
    ):
        run("choose", odd, admin_kubeconfig="/k", **given)


@pytest.mark.parametrize(
    ("folder", "why"),
    [("/proc/drill", "cannot make '/proc/drill'"), ("/tmp/\x1b", "cannot be a file's path")],
)
def test_a_folder_for_no_report_is_refused_before_the_fault(folder: str, why: str) -> None:
    with pytest.raises(AnsibleActionFail, match=f"drill_report_dir: on the controller: .*{why}"):
        run("choose", admin_kubeconfig="/k", **{**CHOOSE, "report_dir": folder})


def test_check_mode_makes_no_folder(tmp_path: Path) -> None:
    given = {**CHOOSE, "report_dir": str(tmp_path / "new")}
    action, task_vars = plugin("choose", check_mode=True, admin_kubeconfig="/k", **given)
    action.run(None, task_vars)
    assert not (tmp_path / "new").exists()


def test_one_cluster_at_a_time() -> None:
    action, task_vars = plugin("choose", admin_kubeconfig="/k", **CHOOSE)
    with pytest.raises(AnsibleActionFail, match="this play is also for w1, of another cluster"):
        action.run(None, {**task_vars, "ansible_play_hosts_all": [*NAMES, "w1"]})


def reported(folder: Path, hostvars: Any = None, samples: Any = None) -> dict[str, Any]:
    measured = {
        "seen": asdict(saw(samples or TAKEOVER, [verdict.Pod("p", 99, 99.1, "n", 1)])),
        "time": "2026-11-25T00:00:00Z",
    }
    # As it comes through Ansible.
    measured = json.loads(json.dumps(measured))
    names = {"answers": "health", "journals": "undone", "report_dir": str(folder / "new/folder")}
    return run("report", hostvars, choice=chosen(), measured=measured, **names)


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = reported(tmp_path, {"m2": {"undone": {"journal": ["acquired lease"]}}})
    page = tmp_path / "new/folder/report.html"
    assert (found["faults"], found["report"]) == ([], str(page))
    assert found["lines"][:3] == [
        "m2: acquired lease",
        "drill passed: stop",
        "m1 led and was stopped; m2 leads now, after 1.3 s of at most 5.4 s",
    ]
    assert found["lines"][-1] == f"report: {page}"
    assert capsys.readouterr().out.splitlines() == found["lines"], "plain lines, under any callback"
    assert "failed" not in found
    report = json.loads((page.parent / "report.json").read_text())
    assert report["passed"]
    assert report["journal"] == {"m2": ["acquired lease"]}
    assert "Passed" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o644


def test_a_failure_is_a_fault_and_still_a_report(tmp_path: Path) -> None:
    sick = {
        "m2": {
            "health": {
                **compared("m2", "m1"),
                "healthy": False,
                "problems": ["readiness: HTTP 500"],
            }
        },
        "m3": {"health": 7},
    }
    found = reported(tmp_path, sick)
    assert found["faults"] == [
        "m2: not healthy after the drill: readiness: HTTP 500",
        "m3: not healthy after the drill: it gave no answer",
    ]
    assert found["lines"][0] == "drill FAILED: stop"
    assert (found["failed"], found["msg"]) == (True, "\n".join(found["faults"]))
    assert "Failed" in (tmp_path / "new/folder/report.html").read_text()


def test_a_hostile_journal(tmp_path: Path) -> None:
    lines = ["\x1b[2J<script>", 7, None, *["x" * 5000] * 40]
    found = reported(
        tmp_path,
        {
            "m1": {"undone": {"journal": lines}},
            "m2": {"undone": {"journal": "x"}},
            "m3": {"undone": 3},
        },
    )
    told = [line for line in found["lines"] if line.startswith("m1: ")]
    assert len(told) == scheduler_drill.JOURNAL_LINES
    assert all(len(line) < 400 and line.isprintable() for line in told)


def test_a_report_that_cannot_be_encoded_leaves_nothing(tmp_path: Path) -> None:
    with (
        mock.patch.object(scheduler_drill, "render_drill_page", return_value="\ud800"),
        pytest.raises(
            AnsibleActionFail,
            match="step report: its options are not what earlier steps have returned",
        ),
    ):
        reported(tmp_path)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("")
    with pytest.raises(
        AnsibleActionFail,
        match=r"drill_report_dir: on the controller: cannot make .*/new/folder': Not a directory",
    ):
        reported(tmp_path)


class FakeWatch:
    """Takes the place of the measurement."""

    gone, namespace = True, "kube-ha-drill-x"

    def __init__(self, *_args: Any) -> None:
        self.told: tuple[float, float] = (0, 0)

    def __enter__(self) -> FakeWatch:
        return self

    def __exit__(self, *_exc: object) -> None:
        """There is nothing to close."""

    def ready(self) -> None:
        """It is at once."""

    def finish(self, fault: float, uncertainty: float) -> verdict.Seen:
        return verdict.Seen(fault=fault, uncertainty=uncertainty)


def measured(answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(scheduler_drill, "Watch", FakeWatch)
    action, task_vars = plugin("measure", choice=chosen(), admin_kubeconfig="/k")

    def execute(**options: Any) -> dict[str, Any]:
        assert options["module_args"]["unit"] == "batch.service"
        time.sleep(0.2)
        return answer

    action._execute_module = execute
    result: dict[str, Any] = action.run(None, task_vars)
    return result


def test_when_the_fault_was(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    seen = measured({"changed": True, "until_end": 0.05, "since_start": 0.1}, monkeypatch)["seen"]
    assert started + 0.14 <= seen["fault"] <= started + 0.6
    assert 0.04 <= seen["uncertainty"] < 0.5
    assert set(measured({"changed": True}, monkeypatch)) >= {"changed", "seen", "time"}


@pytest.mark.parametrize("lie", [-1, 1e9, float("nan"), "x", None, True, [1]])
def test_a_host_that_lies_about_it_is_not_believed(
    lie: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    seen = measured({"changed": True, "until_end": lie, "since_start": lie}, monkeypatch)["seen"]
    assert started + 0.15 <= seen["fault"] <= time.monotonic()
    assert 0 <= seen["uncertainty"] < 1


def test_a_fault_that_is_not_brought_about(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleActionFail, match="there is no iptables"):
        measured({"failed": True, "msg": "there is no iptables\n\x1b"}, monkeypatch)
    with pytest.raises(AnsibleActionFail, match="a drill of m1 is under way already"):
        measured({"changed": False}, monkeypatch)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_becomes_an_error_and_the_former_handlers_come_back(
    number: signal.Signals,
) -> None:
    former = signal.getsignal(number)
    with pytest.raises(watch.InterruptedDrillError), scheduler_drill._ended_by_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == former

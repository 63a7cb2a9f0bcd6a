"""Test which results the action plugin scheduler_drill accepts from a host, and its files."""

from __future__ import annotations

import json
import os
import signal
import stat
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
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _drill, _seal

from tests.support.fake_module import HostVars
from tests.support.simulation import compared
from tests.unit.plugins.module_utils._scheduler.drill.test_choice import TABLE, chosen
from tests.unit.plugins.module_utils._scheduler.drill.test_verdict import TAKEOVER, measured

NAMES = ["m1", "m2", "m3"]
INPUT = {
    "members": NAMES,
    "playing": NAMES,
    "unit": "batch.service",
    "scheduler": "batch",
    "variables": {"apiserver": "https://192.0.2.1:6443", "group": "kube_masters"},
}
KINDS = {"health": _seal.INFO, "undone": _seal.FAULT, "measured": _seal.MEASUREMENT}


def sealed_choice() -> dict[str, Any]:
    return _seal.seal({"choice": chosen()}, _seal.WHOLE_PLAY, _seal.CHOICE)


def plugin(step: str, hostvars: Any = None, *, check_mode: bool = False, **options: Any) -> Any:
    hosts: HostVars = HostVars()
    for name in NAMES:
        known = {"health": compared(name, "m1"), **(hostvars or {}).get(name, {})}
        hosts[name] = {
            variable: _seal.seal(value, name, KINDS[variable]) if isinstance(value, dict) else value
            for variable, value in known.items()
        }
    given = {"step": step, "input": _seal.seal(INPUT, "m1", _seal.VARIABLES), **options}
    task = mock.MagicMock(async_val=0, check_mode=check_mode, args=given)
    found = scheduler_drill.ActionModule(task, *(mock.MagicMock() for _number in range(5)))
    return found, {"inventory_hostname": "m1", "hostvars": hosts, "ansible_play_hosts_all": NAMES}


def run(step: str, hostvars: Any = None, **options: Any) -> dict[str, Any]:
    action, task_vars = plugin(step, hostvars, **options)
    result: dict[str, Any] = action.run(None, task_vars)
    return result


CHOOSE: dict[str, Any] = {
    "kind": "stop",
    "versions": TABLE,
    "results": "health",
    "report_dir": "/proc/drill",
}


def test_choose_returns_choice_or_rejects(tmp_path: Path) -> None:
    given = {**CHOOSE, "report_dir": str(tmp_path / "new/folder")}
    assert run("choose", admin_kubeconfig="/k", **given)["choice"] == {
        **chosen(),
        "scheduler": "batch",
    }
    with pytest.raises(
        AnsibleActionFail, match="kube_scheduler_admin_kubeconfig: not set; set the path"
    ):
        run("choose", **given)
    unsealed = compared("m3", "m1")
    malformed = {"m2": {"health": "garbage"}, "m3": {"health": [unsealed]}}
    with pytest.raises(
        AnsibleActionFail, match="only m1 is healthy: m2: no response; m3: no response"
    ):
        run("choose", malformed, admin_kubeconfig="/k", **given)


@pytest.mark.parametrize(
    ("directory", "why"),
    [
        ("/proc/drill", "cannot create '/proc/drill'"),
        ("/tmp/\x1b", "is not a valid path of a file"),
    ],
)
def test_unusable_report_directory_is_rejected_before_the_fault(directory: str, why: str) -> None:
    with pytest.raises(AnsibleActionFail, match=f"drill_report_dir: on the controller: .*{why}"):
        run("choose", admin_kubeconfig="/k", **{**CHOOSE, "report_dir": directory})


def test_check_mode_creates_no_directory(tmp_path: Path) -> None:
    given = {**CHOOSE, "report_dir": str(tmp_path / "new")}
    action, task_vars = plugin("choose", check_mode=True, admin_kubeconfig="/k", **given)
    action.run(None, task_vars)
    assert not (tmp_path / "new").exists()


def test_play_of_two_clusters_is_rejected() -> None:
    action, task_vars = plugin("choose", admin_kubeconfig="/k", **CHOOSE)
    with pytest.raises(AnsibleActionFail, match="this play includes w1 of another cluster"):
        action.run(None, {**task_vars, "ansible_play_hosts_all": [*NAMES, "w1"]})


def reported(
    folder: Path, hostvars: Any = None, samples: Any = None, of_playbooks: Any = None
) -> dict[str, Any]:
    data = {
        "measurement": asdict(
            measured(samples or TAKEOVER, [verdict.DrillPod("p", 99, 99.1, "n", 1)])
        ),
        "time": "2026-11-25T00:00:00Z",
    }
    # Ansible converts the result of a task to JSON and back.
    data = json.loads(json.dumps(data))
    names = {"results": "health", "journals": "undone", "measured": "measured"}
    known = {name: dict((hostvars or {}).get(name, {})) for name in NAMES}
    known["m1"].setdefault("measured", data)
    directory = str(folder / "new/folder")
    data = {**INPUT, "of_playbooks": of_playbooks or {}}
    given: dict[str, Any] = {**names, "input": _seal.seal(data, "m1", _seal.VARIABLES)}
    return run("report", known, choice=sealed_choice(), report_dir=directory, **given)


def test_report_is_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = reported(tmp_path, {"m2": {"undone": {"journal": ["acquired lease"]}}})
    page = tmp_path / "new/folder/report.html"
    assert (found["errors"], found["report"]) == ([], str(page))
    assert found["lines"][:3] == [
        "m2: acquired lease",
        "drill passed: stop",
        "m1 led and was stopped; m2 leads after 1.3 s, bound 5.4 s",
    ]
    assert found["lines"][-1] == f"report: {page}"
    assert capsys.readouterr().out.splitlines() == found["lines"], "plain lines, under any callback"
    assert "failed" not in found
    report = json.loads((page.parent / "report.json").read_text())
    assert report["passed"]
    assert report["journal"] == {"m2": ["acquired lease"]}
    assert "Passed" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize(
    ("mode", "files", "folders"),
    [(None, 0o600, 0o700), ("0640", 0o640, 0o750), ("644", 0o644, 0o755)],
)
def test_report_has_its_mode_with_any_umask(
    tmp_path: Path, umask: int, mode: str | None, files: int, folders: int
) -> None:
    previous = os.umask(umask)
    try:
        reported(tmp_path, of_playbooks={"status_mode": mode} if mode else {})
    finally:
        os.umask(previous)
    folder = tmp_path / "new/folder"
    names = ("report.json", "report.html")
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in names} == {files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {folders}


def test_failed_drill_fails_the_task_and_writes_the_report(tmp_path: Path) -> None:
    unhealthy = {
        "m2": {
            "health": {
                **compared("m2", "m1"),
                "healthy": False,
                "problems": ["readiness: HTTP 500"],
            }
        },
        "m3": {"health": 7},
    }
    found = reported(tmp_path, unhealthy)
    assert found["errors"] == [
        "m2: unhealthy after the drill: readiness: HTTP 500",
        "m3: unhealthy after the drill: no response",
    ]
    assert found["lines"][0] == "drill FAILED: stop"
    assert (found["failed"], found["msg"]) == (True, "\n".join(found["errors"]))
    assert "Failed" in (tmp_path / "new/folder/report.html").read_text()


def test_journal_of_hostile_host_is_bounded_and_printable(tmp_path: Path) -> None:
    lines = ["\x1b[2J<script>", 7, None, *["x" * 5000] * 40]
    found = reported(
        tmp_path,
        {
            "m1": {"undone": {"journal": lines}},
            "m2": {"undone": {"journal": "x"}},
            "m3": {"undone": 3},
        },
    )
    printed = [line for line in found["lines"] if line.startswith("m1: ")]
    assert len(printed) == _drill.MAX_DRILL_JOURNAL_LINES
    assert all(len(line) < 400 and line.isprintable() for line in printed)


def test_forged_results_decide_nothing(tmp_path: Path) -> None:
    """The steps reject an input, a choice or a measurement that this run did not return."""
    words = "not a result of this run for this host; remove"
    unsealed = {"choice": {**chosen(), "primary": "m2"}}
    with pytest.raises(AnsibleActionFail, match=f"choice: {words}"):
        run("measure", choice=unsealed, admin_kubeconfig="/k")
    for data in (INPUT, _seal.seal(INPUT, "m2", _seal.VARIABLES)):
        with pytest.raises(AnsibleActionFail, match=f"^m1: input: {words}"):
            run("choose", admin_kubeconfig="/k", **{**CHOOSE, "input": data})
    with pytest.raises(AnsibleActionFail, match=f"^m1: measured: {words}"):
        reported(tmp_path, {"m1": {"measured": [{"time": "2026-11-25T00:00:00Z"}]}})
    assert not (tmp_path / "new").exists()


def test_report_that_cannot_be_encoded_writes_nothing(tmp_path: Path) -> None:
    with (
        mock.patch.object(_drill, "render_drill_page", return_value="\ud800"),
        pytest.raises(
            AnsibleActionFail,
            match="step report: the options are not the results of earlier steps",
        ),
    ):
        reported(tmp_path)
    assert not (tmp_path / "new").exists()


def test_report_directory_that_cannot_be_created_fails(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("")
    with pytest.raises(
        AnsibleActionFail,
        match=r"drill_report_dir: on the controller: cannot create .*/new/folder': Not a directory",
    ):
        reported(tmp_path)


class FakeWatch:
    """Provide a measurement without an apiserver."""

    namespace_removed, namespace = True, "kube-ha-drill-x"

    def __init__(self, *_args: Any) -> None:
        self.times: tuple[float, float] = (0, 0)

    def __enter__(self) -> FakeWatch:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close nothing."""

    def wait_until_ready(self) -> None:
        """Return immediately."""

    def finish(self, fault: float, uncertainty: float) -> verdict.Measurement:
        return verdict.Measurement(fault=fault, uncertainty=uncertainty)


def measure(response: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(scheduler_drill, "Watch", FakeWatch)
    action, task_vars = plugin("measure", choice=sealed_choice(), admin_kubeconfig="/k")

    def execute(_name: str, **options: Any) -> dict[str, Any]:
        assert options["module_args"]["unit"] == "batch.service"
        time.sleep(0.2)
        return response

    action._execute_module = execute
    result: dict[str, Any] = action.run(None, task_vars)
    return result


def test_time_of_fault_follows_the_host_s_result(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    found = measure({"changed": True, "until_end": 0.05, "since_start": 0.1}, monkeypatch)
    times = found["measurement"]
    assert started + 0.14 <= times["fault"] <= started + 0.6
    assert 0.04 <= times["uncertainty"] < 0.5
    assert set(measure({"changed": True}, monkeypatch)) >= {"changed", "measurement", "time"}


@pytest.mark.parametrize("value", [-1, 1e9, float("nan"), "x", None, True, [1]])
def test_invalid_times_of_a_host_are_ignored(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    found = measure({"changed": True, "until_end": value, "since_start": value}, monkeypatch)
    times = found["measurement"]
    assert started + 0.15 <= times["fault"] <= time.monotonic()
    assert 0 <= times["uncertainty"] < 1


def test_fault_that_is_not_injected_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleActionFail, match="there is no iptables"):
        measure({"failed": True, "msg": "there is no iptables\n\x1b"}, monkeypatch)
    with pytest.raises(AnsibleActionFail, match="m1: another drill is running"):
        measure({"changed": False}, monkeypatch)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_raises_an_error_and_handlers_are_restored(
    number: signal.Signals,
) -> None:
    previous = signal.getsignal(number)
    with pytest.raises(watch.InterruptedDrillError), _drill.end_on_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == previous

"""Test site.yml through ansible-runner, as AWX runs it, with its JSON events."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.support.simulation import Simulation, drifted

RUNNER = Path(sys.executable).parent / "ansible-runner"


def run(cluster: Simulation, playbook: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a job and return its exit code and its events."""
    folder = cluster.folder / "job"
    (folder / "project").mkdir(parents=True)
    told = " ".join([*(f"--inventory={path}" for path in cluster.lay_out()), *words])
    done = cluster.call(
        [RUNNER, "run", folder, "--playbook", playbook, "--ident", "1", f"--cmdline={told}"]
    )
    paths = (folder / "artifacts/1/job_events").glob("*-*.json")
    events = sorted(
        (json.loads(path.read_text()) for path in paths), key=lambda event: int(event["counter"])
    )
    assert events, done.output
    return done.code, events


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["event_data"] for event in events if event["event"] == kind]


def test_runner_events_show_the_rollout(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path)
    drifted(cluster)
    code, events = run(cluster, "kube_ha.scheduler.site", "--diff")
    assert code == 0
    [stats] = of(events, "playbook_on_stats")
    assert set(stats["changed"]) == set(cluster.answers)
    assert not stats["failures"]
    assert not stats["dark"]
    rolled = [
        event["host"]
        for event in of(events, "runner_on_ok")
        if event["task"] == "Promote the staged file set"
    ]
    assert rolled == ["m2", "m3", "m1"], "the leader last"
    text = json.dumps(events)
    assert "PRIVATE KEY" not in text
    assert not re.search(r"\[(?:WARNING|DEPRECATION)", text)


def test_runner_events_show_the_error(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path)
    cluster.variables["kube_scheduler_secure_port"] = 0
    code, events = run(cluster, "kube_ha.scheduler.site")
    assert code != 0
    failed = of(events, "runner_on_failed")
    assert any(
        "kube_scheduler_secure_port: 0 is not a valid port" in str(event["res"]["msg"])
        for event in failed
    )
    [stats] = of(events, "playbook_on_stats")
    assert stats["failures"]

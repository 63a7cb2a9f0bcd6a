"""Switch a lab between two minor versions, while pods are created and the lease is observed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import timings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import (
    verdict,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.watch import Watch
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DEFAULT_SCHEDULER,
)

from tests.support.lab import UNIT, Lab, Run

OLD, NEW = "1.36.1", "1.37.2"
RETRY_PERIOD = 2.0
RELEASED = 2.2 * RETRY_PERIOD + 1
"""Maximum number of seconds without a leader after the release of a lease."""
CRASHED = timings.DEFAULT_TIMINGS.crash_bound + 1
"""Maximum number of seconds without a leader if the lease must expire."""


def version(number: str) -> str:
    return f"--extra-vars=kube_scheduler_version={number}"


def runs(lab: Lab) -> set[str]:
    """Return the versions of the scheduler processes on all hosts."""
    script = f"basename $(readlink /proc/$(systemctl show --property=MainPID --value {UNIT})/exe)"
    result = {
        lab.podman("exec", lab.settings.container(name), "sh", "-c", script) for name in lab.names
    }
    return {path.strip().removeprefix("kube-scheduler-v") for path in result}


def deployed(lab: Lab, number: str) -> None:
    """Deploy a version, unless all hosts already run it."""
    if runs(lab) != {number}:
        run = lab.site(version(number), "--extra-vars=kube_scheduler_allow_downgrade=true")
        assert run.code == 0, run.output


@dataclass
class Measured:
    """Hold the events of pods and lease during a run."""

    run: Run
    pods: verdict.PodSummary
    transitions: int
    leaderless: list[
        float
    ]  # seconds for each change of holder, from the last time that the previous holder was observed
    not_given_back: list[str]  # log lines of previous holders that could not release the lease


def under_pods(lab: Lab, act: Callable[[], Run]) -> Measured:
    """Run a playbook while four pods per second are created. Wait until all pods have nodes."""
    leader = lab.leader()
    choice: Any = {
        "leader": leader,
        "leader_hostname": lab.hostname(leader),
        "primary": "",
        "lease": {"namespace": "kube-system", "name": "kube-scheduler", "sources": ["lease"]},
        "scheduler": DEFAULT_SCHEDULER,
        "deadline": 900.0,
    }
    with Watch(str(lab.state / "admin.kubeconfig"), choice) as watch:
        watch.wait_until_ready()
        began, moment = time.monotonic(), time.time()
        run = act()
        observed = watch.finish(began, 0.0)
    assert watch.namespace_removed
    return Measured(
        run,
        verdict.summarize_pods(observed.pods, began),
        observed.samples[-1].transitions - observed.samples[0].transitions,
        leaderless(observed.samples),
        lab.not_given_back(moment),
    )


def leaderless(samples: list[verdict.LeaseSample]) -> list[float]:
    result = []
    for before, sample in zip(samples, samples[1:]):
        if sample.identity and sample.identity != before.identity:
            result.append(sample.at - before.at)
    return result


def nothing_lost(result: Measured, transitions: int, bound: float = RELEASED) -> None:
    """Check that the run affected no pod and that each lease transition stayed within its bound.

    In rare cases, a scheduler cannot release its lease (kubernetes#131867). The lease then expires
    as after a crash.
    """
    assert result.run.code == 0, result.run.output
    assert (result.pods["lost"], result.pods["bound_twice"]) == (0, 0)
    assert result.pods["made"] == result.pods["bound"] > 50
    assert result.transitions == transitions
    assert len(result.leaderless) == transitions
    if result.not_given_back:
        bound = max(bound, CRASHED)
    assert all(0 < seconds <= bound for seconds in result.leaderless), result.leaderless

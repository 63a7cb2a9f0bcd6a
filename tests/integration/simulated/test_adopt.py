"""Test the adoption of foreign schedulers on simulated hosts: settings, messages, order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.host import RESULT
from tests.support.simulation import PROCESS, Simulation, compared, gathered

POD = "/etc/kubernetes/manifests/kube-scheduler.yaml"
STALE = [{"part": "process", "reason": "the process was not started from this file set"}]
ADOPT = "--extra-vars=kube_scheduler_adopt=true"


def foreign(folder: Path, **unit: Any) -> Simulation:
    """Return three hosts, each with a foreign scheduler. The leader is m1."""
    cluster = Simulation(folder)
    for name in cluster.answers:
        theirs = {
            "prepared": False,
            "process": {
                **PROCESS,
                "digest": "",
                "arguments": ["--v=4"],
                "settings": ["parallelism=32"],
            },
            "unit": {**RESULT["unit"], **unit},
        }
        cluster.answers[name]["gather"] = gathered(name, "m1", **theirs)
        cluster.answers[name]["drift"] = [
            compared(name, "m1", drift=STALE, **theirs),
            compared(name, "m1"),
        ]
    return cluster


@pytest.fixture
def pods(tmp_path: Path) -> Simulation:
    return foreign(tmp_path, static_pod=POD, load_state="not-found", active_state="inactive")


def test_adoption_that_loses_settings_is_rejected_with_the_variables_that_keep_them(
    tmp_path: Path,
) -> None:
    cluster = foreign(tmp_path)
    run = cluster.run("playbooks/site.yml", "--check", "--diff")
    assert run.code != 0
    assert "and --v=4, parallelism=32 would be lost" in run.text
    keep = 'set kube_scheduler_extra_args: {"v": "4"}; kube_scheduler_config: {"parallelism": 32}'
    assert keep in run.text.replace('\\"', '"')
    assert run.rolled == []
    cluster.variables |= {
        "kube_scheduler_extra_args": {"v": "4"},
        "kube_scheduler_config": {"parallelism": 32},
    }
    run = cluster.run("playbooks/site.yml")
    assert run.code == 0, run.output
    assert run.rolled == ["m2", "m3", "m1"]


def test_static_pod_is_rejected(pods: Simulation) -> None:
    run = pods.run("playbooks/site.yml", "--check")
    assert run.code != 0
    assert (
        f"m1: the static pod {POD} runs the scheduler; remove the static pod, or set kube_scheduler_adopt: [parallelism, static_pod, v]"
        in run.text
    )
    assert run.rolled == []


def test_static_pods_are_adopted_one_after_the_other(pods: Simulation) -> None:
    run = pods.run("playbooks/site.yml", ADOPT)
    assert run.code == 0, run.output
    assert f"m1: {POD} is set aside" in run.text
    assert run.rolled == ["m2", "m3", "m1"]
    for name in pods.answers:
        staged = next(
            told for told in run.options(name, "scheduler_fileset") if told["state"] == "staged"
        )
        assert {"name": "static_pod", "path": POD, "link_to": ""} in staged["files"]


def test_status_adopts_nothing(pods: Simulation) -> None:
    run = pods.run("playbooks/status.yml", ADOPT)
    assert "takes over" not in run.output
    assert "the process was not started from this file set" in run.text


@pytest.mark.parametrize("check", ["", "--check"])
def test_removal_offers_a_rollback_first_and_names_the_kept_files(
    tmp_path: Path, check: str
) -> None:
    cluster = Simulation(tmp_path)
    copy = "/var/lib/kube-ha/kube-scheduler/original"
    kept = [
        {"path": POD, "copy": f"{copy}/static_pod"},
        {"path": "/etc/kubernetes/kube-scheduler.kubeconfig", "copy": f"{copy}/kubeconfig"},
    ]
    cluster.change("m1", "gather", restorable=True)
    cluster.change("m1", "drift", restorable=True)
    cluster.change("m1", "scheduler_fileset", kept=kept)
    run = cluster.run(
        "playbooks/uninstall.yml",
        "--limit=m1,m2,localhost",
        "--extra-vars=kube_scheduler_confirm=yes",
        *filter(None, [check]),
    )
    assert run.code == 0, run.output
    offer = "m1: the role adopted the scheduler of another installer; rollback.yml restores that"
    kept_line = (
        "m1: the role did not create these files, and keeps their copies:"
        f" {copy}/static_pod ({POD}), {copy}/kubeconfig (/etc/kubernetes/kube-scheduler.kubeconfig)"
    )
    assert kept_line in run.text
    assert 0 < run.text.index(offer) < run.text.index(kept_line)
    assert "m2: the role" not in run.text


def test_hostile_list_of_kept_files_is_only_text(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path)
    for name, kept in {
        "m1": "all",
        "m2": [{"path": "\x1b[2J{{ 7 * 7 }}", "copy": ["x"]}, 1],
    }.items():
        cluster.change(name, "scheduler_fileset", kept=kept)
    run = cluster.run(
        "playbooks/uninstall.yml",
        "--limit=m1,m2,localhost",
        "--extra-vars=kube_scheduler_confirm=yes",
    )
    assert run.code == 0, run.output
    assert "\x1b" not in run.output
    assert "keeps their copies: ['x'] ( [2J{{ 7 * 7 }})" in run.output


UNSAFE = {
    "path": "/etc/kubernetes",
    "reason": "'/etc/kubernetes' belongs to k8s",
    "is_link": False,
    "can_take": True,
}
GIVEN = "m1: '/etc/kubernetes' belongs to k8s; the role gives it to root, and a rollback restores its owner"


@pytest.mark.parametrize("accepted", ["true", "ownership"])
def test_directories_of_the_service_user_are_taken_only_if_accepted(
    tmp_path: Path, accepted: str
) -> None:
    """In the walk-through, /etc/kubernetes belongs to k8s. A first deployment gets the same offer."""
    cluster = Simulation(tmp_path)
    for name in cluster.answers:
        cluster.answers[name]["gather"] = gathered(name, "m1", unsafe=[UNSAFE])
        cluster.answers[name]["drift"] = [
            compared(name, "m1", drift=STALE, unsafe=[UNSAFE]),
            compared(name, "m1"),
        ]
    run = cluster.run("playbooks/site.yml")
    assert run.code != 0
    assert run.rolled == []
    assert (
        "m1: '/etc/kubernetes' belongs to k8s, so that a user with write access could make root read or write any file; set"
        " kube_scheduler_adopt: [ownership], so that the role gives the directory to root and a rollback restores its owner, or set other paths in"
        in run.text
    )
    run = cluster.run("playbooks/site.yml", f"--extra-vars=kube_scheduler_adopt={accepted}")
    assert run.code == 0, run.output
    assert GIVEN in run.text
    assert run.rolled == ["m2", "m3", "m1"]
    for name in cluster.answers:
        states = [
            (told["state"], told.get("ownership"))
            for told in run.options(name, "scheduler_fileset")
        ]
        assert ("live", True) in states

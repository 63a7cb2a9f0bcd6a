"""Test output and files of status.yml and of the report that other playbooks create."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import status_schema
from tests.support.clusters import DOWN
from tests.support.role import answers
from tests.support.simulation import DRIFT, ROOT, Outcome, Simulation, compared, lease
from tests.unit.plugins.module_utils._scheduler.drill.test_page import Tree

SCHEMA = json.loads((ROOT / "docs/status.schema.json").read_text())
REPORT = "Report the status of the clusters"
TABLE = [
    "kube_masters: 2 of 3 healthy; leader: m1 since 2026-01-01 00:00:00 UTC",
    "host  version  unit      healthy  leader  lease  transitions  served, days  used, days  drift",
    "m2    -        inactive  NO       -       -                -             -           -  -",
    "m3    1.37.2   active    yes      -       held             1          3000        3000  config",
    "m1    1.37.2   active    yes      *       held             1          3000        3000  -",
    "m2: kube-scheduler.service is inactive (dead, result success)",
    "m3: drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
    "failover: at most 23.8 s after a crash, 4.4 s after a stop",
]
WELL = [
    "kube_masters: 3 of 3 healthy; leader: m1 since 2026-01-01 00:00:00 UTC",
    "host  version  unit    healthy  leader  lease  transitions  served, days  used, days  drift",
    "m1    1.37.2   active  yes      *       held             1          3000        3000  -",
    "m2    1.37.2   active  yes      -       held             1          3000        3000  -",
    "m3    1.37.2   active  yes      -       held             1          3000        3000  -",
    "failover: at most 23.8 s after a crash, 4.4 s after a stop",
]
NIGHTLY = pytest.mark.nightly
CODES = {"changed": "0;33", "error": "0;31"}


def valid(report: Any) -> None:
    """Fail if a document does not match the schema exactly."""
    # Only the tools of `make integration` include this package. Tests of this file also run without
    # the package.
    import jsonschema  # noqa: PLC0415

    jsonschema.validate(report, status_schema.strict(SCHEMA))


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three hosts: m1 leads, m2 is stopped, and m3 has drift."""
    found = Simulation(tmp_path)
    found.change("m2", "drift", **DOWN)
    found.change("m3", "drift", drift=DRIFT)
    return found


def several(folder: Path) -> Simulation:
    """Return three clusters: one healthy, one with a lost host, one with invalid variables."""
    found = Simulation(
        folder,
        {name: [f"{name}{number}" for number in (1, 2, 3)] for name in ("well", "gone", "odd")},
    )
    found.lost = {"gone2": 0}
    found.change("gone3", "drift", drift=DRIFT)
    found.host_variables = {
        f"odd{number}": {"kube_scheduler_secure_port": "none"} for number in (1, 2, 3)
    }
    return found


def shown(run: Outcome) -> list[str]:
    """Return the output from the start of the report."""
    lines = (
        run.output.partition(REPORT)[2].splitlines()
        if REPORT in run.output
        else run.output.splitlines()
    )
    return [line for line in lines if line]


def play(found: Simulation, *words: str, **environment: str) -> Outcome:
    return found.run("playbooks/status.yml", found.everywhere, *words, **environment)


# --- table


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STDOUT_CALLBACK", "minimal"),
        pytest.param("STDOUT_CALLBACK", "oneline", marks=NIGHTLY),
        pytest.param("CALLBACK_RESULT_FORMAT", "yaml", marks=NIGHTLY),
        pytest.param("CALLBACKS_ENABLED", "junit", marks=NIGHTLY),
    ],
)
def test_status_table_is_plain_under_any_callback(
    cluster: Simulation, name: str, value: str
) -> None:
    run = cluster.run("playbooks/status.yml", **{f"ANSIBLE_{name}": value})
    assert run.code != 0
    lines = run.output.splitlines()
    first = lines.index(TABLE[0])
    assert lines[first : first + len(TABLE)] == TABLE
    assert "\x1b" not in run.output, "there is no terminal"


@pytest.mark.cores
def test_status_uses_the_colors_of_ansible(cluster: Simulation) -> None:
    log = cluster.folder / "log"
    run = cluster.run(
        "playbooks/status.yml",
        ANSIBLE_FORCE_COLOR="1",
        ANSIBLE_LOG_PATH=str(log),
        ANSIBLE_COLOR_OK="bright blue",
    )
    for line, code in (
        (TABLE[2], CODES["error"]),
        (TABLE[3], CODES["changed"]),
        (TABLE[4], "1;34"),
    ):
        assert f"\x1b[{code}m{line}\x1b[0m\n" in run.output
    assert f"\n{TABLE[1]}\n" in run.output
    assert TABLE[2] in log.read_text()
    assert "\x1b" not in log.read_text().partition("PLAY RECAP")[0]


@pytest.mark.parametrize(
    "playbook", ["site", *(pytest.param(name, marks=NIGHTLY) for name in ("upgrade", "rollback"))]
)
def test_other_playbooks_end_with_the_status(tmp_path: Path, playbook: str) -> None:
    found = Simulation(tmp_path)
    for name in found.answers:
        found.answers[name]["scheduler_fileset"] = {
            "changed": False,
            "version": "1.37.2",
            "not_after": "",
        }
    path = tmp_path / "status.json"
    words = [f"--extra-vars=status_json={path}", "--extra-vars=kube_scheduler_version=1.37.2"]
    run = found.run(f"playbooks/{playbook}.yml", *words)
    assert run.code == 0, run.output
    assert shown(run)[1:7] == WELL
    assert set(answers(path)) == {"m1", "m2", "m3"}


# --- several clusters


def test_status_document_contains_all_clusters_of_a_run(tmp_path: Path) -> None:
    found, path = several(tmp_path), tmp_path / "status.json"
    run = play(found, f"--extra-vars=status_json={path}")
    assert run.code != 0
    report = json.loads(path.read_text())
    valid(report)
    assert [
        (entry["name"], entry["state"], list(entry["members"])) for entry in report["clusters"]
    ] == [
        ("gone", "no_answer", ["gone2", "gone3", "gone1"]),
        ("odd", "no_answer", ["odd1", "odd2", "odd3"]),
        ("well", "healthy", ["well1", "well2", "well3"]),
    ]
    lines = shown(run)
    for line in (
        "gone2: no result",
        "odd3: no result",
        "3 clusters: 2 need attention: gone, odd",
        f"written: {path}",
    ):
        assert line in lines
    assert sum(line.startswith("host ") for line in lines) == 3
    for line in (
        "gone2: no result",
        "gone3: drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
    ):
        assert line in run.text.partition("FAILED!")[2]


def test_status_document_matches_the_schema(cluster: Simulation) -> None:
    """The status document matches the schema for every kind of host.

    The hosts are healthy, stopped, with drift, unreachable, of an old version, with a released
    lease, and without systemd.
    """
    path = cluster.folder / "status.json"
    cluster.change("m1", "gather", systemd_version=0)
    cluster.lost = {"m3": 1}
    cluster.run("playbooks/status.yml", f"--extra-vars=status_json={path}")
    valid(json.loads(path.read_text()))
    free = {
        **lease("m1.example"),
        "holder": None,
        "holder_identity": None,
        "state": "released",
        "acquire_time": None,
        "lease_duration": None,
    }
    cluster.lost = {}
    cluster.change("m1", "drift", lease=free, not_checked=["metrics for an authorized client"])
    cluster.run("playbooks/status.yml", f"--extra-vars=status_json={path}")
    valid(json.loads(path.read_text()))


def test_batches_list_the_members_not_queried_yet(cluster: Simulation) -> None:
    for name in cluster.answers:
        cluster.answers[name]["drift"] = compared(name, "m1")
    playbook, path = cluster.folder / "play.yml", cluster.folder / "status.json"
    playbook.write_text(
        "- hosts: kube_masters\n  gather_facts: false\n  serial: 2\n  tasks:\n"
        "    - ansible.builtin.include_role: {name: kube_ha.scheduler.kube_scheduler, tasks_from: status}\n"
    )
    run = cluster.run(playbook, f"--extra-vars=status_json={path}")
    assert run.code == 0, run.output
    assert "not queried: m3" in run.output.splitlines()
    assert json.loads(path.read_text())["clusters"][0]["not_asked"] == []


# --- files


@pytest.mark.cores
def test_status_page_is_written(tmp_path: Path) -> None:
    found, path = several(tmp_path), tmp_path / "status.html"
    run = play(found, f"--extra-vars=status_html={path}")
    assert f"written: {path}" in shown(run)
    text = re.sub(r"\s+", " ", " ".join(Tree(path.read_text()).texts))
    assert "✘ Needs attention 2 of 3 clusters 9 members: 4 no result, 1 drift, 4 healthy" in text
    assert path.stat().st_mode & 0o777 == 0o600


def test_check_mode_writes_no_report(cluster: Simulation) -> None:
    path = cluster.folder / "status.html"
    run = cluster.run("playbooks/status.yml", "--check", f"--extra-vars=status_html={path}")
    assert TABLE[0] in run.output
    assert not path.exists()


def test_unwritable_report_fails_before_the_first_contact(cluster: Simulation) -> None:
    path = cluster.folder / "nowhere/report"
    run = cluster.run("playbooks/status.yml", f"--extra-vars=status_json={path}")
    assert run.code != 0
    assert f"status_json: on the controller: the directory of '{path}' does not exist" in run.text
    assert not any(run.calls.values())

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the output and the reports of a run if a host returns long texts or terminal escapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.simulation import Outcome, Simulation, compared, drifted, gathered

NIGHTLY = pytest.mark.nightly
REPORTS = ("status_json", "status_html", "status_metrics")
EVIL = "\x1b]0;evil\x07\x1b[31m\x9b2J\u202e\r\n"
CONTROL = [*map(chr, range(9)), *map(chr, range(11, 32)), *map(chr, range(127, 160)), "\u202e"]


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path)


def everywhere(value: Any) -> Any:
    """Return the value with terminal escapes in each text, except in the times of the host."""
    if isinstance(value, dict):
        return {name: everywhere(part) for name, part in value.items()}
    if isinstance(value, list):
        return [everywhere(part) for part in value]
    return f"{value}{EVIL}" if isinstance(value, str) else value


def play(cluster: Simulation, playbook: str = "status", *words: str) -> Outcome:
    """Run a playbook with all reports. Check that output and reports have no control character."""
    paths = [cluster.folder / name for name in REPORTS]
    run = cluster.run(
        f"playbooks/{playbook}.yml",
        *(f"--extra-vars={path.name}={path}" for path in paths),
        *words,
    )
    assert "Traceback" not in run.output
    for text in (run.output, *(path.read_text() for path in paths if path.exists())):
        assert not [char for char in CONTROL if char in text]
    if paths[0].exists():
        assert "\\u001b" not in paths[0].read_text(), "the reader of the JSON file would get it"
    return run


def test_terminal_escapes_of_a_host_reach_no_output(cluster: Simulation) -> None:
    for question, answer in (("gather", gathered("m2", "m1")), ("drift", compared("m2", "m1"))):
        hostile = {**everywhere(answer), "warnings": [EVIL], "msg": EVIL}
        cluster.answers["m2"][question] = hostile
    cluster.change("m2", "drift", healthy=False, problems=[EVIL], journal=[EVIL])
    run = play(cluster, "status", "-vvv")
    assert run.code != 0
    document = json.loads((cluster.folder / "status_json").read_text())
    assert document["clusters"][0]["members"]["m2"]["answer"]["hostname"].startswith("m2.example ")


@pytest.mark.parametrize(
    "answer",
    [
        {"failed": True, "msg": f"evil{EVIL}"},
        {"failed": True, "msg": "x", "exception": EVIL, "module_stderr": EVIL, "warnings": [EVIL]},
        pytest.param(f"{EVIL}{{", marks=NIGHTLY),
        pytest.param(f"evil{EVIL}" * 1000, marks=NIGHTLY),
        pytest.param({"_ansible_evil": EVIL, "add_host": {EVIL: EVIL}}, marks=NIGHTLY),
    ],
    ids=["msg", "exception", "broken", "text", "keys"],
)
def test_terminal_escapes_of_a_failed_module_reach_no_output(
    cluster: Simulation, answer: Any
) -> None:
    cluster.answers["m2"]["gather"] = answer
    run = play(cluster)
    assert run.code != 0
    assert len(run.output) < 32 << 10


def test_terminal_escapes_during_a_rollout_reach_no_output(cluster: Simulation) -> None:
    drifted(cluster)
    for module in ("x509_cert", "scheduler_fileset", "kubeconfig"):
        cluster.answers["m2"][module] = {
            "failed": module == "scheduler_fileset",
            "msg": EVIL,
            "diff": {"before": EVIL, "after": f"x{EVIL}", "before_header": EVIL},
            "warnings": [EVIL],
            "deprecations": [{"msg": EVIL, "version": EVIL}],
        }
    assert play(cluster, "site", "--diff", "-vvv").code != 0


def test_longest_result_gives_bounded_output_and_reports(cluster: Simulation) -> None:
    """The problems of a host are in the table, in the error, in the page and in the JSON file."""
    cluster.change("m2", "drift", healthy=False, problems=["'" * 3999] * 31)
    run = play(cluster)
    assert run.code != 0
    sizes = {name: (cluster.folder / name).stat().st_size for name in REPORTS}
    assert sizes["status_html"] < 1 << 20, sizes
    assert sizes["status_json"] < 512 << 10, sizes
    assert len(run.output) < 1 << 20


@pytest.mark.parametrize(
    ("problems", "size"),
    [
        (["x" * 4000] * 1000, "has 39.. KiB, and the maximum is 128 KiB"),
        pytest.param(["x" * 30_000] * 1000, "has 28 MiB, and the maximum is 4 MiB", marks=NIGHTLY),
    ],
)
def test_larger_result_is_rejected_in_one_line(
    cluster: Simulation, problems: list[str], size: str
) -> None:
    cluster.change("m2", "drift", healthy=False, problems=problems)
    run = play(cluster)
    assert run.code != 0
    line = f"m2: the result of scheduler_info is rejected: it {size}; check which host"
    assert re.search(line, run.text), run.output
    assert len(run.output) < 64 << 10
    members = json.loads((cluster.folder / "status_json").read_text())["clusters"][0]["members"]
    assert (members["m1"]["state"], members["m2"]["state"]) == ("healthy", "no_answer")

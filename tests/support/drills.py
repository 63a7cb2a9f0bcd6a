"""Run drills of a lab as an operator does, and check that no fault remains."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.lab import UNIT, Lab, Run

PLAYBOOK = "playbooks/drill.yml"
CONFIRMED = "--extra-vars=drill_confirm=yes"
KINDS = ("stop", "kill", "freeze", "partition")
# The journal of the previous leader contains one of these texts when its process exits.
LEASE_LOST = "eaderelection lost"
LOST = {
    "stop": "systemd[1]: Stopped ",
    "kill": "code=killed",
    "freeze": LEASE_LOST,
    "partition": LEASE_LOST,
}
SERVICE = "kube-ha-drill.service"
# This command prints the rules of a partition. Without rules, the command prints nothing.
RULES = (
    "nft list table inet kube_ha_drill 2>/dev/null; iptables -S OUTPUT | grep kube-ha-drill || true"
)


@dataclass
class Drill:
    """Hold a run of drill.yml with its report and its page."""

    run: Run
    report: dict[str, Any]
    page: Path


def drill(lab: Lab, directory: Path, kind: str, *words: str) -> Drill:
    run = lab.play(
        PLAYBOOK,
        CONFIRMED,
        f"--extra-vars=drill={kind}",
        f"--extra-vars=drill_report_dir={directory}",
        *words,
    )
    path = directory / "report.json"
    return Drill(
        run, json.loads(path.read_text()) if path.exists() else {}, directory / "report.html"
    )


def passed(lab: Lab, result: Drill) -> None:
    """Check all facts that hold for every successful drill."""
    assert result.run.code == 0, result.run.output
    report = result.report
    assert report["passed"], report["errors"]
    assert report["errors"] == []
    assert report["healthy_again"]
    assert report["transitions"] == 1
    assert report["identity_after"] not in ("", report["identity_before"])
    assert 0 <= report["leaderless"] <= report["bound"]
    pods = report["pods"]
    assert (pods["lost"], pods["bound_twice"]) == (0, 0)
    assert pods["made"] == pods["bound"] >= 5
    assert report["polls"] > 20
    before, after = report["leader_before"], report["leader_after"]
    words = f"{after} leads after {report['leaderless']:.1f} s, bound {report['bound']:g} s"
    assert words in result.run.text.replace(" (restarted)", ""), result.run.output
    assert f"report: {result.page}" in result.run.text
    assert "Passed" in result.page.read_text()
    assert any("cquired lease" in line for line in report["journal"][after]), report["journal"]
    assert any(LOST[report["kind"]] in line for line in report["journal"][before]), report[
        "journal"
    ]
    left_nothing(lab)


def left_nothing(lab: Lab) -> None:
    assert namespaces(lab) == []
    for name in lab.names:
        assert not serves(lab, name)
        assert process_state(lab, name) in ("R", "S")
        assert inside(lab, name, RULES) == ""
        assert inside(lab, name, "ls -d /run/kube-ha-drill 2>/dev/null || true") == ""


def namespaces(lab: Lab) -> list[str]:
    words = (
        "get",
        "namespaces",
        "--selector=app.kubernetes.io/managed-by=kube_ha.scheduler-drill",
        "--output=name",
    )
    return lab.kubectl(*words).split()


def inside(lab: Lab, name: str, script: str) -> str:
    """Run a shell script on a host and return its output.

    The function does not use Ansible, which is slower.
    """
    return lab.podman("exec", lab.settings.container(name), "sh", "-c", script)


def serves(lab: Lab, name: str) -> bool:
    """Return whether the service that removes the fault runs on a host, or waits for a retry."""
    state = inside(lab, name, f"systemctl is-active {SERVICE} || true").strip()
    return state in ("active", "activating", "deactivating")


def process_state(lab: Lab, name: str) -> str:
    """Return the state of the scheduler's process in the kernel, such as S or T.

    If no process runs, the result is an empty string.
    """
    script = (
        f"pid=$(systemctl show --property=MainPID --value {UNIT}); "
        "ps --no-headers -o state= -p $pid || true"
    )
    return inside(lab, name, script).strip()[:1]

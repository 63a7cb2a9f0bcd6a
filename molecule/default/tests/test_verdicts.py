"""Test that a healthy scheduler is reported as healthy on any address and with slow elections.

If a check cannot run, the status reports neither success nor failure of the check.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import ROOT, wait_for
from tests.support.role import answers

UNIT = "kube-scheduler.service"
READER = "metrics for an authorized client"


@pytest.mark.nightly
def test_scheduler_on_all_addresses_with_slow_elections_is_healthy(lab: Any) -> None:
    """A scheduler that listens on IPv6 or renews only every ten seconds is healthy.

    Most queries of a slow leader therefore observe no renewal at first.
    """
    slow = {"lease_duration": "60s", "renew_deadline": "40s", "retry_period": "10s"}
    times = {f"kube_scheduler_{name}": value for name, value in slow.items()}
    try:
        for address, more in (("::", times), ("0.0.0.0", {})):
            words = f"--extra-vars={json.dumps({'kube_scheduler_bind_address': address, **more})}"
            run = lab.site(words)
            assert run.code == 0, run.output
            listening = lab.host("m1").check_output("ss --no-header -lntp").splitlines()
            assert any("kube-scheduler" in line and "*:10259" in line for line in listening), (
                listening
            )
            again = lab.site(words)
            assert again.code == 0, again.output
            assert again.changed == dict.fromkeys(lab.names, 0)
            status = lab.play("playbooks/status.yml", words)
            assert status.code == 0, status.output
    finally:
        lab.start_anew()


def test_settings_in_use_are_not_checked_without_a_grant(lab: Any) -> None:
    """Without a grant for /configz, the status reports that the settings in use are not checked.

    The lab grants the access with docs/examples/configz-reader.
    """
    line = "not checked: the settings in use, from /configz: HTTP 403"
    assert "not checked" not in lab.play("playbooks/status.yml").text
    lab.kubectl("delete", "clusterrolebinding", "kube-ha-configz-reader")
    try:

        def not_checked() -> bool:
            run = lab.play("playbooks/status.yml")
            assert run.code == 0, run.output
            return all(f"{name}: {line}" in run.text for name in lab.names)

        wait_for(not_checked, 60)
    finally:
        lab.kubectl("apply", f"--filename={ROOT / 'docs/examples/configz-reader'}")


def test_stopped_scheduler_with_a_limit_and_without_the_ca_key(lab: Any, tmp_path: Path) -> None:
    report = tmp_path / "status.json"
    away = json.dumps({"kube_scheduler_ca_key": "/nowhere/ca-key.pem", "status_json": str(report)})
    reason = (
        f"{READER} (on the controller, ca_privatekey_path: '/nowhere/ca-key.pem' does not exist"
    )
    stopped = next(name for name in lab.names if name != lab.leader())
    lab.host(stopped).check_output("systemctl stop %s", UNIT)
    try:
        run = lab.play("playbooks/status.yml")
        assert run.code != 0
        assert f"{stopped}: {UNIT} is inactive (dead" in run.text
        others = [name for name in lab.names if name != stopped]
        limited = lab.play(
            "playbooks/status.yml", f"--limit={','.join(others)},localhost", f"--extra-vars={away}"
        )
        assert limited.code == 0, limited.output
        assert f"not queried: {stopped}" in limited.text
        reported = answers(report)
        assert sorted(reported) == sorted(others)
        for name, answer in reported.items():
            lines = [line for line in answer["not_checked"] if READER in line]
            assert len(lines) == 1
            assert lines[0].startswith(reason)
            assert answer["probes"]["metrics_reader"] is None
            assert f"{name}: not checked: {reason}" in limited.text
    finally:
        lab.host(stopped).check_output("systemctl start %s", UNIT)
        assert lab.site().code == 0

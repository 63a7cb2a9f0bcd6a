"""Test that verify fails if the certificates of a leader have expired.

The unit of such a leader is still active (running), and /healthz returns 200.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import rotation
from tests.support.lab import UNIT, wait_for


@pytest.mark.nightly
def test_leader_with_expired_certificates_is_unhealthy(lab: Any) -> None:
    name = lab.leader()
    host = lab.host(name)
    rotation.expire(lab, name)
    host.check_output("systemctl restart %s", UNIT)
    pid = lab.main_pids()[name]
    wait_for(lambda: "Unauthorized" in host.check_output("journalctl --no-pager _PID=%s", pid), 30)

    assert host.service(UNIT).is_running
    wait_for(
        lambda: host.run("curl --silent --insecure https://127.0.0.1:10259/healthz").stdout == "ok",
        30,
    )

    run = lab.site("--tags=kube_scheduler_verify")
    assert run.code != 0
    for check in ("the served certificate", "the certificate used at the apiserver"):
        assert re.search(
            rf"{name}: {check} \(\S*CN=system:kube-scheduler\S*, serial DEAD\) expired on",
            run.text,
        )
    assert "Unauthorized" in run.text, "the journal is shown"
    status = lab.play("playbooks/status.yml")
    assert status.code != 0
    assert f"{name}: the served certificate" in status.text

    others = {other: pid for other, pid in lab.main_pids().items() if other != name}
    repaired = lab.site()
    assert repaired.code == 0, repaired.output
    assert {host for host, count in repaired.changed.items() if count} == {name}
    assert {other: pid for other, pid in lab.main_pids().items() if other != name} == others
    assert lab.site().changed == dict.fromkeys(lab.names, 0)

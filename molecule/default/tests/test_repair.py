"""What somebody broke on one host, the next plain run puts right, and touches nobody else."""

from __future__ import annotations

from typing import Any

import pytest

UNIT = "kube-scheduler.service"
CONFIG = "/etc/kubernetes/kube-scheduler.yaml"
DAMAGE = {
    "several files at once": (
        "echo garbage > /etc/kubernetes/kube-scheduler.kubeconfig; : > /etc/kubernetes/cert/kube-scheduler-key.pem;"
        " echo garbage > /var/lib/kube-ha/kube-scheduler/staged/privatekey; echo '{' > /var/lib/kube-ha/kube-scheduler/record.json;"
        f" rm /etc/systemd/system/{UNIT}; systemctl daemon-reload"
    ),
    "a configuration that was edited, with a restart by hand": (
        f"sed -i 's/leaseDuration: .*/leaseDuration: 60s/' {CONFIG} && systemctl restart {UNIT}"
    ),
    "a kubeconfig that points elsewhere": (
        "sed -i 's#server: .*#server: https://192.0.2.1:6443#' /etc/kubernetes/kube-scheduler.kubeconfig"
    ),
    "a unit that is disabled and stopped": f"systemctl disable --now {UNIT}",
    # A binary that runs cannot be truncated, but replaced.
    "a truncated binary": (
        "path=$(readlink -f /opt/k8s/bin/kube-scheduler) && head --bytes=1000 $path > $path.cut && mv $path.cut $path"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage(lab: Any, damage: str) -> None:
    name = next(name for name in lab.names if name != lab.leader())
    others = {other: pid for other, pid in lab.main_pids().items() if other != name}
    lab.host(name).check_output("bash -c %s", DAMAGE[damage])
    run = lab.site()
    assert run.code == 0, run.output
    assert {host for host, count in run.changed.items() if count} == {name}
    assert {other: pid for other, pid in lab.main_pids().items() if other != name} == others
    again = lab.site()
    assert again.code == 0, again.output
    assert again.changed == dict.fromkeys(lab.names, 0)

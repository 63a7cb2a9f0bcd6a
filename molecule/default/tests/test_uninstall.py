"""Test that the role removes only what the role created, and the cost of a first run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

FIRST_RUN = 9


def test_uninstall_and_first_run(lab: Any, tmp_path: Path) -> None:
    mark = "/etc/kubernetes/cert/of-others.pem"
    for name in lab.names:
        lab.host(name).check_output("touch %s", mark)
    predicted = lab.play(
        "playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all", "--check"
    )
    assert predicted.code == 0, predicted.output
    assert lab.host("m1").service("kube-scheduler.service").is_running
    run = lab.play("playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all")
    assert run.code == 0, run.output
    assert run.changed == predicted.changed == dict.fromkeys(lab.names, 1)
    for name in lab.names:
        host = lab.host(name)
        left = host.check_output(
            "find /etc/kubernetes /opt /etc/systemd/system -name '*kube-scheduler*'"
        )
        assert not host.file("/var/lib/kube-ha").exists
        assert left == ""
        assert host.file(mark).exists
        assert host.user("k8s").exists
        assert host.run("systemctl status kube-scheduler").rc == 4
        host.check_output("rm %s", mark)
    again = lab.play("playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all")
    assert again.changed == dict.fromkeys(lab.names, 0)

    # The limit for the module runs of a first run assumes that the binary exists on the host.
    for name in lab.names:
        lab.host(name).check_output(
            "mkdir --parents /opt/k8s/bin && "
            "curl --silent --fail --output /opt/k8s/bin/kube-scheduler-v{0}"
            " {1}/release/v{0}/bin/linux/{2}/kube-scheduler && "
            "chmod 0755 /opt/k8s/bin/kube-scheduler-v{0}".format(
                lab.settings.version, lab.variables["kube_scheduler_binary_url"], lab.settings.arch
            )
        )
    first = lab.site("--extra-vars=kube_scheduler_binary_source=present", tmp=tmp_path)
    assert first.code == 0, first.output
    for name in lab.names:
        assert len(first.runs(name)) <= FIRST_RUN, Counter(first.runs(name))
    assert lab.site().changed == dict.fromkeys(lab.names, 0)

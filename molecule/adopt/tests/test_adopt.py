"""Test the adoption of existing schedulers.

The schedulers come from the walk-through, from a manual deployment with drop-in and
EnvironmentFile, or from static pods.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import rotation
from tests.support.lab import ROOT, UNIT, wait_for
from tests.support.upgrade import nothing_lost, under_pods

sys.path.insert(0, str(ROOT / "tests/benchmark"))

import deployment

BINARY, UNIT_FILE = "/opt/k8s/bin/kube-scheduler", f"/etc/systemd/system/{UNIT}"
DROP_IN = f"{UNIT_FILE}.d/local.conf"
FILES = (BINARY, UNIT_FILE, rotation.KUBECONFIG)
ADOPT = "--extra-vars=kube_scheduler_adopt=true"
ENVIRONMENT = "/etc/default/kube-scheduler"
BY_HAND = f"""
set -e
printf '%s\\n' 'ARGS=--v=4 --leader-elect=true --kubeconfig={rotation.KUBECONFIG}' > {ENVIRONMENT}
sed -i '/^  --/d; s|^ExecStart=.*|EnvironmentFile={ENVIRONMENT}\\nExecStart={BINARY} $ARGS|' {UNIT_FILE}
mkdir -p {UNIT_FILE}.d
printf '[Service]\\nNice=5\\n' > {DROP_IN}
systemctl daemon-reload
systemctl restart kube-scheduler
"""
MANIFEST, POD_KUBECONFIG = (
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/scheduler.conf",
)
POD = f"""apiVersion: v1
kind: Pod
metadata: {{name: kube-scheduler, namespace: kube-system}}
spec:
  containers:
  - command:
    - kube-scheduler
    - --authentication-kubeconfig={POD_KUBECONFIG}
    - --authorization-kubeconfig={POD_KUBECONFIG}
    - --bind-address=127.0.0.1
    - --kubeconfig={POD_KUBECONFIG}
    - --leader-elect=true
    name: kube-scheduler
  hostNetwork: true
"""
# The script starts and stops pods by the content of the manifest directory, as kubelet does. Each
# process is in the control group of a static pod.
POD_SLICE = "kubepods-burstable-pod0123456789abcdef0123456789abcdef.slice"
KUBELET = f"""#!/bin/sh
while sleep 0.5; do
    if [ ! -e {MANIFEST} ]; then
        systemctl stop pod.scope 2>/dev/null
    elif ! systemctl is-active --quiet pod.scope; then
        systemd-run --quiet --collect --scope --slice={POD_SLICE} --unit=pod /opt/image/kube-scheduler $(sed -n 's/^    - \\(--.*\\)/\\1/p' {MANIFEST}) &
    fi
done
"""
BY_KUBELET = f"""
set -e
systemctl disable --now kube-scheduler
install -D {BINARY} /opt/image/kube-scheduler
install -m 0600 -o root -g root {rotation.KUBECONFIG} {POD_KUBECONFIG}
rm -rf {BINARY} {UNIT_FILE} {rotation.KUBECONFIG}
systemctl daemon-reload
chown root /etc/kubernetes
mkdir -p /etc/kubernetes/manifests
systemd-run --quiet --collect --unit=kubelet /bin/sh /opt/image/kubelet
"""
# The error message requires root as owner. In the walk-through, the user who copies the kubeconfig
# owns the file.
TO_ROOT = f"chown root /etc/kubernetes {rotation.KUBECONFIG} && chmod 0640 {rotation.KUBECONFIG}"


def sums(lab: Any, *files: str) -> dict[str, str]:
    return {name: lab.host(name).check_output(f"sha256sum {' '.join(files)}") for name in lab.names}


def renewed(lab: Any) -> bool:
    """Return whether a scheduler renews the lease.

    The holder alone is no proof, because a lease that was not released keeps its previous holder.
    """
    before = lab.lease()["renewTime"]
    time.sleep(5)
    return bool(lab.lease()["renewTime"] != before)


def adopted(lab: Any, *words: str) -> None:
    """Adopt the schedulers while pods are created.

    The adoption has one handover and loses no pod, and the next run changes nothing.
    """
    result = under_pods(lab, lambda: lab.site(*words))
    nothing_lost(result, transitions=1, bound=rotation.bound(lab))
    assert "adopts kube-scheduler.service, which this role did not create" in result.run.text
    for name in lab.names:
        assert lab.host(name).file(BINARY).is_symlink
    again = lab.site(*words)
    assert (again.code, again.changed) == (0, dict.fromkeys(lab.names, 0)), again.output
    assert lab.play("playbooks/status.yml", *words).code == 0


def rolled_back(lab: Any, before: dict[str, str], bind_pod: Callable[[], str], *files: str) -> None:
    """Check that a rollback restores the original files unchanged, with a binary and no link."""
    run = lab.play("playbooks/rollback.yml")
    assert run.code == 0, run.output
    assert sums(lab, *files) == before
    for name in lab.names:
        assert not lab.host(name).file(BINARY).is_symlink
        environment = (
            "tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value %s)/environ"
        )
        assert "KUBE_HA_DIGEST" not in lab.host(name).check_output(environment, UNIT)
    assert bind_pod()


@pytest.fixture(scope="module")
def masters(lab: Any) -> Any:
    deployment.LOGS.mkdir(parents=True, exist_ok=True)
    result = deployment.Hosts(
        {**os.environ, "LAB_NAME": lab.settings.name, "LAB_KUBE_VERSION": lab.settings.version}
    )
    # kubectl 1.20, built with a current Go, panics when it writes a file.
    result.kubectl = max(lab.settings.served.glob(f"v*/bin/linux/{lab.settings.arch}/kubectl"))
    result.prepare()
    return result


@pytest.fixture
def walk_through(lab: Any, masters: Any, tmp_path: Path) -> None:
    """Deploy kube-scheduler on all hosts with the commands of the walk-through."""
    masters.on_all(
        f"systemctl disable --now {UNIT} 2>/dev/null; rm -rf /var/lib/kube-ha {UNIT_FILE}.d; true"
    )
    masters.reset("k8s", link=False)
    masters.on_all(f"rm -f {BINARY}; cp {BINARY}-v{lab.settings.version} {BINARY}")
    deployment.run_walk_through(masters, tmp_path)
    masters.wait_for_leader()
    healthy = "curl -ksS https://127.0.0.1:10259/healthz"
    for name in lab.names:
        wait_for(lambda name=name: lab.host(name).run(healthy).stdout == "ok", 60)  # type: ignore[misc]


@pytest.mark.usefixtures("walk_through")
def test_walk_through_deployment_is_adopted(
    lab: Any, masters: Any, bind_pod: Callable[[], str]
) -> None:
    pids = lab.main_pids()
    refused = lab.site()
    assert refused.code != 0
    assert "set kube_scheduler_adopt: [ownership]" in refused.text
    masters.on_all(TO_ROOT)
    before = sums(lab, *FILES)
    check = lab.site("--check", "--diff")
    assert check.code == 0, check.output
    assert "m1: --kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig is removed" in check.text
    assert (sums(lab, *FILES), lab.main_pids()) == (before, pids)
    adopted(lab)
    rolled_back(lab, before, bind_pod, *FILES)


@pytest.mark.usefixtures("walk_through")
@pytest.mark.parametrize("pki", ["provided", "shared"])
def test_walk_through_pair_and_kubeconfig_remain(
    lab: Any, masters: Any, tmp_path: Path, pki: str
) -> None:
    """Files that match the plan remain, no matter which tool created them."""
    masters.on_all(TO_ROOT)
    before = sums(lab, rotation.KUBECONFIG)
    pair = {
        name: (tmp_path / f"{name}.pem").read_bytes()
        for name in ("kube-scheduler", "kube-scheduler-key")
    }
    options = {
        "pki": pki,
        "cert_source": tmp_path / "kube-scheduler.pem",
        "key_source": tmp_path / "kube-scheduler-key.pem",
        "apiserver": masters.apiserver,
    }
    # The subject of the walk-through's certificate, in the order that cfssl writes.
    reported = yaml.safe_load((ROOT / "inventory/group_vars/kube_masters.yml").read_text())
    subject = json.dumps({"kube_scheduler_subject": reported["kube_scheduler_subject"]})
    words = [f"--extra-vars=kube_scheduler_{name}={value}" for name, value in options.items()]
    run = lab.site(*words, f"--extra-vars={subject}")
    assert run.code == 0, run.output
    assert sums(lab, rotation.KUBECONFIG) == before
    assert {name: (tmp_path / f"{name}.pem").read_bytes() for name in pair} == pair
    for name in lab.names:
        host = lab.host(name)
        assert [host.file(path).content for path in (rotation.CERTIFICATE, rotation.KEY)] == [
            *pair.values()
        ]


@pytest.mark.usefixtures("walk_through")
def test_manual_deployment_is_adopted(lab: Any, masters: Any, bind_pod: Callable[[], str]) -> None:
    masters.on_all(TO_ROOT)
    masters.on_all(BY_HAND)
    wait_for(lambda: renewed(lab), 90)
    files = (*FILES, DROP_IN)
    before, pids = sums(lab, *files), lab.main_pids()
    refused = lab.site()
    assert refused.code != 0
    assert (
        f"m1: {UNIT} runs a scheduler that this role did not create, and --v=4 would be lost"
        in refused.text
    )
    assert (
        'to keep these settings, set kube_scheduler_extra_args: {"v": "4"}'
        in refused.text.replace('\\"', '"')
    )
    assert f"{DROP_IN} changes the unit" in refused.text
    assert (sums(lab, *files), lab.main_pids()) == (before, pids)
    adopted(lab, ADOPT)
    assert lab.host("m1").check_output("systemctl show --property=Nice --value %s", UNIT) == "0"
    assert lab.site().changed == dict.fromkeys(lab.names, 0), "the variable is not needed any more"
    rolled_back(lab, before, bind_pod, *files)
    assert "Nice=5" in lab.host("m1").file(DROP_IN).content_string


ORIGINALS = "/var/lib/kube-ha/kube-scheduler/original"
ALL = "--extra-vars=kube_scheduler_confirm=all"


@pytest.mark.usefixtures("walk_through")
def test_uninstall_keeps_the_files_of_an_adopted_scheduler(lab: Any, masters: Any) -> None:
    """The copies equal the files of the walk-through, and can be installed again.

    After a rollback, the removal leaves the scheduler of the walk-through unchanged and running.
    """
    masters.on_all(TO_ROOT)
    before = sums(lab, *FILES)
    assert lab.site().code == 0
    assert lab.play("playbooks/rollback.yml").code == 0
    pids = lab.main_pids()
    removed = lab.play("playbooks/uninstall.yml", ALL)
    assert removed.code == 0, removed.output
    assert (sums(lab, *FILES), lab.main_pids()) == (before, pids)
    assert not any(lab.host(name).file("/var/lib/kube-ha").exists for name in lab.names)

    assert lab.site().code == 0
    # The second rollout replaces the previous file set.
    assert lab.site("--extra-vars=kube_scheduler_retry_period=3s").code == 0
    removed = lab.play("playbooks/uninstall.yml", ALL)
    assert removed.code == 0, removed.output
    for name in lab.names:
        host, copies = lab.host(name), f"{ORIGINALS}/binary {ORIGINALS}/unit {ORIGINALS}/kubeconfig"
        assert host.check_output(f"sha256sum {copies} | cut -c-64").split() == [
            line.split()[0] for line in before[name].splitlines()
        ]
        assert f"{name}: the role did not create these files" in removed.text
        assert f"{ORIGINALS}/unit ({UNIT_FILE})" in removed.text
        assert not host.file(UNIT_FILE).exists
    again = lab.play("playbooks/uninstall.yml", ALL)
    assert again.changed == dict.fromkeys(lab.names, 0)


@pytest.fixture
def static_pods(lab: Any, masters: Any) -> Iterator[None]:
    """Prepare all hosts as kubeadm does.

    A script replaces kubelet.
    """
    for name in lab.names:
        lab.host(name).check_output("mkdir -p /opt/image")
        lab.write(name, "/opt/image/kubelet", KUBELET.encode())
    masters.on_all(BY_KUBELET)
    for name in lab.names:
        lab.write(name, MANIFEST, POD.encode())
    wait_for(lambda: renewed(lab), 90)
    yield
    masters.on_all(f"rm -f {MANIFEST}; sleep 2; systemctl stop kubelet pod.scope; true")


def pods(lab: Any) -> dict[str, bool]:
    """Return for each host whether the scheduler of kubelet runs."""
    return {
        name: lab.host(name).run("systemctl is-active --quiet pod.scope").rc == 0
        for name in lab.names
    }


def collided(lab: Any, name: str, since: int) -> bool:
    """Return whether a scheduler logged that its port is in use."""
    words = "journalctl --quiet --since=@%s --grep='address already in use'"
    return bool(lab.host(name).run(words, str(since)).rc == 0)


@pytest.mark.usefixtures("walk_through", "static_pods")
def test_static_pods_are_adopted(lab: Any, bind_pod: Callable[[], str]) -> None:
    """When the role rolls a host, it moves the manifest aside.

    A rollback restores the manifest. Two schedulers never run on one host.
    """
    since = int(time.time())
    before = sums(lab, MANIFEST, POD_KUBECONFIG)
    refused = lab.site()
    assert refused.code != 0
    assert (
        f"m1: the static pod {MANIFEST} runs the scheduler; remove the static pod, or set kube_scheduler_adopt: [static_pod]"
        in refused.text
    )
    assert (sums(lab, MANIFEST, POD_KUBECONFIG), set(pods(lab).values())) == (before, {True})
    check = lab.site("--check", "--diff", ADOPT)
    assert check.code == 0, check.output
    assert f"m1: {MANIFEST} is set aside" in check.text
    result = under_pods(lab, lambda: lab.site(ADOPT))
    nothing_lost(result, transitions=1, bound=rotation.bound(lab))
    assert set(pods(lab).values()) == {False}
    assert not any(lab.host(name).file(MANIFEST).exists for name in lab.names)
    again = lab.site()
    assert (again.code, again.changed) == (0, dict.fromkeys(lab.names, 0)), again.output
    back = under_pods(lab, lambda: lab.play("playbooks/rollback.yml"))
    nothing_lost(back, transitions=1, bound=rotation.bound(lab))
    assert (sums(lab, MANIFEST, POD_KUBECONFIG), set(pods(lab).values())) == (before, {True})
    assert not any(lab.host(name).file(UNIT_FILE).exists for name in lab.names)
    assert not any(collided(lab, name, since) for name in lab.names)
    assert bind_pod()
    # `kubeadm upgrade` writes the manifest again, although the unit exists.
    assert lab.site(ADOPT).code == 0
    lab.write("m1", MANIFEST, POD.encode())
    wait_for(lambda: collided(lab, "m1", since), 10)
    twice = lab.site()
    assert twice.code != 0
    # The process of the pod still runs at this time.
    assert re.search(f"m1: found another kube-scheduler: .*static pod {MANIFEST};", twice.text), (
        twice.output
    )
    lab.host("m1").check_output("rm %s", MANIFEST)
    wait_for(lambda: lab.site("--check").changed == dict.fromkeys(lab.names, 0), 60)

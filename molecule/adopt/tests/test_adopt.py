"""Schedulers that somebody else laid: by the walk-through's own commands, by hand with a drop-in and an EnvironmentFile, and as static pods."""

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
BY_HAND = f"""
set -e
printf '%s\\n' 'ARGS=--v=4 --leader-elect=true --kubeconfig={rotation.KUBECONFIG}' > /etc/default/kube-scheduler
sed -i '/^  --/d; s|^ExecStart=.*|EnvironmentFile=/etc/default/kube-scheduler\\nExecStart={BINARY} $ARGS|' {UNIT_FILE}
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
# Runs what the folder of manifests holds and ends what it does not, as kubelet does: in a control group that is no service's.
KUBELET = f"""#!/bin/sh
while sleep 0.5; do
    if [ ! -e {MANIFEST} ]; then
        systemctl stop pod.scope 2>/dev/null
    elif ! systemctl is-active --quiet pod.scope; then
        systemd-run --quiet --collect --scope --unit=pod /opt/image/kube-scheduler $(sed -n 's/^    - \\(--.*\\)/\\1/p' {MANIFEST}) &
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
# What the refusal asks for; the walk-through has its user copy the kubeconfig himself.
TO_ROOT = f"chown root /etc/kubernetes {rotation.KUBECONFIG} && chmod 0640 {rotation.KUBECONFIG}"


def sums(lab: Any, *files: str) -> dict[str, str]:
    return {name: lab.host(name).check_output(f"sha256sum {' '.join(files)}") for name in lab.names}


def renewed(lab: Any) -> bool:
    """Whether somebody leads: a lease that nobody gave back still names its former holder."""
    before = lab.lease()["renewTime"]
    time.sleep(5)
    return bool(lab.lease()["renewTime"] != before)


def adopted(lab: Any, *words: str) -> None:
    """Takes them over under a stream of pods: one hand-over, nothing lost, and nothing to do afterwards."""
    found = under_pods(lab, lambda: lab.site(*words))
    nothing_lost(found, transitions=1, bound=rotation.bound(lab))
    assert "takes over kube-scheduler.service, which this role did not lay" in found.run.text
    for name in lab.names:
        assert lab.host(name).file(BINARY).is_symlink
    again = lab.site(*words)
    assert (again.code, again.changed) == (0, dict.fromkeys(lab.names, 0)), again.output
    assert lab.play("playbooks/status.yml", *words).code == 0


def rolled_back(lab: Any, before: dict[str, str], bind_pod: Callable[[], str], *files: str) -> None:
    """The originals come back byte for byte, a plain binary in the place of the link."""
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
    found = deployment.Hosts(
        {**os.environ, "LAB_NAME": lab.settings.name, "LAB_KUBE_VERSION": lab.settings.version}
    )
    # Built by today's Go, kubectl 1.20 panics when it writes a file.
    found.kubectl = max(lab.settings.served.glob(f"v*/bin/linux/{lab.settings.arch}/kubectl"))
    found.prepare()
    return found


@pytest.fixture
def walk_through(lab: Any, masters: Any, tmp_path: Path) -> None:
    """All masters as the walk-through leaves them."""
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
def test_what_the_walk_through_laid(lab: Any, masters: Any, bind_pod: Callable[[], str]) -> None:
    pids = lab.main_pids()
    refused = lab.site()
    assert refused.code != 0
    assert "chown it to root" in refused.text
    masters.on_all(TO_ROOT)
    before = sums(lab, *FILES)
    check = lab.site("--check", "--diff")
    assert check.code == 0, check.output
    assert "m1: --kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig goes" in check.text
    assert (sums(lab, *FILES), lab.main_pids()) == (before, pids)
    adopted(lab)
    rolled_back(lab, before, bind_pod, *FILES)


@pytest.mark.usefixtures("walk_through")
@pytest.mark.parametrize("pki", ["provided", "shared"])
def test_the_walk_through_s_own_pair_and_kubeconfig_stay(
    lab: Any, masters: Any, tmp_path: Path, pki: str
) -> None:
    """Where they are what is wanted, by whomever they were made."""
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
    # The walk-through's, whose order is cfssl's.
    told = yaml.safe_load((ROOT / "inventory/group_vars/kube_masters.yml").read_text())
    subject = json.dumps({"kube_scheduler_subject": told["kube_scheduler_subject"]})
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
def test_what_was_made_by_hand(lab: Any, masters: Any, bind_pod: Callable[[], str]) -> None:
    masters.on_all(TO_ROOT)
    masters.on_all(BY_HAND)
    wait_for(lambda: renewed(lab), 90)
    files = (*FILES, DROP_IN)
    before, pids = sums(lab, *files), lab.main_pids()
    refused = lab.site()
    assert refused.code != 0
    assert (
        f"m1: {UNIT} runs a scheduler that this role did not lay, and --v=4 would be lost"
        in refused.text
    )
    assert 'to keep it, set kube_scheduler_extra_args: {"v": "4"}' in refused.text.replace(
        '\\"', '"'
    )
    assert f"{DROP_IN} changes the unit" in refused.text
    assert (sums(lab, *files), lab.main_pids()) == (before, pids)
    adopted(lab, ADOPT)
    assert lab.host("m1").check_output("systemctl show --property=Nice --value %s", UNIT) == "0"
    assert lab.site().changed == dict.fromkeys(lab.names, 0), "the variable is not needed any more"
    rolled_back(lab, before, bind_pod, *files)
    assert "Nice=5" in lab.host("m1").file(DROP_IN).content_string


@pytest.fixture
def static_pods(lab: Any, masters: Any) -> Iterator[None]:
    """All masters as kubeadm leaves them, but that a script stands for kubelet."""
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
    """Whether kubelet's scheduler runs, by host."""
    return {
        name: lab.host(name).run("systemctl is-active --quiet pod.scope").rc == 0
        for name in lab.names
    }


def collided(lab: Any, name: str, since: int) -> bool:
    """Whether a scheduler has found its port taken by another one."""
    words = "journalctl --quiet --since=@%s --grep='address already in use'"
    return bool(lab.host(name).run(words, str(since)).rc == 0)


@pytest.mark.usefixtures("walk_through", "static_pods")
def test_static_pods(lab: Any, bind_pod: Callable[[], str]) -> None:
    """Each host's manifest is moved aside when its turn comes, and brought back by rolling back; two never run on one host."""
    since = int(time.time())
    before = sums(lab, MANIFEST, POD_KUBECONFIG)
    refused = lab.site()
    assert refused.code != 0
    assert (
        f"m1: the static pod {MANIFEST} runs the scheduler; set kube_scheduler_adopt to true"
        in refused.text
    )
    assert (sums(lab, MANIFEST, POD_KUBECONFIG), set(pods(lab).values())) == (before, {True})
    check = lab.site("--check", "--diff", ADOPT)
    assert check.code == 0, check.output
    assert f"m1: {MANIFEST} is set aside" in check.text
    found = under_pods(lab, lambda: lab.site(ADOPT))
    nothing_lost(found, transitions=1, bound=rotation.bound(lab))
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
    # kubeadm upgrade writes the manifest anew, beside the unit.
    assert lab.site(ADOPT).code == 0
    lab.write("m1", MANIFEST, POD.encode())
    wait_for(lambda: collided(lab, "m1", since), 10)
    twice = lab.site()
    assert twice.code != 0
    # Beside the pod's process, where that runs at that moment.
    assert re.search(
        f"m1: another kube-scheduler is there: .*static pod {MANIFEST};", twice.text
    ), twice.output
    lab.host("m1").check_output("rm %s", MANIFEST)
    wait_for(lambda: lab.site("--check").changed == dict.fromkeys(lab.names, 0), 60)

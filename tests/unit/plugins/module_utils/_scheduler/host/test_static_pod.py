"""A scheduler that kubelet runs, in whose place the unit comes, and back."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import handover
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import static_pod

from tests.support.apiserver import kubeconfig
from tests.support.host import UNIT_NAME, FakeProc, Host
from tests.support.pki import NOW, Ca

POD = """apiVersion: v1
kind: Pod
metadata: {name: kube-scheduler, namespace: kube-system}
spec:
  containers:
  - command:
    - kube-scheduler
    - --kubeconfig=KUBECONFIG
    - "--leader-elect=true"
    - --profiling
    image: registry.k8s.io/kube-scheduler:v1.36.1
    name: kube-scheduler
  hostNetwork: true
"""
SCOPE = "/kubelet.slice/kubelet-kubepods.slice/cri-containerd-1.scope"


class Kubelet(Host):
    """A host whose scheduler is a static pod, run from a folder of manifests."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ca = Ca()
        own = root / "scheduler.conf"
        own.write_bytes(
            kubeconfig(
                ["https://192.0.2.1:6443"],
                ca=self.ca.pem,
                pair=self.ca.issue("scheduler", end=86400),
            )
        )
        self.manifest = self.root / "manifests/kube-scheduler.yaml"
        self.manifest.parent.mkdir()
        self.manifest.write_text(POD.replace("KUBECONFIG", str(own)))
        self.manifest.chmod(0o600)
        self.pod = 100
        self.deaf = False
        self.sync()

    def sync(self, *_given: Any) -> None:
        """What kubelet does now and then."""
        there = (self.proc.folder / str(self.pod)).exists()
        if self.manifest.exists() and not there:
            self.pod += 1
            self.proc.place(
                self.pod,
                ("kube-scheduler", *static_pod.read_arguments(str(self.manifest))),
                cgroup=SCOPE,
            )
        elif there and not self.manifest.exists() and not self.deaf:
            assert self.systemd.pid == 0, "two schedulers at once"
            self.proc.end(self.pod)

    @property
    def runs(self) -> bool:
        return (self.proc.folder / str(self.pod)).exists()

    @property
    def files(self) -> list[dict[str, Any]]:
        gone = self.member("static_pod", self.manifest, link_to="")
        return [*super().files, *([gone] if self.manifest.exists() else [])]

    def stage(self) -> None:
        self.run("prepared")
        self.stage_key("secret 1")
        self.run("staged")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubelet:
    found = Kubelet(tmp_path)
    monkeypatch.setattr(static_pod, "MANIFEST", str(found.manifest))
    monkeypatch.setattr(static_pod, "STOP_POLL_S", 0)
    monkeypatch.setattr(static_pod.time, "sleep", found.sync)
    return found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("    - --v=4", ["--v=4"]),
        ("    - '--v=4'", ["--v=4"]),
        ("    - --profiling", ["--profiling"]),
        ("    - kube-scheduler", []),
        ("      name: --v=4", []),
    ],
)
def test_the_arguments_of_a_manifest(tmp_path: Path, line: str, found: list[str]) -> None:
    (tmp_path / "pod").write_text(f"spec:\n{line}\n")
    assert static_pod.read_arguments(str(tmp_path / "pod")) == found


@pytest.mark.parametrize("kind", ["nothing", "folder", "large"])
def test_a_manifest_that_cannot_be_read_has_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pod"
    if kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_text("    - --v=4\n" * 100_000)
    assert static_pod.read_arguments(str(path)) == []
    assert static_pod.kubeconfig_path(str(path)) == ""


def test_only_the_default_scheduler_has_a_static_pod(host: Kubelet) -> None:
    assert static_pod.manifest_path("kube-scheduler.service") == str(host.manifest)
    assert static_pod.manifest_path("batch.service") == ""
    host.manifest.unlink()
    assert static_pod.manifest_path("kube-scheduler.service") == ""


def test_its_process_is_no_service_s(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path / "proc")
    proc.listen_nowhere()
    proc.place(5, ("kube-scheduler",), cgroup="/system.slice/mine.service")
    assert static_pod.find_pid(proc, UNIT_NAME) == 0
    proc.place(6, ("kube-scheduler",), cgroup="/user.slice/x.scope", uid=1000)
    assert static_pod.find_pid(proc, UNIT_NAME) == 0
    proc.place(7, ("kube-scheduler",), cgroup=SCOPE)
    assert static_pod.find_pid(proc, UNIT_NAME) == 7


def test_the_unit_comes_in_its_place_and_is_gone_again(host: Kubelet) -> None:
    before = host.manifest.read_bytes()
    host.stage()
    assert (host.manifest.exists(), host.runs) == (True, True), "nothing live before promotion"
    done = host.run("live", attempt="1")["done"]
    assert (host.manifest.exists(), host.runs, host.systemd.state["ActiveState"]) == (
        False,
        False,
        "active",
    )
    assert "restart" in done
    # The set without the pod is the same.
    host.stage()
    assert host.run("live")["changed"] is False
    told = host.run("recalled")
    assert datetime.fromisoformat(told["not_after"]) == NOW + timedelta(seconds=86400)
    assert {"static_pod", "unit", "binary", "config", "key"} == set(told["done"])
    host.systemd.did.clear()
    host.run("live", attempt="2")
    assert host.systemd.did == ["disable", "reload"]
    host.sync()
    assert (host.manifest.read_bytes(), host.manifest.stat().st_mode & 0o777, host.runs) == (
        before,
        0o600,
        True,
    )
    assert not host.systemd.unit.exists()
    assert not (host.bin / "app").is_symlink()
    assert host.run("live")["changed"] is False
    # And forth again; what the way back has staged is no pod to lay.
    host.stage()
    host.run("live", attempt="3")
    assert (host.manifest.exists(), host.runs, host.systemd.state["ActiveState"]) == (
        False,
        False,
        "active",
    )


def test_what_is_removed_is_never_the_manifest(host: Kubelet) -> None:
    host.stage()
    host.run("live", attempt="1")
    host.run("recalled")
    host.run("live", attempt="2")
    assert str(host.manifest) not in host.run("absent")["done"]
    assert host.manifest.exists()


def test_a_roll_that_fails_gives_the_host_back_to_kubelet(host: Kubelet) -> None:
    before = host.manifest.read_bytes()
    host.stage()
    host.run("live", attempt="1")
    host.systemd.did.clear()
    host.run("previous", attempt="1")
    assert host.systemd.did == ["disable", "reload"]
    host.sync()
    assert (host.manifest.read_bytes(), host.runs, host.systemd.unit.exists()) == (
        before,
        True,
        False,
    )


def test_a_pod_that_does_not_end(host: Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
    host.stage()
    host.deaf = True
    monkeypatch.setattr(static_pod, "MAX_STOP_S", 0.05)
    with pytest.raises(
        FilesetError,
        match=r"kube-scheduler.yaml still runs 0.05 s after .*check that kubelet runs$",
    ):
        host.run("live", attempt="1")
    assert (host.manifest.exists(), host.runs, host.systemd.did) == (True, True, [])
    host.run("previous", attempt="1")
    assert (host.manifest.exists(), "restart" in host.systemd.did) == (True, False)
    host.deaf = False
    host.stage()
    host.run("live", attempt="2")
    assert (host.manifest.exists(), host.runs, host.systemd.state["ActiveState"]) == (
        False,
        False,
        "active",
    )


def test_the_leader_hands_over_by_the_manifest(
    host: Kubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"kubeconfig": "/k", "name": "x", "namespace": "y", "lock": "leases", "timeout": 1.0}

    def hand_over(
        unit: str, service: static_pod.SchedulerService, _wanted: handover.HandoverOptions
    ) -> handover.HandoverResult:
        service.stop(unit)
        assert (host.manifest.exists(), host.runs, host.systemd.did) == (False, False, [])
        return handover.HandoverResult(holder="m2", seconds=0.5, released=True, transitions=1)

    monkeypatch.setattr(handover, "hand_over", hand_over)
    host.stage()
    result = host.run("live", attempt="1", handover=wanted)
    assert result["handover"]["holder"] == "m2"
    assert host.systemd.state["ActiveState"] == "active"


def test_nobody_takes_the_lease_of_the_pod(host: Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
    def hand_over(
        unit: str, service: static_pod.SchedulerService, _wanted: handover.HandoverOptions
    ) -> None:
        service.stop(unit)
        service.start(unit)
        raise FilesetError("nobody")

    monkeypatch.setattr(handover, "hand_over", hand_over)
    before = host.manifest.read_bytes()
    host.stage()
    wanted = {"kubeconfig": "/k", "name": "x", "namespace": "y", "lock": "leases", "timeout": 1.0}
    with pytest.raises(FilesetError, match="nobody"):
        host.run("live", attempt="1", handover=wanted)
    assert host.manifest.read_bytes() == before
    host.run("previous", attempt="1")
    host.sync()
    assert (host.manifest.read_bytes(), host.runs, "restart" in host.systemd.did) == (
        before,
        True,
        False,
    )

"""Test that the unit replaces a static pod, and the rollback."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import handover
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import static_pod
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import (
    is_static_pod_group,
)

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
PODS = "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice"
SCOPE = f"{PODS}/kubelet-kubepods-burstable-pod{'0a' * 16}.slice/cri-containerd-1.scope"
# The UID of a pod that a client of the apiserver created.
OTHER_SCOPE = (
    f"{PODS}/kubelet-kubepods-burstable-pod0a0a0a0a_0a0a_0a0a_0a0a_0a0a0a0a0a0a.slice"
    "/cri-containerd-1.scope"
)


class Kubelet(Host):
    """Provide a host whose scheduler is a static pod."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ca = Ca()
        path = root / "scheduler.conf"
        path.write_bytes(
            kubeconfig(
                ["https://192.0.2.1:6443"],
                ca=self.ca.pem,
                pair=self.ca.issue("scheduler", end=86400),
            )
        )
        self.manifest = self.root / "manifests/kube-scheduler.yaml"
        self.manifest.parent.mkdir()
        self.manifest.write_text(POD.replace("KUBECONFIG", str(path)))
        self.manifest.chmod(0o600)
        self.pod = 100
        self.ignores_removal = False
        self.sync()

    def sync(self, *_given: Any) -> None:
        """Start or stop the pod like the periodic sync of kubelet."""
        is_running = (self.proc.folder / str(self.pod)).exists()
        if self.manifest.exists() and not is_running:
            self.pod += 1
            self.proc.place(
                self.pod,
                ("kube-scheduler", *static_pod.read_manifest_arguments(str(self.manifest))),
                cgroup=SCOPE,
            )
        elif is_running and not self.manifest.exists() and not self.ignores_removal:
            assert self.systemd.pid == 0, "two schedulers at once"
            self.proc.end(self.pod)

    @property
    def runs(self) -> bool:
        return (self.proc.folder / str(self.pod)).exists()

    @property
    def files(self) -> list[dict[str, Any]]:
        removed = self.member("static_pod", self.manifest, link_to="")
        return [*super().files, *([removed] if self.manifest.exists() else [])]

    def stage(self) -> None:
        self.run("prepared")
        self.stage_key("secret 1")
        self.run("staged")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubelet:
    kubelet = Kubelet(tmp_path)
    monkeypatch.setattr(static_pod, "MANIFEST", str(kubelet.manifest))
    monkeypatch.setattr(static_pod, "STOP_POLL_S", 0)
    monkeypatch.setattr(static_pod.time, "sleep", kubelet.sync)
    return kubelet


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("    - --v=4", ["--v=4"]),
        ("    - '--v=4'", ["--v=4"]),
        ("    - --profiling", ["--profiling"]),
        ("    - kube-scheduler", []),
        ("      name: --v=4", []),
    ],
)
def test_read_arguments_of_a_manifest(tmp_path: Path, line: str, arguments: list[str]) -> None:
    (tmp_path / "pod").write_text(f"spec:\n{line}\n")
    assert static_pod.read_manifest_arguments(str(tmp_path / "pod")) == arguments


@pytest.mark.parametrize("kind", ["nothing", "directory", "large"])
def test_unreadable_manifest_has_no_arguments(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pod"
    if kind == "directory":
        path.mkdir()
    elif kind == "large":
        path.write_text("    - --v=4\n" * 100_000)
    assert static_pod.read_manifest_arguments(str(path)) == []
    assert static_pod.kubeconfig_path(str(path)) == ""


def test_only_the_default_scheduler_has_a_static_pod(host: Kubelet) -> None:
    assert static_pod.manifest_path("kube-scheduler.service") == str(host.manifest)
    assert static_pod.manifest_path("batch.service") == ""
    host.manifest.unlink()
    assert static_pod.manifest_path("kube-scheduler.service") == ""


def test_find_pid_ignores_services_and_other_users(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path / "proc")
    proc.listen_nowhere()
    proc.place(5, ("kube-scheduler",), cgroup="/system.slice/mine.service")
    assert static_pod.find_pid(proc, UNIT_NAME) == 0
    proc.place(6, ("kube-scheduler",), cgroup="/user.slice/x.scope", uid=1000)
    assert static_pod.find_pid(proc, UNIT_NAME) == 0
    proc.place(7, ("kube-scheduler",), cgroup=OTHER_SCOPE, uid=0)
    assert static_pod.find_pid(proc, UNIT_NAME) == 0
    proc.place(8, ("kube-scheduler",), cgroup=SCOPE)
    assert static_pod.find_pid(proc, UNIT_NAME) == 8


def test_find_pid_requires_the_arguments_of_the_manifest(host: Kubelet) -> None:
    proc = host.proc
    for pid in proc.pids():
        proc.end(pid)
    proc.place(7, ("kube-scheduler", "--v=9"), cgroup=SCOPE)
    assert static_pod.find_pid(proc, UNIT_NAME) == 0
    arguments = static_pod.read_manifest_arguments(str(host.manifest))
    proc.place(8, ("kube-scheduler", *arguments, "--v=9"), cgroup=SCOPE)
    assert static_pod.find_pid(proc, UNIT_NAME) == 8


@pytest.mark.parametrize(
    ("path", "is_static"),
    [
        (f"/kubepods/burstable/pod{'0a' * 16}/1f", True),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{'0a' * 16}.slice", True),
        (f"/libpod_parent/libpod-1/kubepods/pod{'0a' * 16}", True),
        (SCOPE, True),
        (OTHER_SCOPE, False),
        (f"{OTHER_SCOPE}/kubepods.slice/kubepods-pod{'0a' * 16}.slice", False),
        ("/kubepods/burstable/pod0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a/1f", False),
        (f"/user.slice/user-1.slice/user@1.service/kubepods/pod{'0a' * 16}", False),
        (f"/system.slice/x.service/kubepods/pod{'0a' * 16}", False),
        (f"/system.slice/docker-1.scope/kubepods/pod{'0a' * 16}", False),
        (f"/pod{'0a' * 16}", False),
        ("/system.slice/kube-scheduler.service", False),
        ("", False),
    ],
)
def test_only_kubelet_creates_the_control_group_of_a_static_pod(path: str, is_static: bool) -> None:
    assert is_static_pod_group(path) is is_static


def test_unit_replaces_the_pod_and_rollback_restores_it(host: Kubelet) -> None:
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
    # After the pod was removed, a second run changes nothing.
    host.stage()
    assert host.run("live")["changed"] is False
    result = host.run("recalled")
    assert datetime.fromisoformat(result["not_after"]) == NOW + timedelta(seconds=86400)
    assert {"static_pod", "unit", "binary", "config", "key"} == set(result["done"])
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
    # After the rollback, the next run replaces the pod with the unit again.
    host.stage()
    host.run("live", attempt="3")
    assert (host.manifest.exists(), host.runs, host.systemd.state["ActiveState"]) == (
        False,
        False,
        "active",
    )


def test_removal_keeps_the_manifest(host: Kubelet) -> None:
    host.stage()
    host.run("live", attempt="1")
    host.run("recalled")
    host.run("live", attempt="2")
    assert str(host.manifest) not in host.run("absent")["done"]
    assert host.manifest.exists()


def test_failed_roll_restores_the_pod(host: Kubelet) -> None:
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


def test_pod_that_does_not_stop_is_restored(host: Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
    host.stage()
    host.ignores_removal = True
    monkeypatch.setattr(static_pod, "MAX_STOP_S", 0.05)
    with pytest.raises(
        FilesetError,
        match=r"kube-scheduler.yaml still runs 0.05 s after .*check that kubelet runs$",
    ):
        host.run("live", attempt="1")
    assert (host.manifest.exists(), host.runs, host.systemd.did) == (True, True, [])
    host.run("previous", attempt="1")
    assert (host.manifest.exists(), "restart" in host.systemd.did) == (True, False)
    host.ignores_removal = False
    host.stage()
    host.run("live", attempt="2")
    assert (host.manifest.exists(), host.runs, host.systemd.state["ActiveState"]) == (
        False,
        False,
        "active",
    )


def test_handover_stops_the_pod_through_the_manifest(
    host: Kubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"kubeconfig": "/k", "name": "x", "namespace": "y", "lock": "leases", "timeout": 1.0}

    def hand_over(
        unit: str, service: static_pod.SchedulerService, *_rest: Any
    ) -> handover.HandoverResult:
        service.stop(unit)
        assert (host.manifest.exists(), host.runs, host.systemd.did) == (False, False, [])
        return handover.HandoverResult(holder="m2", seconds=0.5, released=True, transitions=1)

    monkeypatch.setattr(handover, "hand_over", hand_over)
    host.stage()
    result = host.run("live", attempt="1", handover=options)
    assert result["handover"]["holder"] == "m2"
    assert host.systemd.state["ActiveState"] == "active"


def test_failed_handover_restores_the_manifest(
    host: Kubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hand_over(unit: str, service: static_pod.SchedulerService, *_rest: Any) -> None:
        service.stop(unit)
        service.start(unit)
        raise FilesetError("no member")

    monkeypatch.setattr(handover, "hand_over", hand_over)
    before = host.manifest.read_bytes()
    host.stage()
    options = {"kubeconfig": "/k", "name": "x", "namespace": "y", "lock": "leases", "timeout": 1.0}
    with pytest.raises(FilesetError, match="no member"):
        host.run("live", attempt="1", handover=options)
    assert host.manifest.read_bytes() == before
    host.run("previous", attempt="1")
    host.sync()
    assert (host.manifest.read_bytes(), host.runs, "restart" in host.systemd.did) == (
        before,
        True,
        False,
    )

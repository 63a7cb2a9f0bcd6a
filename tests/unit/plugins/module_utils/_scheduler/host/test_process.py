"""What a process was told, and its version."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    sha256_of_file,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    RecordedBinary,
    file_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    process,
    version,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.version import (
    _run_bounded,
    detect_version,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    list_settings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving

from tests.support.host import FakeProc

NEW = Serving(
    since="1.31", https=10259, http=0, ready_path="/readyz", ready_port="https", lock="leases"
)
MIXED = Serving(
    since="1.13",
    https=10259,
    http=10251,
    ready_path="/healthz",
    ready_port="http",
    lock="endpoints",
)
OLD = Serving(
    since="1.10", https=0, http=10251, ready_path="/healthz", ready_port="http", lock="endpoints"
)
CONFIG = """\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: "/etc/mine.kubeconfig"
leaderElection:
  leaderElect: true
  leaseDuration: "60s"
  renewDeadline: 40s
  retryPeriod: 30s
  resourceLock: "endpointsleases"
  resourceName: my-lease
  resourceNamespace: my-namespace
"""


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def described(
    proc: FakeProc, *words: str, config: str | bytes | None = None, serving: Serving | None = NEW
) -> Any:
    proc.end(7)
    folder = proc.place(
        7, ("/bin/kube-scheduler", *words), environment={"KUBE_HA_DIGEST": "0" * 32}
    )
    if config is not None:
        (folder / "root/etc").mkdir()
        (folder / "root/etc/config").write_bytes(
            config if isinstance(config, bytes) else config.encode()
        )
    told = process.read_settings(proc, 7)
    return process.describe_process(
        proc, 7, "1.37.2", told, serving=serving, fallback=process.ListenAddress("192.0.2.1", 1)
    )


def test_without_a_word_a_process_has_the_defaults(proc: FakeProc) -> None:
    assert described(proc) == {
        "pid": 7,
        "version": "1.37.2",
        "digest": "0" * 32,
        "lock": "leases",
        "lease_name": "kube-scheduler",
        "lease_namespace": "kube-system",
        "bind_address": "0.0.0.0",
        "secure_port": 10259,
        "http_port": 0,
        "timings": {"lease_duration": 15, "renew_deadline": 10, "retry_period": 2},
        "kubeconfig": "",
        "user": "",
        "arguments": [],
        "settings": [],
        "environment": [],
    }


def test_the_command_line_of_somebody_else_s(proc: FakeProc) -> None:
    environment = {
        "GOGC": "50",
        "https_proxy": "http://user:secret@192.0.2.9",
        "ARGS": "--v=4",
        "PATH": "/bin",
        "KUBE_X": "",
    }
    proc.place(7, ("/bin/kube-scheduler", "--v=4", "--leader-elect"), environment=environment)
    told = process.read_settings(proc, 7)
    found = process.describe_process(
        proc, 7, "1.37.2", told, serving=NEW, fallback=process.ListenAddress("192.0.2.1", 1)
    )
    assert found["arguments"] == ["--v=4", "--leader-elect"]
    assert found["environment"] == ["GOGC", "KUBE_X", "https_proxy"]
    assert found["user"] == pwd.getpwuid(os.getuid()).pw_name
    proc.end(7)
    proc.place(7, ("/bin/kube-scheduler", *["--v=4"] * 5000), uid=54321)
    found = process.describe_process(
        proc, 7, "1.37.2", told, serving=NEW, fallback=process.ListenAddress("192.0.2.1", 1)
    )
    assert len(found["arguments"]) == facts.MAX_LIST_LENGTH
    assert found["user"] == "54321"


def test_no_process(proc: FakeProc) -> None:
    told = process.read_settings(proc, 0)
    found = process.describe_process(
        proc, 0, "", told, serving=NEW, fallback=process.ListenAddress("192.0.2.1", 1)
    )
    assert (found["pid"], found["timings"], found["secure_port"], found["lease_name"]) == (
        0,
        None,
        0,
        "",
    )


@pytest.mark.parametrize("separate", [False, True])
def test_flags(proc: FakeProc, separate: bool) -> None:
    told = {
        "bind-address": "::1",
        "secure-port": "10260",
        "kubeconfig": "/etc/k",
        "leader-elect-resource-lock": "configmapsleases",
        "leader_elect_resource_name": "mine",
        "leader-elect-resource-namespace": "here",
        "leader-elect-lease-duration": "1m",
        "leader-elect-renew-deadline": "40s",
        "leader-elect-retry-period": "30s",
    }
    words = [w for k, v in told.items() for w in ([f"--{k}", v] if separate else [f"--{k}={v}"])]
    found = described(proc, "--secure-port=1", "--v", "2", *words, "--", "--secure-port=2")
    assert (found["bind_address"], found["secure_port"], found["kubeconfig"]) == (
        "::1",
        10260,
        "/etc/k",
    )
    assert (found["lock"], found["lease_name"], found["lease_namespace"]) == (
        "configmapsleases",
        "mine",
        "here",
    )
    assert found["timings"] == {"lease_duration": 60, "renew_deadline": 40, "retry_period": 30}


def test_the_configuration(proc: FakeProc) -> None:
    found = described(proc, "--config=/etc/config", config=CONFIG)
    assert (found["lock"], found["lease_name"], found["lease_namespace"]) == (
        "endpointsleases",
        "my-lease",
        "my-namespace",
    )
    assert found["timings"] == {"lease_duration": 60, "renew_deadline": 40, "retry_period": 30}
    assert found["kubeconfig"] == "/etc/mine.kubeconfig"
    over = described(
        proc, "--config", "/etc/config", "--leader-elect-resource-lock=leases", config=CONFIG
    )
    assert over["lock"] == "leases"


def test_the_configuration_without_the_library(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = described(proc, "--config=/etc/config", config=CONFIG)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert described(proc, "--config=/etc/config", config=CONFIG) == whole


def test_older_names_of_the_lease(proc: FakeProc) -> None:
    flags = ("--lock-object-name=mine", "--lock-object-namespace=here")
    found = described(proc, *flags)
    assert (found["lease_name"], found["lease_namespace"]) == ("mine", "here")
    # Beside a configuration, these flags count for nothing.
    found = described(
        proc, *flags, "--config=/etc/config", config="leaderElection: {lockObjectName: other}\n"
    )
    assert (found["lease_name"], found["lease_namespace"]) == ("other", "kube-system")


def test_an_old_version_serves_as_it_was_told(proc: FakeProc) -> None:
    assert described(proc, "--secure-port=10259", serving=OLD)["secure_port"] == 0
    assert described(proc, "--port=10300", serving=OLD)["http_port"] == 10300
    assert described(proc, "--port=0", serving=MIXED)["http_port"] == 0
    configured = ("--port=0", "--config=/etc/config")
    assert (
        described(proc, *configured, serving=MIXED, config="healthzBindAddress: 127.0.0.1:10301\n")[
            "http_port"
        ]
        == 10301
    )
    assert described(proc, *configured, serving=MIXED, config="a: b\n")["http_port"] == 10251
    assert described(proc, "--port=10300", serving=NEW)["http_port"] == 0
    assert described(proc, serving=None)["secure_port"] == 10259


def test_where_the_command_line_cannot_be_read_what_is_wanted_stands_in(proc: FakeProc) -> None:
    proc.place(7)
    found = process.describe_process(
        proc,
        7,
        "",
        process.read_settings(proc, 7),
        serving=NEW,
        fallback=process.ListenAddress("192.0.2.1", 1),
    )
    assert (found["bind_address"], found["secure_port"]) == ("192.0.2.1", 1)


@pytest.mark.parametrize(
    "config",
    [
        b"\xff\xfe\x00",
        b"[" * 50_000,
        b"a: &a [*a]\nleaderElection: *a\n",
        b"leaderElection: [1]\nclientConnection: 7\n",
        b"leaderElection: {resourceLock: 7, retryPeriod: [], leaseDuration: 1e999s, renewDeadline: -5s}\n",
        b"leaderElection: {retryPeriod: 99999999999999999999999999h, resourceName: '../..'}\n",
        b"--- a\n--- b\n",
        b"!!python/object/apply:os.system [exit]\n",
        b"2026-99-99\n",
        b"a" * 1_100_000,
        b"",
    ],
)
def test_garbage_tells_nothing(proc: FakeProc, config: bytes) -> None:
    assert described(proc, "--config=/etc/config", config=config) == described(proc)


def test_garbage_on_the_command_line(proc: FakeProc) -> None:
    words = (
        "--secure-port=seven",
        "--bind-address=me",
        "--leader-elect-resource-lock=a b",
        "--kubeconfig=x",
        "--config",
    )
    assert described(proc, *words) == described(proc)
    assert (
        described(proc, "--secure-port=99999", "--leader-elect-retry-period=0")["secure_port"]
        == 10259
    )


@pytest.mark.parametrize("kind", ["fifo", "folder", "zero"])
def test_no_configuration_holds_a_question_up(proc: FakeProc, kind: str) -> None:
    folder = proc.place(7, ("x", "--config=/c"))
    path = folder / "root/c"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    before = time.monotonic()
    assert process.read_settings(proc, 7).fields == {}
    assert time.monotonic() - before < 1


def test_the_digest_of_a_process_is_a_digest(proc: FakeProc) -> None:
    proc.place(7, ("x",), environment={"KUBE_HA_DIGEST": "rm -rf /"})
    found = process.describe_process(
        proc,
        7,
        "",
        process.read_settings(proc, 7),
        serving=NEW,
        fallback=process.ListenAddress("", 1),
    )
    assert found["digest"] == ""


# --- the version


def program(path: Path, text: str = "Kubernetes v1.37.2") -> Path:
    path.write_text(f"#!/bin/sh\n{text if text.startswith('exec') else f'echo {text}'}\n")
    path.chmod(0o755)
    return path


def binary(path: Path, version: str) -> dict[str, RecordedBinary]:
    entry = RecordedBinary(
        sha256=sha256_of_file(str(path)),
        version=version,
        ours=True,
        identity=file_identity(os.stat(path)),
    )
    return {str(path): entry}


def test_a_recorded_program_is_not_run(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "app", "Kubernetes v9.9.9")
    proc.place(7, exe=path)
    known = binary(path, "1.36.1")
    monkeypatch.setattr(version, "sha256_of_file", None)
    assert detect_version(proc, 7, known) == "1.36.1"


def test_the_same_content_under_the_same_path_is_the_recorded_program(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "app")
    known = binary(path, "1.36.1")
    os.utime(path, (1, 1))
    proc.place(7, exe=path)
    monkeypatch.setattr(version, "_run_bounded", None)
    assert detect_version(proc, 7, known) == "1.36.1"


def test_another_program_is_run(proc: FakeProc, tmp_path: Path) -> None:
    path = program(tmp_path / "app")
    known = binary(path, "1.36.1")
    program(path, "Kubernetes v1.35.4")
    proc.place(7, exe=path)
    assert detect_version(proc, 7, known) == "1.35.4"
    assert detect_version(proc, 7, {}) == "1.35.4"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_program_is_run_as_the_user_of_the_process(proc: FakeProc, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 == 0:
            folder.chmod(0o711)
    path = program(tmp_path / "app", 'Kubernetes "v1.$(id -u).$(id -G)"')
    proc.place(7, exe=path, uid=65534)
    assert detect_version(proc, 7, {}) == "1.65534.65534"
    assert (
        _run_bounded(["/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME"], 65534, 65534).split()
        == ["65534"] * 3
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("exec sleep 60", 3),
        ("exec yes", 3),
        ("nothing", 3),
        ("Kubernetes v1.2", 3),
        ("exec /nowhere", 3),
    ],
)
def test_a_program_that_misbehaves_has_no_version(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setattr(version, "MAX_RUN_S", 0.5)
    proc.place(7, exe=program(tmp_path / "app", text))
    before = time.monotonic()
    assert detect_version(proc, 7, {}) == ""
    assert time.monotonic() - before < seconds


def test_a_host_without_room_for_a_process(
    proc: FakeProc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.place(7, exe=program(tmp_path / "app", "Kubernetes v1.35.4"))
    there = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fork", lambda: os.open("/nowhere", os.O_RDONLY))
    assert detect_version(proc, 7, {}) == ""
    assert len(os.listdir("/proc/self/fd")) == there


def test_no_program(proc: FakeProc) -> None:
    proc.place(7)
    assert detect_version(proc, 7, {}) == ""
    assert detect_version(proc, 8, {}) == ""
    assert detect_version(proc, 0, {}) == ""


def test_the_lock_that_a_real_process_was_told(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text('leaderElection:\n  leaderElect: true\n  resourceLock: "endpointsleases"\n')

    def told(*words: str) -> str:
        with subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as running:
            running.stdout.readline()  # type: ignore[union-attr]
            try:
                return process.read_settings(Proc(), running.pid).lock
            finally:
                running.kill()

    assert told(f"--config={config}") == "endpointsleases"
    assert told(f"--config={config}", "--leader-elect-resource-lock=leases") == "leases"
    assert told("--v=2") == ""
    assert process.read_settings(Proc(), 0).lock == ""


def test_the_settings_of_a_configuration() -> None:
    content = b"""
apiVersion: kubescheduler.config.k8s.io/v1
leaderElection: {leaseDuration: 30s, leaderElect: true}
profiles: [{schedulerName: a}]
extenders: [{tlsConfig: {keyData: c2VjcmV0, KeyData: c2VjcmV0}}]
"""
    assert list_settings(content) == [
        'apiVersion="kubescheduler.config.k8s.io/v1"',
        'leaderElection.leaseDuration="30s"',
        "leaderElection.leaderElect=true",
        'profiles=[{"schedulerName": "a"}]',
        'extenders=[{"tlsConfig": {"keyData": "(withheld)", "KeyData": "(withheld)"}}]',
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just text",
        b"[1, 2]",
        b"a: {b: 2026-01-01}",
        b"a: " + b"[" * 5000 + b"]" * 5000,
        b"a: &a [" + b"1," * 40 + b"]\nb: &b [" + b"*a," * 40 + b"]\nc: [" + b"*b," * 40 + b"]",
        b"a: &a {b: *a}",
        "\n".join(
            ["a: &x {b: {}, c: {}}", *(f"a{n}: &x {{b: *x, c: *x}}" for n in range(40))]
        ).encode(),
    ],
)
def test_a_configuration_that_is_not_shown(content: bytes) -> None:
    """None that a host is asked for takes long, or makes a long answer."""
    before = time.monotonic()
    assert list_settings(content) == []
    assert time.monotonic() - before < 20


def test_a_private_key_is_withheld_wherever_it_stands() -> None:
    assert list_settings(b"tlsConfig: {keyData: c2VjcmV0}") == ['tlsConfig.keyData="(withheld)"']

"""Test the settings and the description of a running process."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    process,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
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


def describe(
    proc: FakeProc, *words: str, config: str | bytes | None = None, serving: Serving | None = NEW
) -> Any:
    proc.end(7)
    process_dir = proc.place(
        7, ("/bin/kube-scheduler", *words), environment={"KUBE_HA_DIGEST": "0" * 32}
    )
    if config is not None:
        (process_dir / "root/etc").mkdir()
        (process_dir / "root/etc/config").write_bytes(
            config if isinstance(config, bytes) else config.encode()
        )
    settings = process.read_process_settings(proc, 7)
    return process.describe_process(
        proc, 7, "1.37.2", settings, serving=serving, fallback=process.ListenAddress("192.0.2.1", 1)
    )


def test_process_without_flags_has_the_defaults(proc: FakeProc) -> None:
    assert describe(proc) == {
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


def test_foreign_process_is_described_with_its_command_line(proc: FakeProc) -> None:
    environment = {
        "GOGC": "50",
        "https_proxy": "http://user:secret@192.0.2.9",
        "ARGS": "--v=4",
        "PATH": "/bin",
        "KUBE_X": "",
    }
    words = ("/bin/kube-scheduler", "--v=4", "--leader-elect", "--token=marker", "--master")
    proc.place(7, (*words, "https://user:marker@host"), environment=environment)
    settings = process.read_process_settings(proc, 7)
    description = process.describe_process(
        proc, 7, "1.37.2", settings, serving=NEW, fallback=process.ListenAddress("192.0.2.1", 1)
    )
    assert description["arguments"] == [
        "--v=4",
        "--leader-elect",
        "--token=(withheld)",
        "--master",
        "(withheld)",
    ]
    assert description["environment"] == ["GOGC", "KUBE_X", "https_proxy"]
    assert description["user"] == pwd.getpwuid(os.getuid()).pw_name
    proc.end(7)
    proc.place(7, ("/bin/kube-scheduler", *["--v=4"] * 5000), uid=54321)
    description = process.describe_process(
        proc, 7, "1.37.2", settings, serving=NEW, fallback=process.ListenAddress("192.0.2.1", 1)
    )
    assert len(description["arguments"]) == facts.MAX_LIST_LENGTH
    assert description["user"] == "54321"


def test_no_process_is_described_as_empty(proc: FakeProc) -> None:
    settings = process.read_process_settings(proc, 0)
    description = process.describe_process(
        proc, 0, "", settings, serving=NEW, fallback=process.ListenAddress("192.0.2.1", 1)
    )
    assert (
        description["pid"],
        description["timings"],
        description["secure_port"],
        description["lease_name"],
    ) == (
        0,
        None,
        0,
        "",
    )


@pytest.mark.parametrize("separate", [False, True])
def test_flags_override_the_defaults(proc: FakeProc, separate: bool) -> None:
    flags = {
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
    words = [w for k, v in flags.items() for w in ([f"--{k}", v] if separate else [f"--{k}={v}"])]
    description = describe(proc, "--secure-port=1", "--v", "2", *words, "--", "--secure-port=2")
    assert (description["bind_address"], description["secure_port"], description["kubeconfig"]) == (
        "::1",
        10260,
        "/etc/k",
    )
    assert (description["lock"], description["lease_name"], description["lease_namespace"]) == (
        "configmapsleases",
        "mine",
        "here",
    )
    assert description["timings"] == {
        "lease_duration": 60,
        "renew_deadline": 40,
        "retry_period": 30,
    }


def test_configuration_overrides_the_defaults(proc: FakeProc) -> None:
    description = describe(proc, "--config=/etc/config", config=CONFIG)
    assert (description["lock"], description["lease_name"], description["lease_namespace"]) == (
        "endpointsleases",
        "my-lease",
        "my-namespace",
    )
    assert description["timings"] == {
        "lease_duration": 60,
        "renew_deadline": 40,
        "retry_period": 30,
    }
    assert description["kubeconfig"] == "/etc/mine.kubeconfig"
    over = describe(
        proc, "--config", "/etc/config", "--leader-elect-resource-lock=leases", config=CONFIG
    )
    assert over["lock"] == "leases"


def test_configuration_is_read_without_the_yaml_library(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = describe(proc, "--config=/etc/config", config=CONFIG)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert describe(proc, "--config=/etc/config", config=CONFIG) == whole


def test_deprecated_lease_flags_apply_without_a_configuration(proc: FakeProc) -> None:
    words = ("--lock-object-name=mine", "--lock-object-namespace=here")
    description = describe(proc, *words)
    assert (description["lease_name"], description["lease_namespace"]) == ("mine", "here")
    # If the process has a configuration, these flags have no effect.
    description = describe(
        proc, *words, "--config=/etc/config", config="leaderElection: {lockObjectName: other}\n"
    )
    assert (description["lease_name"], description["lease_namespace"]) == ("other", "kube-system")


def test_ports_depend_on_the_version(proc: FakeProc) -> None:
    assert describe(proc, "--secure-port=10259", serving=OLD)["secure_port"] == 0
    assert describe(proc, "--port=10300", serving=OLD)["http_port"] == 10300
    assert describe(proc, "--port=0", serving=MIXED)["http_port"] == 0
    configured = ("--port=0", "--config=/etc/config")
    assert (
        describe(proc, *configured, serving=MIXED, config="healthzBindAddress: 127.0.0.1:10301\n")[
            "http_port"
        ]
        == 10301
    )
    assert describe(proc, *configured, serving=MIXED, config="a: b\n")["http_port"] == 10251
    assert describe(proc, "--port=10300", serving=NEW)["http_port"] == 0
    assert describe(proc, serving=None)["secure_port"] == 10259


def test_fallback_applies_without_a_command_line(proc: FakeProc) -> None:
    proc.place(7)
    description = process.describe_process(
        proc,
        7,
        "",
        process.read_process_settings(proc, 7),
        serving=NEW,
        fallback=process.ListenAddress("192.0.2.1", 1),
    )
    assert (description["bind_address"], description["secure_port"]) == ("192.0.2.1", 1)


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
def test_invalid_configuration_is_ignored(proc: FakeProc, config: bytes) -> None:
    assert describe(proc, "--config=/etc/config", config=config) == describe(proc)


def test_invalid_flags_are_ignored(proc: FakeProc) -> None:
    words = (
        "--secure-port=seven",
        "--bind-address=me",
        "--leader-elect-resource-lock=a b",
        "--kubeconfig=x",
        "--config",
    )
    assert describe(proc, *words) == describe(proc)
    assert (
        describe(proc, "--secure-port=99999", "--leader-elect-retry-period=0")["secure_port"]
        == 10259
    )


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("10300", 10300),
        ("024074", 10300),
        ("0x283c", 10300),
        ("0" * 5000 + "7", 7),
        ("010300", 4288),
        ("018", 10259),
        ("9" * 5000, 10259),
        ("0" * 5000 + "9" * 5000, 10259),
        ("\u0661\u0662", 10259),
        ("\u00b2", 10259),
        ("65536", 10259),
        ("-1", 10259),
        ("1e3", 10259),
        ("", 10259),
    ],
)
def test_port_of_a_foreign_command_line_is_read_as_go_reads_it(
    proc: FakeProc, text: str, port: int
) -> None:
    """A leading zero means base 8. A number that Go rejects cannot be the port of a process."""
    assert describe(proc, f"--secure-port={text}")["secure_port"] == port
    http = describe(proc, f"--port={text}", serving=OLD)["http_port"]
    assert http == (10251 if port == 10259 else port)
    config = f"healthzBindAddress: 0.0.0.0:{text}\n"
    in_file = describe(proc, "--config=/etc/config", config=config, serving=OLD)["http_port"]
    assert 0 <= in_file <= 65535


@pytest.mark.parametrize(
    "length",
    ["9" * 5000 + "s", "0." + "9" * 5000 + "s", "1h" * 5000, "\u0661s", "1e9h", "-15s", "inf"],
)
def test_duration_of_a_foreign_command_line_is_bounded(proc: FakeProc, length: str) -> None:
    flags = [f"--leader-elect-{name}={length}" for name in ("lease-duration", "retry-period")]
    assert describe(proc, *flags)["timings"] == describe(proc)["timings"]


@pytest.mark.parametrize("kind", ["fifo", "directory", "zero"])
def test_special_file_as_configuration_does_not_block(proc: FakeProc, kind: str) -> None:
    process_dir = proc.place(7, ("x", "--config=/c"))
    path = process_dir / "root/c"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    before = time.monotonic()
    assert process.read_process_settings(proc, 7).fields == {}
    assert time.monotonic() - before < 1


def test_invalid_digest_is_ignored(proc: FakeProc) -> None:
    proc.place(7, ("x",), environment={"KUBE_HA_DIGEST": "rm -rf /"})
    description = process.describe_process(
        proc,
        7,
        "",
        process.read_process_settings(proc, 7),
        serving=NEW,
        fallback=process.ListenAddress("", 1),
    )
    assert description["digest"] == ""


def test_lock_of_a_real_process(shared_path: Path) -> None:
    config = shared_path / "config.yaml"
    config.write_text('leaderElection:\n  leaderElect: true\n  resourceLock: "endpointsleases"\n')

    def read_lock(*words: str) -> str:
        with subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as running:
            running.stdout.readline()  # type: ignore[union-attr]
            try:
                return process.read_process_settings(Proc(), running.pid).lock
            finally:
                running.kill()

    assert read_lock(f"--config={config}") == "endpointsleases"
    assert read_lock(f"--config={config}", "--leader-elect-resource-lock=leases") == "leases"
    assert read_lock("--v=2") == ""
    assert process.read_process_settings(Proc(), 0).lock == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user")
def test_configuration_that_the_process_cannot_read_is_not_read(
    proc: FakeProc, shared_path: Path
) -> None:
    """A process of a local user can name any file, such as an administrator kubeconfig."""
    secret = shared_path / "admin.conf"
    secret.write_text("leaderElection: {resourceLock: leases}\nusers: [{token: secret}]\n")
    secret.chmod(0o600)
    root = proc.place(7, ("kube-scheduler", f"--config={secret}"), uid=12345) / "root"
    root.rmdir()
    root.symlink_to("/")
    settings = process.read_process_settings(proc, 7)
    assert (settings.lock, settings.listed) == ("", ())
    secret.chmod(0o644)
    settings = process.read_process_settings(proc, 7)
    assert settings.lock == "leases"
    assert settings.listed

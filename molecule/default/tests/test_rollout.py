"""Test rollouts: one host at a time, the leader last, and a stop at the first failure.

Further tests cover hosts that become unreachable and return.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.support.lab import wait_for, wait_for_age

UNIT = "kube-scheduler.service"
LIVE = re.compile(r"TASK \[.* : Promote the staged file set\] \*+\n(?:changed|fatal): \[(\w+)\]")
CHANGE = "--extra-vars={kube_scheduler_config: {parallelism: 15}}"


@pytest.fixture(autouse=True)
def put_right(lab: Any) -> Iterator[None]:
    yield
    lab.start_anew()


def test_leader_is_rolled_last(lab: Any, bind_pod: Callable[[], str]) -> None:
    leader, transitions = lab.leader(), lab.lease()["leaseTransitions"]
    run = lab.site(CHANGE)
    assert run.code == 0, run.output
    order = LIVE.findall(run.output)
    assert sorted(order) == lab.names
    assert order[-1] == leader
    assert lab.lease()["leaseTransitions"] == transitions + 1
    assert bind_pod()


@pytest.mark.nightly
def test_staging_alone_reports_pending_changes(lab: Any) -> None:
    pids = lab.main_pids()
    run = lab.site(CHANGE, "--extra-vars={kube_scheduler_rollout: false}")
    assert run.code == 0, run.output
    for part in ("config", "unit", "process"):
        assert f"pending on m1: {part}: " in run.text
    assert lab.main_pids() == pids


@pytest.mark.nightly
def test_rollout_stops_at_the_first_failure(lab: Any, bind_pod: Callable[[], str]) -> None:
    """The first member cannot reach its apiserver, so it never becomes healthy.

    The remaining members do not change.
    """
    pids = lab.main_pids()
    first = next(name for name in lab.names if name != lab.leader())
    rule = "OUTPUT -p tcp --dport 6443 -m owner --uid-owner k8s -j REJECT --reject-with tcp-reset"
    lab.host(first).check_output(f"iptables -I {rule}")
    try:
        run = lab.site(CHANGE)
    finally:
        lab.host(first).check_output(f"iptables -D {rule}")
    assert run.code != 0
    assert f"{first}: unhealthy after the roll:" in run.text
    assert (
        f"rollout stopped because {first} failed; the remaining members are unchanged" in run.text
    )
    rolled = LIVE.findall(run.output)
    assert rolled == [first]
    now = lab.main_pids()
    assert {name for name in lab.names if now[name] != pids[name]} == {first}
    assert bind_pod()
    assert lab.site().code == 0


@pytest.mark.nightly
def test_process_older_than_its_files_is_stale(lab: Any) -> None:
    """A killed run can leave a process that is older than its files.

    The test creates the state of a run that ended between promotion and restart.
    """
    host = lab.host("m2")
    pid = lab.main_pids()["m2"]
    unit = "/etc/systemd/system/kube-scheduler.service"
    staged = "/var/lib/kube-ha/kube-scheduler/staged/unit"
    host.check_output(
        "sed -i 's/DIGEST=.*/DIGEST=0/' %s && systemctl daemon-reload && systemctl restart %s",
        unit,
        UNIT,
    )
    host.check_output("cp %s %s && systemctl daemon-reload", staged, unit)
    assert lab.main_pids()["m2"] != pid
    run = lab.site()
    assert run.code == 0, run.output
    assert LIVE.findall(run.output) == ["m2"]
    assert lab.site().changed == dict.fromkeys(lab.names, 0)


@pytest.mark.nightly
def test_kubeconfig_style_files(lab: Any) -> None:
    run = lab.site("--extra-vars=kube_scheduler_kubeconfig_style=files")
    assert run.code == 0, run.output
    host = lab.host("m1")
    for path in (
        "/etc/kubernetes/cert/kube-scheduler-key.pem",
        "/etc/kubernetes/kube-scheduler.kubeconfig",
    ):
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", "k8s", 0o640), path
    assert (
        "client-key: /etc/kubernetes/cert/kube-scheduler-key.pem"
        in host.file("/etc/kubernetes/kube-scheduler.kubeconfig").content_string
    )
    assert "LoadCredential" not in host.check_output("systemctl cat %s", UNIT)
    again = lab.site("--extra-vars=kube_scheduler_kubeconfig_style=files")
    assert again.changed == dict.fromkeys(lab.names, 0)


def shared(directory: Path, **more: str) -> list[str]:
    """Create one key pair for all hosts.

    The CA has the files of kubeadm, without ca-config.json.
    """
    options = {
        "kube_scheduler_pki": "shared",
        "kube_scheduler_cert_source": str(directory / "s.pem"),
        "kube_scheduler_key_source": str(directory / "s-key.pem"),
        "kube_scheduler_ca_config": "",
        "kube_scheduler_ca_profile": "",
        "kube_scheduler_cert_valid_for": "1000h",
        "kube_scheduler_renew_before": "10h",
        **more,
    }
    return [f"--extra-vars={name}={value}" for name, value in options.items()]


@pytest.mark.nightly
def test_shared_pair_is_used_by_all(lab: Any, tmp_path: Path) -> None:
    run = lab.site(*shared(tmp_path))
    assert run.code == 0, run.output
    key = "/etc/kubernetes/cert/kube-scheduler-key.pem"
    assert len({lab.host(name).file(key).sha256sum for name in lab.names}) == 1
    assert (tmp_path / "s-key.pem").stat().st_mode & 0o777 == 0o600
    made = x509.load_pem_x509_certificate((tmp_path / "s.pem").read_bytes())
    assert (
        timedelta(hours=1000)
        <= made.not_valid_after_utc - made.not_valid_before_utc
        < timedelta(hours=1001)
    )
    again = lab.site(*shared(tmp_path))
    assert again.changed == dict.fromkeys(lab.names, 0)
    assert (tmp_path / "s-key.pem").read_text().splitlines()[3] not in run.output
    provided = lab.site(*shared(tmp_path, kube_scheduler_pki="provided"))
    assert provided.code == 0, provided.output
    assert provided.changed == dict.fromkeys(lab.names, 0)


@pytest.mark.nightly
def test_shared_pair_is_renewed(lab: Any, tmp_path: Path) -> None:
    run = lab.site(*shared(tmp_path))
    assert run.code == 0, run.output
    made = x509.load_pem_x509_certificate((tmp_path / "s.pem").read_bytes())
    wait_for_age(made, 61)
    renewed = lab.site(*shared(tmp_path, kube_scheduler_renew_before="999h59m"))
    assert renewed.code == 0, renewed.output
    assert set(renewed.changed.values()) != {0}
    now = x509.load_pem_x509_certificate((tmp_path / "s.pem").read_bytes())
    assert now.not_valid_after_utc > made.not_valid_after_utc


@pytest.mark.nightly
def test_host_that_is_switched_off(lab: Any, bind_pod: Callable[[], str]) -> None:
    off = lab.leader()
    lab.apiserver = next(name for name in lab.names if name != off)
    others = [name for name in lab.names if name != off]
    lab.podman("stop", "--time=5", lab.settings.container(off))
    try:
        pids = {
            name: lab.host(name).check_output("systemctl show --property=MainPID --value %s", UNIT)
            for name in others
        }
        run = lab.site()
        assert run.code != 0
        assert re.search(rf"\[{off}\]: UNREACHABLE!", run.output)
        wait_for(lambda: lab.leader() != off, 30)
        assert bind_pod()
        assert {
            name: lab.host(name).check_output("systemctl show --property=MainPID --value %s", UNIT)
            for name in others
        } == pids
        status = lab.play("playbooks/status.yml")
        assert status.code != 0
        assert f"{off}: no result" in status.text
    finally:
        lab.podman("start", lab.settings.container(off))
    back = f"systemctl is-active {UNIT} || true"
    wait_for(
        lambda: lab.podman("exec", lab.settings.container(off), "sh", "-c", back) == "active\n", 60
    )
    wait_for(lambda: lab.site().code == 0, 60)
    assert lab.site().changed == dict.fromkeys(lab.names, 0)

"""Test that invalid input fails before any change, with one line: where, what is wrong, what to do.

The cases in this file need real hosts. tests/integration/simulated/test_bad_input.py has the
remaining cases.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import ipaddress
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Run


def refused(lab: Any, *sentences: str, tmp: Path | None = None, **variables: Any) -> Run:
    """Run site.yml. Check that the run fails with these sentences and changes no file.

    A temporary file changes the time of its directory, so this time is not compared.
    """
    tree = (
        "find /etc/kubernetes /opt/k8s /var/lib/kube-ha /etc/systemd/system"
        " -type d -printf '%p %m %u\n' -o -printf '%p %T@ %m %u %s\n' | sort"
    )
    hosts = [lab.host(name) for name in lab.names]
    before = [host.check_output(tree) for host in hosts]
    run: Run = lab.site(f"--extra-vars={json.dumps(variables)}", tmp=tmp)
    assert run.code != 0
    assert "Traceback" not in run.output
    for sentence in sentences:
        assert sentence in run.text, run.output
    assert not any(run.changed.values()), run.output
    assert [host.check_output(tree) for host in hosts] == before
    return run


def test_invalid_settings_for_hosts_and_plans_are_rejected(lab: Any) -> None:
    """One run reports all errors of hosts and plans.

    The errors are:

    - an apiserver that does not respond
    - settings that the version rejects or ignores
    - a lock that differs from the running lock
    - a port that another process uses
    - another scheduler on the host
    """
    squatted, other = lab.host("m2"), lab.host("m3")
    path = "/etc/kubernetes/manifests/kube-scheduler.yaml"
    squatted.check_output(
        "systemd-run --unit=squatter python3 -m http.server --bind 127.0.0.1 10999"
    )
    other.check_output("mkdir --parents /etc/kubernetes/manifests && touch %s", path)
    try:
        refused(
            lab,
            "kube_scheduler_apiserver: not reachable from m1: https://127.0.0.1:1: connection refused",
            "kube_scheduler_extra_args: no-such-flag: no supported version of kube-scheduler has the flag --no-such-flag",
            "has no flag --logtostderr, which was removed in 1.26; use the journal, to which the process always logs",
            "silently ignores --kube-api-qps if it has a configuration file; use kube_scheduler_config: {clientConnection:",
            "kube_scheduler_config: healthzBindAddress: kube-scheduler 1.37.2 uses kubescheduler.config.k8s.io/v1, which has no such field",
            "kube-scheduler 1.37.2 does not support endpoints, only leases; use leases",
            f"the lock kube-system/other is not kube-system/kube-scheduler, the current lock of {lab.hostname('m1')}, so there would be two leaders",
            "kube_scheduler_secure_port: 10999 on m2 is in use by python3 (pid",
            f"m3: found another kube-scheduler: static pod {path}; stop and disable it first",
            kube_scheduler_apiserver="https://127.0.0.1:1",
            kube_scheduler_secure_port=10999,
            kube_scheduler_extra_args={
                "no-such-flag": "x",
                "logtostderr": False,
                "kube-api-qps": 100,
            },
            kube_scheduler_config={
                "healthzBindAddress": "0.0.0.0",
                "leaderElection": {"resourceLock": "endpoints", "resourceName": "other"},
            },
        )
    finally:
        squatted.check_output("systemctl stop squatter")
        other.check_output("rm --recursive /etc/kubernetes/manifests")


@contextlib.contextmanager
def mirror(lab: Any, folder: Path) -> Iterator[str]:
    """Serve a directory on the lab's network for the block."""
    network = ipaddress.ip_network(f"{lab.addresses['m1']}/24", strict=False)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer((str(network[1]), 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{network[1]}:{server.server_port}"
        server.shutdown()


def release(folder: Path, content: bytes, checksum: str) -> Path:
    binary = folder / "release/v1.37.9/bin/linux/amd64/kube-scheduler"
    binary.parent.mkdir(parents=True)
    binary.write_bytes(content)
    Path(f"{binary}.sha512").write_text(checksum)
    return binary


def test_failed_downloads_are_reported(lab: Any, tmp_path: Path) -> None:
    """One run reports a wrong checksum on m1 and a missing binary on the remaining hosts."""
    release(tmp_path / "wrong", b"not what was released", "0" * 128)
    path = "release/v1.37.9/bin/linux/amd64/kube-scheduler failed on"
    with mirror(lab, tmp_path) as url:
        refused(
            lab,
            f"kube_scheduler_binary_url: download or verification of {url}/wrong/{path} m1",
            f"kube_scheduler_binary_url: download or verification of {url}/nowhere/{path} m2",
            f"kube_scheduler_binary_url: download or verification of {url}/nowhere/{path} m3",
            kube_scheduler_version="1.37.9",
            kube_scheduler_binary_url=url
            + "/{{ 'wrong' if inventory_hostname == 'm1' else 'nowhere' }}",
            kube_scheduler_binary_checksum=f"sha512:{'0' * 128}",
        )


@pytest.mark.nightly
def test_binary_of_the_controller_with_a_wrong_checksum_is_rejected(
    lab: Any, tmp_path: Path
) -> None:
    binary = release(tmp_path, b"not what was released", "0" * 128)
    refused(
        lab,
        f"kube_scheduler_binary_url: the checksum of {binary} on the controller differs from {binary}.sha512",
        kube_scheduler_version="1.37.9",
        kube_scheduler_binary_source="controller",
        kube_scheduler_binary_url=str(tmp_path),
        kube_scheduler_binary_checksum="",
    )


@pytest.mark.nightly
def test_missing_binary_that_should_be_present_is_reported(lab: Any) -> None:
    refused(
        lab,
        "m1 has no /opt/k8s/bin/kube-scheduler-v1.37.9; install the binary there",
        kube_scheduler_version="1.37.9",
        kube_scheduler_binary_source="present",
    )


def test_binary_that_rejects_its_flags_fails_before_a_live_change(lab: Any) -> None:
    pids = lab.main_pids()
    run = lab.site("--extra-vars={kube_scheduler_extra_args: {tls-min-version: VersionTLS99}}")
    assert run.code != 0
    assert "rejects the staged flags or configuration, so nothing was promoted" in run.text
    assert "unknown tls version" in run.text
    assert lab.main_pids() == pids
    assert lab.site().code == 0
    assert lab.main_pids() == pids

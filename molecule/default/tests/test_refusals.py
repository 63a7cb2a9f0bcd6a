"""What cannot work is refused in one line that says what, where and what to do, before any host changes."""

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

from tests.support.lab import Run
from tests.support.pki import Ca


def refused(lab: Any, *sentences: str, tmp: Path | None = None, **variables: Any) -> Run:
    """Runs site.yml and expects it to end with these sentences and no change."""
    tree = "find /etc/kubernetes /opt/k8s /var/lib/kube-ha /etc/systemd/system -printf '%p %T@ %m %u %s\n' | sort"
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


def test_a_group_without_hosts(lab: Any) -> None:
    """The playbook's own refusal; what the role refuses in a group, tests/unit knows."""
    refused(
        lab,
        "the inventory has no hosts in nobody: put the masters into that group, or name theirs with",
        kube_scheduler_hosts="nobody",
    )


def test_a_value_that_the_variable_cannot_have(lab: Any) -> None:
    refused(
        lab, "value of kube_scheduler_pki must be one of: node, shared, provided, got: own", kube_scheduler_pki="own"
    )


def test_what_the_variables_alone_show(lab: Any, tmp_path: Path) -> None:
    """Each rule is tested as a function (test__scheduler_preflight.py); here, that all that is wrong is said at once and no host is contacted."""
    run = refused(
        lab,
        "kube_scheduler_address: not an IP address of a host: m1 has m1.example, m2 has m1.example",
        "m1 and m2 and m3 have the same address m1.example; each master needs its own",
        "kube_scheduler_version: latest is not a version that this collection knows",
        "kube_scheduler_apiserver: http://192.0.2.1 for m1 (http would let anybody answer in its place); give the apiserver's URL",
        "kube_scheduler_lease_duration: 15s must be longer than kube_scheduler_renew_deadline, 20s",
        "kube_scheduler_ca_cert: /nowhere/ca.pem, kube_scheduler_apiserver_ca: /nowhere/ca.pem is not a file",
        tmp=tmp_path,
        kube_scheduler_address="m1.example",
        kube_scheduler_version="latest",
        kube_scheduler_apiserver="http://192.0.2.1",
        kube_scheduler_renew_deadline="20s",
        kube_scheduler_ca_cert="/nowhere/ca.pem",
    )
    assert run.modules == []


def test_a_ca_that_is_none(lab: Any, tmp_path: Path) -> None:
    """The other faults of a CA: test__x509_controller.py and test_scheduler_plan_action.py."""
    leaf, key = tmp_path / "leaf.pem", tmp_path / "leaf-key.pem"
    for path, content in zip((leaf, key), Ca().issue("leaf")):
        path.write_text(content)
        path.chmod(0o600)
    refused(
        lab,
        f"kube_scheduler_ca_cert: '{leaf}' is not a CA: its basicConstraints do not say CA:TRUE",
        kube_scheduler_ca_cert=str(leaf),
        kube_scheduler_ca_key=str(key),
    )


def test_what_a_host_and_its_plan_show(lab: Any) -> None:
    """In one run: an apiserver that does not answer, and settings that the version rejects or ignores."""
    refused(
        lab,
        "kube_scheduler_apiserver: m1 gets no answer from it: https://127.0.0.1:1: connection refused",
        "kube_scheduler_extra_args: no-such-flag: kube-scheduler 1.37.2 has no flag --no-such-flag",
        "has no flag --logtostderr, which was removed in 1.26; use the journal, which the process writes to anyway",
        "would silently ignore --kube-api-qps beside its configuration file; use kube_scheduler_config: {clientConnection:",
        "kube_scheduler_config: healthzBindAddress: is not a field of kubescheduler.config.k8s.io/v1",
        "kube-scheduler 1.37.2 does not take endpoints, but leases; use leases",
        kube_scheduler_apiserver="https://127.0.0.1:1",
        kube_scheduler_extra_args={"no-such-flag": "x", "logtostderr": False, "kube-api-qps": 100},
        kube_scheduler_config={"healthzBindAddress": "0.0.0.0", "leaderElection": {"resourceLock": "endpoints"}},
    )


def test_a_lock_of_another_name(lab: Any) -> None:
    refused(
        lab,
        f"the lock kube-system/other is not kube-system/kube-scheduler, by which {lab.hostname('m1')} elects now, so there would be two leaders",
        kube_scheduler_config={"leaderElection": {"resourceName": "other"}},
    )


@contextlib.contextmanager
def mirror(lab: Any, folder: Path) -> Iterator[str]:
    """A web server on the lab's network, for as long as it is needed."""
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


def test_download_with_a_wrong_checksum(lab: Any, tmp_path: Path) -> None:
    release(tmp_path, b"not what was released", "0" * 128)
    with mirror(lab, tmp_path) as url:
        refused(
            lab,
            f"kube_scheduler_binary_url: download or checksum verification of {url}/release/v1.37.9/bin/linux/amd64/kube-scheduler failed on m",
            kube_scheduler_version="1.37.9",
            kube_scheduler_binary_url=url,
            kube_scheduler_binary_checksum=f"sha512:{'0' * 128}",
        )


def test_download_that_is_not_there(lab: Any, tmp_path: Path) -> None:
    with mirror(lab, tmp_path) as url:
        refused(
            lab,
            f"kube_scheduler_binary_url: download or checksum verification of {url}/release/v1.37.9",
            kube_scheduler_version="1.37.9",
            kube_scheduler_binary_url=url,
            kube_scheduler_binary_checksum=f"sha512:{'0' * 128}",
        )


def test_binary_of_the_controller_with_a_wrong_checksum(lab: Any, tmp_path: Path) -> None:
    binary = release(tmp_path, b"not what was released", "0" * 128)
    refused(
        lab,
        f"kube_scheduler_binary_url: {binary} on the controller does not have the checksum that stands in {binary}.sha512",
        kube_scheduler_version="1.37.9",
        kube_scheduler_binary_source="controller",
        kube_scheduler_binary_url=str(tmp_path),
        kube_scheduler_binary_checksum="",
    )


def test_binary_that_should_be_present(lab: Any) -> None:
    refused(
        lab,
        "m1 has no /opt/k8s/bin/kube-scheduler-v1.37.9; put the binary there",
        kube_scheduler_version="1.37.9",
        kube_scheduler_binary_source="present",
    )


def test_a_port_that_somebody_else_holds_and_another_scheduler(lab: Any) -> None:
    squatted, other = lab.host("m2"), lab.host("m3")
    path = "/etc/kubernetes/manifests/kube-scheduler.yaml"
    squatted.check_output("systemd-run --unit=squatter python3 -m http.server --bind 127.0.0.1 10999")
    other.check_output("mkdir --parents /etc/kubernetes/manifests && touch %s", path)
    try:
        refused(
            lab,
            "kube_scheduler_secure_port: 10999 on m2 is held by python3 (pid",
            f"m3: another kube-scheduler is there: static pod {path}; stop it for good first",
            kube_scheduler_secure_port=10999,
        )
    finally:
        squatted.check_output("systemctl stop squatter")
        other.check_output("rm --recursive /etc/kubernetes/manifests")


def test_a_binary_that_refuses_its_flags_stops_before_anything_live_changes(lab: Any) -> None:
    pids = lab.main_pids()
    run = lab.site("--extra-vars={kube_scheduler_extra_args: {tls-min-version: VersionTLS99}}")
    assert run.code != 0
    assert "refuses the staged flags or configuration, so nothing was put in place" in run.text
    assert "unknown tls version" in run.text
    assert lab.main_pids() == pids
    assert lab.site().code == 0
    assert lab.main_pids() == pids


def test_python_that_is_not_there(lab: Any, tmp_path: Path) -> None:
    run = lab.site(inventory=lab.inventory_with(tmp_path, ansible_python_interpreter="/opt/nowhere/python3"))
    assert run.code != 0
    assert "m1: /opt/nowhere/python3 is not there, but the modules need Python 3.9 or newer" in run.text


def test_uninstall_asks_first(lab: Any) -> None:
    run = lab.play("playbooks/uninstall.yml")
    assert run.code != 0
    assert "nothing was removed: type yes when asked, or say -e kube_scheduler_confirm=yes" in run.text

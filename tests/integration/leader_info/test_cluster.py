# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test kubeconfig and leader_info with a real apiserver and real kube-schedulers.

The tests need a running lab. LAB_STATE contains its state directory, by default `.lab`. The
schedulers use a separate lease, so that they do not affect the schedulers of the lab.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    kubeconfig_module,
    lease,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import leader as _leader
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    load_authority,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import serialize_key
from ansible_collections.kube_ha.scheduler.plugins.modules import kubeconfig, leader_info

from tests.support import apiserver
from tests.support.fake_module import FakeModule, filled
from tests.support.kubectl import KUBECTLS
from tests.support.pki import NOW, Ca, certificate, spare

STATE = Path(os.environ.get("LAB_STATE", Path(__file__).parents[3] / ".lab"))
LEASE = "leader-info-test"
UNIT = f"{LEASE}.service"

pytestmark = pytest.mark.skipif(
    not (STATE / "inventory.yml").exists(), reason="no lab is running (make lab-up)"
)

# The bounds are those of the default election times (15 s, 10 s, 2 s) with the jitter of client-go,
# plus 1 s for a slow machine.
CRASH = (12.5, 15 + 2 * 2 * 2.2 + 1)
GRACEFUL = (0.0, 2 * 2.2 + 1)


class Lab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        inventory = yaml.safe_load((STATE / "inventory.yml").read_text())["kube_masters"]
        self.vars = inventory["vars"]
        self.addresses = {name: host["ansible_host"] for name, host in inventory["hosts"].items()}
        self.servers = [f"https://{address}:6443" for address in self.addresses.values()]
        self.ca = (STATE / "ca.pem").read_text()
        self.authority = load_authority(str(STATE / "ca.pem"), str(STATE / "ca-key.pem"), None)
        self.hostnames = {self.ssh(name, "hostname").strip(): name for name in self.addresses}
        self.admin = self.kubeconfig("admin", {"CN": "leader-info-test", "O": "system:masters"})

    def ssh(self, name: str, command: str, *, check: bool = True) -> str:
        v = self.vars
        arguments = [
            "ssh",
            "-i",
            v["ansible_ssh_private_key_file"],
            *shlex.split(v["ansible_ssh_common_args"]),
        ]
        target = f"{v['ansible_user']}@{self.addresses[name]}"
        done = subprocess.run(
            [*arguments, target, command], check=False, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def pair(
        self, subject: dict[str, str], after: timedelta = timedelta(), **given: Any
    ) -> tuple[str, str]:
        key = spare("ECC")
        options = {
            "subject": subject,
            "extended_key_usage": ["clientAuth"],
            "valid_for": "24h",
            "renew_before": "1m",
            **given,
        }
        leaf = certificate(
            self.authority.private, self.authority, NOW + after, public=key.public_key(), **options
        )
        return serialize_certificate(leaf).decode(), serialize_key(key, "pkcs8", None).decode()

    def kubeconfig(self, name: str, subject: dict[str, str]) -> Path:
        """Return a kubeconfig that the module wrote, with a context for each apiserver."""
        certificate_pem, key_pem = self.pair(subject)
        (self.folder / f"{name}.pem").write_text(certificate_pem)
        (self.folder / f"{name}-key.pem").write_text(key_pem)
        path = self.folder / f"{name}.kubeconfig"
        ca = str(STATE / "ca.pem")
        clusters = [
            {
                "name": n,
                "server": f"https://{a}:6443",
                "certificate_authority": ca,
                "embed_certs": True,
            }
            for n, a in self.addresses.items()
        ]
        user = {
            "name": "u",
            "client_certificate": str(self.folder / f"{name}.pem"),
            "client_key": str(self.folder / f"{name}-key.pem"),
            "client_ca": ca,
            "embed_certs": True,
        }
        task = {
            "path": str(path),
            "clusters": clusters,
            "users": [user],
            "contexts": [{"name": n, "cluster": n, "user": "u"} for n in self.addresses],
            "current_context": next(iter(self.addresses)),
        }
        kubeconfig_module.converge_kubeconfig(
            FakeModule(**filled(kubeconfig.KUBECONFIG_ARGUMENTS, task))
        )
        return path

    def write(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        """Send a request with the administrator's certificate and return the HTTP status."""
        context = ssl.create_default_context(cadata=self.ca)
        context.load_cert_chain(self.folder / "admin.pem", self.folder / "admin-key.pem")
        address = next(iter(self.addresses.values()))
        connection = http.client.HTTPSConnection(address, 6443, timeout=10, context=context)
        with contextlib.closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            return connection.getresponse().status

    def query(self, path: Path | None = None, **given: Any) -> tuple[Any, str | None]:
        params = {
            name: option.get("default") for name, option in leader_info.LEADER_ARGUMENTS.items()
        }
        return _leader.query_leader(
            {**params, "kubeconfig": str(path or self.admin), "name": LEASE, **given}
        )

    def error(self, path: Path, **given: Any) -> str:
        with pytest.raises(KubeError) as caught:
            self.query(path, **{"timeout": 3.0, **given})
        text = str(caught.value)
        assert "\n" not in text
        return text

    def raw(self, name: str, **options: Any) -> Path:
        """Return a kubeconfig that the kubeconfig module would reject."""
        path = self.folder / name
        path.write_bytes(
            apiserver.kubeconfig(options.pop("servers", self.servers), **{"ca": self.ca, **options})
        )
        return path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


# --- responses of a real apiserver


def test_module_runs_in_ansible(lab: Lab) -> None:
    done = subprocess.run(
        [
            "ansible",
            "localhost",
            "-m",
            "kube_ha.scheduler.leader_info",
            "-a",
            json.dumps({"kubeconfig": str(lab.admin), "name": LEASE}),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "state:" in done.stdout


def test_expired_certificate_is_unauthorized(lab: Lab) -> None:
    pair = lab.pair({"CN": "late", "O": "system:masters"}, timedelta(days=-9))
    assert "HTTP 401" in lab.error(lab.raw("late", pair=pair))


def test_certificate_of_another_ca_is_unauthorized(lab: Lab) -> None:
    assert "HTTP 401" in lab.error(lab.raw("foreign", pair=Ca().issue("admin")))


def test_unknown_token_is_unauthorized(lab: Lab) -> None:
    assert "HTTP 401" in lab.error(lab.raw("token", user={"token": "nonsense"}))


def test_user_without_permissions_is_forbidden(lab: Lab) -> None:
    text = lab.error(lab.raw("nobody", pair=lab.pair({"CN": "nobody"})))
    assert "HTTP 403" in text
    assert 'User "nobody" cannot get resource "leases"' in text
    assert f'resources: ["leases"], resourceNames: ["{LEASE}"], verbs: ["get"]' in text


def test_other_tls_name_is_rejected(lab: Lab) -> None:
    path = lab.raw("name", pair=lab.pair({"CN": "u"}), **{"tls-server-name": "other.example"})
    assert "not valid for this name" in lab.error(path)


def test_other_ca_is_rejected(lab: Lab) -> None:
    assert "not signed by the trusted CA" in lab.error(
        lab.raw("ca", ca=Ca(subject={"CN": "kubernetes-ca"}).pem)
    )


def test_port_of_another_service_is_reported(lab: Lab) -> None:
    server = lab.servers[0].replace("6443", "{}")
    assert "does not speak TLS" in lab.error(lab.raw("ssh", servers=[server.format(22)]))
    assert "not signed by the trusted CA" in lab.error(
        lab.raw("etcd", servers=[server.format(2379)])
    )
    assert "refused" in lab.error(lab.raw("refused", servers=[server.format(6)]))


def test_unused_address_times_out(lab: Lab) -> None:
    start = time.monotonic()
    nobody = f"{next(iter(lab.addresses.values())).rpartition('.')[0]}.250"
    text = lab.error(lab.raw("nowhere", servers=[f"https://{nobody}:6443"]), timeout=1.0)
    assert "timed out" in text or "no route" in text
    assert time.monotonic() - start < 3


def test_next_apiserver_is_queried(lab: Lab) -> None:
    dead = lab.servers[0].replace("6443", "6")
    path = lab.raw(
        "order", servers=[dead, *lab.servers], pair=lab.pair({"CN": "u", "O": "system:masters"})
    )
    found, _error = lab.query(path, contexts=["c1", "c2"])
    assert found["server"] == lab.servers[0]


@pytest.mark.parametrize(
    ("kind", "resource"), [("Endpoints", "endpoints"), ("ConfigMap", "configmaps")]
)
def test_annotation_of_an_old_cluster_is_read(lab: Lab, kind: str, resource: str) -> None:
    collection, name = f"/api/v1/namespaces/kube-system/{resource}", f"{LEASE}-old"
    identity = "Old_Host.example_0f0e0d0c-1111-4222-8333-444455556666"
    over = threading.Event()

    def put(method: str, path: str, renewed: int) -> None:
        record = {
            "holderIdentity": identity,
            "leaseDurationSeconds": 15,
            "renewTime": str(renewed),
            "leaderTransitions": 7,
        }
        metadata = {"name": name, "annotations": {lease.ANNOTATION: json.dumps(record)}}
        assert lab.write(
            method, path, {"apiVersion": "v1", "kind": kind, "metadata": metadata}
        ) in (200, 201)

    def renew() -> None:
        for number in range(1, 99):
            if over.wait(0.3):
                break
            put("PUT", f"{collection}/{name}", number)

    put("POST", collection, 0)
    holder = threading.Thread(target=renew)
    holder.start()
    try:
        found, _error = lab.query(name=name, timeout=10.0)
    finally:
        over.set()
        holder.join()
        lab.write("DELETE", f"{collection}/{name}")
    assert (found["holder"], found["source"], found["state"]) == (
        "Old_Host.example",
        kind.lower(),
        "held",
    )
    assert (found["moving"], found["transitions"]) == (True, 7)


@pytest.mark.parametrize(
    ("fault", "removal"),
    [("systemctl stop", "systemctl start"), ("systemctl kill -s STOP", "systemctl kill -s CONT")],
)
def test_stopped_or_frozen_apiserver_is_skipped(lab: Lab, fault: str, removal: str) -> None:
    first, second, *_others = lab.addresses
    start = time.monotonic()
    lab.ssh(first, f"{fault} kube-apiserver")
    try:
        found, _error = lab.query(contexts=[first, second])
        assert found["server"] == lab.servers[1]
        assert time.monotonic() - start < 20
    finally:
        lab.ssh(first, f"{removal} kube-apiserver")


@pytest.mark.parametrize("path", KUBECTLS)
def test_kubectl_reads_and_edits_the_file(lab: Lab, path: str) -> None:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [path, "--kubeconfig", str(lab.admin), *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(run("get", "--raw", "/version"))["major"] == "1"
    run("config", "set-context", next(iter(lab.addresses)), "--namespace=kube-system")
    edited = yaml.safe_load(lab.admin.read_text())
    lab.kubeconfig("admin", {"CN": "leader-info-test", "O": "system:masters"})
    again = yaml.safe_load(lab.admin.read_text())
    edited.pop("users"), again.pop("users")  # The user has a new key pair.
    assert edited == again


# --- real schedulers


class Schedulers:
    """Run real kube-schedulers that compete for a lease, and record its holders over time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.holders: list[tuple[float, float, str]] = []
        self.done = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)

    def start(self) -> None:
        path = self.lab.admin.read_text()
        command = (
            "systemd-run --quiet --unit {unit} -p Restart=always -p RestartSec=2 {binary} --kubeconfig=/root/{unit}.kubeconfig"
            " --leader-elect-resource-name={lease} --secure-port=10269 --bind-address=127.0.0.1"
        )
        version = self.lab.vars["kube_scheduler_version"]
        binary = f"/usr/share/lab-binaries/v{version}/bin/linux/amd64/kube-scheduler"
        for name in self.lab.addresses:
            config = path.replace(
                f"current-context: {next(iter(self.lab.addresses))}", f"current-context: {name}"
            )
            self.lab.ssh(name, f"umask 077; cat > /root/{UNIT}.kubeconfig <<'END'\n{config}\nEND")
            self.lab.ssh(name, command.format(unit=UNIT, binary=binary, lease=LEASE))
        self.watcher.start()

    def stop(self) -> None:
        self.done.set()
        for name in self.lab.addresses:
            self.lab.ssh(
                name,
                f"iptables -F OUTPUT; systemctl kill -s CONT {UNIT}; systemctl stop {UNIT}; rm -f /root/{UNIT}.kubeconfig",
                check=False,
            )
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{LEASE}"
        self.lab.write("DELETE", path)

    def watch(self) -> None:
        client = _client.load_client(str(self.lab.admin), list(self.lab.addresses))
        while not self.done.wait(0.02):
            start = time.monotonic()
            try:
                spec = client.get(
                    f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{LEASE}"
                )["spec"]
            except KubeError:
                continue
            self.holders.append((start, time.monotonic(), spec.get("holderIdentity") or ""))

    def held_between(self, start: float, end: float) -> set[str]:
        deadline = time.monotonic() + 30
        while self.holders[-1][0] <= end + 0.5:  # another thread writes the record
            assert time.monotonic() < deadline, "the record does not continue"
            time.sleep(0.02)
        around = [
            identity
            for begin, finish, identity in self.holders
            if finish >= start - 0.5 and begin <= end + 0.5
        ]
        return set(around)

    def leader(self) -> tuple[str, dict[str, Any]]:
        found, problem = self.lab.query(
            wait_for="leader", members=list(self.lab.hostnames), timeout=60.0
        )
        assert problem is None
        return self.lab.hostnames[found["holder"]], found


@pytest.fixture(scope="module")
def schedulers(lab: Lab) -> Iterator[Schedulers]:
    running = Schedulers(lab)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def fail_over(schedulers: Schedulers, fault: str, removal: str, within: tuple[float, float]) -> Any:
    """Inject a fault into the leader, and compare all results with the recorded holders."""
    lab = schedulers.lab
    name, before = schedulers.leader()
    results: list[tuple[float, float, dict[str, Any]]] = []
    over = threading.Event()

    def query_repeatedly() -> None:
        while not over.is_set():
            start = time.monotonic()
            found, _error = lab.query(
                contexts=[other for other in lab.addresses if other != name], timeout=20.0
            )
            results.append((start, time.monotonic(), found))

    querying = threading.Thread(target=query_repeatedly)
    others = [other for other in lab.addresses if other != name]
    querying.start()
    try:
        start = time.monotonic()
        lab.ssh(name, fault)
        after, problem = lab.query(
            wait_for="change", holder=before["holder_identity"], contexts=others, timeout=60.0
        )
        took = time.monotonic() - start
    finally:
        if removal:
            lab.ssh(name, removal)
        over.set()
        querying.join()
    assert problem is None
    assert after["holder_identity"] != before["holder_identity"]
    assert after["transitions"] == before["transitions"] + 1
    assert within[0] <= took <= within[1], took
    print(f"{fault}: {took:.2f} s, {len(results)} results")  # noqa: T201
    assert results
    for begin, end, found in results:
        if found["state"] == "held":
            assert found["holder_identity"] in schedulers.held_between(begin, end), found
            assert found["moving"]
        else:
            assert found["state"] in ("expired", "released"), found
            assert not found["moving"]
    return after


def test_leader_is_returned_with_moving_lease(schedulers: Schedulers) -> None:
    name, found = schedulers.leader()
    assert (found["state"], found["moving"], found["source"], found["lease_duration"]) == (
        "held",
        True,
        "lease",
        15,
    )
    assert found["holder_identity"].startswith(f"{found['holder']}_")
    assert schedulers.lab.hostnames[found["holder"]] == name
    foreign, problem = schedulers.lab.query(members=["another"], wait_for="leader", timeout=3.0)
    assert foreign["state"] == "foreign"
    assert "not one of the members" in str(problem)


@pytest.mark.parametrize(
    ("fault", "removal", "within"),
    [
        ("systemctl kill -s TERM {unit}", "", GRACEFUL),
        pytest.param("systemctl kill -s KILL {unit}", "", CRASH, marks=pytest.mark.nightly),
        pytest.param(
            "systemctl kill -s STOP {unit}",
            "systemctl kill -s CONT {unit}",
            CRASH,
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            "iptables -I OUTPUT -p tcp --dport 6443 -j DROP",
            "iptables -D OUTPUT -p tcp --dport 6443 -j DROP",
            CRASH,
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["stopped", "killed", "frozen", "disconnected"],
)
def test_next_leader_is_observed_within_bound(
    schedulers: Schedulers, fault: str, removal: str, within: tuple[float, float]
) -> None:
    fail_over(schedulers, fault.format(unit=UNIT), removal.format(unit=UNIT), within)


@pytest.mark.nightly
def test_lease_without_renewal_expires(schedulers: Schedulers) -> None:
    lab = schedulers.lab
    _name, before = schedulers.leader()

    def everywhere(signal: str) -> None:
        threads = [
            threading.Thread(
                target=lab.ssh,
                args=(name, f"systemctl kill -s {signal} {UNIT}"),
                kwargs={"check": False},
            )
            for name in lab.addresses
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    everywhere("STOP")
    try:
        found, _error = lab.query(timeout=30.0)
        assert (found["state"], found["moving"], found["holder_identity"]) == (
            "expired",
            False,
            before["holder_identity"],
        )
        assert 15 <= found["elapsed"] < 16
        found, problem = lab.query(wait_for="leader", timeout=2.0)
        assert "was not observed to renew it" in str(problem)
    finally:
        everywhere("CONT")

"""Test the probes with local servers for the scheduler and the apiserver."""

from __future__ import annotations

import dataclasses
import http.server
import importlib.machinery
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError, ProbeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import (
    Credentials,
    load_credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts, names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    load_process_credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import (
    lease_observation,
    probes,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.host_facts import (
    is_installed,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.probed_process import (
    ProbedProcess,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import CHECK_NAMES
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving

from tests.support import chains
from tests.support.apiserver import Server, answer, kubeconfig, lease, status
from tests.support.fake_module import one_line
from tests.support.host import FakeProc
from tests.support.pki import Ca, spare

FOREIGN_UID = 12345
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user")

HTTP = Serving(
    since="1.10", https=0, http=10251, ready_path="/healthz", ready_port="http", lock="endpoints"
)
HTTPS = Serving(
    since="1.31", https=10259, http=0, ready_path="/readyz", ready_port="https", lock="leases"
)
TIMES = facts.ElectionTimes(lease_duration=15, renew_deadline=10, retry_period=2)
RECORD = _lease.LeaseRecord("m1", 15, None, "2026-01-01T00:00:00.000000Z", 3, "lease")


def make_process(tmp_path: Path, **given: Any) -> ProbedProcess:
    process: Any = {
        "pid": 7,
        "lease_name": "kube-scheduler",
        "lease_namespace": "kube-system",
        "bind_address": "127.0.0.1",
        "secure_port": 0,
        "http_port": 0,
        "timings": TIMES,
        **given.pop("process", {}),
    }
    path = tmp_path / "kubeconfig"
    fields: dict[str, Any] = {
        "process": process,
        "serving": HTTPS,
        "source_groups": (("lease",),),
        "login": load_credentials(str(path)) if path.exists() else ProbeError(f"no {path}"),
        "serving_ca": None,
        "metrics_pair": None,
        "holds_http_port": False,
        "listening_addresses": {"192.0.2.1"},
        **given,
    }
    return ProbedProcess(**fields)


class World:
    """Provide a scheduler and its apiserver as one server.

    By default, each read renews the lease.
    """

    def __init__(self, directory: Path) -> None:
        self.ca = Ca()
        self.readings: list[str] = []
        self.moves = True
        self.statuses = {"/readyz": 200, "/metrics": 403}
        self.objects: dict[str, Any] = {}
        pair = self.ca.issue("scheduler", ips=("127.0.0.1", "::1"))
        self.server = Server(self.respond, pair)
        self.pair = pair
        (directory / "kubeconfig").write_bytes(
            kubeconfig([self.server.url], ca=self.ca.pem, pair=pair)
        )
        (directory / "kubeconfig").chmod(0o600)

    def respond(self, request: str) -> bytes:
        path = request.split()[1]
        if path in self.statuses:
            return answer(self.statuses[path])
        self.readings.append(path)
        stored = self.objects.get(path)
        if stored is None and "/leases/" in path:
            stored = lease(renew=len(self.readings) % 60 if self.moves else 0)
        return answer(200, stored) if stored else answer(404, status(404, "not found"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with world.server:
        yield world


def make_probed(world: World, tmp_path: Path, **given: Any) -> ProbedProcess:
    process = {"secure_port": world.server.port, **given.pop("process", {})}
    return make_process(tmp_path, process=process, **{"serving_ca": world.ca.pem, **given})


def test_probes_of_a_healthy_process(world: World, tmp_path: Path) -> None:
    result, observation, settings, errors = probes.run_probes(make_probed(world, tmp_path), None)
    assert (settings, errors) == ({}, [])
    assert (
        result["ready"],
        result["metrics_anonymous"],
        result["metrics_reader"],
        result["metrics_http"],
    ) == (
        200,
        403,
        None,
        None,
    )
    for certificate in (result["served"], result["used"]):
        assert certificate
        assert (certificate["subject"], certificate["valid"], certificate["days_left"]) == (
            "CN=scheduler",
            True,
            0,
        )
    assert observation is not None
    assert (observation.state, observation.moving, observation.node) == ("held", True, "m1")


def test_metrics_client_reads_the_settings(world: World, tmp_path: Path) -> None:
    """All paths use one connection, even after an error status."""
    world.objects["/configz"] = {"componentconfig": {"parallelism": 16}}
    world.statuses["/flagz"] = 403
    reader = make_probed(world, tmp_path, metrics_pair=world.pair)
    settings = probes.run_probes(reader, None).settings_in_use
    assert {path: status for path, (status, _body) in settings.items()} == {
        "/configz": 200,
        "/flagz": 403,
        "/statusz": 404,
    }
    assert b"parallelism" in settings["/configz"][1]
    nowhere = make_probed(
        world,
        tmp_path,
        metrics_pair=world.pair,
        listening_addresses=set(),
        process={"bind_address": "192.0.2.9"},
    )
    assert probes.run_probes(nowhere, None).settings_in_use == {}


@pytest.mark.parametrize(
    ("bound", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("192.0.2.1", "192.0.2.1")],
)
def test_wildcard_address_is_probed_on_the_loopback(
    tmp_path: Path, bound: str, reached: str
) -> None:
    assert make_process(tmp_path, process={"bind_address": bound}).address == reached


def test_each_failed_probe_is_one_line(world: World, tmp_path: Path) -> None:
    result, observation, _settings, errors = probes.run_probes(
        make_probed(
            world,
            tmp_path,
            login=ProbeError("/nowhere: No such file or directory"),
            serving_ca=Ca(key=spare("ECC", number=2), subject={"CN": "other"}).pem,
        ),
        None,
    )
    assert result["served"] is not None
    assert (result["used"], result["ready"], result["metrics_anonymous"], observation) == (
        None,
        None,
        None,
        None,
    )
    starts = [error.partition(":")[0] for error in errors]
    assert starts == [CHECK_NAMES[name] for name in ("used", "ready", "metrics_anonymous", "lease")]
    assert not any("\n" in error for error in errors)


def test_renewal_since_an_earlier_read_needs_no_wait(world: World, tmp_path: Path) -> None:
    world.moves = False
    observation = lease_observation.watch_lease(
        make_probed(world, tmp_path),
        dataclasses.replace(RECORD, renew_time="2025-12-31T23:59:59.000000Z"),
    )
    assert (observation.moving, len(world.readings)) == (True, 1)


def test_lease_without_renewal_is_not_moving(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_observation, "MIN_LEASE_WAIT_S", 0.3)
    world.moves = False
    times = facts.ElectionTimes(lease_duration=15, renew_deadline=10, retry_period=0.1)
    observation = lease_observation.watch_lease(
        make_probed(world, tmp_path, process={"timings": times}), None
    )
    assert (observation.state, observation.moving) == ("held", False)
    assert 0.3 <= observation.elapsed < 2
    # If the record has not changed since the earlier read, the lease does not move.
    record = observation.record
    assert (
        lease_observation.watch_lease(
            make_probed(world, tmp_path, process={"timings": times}), record
        ).moving
        is False
    )


@pytest.mark.parametrize(
    ("retry", "duration", "seconds"),
    [(2, 15, 6), (30, 100, 90), (1, 5, 6), (2, 120, 48), (2, 0, 6), (2, 10**9, 300)],
)
def test_lease_wait_follows_the_election_times(
    tmp_path: Path, retry: float, duration: int, seconds: float
) -> None:
    configured = facts.ElectionTimes(
        lease_duration=100 if retry == 30 else 15, renew_deadline=10, retry_period=retry
    )
    wait = lease_observation.compute_lease_wait(
        make_process(tmp_path, process={"timings": configured}),
        dataclasses.replace(RECORD, lease_duration=duration),
    )
    assert wait == seconds
    assert (
        lease_observation.compute_lease_wait(
            make_process(tmp_path, process={"timings": None}), RECORD
        )
        == lease_observation.MIN_LEASE_WAIT_S
    )
    # The timeout has a maximum, even if the process reports very long election times.
    year = facts.ElectionTimes(lease_duration=9e9, renew_deadline=8e9, retry_period=3e7)
    assert (
        lease_observation.compute_lease_wait(
            make_process(tmp_path, process={"timings": year}), RECORD
        )
        == lease_observation.MAX_LEASE_WAIT_S
    )


def test_both_objects_of_a_double_lock_are_read(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the lock type changes, members can stop renewing the first object."""
    monkeypatch.setattr(lease_observation, "MIN_LEASE_WAIT_S", 0.2)
    times = facts.ElectionTimes(lease_duration=15, renew_deadline=10, retry_period=0.05)
    path = "/api/v1/namespaces/kube-system/endpoints/kube-scheduler"
    number = 0

    def respond(request: str) -> bytes:
        nonlocal number
        if request.split()[1] != path:
            return answer(200, lease())
        number += 1
        text = f'{{"holderIdentity": "m2", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:{number:02}Z"}}'
        return answer(200, {"metadata": {"annotations": {_lease.ANNOTATION: text}}})

    world.server.respond = respond
    process = make_probed(
        world, tmp_path, source_groups=(("lease",), ("endpoints",)), process={"timings": times}
    )
    observation = lease_observation.watch_lease(process, None)
    assert (
        observation.node,
        observation.moving,
        observation.record and observation.record.source,
    ) == ("m2", True, "endpoints")
    assert lease_observation.read_lease_once(process, None).record is not None


def test_lease_is_read_by_its_configured_name(world: World, tmp_path: Path) -> None:
    process = {"lease_name": "mine", "lease_namespace": "here"}
    lease_observation.watch_lease(make_probed(world, tmp_path, process=process), None)
    assert set(world.readings) == {"/apis/coordination.k8s.io/v1/namespaces/here/leases/mine"}


def test_read_lease_once_sends_one_request(world: World, tmp_path: Path) -> None:
    observation = lease_observation.read_lease_once(make_probed(world, tmp_path), None)
    assert (observation.state, observation.moving, len(world.readings)) == ("held", False, 1)
    result = lease_observation.describe_lease(observation)
    assert lease_observation.parse_record(result) == observation.record


def test_process_without_https_is_not_probed_over_https(tmp_path: Path) -> None:
    old = make_process(tmp_path, serving=HTTP, metrics_pair=("certificate", "key"))
    assert [
        probes.PROBES[name](old)
        for name in ("served", "metrics_anonymous", "metrics_reader", "ready")
    ] == [None] * 4


def test_process_with_plain_http_is_probed_over_http(tmp_path: Path) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        old = make_process(
            tmp_path, serving=HTTP, process={"http_port": server.server_port}, holds_http_port=True
        )
        assert probes._probe_readiness(old) == 200
        assert probes._probe_metrics_over_http(old) == 404
        assert (
            probes._probe_metrics_over_http(dataclasses.replace(old, holds_http_port=False)) is None
        )
        server.shutdown()
    with pytest.raises(KubeError, match="connection refused; no process listens"):
        probes._probe_readiness(old)


def test_slow_http_port_ends_the_probe_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that sent one byte per interval once blocked such a probe forever."""
    monkeypatch.setattr(probes, "PROBE_TIMEOUT_S", 0.3)

    def drip(stream: Any) -> None:
        while True:
            stream.sendall(b"H")
            time.sleep(0.05)

    with Server(lambda _request: drip, plain=True) as server:
        old = make_process(
            tmp_path, serving=HTTP, process={"http_port": server.port}, holds_http_port=True
        )
        started = time.monotonic()
        for probe in (probes._probe_readiness, probes._probe_metrics_over_http):
            with pytest.raises(KubeError, match="timed out"):
                probe(old)
        assert time.monotonic() - started < 5


def test_renewal_age_uses_the_local_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_observation.time, "time", lambda: 1_800_000_000.0)
    assert lease_observation.compute_renewal_age("2027-01-15T07:59:58.123456Z") == 2.0
    for garbage in ("", None, "yesterday", "2027-13-99T00:00:00Z", "9" * 64):
        assert lease_observation.compute_renewal_age(garbage) is None


@pytest.mark.parametrize(
    "described",
    [
        None,
        7,
        {},
        {"source": "elsewhere"},
        {"source": "lease"},
        {"source": "lease", "lease_duration": "15", "transitions": 0},
        {"source": "lease", "lease_duration": 15, "transitions": 0, "renew_time": 7},
        {"source": ["lease"], "lease_duration": 15, "transitions": 0},
        {"source": "lease", "lease_duration": 15, "transitions": 0, "holder_identity": {}},
    ],
)
def test_invalid_earlier_record_is_ignored(described: Any) -> None:
    assert lease_observation.parse_record(described) is None


def test_invalid_certificate_fails_the_probe() -> None:
    with pytest.raises(ProbeError, match="the certificate cannot be parsed; replace it"):
        probes.describe_certificate(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        )
    with pytest.raises(ProbeError, match="the certificate cannot be parsed; replace it"):
        probes.describe_certificate("\u2603")


def test_certificate_with_a_name_that_the_library_cannot_decode_is_described() -> None:
    pem = chains.pem_of(chains.t61_ca())
    assert probes.describe_certificate(pem)["subject"] == "CN=K\u00f6ln"


# --- The kubeconfig that root uses


def load_as(proc: FakeProc, path: Path | str, pid: int = 7, unit: str = "x.service") -> Credentials:
    return load_process_credentials(proc, pid, unit, str(path))


@pytest.fixture
def proc(shared_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProc:
    """Return a /proc with process 7, whose root directory is that of the host."""
    monkeypatch.setattr(names, "CREDENTIALS_DIR", str(shared_path / "credentials"))
    fake = FakeProc(shared_path / "proc")
    root = fake.place(7, uid=FOREIGN_UID) / "root"
    root.rmdir()
    root.symlink_to("/")
    return fake


def write_kubeconfig(path: Path, server: str = "https://192.0.2.1:6443") -> Path:
    path.write_bytes(kubeconfig([server], ca=Ca().pem))
    path.chmod(0o600)
    return path


def test_mounted_credential_precedes_the_path(proc: FakeProc, shared_path: Path) -> None:
    path = write_kubeconfig(shared_path / "kubeconfig")
    assert load_as(proc, path).server == "https://192.0.2.1:6443"
    (shared_path / "credentials/x.service").mkdir(parents=True)
    write_kubeconfig(shared_path / "credentials/x.service/kubeconfig", "https://192.0.2.2:6443")
    assert load_as(proc, path).server == "https://192.0.2.2:6443"


def test_missing_kubeconfig_fails_the_probe(proc: FakeProc, shared_path: Path) -> None:
    with pytest.raises(ProbeError, match="the kubeconfig of the scheduler is unknown"):
        load_as(proc, "")
    with pytest.raises(ProbeError, match=r"No such file .*; process 7 cannot read this file"):
        load_as(proc, shared_path / "nothing")


@ROOT_ONLY
@pytest.mark.parametrize("theirs", ["the file", "the directory", "a link"])
def test_kubeconfig_of_another_user_is_read_with_the_permissions_of_its_process(
    proc: FakeProc, shared_path: Path, theirs: str
) -> None:
    """The walk-through copies the kubeconfig as the user k8s, to a directory that belongs to k8s."""
    folder = shared_path / "etc"
    folder.mkdir(mode=0o755)
    path = write_kubeconfig(folder / "real" if theirs == "a link" else folder / "kubeconfig")
    if theirs == "a link":
        path = folder / "kubeconfig"
        path.symlink_to("real")
    os.chown(path, FOREIGN_UID, FOREIGN_UID)
    os.chown(path, FOREIGN_UID, FOREIGN_UID, follow_symlinks=False)
    if theirs == "the directory":
        os.chown(folder, FOREIGN_UID, FOREIGN_UID)
    assert load_as(proc, path).server == "https://192.0.2.1:6443"
    with pytest.raises(ProbeError, match=r"is not used as root|root cannot"):
        load_as(proc, path, pid=0)


@ROOT_ONLY
def test_process_cannot_make_root_read_a_file(proc: FakeProc, shared_path: Path) -> None:
    """The kubeconfig of a process names a token file of root, or is a link to a kubeconfig."""
    secret = shared_path / "token"
    secret.write_text("secret")
    secret.chmod(0o600)
    path = shared_path / "kubeconfig"
    path.write_bytes(
        kubeconfig(["https://192.0.2.1"], ca=Ca().pem, user={"tokenFile": str(secret)})
    )
    os.chown(path, FOREIGN_UID, FOREIGN_UID)
    with pytest.raises(ProbeError, match="Permission denied") as caught:
        load_as(proc, path)
    assert "secret" not in one_line(caught.value)
    path.unlink()
    path.symlink_to(write_kubeconfig(shared_path / "admin.conf"))
    os.chown(path, FOREIGN_UID, FOREIGN_UID, follow_symlinks=False)
    with pytest.raises(ProbeError, match="process 7 cannot read this file"):
        load_as(proc, path)


@ROOT_ONLY
def test_invalid_kubeconfig_of_another_user_is_one_error(proc: FakeProc, shared_path: Path) -> None:
    path = shared_path / "kubeconfig"
    for content, reason in (
        ("a: [", "is not YAML"),
        ("a: &a 1\nb: *a", "YAML alias"),
        ("", "empty"),
    ):
        path.write_text(content)
        path.chmod(0o666)
        with pytest.raises(ProbeError, match=reason) as caught:
            load_as(proc, path)
        one_line(caught.value)


def test_only_addresses_of_this_host_are_probed(world: World, tmp_path: Path) -> None:
    """A process can report any address. Root must not present its metrics certificate there."""
    for address in ("192.0.2.1", "garbage"):
        elsewhere = make_probed(
            world, tmp_path, process={"bind_address": address}, listening_addresses={"127.0.0.1"}
        )
        result, _view, _settings, errors = probes.run_probes(elsewhere, None)
        assert (result["served"], result["ready"], result["metrics_anonymous"]) == (
            None,
            None,
            None,
        )
        assert (
            len([error for error in errors if f"no process listens at {address} on port" in error])
            == 3
        )


def test_library_that_only_an_import_hook_reports_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The import hook of Mitogen reports every library as installed."""

    class Importer:
        @staticmethod
        def find_spec(name: str, _path: Any = None, _target: Any = None) -> Any:
            return importlib.machinery.ModuleSpec(name, None)

    monkeypatch.setattr(sys, "meta_path", [Importer, *sys.meta_path])
    assert importlib.util.find_spec("nothing_of_this_name") is not None
    assert is_installed("nothing_of_this_name") is False
    assert is_installed("json") is True

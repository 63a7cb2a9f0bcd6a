"""Test scheduler_info on a simulated host, with one server as scheduler and apiserver."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts, names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    static_pod,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import (
    apiservers,
    certificates,
    host_facts,
    info,
    lease_observation,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    CHECK_NAMES,
    credentials_dir,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import INFO_SPEC

from tests.support import chains
from tests.support.apiserver import Server, answer, kubeconfig, lease, refused_port
from tests.support.fake_module import FakeModule, filled
from tests.support.host import UNIT_NAME, Host
from tests.support.pki import Ca, spare

SERVING = [
    {
        "since": "1.31",
        "https": 10259,
        "http": 0,
        "ready_path": "/readyz",
        "ready_port": "https",
        "lock": "leases",
    }
]


class Master(Host):
    """Provide a host with a scheduler that serves requests and takes part in the election."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ca = Ca()
        self.renewals = 0
        self.moves = True
        self.queries: list[str] = []
        pair = self.ca.issue("scheduler")
        self.server = Server(self.respond, pair)
        self.ready = 200
        self.kubeconfig = root / "kubeconfig"
        self.kubeconfig.write_bytes(kubeconfig([self.server.url], ca=self.ca.pem, pair=pair))
        self.kubeconfig.chmod(0o600)
        self.systemd.credentials = {"kubeconfig": self.kubeconfig}
        self.systemd.words = (
            "kube-scheduler",
            f"--secure-port={self.server.port}",
            "--bind-address=0.0.0.0",
        )

    def respond(self, request: str) -> bytes:
        path = request.split()[1]
        self.queries.append(path)
        if path == "/version":
            return answer(200, {"gitVersion": "v1.37.2"})
        if path in ("/readyz", "/metrics", "/configz"):
            return answer(self.ready if path == "/readyz" else 403)
        self.renewals += self.moves
        return answer(200, lease(renew=self.renewals % 60))

    def query(self, **given: Any) -> facts.ModuleResult:
        params = filled(
            INFO_SPEC,
            {
                "unit": UNIT_NAME,
                "fileset_dir": str(self.root / "fileset"),
                "port": self.server.port,
                "serving_ca": self.ca.pem,
                "_serving": SERVING,
                **given,
            },
        )
        return info.HostQuery(FakeModule(True, **params), self.systemd, self.proc).run()

    def start(self) -> None:
        self.deploy(
            binaries=[{"path": str(self.bin / "app-v1"), "version": "1.37.2", "ours": True}]
        )
        self.proc.end(self.systemd.pid)
        self.systemd.restart(UNIT_NAME)
        self.listen()

    def listen(self) -> None:
        directory = self.proc.folder / str(self.systemd.pid)
        (directory / "fd/3").symlink_to("socket:[99]")
        line = f"   0: 00000000:{self.server.port:04X} 00000000:0000 0A 0:0 00:0 0 999 0 99 1\n"
        with (self.proc.folder / "net/tcp").open("a") as stream:
            stream.write(line)


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Master]:
    monkeypatch.setattr(static_pod, "MANIFEST", str(tmp_path / "static.yaml"))
    monkeypatch.setattr(names, "CREDENTIALS_DIR", str(tmp_path / "credentials"))
    master = Master(tmp_path)
    with master.server:
        yield master


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ('ID=ubuntu\nID_LIKE="debian"\n', ["ubuntu", "debian"]),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', ["rocky", "rhel", "centos", "fedora"]),
        ("ID=debian\n", ["debian"]),
        ("", []),
    ],
)
def test_os_release_is_parsed_into_families(text: str, families: list[str]) -> None:
    assert host_facts.parse_os_release(text) == families


def test_host_without_os_release_has_no_families(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_facts, "OS_RELEASE", str(tmp_path / "nothing"))
    result = host_facts.gather_host_facts("root", 252)
    assert (result["os_families"], result["user_exists"]) == ([], True)
    assert host_facts.gather_host_facts("no such user", 0)["user_exists"] is False
    assert host_facts.gather_host_facts(None, 0)["user_exists"] is False


def test_every_result_is_valid(master: Master) -> None:
    answers = [master.query(probe=False), master.query()]
    master.start()
    answers += [
        master.query(probe=False),
        master.query(apiserver=master.server.url, apiserver_ca=master.ca.pem),
    ]
    for result in answers:
        assert facts.validate_module_result(result) == result


def test_connection_table_is_read_once_per_check(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many connections, the kernel takes milliseconds to create the connection table."""
    master.start()
    listeners = Mock(wraps=master.proc.listeners)
    monkeypatch.setattr(master.proc, "listeners", listeners)
    result = master.query()
    assert (result["port"]["ours"], result["others"], listeners.call_count) == (True, [], 1)


def test_new_host_has_empty_facts(master: Master) -> None:
    result = master.query(probe=False)
    assert (result["installed"], result["prepared"], result["stale"], result["healthy"]) == (
        False,
        False,
        [],
        None,
    )
    assert (result["process"]["pid"], result["lease"], result["probes"], result["drift"]) == (
        0,
        None,
        None,
        [],
    )
    assert (result["unit"]["load_state"], result["problems"], result["others"]) == (
        "not-found",
        [],
        [],
    )
    probed = master.query()
    assert (probed["healthy"], probed["problems"]) == (False, [f"{UNIT_NAME} is not installed"])
    assert probed["journal"] == ["the end of the journal"]
    assert set(probed["probes"].values()) == {None}  # type: ignore[union-attr]
    assert not (master.root / "fileset").exists()


def test_long_journal_keeps_its_last_lines(master: Master) -> None:
    master.systemd.lines = [f"{number:04} {'x' * 95}" for number in range(1000)]
    journal = master.query(journal_lines=1000)["journal"]
    assert journal == master.systemd.lines[-160:]


@pytest.mark.parametrize("char", ["x", '"', "\x1b", "\u4e2d", "\U0001f600"])
def test_journal_with_long_last_line_is_within_the_limit(master: Master, char: str) -> None:
    """The controller counts the characters of JSON, which has up to twelve for a character."""
    for length in (200, 16_000, 200_000):
        master.systemd.lines = [f"{number:04} {char * length}" for number in range(1000)]
        journal = master.query(journal_lines=1000)["journal"]
        assert journal[-1].startswith(f"0999 {char}")
        assert 6000 < len(json.dumps(journal)) <= facts.MAX_JOURNAL_LENGTH + 2 * len(journal)


def test_gathering_reads_the_lease_once_and_probes_nothing(master: Master) -> None:
    master.start()
    result = master.query(probe=False)
    assert master.queries == [
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
    ]
    assert result["lease"] is not None
    assert (result["lease"]["holder"], result["lease"]["moving"], result["healthy"]) == (
        "m1",
        False,
        None,
    )
    assert (result["installed"], result["prepared"], result["process"]["version"]) == (
        True,
        True,
        "1.37.2",
    )
    assert (result["port"]["ours"], result["process"]["secure_port"]) == (True, master.server.port)
    assert result["journal"] == []


def test_health_is_checked_at_the_port_in_use(master: Master) -> None:
    """The process uses a port other than the desired port, and listens on all addresses."""
    master.start()
    result = master.query(port=refused_port(), bind_address="192.0.2.1")
    assert (result["problems"], result["healthy"], result["journal"]) == ([], True, [])
    assert result["lease"] is not None
    assert result["lease"] is not None
    assert result["lease"]["moving"] is True
    assert result["not_checked"] == [info.READER_CHECK]
    assert (result["port"]["held_by"], result["port"]["ours"]) == ("", False)


def test_lease_that_moved_since_gathering_is_read_once(master: Master) -> None:
    master.start()
    before = master.query(probe=False)["lease"]
    master.renewals += 1
    master.moves = False
    master.queries.clear()
    result = master.query(previous_lease=before)
    assert (result["healthy"], result["lease"] and result["lease"]["moving"]) == (True, True)
    assert len([path for path in master.queries if "leases" in path]) == 1


@pytest.mark.parametrize("lock", ["leases", "endpointsleases"])
def test_lease_created_since_the_previous_result_is_moving(
    master: Master, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    """The module does not wait for a renewal. With two lock objects, one record can be old."""
    monkeypatch.setattr(lease_observation, "MIN_LEASE_WAIT_S", 0.3)
    monkeypatch.setattr(lease_observation, "MAX_LEASE_WAIT_S", 0.3)
    master.start()
    master.moves = False
    serving = [{**entry, "lock": lock} for entry in SERVING]
    result = master.query(_serving=serving, previous_lease={"state": "absent"})["lease"]
    assert result is not None
    assert result["moving"] is (lock == "leases")
    assert master.query(_serving=serving)["lease"]["moving"] is False  # type: ignore[index]


@pytest.mark.parametrize("absent", [1, 2, 3])
def test_lease_created_during_the_wait_is_moving(
    master: Master, monkeypatch: pytest.MonkeyPatch, absent: int
) -> None:
    """If the previous read found no lease, the holder has created the lease since that read."""
    monkeypatch.setattr(info, "HEALTH_POLL_S", 0.01)
    master.start()
    master.moves = False
    answers = iter([answer(404, {"reason": "NotFound"})] * absent)
    monkeypatch.setattr(master.server, "respond", lambda request: _first(answers, request, master))
    result = master.query(timeout=30)
    assert (result["healthy"], result["lease"] and result["lease"]["moving"]) == (True, True)
    assert result["lease"] is not None
    assert result["lease"]["elapsed"] < 1


def record_checks(
    monkeypatch: pytest.MonkeyPatch, ahead: Callable[[int], None]
) -> list[facts.ModuleResult]:
    """Collect the result of each check. Call `ahead` with the check number before each check."""
    results: list[facts.ModuleResult] = []
    real = info.HostQuery._query

    def look(question: info.HostQuery, *args: Any) -> Any:
        ahead(len(results))
        observed = real(question, *args)
        results.append(observed[0])
        return observed

    monkeypatch.setattr(info.HostQuery, "_query", look)
    return results


def test_observed_renewal_is_not_awaited_again(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first check, the lease moves. In the second check, the scheduler is ready."""
    monkeypatch.setattr(info, "HEALTH_POLL_S", 0.01)
    master.start()

    def ahead(number: int) -> None:
        master.moves, master.ready = number == 0, 200 if number else 500

    observed = record_checks(monkeypatch, ahead)
    result = master.query(timeout=30)
    assert ([answer["healthy"] for answer in observed], result["problems"]) == ([False, True], [])
    assert all(answer["lease"] and answer["lease"]["moving"] for answer in observed)


def test_leader_that_stops_renewing_is_detected_during_the_wait(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal before the previous check does not prove that the leader still renews."""
    monkeypatch.setattr(info, "HEALTH_POLL_S", 0.01)
    monkeypatch.setattr(lease_observation, "compute_lease_wait", lambda _subject, _record: 0.2)
    master.start()
    master.ready = 500

    def ahead(number: int) -> None:
        master.moves = number == 0

    observed = record_checks(monkeypatch, ahead)
    master.query(timeout=3)
    assert len(observed) > 3
    assert not any(answer["lease"] and answer["lease"]["moving"] for answer in observed[2:])


def _first(answers: Iterator[bytes], request: str, master: Master) -> bytes:
    return (next(answers, None) if "/leases/" in request else None) or master.respond(request)


def test_timeout_waits_for_health(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(info, "HEALTH_POLL_S", 0.01)
    master.start()
    master.ready = 500
    readings: list[int] = []

    def respond(request: str) -> bytes:
        if request.split()[1] == "/readyz":
            readings.append(1)
            master.ready = 200 if len(readings) > 2 else 500
        return Master.respond(master, request)

    master.server.respond = respond
    assert master.query(timeout=10)["healthy"] is True
    assert len(readings) == 3
    master.server.respond = master.respond
    master.ready = 500
    before = time.monotonic()
    result = master.query(timeout=0.3)
    assert 0.3 <= time.monotonic() - before < 3
    assert result["problems"] == ["readiness: HTTP 500, expected 200"]


def test_steady_waits_only_for_the_remaining_time(master: Master) -> None:
    """If systemd has restarted the process, the module does not wait."""
    master.start()
    master.systemd.state["ActiveEnterTimestampMonotonic"] = str(
        int((time.clock_gettime(time.CLOCK_MONOTONIC) - 9) * 1e6)
    )
    before = time.monotonic()
    assert master.query(timeout=30, steady=9.5)["healthy"] is True
    assert time.monotonic() - before < 5
    assert master.query(timeout=30, steady=9.5)["unit"]["active_seconds"] >= 9.5
    result = master.query(steady=60)
    assert [problem.partition(" for ")[0] for problem in result["problems"]] == [
        f"{UNIT_NAME} has been active"
    ]
    master.systemd.state["NRestarts"] = "1"
    before = time.monotonic()
    assert master.query(timeout=30, steady=5)["healthy"] is False
    assert time.monotonic() - before < 5
    assert master.query()["healthy"] is True


@pytest.mark.parametrize("option", ["timeout", "steady"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e9])
def test_invalid_wait_is_rejected(master: Master, option: str, seconds: float) -> None:
    with pytest.raises(FilesetError, match=rf"^{option}: "):
        master.query(**{option: seconds})


def test_restart_during_the_check_is_a_problem(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    master.start()
    ticks = iter([1, 2])
    monkeypatch.setattr(master.proc, "start_ticks", lambda pid: next(ticks))
    assert master.query()["problems"] == [
        f"{UNIT_NAME} was restarted during the query; run the query again"
    ]


def test_port_of_another_process_is_a_problem(master: Master) -> None:
    master.proc.place(50, comm="nginx", listens=master.server.port)
    result = master.query()
    assert result["port"] == {
        "number": master.server.port,
        "addresses": ["127.0.0.1"],
        "held_by": "nginx (pid 50, other.service)",
        "ours": False,
    }
    assert (
        f"port {master.server.port} is in use by nginx (pid 50, other.service)"
        in result["problems"]
    )


def test_other_schedulers_are_listed(master: Master, tmp_path: Path) -> None:
    master.start()
    master.proc.place(50, ("kube-scheduler",))
    master.proc.place(51, ("kube-scheduler", "--leader-elect-resource-name=theirs"))
    master.proc.place(52, ("kube-scheduler",), cgroup="/user.slice/x.scope", uid=1000)
    (tmp_path / "static.yaml").write_text("")
    assert master.query(probe=False, unit="kube-scheduler.service")["others"] == [
        "kube-scheduler (pid 50, other.service)",
        f"static pod {tmp_path / 'static.yaml'}",
    ]
    assert master.query(probe=False)["others"] == ["kube-scheduler (pid 50, other.service)"], (
        "an instance can run next to a static pod"
    )


def test_static_pod_is_evaluated_instead_of_the_unit(master: Master, tmp_path: Path) -> None:
    """If the static pod has no process, the arguments come from the manifest."""
    manifest = tmp_path / "static.yaml"
    manifest.write_text("spec:\n  containers:\n  - command:\n    - kube-scheduler\n    - --v=4\n")
    unit = {"unit": "kube-scheduler.service"}
    result = master.query(**unit)
    assert (
        result["unit"]["static_pod"],
        result["process"]["pid"],
        result["process"]["arguments"],
    ) == (
        str(manifest),
        0,
        ["--v=4"],
    )
    assert f"the static pod {manifest} does not run" in result["problems"]
    words = (
        "kube-scheduler",
        "--v=4",
        f"--kubeconfig={master.kubeconfig}",
        f"--secure-port={master.server.port}",
    )
    directory = master.proc.place(
        60, words, cgroup=f"/kubepods/burstable/pod{'0a' * 16}/1f", listens=master.server.port
    )
    (directory / "root").rmdir()
    (directory / "root").symlink_to("/")
    result = master.query(**unit)
    assert (result["process"]["pid"], result["others"], result["healthy"]) == (60, [], True), (
        result["problems"]
    )
    assert result["process"]["arguments"] == list(words[1:])
    assert result["lease"] is not None
    assert result["lease"]["moving"] is True
    # The static pod does not belong to an instance with another unit name.
    assert master.query(probe=False)["unit"]["static_pod"] == ""


def test_another_instance_is_not_a_foreign_scheduler(master: Master) -> None:
    """If the unit of a scheduler has no file set record, the scheduler is foreign."""
    master.start()
    master.proc.place(50, ("kube-scheduler",), cgroup="/system.slice/batch.service")
    name = "kube-scheduler (pid 50, batch.service)"
    assert (master.query(probe=False)["others"], master.query(probe=False)["instances"]) == (
        [name],
        [],
    )
    other = Fileset(str(master.root / "batch"), ())
    Path(other.root).mkdir()
    other.update_record(paths=["/etc/batch.yaml"])
    result = master.query(probe=False)
    assert result["others"] == []
    assert [(one["unit"], one["paths"]) for one in result["instances"]] == [
        ("batch.service", ["/etc/batch.yaml"])
    ]
    assert facts.validate_module_result(result) == result


def test_new_scheduler_is_compared_by_the_lease_of_its_name(master: Master) -> None:
    master.proc.place(50, ("kube-scheduler",))
    master.proc.place(51, ("kube-scheduler", "--leader-elect-resource-name=x"))
    assert master.query(probe=False)["others"] == ["kube-scheduler (pid 51, other.service)"]


def test_host_without_systemd_is_unhealthy(master: Master) -> None:
    master.systemd.number = 0
    master.systemd.show = None  # type: ignore[assignment]
    master.systemd.journal = None  # type: ignore[assignment]
    result = master.query()
    assert (result["systemd_version"], result["unit"]["load_state"], result["healthy"]) == (
        0,
        "",
        False,
    )


def test_apiserver_that_denies_access_is_reachable(master: Master) -> None:
    params = {"apiserver_ca": master.ca.pem, "tls_server_name": "", "next_ca": None}
    assert apiservers.query_apiserver(master.server.url, params) == {
        "server": master.server.url,
        "reachable": True,
        "version": "v1.37.2",
        "error": None,
        "next_serves": None,
        "next_accepted": None,
    }
    for code in (401, 403):
        master.server.respond = lambda request, code=code: answer(code)  # type: ignore[misc]
        result = apiservers.query_apiserver(master.server.url, params)
        assert (result["reachable"], result["version"], result["error"]) == (True, None, None)
    for invalid in ({}, {"gitVersion": 7}, []):
        master.server.respond = lambda request, invalid=invalid: answer(200, invalid)  # type: ignore[misc]
        result = apiservers.query_apiserver(master.server.url, params)
        assert (result["reachable"], result["version"]) == (False, None)
        assert result["error"]
    assert apiservers.query_apiserver(
        "http://x", {"apiserver_ca": None, "tls_server_name": None, "next_ca": None}
    )["error"]


def test_each_apiserver_is_queried(master: Master) -> None:
    away = f"https://127.0.0.1:{refused_port()}"
    queries = {"apiserver": master.server.url, "apiserver_ca": master.ca.pem}
    result = master.query(**queries, apiservers=[master.server.url, away], probe=False)
    assert [observed["server"] for observed in result["apiservers"]] == [master.server.url, away]
    assert [observed["version"] for observed in result["apiservers"]] == ["v1.37.2", None]
    assert "connection refused" in str(result["apiservers"][1]["error"])
    assert master.query(**queries, probe=False)["apiservers"] == []


def test_certificate_for_another_name_is_an_error(master: Master) -> None:
    queries = {
        "apiserver": master.server.url,
        "apiserver_ca": master.ca.pem,
        "tls_server_name": "lb.example",
    }
    result: Any = master.query(**queries, probe=False)["apiserver"]
    assert transport.ERROR_MESSAGES["tls_name"] in result["error"], (
        "preflight recognizes this message"
    )


@pytest.mark.parametrize(
    ("code", "accepted"),
    [(200, True), (403, True), (401, False), (500, None)],
    ids=["read", "denied", "unknown", "unhealthy"],
)
def test_apiserver_reports_whether_it_accepts_the_next_ca(
    master: Master, code: int, accepted: bool | None
) -> None:
    """If an apiserver accepts the CA of a client, it returns 403, otherwise 401."""
    following = Ca(key=spare("ECC", number=7), subject={"CN": "next"})
    certificate, key = following.issue("probe")
    params = {
        "apiserver_ca": master.ca.pem + following.pem,
        "tls_server_name": "",
        "next_ca": following.pem,
        "next_cert": certificate,
        "next_key": key,
    }
    answers = iter([200, code])
    master.server.respond = lambda request: answer(next(answers), {"gitVersion": "v1.37.2"})
    result = apiservers.query_apiserver(master.server.url, params)
    assert (result["reachable"], result["next_serves"], result["next_accepted"]) == (
        True,
        False,
        accepted,
    )
    with Server(lambda request: answer(code, {}), following.issue("apiserver")) as server:
        assert apiservers._is_compatible(server.url, params, following.pem) is (
            None if code == 500 else True
        )
    with Server(
        lambda request: answer(), master.ca.issue("apiserver"), client_ca=master.ca.pem
    ) as server:
        assert (
            apiservers._is_compatible(
                server.url, params, params["apiserver_ca"], (certificate, key)
            )
            is False
        )
    assert (
        apiservers._is_compatible(f"https://127.0.0.1:{refused_port()}", params, following.pem)
        is None
    )


def test_certificates_on_the_host_are_described(master: Master, tmp_path: Path) -> None:
    other = Ca(key=spare("ECC", number=7), subject={"CN": "other"})
    path = tmp_path / "cert.pem"
    path.write_text(other.issue("scheduler")[0] + other.pem)
    queries = {
        "certificate": str(path),
        "kubeconfig": str(master.kubeconfig),
        "authorities": master.ca.pem + other.pem,
    }
    result = master.query(probe=False, **queries)["certificates"]
    assert [(file["path"], file["use"], file["subject"], file["issuer"]) for file in result] == [
        (str(path), "pair", "CN=scheduler", "CN=other"),
        (str(master.kubeconfig), "client", "CN=scheduler", "CN=kubernetes"),
        (str(master.kubeconfig), "trust", "CN=kubernetes", "CN=kubernetes"),
    ]
    fingerprints = [one.fingerprint for one in (other, master.ca, master.ca)]
    assert [file["signed_by"] for file in result] == [[fingerprint] for fingerprint in fingerprints]
    assert result[2]["fingerprint_sha256"] == fingerprints[2]
    assert result[2]["usages"] == ["cRLSign", "keyCertSign"]
    assert master.query(probe=False, **{**queries, "authorities": None})["certificates"] == []
    path.write_text("garbage")
    master.kubeconfig.chmod(0o666)
    assert master.query(probe=False, **queries)["certificates"] == [], "every user can write it"
    path.unlink()
    master.kubeconfig.unlink()
    assert master.query(probe=False, **queries)["certificates"] == []


@pytest.mark.parametrize("style", ["path", "content"])
def test_replaced_pair_is_loaded_if_the_log_shows_it(master: Master, style: str) -> None:
    path = master.root / "certificate.pem"
    path.write_text(master.ca.issue("scheduler")[0])
    master.start()
    member = master.member("certificate", path, digest=style)
    desired = {
        "version": "1.37.2",
        "binary": "/nowhere",
        "files": [{k: v for k, v in member.items() if v is not None}],
    }
    pair = {"certificate": str(path), "authorities": master.ca.pem}

    def loaded(**given: Any) -> bool | None:
        observed = master.query(desired=desired, **pair, **{"reloaded": True, **given})["probes"]
        return observed["used_loaded"] if observed else None

    if style == "content":
        assert loaded() is None, "the process does not read the pair again"
        return
    assert loaded() is True, "the pair is older than the process"
    time.sleep(0.05)
    path.write_text(master.ca.issue("scheduler")[0])
    assert (loaded(), loaded(reloaded=False)) == (False, None)
    problems = master.query(desired=desired, reloaded=True, **pair)["problems"]
    assert [problem.partition(";")[0] for problem in problems] == [
        f"{CHECK_NAMES['served']} differs from the live certificate in {path}",
        f"{CHECK_NAMES['used']} can be older than the live certificate",
    ]
    master.systemd.log = [
        (path.stat().st_ctime - 1, "certificate rotation detected"),
        (time.time(), "something else"),
    ]
    assert loaded() is False
    master.systemd.log.append((time.time(), "... certificate rotation detected, shutting down"))
    assert loaded() is True


def test_invalid_process_data_does_not_fail_the_module(master: Master) -> None:
    master.start()
    directory = master.proc.folder / str(master.systemd.pid)
    for words in (
        b"",
        b"\xff\xfe\0--secure-port=\xff\0",
        b"--config\0",
        b"--config=/\0--secure-port=0\0",
        b"\0" * 9000,
    ):
        (directory / "cmdline").write_bytes(words)
        assert master.query(probe=False)["process"]["pid"] == master.systemd.pid
    (directory / "environ").write_bytes(b"=\0\xff\0KUBE_HA_DIGEST=\xff")
    (directory / "stat").write_text("garbage")
    (directory / "status").write_text("")
    assert facts.validate_module_result(master.query(probe=False))["process"]["digest"] == ""


def test_unreadable_lease_is_none_during_gathering(master: Master) -> None:
    master.start()
    master.server.respond = lambda request: answer(403)
    assert master.query(probe=False)["lease"] is None
    problems = master.query()["problems"]
    assert any(problem.startswith(CHECK_NAMES["lease"]) for problem in problems)


def test_directory_at_the_path_of_a_file_is_an_obstacle(master: Master, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    desired = [str(tmp_path / name) for name in ("file", "directory", "nothing")]
    assert master.query(probe=False, paths=desired)["obstacles"] == [str(tmp_path / "directory")]


def test_edited_member_of_the_fileset_is_stale(master: Master) -> None:
    master.start()
    assert master.query(probe=False)["stale"] == []
    (master.etc / "key.pem").write_text("by hand")
    assert master.query(probe=False)["stale"] == ["key"]


def test_free_port_has_no_holder(master: Master) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert master.query(probe=False, port=sock.getsockname()[1])["port"]["held_by"] == ""


def test_settings_that_the_client_is_denied_are_not_checked(master: Master) -> None:
    master.start()
    reader = master.ca.issue("reader")
    result = master.query(metrics_cert=reader[0], metrics_key=reader[1])
    assert result["not_checked"] == ["the settings in use, from /configz: HTTP 403"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a file")
def test_foreign_kubeconfig_is_read_with_the_permissions_of_its_process(
    master: Master, shared_path: Path
) -> None:
    """The walk-through copies the kubeconfig as the user k8s.

    The owner of the kubeconfig is no reason to reject the adoption.
    """
    theirs = shared_path / "their.kubeconfig"
    theirs.write_bytes(master.kubeconfig.read_bytes())
    theirs.chmod(0o600)
    os.chown(theirs, 65534, 65534)
    master.systemd.words = (*master.systemd.words, f"--kubeconfig={theirs}")
    master.start()
    process = master.proc.folder / str(master.systemd.pid)
    (process / "status").write_text("Uid:\t65534\t65534\nGid:\t65534\t65534\n")
    shutil.rmtree(process / "root")
    (process / "root").symlink_to("/")
    shutil.rmtree(credentials_dir(UNIT_NAME))
    shutil.rmtree(master.root / "fileset")
    result = master.query(probe=False)
    assert result["unsafe"] == []
    assert result["lease"] is not None
    assert result["lease"]["holder"] == "m1"
    os.chown(theirs, 65533, 65533)
    assert master.query(probe=False)["lease"] is None, "the process cannot read it"


def test_result_includes_the_drift(master: Master) -> None:
    master.start()
    desired = {
        "version": "1.37.2",
        "binary": str(master.bin / "app-v1"),
        "files": [{k: v for k, v in file.items() if v is not None} for file in master.files],
    }
    assert master.query(desired=desired)["drift"] == []
    desired["version"] = "1.38.0"
    assert {entry["part"] for entry in master.query(desired=desired, probe=False)["drift"]} == {
        "binary",
        "process",
    }


def test_old_version_uses_the_http_port(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {
        "since": "1.10",
        "https": 0,
        "http": 10251,
        "ready_path": "/healthz",
        "ready_port": "http",
        "lock": "endpoints",
    }
    desired = {"version": "1.10.4", "binary": "/nowhere"}
    assert (
        master.query(probe=False, _serving=[old, *SERVING], desired=desired)["port"]["number"]
        == 10251
    )
    assert (
        master.query(probe=False, _serving=[old, *SERVING])["port"]["number"] == master.server.port
    )
    monkeypatch.setattr(info, "detect_version", lambda *words: "1.10.4")
    master.start()
    result = master.query(probe=False, _serving=[old, *SERVING])
    assert (
        result["process"]["secure_port"],
        result["process"]["http_port"],
        result["process"]["lock"],
    ) == (
        0,
        10251,
        "endpoints",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="directories are checked only for root")
def test_directories_that_another_user_owns_are_unsafe(master: Master) -> None:
    """In some installations, the user of the scheduler owns /etc/kubernetes and /opt/k8s."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as root:
        os.chmod(root, 0o755)
        theirs = Path(root) / "etc"
        theirs.mkdir()
        (Path(root) / "loop").symlink_to("loop")
        fine = [root, f"{root}/not/there/yet", f"{root}/loop", "/"]
        assert master.query(probe=False, directories=fine)["unsafe"] == []
        os.chown(theirs, 65534, 0)
        queries = [*fine, str(theirs), f"{theirs}/cert", f"{theirs}/cert"]
        assert master.query(probe=False, directories=queries)["unsafe"] == [
            {
                "path": str(theirs),
                "reason": f"'{theirs}' belongs to nobody",
                "is_link": False,
                "can_take": True,
            }
        ]


def test_certificates_of_a_ca_that_the_library_cannot_decode_are_described(
    master: Master,
) -> None:
    ca = chains.t61_ca()
    path, trusting = (master.kubeconfig.with_name(name) for name in ("cert.pem", "trusting"))
    path.write_text(chains.pem_of(chains.make("scheduler", issuer=ca, number=9)))
    trusting.write_bytes(
        kubeconfig(["https://192.0.2.1:6443"], ca=chains.pem_of(ca), user={"token": "t"})
    )
    result = certificates.describe_host_certificates(str(path), str(trusting), chains.pem_of(ca))
    assert [(file["use"], file["subject"], file["issuer"]) for file in result] == [
        ("pair", "CN=scheduler", "CN=K\u00f6ln"),
        ("trust", "CN=K\u00f6ln", "CN=K\u00f6ln"),
    ]
    assert all(file["signed_by"] for file in result)

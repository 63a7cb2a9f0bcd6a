"""The whole question, on a host of files with a scheduler and an apiserver that are one server."""

from __future__ import annotations

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
    host_facts,
    info,
    lease_observation,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    CHECK_NAMES,
    credentials_dir,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import INFO

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
    """A host whose scheduler serves and elects."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ca = Ca()
        self.renewals = 0
        self.moves = True
        self.asked: list[str] = []
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
        self.asked.append(path)
        if path == "/version":
            return answer(200, {"gitVersion": "v1.37.2"})
        if path in ("/readyz", "/metrics", "/configz"):
            return answer(self.ready if path == "/readyz" else 403)
        self.renewals += self.moves
        return answer(200, lease(renew=self.renewals % 60))

    def ask(self, **given: Any) -> facts.ModuleResult:
        params = filled(
            INFO,
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
        folder = self.proc.folder / str(self.systemd.pid)
        (folder / "fd/3").symlink_to("socket:[99]")
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
def test_families(text: str, families: list[str]) -> None:
    assert host_facts.parse_os_release(text) == families


def test_a_host_without_os_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_facts, "OS_RELEASE", str(tmp_path / "nothing"))
    found = host_facts.gather_host_facts("root", 252)
    assert (found["os_families"], found["user_exists"]) == ([], True)
    assert host_facts.gather_host_facts("no such user", 0)["user_exists"] is False
    assert host_facts.gather_host_facts(None, 0)["user_exists"] is False


def test_every_answer_has_its_shape(master: Master) -> None:
    answers = [master.ask(probe=False), master.ask()]
    master.start()
    answers += [
        master.ask(probe=False),
        master.ask(apiserver=master.server.url, apiserver_ca=master.ca.pem),
    ]
    for found in answers:
        assert facts.validate_module_result(found) == found


def test_the_table_of_connections_is_read_once_a_look(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes milliseconds for it."""
    master.start()
    listeners = Mock(wraps=master.proc.listeners)
    monkeypatch.setattr(master.proc, "listeners", listeners)
    found = master.ask()
    assert (found["port"]["ours"], found["others"], listeners.call_count) == (True, [], 1)


def test_a_bare_host(master: Master) -> None:
    found = master.ask(probe=False)
    assert (found["installed"], found["prepared"], found["stale"], found["healthy"]) == (
        False,
        False,
        [],
        None,
    )
    assert (found["process"]["pid"], found["lease"], found["probes"], found["drift"]) == (
        0,
        None,
        None,
        [],
    )
    assert (found["unit"]["load_state"], found["problems"], found["others"]) == (
        "not-found",
        [],
        [],
    )
    probed = master.ask()
    assert (probed["healthy"], probed["problems"]) == (False, [f"{UNIT_NAME} is not installed"])
    assert probed["journal"] == ["the end of the journal"]
    assert set(probed["probes"].values()) == {None}  # type: ignore[union-attr]
    assert not (master.root / "fileset").exists()


def test_gathering_reads_the_lease_once_and_probes_nothing(master: Master) -> None:
    master.start()
    found = master.ask(probe=False)
    assert master.asked == [
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
    ]
    assert found["lease"] is not None
    assert (found["lease"]["holder"], found["lease"]["moving"], found["healthy"]) == (
        "m1",
        False,
        None,
    )
    assert (found["installed"], found["prepared"], found["process"]["version"]) == (
        True,
        True,
        "1.37.2",
    )
    assert (found["port"]["ours"], found["process"]["secure_port"]) == (True, master.server.port)
    assert found["journal"] == []


def test_healthy_where_it_serves_itself(master: Master) -> None:
    """At another port than the wanted one, and bound to all addresses."""
    master.start()
    found = master.ask(port=refused_port(), bind_address="192.0.2.1")
    assert (found["problems"], found["healthy"], found["journal"]) == ([], True, [])
    assert found["lease"] is not None
    assert found["lease"] is not None
    assert found["lease"]["moving"] is True
    assert found["not_checked"] == [info.READER_CHECK]
    assert (found["port"]["held_by"], found["port"]["ours"]) == ("", False)


def test_a_lease_that_moved_since_gathering(master: Master) -> None:
    master.start()
    before = master.ask(probe=False)["lease"]
    master.renewals += 1
    master.moves = False
    master.asked.clear()
    found = master.ask(previous_lease=before)
    assert (found["healthy"], found["lease"] and found["lease"]["moving"]) == (True, True)
    assert len([path for path in master.asked if "leases" in path]) == 1


@pytest.mark.parametrize("lock", ["leases", "endpointsleases"])
def test_a_lease_that_came_since_the_look_before_the_start(
    master: Master, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    """It is not waited for. Of two objects that may hold the record, one may have it from long ago."""
    monkeypatch.setattr(lease_observation, "MIN_LEASE_WAIT_S", 0.3)
    monkeypatch.setattr(lease_observation, "MAX_LEASE_WAIT_S", 0.3)
    master.start()
    master.moves = False
    serving = [{**entry, "lock": lock} for entry in SERVING]
    found = master.ask(_serving=serving, previous_lease={"state": "absent"})["lease"]
    assert found is not None
    assert found["moving"] is (lock == "leases")
    assert master.ask(_serving=serving)["lease"]["moving"] is False  # type: ignore[index]


@pytest.mark.parametrize("absent", [1, 2, 3])
def test_a_lease_that_came_while_waiting(
    master: Master, monkeypatch: pytest.MonkeyPatch, absent: int
) -> None:
    """Within one look, and from one to the next: whoever has seen that there was none has seen the holder write it."""
    monkeypatch.setattr(info, "HEALTH_POLL_S", 0.01)
    master.start()
    master.moves = False
    answers = iter([answer(404, {"reason": "NotFound"})] * absent)
    monkeypatch.setattr(master.server, "respond", lambda request: _first(answers, request, master))
    found = master.ask(timeout=30)
    assert (found["healthy"], found["lease"] and found["lease"]["moving"]) == (True, True)
    assert found["lease"] is not None
    assert found["lease"]["elapsed"] < 1


def looks(
    monkeypatch: pytest.MonkeyPatch, ahead: Callable[[int], None]
) -> list[facts.ModuleResult]:
    """What each look of a question has found; C(ahead) is called before each, with how many there have been."""
    found: list[facts.ModuleResult] = []
    real = info.HostQuery._query

    def look(question: info.HostQuery, *args: Any) -> Any:
        ahead(len(found))
        seen = real(question, *args)
        found.append(seen[0])
        return seen

    monkeypatch.setattr(info.HostQuery, "_query", look)
    return found


def test_a_renewal_that_was_waited_for_is_not_waited_for_again(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look sees the lease move, and a scheduler that is not ready yet; by the next one it is."""
    monkeypatch.setattr(info, "HEALTH_POLL_S", 0.01)
    master.start()

    def ahead(number: int) -> None:
        master.moves, master.ready = number == 0, 200 if number else 500

    seen = looks(monkeypatch, ahead)
    found = master.ask(timeout=30)
    assert ([answer["healthy"] for answer in seen], found["problems"]) == ([False, True], [])
    assert all(answer["lease"] and answer["lease"]["moving"] for answer in seen)


def test_a_leader_that_renews_no_more_is_seen_while_waiting(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the look before the last one has read is too old to tell that the lease moves."""
    monkeypatch.setattr(info, "HEALTH_POLL_S", 0.01)
    monkeypatch.setattr(lease_observation, "compute_lease_wait", lambda _subject, _record: 0.2)
    master.start()
    master.ready = 500

    def ahead(number: int) -> None:
        master.moves = number == 0

    seen = looks(monkeypatch, ahead)
    master.ask(timeout=1)
    assert len(seen) > 3
    assert not any(answer["lease"] and answer["lease"]["moving"] for answer in seen[2:])


def _first(answers: Iterator[bytes], request: str, master: Master) -> bytes:
    return (next(answers, None) if "/leases/" in request else None) or master.respond(request)


def test_waiting_for_health(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert master.ask(timeout=10)["healthy"] is True
    assert len(readings) == 3
    master.server.respond = master.respond
    master.ready = 500
    before = time.monotonic()
    found = master.ask(timeout=0.3)
    assert 0.3 <= time.monotonic() - before < 3
    assert found["problems"] == ["readiness: HTTP 500, expected 200"]


def test_waiting_for_a_steady_process(master: Master) -> None:
    """Only the remainder is waited for; what systemd has restarted is not waited for."""
    master.start()
    master.systemd.state["ActiveEnterTimestampMonotonic"] = str(
        int((time.clock_gettime(time.CLOCK_MONOTONIC) - 9) * 1e6)
    )
    before = time.monotonic()
    assert master.ask(timeout=30, steady=9.5)["healthy"] is True
    assert time.monotonic() - before < 5
    assert master.ask(timeout=30, steady=9.5)["unit"]["active_seconds"] >= 9.5
    found = master.ask(steady=60)
    assert [problem.partition(" for ")[0] for problem in found["problems"]] == [
        f"{UNIT_NAME} has been active"
    ]
    master.systemd.state["NRestarts"] = "1"
    before = time.monotonic()
    assert master.ask(timeout=30, steady=5)["healthy"] is False
    assert time.monotonic() - before < 5
    assert master.ask()["healthy"] is True


@pytest.mark.parametrize("option", ["timeout", "steady"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e9])
def test_a_wait_has_an_end(master: Master, option: str, seconds: float) -> None:
    with pytest.raises(FilesetError, match=rf"^{option}: "):
        master.ask(**{option: seconds})


def test_a_restart_while_it_was_looked_at(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    master.start()
    ticks = iter([1, 2])
    monkeypatch.setattr(master.proc, "start_ticks", lambda pid: next(ticks))
    assert master.ask()["problems"] == [f"{UNIT_NAME} was restarted during the query"]


def test_who_holds_the_port(master: Master) -> None:
    master.proc.place(50, comm="nginx", listens=master.server.port)
    found = master.ask()
    assert found["port"] == {
        "number": master.server.port,
        "addresses": ["127.0.0.1"],
        "held_by": "nginx (pid 50, other.service)",
        "ours": False,
    }
    assert (
        f"port {master.server.port} is held by nginx (pid 50, other.service)" in found["problems"]
    )


def test_other_schedulers(master: Master, tmp_path: Path) -> None:
    master.start()
    master.proc.place(50, ("kube-scheduler",))
    master.proc.place(51, ("kube-scheduler", "--leader-elect-resource-name=theirs"))
    master.proc.place(52, ("kube-scheduler",), cgroup="/user.slice/x.scope", uid=1000)
    (tmp_path / "static.yaml").write_text("")
    assert master.ask(probe=False, unit="kube-scheduler.service")["others"] == [
        "kube-scheduler (pid 50, other.service)",
        f"static pod {tmp_path / 'static.yaml'}",
    ]
    assert master.ask(probe=False)["others"] == ["kube-scheduler (pid 50, other.service)"], (
        "it lives beside a static pod"
    )


def test_a_static_pod_in_the_place_of_the_unit(master: Master, tmp_path: Path) -> None:
    """It is looked at as the unit's process would be, and judged by its work; without a process, its manifest tells what it was told."""
    manifest = tmp_path / "static.yaml"
    manifest.write_text("spec:\n  containers:\n  - command:\n    - kube-scheduler\n    - --v=4\n")
    unit = {"unit": "kube-scheduler.service"}
    found = master.ask(**unit)
    assert (
        found["unit"]["static_pod"],
        found["process"]["pid"],
        found["process"]["arguments"],
    ) == (
        str(manifest),
        0,
        ["--v=4"],
    )
    assert f"the static pod {manifest} does not run" in found["problems"]
    words = (
        "kube-scheduler",
        f"--kubeconfig={master.kubeconfig}",
        f"--secure-port={master.server.port}",
    )
    folder = master.proc.place(
        60, words, cgroup="/kubepods.slice/cri-1.scope", listens=master.server.port
    )
    (folder / "root").rmdir()
    (folder / "root").symlink_to("/")
    found = master.ask(**unit)
    assert (found["process"]["pid"], found["others"], found["healthy"]) == (60, [], True), found[
        "problems"
    ]
    assert found["process"]["arguments"] == list(words[1:])
    assert found["lease"] is not None
    assert found["lease"]["moving"] is True
    # Of an instance it is nothing, and beside the unit's own process another scheduler.
    assert master.ask(probe=False)["unit"]["static_pod"] == ""


def test_another_instance_is_no_foreign_scheduler(master: Master) -> None:
    """A unit is ours by its record; without one, a scheduler of the same lease or port is somebody else's."""
    master.start()
    master.proc.place(50, ("kube-scheduler",), cgroup="/system.slice/batch.service")
    told = "kube-scheduler (pid 50, batch.service)"
    assert (master.ask(probe=False)["others"], master.ask(probe=False)["instances"]) == ([told], [])
    beside = Fileset(str(master.root / "batch"), ())
    Path(beside.root).mkdir()
    beside.update_record(paths=["/etc/batch.yaml"])
    found = master.ask(probe=False)
    assert found["others"] == []
    assert [(one["unit"], one["paths"]) for one in found["instances"]] == [
        ("batch.service", ["/etc/batch.yaml"])
    ]
    assert facts.validate_module_result(found) == found


def test_a_scheduler_that_does_not_run_yet_is_to_elect_by_its_name(master: Master) -> None:
    master.proc.place(50, ("kube-scheduler",))
    master.proc.place(51, ("kube-scheduler", "--leader-elect-resource-name=x"))
    assert master.ask(probe=False)["others"] == ["kube-scheduler (pid 51, other.service)"]


def test_a_host_without_systemd(master: Master) -> None:
    master.systemd.number = 0
    master.systemd.show = None  # type: ignore[assignment]
    master.systemd.journal = None  # type: ignore[assignment]
    found = master.ask()
    assert (found["systemd_version"], found["unit"]["load_state"], found["healthy"]) == (
        0,
        "",
        False,
    )


def test_an_apiserver_that_denies_is_reachable(master: Master) -> None:
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
        found = apiservers.query_apiserver(master.server.url, params)
        assert (found["reachable"], found["version"], found["error"]) == (True, None, None)
    for odd in ({}, {"gitVersion": 7}, []):
        master.server.respond = lambda request, odd=odd: answer(200, odd)  # type: ignore[misc]
        found = apiservers.query_apiserver(master.server.url, params)
        assert (found["reachable"], found["version"]) == (False, None)
        assert found["error"]
    assert apiservers.query_apiserver(
        "http://x", {"apiserver_ca": None, "tls_server_name": None, "next_ca": None}
    )["error"]


def test_each_apiserver_is_asked(master: Master) -> None:
    away = f"https://127.0.0.1:{refused_port()}"
    asked = {"apiserver": master.server.url, "apiserver_ca": master.ca.pem}
    found = master.ask(**asked, apiservers=[master.server.url, away], probe=False)
    assert [seen["server"] for seen in found["apiservers"]] == [master.server.url, away]
    assert [seen["version"] for seen in found["apiservers"]] == ["v1.37.2", None]
    assert "connection refused" in str(found["apiservers"][1]["error"])
    assert master.ask(**asked, probe=False)["apiservers"] == []


def test_a_certificate_for_another_name(master: Master) -> None:
    asked = {
        "apiserver": master.server.url,
        "apiserver_ca": master.ca.pem,
        "tls_server_name": "lb.example",
    }
    found: Any = master.ask(**asked, probe=False)["apiserver"]
    assert transport.ERROR_MESSAGES["tls_name"] in found["error"], (
        "by which the pre-flight knows it"
    )


@pytest.mark.parametrize(
    ("code", "accepted"),
    [(200, True), (403, True), (401, False), (500, None)],
    ids=["read", "denied", "unknown", "ill"],
)
def test_whether_an_apiserver_is_ready_for_the_next_ca(
    master: Master, code: int, accepted: bool | None
) -> None:
    """A client of a CA that it does not know is unauthorized; one without rights is known."""
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
    found = apiservers.query_apiserver(master.server.url, params)
    assert (found["reachable"], found["next_serves"], found["next_accepted"]) == (
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


def test_the_certificates_that_lie_on_the_host(master: Master, tmp_path: Path) -> None:
    other = Ca(key=spare("ECC", number=7), subject={"CN": "other"})
    lying = tmp_path / "cert.pem"
    lying.write_text(other.issue("scheduler")[0] + other.pem)
    asked = {
        "certificate": str(lying),
        "kubeconfig": str(master.kubeconfig),
        "authorities": master.ca.pem + other.pem,
    }
    found = master.ask(probe=False, **asked)["certificates"]
    assert [(file["path"], file["use"], file["subject"], file["issuer"]) for file in found] == [
        (str(lying), "pair", "CN=scheduler", "CN=other"),
        (str(master.kubeconfig), "client", "CN=scheduler", "CN=kubernetes"),
        (str(master.kubeconfig), "trust", "CN=kubernetes", "CN=kubernetes"),
    ]
    fingerprints = [one.fingerprint for one in (other, master.ca, master.ca)]
    assert [file["signed_by"] for file in found] == [[fingerprint] for fingerprint in fingerprints]
    assert found[2]["fingerprint_sha256"] == fingerprints[2]
    assert found[2]["usages"] == ["cRLSign", "keyCertSign"]
    assert master.ask(probe=False, **{**asked, "authorities": None})["certificates"] == []
    lying.write_text("garbage")
    master.kubeconfig.chmod(0o666)
    assert master.ask(probe=False, **asked)["certificates"] == [], "anybody may have written it"
    lying.unlink()
    master.kubeconfig.unlink()
    assert master.ask(probe=False, **asked)["certificates"] == []


@pytest.mark.parametrize("style", ["path", "content"])
def test_whether_a_process_has_taken_a_pair_that_was_replaced(master: Master, style: str) -> None:
    lying = master.root / "certificate.pem"
    lying.write_text(master.ca.issue("scheduler")[0])
    master.start()
    member = master.member("certificate", lying, digest=style)
    wanted = {
        "version": "1.37.2",
        "binary": "/nowhere",
        "files": [{k: v for k, v in member.items() if v is not None}],
    }
    pair = {"certificate": str(lying), "authorities": master.ca.pem}

    def loaded(**given: Any) -> bool | None:
        seen = master.ask(desired=wanted, **pair, **{"reloaded": True, **given})["probes"]
        return seen["used_loaded"] if seen else None

    if style == "content":
        assert loaded() is None, "its process does not read it again"
        return
    assert loaded() is True, "it lay there when the process began"
    time.sleep(0.05)
    lying.write_text(master.ca.issue("scheduler")[0])
    assert (loaded(), loaded(reloaded=False)) == (False, None)
    problems = master.ask(desired=wanted, reloaded=True, **pair)["problems"]
    assert [problem.partition(";")[0] for problem in problems] == [
        f"{CHECK_NAMES['served']} is not the one in {lying}",
        f"{CHECK_NAMES['used']} can be the previous one",
    ]
    master.systemd.log = [
        (lying.stat().st_ctime - 1, "certificate rotation detected"),
        (time.time(), "something else"),
    ]
    assert loaded() is False
    master.systemd.log.append((time.time(), "... certificate rotation detected, shutting down"))
    assert loaded() is True


def test_nothing_that_a_process_says_of_itself_is_a_crash(master: Master) -> None:
    master.start()
    folder = master.proc.folder / str(master.systemd.pid)
    for words in (
        b"",
        b"\xff\xfe\0--secure-port=\xff\0",
        b"--config\0",
        b"--config=/\0--secure-port=0\0",
        b"\0" * 9000,
    ):
        (folder / "cmdline").write_bytes(words)
        assert master.ask(probe=False)["process"]["pid"] == master.systemd.pid
    (folder / "environ").write_bytes(b"=\0\xff\0KUBE_HA_DIGEST=\xff")
    (folder / "stat").write_text("garbage")
    (folder / "status").write_text("")
    assert facts.validate_module_result(master.ask(probe=False))["process"]["digest"] == ""


def test_a_lease_that_cannot_be_read_is_none_when_gathering(master: Master) -> None:
    master.start()
    master.server.respond = lambda request: answer(403)
    assert master.ask(probe=False)["lease"] is None
    problems = master.ask()["problems"]
    assert any(problem.startswith(CHECK_NAMES["lease"]) for problem in problems)


def test_directories_in_the_place_of_files(master: Master, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    wanted = [str(tmp_path / name) for name in ("file", "directory", "nothing")]
    assert master.ask(probe=False, paths=wanted)["obstacles"] == [str(tmp_path / "directory")]


def test_stale_members_are_those_that_were_staged_last(master: Master) -> None:
    master.start()
    assert master.ask(probe=False)["stale"] == []
    (master.etc / "key.pem").write_text("by hand")
    assert master.ask(probe=False)["stale"] == ["key"]


def test_a_port_that_is_free(master: Master) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert master.ask(probe=False, port=sock.getsockname()[1])["port"]["held_by"] == ""


def test_settings_that_the_reader_may_not_ask_for_are_not_checked(master: Master) -> None:
    master.start()
    reader = master.ca.issue("reader")
    found = master.ask(metrics_cert=reader[0], metrics_key=reader[1])
    assert found["not_checked"] == ["the settings in use, from /configz: HTTP 403"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_kubeconfig_of_somebody_else_s_that_root_should_not_read(master: Master) -> None:
    own = master.root / "own.kubeconfig"
    own.write_bytes(master.kubeconfig.read_bytes())
    master.systemd.words = (*master.systemd.words, f"--kubeconfig={own}")
    master.start()
    os.chown(own, 65534, 65534)
    assert master.ask(probe=False)["unsafe"] == [], "it is this role's"
    (master.proc.folder / str(master.systemd.pid) / "environ").write_text("")
    assert master.ask(probe=False)["unsafe"] == [], "its unit was edited, and the fileset is there"
    shutil.rmtree(master.root / "fileset")
    assert master.ask(probe=False)["unsafe"] == [], "systemd hands it over"
    shutil.rmtree(credentials_dir(UNIT_NAME))
    assert master.ask(probe=False)["unsafe"] == [
        f"{own} is not used as root: other users can write it"
    ]


def test_the_drift_is_in_the_answer(master: Master) -> None:
    master.start()
    wanted = {
        "version": "1.37.2",
        "binary": str(master.bin / "app-v1"),
        "files": [{k: v for k, v in file.items() if v is not None} for file in master.files],
    }
    assert master.ask(desired=wanted)["drift"] == []
    wanted["version"] = "1.38.0"
    assert {entry["part"] for entry in master.ask(desired=wanted, probe=False)["drift"]} == {
        "binary",
        "process",
    }


def test_an_old_version_has_the_port_of_its_own_kind(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {
        "since": "1.10",
        "https": 0,
        "http": 10251,
        "ready_path": "/healthz",
        "ready_port": "http",
        "lock": "endpoints",
    }
    wanted = {"version": "1.10.4", "binary": "/nowhere"}
    assert (
        master.ask(probe=False, _serving=[old, *SERVING], desired=wanted)["port"]["number"] == 10251
    )
    assert master.ask(probe=False, _serving=[old, *SERVING])["port"]["number"] == master.server.port
    monkeypatch.setattr(info, "detect_version", lambda *words: "1.10.4")
    master.start()
    found = master.ask(probe=False, _serving=[old, *SERVING])
    assert (
        found["process"]["secure_port"],
        found["process"]["http_port"],
        found["process"]["lock"],
    ) == (
        0,
        10251,
        "endpoints",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root are directories judged")
def test_directories_that_root_should_not_write(master: Master) -> None:
    """As the walk-through leaves them, with /etc/kubernetes and /opt/k8s the scheduler's own."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as root:
        os.chmod(root, 0o755)
        theirs = Path(root) / "etc"
        theirs.mkdir()
        (Path(root) / "loop").symlink_to("loop")
        fine = [root, f"{root}/not/there/yet", f"{root}/loop", "/"]
        assert master.ask(probe=False, directories=fine)["unsafe"] == []
        os.chown(theirs, 65534, 0)
        asked = [*fine, str(theirs), f"{theirs}/cert", f"{theirs}/cert"]
        assert master.ask(probe=False, directories=asked)["unsafe"] == [
            f"'{theirs}' belongs to nobody"
        ]

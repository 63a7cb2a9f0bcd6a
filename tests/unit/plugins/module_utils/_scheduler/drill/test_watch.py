"""Test the measurement of a drill with a fake apiserver: the result and the cleanup."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client, credentials
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import (
    verdict,
    watch,
)

from tests.support.apiserver import Server, answer, kubeconfig, lease, status
from tests.support.pki import Ca

IDENTITY = "{}.example_0f0e0d0c-1111-2222-3333-444455556666"
CHOICE: dict[str, Any] = {
    "leader": "m1",
    "leader_hostname": "m1.example",
    "primary": "m1",
    "deadline": 2.0,
    "scheduler": "batch",
    "lease": {"namespace": "kube-system", "name": "kube-scheduler", "sources": ["lease"]},
}
REQUEST = re.compile(r"(GET|POST|PUT|DELETE) (\S+) HTTP/1\.1")


class Cluster:
    """Provide an apiserver with a scheduler.

    The scheduler renews ten times per second and binds pods immediately.
    """

    def __init__(self) -> None:
        self.namespaces: list[str] = []
        self.accounts = False
        self.pods: dict[str, str] = {}
        self.made = 0
        self.holder, self.next_at = "m1", float("inf")
        self.binds = True
        self.refused: dict[str, int] = {}
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def fail(self, seconds: float) -> None:
        """Stop the leader now. After `seconds`, another member leads."""
        self.next_at = time.monotonic() + seconds

    def respond(self, request: str) -> bytes:
        # The socket can still contain the body of the previous request.
        found = REQUEST.search(request)
        assert found
        method, path = found[1], found[2]
        with self._lock:
            self.asked.append(f"{method} {path}")
            for start, code in self.refused.items():
                if f"{method} {path}".startswith(start):
                    return answer(code, status(code, "refused"))
            return self._answer(method, path)

    def _answer(self, method: str, path: str) -> bytes:  # noqa: C901, PLR0911, PLR0912 - one branch per request
        now = time.monotonic()
        failed = self.next_at != float("inf")
        if failed and now >= self.next_at:
            self.holder, failed = "m2", False
        if "/leases/" in path:
            renew = 0 if failed else int(now * 10) % 60
            return answer(200, lease(IDENTITY.format(self.holder), renew))
        place = path.partition("?")[0]
        if place == watch.NAMESPACES_PATH:
            if method == "POST":
                self.namespaces.append("kube-ha-drill-new")
                return answer(201, {})
            return answer(
                200, {"items": [{"metadata": {"name": name}} for name in self.namespaces]}
            )
        _core, _slash, rest = place.removeprefix(watch.NAMESPACES_PATH).partition("/")
        name, _slash, what = rest.partition("/")
        if not what:
            if name not in self.namespaces and name != "kube-ha-drill-new":
                return answer(404, status(404, "not found"))
            if method == "DELETE":
                if self.accounts:
                    self.namespaces.remove(name)
                return answer(200, {})
            there = any(known == name for known in self.namespaces)
            return (
                answer(200, {"metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}})
                if there
                else answer(404, status(404, "x"))
            )
        if what == "finalize":
            self.namespaces.remove(name)
            return answer(200, {})
        if what == "serviceaccounts":
            return answer(200, {"items": [{}] if self.accounts else []})
        if what == "pods" and method == "POST":
            self.pods[f"pod-{self.made:04}"] = ""
            self.made += 1
            return answer(201, {})
        if what == "pods" and method == "GET":
            if self.binds and not failed:
                self.pods = dict.fromkeys(self.pods, "n1")
            items = [
                {"metadata": {"name": pod}, "spec": {"nodeName": node}}
                for pod, node in self.pods.items()
                if node
            ]
            return answer(200, {"items": items})
        if what == "events":
            events = [{"involvedObject": {"name": pod}, "count": 1} for pod in self.pods]
            return answer(200, {"items": events})
        if what.startswith("pods/"):
            self.pods.pop(what.removeprefix("pods/"), None)
        return answer(200, {})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def path(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("secrets.token_hex", lambda _bytes: "new")
    ca = Ca(tmp_path)
    with Server(cluster.respond, ca.issue()) as server:
        file = tmp_path / "admin.kubeconfig"
        file.write_bytes(kubeconfig([server.url], ca=ca.pem))
        yield str(file)


def watching(path: str, alive: Callable[[], bool] = lambda: True, **changes: Any) -> watch.Watch:
    choice: Any = {**CHOICE, **changes}
    return watch.Watch(path, choice, alive)


def test_takeover_is_measured_and_cleaned_up(cluster: Cluster, path: str) -> None:
    cluster.namespaces = ["kube-ha-drill-left", "foreign"]
    with watching(path, deadline=20) as running:
        running.wait_until_ready()
        fault = time.monotonic()
        cluster.fail(1.6)
        seen = running.finish(fault, 0.01)
    index = verdict.next_holder_index(seen.samples, fault)
    assert index is not None
    assert 1.5 < seen.samples[index].at - fault < 5
    assert verdict.has_leader(seen.samples, fault, takeover=True)
    assert len(seen.pods) >= 5
    assert all(pod.bound is not None and pod.bindings == 1 for pod in seen.pods)
    waited = [pod for pod in seen.pods if fault < pod.created < fault + 1.4]
    assert waited
    assert all((pod.bound or 0) > fault + 1.5 for pod in waited)
    assert seen.polls > 10
    assert running.namespace_removed
    assert cluster.namespaces == ["foreign"]
    count = len(cluster.asked)
    time.sleep(0.3)
    assert len(cluster.asked) == count, "a thread still sends requests"


def test_deletion_of_many_events_has_a_longer_timeout(cluster: Cluster) -> None:
    """A deletion with many events has a longer timeout.

    After a long measurement, a busy apiserver needs longer for the deletion than for any other
    request.
    """
    cluster.namespaces = ["kube-ha-drill-new"]

    def respond(request: str) -> bytes:
        if "DELETE" in request and "/events" in request:
            time.sleep(0.6)
        return cluster.respond(request)

    with Server(respond, Ca().issue()) as server:
        login = credentials.Credentials(origin="x", server=server.url, insecure=True)
        with client.Client([login], timeout=0.3) as asking:
            assert watch.Namespaces(asking).remove("kube-ha-drill-new")
    assert cluster.namespaces == []


@pytest.mark.parametrize("slow", ["DELETE", "GET"])
def test_thousands_of_namespaces_of_killed_drills_end_at_the_deadline(
    slow: str, cluster: Cluster, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request took 0.5 s, so that 20,000 namespaces took hours."""
    monkeypatch.setattr(watch, "NAMESPACE_TIMEOUT_S", 1.5)
    cluster.namespaces = [f"kube-ha-drill-{number}" for number in range(20_000)]
    respond = cluster.respond

    def respond_slowly(request: str) -> bytes:
        if request.startswith(f"{slow} {watch.NAMESPACES_PATH}/"):
            time.sleep(0.5)
        return respond(request)

    monkeypatch.setattr(cluster, "respond", respond_slowly)
    started = time.monotonic()
    with Server(cluster.respond, Ca().issue()) as server:
        login = credentials.Credentials(origin="x", server=server.url, insecure=True)
        with (
            client.Client([login], timeout=5) as requester,
            pytest.raises(
                watch.WatchError, match=r"namespaces of earlier drills still exist after 1\.5 s"
            ) as caught,
        ):
            watch.Namespaces(requester).remove_existing()
    assert time.monotonic() - started < 8
    assert 19_990 <= int(str(caught.value).split()[0]) <= 20_000
    assert str(caught.value).endswith(
        "no host was changed; run kubectl delete namespaces -l"
        " app.kubernetes.io/managed-by=kube_ha.scheduler-drill"
    )
    assert any("&limit=500" in line for line in cluster.asked)


def test_apiserver_that_sends_one_byte_at_a_time_ends_the_removal(cluster: Cluster) -> None:
    def drip(stream: Any) -> None:
        while True:
            stream.sendall(b"H")
            time.sleep(0.1)

    with Server(lambda _request: drip, Ca().issue()) as server:
        login = credentials.Credentials(origin="x", server=server.url, insecure=True)
        started = time.monotonic()
        with (
            client.Client([login], timeout=5) as requester,
            pytest.raises(client.KubeError, match="timed out"),
        ):
            watch.Namespaces(requester).remove("kube-ha-drill-x", 0.5)
    assert time.monotonic() - started < 5


def test_pod_whose_creation_is_not_complete_at_the_end_is_included(
    cluster: Cluster, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, failed = watch.Watch._create_pod, threading.Event()

    def late(running: Any, one: Any) -> None:
        bound = failed.is_set() and all(pod.bound is not None for pod in running._known_pods())
        if bound and running._no_more_pods.wait(10):
            time.sleep(0.3)
        create(running, one)

    monkeypatch.setattr(watch.Watch, "_create_pod", late)
    with watching(path) as running:
        running.wait_until_ready()
        failed.set()
        fault = time.monotonic()
        cluster.fail(1)
        seen = running.finish(fault, 0.0)
    assert len(seen.pods) == cluster.made
    assert all(pod.bound is not None for pod in seen.pods)


def test_measurement_without_takeover_ends_at_the_deadline(cluster: Cluster, path: str) -> None:
    with watching(path, deadline=0.5) as running:
        running.wait_until_ready()
        fault = time.monotonic()
        cluster.fail(60)
        seen = running.finish(fault, 0.0)
    assert verdict.next_holder_index(seen.samples, fault) is None
    assert 0.5 <= seen.ended - fault < 2
    assert any(pod.bound is None for pod in seen.pods)
    assert cluster.namespaces == []


@pytest.mark.parametrize("managed", [True, False])
def test_namespace_is_finalized_only_without_controller_manager(
    managed: bool, cluster: Cluster, path: str
) -> None:
    cluster.namespaces, cluster.accounts = ["kube-ha-drill-x"], managed
    with client.load_client(path) as one:
        assert watch.Namespaces(one).remove("kube-ha-drill-x", 1)
        assert watch.Namespaces(one).remove("kube-ha-drill-gone", 1)
    assert any(line.endswith("/finalize") for line in cluster.asked) != managed
    first = next(line for line in cluster.asked if line.startswith("DELETE"))
    assert first == "DELETE /api/v1/namespaces/kube-ha-drill-x/pods?gracePeriodSeconds=0"


def test_namespace_that_still_exists_after_timeout_is_reported(
    cluster: Cluster, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.namespaces = ["kube-ha-drill-x"]
    monkeypatch.setattr(watch.Namespaces, "_finalize", lambda *_args: None)
    with client.load_client(path) as one:
        assert not watch.Namespaces(one).remove("kube-ha-drill-x", 0.3)


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        (lambda cluster: setattr(cluster, "binds", False), "no pod got a node within 0.8 s"),
        (
            lambda cluster: setattr(cluster, "holder", "m2"),
            "the leader changed from m1.example to m2.example before the fault",
        ),
        (lambda cluster: cluster.fail(60), "no pod got a node within 0.8 s"),
    ],
)
def test_cluster_that_is_not_ready_is_rejected(
    prepare: Callable[[Cluster], None],
    line: str,
    cluster: Cluster,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "POD_TIMEOUT_S", 0.8)
    prepare(cluster)
    with pytest.raises(watch.WatchError, match=line) as caught, watching(path) as running:
        running.wait_until_ready()
    assert "no host was changed" in str(caught.value)
    assert cluster.namespaces == []


@pytest.mark.parametrize(
    ("refused", "line"),
    [
        ({"POST /api/v1/namespaces": 403}, "cannot create a namespace for the drill's pods"),
        ({"GET /apis": 403}, "the drill cannot be measured: .*HTTP 403"),
        (
            {"GET /api/v1/namespaces/kube-ha-drill-new/pods": 401},
            "the drill cannot be measured: .*HTTP 401",
        ),
    ],
)
def test_missing_permissions_end_the_measurement(
    refused: dict[str, int], line: str, cluster: Cluster, path: str
) -> None:
    cluster.refused = refused
    with pytest.raises(watch.WatchError, match=line), watching(path) as running:
        running.wait_until_ready()
    assert cluster.namespaces == []


def test_end_of_the_play_ends_the_measurement(cluster: Cluster, path: str) -> None:
    ends = time.monotonic() + 2

    def measure() -> None:
        with watching(path, lambda: time.monotonic() < ends, deadline=60) as running:
            running.wait_until_ready()
            running.finish(time.monotonic(), 0.0)

    with pytest.raises(watch.InterruptedDrillError):
        measure()
    assert cluster.namespaces == []


def test_short_failure_of_the_apiserver_is_tolerated(cluster: Cluster, path: str) -> None:
    with watching(path) as running:
        running.wait_until_ready()
        cluster.refused["GET /apis"] = 503
        time.sleep(0.3)
        cluster.refused.clear()
        fault = time.monotonic()
        cluster.fail(0.2)
        seen = running.finish(fault, 0.0)
    assert verdict.has_leader(seen.samples, fault, takeover=True)
    assert seen.longest_pause > 0.25


def test_malformed_pods_and_events_are_ignored() -> None:
    pods = [
        {"metadata": {"name": "a"}, "spec": {"nodeName": "n"}},
        {"metadata": {"name": "b"}, "spec": {}},
        {"metadata": None, "spec": {"nodeName": "n"}},
        "x",
        {"metadata": {"name": 1}, "spec": {"nodeName": "n"}},
    ]
    assert watch.nodes_by_pod(pods) == {"a": "n"}
    events = [
        {"involvedObject": {"name": name}, "count": count}
        for name, count in (("a", 1), ("b", None), ("a", 1))
    ]
    assert watch.bindings_by_pod(
        [*events, {"involvedObject": {"name": "c"}, "count": 2}, {}, "x"]
    ) == {
        "a": 2,
        "b": 1,
        "c": 2,
    }


def test_pod_requests_nothing_and_never_runs() -> None:
    spec = watch.pod_manifest("p", "batch")["spec"]
    assert spec["schedulerName"] == "batch"
    (container,) = spec["containers"]
    assert container["imagePullPolicy"] == "Never"
    assert "resources" not in container
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_client_sends_objects_and_reports_a_conflict(cluster: Cluster, path: str) -> None:
    with client.load_client(path) as one:
        one.send("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})
        cluster.refused["PUT /x"] = 409
        with pytest.raises(client.StatusError) as caught:
            one.send("PUT", "/x", {})
    assert caught.value.kind == "conflict"
    assert cluster.asked[0] == "POST /api/v1/namespaces"

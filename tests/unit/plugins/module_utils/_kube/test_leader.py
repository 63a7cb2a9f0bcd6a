# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError, LeaseError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import leader, transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import (
    TransportError,
)
from ansible_collections.kube_ha.scheduler.plugins.modules import leader_info as module

from tests.support.apiserver import Server, answer, kubeconfig, lease, refused_port, status
from tests.support.fake_module import one_line
from tests.support.pki import Ca

CA = Ca()
PAIR = CA.issue()
ID = "{}_0f0e0d0c-1111-2222-3333-444455556666"
M1, M2 = ID.format("m1"), ID.format("M2.Example.org")


class Cluster:
    """Provide an apiserver whose Lease the test writes, and the options of leader_info."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: dict[str, Any] | None = lease(M1)
        self.override: Callable[[str], Any] | None = None
        self.renewals = 0
        self.renewing = True
        self.served: dict[str, float] = {}
        self.server = Server(self.respond, PAIR)

    def respond(self, request: str) -> Any:
        found = self.override(request) if self.override else None
        if found is not None:
            return found
        if self.spec is None or "/leases/" not in request:
            return answer(404, status(404, 'leases.coordination.k8s.io "kube-scheduler" not found'))
        self.renewals += self.renewing
        self.served.setdefault(self.spec["spec"]["holderIdentity"], time.monotonic())
        return answer(200, {"spec": {**self.spec["spec"], "renewTime": str(self.renewals)}})

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        threading.Timer(seconds, action).start()

    def query(self, *servers: str, **given: Any) -> tuple[Any, str | None]:
        path = self.folder / "kubeconfig"
        path.write_bytes(kubeconfig([*servers, self.server.url], ca=CA.pem))
        params = {name: option.get("default") for name, option in module.LEADER_ARGUMENTS.items()}
        contexts = [f"c{n}" for n in range(1, len(servers) + 2)] if servers else None
        return leader.query_leader(
            {**params, "kubeconfig": str(path), "contexts": contexts, "timeout": 5.0, **given}
        )

    def error(self, *servers: str, **given: Any) -> str:
        with pytest.raises((KubeError, LeaseError)) as caught:
            self.query(*servers, **given)
        return one_line(caught.value)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    with made.server:
        yield made


def test_leader_is_returned(cluster: Cluster) -> None:
    found, problem = cluster.query()
    assert problem is None
    elapsed = found.pop("elapsed")
    assert 0.04 < elapsed < 1
    assert found == {
        "holder": "m1",
        "holder_identity": M1,
        "state": "held",
        "moving": True,
        "source": "lease",
        "acquire_time": "2026-01-01T00:00:00.000000Z",
        "renew_time": "2",
        "lease_duration": 15,
        "transitions": 3,
        "server": cluster.server.url,
    }
    assert cluster.server.requests[0].startswith(
        b"GET /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler HTTP/1.1\r\n"
    )


def test_lease_without_leader_is_returned(cluster: Cluster) -> None:
    cluster.spec = lease("", leaseDurationSeconds=1)
    found, _error = cluster.query()
    assert (found["holder"], found["holder_identity"], found["state"]) == (None, None, "released")
    cluster.spec = None
    found, _error = cluster.query()
    assert (found["holder"], found["state"], found["source"], found["lease_duration"]) == (
        None,
        "absent",
        None,
        None,
    )
    cluster.spec, cluster.renewing = lease(M1, leaseDurationSeconds=1), False
    found, _error = cluster.query()
    assert (found["holder"], found["state"], found["moving"]) == ("m1", "expired", False)
    assert 1 <= found["elapsed"] < 1.3


@pytest.mark.parametrize(
    ("members", "state"),
    [(["m1"], "held"), ([M1], "held"), (["m2", "M1"], "foreign"), ([], "foreign")],
)
def test_holder_is_compared_with_members(cluster: Cluster, members: list[str], state: str) -> None:
    found, _error = cluster.query(members=members)
    assert (found["state"], found["moving"]) == (state, True)
    found, problem = cluster.query(
        members=members, wait_for="leader", timeout=5.0 if state == "held" else 0.3
    )
    assert (problem is None) == (state == "held")
    assert state == "held" or "m1, which is not one of the members" in str(problem)


def test_change_is_timed_to_50_milliseconds(cluster: Cluster) -> None:
    """leader_info measures the time of a change to 50 ms.

    One of three attempts suffices, because a busy machine can delay each of them.
    """
    cluster.query()  # the first query loads all modules
    errors = []
    for _try in range(3):
        cluster.spec = lease(M1)
        cluster.served.clear()
        cluster.later(0.3, lambda: setattr(cluster, "spec", lease("")))
        cluster.later(0.7, lambda: setattr(cluster, "spec", lease(M2)))
        start = time.monotonic()
        found, problem = cluster.query(wait_for="change")
        assert (problem, found["holder"]) == (None, "M2.Example.org")
        errors.append(abs(found["elapsed"] - (cluster.served[M2] - start)))
        if errors[-1] < 0.05:
            break
    assert min(errors) < 0.05, errors


@pytest.mark.parametrize(
    ("wait_for", "holder", "fulfilled"),
    [
        ("leader", None, True),
        ("holder", "m1", True),
        ("holder", M1, True),
        ("holder", "M1", False),
        ("holder", "m", False),
        ("change", None, False),
        ("change", "m1", False),
        ("change", M1, False),
        ("change", ID.format("m1").replace("0f", "1f"), True),
        ("change", "m2", True),
    ],
)
def test_wait_condition_is_fulfilled_or_times_out(
    cluster: Cluster, wait_for: str, holder: str | None, fulfilled: bool
) -> None:
    found, problem = cluster.query(
        wait_for=wait_for, holder=holder, timeout=5.0 if fulfilled else 0.4
    )
    assert (problem is None) == fulfilled
    assert found["holder"] == "m1"
    assert fulfilled or "timed out after" in str(problem)


@pytest.mark.parametrize("wait_for", ["leader", "holder", "change"])
def test_holder_without_renewal_is_no_leader(cluster: Cluster, wait_for: str) -> None:
    cluster.renewing = False
    holder = {"leader": None, "holder": "m1", "change": "m2"}[wait_for]
    found, problem = cluster.query(wait_for=wait_for, holder=holder, timeout=0.3)
    assert "was not observed to renew it" in str(problem)
    assert (found["state"], found["moving"]) == ("held", False)


def test_change_without_a_first_holder_accepts_the_next(cluster: Cluster) -> None:
    cluster.spec = None
    cluster.later(0.2, lambda: setattr(cluster, "spec", lease(M1)))
    found, problem = cluster.query(wait_for="change")
    assert (problem, found["holder"]) == (None, "m1")


def test_wait_retries_transient_errors(cluster: Cluster) -> None:
    down = [
        answer(503, status(503, "etcd")),
        answer(429, {}),
        answer(500, b""),
        lambda _stream: None,
    ]
    cluster.override = lambda _request: down.pop(0) if down else None
    found, problem = cluster.query(wait_for="leader")
    assert (problem, found["holder"]) == (None, "m1")


def test_error_contains_each_unreachable_apiserver(cluster: Cluster) -> None:
    port = refused_port()
    cluster.server.close()
    text = cluster.error(f"https://127.0.0.1:{port}", wait_for="leader", timeout=0.3)
    assert f":{port}" in text
    assert cluster.server.url in text


def test_next_server_is_used(cluster: Cluster) -> None:
    found, _error = cluster.query(f"https://127.0.0.1:{refused_port()}")
    assert found["server"] == cluster.server.url


OLD = json.dumps(
    {"holderIdentity": M1, "leaseDurationSeconds": 15, "renewTime": "R", "leaderTransitions": 4}
)


def test_annotation_of_an_old_cluster_is_read(cluster: Cluster) -> None:
    def respond(request: str) -> Any:
        cluster.renewals += 1
        if "/leases/" in request:
            return answer(404, b"404 page not found")
        value = OLD.replace("R", str(cluster.renewals))
        return answer(200, {"metadata": {"annotations": {_lease.ANNOTATION: value}}})

    cluster.override = respond
    found, _error = cluster.query()
    assert (found["holder"], found["source"], found["state"], found["transitions"]) == (
        "m1",
        "endpoints",
        "held",
        4,
    )


@pytest.mark.parametrize(
    ("response", "word"),
    [
        (answer(400, status(400, "bad")), "HTTP 400, bad"),
        (answer(401, status(401, "Unauthorized")), "HTTP 401"),
        (
            answer(403, status(403, "no")),
            'resources: ["leases"], resourceNames: ["kube-scheduler"], verbs: ["get"]',
        ),
        (answer(409, status(409, "conflict")), "HTTP 409"),
        (answer(429, status(429, "slow down"), ["Retry-After: 3"]), "retry after 3 s"),
        (answer(500, status(500, "boom")), "HTTP 500, boom"),
        (answer(503, b"no backend"), "HTTP 503"),
        (answer(302, b"", ["Location: https://evil.example/"]), "redirects"),
        (answer(200, b"<html>log in</html>"), "not a JSON object (text/html)"),
        (answer(200, {"spec": {"holderIdentity": 7}}), "holderIdentity"),
        (answer(200, {"spec": None}), "no lease record"),
        (answer(200, lease(renewTime="\n" * 99)), "renewTime"),
        (answer(200, b" " * (5 << 20)), "too large; check the address (more than 4 MiB)"),
        (lambda _stream: time.sleep(3), "timed out"),
        (lambda _stream: None, "closed"),
    ],
)
def test_error_response_is_reported(cluster: Cluster, response: Any, word: str) -> None:
    cluster.override = lambda _request: response
    assert word in cluster.error(timeout=1.0)


def test_error_messages_are_distinct() -> None:
    texts = {str(TransportError(kind, "W")) for kind in transport.ERROR_MESSAGES}
    assert len(texts) == len(transport.ERROR_MESSAGES)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"name": ""}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "A"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"namespace": "a b"}, "namespace"),
        ({"namespace": "x" * 254}, "namespace"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"poll_interval": 0.0}, "poll_interval"),
        ({"holder": "m1"}, "holder"),
        ({"holder": "m1", "wait_for": "leader"}, "holder"),
        ({"holder": "", "wait_for": "change"}, "holder"),
        ({"kubeconfig": "/nowhere"}, "/nowhere"),
        ({"kubeconfig": "relative"}, "relative"),
        ({"contexts": ["none"]}, "no context 'none'"),
    ],
)
def test_invalid_option_is_rejected(cluster: Cluster, given: dict[str, Any], word: str) -> None:
    assert word in cluster.error(**given)
    assert cluster.server.requests == []


IDENTITIES = ["", None, "m1", "a_b", "_", M1.upper(), "x" * 1024, "é\u202e_\n", ID.format("a_b.C")]
TIMES = [None, "2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "nonsense", ""]


@pytest.mark.parametrize("duration", [0, 1, 2**31 - 1, None])
def test_unusual_records_are_returned_unchanged(duration: int | None) -> None:
    for identity, renewed in itertools.product(IDENTITIES, TIMES):
        spec = {"holderIdentity": identity, "leaseDurationSeconds": duration, "renewTime": renewed}
        record = _lease.parse_lease({"spec": spec}, "lease")
        clock = map(float, itertools.count())
        observation, _done = _lease.observe(
            partial(lambda found: found, record),
            timeout=30,
            clock=clock.__next__,
            sleep=lambda _seconds: None,
        )
        found = _lease.to_lease_result(observation)
        assert found["holder_identity"] == (identity or None)
        assert found["renew_time"] == renewed
        assert found["state"] == (
            ("expired" if (duration or 0) < 30 else "held") if identity else "released"
        )
        assert not found["moving"]
        one_line(Exception(leader.describe_state(observation)))

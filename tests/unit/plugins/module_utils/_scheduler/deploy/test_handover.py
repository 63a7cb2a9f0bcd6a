"""Test the handover of a lease with a fake apiserver."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import names
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import handover
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.lease_observation import (
    parse_record,
)

from tests.support.apiserver import Server, answer, kubeconfig, lease, status
from tests.support.host import UNIT_NAME
from tests.support.pki import Ca

UUID = "12345678-1234-1234-1234-123456789abc"
OWN, OTHER = f"{socket.gethostname()}_{UUID}", f"m2.example_{UUID}"


class Cluster(systemd.Systemd):
    """Provide the unit of a leader, and a lease that changes after the unit stops."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.holder = OWN
        self.reads = 0
        self.objects = "/namespaces/kube-system/leases/kube-scheduler"
        self.endpoints: Callable[[int], Any] | None = None
        self.then: Callable[[int], bytes] = self.released_then_taken

    def stop(self, unit: str) -> None:
        self.did.append(f"stop {unit}")

    def start(self, unit: str) -> None:
        self.did.append(f"start {unit}")

    def respond(self, request: str) -> bytes:
        if self.endpoints and "/endpoints/kube-scheduler" in request:
            record = (
                self.endpoints(self.reads) if self.did else self.record(self.holder, self.reads, 3)
            )
            return answer(
                200, {"metadata": {"annotations": {_lease.ANNOTATION: json.dumps(record)}}}
            )
        assert self.objects in request
        self.reads += 1
        if not self.did:
            return answer(200, self.lease(self.holder, self.reads % 60, 3))
        return self.then(self.reads)

    @staticmethod
    def lease(holder: str, renew: int, transitions: int) -> Any:
        document = lease(holder, renew)
        document["spec"]["leaseTransitions"] = transitions
        return document

    @staticmethod
    def record(holder: str, renew: int, transitions: int) -> Any:
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "renewTime": f"2026-11-27T10:00:{renew % 60:02}Z",
            "leaderTransitions": transitions,
        }

    def released_then_taken(self, number: int) -> bytes:
        """Return a released lease, and in later reads a lease with another holder."""
        if number < 4:
            return answer(200, self.lease("", 0, 3))
        return answer(200, self.lease(OTHER, min(number // 3, 59), 4))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(names, "CREDENTIALS_DIR", str(tmp_path / "credentials"))
    monkeypatch.setattr(handover, "HANDOVER_POLL_S", 0.01)
    cluster, ca = Cluster(), Ca()
    with Server(cluster.respond, ca.issue()) as server:
        path = tmp_path / "kubeconfig"
        path.write_bytes(kubeconfig([server.url], ca=ca.pem))
        path.chmod(0o600)
        cluster.path = str(path)  # type: ignore[attr-defined]
        yield cluster


def hand_over(
    cluster: Any, timeout: float = 5.0, lock: str = "leases"
) -> handover.HandoverResult | None:
    options = handover.HandoverOptions(cluster.path, "kube-scheduler", "kube-system", lock, timeout)
    return handover.hand_over(UNIT_NAME, cluster, options, (Proc(), 0))


@pytest.mark.parametrize("holder", [OWN, OTHER])
def test_read_lease_returns_the_lease_before_a_first_start(cluster: Any, holder: str) -> None:
    cluster.holder = holder
    result = handover.read_initial_lease(cluster.path, "kube-scheduler", "kube-system")
    assert result is not None
    assert (result["state"], result["holder_identity"], result["moving"], cluster.reads) == (
        "held",
        holder,
        False,
        1,
    )
    assert parse_record(result) is not _lease.NO_RECORD


def test_read_lease_without_a_lease_has_no_record(cluster: Any) -> None:
    """The lock objects of old versions are missing too."""
    cluster.then = lambda _number: answer(404, status(404, "no"))
    cluster.did.append("no lease")
    cluster.objects = "/namespaces/kube-system/"
    result = handover.read_initial_lease(cluster.path, "kube-scheduler", "kube-system")
    assert parse_record(result) is _lease.NO_RECORD


@pytest.mark.parametrize("cause", ["forbidden", "no kubeconfig", "writable by all users"])
def test_read_lease_without_access_returns_none(cluster: Any, cause: str) -> None:
    if cause == "forbidden":
        cluster.then = lambda _number: answer(403, status(403, "no"))
        cluster.did.append("forbidden")
    elif cause == "no kubeconfig":
        Path(cluster.path).unlink()
    else:
        Path(cluster.path).chmod(0o666)
    assert handover.read_initial_lease(cluster.path, "kube-scheduler", "kube-system") is None


def test_handover_waits_until_another_member_renews(cluster: Cluster) -> None:
    result = hand_over(cluster)
    assert result is not None
    assert (result["holder"], result["released"], result["transitions"]) == ("m2.example", True, 1)
    assert 0 < result["seconds"] < 5
    assert cluster.did == [f"stop {UNIT_NAME}"]
    # With the first record, the member takes the lease. With the second record, the member renews
    # the lease.
    assert cluster.reads >= 6


def test_host_that_does_not_lead_is_not_stopped(cluster: Cluster) -> None:
    cluster.holder = OTHER
    assert hand_over(cluster) is None
    assert cluster.did == []


def test_unreleased_lease_is_reported(cluster: Cluster) -> None:
    cluster.then = lambda number: answer(
        200, cluster.lease(OWN if number < 9 else OTHER, number // 3, 3 + (number > 8))
    )
    result = hand_over(cluster)
    assert result is not None
    assert (result["holder"], result["released"]) == ("m2.example", False)


@pytest.mark.parametrize("count", [0, 3])
def test_transitions_of_another_object_are_not_counted(cluster: Cluster, count: int) -> None:
    """With the lock type endpointsleases, the first record is from the Endpoints object."""
    cluster.then = lambda number: answer(200, cluster.lease(OTHER, min(number, 59), count))
    result = hand_over(cluster)
    assert result is not None
    assert (result["holder"], result["transitions"]) == ("m2.example", 0)
    assert cluster.did == [f"stop {UNIT_NAME}"]


@pytest.mark.parametrize("released", [True, False])
def test_handover_follows_the_object_that_is_written(cluster: Cluster, released: bool) -> None:
    """If the lock changes from endpointsleases to endpoints, the Lease no longer changes."""
    cluster.then = lambda _number: answer(200, cluster.lease("" if released else OWN, 0, 3))
    cluster.endpoints = lambda number: cluster.record(OTHER, number, 4)
    result = hand_over(cluster, lock="endpointsleases")
    assert result is not None
    assert (result["holder"], result["transitions"]) == ("m2.example", 1)
    assert cluster.did == [f"stop {UNIT_NAME}"]


def test_previous_holder_of_the_other_object_does_not_lead(cluster: Cluster) -> None:
    cluster.then = lambda number: answer(200, cluster.lease(OWN, 0, 3))
    cluster.endpoints = lambda _number: cluster.record(OTHER, 7, 1)
    with pytest.raises(FilesetError, match="no other member took the lease"):
        hand_over(cluster, timeout=0.3, lock="endpointsleases")
    assert cluster.did == [f"stop {UNIT_NAME}", f"start {UNIT_NAME}"]


@pytest.mark.parametrize("kind", ["no holder", "never renewed", "the same holder"])
def test_unit_is_started_again_if_no_member_takes_the_lease(cluster: Cluster, kind: str) -> None:
    """If no member takes the lease, nothing is promoted."""
    last = {"no holder": ("", 0), "never renewed": (OTHER, 4), "the same holder": (OWN, 3)}[kind]
    cluster.then = lambda number: answer(200, cluster.lease(last[0], 0, last[1]))
    with pytest.raises(FilesetError) as caught:
        hand_over(cluster, timeout=0.3)
    assert str(caught.value) == (
        f"{UNIT_NAME}: the leader was stopped, but no other member took the lease within 0.3 s;"
        " nothing was promoted, and the unit was started again; check the remaining members"
    )
    assert cluster.did == [f"stop {UNIT_NAME}", f"start {UNIT_NAME}"]


def test_busy_apiserver_is_retried_but_a_denial_is_not(cluster: Cluster) -> None:
    busy = time.monotonic() + 0.3
    cluster.then = lambda number: (
        answer(503, status(503, "x"))
        if time.monotonic() < busy
        else cluster.released_then_taken(number + 3)
    )
    assert hand_over(cluster) is not None
    cluster.did.clear()
    cluster.then = lambda _number: answer(403, status(403, "no"))
    with pytest.raises(
        FilesetError, match=r"the leader was stopped, but the lease could not be read \("
    ):
        hand_over(cluster)
    assert cluster.did == [f"stop {UNIT_NAME}", f"start {UNIT_NAME}"]


def test_unreadable_lease_stops_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.respond = lambda request: answer(403, status(403, "no"))  # type: ignore[method-assign]
    Path(cluster.path).unlink()  # type: ignore[attr-defined]
    with pytest.raises(
        FilesetError,
        match=f"^{UNIT_NAME}: the leader was not stopped, because the lease cannot be read: ",
    ):
        hand_over(cluster)
    assert cluster.did == []

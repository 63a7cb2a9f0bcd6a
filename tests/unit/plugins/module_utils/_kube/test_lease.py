# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError, LeaseError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from hypothesis import given
from hypothesis import strategies as st

from tests.support.apiserver import lease

UUID = "0f0e0d0c-1111-2222-3333-444455556666"
LEASE = _lease.RECORD_SOURCES["lease"][0].format("ns", "n")


@pytest.mark.parametrize(
    ("identity", "node"),
    [
        (f"m1_{UUID}", "m1"),
        (f"M1.Example.ORG_{UUID}", "M1.Example.ORG"),
        (f"a_b__c_{UUID}", "a_b__c"),
        (f"m1_{UUID}_{UUID}", f"m1_{UUID}"),
        (f"a\nb_{UUID}", "a\nb"),
        (UUID, UUID),
        (f"_{UUID}", f"_{UUID}"),
        ("m1", "m1"),
        ("my_host", "my_host"),
        (f"m1_{UUID}\n", f"m1_{UUID}\n"),
        ("", ""),
        ("x" * 1024, "x" * 1024),
    ],
)
def test_node_is_identity_without_uuid(identity: str, node: str) -> None:
    assert _lease.node_of(identity) == node


@given(st.text(min_size=1))
def test_node_of_any_hostname(host: str) -> None:
    assert _lease.node_of(f"{host}_{UUID}") == host


def test_lease_is_parsed() -> None:
    record = _lease.parse_lease(lease(f"m1_{UUID}"), "lease")
    assert record == _lease.LeaseRecord(
        identity=f"m1_{UUID}",
        lease_duration=15,
        acquire_time="2026-01-01T00:00:00.000000Z",
        renew_time="2026-01-01T00:00:00.000000Z",
        transitions=3,
        source="lease",
    )
    assert record.node == "m1"


def annotated(value: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": {_lease.ANNOTATION: value}}}


def test_annotation_is_parsed() -> None:
    value = {
        "holderIdentity": "m1",
        "leaseDurationSeconds": 15,
        "renewTime": "x",
        "leaderTransitions": 2,
    }
    record = _lease.parse_lease(annotated(json.dumps(value)), "endpoints")
    assert record == _lease.LeaseRecord("m1", 15, None, "x", 2, "endpoints")


@pytest.mark.parametrize(
    "obj", [{}, {"metadata": None}, {"metadata": {"annotations": None}}, {"metadata": {}}]
)
def test_missing_annotation_is_no_record(obj: dict[str, Any]) -> None:
    assert _lease.parse_lease(obj, "configmap") is None


@pytest.mark.parametrize(
    ("obj", "source"),
    [
        ({}, "lease"),
        ({"spec": None}, "lease"),
        ({"spec": []}, "lease"),
        (lease(holderIdentity=7), "lease"),
        (lease(leaseDurationSeconds="15"), "lease"),
        (lease(leaseDurationSeconds=True), "lease"),
        (lease(leaseTransitions=1.5), "lease"),
        (lease(leaseDurationSeconds=-1), "lease"),
        (lease(leaseDurationSeconds=2**31), "lease"),
        (lease(leaseTransitions=-1), "lease"),
        (lease(leaseTransitions=2**31), "lease"),
        (lease(renewTime=0), "lease"),
        (lease(renewTime="x" * 65), "lease"),
        (lease(renewTime="a\nb"), "lease"),
        (lease(acquireTime="\u202e"), "lease"),
        (lease(acquireTime=["x"]), "lease"),
        (annotated("{"), "endpoints"),
        (annotated("[]"), "endpoints"),
        (annotated("null"), "endpoints"),
        (annotated("[" * 100_000), "endpoints"),
        (annotated(7), "configmap"),
    ],
)
def test_invalid_record_is_rejected(obj: dict[str, Any], source: str) -> None:
    with pytest.raises(LeaseError, match=source):
        _lease.parse_lease(obj, source)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_any_object_gives_a_record_or_an_error(value: Any) -> None:
    for source in _lease.RECORD_SOURCES:
        for obj in (
            {"spec": value},
            annotated(value),
            annotated(json.dumps(value)),
            {"metadata": value},
        ):
            with contextlib.suppress(LeaseError):
                _lease.parse_lease(obj, source)


class World:
    """Provide an apiserver and a clock that advances only during sleeps and requests."""

    def __init__(self, *script: tuple[float, Any], step: float = 0.0) -> None:
        self.now = 1000.0
        self.step = step
        self.script = script
        self.paths: list[str] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def get(self, path: str) -> Any:
        """Return the response that the script has for the current time.

        The script is a list of pairs of start time and response. A response is an object, an error
        kind, or a dictionary of both by path.
        """
        self.paths.append(path)
        self.now += self.step
        found = [value for since, value in self.script if since <= self.now - 1000.0][-1]
        if isinstance(found, dict) and "spec" not in found and "metadata" not in found:
            found = found.get(path, "not_found")
        if isinstance(found, KubeError):
            raise found
        if isinstance(found, str):
            raise KubeError(found, f"{path}: {found}")
        return found

    def observe(
        self,
        is_done: Callable[[_lease.LeaseObservation], bool] = _lease.is_conclusive,
        *,
        timeout: float = 60.0,
        **options: Any,
    ) -> tuple[_lease.LeaseObservation, bool]:
        read = _lease.make_reader(self.get, "ns", "n")
        return _lease.observe(
            read, is_done, timeout=timeout, clock=self.clock, sleep=self.sleep, **options
        )


def test_renewing_holder_is_moving() -> None:
    observation, done = World((0, lease(renew=1)), (2, lease(renew=3))).observe()
    assert done
    assert (observation.state, observation.moving, observation.leads) == ("held", True, True)
    assert observation.elapsed == pytest.approx(2, abs=0.06)


def record(**spec: Any) -> _lease.LeaseRecord | None:
    return _lease.parse_lease(lease(**spec), "lease")


def test_first_read_that_differs_from_before_is_moving() -> None:
    observation, done = World((0, lease(renew=3))).observe(before=record(renew=1))
    assert done
    assert (observation.state, observation.moving, observation.elapsed) == ("held", True, 0)
    # After the earlier read, a new holder wrote the lease.
    assert World((0, lease("b"))).observe(before=record(identity="a"))[0].moving
    assert (
        World((0, lease("b"))).observe(before=record(identity=""), members=["c"])[0].state
        == "foreign"
    )


def test_first_read_that_equals_before_is_not_moving() -> None:
    observation, _done = World((0, lease(renew=1)), (2, lease(renew=3))).observe(
        before=record(renew=1)
    )
    assert (observation.moving, observation.elapsed) == (True, pytest.approx(2, abs=0.06))
    # The time of the earlier read is unknown, so that the lease duration starts at the first new
    # read.
    observation, _done = World((0, lease(leaseDurationSeconds=7))).observe(
        before=record(leaseDurationSeconds=7)
    )
    assert (observation.state, observation.moving, observation.elapsed) == (
        "expired",
        False,
        pytest.approx(7, abs=0.06),
    )


def test_earlier_record_of_another_kind_is_ignored() -> None:
    before = _lease.LeaseRecord("m1", 15, None, "x", 2, "endpoints")
    assert not World((0, lease())).observe(before=before, timeout=0)[0].moving
    assert World((0, lease(""))).observe(before=record())[0].state == "released"
    assert World((0, "not_found")).observe(before=record())[0].state == "absent"


def test_unchanged_lease_expires_after_its_duration() -> None:
    observation, done = World((0, lease(leaseDurationSeconds=7))).observe()
    assert done
    assert (observation.state, observation.moving, observation.node) == ("expired", False, "m1")
    assert observation.elapsed == pytest.approx(7, abs=0.06)


def test_slow_responses_do_not_expire_a_lease() -> None:
    # Each response takes 10 s. The second request follows the first response immediately.
    world = World((0, lease(leaseDurationSeconds=5)), step=10)
    observation, done = world.observe(
        lambda observation: observation.state == "expired", timeout=20, interval=1
    )
    assert (observation.state, done) == ("held", False)


def test_released_absent_and_zero_duration_states() -> None:
    assert World((0, lease("", leaseDurationSeconds=1))).observe()[0].state == "released"
    assert World((0, lease(None))).observe()[0].state == "released"
    assert World((0, "not_found")).observe()[0].state == "absent"
    for seconds in (0, None):
        assert World((0, lease(leaseDurationSeconds=seconds))).observe()[0].state == "expired"


def test_times_of_a_record_are_only_compared_for_equality() -> None:
    for first, second in ((None, "x"), ("2099-01-01", "1970-01-01"), ("x", None)):
        observation, _done = World(
            (0, lease(renewTime=first)), (1, lease(renewTime=second))
        ).observe()
        assert (observation.state, observation.moving) == ("held", True)


@pytest.mark.parametrize(
    ("members", "state"),
    [(["m1"], "held"), (["M1"], "foreign"), ([], "foreign"), (["m"], "foreign")],
)
def test_foreign_holder_does_not_lead(members: list[str], state: str) -> None:
    observation, _done = World((0, lease(renew=1)), (2, lease(renew=3))).observe(members=members)
    assert (observation.state, observation.moving, observation.leads) == (
        state,
        True,
        state == "held",
    )


def test_foreign_lease_expires() -> None:
    assert World((0, lease())).observe(members=["m2"])[0].state == "expired"


def test_timeout_returns_the_last_observation() -> None:
    observation, done = World((0, lease())).observe(timeout=3)
    assert (observation.state, done, observation.elapsed) == ("held", False, pytest.approx(3))


def test_new_holder_leads_immediately() -> None:
    world = World((0, lease("a")), (5, lease("")), (6.3, lease("b")))
    observation, done = world.observe(
        lambda observation: observation.leads and observation.node != "a"
    )
    assert (done, observation.node) == (True, "b")
    assert observation.elapsed == pytest.approx(6.3, abs=0.051)


def test_transient_errors_are_retried() -> None:
    script = (
        (0, lease("a")),
        (1, "refused"),
        (2, "server_error"),
        (3, "throttled"),
        (4, lease("b")),
    )
    observation, _done = World(*script).observe(
        lambda observation: observation.node == "b", retry_first=True
    )
    assert observation.node == "b"
    assert World(*script).observe(lambda observation: observation.node == "b")[1]
    with pytest.raises(KubeError, match="refused"):
        World((0, "refused"), *script[1:]).observe()
    with pytest.raises(KubeError, match="forbidden"):
        World((0, lease("a")), (1, "forbidden")).observe(
            lambda observation: False, retry_first=True
        )
    with pytest.raises(KubeError, match="refused"):
        World((0, "refused")).observe(retry_first=True, timeout=3)


def test_outage_is_no_renewal() -> None:
    # The last write of the holder was before the outage. Another scheduler treats the lease as
    # expired.
    script = ((0, lease(renew=1)), (1, lease(renew=2)), (2, "refused"), (30, lease(renew=2)))
    observation, _done = World(*script).observe(
        lambda observation: observation.state == "expired", retry_first=True
    )
    assert observation.elapsed == pytest.approx(30, abs=0.06)


def test_retry_after_is_respected_until_the_timeout() -> None:
    def read() -> None:
        raise KubeError("throttled", "x", retry_after=7)

    sleeps = []
    clock = iter([0, 0, 0, 7, 7, 14, 14, 21, 21, 28]).__next__
    with pytest.raises(KubeError):
        _lease.observe(read, timeout=10, retry_first=True, clock=clock, sleep=sleeps.append)
    assert sleeps[:2] == [7, 3]


def test_annotation_is_read_without_a_lease_and_kept_as_source() -> None:
    paths = [path.format("ns", "n") for path, _group, _resource in _lease.RECORD_SOURCES.values()]
    record = json.dumps({"holderIdentity": "m1", "leaseDurationSeconds": 15})
    for source, path in list(zip(_lease.RECORD_SOURCES, paths))[1:]:
        world = World(
            (
                0,
                {
                    path: annotated(record),
                    paths[1]: annotated(record) if path == paths[1] else {"metadata": {}},
                },
            )
        )
        observation, _done = world.observe(lambda observation: bool(observation.record), timeout=0)
        assert observation.record
        assert (observation.record.source, observation.node) == (source, "m1")
        world.observe(timeout=1)
        assert world.paths[-1] == path
        assert world.paths.count(paths[0]) == 2


def test_removed_source_is_searched_again() -> None:
    world = World((0, lease()), (2, "not_found"))
    assert world.observe(lambda observation: observation.state == "absent")[0].record is None


def test_forbidden_shows_the_missing_rule() -> None:
    with pytest.raises(
        KubeError, match=r'apiGroups: \["coordination.k8s.io"\], resources: \["leases"\]'
    ):
        World((0, "forbidden")).observe()


def test_forbidden_annotation_fails_only_without_leases() -> None:
    paths = [path.format("ns", "n") for path, _group, _resource in _lease.RECORD_SOURCES.values()]
    script = {paths[1]: "forbidden", paths[2]: "forbidden"}
    with pytest.raises(KubeError, match=r'apiGroups: \[""\], resources: \["endpoints"\]'):
        World((0, script)).observe()
    absent = KubeError("not_found", 'HTTP 404, leases.coordination.k8s.io "n" not found')
    assert World((0, {**script, paths[0]: absent})).observe()[0].state == "absent"


def test_names_are_escaped_in_the_path() -> None:
    paths = []

    def get(path: str) -> dict[str, Any]:
        paths.append(path)
        return lease()

    _lease.make_reader(get, "../x", "a/b?c")()
    assert paths == ["/apis/coordination.k8s.io/v1/namespaces/..%2Fx/leases/a%2Fb%3Fc"]

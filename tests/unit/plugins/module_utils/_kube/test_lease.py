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
def test_node_is_split_from_the_right(identity: str, node: str) -> None:
    assert _lease.node_of(identity) == node


@given(st.text(min_size=1))
def test_any_host_name_comes_back(host: str) -> None:
    assert _lease.node_of(f"{host}_{UUID}") == host


def test_a_lease() -> None:
    record = _lease.parse_record(lease(f"m1_{UUID}"), "lease")
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


def test_an_annotation() -> None:
    value = {
        "holderIdentity": "m1",
        "leaseDurationSeconds": 15,
        "renewTime": "x",
        "leaderTransitions": 2,
    }
    record = _lease.parse_record(annotated(json.dumps(value)), "endpoints")
    assert record == _lease.LeaseRecord("m1", 15, None, "x", 2, "endpoints")


@pytest.mark.parametrize(
    "obj", [{}, {"metadata": None}, {"metadata": {"annotations": None}}, {"metadata": {}}]
)
def test_no_annotation(obj: dict[str, Any]) -> None:
    assert _lease.parse_record(obj, "configmap") is None


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
def test_what_is_no_record_says_so(obj: dict[str, Any], source: str) -> None:
    with pytest.raises(LeaseError, match=source):
        _lease.parse_record(obj, source)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_no_object_breaks_the_parser(value: Any) -> None:
    for source in _lease.RECORD_SOURCES:
        for obj in (
            {"spec": value},
            annotated(value),
            annotated(json.dumps(value)),
            {"metadata": value},
        ):
            with contextlib.suppress(LeaseError):
                _lease.parse_record(obj, source)


class World:
    """An apiserver and a clock that moves only by sleeping and by asking."""

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
        """The script is (since, answer) pairs; an answer is an object, an error kind, or a dict of both by path."""
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
        done: Callable[[_lease.Observation], bool] = _lease.is_conclusive,
        *,
        timeout: float = 60.0,
        **options: Any,
    ) -> tuple[_lease.Observation, bool]:
        read = _lease.make_reader(self.get, "ns", "n")
        return _lease.observe(
            read, done, timeout=timeout, clock=self.clock, sleep=self.sleep, **options
        )


def test_a_holder_that_renews_is_moving() -> None:
    view, done = World((0, lease(renew=1)), (2, lease(renew=3))).observe()
    assert done
    assert (view.state, view.moving, view.leads) == ("held", True, True)
    assert view.elapsed == pytest.approx(2, abs=0.06)


def record(**spec: Any) -> _lease.LeaseRecord | None:
    return _lease.parse_record(lease(**spec), "lease")


def test_a_first_reading_that_differs_from_an_earlier_record_is_moving() -> None:
    view, done = World((0, lease(renew=3))).observe(before=record(renew=1))
    assert done
    assert (view.state, view.moving, view.elapsed) == ("held", True, 0)
    # A holder that took the record since then has written it.
    assert World((0, lease("b"))).observe(before=record(identity="a"))[0].moving
    assert (
        World((0, lease("b"))).observe(before=record(identity=""), members=["c"])[0].state
        == "foreign"
    )


def test_a_first_reading_that_equals_an_earlier_record_is_not() -> None:
    view, _done = World((0, lease(renew=1)), (2, lease(renew=3))).observe(before=record(renew=1))
    assert (view.moving, view.elapsed) == (True, pytest.approx(2, abs=0.06))
    # When the earlier record was read is not known, so the duration begins now.
    view, _done = World((0, lease(leaseDurationSeconds=7))).observe(
        before=record(leaseDurationSeconds=7)
    )
    assert (view.state, view.moving, view.elapsed) == ("expired", False, pytest.approx(7, abs=0.06))


def test_an_earlier_record_of_another_object_says_nothing() -> None:
    before = _lease.LeaseRecord("m1", 15, None, "x", 2, "endpoints")
    assert not World((0, lease())).observe(before=before, timeout=0)[0].moving
    assert World((0, lease(""))).observe(before=record())[0].state == "released"
    assert World((0, "not_found")).observe(before=record())[0].state == "absent"


def test_a_holder_that_stands_still_is_expired_after_its_own_duration() -> None:
    view, done = World((0, lease(leaseDurationSeconds=7))).observe()
    assert done
    assert (view.state, view.moving, view.node) == ("expired", False, "m1")
    assert view.elapsed == pytest.approx(7, abs=0.06)


def test_slow_answers_do_not_make_a_holder_expired() -> None:
    # Ten seconds for each answer: the second one was requested just after the first had come.
    world = World((0, lease(leaseDurationSeconds=5)), step=10)
    view, done = world.observe(lambda view: view.state == "expired", timeout=20, interval=1)
    assert (view.state, done) == ("held", False)


def test_released_and_absent_and_zero_duration() -> None:
    assert World((0, lease("", leaseDurationSeconds=1))).observe()[0].state == "released"
    assert World((0, lease(None))).observe()[0].state == "released"
    assert World((0, "not_found")).observe()[0].state == "absent"
    for seconds in (0, None):
        assert World((0, lease(leaseDurationSeconds=seconds))).observe()[0].state == "expired"


def test_the_times_of_the_record_are_only_compared_with_each_other() -> None:
    for first, second in ((None, "x"), ("2099-01-01", "1970-01-01"), ("x", None)):
        view, _done = World((0, lease(renewTime=first)), (1, lease(renewTime=second))).observe()
        assert (view.state, view.moving) == ("held", True)


@pytest.mark.parametrize(
    ("members", "state"),
    [(["m1"], "held"), (["M1"], "foreign"), ([], "foreign"), (["m"], "foreign")],
)
def test_members(members: list[str], state: str) -> None:
    view, _done = World((0, lease(renew=1)), (2, lease(renew=3))).observe(members=members)
    assert (view.state, view.moving, view.leads) == (state, True, state == "held")


def test_a_dead_foreigner_is_expired() -> None:
    assert World((0, lease())).observe(members=["m2"])[0].state == "expired"


def test_time_out() -> None:
    view, done = World((0, lease())).observe(timeout=3)
    assert (view.state, done, view.elapsed) == ("held", False, pytest.approx(3))


def test_a_new_holder_counts_at_once() -> None:
    world = World((0, lease("a")), (5, lease("")), (6.3, lease("b")))
    view, done = world.observe(lambda view: view.leads and view.node != "a")
    assert (done, view.node) == (True, "b")
    assert view.elapsed == pytest.approx(6.3, abs=0.051)


def test_patience_is_for_failures_that_pass() -> None:
    script = (
        (0, lease("a")),
        (1, "refused"),
        (2, "server_error"),
        (3, "throttled"),
        (4, lease("b")),
    )
    view, _done = World(*script).observe(lambda view: view.node == "b", retry_first=True)
    assert view.node == "b"
    assert World(*script).observe(lambda view: view.node == "b")[1]
    with pytest.raises(KubeError, match="refused"):
        World((0, "refused"), *script[1:]).observe()
    with pytest.raises(KubeError, match="forbidden"):
        World((0, lease("a")), (1, "forbidden")).observe(lambda view: False, retry_first=True)
    with pytest.raises(KubeError, match="refused"):
        World((0, "refused")).observe(retry_first=True, timeout=3)


def test_a_time_without_answers_is_no_renewal() -> None:
    # The holder wrote last before the outage; a candidate would call it expired afterwards.
    script = ((0, lease(renew=1)), (1, lease(renew=2)), (2, "refused"), (30, lease(renew=2)))
    view, _done = World(*script).observe(lambda view: view.state == "expired", retry_first=True)
    assert view.elapsed == pytest.approx(30, abs=0.06)


def test_a_server_that_asks_to_wait_is_heeded_until_the_time_is_up() -> None:
    def read() -> None:
        raise KubeError("throttled", "x", retry_after=7)

    sleeps = []
    clock = iter([0, 0, 0, 7, 7, 14, 14, 21, 21, 28]).__next__
    with pytest.raises(KubeError):
        _lease.observe(read, timeout=10, retry_first=True, clock=clock, sleep=sleeps.append)
    assert sleeps[:2] == [7, 3]


def test_annotations_are_read_where_there_is_no_lease_and_the_source_is_kept() -> None:
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
        view, _done = world.observe(lambda view: bool(view.record), timeout=0)
        assert view.record
        assert (view.record.source, view.node) == (source, "m1")
        world.observe(timeout=1)
        assert world.paths[-1] == path
        assert world.paths.count(paths[0]) == 2


def test_a_source_that_goes_away_is_looked_for_again() -> None:
    world = World((0, lease()), (2, "not_found"))
    assert world.observe(lambda view: view.state == "absent")[0].record is None


def test_forbidden_names_the_missing_rule() -> None:
    with pytest.raises(
        KubeError, match=r'apiGroups: \["coordination.k8s.io"\], resources: \["leases"\]'
    ):
        World((0, "forbidden")).observe()


def test_an_annotation_that_may_not_be_read_matters_only_where_no_leases_are_served() -> None:
    paths = [path.format("ns", "n") for path, _group, _resource in _lease.RECORD_SOURCES.values()]
    script = {paths[1]: "forbidden", paths[2]: "forbidden"}
    with pytest.raises(KubeError, match=r'apiGroups: \[""\], resources: \["endpoints"\]'):
        World((0, script)).observe()
    absent = KubeError("not_found", 'HTTP 404, leases.coordination.k8s.io "n" not found')
    assert World((0, {**script, paths[0]: absent})).observe()[0].state == "absent"


def test_names_cannot_leave_their_place_in_the_path() -> None:
    paths = []

    def get(path: str) -> dict[str, Any]:
        paths.append(path)
        return lease()

    _lease.make_reader(get, "../x", "a/b?c")()
    assert paths == ["/apis/coordination.k8s.io/v1/namespaces/..%2Fx/leases/a%2Fb%3Fc"]

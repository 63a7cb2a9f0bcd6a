"""The order of a rollout, what stops it, and what the members' answers amount to."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import Timings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import rollout, status

DRIFT = [{"part": "config", "reason": "/etc/kubernetes/kube-scheduler.yaml: content differs"}]
ORDER = [["m1"], ["m3"], ["m2"]]
VERSIONS = {"1.20": {"releases": False}, "1.37": {"releases": True}}


def answer(name: str, holder: str = "m2", **given: Any) -> dict[str, Any]:
    return {
        "hostname": f"{name}.example",
        "healthy": True,
        "problems": [],
        "not_checked": [],
        "unit": {"active_state": "active"},
        "process": {"version": "1.37.2"},
        "lease": {"holder": f"{holder}.example" if holder else None, "moving": True, "state": "held", "transitions": 3},
        "probes": {"served": {"days_left": 364}, "used": {"days_left": 363}, "metrics_http": None},
        "drift": DRIFT,
        **given,
    }


def answers(**given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: answer(name, **given.get(name, {})) for name in ("m1", "m2", "m3")}


def test_the_leader_goes_last() -> None:
    assert rollout.batches(answers()) == ORDER


def test_what_is_as_planned_is_left_alone() -> None:
    assert rollout.batches(answers(m1={"drift": []}, m2={"drift": []})) == [["m3"]]
    assert rollout.batches({name: answer(name, drift=[]) for name in ("m1", "m2")}) == []


def test_the_sick_go_first() -> None:
    assert rollout.batches(answers(m3={"healthy": False})) == [["m3"], ["m1"], ["m2"]]


def test_a_sick_leader_goes_last_while_it_renews_its_lease() -> None:
    sick = {"healthy": False}
    assert rollout.batches(answers(m2=sick)) == ORDER
    still = {"lease": {"holder": "m2.example", "moving": False}}
    assert rollout.batches(answers(m2={**sick, **still})) == [["m2"], ["m1"], ["m3"]]


def test_all_at_once_where_nobody_is_healthy() -> None:
    sick = {"healthy": False, "lease": None}
    assert rollout.batches(answers(m1=sick, m2=sick, m3=sick)) == [["m1", "m2", "m3"]]


def test_one_healthy_member_without_drift_keeps_the_order() -> None:
    sick = {"healthy": False, "lease": None}
    assert rollout.batches(answers(m1=sick, m2={"drift": []}, m3=sick)) == [["m1"], ["m3"]]


@pytest.mark.parametrize(("position", "rolled"), [(0, []), (1, ["m1"]), (2, ["m1", "m3"]), (3, ["m1", "m3", "m2"])])
def test_a_turn(position: int, rolled: list[str]) -> None:
    assert rollout.gate(ORDER, position, rolled, []) == ([], False)


def test_before_ones_turn() -> None:
    [line] = rollout.gate(ORDER, 2, ["m1"], []).faults
    assert line.startswith("m2 would be rolled before m3: the strategy of this play does not keep the hosts together")


def test_a_failed_member_stops_the_rollout() -> None:
    assert rollout.gate(ORDER, 1, [], ["m1"]) == ([], True)
    [line] = rollout.gate(ORDER, 3, [], ["m1"]).faults
    assert line == "the rollout stopped because of m1; the members after it were left as they are"


def test_when_the_answers_are_outdated() -> None:
    playing = ["m1", "m2", "m3"]
    assert not rollout.outdated([], playing)
    assert not rollout.outdated([["m3", "m1", "m2"]], playing)
    assert rollout.outdated([["m1"]], playing)
    assert rollout.outdated(ORDER, playing)


def verdict(found: dict[str, dict[str, Any]], name: str = "m1", members: str = "m1 m2 m3", **given: Any) -> list[str]:
    return rollout.verdict(name, found, members.split(), **{"version": "1.37.2", "rolled": True, **given})


def fine(**given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: answer(name, **{"drift": [], **given.get(name, {})}) for name in ("m1", "m2", "m3")}


def test_a_healthy_cluster() -> None:
    assert verdict(fine()) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"m1": {"healthy": False, "problems": ["readiness: HTTP 500"]}}, "m1: readiness: HTTP 500"),
        ({"m3": {"holder": "m3"}}, "the members do not agree who leads: m2.example, m3.example"),
        ({"m1": {"process": {"version": "1.36.1"}}}, "m1: version 1.36.1 runs, not 1.37.2"),
        (
            {"m1": {"drift": DRIFT}},
            "m1: differs from its plan: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
        ),
    ],
)
def test_verdict(given: dict[str, Any], sentence: str) -> None:
    assert verdict(fine(**given)) == [sentence]


def test_a_foreign_holder_is_judged_when_all_have_answered() -> None:
    foreign = {"holder": "x"}
    found = fine(m1=foreign, m2=foreign, m3=foreign)
    assert verdict(found) == ["the lease is held by x.example, which is none of m1.example, m2.example, m3.example"]
    assert verdict(found, members="m1 m2 m3 m4") == []


def test_what_was_only_staged_is_no_fault() -> None:
    found = fine(m1={"process": {"version": "1.36.1"}, "drift": DRIFT})
    assert verdict(found, rolled=False) == []


def report(found: dict[str, dict[str, Any]], **plans: Any) -> status.Report:
    return status.report(found, plans, ["m1", "m2", "m3"], VERSIONS, Timings(15, 10, 2))


def test_status_of_a_healthy_cluster() -> None:
    told = report(fine())
    assert told["faults"] == []
    assert told["lines"][0].split() == list(status.HEAD)
    assert [line.split() for line in told["lines"][1:4]] == [
        ["m1", "1.37.2", "active", "yes", "-", "held", "3", "364", "363", "-"],
        ["m2", "1.37.2", "active", "yes", "*", "held", "3", "364", "363", "-"],
        ["m3", "1.37.2", "active", "yes", "-", "held", "3", "364", "363", "-"],
    ]
    assert told["lines"][4] == "fail-over: at most 23.8 s after a crash, 4.4 s after a stop"
    assert told["members"]["m1"]["healthy"]


def test_status_of_a_member_that_gave_no_answer() -> None:
    found = fine()
    del found["m3"]
    told = report(found)
    assert told["faults"] == ["m3: no answer"]
    assert told["lines"][3].split() == ["m3", "-", "-", "?", "-", "-", "-", "-", "-", "-"]
    assert told["members"]["m3"] == {"unreachable": True}


def test_status_of_sick_drifted_and_stopped_members() -> None:
    stopped = {
        "healthy": False,
        "problems": ["it is inactive"],
        "lease": None,
        "probes": None,
        "process": {"version": ""},
    }
    told = report(fine(m1=stopped, m3={"drift": DRIFT}))
    assert told["faults"] == [
        "m1: it is inactive",
        "m3: drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
    ]
    assert told["lines"][1].split() == ["m1", "-", "active", "NO", "-", "-", "-", "-", "-", "-"]
    assert "m3: drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs" in told["lines"]


def test_status_tells_what_cannot_be_done() -> None:
    found = fine(m2={"process": {"version": "1.20.2"}, "not_checked": ["metrics"], "probes": {"metrics_http": 200}})
    lines = report(found, m1={"limitations": ["no credentials"]})["lines"]
    assert lines[4:] == [
        "fail-over: at most 23.8 s after a crash, 23.8 s after a stop",
        "m1: no credentials",
        "m2: its version also serves plain HTTP, so metrics are open to anyone on the host",
        "m2: not checked: metrics",
    ]


def test_columns_fit_long_names() -> None:
    name = "master-1.kube-ha.example.org"
    told = status.report({name: answer(name, drift=[])}, {}, [name], VERSIONS, Timings(15, 10, 2))
    assert told["lines"][0].index("version") == told["lines"][1].index("1.37.2") == len(name) + 2

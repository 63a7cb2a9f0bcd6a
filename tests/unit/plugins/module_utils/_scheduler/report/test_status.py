"""Test the status document, the table and the JSON Schema."""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import (
    status,
    table,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.text import parse_time

from tests.support import status_schema
from tests.support.clusters import (
    DOWN,
    DRIFT,
    PROCESS,
    cluster,
    document,
    lease,
    member,
    play_scope,
    troubled,
)

SCHEMA = Path(__file__).resolve().parents[6] / "docs/status.schema.json"


def texts(*clusters: status.ClusterStatus) -> list[str]:
    return [line.text for line in table.render_table(document(*clusters))]


def three(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: member(name, **changes.get(name, {})) for name in ("m1", "m2", "m3")}


# --- The table


def test_healthy_cluster_is_a_table() -> None:
    assert texts() == [
        "kube_masters: 3 of 3 healthy; leader: m1 since 2026-01-01 00:00:00 UTC",
        "host  version  unit    healthy  leader  lease  transitions  served, days  used, days  drift",
        "m1    1.37.2   active  yes      *       held             1          3000        3000  -",
        "m2    1.37.2   active  yes      -       held             1          3000        3000  -",
        "m3    1.37.2   active  yes      -       held             1          3000        3000  -",
        "failover: at most 23.8 s after a crash, 4.4 s after a stop",
    ]
    found = document()
    assert status.list_reasons(found) == []
    assert found["state"] == "healthy"
    assert [line.state for line in table.render_table(found)] == [
        "healthy",
        "",
        "healthy",
        "healthy",
        "healthy",
        "",
    ]


def test_unhealthy_members_come_first_with_reasons_below_the_table() -> None:
    results = three(m2=DOWN, m3={"drift": [DRIFT]})
    lines = table.render_table(document(cluster(results, play_scope("m1 m2 m3 m4", lost="m4"))))
    assert lines[0] == (
        "kube_masters: 2 of 4 healthy; leader: m1 since 2026-01-01 00:00:00 UTC",
        "no_answer",
    )
    assert [line.text.split() for line in lines[2:6]] == [
        ["m4", "-", "-", "?", "-", "-", "-", "-", "-", "-"],
        ["m2", "-", "inactive", "NO", "-", "-", "-", "-", "-", "-"],
        ["m3", "1.37.2", "active", "yes", "-", "held", "1", "3000", "3000", "config"],
        ["m1", "1.37.2", "active", "yes", "*", "held", "1", "3000", "3000", "-"],
    ]
    assert lines[6:] == [
        ("m4: no result", "no_answer"),
        ("m2: kube-scheduler.service is inactive (dead, result success)", "unhealthy"),
        ("m3: drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs", "drift"),
        ("failover: at most 23.8 s after a crash, 4.4 s after a stop", ""),
    ]


def test_notes_come_last() -> None:
    http = {**member("m2")["probes"], "metrics_http": 200}
    results = three(
        m2={"process": {**PROCESS, "version": "1.20.2"}, "probes": http, "not_checked": ["metrics"]}
    )
    found = cluster(results, m1={"limitations": ["no credentials"]})
    assert texts(found)[5:] == [
        "failover: at most 23.8 s after a crash, 23.8 s after a stop",
        "m1: no credentials",
        "m2: also serves http:// URLs, so any local user can read its metrics",
        "m2: not checked: metrics",
    ]
    assert found["state"] == "healthy"


def test_host_without_a_comparison_has_unknown_drift() -> None:
    """Without a comparison, the drift of a host is unknown, which is not the same as no drift."""
    found = cluster(m1={"errors": ["m1: systemd does not run here"]})
    assert status.list_reasons(document(found)) == [
        "m1: not compared with its plan: systemd does not run here"
    ]
    assert (found["state"], found["members"]["m1"]["compared"]) == ("drift", False)
    assert texts(found)[2].split()[-1] == "?"


def test_host_that_was_lost_after_its_result_has_failed() -> None:
    found = cluster(three(), play_scope(batch="m1 m3", lost="m2"))
    assert (found["state"], next(iter(found["members"]))) == ("failed", "m2")
    assert status.list_reasons(document(found)) == ["m2: failed or became unreachable in this run"]


def test_unhealthy_host_without_problems_has_a_reason() -> None:
    found = document(cluster(three(m2={"healthy": False})))
    assert status.list_reasons(found) == ["m2: unhealthy, reason unknown"]


def test_columns_fit_long_names_and_shorten_text_from_hosts() -> None:
    name = "master-1.control-plane.kube-ha.example.org"
    long = member(name, name, process={**PROCESS, "version": "1" * 300})
    rows = texts(cluster({name: long, "m2": member("m2", name)}, play_scope(f"{name} m2")))[1:4]
    assert rows[0].index("version") == len(name) + 2
    assert len({row.index(word) for row, word in zip(rows, ("unit", "active", "active"))}) == 1
    assert len(rows[1]) < 200


# --- The leader


def test_foreign_holder_is_an_error_of_the_cluster() -> None:
    foreign = {"lease": lease("x.example")}
    found = cluster(three(m1=foreign, m2=foreign, m3=foreign))
    reason = "lease holder x.example is not a member (members: m1.example, m2.example, m3.example); add its host to the group, or uninstall the scheduler there"
    assert status.list_reasons(document(found)) == [f"kube_masters: {reason}"]
    assert (found["state"], found["leader"], found["holder"]) == ("unhealthy", None, "x.example")
    assert "lease holder: x.example" in texts(found)[0]
    assert f"kube_masters: {reason}" in texts(found)


def test_released_lease_means_no_leader() -> None:
    free = {"lease": {**lease("m1.example"), "holder": None, "state": "released"}}
    found = cluster(three(m1=free, m2=free, m3=free))
    assert (found["leader"], found["leader_since"]) == (None, None)
    assert texts(found)[0] == "kube_masters: 3 of 3 healthy; no leader"


def test_members_that_report_different_leaders_are_an_error() -> None:
    found = cluster(three(m3={"lease": lease("m3.example")}))
    assert found["reasons"] == [
        "the members report different leaders: m1.example, m3.example; check that all members use the same lock and etcd cluster"
    ]
    assert [name for name, each in found["members"].items() if each["leads"]] == ["m1", "m3"]


def test_leader_is_found_by_hostname_in_the_current_batch() -> None:
    """The leader is found by its hostname in the results of the current batch.

    The result of an earlier batch about the leader is stale. Inventory names can differ from
    hostnames.
    """
    results = {"a": member("m1", "m1"), "b": member("m2", "m2")}
    found = cluster(results, play_scope("a b", batch="b"))
    assert found["leader"] == "b"
    assert [each["leads"] for each in found["members"].values()] == [False, True]


def test_lease_transition_during_the_run_is_a_note() -> None:
    before = {
        name: member(name, lease={**lease("m2.example"), "transitions": 0})
        for name in ("m1", "m2", "m3")
    }
    line = "kube_masters: leader: m1; 1 lease transition during this run"
    assert line in texts(cluster(before=before))
    assert line not in texts(cluster())


@pytest.mark.parametrize(
    "time", ["", "garbage", "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:00", None]
)
def test_invalid_time_is_omitted(time: str | None) -> None:
    assert parse_time(time) is None
    found = cluster(
        three(
            **{
                n: {"lease": {**lease("m1.example"), "acquire_time": time}}
                for n in ("m1", "m2", "m3")
            }
        )
    )
    assert texts(found)[0] == "kube_masters: 3 of 3 healthy; leader: m1"


# --- Some members, and many clusters


def test_members_outside_the_play_are_not_queried() -> None:
    found = cluster({"m1": member("m1")}, play_scope(playing="m1"))
    assert list(found["members"]) == ["m1"]
    assert texts(found)[4:] == ["not queried: m2, m3"]
    found = cluster({"m1": member("m1", "m2")}, play_scope(playing="m1"))
    assert (
        "kube_masters: not checked: whether the holder m2.example is a member (no result from m2, m3)"
        in texts(found)
    )
    assert found["state"] == "healthy"


def test_members_of_later_batches_are_not_reported_as_missing() -> None:
    found = cluster({"m1": member("m1")}, play_scope(batch="m1"))
    assert (list(found["members"]), found["not_asked"]) == (["m1"], ["m2", "m3"])


def test_unhealthy_clusters_come_first() -> None:
    found = troubled()
    assert [(each["name"], each["state"]) for each in found["clusters"]] == [
        ("east", "no_answer"),
        ("west", "drift"),
        ("c000", "healthy"),
    ]
    assert found["state"] == "no_answer"
    assert table.render_table(found)[-1] == (
        "3 clusters: 2 need attention: east, west",
        "no_answer",
    )


def test_many_healthy_clusters_have_one_line_each() -> None:
    found = table.render_table(troubled(table.MAX_TABLES + 1))
    lines = [line.text for line in found if re.match(r"c\d", line.text)]
    line = "c000: 3 of 3 healthy; leader: m1 since 2026-01-01 00:00:00 UTC; 1.37.2; certificates valid for at least 3000 days"
    assert lines[0] == line
    assert len(lines) == table.MAX_TABLES - 1
    assert sum(line.text.startswith("host ") for line in found) == 2
    healthy = [cluster(name=f"c{number}") for number in range(2)]
    assert texts(*healthy)[-1] == "2 clusters: healthy, no drift"


def test_cluster_without_results() -> None:
    scope = play_scope(lost="m1 m2 m3")
    found = status.evaluate_cluster("lost", status.GatheredResults(scope, {}, {}, {}), None)
    assert (found["state"], found["failover"], found["renew_before_days"]) == (
        "no_answer",
        None,
        None,
    )
    assert texts(found)[0] == "lost: 0 of 3 healthy; no leader"
    assert not any(line.startswith("failover") for line in texts(found))


def test_renewal_window_is_in_days() -> None:
    assert cluster()["renew_before_days"] == 30


def test_lines_are_printable_and_show_no_private_key() -> None:
    evil = "a\n\x1b[31mb\r-----BEGIN PRIVATE KEY-----\nAAAA"
    plan = {"errors": [evil], "limitations": [evil]}
    for text in texts(cluster(m1=plan)):
        assert text.isprintable()
        assert "AAAA" not in text


# --- The schema


def test_schema_matches_the_document() -> None:
    """The schema matches the document.

    Set UPDATE_GOLDEN=1 to write the schema. If a field is removed, increase SCHEMA_VERSION.
    """
    if os.environ.get("UPDATE_GOLDEN"):
        SCHEMA.write_text(status_schema.text())
    assert SCHEMA.read_text() == status_schema.text()


def descriptions(found: Any) -> list[str]:
    if isinstance(found, list):
        return [text for entry in found for text in descriptions(entry)]
    if not isinstance(found, dict):
        return []
    own = [found["description"]] if isinstance(found.get("description"), str) else []
    return own + [text for value in found.values() for text in descriptions(value)]


def test_schema_describes_every_field() -> None:
    texts_of_schema = descriptions(json.loads(SCHEMA.read_text()))
    assert len(texts_of_schema) > 90
    assert all(texts_of_schema)
    assert not [text for text in texts_of_schema if re.search(r"[A-Z]\(", text)]


@pytest.mark.parametrize("change", ["further", "lacking", "kind"])
def test_schema_rejects_undescribed_changes(change: str) -> None:
    jsonschema = pytest.importorskip(
        "jsonschema", reason="the oldest supported tools do not include jsonschema"
    )
    rule = status_schema.strict(json.loads(SCHEMA.read_text()))
    found = json.loads(json.dumps(troubled()))
    jsonschema.validate(found, rule)
    broken = copy.deepcopy(found)
    answer = broken["clusters"][0]["members"]["m1"]["answer"]
    if change == "further":
        answer["process"]["further"] = 1
    elif change == "lacking":
        del answer["process"]["version"]
    else:
        answer["process"]["version"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, rule)

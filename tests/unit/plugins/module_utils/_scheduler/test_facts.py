"""An answer is what is documented of it, and nothing else: the host that gave it may be hostile."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import ProbeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.modules import scheduler_info

from tests.support.host import ANSWER


def test_a_good_answer_is_kept() -> None:
    assert facts.checked(ANSWER) == ANSWER
    assert (
        facts.checked(
            {**ANSWER, "probes": None, "lease": None, "apiserver": None, "healthy": None}
        )["probes"]
        is None
    )


def test_what_was_not_asked_for_is_dropped_at_every_depth() -> None:
    answer: Any = copy.deepcopy(ANSWER)
    for place in (
        answer,
        answer["unit"],
        answer["process"],
        answer["lease"],
        answer["probes"]["served"],
    ):
        place.update(
            ansible_facts={"kube_scheduler_subject": {"O": "system:masters"}},
            add_host={},
            _ansible_x=1,
        )
    assert facts.checked(answer) == ANSWER


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostname", None),
        ("hostname", 7),
        ("time", "now"),
        ("time", float("nan")),
        ("time", float("inf")),
        ("systemd_version", True),
        ("systemd_version", 252.5),
        ("systemd_version", 10**30),
        ("user_exists", "false"),
        ("process", None),
        ("process", "none"),
        ("process.pid", "7"),
        ("process.timings", []),
        ("process.timings.retry_period", "2s"),
        ("others", "x"),
        ("others", [7]),
        ("others", ["x"] * 1001),
        ("probes", []),
        ("probes.served", "x"),
        ("probes.ready", "200"),
        ("lease.renew_time", 7),
        ("drift", [{"part": "unit"}]),
        ("drift", {}),
    ],
)
def test_another_type_is_refused_by_name(path: str, value: Any) -> None:
    answer: Any = copy.deepcopy(ANSWER)
    *folders, name = path.split(".")
    place = answer
    for folder in folders:
        place = place[folder]
    place[name] = value
    with pytest.raises(ProbeError) as error:
        facts.checked(answer)
    assert str(error.value).startswith(f"answer.{path}")
    del place[name]
    with pytest.raises(ProbeError, match=f"has no {name}"):
        facts.checked(answer)


@pytest.mark.parametrize("answer", [None, [], "x", 7])
def test_no_answer(answer: Any) -> None:
    with pytest.raises(ProbeError, match="answer is not a mapping"):
        facts.checked(answer)


def test_texts_are_one_line_of_bounded_length() -> None:
    found = facts.checked({**ANSWER, "hostname": "a\nb\x1b[31m" + "c" * 10_000})
    assert found["hostname"].startswith("a b [31mccc")
    assert len(found["hostname"]) == facts.LONGEST_TEXT


def test_an_answer_is_json_and_documented() -> None:
    assert json.loads(json.dumps(ANSWER)) == ANSWER
    documented = yaml.safe_load(scheduler_info.RETURN)
    assert set(documented) == set(facts.Answer.__annotations__) | {"clock_offset", "round_trip"}
    for name, shape in (
        ("apiserver", facts.Apiserver),
        ("unit", facts.Unit),
        ("process", facts.Process),
        ("port", facts.Port),
        ("probes", facts.Probes),
        ("drift", facts.Drift),
    ):
        assert set(documented[name]["contains"]) == set(shape.__annotations__), name

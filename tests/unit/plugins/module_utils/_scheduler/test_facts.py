"""Test that a result keeps only its documented keys, because a host can be hostile."""

from __future__ import annotations

import copy
import json
import types
import typing
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import ProbeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.modules import leader_info, scheduler_info

from tests.support.host import RESULT

ANSIBLE_TYPES = {str: "str", int: "int", float: "float", bool: "bool"}


def test_valid_result_is_unchanged() -> None:
    assert facts.validate_module_result(RESULT) == RESULT
    nothing: Any = {"probes": None, "lease": None, "apiserver": None, "healthy": None}
    assert facts.validate_module_result({**RESULT, **nothing})["probes"] is None


def test_undocumented_keys_are_dropped_at_every_depth() -> None:
    result: Any = copy.deepcopy(RESULT)
    for mapping in (
        result,
        result["unit"],
        result["process"],
        result["lease"],
        result["probes"]["served"],
    ):
        mapping.update(
            ansible_facts={"kube_scheduler_subject": {"O": "system:masters"}},
            add_host={},
            _ansible_x=1,
        )
    assert facts.validate_module_result(result) == RESULT


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
def test_invalid_value_is_rejected_with_its_key(path: str, value: Any) -> None:
    result: Any = copy.deepcopy(RESULT)
    *parents, name = path.split(".")
    mapping = result
    for parent in parents:
        mapping = mapping[parent]
    mapping[name] = value
    with pytest.raises(ProbeError) as error:
        facts.validate_module_result(result)
    assert str(error.value).startswith(f"result.{path}")
    del mapping[name]
    with pytest.raises(ProbeError, match=f"has no {name}"):
        facts.validate_module_result(result)


@pytest.mark.parametrize("result", [None, [], "x", 7])
def test_result_that_is_no_mapping_is_rejected(result: Any) -> None:
    with pytest.raises(ProbeError, match="result is not a mapping"):
        facts.validate_module_result(result)


def test_text_becomes_one_line_of_limited_length() -> None:
    result = facts.validate_module_result({**RESULT, "hostname": "a\nb\x1b[31m" + "c" * 10_000})
    assert result["hostname"].startswith("a b [31mccc")
    assert len(result["hostname"]) == facts.MAX_TEXT_LENGTH


def test_result_is_json() -> None:
    assert json.loads(json.dumps(RESULT)) == RESULT


def test_documentation_has_the_fields_of_the_result_types() -> None:
    documented = yaml.safe_load(scheduler_info.RETURN)
    lease = yaml.safe_load(leader_info.RETURN)
    del lease["server"]
    documented["lease"]["contains"] = {**lease, "age": {"type": "float"}}
    _assert_documented(documented, facts.HostResult, "RETURN")


def _assert_documented(fields: dict[str, Any], kind: Any, where: str) -> None:
    hints = typing.get_type_hints(kind)
    assert set(fields) == set(hints), where
    for name, hint in hints.items():
        is_optional = typing.get_origin(hint) in (typing.Union, types.UnionType)
        shape = typing.get_args(hint)[0] if is_optional else hint
        is_list = typing.get_origin(shape) is list
        element = typing.get_args(shape)[0] if is_list else shape
        field = fields[name]
        assert (field["type"] == "list") is is_list, f"{where}.{name}"
        assert field["elements" if is_list else "type"] == ANSIBLE_TYPES.get(element, "dict"), (
            f"{where}.{name}"
        )
        # The documentation of `apiservers` has the same keys as `apiserver`.
        if element not in ANSIBLE_TYPES and name != "apiservers":
            _assert_documented(field["contains"], element, f"{where}.{name}")


FILESET: dict[str, Any] = {
    "done": ["unit"],
    "version": "1.37.2",
    "not_after": "",
    "original": False,
    "dry_run": None,
    "handover": {"holder": "m2", "seconds": 1.0, "released": True, "transitions": 1},
}


def test_result_of_a_file_set_has_the_fields_of_its_state() -> None:
    assert facts.validate_fileset_result({**FILESET, "other": 1}) == FILESET
    assert facts.validate_fileset_result({}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("done", None),
        ("done", {"unit": 1}),
        ("pending", 7),
        ("version", 1.37),
        ("not_after", {}),
        ("original", "no"),
        ("handover", {"holder": "m2"}),
        ("handover", {**FILESET["handover"], "seconds": float("nan")}),
    ],
)
def test_invalid_result_of_a_file_set_is_rejected(name: str, value: Any) -> None:
    with pytest.raises(ProbeError, match=rf"^result\.{name}"):
        facts.validate_fileset_result({**FILESET, name: value})

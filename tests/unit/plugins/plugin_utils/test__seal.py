"""Test that only results that this run returned for a host and step are accepted."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _seal

RESULT: dict[str, Any] = {
    "changed": False,
    "errors": [],
    "members": ["m1", "m2"],
    "time": 1.5,
    "variables": {"group": "kube_masters", "port": 10259, "ca": None, "adopt": True},
}


def test_sealed_result_is_accepted() -> None:
    sealed = _seal.seal(RESULT, "m1", "input")
    assert _seal.is_sealed(sealed, "m1", "input")


def test_keys_that_ansible_adds_do_not_break_the_seal() -> None:
    sealed = _seal.seal(RESULT, "m1", "input")
    registered = {**sealed, "failed": False, "warnings": ["x"], "_ansible_no_log": False}
    del registered["changed"]
    assert _seal.is_sealed(registered, "m1", "input")
    assert _seal.is_sealed(json.loads(json.dumps(registered)), "m1", "input")


@pytest.mark.parametrize(("host", "kind"), [("m2", "input"), ("m1", "plan")], ids=["host", "kind"])
def test_result_of_another_host_or_step_is_rejected(host: str, kind: str) -> None:
    assert not _seal.is_sealed(_seal.seal(RESULT, "m1", "input"), host, kind)


def changes() -> list[dict[str, Any]]:
    """Return copies of a sealed result, each with one field changed, added or removed."""
    sealed = _seal.seal(RESULT, "m1", "input")
    forged: list[dict[str, Any]] = []
    for name in ("errors", "members", "time", "variables"):
        values = ["x", None, [], {"a": 1}, float("nan")]
        forged += [{**sealed, name: value} for value in values if value != sealed[name]]
        forged.append({key: value for key, value in sealed.items() if key != name})
    for name in RESULT["variables"]:
        changed = copy.deepcopy(sealed)
        changed["variables"][name] = "forged"
        forged.append(changed)
    return [*forged, {**sealed, "further": 1}, {**sealed, "members": {"m1": 1}}]


@pytest.mark.parametrize("forged", changes())
def test_changed_result_is_rejected(forged: dict[str, Any]) -> None:
    assert not _seal.is_sealed(forged, "m1", "input")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [],
        {},
        RESULT,
        {**RESULT, "seal": ""},
        {**RESULT, "seal": None},
        {**RESULT, "seal": "0" * 64},
        {**RESULT, "seal": "\ud800"},
        {**RESULT, "seal": "0" * 64, "x": {1, 2}},
    ],
)
def test_result_without_a_seal_is_rejected(value: Any) -> None:
    assert not _seal.is_sealed(value, "m1", "input")


def test_another_run_has_another_key() -> None:
    script = (
        "import json, sys; sys.path[:0] = json.loads(sys.argv[1]);"
        "from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _seal;"
        "print(_seal.seal(json.loads(sys.argv[2]), 'm1', 'input')['seal'])"
    )
    words = [sys.executable, "-c", script, json.dumps(sys.path), json.dumps(RESULT)]
    code = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    assert len(code) == 64
    assert not _seal.is_sealed({**RESULT, "seal": code}, "m1", "input")

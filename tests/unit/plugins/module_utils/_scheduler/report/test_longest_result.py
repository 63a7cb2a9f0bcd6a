# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that the longest result of a host gives a report of bounded size."""

from __future__ import annotations

import copy
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import rollout
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import (
    metrics,
    page,
    status,
    table,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    parse_config,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _results

from tests.support.host import RESULT
from tests.support.simulation import compared

MAX_PAGE_BYTES = 1 << 20
MAX_JSON_BYTES = 512 << 10
MAX_TABLE_BYTES = 256 << 10
MAX_METRICS_BYTES = 16 << 10
# HTML has six characters for an apostrophe. Many short texts have the most markup.
TEXTS = ["'" * (facts.MAX_TEXT_LENGTH - 1), "&" * 50, ""]
VALUES: dict[Any, Any] = {bool: True, int: 10**15, float: 1e15}


def required(kind: Any) -> Any:
    """Return the type of a field, without None."""
    is_optional = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind)[0] if is_optional else kind


def lists(kind: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return the path and the element type of each list in a result."""
    kind = required(kind)
    if typing.get_origin(kind) is list:
        yield path, typing.get_args(kind)[0]
    elif hasattr(kind, "__total__"):
        for name, hint in typing.get_type_hints(kind).items():
            yield from lists(hint, *path, name)


def value(kind: Any, text: str) -> Any:
    kind = required(kind)
    if hasattr(kind, "__total__"):
        return {name: value(hint, text) for name, hint in typing.get_type_hints(kind).items()}
    if typing.get_origin(kind) is list:
        return []
    return text if kind is str else VALUES[kind]


def longest(path: tuple[str, ...], element: Any, text: str) -> dict[str, Any]:
    """Return a result with a list of as many elements as the limits permit."""
    result = compared("m2", "m1", healthy=False, problems=["x"])
    entry = value(element, text)
    room = _results.MAX_RESULT_BYTES - len(json.dumps(result)) - 2
    count = min(facts.MAX_LIST_LENGTH, room // (len(json.dumps(entry)) + 2))
    *parents, name = path
    mapping = result
    for parent in parents:
        mapping = mapping[parent]
    mapping[name] = [copy.deepcopy(entry) for _number in range(count)]
    return result


def host_result(result: dict[str, Any]) -> Any:
    known = _results.filter_result(result, facts.ModuleResult.__annotations__)
    return {**facts.validate_module_result(known), "clock_offset": 0.0, "round_trip": 0.1}


@pytest.mark.parametrize(
    ("path", "element"),
    [pytest.param(*found, id=".".join(found[0])) for found in lists(facts.ModuleResult)],
)
def test_longest_result_gives_a_report_of_bounded_size(path: tuple[str, ...], element: Any) -> None:
    for text in TEXTS:
        results = {
            "m1": host_result(compared("m1", "m1")),
            "m2": host_result(longest(path, element, text)),
        }
        names = list(results)
        scope = rollout.PlayScope(members=names, playing=names, batch=names, lost=[])
        gathered = status.GatheredResults(scope, results, {}, {})
        cluster = status.evaluate_cluster("kube_masters", gathered, None)
        document = status.build_document([cluster], "2026-01-01T00:00:00Z")
        lines = table.render_table(document)
        assert len(page.render_status_page(document).encode()) < MAX_PAGE_BYTES
        assert len(json.dumps(document, indent=2)) < MAX_JSON_BYTES
        assert sum(len(line.text.encode()) + 1 for line in lines) < MAX_TABLE_BYTES
        assert len(metrics.render_metrics(document)) < MAX_METRICS_BYTES


def longest_settings(char: str) -> list[str]:
    """Return the longest settings that the module returns, with values of this character."""
    for width in range(25, 0, -2):
        config = {f"f{number:03}": char * width for number in range(1000)}
        if listed := parse_config(json.dumps(config).encode())["listed"]:
            return list(listed)
    raise AssertionError(char)


@pytest.mark.parametrize("char", ["x", '"', "\x1b", "\u4e2d", "\U0001f600"])
def test_largest_result_of_an_honest_host_is_accepted(char: str) -> None:
    """An adopted scheduler has the longest settings, and a kubeconfig has 100 trusted CAs."""
    result = compared("m2", "m1")
    fingerprint = ":".join(["00"] * 32)
    certificate = {**RESULT["certificates"][0], "fingerprint_sha256": fingerprint}
    result["certificates"] = [certificate] * 101
    settings = longest_settings(char)
    arguments = [f"--flag-{number}={'x' * 20}" for number in range(200)]
    result["process"] = {**result["process"], "settings": settings, "arguments": arguments}
    line = char * 200
    result["journal"] = [line] * (facts.MAX_JOURNAL_LENGTH // len(json.dumps(line)))
    assert host_result(result)["certificates"] == [certificate] * 101
    size = len(json.dumps(result))
    assert 80 << 10 < size < _results.MAX_RESULT_BYTES

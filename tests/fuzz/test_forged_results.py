# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test each step on the controller with sealed results in which hosts forged every field.

The controller seals a result after it has checked the types. The content is still from the host. A
step must return a result or fail with one line for each error.
"""

from __future__ import annotations

import copy
import json
import random
import types
import typing
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.action import scheduler_fileset
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import ProbeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _drill, _results, _seal

from tests.fuzz import judge, subjects, values
from tests.support.texts import assert_clean

RESULTS = 500
# A step that reports this has failed for all hosts.
BROKEN = "an option does not contain the result", "the options are not the results"
PLAUSIBLE = [
    *("", "held", "released", "expired", "active", "failed", "not-found", "masked", "enabled"),
    *("m1", "m1.example.com", "m2.example.com", "m1.example.com_x", "kube-system/kube-scheduler"),
    *("1.37.2", "1.10.0", "0.0.0", "9.99.99", "1.37", "v1.37.2", "1.37.2-rc.1", "9" * 300),
    *("2036-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1e9"),
    *("leases", "endpoints", "0.0.0.0", "::1", "fe80::1%lo", "/etc/kubernetes", "/", "../x"),
    *("https://192.0.2.1:6443", "https://", "--config=/x", "--v", "--secure-port=x", "--"),
    *('leaderElection.leaseDuration="15s"', "a.b.c=[", "=", 'profiles=[{"a": 1}]', "a=NaN"),
    *("unit", "config", "packages", "served", "used", "pair", "trust", "amd64", "00:11"),
]
SECONDS = [0.0, -0.0, -1.0, 0.5, 1e-300, 1e15, -1e15, 86400.0]
INTEGERS = [0, 1, -1, 2, 100, 200, 401, 65535, 65536, 10259, 2**31, 10**15, -(10**15)]


def forged(rng: random.Random, kind: Any, honest: Any = None) -> Any:
    """Return any value of a type, or sometimes the honest value."""
    if rng.random() < 0.2 and honest is not None:
        return copy.deepcopy(honest)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = typing.get_args(kind)[0]
        return None if rng.random() < 0.3 else forged(rng, inner, honest)
    if typing.get_origin(kind) is list:
        count = rng.choice([0, 1, 1, 2, 5, 50])
        return [forged(rng, typing.get_args(kind)[0]) for _number in range(count)]
    if hasattr(kind, "__total__"):
        known = honest if isinstance(honest, dict) else {}
        hints = typing.get_type_hints(kind)
        return {name: forged(rng, hint, known.get(name)) for name, hint in hints.items()}
    return rng.choice(CHOICES[kind]) if kind is not str else text(rng)


def text(rng: random.Random) -> Any:
    return rng.choice(PLAUSIBLE) if rng.random() < 0.8 else values.text(rng)


CHOICES: dict[Any, Any] = {bool: (True, False), int: INTEGERS, float: SECONDS}


def sealed_info(rng: random.Random, name: str) -> dict[str, Any] | None:
    """Return a forged result of scheduler_info as its action plugin seals it, None if rejected."""
    raw = forged(rng, facts.ModuleResult, subjects.RESULT)
    if rng.random() < 0.2:
        raw = values.somewhere(rng, raw)
    known = _results.filter_result(raw, facts.ModuleResult.__annotations__)
    try:
        valid = facts.validate_module_result(known)
    except ProbeError as error:
        judge.refusal(str(error))
        return None
    times = {"clock_offset": rng.choice(SECONDS), "round_trip": 0.1}
    return _seal.seal({**valid, **times}, name, _seal.INFO)


def sealed_fileset(rng: random.Random, name: str) -> dict[str, Any] | None:
    """Return a forged result of scheduler_fileset as its action plugin seals it."""
    raw = forged(rng, facts.ReceivedFilesetResult)
    raw |= {key: values.any_value(rng) for key in ("kept", "lease")}
    for key in rng.sample(sorted(raw), rng.choice([0, 0, 1, 5])):
        raw[key] = values.any_value(rng)
    for key in rng.sample(sorted(raw), rng.choice([0, 1, 5])):
        del raw[key]
    known = _results.filter_result(raw, scheduler_fileset.FILESET_RESULT_KEYS)
    if not _seal.is_without_result(known):
        try:
            known |= facts.validate_fileset_result(known)
        except ProbeError as error:
            judge.refusal(str(error))
            return None
    return _seal.seal_module_result(known, name, _seal.FILESET)


def sealed_fault(rng: random.Random, name: str) -> dict[str, Any]:
    """Return a forged result of scheduler_fault as its action plugin seals it."""
    raw = {key: values.any_value(rng) for key in _drill.FAULT_RESULT_KEYS if rng.random() < 0.8}
    known = _results.filter_result(raw, _drill.FAULT_RESULT_KEYS)
    return _seal.seal_module_result(known, name, _seal.FAULT)


FORGERS: dict[str, Any] = {
    "host": sealed_info,
    "health": sealed_info,
    "fileset": sealed_fileset,
    "undone": sealed_fault,
}


@pytest.mark.parametrize("name", ["scheduler_plan", "scheduler_drill"])
def test_forged_results_break_no_step(world: subjects.World, name: str) -> None:
    count = {"returned": 0, "failed": 0, "rejected": 0}

    def one(rng: random.Random) -> None:
        options = world.fine(name, rng)
        hostvars = options.get("_hostvars") or {}
        for host in rng.sample(subjects.NAMES, rng.choice([1, 1, 2, 3])):
            own = hostvars.get(host, {})
            for variable in sorted({*FORGERS} & {*own}):
                own[variable] = FORGERS[variable](rng, host)
                count["rejected"] += own[variable] is None
        outcome = world.judged(name, options)
        if isinstance(outcome, judge.Refused):
            count["failed"] += 1
            assert not any(words in str(outcome.message) for words in BROKEN), outcome.message
        else:
            count["returned"] += 1
            assert len(json.dumps(outcome, default=str)) < 4 << 20

    judge.run(f"forged {name}", RESULTS, 0.05, one)
    if judge.CASE is None:
        assert min(count.values()) > 0, count


def test_any_result_is_bounded_and_clean() -> None:
    """Every value of a module's result is bounded and clean, whatever its type and place."""
    honest = {
        "changed": True,
        "failed": False,
        "msg": "m",
        "warnings": ["w"],
        "deprecations": [{"msg": "d", "version": "2.0.0"}],
        "diff": [{"before": "a\n", "after": "b\n", "before_header": "/x"}],
        "exception": "Traceback",
        "module_stderr": "e",
        "rc": 1,
        "reasons": ["r"],
        "lease": {"name": "x"},
    }

    def one(rng: random.Random) -> None:
        raw = honest
        for _number in range(rng.choice([1, 2, 4, 8])):
            raw = values.somewhere(rng, raw)
        result = _results.filter_result(raw, ["reasons", "lease"])
        assert len(json.dumps(result)) < 512 << 10
        assert set(result) <= {*honest}
        assert_clean(result)

    judge.run("any result", RESULTS, 0.01, one)

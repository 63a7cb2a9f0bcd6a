"""What a process says of its settings, compared with what is wanted: no reason is made up, whatever it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import effective

WANTED: dict[str, Any] = {
    "flags": {
        "config": "/etc/kubernetes/kube-scheduler.yaml",
        "secure-port": "10259",
        "profiling": "false",
        "v": "2",
    },
    "config": {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "enableProfiling": False,
        "parallelism": 16,
        "clientConnection": {"kubeconfig": "/etc/kubernetes/kube-scheduler.kubeconfig", "qps": 50},
        "leaderElection": {
            "leaderElect": True,
            "leaseDuration": "15s",
            "resourceName": "kube-scheduler",
        },
        "profiles": [
            {
                "schedulerName": "default-scheduler",
                "plugins": {"score": {"disabled": [{"name": "*"}]}},
            }
        ],
    },
}
TOLD: dict[str, Any] = {
    "enableProfiling": False,
    "parallelism": 16,
    "podMaxBackoffSeconds": 10,
    "clientConnection": {
        "kubeconfig": "/etc/kubernetes/kube-scheduler.kubeconfig",
        "qps": 50.0,
        "burst": 100,
    },
    "leaderElection": {
        "leaderElect": True,
        "leaseDuration": "15s",
        "retryPeriod": "2s",
        "resourceName": "kube-scheduler",
    },
    "profiles": [
        {
            "schedulerName": "default-scheduler",
            "plugins": {"score": {"disabled": [{"name": "*", "weight": 0}]}, "bind": {}},
            "pluginConfig": [{"name": "NodeAffinity"}],
        }
    ],
}
FLAGS = """
kube-scheduler flagz
Warning: This endpoint is not meant to be machine parseable.

config=/etc/kubernetes/kube-scheduler.yaml
secure-port=10259
profiling=false
requestheader-allowed-names=[]
v=2
"""
STATUS = "\nkube-scheduler statusz\n\nStarted: Thu Nov 26 09:55:01 UTC 2026\nGo version: go1.26.8\nBinary version: 1.37.2\nEmulation version: 1.37\n"


def answers(
    config: Any = None, flags: str = FLAGS, status: str = STATUS
) -> dict[str, tuple[int, bytes]]:
    document = {"componentconfig": TOLD if config is None else config}
    return {
        "/configz": (200, json.dumps(document).encode()),
        "/flagz": (200, flags.encode()),
        "/statusz": (200, status.encode()),
    }


def found(told: Any, **wanted: Any) -> list[str]:
    return effective.compare_settings_in_use({**WANTED, **wanted}, "1.37.2", told)  # type: ignore[typeddict-item]


def capital(value: Any) -> Any:
    """As old versions show it: the names of Go's own fields."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: capital(entry) for name, entry in value.items()}
    return [capital(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.parametrize("told", [TOLD, capital(TOLD)], ids=["new", "old"])
def test_nothing_differs(told: Any) -> None:
    assert found(answers(told)) == []


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("parallelism",), 8, "configuration parallelism is 8, expected 16"),
        (("enableProfiling",), True, "configuration enableProfiling is true, expected false"),
        (
            ("leaderElection", "leaseDuration"),
            "60s",
            'configuration leaderElection.leaseDuration is "60s", expected "15s"',
        ),
        (
            ("profiles", 0, "schedulerName"),
            "other",
            'configuration profiles[0].schedulerName is "other", expected "default-scheduler"',
        ),
    ],
)
def test_a_field_that_differs(path: tuple[Any, ...], value: Any, reason: str) -> None:
    told = json.loads(json.dumps(TOLD))
    at = told
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    assert found(answers(told)) == [reason]
    assert len(found(answers(capital(told)))) == 1


def test_a_flag_that_differs() -> None:
    assert found(answers(flags=FLAGS.replace("v=2", "v=9"))) == ["flag --v is 9, expected 2"]


def test_another_version() -> None:
    assert found(answers(status=STATUS.replace("1.37.2", "1.36.1"))) == [
        "/statusz reports version 1.36.1, expected 1.37.2"
    ]


def test_the_same_in_other_words_is_no_difference() -> None:
    told = {**TOLD, "leaderElection": {**TOLD["leaderElection"], "leaseDuration": "0m15s"}}
    assert found(answers(told)) == []
    flags = FLAGS + "feature-gates=AllAlpha=false,B=true\ncipher=[a,b]\nttl=1m0s\n"
    given = {
        **WANTED["flags"],
        "feature-gates": "B=true,AllAlpha=false",
        "cipher": "a,b",
        "ttl": "60s",
    }
    assert found(answers(flags=flags), flags=given) == []


def test_flags_of_the_election_go_before_its_fields() -> None:
    given = {**WANTED["flags"], "leader-elect-resource-name": "batch"}
    assert found(answers(), flags=given) == [
        'configuration leaderElection.resourceName is "kube-scheduler", expected "batch"'
    ]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"/configz": (403, b""), "/flagz": (404, b""), "/statusz": (403, b"")},
        {"/configz": (200, b"{"), "/flagz": (200, b"\xff\xfe"), "/statusz": (200, b"")},
        {"/configz": (200, b"[" * 100000)},
        {"/configz": (200, b'{"componentconfig": [1]}')},
        {"/configz": (200, b'["componentconfig"]')},
        {
            "/configz": (
                200,
                b'{"componentconfig": {"leaderElection": 7, "profiles": {"a": 1}, "parallelism": {}, "clientConnection": null}}',
            )
        },
    ],
)
def test_what_cannot_be_read_is_no_difference(told: Any) -> None:
    assert found(told) == []


def test_a_version_that_runs_by_flags_alone() -> None:
    assert found(answers(), config={}) == []

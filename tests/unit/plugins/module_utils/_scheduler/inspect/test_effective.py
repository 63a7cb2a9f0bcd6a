"""Test the comparison of the settings that a process reports with the desired settings."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import effective

DESIRED: dict[str, Any] = {
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
REPORTED: dict[str, Any] = {
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


def responses(
    config: Any = None, flags: str = FLAGS, status: str = STATUS
) -> dict[str, tuple[int, bytes]]:
    document = {"componentconfig": REPORTED if config is None else config}
    return {
        "/configz": (200, json.dumps(document).encode()),
        "/flagz": (200, flags.encode()),
        "/statusz": (200, status.encode()),
    }


def differences(reported: Any, **desired: Any) -> list[str]:
    return effective.compare_settings_in_use({**DESIRED, **desired}, "1.37.2", reported)  # type: ignore[typeddict-item]


def capitalize(value: Any) -> Any:
    """Return a configuration with the field names of Go, as old versions return it."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: capitalize(entry) for name, entry in value.items()}
    return [capitalize(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.parametrize("reported", [REPORTED, capitalize(REPORTED)], ids=["new", "old"])
def test_equal_settings_have_no_differences(reported: Any) -> None:
    assert differences(responses(reported)) == []


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
def test_field_that_differs_is_reported(path: tuple[Any, ...], value: Any, reason: str) -> None:
    reported = json.loads(json.dumps(REPORTED))
    at = reported
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    assert differences(responses(reported)) == [reason]
    assert len(differences(responses(capitalize(reported)))) == 1


def test_flag_that_differs_is_reported() -> None:
    assert differences(responses(flags=FLAGS.replace("v=2", "v=9"))) == [
        "flag --v is 9, expected 2"
    ]


def test_version_that_differs_is_reported() -> None:
    assert differences(responses(status=STATUS.replace("1.37.2", "1.36.1"))) == [
        "/statusz reports version 1.36.1, expected 1.37.2"
    ]


def test_equivalent_notation_is_no_difference() -> None:
    reported = {
        **REPORTED,
        "leaderElection": {**REPORTED["leaderElection"], "leaseDuration": "0m15s"},
    }
    assert differences(responses(reported)) == []
    flags = FLAGS + "feature-gates=AllAlpha=false,B=true\ncipher=[a,b]\nttl=1m0s\n"
    flags_set = {
        **DESIRED["flags"],
        "feature-gates": "B=true,AllAlpha=false",
        "cipher": "a,b",
        "ttl": "60s",
    }
    assert differences(responses(flags=flags), flags=flags_set) == []


def test_election_flags_override_the_fields() -> None:
    flags_set = {**DESIRED["flags"], "leader-elect-resource-name": "batch"}
    assert differences(responses(), flags=flags_set) == [
        'configuration leaderElection.resourceName is "kube-scheduler", expected "batch"'
    ]


@pytest.mark.parametrize(
    "reported",
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
def test_unreadable_settings_are_no_difference(reported: Any) -> None:
    assert differences(reported) == []


def test_version_without_configuration_file_is_not_compared() -> None:
    assert differences(responses(), config={}) == []


def test_value_in_use_that_looks_like_a_secret_is_not_shown() -> None:
    in_use = {**REPORTED, "parallelism": "https://user:marker@host"}
    flags = FLAGS.replace("v=2", "v=https://user:marker@host")
    reasons = effective.compare_settings_in_use(
        cast(Any, DESIRED), "1.37.2", responses(in_use, flags)
    )
    assert reasons == [
        'configuration parallelism is "(withheld)", expected 16',
        "flag --v is (withheld), expected 2",
    ]

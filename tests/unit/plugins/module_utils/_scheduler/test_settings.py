"""Test how the configuration of a scheduler is parsed."""

from __future__ import annotations

import time

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    MAX_YAML_NODES,
    NO_CONFIG,
    is_parsed_config,
    parse_config,
)


def test_list_settings_withholds_private_keys() -> None:
    content = b"""
apiVersion: kubescheduler.config.k8s.io/v1
leaderElection: {leaseDuration: 30s, leaderElect: true}
profiles: [{schedulerName: a}]
extenders: [{tlsConfig: {keyData: c2VjcmV0, KeyData: c2VjcmV0}}]
users: [{user: {token: c2VjcmV0, password: c2VjcmV0, client-key-data: c2VjcmV0, tokenFile: /f}}]
"""
    assert parse_config(content)["listed"] == [
        'apiVersion="kubescheduler.config.k8s.io/v1"',
        'leaderElection.leaseDuration="30s"',
        "leaderElection.leaderElect=true",
        'profiles=[{"schedulerName": "a"}]',
        'extenders=[{"tlsConfig": {"keyData": "(withheld)", "KeyData": "(withheld)"}}]',
        (
            'users=[{"user": {"token": "(withheld)", "password": "(withheld)",'
            ' "client-key-data": "(withheld)", "tokenFile": "/f"}}]'
        ),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just text",
        b"[1, 2]",
        b"a: {b: 2026-01-01}",
        b"a: " + b"[" * 5000 + b"]" * 5000,
        b"a: &a [" + b"1," * 40 + b"]\nb: &b [" + b"*a," * 40 + b"]\nc: [" + b"*b," * 40 + b"]",
        b"a: &a {b: *a}",
        "\n".join(f"f{number}: {'x' * 100}" for number in range(400)).encode(),
        "\n".join(
            ["a: &x {b: {}, c: {}}", *(f"a{n}: &x {{b: *x, c: *x}}" for n in range(40))]
        ).encode(),
    ],
)
def test_list_settings_of_invalid_or_large_configuration_is_empty(content: bytes) -> None:
    before = time.monotonic()
    assert parse_config(content)["listed"] == []
    assert time.monotonic() - before < 20


def test_private_key_is_withheld_at_any_place() -> None:
    assert parse_config(b"tlsConfig: {keyData: c2VjcmV0}")["listed"] == [
        'tlsConfig.keyData="(withheld)"'
    ]


def merge_bomb() -> bytes:
    """Return a small configuration whose merge keys grow tenfold per level."""
    lines = ["a0: &a0 {k: 1}"]
    for level in range(1, 9):
        merged = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {{<<: [{merged}], k{level}: 1}}")
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    "content",
    [
        merge_bomb(),
        b"a: &a {resourceLock: leases}\nleaderElection: *a",
        b"a: [" + b"x," * MAX_YAML_NODES + b"]",
    ],
    ids=["merge keys", "alias", "nodes"],
)
def test_yaml_with_aliases_or_many_nodes_is_rejected_at_once(content: bytes) -> None:
    before = time.monotonic()
    assert parse_config(content)["listed"] == []
    assert time.monotonic() - before < 5


def test_only_the_shape_of_a_parsed_configuration_is_accepted() -> None:
    parsed = parse_config(b"leaderElection: {resourceLock: leases}")
    assert parsed["fields"] == {"resourceLock": "leases"}
    assert is_parsed_config(parsed)
    assert is_parsed_config(NO_CONFIG)
    for value in (
        None,
        [],
        {},
        {**parsed, "further": 1},
        {**parsed, "fields": []},
        {**parsed, "fields": {"a": 1}},
        {**parsed, "schedulers": "x"},
        {**parsed, "listed": [1]},
    ):
        assert not is_parsed_config(value)

"""Parsing of the configuration of a scheduler."""

from __future__ import annotations

import time

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    list_settings,
)


def test_list_settings_withholds_private_keys() -> None:
    content = b"""
apiVersion: kubescheduler.config.k8s.io/v1
leaderElection: {leaseDuration: 30s, leaderElect: true}
profiles: [{schedulerName: a}]
extenders: [{tlsConfig: {keyData: c2VjcmV0, KeyData: c2VjcmV0}}]
"""
    assert list_settings(content) == [
        'apiVersion="kubescheduler.config.k8s.io/v1"',
        'leaderElection.leaseDuration="30s"',
        "leaderElection.leaderElect=true",
        'profiles=[{"schedulerName": "a"}]',
        'extenders=[{"tlsConfig": {"keyData": "(withheld)", "KeyData": "(withheld)"}}]',
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
        "\n".join(
            ["a: &x {b: {}, c: {}}", *(f"a{n}: &x {{b: *x, c: *x}}" for n in range(40))]
        ).encode(),
    ],
)
def test_list_settings_of_invalid_or_large_configuration_is_empty(content: bytes) -> None:
    before = time.monotonic()
    assert list_settings(content) == []
    assert time.monotonic() - before < 20


def test_a_private_key_is_withheld_wherever_it_stands() -> None:
    assert list_settings(b"tlsConfig: {keyData: c2VjcmV0}") == ['tlsConfig.keyData="(withheld)"']

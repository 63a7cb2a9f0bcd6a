"""Test that a diff shows what changes in a file, but no secret."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.masking import (
    withhold_difference,
)

BEFORE = """\
# Managed by Ansible, token: in-comment
kind: KubeSchedulerConfiguration
parallelism: 8
extenders:
  - urlPrefix: "https://x"
    tlsConfig:
      keyData: marker-old
      insecure: false
"""


def test_changed_secret_is_marked_and_other_changes_are_shown() -> None:
    after = BEFORE.replace("marker-old", '"marker-new"').replace("parallelism: 8", "parallelism: 9")
    before, after = withhold_difference(BEFORE, after)
    assert "marker" not in before + after
    assert "in-comment" not in before + after
    lines = zip(before.splitlines(), after.splitlines())
    assert [pair for pair in lines if len(set(pair)) > 1] == [
        ("parallelism: 8", "parallelism: 9"),
        ("      keyData: (withheld)", "      keyData: (withheld, differs)"),
    ]


def test_added_and_removed_secrets_are_shown_without_their_values() -> None:
    without = "kind: KubeSchedulerConfiguration\n"
    _before, added = withhold_difference(without, BEFORE)
    assert "      keyData: (withheld)\n" in added
    removed, after = withhold_difference(BEFORE, without)
    assert "      keyData: (withheld)\n" in removed
    assert after == without


@pytest.mark.parametrize(
    "text",
    [
        "token: |\n  marker\n  marker\nb: 1\n",
        "token: {marker: [marker]}\nb: 1\n",
        "token:\n  - marker\n  # marker\nb: 1\n",
        "a: {token: marker, b: 1}\n",
        "? token\n: marker\nb: 1\n",
        "x: 'https://marker:marker@host'\nb: 1\n",
        "exec: {args: [marker]}\nb: 1\n",
        "token: &a marker\nb: 1\n",
        "token: !!str marker\nb: 1\n",
    ],
)
def test_secret_is_withheld_in_every_form_of_yaml(text: str) -> None:
    before, after = withhold_difference(text, text + "c: 2\n")
    assert "marker" not in before + after
    assert "(withheld)" in before
    assert "b: 1" in before
    assert "c: 2" in after


@pytest.mark.parametrize(
    "text", ["token: [marker\n", "a: &a {token: marker}\nb: *a\n", "<token: marker>\t}"]
)
def test_text_that_is_no_yaml_is_withheld_if_it_has_a_secret(text: str) -> None:
    before, _after = withhold_difference(text, "")
    assert before == "(withheld, because the file is not valid YAML)\n"
    assert withhold_difference("a: [b\n", "")[0] == "a: [b\n"


def test_without_the_library_a_text_with_a_secret_is_withheld(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = builtins.__import__

    def fail(name: str, *others: Any) -> Any:
        if name == "yaml":
            raise ImportError
        return load(name, *others)

    monkeypatch.setattr(builtins, "__import__", fail)
    assert "marker" not in "".join(withhold_difference(BEFORE, BEFORE + "a: 1\n"))
    assert withhold_difference("a: 1\n", "a: 2\n") == ("a: 1\n", "a: 2\n")


def test_unit_has_no_secret() -> None:
    unit = """\
[Service]
Environment=KUBE_HA_DIGEST=0123
Environment="A=marker" B=marker
ExecStart=/usr/bin/kube-scheduler "--token=marker" --master=https://marker@host --v=2
"""
    before, after = withhold_difference(unit, "", is_unit=True)
    assert (after, "marker" in before) == ("", False)
    assert "Environment=KUBE_HA_DIGEST=0123\nEnvironment=(withheld)\n" in before
    assert before.endswith("--v=2\n")

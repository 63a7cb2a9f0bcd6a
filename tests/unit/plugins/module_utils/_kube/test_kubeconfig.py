# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import random
import string
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeconfigError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files.paths import MAX_FILE_BYTES
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.fake_module import one_line
from tests.support.kubectl import KUBECTLS, kubectl

GOOD = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://h"}}],
    "users": [{"name": "u", "user": {"token": "s3cret"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


def error(content: bytes | str) -> str:
    with pytest.raises(KubeconfigError) as caught:
        kubeconfig.parse_kubeconfig(
            content if isinstance(content, bytes) else content.encode(), "FILE"
        )
    text = one_line(caught.value)
    assert text.startswith("FILE")
    assert "s3cret" not in text
    return text


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "is empty"),
        ("---\n", "is empty"),
        ("# only a comment\n", "is empty"),
        ("null\n", "is empty"),
        ("a: b\n---\nc: d\n", "more than one"),
        ("- a\n", "not a mapping"),
        ("text\n", "not a mapping"),
        ("a: [s3cret\n", "not YAML"),
        ("a: s3cret\n\tb: c\n", "not YAML, line 2"),
        ("a: 's3cret\n", "not YAML"),
        (b"a: \xff\n", "not UTF-8"),
        (b"a: \x00\n", "not YAML"),
        ('a: "\\ud83d"\n', "not Unicode"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("a: &a [s,s]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", "alias"),
        ("a: &a {b: *a}\n", "alias"),
        ("<<: {a: b}\n", "plain text"),
        ("? [a]\n: b\n", "plain text"),
        ("? {a: b}\n: c\n", "plain text"),
        ("token: s3cret\ntoken: s3cret\n", "duplicate key 'token'"),
        ("users: [{name: u, user: {token: s3cret, token: s3cret}}]\n", "duplicate key 'token'"),
        ("a: !!python/object/apply:os.system [s3cret]\n", "not YAML"),
        ("a: !x s3cret\n", "not YAML"),
        ("a: " + "[" * 3000 + "\n", "nested too deeply"),
        ("a: [" + "x," * kubeconfig.MAX_KUBECONFIG_NODES + "]\n", "more than 50000 YAML nodes"),
        ("apiVersion: v2\n", "apiVersion v1"),
        ("kind: List\n", "kind Config"),
        ("current-context: 7\n", "not text"),
        ("clusters: {}\n", "clusters is not a list"),
        ("users: text\n", "users is not a list"),
        ("contexts: 0\n", "contexts is not a list"),
        ("clusters: [null]\n", "entry 1, has no name"),
        ("clusters: null\n", "clusters is null; write [] for an empty list"),
        (
            "apiVersion: v1\nkind: Config\nusers: null\nclusters: []\n",
            "users is null; write [] for an empty list",
        ),
        ("clusters: [{}]\n", "entry 1, has no name"),
        ("clusters: [{name: 7}]\n", "not text"),
        ("clusters: [{name: yes}]\n", "not text"),
        ("users: [{name: a}, {name: a}]\n", "contains 'a' twice"),
        ("users: [{name: a, user: s3cret}]\n", "user is not a mapping"),
        ("users: [{name: " + "a" * 999 + ", user: []}]\n", "…"),
    ],
)
def test_invalid_kubeconfig_is_rejected(content: bytes | str, word: str) -> None:
    assert word in error(content)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("a: [" + "x," * 500_000 + "]\n", "YAML nodes"),
        ("---\n" * 250_000, "more than one"),
        ("a0: &a {k: 1}\na1: &b {<<: [" + "*a," * 9 + "*a]}\n", "alias"),
    ],
    ids=["nodes", "documents", "merge keys"],
)
def test_kubeconfig_with_many_nodes_is_rejected_within_seconds(content: str, word: str) -> None:
    assert len(content) <= MAX_FILE_BYTES
    before = time.process_time()
    assert word in error(content)
    assert time.process_time() - before < 10


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "apiVersion: v1\nkind: Config\nclusters: null\nusers: null\ncontexts: null\ncurrent-context: ''\n",
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        "\ufeff" + yaml.safe_dump(GOOD),
        "users: [{name: a}, {name: b, user: null}, {name: c, user: {}}]",
    ],
)
def test_kubeconfig_that_kubectl_reads_is_accepted(content: str) -> None:
    kubeconfig.parse_kubeconfig(content.encode(), "FILE")


def test_truncated_file_is_rejected_or_lacks_its_end() -> None:
    whole = kubeconfig.dump_kubeconfig(GOOD)
    for length in range(len(whole)):
        with contextlib.suppress(KubeconfigError):
            found = kubeconfig.parse_kubeconfig(whole[:length], "FILE")
            assert found != GOOD or whole[length:] == b"\n"


@given(st.binary())
def test_any_bytes_are_parsed_or_rejected(content: bytes) -> None:
    with contextlib.suppress(KubeconfigError):
        kubeconfig.parse_kubeconfig(content, "FILE")


@given(JSON)
@example(
    {
        "n": 1e30,
        "o": "0o7",
        "d": "2001-01-01",
        "b": "1:30",
        "e": "",
        "y": "y",
        "m": "<<",
        "v": "=",
        "x": "\x85\u2028\ufeff",
    }
)
@example(
    {
        "n": float(2**70),
        "t": "a\nb\n",
        "u": "a\n\n",
        "w": " a\nb ",
        "l": "word " * 40,
        "k" * 200: "k" * 200,
    }
)
def test_written_value_is_read_unchanged(value: Any) -> None:
    config = {**GOOD, "extensions": [{"name": "e", "extension": value}]}
    assert kubeconfig.parse_kubeconfig(kubeconfig.dump_kubeconfig(config), "FILE") == config


def test_shared_object_is_written_without_alias() -> None:
    shared = ["a"]
    assert b"*" not in kubeconfig.dump_kubeconfig({"a": shared, "b": shared})


ATOMS = [
    *string.ascii_letters,
    *string.digits,
    *string.punctuation,
    *"  \n\t\ré\u00a0\u202e😀",
    *(
        "yes",
        "no",
        "null",
        "true",
        "Off",
        "y",
        "1e3",
        "0x1",
        "0o7",
        "0b11",
        "1:30",
        ".inf",
        "NaN",
        "12_3",
        "1.5e+3",
    ),
    *("2001-01-01", "T00:00:00Z", "---", "...", "<<", "=", " #", ": ", "- ", "word "),
]


@pytest.mark.parametrize("path", KUBECTLS)
def test_text_equals_that_of_kubectl(path: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    texts = sorted(
        {
            "".join(chance.choices(ATOMS, k=chance.choice([1, 1, 2, 3, 4, 5])))
            for _number in range(500)
        }
    )
    numbers = [0, 1, -5, 1.5, 1e30, 10**15, True, False, None, [], {}, [[1], []]]
    contexts = [
        {
            "name": text,
            "context": {
                "cluster": text,
                "user": "u",
                "extensions": [
                    {"name": "e", "extension": {"n": chance.choice(numbers), "text": text}}
                ],
            },
        }
        for text in texts
    ]
    file = tmp_path / "config"
    file.write_bytes(kubeconfig.dump_kubeconfig({**GOOD, "contexts": contexts}))
    kubectl(path, file, "set-context", "x", "--cluster=c")
    assert (
        kubeconfig.dump_kubeconfig(kubeconfig.parse_kubeconfig(file.read_bytes(), "FILE"))
        == file.read_bytes()
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import string
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _kubeconfig as kubeconfig
from hypothesis import example, given
from hypothesis import strategies as st
from stand_ins import one_line

from tests.unit.kubectl import KUBECTLS, kubectl

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
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


def fault(content: bytes | str) -> str:
    with pytest.raises(kubeconfig.KubeconfigError) as caught:
        kubeconfig.parse(content if isinstance(content, bytes) else content.encode(), "FILE")
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
        ("token: s3cret\ntoken: s3cret\n", "'token' is there twice"),
        ("users: [{name: u, user: {token: s3cret, token: s3cret}}]\n", "'token' is there twice"),
        ("a: !!python/object/apply:os.system [s3cret]\n", "not YAML"),
        ("a: !x s3cret\n", "not YAML"),
        ("a: " + "[" * 3000 + "\n", "nested too deeply"),
        ("apiVersion: v2\n", "apiVersion v1"),
        ("kind: List\n", "kind Config"),
        ("current-context: 7\n", "not text"),
        ("clusters: {}\n", "clusters is not a list"),
        ("users: text\n", "users is not a list"),
        ("contexts: 0\n", "contexts is not a list"),
        ("clusters: [null]\n", "entry 1, has no name"),
        ("clusters: null\n", "clusters is null; write [] for an empty list"),
        ("apiVersion: v1\nkind: Config\nusers: null\nclusters: []\n", "users is null; write [] for an empty list"),
        ("clusters: [{}]\n", "entry 1, has no name"),
        ("clusters: [{name: 7}]\n", "not text"),
        ("clusters: [{name: yes}]\n", "not text"),
        ("users: [{name: a}, {name: a}]\n", "holds 'a' twice"),
        ("users: [{name: a, user: s3cret}]\n", "user is not a mapping"),
        ("users: [{name: " + "a" * 999 + ", user: []}]\n", "…"),
    ],
)
def test_what_is_not_a_kubeconfig(content: bytes | str, word: str) -> None:
    assert word in fault(content)


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
def test_what_kubectl_reads_too(content: str) -> None:
    kubeconfig.parse(content.encode(), "FILE")


def test_a_file_that_was_cut_off_is_an_error_or_lacks_its_end() -> None:
    whole = kubeconfig.dump(GOOD)
    for length in range(len(whole)):
        with contextlib.suppress(kubeconfig.KubeconfigError):
            found = kubeconfig.parse(whole[:length], "FILE")
            assert found != GOOD or whole[length:] == b"\n"


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(kubeconfig.KubeconfigError):
        kubeconfig.parse(content, "FILE")


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
@example({"n": float(2**70), "t": "a\nb\n", "u": "a\n\n", "w": " a\nb ", "l": "word " * 40, "k" * 200: "k" * 200})
def test_what_is_written_reads_as_the_same(value: Any) -> None:
    config = {**GOOD, "extensions": [{"name": "e", "extension": value}]}
    assert kubeconfig.parse(kubeconfig.dump(config), "FILE") == config


def test_one_object_in_two_places_is_written_twice() -> None:
    shared = ["a"]
    assert b"*" not in kubeconfig.dump({"a": shared, "b": shared})


ATOMS = [
    *string.ascii_letters,
    *string.digits,
    *string.punctuation,
    *"  \n\t\ré\u00a0\u202e😀",
    *("yes", "no", "null", "true", "Off", "y", "1e3", "0x1", "0o7", "0b11", "1:30", ".inf", "NaN", "12_3", "1.5e+3"),
    *("2001-01-01", "T00:00:00Z", "---", "...", "<<", "=", " #", ": ", "- ", "word "),
]


@pytest.mark.parametrize("path", KUBECTLS)
def test_text_is_written_as_kubectl_writes_it(path: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    texts = sorted({"".join(chance.choices(ATOMS, k=chance.choice([1, 1, 2, 3, 4, 5]))) for _ in range(500)})
    numbers = [0, 1, -5, 1.5, 1e30, 10**15, True, False, None, [], {}, [[1], []]]
    contexts = [
        {
            "name": text,
            "context": {
                "cluster": text,
                "user": "u",
                "extensions": [{"name": "e", "extension": {"n": chance.choice(numbers), "text": text}}],
            },
        }
        for text in texts
    ]
    file = tmp_path / "config"
    file.write_bytes(kubeconfig.dump({**GOOD, "contexts": contexts}))
    kubectl(path, file, "set-context", "x", "--cluster=c")
    assert kubeconfig.dump(kubeconfig.parse(file.read_bytes(), "FILE")) == file.read_bytes()


# --- the lock


def test_the_lock_is_there_while_it_is_held(tmp_path: Path) -> None:
    file = tmp_path / "config"
    with kubeconfig.locked(str(file)):
        assert os.listdir(tmp_path) == ["config.lock"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", [0, 0o600, 0o644])
def test_a_lock_of_kubectl_is_waited_for_and_never_removed(tmp_path: Path, mode: int) -> None:
    lock = tmp_path / "config.lock"
    lock.touch(mode)
    start = time.monotonic()
    with pytest.raises(kubeconfig.KubeconfigError) as caught, kubeconfig.locked(str(tmp_path / "config"), patience=0.2):
        pass
    assert 0.2 <= time.monotonic() - start < 1
    assert str(lock) in one_line(caught.value)
    assert lock.exists()


def test_a_lock_that_goes_away_in_time(tmp_path: Path) -> None:
    lock = tmp_path / "config.lock"
    lock.touch()
    with (
        subprocess.Popen(["sh", "-c", f"sleep 0.2; rm {lock}"]),
        kubeconfig.locked(str(tmp_path / "config"), patience=5),
    ):
        assert lock.exists()


def test_a_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with kubeconfig.locked(str(tmp_path / "config")):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / "config.lock").exists()
    with kubeconfig.locked(str(tmp_path / "config"), patience=0):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "symlink", "fifo"])
def test_a_lock_that_is_no_file(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "config.lock"
    {"folder": lock.mkdir, "symlink": lambda: lock.symlink_to("/etc/passwd"), "fifo": lambda: os.mkfifo(lock)}[kind]()
    with pytest.raises(kubeconfig.KubeconfigError), kubeconfig.locked(str(tmp_path / "config"), patience=0.1):
        pass
    assert os.path.lexists(lock)


def test_no_folder_for_the_lock(tmp_path: Path) -> None:
    with (
        pytest.raises(kubeconfig.KubeconfigError, match="does not exist; create it first"),
        kubeconfig.locked(f"{tmp_path}/a/b"),
    ):
        pass


def _count(path: str, rounds: int) -> None:
    for _ in range(rounds):
        with kubeconfig.locked(path):
            number = int(Path(path).read_text())
            time.sleep(0.001)
            Path(path).write_text(str(number + 1))


def test_two_runs_never_hold_it_at_once(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("0")
    fork = multiprocessing.get_context("fork")
    runs = [fork.Process(target=_count, args=(str(file), 20)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert file.read_text() == "60"


@pytest.mark.parametrize("path", KUBECTLS)
def test_kubectl_heeds_our_lock(path: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    with kubeconfig.locked(str(file)):
        assert b"file exists" in kubectl(path, file, "set-context", "x", "--cluster=c", check=False).stderr
    kubectl(path, file, "set-context", "x", "--cluster=c")

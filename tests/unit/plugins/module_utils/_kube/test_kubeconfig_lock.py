# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeconfigError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    kubeconfig_lock as _lock,
)

from tests.support.fake_module import one_line
from tests.support.kubectl import KUBECTLS, kubectl


def test_lock_file_exists_while_held(tmp_path: Path) -> None:
    file = tmp_path / "config"
    with _lock.hold_kubeconfig_lock(str(file)):
        assert os.listdir(tmp_path) == ["config.lock"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", [0, 0o600, 0o644])
def test_lock_of_kubectl_times_out_and_stays(tmp_path: Path, mode: int) -> None:
    lock = tmp_path / "config.lock"
    lock.touch(mode)
    start = time.monotonic()
    with (
        pytest.raises(KubeconfigError) as caught,
        _lock.hold_kubeconfig_lock(str(tmp_path / "config"), timeout=0.2),
    ):
        pass
    assert 0.2 <= time.monotonic() - start < 1
    assert str(lock) in one_line(caught.value)
    assert lock.exists()


def test_lock_is_taken_when_released(tmp_path: Path) -> None:
    lock = tmp_path / "config.lock"
    lock.touch()
    with (
        subprocess.Popen(["sh", "-c", f"sleep 0.2; rm {lock}"]),
        _lock.hold_kubeconfig_lock(str(tmp_path / "config"), timeout=5),
    ):
        assert lock.exists()


def test_stale_lock_of_a_killed_run_is_reused(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with _lock.hold_kubeconfig_lock(str(tmp_path / "config")):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / "config.lock").exists()
    with _lock.hold_kubeconfig_lock(str(tmp_path / "config"), timeout=0):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["directory", "symlink", "fifo"])
def test_lock_that_is_no_file_is_rejected(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "config.lock"
    make: dict[str, Callable[[], object]] = {
        "directory": lock.mkdir,
        "symlink": partial(lock.symlink_to, "/etc/passwd"),
        "fifo": partial(os.mkfifo, lock),
    }
    make[kind]()
    with (
        pytest.raises(KubeconfigError),
        _lock.hold_kubeconfig_lock(str(tmp_path / "config"), timeout=0.1),
    ):
        pass
    assert os.path.lexists(lock)


def test_missing_directory_is_rejected(tmp_path: Path) -> None:
    with (
        pytest.raises(KubeconfigError, match="does not exist; create it first"),
        _lock.hold_kubeconfig_lock(f"{tmp_path}/a/b"),
    ):
        pass


def _count(path: str, rounds: int) -> None:
    for _number in range(rounds):
        with _lock.hold_kubeconfig_lock(path):
            number = int(Path(path).read_text())
            time.sleep(0.001)
            Path(path).write_text(str(number + 1))


def test_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("0")
    fork = multiprocessing.get_context("fork")
    runs = [fork.Process(target=_count, args=(str(file), 20)) for _number in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert file.read_text() == "60"


@pytest.mark.parametrize("path", KUBECTLS)
def test_kubectl_respects_the_lock(path: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    with _lock.hold_kubeconfig_lock(str(file)):
        assert (
            b"file exists"
            in kubectl(path, file, "set-context", "x", "--cluster=c", check=False).stderr
        )
    kubectl(path, file, "set-context", "x", "--cluster=c")

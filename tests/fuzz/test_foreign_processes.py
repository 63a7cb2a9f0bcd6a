# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test how processes of other users are described: their command lines, files and links.

The description must be valid, end in time, and contain no byte of a secret.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    foreign,
    process,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import (
    LocalScheduler,
    other_schedulers,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    describe_instance,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving

from tests.fuzz import judge, subjects, values
from tests.fuzz.conftest import MEMORY
from tests.support.host import FakeProc

CASES = 60
MARKER = "c2VjcmV0LW1hcmtlcg"
UID = 12345
GRACE = 4.0
SERVING = [
    None,
    Serving(
        since="1.31", https=10259, http=0, ready_path="/readyz", ready_port="https", lock="leases"
    ),
    Serving(
        since="1.10", https=0, http=10251, ready_path="/healthz", ready_port="http", lock="leases"
    ),
]
NUMBERS = [
    "0",
    "10259",
    "024023",
    "0x2813",
    "-1",
    "65536",
    "1e9",
    "0" * 5000 + "7",
    "9" * 5000,
    "\u0661\u0662",
    "\u00b2",
    "",
    "15s",
    "9" * 5000 + "h",
    "-5s",
    "\x1b[31m",
    "inf",
]
FLAGS = [
    "secure-port",
    "port",
    "bind-address",
    "leader-elect-lease-duration",
    "leader-elect-retry-period",
    "leader-elect-resource-lock",
    "leader-elect-resource-name",
    "lock-object-namespace",
    "kubeconfig",
    "scheduler-name",
    "v",
]
SECRET_FIELDS = ["token", "password", "keyData", "client-key-data"]
SPECIAL = ["/dev/zero", "/dev/full", "/dev/tty", "/proc/kmsg", "/proc/self/environ", "/", "loop"]
CGROUPS = [
    "/system.slice/other.service",
    "/user.slice/user-1.slice/kubepods/pod" + "0" * 32,
    "/kubepods/burstable/pod" + "0" * 32 + "/x",
    "/../" * 500,
    "",
]


def command_line(rng: random.Random) -> bytes:
    words = ["/bin/kube-scheduler", rng.choice(["--config=/c", "--config=/link", "--config", "-c"])]
    for _number in range(rng.choice([0, 1, 3, 3000])):
        value = rng.choice([*NUMBERS, *map(str, values.TEXTS)])
        words.append(f"--{rng.choice(FLAGS)}{rng.choice(['=', ' ', ''])}{value}")
    raw = b"\0".join(word.encode("utf-8", "surrogatepass") for word in words)
    return raw + rng.choice([b"\0", b"", b"\0\0", b"\xff\xfe\0"])


def configuration(rng: random.Random) -> bytes:
    way = rng.random()
    if way < 0.2:
        bombs = [
            b"a: &a [*a]",
            b"a: &a {b: 1}\nc: {<<: *a}",
            b"[" * 50_000,
            b"a: " + b"9" * 60_000,
            b"a: " + b"1:" * 30_000 + b"1",
            b"a: !!python/object/apply:os.system [exit]",
            b"\xff\xfe\x00",
            b"x" * 2_000_000,
        ]
        return rng.choice(bombs)
    whole: Any = {
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"retryPeriod": "2s", "resourceName": "x"},
        "healthzBindAddress": f"0.0.0.0:{rng.choice(NUMBERS)}",
        "profiles": [{"schedulerName": "a"}],
    }
    for _number in range(rng.choice([0, 1, 3])):
        whole = values.somewhere(rng, whole)
    if isinstance(whole, dict):
        whole["extenders"] = [{rng.choice(SECRET_FIELDS): MARKER} for _number in range(3)]
    try:
        return yaml.safe_dump(whole).encode("utf-8", "replace")
    except (yaml.YAMLError, RecursionError):
        return b""


def place_config(rng: random.Random, root: Path) -> None:
    """Create the files /c and /link of a process: a file, a link or a special file."""
    (root / "secret").write_text(f"token: {MARKER}\n")
    (root / "secret").chmod(0o600)
    (root / "link").symlink_to(rng.choice(["c", "secret", "/secret", "../../../secret", "link"]))
    path = root / "c"
    way = rng.choice(["file"] * 6 + ["fifo", "socket", "directory", "sparse", *SPECIAL])
    if way == "file":
        path.write_bytes(configuration(rng))
    elif way == "fifo":
        os.mkfifo(path)
    elif way == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif way == "directory":
        path.mkdir()
    elif way == "sparse":
        path.touch()
        os.truncate(path, 1 << 40)
    else:
        path.symlink_to("c" if way == "loop" else way)


def describe(rng: random.Random, proc: FakeProc) -> dict[str, Any]:
    settings = process.read_process_settings(proc, 7)
    serving = rng.choice(SERVING)
    described = process.describe_process(
        proc, 7, "", settings, serving=serving, fallback=process.ListenAddress("127.0.0.1", 1)
    )
    local = LocalScheduler(0, "x.service", ("kube-system", "kube-scheduler"), None)
    others = other_schedulers(
        proc, local, lambda pid: process.read_process_settings(proc, pid).lease
    )
    instance = describe_instance("y.service", settings, serving, ["/c"])
    names = [proc.name(pid) for pid in others]
    found = {"process": described, "instances": [instance], "others": names}
    return dict(facts.validate_module_result({**subjects.GATHERED, **found}))


def fill(rng: random.Random, proc: FakeProc) -> None:
    """Create the process 7 of an arbitrary user."""
    owner = rng.choice([UID, os.geteuid()]) if os.geteuid() == 0 else os.geteuid()
    folder = proc.place(
        7,
        uid=owner,
        comm=rng.choice(["kube-scheduler", "kube-scheduler) 1 (", "\x1b[31m"]),
        environment={"GOGC": MARKER, "HTTPS_PROXY": MARKER, "KUBE_HA_DIGEST": rng.choice(NUMBERS)},
        cgroup=rng.choice(CGROUPS),
    )
    (folder / "cmdline").write_bytes(command_line(rng))
    place_config(rng, folder / "root")


def test_foreign_processes_are_described_in_time_and_without_secrets() -> None:
    read: list[bool] = []
    original: Callable[..., Any] = process.read_as

    def one(rng: random.Random) -> None:
        place = MEMORY if os.path.isdir(MEMORY) else None
        with tempfile.TemporaryDirectory(dir=place) as directory:
            os.chmod(directory, 0o755)
            proc = FakeProc(Path(directory) / "proc")
            fill(rng, proc)
            started = time.monotonic()
            result = describe(rng, proc)
            # The description reads two files, each in a child process with a limited run time.
            limit = 2 * (foreign.MAX_CHILD_WALL_S + foreign.MAX_REAP_S) + GRACE
            assert time.monotonic() - started < limit
            judge.holds_no([MARKER], result)
            for text in texts(result):
                assert text.isprintable(), text[:100]
            read.append(original(proc, 7, "/c", len) is not None)

    cases = judge.run("processes", CASES, 0.05, one)
    if judge.CASE is None:
        assert len(cases) >= CASES
        assert {True, False} == set(read)


def texts(value: Any) -> list[str]:
    """Return all texts of a nested value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return [text for entry in value for text in texts(entry)] if isinstance(value, list) else []

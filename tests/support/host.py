# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Simulate a host for tests of _scheduler: a file set, a /proc, a systemd that starts a process."""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import lifecycle
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    parse_files,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    credentials_dir,
)

UNIT_NAME = "x.service"
UNIT = "[Service]\nEnvironment=KUBE_HA_DIGEST=@digest@\n"
TICKS = os.sysconf("SC_CLK_TCK")


class FakeProc(Proc):
    """Provide a /proc in a directory.

    The boot time is in 1970, so that process start times count from then.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(str(root), boot=0.0)
        self.folder = root
        (root / "net").mkdir(parents=True)
        self.place("self", namespaces={"net": "net:[1]", "user": "user:[1]"})

    def place(  # noqa: PLR0913 - each parameter is a file of the process
        self,
        pid: int | str,
        words: tuple[str, ...] = (),
        *,
        comm: str = "kube-scheduler",
        environment: dict[str, str] | None = None,
        exe: Path | None = None,
        cgroup: str = "/system.slice/other.service",
        uid: int | None = None,
        namespaces: dict[str, str] | None = None,
        started: float | None = None,
        listens: int = 0,
    ) -> Path:
        """Add a process."""
        folder = self.folder / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "fd").mkdir()
        (folder / "root").mkdir()
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "cmdline").write_text("".join(f"{word}\0" for word in words))
        (folder / "environ").write_text(
            "".join(f"{key}={value}\0" for key, value in (environment or {}).items())
        )
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
        own = os.getuid() if uid is None else uid
        (folder / "status").write_text(
            f"Name:\t{comm}\nUid:\t{own}\t{own}\t{own}\t{own}\nGid:\t{own}\t{own}\t{own}\t{own}\n"
        )
        ticks = math.ceil((time.time() if started is None else started) * TICKS)
        (folder / "stat").write_text(f"{pid} (a ) b) S {' '.join(['0'] * 18)} {ticks} 0\n")
        for kind, name in {"net": "net:[1]", "user": "user:[1]", **(namespaces or {})}.items():
            (folder / "ns" / kind).symlink_to(name)
        if exe is not None:
            (folder / "exe").symlink_to(exe)
        if listens:
            inode = 4000 + int(pid)
            (folder / "fd" / "3").symlink_to(f"socket:[{inode}]")
            with (self.folder / "net/tcp").open("a") as stream:
                stream.write(
                    f"   0: 0100007F:{listens:04X} 00000000:0000 0A 0:0 00:0 0 999 0 {inode} 1\n"
                )
        return folder

    def listen_nowhere(self) -> None:
        (self.folder / "net/tcp").write_text("  sl  local_address\n")

    def end(self, pid: int) -> None:
        shutil.rmtree(self.folder / str(pid), ignore_errors=True)


class FakeSystemd(systemd.Systemd):
    """Provide a systemd whose unit starts from the live file set."""

    def __init__(self, unit: Path, proc: FakeProc) -> None:
        self.unit = unit
        self.proc = proc
        self.did: list[str] = []
        self.pid = 0
        self.program: Path | None = None
        self.vendor: Path | None = None  # directory of a unit that another owner installed
        self.credentials: dict[str, Path] = {}
        self.number = 252
        self.lines = ["the end of the journal"]
        self.log: list[tuple[float, str]] = []  # log lines of the unit with their times
        self.words: tuple[str, ...] = ()
        self.state = {
            "LoadState": "not-found",
            "ActiveState": "inactive",
            "SubState": "dead",
            "UnitFileState": "",
            "NeedDaemonReload": "no",
            "FragmentPath": "",
        }

    @property
    def read(self) -> Path | None:
        """Return the path of the unit file."""
        return self.unit if self.unit.exists() else self.vendor

    def show(self, unit: str) -> dict[str, str]:
        return {**self.state, "MainPID": str(self.pid)}

    def version(self) -> int:
        return self.number

    def reload(self) -> None:
        self.did.append("reload")
        read = self.read
        self.state["LoadState"] = "loaded" if read else "not-found"
        self.state["FragmentPath"] = str(read or "")

    def enable(self, unit: str) -> None:
        self.did.append("enable")
        self.state["UnitFileState"] = "enabled"

    def reset_restarts(self, unit: str) -> None:
        self.did.append("reset_restarts")
        self.state["NRestarts"] = "0"

    def restart(self, unit: str) -> None:
        self.did.append("restart")
        self.state.update(ActiveState="active", SubState="running")
        self.proc.end(self.pid)
        self.pid += 1
        assert self.read
        digest = self.read.read_text().split("DIGEST=")[1].split()[0]
        folder = self.proc.place(
            self.pid,
            self.words,
            environment={"KUBE_HA_DIGEST": digest} if len(digest) == 32 else {},
            exe=Path(os.path.realpath(self.program)) if self.program else None,
            cgroup=f"/system.slice/{UNIT_NAME}",
        )
        # The host reads these files below the root directory of the process. If their directory is
        # not below /run, the files are also in that directory.
        place = credentials_dir(unit)
        observed = [
            folder / "root" / place.lstrip("/"),
            *([] if place.startswith("/run/") else [Path(place)]),
        ]
        for copies in observed:
            shutil.rmtree(copies, ignore_errors=True)
            copies.mkdir(parents=True)
            for name, path in self.credentials.items():
                shutil.copy(path, copies / name)

    def disable(self, unit: str) -> None:
        self.did.append("disable")
        self.state.update(ActiveState="inactive", SubState="dead", UnitFileState="disabled")
        self.proc.end(self.pid)
        self.pid = 0

    def journal(self, unit: str, lines: int, seconds: int = 0) -> list[str]:
        return self.lines[-lines:]

    def has_logged(self, unit: str, text: str, since: float) -> bool:
        return any(at >= since and text in line for at, line in self.log)


class ReleaseModule:
    """Provide the part of AnsibleModule that scheduler_fileset uses."""

    def __init__(self, check_mode: bool, **params: Any) -> None:
        self.check_mode = check_mode
        self.params: dict[str, Any] = {
            "unit": UNIT_NAME,
            "files": None,
            "binaries": [],
            "directories": [],
            "ownership": False,
            "command": [],
            "dry_run_flags": {},
            "dry_run_texts": {},
            "secrets": None,
            "user": "root",
            "log_dir": None,
            "attempt": "",
            "restart": False,
            "lease": None,
            "handover": None,
            **params,
        }


class Host:
    """Provide a file set of four files below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root / "host"
        self.root.mkdir()
        self.bin, self.etc = self.root / "bin", self.root / "etc"
        self.bin.mkdir()
        self.binary("app-v1")
        self.config = "a: 1\n"
        self.link = "app-v1"
        self.key_digest = "content"
        self.proc = FakeProc(root / "proc")
        self.proc.listen_nowhere()
        self.systemd = FakeSystemd(self.root / "units" / UNIT_NAME, self.proc)
        self.systemd.program = self.bin / "app"

    def binary(self, name: str) -> Path:
        path = self.bin / name
        path.write_text(f"binary {name[-1]}")
        path.chmod(0o755)
        return path

    def member(self, name: str, path: Path, **more: Any) -> dict[str, Any]:
        empty = {
            "content": None,
            "link_to": None,
            "mode": "0644",
            "group": "root",
            "digest": "content",
        }
        return {**empty, "name": name, "path": str(path), **more}

    @property
    def files(self) -> list[dict[str, Any]]:
        return [
            self.member("binary", self.bin / "app", link_to=self.link),
            self.member("key", self.etc / "key.pem", digest=self.key_digest),
            self.member("config", self.etc / "app.yaml", content=self.config),
            self.member("unit", self.systemd.unit, content=UNIT),
        ]

    def run(self, state: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
        files = self.files if state in ("prepared", "staged") else None
        module = ReleaseModule(
            check, **{"state": state, "path": str(self.root / "fileset"), "files": files, **params}
        )
        return dict(lifecycle.apply_state(module, self.systemd, self.proc))

    @property
    def fileset(self) -> Fileset:
        return Fileset(str(self.root / "fileset"), parse_files(self.files))

    def stage_key(self, content: str) -> None:
        write.write(str(self.root / "fileset/staged/key"), content.encode())

    def brought(self, name: str = "app-v1", *, ours: bool = True) -> list[dict[str, Any]]:
        return [{"path": str(self.bin / name), "version": f"1.{name[-1]}.0", "ours": ours}]

    def deploy(self, **params: Any) -> None:
        self.run("prepared")
        self.stage_key("secret 1")
        self.run("staged", **params)
        self.run("live")

    def tree(self) -> dict[str, str]:
        return {
            str(p.relative_to(self.root)): os.readlink(p) if p.is_symlink() else p.read_text()
            for p in sorted(self.root.rglob("*"))
            if not p.is_dir()
        }


_CERTIFICATE = {
    "subject": "CN=system:kube-scheduler",
    "valid": True,
    "serial_number": "2A",
    "not_before": "2026-01-01T00:00:00Z",
    "not_after": "2027-01-01T00:00:00Z",
    "days_left": 30,
    "fingerprint_sha256": "00:11",
}
RESULT: dict[str, Any] = {
    "hostname": "m1.example.com",
    "architecture": "amd64",
    "os_families": ["debian"],
    "systemd_version": 252,
    "python_version": "3.11.2",
    "python_path": "/usr/bin/python3",
    "python_packaged": True,
    "missing_libraries": [],
    "time": 1_800_000_000.5,
    "user_exists": True,
    "installed": True,
    "prepared": True,
    "restorable": False,
    "unsafe": [],
    "stale": [],
    "obstacles": [],
    "apiserver": {
        "server": "https://192.0.2.1:6443",
        "reachable": True,
        "version": "v1.37.2",
        "error": None,
        "next_serves": None,
        "next_accepted": None,
    },
    "apiservers": [],
    "unit": {
        "name": "kube-scheduler.service",
        "load_state": "loaded",
        "active_state": "active",
        "sub_state": "running",
        "enabled": "enabled",
        "result": "success",
        "restarts": 0,
        "since": "Tue 2026-11-24 00:29:05 UTC",
        "active_seconds": 4000.0,
        "fragment_path": "/etc/systemd/system/kube-scheduler.service",
        "drop_ins": [],
        "drop_in_settings": [],
        "set_aside": [],
        "static_pod": "",
    },
    "process": {
        "pid": 7,
        "version": "1.37.2",
        "digest": "0" * 32,
        "lock": "leases",
        "lease_name": "kube-scheduler",
        "lease_namespace": "kube-system",
        "bind_address": "127.0.0.1",
        "secure_port": 10259,
        "http_port": 0,
        "timings": {"lease_duration": 15.0, "renew_deadline": 10.0, "retry_period": 2.0},
        "kubeconfig": "/etc/kubernetes/kube-scheduler.kubeconfig",
        "user": "",
        "arguments": [],
        "settings": [],
        "environment": [],
    },
    "port": {
        "number": 10259,
        "addresses": ["127.0.0.1"],
        "held_by": "kube-scheduler (pid 7, kube-scheduler.service)",
        "ours": True,
    },
    "others": [],
    "instances": [],
    "lease": {
        "holder": "m1.example.com",
        "holder_identity": "m1.example.com_0f0e0d0c-1111-2222-3333-444455556666",
        "state": "held",
        "moving": True,
        "source": "lease",
        "acquire_time": "2026-11-24T00:29:06.111078Z",
        "renew_time": "2026-11-24T01:37:12.466456Z",
        "lease_duration": 15,
        "transitions": 0,
        "elapsed": 0.3,
        "age": 0.6,
    },
    "certificates": [
        {
            "path": "/etc/kubernetes/cert/kube-scheduler.pem",
            "use": "pair",
            "subject": "CN=system:kube-scheduler",
            "issuer": "CN=kubernetes",
            "usages": ["clientAuth", "serverAuth"],
            "not_after": "2027-01-01T00:00:00Z",
            "fingerprint_sha256": "00:11",
            "signed_by": ["00:22"],
        }
    ],
    "probes": {
        "served": _CERTIFICATE,
        "used": _CERTIFICATE,
        "used_loaded": None,
        "ready": 200,
        "metrics_anonymous": 403,
        "metrics_reader": None,
        "metrics_http": None,
    },
    "healthy": True,
    "problems": [],
    "not_checked": ["metrics for an authorized client"],
    "journal": [],
    "drift": [],
    "awaited": [],
}
"""Result of scheduler_info for a healthy host."""

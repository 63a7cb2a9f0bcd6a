# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import ipaddress
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import access
import binaries
import cluster
import podman
import pytest
import shell
import yaml
from settings import Settings

SUBNET = ipaddress.IPv4Network("198.18.10.0/24")


def fill(settings: Settings) -> None:
    """Create checksum files of the schedulers on the mirror."""
    for version, command in settings.required:
        path = binaries.place(settings.served, settings, version, command)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{command}.sha512").write_text(f"{version}-{command}\n")


def test_inventory_has_hosts_and_variables(settings: Settings) -> None:
    settings = dataclasses.replace(settings, masters=5, schedulers=("1.36.1",))
    fill(settings)
    tree = access.build(settings, SUBNET)
    assert yaml.safe_load(access.as_yaml(tree)) == tree
    hosts = tree["kube_masters"]["hosts"]
    assert list(hosts) == ["m1", "m2", "m3", "m4", "m5"]
    assert hosts["m4"] == {
        "ansible_host": "198.18.10.14",
        "kube_scheduler_apiserver": "https://198.18.10.11:6443",
    }
    variables = tree["kube_masters"]["vars"]
    assert "StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]
    assert variables["kube_scheduler_binary_url"] == "http://198.18.10.2"
    assert variables["kube_scheduler_binary_checksum"] == {
        settings.version: f"sha512:{settings.version}-kube-scheduler",
        "1.36.1": "sha512:1.36.1-kube-scheduler",
    }


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is absent")
def test_keys_are_created_once_and_pinned(settings: Settings) -> None:
    first = access.ensure_keys(settings)
    assert access.ensure_keys(settings) == first
    assert len(set(first.values())) == 3
    more = access.ensure_keys(dataclasses.replace(settings, masters=4))
    assert {host: more[host] for host in first} == first
    assert (settings.state / "ssh_key").stat().st_mode & 0o777 == 0o600
    fill(settings)
    access.write(settings, SUBNET)
    known = (settings.state / "known_hosts").read_text().splitlines()
    assert [line.split()[:2] for line in known] == [
        [f"198.18.10.{n}", "ssh-ed25519"] for n in (11, 12, 13)
    ]


def test_container_specs_differ_if_the_containers_would(settings: Settings) -> None:
    def digest(image_tag: str = "i", host: str = "m1", identity: str = "k") -> str:
        return podman.master_spec(settings, image_tag, SUBNET, host, identity).digest

    assert digest() == digest()
    assert len({digest(), digest(image_tag="j"), digest(host="m2"), digest(identity="l")}) == 4


def test_alive_checks_the_processes_of_a_container() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{dead.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    own = os.getpid()
    names = (Path("/proc/self/comm").read_text().strip(),)
    assert podman.process_is(own, *names)
    assert not podman.process_is(own, "conmon")
    assert not podman.process_is(dead.pid, "python")  # the process is a zombie
    dead.wait()
    assert not podman.process_is(dead.pid, "python")
    assert not podman.alive({"State": {"Running": True, "ConmonPid": 0, "Pid": 0}})
    assert not podman.alive({})


def test_networks_of_other_programs_are_avoided() -> None:
    displayed: list[dict[str, Any]] = [
        {"subnets": [{"subnet": "198.18.1.0/24"}, {"subnet": "fd00::/64"}]},
        {"subnets": None},
        {},
    ]
    assert podman.subnets(displayed) == [ipaddress.IPv4Network("198.18.1.0/24")]
    assert podman.as_network("default") is None


@pytest.mark.parametrize(
    ("members", "version", "anew"),
    [
        (["m1", "m2", "m3"], "1.37.2", False),
        (["m1", "m2", "m3"], "1.38.0", False),
        (["m1", "m2", "m3"], "1.39.0", True),
        (["m1", "m2", "m3"], "1.37.1", True),
        (["m1", "m2", "m3"], "1.9.0", True),
        (["m1"], "1.37.2", True),
    ],
)
def test_cluster_is_re_created_for_other_members_or_versions(
    members: list[str], version: str, anew: bool
) -> None:
    previous = {"members": ["m1", "m2", "m3"], "version": "1.37.2"}
    assert cluster.is_incompatible(previous, {"members": members, "version": version}) is anew


def test_table_aligns_its_columns() -> None:
    assert cluster.as_table([("A", "B"), ("long", "x")]) == "A     B\nlong  x"


def test_control_plane_waits_for_etcd_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control plane is not ready until etcd is ready.

    On a busy machine, etcd changes its leader while the apiservers are ready.
    """
    etcd = iter(["refused", "unhealthy"])
    monkeypatch.setattr(cluster, "apiserver_state", lambda *_args: "ready")
    monkeypatch.setattr(cluster, "etcd_state", lambda *_args: next(etcd, "healthy"))
    cluster.wait_until_ready(settings, {"m1": "198.18.10.11"})
    assert list(etcd) == []
    monkeypatch.setattr(cluster, "etcd_state", lambda *_args: "unhealthy")
    monkeypatch.setattr(cluster, "READY_TIMEOUT_S", 0.1)
    with pytest.raises(shell.LabError, match="not ready after 0 s: m1 etcd unhealthy; see"):
        cluster.wait_until_ready(settings, {"m1": "198.18.10.11"})


def test_failed_command_shows_its_last_log_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(
        shell.LabError, match=f"Doing it: failed after 0 s with exit code 3; full log: {log}"
    ):
        shell.run(["sh", "-c", "seq 100; exit 3"], "Doing it", log)
    displayed = capsys.readouterr()
    assert displayed.out == "Doing it …\n"
    assert displayed.err.splitlines()[-1] == "  | 100"
    assert len(displayed.err.splitlines()) == shell.TAIL_LINES


def test_progress_of_a_long_command_is_displayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shell, "PROGRESS_EVERY", 0.05)
    shell.run(["sleep", "0.2"], "Sleeping", tmp_path / "x.log")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Sleeping …"
    assert len(lines) > 2
    assert "done in" in lines[-1]


def test_missing_packages_are_named_without_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    shell.need({"sh": "dash"}, tmp_path / "log")
    with pytest.raises(shell.LabError, match="missing packages: a-package b-package;"):
        shell.need(
            {"no-such-tool": "b-package", "/no/such/file": "a-package", "sh": "dash"},
            tmp_path / "log",
        )


def test_lock_has_one_holder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = []

    def second() -> None:
        with shell.lock(tmp_path / "lock", "it"):
            order.append("second")

    thread = threading.Thread(target=second)
    with shell.lock(tmp_path / "lock", "it"):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert "Waiting" in capsys.readouterr().out


def test_write_if_changed_replaces_only_other_content_or_mode(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    assert shell.write_if_changed(path, "a", 0o600)
    assert not shell.write_if_changed(path, "a", 0o600)
    assert shell.write_if_changed(path, "a", 0o644)
    assert shell.write_if_changed(path, "b", 0o644)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_warnings_of_podman_are_not_the_reason() -> None:
    stderr = (
        'Error: no such container\ntime="…" level=warning msg="Error validating CNI config file"\n'
    )
    assert shell.last_line(stderr) == "Error: no such container"
    assert shell.last_line("") == "no reason given"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Find, read and stop a scheduler that kubelet runs from a static pod manifest of kubeadm."""

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import process
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import (
    LocalScheduler,
    Proc,
    other_schedulers,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    LEASE_NAME,
    LEASE_NAMESPACE,
    STATIC_POD,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    MAX_YAML_BYTES,
    parse_settings,
)

MANIFEST = "/etc/kubernetes/manifests/kube-scheduler.yaml"
# kubeadm writes one argument per line.
MANIFEST_ARGUMENT = re.compile(
    r"""(?m)^[ \t]*-[ \t]+["']?(--[a-z][a-z0-9-]*(?:=[^"'\n]*)?)["']?[ \t]*$"""
)
MAX_STOP_S = 90.0
"""Timeout for the stop of the pod.

kubelet notices a removed manifest within 20 s, and the grace period of the pod is 30 s.
"""
STOP_POLL_S = 0.1


def manifest_path(unit: str) -> str:
    """Return the path of the manifest of the scheduler's static pod, "" if there is none.

    Only the default instance can have a static pod.
    """
    return MANIFEST if unit == f"{LEASE_NAME}.service" and os.path.isfile(MANIFEST) else ""


def read_manifest_arguments(path: str) -> list[str]:
    """Return the arguments in a manifest; none if it is unreadable or has another format."""
    content = b""
    with contextlib.suppress(FilesError):
        content = paths.read(path, follow=True, limit=MAX_YAML_BYTES) or b""
    return MANIFEST_ARGUMENT.findall(content.decode("utf-8", "replace"))


def kubeconfig_path(path: str) -> str:
    """Return the kubeconfig path in a manifest, "" if there is none."""
    return parse_settings(read_manifest_arguments(path), None).kubeconfig


def find_pid(proc: Proc, unit: str) -> int:
    """Return the process of the static pod, 0 if there is none.

    Any container can name its process kube-scheduler. The process of the static pod is in the
    control group of a static pod, and has the arguments of the manifest.
    """
    local = LocalScheduler(0, unit, (LEASE_NAMESPACE, LEASE_NAME), None)
    others = other_schedulers(
        proc, local, lambda pid: process.read_process_settings(proc, pid).lease
    )
    expected = set(read_manifest_arguments(MANIFEST))
    return next(
        (
            pid
            for pid in others
            if proc.is_in_static_pod(pid) and expected <= set(proc.command_line(pid)[1:])
        ),
        0,
    )


class StaticPod:
    """Start and stop a static pod through its manifest."""

    def __init__(self, fileset: Fileset, item: Item, proc: Proc, attempt: str) -> None:
        self.fileset, self.item, self.proc, self.attempt = fileset, item, proc, attempt

    def stop(self, unit: str) -> None:
        """Move the manifest to the previous set, and wait for the end of the process.

        If the process does not end in time, restore the manifest and raise FilesetError.
        """
        pid = find_pid(self.proc, unit)
        started = self.proc.start_ticks(pid)
        if os.path.lexists(self.item.path):
            self.fileset.promote(self.attempt, only=self.item.name)
        deadline = time.monotonic() + MAX_STOP_S
        while pid and self.proc.start_ticks(pid) == started:
            if time.monotonic() > deadline:
                self.start(unit)
                raise FilesetError(
                    f"the scheduler of {self.item.path} still runs {MAX_STOP_S:g} s after the"
                    " manifest was moved away; the manifest was restored; check that kubelet runs"
                )
            time.sleep(STOP_POLL_S)

    def start(self, _unit: str) -> None:
        """Restore the manifest."""
        self.fileset.restore_member(self.item)


def replaced_static_pod(fileset: Fileset, proc: Proc, attempt: str) -> StaticPod | None:
    """Return the static pod that the staged set replaces; None if there is none."""
    item = next(
        (item for item in fileset.items if item.name == STATIC_POD and item.is_absent), None
    )
    return StaticPod(fileset, item, proc, attempt) if item and os.path.lexists(item.path) else None


class SchedulerService(t.Protocol):
    """A service that runs a scheduler: systemd, or kubelet with a manifest."""

    def start(self, unit: str) -> None:
        """Start the scheduler."""

    def stop(self, unit: str) -> None:
        """Stop the scheduler, and return after it has ended."""

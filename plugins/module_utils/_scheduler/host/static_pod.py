# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A scheduler that kubelet runs from a manifest, as kubeadm lays it: which process that is, what it is told, and how it is stopped."""

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
# One argument a line, as kubeadm writes them.
MANIFEST_ARGUMENT = re.compile(
    r"""(?m)^[ \t]*-[ \t]+["']?(--[a-z][a-z0-9-]*(?:=[^"'\n]*)?)["']?[ \t]*$"""
)
MAX_STOP_S = 90.0
"""Seconds for kubelet to see that a manifest is gone (20 at most), and for the pod to end (its grace period is 30)."""
STOP_POLL_S = 0.1


def manifest_path(unit: str) -> str:
    """The path of the manifest that runs a scheduler in the place of the unit, "" for none. Of an instance there is none."""
    return MANIFEST if unit == f"{LEASE_NAME}.service" and os.path.isfile(MANIFEST) else ""


def read_arguments(path: str) -> list[str]:
    """The arguments in a manifest; none where it cannot be read, or is written in another way than kubeadm's."""
    content = b""
    with contextlib.suppress(FilesError):
        content = paths.read(path, follow=True, limit=MAX_YAML_BYTES) or b""
    return MANIFEST_ARGUMENT.findall(content.decode("utf-8", "replace"))


def kubeconfig_path(path: str) -> str:
    """The kubeconfig that a manifest names, "" for none."""
    return parse_settings(read_arguments(path), None).kubeconfig


def find_pid(proc: Proc, unit: str) -> int:
    """The process of the pod, 0 for none: a scheduler of the host that is no service of systemd's."""
    own = LocalScheduler(0, unit, (LEASE_NAMESPACE, LEASE_NAME), None)
    found = other_schedulers(proc, own, lambda other: process.read_settings(proc, other).lease)
    return next((other for other in found if not proc.unit(other).endswith(".service")), 0)


class StaticPod:
    """Stops and starts the pod in the place of its unit, by the manifest that kubelet follows."""

    def __init__(self, fileset: Fileset, item: Item, proc: Proc, attempt: str) -> None:
        self.fileset, self.item, self.proc, self.attempt = fileset, item, proc, attempt

    def stop(self, unit: str) -> None:
        """Moves the manifest aside, which is kept with the previous set, and waits until the pod's process has ended.

        Raises FilesetError, with the manifest in its place again, where it goes on.
        """
        running = find_pid(self.proc, unit)
        began = self.proc.start_ticks(running)
        if os.path.lexists(self.item.path):
            self.fileset.promote(self.attempt, only=self.item.name)
        deadline = time.monotonic() + MAX_STOP_S
        while running and self.proc.start_ticks(running) == began:
            if time.monotonic() > deadline:
                self.start(unit)
                raise FilesetError(
                    f"the scheduler of {self.item.path} still runs {MAX_STOP_S:g} s after that was moved aside; it was put back: does kubelet run?"
                )
            time.sleep(STOP_POLL_S)

    def start(self, _unit: str) -> None:
        """Puts the manifest back."""
        self.fileset.restore_member(self.item)


def replaced_static_pod(fileset: Fileset, proc: Proc, attempt: str) -> StaticPod | None:
    """The static pod in whose place the staged set comes, None for none."""
    item = next(
        (item for item in fileset.items if item.name == STATIC_POD and item.is_absent), None
    )
    return StaticPod(fileset, item, proc, attempt) if item and os.path.lexists(item.path) else None


class SchedulerService(t.Protocol):
    """What runs a scheduler: systemd, or kubelet with a manifest."""

    def start(self, unit: str) -> None:
        """Has it run."""

    def stop(self, unit: str) -> None:
        """Ends it, and returns when it has ended."""

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the controller does during a drill: look at the lease all the time, keep pods coming, and clean up after itself."""

from __future__ import annotations

import contextlib
import functools
import math
import secrets
import threading
import time
import typing as t
from urllib.parse import quote

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    KubeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease, transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import verdict

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable, Iterator

POLL = 0.02
"""Seconds between two looks at the lease."""
REQUEST = 5.0
PODS_EACH = 0.25
"""Seconds between two pods."""
LOOK_AT_PODS = 0.1
KEEP_BOUND = 5.0
"""Seconds that a pod with a node stays, in which a second scheduler could bind it again; then it makes room."""
FIRST_PODS = 3
"""Pods that have to get nodes before anything is done to a host."""
PATIENCE = 20.0
"""Seconds for that, and for the pods that still wait when there is a leader again."""
REMOVAL = 30.0

LABEL = "app.kubernetes.io/managed-by"
OWNER = "kube_ha.scheduler-drill"
PREFIX = "kube-ha-drill-"
CORE = "/api/v1/namespaces"


class WatchError(CollectionError):
    """The drill cannot be measured. Nothing was done to a host."""


class InterruptedDrillError(CollectionError):
    """The play that this is part of has ended."""


def pod(name: str, scheduler: str) -> dict[str, t.Any]:
    """A pod that is scheduled anywhere, takes nothing, and never runs: no kubelet pulls its image."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL: OWNER}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "schedulerName": scheduler,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "none",
                    "image": "kube-ha.invalid/none",
                    "imagePullPolicy": "Never",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


class Namespaces:
    """The namespaces of drills: this one's, and those that a killed one has left."""

    def __init__(self, client: _client.Client) -> None:
        self._client = client

    def make(self) -> str:
        name = f"{PREFIX}{secrets.token_hex(4)}"
        self._client.send(
            "POST",
            CORE,
            {
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {"name": name, "labels": {LABEL: OWNER}},
            },
        )
        return name

    def left(self) -> list[str]:
        found = self._client.get(f"{CORE}?labelSelector={quote(f'{LABEL}={OWNER}', safe='')}").get(
            "items"
        )
        names = [
            (item.get("metadata") or {}).get("name")
            for item in found or ()
            if isinstance(item, dict)
        ]
        return [name for name in names if isinstance(name, str) and name.startswith(PREFIX)]

    def remove(self, name: str, seconds: float = REMOVAL) -> bool:
        """Removes a namespace and all in it; returns whether it was gone in time. A cluster without a controller-manager has nobody else to do it."""
        path = f"{CORE}/{quote(name, safe='')}"
        with _absent():
            managed = bool(self._items(f"{path}/serviceaccounts"))
            self._client.send("DELETE", f"{path}/pods?gracePeriodSeconds=0")
            self._client.send("DELETE", path)
            if not managed:
                self._finish(path)
        deadline = time.monotonic() + seconds
        while True:
            if not self._there(path):
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.2)

    def _finish(self, path: str) -> None:
        """What the controller of namespaces would do; nothing else than these is made in one where that does not run."""
        # One for each pod that there was: of a long watch, thousands.
        self._client.send("DELETE", f"{path}/events", timeout=REMOVAL)
        namespace = self._client.get(path)
        self._client.send("PUT", f"{path}/finalize", {**namespace, "spec": {"finalizers": []}})

    def _items(self, path: str) -> list[t.Any]:
        found = self._client.get(path).get("items")
        return found if isinstance(found, list) else []

    def _there(self, path: str) -> bool:
        with _absent():
            self._client.get(path)
            return True
        return False


@contextlib.contextmanager
def _absent() -> Iterator[None]:
    """What is not there need not be removed."""
    try:
        yield
    except KubeError as error:
        if error.kind != "not_found":
            raise


class Watch:
    """The measurement of one drill, as a context: after it, nothing of it is left in the cluster.

    ALIVE tells whether the play is still there; without it, the waits end with InterruptedDrillError, and the context cleans up all the same.
    """

    def __init__(
        self, kubeconfig: str, choice: verdict.Choice, alive: Callable[[], bool] = lambda: True
    ) -> None:
        self._choice, self._alive = choice, alive
        # One for each thread: a kept connection is not for two at once.
        self._clients = [_client.load_client(kubeconfig, timeout=REQUEST) for _each in range(3)]
        self._namespaces = Namespaces(self._clients[0])
        self.namespace = ""
        self.gone = True
        self.seen = verdict.Seen()
        self._pods: dict[str, verdict.Pod] = {}
        self._failure = ""
        self._end, self._no_more_pods, self._all_made = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._look, self._schedule)
        ]

    def __enter__(self) -> Watch:
        try:
            for name in self._namespaces.left():
                self._namespaces.remove(name, seconds=0)
            self.namespace = self._namespaces.make()
        except KubeError as error:
            self._close()
            raise WatchError(
                f"the drill's pods cannot have a namespace, so nothing was done to any host: {error}"
            ) from None
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(2 * REQUEST)
        self.seen.ended = self.seen.ended or time.monotonic()
        try:
            # A play that has ended waits for nobody.
            self.gone = self._namespaces.remove(
                self.namespace, seconds=REMOVAL if self._alive() else 0
            )
        except KubeError:
            self.gone = False
        self._close()

    def _close(self) -> None:
        for client in self._clients:
            client.close()

    # --- what the play waits for

    def ready(self) -> None:
        """Waits until the lease is held by the leader, and pods get nodes. Raises WatchError."""
        leader = self._choice["leader_hostname"]
        deadline = time.monotonic() + PATIENCE
        while True:
            self._check()
            samples, bound = self.seen.samples, sum(pod.bound is not None for pod in self._known())
            if bound >= FIRST_PODS and verdict.renewals(samples) >= 1:
                holder = lease.node_of(samples[-1].identity)
                if holder != leader:
                    raise WatchError(
                        f"{transport.one_line(holder, 100)} has taken the lease from {leader} by itself; nothing was done to any host, try again"
                    )
                return
            if time.monotonic() >= deadline:
                what = (
                    "no pod gets a node"
                    if bound < FIRST_PODS
                    else f"{leader} is not seen to renew the lease"
                )
                raise WatchError(
                    f"{what} within {PATIENCE:g} s, so nothing was done to any host; see what status.yml says"
                )
            time.sleep(POLL)

    def finish(self, fault: float, uncertainty: float) -> verdict.Seen:
        """Waits until there is a leader again, and all pods have nodes; returns what was seen."""
        seen, choice = self.seen, self._choice
        seen.fault, seen.uncertainty = fault, uncertainty
        settled = functools.partial(
            verdict.settled,
            seen.samples,
            fault,
            takeover=choice["primary"] == choice["leader"],
            uncertainty=uncertainty,
        )
        while time.monotonic() < fault + choice["deadline"]:
            self._check()
            if settled():
                break
            time.sleep(POLL)
        seen.ended = time.monotonic()
        self._no_more_pods.set()
        deadline = time.monotonic() + (PATIENCE if settled() else 1.0)
        while time.monotonic() < deadline and not (
            self._all_made.is_set() and all(pod.bound is not None for pod in self._known())
        ):
            self._check()
            time.sleep(POLL)
        self._count_bindings()
        seen.pods = sorted(self._known(), key=lambda pod: pod.created)
        return seen

    def _known(self) -> list[verdict.Pod]:
        return list(self._pods.values())

    def _check(self) -> None:
        if not self._alive():
            raise InterruptedDrillError("the play has ended, so the measurement does too")
        if self._failure:
            raise WatchError(f"the drill cannot be measured: {self._failure}")

    def _count_bindings(self) -> None:
        """Each successful binding is told by an event; a pod that is told of twice has had two."""
        with contextlib.suppress(KubeError):
            path = f"{CORE}/{self.namespace}/events?fieldSelector=reason%3DScheduled&limit=2000"
            found = self._clients[0].get(path).get("items")
            for name, count in bindings(found if isinstance(found, list) else []).items():
                if name in self._pods:
                    self._pods[name].bindings = max(self._pods[name].bindings, count)

    # --- the threads

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except CollectionError as error:
            self._failure = self._failure or str(error)

    def _look(self) -> None:
        where, client, seen = self._choice["lease"], self._clients[1], self.seen
        read = lease.make_reader(
            lambda path: client.get(path, timeout=REQUEST),
            where["namespace"],
            where["name"],
            where["sources"],
        )
        last: lease.LeaseRecord | None = None
        answered = time.monotonic()
        while not self._end.is_set():
            began = time.monotonic()
            try:
                record = read()
            except KubeError as error:
                if error.kind not in transport.TRANSIENT:
                    raise
                self._end.wait(POLL)
                continue
            now = time.monotonic()
            seen.polls += 1
            if not seen.ended:
                seen.longest_pause = max(seen.longest_pause, now - answered)
            answered = now
            if record is not None and record != last and not seen.ended:
                seen.samples.append(
                    verdict.Sample(
                        now, record.identity, record.renew_time or "", record.transitions
                    )
                )
            last = record
            self._end.wait(max(0.0, POLL - (now - began)))

    def _schedule(self) -> None:
        client = self._clients[2]
        next_pod = next_look = time.monotonic()
        while not self._end.is_set():
            if self._no_more_pods.is_set():
                next_pod = math.inf
                self._all_made.set()
            now = time.monotonic()
            try:
                if now >= next_pod:
                    next_pod = max(next_pod + PODS_EACH, now)
                    self._create(client)
                if now >= next_look:
                    next_look = max(next_look + LOOK_AT_PODS, now)
                    self._find_nodes(client)
                    self._make_room(client)
            except KubeError as error:
                # A new namespace has no service account for a moment, which is forbidden.
                if error.kind not in transport.TRANSIENT and not (
                    error.kind == "forbidden" and not self._pods
                ):
                    raise
            self._end.wait(max(0.0, min(next_pod, next_look) - time.monotonic()))

    def _create(self, client: _client.Client) -> None:
        name = f"pod-{len(self._pods):04}"
        created = time.monotonic()
        try:
            client.send(
                "POST", f"{CORE}/{self.namespace}/pods", pod(name, self._choice["scheduler"])
            )
        except KubeError as error:
            if error.kind != "conflict":
                raise
        self._pods[name] = verdict.Pod(name, created)

    def _find_nodes(self, client: _client.Client) -> None:
        found = client.get(f"{CORE}/{self.namespace}/pods?fieldSelector=spec.nodeName%21%3D").get(
            "items"
        )
        now = time.monotonic()
        for name, node in nodes(found if isinstance(found, list) else []).items():
            known = self._pods.get(name)
            if known is None:
                continue
            if known.bound is None:
                known.bound = now
            if known.node != node:
                known.node = node
                known.bindings += 1

    def _make_room(self, client: _client.Client) -> None:
        late = time.monotonic() - KEEP_BOUND
        for known in self._known():
            if known.bound is not None and known.bound < late and known.kept:
                known.kept = False
                with _absent():
                    client.send(
                        "DELETE", f"{CORE}/{self.namespace}/pods/{known.name}?gracePeriodSeconds=0"
                    )


def nodes(items: t.Sequence[t.Any]) -> dict[str, str]:
    """The node of each pod of a list that has one."""
    found = {}
    for item in items:
        with contextlib.suppress(KeyError, TypeError):
            name, node = item["metadata"]["name"], item["spec"]["nodeName"]
            if isinstance(name, str) and isinstance(node, str) and node:
                found[name] = node
    return found


def bindings(events: t.Sequence[t.Any]) -> dict[str, int]:
    """How often each pod was bound, by the events of the schedulers."""
    found: dict[str, int] = {}
    for event in events:
        with contextlib.suppress(KeyError, TypeError):
            name, count = event["involvedObject"]["name"], event.get("count")
            if isinstance(name, str):
                found[name] = found.get(name, 0) + (
                    count if isinstance(count, int) and count > 1 else 1
                )
    return found

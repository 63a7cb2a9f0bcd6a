# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Measure a drill on the controller: poll the lease, create pods, and remove them at the end."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import (
    Client,
    load_client,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import (
    LeaseRecord,
    make_reader,
    node_of,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import (
    TRANSIENT,
    one_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.choice import (
    Choice,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.verdict import (
    DrillPod,
    LeaseSample,
    Measurement,
    count_renewals,
    has_leader,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable, Iterator

LEASE_POLL_INTERVAL_S = 0.02
"""The drill waits this long between two reads of the lease."""
APISERVER_TIMEOUT_S = 5.0
POD_CREATION_INTERVAL_S = 0.25
POD_QUERY_INTERVAL_S = 0.1
BOUND_POD_LIFETIME_S = 5.0
"""The drill deletes a pod this long after its binding, to detect a second binding."""
REQUIRED_PODS = 3
"""This number of pods must get nodes before the fault."""
POD_TIMEOUT_S = 20.0
"""Timeout for the pods before the fault, and for the pods that wait after the failover."""
NAMESPACE_TIMEOUT_S = 30.0
"""Timeout for the removal of a namespace, and of all namespaces of killed drills together."""
NAMESPACE_POLL_INTERVAL_S = 0.2
MAX_LISTED_NAMESPACES = 500

DRILL_LABEL = "app.kubernetes.io/managed-by"
DRILL_LABEL_VALUE = "kube_ha.scheduler-drill"
DRILL_SELECTOR = f"{DRILL_LABEL}={DRILL_LABEL_VALUE}"
NAMESPACE_PREFIX = "kube-ha-drill-"
NAMESPACES_PATH = "/api/v1/namespaces"


class WatchError(CollectionError):
    """The drill cannot be measured. No host was changed."""


class InterruptedDrillError(CollectionError):
    """The play of this drill has ended."""


def pod_manifest(name: str, scheduler: str) -> dict[str, t.Any]:
    """Return a pod that fits on any node, requests no resources and never runs."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {DRILL_LABEL: DRILL_LABEL_VALUE}},
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
    """The namespaces of this drill and of killed drills."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self) -> str:
        """Create a namespace with a random name and return the name."""
        name = f"{NAMESPACE_PREFIX}{secrets.token_hex(4)}"
        self._client.send(
            "POST",
            NAMESPACES_PATH,
            {
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {"name": name, "labels": {DRILL_LABEL: DRILL_LABEL_VALUE}},
            },
        )
        return name

    def list_existing(self) -> list[str]:
        """Return the names of the namespaces of drills, of the first ones if there are many."""
        selector = quote(DRILL_SELECTOR, safe="")
        query = f"labelSelector={selector}&limit={MAX_LISTED_NAMESPACES}"
        items = self._client.get(f"{NAMESPACES_PATH}?{query}").get("items")
        names = [
            (item.get("metadata") or {}).get("name")
            for item in items or ()
            if isinstance(item, dict)
        ]
        return [
            name for name in names if isinstance(name, str) and name.startswith(NAMESPACE_PREFIX)
        ]

    def remove_existing(self) -> None:
        """Remove the namespaces of killed drills. Raises KubeError, WatchError after a timeout."""
        deadline = time.monotonic() + NAMESPACE_TIMEOUT_S
        names = self.list_existing()
        removed = 0
        try:
            for name in names:
                self.remove(name, deadline - time.monotonic(), wait=False)
                removed += 1
        except KubeError:
            if time.monotonic() < deadline:
                raise
            raise WatchError(
                f"{len(names) - removed} namespaces of earlier drills still exist after"
                f" {NAMESPACE_TIMEOUT_S:g} s, no host was changed; run kubectl delete namespaces"
                f" -l {DRILL_SELECTOR}"
            ) from None

    def remove(self, name: str, timeout: float = NAMESPACE_TIMEOUT_S, *, wait: bool = True) -> bool:
        """Remove a namespace with its content; return False if it still exists after `timeout`.

        Without a controller-manager, the drill removes the content and the finalizers itself.
        Without `wait`, the result shows only whether the removal is already complete. Raises
        KubeError, also if the requests take longer than `timeout`.
        """
        path = f"{NAMESPACES_PATH}/{quote(name, safe='')}"
        deadline = time.monotonic() + timeout
        with _ignore_missing():
            managed = bool(self._items(f"{path}/serviceaccounts", deadline))
            self._send("DELETE", f"{path}/pods?gracePeriodSeconds=0", deadline)
            self._send("DELETE", path, deadline)
            if not managed:
                self._finalize(path, deadline)
        while self._exists(path, deadline):
            if not wait or time.monotonic() + NAMESPACE_POLL_INTERVAL_S >= deadline:
                return False
            time.sleep(NAMESPACE_POLL_INTERVAL_S)
        return True

    def _finalize(self, path: str, deadline: float) -> None:
        """Remove events and finalizers, as the namespace controller does."""
        # Each pod has an event, so a long measurement creates thousands.
        self._client.send("DELETE", f"{path}/events", timeout=deadline - time.monotonic())
        namespace = self._send("GET", path, deadline)
        finalized = {**namespace, "spec": {"finalizers": []}}
        self._send("PUT", f"{path}/finalize", deadline, finalized)

    def _items(self, path: str, deadline: float) -> list[t.Any]:
        items = self._send("GET", path, deadline).get("items")
        return items if isinstance(items, list) else []

    def _exists(self, path: str, deadline: float) -> bool:
        with _ignore_missing():
            self._send("GET", path, deadline)
            return True
        return False

    def _send(
        self, method: str, path: str, deadline: float, obj: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        timeout = min(self._client.timeout, deadline - time.monotonic())
        return self._client.send(method, path, obj, timeout=timeout)


@contextlib.contextmanager
def _ignore_missing() -> Iterator[None]:
    try:
        yield
    except KubeError as error:
        if error.kind != "not_found":
            raise


class Watch:
    """The measurement of a drill, as a context manager.

    The exit of the context removes pods and namespace. `is_alive` returns whether the play still
    runs. If the play has ended, the waits raise InterruptedDrillError.
    """

    def __init__(
        self, kubeconfig: str, choice: Choice, is_alive: Callable[[], bool] = lambda: True
    ) -> None:
        self._choice, self._is_alive = choice, is_alive
        # Each thread has a client, because two threads cannot share a connection.
        self._clients = [
            load_client(kubeconfig, timeout=APISERVER_TIMEOUT_S) for _thread in range(3)
        ]
        self._namespaces = Namespaces(self._clients[0])
        self.namespace = ""
        self.namespace_removed = True
        self.measurement = Measurement()
        self._pods: dict[str, DrillPod] = {}
        self._failure = ""
        self._end, self._no_more_pods, self._all_created = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self._threads = [
            threading.Thread(target=self._run_guarded, args=(work,), daemon=True)
            for work in (self._poll_lease, self._handle_pods)
        ]

    def __enter__(self) -> Watch:
        try:
            self._namespaces.remove_existing()
            self.namespace = self._namespaces.create()
        except WatchError:
            self._close()
            raise
        except KubeError as error:
            self._close()
            raise WatchError(
                f"cannot create a namespace for the drill's pods, so no host was changed: {error}"
            ) from None
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(2 * APISERVER_TIMEOUT_S)
        self.measurement.ended = self.measurement.ended or time.monotonic()
        try:
            # If the play has ended, do not wait for the removal.
            self.namespace_removed = self._namespaces.remove(self.namespace, wait=self._is_alive())
        except KubeError:
            self.namespace_removed = False
        self._close()

    def _close(self) -> None:
        for client in self._clients:
            client.close()

    # --- the waits of the play

    def wait_until_ready(self) -> None:
        """Wait until the leader renews the lease and pods get nodes; raise WatchError."""
        leader = self._choice["leader_hostname"]
        deadline = time.monotonic() + POD_TIMEOUT_S
        while True:
            self._check()
            samples = self.measurement.samples
            bound = sum(pod.bound is not None for pod in self._known_pods())
            if bound >= REQUIRED_PODS and count_renewals(samples) >= 1:
                holder = node_of(samples[-1].identity)
                if holder != leader:
                    raise WatchError(
                        f"the leader changed from {leader} to {one_line(holder, 100)} before the"
                        " fault, so no host was changed; run the drill again"
                    )
                return
            if time.monotonic() >= deadline:
                problem = (
                    "no pod got a node"
                    if bound < REQUIRED_PODS
                    else f"{leader} was not observed to renew the lease"
                )
                raise WatchError(
                    f"{problem} within {POD_TIMEOUT_S:g} s, so no host was changed;"
                    " run status.yml to find the reason"
                )
            time.sleep(LEASE_POLL_INTERVAL_S)

    def finish(self, fault: float, uncertainty: float) -> Measurement:
        """Wait until a member leads again and all pods have nodes; return the measurement."""
        measurement, choice = self.measurement, self._choice
        measurement.fault, measurement.uncertainty = fault, uncertainty
        leads = functools.partial(
            has_leader,
            measurement.samples,
            fault,
            takeover=choice["primary"] == choice["leader"],
            uncertainty=uncertainty,
        )
        while time.monotonic() < fault + choice["deadline"]:
            self._check()
            if leads():
                break
            time.sleep(LEASE_POLL_INTERVAL_S)
        measurement.ended = time.monotonic()
        self._no_more_pods.set()
        deadline = time.monotonic() + (POD_TIMEOUT_S if leads() else 1.0)
        while time.monotonic() < deadline and not self._all_bound():
            self._check()
            time.sleep(LEASE_POLL_INTERVAL_S)
        self._count_bindings()
        measurement.pods = sorted(self._known_pods(), key=lambda pod: pod.created)
        return measurement

    def _known_pods(self) -> list[DrillPod]:
        return list(self._pods.values())

    def _all_bound(self) -> bool:
        return self._all_created.is_set() and all(
            pod.bound is not None for pod in self._known_pods()
        )

    def _check(self) -> None:
        if not self._is_alive():
            raise InterruptedDrillError("measurement interrupted: the play has ended")
        if self._failure:
            raise WatchError(f"the drill cannot be measured: {self._failure}")

    def _count_bindings(self) -> None:
        """Count the bindings by their events. Each successful binding has one event."""
        with contextlib.suppress(KubeError):
            path = "events?fieldSelector=reason%3DScheduled&limit=2000"
            items = self._clients[0].get(self._path(path)).get("items")
            for name, count in bindings_by_pod(items if isinstance(items, list) else []).items():
                if name in self._pods:
                    self._pods[name].bindings = max(self._pods[name].bindings, count)

    def _path(self, rest: str) -> str:
        return f"{NAMESPACES_PATH}/{self.namespace}/{rest}"

    # --- the threads

    def _run_guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except CollectionError as error:
            self._failure = self._failure or str(error)

    def _poll_lease(self) -> None:
        where, client, measurement = self._choice["lease"], self._clients[1], self.measurement
        read = make_reader(
            lambda path: client.get(path, timeout=APISERVER_TIMEOUT_S),
            where["namespace"],
            where["name"],
            where["sources"],
        )
        last: LeaseRecord | None = None
        responded = time.monotonic()
        while not self._end.is_set():
            began = time.monotonic()
            try:
                record = read()
            except KubeError as error:
                if error.kind not in TRANSIENT:
                    raise
                self._end.wait(LEASE_POLL_INTERVAL_S)
                continue
            now = time.monotonic()
            measurement.polls += 1
            if not measurement.ended:
                measurement.longest_pause = max(measurement.longest_pause, now - responded)
            responded = now
            if record is not None and record != last and not measurement.ended:
                measurement.samples.append(
                    LeaseSample(now, record.identity, record.renew_time or "", record.transitions)
                )
            last = record
            self._end.wait(max(0.0, LEASE_POLL_INTERVAL_S - (now - began)))

    def _handle_pods(self) -> None:
        client = self._clients[2]
        next_pod = next_query = time.monotonic()
        while not self._end.is_set():
            if self._no_more_pods.is_set():
                next_pod = math.inf
                self._all_created.set()
            now = time.monotonic()
            try:
                if now >= next_pod:
                    next_pod = max(next_pod + POD_CREATION_INTERVAL_S, now)
                    self._create_pod(client)
                if now >= next_query:
                    next_query = max(next_query + POD_QUERY_INTERVAL_S, now)
                    self._query_nodes(client)
                    self._delete_bound_pods(client)
            except KubeError as error:
                # At first, the new namespace has no service account and rejects pods.
                is_new = error.kind == "forbidden" and not self._pods
                if error.kind not in TRANSIENT and not is_new:
                    raise
            self._end.wait(max(0.0, min(next_pod, next_query) - time.monotonic()))

    def _create_pod(self, client: Client) -> None:
        name = f"pod-{len(self._pods):04}"
        created = time.monotonic()
        try:
            client.send("POST", self._path("pods"), pod_manifest(name, self._choice["scheduler"]))
        except KubeError as error:
            if error.kind != "conflict":
                raise
        self._pods[name] = DrillPod(name, created)

    def _query_nodes(self, client: Client) -> None:
        items = client.get(self._path("pods?fieldSelector=spec.nodeName%21%3D")).get("items")
        now = time.monotonic()
        for name, node in nodes_by_pod(items if isinstance(items, list) else []).items():
            known = self._pods.get(name)
            if known is None:
                continue
            if known.bound is None:
                known.bound = now
            if known.node != node:
                known.node = node
                known.bindings += 1

    def _delete_bound_pods(self, client: Client) -> None:
        limit = time.monotonic() - BOUND_POD_LIFETIME_S
        for pod in self._known_pods():
            if self._end.is_set():
                return
            if pod.bound is not None and pod.bound < limit and pod.kept:
                pod.kept = False
                with _ignore_missing():
                    client.send("DELETE", self._path(f"pods/{pod.name}?gracePeriodSeconds=0"))


def nodes_by_pod(items: t.Sequence[t.Any]) -> dict[str, str]:
    """Return the node of each bound pod in a list from the apiserver."""
    nodes = {}
    for item in items:
        with contextlib.suppress(KeyError, TypeError):
            name, node = item["metadata"]["name"], item["spec"]["nodeName"]
            if isinstance(name, str) and isinstance(node, str) and node:
                nodes[name] = node
    return nodes


def bindings_by_pod(events: t.Sequence[t.Any]) -> dict[str, int]:
    """Count the bindings of each pod by the events of the schedulers."""
    bindings: dict[str, int] = {}
    for event in events:
        with contextlib.suppress(KeyError, TypeError):
            name, count = event["involvedObject"]["name"], event.get("count")
            if isinstance(name, str):
                added = count if isinstance(count, int) and count > 1 else 1
                bindings[name] = bindings.get(name, 0) + added
    return bindings

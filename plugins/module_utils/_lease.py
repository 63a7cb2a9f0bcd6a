# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Who leads, told as the candidates themselves tell it: by one's own clock and by whether the record changes.

The times inside a record are another host's, and are only ever compared for being equal.
"""

from __future__ import annotations

import json
import re
import time
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import quote

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _kube_client

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable, Collection

    Clock = Callable[[], float]
    Get = Callable[[str], "dict[str, t.Any]"]

ANNOTATION = "control-plane.alpha.kubernetes.io/leader"

# Where the record of an election may lie, the newest kind first: source, path, and the RBAC rule that lets it be read.
SOURCES = {
    "lease": ("/apis/coordination.k8s.io/v1/namespaces/{0}/leases/{1}", "coordination.k8s.io", "leases"),
    "endpoints": ("/api/v1/namespaces/{0}/endpoints/{1}", "", "endpoints"),
    "configmap": ("/api/v1/namespaces/{0}/configmaps/{1}", "", "configmaps"),
}

IDENTITY = re.compile(r"(?s)(.+)_([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


class LeaseError(Exception):
    """One line: what is wrong with a record, and where."""


def node_of(identity: str) -> str:
    """The host in an identity of the form HOST_UUID; HOST may hold underscores. Any other identity is a name as a whole."""
    match = IDENTITY.fullmatch(identity)
    return match[1] if match else identity


def matches(identity: str, wanted: str) -> bool:
    """Whether a holder is the one meant by a host name or by a whole identity."""
    return wanted in (identity, node_of(identity))


@dataclass(frozen=True)
class Record:
    """An election record, whichever object carries it. An empty identity means that the lease was released."""

    identity: str
    lease_duration: int
    acquire_time: str | None
    renew_time: str | None
    transitions: int
    source: str

    @property
    def node(self) -> str:
        return node_of(self.identity)


def parse(obj: dict[str, t.Any], source: str) -> Record | None:
    """The record in a Lease, or in the annotation of an Endpoints or a ConfigMap; none in one that has no annotation."""
    if source == "lease":
        return _record(obj.get("spec"), source, "leaseTransitions")
    metadata = obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = annotations.get(ANNOTATION) if isinstance(annotations, dict) else None
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise LeaseError(f"the annotation {ANNOTATION} of the {source} is not JSON") from None
    return _record(value, source, "leaderTransitions")


def _record(value: t.Any, source: str, transitions: str) -> Record:
    def get(name: str, kind: type, default: t.Any) -> t.Any:
        found = value.get(name)
        if found is None:
            return default
        # A bool is an int to Python, not to an apiserver.
        if not isinstance(found, kind) or isinstance(found, bool):
            raise LeaseError(f"{name} in the record of the {source} is not {'a string' if kind is str else 'a number'}")
        return found

    if not isinstance(value, dict):
        raise LeaseError(f"the {source} holds no election record")
    return Record(
        identity=get("holderIdentity", str, ""),
        lease_duration=get("leaseDurationSeconds", int, 0),
        acquire_time=get("acquireTime", str, None),
        renew_time=get("renewTime", str, None),
        transitions=get(transitions, int, 0),
        source=source,
    )


def reader(
    get: Get, namespace: str, name: str, sources: Collection[str] = tuple(SOURCES)
) -> Callable[[], Record | None]:
    """A function that reads the record from the Lease, else from the annotations of old clusters, and stays where it found one.

    A cluster that went over from one kind of object to another still has the former one, in which nobody writes any more: who knows where
    the record lies names it in SOURCES.
    """
    known: list[str] = []

    def read() -> Record | None:
        leases_served = False
        for source in known or sources:
            path = SOURCES[source][0].format(quote(namespace, safe=""), quote(name, safe=""))
            try:
                record = parse(get(path), source)
            except LeaseError as exc:
                raise LeaseError(f"{path}: {exc}") from None
            except _kube_client.KubeError as exc:
                if exc.kind == "not_found":
                    leases_served = leases_served or f'"{name}" not found' in str(exc)
                # Where Leases are served, an annotation that may not be read hides nothing: nobody writes those any more.
                elif exc.kind != "forbidden" or not leases_served:
                    hint = f"; {rbac_rule(source, name)}" if exc.kind == "forbidden" else ""
                    raise _kube_client.KubeError(exc.kind, f"{exc}{hint}", retry_after=exc.retry_after) from None
                continue
            if record is not None:
                known[:] = [source]
                return record
        known.clear()
        return None

    return read


def rbac_rule(source: str, name: str) -> str:
    _path, group, resource = SOURCES[source]
    return (
        f'the user needs a Role in that namespace with the rule apiGroups: ["{group}"], resources: ["{resource}"], '
        f'resourceNames: ["{name}"], verbs: ["get"]'
    )


@dataclass(frozen=True)
class View:
    """What an observer knows of an election. C(moving) is that its holder was seen to write while we looked."""

    state: str = "absent"
    record: Record | None = None
    moving: bool = False
    elapsed: float = 0.0

    @property
    def identity(self) -> str:
        return self.record.identity if self.record else ""

    @property
    def node(self) -> str:
        return node_of(self.identity)

    @property
    def leads(self) -> bool:
        """A holder that was seen alive, and is one of ours."""
        return self.state == "held" and self.moving


class Observer:
    """Judges the records that it is shown as a candidate does: one that has not changed for its own duration is expired."""

    def __init__(self, members: Collection[str] | None = None) -> None:
        self._members = members
        self._record: Record | None = None
        self._changed_at = 0.0
        self._changed = False
        self._seen = False

    def see(self, record: Record | None, asked_at: float, answered_at: float) -> View:
        """One reading, with the times of one's own monotonic clock before and after it."""
        if not self._seen or record != self._record:
            self._changed = self._seen
            self._seen, self._record, self._changed_at = True, record, answered_at
        state = self._state(asked_at)
        return View(state, record, moving=self._changed and state in ("held", "foreign"))

    def _state(self, now: float) -> str:
        record = self._record
        if record is None:
            return "absent"
        if not record.identity:
            return "released"
        # The earliest end and the latest start of the standstill: what is called expired here is so for every candidate's clock.
        if now - self._changed_at >= max(0, record.lease_duration):
            return "expired"
        if self._members is not None and not any(matches(record.identity, member) for member in self._members):
            return "foreign"
        return "held"


def settled(view: View) -> bool:
    """Nothing more can be learnt by looking longer: it is seen alive, seen dead, or nobody holds it."""
    return view.moving or view.state in ("absent", "released", "expired")


def observe(
    read: Callable[[], Record | None],
    done: Callable[[View], bool] = settled,
    *,
    timeout: float,
    interval: float = 0.05,
    members: Collection[str] | None = None,
    patient: bool = False,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[View, bool]:
    """The first view that is as wished, or the last one before the time was up, and which of the two it is.

    Failures that pass, such as an apiserver that restarts, are sat through after the first reading; by a patient observer, before it too.
    """
    observer = Observer(members)
    start = clock()
    view = View()
    failure: _kube_client.KubeError | None = None
    seen = False
    while True:
        asked_at = clock()
        pause = interval
        try:
            view = observer.see(read(), asked_at, clock())
            seen, failure = True, None
        except _kube_client.KubeError as exc:
            if exc.kind not in _kube_client.TRANSIENT or not (patient or seen):
                raise
            failure = exc
            pause = max(interval, exc.retry_after or 0.0)
        elapsed = clock() - start
        view = replace(view, elapsed=elapsed)
        if seen and done(view):
            return view, True
        if elapsed >= timeout:
            if failure is not None:
                raise failure
            return view, False
        sleep(min(pause, timeout - elapsed))

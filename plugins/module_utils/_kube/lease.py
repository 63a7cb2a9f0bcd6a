# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Who leads, judged as the candidates themselves do: by one's own clock and by whether the record changes.

The times inside a record are another host's, and are only ever compared for being equal.
Source: client-go, tools/leaderelection/leaderelection.go.
"""

from __future__ import annotations

import json
import re
import time
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import quote

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError, LeaseError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable, Collection

    Clock = Callable[[], float]
    Get = Callable[[str], "dict[str, t.Any]"]

ANNOTATION = "control-plane.alpha.kubernetes.io/leader"

# Where the record of an election may lie, the newest kind first: source, path, and the RBAC rule that lets it be read.
RECORD_SOURCES = {
    "lease": (
        "/apis/coordination.k8s.io/v1/namespaces/{0}/leases/{1}",
        "coordination.k8s.io",
        "leases",
    ),
    "endpoints": ("/api/v1/namespaces/{0}/endpoints/{1}", "", "endpoints"),
    "configmap": ("/api/v1/namespaces/{0}/configmaps/{1}", "", "configmaps"),
}

MAX_RECORD_NUMBER = 2**31 - 1
"""Of the numbers in a record: they are int32 in the API."""

MAX_TIME_CHARS = 64
"""Characters of a time in a record; an apiserver writes 27."""

HOST_UUID = re.compile(r"(?s)(.+)_([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


def node_of(identity: str) -> str:
    """Return the host in an identity of the form HOST_UUID, where HOST may hold underscores; any other identity as a whole."""
    match = HOST_UUID.fullmatch(identity)
    return match[1] if match else identity


def matches_holder(identity: str, wanted: str) -> bool:
    """Return whether a holder is the wanted one, which is a hostname or a whole identity."""
    return wanted in (identity, node_of(identity))


@dataclass(frozen=True)
class LeaseRecord:
    """An election record, whichever object carries it.

    C(identity) is "" where the lease was released, C(lease_duration) is in seconds, the times are text by the holder's
    clock, and C(source) is a key of SOURCES.
    """

    identity: str
    lease_duration: int
    acquire_time: str | None
    renew_time: str | None
    transitions: int
    source: str

    @property
    def node(self) -> str:
        return node_of(self.identity)


NO_RECORD = LeaseRecord(
    identity="", lease_duration=0, acquire_time=None, renew_time=None, transitions=0, source=""
)
"""What an earlier reading found that found no record: any that is there now was written since."""


def parse_record(obj: dict[str, t.Any], source: str) -> LeaseRecord | None:
    """Return the record in a Lease, or in the annotation of an Endpoints or a ConfigMap, or None where that has no annotation.

    Raises LeaseError for a record that no component can have written.
    """
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


def _record(value: t.Any, source: str, transitions: str) -> LeaseRecord:
    def wrong(name: str, expected: str) -> LeaseError:
        return LeaseError(f"{name} in the record of the {source} is not {expected}")

    def text(name: str) -> str | None:
        found = value.get(name)
        if found is not None and not isinstance(found, str):
            raise wrong(name, "a string")
        return found

    def time_of(name: str) -> str | None:
        found = text(name)
        if found is not None and not (len(found) <= MAX_TIME_CHARS and found.isprintable()):
            raise wrong(name, "a time")
        return found

    def number(name: str) -> int:
        found = value.get(name)
        if found is None:
            return 0
        # A bool is an int to Python, not to an apiserver.
        if (
            not isinstance(found, int)
            or isinstance(found, bool)
            or not 0 <= found <= MAX_RECORD_NUMBER
        ):
            raise wrong(name, f"a number from 0 to {MAX_RECORD_NUMBER}")
        return found

    if not isinstance(value, dict):
        raise LeaseError(f"the {source} holds no election record")
    return LeaseRecord(
        identity=text("holderIdentity") or "",
        lease_duration=number("leaseDurationSeconds"),
        acquire_time=time_of("acquireTime"),
        renew_time=time_of("renewTime"),
        transitions=number(transitions),
        source=source,
    )


def make_reader(
    get: Get, namespace: str, name: str, sources: Collection[str] = tuple(RECORD_SOURCES)
) -> Callable[[], LeaseRecord | None]:
    """Return a function that reads the record from the Lease, else from the annotations of old clusters, and stays with the first one found.

    A cluster that was changed from one kind of object to another still has the former one, in which nobody writes any more: a
    caller who knows where the record lies names it in SOURCES. The function raises KubeError and LeaseError.
    """
    known: list[str] = []

    def read() -> LeaseRecord | None:
        leases_served = False
        for source in known or sources:
            path = RECORD_SOURCES[source][0].format(quote(namespace, safe=""), quote(name, safe=""))
            try:
                record = parse_record(get(path), source)
            except LeaseError as exc:
                raise LeaseError(f"{path}: {exc}") from None
            except KubeError as exc:
                if exc.kind == "not_found":
                    leases_served = leases_served or f'"{name}" not found' in str(exc)
                # Where Leases are served, nobody writes annotations any more, so one that may not be read does not matter.
                elif exc.kind != "forbidden" or not leases_served:
                    hint = (
                        f"; {describe_rbac_rule(source, name)}" if exc.kind == "forbidden" else ""
                    )
                    raise KubeError(exc.kind, f"{exc}{hint}", retry_after=exc.retry_after) from None
                continue
            if record is not None:
                known[:] = [source]
                return record
        known.clear()
        return None

    return read


def describe_rbac_rule(source: str, name: str) -> str:
    """Return in words the RBAC rule that lets the record be read."""
    _path, group, resource = RECORD_SOURCES[source]
    return (
        f'the user needs a Role in that namespace with the rule apiGroups: ["{group}"], resources: ["{resource}"], '
        f'resourceNames: ["{name}"], verbs: ["get"]'
    )


@dataclass(frozen=True)
class Observation:
    """What an observer knows of an election.

    C(state) is absent, released, expired, foreign or held. C(moving) says that the holder was seen to write the record.
    C(elapsed) is the seconds from the first look to this one. C(compared) is what the caller had read earlier, if anything.
    """

    state: str = "absent"
    record: LeaseRecord | None = None
    moving: bool = False
    elapsed: float = 0.0
    compared: LeaseRecord | None = None

    @property
    def identity(self) -> str:
        return self.record.identity if self.record else ""

    @property
    def node(self) -> str:
        return node_of(self.identity)

    @property
    def leads(self) -> bool:
        """Whether the holder was seen to renew, and is one of the members."""
        return self.state == "held" and self.moving


class LeaseResult(t.TypedDict):
    """A view as modules return it. What is not known is None."""

    holder: str | None
    """The host in the holder's identity, or the whole of it; None where nobody holds the record."""
    holder_identity: str | None
    state: str
    """absent, released, expired, foreign or held"""
    moving: bool
    """Whether the holder was seen to write the record."""
    source: str | None
    """A key of SOURCES; None where there is no record."""
    acquire_time: str | None
    """By the holder's clock, as it wrote it: at most 64 printable characters, and not surely a time."""
    renew_time: str | None
    """As acquire_time."""
    lease_duration: int | None
    """Seconds, 0 to 2^31-1."""
    transitions: int | None
    """How often the holder has changed, 0 to 2^31-1."""
    elapsed: float
    """Seconds from the first look to the one that is reported, to the millisecond."""


def to_lease_result(view: Observation) -> LeaseResult:
    """Return a view as modules return it."""
    record = view.record
    return {
        "holder": view.node or None,
        "holder_identity": view.identity or None,
        "state": view.state,
        "moving": view.moving,
        "source": record.source if record else None,
        "acquire_time": record.acquire_time if record else None,
        "renew_time": record.renew_time if record else None,
        "lease_duration": record.lease_duration if record else None,
        "transitions": record.transitions if record else None,
        "elapsed": round(view.elapsed, 3),
    }


class Observer:
    """Judges records as a candidate does: one that has not changed for its own duration is expired.

    Only one of MEMBERS, hostnames or identities, can hold the record; None is anybody. BEFORE is what the caller has read earlier
    with the same credentials, a record or ABSENT.
    """

    def __init__(
        self, members: Collection[str] | None = None, before: LeaseRecord | None = None
    ) -> None:
        self._members = members
        self._before = before
        self._record: LeaseRecord | None = None
        self._changed_at = 0.0
        self._changed = False
        self._seen = False

    def update(
        self, record: LeaseRecord | None, requested_at: float, answered_at: float
    ) -> Observation:
        """Return what is known after this reading; the times are seconds of one's own monotonic clock before and after it."""
        if not self._seen or record != self._record:
            self._changed = self._seen or self._differs_from_before(record)
            self._seen, self._record, self._changed_at = True, record, answered_at
        state = self._state(requested_at)
        return Observation(state, record, moving=self._changed and state in ("held", "foreign"))

    def _differs_from_before(self, record: LeaseRecord | None) -> bool:
        before = self._before
        if before is None or record is None:
            return False
        # An object of another kind has a record of its own, which says nothing about the earlier one.
        return before.source in ("", record.source) and record != before

    def _state(self, now: float) -> str:
        record = self._record
        if record is None:
            return "absent"
        if not record.identity:
            return "released"
        # The earliest end and the latest start of the time without a change: what is expired here is so by every candidate's clock.
        if now - self._changed_at >= record.lease_duration:
            return "expired"
        if self._members is not None and not any(
            matches_holder(record.identity, member) for member in self._members
        ):
            return "foreign"
        return "held"


def is_conclusive(view: Observation) -> bool:
    """Return whether a longer look would tell nothing more: the holder renews, has expired, or there is none."""
    return view.moving or view.state in ("absent", "released", "expired")


def observe(
    read: Callable[[], LeaseRecord | None],
    done: Callable[[Observation], bool] = is_conclusive,
    *,
    timeout: float,
    interval: float = 0.05,
    members: Collection[str] | None = None,
    before: LeaseRecord | None = None,
    retry_first: bool = False,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Observation, bool]:
    """Read every INTERVAL seconds; return the first view for which DONE holds and True, or after TIMEOUT seconds the last one and False.

    MEMBERS and BEFORE are as of Observer. Transient failures, such as an apiserver that restarts, are retried after the first
    reading; if RETRY_FIRST, before it too. Raises KubeError and LeaseError, also where the last reading before the time-out failed.
    """
    observer = Observer(members, before)
    start = clock()
    view = Observation()
    failure: KubeError | None = None
    seen = False
    while True:
        requested_at = clock()
        pause = interval
        try:
            view = observer.update(read(), requested_at, clock())
            seen, failure = True, None
        except KubeError as exc:
            if exc.kind not in transport.TRANSIENT or not (retry_first or seen):
                raise
            failure = exc
            pause = max(interval, exc.retry_after or 0.0)
        elapsed = clock() - start
        view = replace(view, elapsed=elapsed, compared=before)
        if seen and done(view):
            return view, True
        if elapsed >= timeout:
            if failure is not None:
                raise failure
            return view, False
        sleep(min(pause, timeout - elapsed))

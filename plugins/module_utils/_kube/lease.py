# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read and observe the lease of an election in the same way as its members.

An observer uses its local clock and the changes of the lease. The times in a lease come from the
clock of another host. The observer compares them only for equality.
Source: client-go, tools/leaderelection/leaderelection.go.
"""

from __future__ import annotations

import re
import time
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import quote

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError, LeaseError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import parse_json

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Callable, Collection

    Clock = Callable[[], float]
    Get = Callable[[str], "dict[str, t.Any]"]

ANNOTATION = "control-plane.alpha.kubernetes.io/leader"

# Maps the kinds of objects that can contain the lease, newest first, to path, API group and
# resource.
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
"""Maximum of the numbers in a lease, which are int32 in the API."""

MAX_TIME_CHARS = 64
"""Maximum length of a time in a lease; an apiserver writes 27 characters."""

HOST_UUID = re.compile(r"(?s)(.+)_([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


def node_of(identity: str) -> str:
    """Return the host of an identity HOST_UUID, or the whole identity if it has another form."""
    match = HOST_UUID.fullmatch(identity)
    return match[1] if match else identity


def matches_holder(identity: str, expected: str) -> bool:
    """Return whether an identity is the expected holder: a hostname or a whole identity."""
    return expected in (identity, node_of(identity))


@dataclass(frozen=True)
class LeaseRecord:
    """Content of a lease, from any kind of object.

    `identity` is "" after a release. `lease_duration` is in seconds. The times are text that the
    holder wrote by its clock. `source` is a key of RECORD_SOURCES.
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
"""The result of an earlier read that found no lease.

An existing lease was written after that read.
"""


def parse_lease(obj: dict[str, t.Any], source: str) -> LeaseRecord | None:
    """Return the lease in an object; None for an Endpoints or ConfigMap without the annotation.

    Raises LeaseError if a field is invalid, which means that no component wrote the lease.
    """
    if source == "lease":
        return _record(obj.get("spec"), source, "leaseTransitions")
    metadata = obj.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = notes.get(ANNOTATION) if isinstance(notes, dict) else None
    if text is None:
        return None
    try:
        value = parse_json(text)
    except (TypeError, ValueError):
        raise LeaseError(f"the annotation {ANNOTATION} of the {source} is not JSON") from None
    return _record(value, source, "leaderTransitions")


def _record(value: t.Any, source: str, transitions: str) -> LeaseRecord:
    """Validate each field of a lease."""

    def invalid(name: str, expected: str) -> LeaseError:
        return LeaseError(f"{name} in the {source} is not {expected}")

    def text(name: str) -> str | None:
        content = value.get(name)
        if content is not None and not isinstance(content, str):
            raise invalid(name, "a string")
        return content

    def time_of(name: str) -> str | None:
        content = text(name)
        if content is not None and not (len(content) <= MAX_TIME_CHARS and content.isprintable()):
            raise invalid(name, "a time")
        return content

    def number(name: str) -> int:
        content = value.get(name)
        if content is None:
            return 0
        # isinstance(True, int) is true.
        if (
            not isinstance(content, int)
            or isinstance(content, bool)
            or not 0 <= content <= MAX_RECORD_NUMBER
        ):
            raise invalid(name, f"a number from 0 to {MAX_RECORD_NUMBER}")
        return content

    if not isinstance(value, dict):
        raise LeaseError(f"the {source} contains no lease record")
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
    """Return a function that reads the lease from the first source that contains a lease.

    After a change of the lock type, the previous object still exists, but no component writes it.
    A caller that knows the current kind passes it as the only source. The function raises
    KubeError and LeaseError.
    """
    known: list[str] = []

    def read() -> LeaseRecord | None:
        leases_served = False
        for source in known or sources:
            path = RECORD_SOURCES[source][0].format(quote(namespace, safe=""), quote(name, safe=""))
            try:
                record = parse_lease(get(path), source)
            except LeaseError as exc:
                raise LeaseError(f"{path}: {exc}; find the client that wrote it") from None
            except KubeError as exc:
                if exc.kind == "not_found":
                    leases_served = leases_served or f'"{name}" not found' in str(exc)
                # If the apiserver serves Lease objects, no component writes the annotations.
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
    """Return the RBAC rule that grants read access to the lease, as text."""
    _path, group, resource = RECORD_SOURCES[source]
    return (
        f'add a Role to that namespace with the rule apiGroups: ["{group}"],'
        f' resources: ["{resource}"], resourceNames: ["{name}"], verbs: ["get"]'
    )


@dataclass(frozen=True)
class LeaseObservation:
    """State of an election that an observer has determined.

    `state` is absent, released, expired, foreign or held. `moving` is true after an observed write
    of the holder. `elapsed` is the time in seconds since the first read. `compared` is the lease
    that the caller read earlier, if any.
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
        """Whether the holder is a member and the observer has detected a renewal."""
        return self.state == "held" and self.moving


class LeaseResult(t.TypedDict):
    """Result of an observation for modules; unknown fields are None."""

    holder: str | None
    """Hostname from the identity of the holder, or the whole identity; None without a holder."""
    holder_identity: str | None
    state: str
    """One of absent, released, expired, foreign and held."""
    moving: bool
    """Whether the observer detected a write of the lease by its holder."""
    source: str | None
    """Kind of the object, a key of RECORD_SOURCES; None without a lease."""
    acquire_time: str | None
    """Start of the holder's term: at most 64 printable characters, usually a time by its clock."""
    renew_time: str | None
    """Last renewal of the lease, in the same format as `acquire_time`."""
    lease_duration: int | None
    """Validity of the lease after a renewal, 0 to 2^31-1 seconds."""
    transitions: int | None
    """Number of changes of the holder, 0 to 2^31-1."""
    elapsed: float
    """Seconds from the first read to this one, to the millisecond."""


def to_lease_result(observation: LeaseObservation) -> LeaseResult:
    """Convert an observation to a result for modules."""
    record = observation.record
    return {
        "holder": observation.node or None,
        "holder_identity": observation.identity or None,
        "state": observation.state,
        "moving": observation.moving,
        "source": record.source if record else None,
        "acquire_time": record.acquire_time if record else None,
        "renew_time": record.renew_time if record else None,
        "lease_duration": record.lease_duration if record else None,
        "transitions": record.transitions if record else None,
        "elapsed": round(observation.elapsed, 3),
    }


class Observer:
    """Observe leases as a member does: without a change for its duration, a lease is expired.

    `members` are the hostnames or identities of the members; None accepts any holder. `before` is a
    lease that the caller read earlier with the same credentials, or NO_RECORD.
    """

    def __init__(
        self, members: Collection[str] | None = None, before: LeaseRecord | None = None
    ) -> None:
        self._members = members
        self._before = before
        self._record: LeaseRecord | None = None
        self._changed_at = 0.0
        self._changed = False
        self._has_read = False

    def update(
        self, record: LeaseRecord | None, requested_at: float, received_at: float
    ) -> LeaseObservation:
        """Return the observation after a read; times are seconds of the local monotonic clock."""
        if not self._has_read or record != self._record:
            self._changed = self._has_read or self._differs_from_before(record)
            self._has_read, self._record, self._changed_at = True, record, received_at
        state = self._state(requested_at)
        return LeaseObservation(
            state, record, moving=self._changed and state in ("held", "foreign")
        )

    def _differs_from_before(self, record: LeaseRecord | None) -> bool:
        before = self._before
        if before is None or record is None:
            return False
        # Objects of different kinds have independent leases.
        return before.source in ("", record.source) and record != before

    def _state(self, now: float) -> str:
        record = self._record
        if record is None:
            return "absent"
        if not record.identity:
            return "released"
        # This is the minimum time without a change: after it, the lease is expired for all members.
        if now - self._changed_at >= record.lease_duration:
            return "expired"
        if self._members is not None and not any(
            matches_holder(record.identity, member) for member in self._members
        ):
            return "foreign"
        return "held"


def is_conclusive(observation: LeaseObservation) -> bool:
    """Return whether the state is final: the lease was renewed or is expired, or has no holder."""
    return observation.moving or observation.state in ("absent", "released", "expired")


def observe(  # noqa: PLR0913 - independent options with defaults, one caller pattern
    read: Callable[[], LeaseRecord | None],
    is_done: Callable[[LeaseObservation], bool] = is_conclusive,
    *,
    timeout: float,
    interval: float = 0.05,
    members: Collection[str] | None = None,
    before: LeaseRecord | None = None,
    retry_first: bool = False,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[LeaseObservation, bool]:
    """Read the lease every `interval` seconds until `is_done` holds or `timeout` seconds pass.

    Returns the last observation and whether `is_done` holds. `members` and `before` are those of
    Observer. After the first successful read, the function retries after transient errors, such as
    a restart of the apiserver. With `retry_first`, the function also retries before this read.
    Raises KubeError and LeaseError, also if the last read before the timeout failed.
    """
    observer = Observer(members, before)
    start = clock()
    observation = LeaseObservation()
    failure: KubeError | None = None
    has_read = False
    while True:
        requested_at = clock()
        pause = interval
        try:
            observation = observer.update(read(), requested_at, clock())
            has_read, failure = True, None
        except KubeError as exc:
            if exc.kind not in transport.TRANSIENT or not (retry_first or has_read):
                raise
            failure = exc
            pause = max(interval, exc.retry_after or 0.0)
        elapsed = clock() - start
        observation = replace(observation, elapsed=elapsed, compared=before)
        if has_read and is_done(observation):
            return observation, True
        if elapsed >= timeout:
            if failure is not None:
                raise failure
            return observation, False
        sleep(min(pause, timeout - elapsed))

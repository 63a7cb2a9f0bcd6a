# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Hand over the lease of a leader before its roll, and record the lease before a first start.

A handover first stops the leader. Nothing else changes until another member has renewed the lease.
"""

from __future__ import annotations

import socket
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesetError,
    KubeError,
    LeaseError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import (
    Client,
    load_client,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import (
    LeaseObservation,
    LeaseRecord,
    LeaseResult,
    make_reader,
    observe,
    to_lease_result,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    LEASE_ACCESS_ERRORS,
    load_process_credentials,
    record_readers,
    trusted_path,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    lock_source_groups,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.static_pod import (
        SchedulerService,
    )

ReadRecord = t.Callable[[], "LeaseRecord | None"]

REQUEST_TIMEOUT_S = 5.0
"""Timeout of one request for the lease."""
HANDOVER_POLL_S = 0.05
MIN_RENEWALS = 2
"""Minimum number of records of the next holder.

With the first record, the holder takes the lease.
"""


@dataclass(frozen=True)
class HandoverOptions:
    """Access to the lease, and the timeout in seconds for another member to take the lease."""

    kubeconfig: str
    name: str
    namespace: str
    lock: str
    timeout: float


class HandoverResult(t.TypedDict):
    """The observed handover."""

    holder: str  # hostname of the next leader
    seconds: float  # time from the stop of the unit until the next holder was observed
    released: bool  # whether the lease was observed without a holder
    transitions: int  # increase of the transition count of the lease; 0 if it did not increase


class _HandoverObserver:
    """Collects observations of the lease until the next leader has renewed it."""

    def __init__(self, before: LeaseRecord, started: float) -> None:
        self.before, self.started = before, started
        self.released = False
        self.elapsed: float | None = None
        self.identity = ""
        self.renewals: set[str | None] = set()

    def is_handed_over(self, observation: LeaseObservation) -> bool:
        """Record an observation, and return whether another member has renewed the lease."""
        record = observation.record
        if record is None or record.identity == self.before.identity:
            return False
        if not record.identity:
            self.released = True
            return False
        if record.identity != self.identity:
            self.identity, self.renewals = record.identity, set()
            if self.elapsed is None:
                self.elapsed = time.monotonic() - self.started
        self.renewals.add(record.renew_time)
        return len(self.renewals) >= MIN_RENEWALS


def read_initial_lease(kubeconfig: str, name: str, namespace: str) -> LeaseResult | None:
    """Read the lease before a first start; return None if the lease is unreadable."""
    try:
        with load_client(trusted_path(kubeconfig), timeout=REQUEST_TIMEOUT_S) as client:
            reader = make_reader(client.get, namespace, name)
            return to_lease_result(observe(reader, timeout=0)[0])
    except LEASE_ACCESS_ERRORS:
        return None


def hand_over(
    unit: str, service: SchedulerService, options: HandoverOptions, process: tuple[Proc, int]
) -> HandoverResult | None:
    """Stop the unit, and wait until another member leads. `process` is the scheduler, with its PID.

    If this host does not lead, stop nothing and return None. If no member takes the lease, start
    the unit again and raise FilesetError.
    """
    try:
        # Load the credentials before the stop, because systemd removes them when the unit stops.
        login = load_process_credentials(*process, unit, options.kubeconfig)
        with Client([login], timeout=REQUEST_TIMEOUT_S) as client:
            readers = _record_readers(client, options)
            hostname = socket.gethostname()
            before = next((it for it in _read_records(readers) if it.node == hostname), None)
            if before is None:
                return None
            return _stop_and_wait(unit, service, readers, before, options.timeout)
    except LEASE_ACCESS_ERRORS as error:
        raise FilesetError(
            f"{unit}: the leader was not stopped, because the lease cannot be read: {error};"
            " check the apiserver"
        ) from None


def _record_readers(client: Client, options: HandoverOptions) -> list[ReadRecord]:
    groups = lock_source_groups(options.lock)
    return record_readers(client, options.namespace, options.name, groups)


def _read_records(readers: t.Iterable[ReadRecord]) -> list[LeaseRecord]:
    return [record for reader in readers for record in [reader()] if record]


def _select_record(records: list[LeaseRecord], before: LeaseRecord) -> LeaseRecord | None:
    """Return another member's record, otherwise a released record, otherwise the leader's record.

    If the lock has two objects, a member that uses only one of them can take the lease. The other
    object then does not change.
    """
    return max(
        records,
        key=lambda it: (it.identity not in ("", before.identity), not it.identity),
        default=None,
    )


def _stop_and_wait(
    unit: str,
    service: SchedulerService,
    readers: t.Sequence[ReadRecord],
    before: LeaseRecord,
    timeout: float,
) -> HandoverResult:
    observer = _HandoverObserver(before, time.monotonic())
    reason = "no other member took the lease"
    service.stop(unit)
    try:
        observation, is_done = observe(
            lambda: _select_record(_read_records(readers), before),
            observer.is_handed_over,
            timeout=timeout,
            interval=HANDOVER_POLL_S,
            before=before,
            retry_first=True,
        )
        if is_done and observation.record and observer.elapsed is not None:
            return HandoverResult(
                holder=one_line(observation.node, 253),
                seconds=round(observer.elapsed, 2),
                released=observer.released,
                # With two lock objects, the next leader can continue the count of the other object.
                transitions=max(0, observation.record.transitions - before.transitions),
            )
    except (KubeError, LeaseError) as error:
        reason = f"the lease could not be read ({error})"
    service.start(unit)
    raise FilesetError(
        f"{unit}: the leader was stopped, but {reason} within {timeout:g} s;"
        " nothing was promoted, and the unit was started again; check the remaining members"
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a roll looks at the lease for: the leader's stop, after which nothing is changed before another member is seen to lead, and a first start."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import one_line
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    LEASE_ACCESS_ERRORS,
    process_kubeconfig,
    record_readers,
    trusted_path,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    lock_source_groups,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.static_pod import (
        SchedulerService,
    )

REQUEST_TIMEOUT_S = 5.0
"""Seconds for one look at the lease."""
HANDOVER_POLL_S = 0.05
MIN_RENEWALS = 2
"""Records of the next holder, the first of which it wrote to take the lease."""


@dataclass(frozen=True)
class HandoverOptions:
    """Where the lease is read, and how many seconds another member has to take it."""

    kubeconfig: str
    name: str
    namespace: str
    lock: str
    timeout: float


class HandoverResult(t.TypedDict):
    """What was seen of a hand-over."""

    holder: str  # hostname of the next leader
    seconds: float  # from the moment at which systemd was told to stop the unit to the one at which the next holder was seen
    released: bool  # whether the lease was seen without a holder
    transitions: int  # by how many the count of the lease rose; 0 where it did not


class _Looks:
    """Keeps what each look shows, and tells when the next leader has renewed."""

    def __init__(self, before: _lease.LeaseRecord, began: float) -> None:
        self.before, self.began = before, began
        self.released = False
        self.taken: float | None = None
        self.identity = ""
        self.renewals: set[str | None] = set()

    def see(self, view: _lease.Observation) -> bool:
        record = view.record
        if record is None or record.identity == self.before.identity:
            return False
        if not record.identity:
            self.released = True
            return False
        if record.identity != self.identity:
            self.identity, self.renewals = record.identity, set()
            self.taken = self.taken if self.taken is not None else time.monotonic() - self.began
        self.renewals.add(record.renew_time)
        return len(self.renewals) >= MIN_RENEWALS


def read_lease(kubeconfig: str, name: str, namespace: str) -> _lease.LeaseResult | None:
    """The lease before a first start, which what is there afterwards is compared with; None where it cannot be read."""
    try:
        with _client.load_client(trusted_path(kubeconfig), timeout=REQUEST_TIMEOUT_S) as client:
            return _lease.to_lease_result(
                _lease.observe(_lease.make_reader(client.get, namespace, name), timeout=0)[0]
            )
    except LEASE_ACCESS_ERRORS:
        return None


def hand_over(
    unit: str, service: SchedulerService, wanted: HandoverOptions
) -> HandoverResult | None:
    """Stops the unit, and waits until another member leads; None, with nothing stopped, where this host does not lead.

    Raises FilesetError where nobody takes the lease; the unit was started again then.
    """
    try:
        # Its credentials are read now: systemd takes the process's own away when it stops.
        with _client.load_client(
            process_kubeconfig(unit, wanted.kubeconfig), timeout=REQUEST_TIMEOUT_S
        ) as client:
            readers = record_readers(
                client, wanted.namespace, wanted.name, lock_source_groups(wanted.lock)
            )
            before = next(
                (record for record in _records(readers) if record.node == socket.gethostname()),
                None,
            )
            if before is None:
                return None
            return _handed(
                unit, service, lambda: _latest(_records(readers), before), before, wanted.timeout
            )
    except LEASE_ACCESS_ERRORS as error:
        raise FilesetError(
            f"{unit} leads and was not stopped, for its lease cannot be read: {error}"
        ) from None


def _records(
    readers: t.Iterable[t.Callable[[], _lease.LeaseRecord | None]],
) -> list[_lease.LeaseRecord]:
    return [record for reader in readers for record in [reader()] if record]


def _latest(
    records: list[_lease.LeaseRecord], before: _lease.LeaseRecord
) -> _lease.LeaseRecord | None:
    """The record that another member holds, else one that is released, else the former leader's.

    A lock of two objects can be taken over by a member that was told to elect by one of them only, and the other stays as it was.
    """
    return max(
        records,
        key=lambda it: (it.identity not in ("", before.identity), not it.identity),
        default=None,
    )


def _handed(
    unit: str,
    service: SchedulerService,
    read: t.Callable[[], _lease.LeaseRecord | None],
    before: _lease.LeaseRecord,
    timeout: float,
) -> HandoverResult:
    looks = _Looks(before, time.monotonic())
    reason = "no other member took the lease"
    service.stop(unit)
    try:
        view, done = _lease.observe(
            read,
            looks.see,
            timeout=timeout,
            interval=HANDOVER_POLL_S,
            before=before,
            retry_first=True,
        )
        if done and view.record and looks.taken is not None:
            return HandoverResult(
                holder=one_line(view.node, 253),
                seconds=round(looks.taken, 2),
                released=looks.released,
                # A leader with a lock of two objects goes on with the count of the other one.
                transitions=max(0, view.record.transitions - before.transitions),
            )
    except (KubeError, LeaseError) as error:
        reason = f"the lease cannot be read any more ({error})"
    service.start(unit)
    raise FilesetError(
        f"{unit} led and was stopped, but {reason} within {timeout:g} s; nothing was put in place, and it was started again"
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Observe the lease of a scheduler: read it once, or wait until it changes."""

from __future__ import annotations

import time
import typing as t
from datetime import datetime, timezone

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import Client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    record_readers,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.probed_process import (
    PROBE_TIMEOUT_S,
    ProbedProcess,
)

MIN_LEASE_WAIT_S = 6.0
"""Minimum timeout for a renewal of the lease."""
MAX_LEASE_WAIT_S = 300.0
"""Maximum timeout for a renewal, because a process can have any election times."""
# Each read costs an apiserver one TLS handshake, and all hosts read at the same time.
LEASE_INTERVAL_S = 0.1


def read_lease_once(
    probed: ProbedProcess, previous: lease.LeaseRecord | None
) -> lease.LeaseObservation:
    """Read the record once, from the most recently written object.

    Raises KubeError, LeaseError and ProbeError.
    """
    baseline = _comparable_record(probed, previous)
    with Client([probed.credentials], timeout=PROBE_TIMEOUT_S) as client:
        observations = [
            lease.observe(read, timeout=0, before=baseline)[0] for read in _readers(probed, client)
        ]
    return max(observations, key=_recency)


def watch_lease(
    probed: ProbedProcess, previous: lease.LeaseRecord | None
) -> lease.LeaseObservation:
    """Observe the record until it changes, or until a running leader would have renewed it.

    Raises KubeError, LeaseError and ProbeError.
    """
    observations = []
    baseline = _comparable_record(probed, previous)
    with Client([probed.credentials], timeout=PROBE_TIMEOUT_S) as client:
        for read in _readers(probed, client):
            first = baseline or read() or lease.NO_RECORD
            observation, _is_done = lease.observe(
                read,
                timeout=compute_lease_wait(probed, first),
                interval=LEASE_INTERVAL_S,
                before=first,
            )
            if observation.moving:
                return observation
            observations.append(observation)
    return observations[0]


def compute_lease_wait(probed: ProbedProcess, record: lease.LeaseRecord | None) -> float:
    """Return the time in seconds within which a running leader renews the lease.

    The lease duration of the leader can be longer than that of this process.
    """
    times = probed.process["timings"]
    if times is None:
        return MIN_LEASE_WAIT_S
    local = ElectionTimings(**times)
    ratio = (record.lease_duration if record else 0) / local.lease_duration
    wait = local.renewal_timeout * max(1.0, ratio)
    return min(MAX_LEASE_WAIT_S, max(MIN_LEASE_WAIT_S, wait))


def describe_lease(observation: lease.LeaseObservation) -> facts.Lease:
    """Return the lease for the result."""
    record = observation.record
    return facts.Lease(
        **lease.to_lease_result(observation),
        age=compute_renewal_age(record.renew_time if record else None),
    )


def compute_renewal_age(renew_time: str | None) -> float | None:
    """Return the age of a renewal in seconds by this host's clock; None for an invalid time."""
    try:
        renewed = datetime.strptime(
            (renew_time or "").split(".", maxsplit=1)[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"
        )
    except ValueError:
        return None
    return round(time.time() - renewed.replace(tzinfo=timezone.utc).timestamp(), 1)


def parse_record(result: t.Any) -> lease.LeaseRecord | None:
    """Return the lease record from an earlier result.

    Returns NO_RECORD if that result had no record, and None if it is invalid.
    """
    if not isinstance(result, dict):
        return None
    if result.get("state") == "absent":
        return lease.NO_RECORD
    source, identity = result.get("source"), result.get("holder_identity")
    acquire_time, renew_time = result.get("acquire_time"), result.get("renew_time")
    duration, transitions = result.get("lease_duration"), result.get("transitions")
    if not (isinstance(source, str) and source in lease.RECORD_SOURCES):
        return None
    if not all(map(_is_text_or_none, (identity, acquire_time, renew_time))):
        return None
    if not (isinstance(duration, int) and isinstance(transitions, int)):
        return None
    return lease.LeaseRecord(
        identity=identity or "",
        lease_duration=duration,
        acquire_time=acquire_time,
        renew_time=renew_time,
        transitions=transitions,
        source=source,
    )


def _is_text_or_none(value: t.Any) -> bool:
    return value is None or isinstance(value, str)


def _readers(
    probed: ProbedProcess, client: Client
) -> list[t.Callable[[], lease.LeaseRecord | None]]:
    namespace, name = probed.process["lease_namespace"], probed.process["lease_name"]
    return record_readers(client, namespace, name, probed.source_groups)


def _comparable_record(
    probed: ProbedProcess, previous: lease.LeaseRecord | None
) -> lease.LeaseRecord | None:
    """Return the record to compare with.

    If two objects can contain the record, an absent record is unknown for each object.
    """
    if previous is lease.NO_RECORD and len(probed.source_groups) != 1:
        return None
    return previous


def _recency(observation: lease.LeaseObservation) -> tuple[bool, str]:
    record = observation.record
    return observation.moving, (record and record.renew_time) or ""

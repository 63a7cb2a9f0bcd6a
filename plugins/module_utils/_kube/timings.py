# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The times of an election, and what follows from them: the one place for this arithmetic.

Source: client-go, tools/leaderelection/leaderelection.go.
"""

from __future__ import annotations

from dataclasses import dataclass

JITTER_FACTOR = 1.2
"""JitterFactor: a candidate waits for one to (1 + JITTER) retry periods between two tries."""


@dataclass(frozen=True)
class ElectionTimings:
    """Lease duration, renew deadline and retry period of one election, in seconds."""

    lease_duration: float
    renew_deadline: float
    retry_period: float

    @property
    def max_retry_wait(self) -> float:
        """Seconds between two tries of a standby, at most."""
        return self.retry_period * (1 + JITTER_FACTOR)

    @property
    def stop_bound(self) -> float:
        """Seconds without a leader after one that released its lease, at most, without the apiserver's own time."""
        return self.max_retry_wait

    @property
    def crash_bound(self) -> float:
        """Seconds without a leader after one that did not release its lease, at most, without the apiserver's own time."""
        return self.lease_duration + 2 * self.max_retry_wait

    @property
    def renewal_timeout(self) -> float:
        """Seconds within which a live leader is seen to renew: it does so every retry period, unless a try fails."""
        return 3 * self.retry_period

    def violations(self) -> list[tuple[str, str, float]]:
        """Which time must be longer than which other, and how many times of it (0 for once), and is not."""
        rules = (
            ("lease_duration", "renew_deadline", 0.0),
            ("renew_deadline", "retry_period", JITTER_FACTOR),
        )
        return [
            (longer, shorter, factor)
            for longer, shorter, factor in rules
            if getattr(self, longer) <= getattr(self, shorter) * (factor or 1.0)
        ]


DEFAULT_TIMINGS = ElectionTimings(15, 10, 2)
"""client-go's own, which every kube-scheduler has where nothing else is said."""

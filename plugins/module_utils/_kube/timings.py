# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compute upper bounds and timeouts from the timings of an election.

Source: client-go, tools/leaderelection/leaderelection.go.
"""

from __future__ import annotations

from dataclasses import dataclass

JITTER_FACTOR = 1.2
"""Between two attempts, a standby waits for 1 to (1 + JITTER_FACTOR) retry periods."""


@dataclass(frozen=True)
class ElectionTimings:
    """Lease duration, renew deadline and retry period of one election, in seconds."""

    lease_duration: float
    renew_deadline: float
    retry_period: float

    @property
    def max_retry_wait(self) -> float:
        """Maximum seconds between two attempts of a standby."""
        return self.retry_period * (1 + JITTER_FACTOR)

    @property
    def stop_bound(self) -> float:
        """Maximum seconds without a leader after a release, apart from apiserver delays."""
        return self.max_retry_wait

    @property
    def crash_bound(self) -> float:
        """Maximum seconds without a leader after a crash, apart from apiserver delays."""
        return self.lease_duration + 2 * self.max_retry_wait

    @property
    def renewal_timeout(self) -> float:
        """Seconds within which a live leader renews the lease, even if two attempts fail."""
        return 3 * self.retry_period

    def violations(self) -> list[tuple[str, str, float]]:
        """Return each violated rule: the longer timing, the shorter timing, and the minimum factor.

        The factor is 0 if the longer timing must only be longer.
        """
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
"""Default timings of client-go and of every kube-scheduler."""

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

from datetime import datetime, timezone


def to_utc(moment: datetime) -> datetime:
    """Return an aware time at the resolution of certificates; before version 42, cryptography's times are naive."""
    return moment.replace(microsecond=0, tzinfo=moment.tzinfo or timezone.utc).astimezone(
        timezone.utc
    )


def current_utc() -> datetime:
    """Return the present time at the resolution of certificates."""
    return to_utc(datetime.now(timezone.utc))


def format_utc(moment: datetime) -> str:
    """Return a time in UTC in the form of RFC 3339, such as 2026-11-23T08:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

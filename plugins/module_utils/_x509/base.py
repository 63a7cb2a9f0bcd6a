# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The cryptography library, with the differences between its versions, and times as certificates have them."""

from __future__ import annotations

import traceback
from datetime import datetime, timezone

CRYPTOGRAPHY_TRACEBACK: str | None = None
try:
    import cryptography

    if tuple(int(part) for part in cryptography.__version__.split(".")[:2]) < (3, 3):
        raise ImportError(f"cryptography {cryptography.__version__} is older than 3.3")
except ImportError:
    CRYPTOGRAPHY_TRACEBACK = traceback.format_exc()


def utc(moment: datetime) -> datetime:
    """Return an aware time at the resolution of certificates; before version 42, cryptography's times are naive."""
    return moment.replace(microsecond=0, tzinfo=moment.tzinfo or timezone.utc).astimezone(
        timezone.utc
    )


def now() -> datetime:
    """Return the present time at the resolution of certificates."""
    return utc(datetime.now(timezone.utc))


def stamp(moment: datetime) -> str:
    """Return a time in UTC in the form of RFC 3339, such as 2026-11-23T08:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

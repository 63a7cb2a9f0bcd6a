# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Convert and format times in UTC, in whole seconds as in certificates."""

from __future__ import annotations

from datetime import datetime, timezone


def to_utc(moment: datetime) -> datetime:
    """Return the time in UTC, in whole seconds.

    A time without a zone is in UTC, because cryptography before 42 returns such times.
    """
    return moment.replace(microsecond=0, tzinfo=moment.tzinfo or timezone.utc).astimezone(
        timezone.utc
    )


def current_utc() -> datetime:
    """Return the current time in UTC, in whole seconds."""
    return to_utc(datetime.now(timezone.utc))


def format_utc(moment: datetime) -> str:
    """Return a time in UTC as RFC 3339 text, such as 2026-11-23T08:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

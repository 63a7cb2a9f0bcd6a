# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check that the cryptography library is installed in a supported version."""

from __future__ import annotations

import traceback

CRYPTOGRAPHY_TRACEBACK: str | None = None
try:
    import cryptography

    if tuple(int(part) for part in cryptography.__version__.split(".")[:2]) < (3, 3):
        raise ImportError(f"cryptography {cryptography.__version__} is older than 3.3")
except ImportError:
    CRYPTOGRAPHY_TRACEBACK = traceback.format_exc()

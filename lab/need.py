# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that commands exist: `need.py COMMAND=PACKAGE...`.

As root on Debian, the script installs the packages of missing commands. Otherwise the script fails
and lists the packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

from shell import LabError, need

if __name__ == "__main__":
    try:
        need(
            dict(pair.split("=", 1) for pair in sys.argv[1:]),
            Path(__file__).resolve().parents[1] / ".cache" / "apt.log",
        )
    except LabError as error:
        sys.exit(f"need.py: {error}")

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check the options of scheduler_info."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    check_path,
    check_unit,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    MAX_WAIT_S,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    LOCK_OBJECTS,
)

MAX_JOURNAL_LINES = 1000
# Of an entry of scheduler_info's hidden option: how a version serves.
SERVING_RULES: dict[str, t.Callable[[t.Any], t.Any]] = {
    "since": re.compile(r"[0-9]{1,3}\.[0-9]{1,3}").fullmatch,
    "https": lambda port: 0 <= port < 65536,
    "http": lambda port: 0 <= port < 65536,
    "ready_path": re.compile(r"/[!-~]*").fullmatch,
    "lock": LOCK_OBJECTS.__contains__,
}


def check_info(params: t.Mapping[str, t.Any]) -> None:
    """Validate the options of scheduler_info. Raises FilesetError."""
    check_unit(params["unit"])
    for option in ("fileset_dir", "kubeconfig"):
        check_path(params[option], option)
    if params["certificate"] is not None:
        check_path(params["certificate"], "certificate")
    for option in ("paths", "directories"):
        for value in params[option]:
            if (option, value) != ("directories", "/"):
                check_path(value, option)
    if not 0 < params["port"] < 65536:
        raise FilesetError(f"{params['port']} is not between 1 and 65535", option="port")
    try:
        address: t.Any = ipaddress.ip_address(params["bind_address"])
    except ValueError:
        address = None
    if address is None or "%" in params["bind_address"]:
        raise FilesetError(
            f"{params['bind_address'][:80]!r} is not an IP address", option="bind_address"
        )
    if not 0 <= params["timeout"] <= MAX_WAIT_S:
        raise FilesetError(
            f"{params['timeout']} is not between 0 and {MAX_WAIT_S} seconds", option="timeout"
        )
    if not 0 <= params["steady"] <= MAX_WAIT_S:
        raise FilesetError(
            f"{params['steady']} is not between 0 and {MAX_WAIT_S} seconds", option="steady"
        )
    if not 0 <= params["journal_lines"] <= MAX_JOURNAL_LINES:
        raise FilesetError(
            f"{params['journal_lines']} is not between 0 and {MAX_JOURNAL_LINES}",
            option="journal_lines",
        )
    for entry in params["_serving"]:
        for name, good in SERVING_RULES.items():
            if not good(entry[name]):
                raise FilesetError(
                    f"{name} {str(entry[name])[:80]!r} cannot be of any version", option="versions"
                )

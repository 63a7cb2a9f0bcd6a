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
# Rules for an entry of the hidden option _serving.
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
    for value in params["paths"]:
        check_path(value, "paths")
    for value in params["directories"]:
        if value != "/":
            check_path(value, "directories")
    _check_range(params, "port", 1, 65535)
    _check_address(params["bind_address"])
    _check_range(params, "timeout", 0, MAX_WAIT_S, " s")
    _check_range(params, "steady", 0, MAX_WAIT_S, " s")
    _check_range(params, "journal_lines", 0, MAX_JOURNAL_LINES)
    for entry in params["_serving"]:
        _check_serving(entry)


def _check_range(
    params: t.Mapping[str, t.Any], option: str, minimum: int, maximum: int, unit: str = ""
) -> None:
    if not minimum <= params[option] <= maximum:
        raise FilesetError(
            f"{params[option]} is out of range; set a value from {minimum} to {maximum}{unit}",
            option=option,
        )


def _check_address(value: str) -> None:
    try:
        ipaddress.ip_address(value)
        is_valid = "%" not in value
    except ValueError:
        is_valid = False
    if not is_valid:
        raise FilesetError(
            f"{value[:80]!r} is not an IP address; set an IP address", option="bind_address"
        )


def _check_serving(entry: t.Mapping[str, t.Any]) -> None:
    for name, is_valid in SERVING_RULES.items():
        if not is_valid(entry[name]):
            raise FilesetError(
                f"{name} {str(entry[name])[:80]!r} is not valid;"
                " pass the version table of the role",
                option="versions",
            )

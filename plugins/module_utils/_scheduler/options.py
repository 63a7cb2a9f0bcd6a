# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The options of scheduler_release and scheduler_info, checked before anything else: as root, a slip here could be any file's end.

Each function raises ReleaseError, which names the option.
"""

from __future__ import annotations

import ipaddress
import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import ReleaseError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    LOCK_OBJECTS,
)

# A private key, a kubeconfig and a unit are a few kilobytes; anything above this is not one of them.
LIMIT = paths.LIMIT
LONGEST_CONTENT = LIMIT // 4
"""Characters, each of at most four bytes."""
LONGEST_WAIT = 86400
MOST_LINES = 1000
STATIC_POD = "static_pod"
"""Name of the member that is the manifest of a static pod: somebody else's, and never to be removed but for a set that takes its place."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,240}\.service")
# What an object of Kubernetes can be called.
OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}|[0-9]{1,9}")
FLAG = re.compile(r"[a-z0-9][a-z0-9-]*")
TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
MODE = re.compile(r"(?:0o)?[0-7]{1,4}")
# Of an entry of scheduler_info's hidden option: how a version serves.
SERVING: dict[str, t.Callable[[t.Any], t.Any]] = {
    "since": re.compile(r"[0-9]{1,3}\.[0-9]{1,3}").fullmatch,
    "https": lambda port: 0 <= port < 65536,
    "http": lambda port: 0 <= port < 65536,
    "ready_path": re.compile(r"/[!-~]*").fullmatch,
    "lock": LOCK_OBJECTS.__contains__,
}
_LEASE: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
}
LEASE: dict[str, t.Any] = {"type": "dict", "options": _LEASE}
"""The argument_spec for the lease that scheduler_release looks at."""
HANDOVER: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        **_LEASE,
        "kubeconfig": {"type": "path", "required": True},
        "lock": {"type": "str", "required": True},
        "timeout": {"type": "float", "required": True},
    },
}
"""And for the one that it hands over."""


def path(value: str, option: str) -> None:
    """Check that this is the full path of something below the root directory."""
    good = (
        os.path.isabs(value)
        and os.path.normpath(value) == value
        and value.strip("/")
        and TEXT.fullmatch(value)
    )
    if not good or len(value) > 4000 or max(map(len, value.encode().split(b"/"))) > 255:
        raise ReleaseError(
            f"{value[:80]!r} is not a path in full: write it from the root, without .. and double or final slashes",
            option=option,
        )


def unit(value: str) -> None:
    """Check the name of a service."""
    if not UNIT.fullmatch(value):
        raise ReleaseError(
            f"{value[:80]!r} is not the name of a service, such as kube-scheduler.service",
            option="unit",
        )


def file(entry: t.Mapping[str, t.Any], taken: t.Container[str]) -> int:
    """Check a member of the set, and return its mode; *taken* are the names and paths of others."""
    name, link, content = entry["name"], entry["link_to"], entry["content"]
    fault = ""
    for option, value in (("name", name), ("link_to", link)):
        if (
            value is not None
            and not NAME.fullmatch(value)
            and (name, option, value) != (STATIC_POD, "link_to", "")
        ):
            fault = f"{option} {value[:80]!r} is not a file's name: use letters, digits and . _ -, and no slash"
    path(entry["path"], "files")
    for option in ("name", "path"):
        if entry[option] in taken:
            fault = f"the {option} {entry[option]!r} is there twice: give each member its own"
    if content is not None and link is not None:
        fault = f"{name!r} has content and link_to: give one of them"
    if content is not None and (
        len(content) > LONGEST_CONTENT or re.search(r"[\x00\ud800-\udfff]", content)
    ):
        fault = f"the content of {name!r} is not text of at most {LONGEST_CONTENT} characters"
    if not MODE.fullmatch(entry["mode"]):
        fault = f"mode {entry['mode'][:80]!r} of {name!r} is not octal: write it like '0644'"
    if fault:
        raise ReleaseError(fault, option="files")
    return int(entry["mode"], 8)


def check_release(params: t.Mapping[str, t.Any]) -> None:
    """Check the options of scheduler_release, but for C(files), of which :func:`file` checks each."""
    path(params["path"], "path")
    unit(params["unit"])
    if params["log_dir"] is not None:
        path(params["log_dir"], "log_dir")
    for entry in params["binaries"]:
        path(entry["path"], "binaries")
        if len(entry["version"]) > 100 or not TEXT.fullmatch(entry["version"]):
            raise ReleaseError(
                f"{entry['version'][:80]!r} is not a version, such as 1.37.2", option="binaries"
            )
    if not USER.fullmatch(params["user"]):
        raise ReleaseError(f"{params['user'][:80]!r} is not the name of a user", option="user")
    if len(params["attempt"]) > 100 or not TEXT.fullmatch(f" {params['attempt']}"):
        raise ReleaseError(
            f"{params['attempt'][:80]!r} is not one line of at most 100 characters",
            option="attempt",
        )
    handover = params["handover"]
    for option in ("lease", "handover"):
        for name in ("name", "namespace") if params[option] else ():
            if not OBJECT.fullmatch(params[option][name]):
                raise ReleaseError(
                    f"{params[option][name][:80]!r} is not the {name} of an object", option=option
                )
    if handover:
        path(handover["kubeconfig"], "handover")
        if handover["lock"] and handover["lock"] not in LOCK_OBJECTS:
            raise ReleaseError(
                f"{handover['lock'][:80]!r} is not the type of a lock", option="handover"
            )
        if not 0 < handover["timeout"] <= LONGEST_WAIT:
            raise ReleaseError(
                f"{handover['timeout']} is not between 0 and {LONGEST_WAIT} seconds",
                option="handover",
            )
    for number, word in enumerate(params["command"]):
        if number == 0:
            path(word, "command")
        elif word and not TEXT.fullmatch(word):
            raise ReleaseError(
                f"{word[:80]!r} holds a control character, which no unit can hand on",
                option="command",
            )
    for option, form in (("dry_run_flags", FLAG), ("dry_run_texts", TEXT)):
        for name, value in params[option].items():
            if not form.fullmatch(name):
                raise ReleaseError(
                    f"{name[:80]!r} cannot stand in the command or the configuration", option=option
                )
            if isinstance(value, (dict, list)) or value is None or not TEXT.fullmatch(f" {value}"):
                raise ReleaseError(
                    f"the value of {name[:80]!r} is not one line of text", option=option
                )


def check_info(params: t.Mapping[str, t.Any]) -> None:
    """Check the options of scheduler_info that are no question in themselves."""
    unit(params["unit"])
    for option in ("release_path", "kubeconfig"):
        path(params[option], option)
    if params["certificate"] is not None:
        path(params["certificate"], "certificate")
    for option in ("paths", "folders"):
        for value in params[option]:
            if (option, value) != ("folders", "/"):
                path(value, option)
    if not 0 < params["port"] < 65536:
        raise ReleaseError(f"{params['port']} is not between 1 and 65535", option="port")
    try:
        address: t.Any = ipaddress.ip_address(params["bind_address"])
    except ValueError:
        address = None
    if address is None or "%" in params["bind_address"]:
        raise ReleaseError(
            f"{params['bind_address'][:80]!r} is not an IP address", option="bind_address"
        )
    if not 0 <= params["timeout"] <= LONGEST_WAIT:
        raise ReleaseError(
            f"{params['timeout']} is not between 0 and {LONGEST_WAIT} seconds", option="timeout"
        )
    if not 0 <= params["steady"] <= LONGEST_WAIT:
        raise ReleaseError(
            f"{params['steady']} is not between 0 and {LONGEST_WAIT} seconds", option="steady"
        )
    if not 0 <= params["journal_lines"] <= MOST_LINES:
        raise ReleaseError(
            f"{params['journal_lines']} is not between 0 and {MOST_LINES}", option="journal_lines"
        )
    for entry in params["_serving"]:
        for name, good in SERVING.items():
            if not good(entry[name]):
                raise ReleaseError(
                    f"{name} {str(entry[name])[:80]!r} cannot be of any version", option="versions"
                )

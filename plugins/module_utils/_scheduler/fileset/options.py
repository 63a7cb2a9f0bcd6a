# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The options of scheduler_fileset and scheduler_info, checked before anything else: as root, a slip here could be any file's end.

Each function raises FilesetError, which names the option.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    MAX_WAIT_S,
    OBJECT_NAME,
    STATIC_POD,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    LOCK_OBJECTS,
)

# A private key, a kubeconfig and a unit are a few kilobytes; anything above this is not one of them.
LIMIT = paths.MAX_FILE_BYTES
MAX_CONTENT_CHARS = LIMIT // 4
"""Characters, each of at most four bytes."""
MEMBER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
SERVICE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,240}\.service")
USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}|[0-9]{1,9}")
FLAG_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
ONE_LINE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
OCTAL_MODE = re.compile(r"(?:0o)?[0-7]{1,4}")


def check_path(value: str, option: str) -> None:
    """Check that this is the full path of something below the root directory."""
    good = (
        os.path.isabs(value)
        and os.path.normpath(value) == value
        and value.strip("/")
        and ONE_LINE.fullmatch(value)
    )
    if not good or len(value) > 4000 or max(map(len, value.encode().split(b"/"))) > 255:
        raise FilesetError(
            f"{value[:80]!r} is not a path in full: write it from the root, without .. and double or final slashes",
            option=option,
        )


def check_unit(value: str) -> None:
    """Check the name of a service."""
    if not SERVICE_NAME.fullmatch(value):
        raise FilesetError(
            f"{value[:80]!r} is not the name of a service, such as kube-scheduler.service",
            option="unit",
        )


def check_member(entry: t.Mapping[str, t.Any], taken: t.Container[str]) -> int:
    """Check a member of the set, and return its mode; *taken* are the names and paths of others."""
    name, link, content = entry["name"], entry["link_to"], entry["content"]
    fault = ""
    for option, value in (("name", name), ("link_to", link)):
        if (
            value is not None
            and not MEMBER_NAME.fullmatch(value)
            and (name, option, value) != (STATIC_POD, "link_to", "")
        ):
            fault = f"{option} {value[:80]!r} is not a file's name: use letters, digits and . _ -, and no slash"
    check_path(entry["path"], "files")
    for option in ("name", "path"):
        if entry[option] in taken:
            fault = f"the {option} {entry[option]!r} is there twice: give each member its own"
    if content is not None and link is not None:
        fault = f"{name!r} has content and link_to: give one of them"
    if content is not None and (
        len(content) > MAX_CONTENT_CHARS or re.search(r"[\x00\ud800-\udfff]", content)
    ):
        fault = f"the content of {name!r} is not text of at most {MAX_CONTENT_CHARS} characters"
    if not OCTAL_MODE.fullmatch(entry["mode"]):
        fault = f"mode {entry['mode'][:80]!r} of {name!r} is not octal: write it like '0644'"
    if fault:
        raise FilesetError(fault, option="files")
    return int(entry["mode"], 8)


def check_fileset(params: t.Mapping[str, t.Any]) -> None:
    """Check the options of scheduler_fileset, but for C(files), of which :func:`check_member` checks each."""
    check_path(params["path"], "path")
    check_unit(params["unit"])
    if params["log_dir"] is not None:
        check_path(params["log_dir"], "log_dir")
    for entry in params["binaries"]:
        check_path(entry["path"], "binaries")
        if len(entry["version"]) > 100 or not ONE_LINE.fullmatch(entry["version"]):
            raise FilesetError(
                f"{entry['version'][:80]!r} is not a version, such as 1.37.2", option="binaries"
            )
    if not USER_NAME.fullmatch(params["user"]):
        raise FilesetError(f"{params['user'][:80]!r} is not the name of a user", option="user")
    if len(params["attempt"]) > 100 or not ONE_LINE.fullmatch(f" {params['attempt']}"):
        raise FilesetError(
            f"{params['attempt'][:80]!r} is not one line of at most 100 characters",
            option="attempt",
        )
    handover = params["handover"]
    for option in ("lease", "handover"):
        for name in ("name", "namespace") if params[option] else ():
            if not OBJECT_NAME.fullmatch(params[option][name]):
                raise FilesetError(
                    f"{params[option][name][:80]!r} is not the {name} of an object", option=option
                )
    if handover:
        check_path(handover["kubeconfig"], "handover")
        if handover["lock"] and handover["lock"] not in LOCK_OBJECTS:
            raise FilesetError(
                f"{handover['lock'][:80]!r} is not the type of a lock", option="handover"
            )
        if not 0 < handover["timeout"] <= MAX_WAIT_S:
            raise FilesetError(
                f"{handover['timeout']} is not between 0 and {MAX_WAIT_S} seconds",
                option="handover",
            )
    for number, word in enumerate(params["command"]):
        if number == 0:
            check_path(word, "command")
        elif word and not ONE_LINE.fullmatch(word):
            raise FilesetError(
                f"{word[:80]!r} holds a control character, which no unit can hand on",
                option="command",
            )
    for option, form in (("dry_run_flags", FLAG_NAME), ("dry_run_texts", ONE_LINE)):
        for name, value in params[option].items():
            if not form.fullmatch(name):
                raise FilesetError(
                    f"{name[:80]!r} cannot stand in the command or the configuration", option=option
                )
            if (
                isinstance(value, (dict, list))
                or value is None
                or not ONE_LINE.fullmatch(f" {value}")
            ):
                raise FilesetError(
                    f"the value of {name[:80]!r} is not one line of text", option=option
                )

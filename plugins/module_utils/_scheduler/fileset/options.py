# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Check the options of the modules that change the file set as root.

Each check raises a FilesetError that contains the name of the option.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    MAX_COPY_BYTES,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    MEMBER_NAME,
    Item,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    LOCK_OBJECT_NAME,
    MAX_WAIT_S,
    STATIC_POD,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    LOCK_OBJECTS,
)

MAX_CONTENT_CHARS = MAX_COPY_BYTES // 4
"""Maximum length of a content in characters, each of at most four bytes."""
MAX_PATH_CHARS, MAX_PATH_PART_BYTES = 4000, 255
MAX_LABEL_CHARS = 100
SERVICE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,240}\.service")
UNIT_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}|[0-9]{1,9}")
DRY_RUN_FLAG_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
ONE_LINE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
OCTAL_MODE = re.compile(r"(?:0o)?[0-7]{1,4}")

FilesetParams = t.Mapping[str, t.Any]


class ValueRule(t.NamedTuple):
    """A check of one value, and the problem to report if it fails."""

    is_valid: t.Callable[[t.Any], t.Any]
    problem: str


def _is_path(value: str) -> bool:
    return bool(
        os.path.isabs(value)
        and os.path.normpath(value) == value
        and value.strip("/")
        and ONE_LINE.fullmatch(value)
        and len(value) <= MAX_PATH_CHARS
        and max(map(len, value.encode().split(b"/"))) <= MAX_PATH_PART_BYTES
    )


def _is_scalar_line(value: t.Any) -> bool:
    is_scalar = value is not None and not isinstance(value, (dict, list))
    return is_scalar and ONE_LINE.fullmatch(f" {value}") is not None


PATH_RULE = ValueRule(
    _is_path,
    "is not a valid absolute path; start with a slash, and use no .., double or final slash",
)
UNIT_RULE = ValueRule(
    SERVICE_NAME.fullmatch,
    "is not the name of a service; set a name such as kube-scheduler.service",
)
USER_RULE = ValueRule(
    UNIT_USER_NAME.fullmatch, "is not a valid user name; set a user name, or a user ID"
)
VERSION_RULE = ValueRule(
    lambda value: len(value) <= MAX_LABEL_CHARS and ONE_LINE.fullmatch(value),
    "is not a version; set a version such as 1.37.2",
)
LABEL_RULE = ValueRule(
    lambda value: len(value) <= MAX_LABEL_CHARS and _is_scalar_line(value),
    f"is not one line of at most {MAX_LABEL_CHARS} characters; set a shorter text",
)
OBJECT_RULE = ValueRule(
    LOCK_OBJECT_NAME.fullmatch, "is not a valid object name; set the name of a Kubernetes object"
)
LOCK_RULE = ValueRule(
    lambda value: not value or value in LOCK_OBJECTS,
    "is not a lock type; set a type such as leases",
)
TIMEOUT_RULE = ValueRule(
    lambda value: 0 < value <= MAX_WAIT_S,
    f"is out of range; set a value above 0, up to {MAX_WAIT_S} s",
)
ARGUMENT_RULE = ValueRule(
    lambda value: not value or ONE_LINE.fullmatch(value),
    "contains a control character, which a unit cannot contain; remove it",
)


class OptionCheck(t.NamedTuple):
    """The rule for the values of an option."""

    option: str
    values: t.Callable[[FilesetParams], t.Iterable[t.Any]]
    rule: ValueRule


def _one(option: str, rule: ValueRule) -> OptionCheck:
    """Return the check of a single value; None is valid."""
    return OptionCheck(
        option, lambda params: () if params[option] is None else (params[option],), rule
    )


def _each(option: str, key: str, rule: ValueRule) -> OptionCheck:
    """Return the check of one key in a list of mappings."""
    return OptionCheck(option, lambda params: [entry[key] for entry in params[option]], rule)


def _key(option: str, key: str, rule: ValueRule) -> OptionCheck:
    """Return the check of one key in a mapping; an empty mapping is valid."""
    return OptionCheck(
        option, lambda params: (params[option][key],) if params[option] else (), rule
    )


FILESET_CHECKS = (
    _one("path", PATH_RULE),
    _one("unit", UNIT_RULE),
    _one("log_dir", PATH_RULE),
    OptionCheck("directories", lambda params: params["directories"], PATH_RULE),
    _each("binaries", "path", PATH_RULE),
    _each("binaries", "version", VERSION_RULE),
    _one("user", USER_RULE),
    _one("attempt", LABEL_RULE),
    _key("lease", "name", OBJECT_RULE),
    _key("lease", "namespace", OBJECT_RULE),
    _key("handover", "name", OBJECT_RULE),
    _key("handover", "namespace", OBJECT_RULE),
    _key("handover", "kubeconfig", PATH_RULE),
    _key("handover", "lock", LOCK_RULE),
    _key("handover", "timeout", TIMEOUT_RULE),
    OptionCheck("command", lambda params: params["command"][:1], PATH_RULE),
    OptionCheck("command", lambda params: params["command"][1:], ARGUMENT_RULE),
)


def check_value(value: t.Any, option: str, rule: ValueRule) -> None:
    """Raise FilesetError if a value breaks a rule."""
    if not rule.is_valid(value):
        quoted = repr(value[:80]) if isinstance(value, str) else str(value)
        raise FilesetError(f"{quoted} {rule.problem}", option=option)


def check_path(value: str, option: str) -> None:
    """Raise FilesetError unless `value` is a valid absolute path other than `/`."""
    check_value(value, option, PATH_RULE)


def check_unit(value: str) -> None:
    """Raise FilesetError unless `value` is the name of a service."""
    check_value(value, "unit", UNIT_RULE)


def check_fileset(params: FilesetParams) -> None:
    """Check the options of scheduler_fileset, except `files`: see parse_files()."""
    for check in FILESET_CHECKS:
        for value in check.values(params):
            check_value(value, check.option, check.rule)
    _check_replacements(params, "dry_run_flags", DRY_RUN_FLAG_NAME)
    _check_replacements(params, "dry_run_texts", ONE_LINE)


def _check_replacements(params: FilesetParams, option: str, name_pattern: re.Pattern[str]) -> None:
    """Check the names and values that a dry run inserts into the command or configuration."""
    for name, value in params[option].items():
        if not name_pattern.fullmatch(name):
            raise FilesetError(
                f"{name[:80]!r} cannot be part of the command or the configuration;"
                " set another name",
                option=option,
            )
        if not _is_scalar_line(value):
            raise FilesetError(
                f"the value of {name[:80]!r} is not one line of text; remove the line breaks",
                option=option,
            )


def parse_files(
    files: t.Sequence[dict[str, t.Any]], secrets: FilesetParams | None = None
) -> list[Item]:
    """Return the checked option `files` as items. Raises FilesetError.

    `secrets` is the option of this name, with the contents of files that contain a secret.
    """
    contents = (secrets or {}).get("contents") or {}
    if any(not isinstance(content, str) for content in contents.values()):
        raise FilesetError("a content is not text; set texts only", option="secrets.contents")
    items: list[Item] = []
    for file in files:
        entry = {**file, "content": contents.get(file["name"], file["content"])}
        used = {text for item in items for text in (item.name, item.path)}
        check_path(entry["path"], "files")
        for problem in _member_problems(entry, used):
            raise FilesetError(problem, option="files")
        items.append(Item(**{**entry, "mode": int(entry["mode"], 8)}))
    return items


def _member_problems(entry: FilesetParams, used: t.Container[str]) -> t.Iterator[str]:
    """Yield the problems of a file; `used` contains the names and paths of earlier files."""
    name, link, content = entry["name"], entry["link_to"], entry["content"]
    yield from _name_problems(name, link)
    for option in ("name", "path"):
        if entry[option] in used:
            yield f"the {option} {entry[option]!r} is used twice; set a different {option}"
    if content is not None and link is not None:
        yield f"{name!r} has both content and link_to; set one of them"
    if content is not None and (len(content) > MAX_CONTENT_CHARS or NOT_TEXT.search(content)):
        yield (
            f"the content of {name!r} is not text of at most {MAX_CONTENT_CHARS} characters;"
            " set a shorter text"
        )
    if not OCTAL_MODE.fullmatch(entry["mode"]):
        yield f"mode {entry['mode'][:80]!r} of {name!r} is not octal; use a value such as '0644'"
    if not UNIT_USER_NAME.fullmatch(entry["group"]):
        yield f"group {entry['group'][:80]!r} of {name!r} is not a valid name; set a group"


def _name_problems(name: str, link: str | None) -> t.Iterator[str]:
    # Only the manifest of a static pod can have an empty link, which removes the path.
    is_removal = (name, link) == (STATIC_POD, "")
    for option, value in (("name", name), ("link_to", None if is_removal else link)):
        if value is not None and not MEMBER_NAME.fullmatch(value):
            yield (
                f"{option} {value[:80]!r} is not a valid file name;"
                " use letters, digits, ., _ and -, without a slash"
            )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Filter, bound and clean the result of a module, because a hostile host can return any data."""

from __future__ import annotations

import dataclasses
import enum
import json
import typing as t
from collections.abc import Collection, Mapping

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    printable_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.facts import (
    MAX_DIFF_LENGTH,
    MAX_LIST_LENGTH,
    MAX_TEXT_LENGTH,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import CSR_KEY

Result = dict[str, t.Any]

# The largest result of an honest host, that of scheduler_info, has about 100 KiB: 1000 settings,
# 100 certificates and the journal, each within its own limit. A status page and a JSON file with
# 128 KiB of any text stay below 1 MiB.
MAX_RESULT_BYTES = 128 << 10
# The output also has the diff, usually two versions of a file of at most 1 MiB. The files of
# scheduler_monitoring can be larger, so that module shortens its diffs.
MAX_OUTPUT_CHARS = 4 << 20
MAX_OUTPUT_TEXT_CHARS = 8000
MAX_WARNINGS = 20
MAX_INTEGER = (1 << 64) - 1
CHECK_HOST = "check which host responds at its address"
TOO_LARGE = "(too large to show)\n"
_MAX_DEPTH = 20
_FLAGS = frozenset({"changed", "failed", "skipped", "unreachable"})
# If a module does not return JSON, Ansible returns these texts.
_LINES = frozenset({"module_stdout", "module_stderr"})
# If a module returns these keys, Ansible prints them or acts on them before it returns the result.
_OF_EXECUTION = frozenset(
    {
        *("add_group", "add_host", "ansible_facts", "invocation", "results"),
        *("stdout", "stdout_lines", "stderr", "stderr_lines"),
    }
)
_PARSED = "_ansible_parsed"
_DIFF_KEYS = ("before", "after", "before_header", "after_header", "prepared")
_DEPRECATION_KEYS = ("msg", "version", "date", "collection_name")
_RELATED_FIELDS = frozenset({"chain", "events"})
_TRACEBACK_FIELDS = ("formatted_traceback", "formatted_source_context")


class ResultError(CollectionError):
    """The result of a module exceeds a limit."""


def filter_result(
    result: Mapping[str, t.Any], known: Collection[str], origin: str = "the result"
) -> Result:
    """Return the entries of a module's result whose keys are `known` or Ansible's own.

    All other entries are dropped: `ansible_facts` would set variables, `add_host` and `add_group`
    would change the inventory, and `_ansible_…` would control Ansible. Flags become booleans;
    warnings, deprecations or a diff of another type are dropped. The caller must check the values
    of the known keys, because the host sets them.

    Each text is cleaned and shortened. A result that exceeds a limit becomes a failure that names
    its `origin`: the host and the module.
    """
    kept = {name: bool(result[name]) for name in _FLAGS & set(result)}
    kept |= _messages(result)
    try:
        values = {name: _value(name, result[name]) for name in known if name in result}
        _check_size(values)
    except ResultError as error:
        return {"changed": kept.get("changed", False), **reject(origin, f"it {error}")}
    return kept | values


def reject(origin: str, problem: str) -> Result:
    """Return the failure of a result with a problem. `origin` names the host and the module."""
    return {
        "failed": True,
        "msg": printable_line(f"{origin} is rejected: {problem}; {CHECK_HOST}"),
    }


def limit_output(output: Mapping[str, t.Any], origin: str = "the result") -> Result:
    """Return the output of a module process, before Ansible parses it, within the limits.

    Ansible prints the text around the JSON of a result.
    """
    kept = dict(output)
    text = str(kept.get("stdout", ""))
    if len(text) > MAX_OUTPUT_CHARS:
        limit = f"it has {len(text) >> 20} MiB, and the maximum is {MAX_OUTPUT_CHARS >> 20} MiB"
        kept["stdout"] = json.dumps(reject(origin, limit))
    else:
        kept["stdout"] = _printable(text)
    kept.pop("stdout_lines", None)
    kept.pop("stderr_lines", None)
    if "stderr" in kept:
        kept["stderr"] = _clean_lines(kept["stderr"], MAX_OUTPUT_TEXT_CHARS)
    return kept


def drop_execution_keys(result: Mapping[str, t.Any]) -> Result:
    """Return a parsed result without the keys that Ansible would print or act on."""
    return {
        name: value
        for name, value in result.items()
        if name == _PARSED or not (name in _OF_EXECUTION or str(name).startswith("_ansible_"))
    }


def interpreter_facts(action: object) -> Result:
    """Return the interpreter that `action`, an ActionBase, discovered, as `ansible_facts`.

    If the action discovered no interpreter, return an empty dictionary. Without this fact, each
    task would search the host again.
    """
    name = getattr(action, "_discovered_interpreter_key", None)
    return (
        {"ansible_facts": {name: getattr(action, "_discovered_interpreter", None)}} if name else {}
    )


def clean_message(value: t.Any) -> str:
    """Return a message of Ansible or of a host as one printable line of bounded length."""
    return printable_line(" ".join(str(value)[:MAX_DIFF_LENGTH].split()))


# --- the keys of Ansible


def _messages(result: Mapping[str, t.Any]) -> Result:
    """Return Ansible's own keys, except the flags, with clean texts of limited length."""
    kept: Result = {}
    if isinstance(result.get("msg"), str):
        kept["msg"] = clean_message(result["msg"])
    for name in _LINES & set(result):
        kept[name] = _clean_lines(result[name], MAX_OUTPUT_TEXT_CHARS)
    if isinstance(result.get("rc"), int) and abs(result["rc"]) <= MAX_INTEGER:
        kept["rc"] = int(result["rc"])
    if "exception" in result:
        kept["exception"] = _clean_event(result["exception"])
    for name, clean in (("warnings", _clean_warning), ("deprecations", _clean_deprecation)):
        if isinstance(result.get(name), list):
            entries = [clean(entry) for entry in result[name][:MAX_WARNINGS]]
            kept[name] = [entry for entry in entries if entry is not None]
    if isinstance(result.get("diff"), (Mapping, list)):
        kept["diff"] = _clean_diff(result["diff"])
    return kept


def _clean_warning(entry: t.Any) -> t.Any:
    return _clean_event(entry) if dataclasses.is_dataclass(entry) else clean_message(entry)


def _clean_deprecation(entry: t.Any) -> t.Any:
    """Return a deprecation, or None for a value that Ansible could not display as one."""
    if isinstance(entry, Mapping) and isinstance(entry.get("msg"), str):
        return {
            name: clean_message(entry[name])
            for name in _DEPRECATION_KEYS
            if isinstance(entry.get(name), str)
        }
    return _clean_event(entry) if _is_summary(entry) else None


def _is_summary(value: t.Any) -> bool:
    """Check that a value is a warning or deprecation of ansible-core >= 2.19."""
    event = getattr(value, "event", None)
    return dataclasses.is_dataclass(value) and dataclasses.is_dataclass(event)


def _clean_event(value: t.Any, name: str = "", depth: int = 0) -> t.Any:
    """Return an exception, warning or deprecation, a text or a dataclass of ansible-core."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        is_event = depth and name not in _TRACEBACK_FIELDS
        return clean_message(value) if is_event else _clean_lines(value, MAX_OUTPUT_TEXT_CHARS)
    if not dataclasses.is_dataclass(value) or isinstance(value, type) or depth > _MAX_DEPTH:
        return value if depth else clean_message(value)
    names = [field.name for field in dataclasses.fields(value)]
    cleaned = {name: _clean_event(getattr(value, name), name, depth + 1) for name in names}
    # Related events, such as the cause of an exception, repeat the text without a limit.
    dropped = dict.fromkeys(_RELATED_FIELDS & set(names))
    return dataclasses.replace(value, **{**cleaned, **dropped})


def _clean_diff(diff: t.Any) -> t.Any:
    """Return one diff or a list of diffs with clean lines, shortened to the limit of all."""
    cleaned, remaining = [], MAX_DIFF_LENGTH
    for entry in (diff if isinstance(diff, list) else [diff])[:MAX_WARNINGS]:
        sides = entry if isinstance(entry, Mapping) else {}
        shown = {}
        for name in _DIFF_KEYS:
            if name in sides:
                shown[name], size = _clean_side(sides[name], remaining)
                remaining = max(0, remaining - size)
        cleaned.append(shown)
    return cleaned if isinstance(diff, list) else cleaned[0]


def _clean_side(side: t.Any, limit: int) -> tuple[t.Any, int]:
    """Return a side of a diff and its size. Ansible prints a side as JSON if it is not text."""
    if isinstance(side, str):
        text = _clean_lines(side, limit)
        return text, len(text)
    try:
        value = _value("", side)
    except ResultError:
        return TOO_LARGE, len(TOO_LARGE)
    size = len(json.dumps(value))
    return (value, size) if size <= limit else (TOO_LARGE, len(TOO_LARGE))


# --- the values of a module


def _value(name: str, value: t.Any, depth: int = 0) -> t.Any:
    """Return a value of JSON with clean texts. Raise ResultError if it exceeds a limit."""
    if isinstance(value, str):
        # Only a certificate request has several lines.
        return _printable(value) if name == CSR_KEY else _clean_text(value)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ResultError(f"has an integer of more than {MAX_INTEGER.bit_length()} bits")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        # Since ansible-core 2.19, a host can tag a number, and Ansible displays the tag. The
        # conversion drops the tag.
        return int(value) if isinstance(value, int) else float(value)
    if not isinstance(value, (list, tuple, Mapping)):
        raise ResultError(f"has a value of the type {type(value).__name__}")
    if len(value) > MAX_LIST_LENGTH:
        raise ResultError(f"has a list of more than {MAX_LIST_LENGTH} elements")
    if depth > _MAX_DEPTH:
        raise ResultError(f"is nested more than {_MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_clean_text(str(key)): _value("", entry, depth + 1) for key, entry in value.items()}
    return [_value("", entry, depth + 1) for entry in value]


def _check_size(values: Result) -> None:
    size = len(json.dumps(values))
    if size > MAX_RESULT_BYTES:
        maximum = MAX_RESULT_BYTES >> 10
        raise ResultError(f"has {size >> 10} KiB, and the maximum is {maximum} KiB")


# --- texts


def _clean_text(text: str) -> str:
    """Return one line without control characters, shortened to the limit."""
    text = text[:MAX_TEXT_LENGTH]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text)


def _clean_lines(value: t.Any, limit: int) -> str:
    """Return lines without control characters, shortened to `limit` characters in the middle."""
    text = str(value)
    if len(text) > limit:
        half = limit // 2
        note = f"\n… ({len(text) - limit} more characters)\n"
        text = text[:half] + note + text[len(text) - half :]
    return _printable(text)


def _printable(text: str) -> str:
    """Return the text with a space instead of each control character except tab and newline."""
    # Since ansible-core 2.19, a host can tag a text, and Ansible displays the tag. The copy has no
    # tag.
    text = text[:]
    # This test is fast, and the output of a module usually passes it.
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text)

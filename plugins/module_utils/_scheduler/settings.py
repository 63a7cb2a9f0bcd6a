# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Settings of a scheduler: parse its command line and its configuration."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import timings as _timings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    facts,
    versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DEFAULT_SCHEDULER,
    LEASE_NAME,
    LEASE_NAMESPACE,
    OBJECT_NAME,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving


class DesiredSettings(t.TypedDict):
    """What a process is to be started with: flags by name, and the KubeSchedulerConfiguration."""

    flags: dict[str, t.Any]
    config: dict[str, t.Any]


def field_of_flag(flag: str) -> str:
    """The field of leaderElection that a flag sets: resourceLock of leader-elect-resource-lock."""
    first, *rest = (flag.removeprefix("leader-elect-") if flag != "leader-elect" else flag).split(
        "-"
    )
    return first + "".join(word.capitalize() for word in rest)


def is_same_value(wanted: t.Any, told: t.Any) -> bool:
    """Whether two values mean the same, however each is written."""
    if isinstance(wanted, str) or isinstance(told, str):
        one, other = (
            value if isinstance(value, str) else json.dumps(value) for value in (wanted, told)
        )
        lengths = _durations.parse_seconds(one), _durations.parse_seconds(other)
        return one == other or (None not in lengths and lengths[0] == lengths[1])
    return bool(wanted == told)


# Of an unknown version: /healthz is there in all.
UNKNOWN_SERVING = {
    "https": 10259,
    "http": 0,
    "ready_path": "/healthz",
    "ready_port": "https",
    "lock": "",
}
KNOWN_FLAGS = (
    "address",
    "bind-address",
    "config",
    "kubeconfig",
    "leader-elect-lease-duration",
    "leader-elect-renew-deadline",
    "leader-elect-resource-lock",
    "leader-elect-resource-name",
    "leader-elect-resource-namespace",
    "leader-elect-retry-period",
    "lock-object-name",
    "lock-object-namespace",
    "port",
    "scheduler-name",
    "secure-port",
)
# Fields of a KubeSchedulerConfiguration, by the mapping that they are in.
KNOWN_FIELDS = {
    "": ("healthzBindAddress",),
    "clientConnection": ("kubeconfig",),
    "leaderElection": (
        "resourceLock",
        "resourceName",
        "resourceNamespace",
        "lockObjectName",
        "lockObjectNamespace",
        "leaseDuration",
        "renewDeadline",
        "retryPeriod",
    ),
}
# Wherever it stands: it is a key of profiles, or of the older configuration itself.
SCHEDULER_NAME_LINE = re.compile(
    r"""(?m)^[ \t-]*["']?schedulerName["']?:[ \t]*["']?([A-Za-z0-9._/-]{1,253})"""
)
LOCK_TYPE = re.compile(r"[a-z]{1,40}")
MAX_YAML_BYTES = 65536
"""Bytes that are parsed as YAML, which takes seconds for a megabyte; a scheduler's configuration has some hundreds."""
WITHHELD = "(withheld)"


def parse_flag(word: str) -> tuple[str, str | None]:
    """Name and value of a flag: "" for a word that is none, None for a value that the next word may be."""
    name, equals, value = word.partition("=")
    return name[2:].replace("_", "-") if name.startswith("--") else "", value if equals else None


def parse_flags(words: t.Sequence[str]) -> dict[str, str]:
    """The flags that count here, of a command line without its program; the last of a name counts, as for the process."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        name, value = parse_flag(word)
        if name in KNOWN_FLAGS:
            found[name] = next(rest, "") if value is None else value
    return found


def _load_yaml(content: bytes) -> t.Any:
    """A configuration as YAML has it; None where that cannot be had."""
    # Only here, since a host without the library, or without a scheduler, is asked too.
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        return None
    if len(content) > MAX_YAML_BYTES:
        return None
    try:
        # Never the loader in C, which a deeply nested text takes down with the whole process.
        return yaml.load(content.decode("utf-8", "replace"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def parse_fields(content: bytes) -> dict[str, str]:
    """The fields that count here, of a configuration; what is no text, or not there, is left out."""
    loaded = _load_yaml(content)
    if loaded is None:
        return _fields_by_pattern(content.decode("utf-8", "replace"))
    found = {}
    for place, names in KNOWN_FIELDS.items():
        mapping = loaded if not place else loaded.get(place) if isinstance(loaded, dict) else None
        if isinstance(mapping, dict):
            found.update(
                {name: mapping[name] for name in names if isinstance(mapping.get(name), str)}
            )
    return found


def _fields_by_pattern(text: str) -> dict[str, str]:
    """The fields where the YAML library is not there or fails: one a line, as nearly everybody writes them."""
    names = "|".join(name for names in KNOWN_FIELDS.values() for name in names)
    return {
        found[1]: found[2]
        for found in re.finditer(rf"(?m)^[ \t]*({names}):[ \t]*[\"']?([^\s\"'#]{{1,4096}})", text)
    }


def list_settings(content: bytes) -> list[str]:
    """All that a configuration sets, as FIELD=JSON, such as leaderElection.leaseDuration="15s"; nothing where it cannot be read, or sets too much.

    Private keys, which the configuration of an extender can hold, are withheld.
    """
    try:
        found = list(_settings(_load_yaml(content), "", [facts.MAX_LIST_LENGTH]))
    except (ValueError, RecursionError, TypeError):
        return []
    return found if all(len(line) <= facts.MAX_TEXT_LENGTH for line in found) else []


def _settings(value: t.Any, place: str, budget: list[int]) -> t.Iterator[str]:
    if isinstance(value, dict):
        _spend(budget)
        for name, part in value.items():
            shown = WITHHELD if _is_key(name) else part
            yield from _settings(shown, f"{place}.{name}" if place else str(name), budget)
    elif place:
        yield f"{place}={json.dumps(_without_keys(value, budget))}"


def _without_keys(value: t.Any, budget: list[int]) -> t.Any:
    """A value without private keys."""
    _spend(budget)
    if isinstance(value, dict):
        return {
            str(name): WITHHELD if _is_key(name) else _without_keys(part, budget)
            for name, part in value.items()
        }
    return [_without_keys(part, budget) for part in value] if isinstance(value, list) else value


def _is_key(name: t.Any) -> bool:
    return str(name).lower().endswith("keydata")


def _spend(budget: list[int]) -> None:
    """Raises ValueError where a value has more parts than the budget: an alias of YAML can stand for any number."""
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError("too large")


class ProcessSettings(t.NamedTuple):
    """Flags and configuration of a process; C(configured) says that it has a configuration, beside which some flags count for nothing."""

    flags: dict[str, str]
    fields: dict[str, str]
    configured: bool
    readable: bool
    schedulers: tuple[str, ...] = (DEFAULT_SCHEDULER,)
    content: bytes = b""  # the configuration itself

    def text(self, flag: str, field: str) -> str:
        """The flag's value, else the field's, else ""."""
        return self.flags.get(flag) or self.fields.get(field) or ""

    @property
    def lock(self) -> str:
        """The lock type, "" for its version's default."""
        found = self.text("leader-elect-resource-lock", "resourceLock")
        return found if LOCK_TYPE.fullmatch(found) else ""

    @property
    def lease(self) -> tuple[str, str]:
        """Namespace and name of the lease."""
        return self._named("namespace", "Namespace", LEASE_NAMESPACE), self._named(
            "name", "Name", LEASE_NAME
        )

    def _named(self, flag: str, field: str, default: str) -> str:
        older = "" if self.configured else self.flags.get(f"lock-object-{flag}", "")
        values = (
            self.flags.get(f"leader-elect-resource-{flag}"),
            older,
            self.fields.get(f"resource{field}"),
            self.fields.get(f"lockObject{field}"),
        )
        return next((value for value in values if value and OBJECT_NAME.fullmatch(value)), default)

    @property
    def timings(self) -> _timings.ElectionTimings:
        """The times of the election; client-go's own where it was told none that can be read."""
        told = {
            key: _durations.parse_seconds(self.text(f"leader-elect-{key.replace('_', '-')}", field))
            for key, field in (
                ("lease_duration", "leaseDuration"),
                ("renew_deadline", "renewDeadline"),
                ("retry_period", "retryPeriod"),
            )
        }
        return _timings.ElectionTimings(
            **{key: told[key] or getattr(_timings.DEFAULT_TIMINGS, key) for key in told}
        )

    @property
    def kubeconfig(self) -> str:
        """Its path, "" for none."""
        found = (
            self.fields.get("kubeconfig", "")
            if self.configured
            else self.flags.get("kubeconfig", "")
        )
        return found if os.path.isabs(found) and found.isprintable() else ""

    def bind_address(self, default: str) -> str:
        return _address(self.flags.get("bind-address", ""), default)

    def secure_port(self, default: int) -> int:
        return _port(self.flags.get("secure-port", ""), default)

    def http_port(self, default: int) -> int:
        """Of a version that serves plain HTTP: beside a configuration, the flag counts for nothing."""
        if self.configured:
            return _port(self.fields.get("healthzBindAddress", "").rpartition(":")[2], default)
        return _port(self.flags.get("port", ""), default)


def _port(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text[:6]) < 65536 else default


def _address(text: str, default: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return default


def parse_settings(
    arguments: t.Sequence[str], content: bytes | None, *, readable: bool = True
) -> ProcessSettings:
    """What a command line without its program, and a configuration, tell a scheduler."""
    flags = parse_flags(arguments)
    named = SCHEDULER_NAME_LINE.findall(
        (content or b"")[:MAX_YAML_BYTES].decode("utf-8", "replace")
    )
    if "config" not in flags and flags.get("scheduler-name"):
        named = [flags["scheduler-name"]]
    return ProcessSettings(
        flags,
        parse_fields(content) if content else {},
        bool(flags.get("config")),
        readable,
        tuple(dict.fromkeys(named)) or (DEFAULT_SCHEDULER,),
        content or b"",
    )


def serving_or_default(serving: Serving | None) -> Serving:
    """How a version serves, or the best guess for one that is not known."""
    return serving or Serving(since="", **UNKNOWN_SERVING)  # type: ignore[typeddict-item]


def describe_instance(
    unit: str, told: ProcessSettings, serving: versions.Serving | None, files: t.Iterable[str]
) -> facts.Instance:
    """What a scheduler has for itself, by what it was told."""
    row = serving_or_default(serving)
    ports = [
        told.secure_port(row["https"]) if row["https"] else 0,
        told.http_port(row["http"]) if row["http"] else 0,
    ]
    return facts.Instance(
        unit=unit,
        ports=[port for port in ports if port],
        lease="/".join(told.lease),
        schedulers=list(told.schedulers),
        paths=sorted(set(files)),
    )

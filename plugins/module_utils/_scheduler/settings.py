# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse the command line and the configuration of a scheduler."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations, _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import (
    DEFAULT_TIMINGS,
    ElectionTimings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import (
    parse_go_integer,
    parse_integer,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DEFAULT_SCHEDULER,
    LEASE_NAME,
    LEASE_NAMESPACE,
    LOCK_OBJECT_NAME,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving
from ansible_collections.kube_ha.scheduler.plugins.module_utils._yaml_limits import bounded_loader


class DesiredSettings(t.TypedDict):
    """The desired settings of a process."""

    flags: dict[str, t.Any]  # value of each flag by name, without leading dashes
    config: dict[str, t.Any]  # content of the KubeSchedulerConfiguration


def field_of_flag(flag: str) -> str:
    """Return the leaderElection field that a flag sets, such as retryPeriod."""
    first, *rest = flag.removeprefix("leader-elect-").split("-")
    return first + "".join(word.capitalize() for word in rest)


def is_same_value(desired: t.Any, actual: t.Any) -> bool:
    """Return whether two values have the same meaning, such as 60s and 1m."""
    if isinstance(desired, str) or isinstance(actual, str):
        one, other = (
            value if isinstance(value, str) else json.dumps(value) for value in (desired, actual)
        )
        lengths = _durations.parse_seconds(one), _durations.parse_seconds(other)
        return one == other or (None not in lengths and lengths[0] == lengths[1])
    return bool(desired == actual)


# Ports and paths for an unknown version. All versions have /healthz.
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
# The fields of a KubeSchedulerConfiguration that are parsed, by the mapping that contains them.
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
# schedulerName is a key of a profile, or a top-level key of older configurations.
SCHEDULER_NAME_LINE = re.compile(
    r"""(?m)^[ \t-]*["']?schedulerName["']?:[ \t]*["']?([A-Za-z0-9._/-]{1,253})"""
)
LOCK_TYPE = re.compile(r"[a-z]{1,40}")
MAX_YAML_BYTES = 65536
"""Maximum size of a configuration, because the YAML parser takes seconds per megabyte."""
MAX_YAML_NODES = 10000
MAX_PORT = 65535


def parse_flag(word: str) -> tuple[str, str | None]:
    """Return name and value of a flag.

    If the word is no flag, the name is "". If the next word can be the value, the value is None.
    """
    name, equals, value = word.partition("=")
    return name[2:].replace("_", "-") if name.startswith("--") else "", value if equals else None


def parse_flags(words: t.Sequence[str]) -> dict[str, str]:
    """Return the known flags of a command line without its program. The last value applies."""
    flags: dict[str, str] = {}
    remaining = iter(words)
    for word in remaining:
        if word == "--":
            break
        name, value = parse_flag(word)
        if name in KNOWN_FLAGS:
            flags[name] = next(remaining, "") if value is None else value
    return flags


def _load_yaml(content: bytes) -> t.Any:
    """Return a parsed configuration; None if it is invalid or too large, or without PyYAML."""
    # Import here, because the module also runs on hosts without this library.
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        return None
    if len(content) > MAX_YAML_BYTES:
        return None
    try:
        return yaml.load(
            content.decode("utf-8", "replace"), Loader=bounded_loader(yaml, MAX_YAML_NODES)
        )
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _find_fields(loaded: t.Any) -> dict[str, str]:
    """Return the known fields of a loaded configuration whose value is text."""
    fields: dict[str, str] = {}
    for parent, names in KNOWN_FIELDS.items():
        mapping = loaded if not parent else loaded.get(parent) if isinstance(loaded, dict) else None
        if isinstance(mapping, dict):
            fields.update(
                {name: mapping[name] for name in names if isinstance(mapping.get(name), str)}
            )
    return fields


def _fields_by_pattern(text: str) -> dict[str, str]:
    """Return the known fields of a text that cannot be parsed as YAML, line by line."""
    names = "|".join(name for names in KNOWN_FIELDS.values() for name in names)
    return {
        match[1]: match[2]
        for match in re.finditer(rf"(?m)^[ \t]*({names}):[ \t]*[\"']?([^\s\"'#]{{1,4096}})", text)
    }


def _list_settings(loaded: t.Any) -> list[str]:
    """Return all fields of a loaded configuration as FIELD=JSON; [] if it is too large.

    For example, leaderElection.leaseDuration="15s". Secrets such as the private key of an extender
    are withheld.
    """
    try:
        lines = list(_flatten(_secrets.withhold(loaded), ""))
    except (ValueError, RecursionError, TypeError):
        return []
    is_short = (
        len(lines) <= facts.MAX_LIST_LENGTH
        and all(len(line) <= facts.MAX_TEXT_LENGTH for line in lines)
        and sum(map(facts.json_length, lines)) <= facts.MAX_SETTINGS_LENGTH
    )
    return lines if is_short else []


def _flatten(value: t.Any, path: str) -> t.Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flatten(part, f"{path}.{name}" if path else str(name))
    elif path:
        yield f"{path}={json.dumps(value)}"


class ProcessSettings(t.NamedTuple):
    """The settings of a process, from its flags and configuration."""

    flags: dict[str, str]
    fields: dict[str, str]
    configured: bool  # whether it has a configuration, which disables some flags
    readable: bool  # whether the command line could be read
    schedulers: tuple[str, ...] = (DEFAULT_SCHEDULER,)
    listed: tuple[str, ...] = ()  # all fields of the configuration, see list_settings

    def text(self, flag: str, field: str) -> str:
        """Return the value of the flag, otherwise of the field, otherwise ""."""
        return self.flags.get(flag) or self.fields.get(field) or ""

    @property
    def lock(self) -> str:
        """Return the lock type, "" if the default of the version applies."""
        lock = self.text("leader-elect-resource-lock", "resourceLock")
        return lock if LOCK_TYPE.fullmatch(lock) else ""

    @property
    def lease(self) -> tuple[str, str]:
        """Return the namespace and the name of the lease."""
        namespace = self._object_part("namespace", "Namespace", LEASE_NAMESPACE)
        return namespace, self._object_part("name", "Name", LEASE_NAME)

    def _object_part(self, flag: str, field: str, default: str) -> str:
        """Return the name or namespace of the lock object from the first valid setting."""
        deprecated = "" if self.configured else self.flags.get(f"lock-object-{flag}", "")
        values = (
            self.flags.get(f"leader-elect-resource-{flag}"),
            deprecated,
            self.fields.get(f"resource{field}"),
            self.fields.get(f"lockObject{field}"),
        )
        return next(
            (value for value in values if value and LOCK_OBJECT_NAME.fullmatch(value)), default
        )

    @property
    def timings(self) -> ElectionTimings:
        """Return the election times; use the default of client-go for an unset or invalid time."""
        configured = {
            key: _durations.parse_seconds(self.text(f"leader-elect-{key.replace('_', '-')}", field))
            for key, field in (
                ("lease_duration", "leaseDuration"),
                ("renew_deadline", "renewDeadline"),
                ("retry_period", "retryPeriod"),
            )
        }
        return ElectionTimings(
            **{key: configured[key] or getattr(DEFAULT_TIMINGS, key) for key in configured}
        )

    @property
    def kubeconfig(self) -> str:
        """Return the path of the kubeconfig, "" if there is none."""
        settings = self.fields if self.configured else self.flags
        path = settings.get("kubeconfig", "")
        return path if os.path.isabs(path) and path.isprintable() else ""

    def bind_address(self, default: str) -> str:
        """Return the address that the scheduler listens on."""
        return _address(self.flags.get("bind-address", ""), default)

    def secure_port(self, default: int) -> int:
        """Return the HTTPS port."""
        return _known_port(parse_go_integer(self.flags.get("secure-port", ""), MAX_PORT), default)

    def http_port(self, default: int) -> int:
        """Return the HTTP port of an old version; a configuration overrides the flag."""
        if self.configured:
            text = self.fields.get("healthzBindAddress", "").rpartition(":")[2]
            return _known_port(parse_integer(text, MAX_PORT), default)
        return _known_port(parse_go_integer(self.flags.get("port", ""), MAX_PORT), default)


def _known_port(number: int | None, default: int) -> int:
    return default if number is None else number


def _address(text: str, default: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return default


class ParsedConfig(t.TypedDict):
    """The parsed fields of a configuration."""

    fields: dict[str, str]
    schedulers: list[str]
    listed: list[str]


NO_CONFIG = ParsedConfig(fields={}, schedulers=[], listed=[])


def parse_config(content: bytes) -> ParsedConfig:
    """Parse a configuration, and mask secrets."""
    loaded, text = _load_yaml(content), content.decode("utf-8", "replace")
    return ParsedConfig(
        fields=_fields_by_pattern(text) if loaded is None else _find_fields(loaded),
        schedulers=SCHEDULER_NAME_LINE.findall(content[:MAX_YAML_BYTES].decode("utf-8", "replace")),
        listed=_list_settings(loaded),
    )


def is_parsed_config(value: t.Any) -> bool:
    """Return whether a value has the shape of a ParsedConfig."""
    if not isinstance(value, dict) or value.keys() != NO_CONFIG.keys():
        return False
    fields, lists = value["fields"], [value["schedulers"], value["listed"]]
    if not isinstance(fields, dict) or not all(isinstance(part, list) for part in lists):
        return False
    return all(isinstance(text, str) for part in [fields.values(), *lists] for text in part)


def parse_settings(
    arguments: t.Sequence[str], content: bytes | None, *, readable: bool = True
) -> ProcessSettings:
    """Parse a command line without its program, and the content of a configuration."""
    config = parse_config(content) if content else NO_CONFIG
    return combine_settings(arguments, config, readable=readable)


def combine_settings(
    arguments: t.Sequence[str], config: ParsedConfig, *, readable: bool = True
) -> ProcessSettings:
    """Combine a command line without its program with a parsed configuration."""
    flags = parse_flags(arguments)
    names = config["schedulers"]
    if "config" not in flags and flags.get("scheduler-name"):
        names = [flags["scheduler-name"]]
    return ProcessSettings(
        flags,
        config["fields"],
        bool(flags.get("config")),
        readable,
        tuple(dict.fromkeys(names)) or (DEFAULT_SCHEDULER,),
        tuple(config["listed"]),
    )


def serving_or_default(serving: Serving | None) -> Serving:
    """Return the ports and paths of a version, with defaults for an unknown version."""
    return serving or Serving(since="", **UNKNOWN_SERVING)  # type: ignore[typeddict-item]


def describe_instance(
    unit: str, settings: ProcessSettings, serving: Serving | None, files: t.Iterable[str]
) -> facts.Instance:
    """Return the resources in the settings of an instance that no other instance can use."""
    row = serving_or_default(serving)
    ports = [
        settings.secure_port(row["https"]) if row["https"] else 0,
        settings.http_port(row["http"]) if row["http"] else 0,
    ]
    return facts.Instance(
        unit=unit,
        ports=[port for port in ports if port],
        lease="/".join(settings.lease),
        schedulers=list(settings.schedulers),
        paths=sorted(set(files)),
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The command line and the configuration of one version of kube-scheduler, from a table, and the settings that it rejects or ignores.

The table is data of the role (vars/main/versions.yml). Nothing in here knows a version. Problems begin with the option that they are
about, under the caller's prefix: C(extra_args) with the prefix C(kube_scheduler_) is the role's variable.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    LOCK_OBJECTS,
    minor_of,
    parse_minor,
    version_row,
)

API_GROUP = "kubescheduler.config.k8s.io"
CONFIG_KIND = "KubeSchedulerConfiguration"
FLAG_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
# The paths that a unit may start: systemd gives a meaning to leading +, -, !, @ and :, and to much else.
PROGRAM_PATH = re.compile(r"/[A-Za-z0-9._/-]+")
# The binary's own name of the lease, and what else can name it.
LEASE = "kube-scheduler"
LEASE_NAME_FLAGS = ("leader-elect-resource-name", "lock-object-name")
LEASE_NAME_FIELDS = ("resourceName", "lockObjectName")
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PLAIN_SCALAR = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


class RunningMember(t.TypedDict):
    """How a member that runs elects now."""

    hostname: str
    version: str
    lock: str  # the lock type that it was told, "" for its version's default
    lease_name: str
    lease_namespace: str


@dataclass(frozen=True)
class CommandLineInputs:
    """What a command line is made from: the table of versions, what the role itself sets, and what the user sets over it."""

    version: str
    versions: dict[str, dict[str, t.Any]]
    styles: dict[str, dict[str, t.Any]]
    known_flags: dict[str, dict[str, str]]
    known_fields: dict[str, dict[str, t.Any]]
    values: dict[str, t.Any]  # what stands for {NAME} in the styles
    times: dict[
        str, str
    ]  # flags with the election's times, for a version that is started without a configuration file
    binary: str  # absolute path
    own_config: dict[str, t.Any]
    config: dict[str, t.Any]
    extra_args: dict[str, t.Any]
    lease_name: str = LEASE  # unless config or extra_args name another
    running: t.Sequence[RunningMember] = ()
    prefix: str = ""


@dataclass(frozen=True)
class CommandLine:
    """What one version is started with; C(problems) are settings that it rejects or ignores, one line each."""

    flags: dict[str, str]
    config: dict[str, t.Any] | None
    lock: str
    lease_name: str
    lease_namespace: str
    dry_run_flags: dict[str, str]
    dry_run_texts: dict[str, str]
    problems: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> list[str]:
        """The arguments, in order."""
        return [f"--{name}={value}" for name, value in self.flags.items()]

    @property
    def config_text(self) -> str:
        """The KubeSchedulerConfiguration as YAML; "" where the version runs by flags alone."""
        return format_yaml(self.config).lstrip() + "\n" if self.config else ""


def format_flag_value(value: t.Any) -> str:
    """A flag's value as it is written on a command line; a list and a mapping as Kubernetes joins them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={format_flag_value(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(format_flag_value, value))
    return str(value)


def quote_argument(word: str) -> str:
    """One argument as a unit file writes it, so that systemd hands on exactly this: nothing is expanded, split or continued."""
    if CONTROL_CHARACTER.search(word):
        raise PlanError(
            f"{word[:60]!r} holds a control character, which no unit can hand on; leave it out"
        )
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def format_exec_start(binary: str, flags: t.Mapping[str, str]) -> str:
    """ExecStart's value, an argument a line."""
    return " \\\n  ".join(
        [binary, *(quote_argument(f"--{name}={value}") for name, value in flags.items())]
    )


def format_yaml(value: t.Any, indent: str = "") -> str:
    """YAML that every reader reads alike: a string that any YAML, old or new, could take for something else is quoted as JSON quotes it.

    PyYAML would leave 1e3 bare, which Go reads as a number.
    """
    if isinstance(value, dict) and value:
        return "".join(
            f"\n{indent}{_format_scalar(str(key))}:{_format_nested(item, indent)}"
            for key, item in value.items()
        )
    if isinstance(value, (list, tuple)) and value:
        return "".join(f"\n{indent}-{_format_nested(item, indent)}" for item in value)
    return f" {_format_scalar(value)}"


def _format_nested(item: t.Any, indent: str) -> str:
    return format_yaml(item, indent + "  ")


def _format_scalar(value: t.Any) -> str:
    if isinstance(value, str) and PLAIN_SCALAR.fullmatch(value) and value.lower() not in YAML_WORDS:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def merge_config(base: t.Mapping[str, t.Any], over: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """OVER on top of BASE, mapping by mapping."""
    result = dict(base)
    for key, value in over.items():
        former = result.get(key)
        result[key] = (
            merge_config(former, value)
            if isinstance(former, dict) and isinstance(value, dict)
            else value
        )
    return result


class CommandLineBuilder:
    """The table, and the settings that are held against it."""

    def __init__(self, inputs: CommandLineInputs) -> None:
        self.inputs = inputs
        self.version = inputs.version
        row = version_row(inputs.versions, self.version)
        if row is None:
            raise PlanError(
                f"{self.version} is not known; known are {', '.join(inputs.versions)}, each written in full",
                option=f"{inputs.prefix}version",
            )
        self.row = row
        self.minor = parse_minor(minor_of(self.version))
        self.name = f"kube-scheduler {self.version}"
        self.apis = [api if "/" in api else f"{API_GROUP}/{api}" for api in row["config_api"]]
        self.problems: list[str] = []
        self.config = inputs.config
        self.extra: dict[str, t.Any] = {
            str(k).replace("_", "-"): v for k, v in inputs.extra_args.items()
        }
        self.extra_option = f"{inputs.prefix}extra_args"
        self.config_option = f"{inputs.prefix}config"

    def plan(self) -> CommandLine:
        inputs = self.inputs
        if not PROGRAM_PATH.fullmatch(inputs.binary):
            self.problems.append(
                f"{inputs.prefix}bin_dir: {inputs.binary!r} is not a path that a unit can start; use letters, digits, . _ - and /"
            )
        style = inputs.styles[self.row["style"][bool(self.config)]]
        configured = "config" in style["flags"]
        own = {name: self._filled(value) for name, value in style["flags"].items()}
        wanted: dict[str, t.Any] = merge_config(inputs.own_config, style.get("config", {}))
        if not configured:
            own.update({name: value for name, value in inputs.times.items() if name not in own})
        if self._names_lease():
            if configured:
                wanted = merge_config(
                    wanted, {"leaderElection": {self._lease_field(): inputs.lease_name}}
                )
            else:
                own[style["lease_flag"]] = inputs.lease_name
        flags = {**own, **self._checked_flags(configured)}
        config = None
        if configured:
            self._check_fields()
            wanted = {
                "apiVersion": self.apis[0],
                "kind": CONFIG_KIND,
                **merge_config(wanted, self.config),
            }
            config = wanted
        self._check_text(self.config_option, self.config)
        election = dict(wanted.get("leaderElection") or {})
        self._check_elects(flags, election)
        lock = self._lock(flags, election)
        name = self._named(flags, election, "name", "Name", LEASE)
        namespace = self._named(flags, election, "namespace", "Namespace", "kube-system")
        self._check_object(name, namespace)
        return CommandLine(
            flags=flags,
            config=config,
            lock=lock,
            lease_name=name,
            lease_namespace=namespace,
            dry_run_flags={key: str(value) for key, value in style["dry_run_flags"].items()},
            dry_run_texts=style.get("dry_run_texts", {}),
            problems=self.problems,
        )

    def _filled(self, value: t.Any) -> str:
        return re.sub(
            r"\{([a-z_]+)\}",
            lambda found: format_flag_value(self.inputs.values[found[1]]),
            str(value),
        )

    # --- flags

    def _checked_flags(self, configured: bool) -> dict[str, str]:
        taken = {}
        for name, value in self.extra.items():
            fault = self._fault_of_flag(name, value, configured)
            if fault:
                self.problems.append(f"{self.extra_option}: {name}: {fault}")
            else:
                taken[name] = format_flag_value(value)
        return taken

    def _fault_of_flag(self, name: str, value: t.Any, configured: bool) -> str:
        known = self.inputs.known_flags.get(name)
        instead = (known or {}).get("instead") or (known or {}).get("own")
        advice = f"use {instead}" if instead else "leave it out"
        if not FLAG_NAME.fullmatch(name):
            return "is not the name of a flag; write it without the leading dashes"
        if known is None:
            return f"{self.name} has no flag --{name}, nor has any version that this collection knows; leave it out, or look at its --help"
        if "removed" in known and self.minor >= parse_minor(known["removed"]):
            return f"{self.name} has no flag --{name}, which was removed in {known['removed']}; {advice}"
        if "added" in known and self.minor < parse_minor(known["added"]):
            return (
                f"{self.name} has no flag --{name}, which came with {known['added']}; leave it out"
            )
        if "own" in known:
            return f"the role itself sets --{name}; {advice}"
        ignored = known.get("ignored")
        if configured and ignored and (ignored == "never" or self.minor < parse_minor(ignored)):
            return f"{self.name} would silently ignore --{name} beside its configuration file; {advice}"
        if value is None:
            return "has no value; give one, such as true"
        if CONTROL_CHARACTER.search(format_flag_value(value)):
            return "its value holds a control character, which no unit can hand on; leave it out"
        return ""

    # --- the configuration

    def _check_fields(self) -> None:
        option = self.config_option
        chosen = self.config.get("apiVersion", self.apis[0])
        if chosen not in self.apis:
            self.problems.append(
                f"{option}: apiVersion: {self.name} does not take {chosen}; use {' or '.join(self.apis)}"
            )
            return
        if self.config.get("kind", CONFIG_KIND) != CONFIG_KIND:
            self.problems.append(
                f"{option}: kind: {self.config['kind']} is not {CONFIG_KIND}; leave it out"
            )
        for name in self.config:
            known = self.inputs.known_fields.get(name)
            if known is None:
                self.problems.append(
                    f"{option}: {name}: no {CONFIG_KIND} that this collection knows has this field; look for a slip, or leave it out"
                )
            elif chosen.split("/")[-1] not in known["api"]:
                advice = f"use {known['instead']}" if "instead" in known else "leave it out"
                self.problems.append(
                    f"{option}: {name}: is not a field of {chosen}, which {self.name} takes, but of {', '.join(known['api'])}; {advice}"
                )
            elif "added" in known and self.minor < parse_minor(known["added"]):
                self.problems.append(
                    f"{option}: {name}: {self.name} has no such field, which came with {known['added']}; leave it out"
                )

    def _check_text(self, where: str, value: t.Any) -> None:
        """YAML can write any character, but one of these in a name or a path is a slip or worse."""
        if isinstance(value, dict):
            for key, item in value.items():
                self._check_text(where, key)
                self._check_text(
                    f"{where}: {key}" if not CONTROL_CHARACTER.search(str(key)) else where, item
                )
        elif isinstance(value, (list, tuple)):
            for item in value:
                self._check_text(where, item)
        elif isinstance(value, str) and CONTROL_CHARACTER.search(value):
            self.problems.append(f"{where}: {value[:60]!r} holds a control character; leave it out")

    # --- the lock

    def _names_lease(self) -> bool:
        """Whether the process has to be told the name of its lease by the role."""
        told = self.config.get("leaderElection")
        fields = told if isinstance(told, dict) else {}
        others = [fields.get(name) for name in LEASE_NAME_FIELDS] + [
            self.extra.get(name) for name in LEASE_NAME_FLAGS
        ]
        return self.inputs.lease_name != LEASE and not any(others)

    def _lease_field(self) -> str:
        """The field of leaderElection that names the lease."""
        chosen = str(self.config.get("apiVersion", self.apis[0])).rpartition("/")[2]
        return str(
            self.inputs.known_fields["leaderElection"]["lease"].get(chosen, LEASE_NAME_FIELDS[0])
        )

    def _check_elects(self, flags: t.Mapping[str, str], election: t.Mapping[str, t.Any]) -> None:
        for option, value in (
            (f"{self.extra_option}: leader-elect", flags.get("leader-elect", True)),
            (
                f"{self.config_option}: leaderElection: leaderElect",
                election.get("leaderElect", True),
            ),
        ):
            if format_flag_value(value) != "true":
                self.problems.append(
                    f"{option}: {format_flag_value(value)} would have each scheduler place pods by itself, and none could be seen to lead; leave it out"
                )

    def _lock(self, flags: t.Mapping[str, str], election: dict[str, t.Any]) -> str:
        said = "leader-elect-resource-lock" in flags
        lock = str(
            flags["leader-elect-resource-lock"]
            if said
            else election.get("resourceLock", self.row["locks"][0])
        )
        option = (
            f"{self.extra_option}: leader-elect-resource-lock"
            if said
            else f"{self.config_option}: leaderElection: resourceLock"
        )
        if lock not in self.row["locks"]:
            self.problems.append(
                f"{option}: {self.name} does not take {lock}, but {', '.join(self.row['locks'])}; "
                f"use {self.row['locks'][0]}"
            )
            return lock
        for member in self.inputs.running:
            former = self._lock_of(member)
            if former and not LOCK_OBJECTS[former] & LOCK_OBJECTS[lock]:
                self.problems.append(
                    f"{option}: {lock} shares no object with {former}, by which {member['hostname']} elects now, so there would be two leaders; "
                    f"{self._steps(former, lock)}"
                )
                break
        return lock

    def _lock_of(self, member: RunningMember) -> str:
        row = version_row(self.inputs.versions, member["version"])
        lock = member["lock"] or (row["locks"][0] if row else "")
        return lock if lock in LOCK_OBJECTS else ""

    def _check_object(self, name: str, namespace: str) -> None:
        """Two schedulers whose locks have other names would both lead."""
        for member in self.inputs.running:
            former = f"{member['lease_namespace']}/{member['lease_name']}"
            if former != f"{namespace}/{name}":
                self.problems.append(
                    f"{self.config_option}: leaderElection: the lock {namespace}/{name} is not {former}, by which {member['hostname']} elects now, "
                    "so there would be two leaders; keep its name and namespace, or stop all schedulers first"
                )
                break

    def _steps(self, former: str, lock: str) -> str:
        """The lock types to be rolled out one after the other, each sharing an object with the one before it."""
        ways = [[former]]
        for way in ways:  # grows while it is gone through: the shortest way comes first
            if LOCK_OBJECTS[way[-1]] & LOCK_OBJECTS[lock]:
                first, *others = [*way[1:], lock]
                run = f"first run with {self.config_option}={{leaderElection: {{resourceLock: {first}}}}}"
                return ", then ".join([run, *(f"a further time with {other}" for other in others)])
            ways += [
                [*way, n]
                for n in self.row["locks"]
                if n not in way and LOCK_OBJECTS[way[-1]] & LOCK_OBJECTS[n]
            ]
        both = LOCK_OBJECTS[former] | LOCK_OBJECTS[lock]
        bridge = next(name for name, objects in LOCK_OBJECTS.items() if objects == both)
        able = [minor for minor, row in self.inputs.versions.items() if bridge in row["locks"]]
        return f"first roll out a version from {able[0]} to {able[-1]} with the lock {bridge}, then {self.version}"

    def _named(
        self,
        flags: t.Mapping[str, str],
        election: dict[str, t.Any],
        flag: str,
        suffix: str,
        default: str,
    ) -> str:
        for value in (
            flags.get(f"leader-elect-resource-{flag}"),
            flags.get(f"lock-object-{flag}"),
            election.get(f"resource{suffix}"),
            election.get(f"lockObject{suffix}"),
        ):
            if value:
                return str(value)
        return default

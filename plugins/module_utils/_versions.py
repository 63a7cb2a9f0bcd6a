# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The command line and the configuration of one version of kube-scheduler, from a table, and what of one's wishes it would not take.

The table is data of the role (vars/main/versions.yml). Nothing in here knows a version.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

GROUP = "kubescheduler.config.k8s.io"
KIND = "KubeSchedulerConfiguration"
FLAG = re.compile(r"[a-z0-9][a-z0-9-]*")
# The paths that a unit may start: systemd gives a meaning to leading +, -, !, @ and :, and to much else.
PROGRAM = re.compile(r"/[A-Za-z0-9._/-]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
JITTER = 1.2  # client-go, leaderelection.go: JitterFactor
TIMES = ("leaseDuration", "renewDeadline", "retryPeriod")
# The objects that a lock type writes to. Two schedulers keep out of each other's way only where they share one.
LOCK_OBJECTS = {
    "endpoints": {"endpoints"},
    "configmaps": {"configmaps"},
    "leases": {"leases"},
    "endpointsleases": {"endpoints", "leases"},
    "configmapsleases": {"configmaps", "leases"},
}
SPEC: dict[str, t.Any] = {
    "version": {"type": "str", "required": True},
    "versions": {"type": "dict", "required": True},
    "styles": {"type": "dict", "required": True},
    "known_flags": {"type": "dict", "required": True},
    "known_fields": {"type": "dict", "required": True},
    "values": {"type": "dict", "default": {}},
    "binary": {"type": "str", "required": True},
    "config": {"type": "dict", "default": {}},
    "own_config": {"type": "dict", "default": {}},
    "extra_args": {"type": "dict", "default": {}},
    "running": {"type": "list", "elements": "dict", "default": []},
}


# What _lease calls the record that lies in an object.
RECORDS = {"leases": "lease", "endpoints": "endpoints", "configmaps": "configmap"}


class PlanError(Exception):
    """One line: what, where, what to do."""


@dataclass
class Plan:
    """What one version is started with; C(problems) are the wishes that it would not take."""

    version: str
    row: dict[str, t.Any]
    style: dict[str, t.Any]
    flags: dict[str, str]
    config: dict[str, t.Any] | None
    lock: str
    lease: dict[str, str]
    problems: list[str] = field(default_factory=list)


def number(minor: str) -> tuple[int, ...]:
    """A minor version, such as 1.20, to be compared."""
    return tuple(int(part) for part in str(minor).split("."))


def minor_of(version: str) -> str:
    return ".".join(version.split(".")[:2])


def row_of(versions: t.Mapping[str, dict[str, t.Any]], version: str) -> dict[str, t.Any] | None:
    """What is known of a version; None of one that is not in the table."""
    return versions.get(minor_of(version))


def sources_of(lock: str) -> tuple[tuple[str, ...], ...]:
    """Where the record of a lock type may lie, one place after the other; nowhere, for one that is not known."""
    return tuple((source,) for name, source in RECORDS.items() if name in LOCK_OBJECTS.get(lock, ()))


def text_of(value: t.Any) -> str:
    """A flag's value as it is written on a command line; a list and a mapping as Kubernetes joins them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={text_of(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(text_of, value))
    return str(value)


def quote(word: str) -> str:
    """One argument as a unit file writes it, so that systemd hands on exactly this: nothing is expanded, split or continued."""
    if CONTROL.search(word):
        raise PlanError(f"{word[:60]!r} holds a control character, which no unit can hand on; leave it out")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def exec_start(binary: str, flags: t.Mapping[str, str]) -> str:
    """ExecStart's value, an argument a line."""
    return " \\\n  ".join([binary, *(quote(f"--{name}={value}") for name, value in flags.items())])


def yaml_of(value: t.Any, indent: str = "") -> str:
    """YAML that every reader reads alike: a string that any YAML, old or new, could take for something else is quoted as JSON quotes it.

    PyYAML would leave 1e3 bare, which Go reads as a number.
    """
    if isinstance(value, dict) and value:
        return "".join(f"\n{indent}{_scalar(str(key))}:{_under(item, indent)}" for key, item in value.items())
    if isinstance(value, (list, tuple)) and value:
        return "".join(f"\n{indent}-{_under(item, indent)}" for item in value)
    return f" {_scalar(value)}"


def _under(item: t.Any, indent: str) -> str:
    return yaml_of(item, indent + "  ")


def _scalar(value: t.Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def seconds(duration: t.Any) -> float | None:
    """A Go duration; None for what is none."""
    if not isinstance(duration, str) or not DURATION.fullmatch(duration):
        return None
    return sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", duration))


def merged(base: t.Mapping[str, t.Any], over: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """OVER on top of BASE, mapping by mapping."""
    result = dict(base)
    for key, value in over.items():
        former = result.get(key)
        result[key] = merged(former, value) if isinstance(former, dict) and isinstance(value, dict) else value
    return result


class Planner:
    """The table, and the wishes that are held against it."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.params = params
        self.version = str(params["version"])
        row = row_of(params["versions"], self.version)
        if row is None:
            raise PlanError(
                f"version: {self.version} is not known; known are {', '.join(params['versions'])}, each written in full"
            )
        self.row = row
        self.minor = number(minor_of(self.version))
        self.name = f"kube-scheduler {self.version}"
        self.apis = [api if "/" in api else f"{GROUP}/{api}" for api in row["config_api"]]
        self.problems: list[str] = []
        self.config: dict[str, t.Any] = params["config"]
        self.extra: dict[str, t.Any] = {str(k).replace("_", "-"): v for k, v in params["extra_args"].items()}

    def plan(self) -> Plan:
        if not PROGRAM.fullmatch(self.params["binary"]):
            self.problems.append(
                f"kube_scheduler_bin_dir: {self.params['binary']!r} is not a path that a unit can start; use letters, digits, . _ - and /"
            )
        style = self.params["styles"][self.row["style"][bool(self.config)]]
        configured = "config" in style["flags"]
        own = {name: self._filled(value) for name, value in style["flags"].items()}
        wanted: dict[str, t.Any] = merged(self.params["own_config"], style.get("config", {}))
        if not configured:
            own.update(self._times_as_flags(own))
        flags = {**own, **self._checked_flags(configured)}
        config = None
        if configured:
            self._check_fields()
            wanted = {
                "apiVersion": self.apis[0],
                "kind": KIND,
                **merged(wanted, self.config),
            }
            config = wanted
        self._check_text("kube_scheduler_config", self.config)
        election = dict(wanted.get("leaderElection") or {})
        self._check_times(election)
        self._check_elects(flags, election)
        lock = self._lock(flags, election)
        lease = {
            "name": self._named(flags, election, "name", "Name", "kube-scheduler"),
            "namespace": self._named(flags, election, "namespace", "Namespace", "kube-system"),
        }
        return Plan(self.version, self.row, style, flags, config, lock, lease, self.problems)

    def _filled(self, value: t.Any) -> str:
        return re.sub(r"\{([a-z_]+)\}", lambda found: text_of(self.params["values"][found[1]]), str(value))

    # --- flags

    def _checked_flags(self, configured: bool) -> dict[str, str]:
        taken = {}
        for name, value in self.extra.items():
            fault = self._fault_of_flag(name, value, configured)
            if fault:
                self.problems.append(f"kube_scheduler_extra_args: {name}: {fault}")
            else:
                taken[name] = text_of(value)
        return taken

    def _fault_of_flag(self, name: str, value: t.Any, configured: bool) -> str:
        known = self.params["known_flags"].get(name)
        instead = (known or {}).get("instead") or (known or {}).get("own")
        advice = f"use {instead}" if instead else "leave it out"
        if not FLAG.fullmatch(name):
            return "is not the name of a flag; write it without the leading dashes"
        if known is None:
            return f"{self.name} has no flag --{name}, nor has any version that this collection knows; leave it out, or look at its --help"
        if "removed" in known and self.minor >= number(known["removed"]):
            return f"{self.name} has no flag --{name}, which was removed in {known['removed']}; {advice}"
        if "added" in known and self.minor < number(known["added"]):
            return f"{self.name} has no flag --{name}, which came with {known['added']}; leave it out"
        if "own" in known:
            return f"the role itself sets --{name}; {advice}"
        unheeded = known.get("unheeded")
        if configured and unheeded and (unheeded == "never" or self.minor < number(unheeded)):
            return f"{self.name} would silently ignore --{name} beside its configuration file; {advice}"
        if value is None:
            return "has no value; give one, such as true"
        if CONTROL.search(text_of(value)):
            return "its value holds a control character, which no unit can hand on; leave it out"
        return ""

    def _times_as_flags(self, own: t.Mapping[str, str]) -> dict[str, str]:
        """The election's times, where there is no file for them and they are not the binary's own."""
        times = self.params["values"].get("times", {})
        return {name: value for name, value in times.items() if name not in own}

    # --- the configuration

    def _check_fields(self) -> None:
        option = "kube_scheduler_config"
        chosen = self.config.get("apiVersion", self.apis[0])
        if chosen not in self.apis:
            self.problems.append(
                f"{option}: apiVersion: {self.name} does not take {chosen}; use {' or '.join(self.apis)}"
            )
            return
        if self.config.get("kind", KIND) != KIND:
            self.problems.append(f"{option}: kind: {self.config['kind']} is not {KIND}; leave it out")
        for name in self.config:
            known = self.params["known_fields"].get(name)
            if known is None:
                self.problems.append(
                    f"{option}: {name}: no {KIND} that this collection knows has this field; look for a slip, or leave it out"
                )
            elif chosen.split("/")[-1] not in known["api"]:
                advice = f"use {known['instead']}" if "instead" in known else "leave it out"
                self.problems.append(
                    f"{option}: {name}: is not a field of {chosen}, which {self.name} takes, but of {', '.join(known['api'])}; {advice}"
                )
            elif "added" in known and self.minor < number(known["added"]):
                self.problems.append(
                    f"{option}: {name}: {self.name} has no such field, which came with {known['added']}; leave it out"
                )

    def _check_text(self, where: str, value: t.Any) -> None:
        """YAML can write any character, but one of these in a name or a path is a slip or worse."""
        if isinstance(value, dict):
            for key, item in value.items():
                self._check_text(where, key)
                self._check_text(f"{where}: {key}" if not CONTROL.search(str(key)) else where, item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self._check_text(where, item)
        elif isinstance(value, str) and CONTROL.search(value):
            self.problems.append(f"{where}: {value[:60]!r} holds a control character; leave it out")

    def _check_times(self, election: dict[str, t.Any]) -> None:
        option = "kube_scheduler_config: leaderElection"
        times = {name: seconds(election[name]) for name in TIMES if name in election}
        for name, value in times.items():
            if not value:
                self.problems.append(f"{option}: {name}: {election[name]} is not a duration, such as 15s")
        if len(times) < len(TIMES) or not all(times.values()):
            return
        lease, renew, retry = (times[name] or 0.0 for name in TIMES)
        if lease <= renew:
            self.problems.append(
                f"{option}: leaseDuration: {election['leaseDuration']} must be longer than renewDeadline, {election['renewDeadline']}"
            )
        if renew <= retry * JITTER:
            self.problems.append(
                f"{option}: renewDeadline: {election['renewDeadline']} must be longer than {JITTER} times retryPeriod, {election['retryPeriod']}"
            )

    # --- the lock

    def _check_elects(self, flags: t.Mapping[str, str], election: t.Mapping[str, t.Any]) -> None:
        for option, value in (
            ("kube_scheduler_extra_args: leader-elect", flags.get("leader-elect", True)),
            ("kube_scheduler_config: leaderElection: leaderElect", election.get("leaderElect", True)),
        ):
            if text_of(value) != "true":
                self.problems.append(
                    f"{option}: {text_of(value)} would have each scheduler place pods by itself, and none could be seen to lead; leave it out"
                )

    def _lock(self, flags: t.Mapping[str, str], election: dict[str, t.Any]) -> str:
        said = "leader-elect-resource-lock" in flags
        lock = str(flags["leader-elect-resource-lock"] if said else election.get("resourceLock", self.row["locks"][0]))
        option = (
            "kube_scheduler_extra_args: leader-elect-resource-lock"
            if said
            else "kube_scheduler_config: leaderElection: resourceLock"
        )
        if lock not in self.row["locks"]:
            self.problems.append(
                f"{option}: {self.name} does not take {lock}, but {', '.join(self.row['locks'])}; "
                f"use {self.row['locks'][0]}"
            )
            return lock
        for member in self.params["running"]:
            former = self._lock_of(member)
            if former and not LOCK_OBJECTS[former] & LOCK_OBJECTS[lock]:
                self.problems.append(
                    f"{option}: {lock} shares no object with {former}, by which {member['hostname']} elects now, so there would be two leaders; "
                    f"{self._steps(former, lock)}"
                )
                break
        return lock

    def _lock_of(self, member: t.Mapping[str, t.Any]) -> str:
        process = member.get("process", {})
        row = row_of(self.params["versions"], process.get("version", ""))
        lock = str(process.get("lock") or (row["locks"][0] if row else ""))
        return lock if lock in LOCK_OBJECTS else ""

    def _steps(self, former: str, lock: str) -> str:
        """The lock types to be rolled out one after the other, each sharing an object with the one before it."""
        ways = [[former]]
        for way in ways:  # grows while it is gone through: the shortest way comes first
            if LOCK_OBJECTS[way[-1]] & LOCK_OBJECTS[lock]:
                first, *others = [*way[1:], lock]
                run = f"first run with kube_scheduler_config={{leaderElection: {{resourceLock: {first}}}}}"
                return ", then ".join([run, *(f"a further time with {other}" for other in others)])
            ways += [[*way, n] for n in self.row["locks"] if n not in way and LOCK_OBJECTS[way[-1]] & LOCK_OBJECTS[n]]
        both = LOCK_OBJECTS[former] | LOCK_OBJECTS[lock]
        bridge = next(name for name, objects in LOCK_OBJECTS.items() if objects == both)
        able = [minor for minor, row in self.params["versions"].items() if bridge in row["locks"]]
        return f"first roll out a version from {able[0]} to {able[-1]} with the lock {bridge}, then {self.version}"

    def _named(
        self, flags: t.Mapping[str, str], election: dict[str, t.Any], flag: str, suffix: str, default: str
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


def run(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """The module scheduler_plan."""
    plan = Planner(params).plan()
    fine = not plan.problems
    return {
        "changed": False,
        "version": plan.version,
        "row": plan.row,
        "flags": [f"--{name}={value}" for name, value in plan.flags.items()],
        "exec_start": exec_start(params["binary"], plan.flags) if fine else "",
        "config": yaml_of(plan.config).lstrip() + "\n" if plan.config else "",
        "ask": plan.style["ask"],
        "ask_texts": plan.style.get("ask_texts", {}),
        "lock": plan.lock,
        "lease": plan.lease,
        "log_dir": plan.flags.get("log-dir", ""),
        "problems": plan.problems,
    }

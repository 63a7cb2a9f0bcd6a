# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a scheduler's process was told on its command line and in its configuration, and which version it is."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import pwd
import re
import selectors
import signal
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import timings as _timings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.options import OBJECT
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.release import (
    DIGEST_VARIABLE,
    SIZE,
    Binary,
    identity,
    sha256,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving

LEASE_NAME, LEASE_NAMESPACE = "kube-scheduler", "kube-system"
ANY_ADDRESS = "0.0.0.0"
# Of an unknown version: /healthz is there in all.
UNKNOWN = {"https": 10259, "http": 0, "ready_path": "/healthz", "ready_port": "https", "lock": ""}
FLAGS = (
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
FIELDS = {
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
SCHEDULER = re.compile(
    r"""(?m)^[ \t-]*["']?schedulerName["']?:[ \t]*["']?([A-Za-z0-9._/-]{1,253})"""
)
DEFAULT_SCHEDULER = "default-scheduler"
LOCK = re.compile(r"[a-z]{1,40}")
VERSION = re.compile(
    r"Kubernetes v([0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}(?:[-+][0-9A-Za-z.+-]{1,60})?)"
)
YAML_LIMIT = 65536
"""Bytes that are parsed as YAML, which takes seconds for a megabyte; a scheduler's configuration has some hundreds."""
# Variables of the environment that the program itself reads, Go's and client-go's.
ENVIRONMENT = re.compile(
    r"GO[A-Z]{2,30}|(?:HTTPS?|NO|ALL|https?|no|all)_(?:PROXY|proxy)|KUBE_[A-Z0-9_]{1,60}|SSL_CERT_(?:FILE|DIR)"
)
WITHHELD = "(withheld)"
RUN_SECONDS = 10.0
RUN_LIMIT = 65536


def flag(word: str) -> tuple[str, str | None]:
    """Name and value of a flag: "" for a word that is none, None for a value that the next word may be."""
    name, equals, value = word.partition("=")
    return name[2:].replace("_", "-") if name.startswith("--") else "", value if equals else None


def flags_of(words: t.Sequence[str]) -> dict[str, str]:
    """The flags that count here, of a command line without its program; the last of a name counts, as for the process."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        name, value = flag(word)
        if name in FLAGS:
            found[name] = next(rest, "") if value is None else value
    return found


def _loaded(content: bytes) -> t.Any:
    """A configuration as YAML has it; None where that cannot be had."""
    # Only here, since a host without the library, or without a scheduler, is asked too.
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        return None
    if len(content) > YAML_LIMIT:
        return None
    try:
        # Never the loader in C, which a deeply nested text takes down with the whole process.
        return yaml.load(content.decode("utf-8", "replace"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def fields_of(content: bytes) -> dict[str, str]:
    """The fields that count here, of a configuration; what is no text, or not there, is left out."""
    loaded = _loaded(content)
    if loaded is None:
        return _fields_by_pattern(content.decode("utf-8", "replace"))
    found = {}
    for place, names in FIELDS.items():
        mapping = loaded if not place else loaded.get(place) if isinstance(loaded, dict) else None
        if isinstance(mapping, dict):
            found.update(
                {name: mapping[name] for name in names if isinstance(mapping.get(name), str)}
            )
    return found


def _fields_by_pattern(text: str) -> dict[str, str]:
    """The fields where the YAML library is not there or fails: one a line, as nearly everybody writes them."""
    names = "|".join(name for names in FIELDS.values() for name in names)
    return {
        found[1]: found[2]
        for found in re.finditer(rf"(?m)^[ \t]*({names}):[ \t]*[\"']?([^\s\"'#]{{1,4096}})", text)
    }


def settings_of(content: bytes) -> list[str]:
    """All that a configuration sets, as FIELD=JSON, such as leaderElection.leaseDuration="15s"; nothing where it cannot be read, or sets too much.

    Private keys, which the configuration of an extender can hold, are withheld.
    """
    try:
        found = list(_settings(_loaded(content), "", [facts.LONGEST_LIST]))
    except (ValueError, RecursionError, TypeError):
        return []
    return found if all(len(line) <= facts.LONGEST_TEXT for line in found) else []


def _settings(value: t.Any, place: str, budget: list[int]) -> t.Iterator[str]:
    if isinstance(value, dict):
        _spend(budget)
        for name, part in value.items():
            shown = WITHHELD if _is_key(name) else part
            yield from _settings(shown, f"{place}.{name}" if place else str(name), budget)
    elif place:
        yield f"{place}={json.dumps(_plain(value, budget))}"


def _plain(value: t.Any, budget: list[int]) -> t.Any:
    """A value without private keys."""
    _spend(budget)
    if isinstance(value, dict):
        return {
            str(name): WITHHELD if _is_key(name) else _plain(part, budget)
            for name, part in value.items()
        }
    return [_plain(part, budget) for part in value] if isinstance(value, list) else value


def _is_key(name: t.Any) -> bool:
    return str(name).lower().endswith("keydata")


def _spend(budget: list[int]) -> None:
    """Raises ValueError where a value has more parts than the budget: an alias of YAML can stand for any number."""
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError("too large")


class Told(t.NamedTuple):
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
        return found if LOCK.fullmatch(found) else ""

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
        return next((value for value in values if value and OBJECT.fullmatch(value)), default)

    @property
    def timings(self) -> _timings.Timings:
        """The times of the election; client-go's own where it was told none that can be read."""
        told = {
            key: _durations.seconds(self.text(f"leader-elect-{key.replace('_', '-')}", field))
            for key, field in (
                ("lease_duration", "leaseDuration"),
                ("renew_deadline", "renewDeadline"),
                ("retry_period", "retryPeriod"),
            )
        }
        return _timings.Timings(
            **{key: told[key] or getattr(_timings.DEFAULT, key) for key in told}
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


def told(proc: Proc, pid: int) -> Told:
    """What a process was told; the configuration is read as the process sees it, and only a regular file of at most 1 MiB."""
    words = proc.command_line(pid) if pid else []
    flags = flags_of(words[1:])
    config = flags.get("config", "")
    content = None
    if os.path.isabs(config):
        # Anything may have been done to a file that the process itself names.
        with contextlib.suppress(FilesError):
            content = paths.read(f"{proc.path(pid, 'root')}{config}", follow=True)
    return understood(words[1:], content, readable=bool(words))


def understood(arguments: t.Sequence[str], content: bytes | None, *, readable: bool = True) -> Told:
    """What a command line without its program, and a configuration, tell a scheduler."""
    flags = flags_of(arguments)
    named = SCHEDULER.findall((content or b"")[:YAML_LIMIT].decode("utf-8", "replace"))
    if "config" not in flags and flags.get("scheduler-name"):
        named = [flags["scheduler-name"]]
    return Told(
        flags,
        fields_of(content) if content else {},
        bool(flags.get("config")),
        readable,
        tuple(dict.fromkeys(named)) or (DEFAULT_SCHEDULER,),
        content or b"",
    )


def serving_for(serving: Serving | None) -> Serving:
    """How a version serves, or the best guess for one that is not known."""
    return serving or Serving(since="", **UNKNOWN)  # type: ignore[typeddict-item]


def describe(
    proc: Proc,
    pid: int,
    version: str,
    seen: Told,
    *,
    serving: Serving | None,
    bind_address: str,
    port: int,
) -> facts.Process:
    """The process for the answer; C(bind_address) and C(port) stand in where its command line cannot be read."""
    if not pid:
        return facts.Process(
            pid=0,
            version="",
            digest="",
            lock="",
            lease_name="",
            lease_namespace="",
            bind_address="",
            secure_port=0,
            http_port=0,
            timings=None,
            kubeconfig="",
            user="",
            arguments=[],
            settings=[],
            environment=[],
        )
    row = serving_for(serving)
    namespace, name = seen.lease
    times = seen.timings
    digest, user = proc.environment(pid).get(DIGEST_VARIABLE, ""), proc.user(pid)
    return facts.Process(
        pid=pid,
        version=version,
        digest=digest if re.fullmatch(r"[0-9a-f]{32}", digest) else "",
        lock=seen.lock or row["lock"],
        lease_name=name,
        lease_namespace=namespace,
        bind_address=seen.bind_address(ANY_ADDRESS if seen.readable else bind_address),
        secure_port=seen.secure_port(row["https"] if seen.readable else port)
        if row["https"]
        else 0,
        http_port=seen.http_port(row["http"]) if row["http"] else 0,
        timings=facts.Timings(
            lease_duration=times.lease_duration,
            renew_deadline=times.renew_deadline,
            retry_period=times.retry_period,
        ),
        kubeconfig=seen.kubeconfig,
        user="" if digest or user is None else user_name(user[0]),
        arguments=[] if digest else proc.command_line(pid)[1 : 1 + facts.LONGEST_LIST],
        settings=[] if digest else settings_of(seen.content),
        environment=[]
        if digest
        else sorted(filter(ENVIRONMENT.fullmatch, proc.environment(pid)))[: facts.LONGEST_LIST],
    )


def user_name(uid: int) -> str:
    """The name of a user, the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# --- the version


def version_of(proc: Proc, pid: int, binaries: t.Mapping[str, Binary]) -> str:
    """The version of a process, without the v; "" where it cannot be told.

    A program that the record of the release vouches for is not run. Any other is run as the process's own user, with a time
    limit and a bound for what it may say: the user may have put anything there.
    """
    if not pid:
        return ""
    known = recorded(proc, pid, binaries)
    if known is not None and known["version"]:
        return known["version"]
    user = proc.user(pid)
    program = _runnable(proc, pid)
    found = VERSION.search(_output([program, "--version"], *user)) if user and program else None
    return found[1] if found else ""


def recorded(proc: Proc, pid: int, binaries: t.Mapping[str, Binary]) -> Binary | None:
    """What the record says of the program that a process runs: the same file, or else the same content under that path."""
    program = proc.path(pid, "exe")
    try:
        seen = identity(os.stat(program))
    except OSError:
        return None
    for entry in binaries.values():
        if entry["identity"] == seen:
            return entry
    named = binaries.get(proc.executable(pid).partition(" (deleted)")[0])
    # A program of another size is another one, and may be of any.
    if named is None or named["identity"][SIZE] != seen[SIZE]:
        return None
    return named if sha256(program) == named["sha256"] else None


def _runnable(proc: Proc, pid: int) -> str:
    """A path under which the program of a process can be run by another user, or ""."""
    named, own = proc.executable(pid), proc.path(pid, "exe")
    with contextlib.suppress(OSError):
        # /proc/PID/exe is not for a user outside the process's user namespace.
        return named if os.path.samestat(os.stat(named), os.stat(own)) else own
    return own if named else ""


def _output(words: list[str], uid: int, gid: int) -> str:
    """What a program says within 10 seconds, at most 64 KiB, when it is run as a user with nothing of ours."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        # The host has no room for one more.
        os.close(reading)
        os.close(writing)
        return ""
    if not pid:
        _become(words, uid, gid, writing)
    os.close(writing)
    deadline = time.monotonic() + RUN_SECONDS
    content = b""
    with os.fdopen(reading, "rb", buffering=0) as stream, selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(content) < RUN_LIMIT and selector.select(max(0.0, deadline - time.monotonic())):
            block = stream.read(4096)
            if not block:
                break
            content += block
    # Its group too, as far as it has made one.
    for end in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError):
            end(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return content.decode("utf-8", "replace")


def _become(words: list[str], uid: int, gid: int, output: int) -> t.NoReturn:
    """Makes this process, which was forked for that, the program. What is open otherwise is closed by it."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number, stream in enumerate((null, output, null)):
            os.dup2(stream, number)
        os.chdir("/")
        # Without the right to change users, there is no user to keep out either.
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        os.execve(words[0], words, {"PATH": "/usr/bin:/bin"})
    finally:
        os._exit(127)

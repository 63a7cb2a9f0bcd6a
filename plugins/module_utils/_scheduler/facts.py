# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Declare the result types of scheduler_info, and validate a result against them.

This is the only place that declares the shape of a result. The validation and the JSON Schema of the
status document are derived from these types. Unit tests compare the module's RETURN with them.
"""

from __future__ import annotations

import math
import types
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import ProbeError

MAX_TEXT_LENGTH = 4000
MAX_LIST_LENGTH = 1000
MAX_NUMBER = 1e15
OTHER_DIGEST = "its digest belongs to another file set"
"""End of the drift reason of a unit that differs only because another file of the set differs."""
OTHER_ENTRIES = ("clusters differ", "contexts differ", "current-context differs")
"""Ends of the drift reasons of a kubeconfig that differs in more than its user."""
CERTIFICATE_PROBES: tuple[t.Literal["served"], t.Literal["used"]] = ("served", "used")
"""The fields of Probes that contain a certificate."""


class ElectionTimes(t.TypedDict):
    """The times of an election in seconds."""

    lease_duration: float
    renew_deadline: float
    retry_period: float


class Unit(t.TypedDict):
    """The unit as systemd reports it; all texts are empty on a host without systemd."""

    name: str
    load_state: str  # loaded, not-found, masked, …
    active_state: str
    sub_state: str
    enabled: str
    result: str
    restarts: int  # automatic restarts by systemd since the last start of the unit
    since: str
    active_seconds: float
    fragment_path: str
    drop_ins: list[str]  # paths of the drop-ins that apply only to this unit and change it
    set_aside: list[str]  # paths of the drop-ins whose settings were removed
    static_pod: str  # manifest from which kubelet runs the scheduler instead of the unit, or ""


class Process(t.TypedDict):
    """The main process of the unit and its settings.

    Without a process, `pid` is 0 and the other fields are empty, 0 or None. The fields `user`,
    `arguments`, `settings` and `environment` have values only for a unit that the role did not create.
    """

    pid: int
    version: str  # without a leading v
    digest: str  # of the file set, as the unit reports it
    lock: str  # "" if neither the process nor its version determines it
    lease_name: str
    lease_namespace: str
    bind_address: str
    secure_port: int  # 0 for none
    http_port: int  # 0 for none
    timings: ElectionTimes | None
    kubeconfig: str  # path, "" for none
    user: str  # owner of the process
    arguments: list[str]  # command line without the program
    settings: list[str]  # settings in its configuration as FIELD=JSON; empty if unreadable
    environment: list[str]  # names of the known variables that it reads from its environment


class Port(t.TypedDict):
    """The desired port and the process that listens on it."""

    number: int
    addresses: list[str]
    held_by: str  # "" for no process
    ours: bool


class Instance(t.TypedDict):
    """The resources of another instance on the host, from its process or else from its staged set."""

    unit: str
    ports: list[int]
    lease: str  # namespace/name, "" if not yet known
    schedulers: list[str]  # values of a pod's schedulerName that select this instance
    paths: list[str]


class Lease(t.TypedDict):
    """The lease as this host observes it: LeaseResult of `_kube/lease.py`, and the age of the renewal."""

    holder: str | None
    holder_identity: str | None
    state: str
    moving: bool
    source: str | None
    acquire_time: str | None
    renew_time: str | None
    lease_duration: int | None
    transitions: int | None
    elapsed: float
    age: float | None  # seconds by this host's clock; for display only, never for a decision


class Certificate(t.TypedDict):
    """A certificate that is served or used."""

    subject: str
    valid: bool  # now, by this host's clock
    serial_number: str
    not_before: str
    not_after: str
    days_left: int
    fingerprint_sha256: str


class HostCertificate(t.TypedDict):
    """A certificate in a file on the host."""

    path: str
    use: str  # pair: the key pair; client: of the kubeconfig; trust: a CA of the kubeconfig
    subject: str
    issuer: str
    usages: list[str]
    not_after: str
    fingerprint_sha256: str
    signed_by: list[str]  # fingerprints of the given CAs that signed it


class Probes(t.TypedDict):
    """The results of the probes; None if there is nothing to probe, or the probe failed."""

    served: Certificate | None
    used: Certificate | None
    used_loaded: bool | None  # whether the process has loaded `used`; None if not checked
    ready: int | None  # HTTP status, as in the following fields
    metrics_anonymous: int | None
    metrics_reader: int | None
    metrics_http: int | None


class Apiserver(t.TypedDict):
    """An apiserver whose version was queried over verified TLS."""

    server: str
    reachable: bool
    version: str | None
    error: str | None
    next_serves: bool | None  # whether the next CA issued its certificate; None if unknown
    next_accepted: bool | None  # whether it accepts a client certificate of the next CA


class Drift(t.TypedDict):
    """One difference between the host and its desired state."""

    part: str
    reason: str


class ModuleResult(t.TypedDict):
    """The result of the module scheduler_info on a host."""

    hostname: str
    architecture: str
    os_families: list[str]
    systemd_version: int
    python_version: str
    missing_libraries: list[str]
    time: float
    user_exists: bool
    installed: bool
    prepared: bool
    unsafe: list[str]  # why root must not write into one of the given directories, one line each
    stale: list[str]
    obstacles: list[str]
    apiserver: Apiserver | None
    apiservers: list[Apiserver]
    unit: Unit
    process: Process
    port: Port
    others: list[str]
    instances: list[Instance]  # the other instances of this role
    lease: Lease | None
    certificates: list[HostCertificate]  # only if CAs were given
    probes: Probes | None
    healthy: bool | None
    problems: list[str]
    not_checked: list[str]
    journal: list[str]
    drift: list[Drift]
    awaited: list[str]  # why an external CA must issue a certificate


class HostResult(ModuleResult):
    """The result of a host: the module's result and the fields that the action plugin adds."""

    clock_offset: float
    round_trip: float


def validate_module_result(value: t.Any) -> ModuleResult:
    """Return the documented keys of a module's result, at every depth; a host can be hostile.

    Each text becomes one line of limited length. Raises ProbeError, which names the first invalid key.
    """
    return t.cast(ModuleResult, _validate(value, ModuleResult, "result"))


def validate_host_result(value: t.Any) -> HostResult:
    """Return the documented keys of an action plugin's result, without the keys that Ansible adds."""
    return t.cast(HostResult, _validate(value, HostResult, "result"))


def _validate(value: t.Any, kind: t.Any, where: str) -> t.Any:
    # Before Python 3.14, X | None and Optional[X] have different types.
    if t.get_origin(kind) is t.Union or isinstance(kind, getattr(types, "UnionType", ())):
        return None if value is None else _validate(value, t.get_args(kind)[0], where)
    if t.get_origin(kind) is list:
        return _validate_list(value, t.get_args(kind)[0], where)
    if hasattr(kind, "__total__"):
        return _validate_mapping(value, kind, where)
    return _VALIDATORS[kind](value, where)


def _validate_list(value: t.Any, kind: t.Any, where: str) -> list[t.Any]:
    if not isinstance(value, list) or len(value) > MAX_LIST_LENGTH:
        raise ProbeError(f"{where} is not a list of at most {MAX_LIST_LENGTH} elements")
    return [_validate(element, kind, f"{where}[{index}]") for index, element in enumerate(value)]


def _validate_mapping(value: t.Any, kind: t.Any, where: str) -> dict[str, t.Any]:
    if not isinstance(value, t.Mapping):
        raise ProbeError(f"{where} is not a mapping")
    hints = t.get_type_hints(kind)
    missing = [name for name in hints if name not in value]
    if missing:
        raise ProbeError(f"{where} has no {missing[0]}")
    return {name: _validate(value[name], hint, f"{where}.{name}") for name, hint in hints.items()}


def _validate_text(value: t.Any, where: str) -> str:
    if not isinstance(value, str):
        raise ProbeError(f"{where} is not text")
    return "".join(char if char.isprintable() else " " for char in value[:MAX_TEXT_LENGTH])


def _validate_bool(value: t.Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ProbeError(f"{where} is neither true nor false")
    return value


def _validate_int(value: t.Any, where: str) -> int:
    # In Python, a bool is an int.
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_NUMBER:
        raise ProbeError(f"{where} is not an integer in range")
    return int(value)


def _validate_float(value: t.Any, where: str) -> float:
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= MAX_NUMBER:
        return float(value)
    if isinstance(value, float):
        raise ProbeError(f"{where} is not a finite number in range")
    return float(_validate_int(value, where))


_VALIDATORS: dict[t.Any, t.Callable[[t.Any, str], t.Any]] = {
    str: _validate_text,
    bool: _validate_bool,
    int: _validate_int,
    float: _validate_float,
}

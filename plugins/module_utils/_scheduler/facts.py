# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Declare the result types of scheduler_info, and validate a result against these types.

The validation and the JSON Schema of the status document are derived from these types. Unit tests
compare the RETURN of the module with these types.
"""

from __future__ import annotations

import json
import math
import types
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import ProbeError

MAX_TEXT_LENGTH = 4000
MAX_LIST_LENGTH = 1000
# The maximum lengths of all lines as JSON. With 100 certificates and the other fields, a result
# stays below the maximum size that the controller accepts.
MAX_SETTINGS_LENGTH = 32 << 10
MAX_JOURNAL_LENGTH = 16 << 10
MAX_DIFF_LENGTH = 64 << 10
"""Maximum length of all diffs of one result."""
MAX_NUMBER = 1e15
OTHER_DIGEST = "its digest belongs to another file set"
"""End of the drift reason of a unit whose only difference is the digest of the file set."""
OTHER_ENTRIES = ("clusters differ", "contexts differ", "current-context differs")
"""Ends of the drift reasons of a kubeconfig that differs in more than the user."""
CERTIFICATE_PROBES: tuple[t.Literal["served"], t.Literal["used"]] = ("served", "used")
"""The fields of Probes that contain a certificate."""


class ElectionTimes(t.TypedDict):
    """The times of an election in seconds."""

    lease_duration: float
    renew_deadline: float
    retry_period: float


class Unit(t.TypedDict):
    """The unit as systemd reports it. On a host without systemd, all texts are empty."""

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
    drop_in_settings: list[str]  # names of the settings in these drop-ins, such as Nice
    set_aside: list[str]  # paths of the drop-ins whose settings were removed
    static_pod: str  # path of the manifest if kubelet runs the scheduler, otherwise ""


class Process(t.TypedDict):
    """The main process of the unit, and the settings of the process.

    If there is no process, `pid` is 0, and the other fields are empty, 0 or None. If the role
    created the unit, the fields `user`, `arguments`, `settings` and `environment` are empty.
    """

    pid: int
    version: str  # version without a leading v
    digest: str  # digest of the file set in the environment of the unit
    lock: str  # lock type, "" if unknown
    lease_name: str
    lease_namespace: str
    bind_address: str
    secure_port: int  # 0 if there is no HTTPS port
    http_port: int  # 0 if there is no HTTP port
    timings: ElectionTimes | None
    kubeconfig: str  # path of the kubeconfig, "" if there is none
    user: str  # user that owns the process
    arguments: list[str]  # command line of the process without the program
    settings: list[str]  # fields of the configuration as FIELD=JSON; empty if unreadable
    environment: list[str]  # names of the environment variables that affect the process


class Port(t.TypedDict):
    """The desired port and the process that listens on it."""

    number: int
    addresses: list[str]
    held_by: str  # process that listens on the port, "" if there is none
    ours: bool


class Instance(t.TypedDict):
    """The resources of another instance on the host, from its process or its staged set."""

    unit: str
    ports: list[int]
    lease: str  # NAMESPACE/NAME of the lease, "" if unknown
    schedulers: list[str]  # values of a pod's schedulerName that select this instance
    paths: list[str]


class Lease(t.TypedDict):
    """The lease as this host observes it: LeaseResult of `_kube/lease.py` and the field `age`."""

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
    age: float | None  # seconds since the renewal by the clock of this host; for display only


class Certificate(t.TypedDict):
    """A certificate that the process serves, or uses at the apiserver."""

    subject: str
    valid: bool  # whether it is valid now by the clock of this host
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
    signed_by: list[str]  # fingerprints of those configured CAs that signed the certificate


class Probes(t.TypedDict):
    """The results of the probes. None means that a probe failed or did not run."""

    served: Certificate | None
    used: Certificate | None
    used_loaded: bool | None  # whether the process has loaded `used`; None if not checked
    ready: int | None  # HTTP status, like the metrics fields below
    metrics_anonymous: int | None
    metrics_reader: int | None
    metrics_http: int | None


class Apiserver(t.TypedDict):
    """The result of a version query to an apiserver over verified TLS."""

    server: str
    reachable: bool
    version: str | None
    error: str | None
    next_serves: bool | None  # whether the next CA issued the serving certificate; None if unknown
    next_accepted: bool | None  # whether the apiserver accepts a certificate of the next CA


class UnsafePath(t.TypedDict):
    """A directory or link with which a user other than root can redirect a path of the role."""

    path: str
    reason: str  # one clause with the path, such as "'/etc/kubernetes' belongs to k8s"
    is_link: bool
    can_take: bool  # whether the role can give the directory to root


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
    python_path: str
    python_packaged: bool  # whether packages of the distribution are for this Python
    missing_libraries: list[str]
    time: float
    user_exists: bool
    installed: bool
    prepared: bool
    restorable: bool  # whether a rollback restores the scheduler of another installer
    unsafe: list[UnsafePath]  # directories and links in the paths that root writes
    stale: list[str]
    obstacles: list[str]
    apiserver: Apiserver | None
    apiservers: list[Apiserver]
    unit: Unit
    process: Process
    port: Port
    others: list[str]
    instances: list[Instance]  # other instances of the role on the host
    lease: Lease | None
    certificates: list[HostCertificate]  # empty if no CA is configured
    probes: Probes | None
    healthy: bool | None
    problems: list[str]
    not_checked: list[str]
    journal: list[str]
    drift: list[Drift]
    awaited: list[str]  # reasons why an external CA must issue a certificate


class HostResult(ModuleResult):
    """The result of the module and the fields that the action plugin adds."""

    clock_offset: float
    round_trip: float


class Handover(t.TypedDict):
    """A handover that scheduler_fileset observed."""

    holder: str
    seconds: float
    released: bool
    transitions: int


class ReceivedFilesetResult(t.TypedDict, total=False):
    """The fields of a result of scheduler_fileset on which steps of the controller rely."""

    done: list[str]
    digest: str
    pending: list[str]
    reasons: list[str]
    handover: Handover | None
    original: bool
    version: str
    not_after: str
    dry_run: bool | None


def validate_module_result(value: t.Any) -> ModuleResult:
    """Return the documented keys of a module result, at every depth.

    A result is not trusted. Each text becomes one line of limited length. Raises ProbeError with
    the name of the first invalid key.
    """
    return t.cast(ModuleResult, _validate(value, ModuleResult, "result"))


def validate_host_result(value: t.Any) -> HostResult:
    """Return the documented keys of an action plugin result, without the keys of Ansible."""
    return t.cast(HostResult, _validate(value, HostResult, "result"))


def validate_fileset_result(value: t.Mapping[str, t.Any]) -> ReceivedFilesetResult:
    """Return the known fields that a result of scheduler_fileset contains. Raises ProbeError."""
    return t.cast(ReceivedFilesetResult, _validate(value, ReceivedFilesetResult, "result"))


def _validate(value: t.Any, kind: t.Any, where: str) -> t.Any:
    # In Python before 3.14, X | None and Optional[X] have different types.
    if t.get_origin(kind) is t.Union or isinstance(kind, getattr(types, "UnionType", ())):
        return None if value is None else _validate(value, t.get_args(kind)[0], where)
    if t.get_origin(kind) is list:
        return _validate_list(value, t.get_args(kind)[0], where)
    if hasattr(kind, "__total__"):
        return _validate_mapping(value, kind, where)
    return _VALIDATORS[kind](value, where)


def json_length(text: str) -> int:
    """Return the length of a text as JSON, which writes up to twelve characters for one."""
    return len(json.dumps(text))


def _validate_list(value: t.Any, kind: t.Any, where: str) -> list[t.Any]:
    if not isinstance(value, list) or len(value) > MAX_LIST_LENGTH:
        raise ProbeError(f"{where} is not a list of at most {MAX_LIST_LENGTH} elements")
    return [_validate(element, kind, f"{where}[{index}]") for index, element in enumerate(value)]


def _validate_mapping(value: t.Any, kind: t.Any, where: str) -> dict[str, t.Any]:
    if not isinstance(value, t.Mapping):
        raise ProbeError(f"{where} is not a mapping")
    hints = t.get_type_hints(kind)
    missing = [name for name in hints if name not in value]
    if missing and kind.__total__:
        raise ProbeError(f"{where} has no {missing[0]}")
    return {
        name: _validate(value[name], hint, f"{where}.{name}")
        for name, hint in hints.items()
        if name in value
    }


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
        raise ProbeError(f"{where} is not an integer from -1e15 to 1e15")
    return int(value)


def _validate_float(value: t.Any, where: str) -> float:
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= MAX_NUMBER:
        return float(value)
    if isinstance(value, float):
        raise ProbeError(f"{where} is not a number from -1e15 to 1e15")
    return float(_validate_int(value, where))


_VALIDATORS: dict[t.Any, t.Callable[[t.Any, str], t.Any]] = {
    str: _validate_text,
    bool: _validate_bool,
    int: _validate_int,
    float: _validate_float,
}

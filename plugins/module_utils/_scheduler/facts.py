# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The shapes of scheduler_info's answer, and the check that an answer has them: a host may be hostile."""

from __future__ import annotations

import math
import types
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import ProbeError

LONGEST_TEXT = 4000
LONGEST_LIST = 1000
OTHER_DIGEST = "its digest is of another set of files"
"""How the drift of a unit ends that differs only because another file of the set does."""
OTHER_ENTRIES = ("clusters differ", "contexts differ", "current-context differs")
"""How the drift of a kubeconfig ends that differs in more than its user."""


class Timings(t.TypedDict):
    """The times of an election in seconds."""

    lease_duration: float
    renew_deadline: float
    retry_period: float


class Unit(t.TypedDict):
    """What systemd says of the unit; all texts are empty on a host without systemd."""

    name: str
    load_state: str  # loaded, not-found, masked, …
    active_state: str
    sub_state: str
    enabled: str
    result: str
    restarts: int  # by systemd itself, since the unit was started last
    since: str
    active_seconds: float
    fragment_path: str
    drop_ins: list[str]  # paths of the drop-ins that are for this unit alone, and change it
    set_aside: list[str]  # paths of those whose settings were taken away
    static_pod: str  # path of the manifest by which kubelet runs the scheduler in the place of the unit, "" for none


class Process(t.TypedDict):
    """The unit's main process, and what it was told; without one, C(pid) is 0 and the rest is empty, 0 or None."""

    pid: int
    version: str  # without a leading v
    digest: str  # of the set of files that its unit claims
    lock: str  # "" where neither the process nor its version tells
    lease_name: str
    lease_namespace: str
    bind_address: str
    secure_port: int  # 0 for none
    http_port: int  # 0 for none
    timings: Timings | None
    kubeconfig: str  # path, "" for none
    user: str  # whose process it is, where its unit is not this role's
    arguments: list[str]  # its command line without the program, where its unit is not this role's
    settings: list[
        str
    ]  # what its configuration sets then, as FIELD=JSON; empty where that cannot be read
    environment: list[
        str
    ]  # names of variables that it reads in its environment, as far as they are known


class Port(t.TypedDict):
    """Who listens on the port that is wanted."""

    number: int
    addresses: list[str]
    held_by: str  # "" where nobody does
    ours: bool


class Instance(t.TypedDict):
    """What a scheduler of this role has for itself alone on its host. One that runs tells; of any other its staged set does."""

    unit: str
    ports: list[int]
    lease: str  # namespace/name, "" where nothing is known of it yet
    schedulers: list[str]  # the names in whose pods' specs it is chosen
    paths: list[str]


class Lease(t.TypedDict):
    """The election record as this host sees it: _kube/lease.py's LeaseResult, and the age of the renewal."""

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
    age: float | None  # seconds by this host's clock: for a person to read, never to decide by


class Certificate(t.TypedDict):
    """A certificate that is served or used."""

    subject: str
    valid: bool  # by this host's clock, now
    serial_number: str
    not_before: str
    not_after: str
    days_left: int
    fingerprint_sha256: str


class File(t.TypedDict):
    """A certificate that lies on the host."""

    path: str
    use: str  # pair: of the scheduler's own pair; client: what the kubeconfig names; trust: a CA that the kubeconfig trusts
    subject: str
    issuer: str
    usages: list[str]
    not_after: str
    fingerprint_sha256: str
    signed_by: list[str]  # fingerprints of those of the CAs in question that signed it


class Probes(t.TypedDict):
    """What the process showed; None where there is nothing, or it could not be had."""

    served: Certificate | None
    used: Certificate | None
    used_loaded: (
        bool | None
    )  # whether its log tells that it took what is used since the file was replaced; None where that was not in question
    ready: int | None  # HTTP status, as the following
    metrics_anonymous: int | None
    metrics_reader: int | None
    metrics_http: int | None


class Apiserver(t.TypedDict):
    """An apiserver that was asked for its version over verified TLS."""

    server: str
    reachable: bool
    version: str | None
    error: str | None
    next_serves: (
        bool | None
    )  # whether its certificate is of the next CA; None where that was not asked, or cannot be told
    next_accepted: bool | None  # whether it accepts a client certificate of the next CA


class Drift(t.TypedDict):
    """One thing in which the host differs from what is wanted."""

    part: str
    reason: str


class Answer(t.TypedDict):
    """The answer of scheduler_info's module."""

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
    unsafe: list[
        str
    ]  # why root should write nothing into a directory that was asked about, one line each
    stale: list[str]
    obstacles: list[str]
    apiserver: Apiserver | None
    apiservers: list[Apiserver]
    unit: Unit
    process: Process
    port: Port
    others: list[str]
    instances: list[Instance]  # the other ones of this role
    lease: Lease | None
    certificates: list[File]  # only where it was asked who signed them
    probes: Probes | None
    healthy: bool | None
    problems: list[str]
    not_checked: list[str]
    journal: list[str]
    drift: list[Drift]
    awaited: list[str]  # why somebody else's CA has to issue a certificate


class Reported(Answer):
    """The answer with what the action plugin of scheduler_info adds."""

    clock_offset: float
    round_trip: float


def checked(answer: t.Any) -> Answer:
    """An answer with the documented keys only, at every depth, each of its type; texts are one line of bounded length.

    Raises ProbeError, which names the first key that is not as it has to be.
    """
    return t.cast(Answer, _checked(answer, Answer, "answer"))


def reported(answer: t.Any) -> Reported:
    """The same of what the action plugin has returned: of plain types, without what Ansible adds to a result."""
    return t.cast(Reported, _checked(answer, Reported, "answer"))


def _checked(value: t.Any, kind: t.Any, where: str) -> t.Any:
    # Written with | it is of another kind, before Python 3.14.
    if t.get_origin(kind) is t.Union or isinstance(kind, getattr(types, "UnionType", ())):
        return None if value is None else _checked(value, t.get_args(kind)[0], where)
    if t.get_origin(kind) is list:
        if not isinstance(value, list) or len(value) > LONGEST_LIST:
            raise ProbeError(f"{where} is not a list of at most {LONGEST_LIST}")
        (element,) = t.get_args(kind)
        return [
            _checked(entry, element, f"{where}[{number}]") for number, entry in enumerate(value)
        ]
    if hasattr(kind, "__total__"):
        if not isinstance(value, t.Mapping):
            raise ProbeError(f"{where} is not a mapping")
        hints = t.get_type_hints(kind)
        lacking = [name for name in hints if name not in value]
        if lacking:
            raise ProbeError(f"{where} has no {lacking[0]}")
        return {
            name: _checked(value[name], hint, f"{where}.{name}") for name, hint in hints.items()
        }
    if kind is str:
        if not isinstance(value, str):
            raise ProbeError(f"{where} is not a text")
        return "".join(char if char.isprintable() else " " for char in value[:LONGEST_TEXT])
    if kind is bool:
        if not isinstance(value, bool):
            raise ProbeError(f"{where} is neither true nor false")
        return value
    # A bool is an int to Python, and JSON has no other numbers.
    numbers = (int, float) if kind is float else (int,)
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers)
        or not math.isfinite(value)
        or abs(value) > 1e15
    ):
        raise ProbeError(f"{where} is not a number")
    return kind(value)

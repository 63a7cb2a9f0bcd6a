# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Probe a scheduler's process: the certificates that it serves and uses, its ports, and its lease."""

from __future__ import annotations

import contextlib
import http.client
import importlib.machinery
import ssl
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    credentials as _credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    versions as _versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    LEASE_ACCESS_ERRORS,
    record_readers,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import effective
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import CHECK_NAMES

PROBE_TIMEOUT_S = 5.0
MIN_LEASE_WAIT_S = 6.0
"""Minimum time in which a lease must move."""
MAX_LEASE_WAIT_S = 300.0
"""Maximum time, because a process can have any election times."""
# Each look is a TLS handshake for an apiserver, and all hosts look at once.
LEASE_INTERVAL_S = 0.1
# A process that listens on all IPv6 addresses has the IPv4 ones too, and its certificate names 127.0.0.1 but not ::1.
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}


@dataclass(frozen=True)
class ProbedProcess:
    """The process to probe, and what the probes need."""

    process: facts.Process
    serving: _versions.Serving
    sources: tuple[
        tuple[str, ...], ...
    ]  # where the record of its lock lies: groups of which each is read by itself
    kubeconfig: t.Callable[[], str]  # the path of what the process itself reads; raises ProbeError
    serving_ca: str | None
    metrics_pair: tuple[str, str] | None
    http_ours: bool  # whether the process itself holds its HTTP port
    listening: t.Collection[str]  # the addresses at which anything listens on its HTTPS port

    @property
    def address(self) -> str:
        """Return its address on this host. Raises ProbeError for an address of another host."""
        bound = LOOPBACK.get(self.process["bind_address"], self.process["bind_address"])
        if bound not in self.listening and not transport.is_loopback(bound):
            raise ProbeError(
                f"nothing listens at {bound} on port {self.process['secure_port']} of this host"
            )
        return bound


def is_installed(library: str) -> bool:
    """Check that a Python library is installed, by the module paths only.

    An importer that another tool adds can claim to find any name.
    """
    return importlib.machinery.PathFinder.find_spec(library) is not None


def describe_certificate(pem: str) -> facts.Certificate:
    """Describe a certificate by this host's clock. Raises ProbeError if it cannot be read."""
    if not is_installed("cryptography"):
        raise ProbeError("it cannot be read, for python3-cryptography is not installed")
    # The library takes longer to import than all else that a question without probes needs.
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (  # noqa: PLC0415
        parse_certificates,
        read_identity,
        read_validity,
    )

    certificate = next(iter(parse_certificates(pem.encode("ascii", "replace"))), None)
    if certificate is None:
        raise ProbeError("it cannot be parsed")
    now = datetime.now(timezone.utc)
    begins, ends = read_validity(certificate)
    return t.cast(
        facts.Certificate,
        {
            "subject": certificate.subject.rfc4514_string(),
            "valid": begins <= now < ends,
            **read_identity(certificate, now),
        },
    )


# --- the probes: each returns what it saw, None where there is nothing to see


def _served(subject: ProbedProcess) -> facts.Certificate | None:
    if not subject.process["secure_port"]:
        return None
    der = _client.read_peer_certificate(
        subject.address, subject.process["secure_port"], PROBE_TIMEOUT_S
    )
    return describe_certificate(ssl.DER_cert_to_PEM_cert(der))


def _used(subject: ProbedProcess) -> facts.Certificate | None:
    pair = _credentials.load_credentials(subject.kubeconfig()).client_pem
    return describe_certificate(pair[0]) if pair else None


def _https(subject: ProbedProcess, path: str, pair: tuple[str, str] | None = None) -> int:
    return _client.https_get(
        subject.address,
        subject.process["secure_port"],
        path,
        ca_pem=subject.serving_ca,
        client_pem=pair,
        timeout=PROBE_TIMEOUT_S,
    ).status


def _http(subject: ProbedProcess, path: str) -> int:
    """Return the status of the plain HTTP port, which the role binds to the loopback address."""
    port = subject.process["http_port"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"http://127.0.0.1:{port}{path}: {error}") from None
    finally:
        connection.close()


def _ready(subject: ProbedProcess) -> int | None:
    over_http = subject.serving["ready_port"] == "http"
    if not subject.process["http_port" if over_http else "secure_port"]:
        return None
    return (_http if over_http else _https)(subject, subject.serving["ready_path"])


def _anonymous(subject: ProbedProcess) -> int | None:
    return _https(subject, "/metrics") if subject.process["secure_port"] else None


def _reader(subject: ProbedProcess) -> int | None:
    pair = subject.metrics_pair
    return _https(subject, "/metrics", pair) if pair and subject.process["secure_port"] else None


def _metrics_http(subject: ProbedProcess) -> int | None:
    return (
        _http(subject, "/metrics") if subject.process["http_port"] and subject.http_ours else None
    )


def _told(subject: ProbedProcess) -> effective.Responses:
    """Read the settings in use with the metrics client; {} if the process does not respond."""
    pair, port = subject.metrics_pair, subject.process["secure_port"]
    found: dict[str, tuple[int, bytes]] = {}
    if pair and port:
        with contextlib.suppress(*LEASE_ACCESS_ERRORS):
            context = transport.tls_context(subject.serving_ca, pair)
            with contextlib.closing(
                transport.Connection(subject.address, port, context)
            ) as connection:
                for path in effective.SETTINGS_PATHS:
                    answer = connection.get(path, where=path, timeout=PROBE_TIMEOUT_S)
                    found[path] = answer.status, answer.body
    return found


PROBES: dict[str, t.Callable[[ProbedProcess], t.Any]] = {
    "served": _served,
    "used": _used,
    "ready": _ready,
    "metrics_anonymous": _anonymous,
    "metrics_reader": _reader,
    "metrics_http": _metrics_http,
}


class ProbeResults(t.NamedTuple):
    """The results of the probes, and their errors as sentences."""

    probes: facts.Probes
    lease: _lease.LeaseObservation | None
    settings: effective.Responses
    faults: list[str]


def run_probes(subject: ProbedProcess, before: _lease.LeaseRecord | None) -> ProbeResults:
    """Run all probes at once, and read the lease and the settings in use."""
    questions: dict[str, t.Callable[[], t.Any]] = {
        **{name: (lambda probe=probe: probe(subject)) for name, probe in PROBES.items()},  # type: ignore[misc]
        "lease": lambda: watch_lease(subject, before),
        "settings": lambda: _told(subject),
    }
    faults = []
    found = {}
    with ThreadPoolExecutor(len(questions)) as pool:
        asked = {name: pool.submit(question) for name, question in questions.items()}
    for name, answer in asked.items():
        error = answer.exception()
        if error is not None and not isinstance(error, LEASE_ACCESS_ERRORS):
            raise error
        found[name] = None if error else answer.result()
        faults += [f"{CHECK_NAMES[name]}: {error}"] if error else []
    view, settings = found.pop("lease"), found.pop("settings")
    return ProbeResults(t.cast(facts.Probes, found), view, settings or {}, faults)


# --- the lease


def _readers(
    subject: ProbedProcess, client: _client.Client
) -> list[t.Callable[[], _lease.LeaseRecord | None]]:
    return record_readers(
        client, subject.process["lease_namespace"], subject.process["lease_name"], subject.sources
    )


def _comparable(
    subject: ProbedProcess, before: _lease.LeaseRecord | None
) -> _lease.LeaseRecord | None:
    """Return the record to compare with.

    With two objects, an absent record is unknown for each of them.
    """
    return before if before is not _lease.NO_RECORD or len(subject.sources) == 1 else None


def read_lease_once(
    subject: ProbedProcess, before: _lease.LeaseRecord | None
) -> _lease.LeaseObservation:
    """Read the record once, from the object that was written last.

    Raises KubeError, LeaseError and ProbeError.
    """
    before = _comparable(subject, before)
    with _client.load_client(subject.kubeconfig(), timeout=PROBE_TIMEOUT_S) as client:
        views = [
            _lease.observe(read, timeout=0, before=before)[0] for read in _readers(subject, client)
        ]
    return max(
        views, key=lambda view: (view.moving, (view.record and view.record.renew_time) or "")
    )


def watch_lease(
    subject: ProbedProcess, before: _lease.LeaseRecord | None
) -> _lease.LeaseObservation:
    """Observe the record until it moves, or until a live leader would have renewed it.

    Raises KubeError, LeaseError and ProbeError.
    """
    views = []
    before = _comparable(subject, before)
    with _client.load_client(subject.kubeconfig(), timeout=PROBE_TIMEOUT_S) as client:
        for read in _readers(subject, client):
            first = before or read() or _lease.NO_RECORD
            views.append(
                _lease.observe(
                    read,
                    timeout=compute_lease_wait(subject, first),
                    interval=LEASE_INTERVAL_S,
                    before=first,
                )[0]
            )
            if views[-1].moving:
                break
    return next((view for view in views if view.moving), views[0])


def compute_lease_wait(subject: ProbedProcess, record: _lease.LeaseRecord | None) -> float:
    """Return the time in seconds within which a live leader renews.

    The leader can have longer times than this process, by the duration of its lease.
    """
    told = subject.process["timings"]
    if told is None:
        return MIN_LEASE_WAIT_S
    own = ElectionTimings(**told)
    ratio = (record.lease_duration if record else 0) / own.lease_duration
    return min(MAX_LEASE_WAIT_S, max(MIN_LEASE_WAIT_S, own.renewal_timeout * max(1.0, ratio)))


def describe_lease(view: _lease.LeaseObservation) -> facts.Lease:
    """Return the lease for the result."""
    return facts.Lease(
        **_lease.to_lease_result(view),
        age=compute_renewal_age(view.record.renew_time if view.record else None),
    )


def compute_renewal_age(renew_time: str | None) -> float | None:
    """Return the seconds since a renewal by this host's clock; None for an invalid time."""
    try:
        renewed = datetime.strptime(
            (renew_time or "").split(".", maxsplit=1)[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"
        )
    except ValueError:
        return None
    return round(time.time() - renewed.replace(tzinfo=timezone.utc).timestamp(), 1)


def parse_record(described: t.Any) -> _lease.LeaseRecord | None:
    """Return the record in the lease of an earlier result; ABSENT for no record, None if invalid."""
    if not isinstance(described, dict):
        return None
    if described.get("state") == "absent":
        return _lease.NO_RECORD
    source, identity = described.get("source"), described.get("holder_identity")
    texts = [described.get(name) for name in ("acquire_time", "renew_time")]
    numbers = [described.get(name) for name in ("lease_duration", "transitions")]
    if not all(text is None or isinstance(text, str) for text in [*texts, identity]):
        return None
    if (
        not isinstance(source, str)
        or source not in _lease.RECORD_SOURCES
        or not all(isinstance(n, int) for n in numbers)
    ):
        return None
    return _lease.LeaseRecord(
        identity=identity or "",
        lease_duration=t.cast(int, numbers[0]),
        acquire_time=texts[0],
        renew_time=texts[1],
        transitions=t.cast(int, numbers[1]),
        source=source,
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Probe the certificates, ports and settings of a scheduler process."""

from __future__ import annotations

import contextlib
import ssl
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    LibraryError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.client import (
    http_get,
    https_get,
    read_peer_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import (
    LeaseObservation,
    LeaseRecord,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.transport import (
    Connection,
    tls_context,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._libraries import (
    describe_missing,
    this_interpreter,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    LEASE_ACCESS_ERRORS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.effective import (
    SETTINGS_PATHS,
    Responses,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.host_facts import (
    is_installed,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.lease_observation import (
    watch_lease,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.probed_process import (
    PROBE_TIMEOUT_S,
    ProbedProcess,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import CHECK_NAMES


class ProbeResults(t.NamedTuple):
    """The results of the probes, and one line for each error."""

    probes: facts.Probes
    lease: LeaseObservation | None
    settings_in_use: Responses
    errors: list[str]


def run_probes(probed: ProbedProcess, previous: LeaseRecord | None) -> ProbeResults:
    """Run all probes in parallel, and read the lease and the settings in use."""
    tasks: dict[str, t.Callable[[], t.Any]] = {
        **{name: partial(probe, probed) for name, probe in PROBES.items()},
        "lease": partial(watch_lease, probed, previous),
        "settings": partial(_read_settings_in_use, probed),
    }
    results = {}
    errors = []
    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = {name: pool.submit(task) for name, task in tasks.items()}
    for name, future in futures.items():
        error = future.exception()
        if error is not None and not isinstance(error, LEASE_ACCESS_ERRORS):
            raise error
        results[name] = None if error else future.result()
        errors += [f"{CHECK_NAMES[name]}: {error}"] if error else []
    observation, settings_in_use = results.pop("lease"), results.pop("settings")
    return ProbeResults(t.cast(facts.Probes, results), observation, settings_in_use or {}, errors)


def describe_certificate(pem: str) -> facts.Certificate:
    """Describe a certificate by this host's clock.

    Raises ProbeError if the certificate cannot be read.
    """
    if not is_installed("cryptography"):
        problem = describe_missing("cryptography", this_interpreter())
        raise ProbeError(f"the certificate cannot be read: {problem}")
    # This import takes longer than a whole query without probes.
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (  # noqa: PLC0415
        format_subject,
        parse_certificates,
        read_identity,
        read_validity,
    )

    try:
        certificate = next(iter(parse_certificates(pem.encode("ascii", "replace"))), None)
    except LibraryError as error:
        raise ProbeError(f"the certificate cannot be read: {error}") from None
    if certificate is None:
        raise ProbeError("the certificate cannot be parsed; replace it")
    now = datetime.now(timezone.utc)
    begins, ends = read_validity(certificate)
    return t.cast(
        facts.Certificate,
        {
            "subject": format_subject(certificate),
            "valid": begins <= now < ends,
            **read_identity(certificate, now),
        },
    )


# Each probe returns None if the scheduler does not have the probed feature.


def _read_served_certificate(probed: ProbedProcess) -> facts.Certificate | None:
    port = probed.process["secure_port"]
    if not port:
        return None
    der = read_peer_certificate(probed.address, port, PROBE_TIMEOUT_S)
    return describe_certificate(ssl.DER_cert_to_PEM_cert(der))


def _read_used_certificate(probed: ProbedProcess) -> facts.Certificate | None:
    pair = probed.credentials.client_pem
    return describe_certificate(pair[0]) if pair else None


def _probe_readiness(probed: ProbedProcess) -> int | None:
    is_http = probed.serving["ready_port"] == "http"
    if not probed.process["http_port" if is_http else "secure_port"]:
        return None
    return (_http_status if is_http else _https_status)(probed, probed.serving["ready_path"])


def _probe_metrics_anonymously(probed: ProbedProcess) -> int | None:
    return _https_status(probed, "/metrics") if probed.process["secure_port"] else None


def _probe_metrics_as_reader(probed: ProbedProcess) -> int | None:
    pair = probed.metrics_pair
    if not pair or not probed.process["secure_port"]:
        return None
    return _https_status(probed, "/metrics", pair)


def _probe_metrics_over_http(probed: ProbedProcess) -> int | None:
    if not probed.process["http_port"] or not probed.holds_http_port:
        return None
    return _http_status(probed, "/metrics")


def _https_status(probed: ProbedProcess, path: str, pair: tuple[str, str] | None = None) -> int:
    return https_get(
        probed.address,
        probed.process["secure_port"],
        path,
        ca_pem=probed.serving_ca,
        client_pem=pair,
        timeout=PROBE_TIMEOUT_S,
    ).status


def _http_status(probed: ProbedProcess, path: str) -> int:
    """Return the HTTP status of an `http://` URL at the loopback address."""
    port = probed.process["http_port"]
    return http_get("127.0.0.1", port, path, timeout=PROBE_TIMEOUT_S).status


def _read_settings_in_use(probed: ProbedProcess) -> Responses:
    """Read the settings in use with the metrics client.

    Return the responses before the first error.
    """
    pair, port = probed.metrics_pair, probed.process["secure_port"]
    responses: dict[str, tuple[int, bytes]] = {}
    if not pair or not port:
        return responses
    with contextlib.suppress(*LEASE_ACCESS_ERRORS):
        context = tls_context(probed.serving_ca, pair)
        with contextlib.closing(Connection(probed.address, port, context)) as connection:
            for path in SETTINGS_PATHS:
                response = connection.get(path, where=path, timeout=PROBE_TIMEOUT_S)
                responses[path] = response.status, response.body
    return responses


PROBES: dict[str, t.Callable[[ProbedProcess], t.Any]] = {
    "served": _read_served_certificate,
    "used": _read_used_certificate,
    "ready": _probe_readiness,
    "metrics_anonymous": _probe_metrics_anonymously,
    "metrics_reader": _probe_metrics_as_reader,
    "metrics_http": _probe_metrics_over_http,
}

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Evaluate the health of a host from the result of its query.

A scheduler with expired certificates is `active (running)` and returns 200 on /healthz. A host is
healthy only if `evaluate_health` returns no problem.
"""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import CHECK_NAMES

EXPECTED_STATUSES: dict[
    t.Literal["ready", "metrics_anonymous", "metrics_reader"], tuple[int, ...]
] = {
    "ready": (200,),
    "metrics_anonymous": (401, 403),
    "metrics_reader": (200,),
}
# These checks do not apply to a scheduler of another installer, which can have other settings.
SERVING_CHECKS = tuple(
    CHECK_NAMES[name] for name in CHECK_NAMES if name not in ("used", "lease", "settings")
)


class Observation(t.TypedDict):
    """The fields of the result of scheduler_info that the evaluation uses."""

    unit: facts.Unit
    process: facts.Process
    port: facts.Port
    others: list[str]
    probes: facts.Probes
    lease: facts.Lease | None
    certificates: list[facts.HostCertificate]


def evaluate_health(
    observed: Observation,
    probe_errors: t.Sequence[str] = (),
    *,
    steady: float = 0.0,
    reloaded: bool = False,
) -> list[str]:
    """Return the health problems of a host, one line per problem.

    `steady` is the time in seconds for which the unit must have been active without a restart by
    systemd; with 0, neither is checked. `reloaded` requires that the process serves and uses the
    live key pair. For a scheduler that this role did not create, only the lease and the client
    certificate are evaluated.
    """
    port = observed["port"]
    problems = [
        f"another kube-scheduler runs on this host: {other}" for other in observed["others"]
    ]
    problems += _unit_problems(observed, steady)
    if port["held_by"] and not port["ours"]:
        problems.append(f"port {port['number']} is in use by {port['held_by']}")
    if not observed["process"]["pid"]:
        return problems
    is_ours = bool(observed["process"]["digest"])
    problems += _certificate_problems(observed["probes"], is_ours)
    if is_ours:
        problems += _status_problems(observed["probes"])
    problems += _lease_problems(observed["lease"])
    if reloaded:
        problems += _reload_problems(observed)
    return problems + [
        error for error in probe_errors if is_ours or not error.startswith(SERVING_CHECKS)
    ]


def _unit_problems(observed: Observation, steady: float) -> list[str]:  # noqa: PLR0911 - a flat list of rules
    unit = observed["unit"]
    name = unit["name"]
    if unit["static_pod"]:
        is_running = bool(observed["process"]["pid"])
        return [] if is_running else [f"the static pod {unit['static_pod']} does not run"]
    if unit["load_state"] == "masked":
        return [f"{name} is masked, so it cannot start"]
    if unit["load_state"] != "loaded":
        return [f"{name} is not installed"]
    if unit["active_state"] != "active":
        return [f"{name} is {unit['active_state']} ({unit['sub_state']}, result {unit['result']})"]
    if unit["enabled"] != "enabled":
        return [f"{name} is not enabled, so it does not start after a reboot"]
    if steady and unit["restarts"]:
        return [f"systemd restarted {name} after it exited (restarts: {unit['restarts']})"]
    if unit["active_seconds"] < steady:
        return [f"{name} has been active for {unit['active_seconds']:g} s, expected {steady:g} s"]
    return []


def _certificate_problems(probes: facts.Probes, is_ours: bool) -> t.Iterator[str]:
    for name in facts.CERTIFICATE_PROBES:
        certificate = probes[name]
        if certificate is None or certificate["valid"]:
            continue
        if is_ours or CHECK_NAMES[name] not in SERVING_CHECKS:
            yield f"{CHECK_NAMES[name]} {_describe_invalidity(certificate)}"


def _describe_invalidity(certificate: facts.Certificate) -> str:
    identity = f"({certificate['subject']}, serial {certificate['serial_number']})"
    if certificate["days_left"] < 0:
        return f"{identity} expired on {certificate['not_after']}"
    return f"{identity} is not valid before {certificate['not_before']}"


def _status_problems(probes: facts.Probes) -> t.Iterator[str]:
    for check, expected in EXPECTED_STATUSES.items():
        status = probes[check]
        if status is not None and status not in expected:
            codes = " or ".join(map(str, expected))
            yield f"{CHECK_NAMES[check]}: HTTP {status}, expected {codes}"


def _lease_problems(lease: facts.Lease | None) -> list[str]:
    if lease is None or lease["moving"]:
        return []
    waited = round(lease["elapsed"], 1)
    state = f"the lease is {lease['state']}, and was not renewed within {waited:g} s"
    return [f"{CHECK_NAMES['lease']}: {state}"]


def _reload_problems(observed: Observation) -> t.Iterator[str]:
    served = observed["probes"]["served"]
    live = next((file for file in observed["certificates"] if file["use"] == "pair"), None)
    if served and live and served["fingerprint_sha256"] != live["fingerprint_sha256"]:
        yield f"{CHECK_NAMES['served']} differs from the live certificate in {live['path']}"
    if observed["probes"]["used_loaded"] is False:
        yield (
            f"{CHECK_NAMES['used']} can be older than the live certificate; the log shows no reload"
        )

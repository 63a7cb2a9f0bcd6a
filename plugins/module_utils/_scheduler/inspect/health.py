# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What keeps a host from being healthy, from what was seen of it.

`active (running)` and /healthz 200 hold for a scheduler whose certificates have expired. A host is healthy when C(evaluate_health) finds nothing.
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
# What another installer may have left open to all, or closed to readers, or with a certificate of its own making.
SERVING_CHECKS = tuple(
    CHECK_NAMES[name] for name in CHECK_NAMES if name not in ("used", "lease", "settings")
)


class Observation(t.TypedDict):
    """What was seen of a host; the fields are those of the answer of scheduler_info."""

    unit: facts.Unit
    process: facts.Process
    port: facts.Port
    others: list[str]
    probes: facts.Probes
    lease: facts.Lease | None
    certificates: list[facts.CertificateFile]


def evaluate_health(
    seen: Observation, faults: t.Sequence[str] = (), *, steady: float = 0.0, reloaded: bool = False
) -> list[str]:
    """What keeps this host from being healthy, one sentence each; C(faults) are those of the probes.

    C(steady): seconds that the unit has to have been active without a restart by systemd; 0 asks for neither. C(reloaded): whether
    the pair that lies there has to be the one that the process serves and uses. Of a scheduler that this role did not lay, it counts that it
    elects with a certificate that is valid, and not what it serves.
    """
    unit, port, probes, lease = seen["unit"], seen["port"], seen["probes"], seen["lease"]
    problems = [f"another kube-scheduler runs here: {other}" for other in seen["others"]]
    if unit["static_pod"]:
        problems += (
            [] if seen["process"]["pid"] else [f"the static pod {unit['static_pod']} does not run"]
        )
    elif unit["load_state"] == "masked":
        problems.append(f"{unit['name']} is masked, so it cannot be started")
    elif unit["load_state"] != "loaded":
        problems.append(f"{unit['name']} is not installed")
    elif unit["active_state"] != "active":
        problems.append(
            f"{unit['name']} is {unit['active_state']} ({unit['sub_state']}, result {unit['result']})"
        )
    elif unit["enabled"] != "enabled":
        problems.append(f"{unit['name']} is not enabled, so it would not come back after a reboot")
    elif steady and unit["restarts"]:
        problems.append(
            f"{unit['name']} has ended and was restarted by systemd (restarts by now: {unit['restarts']})"
        )
    elif unit["active_seconds"] < steady:
        problems.append(
            f"{unit['name']} has been active for {unit['active_seconds']:g} s, and not for {steady:g} yet"
        )
    if port["held_by"] and not port["ours"]:
        problems.append(f"port {port['number']} is held by {port['held_by']}")
    if not seen["process"]["pid"]:
        return problems
    own = bool(seen["process"]["digest"])
    for name in (
        name for name in facts.CERTIFICATE_PROBES if own or CHECK_NAMES[name] not in SERVING_CHECKS
    ):
        problems += [f"{CHECK_NAMES[name]} {fault}" for fault in _certificate_faults(probes[name])]
    for check, fine in EXPECTED_STATUSES.items() if own else ():
        status = probes[check]
        if status is not None and status not in fine:
            problems.append(
                f"{CHECK_NAMES[check]}: HTTP {status}, wanted {' or '.join(map(str, fine))}"
            )
    if lease and not lease["moving"]:
        problems.append(
            f"{CHECK_NAMES['lease']}: it is {lease['state']}, and was not renewed within {round(lease['elapsed'], 1):g} s"
        )
    if reloaded:
        problems += _not_reloaded(seen)
    return problems + [fault for fault in faults if own or not fault.startswith(SERVING_CHECKS)]


def _not_reloaded(seen: Observation) -> list[str]:
    served = seen["probes"]["served"]
    lying = next((file for file in seen["certificates"] if file["use"] == "pair"), None)
    found = []
    if served and lying and served["fingerprint_sha256"] != lying["fingerprint_sha256"]:
        found.append(f"{CHECK_NAMES['served']} is not the one in {lying['path']}")
    if seen["probes"]["used_loaded"] is False:
        found.append(
            f"{CHECK_NAMES['used']} may still be the former one, for its log does not tell that it took the new one"
        )
    return found


def _certificate_faults(certificate: facts.Certificate | None) -> list[str]:
    if certificate is None or certificate["valid"]:
        return []
    named = f"({certificate['subject']}, serial {certificate['serial_number']})"
    if certificate["days_left"] < 0:
        return [f"{named} expired on {certificate['not_after']}"]
    return [f"{named} is not valid before {certificate['not_before']}"]

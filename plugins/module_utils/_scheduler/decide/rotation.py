# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compute the steps of a certificate rotation, and the last completed step of each host.

The certificates on the hosts determine the last completed step. No file stores this step.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import rollout
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    ACCEPT,
    CA,
    DROP,
    ISSUE,
    ROTATION_KINDS,
    ROTATION_STEPS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.text import (
    align_columns,
    parse_time,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    compute_fingerprint,
    format_issuer,
    format_subject,
    parse_certificates,
    read_identity,
    serialize_certificate,
)

CertificateEntry = t.Mapping[str, t.Any]
"""A certificate of a host, as scheduler_info reports it."""

SIGNING_PKI = {"node", "shared"}
TABLE_HEADER = (
    "host",
    "file",
    "use",
    "subject",
    "usages",
    "expires (UTC)",
    "left",
    "signed by",
    "by the process",
)


@dataclasses.dataclass(frozen=True)
class Authorities:
    """PEM texts of the previous CA, of the next CA ("" for none), and of the trusted CAs.

    A rotation replaces the previous CA with the next CA. Before the rotation, the kubeconfig
    contains the trusted CAs.
    """

    previous: str
    next: str
    trusted: str

    @functools.cached_property
    def previous_fingerprints(self) -> set[str]:
        """The fingerprints of the previous CA."""
        return _fingerprints(self.previous)

    @functools.cached_property
    def next_fingerprints(self) -> set[str]:
        """The fingerprints of the next CA."""
        return _fingerprints(self.next)

    @property
    def dropped_fingerprints(self) -> set[str]:
        """The fingerprints that are no longer trusted after the rotation."""
        return self.previous_fingerprints - self.next_fingerprints

    @functools.cached_property
    def changes_trust(self) -> bool:
        """Whether the kubeconfig trusts the previous CA, which the rotation then replaces."""
        return bool(self.dropped_fingerprints & _fingerprints(self.trusted))

    @property
    def all_pem(self) -> str:
        """All CAs that can have signed the key pair of a host."""
        return _join_pem(self.previous, self.next)

    def trusted_after(self, step: str) -> str:
        """Return the CAs that the kubeconfig must trust after a step."""
        if not step or not self.changes_trust:
            return self.trusted
        if step != DROP:
            return _join_pem(self.trusted, self.next)
        replaced = self.previous_fingerprints | self.next_fingerprints
        kept = [
            certificate
            for certificate in _parse_certificates(self.trusted)
            if compute_fingerprint(certificate) not in replaced
        ]
        return _join_pem(
            *(serialize_certificate(certificate).decode() for certificate in kept), self.next
        )


def _parse_certificates(pem: str) -> list[t.Any]:
    return [
        certificate
        for certificate in parse_certificates(pem.encode("ascii", "replace"))
        if certificate is not None
    ]


def _fingerprints(pem: str) -> set[str]:
    return {compute_fingerprint(certificate) for certificate in _parse_certificates(pem)}


def _join_pem(*texts: str) -> str:
    """Return one PEM text with each certificate once. A single text remains unchanged."""
    kept = [text for text in texts if text.strip()]
    if len(kept) < 2:
        return "".join(kept)
    blocks = {
        compute_fingerprint(certificate): serialize_certificate(certificate).decode()
        for text in kept
        for certificate in _parse_certificates(text)
    }
    return "".join(blocks.values())


def first_fingerprint(pem: str) -> str:
    """Return the fingerprint of the first certificate in a text; "" for none."""
    certificates = _parse_certificates(pem)[:1]
    return compute_fingerprint(certificates[0]) if certificates else ""


def select_signing_ca(v: Variables, step: str) -> Variables:
    """Return the variables with the CA that signs at a step."""
    if step not in (ISSUE, DROP):
        return v
    return dataclasses.replace(v, ca_cert=v.new_ca_cert, ca_key=v.new_ca_key)


# --- the status of a host and of its cluster


def _with_use(certificates: t.Sequence[CertificateEntry], use: str) -> list[CertificateEntry]:
    return [file for file in certificates if file["use"] == use]


def pair_fingerprint(certificates: t.Sequence[CertificateEntry]) -> str:
    """Return the fingerprint of a host's leaf certificate, "" for none."""
    return next((str(file["fingerprint_sha256"]) for file in _with_use(certificates, "pair")), "")


def _list_apiservers(host: rollout.MemberResult) -> list[t.Mapping[str, t.Any]]:
    """Return the results of the apiservers that the scheduler of a host can use, each once."""
    configured = host["apiserver"] or {"server": "which did not respond"}
    return list({result["server"]: result for result in (*host["apiservers"], configured)}.values())


def is_next_ca_accepted(host: rollout.MemberResult) -> bool:
    """Return whether each apiserver of a host accepts a certificate of the next CA."""
    return all(result.get("next_accepted") is True for result in _list_apiservers(host))


def completed_step(host: rollout.MemberResult, authorities: Authorities) -> str:
    """Return the last step that a host has completed, "" for none.

    A host without a key pair starts at the latest possible step.
    """
    certificates = host["certificates"]
    pairs = _with_use(certificates, "pair")
    if not pairs:
        return ISSUE if is_next_ca_accepted(host) else ACCEPT
    is_dropped = True
    if authorities.changes_trust:
        trusted = {str(file["fingerprint_sha256"]) for file in _with_use(certificates, "trust")}
        if not authorities.next_fingerprints <= trusted:
            return ""
        is_dropped = not authorities.dropped_fingerprints & trusted
    if not {*pairs[0]["signed_by"]} & authorities.next_fingerprints:
        return ACCEPT
    return DROP if is_dropped else ISSUE


def completed_steps(results: rollout.MemberResults, authorities: Authorities) -> dict[str, str]:
    """Return the last completed step of each member."""
    return {name: completed_step(result, authorities) for name, result in results.items()}


def step_number(step: str) -> int:
    """Return the number of a step, 0 for none."""
    return ROTATION_STEPS.index(step) + 1 if step in ROTATION_STEPS else 0


def later_step(one: str, other: str) -> str:
    """Return the later of two steps, "" if neither text is a step."""
    latest = max(one, other, key=step_number)
    return latest if latest in ROTATION_STEPS else ""


def remaining_steps(
    completed: t.Mapping[str, str], *, can_previous_sign: bool, check: bool
) -> list[str]:
    """Return the steps to run. In check mode, return only the first: later steps depend on it.

    completed: the last completed step of each member. can_previous_sign: whether the previous CA
    can sign.
    """
    lowest = min(map(step_number, completed.values()), default=0)
    steps = [step for step in ROTATION_STEPS if step_number(step) > lowest]
    if not can_previous_sign:
        # Without the previous CA, trust and key pair change in one step.
        steps = [step for step in steps if step != ACCEPT]
    return steps[:1] if check else steps


def check_step(
    name: str, requested: str, host: rollout.MemberResult, authorities: Authorities, prefix: str
) -> list[str]:
    """Return the reasons why a host cannot start the requested step."""
    completed = completed_step(host, authorities)
    if step_number(requested) >= step_number(ISSUE) > step_number(completed):
        key, problem = "next_accepted", "does not accept a certificate of this CA"
        advice = (
            "add this CA to the file in the apiserver's --client-ca-file, keep the previous CA,"
            " restart the apiserver, and run rotate.yml again"
        )
    elif requested == DROP != completed and authorities.changes_trust:
        key, problem = "next_serves", "still serves a certificate that this CA did not sign"
        advice = (
            "replace that certificate and run rotate.yml again; until then, the role keeps the"
            " trust in the previous CA"
        )
    else:
        return []
    return [
        f"{prefix}new_ca_cert: the apiserver of {name}, {result['server']}, {problem}; {advice}"
        for result in _list_apiservers(host)
        if result.get(key) is not True
    ]


def validate_rotation(
    v: Variables, kind: t.Any, excluded: t.Collection[str], prefix: str
) -> list[str]:
    """Return the errors in the request of a rotation, except those in the files of the new CA.

    kind: the kind of rotation, None if none is requested. excluded: members outside of this play.
    """
    errors = []
    has_new_ca = bool(v.new_ca_cert or v.new_ca_key)
    if kind is not None and kind not in ROTATION_KINDS:
        kinds = ", ".join(ROTATION_KINDS)
        errors.append(f"rotate: {str(kind)[:80]!r} is not a kind of rotation; set one of {kinds}")
    if kind is not None and v.pki == "external":
        errors.append(
            f"{prefix}pki: with external, the role does not sign certificates; have the requests in"
            f" {prefix}csr_dir signed again, and run site.yml"
        )
    elif kind is not None and v.pki not in SIGNING_PKI:
        errors.append(
            f"{prefix}pki: with {v.pki}, the role does not issue key pairs; replace the files of"
            f" {prefix}cert_source and {prefix}key_source, and run site.yml"
        )
    if has_new_ca and v.pki not in SIGNING_PKI:
        errors.append(
            f"{prefix}new_ca_cert: with {prefix}pki {v.pki}, the role does not sign; unset this"
            f" variable, and set {prefix}ca_cert and {prefix}apiserver_ca to files with both CAs"
        )
    if kind == CA and not has_new_ca:
        errors.append(
            f"{prefix}new_ca_cert: not set; for rotate=ca, set this variable and"
            f" {prefix}new_ca_key to the files of the new CA on the controller"
        )
    if kind == CA and excluded:
        errors.append(
            "rotate: a rotation of the CA must include all members, but"
            f" {', '.join(excluded)} would be excluded; run without --limit and serial"
        )
    return errors


def check_other_drift(name: str, result: rollout.MemberResult, desired_version: str) -> list[str]:
    """Return an error if the rotation of a host would change more than certificates."""
    running = result["process"]["version"]
    other = [
        f"{entry['part']}: {entry['reason']}"
        for entry in result["drift"]
        if not _is_certificate_drift(entry["part"], entry["reason"])
    ]
    if running and desired_version and running != desired_version:
        other.append(f"version {running} runs, desired: {desired_version}")
    if not other:
        return []
    return [
        (
            f"{name}: differs from its plan in more than certificates ({'; '.join(other)}); run"
            " site.yml first"
        )
    ]


def _is_certificate_drift(part: str, reason: str) -> bool:
    """Return whether a difference can be the effect of a certificate alone."""
    if part == "kubeconfig":
        return not reason.endswith(facts.OTHER_ENTRIES)
    if part == "unit":
        return reason.endswith(facts.OTHER_DIGEST)
    return part in ("certificate", "process", "staged")


def is_renewal_due(results: rollout.MemberResults) -> bool:
    """Return whether any certificate must be renewed or replaced."""
    return any(result["drift"] for result in results.values())


def evaluate_rotation(
    name: str, result: rollout.MemberResult | None, replaced: t.Collection[str]
) -> list[str]:
    """Return the reasons why the rotation of a host has failed.

    replaced: fingerprints of the certificates that the host must no longer have.
    """
    if result is None:
        return [f"{name}: no usable result from this host; see its failed tasks"]
    errors = [f"{name}: {problem}" for problem in result["problems"]]
    return errors + [
        f"{name}: {file['path']} still contains the certificate that must be replaced; run"
        " rotate.yml again"
        for file in result["certificates"]
        if file["fingerprint_sha256"] in replaced
    ]


# --- display


def describe_ca_steps(completed: t.Mapping[str, str], accepted: t.Mapping[str, bool]) -> list[str]:
    """Describe each step of a CA rotation, and the members that have completed it.

    completed: the last completed step of each member. accepted: whether the apiservers of each
    member accept the new CA.
    """
    return [
        f"1. trust the new CA in addition to the previous CA: {_describe_step(ACCEPT, completed)}",
        f"2. let the new CA sign: {_describe_signing(completed, accepted)}",
        f"3. reissue the certificates: {_describe_step(ISSUE, completed)}",
        f"4. stop trusting the previous CA: {_describe_step(DROP, completed)}",
    ]


def _describe_step(step: str, completed: t.Mapping[str, str]) -> str:
    done = [name for name, last in completed.items() if step_number(last) >= step_number(step)]
    pending = [name for name in completed if name not in done]
    if not pending:
        return "done"
    return f"pending on {', '.join(pending)}" + (f"; done on {', '.join(done)}" if done else "")


def _describe_signing(completed: t.Mapping[str, str], accepted: t.Mapping[str, bool]) -> str:
    if all(step_number(last) >= step_number(ISSUE) for last in completed.values()):
        return "done"
    waiting = [
        name
        for name, is_accepted in accepted.items()
        if not is_accepted and step_number(completed[name]) < step_number(ISSUE)
    ]
    if waiting:
        return f"waits until the apiserver of {', '.join(waiting)} accepts it"
    return "possible: every apiserver accepts it"


def describe_progress(completed: t.Mapping[str, str], prefix: str) -> list[str]:
    """Return a line about a CA rotation in progress; nothing without a new CA."""
    numbers = set(map(step_number, completed.values()))
    if not numbers:
        return []
    if numbers == {step_number(DROP)}:
        return [
            (
                f"the CA rotation is finished; set {prefix}ca_cert and {prefix}ca_key to the new"
                f" CA, and remove {prefix}new_ca_cert and {prefix}new_ca_key"
            )
        ]
    if numbers == {0}:
        return ["a new CA is set, but its rotation has not started; run rotate.yml with rotate=ca"]
    listed = ", ".join(f"{name} {last or 'not started'}" for name, last in completed.items())
    return [
        (
            f"a CA rotation is in progress ({listed}); continue the rotation with rotate.yml and"
            " rotate=ca"
        )
    ]


def format_time_left(not_after: str, now: datetime.datetime) -> str:
    """Return the time until a certificate expires, in days or hours."""
    expiry = parse_time(not_after)
    if expiry is None:
        return "?"
    hours = (expiry - now) // datetime.timedelta(hours=1)
    if hours < 0:
        return "expired"
    return f"{hours // 24}d" if hours >= 48 else f"{hours}h"


def format_certificate_table(
    results: rollout.MemberResults, authorities: Authorities, v: Variables, now: datetime.datetime
) -> list[str]:
    """Return the certificates of a cluster as a table, the CAs on the controller first."""
    rows: list[tuple[str, ...]] = [TABLE_HEADER]
    for path, pem in ((v.ca_cert, authorities.previous), (v.new_ca_cert, authorities.next)):
        rows += [_format_ca_row(path, certificate, now) for certificate in _parse_certificates(pem)]
    for name, result in results.items():
        rows += [
            _format_row(name, file, result["probes"] or {}, authorities, now)
            for file in result["certificates"]
        ]
    return align_columns(rows)


def _format_ca_row(path: str, certificate: t.Any, now: datetime.datetime) -> tuple[str, ...]:
    subject = format_subject(certificate)
    issuer = format_issuer(certificate)
    return (
        "controller",
        path,
        "CA",
        subject,
        "keyCertSign",
        *_format_expiry(read_identity(certificate, now)["not_after"], now),
        "itself" if subject == issuer else issuer,
        "-",
    )


def _format_row(
    name: str,
    file: CertificateEntry,
    probes: t.Mapping[str, t.Any],
    authorities: Authorities,
    now: datetime.datetime,
) -> tuple[str, ...]:
    return (
        name,
        file["path"],
        file["use"],
        file["subject"],
        " ".join(file["usages"]) or "-",
        *_format_expiry(file["not_after"], now),
        _describe_issuer(file, authorities),
        " and ".join(_list_uses(file, probes)) or "-",
    )


def _list_uses(file: CertificateEntry, probes: t.Mapping[str, t.Any]) -> list[str]:
    """Return how the process uses the certificate, according to the probes."""
    uses = [
        use
        for use in ("served", "used")
        if (probes.get(use) or {}).get("fingerprint_sha256") == file["fingerprint_sha256"]
    ]
    if probes.get("used_loaded") is False:
        return [use for use in uses if use != "used"]
    return uses


def _describe_issuer(file: CertificateEntry, authorities: Authorities) -> str:
    if file["use"] == "trust":
        return "-"
    signers = {*file["signed_by"]}
    if signers & authorities.next_fingerprints:
        return f"{file['issuer']} (new CA)"
    known = signers & authorities.previous_fingerprints
    return str(file["issuer"]) if known else f"{file['issuer']} (unknown CA)"


def _format_expiry(not_after: str, now: datetime.datetime) -> tuple[str, str]:
    return not_after[:16].replace("T", " "), format_time_left(not_after, now)

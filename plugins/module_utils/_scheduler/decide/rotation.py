# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The rotation of certificates and of their CA. Where a rotation stands is what the hosts have; nothing else records it."""

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
    parse_certificates,
    read_identity,
    serialize_certificate,
)

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
    """PEM texts: the CA that signed so far, the next one ("" for none), and what the kubeconfig trusts so far."""

    previous: str
    next: str
    trusted: str

    @functools.cached_property
    def previous_fingerprints(self) -> set[str]:
        """The fingerprints of the CA that signed so far."""
        return _fingerprints(self.previous)

    @functools.cached_property
    def next_fingerprints(self) -> set[str]:
        """The fingerprints of the next one."""
        return _fingerprints(self.next)

    @property
    def dropped_fingerprints(self) -> set[str]:
        """Those that are not trusted any more at the end."""
        return self.previous_fingerprints - self.next_fingerprints

    @functools.cached_property
    def changes_trust(self) -> bool:
        """Whether the kubeconfig trusts the former CA, so that the next one takes its place there too."""
        return bool(self.dropped_fingerprints & _fingerprints(self.trusted))

    @property
    def all_pem(self) -> str:
        """All CAs that may have signed a pair."""
        return _join_pem(self.previous, self.next)

    def trusted_after(self, step: str) -> str:
        """What the kubeconfig is to trust after a step."""
        if not step or not self.changes_trust:
            return self.trusted
        if step != DROP:
            return _join_pem(self.trusted, self.next)
        rest = [
            found
            for found in _parse_certificates(self.trusted)
            if compute_fingerprint(found) not in self.previous_fingerprints | self.next_fingerprints
        ]
        return _join_pem(*(serialize_certificate(found).decode() for found in rest), self.next)


def _parse_certificates(pem: str) -> list[t.Any]:
    return [
        found for found in parse_certificates(pem.encode("ascii", "replace")) if found is not None
    ]


def _fingerprints(pem: str) -> set[str]:
    return {compute_fingerprint(found) for found in _parse_certificates(pem)}


def _join_pem(*texts: str) -> str:
    """PEM texts in one, each once; a single one stays as it is."""
    kept = [text for text in texts if text.strip()]
    if len(kept) < 2:
        return "".join(kept)
    blocks = {
        compute_fingerprint(found): serialize_certificate(found).decode()
        for text in kept
        for found in _parse_certificates(text)
    }
    return "".join(blocks.values())


def first_fingerprint(pem: str) -> str:
    """The fingerprint of the first certificate of a text; "" for none."""
    found = _parse_certificates(pem)[:1]
    return compute_fingerprint(found[0]) if found else ""


def select_signing_ca(v: Variables, step: str) -> Variables:
    """The variables with the CA that signs at a step."""
    if step not in (ISSUE, DROP):
        return v
    return dataclasses.replace(v, ca_cert=v.new_ca_cert, ca_key=v.new_ca_key)


# --- where a host, and its cluster, stand


def _with_use(
    certificates: t.Sequence[t.Mapping[str, t.Any]], use: str
) -> list[t.Mapping[str, t.Any]]:
    return [file for file in certificates if file["use"] == use]


def pair_fingerprint(certificates: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """The fingerprint of a host's own certificate, "" for none."""
    return next((str(file["fingerprint_sha256"]) for file in _with_use(certificates, "pair")), "")


def _list_apiservers(host: t.Mapping[str, t.Any]) -> list[t.Mapping[str, t.Any]]:
    """What the apiserver that a host's scheduler goes to told it, and each one that may answer in its place; each once."""
    own = host["apiserver"] or {"server": "which gave no answer"}
    return list({seen["server"]: seen for seen in (*host["apiservers"], own)}.values())


def is_next_ca_accepted(host: t.Mapping[str, t.Any]) -> bool:
    """Whether each of a host's apiservers accepts a certificate of the next CA."""
    return all(seen.get("next_accepted") is True for seen in _list_apiservers(host))


def completed_step(host: t.Mapping[str, t.Any], authorities: Authorities) -> str:
    """The last step that a host has done, "" for none. One on which nothing lies yet begins where it can join."""
    certificates = host["certificates"]
    pairs = _with_use(certificates, "pair")
    if not pairs:
        return ISSUE if is_next_ca_accepted(host) else ACCEPT
    if authorities.changes_trust:
        trusted = {str(file["fingerprint_sha256"]) for file in _with_use(certificates, "trust")}
        if not authorities.next_fingerprints <= trusted:
            return ""
        dropped = not authorities.dropped_fingerprints & trusted
    else:
        dropped = True
    if not {*pairs[0]["signed_by"]} & authorities.next_fingerprints:
        return ACCEPT
    return DROP if dropped else ISSUE


def completed_steps(answers: rollout.MemberResults, authorities: Authorities) -> dict[str, str]:
    """The same of each member."""
    return {name: completed_step(answer, authorities) for name, answer in answers.items()}


def step_number(step: str) -> int:
    """The number of a step, 0 for none."""
    return ROTATION_STEPS.index(step) + 1 if step in ROTATION_STEPS else 0


def later_step(one: str, other: str) -> str:
    """The later of two steps; what is none counts as the first of all."""
    found = max(one, other, key=step_number)
    return found if found in ROTATION_STEPS else ""


def remaining_steps(
    stands: t.Mapping[str, str], *, can_previous_sign: bool, check: bool
) -> list[str]:
    """The steps that are still to be done. C(can_previous_sign): whether the former CA can sign. In check mode, only the next one, by which the others go."""
    least = min(map(step_number, stands.values()), default=0)
    left = [step for step in ROTATION_STEPS if step_number(step) > least]
    if not can_previous_sign:
        # Nothing can be staged with it any more, so that trust and pair change at once.
        left = [step for step in left if step != ACCEPT]
    return left[:1] if check else left


def check_step(
    name: str, asked: str, host: t.Mapping[str, t.Any], authorities: Authorities, prefix: str
) -> list[str]:
    """Why a host cannot go on to the step that is asked of it."""
    own = completed_step(host, authorities)
    if step_number(asked) >= step_number(ISSUE) > step_number(own):
        answer, fault = "next_accepted", "does not accept a certificate of this CA"
        advice = "add the CA to the file of its --client-ca-file, beside the former one, restart it, and run again"
    elif asked == DROP != own and authorities.changes_trust:
        answer, fault = "next_serves", "still serves a certificate that is not of this CA"
        advice = "give it one, and run again: until then the former CA stays trusted"
    else:
        return []
    return [
        f"{prefix}new_ca_cert: the apiserver of {name}, {seen['server']}, {fault}; {advice}"
        for seen in _list_apiservers(host)
        if seen.get(answer) is not True
    ]


def validate_rotation(
    v: Variables, kind: t.Any, silent: t.Collection[str], prefix: str
) -> list[str]:
    """What of the request is wrong. C(kind): of the rotation, None where none is asked for. C(silent): members that the play is not for.

    Of the new CA's files themselves, the pre-flight tells.
    """
    found, named_ca = [], bool(v.new_ca_cert or v.new_ca_key)
    if kind is not None and kind not in ROTATION_KINDS:
        found.append(
            f"rotate: {str(kind)[:80]!r} is none of {', '.join(ROTATION_KINDS)}; give one of these"
        )
    if kind is not None and v.pki == "external":
        found.append(
            f"{prefix}pki: with external, somebody else signs; have the requests in {prefix}csr_dir signed anew, and run site.yml"
        )
    elif kind is not None and v.pki not in SIGNING_PKI:
        found.append(
            f"{prefix}pki: with {v.pki}, the pairs are not made here; put new ones where {prefix}cert_source and {prefix}key_source name them, and run site.yml"
        )
    if named_ca and v.pki not in SIGNING_PKI:
        found.append(
            f"{prefix}new_ca_cert: with {prefix}pki {v.pki}, no CA signs here; let {prefix}ca_cert and {prefix}apiserver_ca name files that hold both CAs"
        )
    if kind == CA and not named_ca:
        found.append(
            f"{prefix}new_ca_cert: not set; rotate=ca needs it and {prefix}new_ca_key, the new CA's files on the controller"
        )
    if kind == CA and silent:
        found.append(
            f"rotate: ca is for all members at once, and {', '.join(silent)} would be left out; run without --limit and serial"
        )
    return found


def check_other_drift(name: str, answer: rollout.MemberResult, wanted: str) -> list[str]:
    """What a rotation would change besides certificates, a line; C(wanted) is the version that is planned."""
    runs = answer["process"]["version"]
    other = [
        f"{entry['part']}: {entry['reason']}"
        for entry in answer["drift"]
        if not (
            entry["part"] in ("certificate", "process", "staged")
            or (entry["part"] == "kubeconfig" and not entry["reason"].endswith(facts.OTHER_ENTRIES))
            or (entry["part"] == "unit" and entry["reason"].endswith(facts.OTHER_DIGEST))
        )
    ]
    if runs and wanted and runs != wanted:
        other.append(f"version {runs} runs, wanted {wanted}")
    if not other:
        return []
    return [
        f"{name}: differs from its plan in more than certificates ({'; '.join(other)}); run site.yml first"
    ]


def is_renewal_due(answers: rollout.MemberResults) -> bool:
    """Whether any certificate is to be renewed, or does not do."""
    return any(answer["drift"] for answer in answers.values())


# --- in words


def describe_ca_steps(stands: t.Mapping[str, str], accepts: t.Mapping[str, bool]) -> list[str]:
    """The steps of a rotation of the CA, and where the members stand. C(accepts): whether each one's apiservers accept the new CA."""

    def done(step: str) -> str:
        there = [name for name, own in stands.items() if step_number(own) >= step_number(step)]
        left = [name for name in stands if name not in there]
        return (
            "done"
            if not left
            else f"to do on {', '.join(left)}" + (f"; done on {', '.join(there)}" if there else "")
        )

    refused = [
        name
        for name, accepts_it in accepts.items()
        if not accepts_it and step_number(stands[name]) < step_number(ISSUE)
    ]
    swap = (
        f"waits for the apiserver of {', '.join(refused)} to accept it"
        if refused
        else "can be done: every apiserver accepts it"
    )
    if all(step_number(own) >= step_number(ISSUE) for own in stands.values()):
        swap = "done"
    return [
        f"1. trust the new CA beside the former one: {done(ACCEPT)}",
        f"2. let the new CA sign: {swap}",
        f"3. issue the certificates anew: {done(ISSUE)}",
        f"4. trust the former CA no more: {done(DROP)}",
    ]


def describe_progress(stands: t.Mapping[str, str], prefix: str) -> list[str]:
    """Whether a rotation of the CA is under way, a line; nothing without a new CA."""
    ranks = set(map(step_number, stands.values()))
    if not ranks:
        return []
    if ranks == {step_number(DROP)}:
        return [
            f"the rotation of the CA is finished: name the new CA in {prefix}ca_cert and {prefix}ca_key, and remove {prefix}new_ca_cert and {prefix}new_ca_key"
        ]
    if ranks == {0}:
        return ["a new CA is named, and its rotation has not begun: run rotate.yml with rotate=ca"]
    told = ", ".join(f"{name} {own or 'not begun'}" for name, own in stands.items())
    return [f"a rotation of the CA is under way ({told}): go on with rotate.yml and rotate=ca"]


def format_time_left(not_after: str, now: datetime.datetime) -> str:
    """The residual time of a certificate in words."""
    ends = parse_time(not_after)
    if ends is None:
        return "?"
    hours = (ends - now) // datetime.timedelta(hours=1)
    if hours < 0:
        return "expired"
    return f"{hours // 24}d" if hours >= 48 else f"{hours}h"


def format_certificate_table(
    answers: rollout.MemberResults, authorities: Authorities, v: Variables, now: datetime.datetime
) -> list[str]:
    """The certificates of a cluster, the CAs on the controller first."""
    rows: list[tuple[str, ...]] = [TABLE_HEADER]
    for path, pem in ((v.ca_cert, authorities.previous), (v.new_ca_cert, authorities.next)):
        for found in _parse_certificates(pem):
            subject, issuer = found.subject.rfc4514_string(), found.issuer.rfc4514_string()
            ends = read_identity(found, now)["not_after"]
            by = "itself" if subject == issuer else issuer
            rows.append(
                (
                    "controller",
                    path,
                    "CA",
                    subject,
                    "keyCertSign",
                    *_format_expiry(ends, now),
                    by,
                    "-",
                )
            )
    for name, answer in answers.items():
        rows += [
            _format_row(name, file, answer["probes"] or {}, authorities, now)
            for file in answer["certificates"]
        ]
    return align_columns(rows)


def _format_row(
    name: str,
    file: t.Mapping[str, t.Any],
    probes: t.Mapping[str, t.Any],
    authorities: Authorities,
    now: datetime.datetime,
) -> tuple[str, ...]:
    own, signers = file["fingerprint_sha256"], {*file["signed_by"]}
    uses = [
        use
        for use in ("served", "used")
        if (probes.get(use) or {}).get("fingerprint_sha256") == own
    ]
    if probes.get("used_loaded") is False:
        uses = [use for use in uses if use != "used"]
    by = "-"
    if file["use"] != "trust":
        known = signers & authorities.next_fingerprints, signers & authorities.previous_fingerprints
        by = f"{file['issuer']}{' (new CA)' if known[0] else '' if known[1] else ' (unknown CA)'}"
    return (
        name,
        file["path"],
        file["use"],
        file["subject"],
        " ".join(file["usages"]) or "-",
        *_format_expiry(file["not_after"], now),
        by,
        " and ".join(uses) or "-",
    )


def _format_expiry(not_after: str, now: datetime.datetime) -> tuple[str, str]:
    return not_after[:16].replace("T", " "), format_time_left(not_after, now)


def evaluate_rotation(
    name: str, answer: rollout.MemberResult | None, replaced: t.Collection[str]
) -> list[str]:
    """Why the rotation of a host is not done. C(replaced): certificates that are not to be there any more."""
    if answer is None:
        return [f"{name}: it gave no answer that can be used"]
    found = [f"{name}: {problem}" for problem in answer["problems"]]
    return found + [
        f"{name}: {file['path']} still holds the certificate that was to be replaced"
        for file in answer["certificates"]
        if file["fingerprint_sha256"] in replaced
    ]

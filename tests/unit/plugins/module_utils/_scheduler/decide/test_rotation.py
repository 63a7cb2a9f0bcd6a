"""Test the rotation of certificates and of their CA."""

from __future__ import annotations

import copy
import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import rotation
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.rotation import (
    Authorities,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    compute_fingerprint,
    parse_certificates,
)

from tests.support import chains
from tests.support.host import RESULT
from tests.support.pki import NOW, Ca, spare
from tests.unit.plugins.module_utils._scheduler.decide.test_variable_rules import settings

PREFIX = "kube_scheduler_"
FORMER, NEXT, OTHER = (
    Ca(key=spare("ECC", number=number), subject={"CN": name})
    for number, name in ((1, "former"), (2, "next"), (3, "other"))
)
BOTH = Authorities(previous=FORMER.pem, next=NEXT.pem, trusted=FORMER.pem)
APART = Authorities(previous=FORMER.pem, next=NEXT.pem, trusted=OTHER.pem)


def known(ca: Ca) -> str:
    return ca.fingerprint


def blocks(pem: str) -> list[str]:
    return [compute_fingerprint(errors) for errors in parse_certificates(pem.encode()) if errors]


def certificates_of(signer: Ca | None, *trusted: Ca) -> list[dict[str, Any]]:
    """Return the certificates of a host."""
    pair = {
        "use": "pair",
        "fingerprint_sha256": "AA",
        "signed_by": [known(signer)] if signer else [],
    }
    return [
        pair,
        *({"use": "trust", "fingerprint_sha256": known(ca), "signed_by": []} for ca in trusted),
    ]


def host(certificates: list[dict[str, Any]], **apiserver: Any) -> dict[str, Any]:
    return {
        "certificates": certificates,
        "apiserver": {"server": "https://192.0.2.1:6443", **apiserver},
        "apiservers": [],
    }


def behind(result: dict[str, Any], *servers: dict[str, Any]) -> dict[str, Any]:
    """Return a host whose apiserver is a load balancer in front of the listed apiservers."""
    return {
        **result,
        "apiservers": [
            {"server": f"https://192.0.2.{10 + n}:6443", **one} for n, one in enumerate(servers)
        ],
    }


@pytest.mark.parametrize(
    ("certificates", "authorities", "step"),
    [
        (certificates_of(FORMER, FORMER), BOTH, ""),
        (certificates_of(FORMER, FORMER, NEXT), BOTH, "accept"),
        (certificates_of(NEXT, FORMER, NEXT), BOTH, "issue"),
        (certificates_of(NEXT, NEXT), BOTH, "drop"),
        (certificates_of(FORMER, NEXT), BOTH, "accept"),
        (certificates_of(NEXT, FORMER), BOTH, ""),
        (certificates_of(None, OTHER), BOTH, ""),
        # The kubeconfig trusts another CA, so that only the key pair changes.
        (certificates_of(FORMER, OTHER), APART, "accept"),
        (certificates_of(NEXT, OTHER), APART, "drop"),
        (certificates_of(NEXT, OTHER, FORMER), APART, "drop"),
    ],
)
def test_completed_step_follows_from_certificates(
    certificates: list[dict[str, Any]], authorities: Authorities, step: str
) -> None:
    assert rotation.completed_step(host(certificates), authorities) == step


def test_host_without_pair_joins_at_the_accepted_step() -> None:
    assert rotation.completed_step(host([], next_accepted=True), BOTH) == "issue"
    assert rotation.completed_step(host([], next_accepted=False), BOTH) == "accept"
    assert (
        rotation.completed_step({"certificates": [], "apiserver": None, "apiservers": []}, BOTH)
        == "accept"
    )


def test_trusted_cas_follow_the_step() -> None:
    assert BOTH.trusted_after("") == FORMER.pem
    assert (
        blocks(BOTH.trusted_after("accept"))
        == blocks(BOTH.trusted_after("issue"))
        == [known(FORMER), known(NEXT)]
    )
    assert BOTH.trusted_after("drop") == NEXT.pem, (
        "as it is written once the new CA stands in the place of the former"
    )
    assert {APART.trusted_after(step) for step in ("", "accept", "issue", "drop")} == {OTHER.pem}
    more = Authorities(
        previous=FORMER.pem, next=NEXT.pem, trusted=OTHER.pem + FORMER.pem + NEXT.pem
    )
    assert blocks(more.trusted_after("accept")) == [known(OTHER), known(FORMER), known(NEXT)]
    assert blocks(more.trusted_after("drop")) == [known(OTHER), known(NEXT)]


def test_equal_cas_change_nothing() -> None:
    """If the current CA and the new CA are equal, nothing changes.

    After a rotation, the variables still contain the new CA.
    """
    same = Authorities(previous=NEXT.pem, next=NEXT.pem, trusted=NEXT.pem)
    assert rotation.completed_step(host(certificates_of(NEXT, NEXT)), same) == "drop"
    assert same.trusted_after("drop") == NEXT.pem
    assert rotation.remaining_steps({"m1": "drop"}, can_previous_sign=True, check=False) == []


def test_renewed_ca_certificate_keeps_the_key() -> None:
    renewed = Ca(key=FORMER.key, subject={"CN": "former"}, valid_for="90000h")
    authorities = Authorities(previous=FORMER.pem, next=renewed.pem, trusted=FORMER.pem)
    pair = {"use": "pair", "fingerprint_sha256": "AA", "signed_by": [known(FORMER), known(renewed)]}
    trusted = {"use": "trust", "fingerprint_sha256": known(FORMER), "signed_by": []}
    assert rotation.completed_step(host([pair, trusted]), authorities) == ""
    also = {**trusted, "fingerprint_sha256": known(renewed)}
    assert rotation.completed_step(host([pair, trusted, also]), authorities) == "issue", (
        "either signs"
    )


@pytest.mark.parametrize(
    ("stands", "can_previous_sign", "check", "steps"),
    [
        ({"m1": "", "m2": ""}, True, False, ["accept", "issue", "drop"]),
        ({"m1": "", "m2": ""}, True, True, ["accept"]),
        ({"m1": "issue", "m2": "accept"}, True, False, ["issue", "drop"]),
        ({"m1": "drop", "m2": "issue"}, True, True, ["drop"]),
        ({"m1": "drop", "m2": "drop"}, True, False, []),
        ({"m1": "", "m2": "accept"}, False, False, ["issue", "drop"]),
        ({}, True, False, ["accept", "issue", "drop"]),
    ],
)
def test_remaining_steps_follow_the_lowest_member(
    stands: dict[str, str], can_previous_sign: bool, check: bool, steps: list[str]
) -> None:
    assert (
        rotation.remaining_steps(stands, can_previous_sign=can_previous_sign, check=check) == steps
    )


def test_later_step_never_goes_back() -> None:
    assert rotation.later_step("issue", "accept") == "issue"
    assert rotation.later_step("", "drop") == "drop"
    assert rotation.later_step("accept", "") == "accept"
    assert rotation.later_step("", "leaf") == ""


def test_issue_requires_apiserver_that_accepts_new_ca() -> None:
    at = host(certificates_of(FORMER, FORMER, NEXT), next_accepted=False, next_serves=False)
    line = (
        "kube_scheduler_new_ca_cert: the apiserver of m1, https://192.0.2.1:6443, does not accept a certificate of this CA; add this CA to the"
        " file in the apiserver's --client-ca-file, keep the previous CA, restart the apiserver, and run rotate.yml again"
    )
    assert rotation.check_step("m1", "issue", at, BOTH, PREFIX) == [line]
    assert rotation.check_step("m1", "drop", at, BOTH, PREFIX) == [line]
    assert rotation.check_step(
        "m1", "issue", host(certificates_of(FORMER, FORMER, NEXT), next_accepted=None), BOTH, PREFIX
    )
    assert rotation.check_step("m1", "issue", {**at, "apiserver": None}, BOTH, PREFIX)
    for step in ("", "accept", "inspect", "leaf", "due"):
        assert rotation.check_step("m1", step, at, BOTH, PREFIX) == []
    accepting = host(certificates_of(FORMER, FORMER, NEXT), next_accepted=True)
    assert rotation.check_step("m1", "issue", accepting, BOTH, PREFIX) == []
    # The completed steps of a host imply that the apiserver accepts the next CA.
    assert (
        rotation.check_step("m1", "issue", host(certificates_of(NEXT, FORMER, NEXT)), BOTH, PREFIX)
        == []
    )


def test_drop_requires_apiserver_certificate_of_new_ca() -> None:
    at = certificates_of(NEXT, FORMER, NEXT)
    line = (
        "kube_scheduler_new_ca_cert: the apiserver of m1, https://192.0.2.1:6443, still serves a certificate that this CA did not sign;"
        " replace that certificate and run rotate.yml again; until then, the role keeps the trust in the previous CA"
    )
    waits = host(at, next_accepted=True, next_serves=False)
    assert rotation.check_step("m1", "drop", waits, BOTH, PREFIX) == [line]
    assert rotation.check_step(
        "m1", "drop", host(at, next_accepted=True, next_serves=None), BOTH, PREFIX
    )
    assert (
        rotation.check_step(
            "m1", "drop", host(at, next_accepted=True, next_serves=True), BOTH, PREFIX
        )
        == []
    )
    assert (
        rotation.check_step(
            "m1", "drop", host(certificates_of(NEXT, NEXT), next_serves=False), BOTH, PREFIX
        )
        == []
    )
    assert (
        rotation.check_step(
            "m1", "drop", host(certificates_of(NEXT, OTHER), next_serves=False), APART, PREFIX
        )
        == []
    )


@pytest.mark.parametrize(
    ("step", "result", "at"),
    [
        ("issue", "next_accepted", certificates_of(FORMER, FORMER, NEXT)),
        ("drop", "next_serves", certificates_of(NEXT, FORMER, NEXT)),
    ],
)
def test_step_waits_for_each_listed_apiserver(
    step: str, result: str, at: list[dict[str, Any]]
) -> None:
    balancer = host(at, next_accepted=True, next_serves=True)
    one = behind(balancer, {result: True}, {result: False}, {result: None})
    errors = rotation.check_step("m1", step, one, BOTH, PREFIX)
    assert [line.split(",")[1].strip() for line in errors] == [
        "https://192.0.2.11:6443",
        "https://192.0.2.12:6443",
    ]
    assert rotation.check_step("m1", step, behind(balancer, {result: True}), BOTH, PREFIX) == []
    same = {**balancer, "apiservers": [balancer["apiserver"]]}
    assert len(rotation.check_step("m1", step, {**same, "apiserver": None}, BOTH, PREFIX)) == 1


def test_new_host_joins_if_each_apiserver_accepts_new_ca() -> None:
    balancer = host([], next_accepted=True)
    assert rotation.completed_step(behind(balancer, {"next_accepted": True}), BOTH) == "issue"
    assert rotation.completed_step(behind(balancer, {"next_accepted": False}), BOTH) == "accept"


def test_signing_ca_follows_the_step() -> None:
    v = settings(new_ca_cert="/next.pem", new_ca_key="/next-key.pem")
    for step in ("", "accept"):
        assert rotation.select_signing_ca(v, step) is v
    for step in ("issue", "drop"):
        signed = rotation.select_signing_ca(v, step)
        assert (signed.ca_cert, signed.ca_key) == ("/next.pem", "/next-key.pem")


@pytest.mark.parametrize(
    ("given", "kind", "excluded", "expected"),
    [
        ({}, "all", [], "rotate: 'all' is not a kind of rotation; set one of leaf, due, ca"),
        (
            {},
            ["leaf"],
            [],
            "rotate: \"['leaf']\" is not a kind of rotation; set one of leaf, due, ca",
        ),
        (
            {},
            "ca",
            [],
            "kube_scheduler_new_ca_cert: not set; for rotate=ca, set this variable and kube_scheduler_new_ca_key",
        ),
        (
            {"pki": "provided"},
            "leaf",
            [],
            "kube_scheduler_pki: with provided, the role does not issue key pairs; replace the files of",
        ),
        (
            {"pki": "provided", "new_ca_cert": "/n.pem", "new_ca_key": "/k.pem"},
            None,
            [],
            "kube_scheduler_new_ca_cert: with kube_scheduler_pki provided, the role does not sign; unset this variable, and set",
        ),
        (
            {"new_ca_cert": "/n.pem", "new_ca_key": "/k.pem"},
            "ca",
            ["m3"],
            "rotate: a rotation of the CA must include all members, but m3 would be excluded; run without --limit and serial",
        ),
    ],
)
def test_invalid_rotation_is_rejected(
    given: dict[str, Any], kind: Any, excluded: list[str], expected: str
) -> None:
    errors = rotation.validate_rotation(settings(**given), kind, excluded, PREFIX)
    assert [line for line in errors if line.startswith(expected)], errors


def test_valid_rotation_is_accepted() -> None:
    fine = settings(new_ca_cert="/n.pem", new_ca_key="/k.pem")
    for kind in (None, "leaf", "due", "ca"):
        assert rotation.validate_rotation(fine, kind, [], PREFIX) == []
    assert rotation.validate_rotation(settings(), "leaf", ["m3"], PREFIX) == []
    assert rotation.validate_rotation(settings(pki="provided"), None, [], PREFIX) == []


def result(*drift: tuple[str, str], **changes: Any) -> dict[str, Any]:
    return {
        **copy.deepcopy(RESULT),
        "drift": [{"part": part, "reason": reason} for part, reason in drift],
        **changes,
    }


OWN = (
    ("certificate", "/c.pem: expired on 2026-01-01T00:00:00Z"),
    ("kubeconfig", "/k: users differ"),
    ("kubeconfig", "/k: is missing"),
    ("unit", f"/u: {facts.OTHER_DIGEST}"),
    ("process", "x.service is activating"),
    ("staged", "/s: differs from /k, which has the desired state"),
)


def test_other_drift_is_rejected() -> None:
    assert rotation.check_other_drift("m1", result(*OWN), "1.37.2") == []
    for other in (
        ("config", "/x.yaml: content differs"),
        ("unit", "/u: content differs"),
        ("kubeconfig", "/k: clusters differ"),
        ("kubeconfig", "/k: contexts differ"),
        ("kubeconfig", "/k: current-context differs"),
        ("binary", "/b: is missing"),
        ("user", "the user k8s does not exist"),
    ):
        [line] = rotation.check_other_drift("m1", result(*OWN, other), "1.37.2")
        assert (
            line
            == f"m1: differs from its plan in more than certificates ({other[0]}: {other[1]}); run site.yml first"
        )
    [line] = rotation.check_other_drift("m1", result(), "1.38.0")
    assert "(version 1.37.2 runs, desired: 1.38.0)" in line


def test_renewal_is_due_with_drift() -> None:
    assert not rotation.is_renewal_due({"m1": result(), "m2": result()})
    assert rotation.is_renewal_due({"m1": result(), "m2": result(OWN[0])})


def test_ca_steps_are_described() -> None:
    assert rotation.describe_ca_steps({"m1": "", "m2": "accept"}, {"m1": True, "m2": False}) == [
        "1. trust the new CA in addition to the previous CA: pending on m1; done on m2",
        "2. let the new CA sign: waits until the apiserver of m2 accepts it",
        "3. reissue the certificates: pending on m1, m2",
        "4. stop trusting the previous CA: pending on m1, m2",
    ]
    assert rotation.describe_ca_steps({"m1": "accept"}, {"m1": True})[1] == (
        "2. let the new CA sign: possible: every apiserver accepts it"
    )
    assert rotation.describe_ca_steps(
        {"m1": "drop", "m2": "issue"}, {"m1": False, "m2": False}
    ) == [
        "1. trust the new CA in addition to the previous CA: done",
        "2. let the new CA sign: done",
        "3. reissue the certificates: done",
        "4. stop trusting the previous CA: pending on m2; done on m1",
    ]
    assert rotation.describe_progress({}, PREFIX) == []
    assert rotation.describe_progress({"m1": "drop", "m2": "issue"}, PREFIX) == [
        "a CA rotation is in progress (m1 drop, m2 issue); continue the rotation with rotate.yml and rotate=ca"
    ]
    [line] = rotation.describe_progress({"m1": "", "m2": ""}, PREFIX)
    assert "has not started" in line
    [line] = rotation.describe_progress({"m1": "drop", "m2": "drop"}, PREFIX)
    assert (
        "is finished; set kube_scheduler_ca_cert and kube_scheduler_ca_key to the new CA, and remove"
        in line
    )


@pytest.mark.parametrize(
    ("hours", "expected"), [(8760, "365d"), (48, "2d"), (47, "47h"), (0, "0h"), (-1, "expired")]
)
def test_time_left_is_formatted(hours: int, expected: str) -> None:
    assert (
        rotation.format_time_left(
            (NOW + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ"), NOW
        )
        == expected
    )
    assert rotation.format_time_left("soon", NOW) == "?"


def test_certificate_table_lists_all_files() -> None:
    v = settings(ca_cert="/ca.pem", new_ca_cert="/next.pem", new_ca_key="/k.pem")
    one = result()
    [pair] = one["certificates"]
    pair["signed_by"] = [known(NEXT)]
    pair["issuer"] = "CN=next"
    one["certificates"] = [
        pair,
        {**pair, "use": "client", "path": "/k", "fingerprint_sha256": "00:99", "signed_by": []},
        {**pair, "use": "trust", "path": "/k", "fingerprint_sha256": "00:98", "usages": []},
    ]
    lines = rotation.format_certificate_table({"m1": one}, BOTH, v, NOW)
    head, *rows = [[cell for cell in line.split("  ") if cell] for line in lines]
    assert [cell.strip() for cell in head] == list(rotation.TABLE_HEADER)
    cells = [[cell.strip() for cell in row] for row in rows]
    assert [(row[0], row[1], row[2], row[7], row[8]) for row in cells] == [
        ("controller", "/ca.pem", "CA", "itself", "-"),
        ("controller", "/next.pem", "CA", "itself", "-"),
        (
            "m1",
            "/etc/kubernetes/cert/kube-scheduler.pem",
            "pair",
            "CN=next (new CA)",
            "served and used",
        ),
        ("m1", "/k", "client", "CN=next (unknown CA)", "-"),
        ("m1", "/k", "trust", "-", "-"),
    ]
    assert (cells[2][3], cells[2][4], cells[4][4]) == (
        "CN=system:kube-scheduler",
        "clientAuth serverAuth",
        "-",
    )
    one["probes"]["used_loaded"] = False
    assert rotation.format_certificate_table({"m1": one}, BOTH, v, NOW)[3].endswith(" served")
    one["probes"] = None
    assert rotation.format_certificate_table({"m1": one}, BOTH, v, NOW)[3].endswith(" -")


def test_certificate_table_shows_a_ca_that_the_library_cannot_decode() -> None:
    v = settings(ca_cert="/ca.pem", new_ca_cert="/next.pem", new_ca_key="/k.pem")
    authorities = dataclasses.replace(BOTH, previous=chains.pem_of(chains.t61_ca()))
    line = rotation.format_certificate_table({}, authorities, v, NOW)[1]
    assert "CN=K\u00f6ln" in line
    assert "itself" in line


def test_remaining_certificate_fails_the_rotation() -> None:
    assert rotation.evaluate_rotation("m1", result(), ["00:12"]) == []
    assert rotation.evaluate_rotation("m1", None, []) == [
        "m1: no usable result from this host; see its failed tasks"
    ]
    assert rotation.evaluate_rotation("m1", result(problems=["x"]), ["00:11"]) == [
        "m1: x",
        "m1: /etc/kubernetes/cert/kube-scheduler.pem still contains the certificate that must be replaced; run rotate.yml again",
    ]


def test_first_fingerprint_of_a_text() -> None:
    assert rotation.first_fingerprint(FORMER.pem + NEXT.pem) == known(FORMER)
    assert rotation.first_fingerprint("garbage") == ""
    assert rotation.pair_fingerprint(certificates_of(None)) == "AA"
    assert rotation.pair_fingerprint([]) == ""

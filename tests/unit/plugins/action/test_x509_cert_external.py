# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test x509_cert with an external CA: write the request, install the certificate, keep the key."""

from __future__ import annotations

import base64
import ipaddress
import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    encode_public_key,
    parse_private_key,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.support.outside import FIT, SANS, SUBJECT, Site
from tests.support.pki import NOW, Ca, certificate, key_pem, pem, spare


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def bytes_of(site: Site) -> bytes:
    """Return the public key of the written request as bytes."""
    return encode_public_key(site.public())


def test_request_is_written_and_certificate_is_installed(site: Site) -> None:
    predicted = site.run(check=True)
    assert (predicted["failed"], predicted["changed"], site.csr.exists()) == (True, True, False)
    awaiting = site.run()
    reason = "a certificate is awaited: the private key is missing; the certificate is missing; "
    assert (
        awaiting["msg"]
        == f"{reason}{site.advice}, then run again; the key pair in use is unchanged"
    )
    assert not site.host.path.exists()
    assert stat.S_IMODE(site.csr.stat().st_mode) == 0o644
    key, request = site.host.key_path.read_bytes(), site.csr.read_bytes()
    asked = x509.load_pem_x509_csr(request)
    assert asked.subject.rfc4514_string() == "CN=system:kube-scheduler,O=system:kube-scheduler"
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == SANS
    again = site.run()
    assert (again["failed"], again["changed"], site.csr.read_bytes()) == (True, False, request)
    assert "awaited: the certificate is missing; have" in again["msg"]
    site.hand_in(site.issue())
    predicted = site.run(check=True)
    assert (predicted["changed"], predicted["reasons"]) == (
        True,
        ["the received certificate is not installed"],
    )
    made = site.run()
    assert (made["changed"], made["chain"], made["awaited"]) == (True, "valid", [])
    assert (site.host.matches(), site.host.key_path.read_bytes() == key) == (True, True)
    assert "issued by" not in site.host.path.read_text(), "what tools write beside it"
    for check in (True, False):
        again = site.run(check=check)
        assert (again["changed"], again["awaited"], again["reasons"]) == (False, [], [])
    assert not any(path in json.dumps(site.sent) for path in (str(site.folder), str(site.ca.path)))


def test_intermediate_is_installed_too(site: Site) -> None:
    site.run()
    key = spare("ECC", number=8)
    middle = certificate(
        key, site.ca.authority, subject={"CN": "middle"}, is_ca=True, valid_for="10000h"
    )
    own = certificate(None, CertificateAuthority(middle, key), public=site.public(), **FIT)
    site.hand_in(own)
    assert "cannot be used: it is not signed by the CA" in site.run()["msg"]
    site.hand_in(own, middle)
    assert site.run()["changed"]
    assert len(parse_certificates(site.host.path.read_bytes())) == 2
    assert not site.run()["changed"]


def other_key(site: Site) -> x509.Certificate:
    return certificate(
        spare("ECC", number=9), site.ca.authority, public=spare("ECC", number=9).public_key(), **FIT
    )


WRONG: dict[str, tuple[Callable[[Site], x509.Certificate], str]] = {
    "other key": (other_key, "is not the certificate of the key on this host"),
    "lacks a name": (
        lambda site: site.issue(subject_alt_name=SANS[:1]),
        "lacks the subject alternative names DNS:m1.example",
    ),
    "no client": (
        lambda site: site.issue(extended_key_usage=["serverAuth"]),
        "extendedKeyUsage lacks clientAuth",
    ),
    "no server": (
        lambda site: site.issue(extended_key_usage=["clientAuth"]),
        "extendedKeyUsage lacks serverAuth",
    ),
    "a CA": (lambda site: site.issue(is_ca=True), "is the certificate of a CA"),
    "expired": (
        lambda site: site.issue(valid_for="2h", renew_before="1h", now=NOW - timedelta(hours=3)),
        "expired on ",
    ),
    "to come": (lambda site: site.issue(now=NOW + timedelta(hours=3)), "is not valid before "),
    "other chain": (
        lambda site: site.issue(Ca(key=spare("ECC", number=2))),
        "is not signed by the CA",
    ),
    "a chain that ended": (
        lambda site: site.issue(),
        "leads to its CA through a certificate that expired on",
    ),
    "other user": (
        lambda site: site.issue(subject={**SUBJECT, "CN": "admin"}),
        "has the subject CN admin, expected system:kube-scheduler",
    ),
    "other group": (
        lambda site: site.issue(
            subject={**SUBJECT, "O": ["system:kube-scheduler", "system:masters"]}
        ),
        "has the subject O system:kube-scheduler and system:masters, expected system:kube-scheduler",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_certificate_is_rejected(site: Site, case: str) -> None:
    """A wrong certificate is rejected, and the key pair in use remains."""
    make, words = WRONG[case]
    site.run()
    former = site.host.snapshot()
    wrong = make(site)
    if case == "a chain that ended":
        ended = certificate(
            site.ca.key, subject={"CN": "kubernetes"}, is_ca=True, now=NOW - timedelta(hours=9000)
        )
        site.ca.path.write_text(pem(ended) + Ca(key=spare("ECC", number=3)).pem)
    for _round in range(2):
        site.hand_in(wrong)
        for check in (True, False):
            result = site.run(check=check)
            assert result["failed"] is True
            assert result["msg"].startswith(f"{site.pem} cannot be used: it ")
            assert words in result["msg"]
            assert result["msg"].endswith(f"{site.advice}, or remove it")
            assert site.host.snapshot() == former
        if case == "a chain that ended":
            return
        site.hand_in(site.issue())
        assert site.run()["chain"] == "valid"
        former = site.host.snapshot()


def test_certificate_with_more_names_or_attributes_is_accepted(site: Site) -> None:
    site.run()
    more: dict[str, Any] = {
        "subject": {**SUBJECT, "OU": "platform"},
        "subject_alt_name": [*SANS, "more.example"],
    }
    site.hand_in(site.issue(**more))
    assert site.run()["chain"] == "valid"
    assert not site.run()["changed"]


def test_pair_in_its_renewal_window_stays_until_the_new_certificate_arrives(site: Site) -> None:
    """Until the new certificate arrives, the certificate and the key in use remain."""
    site.deployed(valid_for="2000h")
    former, request = site.host.snapshot(), site.csr.read_bytes()
    site.after = timedelta(hours=1200)
    assert not site.run()["awaited"]
    site.csr.unlink()
    site.after = timedelta(hours=1300)
    predicted = site.run(check=True)
    assert (predicted["changed"], site.csr.exists()) == (True, False)
    due = site.run()
    assert (due.get("failed"), due["changed"], due["chain"]) == (None, True, "valid")
    assert len(due["awaited"]) == 1
    assert due["awaited"][0].endswith(", within 720h")
    assert due["awaited"][0].startswith("the certificate ends on ")
    assert due["reasons"] == [
        "the signing request is missing, or is for another key or other names"
    ]
    assert encode_public_key(x509.load_pem_x509_csr(request).public_key()) == bytes_of(site)
    waiting = site.run()
    assert (waiting["changed"], waiting["awaited"], waiting["reasons"]) == (
        False,
        due["awaited"],
        [],
    )
    assert site.host.snapshot() == former
    site.hand_in(site.issue(valid_for="4000h"))
    assert site.run()["changed"]
    now = site.host.snapshot()
    assert (now["s-key.pem"], now["s.pem"] != former["s.pem"]) == (former["s-key.pem"], True)
    assert not site.run()["awaited"]


def test_percentage_window_refers_to_the_issued_validity(site: Site) -> None:
    site.deployed(valid_for="1000h")
    site.after = timedelta(hours=800)
    assert not site.run(renew_before="10%")["awaited"]
    assert site.run(renew_before="25%")["awaited"]


def test_certificate_that_ends_with_its_ca_is_not_renewed(site: Site) -> None:
    short = {"valid_for": "100h", "renew_before": "1h"}
    site.ca = Ca(site.ca.path.parent, **short)
    site.deployed(**short)
    assert site.run(renew_before="200h")["awaited"] == []
    site.ca = Ca(site.ca.path.parent)
    assert site.run(renew_before="200h")["awaited"], "of a CA that was renewed with its key"


def test_pair_that_lacks_a_name_stays_until_the_new_certificate_arrives(site: Site) -> None:
    """A host that joins adds a name to every certificate.

    Until the new certificates arrive, the key pairs in use remain.
    """
    site.deployed()
    former = site.host.snapshot()
    more: dict[str, Any] = {"subject_alt_name": [*SANS, "192.0.2.4"]}
    asked = site.run(**more)
    assert (asked.get("failed"), asked["changed"]) == (None, True)
    assert asked["awaited"] == ["the certificate lacks the subject alternative names IP:192.0.2.4"]
    assert not site.run(**more)["changed"]
    assert site.host.snapshot() == former
    site.hand_in(site.issue(**more))
    assert site.run(**more)["changed"]
    assert site.run(**more)["awaited"] == []


@pytest.mark.parametrize("damage", ["key gone", "key garbage", "certificate gone", "expired"])
def test_unusable_pair_fails_the_task(site: Site, damage: str) -> None:
    site.deployed(valid_for="2000h")
    if damage == "key gone":
        site.host.key_path.unlink()
    if damage == "key garbage":
        site.host.key_path.write_text("garbage")
    if damage == "certificate gone":
        site.host.path.unlink()
        site.pem.unlink()
    if damage == "expired":
        site.after = timedelta(hours=2001)
    result = site.run(regenerate="full")
    assert result["failed"] is True
    assert site.advice in result["msg"]
    site.hand_in(site.issue(now=NOW + site.after))
    assert site.run(regenerate="full")["chain"] == "valid"
    assert site.host.matches()
    assert not site.run(regenerate="full")["changed"]


def test_new_key_waits_beside_the_key_in_use(site: Site) -> None:
    site.deployed()
    former = site.host.key_path.read_bytes()
    other = {"privatekey_curve": "secp384r1", "regenerate": "partial"}
    asked = site.run(**other)
    assert (asked.get("failed"), asked["chain"], len(asked["awaited"])) == (None, "valid", 1)
    assert site.host.key_path.read_bytes() == former
    waiting = bytes_of(site)
    assert not site.run(**other)["changed"], "the same key waits"
    site.hand_in(site.issue())
    assert site.run(**other)["privatekey_curve"] == "secp384r1"
    assert bytes_of(site) == waiting
    assert site.host.matches()
    assert sorted(path.name for path in site.host.folder.iterdir()) == ["s-key.pem", "s.pem"]


def test_listed_certificate_is_replaced_with_a_new_key(site: Site) -> None:
    site.deployed()
    former = site.public()
    replace = {"replace": [site.run()["fingerprint_sha256"]]}
    asked = site.run(**replace)
    assert asked["awaited"] == ["the certificate with its key is listed in replace"]
    waiting = bytes_of(site)
    assert waiting != encode_public_key(former)
    site.hand_in(certificate(None, site.ca.authority, public=former, **FIT))
    assert "is not the certificate of the key on this host" in site.run(**replace)["msg"], (
        "of the former key"
    )
    site.hand_in(site.issue())
    assert site.run(**replace)["changed"]
    assert (site.host.matches(), bytes_of(site) == waiting) == (True, True)
    assert not site.run(**replace)["changed"]


def test_certificate_of_a_replaced_host_is_rejected(site: Site) -> None:
    """The request is for the new key, but the existing certificate is for the previous key."""
    site.deployed()
    former = bytes_of(site)
    for path in (site.host.path, site.host.key_path):
        path.unlink()
    result = site.run()
    assert (
        f"{site.pem} cannot be used: it is not the certificate of the key on this host; {site.advice}"
        in result["msg"]
    )
    assert bytes_of(site) != former
    site.hand_in(site.issue())
    assert site.run()["chain"] == "valid"


# --- requests that a host returns


def lying(**ask: Any) -> str:
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name(
            ask.get("name", [x509.NameAttribute(oid, "system:kube-scheduler") for oid in _OIDS])
        )
    )
    other = (
        "content_commitment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
    )
    usage = dict.fromkeys((*other, "key_encipherment", "decipher_only"), False)
    extended = [x509.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ExtendedKeyUsageOID.SERVER_AUTH]
    for value in (
        x509.KeyUsage(digital_signature=True, **{**usage, **ask.get("usage", {})}),
        x509.ExtendedKeyUsage(ask.get("extended", extended)),
        x509.SubjectAlternativeName(ask.get("names", _names())),
        *ask.get("more", ()),
    ):
        builder = builder.add_extension(value, critical=False)
    for oid, value in ask.get("attributes", ()):
        builder = builder.add_attribute(oid, value)
    return (
        builder.sign(ask.get("key", spare("ECC")), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


_OIDS = (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)


def _names(*more: str) -> list[x509.GeneralName]:
    return [
        x509.IPAddress(ipaddress.ip_address(SANS[0])),
        *(x509.DNSName(name) for name in (SANS[1], *more)),
    ]


def test_request_from_another_tool_with_the_same_content_is_accepted(site: Site) -> None:
    """A request of another tool with the same content is accepted.

    The next tests therefore check that only the content causes a rejection.
    """
    site.answer = lambda result: {**result, "csr": lying()}
    assert site.advice in site.run()["msg"]
    assert bytes_of(site) == encode_public_key(spare("ECC").public_key())


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another group": (
        {
            "name": [
                x509.NameAttribute(_OIDS[0], "system:masters"),
                x509.NameAttribute(_OIDS[1], "system:kube-scheduler"),
            ]
        },
        "differs from the task in subject",
    ),
    "more names": ({"names": _names("evil.example")}, "differs from the task in subject_alt_name"),
    "fewer names": ({"names": _names()[:1]}, "differs from the task in subject_alt_name"),
    "a CA's usage": ({"usage": {"key_cert_sign": True}}, "differs from the task in key_usage"),
    "code": (
        {"extended": [x509.ExtendedKeyUsageOID.CODE_SIGNING]},
        "differs from the task in extended_key_usage",
    ),
    "a CA": (
        {"more": [x509.BasicConstraints(ca=True, path_length=None)]},
        "differs from the task in extension",
    ),
    "a template": (
        {"attributes": [(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"challenge")]},
        "differs from the task in extension",
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_request_with_other_content_is_not_written(site: Site, case: str) -> None:
    ask, words = LIES[case]
    if "attributes" in ask and not hasattr(x509.CertificateSigningRequest, "attributes"):
        pytest.skip("this cryptography tells of no attributes")
    site.answer = lambda result: {**result, "csr": lying(**ask)}
    result = site.run()
    assert (result["failed"], words in result["msg"]) == (True, True), result["msg"]
    assert not any(site.folder.iterdir())


@pytest.mark.parametrize(
    "csr", [7, True, ["x"], {"x": 1}, "garbage", "x" * (16 << 10), "x" * (100 << 10), "\u00e9"]
)
def test_invalid_request_is_not_written(site: Site, csr: Any) -> None:
    site.answer = lambda result: {**result, "csr": csr}
    result = site.run()
    assert (result["failed"], "signing request" in result["msg"]) == (True, True)
    assert not any(site.folder.iterdir())


def test_request_without_proof_of_possession_is_not_written(site: Site) -> None:
    sound = x509.load_pem_x509_csr(
        lying(key=spare("RSA"), usage={"key_encipherment": True}).encode()
    )
    signature = sound.signature[:-1] + bytes([sound.signature[-1] ^ 1])
    forged = sound.public_bytes(serialization.Encoding.DER).replace(sound.signature, signature)
    text = base64.encodebytes(forged).decode()
    request = f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"
    site.answer = lambda result: {**result, "csr": request}
    result = site.run()
    assert result["failed"] is True
    assert "is not signed with its own key; check that the host runs" in result["msg"]
    assert not any(site.folder.iterdir())


@pytest.mark.parametrize("value", [7, "x", None, {"a": 1}, [{"x": "y"}], ["x" * 10_000, "a\nb"]])
def test_invalid_reasons_are_ignored(site: Site, value: Any) -> None:
    site.answer = lambda result: {**result, "awaited": value, "refused": []}
    result = site.run()
    assert len(result.get("msg", "")) < 2000


# --- files on the controller


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no CA": (
        {"ca_path": None},
        "ca_path: is not set; with ca_on: external, set the CA's certificate on the controller",
    ),
    "no request": (
        {"csr_path": None},
        "csr_path: is not an absolute path; with ca_on: external, set a path on the controller",
    ),
    "relative": (
        {"certificate_source": "m1.pem"},
        "certificate_source: is not an absolute path; with ca_on: external",
    ),
    "no folder": (
        {"csr_path": "/nonexistent/m1.csr"},
        "csr_path: '/nonexistent' is not a directory on the controller",
    ),
    "force": (
        {"force": True},
        "ca_on: an external CA issues a certificate only when it is due",
    ),
    "always": (
        {"regenerate": "always"},
        "ca_on: an external CA issues a certificate only when it is due",
    ),
    "a CA": ({"is_ca": True}, "ca_on: an external CA issues a certificate only when it is due"),
    "hidden": ({"_request": "x"}, "_request is not an option of x509_cert"),
}


@pytest.mark.parametrize("case", BAD)
def test_invalid_options_are_rejected_before_the_first_contact(site: Site, case: str) -> None:
    given, words = BAD[case]
    result = site.run(**given)
    assert result["failed"] is True
    assert words in result["msg"]
    assert site.sent == []


def test_files_on_the_controller_are_validated(site: Site) -> None:
    for content, words in (
        (key_pem(spare("ECC")), "contains a private key, which the host must not receive"),
        ("garbage", "contains no certificate in PEM format"),
    ):
        site.pem.write_text(content)
        result = site.run()
        assert words in result["msg"]
        assert result["msg"].startswith(f"certificate_source: '{site.pem}'")
    site.pem.unlink()
    site.csr.write_text("garbage")
    site.run()
    assert site.public()
    site.ca.path.write_text(pem(certificate(spare("ECC"), **FIT)))
    assert "is not a CA" in site.run()["msg"]
    site.ca.path.unlink()
    assert "does not exist" in site.run()["msg"]
    assert not site.run(check=True).get("failed")
    assert len(site.sent) == 1


def test_one_fit_ca_of_several_in_a_file_is_enough(site: Site) -> None:
    site.ca.path.write_text(Ca(key=spare("ECC", number=2)).pem + site.ca.pem)
    site.deployed()


def test_module_without_its_action_plugin_fails(site: Site) -> None:
    with pytest.raises(
        X509Error, match="ca_on: external requires the action plugin of the collection"
    ):
        site.host.run(ca_on="external")


def test_removal_needs_no_ca(site: Site) -> None:
    site.deployed()
    assert site.run(state="absent")["changed"]
    assert not site.host.path.exists()


def test_encrypted_key_stays_encrypted(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    given = {"privatekey_passphrase_file": str(secret), "privatekey_format": "traditional"}
    site.run(**given)
    site.hand_in(site.issue())
    assert site.run(**given)["chain"] == "valid"
    kept = parse_private_key(site.host.key_path.read_bytes(), b"hush", "key")
    assert (kept.format, kept.encrypted) == ("traditional", True)
    assert not site.run(**given)["changed"]

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test that an unusable key pair of the user is rejected."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    read_public_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.provided import (
    ProvidedFile,
    check_provided_pair,
    read_subject,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import check_chain

from tests.support import chain_cases, chains
from tests.support.fake_module import one_line
from tests.support.pki import NOW, Ca, certificate, key_pem, pem, spare

KEY = spare("ECC", number=7)
SANS = ["127.0.0.1", "192.0.2.1", "m1.example"]
FIT: dict[str, Any] = {"subject": {"CN": "system:kube-scheduler"}, "subject_alt_name": SANS}


@pytest.fixture
def ca() -> Ca:
    return Ca()


def leaf(ca: Ca, **given: Any) -> str:
    return pem(certificate(KEY, ca.authority, **{**FIT, **given}))


def refused(
    ca: Ca, cert: str, key: str | None = None, ca_pem: str | None = None, now: Any = NOW
) -> list[str]:
    files = (
        ProvidedFile("cert_source", "/c.pem", cert.encode()),
        ProvidedFile("key_source", "/k.pem", (key_pem(KEY) if key is None else key).encode()),
        ProvidedFile("ca_cert", "/ca.pem", (ca.pem if ca_pem is None else ca_pem).encode()),
    )
    return [one_line(error) for error in check_provided_pair(*files, SANS, now)]


def test_valid_pair_is_accepted(ca: Ca) -> None:
    assert refused(ca, leaf(ca)) == []
    cert, key = ca.issue("system:kube-scheduler", dns=SANS[2:], ips=SANS[:2])
    assert refused(ca, cert, key) == [], "of another tool, without any usages"
    assert refused(ca, leaf(ca), ca_pem=Ca(key=spare("ECC", number=9)).pem + ca.pem) == []


def test_pair_with_an_intermediate_is_accepted(ca: Ca) -> None:
    key = spare("ECC", number=8)
    middle = certificate(
        key, ca.authority, subject={"CN": "middle"}, is_ca=True, valid_for="10000h"
    )
    own = pem(certificate(KEY, CertificateAuthority(middle, key), **FIT))
    assert refused(ca, own + pem(middle)) == []
    [line] = refused(ca, own)
    assert line.startswith("cert_source: '/c.pem' is not signed by the CA in '/ca.pem'")


def chain_of(*extensions: bytes) -> tuple[str, str]:
    """Return the PEM of a usable leaf with its intermediate CA, and of the root."""
    case = chain_cases.stack(chain_cases.root(), extensions)
    parent, anchor = case.intermediates[0], case.anchors[0]
    authority = CertificateAuthority(parent.certificate, parent.key)
    return pem(certificate(KEY, authority, **FIT)) + pem(parent.certificate), pem(
        anchor.certificate
    )


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        (
            (*chain_cases.CA, chains.constraints(["IP:10.0.0.0/8"])),
            "IP:127.0.0.1 is not in IP:10.0.0.0/8, which the CA permits; request",
        ),
        (
            (*chain_cases.CA, chains.constraints(["dirName:x"])),
            "marks name constraints of the kind directoryName as critical",
        ),
        (
            (*chain_cases.CA, chains.unknown()),
            "marks the extension 1.3.6.1.4.1.99999.1 as critical",
        ),
        (
            (*chain_cases.CA, chains.extended(chains.SERVER)),
            "the extendedKeyUsage of a CA of its chain lacks clientAuth",
        ),
    ],
)
def test_chain_that_kubernetes_rejects_is_rejected(
    ca: Ca, extensions: tuple[bytes, ...], words: str
) -> None:
    own, anchor = chain_of(*extensions)
    [line] = refused(ca, own, ca_pem=anchor)
    assert words in line


@pytest.mark.parametrize("usages", [["anyExtendedKeyUsage"], ["codeSigning"]])
def test_chain_is_checked_for_each_extended_key_usage(usages: list[str]) -> None:
    limits = {"permitted": ["DNS:example.org"]}
    parent = Ca(key=spare("ECC", number=8), name_constraints=limits)
    own = certificate(KEY, parent.authority, **FIT, extended_key_usage=usages)
    [problem] = check_chain([own], [parent.certificate], "the CA", NOW)
    assert "violates the name constraints" in problem.reason


@pytest.mark.parametrize(
    "anchor",
    [
        chain_cases.root(serial=0),
        chain_cases.root(chains.basic()),
        chain_cases.root(key=spare("RSA"), salt=32),
        chain_cases.root(subject=chains.name("K\u00f6ln".encode("latin-1"), chains.T61)),
    ],
    ids=["serial number 0", "no keyUsage", "RSASSA-PSS", "T61"],
)
def test_ca_that_kubernetes_accepts_is_accepted(ca: Ca, anchor: chains.Entity) -> None:
    names = [f"IP:{name}" if name[0].isdigit() else f"DNS:{name}" for name in SANS]
    own = chain_cases.leaf(anchor, names=names)
    files = (pem(own.certificate), key_pem(own.key), pem(anchor.certificate))
    assert refused(ca, *files) == []


def test_ca_with_a_key_for_pss_only_is_rejected_with_the_reason(ca: Ca) -> None:
    case = chain_cases.rsa_encoding(b"", kind=10)
    if read_public_key(case.anchors[0].certificate) is None:
        pytest.skip("this version of the library cannot read such a key")
    files = (pem(case.leaf.certificate), key_pem(case.leaf.key), chains.pem_of(case.anchors[0]))
    line = "\n".join(refused(ca, *files))
    assert "leads to a CA that has a public key of the type RSASSA-PSS" in line


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"subject_alt_name": []},
            "lacks the subject alternative names IP:127.0.0.1, IP:192.0.2.1, DNS:m1.example; request",
        ),
        (
            {"subject_alt_name": SANS[:2]},
            "lacks the subject alternative names DNS:m1.example; request a certificate with these names",
        ),
        (
            {"extended_key_usage": ["clientAuth"]},
            "is used by client and server, but its extendedKeyUsage lacks serverAuth",
        ),
        (
            {"extended_key_usage": ["serverAuth"]},
            "is used by client and server, but its extendedKeyUsage lacks clientAuth",
        ),
        (
            {"key_usage": ["keyAgreement"]},
            "cannot sign a TLS handshake: its keyUsage lacks digitalSignature",
        ),
        (
            {"is_ca": True},
            "is the certificate of a CA; request a certificate for a client and server",
        ),
    ],
)
def test_certificate_for_another_purpose_is_rejected(
    ca: Ca, given: dict[str, Any], words: str
) -> None:
    assert f"cert_source: '/c.pem' {words}" in "\n".join(refused(ca, leaf(ca, **given)))


def test_certificate_that_is_not_valid_now_is_rejected(ca: Ca) -> None:
    own = leaf(ca, valid_for="24h", renew_before="1h")
    [line] = refused(ca, own, now=NOW + timedelta(hours=25))
    assert line.startswith("cert_source: '/c.pem' expired on ")
    line, ca_line = refused(ca, own, now=NOW - timedelta(hours=1))
    assert line.startswith("cert_source: '/c.pem' is not valid before ")
    assert "through a certificate that is not valid before" in ca_line


def test_certificate_of_another_ca_with_the_same_name_is_rejected(ca: Ca) -> None:
    [line] = refused(ca, leaf(Ca(key=spare("ECC", number=9))))
    assert line.startswith(
        "cert_source: '/c.pem' is not signed by the CA in '/ca.pem'; request a certificate from this CA"
    )


def test_invalid_pair_is_rejected(ca: Ca) -> None:
    [line] = refused(ca, leaf(ca), key_pem(spare("ECC", number=9)))
    assert (
        line
        == "cert_source: '/c.pem' is not the certificate of the key in '/k.pem'; set a matching certificate and key"
    )
    [line] = refused(ca, leaf(ca), key_pem(KEY, "hush"))
    assert line.startswith("key_source: '/k.pem' is encrypted, but a server has no passphrase")
    [line] = refused(ca, leaf(ca), "garbage")
    assert line.startswith("key_source: '/k.pem' does not contain exactly one private key")
    [line] = refused(ca, leaf(ca) + key_pem(KEY))
    assert line.startswith("cert_source: '/c.pem' also contains a private key")
    for text in (
        "",
        "garbage",
        leaf(ca)[:200],
        leaf(ca) + "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
    ):
        [line] = refused(ca, text)
        assert line.startswith(
            "cert_source: '/c.pem' contains no certificate in PEM format, or one that cannot be read"
        )


def test_subject_is_read_from_the_first_certificate() -> None:
    assert read_subject(leaf(Ca()).encode()) == {"CN": "system:kube-scheduler"}
    assert read_subject(b"garbage") == {}

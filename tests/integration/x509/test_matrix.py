# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate a matrix of certificates with OpenSSL, pkilint and Go, and compare them with cfssl."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    read_fields,
    read_validity,
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    choose_hash,
    encode_public_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc
from cryptography import x509

from tests.support.pki import NOW, Ca, Host, openssl, spare

HERE = Path(__file__).parent

KEYS: dict[str, dict[str, Any]] = {
    "rsa2048": {"privatekey_type": "RSA"},
    "rsa4096": {"privatekey_type": "RSA", "privatekey_size": 4096},
    "p256": {"privatekey_type": "ECC"},
    "p384": {"privatekey_type": "ECC", "privatekey_curve": "secp384r1"},
    "p521": {"privatekey_type": "ECC", "privatekey_curve": "secp521r1"},
    "ed25519": {"privatekey_type": "Ed25519"},
}
USAGES = {"client": ["clientAuth"], "server": ["serverAuth"], "both": ["clientAuth", "serverAuth"]}
# Each entry has subject alternative names, and a name that a client can connect to, or "-".
NAMES: dict[str, tuple[list[str], str]] = {
    "none": ([], "-"),
    "ipv4": (["127.0.0.1", "10.0.0.1"], "10.0.0.1"),
    "ipv6": (["::1", "2001:db8::1"], "2001:db8::1"),
    "dns": (["m1.example.com", "m2.example.com"], "m2.example.com"),
    "idn": (["bücher.example"], "xn--bcher-kva.example"),
    "email": (["a@example.com"], "-"),
    "uri": (["https://example.com/x"], "-"),
    # pkilint rejects wildcards, names of one label and the URI scheme spiffe, but clusters use them.
    "foreign": (
        ["m1", "*.svc.cluster.local", "spiffe://cluster.local/ns/kube-system"],
        "x.svc.cluster.local",
    ),
    "all": (
        ["127.0.0.1", "m1.example.com", "a@example.com", "https://example.com/x"],
        "m1.example.com",
    ),
}
SUBJECT = {
    "CN": "system:kube-scheduler",
    "O": "system:kube-scheduler",
    "C": "CN",
    "ST": "BeiJing",
    "L": "BeiJing",
    "OU": "4Paradigm",
}


def linter() -> Callable[[bytes], list[str]]:
    certificate = pytest.importorskip("pkilint.pkix.certificate")
    from pkilint import loader  # noqa: PLC0415
    from pkilint.pkix import extension, name  # noqa: PLC0415

    judge = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(
            name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
        ),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )

    def lint(pem: bytes) -> list[str]:
        document = loader.RFC5280CertificateDocumentLoader().load_pem_document(pem.decode(), "leaf")
        return [
            f"{finding.finding.severity.name} {finding.finding.code}"
            for result in judge.validate(document.root)
            for finding in result.finding_descriptions
            if finding.finding.severity.name in ("WARNING", "ERROR", "FATAL")
        ]

    return lint


def leaf(folder: Path, ca: Ca, **task: Any) -> Host:
    folder.mkdir()
    host = Host(folder, ca, **{"subject": SUBJECT, "subject_alt_name": [], **task})
    host.run()
    return host


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Ca:
    return Ca(tmp_path_factory.mktemp("ca"), spare())


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, ca: Ca) -> dict[tuple[str, str, str], Host]:
    """Return all certificates of the matrix.

    Certificates of one key type share a key, because the tests compare only certificates.
    """
    folder = tmp_path_factory.mktemp("matrix")
    made = {}
    for case in itertools.product(KEYS, USAGES, NAMES):
        key, usage, names = case
        place = folder / "-".join(case)
        place.mkdir()
        kind = KEYS[key]
        shared: dict[str, Any] = {
            "size": kind.get("privatekey_size"),
            "curve": kind.get("privatekey_curve"),
        }
        host = Host(
            place,
            ca,
            subject=SUBJECT,
            subject_alt_name=NAMES[names][0],
            extended_key_usage=USAGES[usage],
            **kind,
        )
        host.place(spare(kind["privatekey_type"], **shared))
        assert host.run()["chain"] == "valid"
        made[case] = host
    return made


def test_openssl_verifies_all_certificates_strictly(
    matrix: dict[tuple[str, str, str], Host], ca: Ca
) -> None:
    for usage, purpose in (
        ("client", "sslclient"),
        ("server", "sslserver"),
        ("both", "sslclient"),
        ("both", "sslserver"),
    ):
        leaves = [str(host.path) for case, host in matrix.items() if case[1] == usage]
        output = openssl(
            "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(ca.path), *leaves
        )
        assert output.count(": OK") == len(leaves)
    openssl("verify", "-x509_strict", "-CAfile", str(ca.path), str(ca.path))


def test_pkilint_has_no_findings(matrix: dict[tuple[str, str, str], Host], ca: Ca) -> None:
    lint = linter()
    findings = {
        case: lint(host.path.read_bytes()) for case, host in matrix.items() if case[2] != "foreign"
    }
    assert {case: found for case, found in findings.items() if found} == {}
    assert lint(ca.path.read_bytes()) == []


@pytest.fixture(scope="module")
def handshake(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not shutil.which("go"):
        pytest.skip("needs Go")
    program = tmp_path_factory.mktemp("go") / "handshake"
    environment = {**os.environ, "GO111MODULE": "off", "CGO_ENABLED": "0"}
    subprocess.run(
        ["go", "build", "-o", str(program), "main.go"],
        cwd=HERE / "handshake",
        env=environment,
        check=True,
    )
    return str(program)


def test_go_handshake_succeeds_in_both_roles(
    handshake: str, matrix: dict[tuple[str, str, str], Host], ca: Ca, tmp_path: Path
) -> None:
    helper = leaf(
        tmp_path / "helper", ca, subject={"CN": "helper"}, subject_alt_name=["helper.example"]
    )
    lines = []
    for (_key, usage, names), host in matrix.items():
        name = NAMES[names][1] if usage != "client" else "-"
        client = "client" if usage != "server" else "-"
        if (name, client) != ("-", "-"):
            lines.append(f"{ca.path} {host.path} {host.key_path} {name} {client}\n")
    command = [handshake, str(helper.path), str(helper.key_path)]
    done = subprocess.run(
        command, input="".join(lines), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(lines) > 100


@pytest.mark.parametrize(
    "kind", [("RSA", {"size": 3072}), ("ECC", {"curve": "secp384r1"}), ("Ed25519", {})]
)
def test_ca_of_each_key_type_is_valid(tmp_path: Path, handshake: str, kind: Any) -> None:
    ca = Ca(tmp_path, spare(kind[0], **kind[1]))
    host = leaf(tmp_path / "leaf", ca, subject_alt_name=["helper.example"])
    openssl("verify", "-x509_strict", "-CAfile", str(ca.path), str(host.path))
    assert linter()(host.path.read_bytes()) == []
    line = f"{ca.path} {host.path} {host.key_path} helper.example client\n"
    subprocess.run(
        [handshake, str(host.path), str(host.key_path)], input=line, text=True, check=True
    )


def test_time_after_2049_is_generalized(tmp_path: Path) -> None:
    ca = Ca(tmp_path, valid_for="876000h")
    host = leaf(tmp_path / "leaf", ca, valid_for="438000h")
    assert "GENERALIZEDTIME" in openssl("asn1parse", "-in", str(host.path))
    openssl("verify", "-x509_strict", "-CAfile", str(ca.path), str(host.path))
    assert linter()(host.path.read_bytes()) == []


def test_names_are_critical_without_a_subject(tmp_path: Path, ca: Ca) -> None:
    host = leaf(tmp_path / "leaf", ca, subject={}, subject_alt_name=["m1.example.com"])
    assert "X509v3 Subject Alternative Name: critical" in openssl(
        "x509", "-in", str(host.path), "-noout", "-text"
    )
    openssl("verify", "-x509_strict", "-CAfile", str(ca.path), str(host.path))
    assert linter()(host.path.read_bytes()) == []


def test_intermediate_ca_with_constraints_is_valid(tmp_path: Path) -> None:
    root = Ca(tmp_path, spare())
    middle = leaf(
        tmp_path / "middle",
        root,
        subject={"CN": "middle"},
        is_ca=True,
        path_length=0,
        valid_for="43800h",
        name_constraints={
            "permitted": ["DNS:example.com", "IP:10.0.0.0/8"],
            "excluded": ["DNS:bad.example.com"],
        },
    )
    assert linter()(middle.path.read_bytes()) == []
    (tmp_path / "leaf").mkdir()
    host = Host(
        tmp_path / "leaf", None, subject=SUBJECT, subject_alt_name=["m1.example.com", "10.0.0.1"]
    )
    host.task |= {"ca_path": str(middle.path), "ca_privatekey_path": str(middle.key_path)}
    host.run()
    openssl(
        "verify",
        "-x509_strict",
        "-CAfile",
        str(root.path),
        "-untrusted",
        str(middle.path),
        str(host.path),
    )


# --- cfssl


CSR = {
    "CN": "system:kube-scheduler",
    "hosts": ["127.0.0.1", "172.27.129.105", "m1.example.com"],
    "names": [
        {
            "C": "CN",
            "ST": "BeiJing",
            "L": "BeiJing",
            "O": "system:kube-scheduler",
            "OU": "4Paradigm",
        }
    ],
}
CONFIG = {
    "signing": {
        "default": {"expiry": "8760h"},
        "profiles": {
            "kubernetes": {
                "usages": ["signing", "key encipherment", "server auth", "client auth"],
                "expiry": "26280h",
            }
        },
    }
}


def cfssl(folder: Path, *arguments: str, bare: str) -> None:
    done = subprocess.run(["cfssl", *arguments], cwd=folder, check=True, capture_output=True)
    made = json.loads(done.stdout)
    for name, suffix in (("cert", ".pem"), ("key", "-key.pem")):
        (folder / f"{bare}{suffix}").write_text(made[name])
        (folder / f"{bare}{suffix}").chmod(0o600 if name == "key" else 0o644)


def all_fields(pem: bytes) -> dict[str, Any]:
    """Return all fields of a certificate except its serial number and its start."""
    certificate = x509.load_pem_x509_certificate(pem)
    begins, ends = read_validity(certificate)
    return {
        **(read_fields(certificate) or {}),
        "version": certificate.version,
        "subject as written": [
            (attribute.oid, attribute.value) for attribute in certificate.subject
        ],
        "issuer as written": certificate.issuer.public_bytes(),
        "key": encode_public_key(certificate.public_key()),
        "critical": {
            extension.oid.dotted_string: extension.critical for extension in certificate.extensions
        },
        "subject key": certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value.digest,
        "authority key": certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier,
        "lifetime": round((ends - begins) / timedelta(hours=1)),
    }


@pytest.mark.skipif(not shutil.which("cfssl"), reason="needs cfssl (Debian: golang-cfssl)")
@pytest.mark.parametrize("key", [{"algo": "rsa", "size": 2048}, {"algo": "ecdsa", "size": 256}])
def test_certificate_matches_that_of_cfssl(tmp_path: Path, key: dict[str, Any]) -> None:
    (tmp_path / "ca-csr.json").write_text(
        json.dumps(
            {"CN": "kubernetes", "key": {"algo": "rsa", "size": 2048}, "names": CSR["names"]}
        )
    )
    (tmp_path / "ca-config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "csr.json").write_text(json.dumps({**CSR, "key": key}))
    cfssl(tmp_path, "gencert", "-initca", "ca-csr.json", bare="ca")
    signing = ("-ca=ca.pem", "-ca-key=ca-key.pem", "-config=ca-config.json", "-profile=kubernetes")
    cfssl(tmp_path, "gencert", *signing, "csr.json", bare="s")
    expected = all_fields((tmp_path / "s.pem").read_bytes())
    host = Host(
        tmp_path, None, subject={"CN": CSR["CN"]}, names=CSR["names"], subject_alt_name=CSR["hosts"]
    )
    host.task |= {"ca_path": f"{tmp_path}/ca.pem", "ca_privatekey_path": f"{tmp_path}/ca-key.pem"}
    host.task |= {"ca_config": f"{tmp_path}/ca-config.json", "profile": "kubernetes"}
    host.task |= {"privatekey_type": "RSA" if key["algo"] == "rsa" else "ECC"}
    now = current_utc() - NOW  # The CA of cfssl starts now, and NOW is the start of the test run.
    adopted = host.run(after=now)
    if key["algo"] == "rsa":
        assert (adopted["changed"], adopted["reasons"]) == (False, [])
        host.run(after=now, force=True)
    else:
        # cfssl writes keyEncipherment even for a key that does not support it.
        assert adopted["reasons"] == ["key_usage also has keyEncipherment"]
        expected["key_usage"].remove("keyEncipherment")
    assert all_fields(host.path.read_bytes()) == expected


def test_linter_reports_an_invalid_certificate(tmp_path: Path) -> None:
    builder = x509.CertificateBuilder(
        x509.Name([]),
        x509.Name([]),
        spare().public_key(),
        1,
        *read_validity(Ca(tmp_path).certificate),
    )
    pem = serialize_certificate(builder.sign(spare(), choose_hash(spare(), None)))
    assert linter()(pem) != []

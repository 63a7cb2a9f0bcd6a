# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import contextlib
import multiprocessing
import os
import random
import shutil
import ssl
import stat
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError, X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_CERTIFICATE_OPTION,
    CERTIFICATE_OPTION,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    read_fields,
    read_public_key,
    read_validity,
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    encode_public_key,
    parse_private_key,
    serialize_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import (
    create_request,
    verify_plain_request,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import compare_fields
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import build_key_usage
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from tests.support import chains
from tests.support.chain_cases import middle, root, rsa_encoding
from tests.support.fake_module import killed_at, one_line
from tests.support.pki import NOW, Ca, Host, certificate, spare, write_profiles

DAY = timedelta(days=1)
# ECC keys are fast to generate, for tests that generate many keys.
ECC = {"privatekey_type": "ECC"}


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    folder = tmp_path / "ca"
    folder.mkdir()
    return Ca(folder)


@pytest.fixture
def host(tmp_path: Path, ca: Ca) -> Host:
    folder = tmp_path / "host"
    folder.mkdir()
    return Host(folder, ca, **ECC)


def four(host: Host, changes: bool = True, **given: Any) -> dict[str, Any]:
    """Run a task in check mode, normally, and both ways again. Return the first normal result."""
    before = host.snapshot()
    predicted = host.run(check=True, **given)
    assert host.snapshot() == before
    real = host.run(**given)
    assert (predicted["changed"], predicted["reasons"]) == (real["changed"], real["reasons"])
    assert real["changed"] is changes
    if given.get("state") != "absent":
        made_up = (
            "serial_number",
            "not_before",
            "not_after",
            "days_left",
            "fingerprint_sha256",
            "chain",
        )
        assert all((predicted[name] is None) == bool(real["reasons"]) for name in made_up)
        certain = set(real) - {*made_up, "diff", "digest", "backup_file", "privatekey_backup_file"}
        assert {name: predicted[name] for name in certain} == {name: real[name] for name in certain}
    after = host.snapshot()
    for check in (True, False):
        again = host.run(check=check, **given)
        assert (again["changed"], again["reasons"]) == (False, [])
        assert host.snapshot() == after
    return real


def test_pair_is_created_changed_and_removed(host: Host) -> None:
    made = four(host)
    assert made["reasons"] == ["the private key is missing", "the certificate is missing"]
    assert (made["days_left"], made["chain"], made["privatekey_size"]) == (365, "valid", 256)
    assert made["diff"]["before"] == {"private_key": None}
    changed = four(host, subject_alt_name=["10.0.0.1", "::1"], backup=True)
    assert changed["reasons"] == [
        "subject_alt_name lacks IP:10.0.0.1 and also has DNS:m1.example.com, IP:127.0.0.1"
    ]
    assert Path(changed["backup_file"]).exists()
    assert "privatekey_backup_file" not in changed
    assert host.matches()
    gone = four(host, state="absent", backup=True)
    assert (not host.path.exists(), not host.key_path.exists()) == (True, True)
    for name in ("backup_file", "privatekey_backup_file"):
        assert stat.S_IMODE(os.stat(gone[name]).st_mode) == 0o600


def test_rights_are_corrected_without_a_new_certificate(host: Host) -> None:
    made = host.run()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (host.key_path, host.path)] == [
        0o600,
        0o644,
    ]
    host.key_path.chmod(0o644)
    host.path.chmod(0o600)
    mended = four(host)
    assert (mended["reasons"], mended["serial_number"]) == ([], made["serial_number"])
    assert [stat.S_IMODE(path.stat().st_mode) for path in (host.key_path, host.path)] == [
        0o600,
        0o644,
    ]
    four(host, mode="0640")
    assert stat.S_IMODE(host.key_path.stat().st_mode) == 0o640


RENEWALS: dict[str, tuple[dict[str, Any], str]] = {
    "subject": (
        {"subject": {"CN": "other"}},
        "subject is CN=other, expected O=system:kube-scheduler, CN=system:kube-scheduler",
    ),
    "names": (
        {"subject_alt_name": ["127.0.0.1", "::1"]},
        "subject_alt_name lacks DNS:m1.example.com",
    ),
    "key usage": (
        {"key_usage": ["digitalSignature", "keyAgreement"]},
        "key_usage also has keyAgreement",
    ),
    "extended": ({"extended_key_usage": ["clientAuth"]}, "extended_key_usage lacks serverAuth"),
    "a CA": ({"is_ca": True}, "is_ca is True, expected False"),
    "expired": ({"now": NOW - 366 * DAY}, "expired on "),
    "early": ({"now": NOW + DAY}, "not valid before "),
    "in the window": ({"valid_for": "719h", "renew_before": "1h"}, "within 720h"),
    "outlives": ({"valid_for": "100000h"}, "after its CA"),
}


@pytest.mark.parametrize("case", RENEWALS)
def test_certificate_that_differs_is_reissued_with_the_same_key(
    host: Host, ca: Ca, case: str
) -> None:
    given, reason = RENEWALS[case]
    key = spare("ECC")
    host.place(key, certificate(key, ca.authority, **{**host.task, **given}))
    result = four(host)
    assert reason in "; ".join(result["reasons"])
    assert host.matches()
    assert host.key_path.read_bytes() == serialize_key(key, "pkcs8", None)


def test_all_reasons_are_reported_together(host: Host, tmp_path: Path) -> None:
    foreign = Ca(tmp_path, spare("ECC", curve="secp384r1"), "foreign", subject={"CN": "foreign"})
    given = {
        **host.task,
        "subject": {"CN": "x"},
        "subject_alt_name": [],
        "extended_key_usage": ["codeSigning"],
    }
    host.place(
        spare("ECC"),
        certificate(
            spare("ECC", curve="secp521r1"), foreign.authority, now=NOW - 1000 * DAY, **given
        ),
    )
    fields = (
        "does not belong to the private key",
        "subject is",
        "subject_alt_name",
        "extended_key_usage",
        "issuer",
        "expired",
    )
    reasons = four(host)["reasons"]
    assert [next(reason for reason in reasons if field in reason) for field in fields]
    assert len(reasons) == len(fields)


def test_new_ca_key_with_the_same_name_renews_the_certificate(
    host: Host, ca: Ca, tmp_path: Path
) -> None:
    host.run()
    ca.key = spare("ECC", curve="secp384r1")
    other = Ca(ca.path.parent, ca.key)
    assert other.path == ca.path
    assert four(host)["reasons"] == ["the signature is not from the current key of the CA"]


def test_ca_renewed_with_its_key_renews_no_certificate(host: Host, ca: Ca) -> None:
    host.run()
    Ca(ca.path.parent, ca.key, valid_for="90000h")
    assert four(host, changes=False)["reasons"] == []


def test_other_digest_reissues_the_certificate(host: Host) -> None:
    assert host.run()["digest"] == "sha256"
    assert four(host, digest="sha384")["reasons"] == ["digest is sha256, expected sha384"]
    assert four(host, changes=False)["digest"] == "sha384"


def test_force_reissues_the_certificate(host: Host) -> None:
    first = host.run()
    assert host.run(check=True, force=True)["reasons"] == ["force is set"]
    second = host.run(force=True)
    assert second["serial_number"] != first["serial_number"]
    assert second["privatekey_size"] == first["privatekey_size"]


def test_listed_certificate_gets_a_new_key_once(host: Host) -> None:
    first = host.run()
    key = host.key_path.read_bytes()
    wanted = [first["fingerprint_sha256"].lower(), "00" * 32]
    made = four(host, replace=wanted)
    assert made["reasons"] == ["the certificate with its key is listed in replace"]
    assert made["fingerprint_sha256"] != first["fingerprint_sha256"]
    assert host.key_path.read_bytes() != key
    assert host.matches()
    assert four(host, changes=False, replace=wanted)["reasons"] == []


def test_listed_certificate_keeps_its_key_with_regenerate_never(host: Host) -> None:
    first = host.run()
    key = host.key_path.read_bytes()
    made = four(host, replace=[first["fingerprint_sha256"]], regenerate="never")
    assert made["reasons"] == ["the certificate is listed in replace"]
    assert host.key_path.read_bytes() == key
    assert host.matches()


@pytest.mark.parametrize("text", ["", "00:11", "x" * 64, "0" * 65])
def test_invalid_fingerprint_is_rejected(host: Host, text: str) -> None:
    with pytest.raises(
        X509Error,
        match=r"replace: '.*' is not a SHA-256 fingerprint; set 64 hexadecimal digits",
    ):
        host.run(replace=[text])
    assert host.snapshot() == {}


def test_percentage_window_renews_the_certificate(host: Host) -> None:
    host.run(renew_before="33%")
    assert not host.run(renew_before="33%", after=timedelta(days=244))["changed"]
    assert host.run(renew_before="33%", after=timedelta(days=245))["reasons"] != []


def test_certificate_never_outlives_its_ca(host: Host) -> None:
    task: dict[str, Any] = {"valid_for": "100000h"}
    for check in (True, False):
        with pytest.raises(
            X509Error, match=r"after its CA, which ends on .* not_after_policy"
        ) as caught:
            host.run(check=check, **task)
        one_line(caught.value)
    assert host.snapshot() == {}
    task["not_after_policy"] = "clamp"
    result = four(host, **task)
    assert result["clamped"] is True
    host.run(**task)
    assert host.warnings == []
    # The CA expires soon, but no new certificate could expire later.
    almost = timedelta(hours=87600 - 24)
    later = host.run(after=almost, **task)
    assert (later["changed"], later["days_left"]) == (False, 1)
    assert "clamped" not in later


def test_warning_about_a_clamped_certificate_has_both_dates(host: Host) -> None:
    result = host.run(valid_for="100000h", not_after_policy="clamp")
    (warning,) = host.warnings
    assert result["not_after"] in warning
    assert result["not_after_wanted"] in warning


def test_cfssl_s_profile(host: Host) -> None:
    config = write_profiles(host.folder)
    result = four(host, ca_config=config, profile="kubernetes", not_after_policy="clamp")
    assert result["extended_key_usage"] == ["clientAuth", "serverAuth"]
    assert result["key_usage"] == ["digitalSignature"]  # keyEncipherment is for RSA keys only


# Keys


def test_different_key_is_rejected_by_default(host: Host, ca: Ca) -> None:
    for key, task, words in (
        (spare(), {}, "the key is RSA 2048, expected ECC"),
        (spare("ECC"), {"privatekey_type": "RSA"}, "the key is ECC secp256r1, expected RSA"),
        (
            spare("ECC"),
            {"privatekey_curve": "secp384r1"},
            "on the curve secp256r1, expected secp384r1",
        ),
        (
            spare(),
            {"privatekey_type": "RSA", "privatekey_size": 3072},
            "has 2048 bits, expected 3072",
        ),
        (
            spare("ECC"),
            {"privatekey_format": "traditional"},
            "in pkcs8 format, expected traditional",
        ),
        (spare("Ed25519"), {}, "the key is Ed25519 256, expected ECC"),
    ):
        host.place(key)
        before = host.snapshot()
        for check in (True, False):
            with pytest.raises(X509Error, match=words) as caught:
                host.run(check=check, **task)
            one_line(caught.value)
        assert host.snapshot() == before


@pytest.mark.parametrize("policy", ["partial", "full"])
def test_regenerate_replaces_a_key_of_another_type(host: Host, policy: str) -> None:
    host.place(spare())
    result = four(host, regenerate=policy, backup=True)
    assert result["privatekey_type"] == "ECC"
    assert Path(result["privatekey_backup_file"]).read_bytes() == serialize_key(
        spare(), "pkcs8", None
    )
    assert host.matches()


def test_regenerate_never_accepts_any_strong_key(host: Host) -> None:
    host.place(spare())
    assert (
        four(host, regenerate="never", privatekey_format="traditional")["privatekey_type"] == "RSA"
    )
    host.place(rsa.generate_private_key(65537, 1024))
    with pytest.raises(
        X509Error,
        match="an RSA key of 1024 bits, outside the allowed range of 2048 to 8192 bits, but regenerate is never",
    ):
        host.run(regenerate="never")


def test_regenerate_always_replaces_the_key(host: Host) -> None:
    host.run()
    first = host.key_path.read_bytes()
    assert host.run(check=True, regenerate="always")["reasons"][0] == "regenerate is always"
    host.run(regenerate="always")
    assert host.key_path.read_bytes() != first
    assert host.matches()


def test_other_format_keeps_the_key_and_its_certificate(host: Host) -> None:
    made = host.run()
    public = parse_private_key(host.key_path.read_bytes(), None, "x").private.public_key()
    result = four(host, regenerate="partial", privatekey_format="traditional")
    assert (result["reasons"], result["serial_number"]) == ([], made["serial_number"])
    key = parse_private_key(host.key_path.read_bytes(), None, "x")
    assert (key.format, encode_public_key(key.private.public_key())) == (
        "traditional",
        encode_public_key(public),
    )


def test_passphrase_encrypts_the_key_and_is_required(host: Host, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    four(host, privatekey_passphrase_file=str(secret))
    assert b"ENCRYPTED" in host.key_path.read_bytes()
    with pytest.raises(X509Error, match="is encrypted; set the passphrase_file option"):
        host.run()
    secret.write_text("wrong\n")
    with pytest.raises(X509Error, match="the passphrase is incorrect") as caught:
        host.run(privatekey_passphrase_file=str(secret))
    assert "wrong" not in str(caught.value)
    four(host, privatekey_passphrase_file=str(secret), regenerate="full")
    for content in (b"", b"\n", b"x" * 2000):
        secret.write_bytes(content)
        with pytest.raises((X509Error, FilesError), match="passphrase") as caught_other:
            host.run(privatekey_passphrase_file=str(secret))
        one_line(caught_other.value)


def test_encrypted_key_is_decrypted_only_with_regenerate_partial(
    host: Host, tmp_path: Path
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("x")
    host.run()
    with pytest.raises(X509Error, match="not encrypted"):
        host.run(privatekey_passphrase_file=str(secret))
    made = four(host, privatekey_passphrase_file=str(secret), regenerate="partial")
    assert made["reasons"] == []


@pytest.mark.parametrize("form", ["pkcs8", "traditional"])
@pytest.mark.parametrize(
    "task",
    [
        {"privatekey_type": "RSA"},
        {"privatekey_type": "ECC"},
        {"privatekey_type": "ECC", "privatekey_curve": "secp384r1"},
        {"privatekey_type": "ECC", "privatekey_curve": "secp521r1"},
        {"privatekey_type": "Ed25519"},
    ],
)
def test_every_kind_of_key(host: Host, form: str, task: dict[str, Any]) -> None:
    if (form, task["privatekey_type"]) == ("traditional", "Ed25519"):
        return
    four(host, privatekey_format=form, **task)
    four(host, changes=False, **{**task, "privatekey_format": "auto"})


# The CA


def test_self_signed_ca_is_created_and_changed(tmp_path: Path) -> None:
    host = Host(
        tmp_path,
        None,
        **ECC,
        is_ca=True,
        subject={"CN": "kubernetes"},
        subject_alt_name=[],
        valid_for="87600h",
    )
    limits = {
        "permitted": ["DNS:example.com", "IP:10.0.0.0/8"],
        "excluded": ["DNS:bad.example.com"],
    }
    made = four(host, path_length=0, name_constraints=limits)
    assert (made["path_length"], made["name_constraints"]["excluded"]) == (
        0,
        ["DNS:bad.example.com"],
    )
    assert made["issuer"] == made["subject"]
    assert four(host, path_length=1)["reasons"] == [
        "path_length is 0, expected 1",
        "name_constraints.permitted also has DNS:example.com, IP:10.0.0.0/8",
        "name_constraints.excluded also has DNS:bad.example.com",
    ]


def test_intermediate_ca_is_signed_within_the_limits_of_its_ca(
    host: Host, ca: Ca, tmp_path: Path
) -> None:
    below: dict[str, Any] = {"is_ca": True, "subject": {"CN": "below"}, "subject_alt_name": []}
    assert four(host, **below)["issuer"] == {"CN": "kubernetes"}
    Ca(ca.path.parent, ca.key, path_length=0)
    with pytest.raises(X509Error, match="its pathLen is 0"):
        host.run(**below)
    Ca(ca.path.parent, ca.key, path_length=1)
    with pytest.raises(X509Error, match="set a smaller path_length"):
        host.run(**below)
    assert four(host, path_length=0, **below)["path_length"] == 0


def leafy(ca: Ca) -> x509.Certificate:
    return certificate(ca.key, subject={"CN": "x"})


def without_sign(ca: Ca) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        ca.certificate.subject,
        ca.certificate.subject,
        ca.key.public_key(),
        1,
        NOW.replace(tzinfo=None),
        NOW.replace(tzinfo=None) + DAY * 4000,
    ).add_extension(x509.BasicConstraints(True, None), True)
    usage = build_key_usage(["digitalSignature", "cRLSign"])
    return builder.add_extension(usage, True).sign(ca.key, hashes.SHA256())


AUTHORITY: dict[str, Any] = {"is_ca": True, "subject": {"CN": "kubernetes"}, "valid_for": "87600h"}
BAD_CAS: dict[str, tuple[Any, str]] = {
    "a leaf": (leafy, "is not a CA"),
    "no keyCertSign": (without_sign, "lacks keyCertSign"),
    "expired": (lambda ca: certificate(ca.key, now=NOW - 4000 * DAY, **AUTHORITY), "expired on"),
    "not yet valid": (
        lambda ca: certificate(ca.key, now=NOW + DAY, **AUTHORITY),
        "is not valid before",
    ),
    "another key's": (
        lambda ca: certificate(spare("Ed25519"), **AUTHORITY),
        "is not the key of a certificate",
    ),
    "for clients only": (
        lambda ca: certificate(ca.key, **AUTHORITY, extended_key_usage=["clientAuth"]),
        "cannot sign for serverAuth",
    ),
    "for other names": (
        lambda ca: certificate(
            ca.key, **AUTHORITY, name_constraints={"permitted": ["DNS:example.org"]}
        ),
        "name constraints: DNS:m1.example.com is not in DNS:example.org",
    ),
}


@pytest.mark.parametrize("case", BAD_CAS)
def test_unfit_ca_is_rejected(host: Host, ca: Ca, case: str) -> None:
    make, words = BAD_CAS[case]
    ca.certificate = make(ca)
    ca.write()
    for check in (True, False):
        with pytest.raises(X509Error, match=words) as caught:
            host.run(check=check)
        assert str(ca.path) in one_line(caught.value)
    assert host.snapshot() == {}


FIT_CAS: dict[str, Any] = {
    "no keyUsage": lambda: root(chains.basic()),
    "serial number 0": lambda: root(serial=0),
    "RSASSA-PSS": lambda: root(key=spare("RSA"), salt=32),
    "a long serial number": lambda: root(serial=1 << 200),
    "an issuer in T61": lambda: middle(chains.t61_ca()),
    "a PrintableString": lambda: root(subject=chains.name("root", chains.PRINTABLE)),
    "a BMPString": lambda: root(subject=chains.name("root".encode("utf-16-be"), chains.BMP)),
}


@pytest.mark.parametrize("case", FIT_CAS)
def test_ca_that_kubernetes_accepts_can_sign(host: Host, ca: Ca, case: str) -> None:
    made = FIT_CAS[case]()
    ca.key, ca.certificate = made.key, made.certificate
    ca.write()
    assert host.run()["chain"] == "valid"
    assert host.run()["changed"] is False


def test_ca_that_encodes_its_subject_differently_issues_again(host: Host, ca: Ca) -> None:
    for tag in (chains.UTF8, chains.PRINTABLE):
        made = root(subject=chains.name("root", tag))
        ca.key, ca.certificate = made.key, made.certificate
        ca.write()
        result = host.run()
    assert result["reasons"] == ["the issuer is encoded differently from the subject of the CA"]
    assert host.run()["changed"] is False


def test_ca_with_a_name_that_the_library_cannot_read_is_rejected(host: Host, ca: Ca) -> None:
    made = root(subject=chains.name("K\u00f6ln".encode("latin-1"), chains.T61))
    ca.key, ca.certificate = made.key, made.certificate
    ca.write()
    with pytest.raises(X509Error, match="the library cannot read or write"):
        host.run()


def test_ca_with_a_key_for_pss_only_is_rejected(host: Host, ca: Ca) -> None:
    made = rsa_encoding(b"", kind=10).anchors[0]
    if read_public_key(made.certificate) is None:
        pytest.skip("this version of the library cannot read such a key")
    ca.key, ca.certificate = made.key, made.certificate
    ca.write()
    with pytest.raises(X509Error, match="a public key of the type RSASSA-PSS") as caught:
        host.run()
    assert one_line(caught.value).endswith("; use another CA")


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o666])
def test_ca_key_with_access_for_others_is_rejected(host: Host, ca: Ca, mode: int) -> None:
    ca.key_path.chmod(mode)
    with pytest.raises(X509Error, match="other users can read or change"):
        host.run()


def test_weak_ca_is_rejected(host: Host, ca: Ca) -> None:
    ca.key = rsa.generate_private_key(65537, 1024)
    ca.certificate = certificate(ca.key, **AUTHORITY)
    ca.write()
    with pytest.raises(X509Error, match="RSA key of 1024 bits"):
        host.run()


def test_ca_key_with_a_passphrase_signs(host: Host, ca: Ca, tmp_path: Path) -> None:
    ca.key_path.write_bytes(serialize_key(ca.key, "pkcs8", b"secret"))
    with pytest.raises(X509Error, match="is encrypted"):
        host.run()
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    four(host, ca_privatekey_passphrase_file=str(secret))


def test_certificate_of_the_key_signs_from_a_bundle(host: Host, ca: Ca) -> None:
    other = certificate(spare("ECC"), is_ca=True, subject={"CN": "old"})
    ca.path.write_bytes(
        b"some text\r\n"
        + serialize_certificate(other).replace(b"\n", b"\r\n")
        + serialize_certificate(ca.certificate)
    )
    assert four(host)["issuer"] == {"CN": "kubernetes"}


def test_renewed_ca_signs_if_both_are_in_the_file(host: Host, ca: Ca) -> None:
    old = serialize_certificate(ca.certificate)
    new = serialize_certificate(certificate(ca.key, **{**AUTHORITY, "valid_for": "100000h"}))
    expired = serialize_certificate(certificate(ca.key, now=NOW - 4000 * DAY, **AUTHORITY))
    ca.path.write_bytes(expired + new + old)
    assert four(host, valid_for="99999h")["chain"] == "valid"


def test_missing_ca_is_no_error_in_check_mode(host: Host, ca: Ca) -> None:
    ca.key_path.unlink()
    with pytest.raises(X509Error, match="does not exist; create the CA first"):
        host.run()
    assert host.run(check=True)["changed"]
    assert "check mode assumes" in host.warnings[0]


def test_missing_ca_path_is_rejected(host: Host) -> None:
    with pytest.raises(X509Error, match="ca_path: is not set"):
        host.run(ca_path=None, ca_privatekey_path=None)
    with pytest.raises(X509Error, match="action plugin"):
        host.run(ca_on="controller")


@pytest.mark.parametrize(
    "signer", [("RSA", {"size": 3072}), ("ECC", {"curve": "secp384r1"}), ("Ed25519", {})]
)
def test_ca_of_every_key_type_signs(host: Host, ca: Ca, signer: Any) -> None:
    Ca(ca.path.parent, spare(signer[0], **signer[1]))
    assert four(host)["digest"] == (None if signer[0] == "Ed25519" else "sha384")


def test_digest_is_rejected_for_an_ed25519_ca(host: Host, ca: Ca) -> None:
    Ca(ca.path.parent, spare("Ed25519"))
    for check in (True, False):
        with pytest.raises(
            X509Error, match=r"Ed25519, which needs no digest; unset digest \(sha256\)"
        ):
            host.run(check=check, digest="sha256")
        alone: dict[str, Any] = {
            "ca_path": None,
            "ca_privatekey_path": None,
            "is_ca": True,
            "privatekey_type": "Ed25519",
        }
        with pytest.raises(X509Error, match="unset digest"):
            host.run(check=check, digest="sha256", **alone)
    assert host.snapshot() == {}


# Certificates that are signed outside of the host


def elsewhere(ca: Ca) -> dict[str, Any]:
    return {
        "ca_on": "controller",
        "ca_path": None,
        "ca_privatekey_path": None,
        CA_CERTIFICATE_OPTION: serialize_certificate(ca.certificate).decode(),
    }


def signed(ca: Ca, host: Host, csr: str, **given: Any) -> dict[str, Any]:
    leaf = certificate(
        None, ca.authority, public=verify_plain_request(csr), **{**host.task, **given}
    )
    return {CERTIFICATE_OPTION: serialize_certificate(leaf).decode()}


def test_certificate_is_installed_by_the_second_run(host: Host, ca: Ca) -> None:
    first = host.run(**elsewhere(ca))
    assert list(host.snapshot()) == ["s-key.pem"]
    second = host.run(**elsewhere(ca), **signed(ca, host, first["csr"]))
    assert (second["chain"], second["changed"]) == ("valid", True)
    assert sorted(host.snapshot()) == ["s-key.pem", "s.pem"]
    again = host.run(**elsewhere(ca))
    assert ("csr" not in again, again["changed"]) == (True, False)


def test_replaced_key_stays_until_the_certificate_arrives(host: Host, ca: Ca) -> None:
    host.run()
    before = host.snapshot()
    task: dict[str, Any] = {
        **elsewhere(ca),
        "privatekey_curve": "secp384r1",
        "regenerate": "partial",
    }
    first = host.run(**task)
    assert {name: host.snapshot()[name] for name in before} == before
    assert stat.S_IMODE((host.folder / ".s-key.pem.waiting~").stat().st_mode) == 0o600
    # If a run ends here, the next run requests a certificate for the same key.
    second = host.run(**task)
    keys = [encode_public_key(verify_plain_request(result["csr"])) for result in (first, second)]
    assert keys[0] == keys[1]
    host.run(**task, **signed(ca, host, second["csr"]))
    assert host.matches()
    assert sorted(host.snapshot()) == ["s-key.pem", "s.pem"]
    assert not host.run(**task)["changed"]


def test_unused_waiting_key_is_removed(host: Host, ca: Ca) -> None:
    host.run()
    host.run(**elsewhere(ca), privatekey_curve="secp384r1", regenerate="partial")
    assert not host.run(**elsewhere(ca))["changed"]
    assert sorted(host.snapshot()) == ["s-key.pem", "s.pem"]


@pytest.mark.parametrize("replaced", [False, True])
def test_two_controllers_at_once_leave_a_matching_pair(host: Host, ca: Ca, replaced: bool) -> None:
    task = elsewhere(ca)
    if replaced:
        host.run()
        task |= {"privatekey_curve": "secp384r1", "regenerate": "partial"}
    requests = [host.run(**task)["csr"] for _number in range(2)]
    for csr in requests:
        host.run(**task, **signed(ca, host, csr))
        assert host.matches()
    assert not host.run(**task)["changed"]
    assert sorted(host.snapshot()) == ["s-key.pem", "s.pem"]


def test_kill_at_any_change_between_two_runs_leaves_a_pair(tmp_path: Path, ca: Ca) -> None:
    task: dict[str, Any] = {
        **elsewhere(ca),
        "privatekey_curve": "secp384r1",
        "regenerate": "partial",
    }
    for point in range(1, 120):
        folder = tmp_path / str(point)
        folder.mkdir()
        host = Host(folder, ca, **ECC)
        key = spare("ECC")
        host.place(key, certificate(key, ca.authority, **host.task))
        died = killed_at(lambda host=host: host.run(**task), point)  # type: ignore[misc]
        assert host.matches()
        answer = signed(ca, host, host.run(**task)["csr"])
        died |= killed_at(lambda host=host, answer=answer: host.run(**task, **answer), point)  # type: ignore[misc]
        assert host.matches()
        again = host.run(**task)
        if "csr" in again:
            host.run(**task, **signed(ca, host, again["csr"]))
        assert host.matches()
        assert not host.run(**task)["changed"]
        assert sorted(entry.name for entry in folder.iterdir()) == ["s-key.pem", "s.pem"]
        if not died:
            break
    else:
        pytest.fail("never got to the end")
    assert point > 20


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": {"CN": "x", "O": "system:masters"}},
        {"subject_alt_name": ["evil.example"]},
        {"is_ca": True},
        {"extended_key_usage": ["anyExtendedKeyUsage"]},
        {"now": NOW + DAY},
        {"now": NOW - 500 * DAY},
    ],
)
def test_certificate_that_differs_from_the_task_is_not_installed(
    host: Host, ca: Ca, wrong: dict[str, Any]
) -> None:
    first = host.run(**elsewhere(ca))
    before = host.snapshot()
    with pytest.raises(X509Error, match="certificate cannot be used") as caught:
        host.run(**elsewhere(ca), **signed(ca, host, first["csr"], **wrong))
    one_line(caught.value)
    assert host.snapshot() == before


@pytest.mark.parametrize(
    "text", ["", "x", "\udcff", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_invalid_certificate_is_not_installed(host: Host, ca: Ca, text: str) -> None:
    host.run(**elsewhere(ca))
    with pytest.raises(X509Error, match="cannot be read"):
        host.run(**{**elsewhere(ca), CERTIFICATE_OPTION: text})


def test_certificate_for_another_key_is_not_installed(host: Host, ca: Ca) -> None:
    host.run(**elsewhere(ca))
    leaf = certificate(spare("Ed25519"), ca.authority, **host.task)
    with pytest.raises(X509Error, match="another run has replaced"):
        host.run(**{**elsewhere(ca), CERTIFICATE_OPTION: serialize_certificate(leaf).decode()})


def liar(**extensions: bool) -> str:
    key = spare("ECC")
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    if extensions.get("masters"):
        builder = x509.CertificateSigningRequestBuilder(
            x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "system:masters")])
        )
    if extensions.get("names"):
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName("evil.example")]), False
        )
    if extensions.get("ca"):
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def broken() -> str:
    der = bytearray(
        x509.load_pem_x509_csr(create_request(spare("ECC"))).public_bytes(
            serialization.Encoding.DER
        )
    )
    der[-3] ^= 1
    label = "CERTIFICATE REQUEST-----\n"
    return f"-----BEGIN {label}{base64.encodebytes(bytes(der)).decode()}-----END {label}"


@pytest.mark.parametrize(
    "csr",
    [liar(masters=True), liar(names=True), liar(ca=True), broken(), "", "x", "\udcff", None, 1, ["x"], {"a": 1},
     create_request(rsa.generate_private_key(65537, 1024)).decode(),
     create_request(ec.generate_private_key(ec.SECP256K1())).decode()],
)  # fmt: skip
def test_request_with_other_content_is_rejected(csr: Any) -> None:
    with pytest.raises(X509Error, match="the host's signing request") as caught:
        verify_plain_request(csr)
    one_line(caught.value)


# Errors


def junk(good: bytes) -> dict[str, bytes]:
    made = {f"cut at {tenth}0 %": good[: len(good) * tenth // 10] for tenth in range(10)}
    made |= {
        "binary": bytes(range(256)) * 8,
        "text": b"hello\n",
        "NUL": b"\0" * 100,
        "PKCS#12": b"\x30\x82\x0a\x00" * 9,
    }
    made |= {
        "wrong label": good.replace(b"BEGIN ", b"BEGIN X"),
        "damaged": good.replace(b"M", b"?"),
    }
    return made


@pytest.mark.parametrize("case", junk(b"x" * 20))
def test_unreadable_certificate_is_replaced(host: Host, case: str) -> None:
    host.run()
    key = host.key_path.read_bytes()
    host.path.write_bytes(junk(host.path.read_bytes())[case])
    assert four(host)["reasons"] == ["the certificate cannot be read"]
    assert host.key_path.read_bytes() == key


@pytest.mark.parametrize("case", junk(b"x" * 20))
def test_unreadable_key_is_kept_without_regenerate_full(host: Host, case: str) -> None:
    host.run()
    host.key_path.write_bytes(junk(host.key_path.read_bytes())[case])
    before = host.snapshot()
    for policy in ("never", "fail", "partial"):
        with pytest.raises(X509Error, match="set regenerate to full") as caught:
            host.run(regenerate=policy)
        one_line(caught.value)
        assert host.snapshot() == before
    four(host, regenerate="full")
    assert host.matches()


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: b"Bag Attributes\n  x: y\n" + pem,
    ],
)
def test_pem_of_other_tools_is_read(host: Host, change: Any) -> None:
    host.run()
    for path in (host.path, host.key_path):
        path.write_bytes(change(path.read_bytes()))
    four(host, changes=False)


def test_unusual_keys_are_read_or_rejected(host: Host) -> None:
    odd = {
        "DSA": dsa.generate_private_key(2048),
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "P-224": ec.generate_private_key(ec.SECP224R1()),
        "small": rsa.generate_private_key(65537, 1024),
    }
    for name, key in odd.items():
        host.place(key)
        for regenerate in ("fail", "never"):
            with pytest.raises(X509Error) as caught:
                host.run(regenerate=regenerate)
            one_line(caught.value)
        assert four(host, regenerate="partial")["reasons"], name


def test_unusual_pem_is_read_or_rejected(host: Host) -> None:
    good = serialize_key(spare("ECC"), "pkcs8", None)
    sec1 = serialize_key(spare("ECC"), "traditional", None)
    for content in (
        good + good,
        good + sec1,
        good.replace(b"PRIVATE KEY", b"Ed25519 PRIVATE KEY"),
        good.replace(b"PRIVATE KEY", b"OPENSSH PRIVATE KEY"),
        good.replace(b"PRIVATE KEY", b"RSA PRIVATE KEY"),
        b"x" * (1 << 21),
    ):
        host.key_path.write_bytes(content)
        with pytest.raises((X509Error, FilesError)) as caught:
            host.run()
        one_line(caught.value)
    host.key_path.write_bytes(
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + sec1
    )
    four(host)


@pytest.mark.parametrize("which", ["path", "privatekey_path"])
@pytest.mark.parametrize(
    "kind", ["directory", "fifo", "dangling", "leaves", "device", "relative", "slash"]
)
def test_unusable_target_path_is_rejected(host: Host, ca: Ca, which: str, kind: str) -> None:
    place = host.folder / "odd"
    if kind == "directory":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "dangling":
        place.symlink_to("nowhere")
    elif kind == "leaves":
        place.symlink_to(ca.path)
    path = {"device": "/dev/null", "relative": "odd", "slash": f"{place}/"}.get(kind, str(place))
    before = host.snapshot()
    for check in (True, False):
        given: dict[str, Any] = {which: path}
        with pytest.raises((X509Error, FilesError)) as caught:
            host.run(check=check, **given)
        one_line(caught.value)
    assert host.snapshot() == before


def test_same_path_for_key_and_certificate_is_rejected(host: Host) -> None:
    with pytest.raises(X509Error, match="the same file"):
        host.run(privatekey_path=str(host.path))


def test_missing_directory_is_rejected(host: Host) -> None:
    task: dict[str, Any] = {
        "path": str(host.folder / "no" / "s.pem"),
        "privatekey_path": str(host.folder / "no" / "key.pem"),
    }
    assert host.run(check=True, **task)["changed"]
    with pytest.raises(X509Error, match="does not exist; create it first"):
        host.run(**task)
    assert not host.run(state="absent", **task)["changed"]


@pytest.mark.parametrize("case", ["first", "renewal", "new key", "two directories"])
def test_kill_at_any_change_leaves_a_pair(tmp_path: Path, ca: Ca, case: str) -> None:
    new_key = (
        {"regenerate": "partial", "privatekey_curve": "secp384r1"}
        if case in ("new key", "two directories")
        else {}
    )
    task = {**ECC, **new_key}
    for point in range(1, 120):
        folder = tmp_path / str(point)
        folder.mkdir()
        host = Host(folder, ca, backup=case == "renewal", **task)
        if case == "two directories":
            (folder / "private").mkdir()
            host.key_path = folder / "private" / "s-key.pem"
        if case != "first":
            key = spare("ECC")
            host.place(
                key, certificate(key, ca.authority, **{**host.task, "subject": {"CN": "old"}})
            )
        if not killed_at(host.run, point):
            break
        if case != "first":
            assert host.matches()
        predicted = host.run(check=True)
        result = host.run()
        assert (predicted["changed"], predicted["reasons"]) == (
            result["changed"],
            result["reasons"],
        )
        assert host.matches()
        assert not host.run()["changed"]
        left = [entry.name for entry in folder.rglob(".*")]
        assert left == [], point
        shutil.rmtree(folder)
    else:
        pytest.fail("never got to the end")
    assert point > 8


def test_two_runs_at_once_leave_a_matching_pair(host: Host) -> None:
    context = multiprocessing.get_context("fork")
    for _round in range(3):
        runs = [
            context.Process(target=host.run, kwargs={"regenerate": "always"})
            for _number in range(4)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert [run.exitcode for run in runs] == [0] * 4
        assert host.matches()
        assert sorted(host.snapshot()) == ["s-key.pem", "s.pem"]


def attempt(host: Host, **task: Any) -> Exception | None:
    try:
        host.run(**task)
    except (X509Error, FilesError) as exc:
        return exc
    return None


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        check=False,
        capture_output=True,
    ).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    "task", [{"force": True}, {"regenerate": "always"}, {"regenerate": "always", "backup": True}]
)
def test_full_or_read_only_file_system_keeps_the_pair(
    small: Path, ca: Ca, task: dict[str, Any]
) -> None:
    host = Host(small, ca, **ECC)
    host.run()
    filler = small / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    refusals = []
    for pages in range(8):
        os.truncate(filler, (os.path.getsize(filler) // 4096 - (pages > 0)) * 4096)
        before = host.snapshot()
        refusal = attempt(host, **task)
        if refusal is not None:
            refusals.append(one_line(refusal))
            assert host.snapshot() == before
    assert set(refusals) != set()
    assert all("No space left on device; free space" in refusal for refusal in refusals)
    assert host.matches()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    before = host.snapshot()
    with pytest.raises(
        FilesError, match="Read-only file system; mount the file system writable"
    ) as caught:
        host.run(**task)
    one_line(caught.value)
    assert host.snapshot() == before
    assert not host.run()["changed"]


@pytest.mark.parametrize("which", ["key_path", "path"])
def test_immutable_file_keeps_the_pair(host: Host, which: str) -> None:
    host.run()
    path = str(getattr(host, which))
    if (
        not shutil.which("chattr")
        or subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode
    ):
        pytest.skip("needs a file system with flags, and the right to set them")
    try:
        before = host.snapshot()
        with pytest.raises(
            FilesError, match=rf"cannot replace '{path}': Operation not permitted; .*immutable flag"
        ):
            host.run(regenerate="always", backup=True)
        assert host.snapshot() == before
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def odd(ca: Ca, host: Host) -> bytes:
    """Return the certificate of the host with a defect that verifiers reject."""
    leaf = x509.load_pem_x509_certificate(host.path.read_bytes())
    begins, ends = read_validity(leaf)
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, leaf.public_key(), leaf.serial_number, begins, ends
    )
    for known in leaf.extensions:
        builder = builder.add_extension(known.value, known.critical)
    builder = builder.add_extension(
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), critical=True
    )
    return serialize_certificate(builder.sign(ca.key, hashes.SHA256()))


def test_certificate_that_verifiers_reject_is_replaced(host: Host, ca: Ca) -> None:
    host.run()
    host.path.write_bytes(odd(ca, host))
    assert four(host)["reasons"] == ["the critical extension 1.2.3.4 is unknown"]


def mutated(pem: bytes, chance: random.Random) -> bytes:
    """Return PEM whose DER content has some bytes changed, removed or added."""
    first, *middle, last = pem.splitlines(keepends=True)
    der = bytearray(base64.b64decode(b"".join(middle)))
    for _number in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(len(der))
        der[place : place + chance.randrange(2)] = bytes(
            chance.randrange(256) for _byte in range(chance.randrange(2))
        )
    return first + base64.encodebytes(bytes(der)) + last


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_are_replaced_or_rejected_in_one_line(host: Host, ca: Ca, seed: int) -> None:
    chance = random.Random(seed)
    host.run()
    for path in (host.path, host.key_path, ca.path, ca.key_path):
        good = path.read_bytes()
        for _number in range(20):
            path.write_bytes(mutated(good, chance))
            refusal = attempt(host, check=True)
            assert refusal is None or one_line(refusal)
        path.write_bytes(good)
    assert not host.run()["changed"]


def test_damaged_ca_is_rejected(host: Host, ca: Ca) -> None:
    der = bytearray(ca.certificate.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1  # the change is in the signature, whose form stays valid
    ca.path.write_text(ssl.DER_cert_to_PEM_cert(bytes(der)))
    with pytest.raises(X509Error, match="its own signature is invalid"):
        host.run()


def test_key_with_different_halves_is_rejected(host: Host) -> None:
    halves = [
        spare("ECC").private_numbers(),
        ec.generate_private_key(ec.SECP256R1()).private_numbers(),
    ]
    one, other = (number.private_value.to_bytes(32, "big") for number in halves)
    der = spare("ECC").private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    body = base64.encodebytes(der.replace(one, other))
    host.key_path.write_bytes(
        b"-----BEGIN PRIVATE KEY-----\n" + body + b"-----END PRIVATE KEY-----\n"
    )
    with pytest.raises(X509Error, match="damaged"):
        host.run()


def test_weak_digest_is_replaced(host: Host) -> None:
    host.run()
    have = read_fields(x509.load_pem_x509_certificate(host.path.read_bytes()))
    assert have is not None
    for name in ("sha1", "md5", "sha224"):
        assert compare_fields({**have, "digest": name}, {**have, "digest": None}) == [
            f"the digest is {name}, which is too weak"
        ]

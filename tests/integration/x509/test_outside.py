# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign the requests of x509_cert with cfssl and OpenSSL as external CAs."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.outside import SANS, SUBJECT, Site, by_cfssl, by_openssl
from tests.support.pki import PROFILES, elapsed, key_pem, openssl, spare, write_profiles

ISSUERS = ("cfssl", "openssl")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.after = elapsed() + timedelta(minutes=1)
    return site


def issue(site: Site, issuer: str) -> None:
    """Sign the request with the key of the CA, which is in a separate directory."""
    if issuer == "cfssl" and not shutil.which("cfssl"):
        pytest.skip("cfssl is not installed")
    ca_directory = site.folder.parent / "elsewhere"
    ca_directory.mkdir(exist_ok=True)
    key = ca_directory / "ca-key.pem"
    key.write_text(key_pem(site.ca.key))
    if issuer == "cfssl":
        content = json.loads(json.dumps(PROFILES).replace("87600h", "8760h"))
        by_cfssl(site.ca.path, key, site.csr, Path(write_profiles(ca_directory, content)))
    else:
        by_openssl(site.ca.path, key, site.csr)


@pytest.mark.parametrize("kind", ["RSA", "ECC", "Ed25519"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_signed_request_has_the_requested_fields(site: Site, issuer: str, kind: str) -> None:
    if (issuer, kind) == ("cfssl", "Ed25519"):
        pytest.skip("the cfssl of Debian has no Ed25519")
    assert site.run(privatekey_type=kind)["failed"]
    request_text = openssl("req", "-in", str(site.csr), "-noout", "-verify", "-text")
    for words in (
        "O = system:kube-scheduler",
        "DNS:m1.example",
        "IP Address:127.0.0.1",
        "TLS Web Client Authentication",
    ):
        assert words in request_text or words.replace(" = ", "=") in request_text
    issue(site, issuer)
    made = site.run(privatekey_type=kind)
    assert (made.get("msg"), made["chain"]) == (None, "valid")
    assert (made["subject"], made["subject_alt_name"]) == (
        SUBJECT,
        [f"DNS:{SANS[1]}", f"IP:{SANS[0]}"],
    )
    assert made["extended_key_usage"] == ["clientAuth", "serverAuth"]
    again = site.run(privatekey_type=kind)
    assert (again["changed"], again["awaited"]) == (False, [])
    assert openssl("verify", "-CAfile", str(site.ca.path), str(site.host.path)).endswith(": OK\n")


@pytest.mark.parametrize("issuer", ISSUERS)
def test_renewal_uses_the_same_request(site: Site, issuer: str) -> None:
    site.run()
    issue(site, issuer)
    site.run()
    previous = site.host.path.read_text()
    site.after += timedelta(hours=200)
    waiting = site.run(renew_before="99%")
    assert (waiting.get("failed"), waiting["chain"], len(waiting["awaited"])) == (None, "valid", 1)
    issue(site, issuer)
    assert site.run(renew_before="99%")["changed"]
    assert site.host.path.read_text() != previous
    assert site.host.matches()


def test_certificate_without_the_requested_names_is_rejected(site: Site) -> None:
    """A certificate without the requested names is rejected.

    By default, `openssl x509 -req` copies no extensions, and the names are an extension.
    """
    site.run()
    key = site.folder.parent / "ca-key.pem"
    key.write_text(key_pem(site.ca.key))
    by_openssl(site.ca.path, key, site.csr, copy=False)
    result = site.run()
    assert "lacks the subject alternative names IP:127.0.0.1, DNS:m1.example" in result["msg"]


def test_certificate_of_another_key_is_rejected(site: Site) -> None:
    site.run()
    (site.folder / "other.key").write_text(key_pem(spare("ECC", number=9)))
    subject = "/O=system:kube-scheduler/CN=system:kube-scheduler"
    openssl(
        "req",
        "-new",
        "-key",
        str(site.folder / "other.key"),
        "-subj",
        subject,
        "-out",
        str(site.folder / "m1.csr"),
    )
    key = site.folder.parent / "ca-key.pem"
    key.write_text(key_pem(site.ca.key))
    by_openssl(site.ca.path, key, site.csr)
    result = site.run()
    assert "is not the certificate of the key on this host" in result["msg"]
    assert site.public() != spare("ECC", number=9).public_key(), "the request is written again"

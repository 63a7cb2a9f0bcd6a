"""Test kube_scheduler_pki: external on real hosts.

The external CA signs with cfssl and openssl.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.support import pki, rotation
from tests.support.lab import Run
from tests.support.outside import by_cfssl, by_openssl

SUBJECT = {"CN": "system:kube-scheduler", "O": "system:kube-scheduler"}
UNTIL_NOW = (
    "find /etc/kubernetes /opt/k8s /etc/systemd/system -name '*kube-scheduler*'"
    " -printf '%p %i %T@\n' 2>/dev/null | sort; true"
)


class Folder:
    """Manage the directory of the requests.

    The CA key is outside of that directory, and the role does not read the key.
    """

    def __init__(self, lab: Any, folder: Path) -> None:
        self.lab, self.folder = lab, folder / "csr"
        self.folder.mkdir()
        self.config = folder / "ca-config.json"
        self.config.write_text(json.dumps(pki.PROFILES).replace("87600h", "8000h"))
        self.ca, self.key = lab.state / "ca.pem", lab.state / "ca-key.pem"

    def variables(self, **more: Any) -> str:
        given = {
            "pki": "external",
            "csr_dir": str(self.folder),
            "ca_key": "/nowhere/ca-key.pem",
            **more,
        }
        cleared = {"ca_config": "", "ca_profile": ""}
        return f"--extra-vars={json.dumps({f'kube_scheduler_{k}': v for k, v in {**cleared, **given}.items()})}"

    def site(self, *words: str, **more: Any) -> Run:
        run: Run = self.lab.site(self.variables(**more), *words)
        return run

    def request(self, name: str) -> Path:
        return self.folder / f"{name}.csr"

    def pem(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def sign(self, days: int = 300) -> None:
        """Sign the request of m1 with cfssl, and all other requests with openssl."""
        by_cfssl(self.ca, self.key, self.request("m1"), self.config)
        for name in self.lab.names[1:]:
            by_openssl(self.ca, self.key, self.request(name), days=days)

    def wrong(self, name: str, ca: Any = None, **given: Any) -> None:
        """Write a certificate that does not match the plan to the directory of the requests."""
        issuer = CertificateAuthority(
            x509.load_pem_x509_certificate(self.ca.read_bytes()),
            serialization.load_pem_private_key(self.key.read_bytes(), None),
        )
        public = given.pop(
            "public", x509.load_pem_x509_csr(self.request(name).read_bytes()).public_key()
        )
        desired = {
            "subject": SUBJECT,
            "subject_alt_name": ["127.0.0.1", *self.lab.addresses.values()],
            **given,
        }
        self.pem(name).write_text(
            pki.pem(pki.certificate(None, ca or issuer, public=public, **desired))
        )

    def advice(self, name: str) -> str:
        return f"have {self.request(name)} signed by the CA in {self.ca}, and save the certificate as {self.pem(name)}"


@pytest.fixture(scope="module")
def folder(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Prepare hosts without a scheduler, their first requests and the signed certificates."""
    result = Folder(lab, tmp_path_factory.mktemp("external"))
    first = result.site()
    assert first.code != 0
    for name in lab.names:
        assert f"the certificate is missing: {result.advice(name)}, and run again" in first.text, (
            first.output
        )
        assert lab.host(name).check_output(UNTIL_NOW).count("\n") <= 1, (
            "the binary, which nothing runs"
        )
        assert not lab.host(name).service("kube-scheduler.service").is_running
    requests = {name: result.request(name).read_bytes() for name in lab.names}
    again = result.site()
    assert again.code != 0
    assert {name: result.request(name).read_bytes() for name in lab.names} == requests
    result.sign()
    second = result.site()
    assert second.code == 0, second.output
    return result


def test_external_certificates_are_used_and_keys_stay_on_the_hosts(
    lab: Any, folder: Folder
) -> None:
    run = folder.site()
    assert (run.code, run.changed) == (0, dict.fromkeys(lab.names, 0)), run.output
    assert len({*rotation.keys(lab).values()}) == len(lab.names)
    for name in lab.names:
        handed = x509.load_pem_x509_certificate(folder.pem(name).read_bytes())
        assert rotation.served(lab, name) == rotation.lying(lab, name) == handed
    kept = [path for path in folder.folder.parent.rglob("*") if path.is_file()]
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in kept)
    status = lab.play("playbooks/status.yml", folder.variables())
    assert status.code == 0, status.output


def test_wrong_external_certificates_are_rejected(lab: Any, folder: Folder) -> None:
    """In two runs, each host gets a different wrong certificate.

    The files in use do not change.
    """
    sound = {name: folder.pem(name).read_bytes() for name in lab.names}
    other = pki.Ca(key=pki.spare("ECC", number=9), subject={"CN": "kubernetes-ca"}).authority
    over = {"valid_for": "2h", "renew_before": "1h", "now": current_utc() - timedelta(hours=3)}
    pids, transitions = lab.main_pids(), lab.lease()["leaseTransitions"]
    runs: tuple[tuple[tuple[dict[str, Any], str], ...], ...] = (
        (
            (
                {"public": pki.spare("RSA").public_key()},
                "is not the certificate of the key on this host",
            ),
            ({"subject_alt_name": ["127.0.0.1"]}, "lacks the subject alternative names IP:"),
            (
                {"extended_key_usage": ["serverAuth"]},
                "is used by client and server, but its extendedKeyUsage lacks clientAuth",
            ),
        ),
        (
            (over, "expired on "),
            ({"ca": other}, "is not signed by the CA"),
            (
                {"subject": {**SUBJECT, "O": "system:masters"}},
                "has the subject O system:masters, expected system:kube-scheduler",
            ),
        ),
    )
    for cases in runs:
        for name, (options, _words) in zip(lab.names, cases):
            folder.wrong(name, **options)
        run = folder.site()
        assert run.code != 0
        for name, (_options, words) in zip(lab.names, cases):
            assert f"{folder.pem(name)} cannot be used: it {words}" in run.text, run.output
            assert f"{folder.advice(name)}, or remove it" in run.text
        assert (lab.main_pids(), lab.lease()["leaseTransitions"]) == (pids, transitions)
    for name, content in sound.items():
        folder.pem(name).write_bytes(content)
    run = folder.site()
    assert (run.code, lab.main_pids()) == (0, pids), run.output


def test_external_certificates_are_renewed(lab: Any, folder: Folder) -> None:
    """In the renewal window, the role writes the requests again.

    The certificates and keys in use remain until new certificates exist.
    """
    window = {"renew_before": "7500h", "cert_valid_for": "8760h"}
    for name in lab.names:
        folder.request(name).unlink()
    pids, keys = lab.main_pids(), rotation.keys(lab)
    previous = {name: rotation.lying(lab, name) for name in lab.names}
    run = folder.site(**window)
    assert run.code == 0, run.output
    for name in lab.names[1:]:
        assert f"{name}: a certificate is awaited: the certificate ends on " in run.text
        assert folder.advice(name) in run.text
    assert not folder.request("m1").exists(), "it ends after 8000 h, so its window has not begun"
    assert lab.main_pids() == pids
    waiting = folder.site(**window)
    assert (waiting.code, waiting.changed) == (0, dict.fromkeys(lab.names, 0)), waiting.output
    assert lab.play("playbooks/status.yml", folder.variables(**window)).code != 0
    for name in lab.names[1:]:
        by_openssl(folder.ca, folder.key, folder.request(name), days=360)
    run = folder.site(**window)
    assert run.code == 0, run.output
    now = {name: rotation.lying(lab, name) for name in lab.names}
    assert [now[name] == previous[name] for name in lab.names] == [True, False, False]
    assert rotation.keys(lab) == keys
    assert all(rotation.served(lab, name) == now[name] for name in lab.names)
    run = folder.site(**window)
    assert (run.code, run.changed) == (0, dict.fromkeys(lab.names, 0)), run.output

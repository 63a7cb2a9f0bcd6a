"""Observe the certificates of the lab's schedulers from outside, and replace the lab's CA."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import settings
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization

from tests.support.lab import UNIT, Lab, wait_for
from tests.support.pki import Ca
from tests.support.upgrade import CRASHED, RELEASED, Measured, nothing_lost, under_pods

KNOWN = (1, 32)
"""First Kubernetes version whose apiserver logs the certificate of a client."""
RELEASES = (1, 21)
SHORT = (
    (
        "--extra-vars={kube_scheduler_ca_config: '', kube_scheduler_ca_profile: '', "
        "kube_scheduler_cert_valid_for: 2000h}"
    ),
)
CERTIFICATE = "/etc/kubernetes/cert/kube-scheduler.pem"
KUBECONFIG = "/etc/kubernetes/kube-scheduler.kubeconfig"
KEY = "/etc/kubernetes/cert/kube-scheduler-key.pem"
PORT = 10259
RELOADED = "ertificate rotation detected"
SERVED = "Loaded a new cert/key pair"


def rotate(kind: str = "", *words: str) -> tuple[str, ...]:
    """Return the arguments of ansible-playbook that follow the inventory."""
    return ("playbooks/rotate.yml", *([f"--extra-vars=rotate={kind}"] if kind else []), *words)


def trusted(lab: Lab, name: str) -> str:
    """Return the CA certificates that a host's kubeconfig trusts, as PEM."""
    cluster = yaml.safe_load(lab.host(name).file(KUBECONFIG).content)["clusters"][0]["cluster"]
    return base64.b64decode(cluster["certificate-authority-data"]).decode()


def sha256(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def lying(lab: Lab, name: str) -> x509.Certificate:
    """Return the certificate in the certificate file of a host."""
    return x509.load_pem_x509_certificate(lab.host(name).file(CERTIFICATE).content)


def served(lab: Lab, name: str) -> x509.Certificate:
    """Return the certificate that a scheduler serves on its loopback address."""
    script = f"import ssl; print(ssl.get_server_certificate(('127.0.0.1', {PORT})))"
    return x509.load_pem_x509_certificate(
        lab.host(name).check_output("python3 -c %s", script).encode()
    )


def knows(lab: Lab, name: str, certificate: x509.Certificate) -> bool:
    return known_as(lab, name) == sha256(certificate)


def known_as(lab: Lab, name: str) -> str:
    """Return the SHA-256 of the client certificate in a host's audit log.

    The version of the apiserver must be 1.32 or newer.
    """
    lines = lab.host(name).check_output("tail --lines=1 /var/log/lab-audit.log").splitlines()
    [result] = json.loads(lines[-1])["user"]["extra"]["authentication.kubernetes.io/credential-id"]
    return str(result).partition("X509SHA256=")[2].lower()


def keys(lab: Lab) -> dict[str, str]:
    """Return the public part of each host's private key."""
    return {
        name: lab.host(name).check_output("openssl pkey -pubout -in %s", KEY) for name in lab.names
    }


def logged(lab: Lab, name: str, pid: str, words: str) -> float:
    """Return the time in Unix seconds when a process last logged a text."""
    lines = lab.host(name).check_output("journalctl --output=short-unix _PID=%s", pid).splitlines()
    return float([line for line in lines if words in line][-1].split()[0])


def restarts(lab: Lab) -> dict[str, str]:
    return {
        name: lab.host(name).check_output("systemctl show --property=NRestarts --value %s", UNIT)
        for name in lab.names
    }


def expired(certificate: bytes, ca_key: bytes) -> bytes:
    """Return a copy of a certificate that expired an hour ago."""
    former = x509.load_pem_x509_certificate(certificate)
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(former.subject)
        .issuer_name(former.issuer)
        .public_key(former.public_key())
        .serial_number(0x0DEAD)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(hours=1))
    )
    for extension in former.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    key: Any = serialization.load_pem_private_key(ca_key, None)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def expire(lab: Lab, name: str) -> None:
    """Replace the certificate of a host with an expired certificate.

    If the kubeconfig embeds the certificate, the function changes the kubeconfig too.
    """
    host = lab.host(name)
    over = expired(host.file(CERTIFICATE).content, (lab.state / "ca-key.pem").read_bytes())
    kubeconfig = yaml.safe_load(host.file(KUBECONFIG).content)
    user = kubeconfig["users"][0]["user"]
    contents = {CERTIFICATE: over}
    if "client-certificate-data" in user:
        user["client-certificate-data"] = base64.b64encode(over).decode()
        contents[KUBECONFIG] = yaml.safe_dump(kubeconfig).encode()
    for path, content in contents.items():
        lab.write(name, path, content)


def bound(lab: Lab) -> float:
    """Return the maximum number of seconds without a leader.

    If a version does not release its lease, the lease must first expire.
    """
    return RELEASED if settings.version_key(lab.settings.version)[:2] >= RELEASES else CRASHED


def in_use(lab: Lab, former: dict[str, Any]) -> None:
    """Check that every host has a new key pair, serves it, and uses it with the apiserver."""
    now = {name: lying(lab, name) for name in lab.names}
    assert not {*now.values()} & {*former.values()}
    for name, certificate in now.items():
        assert served(lab, name) == certificate
        if settings.version_key(lab.settings.version)[:2] >= KNOWN:
            wait_for(partial(knows, lab, name, certificate), 15)


def rotated(lab: Lab, kind: str, *words: str, transitions: int) -> Measured:
    """Rotate certificates while pods are created.

    The rotation loses no pod, and the next plain run changes nothing.
    """
    result = under_pods(lab, lambda: lab.play(*rotate(kind, *words)))
    nothing_lost(result, transitions, bound=bound(lab))
    site = lab.site(*words)
    assert site.code == 0, site.output
    assert site.changed == dict.fromkeys(lab.names, 0)
    return result


class NextCa:
    """Provide a CA with the same name as the lab's CA.

    The apiservers trust the new CA only after a test configures them.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.ca = Ca(folder, subject={"CN": "kubernetes-ca"})
        self.pki = lab.state / "pki"
        self.former = (lab.state / "ca.pem").read_text()

    @property
    def words(self) -> tuple[str, str]:
        return (
            f"--extra-vars=kube_scheduler_new_ca_cert={self.ca.path}",
            f"--extra-vars=kube_scheduler_new_ca_key={self.ca.key_path}",
        )

    @property
    def taken(self) -> tuple[str, str]:
        """Return the variables that select the new CA after the rotation."""
        return (
            f"--extra-vars=kube_scheduler_ca_cert={self.ca.path}",
            f"--extra-vars=kube_scheduler_ca_key={self.ca.key_path}",
        )

    def signed(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.ca.certificate)
        except (InvalidSignature, TypeError, ValueError):
            return False
        return True

    def accepted(self) -> None:
        """Let the apiservers accept clients of both CAs, and let kubectl trust both CAs.

        The apiservers reload the file automatically.
        """
        (self.pki / "ca.pem").write_text(self.former + self.ca.pem)
        both = self.folder / "both.pem"
        both.write_text(self.former + self.ca.pem)
        for name in self.lab.names:
            self.lab.kubectl(
                "config",
                "set-cluster",
                name,
                f"--certificate-authority={both}",
                "--embed-certs=true",
            )

    def serves(self) -> None:
        """Issue new apiserver certificates with this CA and the same names."""
        former = x509.load_pem_x509_certificate((self.pki / "kube-apiserver.pem").read_bytes())
        names: Any = former.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate, key = self.ca.issue(
            "kube-apiserver",
            dns=names.get_values_for_type(x509.DNSName),
            ips=[str(address) for address in names.get_values_for_type(x509.IPAddress)],
            end=30 * 86400,
        )
        (self.pki / "kube-apiserver-key.pem").write_text(key)
        (self.pki / "kube-apiserver.pem").write_text(certificate)
        for name in self.lab.names:
            self.lab.podman(
                "exec", self.lab.settings.container(name), "systemctl", "restart", "kube-apiserver"
            )

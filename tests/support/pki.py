# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provide keys, a CA, and tasks of x509_cert."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENTS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    compute_fingerprint,
    parse_certificates,
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import (
    Signer,
    ValidityPeriod,
    issue_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    KeyKind,
    encode_public_key,
    generate_key,
    parse_private_key,
    serialize_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair import converge_pair
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.fake_module import FakeModule

NOW = current_utc()
DEFAULTS = {name: option.get("default") for name, option in CERTIFICATE_ARGUMENTS.items()}
SCHEDULER = {
    "subject": {"CN": "system:kube-scheduler", "O": "system:kube-scheduler"},
    "subject_alt_name": ["127.0.0.1", "::1", "m1.example.com"],
}
PROFILES = {
    "signing": {
        "default": {"expiry": "8760h"},
        "profiles": {
            "kubernetes": {
                "usages": ["signing", "key encipherment", "server auth", "client auth"],
                "expiry": "87600h",
            }
        },
    }
}
_SPARE: dict[str, Any] = {}


def spare(kind: str = "RSA", number: int = 0, **more: Any) -> Any:
    """Return a key that tests can share, because the generation of an RSA key takes long."""
    name = f"{kind}{number}{sorted(more.items())}"
    if name not in _SPARE:
        _SPARE[name] = generate_key(KeyKind(kind, **more))
    return _SPARE[name]


def options(**given: Any) -> dict[str, Any]:
    """Return all options of a task as AnsibleModule does."""
    return {**DEFAULTS, "path": "/x/cert.pem", "privatekey_path": "/x/key.pem", **given}


def certificate(
    key: Any,
    issuer: CertificateAuthority | None = None,
    now: datetime = NOW,
    public: Any = None,
    **given: Any,
) -> x509.Certificate:
    """Create a certificate for a key, self-signed or signed by an issuer."""
    spec = parse_certificate_spec(options(**given))
    period = ValidityPeriod(now - spec.backdate, now + spec.valid_for, now + spec.valid_for)
    signer = Signer(issuer.certificate, issuer.private) if issuer else Signer(None, key)
    return issue_certificate(spec, public or key.public_key(), signer, period)


def pem(certificate: x509.Certificate) -> str:
    return serialize_certificate(certificate).decode()


def key_pem(key: Any, passphrase: str | None = None) -> str:
    return serialize_key(key, "pkcs8", passphrase.encode() if passphrase else None).decode()


class Ca:
    """Provide a CA, in two files if a directory is given.

    Two objects with the same key are the same CA.
    """

    def __init__(
        self, folder: Path | None = None, key: Any = None, name: str = "ca", **given: Any
    ) -> None:
        self.key = key or spare("ECC", number=1)
        made = {"subject": {"CN": "kubernetes"}, "is_ca": True, "valid_for": "87600h", **given}
        self.certificate = certificate(self.key, **made)
        self.authority = CertificateAuthority(self.certificate, self.key)
        if folder is not None:
            self.path, self.key_path = folder / f"{name}.pem", folder / f"{name}-key.pem"
            self.write()

    @property
    def pem(self) -> str:
        return pem(self.certificate)

    @property
    def fingerprint(self) -> str:
        return compute_fingerprint(self.certificate)

    def write(self) -> None:
        self.path.write_text(self.pem)
        self.key_path.write_text(key_pem(self.key))
        self.key_path.chmod(0o600)

    def issue(
        self,
        name: str = "server",
        *,
        dns: Sequence[str] = (),
        ips: Sequence[str] = ("127.0.0.1",),
        key: Any = None,
        start: int = -60,
        end: int = 3600,
    ) -> tuple[str, str]:
        """Return PEM of a certificate and its key, created without the code under test.

        The certificate is valid from `start` to `end`, in seconds from now.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        sans: list[x509.GeneralName] = [x509.DNSName(d) for d in dns]
        sans += [x509.IPAddress(ipaddress.ip_address(i)) for i in ips]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + timedelta(seconds=start))
            .not_valid_after(NOW + timedelta(seconds=end))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(sans), critical=False)
        )
        return pem(builder.sign(self.key, hashes.SHA256())), key_pem(key)

    @property
    def options(self) -> dict[str, str]:
        return {"ca_path": str(self.path), "ca_privatekey_path": str(self.key_path)}


def elapsed() -> timedelta:
    """Return the offset of the real clock from the clock of the tests.

    The clock of the tests is frozen at their start. Other tools issue certificates with the real
    clock.
    """
    return current_utc() - NOW


class Host:
    """Provide a directory for the files of tasks."""

    def __init__(self, folder: Path, ca: Ca | None, **task: Any) -> None:
        self.folder = folder
        self.path, self.key_path = folder / "s.pem", folder / "s-key.pem"
        self.task = {**SCHEDULER, **(ca.options if ca else {}), **task}
        self.warnings: list[str] = []

    def run(
        self, check: bool = False, after: timedelta = timedelta(0), **given: Any
    ) -> dict[str, Any]:
        mine = {"path": str(self.path), "privatekey_path": str(self.key_path)}
        module = FakeModule(check, **options(**{**mine, **self.task, **given}))
        self.warnings = module.warnings
        return converge_pair(module, NOW + after)

    def place(self, key: Any, leaf: x509.Certificate | None = None) -> None:
        self.key_path.write_bytes(serialize_key(key, "pkcs8", None))
        self.key_path.chmod(0o600)
        if leaf is not None:
            self.path.write_bytes(serialize_certificate(leaf))
            self.path.chmod(0o644)

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        return {
            entry.name: (entry.read_bytes(), entry.stat().st_mode)
            for entry in self.folder.iterdir()
            if entry.is_file()
        }

    def matches(self) -> bool:
        """Return whether the key file and the certificate file match."""
        key = parse_private_key(self.key_path.read_bytes(), None, "key")
        result = parse_certificates(self.path.read_bytes())[0]
        assert result is not None
        return encode_public_key(key.private.public_key()) == encode_public_key(result.public_key())


def openssl(*arguments: str) -> str:
    """Run openssl and return its output. If openssl fails, the test fails."""
    done = subprocess.run(["openssl", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_profiles(folder: Path, content: Any = None) -> str:
    path = folder / "ca-config.json"
    path.write_text(json.dumps(PROFILES if content is None else content))
    return str(path)

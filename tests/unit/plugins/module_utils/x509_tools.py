# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CAs and tasks for the tests of x509_cert."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import authority, base, keys, pair, spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import certificate as _certificate
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import wanted as _wanted
from cryptography import x509
from stand_ins import FakeModule

NOW = base.now()
DEFAULTS = {name: option.get("default") for name, option in spec.ARGUMENT_SPEC.items()}
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
    """Return a key that tests may share, since making RSA keys takes its time."""
    name = f"{kind}{number}{sorted(more.items())}"
    if name not in _SPARE:
        _SPARE[name] = keys.generate(keys.Kind(kind, **more))
    return _SPARE[name]


def options(**given: Any) -> dict[str, Any]:
    """Return all options of a task, as AnsibleModule would."""
    return {**DEFAULTS, "path": "/x/cert.pem", "privatekey_path": "/x/key.pem", **given}


def certificate(
    key: Any, issuer: authority.Authority | None = None, now: datetime = NOW, public: Any = None, **given: Any
) -> x509.Certificate:
    """Make a certificate for a key (or another's public key), by itself or by an issuer."""
    wanted = _wanted.wanted(options(**given))
    times = _certificate.Times(now - wanted.backdate, now + wanted.valid_for, now + wanted.valid_for)
    signer = issuer.private if issuer else key
    return _certificate.build(wanted, public or key.public_key(), issuer and issuer.certificate, signer, times)


class Ca:
    """A CA in two files."""

    def __init__(self, folder: Path, key: Any = None, name: str = "ca", **given: Any) -> None:
        self.key = key or spare("ECC", number=1)
        self.path, self.key_path = folder / f"{name}.pem", folder / f"{name}-key.pem"
        made = {"subject": {"CN": "kubernetes"}, "is_ca": True, "valid_for": "87600h", **given}
        self.certificate = certificate(self.key, **made)
        self.authority = authority.Authority(self.certificate, self.key)
        self.write()

    def write(self) -> None:
        self.path.write_bytes(_certificate.pem(self.certificate))
        self.key_path.write_bytes(keys.dump(self.key, "pkcs8", None))
        self.key_path.chmod(0o600)

    @property
    def options(self) -> dict[str, str]:
        return {"ca_path": str(self.path), "ca_privatekey_path": str(self.key_path)}


class Host:
    """A directory on which tasks run."""

    def __init__(self, folder: Path, ca: Ca | None, **task: Any) -> None:
        self.folder = folder
        self.path, self.key_path = folder / "s.pem", folder / "s-key.pem"
        self.task = {**SCHEDULER, **(ca.options if ca else {}), **task}
        self.warnings: list[str] = []

    def run(self, check: bool = False, after: timedelta = timedelta(0), **given: Any) -> dict[str, Any]:
        mine = {"path": str(self.path), "privatekey_path": str(self.key_path)}
        module = FakeModule(check, **options(**{**mine, **self.task, **given}))
        self.warnings = module.warnings
        return pair.Pair(module, NOW + after).run()

    def place(self, key: Any, leaf: x509.Certificate | None = None) -> None:
        self.key_path.write_bytes(keys.dump(key, "pkcs8", None))
        self.key_path.chmod(0o600)
        if leaf is not None:
            self.path.write_bytes(_certificate.pem(leaf))
            self.path.chmod(0o644)

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        return {
            entry.name: (entry.read_bytes(), entry.stat().st_mode) for entry in self.folder.iterdir() if entry.is_file()
        }

    def matches(self) -> bool:
        """Tell whether the key and the certificate, as they lie there, belong together."""
        key = keys.parse(self.key_path.read_bytes(), None, "key")
        found = _certificate.parse(self.path.read_bytes())[0]
        assert found is not None
        return keys.public_bytes(key.private.public_key()) == keys.public_bytes(found.public_key())


def openssl(*arguments: str) -> str:
    """Run openssl, and return what it says; the test fails with it."""
    done = subprocess.run(["openssl", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_profiles(folder: Path, content: Any = None) -> str:
    path = folder / "ca-config.json"
    path.write_text(json.dumps(PROFILES if content is None else content))
    return str(path)

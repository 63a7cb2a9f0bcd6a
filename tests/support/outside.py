# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provide an external CA, the directory between the CA and a host, and two tools that sign.

The tools are cfssl and openssl.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from ansible.errors import AnsibleFileNotFound
from ansible_collections.kube_ha.scheduler.plugins.action.x509_cert import ActionModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError, X509Error
from cryptography import x509

from tests.support.fake_module import one_line
from tests.support.pki import Ca, Host, certificate, openssl, pem

SUBJECT = {"CN": "system:kube-scheduler", "O": "system:kube-scheduler"}
SANS = ["127.0.0.1", "m1.example"]
FIT: dict[str, Any] = {"subject": SUBJECT, "subject_alt_name": SANS}
ADVICE = "have {0}/m1.csr signed by the CA in {1}, and save the certificate as {0}/m1.pem"


class Site:
    """Provide a host, a CA without its key, and the directory between them."""

    def __init__(self, folder: Path) -> None:
        for name in ("host", "ca", "csr"):
            (folder / name).mkdir()
        self.host = Host(folder / "host", None)
        self.ca = Ca(folder / "ca")
        self.ca.key_path.unlink()
        self.folder = folder / "csr"
        self.csr, self.pem = self.folder / "m1.csr", self.folder / "m1.pem"
        self.after, self.check = timedelta(0), False
        self.sent: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda result: result
        self.advice = ADVICE.format(self.folder, self.ca.path)

    def _execute(
        self, name: str, module_args: dict[str, Any], task_vars: Any = None
    ) -> dict[str, Any]:
        self.sent.append(module_args)
        try:
            result = self.host.run(
                check=self.check, after=self.after, **json.loads(json.dumps(module_args))
            )
        except (X509Error, FilesError) as exc:
            result = {"failed": True, "msg": str(exc)}
        return self.answer(json.loads(json.dumps(result)))

    def run(self, check: Any = False, **given: Any) -> dict[str, Any]:
        mine = {
            "path": str(self.host.path),
            "privatekey_path": str(self.host.key_path),
            "privatekey_type": "ECC",
            "ca_on": "external",
            "ca_path": str(self.ca.path),
            "csr_path": str(self.csr),
            "certificate_source": str(self.pem),
            **FIT,
            **given,
        }
        task = mock.MagicMock(
            async_val=0, check_mode=check, args={k: v for k, v in mine.items() if v is not None}
        )
        plugin = ActionModule(task, *(mock.MagicMock() for _number in range(5)))
        self.check = check
        plugin._execute_module = self._execute
        plugin._find_needle = mock.MagicMock(side_effect=AnsibleFileNotFound())
        result = plugin.run(None, {})
        if result.get("failed"):
            one_line(Exception(result["msg"]))
        assert "PRIVATE KEY" not in json.dumps([result, self.sent])
        assert "csr" not in result
        return result

    def public(self) -> Any:
        """Return the public key of the pending request."""
        return x509.load_pem_x509_csr(self.csr.read_bytes()).public_key()

    def issue(self, ca: Ca | None = None, **given: Any) -> x509.Certificate:
        """Sign the request as the other CA."""
        return certificate(
            None, (ca or self.ca).authority, public=self.public(), **{**FIT, **given}
        )

    def hand_in(self, *chain: x509.Certificate) -> None:
        self.pem.write_text("".join(f"issued by somebody\n{pem(found)}" for found in chain))

    def deployed(self, **given: Any) -> None:
        assert self.run()["failed"]
        self.hand_in(self.issue(**given))
        assert self.run()["chain"] == "valid"


def by_cfssl(ca: Path, key: Path, request: Path, config: Path, profile: str = "kubernetes") -> None:
    """Sign HOST.csr as HOST.pem, with the commands in the documentation of cfssl."""
    words = [
        f"-ca={ca}",
        f"-ca-key={key}",
        f"-config={config}",
        f"-profile={profile}",
        str(request),
    ]
    signed = subprocess.run(["cfssl", "sign", *words], capture_output=True, check=False)
    assert signed.returncode == 0, signed.stderr.decode()
    bare = ["cfssljson", "-bare", str(request.with_suffix(""))]
    subprocess.run(bare, input=signed.stdout, check=True, capture_output=True)


def by_openssl(
    ca: Path, key: Path, request: Path, *words: str, days: int = 365, copy: bool = True
) -> None:
    """Sign HOST.csr as HOST.pem.

    If `copy` is true, openssl copies the requested extensions.
    """
    extensions = ["-copy_extensions", "copyall"] if copy else []
    out = ["-out", str(request.with_suffix(".pem")), "-days", str(days), *extensions, *words]
    openssl(
        "x509",
        "-req",
        "-in",
        str(request),
        "-CA",
        str(ca),
        "-CAkey",
        str(key),
        "-CAcreateserial",
        *out,
    )

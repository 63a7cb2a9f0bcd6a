"""Test the prediction why a key pair on the controller would be issued, without any change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.preview import preview_pair

from tests.support.pki import Ca, Host


def options(ca: Ca, folder: Path, **given: Any) -> dict[str, Any]:
    return {
        "path": str(folder / "cert.pem"),
        "privatekey_path": str(folder / "key.pem"),
        "privatekey_type": "ECC",
        "subject": {"CN": "system:kube-scheduler"},
        "ca_on": "controller",
        **ca.options,
        **given,
    }


def test_preview_reports_missing_valid_and_due_pairs(tmp_path: Path) -> None:
    ca = Ca(tmp_path)
    missing = preview_pair(options(ca, tmp_path))
    assert missing == ["the private key is missing", "the certificate is missing"]
    assert not (tmp_path / "key.pem").exists()
    host = Host(tmp_path, ca)
    host.run(privatekey_type="ECC", subject={"CN": "system:kube-scheduler"}, subject_alt_name=[])
    found = options(ca, tmp_path, path=str(host.path), privatekey_path=str(host.key_path))
    before = host.path.read_bytes()
    assert preview_pair(found) == []
    [due] = preview_pair({**found, "valid_for": "8770h", "renew_before": "8765h"})
    assert "within 8765h" in due
    assert preview_pair({**found, "subject": {"CN": "other"}})
    assert host.path.read_bytes() == before


def test_preview_with_a_missing_ca_fails(tmp_path: Path) -> None:
    ca = Ca(tmp_path)
    with pytest.raises(X509Error, match="does not exist"):
        preview_pair(options(ca, tmp_path, ca_path="/nowhere"))

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENTS,
    CERTIFICATE_RESULT_KEYS,
)
from ansible_collections.kube_ha.scheduler.plugins.modules import x509_cert

testing = pytest.importorskip("ansible.module_utils.testing")
yaml = pytest.importorskip("yaml")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(**given: Any) -> Any:
        mine = {
            "path": str(tmp_path / "ca.pem"),
            "privatekey_path": str(tmp_path / "ca-key.pem"),
            "privatekey_type": "ECC",
            "subject": {"CN": "kubernetes"},
            "is_ca": True,
        }
        with testing.patch_module_args({**mine, **given}), pytest.raises(SystemExit):
            x509_cert.main()
        return json.loads(capsys.readouterr().out)

    return run


def test_ca_gets_the_rights_of_the_task(run: Any, tmp_path: Path) -> None:
    check = run(_ansible_check_mode=True, mode="0640")
    made = run(mode="0640")
    assert (check["changed"], made["changed"]) == (True, True)
    assert check["reasons"] == made["reasons"]
    assert stat.S_IMODE(os.stat(tmp_path / "ca-key.pem").st_mode) == 0o640
    assert stat.S_IMODE(os.stat(tmp_path / "ca.pem").st_mode) == 0o644
    assert not run(mode="0640")["changed"]
    assert run(mode="0600", _ansible_check_mode=True)["changed"]
    assert run()["changed"]
    assert stat.S_IMODE(os.stat(tmp_path / "ca-key.pem").st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give files away")
def test_owner_and_group_apply_to_both_files(run: Any, tmp_path: Path) -> None:
    run(owner="nobody", group="daemon", mode="u=rw,g=r,o=")
    for name, mode in (("ca.pem", 0o644), ("ca-key.pem", 0o640)):
        status = os.stat(tmp_path / name)
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (65534, 1, mode)
    assert not run(owner="nobody", group="daemon", mode="u=rw,g=r,o=")["changed"]


@pytest.mark.parametrize(
    "given",
    [
        {"privatekey_size": 1.5},
        {"privatekey_size": True, "privatekey_type": "RSA"},
        {"privatekey_size": "0600", "privatekey_type": "RSA"},
        {"privatekey_type": "DSA"},
        {"subject": "CN=x,O=y,=z"},
        {"subject_alt_name": [["a"]]},
        {"names": ["x"]},
        {"profile": "kubernetes"},
        {"ca_path": "/x"},
        {"path": "relative.pem"},
        {"path": "x" * 5000},
        {"is_ca": False},
        {"nosuch": 1},
    ],
)
def test_invalid_options_are_rejected_in_one_line(
    run: Any, given: dict[str, Any], tmp_path: Path
) -> None:
    result = run(**given)
    assert result["failed"]
    assert "\n" not in result["msg"]
    assert "Traceback" not in json.dumps(result)
    assert list(tmp_path.iterdir()) == []


def test_missing_library_is_reported_with_its_package(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        x509_cert.library, "CRYPTOGRAPHY_TRACEBACK", "Traceback: No module named 'cryptography'"
    )
    monkeypatch.setattr(sys, "prefix", "/usr")
    result = run()
    assert result["failed"]
    assert result["msg"] == (
        "the Python library cryptography, 3.3 or newer, is missing for"
        f" {sys.executable} on this host; install the package python3-cryptography"
    )
    predicted = run(_ansible_check_mode=True)
    assert (predicted["changed"], predicted.get("failed", False)) == (True, False)


def test_all_results_are_documented(run: Any) -> None:
    documented = set(yaml.safe_load(x509_cert.RETURN))
    assert documented == CERTIFICATE_RESULT_KEYS
    assert set(run()) - documented <= {"changed", "diff", "invocation", "warnings"}


def test_options_match_the_documentation() -> None:
    options = yaml.safe_load(x509_cert.DOCUMENTATION)["options"]
    assert set(options) == {*CERTIFICATE_ARGUMENTS, "mode"}
    for name, option in CERTIFICATE_ARGUMENTS.items():
        for field in ("type", "choices", "default", "required", "elements"):
            assert options[name].get(field) == option.get(field), (name, field)


def test_examples_use_existing_options() -> None:
    tasks = [task.get("kube_ha.scheduler.x509_cert") for task in yaml.safe_load(x509_cert.EXAMPLES)]
    for options in filter(None, tasks):
        assert set(options) <= {*CERTIFICATE_ARGUMENTS, "owner", "group", "mode"}

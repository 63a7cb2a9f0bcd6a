# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleFileNotFound
from ansible_collections.kube_ha.scheduler.plugins.action.x509_cert import ActionModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError, X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    read_fields,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import serialize_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.support.fake_module import one_line
from tests.support.pki import Ca, Host, elapsed, spare, write_profiles


class Target:
    """Provide a host for an action plugin, and record all data that the host receives."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(folder, None)
        self.sent: list[dict[str, Any]] = []
        self.answer: Any = lambda result: result
        self.check = False

    def execute(self, name: str, module_args: dict[str, Any], task_vars: Any = None) -> Any:
        assert name == "kube_ha.scheduler.x509_cert"
        self.sent.append(module_args)
        try:
            result = self.host.run(
                check=self.check, after=elapsed(), **json.loads(json.dumps(module_args))
            )
        except (X509Error, FilesError) as exc:
            result = {"failed": True, "msg": str(exc)}
        return self.answer(json.loads(json.dumps(result)))


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    (tmp_path / "ca").mkdir()
    return Ca(tmp_path / "ca")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "target").mkdir()
    return Target(tmp_path / "target")


def run(target: Target, ca: Ca, check: bool = False, **given: Any) -> dict[str, Any]:
    mine = {
        "path": str(target.host.path),
        "privatekey_path": str(target.host.key_path),
        "privatekey_type": "ECC",
        "subject": {"CN": "system:kube-scheduler"},
        "subject_alt_name": ["127.0.0.1"],
        "ca_on": "controller",
        **ca.options,
    }
    task = mock.MagicMock(
        async_val=0,
        check_mode=check,
        args={k: v for k, v in {**mine, **given}.items() if v is not None},
    )
    plugin = ActionModule(task, *(mock.MagicMock() for _number in range(5)))
    target.check = check
    target.sent.clear()
    plugin._execute_module = target.execute
    plugin._find_needle = mock.MagicMock(side_effect=AnsibleFileNotFound())
    result = plugin.run(None, {})
    if result.get("failed"):
        one_line(Exception(result["msg"]))
    return result


def test_first_certificate_takes_two_module_runs_and_no_change_one(target: Target, ca: Ca) -> None:
    predicted = run(target, ca, check=True)
    assert (len(target.sent), predicted["changed"]) == (1, True)
    made = run(target, ca)
    assert (len(target.sent), made["changed"], made["chain"]) == (2, True, "valid")
    assert (
        made["reasons"]
        == predicted["reasons"]
        == ["the private key is missing", "the certificate is missing"]
    )
    assert made["diff"]["before"] == {"private_key": None}
    assert "csr" not in made
    assert target.host.matches()
    for check in (True, False):
        again = run(target, ca, check=check)
        assert (len(target.sent), again["changed"], again["serial_number"]) == (
            1,
            False,
            made["serial_number"],
        )


def test_new_key_takes_two_module_runs(target: Target, ca: Ca) -> None:
    run(target, ca)
    made = run(target, ca, privatekey_curve="secp384r1", regenerate="partial", backup=True)
    assert (len(target.sent), made["privatekey_curve"]) == (2, "secp384r1")
    assert Path(made["privatekey_backup_file"]).exists()
    assert target.host.matches()


def test_only_the_ca_certificate_is_sent(target: Target, ca: Ca) -> None:
    ca = Ca(ca.path.parent, valid_for="43800h")
    secret = ca.path.parent / "secret"
    secret.write_text("hush\n")
    ca.key_path.write_bytes(serialize_key(ca.key, "pkcs8", b"hush"))
    config = write_profiles(ca.path.parent)
    result = run(
        target,
        ca,
        ca_privatekey_passphrase_file=str(secret),
        ca_config=config,
        profile="kubernetes",
        not_after_policy="clamp",
    )
    assert result["changed"]
    assert result["clamped"] is True
    for sent in target.sent:
        text = json.dumps(sent)
        assert not any(
            word in text for word in ("PRIVATE KEY", "hush", str(ca.path.parent), "profile")
        )
        assert not any(name.startswith("ca_") and name != "ca_on" for name in sent)
    assert target.sent[0]["valid_for"] == "87600h"
    assert not run(
        target,
        ca,
        ca_privatekey_passphrase_file=str(secret),
        ca_config=config,
        profile="kubernetes",
        not_after_policy="clamp",
    )["changed"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no CA": ({"ca_path": None, "ca_privatekey_path": None}, "ca_path: is not set"),
    "half a CA": ({"ca_privatekey_path": None}, "ca_privatekey_path"),
    "relative": ({"ca_path": "nowhere/ca.pem"}, "in no files directory"),
    "a directory": ({"ca_path": "/tmp"}, "a directory"),
    "bad choice": ({"privatekey_type": "DSA"}, "value of privatekey_type must be one of"),
    "bad size": ({"privatekey_type": "RSA", "privatekey_size": 1024}, "set 2048 to 8192"),
    "bad name": ({"subject_alt_name": ["1.2.3"]}, "is not an IP address"),
    "bad subject": ({"subject": {"CN": ""}}, "subject.CN"),
    "bad time": ({"valid_for": "1y"}, "is not a duration"),
    "no profile file": ({"profile": "kubernetes"}, "ca_config"),
    "hidden": ({"_certificate": "x"}, "is not an option"),
    "hidden too": ({"_ca_certificate": "x"}, "is not an option"),
    "unknown": ({"nosuch": 1}, "nosuch"),
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("case", BAD)
def test_invalid_options_are_rejected_before_the_first_contact(
    target: Target, ca: Ca, case: str, check: bool
) -> None:
    given, words = BAD[case]
    result = run(target, ca, check=check, **given)
    assert result["failed"] is True
    assert words in result["msg"]
    assert target.sent == []


@pytest.mark.parametrize("option", ["ca_path", "ca_privatekey_path", "ca_config"])
def test_missing_ca_is_a_warning_in_check_mode(target: Target, ca: Ca, option: str) -> None:
    given: dict[str, Any] = {option: "/nonexistent/file"}
    result = run(target, ca, **given)
    assert result["failed"] is True
    assert f"{option}: '/nonexistent/file' does not exist" in result["msg"]
    predicted = run(target, ca, check=True, **given)
    assert (predicted["changed"], predicted["reasons"]) == (True, [result["msg"]])
    assert predicted["warnings"] == [
        f"{result['msg']}; check mode assumes that an earlier task creates it"
    ]
    assert target.sent == []
    assert run(target, ca, check=True, privatekey_type="DSA", **given)["failed"], (
        "what is bad stays bad"
    )


@pytest.mark.parametrize("check", [True, False])
def test_certificate_that_outlives_its_ca_is_rejected_if_one_is_issued(
    target: Target, ca: Ca, check: bool
) -> None:
    assert "after its CA" in run(target, ca, check=check, valid_for="100000h")["msg"]
    assert target.host.snapshot() == {}
    run(target, ca)
    assert not run(target, ca, check=check, valid_for="100000h").get("failed")


def test_unusable_ca_is_rejected_before_the_first_contact(target: Target, ca: Ca) -> None:
    ca.key_path.chmod(0o644)
    assert "other users can read" in run(target, ca, check=True)["msg"]
    ca.key_path.write_bytes(serialize_key(spare("Ed25519"), "pkcs8", None))
    ca.key_path.chmod(0o600)
    assert "is not the key of a certificate" in run(target, ca, check=True)["msg"]
    ca.certificate = x509.CertificateBuilder(
        ca.certificate.subject,
        ca.certificate.subject,
        ca.key.public_key(),
        1,
        *read_validity(ca.certificate),
    ).sign(ca.key, hashes.SHA256())
    ca.write()
    assert "is not a CA" in run(target, ca, check=True)["msg"]
    assert target.sent == []


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another")
@pytest.mark.parametrize("barred", ["the key", "its directory"])
def test_ca_that_the_user_cannot_read_is_rejected(target: Target, barred: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        ca = Ca(Path(name))
        place = ca.key_path
        if barred == "its directory":
            os.chmod(name, 0o700)
            place = ca.path.parent
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            os.write(writing, run(target, ca)["msg"].encode())
            os._exit(0)
        os.waitpid(child, 0)
        message = os.read(reading, 10000).decode()
    assert (
        f"{str(place)!r} on the controller belongs to root, and Ansible, run by nobody, cannot read it"
        in message
    )
    assert "run Ansible as root, grant nobody access through a group, or use a copy" in message


def lying(ask: dict[str, Any]) -> str:
    builder = x509.CertificateSigningRequestBuilder(x509.Name(ask.get("name", [])))
    if "names" in ask:
        builder = builder.add_extension(x509.SubjectAlternativeName(ask["names"]), critical=False)
    if "ca" in ask:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
    return (
        builder.sign(spare("ECC"), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


@pytest.mark.parametrize(
    "ask",
    [
        {"name": [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "system:masters")]},
        {"names": [x509.DNSName("evil.example")]},
        {"ca": True},
    ],
)
def test_request_with_other_content_is_not_signed(
    target: Target, ca: Ca, ask: dict[str, Any]
) -> None:
    target.answer = lambda result: {**result, "csr": lying(ask)}
    result = run(target, ca)
    assert (
        result["failed"],
        "check that the host runs x509_cert of this collection" in result["msg"],
    ) == (
        True,
        True,
    )
    assert len(target.sent) == 1
    assert not target.host.path.exists()


def test_certificate_for_another_key_is_rejected_by_the_target(target: Target, ca: Ca) -> None:
    target.answer = lambda result: {**result, "csr": lying({})} if "csr" in result else result
    result = run(target, ca)
    assert "another run has replaced" in result["msg"]
    (signed,) = parse_certificates(target.sent[1]["_certificate"].encode())
    assert signed is not None
    facts = read_fields(signed)
    assert facts is not None
    assert (facts["subject"], facts["subject_alt_name"]) == (
        {"CN": "system:kube-scheduler"},
        ["IP:127.0.0.1"],
    )
    assert (facts["is_ca"], facts["extended_key_usage"]) == (False, ["clientAuth", "serverAuth"])


@pytest.mark.parametrize(
    "answer", [{}, {"csr": None}, {"failed": True, "msg": "no python"}, {"unreachable": True}]
)
def test_failed_target_result_ends_the_task(target: Target, ca: Ca, answer: dict[str, Any]) -> None:
    target.answer = lambda result: answer
    run(target, ca)
    assert len(target.sent) == 1


HOSTILE = {
    "ansible_facts": {"x": 1},
    "add_host": {"host_name": "x"},
    "_ansible_no_log": False,
    "nosuch": "x",
}


@pytest.mark.parametrize("ca_on", ["controller", "target"])
def test_keys_that_control_ansible_are_dropped_from_results(
    target: Target, ca: Ca, ca_on: str
) -> None:
    target.answer = lambda result: {**result, **HOSTILE}
    made = run(target, ca, ca_on=ca_on)
    assert (made["changed"], made["chain"], set(HOSTILE) & set(made)) == (True, "valid", set())
    target.answer = lambda result: {
        "failed": True,
        "msg": "no",
        "module_stdout": "x",
        "rc": 1,
        "csr": "x",
        **HOSTILE,
    }
    assert run(target, ca, ca_on=ca_on) == {
        "failed": True,
        "msg": "no",
        "module_stdout": "x",
        "rc": 1,
    }


@pytest.mark.parametrize("diff", ["x", None, [1], {"before": []}])
def test_invalid_diff_is_ignored(target: Target, ca: Ca, diff: Any) -> None:
    target.answer = lambda result: {**result, "diff": diff}
    assert run(target, ca)["chain"] == "valid"


@pytest.mark.parametrize(
    "csr", [7, True, ["x"], {"x": 1}, "x" * (16 << 10), "x" * (100 << 10), "\u00e9"]
)
def test_invalid_request_is_rejected(target: Target, ca: Ca, csr: Any) -> None:
    target.answer = lambda result: {**result, "csr": csr}
    result = run(target, ca)
    assert (result["failed"], len(target.sent)) == (True, 1)
    assert "signing request" in result["msg"]
    assert len(result["msg"]) < 200


def test_ca_on_the_target_is_left_to_the_module(target: Target, ca: Ca) -> None:
    result = run(target, ca, ca_on="target")
    assert (len(target.sent), result["chain"]) == (1, "valid")
    assert target.sent[0]["ca_path"] == str(ca.path)
    assert run(target, ca, state="absent")["changed"]
    assert not target.host.path.exists()

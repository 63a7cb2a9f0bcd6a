# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test what the action plugin scheduler_info sends to a host, and which results it returns."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail, AnsibleFileNotFound
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.kube_ha.scheduler.plugins.action.scheduler_info import ActionModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import SERVING_SPEC
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import has_signed
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _envelope, _seal

from tests.support.fake_module import one_line
from tests.support.host import RESULT
from tests.support.pki import Ca, key_pem, write_profiles

VERSIONS = {
    "1.37": {
        "https": 10259,
        "http": 0,
        "ready": {"path": "/readyz", "port": "https"},
        "locks": ["leases"],
        "style": "not sent to a host",
    }
}


class Target:
    """Provide a host that returns one result and records the arguments that it receives."""

    def __init__(self, result: Any = None) -> None:
        self.result = (
            {**copy.deepcopy(RESULT), "time": time.time(), "changed": False}
            if result is None
            else result
        )
        self.sent: list[dict[str, Any]] = []
        self.commands: list[str] = []
        self.python = "3.11"
        self.loader = DataLoader()

    def execute(self, module_args: dict[str, Any], task_vars: Any = None) -> Any:
        self.sent.append(module_args)
        return copy.deepcopy(self.result)

    def command(self, words: str) -> dict[str, Any]:
        self.commands.append(words)
        return {"rc": 0 if self.python else 127, "stdout": f"{self.python}\n", "stderr": ""}

    def run(self, variables: dict[str, Any] | None = None, **args: Any) -> dict[str, Any]:
        task = mock.MagicMock(async_val=0, check_mode=False, until=[], retries=None, args=args)
        templar = mock.MagicMock()
        templar.template = lambda value: value
        unused = [mock.MagicMock() for _number in range(2)]
        plugin = ActionModule(task, *unused, self.loader, templar, mock.MagicMock())
        plugin._execute_module = self.execute
        plugin._low_level_execute_command = self.command
        plugin._find_needle = mock.MagicMock(side_effect=AnsibleFileNotFound())
        plugin._discovered_interpreter_key = None
        result = plugin.run(None, {"inventory_hostname": "m1", **(variables or {})})
        assert task.args == {}, "Ansible would reuse the arguments for every host"
        return result

    def fails(self, variables: dict[str, Any] | None = None, **args: Any) -> str:
        with pytest.raises(AnsibleActionFail) as error:
            self.run(variables, **args)
        return one_line(Exception(error.value.message))


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path)


def test_result_includes_the_clock_offset() -> None:
    target = Target()
    result = target.run()
    assert set(result) == {
        *facts.ModuleResult.__annotations__,
        "changed",
        "clock_offset",
        "round_trip",
        "seal",
    }
    assert _seal.is_sealed(result, "m1", _seal.INFO)
    assert result["changed"] is False
    assert result["clock_offset"] == pytest.approx(0, abs=1)
    assert 0 <= result["round_trip"] < 5
    target.result["time"] += 100
    assert target.run()["clock_offset"] == pytest.approx(100, abs=5)
    target.result["time"] -= 200
    assert target.run()["clock_offset"] == pytest.approx(-100, abs=5)


def test_host_gets_only_the_serving_columns_of_the_version_table() -> None:
    target = Target()
    target.run(versions=VERSIONS)
    serving = {
        "since": "1.37",
        "https": 10259,
        "http": 0,
        "ready_path": "/readyz",
        "ready_port": "https",
        "lock": "leases",
    }
    assert target.sent == [{"_serving": [serving]}]
    assert set(serving) == set(SERVING_SPEC["options"])
    target.run({"table": VERSIONS}, versions="table")
    assert target.sent[1] == target.sent[0]
    for garbage in ("x", {"1.37": None}, {"a": {}}, [1]):
        assert target.fails(versions=garbage).startswith("versions: is not a version table")
    assert "is not an option" in target.fails(_serving=[])


def test_lease_of_an_earlier_result_of_this_run_is_sent() -> None:
    target, lease = Target(), {"holder": "m1.example"}
    for host, kind in (("m1", _seal.INFO), ("m1", _seal.FILESET)):
        known = {"earlier": _seal.seal({"lease": lease}, host, kind)}
        target.run(known, previous="earlier")
        assert target.sent.pop() == {"previous_lease": lease}
    ignored: list[Any] = [
        {"lease": lease},
        _seal.seal({"lease": lease}, "m2", _seal.INFO),
        _seal.seal({"lease": None}, "m1", _seal.INFO),
        {**_seal.seal({"lease": lease}, "m1", _seal.INFO), "lease": {"holder": "m2.example"}},
        {"skipped": True},
        None,
    ]
    for value in ignored:
        target.run({"earlier": value}, previous="earlier")
        assert target.sent.pop() == {}
    target.run(previous="earlier")
    assert target.sent.pop() == {}


def test_unexpected_fields_of_a_result_are_dropped() -> None:
    target = Target()
    clean = target.run()
    target.result.update(
        ansible_facts={"kube_scheduler_subject": {"O": "system:masters"}},
        add_host={"host_name": "x"},
        add_group="g",
        _ansible_no_log=False,
        warnings=["\x1b[31m"],
        diff={},
        skipped=True,
        clock_offset=7,
    )
    target.result["process"]["ansible_facts"] = {}
    result = target.run()
    assert set(result) == set(clean)
    assert "ansible_facts" not in json.dumps(result)
    assert result["clock_offset"] == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    "change",
    [
        {"process": None},
        {"lease": "x"},
        {"time": "now"},
        {"drift": 7},
        {"hostname": 7},
        {"probes": {}},
    ],
)
def test_invalid_result_fails_its_host_in_one_line(change: dict[str, Any]) -> None:
    target = Target()
    target.result.update(change)
    assert target.fails().startswith("m1: invalid result of scheduler_info (result.")


def test_failure_of_the_module_is_returned(ca: Ca) -> None:
    target = Target({"failed": True, "msg": "systemctl show failed", "ansible_facts": {"a": 1}})
    assert target.run() == {"failed": True, "msg": "systemctl show failed"}
    assert target.commands == []


def test_invalid_failure_has_a_standard_message() -> None:
    for answer in (
        {},
        {"failed": True, "msg": {"a": 1}},
        {"failed": "no", "msg": None},
        {"msg": []},
    ):
        result = Target(answer).run()
        assert (result["failed"], result["msg"]) == (
            True,
            "the module returned no result; see its output",
        )


def test_unreachable_host_stays_unreachable() -> None:
    target = Target({"unreachable": True, "msg": "no route", "ansible_facts": {}})
    assert target.run() == {"unreachable": True, "msg": "no route"}
    assert target.commands == []


@pytest.mark.parametrize(
    ("python", "interpreter", "found"),
    [
        ("", None, "python3 is not installed"),
        ("3.6", "auto_silent", "python3 is Python 3.6"),
        ("2.7", "/usr/bin/python", "/usr/bin/python is Python 2.7"),
        ("rm -rf", "/x", "/x is not installed"),
    ],
)
def test_missing_or_old_python_is_reported(
    python: str, interpreter: str | None, found: str
) -> None:
    target = Target(
        {
            "failed": True,
            "msg": "MODULE FAILURE",
            "module_stdout": "",
            "module_stderr": "sh: python3",
            "rc": 127,
        }
    )
    target.python = python
    assert target.fails({"ansible_python_interpreter": interpreter} if interpreter else {}) == (
        f"m1: {found}, but the modules need Python 3.9 or newer; install python3, or set ansible_python_interpreter"
    )


def test_supported_python_leaves_the_failure_unchanged() -> None:
    answer = {
        "failed": True,
        "msg": "MODULE FAILURE",
        "module_stdout": "",
        "module_stderr": "Killed",
        "rc": 137,
        "x": 1,
    }
    target = Target(answer)
    assert target.run() == {name: value for name, value in answer.items() if name != "x"}
    assert target.commands == ["python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'"]


# --- The metrics client


def metrics(ca: Ca) -> dict[str, Any]:
    return {"metrics_ca_path": str(ca.path), "metrics_ca_privatekey_path": str(ca.key_path)}


def test_metrics_client_is_issued_if_the_host_is_probed(ca: Ca) -> None:
    target = Target()
    target.run(**metrics(ca))
    [sent] = target.sent
    assert set(sent) == {"metrics_cert", "metrics_key"}
    assert sent["metrics_cert"].startswith("-----BEGIN CERTIFICATE-----")
    target.sent.clear()
    for probe in (False, "false", "no"):
        target.run(probe=probe, **metrics(ca))
    assert target.sent == [{"probe": False}, {"probe": "false"}, {"probe": "no"}]


@pytest.mark.parametrize("away", ["key", "certificate", "garbage"])
def test_metrics_client_without_a_usable_ca_is_not_checked(ca: Ca, away: str) -> None:
    if away == "garbage":
        ca.path.write_text("garbage")
    else:
        (ca.key_path if away == "key" else ca.path).unlink()
    target = Target()
    result = target.run(**metrics(ca))
    assert target.sent == [{}]
    [line] = result["not_checked"]
    assert line.startswith("metrics for an authorized client (on the controller, ca_p")
    [warning] = result["warnings"]
    assert warning.startswith(
        "m1: not checked: metrics for an authorized client: on the controller, "
    )


def test_metrics_client_of_an_expired_ca_is_not_checked(tmp_path: Path) -> None:
    ca = Ca(tmp_path)
    with mock.patch(
        "ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.metrics_client.current_utc"
    ) as now:
        now.return_value = read_validity(ca.certificate)[1] + timedelta(seconds=1)
        result = Target().run(**metrics(ca))
    assert "expired on" in result["not_checked"][0]


@pytest.mark.parametrize("kind", ["metrics", "next"])
def test_ca_key_with_a_passphrase_issues_a_client(ca: Ca, tmp_path: Path, kind: str) -> None:
    ca.key_path.write_text(key_pem(ca.key, "secret"))
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("secret")
    target, prefix = Target(), f"{kind}_ca"
    options: dict[str, Any] = {
        f"{prefix}_path": str(ca.path),
        f"{prefix}_privatekey_path": str(ca.key_path),
        f"{prefix}_privatekey_passphrase_file": str(passphrase),
    }
    target.run(**options)
    [sent] = target.sent
    assert set(sent) == {f"{kind}_cert", f"{kind}_key"}


def test_ca_without_key_is_rejected(ca: Ca) -> None:
    assert "set both" in Target().fails(metrics_ca_path=str(ca.path))


def test_client_of_the_next_ca_is_issued_on_the_controller(ca: Ca) -> None:
    """With the next CA, the controller issues a client certificate without permissions.

    The plugin sends neither a path nor the key of the CA to the host.
    """
    target = Target()
    target.run(next_ca=ca.pem, next_ca_path=str(ca.path), next_ca_privatekey_path=str(ca.key_path))
    [sent] = target.sent
    assert set(sent) == {"next_ca", "next_cert", "next_key"}
    [made] = parse_certificates(sent["next_cert"].encode())
    assert made is not None
    assert has_signed(ca.certificate, made)
    assert made.subject.rfc4514_string() == "CN=kube-ha-probe"
    begins, ends = read_validity(made)
    assert ends - begins <= timedelta(minutes=15)
    assert "set both" in Target().fails(next_ca_path=str(ca.path))
    ca.key_path.unlink()
    assert "on the controller, ca_privatekey_path" in Target().fails(
        next_ca_path=str(ca.path), next_ca_privatekey_path=str(ca.key_path)
    )


# --- The desired state


def desired(**given: Any) -> dict[str, Any]:
    return {
        "desired": {"version": "1.37.2", "binary": "/opt/k8s/bin/kube-scheduler-v1.37.2", **given}
    }


def certificate(ca: Ca, **given: Any) -> dict[str, Any]:
    return {
        "path": "/etc/cert.pem",
        "privatekey_path": "/etc/key.pem",
        "subject": {"CN": "system:kube-scheduler"},
        "ca_on": "controller",
        **ca.options,
        "mode": "0600",
        **given,
    }


def test_no_controller_path_is_sent_to_the_host(ca: Ca, tmp_path: Path) -> None:
    target = Target()
    profiles = write_profiles(tmp_path)
    task = desired(
        certificate=certificate(
            ca, ca_config=profiles, profile="kubernetes", not_after_policy="clamp"
        )
    )
    before = copy.deepcopy(task)
    ca.key_path.unlink()
    result = target.run(**task)
    assert result["drift"] == []
    assert str(tmp_path) not in json.dumps(target.sent)
    sent = target.sent[0]["desired"]["certificate"]
    assert sent["_ca_certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert (sent["valid_for"], sent["mode"]) == ("87600h", "0600")
    assert task == before


def test_unusable_ca_is_drift(ca: Ca) -> None:
    target = Target()
    target.result["drift"] = [{"part": "unit", "reason": "/x: content differs"}]
    ca.path.unlink()
    result = target.run(**desired(certificate=certificate(ca)))
    assert [entry["part"] for entry in result["drift"]] == ["certificate", "unit"]
    assert result["drift"][0]["reason"].startswith("on the controller, ca_path: ")
    assert target.sent[0]["desired"]["certificate"] is None


def test_vaulted_key_is_compared_decrypted(
    tmp_path: Path,
) -> None:
    secret, target, key = VaultSecret(b"hush"), Target(), tmp_path / "key.pem"
    key.write_bytes(VaultLib([("default", secret)]).encrypt(b"key"))
    target.loader.set_vault_secrets([("default", secret)])
    target.run(**desired(pair={"privatekey_source": str(key)}))
    assert (
        target.sent[0]["desired"]["pair"]["privatekey_sha256"] == hashlib.sha256(b"key").hexdigest()
    )


def test_key_pair_from_the_controller_is_compared_by_checksum(tmp_path: Path) -> None:
    target = Target()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text("certificate")
    pair = {
        "certificate_source": str(cert),
        "privatekey_source": str(key),
        "x509_cert": {"subject": {}},
        "owner": "root",
    }
    result = target.run(**desired(pair=pair))
    assert target.sent[0]["desired"]["pair"] == {
        "certificate_sha256": hashlib.sha256(b"certificate").hexdigest(),
        "privatekey_sha256": None,
        "owner": "root",
    }
    assert result["drift"] == [
        {
            "part": "certificate",
            "reason": f"on the controller, {cert}: missing required arguments: path, privatekey_path",
        }
    ]


@pytest.mark.parametrize(
    "given",
    [{"certificate": "x"}, {"pair": "x"}, {"certificate": {"ca_on": "controller"}, "pair": []}],
)
def test_invalid_desired_state_is_rejected_in_one_line(given: dict[str, Any]) -> None:
    target = Target()
    if given.get("pair") == []:
        # If options of x509_cert are missing, the error message is that of x509_cert.
        target.fails(**desired(**given))
    else:
        assert "is not a dictionary" in target.fails(**desired(**given))
    assert (
        target.fails(desired="x")
        == "desired: is not a dictionary; set the desired state from scheduler_plan"
    )


def test_files_of_an_external_ca_are_sent_without_their_paths(ca: Ca, tmp_path: Path) -> None:
    """The host gets the content of the files of an external CA, but not their paths.

    The action plugin adds the next step for the user to the result.
    """
    task = {
        "path": "/x.pem",
        "privatekey_path": "/x-key.pem",
        "subject": {"CN": "system:kube-scheduler"},
        "ca_on": "external",
        "ca_path": str(ca.path),
        "csr_path": str(tmp_path / "m1.csr"),
        "certificate_source": str(tmp_path / "m1.pem"),
    }
    (tmp_path / "m1.csr").write_text("a request")
    (tmp_path / "m1.pem").write_text(ca.issue()[0])
    target = Target()
    target.result["awaited"] = ["the certificate ends soon"]
    result = target.run(desired={"version": "1.37.2", "binary": "/x", "certificate": task})
    assert result["awaited"] == [
        f"the certificate ends soon; have {tmp_path}/m1.csr signed by the CA in {ca.path}, and save the certificate as {tmp_path}/m1.pem"
    ]
    [sent] = target.sent
    assert sent["desired"]["certificate"]["_certificate"] == (tmp_path / "m1.pem").read_text()
    assert sent["desired"]["certificate"]["_request"] == "a request"
    assert str(tmp_path) not in json.dumps(sent)
    ca.path.unlink()
    result = target.run(desired={"version": "1.37.2", "binary": "/x", "certificate": task})
    assert target.sent[1]["desired"]["certificate"] is None
    assert result["drift"][0]["reason"].startswith(
        f"on the controller, ca_path: '{ca.path}' does not exist"
    )


def test_secrets_are_sent_only_as_the_option_secrets() -> None:
    secrets = {"contents": {"config": "keyData: marker"}, "values": ["marker"]}
    plan = {
        "desired": {"version": "1.37.2", "files": []},
        "secrets": _envelope.close_envelope(secrets, "m1"),
    }
    data = {
        "unit": "x.service",
        "fileset_dir": "/f",
        "variables": {},
        "issues_metrics_client": False,
    }

    def given() -> dict[str, Any]:
        return {
            "input": _seal.seal(data, "m1", _seal.VARIABLES),
            "plan": _seal.seal(plan, "m1", _seal.PLAN),
        }

    target = Target()
    result = target.run(**given())
    assert "marker" not in str(result)
    assert target.sent[0].pop("secrets") == secrets
    assert "marker" not in str(target.sent)
    plan["secrets"] = _envelope.close_envelope(secrets, "m2")
    assert target.fails(**given()).startswith("secrets: not a result of this run for m1")

"""Test the action plugin scheduler_plan: play variables, and the effect of a host's result."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.kube_ha.scheduler.plugins.action.scheduler_plan import ActionModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import rotation
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import serialize_key
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import (
    _envelope,
    _plan_host,
    _plan_report,
    _plan_step,
    _seal,
    _vault,
)

from tests.support.fake_module import HostVars, one_line
from tests.support.host import RESULT
from tests.support.pki import Ca, key_pem, spare
from tests.support.role import ROLE, defaults, role_vars

DATA = role_vars()
TABLES: dict[str, str] = DATA["__kube_scheduler_tables"]


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path)


@pytest.fixture
def variables(ca: Ca) -> dict[str, Any]:
    return defaults() | {
        "kube_scheduler_group": "kube_masters",
        "kube_scheduler_version": "1.37.2",
        "kube_scheduler_apiserver": "https://192.0.2.1:6443",
        "kube_scheduler_ca_cert": ca.options["ca_path"],
        "kube_scheduler_ca_key": ca.options["ca_privatekey_path"],
        "kube_scheduler_apiserver_ca": ca.options["ca_path"],
    }


def run(
    step: str,
    variables: dict[str, Any],
    me: str = "m1",
    hostvars: Any = None,
    loader: DataLoader | None = None,
    **options: Any,
) -> dict[str, Any]:
    names = ["m1", "m2"]
    hosts = {
        name: {"ansible_host": f"192.0.2.{name[1]}", **(hostvars or {}).get(name, {})}
        for name in names
    }
    task_vars = {
        **hosts[me],
        **variables,
        **DATA,
        "inventory_hostname": me,
        "groups": {"kube_masters": names},
        "hostvars": HostVars(hosts),
        "ansible_play_hosts": names,
        "ansible_play_hosts_all": names,
        "ansible_play_batch": names,
    }
    task = mock.MagicMock(
        async_val=0, check_mode=False, until=[], retries=None, args={"step": step, **options}
    )
    plugin = ActionModule(task, *(mock.MagicMock() for _number in range(5)))
    plugin._loader = loader or DataLoader()
    plugin._templar.template = lambda value: value
    with mock.patch.object(_plan_host, "render", lambda _step, template, _plan: template):
        result = plugin.run(None, task_vars)
    assert task.args == {}, "Ansible would keep them for every host"
    for line in result["errors"]:
        one_line(Exception(line))
    return result


def fixed(variables: dict[str, Any], **options: Any) -> dict[str, Any]:
    return run("variables", variables, tables=TABLES, **options)


def test_input_is_pinned_before_the_first_contact(variables: dict[str, Any], ca: Ca) -> None:
    found = fixed(variables)
    assert found["errors"] == []
    assert found["members"] == found["playing"] == ["m1", "m2"]
    assert found["sans"] == ["127.0.0.1", "192.0.2.1", "192.0.2.2"]
    assert found["ca_cert_pem"] == ca.path.read_text()
    assert found["issues_metrics_client"] is True
    assert fixed(variables | {"kube_scheduler_sans": "own"}, me="m2")["sans"] == [
        "127.0.0.1",
        "192.0.2.2",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"kube_scheduler_ca_key": "/nowhere/ca-key.pem"},
            (
                "; if this key exists only on a control-plane host (kubeadm: /etc/kubernetes/pki/ca.key),"
                " copy it to the controller, or set kube_scheduler_pki to external"
            ),
        ),
        (
            {"kube_scheduler_ca_config": "/nowhere.json"},
            "kube_scheduler_ca_config: '/nowhere.json' does not exist",
        ),
        (
            {"kube_scheduler_renew_before": "9000h"},
            "kube_scheduler_renew_before: '9000h' is not between zero and the certificate's",
        ),
        (
            {"kube_scheduler_renew_before": "30d"},
            "kube_scheduler_renew_before: '30d' is not a duration; write \"720h\"",
        ),
        (
            {"kube_scheduler_cert_valid_for": "1y"},
            "kube_scheduler_cert_valid_for: '1y' is not a duration; write \"8760h\"",
        ),
        ({"kube_scheduler_extra_sans": ["1.2.3.4/24"]}, "kube_scheduler_extra_sans"),
        ({"kube_scheduler_extra_args": "garbage"}, "kube_scheduler_extra_args"),
    ],
)
def test_errors_name_the_role_variable(
    variables: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    found = fixed(variables | given)
    assert found["failed"] is True
    assert any(words in line for line in found["errors"]), found["errors"]
    assert found["msg"] == "\n".join(found["errors"])
    # If a CA cannot sign, the status of the cluster is still available. If variables are invalid,
    # the status is not available.
    unreadable = {"kube_scheduler_extra_args", "kube_scheduler_extra_sans"} & given.keys()
    assert ("failed" in fixed(variables | given, strict=False)) == bool(unreadable)


def test_unusable_ca_is_rejected(variables: dict[str, Any], tmp_path: Path) -> None:
    other = tmp_path / "other-key.pem"
    other.touch(0o600)
    other.write_bytes(serialize_key(spare("ECC"), "pkcs8", None))
    [line] = fixed(variables | {"kube_scheduler_ca_key": str(other)})["errors"]
    assert line.startswith("kube_scheduler_ca_key: ")
    assert "is not the key of a certificate in" in line
    other.chmod(0o644)
    [line] = fixed(variables | {"kube_scheduler_ca_key": str(other)})["errors"]
    assert "other users can read or change" in line


def test_unknown_variable_with_a_similar_name_is_warned_about(variables: dict[str, Any]) -> None:
    found = fixed(variables | {"kube_scheduler_versoin": "1", "kube_scheduler_exporter_port": 1})
    assert found["warnings"] == [
        "kube_scheduler_versoin: the role has no such variable; did you mean kube_scheduler_version?"
    ]


def test_facts_that_set_role_variables_are_rejected(variables: dict[str, Any]) -> None:
    poisoned = variables | {"ansible_facts": {"kube_scheduler_subject": {"O": "system:masters"}}}
    with pytest.raises(
        AnsibleActionFail,
        match="m1: facts of this host set kube_scheduler_subject; remove these facts",
    ):
        fixed(poisoned)


FACTS: dict[str, Any] = {
    "hostname": "m1.example",
    "architecture": "amd64",
    "os_families": ["debian"],
    "systemd_version": 252,
    "python_path": "/usr/bin/python3",
    "python_packaged": True,
    "missing_libraries": [],
    "clock_offset": 0.0,
    "apiserver": None,
    "apiservers": [],
    "stale": [],
    "obstacles": [],
    "unsafe": [],
    "others": [],
    "instances": [],
    "installed": True,
    "certificates": [],
    "port": {"number": 10259, "held_by": "", "ours": False},
    "unit": {
        "name": "kube-scheduler.service",
        "load_state": "loaded",
        "drop_ins": [],
        "drop_in_settings": [],
        "set_aside": [],
        "static_pod": "",
    },
    "prepared": True,
    "process": {
        "pid": 0,
        "version": "",
        "digest": "",
        "lock": "",
        "lease_name": "kube-scheduler",
        "lease_namespace": "kube-system",
        "user": "",
        "arguments": [],
        "settings": [],
        "environment": [],
    },
}


def run_host_step(
    variables: dict[str, Any], data: Any, own: Any, others: Any = None, *, strict: bool = True
) -> dict[str, Any]:
    """Run the step host for m1 with its own result and the value of m2."""
    sealed = _seal.seal(own, "m1", _seal.INFO)
    return run(
        "host",
        variables,
        hostvars={"m1": {"host": sealed}, "m2": {"host": others}},
        tables=TABLES,
        input=data,
        results="host",
        strict=strict,
    )


def planned(
    variables: dict[str, Any],
    answer: Any = None,
    others: Any = None,
    strict: bool = True,
    **given: Any,
) -> dict[str, Any]:
    data = fixed(variables | given)
    own = FACTS if answer is None else answer
    if isinstance(others, dict):
        others = _seal.seal(others, "m2", _seal.INFO)
    return run_host_step(variables, data, own, others, strict=strict)


def test_host_plan_contains_the_desired_state(variables: dict[str, Any]) -> None:
    found = planned(variables)
    assert found["errors"] == []
    assert found["desired"]["certificate"]["subject_alt_name"] == [
        "127.0.0.1",
        "192.0.2.1",
        "192.0.2.2",
    ]
    assert found["desired"]["pair"] is None
    assert {file["name"]: file.get("content") for file in found["files"]}[
        "unit"
    ] == "kube-scheduler.service.j2"
    assert planned(variables, others={**FACTS, "hostname": "m2.example"})["errors"] == []


def test_instance_step_needs_only_the_name(variables: dict[str, Any]) -> None:
    """The step instance needs only the name of the instance.

    The CA can be missing and the version unknown.
    """
    broken = {
        "kube_scheduler_ca_cert": "/nowhere",
        "kube_scheduler_version": "",
        "kube_scheduler_name": "batch",
    }
    found = run("instance", variables | broken)
    assert (found["errors"], found["unit"], found["fileset_dir"]) == (
        [],
        "batch.service",
        "/var/lib/kube-ha/batch",
    )
    assert run("instance", variables | {"kube_scheduler_name": "../x"})["failed"]
    with pytest.raises(AnsibleActionFail, match="facts of this host set kube_scheduler_name"):
        run("instance", variables | {"ansible_facts": {"kube_scheduler_name": "kubelet"}})


def test_instance_name_determines_the_paths(variables: dict[str, Any]) -> None:
    found = fixed(variables)
    assert (found["unit"], found["fileset_dir"]) == (
        "kube-scheduler.service",
        "/var/lib/kube-ha/kube-scheduler",
    )
    assert found["scheduler"] == "default-scheduler"
    profiles = {"profiles": [{"schedulerName": "batch"}, {"schedulerName": "other"}]}
    batch = fixed(variables | {"kube_scheduler_name": "batch", "kube_scheduler_config": profiles})
    assert (batch["unit"], batch["fileset_dir"], batch["scheduler"]) == (
        "batch.service",
        "/var/lib/kube-ha/batch",
        "batch",
    )


def test_instances_that_share_a_port_are_rejected(variables: dict[str, Any]) -> None:
    other = {
        "unit": "batch.service",
        "ports": [10259],
        "lease": "kube-system/batch",
        "schedulers": ["batch"],
        "paths": [],
    }
    [line] = planned(variables, answer={**FACTS, "instances": [other]}, strict=False)["errors"]
    assert (
        line
        == "kube_scheduler_secure_port: 10259 is also used by batch.service on m1; set a different port for each instance"
    )
    assert (
        planned(variables, answer={**FACTS, "instances": [{**other, "ports": [10260]}]})["errors"]
        == []
    )


def test_duplicate_hostname_is_rejected(variables: dict[str, Any]) -> None:
    [line] = planned(variables, others=FACTS)["errors"]
    assert line.startswith("m1 and m2 have the same hostname m1.example")


@pytest.mark.parametrize("others", [None, "garbage", [FACTS], 7])
def test_host_without_a_result_is_ignored(variables: dict[str, Any], others: Any) -> None:
    assert planned(variables, others=others)["errors"] == []


@pytest.mark.parametrize("origin", [None, ("m1", _seal.INFO), ("m2", _seal.PLAN)])
def test_result_that_another_host_forged_is_ignored(
    variables: dict[str, Any], origin: tuple[str, str] | None
) -> None:
    """A result of m2 with the hostname of m1 fails the run only if this run returned it."""
    others = _seal.seal(FACTS, *origin) if origin else FACTS
    assert run_host_step(variables, fixed(variables), FACTS, others)["errors"] == []


@pytest.mark.parametrize(
    "key", ["process", "unit", "port", "systemd_version", "clock_offset", "os_families"]
)
@pytest.mark.parametrize("value", [None, "garbage", [1]])
def test_malformed_result_of_the_host_is_a_one_line_error(
    variables: dict[str, Any], key: str, value: Any
) -> None:
    found: dict[str, Any] = {}
    with contextlib.suppress(AnsibleActionFail):
        found = planned(variables, answer={**FACTS, key: value})
    assert not found or isinstance(found["errors"], list)


def test_unusable_result_is_a_one_line_error(variables: dict[str, Any]) -> None:
    with pytest.raises(AnsibleActionFail, match="m1: invalid facts of this host") as caught:
        planned(variables, answer={**FACTS, "process": None})
    one_line(caught.value)


def test_host_without_a_version_has_no_plan(variables: dict[str, Any]) -> None:
    found = planned(variables, kube_scheduler_version="", strict=False)
    assert "kube_scheduler_version: not set, and no scheduler runs on m1" in found["errors"][0]
    assert found["desired"] is None
    assert planned(variables, kube_scheduler_version="")["failed"] is True


def test_missing_binary_is_reported_by_source(variables: dict[str, Any], tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "kube_scheduler_binary_source": "controller",
        "kube_scheduler_binary_url": str(tmp_path),
    }
    path = tmp_path / "release/v1.37.2/bin/linux/amd64/kube-scheduler"
    found = planned(variables, **given)
    assert found["errors"] == [], "it may not be needed"
    assert found["binary"]["missing"].startswith(
        f"kube_scheduler_binary_url: {path} does not exist on the controller"
    )
    path.parent.mkdir(parents=True)
    path.touch()
    Path(f"{path}.sha512").write_text("0" * 128)
    found = planned(variables, **given)["binary"]
    assert (found["missing"], found["algorithm"], found["digest"]) == ("", "sha512", "0" * 128)
    found = planned(variables, kube_scheduler_binary_source="present")["binary"]
    assert found["missing"].startswith(
        "kube_scheduler_binary_source: present, but m1 has no /opt/k8s/bin/kube-scheduler-v1.37.2; install the binary there"
    )
    assert planned(variables)["binary"]["missing"] == ""


def rotated(
    variables: dict[str, Any], folder: Path, kind: str = "ca", step: str = "inspect"
) -> tuple[Ca, dict[str, Any]]:
    """Return the next CA and the input of a rotation to that CA."""
    following = Ca(folder, key=spare("ECC", number=7), name="next", subject={"CN": "next"})
    given = {
        "kube_scheduler_new_ca_cert": str(following.path),
        "kube_scheduler_new_ca_key": str(following.key_path),
        "rotate": kind,
    }
    remaining = _seal.seal({"replace": ["00:11"]}, "m1", _seal.ROTATION)
    found = fixed(
        variables | given | {"remaining": remaining}, rotation=step, remaining="remaining"
    )
    return following, found


def test_both_cas_are_trusted_during_a_ca_rotation(
    variables: dict[str, Any], ca: Ca, tmp_path: Path
) -> None:
    following, found = rotated(variables, tmp_path, step="accept")
    assert found["errors"] == []
    assert found["authorities_pem"] == found["apiserver_cas_pem"] == ca.pem + following.pem
    assert found["rotation"] == {"step": "accept", "replace": ["00:11"]}
    inspected = rotated(variables, tmp_path)[1]
    assert inspected["rotation"] == {"step": "inspect", "replace": []}
    plain = fixed(variables)
    assert (plain["authorities_pem"], plain["apiserver_cas_pem"], plain["rotation"]) == (
        ca.pem,
        ca.pem,
        {},
    )


def test_previous_ca_need_not_sign_during_a_ca_rotation(
    variables: dict[str, Any], ca: Ca, tmp_path: Path
) -> None:
    ca.key_path.unlink()
    assert rotated(variables, tmp_path)[1]["errors"] == []
    assert fixed(variables)["failed"] is True


def test_new_ca_that_cannot_sign_is_rejected(variables: dict[str, Any], tmp_path: Path) -> None:
    following, _found = rotated(variables, tmp_path)
    following.key_path.chmod(0o644)
    given = {
        "kube_scheduler_new_ca_cert": str(following.path),
        "kube_scheduler_new_ca_key": str(following.key_path),
    }
    [line] = fixed(variables | given)["errors"]
    assert line.startswith("kube_scheduler_new_ca_key: other users can read or change")


def test_desired_state_follows_the_step_of_a_ca_rotation(
    variables: dict[str, Any], ca: Ca, tmp_path: Path
) -> None:
    own = {
        **FACTS,
        "apiserver": {
            "reachable": True,
            "version": "v1.37.2",
            "error": None,
            "server": "https://192.0.2.1:6443",
        },
    }
    own["apiserver"] |= {"next_accepted": True, "next_serves": True}
    pair = {"use": "pair", "fingerprint_sha256": "AA", "signed_by": [ca.fingerprint]}
    own["certificates"] = [
        pair,
        {"use": "trust", "fingerprint_sha256": ca.fingerprint, "signed_by": []},
    ]
    for step, signs, trusts in (
        ("leaf", "former", "former"),
        ("accept", "former", "both"),
        ("issue", "next", "both"),
        ("drop", "next", "next"),
    ):
        following, data = rotated(variables, tmp_path, step=step)
        found = run_host_step(variables, data, own)
        path = {"former": ca.path, "next": following.path}[signs]
        assert found["desired"]["certificate"]["ca_path"] == str(path), step
        assert found["desired"]["certificate"]["replace"] == ["00:11"]
        pem = {"former": ca.pem, "both": ca.pem + following.pem, "next": following.pem}[trusts]
        assert found["desired"]["kubeconfig"]["clusters"][0]["certificate_authority_data"] == pem, (
            step
        )
    own["apiserver"]["next_accepted"] = False
    found = run_host_step(variables, data, own, strict=False)
    assert [line.partition(", https")[0] for line in found["errors"]] == [
        "kube_scheduler_new_ca_cert: the apiserver of m1"
    ]
    assert found["desired"] is None


def test_shared_pair_is_read_on_the_controller_for_a_rotation(
    variables: dict[str, Any], ca: Ca, tmp_path: Path
) -> None:
    """For a rotation, the plugin reads a shared key pair on the controller.

    The results of hosts have no effect on a shared key pair.
    """
    lies = {
        **FACTS,
        "probes": None,
        "drift": [],
        "problems": [],
        "certificates": [{"fingerprint_sha256": "AA", "use": "pair"}],
    }
    lies["certificates"][0] |= {
        "path": "/x",
        "subject": "",
        "issuer": "",
        "usages": [],
        "not_after": "",
        "signed_by": [],
    }
    for pki in ("node", "shared"):
        given = {"kube_scheduler_pki": pki, "kube_scheduler_cert_source": str(tmp_path / "s.pem")}
        given["kube_scheduler_key_source"] = str(tmp_path / "s-key.pem")
        data = fixed(variables | given, rotation="inspect")
        known = {name: {"h": _seal.seal(lies, name, _seal.INFO)} for name in ("m1", "m2")}
        asked: dict[str, Any] = {
            "hostvars": HostVars(known),
            "input": data,
            "results": "h",
            "plans": "p",
        }
        found = run("rotation", variables, **asked)
        assert (found["steps"], found["replace"]) == (["leaf"], ["AA"] if pki == "node" else [])
    certificate = ca.issue("s")[0]
    (tmp_path / "s.pem").write_text(certificate)
    assert run("rotation", variables, **asked)["replace"] == [
        rotation.first_fingerprint(certificate)
    ]


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Any]:
    given = {"cert": tmp_path / "s.pem", "key": tmp_path / "s-key.pem"}
    return {
        "kube_scheduler_pki": "provided",
        **{f"kube_scheduler_{name}_source": str(p) for name, p in given.items()},
    }


def lay(pair: dict[str, Any], cert: str, key: str) -> None:
    Path(pair["kube_scheduler_cert_source"]).write_text(cert)
    Path(pair["kube_scheduler_key_source"]).write_text(key)


def issued(ca: Ca, name: str = "system:kube-scheduler", **given: Any) -> tuple[str, str]:
    return ca.issue(name, **{"ips": ["127.0.0.1", "192.0.2.1", "192.0.2.2"], **given})


def test_provided_pair_is_validated(
    variables: dict[str, Any], ca: Ca, pair: dict[str, Any]
) -> None:
    lay(pair, *issued(ca))
    without_key = {"kube_scheduler_ca_key": "/nowhere"}
    assert fixed(variables | pair | without_key)["errors"] == []
    lay(pair, *issued(ca, ips=["127.0.0.1", "192.0.2.1"]))
    assert "lacks the subject alternative names IP:192.0.2.2" in fixed(variables | pair)["msg"]
    assert fixed(variables | pair | {"kube_scheduler_sans": "own"})["errors"] == []
    lay(pair, *issued(ca, name="admin", start=-7200, end=-3600))
    path = pair["kube_scheduler_cert_source"]
    expired, other = fixed(variables | pair)["errors"]
    assert expired.startswith(f"kube_scheduler_cert_source: '{path}' expired on")
    assert other.startswith(
        f"kube_scheduler_cert_source: '{path}': CN is admin, but the apiserver grants permissions to system"
    )
    lay(pair, *issued(Ca(key=spare("ECC", number=9))))
    assert "is not signed by the CA in" in fixed(variables | pair)["msg"]


def test_encrypted_pair_is_decrypted(
    variables: dict[str, Any], ca: Ca, pair: dict[str, Any]
) -> None:
    secret = VaultSecret(b"hush")
    cert, key = issued(ca)
    lay(pair, cert, VaultLib([("default", secret)]).encrypt(key.encode()).decode())
    loader = DataLoader()
    [line] = fixed(variables | pair, loader=loader)["errors"]
    path = pair["kube_scheduler_key_source"]
    assert line.startswith(f"kube_scheduler_key_source: cannot decrypt '{path}'; pass the password")
    loader.set_vault_secrets([("default", secret)])
    assert fixed(variables | pair, loader=loader)["errors"] == []


def test_external_ca_needs_no_key(variables: dict[str, Any], tmp_path: Path) -> None:
    """The plugin does not read the key of an external CA.

    The file names in csr_dir contain the inventory name.
    """
    outside = {"kube_scheduler_pki": "external", "kube_scheduler_ca_key": "/nowhere"}
    found = fixed(variables | outside | {"kube_scheduler_csr_dir": str(tmp_path / "nowhere")})
    assert (
        found["msg"]
        == f"kube_scheduler_csr_dir: '{tmp_path}/nowhere' is not a directory on the controller; create it first"
    )
    outside["kube_scheduler_csr_dir"] = str(tmp_path)
    assert (
        fixed(variables | outside)["errors"],
        fixed(variables | outside)["issues_metrics_client"],
    ) == (
        [],
        False,
    )
    plan = planned(variables | outside)
    assert plan["desired"]["certificate"]["csr_path"] == str(tmp_path / "m1.csr")
    assert plan["desired"]["pair"] is None
    (tmp_path / "m1.pem").write_text("garbage")
    assert fixed(variables | outside)["msg"].startswith(
        f"kube_scheduler_csr_dir: '{tmp_path}/m1.pem' contains no certificate"
    )
    Path(variables["kube_scheduler_ca_cert"]).write_text("garbage")
    assert "kube_scheduler_ca_cert: " in fixed(variables | outside)["msg"]


def test_shared_apiserver_url_is_warned_about(variables: dict[str, Any]) -> None:
    seen = {
        "server": "https://lb.example:6443",
        "reachable": True,
        "version": "v1.37.2",
        "error": None,
    }
    other = {**FACTS, "hostname": "m2.example", "apiserver": seen}
    found = planned(
        variables, {**FACTS, "apiserver": seen}, other, kube_scheduler_apiserver=seen["server"]
    )
    assert found["errors"] == []
    assert found["warnings"][0].startswith(
        "kube_scheduler_apiserver: all members use https://lb.example:6443"
    )
    assert planned(variables, FACTS, other)["warnings"] == []


@pytest.fixture
def encrypt(tmp_path: Path) -> Any:
    """Return the function that encrypts a file with Ansible Vault, and a loader with the password."""
    secret, loader = VaultSecret(b"hush"), DataLoader()
    loader.set_vault_secrets([("default", secret)])

    def encrypt_file(path: Path) -> None:
        path.write_bytes(VaultLib([("default", secret)]).encrypt(path.read_bytes()))

    return encrypt_file, loader


def test_encrypted_ca_key_requires_its_passphrase(
    variables: dict[str, Any], ca: Ca, tmp_path: Path
) -> None:
    ca.key_path.write_text(key_pem(ca.key, "secret"))
    [line] = fixed(variables)["errors"]
    assert line == (
        f"kube_scheduler_ca_key_passphrase_file: is not set, but '{ca.key_path}' is encrypted;"
        " set the file with the passphrase"
    )
    passphrase = tmp_path / "passphrase"
    given = variables | {"kube_scheduler_ca_key_passphrase_file": str(passphrase)}
    [line] = fixed(given)["errors"]
    assert line.startswith(f"kube_scheduler_ca_key_passphrase_file: '{passphrase}' does not exist")
    passphrase.write_text("wrong\n")
    assert "the passphrase is incorrect" in fixed(given)["errors"][0]
    passphrase.write_text("secret\n")
    assert fixed(given)["errors"] == []
    plan = planned(given)
    assert plan["certificate"]["ca_privatekey_passphrase_file"] == str(passphrase)
    relative = {"kube_scheduler_ca_key_passphrase_file": "passphrase"}
    assert "is not an absolute path" in fixed(variables | relative)["errors"][0]


@pytest.mark.parametrize("names", [["key"], ["passphrase"], ["key", "passphrase", "certificate"]])
def test_files_of_the_ca_can_be_encrypted_with_ansible_vault(
    variables: dict[str, Any], ca: Ca, tmp_path: Path, encrypt: Any, names: list[str]
) -> None:
    encrypt_file, loader = encrypt
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("secret\n")
    ca.key_path.write_text(key_pem(ca.key, "secret"))
    pem = ca.path.read_text()
    paths = {"key": ca.key_path, "passphrase": passphrase, "certificate": ca.path}
    for name in names:
        encrypt_file(paths[name])
    ca.key_path.chmod(0o644 if "key" in names else 0o600)
    given = variables | {"kube_scheduler_ca_key_passphrase_file": str(passphrase)}
    found = fixed(given, loader=loader)
    assert (found["errors"], found["ca_cert_pem"]) == ([], pem)
    [line] = [str(error) for error in errors_without_password(given)]
    assert "cannot decrypt" in line


def errors_without_password(variables: dict[str, Any]) -> list[str]:
    try:
        return list(fixed(variables)["errors"])
    except AnsibleActionFail as error:
        return [str(error)]


def odd_files(pem: bytes) -> dict[str, bytes]:
    """Return files with the same certificate that the role accepts."""
    return {
        "byte order mark": b"\xef\xbb\xbf" + pem,
        "joined": pem.rstrip() + pem,
        "CRLF": pem.replace(b"\n", b"\r\n"),
        "comment in UTF-8": "# Zertifikat für 中文\n".encode() + pem,
        "comment in GBK": "# 中文\n".encode("gbk") + pem,
    }


@pytest.mark.parametrize("odd", odd_files(b""))
@pytest.mark.parametrize("name", ["ca_cert", "apiserver_ca", "new_ca_cert", "metrics_cert"])
def test_odd_file_with_certificates_is_read_and_normalized(
    variables: dict[str, Any], ca: Ca, tmp_path: Path, name: str, odd: str
) -> None:
    path = tmp_path / "odd.pem"
    path.write_bytes(odd_files(ca.path.read_bytes())[odd])
    given = {f"kube_scheduler_{name}": str(path)}
    if name in ("new_ca_cert", "metrics_cert"):
        key = {"new_ca_cert": "new_ca_key", "metrics_cert": "metrics_key"}[name]
        given[f"kube_scheduler_{key}"] = str(ca.key_path)
    found = fixed(variables | given)
    assert [line for line in found["errors"] if "CERTIFICATE" in line or "read" in line] == []
    assert found[f"{name}_pem"] in (ca.pem, ca.pem * 2)


@pytest.mark.parametrize("name", ["ca_cert", "apiserver_ca"])
def test_private_key_among_the_certificates_is_rejected(
    variables: dict[str, Any], ca: Ca, tmp_path: Path, name: str
) -> None:
    both = tmp_path / "both.pem"
    both.write_text(ca.path.read_text() + ca.key_path.read_text())
    with pytest.raises(
        AnsibleActionFail, match=f"kube_scheduler_{name}: {both} contains a private key; set"
    ):
        fixed(variables | {f"kube_scheduler_{name}": str(both)})


@pytest.mark.parametrize("name", ["status_json", "status_html", "status_metrics"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        (
            "{folder}/nowhere/report",
            "on the controller: the directory of '{folder}/nowhere/report' does not exist",
        ),
        ("{folder}", "on the controller: '{folder}' is a directory"),
        ("", "not a path"),
        (7, "not a path"),
    ],
)
def test_unwritable_report_path_is_rejected(
    variables: dict[str, Any], tmp_path: Path, name: str, path: Any, why: str
) -> None:
    path = path.format(folder=tmp_path) if isinstance(path, str) else path
    with pytest.raises(AnsibleActionFail, match=f"^{name}: {why.format(folder=tmp_path)}"):
        fixed(variables | {name: path})
    assert fixed(variables | {name: str(tmp_path / "report")})["errors"] == []


def test_monitoring_rejects_facts_that_set_its_variables(variables: dict[str, Any]) -> None:
    given = {**variables, "ansible_facts": {"monitoring_dir": "/root/elsewhere"}}
    with pytest.raises(
        AnsibleActionFail, match="m1: facts of this host set monitoring_dir; remove these facts"
    ):
        run("monitoring", given, tables=TABLES, inputs="input")


def test_monitoring_without_known_hosts_is_rejected(variables: dict[str, Any]) -> None:
    found = run("monitoring", variables, tables=TABLES, inputs="input")
    assert (
        found["msg"]
        == "no control-plane host has validated variables; run monitoring.yml without --limit and --tags"
    )
    hostvars = {"m1": {"input": fixed({**variables, "kube_scheduler_bind_address": "0.0.0.0"})}}
    found = run("monitoring", variables, tables=TABLES, inputs="input", hostvars=hostvars)
    assert found["errors"] == []
    assert [file["name"] for file in found["files"]] == [
        "kube_masters-ca.pem",
        "scrape.yml",
        "rules.yml",
        "dashboard.json",
    ]


def test_monitoring_reads_only_sealed_inputs(variables: dict[str, Any]) -> None:
    """Monitoring reads only sealed inputs.

    A fact, a fact cache or another host can set a variable with the name of the input.
    """
    given = fixed({**variables, "kube_scheduler_bind_address": "0.0.0.0"})
    forged = {**given, "variables": {**given["variables"], "group": "../elsewhere"}}
    unsealed = {key: value for key, value in given.items() if key != "seal"}
    for host, value in (("m1", forged), ("m1", unsealed), ("m2", given), ("m2", forged)):
        hostvars = {host: {"input": value}}
        found = run("monitoring", variables, tables=TABLES, inputs="input", hostvars=hostvars)
        assert found["failed"], host
        assert found["msg"].startswith("no control-plane host has validated variables")


SECRET_CONFIG = {"extenders": [{"tlsConfig": {"keyData": "marker"}}]}


def test_results_contain_a_secret_only_in_an_envelope(variables: dict[str, Any]) -> None:
    given: dict[str, Any] = {"kube_scheduler_config": SECRET_CONFIG}
    data, found = fixed(variables | given), planned(variables, **given)
    assert found["errors"] == []
    assert "marker" not in str(data) + str(found)
    assert data["variables"]["config"]["extenders"][0]["tlsConfig"] == {"keyData": "(withheld)"}
    assert _envelope.open_envelope(data["secrets"], "m1") == {
        "config": SECRET_CONFIG,
        "values": ["marker"],
    }
    files = {file["name"]: file for file in found["files"]}
    assert (files["config"]["mode"], files["config"]["group"]) == ("0600", "root")
    assert _envelope.open_envelope(found["secrets"], "m1") == {
        "contents": {"config": "kube-scheduler.yaml.j2"},
        "values": ["marker"],
    }


def test_results_without_a_secret_have_no_envelope(variables: dict[str, Any]) -> None:
    assert fixed(variables)["secrets"] == planned(variables)["secrets"] == ""


@pytest.mark.parametrize("what", ["other host", "other text"])
def test_forged_envelope_is_a_one_line_error(variables: dict[str, Any], what: str) -> None:
    data = fixed(variables | {"kube_scheduler_config": SECRET_CONFIG})
    forged = {
        "other host": _envelope.close_envelope({"config": {}}, "m2"),
        "other text": "bWFya2Vy",
    }[what]
    with pytest.raises(AnsibleActionFail, match=r"^secrets: not a result of this run for m1; set"):
        run(
            "host",
            variables,
            hostvars={"m1": {"host": _seal.seal(FACTS, "m1", _seal.INFO)}},
            tables=TABLES,
            input=_seal.seal({**data, "secrets": forged}, "m1", _seal.VARIABLES),
            results="host",
        )


def test_value_from_ansible_vault_is_a_secret_in_any_field(
    variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_vault, "is_encrypted", lambda value: value in ("marker", "15s"))
    config: dict[str, Any] = {
        "profiles": [{"pluginConfig": [{"name": "X", "args": {"connection": "marker"}}]}],
        "leaderElection": {"leaseDuration": "15s"},
    }
    given: dict[str, Any] = {"kube_scheduler_config": config}
    data, found = fixed(variables | given), planned(variables, **given)
    assert found["errors"] == []
    assert "marker" not in str(data) + str(found)
    assert data["variables"]["config"]["leaderElection"] == {"leaseDuration": "15s"}
    assert _envelope.open_envelope(found["secrets"], "m1")["values"] == ["marker"]
    assert {file["name"]: file for file in found["files"]}["config"]["mode"] == "0600"
    flags = {"kube_scheduler_extra_args": {"feature-gates": "marker"}}
    [error] = fixed(variables | flags, strict=False)["errors"]
    assert error.startswith("kube_scheduler_extra_args: feature-gates: contains a secret, and")


# --- results of earlier steps


@pytest.mark.parametrize("name", _plan_step.REGISTERED_KINDS)
@pytest.mark.parametrize("step", ["variables", "instance", "monitoring"])
def test_variables_that_the_role_registers_are_rejected(
    variables: dict[str, Any], step: str, name: str
) -> None:
    options = {"tables": TABLES, "inputs": "input"} if step == "monitoring" else {"tables": TABLES}
    kind = _plan_step.REGISTERED_KINDS[name][0]
    for value in ({"errors": []}, "{{ x }}", None, _seal.seal({"errors": []}, "m2", kind)):
        with pytest.raises(AnsibleActionFail, match=f"^m1: {name}: the role registers this var"):
            run(step, {**variables, name: value}, **options)
    # An earlier run of the role in the same run of Ansible can leave these values.
    for value in (_seal.seal({"errors": []}, "m1", kind), {"skipped": True}, {"failed": True}):
        run(step, {**variables, name: value}, **options)


def test_each_registered_variable_of_the_role_is_known() -> None:
    """The first step must reject each variable that a task of the role registers.

    Only the binary has a result of another collection, on which no module of the role relies.
    """
    tasks = "".join(path.read_text() for path in (ROLE / "tasks").rglob("*.yml"))
    registered = set(re.findall(r"register: (\w+)", tasks))
    assert registered == {*_plan_step.REGISTERED_KINDS, "__kube_scheduler_binary"}


ROLLOUT = {"batches": [["m1"], ["m2"]], "healthy": ["m1", "m2"], "version": "1.37.2"}
HANDOVER = {"kubeconfig": "/etc/kubernetes/kube-scheduler.kubeconfig", "lock": "leases"}


def roll(
    variables: dict[str, Any], step: str, me: str = "m2", forged: Any = None, **options: Any
) -> dict[str, Any]:
    """Run a step of a rollout in which m1 is rolled.

    `forged` replaces values of variables by host.
    """
    lease = {"holder": "m2.example", "moving": True}
    plan = {"version": "1.37.2", "handover": 4.4, "timeouts": {"handover": 30.0}, "lease": {}}
    values: dict[str, tuple[str, dict[str, Any]]] = {
        "plan": (_seal.PLAN, plan),
        "rollout": (_seal.ROLLOUT, {**ROLLOUT, "compared": True}),
        "fileset": (_seal.FILESET, {"done": []}),
        "gate": (_seal.GATE, {"blocked": "m1 is unhealthy"}),
    }
    hostvars: dict[str, Any] = {}
    for name in ("m1", "m2"):
        process = {**RESULT["process"], "lease_name": "l", "lease_namespace": "n"}
        result = {**RESULT, "hostname": f"{name}.example", "lease": lease, "process": process}
        own = {
            **values,
            "health": (_seal.INFO, {**result, "healthy": True}),
            "mark": (_seal.MARK, {"rolled": name == "m1", "interrupted": False, "blocked": ""}),
        }
        hostvars[name] = {
            variable: _seal.seal(value, name, kind) for variable, (kind, value) in own.items()
        }
        hostvars[name] |= (forged or {}).get(name, {})
    names = {"results": "health", "plans": "plan", "rollout": "rollout", **options}
    return run(step, variables, me, hostvars, input=fixed(variables, me=me), **names)


GATE: dict[str, Any] = {"outcomes": "mark", "position": 1}


def test_gate_counts_only_marks_of_this_run(variables: dict[str, Any]) -> None:
    found = roll(variables, "gate", **GATE)
    assert (found["errors"], found["stopped"], found["restart"]) == ([], False, False)
    assert found["handover"] == {**HANDOVER, "name": "l", "namespace": "n", "timeout": 30.0}
    for mark in ({"rolled": True}, _seal.seal({"rolled": True}, "m2", _seal.MARK)):
        found = roll(variables, "gate", forged={"m1": {"mark": mark}}, **GATE)
        assert found["errors"][0].startswith("m2 would be rolled before m1"), mark
    interrupted = _seal.seal({"rolled": False, "interrupted": True}, "m1", _seal.MARK)
    assert roll(variables, "gate", forged={"m1": {"mark": interrupted}}, **GATE)["stopped"]
    blocked = _seal.seal({"rolled": False, "blocked": "why"}, "m1", _seal.MARK)
    assert roll(variables, "gate", forged={"m1": {"mark": blocked}}, **GATE)["stopped"]


@pytest.mark.parametrize(
    ("step", "name", "options"),
    [
        ("gate", "rollout", GATE),
        ("gate", "plan", GATE),
        ("outcome", "rollout", {"fileset": "fileset"}),
        ("outcome", "fileset", {"fileset": "fileset"}),
        ("outcome", "health", {"fileset": "fileset"}),
        ("rollout", "plan", {}),
        ("rollout", "health", {}),
        ("verdict", "rollout", {}),
        ("verdict", "plan", {}),
        ("verdict", "health", {}),
        ("removal", "health", {}),
        ("mark", "gate", {"gate": "gate"}),
        ("rollback", "plan", {"recalled": "fileset", "before": "health"}),
        ("rollback", "fileset", {"recalled": "fileset", "before": "health"}),
    ],
)
def test_step_rejects_a_forged_result_of_its_host(
    variables: dict[str, Any], step: str, name: str, options: dict[str, Any]
) -> None:
    forged = {"healthy": True, "rolled": True, **ROLLOUT, "seal": "0" * 64}
    with pytest.raises(AnsibleActionFail, match=f"^m2: {name}: not a result of this run for this"):
        roll(variables, step, forged={"m2": {name: forged}}, **options)


def test_result_of_a_failed_or_skipped_task_is_named(variables: dict[str, Any]) -> None:
    for value in ({"failed": True}, {"skipped": True}, {"unreachable": True}):
        with pytest.raises(
            AnsibleActionFail, match=r"^m2: health: no usable result from this host"
        ):
            roll(variables, "verdict", forged={"m2": {"health": value}})
    # If only the phase verify runs, no rollout order is registered.
    for absent in ({"skipped": True}, None):
        assert roll(variables, "verdict", forged={"m2": {"rollout": absent}})["errors"] == []


def test_errors_of_a_failed_step_are_no_result_of_the_step(variables: dict[str, Any]) -> None:
    failed = fixed({**variables, "kube_scheduler_secure_port": 0})
    assert failed["failed"]
    for value in (failed, {key: failed[key] for key in ("errors", "seal")}):
        with pytest.raises(AnsibleActionFail, match=r"^m1: input: no"):
            run("rollout", variables, input=value, results="health", plans="plan")


@pytest.mark.parametrize(
    ("groups", "facts", "expected"),
    [
        ({"kube_masters": ["m1", "m2"], "etcd": ["m2"]}, {}, "kube_masters"),
        (
            {"evil": ["m1"], "kube_masters": ["m2"]},
            {"kube_scheduler_group": "evil"},
            "kube_masters",
        ),
        (
            {"kube_masters": ["m2"], "etcd": ["m2"]},
            {"kube_scheduler_group": "kube_masters"},
            "unknown",
        ),
        ({"all": ["m2"], "ungrouped": ["m2"], "edge": ["m2"]}, {}, "edge"),
        ({"all": ["m2"], "ungrouped": ["m2"]}, {}, "unknown"),
    ],
)
def test_cluster_of_a_lost_host_is_a_group_of_the_inventory(
    groups: dict[str, Any], facts: dict[str, Any], expected: str
) -> None:
    known = {"kube_scheduler_group": "kube_masters", "ansible_facts": facts, **facts}
    step = mock.MagicMock(prefix="kube_scheduler_")
    step.vars = {"groups": groups, "hostvars": HostVars({"m2": known})}
    assert _plan_report._lost_group(step, "m2") == expected

"""Test that one line reports invalid input and names the variable, before any host changes.

Unit tests cover each rule, such as `_scheduler/decide/test_variable_rules.py`. These tests check
that Ansible prints the message. Many hosts, each with one error, share a run.
"""

from __future__ import annotations

import math
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.support.missing_library import environment_without
from tests.support.pki import Ca, spare
from tests.support.simulation import Outcome, Simulation, compared

HTTP = "http://mirror.example"
# Each entry has the variables of a host without the prefix, and the expected message.
VARIABLES: list[tuple[dict[str, Any], str]] = [
    (
        {"version": "1.37"},
        "kube_scheduler_version: 1.37 is not a supported version; set a full version",
    ),
    (
        {"version": 1.3},
        "kube_scheduler_version: 1.3 is not a supported version; set a full version",
    ),
    (
        {"secure_port": 99999},
        "kube_scheduler_secure_port: 99999 is not a valid port; set a port from 1 to 65535",
    ),
    ({"secure_port": "https"}, "kube_scheduler_secure_port"),
    (
        {"bind_address": "everywhere"},
        "kube_scheduler_bind_address: 'everywhere' is not an IP address",
    ),
    (
        {"key_path": "/etc/kubernetes/cert/kube-scheduler.pem"},
        "kube-scheduler.pem is also kube_scheduler_key_path; set separate paths",
    ),
    (
        {"subject": {"O": "them"}},
        "kube_scheduler_subject: CN is not set, but the apiserver grants permissions to",
    ),
    (
        {"subject": {"CN": "admin"}},
        "kube_scheduler_subject: CN is admin, but the apiserver grants permissions to",
    ),
    (
        {"subject": {"CN": "system:kube-scheduler", "O": "system:masters"}},
        "kube_scheduler_subject: O system:masters would grant the scheduler the permissions of that group",
    ),
    ({"extra_sans": "one two"}, "kube_scheduler_extra_sans[0]: 'one two' is not a DNS name"),
    ({"extra_sans": {"a": "b"}}, "kube_scheduler_extra_sans"),
    (
        {"apiserver": HTTP},
        f"kube_scheduler_apiserver: {HTTP} for h{{}} (plain http does not authenticate the apiserver); set",
    ),
    (
        {"renew_before": "30d"},
        "kube_scheduler_renew_before: '30d' is not a duration; write \"720h\"",
    ),
    (
        {"retry_period": "1m"},
        "kube_scheduler_retry_period: 1m is not a time in whole seconds; set a time such as 60s",
    ),
    (
        {"binary_url": "mirror.example/k8s"},
        "kube_scheduler_binary_url: mirror.example/k8s is not a valid URL; set https://HOST/PATH",
    ),
    (
        {"binary_url": HTTP},
        f"kube_scheduler_binary_url: {HTTP} uses plain http, so that an attacker on the network can replace",
    ),
    (
        {"binary_checksum": {1.37: "x"}},
        "kube_scheduler_binary_checksum: 1.37: is not a full version",
    ),
    (
        {"binary_source": "controller"},
        "kube_scheduler_binary_url: https://dl.k8s.io is not an absolute path",
    ),
    (
        {"config": {"x": date(2026, 1, 1)}},
        "kube_scheduler_config: x: YAML reads 2026-01-01 as a date; quote it",
    ),
    (
        {"config": {"parallelism": math.nan}},
        "kube_scheduler_config: parallelism: nan is not a finite number",
    ),
    (
        {"config": {"leaderElection": {True: 1}}},
        "kube_scheduler_config: leaderElection: YAML does not read the key True as text; quote it",
    ),
    ({"address": "m.example"}, "kube_scheduler_address: not the IP address of a host"),
    ({"ca_cert": "/nowhere/ca.pem"}, "kube_scheduler_ca_cert: /nowhere/ca.pem"),
    ({"tls_server_name": "{{ nowhere }}"}, "kube_scheduler_tls_server_name"),
    (
        {"pki": "provided"},
        "kube_scheduler_pki: provided requires kube_scheduler_cert_source and kube_scheduler_key_source",
    ),
    (
        {"pki": "own"},
        "value of kube_scheduler_pki must be one of: node, shared, provided, external, got: own",
    ),
]


def refused(run: Outcome, *asked: str) -> None:
    """Check that the run failed, and that each host ran only these modules."""
    assert run.code != 0
    assert "Traceback" not in run.output
    assert {name for calls in run.calls.values() for name in calls} == {*asked}


def test_group_without_hosts_is_rejected(tmp_path: Path) -> None:
    """The playbook rejects a group without hosts.

    Unit tests cover the checks of the role.
    """
    run = Simulation(tmp_path).run("playbooks/site.yml", "--extra-vars=kube_scheduler_hosts=nobody")
    refused(run)
    assert (
        "the inventory has no hosts in nobody: add the control-plane hosts to this group, or set another group with"
        in run.text
    )


def test_uninstall_requires_confirmation(tmp_path: Path) -> None:
    run = Simulation(tmp_path).run("playbooks/uninstall.yml")
    refused(run)
    assert (
        "kube_scheduler_confirm: the removal is not confirmed, and nothing was removed;"
        " type yes at the prompt, or pass -e kube_scheduler_confirm=yes;"
        " to restore an adopted scheduler, run rollback.yml instead" in run.text
    )


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    cluster = Simulation(tmp_path)
    wrong = {
        "address": "m1.example",
        "version": "latest",
        "apiserver": "http://192.0.2.1",
        "renew_deadline": "20s",
        "ca_cert": "/nowhere/ca.pem",
    }
    run = cluster.run(
        "playbooks/site.yml",
        *(f"--extra-vars=kube_scheduler_{option}={value}" for option, value in wrong.items()),
    )
    refused(run)
    for words in (
        "kube_scheduler_address: not the IP address of a host: m1 has m1.example, m2 has m1.example",
        "m1 and m2 and m3 have the same address m1.example; set a unique address for each host",
        "kube_scheduler_version: latest is not a supported version",
        "kube_scheduler_apiserver: http://192.0.2.1 for m1 (plain http does not authenticate the apiserver); set the URL of the apiserver",
        "kube_scheduler_lease_duration: 15s must be longer than kube_scheduler_renew_deadline, 20s",
        "kube_scheduler_ca_cert: /nowhere/ca.pem, kube_scheduler_apiserver_ca: /nowhere/ca.pem is not a file",
    ):
        assert words in run.text, (words, run.output)


def provided(folder: Path, ca: Ca, name: str, **given: Any) -> dict[str, str]:
    """Return the variables for a key pair that the user provides."""
    pair = {"cert_source": folder / f"{name}.pem", "key_source": folder / f"{name}-key.pem"}
    for path, text in zip(pair.values(), ca.issue("system:kube-scheduler", **given)):
        path.write_text(text)
    return {
        "pki": "provided",
        "sans": "own",
        **{option: str(path) for option, path in pair.items()},
    }


@pytest.mark.parametrize("check", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_invalid_variables_are_rejected_before_the_first_contact(
    tmp_path: Path, check: bool
) -> None:
    """The run contacts no host and reports each host that has an error."""
    cases = list(VARIABLES)
    names = [f"h{number}" for number in range(len(cases) + 4)]
    cluster = Simulation(tmp_path, clusters={"kube_masters": names})
    pairs: dict[str, tuple[Ca, dict[str, Any]]] = {
        "is not signed by the CA in": (Ca(key=spare("ECC", number=9)), {}),
        "lacks the subject alternative names IP:127.0.0.1": (cluster.ca, {"ips": ()}),
        "expired on": (cluster.ca, {"start": -7200, "end": -3600}),
    }
    for number, (words, (ca, given)) in enumerate(pairs.items(), start=len(cases)):
        ips = ("127.0.0.1", f"192.0.2.{number + 1}")
        variables = provided(tmp_path, ca, f"p{number}", **{"ips": ips, **given})
        cases.append(
            (variables, f"kube_scheduler_cert_source: '{variables['cert_source']}' {words}")
        )
    leaf = provided(tmp_path, cluster.ca, "leaf")
    no_ca = {"ca_cert": leaf["cert_source"], "ca_key": leaf["key_source"]}
    Path(no_ca["ca_key"]).chmod(0o600)
    words = f"kube_scheduler_ca_cert: '{no_ca['ca_cert']}' is not a CA: its basicConstraints lack CA:TRUE"
    cases.append((no_ca, words))
    for name, (variables, _words) in zip(names, cases):
        cluster.host_variables[name] = {
            f"kube_scheduler_{option}": value for option, value in variables.items()
        }
    run = cluster.run("playbooks/site.yml", *["--check"] * check)
    refused(run)
    for name, (_variables, words) in zip(names, cases):
        assert words.format(name.removeprefix("h")) in run.text.replace('\\"', '"'), (
            words,
            run.output,
        )


@pytest.mark.parametrize("check", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_unusable_host_facts_are_rejected(cluster_of_bare_hosts: Simulation, check: bool) -> None:
    """The run changes no host and reports why a host cannot run a scheduler.

    With one fork, each host has failed before Ansible queries the next host.
    """
    cluster = cluster_of_bare_hosts
    cluster.host_variables = {"m1": {"kube_scheduler_version": ""}}
    cluster.empty("m2", systemd_version=0)
    cluster.empty("m3", architecture="riscv64")
    cluster.empty("m4", os_families=[])
    run = cluster.run("playbooks/site.yml", *["--check"] * check, ANSIBLE_FORKS="1")
    refused(run, "gather")
    for words in (
        "kube_scheduler_version: not set, and no scheduler runs on m1; set the version to deploy",
        "m2: systemd is not running, but the scheduler needs it",
        "m3: kube-scheduler is not released for architecture riscv64",
        "the role cannot install yaml on this unknown system (no /etc/os-release); install their packages manually, and",
    ):
        assert words in run.text, (words, run.output)


@pytest.fixture
def cluster_of_bare_hosts(tmp_path: Path) -> Simulation:
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", "m2", "m3", "m4"]})
    for name in cluster.answers:
        cluster.empty(name)
    return cluster


@pytest.mark.parametrize("check", [pytest.param(False, marks=pytest.mark.nightly), True])
def test_missing_binary_fails_before_any_host_changes(
    cluster_of_bare_hosts: Simulation, check: bool
) -> None:
    """Hosts that have the binary do not change either."""
    cluster, folder = cluster_of_bare_hosts, cluster_of_bare_hosts.folder
    wrong = folder / "wrong/release/v1.37.2/bin/linux/amd64/kube-scheduler"
    wrong.parent.mkdir(parents=True)
    wrong.write_text("not what was released")
    Path(f"{wrong}.sha512").write_text("0" * 128)
    cluster.host_variables = {
        "m1": {"kube_scheduler_binary_source": "present"},
        "m2": {
            "kube_scheduler_binary_source": "controller",
            "kube_scheduler_binary_url": str(folder),
        },
    }
    run = cluster.run("playbooks/site.yml", *["--check"] * check)
    refused(run, "gather", "drift")
    path = "/opt/k8s/bin/kube-scheduler-v1.37.2"
    assert (
        f"kube_scheduler_binary_source: present, but m1 has no {path}; install the binary there, or set"
        in run.text
    )
    assert (
        f"kube_scheduler_binary_url: {folder}/release/v1.37.2/bin/linux/amd64/kube-scheduler does not exist on the controller"
        in run.text
    )
    # The first hosts download the binary. The error of the last hosts must stop them before that.
    wrong_ones = {
        "kube_scheduler_binary_source": "controller",
        "kube_scheduler_binary_url": str(folder / "wrong"),
    }
    cluster.host_variables = dict.fromkeys(("m3", "m4"), wrong_ones)
    run = cluster.run("playbooks/site.yml", *["--check"] * check)
    refused(run, "gather", "drift")
    assert (
        f"kube_scheduler_binary_url: the checksum of {wrong} on the controller differs from {wrong}.sha512"
        in run.text
    )


def test_status_needs_no_version(cluster_of_bare_hosts: Simulation) -> None:
    """The status also reports hosts without a version. Only a deployment rejects such hosts."""
    cluster_of_bare_hosts.variables["kube_scheduler_version"] = ""
    run = cluster_of_bare_hosts.run("playbooks/status.yml")
    refused(run, "gather", "drift")
    assert "kube-scheduler.service is not installed" in run.text


@pytest.mark.cores
def test_strings_of_extra_vars_keep_their_meaning(tmp_path: Path) -> None:
    """Extra variables keep their meaning, although they are strings.

    The oldest ansible-core passes booleans and numbers of -e as strings.
    """
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", "m2"]})
    for name in cluster.answers:
        drift = [{"part": "config", "reason": "differs"}]
        cluster.answers[name]["drift"] = compared(name, "m1", drift=drift)
    words = [
        f"--extra-vars=kube_scheduler_{name}"
        for name in ("rollout=false", "manage_packages=no", "secure_port=10259")
    ]
    run = cluster.run("playbooks/site.yml", *words)
    assert run.code == 0, run.output
    assert "pending on m1: config: differs" in run.text
    assert run.rolled == []
    assert [options["port"] for options in run.options("m1", "gather")] == [10259]
    cluster.change("m2", "gather", missing_libraries=["yaml"])
    run = cluster.run("playbooks/site.yml", *words)
    refused(run, "gather")
    assert (
        "m2: the Python library PyYAML is missing for /usr/bin/python3; install the package"
        in run.text
    )


def test_kubeadm_ca_can_sign(tmp_path: Path) -> None:
    """The role signs with the ca.crt and ca.key of kubeadm, without a cfssl configuration."""
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1"]})
    cluster.empty("m1")
    pki = tmp_path / "pki"
    pki.mkdir()
    for option, name in (("ca_cert", "ca.crt"), ("ca_key", "ca.key")):
        path = Path(cluster.variables[f"kube_scheduler_{option}"]).rename(pki / name)
        cluster.variables[f"kube_scheduler_{option}"] = str(path)
    run = cluster.run()
    assert run.code == 0, run.output
    first, second = run.options("m1", "x509_cert")
    assert "_certificate" in second
    assert (first["valid_for"], first.get("key_usage")) == ("8760h", None)


def test_only_installed_binaries_are_recorded_as_owned(tmp_path: Path) -> None:
    """The role never records an existing binary as its own, for any source of the binary."""
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", "m2", "m3"]})
    for name in cluster.answers:
        cluster.empty(name)
    cluster.answers["m1"]["scheduler_binary"] = {"changed": True}
    reason = "/opt/k8s/bin/kube-scheduler-v1.37.2: the checksum of the binary was never verified"
    cluster.answers["m3"]["drift"][0]["drift"] = [{"part": "record", "reason": reason}]
    cluster.host_variables = {"m3": {"kube_scheduler_binary_source": "present"}}
    run = cluster.run()
    assert run.code == 0, run.output
    ours = {
        name: [
            binary["ours"]
            for options in run.options(name, "scheduler_fileset")
            for binary in options.get("binaries") or []
        ]
        for name in cluster.answers
    }
    assert ours == {"m1": [True, False], "m2": [False], "m3": [False]}


@pytest.mark.parametrize("way", ["missing", "incomplete"])
def test_missing_library_on_the_controller_is_named_before_the_first_contact(
    way: str, tmp_path: Path
) -> None:
    """The message once reported a damaged CA key, although the key was intact."""
    cluster = Simulation(tmp_path, clusters={"kube_masters": ["m1", "m2"]})
    run = cluster.run(**environment_without("cryptography", way, tmp_path))
    refused(run)
    assert (
        "the Python library cryptography, 3.3 or newer, is missing for"
        f" {sys.executable} on the controller; run {sys.executable} -m pip install"
        " 'cryptography>=3.3'"
    ) in run.text
    assert "damaged" not in run.text

"""Test in one run that each public option for a path, an address or a method takes effect."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support.lab import wait_for_age

UNIT = "kube-scheduler.service"
# Characters that are special for systemd and YAML must stay in one argument and in one string.
ODD = "%h ${HOME} it's a; b\\"
STRINGS = [
    "yes",
    "null",
    "0x10",
    "1e3",
    "~",
    "*a",
    "&a",
    "!!x",
    "# x",
    "a: b",
    "'",
    '"',
    "%h",
    "$HOME",
]
AGE = 60
"""Age in seconds at which certificates become due in these tests."""
PROFILES = [{"schedulerName": name} for name in STRINGS]


def reader(lab: Any, directory: Path) -> dict[str, str]:
    """Create the key pair of an authorized metrics reader with openssl."""
    paths = {
        "kube_scheduler_metrics_cert": directory / "reader.pem",
        "kube_scheduler_metrics_key": directory / "reader-key.pem",
    }
    certificate, key = map(str, paths.values())
    request = [
        "openssl",
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-subj",
        "/O=system:monitoring/CN=r",
    ]
    csr = subprocess.run(request, capture_output=True, check=True).stdout
    sign = [
        "openssl",
        "x509",
        "-req",
        "-days",
        "1",
        "-CA",
        lab.state / "ca.pem",
        "-CAkey",
        lab.state / "ca-key.pem",
    ]
    subprocess.run(
        [*sign, "-set_serial", "78", "-out", certificate],
        input=csr,
        capture_output=True,
        check=True,
    )
    return {name: str(path) for name, path in paths.items()}


def made(lab: Any, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(lab.host(name).file("/etc/k8s/tls/scheduler.crt").content)


@pytest.fixture
def words(lab: Any, tmp_path: Path) -> Iterator[str]:
    """Return all options as an argument of ansible-playbook. Restore the cluster at the end."""
    options: dict[str, Any] = {
        "kube_scheduler_bin_dir": "/usr/local/lib/k8s",
        "kube_scheduler_binary_source": "controller",
        "kube_scheduler_binary_url": str(lab.settings.cache),
        "kube_scheduler_user": "scheduler",
        "kube_scheduler_cert_path": "/etc/k8s/tls/scheduler.crt",
        "kube_scheduler_key_path": "/etc/k8s/tls/scheduler.key",
        "kube_scheduler_kubeconfig_path": "/etc/k8s/scheduler.conf",
        "kube_scheduler_subject": {
            "CN": "system:kube-scheduler",
            "O": "somebody",
            "OU": "4Paradigm",
            "C": "CN",
        },
        "kube_scheduler_sans": "own",
        "kube_scheduler_extra_sans": ["scheduler.example", "{{ ansible_host }}"],
        "kube_scheduler_tls_server_name": "kubernetes.default.svc",
        "kube_scheduler_apiserver_ca": str(tmp_path / "bundle.pem"),
        "kube_scheduler_ca_config": str(tmp_path / "ca-config.json"),
        "kube_scheduler_ca_profile": "short",
        "kube_scheduler_renew_before": "1h",
        # this version of kube-scheduler logs only to the journal
        "kube_scheduler_log_dir": "/var/log/unused",
        "kube_scheduler_bind_address": "{{ ansible_host }}",
        "kube_scheduler_secure_port": 10999,
        "kube_scheduler_lease_preset": "fast",
        "kube_scheduler_lease_duration": "6s",
        "kube_scheduler_config": {
            "leaderElection": {"leaderElect": True},
            "parallelism": 8,
            "profiles": PROFILES,
        },
        "kube_scheduler_extra_args": {
            "v": "3",
            "requestheader-allowed-names": ODD,
            "authentication-tolerate-lookup-failure": False,
        },
        **reader(lab, tmp_path),
    }
    (tmp_path / "bundle.pem").write_text(lab.ca + lab.ca)
    profile = {
        "usages": ["signing", "key encipherment", "server auth", "client auth"],
        "expiry": "24h",
    }
    (tmp_path / "ca-config.json").write_text(
        json.dumps({"signing": {"profiles": {"short": profile}}})
    )
    yield f"--extra-vars={json.dumps(options)}"
    lab.start_anew()


def test_options_take_effect(lab: Any, words: str) -> None:
    run = lab.start_anew(words)
    assert "not checked: metrics" not in run.text
    # The lab grants this path only to the reader that this test creates.
    assert "not checked: the settings in use, from /configz: HTTP 403" in run.text
    address = lab.addresses["m1"]
    host = lab.host("m1")
    assert host.file("/usr/local/lib/k8s/kube-scheduler").is_symlink
    assert (
        host.check_output("ps -o user= -p $(systemctl show --property=MainPID --value %s)", UNIT)
        == "scheduler"
    )
    assert host.file("/etc/k8s/tls/scheduler.key").mode == 0o600
    leaf = made(lab, "m1")
    subject = {a.oid: a.value for a in leaf.subject}
    assert (subject[NameOID.ORGANIZATION_NAME], subject[NameOID.ORGANIZATIONAL_UNIT_NAME]) == (
        "somebody",
        "4Paradigm",
    )
    sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(a) for a in sans.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", address}
    assert sans.get_values_for_type(x509.DNSName) == ["scheduler.example"]
    cluster = yaml.safe_load(host.file("/etc/k8s/scheduler.conf").content)["clusters"][0]["cluster"]
    assert cluster["tls-server-name"] == "kubernetes.default.svc"
    lines = [
        line
        for line in host.check_output("ss --no-header -lntp").splitlines()
        if "kube-scheduler" in line
    ]
    assert [line.split()[3] for line in lines] == [f"{address}:10999"]
    config = yaml.safe_load(host.file("/etc/k8s/kube-scheduler.yaml").content)
    assert config["parallelism"] == 8
    assert config["profiles"] == PROFILES
    assert config["leaderElection"] == {
        "leaderElect": True,
        "leaseDuration": "6s",
        "renewDeadline": "3s",
        "retryPeriod": "1s",
    }
    words_of_process = host.check_output(
        "tr '\\0' '\\n' < /proc/%s/cmdline", lab.main_pids()["m1"]
    ).splitlines()
    assert f"--requestheader-allowed-names={ODD}" in words_of_process
    assert "--authentication-tolerate-lookup-failure=false" in words_of_process
    assert '"--v=3"' in host.check_output("systemctl cat %s", UNIT)
    assert lab.lease()["leaseDurationSeconds"] == 6
    status = lab.play("playbooks/status.yml", words)
    assert status.code == 0, status.output
    assert "failover: at most 10.4 s after a crash, 2.2 s after a stop" in status.text
    assert lab.site(words).changed == dict.fromkeys(lab.names, 0)


@pytest.mark.nightly
def test_due_pair_and_reloaded_files_are_renewed(lab: Any, words: str) -> None:
    lab.start_anew(words)
    leaf, host = made(lab, "m1"), lab.host("m1")
    # The wait is longer than the next deployment takes. With a shorter wait, a new certificate
    # would be due again at the end of this deployment.
    for name in lab.names:
        wait_for_age(made(lab, name), AGE)
    due = f"{86400 - AGE}s"
    files = json.dumps(
        {"kube_scheduler_kubeconfig_style": "files", "kube_scheduler_renew_before": due}
    )
    lab.start_anew(words, f"--extra-vars={files}")
    for name in lab.names:
        assert made(lab, name).not_valid_after_utc > leaf.not_valid_after_utc
    for path in ("/etc/k8s/tls/scheduler.key", "/etc/k8s/scheduler.conf"):
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", "scheduler", 0o640), path
    assert (
        "client-key: /etc/k8s/tls/scheduler.key"
        in host.file("/etc/k8s/scheduler.conf").content_string
    )
    assert "LoadCredential" not in host.check_output("systemctl cat %s", UNIT)
    again = lab.site(words, "--extra-vars=kube_scheduler_kubeconfig_style=files")
    assert again.changed == dict.fromkeys(lab.names, 0)


@pytest.mark.nightly
def test_older_systemd_uses_the_alternatives(lab: Any) -> None:
    """On an older systemd, the role uses alternatives, and the status names them.

    The test configures the role to treat every optional feature as newer than the systemd of the
    host.
    """
    features = {
        "credentials": {"since": 999, "limitation": "key and kubeconfig can be read by the group"},
        "exec": {"since": 999, "limitation": "a start is reported early"},
    }
    words = f"--extra-vars={json.dumps({'__kube_scheduler_systemd_features': features})}"
    try:
        run = lab.site(words)
        assert run.code == 0, run.output
        host = lab.host("m1")
        assert host.check_output("systemctl show --property=Type --value %s", UNIT) == "simple"
        assert (
            "LoadCredential"
            not in host.file("/etc/systemd/system/kube-scheduler.service").content_string
        )
        for path in (
            "/etc/kubernetes/kube-scheduler.kubeconfig",
            "/etc/kubernetes/cert/kube-scheduler-key.pem",
        ):
            assert (host.file(path).group, host.file(path).mode) == ("k8s", 0o640)
        status = lab.play("playbooks/status.yml", words)
        assert status.code == 0
        assert "m1: key and kubeconfig can be read by the group" in status.text
        assert "m1: a start is reported early" in status.text
    finally:
        lab.start_anew()

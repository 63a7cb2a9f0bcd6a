"""What cannot work is refused in one line that says what, where and what to do, before any host changes."""

from __future__ import annotations

import contextlib
import functools
import http.server
import ipaddress
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def refused(lab: Any, *sentences: str, **variables: Any) -> None:
    """Runs site.yml and expects it to end with these sentences and no change."""
    tree = "find /etc/kubernetes /opt/k8s /var/lib/kube-ha /etc/systemd/system -printf '%p %T@ %m %u %s\n' | sort"
    hosts = [lab.host(name) for name in lab.names]
    before = [host.check_output(tree) for host in hosts]
    run = lab.site(f"--extra-vars={json.dumps(variables)}")
    assert run.code != 0
    assert "Traceback" not in run.output
    for sentence in sentences:
        assert sentence in run.text, run.output
    assert not any(run.changed.values()), run.output
    assert [host.check_output(tree) for host in hosts] == before


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"kube_scheduler_hosts": "nobody"},
            "the inventory has no hosts in nobody: put the masters into that group, or name theirs with",
        ),
        (
            {"kube_scheduler_group": "nobody"},
            "kube_scheduler_group: the group nobody has no hosts; put the masters into it",
        ),
        (
            {"kube_scheduler_address": "192.0.2.1"},
            "m1 and m2 and m3 have the same address 192.0.2.1; each master needs its own",
        ),
        (
            {"kube_scheduler_address": "10.0.0.256"},
            "kube_scheduler_address: not an IP address: m1 has 10.0.0.256, m2 has",
        ),
        (
            {"kube_scheduler_address": "m1.example"},
            "kube_scheduler_address: not an IP address: m1 has m1.example, m2 has",
        ),
        (
            {"kube_scheduler_version": "1.99.0"},
            "kube_scheduler_version: 1.99.0 is not a version that this collection knows",
        ),
        (
            {"kube_scheduler_version": "latest"},
            "kube_scheduler_version: latest is not a version that this collection knows",
        ),
        (
            {"kube_scheduler_version": "../../1.37.2"},
            "kube_scheduler_version: ../../1.37.2 is not a version that this collection knows",
        ),
        (
            {"kube_scheduler_apiserver": ""},
            "kube_scheduler_apiserver: it is not set for m1; give the apiserver's URL, such as https://",
        ),
        (
            {"kube_scheduler_apiserver": "http://192.0.2.1"},
            "kube_scheduler_apiserver: http://192.0.2.1 for m1; give the apiserver's URL",
        ),
        (
            {"kube_scheduler_apiserver": "https://127.0.0.1:1"},
            "kube_scheduler_apiserver: m1 gets no answer from it: https://127.0.0.1:1: connection refused",
        ),
        (
            {"kube_scheduler_renew_deadline": "20s"},
            "kube_scheduler_lease_duration: 15s must be longer than kube_scheduler_renew_deadline, 20s",
        ),
        (
            {"kube_scheduler_retry_period": "9s"},
            "kube_scheduler_renew_deadline: 10s must be longer than 1.2 times kube_scheduler_retry_period, 9s",
        ),
        (
            {"kube_scheduler_retry_period": "soon"},
            "kube_scheduler_retry_period: soon is not a time in whole seconds, such as 15s",
        ),
        (
            {"kube_scheduler_config": {"leaderElection": {"leaseDuration": "8s"}}},
            "kube_scheduler_config: leaderElection: leaseDuration: 8s must be longer than kube_scheduler_renew_deadline, 10s",
        ),
        (
            {"kube_scheduler_config": {"leaderElection": {"retryPeriod": "9s"}}},
            "kube_scheduler_renew_deadline: 10s must be longer than 1.2 times kube_scheduler_config: leaderElection: retryPeriod, 9s",
        ),
        (
            {"kube_scheduler_config": {"leaderElection": {"renewDeadline": "1m"}}},
            "kube_scheduler_config: leaderElection: renewDeadline: 1m is not a time in whole seconds, such as 15s",
        ),
        (
            {"kube_scheduler_pki": "provided"},
            "kube_scheduler_pki: provided needs kube_scheduler_cert_source and kube_scheduler_key_source",
        ),
        ({"kube_scheduler_ca_profile": "nobody"}, "has no profile 'nobody'; it has: kubernetes"),
        (
            {"kube_scheduler_ca_cert": "/nowhere/ca.pem"},
            "kube_scheduler_ca_cert: /nowhere/ca.pem, kube_scheduler_apiserver_ca: /nowhere/ca.pem is not a file",
        ),
        ({"kube_scheduler_ca_key": "/nowhere/ca-key.pem"}, "ca_privatekey_path: '/nowhere/ca-key.pem' does not exist"),
        (
            {"kube_scheduler_extra_args": {"no-such-flag": "x"}},
            "kube_scheduler_extra_args: no-such-flag: kube-scheduler 1.37.2 has no flag --no-such-flag",
        ),
        (
            {"kube_scheduler_extra_args": {"logtostderr": False}},
            "has no flag --logtostderr, which was removed in 1.26; use the journal, which the process writes to anyway",
        ),
        (
            {"kube_scheduler_extra_args": {"kube-api-qps": 100}},
            "would silently ignore --kube-api-qps beside its configuration file; use kube_scheduler_config: {clientConnection:",
        ),
        (
            {"kube_scheduler_config": {"healthzBindAddress": "0.0.0.0"}},
            "kube_scheduler_config: healthzBindAddress: is not a field of kubescheduler.config.k8s.io/v1",
        ),
        (
            {"kube_scheduler_config": {"leaderElection": {"resourceLock": "endpoints"}}},
            "kube-scheduler 1.37.2 does not take endpoints, but leases; use leases",
        ),
        (
            {"kube_scheduler_bin_dir": "-/opt/k8s/bin"},
            "kube_scheduler_bin_dir: -/opt/k8s/bin is not an absolute path that a unit takes",
        ),
        (
            {"kube_scheduler_cert_path": "/etc/%h/a.pem", "kube_scheduler_log_dir": "/var/log/a b"},
            "kube_scheduler_cert_path: /etc/%h/a.pem, kube_scheduler_log_dir: /var/log/a b is not an absolute path",
        ),
        (
            {"kube_scheduler_user": "k8s\nExecStartPre=/bin/true"},
            "is not the name of a user; use letters, digits and _ . -, a letter or _ first",
        ),
        ({"kube_scheduler_pki": "own"}, "value of kube_scheduler_pki must be one of: node, shared, provided, got: own"),
    ],
)
def test_variables(lab: Any, variables: dict[str, Any], sentence: str) -> None:
    refused(lab, sentence, **variables)


def make_ca(folder: Path, *, ca: bool = True, days: int = 365) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA")])
    now = datetime.now(timezone.utc)
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    ) | {"key_cert_sign": ca, "crl_sign": ca, "encipher_only": False, "decipher_only": False}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "ca.pem", folder / "ca-key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].touch(0o600)
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.mark.parametrize(
    ("options", "words"),
    [({"ca": False}, "is not a CA: its basicConstraints do not say CA:TRUE"), ({"days": -1}, "expired on")],
)
def test_ca(lab: Any, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    certificate, key = make_ca(tmp_path, **options)
    refused(
        lab,
        f"ca_path: '{certificate}' {words}",
        kube_scheduler_ca_cert=str(certificate),
        kube_scheduler_ca_key=str(key),
    )


def test_ca_that_does_not_match_its_key(lab: Any, tmp_path: Path) -> None:
    _certificate, key = make_ca(tmp_path)
    refused(lab, f"'{key}' is not the key of the certificate in", kube_scheduler_ca_key=str(key))


def test_ca_key_that_others_can_read(lab: Any, tmp_path: Path) -> None:
    certificate, key = make_ca(tmp_path)
    key.chmod(0o644)
    refused(
        lab,
        f"others can read or change '{key}'",
        kube_scheduler_ca_cert=str(certificate),
        kube_scheduler_ca_key=str(key),
    )


@contextlib.contextmanager
def mirror(lab: Any, folder: Path) -> Iterator[str]:
    """A web server on the lab's network, for as long as it is needed."""
    network = ipaddress.ip_network(f"{lab.addresses['m1']}/24", strict=False)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer((str(network[1]), 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{network[1]}:{server.server_port}"
        server.shutdown()


def release(folder: Path, content: bytes, checksum: str) -> Path:
    binary = folder / "release/v1.37.9/bin/linux/amd64/kube-scheduler"
    binary.parent.mkdir(parents=True)
    binary.write_bytes(content)
    Path(f"{binary}.sha512").write_text(checksum)
    return binary


def test_download_with_a_wrong_checksum(lab: Any, tmp_path: Path) -> None:
    release(tmp_path, b"not what was released", "0" * 128)
    with mirror(lab, tmp_path) as url:
        refused(
            lab,
            f"kube_scheduler_binary_url: {url}/release/v1.37.9/bin/linux/amd64/kube-scheduler did not come whole",
            kube_scheduler_version="1.37.9",
            kube_scheduler_binary_url=url,
        )


def test_download_that_is_not_there(lab: Any, tmp_path: Path) -> None:
    with mirror(lab, tmp_path) as url:
        refused(
            lab,
            f"kube_scheduler_binary_url: {url}/release/v1.37.9",
            kube_scheduler_version="1.37.9",
            kube_scheduler_binary_url=url,
        )


def test_binary_of_the_controller_with_a_wrong_checksum(lab: Any, tmp_path: Path) -> None:
    binary = release(tmp_path, b"not what was released", "0" * 128)
    refused(
        lab,
        f"kube_scheduler_binary_url: {binary} on the controller does not have the SHA-512 that stands in {binary}.sha512",
        kube_scheduler_version="1.37.9",
        kube_scheduler_binary_source="controller",
        kube_scheduler_binary_url=str(tmp_path),
    )


def test_binary_that_should_be_present(lab: Any) -> None:
    refused(
        lab,
        "m1 has no /opt/k8s/bin/kube-scheduler-v1.37.9; put the binary there",
        kube_scheduler_version="1.37.9",
        kube_scheduler_binary_source="present",
    )


def test_port_that_somebody_else_holds(lab: Any) -> None:
    host = lab.host("m2")
    host.check_output("systemd-run --unit=squatter python3 -m http.server --bind 127.0.0.1 10999")
    try:
        refused(
            lab, "kube_scheduler_secure_port: 10999 on m2 is held by python3 (pid", kube_scheduler_secure_port=10999
        )
    finally:
        host.check_output("systemctl stop squatter")


def test_another_scheduler_on_the_host(lab: Any) -> None:
    host = lab.host("m3")
    path = "/etc/kubernetes/manifests/kube-scheduler.yaml"
    host.check_output("mkdir --parents /etc/kubernetes/manifests && touch %s", path)
    try:
        refused(lab, f"m3: another kube-scheduler is there: static pod {path}; stop it for good first")
    finally:
        host.check_output("rm --recursive /etc/kubernetes/manifests")


def test_a_binary_that_refuses_its_flags_stops_before_anything_live_changes(lab: Any) -> None:
    pids = lab.main_pids()
    run = lab.site("--extra-vars={kube_scheduler_extra_args: {tls-min-version: VersionTLS99}}")
    assert run.code != 0
    assert "refuses the staged flags or configuration, so nothing was put in place" in run.text
    assert "unknown tls version" in run.text
    assert lab.main_pids() == pids
    assert lab.site().code == 0
    assert lab.main_pids() == pids


def test_python_that_is_not_there(lab: Any, tmp_path: Path) -> None:
    run = lab.site(inventory=lab.inventory_with(tmp_path, ansible_python_interpreter="/opt/nowhere/python3"))
    assert run.code != 0
    assert "m1: /opt/nowhere/python3 is not there, but the modules need Python 3.9 or newer" in run.text


def test_uninstall_asks_first(lab: Any) -> None:
    run = lab.play("playbooks/uninstall.yml")
    assert run.code != 0
    assert "nothing was removed: type yes when asked, or say -e kube_scheduler_confirm=yes" in run.text

"""Active (running) and /healthz 200 lie: a leader whose certificates have expired has both, and verify says so."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.support.lab import wait_for

CERTIFICATE = "/etc/kubernetes/cert/kube-scheduler.pem"
KUBECONFIG = "/etc/kubernetes/kube-scheduler.kubeconfig"
UNIT = "kube-scheduler.service"


def expired(certificate: bytes, ca_key: bytes) -> bytes:
    """The same certificate, over since an hour."""
    former = x509.load_pem_x509_certificate(certificate)
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(former.subject)
        .issuer_name(former.issuer)
        .public_key(former.public_key())
        .serial_number(0x0DEAD)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(hours=1))
    )
    for extension in former.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    key = serialization.load_pem_private_key(ca_key, None)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def put(host: Any, path: str, content: bytes) -> None:
    host.check_output("echo %s | base64 -d > %s", base64.b64encode(content).decode(), path)


def test_expired_certificates_of_the_leader(lab: Any) -> None:
    name = lab.leader()
    host = lab.host(name)
    over = expired(host.file(CERTIFICATE).content, (lab.state / "ca-key.pem").read_bytes())
    kubeconfig = yaml.safe_load(host.file(KUBECONFIG).content)
    kubeconfig["users"][0]["user"]["client-certificate-data"] = base64.b64encode(over).decode()
    put(host, CERTIFICATE, over)
    put(host, KUBECONFIG, yaml.safe_dump(kubeconfig).encode())
    host.check_output("systemctl restart %s", UNIT)
    pid = lab.main_pids()[name]
    wait_for(lambda: "Unauthorized" in host.check_output("journalctl --no-pager _PID=%s", pid), 30)

    assert host.service(UNIT).is_running
    wait_for(lambda: host.run("curl --silent --insecure https://127.0.0.1:10259/healthz").stdout == "ok", 30)

    run = lab.site("--tags=kube_scheduler_verify")
    assert run.code != 0
    for role in ("that it serves", "that it uses at the apiserver"):
        assert re.search(
            rf"{name}: the certificate {role} \(\S*CN=system:kube-scheduler\S*, serial DEAD\) expired on", run.text
        )
    assert "Unauthorized" in run.text, "the journal is shown"
    status = lab.play("playbooks/status.yml")
    assert status.code != 0
    assert f"{name}: the certificate that it serves" in status.text

    others = {other: pid for other, pid in lab.main_pids().items() if other != name}
    repaired = lab.site()
    assert repaired.code == 0, repaired.output
    assert {host for host, count in repaired.changed.items() if count} == {name}
    assert {other: pid for other, pid in lab.main_pids().items() if other != name} == others
    assert lab.site().changed == dict.fromkeys(lab.names, 0)

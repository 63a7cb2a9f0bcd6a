"""Test one host: files, unit, port, certificates, and the access to its endpoints."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KUBECONFIG = "/etc/kubernetes/kube-scheduler.kubeconfig"
CERTIFICATE = "/etc/kubernetes/cert/kube-scheduler.pem"
UNIT = "kube-scheduler.service"


@pytest.fixture
def name(host: Any) -> str:
    return str(host.backend.get_hostname())


def test_service_is_active(host: Any) -> None:
    service = host.service(UNIT)
    try:
        assert service.is_running
        assert service.is_enabled
    except AssertionError:
        print(host.run("journalctl --no-pager --lines=50 --unit=%s", UNIT).stdout)
        raise


def test_files_have_owner_and_mode(host: Any) -> None:
    desired = {
        CERTIFICATE: "root root 644",
        "/etc/kubernetes/cert/kube-scheduler-key.pem": "root root 600",
        KUBECONFIG: "root root 600",
        "/etc/kubernetes/kube-scheduler.yaml": "root root 644",
        "/etc/systemd/system/kube-scheduler.service": "root root 644",
        "/var/lib/kube-ha/kube-scheduler": "root root 700",
        "/var/lib/kube-ha/kube-scheduler/staged/privatekey": "root root 600",
        "/var/lib/kube-ha/kube-scheduler/staged/kubeconfig": "root root 600",
    }
    lines = host.check_output(f"stat --format='%n %U %G %a' {' '.join(desired)}").splitlines()
    assert dict(line.split(maxsplit=1) for line in lines) == desired


def test_binary_is_a_link_to_the_version(host: Any, lab: Any) -> None:
    link = host.file("/opt/k8s/bin/kube-scheduler")
    assert link.linked_to == f"/opt/k8s/bin/kube-scheduler-v{lab.settings.version}"
    binary = host.file(link.linked_to)
    assert (binary.user, binary.mode) == ("root", 0o755)
    desired = Path(lab.binary("kube-scheduler") + ".sha256").read_text().split()[0]
    assert binary.sha256sum == desired


def test_user_is_a_system_user(host: Any) -> None:
    user = host.user("k8s")
    assert user.shell == "/usr/sbin/nologin"
    assert user.uid < 1000


def test_unit_has_its_properties(host: Any) -> None:
    desired = {
        "User": "k8s",
        "Type": "exec",
        "Restart": "always",
        "RestartUSec": "5s",
        "TimeoutStopUSec": "20s",
        "StartLimitIntervalUSec": "0",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "PrivateUsers": "yes",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
    }
    properties = host.service(UNIT).systemd_properties
    assert {name: properties.get(name, "") for name in desired} == desired


def test_hardening_is_enforced(host: Any) -> None:
    pid = host.service(UNIT).systemd_properties["MainPID"]
    status = host.file(f"/proc/{pid}/status").content_string
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert host.run("nsenter --target=%s --mount touch /etc/x", pid).rc != 0


def test_unit_is_verified_and_safe(host: Any) -> None:
    assert host.check_output("systemd-analyze verify /etc/systemd/system/%s 2>&1", UNIT) == ""
    assert host.run("systemd-analyze security --threshold=20 %s", UNIT).rc == 0


def test_process_listens_on_its_port_only(host: Any) -> None:
    lines = [
        line
        for line in host.check_output("ss --no-header -lntup").splitlines()
        if "kube-scheduler" in line
    ]
    assert [line.split()[4] for line in lines] == ["127.0.0.1:10259"]


def test_certificate_has_names_and_usages(host: Any, lab: Any) -> None:
    leaf = x509.load_pem_x509_certificate(host.file(CERTIFICATE).content)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(lab.ca.encode()))
    names = {attribute.oid: attribute.value for attribute in leaf.subject}
    assert names == {
        NameOID.COMMON_NAME: "system:kube-scheduler",
        NameOID.ORGANIZATION_NAME: "system:kube-scheduler",
    }
    key: Any = leaf.public_key()
    assert key.key_size == 2048
    sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(a) for a in sans.get_values_for_type(x509.IPAddress)} == {
        "127.0.0.1",
        *lab.addresses.values(),
    }
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


def test_each_host_has_a_separate_key(lab: Any) -> None:
    key = "/etc/kubernetes/cert/kube-scheduler-key.pem"
    assert len({lab.host(name).file(key).sha256sum for name in lab.names}) == len(lab.names)


def test_hosts_have_no_ca_key(host: Any, lab: Any) -> None:
    line = (lab.state / "ca-key.pem").read_text().splitlines()[5]
    assert (
        host.run(
            "grep --recursive --files-with-matches --fixed-strings -e %s /etc /opt /root /var /tmp",
            line,
        ).rc
        == 1
    )


def test_kubectl_reads_the_kubeconfig(host: Any, lab: Any, tmp_path: Path, name: str) -> None:
    content = host.file(KUBECONFIG).content
    path = tmp_path / "kubeconfig"
    path.touch(0o600)
    path.write_bytes(content)

    def kubectl(*words: str) -> str:
        command = [lab.binary("kubectl"), f"--kubeconfig={path}", *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    assert kubectl("config", "current-context") == "system:kube-scheduler"
    view = yaml.safe_load(kubectl("config", "view", "--raw"))
    written = yaml.safe_load(content)
    written.pop("preferences", None)  # the field is empty, and newer versions of kubectl omit it
    assert view == written
    assert [c["name"] for c in view["clusters"]] == ["kubernetes"]
    assert view["clusters"][0]["cluster"]["server"] == f"https://{lab.addresses[name]}:6443"
    embedded = base64.b64decode(view["users"][0]["user"]["client-certificate-data"])
    assert embedded == host.file(CERTIFICATE).content
    assert (
        json.loads(kubectl("auth", "whoami", "--output=json"))["status"]["userInfo"]["username"]
        == "system:kube-scheduler"
    )


def curl(host: Any, *paths: str, pair: bytes = b"") -> list[str]:
    """Return the HTTP status of each path over verified TLS.

    The CA certificate comes from the kubeconfig of the host.
    """
    encoded = base64.b64encode(pair).decode()
    script = f"""
        folder=$(mktemp --directory) && trap "rm --recursive $folder" EXIT
        sed -n 's/.*certificate-authority-data: //p' {KUBECONFIG} | base64 -d > $folder/ca.pem
        echo {encoded} | base64 -d > $folder/pair.pem
        for path in {" ".join(paths)}; do
            curl --silent --output /dev/null --write-out '%{{http_code}}\\n' --cacert $folder/ca.pem \\
                {"--cert $folder/pair.pem" if pair else ""} https://127.0.0.1:10259$path
        done
    """
    return str(host.check_output("bash -c %s", script)).split()


def test_paths_for_unauthorized_clients(host: Any) -> None:
    paths = ("/healthz", "/livez", "/readyz", "/metrics", "/configz")
    assert curl(host, *paths) == ["200", "200", "200", "403", "403"]


def test_paths_for_authorized_readers(host: Any, lab: Any, tmp_path: Path) -> None:
    request = [
        "openssl",
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-subj",
        "/O=system:monitoring/CN=reader",
    ]
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
    csr = subprocess.run(request, cwd=tmp_path, capture_output=True, check=True).stdout
    serial = ["-set_serial", "77"]
    pair = (
        subprocess.run([*sign, *serial], input=csr, capture_output=True, check=True).stdout
        + (tmp_path / "key.pem").read_bytes()
    )
    assert curl(host, "/metrics", "/debug/pprof/", pair=pair) == ["200", "403"]


def test_profiling_is_off_for_an_administrator(host: Any, lab: Any) -> None:
    user = yaml.safe_load((lab.state / "admin.kubeconfig").read_text())["users"][0]["user"]
    pair = base64.b64decode(user["client-certificate-data"]) + base64.b64decode(
        user["client-key-data"]
    )
    assert curl(host, "/metrics", "/debug/pprof/", pair=pair) == ["200", "404"]
    # kube-bench reads only the command line, not the configuration file.
    command = host.check_output(
        "tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value %s)/cmdline", UNIT
    )
    assert {"--profiling=false", "--bind-address=127.0.0.1"} <= set(command.splitlines())


def handshake(host: Any, port: int, *options: str) -> bool:
    """Return whether OpenSSL, through curl, completes a TLS handshake on the loopback address."""
    # HTTP/2 would reject CBC after the handshake.
    curl_options = " ".join(("--silent --insecure --http1.1 --output /dev/null", *options))
    status = host.run(f"curl {curl_options} https://127.0.0.1:{port}/").rc
    assert status in (0, 35)
    return bool(status == 0)


@pytest.mark.parametrize(
    ("ciphers", "is_accepted"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA", False),
        ("AES128-GCM-SHA256:AES256-GCM-SHA384", False),
    ],
    ids=["GCM", "ChaCha20", "CBC", "RSA key exchange"],
)
def test_cipher_suites_of_tls_1_2(host: Any, ciphers: str, *, is_accepted: bool) -> None:
    assert handshake(host, 10259, "--tls-max 1.2", f"--ciphers {ciphers}") == is_accepted


def test_protocol_versions(host: Any) -> None:
    # The apiserver has Go's default suites. The handshake with the apiserver shows that this client
    # can offer CBC.
    assert handshake(
        host, 6443, "--tls-max 1.2", "--ciphers ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
    )
    assert handshake(host, 10259, "--tlsv1.3")
    assert not handshake(host, 10259, "--tls-max 1.1", "--ciphers DEFAULT@SECLEVEL=0")


def test_flags_of_the_hardening_guide_have_safe_values(host: Any) -> None:
    """Compare with the list in docs/security.md. Flags that are not set have their defaults."""
    command = host.check_output(
        "tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value %s)/cmdline", UNIT
    ).splitlines()
    flags = dict(argument[2:].split("=", 1) for argument in command[1:])
    defaults = host.check_output("/opt/k8s/bin/kube-scheduler --help")
    for name, value in {
        "authentication-skip-lookup": "",
        "authorization-always-allow-paths": "[/healthz,/readyz,/livez]",
        "permit-address-sharing": "",
        "permit-port-sharing": "",
        "requestheader-client-ca-file": "",
    }.items():
        assert name not in flags
        [line] = [row for row in defaults.splitlines() if row.strip().startswith(f"--{name} ")]
        # The help text names no default that is false or empty.
        assert f"(default {value})" in line if value else "(default" not in line
    assert flags["authentication-kubeconfig"] == flags["authorization-kubeconfig"]
    assert flags["bind-address"] == "127.0.0.1"

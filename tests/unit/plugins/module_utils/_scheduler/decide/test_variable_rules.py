"""Test the validation of the variables and the inventory."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    variable_rules,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.provided import ProvidedFile
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import VARIABLES_SPEC

from tests.support.role import defaults, role_vars

PREFIX = "kube_scheduler_"


VERSIONS = role_vars()["__kube_scheduler_versions"]


PRESETS = role_vars()["__kube_scheduler_lease_presets"]


SHA256, SHA512 = f"sha256:{'a' * 64}", f"sha512:{'B' * 128}"


HTTP = "http://mirror.example/k8s"


ADDRESSES = {"m1": "192.0.2.1", "m2": "192.0.2.2", "m3": "192.0.2.3"}


def settings(**given: Any) -> Variables:
    """Return the defaults of the role with the variables that a first run needs."""
    known = defaults(**{key: value for key, value in given.items() if key == "name"})
    raw = {name.removeprefix(PREFIX): value for name, value in known.items()}
    raw |= {
        "group": "kube_masters",
        "apiserver": "https://192.0.2.1:6443",
        "apiserver_ca": "/ca.pem",
        "ca_cert": "/ca.pem",
        "version": "1.37.2",
    }
    result, errors = variables.parse_variables(raw | given, VARIABLES_SPEC, PREFIX)
    assert result is not None, errors
    return result


def input_errors(
    addresses: dict[str, str] | None = None,
    me: str = "m1",
    absent: tuple[str, ...] = (),
    **given: Any,
) -> list[str]:
    v = settings(**given)
    known = ADDRESSES if addresses is None else addresses
    cluster = variable_rules.InventoryCluster(
        me=me, addresses=known, playing=list(known), leading=me == [*known, me][0]
    )
    return variable_rules.validate_variables(
        v,
        cluster,
        variables.resolve_election(v, PRESETS),
        versions=VERSIONS,
        is_file=lambda path: path not in absent,
        prefix=PREFIX,
    )


def test_defaults_are_valid() -> None:
    assert input_errors() == []
    assert input_errors(addresses={"m1": "2001:db8::1", "m2": "192.0.2.2"}) == []
    assert (
        input_errors(
            lease_preset="fast",
            bind_address="::",
            subject={"CN": ["system:kube-scheduler"], "O": ["us", "them"]},
        )
        == []
    )
    assert input_errors(ca_config="/ca-config.json", ca_profile="kubernetes") == []
    plain = {
        "parallelism": 15,
        "enableProfiling": False,
        "profiles": [{"percentageOfNodesToScore": None}],
    }
    assert input_errors(config=plain) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"version": "1.99.0"},
            "kube_scheduler_version: 1.99.0 is not a supported version",
        ),
        (
            {"version": "latest"},
            "kube_scheduler_version: latest is not a supported version",
        ),
        (
            {"version": "1.37"},
            "kube_scheduler_version: 1.37 is not a supported version; set a full version such as 1.37.0",
        ),
        (
            {"version": "../../1.37.2"},
            "kube_scheduler_version: ../../1.37.2 is not a supported version",
        ),
        (
            {"version": "1.37.2; id"},
            "kube_scheduler_version: 1.37.2; id is not a supported version",
        ),
        (
            {"apiserver": ""},
            "kube_scheduler_apiserver: not set for m1; set the URL of the apiserver, such as https://192.0.2.1:6443",
        ),
        (
            {"apiserver": "http://192.0.2.1"},
            "kube_scheduler_apiserver: http://192.0.2.1 for m1 (plain http does not authenticate the apiserver); set the URL",
        ),
        (
            {"apiserver": "https://u:p@192.0.2.1"},
            "kube_scheduler_apiserver: contains a user name for m1; set the URL of the apiserver",
        ),
        (
            {"apiserver": "https://192.0.2.1:99999"},
            "kube_scheduler_apiserver: https://192.0.2.1:99999 for m1; set the URL",
        ),
        (
            {"apiserver": "https://10.0.0.256:6443"},
            "kube_scheduler_apiserver: https://10.0.0.256:6443 for m1; set the URL",
        ),
        (
            {"apiservers": ["https://192.0.2.1:6443", "http://192.0.2.2"]},
            "kube_scheduler_apiservers: http://192.0.2.2 for m1 (plain http does not authenticate the apiserver); set the URL",
        ),
        (
            {"pki": "external"},
            "kube_scheduler_pki: external requires kube_scheduler_csr_dir; set the directory on the controller for HOST.csr",
        ),
        (
            {"pki": "external", "csr_dir": "csr"},
            "kube_scheduler_csr_dir: csr is not an absolute path; set an absolute path",
        ),
        (
            {"apiserver": "192.0.2.1:6443"},
            "kube_scheduler_apiserver: 192.0.2.1:6443 for m1; set the URL of the apiserver",
        ),
        (
            {"tls_server_name": "https://a"},
            "kube_scheduler_tls_server_name: 'https://a' is neither a DNS name nor an IP address; set a name or address",
        ),
        (
            {"version": 1.3},
            "kube_scheduler_version: 1.3 is not a supported version; set a full version",
        ),
        (
            {"renew_deadline": "20s"},
            "kube_scheduler_lease_duration: 15s must be longer than kube_scheduler_renew_deadline, 20s",
        ),
        (
            {"retry_period": "9s"},
            "kube_scheduler_renew_deadline: 10s must be longer than 1.2 times kube_scheduler_retry_period, 9s",
        ),
        (
            {"retry_period": "soon"},
            "kube_scheduler_retry_period: soon is not a time in whole seconds; set a time such as 15s",
        ),
        (
            {"retry_period": "0s"},
            "kube_scheduler_retry_period: 0s is not a time in whole seconds; set a time such as 15s",
        ),
        (
            {"config": {"leaderElection": {"leaseDuration": "8s"}}},
            "kube_scheduler_config: leaderElection: leaseDuration: 8s must be longer than kube_scheduler_renew_deadline, 10s",
        ),
        (
            {"config": {"leaderElection": {"leaseDuration": "10s"}}},
            "kube_scheduler_config: leaderElection: leaseDuration: 10s must be longer than kube_scheduler_renew_deadline, 10s",
        ),
        (
            {"config": {"leaderElection": {"retryPeriod": "9s"}}},
            "kube_scheduler_renew_deadline: 10s must be longer than 1.2 times kube_scheduler_config: leaderElection: retryPeriod, 9s",
        ),
        (
            {"config": {"leaderElection": {"retryPeriod": 2}}},
            "kube_scheduler_config: leaderElection: retryPeriod: 2 is not a time in whole seconds; set a time such as 15s",
        ),
        (
            {"config": {"leaderElection": {"renewDeadline": "1m"}}},
            "kube_scheduler_config: leaderElection: renewDeadline: 1m is not a time in whole seconds; set a time such as 60s",
        ),
        (
            {"config": {"leaderElection": "15s"}},
            "kube_scheduler_config: leaderElection: '15s' is not a mapping",
        ),
        (
            {"pki": "provided"},
            "kube_scheduler_pki: provided requires kube_scheduler_cert_source and kube_scheduler_key_source",
        ),
        (
            {"new_ca_cert": "ca.pem"},
            "kube_scheduler_new_ca_cert: ca.pem is not an absolute path; set an absolute path on the controller",
        ),
        (
            {"new_ca_key": "ca.pem"},
            "kube_scheduler_new_ca_key: ca.pem is not an absolute path; set an absolute path on the controller",
        ),
        (
            {"ca_key_passphrase_file": "secret"},
            "kube_scheduler_ca_key_passphrase_file: secret is not an absolute path; set an absolute path on the controller",
        ),
        (
            {"pki": "shared", "cert_source": "/c.pem"},
            "kube_scheduler_pki: shared requires kube_scheduler_cert_source and",
        ),
        (
            {"bin_dir": "-/opt/k8s/bin"},
            "kube_scheduler_bin_dir: -/opt/k8s/bin is not a supported absolute path",
        ),
        (
            {"cert_path": "/etc/%h/a.pem", "log_dir": "/var/log/a b"},
            "kube_scheduler_cert_path: /etc/%h/a.pem, kube_scheduler_log_dir: /var/log/a b is not a supported absolute path",
        ),
        (
            {"key_path": "/etc/a.pem", "cert_path": "/etc/a.pem"},
            "kube_scheduler_cert_path: /etc/a.pem is also kube_scheduler_key_path; set separate paths",
        ),
        (
            {"key_path": "/etc/kubernetes/kube-scheduler.yaml"},
            "kube_scheduler_key_path: /etc/kubernetes/kube-scheduler.yaml is also the configuration next to kube_scheduler_kubeconfig_path; set separate paths",
        ),
        (
            {"kubeconfig_path": "/etc/kubernetes/kube-scheduler.yaml"},
            "kube_scheduler_kubeconfig_path: /etc/kubernetes/kube-scheduler.yaml is also the configuration next to",
        ),
        (
            {"cert_path": "/opt/k8s/./bin/../bin/kube-scheduler"},
            "kube_scheduler_cert_path: /opt/k8s/bin/kube-scheduler is also the link in kube_scheduler_bin_dir; set separate paths",
        ),
        (
            {"key_path": "/opt/k8s/bin/kube-scheduler-v1.37.2"},
            "kube_scheduler_key_path: /opt/k8s/bin/kube-scheduler-v1.37.2 is also the binary in kube_scheduler_bin_dir; set separate paths",
        ),
        (
            {"kubeconfig_path": "/etc/systemd/system/kube-scheduler.service"},
            "kube_scheduler_kubeconfig_path: /etc/systemd/system/kube-scheduler.service is also the unit; set separate paths",
        ),
        (
            {"bin_dir": "/etc/systemd/system/kube-scheduler.service"},
            "kube_scheduler_bin_dir: /etc/systemd/system/kube-scheduler.service is also the unit; set separate paths",
        ),
        (
            {"key_path": "/opt/k8s/bin"},
            "kube_scheduler_key_path: /opt/k8s/bin is also kube_scheduler_bin_dir; set separate paths",
        ),
        (
            {"cert_path": "/etc/pki/x", "key_path": "/etc/pki/x/key.pem"},
            "kube_scheduler_cert_path: /etc/pki/x is a file (kube_scheduler_cert_path), so /etc/pki/x/key.pem cannot be below it; set",
        ),
        (
            {"cert_path": "/var/lib/kube-ha/kube-scheduler/staged/certificate"},
            "kube_scheduler_cert_path: /var/lib/kube-ha/kube-scheduler/staged/certificate is in /var/lib/kube-ha/kube-scheduler, which is reserved",
        ),
        (
            {"log_dir": "/var/lib/kube-ha/kube-scheduler"},
            "kube_scheduler_log_dir: /var/lib/kube-ha/kube-scheduler is in /var/lib/kube-ha/kube-scheduler, which is reserved",
        ),
        (
            {"log_dir": "/etc/kubernetes"},
            "kube_scheduler_log_dir: /etc/kubernetes is owned by user k8s, but contains /etc/kubernetes/cert/kube-scheduler.pem",
        ),
        (
            {"config": {"profiles": [{"since": datetime.date(2026, 1, 1)}]}},
            "kube_scheduler_config: profiles[0]: since: YAML reads 2026-01-01 as a date; quote it",
        ),
        (
            {"config": {"parallelism": math.nan}},
            "kube_scheduler_config: parallelism: nan is not a finite number",
        ),
        (
            {"config": {"parallelism": -math.inf}},
            "kube_scheduler_config: parallelism: -inf is not a finite number",
        ),
        (
            {"config": {"leaderElection": {True: 1}}},
            "kube_scheduler_config: leaderElection: YAML does not read the key True as text",
        ),
        (
            {"config": {"parallelism": b"x"}},
            "kube_scheduler_config: parallelism: \"b'x'\" is a bytes; set text, a number",
        ),
        (
            {"config": {"a\x07b": math.nan}},
            r"kube_scheduler_config: 'a\x07b': nan is not a finite number",
        ),
        (
            {"extra_args": {"v": math.inf}},
            "kube_scheduler_extra_args: v: inf is not a finite number",
        ),
        (
            {"extra_args": {"log-file": datetime.datetime(2026, 1, 1)}},
            "kube_scheduler_extra_args: log-file: YAML reads 2026-01-01 00:00:00 as a date; quote it",
        ),
        ({"extra_sans": ["1.2.3"]}, "kube_scheduler_extra_sans[0]: '1.2.3' is not an IP address"),
        (
            {"extra_sans": "m1.example m2.example"},
            "kube_scheduler_extra_sans[0]: 'm1.example m2.example' is not a DNS name",
        ),
        (
            {"extra_sans": ["ok.example", "-"]},
            "kube_scheduler_extra_sans[1]: '-' is not a DNS name",
        ),
        (
            {"user": "k8s\nExecStartPre=/bin/true"},
            "is not a valid user name; start with a letter or _, then use letters, digits, _, . and -",
        ),
        (
            {"secure_port": 99999},
            "kube_scheduler_secure_port: 99999 is not a valid port; set a port from 1 to 65535",
        ),
        ({"secure_port": 0}, "kube_scheduler_secure_port: 0 is not a valid port"),
        (
            {"bind_address": "everywhere"},
            "kube_scheduler_bind_address: 'everywhere' is not an IP address",
        ),
        (
            {"bind_address": "fe80::1%eth0"},
            "kube_scheduler_bind_address: 'fe80::1%eth0' is not an IP address",
        ),
        (
            {"subject": {"O": "x"}},
            "kube_scheduler_subject: CN is not set, but the apiserver grants permissions to system:kube-scheduler",
        ),
        (
            {"subject": {"CN": "admin"}},
            "kube_scheduler_subject: CN is admin, but the apiserver grants permissions to system:kube-scheduler",
        ),
        (
            {"subject": {"CN": "system:kube-scheduler", "O": ["x", "system:masters"]}},
            "kube_scheduler_subject: O system:masters would grant the scheduler the permissions of that group",
        ),
        (
            {"subject": {"CN": ["system:kube-scheduler", "admin"]}},
            "kube_scheduler_subject: CN is system:kube-scheduler, admin, but the apiserver",
        ),
        (
            {"metrics_cert": "/m.pem"},
            "kube_scheduler_metrics_cert and kube_scheduler_metrics_key require each other",
        ),
        (
            {"new_ca_cert": "/n.pem"},
            "kube_scheduler_new_ca_cert and kube_scheduler_new_ca_key require each other",
        ),
        (
            {"new_ca_key": "/n.pem"},
            "kube_scheduler_new_ca_cert and kube_scheduler_new_ca_key require each other",
        ),
        (
            {"ca_profile": "kubernetes"},
            "kube_scheduler_ca_profile: profile kubernetes needs a file; set kube_scheduler_ca_config",
        ),
        (
            {"binary_url": "mirror/k8s"},
            "kube_scheduler_binary_url: mirror/k8s is not a valid URL; set https://HOST/PATH",
        ),
        (
            {"binary_url": "https:///k8s"},
            "kube_scheduler_binary_url: https:///k8s is not a valid URL; set https://HOST/PATH",
        ),
        (
            {"binary_url": "ftp://mirror"},
            "kube_scheduler_binary_url: ftp://mirror is not a valid URL; set https://HOST/PATH",
        ),
        (
            {"binary_url": "https://[::1/k8s"},
            "kube_scheduler_binary_url: https://[::1/k8s is not a valid URL; set https://HOST/PATH",
        ),
        (
            {"binary_url": HTTP},
            (
                f"kube_scheduler_binary_url: {HTTP} uses plain http, so that an attacker on the network can "
                "replace both the binary and its .sha512 file; set kube_sch"
            ),
        ),
        (
            {"binary_url": "HTTP://mirror.example"},
            "kube_scheduler_binary_url: HTTP://mirror.example uses plain http",
        ),
        (
            {"binary_url": HTTP, "binary_checksum": {"1.36.1": SHA512}},
            "kube_scheduler_binary_checksum: has no checksum for 1.37.2; add one, or unset the variable to use the .sha512 file next to",
        ),
        (
            {"binary_checksum": {"1.36.1": SHA512}},
            "kube_scheduler_binary_checksum: has no checksum for 1.37.2; add one, or",
        ),
        (
            {"binary_checksum": "a" * 128},
            f"kube_scheduler_binary_checksum: '{'a' * 128}' is not a checksum; set sha512: with 128 hexadecimal digits",
        ),
        (
            {"binary_checksum": "sha512:https://x"},
            "kube_scheduler_binary_checksum: 'sha512:https://x' is not a checksum",
        ),
        (
            {"binary_checksum": {"1.37.2": "md5:1"}},
            "kube_scheduler_binary_checksum: 1.37.2: 'md5:1' is not a checksum",
        ),
        (
            {"binary_checksum": {1.37: SHA512}},
            "kube_scheduler_binary_checksum: 1.37: is not a full version",
        ),
        (
            {"binary_checksum": [SHA512]},
            "is neither text nor a mapping; set sha512:HEX, or a mapping of versions to checksums",
        ),
        (
            {"binary_source": "controller"},
            "kube_scheduler_binary_url: https://dl.k8s.io is not an absolute path; set a directory on the controller",
        ),
        (
            {"ca_key": "ca-key.pem", "metrics_cert": "~/m.pem", "metrics_key": "/m"},
            "kube_scheduler_ca_key: ca-key.pem, kube_scheduler_metrics_cert: ~/m.pem is not an absolute path; set an absolute path",
        ),
        (
            {"pki": "provided", "cert_source": "/s.pem", "key_source": "/x/../s.pem"},
            "kube_scheduler_cert_source: /s.pem is also kube_scheduler_key_source; set separate paths",
        ),
        (
            {"pki": "shared", "cert_source": "/s.pem", "key_source": "/s.pem"},
            "kube_scheduler_cert_source: /s.pem is also kube_scheduler_key_source; set separate paths",
        ),
        (
            {
                "pki": "shared",
                "cert_source": "/ca/./ca.pem",
                "key_source": "/s.pem",
                "ca_cert": "/ca/ca.pem",
            },
            "kube_scheduler_cert_source: /ca/ca.pem is also kube_scheduler_ca_cert; set separate paths",
        ),
    ],
)
def test_invalid_variable_is_rejected(given: dict[str, Any], expected: str) -> None:
    result = input_errors(**given)
    assert any(expected in line for line in result), result
    assert all("\n" not in line or "\n" in given.get("user", "") for line in result)


@pytest.mark.parametrize(
    "given",
    [
        {"binary_url": HTTP, "binary_checksum": SHA512},
        {"binary_url": HTTP, "binary_checksum": SHA256},
        {"binary_url": HTTP, "binary_checksum": {"1.37.2": SHA512, "v1.36.1": SHA256}},
        {"binary_url": HTTP, "binary_checksum": {"v1.37.2": SHA512}, "version": "v1.37.2"},
        {"binary_url": HTTP, "binary_checksum": {"1.36.1": SHA512}, "binary_source": "present"},
        # valid until the role knows which installed version it keeps
        {"binary_url": HTTP, "version": ""},
        {"binary_url": "/srv/k8s", "binary_source": "controller"},
        {"binary_checksum": {}},
    ],
)
def test_valid_checksum_is_accepted(given: dict[str, Any]) -> None:
    assert input_errors(**given) == []


def test_checksum_is_selected_by_version() -> None:
    known = {"1.37.2": SHA512, "v1.36.1": SHA256}
    assert settings(binary_checksum=known).checksum_of("1.37.2") == SHA512.lower()
    assert settings(binary_checksum=known).checksum_of("1.36.1") == SHA256
    assert settings(binary_checksum=known).checksum_of("1.35.4") == ""
    assert settings(binary_checksum=SHA256).checksum_of("1.35.4") == SHA256
    assert settings().checksum_of("1.35.4") == ""


@pytest.mark.parametrize(
    ("checksum", "files", "result"),
    [
        (
            "",
            {"/b": "", "/b.sha512": f"{'A' * 128}  kube-scheduler"},
            {"algorithm": "sha512", "digest": "a" * 128},
        ),
        (SHA256, {"/b": ""}, {"algorithm": "sha256", "digest": "a" * 64}),
        (
            SHA256,
            {},
            {
                "missing": "kube_scheduler_binary_url: /b does not exist on the controller; download this file from the"
            },
        ),
        (
            "",
            {"/b": ""},
            {
                "missing": "kube_scheduler_binary_url: /b.sha512 on the controller does not exist or contains"
            },
        ),
        (
            "",
            {"/b": "", "/b.sha512": "<html>"},
            {"missing": "kube_scheduler_binary_url: /b.sha512 on the controller"},
        ),
    ],
)
def test_controller_binary_has_checksum(
    checksum: str, files: dict[str, str], result: dict[str, str]
) -> None:
    binary = {"source": "/b", "checksum": checksum or "sha512:/b.sha512"}
    told = variable_rules.inspect_controller_binary(
        binary, is_file=lambda p: p in files, read=files.__getitem__, prefix=PREFIX
    )
    assert told.keys() == result.keys()
    assert all(told[key].startswith(text) for key, text in result.items()), told


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (
            {},
            "kube_scheduler_group: group kube_masters has no hosts; add the control-plane hosts to it",
        ),
        (
            {"m2": "192.0.2.2"},
            "kube_scheduler_group: host m1 is not in the group kube_masters; add it",
        ),
        (
            dict.fromkeys(ADDRESSES, "192.0.2.1"),
            "m1 and m2 and m3 have the same address 192.0.2.1; set a unique address for each host",
        ),
        (
            {"m1": "10.0.0.256", "m2": "192.0.2.2", "m3": "m3.example"},
            "kube_scheduler_address: not the IP address of a host: m1 has 10.0.0.256, m3 has m3.example; set kube_scheduler_address for each",
        ),
        (
            {"m1": "0.0.0.0", "m2": "224.0.0.1", "m3": "192.0.2.3/24"},
            "kube_scheduler_address: not the IP address of a host: m1 has 0.0.0.0, m2 has 224.0.0.1, m3 has 192.0.2.3/24; set",
        ),
        (
            {"m1": "2001:db8::1", "m2": "2001:DB8:0::1"},
            "kube_scheduler_address: m1 and m2 have the same address 2001:db8::1; set a unique address for each host",
        ),
    ],
)
def test_invalid_inventory_is_rejected(addresses: dict[str, str], expected: str) -> None:
    assert any(expected in line for line in input_errors(addresses))


def test_first_host_reports_for_the_cluster() -> None:
    addresses = {"m1": "nowhere", "m2": "192.0.2.2"}
    assert input_errors(addresses, me="m1")
    assert input_errors(addresses, me="m2") == []


def test_example_url_has_ipv6_brackets() -> None:
    [line] = input_errors(addresses={"m1": "2001:db8::1"}, apiserver="")
    assert line.endswith("such as https://[2001:db8::1]:6443")


def test_shared_pair_can_be_absent() -> None:
    pair: dict[str, Any] = {"cert_source": "/c.pem", "key_source": "/k.pem"}
    assert input_errors(pki="shared", **pair, absent=("/c.pem", "/k.pem", "")) == []
    # A provided key pair can also be another file of the role. An unused key pair can be any file.
    assert input_errors(pki="provided", **pair, metrics_cert="/c.pem", metrics_key="/k.pem") == []
    assert input_errors(cert_source="/c.pem", key_source="/c.pem") == []
    [line] = input_errors(pki="shared")
    assert "shared requires kube_scheduler_cert_source and kube_scheduler_key_source" in line


def test_absent_files_share_one_error() -> None:
    assert input_errors(absent=("/ca.pem",)) == [
        "kube_scheduler_ca_cert: /ca.pem, kube_scheduler_apiserver_ca: /ca.pem is not a file on the controller; create it, or correct the path"
    ]
    pair: dict[str, Any] = {"pki": "provided", "cert_source": "/c.pem", "key_source": "/k.pem"}
    assert input_errors(**pair) == []
    assert (
        "kube_scheduler_key_source: /k.pem is not a file"
        in input_errors(**pair, absent=("/k.pem",))[0]
    )
    reader: dict[str, Any] = {"metrics_cert": "/m.pem", "metrics_key": "/mk.pem"}
    assert (
        "kube_scheduler_metrics_key: /mk.pem is not a file"
        in input_errors(**reader, absent=("/mk.pem",))[0]
    )
    following: dict[str, Any] = {"new_ca_cert": "/absent.pem", "new_ca_key": "/absent-key.pem"}
    [line] = input_errors(**following, absent=("/absent.pem", "/absent-key.pem"))
    assert line.startswith(
        "kube_scheduler_new_ca_cert: /absent.pem, kube_scheduler_new_ca_key: /absent-key.pem is not a file on the controller"
    )


def test_unreadable_provided_certificate_has_no_subject_error() -> None:
    certificate, key, ca = (
        ProvidedFile(name, f"/{name}", b"x") for name in ("cert_source", "key_source", "ca_cert")
    )
    found = variable_rules.validate_provided_pair(
        certificate, key, ca, ["127.0.0.1"], datetime.datetime.now(datetime.timezone.utc)
    )
    assert any(
        line.startswith("cert_source: '/cert_source' contains no certificate in PEM format")
        for line in found
    )
    assert not any("CN" in line for line in found)


@pytest.mark.parametrize("name", ["../m1", ".m1", "a/b", "-m1", ""])
def test_inventory_name_that_is_no_file_name_is_rejected(name: str) -> None:
    given: dict[str, Any] = {"addresses": {name: "192.0.2.1"}, "me": name, "csr_dir": "/csr"}
    [line] = input_errors(**given, pki="external")
    assert line.startswith(
        f"kube_scheduler_csr_dir: inventory name {name!r} cannot be part of a file name"
    )
    assert input_errors(**given) == []
    assert (
        input_errors(
            **{**given, "me": "m1.example", "addresses": {"m1.example": "192.0.2.1"}},
            pki="external",
        )
        == []
    )


@pytest.mark.parametrize(
    "name",
    ["", "Batch", "batch_2", "a.b", "-a", "a-", "../etc", "a b", "x" * 64, "kube-scheduler\n", "ä"],
)
def test_invalid_instance_name_is_rejected(name: str) -> None:
    [line] = input_errors(name=name)
    assert line.startswith(
        f"kube_scheduler_name: {name!r} is not a valid instance name; use 1 to 63 lowercase letters"
    )
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("name", ["batch", "kube-scheduler-2", "2", "x" * 63])
def test_valid_instance_name_is_accepted(name: str) -> None:
    assert input_errors(name=name) == []


def test_instance_path_in_reserved_directory_is_rejected() -> None:
    [line] = input_errors(name="batch", cert_path="/etc/kubernetes/batch.yaml")
    assert line.startswith(
        "kube_scheduler_cert_path: /etc/kubernetes/batch.yaml is also the configuration next to"
    )
    [line] = input_errors(name="batch", log_dir="/var/lib/kube-ha/batch")
    assert "is in /var/lib/kube-ha/batch, which is reserved for the role" in line


@pytest.mark.parametrize(
    ("flag", "value", "kind", "place"),
    [
        ("token", "marker", "token", "a field of kube_scheduler_config"),
        ("password", "marker", "password", "a field of kube_scheduler_config"),
        (
            "client-key-data",
            "marker",
            "private key",
            "kube_scheduler_key_source, or extenders[].tlsConfig.keyData of kube_scheduler_config,",
        ),
        ("master", "https://user:marker@host", "secret", "a field of kube_scheduler_config"),
    ],
)
def test_secret_in_a_flag_is_rejected(flag: str, value: str, kind: str, place: str) -> None:
    assert input_errors(extra_args={flag: value}) == [
        (
            f"kube_scheduler_extra_args: {flag}: contains a {kind}, and any user of a host can read"
            f" its command lines; use {place} instead"
        )
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"config": {"leaderElection": [{"token": "marker"}]}},
        {"config": {"x": {"token": datetime.date(2026, 1, 1)}}},
        {"config": {"x": {"token": b"marker"}}},
        {"binary_url": "https://user:marker@mirror"},
        {"binary_url": "http://marker@mirror"},
        {"apiserver": "https://user:marker@host"},
    ],
)
def test_error_shows_no_secret(given: dict[str, Any]) -> None:
    errors = input_errors(**given)
    assert errors
    assert "marker" not in str(errors)
    assert "2026" not in str(errors)


def test_placeholder_of_a_secret_is_rejected() -> None:
    config = {"extenders": [{"tlsConfig": {"keyData": "(withheld)"}}]}
    assert input_errors(config=config) == [
        (
            "kube_scheduler_config: extenders[0]: tlsConfig: keyData: (withheld) is the placeholder"
            " of a secret; set the secret"
        )
    ]

"""What the pre-flight refuses, as functions: by the variables alone, and by what a host says of itself."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    variable_rules,
    variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.host_rules import (
    validate_host,
    validate_instances,
    warn_about_apiservers,
    warn_about_host,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.provided import ProvidedFile
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils._role_spec import VARIABLES_SPEC

from tests.support.role import ROLE, defaults, role_vars

PREFIX = "kube_scheduler_"
VERSIONS = role_vars()["__kube_scheduler_versions"]
PRESETS = role_vars()["__kube_scheduler_lease_presets"]
SHA256, SHA512 = f"sha256:{'a' * 64}", f"sha512:{'B' * 128}"
HTTP = "http://mirror.example/k8s"
ADDRESSES = {"m1": "192.0.2.1", "m2": "192.0.2.2", "m3": "192.0.2.3"}


def settings(**given: Any) -> Variables:
    """The role's defaults, and what a first run needs; every path on the controller is a file."""
    known = defaults(**{key: value for key, value in given.items() if key == "name"})
    raw = {name.removeprefix(PREFIX): value for name, value in known.items()}
    raw |= {
        "group": "kube_masters",
        "apiserver": "https://192.0.2.1:6443",
        "apiserver_ca": "/ca.pem",
        "ca_cert": "/ca.pem",
        "version": "1.37.2",
    }
    found, faults = variables.parse_variables(raw | given, VARIABLES_SPEC, PREFIX)
    assert found is not None, faults
    return found


def refused(
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


def test_the_defaults_are_fine() -> None:
    assert refused() == []
    assert refused(addresses={"m1": "2001:db8::1", "m2": "192.0.2.2"}) == []
    assert (
        refused(
            lease_preset="fast",
            bind_address="::",
            subject={"CN": ["system:kube-scheduler"], "O": ["us", "them"]},
        )
        == []
    )
    assert refused(ca_config="/ca-config.json", ca_profile="kubernetes") == []
    plain = {
        "parallelism": 15,
        "enableProfiling": False,
        "profiles": [{"percentageOfNodesToScore": None}],
    }
    assert refused(config=plain) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
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
            "kube_scheduler_key_path: /etc/kubernetes/kube-scheduler.yaml is also the configuration beside kube_scheduler_kubeconfig_path; set separate paths",
        ),
        (
            {"kubeconfig_path": "/etc/kubernetes/kube-scheduler.yaml"},
            "kube_scheduler_kubeconfig_path: /etc/kubernetes/kube-scheduler.yaml is also the configuration beside",
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
            "kube_scheduler_metrics_cert: requires kube_scheduler_metrics_key, and the reverse",
        ),
        (
            {"new_ca_cert": "/n.pem"},
            "kube_scheduler_new_ca_cert: requires kube_scheduler_new_ca_key, and the reverse",
        ),
        (
            {"new_ca_key": "/n.pem"},
            "kube_scheduler_new_ca_cert: requires kube_scheduler_new_ca_key, and the reverse",
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
            "kube_scheduler_binary_checksum: has no checksum for 1.37.2; add one, or unset the variable to use the .sha512 file beside",
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
            "kube_scheduler_binary_url: https://dl.k8s.io is not an absolute path; with kube_scheduler_binary_source",
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
def test_variables(given: dict[str, Any], sentence: str) -> None:
    found = refused(**given)
    assert any(sentence in line for line in found), found
    assert all("\n" not in line or "\n" in given.get("user", "") for line in found)


@pytest.mark.parametrize(
    "given",
    [
        {"binary_url": HTTP, "binary_checksum": SHA512},
        {"binary_url": HTTP, "binary_checksum": SHA256},
        {"binary_url": HTTP, "binary_checksum": {"1.37.2": SHA512, "v1.36.1": SHA256}},
        {"binary_url": HTTP, "binary_checksum": {"v1.37.2": SHA512}, "version": "v1.37.2"},
        {"binary_url": HTTP, "binary_checksum": {"1.36.1": SHA512}, "binary_source": "present"},
        {"binary_url": HTTP, "version": ""},  # until it is known which one is kept
        {"binary_url": "/srv/k8s", "binary_source": "controller"},
        {"binary_checksum": {}},
    ],
)
def test_checksums_and_sources_that_are_fine(given: dict[str, Any]) -> None:
    assert refused(**given) == []


def test_the_checksum_of_a_version() -> None:
    known = {"1.37.2": SHA512, "v1.36.1": SHA256}
    assert settings(binary_checksum=known).checksum_of("1.37.2") == SHA512.lower()
    assert settings(binary_checksum=known).checksum_of("1.36.1") == SHA256
    assert settings(binary_checksum=known).checksum_of("1.35.4") == ""
    assert settings(binary_checksum=SHA256).checksum_of("1.35.4") == SHA256
    assert settings().checksum_of("1.35.4") == ""


def test_a_version_that_is_kept_has_its_checksum_too() -> None:
    assert (
        host_refused("1.36.1", given={"binary_url": HTTP, "version": "", "binary_checksum": SHA256})
        == []
    )
    [line] = host_refused(
        "1.36.1", given={"binary_url": HTTP, "version": "", "binary_checksum": {"1.37.2": SHA256}}
    )
    assert line.startswith("kube_scheduler_binary_checksum: has no checksum for 1.36.1; add one")


@pytest.mark.parametrize(
    ("checksum", "files", "found"),
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
                "missing": "kube_scheduler_binary_url: /b does not exist on the controller; download it from the"
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
def test_a_binary_of_the_controller(
    checksum: str, files: dict[str, str], found: dict[str, str]
) -> None:
    binary = {"source": "/b", "checksum": checksum or "sha512:/b.sha512"}
    told = variable_rules.inspect_controller_binary(
        binary, is_file=lambda p: p in files, read=files.__getitem__, prefix=PREFIX
    )
    assert told.keys() == found.keys()
    assert all(told[key].startswith(text) for key, text in found.items()), told


@pytest.mark.parametrize(
    ("addresses", "sentence"),
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
            "kube_scheduler_address: not an IP address of a host: m1 has 10.0.0.256, m3 has m3.example; set kube_scheduler_address for it",
        ),
        (
            {"m1": "0.0.0.0", "m2": "224.0.0.1", "m3": "192.0.2.3/24"},
            "kube_scheduler_address: not an IP address of a host: m1 has 0.0.0.0, m2 has 224.0.0.1, m3 has 192.0.2.3/24; set",
        ),
        (
            {"m1": "2001:db8::1", "m2": "2001:DB8:0::1"},
            "kube_scheduler_address: m1 and m2 have the same address 2001:db8::1; set a unique address for each host",
        ),
    ],
)
def test_cluster(addresses: dict[str, str], sentence: str) -> None:
    assert any(sentence in line for line in refused(addresses))


def test_one_host_speaks_for_the_cluster() -> None:
    addresses = {"m1": "nowhere", "m2": "192.0.2.2"}
    assert refused(addresses, me="m1")
    assert refused(addresses, me="m2") == []


def test_an_example_of_a_url_for_an_address_of_ipv6() -> None:
    [line] = refused(addresses={"m1": "2001:db8::1"}, apiserver="")
    assert line.endswith("such as https://[2001:db8::1]:6443")


def test_a_pair_that_is_to_be_made_need_not_be_there() -> None:
    pair: dict[str, Any] = {"cert_source": "/c.pem", "key_source": "/k.pem"}
    assert refused(pki="shared", **pair, absent=("/c.pem", "/k.pem", "")) == []
    # A pair that is provided may be used for more, and one that is not used at all may be anything.
    assert refused(pki="provided", **pair, metrics_cert="/c.pem", metrics_key="/k.pem") == []
    assert refused(cert_source="/c.pem", key_source="/c.pem") == []
    [line] = refused(pki="shared")
    assert "shared requires kube_scheduler_cert_source and kube_scheduler_key_source" in line


def test_files_that_are_not_there() -> None:
    assert refused(absent=("/ca.pem",)) == [
        "kube_scheduler_ca_cert: /ca.pem, kube_scheduler_apiserver_ca: /ca.pem is not a file on the controller; create it, or correct the path"
    ]
    pair: dict[str, Any] = {"pki": "provided", "cert_source": "/c.pem", "key_source": "/k.pem"}
    assert refused(**pair) == []
    assert (
        "kube_scheduler_key_source: /k.pem is not a file" in refused(**pair, absent=("/k.pem",))[0]
    )
    reader: dict[str, Any] = {"metrics_cert": "/m.pem", "metrics_key": "/mk.pem"}
    assert (
        "kube_scheduler_metrics_key: /mk.pem is not a file"
        in refused(**reader, absent=("/mk.pem",))[0]
    )
    following: dict[str, Any] = {"new_ca_cert": "/absent.pem", "new_ca_key": "/absent-key.pem"}
    [line] = refused(**following, absent=("/absent.pem", "/absent-key.pem"))
    assert line.startswith(
        "kube_scheduler_new_ca_cert: /absent.pem, kube_scheduler_new_ca_key: /absent-key.pem is not a file on the controller"
    )


def test_a_provided_certificate_that_cannot_be_read_has_no_subject_to_refuse() -> None:
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
def test_a_name_of_the_inventory_that_is_no_file_s(name: str) -> None:
    given: dict[str, Any] = {"addresses": {name: "192.0.2.1"}, "me": name, "csr_dir": "/csr"}
    [line] = refused(**given, pki="external")
    assert line.startswith(
        f"kube_scheduler_csr_dir: inventory name {name!r} cannot be part of a file name"
    )
    assert refused(**given) == []
    assert (
        refused(
            **{**given, "me": "m1.example", "addresses": {"m1.example": "192.0.2.1"}},
            pki="external",
        )
        == []
    )


HOST: dict[str, Any] = {
    "hostname": "m1.example",
    "architecture": "amd64",
    "systemd_version": 252,
    "apiserver": {"reachable": True, "version": "v1.37.2", "error": None},
    "apiservers": [],
    "clock_offset": 0.0,
    "port": {"number": 10259, "held_by": "", "ours": False},
    "others": [],
    "instances": [],
    "installed": False,
    "unit": {
        "name": "kube-scheduler.service",
        "load_state": "not-found",
        "drop_ins": [],
        "static_pod": "",
    },
    "unsafe": [],
    "missing_libraries": [],
    "obstacles": [],
    "process": {"version": ""},
}


def host_refused(
    version: str = "1.37.2",
    twins: tuple[str, ...] = (),
    given: dict[str, Any] | None = None,
    **facts: Any,
) -> list[str]:
    return validate_host(
        settings(**(given or {})), "m1", version, {**HOST, **facts}, twins=twins, prefix=PREFIX
    )


def test_a_host_that_is_fine() -> None:
    assert host_refused() == []
    assert host_refused(apiserver=None) == []
    assert host_refused(apiserver={"reachable": True, "version": None, "error": None}) == []
    assert host_refused(missing_libraries=["yaml"]) == []
    # A checksum is judged with the variables, where these name the version.
    assert host_refused(given={"binary_checksum": {"1.36.1": SHA512}}) == []
    assert (
        host_refused(port={"number": 10259, "held_by": "kube-scheduler (pid 1)", "ours": True})
        == []
    )


def test_an_older_version_than_the_running_one() -> None:
    newer: dict[str, Any] = {"process": {"version": "1.37.10"}}
    line = (
        "kube_scheduler_version: 1.37.2 is older than 1.37.10, which runs on m1; roll back with rollback.yml, or set kube_scheduler_allow_downgrade"
        " to true"
    )
    assert host_refused(**newer) == [line]
    assert host_refused(given={"allow_downgrade": True}, **newer) == []
    assert host_refused(process={"version": "1.36.9"}) == []


def test_the_skew_to_the_apiserver() -> None:
    """A version is not put there that the policy forbids; one that runs there already may stay, and be made healthy."""
    theirs: dict[str, Any] = {"apiserver": {"reachable": True, "version": "v1.37.2", "error": None}}
    line = (
        "kube_scheduler_version: 1.35.4 is more than one minor version older than the apiserver of m1, v1.37.2; set a version of 1.37, or of the minor version"
        " before it"
    )
    assert host_refused("1.35.4", **theirs) == [line]
    assert host_refused("1.35.4", process={"version": "1.34.0"}, **theirs) == [line]
    assert host_refused("1.35.4", process={"version": "1.35.4"}, **theirs) == []
    assert host_refused("1.36.1", **theirs) == []


def test_the_skew_to_each_apiserver_behind_a_load_balancer() -> None:
    """One that does not answer is no reason to refuse."""
    away = {
        "server": "https://192.0.2.9:6443",
        "reachable": False,
        "version": None,
        "error": "connection refused",
    }
    old, new = (
        {
            "server": f"https://192.0.2.{n}:6443",
            "reachable": True,
            "version": version,
            "error": None,
        }
        for n, version in ((7, "v1.36.9"), (8, "v1.38.0"))
    )
    assert host_refused(apiservers=[away, new]) == []
    assert host_refused(apiservers=[new, old]) == [
        "kube_scheduler_version: 1.37.2 is newer than the apiserver https://192.0.2.7:6443, v1.36.9; upgrade the apiserver first"
    ]
    [line] = host_refused("1.36.1", apiservers=[new])
    assert line == (
        "kube_scheduler_version: 1.36.1 is more than one minor version older than the apiserver https://192.0.2.8:6443, v1.38.0; set a version of 1.38, or of"
        " the minor version before it"
    )


def warned(
    url: str = "https://lb.example:6443", runs: str = "", me: str = "m1", **given: Any
) -> list[str]:
    asked = {"server": url, "reachable": True, "version": "v1.37.2", "error": None}
    own = {**HOST, "apiserver": asked, "process": {"version": runs}, **given.pop("facts", {})}
    answers = {
        "m1": own,
        "m2": {"apiserver": {**asked, "server": given.pop("other", url)}},
        "m3": own,
    }
    if me == "alone":
        answers, me = {"m1": own}, "m1"
    v = settings(apiserver=url, **given)
    return warn_about_apiservers(
        v, me, "1.37.2", answers, addresses=ADDRESSES.values(), prefix=PREFIX
    )


def test_one_apiserver_of_several_behind_one_url() -> None:
    """Where the version changes, and where it is one URL for all that is none of a master's own."""
    [line] = warned()
    assert line == (
        "kube_scheduler_apiserver: all members use https://lb.example:6443, and only one apiserver behind it was queried; list each apiserver in"
        " kube_scheduler_apiservers to compare 1.37.2 with all of them"
    )
    assert warned("https://192.0.2.9:6443", runs="1.36.1")
    known: tuple[dict[str, Any], ...] = (
        {"runs": "1.37.2"},
        {"me": "m3"},
        {"me": "alone"},
        {"other": "https://m2.example:6443"},
        {"apiservers": ["https://192.0.2.1:6443"]},
        *(
            {"url": url}
            for url in (
                "https://192.0.2.2:6443",
                "https://127.0.0.1:6443",
                "https://[::1]:6443",
                "https://localhost",
            )
        ),
    )
    for quiet in known:
        assert warned(**quiet) == [], quiet


def test_an_apiserver_that_does_not_tell_its_version() -> None:
    away = {
        "server": "https://192.0.2.9:6443",
        "reachable": False,
        "version": None,
        "error": "https://192.0.2.9: timed out",
    }
    given: dict[str, Any] = {
        "facts": {"apiservers": [away]},
        "apiservers": ["https://192.0.2.9:6443"],
        "me": "m3",
    }
    assert warned(**given) == [
        "kube_scheduler_apiservers: one is not reachable from m3, so that its version cannot be compared with 1.37.2: https://192.0.2.9: timed out"
    ]
    assert warned(**given, runs="1.37.2") == []
    there = {**away, "reachable": True, "version": "v1.37.2", "error": None}
    assert warned(**{**given, "facts": {"apiservers": [there]}}) == []


def test_an_apiserver_with_a_certificate_for_another_name() -> None:
    error = f"https://192.0.2.1:6443: {transport.ERROR_MESSAGES['tls_name']} (IP address mismatch)"
    facts: dict[str, Any] = {"apiserver": {"reachable": False, "version": None, "error": error}}
    for given, asked in (({}, "192.0.2.1"), ({"tls_server_name": "lb.example"}, "lb.example")):
        [line] = host_refused(given=given, **facts)
        assert line == (
            f"kube_scheduler_apiserver: the certificate of https://192.0.2.1:6443 is not valid for {asked}, which m1 verifies; reissue it for that name,"
            " or set kube_scheduler_tls_server_name to a name in the certificate"
        )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            {"architecture": "riscv64"},
            "m1: kube-scheduler is not released for architecture riscv64",
        ),
        ({"systemd_version": 0}, "m1: systemd does not run, but must run the scheduler"),
        (
            {
                "apiserver": {
                    "reachable": False,
                    "version": None,
                    "error": "https://127.0.0.1:1: connection refused",
                }
            },
            "kube_scheduler_apiserver: not reachable from m1: https://127.0.0.1:1: connection refused",
        ),
        (
            {"apiserver": {"reachable": True, "version": "v1.36.9", "error": None}},
            "kube_scheduler_version: 1.37.2 is newer than the apiserver of m1, v1.36.9; upgrade the apiserver first",
        ),
        (
            {"clock_offset": -301.0},
            "m1: its clock differs from the controller's by -301.0 s, so that certificates would be invalid there",
        ),
        (
            {"port": {"number": 10259, "held_by": "python3 (pid 7, x.service)", "ours": False}},
            "kube_scheduler_secure_port: 10259 on m1 is in use by python3 (pid 7, x.service)",
        ),
        (
            {"others": ["static pod /x.yaml"]},
            "m1: found another kube-scheduler: static pod /x.yaml; stop and disable it first",
        ),
        (
            {
                "unit": {
                    "name": "x.service",
                    "load_state": "loaded",
                    "drop_ins": ["/etc/systemd/system/x.service.d/o.conf"],
                    "static_pod": "",
                }
            },
            "m1: /etc/systemd/system/x.service.d/o.conf changes the unit; remove it, and use kube_scheduler_extra_args or",
        ),
        (
            {
                "unit": {
                    "name": "kube-scheduler.service",
                    "load_state": "masked",
                    "drop_ins": [],
                    "static_pod": "",
                }
            },
            "m1: kube-scheduler.service is masked; run systemctl unmask",
        ),
        (
            {"obstacles": ["/etc/kubernetes/kube-scheduler.yaml"]},
            "m1: /etc/kubernetes/kube-scheduler.yaml is a directory, but the role writes a file there; move the directory away",
        ),
        (
            {"unsafe": ["'/etc/kubernetes' belongs to k8s"]},
            "m1: '/etc/kubernetes' belongs to k8s, so that a user with write access could make root read or write any file; run chown root",
        ),
    ],
)
def test_host(facts: dict[str, Any], sentence: str) -> None:
    [line] = host_refused(**facts)
    assert sentence in line


@pytest.mark.parametrize(
    "name",
    ["", "Batch", "batch_2", "a.b", "-a", "a-", "../etc", "a b", "x" * 64, "kube-scheduler\n", "ä"],
)
def test_a_name_that_no_instance_can_have(name: str) -> None:
    [line] = refused(name=name)
    assert line.startswith(
        f"kube_scheduler_name: {name!r} is not a valid instance name; use 1 to 63 lowercase letters"
    )
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("name", ["batch", "kube-scheduler-2", "2", "x" * 63])
def test_a_name_that_is_fine(name: str) -> None:
    assert refused(name=name) == []


def test_paths_of_an_instance() -> None:
    [line] = refused(name="batch", cert_path="/etc/kubernetes/batch.yaml")
    assert line.startswith(
        "kube_scheduler_cert_path: /etc/kubernetes/batch.yaml is also the configuration beside"
    )
    [line] = refused(name="batch", log_dir="/var/lib/kube-ha/batch")
    assert "is in /var/lib/kube-ha/batch, which is reserved for the role" in line


def test_a_unit_of_somebody_else_is_not_taken_over_by_an_instance() -> None:
    unit = {"name": "kubelet.service", "load_state": "loaded", "drop_ins": [], "static_pod": ""}
    [line] = host_refused(given={"name": "kubelet"}, unit=unit)
    assert line.startswith(
        "kube_scheduler_name: m1 has a kubelet.service that this role did not create; set another name"
    )
    assert host_refused(given={"name": "kubelet"}, unit=unit, installed=True) == []
    assert host_refused(unit={**unit, "name": "kube-scheduler.service"}) == []


BATCH: dict[str, Any] = {
    "unit": "batch.service",
    "ports": [10260],
    "lease": "kube-system/batch",
    "schedulers": ["batch"],
    "paths": ["/etc/kubernetes/batch.kubeconfig"],
}
OWN: dict[str, Any] = {
    "unit": "kube-scheduler.service",
    "ports": [10259, 10251],
    "lease": "kube-system/kube-scheduler",
    "schedulers": ["default-scheduler"],
    "paths": ["/etc/kubernetes/kube-scheduler.kubeconfig", "/opt/k8s/bin/kube-scheduler"],
}


@pytest.mark.parametrize(
    ("theirs", "sentence"),
    [
        (
            {"ports": [10259]},
            "kube_scheduler_secure_port: 10259 is also used by batch.service on m1; set a different port for each instance",
        ),
        (
            {"ports": [10251]},
            "kube_scheduler_config: healthzBindAddress: 10251 is also used by batch.service on m1; set a different port for each instance",
        ),
        (
            {"lease": "kube-system/kube-scheduler"},
            "kube_scheduler_config: leaderElection: the lock kube-system/kube-scheduler is also used by batch.service on m1, so that only one of them",
        ),
        (
            {"schedulers": ["batch", "default-scheduler"]},
            "kube_scheduler_config: the schedulerName default-scheduler is also used by batch.service on m1, so that both would place the same pods;",
        ),
        (
            {"paths": ["/etc/kubernetes/kube-scheduler.kubeconfig"]},
            (
                "kube_scheduler_kubeconfig_path: /etc/kubernetes/kube-scheduler.kubeconfig is also used by "
                "batch.service on m1; set a different path for each instance"
            ),
        ),
        (
            {"paths": ["/opt/k8s/bin/kube-scheduler"]},
            "kube_scheduler_bin_dir: /opt/k8s/bin/kube-scheduler is also used by batch.service on m1; set a different path for each instance",
        ),
    ],
)
def test_what_two_instances_may_not_share(theirs: dict[str, Any], sentence: str) -> None:
    def told(other: dict[str, Any]) -> list[str]:
        return validate_instances(settings(), "m1", OWN, [other], PREFIX)  # type: ignore[arg-type,list-item]

    assert told(BATCH) == []
    [line] = told({**BATCH, **theirs})
    assert line.startswith(sentence)


def test_a_port_of_another_instance_is_told_once() -> None:
    port = {"number": 10260, "held_by": "batch (pid 7, batch.service)", "ours": False}
    assert host_refused(port=port, instances=[BATCH]) == []
    assert len(host_refused(port=port)) == 1


def test_host_without_a_version_a_twin_or_libraries() -> None:
    assert (
        "kube_scheduler_version: not set, and no scheduler runs on m1"
        in host_refused(version="")[0]
    )
    assert (
        "m1 and m2 have the same hostname m1.example, so that the lease cannot distinguish them"
        in host_refused(twins=("m2",))[0]
    )
    [line] = host_refused(
        given={"manage_packages": "false"}, missing_libraries=["cryptography", "yaml"]
    )
    assert line.startswith(
        "m1: the Python libraries cryptography and yaml are missing, and kube_scheduler_manage_packages is false"
    )


def test_a_clock_that_differs_a_little_is_a_warning() -> None:
    assert warn_about_host("m1", {**HOST, "clock_offset": 31.0}) == [
        "m1: its clock differs from the controller's by 31.0 s"
    ]
    assert warn_about_host("m1", {**HOST, "clock_offset": 29.0}) == []


def test_variables_have_the_types_of_the_argument_spec() -> None:
    """Each option of the spec is a field, with the Python type of its values."""
    python_types = {
        "str": "str",
        "bool": "bool",
        "int": "int",
        "list": "list[str]",
        "dict": "dict[str, t.Any]",
        "raw": "t.Any",
    }
    assert {name: field.type for name, field in Variables.__dataclass_fields__.items()} == {
        name: python_types[option["type"]] for name, option in VARIABLES_SPEC.items()
    }
    assert all(
        option.get("elements") == "str"
        for option in VARIABLES_SPEC.values()
        if option["type"] == "list"
    )


def test_argument_spec_is_read_without_defaults() -> None:
    path = ROLE / "meta/argument_specs.yml"
    options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    assert {PREFIX + name: option for name, option in VARIABLES_SPEC.items()} == {
        name: {key: option[key] for key in ("type", "choices", "elements") if key in option}
        for name, option in options.items()
    }


def test_strings_mean_what_they_say() -> None:
    v = settings(rollout="false", manage_packages="no", secure_port="10999")
    assert (v.rollout, v.manage_packages, v.secure_port) == (False, False, 10999)
    v = settings(extra_sans="m1.example,192.0.2.9", subject="CN=system:kube-scheduler,O=them")
    assert v.extra_sans == ["m1.example", "192.0.2.9"]
    assert v.subject == {"CN": "system:kube-scheduler", "O": "them"}


def test_what_has_the_wrong_type_is_named_with_its_prefix() -> None:
    raw = {name: getattr(settings(), name) for name in VARIABLES_SPEC}
    found, faults = variables.parse_variables(
        {**raw, "pki": "own", "secure_port": "x"}, VARIABLES_SPEC, PREFIX
    )
    assert found is None
    assert any(
        "kube_scheduler_pki" in line and "node, shared, provided" in line for line in faults
    ), faults
    assert any("kube_scheduler_secure_port" in line for line in faults), faults


def test_names_that_are_near_to_a_variable() -> None:
    [line] = variables.warn_about_unknown_variables(
        ["versoin", "version", "hosts", "of_another_collection"], VARIABLES_SPEC, PREFIX
    )
    assert (
        line
        == "kube_scheduler_versoin: the role has no such variable; did you mean kube_scheduler_version?"
    )


def test_times_of_the_election() -> None:
    assert variables.resolve_election(settings(), PRESETS).timings() == variables.ElectionTimings(
        15, 10, 2
    )
    mixed = settings(
        lease_preset="fast", lease_duration="6s", config={"leaderElection": {"renewDeadline": "4s"}}
    )
    assert variables.resolve_election(mixed, PRESETS).timings() == variables.ElectionTimings(
        6, 4, 1
    )
    timings = variables.ElectionTimings(15, 10, 2)
    assert (
        round(timings.crash_bound, 1),
        round(timings.stop_bound, 1),
        timings.renewal_timeout,
    ) == (
        23.8,
        4.4,
        6,
    )
    assert replace(timings, retry_period=10).renewal_timeout == 30

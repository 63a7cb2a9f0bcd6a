# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import errno
import json
import os
import re
import stat
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeconfigError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    kubeconfig,
    kubeconfig_module,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    kubeconfig_lock as _lock,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import library
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import serialize_key
from ansible_collections.kube_ha.scheduler.plugins.modules import kubeconfig as module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_module import FakeModule, filled, killed_at, one_line
from tests.support.kubectl import KUBECTLS, kubectl, minor
from tests.support.pki import NOW, Ca, certificate, spare

CLIENT: dict[str, Any] = {
    "extended_key_usage": ["clientAuth"],
    "valid_for": "240h",
    "renew_before": "1m",
    "subject": {"CN": "system:kube-scheduler"},
}


class Host:
    """Provide a directory with a CA, the key pair of a client and a kubeconfig."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cert").mkdir()
        self.path = folder / "kubeconfig"
        self.ca = Ca(folder / "cert", spare("ECC"))
        self.warnings: list[str] = []
        self.pair("client")

    def pair(
        self,
        name: str,
        key: Any = None,
        *,
        of: Any = None,
        after: timedelta = timedelta(),
        **given: Any,
    ) -> None:
        key = key or spare("ECC", curve="secp384r1")
        leaf = certificate(
            key,
            self.ca.authority,
            NOW + after,
            public=(of or key).public_key(),
            **{**CLIENT, **given},
        )
        (self.folder / "cert" / f"{name}.pem").write_bytes(serialize_certificate(leaf))
        (self.folder / "cert" / f"{name}-key.pem").write_bytes(serialize_key(key, "pkcs8", None))

    def file(self, name: str) -> str:
        return str(self.folder / "cert" / name)

    def cluster(self, **given: Any) -> dict[str, Any]:
        return {
            "name": "kubernetes",
            "server": "https://192.0.2.1:6443",
            "certificate_authority": str(self.ca.path),
            **given,
        }

    def user(self, name: str = "client", **given: Any) -> dict[str, Any]:
        return {
            "name": "u",
            "client_certificate": self.file(f"{name}.pem"),
            "client_key": self.file(f"{name}-key.pem"),
            **given,
        }

    def task(self, **given: Any) -> dict[str, Any]:
        """Return a task with the same effect as the four commands of the walk-through."""
        return {
            "clusters": [self.cluster(embed_certs=True)],
            "users": [self.user(embed_certs=True)],
            "contexts": [{"name": "x", "cluster": "kubernetes", "user": "u"}],
            "current_context": "x",
            **given,
        }

    def run(self, *, check: bool = False, **given: Any) -> Any:
        fake = FakeModule(
            check, **filled(module.KUBECONFIG_ARGUMENTS, {"path": str(self.path), **given})
        )
        self.warnings = fake.warnings
        result = kubeconfig_module.converge_kubeconfig(fake)
        self.is_clean(json.dumps(result) + "".join(fake.warnings))
        return result

    def error(self, **given: Any) -> str:
        before = self.path.read_bytes() if self.path.is_file() else None
        texts = set()
        for check in (True, False):
            with pytest.raises((KubeconfigError, FilesError)) as caught:
                self.run(check=check, **given)
            texts.add(one_line(caught.value))
        assert (self.path.read_bytes() if self.path.is_file() else None) == before
        assert len(texts) == 1
        self.is_clean(text := texts.pop())
        return text

    def is_clean(self, text: str) -> None:
        """Check that a text contains no key and no token, in any encoding."""
        for path in (self.folder / "cert").glob("*-key.pem"):
            pem = path.read_bytes()
            assert not [line for line in pem.decode().splitlines()[1:-1] if line in text]
            for shift in range(3):
                window = base64.b64encode(pem[shift:])[40:80].decode()
                assert len(window) < 40 or window not in text
        assert "s3cret" not in text

    @property
    def config(self) -> Any:
        return yaml.safe_load(self.path.read_text())

    def mode(self) -> int:
        return stat.S_IMODE(self.path.stat().st_mode)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def data(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()


# --- the file


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: pem.rstrip() + pem,
        lambda pem: "# 中文\n".encode("gbk") + pem.replace(b"\n", b"\r\n"),
    ],
    ids=["byte order mark", "joined", "comment and CRLF"],
)
def test_odd_files_are_embedded_as_kubernetes_reads_them(host: Host, change: Any) -> None:
    for path in (host.ca.path, Path(host.file("client.pem"))):
        path.write_bytes(change(path.read_bytes()))
    host.run(**host.task())
    embedded = base64.b64decode(
        host.config["clusters"][0]["cluster"]["certificate-authority-data"]
    ).decode()
    assert embedded in (host.ca.pem, host.ca.pem * 2)


def test_walk_through_task_writes_the_file(host: Host) -> None:
    result = host.run(**host.task())
    assert result["changed"]
    assert host.mode() == 0o600
    assert host.names() == ["cert", "kubeconfig"]
    assert host.config == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "kubernetes",
                "cluster": {
                    "server": "https://192.0.2.1:6443",
                    "certificate-authority-data": data(str(host.ca.path)),
                },
            }
        ],
        "users": [
            {
                "name": "u",
                "user": {
                    "client-certificate-data": data(host.file("client.pem")),
                    "client-key-data": data(host.file("client-key.pem")),
                },
            }
        ],
        "contexts": [{"name": "x", "context": {"cluster": "kubernetes", "user": "u"}}],
        "current-context": "x",
    }
    facts = result["users"][0]["client_certificate_data"]
    assert facts["days_left"] in (9, 10)
    assert facts["subject"] == {"CN": "system:kube-scheduler"}
    assert re.fullmatch("([0-9A-F]{2}:){31}[0-9A-F]{2}", facts["fingerprint_sha256"])
    assert result["clusters"][0]["certificate_authority_data"][0]["subject"] == {"CN": "kubernetes"}
    assert result["current_context"] == "x"


LIFECYCLE: dict[str, Any] = {
    "make": lambda host: host.task(),
    "change": lambda host: host.task(
        clusters=[host.cluster(server="https://h:1", embed_certs=True)]
    ),
    "remove": lambda host: {"state": "absent"},
}


def written(path: Path) -> tuple[int, ...] | None:
    """Return the attributes that change with each write of a file, but not with a read."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_mode


def test_check_mode_predicts_and_second_run_changes_nothing(host: Host) -> None:
    for task in LIFECYCLE.values():
        before = host.path.read_bytes() if host.path.exists() else None
        options = task(host)
        predicted = host.run(check=True, **options)
        assert (host.path.read_bytes() if host.path.exists() else None) == before
        done = host.run(**options)
        assert {**done, "changed": True} == predicted
        assert done["changed"]
        status = written(host.path)
        for check in (True, False):
            again = host.run(check=check, **options)
            assert not again["changed"]
            assert again["diff"]["before"] == again["diff"]["after"]
        assert written(host.path) == status
    assert host.names() == ["cert"]


@pytest.mark.parametrize("path", KUBECTLS)
@pytest.mark.parametrize("embed", [True, False])
def test_file_equals_that_of_kubectl(host: Host, path: str, embed: bool) -> None:
    theirs = host.folder / "theirs"
    flag, far = f"--embed-certs={str(embed).lower()}", "/usr/bin/env"
    for arguments in (
        (
            "set-cluster",
            "kubernetes",
            f"--certificate-authority={host.ca.path}",
            flag,
            "--server=https://192.0.2.1:6443",
        ),
        (
            "set-cluster",
            "b",
            "--server=https://[2001:db8::1]:6443/k8s",
            "--tls-server-name=kubernetes.default",
        ),
        ("set-cluster", "b", "--proxy-url=http://proxy.example:3128"),
        ("set-cluster", "a", "--server=https://a.example", "--insecure-skip-tls-verify=true"),
        (
            *("set-credentials", "u", f"--client-certificate={host.file('client.pem')}"),
            *(f"--client-key={host.file('client-key.pem')}", flag),
        ),
        ("set-credentials", "1e3", "--token=s3cret"),
        (
            *(
                "set-credentials",
                "e",
                f"--exec-command={far}",
                "--exec-api-version=client.authentication.k8s.io/v1",
            ),
            *("--exec-arg=a", "--exec-arg=b c", "--exec-env=A=yes"),
            "--exec-interactive-mode=IfAvailable",
        ),
        ("set-context", "x", "--cluster=kubernetes", "--user=u"),
        ("set-context", "y: #", "--cluster=b", "--user=e", "--namespace=kube-system"),
        ("use-context", "x"),
    ):
        kubectl(path, theirs, *arguments)
    host.run(
        clusters=[
            host.cluster(embed_certs=embed),
            {
                "name": "b",
                "server": "https://[2001:db8::1]:6443/k8s",
                "tls_server_name": "kubernetes.default",
                "proxy_url": "http://proxy.example:3128",
            },
            {"name": "a", "server": "https://a.example", "insecure_skip_tls_verify": True},
        ],
        users=[
            host.user(embed_certs=embed),
            {"name": "1e3", "token": "s3cret"},
            {"name": "e", "exec": {"command": far, "args": ["a", "b c"], "env": {"A": "yes"}}},
        ],
        contexts=[
            {"name": "x", "cluster": "kubernetes", "user": "u"},
            {"name": "y: #", "cluster": "b", "user": "e", "namespace": "kube-system"},
        ],
        current_context="x",
    )
    expected = theirs.read_bytes()
    if minor(path) < 34:
        # Up to 1.33, kubectl wrote a field that no component uses. An existing field stays.
        assert b"preferences: {}\n" in expected
        expected = expected.replace(b"preferences: {}\n", b"")
    assert host.path.read_bytes() == expected


@pytest.mark.parametrize("path", KUBECTLS)
def test_changes_by_kubectl_stay(host: Host, path: str) -> None:
    host.run(**host.task())
    kubectl(
        path,
        host.path,
        "set-context",
        "theirs",
        "--cluster=kubernetes",
        "--user=u",
        "--namespace=default",
    )
    kubectl(path, host.path, "set-cluster", "kubernetes", "--tls-server-name=their.example")
    edited = host.path.read_bytes()
    assert not host.run(**host.task())["changed"]
    assert host.path.read_bytes() == edited
    assert host.run(**host.task(clusters=[host.cluster(server="https://h", embed_certs=True)]))[
        "changed"
    ]
    expected = edited.replace(b"https://192.0.2.1:6443", b"https://h")
    assert host.path.read_bytes() == expected
    assert kubectl(path, host.path, "get-contexts", "-oname").stdout == b"theirs\nx\n"


def test_layout_of_kubectl_1_10_is_unchanged(host: Host) -> None:
    """A file of kubectl 1.10 stays byte for byte the same.

    That version wrote two empty fields that later versions omit.
    """
    host.run(**host.task())
    older = host.path.read_text().replace("kind: Config\n", "kind: Config\npreferences: {}\n")
    older = older.replace("  user:\n    client-", "  user:\n    as-user-extra: {}\n    client-")
    assert older.count("{}") == 2
    host.path.write_text(older)
    assert host.run(**host.task())["changed"] is False
    assert host.path.read_text() == older


FOREIGN = """\
# a comment
apiVersion: v1
kind: Config
preferences: {colors: true}
extensions: [{name: e, extension: {since: 2001-01-01, n: 1e30}}]
unknown: {deep: [1, 1.5, null, true, "yes"]}
clusters:
- {name: z, cluster: {server: "https://z", future-field: {a: b}, extensions: [{name: e, extension: x}]}, note: n}
- {name: kubernetes, cluster: {server: "https://old", future-field: 7}}
users:
- {name: theirs, user: {username: a, password: s3cret, auth-provider: {name: p, config: {k: s3cret}}}}
contexts:
- {name: dangling, context: {cluster: gone, user: gone}}
current-context: dangling
"""


def test_undeclared_entries_and_fields_stay(host: Host) -> None:
    host.path.write_text(FOREIGN)
    before = kubeconfig.parse_kubeconfig(FOREIGN.encode(), "")
    host.run(clusters=[host.cluster()])
    after = kubeconfig.parse_kubeconfig(host.path.read_bytes(), "")
    assert after.pop("clusters") == [
        {
            "name": "kubernetes",
            "cluster": {
                "server": "https://192.0.2.1:6443",
                "future-field": 7,
                "certificate-authority": "cert/ca.pem",
            },
        },
        before.pop("clusters")[0],
    ]
    assert after == before


def test_correct_file_changes_only_its_mode(host: Host) -> None:
    host.run(**host.task())
    text = f"# a comment\n{json.dumps(host.config)}"
    host.path.write_text(text)
    host.path.chmod(0o644)
    assert host.run(check=True, **host.task())["changed"]
    assert host.mode() == 0o644
    assert host.run(**host.task())["changed"]
    assert (host.mode(), host.path.read_text()) == (0o600, text)
    assert not host.run(**host.task())["changed"]


@pytest.mark.parametrize(
    "spelling", ["cert/client.pem", "./cert/client.pem", "cert/../cert/client.pem", "{}"]
)
def test_other_spelling_of_a_path_is_unchanged(host: Host, spelling: str) -> None:
    host.run(users=[host.user()])
    host.path.write_text(
        host.path.read_text().replace("cert/client.pem", spelling.format(host.file("client.pem")))
    )
    assert not host.run(users=[host.user()])["changed"]


def test_path_outside_of_the_directory_is_absolute(host: Host) -> None:
    (host.folder / "sub").mkdir()
    host.run(path=str(host.folder / "sub" / "c"), users=[host.user()])
    user = yaml.safe_load((host.folder / "sub" / "c").read_text())["users"][0]["user"]
    assert user == {
        "client-certificate": host.file("client.pem"),
        "client-key": host.file("client-key.pem"),
    }


def test_auth_method_replaces_the_others(host: Host) -> None:
    certificate_paths = {
        "client-certificate": "cert/client.pem",
        "client-key": "cert/client-key.pem",
    }
    Path(host.file("token")).write_text("s3cret")
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (
            host.user(embed_certs=True),
            dict.fromkeys(("client-certificate-data", "client-key-data"), ...),
        ),
        (host.user(), certificate_paths),
        ({"name": "u", "token": "s3cret"}, {"token": "s3cret"}),
        ({"name": "u", "token_file": host.file("token")}, {"tokenFile": "cert/token"}),
        ({"name": "u", "exec": {"command": "x"}}, {"exec": ...}),
        ({"name": "u"}, {"exec": ...}),
        (host.user(), certificate_paths),
    ]
    for options, expected in steps:
        host.run(users=[options])
        found = host.config["users"][0]["user"]
        assert {
            key: ... if expected.get(key) is ... else value for key, value in found.items()
        } == expected


def test_trust_by_path_by_data_or_insecure(host: Host) -> None:
    pem = host.ca.path.read_text()
    for options, expected in (
        ({"certificate_authority": str(host.ca.path)}, {"certificate-authority": "cert/ca.pem"}),
        ({"certificate_authority": None}, {"certificate-authority": "cert/ca.pem"}),
        (
            {"certificate_authority": None, "insecure_skip_tls_verify": True},
            {"insecure-skip-tls-verify": True},
        ),
        (
            {"certificate_authority": None, "certificate_authority_data": pem},
            {"certificate-authority-data": data(str(host.ca.path))},
        ),
        (
            {"certificate_authority": None, "insecure_skip_tls_verify": True},
            {"insecure-skip-tls-verify": True},
        ),
        ({"certificate_authority": None, "insecure_skip_tls_verify": False}, {}),
    ):
        host.run(clusters=[host.cluster(**options)])
        assert host.config["clusters"][0]["cluster"] == {
            "server": "https://192.0.2.1:6443",
            **expected,
        }


def test_empty_text_removes_a_field(host: Host) -> None:
    host.run(clusters=[host.cluster(tls_server_name="a.example", proxy_url="http://p:1")])
    host.run(clusters=[host.cluster(tls_server_name="", proxy_url="")])
    assert set(host.config["clusters"][0]["cluster"]) == {"server", "certificate-authority"}


def test_absent_entries_are_removed(host: Host) -> None:
    host.run(
        **host.task(
            contexts=[{"name": n, "cluster": "kubernetes", "user": "u"} for n in ("x", "y")]
        )
    )
    assert host.run(contexts=[{"name": "y", "state": "absent"}])["changed"]
    assert not host.run(contexts=[{"name": "y", "state": "absent"}])["changed"]
    assert "its cluster 'kubernetes' is not in clusters" in host.error(
        clusters=[{"name": "kubernetes", "state": "absent"}]
    )
    assert "context 'x' does not exist" in host.error(contexts=[{"name": "x", "state": "absent"}])
    gone: dict[str, Any] = {
        kind: [{"name": name, "state": "absent"}]
        for kind, name in (("clusters", "kubernetes"), ("users", "u"))
    }
    host.run(**gone, contexts=[{"name": "x", "state": "absent"}], current_context="")
    assert host.path.read_text() == (
        'apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: ""\nkind: Config\nusers: null\n'
    )


def test_pair_is_checked_at_its_source(host: Host) -> None:
    live = {"client_certificate": "/nowhere/client.pem", "client_key": "/nowhere/client-key.pem"}
    sources = {
        "client_certificate_source": host.file("client.pem"),
        "client_key_source": host.file("client-key.pem"),
    }
    host.run(users=[{"name": "u", **live, **sources}])
    assert host.config["users"][0]["user"] == {
        "client-certificate": "/nowhere/client.pem",
        "client-key": "/nowhere/client-key.pem",
    }
    host.pair("other", spare("ECC"))
    sources["client_key_source"] = host.file("other-key.pem")
    assert "do not match; set the key of this certificate" in host.error(
        users=[{"name": "u", **live, **sources}]
    )


# --- rejected tasks


@pytest.mark.parametrize(
    "server",
    [
        "",
        "h:6443",
        "http://h",
        "http://",
        "https://",
        "https://h:0",
        "https://h:70000",
        "https://h:-1",
        "https://h:",
        "https://u:s3cret@h",
        "https://h ",
        " https://h",
        "https://h\n",
        "https://h/a b",
        "https://h?a=b",
        "https://h#a",
        "https://bücher.de",
        "javascript:alert(1)",
        "unix:///run/x.sock",
        "https://[::1",
        "https://::1:6443",
        "https://$(id)",
        "https://{{ 7*7 }}",
        "https://[1.2.3.4]",
        "https://[fe80::1%eth0]",
        "https://256.1.1.1",
        "https://1.2.3",
        "https://h/?",
        "HTTPS://h",
        f"https://{'a' * 254}",
    ],
)
def test_invalid_server_is_rejected(host: Host, server: str) -> None:
    assert "clusters, 'kubernetes'" in host.error(clusters=[host.cluster(server=server)])


@pytest.mark.parametrize(
    "server",
    [
        "https://h",
        "https://[::1]:6443",
        "https://h:6443/a/b/",
        "https://xn--bcher-kva.de",
        "https://A.b",
    ],
)
def test_valid_server_is_accepted(host: Host, server: str) -> None:
    host.run(clusters=[host.cluster(server=server)])
    assert host.config["clusters"][0]["cluster"]["server"] == server


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "a\x00",
        "a\n",
        "a\r",
        "a\t",
        "a\u202eb",
        "\ud800",
        "a" * 1025,
        "\u2028",
        "\x7f",
        "\ufeff",
    ],
)
def test_invalid_name_is_rejected(host: Host, name: str) -> None:
    for kind in ("clusters", "users", "contexts"):
        assert "is not a valid name" in host.error(**{kind: [{"name": name}]})


NAMES = [
    "é",
    "a\u0301",
    "😀",
    "{{ 7*7 }}",
    "{% raw %}",
    "$(id)",
    "`id`",
    "; rm",
    "../x",
    "-rf",
    "--config=x",
    "a,b=c+d",
]


@pytest.mark.parametrize(
    "name",
    [
        *NAMES,
        "yes",
        "null",
        "0x10",
        "1e3",
        "*a",
        "&a",
        "!!python/object",
        "# x",
        "a: b",
        "a" * 1024,
    ],
)
def test_valid_name_is_written_unchanged(host: Host, name: str) -> None:
    host.run(users=[{"name": name, "token": name if name.isascii() and " " not in name else "t"}])
    assert kubeconfig.parse_kubeconfig(host.path.read_bytes(), "")["users"][0]["name"] == name
    assert not host.run(users=[{"name": name}])["changed"]


PAIR = {"client_certificate": "/c", "client_key": "/k"}


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ({"users": [{"name": "a"}, {"name": "a"}]}, "declared twice"),
        ({"clusters": [{"name": "a"}]}, "clusters, 'a' has no server"),
        ({"users": [{"name": "a"}]}, "users, 'a' has no credentials"),
        ({"contexts": [{"name": "a"}]}, "contexts, 'a' has no cluster"),
        ({"contexts": [{"name": "a", "cluster": "c"}]}, "contexts, 'a' has no user"),
        (
            {"contexts": [{"name": "a", "cluster": "c", "user": "u"}]},
            "its cluster 'c' is not in clusters",
        ),
        ({"current_context": "a"}, "context 'a' does not exist"),
        (
            {"current_context": "a", "contexts": [{"name": "a", "state": "absent"}]},
            "declared absent",
        ),
        ({"contexts": [{"name": "a", "namespace": "A"}]}, "DNS label"),
        ({"contexts": [{"name": "a", "namespace": "a" * 64}]}, "DNS label"),
        ({"contexts": [{"name": "a", "namespace": "a\n"}]}, "DNS label"),
        ({"clusters": [{"name": "a", "tls_server_name": "a b"}]}, "tls_server_name"),
        ({"clusters": [{"name": "a", "tls_server_name": "https://a"}]}, "tls_server_name"),
        ({"clusters": [{"name": "a", "proxy_url": "proxy:3128"}]}, "proxy_url"),
        ({"clusters": [{"name": "a", "proxy_url": "ftp://s3cret"}]}, "proxy_url"),
        (
            {
                "clusters": [
                    {"name": "a", "certificate_authority": "/a", "certificate_authority_data": "b"}
                ]
            },
            "are mutually exclusive",
        ),
        (
            {
                "clusters": [
                    {"name": "a", "certificate_authority": "/a", "insecure_skip_tls_verify": True}
                ]
            },
            "are mutually exclusive",
        ),
        (
            {"users": [{"name": "a", "token": "s3cret", "token_file": "/a"}]},
            "are mutually exclusive",
        ),
        ({"users": [{"name": "a", "token": "s3cret", **PAIR}]}, "are mutually exclusive"),
        ({"users": [{"name": "a", "exec": {"command": "x"}, **PAIR}]}, "are mutually exclusive"),
        ({"users": [{"name": "a", "client_key": "/k"}]}, "set both or neither"),
        ({"users": [{"name": "a", "client_certificate": "/c"}]}, "set both or neither"),
        (
            {"users": [{"name": "a", "client_key_source": "/c"}]},
            "requires client_certificate",
        ),
        ({"users": [{"name": "a", "client_ca": "/c"}]}, "requires client_certificate"),
        (
            {"users": [{"name": "a", "client_ca": "/c", "client_ca_data": "d", **PAIR}]},
            "are mutually exclusive",
        ),
        (
            {"users": [{"name": "a", "client_certificate": "c", "client_key": "/k"}]},
            "not an absolute path",
        ),
        (
            {"users": [{"name": "a", "client_certificate": "/c\n", "client_key": "/k"}]},
            "not an absolute path",
        ),
        ({"users": [{"name": "a", "token": ""}]}, "the token is empty"),
        ({"users": [{"name": "a", "token": "s3cret\nX: y"}]}, "no HTTP header"),
        ({"users": [{"name": "a", "token": "s3crét"}]}, "no HTTP header"),
        ({"users": [{"name": "a", "token_file": "/dev/zero"}]}, "token_file"),
        ({"users": [{"name": "a", "token_file": "/"}]}, "token_file"),
        ({"clusters": [{"name": "a", "certificate_authority_data": "\ud800"}]}, "not Unicode"),
        ({"users": [{"name": "a", "exec": {"command": "x", "args": ["\udcff"]}}]}, "not Unicode"),
        ({"path": "relative"}, "relative"),
        ({"path": "/dev/null"}, "/dev/null"),
        ({"path": "/"}, "'/'"),
    ],
)
def test_invalid_task_is_rejected(host: Host, task: dict[str, Any], word: str) -> None:
    assert word in host.error(**task)


def test_invalid_ca_is_rejected(host: Host) -> None:
    def error(content: bytes | str) -> str:
        Path(host.file("bad.pem")).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        text = host.error(clusters=[host.cluster(certificate_authority=host.file("bad.pem"))])
        assert text.startswith("clusters, 'kubernetes': certificate_authority")
        assert f"'{host.file('bad.pem')}'" in text
        if not isinstance(content, bytes):
            data_error = host.error(
                clusters=[
                    host.cluster(certificate_authority=None, certificate_authority_data=content)
                ]
            )
            assert data_error.startswith("clusters, 'kubernetes': certificate_authority_data")
        return text

    pem = host.ca.path.read_text()
    leaf = Path(host.file("client.pem")).read_text()
    expired = Ca(host.folder / "cert", spare("ECC"), "expired")
    settings_of_expired = {
        "is_ca": True,
        "valid_for": "24h",
        "renew_before": "1m",
        "subject": {"CN": "kubernetes"},
    }
    expired.certificate = certificate(
        expired.key, None, NOW - timedelta(days=9), **settings_of_expired
    )
    expired.write()
    late = expired.path.read_text()
    assert "no certificate" in error("")
    assert "no certificate" in error(b"\x30\x82\x00")
    assert "no certificate" in error(pem[: len(pem) // 2])
    assert "cannot be read" in error(pem.replace("MII", "MIA", 1))
    assert "cannot be read" in error(pem + pem.replace("MII", "AAA", 1))
    assert "not a CA" in error(leaf)
    assert "certificate 2, is not a CA" in error(pem + leaf)
    assert "expired on" in error(late)
    assert "larger than" in error((pem + "x" * (2 << 20)).encode())
    long = {
        "certificate_authority": None,
        "certificate_authority_data": pem * ((1 << 20) // len(pem) + 1),
    }
    assert "would be larger than" in host.error(clusters=[host.cluster(**long)])
    assert "does not exist" in host_missing(host)
    Path(host.file("both.pem")).write_text(f"Bag Attributes\r\n{late}\n# comment\n{pem}")
    host.run(clusters=[host.cluster(certificate_authority=host.file("both.pem"))])
    assert [warning for warning in host.warnings if "certificate 1, expired" in warning]


def host_missing(host: Host) -> str:
    with pytest.raises(KubeconfigError) as caught:
        host.run(clusters=[host.cluster(certificate_authority=host.file("missing.pem"))])
    return one_line(caught.value)


def test_invalid_pair_is_rejected(host: Host) -> None:
    def error(name: str, **given: Any) -> str:
        text = host.error(users=[host.user(name, **given)])
        assert text.startswith("users, 'u'")
        return text

    host.pair("late", after=timedelta(days=-20))
    assert "expired on" in error("late")
    host.pair("early", after=timedelta(days=20))
    assert "not valid before" in error("early")
    host.pair("server", extended_key_usage=["serverAuth"])
    assert "lacks clientAuth" in error("server")
    host.pair("strange", of=spare("ECC"))
    assert "do not match; set the key of this certificate" in error("strange")
    other = Ca(
        host.folder / "cert", spare("ECC", curve="secp521r1"), "other", subject={"CN": "other"}
    )
    assert f"not signed by a CA in client_ca '{other.path}'" in error(
        "client", client_ca=str(other.path)
    )
    assert "not signed by a CA in client_ca_data" in error(
        "client", client_ca_data=other.path.read_text()
    )
    same_name = Ca(host.folder / "cert", spare("ECC", curve="secp521r1"), "same")
    assert "not signed by a CA" in error("client", client_ca=str(same_name.path))
    key, leaf = host.file("client-key.pem"), host.file("client.pem")
    assert f"client_ca '{key}' contains no certificate" in error("client", client_ca=key)
    assert f"client_ca '{leaf}' is not a CA" in error("client", client_ca=leaf)
    host.run(users=[host.user(client_ca=str(host.ca.path))])
    place = Path(host.file("client-key.pem"))
    whole = place.read_bytes()
    for content in (
        b"",
        b"x",
        whole[:60],
        whole[: len(whole) // 2],
        whole + whole,
        b"\x00" * 99,
        whole.replace(b"MI", b"AA", 1),
    ):
        place.write_bytes(content)
        assert "client_key" in error("client")
    place.write_bytes(serialize_key(spare("ECC", curve="secp384r1"), "pkcs8", b"s3cret"))
    assert "is encrypted" in error("client")
    assert "is a directory" in error("client", client_key=str(host.folder))


def test_intermediate_in_the_file_completes_the_chain(host: Host) -> None:
    middle = Ca(
        host.folder / "cert", spare("ECC", curve="secp521r1"), "middle", subject={"CN": "middle"}
    )
    middle.certificate = certificate(
        host.ca.key,
        host.ca.authority,
        public=middle.key.public_key(),
        is_ca=True,
        valid_for="240h",
        renew_before="1m",
        subject={"CN": "middle"},
    )
    key = spare("ECC", curve="secp384r1")
    authority = middle.authority._replace(certificate=middle.certificate)
    leaf = certificate(
        middle.key, authority, public=key.public_key(), **{**CLIENT, "valid_for": "200h"}
    )
    path = Path(host.file("client.pem"))
    path.write_bytes(serialize_certificate(leaf))
    assert "not signed by a CA" in host.error(users=[host.user(client_ca=str(host.ca.path))])
    circle = Ca(host.folder / "cert", middle.key, "circle", subject={"CN": "middle"})
    path.write_bytes(serialize_certificate(leaf) + serialize_certificate(circle.certificate) * 30)
    assert "not signed by a CA" in host.error(users=[host.user(client_ca=str(host.ca.path))])
    path.write_bytes(serialize_certificate(leaf) + serialize_certificate(middle.certificate))
    assert host.run(users=[host.user(client_ca=str(host.ca.path))])["changed"]


def test_missing_file_is_predicted_in_check_mode(host: Host) -> None:
    task = host.task(users=[host.user("missing", embed_certs=True)])
    result = host.run(check=True, **task)
    assert result["changed"]
    assert len([warning for warning in host.warnings if "missing" in warning]) == 2
    with pytest.raises(
        KubeconfigError, match=r"client_certificate: '.*missing.pem' does not exist"
    ):
        host.run(**task)
    nowhere = {"path": str(host.folder / "a" / "b"), **host.task()}
    assert host.run(check=True, **nowhere)["changed"]
    with pytest.raises(KubeconfigError, match="create it first"):
        host.run(**nowhere)
    host.path.write_text("{")
    with pytest.raises(KubeconfigError, match="set force"):
        host.run(check=True, **task)


@pytest.mark.parametrize(
    ("target", "prefix", "advice"),
    [
        ("yaml", "/usr", "install the package python3-yaml"),
        ("cryptography", "/usr", "install the package python3-cryptography"),
        ("yaml", "/venv", f"run {sys.executable} -m pip install 'PyYAML'"),
        ("cryptography", "/venv", f"run {sys.executable} -m pip install 'cryptography>=3.3'"),
    ],
)
def test_missing_library_is_predicted_in_check_mode(
    host: Host, monkeypatch: pytest.MonkeyPatch, target: str, prefix: str, advice: str
) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    if target == "yaml":
        monkeypatch.setattr(kubeconfig, "HAS_YAML", False)
    else:
        monkeypatch.setattr(library, "CRYPTOGRAPHY_TRACEBACK", "Traceback")
    assert host.run(check=True, **host.task())["changed"]
    assert [warning for warning in host.warnings if advice in warning]
    with pytest.raises(KubeconfigError, match=advice):
        host.run(**host.task())
    assert not host.path.exists()


def test_task_without_certificates_needs_no_cryptography(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = host.run(**host.task())["users"][0]["client_certificate_data"]["fingerprint_sha256"]
    monkeypatch.setattr(library, "CRYPTOGRAPHY_TRACEBACK", "Traceback")
    result = host.run(current_context="x", clusters=[host.cluster(certificate_authority=None)])
    assert not result["changed"]
    assert result["users"][0]["client_certificate_data"] == {"fingerprint_sha256": known}


# --- hostile, unreadable and locked files


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"a: [", b"- a", b"\x00", b"clusters: {}", b"a: 1\na: 2", b"--- {}\n--- {}"],
)
def test_unreadable_file_is_replaced_only_with_force(host: Host, content: bytes) -> None:
    host.path.write_bytes(content)
    assert "set force" in host.error(**host.task())
    assert host.run(check=True, force=True, **host.task())["changed"]
    result = host.run(force=True, backup=True, **host.task())
    assert Path(result["backup_file"]).read_bytes() == content
    assert not host.run(force=True, **host.task())["changed"]


def test_force_keeps_a_readable_file(host: Host) -> None:
    host.path.write_text(FOREIGN)
    host.run(force=True, clusters=[host.cluster()])
    assert len(host.config["clusters"]) == 2


@pytest.mark.parametrize("kind", ["directory", "fifo", "leaving", "dangling", "loop"])
def test_path_that_is_no_regular_file_is_rejected(host: Host, kind: str) -> None:
    make: dict[str, Callable[[], object]] = {
        "directory": host.path.mkdir,
        "fifo": lambda: os.mkfifo(host.path),
        "leaving": lambda: host.path.symlink_to("/etc/passwd"),
        "dangling": lambda: host.path.symlink_to("nowhere"),
        "loop": lambda: host.path.symlink_to("kubeconfig"),
    }
    make[kind]()
    before = os.lstat(host.path)
    for force in (False, True):
        assert "kubeconfig" in host.error(force=force, **host.task())
    after = os.lstat(host.path)
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (
        before.st_ino,
        before.st_mode,
        before.st_mtime_ns,
    )


def test_symlink_within_the_directory_is_kept(host: Host) -> None:
    (host.folder / "real").write_text("{}")
    host.path.symlink_to("real")
    host.run(**host.task())
    assert host.path.is_symlink()
    assert (host.folder / "real").stat().st_mode & 0o777 == 0o600


def test_lock_of_kubectl_is_respected(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = host.folder / "kubeconfig.lock"
    lock.touch(0)
    locked = _lock.hold_kubeconfig_lock
    monkeypatch.setattr(_lock, "hold_kubeconfig_lock", lambda path: locked(path, timeout=0.1))
    with pytest.raises(KubeconfigError, match=re.escape(str(lock))):
        host.run(**host.task())
    assert lock.exists()
    lock.unlink()
    host.run(**host.task())
    lock.touch(0)
    assert not host.run(**host.task())["changed"]


def test_incomplete_file_of_kubectl_is_read_under_the_lock(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run(**host.task())
    whole = host.path.read_bytes()
    lock = host.folder / "kubeconfig.lock"
    lock.touch(0)
    host.path.write_bytes(whole[:500])
    locked = _lock.hold_kubeconfig_lock

    def finished(path: str) -> Any:
        lock.unlink()
        host.path.write_bytes(whole)
        return locked(path)

    monkeypatch.setattr(_lock, "hold_kubeconfig_lock", finished)
    assert not host.run(**host.task())["changed"]
    assert host.path.read_bytes() == whole


def test_backups_have_mode_0600_and_a_limit(host: Host) -> None:
    host.run(**host.task())
    for port in range(1, 9):
        result = host.run(backup=True, clusters=[host.cluster(server=f"https://h:{port}")])
    kept = [name for name in host.names() if name.endswith(".bak~")]
    assert len(kept) == 5
    assert os.path.basename(result["backup_file"]) == kept[-1]
    assert {(host.folder / name).stat().st_mode & 0o777 for name in kept} == {0o600}
    assert host.run(state="absent", backup=True)["backup_file"]


def test_kill_leaves_the_old_or_the_new_file(host: Host) -> None:
    host.run(**host.task())
    old = host.path.read_bytes()
    change = host.task(clusters=[host.cluster(server="https://h", embed_certs=True)])
    new = None
    for point in range(1, 99):
        killed = killed_at(lambda: host.run(backup=True, **change), point)
        found = host.path.read_bytes()
        if not killed:
            break
        assert (
            found == old
            or kubeconfig.parse_kubeconfig(found, "")["clusters"][0]["cluster"]["server"]
            == "https://h"
        )
        host.run(**change)
        new = host.path.read_bytes()
        host.path.write_bytes(old)
        assert [name for name in host.names() if not name.endswith(".bak~")] == [
            "cert",
            "kubeconfig",
        ]
    assert point > 4
    assert found == new


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_disk_error_leaves_the_file_unchanged(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    host.run(**host.task())
    old = host.path.read_bytes()

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(FilesError, match=os.strerror(number)):
        host.run(clusters=[host.cluster(server="https://h")])
    monkeypatch.undo()
    assert host.path.read_bytes() == old
    assert host.names() == ["cert", "kubeconfig"]


# --- results


def test_diff_shows_changes_without_secrets(host: Host) -> None:
    host.path.write_text(FOREIGN.replace("https://z", "https://a:s3cret@z"))
    host.run(**host.task(clusters=[host.cluster(), {"name": "z", "state": "absent"}]))
    host.pair("client", spare("ECC", curve="secp521r1"))
    diff = host.run(check=True, **host.task(clusters=[host.cluster(server="https://h")]))["diff"]
    assert diff["before"]["clusters"][0]["cluster"]["server"] == "https://192.0.2.1:6443"
    assert diff["after"]["clusters"][0]["cluster"]["server"] == "https://h"
    assert [
        side["users"][0]["user"]["client-key-data"] for side in (diff["before"], diff["after"])
    ] == [
        "(a private key)",
        "(another private key)",
    ]
    assert "contexts" not in diff["after"]
    gone = host.run(check=True, users=[{"name": "theirs", "state": "absent"}])["diff"]["before"][
        "users"
    ][0]["user"]
    assert gone == {
        "username": "a",
        "password": "(a password)",
        "auth-provider": "(a withheld value)",
    }


OPTION = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["/etc/passwd", "/dev/zero", "https://h"])
)


def instead(default: Any, value: Any) -> Any:
    return default if value is None else value


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)
@given(entries=st.data())
def test_any_options_give_a_file_or_an_error(host: Host, entries: st.DataObject) -> None:
    """Any options result in a file or an error.

    Each option has any value that AnsibleModule can return for its type.
    """
    texts = (
        st.none()
        | st.text(st.characters(), max_size=40)
        | st.sampled_from(["/etc/passwd", "/nowhere", "https://h", "", "a"])
    )
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "str": texts,
        "path": texts,
        "bool": st.none() | st.booleans(),
    }
    task: dict[str, Any] = {}
    for kind in ("clusters", "users", "contexts"):
        spec = module.KUBECONFIG_ARGUMENTS[kind]["options"]
        fields = {
            name: kinds[option["type"]].map(partial(instead, option.get("default")))
            for name, option in spec.items()
            if option["type"] in kinds and name not in ("name", "state")
        }
        entry = st.fixed_dictionaries({"name": st.text(max_size=9), **fields})
        task[kind] = entries.draw(st.lists(entry, max_size=2))
    try:
        host.run(**task)
    except (KubeconfigError, FilesError) as exc:
        one_line(exc)
    else:
        kubeconfig.parse_kubeconfig(host.path.read_bytes(), "")

"""Test the drift of a host: none after a rollout, and a reason for each later change."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig_module
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import staleness
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import (
    desired,
    drift,
    drift_credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import DESIRED_SPEC
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import (
    keys,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_CERTIFICATE_OPTION,
    CERTIFICATE_OPTION,
    REQUEST_OPTION,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    _load_key,
    _works,
    parse_private_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair import converge_pair
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import create_request
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
)

from tests.support import pki
from tests.support.fake_module import FakeModule
from tests.support.host import UNIT, UNIT_NAME, Host
from tests.support.pki import NOW, SCHEDULER, Ca, options, spare

ME = "root"


class Cluster(Host):
    """Provide a host with the complete file set of a scheduler."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ca = Ca(root)
        self.paths = {name: self.etc / name for name in ("certificate", "privatekey", "kubeconfig")}
        self.etc.mkdir()
        self.log_dir = self.root / "log"
        self.log_dir.mkdir(mode=0o755)
        self.config = "kind: KubeSchedulerConfiguration\n"
        self.server = "https://192.0.2.1:6443"
        self.version = "1.1.0"
        self.source = "download"
        self.valid_for = "8760h"
        self.pair: dict[str, Any] | None = None
        self.systemd.credentials = dict(self.paths)
        self.settings_in_use: dict[str, tuple[int, bytes]] = {}

    @property
    def files(self) -> list[dict[str, Any]]:
        return [
            self.member("binary", self.bin / "app", link_to=self.link),
            *(self.member(name, path) for name, path in self.paths.items()),
            self.member("config", self.etc / "app.yaml", content=self.config),
            self.member("unit", self.systemd.unit, content=UNIT),
        ]

    @property
    def certificate(self) -> dict[str, Any]:
        return {
            **SCHEDULER,
            "path": str(self.paths["certificate"]),
            "privatekey_path": str(self.paths["privatekey"]),
            "privatekey_type": "ECC",
            "valid_for": self.valid_for,
            "ca_on": "controller",
            CA_CERTIFICATE_OPTION: serialize_certificate(self.ca.certificate).decode(),
            "owner": ME,
            "group": "root",
            "mode": "0600",
        }

    @property
    def kubeconfig(self) -> dict[str, Any]:
        return {
            "path": str(self.paths["kubeconfig"]),
            "clusters": [
                {
                    "name": "kubernetes",
                    "server": self.server,
                    "certificate_authority_data": self.ca.path.read_text(),
                    "tls_server_name": "",
                }
            ],
            "users": [
                {
                    "name": "me",
                    "client_certificate": str(self.paths["certificate"]),
                    "client_key": str(self.paths["privatekey"]),
                    "embed_certs": True,
                }
            ],
            "contexts": [{"name": "me", "cluster": "kubernetes", "user": "me"}],
            "current_context": "me",
            "owner": ME,
            "group": "root",
            "mode": "0600",
        }

    def desired_state(self, **given: Any) -> desired.DesiredState:
        fields: dict[str, Any] = {
            "version": self.version,
            "binary": str(self.bin / self.link),
            "binary_source": self.source,
            "log_dir": str(self.log_dir),
            "certificate": self.certificate if self.pair is None else None,
            "pair": self.pair,
            "kubeconfig": self.kubeconfig,
            "files": self.files,
            "settings": {"flags": {}, "config": {"parallelism": 16}},
            "manage_packages": True,
            **given,
        }
        secrets = fields.pop("secrets", None)
        return desired.parse_desired(fields, secrets, user=ME, unit=UNIT_NAME)

    def set_reported_config(self, **config: Any) -> None:
        """Set the configuration that the process reports at /configz."""
        self.settings_in_use = {"/configz": (200, json.dumps({"componentconfig": config}).encode())}

    def drift(self, **given: Any) -> list[str]:
        observed: Any = {
            "missing_libraries": [],
            "unsafe": [],
            "user_exists": True,
            "process": {"pid": self.systemd.pid, "version": self.running_version},
        }
        observed.update(given.pop("observed", {}))
        access = drift.HostAccess(
            FakeModule(True), self.proc, self.systemd.show(UNIT_NAME), self.settings_in_use
        )
        entries, self.awaited = drift.find_drift(
            self.desired_state(**given), str(self.root / "fileset"), cast(Any, observed), access
        )
        assert all("\n" not in entry["reason"] for entry in entries)
        return [
            f"{entry['part']}: {entry['reason'].replace(str(self.root), '')}" for entry in entries
        ]

    @property
    def running_version(self) -> str:
        if not self.systemd.pid:
            return ""
        name = Path(os.readlink(self.proc.folder / str(self.systemd.pid) / "exe")).name
        return f"1.{name[-1]}.0"

    def roll(self) -> None:
        """Roll the host in the same steps as the role."""
        self.run("prepared")
        staged = self.root / "fileset/staged"
        task = options(
            **{**SCHEDULER, **self.ca.options},
            path=str(staged / "certificate"),
            privatekey_path=str(staged / "privatekey"),
            privatekey_type="ECC",
            valid_for=self.valid_for,
            mode="0600",
            regenerate="full",
        )
        converge_pair(FakeModule(False, **task), NOW)
        entries = self.desired_state().kubeconfig or {}
        users = [
            {
                **user,
                "client_certificate_source": str(staged / "certificate"),
                "client_key_source": str(staged / "privatekey"),
            }
            for user in entries["users"]
        ]
        kubeconfig_module.converge_kubeconfig(
            FakeModule(
                False,
                **{**entries, "path": str(staged / "kubeconfig"), "users": users, "force": True},
            )
        )
        self.binary(self.link)
        self.log_dir.mkdir(mode=0o755, exist_ok=True)
        self.log_dir.chmod(0o755)
        self.run("staged", binaries=self.brought(self.link))
        self.run("live")

    def drift_of(self, part: str) -> list[str]:
        return [line for line in self.drift() if line.startswith("certificate:")]


def later() -> None:
    time.sleep(0.03)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(staleness, "CLOCK_TOLERANCE_S", 0.0)
    host = Cluster(tmp_path)
    host.roll()
    later()
    return host


def test_drift_is_complete_before_a_rollout_and_empty_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staleness, "CLOCK_TOLERANCE_S", 0.0)
    host = Cluster(tmp_path)
    host.log_dir.rmdir()
    (host.bin / "app-v1").unlink()
    before = host.tree()
    assert host.drift(observed={"missing_libraries": ["yaml"], "user_exists": False}) == [
        "packages: the Python library yaml is missing",
        "user: the user root does not exist",
        "binary: /bin/app-v1: is missing",
        "link: /bin/app: is missing, expected a link to app-v1",
        "log_dir: /log: is missing",
        "certificate: /etc/certificate: the private key is missing",
        "certificate: /etc/certificate: the certificate is missing",
        "kubeconfig: /etc/kubeconfig: is missing",
        "config: /etc/app.yaml: is missing",
        "unit: /units/x.service: is missing",
        "process: x.service is inactive",
        "process: x.service is not enabled",
    ]
    assert host.tree() == before
    host.roll()
    assert host.drift() == []
    before = host.tree()
    assert host.drift() == []
    assert host.tree() == before


def write(name: str, content: str | bytes) -> Callable[[Cluster], object]:
    return lambda host: (host.root / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def mode(name: str, bits: int) -> Callable[[Cluster], object]:
    return lambda host: (host.root / name).chmod(bits)


def remove(name: str) -> Callable[[Cluster], object]:
    return lambda host: (host.root / name).unlink()


def directory(name: str) -> Callable[[Cluster], object]:
    return lambda host: ((host.root / name).unlink(), (host.root / name).mkdir())


def fifo(name: str) -> Callable[[Cluster], object]:
    return lambda host: ((host.root / name).unlink(), os.mkfifo(host.root / name))


def assign(name: str, value: Any) -> Callable[[Cluster], object]:
    return lambda host: setattr(host, name, value)


def state(name: str, value: str) -> Callable[[Cluster], object]:
    return lambda host: host.systemd.state.update({name: value})


def cut(name: str) -> Callable[[Cluster], object]:
    return lambda host: os.truncate(host.root / name, 3)


def relink(target: str) -> Callable[[Cluster], object]:
    return lambda host: ((host.bin / "app").unlink(), (host.bin / "app").symlink_to(target))


SINCE = "changed after the process started"
SET = "process: the process was not started from this file set"
DAMAGE: list[tuple[Callable[[Cluster], object], list[str]]] = [
    (cut("bin/app-v1"), ["binary: /bin/app-v1: is truncated: it has 3 bytes, expected 8"]),
    (
        write("bin/app-v1", "binary x"),
        ["binary: /bin/app-v1: content differs from the verified content"],
    ),
    (
        write("bin/app-v1", "binary 1 and more"),
        ["binary: /bin/app-v1: content differs from the verified content"],
    ),
    (
        mode("bin/app-v1", 0o644),
        ["binary: /bin/app-v1: mode is 0644, so other users cannot run it"],
    ),
    (
        mode("bin/app-v1", 0o777),
        ["binary: /bin/app-v1: users other than root can write it (owner root, 0777)"],
    ),
    (directory("bin/app-v1"), ["binary: /bin/app-v1: is not a regular file"]),
    (remove("bin/app-v1"), ["binary: /bin/app-v1: is missing"]),
    (relink("app-v0"), ["link: /bin/app: links to app-v0, expected app-v1"]),
    (remove("bin/app"), ["link: /bin/app: is missing, expected a link to app-v1"]),
    (directory("bin/app"), ["link: /bin/app: is not a link, expected a link to app-v1"]),
    (mode("log", 0o700), ["log_dir: /log: mode is 0700, expected 0755"]),
    (
        lambda host: (host.log_dir.rmdir(), host.log_dir.write_text("")),
        ["log_dir: /log: is not a directory"],
    ),
    (mode("etc/privatekey", 0o640), ["certificate: /etc/privatekey: mode is 0640, expected 0600"]),
    (
        mode("etc/certificate", 0o600),
        ["certificate: /etc/certificate: mode is 0600, expected 0644"],
    ),
    (mode("etc/kubeconfig", 0o644), ["kubeconfig: /etc/kubeconfig: mode is 0644, expected 0600"]),
    (
        write("etc/privatekey", "garbage"),
        [
            "certificate: /etc/certificate: '/etc/privatekey' does not contain exactly one private key in PEM form"
        ],
    ),
    (
        write("etc/certificate", "garbage"),
        ["certificate: /etc/certificate: the certificate cannot be read"],
    ),
    (remove("etc/certificate"), ["certificate: /etc/certificate: the certificate is missing"]),
    (
        directory("etc/certificate"),
        ["certificate: '/etc/certificate' is a directory, not a regular file"],
    ),
    (fifo("etc/privatekey"), ["certificate: '/etc/privatekey' is a FIFO, not a regular file"]),
    (write("etc/kubeconfig", ""), ["kubeconfig: '/etc/kubeconfig' is empty"]),
    (write("etc/kubeconfig", "a: [b"), ["kubeconfig: '/etc/kubeconfig' is not YAML"]),
    (write("etc/kubeconfig", b"\xff\x00"), ["kubeconfig: '/etc/kubeconfig' is not UTF-8 text"]),
    (
        directory("etc/kubeconfig"),
        ["kubeconfig: '/etc/kubeconfig' is a directory, not a regular file"],
    ),
    (assign("server", "https://192.0.2.2:6443"), ["kubeconfig: /etc/kubeconfig: clusters differ"]),
    (
        write("etc/app.yaml", "by hand\n"),
        ["config: /etc/app.yaml: content differs", f"process: /etc/app.yaml {SINCE}"],
    ),
    (mode("etc/app.yaml", 0o666), ["config: /etc/app.yaml: mode is 0666, expected 0644"]),
    (remove("etc/app.yaml"), ["config: /etc/app.yaml: is missing"]),
    (directory("etc/app.yaml"), ["config: '/etc/app.yaml' is a directory, not a regular file"]),
    (fifo("etc/app.yaml"), ["config: '/etc/app.yaml' is a FIFO, not a regular file"]),
    (assign("config", "desired: otherwise\n"), ["config: /etc/app.yaml: content differs", SET]),
    (write("units/x.service", "[Service]\n"), ["unit: /units/x.service: content differs"]),
    (remove("units/x.service"), ["unit: /units/x.service: is missing"]),
    (
        state("DropInPaths", "/etc/systemd/system/x.service.d/a.conf"),
        ["unit: /etc/systemd/system/x.service.d/a.conf: this drop-in changes the unit"],
    ),
    (state("LoadState", "masked"), ["unit: x.service is masked"]),
    (state("NeedDaemonReload", "yes"), ["unit: x.service changed after systemd read it"]),
    (
        state("FragmentPath", "/lib/x.service"),
        ["unit: x.service is loaded from /lib/x.service, expected /units/x.service"],
    ),
    (state("ActiveState", "failed"), ["process: x.service is failed"]),
    (state("UnitFileState", "disabled"), ["process: x.service is disabled"]),
    (
        assign("version", "1.9.9"),
        ["binary: /bin/app-v1: is recorded as version 1.1.0, expected 1.9.9"],
    ),
    (
        write("fileset/staged/privatekey", "garbage"),
        [
            "staged: /fileset/staged/privatekey: differs from /etc/privatekey, which has the desired state"
        ],
    ),
    (
        remove("fileset/staged/config"),
        ["staged: /fileset/staged/config: differs from /etc/app.yaml"],
    ),
    (assign("version", "1.9.9"), ["process: the process runs version 1.1.0, expected 1.9.9"]),
]


@pytest.mark.parametrize(
    ("damage", "lines"),
    DAMAGE,
    ids=[f"{n}-{lines[0][:40]}" for n, (_damage, lines) in enumerate(DAMAGE)],
)
def test_damage_is_reported(
    host: Cluster, damage: Callable[[Cluster], object], lines: list[str]
) -> None:
    damage(host)
    reported = host.drift()
    for line in lines:
        assert any(entry.startswith(line) for entry in reported), reported


REPAIRED = [
    write("bin/app-v1", "binary x"),
    remove("bin/app-v1"),
    relink("app-v0"),
    remove("bin/app"),
    mode("log", 0o700),
    mode("etc/privatekey", 0o640),
    remove("etc/certificate"),
    write("etc/privatekey", "garbage"),
    write("etc/certificate", "garbage"),
    write("etc/kubeconfig", "garbage"),
    remove("etc/kubeconfig"),
    assign("server", "https://192.0.2.2:6443"),
    write("etc/app.yaml", "by hand\n"),
    mode("etc/app.yaml", 0o666),
    assign("config", "desired: otherwise\n"),
    write("units/x.service", "[Service]\n"),
    state("ActiveState", "failed"),
    state("UnitFileState", "disabled"),
    write("fileset/record.json", "garbage"),
    remove("fileset/record.json"),
    write("fileset/staged/privatekey", "garbage"),
    write("fileset/staged/kubeconfig", "garbage"),
    write("fileset/staged/config", "garbage"),
    remove("fileset/staged/binary"),
    lambda host: shutil.rmtree(host.root / "fileset/staged"),
    lambda host: shutil.rmtree(host.root / "fileset"),
]


@pytest.mark.parametrize("damage", REPAIRED)
def test_rollout_repairs_the_drift(host: Cluster, damage: Callable[[Cluster], object]) -> None:
    """A rollout must remove the drift. Otherwise, each run would roll the host again."""
    damage(host)
    assert host.drift()
    host.roll()
    assert host.drift() == []


def test_file_that_was_restored_after_a_restart_is_drift_of_the_process(host: Cluster) -> None:
    """If a user restores an edited file after a restart, the process still uses the edited file."""
    path = host.etc / "app.yaml"
    original = path.read_text()
    path.write_text("by hand\n")
    host.systemd.restart(UNIT_NAME)
    later()
    path.write_text(original)
    assert host.drift() == [f"process: /etc/app.yaml {SINCE}"]
    host.roll()
    assert host.drift() == []


def test_kubeconfig_that_was_restored_after_a_restart_is_drift_of_the_process(
    host: Cluster,
) -> None:
    path = host.paths["kubeconfig"]
    original = path.read_bytes()
    path.write_bytes(original.replace(b"192.0.2.1", b"192.0.2.9"))
    host.systemd.restart(UNIT_NAME)
    path.write_bytes(original)
    assert host.drift() == ["process: /etc/kubeconfig differs from the credential of the process"]
    # After this edit, only the file is drift: the process uses the edited kubeconfig.
    path.write_bytes(original.replace(b"192.0.2.1", b"192.0.2.9"))
    assert host.drift() == [
        "kubeconfig: /etc/kubeconfig: clusters differ",
        "unit: /units/x.service: its digest belongs to another file set",
        SET,
    ]


def test_certificate_in_the_renewal_window_is_drift(
    host: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_credentials, "current_utc", lambda: NOW + timedelta(days=340))
    [line] = [line for line in host.drift() if line.startswith("certificate:")]
    assert "ends on" in line
    assert "within 720h" in line


def test_key_of_two_parts_is_checked_once(host: Cluster) -> None:
    _load_key.cache_clear()
    with mock.patch.object(keys, "_works", wraps=_works) as checked:
        assert host.drift() == []
    assert checked.call_count == 1


def test_certificate_is_not_compared_without_the_library(
    host: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_credentials.library, "CRYPTOGRAPHY_TRACEBACK", "ImportError")
    reported = host.drift()
    assert reported[0].startswith("certificate: /etc/certificate: cannot be compared")
    assert all(line.split(":")[0] in ("certificate", "kubeconfig") for line in reported)


def test_kubeconfig_is_not_compared_without_the_library(
    host: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig_module.kubeconfig, "HAS_YAML", False)
    [line] = host.drift()
    assert line.startswith(
        "kubeconfig: /etc/kubeconfig: cannot be compared: kubeconfig files cannot be read or written"
    )


def test_missing_packages_are_no_drift_if_they_are_managed_externally(host: Cluster) -> None:
    assert host.drift(manage_packages=False, observed={"missing_libraries": ["yaml"]}) == []


def test_present_binary_is_not_compared_with_a_source(host: Cluster) -> None:
    host.source = "present"
    (host.bin / "app-v1").chmod(0o775)
    assert host.drift() == []
    (host.root / "fileset/record.json").write_text("{}")
    assert "record: /bin/app-v1: the checksum of the binary was never verified" in host.drift()
    (host.bin / "app-v1").unlink()
    assert "binary: /bin/app-v1: is missing" in host.drift()


def test_key_pair_from_the_controller_is_compared_by_checksum(host: Cluster) -> None:
    sums = {
        f"{name}_sha256": hashlib.sha256(host.paths[name].read_bytes()).hexdigest()
        for name in ("certificate", "privatekey")
    }
    host.pair = {**sums, "owner": ME, "group": "root", "mode": "0600"}
    assert host.drift() == []
    host.pair["privatekey_sha256"] = "0" * 64
    assert host.drift() == [
        "certificate: /etc/privatekey: content differs from the source on the controller"
    ]
    host.pair["privatekey_sha256"] = None
    assert host.drift() == [
        "certificate: /etc/privatekey: the source file on the controller is missing"
    ]
    host.pair.update(sums)
    host.paths["privatekey"].chmod(0o644)
    assert host.drift() == ["certificate: /etc/privatekey: mode is 0644, expected 0600"]
    host.paths["certificate"].unlink()
    assert "certificate: /etc/certificate: is missing" in host.drift()


def test_unusable_path_is_drift(host: Cluster) -> None:
    assert (
        host.drift(log_dir="/a\0b")[0]
        == "log_dir: '/a\\x00b': contains a character that no path can contain"
    )
    assert any(
        "contains a character that no path can contain" in line
        for line in host.drift(binary="/a\0b")
    )


def test_no_line_contains_a_private_key(host: Cluster) -> None:
    secret = host.paths["privatekey"].read_text()
    for damage, _lines in DAMAGE:
        with pytest.MonkeyPatch.context():
            shutil.copytree(host.root, host.root.parent / "kept", symlinks=True)
            damage(host)
            text = str(host.drift())
            assert "PRIVATE KEY--" not in text
            assert secret.splitlines()[1] not in text
            assert base64.b64encode(secret.encode())[:40].decode() not in text
            shutil.rmtree(host.root)
            (host.root.parent / "kept").rename(host.root)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        (
            "certificate",
            {"path": "/x"},
            "desired: certificate: missing required arguments: privatekey_path",
        ),
        (
            "certificate",
            {"path": "/x", "privatekey_path": "/y", "valid": 1},
            "desired: certificate: valid. Supported",
        ),
        ("kubeconfig", {"clusters": "x"}, "desired: kubeconfig: "),
        (
            "kubeconfig",
            {"path": "/x", "users": [{"name": "u", "token": "secret"}]},
            "desired: kubeconfig: users.token",
        ),
    ],
)
def test_invalid_option_is_rejected(host: Cluster, option: str, value: Any, words: str) -> None:
    with pytest.raises(FilesetError) as error:
        host.desired_state(**{option: value})
    assert words in str(error.value)
    assert "secret" not in str(error.value)


def test_kubeconfig_options_match_the_module() -> None:
    """Drift detection does not support options that contain a secret or remove an entry."""
    from ansible_collections.kube_ha.scheduler.plugins.modules import kubeconfig  # noqa: PLC0415

    for kind, rest in desired.UNSUPPORTED_KUBECONFIG_OPTIONS.items():
        known = set(desired.KUBECONFIG_SPEC[kind]["options"]) | set(rest)
        assert known == set(kubeconfig.KUBECONFIG_ARGUMENTS[kind]["options"]), kind
    assert set(DESIRED_SPEC) == set(desired.DesiredState.__dataclass_fields__) - {
        "items",
        "user",
        "unit",
    } | {"files"}


def test_certificate_of_an_external_ca_is_compared_with_its_request(host: Cluster) -> None:
    """If the signing request for the next certificate exists, a valid certificate is no drift."""
    key = parse_private_key(host.paths["privatekey"].read_bytes(), None, "key").private
    task = {**host.certificate, "ca_on": "external"}
    assert (host.drift(certificate=task), host.awaited) == ([], [])
    joined: dict[str, Any] = {
        **SCHEDULER,
        "subject_alt_name": [*SCHEDULER["subject_alt_name"], "192.0.2.4"],
    }
    task |= joined
    [line] = host.drift(certificate=task)
    assert line.startswith(
        "certificate: /etc/certificate: the signing request is missing, or is for another key"
    )
    waits = ["the certificate lacks the subject alternative names IP:192.0.2.4"]
    assert host.awaited == waits
    task[REQUEST_OPTION] = create_request(key, parse_certificate_spec(options(**joined))).decode()
    assert (host.drift(certificate=task), host.awaited) == ([], waits)
    foreign = pki.certificate(spare("ECC", number=9), host.ca.authority, **joined)
    for leaf, words in (
        (
            foreign,
            "the received certificate is not the certificate of the key on this host",
        ),
        (
            pki.certificate(key, host.ca.authority, **joined),
            "the received certificate is not installed",
        ),
    ):
        assert host.drift(certificate={**task, CERTIFICATE_OPTION: pki.pem(leaf)}) == [
            f"certificate: /etc/certificate: {words}"
        ]
    host.paths["privatekey"].unlink()
    assert "certificate: /etc/certificate: the private key is missing" in host.drift(
        certificate=task
    )


def test_settings_in_use_that_differ_are_drift_of_the_process(host: Cluster) -> None:
    host.set_reported_config(parallelism=16)
    assert host.drift() == []
    host.set_reported_config(parallelism=4)
    assert host.drift() == ["process: configuration parallelism is 4, expected 16"]
    # If the process has other drift, the settings in use are not compared.
    assert not [line for line in host.drift(version="1.2.0") if "configuration" in line]


class SecretCluster(Cluster):
    """Provide a host whose configuration contains a secret.

    Only the option `secrets` contains the secret.
    """

    secret = "keyData: marker\n"

    @property
    def files(self) -> list[dict[str, Any]]:
        shown = {"content": "keyData: (withheld)\n", "mode": "0600"}
        return [{**f, **shown} if f["name"] == "config" else f for f in super().files]

    @property
    def secrets(self) -> dict[str, Any]:
        return {"contents": {"config": self.secret}, "values": ["marker"]}

    def run(self, state: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
        return super().run(state, check=check, **{"secrets": self.secrets, **params})

    def desired_state(self, **given: Any) -> desired.DesiredState:
        given = {"settings": {"flags": {}, "config": {"keyData": "(withheld)"}}, **given}
        return super().desired_state(**given, secrets=self.secrets)


@pytest.fixture
def secret_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretCluster:
    monkeypatch.setattr(staleness, "CLOCK_TOLERANCE_S", 0.0)
    host = SecretCluster(tmp_path)
    host.systemd.credentials["config"] = host.etc / "app.yaml"
    host.roll()
    later()
    return host


def test_mode_of_a_configuration_with_a_secret_is_drift(secret_host: SecretCluster) -> None:
    assert secret_host.drift() == []
    path = secret_host.etc / "app.yaml"
    path.chmod(0o644)
    assert secret_host.drift() == ["config: /etc/app.yaml: mode is 0644, expected 0600"]
    path.chmod(0o600)
    path.write_text("keyData: marker-2\n")
    assert secret_host.drift() == [
        "config: /etc/app.yaml: content differs",
        "process: /etc/app.yaml differs from the credential of the process",
    ]
    secret_host.secret = "keyData: marker-2\n"
    assert "marker" not in str(secret_host.drift())


def test_secret_in_use_is_not_shown(secret_host: SecretCluster) -> None:
    secret_host.set_reported_config(keyData="marker-3")
    assert secret_host.drift() == []


def test_directory_of_another_user_is_drift(host: Cluster) -> None:
    entry = {
        "path": "/etc/kubernetes",
        "reason": "'/etc/kubernetes' belongs to k8s",
        "is_link": False,
        "can_take": True,
    }
    assert f"directories: {entry['reason']}" in host.drift(observed={"unsafe": [entry]})

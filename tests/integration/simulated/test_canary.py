"""Search the output, files and processes of every playbook for secrets of every kind.

Each secret contains a marker. The search finds the marker itself, its base64 text and its
hexadecimal text. The last tests show that the search finds a secret.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import canary, pki
from tests.support.apiserver import Server, answer, kubeconfig, status
from tests.support.prometheus import on_this_machine
from tests.support.simulation import ROOT, Outcome, Simulation, compared, drifted

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="creates files owned by root")
VAULT = str(Path(sys.executable).parent / "ansible-vault")
MARKERS = {
    name: f"canary-{hashlib.sha256(name.encode()).hexdigest()}"
    for name in ("vaulted token", "vaulted value", "password in a URL", "admin token", "passphrase")
}
CONFIG, KEY_DATA = canary.extender()
METRICS_KEY = pki.key_pem(pki.spare("Ed25519", number=10))
PROVIDED_KEY = pki.key_pem(pki.spare("ECC", number=2))
ENCRYPTED_KEY = pki.key_pem(pki.spare("ECC", number=1), MARKERS["passphrase"])
SECRETS = {
    **{name: canary.needles(marker) for name, marker in MARKERS.items()},
    "extender key data": canary.needles(KEY_DATA),
    "metrics key": canary.needles(METRICS_KEY),
    "encrypted key": canary.needles(ENCRYPTED_KEY),
}
PLAYBOOKS: dict[str, tuple[str, ...]] = {
    "site --check": ("site", "--check"),
    "site": ("site",),
    "site, rejected flag": ("site",),
    "site, encrypted CA key": ("site",),
    "status": ("status",),
    "upgrade": ("upgrade",),
    "rollback": ("rollback",),
    "rotate": ("rotate", "--extra-vars=rotate=due"),
    "drill": ("drill", "--extra-vars=drill=stop", "--extra-vars=drill_confirm=yes"),
    "monitoring": ("monitoring",),
    "uninstall": ("uninstall", "--extra-vars=kube_scheduler_confirm=all"),
}
FAST = ("site --check", "site", "drill", "monitoring")
"""The nightly tests search the remaining runs."""
DUE = [
    {
        "part": "certificate",
        "reason": "/etc/kubernetes/cert/kube-scheduler.pem: ends on 2026-12-01T00:00:00Z, within 720h",
    }
]
FAILING = ("site, rejected flag", "site, encrypted CA key", "status", "drill")
"""Each of these runs fails because of an error, drift, or an apiserver that rejects the token."""


def private(path: Path, text: str) -> Path:
    path.touch(0o600)
    path.write_text(text)
    return path


def vault(path: Path, content: Any) -> Path:
    """Write a file that is encrypted with Ansible Vault. The password is in `password`."""
    private(path, yaml.safe_dump(content))
    password = private(path.parent / "password", "canary")
    words = ["encrypt", str(path), f"--vault-password-file={password}"]
    subprocess.run([VAULT, *words], check=True, capture_output=True)
    return path


def encrypt_value(path: Path, name: str, value: str) -> Path:
    """Write a file with one value that is encrypted with Ansible Vault."""
    password = f"--vault-password-file={path.parent / 'password'}"
    command = [VAULT, "encrypt_string", password, f"--stdin-name={name}"]
    done = subprocess.run(command, input=value, check=True, capture_output=True, text=True)
    return private(path, done.stdout)


def variables(folder: Path, name: str) -> dict[str, Any]:
    """Return variables with all kinds of secrets. The values of some are paths of private files."""
    args = {"token": "{{ vaulted_token }}", "connection": "{{ vaulted_value }}"}
    profile = {"pluginConfig": [{"name": "Example", "args": args}]}
    [extender] = CONFIG["extenders"]
    url = f"https://user:{MARKERS['password in a URL']}@127.0.0.1:9"
    given = {
        "kube_scheduler_config": {
            "extenders": [extender, {**extender, "urlPrefix": url}],
            "profiles": [profile],
        },
        "kube_scheduler_metrics_cert": str(folder / "metrics.pem"),
        "kube_scheduler_metrics_key": str(private(folder / "metrics-key.pem", METRICS_KEY)),
        "kube_scheduler_admin_kubeconfig": str(folder / "admin.kubeconfig"),
        "kube_scheduler_bind_address": "0.0.0.0",
    }
    if name == "site, rejected flag":
        given["kube_scheduler_extra_args"] = {"token": "{{ vaulted_token }}"}
    return given


def reject_token(request: str) -> bytes:
    """Return an error that quotes the request, with the token."""
    return answer(403, status(403, f"invalid request: {request}"))


class Canary(Simulation):
    """Provide two hosts with drift, and run playbooks on them with secrets in all variables.

    The apiserver of the administrator's kubeconfig is hostile. The apiserver returns the token in
    an error.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        super().__init__(folder, {"kube_masters": ["m1", "m2"]})
        self.name = name
        drifted(self)
        for host, answers in self.answers.items():
            answers["scheduler_fault"] = {"changed": False, "journal": []}
            answers["scheduler_fileset"] |= {
                "version": "1.37.2",
                "not_after": "2036-01-01T00:00:00Z",
                "original": False,
            }
            if name == "drill":
                answers["drift"] = compared(host, "m1")
            if name == "rotate":
                answers["drift"][0]["drift"] = DUE
        key = pki.spare("Ed25519", number=10)
        certificate = pki.certificate(key, self.ca.authority, subject={"CN": "reader"})
        (folder / "metrics.pem").write_text(pki.pem(certificate))
        self.server = Server(reject_token, self.ca.issue())
        admin = kubeconfig(
            [self.server.url], ca=self.ca.pem, user={"token": MARKERS["admin token"]}
        )
        private(folder / "admin.kubeconfig", admin.decode())
        if name == "site, encrypted CA key":
            self.ca.key_path.write_text(ENCRYPTED_KEY)

    @property
    def words(self) -> list[str]:
        """Return the arguments of ansible-playbook."""
        playbook, *words = PLAYBOOKS[self.name]
        given = private(self.folder / "vars.json", json.dumps(variables(self.folder, self.name)))
        vaulted = vault(self.folder / "vault.yml", {"vaulted_token": MARKERS["vaulted token"]})
        value = encrypt_value(self.folder / "value.yml", "vaulted_value", MARKERS["vaulted value"])
        host = {"prometheus": {"hosts": {"p1": on_this_machine(self.folder / "prometheus")}}}
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(host))
        reports = [
            f"--extra-vars={kind}={self.folder / kind}"
            for kind in ("status_json", "status_html", "status_metrics", "drill_report_dir")
        ]
        return [
            f"playbooks/{playbook}.yml",
            *words,
            *reports,
            f"--inventory={self.folder / 'prometheus.yml'}",
            f"--extra-vars=@{given}",
            f"--extra-vars=@{vaulted}",
            f"--extra-vars=@{value}",
            f"--vault-password-file={self.folder / 'password'}",
            "--diff",
            "-vvvvv",
        ]

    def search(self, playbook: str | Path, *words: str) -> tuple[Outcome, list[str]]:
        """Run a playbook. Return the run, and the places with a secret."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        with canary.watched() as processes:
            run = self.run(
                playbook,
                *words,
                HOME=str(home),
                TMPDIR=str(home),
                ANSIBLE_LOG_PATH=str(home / "log"),
                ANSIBLE_CACHE_PLUGIN="ansible.builtin.jsonfile",
                ANSIBLE_CACHE_PLUGIN_CONNECTION=str(home / "facts"),
                ANSIBLE_CALLBACKS_ENABLED="count_modules,ansible.builtin.junit",
                ANSIBLE_DISPLAY_ARGS_TO_STDOUT="1",
                JUNIT_OUTPUT_DIR=str(home / "junit"),
            )
        found = [f"output: {name}" for name in canary.find_needles(run.output.encode(), SECRETS)]
        found += canary.find_in_files([self.folder], SECRETS)
        text = b"\0".join(processes)
        assert b"ansible-playbook" in text
        return run, found + [f"process: {name}" for name in canary.find_needles(text, SECRETS)]


@pytest.mark.parametrize(
    "name",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.nightly) for name in PLAYBOOKS],
)
def test_no_secret_leaves_its_place(tmp_path: Path, name: str) -> None:
    cluster = Canary(tmp_path / "cluster", name)
    run, found = cluster.search(*cluster.words)
    cluster.server.close()
    assert found == []
    assert "Traceback" not in run.output
    assert (run.code != 0) == (name in FAILING), run.output[-5000:]
    home = cluster.folder / "home"
    assert (home / "log").stat().st_size > 1000
    assert list((home / "junit").iterdir())
    if name in ("site", "upgrade", "rotate"):
        assert run.rolled == ["m2", "m1"]
        staged = [
            options
            for options in run.options("m1", "scheduler_fileset")
            if options["state"] == "staged"
        ]
        config = staged[0]["secrets"]["contents"]["config"]
        assert KEY_DATA in config
        assert MARKERS["vaulted token"] in config
        assert MARKERS["vaulted value"] in config
    if name == "site, rejected flag":
        assert "kube_scheduler_extra_args: token: contains a token" in run.text
    if name == "drill":
        assert "Authorization: Bearer (withheld)" in run.text


# --- tests of the search


def broken_collection(folder: Path, defect: str) -> Path:
    """Return a copy of the collection whose list of secrets has a defect."""
    root = folder / "collections/ansible_collections/kube_ha/scheduler"
    root.mkdir(parents=True)
    for name in ("plugins", "roles", "playbooks", "meta"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", root)
    with (root / "plugins/module_utils/_secrets.py").open("a") as file:
        file.write(f"\n\n{defect}\n")
    return root


@pytest.mark.parametrize(
    ("defect", "leaked"),
    [
        ("withhold = lambda value, name='': value", {"extender key data", "vaulted token"}),
        ("_ENDS.pop('token')", {"vaulted token"}),
        pytest.param(
            "_ENDS.pop('keydata')\n_is_encoded_key = lambda text: False",
            {"extender key data"},
            marks=pytest.mark.nightly,
        ),
        pytest.param("_URL_USER = '(?!)'", {"password in a URL"}, marks=pytest.mark.nightly),
    ],
)
def test_search_finds_the_secrets_of_a_broken_collection(
    tmp_path: Path, defect: str, leaked: set[str]
) -> None:
    cluster = Canary(tmp_path / "cluster", "site --check")
    cluster.cwd = broken_collection(tmp_path, defect)
    cluster.collections = tmp_path / "collections"
    _run, found = cluster.search(*cluster.words)
    assert leaked <= {place.removeprefix("output: ") for place in found}
    assert any("/home/log (0" in place for place in found)


@pytest.mark.parametrize(
    "command",
    [
        "echo {secret}",
        "printf %s {secret} | base64 --wrap=0",
        "printf 1%s {secret} | base64 --wrap=0",
        "printf 12%s {secret} | base64 --wrap=0",
        "printf %s {secret} | od -An -tx1 | tr -d ' \\n'",
    ],
)
@pytest.mark.parametrize("secret", [MARKERS["admin token"], KEY_DATA], ids=["text", "base64"])
def test_search_finds_every_form_of_a_secret(command: str, secret: str) -> None:
    shell = ["bash", "-c", command.format(secret=secret)]
    output = subprocess.run(shell, check=True, capture_output=True).stdout
    assert canary.find_needles(b"x" + output, {"it": canary.needles(secret)}) == ["it"]
    assert canary.find_needles(b"x" + output, {"it": canary.needles("other" * 9)}) == []


@pytest.mark.parametrize(("mode", "is_found"), [(0o600, False), (0o640, True), (0o604, True)])
def test_search_finds_a_secret_in_a_file_that_others_can_read(
    tmp_path: Path, mode: int, is_found: bool
) -> None:
    private(tmp_path / "file", f"x{MARKERS['admin token']}").chmod(mode)
    assert bool(canary.find_in_files([tmp_path], SECRETS)) == is_found


@pytest.mark.parametrize(
    ("words", "environment"),
    [([MARKERS["admin token"]], {}), ([], {"A": MARKERS["admin token"]})],
    ids=["arguments", "environment"],
)
def test_search_finds_a_secret_of_a_process(words: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(1)", *words]
    with canary.watched() as processes:
        subprocess.run(command, env={**os.environ, **environment}, check=True)
    assert canary.find_needles(b"\0".join(processes), SECRETS) == ["admin token"]

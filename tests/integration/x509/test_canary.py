# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search all output and files of a verbose ansible-playbook run for parts of private keys."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.canary import watched

ROOT = Path(__file__).parents[3]
PLAY = """
- name: Succeed and fail in every way
  hosts: localhost
  gather_facts: false
  vars:
    ca: &ca
      path: "{{ dir }}/ca.pem"
      privatekey_path: "{{ dir }}/ca-key.pem"
      subject: {CN: kubernetes}
      is_ca: true
      valid_for: 87600h
    leaf: &leaf
      path: "{{ dir }}/leaf.pem"
      privatekey_path: "{{ dir }}/leaf-key.pem"
      privatekey_passphrase_file: "{{ dir }}/passphrase"
      subject: {CN: x}
      backup: true
      ca_path: "{{ dir }}/ca.pem"
      ca_privatekey_path: "{{ dir }}/ca-key.pem"
  tasks:
    - kube_ha.scheduler.x509_cert: *ca
    # Separate tasks, because the items of one loop share one remote file.
    - ansible.builtin.include_tasks: "{{ dir }}/../one.yml"
      loop: "{{ ['controller', 'target'] | product(variants) }}"
      vars:
        variants:
          - {}
          - {privatekey_type: ECC}
          - {privatekey_type: ECC, regenerate: partial}
          - {privatekey_type: RSA, regenerate: always}
          - {privatekey_passphrase_file: null}
          - {privatekey_passphrase_file: "{{ dir }}/wrong"}
          - {ca_privatekey_path: "{{ dir }}/leaf-key.pem"}
          - {ca_path: "{{ dir }}/ca-key.pem"}
          - {ca_path: "{{ dir }}/leaf-key.pem", ca_privatekey_path: "{{ dir }}/ca.pem"}
          - {ca_config: "{{ dir }}/ca-key.pem"}
          - {path: "{{ dir }}/ca-key.pem", ca_privatekey_passphrase_file: "{{ dir }}/ca-key.pem"}
          - {privatekey_path: "{{ dir }}/nowhere/x"}
          - {subject: {CN: ""}}
"""
ONE = """
- kube_ha.scheduler.x509_cert: "{{ leaf | combine({'ca_on': item.0}, item.1) }}"
  register: result
  ignore_errors: true
- ansible.builtin.set_fact:
    cacheable: true
    remembered: "{{ remembered | default([]) + [result] }}"
"""


def needles(key: Path, secret: bytes | None) -> set[bytes]:
    """Return strings that contain parts of a key: lines, base64 at each offset, and hexadecimal."""
    pem = key.read_bytes()
    private = serialization.load_pem_private_key(pem, secret)
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found = set()
    for text in (pem, plain):
        found |= {line for line in text.splitlines() if len(line) > 30 and b"-----" not in line}
        for offset in range(3):
            encoded = base64.b64encode(text[offset:])
            found |= {encoded[start : start + 40] for start in range(80, len(encoded) - 80, 40)}
    found |= {der[start : start + 16].hex().encode() for start in range(40, len(der) - 16, 16)}
    return found


def test_key_is_only_in_its_file(tmp_path: Path) -> None:
    if not (ROOT / ".collections").exists():
        pytest.skip("needs the repository")
    folder, home = tmp_path / "pairs", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    (folder / "passphrase").write_text("correct horse battery staple\n")
    (folder / "wrong").write_text("incorrect horse battery staple\n")
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "one.yml").write_text(ONE)
    environment = {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(home),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_LOG_PATH": str(home / "log"),
        "ANSIBLE_DEBUG": "1",
        "ANSIBLE_KEEP_REMOTE_FILES": "1",
        "ANSIBLE_PIPELINING": "0",
        "ANSIBLE_REMOTE_TMP": str(home / "remote"),
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(home / "facts"),
        "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1",
    }
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        str(tmp_path / "play.yml"),
        "-vvvvv",
        "--diff",
    ]
    command += [
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        f"dir={folder}",
        "-e",
        f"ansible_python_interpreter={sys.executable}",
    ]
    with (home / "output").open("wb") as output, watched() as seen:
        done = subprocess.run(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    text = (home / "output").read_text()
    assert done.returncode == 0, text[-3000:]
    assert "Traceback (most recent call last)" not in text
    assert text.count("FAILED! =>") >= 18
    search(folder, home, seen)


def search(folder: Path, home: Path, seen: set[bytes]) -> None:
    keys = {path for path in folder.iterdir() if b"PRIVATE KEY" in path.read_bytes()}
    assert len(keys) > 3, "backups too"
    wanted: set[bytes] = {b"correct horse battery staple"}
    for key in keys:
        encrypted = b"ENCRYPTED" in key.read_bytes()
        wanted |= needles(key, b"correct horse battery staple" if encrypted else None)
    places = {str(place): place.read_bytes() for place in home.rglob("*") if place.is_file()}
    assert sum("AnsiballZ" in name for name in places) > 20, "the kept remote files"
    assert [
        name for name, content in places.items() if any(needle in content for needle in wanted)
    ] == []
    assert any(b"ansible" in each for each in seen)
    assert not any(needle in each for needle in wanted for each in seen)
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long x509_cert takes beside community.crypto's chain of privatekey, csr and x509_certificate: first issue and no change.

Usage: python tests/benchmark/x509_cert.py ANSIBLE_PLAYBOOK
where ANSIBLE_PLAYBOOK is that of an environment with the PyPI package "ansible", which brings community.crypto.
Writes the figures to docs/benchmark.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import page

ROOT = Path(__file__).parents[2]
PAIRS, ROUNDS = 8, 3
CA = """
    - kube_ha.scheduler.x509_cert:
        {path: "{{ dir }}/ca.pem", privatekey_path: "{{ dir }}/ca-key.pem", subject: {CN: ca}, is_ca: true, valid_for: 87600h}
"""
TASKS = {
    "nothing": "",
    "x509_cert": """
    - kube_ha.scheduler.x509_cert:
        path: "{{ dir }}/%(name)s.pem"
        privatekey_path: "{{ dir }}/%(name)s-key.pem"
        privatekey_type: ECC
        subject: {CN: "system:kube-scheduler", O: "system:kube-scheduler"}
        subject_alt_name: [127.0.0.1]
        ca_on: %(ca_on)s
        ca_path: "{{ dir }}/ca.pem"
        ca_privatekey_path: "{{ dir }}/ca-key.pem"
""",
    "two runs of ping": """
    - ansible.builtin.ping:
    - ansible.builtin.ping:
""",
    "community.crypto": """
    - community.crypto.openssl_privatekey: {path: "{{ dir }}/%(name)s-key.pem", type: ECC, curve: secp256r1}
    - community.crypto.openssl_csr:
        path: "{{ dir }}/%(name)s.csr"
        privatekey_path: "{{ dir }}/%(name)s-key.pem"
        subject: {CN: "system:kube-scheduler", O: "system:kube-scheduler"}
        subject_alt_name: ["IP:127.0.0.1"]
        key_usage: [digitalSignature]
        key_usage_critical: true
        extended_key_usage: [clientAuth, serverAuth]
        basic_constraints: ["CA:FALSE"]
        basic_constraints_critical: true
    - community.crypto.x509_certificate:
        path: "{{ dir }}/%(name)s.pem"
        csr_path: "{{ dir }}/%(name)s.csr"
        provider: ownca
        ownca_path: "{{ dir }}/ca.pem"
        ownca_privatekey_path: "{{ dir }}/ca-key.pem"
""",
}


def played(program: str, folder: Path, tasks: str) -> float:
    """Return how long a play of these tasks takes."""
    play = folder / "play.yml"
    play.write_text(
        f"- hosts: localhost\n  gather_facts: false\n  tasks:\n    - meta: noop\n{tasks}"
    )
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    python = str(Path(program).parent / "python")
    command = [
        program,
        str(play),
        "-e",
        f"dir={folder}",
        "-e",
        f"ansible_python_interpreter={python}",
    ]
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=folder)
    return time.monotonic() - started


def main() -> None:
    program = os.path.abspath(sys.argv[1])
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        played(program, folder, CA)
        for number in range(ROUNDS):
            idle = played(program, folder, "")
            # As many as an issue by the controller takes: one for the request, one for the certificate.
            seconds.setdefault("two runs of ping, first issue", []).append(
                (played(program, folder, TASKS["two runs of ping"] * PAIRS) - idle) / PAIRS
            )
            for chain, ca_on in (
                ("x509_cert", "target"),
                ("x509_cert", "controller"),
                ("community.crypto", ""),
            ):
                label = f"{chain} {ca_on}".strip()
                cases = (
                    {"name": f"{chain}-{ca_on}-{number}-{pair}", "ca_on": ca_on}
                    for pair in range(PAIRS)
                )
                tasks = "".join(TASKS[chain] % case for case in cases)
                for kind in ("first issue", "no change"):
                    took = (played(program, folder, tasks) - idle) / PAIRS
                    seconds.setdefault(f"{label}, {kind}", []).append(took)
    page.fill("x509_cert", figures(seconds))


def figures(seconds: dict[str, list[float]]) -> list[str]:
    """The best of each, with the worst, and its ratio to community.crypto's."""
    rows = []
    for label, times in seconds.items():
        theirs = min(seconds[f"community.crypto, {label.partition(', ')[2]}"])
        rows.append([label, f"{min(times):.2f}", f"{max(times):.2f}", f"{min(times) / theirs:.2f}"])
    header = ("a pair", "best, s", "worst, s", "to community.crypto's")
    return [
        f"{page.machine()}. Rounds: {ROUNDS}, of {PAIRS} pairs each.",
        "",
        *page.table(header, rows),
    ]


if __name__ == "__main__":
    main()

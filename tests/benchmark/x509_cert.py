# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure x509_cert and community.crypto's chain of three modules: first issue and no change.

Usage: python tests/benchmark/x509_cert.py ANSIBLE_PLAYBOOK
ANSIBLE_PLAYBOOK must be in an environment with the PyPI package "ansible" and its community.crypto.
The figures are written to docs/benchmark.md.
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
CHAINS = (("x509_cert", "target"), ("x509_cert", "controller"), ("community.crypto", ""))
CA = """
    - kube_ha.scheduler.x509_cert:
        path: "{{ dir }}/ca.pem"
        privatekey_path: "{{ dir }}/ca-key.pem"
        subject: {CN: ca}
        is_ca: true
        valid_for: 87600h
"""
TASKS = {
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
    - community.crypto.openssl_privatekey:
        path: "{{ dir }}/%(name)s-key.pem"
        type: ECC
        curve: secp256r1
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


def measure_play(program: str, directory: Path, tasks: str) -> float:
    """Return the wall time of a play of these tasks in seconds."""
    play = directory / "play.yml"
    play.write_text(
        f"- hosts: localhost\n  gather_facts: false\n  tasks:\n    - meta: noop\n{tasks}"
    )
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    python = str(Path(program).parent / "python")
    command = [program, str(play), "-e", f"dir={directory}"]
    command += ["-e", f"ansible_python_interpreter={python}"]
    started = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True, cwd=directory)
    return time.monotonic() - started


def measure_round(program: str, directory: Path, number: int) -> dict[str, float]:
    """Return the seconds per key pair, by the chain of modules and the case."""
    idle = measure_play(program, directory, "")

    def seconds(tasks: str) -> float:
        return (measure_play(program, directory, tasks) - idle) / PAIRS

    # The floor has two module runs. If the CA is on the controller, the issue of a certificate also
    # takes two: one for the request and one for the result.
    result = {"two runs of ping, first issue": seconds(TASKS["two runs of ping"] * PAIRS)}
    for chain, ca_on in CHAINS:
        names = (f"{chain}-{ca_on}-{number}-{pair}" for pair in range(PAIRS))
        tasks = "".join(TASKS[chain] % {"name": name, "ca_on": ca_on} for name in names)
        for case in ("first issue", "no change"):
            result[f"{chain} {ca_on}".strip() + f", {case}"] = seconds(tasks)
    return result


def main() -> None:
    program = os.path.abspath(sys.argv[1])
    rounds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        measure_play(program, directory, CA)
        for number in range(ROUNDS):
            for label, seconds in measure_round(program, directory, number).items():
                rounds.setdefault(label, []).append(seconds)
    page.fill("x509_cert", figures(rounds))


def figures(rounds: dict[str, list[float]]) -> list[str]:
    """Return the best and worst time of each chain, and the ratio of the best times."""
    rows = []
    for label, times in rounds.items():
        theirs = min(rounds[f"community.crypto, {label.partition(', ')[2]}"])
        rows.append([label, f"{min(times):.2f}", f"{max(times):.2f}", f"{min(times) / theirs:.2f}"])
    header = ("per pair", "best, s", "worst, s", "ratio to community.crypto")
    return [
        f"{page.machine()}. Rounds: {ROUNDS}, of {PAIRS} pairs each.",
        "",
        *page.table(header, rows),
    ]


if __name__ == "__main__":
    main()

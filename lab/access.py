# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the files for users and Ansible: SSH keys, inventory, cfssl profile."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from binaries import place
from settings import Settings, address
from shell import output, write_if_changed

CA_CONFIG = {
    "signing": {
        "default": {"expiry": "87600h"},
        "profiles": {
            "kubernetes": {
                "usages": ["signing", "key encipherment", "server auth", "client auth"],
                "expiry": "87600h",
            }
        },
    }
}


def ensure_keys(settings: Settings) -> dict[str, str]:
    """Create a user key and a host key for each host. Return a digest of the keys on each host."""
    (settings.state / "pki").mkdir(parents=True, exist_ok=True)
    public = ensure_key(settings.state / "ssh_key", f"lab {settings.name}")
    digests = {}
    for host in settings.hosts:
        directory = settings.state / "masters" / host / "etc"
        (directory / "pki").mkdir(
            parents=True, exist_ok=True
        )  # mount point of the control plane's certificates
        (directory.parent / "etcd").mkdir(exist_ok=True)
        write_if_changed(directory / "authorized_keys", public)
        host_key = ensure_key(directory / "ssh_host_ed25519_key", settings.hostname(host))
        digests[host] = hashlib.sha256((public + host_key).encode()).hexdigest()[:16]
    return digests


def remove_other_hosts(settings: Settings) -> None:
    """Remove the files of hosts that the lab no longer contains."""
    for directory in (settings.state / "masters").iterdir():
        if directory.name not in settings.hosts:
            shutil.rmtree(directory)


def ensure_key(path: Path, comment: str) -> str:
    public = path.with_name(f"{path.name}.pub")
    if not (path.exists() and public.exists()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
    return public.read_text()


def write(settings: Settings, subnet: ipaddress.IPv4Network) -> None:
    state = settings.state
    addresses = {host: address(subnet, host) for host in settings.hosts}
    known = []
    for host in settings.hosts:
        public = state / "masters" / host / "etc/ssh_host_ed25519_key.pub"
        known.append(f"{addresses[host]} {public.read_text().strip()}\n")
    write_if_changed(state / "known_hosts", "".join(known))
    write_if_changed(state / "ca-config.json", json.dumps(CA_CONFIG, indent=2) + "\n")
    write_if_changed(state / "inventory.yml", as_yaml(build(settings, subnet)))


def apiserver(settings: Settings, subnet: ipaddress.IPv4Network, host: str) -> str:
    """Return the apiserver of a host: the local one, or one of the control plane in turn."""
    members = settings.control_plane
    return f"https://{address(subnet, members[(int(host[1:]) - 1) % len(members)])}:6443"


def checksums(settings: Settings) -> dict[str, str]:
    """Return the checksum of each scheduler on the mirror, by version.

    The role needs the checksums, because the mirror has an `http://` URL.
    """
    paths = {
        version: place(settings.served, settings, version, command)
        for version, command in settings.required
        if command == "kube-scheduler"
    }
    return {
        version: f"sha512:{path.with_name(f'{path.name}.sha512').read_text().split()[0]}"
        for version, path in paths.items()
    }


def build(settings: Settings, subnet: ipaddress.IPv4Network) -> dict[str, Any]:
    state = settings.state
    hosts = {
        host: {
            "ansible_host": address(subnet, host),
            "kube_scheduler_apiserver": apiserver(settings, subnet, host),
        }
        for host in settings.hosts
    }
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(state / "ssh_key"),
        "ansible_ssh_common_args": (
            f"-o UserKnownHostsFile={state / 'known_hosts'} -o GlobalKnownHostsFile=/dev/null"
            " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none"
        ),
        "ansible_python_interpreter": "/usr/bin/python3",
        "kube_scheduler_version": settings.version,
        "kube_scheduler_ca_cert": str(state / "ca.pem"),
        "kube_scheduler_ca_key": str(state / "ca-key.pem"),
        "kube_scheduler_ca_config": str(state / "ca-config.json"),
        "kube_scheduler_ca_profile": "kubernetes",
        "kube_scheduler_binary_url": f"http://{address(subnet, 'mirror')}",
        "kube_scheduler_binary_checksum": checksums(settings),
        "kube_scheduler_admin_kubeconfig": str(state / "admin.kubeconfig"),
    }
    return {
        "kube_masters": {"hosts": hosts, "vars": variables},
        "lab_control_plane": {"hosts": dict.fromkeys(settings.control_plane)},
    }


def as_yaml(tree: Mapping[str, Any], indent: int = 0) -> str:
    """Format a mapping as YAML for an inventory.

    Each value is written as JSON, because JSON is valid YAML.
    """
    lines = ["---\n"] if not indent else []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            lines.append(f"{' ' * indent}{key}:\n{as_yaml(value, indent + 2)}")
        else:
            lines.append(f"{' ' * indent}{key}: {json.dumps(value)}\n")
    return "".join(lines)

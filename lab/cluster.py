# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploy the lab's control plane with cluster.yml, create its nodes and report its state."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import re
import shutil
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import binaries
from podman import Podman, alive
from settings import Settings, address, version_key
from shell import LabError, output, run, say, write_if_changed

MARKER = "cluster.json"
READY_TIMEOUT_S = 120.0
NODES = ("worker-1", "worker-2")
GRANTS = "docs/examples/configz-reader"
RESOURCES = {"cpu": "4", "memory": "8Gi", "pods": "110"}


class Service(NamedTuple):
    """Hold the CA, the client's key pair and the port of a service."""

    ca: str
    pair: str
    port: int


ETCD = Service("etcd-ca", "etcd", 2379)
APISERVER = Service("ca", "admin", 6443)


def reset_if_incompatible(settings: Settings, podman: Podman) -> None:
    """Reset the cluster if its etcd data is for other members or another Kubernetes version."""
    marker = settings.state / MARKER
    desired = {"members": list(settings.control_plane), "version": settings.version}
    previous = {
        "members": [directory.parent.name for directory in settings.state.glob("masters/*/etcd")],
        "version": "0.0.0",
    }
    with contextlib.suppress(OSError, ValueError):
        previous = json.loads(marker.read_text())
    if previous["members"] and (is_incompatible(previous, desired) or not marker.exists()):
        say(
            "The control plane changed or did not start: re-creating its members with a new cluster"
        )
        podman.remove([settings.container(host) for host in previous["members"]])
        for host in previous["members"]:
            shutil.rmtree(settings.state / "masters" / host / "etcd", ignore_errors=True)
    write_if_changed(marker, json.dumps(desired) + "\n")


def is_incompatible(previous: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Return whether the cluster needs new data.

    An apiserver upgrades by at most one minor version and never downgrades.
    """
    if previous["members"] != desired["members"]:
        return True
    before, after = version_key(previous["version"]), version_key(desired["version"])
    return after < before or after[:2] > (before[0], before[1] + 1)


def converge(settings: Settings, subnet: ipaddress.IPv4Network) -> None:
    deploy(settings, subnet)
    members = {host: address(subnet, host) for host in settings.control_plane}
    wait_until_ready(settings, members)
    api = next(iter(members.values()))
    for node in NODES:
        create_node(settings, api, node)
    for manifest in sorted((settings.root / GRANTS).iterdir(), reverse=True):
        apply_manifest(settings, api, manifest.read_text())


def deploy(settings: Settings, subnet: ipaddress.IPv4Network) -> None:
    members = settings.control_plane
    variables = {
        "lab_state": str(settings.state),
        "lab_apiserver": str(
            binaries.place(
                Path("/usr/share/lab-binaries"), settings, settings.version, "kube-apiserver"
            )
        ),
        "lab_clusters": [
            {
                "name": host,
                "server": f"https://{address(subnet, host)}:{APISERVER.port}",
                "certificate_authority": str(settings.state / "ca.pem"),
                "embed_certs": True,
            }
            for host in members
        ],
        "lab_contexts": [{"name": host, "cluster": host, "user": "admin"} for host in members],
    }
    playbook = settings.root / ".venv" / "bin" / "ansible-playbook"
    program = str(playbook) if playbook.exists() else shutil.which("ansible-playbook")
    if not program:
        raise LabError(
            f"ansible-playbook is neither in {playbook.parent} nor in PATH; "
            "run `make lab-up` to install it"
        )
    write_if_changed(
        settings.state / "cluster-variables.json", json.dumps(variables, indent=2) + "\n"
    )
    run(
        [
            program,
            f"--inventory={settings.state / 'inventory.yml'}",
            f"--extra-vars=@{settings.state / 'cluster-variables.json'}",
            str(settings.root / "lab" / "cluster.yml"),
        ],
        "Deploying the control plane",
        settings.logs / "cluster.log",
        cwd=settings.root,
        environment={"ANSIBLE_CONFIG": str(settings.root / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
    )


def request(
    settings: Settings, service: Service, host: str, path: str, patch: str | None = None
) -> tuple[int, str]:
    """Send a request over verified TLS with a client certificate of the lab."""
    pki = settings.state / "pki"
    context = ssl.create_default_context(cafile=str(pki / f"{service.ca}.pem"))
    context.load_cert_chain(str(pki / f"{service.pair}.pem"), str(pki / f"{service.pair}-key.pem"))
    connection = http.client.HTTPSConnection(host, service.port, timeout=5, context=context)
    with contextlib.closing(connection):
        if patch is None:
            connection.request("GET", path)
        else:
            # A server-side apply can be repeated. The body of a server-side apply is YAML, so JSON
            # is valid too.
            connection.request(
                "PATCH", path, patch, {"Content-Type": "application/apply-patch+yaml"}
            )
        response = connection.getresponse()
        return response.status, response.read(1 << 20).decode("utf-8", "replace")


def apiserver_state(settings: Settings, host: str) -> str:
    try:
        status, _body = request(settings, APISERVER, host, "/readyz")
    except (OSError, http.client.HTTPException) as error:
        return describe_error(error)
    return "ready" if status == 200 else f"not ready ({status})"


def etcd_state(settings: Settings, host: str) -> str:
    try:
        _status, body = request(settings, ETCD, host, "/health")
        return "healthy" if json.loads(body).get("health") == "true" else "unhealthy"
    except ValueError:
        return "unhealthy"
    except (OSError, http.client.HTTPException) as error:
        return describe_error(error)


def describe_error(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate rejected"
    return "refused" if isinstance(error, ConnectionRefusedError) else "no response"


def wait_until_ready(settings: Settings, members: Mapping[str, str]) -> None:
    started = displayed = time.monotonic()
    while True:
        states = {
            f"{host} apiserver": apiserver_state(settings, target)
            for host, target in members.items()
        }
        states |= {f"{host} etcd": etcd_state(settings, target) for host, target in members.items()}
        waiting = [
            f"{part} {state}" for part, state in states.items() if state not in ("ready", "healthy")
        ]
        if not waiting:
            return
        now = time.monotonic()
        if now - started > READY_TIMEOUT_S:
            container = settings.container(waiting[0].split()[0])
            (settings.state / MARKER).unlink(missing_ok=True)
            raise LabError(
                f"not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(waiting)}; see "
                f"`podman exec {container} journalctl -u kube-apiserver -u lab-etcd`; "
                "the next lab-up re-creates the cluster"
            )
        if now - displayed > 10:
            displayed = now
            say(f"  Waiting for the control plane: {', '.join(waiting)}, {now - started:.0f} s")
        time.sleep(0.3)


def create_node(settings: Settings, host: str, name: str) -> None:
    """Create a Node object without a kubelet.

    The scheduler binds pods to the node, but no container starts.
    """
    node: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    status = {
        "capacity": RESOURCES,
        "allocatable": RESOURCES,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Lab", "message": "node of the lab"}
        ],
    }
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": settings.arch,
    }
    path = f"/api/v1/nodes/{name}"
    for suffix, body in (
        ("", {**node, "metadata": {"name": name, "labels": labels}}),
        ("/status", {**node, "status": status}),
    ):
        apply(settings, host, f"{path}{suffix}", json.dumps(body))


def apply_manifest(settings: Settings, host: str, manifest: str) -> None:
    """Apply a cluster-scoped manifest from docs/examples."""
    version, kind, name = (
        re.findall(rf"^ *{key}: (\S+)$", manifest, re.MULTILINE)[0]
        for key in ("apiVersion", "kind", "name")
    )
    apply(settings, host, f"/apis/{version}/{kind.lower()}s/{name}", manifest)


def apply(settings: Settings, host: str, path: str, manifest: str) -> None:
    code, body = request(settings, APISERVER, host, f"{path}?fieldManager=lab&force=true", manifest)
    if code not in (200, 201):
        raise LabError(f"the apiserver rejects {path}: {code} {body[:200]}")


def report(settings: Settings, podman: Podman, subnet: ipaddress.IPv4Network) -> bool:
    """Print a table of the lab. Return whether all parts are healthy."""
    containers = podman.containers()
    with ThreadPoolExecutor(len(settings.hosts) + 1) as pool:
        rows = list(
            pool.map(
                lambda host: row(settings, containers, subnet, host), [*settings.hosts, "mirror"]
            )
        )
    say(as_table([("HOST", "CONTAINER", "STATE", "ADDRESS", "ETCD", "APISERVER"), *rows]))
    ready = [line[0] for line in rows if line[5] == "ready"]
    select_context(settings, ready)
    return all(
        line[2] == "running" and line[4] in ("healthy", "-") and line[5] in ("ready", "-")
        for line in rows
    )


def row(
    settings: Settings,
    containers: Mapping[str, dict[str, Any]],
    subnet: ipaddress.IPv4Network,
    host: str,
) -> tuple[str, ...]:
    name = settings.mirror if host == "mirror" else settings.container(host)
    target = address(subnet, host)
    entry = containers.get(name)
    if entry is None:
        state = "missing"
    elif alive(entry):
        state = "running"
    else:
        state = "dead" if entry["State"].get("Running") else str(entry["State"]["Status"])
    if host not in settings.control_plane:
        return host, name, state, target, "-", "-"
    if state != "running":
        return host, name, state, target, "down", "down"
    return (
        host,
        name,
        state,
        target,
        etcd_state(settings, target),
        apiserver_state(settings, target),
    )


def as_table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in rows
    )


def select_context(settings: Settings, ready: Iterable[str]) -> None:
    """Select the context of a ready apiserver, unless the current apiserver is ready."""
    kubectl = binaries.place(settings.served, settings, settings.version, "kubectl")
    kubeconfig = settings.state / "admin.kubeconfig"
    ready = list(ready)
    if not (ready and kubectl.exists() and kubeconfig.exists()):
        return
    config = [str(kubectl), f"--kubeconfig={kubeconfig}", "config"]
    if output([*config, "current-context"], check=False).strip() not in ready:
        output([*config, "use-context", ready[0]])

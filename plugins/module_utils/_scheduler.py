# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The truth about the scheduler of one host: what is to be seen, and what is wrong with it.

`active (running)` and /healthz 200 hold for a scheduler whose certificates have expired. Here a host is healthy when C(judge) finds nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import platform
import pwd
import re
import socket
import ssl
import struct
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from ansible_collections.kube_ha.scheduler.plugins.module_utils import (
    _kube_client,
    _lease,
    _release,
    _systemd,
    _versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import _certificate

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# What this collection's modules import on a master beyond the standard library.
LIBRARIES = ("cryptography", "yaml")
LISTEN = "0A"
# Leaders renew every retry period (2 s by default); a lease that stood still for this long is not moving.
LEASE_PATIENCE = 6.0
# Each look is a TLS handshake for an apiserver, and all hosts look at once.
LEASE_INTERVAL = 0.1
HTTP_TIMEOUT = 5.0
POLL = 0.5
STATIC_POD = "/etc/kubernetes/manifests/kube-scheduler.yaml"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: str


def parse_listeners(table: str) -> list[Listener]:
    """The listening sockets in the text of /proc/net/tcp or /proc/net/tcp6."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == LISTEN:
            raw, port = words[1].split(":")
            # The kernel prints each 32-bit word of the address in its own byte order.
            octets = b"".join(struct.pack("=I", int(raw[i : i + 8], 16)) for i in range(0, len(raw), 8))
            family = socket.AF_INET if len(octets) == 4 else socket.AF_INET6
            found.append(Listener(socket.inet_ntop(family, octets), int(port, 16), words[9]))
    return found


def parse_os_release(text: str) -> list[str]:
    """ID and ID_LIKE of /etc/os-release, the nearest name first."""
    fields = _systemd.parse_show(text)
    return [word for key in ("ID", "ID_LIKE") for word in fields.get(key, "").strip("\"'").split()]


@dataclass(frozen=True)
class Question:
    """What is asked of a host; the options of scheduler_info."""

    unit: str
    bind_address: str
    secure_port: int
    ready_path: str
    kubeconfig: str
    serving_ca: str | None
    apiserver: str | None
    apiserver_ca: str | None
    tls_server_name: str | None
    metrics_pair: tuple[str, str] | None
    lease: tuple[str, str]
    user: str | None
    binary: str | None
    versions: dict[str, t.Any]
    https: bool = True
    http: int = 0
    ready_over: str = "https"
    sources: tuple[tuple[str, ...], ...] = (tuple(_lease.SOURCES),)

    def of_process(self, version: str, lock: str) -> Question:
        """The same question, put as this version of a scheduler can answer it, which was told to elect by this lock."""
        row = _versions.row_of(self.versions, version)
        if row is None:
            return self
        return replace(
            self,
            https=bool(row["https"]),
            http=row["http"],
            ready_path=row["ready"]["path"],
            ready_over=row["ready"]["port"],
            sources=_versions.sources_of(lock or row["locks"][0]) or self.sources,
        )


def host(question: Question, systemd: _systemd.Systemd) -> dict[str, t.Any]:
    """What does not depend on a scheduler."""
    with contextlib.suppress(OSError), open("/etc/os-release", encoding="utf-8") as stream:
        families = parse_os_release(stream.read())
    machine = platform.machine()
    return {
        "hostname": socket.gethostname(),
        "architecture": ARCHITECTURES.get(machine, machine),
        "os_families": families,
        "systemd_version": systemd.version(),
        "python_version": platform.python_version(),
        "missing_libraries": [name for name in LIBRARIES if importlib.util.find_spec(name) is None],
        "time": time.time(),
        "user_exists": bool(question.user and _user_exists(question.user)),
    }


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def binary(path: str | None, record: dict[str, t.Any]) -> dict[str, t.Any]:
    """Whether a binary is there, and is the one whose checksum was verified when it came."""
    exists = path is not None and os.path.isfile(path)
    wanted = record.get("binaries", {}).get(path)
    verified = path is not None and exists and wanted is not None and _release.sha256(path) == wanted
    return {"path": path, "exists": exists, "verified": verified}


def apiserver(question: Question) -> dict[str, t.Any] | None:
    """The version of the apiserver, read over verified TLS. That it denies anonymous readers counts as an answer."""
    if not question.apiserver:
        return None
    found: dict[str, t.Any] = {"server": question.apiserver, "reachable": False, "version": None, "error": None}
    try:
        client = _kube_client.Client(
            [
                _kube_client.Credentials(
                    origin="kube_scheduler_apiserver",
                    server=question.apiserver,
                    ca_pem=question.apiserver_ca,
                    tls_server_name=question.tls_server_name,
                )
            ],
            timeout=HTTP_TIMEOUT,
        )
        found["version"] = client.get("/version")["gitVersion"]
    except _kube_client.StatusError as error:
        if error.kind not in ("unauthorized", "forbidden"):
            found["error"] = str(error)
    except (_kube_client.KubeError, KeyError) as error:
        found["error"] = str(error)
    found["reachable"] = found["error"] is None
    return found


def scheduler(question: Question, systemd: _systemd.Systemd) -> dict[str, t.Any]:
    """What is to be seen of the unit, its process and what that serves; what is wrong is in C(problems)."""
    shown = systemd.show(question.unit)
    pid = int(shown.get("MainPID") or 0)
    version = systemd.version_of(f"/proc/{pid}/exe") if pid else ""
    lock = _lock(pid)
    question = question.of_process(version, lock)
    facts: dict[str, t.Any] = {
        "unit": {
            "name": question.unit,
            "load_state": shown.get("LoadState", ""),
            "active_state": shown.get("ActiveState", ""),
            "sub_state": shown.get("SubState", ""),
            "enabled": shown.get("UnitFileState", ""),
            "result": shown.get("Result", ""),
            "restarts": int(shown.get("NRestarts") or 0),
            "since": shown.get("ExecMainStartTimestamp", ""),
        },
        "process": {
            "pid": pid,
            "digest": _systemd.environment_of(pid).get(_release.DIGEST_VARIABLE, ""),
            "version": version,
            "lock": lock,
        },
        "port": _port(question.secure_port if question.https else question.http, pid),
        "others": _others(pid),
        "seen": dict.fromkeys(PROBES),
        "faults": [],
    }
    if pid:
        with ThreadPoolExecutor(len(PROBES)) as pool:
            asked = {name: pool.submit(_probe, name, question, pid) for name in PROBES}
        for name, answer in asked.items():
            facts["seen"][name], faults = answer.result()
            facts["faults"] += faults
        if systemd.show(question.unit).get("MainPID") != shown["MainPID"]:
            facts["faults"].append(f"{question.unit} was restarted while it was looked at")
    facts["problems"] = judge(facts)
    facts["healthy"] = not facts["problems"]
    return facts


def judge(facts: dict[str, t.Any]) -> list[str]:
    """What keeps this host from being healthy, one sentence each."""
    unit, port, seen = facts["unit"], facts["port"], facts["seen"]
    problems = [f"another kube-scheduler runs here: {other}" for other in facts["others"]]
    if unit["load_state"] != "loaded":
        problems.append(f"{unit['name']} is not installed")
    elif unit["active_state"] != "active":
        problems.append(f"{unit['name']} is {unit['active_state']} ({unit['sub_state']}, result {unit['result']})")
    elif unit["enabled"] != "enabled":
        problems.append(f"{unit['name']} is not enabled, so it would not come back after a reboot")
    if port["held_by"] and not port["ours"]:
        problems.append(f"port {port['number']} is held by {port['held_by']}")
    if not facts["process"]["pid"]:
        return problems
    for name in CERTIFICATES:
        problems += [f"{WHAT[name]} {fault}" for fault in _faults_of_certificate(seen[name])]
    for name, fine in STATUSES.items():
        if seen[name] is not None and seen[name] not in fine:
            problems.append(f"{WHAT[name]}: HTTP {seen[name]}, wanted {' or '.join(map(str, fine))}")
    if seen["lease"] and not seen["lease"]["moving"]:
        problems.append(
            f"{WHAT['lease']}: it is {seen['lease']['state']}, and was not renewed within {LEASE_PATIENCE:g} s"
        )
    return problems + facts["faults"]


def _faults_of_certificate(certificate: dict[str, t.Any] | None) -> list[str]:
    if certificate is None or certificate["valid"]:
        return []
    named = f"({certificate['subject']}, serial {certificate['serial_number']})"
    if certificate["days_left"] < 0:
        return [f"{named} expired on {certificate['not_after']}"]
    return [f"{named} is not valid before {certificate['not_before']}"]


def _probe(name: str, question: Question, pid: int) -> tuple[t.Any, list[str]]:
    try:
        return PROBES[name](question, pid), []
    except FAULTS as error:
        return None, [f"{WHAT[name]}: {error}"]


class UnseenError(Exception):
    """One line: why something could not be looked at."""


def _describe(pem: str) -> dict[str, t.Any]:
    if importlib.util.find_spec("cryptography") is None:
        raise UnseenError("it cannot be read, for python3-cryptography is not installed")
    certificate = next(iter(_certificate.parse(pem.encode())), None)
    if certificate is None:
        raise UnseenError("it cannot be parsed")
    now = datetime.now(timezone.utc)
    begins, ends = _certificate.validity(certificate)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "valid": begins <= now < ends,
        **_certificate.identity(certificate, now),
    }


def _served(question: Question, _pid: int) -> dict[str, t.Any] | None:
    if not question.https:
        return None
    der = _kube_client.peer_certificate(question.bind_address, question.secure_port, HTTP_TIMEOUT)
    return _describe(ssl.DER_cert_to_PEM_cert(der))


def _used(question: Question, pid: int) -> dict[str, t.Any] | None:
    pair = _kube_client.credentials(_kubeconfig_of(question, pid)).client_pem
    return _describe(pair[0]) if pair else None


def _kubeconfig_of(question: Question, pid: int) -> str:
    """What the process itself reads: its credential where systemd gave it one, which outlives a change of the file."""
    own = f"/proc/{pid}/root{_systemd.credentials_folder(question.unit)}/kubeconfig"
    return own if os.path.exists(own) else question.kubeconfig


def _status(question: Question, path: str, pair: tuple[str, str] | None = None) -> int:
    return _kube_client.https_get(
        question.bind_address,
        question.secure_port,
        path,
        ca_pem=question.serving_ca,
        client_pem=pair,
        timeout=HTTP_TIMEOUT,
    ).status


def _plain(question: Question, path: str) -> int:
    """The HTTP status on the port of old versions, which bind it to the loopback address here."""
    connection = http.client.HTTPConnection("127.0.0.1", question.http, timeout=HTTP_TIMEOUT)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise UnseenError(f"http://127.0.0.1:{question.http}{path}: {error}") from None
    finally:
        connection.close()


def _ready(question: Question, _pid: int) -> int:
    ask = _plain if question.ready_over == "http" else _status
    return ask(question, question.ready_path)


def _anonymous(question: Question, _pid: int) -> int | None:
    return _status(question, "/metrics") if question.https else None


def _reader(question: Question, _pid: int) -> int | None:
    return _status(question, "/metrics", question.metrics_pair) if question.metrics_pair and question.https else None


def _http(question: Question, pid: int) -> int | None:
    return _plain(question, "/metrics") if question.http and _port(question.http, pid)["ours"] else None


def _election(question: Question, pid: int) -> dict[str, t.Any]:
    client = _kube_client.load(_kubeconfig_of(question, pid), timeout=HTTP_TIMEOUT)
    # While members go over to another lock, only one of the objects that a pair of locks has is written to.
    views = []
    for sources in question.sources:
        read = _lease.reader(client.get, *question.lease, sources)
        views.append(_lease.observe(read, timeout=LEASE_PATIENCE, interval=LEASE_INTERVAL)[0])
        if views[-1].moving:
            break
    view = next((view for view in views if view.moving), views[0])
    record = view.record
    return {
        "state": view.state,
        "moving": view.moving,
        "holder": view.node,
        "holder_identity": record.identity if record else "",
        "source": record.source if record else "",
        "transitions": record.transitions if record else 0,
        "lease_duration": record.lease_duration if record else 0,
        "acquire_time": record.acquire_time if record else None,
        "renew_time": record.renew_time if record else None,
        "age": _age(record.renew_time) if record and record.renew_time else None,
    }


def _age(renew_time: str) -> float:
    """Seconds since a renewal by this host's clock: for a person to read, never to decide by."""
    renewed = datetime.strptime(renew_time.split(".", maxsplit=1)[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S")
    return round(time.time() - renewed.replace(tzinfo=timezone.utc).timestamp(), 1)


PROBES: dict[str, t.Callable[[Question, int], t.Any]] = {
    "served": _served,
    "used": _used,
    "ready": _ready,
    "metrics_anonymous": _anonymous,
    "metrics_reader": _reader,
    "metrics_http": _http,
    "lease": _election,
}
FAULTS = (_kube_client.KubeError, _lease.LeaseError, UnseenError)
WHAT = {
    "served": "the certificate that it serves",
    "used": "the certificate that it uses at the apiserver",
    "ready": "readiness",
    "metrics_anonymous": "metrics for an anonymous reader",
    "metrics_reader": "metrics for an authorised reader",
    "metrics_http": "metrics over plain HTTP",
    "lease": "the lease, with the scheduler's own credentials",
}
CERTIFICATES = ("served", "used")
STATUSES = {"ready": (200,), "metrics_anonymous": (401, 403), "metrics_reader": (200,)}


def _port(number: int, pid: int) -> dict[str, t.Any]:
    """Who listens on a port, and where."""
    listeners: list[Listener] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table, encoding="ascii") as stream:
            listeners += parse_listeners(stream.read())
    wanted = {x.inode: x.address for x in listeners if x.port == number}
    # Our own process first: the others are looked at only when it does not hold the port.
    holders = [p for p in [pid, *_pids()] if p and wanted and wanted.keys() & _sockets(p)][:1] if wanted else []
    held_by = _name(holders[0]) if holders else "an unknown process" if wanted else ""
    return {"number": number, "addresses": sorted(wanted.values()), "held_by": held_by, "ours": holders == [pid]}


def _others(pid: int) -> list[str]:
    """Further kube-schedulers on this host, running or to be started by a kubelet."""
    found = [_name(p) for p in _pids() if p != pid and _comm(p).startswith("kube-scheduler")]
    return found + ([f"static pod {STATIC_POD}"] if os.path.exists(STATIC_POD) else [])


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read().strip()
    return ""


def _lock(pid: int) -> str:
    """The lock type that a process was told on its command line or in its configuration; '' where it takes its version's default."""
    words = _read(f"/proc/{pid}/cmdline").split("\0") if pid else []
    flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    if "leader-elect-resource-lock" in flags:
        return flags["leader-elect-resource-lock"]
    told = re.search(
        r"^ +resourceLock: *[\"']?([a-z]+)", _read(f"/proc/{pid}/root{flags.get('config', '/')}"), re.MULTILINE
    )
    return told[1] if told else ""


def _comm(pid: int) -> str:
    return _read(f"/proc/{pid}/comm")


def _name(pid: int) -> str:
    unit = next(
        (w for line in _read(f"/proc/{pid}/cgroup").splitlines() for w in line.split("/")[-1:] if "." in w), "no unit"
    )
    return f"{_comm(pid) or 'a process'} (pid {pid}, {unit})"


def _sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def run(
    params: dict[str, t.Any],
    systemd: _systemd.Systemd,
    clock: t.Callable[[], float],
    sleep: t.Callable[[float], None],
) -> dict[str, t.Any]:
    """The module scheduler_info."""
    own = (
        "unit",
        "bind_address",
        "secure_port",
        "ready_path",
        "kubeconfig",
        "serving_ca",
        "user",
        "binary",
        "versions",
    )
    named = ("apiserver", "apiserver_ca", "tls_server_name")
    question = Question(
        **{key: params[key] for key in own + named},
        metrics_pair=(params["metrics_cert"], params["metrics_key"]) if params["metrics_cert"] else None,
        lease=(params["lease_namespace"], params["lease_name"]),
    )
    release = _release.Release(params["release_path"], _release.items_of(params["files"]))
    deadline = clock() + params["timeout"]
    while True:
        facts = scheduler(question, systemd)
        if facts["healthy"] or clock() >= deadline:
            break
        sleep(POLL)
    if not facts["healthy"]:
        facts["journal"] = systemd.journal(question.unit, params["journal_lines"])
    return {
        **host(question, systemd),
        **facts,
        "binary": binary(question.binary, release.record()),
        "prepared": os.path.isdir(release.root),
        "stale": release.stale(),
        "apiserver": apiserver(question),
        "not_checked": [] if question.metrics_pair else [WHAT["metrics_reader"]],
    }

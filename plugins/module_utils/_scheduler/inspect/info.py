# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Run the query of scheduler_info: gather the host and its scheduler, its health, and its drift."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import pwd
import socket
import time
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError, ProbeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    credentials as _credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    versions as _versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    parse_files,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    instances,
    static_pod,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    process as _process,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    systemd as _systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    LEASE_ACCESS_ERRORS,
    process_kubeconfig,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import (
    Listener,
    LocalScheduler,
    Proc,
    other_schedulers,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.version import (
    detect_version,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import (
    effective,
    health,
    probes,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.options import (
    check_info,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    CHECK_NAMES,
    LEASE_NAMESPACE,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    ProcessSettings,
    serving_or_default,
)

KUBERNETES_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# What this collection's modules import on a master beyond the standard library.
REQUIRED_LIBRARIES = ("cryptography", "yaml")
OS_RELEASE = "/etc/os-release"
HEALTH_POLL_S = 0.5
READER = CHECK_NAMES["metrics_reader"]


class InfoModule(t.Protocol):
    """The necessary part of AnsibleModule."""

    params: dict[str, t.Any]
    check_mode: bool

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        """Return the desired attributes of the file."""

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        """Set the attributes; return whether one differed, or `changed`."""


class HostFacts(t.TypedDict):
    """The fields of the result that do not depend on a scheduler."""

    hostname: str
    architecture: str
    os_families: list[str]
    systemd_version: int
    python_version: str
    missing_libraries: list[str]
    time: float
    user_exists: bool


def parse_os_release(text: str) -> list[str]:
    """Return ID and ID_LIKE of /etc/os-release, the most specific name first."""
    fields = _systemd.parse_show(text)
    return [word for key in ("ID", "ID_LIKE") for word in fields.get(key, "").strip("\"'").split()]


def gather_host_facts(user: str | None, systemd_version: int) -> HostFacts:
    """Gather the facts that do not depend on a scheduler."""
    text = b""
    with contextlib.suppress(OSError), open(OS_RELEASE, "rb") as stream:
        text = stream.read(paths.MAX_FILE_BYTES)
    machine = platform.machine()
    return HostFacts(
        hostname=socket.gethostname(),
        architecture=KUBERNETES_ARCHITECTURES.get(machine, machine),
        os_families=parse_os_release(text.decode("utf-8", "replace")),
        systemd_version=systemd_version,
        python_version=platform.python_version(),
        missing_libraries=[name for name in REQUIRED_LIBRARIES if not probes.is_installed(name)],
        time=time.time(),
        user_exists=bool(user) and _user_exists(str(user)),
    )


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return False
    return True


def query_apiserver(server: str, params: t.Mapping[str, t.Any]) -> facts.Apiserver:
    """Query the version of an apiserver over verified TLS.

    An apiserver that denies anonymous access counts as reachable.
    """
    found = facts.Apiserver(
        server=server,
        reachable=False,
        version=None,
        error=None,
        next_serves=None,
        next_accepted=None,
    )
    try:
        version = _ask_version(server, params, params["apiserver_ca"]).get("gitVersion")
        found["version"] = version if isinstance(version, str) else None
        if found["version"] is None:
            found["error"] = (
                f"{server}/version names no version; is this the address of an apiserver?"
            )
    except _client.StatusError as error:
        if error.kind not in ("unauthorized", "forbidden"):
            found["error"] = str(error)
    except KubeError as error:
        found["error"] = str(error)
    found["reachable"] = found["error"] is None
    if found["reachable"] and params["next_ca"]:
        found["next_serves"] = _answers(server, params, params["next_ca"])
        if params["next_cert"]:
            found["next_accepted"] = _answers(
                server, params, params["apiserver_ca"], (params["next_cert"], params["next_key"])
            )
    return found


def _ask_version(
    server: str,
    params: t.Mapping[str, t.Any],
    ca_pem: str | None,
    pair: tuple[str, str] | None = None,
) -> dict[str, t.Any]:
    login = _credentials.Credentials(
        origin="apiserver",
        server=server,
        ca_pem=ca_pem,
        client_pem=pair,
        tls_server_name=params["tls_server_name"] or None,
    )
    with _client.Client([login], timeout=probes.PROBE_TIMEOUT_S) as client:
        return client.get("/version")


def _answers(
    server: str,
    params: t.Mapping[str, t.Any],
    ca_pem: str | None,
    pair: tuple[str, str] | None = None,
) -> bool | None:
    """Check that the apiserver has a certificate of these CAs and accepts this pair; None if unknown."""
    try:
        _ask_version(server, params, ca_pem, pair)
    except KubeError as error:
        if error.kind in (("unauthorized", "tls_client") if pair else ("tls_untrusted",)):
            return False
        # Somebody who is not allowed to read it is known all the same, and so is the server to one whom it does not know.
        return True if error.kind in ("forbidden", "unauthorized") else None
    return True


def find_unsafe_directories(folders: t.Sequence[str]) -> list[str]:
    """Return why root must not write into the directories.

    For a missing directory, the nearest existing parent is checked.
    """
    found = []
    for folder in folders:
        place = os.path.join("/", folder)
        while place != "/" and not os.path.isdir(place):
            place = os.path.dirname(place)
        with contextlib.suppress(OSError):
            found.append(paths.find_risk(place))
    return list(dict.fromkeys(filter(None, found)))


def describe_unit(name: str, shown: t.Mapping[str, str], manifest: str) -> facts.Unit:
    """Return the unit from the properties that systemd reports."""
    drop_ins = _systemd.drop_ins(shown, name)
    aside = [path for path in drop_ins if _systemd.is_set_aside(path)]
    return facts.Unit(
        name=name,
        load_state=shown.get("LoadState", ""),
        active_state=shown.get("ActiveState", ""),
        sub_state=shown.get("SubState", ""),
        enabled=shown.get("UnitFileState", ""),
        result=shown.get("Result", ""),
        restarts=_systemd.int_property(shown, "NRestarts"),
        since=shown.get("ExecMainStartTimestamp", ""),
        active_seconds=_systemd.active_seconds(shown, time.clock_gettime(time.CLOCK_MONOTONIC)),
        fragment_path=shown.get("FragmentPath", ""),
        drop_ins=[path for path in drop_ins if path not in aside],
        set_aside=aside,
        static_pod=manifest,
    )


class HostQuery:
    """One run of the module on a host."""

    def __init__(
        self,
        module: InfoModule,
        systemd: _systemd.Systemd,
        proc: Proc,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.module, self.systemd, self.proc = module, systemd, proc
        self.clock, self.sleep = clock, sleep
        self.params = module.params
        check_info(self.params)
        self.unit: str = self.params["unit"]
        self.systemd_version = systemd.version()
        self.before = probes.parse_record(self.params["previous_lease"])
        self.last: _lease.LeaseRecord | None = None

    def run(self) -> facts.ModuleResult:
        """Return the result. Raises FilesetError, SystemdError and FilesError."""
        params = self.params
        wanted = params["desired"]
        fileset = Fileset(params["fileset_dir"], parse_files(wanted["files"]) if wanted else [])
        if not wanted:
            staged = fileset.record()["staged"]
            fileset = Fileset(fileset.root, fileset.staged_items() if staged else [])
        deadline = self.clock() + params["timeout"]
        while True:
            answer, shown, told = self._look(fileset)
            unit = answer["unit"]
            # One that systemd has restarted does not become steady any more.
            if (
                answer["healthy"] is not False
                or self.clock() >= deadline
                or (params["steady"] and unit["restarts"])
            ):
                break
            left = (
                params["steady"] - unit["active_seconds"] if len(answer["problems"]) == 1 else 0.0
            )
            self.sleep(max(HEALTH_POLL_S, min(left, deadline - self.clock())))
        if answer["healthy"] is False and self.systemd_version:
            answer["journal"] = self.systemd.journal(self.unit, max(0, params["journal_lines"]))
        if wanted:
            # The imports of these modules take longer than everything else before there is a plan.
            from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.desired import (  # noqa: PLC0415
                parse_desired,
            )
            from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.drift import (  # noqa: PLC0415
                HostAccess,
                find_drift,
            )

            desired = parse_desired(wanted, user=params["user"], unit=self.unit)
            access = HostAccess(self.module, self.proc, shown, told)
            answer["drift"], answer["awaited"] = find_drift(desired, fileset.root, answer, access)
        return answer

    def _look(
        self, fileset: Fileset
    ) -> tuple[facts.ModuleResult, dict[str, str], effective.Responses]:
        params = self.params
        shown = self.systemd.show(self.unit) if self.systemd_version else {}
        pid = _systemd.main_pid(shown)
        manifest = static_pod.manifest_path(self.unit)
        instead = bool(manifest) and not pid
        if instead:
            pid = static_pod.find_pid(self.proc, self.unit)
        binaries = fileset.record()["binaries"]
        told = _process.read_process_settings(self.proc, pid)
        version = detect_version(self.proc, pid, binaries)
        serving = _versions.find_serving(params["_serving"], version)
        process = _process.describe_process(
            self.proc,
            pid,
            version,
            told,
            serving=serving,
            fallback=_process.ListenAddress(params["bind_address"], params["port"]),
        )
        if instead and not pid:
            process["arguments"] = static_pod.read_arguments(manifest)
        listeners = self.proc.listeners()
        port, holder = self._port(process, serving_or_default(serving), listeners)
        beside = instances.other_instances(fileset, self.proc, self._pid_of, params["_serving"])
        answer = facts.ModuleResult(
            **gather_host_facts(params["user"], self.systemd_version),
            installed=os.path.isdir(fileset.root) and shown.get("LoadState") == "loaded",
            prepared=fileset.is_prepared(),
            unsafe=[
                *find_unsafe_directories(params["directories"]),
                *self._untrusted(fileset, process, told),
            ],
            stale=fileset.stale_members(),
            obstacles=[path for path in params["paths"] if os.path.isdir(path)],
            apiserver=query_apiserver(params["apiserver"], params) if params["apiserver"] else None,
            apiservers=[query_apiserver(server, params) for server in params["apiservers"]],
            unit=describe_unit(self.unit, shown, manifest if instead else ""),
            process=process,
            port=port,
            others=[
                *self._others(process, holder, [instance["unit"] for instance in beside]),
                *([f"static pod {manifest}"] if manifest and not instead else []),
            ],
            instances=beside,
            lease=None,
            certificates=self.certificates,
            probes=None,
            healthy=None,
            problems=[],
            not_checked=[],
            journal=[],
            drift=[],
            awaited=[],
        )
        subject = self._subject(process, told, serving_or_default(serving), listeners)
        told_of_settings: effective.Responses = {}
        if params["probe"]:
            told_of_settings = self._probe(answer, fileset, subject)
        elif pid:
            with contextlib.suppress(*LEASE_ACCESS_ERRORS):
                answer["lease"] = probes.describe_lease(
                    probes.read_lease_once(subject, self.before)
                )
        return answer, shown, told_of_settings

    def _untrusted(
        self, fileset: Fileset, process: facts.Process, told: ProcessSettings
    ) -> list[str]:
        """Return why root must not read the kubeconfig of a scheduler that this role did not create."""
        if (
            process["pid"]
            and not process["digest"]
            and not fileset.is_prepared()
            and told.kubeconfig
        ):
            try:
                process_kubeconfig(self.unit, told.kubeconfig)
            except ProbeError as error:
                return [str(error)]
        return []

    @functools.cached_property
    def certificates(self) -> list[facts.HostCertificate]:
        """Return the certificates on the host, which are read only once per run."""
        params = self.params
        if not params["authorities"] or not probes.is_installed("cryptography"):
            return []
        # The library takes longer to import than all else that a question without probes needs.
        from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import (  # noqa: PLC0415
            certificates,
        )

        return certificates.describe_host_certificates(
            params["certificate"], params["kubeconfig"], params["authorities"]
        )

    def _loaded(self, fileset: Fileset, pid: int) -> bool | None:
        """Check that the process has loaded the live certificate.

        Returns None if this is unknown, or if the process does not reload its files.
        """
        item = next(
            (item for item in fileset.items if (item.name, item.digest) == ("certificate", "path")),
            None,
        )
        if item is None or not self.params["reloaded"]:
            return None
        started = self.proc.started(pid)
        if started is None:
            return None
        try:
            changed = os.lstat(item.path).st_ctime
        except OSError:
            return None
        if changed <= started or time.time() - changed > 2 * _credentials.CERTIFICATE_RELOAD_S:
            return True
        return self.systemd.has_logged(self.unit, _credentials.CERTIFICATE_RELOAD_MESSAGE, changed)

    def _port(
        self, process: facts.Process, serving: _versions.Serving, listeners: t.Sequence[Listener]
    ) -> tuple[facts.Port, int | None]:
        """Return the desired port and its process; the HTTP port for a version without HTTPS."""
        wanted = self.params["desired"]
        if wanted:
            serving = _versions.find_serving(self.params["_serving"], wanted["version"]) or serving
        number = (
            self.params["port"] if serving["https"] else process["http_port"] or serving["http"]
        )
        addresses, holder = self.proc.port_holder(number, process["pid"], listeners)
        held_by = (
            "" if holder is None else self.proc.name(holder) if holder else "an unknown process"
        )
        ours = bool(holder) and holder == process["pid"]
        return facts.Port(number=number, addresses=addresses, held_by=held_by, ours=ours), holder

    def _pid_of(self, unit: str) -> int:
        return _systemd.main_pid(self.systemd.show(unit)) if self.systemd_version else 0

    def _others(self, process: facts.Process, holder: int | None, beside: list[str]) -> list[str]:
        name = self.unit.removesuffix(".service")
        lease = (
            (process["lease_namespace"], process["lease_name"])
            if process["pid"]
            else (LEASE_NAMESPACE, name)
        )
        own = LocalScheduler(process["pid"], self.unit, lease, holder, beside)
        found = other_schedulers(
            self.proc, own, lambda pid: _process.read_process_settings(self.proc, pid).lease
        )
        return [self.proc.name(pid) for pid in found]

    def _subject(
        self,
        process: facts.Process,
        told: ProcessSettings,
        serving: _versions.Serving,
        listeners: t.Sequence[Listener],
    ) -> probes.ProbedProcess:
        params = self.params
        pid, http_port = process["pid"], process["http_port"]
        named = told.kubeconfig or params["kubeconfig"]
        pair = (params["metrics_cert"], params["metrics_key"]) if params["metrics_cert"] else None
        return probes.ProbedProcess(
            process=process,
            serving=serving,
            sources=_versions.lock_source_groups(process["lock"]),
            kubeconfig=lambda: process_kubeconfig(self.unit, named),
            serving_ca=params["serving_ca"],
            metrics_pair=pair,
            http_ours=bool(http_port)
            and self.proc.port_holder(http_port, pid, listeners)[1] == pid,
            listening={
                listener.address
                for listener in listeners
                if listener.port == process["secure_port"]
            },
        )

    def _remember(self, view: _lease.LeaseObservation, *, single: bool) -> None:
        """Keep the last reading but one, which the next query compares the lease with.

        The next query then does not wait for a renewal that this query has observed. If two objects
        can contain the record, the view shows only one of them. Only with a `single` object does it
        show that there was no record.
        """
        absent = _lease.NO_RECORD if single and view.state == "absent" else None
        self.before, self.last = self.last or view.compared, view.record or absent or self.last

    def _probe(
        self, answer: facts.ModuleResult, fileset: Fileset, subject: probes.ProbedProcess
    ) -> effective.Responses:
        pid = answer["process"]["pid"]
        faults: list[str] = []
        settings: effective.Responses = {}
        seen = facts.Probes(
            served=None,
            used=None,
            used_loaded=None,
            ready=None,
            metrics_anonymous=None,
            metrics_reader=None,
            metrics_http=None,
        )
        if pid:
            began = self.proc.start_ticks(pid)
            seen, view, settings, faults = probes.run_probes(subject, self.before)
            seen["used_loaded"] = self._loaded(fileset, pid)
            if view is not None:
                answer["lease"] = probes.describe_lease(view)
                self._remember(view, single=len(subject.sources) == 1)
            if self.proc.start_ticks(pid) != began:
                faults.append(f"{self.unit} was restarted while it was looked at")
        answer["probes"] = seen
        answer["problems"] = health.evaluate_health(
            health.Observation(
                unit=answer["unit"],
                process=answer["process"],
                port=answer["port"],
                others=answer["others"],
                probes=seen,
                lease=answer["lease"],
                certificates=answer["certificates"],
            ),
            faults,
            steady=self.params["steady"],
            reloaded=self.params["reloaded"],
        )
        answer["healthy"] = not answer["problems"]
        if subject.metrics_pair is None:
            answer["not_checked"] = [READER]
        elif "/configz" in settings and settings["/configz"][0] != 200:
            answer["not_checked"] = [f"{CHECK_NAMES['settings']}: HTTP {settings['/configz'][0]}"]
        return settings

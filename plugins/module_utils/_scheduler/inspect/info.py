# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Run scheduler_info: gather the facts, the scheduler, the health and the drift of a host."""

from __future__ import annotations

import contextlib
import functools
import os
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    KubeError,
    ProbeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import (
    CERTIFICATE_RELOAD_MESSAGE,
    CERTIFICATE_RELOAD_S,
    Credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import (
    NO_RECORD,
    LeaseObservation,
    LeaseRecord,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    parse_files,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import static_pod
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.instances import (
    other_instances,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.lease_access import (
    LEASE_ACCESS_ERRORS,
    load_process_credentials,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import (
    Listener,
    LocalScheduler,
    Proc,
    other_schedulers,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.process import (
    ListenAddress,
    describe_process,
    read_process_settings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.systemd import (
    Systemd,
    main_pid,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.version import (
    detect_version,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.apiservers import (
    query_apiserver,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.effective import (
    Responses,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.health import (
    Observation,
    evaluate_health,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.host_facts import (
    describe_unit,
    find_unsafe_paths,
    gather_host_facts,
    is_installed,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.lease_observation import (
    describe_lease,
    parse_record,
    read_lease_once,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.options import (
    check_info,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.probed_process import (
    ProbedProcess,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.probes import (
    run_probes,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    CHECK_NAMES,
    LEASE_NAMESPACE,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    ProcessSettings,
    serving_or_default,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    Serving,
    find_serving,
    lock_source_groups,
)

HEALTH_POLL_S = 0.5
READER_CHECK = CHECK_NAMES["metrics_reader"]


class InfoModule(t.Protocol):
    """The part of AnsibleModule that the query uses."""

    params: dict[str, t.Any]
    check_mode: bool

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        """Return the desired attributes of the file."""

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        """Set the attributes; return True if an attribute differed, otherwise `changed`."""


@dataclass(frozen=True)
class Scheduler:
    """The scheduler of the unit at the time of one query."""

    properties: dict[str, str]  # properties of the unit
    manifest: str  # path of the static pod manifest, "" if there is none
    is_static_pod: bool  # whether a static pod runs instead of the unit
    settings: ProcessSettings
    serving: Serving
    process: facts.Process
    listeners: t.Sequence[Listener]  # all listeners of the host


class QueryResult(t.NamedTuple):
    """The result of one query, and additional inputs of the drift detection."""

    result: facts.ModuleResult
    properties: dict[str, str]
    settings_in_use: Responses


class HostQuery:
    """One run of the module on a host."""

    def __init__(
        self,
        module: InfoModule,
        systemd: Systemd,
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
        self.previous_record = parse_record(self.params["previous_lease"])
        self.latest_record: LeaseRecord | None = None

    def run(self) -> facts.ModuleResult:
        """Return the result. Raises FilesetError, SystemdError and FilesError."""
        fileset = self._fileset()
        query = self._query_until_healthy(fileset)
        result = query.result
        if result["healthy"] is False and self.systemd_version:
            lines = max(0, self.params["journal_lines"])
            result["journal"] = _last_lines(self.systemd.journal(self.unit, lines))
        if self.params["desired"]:
            self._add_drift(fileset, query)
        return result

    def _fileset(self) -> Fileset:
        """Return the desired file set; if there is none, return the last staged file set."""
        desired = self.params["desired"]
        fileset = Fileset(
            self.params["fileset_dir"],
            parse_files(desired["files"], self.params["secrets"]) if desired else [],
        )
        if not desired and fileset.record()["staged"]:
            return Fileset(fileset.root, fileset.staged_items())
        return fileset

    def _query_until_healthy(self, fileset: Fileset) -> QueryResult:
        steady = self.params["steady"]
        deadline = self.clock() + self.params["timeout"]
        while True:
            query = self._query(fileset)
            unit = query.result["unit"]
            # If systemd has restarted the unit, the unit cannot become steady.
            is_hopeless = bool(steady and unit["restarts"])
            if query.result["healthy"] is not False or self.clock() >= deadline or is_hopeless:
                return query
            is_only_problem = len(query.result["problems"]) == 1
            rest = steady - unit["active_seconds"] if is_only_problem else 0.0
            self.sleep(max(HEALTH_POLL_S, min(rest, deadline - self.clock())))

    def _add_drift(self, fileset: Fileset, query: QueryResult) -> None:
        # Without a desired state, these imports would take longer than the query.
        from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.desired import (  # noqa: PLC0415
            parse_desired,
        )
        from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.drift import (  # noqa: PLC0415
            HostAccess,
            find_drift,
        )

        desired = parse_desired(
            self.params["desired"],
            self.params["secrets"],
            user=self.params["user"],
            unit=self.unit,
        )
        access = HostAccess(self.module, self.proc, query.properties, query.settings_in_use)
        drift = find_drift(desired, fileset.root, query.result, access)
        query.result["drift"], query.result["awaited"] = drift

    def _query(self, fileset: Fileset) -> QueryResult:
        scheduler = self._read_scheduler(fileset)
        result = self._describe(fileset, scheduler)
        probed = self._probed_process(scheduler)
        settings_in_use: Responses = {}
        if self.params["probe"]:
            settings_in_use = self._probe(result, fileset, probed)
        elif scheduler.process["pid"]:
            with contextlib.suppress(*LEASE_ACCESS_ERRORS):
                result["lease"] = describe_lease(read_lease_once(probed, self.previous_record))
        return QueryResult(result, scheduler.properties, settings_in_use)

    def _read_scheduler(self, fileset: Fileset) -> Scheduler:
        params = self.params
        properties = self.systemd.show(self.unit) if self.systemd_version else {}
        pid = main_pid(properties)
        manifest = static_pod.manifest_path(self.unit)
        is_static_pod = bool(manifest) and not pid
        if is_static_pod:
            pid = static_pod.find_pid(self.proc, self.unit)
        binaries = fileset.record()["binaries"]
        settings = read_process_settings(self.proc, pid)
        version = detect_version(self.proc, pid, binaries)
        serving = serving_or_default(find_serving(params["_serving"], version))
        process = describe_process(
            self.proc,
            pid,
            version,
            settings,
            serving=serving,
            fallback=ListenAddress(params["bind_address"], params["port"]),
        )
        if is_static_pod and not pid:
            process["arguments"] = _secrets.withhold_arguments(
                static_pod.read_manifest_arguments(manifest)
            )
        return Scheduler(
            properties=properties,
            manifest=manifest,
            is_static_pod=is_static_pod,
            settings=settings,
            serving=serving,
            process=process,
            listeners=self.proc.listeners(),
        )

    def _describe(self, fileset: Fileset, scheduler: Scheduler) -> facts.ModuleResult:
        """Return the result without the lease, the probes and the drift."""
        params = self.params
        properties, manifest = scheduler.properties, scheduler.manifest
        port, holder = self._describe_port(scheduler)
        instances = other_instances(fileset, self.proc, self._pid_of, params["_serving"])
        return facts.ModuleResult(
            **gather_host_facts(params["user"], self.systemd_version),
            installed=os.path.isdir(fileset.root) and properties.get("LoadState") == "loaded",
            prepared=fileset.is_prepared(),
            restorable=fileset.is_restorable(),
            unsafe=find_unsafe_paths(params["directories"]),
            stale=fileset.stale_members(),
            obstacles=[path for path in params["paths"] if os.path.isdir(path)],
            apiserver=query_apiserver(params["apiserver"], params) if params["apiserver"] else None,
            apiservers=[query_apiserver(server, params) for server in params["apiservers"]],
            unit=describe_unit(self.unit, properties, manifest if scheduler.is_static_pod else ""),
            process=scheduler.process,
            port=port,
            others=self._find_others(scheduler, holder, [entry["unit"] for entry in instances]),
            instances=instances,
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

    @functools.cached_property
    def certificates(self) -> list[facts.HostCertificate]:
        """Return the certificates on the host; read them only once per run."""
        params = self.params
        if not params["authorities"] or not is_installed("cryptography"):
            return []
        # This import takes longer than a whole query without probes.
        from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect.certificates import (  # noqa: PLC0415
            describe_host_certificates,
        )

        return describe_host_certificates(
            params["certificate"], params["kubeconfig"], params["authorities"]
        )

    def _has_loaded_certificate(self, fileset: Fileset, pid: int) -> bool | None:
        """Check that the process has loaded the live certificate.

        Return None if the result is unknown, or if the process does not reload files.
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
        if changed <= started or time.time() - changed > 2 * CERTIFICATE_RELOAD_S:
            return True
        return self.systemd.has_logged(self.unit, CERTIFICATE_RELOAD_MESSAGE, changed)

    def _describe_port(self, scheduler: Scheduler) -> tuple[facts.Port, int | None]:
        """Return the desired port and its process; use the HTTP port of a version without HTTPS."""
        process, serving, desired = scheduler.process, scheduler.serving, self.params["desired"]
        if desired:
            serving = find_serving(self.params["_serving"], desired["version"]) or serving
        http_port = process["http_port"] or serving["http"]
        number = self.params["port"] if serving["https"] else http_port
        addresses, holder = self.proc.port_holder(number, process["pid"], scheduler.listeners)
        held_by = ""
        if holder is not None:
            held_by = self.proc.name(holder) if holder else "an unknown process"
        ours = bool(holder) and holder == process["pid"]
        return facts.Port(number=number, addresses=addresses, held_by=held_by, ours=ours), holder

    def _pid_of(self, unit: str) -> int:
        return main_pid(self.systemd.show(unit)) if self.systemd_version else 0

    def _find_others(
        self, scheduler: Scheduler, holder: int | None, instances: list[str]
    ) -> list[str]:
        """Return the other schedulers; `holder` is the process that holds the desired port."""
        process = scheduler.process
        lease = (LEASE_NAMESPACE, self.unit.removesuffix(".service"))
        if process["pid"]:
            lease = (process["lease_namespace"], process["lease_name"])
        local = LocalScheduler(process["pid"], self.unit, lease, holder, instances)
        pids = other_schedulers(
            self.proc, local, lambda pid: read_process_settings(self.proc, pid).lease
        )
        others = [self.proc.name(pid) for pid in pids]
        if scheduler.manifest and not scheduler.is_static_pod:
            others.append(f"static pod {scheduler.manifest}")
        return others

    def _probed_process(self, scheduler: Scheduler) -> ProbedProcess:
        params, process, listeners = self.params, scheduler.process, scheduler.listeners
        pid, http_port = process["pid"], process["http_port"]
        kubeconfig = scheduler.settings.kubeconfig or params["kubeconfig"]
        pair = (params["metrics_cert"], params["metrics_key"]) if params["metrics_cert"] else None
        return ProbedProcess(
            process=process,
            serving=scheduler.serving,
            source_groups=lock_source_groups(process["lock"]),
            login=self._load_credentials(pid, kubeconfig),
            serving_ca=params["serving_ca"],
            metrics_pair=pair,
            holds_http_port=bool(http_port)
            and self.proc.port_holder(http_port, pid, listeners)[1] == pid,
            listening_addresses={
                listener.address
                for listener in listeners
                if listener.port == process["secure_port"]
            },
        )

    def _load_credentials(self, pid: int, kubeconfig: str) -> Credentials | ProbeError | KubeError:
        """Return the credentials of the process, or the error.

        The module loads the credentials before the probes, because a child process that reads a
        foreign file must start before the threads.
        """
        if not pid:
            return ProbeError(f"{self.unit} does not run; start the unit")
        try:
            return load_process_credentials(self.proc, pid, self.unit, kubeconfig)
        except (ProbeError, KubeError) as error:
            return error

    def _remember(self, observation: LeaseObservation, *, is_single: bool) -> None:
        """Store the record that the next query compares the lease with.

        The stored record is older than the latest one. The next query then does not wait for a
        renewal that this query has observed. If two objects can contain the record, this query has
        observed only one of them. An absent record is then unknown.
        """
        absent = NO_RECORD if is_single and observation.state == "absent" else None
        self.previous_record = self.latest_record or observation.compared
        self.latest_record = observation.record or absent or self.latest_record

    def _probe(
        self, result: facts.ModuleResult, fileset: Fileset, probed: ProbedProcess
    ) -> Responses:
        """Add the probes, the lease and the health to the result; return the settings in use."""
        pid = result["process"]["pid"]
        errors: list[str] = []
        settings_in_use: Responses = {}
        probes = facts.Probes(
            served=None,
            used=None,
            used_loaded=None,
            ready=None,
            metrics_anonymous=None,
            metrics_reader=None,
            metrics_http=None,
        )
        if pid:
            start_ticks = self.proc.start_ticks(pid)
            probes, observation, settings_in_use, errors = run_probes(probed, self.previous_record)
            probes["used_loaded"] = self._has_loaded_certificate(fileset, pid)
            if observation is not None:
                result["lease"] = describe_lease(observation)
                self._remember(observation, is_single=len(probed.source_groups) == 1)
            if self.proc.start_ticks(pid) != start_ticks:
                errors.append(f"{self.unit} was restarted during the query; run the query again")
        result["probes"] = probes
        result["problems"] = evaluate_health(
            Observation(
                unit=result["unit"],
                process=result["process"],
                port=result["port"],
                others=result["others"],
                probes=probes,
                lease=result["lease"],
                certificates=result["certificates"],
            ),
            errors,
            steady=self.params["steady"],
            reloaded=self.params["reloaded"],
        )
        result["healthy"] = not result["problems"]
        result["not_checked"] = _unchecked(probed, settings_in_use)
        return settings_in_use


def _unchecked(probed: ProbedProcess, settings_in_use: Responses) -> list[str]:
    """Return the checks that were not possible."""
    if probed.metrics_pair is None:
        return [READER_CHECK]
    status, _body = settings_in_use.get("/configz", (200, b""))
    return [] if status == 200 else [f"{CHECK_NAMES['settings']}: HTTP {status}"]


def _last_lines(lines: t.Sequence[str]) -> list[str]:
    """Return the last lines of the journal, up to the maximum length of all lines as JSON.

    Each line is shortened to this length, so the last line is always returned.
    """
    kept: list[str] = []
    remaining = facts.MAX_JOURNAL_LENGTH
    for line in map(_shorten_line, reversed(lines)):
        remaining -= facts.json_length(line)
        if remaining < 0:
            break
        kept.append(line)
    return kept[::-1]


def _shorten_line(line: str) -> str:
    line = line[: facts.MAX_TEXT_LENGTH]
    while facts.json_length(line) > facts.MAX_JOURNAL_LENGTH:
        line = line[: len(line) // 2]
    return line

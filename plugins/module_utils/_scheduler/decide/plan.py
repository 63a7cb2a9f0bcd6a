# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compute the desired state of a host from the variables, its facts and the role's tables."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import (
    CERTIFICATE_RELOAD_S,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import (
    DEFAULT_TIMINGS,
    ElectionTimings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import adopt
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.command_line import (
    CommandLine,
    build_command_line,
    format_config,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.formatting import (
    format_exec_start,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.target import (
    CommandLineInputs,
    RunningMember,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Election,
    Variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    credentials_dir,
    fileset_dir,
    unit_name,
    unit_path,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    VersionTable,
    version_row,
)

RESTART_DELAY_S = 5
"""Time from the exit of a process to its restart by systemd."""
STEADY_PERIOD_S = 2 * RESTART_DELAY_S + 2
"""A rolled process must run for this time, in which systemd restarts a failing process twice."""
STOP_GRACE_S = 10
"""A stop can exceed the renew deadline by this time, in which the process releases the lease."""
RELOAD_SLACK_S = 15.0
"""Additional time for the reload of a key pair, after the reload interval of the process."""
MAX_HEALTH_TIMEOUT_S = 1800.0
"""Maximum of every timeout in the plan, because timeouts depend on times that a host reports."""


@dataclass(frozen=True)
class Tables:
    """The tables of the role from vars/main/*.yml. These files describe each table."""

    versions: dict[str, dict[str, t.Any]]
    styles: dict[str, dict[str, t.Any]]
    known_flags: dict[str, dict[str, str]]
    known_fields: dict[str, dict[str, t.Any]]
    lease_presets: dict[str, dict[str, str]]
    packages: dict[str, dict[str, str]]
    systemd_features: dict[str, dict[str, t.Any]]


@dataclass(frozen=True)
class PlanInputs:
    """The inputs of a plan, except the variables and the facts of the host."""

    election: Election
    sans: list[str]
    apiserver_ca: str  # PEM
    tables: Tables
    running: t.Sequence[RunningMember]
    prefix: str
    check_mode: bool
    replace: t.Sequence[str] = ()  # fingerprints of certificates that must be replaced


class Failover(t.TypedDict):
    """Upper bounds of the time without a leader, in seconds: after a crash, and after a stop."""

    crash: float
    stop: float


class HostPlan(t.TypedDict):
    """The desired state of a host. Paths are on the host unless stated otherwise."""

    version: str
    # name, path, link; source: URL, or path on the controller; checksum: as scheduler_binary
    # accepts it; missing: why the binary is unavailable
    binary: dict[str, str]
    packages: list[str]
    package_manager: str
    user: str
    log_dir: str  # "" if the version logs only to the journal
    # owner, group and mode of the files with secrets: the private key and the kubeconfig, and the
    # configuration if it contains a secret
    secret: dict[str, str]
    staged: dict[str, str]  # staged paths of certificate, privatekey and kubeconfig
    certificate: dict[str, t.Any]  # options of x509_cert for the live key pair
    kubeconfig: dict[str, t.Any]  # options of the module kubeconfig for the live file
    unit: dict[str, t.Any]  # input of the unit's template
    config: str  # KubeSchedulerConfiguration as YAML, "" if the version runs with flags alone
    settings: DesiredSettings  # content of the configuration and the command line
    files: list[dict[str, t.Any]]  # the file set that scheduler_fileset manages
    command: list[str]
    dry_run: dict[str, t.Any]  # flags and texts that the dry run replaces
    lease: dict[str, str]
    timings: dict[str, float]
    failover: Failover
    handover: float  # maximum seconds without a leader after a stop of the running process
    # Timeouts in seconds. start: until a rolled host is healthy. change: until a host is healthy
    # after the roll of another host. handover: until another member leads. steady: how long a
    # rolled process must run. reload: until a process uses a replaced key pair.
    timeouts: dict[str, float]
    limitations: list[str]  # features that systemd or the version on this host lacks
    errors: list[str]


def desired_version(v: Variables, running: str) -> str:
    """Return the declared version, otherwise the running version, otherwise ""."""
    return (v.version or running).removeprefix("v")


def compute_failover_bounds(
    timings: ElectionTimings, versions: VersionTable, running: t.Iterable[str]
) -> Failover:
    """Return the bounds. If a version keeps its lease at a stop, the bound of a crash applies."""
    rows = [version_row(versions, version) for version in running]
    keeps_lease = any(row is not None and not row["releases"] for row in rows)
    crash = round(timings.crash_bound, 1)
    return Failover(crash=crash, stop=crash if keeps_lease else round(timings.stop_bound, 1))


def compute_plan(v: Variables, name: str, host: dict[str, t.Any], inputs: PlanInputs) -> HostPlan:
    """Return the plan of the host with this inventory name.

    The table must contain the desired version. host: the facts that scheduler_info gathered.
    """
    version = desired_version(v, host["process"]["version"])
    lacking = _list_lacking_features(inputs.tables, host["systemd_version"])
    uses_credentials = v.kubeconfig_style == "embedded" and "credentials" not in lacking
    live = {"kubeconfig": v.kubeconfig_path, "certificate": v.cert_path, "privatekey": v.key_path}
    secret = _build_secret_attributes(v, uses_credentials)
    binary = _build_binary(v, version, host["architecture"])
    credentials = _select_credentials(v, live) if uses_credentials else {}
    read_paths = _list_read_paths(v, live, credentials)
    line = _build_command_line(v, version, binary["link"], read_paths, inputs)
    packages = _select_packages(v, host, inputs)
    errors = [*line.errors, *packages.errors]
    bounds = _compute_bounds(inputs, host, version)
    return HostPlan(
        version=version,
        binary=binary,
        packages=packages.names,
        package_manager=packages.manager,
        user=v.user,
        log_dir=line.flags.get("log-dir", ""),
        secret=secret,
        # In check mode, nothing is staged, so later tasks compare the live files.
        staged=live
        if inputs.check_mode and host["stale"]
        else {part: f"{fileset_dir(v.name)}/staged/{part}" for part in live},
        certificate=_build_certificate(v, name, inputs, secret),
        kubeconfig=_build_kubeconfig(v, inputs.apiserver_ca, secret),
        unit={
            "type": "simple" if "exec" in lacking else "exec",
            "user": v.user,
            "credentials": credentials,
            "exec_start": "" if errors else format_exec_start(binary["link"], line.flags),
            "timeout_stop": int(inputs.election.timings().renew_deadline) + STOP_GRACE_S,
            "restart": RESTART_DELAY_S,
            "log_dir": line.flags.get("log-dir", ""),
        },
        config=line.config_text,
        settings=DesiredSettings(flags=line.flags, config=line.config or {}),
        files=_list_files(
            v, binary, [_describe_config_file(v, secret)] if line.config else [], host["unit"]
        ),
        command=[binary["link"], *line.arguments],
        dry_run={"flags": line.dry_run_flags, "texts": line.dry_run_texts},
        lease={"name": line.lease_name, "namespace": line.lease_namespace},
        timings=bounds.timings,
        failover=bounds.failover,
        handover=bounds.handover_s,
        timeouts=bounds.timeouts,
        limitations=[
            inputs.tables.systemd_features[feature]["limitation"].format(user=v.user)
            for feature in lacking
        ],
        errors=errors,
    )


def withhold_plan(host_plan: HostPlan) -> HostPlan:
    """Return a copy of a plan without the secrets of its configuration."""
    config = _secrets.withhold(host_plan["settings"]["config"])
    settings = DesiredSettings(flags=host_plan["settings"]["flags"], config=config)
    text = format_config(config) if host_plan["config"] else ""
    return HostPlan(**{**host_plan, "settings": settings, "config": text})


def _list_lacking_features(tables: Tables, systemd_version: int) -> list[str]:
    return [
        feature
        for feature, row in tables.systemd_features.items()
        if row["since"] > systemd_version
    ]


def _select_credentials(v: Variables, live: dict[str, str]) -> dict[str, str]:
    """Return the paths of the files that systemd passes to the process."""
    credentials = {part: live[part] for part in ("certificate", "privatekey", "kubeconfig")}
    return {**credentials, "config": v.config_path} if has_secret_config(v) else credentials


def has_secret_config(v: Variables) -> bool:
    """Return whether the configuration of the scheduler contains a secret."""
    return bool(_secrets.find_secrets(v.config))


def _list_files(
    v: Variables,
    binary: dict[str, str],
    config: list[dict[str, t.Any]],
    unit: dict[str, t.Any],
) -> list[dict[str, t.Any]]:
    return [
        {"name": "binary", "path": binary["link"], "link_to": binary["name"]},
        *list_credential_files(v),
        *config,
        {"name": "unit", "path": unit_path(v.name)},
        *adopt.list_set_aside_files(unit, v.accepted),
    ]


def _describe_config_file(v: Variables, secret: dict[str, str]) -> dict[str, t.Any]:
    file = {"name": "config", "path": v.config_path}
    if not has_secret_config(v):
        return file
    return {**file, "group": secret["group"], "mode": secret["mode"]}


def _build_secret_attributes(v: Variables, uses_credentials: bool) -> dict[str, str]:
    if uses_credentials:
        return {"owner": "root", "group": "root", "mode": "0600"}
    return {"owner": "root", "group": v.user, "mode": "0640"}


def _list_read_paths(
    v: Variables, live: dict[str, str], credentials: t.Iterable[str]
) -> dict[str, str]:
    """Return the paths from which the process reads its files: systemd's copy, or the live file."""
    directory = credentials_dir(unit_name(v.name))
    paths = {**live, "config": v.config_path}
    return paths | {part: f"{directory}/{part}" for part in credentials}


def _build_command_line(
    v: Variables, version: str, binary: str, read_paths: dict[str, str], inputs: PlanInputs
) -> CommandLine:
    tables, election = inputs.tables, inputs.election
    return build_command_line(
        CommandLineInputs(
            version=version,
            versions=tables.versions,
            styles=tables.styles,
            known_flags=tables.known_flags,
            known_fields=tables.known_fields,
            values={
                **read_paths,
                "config_path": read_paths["config"],
                "bind_address": v.bind_address,
                "secure_port": v.secure_port,
                "log_dir": v.log_dir,
            },
            times=_build_election_flags(election, tables),
            binary=binary,
            base_config=_build_base_config(read_paths["kubeconfig"], election),
            config=v.config,
            extra_args=v.extra_args,
            lease_name=v.name,
            running=inputs.running,
            prefix=inputs.prefix,
        )
    )


class _Packages(t.NamedTuple):
    names: list[str]
    manager: str  # "" if the system is unknown
    errors: list[str]


def _select_packages(v: Variables, host: dict[str, t.Any], inputs: PlanInputs) -> _Packages:
    table = inputs.tables.packages
    row = next((table[family] for family in host["os_families"] if family in table), None)
    libraries = host["missing_libraries"] if v.manage_packages else []
    if row is not None:
        return _Packages([row[library] for library in libraries], row["use"], [])
    if not libraries:
        return _Packages([], "", [])
    system = ", ".join(host["os_families"]) or "no /etc/os-release"
    error = (
        f"{inputs.prefix}manage_packages: the role cannot install {' and '.join(libraries)} on this"
        f" unknown system ({system}); install their packages manually, and set"
        f" {inputs.prefix}manage_packages to false"
    )
    return _Packages([], "", [error])


class _Bounds(t.NamedTuple):
    timings: dict[str, float]
    failover: Failover
    handover_s: float
    timeouts: dict[str, float]


def _compute_bounds(inputs: PlanInputs, host: dict[str, t.Any], version: str) -> _Bounds:
    timings, versions = inputs.election.timings(), inputs.tables.versions
    longest, running = _longest_timings(timings, host), host["process"]["version"]
    return _Bounds(
        timings={
            key: getattr(timings, key)
            for key in ("lease_duration", "renew_deadline", "retry_period")
        },
        failover=compute_failover_bounds(timings, versions, [version]),
        handover_s=compute_failover_bounds(longest, versions, [running])["stop"],
        timeouts=_compute_timeouts(compute_failover_bounds(longest, versions, [version, running])),
    )


def _longest_timings(timings: ElectionTimings, host: dict[str, t.Any]) -> ElectionTimings:
    """Return for each election time the longer of the planned time and the time in use on the host.

    Until all members are rolled, each member waits for the times that the holder wrote to the
    lease.
    """
    in_use = host["process"].get("timings") or {}
    held = (host.get("lease") or {}).get("lease_duration") or 0
    times = {
        key: max(getattr(timings, key), in_use.get(key, 0)) for key in timings.__dataclass_fields__
    }
    times["lease_duration"] = max(times["lease_duration"], held)
    return ElectionTimings(**times)


def _compute_timeouts(bounds: Failover) -> dict[str, float]:
    return {
        "start": min(MAX_HEALTH_TIMEOUT_S, max(60.0, bounds["crash"] + 30)),
        "change": min(MAX_HEALTH_TIMEOUT_S, max(15.0, bounds["stop"] + 10)),
        "handover": _handover_timeout(bounds["crash"]),
        "steady": STEADY_PERIOD_S,
        "reload": CERTIFICATE_RELOAD_S + RELOAD_SLACK_S,
    }


def _handover_timeout(crash_bound: float) -> float:
    # If the lease was not released, it must expire first.
    return min(MAX_HEALTH_TIMEOUT_S, crash_bound + 10)


def handover_timeout_of(timings: t.Mapping[str, float] | None) -> float:
    """Return the seconds within which another member must take the lease.

    timings: the election times of the member that stops; None for the defaults.
    """
    return _handover_timeout(
        round((ElectionTimings(**timings) if timings else DEFAULT_TIMINGS).crash_bound, 1)
    )


def list_credential_files(v: Variables) -> list[dict[str, t.Any]]:
    """Return the files of the file set that are staged as copies of the live files.

    If the process reloads the key pair, the digest contains only the paths of the key pair.
    """
    digest = "path" if v.kubeconfig_style == "files" else "content"
    return [
        {"name": "certificate", "path": v.cert_path, "digest": digest},
        {"name": "privatekey", "path": v.key_path, "digest": digest},
        {"name": "kubeconfig", "path": v.kubeconfig_path, "digest": "content"},
    ]


def list_fileset_paths(v: Variables) -> list[str]:
    """Return the live and the staged paths of the file set."""
    credential_files = list_credential_files(v)
    names = ["binary", "config", "unit", *(file["name"] for file in credential_files)]
    live = [v.binary_link, v.config_path, unit_path(v.name)]
    live += [file["path"] for file in credential_files]
    return live + [f"{fileset_dir(v.name)}/staged/{name}" for name in names]


def map_root_directories(v: Variables) -> dict[str, list[str]]:
    """Return the directories on a host that root must own, with the variables that set each."""
    directories: dict[str, list[str]] = {v.bin_dir: ["bin_dir"]}
    for variable in ("cert_path", "key_path", "kubeconfig_path"):
        directories.setdefault(os.path.dirname(getattr(v, variable)), []).append(variable)
    return directories


def _build_binary(v: Variables, version: str, architecture: str) -> dict[str, str]:
    name = f"kube-scheduler-v{version}"
    source = (
        f"{v.binary_url.rstrip('/')}/release/v{version}/bin/linux/{architecture}/kube-scheduler"
    )
    return {
        "name": name,
        "path": os.path.join(v.bin_dir, name),
        "link": v.binary_link,
        "source": source,
        "checksum": v.checksum_of(version) or f"sha512:{source}.sha512",
        "missing": "",
    }


def _build_election_flags(election: Election, tables: Tables) -> dict[str, str]:
    """Return the election times as flags, for a version without a configuration file.

    Times that equal the defaults of the binary need no flags.
    """
    if election.texts == tables.lease_presets["default"]:
        return {}
    return {f"leader-elect-{name.replace('_', '-')}": text for name, text in election.texts.items()}


def _build_base_config(kubeconfig: str, election: Election) -> dict[str, t.Any]:
    return {
        "clientConnection": {"kubeconfig": kubeconfig},
        "enableProfiling": False,
        "leaderElection": {
            "leaderElect": True,
            "leaseDuration": election.texts["lease_duration"],
            "renewDeadline": election.texts["renew_deadline"],
            "retryPeriod": election.texts["retry_period"],
        },
    }


def build_certificate_options(v: Variables, name: str, sans: list[str]) -> dict[str, t.Any]:
    """Return the options of x509_cert for the certificate of a host, without paths on the host."""
    profile = (
        {"ca_config": v.ca_config, "profile": v.ca_profile or None}
        if v.ca_config
        else {"valid_for": v.cert_valid_for}
    )
    signer = {"ca_on": "controller", "ca_privatekey_path": v.ca_key}
    if v.ca_key_passphrase_file:
        signer["ca_privatekey_passphrase_file"] = v.ca_key_passphrase_file
    return {
        "privatekey_type": "RSA",
        "privatekey_size": 2048,
        "subject": v.subject,
        "subject_alt_name": sans,
        **(signer if v.is_signed_by_controller else {"ca_on": "external", **v.csr_options(name)}),
        "ca_path": v.ca_cert,
        **{option: value for option, value in profile.items() if value is not None},
        "renew_before": v.renew_before,
        "not_after_policy": "clamp",
    }


def _build_certificate(
    v: Variables, name: str, inputs: PlanInputs, secret: dict[str, str]
) -> dict[str, t.Any]:
    return {
        "path": v.cert_path,
        "privatekey_path": v.key_path,
        **build_certificate_options(v, name, inputs.sans),
        **secret,
        "replace": [*inputs.replace],
    }


def _build_kubeconfig(v: Variables, apiserver_ca: str, secret: dict[str, str]) -> dict[str, t.Any]:
    return {
        "path": v.kubeconfig_path,
        "clusters": [
            {
                "name": "kubernetes",
                "server": v.apiserver,
                "certificate_authority_data": apiserver_ca,
                "tls_server_name": v.tls_server_name,
            }
        ],
        "users": [
            {
                "name": "system:kube-scheduler",
                "client_certificate": v.cert_path,
                "client_key": v.key_path,
                "embed_certs": v.kubeconfig_style == "embedded",
            }
        ],
        "contexts": [
            {
                "name": "system:kube-scheduler",
                "cluster": "kubernetes",
                "user": "system:kube-scheduler",
            }
        ],
        "current_context": "system:kube-scheduler",
        **secret,
    }

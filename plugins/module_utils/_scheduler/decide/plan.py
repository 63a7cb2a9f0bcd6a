# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a host is to have: a pure function of the variables, of what the host says of itself, and of the role's tables."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.credentials import (
    CERTIFICATE_RELOAD_S,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import (
    DEFAULT_TIMINGS,
    ElectionTimings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide import (
    adopt,
    command_line,
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
"""Seconds after which systemd starts a process again that has ended."""
STEADY_PERIOD_S = 2 * RESTART_DELAY_S + 2
"""Seconds that a process which was rolled has to run: one that ends before systemd would have started it twice is seen to."""
STOP_GRACE_S = 10
"""Seconds that a stop may take beyond the renew deadline, within which a lease is released."""
RELOAD_SLACK_S = 15.0
"""Seconds that a process may be late with reading its pair again."""
MAX_HEALTH_TIMEOUT_S = 1800.0
"""Seconds to wait for a healthy host, at most: the times are also those that a host says."""


@dataclass(frozen=True)
class Tables:
    """The role's data, vars/main/*.yml, which tells what each part holds."""

    versions: dict[str, dict[str, t.Any]]
    styles: dict[str, dict[str, t.Any]]
    known_flags: dict[str, dict[str, str]]
    known_fields: dict[str, dict[str, t.Any]]
    lease_presets: dict[str, dict[str, str]]
    packages: dict[str, dict[str, str]]
    systemd_features: dict[str, dict[str, t.Any]]


class Failover(t.TypedDict):
    """Seconds without a leader, at most: after a crash, and after a stop."""

    crash: float
    stop: float


class HostPlan(t.TypedDict):
    """What a host is to have. Paths are the host's own, unless said otherwise."""

    version: str
    binary: dict[
        str, str
    ]  # name, path, link; source: URL, or path on the controller; checksum: as get_url takes it; missing: why it cannot be brought
    packages: list[str]
    package_manager: str
    user: str
    log_dir: str  # "" where the version logs to the journal alone
    secret: dict[str, str]  # owner, group and mode of the private key and the kubeconfig
    staged: dict[str, str]  # paths of certificate, privatekey and kubeconfig while they are staged
    certificate: dict[str, t.Any]  # options of x509_cert for the live pair
    kubeconfig: dict[str, t.Any]  # options of the module kubeconfig for the live file
    unit: dict[str, t.Any]  # what the unit's template needs
    config: str  # the KubeSchedulerConfiguration as YAML, "" where the version runs by flags alone
    settings: DesiredSettings  # what the configuration and the command line say
    files: list[dict[str, t.Any]]  # the set that scheduler_fileset keeps
    command: list[str]
    dry_run: dict[str, t.Any]  # flags and texts in whose place others stand in the dry run
    lease: dict[str, str]
    timings: dict[str, float]
    failover: Failover
    handover: float  # seconds without a leader, at most, when the process that runs now is stopped for its roll
    # Seconds to wait for a healthy host after it was rolled (start), and after another one was (change); for another one to lead (handover); and
    # that it has to run then (steady); and until a process has taken a pair that was replaced (reload).
    timeouts: dict[str, float]
    limitations: list[str]  # what this host's systemd or version cannot do
    errors: list[str]


def desired_version(v: Variables, running: str) -> str:
    """The version that is wanted: the one that is declared, else the one that runs, else ""."""
    return (v.version or running).removeprefix("v")


def compute_failover_bounds(
    timings: ElectionTimings, versions: VersionTable, running: t.Iterable[str]
) -> Failover:
    """The bounds; a version that does not release its lease makes a stop cost what a crash costs."""
    rows = [version_row(versions, version) for version in running]
    keeps = any(row is not None and not row["releases"] for row in rows)
    crash = round(timings.crash_bound, 1)
    return Failover(crash=crash, stop=crash if keeps else round(timings.stop_bound, 1))


def compute_plan(
    v: Variables,
    name: str,
    host: dict[str, t.Any],
    *,
    election: Election,
    sans: list[str],
    apiserver_ca: str,
    tables: Tables,
    running: t.Sequence[command_line.RunningMember],
    prefix: str,
    check_mode: bool,
    replace: t.Sequence[str] = (),
) -> HostPlan:
    """The plan for one host of this inventory name, whose wanted version is in the table.

    C(host) is what scheduler_info gathered, C(replace) are certificates that are not to be used any more, by their fingerprints.
    """
    version = desired_version(v, host["process"]["version"])
    lacking = [
        name
        for name, known in tables.systemd_features.items()
        if known["since"] > host["systemd_version"]
    ]
    credentials = v.kubeconfig_style == "embedded" and "credentials" not in lacking
    live = {"kubeconfig": v.kubeconfig_path, "certificate": v.cert_path, "privatekey": v.key_path}
    read = {
        name: f"{credentials_dir(unit_name(v.name))}/{name}" if credentials else path
        for name, path in live.items()
    }
    # In check mode nothing is seeded: the live file stands for the staged copy that would have been made of it.
    unseeded = check_mode and bool(host["stale"])
    staged = {
        name: path if unseeded else f"{fileset_dir(v.name)}/staged/{name}"
        for name, path in live.items()
    }
    secret = {"owner": "root", "group": "root", "mode": "0600"}
    if not credentials:
        secret |= {"group": v.user, "mode": "0640"}
    binary = _build_binary(v, version, host["architecture"])
    line = command_line.CommandLineBuilder(
        command_line.CommandLineInputs(
            version=version,
            versions=tables.versions,
            styles=tables.styles,
            known_flags=tables.known_flags,
            known_fields=tables.known_fields,
            values={
                **read,
                "config_path": v.config_path,
                "bind_address": v.bind_address,
                "secure_port": v.secure_port,
                "log_dir": v.log_dir,
            },
            times=_build_election_flags(election, tables),
            binary=binary["link"],
            own_config=_build_base_config(read["kubeconfig"], election),
            config=v.config,
            extra_args=v.extra_args,
            lease_name=v.name,
            running=running,
            prefix=prefix,
        )
    ).plan()
    timings = election.timings()
    bounds = compute_failover_bounds(timings, tables.versions, [version])
    former, runs = _longest_timings(timings, host), host["process"]["version"]
    log_dir = line.flags.get("log-dir", "")
    names = [
        tables.packages[family] for family in host["os_families"] if family in tables.packages
    ][:1]
    wanted_packages = host["missing_libraries"] if v.manage_packages else []
    errors = list(line.problems)
    if wanted_packages and not names:
        errors.append(
            f"this system ({', '.join(host['os_families']) or 'no /etc/os-release'}) is not known, so {' and '.join(wanted_packages)} cannot be"
            f" installed: install the system's packages for them, and set {prefix}manage_packages to false"
        )
        wanted_packages = []
    return HostPlan(
        version=version,
        binary=binary,
        packages=[names[0][library] for library in wanted_packages],
        package_manager=names[0]["use"] if names else "",
        user=v.user,
        log_dir=log_dir,
        secret=secret,
        staged=staged,
        certificate={**_build_certificate(v, name, sans, secret), "replace": [*replace]},
        kubeconfig=_build_kubeconfig(v, apiserver_ca, secret),
        unit={
            "type": "simple" if "exec" in lacking else "exec",
            "user": v.user,
            "credentials": {
                name: live[name] for name in ("certificate", "privatekey", "kubeconfig")
            }
            if credentials
            else {},
            "exec_start": command_line.format_exec_start(binary["link"], line.flags)
            if not errors
            else "",
            "timeout_stop": int(timings.renew_deadline) + STOP_GRACE_S,
            "restart": RESTART_DELAY_S,
            "log_dir": log_dir,
        },
        config=line.config_text,
        settings=DesiredSettings(flags=line.flags, config=line.config or {}),
        files=[
            {"name": "binary", "path": binary["link"], "link_to": binary["name"]},
            *list_credential_files(v),
            *([{"name": "config", "path": v.config_path}] if line.config else []),
            {"name": "unit", "path": unit_path(v.name)},
            *adopt.list_set_aside_files(host["unit"], adopt=v.adopt),
        ],
        command=[binary["link"], *line.arguments],
        dry_run={"flags": line.dry_run_flags, "texts": line.dry_run_texts},
        lease={"name": line.lease_name, "namespace": line.lease_namespace},
        timings={
            key: getattr(timings, key)
            for key in ("lease_duration", "renew_deadline", "retry_period")
        },
        failover=bounds,
        handover=compute_failover_bounds(former, tables.versions, [runs])["stop"],
        timeouts=_compute_timeouts(
            compute_failover_bounds(former, tables.versions, [version, runs])
        ),
        limitations=[
            tables.systemd_features[name]["otherwise"].format(user=v.user) for name in lacking
        ],
        errors=errors,
    )


def _longest_timings(timings: ElectionTimings, host: dict[str, t.Any]) -> ElectionTimings:
    """The longer of the planned times and those that the host knows: until all are rolled, a candidate waits for what the holder has written."""
    former = host["process"].get("timings") or {}
    held = (host.get("lease") or {}).get("lease_duration") or 0
    times = {
        key: max(getattr(timings, key), former.get(key, 0)) for key in timings.__dataclass_fields__
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


def _handover_timeout(crash: float) -> float:
    # A lease that was not released has to expire first.
    return min(MAX_HEALTH_TIMEOUT_S, crash + 10)


def handover_timeout_of(timings: t.Mapping[str, float] | None) -> float:
    """Seconds for another member to take the lease of one that elects by these times; None for the defaults."""
    return _handover_timeout(
        round((ElectionTimings(**timings) if timings else DEFAULT_TIMINGS).crash_bound, 1)
    )


def list_credential_files(v: Variables) -> list[dict[str, t.Any]]:
    """The members of the set that are seeded from the live ones. A pair that the process re-reads by itself counts by its path only."""
    digest = "path" if v.kubeconfig_style == "files" else "content"
    return [
        {"name": "certificate", "path": v.cert_path, "digest": digest},
        {"name": "privatekey", "path": v.key_path, "digest": digest},
        {"name": "kubeconfig", "path": v.kubeconfig_path, "digest": "content"},
    ]


def list_fileset_paths(v: Variables) -> list[str]:
    """Where the set's members lie, live and staged."""
    names = ["binary", "config", "unit", *(file["name"] for file in list_credential_files(v))]
    live = [v.binary_link, v.config_path, unit_path(v.name)]
    live += [file["path"] for file in list_credential_files(v)]
    return live + [f"{fileset_dir(v.name)}/staged/{name}" for name in names]


def list_root_directories(v: Variables) -> list[str]:
    """The directories on a host that have to be root's own already. That of the binaries the role makes root's itself."""
    files = [v.cert_path, v.key_path, v.kubeconfig_path, v.bin_dir]
    return list(dict.fromkeys(map(os.path.dirname, files)))


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
    """The election's times where there is no file to hold them, if they are not what the binary has anyway."""
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
    """What the certificate of a host is to be, as options of x509_cert without the host's paths."""
    profile = (
        {"ca_config": v.ca_config, "profile": v.ca_profile or None}
        if v.ca_config
        else {"valid_for": v.cert_valid_for}
    )
    signer = {"ca_on": "controller", "ca_privatekey_path": v.ca_key}
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
    v: Variables, name: str, sans: list[str], secret: dict[str, str]
) -> dict[str, t.Any]:
    return {
        "path": v.cert_path,
        "privatekey_path": v.key_path,
        **build_certificate_options(v, name, sans),
        **secret,
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

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What Prometheus is told of the schedulers: the scrape job and the rules, for its files of configuration."""

from __future__ import annotations

import json
import math
import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    versions as _versions,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.metrics import (
    METRIC_PREFIX,
)

RUNBOOK = "https://github.com/kube-ha/scheduler/blob/main/docs/troubleshooting.md"
# As Prometheus reads them, without its fractions and sums.
DURATION = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Which thresholds there are. Those that are empty follow from the lease's times and from the renewal of the certificates.
ALERT_SPEC: dict[str, dict[str, t.Any]] = {
    "leaderless": {"type": "str", "default": ""},
    "leaders": {"type": "str", "default": ""},
    "down": {"type": "str", "default": "2m"},
    "transitions": {"type": "int", "default": 4},
    "certificate": {"type": "str", "default": ""},
    "pending": {"type": "str", "default": "5m"},
    "latency": {"type": "str", "default": "1s"},
    "versions": {"type": "str", "default": "1h"},
    "report": {"type": "str", "default": "26h"},
}
MONITORING_SPEC: dict[str, dict[str, t.Any]] = {
    "monitoring_dir": {"type": "str", "default": "/etc/prometheus/kube-scheduler"},
    "monitoring_group": {"type": "str", "default": "prometheus"},
    "monitoring_service": {"type": "str", "default": "prometheus"},
    "monitoring_server_name": {"type": "str", "default": ""},
    "monitoring_interval": {"type": "str", "default": "15s"},
    "monitoring_alerts": {"type": "dict", "options": ALERT_SPEC, "apply_defaults": True},
}
# How urgent each alert is, and the section of the page of troubles that tells what to do.
ALERT_PROPERTIES = {
    "Leaderless": ("critical", "no-leader"),
    "Leaders": ("critical", "several-leaders"),
    "Transitions": ("warning", "the-leader-changes-often"),
    "Down": ("warning", "a-member-does-not-respond"),
    "Versions": ("warning", "versions-differ"),
    "Pending": ("critical", "pods-stay-pending-all-members-are-healthy"),
    "Slow": ("warning", "scheduling-is-slow"),
    "LeaseStands": ("critical", "no-leader"),
    "Unhealthy": ("warning", "statusyml-reports-an-unhealthy-host"),
    "Drift": ("warning", "a-host-has-drift"),
    "Certificate": ("warning", "a-certificate-is-about-to-expire"),
    "Report": ("warning", "the-report-of-statusyml-is-old"),
}
# The client certificate of Prometheus: the ClusterRole system:monitoring, which every apiserver brings, lets this group read /metrics.
SCRAPER = {"CN": "kube-ha-prometheus", "O": "system:monitoring"}
CLIENT_VALID_FOR, CLIENT_RENEW_BEFORE = "8760h", "720h"
DIRECTORY_PATH = re.compile(r"(/[A-Za-z0-9._@-]+)+")
UNIT_OR_GROUP = re.compile(r"[A-Za-z0-9:_.@-]*")


class MonitoringSettings(t.NamedTuple):
    """The variables of monitoring.yml, by the names there without monitoring_."""

    dir: str
    group: str
    service: str
    server_name: str
    interval: str
    alerts: dict[str, t.Any]


class MonitoredCluster(t.NamedTuple):
    """The schedulers of one cluster: what the step variables fixed of its members, by their inventory names."""

    variables: dict[str, Variables]
    addresses: dict[str, str]
    timings: ElectionTimings
    ca: str  # PEM text

    @property
    def any(self) -> Variables:
        """Of a member, for what is the same of all."""
        return next(iter(self.variables.values()))

    @property
    def name(self) -> str:
        return self.any.group

    @property
    def labels(self) -> dict[str, str]:
        """By which all series of this cluster are told from others."""
        return {"job": "kube-scheduler", "cluster": self.name, "scheduler": self.any.name}

    @property
    def selector(self) -> str:
        return _selector(self.labels)


def _selector(labels: t.Mapping[str, str]) -> str:
    return "{" + ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items()) + "}"


class ClientIdentity(t.TypedDict):
    """A client certificate that is made on Prometheus' host, and the CA that the schedulers' own are checked with."""

    path: str
    privatekey_path: str
    ca_cert: str  # on the controller
    ca_key: str


class MonitoringPlan(t.NamedTuple):
    """What a host of Prometheus is to have."""

    identities: list[ClientIdentity]
    files: dict[str, t.Any]  # by path: a text, or a tree that is to be written as YAML
    warnings: list[str]


def read_monitoring_settings(
    raw: t.Mapping[str, t.Any],
) -> tuple[MonitoringSettings | None, list[str]]:
    """The variables with their types, or None and what is wrong with them, one line each."""
    checked = ArgumentSpecValidator(MONITORING_SPEC).validate(
        {name: value for name, value in raw.items() if name in MONITORING_SPEC}
    )
    if checked.error_messages:
        return None, list(checked.error_messages)
    values = checked.validated_parameters
    found = MonitoringSettings(
        **{name.removeprefix("monitoring_"): values[name] for name in MONITORING_SPEC}
    )
    faults = [
        f"monitoring_{name}: {value[:80]!r} is not {what}"
        for name, value, form, what in (
            ("dir", found.dir, DIRECTORY_PATH, "an absolute path of letters, digits and ._@-"),
            ("group", found.group, UNIT_OR_GROUP, "a name of a group"),
            ("service", found.service, UNIT_OR_GROUP, "a name of a unit"),
            ("server_name", found.server_name, UNIT_OR_GROUP, "a DNS name or an address"),
            ("interval", found.interval, DURATION, "a duration such as 15s"),
        )
        if not form.fullmatch(value)
    ]
    faults += [
        f"monitoring_alerts: {name}: {value[:80]!r} is not a duration such as 90s, 5m or 30d"
        for name, value in found.alerts.items()
        if ALERT_SPEC[name]["type"] == "str"
        and (value or ALERT_SPEC[name]["default"])
        and not DURATION.fullmatch(value)
    ]
    return (None if faults else found), faults


def _seconds(text: str) -> int:
    number, unit = DURATION.fullmatch(text).groups()  # type: ignore[union-attr]
    return int(number) * UNIT_SECONDS[unit]


def list_errors(
    cluster: MonitoredCluster, versions: _versions.VersionTable, prefix: str
) -> list[str]:
    """Why the metrics of a cluster cannot be had, one line each."""
    found = []
    for name, v in cluster.variables.items():
        row = _versions.version_row(versions, v.version)
        if row and not row["https"]:
            found.append(
                f"{prefix}version: {v.version} of {name} serves its metrics over plain http only; upgrade it to 1.13 or newer"
            )
        elif transport.is_loopback(v.bind_address):
            found.append(
                f"{prefix}bind_address: {name} serves its metrics on {v.bind_address} only, where Prometheus cannot reach them; let it be"
                " 0.0.0.0 or the address of the host, run site.yml, and then this again"
            )
    return found


def _target(v: Variables, address: str) -> str:
    host = address if v.bind_address in ("0.0.0.0", "::") else v.bind_address
    return transport.netloc(host, v.secure_port)


def plan_monitoring(
    clusters: t.Sequence[MonitoredCluster],
    settings: MonitoringSettings,
    versions: _versions.VersionTable,
) -> MonitoringPlan:
    """The files of a host of Prometheus: one job and one group of rules for each cluster."""
    identities: list[ClientIdentity] = []
    files: dict[str, t.Any] = {}
    warnings: list[str] = []
    jobs, groups = [], []
    for cluster in clusters:
        v = cluster.any
        base = f"{settings.dir}/{cluster.name}" + (
            "" if v.name == "kube-scheduler" else f"-{v.name}"
        )
        own = ClientIdentity(
            path=f"{base}.pem",
            privatekey_path=f"{base}-key.pem",
            ca_cert=v.ca_cert,
            ca_key=v.ca_key,
        )
        if v.is_signed_by_controller:
            identities.append(own)
        else:
            warnings.append(
                f"{cluster.name}: its certificates are not signed here; put a client certificate with O={SCRAPER['O']} and its key at"
                f" {own['path']} and {own['privatekey_path']}, readable by the group {settings.group}"
            )
        if not v.version:
            warnings.append(
                f"{cluster.name}: its version is not declared, so that the rules name the metrics of the newest one"
            )
        files[f"{base}-ca.pem"] = cluster.ca
        jobs.append(_job(cluster, settings, own, f"{base}-ca.pem"))
        groups.append(
            {
                "name": f"kube-scheduler/{cluster.name}/{v.name}",
                "rules": _rules(cluster, settings, versions),
            }
        )
    files |= {
        f"{settings.dir}/scrape.yml": {"scrape_configs": jobs},
        f"{settings.dir}/rules.yml": {"groups": groups},
    }
    return MonitoringPlan(identities, files, warnings)


def _job(
    cluster: MonitoredCluster, settings: MonitoringSettings, identity: ClientIdentity, ca_file: str
) -> dict[str, t.Any]:
    verified = {"server_name": settings.server_name} if settings.server_name else {}
    return {
        "job_name": "/".join(cluster.labels.values()),
        "scheme": "https",
        "scrape_interval": settings.interval,
        "tls_config": {
            "ca_file": ca_file,
            "cert_file": identity["path"],
            "key_file": identity["privatekey_path"],
            **verified,
        },
        "static_configs": [
            {
                "targets": [_target(v, cluster.addresses[name])],
                "labels": {**cluster.labels, "host": name},
            }
            for name, v in cluster.variables.items()
        ],
    }


def _rules(
    cluster: MonitoredCluster, settings: MonitoringSettings, versions: _versions.VersionTable
) -> list[dict[str, t.Any]]:
    v, told, own = cluster.any, settings.alerts, cluster.selector
    newest = max(versions, key=_versions.parse_minor)
    metrics = (_versions.version_row(versions, v.version) or versions[newest])["metrics"]
    # A scrape that comes late, and one that is lost, do not count.
    patience = f"{math.ceil(cluster.timings.crash_bound + 2 * _seconds(settings.interval))}s"
    window = _durations.fixed_window_seconds(v.renew_before)
    # What is renewed in its window has not been, for a quarter of it.
    certificate = (
        _seconds(told["certificate"]) if told["certificate"] else int(0.75 * (window or 20 * 86400))
    )
    report = _selector({"cluster": cluster.name})
    found: list[dict[str, t.Any]] = []

    def alert(name: str, expr: str, after: str, summary: str) -> None:
        severity, section = ALERT_PROPERTIES[name]
        found.append(
            {
                "alert": f"KubeScheduler{name}",
                "expr": expr,
                "for": after,
                "labels": {"severity": severity, "cluster": cluster.name, "scheduler": v.name},
                "annotations": {
                    "summary": f"{cluster.name}: {summary}",
                    "runbook_url": f"{RUNBOOK}#{section}",
                },
            }
        )

    leader, pending, latency = (metrics.get(name) for name in ("leader", "pending", "latency"))
    if leader:
        leads = f"(sum({leader}{own}) or vector(0))"
        # Each change of the leader falls on one member and rises on another one.
        changes = f"(sum(changes({leader}{own}[1h])) or vector(0)) / 2"
        alert(
            "Leaderless", f"{leads} < 1", told["leaderless"] or patience, "no kube-scheduler leads"
        )
        alert(
            "Leaders",
            f"{leads} > 1",
            told["leaders"] or patience,
            "{{ $value }} kube-schedulers lead",
        )
        alert(
            "Transitions",
            f"{changes} > {told['transitions']}",
            "0s",
            "the leader has changed {{ $value }} times within an hour",
        )
    alert("Down", f"up{own} < 1", told["down"], "{{ $labels.host }} does not answer")
    # The label has another name in versions before 1.21, and is left out where it is not.
    different = f"count(count by (git_version, gitVersion) (kubernetes_build_info{own}))"
    alert("Versions", f"{different} > 1", told["versions"], "{{ $value }} versions run")
    if pending:
        waiting = f"sum({pending}{_selector({**cluster.labels, 'queue': 'active'})})"
        tried = f"(sum(rate(scheduler_schedule_attempts_total{own}[5m])) or vector(0))"
        alert(
            "Pending",
            f"{waiting} > 0 and {tried} == 0",
            told["pending"],
            "{{ $value }} pods wait, and none is scheduled",
        )
    if latency:
        slowest = f"histogram_quantile(0.99, sum by (le) (rate({latency}_bucket{own}[5m])))"
        alert(
            "Slow",
            f"{slowest} > {_seconds(told['latency'])}",
            "10m",
            "one of a hundred pods takes {{ $value | humanizeDuration }} to schedule",
        )
    alert(
        "LeaseStands", f"{METRIC_PREFIX}lease_moving{report} < 1", "0s", "the lease is not renewed"
    )
    healthy, drift = (
        f"{METRIC_PREFIX}member_healthy{report}",
        f"{METRIC_PREFIX}member_drift{report}",
    )
    alert(
        "Unhealthy",
        f"{healthy} < 1",
        "0s",
        "{{ $labels.host }} was not healthy when status.yml ran last",
    )
    alert(
        "Drift",
        f"{drift} > 0",
        "0s",
        "{{ $labels.host }} differs from its plan in {{ $value }} parts",
    )
    alert(
        "Certificate",
        f"{METRIC_PREFIX}certificate_not_after_seconds{report} - time() < {certificate}",
        "0s",
        "the certificate that {{ $labels.host }} has {{ $labels.use }} ends in {{ $value | humanizeDuration }}",
    )
    age = f"time() - {METRIC_PREFIX}report_time_seconds"
    alert(
        "Report",
        f"{age} > {_seconds(told['report'])} or absent({METRIC_PREFIX}report_time_seconds)",
        "15m",
        "status.yml has not written its metrics for long",
    )
    return found

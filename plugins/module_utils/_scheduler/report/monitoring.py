# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compute the scrape jobs and alerting rules with which Prometheus monitors the schedulers."""

from __future__ import annotations

import json
import math
import re
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import transport
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.variables import (
    Variables,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.metrics import (
    METRIC_PREFIX,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import (
    MONITORING_ALERTS_SPEC,
    MONITORING_SPEC,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    VersionTable,
    parse_minor,
    version_row,
)

RUNBOOK = "https://github.com/kube-ha/scheduler/blob/main/docs/troubleshooting.md"
# A duration of Prometheus with one unit.
DURATION = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DAY_S = UNIT_SECONDS["d"]
# The severity of each alert, and the section in docs/troubleshooting.md about it.
ALERT_PROPERTIES = {
    "Leaderless": ("critical", "no-leader"),
    "Leaders": ("critical", "several-leaders"),
    "Transitions": ("warning", "the-leader-changes-often"),
    "MemberDown": ("warning", "a-member-does-not-respond"),
    "Versions": ("warning", "versions-differ"),
    "Pending": ("critical", "pods-stay-pending-all-members-are-healthy"),
    "Slow": ("warning", "scheduling-is-slow"),
    "LeaseStands": ("critical", "no-leader"),
    "Unhealthy": ("warning", "statusyml-reports-an-unhealthy-host"),
    "Drift": ("warning", "a-host-has-drift"),
    "Certificate": ("warning", "a-certificate-is-about-to-expire"),
    "Report": ("warning", "the-report-of-statusyml-is-old"),
}
# Every apiserver has the ClusterRole system:monitoring, which lets this group read /metrics.
CLIENT_SUBJECT = {"CN": "kube-ha-prometheus", "O": "system:monitoring"}
CLIENT_VALID_FOR, CLIENT_RENEW_BEFORE = "8760h", "720h"
UNIT_OR_GROUP = re.compile(r"[A-Za-z0-9:_.@-]*")
# The pattern of each setting, and the description of the pattern for errors.
FORMATS = {
    "dir": (re.compile(r"(/[A-Za-z0-9._@-]+)+"), "an absolute path of letters, digits and ._@-"),
    "group": (UNIT_OR_GROUP, "a group name"),
    "service": (UNIT_OR_GROUP, "a unit name"),
    "server_name": (UNIT_OR_GROUP, "a DNS name or an address"),
    "interval": (DURATION, "a duration such as 15s"),
}
ALL_ADDRESSES = ("0.0.0.0", "::")


class MonitoringSettings(t.NamedTuple):
    """The variables of monitoring.yml. Their names here have no prefix monitoring_."""

    dir: str
    group: str
    service: str
    server_name: str
    interval: str
    alerts: dict[str, t.Any]


class MonitoredCluster(t.NamedTuple):
    """The schedulers of one cluster, with the variables and addresses of its members by name."""

    variables: dict[str, Variables]
    addresses: dict[str, str]
    timings: ElectionTimings
    ca: str  # PEM text

    @property
    def shared_variables(self) -> Variables:
        """Return the variables of one member, to read variables that are equal on all members."""
        return next(iter(self.variables.values()))

    @property
    def name(self) -> str:
        return self.shared_variables.group

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that distinguish the series of this cluster from all other series."""
        return {
            "job": "kube-scheduler",
            "cluster": self.name,
            "scheduler": self.shared_variables.name,
        }

    @property
    def selector(self) -> str:
        return _selector(self.labels)


class ClientIdentity(t.TypedDict):
    """A client certificate on the Prometheus host, and the CA that signs the certificate."""

    path: str
    privatekey_path: str
    ca_cert: str  # on the controller
    ca_key: str  # on the controller
    ca_key_passphrase_file: str  # on the controller, "" without a passphrase


class MonitoringPlan(t.NamedTuple):
    """The desired state of a Prometheus host."""

    identities: list[ClientIdentity]
    files: dict[str, t.Any]  # content by path: text, or a structure to write as YAML
    warnings: list[str]


class Alert(t.NamedTuple):
    """An alert, without the labels and annotations that are common to all alerts."""

    name: str  # a key of ALERT_PROPERTIES
    expr: str
    duration: str  # the alert fires if the expression is true for this long
    summary: str


def read_monitoring_settings(
    raw: t.Mapping[str, t.Any],
) -> tuple[MonitoringSettings | None, list[str]]:
    """Return the validated settings, or None with the errors."""
    validated = ArgumentSpecValidator(MONITORING_SPEC).validate(
        {name: value for name, value in raw.items() if name in MONITORING_SPEC}
    )
    if validated.error_messages:
        return None, list(validated.error_messages)
    values = validated.validated_parameters
    settings = MonitoringSettings(
        **{name.removeprefix("monitoring_"): values[name] for name in MONITORING_SPEC}
    )
    errors = [*_format_errors(settings), *_threshold_errors(settings)]
    return (None if errors else settings), errors


def _format_errors(settings: MonitoringSettings) -> t.Iterator[str]:
    for name, (pattern, description) in FORMATS.items():
        value = getattr(settings, name)
        if not pattern.fullmatch(value):
            yield f"monitoring_{name}: {value[:80]!r} is not valid; set {description}"


def _threshold_errors(settings: MonitoringSettings) -> t.Iterator[str]:
    for name, value in settings.alerts.items():
        spec = MONITORING_ALERTS_SPEC[name]
        is_computed = not value and not spec["default"]
        if spec["type"] == "str" and not is_computed and not DURATION.fullmatch(value):
            yield (
                f"monitoring_alerts: {name}: {value[:80]!r} is not a duration; set one such as"
                " 90s, 5m or 30d"
            )


def list_scrape_errors(cluster: MonitoredCluster, versions: VersionTable, prefix: str) -> list[str]:
    """Return the reasons why Prometheus cannot scrape members of a cluster."""
    errors = []
    for name, v in cluster.variables.items():
        row = version_row(versions, v.version)
        if row and not row["https"]:
            errors.append(
                f"{prefix}version: {v.version} on {name} serves metrics without TLS only;"
                " upgrade to 1.13 or newer"
            )
        elif transport.is_loopback(v.bind_address):
            errors.append(
                f"{prefix}bind_address: {name} serves metrics on {v.bind_address} only, which"
                " Prometheus cannot reach; set 0.0.0.0 or the address of the host, run site.yml,"
                " then run monitoring.yml again"
            )
    return errors


def plan_monitoring(
    clusters: t.Sequence[MonitoredCluster],
    settings: MonitoringSettings,
    versions: VersionTable,
) -> MonitoringPlan:
    """Return the plan of a Prometheus host, with one job and one group of rules per cluster."""
    identities: list[ClientIdentity] = []
    files: dict[str, t.Any] = {}
    warnings: list[str] = []
    jobs, groups = [], []
    for cluster in clusters:
        v = cluster.shared_variables
        base = _base_path(cluster, settings)
        identity = ClientIdentity(
            path=f"{base}.pem",
            privatekey_path=f"{base}-key.pem",
            ca_cert=v.ca_cert,
            ca_key=v.ca_key,
            ca_key_passphrase_file=v.ca_key_passphrase_file,
        )
        if v.is_signed_by_controller:
            identities.append(identity)
        warnings += _cluster_warnings(cluster, settings, identity)
        files[f"{base}-ca.pem"] = cluster.ca
        jobs.append(_job(cluster, settings, identity, f"{base}-ca.pem"))
        groups.append(
            {
                "name": f"kube-scheduler/{cluster.name}/{v.name}",
                "rules": [_rule(cluster, alert) for alert in _alerts(cluster, settings, versions)],
            }
        )
    files |= {
        f"{settings.dir}/scrape.yml": {"scrape_configs": jobs},
        f"{settings.dir}/rules.yml": {"groups": groups},
    }
    return MonitoringPlan(identities, files, warnings)


def _base_path(cluster: MonitoredCluster, settings: MonitoringSettings) -> str:
    """Return the start of the paths of a cluster's PEM files."""
    name = cluster.shared_variables.name
    suffix = "" if name == "kube-scheduler" else f"-{name}"
    return f"{settings.dir}/{cluster.name}{suffix}"


def _cluster_warnings(
    cluster: MonitoredCluster, settings: MonitoringSettings, identity: ClientIdentity
) -> t.Iterator[str]:
    v = cluster.shared_variables
    if not v.is_signed_by_controller:
        yield (
            f"{cluster.name}: the controller does not sign certificates of this cluster; create a"
            f" client certificate with O={CLIENT_SUBJECT['O']} at {identity['path']} and its key at"
            f" {identity['privatekey_path']}, readable by the group {settings.group}"
        )
    if not v.version:
        yield (
            f"{cluster.name}: no version is set, so the rules use the metrics of the newest"
            " supported version; set the version that the members run"
        )


def _job(
    cluster: MonitoredCluster, settings: MonitoringSettings, identity: ClientIdentity, ca_file: str
) -> dict[str, t.Any]:
    server_name = {"server_name": settings.server_name} if settings.server_name else {}
    return {
        "job_name": "/".join(cluster.labels.values()),
        "scheme": "https",
        "scrape_interval": settings.interval,
        "tls_config": {
            "ca_file": ca_file,
            "cert_file": identity["path"],
            "key_file": identity["privatekey_path"],
            **server_name,
        },
        "static_configs": [
            {
                "targets": [_target(v, cluster.addresses[name])],
                "labels": {**cluster.labels, "host": name},
            }
            for name, v in cluster.variables.items()
        ],
    }


def _target(v: Variables, address: str) -> str:
    host = address if v.bind_address in ALL_ADDRESSES else v.bind_address
    return transport.netloc(host, v.secure_port)


# --- Rules


def _rule(cluster: MonitoredCluster, alert: Alert) -> dict[str, t.Any]:
    severity, section = ALERT_PROPERTIES[alert.name]
    return {
        "alert": f"KubeScheduler{alert.name}",
        "expr": alert.expr,
        "for": alert.duration,
        "labels": {
            "severity": severity,
            "cluster": cluster.name,
            "scheduler": cluster.shared_variables.name,
        },
        "annotations": {
            "summary": f"{cluster.name}: {alert.summary}",
            "runbook_url": f"{RUNBOOK}#{section}",
        },
    }


def _alerts(
    cluster: MonitoredCluster, settings: MonitoringSettings, versions: VersionTable
) -> list[Alert]:
    newest = max(versions, key=parse_minor)
    row = version_row(versions, cluster.shared_variables.version) or versions[newest]
    metrics = row["metrics"]
    return [
        *_leader_alerts(cluster, settings, metrics.get("leader")),
        *_process_alerts(cluster, settings.alerts),
        *_pending_alerts(cluster, settings.alerts, metrics.get("pending")),
        *_latency_alerts(cluster, settings.alerts, metrics.get("latency")),
        *_report_alerts(cluster, settings.alerts),
    ]


def _leader_alerts(
    cluster: MonitoredCluster, settings: MonitoringSettings, metric: str | None
) -> t.Iterator[Alert]:
    if not metric:
        return
    thresholds, selector = settings.alerts, cluster.selector
    leaders = f"sum({metric}{selector})"
    # A change of the leader changes two series: one of the old leader, and one of the new leader.
    transitions = f"sum(changes({metric}{selector}[1h])) / 2"
    # The timeout tolerates one late scrape and one lost scrape.
    max_failover = f"{math.ceil(cluster.timings.crash_bound + 2 * _seconds(settings.interval))}s"
    yield Alert(
        "Leaderless",
        f"({leaders} or vector(0)) < 1",
        thresholds["leaderless"] or max_failover,
        "no kube-scheduler is the leader",
    )
    yield Alert(
        "Leaders",
        f"{leaders} > 1",
        thresholds["leaders"] or max_failover,
        "{{ $value }} kube-schedulers are leaders",
    )
    yield Alert(
        "Transitions",
        f"{transitions} > {thresholds['transitions']}",
        "0s",
        "the leader has changed {{ $value }} times within an hour",
    )


def _process_alerts(
    cluster: MonitoredCluster, thresholds: t.Mapping[str, t.Any]
) -> t.Iterator[Alert]:
    selector = cluster.selector
    yield Alert(
        "MemberDown", f"up{selector} < 1", thresholds["down"], "{{ $labels.host }} does not respond"
    )
    # The label is named gitVersion before 1.21. A missing label does not split the groups.
    versions = f"count(count by (git_version, gitVersion) (kubernetes_build_info{selector}))"
    yield Alert("Versions", f"{versions} > 1", thresholds["versions"], "{{ $value }} versions run")


def _pending_alerts(
    cluster: MonitoredCluster, thresholds: t.Mapping[str, t.Any], metric: str | None
) -> t.Iterator[Alert]:
    if not metric:
        return
    pending = f"sum({metric}{_selector({**cluster.labels, 'queue': 'active'})})"
    attempts = f"scheduler_schedule_attempts_total{cluster.selector}"
    yield Alert(
        "Pending",
        f"{pending} > 0 and (sum(rate({attempts}[5m])) or vector(0)) == 0",
        thresholds["pending"],
        "{{ $value }} pods are pending, and none is scheduled",
    )


def _latency_alerts(
    cluster: MonitoredCluster, thresholds: t.Mapping[str, t.Any], metric: str | None
) -> t.Iterator[Alert]:
    if not metric:
        return
    buckets = f"sum by (le) (rate({metric}_bucket{cluster.selector}[5m]))"
    yield Alert(
        "Slow",
        f"histogram_quantile(0.99, {buckets}) > {_seconds(thresholds['latency'])}",
        "10m",
        "the p99 latency of scheduling a pod is {{ $value | humanizeDuration }}",
    )


def _report_alerts(
    cluster: MonitoredCluster, thresholds: t.Mapping[str, t.Any]
) -> t.Iterator[Alert]:
    """Yield the alerts on the metrics that status.yml writes."""
    selector = _selector({"cluster": cluster.name})
    yield Alert(
        "LeaseStands",
        f"{METRIC_PREFIX}lease_moving{selector} < 1",
        "0s",
        "the lease is not renewed",
    )
    yield Alert(
        "Unhealthy",
        f"{METRIC_PREFIX}member_healthy{selector} < 1",
        "0s",
        "{{ $labels.host }} was unhealthy at the last run of status.yml",
    )
    yield Alert(
        "Drift",
        f"{METRIC_PREFIX}member_drift{selector} > 0",
        "0s",
        "{{ $labels.host }} differs from its plan in {{ $value }} parts",
    )
    expiry = f"{METRIC_PREFIX}certificate_not_after_seconds{selector}"
    yield Alert(
        "Certificate",
        f"{expiry} - time() < {_min_validity_seconds(cluster, thresholds['certificate'])}",
        "0s",
        "the certificate with the use {{ $labels.use }} of {{ $labels.host }} expires in"
        " {{ $value | humanizeDuration }}",
    )
    time = f"{METRIC_PREFIX}report_time_seconds"
    yield Alert(
        "Report",
        f"time() - {time} > {_seconds(thresholds['report'])} or absent({time})",
        "15m",
        "status.yml has not written new metrics recently",
    )


def _min_validity_seconds(cluster: MonitoredCluster, threshold: str) -> int:
    """Return the threshold in seconds, by default three quarters of the renewal window."""
    if threshold:
        return _seconds(threshold)
    window = _durations.fixed_window_seconds(cluster.shared_variables.renew_before)
    return int(0.75 * (window or 20 * DAY_S))


def _seconds(text: str) -> int:
    number, unit = DURATION.fullmatch(text).groups()  # type: ignore[union-attr]
    return int(number) * UNIT_SECONDS[unit]


def _selector(labels: t.Mapping[str, str]) -> str:
    return "{" + ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items()) + "}"

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse the variables of the role. In this module, the names of the variables have no prefix."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import typing as t
from dataclasses import dataclass, fields

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.timings import ElectionTimings
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.acceptance import (
    Acceptance,
    parse_acceptance,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DEFAULT_SCHEDULER,
)

# Only playbooks and the tests of the lab read these variables, which have the prefix of the role.
OTHER_VARIABLES = ("hosts", "confirm", "admin_kubeconfig")
# Variables of kubespray with the same prefix, and the variable of this role with the same purpose.
# Source: roles/kubernetes/control-plane/defaults/main/kube-scheduler.yml of kubespray.
KUBESPRAY_VARIABLES = {
    "client_conn_extra_opts": "config: {clientConnection: …}",
    "config_extra_opts": "config",
    "extenders": "config: {extenders: …}",
    "leader_elect_extra_opts": "config: {leaderElection: …}",
    "leader_elect_lease_duration": "lease_duration",
    "leader_elect_renew_deadline": "renew_deadline",
    "profiles": "config: {profiles: …}",
}
VariablesSpec = t.Mapping[str, dict[str, t.Any]]
"""Type, choices and elements of each variable."""

WHOLE_SECONDS = re.compile(r"([1-9][0-9]{0,8})s")
CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128}")
# Without a value, such a variable is empty, as in `kube_scheduler_config:`.
EMPTY_VALUES: dict[str, t.Any] = {
    "apiservers": [],
    "config": {},
    "extra_args": {},
    "extra_sans": [],
}
DIRECTORY_OPTIONS = ("bin_dir", "log_dir")
ELECTION_FIELDS = {
    "lease_duration": "leaseDuration",
    "renew_deadline": "renewDeadline",
    "retry_period": "retryPeriod",
}


@dataclass(frozen=True)
class Variables:
    """The variables of the role with their types. meta/argument_specs.yml describes them."""

    version: str
    state: str
    name: str  # name of the instance
    group: str
    address: str
    apiserver: str
    apiservers: list[str]
    apiserver_ca: str
    tls_server_name: str
    binary_source: str
    binary_url: str
    binary_checksum: t.Any  # a text, or a mapping of versions to texts
    bin_dir: str
    user: str
    manage_packages: bool
    pki: str
    ca_cert: str
    ca_key: str
    ca_key_passphrase_file: str
    ca_config: str
    ca_profile: str
    new_ca_cert: str
    new_ca_key: str
    cert_source: str
    key_source: str
    csr_dir: str
    cert_path: str
    key_path: str
    cert_valid_for: str
    subject: dict[str, t.Any]
    sans: str
    extra_sans: list[str]
    renew_before: str
    kubeconfig_path: str
    kubeconfig_style: str
    log_dir: str
    bind_address: str
    secure_port: int
    lease_preset: str
    lease_duration: str
    renew_deadline: str
    retry_period: str
    config: dict[str, t.Any]
    extra_args: dict[str, t.Any]
    rollout: bool
    allow_downgrade: bool
    adopt: t.Any  # a boolean, or a list of names
    metrics_cert: str
    metrics_key: str

    @property
    def is_signed_by_controller(self) -> bool:
        """Whether the controller signs the certificates."""
        return self.pki in ("node", "shared")

    def csr_options(self, host: str) -> dict[str, str]:
        """Return the controller paths of a host's request and certificate, as x509_cert options."""
        names = {"csr_path": f"{host}.csr", "certificate_source": f"{host}.pem"}
        return {option: os.path.join(self.csr_dir, name) for option, name in names.items()}

    def checksum_of(self, version: str) -> str:
        """Return the configured checksum of a version's binary, as sha512:HEX; "" if unset."""
        checksum = self.binary_checksum
        if not isinstance(checksum, t.Mapping):
            return str(checksum).lower()
        return next(
            (
                str(text).lower()
                for name, text in checksum.items()
                if str(name).removeprefix("v") == version
            ),
            "",
        )

    @property
    def accepted(self) -> Acceptance:
        """The losses and changes that the user accepts at an adoption."""
        return parse_acceptance(self.adopt) or Acceptance(everything=False, names=frozenset())

    @property
    def config_path(self) -> str:
        """The path of the scheduler's configuration on a host, next to the kubeconfig."""
        return os.path.join(os.path.dirname(self.kubeconfig_path), f"{self.name}.yaml")

    @property
    def binary_link(self) -> str:
        """The link to the binary of the running version."""
        return os.path.join(self.bin_dir, self.name)

    @property
    def scheduler_name(self) -> str:
        """The schedulerName of the first profile, with which pods select this scheduler."""
        profiles = self.config.get("profiles")
        first = profiles[0] if isinstance(profiles, list) and profiles else self.config
        configured = first.get("schedulerName") if isinstance(first, dict) else None
        return str(configured or self.extra_args.get("scheduler-name") or DEFAULT_SCHEDULER)


def parse_variables(
    raw: t.Mapping[str, t.Any], spec: VariablesSpec, prefix: str = ""
) -> tuple[Variables | None, list[str]]:
    """Return the converted variables without errors, or None with the errors.

    Ansible's rules convert the strings: "false" becomes false.
    """
    known = {name: _normalize(name, value) for name, value in raw.items() if name in spec}
    result = ArgumentSpecValidator(spec).validate(known)
    if result.error_messages:
        return None, [_add_prefix(message, spec, prefix) for message in result.error_messages]
    values = result.validated_parameters
    missing = [
        f"{prefix}{name}: has no value; set one, or remove the variable to use its default"
        for name in spec
        if values.get(name) is None
    ]
    if missing:
        return None, missing
    return Variables(**{field.name: values[field.name] for field in fields(Variables)}), []


def _normalize(name: str, value: t.Any) -> t.Any:
    """Return an empty value instead of None, and a directory without a slash at its end."""
    if value is None:
        return EMPTY_VALUES.get(name)
    is_directory = name in DIRECTORY_OPTIONS and isinstance(value, str)
    return value.rstrip("/") or value if is_directory else value


def _add_prefix(message: str, spec: VariablesSpec, prefix: str) -> str:
    """Return a message of Ansible, with the prefix added to the name of the variable."""
    pattern = rf"\b({'|'.join(spec)})\b(?=$|[ :.,'\"])"
    return re.sub(pattern, lambda match: prefix + match[1], message, count=1)


def warn_about_unknown_variables(
    names: t.Iterable[str], spec: VariablesSpec, prefix: str
) -> list[str]:
    """Return a warning for each unknown variable whose name resembles a known one.

    Other unknown variables can belong to other collections with the same prefix.
    """
    warnings = []
    known = {*spec, *OTHER_VARIABLES}
    for name in sorted({*names} - known):
        if name in KUBESPRAY_VARIABLES:
            warnings.append(
                f"{prefix}{name}: the role has no such variable; set"
                f" {prefix}{KUBESPRAY_VARIABLES[name]}"
            )
            continue
        similar = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
        if similar:
            warnings.append(
                f"{prefix}{name}: the role has no such variable; did you mean {prefix}{similar[0]}?"
            )
    return warnings


def choose_address(address: t.Any, ansible_host: t.Any, name: str) -> str:
    """Return the address variable of a host, otherwise ansible_host, otherwise its name."""
    return str(address or ansible_host or name)


def is_address(text: str) -> bool:
    """Return whether the text is an IPv4 or IPv6 address, without zone and prefix length."""
    return normalize_address(text) != ""


def normalize_address(text: str) -> str:
    """Return the canonical form of an IP address; "" for any other text."""
    try:
        return "" if "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def is_host_address(text: str) -> bool:
    """Return whether the text is the address of one host: neither 0.0.0.0 nor multicast."""
    address = ipaddress.ip_address(text) if is_address(text) else None
    return address is not None and not (address.is_unspecified or address.is_multicast)


class Election(t.NamedTuple):
    """The election times as text such as 15s, and the option that sets each time.

    The keys of both are lease_duration, renew_deadline and retry_period.
    """

    texts: dict[str, str]
    options: dict[str, str]

    def list_errors(self, prefix: str) -> list[str]:
        """Return the errors in the times. A lease can contain only whole seconds."""
        names = {key: f"{prefix}{option}" for key, option in self.options.items()}
        for key, text in self.texts.items():
            if not WHOLE_SECONDS.fullmatch(text):
                length = _durations.parse_seconds(text) or 0
                example = int(length) if 1 <= length < 10**9 and length == int(length) else 15
                advice = f"set a time such as {example}s"
                return [f"{names[key]}: {text} is not a time in whole seconds; {advice}"]
        return [
            f"{names[longer]}: {self.texts[longer]} must be longer than"
            f" {f'{factor} times ' if factor else ''}{names[shorter]}, {self.texts[shorter]}"
            for longer, shorter, factor in self.timings().violations()
        ]

    def timings(self) -> ElectionTimings:
        """Return the times in seconds. All texts must be whole seconds."""
        return ElectionTimings(**{key: float(text[:-1]) for key, text in self.texts.items()})


def resolve_election(v: Variables, presets: t.Mapping[str, t.Mapping[str, str]]) -> Election:
    """Return each election time: from config, otherwise its variable, otherwise the preset."""
    configured = v.config.get("leaderElection")
    election = configured if isinstance(configured, dict) else {}
    texts, options = {}, {}
    for key, field in ELECTION_FIELDS.items():
        if field in election:
            texts[key], options[key] = str(election[field]), f"config: leaderElection: {field}"
        else:
            texts[key], options[key] = getattr(v, key) or presets[v.lease_preset][key], key
    return Election(texts, options)

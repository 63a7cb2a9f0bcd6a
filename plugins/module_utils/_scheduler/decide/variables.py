# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The variables of the role: their types, and what they mean together with the inventory. Names here lack the role's prefix."""

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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DEFAULT_SCHEDULER,
)

VARIABLES_SPEC: dict[str, dict[str, t.Any]] = {
    "version": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"]},
    "name": {"type": "str"},
    "group": {"type": "str"},
    "address": {"type": "str"},
    "apiserver": {"type": "str"},
    "apiservers": {"type": "list", "elements": "str"},
    "apiserver_ca": {"type": "str"},
    "tls_server_name": {"type": "str"},
    "binary_source": {"type": "str", "choices": ["download", "controller", "present"]},
    "binary_url": {"type": "str"},
    "binary_checksum": {"type": "raw"},
    "bin_dir": {"type": "str"},
    "user": {"type": "str"},
    "manage_packages": {"type": "bool"},
    "pki": {"type": "str", "choices": ["node", "shared", "provided", "external"]},
    "ca_cert": {"type": "str"},
    "ca_key": {"type": "str"},
    "ca_config": {"type": "str"},
    "ca_profile": {"type": "str"},
    "new_ca_cert": {"type": "str"},
    "new_ca_key": {"type": "str", "no_log": False},  # a path
    "cert_source": {"type": "str"},
    "key_source": {"type": "str"},
    "csr_dir": {"type": "str"},
    "cert_path": {"type": "str"},
    "key_path": {"type": "str"},
    "cert_valid_for": {"type": "str"},
    "subject": {"type": "dict"},
    "sans": {"type": "str", "choices": ["all", "own"]},
    "extra_sans": {"type": "list", "elements": "str"},
    "renew_before": {"type": "str"},
    "kubeconfig_path": {"type": "str"},
    "kubeconfig_style": {"type": "str", "choices": ["embedded", "files"]},
    "log_dir": {"type": "str"},
    "bind_address": {"type": "str"},
    "secure_port": {"type": "int"},
    "lease_preset": {"type": "str", "choices": ["default", "fast"]},
    "lease_duration": {"type": "str"},
    "renew_deadline": {"type": "str"},
    "retry_period": {"type": "str"},
    "config": {"type": "dict"},
    "extra_args": {"type": "dict"},
    "rollout": {"type": "bool"},
    "allow_downgrade": {"type": "bool"},
    "adopt": {"type": "bool"},
    "metrics_cert": {"type": "str"},
    "metrics_key": {"type": "str", "no_log": False},  # a path
}
# Variables with the prefix that other parts of the collection read: playbooks, and the lab's tests.
OTHER_VARIABLES = ("hosts", "confirm", "admin_kubeconfig")
WHOLE_SECONDS = re.compile(r"([1-9][0-9]{0,8})s")
CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128}")
ELECTION_FIELDS = {
    "lease_duration": "leaseDuration",
    "renew_deadline": "renewDeadline",
    "retry_period": "retryPeriod",
}


@dataclass(frozen=True)
class Variables:
    """Every variable of the role, with its type; meta/argument_specs.yml tells what each means."""

    version: str
    state: str
    name: str  # of the instance
    group: str
    address: str
    apiserver: str
    apiservers: list[str]
    apiserver_ca: str
    tls_server_name: str
    binary_source: str
    binary_url: str
    binary_checksum: t.Any  # a text, or a mapping of versions to such
    bin_dir: str
    user: str
    manage_packages: bool
    pki: str
    ca_cert: str
    ca_key: str
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
    adopt: bool
    metrics_cert: str
    metrics_key: str

    @property
    def is_signed_by_controller(self) -> bool:
        """Whether the controller signs certificates."""
        return self.pki in ("node", "shared")

    def csr_options(self, host: str) -> dict[str, str]:
        """Where a host's signing request is laid on the controller, and where its certificate is put, by the options of x509_cert."""
        names = {"csr_path": f"{host}.csr", "certificate_source": f"{host}.pem"}
        return {option: os.path.join(self.csr_dir, name) for option, name in names.items()}

    def checksum_of(self, version: str) -> str:
        """The checksum that is given for the binary of a version, as sha512:HEX; "" for none."""
        given = self.binary_checksum
        if not isinstance(given, t.Mapping):
            return str(given).lower()
        return next(
            (
                str(text).lower()
                for name, text in given.items()
                if str(name).removeprefix("v") == version
            ),
            "",
        )

    @property
    def config_path(self) -> str:
        """Where the scheduler's configuration lies on a host: beside the kubeconfig."""
        return os.path.join(os.path.dirname(self.kubeconfig_path), f"{self.name}.yaml")

    @property
    def binary_link(self) -> str:
        """The link to the binary of the version that runs."""
        return os.path.join(self.bin_dir, self.name)

    @property
    def scheduler_name(self) -> str:
        """A name under which pods choose this scheduler: that of its first profile."""
        profiles = self.config.get("profiles")
        first = profiles[0] if isinstance(profiles, list) and profiles else self.config
        said = first.get("schedulerName") if isinstance(first, dict) else None
        return str(said or self.extra_args.get("scheduler-name") or DEFAULT_SCHEDULER)


def parse_variables(
    raw: t.Mapping[str, t.Any], prefix: str = ""
) -> tuple[Variables | None, list[str]]:
    """The variables with their types, or None and what is wrong with them, one line each. Strings mean what they say: "false" is false."""
    known = {name: value for name, value in raw.items() if name in VARIABLES_SPEC}
    checked = ArgumentSpecValidator(VARIABLES_SPEC).validate(known)
    if checked.error_messages:
        return None, [_add_prefix(message, prefix) for message in checked.error_messages]
    values = checked.validated_parameters
    missing = [f"{prefix}{name}: is not set" for name in VARIABLES_SPEC if values.get(name) is None]
    if missing:
        return None, missing
    return Variables(**{field.name: values[field.name] for field in fields(Variables)}), []


def _add_prefix(message: str, prefix: str) -> str:
    """Ansible's own message about an option, with the option's full name."""
    return re.sub(
        rf"\b({'|'.join(VARIABLES_SPEC)})\b(?=$|[ :.,'\"])",
        lambda found: prefix + found[1],
        message,
        count=1,
    )


def warn_about_unknown_variables(names: t.Iterable[str], prefix: str) -> list[str]:
    """A warning for each variable that is not known but near to one that is; other collections may use the prefix too."""
    found = []
    known = {*VARIABLES_SPEC, *OTHER_VARIABLES}
    for name in sorted({*names} - known):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
        if near:
            found.append(
                f"{prefix}{name}: the role has no such variable; did you mean {prefix}{near[0]}?"
            )
    return found


def choose_address(own: t.Any, ansible_host: t.Any, name: str) -> str:
    """The address of a host: its own variable, else ansible_host, else its name in the inventory."""
    return str(own or ansible_host or name)


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address, with no zone and no prefix length."""
    return normalize_address(text) != ""


def normalize_address(text: str) -> str:
    """The one way to write an address that may be written in several; "" for what is none."""
    try:
        return "" if "%" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def is_host_address(text: str) -> bool:
    """Whether this can be the address of one host, which 0.0.0.0 and a group's are not."""
    address = ipaddress.ip_address(text) if is_address(text) else None
    return address is not None and not (address.is_unspecified or address.is_multicast)


class Election(t.NamedTuple):
    """The times of the election as they are written, by option; and the option that each was taken from."""

    texts: dict[str, str]  # lease_duration, renew_deadline, retry_period: such as 15s
    options: dict[str, str]

    def list_errors(self, prefix: str) -> list[str]:
        """What is wrong with the times. Whole seconds, since the lease holds no others."""
        names = {key: f"{prefix}{option}" for key, option in self.options.items()}
        for key, text in self.texts.items():
            if not WHOLE_SECONDS.fullmatch(text):
                length = _durations.parse_seconds(text) or 0
                example = int(length) if 1 <= length < 10**9 and length == int(length) else 15
                return [f"{names[key]}: {text} is not a time in whole seconds, such as {example}s"]
        return [
            f"{names[longer]}: {self.texts[longer]} must be longer than {f'{factor} times ' if factor else ''}{names[shorter]}, {self.texts[shorter]}"
            for longer, shorter, factor in self.timings().violations()
        ]

    def timings(self) -> ElectionTimings:
        """The times in seconds; only where there are no faults of form."""
        return ElectionTimings(**{key: float(text[:-1]) for key, text in self.texts.items()})


def resolve_election(
    variables: Variables, presets: t.Mapping[str, t.Mapping[str, str]]
) -> Election:
    """The election's times: kube_scheduler_config's over the single options' over the preset's."""
    told = variables.config.get("leaderElection")
    fields_ = told if isinstance(told, dict) else {}
    texts, options = {}, {}
    for key, field in ELECTION_FIELDS.items():
        single = getattr(variables, key)
        if field in fields_:
            texts[key], options[key] = str(fields_[field]), f"config: leaderElection: {field}"
        else:
            texts[key], options[key] = single or presets[variables.lease_preset][key], key
    return Election(texts, options)

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The inputs of a command line, and its version of kube-scheduler."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    LEASE_NAME,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import (
    minor_of,
    parse_minor,
    version_row,
)

API_GROUP = "kubescheduler.config.k8s.io"


class RunningMember(t.TypedDict):
    """The election settings that a running member uses."""

    hostname: str
    version: str
    lock: str  # configured lock type, "" for the default of its version
    lease_name: str
    lease_namespace: str


@dataclass(frozen=True)
class CommandLineInputs:
    """The tables, the settings of the role, and the user's settings that override them."""

    version: str
    versions: dict[str, dict[str, t.Any]]
    styles: dict[str, dict[str, t.Any]]
    known_flags: dict[str, dict[str, str]]
    known_fields: dict[str, dict[str, t.Any]]
    values: dict[str, t.Any]  # values of {NAME} in the styles
    times: dict[str, str]  # flags of the election times, for a version without configuration file
    binary: str  # absolute path
    base_config: dict[str, t.Any]
    config: dict[str, t.Any]
    extra_args: dict[str, t.Any]
    lease_name: str = LEASE_NAME  # config and extra_args override it
    running: t.Sequence[RunningMember] = ()
    prefix: str = ""


@dataclass(frozen=True)
class TargetVersion:
    """The inputs, together with the table row of the desired version."""

    inputs: CommandLineInputs
    row: t.Mapping[str, t.Any]
    minor: tuple[int, ...]
    label: str  # for messages
    apis: list[str]  # versions of KubeSchedulerConfiguration, the preferred one first
    extra_args: dict[str, t.Any]  # by flag name, with hyphens

    @property
    def extra_args_option(self) -> str:
        """The option with extra flags, as the caller names it."""
        return f"{self.inputs.prefix}extra_args"

    @property
    def config_option(self) -> str:
        """The option with the configuration, as the caller names it."""
        return f"{self.inputs.prefix}config"

    @property
    def api_version(self) -> t.Any:
        """The configured apiVersion, otherwise the preferred version.

        The value is not validated.
        """
        return self.inputs.config.get("apiVersion", self.apis[0])


def resolve_target(inputs: CommandLineInputs) -> TargetVersion:
    """Look up the version in the table; raise PlanError if the table does not contain it."""
    row = version_row(inputs.versions, inputs.version)
    if row is None:
        raise PlanError(
            f"{inputs.version} is not a supported version; set a full version with one of the"
            f" minor versions {', '.join(inputs.versions)}",
            option=f"{inputs.prefix}version",
        )
    return TargetVersion(
        inputs=inputs,
        row=row,
        minor=parse_minor(minor_of(inputs.version)),
        label=f"kube-scheduler {inputs.version}",
        apis=[api if "/" in api else f"{API_GROUP}/{api}" for api in row["config_api"]],
        extra_args={str(name).replace("_", "-"): v for name, v in inputs.extra_args.items()},
    )

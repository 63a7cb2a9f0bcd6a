# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Read the settings of a running scheduler, and describe its process for the result."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.foreign import (
    read_as,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DIGEST_VARIABLE,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    NO_CONFIG,
    ProcessSettings,
    combine_settings,
    is_parsed_config,
    parse_config,
    parse_flags,
    serving_or_default,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving

ANY_ADDRESS = "0.0.0.0"
# Environment variables that the program reads through Go and client-go.
ENVIRONMENT_NAME = re.compile(
    r"GO[A-Z]{2,30}|(?:HTTPS?|NO|ALL|https?|no|all)_(?:PROXY|proxy)|KUBE_[A-Z0-9_]{1,60}|SSL_CERT_(?:FILE|DIR)"
)
DIGEST = re.compile(r"[0-9a-f]{32}")


class ListenAddress(t.NamedTuple):
    """The address and port that a scheduler listens on."""

    bind_address: str
    port: int


def read_process_settings(proc: Proc, pid: int) -> ProcessSettings:
    """Read the command line and the configuration of a process.

    The configuration is read with the permissions of the process. An unreadable configuration
    counts as missing.
    """
    words = proc.command_line(pid) if pid else []
    path = parse_flags(words[1:]).get("config", "")
    config = NO_CONFIG
    if os.path.isabs(path):
        # Import the library now, because the child that parses the configuration has another root
        # directory.
        with contextlib.suppress(ImportError):
            import yaml  # noqa: F401, PLC0415
        parsed = read_as(proc, pid, path, parse_config)
        config = parsed if is_parsed_config(parsed) else NO_CONFIG
    return combine_settings(words[1:], config, readable=bool(words))


def describe_process(
    proc: Proc,
    pid: int,
    version: str,
    settings: ProcessSettings,
    *,
    serving: Serving | None,
    fallback: ListenAddress,
) -> facts.Process:
    """Return the description of a process for the result.

    If the command line cannot be read, `fallback` replaces its settings. Arguments, settings, user
    and environment are included only for a process that the role did not create.
    """
    if not pid:
        return _no_process()
    row = serving_or_default(serving)
    namespace, name = settings.lease
    times = settings.timings
    environment, user = proc.environment(pid), proc.user(pid)
    digest = environment.get(DIGEST_VARIABLE, "")
    address, port = ANY_ADDRESS, row["https"]
    if not settings.readable:
        address, port = fallback
    process = facts.Process(
        pid=pid,
        version=version,
        digest=digest if DIGEST.fullmatch(digest) else "",
        lock=settings.lock or row["lock"],
        lease_name=name,
        lease_namespace=namespace,
        bind_address=settings.bind_address(address),
        secure_port=settings.secure_port(port) if row["https"] else 0,
        http_port=settings.http_port(row["http"]) if row["http"] else 0,
        timings=facts.ElectionTimes(
            lease_duration=times.lease_duration,
            renew_deadline=times.renew_deadline,
            retry_period=times.retry_period,
        ),
        kubeconfig=settings.kubeconfig,
        user="",
        arguments=[],
        settings=[],
        environment=[],
    )
    if not digest:
        known = sorted(filter(ENVIRONMENT_NAME.fullmatch, environment))
        process["user"] = "" if user is None else user_name(user[0])
        words = proc.command_line(pid)[1 : 1 + facts.MAX_LIST_LENGTH]
        process["arguments"] = _secrets.withhold_arguments(words)
        process["settings"] = list(settings.listed)
        process["environment"] = known[: facts.MAX_LIST_LENGTH]
    return process


def _no_process() -> facts.Process:
    return facts.Process(
        pid=0,
        version="",
        digest="",
        lock="",
        lease_name="",
        lease_namespace="",
        bind_address="",
        secure_port=0,
        http_port=0,
        timings=None,
        kubeconfig="",
        user="",
        arguments=[],
        settings=[],
        environment=[],
    )


def user_name(uid: int) -> str:
    """Return the name of a user, or the number if the user has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

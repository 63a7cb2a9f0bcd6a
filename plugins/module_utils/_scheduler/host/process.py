# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a scheduler's process was told on its command line and in its configuration, and which version it is."""

from __future__ import annotations

import contextlib
import os
import pwd
import re

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DIGEST_VARIABLE,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    ProcessSettings,
    list_settings,
    parse_flags,
    parse_settings,
    serving_or_default,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.versions import Serving

ANY_ADDRESS = "0.0.0.0"
# Variables of the environment that the program itself reads, Go's and client-go's.
ENVIRONMENT_NAME = re.compile(
    r"GO[A-Z]{2,30}|(?:HTTPS?|NO|ALL|https?|no|all)_(?:PROXY|proxy)|KUBE_[A-Z0-9_]{1,60}|SSL_CERT_(?:FILE|DIR)"
)


def read_settings(proc: Proc, pid: int) -> ProcessSettings:
    """What a process was told; the configuration is read as the process sees it, and only a regular file of at most 1 MiB."""
    words = proc.command_line(pid) if pid else []
    flags = parse_flags(words[1:])
    config = flags.get("config", "")
    content = None
    if os.path.isabs(config):
        # Anything may have been done to a file that the process itself names.
        with contextlib.suppress(FilesError):
            content = paths.read(f"{proc.path(pid, 'root')}{config}", follow=True)
    return parse_settings(words[1:], content, readable=bool(words))


def describe_process(
    proc: Proc,
    pid: int,
    version: str,
    seen: ProcessSettings,
    *,
    serving: Serving | None,
    bind_address: str,
    port: int,
) -> facts.Process:
    """The process for the answer; C(bind_address) and C(port) stand in where its command line cannot be read."""
    if not pid:
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
    row = serving_or_default(serving)
    namespace, name = seen.lease
    times = seen.timings
    digest, user = proc.environment(pid).get(DIGEST_VARIABLE, ""), proc.user(pid)
    return facts.Process(
        pid=pid,
        version=version,
        digest=digest if re.fullmatch(r"[0-9a-f]{32}", digest) else "",
        lock=seen.lock or row["lock"],
        lease_name=name,
        lease_namespace=namespace,
        bind_address=seen.bind_address(ANY_ADDRESS if seen.readable else bind_address),
        secure_port=seen.secure_port(row["https"] if seen.readable else port)
        if row["https"]
        else 0,
        http_port=seen.http_port(row["http"]) if row["http"] else 0,
        timings=facts.ElectionTimes(
            lease_duration=times.lease_duration,
            renew_deadline=times.renew_deadline,
            retry_period=times.retry_period,
        ),
        kubeconfig=seen.kubeconfig,
        user="" if digest or user is None else user_name(user[0]),
        arguments=[] if digest else proc.command_line(pid)[1 : 1 + facts.MAX_LIST_LENGTH],
        settings=[] if digest else list_settings(seen.content),
        environment=[]
        if digest
        else sorted(filter(ENVIRONMENT_NAME.fullmatch, proc.environment(pid)))[
            : facts.MAX_LIST_LENGTH
        ],
    )


def user_name(uid: int) -> str:
    """The name of a user, the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


# --- the version

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A dry run: the staged binary checks its flags, its configuration and its kubeconfig beside the running one."""

from __future__ import annotations

import contextlib
import os
import socket
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    systemd as _systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    credentials_dir,
)

COPY_SUFFIX = ".dry-run"
"""Of copies that are made for a dry run, beside the staged ones; one that was cut off leaves them to the next."""
PORT_MARK = "@port@"


def check_staged_set(
    fileset: Fileset,
    systemd: _systemd.Systemd,
    params: t.Mapping[str, t.Any],
    unit: str,
    digest: str,
) -> bool | None:
    """Whether the staged set passed: True, or None where systemd is too old for a dry run.

    The staged files take the place of the live ones as credentials of a transient service, which runs as the unit's user; so nothing is
    laid where it could be read, and nothing live is touched. A set that has passed is not tried again. C(params) holds C(command),
    C(user), C(dry_run_flags) and C(dry_run_texts). Raises FilesetError with the binary's own words where it refuses.
    """
    _sweep(fileset)
    if fileset.record()["dry_run"] == digest:
        return True
    if systemd.version() < _systemd.MIN_CREDENTIALS_VERSION:
        return None
    name = f"kube-ha-dry-run-{os.getpid()}.service"
    folder = credentials_dir(name)
    places = {item.path: item for item in fileset.items if item.link_to is None}
    swaps = {
        credentials_dir(unit): folder,
        **{path: os.path.join(folder, item.name) for path, item in places.items()},
        **_filled(params["dry_run_texts"]),
    }

    def swap(text: str) -> str:
        for former, place in swaps.items():
            text = text.replace(former, place)
        return text

    credentials = {}
    try:
        for item in places.values():
            path = fileset.staged_path(item)
            content = (paths.read(path) or b"").decode("utf-8", "surrogateescape")
            if swap(content) != content:
                path += COPY_SUFFIX
                write.write(path, swap(content).encode("utf-8", "surrogateescape"))
            credentials[item.name] = path
        program = next(
            (item.link_target for item in fileset.items if item.link_to), params["command"][0]
        )
        instead = _filled(params["dry_run_flags"])
        flags = [
            swap(word) for word in params["command"][1:] if word.split("=", 1)[0][2:] not in instead
        ]
        flags += [f"--{flag}={value}" for flag, value in instead.items()]
        code, output = systemd.run_with_credentials(
            name, params["user"], credentials, [program, *flags, "--write-config-to=/dev/null"]
        )
    finally:
        _sweep(fileset)
    if code:
        raise FilesetError(
            f"{program} refuses the staged flags or configuration, so nothing was put in place: {failure_reason(output)}"
        )
    fileset.update_record(dry_run=digest)
    return True


def _sweep(fileset: Fileset) -> None:
    for item in fileset.items:
        with contextlib.suppress(FilesError):
            write.remove(f"{fileset.staged_path(item)}{COPY_SUFFIX}")


def _filled(values: dict[str, t.Any]) -> dict[str, str]:
    return {name: str(value).replace(PORT_MARK, str(free_port())) for name, value in values.items()}


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def failure_reason(output: str) -> str:
    """The line in which a Kubernetes binary says why it ends: the last error, without the log's head."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = (
        [line for line in lines if line.startswith(("E", "F", "Error", "error"))]
        or lines
        or ["it said nothing"]
    )
    return errors[-1].split("] ", 1)[-1].strip()[:500]

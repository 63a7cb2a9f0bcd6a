# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Run the staged binary once to check the staged flags, configuration and kubeconfig."""

from __future__ import annotations

import contextlib
import os
import socket
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.systemd import (
    MIN_CREDENTIALS_VERSION,
    Systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    credentials_dir,
)

COPY_SUFFIX = ".dry-run"
"""Suffix of the changed copies of staged files. A dry run first removes leftover copies."""
PORT_MARK = "@port@"
MAX_REASON_CHARS = 500


def check_staged_set(
    fileset: Fileset, systemd: Systemd, params: t.Mapping[str, t.Any], unit: str, digest: str
) -> bool | None:
    """Check the staged set in a dry run, unless the same set has already passed.

    `params` contains `command`, `user`, `dry_run_flags` and `dry_run_texts`. A transient service
    with the user of the unit receives the staged files as credentials. Other users cannot read
    these files, and the live set does not change.

    If systemd is too old for a dry run, returns None. If the binary rejects the set, raises
    FilesetError with the message of the binary.
    """
    _remove_copies(fileset)
    if fileset.record()["dry_run"] == digest:
        return True
    if systemd.version() < MIN_CREDENTIALS_VERSION:
        return None
    name = f"kube-ha-dry-run-{os.getpid()}.service"
    files = [item for item in fileset.items if item.link_to is None]
    replacements = _path_replacements(files, unit, name) | _fill_ports(params["dry_run_texts"])
    program = next(
        (item.link_target for item in fileset.items if item.link_to), params["command"][0]
    )
    try:
        code, output = systemd.run_with_credentials(
            name,
            params["user"],
            _write_copies(fileset, files, replacements),
            [program, *_dry_run_flags(params, replacements), "--write-config-to=/dev/null"],
        )
    finally:
        _remove_copies(fileset)
    if code:
        known = (params["secrets"] or {}).get("values") or ()
        reason = _secrets.withhold_text(failure_reason(output), known)
        raise FilesetError(
            f"{program} rejects the staged flags or configuration, so nothing was promoted:"
            f" {reason}; correct this setting"
        )
    fileset.update_record(dry_run=digest)
    return True


def _path_replacements(files: t.Iterable[Item], unit: str, dry_run_unit: str) -> dict[str, str]:
    """Return the credential path in the transient service for each live path."""
    directory = credentials_dir(dry_run_unit)
    return {
        credentials_dir(unit): directory,
        **{item.path: os.path.join(directory, item.name) for item in files},
    }


def _replace_all(text: str, replacements: t.Mapping[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


def _write_copies(
    fileset: Fileset, files: t.Iterable[Item], replacements: t.Mapping[str, str]
) -> dict[str, str]:
    """Return the path of each file by name. Write a copy only of a file whose text changes."""
    credentials = {}
    for item in files:
        path = fileset.staged_path(item)
        content = (paths.read(path) or b"").decode("utf-8", "surrogateescape")
        replaced = _replace_all(content, replacements)
        if replaced != content:
            path += COPY_SUFFIX
            write.write(path, replaced.encode("utf-8", "surrogateescape"))
        credentials[item.name] = path
    return credentials


def _dry_run_flags(
    params: t.Mapping[str, t.Any], replacements: t.Mapping[str, str]
) -> t.Iterator[str]:
    """Yield the flags of the command; replace flags that would affect the running process."""
    replaced_flags = _fill_ports(params["dry_run_flags"])
    for word in params["command"][1:]:
        if word.split("=", 1)[0][2:] not in replaced_flags:
            yield _replace_all(word, replacements)
    for flag, value in replaced_flags.items():
        yield f"--{flag}={value}"


def _remove_copies(fileset: Fileset) -> None:
    for item in fileset.items:
        with contextlib.suppress(FilesError):
            write.remove(f"{fileset.staged_path(item)}{COPY_SUFFIX}")


def _fill_ports(values: dict[str, t.Any]) -> dict[str, str]:
    return {name: str(value).replace(PORT_MARK, str(free_port())) for name, value in values.items()}


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def failure_reason(output: str) -> str:
    """Return the last error line of a Kubernetes binary without its log prefix."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E", "F", "Error", "error"))]
    last = (errors or lines or ["no output"])[-1]
    return last.split("] ", 1)[-1].strip()[:MAX_REASON_CHARS]

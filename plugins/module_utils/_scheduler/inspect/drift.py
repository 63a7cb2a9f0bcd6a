# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare a host with its desired state, part by part, with the code of the modules that change it.

A directory at the path of a file, invalid content and errors are reasons too.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import re
import stat
import typing as t
from dataclasses import dataclass

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    FilesError,
    FilesetError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import kubeconfig_module
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    FileState,
    read_state,
    sha256_of_file,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
    render_text,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    parse_files,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    SIZE_INDEX,
    Item,
    file_identity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    process,
    staleness,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    systemd as _systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import effective
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import DIGEST_MARK
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    DesiredSettings,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import OWNER_SPEC
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import library
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENT_RULES,
    CERTIFICATE_ARGUMENTS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair import converge_pair
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

# What of the module kubeconfig can be compared without a secret in the question.
_TEXT, _BOOL = {"type": "str"}, {"type": "bool"}
KUBECONFIG_SPEC: dict[str, t.Any] = {
    "path": {"type": "path", "required": True},
    "clusters": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "server": _TEXT,
            "certificate_authority": _TEXT,
            "certificate_authority_data": _TEXT,
            "embed_certs": _BOOL,
            "tls_server_name": _TEXT,
            "proxy_url": _TEXT,
            "insecure_skip_tls_verify": _BOOL,
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "client_certificate": _TEXT,
            "client_key": _TEXT,
            "client_ca": _TEXT,
            "client_ca_data": _TEXT,
            "embed_certs": _BOOL,
        },
    },
    "contexts": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "cluster": _TEXT,
            "user": _TEXT,
            "namespace": _TEXT,
        },
    },
    "current_context": _TEXT,
    **OWNER_SPEC,
}
# Options of the module kubeconfig that no question has.
UNSUPPORTED_KUBECONFIG_OPTIONS: dict[str, dict[str, t.Any]] = {
    "clusters": {"state": "present"},
    "users": {
        "state": "present",
        "client_certificate_source": None,
        "client_key_source": None,
        "token": None,
        "token_file": None,
        "exec": None,
    },
    "contexts": {"state": "present"},
}


class FileModule(t.Protocol):
    """The part of AnsibleModule that predicts changes of a file. It must be in check mode."""

    check_mode: bool

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        """Return the desired attributes of the file."""

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        """Set the attributes; return whether one differed, or `changed`."""


class CheckModeTask:
    """A task of another module in check mode, with its options and warnings."""

    check_mode = True

    def __init__(self, module: FileModule, params: dict[str, t.Any]) -> None:
        self._module = module
        self.params = params
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def __getattr__(self, name: str) -> t.Any:
        # Whatever else the writers need of AnsibleModule, they need of the real one.
        return getattr(self._module, name)

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        return self._module.load_file_common_arguments(params, path=path)

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        return self._module.set_fs_attributes_if_different(file_args, changed)


class HostAccess(t.NamedTuple):
    """Access to the host: files, /proc, the properties of the unit, and the settings in use."""

    module: FileModule
    proc: Proc
    shown: t.Mapping[str, str]
    told: effective.Responses


@dataclass(frozen=True)
class DesiredState:
    """The desired state of a host, validated."""

    version: str
    binary: str
    binary_source: str
    log_dir: str
    certificate: dict[str, t.Any] | None
    pair: dict[str, t.Any] | None
    kubeconfig: dict[str, t.Any] | None
    items: tuple[Item, ...]
    settings: DesiredSettings
    manage_packages: bool
    user: str
    unit: str


def parse_desired(options: t.Mapping[str, t.Any], *, user: str | None, unit: str) -> DesiredState:
    """Parse the option desired. Raises FilesetError and FilesError for an invalid value."""
    certificate, kubeconfig = options["certificate"], options["kubeconfig"]
    if certificate is not None:
        certificate = _validated(
            "certificate",
            {**OWNER_SPEC, **CERTIFICATE_ARGUMENTS},
            certificate,
            CERTIFICATE_ARGUMENT_RULES,
        )
        # A fault of the key is a reason here, whatever the task would do about it.
        if certificate["regenerate"] in ("fail", "partial"):
            certificate["regenerate"] = "full"
    if kubeconfig is not None:
        kubeconfig = _validated("kubeconfig", KUBECONFIG_SPEC, kubeconfig)
        for kind, rest in UNSUPPORTED_KUBECONFIG_OPTIONS.items():
            kubeconfig[kind] = [
                {
                    **rest,
                    **entry,
                    **(
                        {"embed_certs": bool(entry["embed_certs"])}
                        if "embed_certs" in entry
                        else {}
                    ),
                }
                for entry in kubeconfig[kind] or []
            ]
        kubeconfig.update(force=False, backup=False, state="present", attributes=None)
    return DesiredState(
        version=options["version"].removeprefix("v"),
        binary=options["binary"],
        binary_source=options["binary_source"],
        log_dir=options["log_dir"],
        certificate=certificate,
        pair=options["pair"],
        kubeconfig=kubeconfig,
        items=tuple(parse_files(options["files"])),
        settings=options["settings"],
        manage_packages=options["manage_packages"],
        user=user or "",
        unit=unit,
    )


def _validated(
    name: str,
    argument_spec: dict[str, t.Any],
    options: dict[str, t.Any],
    rules: t.Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    found = ArgumentSpecValidator(argument_spec, **(rules or {})).validate(options)
    if found.error_messages:
        raise FilesetError(f"desired: {name}: {'; '.join(found.error_messages)}")
    validated: dict[str, t.Any] = found.validated_parameters
    return validated


class DriftResult(t.NamedTuple):
    """The drift of a host, and why an external CA must issue a certificate."""

    drift: list[facts.Drift]
    awaited: list[str]


def find_drift(
    wanted: DesiredState, root: str, seen: facts.ModuleResult, host: HostAccess
) -> DriftResult:
    """Compare the host. `root` is the directory of the file set, `seen` the result without drift."""
    fileset, module = Fileset(root, wanted.items), host.module
    certificate, awaited = _certificate(wanted, module)
    digest = fileset.digest(lambda item: item.path)
    parts: list[tuple[str, list[str]]] = [
        ("packages", _packages(wanted, seen["missing_libraries"])),
        (
            "user",
            []
            if seen["user_exists"] or not wanted.user
            else [f"the user {wanted.user} does not exist"],
        ),
        (_binary_part(wanted), _binary(wanted, fileset)),
        ("link", _link(wanted)),
        ("log_dir", _log_dir(wanted)),
        ("certificate", [*certificate, *_pair(wanted)]),
        ("kubeconfig", _kubeconfig(wanted, module)),
        ("config", _texts(wanted, digest, "config")),
        ("unit", [*_texts(wanted, digest, "unit", "drop_in_"), *_unit(wanted, host.shown)]),
        ("process", _process(wanted, fileset, digest, seen["process"], host)),
    ]
    if not any(found for _part, found in parts):
        # Otherwise what is staged may differ for good reasons.
        parts.append(("staged", _staged(fileset)))
    drift = [
        facts.Drift(part=part, reason=_line(reason))
        for part, found in parts
        for reason in dict.fromkeys(found)
    ]
    return DriftResult(drift, [_line(reason) for reason in awaited])


def _line(reason: str) -> str:
    return " ".join(reason.split())[: facts.MAX_TEXT_LENGTH]


def _packages(wanted: DesiredState, missing: t.Sequence[str]) -> list[str]:
    return (
        [f"the Python library {name} is missing" for name in missing]
        if wanted.manage_packages
        else []
    )


def _binary_part(wanted: DesiredState) -> str:
    """Return `record` for a present binary that only needs verification, otherwise `binary`."""
    return (
        "record"
        if wanted.binary_source == "present" and os.path.exists(wanted.binary)
        else "binary"
    )


def _binary(wanted: DesiredState, fileset: Fileset) -> list[str]:
    path = wanted.binary
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:
        return [_absence(path, error)]
    if not stat.S_ISREG(info.st_mode):
        return [f"{path}: is not a regular file"]
    found = []
    if not info.st_mode & stat.S_IXOTH:
        found.append(f"{path}: mode is {_octal(info.st_mode)}, so that not everybody can run it")
    if wanted.binary_source != "present" and (
        info.st_uid != 0 or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        found.append(
            f"{path}: others than root may write it (owner {process.user_name(info.st_uid)}, {_octal(info.st_mode)})"
        )
    known = fileset.record()["binaries"].get(path)
    if known is None:
        return [*found, f"{path}: its checksum was never verified"]
    seen, size = file_identity(info), known["identity"][SIZE_INDEX]
    if info.st_size < size:
        found.append(f"{path}: is cut off: it has {info.st_size} bytes, and had {size}")
    elif info.st_size > size or (
        seen != known["identity"] and sha256_of_file(path) != known["sha256"]
    ):
        found.append(f"{path}: content differs from what was verified")
    elif known["version"] != wanted.version:
        found.append(
            f"{path}: is recorded as version {known['version'] or 'unknown'}, expected {wanted.version}"
        )
    return found


def _absence(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return f"{path!r}: is not a usable path"
    return f"{path}: {'is not there' if isinstance(error, FileNotFoundError) else error.strerror}"


def _link(wanted: DesiredState) -> list[str]:
    found = []
    for item in wanted.items:
        if not item.link_to:
            continue
        if os.path.islink(item.path):
            target = os.readlink(item.path)
            if target != item.link_to:
                found.append(f"{item.path} -> {target}, expected {item.link_to}")
        else:
            there = os.path.lexists(item.path)
            found.append(
                f"{item.path}: {'is not a link' if there else 'is not there'}, expected -> {item.link_to}"
            )
    return found


def _log_dir(wanted: DesiredState) -> list[str]:
    path = wanted.log_dir
    if not path:
        return []
    try:
        info = os.stat(path)
    except (OSError, ValueError) as error:
        return [_absence(path, error)]
    if not stat.S_ISDIR(info.st_mode):
        return [f"{path}: is not a directory"]
    return _rights(path, {"owner": wanted.user or None, "group": None, "mode": "0755"})


def _certificate(wanted: DesiredState, module: FileModule) -> tuple[list[str], list[str]]:
    """Return the differences of the pair, and why a certificate is outstanding."""
    options = wanted.certificate
    if options is None:
        return [], []
    if library.CRYPTOGRAPHY_TRACEBACK:
        reason = (
            "cannot be judged, for the Python library cryptography is missing or older than 3.3"
        )
        return [f"{options['path']}: {reason}"], []
    task = CheckModeTask(module, options)
    try:
        result = converge_pair(task, current_utc())
    except CollectionError as error:
        return [str(error)], []
    found = [f"{options['path']}: {reason}" for reason in result["reasons"]]
    if result["changed"] and not found:
        found += _rights(options["privatekey_path"], options) + _rights(
            options["path"], {**options, "mode": "0644"}
        )
        found = found or [f"{options['path']} or {options['privatekey_path']}: attributes differ"]
    return found, result.get("awaited", [])


def _pair(wanted: DesiredState) -> list[str]:
    options = wanted.pair
    if options is None:
        return []
    found = []
    for item in wanted.items:
        if item.name not in ("certificate", "privatekey"):
            continue
        sha = options[f"{item.name}_sha256"]
        try:
            content = paths.read(item.path)
        except FilesError as error:
            found.append(str(error))
            continue
        if content is None:
            found.append(f"{item.path}: is not there")
        elif sha is None:
            found.append(f"{item.path}: its source on the controller is not there")
        elif hashlib.sha256(content).hexdigest() != sha:
            found.append(f"{item.path}: content differs from the controller's")
        else:
            rights = (
                options
                if item.name == "privatekey"
                else {"owner": "root", "group": "root", "mode": "0644"}
            )
            found += _rights(item.path, rights)
    return found


def _kubeconfig(wanted: DesiredState, module: FileModule) -> list[str]:
    options = wanted.kubeconfig
    if options is None:
        return []
    path = options["path"]
    task = CheckModeTask(module, options)
    try:
        result = kubeconfig_module.converge_kubeconfig(task)
    except CollectionError as error:
        return [str(error).partition("; set force")[0]]
    if not result["changed"]:
        return []
    if not os.path.lexists(path):
        return [f"{path}: is not there"]
    if "diff" not in result:
        return [f"{path}: cannot be judged: {'; '.join(task.warnings)}"]
    after, before = result["diff"]["after"], result["diff"]["before"]
    found = [
        f"{path}: {kind} differ" for kind in ("clusters", "users", "contexts") if after.get(kind)
    ]
    if after.get("current-context") != before.get("current-context"):
        found.append(f"{path}: current-context differs")
    return (
        found
        or _rights(path, options)
        or [f"{path}: {'; '.join(task.warnings) or 'attributes differ'}"]
    )


def _texts(wanted: DesiredState, digest: str, *names: str) -> list[str]:
    """Return the differences of the rendered members whose names start with one of `names`."""
    found = []
    for item in wanted.items:
        if item.content is None or not item.name.startswith(names):
            continue
        content = render_text(item, digest)
        state = FileState(hashlib.sha256(content).hexdigest(), 0, 0, item.mode)
        try:
            live = read_state(item.path)
        except FilesError as error:
            found.append(str(error))
            continue
        if live is None:
            found.append(f"{item.path}: is not there")
        elif live.fingerprint.startswith("link:"):
            found.append(f"{item.path}: is a link")
        elif live != state:
            if live.fingerprint != state.fingerprint:
                what = facts.OTHER_DIGEST if _same_but_digest(item) else "content differs"
                found.append(f"{item.path}: {what}")
            found += _rights(
                item.path, {"owner": "root", "group": "root", "mode": f"{item.mode:04o}"}
            )
    return found


def _same_but_digest(item: Item) -> bool:
    """Check that a text differs only in its digest, because another member differs."""
    around = [re.escape(part) for part in (item.content or "").split(DIGEST_MARK)]
    live = (paths.read(item.path) or b"").decode("utf-8", "replace")
    return len(around) > 1 and re.fullmatch("[0-9a-f]{0,32}".join(around), live) is not None


def _unit(wanted: DesiredState, shown: t.Mapping[str, str]) -> list[str]:
    ours = {item.path for item in wanted.items}
    found = [
        f"{path}: changes the unit"
        for path in _systemd.drop_ins(shown, wanted.unit)
        if path not in ours
    ]
    found += [
        f"{item.path}: is still there"
        for item in wanted.items
        if item.is_absent and os.path.lexists(item.path)
    ]
    if shown.get("LoadState") == "masked":
        found.append(f"{wanted.unit} is masked")
    elif shown.get("NeedDaemonReload") == "yes":
        found.append(f"{wanted.unit} was changed since systemd read it")
    fragment = shown.get("FragmentPath", "")
    paths_ = [item.path for item in wanted.items if item.name == "unit"]
    if shown.get("LoadState") == "loaded" and fragment and fragment not in paths_:
        found += [f"{wanted.unit} is read from {fragment}, expected {path}" for path in paths_]
    return found


def _process(
    wanted: DesiredState, fileset: Fileset, digest: str, process: facts.Process, host: HostAccess
) -> list[str]:
    live = staleness.LiveSet(wanted.items, digest, fileset.record()["binaries"])
    found = staleness.staleness_reasons(wanted.unit, host.shown, host.proc, live)
    if process["pid"] and process["version"] != wanted.version:
        found.append(
            f"running version {process['version'] or 'unknown'}, expected {wanted.version}"
        )
    # Otherwise that it differs follows from what was found.
    return found or effective.compare_settings_in_use(wanted.settings, wanted.version, host.told)


def _staged(fileset: Fileset) -> list[str]:
    """Return damaged staged copies, which only the next change would show."""
    try:
        names = fileset.pending_members()
    except FilesError as error:
        return [str(error)]
    return [
        f"{fileset.staged_path(item)}: differs from {item.path}, which is as planned"
        for item in fileset.items
        if item.name in names
    ]


def _rights(path: str, wanted: t.Mapping[str, t.Any]) -> list[str]:
    """Return the differences in owner, group and mode of a path; None is not compared."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return []
    found = []
    for option, name in (("owner", process.user_name(info.st_uid)), ("group", _group(info.st_gid))):
        number = str(info.st_uid if option == "owner" else info.st_gid)
        if wanted.get(option) is not None and str(wanted[option]) not in (name, number):
            found.append(f"{path}: {option} is {name}, expected {wanted[option]}")
    mode = wanted.get("mode")
    with contextlib.suppress(ValueError):
        if mode is not None and stat.S_IMODE(info.st_mode) != int(str(mode), 8):
            found.append(
                f"{path}: mode is {_octal(info.st_mode)}, expected {int(str(mode), 8):04o}"
            )
    return found


def _octal(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

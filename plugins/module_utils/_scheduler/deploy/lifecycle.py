# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Apply the states of scheduler_fileset to the file set and to the unit that runs from it."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
    KubeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import directories, paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import dry_run
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import owners
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    check_fileset,
    parse_files,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.originals import (
    KeptFile,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
    recorded_items,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import static_pod
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.staleness import (
    LiveSet,
    staleness_reasons,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.systemd import (
    Systemd,
    int_property,
    main_pid,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import STATIC_POD

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import LeaseResult
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy.handover import (
        HandoverResult,
    )

LOCK_TIMEOUT_S = 60.0
LOG_DIR_MODE = 0o755


class FilesetModule(t.Protocol):
    """The part of AnsibleModule that this file uses."""

    params: dict[str, t.Any]
    check_mode: bool


class FilesetResult(t.TypedDict, total=False):
    """The result of scheduler_fileset; only `changed` and `done` exist in every state."""

    changed: bool
    done: list[str]
    digest: str
    pending: list[str]
    reasons: list[str]
    lease: LeaseResult | None
    handover: HandoverResult | None
    kept: list[KeptFile]
    original: bool
    version: str
    not_after: str
    dry_run: bool | None
    diff: list[dict[str, str]]


@dataclass(frozen=True)
class Deployment:
    """The options of the module, the file set, and access to the host."""

    params: dict[str, t.Any]
    check_mode: bool
    fileset: Fileset
    systemd: Systemd
    proc: Proc

    @property
    def unit(self) -> str:
        """Return the name of the unit."""
        return str(self.params["unit"])

    def with_items(self, items: t.Sequence[Item]) -> Deployment:
        """Return a copy of the deployment with other items in the file set."""
        return replace(self, fileset=Fileset(self.fileset.root, items))

    def staleness(self, digest: str) -> list[str]:
        """Return why the unit must restart to run from the file set, one line per reason."""
        live = LiveSet(self.fileset.items, digest, self.fileset.record()["binaries"])
        return staleness_reasons(self.unit, self.systemd.show(self.unit), self.proc, live)


def apply_state(module: FilesetModule, systemd: Systemd, proc: Proc) -> FilesetResult:
    """Run the module scheduler_fileset. Raises FilesetError, SystemdError and FilesError."""
    params = module.params
    check_fileset(params)
    fileset = Fileset(params["path"], parse_files(params["files"] or [], params["secrets"]))
    fileset.check_directory()
    deployment = Deployment(params, module.check_mode, fileset, systemd, proc)
    created = []
    if params["state"] in ("prepared", "staged"):
        _check_feasible(deployment)
        if not module.check_mode:
            created = fileset.make_directories()
    with contextlib.ExitStack() as locks:
        if not module.check_mode and os.path.isdir(fileset.root):
            locks.enter_context(paths.lock(fileset.root, timeout=LOCK_TIMEOUT_S))
            fileset.recover()
        result = STATE_HANDLERS[params["state"]](deployment)
    changed, done = result["changed"] or bool(created), [*created, *result["done"]]
    return FilesetResult(**{**result, "changed": changed, "done": done})


def _check_feasible(deployment: Deployment) -> None:
    """If the state cannot be reached, raise an error before any change."""
    fileset, params = deployment.fileset, deployment.params
    fileset.check_binaries(params["binaries"], dry=deployment.check_mode)
    if params["state"] != "staged":
        return
    for item in () if deployment.check_mode else fileset.items:
        if item.group_id() < 0:
            raise FilesetError(
                f"group {item.group} of {item.name!r} does not exist; create it, or run all phases"
                " of the role",
                option="files",
            )
    # This comparison reads each staged and live path, and fails for a directory.
    fileset.pending_members()
    if params["command"] and not deployment.check_mode:
        fileset.require_staged(item for item in fileset.items if item.is_seeded)
    _give_log_dir(params, dry=True)


def _give_log_dir(params: t.Mapping[str, t.Any], *, dry: bool) -> bool:
    """Create the log directory for the user of the unit, and return whether it changed."""
    if not params["log_dir"]:
        return False
    return directories.give_directory(params["log_dir"], params["user"], LOG_DIR_MODE, dry=dry)


def _prepare(deployment: Deployment) -> FilesetResult:
    fileset, dry = deployment.fileset, deployment.check_mode
    shared = deployment.params["directories"]
    done = [
        *(_take_owners(deployment, shared) if not dry else ()),
        *fileset.create_shared(shared, dry=dry),
        *fileset.prepare(dry=dry),
    ]
    is_recorded = fileset.record_binaries(deployment.params["binaries"]) if not dry else False
    return FilesetResult(changed=bool(done) or is_recorded, done=done)


def _stage(deployment: Deployment) -> FilesetResult:
    fileset, params, dry = deployment.fileset, deployment.params, deployment.check_mode
    diff = fileset.differences()
    is_log_dir_changed = _give_log_dir(params, dry=dry)
    is_recorded = fileset.record_binaries(params["binaries"], dry=dry)
    staged = fileset.stage(dry=dry)
    digest = fileset.digest()
    pending = sorted({*fileset.pending_members(), *(staged if dry else ())})
    reasons = deployment.staleness(digest)
    if reasons:
        pending.append("process")
    passed = None
    if pending and params["command"] and not dry:
        passed = dry_run.check_staged_set(
            fileset, deployment.systemd, params, deployment.unit, digest
        )
    done = [*staged, *(["log_dir"] if is_log_dir_changed else [])]
    return FilesetResult(
        changed=bool(done) or is_recorded,
        done=done,
        digest=digest,
        pending=pending,
        reasons=reasons,
        dry_run=passed,
        diff=diff,
    )


def _make_live(deployment: Deployment) -> FilesetResult:
    staged = deployment.fileset.record()["staged"]
    digest = staged["digest"] if staged else ""
    if deployment.check_mode:
        # In check mode, no earlier task has staged the set, so its content is unknown.
        return FilesetResult(changed=True, done=["restart"], digest=digest)
    deployment = deployment.with_items(deployment.fileset.staged_items())
    fileset, systemd, params = deployment.fileset, deployment.systemd, deployment.params
    if not fileset.record()["original"] and digest != fileset.digest():
        raise FilesetError(
            f"{os.path.join(fileset.root, 'staged')} changed after the file set was staged;"
            " run all phases of the role again"
        )
    pod = static_pod.replaced_static_pod(fileset, deployment.proc, params["attempt"])
    handed_over = None
    if params["handover"] and (pod or _will_restart(deployment, digest)):
        handed_over = _hand_over(deployment, pod or systemd, params["handover"])
    if pod and not handed_over:
        pod.stop(deployment.unit)
    _disable_for_kubelet(deployment, fileset.items)
    properties = systemd.show(deployment.unit)
    is_foreign = _is_foreign_unit(properties, fileset)
    taken = _take_owners(deployment, (os.path.dirname(item.path) for item in fileset.items))
    done = [*taken, *fileset.promote(params["attempt"], keep_foreign=is_foreign)]
    done += _restore_owners(fileset)
    lease = None if pod or main_pid(properties) else _read_lease(fileset, params["lease"])
    result = _start(deployment, done, restart=params["restart"])
    return FilesetResult(**{**result, "digest": digest, "lease": lease, "handover": handed_over})


def _take_owners(deployment: Deployment, candidates: t.Iterable[str]) -> list[str]:
    """Give root the candidate directories, if the user accepts this, and return what changed."""
    if not deployment.params["ownership"]:
        return []
    taken = owners.take_owners(deployment.fileset, candidates)
    return [f"owner of {path}" for path in taken]


def _restore_owners(fileset: Fileset, *, removal: bool = False) -> list[str]:
    """Restore the owners of directories unless the live set is of this role."""
    live = fileset.record()["live"]
    if not removal and (live is None or live["digest"]):
        return []
    return [f"owner of {path}" for path in owners.restore_owners(fileset, removal=removal)]


def _is_foreign_unit(properties: t.Mapping[str, str], fileset: Fileset) -> bool:
    """Return whether another installer created the loaded unit."""
    is_loaded = properties.get("LoadState") == "loaded"
    return is_loaded and properties.get("FragmentPath") not in fileset.record()["paths"]


def _read_lease(fileset: Fileset, lease: dict[str, str] | None) -> LeaseResult | None:
    """Read the lease before the first start on this host."""
    kubeconfig = next((item.path for item in fileset.items if item.name == "kubeconfig"), None)
    if not lease or kubeconfig is None:
        return None
    # These imports take one fifth of the module's run time. Most states do not need these modules.
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import (  # noqa: PLC0415
        handover,
    )

    return handover.read_initial_lease(kubeconfig, **lease)


def _hand_over(
    deployment: Deployment, service: static_pod.SchedulerService, options: dict[str, t.Any]
) -> HandoverResult | None:
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import (  # noqa: PLC0415
        handover,
    )

    unit, proc = deployment.unit, deployment.proc
    pid = main_pid(deployment.systemd.show(unit)) or static_pod.find_pid(proc, unit)
    return handover.hand_over(unit, service, handover.HandoverOptions(**options), (proc, pid))


def _is_run_by_kubelet(items: t.Iterable[Item]) -> bool:
    """Return whether kubelet runs the scheduler of a set as a static pod."""
    return any(item.name == STATIC_POD and not item.is_absent for item in items)


def _disable_for_kubelet(deployment: Deployment, items: t.Iterable[Item]) -> None:
    """If kubelet runs the set to promote, stop and disable the unit."""
    systemd, unit = deployment.systemd, deployment.unit
    if _is_run_by_kubelet(items) and systemd.show(unit).get("LoadState") == "loaded":
        systemd.disable(unit)


def _will_restart(deployment: Deployment, digest: str) -> bool:
    """Return whether the promotion of the staged set restarts the unit."""
    fileset = deployment.fileset
    pending = fileset.pending_members()
    has_changes = any(item.name in pending and item.digest != "path" for item in fileset.items)
    return has_changes or bool(deployment.staleness(digest))


def _start(deployment: Deployment, promoted: list[str], *, restart: bool = False) -> FilesetResult:
    """Run the unit from the live set. With `restart`, restart even a unit that is not stale."""
    systemd, unit, done = deployment.systemd, deployment.unit, list(promoted)
    live = deployment.fileset.record()["live"]
    if _is_run_by_kubelet(recorded_items(live)):
        systemd.reload()
        return FilesetResult(changed=bool(done), done=done)
    properties = systemd.show(unit)
    needs_reload = properties.get("NeedDaemonReload") == "yes"
    if needs_reload or properties.get("LoadState") != "loaded" or done:
        systemd.reload()
        properties = systemd.show(unit)
    if properties.get("UnitFileState") != "enabled":
        systemd.enable(unit)
        done.append("enable")
    reasons = deployment.staleness(live["digest"] if live else "")
    if reasons or restart:
        if int_property(properties, "NRestarts"):
            systemd.reset_restarts(unit)
        systemd.restart(unit)
        done.append("restart")
    return FilesetResult(changed=bool(done), done=done, reasons=reasons)


def _restore(deployment: Deployment) -> FilesetResult:
    if deployment.check_mode:
        return FilesetResult(changed=False, done=[])
    if deployment.fileset.record()["staged"]:
        deployment = deployment.with_items(deployment.fileset.staged_items())
    fileset, attempt = deployment.fileset, deployment.params["attempt"]
    if replaced := fileset.replaced_set(attempt):
        _disable_for_kubelet(deployment, recorded_items(replaced))
    done = fileset.restore(attempt)
    done += _restore_owners(fileset)
    live = fileset.record()["live"]
    if not live:
        return FilesetResult(changed=bool(done), done=done)
    # Start the unit even if nothing was promoted: a failed handover can leave the unit stopped.
    return _start(deployment.with_items(recorded_items(live)), done)


def _recall(deployment: Deployment) -> FilesetResult:
    fileset = deployment.fileset
    done = fileset.recall(dry=deployment.check_mode)
    record, previous = fileset.record(), fileset.previous_set()
    items = recorded_items(previous)
    kept_paths = {item.name: fileset.previous_path(item) for item in items}
    # A binary of another installer can be a regular file of unknown version.
    binaries = [
        record["binaries"].get(item.link_target)
        for item in items
        if item.link_to is not None and os.path.islink(kept_paths[item.name])
    ]
    return FilesetResult(
        changed=bool(done),
        done=done,
        original=previous is not None and not previous["digest"],
        version=next((binary["version"] for binary in binaries if binary), ""),
        not_after=_read_not_after(kept_paths),
    )


def _read_not_after(kept_paths: t.Mapping[str, str]) -> str:
    """Return when the certificate of a previous set expires, "" if there is none.

    `kept_paths` maps file names to paths. Some file sets contain the certificate only in the
    kubeconfig.
    """
    # This import takes longer than all other imports. Most states do not need the module.
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (  # noqa: PLC0415
        credentials,
    )
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (  # noqa: PLC0415
        parse_certificates,
        read_validity,
    )
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (  # noqa: PLC0415
        describe_missing_cryptography,
    )

    # A missing library must not prevent a rollback.
    if describe_missing_cryptography():
        return ""
    pem = paths.read(kept_paths["certificate"]) if "certificate" in kept_paths else None
    kubeconfig = (
        static_pod.kubeconfig_path(kept_paths[STATIC_POD])
        if STATIC_POD in kept_paths
        else kept_paths.get("kubeconfig")
    )
    if pem is None and kubeconfig:
        with contextlib.suppress(KubeError, FilesError):
            pair = credentials.load_credentials(kubeconfig).client_pem
            pem = pair[0].encode() if pair else None
    certificates = parse_certificates(pem or b"")
    certificate = certificates[0] if certificates else None
    return read_validity(certificate)[1].isoformat() if certificate else ""


def _remove(deployment: Deployment) -> FilesetResult:
    fileset, systemd, unit = deployment.fileset, deployment.systemd, deployment.unit
    options, handed_over, done = deployment.params["handover"], None, []
    if systemd.show(unit).get("FragmentPath") in fileset.created_paths():
        done.append(unit)
        if not deployment.check_mode:
            handed_over = _hand_over(deployment, systemd, options) if options else None
            systemd.disable(unit)
    kept = fileset.originals.displaced()
    if not deployment.check_mode:
        done += _restore_owners(fileset, removal=True)
    done += fileset.remove(dry=deployment.check_mode)
    if done and not deployment.check_mode:
        systemd.reload()
    return FilesetResult(changed=bool(done), done=done, handover=handed_over, kept=kept)


STATE_HANDLERS: dict[str, t.Callable[[Deployment], FilesetResult]] = {
    "prepared": _prepare,
    "staged": _stage,
    "live": _make_live,
    "previous": _restore,
    "recalled": _recall,
    "absent": _remove,
}

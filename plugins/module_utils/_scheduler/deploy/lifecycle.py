# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The states of scheduler_fileset: what is done to the set of files, and to the unit that runs from it."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
    KubeError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import directories, paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import dry_run
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import options
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    parse_files,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
    recorded_items,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    staleness,
    static_pod,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import (
    systemd as _systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import STATIC_POD

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import LeaseResult
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy.handover import (
        HandoverResult,
    )

LOCK_TIMEOUT_S = 60.0
LOG_MODE = 0o755


class FilesetModule(t.Protocol):
    """The part of AnsibleModule that this needs."""

    params: dict[str, t.Any]
    check_mode: bool


class FilesetResult(t.TypedDict, total=False):
    """What the module returns; only C(changed) and C(done) in every state."""

    changed: bool
    done: list[str]
    digest: str
    pending: list[str]
    reasons: list[str]
    lease: LeaseResult | None
    handover: HandoverResult | None
    original: bool
    version: str
    not_after: str
    dry_run: bool | None
    diff: list[dict[str, str]]


def apply_state(module: FilesetModule, systemd: _systemd.Systemd, proc: Proc) -> FilesetResult:
    """The module scheduler_fileset. Raises FilesetError, SystemdError and FilesError."""
    params = module.params
    options.check_fileset(params)
    fileset = Fileset(params["path"], parse_files(params["files"] or []))
    fileset.check_directory()
    state = STATE_HANDLERS[params["state"]]
    made = []
    if params["state"] in ("prepared", "staged"):
        # What cannot be is refused before anything is made.
        fileset.check_binaries(params["binaries"], dry=module.check_mode)
        if params["state"] == "staged":
            fileset.pending_members()  # looks at each path, live and staged
            if params["command"] and not module.check_mode:
                fileset.require_staged(item for item in fileset.items if item.is_seeded)
            if params["log_dir"]:
                directories.give_directory(params["log_dir"], params["user"], LOG_MODE, dry=True)
        if not module.check_mode:
            made = fileset.make_directories()
    with contextlib.ExitStack() as locks:
        if not module.check_mode and os.path.isdir(fileset.root):
            locks.enter_context(paths.lock(fileset.root, timeout=LOCK_TIMEOUT_S))
            fileset.recover()
        result = state(module, fileset, systemd, proc)
    return FilesetResult(
        **{**result, "changed": result["changed"] or bool(made), "done": [*made, *result["done"]]}
    )


def _prepared(
    module: FilesetModule, fileset: Fileset, _systemd: _systemd.Systemd, _proc: Proc
) -> FilesetResult:
    done = fileset.prepare(dry=module.check_mode)
    recorded = False if module.check_mode else fileset.record_binaries(module.params["binaries"])
    return FilesetResult(changed=bool(done) or recorded, done=done)


def _staged(
    module: FilesetModule, fileset: Fileset, systemd: _systemd.Systemd, proc: Proc
) -> FilesetResult:
    params = module.params
    dry = module.check_mode
    diff = fileset.differences()
    given = params["log_dir"] and directories.give_directory(
        params["log_dir"], params["user"], LOG_MODE, dry=dry
    )
    recorded = fileset.record_binaries(params["binaries"], dry=dry)
    done = [*fileset.stage(dry=dry), *(["log_dir"] if given else [])]
    digest = fileset.digest()
    pending = sorted(
        {*fileset.pending_members(), *(name for name in done if dry and name != "log_dir")}
    )
    reasons = _reasons(params["unit"], systemd, proc, fileset, digest)
    if reasons:
        pending.append("process")
    passed = None
    if pending and params["command"] and not dry:
        passed = dry_run.check_staged_set(fileset, systemd, params, params["unit"], digest)
    return FilesetResult(
        changed=bool(done) or recorded,
        done=done,
        digest=digest,
        pending=pending,
        reasons=reasons,
        dry_run=passed,
        diff=diff,
    )


def _live(
    module: FilesetModule, fileset: Fileset, systemd: _systemd.Systemd, proc: Proc
) -> FilesetResult:
    unit = module.params["unit"]
    staged = fileset.record()["staged"]
    if module.check_mode:
        # An earlier task would have staged a set, of which nothing is known yet.
        return FilesetResult(
            changed=True, done=["restart"], digest=staged["digest"] if staged else ""
        )
    fileset = Fileset(fileset.root, fileset.staged_items())
    digest = staged["digest"] if staged else ""
    if not fileset.record()["original"] and digest != fileset.digest():
        raise FilesetError(
            f"{os.path.join(fileset.root, 'staged')} was changed since it was staged as a whole: run the earlier phases again"
        )
    wanted, handed = module.params["handover"], None
    pod = static_pod.replaced_static_pod(fileset, proc, module.params["attempt"])
    if wanted and (pod or _will_restart(unit, systemd, proc, fileset, digest)):
        handed = _hand_over(unit, pod or systemd, wanted)
    if pod and not handed:
        pod.stop(unit)
    _make_way(unit, systemd, fileset.items)
    shown = systemd.show(unit)
    foreign = (
        shown.get("LoadState") == "loaded"
        and shown.get("FragmentPath") not in fileset.record()["paths"]
    )
    done = fileset.promote(module.params["attempt"], keep_foreign=foreign)
    lease = (
        None if pod or _systemd.main_pid(shown) else _lease_before(fileset, module.params["lease"])
    )
    result = _started(unit, systemd, proc, fileset, done, restart=module.params["restart"])
    return FilesetResult(**{**result, "digest": digest, "lease": lease, "handover": handed})


def _lease_before(fileset: Fileset, wanted: dict[str, str] | None) -> LeaseResult | None:
    """The lease before the first start here."""
    path = next((item.path for item in fileset.items if item.name == "kubeconfig"), None)
    if not wanted or path is None:
        return None
    # Its imports are a fifth of the module's time, and most states need none of them.
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import (  # noqa: PLC0415
        handover,
    )

    return handover.read_lease(path, **wanted)


def _hand_over(
    unit: str, service: static_pod.SchedulerService, wanted: dict[str, t.Any]
) -> HandoverResult | None:
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import (  # noqa: PLC0415
        handover,
    )

    return handover.hand_over(unit, service, handover.HandoverOptions(**wanted))


def _left_to_kubelet(items: t.Iterable[Item]) -> bool:
    """Whether kubelet runs a set, from its static pod."""
    return any(item.name == STATIC_POD and not item.is_absent for item in items)


def _make_way(unit: str, systemd: _systemd.Systemd, items: t.Iterable[Item]) -> None:
    """Ends the unit before a set is put in place that kubelet runs."""
    if _left_to_kubelet(items) and systemd.show(unit).get("LoadState") == "loaded":
        systemd.disable(unit)


def _will_restart(
    unit: str, systemd: _systemd.Systemd, proc: Proc, fileset: Fileset, digest: str
) -> bool:
    """Whether the promotion of this staged set restarts the unit."""
    pending = fileset.pending_members()
    changes = any(item.name in pending and item.digest != "path" for item in fileset.items)
    return changes or bool(_reasons(unit, systemd, proc, fileset, digest))


def _started(
    unit: str,
    systemd: _systemd.Systemd,
    proc: Proc,
    fileset: Fileset,
    done: list[str],
    *,
    restart: bool = False,
) -> FilesetResult:
    """Has the unit run from the live set. C(restart): whether it begins anew even where nothing asks for that."""
    done = list(done)
    live = fileset.record()["live"]
    if live and _left_to_kubelet(recorded_items(live)):
        systemd.reload()
        return FilesetResult(changed=bool(done), done=done)
    shown = systemd.show(unit)
    if shown.get("NeedDaemonReload") == "yes" or shown.get("LoadState") != "loaded" or done:
        systemd.reload()
        shown = systemd.show(unit)
    if shown.get("UnitFileState") != "enabled":
        systemd.enable(unit)
        done.append("enable")
    reasons = _reasons(unit, systemd, proc, fileset, live["digest"] if live else "")
    if reasons or restart:
        if _systemd.int_property(shown, "NRestarts"):
            systemd.reset_restarts(unit)
        systemd.restart(unit)
        done.append("restart")
    return FilesetResult(changed=bool(done), done=done, reasons=reasons)


def _previous(
    module: FilesetModule, fileset: Fileset, systemd: _systemd.Systemd, proc: Proc
) -> FilesetResult:
    if module.check_mode:
        return FilesetResult(changed=False, done=[])
    unit = module.params["unit"]
    if fileset.record()["staged"]:
        fileset = Fileset(fileset.root, fileset.staged_items())
    attempt = module.params["attempt"]
    if former := fileset.replaced_set(attempt):
        _make_way(unit, systemd, recorded_items(former))
    done = fileset.restore(attempt)
    live = fileset.record()["live"]
    if not live:
        return FilesetResult(changed=bool(done), done=done)
    # Also where nothing was promoted: a hand-over that failed may have left the unit stopped.
    return _started(unit, systemd, proc, Fileset(fileset.root, recorded_items(live)), done)


def _recalled(
    module: FilesetModule, fileset: Fileset, _systemd: _systemd.Systemd, _proc: Proc
) -> FilesetResult:
    done = fileset.recall(dry=module.check_mode)
    record, previous = fileset.record(), fileset.previous_set()
    former = recorded_items(previous) if previous else ()
    kept = {item.name: fileset.previous_path(item) for item in former}
    # What was there before this role may be a plain file, of whatever version.
    binaries = [
        record["binaries"].get(item.link_target)
        for item in former
        if item.link_to is not None and os.path.islink(kept[item.name])
    ]
    return FilesetResult(
        changed=bool(done),
        done=done,
        original=previous is not None and not previous["digest"],
        version=next((binary["version"] for binary in binaries if binary), ""),
        not_after=_not_after(kept),
    )


def _not_after(kept: t.Mapping[str, str]) -> str:
    """When the certificate of a set expires, by the set's paths; it may be in the kubeconfig alone. "" where there is none."""
    # The library takes longer to import than all else that most states need.
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (  # noqa: PLC0415
        credentials as _credentials,
    )
    from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (  # noqa: PLC0415
        parse_certificates,
        read_validity,
    )

    pem = paths.read(kept["certificate"]) if "certificate" in kept else None
    named = (
        static_pod.kubeconfig_path(kept[STATIC_POD])
        if STATIC_POD in kept
        else kept.get("kubeconfig")
    )
    if pem is None and named:
        with contextlib.suppress(KubeError, FilesError):
            pair = _credentials.load_credentials(named).client_pem
            pem = pair[0].encode() if pair else None
    found = parse_certificates(pem or b"")
    certificate = found[0] if found else None
    return read_validity(certificate)[1].isoformat() if certificate else ""


def _reasons(
    unit: str, systemd: _systemd.Systemd, proc: Proc, fileset: Fileset, digest: str
) -> list[str]:
    live = staleness.LiveSet(fileset.items, digest, fileset.record()["binaries"])
    return staleness.staleness_reasons(unit, systemd.show(unit), proc, live)


def _absent(
    module: FilesetModule, fileset: Fileset, systemd: _systemd.Systemd, _proc: Proc
) -> FilesetResult:
    unit, wanted, handed = module.params["unit"], module.params["handover"], None
    done = []
    if systemd.show(unit).get("FragmentPath") in fileset.record()["paths"]:
        done.append(unit)
        if not module.check_mode:
            handed = _hand_over(unit, systemd, wanted) if wanted else None
            systemd.disable(unit)
    done += fileset.remove(dry=module.check_mode)
    if done and not module.check_mode:
        systemd.reload()
    return FilesetResult(changed=bool(done), done=done, handover=handed)


STATE_HANDLERS: dict[
    str, t.Callable[[FilesetModule, Fileset, _systemd.Systemd, Proc], FilesetResult]
] = {
    "prepared": _prepared,
    "staged": _staged,
    "live": _live,
    "previous": _previous,
    "recalled": _recalled,
    "absent": _absent,
}

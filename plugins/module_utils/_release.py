# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The set of files that one unit runs from: staged, live and previous.

Under the release directory lie C(staged/NAME), what the next start shall use; C(previous/NAME), what ran before the last
promotion; and C(record.json), what was promoted when. Live are the paths that the unit names. Only promotion writes there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import typing as t
from dataclasses import dataclass

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _files, _systemd

DIGEST_VARIABLE = "KUBE_HA_DIGEST"
DIGEST_MARK = "@digest@"
# A private key, a kubeconfig and a unit are a few kilobytes; anything above this is not one of them.
LIMIT = 1 << 20
FILES_SPEC: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "link_to": {"type": "str"},
        "mode": {"type": "str", "default": "0644"},
        "digest": {"type": "str", "choices": ["content", "path"], "default": "content"},
    },
}
CREDENTIALS_SINCE = 247  # LoadCredential, systemd's NEWS


class ReleaseError(Exception):
    """One line: what, where, what to do."""


@dataclass(frozen=True)
class Item:
    """One member of the set.

    Exactly one of three kinds: C(content) is rendered by the caller, C(link_to) makes a symbolic link, and a file with neither is
    staged by somebody else (x509_cert, kubeconfig) under the staged path.
    """

    name: str
    path: str
    content: str | None = None
    link_to: str | None = None
    mode: int = 0o644
    digest: str = "content"

    @property
    def seeded(self) -> bool:
        """Whether the staged copy starts out as the live one."""
        return self.content is None and self.link_to is None


@dataclass(frozen=True)
class State:
    """What lies at a path: a fingerprint of the content, and who may read it."""

    fingerprint: str
    uid: int
    gid: int
    mode: int


def look(path: str) -> State | None:
    """The state of a file or link, None when nothing is there."""
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if os.path.islink(path):
        return State(f"link:{os.readlink(path)}", 0, 0, 0)
    content = _files.read(path, limit=LIMIT) if info.st_size <= LIMIT else str(info.st_size).encode()
    return State(hashlib.sha256(content or b"").hexdigest(), info.st_uid, info.st_gid, info.st_mode & 0o7777)


class Release:
    """The set of one component on this host."""

    def __init__(self, root: str, items: t.Sequence[Item]) -> None:
        self.root = root
        self.items = tuple(items)
        self.record_path = os.path.join(root, "record.json")

    def staged_path(self, item: Item) -> str:
        return os.path.join(self.root, "staged", item.name)

    def previous_path(self, item: Item) -> str:
        return os.path.join(self.root, "previous", item.name)

    def record(self) -> dict[str, t.Any]:
        """What was promoted: base (fingerprint by name), binaries (verified, sha256 by path), directories, asked."""
        raw = _files.read(self.record_path)
        if raw is None:
            return {}
        try:
            value = json.loads(raw)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ReleaseError(
                f"{self.record_path} is not the record that this collection wrote: remove it, and the next run makes it anew"
            )
        return value

    def update_record(self, **changes: t.Any) -> bool:
        """Writes the record when CHANGES say something new."""
        former = self.record()
        record = {**former, **changes}
        if record == former:
            return False
        _files.write(self.record_path, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
        return True

    def stale(self) -> list[str]:
        """Names whose staged copy does not come from the live one: never seeded, or the live one was changed since."""
        base = self.record().get("base", {})
        names = []
        for item in self.items:
            live = look(item.path) if item.seeded else None
            if live and (look(self.staged_path(item)) is None or live.fingerprint != base.get(item.name)):
                names.append(item.name)
        return names

    def prepare(self, *, dry: bool = False) -> list[str]:
        """Makes the folders and seeds what is stale. Returns what it did."""
        folders = [self.root, os.path.join(self.root, "staged")]
        missing = [folder for folder in folders if not os.path.isdir(folder)]
        stale = self.stale()
        if not dry:
            for folder in missing:
                os.makedirs(folder, mode=0o700)
            for item in self.items:
                if item.name in stale:
                    _copy(item.path, self.staged_path(item))
            if stale:
                base = {i.name: state.fingerprint for i in self.items if i.seeded for state in [look(i.path)] if state}
                self.update_record(base=base)
        return missing + stale

    def digest(self) -> str:
        """A digest of everything that the process will have read; '' while a part is missing."""
        total = hashlib.sha256()
        binaries = self.record().get("binaries", {})
        for item in self.items:
            if item.content is not None:
                value = hashlib.sha256(item.content.encode()).hexdigest()
            elif item.link_to is not None:
                binary = os.path.join(os.path.dirname(item.path), item.link_to)
                value = f"{item.link_to}:{binaries.get(binary, '')}"
            elif item.digest == "path":
                value = item.path
            else:
                state = look(self.staged_path(item))
                if state is None:
                    return ""
                value = state.fingerprint
            total.update(f"{item.name}\0{value}\0".encode())
        return total.hexdigest()[:32]

    def differences(self) -> list[dict[str, str]]:
        """What staging changes in the texts that the caller rendered, as Ansible shows a diff; no other member is shown."""
        digest = self.digest()
        shown = []
        for item in self.items:
            if item.content is not None:
                before = (_files.read(self.staged_path(item)) or b"").decode("utf-8", "replace")
                after = item.content.replace(DIGEST_MARK, digest)
                if before != after:
                    shown.append(
                        {"before_header": item.path, "after_header": item.path, "before": before, "after": after}
                    )
        return shown

    def stage(self, *, dry: bool = False) -> list[str]:
        """Converges the staged copies of what the caller rendered. Returns the names that changed."""
        digest = self.digest()
        changed = []
        for item in self.items:
            path = self.staged_path(item)
            if item.link_to is not None:
                if look(path) != State(f"link:{item.link_to}", 0, 0, 0):
                    changed.append(item.name)
                    if not dry:
                        _link(item.link_to, path)
            elif item.content is not None:
                content = item.content.replace(DIGEST_MARK, digest).encode()
                wanted = State(hashlib.sha256(content).hexdigest(), 0, 0, item.mode)
                if look(path) != wanted:
                    changed.append(item.name)
                    if not dry:
                        _files.write(path, content, attributes=_owner(0, 0, item.mode))
        return changed

    def pending(self) -> list[str]:
        """Names whose staged and live state differ, attributes included."""
        return [i.name for i in self.items if look(self.staged_path(i)) != look(i.path)]

    def promote(self) -> list[str]:
        """Keeps the live set as the previous one and puts the staged set in its place. Returns the names that changed."""
        missing = [i.name for i in self.items if look(self.staged_path(i)) is None]
        if missing:
            raise ReleaseError(
                f"{os.path.join(self.root, 'staged')} lacks {', '.join(missing)}: run the earlier phases first"
            )
        pending = self.pending()
        if not pending:
            return []
        record = self.record()
        # A promotion that was cut off has left a mixed live set: what ran before it is in `previous` already.
        if not record.get("promoting"):
            self._keep_previous()
            self.update_record(promoting=True)
        folders = set(record.get("directories", []))
        for item in self.items:
            if item.name in pending:
                folders.update(_make_parents(item.path))
                _copy(self.staged_path(item), item.path)
        base = {i.name: state.fingerprint for i in self.items if i.seeded for state in [look(i.path)] if state}
        # A path that is not used any more stays on the list, so that removal finds it.
        paths = sorted({*record.get("paths", []), *(i.path for i in self.items)})
        self.update_record(base=base, promoting=False, directories=sorted(folders), paths=paths)
        return pending

    def _keep_previous(self) -> None:
        fresh, kept = (os.path.join(self.root, name) for name in ("previous.new", "previous"))
        shutil.rmtree(fresh, ignore_errors=True)
        os.mkdir(fresh, 0o700)
        for item in self.items:
            if look(item.path):
                _copy(item.path, os.path.join(fresh, item.name))
        shutil.rmtree(kept, ignore_errors=True)
        os.rename(fresh, kept)

    def remove(self, *, dry: bool = False) -> list[str]:
        """Removes what was promoted, the binaries that were verified, the folders that this made (when empty) and the release itself."""
        record = self.record()
        paths = [*record.get("paths", []), *record.get("binaries", {})]
        gone = [path for path in paths if os.path.lexists(path)]
        if os.path.isdir(self.root):
            gone.append(self.root)
        if not dry:
            for path in gone:
                if path == self.root:
                    shutil.rmtree(path)
                else:
                    _files.remove(path)
            for folder in sorted(record.get("directories", []), key=len, reverse=True):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        return gone


def _owner(uid: int, gid: int, mode: int) -> t.Callable[[str], object]:
    def apply(path: str) -> None:
        os.chown(path, uid, gid)
        os.chmod(path, mode)

    return apply


def _link(target: str, path: str) -> None:
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
    _sync(os.path.dirname(path))


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: str, path: str) -> None:
    if os.path.islink(source):
        _link(os.readlink(source), path)
        return
    info = os.stat(source)
    if info.st_size > LIMIT:
        # Only the binary's path may hold a file of this size: one that was there before us and is not a link of ours.
        os.link(source, path) if os.stat(os.path.dirname(path)).st_dev == info.st_dev else shutil.copy2(source, path)
        return
    _files.write(
        path,
        _files.read(source, limit=LIMIT) or b"",
        attributes=_owner(info.st_uid, info.st_gid, info.st_mode & 0o7777),
    )


def _make_parents(path: str) -> list[str]:
    folder = os.path.dirname(path)
    made = []
    while folder and not os.path.isdir(folder):
        made.append(folder)
        folder = os.path.dirname(folder)
    for folder in reversed(made):
        os.mkdir(folder, 0o755)
    return made


class Module(t.Protocol):
    """The part of AnsibleModule that this needs."""

    params: dict[str, t.Any]
    check_mode: bool

    def warn(self, warning: str) -> None: ...


def items_of(files: t.Sequence[dict[str, t.Any]]) -> list[Item]:
    """The module option C(files) as items."""
    items = []
    for entry in files:
        if entry["content"] is not None and entry["link_to"] is not None:
            raise ReleaseError(f"files: {entry['name']!r} has content and link_to: give one of them")
        items.append(Item(**{**entry, "mode": _mode(entry)}))
    return items


def _mode(entry: dict[str, t.Any]) -> int:
    try:
        return int(entry["mode"], 8)
    except ValueError:
        raise ReleaseError(
            f"files: mode {entry['mode']!r} of {entry['name']!r} is not octal: write it like '0644'"
        ) from None


def run(module: Module, systemd: _systemd.Systemd) -> dict[str, t.Any]:
    """The module scheduler_release."""
    params = module.params
    release = Release(params["path"], items_of(params["files"]))
    return _STATES[params["state"]](module, release, systemd)


def _prepared(module: Module, release: Release, _unused: _systemd.Systemd) -> dict[str, t.Any]:
    done = release.prepare(dry=module.check_mode)
    return {"changed": bool(done), "done": done}


def _staged(module: Module, release: Release, systemd: _systemd.Systemd) -> dict[str, t.Any]:
    params = module.params
    changed = False
    diff = release.differences()
    if not module.check_mode:
        known = release.record().get("binaries", {})
        changed = release.update_record(binaries={**known, **{path: sha256(path) for path in params["binaries"]}})
    done = release.stage(dry=module.check_mode)
    digest = release.digest()
    pending = sorted({*release.pending(), *(done if module.check_mode else [])})
    if not _runs(systemd, params["unit"], digest):
        pending.append("process")
    asked = None
    if pending and params["command"] and not module.check_mode:
        asked = _ask(release, systemd, params, digest)
    return {
        "changed": bool(done) or changed,
        "done": done,
        "digest": digest,
        "pending": pending,
        "asked": asked,
        "diff": diff,
    }


def _live(module: Module, release: Release, systemd: _systemd.Systemd) -> dict[str, t.Any]:
    params = module.params
    unit = params["unit"]
    if module.check_mode:
        return {"changed": True, "done": [*release.pending(), "restart"], "digest": release.digest()}
    done = release.promote()
    digest = release.digest()
    shown = systemd.show(unit)
    if shown["NeedDaemonReload"] == "yes" or shown["LoadState"] != "loaded" or done:
        systemd.reload()
    if shown["UnitFileState"] != "enabled":
        systemd.enable(unit)
        done.append("enable")
    if not _runs(systemd, unit, digest):
        systemd.restart(unit)
        done.append("restart")
    return {"changed": bool(done), "done": done, "digest": digest}


def _absent(module: Module, release: Release, systemd: _systemd.Systemd) -> dict[str, t.Any]:
    unit = module.params["unit"]
    done = []
    if systemd.show(unit)["FragmentPath"] in release.record().get("paths", []):
        done.append(unit)
        if not module.check_mode:
            systemd.disable(unit)
    done += release.remove(dry=module.check_mode)
    if done and not module.check_mode:
        systemd.reload()
    return {"changed": bool(done), "done": done}


_STATES: dict[str, t.Callable[[Module, Release, _systemd.Systemd], dict[str, t.Any]]] = {
    "prepared": _prepared,
    "staged": _staged,
    "live": _live,
    "absent": _absent,
}


def sha256(path: str) -> str:
    """SHA-256 of a file of any size, in hexadecimal."""
    total = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                total.update(block)
    except OSError as error:
        raise ReleaseError(f"cannot read {path}: {error.strerror}") from None
    return total.hexdigest()


def _runs(systemd: _systemd.Systemd, unit: str, digest: str) -> bool:
    """Whether the unit is active and enabled, and its process was started from the set with this digest."""
    shown = systemd.show(unit)
    ready = shown.get("ActiveState") == "active" and shown.get("UnitFileState") == "enabled"
    return ready and _systemd.environment_of(int(shown["MainPID"])).get(DIGEST_VARIABLE) == digest


def _ask(release: Release, systemd: _systemd.Systemd, params: dict[str, t.Any], digest: str) -> bool | None:
    """Has the staged binary check its flags, its configuration and its kubeconfig, as the unit's user.

    The staged files take the place of the live ones as credentials of a transient service, so nothing is laid where it could be
    read, and nothing live is touched.
    """
    if release.record().get("asked") == digest:
        return True
    if systemd.version() < CREDENTIALS_SINCE:
        return None
    name = f"kube-ha-ask-{os.getpid()}.service"
    folder = _systemd.credentials_folder(name)
    own = _systemd.credentials_folder(params["unit"])
    places = {i.path: i for i in release.items if i.link_to is None}
    swaps = {own: folder, **{path: os.path.join(folder, item.name) for path, item in places.items()}}
    swaps.update(_filled(params["ask_texts"]))

    def swap(text: str) -> str:
        for former, place in swaps.items():
            text = text.replace(former, place)
        return text

    credentials = {}
    copies = []
    try:
        for item in places.values():
            path = release.staged_path(item)
            content = (_files.read(path) or b"").decode()
            if swap(content) != content:
                copies.append(f"{path}.ask")
                _files.write(copies[-1], swap(content).encode())
                path = copies[-1]
            credentials[item.name] = path
        binary = next(os.path.join(os.path.dirname(i.path), i.link_to) for i in release.items if i.link_to)
        asked = _filled(params["ask"])
        flags = [swap(word) for word in params["command"][1:] if word.split("=", 1)[0][2:] not in asked]
        flags += [f"--{name}={value}" for name, value in asked.items()]
        code, output = systemd.run_with_credentials(
            name, params["user"], credentials, [binary, *flags, "--write-config-to=/dev/null"]
        )
    finally:
        for copy in copies:
            _files.remove(copy)
    if code:
        raise ReleaseError(
            f"{binary} refuses the staged flags or configuration, so nothing was put in place: {_reason(output)}"
        )
    release.update_record(asked=digest)
    return True


def _filled(values: dict[str, t.Any]) -> dict[str, str]:
    return {name: str(value).replace("@port@", str(free_port())) for name, value in values.items()}


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _reason(output: str) -> str:
    """The line in which a Kubernetes binary says why it ends: the last error, without the log's head."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E", "F", "Error", "error"))] or lines or ["it said nothing"]
    return errors[-1].split("] ", 1)[-1].strip()[:500]

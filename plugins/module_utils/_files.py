# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The collection's only writer of files: private from the first byte, synced, and moved into place by a rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
import typing as t
from collections.abc import Iterator
from datetime import datetime, timezone

LIMIT = 1 << 20
_TEMPORARY = ".tmp~"
_BACKUP = ".bak~"
_NO_RIGHT = "run this as a user that may (become), and look for an immutable flag (lsattr)"
_ADVICE: dict[int | None, str] = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.ENOSPC: "make room, then run again; the file is as it was",
    errno.EDQUOT: "make room in the quota, then run again; the file is as it was",
    errno.EROFS: "mount the file system writable or name another path",
    errno.EIO: "look at the disk",
}


class FilesError(Exception):
    """What is wrong, with which file, and what to do, on one line."""


class Converged(t.NamedTuple):
    """What a file needed: whether anything changed, and where its former content was kept."""

    changed: bool
    backup_file: str | None


class Module(t.Protocol):
    """The part of AnsibleModule that files need."""

    params: dict[str, t.Any]
    check_mode: bool

    def warn(self, warning: str) -> None: ...

    def load_file_common_arguments(self, params: dict[str, t.Any], path: str | None = None) -> dict[str, t.Any]: ...

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool: ...


@contextlib.contextmanager
def _explained(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except FilesError:
        raise
    except (OSError, ValueError) as exc:
        number = exc.errno if isinstance(exc, OSError) else None
        reason = os.strerror(number) if number else "not a usable path"
        raise FilesError(f"cannot {what} {path!r}: {reason}; {_ADVICE.get(number, 'name another path')}") from None


def resolve(path: str, *, follow: bool = False) -> str:
    """Return the file that *path* stands for.

    A symlink may stay inside its own directory; with *follow*, as befits a file that is only read, it may go anywhere.
    """
    if not os.path.isabs(path) or path.endswith("/") or any(char < " " or char == "\x7f" for char in path):
        raise FilesError(f"{path!r} cannot be a file's path: write it in full, from the root, with no slash at its end")
    with _explained(path, "look at"):
        if not os.path.islink(path):
            return path
        target = os.path.realpath(path)
        inside = _swapped(path) or target.startswith(os.path.join(os.path.realpath(os.path.dirname(path)), ""))
        if not inside and not follow:
            raise FilesError(f"{path!r} is a symlink that leaves its directory (to {target!r}): name that file instead")
        if not os.path.exists(target):
            raise FilesError(f"{path!r} is a symlink to {target!r}, which does not exist: remove the symlink")
        return target


def _swapped(path: str) -> bool:
    """Tell whether this is a symlink that :func:`replace` was killed over."""
    return os.path.islink(path) and f"{_TEMPORARY}/now/" in os.readlink(path)


def _regular(path: str) -> os.stat_result | None:
    """Return the status of a resolved path that is a regular file, or None where nothing is."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "a device or other special file")
        raise FilesError(f"{path!r} is {kind}, not a regular file: remove it or name another path")
    return status


def read(path: str, *, limit: int = LIMIT, follow: bool = False) -> bytes | None:
    """Return the content of a regular file, or None where nothing is."""
    target = resolve(path, follow=follow)
    with _explained(path, "read"):
        if _regular(target) is None:
            return None
        # Without O_NONBLOCK, a FIFO put there in between would hang the module.
        handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FilesError(f"{path!r} is not a regular file: remove it or name another path")
            content = stream.read(limit + 1)
    if len(content) > limit:
        raise FilesError(f"{path!r} is larger than {limit} bytes, which no such file is: name another path")
    return content


@contextlib.contextmanager
def lock(folder: str, *, timeout: float = 60) -> Iterator[None]:
    """Keep other runs out of a directory, leaving no lock file that a crash could forget."""
    with _explained(folder, "lock"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FilesError(
                        f"another run has held {folder!r} for {timeout:g} s: wait for it or end it, then run again"
                    ) from None
                time.sleep(0.05)
            except OSError:
                break  # a file system without locks, such as some NFS mounts: renames still keep each file whole
        yield
    finally:
        os.close(handle)


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # the file system has no such thing
            raise
    finally:
        os.close(handle)


def _prefix(target: str) -> str:
    return f".{os.path.basename(target)[:200]}."


def _beside(target: str, suffix: str, prefix: str) -> list[str]:
    folder = os.path.dirname(target)
    return sorted(
        os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(prefix) and name.endswith(suffix)
    )


def sweep(path: str) -> None:
    """Remove the temporary files that killed runs left for *path*; those of living runs are locked, and stay."""
    target = resolve(path)
    if not os.path.isdir(os.path.dirname(target)):
        return
    for name in _beside(target, _TEMPORARY, _prefix(target)):
        with contextlib.suppress(OSError):
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name)
            finally:
                os.close(handle)


class Staged:
    """New content for a file, complete and synced beside it, waiting for its rename."""

    def __init__(self, path: str, content: bytes, attributes: t.Callable[[str], object] | None = None) -> None:
        self.path, self.target, self.placed = path, resolve(path), False
        self.folder = os.path.dirname(self.target)
        if not os.path.isdir(self.folder):
            raise FilesError(f"the directory {self.folder!r} does not exist: create it before {path!r}")
        with _explained(path, "write"):
            former = _regular(self.target)
            handle = self._create()
            self._handle: int | None = handle
            try:
                with os.fdopen(os.dup(handle), "wb") as stream:
                    stream.write(content)
                if former is not None:
                    status = os.fstat(handle)
                    if (former.st_uid, former.st_gid) != (status.st_uid, status.st_gid):
                        os.fchown(handle, former.st_uid, former.st_gid)
                    os.fchmod(handle, stat.S_IMODE(former.st_mode))
                if attributes is not None:
                    attributes(self.temporary)
                os.fsync(handle)
            except BaseException:
                self.discard()
                raise

    def _create(self) -> int:
        while True:
            handle, self.temporary = tempfile.mkstemp(_TEMPORARY, _prefix(self.target), self.folder)
            # A sweep may have come between the two calls: it holds the lock, or has unlinked the file already.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                return handle
            os.close(handle)

    def commit(self) -> None:
        """Put the new content in place."""
        try:
            with _explained(self.target, "replace"):
                _regular(self.target)
                os.rename(self.temporary, self.target)
                self.placed = True
                _sync(self.folder)
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget the new content, if it is not in place yet."""
        if self._handle is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(self.temporary)
        os.close(self._handle)
        self._handle = None


def keep(path: str, backup: int) -> str | None:
    """Copy the content of *path* beside it, with mode 0600; return the copy's path. The newest *backup* copies stay."""
    target = resolve(path)
    content = read(target) if backup > 0 else None
    if content is None:
        return None
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = f"{target}.{stamp}{_BACKUP}"
    Staged(kept, content).commit()
    for old in _beside(target, _BACKUP, f"{os.path.basename(target)}.")[:-backup]:
        with contextlib.suppress(OSError):
            os.unlink(old)
    return kept


def write(
    path: str, content: bytes, *, attributes: t.Callable[[str], object] | None = None, backup: int = 0
) -> str | None:
    """Replace the content of *path* as a whole or not at all; return the path of the former content's copy.

    The owner, group and mode of an existing file are taken over; *attributes* gets the temporary file's path and may
    set others, before the rename.
    """
    return replace([Staged(path, content, attributes)], backup=backup)[0]


def replace(staged: t.Sequence[Staged], *, backup: int = 0) -> list[str | None]:
    """Put staged files in place, in this order; return the paths of the former contents' copies.

    Files that exist, on one file system, change at the same moment.
    """
    kept: list[str | None] = []
    try:
        for file in staged:
            kept.append(keep(file.target, backup))  # noqa: PERF401 - those before a failure have to be known
        with _explained(staged[-1].target, "replace"):
            together = len(staged) > 1 and all(_regular(file.target) for file in staged)
            if together and len({os.stat(file.folder).st_dev for file in staged}) == 1:
                _swap(staged)
                return kept
        for file in staged:
            file.commit()
    except BaseException:
        # Copies of what is still in place say nothing; they would only push older ones out.
        for copy in filter(None, kept if not any(file.placed for file in staged) else ()):
            with contextlib.suppress(OSError):
                os.unlink(copy)
        raise
    finally:
        for file in staged:
            file.discard()
    return kept


def _swap(staged: t.Sequence[Staged]) -> None:
    """Replace files so that whoever reads them, and whoever kills this, finds all of them old or all new.

    Each becomes, for a moment, a symlink through one link that turns from the old files to the new ones by a rename.
    The folder for that is beside the last file, which has to be the one that most may read.
    """
    targets = [file.target for file in staged]
    folder = tempfile.mkdtemp(_TEMPORARY, _prefix(targets[-1]), staged[-1].folder)
    now, following, old, new = (os.path.join(folder, name) for name in ("now", "next", "old", "new"))
    try:
        for place in (folder, old, new):
            if place != folder:
                os.mkdir(place)
            os.chmod(place, 0o711)
        os.symlink("old", now)
        os.symlink("new", following)
        for index, file in enumerate(staged):
            with _explained(file.target, "replace"):
                os.link(file.target, os.path.join(old, str(index)))
            os.link(file.temporary, os.path.join(new, str(index)))
            os.symlink(os.path.join(now, str(index)), os.path.join(folder, f"link{index}"))
        _sync(folder)
        for index, target in enumerate(targets):
            os.rename(os.path.join(folder, f"link{index}"), target)
            _sync(os.path.dirname(target))
        os.rename(following, now)
        _sync(folder)
    finally:
        recover(targets)


def recover(paths: t.Sequence[str]) -> None:
    """Make plain files again of what :func:`replace` or its sudden end left, and remove the rest of it."""
    with _explained(paths[-1], "mend"):
        for path in filter(_swapped, paths):
            os.rename(os.path.realpath(path), path)
            _sync(os.path.dirname(path))
        for folder in filter(os.path.isdir, _beside(paths[-1], _TEMPORARY, _prefix(paths[-1]))):
            shutil.rmtree(folder)


def remove(path: str, *, backup: int = 0) -> str | None:
    """Remove a regular file, if there is one; return the path of its copy."""
    target = resolve(path)
    with _explained(path, "remove"):
        if _regular(target) is None:
            return None
        kept = keep(path, backup)
        os.unlink(target)
        if target != path:
            os.unlink(path)
        _sync(os.path.dirname(target))
    return kept


def _known(module: Module, option: str) -> bool:
    """Tell whether the account that *option* names exists; in check mode, an earlier task may have to bring it."""
    name = module.params.get(option)
    if not module.check_mode or name is None or str(name).isdigit():
        return True
    import grp  # noqa: PLC0415 - needed for this rare question only
    import pwd  # noqa: PLC0415

    try:
        return bool(pwd.getpwnam(name) if option == "owner" else grp.getgrnam(name))
    except KeyError:
        module.warn(f"{option}: {name!r} does not exist on this host yet; check mode takes it that it will")
        return False


def attributes_of(
    module: Module, target: str, default_mode: str, overrides: t.Mapping[str, t.Any] | None = None
) -> t.Callable[[str], bool]:
    """Return a function that gives a file what the module's options (owner, group, mode, SELinux context) want."""
    unknown = [option for option in ("owner", "group") if not _known(module, option)]
    params = {**module.params, **dict.fromkeys(unknown), **(overrides or {})}
    if params.get("mode") is None:
        params["mode"] = default_mode
    # The SELinux context is looked up for the file's own path, also where a temporary file is to get it.
    arguments = module.load_file_common_arguments(params, path=target)

    def apply(path: str) -> bool:
        # chattr's flags wait for the rename, which an immutable file would refuse.
        own = arguments if path == target else {**arguments, "attributes": None}
        return module.set_fs_attributes_if_different({**own, "path": path}, False) or bool(unknown)

    return apply


def converge(
    module: Module,
    path: str,
    content: bytes | None,
    *,
    default_mode: str = "0600",
    backup: int = 0,
    overrides: t.Mapping[str, t.Any] | None = None,
) -> Converged:
    """Give *path* this content and the module's file options; content None leaves the content alone.

    *overrides* stand in for the module's options, where a module has a second file with other rights.
    """
    target = resolve(path)
    if module.check_mode and not os.path.isdir(os.path.dirname(target)):
        module.warn(f"the directory {os.path.dirname(target)!r} does not exist yet; check mode takes it that it will")
        return Converged(True, None)
    former = read(target)
    if former is None and content is None:
        return Converged(False, None)
    apply = attributes_of(module, target, default_mode, overrides)
    differs = content is not None and content != former
    if module.check_mode:
        return Converged(differs or apply(target), None)
    sweep(target)
    # First, so that new content never takes over a mode that is too wide.
    changed = former is not None and apply(target)
    kept = None
    if content is not None and differs:
        kept = write(target, content, attributes=apply, backup=backup)
        apply(target)
    return Converged(changed or differs, kept)

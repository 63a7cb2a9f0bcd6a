# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Compare, copy, link and replace the files of a file set."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    pair_swap,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)

MAX_COPY_BYTES = paths.MAX_FILE_BYTES
"""Maximum size of a file that is read into memory. Larger files are linked or streamed."""
MAX_BINARY_BYTES = 1 << 30
"""Maximum size of a binary to hash. A kube-scheduler has 50 to 120 MiB."""
# The two files of the key pair, which are replaced together: each is unusable without the other.
PAIR_NAMES = ("privatekey", "certificate")


@dataclasses.dataclass(frozen=True)
class FileState:
    """A fingerprint of the content of a file or link, with its owner, group and mode."""

    fingerprint: str
    uid: int
    gid: int
    mode: int


def link_state(target: str) -> FileState:
    """Return the state of a symbolic link."""
    return FileState(f"link:{target}", 0, 0, 0)


def read_state(path: str) -> FileState | None:
    """Return the state of a file or link, None if the path does not exist.

    Raises FilesError for anything else, such as a directory.
    """
    with paths.explain_errors(path, "read"):
        try:
            info = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    if paths.is_swapped(path):
        # If the exchange of a key pair was interrupted, the path is a temporary link to the file.
        path, info = os.path.realpath(path), os.stat(path)
    elif os.path.islink(path):
        return link_state(os.readlink(path))
    content = (
        paths.read(path, limit=MAX_COPY_BYTES)
        if info.st_size <= MAX_COPY_BYTES
        else str(info.st_size).encode()
    )
    return FileState(
        hashlib.sha256(content or b"").hexdigest(), info.st_uid, info.st_gid, info.st_mode & 0o7777
    )


def try_read_state(path: str) -> FileState | None:
    """Return the state of a file or link, None for any other type of file."""
    with contextlib.suppress(FilesError):
        return read_state(path)
    return None


def sha256_of_file(path: str) -> str:
    """Return the SHA-256 of a regular file of at most 1 GiB, in hexadecimal."""
    total = hashlib.sha256()
    left = MAX_BINARY_BYTES
    try:
        # Without O_NONBLOCK, a FIFO would block the module.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            info = os.fstat(stream.fileno())
            if not stat.S_ISREG(info.st_mode) or info.st_size > left:
                raise FilesetError(
                    f"{path} is not a regular file of at most {MAX_BINARY_BYTES >> 20} MiB;"
                    " install the binary there"
                )
            while left > 0 and (block := stream.read(1 << 20)):
                total.update(block)
                left -= len(block)
    except OSError as error:
        raise FilesetError(
            f"cannot read {path}: {error.strerror}; check that the file exists"
        ) from None
    return total.hexdigest()


def make_link(target: str, path: str) -> None:
    """Replace the file or link at `path` with a symbolic link."""
    _replace_with(path, lambda temporary: os.symlink(target, temporary))


def copy_file(source: str, path: str) -> None:
    """Replace `path` with a copy of a file or link, including its owner and mode."""
    if os.path.islink(source):
        make_link(os.readlink(source), path)
        return
    info = os.stat(source)
    if info.st_size <= MAX_COPY_BYTES:
        if os.path.islink(path) and not paths.is_swapped(path):
            # A write to the path would change the target of the link.
            _replace_with(
                path, lambda temporary: write.commit_all([_stage_copy(source, temporary)], 0)
            )
            return
        write.commit_all([_stage_copy(source, path)], 0)
        return
    # A larger file can only be a binary that another installer created.
    if os.path.lexists(path) and os.path.samestat(info, os.lstat(path)):
        # If both names are hard links to one file, rename(2) does nothing.
        return
    is_same_device = os.stat(os.path.dirname(path)).st_dev == info.st_dev
    _replace_with(
        path, lambda temporary: (os.link if is_same_device else shutil.copy2)(source, temporary)
    )


def replace_files(sources: t.Sequence[tuple[Item, str]]) -> None:
    """Copy each source to the live path of its item; remove a live path that must not exist.

    The certificate and the key of a key pair change at the same moment.
    """
    by_name = {item.name: (item, source) for item, source in sources}
    pair = [
        by_name[name] for name in PAIR_NAMES if name in by_name and not by_name[name][0].is_absent
    ]
    if len(pair) > 1:
        _replace_pair(pair)
    for item, source in sources:
        if item.is_absent:
            _remove_file(item.path)
        elif len(pair) == 1 or item.name not in PAIR_NAMES:
            copy_file(source, item.path)


def missing_parents(path: str) -> list[str]:
    """Return the missing parent directories of a path, the nearest first."""
    return missing_directories(os.path.dirname(path))


def missing_directories(directory: str) -> list[str]:
    """Return a directory and its parents, as far as they are missing, the longest path first."""
    missing = []
    while directory and not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    return missing


def _replace_with(path: str, create: t.Callable[[str], t.Any]) -> None:
    """Create a file under a temporary name, then rename it to `path`."""
    temporary = os.path.join(
        os.path.dirname(path), f"{paths.temporary_prefix(path)}link{paths.TEMPORARY_SUFFIX}"
    )
    with paths.explain_errors(path, "replace"):
        write.sweep(path, link=True)
        create(temporary)
        os.rename(temporary, path)
        paths.sync(os.path.dirname(path))


def _replace_pair(pair: t.Sequence[tuple[Item, str]]) -> None:
    with contextlib.ExitStack() as temporaries:
        staged = []
        for item, source in pair:
            staged.append(_stage_copy(source, item.path))
            temporaries.callback(staged[-1].discard)
        pair_swap.replace(staged)


def _remove_file(path: str) -> None:
    with paths.explain_errors(path, "remove"):
        os.unlink(path) if os.path.islink(path) else write.remove(path)


def _stage_copy(source: str, path: str) -> write.Staged:
    info = os.stat(source)
    content = paths.read(source, limit=MAX_COPY_BYTES) or b""
    return write.Staged(
        path, content, rights=write.rights_setter(info.st_uid, info.st_gid, info.st_mode & 0o7777)
    )

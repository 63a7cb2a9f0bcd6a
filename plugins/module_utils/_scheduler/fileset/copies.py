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
# The two files of the key pair. They are replaced together, because they must match.
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
    with paths.explain_errors(path, "read"), contextlib.ExitStack() as stack:
        place = _find(path)
        if place is None:
            return None
        stack.enter_context(place)
        target = place.read_link()
        if target is not None and not paths.is_swap_target(target):
            return link_state(target)
        if target is not None:
            # If the exchange of a key pair was interrupted, the path is a link to the file.
            place = stack.enter_context(paths.locate(path))
        content = paths.read_place(place, limit=MAX_COPY_BYTES)
    return None if content is None else _file_state(content)


def _find(path: str) -> paths.Place | None:
    """Return the place of a path without following a link; None without its directory."""
    try:
        return paths.open_parent(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _file_state(content: paths.Content) -> FileState:
    info = content.status
    data = content.data if info.st_size <= MAX_COPY_BYTES else str(info.st_size).encode()
    return FileState(
        hashlib.sha256(data).hexdigest(), info.st_uid, info.st_gid, info.st_mode & 0o7777
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
    with _replacing(path) as (place, temporary):
        os.symlink(target, temporary, dir_fd=place.handle)


def copy_file(source: str, path: str) -> None:
    """Replace `path` with a copy of a file or link, including its owner and mode."""
    with paths.explain_errors(source, "copy"), paths.open_parent(source) as place:
        link = place.read_link()
        content = None if link is not None else _read_file(source, place)
        if content is not None and content.status.st_size > MAX_COPY_BYTES:
            # A larger file can only be a binary that another installer created.
            _copy_large_file(place, path)
            return
    if link is not None:
        make_link(link, path)
    elif content is not None and os.path.islink(path) and not paths.is_swapped(path):
        # A write to the path would change the target of the link.
        with _replacing(path) as (place, temporary):
            new = os.path.join(place.directory, temporary)
            write.commit_all([_stage_content(content, new)], 0)
    elif content is not None:
        write.commit_all([_stage_content(content, path)], 0)


def _read_file(source: str, place: paths.Place) -> paths.Content:
    """Return the content and the status of the same file. Raises FilesError if it is missing."""
    content = paths.read_place(place, limit=MAX_COPY_BYTES)
    if content is None:
        raise FilesError(f"{source!r} was removed during its copy; run all phases of the role")
    return content


def _copy_large_file(source: paths.Place, path: str) -> None:
    """Replace `path` with a hard link to a file, or with a copy on another file system."""
    info = source.status()
    with paths.explain_errors(path, "copy"), paths.open_parent(path, strict=True) as place:
        existing = place.status()
        if info is None or (existing is not None and os.path.samestat(info, existing)):
            # If both names are hard links to one file, rename(2) does nothing.
            return
        is_same_device = os.fstat(place.handle).st_dev == info.st_dev
    with _replacing(path) as (place, temporary):
        if is_same_device:
            os.link(
                source.name,
                temporary,
                src_dir_fd=source.handle,
                dst_dir_fd=place.handle,
                follow_symlinks=False,
            )
        else:
            _copy_stream(source, place, temporary)


def _copy_stream(source: paths.Place, place: paths.Place, name: str) -> None:
    """Copy a file with its owner, mode and times to a new name in another directory."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    reading = os.open(source.name, flags | os.O_RDONLY, dir_fd=source.handle)
    with os.fdopen(reading, "rb") as original:
        info = os.fstat(reading)
        new = flags | os.O_WRONLY | os.O_CREAT | os.O_EXCL
        writing = os.open(name, new, write.TEMPORARY_MODE, dir_fd=place.handle)
        with os.fdopen(writing, "wb") as copy:
            shutil.copyfileobj(original, copy)
            copy.flush()
            write.rights_setter(info.st_uid, info.st_gid, info.st_mode & 0o7777)(writing)
            os.utime(writing, ns=(info.st_atime_ns, info.st_mtime_ns))
            os.fsync(writing)


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
            remove_file(item.path)
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


@contextlib.contextmanager
def _replacing(path: str) -> t.Iterator[tuple[paths.Place, str]]:
    """Yield the place of a path, and a temporary name to create, which then replaces the path."""
    with paths.explain_errors(path, "replace"):
        write.sweep(path, link=True)
        with paths.open_parent(path, strict=True) as place:
            temporary = f"{paths.temporary_prefix(path)}link{paths.TEMPORARY_SUFFIX}"
            yield place, temporary
            os.rename(temporary, place.name, src_dir_fd=place.handle, dst_dir_fd=place.handle)
            place.sync()


def _replace_pair(pair: t.Sequence[tuple[Item, str]]) -> None:
    with contextlib.ExitStack() as temporaries:
        staged = []
        for item, source in pair:
            with paths.explain_errors(source, "copy"), paths.locate(source) as place:
                staged.append(_stage_content(_read_file(source, place), item.path))
            temporaries.callback(staged[-1].discard)
        pair_swap.replace(staged)


def remove_file(path: str) -> None:
    """Remove a file, or a link without its target. Raises FilesError."""
    with paths.explain_errors(path, "remove"), paths.open_parent(path) as place:
        if place.read_link() is not None:
            os.unlink(place.name, dir_fd=place.handle)
            place.sync()
            return
    write.remove(path)


def _stage_content(content: paths.Content, path: str) -> write.Staged:
    info = content.status
    return write.Staged(
        path,
        content.data,
        rights=write.rights_setter(info.st_uid, info.st_gid, info.st_mode & 0o7777),
    )

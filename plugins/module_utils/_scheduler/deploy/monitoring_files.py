# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write the files with which Prometheus monitors the schedulers, and follow no foreign link."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    directories,
    paths,
    walk,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.facts import (
    MAX_DIFF_LENGTH,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import options
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.masking import (
    withhold_difference,
)

DIRECTORY_MODE, FILE_MODE = 0o750, 0o640
MAX_MONITORING_BYTES = 16 << 20
"""Maximum size of a file. The scrape job and the rules grow with the number of clusters."""
MAX_NAME_BYTES = 200
FOREIGN = "(withheld, because the file has another owner, group or mode)"

Diff = dict[str, str]


class MonitoringFilesResult(t.TypedDict):
    """The result of the module."""

    changed: bool
    files: list[str]  # paths of the files that differ
    diff: list[Diff]


class _Rights(t.NamedTuple):
    """Owner, group and mode. In check mode, the group None does not exist yet."""

    uid: int
    gid: int | None
    mode: int


class _File(t.NamedTuple):
    """A file with its desired and its existing content."""

    path: str
    content: bytes
    existing: paths.Content | None

    def differs(self, rights: _Rights) -> bool:
        existing = self.existing
        return (
            existing is None
            or existing.data != self.content
            or _rights_of(existing.status) != rights
        )


def write_monitoring_files(module: attributes.FilesModule) -> MonitoringFilesResult:
    """Create the directory and write the files that differ. Raises FilesError and FilesetError.

    All files are checked before the first change.
    """
    path, group = module.params["path"], module.params["group"]
    contents = _parse_files(path, module.params["files"])
    exists = attributes.account_exists(module, "group")
    gid = attributes.account_id("group", group) if exists else None
    rights = _Rights(0, gid, FILE_MODE)
    directory_differs = _own(path, gid, dry=True) or gid is None
    diff = [_directory_diff(path, group)] if directory_differs else []
    files = [file for file in map(_read, contents, contents.values()) if file.differs(rights)]
    diff += [_file_diff(file, group, rights) for file in files]
    if not module.check_mode:
        _own(path, gid)
        _write(module, files, rights)
    changed_paths = [file.path for file in files]
    return {"changed": bool(diff), "files": changed_paths, "diff": _shorten_diffs(diff)}


def _own(path: str, gid: int | None, *, dry: bool = False) -> bool:
    return directories.own_directory(path, -1 if gid is None else gid, DIRECTORY_MODE, dry=dry)


def _parse_files(directory: str, files: t.Sequence[t.Mapping[str, str]]) -> dict[str, bytes]:
    """Return the contents of the files by path."""
    options.check_path(directory, "path")
    contents: dict[str, bytes] = {}
    for number, file in enumerate(files):
        options.check_value(file["name"], f"files[{number}].name", FILE_NAME_RULE)
        options.check_value(file["content"], f"files[{number}].content", FILE_CONTENT_RULE)
        path = os.path.join(directory, file["name"])
        if path in contents:
            raise FilesError(f"{file['name']} occurs twice; remove one of them", option="files")
        contents[path] = file["content"].encode()
    return contents


def _is_file_name(name: str) -> bool:
    return bool(
        name not in (".", "..")
        and "/" not in name
        and options.ONE_LINE.fullmatch(name)
        and len(name.encode()) <= MAX_NAME_BYTES
    )


FILE_NAME_RULE = options.ValueRule(
    _is_file_name,
    f"is not a file name; set a name without slash, of at most {MAX_NAME_BYTES} bytes",
)
FILE_CONTENT_RULE = options.ValueRule(
    lambda text: len(text) <= MAX_MONITORING_BYTES // 4 and not options.NOT_TEXT.search(text),
    f"is not text of at most {MAX_MONITORING_BYTES // 4} characters; set another content",
)


def _read(path: str, content: bytes) -> _File:
    existing = None
    with (
        paths.explain_errors(path, "read"),
        contextlib.suppress(FileNotFoundError),
        paths.locate(path) as place,
    ):
        existing = paths.read_place(place, limit=MAX_MONITORING_BYTES)
    if existing is not None and len(existing.data) > MAX_MONITORING_BYTES:
        raise FilesError(f"{path!r} is larger than {MAX_MONITORING_BYTES} bytes; remove this file")
    return _File(path, content, existing)


def _write(module: attributes.FilesModule, files: t.Sequence[_File], rights: _Rights) -> None:
    """Replace the files. A new inode keeps the owner of a file that has a hard link elsewhere."""
    gid = -1 if rights.gid is None else rights.gid
    set_rights = write.rights_setter(rights.uid, gid, rights.mode)
    with contextlib.ExitStack() as stack:
        staged = []
        for file in files:
            write.sweep(file.path)
            context = attributes.FileAttributes(module, file.path, f"{rights.mode:04o}").context
            staged.append(write.Staged(file.path, file.content, context, set_rights))
            stack.callback(staged[-1].discard)
        write.commit_all(staged, 0)


def _rights_of(status: os.stat_result) -> _Rights:
    return _Rights(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def _directory_diff(path: str, group: str) -> Diff:
    # No other user can change the parent directories, so that the path is safe.
    existing = _describe(os.stat(path)) if os.path.isdir(path) else ""
    return _diff(path, existing, _desired(group, DIRECTORY_MODE))


def _file_diff(file: _File, group: str, rights: _Rights) -> Diff:
    """Return the difference of a file, without the secrets of a foreign file of the same name."""
    existing = file.existing
    if existing is not None and existing.data == file.content:
        return _diff(file.path, _describe(existing.status), _desired(group, FILE_MODE))
    before = existing.data.decode("utf-8", "replace") if existing else ""
    if existing is not None and _rights_of(existing.status) != rights:
        before = f"{FOREIGN}\n"
    return _diff(file.path, *withhold_difference(before, file.content.decode()))


def _diff(path: str, before: str, after: str) -> Diff:
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def _shorten_diffs(diffs: t.Sequence[Diff]) -> list[Diff]:
    """Return the diffs, with each side shortened to the remaining length.

    Otherwise, the controller could reject the result after the files have changed.
    """
    shortened, remaining = [], MAX_DIFF_LENGTH
    for diff in diffs:
        sides = {}
        for side in ("before", "after"):
            sides[side] = _shorten(diff[side], remaining)
            remaining = max(0, remaining - len(diff[side]))
        shortened.append({**diff, **sides})
    return shortened


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n… ({len(text) - limit} more characters)\n"


def _describe(status: os.stat_result) -> str:
    return _format_rights(
        walk.account_name(status.st_uid),
        walk.account_name(status.st_gid, group=True),
        stat.S_IMODE(status.st_mode),
    )


def _desired(group: str, mode: int) -> str:
    return _format_rights("root", group, mode)


def _format_rights(owner: str, group: str, mode: int) -> str:
    return f"owner: {owner}\ngroup: {group}\nmode: {mode:04o}\n"

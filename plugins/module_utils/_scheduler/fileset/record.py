# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Read, validate and write the record of a file set.

A damaged record is no error. A field of the wrong type counts as missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import grp
import hashlib
import json
import os
import re
import shutil
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import parse_json

ROOT_GROUP = "root"
MEMBER_SET_FILE = ".set.json"
"""File with the description of a set of files. No file of a file set can have this name."""
MEMBER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")

FileIdentity = list[int]
SIZE_INDEX = 2
"""Index of the file size in a FileIdentity."""


OWNER_FIELDS = ("uid", "gid", "mode")
MAX_MODE = 0o7777


class RecordedBinary(t.TypedDict):
    """A binary with a verified checksum, or an existing binary that the operator trusts."""

    sha256: str
    version: str  # without a leading v
    ours: bool  # whether a removal of the file set also removes the binary
    identity: FileIdentity  # file identity at the time when the SHA-256 was computed


class Member(t.TypedDict):
    """One file or link of a file set, without the content."""

    name: str
    path: str
    link_to: str | None
    mode: int
    group: str  # a record of an earlier version has no group
    digest: str
    rendered: str | None  # SHA-256 of the rendered text with the digest mark


class MemberSet(t.TypedDict):
    """The files of a staged, live or previous set, and the digest of the set."""

    members: list[Member]
    digest: str


class FilesetRecord(t.TypedDict):
    """The content of record.json."""

    base: dict[str, str]  # by name: fingerprint of the live file that was copied to `staged`
    binaries: dict[str, RecordedBinary]  # by path
    directories: list[str]  # directories that this role created
    attempt: str  # identifier of the roll that promoted the live set
    dry_run: str  # digest of the last set that passed a dry run
    live: MemberSet | None  # the last promoted set
    paths: list[str]  # all paths that any promotion has written
    owners: dict[str, list[int]]  # by directory: user, group and mode before root took it
    original: bool  # whether another installer created the staged set, after a recall
    promoting: bool  # whether a promotion or rollback is in progress or was interrupted
    staged: MemberSet | None


@dataclasses.dataclass(frozen=True)
class Item:
    """One file or link of the file set, of one of three kinds.

    - If `content` is set, the caller renders the file.
    - If `link_to` is a path, the item is a symbolic link. If `link_to` is empty, the path must not
      exist.
    - Otherwise, another module (x509_cert, kubeconfig) writes the file to the staged path.

    For a rendered file of an earlier run, only `rendered`, the SHA-256 of the text, is known.
    """

    name: str
    path: str
    content: str | None = None
    link_to: str | None = None
    mode: int = 0o644
    group: str = ROOT_GROUP
    digest: str = "content"
    rendered: str | None = None

    @property
    def is_seeded(self) -> bool:
        """Return whether the staged copy starts as a copy of the live file."""
        return self.content is None and self.link_to is None and self.rendered is None

    @property
    def is_absent(self) -> bool:
        """Return whether the path must not exist."""
        return self.link_to == ""

    @property
    def link_target(self) -> str:
        """Return the absolute target of a link."""
        return os.path.join(os.path.dirname(self.path), self.link_to or "")

    def group_id(self) -> int:
        """Return the ID of the group, -1 if the group does not exist."""
        if self.group == ROOT_GROUP:
            return 0
        try:
            return grp.getgrnam(self.group).gr_gid
        except KeyError:
            return -1

    def to_member(self) -> Member:
        """Return the description of the item for the record."""
        rendered = (
            self.rendered
            if self.content is None
            else hashlib.sha256(self.content.encode()).hexdigest()
        )
        return Member(
            name=self.name,
            path=self.path,
            link_to=self.link_to,
            mode=self.mode,
            group=self.group,
            digest=self.digest,
            rendered=rendered,
        )


def recorded_items(members: MemberSet | None) -> tuple[Item, ...]:
    """Return the items of a recorded set; an empty tuple if there is no set."""
    return tuple(Item(**member) for member in members["members"]) if members else ()


def file_identity(info: os.stat_result) -> FileIdentity:
    """Return the numbers of a file that change with its inode or content."""
    return [info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def read_record(path: str) -> FilesetRecord:
    """Read a record. Missing or damaged fields are empty."""
    return _parse_record(_read_json_object(path)[1])


def update_record_file(path: str, changes: t.Mapping[str, t.Any]) -> bool:
    """Write the record if `changes` differ from it, and return whether it was written.

    A damaged record is renamed to record.json.bad.
    """
    is_damaged, previous = _read_json_object(path)
    record = {**_parse_record(previous), **changes}
    if record == previous:
        return False
    if is_damaged:
        with paths.explain_errors(path, "keep aside"):
            bad = f"{path}.bad"
            if os.path.isdir(bad) and not os.path.islink(bad):
                shutil.rmtree(bad)
            os.rename(path, bad)
    write.sweep(path)
    write.write(path, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return True


def read_member_set(path: str) -> MemberSet | None:
    """Read the description of a previous set; None if it is missing or damaged."""
    with contextlib.suppress(FilesError, ValueError):
        return _to_member_set(parse_json(paths.read(path) or b""))
    return None


def write_member_set(path: str, members: MemberSet) -> None:
    """Write the description of a previous set."""
    write.write(path, json.dumps(members).encode())


def _read_json_object(path: str) -> tuple[bool, t.Any]:
    """Return whether the file is damaged, and its parsed content."""
    try:
        raw = paths.read(path)
    except FilesError:
        return True, None
    try:
        value = parse_json(raw) if raw is not None else {}
    except ValueError:
        value = None
    return not isinstance(value, dict), value


def _parse_record(value: t.Any) -> FilesetRecord:
    """Return a record with all fields. Fields of the wrong type are empty."""
    fields = value if isinstance(value, dict) else {}

    def texts(name: str) -> list[str]:
        entries = fields.get(name)
        return [e for e in entries if isinstance(e, str)] if isinstance(entries, list) else []

    def mapping(name: str) -> dict[str, t.Any]:
        entries = fields.get(name)
        return entries if isinstance(entries, dict) else {}

    def text(name: str) -> str:
        entry = fields.get(name)
        return entry if isinstance(entry, str) else ""

    return FilesetRecord(
        base={key: entry for key, entry in mapping("base").items() if isinstance(entry, str)},
        binaries={path: entry for path, entry in mapping("binaries").items() if _is_binary(entry)},
        directories=texts("directories"),
        attempt=text("attempt"),
        dry_run=text("dry_run"),
        live=_to_member_set(fields.get("live")),
        paths=texts("paths"),
        owners={path: entry for path, entry in mapping("owners").items() if _is_owner(entry)},
        original=fields.get("original") is True,
        promoting=fields.get("promoting") is True,
        staged=_to_member_set(fields.get("staged")),
    )


def _is_owner(entry: t.Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == len(OWNER_FIELDS)
        and all(type(number) is int and number >= 0 for number in entry)
        and entry[2] <= MAX_MODE
    )


def _is_binary(entry: t.Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == RecordedBinary.__annotations__.keys()
        and all(isinstance(entry[name], str) for name in ("sha256", "version"))
        and isinstance(entry["ours"], bool)
        and isinstance(entry["identity"], list)
        and len(entry["identity"]) > SIZE_INDEX
        and all(isinstance(number, int) for number in entry["identity"])
    )


def _to_member_set(entry: t.Any) -> MemberSet | None:
    is_valid = (
        isinstance(entry, dict)
        and entry.keys() == MemberSet.__annotations__.keys()
        and isinstance(entry["digest"], str)
        and isinstance(entry["members"], list)
        and all(map(_is_member, entry["members"]))
    )
    return t.cast(MemberSet, entry) if is_valid else None


def _is_member(entry: t.Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() | {"group"} == Member.__annotations__.keys()
        and all(isinstance(entry[name], str) for name in ("name", "path", "digest"))
        and isinstance(entry.get("group", ROOT_GROUP), str)
        and all(
            entry[name] is None or isinstance(entry[name], str) for name in ("link_to", "rendered")
        )
        and isinstance(entry["mode"], int)
        and bool(MEMBER_NAME.fullmatch(entry["name"]))
        and os.path.isabs(entry["path"])
    )

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Stage, promote and roll back the file set that one unit runs from.

The file set directory contains:

- `staged/NAME`: the staged files, which the next promotion makes live
- `previous/NAME`: the files that were live before the last promotion
- `previous.old`: an older previous set, which replaces `previous` if a promotion is rolled back
- `original/NAME`: files of other installers that promotions replaced
- `record.json`: the record of staged and promoted sets

The live files are at the paths that the unit names. Only promotion and rollback write to these
paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import stat
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesetError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    directories,
    pair_swap,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import copies
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.copies import (
    FileState,
    copy_file,
    link_state,
    missing_directories,
    missing_parents,
    read_state,
    try_read_state,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.originals import (
    ORIGINALS_DIRECTORY,
    Originals,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    MEMBER_SET_FILE,
    FilesetRecord,
    Item,
    MemberSet,
    RecordedBinary,
    file_identity,
    read_member_set,
    read_record,
    recorded_items,
    update_record_file,
    write_member_set,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.masking import (
    withhold_difference,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DIGEST_MARK,
    STATIC_POD,
)

# The entries of a file set directory.
KNOWN_ENTRIES = (
    ORIGINALS_DIRECTORY,
    "previous",
    "previous.new",
    "previous.old",
    "record.json",
    "record.json.bad",
    "staged",
)
TEMPORARY_ENTRY_PREFIX = ".record.json."
# To run a scheduler, a set must contain all files of one of these groups.
RUNNABLE_MEMBERS = ({"binary", "unit"}, {STATIC_POD})


def render_text(item: Item, digest: str) -> bytes:
    """Return the rendered content of a file, with the digest of the file set."""
    return (item.content or "").replace(DIGEST_MARK, digest).encode()


def item_state(item: Item, digest: str) -> FileState:
    """Return the desired state of a rendered file. An unknown group has the ID -1."""
    fingerprint = hashlib.sha256(render_text(item, digest)).hexdigest()
    return FileState(fingerprint, 0, item.group_id(), item.mode)


class Fileset:
    """The file set of one component on this host."""

    def __init__(self, root: str, items: t.Sequence[Item]) -> None:
        self.root = root
        self.items = tuple(items)
        self.record_path = os.path.join(root, "record.json")
        self.originals = Originals(root)

    def staged_path(self, item: Item) -> str:
        """Return the path of the staged copy of a file."""
        return os.path.join(self.root, "staged", item.name)

    def previous_path(self, item: Item) -> str:
        """Return the path of a file in the previous set."""
        return os.path.join(self.root, "previous", item.name)

    def check_directory(self) -> None:
        """Raise FilesetError if the directory contains other files, which removal would delete."""
        with paths.explain_errors(self.root, "read"):
            names = os.listdir(self.root) if os.path.isdir(self.root) else []
        unknown = [
            name
            for name in sorted(names)
            if name not in KNOWN_ENTRIES and not name.startswith(TEMPORARY_ENTRY_PREFIX)
        ]
        if unknown:
            raise FilesetError(
                f"{self.root} contains {unknown[0]}, which is not part of a file set;"
                " set another directory, or move this file",
                option="path",
            )

    # --- The record

    def record(self) -> FilesetRecord:
        """Read the record. Missing or damaged fields are empty."""
        return read_record(self.record_path)

    def update_record(self, **changes: t.Any) -> bool:
        """Write changed fields of the record, and return whether anything changed."""
        return update_record_file(self.record_path, changes)

    def siblings(self) -> list[Fileset]:
        """Return the file sets of the other instances on this host, if they have a record."""
        above = os.path.dirname(self.root)
        with contextlib.suppress(OSError):
            beside = [Fileset(os.path.join(above, name), ()) for name in sorted(os.listdir(above))]
            return [
                other
                for other in beside
                if other.root != self.root and os.path.isfile(other.record_path)
            ]
        return []

    def check_binaries(
        self, binaries: t.Sequence[t.Mapping[str, t.Any]], *, dry: bool = False
    ) -> list[tuple[t.Mapping[str, t.Any], os.stat_result]]:
        """Return each binary with its stat result. With `dry`, missing binaries are omitted.

        Raises FilesetError for a binary that cannot be read or is not a regular file.
        """
        checked = []
        for entry in binaries:
            path = entry["path"]
            try:
                info = os.stat(path)
            except OSError as error:
                if dry and isinstance(error, FileNotFoundError):
                    continue
                raise FilesetError(
                    f"cannot read {path}: {error.strerror}; check the path of the binary"
                ) from None
            if not stat.S_ISREG(info.st_mode):
                raise FilesetError(
                    f"{path} is not a regular file; set the path of the binary",
                    option="binaries",
                )
            checked.append((entry, info))
        return checked

    def record_binaries(
        self, binaries: t.Sequence[t.Mapping[str, t.Any]], *, dry: bool = False
    ) -> bool:
        """Record verified binaries, and return whether the record changed.

        Each entry has `path`, `version` and `ours`. With `dry`, nothing is recorded.
        """
        checked = self.check_binaries(binaries, dry=dry)
        if dry:
            return False
        known = self.record()["binaries"]
        updated = dict(known)
        shared = [other.record()["binaries"] for other in self.siblings()]
        for entry, info in checked:
            path, identity = entry["path"], file_identity(info)
            previous = known.get(path)
            if previous is not None and previous["identity"] == identity:
                checksum, ours = previous["sha256"], previous["ours"]
            else:
                checksum, ours = copies.sha256_of_file(path), entry["ours"]
            # Any instance can have installed the binary. The last removed instance deletes the
            # binary.
            ours = ours or any(
                path in others and others[path]["ours"] and others[path]["identity"] == identity
                for others in shared
            )
            updated[path] = RecordedBinary(
                sha256=checksum, version=entry["version"], ours=ours, identity=identity
            )
        return self.update_record(binaries=updated) if updated != known else False

    def staged_items(self) -> tuple[Item, ...]:
        """Return the files of the staged set. Raises FilesetError if there is no staged set."""
        staged = self.record()["staged"]
        if staged is None:
            raise FilesetError(
                f"{os.path.join(self.root, 'staged')} contains no complete file set;"
                " run all phases of the role"
            )
        return recorded_items(staged)

    # --- The staged set

    def stale_members(self) -> list[str]:
        """Return the seeded files whose live file changed after it was copied to `staged`."""
        base = self.record()["base"]
        names = []
        for item in self.items:
            live = try_read_state(item.path) if item.is_seeded else None
            if live and (
                try_read_state(self.staged_path(item)) is None
                or live.fingerprint != base.get(item.name)
            ):
                names.append(item.name)
        return names

    def is_prepared(self) -> bool:
        """Return whether a staged set and its record exist."""
        return (
            os.path.isdir(os.path.join(self.root, "staged")) and self.record()["staged"] is not None
        )

    def prepare(self, *, dry: bool = False) -> list[str]:
        """Copy each stale live file to `staged`, and return the names of these files.

        The directories must exist. With `dry`, copy nothing, and also return missing directories.
        """
        stale = self.stale_members()
        if dry:
            return self._missing_directories() + stale
        for item in self.items:
            if item.name in stale:
                copy_file(item.path, self.staged_path(item))
        if stale:
            self.update_record(base=self._live_fingerprints())
        return stale

    def _missing_directories(self) -> list[str]:
        required = [self.root, os.path.join(self.root, "staged")]
        return [directory for directory in required if not os.path.isdir(directory)]

    def make_directories(self) -> list[str]:
        """Create the directories of the file set, and return those that were missing.

        Created parent directories are recorded, so that removal can delete them.
        """
        above = missing_parents(self.root)
        missing = self._missing_directories()
        for directory in reversed(above):
            directories.create_directory(directory)
        for directory in missing:
            directories.create_directory(directory, 0o700)
        # Each instance records shared directories. The removal of the last instance deletes these
        # directories.
        sibling_dirs = [path for other in self.siblings() for path in other.record()["directories"]]
        if above or sibling_dirs:
            self.update_record(
                directories=sorted({*self.record()["directories"], *above, *sibling_dirs})
            )
        return missing

    def create_shared(self, shared: t.Iterable[str], *, dry: bool = False) -> list[str]:
        """Create directories for files that instances share, and return those that were missing.

        The new directories are recorded, so that removal can delete them. With `dry`, nothing is
        created.
        """
        missing = sorted({path for entry in shared for path in missing_directories(entry)}, key=len)
        if missing and not dry:
            self.update_record(directories=sorted({*self.record()["directories"], *missing}))
            for directory in missing:
                directories.create_directory(directory)
        return missing

    def _live_fingerprints(self) -> dict[str, str]:
        return {
            item.name: state.fingerprint
            for item in self.items
            if item.is_seeded
            for state in [try_read_state(item.path)]
            if state
        }

    def digest(self, seeded_path: t.Callable[[Item], str] | None = None) -> str:
        """Return a digest of all files that the process reads, "" while a file is missing.

        `seeded_path` returns the path of a seeded file. The default is the staged path.
        """
        total = hashlib.sha256()
        binaries = self.record()["binaries"]
        for item in self.items:
            if item.is_absent:
                continue
            if item.link_to is not None:
                binary = binaries.get(item.link_target)
                value = f"{item.link_to}:{binary['sha256'] if binary else ''}"
            elif not item.is_seeded:
                value = item.to_member()["rendered"] or ""
            elif item.digest == "path":
                value = item.path
            else:
                state = try_read_state((seeded_path or self.staged_path)(item))
                if state is None:
                    return ""
                value = state.fingerprint
            total.update(f"{item.name}\0{value}\0".encode())
        return total.hexdigest()[:32]

    def differences(self) -> list[dict[str, str]]:
        """Return the changes of rendered files by staging, as Ansible diffs."""
        digest = self.digest()
        diffs = []
        for item in self.items:
            if item.content is None:
                continue
            before = (paths.read(self.staged_path(item)) or b"").decode("utf-8", "replace")
            after = render_text(item, digest).decode()
            if before != after:
                before, after = withhold_difference(before, after, is_unit=item.name != "config")
                diffs.append(
                    {
                        "before_header": item.path,
                        "after_header": item.path,
                        "before": before,
                        "after": after,
                    }
                )
        return diffs

    def stage(self, *, dry: bool = False) -> list[str]:
        """Stage links and rendered files, record the staged set, and return the changed names."""
        digest = self.digest()
        changed = []
        for item in self.items:
            path = self.staged_path(item)
            if item.link_to:
                if read_state(path) != link_state(item.link_to):
                    changed.append(item.name)
                    if not dry:
                        copies.make_link(item.link_to, path)
            elif item.content is not None:
                expected = item_state(item, digest)
                if read_state(path) != expected:
                    changed.append(item.name)
                    if not dry:
                        rights = write.rights_setter(expected.uid, expected.gid, expected.mode)
                        write.write(path, render_text(item, digest), rights=rights)
        if not dry:
            staged = MemberSet(members=[item.to_member() for item in self.items], digest=digest)
            self.update_record(staged=staged, original=False)
        return changed

    def require_staged(self, items: t.Iterable[Item]) -> None:
        """Raise FilesetError if one of these files has no staged copy."""
        missing = [item.name for item in items if read_state(self.staged_path(item)) is None]
        if missing:
            raise FilesetError(
                f"{os.path.join(self.root, 'staged')} does not contain {', '.join(missing)};"
                " run all phases of the role"
            )

    # --- The live set

    def pending_members(self) -> list[str]:
        """Return the files whose content, owner or mode differs between staged and live set."""
        return [
            item.name
            for item in self.items
            if (None if item.is_absent else read_state(self.staged_path(item)))
            != read_state(item.path)
        ]

    def promote(
        self, attempt: str = "", *, only: str = "", keep_foreign: bool = False
    ) -> list[str]:
        """Keep the live set as previous, make the staged set live, and return changed names.

        `attempt` identifies the roll for `restore`. `only` limits the change to one file; the
        promotion then stays incomplete. With `keep_foreign`, the unit and the program of another
        installer remain at their paths.
        """
        self.require_staged(item for item in self.items if not item.is_absent)
        pending = self.pending_members()
        record = self.record()
        missing = {path for item in self.items for path in missing_parents(item.path)}
        if pending:
            self._keep_originals(record)
        self._record_targets(record, missing, promoting=record["promoting"] and bool(pending))
        if pending:
            # After an interrupted promotion, `previous` is complete, and the live set is mixed.
            if not record["promoting"]:
                self._keep_previous(record["live"], keep_foreign=keep_foreign)
                self.update_record(promoting=True)
            self.update_record(attempt=attempt)
            for directory in sorted(missing, key=len):
                directories.create_directory(directory)
            names = {*pending} & {only} if only else {*pending}
            copies.replace_files([(i, self.staged_path(i)) for i in self.items if i.name in names])
            if only:
                return [only]
        self.update_record(base=self._live_fingerprints(), live=record["staged"], promoting=False)
        return pending

    def _keep_originals(self, record: FilesetRecord) -> None:
        """Copy the files that the promotion replaces and that another installer created.

        The copy precedes the record of the paths, so that the run after an interrupted run does not
        skip the copy.
        """
        is_foreign = record["live"] is not None and not record["live"]["digest"]
        self.originals.keep(
            item for item in self.items if is_foreign or item.path not in record["paths"]
        )

    def _record_targets(
        self, record: FilesetRecord, missing: t.Iterable[str], *, promoting: bool
    ) -> None:
        """Record live paths and directories before a promotion changes them.

        After an interrupted run, a removal then finds all paths and directories. Paths that are no
        longer used stay in the record.
        """
        live_paths = (item.path for item in self.items if item.name != STATIC_POD)
        self.update_record(
            directories=sorted({*record["directories"], *missing}),
            paths=sorted({*record["paths"], *live_paths}),
            promoting=promoting,
            attempt="",
        )

    def replaced_set(self, attempt: str) -> MemberSet | None:
        """Return the set that a roll replaced.

        Return None if the roll promoted nothing, or if no set was live before the roll.
        """
        return self.previous_set() if attempt and self.record()["attempt"] == attempt else None

    def restore(self, attempt: str) -> list[str]:
        """Restore the set that a roll replaced as the live set, and return changed names.

        If the roll promoted nothing, or if no set was live before the roll, change nothing.
        """
        previous = self.replaced_set(attempt)
        if previous is None:
            return []
        if not self.record()["promoting"]:
            self.update_record(promoting=True)
        kept = self._kept_members(previous)
        changed = [(item, path) for item, path in kept if read_state(path) != read_state(item.path)]
        copies.replace_files(changed)
        kept_paths = {item.path for item, _path in kept}
        added = [i for i in self.items if i.path not in kept_paths and read_state(i.path)]
        copies.replace_files([(dataclasses.replace(item, link_to=""), "") for item in added])
        # Because the base is empty, the next run copies the seeded files from the live set.
        self.update_record(base={}, live=previous, attempt="", promoting=False)
        self._drop_previous()
        return [item.name for item, _path in changed] + [item.name for item in added]

    def _kept_members(self, previous: MemberSet) -> list[tuple[Item, str]]:
        """Return the files of the previous set that have a copy, each with the path of the copy."""
        return [
            (item, self.previous_path(item))
            for item in recorded_items(previous)
            if read_state(self.previous_path(item))
        ]

    def restore_member(self, item: Item) -> None:
        """Restore one file of the previous set after an incomplete promotion."""
        copy_file(self.previous_path(item), item.path)

    def recall(self, *, dry: bool = False) -> list[str]:
        """Stage the previous set, and return the names of the files that differ from the live set.

        Raises FilesetError if there is no complete previous set.
        """
        previous = self._require_previous()
        items = recorded_items(previous)
        differing = [
            i.name for i in items if read_state(self.previous_path(i)) != read_state(i.path)
        ]
        added = self._removals_since(items)
        differing += [item.name for item in added if read_state(item.path)]
        if differing and not dry:
            for item in items:
                copy_file(self.previous_path(item), self.staged_path(item))
            members = [*previous["members"], *(item.to_member() for item in added)]
            # Neither a set of another installer nor the process that uses it has a digest.
            is_original = not previous["digest"]
            digest = "" if is_original else Fileset(self.root, items).digest()
            # Because the base is empty, the next run copies the seeded files from the live set.
            self.update_record(
                base={}, staged=MemberSet(members=members, digest=digest), original=is_original
            )
        return differing

    def _removals_since(self, items: t.Iterable[Item]) -> list[Item]:
        """Return items that remove the live files which the set of `items` does not contain."""
        known_paths = {item.path for item in items}
        return [
            dataclasses.replace(item, link_to="")
            for item in recorded_items(self.record()["live"])
            if item.path not in known_paths
        ]

    def _require_previous(self) -> MemberSet:
        previous = self.previous_set()
        if previous is None:
            raise FilesetError(
                f"{self.root} contains no previous file set, so rollback is not possible;"
                " deploy the expected version instead"
            )
        missing = [
            i.name for i in recorded_items(previous) if read_state(self.previous_path(i)) is None
        ]
        if missing:
            raise FilesetError(
                f"{os.path.join(self.root, 'previous')} does not contain {', '.join(missing)},"
                " so rollback is not possible; deploy the expected version instead"
            )
        return previous

    def recover(self) -> None:
        """Remove temporary files of a killed run, and complete the exchange of a key pair."""
        known = list(dict.fromkeys([*self.record()["paths"], *(item.path for item in self.items)]))
        pair_swap.recover(known)
        for path in known:
            write.sweep(path, link=True)
        # A run was interrupted between two renames of `_keep_previous` or `_drop_previous`.
        if not os.path.isdir(os.path.join(self.root, "previous")):
            self._drop_previous()

    def previous_set(self) -> MemberSet | None:
        """Return the set that was live before the last promotion.

        Return None if the set cannot run a scheduler, or if the description of the set is damaged.
        """
        return read_member_set(os.path.join(self.root, "previous", MEMBER_SET_FILE))

    def is_restorable(self) -> bool:
        """Return whether a rollback restores a set of another installer."""
        previous, live = self.previous_set(), self.record()["live"]
        return bool(live and live["digest"] and previous and not previous["digest"])

    def _keep_previous(self, live: MemberSet | None, *, keep_foreign: bool) -> None:
        """Copy the live set to `previous`.

        If no record exists, another installer can have created the live set.
        """
        new, kept, old = (
            os.path.join(self.root, name) for name in ("previous.new", "previous", "previous.old")
        )
        existing = self._existing_items(recorded_items(live) if live else self.items)
        names = {item.name for item in existing}
        with paths.explain_errors(kept, "keep"):
            shutil.rmtree(new, ignore_errors=True)
            os.mkdir(new, 0o700)
            for item in existing:
                copy_file(item.path, os.path.join(new, item.name))
            if keep_foreign or any(needed <= names for needed in RUNNABLE_MEMBERS):
                members = [item.to_member() for item in existing]
                previous = MemberSet(members=members, digest=live["digest"] if live else "")
                write_member_set(os.path.join(new, MEMBER_SET_FILE), previous)
            shutil.rmtree(old, ignore_errors=True)
            if os.path.isdir(kept):
                os.rename(kept, old)
            os.rename(new, kept)

    def _existing_items(self, items: t.Iterable[Item]) -> list[Item]:
        """Return the items whose live path exists.

        A file can exist again at a path that the set declares as absent. This file is kept too.
        """
        return [
            dataclasses.replace(item, link_to=None) if item.is_absent else item
            for item in items
            if read_state(item.path)
        ]

    def _drop_previous(self) -> None:
        """Delete the previous set, and restore `previous.old` as the previous set if it exists."""
        kept, old = (os.path.join(self.root, name) for name in ("previous", "previous.old"))
        with paths.explain_errors(kept, "restore"):
            if os.path.isdir(old):
                shutil.rmtree(kept, ignore_errors=True)
                os.rename(old, kept)

    def created_paths(self) -> list[str]:
        """Return the live paths whose files this role created."""
        record = self.record()
        kept = self.originals.unchanged_paths()
        if record["live"] is not None and not record["live"]["digest"]:
            # After a rollback to the set of another installer, the live files are of that set.
            kept |= {item.path for item in recorded_items(record["live"]) if not item.is_absent}
        return [path for path in record["paths"] if path not in kept]

    def remove(self, *, dry: bool = False) -> list[str]:
        """Remove everything that this role created, and return the removed paths.

        The removed paths are the promoted files, the binaries that no other instance uses, the
        file set directory, and created directories if they are empty. The copies of replaced files
        of other installers remain in the file set directory.
        """
        record = self.record()
        candidates = [*self.created_paths(), *self._unshared_binaries(record)]
        removed = [path for path in candidates if os.path.islink(path) or os.path.isfile(path)]
        is_kept = bool(self.originals.displaced())
        if os.path.isdir(self.root) and not (is_kept and self._own_entries() == []):
            removed.append(self.root)
        if not dry:
            for path in removed:
                self._remove_path(path)
            for directory in sorted(record["directories"], key=len, reverse=True):
                directories.remove_empty_directory(directory)
        return removed

    def _own_entries(self) -> list[str]:
        """Return the entries of the directory without the copies of replaced files.

        The record is the last entry, so that the next run can continue an interrupted removal.
        """
        names = [name for name in os.listdir(self.root) if name != ORIGINALS_DIRECTORY]
        return sorted(names, key=lambda name: name == os.path.basename(self.record_path))

    def _unshared_binaries(self, record: FilesetRecord) -> list[str]:
        """Return the installed binaries that no other instance uses."""
        shared = {path for other in self.siblings() for path in other.record()["binaries"]}
        return [
            path
            for path, binary in record["binaries"].items()
            if binary["ours"] and path not in shared
        ]

    def _remove_path(self, path: str) -> None:
        with paths.explain_errors(path, "remove"):
            if path == self.root:
                self._remove_root()
            else:
                # Remove only a link. If the role created the target, the record contains it.
                copies.remove_file(path)

    def _remove_root(self) -> None:
        self.originals.release()
        for name in self._own_entries():
            path = os.path.join(self.root, name)
            if os.path.isdir(path) and not os.path.islink(path):
                directories.remove_directory(path)
            else:
                copies.remove_file(path)
        if not os.path.isdir(self.originals.directory):
            directories.remove_empty_directory(self.root)

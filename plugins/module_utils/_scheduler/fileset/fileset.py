# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The set of files that one unit runs from: staged, live and previous.

Under the fileset directory lie C(staged/MEMBER_NAME), what the next start shall use; C(previous/MEMBER_NAME), what ran before the last
promotion, with a copy of what was so before in C(previous.old), for a promotion that is taken back; and C(record.json), what was
staged and promoted. Live are the paths that the unit names. Only promotion writes there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset import options
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.options import (
    LIMIT,
    MEMBER_NAME,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DIGEST_MARK,
    STATIC_POD,
)

# What lies in the folder of a fileset.
OWN = ("previous", "previous.new", "previous.old", "record.json", "record.json.bad", "staged")
# Beside the copies of a set, what they are; no member can have this name.
SET = ".set.json"
TEMPORARIES = ".record.json."
LARGEST_BINARY = 1 << 30
"""A kube-scheduler has 50 to 120 MiB. What an unprivileged user may have laid in its place can be of any size."""
# What a set has to have to be run from.
RUNS = ({"binary", "unit"}, {STATIC_POD})
# Certificate and key of different pairs are of no use to anybody, not even for a moment.
PAIR = ("privatekey", "certificate")

Identity = list[int]
SIZE = 2


class Binary(t.TypedDict):
    """A binary whose content was verified when it came, or that the operator vouches for."""

    sha256: str
    version: str  # without a leading v
    ours: bool  # whether it is to be removed with the rest
    identity: Identity  # of the file when its SHA-256 was taken


class Member(t.TypedDict):
    """One member of the staged set, without its content."""

    name: str
    path: str
    link_to: str | None
    mode: int
    digest: str
    rendered: (
        str | None
    )  # SHA-256 of the text that it was rendered from, digest mark included; None for others


class FileSet(t.TypedDict):
    """The members of a set that is staged, live or kept as the previous one, and its digest."""

    members: list[Member]
    digest: str


class Record(t.TypedDict):
    """What the fileset remembers."""

    base: dict[str, str]  # fingerprint, by name, of the live file that a staged copy was made of
    binaries: dict[str, Binary]  # by path
    directories: list[str]  # made by promotion
    attempt: str  # the roll by which the live set was put in place
    dry_run: str  # the digest that passed a dry run last
    live: FileSet | None  # what was promoted last
    paths: list[str]  # all that were ever promoted
    original: bool  # whether what is staged is somebody else's set, which was recalled
    promoting: bool  # whether a promotion, or the way back from one, is under way, or was cut off
    staged: FileSet | None


@dataclasses.dataclass(frozen=True)
class Item:
    """One member of the set.

    Exactly one of three kinds: C(content) is rendered by the caller, C(link_to) makes a symbolic link (an empty one: nothing is to lie
    there), and a file with neither is staged by somebody else (x509_cert, kubeconfig) under the staged path. Of a rendered one that was
    staged by an earlier run, only C(rendered) is known, the SHA-256 of its text.
    """

    name: str
    path: str
    content: str | None = None
    link_to: str | None = None
    mode: int = 0o644
    digest: str = "content"
    rendered: str | None = None

    @property
    def seeded(self) -> bool:
        """Whether the staged copy starts out as the live one."""
        return self.content is None and self.link_to is None and self.rendered is None

    @property
    def gone(self) -> bool:
        """Whether nothing is to lie there."""
        return self.link_to == ""

    @property
    def target(self) -> str:
        """What a link leads to."""
        return os.path.join(os.path.dirname(self.path), self.link_to or "")

    def member(self) -> Member:
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
            digest=self.digest,
            rendered=rendered,
        )


@dataclasses.dataclass(frozen=True)
class State:
    """What lies at a path: a fingerprint of the content, and who may read it."""

    fingerprint: str
    uid: int
    gid: int
    mode: int


def look(path: str) -> State | None:
    """The state of a file or link, None when nothing is there. Raises FilesError for anything else, such as a directory."""
    with paths.explain_errors(path, "look at"):
        try:
            info = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    if paths.is_swapped(path):
        # Cut off while a pair was replaced: what counts is the file that it stands for.
        path, info = os.path.realpath(path), os.stat(path)
    elif os.path.islink(path):
        return State(f"link:{os.readlink(path)}", 0, 0, 0)
    content = paths.read(path, limit=LIMIT) if info.st_size <= LIMIT else str(info.st_size).encode()
    return State(
        hashlib.sha256(content or b"").hexdigest(), info.st_uid, info.st_gid, info.st_mode & 0o7777
    )


def identity(info: os.stat_result) -> Identity:
    """What tells, without reading a file, that it is still the same with the same content."""
    return [info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def sha256(path: str) -> str:
    """SHA-256 of a regular file of at most 1 GiB, in hexadecimal."""
    total = hashlib.sha256()
    left = LARGEST_BINARY
    try:
        # Without O_NONBLOCK, a FIFO would hang the module.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            info = os.fstat(stream.fileno())
            if not stat.S_ISREG(info.st_mode) or info.st_size > left:
                raise FilesetError(
                    f"{path} is no binary: not a regular file of at most {LARGEST_BINARY >> 20} MiB; put the binary there"
                )
            while left > 0 and (block := stream.read(1 << 20)):
                total.update(block)
                left -= len(block)
    except OSError as error:
        raise FilesetError(f"cannot read {path}: {error.strerror}") from None
    return total.hexdigest()


def text_with_digest(item: Item, digest: str) -> bytes:
    """A rendered text as it lies on disk."""
    return (item.content or "").replace(DIGEST_MARK, digest).encode()


class Fileset:
    """The set of one component on this host."""

    def __init__(self, root: str, items: t.Sequence[Item]) -> None:
        self.root = root
        self.items = tuple(items)
        self.record_path = os.path.join(root, "record.json")

    def staged_path(self, item: Item) -> str:
        return os.path.join(self.root, "staged", item.name)

    def previous_path(self, item: Item) -> str:
        return os.path.join(self.root, "previous", item.name)

    def check_folder(self) -> None:
        """Raises FilesetError for a folder that holds anything else: it would be removed with the fileset."""
        with paths.explain_errors(self.root, "look at"):
            names = os.listdir(self.root) if os.path.isdir(self.root) else []
        foreign = [
            name for name in sorted(names) if name not in OWN and not name.startswith(TEMPORARIES)
        ]
        if foreign:
            raise FilesetError(
                f"{self.root} holds {foreign[0]}, which is no part of a fileset: name a folder of the fileset's own, or move that away",
                option="path",
            )

    # --- the record

    def record(self) -> Record:
        """What was staged and promoted; of a record that is damaged, what is left of it."""
        return _record(self._raw_record()[1])

    def siblings(self) -> list[Fileset]:
        """The file sets beside this one: those of other instances, as far as they have a record."""
        above = os.path.dirname(self.root)
        with contextlib.suppress(OSError):
            beside = [Fileset(os.path.join(above, name), ()) for name in sorted(os.listdir(above))]
            return [
                other
                for other in beside
                if other.root != self.root and os.path.isfile(other.record_path)
            ]
        return []

    def _raw_record(self) -> tuple[bool, t.Any]:
        """Whether there is a damaged record, and what it says."""
        try:
            raw = paths.read(self.record_path)
        except FilesError:
            return True, None
        try:
            value = json.loads(raw) if raw is not None else {}
        except (ValueError, RecursionError):
            value = None
        return not isinstance(value, dict), value

    def update_record(self, **changes: t.Any) -> bool:
        """Writes the record when CHANGES say something new. One that is damaged is kept aside, as record.json.bad, and made anew."""
        damaged, former = self._raw_record()
        record = {**_record(former), **changes}
        if record == former:
            return False
        if damaged:
            with paths.explain_errors(self.record_path, "keep aside"):
                bad = f"{self.record_path}.bad"
                if os.path.isdir(bad) and not os.path.islink(bad):
                    shutil.rmtree(bad)
                os.rename(self.record_path, bad)
        write.sweep(self.record_path)
        write.write(
            self.record_path, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()
        )
        return True

    def check_binaries(
        self, binaries: t.Sequence[t.Mapping[str, t.Any]], *, dry: bool = False
    ) -> list[tuple[t.Mapping[str, t.Any], os.stat_result]]:
        """What lies where binaries are said to be. With C(dry) one that is not there may still come, and is left out."""
        found = []
        for entry in binaries:
            path = entry["path"]
            try:
                info = os.stat(path)
            except OSError as error:
                if dry and isinstance(error, FileNotFoundError):
                    continue
                raise FilesetError(f"cannot read {path}: {error.strerror}") from None
            if not stat.S_ISREG(info.st_mode):
                raise FilesetError(
                    f"{path} is not a regular file: name the binary's", option="binaries"
                )
            found.append((entry, info))
        return found

    def record_binaries(
        self, binaries: t.Sequence[t.Mapping[str, t.Any]], *, dry: bool = False
    ) -> bool:
        """Records binaries that have come or are vouched for: C(path), C(version) and whether they are C(ours).

        With C(dry) nothing is recorded.
        """
        there = self.check_binaries(binaries, dry=dry)
        if dry:
            return False
        known = self.record()["binaries"]
        found = dict(known)
        shared = [other.record()["binaries"] for other in self.siblings()]
        for entry, info in there:
            path, seen = entry["path"], identity(info)
            former = known.get(path)
            if former is not None and former["identity"] == seen:
                total, ours = former["sha256"], former["ours"]
            else:
                total, ours = sha256(path), entry["ours"]
            # Whichever instance brought it, the last one that is removed takes it along.
            ours = ours or any(
                path in binaries and binaries[path]["ours"] and binaries[path]["identity"] == seen
                for binaries in shared
            )
            found[path] = Binary(sha256=total, version=entry["version"], ours=ours, identity=seen)
        return self.update_record(binaries=found) if found != known else False

    def staged_items(self) -> tuple[Item, ...]:
        """The members of the set that was staged last. Raises FilesetError where there is none."""
        staged = self.record()["staged"]
        if staged is None:
            raise FilesetError(
                f"{os.path.join(self.root, 'staged')} holds no whole set: run the earlier phases first"
            )
        return items_in(staged)

    # --- the staged set

    def stale(self) -> list[str]:
        """Names whose staged copy does not come from the live one: never seeded, or the live one was changed since."""
        base = self.record()["base"]
        names = []
        for item in self.items:
            live = _look(item.path) if item.seeded else None
            if live and (
                _look(self.staged_path(item)) is None or live.fingerprint != base.get(item.name)
            ):
                names.append(item.name)
        return names

    def prepared(self) -> bool:
        """Whether there is a staged set, and a record of where it comes from."""
        return (
            os.path.isdir(os.path.join(self.root, "staged")) and self.record()["staged"] is not None
        )

    def prepare(self, *, dry: bool = False) -> list[str]:
        """Seeds what is stale, in folders that are there. Returns the names, and with C(dry) the folders that would be made."""
        stale = self.stale()
        if dry:
            return [folder for folder in self._folders() if not os.path.isdir(folder)] + stale
        for item in self.items:
            if item.name in stale:
                _copy(item.path, self.staged_path(item))
        if stale:
            self.update_record(base=self._base())
        return stale

    def _folders(self) -> list[str]:
        return [self.root, os.path.join(self.root, "staged")]

    def make_folders(self) -> list[str]:
        """Makes the folders that are the fileset's own, and returns them. Those above it are remembered, to be removed with the rest."""
        above = _missing_parents(self.root)
        missing = [folder for folder in self._folders() if not os.path.isdir(folder)]
        for folder in reversed(above):
            with paths.explain_errors(folder, "make"):
                os.makedirs(folder, 0o755, exist_ok=True)
        for folder in missing:
            with paths.explain_errors(folder, "make"):
                os.makedirs(folder, 0o700, exist_ok=True)
        # Those that another instance made are left to the last one, which finds them empty.
        theirs = [folder for other in self.siblings() for folder in other.record()["directories"]]
        if above or theirs:
            self.update_record(directories=sorted({*self.record()["directories"], *above, *theirs}))
        return missing

    def _base(self) -> dict[str, str]:
        return {
            i.name: state.fingerprint
            for i in self.items
            if i.seeded
            for state in [_look(i.path)]
            if state
        }

    def digest(self, place: t.Callable[[Item], str] | None = None) -> str:
        """A digest of everything that the process will have read; "" while a part is missing.

        C(place) tells where the members lie that others stage: by default, under their staged paths.
        """
        total = hashlib.sha256()
        binaries = self.record()["binaries"]
        for item in self.items:
            if item.gone:
                continue
            if item.link_to is not None:
                binary = binaries.get(item.target)
                value = f"{item.link_to}:{binary['sha256'] if binary else ''}"
            elif not item.seeded:
                value = item.member()["rendered"] or ""
            elif item.digest == "path":
                value = item.path
            else:
                state = _look((place or self.staged_path)(item))
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
                before = (paths.read(self.staged_path(item)) or b"").decode("utf-8", "replace")
                after = text_with_digest(item, digest).decode()
                if before != after:
                    shown.append(
                        {
                            "before_header": item.path,
                            "after_header": item.path,
                            "before": before,
                            "after": after,
                        }
                    )
        return shown

    def stage(self, *, dry: bool = False) -> list[str]:
        """Converges the staged copies of what the caller rendered, and remembers the set. Returns the names that changed."""
        digest = self.digest()
        changed = []
        for item in self.items:
            path = self.staged_path(item)
            if item.link_to:
                if look(path) != State(f"link:{item.link_to}", 0, 0, 0):
                    changed.append(item.name)
                    if not dry:
                        _link(item.link_to, path)
            elif item.content is not None:
                content = text_with_digest(item, digest)
                wanted = State(hashlib.sha256(content).hexdigest(), 0, 0, item.mode)
                if look(path) != wanted:
                    changed.append(item.name)
                    if not dry:
                        write.write(path, content, rights=write.rights_setter(0, 0, item.mode))
        if not dry:
            staged = FileSet(members=[item.member() for item in self.items], digest=digest)
            self.update_record(staged=staged, original=False)
        return changed

    def require(self, items: t.Iterable[Item]) -> None:
        """Raises FilesetError where one of these has no staged copy."""
        missing = [item.name for item in items if look(self.staged_path(item)) is None]
        if missing:
            raise FilesetError(
                f"{os.path.join(self.root, 'staged')} lacks {', '.join(missing)}: run the earlier phases first"
            )

    # --- the live set

    def pending(self) -> list[str]:
        """Names whose staged and live state differ, attributes included."""
        return [
            i.name
            for i in self.items
            if (None if i.gone else look(self.staged_path(i))) != look(i.path)
        ]

    def promote(self, attempt: str = "", *, first: str = "", foreign: bool = False) -> list[str]:
        """Keeps the live set as the previous one and puts the staged set in its place. Returns the names that changed.

        C(attempt) is what :meth:`restore` takes this promotion back by. C(first) is the only member that is put in place for now.
        C(foreign): whether somebody else's scheduler ran, whose unit and program may lie elsewhere and stay there.
        """
        self.require(item for item in self.items if not item.gone)
        pending = self.pending()
        record = self.record()
        folders = {folder for item in self.items for folder in _missing_parents(item.path)}
        # Before anything lies there, so that removal finds it whenever this is cut off. A path that is not used any more stays on the list.
        self.update_record(
            directories=sorted({*record["directories"], *folders}),
            paths=sorted({*record["paths"], *(i.path for i in self.items if i.name != STATIC_POD)}),
            promoting=record["promoting"] and bool(pending),
            attempt="",
        )
        if pending:
            # A promotion that was cut off has left a mixed live set: what ran before it is in `previous` already.
            if not record["promoting"]:
                self._keep_previous(record["live"], foreign=foreign)
                self.update_record(promoting=True)
            self.update_record(attempt=attempt)
            for folder in sorted(folders, key=len):
                with paths.explain_errors(folder, "make"):
                    os.mkdir(folder, 0o755)
            _put(
                [
                    (i, self.staged_path(i))
                    for i in self.items
                    if i.name in pending and (i.name == first or not first)
                ]
            )
            if first:
                return [first]
        self.update_record(base=self._base(), live=record["staged"], promoting=False)
        return pending

    def replaced(self, attempt: str) -> FileSet | None:
        """The set in whose place a roll has put another one; None where that roll has promoted nothing, or where nothing was live before it."""
        return self.previous() if attempt and self.record()["attempt"] == attempt else None

    def restore(self, attempt: str) -> list[str]:
        """Puts the previous set back in the place of what a roll has promoted. Returns the names that changed.

        Nothing is done where that roll has promoted nothing, or where nothing was live before it.
        """
        previous = self.replaced(attempt)
        if previous is None:
            return []
        former = items_in(previous)
        if not self.record()["promoting"]:
            self.update_record(promoting=True)
        kept = [
            (item, self.previous_path(item)) for item in former if look(self.previous_path(item))
        ]
        changed = [(item, path) for item, path in kept if look(path) != look(item.path)]
        _put(changed)
        stays = {item.path for item, _path in kept}
        added = [item for item in self.items if item.path not in stays and look(item.path)]
        _put([(dataclasses.replace(item, link_to=""), "") for item in added])
        # What was staged is not what the next run starts from.
        self.update_record(base={}, live=previous, attempt="", promoting=False)
        self._forget_previous()
        return [item.name for item, _path in changed] + [item.name for item in added]

    def put_back(self, item: Item) -> None:
        """Puts one member of the previous set back, which a promotion that goes no further has replaced."""
        _copy(self.previous_path(item), item.path)

    def recall(self, *, dry: bool = False) -> list[str]:
        """Stages the previous set. Returns the names in which that differs from the live one. Raises FilesetError where there is none."""
        previous = self.previous()
        if previous is None:
            raise FilesetError(
                f"{self.root} keeps no previous set, so there is nothing to roll back to"
            )
        former = items_in(previous)
        lacking = [item.name for item in former if look(self.previous_path(item)) is None]
        if lacking:
            raise FilesetError(
                f"{os.path.join(self.root, 'previous')} lacks {', '.join(lacking)}, so it cannot be rolled back to"
            )
        differing = [
            item.name for item in former if look(self.previous_path(item)) != look(item.path)
        ]
        there = {item.path for item in former}
        live = self.record()["live"]
        gone = [
            dataclasses.replace(item, link_to="")
            for item in (items_in(live) if live else ())
            if item.path not in there
        ]
        differing += [item.name for item in gone if look(item.path)]
        if differing and not dry:
            for item in former:
                _copy(self.previous_path(item), self.staged_path(item))
            # The next deployment starts from the live set again.
            members = [*previous["members"], *(item.member() for item in gone)]
            # The process of somebody else's set claims none.
            original = not previous["digest"]
            digest = "" if original else Fileset(self.root, former).digest()
            self.update_record(
                base={}, staged=FileSet(members=members, digest=digest), original=original
            )
        return differing

    def mend(self) -> None:
        """Removes what a killed run has left beside the live files, and ends the replacement of a pair that was cut off."""
        listed = list(dict.fromkeys([*self.record()["paths"], *(item.path for item in self.items)]))
        pair_swap.recover(listed)
        for path in listed:
            write.sweep(path, link=True)
        # Cut off between the two renames of a promotion, or while the previous set of before came back.
        if not os.path.isdir(os.path.join(self.root, "previous")):
            self._forget_previous()

    def previous(self) -> FileSet | None:
        """What was live before the last promotion; None where no unit or program was, and where the copy says nothing that can be read."""
        with contextlib.suppress(FilesError, ValueError, RecursionError):
            value = json.loads(paths.read(os.path.join(self.root, "previous", SET)) or b"")
            return t.cast(FileSet, value) if _is_file_set(value) else None
        return None

    def _keep_previous(self, live: FileSet | None, *, foreign: bool) -> None:
        """Copies what is live. What no record knows may be another installer's."""
        fresh, kept, old = (
            os.path.join(self.root, name) for name in ("previous.new", "previous", "previous.old")
        )
        items = items_in(live) if live else self.items
        # What a set that is to come has removed is a file like others.
        there = [
            dataclasses.replace(i, link_to=None) if i.gone else i for i in items if look(i.path)
        ]
        names = {item.name for item in there}
        with paths.explain_errors(kept, "keep"):
            shutil.rmtree(fresh, ignore_errors=True)
            os.mkdir(fresh, 0o700)
            for item in there:
                _copy(item.path, os.path.join(fresh, item.name))
            if foreign or any(run <= names for run in RUNS):
                former = FileSet(
                    members=[item.member() for item in there], digest=live["digest"] if live else ""
                )
                write.write(os.path.join(fresh, SET), json.dumps(former).encode())
            shutil.rmtree(old, ignore_errors=True)
            if os.path.isdir(kept):
                os.rename(kept, old)
            os.rename(fresh, kept)

    def _forget_previous(self) -> None:
        """Makes the previous set what it was before the last promotion."""
        kept, old = (os.path.join(self.root, name) for name in ("previous", "previous.old"))
        with paths.explain_errors(kept, "restore"):
            if os.path.isdir(old):
                shutil.rmtree(kept, ignore_errors=True)
                os.rename(old, kept)

    def remove(self, *, dry: bool = False) -> list[str]:
        """Removes what was promoted, the binaries that this brought and no other instance has, the folders that it made (when empty) and the fileset."""
        record = self.record()
        shared = {path for other in self.siblings() for path in other.record()["binaries"]}
        binaries = [
            path
            for path, binary in record["binaries"].items()
            if binary["ours"] and path not in shared
        ]
        listed = [*record["paths"], *binaries]
        gone = [path for path in listed if os.path.islink(path) or os.path.isfile(path)]
        if os.path.isdir(self.root):
            gone.append(self.root)
        if not dry:
            for path in gone:
                with paths.explain_errors(path, "remove"):
                    if path == self.root:
                        shutil.rmtree(path)
                    elif os.path.islink(path):
                        # What a link leads to is listed itself, if it is to go.
                        os.unlink(path)
                    else:
                        write.remove(path)
            for folder in sorted(record["directories"], key=len, reverse=True):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        return gone


def _record(value: t.Any) -> Record:
    """A record with every field, each of its type; what is not is as if it were not there."""
    found = value if isinstance(value, dict) else {}

    def texts(name: str) -> list[str]:
        entries = found.get(name)
        return [e for e in entries if isinstance(e, str)] if isinstance(entries, list) else []

    def mapping(name: str) -> dict[str, t.Any]:
        entries = found.get(name)
        return entries if isinstance(entries, dict) else {}

    def text(name: str) -> str:
        value = found.get(name)
        return value if isinstance(value, str) else ""

    def file_set(name: str) -> FileSet | None:
        entry = found.get(name)
        return t.cast(FileSet, entry) if _is_file_set(entry) else None

    return Record(
        base={key: text for key, text in mapping("base").items() if isinstance(text, str)},
        binaries={path: entry for path, entry in mapping("binaries").items() if _is_binary(entry)},
        directories=texts("directories"),
        attempt=text("attempt"),
        dry_run=text("dry_run"),
        live=file_set("live"),
        paths=texts("paths"),
        original=found.get("original") is True,
        promoting=found.get("promoting") is True,
        staged=file_set("staged"),
    )


def _is_binary(entry: t.Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == Binary.__annotations__.keys()
        and all(isinstance(entry[name], str) for name in ("sha256", "version"))
        and isinstance(entry["ours"], bool)
        and isinstance(entry["identity"], list)
        and len(entry["identity"]) > SIZE
        and all(isinstance(number, int) for number in entry["identity"])
    )


def _is_file_set(entry: t.Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == FileSet.__annotations__.keys()
        and isinstance(entry["digest"], str)
        and isinstance(entry["members"], list)
        and all(map(_is_member, entry["members"]))
    )


def _is_member(entry: t.Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == Member.__annotations__.keys()
        and all(isinstance(entry[name], str) for name in ("name", "path", "digest"))
        and all(
            entry[name] is None or isinstance(entry[name], str) for name in ("link_to", "rendered")
        )
        and isinstance(entry["mode"], int)
        and bool(MEMBER_NAME.fullmatch(entry["name"]))
        and os.path.isabs(entry["path"])
    )


def _look(path: str) -> State | None:
    """The state of a file or link; nothing for what is neither, which others report."""
    with contextlib.suppress(FilesError):
        return look(path)
    return None


def _link(target: str, path: str) -> None:
    _replace(path, lambda temporary: os.symlink(target, temporary))


def _replace(path: str, make: t.Callable[[str], t.Any]) -> None:
    """Puts what C(make) makes under a temporary name into the place of whatever is there."""
    temporary = os.path.join(
        os.path.dirname(path), f"{paths.temporary_prefix(path)}link{paths.TEMPORARY_SUFFIX}"
    )
    with paths.explain_errors(path, "replace"):
        write.sweep(path, link=True)
        make(temporary)
        os.rename(temporary, path)
        paths.sync(os.path.dirname(path))


def items_in(files: FileSet) -> tuple[Item, ...]:
    """The members of a set that the record knows."""
    return tuple(Item(**member) for member in files["members"])


def _put(sources: t.Sequence[tuple[Item, str]]) -> None:
    """Puts files in their live places, or takes them away; a certificate and its key at the same moment."""
    by_name = {item.name: (item, source) for item, source in sources}
    together = [by_name[name] for name in PAIR if name in by_name and not by_name[name][0].gone]
    if len(together) > 1:
        with contextlib.ExitStack() as temporaries:
            copies = []
            for item, source in together:
                copies.append(_staged_copy(source, item.path))
                temporaries.callback(copies[-1].discard)
            pair_swap.replace(copies)
    for item, source in sources:
        if item.gone:
            with paths.explain_errors(item.path, "remove"):
                os.unlink(item.path) if os.path.islink(item.path) else write.remove(item.path)
        elif len(together) == 1 or item.name not in PAIR:
            _copy(source, item.path)


def _staged_copy(source: str, path: str) -> write.Staged:
    info = os.stat(source)
    content = paths.read(source, limit=LIMIT) or b""
    return write.Staged(
        path, content, rights=write.rights_setter(info.st_uid, info.st_gid, info.st_mode & 0o7777)
    )


def _copy(source: str, path: str) -> None:
    if os.path.islink(source):
        _link(os.readlink(source), path)
        return
    info = os.stat(source)
    if info.st_size > LIMIT:
        # Only the binary's path may hold a file of this size: one that was there before us and is not a link of ours.
        beside = os.stat(os.path.dirname(path)).st_dev == info.st_dev
        # Two names of one file cannot take each other's place.
        if not (os.path.lexists(path) and os.path.samestat(info, os.lstat(path))):
            _replace(
                path, lambda temporary: (os.link if beside else shutil.copy2)(source, temporary)
            )
        return
    write.commit_all([_staged_copy(source, path)], 0)


def _missing_parents(path: str) -> list[str]:
    """The folders above a path that are not there, the nearest first."""
    folder = os.path.dirname(path)
    missing = []
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing


def items_of(files: t.Sequence[dict[str, t.Any]]) -> list[Item]:
    """The module option C(files) as items."""
    items: list[Item] = []
    for entry in files:
        mode = options.check_member(
            entry, {text for item in items for text in (item.name, item.path)}
        )
        items.append(Item(**{**entry, "mode": mode}))
    return items

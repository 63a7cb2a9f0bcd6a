# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Give a file its content and the file options of a module: owner, group, mode, SELinux context."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff:/,]{1,255}")
_NUMBER = re.compile(r"[0-9]{1,10}")


class ConvergedFile(t.NamedTuple):
    """Whether anything changed, and the path of the copy of the former content."""

    changed: bool
    backup_file: str | None


class FilesModule(t.Protocol):
    """The part of AnsibleModule that files need."""

    params: dict[str, t.Any]
    check_mode: bool

    def warn(self, warning: str) -> None:
        """Adds a warning to the result."""

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        """The attributes that are wanted of the file."""

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        """Sets them; whether any differed, or `changed`."""


def _known(module: FilesModule, option: str) -> bool:
    """Tell whether the account that *option* names exists; in check mode, an earlier task may have to bring it."""
    name = module.params.get(option)
    if name is not None and not _NAME.fullmatch(str(name)):
        raise FilesError(f"{str(name)[:80]!r} cannot be the name of an account", option=option)
    if not module.check_mode or name is None or _NUMBER.fullmatch(str(name)):
        return True
    import grp  # noqa: PLC0415 - needed for this rare question only
    import pwd  # noqa: PLC0415

    try:
        return bool(pwd.getpwnam(name) if option == "owner" else grp.getgrnam(name))
    except (KeyError, ValueError):
        module.warn(
            f"{option}: {name!r} does not exist on this host yet; check mode takes it that it will"
        )
        return False


class FileAttributes:
    """What the module's file options (owner, group, mode, SELinux context, chattr's flags) want of one file."""

    def __init__(
        self,
        module: FilesModule,
        target: str,
        default_mode: str,
        overrides: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        self._module = module
        self._unknown = [option for option in ("owner", "group") if not _known(module, option)]
        params = {**module.params, **dict.fromkeys(self._unknown), **(overrides or {})}
        if params.get("mode") is None:
            params["mode"] = default_mode
        # Before anything is written.
        self._mode(params["mode"], os.stat("/"))
        for option in ("owner", "group"):
            _account(option, params.get(option))
        flags = params.get("attributes")
        if flags is not None and not re.fullmatch(r"[-+=]?[A-Za-z]{1,30}", flags):
            raise FilesError(
                f"{flags!r} are not flags as chattr takes them, such as +i", option="attributes"
            )
        # The SELinux context is looked up for the file's own path, also where a temporary file is to get it.
        self._arguments = module.load_file_common_arguments(params, path=target)

    def by_path(self, path: str) -> bool:
        """Give a file that is in place all of them; tell whether anything changed, or would in check mode."""
        return self._module.set_fs_attributes_if_different(
            {**self._arguments, "path": path}, False
        ) or bool(self._unknown)

    def context(self, path: str) -> None:
        """Give a temporary file the SELinux context, which only a path can be given to."""
        # chattr's flags wait for the rename, which an immutable file would refuse.
        others = dict.fromkeys(("owner", "group", "mode", "attributes"))
        self._module.set_fs_attributes_if_different(
            {**self._arguments, **others, "path": path}, False
        )

    def rights(self, handle: int) -> None:
        """Give an open temporary file owner, group and mode; raise FilesError where there are no such."""
        arguments = self._arguments
        uid, gid = (_account(option, arguments.get(option)) for option in ("owner", "group"))
        write.rights_setter(uid, gid, self._mode(arguments["mode"], os.fstat(handle)))(handle)

    def _mode(self, mode: object, status: os.stat_result) -> int:
        found = -1
        if isinstance(mode, int) and not isinstance(mode, bool):
            found = mode
        elif re.fullmatch(r"(?:0o)?[0-7]{1,5}", str(mode)):
            found = int(str(mode), 8)
        elif re.search(r"[-+=]", str(mode)):
            with contextlib.suppress(Exception):
                # AnsibleModule's own reading of "u=rw,g=r", which has no public name.
                found = int(getattr(self._module, "_symbolic_mode_to_octal")(status, str(mode)))  # noqa: B009
        if not 0 <= found <= 0o7777:
            raise FilesError(
                f"{mode!r} is neither an octal nor a symbolic mode: write 0640 or u=rw,g=r",
                option="mode",
            )
        return found


def _account(option: str, name: object) -> int:
    """Return the number of the account that *option* names, -1 where it names none."""
    if name is None:
        return -1
    if _NUMBER.fullmatch(str(name)) and int(str(name)) < 2**32 - 1:
        return int(str(name))
    import grp  # noqa: PLC0415 - needed where a file is written only
    import pwd  # noqa: PLC0415

    try:
        return (
            pwd.getpwnam(str(name)).pw_uid if option == "owner" else grp.getgrnam(str(name)).gr_gid
        )
    except (KeyError, ValueError):
        raise FilesError(
            f"{name!r} does not exist on this host: create it first", option=option
        ) from None


def converge_file(
    module: FilesModule,
    path: str,
    content: bytes | None,
    *,
    default_mode: str = "0600",
    backup: int = 0,
    overrides: t.Mapping[str, t.Any] | None = None,
) -> ConvergedFile:
    """Give *path* this content and the module's file options; content None leaves the content alone.

    *default_mode* (octal) is for where the module's option is not set, and *backup* is how many copies are kept. Raises
    FilesError. *overrides* stand in for the module's options, where a module has a second file with other rights.
    """
    target = paths.resolve(path)
    if module.check_mode and not os.path.isdir(os.path.dirname(target)):
        module.warn(
            f"the directory {os.path.dirname(target)!r} does not exist yet; check mode takes it that it will"
        )
        return ConvergedFile(True, None)
    if os.path.isdir(os.path.dirname(target)):
        paths.guard(target)
    former = paths.read(target)
    if former is None and content is None:
        return ConvergedFile(False, None)
    wanted = FileAttributes(module, target, default_mode, overrides)
    differs = content is not None and content != former
    if module.check_mode:
        return ConvergedFile(differs or wanted.by_path(target), None)
    write.sweep(target)
    # First, so that new content never takes over a mode that is too wide.
    changed = former is not None and wanted.by_path(target)
    kept = None
    if content is not None and differs:
        kept = write.write(
            target, content, attributes=wanted.context, rights=wanted.rights, backup=backup
        )
        wanted.by_path(target)
    return ConvergedFile(changed or differs, kept)

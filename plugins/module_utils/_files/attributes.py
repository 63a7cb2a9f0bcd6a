# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Set the content of a file and the file options of a module, such as owner and mode."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write

_ACCOUNT_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff:/,]{1,255}")
_ACCOUNT_NUMBER = re.compile(r"[0-9]{1,10}")


class ConvergedFile(t.NamedTuple):
    """Whether a file changed, and the path of the copy of its previous content."""

    changed: bool
    backup_file: str | None


class FilesModule(t.Protocol):
    """The methods of AnsibleModule that this package uses."""

    params: dict[str, t.Any]
    check_mode: bool

    def warn(self, warning: str) -> None:
        """Add a warning to the result."""

    def load_file_common_arguments(
        self, params: dict[str, t.Any], path: str | None = None
    ) -> dict[str, t.Any]:
        """Return the file attributes that the options set."""

    def set_fs_attributes_if_different(self, file_args: dict[str, t.Any], changed: bool) -> bool:
        """Set the file attributes; return True if one differed, otherwise `changed`."""


def account_exists(module: FilesModule, option: str) -> bool:
    """Whether the user or group in the option exists; in check mode, warn if it does not."""
    name = module.params.get(option)
    if name is not None and not _ACCOUNT_NAME.fullmatch(str(name)):
        raise FilesError(
            f"{str(name)[:80]!r} is not a valid account name; set an existing user or group",
            option=option,
        )
    if not module.check_mode or name is None or _ACCOUNT_NUMBER.fullmatch(str(name)):
        return True
    import grp  # noqa: PLC0415 - only for this rare query
    import pwd  # noqa: PLC0415

    try:
        return bool(pwd.getpwnam(name) if option == "owner" else grp.getgrnam(name))
    except (KeyError, ValueError):
        module.warn(
            f"{option}: {name!r} does not exist on this host yet; check mode assumes that an"
            " earlier"
            " task creates it"
        )
        return False


class FileAttributes:
    """The file options for one file: owner, group, mode, SELinux context, chattr flags."""

    def __init__(
        self,
        module: FilesModule,
        target: str,
        default_mode: str,
        overrides: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        self._module = module
        self._unknown = [
            option for option in ("owner", "group") if not account_exists(module, option)
        ]
        params = {**module.params, **dict.fromkeys(self._unknown), **(overrides or {})}
        if params.get("mode") is None:
            params["mode"] = default_mode
        # Validate the mode before anything is written.
        self._mode(params["mode"], os.stat("/"))
        for option in ("owner", "group"):
            account_id(option, params.get(option))
        flags = params.get("attributes")
        if flags is not None and not re.fullmatch(r"[-+=]?[A-Za-z]{1,30}", flags):
            raise FilesError(
                f"{flags!r} are not chattr flags; use a format such as +i", option="attributes"
            )
        # The path of the final file determines the SELinux context of its temporary file too.
        self._arguments = module.load_file_common_arguments(params, path=target)

    def by_path(self, path: str) -> bool:
        """Set all options of an existing file; return whether one changes, also in check mode."""
        return self._module.set_fs_attributes_if_different(
            {**self._arguments, "path": path}, False
        ) or bool(self._unknown)

    def context(self, path: str) -> None:
        """Set the SELinux context of a temporary file, which requires its path."""
        # Set chattr flags after the rename, because an immutable file cannot be renamed.
        others = dict.fromkeys(("owner", "group", "mode", "attributes"))
        self._module.set_fs_attributes_if_different(
            {**self._arguments, **others, "path": path}, False
        )

    def rights(self, handle: int) -> None:
        """Set owner, group and mode of an open temporary file. Raises FilesError."""
        arguments = self._arguments
        uid, gid = (account_id(option, arguments.get(option)) for option in ("owner", "group"))
        write.rights_setter(uid, gid, self._mode(arguments["mode"], os.fstat(handle)))(handle)

    def _mode(self, mode: object, status: os.stat_result) -> int:
        number = -1
        if isinstance(mode, int) and not isinstance(mode, bool):
            number = mode
        elif re.fullmatch(r"(?:0o)?[0-7]{1,5}", str(mode)):
            number = int(str(mode), 8)
        elif re.search(r"[-+=]", str(mode)):
            with contextlib.suppress(AttributeError, ValueError):
                # AnsibleModule has no public function to parse "u=rw,g=r".
                number = int(getattr(self._module, "_symbolic_mode_to_octal")(status, str(mode)))  # noqa: B009
        if not 0 <= number <= 0o7777:
            raise FilesError(
                f"{mode!r} is neither an octal nor a symbolic mode; use a format such as 0640 or"
                " u=rw,g=r",
                option="mode",
            )
        return number


def account_id(option: str, name: object) -> int:
    """Return the uid or gid of the account in an option; -1 if the option is not set."""
    if name is None:
        return -1
    if _ACCOUNT_NUMBER.fullmatch(str(name)) and int(str(name)) < 2**32 - 1:
        return int(str(name))
    import grp  # noqa: PLC0415 - only to write a file
    import pwd  # noqa: PLC0415

    try:
        return (
            pwd.getpwnam(str(name)).pw_uid if option == "owner" else grp.getgrnam(str(name)).gr_gid
        )
    except (KeyError, ValueError):
        raise FilesError(
            f"{name!r} does not exist on this host; create it first", option=option
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
    """Set the content of a file and the file options of the module; None keeps the content.

    `default_mode` (octal) applies if the option mode is not set. `backup` is the number of copies
    to keep. `overrides` replaces options of the module for a file with other permissions. Raises
    FilesError.
    """
    target = paths.resolve(path)
    if os.path.isdir(os.path.dirname(target)):
        paths.guard(target)
    elif module.check_mode:
        module.warn(
            f"the directory {os.path.dirname(target)!r} does not exist yet; check mode assumes"
            " that an"
            " earlier task creates it"
        )
        return ConvergedFile(True, None)
    previous = paths.read(target)
    if previous is None and content is None:
        return ConvergedFile(False, None)
    file_attributes = FileAttributes(module, target, default_mode, overrides)
    differs = content is not None and content != previous
    if module.check_mode:
        return ConvergedFile(differs or file_attributes.by_path(target), None)
    write.sweep(target)
    # Set the mode before the content, because the mode of the old file could expose the new
    # content.
    changed = previous is not None and file_attributes.by_path(target)
    copy = None
    if content is not None and differs:
        copy = write.write(
            target,
            content,
            attributes=file_attributes.context,
            rights=file_attributes.rights,
            backup=backup,
        )
        file_attributes.by_path(target)
    return ConvergedFile(changed or differs, copy)

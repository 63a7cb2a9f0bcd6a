# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Validate the options of x509_cert that name files on the controller."""

from __future__ import annotations

import os
import pwd
import typing as t

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_OPTIONS,
    CERTIFICATE_ARGUMENT_RULES,
    CERTIFICATE_ARGUMENTS,
    EXTERNAL_OPTIONS,
    INTERNAL_OPTIONS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    ReadFile,
    read_plain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.profile import (
    PROFILE_OPTIONS,
    apply_profile,
)

FindFile = t.Callable[[str, str], str]
"""Function that returns the full path for the name and the relative path of an option."""
KEY_OPTIONS = ("ca_privatekey_path", "ca_privatekey_passphrase_file")
# A request for an RSA key of 8192 bits has less than 3 KiB.
MAX_REQUEST_BYTES = 16 << 10


def reject_internal_options(args: t.Mapping[str, t.Any]) -> None:
    """Raise X509Error for an option that only an action plugin can set."""
    for option in INTERNAL_OPTIONS:
        if option in args:
            raise X509Error(f"{option} is not an option of x509_cert; remove it from the task")


def file_not_found(option: str, path: str) -> X509Error:
    """Return the error for a relative path that is not found on the controller."""
    return X509Error(
        f"{path!r} is in no files directory of the controller; set the full path", option=option
    )


def validate_task_options(
    args: t.Mapping[str, t.Any], find: FindFile, *, need_key: bool, read: ReadFile = read_plain
) -> dict[str, t.Any]:
    """Return the options of a task with full paths and the values of the profile.

    Without `need_key`, the key of the CA is not required. `read` reads the profile. Raises
    X509Error, and the errors of the profile.
    """
    rules = dict(CERTIFICATE_ARGUMENT_RULES)
    if not need_key:
        rules["required_by"] = {
            name: needs for name, needs in rules["required_by"].items() if name != "ca_path"
        }
    result = ArgumentSpecValidator(
        {**FILE_COMMON_ARGUMENTS, **CERTIFICATE_ARGUMENTS}, **rules
    ).validate(dict(args))
    if result.error_messages:
        raise X509Error("; ".join(result.error_messages))
    options: dict[str, t.Any] = result.validated_parameters
    if options["ca_path"] is None:
        files = "certificate and key" if need_key else "certificate"
        raise X509Error(
            f"is not set; with ca_on: {options['ca_on']}, set the CA's {files} on the controller",
            option="ca_path",
        )
    for option in CA_OPTIONS:
        if options[option] is not None:
            options[option] = require_readable(option, options[option], find)
    return apply_profile(options, read)


def select_target_options(
    args: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """Return the options for the target, with the values of the profile and without local paths.

    The target cannot read the profile, which is on the controller.
    """
    files = (*CA_OPTIONS, *EXTERNAL_OPTIONS, "profile")
    sent = {name: value for name, value in args.items() if name not in files}
    return sent | {name: options[name] for name in PROFILE_OPTIONS if options.get(name) is not None}


def check_request_size(csr: object) -> str:
    """Return the signing request of a host; raise X509Error if it is not text or is too long."""
    if not isinstance(csr, str) or len(csr) > MAX_REQUEST_BYTES:
        raise X509Error(
            f"the host's signing request is not a text of at most {MAX_REQUEST_BYTES >> 10} KiB;"
            " check that the host runs x509_cert of this collection"
        )
    return csr


def require_readable(option: str, path: str, find: FindFile) -> str:
    """Return the full path of a file on the controller.

    Raises X509Error if the calling user cannot read the file. A missing file is no error here,
    because the function that reads the file reports it.
    """
    full_path = path if os.path.isabs(path) else find(option, path)
    unreadable = next(filter(_is_unreadable, _list_ancestry(full_path)), None)
    if unreadable is not None:
        owner, user = (_user_name(uid) for uid in (os.stat(unreadable).st_uid, os.geteuid()))
        raise X509Error(
            f"{unreadable!r} on the controller belongs to {owner}, and Ansible, run by {user},"
            f" cannot read it; run Ansible as {owner}, grant {user} access through a group, or use"
            " a copy",
            option=option,
        )
    return full_path


def _list_ancestry(path: str) -> list[str]:
    """Return the parent directories of a path from the root, then the path."""
    parent = os.path.dirname(path)
    return [path] if parent == path else [*_list_ancestry(parent), path]


def _is_unreadable(path: str) -> bool:
    return os.path.exists(path) and not os.access(path, os.X_OK if os.path.isdir(path) else os.R_OK)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"

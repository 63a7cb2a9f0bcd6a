# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Find what is encrypted with Ansible Vault: files on the controller, and values of variables."""

from __future__ import annotations

import functools
import os
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths

VAULT_HEADER = b"$ANSIBLE_VAULT;"


def read_decrypted(action: ActionBase, path: str) -> bytes | None:
    """Return the decrypted content of a file, in memory only; None if it does not exist.

    Raises FilesError if the file cannot be read or decrypted.
    """
    raw = paths.read(path, follow=True) if os.path.lexists(path) else None
    if raw is None or not raw.startswith(VAULT_HEADER):
        return raw
    try:
        # The oldest ansible-core has no public function for this.
        return bytes(action._loader._get_file_contents(path)[0])
    except AnsibleError:
        raise FilesError(
            f"cannot decrypt {path!r}; pass the password of Ansible Vault (--vault-id,"
            " --ask-vault-pass)"
        ) from None


def reader(action: ActionBase) -> t.Callable[[str], bytes | None]:
    """Return the function that reads each file on the controller that the user names."""
    return functools.partial(read_decrypted, action)


def is_encrypted(value: t.Any) -> bool:
    """Return whether Ansible Vault encrypts the value of a variable."""
    try:
        from ansible.parsing.vault import VaultHelper  # noqa: PLC0415
    except ImportError:  # ansible-core before 2.19
        return getattr(value, "__ENCRYPTED__", False) is True
    return VaultHelper.get_ciphertext(value, with_tags=False) is not None

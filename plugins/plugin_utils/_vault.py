# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read files on the controller that can be encrypted with Ansible Vault."""

from __future__ import annotations

import os

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

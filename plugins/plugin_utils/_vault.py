# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Files of the controller that Ansible Vault may have encrypted."""

from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths

MARK = b"$ANSIBLE_VAULT;"


def content(action: ActionBase, path: str) -> bytes | None:
    """Return the content of a file as M(ansible.builtin.copy) would send it, or None where nothing is; in memory only.

    Raises FilesError for what cannot be read or decrypted.
    """
    raw = paths.read(path, follow=True) if os.path.lexists(path) else None
    if raw is None or not raw.startswith(MARK):
        return raw
    try:
        # Its public form is not in the oldest ansible-core.
        return bytes(action._loader._get_file_contents(path)[0])
    except AnsibleError:
        raise FilesError(
            f"cannot decrypt {path!r}: give the password that Ansible Vault encrypted it with (--vault-id, --ask-vault-pass)"
        ) from None

# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports what scheduler_release imports, for a look at the lease too where that is asked, and does nothing."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    lifecycle,
    options,
    release,
    systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.proc import Proc

IMPORTED = (lifecycle, options, release, systemd, Proc)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"lease": {"type": "bool", "default": False}}, supports_check_mode=True
    )
    if module.params["lease"]:
        from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import handover  # noqa: PLC0415

        assert handover
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

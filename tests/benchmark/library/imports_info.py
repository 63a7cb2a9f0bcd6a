# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports what scheduler_info imports, for drift too where that is asked, and does nothing."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (
    info,
    spec_info,
    systemd,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.proc import Proc

IMPORTED = (info, spec_info, systemd, Proc)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"drift": {"type": "bool", "default": False}}, supports_check_mode=True
    )
    if module.params["drift"]:
        from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import (  # noqa: PLC0415
            certificates,
            drift,
        )

        assert certificates
        assert drift
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_fault
short_description: Inject the fault of a drill into a scheduler and remove it
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The playbook C(drill.yml) uses this module on the targets of a drill.
  - A transient service of systemd, C(kube-ha-drill.service), injects the fault, waits for
    O(undo_after) seconds and removes the fault, even if the controller fails. If a removal fails,
    the service tries it again.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
options:
  state:
    description:
      - V(present) starts the service, which injects the fault. If the same fault is active, the
        module changes nothing.
      - V(absent) makes the service remove the fault now, and waits until it succeeds. The module
        also removes rules of the packet filter that an earlier drill left, and lets a frozen
        process continue.
    type: str
    choices: [present, absent]
    default: present
  input:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=variables). The action plugin of
        this module reads options from it that the task does not set.
      - The module on the host ignores this option.
    type: dict
  choice:
    description:
      - Result of O(kube_ha.scheduler.scheduler_drill#module:step=choose). The action plugin reads
        options from it that the task does not set. With O(state=present), the plugin rejects a host
        that is not a target of the drill.
      - Required if the task sets O(input), with O(state=present).
    type: dict
  kind:
    description:
      - V(stop) stops the unit, as C(systemctl stop) does.
      - V(kill) sends SIGKILL to the processes of the unit. systemd restarts the unit according to
        its configuration.
      - V(freeze) sends SIGSTOP to the processes of the unit.
      - V(partition) drops the traffic of the unit's user to O(apiserver). With C(nft), the kernel
        ends the rule after O(undo_after). Otherwise, the module uses C(iptables). If the user is
        root or runs other processes, the module rejects this fault.
      - Required with O(state=present).
    type: str
    choices: [stop, kill, freeze, partition]
  unit:
    description: Name of the systemd unit of the scheduler, with its suffix.
    type: str
    default: kube-scheduler.service
  apiserver:
    description: URL of the apiserver that the scheduler uses. Required with O(kind=partition).
    type: str
  undo_after:
    description: Seconds from the fault until the host removes it automatically, from 1 to 3600.
    type: int
    default: 60
  settle:
    description:
      - Maximum seconds to wait until the process of the unit exits after the removal of the fault,
        with O(state=absent).
      - A leader that was frozen or disconnected appears healthy until it detects that it lost the
        lease. The leader then exits.
    type: float
    default: 0
  journal_seconds:
    description:
      - Age limit in seconds of the journal lines about the election that the module returns, with
        O(state=absent).
      - With V(0), the module returns no journal lines.
    type: int
    default: 0
seealso:
  - module: kube_ha.scheduler.scheduler_drill
"""

EXAMPLES = r"""
- name: Freeze the scheduler for at most 30 seconds
  kube_ha.scheduler.scheduler_fault:
    kind: freeze
    undo_after: 30

- name: Remove the fault from the scheduler now
  kube_ha.scheduler.scheduler_fault:
    state: absent
"""

RETURN = r"""
since_start:
  description: Seconds from the start of the module's process to the fault.
  returned: O(state=present), if the fault was injected
  type: float
  sample: 0.21
until_end:
  description: Seconds from the fault to the end of the module's run.
  returned: O(state=present), if the fault was injected
  type: float
  sample: 0.05
journal:
  description: The last journal lines of the unit about the election, at most 20.
  returned: O(state=absent)
  type: list
  elements: str
  sample:
    - "Jan 01 12:00:00 m1 kube-scheduler[4711]: successfully acquired lease"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import fault
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.FAULT_SPEC,
        required_if=spec.FAULT_REQUIRED_IF,
        supports_check_mode=True,
    )
    try:
        result = fault.Fault(module, systemd.Systemd(module.run_command), Proc()).run()
    except CollectionError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

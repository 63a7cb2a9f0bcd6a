#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_fault
short_description: Bring about a fault of a scheduler for a drill, and undo it
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The role's own, for C(drill.yml).
  - Before the fault happens, a timer of systemd's is armed on the host that undoes it after O(undo_after) seconds, whatever becomes of the controller.
    It is C(kube-ha-drill-undo.timer).
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
options:
  state:
    description:
      - V(present) arms the timer and brings the fault about. Does nothing while the timer of the same fault is armed.
      - V(absent) runs at once what the timer would run, and disarms it. Does nothing where no timer is armed.
    type: str
    choices: [present, absent]
    default: present
  kind:
    description:
      - V(stop) stops the unit, as C(systemctl stop) does.
      - V(kill) sends SIGKILL to the unit's processes; systemd starts it again as the unit says.
      - V(freeze) sends SIGSTOP.
      - V(partition) has C(iptables) drop what the unit's user sends to O(apiserver). Refused where that user is root, or runs something else too.
      - Required with O(state=present).
    type: str
    choices: [stop, kill, freeze, partition]
  unit:
    description: Name of the systemd unit, suffix included.
    type: str
    default: kube-scheduler.service
  apiserver:
    description: URL of the unit's apiserver. Required with O(kind=partition).
    type: str
  undo_after:
    description: Seconds after which the host undoes the fault by itself, 1 to 3600.
    type: int
    default: 60
  settle:
    description:
      - Seconds to wait at most for the end of the unit's process after the fault was undone, with O(state=absent). A leader that was frozen or cut off ends by
        itself when it finds that it has lost the lease, and looks healthy until then.
    type: float
    default: 0
  journal_seconds:
    description: Of how many last seconds the journal's lines about the election are returned, with O(state=absent). V(0) for none.
    type: int
    default: 0
seealso:
  - module: kube_ha.scheduler.scheduler_drill
"""

EXAMPLES = r"""
- name: Freeze the scheduler for half a minute at most
  kube_ha.scheduler.scheduler_fault:
    kind: freeze
    undo_after: 30

- name: Undo it now
  kube_ha.scheduler.scheduler_fault:
    state: absent
"""

RETURN = r"""
since_start:
  description: Seconds from the start of the module's process to the fault.
  returned: O(state=present), when it was brought about
  type: float
  sample: 0.21
until_end:
  description: Seconds from the fault to the end of the module.
  returned: O(state=present), when it was brought about
  type: float
  sample: 0.05
journal:
  description: The unit's lines about the election, the last 20.
  returned: O(state=absent)
  type: list
  elements: str
  sample: ["Jan 01 12:00:00 m1 kube-scheduler[4711]: successfully acquired lease kube-system/kube-scheduler"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import fault
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "kind": {"type": "str", "choices": ["stop", "kill", "freeze", "partition"]},
            "unit": {"type": "str", "default": "kube-scheduler.service"},
            "apiserver": {"type": "str"},
            "undo_after": {"type": "int", "default": 60},
            "settle": {"type": "float", "default": 0},
            "journal_seconds": {"type": "int", "default": 0},
        },
        required_if=[("state", "present", ["kind"]), ("kind", "partition", ["apiserver"])],
        supports_check_mode=True,
    )
    try:
        result = fault.Fault(module, systemd.Systemd(module.run_command), Proc()).run()
    except CollectionError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_drill
short_description: Choose, measure and report a fail-over drill
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The role's own, for C(drill.yml). Runs on the controller; only O(step=measure) contacts its host, on which it runs
    M(kube_ha.scheduler.scheduler_fault).
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
options:
  step:
    description:
      - V(choose) chooses the members that are hit, or refuses. Nothing is changed.
      - V(measure) looks at the lease and keeps pods coming, brings the fault about on this host meanwhile, and goes on until there is a leader again. The pods
        have a namespace of their own, which is removed in any case; one that a killed run left is removed by the next.
      - V(report) concludes, tells so, and writes C(report.json) and C(report.html). It fails where the drill did not pass.
    type: str
    choices: [choose, measure, report]
    required: true
  kind:
    description: What is done to the members, as in M(kube_ha.scheduler.scheduler_fault). Required with O(step=choose).
    type: str
    choices: [stop, kill, freeze, partition]
  targets:
    description: Inventory names of the members. Empty for the leader.
    type: list
    elements: str
    default: []
  undo_after:
    description: Seconds after which a host undoes the fault by itself. V(0) for some more than the measurement can take.
    type: int
    default: 0
  admin_kubeconfig:
    description: Path on the controller of a kubeconfig that may read the lease and make namespaces and pods. Required with O(step=measure).
    type: path
  versions:
    description: The role's table of versions. Required with O(step=choose).
    type: dict
  input:
    description: What O(step=variables) of M(kube_ha.scheduler.scheduler_plan) returned. Required with all steps.
    type: dict
  answers:
    description: Name of the registered variable that holds each member's health. Required with O(step=choose) and O(step=report).
    type: str
  choice:
    description: The RV(choice) of O(step=choose). Required with the other steps.
    type: dict
  measured:
    description: What O(step=measure) returned. Required with O(step=report).
    type: dict
  journals:
    description: Name of the registered variable that holds each member's journal. Required with O(step=report).
    type: str
  report_dir:
    description: Folder on the controller for the report; made if it is not there. Required with O(step=report).
    type: path
seealso:
  - module: kube_ha.scheduler.scheduler_fault
  - module: kube_ha.scheduler.leader_info
"""

EXAMPLES = r"""
- name: Choose the members that are hit
  kube_ha.scheduler.scheduler_drill:
    step: choose
    kind: stop
    versions: "{{ versions }}"
    input: "{{ input }}"
    answers: health
  register: drill
"""

RETURN = r"""
choice:
  description: The members that are hit, and what the drill is judged by.
  returned: O(step=choose)
  type: dict
  sample: {kind: kill, leader: m1, targets: [m1], staying: [m2, m3], deadline: 31.8, undo_after: 60}
seen:
  description: What was seen of the lease and of the pods.
  returned: O(step=measure)
  type: dict
  sample: {polls: 412, longest_pause: 0.06, fault: 20.4, uncertainty: 0.1, ended: 52.2}
time:
  description: When the fault happened, by the controller's clock, in UTC.
  returned: O(step=measure)
  type: str
  sample: "2026-01-01T12:00:00Z"
lines:
  description: The end in words.
  returned: O(step=report)
  type: list
  elements: str
  sample: ["m2 leads 15.8 s after m1 was killed; at most 23.8 s"]
faults:
  description: What went wrong, one line each.
  returned: O(step=report)
  type: list
  elements: str
  sample: ["a pod waited for 31 s, and may for 28.8 s at most"]
report:
  description: Path of the page.
  returned: O(step=report)
  type: str
  sample: /home/me/drill/report.html
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.DRILL, required_if=spec.DRILL_REQUIRED_IF, supports_check_mode=True
    )
    module.fail_json(
        msg="scheduler_drill works through the collection's action plugin, which did not run"
    )


if __name__ == "__main__":
    main()

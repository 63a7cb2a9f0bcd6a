#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_drill
short_description: Choose the targets of a failover drill, measure and report it
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The playbook C(drill.yml) uses this module. The module runs on the controller.
  - Only O(step=measure) contacts a host. It runs M(kube_ha.scheduler.scheduler_fault) on the
    target.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
options:
  step:
    description:
      - V(choose) chooses the targets, or rejects the drill. This step changes no host.
      - V(measure) injects the fault into this host, reads the lease and creates pods, until a
        member leads again. The pods are in a separate namespace. The step removes the namespace at
        the end. If a run was killed, the next drill removes the namespace.
      - V(report) evaluates the measurement, shows the result, and writes C(report.json) and
        C(report.html). If the drill failed, the task fails.
    type: str
    choices: [choose, measure, report]
    required: true
  kind:
    description:
      - Fault to inject, as in O(kube_ha.scheduler.scheduler_fault#module:kind). Required with
        O(step=choose).
    type: str
    choices: [stop, kill, freeze, partition]
  targets:
    description: Inventory names of the members to inject the fault into. If empty, the leader is
      the target.
    type: list
    elements: str
    default: []
  undo_after:
    description:
      - Seconds after which a target removes the fault automatically.
      - With V(0), the module computes a time that is longer than the measurement.
    type: int
    default: 0
  admin_kubeconfig:
    description:
      - Path, on the controller, of a kubeconfig. Its user must be authorized to read the lease and to
        create namespaces and pods.
      - Required with O(step=measure).
    type: path
  versions:
    description: Version table of the role, with the data of each minor version. Required with
      O(step=choose).
    type: dict
  input:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=variables). Required with all
        steps.
    type: dict
  results:
    description:
      - Name of the registered variable with the health of each member.
      - Required with O(step=choose) and O(step=report).
    type: str
  choice:
    description: Result of O(step=choose). Required with O(step=measure) and O(step=report).
    type: dict
  measured:
    description:
      - Name of the registered variable with the result of O(step=measure) on the primary target.
      - Required with O(step=report).
    type: str
  journals:
    description:
      - Name of the registered variable with the journal lines of each member. Required with
        O(step=report).
    type: str
  report_dir:
    description:
      - Directory on the controller for the report. If the directory does not exist, the module
        creates it.
      - Required with O(step=choose) and O(step=report).
    type: path
seealso:
  - module: kube_ha.scheduler.scheduler_fault
  - module: kube_ha.scheduler.leader_info
"""

EXAMPLES = r"""
- name: Choose the targets of a drill
  kube_ha.scheduler.scheduler_drill:
    step: choose
    kind: stop
    versions: "{{ versions }}"
    input: "{{ input }}"
    results: health
    report_dir: drill
  register: drill
"""

RETURN = r"""
choice:
  description: Targets, bounds and time limits of the drill.
  returned: O(step=choose)
  type: dict
  sample:
    {kind: kill, leader: m1, targets: [m1], remaining: [m2, m3], deadline: 31.8, undo_after: 60}
measurement:
  description: Changes of the lease and of the pods that the drill observed.
  returned: O(step=measure)
  type: dict
  sample: {polls: 412, longest_pause: 0.06, fault: 20.4, uncertainty: 0.1, ended: 52.2}
time:
  description: Time of the fault by the controller's clock, in UTC.
  returned: O(step=measure)
  type: str
  sample: "2026-01-01T12:00:00Z"
lines:
  description: Result of the drill as lines of text.
  returned: O(step=report)
  type: list
  elements: str
  sample: ["m1 led and was killed; m2 leads after 15.8 s, bound 24.8 s"]
errors:
  description: Reasons why the drill failed, one line each.
  returned: O(step=report)
  type: list
  elements: str
  sample: ["25.0 s without a leader; the bound is 24.8 s"]
report:
  description: Path of the HTML report of the drill.
  returned: O(step=report)
  type: str
  sample: /home/me/drill/report.html
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.DRILL_SPEC, required_if=spec.DRILL_REQUIRED_IF, supports_check_mode=True
    )
    module.fail_json(
        msg="scheduler_drill: the action plugin of the collection did not run;"
        " run the task kube_ha.scheduler.scheduler_drill"
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_plan
short_description: Decide on the controller what the kube_scheduler role does
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The role's own. Each O(step) is one decision - what is wrong with the variables, what a host is to have, who is rolled when, whether it is a
    host's turn, and what the members' answers amount to.
  - Computes on the controller, runs no module and contacts no host. What it decides by is fixed in RV(variables) before the first contact with
    a host; what hosts answer is data.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
options:
  step:
    description:
      - V(instance) checks the name of the instance and returns what goes by it, which is all that removal needs.
      - V(variables) checks the variables and the inventory, and fixes what later steps decide by.
      - V(host) plans what this host is to have, from what it said of itself, and refuses what cannot work there.
      - V(rotation) tells where a rotation of certificates stands and shows them, refuses what it would change besides, and computes the steps that are to do.
      - V(rotated) shows the certificates after a rotation, and fails where one was not replaced or is not in use.
      - V(rollout) computes the order of the members that differ from their plan.
      - V(rollback) refuses a previous set that cannot run, and computes the order of the members that go back to theirs.
      - V(gate) fails unless it is this host's turn, and tells whether it may be rolled now.
      - V(outcome) concludes about a host that was rolled, and tells so.
      - V(verdict) concludes from the members' answers about this host and its cluster.
      - V(status) shows the state of every cluster of the play, as C(status.yml) does and other playbooks do at their end, and writes it to the files that
        the variables C(status_json) and C(status_html) name. It is for one host of the play (C(run_once)).
    type: str
    choices: [instance, variables, host, rotation, rollout, rollback, gate, outcome, rotated, verdict, status]
    required: true
  prefix:
    description: What the names of the role's variables begin with.
    type: str
    default: kube_scheduler_
  tables:
    description:
      - The role's data - C(versions), C(styles), C(known_flags), C(known_fields), C(lease_presets), C(packages), C(systemd_features). Its C(vars/main)
        tells what each holds.
      - Required with O(step=variables), O(step=host) and O(step=status).
    type: dict
  input:
    description: What O(step=variables) returned. Required with all other steps but O(step=instance) and O(step=status).
    type: dict
  rotation:
    description: The part of a rotation of certificates that this is, with O(step=variables).
    type: dict
    suboptions:
      step:
        description:
          - V(leaf) and V(due) are a rotation of the pairs. V(accept), V(issue) and V(drop) are the steps of one of the CA. V(look) finds where one stands, and
            V(reload) waits for its end.
        type: str
        choices: [leaf, due, ca, accept, issue, drop, look, reload]
        required: true
      replace:
        description: SHA-256 fingerprints of certificates that are to be replaced.
        type: list
        elements: str
        default: []
  inputs:
    description: Name of the registered variable that holds what O(step=variables) returned for each host. Required with O(step=status).
    type: str
  host:
    description: What M(kube_ha.scheduler.scheduler_info) gathered. Required with O(step=host) and O(step=rollback).
    type: dict
  answers:
    description:
      - Name of the registered variable that holds each member's answer. Required with all steps but O(step=instance) and O(step=variables).
    type: str
  plans:
    description: Name of the registered variable that holds each member's plan. Required with O(step=status), O(step=rotation) and O(step=rotated).
    type: str
  before:
    description:
      - Name of the registered variable that holds each member's answer from before anything changed, with O(step=status).
      - That of what M(kube_ha.scheduler.scheduler_info) gathered, which tells of the apiservers, with O(step=rotation).
    type: str
  marks:
    description: Name of the variable that holds what has become of each member - C(rolled), C(failed) or C(refused). Required with O(step=gate).
    type: str
  recalled:
    description: Name of the registered variable that holds what M(kube_ha.scheduler.scheduler_release) recalled on each member. Required with O(step=rollback).
    type: str
  order:
    description: The RV(batches) of O(step=rollout). Required with O(step=gate).
    type: list
    elements: list
  position:
    description: Index in O(order) of the batch whose turn it is. Required with O(step=gate).
    type: int
  healthy:
    description: The RV(healthy) of O(step=rollout), with O(step=gate).
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds in which another member has to take the lease of this one, with O(step=gate).
    type: float
    default: 60
  version:
    description: The wanted version, with O(step=rollout), O(step=outcome) and O(step=verdict).
    type: str
    default: ""
  compared:
    description: Whether the host was to be brought to its plan, so that drift is a fault, with O(step=outcome) and O(step=verdict).
    type: bool
    default: true
  rolled_back:
    description: Whether the host was rolled back, with O(step=outcome).
    type: bool
    default: false
  handover:
    description: What M(kube_ha.scheduler.scheduler_release) saw of the hand-over, with O(step=outcome).
    type: dict
    suboptions:
      holder:
        description: Hostname of the next leader.
        type: str
        required: true
      seconds:
        description: From the stop to the moment at which it was seen to lead.
        type: float
        required: true
      released:
        description: Whether the lease was seen without a holder.
        type: bool
        required: true
      transitions:
        description: By how many the lease's count of leaders rose.
        type: int
        required: true
  bound:
    description: Seconds that a hand-over takes at most where the lease is released, with O(step=rollout) and O(step=outcome). 0 for not known.
    type: float
    default: 0
  strict:
    description:
      - Whether the task fails where there are RV(faults). Otherwise they are returned only.
      - With O(step=variables), this is about a CA that cannot sign. Other faults of variables fail the task in any case.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Check the variables
  kube_ha.scheduler.scheduler_plan:
    step: variables
    tables: "{{ tables }}"
  register: input

- name: Conclude about the cluster
  kube_ha.scheduler.scheduler_plan:
    step: verdict
    input: "{{ input }}"
    answers: health
"""

RETURN = r"""
faults:
  description: What is wrong, one line each - what, where, what to do.
  returned: always
  type: list
  elements: str
variables:
  description: The role's variables with their types, by name without prefix.
  returned: O(step=variables)
  type: dict
members:
  description: The cluster's hosts by inventory name.
  returned: O(step=variables)
  type: list
  elements: str
playing:
  description: Those of RV(members) that this play is for.
  returned: O(step=variables)
  type: list
  elements: str
sans:
  description: Subject alternative names of this host's certificate.
  returned: O(step=variables), without faults
  type: list
  elements: str
version:
  description: The version that the host is to run.
  returned: O(step=host)
  type: str
files:
  description: The set that M(kube_ha.scheduler.scheduler_release) keeps, with the rendered content.
  returned: O(step=host)
  type: list
  elements: dict
wanted:
  description: What M(kube_ha.scheduler.scheduler_info) compares the host with. C(null) where there are faults.
  returned: O(step=host)
  type: dict
lease:
  description: C(name) and C(namespace) of the lock's object.
  returned: O(step=host)
  type: dict
timings:
  description: C(lease_duration), C(renew_deadline) and C(retry_period) in seconds.
  returned: O(step=host)
  type: dict
failover:
  description: Seconds without a leader, at most, after a C(crash) and after a C(stop).
  returned: O(step=host)
  type: dict
limitations:
  description: What this host's systemd cannot do, and what is done instead.
  returned: O(step=host)
  type: list
  elements: str
steps:
  description: The steps of a rotation that are to do.
  returned: O(step=rotation)
  type: list
  elements: str
replace:
  description: The certificate that the rotation takes from this host, by its SHA-256. Empty where it is not the pairs that are rotated.
  returned: O(step=rotation)
  type: list
  elements: str
batches:
  description: The hosts to roll, in order; those of one batch are rolled together.
  returned: O(step=rollout) and O(step=rollback)
  type: list
  elements: list
healthy:
  description: The members that are healthy before anything is rolled.
  returned: O(step=rollout) and O(step=rollback)
  type: list
  elements: str
outdated:
  description: Whether the members have to be asked again after a rollout in this order.
  returned: O(step=rollout) and O(step=rollback)
  type: bool
stopped:
  description: Whether this host is left as it is, for a member has failed or is not healthy any more, or for nobody else is.
  returned: O(step=gate)
  type: bool
refused:
  description: Why, where no member has failed. Empty otherwise.
  returned: O(step=gate)
  type: str
attempt:
  description: Identifies this roll, so that it can be taken back.
  returned: O(step=gate)
  type: str
handover:
  description: The option of this name of M(kube_ha.scheduler.scheduler_release). C(null) for a host that does not lead, or that nobody can take over from.
  returned: O(step=gate)
  type: dict
rolled:
  description: That the host is healthy and as planned.
  returned: O(step=outcome), without faults
  type: bool
pending:
  description: What differs on this host, a line each.
  returned: O(step=rollout)
  type: list
  elements: str
lines:
  description: What was shown.
  returned: O(step=status)
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec


def main() -> None:
    module = AnsibleModule(argument_spec=spec.PLAN, required_if=spec.PLAN_REQUIRED_IF, supports_check_mode=True)
    module.fail_json(msg="scheduler_plan works through the collection's action plugin, which did not run")


if __name__ == "__main__":
    main()

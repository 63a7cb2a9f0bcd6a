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
        the variables C(status_json), C(status_html) and C(status_metrics) name. It is for one host of the play (C(run_once)).
      - V(removal) tells whether somebody is left to schedule once this host has no scheduler any more.
      - V(monitoring) plans what a host of Prometheus is to have for all masters of which the variables are known, and refuses masters whose metrics
        cannot be reached.
    type: str
    choices: [instance, variables, host, rotation, rollout, rollback, gate, outcome, rotated, verdict, status, removal, monitoring]
    required: true
  prefix:
    description: What the names of the role's variables begin with.
    type: str
    default: kube_scheduler_
  tables:
    description:
      - Names of the variables that hold the role's data - C(versions), C(styles), C(known_flags), C(known_fields), C(lease_presets), C(packages),
        C(systemd_features). Its C(vars/main) tells what each holds. They are taken as they are, without templates.
      - Required with O(step=variables), O(step=host), O(step=status) and O(step=monitoring).
    type: dict
  input:
    description:
      - What O(step=variables) returned, or O(step=instance) with O(step=removal). Required with all other steps but O(step=instance), O(step=status) and
        O(step=monitoring).
    type: dict
  rotation:
    description: The part of a rotation of certificates that this is, with O(step=variables).
    type: dict
    suboptions:
      step:
        description:
          - V(leaf) and V(due) rotate the pairs. V(accept), V(issue) and V(drop) are the steps of a CA
            rotation.
          - V(inspect) determines the current step, and V(reload) waits until new pairs are used.
        type: str
        choices: [leaf, due, ca, accept, issue, drop, inspect, reload]
        required: true
      replace:
        description: SHA-256 fingerprints of certificates that are to be replaced.
        type: list
        elements: str
        default: []
  inputs:
    description: Name of the registered variable that holds what O(step=variables) returned for each host. Required with O(step=status) and O(step=monitoring).
    type: str
  host:
    description: What M(kube_ha.scheduler.scheduler_info) gathered. Required with O(step=host) and O(step=rollback).
    type: dict
  results:
    description:
      - Name of the registered variable that holds each member's answer. Required with all steps but O(step=instance) and O(step=variables).
    type: str
  plans:
    description: Name of the registered variable that holds each member's plan. Required with O(step=status) and O(step=rotation).
    type: str
  before:
    description:
      - Name of the registered variable that holds each member's answer from before anything changed, with O(step=status).
      - That of what M(kube_ha.scheduler.scheduler_info) gathered, which tells of the apiservers, with O(step=rotation).
    type: str
  outcomes:
    description: Name of the variable that holds what has become of each member - C(rolled), C(failed) or C(blocked). Required with O(step=gate).
    type: str
  recalled:
    description: Name of the registered variable that holds what M(kube_ha.scheduler.scheduler_fileset) recalled on each member. Required with O(step=rollback).
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
    description: What M(kube_ha.scheduler.scheduler_fileset) saw of the hand-over, with O(step=outcome).
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
      - Whether the task fails where there are RV(errors). Otherwise they are returned only.
      - With O(step=variables), this is about a CA that cannot sign. Other errors of variables fail the task in any case.
    type: bool
    default: true
seealso:
  - module: kube_ha.scheduler.scheduler_info
  - module: kube_ha.scheduler.scheduler_fileset
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
    results: health
"""

RETURN = r"""
errors:
  description: What is wrong, one line each - what, where, what to do.
  returned: always
  type: list
  elements: str
  sample: ["kube_scheduler_secure_port: 0 is not a port; give one from 1 to 65535, such as 10259"]
variables:
  description: The role's variables with their types, by name without prefix.
  returned: O(step=variables)
  type: dict
  sample: {version: 1.37.2, secure_port: 10259, pki: node}
members:
  description: The cluster's hosts by inventory name.
  returned: O(step=variables)
  type: list
  elements: str
  sample: [m1, m2, m3]
playing:
  description: Those of RV(members) that this play is for.
  returned: O(step=variables)
  type: list
  elements: str
  sample: [m1, m2]
sans:
  description: Subject alternative names of this host's certificate.
  returned: O(step=variables), without errors
  type: list
  elements: str
  sample: [127.0.0.1, 192.0.2.1, 192.0.2.2, 192.0.2.3]
version:
  description: The version that the host is to run.
  returned: O(step=host)
  type: str
  sample: 1.37.2
files:
  description: The set that M(kube_ha.scheduler.scheduler_fileset) keeps, with the rendered content; with O(step=monitoring), the files of Prometheus.
  returned: O(step=host) and O(step=monitoring)
  type: list
  elements: dict
  sample: [{name: config, path: /etc/kubernetes/kube-scheduler.yaml, mode: "0644", content: "apiVersion: kubescheduler.config.k8s.io/v1"}]
wanted:
  description: What M(kube_ha.scheduler.scheduler_info) compares the host with. C(null) where there are errors.
  returned: O(step=host)
  type: dict
  sample: {version: 1.37.2, user: k8s}
lease:
  description: The lock's object.
  returned: O(step=host)
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: kube-scheduler
    namespace:
      description: Its namespace.
      type: str
      sample: kube-system
timings:
  description: The times of the election, in seconds.
  returned: O(step=host)
  type: dict
  contains:
    lease_duration:
      description: How long a lease holds.
      type: float
      sample: 15.0
    renew_deadline:
      description: How long the leader tries to renew before it gives up.
      type: float
      sample: 10.0
    retry_period:
      description: How long between two tries.
      type: float
      sample: 2.0
failover:
  description: Seconds without a leader, at most.
  returned: O(step=host)
  type: dict
  contains:
    crash:
      description: After a crash.
      type: float
      sample: 23.8
    stop:
      description: After a stop.
      type: float
      sample: 4.4
limitations:
  description: What this host's systemd cannot do, and what is done instead.
  returned: O(step=host)
  type: list
  elements: str
  sample: ["key and kubeconfig can be read by the group k8s, for systemd cannot hand credentials to a process"]
steps:
  description: The steps of a rotation that are to do.
  returned: O(step=rotation)
  type: list
  elements: str
  sample: [accept, issue, drop]
replace:
  description: The certificate that the rotation takes from this host, by its SHA-256. Empty where it is not the pairs that are rotated.
  returned: O(step=rotation)
  type: list
  elements: str
  sample: ["1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D"]
batches:
  description: The hosts to roll, in order; those of one batch are rolled together.
  returned: O(step=rollout) and O(step=rollback)
  type: list
  elements: list
  sample: [[m2], [m3], [m1]]
healthy:
  description: The members that are healthy before anything is rolled.
  returned: O(step=rollout) and O(step=rollback)
  type: list
  elements: str
  sample: [m1, m2, m3]
outdated:
  description: Whether the members have to be asked again after a rollout in this order.
  returned: O(step=rollout) and O(step=rollback)
  type: bool
stopped:
  description: Whether this host is left as it is, for a member has failed or is not healthy any more, or for nobody else is.
  returned: O(step=gate)
  type: bool
blocked:
  description: Why, where no member has failed. Empty otherwise.
  returned: O(step=gate)
  type: str
  sample: "m1 is the only healthy member and was left as it is"
attempt:
  description: Identifies this roll, so that it can be taken back.
  returned: O(step=gate)
  type: str
  sample: 0f1e2d3c4b5a6978
handover:
  description: The option of this name of M(kube_ha.scheduler.scheduler_fileset). C(null) for a host that does not lead, or that nobody can take over from.
  returned: O(step=gate) and O(step=removal)
  type: dict
  sample: {kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig, name: kube-scheduler, namespace: kube-system, lock: leases, timeout: 34.0}
leads:
  description: Whether the host leads, so that it goes last.
  returned: O(step=removal)
  type: bool
rolled:
  description: That the host is healthy and as planned.
  returned: O(step=outcome), without errors
  type: bool
pending:
  description: What differs on this host, a line each.
  returned: O(step=rollout)
  type: list
  elements: str
  sample: ["config: /etc/kubernetes/kube-scheduler.yaml: content differs"]
lines:
  description: What was shown.
  returned: O(step=status)
  type: list
  elements: str
  sample: ["host  version  unit    healthy  leader", "m1    1.37.2   active  yes      *"]
identities:
  description: Client certificates that are to be made on a host of Prometheus, one for each cluster that signs its own.
  returned: O(step=monitoring), without errors
  type: list
  elements: dict
  contains:
    path:
      description: The certificate's path there.
      type: str
      sample: /etc/prometheus/kube-scheduler/kube_masters.pem
    privatekey_path:
      description: The key's path there.
      type: str
      sample: /etc/prometheus/kube-scheduler/kube_masters-key.pem
    ca_cert:
      description: The CA's certificate on the controller.
      type: str
      sample: /etc/kubernetes/cert/ca.pem
    ca_key:
      description: The CA's key on the controller.
      type: str
      sample: /etc/kubernetes/cert/ca-key.pem
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.PLAN, required_if=spec.PLAN_REQUIRED_IF, supports_check_mode=True
    )
    module.fail_json(
        msg="scheduler_plan works through the collection's action plugin, which did not run"
    )


if __name__ == "__main__":
    main()

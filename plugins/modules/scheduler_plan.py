#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_plan
short_description: Run one decision step of the kube_scheduler role on the controller
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The role kube_scheduler uses this module. Each O(step) makes one decision, such as the desired
    state of a host or the rollout order.
  - The module runs on the controller, starts no other module and contacts no host.
  - Before the first contact with a host, O(step=variables) fixes the input of all later decisions.
    Later steps treat the results of hosts as data and never template them.
  - Each result has a seal, which only this run can create. A step or module accepts a result only
    if this run returned it for this host, without later changes.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
options:
  step:
    description:
      - V(instance) validates the name of the instance and returns the input for its removal.
      - V(variables) validates the variables and the inventory, and returns the input of later
        steps.
      - V(host) computes the plan of this host from its facts, and rejects settings that cannot work
        on this host.
      - V(rotation) shows the certificates, computes the remaining steps of a rotation, and rejects
        other changes at the same time.
      - V(rotated) shows the certificates after a rotation, and fails if a certificate was not
        replaced or is not in use.
      - V(rollout) computes the rollout order of the members with drift.
      - V(rollback) computes the rollout order of the members that return to their previous file
        set, and rejects a file set that cannot run.
      - V(gate) decides whether this host can be rolled now, and fails if an earlier member was not
        rolled.
      - V(outcome) evaluates this host after its roll or rollback, and shows the result.
      - V(mark) records that nothing happened to this host yet in a rollout, that its roll was
        interrupted, or that the gate blocked its roll.
      - V(verdict) evaluates this host and its cluster from the results of the members.
      - V(status) shows the state of every cluster of the play. The step also writes the state to
        the files that C(status_json), C(status_html) and C(status_metrics) name. Run this step on
        one host of the play (C(run_once)).
      - V(removal) fails if no scheduler would remain in the cluster after the removal from this
        host.
      - V(monitoring) computes the files of a Prometheus host, for all control-plane hosts whose
        variables are validated. The step rejects hosts whose metrics are unreachable.
    type: str
    choices:
      - instance
      - variables
      - host
      - rotation
      - rollout
      - rollback
      - gate
      - outcome
      - mark
      - rotated
      - verdict
      - status
      - removal
      - monitoring
    required: true
  prefix:
    description: Prefix of the names of the role variables.
    type: str
    default: kube_scheduler_
  tables:
    description:
      - Names of the variables that contain the tables C(versions), C(styles), C(known_flags),
        C(known_fields), C(lease_presets), C(packages) and C(systemd_features) of the role. The
        files in C(vars/main) describe the tables. Ansible does not template the tables.
      - Required with O(step=variables), O(step=host), O(step=status) and O(step=monitoring).
    type: dict
  input:
    description:
      - Result of O(step=variables), or of O(step=instance) with O(step=removal). Required with all
        steps except O(step=instance), O(step=variables), O(step=mark), O(step=status) and
        O(step=monitoring).
    type: dict
  rotation:
    description:
      - Current part of a rotation of certificates, with O(step=variables).
      - V(leaf) and V(due) rotate the key pairs. V(ca) rotates the CA in the steps V(accept),
        V(issue) and V(drop).
      - V(inspect) determines the current step. V(reload) waits until the schedulers use their new
        key pairs.
    type: str
    choices: [leaf, due, ca, accept, issue, drop, inspect, reload]
  remaining:
    description:
      - Name of the registered variable with the result of O(step=rotation). Required with
        O(step=rotated), and with O(rotation) except O(rotation=inspect).
    type: str
  inputs:
    description:
      - Name of the registered variable with the result of O(step=variables) for each host. Required
        with O(step=status) and O(step=monitoring).
    type: str
  results:
    description:
      - Name of the registered variable with the result of M(kube_ha.scheduler.scheduler_info) for
        each member. Required with all steps except O(step=instance), O(step=variables),
        O(step=mark) and O(step=monitoring).
    type: str
  plans:
    description:
      - Name of the registered variable with the plan of each member. Required with
        O(step=rotation), O(step=rollout), O(step=rollback), O(step=gate), O(step=outcome),
        O(step=verdict) and O(step=status).
    type: str
  before:
    description:
      - With O(step=status), the name of a registered variable of the hosts. It contains the result
        of scheduler_info before any change.
      - With O(step=rotation) and O(step=rollback), the name of the variable with the gathered
        facts, which include the state of the apiservers. Required with O(step=rollback).
    type: str
  outcomes:
    description:
      - Name of the registered variable with the result of O(step=mark) or O(step=outcome) for each
        member. Required with O(step=gate).
    type: str
  recalled:
    description:
      - Name of the registered variable with the previous file set that
        M(kube_ha.scheduler.scheduler_fileset) staged on each member. Required with
        O(step=rollback).
    type: str
  rollout:
    description:
      - Name of the registered variable with the result of O(step=rollout) or O(step=rollback).
        Required with O(step=gate), O(step=outcome) and O(step=verdict).
    type: str
  fileset:
    description:
      - Name of the registered variable with the result of M(kube_ha.scheduler.scheduler_fileset)
        that promoted the file set. This result contains the measured handover. Required with
        O(step=outcome).
    type: str
  gate:
    description:
      - Name of the registered variable with the result of O(step=gate), if the gate blocked the
        roll of this host. Use this option with O(step=mark).
    type: str
  position:
    description: Index of the current batch in RV(batches). Required with O(step=gate).
    type: int
  rolled_back:
    description: Whether the host was rolled back, with O(step=outcome).
    type: bool
    default: false
  interrupted:
    description: Whether the roll of this host failed, with O(step=mark).
    type: bool
    default: false
  strict:
    description:
      - Whether the task fails if it returns RV(errors). With V(false), the task only returns the
        errors.
      - With O(step=variables), this option applies only to a CA that cannot sign. Other errors
        always fail the task.
    type: bool
    default: true
seealso:
  - module: kube_ha.scheduler.scheduler_info
  - module: kube_ha.scheduler.scheduler_fileset
"""

EXAMPLES = r"""
- name: Validate the variables of the role
  kube_ha.scheduler.scheduler_plan:
    step: variables
    tables: "{{ tables }}"
  register: input

- name: Evaluate the health of the cluster
  kube_ha.scheduler.scheduler_plan:
    step: verdict
    input: "{{ input }}"
    results: health
    plans: plan
    rollout: rollout
"""

RETURN = r"""
errors:
  description: Errors, one line each. A line contains the option or host, what is wrong, and what to
    do.
  returned: always
  type: list
  elements: str
  sample:
    - "kube_scheduler_secure_port: 0 is not a valid port; set a port from 1 to 65535, such as 10259"
variables:
  description: Validated role variables, by name without prefix.
  returned: O(step=variables)
  type: dict
  sample: {version: 1.37.2, secure_port: 10259, pki: node}
members:
  description: Inventory names of all hosts of the cluster.
  returned: O(step=variables) and O(step=instance)
  type: list
  elements: str
  sample: [m1, m2, m3]
playing:
  description: Hosts in RV(members) that this play includes.
  returned: O(step=variables) and O(step=instance)
  type: list
  elements: str
  sample: [m1, m2]
sans:
  description: Subject alternative names of the certificate of this host.
  returned: O(step=variables), if the variables are valid
  type: list
  elements: str
  sample: [127.0.0.1, 192.0.2.1, 192.0.2.2, 192.0.2.3]
version:
  description: Desired version of the scheduler on the host.
  returned: O(step=host), O(step=rollout) and O(step=rollback)
  type: str
  sample: 1.37.2
files:
  description:
    - With O(step=host), the files of the file set for M(kube_ha.scheduler.scheduler_fileset), with
      rendered content.
    - With O(step=monitoring), the files to write to the Prometheus host.
  returned: O(step=host) and O(step=monitoring)
  type: list
  elements: dict
  sample:
    - name: config
      path: /etc/kubernetes/kube-scheduler.yaml
      mode: "0644"
      content: "apiVersion: kubescheduler.config.k8s.io/v1"
desired:
  description:
    - Desired state that M(kube_ha.scheduler.scheduler_info) compares the host with. Null if
      RV(errors) is not empty.
  returned: O(step=host)
  type: dict
  sample: {version: 1.37.2, user: k8s}
lease:
  description: Lock object of the election. With O(step=gate), null after a rollback.
  returned: O(step=host) and O(step=gate)
  type: dict
  contains:
    name:
      description: Name of the lock object.
      type: str
      sample: kube-scheduler
    namespace:
      description: Namespace of the lock object.
      type: str
      sample: kube-system
timings:
  description: Election times of the scheduler in seconds.
  returned: O(step=host)
  type: dict
  contains:
    lease_duration:
      description: Validity of the lease after its last renewal.
      type: float
      sample: 15.0
    renew_deadline:
      description: Time after which a leader that cannot renew the lease stops leading.
      type: float
      sample: 10.0
    retry_period:
      description: Time between two attempts to acquire or renew the lease.
      type: float
      sample: 2.0
failover:
  description: Upper bounds of the time without a leader, in seconds.
  returned: O(step=host)
  type: dict
  contains:
    crash:
      description: Upper bound of the time without a leader after a crash.
      type: float
      sample: 23.8
    stop:
      description: Upper bound of the time without a leader after a stop.
      type: float
      sample: 4.4
limitations:
  description: Features that systemd on this host does not support, each with the effect.
  returned: O(step=host)
  type: list
  elements: str
  sample:
    - >-
      the group k8s can read key and kubeconfig, because systemd before 247 has no LoadCredential;
      upgrade systemd
steps:
  description: Remaining steps of the rotation.
  returned: O(step=rotation)
  type: list
  elements: str
  sample: [accept, issue, drop]
replace:
  description:
    - SHA-256 fingerprint of the certificate of this host that the rotation replaces. The list is
      empty unless the rotation replaces all key pairs.
  returned: O(step=rotation)
  type: list
  elements: str
  sample:
    - 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
batches:
  description: Hosts to roll, in rollout order. The role rolls the hosts of one batch together.
  returned: O(step=rollout) and O(step=rollback)
  type: list
  elements: list
  sample: [[m2], [m3], [m1]]
healthy:
  description: Members that are healthy before the rollout.
  returned: O(step=rollout) and O(step=rollback)
  type: list
  elements: str
  sample: [m1, m2, m3]
outdated:
  description: Whether the role must check the members again after a rollout in this order.
  returned: O(step=rollout) and O(step=rollback)
  type: bool
stopped:
  description:
    - Whether the role must not roll this host. The reason is that a member failed or became
      unhealthy, or that this host is the only healthy member.
  returned: O(step=gate)
  type: bool
blocked:
  description: Reason not to roll this host, if no member failed. Otherwise empty.
  returned: O(step=gate) and O(step=mark)
  type: str
  sample: >-
    m1 is the only healthy member and was not rolled, because no other member could schedule pods;
    make another member healthy first
attempt:
  description: Identifier of this roll, which a rollback needs.
  returned: O(step=gate)
  type: str
  sample: 0f1e2d3c4b5a6978
handover:
  description:
    - Value of the option O(kube_ha.scheduler.scheduler_fileset#module:handover). Null if the host
      does not lead, or if no other member can acquire the lease.
  returned: O(step=gate) and O(step=removal)
  type: dict
  sample:
    kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig
    name: kube-scheduler
    namespace: kube-system
    lock: leases
    timeout: 34.0
leads:
  description: Whether the host leads. The role removes the leader last.
  returned: O(step=removal)
  type: bool
restart:
  description: Whether the unit must restart even if its process is not stale.
  returned: O(step=gate)
  type: bool
rolled:
  description: Whether the host was rolled, and not rolled back.
  returned: O(step=outcome) and O(step=mark)
  type: bool
interrupted:
  description: Whether the roll of the host failed.
  returned: O(step=mark)
  type: bool
seal:
  description:
    - Message authentication code over the result, the host and the step. The key of the seal exists
      only in this run.
    - The modules of the role return a seal, too.
  returned: always
  type: str
  sample: 8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92
pending:
  description: Drift of this host, one line for each difference.
  returned: O(step=rollout)
  type: list
  elements: str
  sample: ["config: /etc/kubernetes/kube-scheduler.yaml: content differs"]
lines:
  description: Lines of the displayed report.
  returned: O(step=status)
  type: list
  elements: str
  sample: ["host  version  unit    healthy  leader", "m1    1.37.2   active  yes      *"]
identities:
  description:
    - Client certificates to issue for a Prometheus host, one for each cluster whose CA key is on
      the controller.
  returned: O(step=monitoring), without errors
  type: list
  elements: dict
  contains:
    path:
      description: Path of the client certificate on the Prometheus host.
      type: str
      sample: /etc/prometheus/kube-scheduler/kube_masters.pem
    privatekey_path:
      description: Path of the private key on the Prometheus host.
      type: str
      sample: /etc/prometheus/kube-scheduler/kube_masters-key.pem
    ca_cert:
      description: Path, on the controller, of the CA certificate that signs the client certificate.
      type: str
      sample: /etc/kubernetes/cert/ca.pem
    ca_key:
      description: Path, on the controller, of the private key of the CA that signs the client
        certificate.
      type: str
      sample: /etc/kubernetes/cert/ca-key.pem
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.PLAN_SPEC, required_if=spec.PLAN_REQUIRED_IF, supports_check_mode=True
    )
    module.fail_json(
        msg="scheduler_plan: the action plugin of the collection did not run;"
        " run the task kube_ha.scheduler.scheduler_plan"
    )


if __name__ == "__main__":
    main()

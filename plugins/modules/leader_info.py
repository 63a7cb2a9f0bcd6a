#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leader_info
short_description: Return the leader of an election, or wait for a leader
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The module reads the lease of a component. On old clusters, the module reads the annotation
    C(control-plane.alpha.kubernetes.io/leader) of an Endpoints or ConfigMap object.
  - The module evaluates the lease as the candidates of the election do. If the module observes a
    renewal, the holder is alive. If the lease does not change for its duration, the lease has
    expired.
  - The module never compares the clocks of two hosts.
  - The module works for every component that uses the leader election of client-go.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
requirements:
  - PyYAML (Debian C(python3-yaml), RHEL C(python3-pyyaml)) on the host
  - Linux, if the kubeconfig has a client certificate
options:
  kubeconfig:
    description:
      - Path on the host of a kubeconfig with a client certificate, a token or a token file. The
        module does not support exec plugins.
      - The module uses the C(proxy-url) of the kubeconfig, never the proxy of the environment.
    type: path
    required: true
  contexts:
    description:
      - Contexts of the kubeconfig, for a cluster with several apiservers. The module tries the
        apiservers in this order.
      - A request has at most 10 seconds, from the name lookup to the last byte of the response. The
        apiservers that the module tries share this time.
      - The default is the current context of the kubeconfig.
    type: list
    elements: str
    aliases: [context]
  name:
    description: Name of the Lease object.
    type: str
    default: kube-scheduler
  namespace:
    description: Namespace of the Lease object.
    type: str
    default: kube-system
  members:
    description:
      - Hostnames or complete holder identities of the members, case-sensitive.
      - If another holder has the lease, the result is RV(state=foreign), and the module continues
        to wait.
    type: list
    elements: str
  wait_for:
    description:
      - Condition to wait for. Each condition requires that the module observes a renewal by the
        holder.
      - V(leader) accepts any holder. With V(holder), the holder of the lease must be the one in the
        option O(holder). V(change) accepts any holder except that one.
      - Without this option, the module reads until the lease changes or expires, or until
        O(timeout) has passed.
    type: str
    choices: [leader, change, holder]
  holder:
    description:
      - Hostname or complete identity of a holder.
      - With O(wait_for=holder), this option is required and sets the expected leader.
      - With O(wait_for=change), this option sets the leader to be replaced. The default is the
        first observed holder, if any.
    type: str
  timeout:
    description: Maximum time to wait, in seconds. If the condition of O(wait_for) is not met in
      this time, the module fails.
    type: float
    default: 60
  poll_interval:
    description: Seconds between two reads of the lease. All reads share one connection.
    type: float
    default: 0.05
seealso:
  - module: kube_ha.scheduler.scheduler_info
  - name: Leases
    description: Leases in the Kubernetes documentation.
    link: https://kubernetes.io/docs/concepts/architecture/leases/
"""

EXAMPLES = r"""
- name: Get the leader of kube-scheduler
  kube_ha.scheduler.leader_info:
    kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig
  register: leader

- name: Show the leader
  ansible.builtin.debug:
    msg: "{{ leader.holder }} ({{ leader.state }})"

- name: Wait at most 30 seconds until a member leads
  kube_ha.scheduler.leader_info:
    kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig
    members: [m1.kube-ha.example, m2.kube-ha.example, m3.kube-ha.example]
    wait_for: leader
    timeout: 30

- name: Wait until another leader is elected
  kube_ha.scheduler.leader_info:
    kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig
    wait_for: change
    holder: "{{ leader.holder }}"

- name: Get the leader of kube-controller-manager from any reachable apiserver
  kube_ha.scheduler.leader_info:
    kubeconfig: ~/.kube/config
    contexts: [m1, m2, m3]
    name: kube-controller-manager
"""

RETURN = r"""
holder:
  description:
    - Hostname in the holder's identity. If the identity does not have the form C(HOST_UUID), the
      complete identity.
    - Null if the lease has no holder.
  type: str
  returned: always
  sample: m1.kube-ha.example
holder_identity:
  description: Complete identity of the holder, which changes when the process restarts.
  type: str
  returned: always
  sample: m1.kube-ha.example_0f0e0d0c-1111-4222-8333-444455556666
state:
  description:
    - V(held) means that the lease has a holder.
    - V(foreign) means that the holder is not one of O(members).
    - V(released) means that the last holder released the lease.
    - V(expired) means that the holder did not renew the lease for its duration.
    - V(absent) means that the lease does not exist.
  type: str
  returned: always
  sample: held
moving:
  description:
    - Whether the module observed that the holder wrote the lease.
    - Unless RV(state=expired), V(false) only means that the module has not observed a write yet.
  type: bool
  returned: always
  sample: true
source:
  description:
    - Type of the object that contains the lease, V(lease), V(endpoints) or V(configmap). Null if no
      object exists.
  type: str
  returned: always
  sample: lease
acquire_time:
  description: Time at which the holder acquired the lease, by the holder's clock.
  type: str
  returned: always
  sample: "2026-01-01T12:00:00.000000Z"
renew_time:
  description: Time of the last renewal of the lease, by the holder's clock.
  type: str
  returned: always
  sample: "2026-01-01T12:00:02.000000Z"
lease_duration:
  description: Seconds without a renewal after which the lease expires.
  type: int
  returned: always
  sample: 15
transitions:
  description: Number of times that the holder of the lease changed.
  type: int
  returned: always
  sample: 3
elapsed:
  description: Seconds from the first read of the lease to the read that the result describes.
  type: float
  returned: always
  sample: 2.013
server:
  description: URL of the apiserver that responded.
  type: str
  returned: always
  sample: https://192.0.2.10:6443
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError, LeaseError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import leader

LEADER_ARGUMENTS: dict[str, t.Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "contexts": {"type": "list", "elements": "str", "aliases": ["context"]},
    "name": {"type": "str", "default": "kube-scheduler"},
    "namespace": {"type": "str", "default": "kube-system"},
    "members": {"type": "list", "elements": "str"},
    "wait_for": {"type": "str", "choices": ["leader", "change", "holder"]},
    "holder": {"type": "str"},
    "timeout": {"type": "float", "default": 60},
    "poll_interval": {"type": "float", "default": 0.05},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=LEADER_ARGUMENTS,
        required_if=[("wait_for", "holder", ["holder"])],
        supports_check_mode=True,
    )
    try:
        result, problem = leader.query_leader(module.params)
    except (KubeError, LeaseError) as exc:
        module.fail_json(msg=str(exc))
    if problem:
        module.fail_json(msg=problem, **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

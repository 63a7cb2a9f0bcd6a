#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leader_info
short_description: Tell who leads, and wait for a leader
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - Reads the election record of a component from its Lease, or from the annotation C(control-plane.alpha.kubernetes.io/leader) of the
    Endpoints or the ConfigMap of old clusters.
  - Judges it as the candidates themselves do. A holder that is seen to renew the record is alive, and one that does not for the record's own
    duration has lost it. The clocks of two hosts are never compared.
  - Works for every component that is elected with client-go.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
requirements:
  - PyYAML (Debian C(python3-yaml), RHEL C(python3-pyyaml)) on the host
  - Linux, where the kubeconfig has a client certificate
options:
  kubeconfig:
    description:
      - Kubeconfig file on the host, with a client certificate, a token or a token file. Exec plugins are not run.
      - Its C(proxy-url) is used, and never the proxy of the environment.
    type: path
    required: true
  contexts:
    description:
      - Contexts of the kubeconfig whose servers are tried in this order, for a cluster with several apiservers.
      - Without it, the current context.
    type: list
    elements: str
    aliases: [context]
  name:
    description: Name of the Lease.
    type: str
    default: kube-scheduler
  namespace:
    description: Namespace of the Lease.
    type: str
    default: kube-system
  members:
    description:
      - Hosts that may hold the record, by the hostnames under which they compete, or whole identities. Case matters.
      - Any other holder makes RV(state=foreign), and is no leader to wait for.
    type: list
    elements: str
  wait_for:
    description:
      - What to wait for. Every one of them means a holder that is seen alive.
      - V(leader) is any holder, V(holder) the one that O(holder) names, V(change) one other than O(holder).
      - Without it, the record is read until it changes, or until its duration has passed unchanged, or until O(timeout).
    type: str
    choices: [leader, change, holder]
  holder:
    description:
      - A host or a whole identity. With O(wait_for=holder) the holder that is waited for, and needed.
      - With O(wait_for=change) the one to leave; by default the one that holds the record at the first look, if any.
    type: str
  timeout:
    description: Seconds after which a wait fails.
    type: float
    default: 60
  poll_interval:
    description: Seconds between two looks, which share a connection.
    type: float
    default: 0.05
seealso:
  - module: kube_ha.scheduler.scheduler_info
  - name: Leases
    description: What a Lease is.
    link: https://kubernetes.io/docs/concepts/architecture/leases/
"""

EXAMPLES = r"""
- name: Who leads
  kube_ha.scheduler.leader_info:
    kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig
  register: leader

- name: Say it
  ansible.builtin.debug:
    msg: "{{ leader.holder }} ({{ leader.state }})"

- name: One of our schedulers leads within half a minute
  kube_ha.scheduler.leader_info:
    kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig
    members: [m1.kube-ha.example, m2.kube-ha.example, m3.kube-ha.example]
    wait_for: leader
    timeout: 30

- name: Another one than before leads
  kube_ha.scheduler.leader_info:
    kubeconfig: /etc/kubernetes/kube-scheduler.kubeconfig
    wait_for: change
    holder: "{{ leader.holder }}"

- name: Who leads the controller managers, asked of whichever apiserver answers
  kube_ha.scheduler.leader_info:
    kubeconfig: ~/.kube/config
    contexts: [m1, m2, m3]
    name: kube-controller-manager
"""

RETURN = r"""
holder:
  description: Host part of the holder's identity, or the whole of it where it is not of the form C(HOST_UUID). Null if nobody holds the record.
  type: str
  returned: always
  sample: m1.kube-ha.example
holder_identity:
  description: The holder's identity. A restarted process has another one.
  type: str
  returned: always
  sample: m1.kube-ha.example_0f0e0d0c-1111-4222-8333-444455556666
state:
  description:
    - V(held) by a holder.
    - V(foreign), held by one that is not among O(members).
    - V(released) by the last holder, and free.
    - V(expired), the holder did not renew it for its duration.
    - V(absent), there is no record.
  type: str
  returned: always
  sample: held
moving:
  description: Whether the holder was seen to write the record. False only means that it was not seen yet, unless RV(state=expired).
  type: bool
  returned: always
  sample: true
source:
  description: The object that carries the record, V(lease), V(endpoints) or V(configmap). Null if there is none.
  type: str
  returned: always
  sample: lease
acquire_time:
  description: When the holder got the record, by the holder's clock.
  type: str
  returned: always
  sample: "2026-01-01T12:00:00.000000Z"
renew_time:
  description: When the holder last wrote it, by the holder's clock.
  type: str
  returned: always
  sample: "2026-01-01T12:00:02.000000Z"
lease_duration:
  description: Seconds without a renewal after which others may take it.
  type: int
  returned: always
  sample: 15
transitions:
  description: How often the holder has changed.
  type: int
  returned: always
  sample: 3
elapsed:
  description: Seconds from the first look to the one that is reported.
  type: float
  returned: always
  sample: 2.013
server:
  description: The apiserver that answered.
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

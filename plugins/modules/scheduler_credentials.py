#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_credentials
short_description: Stage key, certificate and kubeconfig of a kube-scheduler
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - A module of the kube_scheduler role. It runs M(kube_ha.scheduler.x509_cert) or
    M(ansible.builtin.copy), then M(kube_ha.scheduler.kubeconfig), with the arguments that follow
    from the plan.
  - The arguments and the result contain paths, never the content of a key.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
options:
  state:
    description:
      - V(staged) stages the key pair, then the kubeconfig. If C(kube_scheduler_pki) is V(node) or
        V(external), the key is generated on the host. If it is V(shared) or V(provided), the pair
        is copied from the controller.
      - V(shared) issues the one pair of V(shared) on the controller. Delegate this task to
        C(localhost).
    type: str
    choices: [staged, shared]
    default: staged
  input:
    description: The result of O(kube_ha.scheduler.scheduler_plan#module:step=variables).
    type: dict
    required: true
  plan:
    description: The result of O(kube_ha.scheduler.scheduler_plan#module:step=host).
    type: dict
    required: true
seealso:
  - module: kube_ha.scheduler.x509_cert
  - module: kube_ha.scheduler.kubeconfig
  - module: kube_ha.scheduler.scheduler_plan
"""

EXAMPLES = r"""
- name: Stage the credentials
  kube_ha.scheduler.scheduler_credentials:
    input: "{{ input }}"
    plan: "{{ plan }}"
"""

RETURN = r"""
reasons:
  description: Why the key or the certificate was created or replaced, one line each.
  returned: if the pair is issued
  type: list
  elements: str
  sample: ["the certificate does not exist"]
awaited:
  description: Why the certificate of an external CA is not usable yet, one line each.
  returned: if C(kube_scheduler_pki) is V(external)
  type: list
  elements: str
  sample: ["the certificate does not exist"]
refused:
  description: Why the certificate of an external CA is rejected, one line each.
  returned: if C(kube_scheduler_pki) is V(external)
  type: list
  elements: str
  sample: ["the certificate is for another key"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec


def main() -> None:
    module = AnsibleModule(argument_spec=spec.CREDENTIALS, supports_check_mode=True)
    module.fail_json(
        msg="scheduler_credentials needs the action plugin of the collection, which did not run"
    )


if __name__ == "__main__":
    main()

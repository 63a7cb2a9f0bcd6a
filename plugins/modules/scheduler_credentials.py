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
  - The role kube_scheduler uses this module. It runs M(kube_ha.scheduler.x509_cert) or
    M(ansible.builtin.copy), then M(kube_ha.scheduler.kubeconfig), with arguments from the plan.
  - The arguments and the result contain the paths of keys, never their content.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
options:
  state:
    description:
      - V(staged) stages the key pair, then the kubeconfig. If C(kube_scheduler_pki) is V(node) or
        V(external), the module generates the key on the host. With V(shared) or V(provided), the
        module copies the key pair from the controller.
      - V(shared) issues the shared key pair of all hosts on the controller. Delegate this task to
        C(localhost).
      - V(client) issues the client certificates of a Prometheus host, one for each CA on the
        controller.
    type: str
    choices: [staged, shared, client]
    default: staged
  input:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=variables), with the validated
        variables.
      - Required with O(state=staged) and O(state=shared).
    type: dict
  plan:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=host), the plan of the host.
      - With O(state=client), the result of
        O(kube_ha.scheduler.scheduler_plan#module:step=monitoring).
    type: dict
    required: true
seealso:
  - module: kube_ha.scheduler.x509_cert
  - module: kube_ha.scheduler.kubeconfig
  - module: kube_ha.scheduler.scheduler_plan
"""

EXAMPLES = r"""
- name: Stage the credentials of a host
  kube_ha.scheduler.scheduler_credentials:
    input: "{{ input }}"
    plan: "{{ plan }}"
"""

RETURN = r"""
reasons:
  description: Reasons to create or replace the key or the certificate, one line each.
  returned: if the key pair is issued and not copied
  type: list
  elements: str
  sample: ["the certificate is missing"]
awaited:
  description: Reasons to wait for a certificate from an external CA, one line each.
  returned: if C(kube_scheduler_pki) is V(external)
  type: list
  elements: str
  sample: ["the certificate is missing"]
refused:
  description: Reasons to reject the certificate from an external CA, one line each.
  returned: if C(kube_scheduler_pki) is V(external)
  type: list
  elements: str
  sample: ["is not the certificate of the key on this host"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.CREDENTIALS_SPEC,
        required_if=spec.CREDENTIALS_REQUIRED_IF,
        supports_check_mode=True,
    )
    module.fail_json(
        msg="scheduler_credentials: the action plugin of the collection did not run;"
        " run the task kube_ha.scheduler.scheduler_credentials"
    )


if __name__ == "__main__":
    main()

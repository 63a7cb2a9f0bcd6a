#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_plan
short_description: Derive the command line and the configuration of a version of kube-scheduler
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - Holds wishes for a kube-scheduler against a table of its versions. Returns what it is started with, and in RV(problems) each wish that it would refuse
    or silently ignore, with what to use instead.
  - Computes on the controller, and asks no host. The role M(kube_ha.scheduler.scheduler_release) is given what comes out.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
options:
  version:
    description: The version in full, such as V(1.37.2).
    type: str
    required: true
  versions:
    description: A row by minor version. The role's C(vars/main/versions.yml) tells the columns of this and the next three.
    type: dict
    required: true
  styles:
    description: How a row is rendered, by the name of the style.
    type: dict
    required: true
  known_flags:
    description: Flags by name.
    type: dict
    required: true
  known_fields:
    description: Fields of a KubeSchedulerConfiguration by name.
    type: dict
    required: true
  values:
    description:
      - What stands for C({NAME}) in O(styles).
      - C(times) are flags by name that are added where there is no configuration file.
    type: dict
    default: {}
  binary:
    description: Absolute path of the binary.
    type: str
    required: true
  config:
    description: Fields of KubeSchedulerConfiguration that are wished for, put over O(own_config).
    type: dict
    default: {}
  own_config:
    description: Fields that are there anyway.
    type: dict
    default: {}
  extra_args:
    description: Flags that are wished for, without leading dashes. A list becomes C(a,b), a mapping C(a=1,b=2).
    type: dict
    default: {}
  running:
    description: The members as M(kube_ha.scheduler.scheduler_info) sees them. A lock that shares no object with the one of a running member is refused.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Ask whether a version takes a flag
  kube_ha.scheduler.scheduler_plan:
    version: 1.37.2
    binary: /opt/k8s/bin/kube-scheduler
    versions:
      "1.37":
        style: [secure, secure]
        config_api: [v1]
        locks: [leases]
        https: 10259
        http: 0
    styles:
      secure:
        ask: {secure-port: "@port@"}
        flags: {config: "{config_path}"}
    known_flags:
      address: {removed: "1.24", instead: kube_scheduler_bind_address}
    known_fields: {}
    values:
      config_path: /etc/kubernetes/kube-scheduler.yaml
    extra_args:
      address: 127.0.0.1
  register: plan
"""

RETURN = r"""
problems:
  description: Each wish that would be refused or ignored, one line - option, value, version, what to use instead.
  returned: always
  type: list
  elements: str
version:
  description: The version.
  returned: always
  type: str
row:
  description: Its row of O(versions).
  returned: always
  type: dict
flags:
  description: The command line's arguments, in order.
  returned: always
  type: list
  elements: str
exec_start:
  description: Value of C(ExecStart=), quoted so that systemd hands on each argument as it is. Empty when there are RV(problems).
  returned: always
  type: str
config:
  description: The KubeSchedulerConfiguration as YAML, empty where the version runs by flags alone.
  returned: always
  type: str
ask:
  description: Flags to be replaced when the binary is asked beside one that runs.
  returned: always
  type: dict
ask_texts:
  description: Texts of the configuration to be replaced then.
  returned: always
  type: dict
lock:
  description: The lock's type.
  returned: always
  type: str
  sample: leases
lease:
  description: C(name) and C(namespace) of the lock's object.
  returned: always
  type: dict
log_dir:
  description: Folder that it logs to, empty where it logs to the journal alone.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _versions


def main() -> None:
    # The action plugin of this name computes the same on the controller.
    module = AnsibleModule(argument_spec=_versions.SPEC, supports_check_mode=True)
    try:
        result = _versions.run(module.params)
    except _versions.PlanError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

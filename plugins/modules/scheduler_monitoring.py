#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_monitoring
short_description: Write the files with which Prometheus monitors the schedulers
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The playbook C(monitoring.yml) uses this module on the Prometheus hosts. In one run, the module
    creates a directory and writes the files in it.
  - Root owns the directory and the files. The directory has mode 0750, a file has mode 0640, so
    that only root and O(group) can read them. The module corrects another owner, group or mode.
  - If a user other than root can change a parent directory of O(path), the module fails. It follows
    no link of another user.
  - The module checks all files before it changes the first one. It does not remove other files.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
options:
  plan:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=monitoring). The action plugin of
        this module reads options from it that the task does not set.
      - The module on the host ignores this option.
    type: dict
  path:
    description: Directory of the files on the host. The module creates missing parent directories
      with mode 0755.
    type: path
    default: /etc/prometheus/kube-scheduler
  group:
    description: Group of the directory and of the files, as which Prometheus runs.
    type: str
    default: prometheus
  files:
    description: Files to write. If the list is empty, the module only creates the directory.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the file in O(path), without a slash.
        type: str
        required: true
      content:
        description: Content of the file as text. It must contain no secret, because a diff shows
          it.
        type: str
        required: true
seealso:
  - module: kube_ha.scheduler.scheduler_plan
  - module: kube_ha.scheduler.scheduler_credentials
"""

EXAMPLES = r"""
- name: Write the files with which Prometheus monitors the schedulers
  kube_ha.scheduler.scheduler_monitoring:
    plan: "{{ plan }}"

- name: Write a rules file
  kube_ha.scheduler.scheduler_monitoring:
    path: /etc/prometheus/rules
    group: prometheus
    files:
      - name: node.yml
        content: |
          groups: []
"""

RETURN = r"""
files:
  description: Paths of the files that the module wrote. In check mode, the files that it would
    write.
  returned: success
  type: list
  elements: str
  sample: [/etc/prometheus/kube-scheduler/scrape.yml]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import (
    monitoring_files,
)


def main() -> None:
    module = AnsibleModule(argument_spec=spec.MONITORING_FILES_SPEC, supports_check_mode=True)
    try:
        result = monitoring_files.write_monitoring_files(module)
    except CollectionError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

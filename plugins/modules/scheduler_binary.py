#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_binary
short_description: Download a binary of Kubernetes and verify its checksum
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The role uses this module if O(kube_ha.scheduler.kube_scheduler#role:kube_scheduler_binary_source=download).
  - The module downloads the binary into a temporary file beside O(path). The module replaces
    O(path) only if the file has the expected checksum.
  - A binary has at most 256 MiB. If the server announces a larger file, the module downloads
    nothing. If the server announces no size, the download ends at the limit.
  - One deadline covers all waits, from the name lookup to the last byte, see O(timeout).
  - The module follows redirects, except from HTTPS to HTTP. The module uses the variables
    C(http_proxy), C(https_proxy) and C(no_proxy) of the environment, and the CAs of the system.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
  - ansible.builtin.files
options:
  url:
    description: URL of the binary.
    type: str
    required: true
  path:
    description:
      - Absolute path of the binary on the host. Its directory must exist.
      - Without O(mode), the permissions of the binary are V(0755).
    type: path
    required: true
  checksum:
    description:
      - Checksum of the binary, as V(sha512:HEX) or V(sha256:HEX).
      - If a URL follows the colon, the module downloads the checksum from this URL.
    type: str
    required: true
  timeout:
    description: Maximum total time of all downloads of a run, in seconds.
    type: float
    default: 900
seealso:
  - module: ansible.builtin.get_url
"""

EXAMPLES = r"""
- name: Download kube-scheduler
  kube_ha.scheduler.scheduler_binary:
    url: https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kube-scheduler
    path: /opt/k8s/bin/kube-scheduler-v1.37.2
    checksum: sha512:https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kube-scheduler.sha512
    owner: root
    group: root
"""

RETURN = r"""
path:
  description: Path of the binary.
  returned: success
  type: str
  sample: /opt/k8s/bin/kube-scheduler-v1.37.2
size:
  description: Size of the binary in bytes. Null if the binary does not exist, in check mode.
  returned: success
  type: int
  sample: 75000000
checksum:
  description: Checksum that the binary has or must have, with its algorithm.
  returned: success
  type: str
  sample: sha512:9b1d…
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import binary


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.BINARY_SPEC, add_file_common_args=True, supports_check_mode=True
    )
    try:
        result = binary.install_binary(module)
    except CollectionError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

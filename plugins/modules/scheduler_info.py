#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_info
short_description: Tell the truth about the kube-scheduler of this host
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - Looks in one run at the unit and its process, at what listens on the port, at readiness over verified TLS, at the certificate that is served
    and the one that is used, at the metrics that are answered and refused, and at the lease as this host sees it.
  - An active unit and a C(/healthz) that answers 200 are not enough to be V(healthy) - a scheduler whose certificates have expired has both.
  - Needs no pip package. Certificates are described when C(python3-cryptography) is there, and a kubeconfig is read when C(python3-yaml) is there.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
options:
  unit:
    description: Name of the systemd unit, suffix included.
    type: str
    default: kube-scheduler.service
  bind_address:
    description: Address at which the scheduler serves HTTPS on this host.
    type: str
    default: 127.0.0.1
  secure_port:
    description: Port at which the scheduler serves HTTPS.
    type: int
    default: 10259
  ready_path:
    description: The endpoint that tells readiness, of a version that is not in O(versions). C(/readyz) is there from Kubernetes 1.31 on, C(/healthz) in all.
    type: str
    default: /readyz
  versions:
    description:
      - What the versions of kube-scheduler serve, a row by minor version - C(https) and C(http), the ports, 0 for none, C(ready), the C(path) that tells
        readiness and the C(port) (V(https) or V(http)) that answers it, and C(locks), the default lock type first. The row of the version that runs counts.
      - Plain HTTP is asked on 127.0.0.1.
    type: dict
    default: {}
  serving_ca:
    description: CA certificates, as PEM text, that the served certificate must chain to. Without them the system's are trusted.
    type: str
  kubeconfig:
    description: The scheduler's kubeconfig, with which the lease is read. Where systemd gave the process a credential of that name, that one is read.
    type: path
    default: /etc/kubernetes/kube-scheduler.kubeconfig
  metrics_cert:
    description: Client certificate of somebody who may read the metrics, as PEM text. Without it, that they are answered is not checked.
    type: str
  metrics_key:
    description: Private key for O(metrics_cert), as PEM text. Kept in memory.
    type: str
  metrics_ca_path:
    description:
      - On the controller - CA certificate with which a client certificate of ten minutes is made for O=C(system:monitoring), in place of O(metrics_cert).
      - Handled by the action plugin, which reads it as the calling user.
    type: path
  metrics_ca_privatekey_path:
    description: On the controller - the private key of O(metrics_ca_path).
    type: path
  metrics_ca_privatekey_passphrase_file:
    description: On the controller - file with the passphrase of O(metrics_ca_privatekey_path).
    type: path
  lease_name:
    description: Name of the lease.
    type: str
    default: kube-scheduler
  lease_namespace:
    description: Namespace of the lease.
    type: str
    default: kube-system
  apiserver:
    description: URL of an apiserver, whose C(/version) is then read over verified TLS.
    type: str
  apiserver_ca:
    description: CA certificates, as PEM text, that are trusted for O(apiserver).
    type: str
  tls_server_name:
    description: Name by which the certificate of O(apiserver) is verified, if not that of the URL.
    type: str
  user:
    description: A system user that is asked for.
    type: str
  binary:
    description: Path of a binary that is asked for.
    type: path
  release_path:
    description: Folder of the release, as in M(kube_ha.scheduler.scheduler_release).
    type: path
    default: /var/lib/kube-ha/kube-scheduler
  files:
    description: The members of the set, as in M(kube_ha.scheduler.scheduler_release), of which RV(stale) tells.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the member.
        type: str
        required: true
      path:
        description: Where the member is live.
        type: path
        required: true
      content:
        description: Text of the member.
        type: str
      link_to:
        description: Name that the member links to.
        type: str
      mode:
        description: Mode of the member.
        type: str
        default: "0644"
      digest:
        description: What of the member goes into the digest.
        type: str
        choices: [content, path]
        default: content
  timeout:
    description: Seconds to wait for the host to become healthy.
    type: float
    default: 0
  journal_lines:
    description: How many of the unit's last journal lines are returned for a host that is not healthy.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Ask for the truth, and wait half a minute for it to be good
  kube_ha.scheduler.scheduler_info:
    serving_ca: "{{ lookup('ansible.builtin.file', '/etc/kubernetes/cert/ca.pem') }}"
    timeout: 30
  register: scheduler

- name: Fail with what is wrong
  ansible.builtin.fail:
    msg: "{{ scheduler.problems | join('; ') }}"
  when: not scheduler.healthy
"""

RETURN = r"""
healthy:
  description: Whether nothing is wrong.
  returned: always
  type: bool
problems:
  description: What is wrong, one sentence each.
  returned: always
  type: list
  elements: str
hostname:
  description: The host's own name, as it stands in the holder identity of a lease.
  returned: always
  type: str
architecture:
  description: The architecture by the name that Kubernetes' release site uses.
  returned: always
  type: str
  sample: amd64
os_families:
  description: C(ID) and C(ID_LIKE) of C(/etc/os-release), the nearest first.
  returned: always
  type: list
  elements: str
  sample: [ubuntu, debian]
systemd_version:
  description: Major version of systemd, 0 where there is none.
  returned: always
  type: int
python_version:
  description: Version of the Python that ran the module.
  returned: always
  type: str
missing_libraries:
  description: Python libraries that this collection's modules need and that this host lacks.
  returned: always
  type: list
  elements: str
time:
  description: The host's clock, seconds since 1970.
  returned: always
  type: float
clock_offset:
  description: Seconds that the host's clock is at least ahead of the controller's, RV(round_trip) allowed for. Negative when it is behind.
  returned: always, added by the action plugin
  type: float
round_trip:
  description: Seconds that the run took.
  returned: always, added by the action plugin
  type: float
user_exists:
  description: Whether O(user) is there.
  returned: always
  type: bool
binary:
  description: Whether O(binary) C(exists), and is C(verified) to be the one whose checksum was checked when it came.
  returned: always
  type: dict
prepared:
  description: Whether O(release_path) is there.
  returned: always
  type: bool
stale:
  description: Names of the members of O(files) whose staged copy does not come from the live one.
  returned: always
  type: list
  elements: str
apiserver:
  description: Whether O(apiserver) is C(reachable), its C(version), or the C(error).
  returned: when O(apiserver) is given
  type: dict
unit:
  description: C(name), C(load_state), C(active_state), C(sub_state), C(enabled), C(result), C(restarts) and C(since), as systemd says them.
  returned: always
  type: dict
process:
  description:
    - C(pid), 0 if none, C(version) that the running binary reports, C(digest) of the set that it was started from, and C(lock), the lock type that it was
      told, empty for its version's default.
  returned: always
  type: dict
port:
  description: C(number), C(addresses) that listen, C(held_by) and whether it is C(ours).
  returned: always
  type: dict
others:
  description: Further kube-schedulers on this host.
  returned: always
  type: list
  elements: str
seen:
  description:
    - What the process showed, C(null) where there is nothing or it could not be had.
    - C(served) and C(used) are certificates (C(subject), C(serial_number), C(not_before), C(not_after), C(days_left)), C(ready),
      C(metrics_anonymous), C(metrics_reader) and C(metrics_http) (anyone, over plain HTTP) HTTP statuses,
      C(lease) is what M(kube_ha.scheduler.leader_info) returns.
  returned: always
  type: dict
not_checked:
  description: What was not looked at, for want of a certificate to read it with.
  returned: always
  type: list
  elements: str
journal:
  description: The unit's last lines.
  returned: when not healthy
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _release, _scheduler, _systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import FilesError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "default": "kube-scheduler.service"},
            "bind_address": {"type": "str", "default": "127.0.0.1"},
            "secure_port": {"type": "int", "default": 10259},
            "ready_path": {"type": "str", "default": "/readyz"},
            "versions": {"type": "dict", "default": {}},
            "serving_ca": {"type": "str"},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/kube-scheduler.kubeconfig"},
            "metrics_cert": {"type": "str"},
            "metrics_key": {"type": "str", "no_log": True},
            "metrics_ca_path": {"type": "path"},
            "metrics_ca_privatekey_path": {"type": "path", "no_log": False},
            "metrics_ca_privatekey_passphrase_file": {"type": "path", "no_log": False},
            "lease_name": {"type": "str", "default": "kube-scheduler"},
            "lease_namespace": {"type": "str", "default": "kube-system"},
            "apiserver": {"type": "str"},
            "apiserver_ca": {"type": "str"},
            "tls_server_name": {"type": "str"},
            "user": {"type": "str"},
            "binary": {"type": "path"},
            "release_path": {"type": "path", "default": "/var/lib/kube-ha/kube-scheduler"},
            "files": {**_release.FILES_SPEC, "default": []},
            "timeout": {"type": "float", "default": 0},
            "journal_lines": {"type": "int", "default": 20},
        },
        required_together=[("metrics_cert", "metrics_key"), ("metrics_ca_path", "metrics_ca_privatekey_path")],
        supports_check_mode=True,
    )
    try:
        result = _scheduler.run(module.params, _systemd.Systemd(module.run_command), time.monotonic, time.sleep)
    except (_release.ReleaseError, _systemd.SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

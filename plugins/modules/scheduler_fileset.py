#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_fileset
short_description: Stage and promote the file set that a systemd unit runs from
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The module manages the file set of one component on a host. The role kube_scheduler uses this
    module.
  - A file set has three versions. The C(staged) file set is for the next start. The unit runs from
    the C(live) file set. The C(previous) file set was live before the last promotion.
  - Before O(state=live), the module changes no file that the running process reads. If the host
    crashes or reboots before the promotion, the unit starts from the live file set.
  - If the host leads, O(handover) makes the module wait until another member leads, before it
    changes the host.
  - To detect a stale process, the module writes a digest of all files that the process reads into
    the unit. The module also compares the timestamps of the files, credentials and binary with the
    start of the process.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
  - kube_ha.scheduler._secrets
options:
  state:
    description:
      - V(prepared) creates the directories of the file set. If a live file changed after it was
        last copied, the module copies it to C(staged).
      - V(staged) updates the staged copies of the O(files) with content or a link, and computes the
        digest. The staged binary then checks its flags and configuration in a dry run (O(command)).
      - V(live) keeps the live file set as C(previous), promotes the staged file set and enables the
        unit. If the process was not started from this file set, the module restarts the unit.
      - V(previous) restores the file set that O(state=live) with the same O(attempt) replaced, and
        starts the unit. If that roll replaced no file set, the module only starts the unit.
      - V(recalled) stages the previous file set for O(state=live). If no previous file set exists,
        the module fails.
      - V(absent) stops and disables the unit. It removes only the promoted files, the installed
        binaries, the file set directory, and created directories that are empty.
      - V(absent) keeps a file that another installer created and that promotions did not change. If
        a promotion replaced such a file, a copy remains in C(PATH/original), see RV(kept).
    type: str
    choices: [prepared, staged, live, previous, recalled, absent]
    required: true
  input:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=variables) or
        O(kube_ha.scheduler.scheduler_plan#module:step=instance). The action plugin of this module
        reads options from it that the task does not set.
      - The module on the host ignores this option.
    type: dict
  plan:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=host). The action plugin reads
        options from it that the task does not set.
    type: dict
  gate:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=gate) with O(state=live) and
        O(state=previous), or of O(kube_ha.scheduler.scheduler_plan#module:step=removal) with
        O(state=absent). The action plugin reads options from it that the task does not set.
      - These states require this option if the task sets O(input). A removal of all schedulers does
        not require this option.
    type: dict
  path:
    description: Directory of the file set on the host. Only root can read the directory.
    type: path
    default: /var/lib/kube-ha/kube-scheduler
  unit:
    description: Name of the systemd unit of the component, with its suffix.
    type: str
    default: kube-scheduler.service
  files:
    description:
      - Files of the file set. O(state=prepared) and O(state=staged) require this option; other
        states ignore it.
      - If a file has neither O(files[].content) nor O(files[].link_to), another module writes it to
        C(PATH/staged/NAME).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the file in the file set and of its staged copy. Use letters, digits
          and C(. _ -).
        type: str
        required: true
      path:
        description: Live path of the file.
        type: path
        required: true
      content:
        description: Content of the file as text. The module replaces C(@digest@) with the digest of
          the file set.
        type: str
      link_to:
        description:
          - Target name of a symbolic link in the same directory. The file is then this link.
          - If the value is empty, the path must not exist. Only the file C(static_pod) can have an
            empty value.
        type: str
      mode:
        description:
          - Mode of a file with O(files[].content), as an octal string. The owner of the file is
            root.
        type: str
        default: "0644"
      group:
        description: Group of a file with O(files[].content).
        type: str
        default: root
      digest:
        description:
          - Whether the digest of the file set includes the content of the file or only its path.
          - If the process reloads the file without a restart, set V(path).
        type: str
        choices: [content, path]
        default: content
  binaries:
    description:
      - Binaries whose checksum the role has verified, or that the operator trusts.
      - O(state=prepared) and O(state=staged) record the SHA-256 checksum of each binary.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the binary.
        type: path
        required: true
      version:
        description: Version of the binary.
        type: str
        required: true
      ours:
        description:
          - Whether O(state=absent) removes the binary. If the role did not install the binary, set
            V(false).
          - For a recorded and unchanged binary, the recorded value of this option applies.
        type: bool
        default: true
  directories:
    description:
      - Directories that O(state=prepared) creates for files of the role, with owner root and mode
        0755. The module creates missing parent directories too.
      - O(state=absent) removes the created directories if they are empty. The module does not
        change an existing directory.
    type: list
    elements: path
    default: []
  ownership:
    description:
      - Whether O(state=prepared) and O(state=live) give root each directory in the written paths
        that another user can write to. The previous owner can still read the directory.
      - The record contains the previous owner, group and mode. If the live file set is that of
        another installer again, or at O(state=absent), the module restores this owner, group and
        mode.
      - The module takes no home directory and no directory in C(/), and follows no link in a
        directory that it takes. In such a case, the module fails.
    type: bool
    default: false
  restart:
    description:
      - Whether O(state=live) restarts the unit even if its process is not stale.
      - A process can need up to five minutes to reload its key pair. A restart makes an unhealthy
        process use the new key pair immediately.
    type: bool
    default: false
  attempt:
    description:
      - Identifier of one roll of this host, for O(state=live) and O(state=previous).
      - A roll without this value cannot be rolled back.
    type: str
    default: ""
  lease:
    description:
      - Lease that O(state=live) reads before the first start on a host.
      - To read the lease, the module uses the kubeconfig of the file set.
    type: dict
    suboptions:
      name:
        description: Name of the lease to read.
        type: str
        required: true
      namespace:
        description: Namespace of the lease to read.
        type: str
        required: true
  handover:
    description:
      - Handover of the lease, with O(state=live) and O(state=absent). If the host leads, the module
        stops the unit and waits until another member has acquired and renewed the lease.
      - If no member acquires the lease, the module starts the unit again and fails.
      - If the host does not lead, no handover is necessary, and the module only restarts the unit.
    type: dict
    suboptions:
      kubeconfig:
        description:
          - Path of a kubeconfig on the host with read access to the lease.
          - If systemd provides a kubeconfig to the process, the module uses that kubeconfig
            instead.
        type: path
        required: true
      name:
        description: Name of the lock object.
        type: str
        required: true
      namespace:
        description: Namespace of the lock object.
        type: str
        required: true
      lock:
        description: Lock type, such as C(leases).
        type: str
        required: true
      timeout:
        description: Seconds after the stop within which another member must lead.
        type: float
        required: true
  command:
    description:
      - Command line of the unit as a list. The first element is the staged binary.
      - O(state=staged) runs this command line with C(--write-config-to) as O(user), in a dry run.
        The dry run uses the staged files, and O(dry_run_flags) replace the flags that would disturb
        the running process.
      - The module skips the dry run in check mode, for a file set that has passed before, and with
        a systemd version before 247.
    type: list
    elements: str
    default: []
  dry_run_flags:
    description:
      - Flags without leading dashes that replace the flags of O(command) in the dry run.
      - The module replaces C(@port@) with a free port.
    type: dict
    default: {secure-port: "@port@"}
  dry_run_texts:
    description:
      - Texts in the staged configuration, with the texts that replace them in the dry run. An
        example is the address to listen on.
      - The module replaces C(@port@) with a free port.
    type: dict
    default: {}
  user:
    description: System user that the unit runs as.
    type: str
    default: root
  log_dir:
    description:
      - Directory for the logs of the process. O(state=staged) creates it with owner O(user) and
        mode 0755, and creates missing parent directories with owner root.
      - The module does not change files in this directory.
      - If O(user) can write to a parent directory, the module fails, because the user could replace
        the directory with a link.
    type: path
seealso:
  - module: kube_ha.scheduler.scheduler_plan
  - module: kube_ha.scheduler.scheduler_info
"""

EXAMPLES = r"""
- name: Stage the file set
  kube_ha.scheduler.scheduler_fileset:
    state: staged
    files:
      - name: binary
        path: /opt/k8s/bin/kube-scheduler
        link_to: kube-scheduler-v1.37.2
      - name: kubeconfig
        path: /etc/kubernetes/kube-scheduler.kubeconfig
      - name: unit
        path: /etc/systemd/system/kube-scheduler.service
        content: "{{ lookup('ansible.builtin.template', 'kube-scheduler.service.j2') }}"
    binaries:
      - path: /opt/k8s/bin/kube-scheduler-v1.37.2
        version: 1.37.2
  register: fileset

- name: Promote the staged file set
  kube_ha.scheduler.scheduler_fileset:
    state: live
    attempt: "2026-11-25T22:10:00Z"
  when: fileset.pending | length > 0

- name: Roll back to the previous file set
  kube_ha.scheduler.scheduler_fileset:
    state: previous
    attempt: "2026-11-25T22:10:00Z"
"""

RETURN = r"""
digest:
  description: Digest of the staged file set, 32 hexadecimal digits. Empty while a file of the file
    set is missing.
  returned: O(state=staged) and O(state=live)
  type: str
  sample: 5d41402abc4b2a76b9719d911017c592
lease:
  description:
    - State of the lease before the start, for
      O(kube_ha.scheduler.scheduler_info#module:previous_lease). It has the fields of
      RV(kube_ha.scheduler.scheduler_info#module:lease), without the age.
    - Null if a scheduler ran, or if the lease could not be read.
  returned: O(state=live), not in check mode
  type: dict
  sample: {holder: null, state: absent}
handover:
  description: Measured handover of the lease. Null if O(handover) is unset, or if the host did not
    lead.
  returned: O(state=live) and O(state=absent), not in check mode
  type: dict
  contains:
    holder:
      description: Hostname of the next leader.
      type: str
      sample: m2.example.com
    seconds:
      description: Seconds from the stop until the module observed that the next leader holds the
        lease.
      type: float
      sample: 0.9
    released:
      description:
        - Whether the module observed the lease without a holder. A lease that is not released must
          expire first.
      type: bool
    transitions:
      description:
        - Increase of the transition count of the lease. If the increase is above 1, the first new
          leader lost the lease again.
        - If the count did not increase, the value is 0. The count does not increase if the lock of
          the next leader has two objects, and the leader continues the count of the other object.
      type: int
      sample: 1
kept:
  description:
    - Files that the role did not create, but replaced. Each has a copy, which the module keeps.
    - If the list of the copies is damaged, C(path) is empty.
  returned: O(state=absent)
  type: list
  elements: dict
  contains:
    path:
      description: Path at which the file was.
      type: str
      sample: /etc/systemd/system/kube-scheduler.service
    copy:
      description: Path of the copy.
      type: str
      sample: /var/lib/kube-ha/kube-scheduler/original/unit
version:
  description: Version of the binary in the previous file set. Empty if the version is not recorded.
  returned: O(state=recalled)
  type: str
  sample: 1.36.1
original:
  description: Whether another installer created the previous file set.
  returned: O(state=recalled)
  type: bool
  sample: false
not_after:
  description: Time at which the certificate of the previous file set expires. Empty if the file set
    has no certificate.
  returned: O(state=recalled)
  type: str
  sample: "2027-11-25T10:00:00+00:00"
pending:
  description:
    - Names of the files whose staged and live copies differ.
    - If the unit does not run from the staged file set, the list also contains C(process).
  returned: O(state=staged)
  type: list
  elements: str
  sample: [config, process]
reasons:
  description:
    - Reasons why the unit must be restarted or enabled (O(state=staged)), or was restarted
      (O(state=live)).
    - Each element is one line.
  returned: O(state=staged) and O(state=live), not in check mode for the latter
  type: list
  elements: str
  sample: ["the process was not started from this file set"]
dry_run:
  description:
    - Whether the staged binary accepted the staged flags and configuration.
    - Null if the module skipped the dry run.
  returned: O(state=staged)
  type: bool
done:
  description: Names of the files that changed and actions that the module performed, or would
    perform in check mode.
  returned: always
  type: list
  elements: str
  sample: [config, unit, restart]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
    SystemdError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import lifecycle
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.FILESET_SPEC,
        required_if=spec.FILESET_REQUIRED_IF,
        supports_check_mode=True,
    )
    # Ansible would mask the value of every no_log option, however short, in paths and messages.
    module.no_log_values = _secrets.long_secrets(module.no_log_values)
    try:
        result = lifecycle.apply_state(module, systemd.Systemd(module.run_command), Proc())
    except (FilesetError, SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

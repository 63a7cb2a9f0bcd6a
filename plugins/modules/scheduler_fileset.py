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
  - Manages the file set of one component on a host. The role kube_scheduler uses this module.
  - A file set has three versions. C(staged) is for the next start, C(live) contains the paths that
    the unit names, and C(previous) was live before the last promotion.
  - Nothing that the running process can read changes before O(state=live). After a crash or a
    reboot before that, the host starts the live set.
  - For the leader, O(handover) waits until another member leads, before anything on the leader
    changes.
  - The unit contains a digest of everything that the process reads, so that a stale process is
    detected. The module also compares the timestamps of the files, the credentials and the program
    with the process.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
options:
  state:
    description:
      - V(prepared) creates the directories of the file set. It copies each live file to C(staged)
        if the file changed after it was last copied.
      - V(staged) converges the staged copies of the O(files) with content or a link, and computes
        the digest. The staged binary then checks its flags and configuration in a dry run
        (O(command)).
      - V(live) keeps the live set as C(previous), promotes the staged set and enables the unit. It
        restarts the unit unless the process was started from this set.
      - V(previous) restores the set that O(state=live) with the same O(attempt) replaced, and
        starts the unit. If that roll replaced nothing, or no set was live before it, it only starts
        the unit.
      - V(recalled) stages the previous set for O(state=live). It fails if there is no previous set.
      - V(absent) stops and disables the unit. It removes the promoted files, the installed binaries
        and the file set directory, and nothing else.
    type: str
    choices: [prepared, staged, live, previous, recalled, absent]
    required: true
  input:
    description:
      - The result of O(kube_ha.scheduler.scheduler_plan#module:step=variables) or
        O(kube_ha.scheduler.scheduler_plan#module:step=instance). The action plugin of this module
        takes options from it that are not set.
      - The module itself ignores this option.
    type: dict
  plan:
    description:
      - The result of O(kube_ha.scheduler.scheduler_plan#module:step=host), for the same purpose.
    type: dict
  path:
    description: File set directory, readable only by root.
    type: path
    default: /var/lib/kube-ha/kube-scheduler
  unit:
    description: Name of the systemd unit with its suffix.
    type: str
    default: kube-scheduler.service
  files:
    description:
      - The members of the set. O(state=prepared) and O(state=staged) require them; other states
        ignore them.
      - Another module writes a member with neither O(files[].content) nor O(files[].link_to) to
        C(PATH/staged/NAME).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the member and of its staged copy. Use letters, digits and C(. _ -).
        type: str
        required: true
      path:
        description: Live path of the member.
        type: path
        required: true
      content:
        description: Text of the member. C(@digest@) is replaced by the digest of the set.
        type: str
      link_to:
        description:
          - Makes the member a symbolic link to this name in the same directory.
          - If empty, the path must not exist. Only the member C(static_pod) can have an empty link.
        type: str
      mode:
        description:
          - Octal mode of a member with O(files[].content), as a string. Its owner is root.
        type: str
        default: "0644"
      digest:
        description:
          - Whether the digest of the set includes the content of the member or only its path.
          - Set V(path) for a file that the process reloads without a restart.
        type: str
        choices: [content, path]
        default: content
  binaries:
    description:
      - Binaries whose checksum is verified, or that the operator vouches for.
      - O(state=prepared) and O(state=staged) record their SHA-256.
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
          - Whether O(state=absent) removes the binary. Set V(false) for a binary that existed
            before.
          - For a recorded and unchanged binary, the first value applies.
        type: bool
        default: true
  restart:
    description:
      - Whether O(state=live) restarts the unit even if its process is not stale.
      - A process that reloads its key pair needs up to five minutes. During this time, an unhealthy
        process does not become healthy.
    type: bool
    default: false
  attempt:
    description:
      - Identifies one roll of this host for O(state=live) and O(state=previous).
      - A roll without this value cannot be rolled back.
    type: str
    default: ""
  lease:
    description:
      - The lease that O(state=live) reads before the first start on a host.
      - The module uses the kubeconfig of the set.
    type: dict
    suboptions:
      name:
        description: Name of the lease.
        type: str
        required: true
      namespace:
        description: Namespace of the lease.
        type: str
        required: true
  handover:
    description:
      - Hands over the lease, with O(state=live) and O(state=absent). On the leader, the module
        stops the unit and waits until another member has taken and renewed the lease.
      - If no member takes the lease, the module starts the unit again and fails.
      - If the host does not lead, the module stops nothing before the restart.
    type: dict
    suboptions:
      kubeconfig:
        description:
          - Path of a kubeconfig on the host with read access to the lease.
          - If systemd provides a kubeconfig to the process, the module uses that one.
        type: path
        required: true
      name:
        description: Name of the lock's object.
        type: str
        required: true
      namespace:
        description: Namespace of the lock's object.
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
      - The command line of the unit as a list, the staged binary first.
      - O(state=staged) runs it with C(--write-config-to) as O(user) before the live set changes.
        The staged files replace the live ones, and O(dry_run_flags) replace the flags that would
        disturb the running process.
      - There is no dry run in check mode, for a set that has passed before, or with a systemd
        version before 247.
    type: list
    elements: str
    default: []
  dry_run_flags:
    description:
      - Flags without dashes that replace those of O(command) in the dry run.
      - C(@port@) is replaced by a free port.
    type: dict
    default: {secure-port: "@port@"}
  dry_run_texts:
    description:
      - Texts in the staged configuration that the dry run replaces, such as the address to listen
        on.
      - C(@port@) is replaced by a free port.
    type: dict
    default: {}
  user:
    description: User of the unit.
    type: str
    default: root
  log_dir:
    description:
      - Directory for the logs of the process. O(state=staged) creates it with owner O(user) and
        mode 0755. Root owns missing parent directories.
      - The module does not change files in it.
      - The module rejects a directory below one that O(user) can write to, because the user could
        replace it with a link.
    type: path
seealso:
  - module: kube_ha.scheduler.scheduler_plan
  - module: kube_ha.scheduler.scheduler_info
"""

EXAMPLES = r"""
- name: Converge the staged set
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

- name: Promote the staged set
  kube_ha.scheduler.scheduler_fileset:
    state: live
    attempt: "2026-11-25T22:10:00Z"
  when: fileset.pending | length > 0

- name: Roll back to the previous set
  kube_ha.scheduler.scheduler_fileset:
    state: previous
    attempt: "2026-11-25T22:10:00Z"
"""

RETURN = r"""
digest:
  description: Digest of the staged set, 32 hexadecimal digits. Empty while a member is missing.
  returned: O(state=staged) and O(state=live)
  type: str
  sample: 5d41402abc4b2a76b9719d911017c592
lease:
  description:
    - The lease before the start, for O(kube_ha.scheduler.scheduler_info#module:previous_lease). It
      has the fields of RV(kube_ha.scheduler.scheduler_info#module:lease), without the age.
    - C(null) if a scheduler ran, or the lease could not be read.
  returned: O(state=live), not in check mode
  type: dict
  sample: {holder: null, state: absent}
handover:
  description: The handover of the lease. C(null) if O(handover) is unset, or the host did not lead.
  returned: O(state=live) and O(state=absent), not in check mode
  type: dict
  contains:
    holder:
      description: Hostname of the next leader.
      type: str
      sample: m2.example.com
    seconds:
      description: Seconds from the stop until the next leader was observed to hold the lease.
      type: float
      sample: 0.9
    released:
      description:
        - Whether the lease was observed without a holder. A lease that is not released must expire
          first.
      type: bool
    transitions:
      description:
        - Increase of the transition count of the lease. If it is above 1, the first new leader lost
          the lease again.
        - 0 if the count did not increase. This happens if the lock of the next leader has two
          objects, and the leader continues the count of the other object.
      type: int
      sample: 1
version:
  description: Version of the binary in the previous set. Empty if it is not recorded.
  returned: O(state=recalled)
  type: str
  sample: 1.36.1
original:
  description: Whether another installer created the previous set.
  returned: O(state=recalled)
  type: bool
  sample: false
not_after:
  description: When the certificate of the previous set expires. Empty if it has none.
  returned: O(state=recalled)
  type: str
  sample: "2027-11-25T10:00:00+00:00"
pending:
  description:
    - Names of the members whose staged and live copies differ.
    - Contains C(process) if the unit does not run from the staged set.
  returned: O(state=staged)
  type: list
  elements: str
  sample: [config, process]
reasons:
  description:
    - Why the unit must be restarted or enabled (O(state=staged)), or was restarted (O(state=live)).
    - One line for each reason.
  returned: O(state=staged) and O(state=live), not in check mode for the latter
  type: list
  elements: str
  sample: ["the process was not started from this file set"]
dry_run:
  description:
    - Whether the staged binary accepted the staged flags and configuration.
    - C(null) if there was no dry run.
  returned: O(state=staged)
  type: bool
done:
  description: What changed, or would change in check mode.
  returned: always
  type: list
  elements: str
  sample: [config, unit, restart]
"""

from ansible.module_utils.basic import AnsibleModule
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
        argument_spec=spec.FILESET,
        required_if=spec.FILESET_REQUIRED_IF,
        supports_check_mode=True,
    )
    try:
        result = lifecycle.apply_state(module, systemd.Systemd(module.run_command), Proc())
    except (FilesetError, SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

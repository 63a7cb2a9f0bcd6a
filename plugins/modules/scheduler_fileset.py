#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import (
    FILES_SPEC,
    HANDOVER_SPEC,
    LEASE_SPEC,
)

DOCUMENTATION = r"""
module: scheduler_fileset
short_description: Stage and promote the set of files that a systemd unit runs from
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - The role's own; what it does would do for any component of one systemd unit.
  - Keeps one component's files on a host as a set of three - C(staged) is what the next start shall use, C(live) is what the unit names,
    C(previous) is what was live before the last promotion.
  - Nothing that the running process could read changes before O(state=live). A crash or a reboot until then starts what ran before.
  - For the leader, O(handover) has another member lead before anything of it is changed.
  - The unit carries a digest of everything that the process will have read, so that a process older than its files is seen. What the process read is
    judged too, by the times of the files, its credentials and its program.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
options:
  state:
    description:
      - V(prepared) makes the release's folders and copies into C(staged) what is live, where the staged copy does not come from it already.
      - V(staged) converges the staged copies of the O(files) that have content or a link, computes the digest, and has the staged binary check
        its flags and its configuration in a dry run (O(command)).
      - V(live) keeps the live set as C(previous), puts in its place what was staged last, enables the unit, and restarts it unless the running process was
        started from just that.
      - V(previous) puts back what O(state=live) with the same O(attempt) has replaced, and starts the unit. Where that has replaced nothing, or where there
        was nothing before it, only the unit is started.
      - V(recalled) stages the previous set, for O(state=live) to put in place. Fails where there is none.
      - V(absent) stops and disables the unit and removes what was promoted, the binaries that were brought, and the release itself, and nothing else.
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
    description: Folder of the release, readable by root only.
    type: path
    default: /var/lib/kube-ha/kube-scheduler
  unit:
    description: Name of the systemd unit, suffix included.
    type: str
    default: kube-scheduler.service
  files:
    description:
      - The members of the set. Of use with O(state=prepared) and O(state=staged), which need them.
      - A member with neither O(files[].content) nor O(files[].link_to) is put under C(PATH/staged/NAME) by another module.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the member, and of its staged copy. Letters, digits and C(. _ -) only.
        type: str
        required: true
      path:
        description: Where the member is live.
        type: path
        required: true
      content:
        description: Text of the member. C(@digest@) stands for the digest of the set.
        type: str
      link_to:
        description: Makes the member a symbolic link to this name in the same folder. Empty, of the member C(static_pod) only, nothing is to lie there.
        type: str
      mode:
        description: Mode of a member with O(files[].content), as an octal string. Its owner is root.
        type: str
        default: "0644"
      digest:
        description: Whether the digest is of the member's content or only of its path, for a file that the process re-reads by itself.
        type: str
        choices: [content, path]
        default: content
  binaries:
    description:
      - Binaries whose checksum the caller has verified, or that the operator vouches for. Their SHA-256 is recorded, with O(state=prepared) and
        O(state=staged).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the binary.
        type: path
        required: true
      version:
        description: Its version.
        type: str
        required: true
      ours:
        description:
          - Whether O(state=absent) removes it. It has to be V(false) for a binary that was there before.
          - Of a binary that is recorded already and unchanged, what was said first stays.
        type: bool
        default: true
  restart:
    description:
      - Whether the unit is restarted even where its process would go on as it is, with O(state=live). A process that reads its pair again by itself takes up to
        five minutes, in which one that is not healthy does not become so.
    type: bool
    default: false
  attempt:
    description: Identifies one roll of this host, with O(state=live) and O(state=previous). Empty for a roll that cannot be taken back.
    type: str
    default: ""
  lease:
    description: With O(state=live), the lease that is looked at before a start where nothing ran, with the kubeconfig of the set.
    type: dict
    suboptions:
      name:
        description: Name of the lease.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
  handover:
    description:
      - With O(state=live) and O(state=absent), for a host that leads - stops the unit, and changes nothing before another member has taken the lease and
        renewed it.
      - Where nobody does, the unit is started again and the module fails. On a host that does not lead, nothing is stopped before the restart.
    type: dict
    suboptions:
      kubeconfig:
        description: Path of a kubeconfig that may read the lease, on the host. Where systemd gave one to the process, that is read.
        type: path
        required: true
      name:
        description: Name of the lock's object.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      lock:
        description: The type of the lock, such as C(leases).
        type: str
        required: true
      timeout:
        description: Seconds from the stop within which another member has to lead.
        type: float
        required: true
  command:
    description:
      - The command line of the unit as a list, the staged binary first. With O(state=staged) it is run with C(--write-config-to) as O(user) before anything
        live changes, the staged files in place of the live ones and O(dry_run_flags) in place of what would meet the running process.
      - Not run in check mode, nor again while the set is unchanged, nor by a systemd before 247.
    type: list
    elements: str
    default: []
  dry_run_flags:
    description: Flags, without dashes, that stand in O(command) in place of its own. C(@port@) stands for a free port.
    type: dict
    default: {secure-port: "@port@"}
  dry_run_texts:
    description: Texts of the staged configuration that are replaced for the dry run likewise, such as an address that it would listen on.
    type: dict
    default: {}
  user:
    description: The unit's user.
    type: str
    default: root
  log_dir:
    description:
      - Folder that the process writes its logs to. With O(state=staged) it is made and given to O(user), mode 0755; what is missing above it is made for root.
      - Nothing in it is touched. One that lies in a folder that O(user) may write is refused, since the user could put a link in its place.
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
  register: release

- name: Put it in place
  kube_ha.scheduler.scheduler_fileset:
    state: live
    attempt: "2026-11-25T22:10:00Z"
  when: release.pending | length > 0

- name: Take that back
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
    - The lease before the start, for O(kube_ha.scheduler.scheduler_info#module:previous_lease). Its fields are those of
      RV(kube_ha.scheduler.scheduler_info#module:lease), without its age.
    - C(null) where a scheduler ran, or the lease could not be read.
  returned: O(state=live), not in check mode
  type: dict
  sample: {holder: null, state: absent}
handover:
  description: The hand-over of the lease. C(null) where none was wanted, or the host did not lead.
  returned: O(state=live) and O(state=absent), not in check mode
  type: dict
  contains:
    holder:
      description: Hostname of the next leader.
      type: str
      sample: m2.example.com
    seconds:
      description: From the stop to the moment at which the next leader was seen to hold the lease.
      type: float
      sample: 0.9
    released:
      description: Whether the lease was seen without a holder. One that is not released has to expire first.
      type: bool
    transitions:
      description:
        - By how many the lease's own count of leaders rose. More than 1 says that the first one did not stay.
        - 0 where it did not rise, as when the next leader's lock has two objects and it goes on with the count of the other one.
      type: int
      sample: 1
version:
  description: Version of the previous set's binary. Empty where no record knows it.
  returned: O(state=recalled)
  type: str
  sample: 1.36.1
original:
  description: Whether the previous set is what somebody else had laid before this role.
  returned: O(state=recalled)
  type: bool
  sample: false
not_after:
  description: When the previous set's certificate expires. Empty where there is none.
  returned: O(state=recalled)
  type: str
  sample: "2027-11-25T10:00:00+00:00"
pending:
  description: Names of the members whose staged and live copies differ, and C(process) when the unit does not run from the staged set.
  returned: O(state=staged)
  type: list
  elements: str
  sample: [config, process]
reasons:
  description: Why the unit has to be restarted or enabled (O(state=staged)), or was restarted (O(state=live)), one line each.
  returned: O(state=staged) and O(state=live), not in check mode for the latter
  type: list
  elements: str
  sample: ["the process was not started from this file set"]
dry_run:
  description: Whether the staged binary has taken the staged flags and configuration. C(null) when there was no dry run.
  returned: O(state=staged)
  type: bool
done:
  description: What was changed, or would be.
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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.deploy import lifecycle
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": [*lifecycle.STATE_HANDLERS], "required": True},
            "input": {"type": "dict"},
            "plan": {"type": "dict"},
            "path": {"type": "path", "default": "/var/lib/kube-ha/kube-scheduler"},
            "unit": {"type": "str", "default": "kube-scheduler.service"},
            "files": FILES_SPEC,
            "binaries": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "version": {"type": "str", "required": True},
                    "ours": {"type": "bool", "default": True},
                },
            },
            "attempt": {"type": "str", "default": ""},
            "restart": {"type": "bool", "default": False},
            "lease": LEASE_SPEC,
            "handover": HANDOVER_SPEC,
            "command": {"type": "list", "elements": "str", "default": []},
            "dry_run_flags": {"type": "dict", "default": {"secure-port": "@port@"}},
            "dry_run_texts": {"type": "dict", "default": {}},
            "user": {"type": "str", "default": "root"},
            "log_dir": {"type": "path"},
        },
        required_if=[("state", "prepared", ["files"]), ("state", "staged", ["files"])],
        supports_check_mode=True,
    )
    try:
        result = lifecycle.apply_state(module, systemd.Systemd(module.run_command), Proc())
    except (FilesetError, SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

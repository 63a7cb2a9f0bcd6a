#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_release
short_description: Stage and promote the set of files that a systemd unit runs from
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - Keeps one component's files on a host as a set of three - C(staged) is what the next start shall use, C(live) is what the unit names,
    C(previous) is what was live before the last promotion.
  - Nothing that the running process could read changes before O(state=live). A crash or a reboot until then starts what ran before.
  - The unit carries a digest of everything that the process will have read, so that a process older than its files is seen.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
options:
  state:
    description:
      - V(prepared) makes the release's folders and copies into C(staged) what is live, where the staged copy does not come from it already.
      - V(staged) converges the staged copies of the O(files) that have content or a link, computes the digest, and asks the staged binary
        whether it takes its flags and its configuration (O(command)).
      - V(live) keeps the live set as C(previous), puts the staged set in its place, enables the unit, and restarts it unless the running process
        carries the staged digest already.
      - V(absent) stops and disables the unit and removes what was promoted and the release itself, and nothing else.
    type: str
    choices: [prepared, staged, live, absent]
    required: true
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
      - The members of the set.
      - A member with neither O(files[].content) nor O(files[].link_to) is put under C(PATH/staged/NAME) by another module.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the member, and of its staged copy.
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
        description: Makes the member a symbolic link to this name in the same folder.
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
    description: Binaries by path, whose checksum the caller has verified. Their SHA-256 is recorded.
    type: list
    elements: path
    default: []
  command:
    description:
      - The command line of the unit as a list, the staged binary first. With O(state=staged) it is run with C(--write-config-to) as O(user) before anything
        live changes, the staged files in place of the live ones and O(ask) in place of what would meet the running process.
      - Not run in check mode, nor again while the set is unchanged.
    type: list
    elements: str
    default: []
  ask:
    description: Flags, without dashes, that O(command) is asked with in place of its own. C(@port@) stands for a free port.
    type: dict
    default: {secure-port: "@port@"}
  ask_texts:
    description: Texts of the staged configuration that are replaced for the question likewise, such as an address that it would listen on.
    type: dict
    default: {}
  user:
    description: The unit's user.
    type: str
    default: root
"""

EXAMPLES = r"""
- name: Converge the staged set
  kube_ha.scheduler.scheduler_release:
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
  register: release

- name: Put it in place
  kube_ha.scheduler.scheduler_release:
    state: live
    files: "{{ files }}"
  when: release.pending | length > 0
"""

RETURN = r"""
digest:
  description: Digest of the staged set, 32 hexadecimal digits. Empty while a member is missing.
  returned: O(state=staged) and O(state=live)
  type: str
  sample: 5d41402abc4b2a76b9719d911017c592
pending:
  description: Names of the members whose staged and live copies differ, and C(process) when the unit does not run from the staged set.
  returned: O(state=staged)
  type: list
  elements: str
asked:
  description: Whether the staged binary has taken the staged flags and configuration. C(null) when it was not asked.
  returned: O(state=staged)
  type: bool
done:
  description: What was changed, or would be.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _release, _systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import FilesError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["prepared", "staged", "live", "absent"], "required": True},
            "path": {"type": "path", "default": "/var/lib/kube-ha/kube-scheduler"},
            "unit": {"type": "str", "default": "kube-scheduler.service"},
            "files": {**_release.FILES_SPEC, "required": True},
            "binaries": {"type": "list", "elements": "path", "default": []},
            "command": {"type": "list", "elements": "str", "default": []},
            "ask": {"type": "dict", "default": {"secure-port": "@port@"}},
            "ask_texts": {"type": "dict", "default": {}},
            "user": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    try:
        result = _release.run(module, _systemd.Systemd(module.run_command))
    except (_release.ReleaseError, _systemd.SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

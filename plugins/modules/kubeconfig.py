#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Declare what a kubeconfig file holds
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - Does the work of C(kubectl config set-cluster), C(set-credentials), C(set-context) and C(use-context) in one task, and writes the same file.
  - Entries are found by their name. Other entries, and fields that no option names, stay as they are.
  - Before anything is written, certificates and keys are checked, and every context that the task declares must lead to a cluster and a user.
  - The file is replaced as a whole or not at all, and its mode is V(0600) unless O(mode) says otherwise.
  - Keys are only ever read from files on the host. No key or token is returned or shown in a diff.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
  - ansible.builtin.files
requirements:
  - PyYAML (Debian C(python3-yaml), RHEL C(python3-pyyaml)) on the host
  - cryptography 3.3 or newer (C(python3-cryptography)) on the host, where an option names a certificate or a key
attributes:
  check_mode:
    details:
      - A file or library that an earlier task would have brought is warned about, and a change is foretold. One that is there and bad fails.
  diff_mode:
    details:
      - The entries that differ, certificates as subject, dates and fingerprint. Of keys and tokens only whether they change.
options:
  path:
    description:
      - The kubeconfig file, as an absolute path. Its folder must exist.
      - While it is changed, C(PATH.lock) keeps kubectl out. A lock that is there is waited for, for ten seconds, and never removed unless a
        killed run of this module left it.
    type: path
    required: true
  clusters:
    description: Where apiservers are, and how they are known.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the entry.
        type: str
        required: true
      state:
        description: Whether the entry is there.
        type: str
        choices: [present, absent]
        default: present
      server:
        description: URL of the apiserver, C(https://HOST:PORT). Needed unless the entry has one already.
        type: str
      certificate_authority:
        description:
          - File on the host with the certificates, in PEM form, of the CAs that the server's certificate is checked with.
          - Each of them has to be a CA, and at least one has to be valid now.
        type: path
      certificate_authority_data:
        description: The same as text, which is always embedded.
        type: str
      embed_certs:
        description: Whether the content of O(clusters[].certificate_authority) is put into the file in place of its path.
        type: bool
        default: false
      tls_server_name:
        description: Name to check the server's certificate with in place of the host in O(clusters[].server). An empty text removes it.
        type: str
      proxy_url:
        description: Proxy to reach the server through. An empty text removes it. Its password is in no log and no result.
        type: str
      insecure_skip_tls_verify:
        description: Whether the server's certificate goes unchecked, so that anybody can pose as the server. Removes the CA from the entry.
        type: bool
  users:
    description:
      - Who asks. A client certificate, a token, a token file and an exec plugin exclude each other.
      - Naming one of them removes the others from the entry, so that no former key lingers in the file.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the entry.
        type: str
        required: true
      state:
        description: Whether the entry is there.
        type: str
        choices: [present, absent]
        default: present
      client_certificate:
        description:
          - File on the host with the client certificate in PEM form, followed by intermediate certificates if need be.
          - It has to be the certificate of O(users[].client_key), valid now, and fit for clients.
        type: path
      client_key:
        description: File on the host with the private key of O(users[].client_certificate), not encrypted.
        type: path
      client_certificate_source:
        description:
          - Where the certificate lies now, if it is to be moved to O(users[].client_certificate) only later.
          - It is read and checked there, while the kubeconfig names O(users[].client_certificate).
        type: path
      client_key_source:
        description: The same for O(users[].client_key).
        type: path
      client_ca:
        description:
          - File on the host with the CA that has to have signed the client certificate, that is, the apiserver's C(--client-ca-file).
          - Without it, who signed the certificate is not checked.
        type: path
      client_ca_data:
        description: The same as text.
        type: str
      embed_certs:
        description:
          - Whether the content of certificate and key is put into the file in place of their paths.
          - Kubernetes re-reads files that are named by path when they change. What is embedded takes a restart.
        type: bool
        default: false
      token:
        description: Bearer token. Prefer O(users[].token_file), whose content stays out of the task.
        type: str
      token_file:
        description: File on the host with a bearer token, named in the kubeconfig by its path.
        type: path
      exec:
        description: Program that the client runs to get credentials. It is named in the file, and not run here.
        type: dict
        suboptions:
          command:
            description: The program.
            type: str
            required: true
          api_version:
            description: Version of the protocol that it speaks.
            type: str
            default: client.authentication.k8s.io/v1
          args:
            description: Its arguments, which no log and no result shows.
            type: list
            elements: str
            default: []
          env:
            description:
              - Environment variables that are set for it, which no log and no result shows.
              - Secrets do not belong here all the same, for everybody who reads the kubeconfig reads them.
            type: dict
            default: {}
          install_hint:
            description: What the client says when the program is not there.
            type: str
          interactive_mode:
            description: Whether the program may use the client's standard input.
            type: str
            choices: [Never, IfAvailable, Always]
            default: IfAvailable
          provide_cluster_info:
            description: Whether the program is told about the cluster.
            type: bool
            default: false
  contexts:
    description: Pairs of a cluster and a user. Both have to be in the file, or in this task.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the entry.
        type: str
        required: true
      state:
        description: Whether the entry is there.
        type: str
        choices: [present, absent]
        default: present
      cluster:
        description: Name of the cluster. Needed unless the entry has one already.
        type: str
      user:
        description: Name of the user. Needed unless the entry has one already.
        type: str
      namespace:
        description: Namespace that is meant when none is said. An empty text removes it.
        type: str
  current_context:
    description: Context that is used when none is said. Without this option it stays as it is, and an empty text clears it.
    type: str
  force:
    description: Replaces a file that cannot be read as a kubeconfig, which is an error otherwise. A readable one is never replaced.
    type: bool
    default: false
  backup:
    description: Keeps the former file beside the new one, with mode V(0600). The newest five are kept.
    type: bool
    default: false
  state:
    description: Whether the file is there.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Comments in the file are lost when it is changed, as with kubectl.
  - Paths below the folder of O(path) are written relative to it, as kubectl does.
seealso:
  - module: kube_ha.scheduler.x509_cert
  - module: kube_ha.scheduler.leader_info
"""

EXAMPLES = r"""
- name: Let the scheduler reach its apiserver
  kube_ha.scheduler.kubeconfig:
    path: /etc/kubernetes/kube-scheduler.kubeconfig
    clusters:
      - name: kubernetes
        server: https://192.0.2.10:6443
        certificate_authority: /etc/kubernetes/cert/ca.pem
        embed_certs: true
    users:
      - name: system:kube-scheduler
        client_certificate: /etc/kubernetes/cert/kube-scheduler.pem
        client_key: /etc/kubernetes/cert/kube-scheduler-key.pem
        client_ca: /etc/kubernetes/cert/ca.pem
        embed_certs: true
    contexts:
      - name: system:kube-scheduler
        cluster: kubernetes
        user: system:kube-scheduler
    current_context: system:kube-scheduler

- name: Name certificate and key by path, so that a renewal needs no restart
  kube_ha.scheduler.kubeconfig:
    path: /etc/kubernetes/kube-scheduler.kubeconfig
    users:
      - name: system:kube-scheduler
        client_certificate: /etc/kubernetes/cert/kube-scheduler.pem
        client_key: /etc/kubernetes/cert/kube-scheduler-key.pem
    owner: root
    group: k8s
    mode: "0640"

- name: An administrator's file with two clusters, of which the second is behind a proxy and has another name in its certificate
  kube_ha.scheduler.kubeconfig:
    path: ~/.kube/config
    clusters:
      - name: one
        server: https://192.0.2.10:6443
        certificate_authority: /etc/kubernetes/cert/ca.pem
        embed_certs: true
      - name: two
        server: https://198.51.100.10:6443
        certificate_authority: /etc/kubernetes/cert/ca.pem
        tls_server_name: kubernetes.example.com
        proxy_url: http://proxy.example.com:3128
    users:
      - name: admin
        client_certificate: ~/.kube/admin.pem
        client_key: ~/.kube/admin-key.pem
    contexts:
      - name: one
        cluster: one
        user: admin
      - name: two
        cluster: two
        user: admin
        namespace: kube-system
    current_context: one

- name: The kubeconfig of another component
  kube_ha.scheduler.kubeconfig:
    path: /etc/kubernetes/kube-controller-manager.kubeconfig
    clusters:
      - name: kubernetes
        server: https://192.0.2.10:6443
        certificate_authority: /etc/kubernetes/cert/ca.pem
    users:
      - name: system:kube-controller-manager
        client_certificate: /etc/kubernetes/cert/kube-controller-manager.pem
        client_key: /etc/kubernetes/cert/kube-controller-manager-key.pem
    contexts:
      - name: default
        cluster: kubernetes
        user: system:kube-controller-manager
    current_context: default

- name: No file
  kube_ha.scheduler.kubeconfig:
    path: /etc/kubernetes/kube-controller-manager.kubeconfig
    state: absent

- name: Forget a cluster that is gone
  kube_ha.scheduler.kubeconfig:
    path: ~/.kube/config
    clusters:
      - name: old
        state: absent
    users:
      - name: old-admin
        state: absent
    contexts:
      - name: old
        state: absent
    current_context: system:kube-scheduler
    backup: true
"""

RETURN = r"""
path:
  description: The file.
  type: str
  returned: success
  sample: /etc/kubernetes/kube-scheduler.kubeconfig
backup_file:
  description: Where the former file was kept.
  type: str
  returned: when O(backup=true) and there was one to replace or remove
  sample: /etc/kubernetes/kube-scheduler.kubeconfig.20260101T120000.000000Z.bak~
clusters:
  description: All clusters in the file, by name. In check mode, as they would be.
  type: list
  elements: dict
  returned: when O(state=present)
  contains:
    name:
      description: Name of the entry.
      type: str
      sample: kubernetes
    server:
      description: URL of the apiserver.
      type: str
      sample: https://192.0.2.10:6443
    insecure_skip_tls_verify:
      description: Whether the server's certificate goes unchecked.
      type: bool
    certificate_authority:
      description: Path of the CA, where it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/ca.pem
    certificate_authority_data:
      description: The certificates that are embedded, in the form of RV(users[].client_certificate_data). Null if there are none, or none that is readable.
      type: list
      elements: dict
      sample: [{subject: {CN: kubernetes}, serial_number: 1f3a, not_after: "2036-01-01T00:00:00Z", days_left: 3652}]
users:
  description: All users in the file, by name.
  type: list
  elements: dict
  returned: when O(state=present)
  contains:
    name:
      description: Name of the entry.
      type: str
      sample: system:kube-scheduler
    client_certificate:
      description: Path of the certificate, where it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler.pem
    client_certificate_data:
      description:
        - The certificate that is embedded, or null.
        - Where the host lacks the cryptography library, only its fingerprint.
      type: dict
      contains:
        subject:
          description: Subject, as a dictionary of attributes.
          type: dict
          sample: {CN: "system:kube-scheduler", O: "system:kube-scheduler"}
        issuer:
          description: Subject of the CA that signed it.
          type: dict
          sample: {CN: kubernetes}
        serial_number:
          description: Serial number in hexadecimal digits.
          type: str
          sample: 4f2c1b0a99887766
        not_before:
          description: Start of the validity in UTC.
          type: str
          sample: "2026-01-01T00:00:00Z"
        not_after:
          description: End of the validity in UTC.
          type: str
          sample: "2027-01-01T00:00:00Z"
        days_left:
          description: Whole days until the end of the validity. Negative once it has expired.
          type: int
          sample: 364
        fingerprint_sha256:
          description: SHA-256 of the certificate.
          type: str
          sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
    client_key:
      description: Path of the key, where it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler-key.pem
    has_key:
      description: Whether there is a key, embedded or by path.
      type: bool
    has_token:
      description: Whether there is a token, in the file or by path.
      type: bool
    exec:
      description: Program that gets the credentials.
      type: str
      sample: /usr/local/bin/get-token
contexts:
  description: All contexts in the file.
  type: list
  elements: dict
  returned: when O(state=present)
  contains:
    name:
      description: Name of the entry.
      type: str
      sample: system:kube-scheduler
    cluster:
      description: Name of the cluster.
      type: str
      sample: kubernetes
    user:
      description: Name of the user.
      type: str
      sample: system:kube-scheduler
    namespace:
      description: Namespace that is taken when none is said, or null.
      type: str
      sample: kube-system
current_context:
  description: Context that is used when none is said.
  type: str
  returned: when O(state=present)
  sample: system:kube-scheduler
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeconfigError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_module import (
    converge_kubeconfig,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_summary import (
    hide_secrets,
)


def entry_list(**options: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the argument spec of a list of entries."""
    return {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **options,
        },
    }


KUBECONFIG_ARGUMENTS: dict[str, t.Any] = {
    "path": {"type": "path", "required": True},
    "clusters": entry_list(
        server={"type": "str"},
        certificate_authority={"type": "path"},
        certificate_authority_data={"type": "str"},
        embed_certs={"type": "bool", "default": False},
        tls_server_name={"type": "str"},
        proxy_url={"type": "str", "no_log": True},
        insecure_skip_tls_verify={"type": "bool"},
    ),
    "users": entry_list(
        client_certificate={"type": "path"},
        client_key={"type": "path", "no_log": False},
        client_certificate_source={"type": "path"},
        client_key_source={"type": "path", "no_log": False},
        client_ca={"type": "path"},
        client_ca_data={"type": "str"},
        embed_certs={"type": "bool", "default": False},
        token={"type": "str", "no_log": True},
        token_file={"type": "path", "no_log": False},
        exec={
            "type": "dict",
            "options": {
                "command": {"type": "str", "required": True},
                "api_version": {"type": "str", "default": "client.authentication.k8s.io/v1"},
                "args": {"type": "list", "elements": "str", "default": [], "no_log": True},
                "env": {"type": "dict", "default": {}, "no_log": True},
                "install_hint": {"type": "str"},
                "interactive_mode": {
                    "type": "str",
                    "choices": ["Never", "IfAvailable", "Always"],
                    "default": "IfAvailable",
                },
                "provide_cluster_info": {"type": "bool", "default": False},
            },
        },
    ),
    "contexts": entry_list(
        cluster={"type": "str"}, user={"type": "str"}, namespace={"type": "str"}
    ),
    "current_context": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "backup": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=KUBECONFIG_ARGUMENTS, add_file_common_args=True, supports_check_mode=True
    )
    # Ansible would mask the value of every no_log option, however short, in all paths and messages.
    # Results contain none of these values except tokens.
    module.no_log_values = {
        entry["token"] for entry in module.params["users"] or () if entry["token"]
    }
    invocation = {"module_args": hide_secrets(module.params)}
    try:
        result = converge_kubeconfig(module)
    except (FilesError, KubeconfigError) as exc:
        module.fail_json(msg=str(exc), invocation=invocation)
    module.exit_json(**result, invocation=invocation)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Manage a kubeconfig file
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - Replaces C(kubectl config set-cluster), C(set-credentials), C(set-context) and C(use-context) by
    one task. Writes the same file as these commands.
  - The name identifies an entry. Other entries, and fields without an option, stay unchanged.
  - Before the module writes the file, it checks the certificates and keys. Every declared context
    must refer to an existing cluster and user.
  - The module replaces the file atomically. The default mode is V(0600).
  - Keys are only read from files on the host. No result and no diff contains a key or token.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
  - ansible.builtin.files
requirements:
  - PyYAML (Debian C(python3-yaml), RHEL C(python3-pyyaml)) on the host
  - cryptography 3.3 or newer (C(python3-cryptography)) on the host, if an option refers to a
    certificate or a key
attributes:
  check_mode:
    details:
      - If a file or library is missing, the module warns and predicts a change, because an earlier
        task can create it.
      - If a file exists but is not valid, the module fails.
  diff_mode:
    details:
      - Shows the entries that differ. Certificates are shown as subject, dates and fingerprint.
      - For keys and tokens, it only shows whether they change.
options:
  path:
    description:
      - Absolute path of the kubeconfig file. Its directory must exist.
      - During a change, C(PATH.lock) prevents changes by kubectl. The module waits at most ten
        seconds for an existing lock.
      - It never removes a lock, except that of a killed run of this module.
    type: path
    required: true
  clusters:
    description: The clusters, each with its apiserver and the CA.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the entry.
        type: str
        required: true
      state:
        description: Whether the entry exists.
        type: str
        choices: [present, absent]
        default: present
      server:
        description:
          - URL of the apiserver, C(https://HOST:PORT). Required unless the entry already has one.
        type: str
      certificate_authority:
        description:
          - File on the host with the CA certificates in PEM format that verify the server's
            certificate.
          - Each of them must be a CA, and at least one must be valid now.
        type: path
      certificate_authority_data:
        description: The same certificates as text. They are always embedded.
        type: str
      embed_certs:
        description:
          - Whether to embed the content of O(clusters[].certificate_authority) instead of its path.
        type: bool
        default: false
      tls_server_name:
        description:
          - Name in the server's certificate, by default the host of O(clusters[].server). Empty
            text removes the field.
        type: str
      proxy_url:
        description:
          - URL of the proxy to the server. Empty text removes the field. No log and no result
            contains its password.
        type: str
      insecure_skip_tls_verify:
        description:
          - Whether clients skip the verification of the server's certificate. This is not secure.
            Removes the CA from the entry.
        type: bool
  users:
    description:
      - The users. A client certificate, a token, a token file and an exec plugin exclude each
        other.
      - Setting one of them removes the others from the entry, so that no previous key remains in
        the file.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the entry.
        type: str
        required: true
      state:
        description: Whether the entry exists.
        type: str
        choices: [present, absent]
        default: present
      client_certificate:
        description:
          - File on the host with the client certificate in PEM format, followed by intermediate
            certificates if necessary.
          - It must match O(users[].client_key), be valid now, and be a client certificate.
        type: path
      client_key:
        description:
          - File on the host with the private key of O(users[].client_certificate), not encrypted.
        type: path
      client_certificate_source:
        description:
          - Current path of the certificate, if a later step moves it to
            O(users[].client_certificate).
          - The module reads and checks this file. The kubeconfig refers to
            O(users[].client_certificate).
        type: path
      client_key_source:
        description: The same for O(users[].client_key).
        type: path
      client_ca:
        description:
          - File on the host with the CA that must have signed the client certificate, that is, the
            apiserver's C(--client-ca-file).
          - Without it, the issuer of the certificate is not checked.
        type: path
      client_ca_data:
        description: The same CA as text.
        type: str
      embed_certs:
        description:
          - Whether to embed the content of certificate and key instead of their paths.
          - Kubernetes reads changed files again if the kubeconfig contains their paths. Embedded
            data requires a restart.
        type: bool
        default: false
      token:
        description:
          - Bearer token. Prefer O(users[].token_file), because the task then does not contain the
            token.
        type: str
      token_file:
        description: File on the host with a bearer token. The kubeconfig contains its path.
        type: path
      exec:
        description: Program that the client runs to get credentials. The module does not run it.
        type: dict
        suboptions:
          command:
            description: The program.
            type: str
            required: true
          api_version:
            description: API version of the program.
            type: str
            default: client.authentication.k8s.io/v1
          args:
            description: Arguments of the program. No log and no result contains them.
            type: list
            elements: str
            default: []
          env:
            description:
              - Environment variables of the program. No log and no result contains them.
              - Do not use them for secrets, because every reader of the kubeconfig can read them.
            type: dict
            default: {}
          install_hint:
            description: Text that the client shows if the program is missing.
            type: str
          interactive_mode:
            description: Whether the program may use the client's standard input.
            type: str
            choices: [Never, IfAvailable, Always]
            default: IfAvailable
          provide_cluster_info:
            description: Whether the client passes data of the cluster to the program.
            type: bool
            default: false
  contexts:
    description: Pairs of a cluster and a user. Both must exist in the file or in this task.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the entry.
        type: str
        required: true
      state:
        description: Whether the entry exists.
        type: str
        choices: [present, absent]
        default: present
      cluster:
        description: Name of the cluster. Required unless the entry already has one.
        type: str
      user:
        description: Name of the user. Required unless the entry already has one.
        type: str
      namespace:
        description: Default namespace. Empty text removes the field.
        type: str
  current_context:
    description: Default context. Without this option, it stays unchanged. Empty text clears it.
    type: str
  force:
    description:
      - Whether to replace a file that is not a valid kubeconfig. A valid one is never replaced.
        Without this option, the module fails.
    type: bool
    default: false
  backup:
    description:
      - Whether to keep the previous file in the same directory, with mode V(0600). The newest five
        are kept.
    type: bool
    default: false
  state:
    description: Whether the file exists.
    type: str
    choices: [present, absent]
    default: present
notes:
  - A change removes the comments in the file, as with kubectl.
  - Paths below the directory of O(path) are written relative to it, as kubectl does.
seealso:
  - module: kube_ha.scheduler.x509_cert
  - module: kube_ha.scheduler.leader_info
"""

EXAMPLES = r"""
- name: Configure access of the scheduler to its apiserver
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

- name: Refer to certificate and key by path, so that a renewal needs no restart
  kube_ha.scheduler.kubeconfig:
    path: /etc/kubernetes/kube-scheduler.kubeconfig
    users:
      - name: system:kube-scheduler
        client_certificate: /etc/kubernetes/cert/kube-scheduler.pem
        client_key: /etc/kubernetes/cert/kube-scheduler-key.pem
    owner: root
    group: k8s
    mode: "0640"

- name: Create an administrator's file with two clusters, the second behind a proxy
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

- name: Create the kubeconfig of another component
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

- name: Remove the file
  kube_ha.scheduler.kubeconfig:
    path: /etc/kubernetes/kube-controller-manager.kubeconfig
    state: absent

- name: Remove a cluster
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
  description: Path of the backup of the previous file.
  type: str
  returned: when O(backup=true) and a file was replaced or removed
  sample: /etc/kubernetes/kube-scheduler.kubeconfig.20260101T120000.000000Z.bak~
clusters:
  description: All clusters in the file, by name. In check mode, those of the predicted file.
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
      description: Whether clients skip the verification of the server's certificate.
      type: bool
    certificate_authority:
      description: Path of the CA, if it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/ca.pem
    certificate_authority_data:
      description:
        - The embedded certificates, as in RV(users[].client_certificate_data). Null if there are
          none, or if none can be read.
      type: list
      elements: dict
      sample:
        - {subject: {CN: kubernetes}, not_after: "2036-01-01T00:00:00Z", days_left: 3652}
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
      description: Path of the certificate, if it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler.pem
    client_certificate_data:
      description:
        - The embedded certificate, or null.
        - Without the cryptography library on the host, only its fingerprint.
      type: dict
      contains:
        subject:
          description: Subject, as a dictionary of attributes.
          type: dict
          sample: {CN: "system:kube-scheduler", O: "system:kube-scheduler"}
        issuer:
          description: Subject of the issuing CA.
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
          description: Full days until the end of the validity. Negative after the expiry.
          type: int
          sample: 364
        fingerprint_sha256:
          description: SHA-256 of the certificate.
          type: str
          sample:
            1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
    client_key:
      description: Path of the key, if it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler-key.pem
    has_key:
      description: Whether the user has a key, embedded or by path.
      type: bool
    has_token:
      description: Whether the user has a token, in the file or by path.
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
      description: Default namespace, or null.
      type: str
      sample: kube-system
current_context:
  description: Default context.
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

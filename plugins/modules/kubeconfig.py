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
  - One task replaces C(kubectl config set-cluster), C(set-credentials), C(set-context) and
    C(use-context), and writes the same file as these commands.
  - The name identifies an entry. The module keeps the entries that the task does not name, and the
    fields that no option sets.
  - Before the module writes the file, it checks the certificates and keys. Every declared context
    must refer to an existing cluster and user.
  - The module replaces the file atomically. The default mode is V(0600).
  - The module reads keys only from files on the host. Results and diffs never contain a key or a
    token.
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
      - The diff contains the entries that change. The diff shows the subject, the dates and the
        fingerprint of each certificate.
      - For keys and tokens, the diff only shows whether they change.
options:
  path:
    description:
      - Absolute path of the kubeconfig file. Its directory must exist.
      - While the module changes the file, the lock file C(PATH.lock) prevents changes by kubectl.
        If another process holds the lock file, the module waits at most ten seconds.
      - The module never removes a lock file, except one that a killed run of this module left.
    type: path
    required: true
  clusters:
    description: Cluster entries of the kubeconfig. Each entry contains the URL of an apiserver and
      its CA certificates.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the cluster entry.
        type: str
        required: true
      state:
        description: Whether the cluster entry exists.
        type: str
        choices: [present, absent]
        default: present
      server:
        description:
          - URL of the apiserver, C(https://HOST:PORT). The option is required unless the existing
            entry already has a URL.
        type: str
      certificate_authority:
        description:
          - Path on the host of the CA certificates that verify the certificate of the apiserver, in
            PEM format.
          - Each certificate must belong to a CA, and at least one must be valid now.
        type: path
      certificate_authority_data:
        description: CA certificates as PEM text, instead of O(clusters[].certificate_authority).
          The module always embeds this text.
        type: str
      embed_certs:
        description:
          - Whether to embed the content of O(clusters[].certificate_authority) in the kubeconfig
            instead of its path.
        type: bool
        default: false
      tls_server_name:
        description:
          - Name that the certificate of the apiserver must contain. The default is the host in
            O(clusters[].server). An empty string removes the field.
        type: str
      proxy_url:
        description:
          - URL of the proxy for connections to the apiserver. An empty string removes the field.
          - Logs and results never contain the password in the URL.
        type: str
      insecure_skip_tls_verify:
        description:
          - Whether clients skip the verification of the apiserver's certificate, which is not
            secure.
          - If V(true), the module removes the CA certificates from the entry.
        type: bool
  users:
    description:
      - User entries of the kubeconfig. Each entry can contain only one of client certificate,
        token, token file and exec plugin.
      - If a task sets one of these credentials, the module removes the remaining credentials from
        the entry. No previous key then remains in the file.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the user entry.
        type: str
        required: true
      state:
        description: Whether the user entry exists.
        type: str
        choices: [present, absent]
        default: present
      client_certificate:
        description:
          - Path on the host of the client certificate in PEM format, followed by intermediate
            certificates if necessary.
          - The certificate must match O(users[].client_key), be valid now, and be a client
            certificate.
        type: path
      client_key:
        description:
          - Path on the host of the private key of O(users[].client_certificate). The key must not
            be encrypted.
        type: path
      client_certificate_source:
        description:
          - Current path of the certificate, if a later step moves it to
            O(users[].client_certificate).
          - The module reads and checks this file. The kubeconfig refers to
            O(users[].client_certificate).
        type: path
      client_key_source:
        description: Current path of the private key, if a later step moves it to
          O(users[].client_key).
        type: path
      client_ca:
        description:
          - Path on the host of the CA certificate that must have signed the client certificate. The
            apiserver must trust this CA (C(--client-ca-file)).
          - If neither this option nor O(users[].client_ca_data) is set, the module does not check
            the issuer of the client certificate.
        type: path
      client_ca_data:
        description: CA certificate as PEM text, instead of O(users[].client_ca).
        type: str
      embed_certs:
        description:
          - Whether to embed the client certificate and its key in the kubeconfig instead of their
            paths.
          - If the kubeconfig contains the paths, Kubernetes components reload changed files. A
            change of embedded data requires a restart.
        type: bool
        default: false
      token:
        description:
          - Bearer token of the user. Prefer O(users[].token_file), because the task then does not
            contain the token.
        type: str
      token_file:
        description: Path on the host of a file with the bearer token of the user. The kubeconfig
          contains this path.
        type: path
      exec:
        description: Exec plugin, a program that the client runs to get credentials. The module
          never runs the plugin.
        type: dict
        suboptions:
          command:
            description: Name or path of the exec plugin.
            type: str
            required: true
          api_version:
            description: API version that the exec plugin uses.
            type: str
            default: client.authentication.k8s.io/v1
          args:
            description: Arguments of the exec plugin. Logs and results never contain these
              arguments.
            type: list
            elements: str
            default: []
          env:
            description:
              - Environment variables of the exec plugin. Logs and results never contain these
                variables.
              - Do not use environment variables for secrets, because every reader of the kubeconfig
                can read them.
            type: dict
            default: {}
          install_hint:
            description: Text that the client shows if the exec plugin is missing.
            type: str
          interactive_mode:
            description: Whether the exec plugin can use the standard input of the client.
            type: str
            choices: [Never, IfAvailable, Always]
            default: IfAvailable
          provide_cluster_info:
            description: Whether the client passes information about the cluster to the exec plugin.
            type: bool
            default: false
  contexts:
    description: Context entries of the kubeconfig. Each entry combines a cluster and a user, which
      must exist in the file or in this task.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the context entry.
        type: str
        required: true
      state:
        description: Whether the context entry exists.
        type: str
        choices: [present, absent]
        default: present
      cluster:
        description: Name of the cluster entry. The option is required unless the existing context
          already has a cluster.
        type: str
      user:
        description: Name of the user entry. The option is required unless the existing context
          already has a user.
        type: str
      namespace:
        description: Default namespace of the context. An empty string removes the field.
        type: str
  current_context:
    description:
      - Name of the default context. An empty string removes the field.
      - Without this option, the default context stays unchanged.
    type: str
  force:
    description:
      - Whether to replace an existing file that is not a valid kubeconfig. With V(false), the
        module fails instead.
      - This option does not affect a valid kubeconfig.
    type: bool
    default: false
  backup:
    description:
      - Whether to keep a copy of the previous file in the same directory, with mode V(0600).
      - The module keeps the newest five copies.
    type: bool
    default: false
  state:
    description: Whether the kubeconfig file exists.
    type: str
    choices: [present, absent]
    default: present
notes:
  - If the module changes the file, it removes the comments, as kubectl does.
  - The module writes paths below the directory of O(path) relative to this directory, as kubectl
    does.
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

- name: Create the kubeconfig of an administrator for two clusters
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

- name: Remove a kubeconfig
  kube_ha.scheduler.kubeconfig:
    path: /etc/kubernetes/kube-controller-manager.kubeconfig
    state: absent

- name: Remove a cluster, its user and its context from a kubeconfig
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
  description: Path of the kubeconfig file.
  type: str
  returned: success
  sample: /etc/kubernetes/kube-scheduler.kubeconfig
backup_file:
  description: Path of the backup of the previous file.
  type: str
  returned: when O(backup=true) and a file was replaced or removed
  sample: /etc/kubernetes/kube-scheduler.kubeconfig.20260101T120000.000000Z.bak~
clusters:
  description: All cluster entries in the file, sorted by name. In check mode, the entries that the
    file would contain.
  type: list
  elements: dict
  returned: when O(state=present)
  contains:
    name:
      description: Name of the cluster entry.
      type: str
      sample: kubernetes
    server:
      description: URL of the apiserver.
      type: str
      sample: https://192.0.2.10:6443
    insecure_skip_tls_verify:
      description: Whether clients skip the verification of the apiserver's certificate.
      type: bool
    certificate_authority:
      description: Path of the CA certificates, if they are not embedded.
      type: str
      sample: /etc/kubernetes/cert/ca.pem
    certificate_authority_data:
      description:
        - Embedded CA certificates, each with the fields of RV(users[].client_certificate_data).
          Null if no certificate is embedded or readable.
      type: list
      elements: dict
      sample:
        - {subject: {CN: kubernetes}, not_after: "2036-01-01T00:00:00Z", days_left: 3652}
users:
  description: All user entries in the file, sorted by name.
  type: list
  elements: dict
  returned: when O(state=present)
  contains:
    name:
      description: Name of the user entry.
      type: str
      sample: system:kube-scheduler
    client_certificate:
      description: Path of the client certificate, if it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler.pem
    client_certificate_data:
      description:
        - Embedded client certificate, or null if no certificate is embedded.
        - If the host lacks the cryptography library, only the fingerprint of the certificate.
      type: dict
      contains:
        subject:
          description: Subject of the certificate, as a dictionary of attributes.
          type: dict
          sample: {CN: "system:kube-scheduler", O: "system:kube-scheduler"}
        issuer:
          description: Subject of the CA that issued the certificate.
          type: dict
          sample: {CN: kubernetes}
        serial_number:
          description: Serial number of the certificate in hexadecimal digits.
          type: str
          sample: 4f2c1b0a99887766
        not_before:
          description: Start of the certificate's validity in UTC.
          type: str
          sample: "2026-01-01T00:00:00Z"
        not_after:
          description: End of the certificate's validity in UTC.
          type: str
          sample: "2027-01-01T00:00:00Z"
        days_left:
          description: Full days until the certificate expires, negative after the expiry.
          type: int
          sample: 364
        fingerprint_sha256:
          description: SHA-256 fingerprint of the certificate.
          type: str
          sample:
            1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
    client_key:
      description: Path of the client key, if it is not embedded.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler-key.pem
    has_key:
      description: Whether the user entry contains a key or the path of a key.
      type: bool
    has_token:
      description: Whether the user entry contains a token or the path of a token file.
      type: bool
    exec:
      description: Name or path of the exec plugin that gets the credentials of the user.
      type: str
      sample: /usr/local/bin/get-token
contexts:
  description: All context entries in the file, sorted by name.
  type: list
  elements: dict
  returned: when O(state=present)
  contains:
    name:
      description: Name of the context entry.
      type: str
      sample: system:kube-scheduler
    cluster:
      description: Name of the cluster entry that the context uses.
      type: str
      sample: kubernetes
    user:
      description: Name of the user entry that the context uses.
      type: str
      sample: system:kube-scheduler
    namespace:
      description: Default namespace of the context, or null.
      type: str
      sample: kube-system
current_context:
  description: Name of the default context.
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

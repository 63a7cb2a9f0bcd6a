#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: x509_cert
short_description: Create and renew a private key and its certificate
version_added: 1.0.0
description:
  - One task generates a private key and issues a certificate for it, signed by a CA.
  - The module renews the certificate if it is in its renewal window or differs from the task.
  - The private key is generated on the host that runs the module and never leaves it. The option
    O(ca_on) sets the location of the CA key.
  - With O(ca_on=controller), the target sends a signing request, and the controller signs it. With
    O(ca_on=external), an external CA signs the request.
  - The task alone sets subject, names, usages and validity. The signing request supplies only the
    public key and the proof of possession. The module rejects a request with other content.
  - The module can also create a self-signed CA, for labs and small clusters.
  - The module works for every component that needs a certificate, not only for kube-scheduler.
requirements:
  - Python 3.9 or newer
  - cryptography 3.3 or newer (C(python3-cryptography) in Debian, Ubuntu, Fedora and RHEL) on the
    host that runs the module
extends_documentation_fragment:
  - ansible.builtin.files
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.files
attributes:
  idempotent:
    support: partial
    details:
      - With O(force=true) or O(regenerate=always), every run issues a certificate.
options:
  path:
    description:
      - Path of the certificate on the target, in PEM format. Its mode is always V(0644).
      - The options O(owner), O(group) and the options for SELinux apply to the certificate and the
        key.
    type: path
    required: true
  privatekey_path:
    description:
      - Path of the private key on the target, in PEM format. Its directory must exist.
    type: path
    required: true
  mode:
    description:
      - Mode of the private key file. The default is V(0600), also for an existing file.
    type: raw
  privatekey_type:
    description:
      - Type of the private key. With V(ECC), O(privatekey_curve) selects the curve.
    type: str
    choices: [RSA, ECC, Ed25519]
    default: RSA
  privatekey_size:
    description:
      - Size of an RSA key in bits, from 2048 to 8192.
      - If not set, a new key has 2048 bits, and an existing key can have any size in this range.
    type: int
  privatekey_curve:
    description:
      - Curve of an ECC key. The choices are the NIST curves P-256, P-384 and P-521.
      - If not set, a new key uses V(secp256r1), and an existing key can use any of the choices.
    type: str
    choices: [secp256r1, secp384r1, secp521r1]
  privatekey_format:
    description:
      - Format of the private key. V(traditional) is PKCS#1 for RSA and SEC1 for ECC, as
        C(openssl) and C(cfssl) write it.
      - With V(auto), a new key is written as PKCS#8, and an existing key can have either format.
    type: str
    choices: [auto, pkcs8, traditional]
    default: auto
  privatekey_passphrase_file:
    description:
      - Path of a file on the target. Its first line is the passphrase of the private key.
      - If not set, the key is not encrypted.
    type: path
  regenerate:
    description:
      - Action if an existing private key differs from the task. If the key is replaced, the
        certificate is renewed.
      - V(never) accepts any readable key that is not weak.
      - V(fail) fails with an error that names the difference.
      - V(partial) replaces a key of another type, size or curve. If a key has another format or
        encryption, V(partial) rewrites the same key. If the key cannot be read, the module fails.
      - V(full) also replaces a key that cannot be read or decrypted.
      - V(always) generates a new key in every run.
    type: str
    choices: [never, fail, partial, full, always]
    default: fail
  subject:
    description:
      - Attributes of the subject. Each value is a string or a list of strings.
      - The keys are C, ST, L, O, OU, CN, emailAddress and serialNumber, or their long names, such
        as commonName. C is two capital letters.
    type: dict
    default: {}
  names:
    description:
      - Further attributes of the subject, in the format of C(names) in a CSR file of C(cfssl).
    type: list
    elements: dict
    default: []
  subject_alt_name:
    description:
      - Names and addresses for which the certificate is valid.
      - A prefix V(DNS:), V(IP:), V(email:) or V(URI:) sets the type of an entry. Without a prefix,
        the module detects the type.
      - The module encodes international domain names as C(xn--).
    type: list
    elements: str
    default: []
  key_usage:
    description:
      - Key usages, with the names of C(openssl) (V(digitalSignature)) or C(cfssl)
        (V(digital signature)).
      - If neither this option nor a profile sets usages, the default is C(digitalSignature) and
        C(keyEncipherment), or for a CA C(keyCertSign) and C(cRLSign). A certificate without
        C(serverAuth) has only C(digitalSignature) by default.
      - The module omits a usage that the key type does not allow, such as C(keyEncipherment) for
        all types except RSA.
    type: list
    elements: str
  extended_key_usage:
    description:
      - Extended key usages, with the names of C(openssl) (V(clientAuth)) or C(cfssl)
        (V(client auth)).
      - Another usage is set by its object identifier, such as V(1.3.6.1.5.5.7.3.17).
      - If neither this option nor a profile sets usages, the default is C(clientAuth) and
        C(serverAuth). A CA has none by default.
    type: list
    elements: str
  digest:
    description:
      - Digest of the signature. If the key of the CA is Ed25519, do not set this option.
      - If not set, a new certificate gets the digest that C(cfssl) uses for the key of the CA. An
        existing certificate can have any of the choices.
    type: str
    choices: [sha256, sha384, sha512]
  valid_for:
    description:
      - Validity of a new certificate from now on, as a Go duration such as V(8760h), V(1h30m) or
        V(1.5h).
      - If neither this option nor a profile sets a value, the default is V(8760h).
      - A change of this value alone does not renew a certificate.
    type: str
  backdate:
    description:
      - Period by which the validity of a new certificate begins in the past, as a Go duration. This
        period allows for hosts whose clocks are behind.
      - If neither this option nor a profile sets a value, the default is V(5m). A certificate never
        begins before its CA.
    type: str
  is_ca:
    description:
      - Whether the certificate is for a CA. Without O(ca_path), the module issues a self-signed
        certificate.
    type: bool
    default: false
  path_length:
    description:
      - Maximum number of CAs below the CA of this certificate. Without this option, the number has
        no limit.
    type: int
  name_constraints:
    description:
      - Names for which the CA of this certificate can sign. Each entry begins with V(DNS:),
        V(email:) or V(IP:). The value after V(IP:) is a network.
    type: dict
    suboptions:
      permitted:
        description: Subtrees of names for which the CA can sign.
        type: list
        elements: str
        default: []
      excluded:
        description: Subtrees of names for which the CA cannot sign.
        type: list
        elements: str
        default: []
  ca_path:
    description:
      - Path of the CA certificate, at the location of O(ca_on). If the file has several
        certificates, the certificate that belongs to O(ca_privatekey_path) signs.
      - The module searches a relative path on the controller as M(ansible.builtin.copy) does.
    type: path
  ca_privatekey_path:
    description:
      - Path of the CA's private key, at the location of O(ca_on). Only its owner and group can have
        read permission, and only its owner can have write permission.
      - On the controller, Ansible Vault can encrypt this file, and each other file of the task.
      - On the controller, the key is read as the user that runs Ansible, never with become.
    type: path
  ca_privatekey_passphrase_file:
    description:
      - Path of a file at the location of O(ca_on). Its first line is the passphrase of the CA's
        private key.
    type: path
  ca_on:
    description:
      - Location of O(ca_path), O(ca_privatekey_path), O(ca_privatekey_passphrase_file) and
        O(ca_config).
      - With V(controller), the CA is checked completely before the first connection to the target.
        Only the certificate of the CA leaves the controller.
      - With V(external), O(ca_path) on the controller contains one or several certificates of an
        external CA. The module writes the signing request of the target to O(csr_path). A later run
        installs the certificate from O(certificate_source).
      - Until the external CA has issued a certificate, the existing key pair stays. If that key
        pair cannot be used, the task fails.
    type: str
    choices: [target, controller, external]
    default: target
  csr_path:
    description:
      - Path of the signing request on the controller, with O(ca_on=external). The request contains
        the subject, names and usages of the task.
      - The module rewrites the request only if it is for another key or differs from the task.
    type: path
  certificate_source:
    description:
      - Path, on the controller, of the issued certificate and its intermediates, with
        O(ca_on=external). You or your CA create this file.
      - The certificate can have more names than the task, and other attributes of the subject than
        CN and O.
    type: path
  ca_config:
    description:
      - Path of a C(cfssl) configuration (C(ca-config.json)), at the location of O(ca_on). The
        profile in O(profile) sets usages, expiry and backdate.
      - An option of the task overrides the profile.
    type: path
  profile:
    description:
      - Name of the profile in O(ca_config). Without this option, the default profile of the
        configuration applies.
    type: str
  renew_before:
    description:
      - Length of the renewal window at the end of the validity, as a Go duration or as a percentage
        of O(valid_for), such as V(33%).
      - If a new certificate could not end later because of its CA, the module does not renew the
        certificate.
      - With O(ca_on=external), the module writes a new signing request in the renewal window if
        necessary. A percentage refers to the validity of the existing certificate.
    type: str
    default: 720h
  not_after_policy:
    description:
      - Action if a certificate would end after its CA. V(fail) fails the task. V(clamp) issues a
        certificate that ends with the CA.
    type: str
    choices: [fail, clamp]
    default: fail
  replace:
    description:
      - SHA-256 fingerprints of certificates to replace, in the format of RV(fingerprint_sha256).
      - If the existing certificate is listed, the module issues a certificate for a new key. With
        O(regenerate=never), the key stays. A second run changes nothing.
    type: list
    elements: str
    default: []
  force:
    description:
      - Whether to issue a certificate in every run. The private key stays.
    type: bool
    default: false
  backup:
    description:
      - Whether to keep copies of the previous private key and certificate in the same directory as
        C(NAME.TIME.bak~), with mode V(0600). The module keeps the newest five copies.
    type: bool
    default: false
  state:
    description:
      - Whether the private key and the certificate exist.
    type: str
    choices: [present, absent]
    default: present
  _ca_certificate:
    description:
      - CA certificate from the controller, as PEM text. Only the action plugin sets this option.
    type: str
  _certificate:
    description:
      - Certificate that the controller or the external CA signed, as PEM text. Only the action
        plugin sets this option.
    type: str
  _request:
    description:
      - Existing signing request from the controller, as PEM text. Only the action plugin sets this
        option.
    type: str
notes:
  - The module stages a new key and its certificate next to the existing files, then replaces both
    files at the same moment. A killed run leaves the previous key pair or the new key pair. The
    next run uses or removes the temporary files.
  - If the key and the certificate are on two file systems, the module replaces the key first. If a
    run is killed between the two replacements, the next run repairs the key pair.
  - As root, the module rejects a directory that an unprivileged user can write to, and every
    directory below it. Sticky directories such as C(/tmp) are allowed.
  - O(unsafe_writes) has no effect. If a rename cannot replace a file, the module fails. An example
    is a file that is mounted into a container.
  - In check mode, the module warns about a missing item that an earlier task can create. Examples
    are the CA on the target, a directory and the library.
seealso:
  - module: kube_ha.scheduler.kubeconfig
  - name: community.crypto
    description: Modules for signing requests, revocation lists, PKCS#12 and ACME.
    link: https://docs.ansible.com/ansible/latest/collections/community/crypto/
  - name: cfssl
    description: The tool that defines the formats of C(ca-config.json) and O(names).
    link: https://github.com/cloudflare/cfssl
author:
  - the kube_ha.scheduler authors (@kube-ha)
"""

EXAMPLES = r"""
- name: Create a CA for a lab
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/ca.pem
    privatekey_path: /etc/kubernetes/cert/ca-key.pem
    subject:
      CN: kubernetes
    is_ca: true
    valid_for: 87600h

- name: Issue the key pair of a kube-scheduler with a CA on the controller
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    subject:
      CN: system:kube-scheduler
      O: system:kube-scheduler
    subject_alt_name:
      - 127.0.0.1
      - 172.27.129.105
    ca_on: controller
    ca_path: /etc/kubernetes/cert/ca.pem
    ca_privatekey_path: /etc/kubernetes/cert/ca-key.pem

- name: Request the certificate of a kube-scheduler from an external CA
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    subject:
      CN: system:kube-scheduler
      O: system:kube-scheduler
    subject_alt_name:
      - 127.0.0.1
      - 172.27.129.105
    ca_on: external
    ca_path: /srv/pki/ca.pem
    csr_path: "/srv/pki/{{ inventory_hostname }}.csr"
    certificate_source: "/srv/pki/{{ inventory_hostname }}.pem"

- name: Issue a key pair with a cfssl configuration, with read permission for the group k8s
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    owner: root
    group: k8s
    mode: "0640"
    subject:
      CN: system:kube-scheduler
    names:
      - C: CN
        ST: BeiJing
        L: BeiJing
        O: system:kube-scheduler
        OU: 4Paradigm
    subject_alt_name:
      - 127.0.0.1
    ca_on: controller
    ca_path: /etc/kubernetes/cert/ca.pem
    ca_privatekey_path: /etc/kubernetes/cert/ca-key.pem
    ca_config: /etc/kubernetes/cert/ca-config.json
    profile: kubernetes
    renew_before: 33%
    not_after_policy: clamp

- name: Issue the key pair of etcd with an ECC key, and renew it in the last third
  kube_ha.scheduler.x509_cert:
    path: /etc/etcd/peer.pem
    privatekey_path: /etc/etcd/peer-key.pem
    privatekey_type: ECC
    privatekey_curve: secp256r1
    owner: etcd
    group: etcd
    subject:
      CN: "{{ inventory_hostname }}"
    subject_alt_name:
      - "{{ inventory_hostname }}"
      - "{{ ansible_host }}"
    valid_for: 2160h
    renew_before: 33%
    ca_on: controller
    ca_path: pki/etcd-ca.pem
    ca_privatekey_path: pki/etcd-ca-key.pem

- name: Create an intermediate CA that signs certificates only for the names of one cluster
  kube_ha.scheduler.x509_cert:
    path: pki/cluster-ca.pem
    privatekey_path: pki/cluster-ca-key.pem
    privatekey_passphrase_file: pki/passphrase
    is_ca: true
    path_length: 0
    name_constraints:
      permitted:
        - DNS:example.com
        - IP:192.0.2.0/24
    subject:
      CN: cluster
    valid_for: 43800h
    ca_path: pki/root-ca.pem
    ca_privatekey_path: pki/root-ca-key.pem
    ca_privatekey_passphrase_file: pki/root-passphrase
  delegate_to: localhost
  run_once: true

- name: Issue a new certificate for the existing key
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    subject:
      CN: system:kube-scheduler
    ca_path: /etc/kubernetes/cert/ca.pem
    ca_privatekey_path: /etc/kubernetes/cert/ca-key.pem
    force: true
    backup: true

- name: Replace the key pair if its key cannot be read
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    regenerate: full
    subject:
      CN: system:kube-scheduler
    ca_path: /etc/kubernetes/cert/ca.pem
    ca_privatekey_path: /etc/kubernetes/cert/ca-key.pem
  register: pair

- name: Show the end of the certificate and the reasons to issue it
  ansible.builtin.debug:
    msg: "{{ pair.not_after }}, {{ pair.days_left }} days: {{ pair.reasons | join('; ') }}"

- name: Remove the key and the certificate
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    state: absent

- name: Replace a key pair whose key may have leaked
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/ca-reader.pem
    privatekey_path: /etc/kubernetes/cert/ca-reader-key.pem
    subject:
      CN: reader
    ca_path: /etc/kubernetes/cert/ca.pem
    ca_privatekey_path: /etc/kubernetes/cert/ca-key.pem
    replace:
      - 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
"""

RETURN = r"""
reasons:
  description:
    - Reasons to issue a certificate, also in check mode. Empty if no certificate is issued.
  returned: always
  type: list
  elements: str
  sample: ["ends on 2026-12-01T00:00:00Z, within 720h"]
awaited:
  description: Reasons to wait for a certificate from the external CA. Empty if no certificate is
    awaited.
  returned: with O(ca_on=external) and O(state=present)
  type: list
  elements: str
  sample: ["the certificate ends on 2026-12-01T00:00:00Z, within 720h"]
refused:
  description:
    - Reasons why the certificate from the external CA cannot be used. If a reason exists, the task
      fails.
  returned: with O(ca_on=external) and O(state=present)
  type: list
  elements: str
  sample: ["lacks the subject alternative names IP:192.0.2.4"]
subject:
  description: Subject of the certificate. An attribute with several values is a sorted list.
  returned: when O(state=present)
  type: dict
  sample: {CN: "system:kube-scheduler", O: "system:kube-scheduler"}
issuer:
  description: Subject of the CA that issued the certificate.
  returned: when O(state=present)
  type: dict
  sample: {CN: kubernetes}
subject_alt_name:
  description: Subject alternative names of the certificate with their types, sorted.
  returned: when O(state=present)
  type: list
  elements: str
  sample: ["DNS:m1.example.com", "IP:127.0.0.1"]
key_usage:
  description: Key usages of the certificate with the names of C(openssl), sorted.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [digitalSignature, keyEncipherment]
extended_key_usage:
  description: Extended key usages of the certificate with the names of C(openssl), sorted.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [clientAuth, serverAuth]
is_ca:
  description: Whether the certificate is for a CA.
  returned: when O(state=present)
  type: bool
path_length:
  description: Maximum number of CAs below the CA of this certificate, or null for no limit.
  returned: when O(state=present)
  type: int
  sample: 0
name_constraints:
  description: Names for which the CA can and cannot sign. Without constraints, both lists are
    empty.
  returned: when O(state=present)
  type: dict
  contains:
    permitted:
      description: Subtrees of names for which the CA can sign.
      type: list
      elements: str
      sample: ["DNS:example.com"]
    excluded:
      description: Subtrees of names for which the CA cannot sign.
      type: list
      elements: str
      sample: ["IP:192.0.2.0/24"]
digest:
  description:
    - Digest of the signature. Null for Ed25519. Null in check mode if the CA selects the digest.
  returned: when O(state=present)
  type: str
  sample: sha256
serial_number:
  description:
    - Serial number of the certificate in hexadecimal digits.
    - If the module would issue a certificate in check mode, the serial number, the times and the
      fingerprint are null.
  returned: when O(state=present)
  type: str
  sample: 4f2c1b0a99887766
not_before:
  description: Start of the certificate's validity in UTC.
  returned: when O(state=present)
  type: str
  sample: "2026-11-23T07:55:00Z"
not_after:
  description: End of the certificate's validity in UTC.
  returned: when O(state=present)
  type: str
  sample: "2027-11-23T08:00:00Z"
days_left:
  description: Full days until the certificate expires, negative after the expiry.
  returned: when O(state=present)
  type: int
  sample: 364
fingerprint_sha256:
  description: SHA-256 fingerprint of the certificate in the format of C(openssl x509 -fingerprint).
  returned: when O(state=present)
  type: str
  sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
chain:
  description:
    - V(valid) if the certificate belongs to the key and is signed by the CA.
    - Null in check mode if the module would issue a certificate.
  returned: when O(state=present)
  type: str
  sample: valid
privatekey_type:
  description: Type of the private key.
  returned: when O(state=present)
  type: str
  sample: RSA
privatekey_size:
  description: Size of the private key in bits.
  returned: when O(state=present)
  type: int
  sample: 2048
privatekey_curve:
  description: Curve of an ECC private key.
  returned: when O(state=present)
  type: str
  sample: secp256r1
clamped:
  description:
    - Whether the module issued a certificate that ends with its CA, before the end that
      O(valid_for) sets.
  returned: if true
  type: bool
not_after_wanted:
  description: End of the certificate's validity that O(valid_for) sets, in UTC.
  returned: when RV(clamped)
  type: str
  sample: "2028-11-23T08:00:00Z"
backup_file:
  description: Path of the copy of the previous certificate.
  returned: when O(backup=true) and the file was replaced or removed
  type: str
  sample: /etc/kubernetes/cert/kube-scheduler.pem.20260101T120000.000000Z.bak~
privatekey_backup_file:
  description: Path of the copy of the previous private key.
  returned: when O(backup=true) and the file was replaced or removed
  type: str
  sample: /etc/kubernetes/cert/kube-scheduler-key.pem.20260101T120000.000000Z.bak~
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError, X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import library
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENT_RULES,
    CERTIFICATE_ARGUMENTS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair import converge_pair
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc


def main() -> None:
    module = AnsibleModule(
        dict(CERTIFICATE_ARGUMENTS),
        add_file_common_args=True,
        supports_check_mode=True,
        **CERTIFICATE_ARGUMENT_RULES,
    )
    message = library.describe_missing_cryptography(" on this host")
    if message:
        if not module.check_mode:
            module.fail_json(msg=message, exception=library.CRYPTOGRAPHY_TRACEBACK)
        module.warn(f"{message}; check mode assumes that an earlier task does")
        module.exit_json(changed=True, reasons=["the cryptography library is missing"])
    try:
        result = converge_pair(module, current_utc())
    except (FilesError, X509Error) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

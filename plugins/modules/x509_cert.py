#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: x509_cert
short_description: Create and renew a private key and its certificate, signed by a CA
version_added: 1.0.0
description:
  - Makes a private key and a certificate for it in one step, and renews the certificate when something about it is no longer
    what the task asks, or when it is about to end.
  - The private key lives where the module runs, and never leaves that host. The key of the CA lives where O(ca_on) says; with
    V(controller), the target sends a signing request, and the controller signs. With V(external), somebody else signs.
  - Subject, names, usages and times come from the task alone; a signing request is used for its public key,
    and as the proof that the target has the private one. One that asks for more is refused.
  - Can make a CA too, for laboratories and small clusters.
  - It serves every component that needs a certificate, not only kube-scheduler.
requirements:
  - Python 3.9 or newer
  - cryptography 3.3 or newer (C(python3-cryptography) in Debian, Ubuntu, Fedora and RHEL) where the module runs
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
      - The certificate's file, in PEM form, on the target. Its mode is always V(0644).
      - O(owner), O(group) and the SELinux options apply to it as they do to the key.
    type: path
    required: true
  privatekey_path:
    description:
      - The private key's file, in PEM form, on the target. The directory must exist.
    type: path
    required: true
  mode:
    description:
      - The mode of the private key's file. V(0600) when this is not set, also where the file exists with another mode.
    type: raw
  privatekey_type:
    description:
      - The type of the private key.
    type: str
    choices: [RSA, ECC, Ed25519]
    default: RSA
  privatekey_size:
    description:
      - The size of an RSA key in bits, set 2048 to 8192.
      - When it is not set, a new key has 2048 bits, and an existing one may have any size in that range.
    type: int
  privatekey_curve:
    description:
      - The curve of an ECC key, which are NIST's P-256, P-384 and P-521.
      - When it is not set, a new key is on V(secp256r1), and an existing one may be on any of these.
    type: str
    choices: [secp256r1, secp384r1, secp521r1]
  privatekey_format:
    description:
      - How the private key is written. V(traditional) is PKCS#1 for RSA and SEC1 for ECC, as C(openssl) and C(cfssl) write it.
      - With V(auto), a new key is written in PKCS#8 form, and an existing one may have either.
    type: str
    choices: [auto, pkcs8, traditional]
    default: auto
  privatekey_passphrase_file:
    description:
      - A file on the target whose first line is the passphrase of the private key. Without it, the key is not encrypted.
    type: path
  regenerate:
    description:
      - What becomes of an existing private key that is not as the task asks. Its certificate is renewed wherever the key is replaced.
      - V(never) takes any key that can be read and is not weak. V(fail) ends with an error that names the difference.
      - V(partial) replaces a key of another type, size or curve, and writes one of another format, or with another encryption, anew.
        It fails on a key that cannot be read.
      - V(full) also replaces a key that cannot be read, or not with this passphrase. V(always) makes a new key in every run.
    type: str
    choices: [never, fail, partial, full, always]
    default: fail
  subject:
    description:
      - The attributes of the subject, each a string or a list of strings.
      - Keys are C, ST, L, O, OU, CN, emailAddress and serialNumber, or their long names, such as commonName. C is two capital letters.
    type: dict
    default: {}
  names:
    description:
      - More attributes of the subject, in the form of C(names) in a CSR file of C(cfssl).
    type: list
    elements: dict
    default: []
  subject_alt_name:
    description:
      - The names and addresses that the certificate is valid for.
      - The kind of each is found out, or told by a prefix V(DNS:), V(IP:), V(email:) or V(URI:).
        International domain names are encoded (as C(xn--)).
    type: list
    elements: str
    default: []
  key_usage:
    description:
      - What the key may be used for, in the words of C(openssl) (V(digitalSignature)) or C(cfssl) (V(digital signature)).
      - When neither this nor a profile says, C(digitalSignature) and C(keyEncipherment), and for a CA C(keyCertSign) and C(cRLSign).
      - What a key of its type cannot do is left out, such as C(keyEncipherment) for all but RSA.
    type: list
    elements: str
  extended_key_usage:
    description:
      - What the certificate may be used for, in the words of C(openssl) (V(clientAuth)) or C(cfssl) (V(client auth)).
      - When neither this nor a profile says, C(clientAuth) and C(serverAuth), and for a CA nothing.
    type: list
    elements: str
  digest:
    description:
      - The digest of the signature. Not to be set where the CA's key is Ed25519.
      - When it is not set, a new certificate gets what befits the CA's key, as with C(cfssl), and an existing one may have any of these.
    type: str
    choices: [sha256, sha384, sha512]
  valid_for:
    description:
      - How long a new certificate is valid from now on, as a Go duration such as V(8760h), V(1h30m) or V(1.5h).
      - When neither this nor a profile says, V(8760h).
      - A change of this value alone does not renew a certificate.
    type: str
  backdate:
    description:
      - How long ago a new certificate begins, as a Go duration, for hosts whose clocks are behind.
      - When neither this nor a profile says, V(5m). A certificate never begins before its CA.
    type: str
  is_ca:
    description:
      - Whether the certificate is for a CA. Without O(ca_path), it signs itself.
    type: bool
    default: false
  path_length:
    description:
      - How many CAs may follow below this CA.
    type: int
  name_constraints:
    description:
      - The names that this CA may sign for, and may not. Each begins with V(DNS:), V(email:) or V(IP:); the last is a network.
    type: dict
    suboptions:
      permitted:
        description: Subtrees that are allowed.
        type: list
        elements: str
        default: []
      excluded:
        description: Subtrees that are forbidden.
        type: list
        elements: str
        default: []
  ca_path:
    description:
      - The CA's certificate, where O(ca_on) says. Of several in one file, the one that belongs to O(ca_privatekey_path) signs.
      - A relative path on the controller is looked for as that of a file of M(ansible.builtin.copy) is.
    type: path
  ca_privatekey_path:
    description:
      - The CA's private key, where O(ca_on) says. Nobody but its owner and group may read it, and nobody but its owner write.
      - On the controller it is read as the user who runs Ansible, and never with become.
    type: path
  ca_privatekey_passphrase_file:
    description:
      - A file, where O(ca_on) says, whose first line is the passphrase of the CA's private key.
    type: path
  ca_on:
    description:
      - Where O(ca_path), O(ca_privatekey_path), O(ca_privatekey_passphrase_file) and O(ca_config) are.
      - With V(controller), the CA is verified wholly before the target is touched, and nothing of it but its certificate leaves the controller.
      - With V(external), the CA is somebody else's, and O(ca_path) on the controller holds its certificate, or several. The target's signing
        request is laid at O(csr_path), and the certificate for it is taken from O(certificate_source) in a later run, once it is there. Until then what is
        in place stays, and the task fails where that is of no use.
    type: str
    choices: [target, controller, external]
    default: target
  csr_path:
    description:
      - On the controller, with O(ca_on=external) - where the signing request is laid, with the task's subject, names and usages. It is
        written anew only where it is for another key, or asks for something else.
    type: path
  certificate_source:
    description:
      - On the controller, with O(ca_on=external) - where somebody puts the certificate, and the intermediates below it. It may have more names
        than the task asks for, and other attributes of the subject than CN and O.
    type: path
  ca_config:
    description:
      - A configuration of C(cfssl) (C(ca-config.json)), where O(ca_on) says, whose profile gives usages, expiry and backdate.
      - An option of the task beats the profile.
    type: path
  profile:
    description:
      - The profile in O(ca_config). When it is not set, the configuration's default is taken.
    type: str
  renew_before:
    description:
      - How long before its end a certificate is renewed, as a Go duration or as a percentage of O(valid_for), such as V(33%).
      - A certificate is not renewed for this where the new one could not end later, because its CA ends first.
      - With O(ca_on=external), a new request is laid then, if need be, and the percentage is of the certificate's own lifetime.
    type: str
    default: 720h
  not_after_policy:
    description:
      - What to do where a certificate would outlive its CA. V(fail) is an error, and V(clamp) ends the certificate with the CA.
    type: str
    choices: [fail, clamp]
    default: fail
  replace:
    description:
      - SHA-256 fingerprints of certificates that are not to be used any more, as RV(fingerprint_sha256) tells them. Where one of them is there, a
        certificate is issued for a new key; with O(regenerate=never), for the present one. A second run changes nothing.
    type: list
    elements: str
    default: []
  force:
    description:
      - Issue a certificate whether one is needed or not. The private key stays.
    type: bool
    default: false
  backup:
    description:
      - Keep the former content of both files beside them, with mode V(0600), as C(NAME.TIME.bak~). The newest five are kept.
    type: bool
    default: false
  state:
    description:
      - Whether the private key and the certificate are to be there.
    type: str
    choices: [present, absent]
    default: present
  _ca_certificate:
    description:
      - The certificate of a CA that is on the controller. The action plugin sets this; a task must not.
    type: str
  _certificate:
    description:
      - The certificate that the controller signed, or that was handed in. The action plugin sets this; a task must not.
    type: str
  _request:
    description:
      - The signing request that was laid on the controller. The action plugin sets this; a task must not.
    type: str
notes:
  - A new key and its certificate are staged beside their files, and take their places at one moment, so that a run that is killed
    leaves the former pair or the new one. What it leaves besides is used or removed by the next run. On two file systems,
    the key comes first, and the next run mends what a kill in between left.
  - As root, the module refuses a directory that an unprivileged user may write, or one below such a directory. Sticky ones,
    such as C(/tmp), are allowed.
  - O(unsafe_writes) has no effect. A file that cannot be replaced by a rename, such as one that is mounted into a container, is an error.
  - In check mode, what an earlier task may still have to bring (the CA on the target, a directory, the library) is a warning.
seealso:
  - module: kube_ha.scheduler.kubeconfig
  - name: community.crypto
    description: Modules for requests, revocation lists, PKCS#12 and ACME, which this one does not do.
    link: https://docs.ansible.com/ansible/latest/collections/community/crypto/
  - name: cfssl
    description: The tool whose C(ca-config.json) and C(names) this module takes.
    link: https://github.com/cloudflare/cfssl
author:
  - the kube_ha.scheduler authors (@kube-ha)
"""

EXAMPLES = r"""
- name: A CA for a laboratory
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/ca.pem
    privatekey_path: /etc/kubernetes/cert/ca-key.pem
    subject:
      CN: kubernetes
    is_ca: true
    valid_for: 87600h

- name: The pair of a kube-scheduler, signed on the controller
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

- name: The pair of a kube-scheduler, signed by somebody who puts m1.pem beside m1.csr
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

- name: The pair from cfssl's files, for a scheduler that reads its key as its own user
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

- name: The pair of another component, with a key on a curve, renewed when a third of its time is left
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

- name: An intermediate CA for one cluster, which may sign no further CA and only for its own names
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

- name: A certificate now, whatever is left of the former one, for the same key
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    subject:
      CN: system:kube-scheduler
    ca_path: /etc/kubernetes/cert/ca.pem
    ca_privatekey_path: /etc/kubernetes/cert/ca-key.pem
    force: true
    backup: true

- name: A key that cannot be read is replaced, and its certificate with it
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    regenerate: full
    subject:
      CN: system:kube-scheduler
    ca_path: /etc/kubernetes/cert/ca.pem
    ca_privatekey_path: /etc/kubernetes/cert/ca-key.pem
  register: pair

- name: Say when it ends, and why it was issued
  ansible.builtin.debug:
    msg: "{{ pair.not_after }}, {{ pair.days_left }} days: {{ pair.reasons | join('; ') }}"

- name: Neither key nor certificate
  kube_ha.scheduler.x509_cert:
    path: /etc/kubernetes/cert/kube-scheduler.pem
    privatekey_path: /etc/kubernetes/cert/kube-scheduler-key.pem
    state: absent

- name: A new pair in place of one whose key may have leaked
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
  description: Why a certificate was issued, or would be in check mode, each in words. Empty where none was.
  returned: always
  type: list
  elements: str
  sample: ["ends on 2026-12-01T00:00:00Z, within 720h"]
awaited:
  description: Why a certificate is awaited, each in words. Empty where none is.
  returned: with O(ca_on=external) and O(state=present)
  type: list
  elements: str
  sample: ["the certificate ends on 2026-12-01T00:00:00Z, within 720h"]
refused:
  description: Why the received certificate cannot be used, each in words; the task then fails.
  returned: with O(ca_on=external) and O(state=present)
  type: list
  elements: str
  sample: ["lacks the subject alternative names IP:192.0.2.4"]
subject:
  description: The subject. An attribute with several values is a sorted list.
  returned: when O(state=present)
  type: dict
  sample: {CN: "system:kube-scheduler", O: "system:kube-scheduler"}
issuer:
  description: The subject of the CA.
  returned: when O(state=present)
  type: dict
  sample: {CN: kubernetes}
subject_alt_name:
  description: The names, each with its kind, sorted.
  returned: when O(state=present)
  type: list
  elements: str
  sample: ["DNS:m1.example.com", "IP:127.0.0.1"]
key_usage:
  description: The key usages, in the words of C(openssl), sorted.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [digitalSignature, keyEncipherment]
extended_key_usage:
  description: The extended key usages, in the words of C(openssl), sorted.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [clientAuth, serverAuth]
is_ca:
  description: Whether the certificate is for a CA.
  returned: when O(state=present)
  type: bool
path_length:
  description: How many CAs may follow, or null for no limit.
  returned: when O(state=present)
  type: int
  sample: 0
name_constraints:
  description: The names that the CA may sign for, and may not. Both empty where it has none.
  returned: when O(state=present)
  type: dict
  contains:
    permitted:
      description: Subtrees that are allowed.
      type: list
      elements: str
      sample: ["DNS:example.com"]
    excluded:
      description: Subtrees that are forbidden.
      type: list
      elements: str
      sample: ["IP:192.0.2.0/24"]
digest:
  description: The digest of the signature; null for Ed25519, and in check mode where the choice is the CA's.
  returned: when O(state=present)
  type: str
  sample: sha256
serial_number:
  description: The serial number in hexadecimal. Null in check mode where a certificate would be issued, as are the times and the fingerprint.
  returned: when O(state=present)
  type: str
  sample: 4f2c1b0a99887766
not_before:
  description: When the certificate begins, in UTC.
  returned: when O(state=present)
  type: str
  sample: "2026-11-23T07:55:00Z"
not_after:
  description: When the certificate ends, in UTC.
  returned: when O(state=present)
  type: str
  sample: "2027-11-23T08:00:00Z"
days_left:
  description: The whole days until then.
  returned: when O(state=present)
  type: int
  sample: 364
fingerprint_sha256:
  description: The SHA-256 fingerprint, as C(openssl x509 -fingerprint) writes it.
  returned: when O(state=present)
  type: str
  sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
chain:
  description: V(valid) where the certificate was verified to belong to the key and to be signed by the CA. Null in check mode where one would be issued.
  returned: when O(state=present)
  type: str
  sample: valid
privatekey_type:
  description: The type of the private key.
  returned: when O(state=present)
  type: str
  sample: RSA
privatekey_size:
  description: The size of the private key in bits, null where it is still to be made and the task does not say.
  returned: when O(state=present)
  type: int
  sample: 2048
privatekey_curve:
  description: The curve of an ECC key.
  returned: when O(state=present)
  type: str
  sample: secp256r1
clamped:
  description: Whether a certificate was issued that ends with its CA, before O(valid_for) is over.
  returned: where it is so
  type: bool
not_after_wanted:
  description: When that certificate would have ended without its CA's end, in UTC.
  returned: when RV(clamped)
  type: str
  sample: "2028-11-23T08:00:00Z"
backup_file:
  description: The copy of the former certificate.
  returned: when O(backup=true) and there was one to replace or remove
  type: str
  sample: /etc/kubernetes/cert/kube-scheduler.pem.20260101T120000.000000Z.bak~
privatekey_backup_file:
  description: The copy of the former private key.
  returned: when O(backup=true) and there was one to replace or remove
  type: str
  sample: /etc/kubernetes/cert/kube-scheduler-key.pem.20260101T120000.000000Z.bak~
"""

import sys

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import FilesError, X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENT_RULES,
    CERTIFICATE_ARGUMENTS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    CRYPTOGRAPHY_TRACEBACK,
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
    if CRYPTOGRAPHY_TRACEBACK:
        message = (
            f"the Python library cryptography, 3.3 or newer, is missing for {sys.executable} on this host:"
            " install the distribution's package python3-cryptography"
        )
        if not module.check_mode:
            module.fail_json(msg=message, exception=CRYPTOGRAPHY_TRACEBACK)
        module.warn(f"{message}; check mode assumes that an earlier task does")
        module.exit_json(changed=True, reasons=["the cryptography library is not there yet"])
    try:
        result = converge_pair(module, current_utc())
    except (FilesError, X509Error) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

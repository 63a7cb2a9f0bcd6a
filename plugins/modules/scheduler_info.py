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
  - Tells in one run what this host is and what scheduler runs there; whether that is healthy (O(probe)); and in what the host differs from what is
    wanted (O(desired)).
  - Looks at the unit and its process, at what holds the port, at readiness over verified TLS, at the certificate that is served and the one that
    is used, at the metrics that are answered and refused, and at the lease as this host sees it. The process is looked at where it serves itself, and
    its lease is the one by which it elects itself, as its command line and its configuration say.
  - An active unit and a C(/healthz) that answers 200 are not enough to be healthy - a scheduler whose certificates have expired has both.
  - Needs no pip package. Certificates are described when C(python3-cryptography) is there, and a kubeconfig is read when C(python3-yaml) is there.
  - Nothing is changed, nor executed that an unprivileged user could have written, except as that user.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
options:
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
  unit:
    description: Name of the systemd unit, suffix included.
    type: str
    default: kube-scheduler.service
  fileset_dir:
    description: Folder of the release, as in M(kube_ha.scheduler.scheduler_fileset).
    type: path
    default: /var/lib/kube-ha/kube-scheduler
  user:
    description: The system user that is wanted.
    type: str
  port:
    description: The port that is wanted for HTTPS, of which RV(port) tells who holds it.
    type: int
    default: 10259
  bind_address:
    description: The address that is wanted for HTTPS. A process is looked at where it serves itself; this is used where its command line cannot be read.
    type: str
    default: 127.0.0.1
  kubeconfig:
    description:
      - The kubeconfig that is used where neither systemd gave the process a credential of the name C(kubeconfig), nor the process was told of one.
      - One that others than root may write is not used.
    type: path
    default: /etc/kubernetes/kube-scheduler.kubeconfig
  paths:
    description: Paths at which a file is to lie, of which RV(obstacles) tells those that are directories.
    type: list
    elements: path
    default: []
  apiserver:
    description: URL of an apiserver, whose C(/version) is then read over verified TLS.
    type: str
  apiservers:
    description: URLs of further apiservers, which are asked in the same way.
    type: list
    elements: str
    default: []
  apiserver_ca:
    description: CA certificates, as PEM text, that are trusted for O(apiserver) and O(apiservers).
    type: str
  tls_server_name:
    description: Name by which the certificates of O(apiserver) and O(apiservers) are verified, if not that of the URL.
    type: str
  certificate:
    description: Path of the certificate of the scheduler's pair, of which RV(certificates) tells.
    type: path
  authorities:
    description:
      - CA certificates, as PEM text. RV(certificates) tells which of them signed what lies on this host; without this option, it is empty.
    type: str
  next_ca:
    description:
      - CA certificates, as PEM text, that are to take the place of those in O(apiserver_ca). RV(apiserver) then tells in C(next_serves) whether the
        apiserver's own certificate is of one of them.
    type: str
  next_cert:
    description:
      - Client certificate of O(next_ca), as PEM text, of somebody without rights. RV(apiserver) then tells in C(next_accepted) whether the apiserver
        accepts it.
    type: str
  next_key:
    description: Private key for O(next_cert), as PEM text. Kept in memory.
    type: str
  next_ca_path:
    description:
      - On the controller - CA certificate with which a client certificate of ten minutes is made, in place of O(next_cert).
      - Handled by the action plugin, which reads it as the calling user.
    type: path
  next_ca_privatekey_path:
    description: On the controller - the private key of O(next_ca_path).
    type: path
  serving_ca:
    description: CA certificates, as PEM text, that the served certificate must chain to. Without them the system's are trusted.
    type: str
  versions:
    description:
      - The table of versions - by minor version C(https) and C(http), the default ports, 0 for none, C(ready), the C(path) that tells readiness and the
        C(port) (V(https) or V(http)) that answers it, and C(locks), the default lock type first.
      - Or the name of the variable that holds it, which Ansible then need not template for each host. That is taken as it is.
      - Handled by the action plugin, which hands the module only what it has to know.
    type: raw
    default: {}
  _serving:
    description:
      - How versions serve and elect. The action plugin makes this of O(versions); a task must not set it.
    type: list
    elements: dict
    default: []
    suboptions:
      since:
        description: The first minor version.
        type: str
        required: true
      https:
        description: The default port of HTTPS, 0 for none.
        type: int
        required: true
      http:
        description: The default port of plain HTTP, 0 for none.
        type: int
        required: true
      ready_path:
        description: The endpoint that tells readiness.
        type: str
        required: true
      ready_port:
        description: The port that answers it.
        type: str
        choices: [https, http]
        required: true
      lock:
        description: The lock type that it takes by default.
        type: str
        required: true
  metrics_cert:
    description: Client certificate of somebody who may read the metrics, as PEM text. Without it, that they are answered is not checked.
    type: str
  metrics_key:
    description: Private key for O(metrics_cert), as PEM text. Kept in memory.
    type: str
  metrics_ca_path:
    description:
      - On the controller - CA certificate with which a client certificate of ten minutes is made for O=C(system:monitoring), in place of O(metrics_cert).
      - Handled by the action plugin, which reads it as the calling user. Where no certificate can be made, the check is in RV(not_checked) with the reason.
    type: path
  metrics_ca_privatekey_path:
    description: On the controller - the private key of O(metrics_ca_path).
    type: path
  metrics_ca_privatekey_passphrase_file:
    description: On the controller - file with the passphrase of O(metrics_ca_privatekey_path).
    type: path
  probe:
    description:
      - Whether the process is probed, so that RV(healthy) can be told. Takes until the lease is seen to move.
      - Without it, the lease's record is read once.
    type: bool
    default: true
  steady:
    description:
      - Seconds that the unit has to have been active, by its own time stamps and without a restart by systemd, to be healthy. V(0) asks for neither.
      - Waited for within O(timeout), and only for what remains of it.
    type: float
    default: 0
  reloaded:
    description:
      - Whether the pair that lies in its place has to be the one that the process serves and uses, for the host to be healthy. Of a process that reads the
        pair's files again, the unit's journal has to tell so, which client-go writes at verbosity 1 and within five minutes.
      - Waited for within O(timeout).
    type: bool
    default: false
  directories:
    description: Directories into which root is to write. RV(unsafe) tells why it should not.
    type: list
    elements: path
    default: []
  previous_lease:
    description: RV(lease) of an earlier run on this host. A lease that has been renewed since then moves, and is not waited for.
    type: dict
  desired:
    description: What the host is to have. RV(drift) tells in what it differs.
    type: dict
    suboptions:
      version:
        description: Version of the scheduler.
        type: str
        required: true
      binary:
        description: Path of the binary of that version.
        type: path
        required: true
      binary_source:
        description: Where the binary comes from. One that is V(present) is the operator's, who may choose its owner and mode.
        type: str
        choices: [download, controller, present]
        default: download
      log_dir:
        description: Folder of the logs, which belongs to O(user) with mode 0755. Empty for none.
        type: str
        default: ""
      certificate:
        description:
          - Options of M(kube_ha.scheduler.x509_cert) for the live paths, with C(owner), C(group) and C(mode).
          - With C(ca_on=controller), the action plugin reads the CA and the profile there; no path of the controller travels. The CA's key is not read.
          - With C(ca_on=external), it reads what was handed in and what was laid, too.
        type: dict
      pair:
        description: The certificate and the key on the controller that the members C(certificate) and C(privatekey) of O(desired.files) are copies of.
        type: dict
        suboptions:
          certificate_source:
            description: On the controller - the certificate. Handled by the action plugin. One that is not there is a drift.
            type: path
          privatekey_source:
            description: On the controller - the private key. Handled by the action plugin. One that is not there is a drift.
            type: path
          certificate_sha256:
            description: SHA-256 of the certificate's file, in hexadecimal. Set by the action plugin.
            type: str
          privatekey_sha256:
            description: SHA-256 of the key's file, in hexadecimal. Set by the action plugin.
            type: str
          x509_cert:
            description:
              - Options of M(kube_ha.scheduler.x509_cert) by which the controller makes the pair. That it would make or renew it is a drift.
              - Handled by the action plugin.
            type: dict
          owner:
            description: Owner of the private key.
            type: str
          group:
            description: Group of the private key.
            type: str
          mode:
            description: Mode of the private key, as an octal string.
            type: raw
      kubeconfig:
        description:
          - Options of M(kube_ha.scheduler.kubeconfig) for the live path, with C(owner), C(group) and C(mode).
          - Entries that hold a secret, or are to be absent, cannot be compared.
        type: dict
      settings:
        description:
          - What the process is to be started with. Compared with what it says itself in C(/configz), and where its version has them, in C(/flagz) and
            C(/statusz), if the reader that O(metrics_cert) names is answered there. Otherwise RV(not_checked) says so.
        type: dict
        suboptions:
          flags:
            description: Flags by name, with their values.
            type: dict
            default: {}
          config:
            description: The KubeSchedulerConfiguration.
            type: dict
            default: {}
      files:
        description:
          - The members of the set, as in M(kube_ha.scheduler.scheduler_fileset). Those named C(config) and C(unit) are compared with their content, and
            those with O(desired.files[].link_to) with their target.
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
            description: Text of the member. C(@digest@) stands for the digest of the set.
            type: str
          link_to:
            description: Name that the member links to. Empty, of the member C(static_pod) only, nothing is to lie there.
            type: str
          mode:
            description: Mode of the member, as an octal string.
            type: str
            default: "0644"
          digest:
            description: What of the member goes into the digest.
            type: str
            choices: [content, path]
            default: content
      manage_packages:
        description: Whether Python libraries that are missing are a drift.
        type: bool
        default: true
  timeout:
    description: Seconds to wait for the host to become healthy.
    type: float
    default: 0
  journal_lines:
    description: How many of the unit's last journal lines are returned for a host that is not healthy.
    type: int
    default: 20
seealso:
  - module: kube_ha.scheduler.leader_info
  - module: kube_ha.scheduler.scheduler_plan
"""

EXAMPLES = r"""
- name: Gather what this host is and what runs there
  kube_ha.scheduler.scheduler_info:
    probe: false
  register: host

- name: Ask for the truth, and wait half a minute for it to be good
  kube_ha.scheduler.scheduler_info:
    serving_ca: "{{ lookup('ansible.builtin.file', '/etc/kubernetes/cert/ca.pem') }}"
    previous_lease: "{{ host.lease }}"
    timeout: 30
  register: scheduler

- name: Fail with what is wrong
  ansible.builtin.fail:
    msg: "{{ scheduler.problems | join('; ') }}"
  when: not scheduler.healthy
"""

RETURN = r"""
healthy:
  description: Whether nothing is wrong. Null without O(probe).
  returned: always
  type: bool
problems:
  description: What is wrong, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["kube-scheduler.service is activating (auto-restart, result exit-code)"]
drift:
  description: In what the host differs from O(desired). Empty where it does not, and where nothing is wanted.
  returned: always
  type: list
  elements: dict
  contains:
    part:
      description:
        - V(packages), V(user), V(binary), V(record), V(link), V(log_dir), V(certificate), V(kubeconfig), V(config), V(unit), V(process) or V(staged).
        - V(record) is a binary that nobody brings, for it is there already, and that is not, or no longer, what was verified and recorded.
      type: str
      sample: config
    reason:
      description: One line that names the path and what differs.
      type: str
      sample: "/etc/kubernetes/kube-scheduler.yaml: content differs"
  sample:
    - {part: config, reason: "/etc/kubernetes/kube-scheduler.yaml: content differs"}
    - {part: process, reason: "version 1.36.1 runs, wanted 1.37.2"}
awaited:
  description:
    - Why a CA that is somebody else's has to issue a certificate, and what to do, a line each. Where what the host has is of no use, this is part of
      RV(drift) too.
  returned: always
  type: list
  elements: str
  sample: ["the certificate ends on 2026-12-01T00:00:00Z, within 720h; have /srv/pki/m1.csr signed, and put the certificate into /srv/pki/m1.pem"]
hostname:
  description: The host's own name, as it stands in the holder identity of a lease.
  returned: always
  type: str
  sample: m1.example.com
architecture:
  description: The architecture by the name that Kubernetes' release site uses.
  returned: always
  type: str
  sample: amd64
os_families:
  description: C(ID) and C(ID_LIKE) of C(/etc/os-release), the nearest first. Empty where there is no such file.
  returned: always
  type: list
  elements: str
  sample: [ubuntu, debian]
systemd_version:
  description: Major version of systemd, 0 where it does not run.
  returned: always
  type: int
  sample: 252
python_version:
  description: Version of the Python that ran the module.
  returned: always
  type: str
  sample: 3.11.2
missing_libraries:
  description: Python libraries that this collection's modules need and that this host lacks.
  returned: always
  type: list
  elements: str
  sample: [yaml]
time:
  description: The host's clock, seconds since 1970.
  returned: always
  type: float
  sample: 1767268800.0
clock_offset:
  description: Seconds that the host's clock is at least ahead of the controller's, RV(round_trip) allowed for. Negative when it is behind.
  returned: always, added by the action plugin
  type: float
  sample: -0.02
round_trip:
  description: Seconds that the run took.
  returned: always, added by the action plugin
  type: float
  sample: 0.61
user_exists:
  description: Whether O(user) is there.
  returned: always
  type: bool
installed:
  description: Whether O(fileset_dir) and a unit of the name O(unit) are there.
  returned: always
  type: bool
prepared:
  description: Whether O(fileset_dir) holds a staged set and a record of it.
  returned: always
  type: bool
unsafe:
  description:
    - Why root should write nothing into one of O(directories), one line each.
    - Others may write it or a directory above it, so that they could swap its files.
  returned: always
  type: list
  elements: str
  sample: ["everybody may write '/etc/kubernetes'"]
stale:
  description:
    - Names of the members whose staged copy does not come from the live one, of those that other modules stage.
    - The members are O(desired.files), or else those that were staged last.
  returned: always
  type: list
  elements: str
  sample: [certificate, privatekey]
obstacles:
  description: Those of O(paths) that are directories.
  returned: always
  type: list
  elements: str
  sample: [/opt/k8s/bin/kube-scheduler]
apiserver:
  description: The apiserver of O(apiserver). Null where none is given.
  returned: always
  type: dict
  contains:
    server:
      description: Its URL.
      type: str
      sample: https://192.0.2.10:6443
    reachable:
      description: Whether it answered over verified TLS. That it denies anonymous readers counts as an answer.
      type: bool
    version:
      description: Its version, such as V(v1.37.2), or null.
      type: str
      sample: v1.37.2
    error:
      description: What went wrong, or null.
      type: str
      sample: connection refused
    next_serves:
      description: Whether its own certificate is of O(next_ca). Null where that was not asked, or cannot be told.
      type: bool
    next_accepted:
      description: Whether it accepts a client certificate of O(next_ca). Null where that was not asked, or cannot be told.
      type: bool
apiservers:
  description: Those of O(apiservers), each as RV(apiserver).
  returned: always
  type: list
  elements: dict
  sample:
    - server: https://192.0.2.2:6443
      reachable: true
      version: v1.37.2
      error: null
      next_serves: null
      next_accepted: null
unit:
  description: The unit as systemd tells it. Texts are empty on a host without systemd.
  returned: always
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: kube-scheduler.service
    load_state:
      description: Such as V(loaded), V(not-found) or V(masked).
      type: str
      sample: loaded
    active_state:
      description: Such as V(active) or V(failed).
      type: str
      sample: active
    sub_state:
      description: Such as V(running).
      type: str
      sample: running
    enabled:
      description: Such as V(enabled).
      type: str
      sample: enabled
    result:
      description: How it ended last.
      type: str
      sample: success
    restarts:
      description: How often systemd has restarted it by itself.
      type: int
      sample: 0
    since:
      description: When its process began.
      type: str
      sample: "Thu 2026-01-01 12:00:00 UTC"
    active_seconds:
      description: For how long it has been active, by its own time stamps; 0 if it is not.
      type: float
      sample: 86400.0
    fragment_path:
      description: The unit's file.
      type: str
      sample: /etc/systemd/system/kube-scheduler.service
    drop_ins:
      description: Drop-ins that are for this unit alone, and change it.
      type: list
      elements: str
      sample: [/etc/systemd/system/kube-scheduler.service.d/local.conf]
    set_aside:
      description: Drop-ins whose settings this role has taken away.
      type: list
      elements: str
      sample: []
    static_pod:
      description: The manifest by which kubelet runs the scheduler in the place of the unit, empty for none. RV(process) is the pod's then.
      type: str
      sample: ""
process:
  description: The unit's process and what it was told. Without one, C(pid) is 0 and the rest is empty, 0 or null.
  returned: always
  type: dict
  contains:
    pid:
      description: Its number.
      type: int
      sample: 4711
    version:
      description: Version that runs, without a leading C(v).
      type: str
      sample: 1.37.2
    digest:
      description: Digest of the set of files that the unit says it was started from.
      type: str
      sample: 5d41402abc4b2a76b9719d911017c592
    lock:
      description: The lock type by which it elects.
      type: str
      sample: leases
    lease_name:
      description: Name of its lease.
      type: str
      sample: kube-scheduler
    lease_namespace:
      description: Namespace of its lease.
      type: str
      sample: kube-system
    bind_address:
      description: Address at which it serves HTTPS.
      type: str
      sample: 127.0.0.1
    secure_port:
      description: Port at which it serves HTTPS, 0 for none.
      type: int
      sample: 10259
    http_port:
      description: Port at which it serves plain HTTP, 0 for none.
      type: int
      sample: 0
    timings:
      description: The times by which it elects, in seconds. Null where they are not known.
      type: dict
      contains:
        lease_duration:
          description: How long a lease holds.
          type: float
          sample: 15.0
        renew_deadline:
          description: How long the leader tries to renew before it gives up.
          type: float
          sample: 10.0
        retry_period:
          description: How long between two tries.
          type: float
          sample: 2.0
    kubeconfig:
      description: Path of the kubeconfig that it was told.
      type: str
      sample: /run/credentials/kube-scheduler.service/kubeconfig
    user:
      description: Whose process it is, where its unit is not this role's.
      type: str
      sample: ""
    arguments:
      description: Its command line without the program, where its unit is not this role's.
      type: list
      elements: str
      sample: []
    settings:
      description: What its configuration sets then, as FIELD=JSON, without private keys. Empty where it has none, or that cannot be read.
      type: list
      elements: str
      sample: []
    environment:
      description: Names of the variables in its environment that it reads, such as GOGC and HTTPS_PROXY, then.
      type: list
      elements: str
      sample: []
port:
  description: The port O(port), or that of plain HTTP for a version that serves no HTTPS.
  returned: always
  type: dict
  contains:
    number:
      description: The port.
      type: int
      sample: 10259
    addresses:
      description: Addresses at which somebody listens.
      type: list
      elements: str
      sample: [127.0.0.1]
    held_by:
      description: Who listens, or empty.
      type: str
      sample: kube-scheduler (pid 4711)
    ours:
      description: Whether that is the unit's process.
      type: bool
others:
  description:
    - Further kube-schedulers of this host - a static pod's file beside the unit's process, or processes that hold the port or elect by the same lease.
    - Those in RV(instances) are none of them. A static pod counts for the unit C(kube-scheduler.service) only.
  returned: always
  type: list
  elements: str
  sample: [static pod /etc/kubernetes/manifests/kube-scheduler.yaml]
instances:
  description:
    - The role's other schedulers on this host, which are those that have a record beside O(fileset_dir).
    - What is said of one is what its process was told or, where none runs, what its staged set tells.
  returned: always
  type: list
  elements: dict
  contains:
    unit:
      description: Its unit.
      type: str
      sample: batch-scheduler.service
    ports:
      description: The ports that it serves on.
      type: list
      elements: int
      sample: [10260]
    lease:
      description: Namespace and name of its lease, with a slash between them. Empty while nothing is staged.
      type: str
      sample: kube-system/batch-scheduler
    schedulers:
      description: The names of schedulers under which it takes pods.
      type: list
      elements: str
      sample: [batch]
    paths:
      description: The paths of its set of files.
      type: list
      elements: str
      sample: [/etc/kubernetes/batch-scheduler.kubeconfig]
lease:
  description:
    - The lease as this host sees it, in the form of M(kube_ha.scheduler.leader_info), and its C(age), the seconds since its renewal by this host's clock.
    - Null where there is no process, or the lease cannot be read.
  returned: always
  type: dict
  sample:
    holder: m1.example.com
    state: held
    moving: true
    renew_time: "2026-01-01T12:00:02.000000Z"
    lease_duration: 15
    transitions: 3
    age: 0.8
certificates:
  description: The certificates that lie on this host. Empty without O(authorities).
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler.pem
    use:
      description: V(pair) for O(certificate), V(client) for what O(kubeconfig) shows to the apiserver, and V(trust) for a CA that it trusts.
      type: str
      sample: pair
    subject:
      description: The subject, as in RFC 4514.
      type: str
      sample: CN=system:kube-scheduler,O=system:kube-scheduler
    issuer:
      description: The subject of the CA, as in RFC 4514.
      type: str
      sample: CN=kubernetes-ca
    usages:
      description: Extended key usages, and the key usages of a CA.
      type: list
      elements: str
      sample: [clientAuth, serverAuth]
    not_after:
      description: The end of its validity.
      type: str
      sample: "2027-11-26T04:00:00Z"
    fingerprint_sha256:
      description: Its SHA-256.
      type: str
      sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
    signed_by:
      description: The SHA-256 of those of O(authorities) by whose keys it is signed.
      type: list
      elements: str
      sample: ["62:0E:0A:5C:11:E4:8B:0D:64:2B:8F:8A:3A:41:C7:9E:5D:3B:F5:29:60:4C:1B:71:0F:77:6E:D2:0A:91:8C:33"]
  sample:
    - path: /etc/kubernetes/cert/kube-scheduler.pem
      use: pair
      subject: CN=system:kube-scheduler,O=system:kube-scheduler
      issuer: CN=kubernetes-ca
      usages: [clientAuth, serverAuth]
      not_after: "2027-11-26T04:00:00Z"
      fingerprint_sha256: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
      signed_by: ["62:0E:0A:5C:11:E4:8B:0D:64:2B:8F:8A:3A:41:C7:9E:5D:3B:F5:29:60:4C:1B:71:0F:77:6E:D2:0A:91:8C:33"]
probes:
  description: What the process showed. Null without O(probe).
  returned: always
  type: dict
  contains:
    served:
      description: The certificate that it serves. Null where there is none.
      type: dict
      contains: &certificate
        subject:
          description: Subject.
          type: str
          sample: CN=system:kube-scheduler,O=system:kube-scheduler
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
          description: Whole days until then, negative once it is over.
          type: int
          sample: 364
        fingerprint_sha256:
          description: SHA-256 of the certificate.
          type: str
          sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
        valid:
          description: Whether it is valid now.
          type: bool
    used:
      description: The certificate used at the apiserver. Null where there is none.
      type: dict
      contains: *certificate
    used_loaded:
      description:
        - Whether it has taken the one in C(used), by its own start or by its log. Null unless O(reloaded) asks and the process reads the files of its pair
          again.
      type: bool
    ready:
      description: HTTP status of the endpoint that tells readiness.
      type: int
      sample: 200
    metrics_anonymous:
      description: HTTP status of the metrics for an anonymous client.
      type: int
      sample: 403
    metrics_reader:
      description: HTTP status of the metrics for an authorized client.
      type: int
      sample: 200
    metrics_http:
      description: HTTP status of the metrics over plain HTTP, where it serves that.
      type: int
      sample: 200
not_checked:
  description: What was not looked at, with the reason where there is more than that no certificate was given.
  returned: always
  type: list
  elements: str
  sample: ["metrics for an authorized client"]
journal:
  description: The unit's last lines. Empty for a healthy host.
  returned: always
  type: list
  elements: str
  sample: ["Jan 01 12:00:00 m1 kube-scheduler[4711]: leaderelection lost"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    FilesetError,
    SystemdError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host.proc import Proc
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import info


def main() -> None:
    module = AnsibleModule(
        argument_spec=spec.INFO,
        required_together=spec.INFO_REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    # Nothing is changed here, so that whatever would change files only predicts.
    module.check_mode = True
    try:
        result = info.HostQuery(module, systemd.Systemd(module.run_command), Proc()).run()
    except (FilesetError, SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

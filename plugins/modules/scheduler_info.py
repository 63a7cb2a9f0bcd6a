#!/usr/bin/python
# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scheduler_info
short_description: Gather state, health and drift of a kube-scheduler
version_added: 1.0.0
author:
  - The kube_ha.scheduler authors (@kube-ha)
description:
  - Gathers in one run the state of this host and its scheduler, the health of the scheduler
    (O(probe)), and the differences from the desired state (O(desired)).
  - Checks the unit and its process, the process that listens on the port, readiness over verified
    TLS, the certificates that the scheduler serves and uses, access to its metrics, and the lease
    as this host observes it.
  - Reads the address and the lease of the process from its command line and its configuration.
  - An active unit and a C(/healthz) that returns 200 are not enough for a healthy scheduler - a
    scheduler with expired certificates has both.
  - Needs no pip package. Needs C(python3-cryptography) to describe certificates and C(python3-yaml)
    to read a kubeconfig.
  - The module never changes the host. It runs a program that an unprivileged user can write only as
    that user.
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
    description: Directory of the file set, as in M(kube_ha.scheduler.scheduler_fileset).
    type: path
    default: /var/lib/kube-ha/kube-scheduler
  user:
    description: The desired system user.
    type: str
  port:
    description: The desired HTTPS port. RV(port) describes the process that listens on it.
    type: int
    default: 10259
  bind_address:
    description:
      - The desired HTTPS address. The module probes a process at the address that it serves on, and
        uses this option if its command line is not readable.
    type: str
    default: 127.0.0.1
  kubeconfig:
    description:
      - The kubeconfig to use if the process has neither a systemd credential named C(kubeconfig)
        nor a configured kubeconfig.
      - The module does not use a kubeconfig that a user other than root can write.
    type: path
    default: /etc/kubernetes/kube-scheduler.kubeconfig
  paths:
    description:
      - Paths at which files are expected. RV(obstacles) contains those that are directories.
    type: list
    elements: path
    default: []
  apiserver:
    description: URL of an apiserver. The module reads its C(/version) over verified TLS.
    type: str
  apiservers:
    description: URLs of further apiservers, which the module queries in the same way.
    type: list
    elements: str
    default: []
  apiserver_ca:
    description: Trusted CA certificates for O(apiserver) and O(apiservers), as PEM text.
    type: str
  tls_server_name:
    description:
      - Name to verify the certificates of O(apiserver) and O(apiservers) with, if it differs from
        the host in the URL.
    type: str
  certificate:
    description: Path of the certificate of the scheduler's key pair. RV(certificates) describes it.
    type: path
  authorities:
    description:
      - CA certificates, as PEM text. RV(certificates) shows which of them signed the certificates
        on this host, and is empty without this option.
    type: str
  next_ca:
    description:
      - CA certificates, as PEM text, that will replace those in O(apiserver_ca). C(next_serves) of
        RV(apiserver) then shows whether one of them issued the certificate of the apiserver.
    type: str
  next_cert:
    description:
      - Client certificate of O(next_ca) without permissions, as PEM text. C(next_accepted) of
        RV(apiserver) then shows whether the apiserver accepts it.
    type: str
  next_key:
    description: Private key for O(next_cert), as PEM text. The module keeps it in memory only.
    type: str
  next_ca_path:
    description:
      - On the controller - CA certificate that signs a client certificate for ten minutes, instead
        of O(next_cert).
      - Handled by the action plugin, which reads the file as the calling user.
    type: path
  next_ca_privatekey_path:
    description: On the controller - private key of O(next_ca_path).
    type: path
  serving_ca:
    description:
      - CA certificates, as PEM text, that verify the served certificate. Without this option, the
        CA certificates of the system are trusted.
    type: str
  versions:
    description:
      - The version table - for each minor version the default ports C(https) and C(http) (0 for
        none), C(ready) with the C(path) of the readiness endpoint and its C(port) (V(https) or
        V(http)), and C(locks) with the default lock type first.
      - Alternatively, the name of a variable that contains the table, so that Ansible does not
        template it for each host. The table is not templated then.
      - Handled by the action plugin, which passes only the necessary part to the module.
    type: raw
    default: {}
  _serving:
    description:
      - Ports, readiness endpoint and lock of each version range. The action plugin computes this
        option from O(versions); a task must not set it.
    type: list
    elements: dict
    default: []
    suboptions:
      since:
        description: The first minor version of the range.
        type: str
        required: true
      https:
        description: Default HTTPS port, 0 for none.
        type: int
        required: true
      http:
        description: Default port of plain HTTP, 0 for none.
        type: int
        required: true
      ready_path:
        description: Path of the readiness endpoint.
        type: str
        required: true
      ready_port:
        description: Port of the readiness endpoint.
        type: str
        choices: [https, http]
        required: true
      lock:
        description: Default lock type.
        type: str
        required: true
  metrics_cert:
    description:
      - Client certificate that is authorized to read the metrics, as PEM text. Without it, the
        module does not check the authorized access.
    type: str
  metrics_key:
    description: Private key for O(metrics_cert), as PEM text. The module keeps it in memory only.
    type: str
  metrics_ca_path:
    description:
      - On the controller - CA certificate that signs a client certificate for
        O=C(system:monitoring) for ten minutes, instead of O(metrics_cert).
      - Handled by the action plugin, which reads the file as the calling user. If it cannot sign
        the certificate, RV(not_checked) contains the check and the reason.
    type: path
  metrics_ca_privatekey_path:
    description: On the controller - private key of O(metrics_ca_path).
    type: path
  metrics_ca_privatekey_passphrase_file:
    description: On the controller - file with the passphrase of O(metrics_ca_privatekey_path).
    type: path
  probe:
    description:
      - Whether to probe the process, so that RV(healthy) is known. The module then waits until it
        observes that the lease moves.
      - Otherwise, the module reads the lease once.
    type: bool
    default: true
  steady:
    description:
      - Seconds for which the unit must have been active, by its own timestamps and without a
        restart by systemd, to be healthy. With V(0), neither is checked.
      - The module waits for the remaining time, within O(timeout).
    type: float
    default: 0
  reloaded:
    description:
      - Whether the host is healthy only if the process serves and uses the live key pair. If the
        process reloads the files of its key pair, the journal of the unit must confirm the reload.
        client-go logs it at verbosity 1 within five minutes.
      - The module waits for the reload, within O(timeout).
    type: bool
    default: false
  directories:
    description: Directories into which root will write. RV(unsafe) contains the reasons against it.
    type: list
    elements: path
    default: []
  previous_lease:
    description:
      - RV(lease) of an earlier run on this host. A lease that was renewed since then counts as
        moving without a wait.
    type: dict
  desired:
    description: The desired state of the host. RV(drift) contains the differences.
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
        description:
          - Source of the binary. With V(present), the operator manages the owner and mode of the
            binary.
        type: str
        choices: [download, controller, present]
        default: download
      log_dir:
        description: Directory of the logs, owned by O(user) with mode 0755. Empty for none.
        type: str
        default: ""
      certificate:
        description:
          - Options of M(kube_ha.scheduler.x509_cert) for the live paths, with C(owner), C(group)
            and C(mode).
          - With C(ca_on=controller), the action plugin reads the CA certificate and the profile on
            the controller, but not the CA key. The module receives no path of the controller.
          - With C(ca_on=external), the action plugin also reads the signing request and the
            certificate on the controller.
        type: dict
      pair:
        description:
          - The certificate and the private key on the controller that the members C(certificate)
            and C(privatekey) of O(desired.files) are copies of.
        type: dict
        suboptions:
          certificate_source:
            description:
              - On the controller - the certificate. Handled by the action plugin. A missing file is
                drift.
            type: path
          privatekey_source:
            description:
              - On the controller - the private key. Handled by the action plugin. A missing file is
                drift.
            type: path
          certificate_sha256:
            description: SHA-256 of the certificate file, in hexadecimal. Set by the action plugin.
            type: str
          privatekey_sha256:
            description: SHA-256 of the key file, in hexadecimal. Set by the action plugin.
            type: str
          x509_cert:
            description:
              - Options of M(kube_ha.scheduler.x509_cert) that create the key pair on the
                controller. If they would create or renew it, this is drift.
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
          - Options of M(kube_ha.scheduler.kubeconfig) for the live path, with C(owner), C(group)
            and C(mode).
          - Entries that contain a secret or have C(state=absent) are not supported.
        type: dict
      settings:
        description:
          - The settings that the process must start with.
          - The module compares them with the settings in C(/configz) and, if the version has them,
            in C(/flagz) and C(/statusz). If O(metrics_cert) has no access to them, RV(not_checked)
            contains the check.
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
          - The members of the file set, as in M(kube_ha.scheduler.scheduler_fileset). The module
            compares the content of C(config) and C(unit), and the target of members with
            O(desired.files[].link_to).
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the member.
            type: str
            required: true
          path:
            description: Live path of the member.
            type: path
            required: true
          content:
            description: Text of the member. C(@digest@) is replaced by the digest of the file set.
            type: str
          link_to:
            description:
              - Target name of the link. For the member C(static_pod), an empty value means that no
                file must exist at the path.
            type: str
          mode:
            description: Mode of the member, as an octal string.
            type: str
            default: "0644"
          digest:
            description: Whether the content or the path of the member is part of the digest.
            type: str
            choices: [content, path]
            default: content
      manage_packages:
        description: Whether missing Python libraries are drift.
        type: bool
        default: true
  timeout:
    description: Seconds to wait until the host is healthy.
    type: float
    default: 0
  journal_lines:
    description: Number of journal lines to return for an unhealthy host.
    type: int
    default: 20
seealso:
  - module: kube_ha.scheduler.leader_info
  - module: kube_ha.scheduler.scheduler_plan
"""

EXAMPLES = r"""
- name: Gather the state of this host and its scheduler
  kube_ha.scheduler.scheduler_info:
    probe: false
  register: host

- name: Wait up to 30 s for a healthy scheduler
  kube_ha.scheduler.scheduler_info:
    serving_ca: "{{ lookup('ansible.builtin.file', '/etc/kubernetes/cert/ca.pem') }}"
    previous_lease: "{{ host.lease }}"
    timeout: 30
  register: scheduler

- name: Fail with the problems
  ansible.builtin.fail:
    msg: "{{ scheduler.problems | join('; ') }}"
  when: not scheduler.healthy
"""

RETURN = r"""
healthy:
  description: Whether the host has no problem. Null without O(probe).
  returned: always
  type: bool
problems:
  description: The problems, one sentence each.
  returned: always
  type: list
  elements: str
  sample: ["kube-scheduler.service is activating (auto-restart, result exit-code)"]
drift:
  description: The differences from O(desired). Empty without a difference or without O(desired).
  returned: always
  type: list
  elements: dict
  contains:
    part:
      description:
        - V(packages), V(user), V(binary), V(record), V(link), V(log_dir), V(certificate),
          V(kubeconfig), V(config), V(unit), V(process) or V(staged).
        - V(record) is an installed binary with C(binary_source=present) that does not match its
          verified record.
      type: str
      sample: config
    reason:
      description: One line with the path and the difference.
      type: str
      sample: "/etc/kubernetes/kube-scheduler.yaml: content differs"
  sample:
    - {part: config, reason: "/etc/kubernetes/kube-scheduler.yaml: content differs"}
    - {part: process, reason: "running version 1.36.1, expected 1.37.2"}
awaited:
  description:
    - Why an external CA must issue a certificate, and what to do, one line each.
    - If the current certificate cannot be used, this is also part of RV(drift).
  returned: always
  type: list
  elements: str
  sample:
    - >-
      the certificate ends on 2026-12-01T00:00:00Z, within 720h; have /srv/pki/m1.csr signed,
      and put the certificate into /srv/pki/m1.pem
hostname:
  description: The host's own name, as in the holder identity of a lease.
  returned: always
  type: str
  sample: m1.example.com
architecture:
  description: Architecture name, as on the Kubernetes release site.
  returned: always
  type: str
  sample: amd64
os_families:
  description:
    - C(ID) and C(ID_LIKE) of C(/etc/os-release), the most specific first. Empty without this file.
  returned: always
  type: list
  elements: str
  sample: [ubuntu, debian]
systemd_version:
  description: Major version of systemd, 0 if systemd is not running.
  returned: always
  type: int
  sample: 252
python_version:
  description: Version of the Python interpreter that ran the module.
  returned: always
  type: str
  sample: 3.11.2
missing_libraries:
  description:
    - Python libraries that the modules of this collection need and that are missing on this host.
  returned: always
  type: list
  elements: str
  sample: [yaml]
time:
  description: The host's clock, in seconds since 1970.
  returned: always
  type: float
  sample: 1767268800.0
clock_offset:
  description:
    - Minimum offset of the host's clock from the controller's clock in seconds, allowing for
      RV(round_trip). Negative if the host's clock is behind.
  returned: always, added by the action plugin
  type: float
  sample: -0.02
round_trip:
  description: Duration of the module run in seconds.
  returned: always, added by the action plugin
  type: float
  sample: 0.61
user_exists:
  description: Whether O(user) exists.
  returned: always
  type: bool
installed:
  description: Whether O(fileset_dir) and the unit O(unit) exist.
  returned: always
  type: bool
prepared:
  description: Whether O(fileset_dir) contains a staged set and its record.
  returned: always
  type: bool
unsafe:
  description:
    - Why root must not write into one of O(directories), one line each.
    - A user other than root can write to the directory or to one above it, and could replace its
      files.
  returned: always
  type: list
  elements: str
  sample: ["every user can write to '/etc/kubernetes'"]
stale:
  description:
    - Names of the members whose staged copy was not made from the live file. Only members that
      other modules stage are listed.
    - The members are those of O(desired.files), otherwise those that were staged last.
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
  description: The apiserver of O(apiserver). Null without this option.
  returned: always
  type: dict
  contains:
    server:
      description: URL of the apiserver.
      type: str
      sample: https://192.0.2.10:6443
    reachable:
      description:
        - Whether the apiserver responded over verified TLS. A response that denies anonymous access
          counts.
      type: bool
    version:
      description: Version of the apiserver, such as V(v1.37.2), or null.
      type: str
      sample: v1.37.2
    error:
      description: The error, or null.
      type: str
      sample: connection refused
    next_serves:
      description:
        - Whether O(next_ca) issued the certificate of the apiserver. Null if not checked or
          unknown.
      type: bool
    next_accepted:
      description:
        - Whether the apiserver accepts a client certificate of O(next_ca). Null if not checked or
          unknown.
      type: bool
apiservers:
  description: The apiservers of O(apiservers), with the same fields as RV(apiserver).
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
  description: The unit as systemd reports it. Texts are empty on a host without systemd.
  returned: always
  type: dict
  contains:
    name:
      description: Name of the unit.
      type: str
      sample: kube-scheduler.service
    load_state:
      description: Load state, such as V(loaded), V(not-found) or V(masked).
      type: str
      sample: loaded
    active_state:
      description: Active state, such as V(active) or V(failed).
      type: str
      sample: active
    sub_state:
      description: Sub-state, such as V(running).
      type: str
      sample: running
    enabled:
      description: Unit file state, such as V(enabled).
      type: str
      sample: enabled
    result:
      description: Result of the last run of the unit.
      type: str
      sample: success
    restarts:
      description: Number of automatic restarts by systemd.
      type: int
      sample: 0
    since:
      description: Start time of the process.
      type: str
      sample: "Thu 2026-01-01 12:00:00 UTC"
    active_seconds:
      description:
        - Seconds for which the unit has been active, by its own timestamps; 0 if it is not active.
      type: float
      sample: 86400.0
    fragment_path:
      description: File of the unit.
      type: str
      sample: /etc/systemd/system/kube-scheduler.service
    drop_ins:
      description: Drop-ins that apply only to this unit and change it.
      type: list
      elements: str
      sample: [/etc/systemd/system/kube-scheduler.service.d/local.conf]
    set_aside:
      description: Drop-ins whose settings this role removed.
      type: list
      elements: str
      sample: []
    static_pod:
      description:
        - Manifest from which kubelet runs the scheduler instead of the unit, empty for none.
          RV(process) then describes the process of the pod.
      type: str
      sample: ""
process:
  description:
    - The process of the unit and its settings. Without a process, C(pid) is 0 and the other fields
      are empty, 0 or null.
  returned: always
  type: dict
  contains:
    pid:
      description: Process ID.
      type: int
      sample: 4711
    version:
      description: Running version, without a leading C(v).
      type: str
      sample: 1.37.2
    digest:
      description: Digest of the file set that the process started from, as the unit reports it.
      type: str
      sample: 5d41402abc4b2a76b9719d911017c592
    lock:
      description: Lock type of its election.
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
      description: Address of its HTTPS port.
      type: str
      sample: 127.0.0.1
    secure_port:
      description: HTTPS port, 0 for none.
      type: int
      sample: 10259
    http_port:
      description: Port of plain HTTP, 0 for none.
      type: int
      sample: 0
    timings:
      description: Times of its election in seconds. Null if unknown.
      type: dict
      contains:
        lease_duration:
          description: Duration of a lease.
          type: float
          sample: 15.0
        renew_deadline:
          description: Time after which a leader that cannot renew its lease gives up.
          type: float
          sample: 10.0
        retry_period:
          description: Time between two attempts.
          type: float
          sample: 2.0
    kubeconfig:
      description: Path of its configured kubeconfig.
      type: str
      sample: /run/credentials/kube-scheduler.service/kubeconfig
    user:
      description: Owner of the process. Empty for a unit of this role.
      type: str
      sample: ""
    arguments:
      description: Command line without the program. Empty for a unit of this role.
      type: list
      elements: str
      sample: []
    settings:
      description:
        - Settings in its configuration as FIELD=JSON, without private keys. Empty for a unit of
          this role, or if there is no readable configuration.
      type: list
      elements: str
      sample: []
    environment:
      description:
        - Names of the environment variables that it reads, such as GOGC and HTTPS_PROXY. Empty for
          a unit of this role.
      type: list
      elements: str
      sample: []
port:
  description: The port O(port), or the port of plain HTTP for a version without HTTPS.
  returned: always
  type: dict
  contains:
    number:
      description: Port number.
      type: int
      sample: 10259
    addresses:
      description: Addresses with a listener on the port.
      type: list
      elements: str
      sample: [127.0.0.1]
    held_by:
      description: The process that listens on the port, or empty.
      type: str
      sample: kube-scheduler (pid 4711)
    ours:
      description: Whether this is the process of the unit.
      type: bool
others:
  description:
    - Further kube-schedulers on this host - the manifest of a static pod beside the process of the
      unit, and processes that listen on the port or elect by the same lease.
    - The instances in RV(instances) are not listed. A static pod counts only for the unit
      C(kube-scheduler.service).
  returned: always
  type: list
  elements: str
  sample: [static pod /etc/kubernetes/manifests/kube-scheduler.yaml]
instances:
  description:
    - The other schedulers of this role on this host, which have a record in a directory next to
      O(fileset_dir).
    - The fields describe the running process or, without a process, the staged set.
  returned: always
  type: list
  elements: dict
  contains:
    unit:
      description: Name of the unit.
      type: str
      sample: batch-scheduler.service
    ports:
      description: Ports that it serves on.
      type: list
      elements: int
      sample: [10260]
    lease:
      description:
        - Namespace and name of its lease, separated by a slash. Empty while nothing is staged.
      type: str
      sample: kube-system/batch-scheduler
    schedulers:
      description: Scheduler names for which it schedules pods.
      type: list
      elements: str
      sample: [batch]
    paths:
      description: Paths of its file set.
      type: list
      elements: str
      sample: [/etc/kubernetes/batch-scheduler.kubeconfig]
lease:
  description:
    - The lease as this host observes it, in the form of M(kube_ha.scheduler.leader_info), and its
      C(age), the seconds since its renewal by this host's clock.
    - Null without a process, or if the lease cannot be read.
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
  description: The certificates on this host. Empty without O(authorities).
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: Path of the file.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler.pem
    use:
      description:
        - V(pair) for O(certificate), V(client) for the client certificate in O(kubeconfig), and
          V(trust) for a CA that O(kubeconfig) trusts.
      type: str
      sample: pair
    subject:
      description: Subject, as in RFC 4514.
      type: str
      sample: CN=system:kube-scheduler,O=system:kube-scheduler
    issuer:
      description: Subject of the CA, as in RFC 4514.
      type: str
      sample: CN=kubernetes-ca
    usages:
      description: Extended key usages and, for a CA, the key usages.
      type: list
      elements: str
      sample: [clientAuth, serverAuth]
    not_after:
      description: End of the validity.
      type: str
      sample: "2027-11-26T04:00:00Z"
    fingerprint_sha256:
      description: SHA-256 of the certificate.
      type: str
      sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
    signed_by:
      description: SHA-256 of those of O(authorities) that signed the certificate.
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
  description: Results of the probes. Null without O(probe).
  returned: always
  type: dict
  contains:
    served:
      description: The certificate that the scheduler serves. Null for none.
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
          description: Full days until the certificate expires, negative after expiry.
          type: int
          sample: 364
        fingerprint_sha256:
          description: SHA-256 of the certificate.
          type: str
          sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
        valid:
          description: Whether the certificate is valid now.
          type: bool
    used:
      description: The certificate used at the apiserver. Null where there is none.
      type: dict
      contains: *certificate
    used_loaded:
      description:
        - Whether the scheduler has loaded the certificate in C(used), by its start time or its log.
          Null without O(reloaded), or if the process does not reload the files of its key pair.
      type: bool
    ready:
      description: HTTP status of the readiness endpoint.
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
      description: HTTP status of the metrics over plain HTTP, if the scheduler serves it.
      type: int
      sample: 200
not_checked:
  description:
    - Checks that could not run. A reason follows, unless only the client certificate is missing.
  returned: always
  type: list
  elements: str
  sample: ["metrics for an authorized client"]
journal:
  description: Last journal lines of the unit. Empty for a healthy host.
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
    # The comparison uses the code of other modules, which must only predict changes.
    module.check_mode = True
    try:
        result = info.HostQuery(module, systemd.Systemd(module.run_command), Proc()).run()
    except (FilesetError, SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

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
  - In one run, the module gathers the state of this host and its scheduler. The module also checks
    the health of the scheduler (O(probe)) and the differences from the desired state (O(desired)).
  - The module checks the unit, its process, the process that listens on the port, and readiness
    over verified TLS. The module also checks the certificates that the scheduler serves and uses,
    access to its metrics, and the lease.
  - The module reads the address and the lease of the process from its command line and its
    configuration.
  - An active unit and a C(/healthz) endpoint that returns 200 do not prove that a scheduler is
    healthy. A scheduler with expired certificates has both.
  - The module needs no pip package. The module needs C(python3-cryptography) to describe
    certificates, and C(python3-yaml) to read a kubeconfig.
  - The module never changes the host. If an unprivileged user can write to a program, the module
    runs it only as that user.
extends_documentation_fragment:
  - kube_ha.scheduler._attributes
  - kube_ha.scheduler._attributes.info
  - kube_ha.scheduler._secrets
options:
  input:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=variables) or
        O(kube_ha.scheduler.scheduler_plan#module:step=instance). The action plugin of this module
        reads options from it that the task does not set.
      - The module on the host ignores this option.
    type: dict
  plan:
    description:
      - Result of O(kube_ha.scheduler.scheduler_plan#module:step=host). The action plugin reads
        options from it that the task does not set.
    type: dict
  unit:
    description: Name of the systemd unit of the scheduler, with its suffix.
    type: str
    default: kube-scheduler.service
  fileset_dir:
    description: Directory of the file set, as in M(kube_ha.scheduler.scheduler_fileset).
    type: path
    default: /var/lib/kube-ha/kube-scheduler
  user:
    description: Desired system user of the scheduler.
    type: str
  port:
    description: Desired HTTPS port of the scheduler. RV(port) describes the process that listens on
      it.
    type: int
    default: 10259
  bind_address:
    description:
      - Desired HTTPS address of the scheduler. The module probes the address on the command line of
        the process. If the command line is not readable, the module probes this address.
    type: str
    default: 127.0.0.1
  kubeconfig:
    description:
      - Path of the kubeconfig to use if the process has neither a systemd credential named
        C(kubeconfig) nor a configured kubeconfig.
      - If a user other than root can write to a kubeconfig, the module does not use it.
    type: path
    default: /etc/kubernetes/kube-scheduler.kubeconfig
  paths:
    description:
      - Paths at which the role writes files. RV(obstacles) contains the paths that are directories.
    type: list
    elements: path
    default: []
  apiserver:
    description: URL of the apiserver. The module reads its C(/version) endpoint over verified TLS.
    type: str
  apiservers:
    description: URLs of further apiservers. The module also reads their C(/version) endpoints over
      verified TLS.
    type: list
    elements: str
    default: []
  apiserver_ca:
    description: Trusted CA certificates for O(apiserver) and O(apiservers), as PEM text.
    type: str
  tls_server_name:
    description:
      - Name that the certificates of O(apiserver) and O(apiservers) must contain, if it differs
        from the host in the URL.
    type: str
  certificate:
    description: Path of the certificate of the scheduler's key pair. RV(certificates) describes it.
    type: path
  authorities:
    description:
      - CA certificates, as PEM text. RV(certificates) shows which of these CAs signed the
        certificates on this host. Without this option, RV(certificates) is empty.
    type: str
  next_ca:
    description:
      - CA certificates, as PEM text, that will replace the CA certificates in O(apiserver_ca).
        RV(apiserver.next_serves) then shows whether one of these CAs issued the certificate of the
        apiserver.
    type: str
  next_cert:
    description:
      - Client certificate from O(next_ca) without permissions, as PEM text.
        RV(apiserver.next_accepted) then shows whether the apiserver accepts the certificate.
    type: str
  next_key:
    description: Private key of O(next_cert), as PEM text. The module keeps the key in memory only.
    type: str
  next_ca_path:
    description:
      - Path, on the controller, of a CA certificate. This CA signs a client certificate for ten
        minutes, instead of O(next_cert).
      - Only the action plugin uses this option. It reads the file as the user that runs Ansible.
    type: path
  next_ca_privatekey_path:
    description: Path, on the controller, of the private key of O(next_ca_path).
    type: path
  next_ca_privatekey_passphrase_file:
    description: Path, on the controller, of a file with the passphrase of
      O(next_ca_privatekey_path).
    type: path
  serving_ca:
    description:
      - CA certificates, as PEM text, that verify the certificate that the scheduler serves. Without
        this option, the module trusts the CA certificates of the system.
    type: str
  versions:
    description:
      - Version table, with the fields C(https), C(http), C(ready) and C(locks) for each minor
        version.
      - C(https) and C(http) are the default ports, 0 for none. C(ready) contains the C(path) of the
        readiness endpoint and its C(port) (V(https) or V(http)). C(locks) lists the lock types, the
        default first.
      - The value can also be the name of a variable that contains the table. Ansible then does not
        template the table.
      - The action plugin passes only the necessary part of the table to the module.
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
        description: First minor version of the version range.
        type: str
        required: true
      https:
        description: Default HTTPS port of the version range, 0 for none.
        type: int
        required: true
      http:
        description: Default HTTP port of the version range, 0 for none.
        type: int
        required: true
      ready_path:
        description: Path of the readiness endpoint in the version range.
        type: str
        required: true
      ready_port:
        description: Port of the readiness endpoint in the version range.
        type: str
        choices: [https, http]
        required: true
      lock:
        description: Default lock type of the version range.
        type: str
        required: true
  metrics_cert:
    description:
      - Client certificate that is authorized to read the metrics, as PEM text. Without this option,
        the module does not check authorized access to the metrics.
    type: str
  metrics_key:
    description: Private key of O(metrics_cert), as PEM text. The module keeps the key in memory
      only.
    type: str
  metrics_ca_path:
    description:
      - Path, on the controller, of a CA certificate. This CA signs a client certificate with
        O=C(system:monitoring) for ten minutes, instead of O(metrics_cert).
      - Only the action plugin uses this option. It reads the file as the user that runs Ansible. If
        the plugin cannot sign the certificate, RV(not_checked) contains the check and the reason.
    type: path
  metrics_ca_privatekey_path:
    description: Path, on the controller, of the private key of O(metrics_ca_path).
    type: path
  metrics_ca_privatekey_passphrase_file:
    description: Path, on the controller, of a file with the passphrase of
      O(metrics_ca_privatekey_path).
    type: path
  probe:
    description:
      - Whether to probe the process and to set RV(healthy). The module then waits until it observes
        that the lease moves.
      - With V(false), the module reads the lease once.
    type: bool
    default: true
  steady:
    description:
      - Seconds for which a healthy unit must have been active, by the timestamps of systemd and
        without a restart by systemd. With V(0), the module checks neither the time nor restarts.
      - The module waits for the remaining time, within O(timeout).
    type: float
    default: 0
  reloaded:
    description:
      - Whether the host is healthy only if the process serves and uses the live key pair.
      - If the process reloads the files of its key pair, the journal of the unit must confirm the
        reload. client-go logs the reload at verbosity 1 within five minutes.
      - The module waits for the reload, within O(timeout).
    type: bool
    default: false
  directories:
    description: Directories into which root will write. RV(unsafe) lists the directories and links
      with which another user can redirect root.
    type: list
    elements: path
    default: []
  previous:
    description:
      - Name of the variable with an earlier result of this module or of
        M(kube_ha.scheduler.scheduler_fileset) on this host. The action plugin passes its lease as
        O(previous_lease). The plugin ignores a value that this run did not return for this host.
    type: str
  previous_lease:
    description:
      - Value of RV(lease) from an earlier run on this host. If the lease was renewed since then, it
        counts as moving without a wait.
    type: dict
  desired:
    description: Desired state of the host. RV(drift) contains the differences.
    type: dict
    suboptions:
      version:
        description: Desired version of the scheduler.
        type: str
        required: true
      binary:
        description: Path of the binary of O(desired.version).
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
        description: Directory of the logs, with owner O(user) and mode 0755. Empty for no
          directory.
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
          - Key pair on the controller that the role copies to the host, to the files C(certificate)
            and C(privatekey) of O(desired.files).
        type: dict
        suboptions:
          certificate_source:
            description:
              - Path, on the controller, of the certificate. The action plugin reads it. A missing
                file is drift.
            type: path
          privatekey_source:
            description:
              - Path, on the controller, of the private key. The action plugin reads it. A missing
                file is drift.
            type: path
          certificate_sha256:
            description: SHA-256 checksum of the certificate file, in hexadecimal. Only the action
              plugin sets this option.
            type: str
          privatekey_sha256:
            description: SHA-256 checksum of the private key file, in hexadecimal. Only the action
              plugin sets this option.
            type: str
          x509_cert:
            description:
              - Options of M(kube_ha.scheduler.x509_cert) that create the key pair on the
                controller. A key pair that the module would create or renew is drift.
              - Only the action plugin uses this option.
            type: dict
          owner:
            description: Owner of the private key on the host.
            type: str
          group:
            description: Group of the private key on the host.
            type: str
          mode:
            description: Mode of the private key on the host, as an octal string.
            type: raw
      kubeconfig:
        description:
          - Options of M(kube_ha.scheduler.kubeconfig) for the live path, with C(owner), C(group)
            and C(mode).
          - Entries that contain a secret or have C(state=absent) are not supported.
        type: dict
      settings:
        description:
          - Settings that the process must have started with.
          - The module compares these settings with the settings in C(/configz) and, if the version
            has them, in C(/flagz) and C(/statusz). If O(metrics_cert) has no access to an endpoint,
            RV(not_checked) contains the check.
        type: dict
        suboptions:
          flags:
            description: Flags of kube-scheduler by name, with their values.
            type: dict
            default: {}
          config:
            description: Desired KubeSchedulerConfiguration, as a dictionary.
            type: dict
            default: {}
      files:
        description:
          - Files of the file set, as in M(kube_ha.scheduler.scheduler_fileset). The module compares
            the content of C(config) and C(unit), and the target of files with
            O(desired.files[].link_to).
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the file in the file set.
            type: str
            required: true
          path:
            description: Live path of the file.
            type: path
            required: true
          content:
            description: Content of the file as text. The module replaces C(@digest@) with the
              digest of the file set.
            type: str
          link_to:
            description:
              - Target name of a symbolic link in the same directory. For the file C(static_pod), an
                empty value means that no file must exist at the path.
            type: str
          mode:
            description: Mode of the file, as an octal string.
            type: str
            default: "0644"
          group:
            description: Group of the file, if it has O(desired.files[].content).
            type: str
            default: root
          digest:
            description: Whether the digest of the file set includes the content of the file or only
              its path.
            type: str
            choices: [content, path]
            default: content
      manage_packages:
        description: Whether missing Python libraries are drift.
        type: bool
        default: true
  timeout:
    description: Maximum seconds to wait until the host is healthy.
    type: float
    default: 0
  journal_lines:
    description:
      - Number of journal lines to return for an unhealthy host.
      - If these lines have more than 16384 characters as JSON, the result contains only the last
        ones.
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

- name: Wait at most 30 seconds until the scheduler is healthy
  kube_ha.scheduler.scheduler_info:
    serving_ca: "{{ lookup('ansible.builtin.file', '/etc/kubernetes/cert/ca.pem') }}"
    previous_lease: "{{ host.lease }}"
    timeout: 30
  register: scheduler

- name: Fail if the scheduler is unhealthy
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
  description: Problems of the host and its scheduler, one line each.
  returned: always
  type: list
  elements: str
  sample: ["kube-scheduler.service is activating (auto-restart, result exit-code)"]
drift:
  description: Differences of the host from O(desired). Empty without a difference or without
    O(desired).
  returned: always
  type: list
  elements: dict
  contains:
    part:
      description:
        - Part of the desired state that differs. Possible values are V(packages), V(user),
          V(binary), V(record), V(link), V(log_dir), V(certificate), V(kubeconfig), V(config),
          V(unit), V(process) and V(staged).
        - V(record) means that an installed binary with C(binary_source=present) does not match its
          verified record.
      type: str
      sample: config
    reason:
      description: Path and difference, in one line.
      type: str
      sample: "/etc/kubernetes/kube-scheduler.yaml: content differs"
  sample:
    - {part: config, reason: "/etc/kubernetes/kube-scheduler.yaml: content differs"}
    - {part: process, reason: "the process runs version 1.36.1, expected 1.37.2"}
awaited:
  description:
    - Reasons why an external CA must issue a certificate, and what to do, one line each.
    - If the current certificate cannot be used, RV(drift) also contains the reason.
  returned: always
  type: list
  elements: str
  sample:
    - >-
      the certificate ends on 2026-12-01T00:00:00Z, within 720h; have /srv/pki/m1.csr signed by
      the CA in /srv/pki/ca.pem, and save the certificate as /srv/pki/m1.pem
hostname:
  description: Hostname, as in the holder identity of a lease.
  returned: always
  type: str
  sample: m1.example.com
architecture:
  description: Architecture of the host, with the name that the Kubernetes release site uses.
  returned: always
  type: str
  sample: amd64
os_families:
  description:
    - Values of C(ID) and C(ID_LIKE) in C(/etc/os-release), the most specific first. Empty if the
      file is missing.
  returned: always
  type: list
  elements: str
  sample: [ubuntu, debian]
systemd_version:
  description: Major version of systemd on the host, 0 if systemd is not running.
  returned: always
  type: int
  sample: 252
python_version:
  description: Version of the Python interpreter that ran the module.
  returned: always
  type: str
  sample: 3.11.2
python_path:
  description: Path of the Python interpreter that ran the module.
  returned: always
  type: str
  sample: /usr/bin/python3
python_packaged:
  description:
    - Whether packages of the distribution add libraries to this Python interpreter. In a virtual
      environment, packages of the distribution add no libraries.
  returned: always
  type: bool
missing_libraries:
  description:
    - Python libraries that the modules of this collection need, but that are missing on this host.
  returned: always
  type: list
  elements: str
  sample: [yaml]
time:
  description: Time by the clock of the host, in seconds since 1970.
  returned: always
  type: float
  sample: 1767268800.0
clock_offset:
  description:
    - Offset of the host's clock from the controller's clock in seconds. The value is the smallest
      offset that the duration RV(round_trip) of the module run allows. If the host's clock is
      behind, the value is negative.
  returned: always, added by the action plugin
  type: float
  sample: -0.02
round_trip:
  description: Duration of the module run in seconds.
  returned: always, added by the action plugin
  type: float
  sample: 0.61
user_exists:
  description: Whether the user O(user) exists on the host.
  returned: always
  type: bool
installed:
  description: Whether O(fileset_dir) and the unit O(unit) exist.
  returned: always
  type: bool
prepared:
  description: Whether O(fileset_dir) contains a staged file set and its record.
  returned: always
  type: bool
restorable:
  description: Whether a rollback restores the file set of another installer that the role adopted.
  returned: always
  type: bool
unsafe:
  description:
    - Directories and links in the paths of O(directories) with which a user other than root can
      redirect what root writes. The user can write to the directory, or owns the link or its
      directory.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: Path of the directory or link.
      type: str
      sample: /etc/kubernetes
    reason:
      description: Why root cannot trust the path, as a clause.
      type: str
      sample: "'/etc/kubernetes' belongs to k8s"
    is_link:
      description: Whether the path is a link.
      type: bool
      sample: false
    can_take:
      description:
        - Whether O(kube_ha.scheduler.scheduler_fileset#module:ownership) can give the directory to
          root.
        - A link, a home directory or a directory in C(/) cannot be given to root.
      type: bool
      sample: true
stale:
  description:
    - Names of the files whose staged copy was not made from the live file. The list contains only
      files that other modules stage.
    - If O(desired.files) is set, the module checks these files. Otherwise, the module checks the
      files that were staged last.
  returned: always
  type: list
  elements: str
  sample: [certificate, privatekey]
obstacles:
  description: Paths in O(paths) that are directories.
  returned: always
  type: list
  elements: str
  sample: [/opt/k8s/bin/kube-scheduler]
apiserver:
  description: State of the apiserver in O(apiserver). Null without this option.
  returned: always
  type: dict
  contains:
    server:
      description: URL of the apiserver.
      type: str
      sample: https://192.0.2.10:6443
    reachable:
      description:
        - Whether the apiserver responded over verified TLS, even if the response denies anonymous
          access.
      type: bool
    version:
      description: Version of the apiserver, such as V(v1.37.2). Null if unknown.
      type: str
      sample: v1.37.2
    error:
      description: Error of the query, or null for no error.
      type: str
      sample: >-
        https://192.0.2.10:6443: connection refused; no process listens on the port; start the
        server
    next_serves:
      description:
        - Whether a CA in O(next_ca) issued the certificate of the apiserver. Null if not checked or
          unknown.
      type: bool
    next_accepted:
      description:
        - Whether the apiserver accepts a client certificate from O(next_ca). Null if not checked or
          unknown.
      type: bool
apiservers:
  description: States of the apiservers in O(apiservers), with the same fields as RV(apiserver).
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
  description: State of the systemd unit O(unit). On a host without systemd, its strings are empty.
  returned: always
  type: dict
  contains:
    name:
      description: Name of the systemd unit.
      type: str
      sample: kube-scheduler.service
    load_state:
      description: Load state of the unit, such as V(loaded), V(not-found) or V(masked).
      type: str
      sample: loaded
    active_state:
      description: Active state of the unit, such as V(active) or V(failed).
      type: str
      sample: active
    sub_state:
      description: Substate of the unit, such as V(running).
      type: str
      sample: running
    enabled:
      description: State of the unit file, such as V(enabled).
      type: str
      sample: enabled
    result:
      description: Result of the last run of the unit.
      type: str
      sample: success
    restarts:
      description: Number of automatic restarts of the unit by systemd.
      type: int
      sample: 0
    since:
      description: Start time of the process of the unit.
      type: str
      sample: "Thu 2026-01-01 12:00:00 UTC"
    active_seconds:
      description:
        - Seconds for which the unit has been active, by the timestamps of systemd. 0 if the unit is
          not active.
      type: float
      sample: 86400.0
    fragment_path:
      description: Path of the unit file.
      type: str
      sample: /etc/systemd/system/kube-scheduler.service
    drop_ins:
      description: Paths of the drop-ins that apply only to this unit and change it.
      type: list
      elements: str
      sample: [/etc/systemd/system/kube-scheduler.service.d/local.conf]
    drop_in_settings:
      description: Names of the settings in RV(unit.drop_ins), each once.
      type: list
      elements: str
      sample: [Nice]
    set_aside:
      description: Paths of the drop-ins that the role set aside.
      type: list
      elements: str
      sample: []
    static_pod:
      description:
        - Path of the static pod manifest from which kubelet runs the scheduler instead of the unit.
          Empty for no manifest. If a manifest exists, RV(process) describes the process of the pod.
      type: str
      sample: ""
process:
  description:
    - Process of the unit and its settings. Without a process, RV(process.pid) is 0, and the other
      fields are empty, 0 or null.
  returned: always
  type: dict
  contains:
    pid:
      description: Process ID of the scheduler.
      type: int
      sample: 4711
    version:
      description: Version of the running scheduler, without a leading C(v).
      type: str
      sample: 1.37.2
    digest:
      description: Digest of the file set that the process was started from.
      type: str
      sample: 5d41402abc4b2a76b9719d911017c592
    lock:
      description: Lock type of the scheduler's election.
      type: str
      sample: leases
    lease_name:
      description: Name of the scheduler's lease.
      type: str
      sample: kube-scheduler
    lease_namespace:
      description: Namespace of the scheduler's lease.
      type: str
      sample: kube-system
    bind_address:
      description: Address on which the scheduler serves HTTPS.
      type: str
      sample: 127.0.0.1
    secure_port:
      description: HTTPS port of the scheduler, 0 for none.
      type: int
      sample: 10259
    http_port:
      description: HTTP port of the scheduler, 0 for none.
      type: int
      sample: 0
    timings:
      description: Election times of the scheduler in seconds. Null if unknown.
      type: dict
      contains:
        lease_duration:
          description: Validity of the lease after its last renewal.
          type: float
          sample: 15.0
        renew_deadline:
          description: Time after which a leader that cannot renew the lease stops leading.
          type: float
          sample: 10.0
        retry_period:
          description: Time between two attempts to acquire or renew the lease.
          type: float
          sample: 2.0
    kubeconfig:
      description: Path of the kubeconfig that the scheduler is configured with.
      type: str
      sample: /run/credentials/kube-scheduler.service/kubeconfig
    user:
      description: User that the process runs as. Empty if the role created the unit.
      type: str
      sample: ""
    arguments:
      description: Command line of the process without the program and without secrets. Empty if
        the role created the unit.
      type: list
      elements: str
      sample: []
    settings:
      description:
        - Settings in the scheduler's configuration as FIELD=JSON, without secrets. Empty if the
          role created the unit, or if no configuration is readable.
      type: list
      elements: str
      sample: []
    environment:
      description:
        - Names of the environment variables that the process reads, such as GOGC and HTTPS_PROXY.
          Empty if the role created the unit.
      type: list
      elements: str
      sample: []
port:
  description: Listeners on the port O(port), or on the HTTP port for a version without HTTPS.
  returned: always
  type: dict
  contains:
    number:
      description: Number of the port.
      type: int
      sample: 10259
    addresses:
      description: Addresses with a listener on the port.
      type: list
      elements: str
      sample: [127.0.0.1]
    held_by:
      description: Name and ID of the process that listens on the port. Empty if no process listens.
      type: str
      sample: kube-scheduler (pid 4711)
    ours:
      description: Whether the process of the unit listens on the port.
      type: bool
others:
  description:
    - Further kube-schedulers on this host. The list contains static pod manifests next to the
      process of the unit, and processes that use the same port or lease.
    - The list does not contain the instances in RV(instances). The list contains a static pod only
      if O(unit) is C(kube-scheduler.service).
  returned: always
  type: list
  elements: str
  sample: [static pod /etc/kubernetes/manifests/kube-scheduler.yaml]
instances:
  description:
    - Other instances of this role on this host. Each has a record in a directory next to
      O(fileset_dir).
    - The fields describe the running process or, without a process, the staged file set.
  returned: always
  type: list
  elements: dict
  contains:
    unit:
      description: Name of the systemd unit of the instance.
      type: str
      sample: batch-scheduler.service
    ports:
      description: Ports on which the instance serves.
      type: list
      elements: int
      sample: [10260]
    lease:
      description:
        - Namespace and name of the instance's lease, separated by a slash. Empty while no file set
          is staged.
      type: str
      sample: kube-system/batch-scheduler
    schedulers:
      description: Scheduler names of the pods that the instance schedules.
      type: list
      elements: str
      sample: [batch]
    paths:
      description: Paths in the file set of the instance.
      type: list
      elements: str
      sample: [/etc/kubernetes/batch-scheduler.kubeconfig]
lease:
  description:
    - Lease as this host observes it, with the fields of M(kube_ha.scheduler.leader_info). C(age) is
      the number of seconds since the last renewal by the clock of this host.
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
  description: Certificates on this host. Empty without O(authorities).
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: Path of the file that contains the certificate.
      type: str
      sample: /etc/kubernetes/cert/kube-scheduler.pem
    use:
      description:
        - Use of the certificate. V(pair) is the certificate in O(certificate), V(client) is the
          client certificate in O(kubeconfig), and V(trust) is a CA certificate that O(kubeconfig)
          trusts.
      type: str
      sample: pair
    subject:
      description: Subject of the certificate, as in RFC 4514.
      type: str
      sample: CN=system:kube-scheduler,O=system:kube-scheduler
    issuer:
      description: Subject of the CA that issued the certificate, as in RFC 4514.
      type: str
      sample: CN=kubernetes-ca
    usages:
      description: Extended key usages of the certificate and, for a CA, its key usages.
      type: list
      elements: str
      sample: [clientAuth, serverAuth]
    not_after:
      description: End of the certificate's validity in UTC.
      type: str
      sample: "2027-11-26T04:00:00Z"
    fingerprint_sha256:
      description: SHA-256 fingerprint of the certificate.
      type: str
      sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
    signed_by:
      description: SHA-256 fingerprints of the CA certificates in O(authorities) that signed the
        certificate.
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
      description: Certificate that the scheduler serves. Null for no certificate.
      type: dict
      contains: &certificate
        subject:
          description: Subject of the certificate.
          type: str
          sample: CN=system:kube-scheduler,O=system:kube-scheduler
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
          sample: 1B:C9:F5:0F:54:64:58:4D:87:4D:42:AC:D6:52:F9:2B:A4:C5:F3:44:6C:1F:93:EE:66:F8:02:7A:9B:4E:32:0D
        valid:
          description: Whether the certificate is valid now.
          type: bool
    used:
      description: Client certificate that the scheduler uses at the apiserver. Null for no
        certificate.
      type: dict
      contains: *certificate
    used_loaded:
      description:
        - Whether the scheduler has loaded the certificate in RV(probes.used), by its start time or
          its log. Null without O(reloaded), or if the process does not reload the files of its key
          pair.
      type: bool
    ready:
      description: HTTP status of the response of the readiness endpoint.
      type: int
      sample: 200
    metrics_anonymous:
      description: HTTP status of the metrics endpoint for an anonymous client.
      type: int
      sample: 403
    metrics_reader:
      description: HTTP status of the metrics endpoint for an authorized client.
      type: int
      sample: 200
    metrics_http:
      description: HTTP status of the metrics endpoint over an C(http://) URL, if the scheduler
        serves HTTP.
      type: int
      sample: 200
not_checked:
  description:
    - Checks that could not run, each with the reason.
  returned: always
  type: list
  elements: str
  sample: ["metrics for an authorized client (no client certificate was given)"]
journal:
  description: Last journal lines of the unit. Empty if the host is healthy.
  returned: always
  type: list
  elements: str
  sample: ["Jan 01 12:00:00 m1 kube-scheduler[4711]: leaderelection lost"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
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
        argument_spec=spec.INFO_SPEC,
        required_together=spec.INFO_REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    # Ansible would mask the value of every no_log option, however short, in paths and messages.
    module.no_log_values = _secrets.long_secrets(module.no_log_values)
    # The comparison uses the code of other modules, which must only predict changes.
    module.check_mode = True
    try:
        result = info.HostQuery(module, systemd.Systemd(module.run_command), Proc()).run()
    except (FilesetError, SystemdError, FilesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

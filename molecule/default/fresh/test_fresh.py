"""Test hosts before a first run: check mode changes nothing, and errors name the missing parts."""

from __future__ import annotations

from typing import Any

PATHS = (
    "/opt/k8s",
    "/etc/kubernetes/cert/kube-scheduler.pem",
    "/etc/kubernetes/cert/kube-scheduler-key.pem",
    "/etc/kubernetes/kube-scheduler.kubeconfig",
    "/etc/kubernetes/kube-scheduler.yaml",
    "/etc/systemd/system/kube-scheduler.service",
    "/var/lib/kube-ha",
)


def test_fresh_host_lacks_the_libraries(host: Any) -> None:
    for library in ("cryptography", "yaml"):
        assert host.run("/usr/bin/python3 -c 'import %s'", library).rc != 0


def test_preflight_without_package_management_names_the_libraries(lab: Any) -> None:
    run = lab.site("--extra-vars={kube_scheduler_manage_packages: false}")
    assert run.code != 0
    for library in ("cryptography, 3.3 or newer,", "PyYAML"):
        expected = f"m1: the Python library {library} is missing for /usr/bin/python3; install"
        assert expected in run.text, run.output
    assert not any(run.changed.values())


def test_modules_name_the_missing_package(lab: Any, tmp_path: Any) -> None:
    playbook = tmp_path / "lacking.yml"
    playbook.write_text(
        """
- hosts: m1
  gather_facts: false
  tasks:
    - kube_ha.scheduler.x509_cert:
        path: /root/ca.pem
        privatekey_path: /root/ca-key.pem
        is_ca: true
        subject: {CN: ca}
      ignore_errors: true
    - kube_ha.scheduler.kubeconfig:
        path: /root/kubeconfig
        clusters: [{name: c, server: https://192.0.2.1}]
      ignore_errors: true
    - ansible.builtin.tempfile:
      register: there
    - kube_ha.scheduler.leader_info:
        kubeconfig: "{{ there.path }}"
      ignore_errors: true
"""
    )
    run = lab.play(str(playbook))
    assert run.output.count("FAILED!") == 3, run.output
    assert "python3-cryptography" in run.text
    assert run.text.count("python3-yaml") >= 2


def test_check_mode_lists_the_changes_and_makes_none(lab: Any) -> None:
    run = lab.site("--check", "--diff")
    assert run.code == 0, run.output
    assert set(run.changed) == set(lab.names)
    # One task stages key, certificate and kubeconfig.
    assert run.changed == dict.fromkeys(lab.names, 6), run.output
    for words in (
        "would be installed: python3-cryptography, python3-yaml, /opt/k8s/bin/kube-scheduler-v",
        "--bind-address=127.0.0.1",
        "kind: KubeSchedulerConfiguration",
        "m1: the module skipped the dry run; the role checked flags and configuration only against the version table",
    ):
        assert words in run.text, words
    for name in lab.names:
        host = lab.host(name)
        for path in PATHS:
            assert not host.file(path).exists, (name, path)
        assert not host.user("k8s").exists

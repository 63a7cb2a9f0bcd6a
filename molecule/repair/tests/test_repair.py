"""Test that the next plain run repairs damage on a host and affects no other host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

UNIT = "kube-scheduler.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
CONFIG = "/etc/kubernetes/kube-scheduler.yaml"
KUBECONFIG = "/etc/kubernetes/kube-scheduler.kubeconfig"
CERTIFICATE = "/etc/kubernetes/cert/kube-scheduler.pem"
KEY = "/etc/kubernetes/cert/kube-scheduler-key.pem"
RELEASE = "/var/lib/kube-ha/kube-scheduler"
LINK = "/opt/k8s/bin/kube-scheduler"


class Damage(NamedTuple):
    """Define damage to a host, and the damaged file of which the role keeps a copy."""

    command: str
    aside: str = ""


DAMAGE = {
    "kubeconfig: garbage": Damage(f"echo garbage > {KUBECONFIG}", f"{RELEASE}/staged/kubeconfig"),
    "kubeconfig: empty": Damage(f": > {KUBECONFIG}"),
    "kubeconfig: cut off": Damage(
        f"truncate --size=700 {KUBECONFIG}", f"{RELEASE}/staged/kubeconfig"
    ),
    "kubeconfig: another server, and a restart": Damage(
        f"sed -i 's#server: .*#server: https://192.0.2.1:6443#' {KUBECONFIG} && systemctl restart {UNIT}"
    ),
    "kubeconfig: gone": Damage(f"rm {KUBECONFIG}"),
    "private key: garbage": Damage(f"echo garbage > {KEY}", f"{RELEASE}/staged/privatekey"),
    "private key: empty, and the certificate garbage": Damage(
        f": > {KEY}; echo garbage > {CERTIFICATE}"
    ),
    "certificate: gone": Damage(f"rm {CERTIFICATE}"),
    "staged copies: garbage": Damage(
        f"cd {RELEASE}/staged && "
        "for name in binary certificate privatekey kubeconfig config unit; "
        "do rm $name; echo garbage > $name; done"
    ),
    "staged copies: gone": Damage(f"rm --recursive {RELEASE}/staged"),
    "record: garbage": Damage(f"echo '{{' > {RELEASE}/record.json", f"{RELEASE}/record.json"),
    "record: gone": Damage(f"rm {RELEASE}/record.json"),
    # The kernel does not allow the truncation of a running binary, but allows its replacement.
    "binary: cut off": Damage(
        f"path=$(readlink -f {LINK}) && head --bytes=1000 $path > $path.cut && mv $path.cut $path"
    ),
    "binary: not executable": Damage(f"chmod 0644 $(readlink -f {LINK})"),
    "binary: a file in the place of the link": Damage(f"rm {LINK} && echo garbage > {LINK}"),
    "unit: gone": Damage(f"rm {UNIT_PATH} && systemctl daemon-reload"),
    "unit: edited, and a restart": Damage(
        f"sed -i 's/^Restart=.*/Restart=no/' {UNIT_PATH} && "
        f"systemctl daemon-reload && systemctl restart {UNIT}"
    ),
    "unit: disabled and stopped": Damage(f"systemctl disable --now {UNIT}"),
    "configuration: edited, and a restart": Damage(
        f"sed -i 's/leaseDuration: .*/leaseDuration: 60s/' {CONFIG} && systemctl restart {UNIT}"
    ),
    "configuration: edited, and put back by hand": Damage(
        f"cp --archive {CONFIG} /root/previous && echo '# x' >> {CONFIG} && "
        f"systemctl restart {UNIT} && sleep 1 && cp --archive /root/previous {CONFIG}"
    ),
    "system user: gone": Damage("userdel --force k8s"),
    "the release and the binaries: gone": Damage("rm --recursive /var/lib/kube-ha /opt/k8s"),
}
# Each test damages two hosts. The leader stays undamaged.
NAMES = list(DAMAGE)
PAIRS = list(zip(NAMES[::2], NAMES[1::2]))
# To save time, each of the two hosts has more than one damage per run. A restart comes first,
# because the unit could not start after the other damages.
AT_ONCE = (
    ("configuration: edited, and a restart", "kubeconfig: gone", "binary: cut off"),
    (
        "configuration: edited, and put back by hand",
        "private key: garbage",
        "binary: not executable",
    ),
)


def kept(host: Any, path: str) -> list[tuple[str, str]]:
    """Return the path and mode of each copy of a file that the role kept."""
    lines = host.check_output(
        "find $(dirname %s) -name $(basename %s)'.*' -printf '%%p %%m\n'", path, path
    ).splitlines()
    return [tuple(line.split()) for line in lines]


def repaired(lab: Any, damages: Sequence[Sequence[str]]) -> None:
    """Apply each damage to another host, and run site.yml."""
    leader = lab.leader()
    pid = lab.main_pids()[leader]
    damaged = dict(zip((name for name in lab.names if name != leader), damages))
    for name, done in damaged.items():
        for damage in done:
            lab.host(name).check_output("bash -c %s", DAMAGE[damage].command)
    run = lab.site()
    assert run.code == 0, run.output
    assert {host for host, count in run.changed.items() if count} == set(damaged)
    assert lab.main_pids()[leader] == pid
    for name, done in damaged.items():
        for damage in done:
            aside = DAMAGE[damage].aside
            if aside:
                result = kept(lab.host(name), aside)
                assert 0 < len(result) <= 5, damage
                assert {mode for _path, mode in result} == {"600"}, damage
    again = lab.site()
    assert again.code == 0, again.output
    assert again.changed == dict.fromkeys(lab.names, 0)


def test_several_damages_at_once(lab: Any) -> None:
    repaired(lab, AT_ONCE)


@pytest.mark.nightly
def test_wrong_configuration_on_all_hosts(lab: Any) -> None:
    """If all hosts have a wrong configuration, the next run starts all members at the same time.

    The members do not wait for each other, because no member leads.
    """
    for name in lab.names:
        lab.host(name).check_output("echo garbage > %s && systemctl restart %s; true", CONFIG, UNIT)
    run = lab.site()
    assert run.code == 0, run.output
    assert "rollout order: all at once, because no member is healthy: m1, m2, m3" in run.text
    assert lab.site().changed == dict.fromkeys(lab.names, 0)


@pytest.mark.nightly
@pytest.mark.parametrize("names", PAIRS, ids=map(", ".join, PAIRS))
def test_damage_is_repaired(lab: Any, names: tuple[str, str]) -> None:
    repaired(lab, [[name] for name in names])
    if "record: gone" in names:
        # After this damage, no record shows that the role created the binary and its parent
        # directory. A removal therefore keeps both.
        assert (
            lab.play("playbooks/uninstall.yml", "--extra-vars=kube_scheduler_confirm=all").code == 0
        )
        for name in lab.names:
            lab.host(name).check_output(
                "rm --force /opt/k8s/bin/kube-scheduler-v*; test ! -e /var/lib/kube-ha || rmdir /var/lib/kube-ha"
            )
        assert lab.site().code == 0


def test_number_of_damages_is_even() -> None:
    assert len(NAMES) % 2 == 0, "the last one is left out"


# For each host: the command that damages the host, the command that undoes the damage, and the
# error.
REFUSED = {
    "m1": (
        f"mv {UNIT_PATH} /root/unit && ln --symbolic /dev/null {UNIT_PATH} && systemctl daemon-reload",
        f"mv --force /root/unit {UNIT_PATH} && systemctl daemon-reload",
        f"m1: {UNIT} is masked; run systemctl unmask {UNIT} on the host first",
    ),
    "m2": (
        f"mv {CONFIG} /root/config && mkdir {CONFIG}",
        f"rmdir {CONFIG} && mv /root/config {CONFIG}",
        f"m2: {CONFIG} is a directory, but the role writes a file there; move the directory away",
    ),
    "m3": (
        f"mkdir {UNIT_PATH}.d && echo '[Service]' > {UNIT_PATH}.d/other.conf && systemctl daemon-reload",
        f"rm --recursive {UNIT_PATH}.d && systemctl daemon-reload",
        f"m3: {UNIT_PATH}.d/other.conf changes the unit; remove it, and set kube_scheduler_extra_args",
    ),
}


def test_damage_that_needs_a_manual_repair_is_reported(lab: Any) -> None:
    """The errors appear before any change on any host.

    In such a run, the role also does not repair any other damage.
    """
    other = lab.host("m2")
    other.check_output("echo '# by hand' >> %s", KUBECONFIG)
    before = other.file(KUBECONFIG).sha256sum
    try:
        for name, (damage, _mend, _sentence) in REFUSED.items():
            lab.host(name).check_output("bash -c %s", damage)
        try:
            run = lab.site()
        finally:
            for name, (_damage, mend, _sentence) in REFUSED.items():
                lab.host(name).check_output("bash -c %s", mend)
        assert run.code != 0
        for _damage, _mend, sentence in REFUSED.values():
            assert sentence in run.text, run.output
        assert not any(run.changed.values()), run.output
        assert other.file(KUBECONFIG).sha256sum == before
    finally:
        run = lab.site()
    assert run.code == 0, run.output

"""Test changes to the members of a group.

A host joins, leaves, fails or is replaced. At the end, the role removes all hosts.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.support import rotation
from tests.support.lab import ROOT, UNIT, Run, wait_for
from tests.support.simulation import LIVE
from tests.support.upgrade import nothing_lost, under_pods

THREE, FOUR = ("m1", "m2", "m3"), ("m1", "m2", "m3", "m4")
OURS = (
    "find /etc/kubernetes /opt /etc/systemd/system /var/lib/kube-ha"
    " -name '*kube-scheduler*' 2>/dev/null; true"
)


class Group:
    """Write the inventory of these hosts.

    Each certificate has the names of all hosts, or only the names of its own host.
    """

    def __init__(self, lab: Any, folder: Path) -> None:
        self.lab, self.folder = lab, folder

    def inventory(self, names: tuple[str, ...], sans: str = "own") -> Path:
        group = yaml.safe_load(self.lab.inventory.read_text())["kube_masters"]
        group["hosts"] = {name: group["hosts"][name] for name in names}
        group["vars"]["kube_scheduler_sans"] = sans
        path: Path = self.folder / f"{len(names)}-{sans}.yml"
        path.write_text(yaml.safe_dump({"kube_masters": group}))
        return path

    def site(self, names: tuple[str, ...], sans: str = "own") -> Run:
        run: Run = self.lab.site(inventory=self.inventory(names, sans))
        return run

    def status(self, names: tuple[str, ...]) -> Run:
        run: Run = self.lab.play("playbooks/status.yml", inventory=self.inventory(names))
        return run

    def remove(self, *hosts: str, of: tuple[str, ...] = THREE, confirm: str = "yes") -> Run:
        limit = [f"--limit={','.join(hosts)}"] if hosts else []
        words = [f"--extra-vars=kube_scheduler_confirm={confirm}", *limit]
        run: Run = self.lab.play("playbooks/uninstall.yml", *words, inventory=self.inventory(of))
        return run

    def standing(self) -> tuple[dict[str, str], int]:
        """Return the processes of the three hosts and the number of lease transitions."""
        pids = self.lab.main_pids()
        return {name: pids[name] for name in THREE}, self.lab.lease()["leaseTransitions"]

    def left(self, name: str) -> str:
        result: str = self.lab.host(name).check_output(OURS)
        return result


@pytest.fixture
def group(lab: Any, tmp_path: Path) -> Group:
    """Restore the first three hosts, and remove all files of the role from the fourth host."""
    result = Group(lab, tmp_path)
    if result.left("m4"):
        assert result.remove("m4", of=FOUR, confirm="all").code == 0
    run = result.site(THREE)
    assert run.code == 0, run.output
    return result


def names_of(lab: Any, name: str) -> set[str]:
    sans: Any = (
        rotation.lying(lab, name)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    return {str(entry.value) for entry in sans}


def test_fourth_host_joins_and_leaves(lab: Any, group: Group) -> None:
    """If each certificate has only the names of its host, the other hosts do not change."""
    before = group.standing()
    run = group.site(FOUR)
    assert run.code == 0, run.output
    assert run.changed == {**dict.fromkeys(THREE, 0), "m4": run.changed["m4"]}
    assert run.changed["m4"] > 0
    assert group.standing() == before
    assert lab.host("m4").service(UNIT).is_running
    run = group.remove("m4", of=FOUR)
    assert run.code == 0, run.output
    assert group.left("m4") == ""
    assert lab.host("m4").run("systemctl status kube-scheduler").rc == 4
    run = group.site(THREE)
    assert (run.code, run.changed) == (0, dict.fromkeys(THREE, 0)), run.output
    assert group.standing() == before


def test_fourth_host_joins_with_the_names_of_all_hosts(lab: Any, group: Group) -> None:
    """The new names cause one rollout, which affects no pod.

    The new host then becomes the leader. The role removes that host as the leader, although the
    inventory no longer contains the host.
    """
    result = under_pods(lab, lambda: group.site(FOUR, "all"))
    nothing_lost(result, transitions=1)
    rolled = [line for block in LIVE.findall(result.run.output) for line in block.splitlines()]
    assert sorted(line.partition("[")[2].partition("]")[0] for line in rolled) == [*FOUR]
    for name in FOUR:
        assert {lab.addresses[other] for other in FOUR} < names_of(lab, name)
    run = group.site(FOUR, "all")
    assert (run.code, run.changed) == (0, dict.fromkeys(FOUR, 0)), run.output

    for name in THREE:
        lab.host(name).check_output("systemctl stop %s", UNIT)
    hostname = lab.hostname("m4")
    wait_for(lambda: lab.lease()["holderIdentity"].startswith(hostname), 30)
    for name in THREE:
        lab.host(name).check_output("systemctl start %s", UNIT)
    reported = f"lease holder {hostname} is not a member"
    run = group.status(THREE)
    assert run.code != 0
    assert reported in run.text
    transitions = lab.lease()["leaseTransitions"]
    run = group.remove("m4", of=FOUR)
    assert run.code == 0, run.output
    assert lab.leader() in THREE
    assert lab.lease()["leaseTransitions"] == transitions + 1


def test_new_machine_replaces_a_host_of_the_same_name(
    lab: Any, group: Group, tmp_path: Path
) -> None:
    """A new machine with the name of a previous host gets a new key.

    The apiserver accepts the previous certificate until it expires.
    """
    host = lab.host("m2")
    previous = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key")}
    previous["certificate"].write_bytes(host.file(rotation.CERTIFICATE).content)
    previous["key"].touch(0o600)
    previous["key"].write_bytes(host.file(rotation.KEY).content)
    pids, _transitions = group.standing()
    lab.podman("rm", "--force", "--time=0", lab.settings.container("m2"))
    made = subprocess.run(
        ["python3", "lab/lab.py", "up"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert group.left("m2") == ""
    run = group.site(THREE)
    assert run.code == 0, run.output
    assert {name: count for name, count in run.changed.items() if count} == {
        "m2": run.changed["m2"]
    }
    assert (
        rotation.lying(lab, "m2").public_key()
        != x509.load_pem_x509_certificate(previous["certificate"].read_bytes()).public_key()
    )
    assert {name: pid for name, pid in group.standing()[0].items() if name != "m2"} == {
        name: pid for name, pid in pids.items() if name != "m2"
    }
    words = (f"--client-certificate={previous['certificate']}", f"--client-key={previous['key']}")
    assert "system:kube-scheduler" in lab.kubectl("auth", "whoami", *words)


def test_uninstall_of_one_host_and_of_all(
    lab: Any, group: Group, bind_pod: Callable[[], str]
) -> None:
    """If the leader is removed, it hands over the lease.

    The role removes the last hosts only after confirmation. Other services of the hosts keep
    running.
    """
    others = {name: apiserver(lab, name) for name in THREE}
    leader, transitions = lab.leader(), lab.lease()["leaseTransitions"]
    run = group.remove(leader)
    assert run.code == 0, run.output
    assert group.left(leader) == ""
    assert not lab.host(leader).file("/opt/k8s").exists, "the role created this directory"
    assert lab.leader() in {*THREE} - {leader}
    assert lab.lease()["leaseTransitions"] == transitions + 1
    assert bind_pod()

    run = group.remove()
    assert run.code != 0
    assert (
        "no scheduler would remain without m1, m2, m3; keep a member with --limit, or pass -e kube_scheduler_confirm=all"
        in run.text
    )
    assert bind_pod()
    left = next(name for name in THREE if name not in (leader, lab.leader()))
    lab.host(left).check_output("systemctl stop %s", UNIT)
    run = group.remove(lab.leader())
    assert run.code != 0
    assert "the leader was stopped, but no other member took the lease" in run.text, (
        "the one that is left does not run"
    )
    assert bind_pod()

    run = group.remove(confirm="all")
    assert run.code == 0, run.output
    assert [group.left(name) for name in THREE] == ["", "", ""]
    assert {name: apiserver(lab, name) for name in THREE} == others
    again = group.remove()
    assert (again.code, again.changed) == (0, dict.fromkeys(THREE, 0)), again.output
    assert group.site(THREE).code == 0
    assert bind_pod()


def apiserver(lab: Any, name: str) -> str:
    """Return the start times of etcd and the apiserver of a host."""
    displayed: str = lab.host(name).check_output(
        "systemctl is-active lab-etcd kube-apiserver && "
        "systemctl show --property=ExecMainStartTimestamp lab-etcd kube-apiserver"
    )
    return displayed

"""Test the upgrade to the next minor version and the rollback while pods are created.

Further tests cover binaries and settings that cannot run.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import KubeError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.lease import RECORD_SOURCES

from tests.support.lab import UNIT, wait_for
from tests.support.upgrade import NEW, OLD, nothing_lost, runs, under_pods, version

# No release has these version numbers. The role does not download a binary that is already
# installed.
ENDS_AT_ONCE, ENDS_LATER, BROKEN = "1.36.7", "1.36.8", "1.36.9"
LIVE = re.compile(r"TASK \[.* : Promote the staged file set\] \*+\n(?:changed|fatal): \[(\w+)\]")
# The wrapper passes the dry run and reports the version of the real binary, but exits when it
# starts as a service.
WRAPPER = f"""#!/bin/sh
real=/opt/k8s/bin/kube-scheduler-v{OLD}
case " $* " in *" --write-config-to"* | *" --version "*) exec "$real" "$@" ;; esac
"""


def standing(lab: Any) -> tuple[Any, ...]:
    return lab.main_pids(), lab.leader(), lab.lease()["leaseTransitions"]


@pytest.mark.usefixtures("older")
def test_check_mode_lists_the_plan_and_changes_nothing(lab: Any) -> None:
    lab.host("m1").check_output("rm -f /opt/k8s/bin/kube-scheduler-v%s", NEW)
    before = standing(lab)
    run = lab.play("playbooks/upgrade.yml", version(NEW), "--check", "--diff")
    assert run.code == 0, run.output
    leader = lab.leader()
    canary, other = (name for name in lab.names if name != leader)
    step = f"{OLD} -> {NEW}"
    assert (
        f"rollout order: {canary} {step} (standby, canary), {other} {step} (standby), {leader} {step} (leader)"
        in run.text
    )
    assert "1 handover, at most 4.4 s without a leader" in run.text
    assert standing(lab) == before
    assert not lab.host("m1").file(f"/opt/k8s/bin/kube-scheduler-v{NEW}").exists


@pytest.mark.usefixtures("older")
def test_upgrade_under_a_stream_of_pods(lab: Any) -> None:
    leader = lab.leader()
    found = under_pods(lab, lambda: lab.play("playbooks/upgrade.yml", version(NEW), steady=True))
    nothing_lost(found, transitions=1)
    assert runs(lab) == {NEW}
    assert LIVE.findall(found.run.output)[-1] == leader
    assert re.search(
        r"kube_masters: leader: m\d; 1 lease transition during this run", found.run.text
    )
    assert re.search(
        rf"{leader}: handed over the lease to \S+, which led [0-9.]+ s after the stop",
        found.run.text,
    )
    assert lab.site().changed == dict.fromkeys(lab.names, 0)


@pytest.mark.usefixtures("newer")
def test_downgrade_must_be_allowed(lab: Any) -> None:
    before = standing(lab)
    run = lab.site(version(OLD))
    assert run.code != 0
    assert (
        f"kube_scheduler_version: {OLD} is older than {NEW}, which runs on m1; roll back with rollback.yml"
        in run.text
    )
    assert standing(lab) == before


@pytest.mark.usefixtures("newer")
def test_rollback_under_a_stream_of_pods(lab: Any) -> None:
    """A rollback loses no new pod, and needs neither the mirror nor the CA key.

    test_upgrade_measured.py measures how long each rolled member must run steadily.
    """
    before = standing(lab)
    offline = [
        "--extra-vars=kube_scheduler_binary_url=https://192.0.2.1",
        "--extra-vars=kube_scheduler_ca_key=/nonexistent",
    ]
    check = lab.play("playbooks/rollback.yml", "--check", *offline)
    assert check.code == 0, check.output
    assert f" {NEW} -> {OLD} (leader)" in check.text
    assert standing(lab) == before
    found = under_pods(lab, lambda: lab.play("playbooks/rollback.yml", *offline))
    nothing_lost(found, transitions=1)
    assert runs(lab) == {OLD}
    assert lab.site(version(OLD)).changed == dict.fromkeys(lab.names, 0)


@contextlib.contextmanager
def written_all_the_time(kubeconfig: Path) -> Iterator[None]:
    """Write the lease repeatedly for the block, without a change of its record."""
    path = RECORD_SOURCES["lease"][0].format("kube-system", "kube-scheduler")
    ended = threading.Event()

    def write() -> None:
        with _client.load_client(str(kubeconfig)) as client:
            for number in itertools.count():
                lease = client.get(path)
                lease["metadata"]["annotations"] = {"number": str(number)}
                with contextlib.suppress(KubeError):
                    client.send("PUT", path, lease)
                if ended.is_set():
                    return

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            yield
        finally:
            ended.set()
            writer.result()


@pytest.mark.nightly
@pytest.mark.usefixtures("older")
def test_release_that_conflicts_with_another_write(lab: Any, bind_pod: Callable[[], str]) -> None:
    """If another write conflicts with the release of the lease, the lease expires.

    A scheduler of this version does not retry the release. A pod waits until the lease expires, and
    pytest reports the wait.
    """

    def lost() -> list[str]:
        leader, began = lab.leader(), time.time()
        try:
            with written_all_the_time(lab.state / "admin.kubeconfig"):
                lab.host(leader).check_output("systemctl stop %s", UNIT)
            assert bind_pod()
            assert lab.leader() != leader
        finally:
            lab.host(leader).check_output("systemctl start %s", UNIT)
        found: list[str] = lab.not_given_back(began)
        return found

    # The other write does not conflict with each release.
    with pytest.warns(UserWarning, match="held to the bound of a crash: .*has been modified"):
        assert wait_for(lost, 180)


def release(directory: Path, number: str, content: bytes, arch: str) -> dict[str, str]:
    """Create a directory with one binary and its checksum, and return variables that select it.

    The directory has the layout of the release site.
    """
    binary = directory / f"release/v{number}/bin/linux/{arch}/kube-scheduler"
    binary.parent.mkdir(parents=True)
    binary.write_bytes(content)
    return {
        "kube_scheduler_binary_source": "controller",
        "kube_scheduler_binary_url": str(directory),
        "kube_scheduler_binary_checksum": f"sha512:{hashlib.sha512(content).hexdigest()}",
    }


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize(
    ("number", "end", "problem"),
    [
        (ENDS_AT_ONCE, "exit 1\n", r"(is activating \(auto-restart|after it exited)"),
        pytest.param(
            ENDS_LATER,
            'exec timeout 10 "$real" "$@"\n',
            "after it exited",
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["at once", "after 10 s"],
)
def test_canary_with_a_binary_that_exits_is_rolled_back(
    lab: Any, tmp_path: Path, number: str, end: str, problem: str
) -> None:
    pids, leader, transitions = standing(lab)
    canary = next(name for name in lab.names if name != leader)
    source = release(tmp_path, number, (WRAPPER + end).encode(), lab.settings.arch)
    run = lab.play(
        "playbooks/upgrade.yml",
        version(number),
        *(f"--extra-vars={k}={v}" for k, v in source.items()),
        steady=True,
    )
    assert run.code != 0
    assert re.search(rf"{canary}: unhealthy after the roll: [^']*{problem}", run.text), run.output
    assert f"{canary}: rolled back, healthy, version {OLD}" in run.text
    assert (
        f"rollout stopped because {canary} failed; the remaining members are unchanged" in run.text
    )
    assert LIVE.findall(run.output) == [canary]
    assert re.search(rf"{re.escape(lab.hostname(canary))} \S+\[\d+\]: ", run.text), (
        "the end of the journal is shown"
    )
    now = lab.main_pids()
    assert {name for name in lab.names if now[name] != pids[name]} == {canary}
    assert (lab.leader(), lab.lease()["leaseTransitions"]) == (leader, transitions)
    # The previous file set is live again. A plain run stages the new file set again and restarts no
    # member.
    plain = lab.site(version(OLD))
    assert plain.code == 0, plain.output
    assert (lab.main_pids(), lab.leader(), lab.lease()["leaseTransitions"]) == (
        now,
        leader,
        transitions,
    )


@pytest.mark.usefixtures("older")
def test_sets_that_cannot_run_are_rejected_before_promotion(lab: Any, tmp_path: Path) -> None:
    """The role rejects file sets that cannot run before their promotion.

    Each host has a different problem: a truncated binary, a binary for another architecture, or a
    setting that the real binary rejects.
    """
    before = standing(lab)
    real = Path(
        lab.settings.served / f"v{OLD}/bin/linux/{lab.settings.arch}/kube-scheduler"
    ).read_bytes()
    truncated = real[: 1 << 20]
    # This value of e_machine in the ELF header belongs to no host of the lab.
    foreign = real[:18] + (0xF3).to_bytes(2, "little") + real[20 : 1 << 20]
    content = yaml.safe_load(lab.inventory.read_text())
    for name, binary in (("m1", truncated), ("m2", foreign)):
        content["kube_masters"]["hosts"][name] |= {
            "kube_scheduler_version": BROKEN,
            **release(tmp_path / name, BROKEN, binary, lab.settings.arch),
        }
    content["kube_masters"]["hosts"]["m3"] |= {
        "kube_scheduler_version": OLD,
        "kube_scheduler_config": {"percentageOfNodesToScore": 200},
    }
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump(content))
    run = lab.play("playbooks/site.yml", inventory=inventory)
    assert run.code != 0
    for name in lab.names:
        assert re.search(
            rf"fatal: \[{name}\]: FAILED! => [^\\[]*so nothing was promoted", run.text
        ), run.output
    assert "percentageOfNodesToScore" in run.text.partition("fatal: [m3]")[2]
    assert LIVE.findall(run.output) == []
    plain = lab.site(version(OLD))
    assert plain.code == 0, plain.output
    assert standing(lab) == before

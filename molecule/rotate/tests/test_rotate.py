"""Test rotate.yml on real schedulers: new pairs and a new CA.

The tests also check the effect on pods, apiserver and processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import rotation
from tests.support.lab import wait_for
from tests.support.rotation import rotate
from tests.support.upgrade import nothing_lost, under_pods

FILES = "--extra-vars=kube_scheduler_kubeconfig_style=files"


def test_check_mode_lists_the_rotation_and_changes_nothing(lab: Any) -> None:
    former = {name: rotation.lying(lab, name) for name in lab.names}
    pids = lab.main_pids()
    run = lab.play(*rotate("", "--check", "--diff"))
    assert run.code == 0, run.output
    assert "the certificate with its key is listed in replace" in run.text
    for name in lab.names:
        assert f"{name}: would roll, step" in run.output
    assert {name: rotation.lying(lab, name) for name in lab.names} == former
    assert lab.main_pids() == pids


def test_rotation_without_due_certificates_changes_nothing(lab: Any) -> None:
    pids = lab.main_pids()
    run = lab.play(*rotate("due"))
    assert run.code == 0, run.output
    assert "kube_masters: no certificate is due for renewal" in run.output
    assert run.changed == dict.fromkeys(lab.names, 0)
    assert lab.main_pids() == pids


def test_due_certificates_are_renewed_in_place(lab: Any, tmp_path: Path) -> None:
    """A plain run renews a certificate that is in its renewal window.

    One host has a renewal window almost as long as the validity of its certificate.
    """
    rotation.rotated(lab, "leaf", *rotation.SHORT, transitions=1)
    inventory = lab.inventory_with(
        tmp_path, hosts={"m2": {"kube_scheduler_renew_before": "1999h59m"}}
    )
    former = {name: rotation.lying(lab, name) for name in lab.names}
    pids = lab.main_pids()
    time.sleep(max(0.0, former["m2"].not_valid_before_utc.timestamp() + 300 + 61 - time.time()))
    led = int(lab.leader() == "m2")
    result = under_pods(lab, lambda: lab.play(*rotate("due", *rotation.SHORT), inventory=inventory))
    nothing_lost(result, transitions=led, bound=rotation.bound(lab))
    assert {name for name in lab.names if rotation.lying(lab, name) != former[name]} == {"m2"}
    assert {name for name, pid in lab.main_pids().items() if pid != pids[name]} == {"m2"}


def test_other_changes_are_left_to_site(lab: Any) -> None:
    pids = lab.main_pids()
    run = lab.play(*rotate("leaf", "--extra-vars={kube_scheduler_config: {parallelism: 13}}"))
    assert run.code != 0
    assert "m1: differs from its plan in more than certificates (config: " in run.text
    assert "run site.yml first" in run.text
    assert not any(run.changed.values())
    assert lab.main_pids() == pids


@pytest.mark.nightly
def test_rollback_restores_the_previous_pair_until_the_next_rotation(lab: Any) -> None:
    assert lab.site().code == 0
    former = {name: rotation.lying(lab, name) for name in lab.names}
    rotation.rotated(lab, "leaf", transitions=1)
    run = lab.play("playbooks/rollback.yml")
    assert run.code == 0, run.output
    assert {name: rotation.lying(lab, name) for name in lab.names} == former
    assert lab.site().changed == dict.fromkeys(lab.names, 0)
    assert lab.play(*rotate("leaf")).code == 0
    rotation.in_use(lab, former)


@pytest.mark.nightly
def test_expired_certificates_of_all_members_are_renewed(
    lab: Any, bind_pod: Callable[[], str]
) -> None:
    """The role renews expired certificates of all members, with both kubeconfig styles.

    No member is healthy. All members therefore start at the same time, and do not wait for a
    reload.
    """
    for words in ((), (FILES,)):
        assert lab.site(*words).code == 0
        former = {name: rotation.lying(lab, name) for name in lab.names}
        for name in lab.names:
            rotation.expire(lab, name)
            lab.host(name).check_output("systemctl restart kube-scheduler")
        assert lab.play("playbooks/status.yml", *words).code != 0
        run = lab.play(*rotate("due", *words))
        assert run.code == 0, run.output
        assert "rollout order: all at once, because no member is healthy" in run.text
        rotation.in_use(lab, former)
        assert bind_pod()
        assert lab.site(*words).changed == dict.fromkeys(lab.names, 0)
    assert lab.site().code == 0


@pytest.mark.nightly
def test_files_are_reloaded_without_a_restart(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The scheduler reloads its files without a restart.

    The test prints the figures of docs/rotation.md: seconds from the promotion of the key pair to
    the reload in the scheduler's log.
    """
    assert lab.site(FILES).code == 0
    former = {name: rotation.lying(lab, name) for name in lab.names}
    pids, restarts = lab.main_pids(), rotation.restarts(lab)
    rotation.rotated(lab, "leaf", FILES, transitions=0)
    assert (lab.main_pids(), rotation.restarts(lab)) == (pids, restarts)
    rotation.in_use(lab, former)
    with capsys.disabled():
        for name in lab.names:
            since = float(lab.host(name).check_output("stat --format=%%Z %s", rotation.CERTIFICATE))
            for what, words in (("served", rotation.SERVED), ("used", rotation.RELOADED)):
                seconds = rotation.logged(lab, name, pids[name], words) - since
                print(f"{name}: {what} after {seconds:.1f} s")
                # Old versions of kube-scheduler read the files of the served key pair once a
                # minute.
                assert -1 < seconds < (70 if what == "served" else 301)
    assert lab.site().code == 0


class TestCa:
    """Test each step of one rotation of the CA. Each test needs the result of the previous test."""

    @pytest.fixture(scope="class")
    @staticmethod
    def following(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> rotation.NextCa:
        return rotation.NextCa(lab, tmp_path_factory.mktemp("ca"))

    def test_check_mode_lists_the_steps(self, lab: Any, following: rotation.NextCa) -> None:
        run = lab.play(*rotate("ca", *following.words, "--check"))
        assert run.code == 0, run.output
        assert (
            "1. trust the new CA in addition to the previous CA: pending on m1, m2, m3"
            in run.output
        )
        assert (
            "2. let the new CA sign: waits until the apiserver of m1, m2, m3 accepts it"
            in run.output
        )
        assert "clusters differ" in run.output

    def test_interrupted_rotation_is_rejected_until_the_apiservers_trust_the_new_ca(
        self, lab: Any, following: rotation.NextCa
    ) -> None:
        former = {name: rotation.lying(lab, name) for name in lab.names}
        turn = "TASK [kube_ha.scheduler.kube_scheduler : Wait until this member is healthy]"
        playbook, *words = rotate("ca", *following.words)
        assert lab.cut_off(playbook, turn, 1, *words)
        result = under_pods(lab, lambda: lab.play(*rotate("ca", *following.words)))
        assert result.run.code != 0
        assert (
            "does not accept a certificate of this CA; add this CA to the file of the apiserver's --client-ca-file"
            in result.run.text
        )
        assert (result.pods["lost"], result.pods["bound_twice"]) == (0, 0)
        assert result.transitions <= 1
        assert {name: rotation.lying(lab, name) for name in lab.names} == former
        assert {rotation.trusted(lab, name) for name in lab.names} == {
            following.former + following.ca.pem
        }
        # A plain run between the steps does not change the step of a host.
        site = lab.site(*following.words)
        assert (site.code, site.changed) == (0, dict.fromkeys(lab.names, 0)), site.output
        status = lab.play("playbooks/status.yml", *following.words)
        assert status.code == 0, status.output
        assert "a CA rotation is in progress (m1 accept, m2 accept, m3 accept)" in status.text

    def test_new_certificates_are_issued_and_both_cas_stay_trusted(
        self, lab: Any, following: rotation.NextCa
    ) -> None:
        following.accepted()
        former = {name: rotation.lying(lab, name) for name in lab.names}

        def accepted() -> bool:
            run = lab.play(*rotate("ca", *following.words, "--check"))
            return "possible: every apiserver accepts it" in run.output

        wait_for(accepted, 90)
        playbook, *words = rotate("ca", *following.words)
        assert lab.cut_off(
            playbook,
            "TASK [kube_ha.scheduler.kube_scheduler : Promote the staged file set]",
            2,
            *words,
        )
        result = under_pods(lab, lambda: lab.play(*rotate("ca", *following.words)))
        assert result.run.code != 0
        assert (
            "still serves a certificate that this CA did not sign; replace that certificate and run rotate.yml again"
            in result.run.text
        )
        assert (result.pods["lost"], result.pods["bound_twice"]) == (0, 0)
        assert result.transitions <= 1
        rotation.in_use(lab, former)
        assert all(following.signed(rotation.lying(lab, name)) for name in lab.names)
        site = lab.site(*following.words)
        assert (site.code, site.changed) == (0, dict.fromkeys(lab.names, 0)), site.output

    def test_previous_ca_is_dropped(self, lab: Any, following: rotation.NextCa) -> None:
        following.serves()
        wait_for(lambda: lab.play("playbooks/status.yml", *following.words).code == 0, 60)
        result = under_pods(lab, lambda: lab.play(*rotate("ca", *following.words)))
        nothing_lost(result, transitions=1, bound=rotation.bound(lab))
        assert "the CA rotation is finished; set kube_scheduler_ca_cert" in result.run.text
        for words in (following.words, following.taken, following.taken + following.words):
            site = lab.site(*words)
            assert (site.code, site.changed) == (0, dict.fromkeys(lab.names, 0)), site.output
        for name in lab.names:
            assert rotation.trusted(lab, name) == following.ca.pem

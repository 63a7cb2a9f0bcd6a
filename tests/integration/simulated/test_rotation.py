"""Test rotate.yml on simulated clusters: queries, order, and errors before any host changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.pki import Ca, spare
from tests.support.simulation import CERTIFICATE, Simulation, compared, gathered

ROTATE = "playbooks/rotate.yml"
DUE = [
    {
        "part": "certificate",
        "reason": "/etc/kubernetes/cert/kube-scheduler.pem: ends on 2026-12-01T00:00:00Z, within 720h",
    }
]
NAMES = ("m1", "m2", "m3")


def fingerprint(number: int) -> str:
    return ":".join([f"{number:02X}"] * 32)


def file(use: str, own: str, *signers: Ca) -> dict[str, Any]:
    return {
        "path": "/etc/kubernetes/cert/kube-scheduler.pem",
        "use": use,
        "subject": "CN=system:kube-scheduler",
        "issuer": "CN=kubernetes",
        "usages": ["clientAuth", "serverAuth"],
        "not_after": "2036-01-01T00:00:00Z",
        "fingerprint_sha256": own,
        "signed_by": [signer.fingerprint for signer in signers],
    }


def has(own: str, signer: Ca, *trusted: Ca) -> list[dict[str, Any]]:
    """Return the certificate files of a host: its key pair and the CAs that the host trusts."""
    return [file("pair", own, signer), *(file("trust", ca.fingerprint) for ca in trusted)]


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three healthy hosts. The leader is m1.

    Each host has a separate certificate, which its roll replaces.
    """
    cluster = Simulation(tmp_path)
    for number, name in enumerate(NAMES, 1):
        own = [has(fingerprint(at), cluster.ca, cluster.ca) for at in (number, number + 16)]
        probes = [
            {
                **compared(name, "m1")["probes"],
                "served": {**CERTIFICATE, "fingerprint_sha256": fingerprint(at)},
            }
            for at in (number, number + 16)
        ]
        cluster.answers[name]["drift"] = [
            compared(name, "m1", drift=DUE, certificates=own[0], probes=probes[0]),
            compared(name, "m1", certificates=own[1], probes=probes[1]),
        ]
    return cluster


@pytest.mark.cores
def test_certificate_of_each_host_is_replaced_the_leader_last(cluster: Simulation) -> None:
    run = cluster.run(ROTATE)
    assert run.code == 0, run.output
    assert run.rolled == ["m2", "m3", "m1"]
    assert "already in use" not in run.text
    for number, name in enumerate(NAMES, 1):
        asked = [options["replace"] for options in run.options(name, "x509_cert")]
        assert asked == [[fingerprint(number)]] * 2, (
            "what it said itself, and nothing of another host"
        )
        *before, last = run.options(name, "scheduler_info")
        assert [options for options in before if options.get("reloaded")] == []
        assert (last["reloaded"], float(last["timeout"])) == (True, 315.0)
        assert [
            options["restart"]
            for options in run.options(name, "scheduler_fileset")
            if options["state"] == "live"
        ] == [False]
    rows = [
        line.split() for line in run.output.splitlines() if " pair " in line and "TASK" not in line
    ]
    assert [(row[0], row[-1]) for row in rows] == [(name, "served") for name in NAMES] * 2
    assert (
        sum(
            line.startswith("kube_masters: 3 of 3 healthy; leader: m1")
            for line in run.output.splitlines()
        )
        == 1
    )


def test_rotation_without_a_due_certificate_changes_nothing(cluster: Simulation) -> None:
    for name in NAMES:
        cluster.answers[name]["drift"] = cluster.answers[name]["drift"][1]
    run = cluster.run(ROTATE, "--extra-vars=rotate=due")
    assert run.code == 0, run.output
    assert "kube_masters: no certificate is due for renewal" in run.output
    assert {name: run.calls[name] for name in NAMES} == {
        name: ["gather", "drift"] for name in NAMES
    }


def test_unreplaced_certificate_fails_the_run(cluster: Simulation) -> None:
    after = cluster.answers["m3"]["drift"][1]
    after["certificates"] = has(fingerprint(3), cluster.ca, cluster.ca)
    run = cluster.run(ROTATE)
    assert run.code != 0
    assert (
        "m3: /etc/kubernetes/cert/kube-scheduler.pem still contains the certificate that must be replaced"
        in run.text
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--extra-vars=rotate=all",), "value of rotate must be one of: leaf, due, ca, got: all"),
        (
            ("--extra-vars=rotate=ca",),
            "kube_scheduler_new_ca_cert: not set; for rotate=ca, set this variable and kube_scheduler_new_ca_key",
        ),
        (
            ("--extra-vars=rotate=ca", "--limit=localhost,m1"),
            "rotate: a rotation of the CA must include all members, but m2, m3 would be excluded; run without --limit and serial",
        ),
    ],
)
def test_invalid_rotation_is_rejected_before_the_first_contact(
    cluster: Simulation, words: tuple[str, ...], sentence: str
) -> None:
    if "--limit=localhost,m1" in words:
        words += following(cluster)[1]
    run = cluster.run(ROTATE, *words)
    assert run.code != 0
    assert sentence in run.text
    assert not run.sent


def following(cluster: Simulation) -> tuple[Ca, tuple[str, ...]]:
    """Return another CA and the options that select it."""
    ca = Ca(cluster.folder, key=spare("ECC", number=5), name="next")
    return ca, (
        f"--extra-vars=kube_scheduler_new_ca_cert={ca.path}",
        f"--extra-vars=kube_scheduler_new_ca_key={ca.key_path}",
    )


def apiserver(**next_: Any) -> dict[str, Any]:
    return {**gathered("m1", "m1")["apiserver"], **next_}


def stands(
    cluster: Simulation, name: str, certificates: list[dict[str, Any]], **next_: bool
) -> None:
    """Let a host always return these certificates."""
    seen = apiserver(**{"next_accepted": True, "next_serves": True, **next_})
    cluster.change(name, "gather", certificates=certificates, apiserver=seen)
    cluster.answers[name]["drift"] = compared(name, "m1", certificates=certificates)


def test_apiserver_that_rejects_the_next_ca_blocks_the_rotation(
    cluster: Simulation,
) -> None:
    ca, words = following(cluster)
    for name in NAMES:
        stands(cluster, name, has("AA", cluster.ca, cluster.ca, ca), next_accepted=name != "m2")
    run = cluster.run(ROTATE, "--extra-vars=rotate=ca", *words)
    assert run.code != 0
    assert "2. let the new CA sign: waits until the apiserver of m2 accepts it" in run.output
    assert (
        "the apiserver of m2, https://192.0.2.1:6443, does not accept a certificate of this CA"
        in run.text
    )
    assert "not changed, because m2 of its cluster failed or is unreachable" in run.text
    assert {module for calls in run.calls.values() for module in calls} == {"gather", "drift"}


def test_interrupted_rotation_resumes_at_the_step_of_each_host(cluster: Simulation) -> None:
    """Each host resumes an interrupted rotation at its own step.

    After the interruption, m1 is unchanged, m2 trusts both CAs, and m3 uses the next CA.
    """
    ca, words = following(cluster)
    for name, certificates in zip(
        NAMES,
        (
            has("AA", cluster.ca, cluster.ca),
            has("BB", cluster.ca, cluster.ca, ca),
            has("CC", ca, cluster.ca, ca),
        ),
    ):
        stands(cluster, name, certificates)
    both = cluster.ca.pem + ca.pem
    run = cluster.run(ROTATE, "--extra-vars=rotate=ca", *words)
    assert run.code == 0, run.output
    assert "3. reissue the certificates: pending on m1, m2; done on m3" in run.output
    # The remaining steps are accept, issue, drop, and the wait for the reload.
    for name, signers in {"m1": "ffnnn", "m2": "ffnnn", "m3": "nnnnn"}.items():
        asked = [
            options["desired"]
            for options in run.options(name, "scheduler_info")
            if "desired" in options
        ]
        expected = {"f": cluster.ca.pem, "n": ca.pem}
        assert [wanted["certificate"]["_ca_certificate"] for wanted in asked] == [
            expected[who] for who in signers
        ], name
        trusted = [
            wanted["kubeconfig"]["clusters"][0]["certificate_authority_data"] for wanted in asked
        ]
        first = cluster.ca.pem if name == "m1" else both
        assert trusted == [first, both, both, ca.pem, ca.pem], name
    probes = [options.get("next_cert") for options in run.options("m1", "scheduler_info")]
    assert sum(bool(probe) for probe in probes) == 4, "each time that it is gathered"


def test_site_run_keeps_the_rotation_step_of_each_host(cluster: Simulation) -> None:
    """A run of site.yml keeps the rotation step of each host.

    The certificates of a host do not affect the other hosts.
    """
    ca, words = following(cluster)
    stands(cluster, "m1", has("AA", cluster.ca, cluster.ca))
    stands(cluster, "m2", has("BB", ca, ca))
    stands(cluster, "m3", has("CC", cluster.ca, cluster.ca, ca))
    run = cluster.run("playbooks/site.yml", *words)
    assert run.code == 0, run.output
    trusted = {}
    for name in NAMES:
        [asked] = [
            options["desired"]
            for options in run.options(name, "scheduler_info")
            if "desired" in options
        ]
        trusted[name] = asked["kubeconfig"]["clusters"][0]["certificate_authority_data"]
    assert trusted == {"m1": cluster.ca.pem, "m2": ca.pem, "m3": cluster.ca.pem + ca.pem}

"""Test an external CA on simulated hosts: requests, issued certificates, unchanged live files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import encode_public_key
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import (
    create_request,
    verify_request,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
)

from tests.support import pki
from tests.support.simulation import DRIFT, Simulation, compared, gathered

SUBJECT = {"CN": "system:kube-scheduler", "O": "system:kube-scheduler"}
SANS = ["127.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
WANTED = parse_certificate_spec(pki.options(subject=SUBJECT, subject_alt_name=SANS))
AWAITED = ["the certificate is missing"]
OURS = ("scheduler_binary", "copy", "apt", "user")


@pytest.fixture
def cluster(tmp_path: Path) -> Simulation:
    """Return three empty hosts. The CA key is not on the controller."""
    found = Simulation(tmp_path)
    (tmp_path / "csr").mkdir()
    found.variables |= {
        "kube_scheduler_pki": "external",
        "kube_scheduler_csr_dir": str(tmp_path / "csr"),
        "kube_scheduler_ca_key": "/nowhere/ca-key.pem",
    }
    for number, name in enumerate(found.answers):
        found.empty(name)
        found.answers[name] |= {module: {"changed": True} for module in OURS}
        found.answers[name]["x509_cert"] = asks(number)
    return found


def asks(number: int, **given: Any) -> dict[str, Any]:
    """Return the result of a host without a certificate."""
    request = create_request(pki.spare("ECC", number=number), WANTED).decode()
    return {
        "changed": True,
        "csr": request,
        "awaited": AWAITED,
        "refused": [],
        "reasons": [],
        "chain": None,
        **given,
    }


@pytest.mark.cores
def test_requests_are_written_on_the_controller_and_nothing_live_changes(
    cluster: Simulation,
) -> None:
    run = cluster.run()
    assert run.code != 0
    folder = cluster.folder / "csr"
    for number, name in enumerate(cluster.answers):
        line = (
            f"a certificate is awaited: the certificate is missing; have"
            f" {folder}/{name}.csr signed by the CA in {cluster.ca.path}, and save the"
            f" certificate as {folder}/{name}.pem, then run again; the key pair in use is unchanged"
        )
        assert line in run.text
        public, _text = verify_request((folder / f"{name}.csr").read_text(), WANTED)
        assert encode_public_key(public) == encode_public_key(
            pki.spare("ECC", number=number).public_key()
        )
        assert run.calls[name][-1] == "x509_cert"
        assert [options["state"] for options in run.options(name, "scheduler_fileset")] == [
            "prepared",
            "prepared",
            "prepared",
        ]
        [options] = run.options(name, "x509_cert")
        assert str(cluster.folder / "csr") not in str(options)
    assert sorted(path.name for path in folder.iterdir()) == ["m1.csr", "m2.csr", "m3.csr"]


def test_issued_certificate_is_installed_on_its_host_and_rolled(cluster: Simulation) -> None:
    for name in cluster.answers:
        cluster.answers[name]["x509_cert"] = {
            "changed": True,
            "awaited": [],
            "refused": [],
            "reasons": [],
            "chain": "valid",
        }
        (cluster.folder / f"csr/{name}.pem").write_text(cluster.ca.issue(name)[0])
    run = cluster.run()
    assert run.code == 0, run.output
    assert sorted(run.rolled) == ["m1", "m2", "m3"]
    for name in cluster.answers:
        [options] = run.options(name, "x509_cert")
        assert options["_certificate"] == (cluster.folder / f"csr/{name}.pem").read_text()
        assert options["_ca_certificate"].strip() == cluster.ca.pem.strip()


def test_member_without_a_certificate_stops_its_cluster(cluster: Simulation) -> None:
    """If a joining host has no certificate, the remaining members do not change."""
    for name in ("m1", "m2"):
        cluster.answers[name]["gather"] = gathered(name, "m1")
        cluster.answers[name]["drift"] = compared(name, "m1", drift=DRIFT)
        cluster.answers[name]["x509_cert"] = {
            "changed": False,
            "awaited": [],
            "refused": [],
            "reasons": [],
            "chain": "valid",
        }
    run = cluster.run()
    assert run.code != 0
    assert run.rolled == []
    assert "rollout stopped because m3 failed; the remaining members are unchanged" in run.text


def test_pending_renewal_is_reported_and_stops_nothing(cluster: Simulation) -> None:
    """If the certificates in use are valid, the run reports pending requests and continues."""
    for name in cluster.answers:
        cluster.answers[name]["gather"] = gathered(name, "m1")
        cluster.answers[name]["drift"] = compared(
            name, "m1", awaited=["the certificate ends on 2026-12-24, within 720h"]
        )
    folder = cluster.folder / "csr"
    line = (
        f"m2: a certificate is awaited: the certificate ends on 2026-12-24, within 720h; have"
        f" {folder}/m2.csr signed by the CA in {cluster.ca.path}, and save"
        f" the certificate as {folder}/m2.pem"
    )
    run = cluster.run()
    assert run.code == 0, run.output
    assert line in run.text
    assert run.calls == {name: ["gather", "drift"] for name in cluster.answers}
    status = cluster.run("playbooks/status.yml")
    assert status.code != 0, "somebody has to act"
    assert line in status.text


def test_request_with_other_names_is_not_written(cluster: Simulation) -> None:
    evil = parse_certificate_spec(
        pki.options(subject={**SUBJECT, "O": "system:masters"}, subject_alt_name=SANS)
    )
    cluster.answers["m2"]["x509_cert"] = asks(
        1, csr=create_request(pki.spare("ECC", number=1), evil).decode()
    )
    run = cluster.run()
    assert run.code != 0
    assert "the host's signing request differs from the task in subject; check that" in run.text
    assert sorted(path.name for path in (cluster.folder / "csr").iterdir()) == ["m1.csr", "m3.csr"]

"""What the other schedulers of a host have for themselves, as their records, staged sets and processes tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import facts, versions
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.fileset import (
    Fileset,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.fileset.record import (
    Item,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import instances
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    describe_instance,
    parse_settings,
)

from tests.support.host import FakeProc
from tests.support.role import role_vars
from tests.unit.plugins.module_utils._scheduler.decide.test_plan import made

SERVING = versions.serving_ranges(role_vars()["__kube_scheduler_versions"])
PROFILES = {"profiles": [{"schedulerName": "batch"}]}


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def fileset(tmp_path: Path, name: str) -> Fileset:
    (tmp_path / "lib" / name / "staged").mkdir(parents=True)
    return Fileset(str(tmp_path / "lib" / name), ())


def staged(tmp_path: Path, version: str, **given: Any) -> None:
    """A second instance as the role stages it, by the plan."""
    found = made(name="batch", version=version, **given)
    assert found["errors"] == []
    texts = {"config": found["config"], "unit": f"ExecStart={found['unit']['exec_start']}\n"}
    files = [{"content": texts.get(file["name"]), **file} for file in found["files"]]
    other = fileset(tmp_path, "batch")
    items = [Item(**file) for file in files]
    other.update_record(
        staged={"members": [item.to_member() for item in items], "digest": ""}, paths=["/old/path"]
    )
    for name, text in texts.items():
        Path(other.root, "staged", name).write_text(text)


def asked(tmp_path: Path, proc: FakeProc, pids: dict[str, int]) -> list[facts.Instance]:
    own = Fileset(str(tmp_path / "lib/kube-scheduler"), ())
    return instances.other_instances(own, proc, lambda unit: pids.get(unit, 0), SERVING)


def test_one_that_is_staged(tmp_path: Path, proc: FakeProc) -> None:
    staged(tmp_path, "1.37.2", secure_port=10260, config=PROFILES)
    [found] = asked(tmp_path, proc, {})
    assert (found["unit"], found["ports"], found["lease"]) == (
        "batch.service",
        [10260],
        "kube-system/batch",
    )
    assert found["schedulers"] == ["batch"]
    assert {"/etc/kubernetes/batch.kubeconfig", "/opt/k8s/bin/batch", "/old/path"} <= {
        *found["paths"]
    }


@pytest.mark.parametrize(
    ("version", "given", "told"),
    [
        (
            "1.10.4",
            {"extra_args": {"port": 10252, "scheduler-name": "batch"}},
            ([10252], ["batch"]),
        ),
        ("1.20.2", {"secure_port": 10260, "config": PROFILES}, ([10260, 10251], ["batch"])),
        ("1.37.2", {}, ([10259], ["default-scheduler"])),
    ],
)
def test_one_of_another_version(
    tmp_path: Path,
    proc: FakeProc,
    version: str,
    given: dict[str, object],
    told: tuple[list[int], list[str]],
) -> None:
    staged(tmp_path, version, **given)
    [found] = asked(tmp_path, proc, {})
    assert (found["ports"], found["schedulers"]) == told
    assert found["lease"] == "kube-system/batch"


def test_one_that_runs_says_so_itself(tmp_path: Path, proc: FakeProc) -> None:
    """What it was told counts until it is rolled, whatever is staged."""
    staged(tmp_path, "1.37.2", secure_port=10260, config=PROFILES)
    proc.place(7, ("batch", "--secure-port=10999", "--leader-elect-resource-name=other"))
    [found] = asked(tmp_path, proc, {"batch.service": 7})
    assert (found["ports"], found["lease"], found["schedulers"]) == (
        [10999],
        "kube-system/other",
        ["default-scheduler"],
    )


def test_one_that_was_cut_off_before_anything_was_staged(tmp_path: Path, proc: FakeProc) -> None:
    fileset(tmp_path, "batch").update_record(paths=["/etc/x"])
    [found] = asked(tmp_path, proc, {})
    assert found == {
        "unit": "batch.service",
        "ports": [],
        "lease": "",
        "schedulers": [],
        "paths": ["/etc/x"],
    }


def test_none(tmp_path: Path, proc: FakeProc) -> None:
    """A folder without a record is nobody's, and a fileset is not its own neighbour."""
    assert asked(tmp_path, proc, {}) == []
    fileset(tmp_path, "empty")
    fileset(tmp_path, "kube-scheduler").update_record(paths=["/etc/x"])
    assert asked(tmp_path, proc, {}) == []


def test_what_is_planned_is_what_would_be_found() -> None:
    """The controller compares its plan with what hosts say, so both have to mean the same."""
    plan = made(name="batch", secure_port=10260, config=PROFILES)
    told = parse_settings(plan["command"][1:], plan["config"].encode())
    found = describe_instance(
        "batch.service", told, versions.find_serving(SERVING, "1.37.2"), ["/b", "/a", "/a"]
    )
    assert found == {
        "unit": "batch.service",
        "ports": [10260],
        "lease": "kube-system/batch",
        "schedulers": ["batch"],
        "paths": ["/a", "/b"],
    }

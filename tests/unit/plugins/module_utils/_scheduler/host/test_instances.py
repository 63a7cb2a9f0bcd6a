"""Test the descriptions of the other instances on a host."""

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


def make_fileset(tmp_path: Path, name: str) -> Fileset:
    (tmp_path / "lib" / name / "staged").mkdir(parents=True)
    return Fileset(str(tmp_path / "lib" / name), ())


def stage_instance(tmp_path: Path, version: str, **options: Any) -> None:
    """Stage a second instance from a plan, like the role."""
    plan = made(name="batch", version=version, **options)
    assert plan["errors"] == []
    texts = {"config": plan["config"], "unit": f"ExecStart={plan['unit']['exec_start']}\n"}
    files = [{"content": texts.get(file["name"]), **file} for file in plan["files"]]
    other = make_fileset(tmp_path, "batch")
    items = [Item(**file) for file in files]
    other.update_record(
        staged={"members": [item.to_member() for item in items], "digest": ""}, paths=["/old/path"]
    )
    for name, text in texts.items():
        Path(other.root, "staged", name).write_text(text)


def describe_others(tmp_path: Path, proc: FakeProc, pids: dict[str, int]) -> list[facts.Instance]:
    local = Fileset(str(tmp_path / "lib/kube-scheduler"), ())
    return instances.other_instances(local, proc, lambda unit: pids.get(unit, 0), SERVING)


def test_staged_instance_is_described_by_its_staged_set(tmp_path: Path, proc: FakeProc) -> None:
    stage_instance(tmp_path, "1.37.2", secure_port=10260, config=PROFILES)
    [instance] = describe_others(tmp_path, proc, {})
    assert (instance["unit"], instance["ports"], instance["lease"]) == (
        "batch.service",
        [10260],
        "kube-system/batch",
    )
    assert instance["schedulers"] == ["batch"]
    assert {"/etc/kubernetes/batch.kubeconfig", "/opt/k8s/bin/batch", "/old/path"} <= {
        *instance["paths"]
    }


@pytest.mark.parametrize(
    ("version", "options", "expected"),
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
def test_instance_ports_depend_on_its_version(
    tmp_path: Path,
    proc: FakeProc,
    version: str,
    options: dict[str, object],
    expected: tuple[list[int], list[str]],
) -> None:
    stage_instance(tmp_path, version, **options)
    [instance] = describe_others(tmp_path, proc, {})
    assert (instance["ports"], instance["schedulers"]) == expected
    assert instance["lease"] == "kube-system/batch"


def test_running_instance_is_described_by_its_process(tmp_path: Path, proc: FakeProc) -> None:
    """Until the next roll, the command line of the process applies instead of the staged set."""
    stage_instance(tmp_path, "1.37.2", secure_port=10260, config=PROFILES)
    proc.place(7, ("batch", "--secure-port=10999", "--leader-elect-resource-name=other"))
    [instance] = describe_others(tmp_path, proc, {"batch.service": 7})
    assert (instance["ports"], instance["lease"], instance["schedulers"]) == (
        [10999],
        "kube-system/other",
        ["default-scheduler"],
    )


def test_instance_interrupted_before_staging_has_paths_only(tmp_path: Path, proc: FakeProc) -> None:
    make_fileset(tmp_path, "batch").update_record(paths=["/etc/x"])
    [instance] = describe_others(tmp_path, proc, {})
    assert instance == {
        "unit": "batch.service",
        "ports": [],
        "lease": "",
        "schedulers": [],
        "paths": ["/etc/x"],
    }


def test_directory_without_record_is_no_instance(tmp_path: Path, proc: FakeProc) -> None:
    """The file set of the queried instance is not another instance."""
    assert describe_others(tmp_path, proc, {}) == []
    make_fileset(tmp_path, "empty")
    make_fileset(tmp_path, "kube-scheduler").update_record(paths=["/etc/x"])
    assert describe_others(tmp_path, proc, {}) == []


def test_planned_instance_equals_the_instance_of_its_settings() -> None:
    """The controller compares the planned instance with the instances in host results."""
    plan = made(name="batch", secure_port=10260, config=PROFILES)
    settings = parse_settings(plan["command"][1:], plan["config"].encode())
    instance = describe_instance(
        "batch.service", settings, versions.find_serving(SERVING, "1.37.2"), ["/b", "/a", "/a"]
    )
    assert instance == {
        "unit": "batch.service",
        "ports": [10260],
        "lease": "kube-system/batch",
        "schedulers": ["batch"],
        "paths": ["/a", "/b"],
    }

"""The dashboard against Grafana's own schema, as the SDK that is made from it has it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.simulation import ROOT

pytestmark = pytest.mark.nightly  # half a minute of compiling, the first time

SOURCE = Path(__file__).parent / "schema"
DASHBOARD = ROOT / "roles/kube_scheduler/files/dashboard.json"


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], list[str]]:
    """What is wrong with a dashboard."""
    program = tmp_path_factory.mktemp("go") / "schema"
    go = shutil.which("go")
    assert go, "no Go in PATH"
    subprocess.run([go, "build", "-o", str(program), "."], cwd=SOURCE, check=True, timeout=900)

    def told(dashboard: dict[str, Any]) -> list[str]:
        done = subprocess.run(
            [program], input=json.dumps(dashboard), capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return told


def test_the_dashboard_is_one_of_grafana(faults: Callable[[dict[str, Any]], list[str]]) -> None:
    assert faults(json.loads(DASHBOARD.read_text())) == []


def test_what_the_schema_does_not_have_is_found(
    faults: Callable[[dict[str, Any]], list[str]],
) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    dashboard["refesh"] = dashboard.pop("refresh")
    panel = next(panel for panel in dashboard["panels"] if panel["type"] == "stat")
    panel["gridPos"]["h"] = "4"
    panel["options"]["colour"] = "red"
    found = "\n".join(faults(dashboard))
    for words in ("unexpected field 'refesh'", "gridPos.h", "unexpected field 'colour'"):
        assert words in found

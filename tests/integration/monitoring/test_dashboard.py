"""Validate the dashboard with the Go SDK that Grafana generates from its schema."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.simulation import ROOT

pytestmark = pytest.mark.nightly  # the first run compiles for half a minute

SOURCE = Path(__file__).parent / "schema"
DASHBOARD = ROOT / "roles/kube_scheduler/files/dashboard.json"


@pytest.fixture(scope="module")
def find_errors(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], list[str]]:
    """Return a function that lists the schema errors of a dashboard."""
    program = tmp_path_factory.mktemp("go") / "schema"
    go = shutil.which("go")
    assert go, "Go is not in PATH"
    subprocess.run([go, "build", "-o", str(program), "."], cwd=SOURCE, check=True, timeout=900)

    def run_program(dashboard: dict[str, Any]) -> list[str]:
        done = subprocess.run(
            [program], input=json.dumps(dashboard), capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return run_program


def test_dashboard_is_valid(find_errors: Callable[[dict[str, Any]], list[str]]) -> None:
    assert find_errors(json.loads(DASHBOARD.read_text())) == []


def test_unknown_field_is_found(
    find_errors: Callable[[dict[str, Any]], list[str]],
) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    dashboard["refesh"] = dashboard.pop("refresh")
    panel = next(panel for panel in dashboard["panels"] if panel["type"] == "stat")
    panel["gridPos"]["h"] = "4"
    panel["options"]["colour"] = "red"
    errors = "\n".join(find_errors(dashboard))
    for words in ("unexpected field 'refesh'", "gridPos.h", "unexpected field 'colour'"):
        assert words in errors

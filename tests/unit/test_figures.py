# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("radon", reason="only the tools of make test contain radon")

from tests.structure.figures import figures

FIRST = f'''"""Docstring {"x" * 100}"""
import json as _json
import os.path
DOCUMENTATION = """
{"x" * 101}
"""
LIMIT = [value for value in ()]
def main(): ...
def load(os, a, b, c, d, e, f):
    """{"x" * 100}"""
    return [load for load in {"(" * 60}os{")" * 60}]  # comment
'''
SECOND = f"""
if True:
    LIMIT = [value for value in ()]
def main(): ...
def branches(self, a, b, c, d, e, f):
{
    '''    if a: pass
'''
    * 60
}
"""


def test_figures_count_each_kind_of_item(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(FIRST)
    (tmp_path / "second.py").write_text(SECOND)
    names, shadows, renames, lines, arguments, complexity, columns = figures(tmp_path)
    assert names.items == ["LIMIT: first.py, second.py"]
    assert names.total == 3
    assert shadows.items == ["first.py: load: load", "first.py: load: os"]
    assert renames.items == ["first.py: json as _json"]
    assert lines.items == ["second.py: branches: 61"]
    assert arguments.items == ["first.py: load: 7"]
    assert complexity.items == ["second.py: branches: 61"]
    assert str(complexity) == "functions above complexity 12 (radon): 1 of 4 (25.0%)"
    assert columns.items == ["first.py:11: 163"]

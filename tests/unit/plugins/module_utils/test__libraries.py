# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._libraries import (
    Interpreter,
    describe_missing,
    this_interpreter,
)


def test_python_of_the_distribution_needs_a_package() -> None:
    python = Interpreter("/usr/bin/python3", packaged=True)
    assert describe_missing("cryptography", python, " on this host") == (
        "the Python library cryptography, 3.3 or newer, is missing for /usr/bin/python3 on this"
        " host; install the package python3-cryptography"
    )
    assert "python3-yaml (python3-pyyaml on Fedora and RHEL)" in describe_missing("yaml", python)


def test_python_of_a_virtual_environment_needs_its_own_pip() -> None:
    python = Interpreter("/venv/bin/python", packaged=False)
    assert describe_missing("cryptography", python).endswith(
        "for /venv/bin/python; run /venv/bin/python -m pip install 'cryptography>=3.3'"
    )


@pytest.mark.parametrize(
    ("prefix", "packaged"), [("/usr", True), ("/usr/local", False), ("/home/me/venv", False)]
)
def test_only_the_python_of_the_distribution_has_packages(
    prefix: str, packaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    assert this_interpreter() == (sys.executable, packaged)

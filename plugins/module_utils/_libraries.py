# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Describe a missing Python library: its name, the Python that lacks it, and the installation."""

from __future__ import annotations

import sys
import typing as t


class Library(t.NamedTuple):
    """A library outside the standard library, for messages."""

    name: str
    requirement: str  # as pip reads it
    packages: str  # of distributions


LIBRARIES = {
    "cryptography": Library(
        "cryptography, 3.3 or newer,", "cryptography>=3.3", "python3-cryptography"
    ),
    "yaml": Library("PyYAML", "PyYAML", "python3-yaml (python3-pyyaml on Fedora and RHEL)"),
}
"""The libraries that the modules need, by the name that they import."""


class Interpreter(t.NamedTuple):
    """A Python, and whether packages of the distribution add libraries to it."""

    path: str
    packaged: bool


def this_interpreter() -> Interpreter:
    """Return the Python that runs this code. A virtual environment has its own prefix."""
    return Interpreter(sys.executable or "python3", sys.prefix == "/usr")


def describe_missing(name: str, interpreter: Interpreter, place: str = "") -> str:
    """Return in one line that a library is missing, and how to install it for this Python.

    `place` follows the path of the Python, such as " on the controller".
    """
    library = LIBRARIES[name]
    advice = f"install the package {library.packages}"
    if not interpreter.packaged:
        advice = f"run {interpreter.path} -m pip install '{library.requirement}'"
    return f"the Python library {library.name} is missing for {interpreter.path}{place}; {advice}"

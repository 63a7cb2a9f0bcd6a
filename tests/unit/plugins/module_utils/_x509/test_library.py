# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test what the user reads if cryptography is missing, for a CA that is intact.

Such a message once reported a damaged CA key, so that users could replace their CA.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.missing_library import ROOT, run_without
from tests.support.pki import Ca

WORDS = (
    f"the Python library cryptography, 3.3 or newer, is missing for {sys.executable}"
    " on the controller; "
)
SCRIPT = """
import json, sys
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import CollectionError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import {module}
try:
    {module}.{function}(json.loads(sys.argv[1]), lambda _option, path: path)
except CollectionError as error:
    print(type(error).__name__, error)
"""


def options(ca: Ca, directory: Path) -> dict[str, Any]:
    return {
        "path": str(directory / "c.pem"),
        "privatekey_path": str(directory / "k.pem"),
        "subject": {"CN": "x"},
        "ca_path": str(ca.path),
        "ca_privatekey_path": str(ca.key_path),
        "csr_path": str(directory / "c.csr"),
        "certificate_source": str(directory / "c.pem"),
    }


@pytest.mark.parametrize("way", ["missing", "old", "incomplete"])
@pytest.mark.parametrize(
    ("module", "function"),
    [("controller", "prepare_task"), ("controller_external", "prepare_external_task")],
)
def test_missing_library_on_the_controller_is_named(
    way: str, module: str, function: str, tmp_path: Path
) -> None:
    given = options(Ca(tmp_path), tmp_path)
    script = SCRIPT.format(module=module, function=function)
    done = run_without("cryptography", way, script, json.dumps(given), tmp_path=tmp_path)
    assert done.stdout.startswith(f"LibraryError {WORDS}"), done
    assert len(done.stdout.splitlines()) == 1
    assert "damaged" not in done.stdout


READERS = {
    "certificate.parse_certificates": "b'-----BEGIN CERTIFICATE-----'",
    "keys.parse_private_key": "b'', None, 'ca-key.pem'",
    "request.verify_plain_request": "''",
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_reports_damage_without_the_library(reader: str, tmp_path: Path) -> None:
    """A caller that forgets to check for the library gets the same error."""
    module = reader.partition(".")[0]
    script = f"""
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import LibraryError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import {module}
try:
    {reader}({READERS[reader]})
except LibraryError as error:
    print(error)
"""
    done = run_without("cryptography", "missing", script, tmp_path=tmp_path)
    assert "the Python library cryptography, 3.3 or newer, is missing for" in done.stdout, done


def blind_handlers(source: str) -> list[int]:
    """Return the lines that catch every exception and do not raise it again."""
    blind = []
    for node in ast.walk(ast.parse(source)):
        caught: list[ast.expr | None] = []
        if isinstance(node, ast.ExceptHandler):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                caught = [*kinds]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "contextlib.suppress":
            caught = [*node.args]
        names = {ast.unparse(kind) if kind else "Exception" for kind in caught}
        if names & {"Exception", "BaseException"}:
            blind.append(getattr(node, "lineno", 0))
    return blind


def test_no_code_catches_every_exception() -> None:
    """An `except Exception` hid the NameError of a missing library."""
    assert blind_handlers("try: x\nexcept Exception: y") == [2]
    assert blind_handlers("try: x\nexcept (OSError, Exception): y") == [2]
    assert blind_handlers("try: x\nexcept: y") == [2]
    assert blind_handlers("with contextlib.suppress(Exception): x") == [1]
    assert blind_handlers("try: x\nexcept BaseException:\n y\n raise") == []
    found = {
        str(path): lines
        for path in (ROOT / "plugins").rglob("*.py")
        if (lines := blind_handlers(path.read_text()))
    }
    assert found == {}
